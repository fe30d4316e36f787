/*
 * Unions, intersections and differences of sets. Reading comes first: members of the result go to
 * the reply, or into memory until all sets have been read, then into the destination, which may be
 * one of them.
 */
#include "coredb/command/set_combine.h"

#include "coredb/base/bytes.h"
#include "coredb/value/set.h"

#include <stdlib.h>

enum { LOOKUP_COST = 4 }; /* of looking a member up against reading it in a row */

/* A set that takes part; one that is absent has no members. */
struct source {
    struct named members;
    uint64_t count;
};

struct combine {
    struct exec *exec;
    struct source *sources;
    size_t source_count;
    struct reply *reply;     /* receives the members; NULL: */
    struct named_list *list; /* receives them; NULL: they are counted only */
    uint64_t count;
    uint64_t limit;
    enum value_encoding encoding; /* that the result begins with when it is stored */
};

/* Adds a member to the result; false when no more are wanted. */
static bool result_add(struct combine *combine, rr_bytes member)
{
    combine->count++;
    if (combine->reply != NULL) {
        reply_bulk(combine->reply, member);
        return !combine->reply->out.failed;
    }
    if (combine->list != NULL) {
        named_list_add(combine->list, member, (rr_bytes){0});
        return !named_list_failed(combine->list);
    }
    return combine->count < combine->limit;
}

/* Opens the sets argv[first] on; false: answered an error. */
static bool sources_open(struct combine *combine, size_t first, size_t count)
{
    struct exec *exec = combine->exec;
    combine->sources = calloc(count, sizeof *combine->sources);
    combine->source_count = count;
    if (combine->sources == NULL) {
        store_fail(exec->store, RR_NO_MEMORY);
        reply_error(exec->reply, "ERR out of memory");
        return false;
    }
    for (size_t i = 0; i < count; i++) {
        struct key key;
        bool fits = exec_open(exec, first + i, VALUE_SET, &key);
        combine->sources[i] = (struct source){set_members(&key), key.count};
        key_close(&key);
        if (!fits) {
            return false;
        }
    }
    return true;
}

static void combine_deinit(struct combine *combine)
{
    free(combine->sources);
    if (combine->list != NULL && named_list_failed(combine->list)) {
        store_fail(combine->exec->store, RR_NO_MEMORY);
    }
}

/* ---- Intersection ---- */

static int by_count(const void *left, const void *right)
{
    uint64_t a = ((const struct source *)left)->count;
    uint64_t b = ((const struct source *)right)->count;
    return a < b ? -1 : a > b;
}

static bool inter_visit(void *arg, rr_bytes member, rr_bytes value)
{
    (void)value;
    struct combine *combine = arg;
    for (size_t i = 1; i < combine->source_count; i++) {
        if (!named_get(combine->exec->store, combine->sources[i].members, member, NULL)) {
            return true;
        }
    }
    return result_add(combine, member);
}

static void inter(struct combine *combine)
{
    qsort(combine->sources, combine->source_count, sizeof *combine->sources, by_count);
    if (combine->sources[0].count > 0) {
        named_each(combine->exec->store, combine->sources[0].members, inter_visit, combine);
    }
}

/* ---- Union ---- */

static bool index_visit(void *arg, rr_bytes member, rr_bytes value)
{
    struct named_index *index = arg;
    named_index_add(index, member, value);
    return !named_list_failed(index->list);
}

static void unite(struct combine *combine)
{
    struct named_list list;
    struct named_index index;
    named_list_init(&list);
    list.names_only = true;
    named_index_init(&index, &list);
    for (size_t i = 0; i < combine->source_count; i++) {
        if (combine->sources[i].count > 0) {
            named_each(combine->exec->store, combine->sources[i].members, index_visit, &index);
        }
    }
    named_index_deinit(&index);
    if (named_list_failed(&list)) {
        store_fail(combine->exec->store, RR_NO_MEMORY);
    } else if (combine->list != NULL) {
        *combine->list = list;
        combine->count = list.count;
        return;
    }
    for (size_t i = 0; i < list.count; i++) {
        result_add(combine, named_list_at(&list, i, NULL));
    }
    named_list_deinit(&list);
}

/* ---- Difference ---- */

static bool diff_lookup_visit(void *arg, rr_bytes member, rr_bytes value)
{
    (void)value;
    struct combine *combine = arg;
    for (size_t i = 1; i < combine->source_count; i++) {
        if (combine->sources[i].count > 0 &&
            named_get(combine->exec->store, combine->sources[i].members, member, NULL)) {
            return true;
        }
    }
    return result_add(combine, member);
}

struct removal {
    struct named_index index;
    struct buffer removed; /* a byte per entry */
};

static bool removal_visit(void *arg, rr_bytes member, rr_bytes value)
{
    (void)value;
    struct removal *removal = arg;
    size_t entry = named_index_find(&removal->index, member);
    if (entry != NAMED_NONE) {
        removal->removed.data[entry] = 1;
    }
    return true;
}

/* Reads the first set into memory and strikes out what the others have. */
static void diff_by_reading(struct combine *combine)
{
    struct store *store = combine->exec->store;
    struct named_list first;
    struct removal removal;
    named_list_init(&first);
    first.names_only = true;
    named_index_init(&removal.index, &first);
    buffer_init(&removal.removed);
    named_each(store, combine->sources[0].members, index_visit, &removal.index);
    uint8_t *flags = buffer_extend(&removal.removed, first.count);
    if (named_list_failed(&first) || removal.removed.failed) {
        store_fail(store, RR_NO_MEMORY);
    } else if (first.count > 0) {
        memset(flags, 0, first.count);
        for (size_t i = 1; i < combine->source_count; i++) {
            if (combine->sources[i].count > 0) {
                named_each(store, combine->sources[i].members, removal_visit, &removal);
            }
        }
        for (size_t i = 0; i < first.count; i++) {
            if (!removal.removed.data[i]) {
                result_add(combine, named_list_at(&first, i, NULL));
            }
        }
    }
    buffer_deinit(&removal.removed);
    named_index_deinit(&removal.index);
    named_list_deinit(&first);
}

