/* The list group, without the commands that wait (blocking.c). */
#include "coredb/command/list.h"

#include "coredb/base/bytes.h"

#include <stdlib.h>

/* ---- What blocking commands use, too ---- */

bool list_end_parse(rr_bytes word, enum list_end *out)
{
    if (bytes_is(word, "left")) {
        *out = LIST_HEAD;
    } else if (bytes_is(word, "right")) {
        *out = LIST_TAIL;
    } else {
        return false;
    }
    return true;
}

static const char *push_event(enum list_end end)
{
    return end == LIST_HEAD ? "lpush" : "rpush";
}

static const char *pop_event(enum list_end end)
{
    return end == LIST_HEAD ? "lpop" : "rpop";
}

/* Saves a list that may have become empty, with its notifications. */
static void save_shrunk(struct store *store, struct key *key, const char *event)
{
    bool deleted = key_save(store, key);
    key_notify(store, key, NOTIFY_LIST, event);
    if (deleted) {
        key_notify(store, key, NOTIFY_GENERIC, "del");
    }
}

void list_take(struct store *store, struct key *key, enum list_end end, struct reply *reply)
{
    struct buffer value;
    buffer_init(&value);
    list_pop(store, key, end, &value);
    reply_bulk(reply, buffer_bytes(&value));
    buffer_deinit(&value);
    save_shrunk(store, key, pop_event(end));
}

struct taking {
    struct reply *reply;
    size_t count;
    size_t size_max; /* of the reply's buffer */
};

static bool take_visited(void *arg, uint64_t index, rr_bytes value)
{
    struct taking *taking = arg;
    (void)index;
    reply_bulk(taking->reply, value);
    taking->count++;
    return taking->reply->out.size < taking->size_max && !taking->reply->out.failed;
}

void list_take_many(struct store *store, struct key *key, enum list_end end, uint64_t count,
                    size_t bytes_max, struct reply *reply)
{
    size_t mark = reply_later(reply);
    size_t size = reply->out.size;
    struct taking taking = {.reply = reply,
                            .size_max = bytes_max > SIZE_MAX - size ? SIZE_MAX : size + bytes_max};
    uint64_t wanted = count < key->count ? count : key->count;
    if (end == LIST_HEAD) {
        list_visit(store, key, 0, wanted, false, take_visited, &taking);
    } else {
        list_visit(store, key, key->count - wanted, wanted, true, take_visited, &taking);
    }
    reply_array_end(reply, mark, taking.count);
    if (taking.count == key->count) {
        key_delete(store, key);
        key_notify(store, key, NOTIFY_LIST, pop_event(end));
        key_notify(store, key, NOTIFY_GENERIC, "del");
    } else {
        list_drop(store, key, end, taking.count);
        save_shrunk(store, key, pop_event(end));
    }
}

void list_transfer(struct store *store, struct key *source, enum list_end from, struct key *target,
                   enum list_end to, struct reply *reply)
{
    struct buffer value;
    buffer_init(&value);
    list_pop(store, source, from, &value);
    reply_bulk(reply, buffer_bytes(&value));
    if (target == NULL) {
        list_push(store, source, to, buffer_bytes(&value));
        (void)key_save(store, source);
        key_notify(store, source, NOTIFY_LIST, push_event(to));
        key_notify(store, source, NOTIFY_LIST, pop_event(from));
    } else {
        if (target->type == VALUE_NONE) {
            key_create(store, target, VALUE_LIST, ENCODING_QUICKLIST);
        }
        list_push(store, target, to, buffer_bytes(&value));
        (void)key_save(store, target);
        key_signal_ready(store, target);
        key_notify(store, target, NOTIFY_LIST, push_event(to));
        save_shrunk(store, source, pop_event(from));
    }
    buffer_deinit(&value);
}

