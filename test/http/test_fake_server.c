/*
 * rockraft-http on a node that is none: the rr_node_* functions below keep everything in memory
 * and end on a thread of their own, when and how the request asks for it. The Python tests of this
 * folder run this program; started without arguments, as ctest does, it has nothing to say.
 *
 * Keys steer the operations on them, and node ids those on members:
 *
 *     !status=N         ends with the rr_status N, with the message "as told" unless N is 8
 *     !refuse=N         the call itself returns N
 *     !delay=N          ends after N milliseconds
 *     !never            ends when the node shuts down, with RR_UNKNOWN
 *     !halt             halts the node
 *     node id 900 + N   as !status=N; purging up to 900 + N, too
 *
 * Environment: FAKE_OPEN=N and FAKE_MEMBER=N set what opening and awaiting membership return,
 * FAKE_RESULT_BYTES the limit of a scan, FAKE_SHUTDOWN_MS how long pending operations get.
 */
#include <rockraft/rockraft.h>

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "http/app.h"

struct bytes {
    char *data;
    size_t size;
};

/* One key and its value, or one operation of a transaction. */
struct pair {
    struct bytes key;
    struct bytes value;
    bool present; /* false: absent, or a deletion */
    rr_compare compare;
};

struct pairs {
    struct pair *items;
    size_t count;
};

struct rr_txn {
    struct pairs conditions;
    struct pairs branches[2]; /* otherwise, then */
    bool previous;
};

struct rr_result {
    struct pairs pairs;
    bool branch;
    bool more;
    uint64_t index;
    char message[64];
};

enum operation_kind { OPERATION_TXN, OPERATION_GET, OPERATION_SCAN, OPERATION_OTHER };

/* An operation that has begun and not ended. */
struct operation {
    struct operation *next;
    enum operation_kind kind;
    uint64_t due_ms;
    rr_status status;
    struct rr_txn *txn;
    struct pair input; /* the key or prefix, and where to scan after */
    size_t count_max;
    uint64_t index;
    rr_done_fn done;
    void *arg;
};

struct rr_node {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    pthread_t thread;
    bool closing;
    struct operation *operations;
    struct pairs store; /* ascending */
    uint64_t index;
    uint64_t snapshot;      /* what rr_node_get_info tells */
    uint64_t next_snapshot; /* what it tells after the next read, late as a real node may be */
    rr_member members[64];
    size_t member_count;
    uint64_t id;
    rr_halt_fn halt;
    void *halt_arg;
    rr_log_fn log;
    void *log_arg;
};

static uint64_t now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

static uint64_t environment(const char *name, uint64_t fallback)
{
    const char *value = getenv(name);
    return value != NULL ? strtoull(value, NULL, 10) : fallback;
}

static struct bytes copy(rr_bytes bytes)
{
    struct bytes out = {malloc(bytes.size + 1), bytes.size};
    if (out.data == NULL) {
        abort();
    }
    memcpy(out.data, bytes.size > 0 ? bytes.data : "", bytes.size);
    out.data[bytes.size] = '\0';
    return out;
}

static rr_bytes view(struct bytes bytes)
{
    return (rr_bytes){bytes.data, bytes.size};
}

static int compare(rr_bytes a, rr_bytes b)
{
    size_t size = a.size < b.size ? a.size : b.size;
    int order = size > 0 ? memcmp(a.data, b.data, size) : 0;
    return order != 0 ? order : (a.size > b.size) - (a.size < b.size);
}

/* ---- Pairs ---- */

static void pairs_insert(struct pairs *pairs, size_t at, struct pair pair)
{
    pairs->items = realloc(pairs->items, (pairs->count + 1) * sizeof(pair));
    if (pairs->items == NULL) {
        abort();
    }
    memmove(pairs->items + at + 1, pairs->items + at, (pairs->count - at) * sizeof(pair));
    pairs->items[at] = pair;
    pairs->count++;
}

static void pairs_append(struct pairs *pairs, rr_bytes key, const rr_bytes *value, rr_compare how)
{
    struct pair pair = {.key = copy(key), .present = value != NULL, .compare = how};
    if (value != NULL) {
        pair.value = copy(*value);
    }
    pairs_insert(pairs, pairs->count, pair);
}

