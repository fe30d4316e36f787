/*
 * Records by name: access, visits, and uniform random choice.
 *
 * Choice from a large family divides the positions into equal ranges of about 8 to 16 records,
 * draws a range, accepts it with probability records / ACCEPT, and draws one of its records: each
 * record then has the same chance, 1 / (ranges * ACCEPT) per try, wherever it lies. A family whose
 * positions are too uneven for that (crafted names) is read as a whole instead.
 */
#include "coredb/value/named.h"

#include "coredb/base/bytes.h"

#include <stdlib.h>
#include <string.h>

enum {
    WHOLE_MAX = 128,     /* a family of so few is read as a whole */
    RANGE_RECORDS = 16,  /* a range has at most so many on average */
    ACCEPT = 64,         /* more than a range ever has, unless names are crafted */
    TRIES_MAX = 256,     /* one try succeeds with 1/8 to 1/4 */
    TRIES_MAX_KEYS = 32, /* what follows then is cheap */
    DRAW_COST = 32,      /* records that one draw costs, about */
    DRAWS_SPARE = 1000,
    INDEX_SLOTS_MIN = 64,
    COPY_RECORDS = 1000,      /* a portion of named_copy, as the next */
    COPY_BYTES = 1024 * 1024, /* one record more than this */
};

/* ---- One record ---- */

static rr_bytes record_key(struct store *store, struct named family, rr_bytes name)
{
    layout_named(&store->key, family.kind, family.id, name);
    if (store->key.failed) {
        store_fail(store, RR_NO_MEMORY);
    }
    return buffer_bytes(&store->key);
}

bool named_get(struct store *store, struct named family, rr_bytes name, rr_bytes *value)
{
    rr_bytes found;
    return store_get(store, record_key(store, family, name), value == NULL ? &found : value);
}

bool named_put(struct store *store, struct named family, rr_bytes name, rr_bytes value)
{
    rr_bytes key = record_key(store, family, name);
    bool had = store_has(store, key);
    named_write(store, family, name, value);
    return !had;
}

void named_write(struct store *store, struct named family, rr_bytes name, rr_bytes value)
{
    store_put(store, record_key(store, family, name), value);
}

bool named_delete(struct store *store, struct named family, rr_bytes name)
{
    if (!store_has(store, record_key(store, family, name))) {
        return false;
    }
    store_delete(store, record_key(store, family, name));
    return true;
}

/* ---- Visits ---- */

struct visit {
    named_visit_fn visit;
    void *arg;
};

static bool visit_name(void *arg, rr_bytes key, rr_bytes value)
{
    struct visit *visit = arg;
    return visit->visit(visit->arg, layout_name(key), value);
}

void named_each(struct store *store, struct named family, named_visit_fn visit, void *arg)
{
    struct buffer prefix;
    buffer_init(&prefix);
    layout_object(&prefix, family.kind, family.id);
    store_prefix(store, buffer_bytes(&prefix), false, visit_name, &(struct visit){visit, arg});
    buffer_deinit(&prefix);
}

/* Visits the records from position `first` on, as far as the family goes. */
static void visit_from(struct store *store, struct named family, uint64_t first, rr_visit_fn visit,
                       void *arg)
{
    struct buffer from;
    struct buffer to;
    buffer_init(&from);
    buffer_init(&to);
    layout_position_prefix(&from, family.kind, family.id, first);
    layout_object(&to, family.kind, family.id);
    layout_end(&to);
    if (from.failed || to.failed) {
        store_fail(store, RR_NO_MEMORY);
    } else {
        store_range(store, buffer_bytes(&from), buffer_bytes(&to), false, visit, arg);
    }
    buffer_deinit(&from);
    buffer_deinit(&to);
}

enum { POSITION_OFFSET = 9 };

struct scan {
    named_visit_fn visit;
    void *arg;
    uint64_t left; /* records still to visit */
    uint64_t last; /* position of the last one */
    uint64_t next; /* the cursor to return */
};

static bool scan_visit(void *arg, rr_bytes key, rr_bytes value)
{
    struct scan *scan = arg;
    uint64_t position = layout_u64_at(key, POSITION_OFFSET);
    if (scan->left == 0 && position != scan->last) {
        scan->next = position;
        return false;
    }
    scan->last = position;
    scan->left -= scan->left > 0 ? 1 : 0;
    if (!scan->visit(scan->arg, layout_name(key), value)) {
        scan->left = 0;
    }
    return true;
}