bool pop_request_parse(struct exec *exec, size_t at, const char *first, const char *second,
                       struct pop_request *out)
{
    int64_t key_count;
    int64_t count = 1;
    if (!exec_integer_in(exec, at, 1, INT64_MAX, "ERR numkeys should be greater than 0",
                         &key_count)) {
        return false;
    }
    if ((uint64_t)key_count >= exec->argc - at - 1) {
        reply_error_syntax(exec->reply);
        return false;
    }
    size_t where = at + 1 + (size_t)key_count;
    bool with_count = exec_is(exec, where + 1, "count") && exec->argc >= where + 3;
    out->second = exec_is(exec, where, second);
    if ((!out->second && !exec_is(exec, where, first)) || (exec->argc > where + 1 && !with_count)) {
        reply_error_syntax(exec->reply);
        return false;
    }
    /* Redis reads the count before it sees that there is more. */
    if (with_count && !exec_integer_in(exec, where + 2, 1, INT64_MAX,
                                       "ERR count should be greater than 0", &count)) {
        return false;
    }
    if (with_count && exec->argc > where + 3) {
        reply_error_syntax(exec->reply);
        return false;
    }
    out->first_key = at + 1;
    out->key_count = (size_t)key_count;
    out->count = (uint64_t)count;
    return true;
}

/* ---- Indexes as clients give them: from the tail when negative ---- */

/* The index from the head, negative when it lies before it. Cannot overflow: counts are far below
 * INT64_MAX. */
static int64_t from_head(int64_t index, uint64_t count)
{
    return index < 0 ? index + (int64_t)count : index;
}

/* The part [start, start + count) that start and stop, both included, mean. */
static uint64_t resolve_range(const struct key *key, int64_t start, int64_t stop, uint64_t *first)
{
    int64_t count = (int64_t)key->count;
    start = from_head(start, key->count);
    stop = from_head(stop, key->count);
    if (start < 0) {
        start = 0;
    }
    if (stop >= count) {
        stop = count - 1;
    }
    if (start > stop) {
        return 0;
    }
    *first = (uint64_t)start;
    return (uint64_t)(stop - start) + 1;
}

/* ---- Pushing ---- */

static void push(struct exec *exec, enum list_end end, bool must_exist)
{
    struct key key;
    if (exec_open(exec, 1, VALUE_LIST, &key)) {
        bool created = key.type == VALUE_NONE;
        if (created && must_exist) {
            reply_integer(exec->reply, 0);
        } else {
            if (created) {
                key_create(exec->store, &key, VALUE_LIST, ENCODING_QUICKLIST);
            }
            for (size_t i = 2; i < exec->argc; i++) {
                list_push(exec->store, &key, end, exec->argv[i]);
            }
            reply_integer(exec->reply, (int64_t)key.count);
            (void)key_save(exec->store, &key);
            if (created) {
                key_signal_ready(exec->store, &key);
            }
            key_notify(exec->store, &key, NOTIFY_LIST, push_event(end));
        }
    }
    key_close(&key);
}

static void list_lpush(struct exec *exec)
{
    push(exec, LIST_HEAD, false);
}

static void list_rpush(struct exec *exec)
{
    push(exec, LIST_TAIL, false);
}

static void list_lpushx(struct exec *exec)
{
    push(exec, LIST_HEAD, true);
}

static void list_rpushx(struct exec *exec)
{
    push(exec, LIST_TAIL, true);
}

/* ---- Finding elements ---- */

/* A search for elements equal to `value`. */
struct search {
    rr_bytes value;
    uint64_t skip;   /* matches to pass over first */
    uint64_t wanted; /* matches to collect */
    uint64_t *found; /* their indexes, in the order of the search */
    size_t count;
    size_t capacity;
    bool failed; /* no memory */
};

static void search_add(struct search *search, uint64_t index)
{
    if (search->count == search->capacity) {
        size_t capacity = search->capacity == 0 ? 16 : search->capacity * 2;
        uint64_t *found = realloc(search->found, capacity * sizeof(uint64_t));
        if (found == NULL) {
            search->failed = true;
            return;
        }
        search->found = found;
        search->capacity = capacity;
    }
    search->found[search->count++] = index;
}

