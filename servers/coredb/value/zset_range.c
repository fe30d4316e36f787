/*
 * Ranges of sorted sets: visiting, counting, removing.
 *
 * Every range but one becomes a stretch of the order, from one key to before another. The exception
 * is a range by member over several scores, which is filtered.
 */
#include "coredb/base/bytes.h"
#include "coredb/value/layout.h"
#include "coredb/value/zset_counts.h"
#include "coredb/value/zset_private.h"

#include <math.h>
#include <string.h>

enum { REMOVE_PORTION = 1000 }; /* members removed between two visits */

/* Part of the order: keys from `from` to before `to`. */
struct stretch {
    struct buffer from;
    struct buffer to;
};

/* The whole order. */
static void stretch_init(struct stretch *stretch, const struct key *key)
{
    buffer_init(&stretch->from);
    buffer_init(&stretch->to);
    layout_object(&stretch->from, LAYOUT_ZSET_ORDER, key->object);
    zset_order_key(&stretch->to, key, HUGE_VAL, bytes_of(""));
    layout_end(&stretch->to);
}

static void stretch_deinit(struct stretch *stretch)
{
    buffer_deinit(&stretch->from);
    buffer_deinit(&stretch->to);
}

static void stretch_visit(struct store *store, const struct stretch *stretch, bool reverse,
                          rr_visit_fn visit, void *arg)
{
    if (stretch->from.failed || stretch->to.failed) {
        store_fail(store, RR_NO_MEMORY);
        return;
    }
    store_range(store, buffer_bytes(&stretch->from), buffer_bytes(&stretch->to), reverse, visit,
                arg);
}

static bool count_pair(void *arg, rr_bytes stored_key, rr_bytes value)
{
    (void)stored_key;
    (void)value;
    uint64_t *count = arg;
    (*count)++;
    return true;
}

/* How many members stand before `tail`. */
static uint64_t position_of(struct store *store, const struct key *key, rr_bytes tail)
{
    struct zset_leaf leaf;
    zset_counts_find(store, key, tail, &leaf);
    struct stretch stretch;
    stretch_init(&stretch, key);
    layout_object(&stretch.from, LAYOUT_ZSET_ORDER, key->object);
    buffer_append_bytes(&stretch.from, buffer_bytes(&leaf.from));
    layout_object(&stretch.to, LAYOUT_ZSET_ORDER, key->object);
    buffer_append_bytes(&stretch.to, tail);
    uint64_t count = 0;
    stretch_visit(store, &stretch, false, count_pair, &count);
    count += leaf.before;
    stretch_deinit(&stretch);
    zset_leaf_deinit(&leaf);
    return count;
}

uint64_t zset_rank(struct store *store, const struct key *key, rr_bytes member, double score)
{
    struct buffer order_key;
    buffer_init(&order_key);
    zset_order_key(&order_key, key, score, member);
    uint64_t rank = 0;
    if (order_key.failed) {
        store_fail(store, RR_NO_MEMORY);
    } else {
        rank = position_of(store, key, zset_order_tail(&order_key));
    }
    buffer_deinit(&order_key);
    return rank;
}

/* ---- Ranges as stretches ---- */

static bool is_empty_score_range(const struct zset_range *range)
{
    const struct zset_bound *min = &range->min;
    const struct zset_bound *max = &range->max;
    return min->score > max->score || (min->score == max->score && (min->open || max->open));
}

static void narrow_to_scores(struct stretch *stretch, const struct key *key,
                             const struct zset_range *range)
{
    zset_order_key(&stretch->from, key, range->min.score, bytes_of(""));
    if (range->min.open) {
        layout_end(&stretch->from);
    }
    zset_order_key(&stretch->to, key, range->max.score, bytes_of(""));
    if (!range->max.open) {
        layout_end(&stretch->to);
    }
}

/* All members have this score. */
static void narrow_to_members(struct stretch *stretch, const struct key *key,
                              const struct zset_range *range, double score)
{
    if (!range->min.unlimited) {
        zset_order_key(&stretch->from, key, score, range->min.member);
        if (range->min.open) {
            buffer_append_byte(&stretch->from, 0);
        }
    }
    if (!range->max.unlimited) {
        zset_order_key(&stretch->to, key, score, range->max.member);
        if (!range->max.open) {
            buffer_append_byte(&stretch->to, 0);
        }
    }
}

/* Moves an end of the stretch close to a rank and returns how many members yet to skip. */
static uint64_t narrow_to_rank(struct store *store, struct stretch *stretch, const struct key *key,
                               uint64_t rank, bool reverse)
{
    struct zset_leaf leaf;
    zset_counts_at(store, key, rank, &leaf);
    uint64_t skip = rank - leaf.before;
    if (!reverse) {
        layout_object(&stretch->from, LAYOUT_ZSET_ORDER, key->object);
        buffer_append_bytes(&stretch->from, buffer_bytes(&leaf.from));
    } else {
        skip = leaf.before + leaf.count - 1 - rank;
        layout_object(&stretch->to, LAYOUT_ZSET_ORDER, key->object);
        buffer_append_bytes(&stretch->to, buffer_bytes(&leaf.to));
    }
    zset_leaf_deinit(&leaf);
    return skip;
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
    rr_bytes member = zset_order_decode(stored_key, value, &score);
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
    struct stretch stretch;
    stretch_init(&stretch, key);
    struct ends_visit visit = {range, &ends, false};
    stretch_visit(store, &stretch, false, visit_end, &visit);
    visit.last = true;
    stretch_visit(store, &stretch, true, visit_end, &visit);
    stretch_deinit(&stretch);
    return ends;
}

