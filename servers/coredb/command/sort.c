/*
 * SORT and SORT_RO: read the elements, find what they are to be sorted by, sort, then answer or
 * store what GET asks of them. Elements that compare equal keep their order, so that replicas
 * agree.
 */
#include "coredb/base/bytes.h"
#include "coredb/command/generic.h"
#include "coredb/command/sort_pattern.h"
#include "coredb/value/list.h"
#include "coredb/value/set.h"
#include "coredb/value/zset.h"

#include <errno.h>
#include <stdlib.h>

enum {
    SORT_BYTES_MAX = 256 * 1024 * 1024,       /* of elements and of what they are sorted by */
    SORT_RESULT_BYTES_MAX = 64 * 1024 * 1024, /* more than a reply may have anyway */
};

struct sort_options {
    bool descending;
    bool alpha;
    bool unsorted; /* BY without a * */
    bool limited;
    int64_t limit_offset;
    int64_t limit_count;
    size_t by_at; /* the arguments with the pattern and the key; 0: none */
    size_t store_at;
    struct buffer gets; /* of rr_bytes: the patterns */
};

struct element {
    size_t offset; /* in sort->bytes */
    size_t size;
    double score;
    size_t weight_offset; /* what it is compared by, if not by itself; of ALPHA with BY only */
    size_t weight_size;
    bool has_weight;
};

struct sort {
    struct exec *exec;
    struct sort_options options;
    struct buffer bytes;    /* of elements and their weights */
    struct buffer elements; /* of struct element */
    size_t first;           /* of the sorted elements, those from here */
    size_t end;             /* to before here are the result */
};

static struct element *element_at(const struct sort *sort, size_t i)
{
    return (struct element *)(void *)sort->elements.data + i;
}

static size_t element_count(const struct sort *sort)
{
    return sort->elements.size / sizeof(struct element);
}

static rr_bytes element_bytes(const struct sort *sort, const struct element *element)
{
    /* Without any bytes, when all elements are empty, there is no memory to point into. */
    const uint8_t *data = element->size == 0 ? NULL : sort->bytes.data + element->offset;
    return (rr_bytes){data, element->size};
}

/* ---- Options ---- */

/* Reads the option at argv[*i] and goes to its last argument. False: answered. */
static bool parse_option(struct exec *exec, size_t *i, bool may_store, struct sort_options *out)
{
    size_t left = exec->argc - *i - 1;
    if (exec_is(exec, *i, "asc")) {
        out->descending = false;
    } else if (exec_is(exec, *i, "desc")) {
        out->descending = true;
    } else if (exec_is(exec, *i, "alpha")) {
        out->alpha = true;
    } else if (exec_is(exec, *i, "limit") && left >= 2) {
        out->limited = true;
        if (!exec_integer(exec, *i + 1, &out->limit_offset) ||
            !exec_integer(exec, *i + 2, &out->limit_count)) {
            return false;
        }
        *i += 2;
    } else if (may_store && exec_is(exec, *i, "store") && left >= 1) {
        out->store_at = ++*i;
    } else if (exec_is(exec, *i, "by") && left >= 1) {
        out->by_at = ++*i;
        out->unsorted = out->unsorted || !sort_pattern_varies(exec->argv[out->by_at]);
    } else if (exec_is(exec, *i, "get") && left >= 1) {
        buffer_append(&out->gets, &exec->argv[++*i], sizeof(rr_bytes));
    } else {
        reply_error_syntax(exec->reply);
        return false;
    }
    return true;
}

static bool parse_options(struct exec *exec, bool may_store, struct sort_options *out)
{
    for (size_t i = 2; i < exec->argc; i++) {
        if (!parse_option(exec, &i, may_store, out)) {
            return false;
        }
    }
    return true;
}

/* ---- Reading the elements ---- */

/* Whether memory is left and allowed; if not, the store fails. */
static bool bytes_fit(struct sort *sort)
{
    if (sort->bytes.failed || sort->elements.failed) {
        store_fail(sort->exec->store, RR_NO_MEMORY);
        return false;
    }
    if (sort->bytes.size + sort->elements.size > SORT_BYTES_MAX) {
        store_fail(sort->exec->store, RR_TOO_BIG);
        return false;
    }
    return true;
}

