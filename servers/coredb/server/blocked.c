/* Waiters of this node's clients. A number is given once; the table finds its client. */
#include "coredb/server/blocked.h"

#include "coredb/base/bytes.h"
#include "coredb/command/batch.h"
#include "coredb/server/server.h"
#include "coredb/server/steps.h"
#include "coredb/server/wait.h"
#include "coredb/value/waiter.h"

#include <stdlib.h>

enum {
    CANCEL_RETRY_MS = 200,
    CANCEL_GIVE_UP_MS = 10000, /* as the deadline of any other write */
    LOST_MS = 10000,
};

/* ---- The table ---- */

static struct client **bucket(struct server *server, uint64_t number)
{
    return &server->waiters[number % SERVER_WAITER_BUCKETS];
}

static struct client *find(struct server *server, uint64_t number)
{
    struct client *client = *bucket(server, number);
    while (client != NULL && client->waiter != number) {
        client = client->waiter_next;
    }
    return client;
}

void blocked_prepare(struct client *client)
{
    struct server *server = client->server;
    client->waiter = ++server->last_waiter;
    client->waiter_index = 0;
    client->served = false;
    client->unblock_error = false;
    struct client **head = bucket(server, client->waiter);
    client->waiter_next = *head;
    *head = client;
    server->waiter_count++;
}

void blocked_forget(struct client *client)
{
    if (client->waiter == 0) {
        return;
    }
    struct client **place = bucket(client->server, client->waiter);
    while (*place != client) {
        place = &(*place)->waiter_next;
    }
    *place = client->waiter_next;
    client->waiter = 0;
    client->server->waiter_count--;
    if (client->waiter_index != 0) {
        client->waiter_index = 0;
        client->server->blocked_count--;
    }
    buffer_deinit(&client->served_reply);
    buffer_init(&client->served_reply);
    if (client->timer != NULL) {
        loop_timer_stop(client->timer);
    }
}

/* ---- Waiters without a client ---- */

static void release(struct call *call)
{
    call_deinit(call);
    free(call);
}

static void forsaken_done(struct call *call)
{
    call->server->blocked_count--;
    release(call);
}

/* Takes a waiter away that nobody answers any more. What fails or comes too early is made up for by
 * blocked_tick, which finds it among those that are registered. */
static void cancel_orphan(struct server *server, uint64_t number, call_done_fn done)
{
    struct call *call = malloc(sizeof(*call));
    if (call == NULL) {
        return;
    }
    call_init(call, server, done, NULL);
    struct waiter_id id = {server->node_id, server->boot, number};
    batch_cancel(&call->input, &id, 1);
    server->blocked_count += done == forsaken_done ? 1 : 0;
    call_write(call);
    server->orphans_until_ms = loop_now_ms(server->loop) + 60000;
}

void blocked_unknown(struct client *client)
{
    cancel_orphan(client->server, client->waiter, release);
}

void blocked_forsake(struct client *client)
{
    uint64_t number = client->waiter;
    if (number == 0) {
        return;
    }
    bool served = client->served;
    blocked_forget(client);
    if (!served) { /* it counts as blocked until then, for it may yet be served */
        cancel_orphan(client->server, number, forsaken_done);
    }
}

/* ---- The end of a wait ---- */

static void answer(struct client *client)
{
    client->state = CLIENT_READY;
    blocked_forget(client);
    steps_answer(client);
    client_advance(client);
}

static void answer_served(struct client *client)
{
    buffer_append_bytes(&client->reply.out, buffer_bytes(&client->served_reply));
    answer(client);
}

static void answer_nothing(struct client *client)
{
    if (client->unblock_error) {
        reply_error(&client->reply, "UNBLOCKED client unblocked via CLIENT UNBLOCK");
    } else {
        reply_null_array(&client->reply);
    }
    answer(client);
}

static void answer_unknown(struct client *client)
{
    client->server->statistics.unknown_outcomes++;
    steps_status_error(&client->reply, RR_UNKNOWN, /*reads_only=*/false);
    answer(client);
}

static void cancel(struct client *client);

static void begin_cancel(struct client *client)
{
    client->cancel_until_ms = loop_now_ms(client->server->loop) + CANCEL_GIVE_UP_MS;
    cancel(client);
}

static void on_timer(void *arg)
{
    struct client *client = arg;
    if (client->state == CLIENT_BLOCKED) {
        begin_cancel(client);
    } else if (client->state == CLIENT_CANCELING && !client->call.is_pending) {
        if (client->cancel_done) { /* served, they say, but the reply has never come */
            answer_unknown(client);
        } else {
            cancel(client);
        }
    }
}

