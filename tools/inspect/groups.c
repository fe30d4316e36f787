#include "inspect/groups.h"

#include <stdlib.h>
#include <string.h>

static const char *const no_memory = "there is no memory to follow it";

static void group_free(struct group *group)
{
    free(group->spans);
    free(group);
}

void groups_clear(struct groups *groups)
{
    for (size_t i = 0; i < groups->count; i++) {
        group_free(groups->list[i]);
    }
    free(groups->list);
    free(groups->changed);
    *groups = (struct groups){.no_memory = groups->no_memory};
}

/* Room for one more of `size` bytes behind `count` in `list`. */
static bool reserve(struct groups *groups, void **list, size_t count, size_t *capacity, size_t size)
{
    if (count < *capacity) {
        return true;
    }
    size_t wanted = *capacity == 0 ? 8 : 2 * *capacity;
    void *larger = reallocarray(*list, wanted, size);
    if (larger == NULL) {
        groups->no_memory = true;
        return false;
    }
    *list = larger;
    *capacity = wanted;
    return true;
}

/* The place of `id` in the list, or where it would be. */
static size_t position_of(const struct groups *groups, uint64_t id)
{
    size_t low = 0;
    size_t high = groups->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (groups->list[middle]->id < id) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

struct group *groups_find(const struct groups *groups, uint64_t id)
{
    size_t at = position_of(groups, id);
    return at < groups->count && groups->list[at]->id == id ? groups->list[at] : NULL;
}

static struct group *find_or_make(struct groups *groups, uint64_t id)
{
    size_t at = position_of(groups, id);
    if (at < groups->count && groups->list[at]->id == id) {
        return groups->list[at];
    }
    struct group *group = calloc(1, sizeof(*group));
    if (group == NULL || !reserve(groups, (void **)&groups->list, groups->count, &groups->capacity,
                                  sizeof(*groups->list))) {
        groups->no_memory = true;
        free(group);
        return NULL;
    }
    group->id = id;
    memmove(groups->list + at + 1, groups->list + at, (groups->count - at) * sizeof(*groups->list));
    groups->list[at] = group;
    groups->count++;
    return group;
}

static void destroy(struct groups *groups, uint64_t id)
{
    size_t at = position_of(groups, id);
    if (at == groups->count || groups->list[at]->id != id) {
        return;
    }
    group_free(groups->list[at]);
    groups->count--;
    memmove(groups->list + at, groups->list + at + 1, (groups->count - at) * sizeof(*groups->list));
}

static const char *begin_group(struct groups *groups, const struct record *record)
{
    if (groups_find(groups, record->group) != NULL) {
        return "the checkpoint has a group twice";
    }
    if (record->commit > record->last_index) {
        return "a group's commit index is past its last entry";
    }
    struct group *group = find_or_make(groups, record->group);
    if (group == NULL) {
        return no_memory;
    }
    group->term = record->term;
    group->vote = record->vote;
    group->commit = record->commit;
    group->base_index = record->base_index;
    group->base_term = record->base_term;
    group->last_index = record->last_index;
    group->last_term = record->last_term;
    return NULL;
}

/* Reads the part before the records of a checkpoint. */
static const char *read_oldest(struct reader *reader, uint64_t segment, uint64_t *oldest)
{
    *oldest = read_u64(reader);
    if (reader->failed) {
        return "the checkpoint is malformed";
    }
    return *oldest == 0 || *oldest > segment
               ? "the checkpoint names an oldest segment that there is not"
               : NULL;
}

const char *groups_begin(struct groups *groups, const struct body_place *place, uint64_t *oldest)
{
    groups_clear(groups);
    struct reader reader = reader_of(place->body);
    const char *wrong = read_oldest(&reader, place->segment, oldest);
    while (wrong == NULL && !reader_is_done(&reader)) {
        struct record record;
        wrong = record_read(&reader, FRAME_CHECKPOINT, &record);
        if (wrong == NULL) {
            wrong = begin_group(groups, &record);
        }
    }
    return wrong;
}

static const char *compare_group(const struct groups *groups, const struct record *record)
{
    const struct group *group = groups_find(groups, record->group);
    if (group == NULL) {
        return "the checkpoint has a group that the frames before it do not have";
    }
    if (group->term != record->term || group->vote != record->vote ||
        group->commit != record->commit) {
        return "the checkpoint has another hard state of a group than the frames before it";
    }
    if (group->base_index != record->base_index || group->base_term != record->base_term) {
        return "the checkpoint has another base of a group than the frames before it";
    }
    if (group->last_index != record->last_index || group->last_term != record->last_term) {
        return "the checkpoint has another last entry of a group than the frames before it";
    }
    return NULL;
}

const char *groups_compare(struct groups *groups, const struct body_place *place, uint64_t *oldest)
{
    struct reader reader = reader_of(place->body);
    const char *wrong = read_oldest(&reader, place->segment, oldest);
    size_t count = 0;
    while (wrong == NULL && !reader_is_done(&reader)) {
        struct record record;
        wrong = record_read(&reader, FRAME_CHECKPOINT, &record);
        if (wrong == NULL) {
            wrong = compare_group(groups, &record);
            count++;
        }
    }
    if (wrong == NULL && count != groups->count) {
        return "the checkpoint lacks a group, or has one twice";
    }
    return wrong;
}

/* The last span that begins at or before `index`, as a place in the list; spans_end: none. */
static size_t span_before(const struct group *group, uint64_t index)
{
    size_t low = group->spans_begin;
    size_t high = group->spans_end;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (group->spans[middle].first <= index) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low == group->spans_begin ? group->spans_end : low - 1;
}

static uint64_t span_end(const struct span *span)
{
    return span->first + span->count;
}

/* The term of an entry, or 0 if its place is not known. */
static uint64_t term_at(const struct group *group, uint64_t index)
{
    if (index == group->last_index) {
        return group->last_term;
    }
    if (index == group->base_index) {
        return group->base_term;
    }
    size_t at = span_before(group, index);
    bool is_in = at != group->spans_end && index < span_end(&group->spans[at]);
    return is_in ? group->spans[at].term : 0;
}

/* Forgets the places of the entries from `index` on. */
static void cut_after(struct group *group, uint64_t index)
{
    while (group->spans_end > group->spans_begin) {
        struct span *span = &group->spans[group->spans_end - 1];
        if (span->first < index) {
            if (span_end(span) > index) {
                span->count = index - span->first;
            }
            return;
        }
        group->spans_end--;
    }
}

/* The same span from `index` on, which is in it or its end. */
static struct span span_from(const struct span *span, uint64_t index)
{
    struct span rest = *span;
    rest.count -= index - span->first;
    rest.first = index;
    return rest;
}

/* Forgets the places of the entries up to `index`. */
static void cut_before(struct group *group, uint64_t index)
{
    while (group->spans_begin < group->spans_end) {
        struct span *span = &group->spans[group->spans_begin];
        if (span_end(span) > index + 1) {
            if (span->first <= index) {
                *span = span_from(span, index + 1);
            }
            return;
        }
        group->spans_begin++;
    }
}

/* Room for two more spans at the end. */
static bool reserve_spans(struct groups *groups, struct group *group)
{
    if (group->spans_begin > group->spans_end / 2) {
        size_t count = group->spans_end - group->spans_begin;
        memmove(group->spans, group->spans + group->spans_begin, count * sizeof(*group->spans));
        group->spans_begin = 0;
        group->spans_end = count;
    }
    return reserve(groups, (void **)&group->spans, group->spans_end + 2, &group->spans_capacity,
                   sizeof(*group->spans));
}

/* Puts a span where its entries are, over what was known of them. */
static bool put_span(struct groups *groups, struct group *group, const struct span *span)
{
    if (!reserve_spans(groups, group)) {
        return false;
    }
    size_t low = span_before(group, span->first);
    if (low == group->spans_end) {
        low = group->spans_begin;
    } else if (span_end(&group->spans[low]) <= span->first) {
        low++;
    }
    size_t high = low;
    while (high < group->spans_end && group->spans[high].first < span_end(span)) {
        high++;
    }
    struct span pieces[3];
    size_t count = 0;
    if (low < high && group->spans[low].first < span->first) {
        pieces[count] = group->spans[low];
        pieces[count].count = span->first - pieces[count].first;
        count++;
    }
    pieces[count++] = *span;
    if (low < high && span_end(&group->spans[high - 1]) > span_end(span)) {
        pieces[count++] = span_from(&group->spans[high - 1], span_end(span));
    }
    memmove(group->spans + low + count, group->spans + high,
            (group->spans_end - high) * sizeof(*group->spans));
    memcpy(group->spans + low, pieces, count * sizeof(*pieces));
    group->spans_end = group->spans_end - (high - low) + count;
    return true;
}

/* Whether the record may stand here, before its entries are looked at. */
static const char *entries_fault(const struct group *group, const struct record *record)
{
    uint64_t last = record->first + record->count - 1;
    if (record->first <= group->base_index) {
        return "entries at or below the base of their group";
    }
    if (record->kind == RECORD_ENTRIES && record->first > group->last_index + 1) {
        return "entries that leave a gap behind the last one of their group";
    }
    if (record->kind == RECORD_COPY && last > group->last_index) {
        return "copies of entries that the group does not have";
    }
    return NULL;
}

/* Whether an entry may follow one of term `before` (0: not known). */
static const char *term_fault(const struct group *group, const struct record *record,
                              uint64_t index, uint64_t term, uint64_t before)
{
    if (term < before) {
        return "an entry's term is below the one before it";
    }
    if (record->kind != RECORD_COPY) {
        return NULL;
    }
    uint64_t known = term_at(group, index);
    if (known != 0 && known != term) {
        return "a copy of an entry has another term than the entry";
    }
    return index > record->first && before != 0 && term != before
               ? "a copy holds entries of several terms"
               : NULL;
}

/* Follows ENTRIES and COPY. `first_offset` is that of the entries in the file. */
static const char *follow_entries(struct groups *groups, struct group *group,
                                  const struct record *record, uint64_t segment,
                                  uint64_t first_offset, uint64_t *wrong_at)
{
    const char *wrong = entries_fault(group, record);
    if (wrong != NULL) {
        return wrong;
    }
    uint64_t before = term_at(group, record->first - 1);
    if (record->kind == RECORD_ENTRIES) {
        cut_after(group, record->first);
        group->last_index = record->first - 1; /* until the new ones are in */
        group->last_term = before;
    }
    struct reader reader = reader_of(record->entries);
    struct span span = {.count = 0};
    for (uint64_t i = 0; i < record->count; i++) {
        uint64_t offset = first_offset + (uint64_t)(reader.at - record->entries.data);
        uint64_t index = record->first + i;
        *wrong_at = offset;
        struct slice value = read_bytes(&reader);
        struct entry entry;
        wrong = reader.failed ? "a record has fewer entries than it says"
                              : entry_read(value, group->id, index, &entry);
        if (wrong == NULL) {
            wrong = term_fault(group, record, index, entry.term, before);
        }
        if (wrong != NULL) {
            return wrong;
        }
        if (span.count > 0 && span.term != entry.term) {
            if (!put_span(groups, group, &span)) {
                return no_memory;
            }
            span.count = 0;
        }
        if (span.count == 0) {
            span = (struct span){index, 0, entry.term, segment, offset, index};
        }
        span.count++;
        before = entry.term;
    }
    if (!reader_is_done(&reader)) {
        return "a record has more entries than it says";
    }
    if (record->kind == RECORD_ENTRIES) {
        group->last_index = record->first + record->count - 1;
        group->last_term = before;
    }
    return put_span(groups, group, &span) ? NULL : no_memory;
}

static const char *follow_purge(struct group *group, const struct record *record)
{
    if (record->base_index <= group->base_index || record->base_index > group->last_index) {
        return "a purge up to an entry that the group does not have";
    }
    uint64_t known = term_at(group, record->base_index);
    if (known != 0 && known != record->base_term) {
        return "a purge up to an entry of another term";
    }
    cut_before(group, record->base_index);
    group->base_index = record->base_index;
    group->base_term = record->base_term;
    return NULL;
}

static void follow_reset(struct group *group, const struct record *record)
{
    group->spans_begin = 0;
    group->spans_end = 0;
    group->base_index = record->base_index;
    group->base_term = record->base_term;
    group->last_index = record->base_index;
    group->last_term = record->base_term;
}

static bool remember_change(struct groups *groups, uint64_t id)
{
    if (groups->changed_count > 0 && groups->changed[groups->changed_count - 1] == id) {
        return true;
    }
    if (!reserve(groups, (void **)&groups->changed, groups->changed_count,
                 &groups->changed_capacity, sizeof(*groups->changed))) {
        return false;
    }
    groups->changed[groups->changed_count++] = id;
    return true;
}

static const char *follow_record(struct groups *groups, const struct body_place *place,
                                 const struct record *record, uint64_t *wrong_at)
{
    if (record->kind == RECORD_DESTROY) {
        destroy(groups, record->group);
        return NULL;
    }
    struct group *group = find_or_make(groups, record->group);
    if (group == NULL || !remember_change(groups, record->group)) {
        return no_memory;
    }
    switch (record->kind) {
    case RECORD_ENTRIES:
    case RECORD_COPY: {
        uint64_t at = place->offset + (uint64_t)(record->entries.data - place->body.data);
        return follow_entries(groups, group, record, place->segment, at, wrong_at);
    }
    case RECORD_HARD_STATE:
        group->term = record->term;
        group->vote = record->vote;
        group->commit = record->commit;
        return NULL;
    case RECORD_PURGE:
        return follow_purge(group, record);
    case RECORD_RESET:
        follow_reset(group, record);
        return NULL;
    case RECORD_GROUP:
    case RECORD_DESTROY:
        break;
    }
    return "a record that cannot be here";
}

const char *groups_follow(struct groups *groups, const struct body_place *place, uint64_t *wrong_at)
{
    groups->changed_count = 0;
    struct reader reader = reader_of(place->body);
    while (!reader_is_done(&reader)) {
        *wrong_at = place->offset + (uint64_t)(reader.at - place->body.data);
        struct record record;
        const char *wrong = record_read(&reader, FRAME_RECORDS, &record);
        if (wrong == NULL) {
            wrong = follow_record(groups, place, &record, wrong_at);
        }
        if (wrong != NULL) {
            return wrong;
        }
    }
    for (size_t i = 0; i < groups->changed_count; i++) {
        const struct group *group = groups_find(groups, groups->changed[i]);
        if (group != NULL && group->commit > group->last_index) {
            return "a group's commit index is past its last entry at the end of the frame";
        }
    }
    return NULL;
}

bool group_missing(const struct group *group, uint64_t *index)
{
    uint64_t next = group->base_index + 1;
    for (size_t i = group->spans_begin; i < group->spans_end; i++) {
        if (group->spans[i].first > next) {
            break;
        }
        next = span_end(&group->spans[i]);
    }
    *index = next;
    return next <= group->last_index;
}
