/* The table of routes. */
#include "http/route.h"

#include "http/handlers.h"

#include <stdio.h>
#include <string.h>

#define READ(path, handle)                                                                         \
    {                                                                                              \
        (path), METHOD_GET, BODY_IGNORED, false, false, (handle)                                   \
    }
#define WRITE(path, handle)                                                                        \
    {                                                                                              \
        (path), METHOD_POST, BODY_JSON, true, false, (handle)                                      \
    }
#define TRIGGER(path, handle)                                                                      \
    {                                                                                              \
        (path), METHOD_POST, BODY_IGNORED, false, false, (handle)                                  \
    }

const struct route routes[ROUTE_COUNT] = {
    READ("/get", keys_get),
    WRITE("/set", keys_set),
    WRITE("/delete", keys_delete),
    WRITE("/batch_write", txn_batch),
    WRITE("/txn", txn_run),
    WRITE("/getset", keys_getset),
    READ("/prefix", scan_prefix),
    {"/session", METHOD_POST, BODY_IGNORED, true, false, txn_session},
    {"/raw/", METHOD_GET, BODY_IGNORED, false, true, raw_get},
    {"/raw/", METHOD_PUT, BODY_ANY, true, true, raw_put},
    {"/raw/", METHOD_DELETE, BODY_IGNORED, true, true, raw_delete},
    WRITE("/join", members_join),
    WRITE("/leave", members_leave),
    {"/transfer", METHOD_POST, BODY_ANY, true, false, members_transfer},
    {"/trigger_transfer", METHOD_POST, BODY_ANY, true, false, members_transfer},
    READ("/members", members_list),
    READ("/health", status_health),
    READ("/metrics", status_metrics),
    TRIGGER("/trigger_snapshot", upkeep_snapshot),
    READ("/snapshot_status", upkeep_snapshot_status),
    {"/purge_log", METHOD_POST, BODY_JSON, false, false, upkeep_purge},
    {"/trigger_purge", METHOD_POST, BODY_JSON, false, false, upkeep_purge},
    TRIGGER("/trigger_elect", upkeep_elect),
    TRIGGER("/trigger_election", upkeep_elect),
    TRIGGER("/trigger_heartbeat", upkeep_heartbeat),
};

unsigned route_method(const char *method)
{
    static const struct {
        const char *name;
        unsigned bit;
    } names[] = {{"GET", METHOD_GET},
                 {"HEAD", METHOD_GET},
                 {"POST", METHOD_POST},
                 {"PUT", METHOD_PUT},
                 {"DELETE", METHOD_DELETE}};
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        if (strcmp(names[i].name, method) == 0) {
            return names[i].bit;
        }
    }
    return 0;
}

static bool matches(const struct route *route, rr_bytes path)
{
    size_t size = strlen(route->path);
    return (route->prefix ? path.size >= size : path.size == size) &&
           memcmp(path.data, route->path, size) == 0;
}

const struct route *route_find(unsigned method, rr_bytes path, unsigned *allowed)
{
    const struct route *found = NULL;
    *allowed = 0;
    for (size_t i = 0; i < ROUTE_COUNT; i++) {
        if (matches(&routes[i], path)) {
            *allowed |= routes[i].method;
            if (routes[i].method == method) {
                found = &routes[i];
            }
        }
    }
    return found;
}

void route_write_methods(unsigned methods, char *out, size_t size)
{
    snprintf(out, size, "%s%s%s%s", (methods & METHOD_GET) != 0 ? ", GET, HEAD" : "",
             (methods & METHOD_POST) != 0 ? ", POST" : "",
             (methods & METHOD_PUT) != 0 ? ", PUT" : "",
             (methods & METHOD_DELETE) != 0 ? ", DELETE" : "");
    memmove(out, out + 2, strlen(out + 2) + 1);
}
