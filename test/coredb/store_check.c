/* Looks over all that coredb has stored. */
#include "store_check.h"

#include "coredb/base/bytes.h"
#include "coredb/value/key.h"
#include "coredb/value/layout.h"
#include "coredb/value/stream_group.h"
#include "coredb/value/zset.h"
#include "coredb/value/zset_counts.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

enum {
    NUMBER_OFFSET = 1,        /* of the object or the generation in a stored key */
    POSITION_OFFSET = 9,      /* of what follows it */
    EXPIRY_GENERATION = 9,    /* behind the time */
    PROBLEM_NAME_BYTES = 100, /* of a name in a message */
};

/* Encoded scores are smaller; counts over the order lie from here on. */
static const uint64_t order_end = UINT64_MAX - UINT8_MAX;

/* An object in use, or one whose key is in a database's past generation. */
struct object {
    uint64_t id;
    enum value_type type;
    uint64_t count;
    int64_t first;
    bool is_past;
    uint64_t sub_keys; /* found of the main kind */
    uint64_t order;    /* found of a sorted set's order */
};

struct totals {
    uint64_t keys;
    uint64_t expiring;
    uint64_t indexed; /* in the expiry index */
    uint64_t waiters;
};

struct check {
    struct store *store;
    char *problem;
    size_t problem_size;
    bool failed;
    struct object *objects; /* sorted by id once all are known */
    size_t object_count;
    size_t object_capacity;
    struct totals totals[STORE_DATABASES];
    struct buffer scratch; /* of visitors that look other keys up */
};

