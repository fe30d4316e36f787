/* The server's parts, and how events of the node's thread reach the loop. */
#include "coredb/server/server.h"

#include "common/log.h"
#include "coredb/command/measure.h"
#include "coredb/server/background.h"
#include "coredb/server/blocked.h"
#include "coredb/server/client.h"
#include "coredb/server/latency.h"
#include "coredb/server/messaging.h"
#include "coredb/server/slowlog.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/random.h>
#include <time.h>

const char *server_role_name(rr_role role)
{
    switch (role) {
    case RR_FOLLOWER:
        return "follower";
    case RR_CANDIDATE:
        return "candidate";
    case RR_LEADER:
        return "leader";
    case RR_ROLE_LEARNER:
        return "learner";
    }
    return "unknown";
}

uint64_t server_wall_ms(void)
{
    return server_wall_us() / 1000;
}

uint64_t server_wall_us(void)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

void server_count_error(struct server *server, rr_bytes reply)
{
    server->statistics.errors++;
    sampling_count_error(&server->sampling, reply);
}

void server_count_status(struct server *server, rr_status status)
{
    if (status == RR_UNKNOWN) {
        server->statistics.unknown_outcomes++;
    }
}

/* ---- Events ---- */

/* Events of one entry on their way to the loop. */
struct delivery {
    struct loop_task task;
    struct server *server;
    bool replayed; /* nobody is told, but for waiters and watchers of this start */
    struct events events;
};

static bool is_ours(const struct server *server, const struct event *event)
{
    return event->waiter.node == server->node_id && event->waiter.boot == server->boot;
}

/* Whether anyone here wants the event. The node's thread. */
static bool is_wanted(struct server *server, const struct event *event)
{
    switch (event->kind) {
    case EVENT_NOTIFY:
        return (atomic_load(&server->notify_wanted) & event->notify_class) != 0 ||
               (event->notify_class == NOTIFY_NEW && atomic_load(&server->appeared_wanted));
    case EVENT_PUBLISH:
        return atomic_load(&server->publish_wanted);
    case EVENT_SERVED:
        return is_ours(server, event);
    }
    return false;
}

static void key_appeared(struct server *server, const struct event *event)
{
    if (list_is_empty(&server->absent_watchers) && server->watch_calls == 0) {
        atomic_store(&server->appeared_wanted, false);
    }
    for (struct list_link *link = server->absent_watchers.next; link != &server->absent_watchers;
         link = link->next) {
        transaction_appeared(LIST_OWNER(link, struct transaction, absent), (uint8_t)event->db,
                             event->key);
    }
}

static void deliver(void *arg)
{
    struct delivery *delivery = arg;
    struct server *server = delivery->server;
    struct event event;
    size_t offset = 0;
    while (events_next(&delivery->events, &offset, &event)) {
        if (event.kind == EVENT_SERVED) {
            if (is_ours(server, &event)) {
                blocked_served(server, event.waiter.number, event.key);
            }
            continue;
        }
        if (event.kind == EVENT_NOTIFY && event.notify_class == NOTIFY_NEW) {
            key_appeared(server, &event);
        }
        if (server->on_event != NULL && !delivery->replayed) {
            server->on_event(server->on_event_arg, &event);
        }
    }
    events_deinit(&delivery->events);
    free(delivery);
}

/* The node's thread. */
static void on_events(void *arg, uint64_t index, const struct events *events)
{
    struct server *server = arg;
    struct event event;
    size_t offset = 0;
    bool wanted = false;
    while (!wanted && events_next(events, &offset, &event)) {
        wanted = is_wanted(server, &event);
    }
    if (!wanted) {
        return;
    }
    struct delivery *delivery = malloc(sizeof(*delivery));
    if (delivery == NULL) {
        abort(); /* a client would wait for ever */
    }
    delivery->server = server;
    delivery->replayed = index <= atomic_load(&server->replayed_index);
    delivery->task.run = deliver;
    delivery->task.arg = delivery;
    events_init(&delivery->events);
    buffer_append_bytes(&delivery->events.bytes, buffer_bytes(&events->bytes));
    delivery->events.count = events->count;
    if (delivery->events.bytes.failed) {
        abort();
    }
    loop_post(server->loop, &delivery->task);
}

void server_watch_begin(struct server *server)
{
    server->watch_calls++;
    atomic_store(&server->appeared_wanted, true);
}

static uint64_t snapshot_index(const struct server *server)
{
    rr_node_info info = {.struct_size = sizeof(info)};
    rr_node_get_info(server->node, &info);
    return info.snapshot_index;
}