/* When Redis takes all members of the first set and removes the others' from them, the encoding of
 * the result is that of the first set built anew. */
static void diff_encoding(struct combine *combine, uint64_t present, uint64_t others)
{
    const struct source *first = &combine->sources[0];
    if (combine->list == NULL || present * first->count / 2 <= others + first->count) {
        return;
    }
    struct key key = {.type = VALUE_SET,
                      .encoding = ENCODING_HASHTABLE,
                      .object = first->members.id,
                      .count = first->count};
    combine->encoding = set_natural_encoding(combine->exec->store, &key);
}

static void diff(struct combine *combine)
{
    const struct source *first = &combine->sources[0];
    if (first->count == 0) {
        return;
    }
    uint64_t others = 0;
    uint64_t present = 1;
    for (size_t i = 1; i < combine->source_count; i++) {
        others += combine->sources[i].count;
        present += combine->sources[i].count > 0 ? 1 : 0;
    }
    diff_encoding(combine, present, others);
    if ((present - 1) * first->count * LOOKUP_COST <= others + first->count) {
        qsort(combine->sources + 1, combine->source_count - 1, sizeof *combine->sources, by_count);
        named_each(combine->exec->store, first->members, diff_lookup_visit, combine);
    } else {
        diff_by_reading(combine);
    }
}

/* ---- Commands ---- */

typedef void (*combine_fn)(struct combine *combine);

static void run_reply(struct exec *exec, combine_fn run)
{
    struct combine combine = {.exec = exec, .reply = exec->reply};
    if (sources_open(&combine, 1, exec->argc - 1)) {
        size_t mark = reply_later(exec->reply);
        run(&combine);
        reply_set_end(exec->reply, mark, combine.count);
    }
    combine_deinit(&combine);
}

static void result_store(struct combine *combine, struct key *key, const char *event)
{
    struct exec *exec = combine->exec;
    if (combine->list->count == 0) {
        if (key->type != VALUE_NONE) {
            key_delete(exec->store, key);
            key_notify(exec->store, key, NOTIFY_GENERIC, "del");
        }
        reply_integer(exec->reply, 0);
        return;
    }
    if (key->type != VALUE_NONE) {
        key_clear(exec->store, key);
    }
    set_create(exec->store, key);
    key->encoding = combine->encoding;
    for (size_t i = 0; i < combine->list->count; i++) {
        set_append(exec->store, key, named_list_at(combine->list, i, NULL));
    }
    key_save(exec->store, key);
    key_notify(exec->store, key, NOTIFY_SET, event);
    reply_integer(exec->reply, (int64_t)combine->list->count);
}

static void run_store(struct exec *exec, combine_fn run, const char *event)
{
    struct named_list list;
    named_list_init(&list);
    list.names_only = true;
    struct combine combine = {.exec = exec, .list = &list, .encoding = ENCODING_INTSET};
    if (sources_open(&combine, 2, exec->argc - 2)) {
        run(&combine);
        struct key key;
        key_open(exec->store, exec->argv[1], &key);
        result_store(&combine, &key, event);
        key_close(&key);
    }
    combine_deinit(&combine);
    named_list_deinit(&list);
}

void set_run_sunion(struct exec *exec)
{
    run_reply(exec, unite);
}

void set_run_sunionstore(struct exec *exec)
{
    run_store(exec, unite, "sunionstore");
}

void set_run_sinter(struct exec *exec)
{
    run_reply(exec, inter);
}

void set_run_sinterstore(struct exec *exec)
{
    run_store(exec, inter, "sinterstore");
}

void set_run_sdiff(struct exec *exec)
{
    run_reply(exec, diff);
}

void set_run_sdiffstore(struct exec *exec)
{
    run_store(exec, diff, "sdiffstore");
}

/* Reads LIMIT from argv[i] on; 0 means none. False: answered an error. */
static bool limit_argument(struct exec *exec, size_t i, uint64_t *limit)
{
    for (*limit = 0; i < exec->argc; i += 2) {
        int64_t value;
        if (!exec_is(exec, i, "limit") || i + 1 >= exec->argc) {
            reply_error_syntax(exec->reply);
            return false;
        }
        if (!exec_integer_in(exec, i + 1, 0, INT64_MAX, "ERR LIMIT can't be negative", &value)) {
            return false;
        }
        *limit = (uint64_t)value;
    }
    return true;
}

void set_run_sintercard(struct exec *exec)
{
    int64_t count;
    if (!exec_integer_in(exec, 1, 1, INT64_MAX, "ERR numkeys should be greater than 0", &count)) {
        return;
    }
    if ((uint64_t)count > exec->argc - 2) {
        reply_error(exec->reply, "ERR Number of keys can't be greater than number of args");
        return;
    }
    struct combine combine = {.exec = exec};
    if (limit_argument(exec, 2 + (size_t)count, &combine.limit)) {
        combine.limit = combine.limit == 0 ? UINT64_MAX : combine.limit;
        if (sources_open(&combine, 2, (size_t)count)) {
            inter(&combine);
            reply_integer(exec->reply, (int64_t)combine.count);
        }
    }
    combine_deinit(&combine);
}
