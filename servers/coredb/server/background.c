/*
 * The leader's server looks ten times a second whether keys are due or garbage is left, and
 * proposes entries that see to it, one after another. Every server looks after its own clients.
 */
#include "coredb/server/background.h"

#include "coredb/command/batch.h"
#include "coredb/server/blocked.h"
#include "coredb/server/client.h"
#include "coredb/server/server.h"
#include "coredb/value/waiter.h"

#include <stdlib.h>

enum {
    TURN_MS = 100,
    EXPIRE_LIMIT = 200,
    COLLECT_LIMIT = 1000,
    EVICTIONS_MAX = 100, /* in one turn: each looks at all clients */
};

enum work { WORK_LOOK, WORK_EXPIRE, WORK_COLLECT };

struct background {
    struct server *server;
    struct loop_timer *timer;
    struct call call; /* one at a time */
    enum work work;   /* what `call` does */
    bool expires;
    uint64_t clock_ms;    /* the logical clock as last seen, and when it was first so */
    uint64_t clock_since; /* of the loop's clock */
    uint64_t turn;
};

/* ---- Expiry and garbage ---- */

static void propose(struct background *background, enum work work)
{
    background->work = work;
    buffer_clear(&background->call.input);
    if (work == WORK_EXPIRE) {
        batch_expire(&background->call.input, EXPIRE_LIMIT);
    } else {
        batch_collect(&background->call.input, COLLECT_LIMIT);
    }
    call_write(&background->call);
}

static void look(struct background *background)
{
    rr_node_info info = {.struct_size = sizeof(info)};
    rr_node_get_info(background->server->node, &info);
    if (info.role != RR_LEADER || background->call.is_pending) {
        return;
    }
    background->work = WORK_LOOK;
    buffer_clear(&background->call.input);
    batch_due(&background->call.input);
    call_query(&background->call, RR_READ_LOCAL);
}

/* The time that an entry would have now, about: the logical clock goes on where the wall clock is
 * behind it. */
static uint64_t time_now(struct background *background, uint64_t clock_ms)
{
    uint64_t loop_ms = loop_now_ms(background->server->loop);
    uint64_t wall_ms = server_wall_ms();
    if (clock_ms != background->clock_ms) {
        background->clock_ms = clock_ms;
        background->clock_since = loop_ms;
    }
    uint64_t gone_on_ms = clock_ms + (loop_ms - background->clock_since);
    return wall_ms > gone_on_ms ? wall_ms : gone_on_ms;
}

/* What there is to do: keys first, then garbage. */
static void look_closer(struct background *background, struct reader *reader)
{
    bool garbage = reader_u8(reader) != 0;
    uint64_t next_ms = reader_u64(reader);
    uint64_t now_ms = time_now(background, reader_u64(reader));
    bool due = background->expires && next_ms != 0 && next_ms <= now_ms;
    if (due) {
        propose(background, WORK_EXPIRE);
    } else if (garbage) {
        propose(background, WORK_COLLECT);
    }
}

static void done(struct call *call)
{
    struct background *background = call->arg;
    if (call->status != RR_OK || background->server->quiescing) {
        return; /* the next turn looks again */
    }
    struct reader reader = reader_of(buffer_bytes(&call->output));
    if (background->work == WORK_EXPIRE) {
        if (reader_u32(&reader) != 0) { /* else they are due by this node's clock alone */
            propose(background, WORK_COLLECT);
        }
        return;
    }
    if (background->work == WORK_COLLECT) {
        look(background); /* on as long as there is something to do */
        return;
    }
    look_closer(background, &reader);
}

/* ---- Connections ---- */

/* Whether the output of a subscriber has been too much for too long. */
static bool is_over_limit(struct client *client, uint64_t now_ms)
{
    struct settings_output_limit limit =
        settings_output_limit(client->server->settings, client_is_subscriber(client) ? 2 : 0);
    uint64_t unsent = connection_unsent(client->connection);
    if (limit.soft_bytes == 0 || unsent < limit.soft_bytes) {
        client->over_soft_limit_since_ms = 0;
    } else if (client->over_soft_limit_since_ms == 0) {
        client->over_soft_limit_since_ms = now_ms;
    }
    return client->over_hard_limit || (limit.hard_bytes > 0 && unsent > limit.hard_bytes) ||
           (client->over_soft_limit_since_ms != 0 &&
            now_ms - client->over_soft_limit_since_ms > limit.soft_seconds * 1000);
}

static bool is_idle(const struct client *client, uint64_t now_ms)
{
    int64_t timeout_s = settings_number(client->server->settings, SETTING_TIMEOUT);
    return timeout_s > 0 && client->state == CLIENT_READY && !client_is_subscriber(client) &&
           now_ms - client->active_ms > (uint64_t)timeout_s * 1000;
}

static void look_at_clients(struct server *server)
{
    uint64_t now_ms = loop_now_ms(server->loop);
    struct list_link *link = server->clients.next;
    while (link != &server->clients) {
        struct client *client = LIST_OWNER(link, struct client, link);
        link = link->next;
        if (is_idle(client, now_ms) || is_over_limit(client, now_ms)) {
            client_kill(client, /*after_reply=*/false);
        }
    }
}

/* The client with the largest buffers that may be closed for them; NULL: none. Adds up all. */
static struct client *largest_client(struct server *server, uint64_t *total)
{
    struct client *largest = NULL;
    size_t largest_size = 0;
    *total = 0;
    for (struct list_link *link = server->clients.next; link != &server->clients;
         link = link->next) {
        struct client *client = LIST_OWNER(link, struct client, link);
        size_t size = client_memory(client);
        *total += size;
        if (size > largest_size && !client->no_evict) {
            largest = client;
            largest_size = size;
        }
    }
    return largest;
}

/* Closes clients, the largest first, until all together keep within maxmemory-clients. */
static void evict_clients(struct server *server)
{
    uint64_t most = (uint64_t)settings_number(server->settings, SETTING_CLIENTS_MEMORY);
    uint64_t total;
    for (int i = 0; most > 0 && i < EVICTIONS_MAX; i++) {
        struct client *client = largest_client(server, &total);
        if (total <= most || client == NULL) {
            return;
        }
        server->statistics.evicted_clients++;
        client_kill(client, /*after_reply=*/false);
    }
}

static void on_turn(void *arg)
{
    struct background *background = arg;
    struct server *server = background->server;
    background->turn++;
    if (server->quiescing) {
        return;
    }
    sampling_turn(server);
    look_at_clients(server);
    evict_clients(server);
    look(background);
    if (background->turn % (WAITER_RENEW_MS / TURN_MS) == 0) {
        blocked_tick(server);
    }
}

struct background *background_new(struct server *server)
{
    struct background *background = calloc(1, sizeof(*background));
    if (background == NULL) {
        abort();
    }
    background->server = server;
    background->expires = true;
    call_init(&background->call, server, done, background);
    background->timer = loop_timer_new(server->loop, on_turn, background);
    loop_timer_set(background->timer, TURN_MS, TURN_MS);
    return background;
}

void background_free(struct background *background)
{
    if (background != NULL) {
        loop_timer_free(background->timer);
        call_deinit(&background->call);
        free(background);
    }
}

void background_expire(struct background *background, bool on)
{
    background->expires = on;
}
