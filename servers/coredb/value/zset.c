/*
 * Sorted sets: the sub-keys of members and visits of ranges. Counts of ranges are zset_count.c's.
 *
 * The order's key holds 0 for both zeros, since they compare equal; the value of the order's
 * sub-key is empty, or one byte for a negative zero.
 */
#include "coredb/value/zset.h"

#include "coredb/base/bytes.h"
#include "coredb/value/layout.h"
#include "coredb/value/named.h"

#include <math.h>
#include <string.h>

enum {
    ORDER_FIXED_BYTES = 17, /* kind, object, score; the member follows */
    REMOVE_PORTION = 1000,  /* members removed between two visits */
    COPY_PORTION_BYTES = 1 << 20,
};

static const uint64_t sign_bit = (uint64_t)1 << 63;

uint64_t zset_score_encode(double score)
{
    uint64_t bits = 0;
    memcpy(&bits, &score, sizeof bits);
    return (bits & sign_bit) != 0 ? ~bits : bits | sign_bit;
}

double zset_score_decode(uint64_t encoded)
{
    uint64_t bits = (encoded & sign_bit) != 0 ? encoded & ~sign_bit : ~encoded;
    double score = 0;
    memcpy(&score, &bits, sizeof score);
    return score;
}

/* ---- Sub-keys ---- */

static struct named members_of(const struct key *key)
{
    return (struct named){LAYOUT_ZSET, key->object};
}

static void order_prefix(struct buffer *out, const struct key *key, uint64_t score)
{
    layout_object(out, LAYOUT_ZSET_ORDER, key->object);
    buffer_put_u64(out, score);
}

static void order_key(struct buffer *out, const struct key *key, double score, rr_bytes member)
{
    order_prefix(out, key, zset_score_encode(score == 0 ? 0.0 : score));
    buffer_append_bytes(out, member);
}

static bool is_negative_zero(double score)
{
    return score == 0 && signbit(score) != 0;
}

static void order_put(struct store *store, struct key *key, double score, rr_bytes member)
{
    order_key(&store->key, key, score, member);
    rr_bytes value = is_negative_zero(score) ? bytes_of("-") : bytes_of("");
    store_put(store, buffer_bytes(&store->key), value);
}

static void order_delete(struct store *store, struct key *key, double score, rr_bytes member)
{
    order_key(&store->key, key, score, member);
    store_delete(store, buffer_bytes(&store->key));
}

/* Reads a pair of the order. */
static rr_bytes order_decode(rr_bytes stored_key, rr_bytes value, double *score)
{
    *score = zset_score_decode(layout_u64_at(stored_key, ORDER_FIXED_BYTES - sizeof(uint64_t)));
    if (*score == 0 && value.size != 0) {
        *score = -0.0;
    }
    const uint8_t *data = stored_key.data;
    return (rr_bytes){data + ORDER_FIXED_BYTES, stored_key.size - ORDER_FIXED_BYTES};
}

static void member_put(struct store *store, const struct key *key, rr_bytes member, double score)
{
    uint8_t bytes[sizeof(uint64_t)];
    uint64_t encoded = zset_score_encode(score);
    for (size_t i = 0; i < sizeof bytes; i++) {
        bytes[i] = (uint8_t)(encoded >> (56 - 8 * i));
    }
    named_write(store, members_of(key), member, (rr_bytes){bytes, sizeof bytes});
}

/* ---- One member ---- */

bool zset_find(struct store *store, const struct key *key, rr_bytes member, double *score)
{
    rr_bytes value;
    if (key->type != VALUE_ZSET || member.size > STORE_KEY_BYTES_MAX ||
        !named_get(store, members_of(key), member, &value)) {
        return false;
    }
    if (value.size != sizeof(uint64_t)) {
        store_fail(store, RR_CORRUPT);
        return false;
    }
    if (score != NULL) {
        *score = zset_score_decode(layout_u64_at(value, 0));
    }
    return true;
}

/* A listpack keeps whole numbers as integers, where a negative zero is lost. */
static double as_encoding_keeps(const struct key *key, double score)
{
    return key->encoding == ENCODING_LISTPACK && score == 0 ? 0.0 : score;
}

void zset_add(struct store *store, struct key *key, rr_bytes member, double score)
{
    if (member.size > STORE_KEY_BYTES_MAX) {
        store_fail(store, RR_TOO_BIG);
        return;
    }
    key->count++;
    if (key->count > ZSET_LISTPACK_ENTRIES || member.size > ZSET_LISTPACK_VALUE) {
        key->encoding = ENCODING_SKIPLIST;
    }
    double kept = as_encoding_keeps(key, score);
    member_put(store, key, member, kept);
    order_put(store, key, kept, member);
}