static bool search_visit(void *arg, uint64_t index, rr_bytes value)
{
    struct search *search = arg;
    if (!bytes_equal(value, search->value)) {
        return true;
    }
    if (search->skip > 0) {
        search->skip--;
        return true;
    }
    search_add(search, index);
    return search->count < search->wanted && !search->failed;
}

/* Looks through at most `length` elements (0: all) from the head, or from the tail. */
static void search_run(struct store *store, struct key *key, uint64_t length, bool from_tail,
                       struct search *search)
{
    if (length == 0 || length > key->count) {
        length = key->count;
    }
    uint64_t start = from_tail ? key->count - length : 0;
    list_visit(store, key, start, length, from_tail, search_visit, search);
    if (search->failed) {
        store_fail(store, RR_NO_MEMORY);
    }
}

static void list_linsert(struct exec *exec)
{
    bool before = exec_is(exec, 2, "before");
    if (!before && !exec_is(exec, 2, "after")) {
        reply_error_syntax(exec->reply);
        return;
    }
    struct key key;
    if (exec_open(exec, 1, VALUE_LIST, &key)) {
        struct search search = {.value = exec->argv[3], .wanted = 1};
        if (key.type == VALUE_NONE) {
            reply_integer(exec->reply, 0);
        } else {
            search_run(exec->store, &key, 0, false, &search);
            if (search.count == 0) {
                reply_integer(exec->reply, -1);
            } else {
                list_insert(exec->store, &key, search.found[0] + (before ? 0 : 1), exec->argv[4]);
                (void)key_save(exec->store, &key);
                key_notify(exec->store, &key, NOTIFY_LIST, "linsert");
                reply_integer(exec->reply, (int64_t)key.count);
            }
        }
        free(search.found);
    }
    key_close(&key);
}

/* An index of int64_t can count at most as many; also for INT64_MIN. */
static uint64_t magnitude(int64_t value)
{
    return value < 0 ? UINT64_C(0) - (uint64_t)value : (uint64_t)value;
}

static void reverse_indexes(uint64_t *indexes, size_t count)
{
    for (size_t i = 0; i < count / 2; i++) {
        uint64_t swapped = indexes[i];
        indexes[i] = indexes[count - 1 - i];
        indexes[count - 1 - i] = swapped;
    }
}

static void list_lrem(struct exec *exec)
{
    int64_t count;
    if (!exec_integer(exec, 2, &count)) {
        return;
    }
    struct key key;
    if (exec_open(exec, 1, VALUE_LIST, &key)) {
        struct search search = {.value = exec->argv[3],
                                .wanted = count == 0 ? UINT64_MAX : magnitude(count)};
        if (key.type != VALUE_NONE) {
            search_run(exec->store, &key, 0, count < 0, &search);
        }
        if (search.count > 0) {
            if (count < 0) {
                reverse_indexes(search.found, search.count);
            }
            list_remove(exec->store, &key, search.found, search.count);
            save_shrunk(exec->store, &key, "lrem");
        }
        reply_integer(exec->reply, (int64_t)search.count);
        free(search.found);
    }
    key_close(&key);
}

/* LPOS's options. */
struct position_request {
    int64_t rank;
    int64_t count; /* -1: not given */
    int64_t length;
};

static bool parse_position_request(struct exec *exec, struct position_request *out)
{
    *out = (struct position_request){.rank = 1, .count = -1};
    for (size_t i = 3; i < exec->argc; i += 2) {
        bool has_value = i + 1 < exec->argc;
        if (has_value && exec_is(exec, i, "rank")) {
            if (!exec_integer(exec, i + 1, &out->rank)) {
                return false;
            }
            if (out->rank == 0) {
                reply_error(exec->reply,
                            "ERR RANK can't be zero: use 1 to start from the first match, 2 from "
                            "the second ... or use negative to start from the end of the list");
                return false;
            }
        } else if (has_value && exec_is(exec, i, "count")) {
            if (!exec_integer_in(exec, i + 1, 0, INT64_MAX, "ERR COUNT can't be negative",
                                 &out->count)) {
                return false;
            }
        } else if (has_value && exec_is(exec, i, "maxlen")) {
            if (!exec_integer_in(exec, i + 1, 0, INT64_MAX, "ERR MAXLEN can't be negative",
                                 &out->length)) {
                return false;
            }
        } else {
            reply_error_syntax(exec->reply);
            return false;
        }
    }
    return true;
}

