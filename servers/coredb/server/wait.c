/*
 * A write is acknowledged when a majority has it, so half of the other voters are known to hold it
 * without asking; beyond that the leader's count decides, which is asked for again and again.
 */
#include "coredb/server/wait.h"

#include "coredb/base/number.h"
#include "coredb/server/client.h"
#include "coredb/server/messaging.h"
#include "coredb/server/siblings.h"

#include <stdlib.h>

enum {
    TICK_MS = 5,             /* between looks while anybody waits */
    ASK_INTERVAL_MIN_MS = 5, /* doubled up to the next with every question */
    ASK_INTERVAL_MAX_MS = 500,
};

/* One WAIT under way. */
struct waiting {
    struct list_link link; /* in waits->all */
    uint64_t number;       /* in questions */
    uint64_t client;
    uint64_t ticket;
    uint64_t index;
    int64_t wanted;
    uint64_t deadline_ms; /* of loop_now_ms; UINT64_MAX: none */
    uint64_t ask_ms;      /* when to ask the leader next */
    uint64_t ask_interval_ms;
    uint64_t count; /* as far as is known */
    bool unblocked; /* by CLIENT UNBLOCK: answered at the next look */
    bool with_error;
};

struct waits {
    struct messaging *messaging;
    struct list_link all;
    uint64_t last_number;
    struct loop_timer *timer;
};

/* ---- What is known ---- */

static uint64_t smaller_half(uint64_t voters)
{
    return voters / 2;
}

/* How many besides the leader certainly have an acknowledged entry. */
static uint64_t count_by_majority(const rr_node_info *info)
{
    uint64_t count = smaller_half(info->incoming_count);
    if (info->joint && smaller_half(info->outgoing_count) < count) {
        count = smaller_half(info->outgoing_count);
    }
    return count;
}

/* What this node can say about `index` by itself. */
static uint64_t count_here(const struct messaging *messaging, const rr_node_info *info,
                           uint64_t index)
{
    uint64_t count = index > 0 ? count_by_majority(info) : 0;
    uint64_t seen = info->role == RR_LEADER ? rr_node_replicas(messaging->server->node, index) : 0;
    return seen > count ? seen : count;
}

static void get_info(const struct messaging *messaging, rr_node_info *info)
{
    info->struct_size = sizeof(*info);
    rr_node_get_info(messaging->server->node, info);
}

/* ---- Questions to the leader ---- */

static void ask(const struct waits *waits, const struct waiting *waiting, uint64_t leader)
{
    struct buffer body;
    buffer_init(&body);
    buffer_put_u64(&body, waiting->number);
    buffer_put_u64(&body, waiting->index);
    if (!body.failed) {
        siblings_send(waits->messaging->siblings, leader, SIBLING_REPLICAS_ASK, buffer_bytes(&body),
                      (rr_bytes){NULL, 0});
    }
    buffer_deinit(&body);
}

static void on_ask(void *arg, uint64_t from, rr_bytes body)
{
    struct waits *waits = arg;
    struct reader reader = reader_of(body);
    uint64_t number = reader_u64(&reader);
    uint64_t index = reader_u64(&reader);
    if (reader.failed) {
        return;
    }
    struct buffer answer;
    buffer_init(&answer);
    buffer_put_u64(&answer, number);
    buffer_put_u32(&answer, (uint32_t)rr_node_replicas(waits->messaging->server->node, index));
    if (!answer.failed) {
        siblings_send(waits->messaging->siblings, from, SIBLING_REPLICAS_TELL,
                      buffer_bytes(&answer), (rr_bytes){NULL, 0});
    }
    buffer_deinit(&answer);
}

/* ---- The end of a WAIT ---- */

static void forget(struct waits *waits, struct waiting *waiting)
{
    waits->messaging->server->blocked_count--;
    list_remove(&waiting->link);
    free(waiting);
}

static void answer(struct waits *waits, struct waiting *waiting)
{
    struct client *client =
        client_resumable(waits->messaging->server, waiting->client, waiting->ticket);
    int64_t count = (int64_t)waiting->count;
    bool with_error = waiting->with_error;
    forget(waits, waiting);
    if (client == NULL) {
        return;
    }
    if (with_error) {
        reply_error(&client->reply, "UNBLOCKED client unblocked via CLIENT UNBLOCK");
    } else {
        reply_integer(&client->reply, count);
    }
    client_resume(client);
}

static struct waiting *find(const struct client *client)
{
    struct list_link *head = &messaging_of(client->server)->waits->all;
    for (struct list_link *link = head->next; link != head; link = link->next) {
        struct waiting *waiting = LIST_OWNER(link, struct waiting, link);
        if (waiting->client == client->id && waiting->ticket == client->suspension) {
            return waiting;
        }
    }
    return NULL;
}

bool wait_is_waiting(const struct client *client)
{
    return client->state == CLIENT_SUSPENDED && find(client) != NULL;
}

bool wait_end(struct client *client, bool with_error)
{
    struct waiting *waiting = client->state == CLIENT_SUSPENDED ? find(client) : NULL;
    if (waiting == NULL || waiting->unblocked) {
        return false;
    }
    waiting->unblocked = true;
    waiting->with_error = with_error;
    waiting->deadline_ms = 0;
    return true;
}

static bool enough(const struct waiting *waiting)
{
    return waiting->wanted <= (int64_t)waiting->count;
}

