/* Scans and random members of hashes, sets and sorted sets. */
#include "coredb/command/named.h"

#include "coredb/base/bytes.h"
#include "coredb/base/number.h"

enum {
    SCAN_REPLY_BYTES = 4 * 1024 * 1024, /* a step ends after this much, whatever COUNT asks for */
    MATCH_BYTES = 1024,                 /* of the pattern times bytes of the name: a unit of work */
    RANDOM_REPLY_BYTES = 64 * 1024 * 1024, /* more than a reply may have */
    DRAW_REPLY_BYTES_MIN = 6,              /* an empty bulk string */
};

void named_value_bulk(struct reply *reply, rr_bytes value)
{
    reply_bulk(reply, value);
}

/* ---- Scans ---- */

struct scan_reply {
    struct store *store;
    struct reply *reply;
    const struct scan_options *options;
    named_value_fn value;
    size_t elements;
    size_t bytes_max; /* of the reply's buffer */
};

static bool scan_visit(void *arg, rr_bytes name, rr_bytes value)
{
    struct scan_reply *scan = arg;
    if (scan->options->has_pattern &&
        !store_work(scan->store, scan->options->pattern.size * name.size / MATCH_BYTES)) {
        return false;
    }
    if (!scan->options->has_pattern || bytes_match(scan->options->pattern, name, false)) {
        reply_bulk(scan->reply, name);
        scan->elements++;
        if (scan->value != NULL) {
            scan->value(scan->reply, value);
            scan->elements++;
        }
    }
    return scan->reply->out.size < scan->bytes_max && !scan->reply->out.failed;
}

static bool is_compact(const struct key *key)
{
    return key->encoding == ENCODING_LISTPACK || key->encoding == ENCODING_INTSET;
}

void named_scan_reply(struct exec *exec, const struct key *key, struct named family,
                      uint64_t cursor, named_value_fn value)
{
    struct scan_options options = {0};
    if (key->type != VALUE_NONE && !exec_scan_options(exec, 3, false, &options)) {
        return;
    }
    struct reply elements;
    reply_init(&elements, exec->reply->protocol);
    size_t mark = reply_later(&elements);
    struct scan_reply scan = {exec->store, &elements, &options,
                              value,       0,         elements.out.size + SCAN_REPLY_BYTES};
    uint64_t next = 0;
    if (key->type != VALUE_NONE && is_compact(key)) {
        named_each(exec->store, family, scan_visit, &scan);
    } else if (key->type != VALUE_NONE) {
        next = named_scan(exec->store, family, cursor, options.count, scan_visit, &scan);
    }
    reply_array_end(&elements, mark, scan.elements);
    char text[NUMBER_TEXT_MAX];
    reply_array(exec->reply, 2);
    reply_bulk(exec->reply, (rr_bytes){text, number_print_u64(next, text)});
    buffer_append_bytes(&exec->reply->out, buffer_bytes(&elements.out));
    if (elements.out.failed) {
        store_fail(exec->store, RR_NO_MEMORY);
    }
    reply_deinit(&elements);
}

/* ---- Random members ---- */

static bool count_argument(struct exec *exec, int64_t *out)
{
    if (!exec_integer(exec, 2, out)) {
        return false;
    }
    if (*out == INT64_MIN) {
        reply_error(exec->reply, "ERR value is out of range, value must between "
                                 "-9223372036854775807 and 9223372036854775807");
        return false;
    }
    return true;
}

bool named_random_arguments(struct exec *exec, const char *with, struct named_random *out)
{
    *out = (struct named_random){.single = exec->argc == 2, .count = 1};
    if (out->single) {
        return true;
    }
    if (with == NULL && exec->argc > 3) {
        reply_error_syntax(exec->reply);
        return false;
    }
    if (!count_argument(exec, &out->count)) {
        return false;
    }
    if (exec->argc > 4 || (exec->argc == 4 && !exec_is(exec, 3, with))) {
        reply_error_syntax(exec->reply);
        return false;
    }
    out->with_values = exec->argc == 4;
    if (out->with_values && (out->count < -INT64_MAX / 2 || out->count > INT64_MAX / 2)) {
        reply_error(exec->reply, "ERR value is out of range");
        return false;
    }
    return true;
}

/* The header of `count` names, with their values if asked for: pairs of their own in RESP3. */
static void reply_names(struct reply *reply, uint64_t count, bool with_values)
{
    reply_array(reply, with_values && reply->protocol == 2 ? count * 2 : count);
}

static void reply_name(struct reply *reply, rr_bytes name, rr_bytes value, named_value_fn print)
{
    if (print != NULL && reply->protocol > 2) {
        reply_array(reply, 2);
    }
    reply_bulk(reply, name);
    if (print != NULL) {
        print(reply, value);
    }
}

static void reply_draws(struct exec *exec, const struct key *key, struct named family,
                        uint64_t draws, named_value_fn print)
{
    if (draws > RANDOM_REPLY_BYTES / DRAW_REPLY_BYTES_MIN) {
        reply_error(exec->reply, "ERR the reply would be too large");
        return;
    }
    struct named_sampler sampler;
    named_sampler_init(&sampler, exec->store, family, key->count, draws);
    reply_names(exec->reply, draws, print != NULL);
    rr_bytes name;
    rr_bytes value;
    while (draws > 0 && exec->reply->out.size < RANDOM_REPLY_BYTES &&
           named_sampler_draw(&sampler, &name, &value)) {
        reply_name(exec->reply, name, value, print);
        draws--;
    }
    named_sampler_deinit(&sampler);
}

static void reply_distinct(struct exec *exec, const struct key *key, struct named family,
                           uint64_t wanted, named_value_fn print)
{
    struct named_list list;
    named_list_init(&list);
    list.names_only = print == NULL;
    named_pick(exec->store, family, key->count, wanted, &list);
    reply_names(exec->reply, list.count, print != NULL);
    for (size_t i = 0; i < list.count; i++) {
        rr_bytes value;
        rr_bytes name = named_list_at(&list, i, &value);
        reply_name(exec->reply, name, value, print);
    }
    named_list_deinit(&list);
}

static void reply_one(struct exec *exec, const struct key *key, struct named family)
{
    struct named_sampler sampler;
    named_sampler_init(&sampler, exec->store, family, key->count, 1);
    rr_bytes name;
    if (named_sampler_draw(&sampler, &name, NULL)) {
        reply_bulk(exec->reply, name);
    } else {
        reply_null(exec->reply);
    }
    named_sampler_deinit(&sampler);
}

void named_random_reply(struct exec *exec, const struct key *key, struct named family,
                        const struct named_random *wanted, named_value_fn value)
{
    named_value_fn print = wanted->with_values ? value : NULL;
    if (key->type == VALUE_NONE) {
        if (wanted->single) {
            reply_null(exec->reply);
        } else {
            reply_array(exec->reply, 0);
        }
    } else if (wanted->single) {
        reply_one(exec, key, family);
    } else if (wanted->count < 0) {
        reply_draws(exec, key, family, (uint64_t)-wanted->count, print);
    } else {
        reply_distinct(exec, key, family, (uint64_t)wanted->count, print);
    }
}