static void cancel_done(struct call *call)
{
    struct client *client = call->arg;
    if (client->connection == NULL) {
        client_destroy(client);
        return;
    }
    if (client->served) {
        answer_served(client);
        return;
    }
    bool was_there = call->output.size == 1 && call->output.data[0] == 1;
    if (call->status == RR_OK && was_there) {
        answer_nothing(client);
        return;
    }
    client->cancel_done = call->status == RR_OK;
    if (!client->cancel_done && loop_now_ms(client->server->loop) >= client->cancel_until_ms) {
        cancel_orphan(client->server, client->waiter, release);
        answer_unknown(client);
        return;
    }
    loop_timer_set(client->timer, client->cancel_done ? LOST_MS : CANCEL_RETRY_MS, 0);
}

static void cancel(struct client *client)
{
    client->state = CLIENT_CANCELING;
    client->cancel_done = false;
    struct waiter_id id = {client->server->node_id, client->server->boot, client->waiter};
    buffer_clear(&client->call.input);
    batch_cancel(&client->call.input, &id, 1);
    client->call.done = cancel_done;
    call_write(&client->call);
}

static void want_timer(struct client *client)
{
    if (client->timer == NULL) {
        client->timer = loop_timer_new(client->server->loop, on_timer, client);
    }
}

void blocked_begin(struct client *client, uint64_t timeout_ms, uint64_t index)
{
    client->waiter_index = index;
    client->server->blocked_count++;
    if (client->served) {
        answer_served(client);
        return;
    }
    client->state = CLIENT_BLOCKED;
    want_timer(client);
    if (timeout_ms > 0) {
        loop_timer_set(client->timer, timeout_ms, 0);
    }
    if (client->input_ended) {
        client_kill(client, /*after_reply=*/false);
    } else if (client->server->quiescing) {
        begin_cancel(client);
    }
}

bool blocked_end(struct client *client, bool with_error)
{
    if (client->state != CLIENT_BLOCKED) {
        return wait_end(client, with_error);
    }
    client->unblock_error = with_error;
    loop_timer_stop(client->timer);
    begin_cancel(client);
    return true;
}

void blocked_served(struct server *server, uint64_t number, rr_bytes reply)
{
    struct client *client = find(server, number);
    if (client == NULL) {
        return; /* it was told that its outcome is unknown, or it has gone */
    }
    client->served = true;
    buffer_clear(&client->served_reply);
    buffer_append_bytes(&client->served_reply, reply);
    bool settled = client->state == CLIENT_BLOCKED ||
                   (client->state == CLIENT_CANCELING && !client->call.is_pending);
    if (settled) {
        answer_served(client);
    }
}

/* ---- Upkeep ---- */

/* Whether `number` is among `count` ascending ones. */
static bool is_listed(struct reader numbers, uint32_t count, uint64_t number)
{
    uint32_t low = 0;
    uint32_t high = count;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        struct reader reader = numbers;
        (void)reader_take(&reader, (size_t)middle * sizeof(number));
        uint64_t found = reader_u64(&reader);
        if (found == number) {
            return true;
        }
        if (found < number) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return false;
}

/* Waiters that the answer covers but does not list are gone, and their events went unseen. */
static void find_lost(struct server *server, const struct call *call, struct reader numbers,
                      uint32_t count)
{
    for (size_t i = 0; i < SERVER_WAITER_BUCKETS; i++) {
        struct client *next = NULL;
        for (struct client *client = server->waiters[i]; client != NULL; client = next) {
            next = client->waiter_next;
            if (client->state != CLIENT_BLOCKED || client->waiter_index == 0 ||
                client->waiter_index > call->index) {
                continue;
            }
            if (!is_listed(numbers, count, client->waiter)) {
                answer_unknown(client);
            }
        }
    }
}

static void listed_done(struct call *call)
{
    struct server *server = call->server;
    struct reader reader = reader_of(buffer_bytes(&call->output));
    uint32_t count = reader_u32(&reader);
    if (call->status == RR_OK && !reader.failed && count <= reader.left / 8) {
        find_lost(server, call, reader, count);
        for (uint32_t i = 0; i < count; i++) {
            uint64_t number = reader_u64(&reader);
            if (find(server, number) == NULL) {
                cancel_orphan(server, number, release);
            }
        }
    }
    release(call);
}

void blocked_tick(struct server *server)
{
    bool orphans = loop_now_ms(server->loop) < server->orphans_until_ms;
    if (server->waiter_count == 0 && !orphans) {
        return;
    }
    struct call *renew = malloc(sizeof(*renew));
    struct call *list = malloc(sizeof(*list));
    if (renew == NULL || list == NULL) {
        free(renew);
        free(list);
        return;
    }
    call_init(renew, server, release, NULL);
    batch_renew(&renew->input, server->node_id, server->boot);
    call_write(renew);
    call_init(list, server, listed_done, NULL);
    batch_waiters(&list->input, server->node_id, server->boot);
    call_query(list, RR_READ_LOCAL);
}

void blocked_cancel_all(struct server *server)
{
    for (size_t i = 0; i < SERVER_WAITER_BUCKETS; i++) {
        struct client *next = NULL;
        for (struct client *client = server->waiters[i]; client != NULL; client = next) {
            next = client->waiter_next;
            (void)blocked_end(client, /*with_error=*/false);
        }
    }
}