static void reply_positions(struct reply *reply, const struct search *search, bool as_array)
{
    if (as_array) {
        reply_array(reply, search->count);
        for (size_t i = 0; i < search->count; i++) {
            reply_integer(reply, (int64_t)search->found[i]);
        }
    } else if (search->count > 0) {
        reply_integer(reply, (int64_t)search->found[0]);
    } else {
        reply_null(reply);
    }
}

static void list_lpos(struct exec *exec)
{
    struct position_request request;
    if (!parse_position_request(exec, &request)) {
        return;
    }
    struct key key;
    if (exec_open(exec, 1, VALUE_LIST, &key)) {
        struct search search = {.value = exec->argv[2], .wanted = 1};
        if (request.count >= 0) {
            search.wanted = request.count == 0 ? UINT64_MAX : (uint64_t)request.count;
        }
        /* The smallest integer has no positive counterpart; Redis takes it for -1. */
        search.skip = request.rank == INT64_MIN ? 0 : magnitude(request.rank) - 1;
        if (key.type != VALUE_NONE) {
            search_run(exec->store, &key, (uint64_t)request.length, request.rank < 0, &search);
        }
        reply_positions(exec->reply, &search, request.count >= 0);
        free(search.found);
    }
    key_close(&key);
}

/* ---- Reading and writing by index ---- */

static void list_llen(struct exec *exec)
{
    struct key key;
    if (exec_open(exec, 1, VALUE_LIST, &key)) {
        reply_integer(exec->reply, (int64_t)key.count);
    }
    key_close(&key);
}

static void list_lindex(struct exec *exec)
{
    struct key key;
    int64_t index;
    if (exec_open(exec, 1, VALUE_LIST, &key)) {
        if (key.type == VALUE_NONE) {
            reply_null(exec->reply);
        } else if (exec_integer(exec, 2, &index)) {
            rr_bytes value;
            index = from_head(index, key.count);
            if (index >= 0 && (uint64_t)index < key.count &&
                list_get(exec->store, &key, (uint64_t)index, &value)) {
                reply_bulk(exec->reply, value);
            } else {
                reply_null(exec->reply);
            }
        }
    }
    key_close(&key);
}

static void list_lset(struct exec *exec)
{
    struct key key;
    int64_t index;
    if (exec_open(exec, 1, VALUE_LIST, &key)) {
        if (key.type == VALUE_NONE) {
            reply_error_no_key(exec->reply);
        } else if (exec_integer(exec, 2, &index)) {
            index = from_head(index, key.count);
            if (index < 0 || (uint64_t)index >= key.count) {
                reply_error_out_of_range(exec->reply);
            } else {
                list_set(exec->store, &key, (uint64_t)index, exec->argv[3]);
                (void)key_save(exec->store, &key);
                key_notify(exec->store, &key, NOTIFY_LIST, "lset");
                reply_ok(exec->reply);
            }
        }
    }
    key_close(&key);
}

static bool reply_visited(void *arg, uint64_t index, rr_bytes value)
{
    struct reply *reply = arg;
    (void)index;
    reply_bulk(reply, value);
    return !reply->out.failed;
}

static void list_lrange(struct exec *exec)
{
    int64_t start;
    int64_t stop;
    if (!exec_integer(exec, 2, &start) || !exec_integer(exec, 3, &stop)) {
        return;
    }
    struct key key;
    if (exec_open(exec, 1, VALUE_LIST, &key)) {
        uint64_t first = 0;
        uint64_t count = resolve_range(&key, start, stop, &first);
        reply_array(exec->reply, count);
        if (count > 0) {
            list_visit(exec->store, &key, first, count, false, reply_visited, exec->reply);
        }
    }
    key_close(&key);
}