void zset_change(struct store *store, struct key *key, rr_bytes member, double old, double score)
{
    double kept = as_encoding_keeps(key, score);
    order_delete(store, key, old, member);
    member_put(store, key, member, kept);
    order_put(store, key, kept, member);
}

void zset_remove(struct store *store, struct key *key, rr_bytes member, double score)
{
    order_delete(store, key, score, member);
    named_delete(store, members_of(key), member);
    key->count--;
}

/* ---- Visits ---- */

struct visit {
    const struct zset_range *range;
    zset_visit_fn visit;
    void *arg;
    uint64_t skip; /* by rank: members to pass before the first; else 0 */
    uint64_t left; /* by rank: members to visit */
    bool reverse;
    bool started; /* by member over several scores: the first one was found */
};

static bool visit_pair(void *arg, rr_bytes stored_key, rr_bytes value)
{
    struct visit *visit = arg;
    if (visit->skip > 0) {
        visit->skip--;
        return true;
    }
    double score;
    rr_bytes member = order_decode(stored_key, value, &score);
    visit->left--;
    return visit->visit(visit->arg, member, score) && visit->left > 0;
}

/* Visits the order from `from` to before `to`; frees both. */
static void visit_between(struct store *store, struct buffer *from, struct buffer *to,
                          struct visit *visit, rr_visit_fn visitor)
{
    if (from->failed || to->failed) {
        store_fail(store, RR_NO_MEMORY);
    } else {
        store_range(store, buffer_bytes(from), buffer_bytes(to), visit->reverse, visitor, visit);
    }
    buffer_deinit(from);
    buffer_deinit(to);
}

/* The bounds of the whole order. */
static void whole_order(const struct key *key, struct buffer *from, struct buffer *to)
{
    buffer_init(from);
    buffer_init(to);
    order_prefix(from, key, 0);
    order_prefix(to, key, zset_score_encode(HUGE_VAL) + 1);
}

static void visit_ranks(struct store *store, const struct key *key, const struct visit *wanted)
{
    struct visit visit = *wanted;
    uint64_t last = visit.range->last < key->count ? visit.range->last : key->count - 1;
    if (key->count == 0 || visit.range->first > last) {
        return;
    }
    visit.left = last - visit.range->first + 1;
    visit.skip = visit.reverse ? key->count - 1 - last : visit.range->first;
    struct buffer from;
    struct buffer to;
    whole_order(key, &from, &to);
    visit_between(store, &from, &to, &visit, visit_pair);
}

static void visit_scores(struct store *store, const struct key *key, const struct visit *wanted)
{
    const struct zset_bound *min = &wanted->range->min;
    const struct zset_bound *max = &wanted->range->max;
    if (min->score > max->score || (min->score == max->score && (min->open || max->open))) {
        return;
    }
    struct visit visit = *wanted;
    struct buffer from;
    struct buffer to;
    buffer_init(&from);
    buffer_init(&to);
    order_key(&from, key, min->score, bytes_of(""));
    order_key(&to, key, max->score, bytes_of(""));
    if (min->open) {
        layout_end(&from);
    }
    if (!max->open) {
        layout_end(&to);
    }
    visit_between(store, &from, &to, &visit, visit_pair);
}

/* ---- By member ---- */

static bool is_above_min(const struct zset_bound *min, rr_bytes member)
{
    if (min->unlimited || min->nothing) {
        return min->unlimited;
    }
    int order = bytes_compare(member, min->member);
    return min->open ? order > 0 : order >= 0;
}

static bool is_below_max(const struct zset_bound *max, rr_bytes member)
{
    if (max->unlimited || max->nothing) {
        return max->unlimited;
    }
    int order = bytes_compare(member, max->member);
    return max->open ? order < 0 : order <= 0;
}

static bool visit_pair_filtered(void *arg, rr_bytes stored_key, rr_bytes value)
{
    struct visit *visit = arg;
    double score;
    rr_bytes member = order_decode(stored_key, value, &score);
    bool above = is_above_min(&visit->range->min, member);
    bool below = is_below_max(&visit->range->max, member);
    bool beyond = visit->reverse ? !above : !below;
    if (!visit->started && !(visit->reverse ? below : above)) {
        return true;
    }
    visit->started = true;
    return !beyond && visit->visit(visit->arg, member, score);
}

/* What the ends of a set look like. */
struct ends {
    double first_score;
    double last_score;
    bool first_below; /* the first member is below the maximum */
    bool last_above;  /* the last member is above the minimum */
};