static bool add_element(struct sort *sort, rr_bytes bytes)
{
    struct element element = {.offset = sort->bytes.size, .size = bytes.size};
    buffer_append_bytes(&sort->bytes, bytes);
    buffer_append(&sort->elements, &element, sizeof(element));
    return bytes_fit(sort);
}

static bool add_listed(void *sort, uint64_t index, rr_bytes value)
{
    return add_element(sort, value);
}

static bool add_named(void *sort, rr_bytes name, rr_bytes value)
{
    return add_element(sort, name);
}

static bool add_scored(void *sort, rr_bytes member, double score)
{
    return add_element(sort, member);
}

/* What part of `count` elements LIMIT asks for. */
static void set_limits(struct sort *sort, uint64_t count)
{
    const struct sort_options *options = &sort->options;
    uint64_t first = 0;
    uint64_t size = count;
    if (options->limited) {
        first = options->limit_offset < 0 ? 0 : (uint64_t)options->limit_offset;
        size = options->limit_count < 0 ? count : (uint64_t)options->limit_count;
    }
    first = first > count ? count : first;
    size = size > count - first ? count - first : size;
    sort->first = (size_t)first;
    sort->end = (size_t)(first + size);
}

/* Reads only the part of an unsorted list or sorted set that LIMIT asks for. */
static void read_part(struct sort *sort, const struct key *key)
{
    struct store *store = sort->exec->store;
    bool reverse = sort->options.descending;
    uint64_t size = sort->end - sort->first;
    uint64_t first = reverse ? key->count - sort->end : sort->first;
    if (size > 0 && key->type == VALUE_LIST) {
        list_visit(store, key, first, size, reverse, add_listed, sort);
    } else if (size > 0) {
        struct zset_range range = {.kind = ZSET_BY_RANK, .first = first, .last = first + size - 1};
        zset_visit(store, key, &range, reverse, add_scored, sort);
    }
    sort->first = 0;
    sort->end = size;
}

static void read_all(struct sort *sort, const struct key *key)
{
    struct store *store = sort->exec->store;
    if (key->type == VALUE_LIST) {
        list_visit(store, key, 0, key->count, /*reverse=*/false, add_listed, sort);
    } else if (key->type == VALUE_SET) {
        named_each(store, set_members(key), add_named, sort);
    } else if (key->type == VALUE_ZSET) {
        zset_visit_all(store, key, add_scored, sort);
    }
}

/* False: the store has failed. */
static bool read_elements(struct sort *sort, const struct key *key)
{
    set_limits(sort, key->count);
    if (sort->options.unsorted && (key->type == VALUE_LIST || key->type == VALUE_ZSET)) {
        read_part(sort, key);
    } else {
        read_all(sort, key);
    }
    sort->end = sort->end > element_count(sort) ? element_count(sort) : sort->end;
    sort->first = sort->first > sort->end ? sort->end : sort->first;
    return sort->exec->store->failure == RR_OK;
}

/* ---- Sorting ---- */

/* As strtod reads it, with leading spaces and all; an empty text is 0. `text` ends with a zero. */
static bool parse_score(const char *text, double *out)
{
    char *end;
    errno = 0;
    *out = strtod(text, &end);
    return *end == '\0' && errno != ERANGE && !__builtin_isnan(*out);
}

/* Finds the score or the weight of one element. False: it should have a score and is no number. */
static bool weigh_element(struct sort *sort, size_t i, struct buffer *value)
{
    const struct sort_options *options = &sort->options;
    struct exec *exec = sort->exec;
    rr_bytes bytes = element_bytes(sort, element_at(sort, i));
    if (options->by_at == 0) {
        buffer_clear(value);
        buffer_append_bytes(value, bytes);
    } else if (!sort_pattern_find(exec->store, exec->argv[options->by_at], bytes, value)) {
        return true;
    }
    struct element *element = element_at(sort, i);
    if (!options->alpha) {
        buffer_append_byte(value, 0);
        return value->failed || parse_score((const char *)value->data, &element->score);
    }
    element->has_weight = true;
    element->weight_offset = sort->bytes.size;
    element->weight_size = value->size;
    buffer_append_bytes(&sort->bytes, buffer_bytes(value));
    return true;
}

