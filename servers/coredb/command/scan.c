/* Finding keys: KEYS, SCAN, RANDOMKEY. */
#include "coredb/base/bytes.h"
#include "coredb/base/number.h"
#include "coredb/command/generic.h"
#include "coredb/value/named.h"

enum {
    SCAN_REPLY_BYTES = 4 * 1024 * 1024, /* a step ends after this much, whatever COUNT asks for */
    MATCH_BYTES = 1024,                 /* of the pattern times bytes of the name: a unit of work */
    RANDOM_DRAWS_MAX = 100,             /* of keys that have expired, before a search begins */
};

/* The keys of the selected database. */
static struct named all_keys(struct store *store)
{
    uint64_t generation = store_db(store, store->db_index)->generation;
    return (struct named){LAYOUT_META, generation};
}

/* Which keys a visit answers. */
struct finder {
    struct store *store;
    struct reply *reply;
    rr_bytes pattern;
    bool has_pattern;
    rr_bytes type; /* a name; empty: any */
    size_t found;
    size_t bytes_max; /* of the reply's buffer */
};

static bool find_key(void *arg, rr_bytes name, rr_bytes value)
{
    struct finder *finder = arg;
    struct key_record record;
    if (finder->has_pattern &&
        !store_work(finder->store, finder->pattern.size * name.size / MATCH_BYTES)) {
        return false;
    }
    if (finder->has_pattern && !bytes_match(finder->pattern, name, /*ignore_case=*/false)) {
        return true;
    }
    if (!key_record_decode(value, &record) || key_record_expired(finder->store, &record)) {
        return true;
    }
    if (finder->type.size > 0 && !bytes_is(finder->type, value_type_name(record.type))) {
        return true;
    }
    reply_bulk(finder->reply, name);
    finder->found++;
    return finder->reply->out.size < finder->bytes_max && !finder->reply->out.failed;
}

void generic_keys(struct exec *exec)
{
    rr_bytes pattern = exec->argv[1];
    struct finder finder = {
        .store = exec->store,
        .reply = exec->reply,
        .pattern = pattern,
        .has_pattern = !bytes_equal(pattern, bytes_of("*")),
        .bytes_max = SIZE_MAX,
    };
    size_t mark = reply_later(exec->reply);
    named_each(exec->store, all_keys(exec->store), find_key, &finder);
    reply_array_end(exec->reply, mark, finder.found);
}

void generic_scan(struct exec *exec)
{
    uint64_t cursor;
    struct scan_options options;
    if (!exec_cursor(exec, 1, &cursor) || !exec_scan_options(exec, 2, true, &options)) {
        return;
    }
    struct reply names;
    reply_init(&names, exec->reply->protocol);
    size_t mark = reply_later(&names);
    struct finder finder = {
        .store = exec->store,
        .reply = &names,
        .pattern = options.pattern,
        .has_pattern = options.has_pattern,
        .type = options.type,
        .bytes_max = SCAN_REPLY_BYTES,
    };
    struct named family = all_keys(exec->store);
    uint64_t next = named_scan(exec->store, family, cursor, options.count, find_key, &finder);
    reply_array_end(&names, mark, finder.found);
    char text[NUMBER_TEXT_MAX];
    reply_array(exec->reply, 2);
    reply_bulk(exec->reply, (rr_bytes){text, number_print_u64(next, text)});
    buffer_append_bytes(&exec->reply->out, buffer_bytes(&names.out));
    if (names.out.failed) {
        store_fail(exec->store, RR_NO_MEMORY);
    }
    reply_deinit(&names);
}

/* ---- RANDOMKEY ---- */

/* Answers a drawn key unless it has expired. */
static bool draw_key(struct exec *exec, struct named_sampler *sampler)
{
    rr_bytes name;
    rr_bytes value;
    struct key_record record;
    if (!named_sampler_draw(sampler, &name, &value) || !key_record_decode(value, &record) ||
        key_record_expired(exec->store, &record)) {
        return false;
    }
    reply_bulk(exec->reply, name);
    return true;
}

void generic_randomkey(struct exec *exec)
{
    struct named family = all_keys(exec->store);
    uint64_t count = store_db(exec->store, exec->store->db_index)->key_count;
    struct named_sampler sampler;
    named_sampler_init(&sampler, exec->store, family, count, /*draws=*/1);
    bool answered = false;
    for (int i = 0; i < RANDOM_DRAWS_MAX && count > 0 && !answered; i++) {
        answered = draw_key(exec, &sampler);
    }
    named_sampler_deinit(&sampler);
    if (answered) {
        return;
    }
    /* Nearly all have expired: the first that has not. */
    struct finder finder = {.store = exec->store, .reply = exec->reply, .bytes_max = 0};
    if (count > 0) {
        named_each(exec->store, family, find_key, &finder);
    }
    if (finder.found == 0) {
        reply_null(exec->reply);
    }
}