static void pairs_free(struct pairs *pairs)
{
    for (size_t i = 0; i < pairs->count; i++) {
        free(pairs->items[i].key.data);
        free(pairs->items[i].value.data);
    }
    free(pairs->items);
    *pairs = (struct pairs){0};
}

/* Where `key` is in the ascending `pairs`, or belongs. */
static size_t pairs_find(const struct pairs *pairs, rr_bytes key, bool *found)
{
    size_t low = 0;
    size_t high = pairs->count;
    while (low < high) {
        size_t middle = (low + high) / 2;
        if (compare(view(pairs->items[middle].key), key) < 0) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    *found = low < pairs->count && compare(view(pairs->items[low].key), key) == 0;
    return low;
}

static void pairs_apply(struct pairs *store, const struct pair *operation)
{
    bool found;
    size_t at = pairs_find(store, view(operation->key), &found);
    if (found) {
        free(store->items[at].key.data);
        free(store->items[at].value.data);
        store->count--;
        memmove(store->items + at, store->items + at + 1,
                (store->count - at) * sizeof(struct pair));
    }
    if (operation->present) {
        struct pair pair = {copy(view(operation->key)), copy(view(operation->value)), true, 0};
        pairs_insert(store, at, pair);
    }
}

/* ---- Transactions and results ---- */

rr_txn *rr_txn_new(void)
{
    return calloc(1, sizeof(rr_txn));
}

void rr_txn_free(rr_txn *txn)
{
    if (txn != NULL) {
        pairs_free(&txn->conditions);
        pairs_free(&txn->branches[0]);
        pairs_free(&txn->branches[1]);
        free(txn);
    }
}

rr_status rr_txn_if(rr_txn *txn, rr_bytes key, rr_compare how, rr_bytes value)
{
    pairs_append(&txn->conditions, key, &value, how);
    return RR_OK;
}

rr_status rr_txn_set(rr_txn *txn, rr_bytes key, rr_bytes value)
{
    pairs_append(&txn->branches[1], key, &value, RR_EXISTS);
    return RR_OK;
}

rr_status rr_txn_delete(rr_txn *txn, rr_bytes key)
{
    pairs_append(&txn->branches[1], key, NULL, RR_EXISTS);
    return RR_OK;
}

rr_status rr_txn_else_set(rr_txn *txn, rr_bytes key, rr_bytes value)
{
    pairs_append(&txn->branches[0], key, &value, RR_EXISTS);
    return RR_OK;
}

rr_status rr_txn_else_delete(rr_txn *txn, rr_bytes key)
{
    pairs_append(&txn->branches[0], key, NULL, RR_EXISTS);
    return RR_OK;
}

void rr_txn_return_previous(rr_txn *txn, bool on)
{
    txn->previous = on;
}

static void append_all(struct pairs *to, const struct pairs *from)
{
    for (size_t i = 0; i < from->count; i++) {
        rr_bytes value = view(from->items[i].value);
        pairs_append(to, view(from->items[i].key), from->items[i].present ? &value : NULL,
                     from->items[i].compare);
    }
}

static rr_txn *txn_copy(const rr_txn *txn)
{
    rr_txn *out = rr_txn_new();
    append_all(&out->conditions, &txn->conditions);
    append_all(&out->branches[0], &txn->branches[0]);
    append_all(&out->branches[1], &txn->branches[1]);
    out->previous = txn->previous;
    return out;
}

void rr_result_free(rr_result *result)
{
    if (result != NULL) {
        pairs_free(&result->pairs);
        free(result);
    }
}

rr_result *rr_result_copy(const rr_result *result)
{
    rr_result *out = calloc(1, sizeof(*out));
    if (out == NULL) {
        abort();
    }
    *out = *result;
    out->pairs = (struct pairs){0};
    append_all(&out->pairs, &result->pairs);
    return out;
}

uint64_t rr_result_index(const rr_result *result)
{
    return result != NULL ? result->index : 0;
}

bool rr_result_branch(const rr_result *result)
{
    return result != NULL && result->branch;
}

size_t rr_result_count(const rr_result *result)
{
    return result != NULL ? result->pairs.count : 0;
}

bool rr_result_value(const rr_result *result, size_t i, rr_bytes *value)
{
    *value = (rr_bytes){NULL, 0};
    if (i >= rr_result_count(result) || !result->pairs.items[i].present) {
        return false;
    }
    *value = view(result->pairs.items[i].value);
    return true;
}

rr_bytes rr_result_key(const rr_result *result, size_t i)
{
    return i < rr_result_count(result) ? view(result->pairs.items[i].key) : (rr_bytes){NULL, 0};
}

bool rr_result_more(const rr_result *result)
{
    return result != NULL && result->more;
}

const char *rr_result_message(const rr_result *result)
{
    return result != NULL ? result->message : "";
}

/* ---- Executing, on the node's thread ---- */

static bool holds(const struct pairs *store, const struct pair *condition)
{
    bool found;
    size_t at = pairs_find(store, view(condition->key), &found);
    int order = found ? compare(view(store->items[at].value), view(condition->value)) : 0;
    switch (condition->compare) {
    case RR_EXISTS:
        return found;
    case RR_NOT_EXISTS:
        return !found;
    case RR_EQUAL:
        return found && order == 0;
    case RR_NOT_EQUAL:
        return !found || order != 0;
    case RR_GREATER:
        return found && order > 0;
    case RR_LESS:
        return found && order < 0;
    case RR_GREATER_EQUAL:
        return found && order >= 0;
    case RR_LESS_EQUAL:
        return found && order <= 0;
    }
    return false;
}

static void run_txn(struct rr_node *node, const rr_txn *txn, rr_result *result)
{
    result->branch = true;
    for (size_t i = 0; i < txn->conditions.count; i++) {
        result->branch = result->branch && holds(&node->store, &txn->conditions.items[i]);
    }
    const struct pairs *operations = &txn->branches[result->branch];
    for (size_t i = 0; i < operations->count && txn->previous; i++) {
        bool found;
        size_t at = pairs_find(&node->store, view(operations->items[i].key), &found);
        rr_bytes value = found ? view(node->store.items[at].value) : (rr_bytes){NULL, 0};
        pairs_append(&result->pairs, view(operations->items[i].key), found ? &value : NULL, 0);
    }
    for (size_t i = 0; i < operations->count; i++) {
        pairs_apply(&node->store, &operations->items[i]);
    }
    result->index = ++node->index;
}

static void run_scan(const struct rr_node *node, const struct operation *operation,
                     rr_result *result)
{
    rr_bytes prefix = view(operation->input.key);
    rr_bytes after = view(operation->input.value);
    size_t size = 0;
    for (size_t i = 0; i < node->store.count; i++) {
        const struct pair *pair = &node->store.items[i];
        if (pair->key.size < prefix.size || memcmp(pair->key.data, prefix.data, prefix.size) != 0 ||
            (after.size > 0 && compare(view(pair->key), after) <= 0)) {
            continue;
        }
        size += pair->key.size + pair->value.size;
        if ((operation->count_max > 0 && result->pairs.count == operation->count_max) ||
            size > environment("FAKE_RESULT_BYTES", SIZE_MAX)) {
            result->more = true;
            return;
        }
        rr_bytes value = view(pair->value);
        pairs_append(&result->pairs, view(pair->key), &value, 0);
    }
}

static rr_status run_get(struct rr_node *node, const struct operation *operation, rr_result *result)
{
    bool found;
    size_t at = pairs_find(&node->store, view(operation->input.key), &found);
    node->snapshot = node->next_snapshot;
    if (!found) {
        return RR_NOT_FOUND;
    }
    rr_bytes value = view(node->store.items[at].value);
    pairs_append(&result->pairs, view(operation->input.key), &value, 0);
    return RR_OK;
}

static void finish(struct rr_node *node, struct operation *operation)
{
    rr_result result = {.index = operation->index};
    rr_status status = operation->status;
    if (status == RR_OK) {
        switch (operation->kind) {
        case OPERATION_TXN:
            run_txn(node, operation->txn, &result);
            break;
        case OPERATION_GET:
            status = run_get(node, operation, &result);
            break;
        case OPERATION_SCAN:
            run_scan(node, operation, &result);
            break;
        case OPERATION_OTHER:
            break;
        }
    } else if (status != RR_TIMEOUT) {
        strcpy(result.message, "as told");
    }
    operation->done(operation->arg, status, status == RR_TIMEOUT ? NULL : &result);
    pairs_free(&result.pairs);
    rr_txn_free(operation->txn);
    free(operation->input.key.data);
    free(operation->input.value.data);
    free(operation);
}

/* Takes the first operation that is due, or all that are left when closing. */
static struct operation *take_due(struct rr_node *node, uint64_t *wait_ms)
{
    uint64_t now = now_ms();
    *wait_ms = 60000;
    for (struct operation **at = &node->operations; *at != NULL; at = &(*at)->next) {
        struct operation *operation = *at;
        if (operation->due_ms <= now || node->closing) {
            if (operation->due_ms > now) {
                operation->status = RR_UNKNOWN;
            }
            *at = operation->next;
            return operation;
        }
        if (operation->due_ms - now < *wait_ms) {
            *wait_ms = operation->due_ms - now;
        }
    }
    return NULL;
}

static void *run(void *arg)
{
    struct rr_node *node = arg;
    pthread_mutex_lock(&node->lock);
    for (;;) {
        uint64_t wait_ms;
        struct operation *operation = take_due(node, &wait_ms);
        if (operation != NULL) {
            pthread_mutex_unlock(&node->lock);
            finish(node, operation);
            pthread_mutex_lock(&node->lock);
            continue;
        }
        if (node->closing) {
            break;
        }
        struct timespec until;
        clock_gettime(CLOCK_REALTIME, &until);
        until.tv_sec += (time_t)(wait_ms / 1000);
        until.tv_nsec += (long)(wait_ms % 1000) * 1000000;
        until.tv_sec += until.tv_nsec / 1000000000;
        until.tv_nsec %= 1000000000;
        pthread_cond_timedwait(&node->changed, &node->lock, &until);
    }
    pthread_mutex_unlock(&node->lock);
    return NULL;
}

/* ---- Beginning operations ---- */

static bool starts(rr_bytes key, const char *with, uint64_t *number)
{
    char text[32] = "";
    if (key.size < strlen(with) || key.size >= sizeof(text) ||
        memcmp(key.data, with, strlen(with)) != 0) {
        return false;
    }
    memcpy(text, key.data, key.size);
    *number = strtoull(text + strlen(with), NULL, 10);
    return true;
}

/* Queues `operation`, steered by `key`; or frees it and returns what the key asks for. */
static rr_status begin(struct rr_node *node, struct operation *operation, rr_bytes key,
                       rr_done_fn done, void *arg)
{
    uint64_t number = 0;
    operation->due_ms = now_ms();
    operation->done = done;
    operation->arg = arg;
    rr_status refused = RR_OK;
    if (starts(key, "!status=", &number)) {
        operation->status = (rr_status)number;
    } else if (starts(key, "!delay=", &number)) {
        operation->due_ms += number;
    } else if (starts(key, "!never", &number)) {
        operation->due_ms = UINT64_MAX;
    } else if (starts(key, "!refuse=", &number)) {
        refused = (rr_status)number;
    } else if (starts(key, "!halt", &number)) {
        node->halt(node->halt_arg, RR_IO, "the disk is gone");
    }
    pthread_mutex_lock(&node->lock);
    if (node->closing) {
        refused = RR_CLOSED;
    }
    if (refused == RR_OK) {
        struct operation **last = &node->operations;
        while (*last != NULL) {
            last = &(*last)->next;
        }
        *last = operation;
        pthread_cond_signal(&node->changed);
    }
    pthread_mutex_unlock(&node->lock);
    if (refused != RR_OK) {
        rr_txn_free(operation->txn);
        free(operation->input.key.data);
        free(operation->input.value.data);
        free(operation);
    }
    return refused;
}

static struct operation *operation_new(enum operation_kind kind)
{
    struct operation *operation = calloc(1, sizeof(*operation));
    if (operation == NULL) {
        abort();
    }
    operation->kind = kind;
    return operation;
}

rr_status rr_node_submit(rr_node *node, const rr_txn *txn, const rr_write_options *options,
                         rr_done_fn done, void *arg)
{
    if (txn->conditions.count + txn->branches[0].count + txn->branches[1].count == 0) {
        return RR_INVALID;
    }
    struct operation *operation = operation_new(OPERATION_TXN);
    operation->txn = txn_copy(txn);
    const struct pairs *then = &operation->txn->branches[1];
    rr_bytes key = then->count > 0 ? view(then->items[0].key) : (rr_bytes){"", 0};
    return begin(node, operation, key, done, arg);
}

rr_status rr_node_get(rr_node *node, rr_bytes key, rr_read_level level, uint32_t timeout_ms,
                      rr_done_fn done, void *arg)
{
    struct operation *operation = operation_new(OPERATION_GET);
    operation->input.key = copy(key);
    return begin(node, operation, key, done, arg);
}

rr_status rr_node_scan(rr_node *node, const rr_scan *scan, rr_done_fn done, void *arg)
{
    struct operation *operation = operation_new(OPERATION_SCAN);
    operation->input.key = copy(scan->prefix);
    operation->input.value = copy(scan->after);
    operation->count_max = scan->count_max;
    return begin(node, operation, scan->prefix, done, arg);
}

/* Any operation on `id`; ids over 900 choose how it ends. */
static rr_status begin_other(rr_node *node, uint64_t id, uint64_t index, rr_done_fn done, void *arg)
{
    char key[32] = "";
    if (id >= 900 && id < 1000) {
        snprintf(key, sizeof(key), "!status=%d", (int)(id - 900));
    }
    struct operation *operation = operation_new(OPERATION_OTHER);
    operation->index = index;
    return begin(node, operation, (rr_bytes){key, strlen(key)}, done, arg);
}

rr_status rr_node_session(rr_node *node, uint32_t timeout_ms, rr_done_fn done, void *arg)
{
    return begin_other(node, 0, 77, done, arg);
}

rr_status rr_node_add(rr_node *node, uint64_t id, const char *address, rr_member_role role,
                      uint32_t timeout_ms, rr_done_fn done, void *arg)
{
    pthread_mutex_lock(&node->lock);
    if (id < 900 && node->member_count < 64) {
        rr_member *member = &node->members[node->member_count++];
        member->id = id;
        member->role = role;
        snprintf(member->address, sizeof(member->address), "%s", address);
    }
    pthread_mutex_unlock(&node->lock);
    return begin_other(node, id, 0, done, arg);
}

rr_status rr_node_remove(rr_node *node, uint64_t id, uint32_t timeout_ms, rr_done_fn done,
                         void *arg)
{
    pthread_mutex_lock(&node->lock);
    size_t kept = 0;
    for (size_t i = 0; i < node->member_count; i++) {
        if (node->members[i].id != id) {
            node->members[kept++] = node->members[i];
        }
    }
    node->member_count = kept;
    pthread_mutex_unlock(&node->lock);
    return begin_other(node, id, 0, done, arg);
}

rr_status rr_node_transfer(rr_node *node, uint64_t id, uint32_t timeout_ms, rr_done_fn done,
                           void *arg)
{
    return begin_other(node, id, 0, done, arg);
}

rr_status rr_node_snapshot(rr_node *node, uint32_t timeout_ms, rr_done_fn done, void *arg)
{
    pthread_mutex_lock(&node->lock);
    uint64_t index = node->index;
    node->next_snapshot = index;
    pthread_mutex_unlock(&node->lock);
    return begin_other(node, 0, index, done, arg);
}

rr_status rr_node_purge(rr_node *node, uint64_t index, uint32_t timeout_ms, rr_done_fn done,
                        void *arg)
{
    return begin_other(node, index, 0, done, arg);
}

rr_status rr_node_trigger_election(rr_node *node)
{
    return RR_OK;
}

rr_status rr_node_trigger_heartbeat(rr_node *node)
{
    return RR_NOT_LEADER;
}

/* ---- The node ---- */

void rr_options_init(rr_options *options)
{
    memset(options, 0, sizeof(*options));
    options->struct_size = sizeof(*options);
}

void rr_write_options_init(rr_write_options *options)
{
    *options = (rr_write_options){.struct_size = sizeof(*options)};
}

void rr_scan_init(rr_scan *scan)
{
    *scan = (rr_scan){.struct_size = sizeof(*scan)};
}

rr_status rr_node_open(const rr_options *options, char *error, size_t error_size, rr_node **out)
{
    rr_status status = (rr_status)environment("FAKE_OPEN", RR_OK);
    if (status != RR_OK) {
        snprintf(error, error_size, "told not to open");
        return status;
    }
    rr_node *node = calloc(1, sizeof(*node));
    if (node == NULL) {
        abort();
    }
    pthread_mutex_init(&node->lock, NULL);
    pthread_cond_init(&node->changed, NULL);
    node->id = options->node_id;
    node->index = 1;
    node->members[0].id = options->node_id;
    snprintf(node->members[0].address, sizeof(node->members[0].address), "%s",
             options->advertise_address);
    node->member_count = 1;
    options->log(options->log_arg, RR_LOG_INFO, "raft", "a line\nof the library");
    pthread_create(&node->thread, NULL, run, node);
    *out = node;
    return RR_OK;
}

rr_status rr_node_await_member(rr_node *node, uint32_t timeout_ms, char *error, size_t error_size)
{
    rr_status status = (rr_status)environment("FAKE_MEMBER", RR_OK);
    if (status == RR_TIMEOUT) {
        struct timespec wait = {.tv_nsec = 10 * 1000000};
        nanosleep(&wait, NULL);
    } else if (status != RR_OK) {
        snprintf(error, error_size, "the peers belong to another cluster");
    }
    return status;
}

rr_status rr_node_shutdown(rr_node *node, uint32_t timeout_ms)
{
    struct timespec wait = {.tv_nsec = (long)environment("FAKE_SHUTDOWN_MS", 0) % 1000 * 1000000};
    nanosleep(&wait, NULL);
    pthread_mutex_lock(&node->lock);
    bool first = !node->closing;
    node->closing = true;
    pthread_cond_signal(&node->changed);
    pthread_mutex_unlock(&node->lock);
    if (first) {
        pthread_join(node->thread, NULL);
    }
    return RR_OK;
}

void rr_node_close(rr_node *node)
{
    if (node != NULL) {
        (void)rr_node_shutdown(node, 0);
        pairs_free(&node->store);
        pthread_cond_destroy(&node->changed);
        pthread_mutex_destroy(&node->lock);
        free(node);
    }
}

void rr_node_on_halt(rr_node *node, rr_halt_fn fn, void *arg)
{
    node->halt = fn;
    node->halt_arg = arg;
}

size_t rr_node_members(rr_node *node, rr_member *out, size_t capacity)
{
    pthread_mutex_lock(&node->lock);
    size_t count = node->member_count;
    memcpy(out, node->members, (count < capacity ? count : capacity) * sizeof(*out));
    pthread_mutex_unlock(&node->lock);
    return count;
}

void rr_node_get_info(rr_node *node, rr_node_info *info)
{
    pthread_mutex_lock(&node->lock);
    *info = (rr_node_info){.struct_size = sizeof(*info),
                           .node_id = node->id,
                           .role = RR_LEADER,
                           .leader = node->id,
                           .term = 3,
                           .last_index = node->index,
                           .applied_index = node->index,
                           .applied_term = 3,
                           .snapshot_index = node->snapshot,
                           .snapshot_term = node->snapshot > 0 ? 3 : 0,
                           .membership_index = 1,
                           .membership_term = 1,
                           .incoming_count = 1,
                           .incoming = {node->id}};
    pthread_mutex_unlock(&node->lock);
}

void rr_node_metrics(rr_node *node, rr_metric_fn visit, void *arg)
{
    visit(arg, "proposals_total", "Proposals made.", true, 5);
    visit(arg, "term", "The current term.", false, 3);
}

int main(int argument_count, char **arguments)
{
    if (argument_count == 1) {
        printf("run by the tests in Python\n");
        return 0;
    }
    return app_run(argument_count, arguments);
}