static bool fail(struct check *check, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* Notes the first problem; false, to end a visit. */
static bool fail(struct check *check, const char *format, ...)
{
    if (!check->failed) {
        va_list arguments;
        va_start(arguments, format);
        vsnprintf(check->problem, check->problem_size, format, arguments);
        va_end(arguments);
        check->failed = true;
    }
    return false;
}

static int printable(rr_bytes name)
{
    return name.size < PROBLEM_NAME_BYTES ? (int)name.size : PROBLEM_NAME_BYTES;
}

/* ---- Objects ---- */

static int compare_objects(const void *left, const void *right)
{
    uint64_t a = ((const struct object *)left)->id;
    uint64_t b = ((const struct object *)right)->id;
    return (a > b) - (a < b);
}

static struct object *find_object(struct check *check, uint64_t id)
{
    struct object wanted = {.id = id};
    return check->object_count == 0 ? NULL
                                    : bsearch(&wanted, check->objects, check->object_count,
                                              sizeof wanted, compare_objects);
}

static bool add_object(struct check *check, const struct key_record *record, bool is_past)
{
    if (check->object_count == check->object_capacity) {
        size_t capacity = check->object_capacity * 2 + 64;
        struct object *objects = realloc(check->objects, capacity * sizeof *objects);
        if (objects == NULL) {
            return fail(check, "no memory");
        }
        check->objects = objects;
        check->object_capacity = capacity;
    }
    check->objects[check->object_count++] = (struct object){.id = record->object,
                                                            .type = record->type,
                                                            .count = record->count,
                                                            .first = record->first,
                                                            .is_past = is_past};
    return true;
}

/* ---- Keys ---- */

/* The database of a generation, or -1 for one of the past. */
static int db_of(struct check *check, uint64_t generation)
{
    for (uint32_t i = 0; i < STORE_DATABASES; i++) {
        if (store_db(check->store, i)->generation == generation) {
            return (int)i;
        }
    }
    return -1;
}

static bool is_garbage_generation(struct check *check, uint64_t generation)
{
    layout_garbage_generation(&check->scratch, generation);
    return store_has(check->store, buffer_bytes(&check->scratch));
}

static bool check_record(struct check *check, rr_bytes name, const struct key_record *record)
{
    int size = printable(name);
    switch (record->type) {
    case VALUE_STRING:
        return record->object == 0 ||
               fail(check, "string %.*s has an object", size, (const char *)name.data);
    case VALUE_LIST:
    case VALUE_SET:
    case VALUE_ZSET:
    case VALUE_HASH:
        if (record->count == 0) {
            return fail(check, "%.*s is an empty collection", size, (const char *)name.data);
        }
        return record->object != 0 ||
               fail(check, "%.*s has no object", size, (const char *)name.data);
    case VALUE_STREAM:
        return record->object != 0 ||
               fail(check, "%.*s has no object", size, (const char *)name.data);
    case VALUE_NONE:
        break;
    }
    return fail(check, "%.*s has no type", size, (const char *)name.data);
}

static bool check_expiry(struct check *check, rr_bytes name, uint64_t generation,
                         const struct key_record *record, struct totals *totals)
{
    if (record->expire_ms == 0) {
        return true;
    }
    totals->expiring++;
    layout_expiry(&check->scratch, record->expire_ms, generation, name);
    return store_has(check->store, buffer_bytes(&check->scratch)) ||
           fail(check, "the expiry of %.*s is not in the index", printable(name),
                (const char *)name.data);
}

static bool check_key(void *arg, rr_bytes stored_key, rr_bytes value)
{
    struct check *check = arg;
    struct key_record record;
    rr_bytes name = layout_name(stored_key);
    int size = printable(name);
    if (!key_record_decode(value, &record)) {
        return fail(check, "the record of %.*s is malformed", size, (const char *)name.data);
    }
    if (layout_u64_at(stored_key, POSITION_OFFSET) != layout_position(name)) {
        return fail(check, "%.*s is out of its position", size, (const char *)name.data);
    }
    uint64_t generation = layout_u64_at(stored_key, NUMBER_OFFSET);
    int db = db_of(check, generation);
    if (db < 0 && !is_garbage_generation(check, generation)) {
        return fail(check, "%.*s is in no database", size, (const char *)name.data);
    }
    if (record.object != 0 && !add_object(check, &record, db < 0)) {
        return false;
    }
    if (db < 0) {
        return true;
    }
    check->totals[db].keys++;
    return check_record(check, name, &record) &&
           check_expiry(check, name, generation, &record, &check->totals[db]);
}

static bool check_expiry_pair(void *arg, rr_bytes stored_key, rr_bytes value)
{
    struct check *check = arg;
    uint64_t generation = layout_u64_at(stored_key, EXPIRY_GENERATION);
    int db = db_of(check, generation);
    (void)value;
    if (db >= 0) {
        check->totals[db].indexed++;
        return true;
    }
    return is_garbage_generation(check, generation) || fail(check, "an expiry of no database");
}

/* Whether `bytes`, after the byte `kind`, is a stored key. */
static bool is_stored(struct check *check, uint8_t kind, rr_bytes bytes)
{
    buffer_clear(&check->scratch);
    buffer_append_byte(&check->scratch, kind);
    buffer_append_bytes(&check->scratch, bytes);
    return store_has(check->store, buffer_bytes(&check->scratch));
}

/* A waiter's place in the queue of a key: its value is the waiter's id, which begins with a node. */
static bool count_waiter(void *arg, rr_bytes stored_key, rr_bytes value)
{
    struct check *check = arg;
    const uint8_t *data = stored_key.data;
    if (data[NUMBER_OFFSET] >= STORE_DATABASES) {
        return fail(check, "a waiter of database %u", data[NUMBER_OFFSET]);
    }
    if (!is_stored(check, LAYOUT_WAITER, value) ||
        !is_stored(check, LAYOUT_WAITER_NODE, (rr_bytes){value.data, sizeof(uint64_t)})) {
        return fail(check, "a waiter without a record or without a lease of its node");
    }
    check->totals[data[NUMBER_OFFSET]].waiters++;
    return true;
}

static void check_totals(struct check *check)
{
    for (uint32_t i = 0; i < STORE_DATABASES; i++) {
        const struct store_db *db = store_db(check->store, i);
        const struct totals *found = &check->totals[i];
        if (db->key_count != found->keys || db->expiring_count != found->expiring ||
            db->waiter_count != found->waiters) {
            fail(check,
                 "database %u counts %llu keys, %llu expiring, %llu waiters; there are %llu, %llu, "
                 "%llu",
                 i, (unsigned long long)db->key_count, (unsigned long long)db->expiring_count,
                 (unsigned long long)db->waiter_count, (unsigned long long)found->keys,
                 (unsigned long long)found->expiring, (unsigned long long)found->waiters);
        } else if (found->indexed != found->expiring) {
            fail(check, "database %u has %llu expiries in the index for %llu keys", i,
                 (unsigned long long)found->indexed, (unsigned long long)found->expiring);
        }
    }
}

static void check_objects_differ(struct check *check)
{
    if (check->object_count > 0) {
        qsort(check->objects, check->object_count, sizeof check->objects[0], compare_objects);
    }
    for (size_t i = 1; i < check->object_count; i++) {
        if (check->objects[i].id == check->objects[i - 1].id) {
            fail(check, "two keys have object %llu", (unsigned long long)check->objects[i].id);
        }
    }
}

/* ---- Sub-keys ---- */

static enum value_type type_of(enum layout_kind kind)
{
    switch (kind) {
    case LAYOUT_HASH:
        return VALUE_HASH;
    case LAYOUT_SET:
        return VALUE_SET;
    case LAYOUT_LIST:
        return VALUE_LIST;
    case LAYOUT_ZSET:
    case LAYOUT_ZSET_ORDER:
        return VALUE_ZSET;
    case LAYOUT_STREAM:
    case LAYOUT_STREAM_GROUPS:
        return VALUE_STREAM;
    default:
        return VALUE_NONE;
    }
}

static bool is_garbage(struct check *check, uint64_t object)
{
    layout_garbage(&check->scratch, object);
    return store_has(check->store, buffer_bytes(&check->scratch));
}

static bool check_zset_member(struct check *check, const struct object *object, rr_bytes stored_key,
                              rr_bytes value)
{
    if (value.size != sizeof(uint64_t)) {
        return fail(check, "a score of %zu bytes", value.size);
    }
    double score = zset_score_decode(layout_u64_at(value, 0));
    layout_object(&check->scratch, LAYOUT_ZSET_ORDER, object->id);
    buffer_put_u64(&check->scratch, zset_score_encode(score == 0 ? 0.0 : score));
    buffer_append_bytes(&check->scratch, layout_name(stored_key));
    return store_has(check->store, buffer_bytes(&check->scratch)) ||
           fail(check, "a member of sorted set %llu is not in its order",
                (unsigned long long)object->id);
}

/* Whether a sub-key is where its name belongs. */
static bool is_in_position(rr_bytes stored_key)
{
    struct buffer expected;
    buffer_init(&expected);
    layout_named(&expected, ((const uint8_t *)stored_key.data)[0],
                 layout_u64_at(stored_key, NUMBER_OFFSET), layout_name(stored_key));
    bool good = bytes_equal(buffer_bytes(&expected), stored_key);
    buffer_deinit(&expected);
    return good;
}

/* A sub-key of an object in use. */
static bool check_used(struct check *check, struct object *object, rr_bytes stored_key,
                       rr_bytes value)
{
    enum layout_kind kind = ((const uint8_t *)stored_key.data)[0];
    if (object->type != type_of(kind)) {
        return fail(check, "object %llu of type %d has sub-keys '%c'",
                    (unsigned long long)object->id, object->type, kind);
    }
    if (kind == LAYOUT_ZSET_ORDER) {
        object->order += layout_u64_at(stored_key, POSITION_OFFSET) < order_end ? 1U : 0U;
        return true;
    }
    if (kind == LAYOUT_STREAM_GROUPS) {
        return true;
    }
    uint64_t position = layout_u64_at(stored_key, POSITION_OFFSET);
    uint64_t place = (uint64_t)(object->first + (int64_t)object->sub_keys) ^ (uint64_t)1 << 63;
    bool placed = kind == LAYOUT_LIST     ? position == place
                  : kind == LAYOUT_STREAM ? true
                                          : is_in_position(stored_key);
    object->sub_keys++;
    if (!placed) {
        return fail(check, "a sub-key '%c' of object %llu is out of its place", kind,
                    (unsigned long long)object->id);
    }
    return kind != LAYOUT_ZSET || check_zset_member(check, object, stored_key, value);
}

static bool check_sub_key(void *arg, rr_bytes stored_key, rr_bytes value)
{
    struct check *check = arg;
    uint64_t id = layout_u64_at(stored_key, NUMBER_OFFSET);
    struct object *object = find_object(check, id);
    if (object != NULL) {
        return object->is_past || check_used(check, object, stored_key, value);
    }
    return is_garbage(check, id) ||
           fail(check, "a sub-key '%c' of object %llu, which is neither in use nor garbage",
                ((const uint8_t *)stored_key.data)[0], (unsigned long long)id);
}

static bool check_garbage(void *arg, rr_bytes stored_key, rr_bytes value)
{
    struct check *check = arg;
    (void)value;
    const struct object *object = find_object(check, layout_u64_at(stored_key, NUMBER_OFFSET));
    return object == NULL || object->is_past ||
           fail(check, "object %llu is in use and garbage", (unsigned long long)object->id);
}

static void check_object(struct check *check, const struct object *object)
{
    if (object->is_past) {
        return;
    }
    if (object->sub_keys != object->count) {
        fail(check, "object %llu of type %d has %llu sub-keys instead of %llu",
             (unsigned long long)object->id, object->type, (unsigned long long)object->sub_keys,
             (unsigned long long)object->count);
    }
    if (object->type == VALUE_STREAM) {
        struct key key = {.type = VALUE_STREAM, .object = object->id, .count = object->count};
        struct stream stream = {.key = &key};
        if (!stream_groups_check(check->store, &stream)) {
            fail(check, "the groups of stream %llu disagree with their records",
                 (unsigned long long)object->id);
        }
    }
    if (object->type != VALUE_ZSET) {
        return;
    }
    struct key key = {
        .type = VALUE_ZSET, .object = object->id, .count = object->count, .first = object->first};
    if (object->order != object->count || !zset_counts_check(check->store, &key)) {
        fail(check, "sorted set %llu has %llu members and %llu in order, or wrong counts of them",
             (unsigned long long)object->id, (unsigned long long)object->count,
             (unsigned long long)object->order);
    }
}

/* ---- All ---- */

static void visit_kind(struct check *check, enum layout_kind kind, rr_visit_fn visit)
{
    uint8_t prefix = (uint8_t)kind;
    if (!check->failed) {
        store_prefix(check->store, (rr_bytes){&prefix, 1}, false, visit, check);
    }
}

bool store_check(struct store *store, char *problem, size_t problem_size)
{
    static const enum layout_kind kinds[] = {LAYOUT_HASH,         LAYOUT_SET,    LAYOUT_LIST,
                                             LAYOUT_ZSET,         LAYOUT_STREAM, LAYOUT_ZSET_ORDER,
                                             LAYOUT_STREAM_GROUPS};
    struct check check = {.store = store, .problem = problem, .problem_size = problem_size};
    buffer_init(&check.scratch);
    visit_kind(&check, LAYOUT_META, check_key);
    check_objects_differ(&check);
    visit_kind(&check, LAYOUT_EXPIRY, check_expiry_pair);
    visit_kind(&check, LAYOUT_WAITER_KEY, count_waiter);
    check_totals(&check);
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
        visit_kind(&check, kinds[i], check_sub_key);
    }
    visit_kind(&check, LAYOUT_GARBAGE, check_garbage);
    for (size_t i = 0; i < check.object_count && !check.failed; i++) {
        check_object(&check, &check.objects[i]);
    }
    if (store->failure != RR_OK || check.scratch.failed) {
        fail(&check, "the store failed: %s", rr_status_name(store->failure));
    }
    buffer_deinit(&check.scratch);
    free(check.objects);
    return !check.failed;
}