static void list_ltrim(struct exec *exec)
{
    int64_t start;
    int64_t stop;
    if (!exec_integer(exec, 2, &start) || !exec_integer(exec, 3, &stop)) {
        return;
    }
    struct key key;
    if (exec_open(exec, 1, VALUE_LIST, &key)) {
        uint64_t first = 0;
        if (key.type != VALUE_NONE) {
            uint64_t count = resolve_range(&key, start, stop, &first);
            if (count == 0) {
                key_delete(exec->store, &key);
                key_notify(exec->store, &key, NOTIFY_LIST, "ltrim");
                key_notify(exec->store, &key, NOTIFY_GENERIC, "del");
            } else {
                list_keep(exec->store, &key, first, count);
                save_shrunk(exec->store, &key, "ltrim");
            }
        }
        reply_ok(exec->reply);
    }
    key_close(&key);
}

/* ---- Popping and moving ---- */

static void pop(struct exec *exec, enum list_end end)
{
    int64_t count = 0;
    bool with_count = exec->argc == 3;
    if (exec->argc > 3) {
        reply_error_arity(exec->reply, bytes_of(exec->command->name));
        return;
    }
    if (with_count && !exec_integer_in(exec, 2, 0, INT64_MAX,
                                       "ERR value is out of range, must be positive", &count)) {
        return;
    }
    struct key key;
    if (exec_open(exec, 1, VALUE_LIST, &key)) {
        if (key.type == VALUE_NONE && with_count) {
            reply_null_array(exec->reply);
        } else if (key.type == VALUE_NONE) {
            reply_null(exec->reply);
        } else if (!with_count) {
            list_take(exec->store, &key, end, exec->reply);
        } else if (count == 0) {
            reply_array(exec->reply, 0);
        } else {
            list_take_many(exec->store, &key, end, (uint64_t)count, SIZE_MAX, exec->reply);
        }
    }
    key_close(&key);
}

static void list_lpop(struct exec *exec)
{
    pop(exec, LIST_HEAD);
}

static void list_rpop(struct exec *exec)
{
    pop(exec, LIST_TAIL);
}

static void list_lmpop(struct exec *exec)
{
    struct pop_request request;
    if (!pop_request_parse(exec, 1, "left", "right", &request)) {
        return;
    }
    bool done = false;
    for (size_t i = 0; i < request.key_count && !done; i++) {
        struct key key;
        size_t at = request.first_key + i;
        if (!exec_open(exec, at, VALUE_LIST, &key)) {
            done = true;
        } else if (key.type != VALUE_NONE) {
            reply_array(exec->reply, 2);
            reply_bulk(exec->reply, exec->argv[at]);
            list_take_many(exec->store, &key, request.second ? LIST_TAIL : LIST_HEAD, request.count,
                           SIZE_MAX, exec->reply);
            done = true;
        }
        key_close(&key);
    }
    if (!done) {
        reply_null_array(exec->reply);
    }
}

static void move(struct exec *exec, enum list_end from, enum list_end to)
{
    struct key source;
    struct key target;
    bool same = bytes_equal(exec->argv[1], exec->argv[2]);
    if (!exec_open(exec, 1, VALUE_LIST, &source)) {
        key_close(&source);
        return;
    }
    if (source.type == VALUE_NONE) {
        reply_null(exec->reply);
    } else if (same) {
        list_transfer(exec->store, &source, from, NULL, to, exec->reply);
    } else {
        if (exec_open(exec, 2, VALUE_LIST, &target)) {
            list_transfer(exec->store, &source, from, &target, to, exec->reply);
        }
        key_close(&target);
    }
    key_close(&source);
}