/* False: answered that one of them is no number. */
static bool weigh_elements(struct sort *sort)
{
    if (sort->options.alpha && sort->options.by_at == 0) {
        return true;
    }
    struct buffer value;
    buffer_init(&value);
    bool good = true;
    for (size_t i = 0; i < element_count(sort) && bytes_fit(sort); i++) {
        good = weigh_element(sort, i, &value) && good;
        if (value.failed) {
            store_fail(sort->exec->store, RR_NO_MEMORY);
        }
    }
    buffer_deinit(&value);
    if (!good) {
        reply_error(sort->exec->reply, "ERR One or more scores can't be converted into double");
    }
    return good;
}

static int compare_ascending(const struct sort *sort, const struct element *left,
                             const struct element *right)
{
    const struct sort_options *options = &sort->options;
    if (!options->alpha && left->score != right->score) {
        return left->score < right->score ? -1 : 1;
    }
    if (!options->alpha || options->by_at == 0) {
        return bytes_compare(element_bytes(sort, left), element_bytes(sort, right));
    }
    if (!left->has_weight || !right->has_weight) {
        return (int)left->has_weight - (int)right->has_weight;
    }
    const uint8_t *data = sort->bytes.data;
    return bytes_compare((rr_bytes){data + left->weight_offset, left->weight_size},
                         (rr_bytes){data + right->weight_offset, right->weight_size});
}

static int compare(const struct sort *sort, const struct element *left, const struct element *right)
{
    int order = compare_ascending(sort, left, right);
    return sort->options.descending ? -order : order;
}

/* Merges two sorted neighbours, from `left` and from `middle` to before `end`, into `out`. */
static void merge_runs(const struct sort *sort, const struct element *from, size_t left,
                       size_t middle, size_t end, struct element *out)
{
    size_t right = middle;
    for (size_t at = left; left < middle || right < end; at++) {
        bool takes_left =
            right == end || (left < middle && compare(sort, &from[left], &from[right]) <= 0);
        out[at] = takes_left ? from[left++] : from[right++];
    }
}

/* Sorts all elements by merging, which keeps the order of equal ones. */
static void sort_elements(struct sort *sort)
{
    size_t count = element_count(sort);
    if (count < 2) {
        return;
    }
    struct buffer other;
    buffer_init(&other);
    struct element *to = (struct element *)(void *)buffer_extend(&other, sort->elements.size);
    if (other.failed) {
        store_fail(sort->exec->store, RR_NO_MEMORY);
        return;
    }
    for (size_t run = 1; run < count; run *= 2) {
        for (size_t left = 0; left < count; left += 2 * run) {
            size_t middle = count - left < run ? count : left + run;
            size_t end = count - left < 2 * run ? count : left + 2 * run;
            merge_runs(sort, element_at(sort, 0), left, middle, end, to);
        }
        struct buffer kept = sort->elements;
        sort->elements = other;
        other = kept;
        to = (struct element *)(void *)other.data;
    }
    buffer_deinit(&other);
}

/* ---- The result ---- */

/* Takes one value of the result; NULL: GET found nothing. */
typedef void (*emit_fn)(struct buffer *out, struct reply *reply, const rr_bytes *value);

static void emit_reply(struct buffer *out, struct reply *reply, const rr_bytes *value)
{
    if (value == NULL) {
        reply_null(reply);
    } else {
        reply_bulk(reply, *value);
    }
}

static void emit_stored(struct buffer *out, struct reply *reply, const rr_bytes *value)
{
    buffer_put_slice(out, value == NULL ? (rr_bytes){NULL, 0} : *value);
}

static size_t get_count(const struct sort *sort)
{
    return sort->options.gets.size / sizeof(rr_bytes);
}

static void emit_gets(struct sort *sort, rr_bytes element, struct buffer *value, struct buffer *out,
                      emit_fn emit)
{
    const rr_bytes *gets = (const rr_bytes *)(const void *)sort->options.gets.data;
    struct exec *exec = sort->exec;
    for (size_t i = 0; i < get_count(sort) && out->size <= SORT_RESULT_BYTES_MAX; i++) {
        bool found = sort_pattern_find(exec->store, gets[i], element, value);
        rr_bytes bytes = buffer_bytes(value);
        emit(out, exec->reply, found ? &bytes : NULL);
    }
}