struct ends_visit {
    const struct zset_range *range;
    struct ends *ends;
    bool last;
};

static bool visit_end(void *arg, rr_bytes stored_key, rr_bytes value)
{
    struct ends_visit *visit = arg;
    double score;
    rr_bytes member = order_decode(stored_key, value, &score);
    if (visit->last) {
        visit->ends->last_score = score;
        visit->ends->last_above = is_above_min(&visit->range->min, member);
    } else {
        visit->ends->first_score = score;
        visit->ends->first_below = is_below_max(&visit->range->max, member);
    }
    return false;
}

static struct ends read_ends(struct store *store, const struct key *key,
                             const struct zset_range *range)
{
    struct ends ends = {0, 0, false, false};
    struct buffer from;
    struct buffer to;
    whole_order(key, &from, &to);
    struct ends_visit visit = {range, &ends, false};
    store_range(store, buffer_bytes(&from), buffer_bytes(&to), false, visit_end, &visit);
    visit.last = true;
    store_range(store, buffer_bytes(&from), buffer_bytes(&to), true, visit_end, &visit);
    buffer_deinit(&from);
    buffer_deinit(&to);
    return ends;
}

static bool is_empty_lex(const struct zset_range *range)
{
    const struct zset_bound *min = &range->min;
    const struct zset_bound *max = &range->max;
    if (min->nothing || max->nothing) {
        return true;
    }
    if (min->unlimited || max->unlimited) {
        return false;
    }
    int order = bytes_compare(min->member, max->member);
    return order > 0 || (order == 0 && (min->open || max->open));
}

static void visit_members(struct store *store, const struct key *key, const struct visit *wanted)
{
    const struct zset_range *range = wanted->range;
    if (is_empty_lex(range)) {
        return;
    }
    struct ends ends = read_ends(store, key, range);
    if (!ends.first_below || !ends.last_above) {
        return;
    }
    struct visit visit = *wanted;
    struct buffer from;
    struct buffer to;
    if (ends.first_score != ends.last_score) {
        whole_order(key, &from, &to);
        visit_between(store, &from, &to, &visit, visit_pair_filtered);
        return;
    }
    buffer_init(&from);
    buffer_init(&to);
    order_key(&from, key, ends.first_score,
              range->min.unlimited ? bytes_of("") : range->min.member);
    order_key(&to, key, ends.first_score, range->max.unlimited ? bytes_of("") : range->max.member);
    if (!range->min.unlimited && range->min.open) {
        buffer_append_byte(&from, 0);
    }
    if (range->max.unlimited) {
        layout_end(&to);
    } else if (!range->max.open) {
        buffer_append_byte(&to, 0);
    }
    visit_between(store, &from, &to, &visit, visit_pair);
}

void zset_visit(struct store *store, const struct key *key, const struct zset_range *range,
                bool reverse, zset_visit_fn visit, void *arg)
{
    if (key->type != VALUE_ZSET) {
        return;
    }
    struct visit wanted = {
        .range = range, .visit = visit, .arg = arg, .left = UINT64_MAX, .reverse = reverse};
    switch (range->kind) {
    case ZSET_BY_RANK:
        visit_ranks(store, key, &wanted);
        return;
    case ZSET_BY_SCORE:
        visit_scores(store, key, &wanted);
        return;
    case ZSET_BY_LEX:
        visit_members(store, key, &wanted);
        return;
    }
}

void zset_visit_all(struct store *store, const struct key *key, zset_visit_fn visit, void *arg)
{
    struct zset_range all = {.kind = ZSET_BY_RANK, .last = UINT64_MAX};
    zset_visit(store, key, &all, false, visit, arg);
}

/* ---- Counting and removing ---- */

static bool count_one(void *arg, rr_bytes member, double score)
{
    (void)member;
    (void)score;
    uint64_t *count = arg;
    (*count)++;
    return true;
}

uint64_t zset_count(struct store *store, const struct key *key, const struct zset_range *range)
{
    uint64_t count = 0;
    zset_visit(store, key, range, false, count_one, &count);
    return count;
}

uint64_t zset_rank(struct store *store, const struct key *key, rr_bytes member, double score)
{
    struct zset_range range = {.kind = ZSET_BY_RANK, .last = UINT64_MAX};
    struct visit visit = {.range = &range, .visit = count_one, .left = UINT64_MAX};
    uint64_t rank = 0;
    visit.arg = &rank;
    struct buffer from;
    struct buffer to;
    buffer_init(&from);
    buffer_init(&to);
    order_prefix(&from, key, 0);
    order_key(&to, key, score, member);
    visit_between(store, &from, &to, &visit, visit_pair);
    return rank;
}