void server_watch_end(struct server *server, struct transaction *transaction, bool absent)
{
    server->watch_calls--;
    if (absent && !list_is_linked(&transaction->absent)) {
        list_append(&server->absent_watchers, &transaction->absent);
        transaction->absent_snapshot = snapshot_index(server);
    }
}

bool server_watch_missed(const struct server *server, const struct transaction *transaction)
{
    return list_is_linked(&transaction->absent) &&
           transaction->absent_snapshot != snapshot_index(server);
}

/* ---- CLIENT PAUSE ---- */

static void on_pause_end(void *arg)
{
    struct server *server = arg;
    server->paused_until_ms = 0;
    server->paused_all = false;
    loop_timer_stop(server->pause_timer);
    struct list_link waiting;
    list_init(&waiting);
    while (!list_is_empty(&server->paused)) {
        struct list_link *link = server->paused.next;
        list_remove(link);
        list_append(&waiting, link);
    }
    while (!list_is_empty(&waiting)) {
        struct client *client = LIST_OWNER(waiting.next, struct client, waiting);
        list_remove(&client->waiting);
        client_advance(client);
    }
}

void server_pause(struct server *server, uint64_t until_ms, bool all)
{
    uint64_t now_ms = loop_now_ms(server->loop);
    if (until_ms > server->paused_until_ms) {
        server->paused_until_ms = until_ms;
    }
    server->paused_all = server->paused_all || all;
    loop_timer_set(server->pause_timer, server->paused_until_ms - now_ms, 0);
}

void server_unpause(struct server *server)
{
    if (server->paused_until_ms != 0) {
        on_pause_end(server);
    }
}

/* ---- Life ---- */

static void make_run_id(struct server *server)
{
    unsigned char bytes[20];
    if (getrandom(bytes, sizeof(bytes), 0) != (ssize_t)sizeof(bytes)) {
        abort();
    }
    for (size_t i = 0; i < sizeof(bytes); i++) {
        snprintf(server->run_id + 2 * i, 3, "%02x", bytes[i]);
    }
}

struct server *server_new(struct loop *loop, struct log *log, struct settings *settings,
                          const rr_config *config)
{
    struct server *server = calloc(1, sizeof(*server));
    if (server == NULL) {
        abort();
    }
    server->loop = loop;
    server->log = log;
    server->settings = settings;
    server->config = config;
    server->node_id = config->node_id;
    server->started_ms = server_wall_ms();
    server->boot = server->started_ms;
    server->execute.events = on_events;
    server->execute.events_arg = server;
    server->measure = measure_new();
    server->measure->node = server->node_id;
    server->measure->boot = server->boot;
    server->execute.measure = server->measure;
    server->latency = latency_new();
    server->slowlog = slowlog_new(server);
    list_init(&server->clients);
    list_init(&server->paused);
    list_init(&server->absent_watchers);
    atomic_store(&server->replayed_index, UINT64_MAX);
    make_run_id(server);
    return server;
}

void server_free(struct server *server)
{
    if (server == NULL) {
        return;
    }
    messaging_close(server);
    background_free(server->background);
    loop_timer_free(server->pause_timer);
    for (size_t i = 0; i < server->listener_count; i++) {
        listener_close(server->listeners[i]);
    }
    slowlog_free(server->slowlog);
    latency_free(server->latency);
    measure_free(server->measure);
    free(server);
}

rr_status server_start(struct server *server, rr_node *node)
{
    server->node = node;
    rr_node_info info = {.struct_size = sizeof(info)};
    rr_node_get_info(node, &info);
    atomic_store(&server->replayed_index, info.last_index);
    server->pause_timer = loop_timer_new(server->loop, on_pause_end, server);
    server->background = background_new(server);
    messaging_open(server);
    for (size_t i = 0; i < server->listener_count; i++) {
        rr_status status =
            listener_start(server->listeners[i], server->loop, client_accept, server);
        if (status != RR_OK) {
            return status;
        }
    }
    return RR_OK;
}

void server_quiesce(struct server *server)
{
    server->quiescing = true;
    for (size_t i = 0; i < server->listener_count; i++) {
        listener_close(server->listeners[i]);
    }
    server->listener_count = 0;
    blocked_cancel_all(server);
}

void server_close_clients(struct server *server)
{
    while (!list_is_empty(&server->clients)) {
        struct client *client = LIST_OWNER(server->clients.next, struct client, link);
        client_kill(client, client->state == CLIENT_READY);
    }
}