uint64_t named_scan(struct store *store, struct named family, uint64_t cursor, uint64_t count,
                    named_visit_fn visit, void *arg)
{
    struct scan scan = {visit, arg, count, 0, 0};
    visit_from(store, family, cursor, scan_visit, &scan);
    return scan.next;
}

struct copy {
    struct named_list portion;
    struct buffer last; /* the last key of the portion */
};

static bool copy_visit(void *arg, rr_bytes key, rr_bytes value)
{
    struct copy *copy = arg;
    named_list_add(&copy->portion, layout_name(key), value);
    if (copy->portion.count < COPY_RECORDS && copy->portion.bytes.size < COPY_BYTES) {
        return true;
    }
    buffer_clear(&copy->last);
    buffer_append_bytes(&copy->last, key);
    buffer_append_byte(&copy->last, 0); /* the next key is this one or greater */
    return false;
}

void named_copy(struct store *store, struct named from, struct named to)
{
    struct copy copy;
    struct buffer end;
    named_list_init(&copy.portion);
    buffer_init(&copy.last);
    buffer_init(&end);
    layout_object(&copy.last, from.kind, from.id);
    layout_object(&end, from.kind, from.id);
    layout_end(&end);
    bool more = true;
    while (more && store->failure == RR_OK) {
        named_list_clear(&copy.portion);
        struct buffer begin = copy.last;
        buffer_init(&copy.last);
        store_range(store, buffer_bytes(&begin), buffer_bytes(&end), false, copy_visit, &copy);
        buffer_deinit(&begin);
        more = copy.last.size > 0;
        if (named_list_failed(&copy.portion) || copy.last.failed || end.failed) {
            store_fail(store, RR_NO_MEMORY);
        }
        for (size_t i = 0; store->failure == RR_OK && i < copy.portion.count; i++) {
            rr_bytes value;
            rr_bytes name = named_list_at(&copy.portion, i, &value);
            named_write(store, to, name, value);
        }
    }
    named_list_deinit(&copy.portion);
    buffer_deinit(&copy.last);
    buffer_deinit(&end);
}

/* ---- Lists ---- */

void named_list_init(struct named_list *list)
{
    *list = (struct named_list){0};
}

void named_list_deinit(struct named_list *list)
{
    if (list != NULL) {
        buffer_deinit(&list->bytes);
        buffer_deinit(&list->places);
    }
}

void named_list_clear(struct named_list *list)
{
    buffer_clear(&list->bytes);
    buffer_clear(&list->places);
    list->count = 0;
}

bool named_list_failed(const struct named_list *list)
{
    return list->bytes.failed || list->places.failed;
}

void named_list_add(struct named_list *list, rr_bytes name, rr_bytes value)
{
    uint64_t place = list->bytes.size;
    buffer_append(&list->places, &place, sizeof place);
    buffer_put_slice(&list->bytes, name);
    if (!list->names_only) {
        buffer_put_slice(&list->bytes, value);
    }
    if (!named_list_failed(list)) {
        list->count++;
    }
}

rr_bytes named_list_at(const struct named_list *list, size_t i, rr_bytes *value)
{
    uint64_t place;
    memcpy(&place, list->places.data + i * sizeof place, sizeof place);
    struct reader reader = {list->bytes.data + place, list->bytes.size - place, false};
    rr_bytes name = reader_slice(&reader);
    if (value != NULL) {
        *value = list->names_only ? (rr_bytes){0} : reader_slice(&reader);
    }
    return name;
}

bool named_list_visit(void *list, rr_bytes name, rr_bytes value)
{
    named_list_add(list, name, value);
    return !named_list_failed(list);
}

/* ---- Entries by name ---- */

void named_index_init(struct named_index *index, struct named_list *list)
{
    *index = (struct named_index){.list = list};
}

void named_index_deinit(struct named_index *index)
{
    free(index->slots);
    *index = (struct named_index){0};
}

/* The slot of that name, or the free one where it belongs. */
static size_t index_slot(const struct named_index *index, rr_bytes name)
{
    size_t mask = index->capacity - 1;
    size_t slot = (size_t)bytes_hash(name) & mask;
    while (index->slots[slot] != 0 &&
           !bytes_equal(named_list_at(index->list, index->slots[slot] - 1, NULL), name)) {
        slot = (slot + 1) & mask;
    }
    return slot;
}