static void list_lmove(struct exec *exec)
{
    enum list_end from;
    enum list_end to;
    if (!list_end_parse(exec->argv[3], &from) || !list_end_parse(exec->argv[4], &to)) {
        reply_error_syntax(exec->reply);
        return;
    }
    move(exec, from, to);
}

static void list_rpoplpush(struct exec *exec)
{
    move(exec, LIST_TAIL, LIST_HEAD);
}

/* ---- The table ---- */

const struct command commands_list[] = {
    {.name = "lindex",
     .arity = 3,
     .flags = COMMAND_READONLY,
     .group = "list",
     .since = "1.0.0",
     .summary = "Returns the element at an index.",
     .complexity = "O(1)",
     .run = list_lindex,
     .keys = {KEY_SPEC(KEY_RO | KEY_ACCESS, 1, 0, 1)}},
    {.name = "linsert",
     .arity = 5,
     .flags = COMMAND_WRITE | COMMAND_DENYOOM,
     .group = "list",
     .since = "2.2.0",
     .summary = "Inserts an element before or after the first one that equals the pivot.",
     .complexity = "O(N) in the length of the list",
     .run = list_linsert,
     .keys = {KEY_SPEC(KEY_RW | KEY_INSERT, 1, 0, 1)}},
    {.name = "llen",
     .arity = 2,
     .flags = COMMAND_READONLY | COMMAND_FAST,
     .group = "list",
     .since = "1.0.0",
     .summary = "Returns how many elements a list has.",
     .complexity = "O(1)",
     .run = list_llen,
     .keys = {KEY_SPEC(KEY_RO, 1, 0, 1)}},
    {.name = "lmove",
     .arity = 5,
     .flags = COMMAND_WRITE | COMMAND_DENYOOM,
     .group = "list",
     .since = "6.2.0",
     .summary = "Takes an element off an end of one list and adds it to an end of another.",
     .complexity = "O(1)",
     .run = list_lmove,
     .keys = {KEY_SPEC(KEY_RW | KEY_ACCESS | KEY_DELETE, 1, 0, 1),
              KEY_SPEC(KEY_RW | KEY_INSERT, 2, 0, 1)}},
    {.name = "lmpop",
     .arity = -4,
     .flags = COMMAND_WRITE | COMMAND_MOVABLE_KEYS,
     .group = "list",
     .since = "7.0.0",
     .summary = "Takes elements off an end of the first list that is not empty.",
     .complexity = "O(N+M) in the number of keys and of elements returned",
     .run = list_lmpop,
     .keys = {KEY_SPEC_COUNTED(KEY_RW | KEY_ACCESS | KEY_DELETE, 1)}},
    {.name = "lpop",
     .arity = -2,
     .flags = COMMAND_WRITE | COMMAND_FAST,
     .group = "list",
     .since = "1.0.0",
     .summary = "Takes elements off the head.",
     .complexity = "O(N) in the number of elements returned",
     .run = list_lpop,
     .keys = {KEY_SPEC(KEY_RW | KEY_ACCESS | KEY_DELETE, 1, 0, 1)}},
    {.name = "lpos",
     .arity = -3,
     .flags = COMMAND_READONLY,
     .group = "list",
     .since = "6.0.6",
     .summary = "Returns the indexes of elements that equal a value.",
     .complexity = "O(N) in the number of elements looked through",
     .run = list_lpos,
     .keys = {KEY_SPEC(KEY_RO | KEY_ACCESS, 1, 0, 1)},
     .note = "RANK -9223372036854775808, which Redis leaves undefined, counts as -1."},
    {.name = "lpush",
     .arity = -3,
     .flags = COMMAND_WRITE | COMMAND_DENYOOM | COMMAND_FAST,
     .group = "list",
     .since = "1.0.0",
     .summary = "Adds elements at the head; creates the list if there is none.",
     .complexity = "O(N) in the number of elements added",
     .run = list_lpush,
     .keys = {KEY_SPEC(KEY_RW | KEY_INSERT, 1, 0, 1)}},
    {.name = "lpushx",
     .arity = -3,
     .flags = COMMAND_WRITE | COMMAND_DENYOOM | COMMAND_FAST,
     .group = "list",
     .since = "2.2.0",
     .summary = "Adds elements at the head of a list that exists.",
     .complexity = "O(N) in the number of elements added",
     .run = list_lpushx,
     .keys = {KEY_SPEC(KEY_RW | KEY_INSERT, 1, 0, 1)}},
    {.name = "lrange",
     .arity = 4,
     .flags = COMMAND_READONLY,
     .group = "list",
     .since = "1.0.0",
     .summary = "Returns the elements from one index to another.",
     .complexity = "O(N) in the number of elements returned",
     .run = list_lrange,
     .keys = {KEY_SPEC(KEY_RO | KEY_ACCESS, 1, 0, 1)}},
    {.name = "lrem",
     .arity = 4,
     .flags = COMMAND_WRITE,
     .group = "list",
     .since = "1.0.0",
     .summary = "Removes elements that equal a value, from the head or the tail.",
     .complexity = "O(N) in the length of the list",
     .run = list_lrem,
     .keys = {KEY_SPEC(KEY_RW | KEY_DELETE, 1, 0, 1)}},
    {.name = "lset",
     .arity = 4,
     .flags = COMMAND_WRITE | COMMAND_DENYOOM,
     .group = "list",
     .since = "1.0.0",
     .summary = "Replaces the element at an index.",
     .complexity = "O(1)",
     .run = list_lset,
     .keys = {KEY_SPEC(KEY_RW | KEY_UPDATE, 1, 0, 1)}},
    {.name = "ltrim",
     .arity = 4,
     .flags = COMMAND_WRITE,
     .group = "list",
     .since = "1.0.0",
     .summary = "Keeps the elements from one index to another and removes all others.",
     .complexity = "O(N) in the number of elements removed, or kept if they are fewer",
     .run = list_ltrim,
     .keys = {KEY_SPEC(KEY_RW | KEY_DELETE, 1, 0, 1)}},
    {.name = "rpop",
     .arity = -2,
     .flags = COMMAND_WRITE | COMMAND_FAST,
     .group = "list",
     .since = "1.0.0",
     .summary = "Takes elements off the tail.",
     .complexity = "O(N) in the number of elements returned",
     .run = list_rpop,
     .keys = {KEY_SPEC(KEY_RW | KEY_ACCESS | KEY_DELETE, 1, 0, 1)}},
    {.name = "rpoplpush",
     .arity = 3,
     .flags = COMMAND_WRITE | COMMAND_DENYOOM,
     .group = "list",
     .since = "1.2.0",
     .summary = "Takes the last element off one list and adds it at the head of another.",
     .complexity = "O(1)",
     .run = list_rpoplpush,
     .keys = {KEY_SPEC(KEY_RW | KEY_ACCESS | KEY_DELETE, 1, 0, 1),
              KEY_SPEC(KEY_RW | KEY_INSERT, 2, 0, 1)}},
    {.name = "rpush",
     .arity = -3,
     .flags = COMMAND_WRITE | COMMAND_DENYOOM | COMMAND_FAST,
     .group = "list",
     .since = "1.0.0",
     .summary = "Adds elements at the tail; creates the list if there is none.",
     .complexity = "O(N) in the number of elements added",
     .run = list_rpush,
     .keys = {KEY_SPEC(KEY_RW | KEY_INSERT, 1, 0, 1)}},
    {.name = "rpushx",
     .arity = -3,
     .flags = COMMAND_WRITE | COMMAND_DENYOOM | COMMAND_FAST,
     .group = "list",
     .since = "2.2.0",
     .summary = "Adds elements at the tail of a list that exists.",
     .complexity = "O(N) in the number of elements added",
     .run = list_rpushx,
     .keys = {KEY_SPEC(KEY_RW | KEY_INSERT, 1, 0, 1)}},
    {.name = NULL},
};