static void on_tell(void *arg, uint64_t from, rr_bytes body)
{
    (void)from;
    struct waits *waits = arg;
    struct reader reader = reader_of(body);
    uint64_t number = reader_u64(&reader);
    uint32_t count = reader_u32(&reader);
    for (struct list_link *link = waits->all.next; link != &waits->all; link = link->next) {
        struct waiting *waiting = LIST_OWNER(link, struct waiting, link);
        if (waiting->number != number || reader.failed) {
            continue;
        }
        waiting->count = count > waiting->count ? count : waiting->count;
        if (enough(waiting)) {
            answer(waits, waiting);
        }
        return;
    }
}

/* Looks again at one; it may be gone after this. */
static void look(struct waits *waits, struct waiting *waiting, const rr_node_info *info,
                 uint64_t now_ms)
{
    struct messaging *messaging = waits->messaging;
    if (client_resumable(messaging->server, waiting->client, waiting->ticket) == NULL) {
        forget(waits, waiting);
        return;
    }
    uint64_t count = count_here(messaging, info, waiting->index);
    waiting->count = count > waiting->count ? count : waiting->count;
    if (enough(waiting) || now_ms >= waiting->deadline_ms) {
        answer(waits, waiting);
        return;
    }
    if (now_ms >= waiting->ask_ms && info->role != RR_LEADER && info->leader != 0) {
        ask(waits, waiting, info->leader);
        waiting->ask_ms = now_ms + waiting->ask_interval_ms;
        waiting->ask_interval_ms = waiting->ask_interval_ms * 2 < ASK_INTERVAL_MAX_MS
                                       ? waiting->ask_interval_ms * 2
                                       : ASK_INTERVAL_MAX_MS;
    }
}

static void tick(void *arg)
{
    struct waits *waits = arg;
    rr_node_info info;
    get_info(waits->messaging, &info);
    uint64_t now_ms = loop_now_ms(waits->messaging->server->loop);
    uint64_t last = waits->last_number; /* a client that is answered may wait anew */
    struct list_link *next;
    for (struct list_link *link = waits->all.next; link != &waits->all; link = next) {
        next = link->next;
        struct waiting *waiting = LIST_OWNER(link, struct waiting, link);
        if (waiting->number > last) {
            break;
        }
        look(waits, waiting, &info, now_ms);
    }
    if (list_is_empty(&waits->all)) {
        loop_timer_stop(waits->timer);
    }
}

struct waits *waits_new(struct messaging *messaging)
{
    struct waits *waits = calloc(1, sizeof(*waits));
    if (waits == NULL) {
        abort();
    }
    waits->messaging = messaging;
    list_init(&waits->all);
    waits->timer = loop_timer_new(messaging->server->loop, tick, waits);
    siblings_on(messaging->siblings, SIBLING_REPLICAS_ASK, on_ask, waits);
    siblings_on(messaging->siblings, SIBLING_REPLICAS_TELL, on_tell, waits);
    return waits;
}

void waits_free(struct waits *waits)
{
    if (waits == NULL) {
        return;
    }
    while (!list_is_empty(&waits->all)) {
        forget(waits, LIST_OWNER(waits->all.next, struct waiting, link));
    }
    loop_timer_free(waits->timer);
    free(waits);
}

/* ---- The command ---- */

/* Reads the two numbers; false: answered. */
static bool read_arguments(struct client *client, const rr_bytes *argv, int64_t *wanted,
                           int64_t *timeout_ms)
{
    if (!number_parse_i64(argv[1], wanted)) {
        reply_error_not_integer(&client->reply);
        return false;
    }
    if (!number_parse_i64(argv[2], timeout_ms)) {
        reply_error(&client->reply, "ERR timeout is not an integer or out of range");
        return false;
    }
    if (*timeout_ms < 0) {
        reply_error(&client->reply, "ERR timeout is negative");
        return false;
    }
    return true;
}

static void wait_local(struct client *client, const rr_bytes *argv, size_t argc)
{
    (void)argc;
    int64_t wanted;
    int64_t timeout_ms;
    if (!read_arguments(client, argv, &wanted, &timeout_ms)) {
        return;
    }
    struct messaging *messaging = messaging_of(client->server);
    rr_node_info info;
    get_info(messaging, &info);
    uint64_t count = count_here(messaging, &info, client->last_index);
    uint64_t ticket = wanted <= (int64_t)count ? 0 : client_suspend(client);
    struct waiting *waiting = ticket == 0 ? NULL : malloc(sizeof(*waiting));
    if (waiting == NULL) {
        reply_integer(&client->reply, (int64_t)count);
        if (ticket != 0) {
            client_resume(client); /* without memory: what is known must do */
        }
        return;
    }
    struct waits *waits = messaging->waits;
    uint64_t now_ms = loop_now_ms(client->server->loop);
    *waiting = (struct waiting){.number = ++waits->last_number,
                                .client = client->id,
                                .ticket = ticket,
                                .index = client->last_index,
                                .wanted = wanted,
                                .deadline_ms = UINT64_MAX,
                                .ask_ms = now_ms,
                                .ask_interval_ms = ASK_INTERVAL_MIN_MS,
                                .count = count};
    if (timeout_ms > 0) {
        waiting->deadline_ms = now_ms + (uint64_t)timeout_ms;
    }
    bool first = list_is_empty(&waits->all);
    list_append(&waits->all, &waiting->link);
    client->server->blocked_count++;
    if (first) {
        loop_timer_set(waits->timer, 0, TICK_MS);
    }
}

const struct command commands_wait[] = {
    {
        .name = "wait",
        .arity = 3,
        .flags = COMMAND_NOSCRIPT,
        .group = "generic",
        .since = "3.0.0",
        .summary = "Waits until so many replicas have stored what this connection has written.",
        .complexity = "O(1)",
        .local = wait_local,
        .note = "A write is answered when a majority has stored it, so replicas up to half of the "
                "nodes never have to be waited for. Within a transaction WAIT does not wait.",
    },
    {0},
};