static bool is_everything(const struct key *key, const struct zset_range *range)
{
    switch (range->kind) {
    case ZSET_BY_RANK:
        return range->first == 0 && range->last >= key->count - 1;
    case ZSET_BY_SCORE:
        return range->min.score == -HUGE_VAL && !range->min.open && range->max.score == HUGE_VAL &&
               !range->max.open;
    case ZSET_BY_LEX:
        return range->min.unlimited && range->max.unlimited;
    }
    return false;
}

struct portion {
    struct named_list list; /* member -> its encoded score */
};

static bool collect_portion(void *arg, rr_bytes member, double score)
{
    struct portion *portion = arg;
    uint64_t encoded = zset_score_encode(score);
    named_list_add(&portion->list, member, (rr_bytes){&encoded, sizeof encoded});
    return portion->list.count < REMOVE_PORTION && !named_list_failed(&portion->list);
}

static void remove_portion(struct store *store, struct key *key, const struct portion *portion)
{
    for (size_t i = 0; i < portion->list.count; i++) {
        rr_bytes value;
        rr_bytes member = named_list_at(&portion->list, i, &value);
        uint64_t encoded = 0;
        memcpy(&encoded, value.data, sizeof encoded);
        zset_remove(store, key, member, zset_score_decode(encoded));
    }
}

uint64_t zset_remove_range(struct store *store, struct key *key, const struct zset_range *range)
{
    uint64_t before = key->count;
    if (key->type != VALUE_ZSET || before == 0) {
        return 0;
    }
    if (is_everything(key, range)) {
        key_drop_object(store, VALUE_ZSET, key->object, key->count);
        key->count = 0;
        return before;
    }
    struct zset_range left = *range;
    struct portion portion;
    named_list_init(&portion.list);
    do {
        named_list_clear(&portion.list);
        zset_visit(store, key, &left, false, collect_portion, &portion);
        if (named_list_failed(&portion.list)) {
            store_fail(store, RR_NO_MEMORY);
            break;
        }
        remove_portion(store, key, &portion);
        if (left.kind == ZSET_BY_RANK && left.last < portion.list.count) {
            break;
        }
        left.last -= portion.list.count;
    } while (portion.list.count == REMOVE_PORTION && store->failure == RR_OK);
    named_list_deinit(&portion.list);
    return before - key->count;
}

/* ---- Copying ---- */

struct copying {
    struct named_list list;
    struct buffer last; /* the last key that was visited */
};

static bool collect_pair(void *arg, rr_bytes stored_key, rr_bytes value)
{
    struct copying *copying = arg;
    named_list_add(&copying->list, stored_key, value);
    return copying->list.bytes.size < COPY_PORTION_BYTES && !named_list_failed(&copying->list);
}

static void copy_pair(struct store *store, rr_bytes stored_key, rr_bytes value,
                      enum layout_kind kind, uint64_t to)
{
    layout_object(&store->key, kind, to);
    size_t prefix = store->key.size;
    buffer_append(&store->key, (const uint8_t *)stored_key.data + prefix, stored_key.size - prefix);
    store_put(store, buffer_bytes(&store->key), value);
}

static void copy_kind(struct store *store, enum layout_kind kind, uint64_t from, uint64_t to)
{
    struct copying copying;
    struct buffer end;
    named_list_init(&copying.list);
    buffer_init(&copying.last);
    buffer_init(&end);
    layout_object(&copying.last, kind, from);
    layout_object(&end, kind, from);
    layout_end(&end);
    do {
        named_list_clear(&copying.list);
        store_range(store, buffer_bytes(&copying.last), buffer_bytes(&end), false, collect_pair,
                    &copying);
        rr_bytes stored_key = {NULL, 0};
        for (size_t i = 0; i < copying.list.count; i++) {
            rr_bytes value;
            stored_key = named_list_at(&copying.list, i, &value);
            copy_pair(store, stored_key, value, kind, to);
        }
        buffer_clear(&copying.last);
        buffer_append_bytes(&copying.last, stored_key);
        buffer_append_byte(&copying.last, 0);
        if (named_list_failed(&copying.list) || copying.last.failed || end.failed) {
            store_fail(store, RR_NO_MEMORY);
        }
    } while (copying.list.count > 0 && store->failure == RR_OK);
    named_list_deinit(&copying.list);
    buffer_deinit(&copying.last);
    buffer_deinit(&end);
}

void zset_copy(struct store *store, uint64_t from, uint64_t to)
{
    copy_kind(store, LAYOUT_ZSET, from, to);
    copy_kind(store, LAYOUT_ZSET_ORDER, from, to);
}