/* Keeps at least half of the slots free. False, and the list has failed, without memory. */
static bool index_reserve(struct named_index *index)
{
    if ((index->list->count + 1) * 2 <= index->capacity) {
        return true;
    }
    struct named_index larger = {.list = index->list};
    larger.capacity = index->capacity == 0 ? INDEX_SLOTS_MIN : index->capacity * 2;
    larger.slots = calloc(larger.capacity, sizeof *larger.slots);
    if (larger.slots == NULL || index->list->count >= UINT32_MAX - 1) {
        free(larger.slots);
        index->list->bytes.failed = true;
        return false;
    }
    for (size_t i = 0; i < index->list->count; i++) {
        larger.slots[index_slot(&larger, named_list_at(index->list, i, NULL))] = (uint32_t)(i + 1);
    }
    free(index->slots);
    *index = larger;
    return true;
}

bool named_index_add(struct named_index *index, rr_bytes name, rr_bytes value)
{
    if (named_list_failed(index->list) || !index_reserve(index)) {
        return false;
    }
    size_t slot = index_slot(index, name);
    if (index->slots[slot] != 0) {
        return false;
    }
    named_list_add(index->list, name, value);
    if (named_list_failed(index->list)) {
        return false;
    }
    index->slots[slot] = (uint32_t)index->list->count;
    return true;
}

size_t named_index_find(const struct named_index *index, rr_bytes name)
{
    if (index->capacity == 0) {
        return NAMED_NONE;
    }
    uint32_t entry = index->slots[index_slot(index, name)];
    return entry == 0 ? NAMED_NONE : entry - 1;
}

/* ---- Draws with replacement ---- */

static void fail_if_full(struct store *store, const struct named_list *list)
{
    if (named_list_failed(list)) {
        store_fail(store, RR_NO_MEMORY);
    }
}

static void sampler_read_all(struct named_sampler *sampler)
{
    named_list_clear(&sampler->list);
    named_each(sampler->store, sampler->family, named_list_visit, &sampler->list);
    fail_if_full(sampler->store, &sampler->list);
    sampler->holds_all = true;
}

void named_sampler_init(struct named_sampler *sampler, struct store *store, struct named family,
                        uint64_t count, uint64_t draws)
{
    *sampler = (struct named_sampler){.store = store, .family = family, .ranges = 1};
    named_list_init(&sampler->list);
    while (count / sampler->ranges > RANGE_RECORDS) {
        sampler->ranges *= 2;
    }
    if (count <= WHOLE_MAX || draws >= count / DRAW_COST) {
        sampler_read_all(sampler);
    }
}

void named_sampler_deinit(struct named_sampler *sampler)
{
    named_list_deinit(&sampler->list);
}

struct range_visit {
    struct named_list *list;
    uint64_t last; /* position */
};

static bool range_visit(void *arg, rr_bytes key, rr_bytes value)
{
    struct range_visit *visit = arg;
    if (layout_u64_at(key, POSITION_OFFSET) > visit->last) {
        return false;
    }
    named_list_add(visit->list, layout_name(key), value);
    return visit->list->count <= ACCEPT;
}

/* Reads the records of the `i`-th range, one more than ACCEPT at most, into the sampler's list. */
static void sampler_read_range(struct named_sampler *sampler, uint64_t i)
{
    uint64_t width = UINT64_MAX / sampler->ranges + (sampler->ranges > 1 ? 1 : 0);
    uint64_t first = i * width;
    named_list_clear(&sampler->list);
    struct range_visit visit = {&sampler->list, first + (width - 1)};
    visit_from(sampler->store, sampler->family, first, range_visit, &visit);
    fail_if_full(sampler->store, &sampler->list);
}

/* Chooses one record of a range by uniform chance over all records; false: they are too uneven. */
static bool sampler_try_ranges(struct named_sampler *sampler, size_t *chosen)
{
    int tries = sampler->family.kind == LAYOUT_META ? TRIES_MAX_KEYS : TRIES_MAX;
    for (int i = 0; i < tries && sampler->store->failure == RR_OK; i++) {
        sampler_read_range(sampler, store_random_below(sampler->store, sampler->ranges));
        if (sampler->list.count > ACCEPT) {
            return false;
        }
        uint64_t drawn = store_random_below(sampler->store, ACCEPT);
        if (drawn < sampler->list.count) {
            *chosen = drawn;
            return true;
        }
    }
    return false;
}

