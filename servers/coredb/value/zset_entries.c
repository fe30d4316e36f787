/* Members with scores kept in memory. */
#include "coredb/value/zset_entries.h"

#include "coredb/base/bytes.h"
#include "coredb/value/zset_counts.h"
#include "coredb/value/zset_private.h"

#include <math.h>
#include <stdlib.h>

void zset_aggregate(enum zset_aggregate aggregate, double *score, double other)
{
    switch (aggregate) {
    case ZSET_SUM:
        *score += other;
        if (isnan(*score)) {
            *score = 0;
        }
        return;
    case ZSET_MIN:
        *score = other < *score ? other : *score;
        return;
    case ZSET_MAX:
        *score = other > *score ? other : *score;
        return;
    }
}

void zset_entries_init(struct zset_entries *entries)
{
    *entries = (struct zset_entries){.list = NULL};
    buffer_init(&entries->members);
}

void zset_entries_deinit(struct zset_entries *entries)
{
    if (entries == NULL) {
        return;
    }
    buffer_deinit(&entries->members);
    free(entries->list);
    entries->list = NULL;
}

static bool make_room(struct zset_entries *entries)
{
    if (entries->count < entries->capacity) {
        return true;
    }
    size_t capacity = entries->capacity == 0 ? 16 : entries->capacity * 2;
    struct zset_entry *list = realloc(entries->list, capacity * sizeof *list);
    if (list == NULL) {
        entries->failed = true;
        return false;
    }
    entries->list = list;
    entries->capacity = capacity;
    return true;
}

void zset_entries_add(struct zset_entries *entries, rr_bytes member, double score)
{
    if (entries->failed || !make_room(entries)) {
        return;
    }
    size_t offset = entries->members.size;
    buffer_append_bytes(&entries->members, member);
    entries->failed = entries->members.failed;
    if (!entries->failed) {
        entries->list[entries->count++] = (struct zset_entry){
            .offset = offset, .size = member.size, .score = score, .sequence = entries->sequence++};
    }
}

void zset_entries_settle(struct zset_entries *entries)
{
    static const uint8_t empty[1];
    for (size_t i = 0; i < entries->count; i++) {
        struct zset_entry *entry = &entries->list[i];
        /* Without any bytes, when all members are empty, there is no memory to point into. */
        entry->member = entry->size == 0 ? empty : entries->members.data + entry->offset;
    }
}

static int compare_sequences(const struct zset_entry *left, const struct zset_entry *right)
{
    return (left->sequence > right->sequence) - (left->sequence < right->sequence);
}

static int compare_members(const void *left_entry, const void *right_entry)
{
    const struct zset_entry *left = left_entry;
    const struct zset_entry *right = right_entry;
    int order = bytes_compare(zset_entry_member(left), zset_entry_member(right));
    return order != 0 ? order : compare_sequences(left, right);
}

static int compare_scores(const void *left_entry, const void *right_entry)
{
    const struct zset_entry *left = left_entry;
    const struct zset_entry *right = right_entry;
    if (left->score != right->score) {
        return left->score < right->score ? -1 : 1;
    }
    return compare_members(left, right);
}

void zset_entries_merge(struct zset_entries *entries, enum zset_aggregate aggregate)
{
    if (entries->count == 0) {
        return;
    }
    zset_entries_settle(entries);
    qsort(entries->list, entries->count, sizeof entries->list[0], compare_members);
    struct buffer members;
    buffer_init(&members);
    size_t kept = 0;
    for (size_t i = 0; i < entries->count; i++) {
        struct zset_entry *entry = &entries->list[i];
        struct zset_entry *last = kept > 0 ? &entries->list[kept - 1] : NULL;
        if (last != NULL && bytes_equal(zset_entry_member(last), zset_entry_member(entry))) {
            zset_aggregate(aggregate, &last->score, entry->score);
            continue;
        }
        size_t offset = members.size;
        buffer_append(&members, entry->member, entry->size);
        entries->list[kept] = *entry;
        entries->list[kept++].offset = offset;
    }
    entries->failed = entries->failed || members.failed;
    entries->count = entries->failed ? 0 : kept;
    buffer_deinit(&entries->members);
    entries->members = members;
    zset_entries_settle(entries);
}

void zset_entries_sort(struct zset_entries *entries)
{
    if (entries->count > 0) {
        zset_entries_settle(entries);
        qsort(entries->list, entries->count, sizeof entries->list[0], compare_scores);
    }
}

void zset_entries_store(struct store *store, struct key *key, struct zset_entries *entries)
{
    if (entries->failed) {
        store_fail(store, RR_NO_MEMORY);
        return;
    }
    if (entries->count == 0) {
        if (key->type != VALUE_NONE) {
            key_delete(store, key);
        }
        return;
    }
    if (key->type != VALUE_NONE) {
        key_clear(store, key);
    }
    key_create(store, key, VALUE_ZSET, ENCODING_LISTPACK);
    zset_entries_settle(entries);
    key->encoding = entries->count > ZSET_LISTPACK_ENTRIES ? ENCODING_SKIPLIST : key->encoding;
    for (size_t i = 0; i < entries->count && key->encoding == ENCODING_LISTPACK; i++) {
        if (entries->list[i].size > ZSET_LISTPACK_VALUE) {
            key->encoding = ENCODING_SKIPLIST;
        }
    }
    for (size_t i = 0; i < entries->count && store->failure == RR_OK; i++) {
        zset_add_uncounted(store, key, zset_entry_member(&entries->list[i]),
                           entries->list[i].score);
    }
    zset_counts_build(store, key);
    key_save(store, key);
}