/* Hands over the result, value by value; what they go to is bounded. */
static void emit_all(struct sort *sort, struct buffer *out, emit_fn emit)
{
    struct buffer value;
    buffer_init(&value);
    for (size_t i = sort->first; i < sort->end && sort->exec->store->failure == RR_OK; i++) {
        rr_bytes bytes = element_bytes(sort, element_at(sort, i));
        if (get_count(sort) == 0) {
            emit(out, sort->exec->reply, &bytes);
        } else {
            emit_gets(sort, bytes, &value, out, emit);
        }
        if (out->failed || out->size > SORT_RESULT_BYTES_MAX) {
            bool no_memory = out->failed && !out->full;
            store_fail(sort->exec->store, no_memory ? RR_NO_MEMORY : RR_TOO_BIG);
        }
    }
    buffer_deinit(&value);
}

static size_t result_count(const struct sort *sort)
{
    return (sort->end - sort->first) * (get_count(sort) == 0 ? 1 : get_count(sort));
}

/* Makes the key a list of the values in `result`, or deletes it if there is none. */
static void store_result(struct exec *exec, struct key *key, size_t count, rr_bytes result)
{
    if (count == 0) {
        if (key->type != VALUE_NONE) {
            key_delete(exec->store, key);
            key_notify(exec->store, key, NOTIFY_GENERIC, "del");
        }
        return;
    }
    if (key->type != VALUE_NONE) {
        key_clear(exec->store, key);
    }
    key_create(exec->store, key, VALUE_LIST, ENCODING_QUICKLIST);
    struct reader reader = reader_of(result);
    while (reader.left > 0 && exec->store->failure == RR_OK) {
        list_push(exec->store, key, LIST_TAIL, reader_slice(&reader));
    }
    (void)key_save(exec->store, key);
    key_signal_ready(exec->store, key);
    key_notify(exec->store, key, NOTIFY_LIST, "sortstore");
}

static void answer_stored(struct sort *sort)
{
    struct exec *exec = sort->exec;
    struct buffer result;
    buffer_init(&result);
    emit_all(sort, &result, emit_stored);
    if (exec->store->failure == RR_OK) {
        struct key key;
        key_open(exec->store, exec->argv[sort->options.store_at], &key);
        store_result(exec, &key, result_count(sort), buffer_bytes(&result));
        key_close(&key);
    }
    buffer_deinit(&result);
    reply_integer(exec->reply, (int64_t)result_count(sort));
}

static void sort_opened(struct sort *sort, const struct key *key)
{
    struct exec *exec = sort->exec;
    struct sort_options *options = &sort->options;
    if (key->type != VALUE_NONE && key->type != VALUE_LIST && key->type != VALUE_SET &&
        key->type != VALUE_ZSET) {
        reply_error_wrong_type(exec->reply);
        return;
    }
    /* A set has no order of its own that could be relied on. */
    if (options->unsorted && key->type == VALUE_SET &&
        (options->store_at != 0 || exec->in_script)) {
        options->unsorted = false;
        options->alpha = true;
        options->by_at = 0;
    }
    if (!read_elements(sort, key)) {
        reply_null(exec->reply);
        return;
    }
    if (!options->unsorted) {
        if (!weigh_elements(sort)) {
            return;
        }
        sort_elements(sort);
    }
    if (options->store_at != 0) {
        answer_stored(sort);
    } else {
        reply_array(exec->reply, result_count(sort));
        emit_all(sort, &exec->reply->out, emit_reply);
    }
}

static void sort_generic(struct exec *exec, bool may_store)
{
    struct sort sort = {.exec = exec};
    buffer_init(&sort.bytes);
    buffer_init(&sort.elements);
    buffer_init(&sort.options.gets);
    if (parse_options(exec, may_store, &sort.options)) {
        struct key key;
        key_open(exec->store, exec->argv[1], &key);
        sort_opened(&sort, &key);
        key_close(&key);
    }
    buffer_deinit(&sort.bytes);
    buffer_deinit(&sort.elements);
    buffer_deinit(&sort.options.gets);
}

void generic_sort(struct exec *exec)
{
    sort_generic(exec, /*may_store=*/true);
}

void generic_sort_ro(struct exec *exec)
{
    sort_generic(exec, /*may_store=*/false);
}