static bool first_visit(void *arg, rr_bytes key, rr_bytes value)
{
    struct range_visit *visit = arg;
    visit->last = layout_u64_at(key, POSITION_OFFSET);
    named_list_add(visit->list, layout_name(key), value);
    return false;
}

/* Reads the record that follows `position`, going on from the beginning at the end. */
static uint64_t sampler_read_next(struct named_sampler *sampler, uint64_t position)
{
    struct range_visit visit = {&sampler->list, 0};
    named_list_clear(&sampler->list);
    visit_from(sampler->store, sampler->family, position, first_visit, &visit);
    if (sampler->list.count == 0) {
        visit_from(sampler->store, sampler->family, 0, first_visit, &visit);
    }
    fail_if_full(sampler->store, &sampler->list);
    return visit.last;
}

/* Keys of databases lie unevenly when hash tags put many into one slot, and are too many to read
 * all: draws a slot, then a key of it, both by the gap before them. Nearly uniform is enough. */
static void sampler_approximate(struct named_sampler *sampler)
{
    enum { WITHIN_SLOT = 50 };
    uint64_t within = (UINT64_C(1) << WITHIN_SLOT) - 1;
    uint64_t position = sampler_read_next(sampler, store_random(sampler->store));
    uint64_t slot = position & ~within;
    uint64_t next = sampler_read_next(sampler, slot | (store_random(sampler->store) & within));
    if ((next & ~within) != slot) {
        sampler_read_next(sampler, slot);
    }
}

bool named_sampler_draw(struct named_sampler *sampler, rr_bytes *name, rr_bytes *value)
{
    size_t chosen = 0;
    if (!sampler->holds_all && !sampler_try_ranges(sampler, &chosen)) {
        if (sampler->family.kind == LAYOUT_META) {
            sampler_approximate(sampler);
        } else {
            sampler_read_all(sampler);
        }
    }
    if (sampler->list.count == 0 || sampler->store->failure != RR_OK) {
        return false;
    }
    if (sampler->holds_all) {
        chosen = store_random_below(sampler->store, sampler->list.count);
    }
    *name = named_list_at(&sampler->list, chosen, value);
    return true;
}

/* ---- Distinct records ---- */

/* Chooses `needed` of the `left` records still to come, every set of them equally likely. */
struct selection {
    struct store *store;
    struct named_list *out;
    uint64_t left;
    uint64_t needed;
};

static bool selection_visit(void *arg, rr_bytes name, rr_bytes value)
{
    struct selection *selection = arg;
    if (selection->left == 0 || selection->needed == 0) {
        return false;
    }
    if (store_random_below(selection->store, selection->left) < selection->needed) {
        named_list_add(selection->out, name, value);
        selection->needed--;
    }
    selection->left--;
    return selection->needed > 0;
}

/* Draws until there are `wanted` different ones, which are few against all. */
static void pick_by_draws(struct store *store, struct named family, uint64_t count, uint64_t wanted,
                          struct named_list *out)
{
    struct named_index index;
    named_index_init(&index, out);
    struct named_sampler sampler;
    named_sampler_init(&sampler, store, family, count, wanted);
    rr_bytes name;
    rr_bytes value;
    /* A draw repeats an earlier one with a chance of 1 / DRAW_COST at most; if so many do, `count`
     * is wrong. */
    uint64_t draws = wanted * 4 + DRAWS_SPARE;
    while (out->count < wanted && draws > 0 && named_sampler_draw(&sampler, &name, &value)) {
        named_index_add(&index, name, value);
        fail_if_full(store, out);
        draws--;
    }
    named_sampler_deinit(&sampler);
    named_index_deinit(&index);
}

void named_pick(struct store *store, struct named family, uint64_t count, uint64_t wanted,
                struct named_list *out)
{
    if (wanted >= count) {
        named_each(store, family, named_list_visit, out);
    } else if (count <= WHOLE_MAX || wanted >= count / DRAW_COST) {
        struct selection selection = {store, out, count, wanted};
        named_each(store, family, selection_visit, &selection);
    } else {
        pick_by_draws(store, family, count, wanted, out);
    }
    fail_if_full(store, out);
}