static bool is_empty_member_range(const struct zset_range *range)
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

/* ---- Visits ---- */

struct visit {
    const struct zset_range *range;
    bool reverse;
    zset_visit_fn visit;
    void *arg;
    uint64_t skip; /* members to pass before the first */
    uint64_t left; /* members to visit at most */
    bool started;  /* when filtering: the first one was found */
};

static bool visit_pair(void *arg, rr_bytes stored_key, rr_bytes value)
{
    struct visit *visit = arg;
    if (visit->skip > 0) {
        visit->skip--;
        return true;
    }
    double score;
    rr_bytes member = zset_order_decode(stored_key, value, &score);
    visit->left--;
    return visit->visit(visit->arg, member, score) && visit->left > 0;
}

static bool visit_pair_filtered(void *arg, rr_bytes stored_key, rr_bytes value)
{
    struct visit *visit = arg;
    double score;
    rr_bytes member = zset_order_decode(stored_key, value, &score);
    bool above = is_above_min(&visit->range->min, member);
    bool below = is_below_max(&visit->range->max, member);
    bool beyond = visit->reverse ? !above : !below;
    if (!visit->started && !(visit->reverse ? below : above)) {
        return true;
    }
    visit->started = true;
    return !beyond && visit->visit(visit->arg, member, score);
}

static void visit_ranks(struct store *store, const struct key *key, struct visit *visit,
                        struct stretch *stretch)
{
    const struct zset_range *range = visit->range;
    if (key->count == 0) {
        return;
    }
    uint64_t last = range->last < key->count ? range->last : key->count - 1;
    if (range->first > last) {
        return;
    }
    visit->left = last - range->first + 1;
    visit->skip =
        narrow_to_rank(store, stretch, key, visit->reverse ? last : range->first, visit->reverse);
    stretch_visit(store, stretch, visit->reverse, visit_pair, visit);
}

static void visit_scores(struct store *store, const struct key *key, struct visit *visit,
                         struct stretch *stretch)
{
    if (!is_empty_score_range(visit->range)) {
        narrow_to_scores(stretch, key, visit->range);
        stretch_visit(store, stretch, visit->reverse, visit_pair, visit);
    }
}

static void visit_members(struct store *store, const struct key *key, struct visit *visit,
                          struct stretch *stretch)
{
    if (is_empty_member_range(visit->range)) {
        return;
    }
    struct ends ends = read_ends(store, key, visit->range);
    if (!ends.first_below || !ends.last_above) {
        return;
    }
    bool filtered = ends.first_score != ends.last_score;
    if (!filtered) {
        narrow_to_members(stretch, key, visit->range, ends.first_score);
    }
    stretch_visit(store, stretch, visit->reverse, filtered ? visit_pair_filtered : visit_pair,
                  visit);
}

void zset_visit(struct store *store, const struct key *key, const struct zset_range *range,
                bool reverse, zset_visit_fn visit, void *arg)
{
    if (key->type != VALUE_ZSET) {
        return;
    }
    struct visit state = {
        .range = range, .reverse = reverse, .visit = visit, .arg = arg, .left = UINT64_MAX};
    struct stretch stretch;
    stretch_init(&stretch, key);
    switch (range->kind) {
    case ZSET_BY_RANK:
        visit_ranks(store, key, &state, &stretch);
        break;
    case ZSET_BY_SCORE:
        visit_scores(store, key, &state, &stretch);
        break;
    case ZSET_BY_LEX:
        visit_members(store, key, &state, &stretch);
        break;
    }
    stretch_deinit(&stretch);
}

void zset_visit_all(struct store *store, const struct key *key, zset_visit_fn visit, void *arg)
{
    struct zset_range all = {.kind = ZSET_BY_RANK, .last = UINT64_MAX};
    zset_visit(store, key, &all, false, visit, arg);
}

/* ---- Counting ---- */

static bool count_member(void *arg, rr_bytes member, double score)
{
    (void)member;
    (void)score;
    uint64_t *count = arg;
    (*count)++;
    return true;
}

/* The members in the stretch, by the counts. */
static uint64_t count_stretch(struct store *store, const struct key *key,
                              const struct stretch *stretch)
{
    if (stretch->from.failed || stretch->to.failed) {
        store_fail(store, RR_NO_MEMORY);
        return 0;
    }
    uint64_t before = position_of(store, key, zset_order_tail(&stretch->from));
    uint64_t until = position_of(store, key, zset_order_tail(&stretch->to));
    return until > before ? until - before : 0;
}

uint64_t zset_count(struct store *store, const struct key *key, const struct zset_range *range)
{
    uint64_t count = 0;
    if (!zset_counts_exist(key)) {
        zset_visit(store, key, range, false, count_member, &count);
        return count;
    }
    struct ends ends = read_ends(store, key, range);
    struct stretch stretch;
    stretch_init(&stretch, key);
    if (range->kind == ZSET_BY_SCORE && !is_empty_score_range(range)) {
        narrow_to_scores(&stretch, key, range);
        count = count_stretch(store, key, &stretch);
    } else if (range->kind == ZSET_BY_LEX && !is_empty_member_range(range) &&
               ends.first_score == ends.last_score) {
        narrow_to_members(&stretch, key, range, ends.first_score);
        count = count_stretch(store, key, &stretch);
    } else {
        zset_visit(store, key, range, false, count_member, &count);
    }
    stretch_deinit(&stretch);
    return count;
}

/* ---- Removing ---- */

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
