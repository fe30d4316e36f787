/* Counts over the order of a large sorted set. */
#include "coredb/value/zset_counts.h"

#include "coredb/base/bytes.h"
#include "coredb/value/layout.h"

#include <string.h>

/* Tests build this file with a small one, for trees of many levels. */
#ifndef ZSET_COUNTS_FANOUT
#define ZSET_COUNTS_FANOUT 256
#endif

enum {
    TAIL_OFFSET = 9, /* of an order's key: after kind and object */
    END_OFFSET = 17, /* of a block's key: after kind, object, mark and level */
    BLOCK_BYTES = 12,
    LEVEL_BITS = 8,
    FEWEST = ZSET_COUNTS_FANOUT / 4, /* a set that shrinks below this loses its counts */
    FILL = ZSET_COUNTS_FANOUT / 2,   /* children of a block that is built */
};

/* Where an encoded score would be, with the level added. The mark itself ends all scores. */
static const uint64_t levels_mark = UINT64_MAX - UINT8_MAX;

struct block {
    unsigned level;
    struct buffer end;
    uint64_t elements;
    uint32_t children;
};

static unsigned levels_of(const struct key *key)
{
    return (unsigned)((uint64_t)key->first & UINT8_MAX);
}

/* What the root has: blocks of the highest level, or the members themselves. */
static uint64_t root_children(const struct key *key)
{
    return levels_of(key) == 0 ? key->count : (uint64_t)key->first >> LEVEL_BITS;
}

static void set_root(struct key *key, unsigned levels, uint64_t children)
{
    key->first = (int64_t)(levels == 0 ? 0 : children << LEVEL_BITS | levels);
}

/* ---- Blocks ---- */

static void put_last_end(struct buffer *out)
{
    buffer_clear(out);
    buffer_put_u64(out, levels_mark);
}

static void order_key(struct buffer *out, const struct key *key, rr_bytes tail)
{
    layout_object(out, LAYOUT_ZSET_ORDER, key->object);
    buffer_append_bytes(out, tail);
}

static void block_key(struct buffer *out, const struct key *key, unsigned level, rr_bytes end)
{
    layout_object(out, LAYOUT_ZSET_ORDER, key->object);
    buffer_put_u64(out, levels_mark + level);
    buffer_append_bytes(out, end);
}

/* The smallest key of a block that ends beyond `end`. */
static void block_key_beyond(struct buffer *out, const struct key *key, unsigned level,
                             rr_bytes end)
{
    block_key(out, key, level, end);
    if (end.size > 0) {
        buffer_append_byte(out, 0);
    }
}

static rr_bytes end_of(rr_bytes stored_key)
{
    const uint8_t *data = stored_key.data;
    return (rr_bytes){data + END_OFFSET, stored_key.size - END_OFFSET};
}

static void block_decode(rr_bytes value, uint64_t *elements, uint32_t *children)
{
    struct reader reader = reader_of(value);
    *elements = reader_u64(&reader);
    *children = reader_u32(&reader);
}

static void block_put(struct store *store, const struct key *key, const struct block *block)
{
    uint8_t bytes[BLOCK_BYTES];
    for (size_t i = 0; i < sizeof(uint64_t); i++) {
        bytes[i] = (uint8_t)(block->elements >> (56 - 8 * i));
    }
    for (size_t i = 0; i < sizeof(uint32_t); i++) {
        bytes[sizeof(uint64_t) + i] = (uint8_t)(block->children >> (24 - 8 * i));
    }
    block_key(&store->key, key, block->level, buffer_bytes(&block->end));
    store_put(store, buffer_bytes(&store->key), (rr_bytes){bytes, sizeof bytes});
}

/* Deletes an empty block, and the empty ones below it that share its end. */
static void block_delete(struct store *store, const struct key *key, const struct block *block)
{
    for (unsigned level = block->level; level > 0; level--) {
        block_key(&store->key, key, level, buffer_bytes(&block->end));
        store_delete(store, buffer_bytes(&store->key));
    }
}

/* Part of the sub-keys of a set. */
struct span {
    struct buffer from;
    struct buffer to;
};

static void span_init(struct span *span)
{
    buffer_init(&span->from);
    buffer_init(&span->to);
}

static void span_visit(struct store *store, const struct span *span, bool reverse,
                       rr_visit_fn visit, void *arg)
{
    if (span->from.failed || span->to.failed) {
        store_fail(store, RR_NO_MEMORY);
        return;
    }
    store_range(store, buffer_bytes(&span->from), buffer_bytes(&span->to), reverse, visit, arg);
}

static void span_deinit(struct span *span)
{
    buffer_deinit(&span->from);
    buffer_deinit(&span->to);
}

static bool read_block(void *arg, rr_bytes stored_key, rr_bytes value)
{
    struct block *block = arg;
    buffer_append_bytes(&block->end, end_of(stored_key));
    block_decode(value, &block->elements, &block->children);
    return false;
}

/* Reads the block of the level that `tail` belongs to, into one that is initialised. Forwards: its
 * record changes often, and backwards RocksDB would pass all of its past versions. */
static void block_find(struct store *store, const struct key *key, unsigned level, rr_bytes tail,
                       struct block *out)
{
    struct span span;
    span_init(&span);
    block_key_beyond(&span.from, key, level, tail);
    block_key(&span.to, key, level + 1, bytes_of(""));
    out->level = level;
    buffer_clear(&out->end);
    span_visit(store, &span, false, read_block, out);
    if (out->end.failed) {
        store_fail(store, RR_NO_MEMORY);
    }
    span_deinit(&span);
}

/* ---- Splitting ---- */

struct halving {
    uint32_t left;      /* children of the upper half yet to be passed */
    uint64_t elements;  /* in those that were */
    struct buffer *end; /* of the lower half */
};

/* The lower half of a leaf ends before the first member of the upper. */
static bool pass_member(void *arg, rr_bytes stored_key, rr_bytes value)
{
    struct halving *halving = arg;
    (void)value;
    halving->elements++;
    halving->left--;
    if (halving->left == 0) {
        const uint8_t *data = stored_key.data;
        buffer_append(halving->end, data + TAIL_OFFSET, stored_key.size - TAIL_OFFSET);
    }
    return halving->left > 0;
}

static bool pass_child(void *arg, rr_bytes stored_key, rr_bytes value)
{
    struct halving *halving = arg;
    if (halving->left == 0) {
        buffer_append_bytes(halving->end, end_of(stored_key));
        return false;
    }
    uint64_t elements;
    uint32_t children;
    block_decode(value, &elements, &children);
    halving->elements += elements;
    halving->left--;
    return true;
}

/* Gives the lower half of the children of `block` to `lower`, which is initialised. */
static void halve(struct store *store, const struct key *key, struct block *block,
                  struct block *lower)
{
    uint32_t upper = block->children - block->children / 2;
    struct halving halving = {upper, 0, &lower->end};
    bool leaf = block->level == 1;
    rr_bytes end = buffer_bytes(&block->end);
    struct span span;
    span_init(&span);
    if (leaf) {
        order_key(&span.from, key, bytes_of(""));
        order_key(&span.to, key, end);
    } else {
        block_key(&span.from, key, block->level - 1, bytes_of(""));
        block_key_beyond(&span.to, key, block->level - 1, end);
    }
    span_visit(store, &span, true, leaf ? pass_member : pass_child, &halving);
    if (lower->end.failed) {
        store_fail(store, RR_NO_MEMORY);
    }
    span_deinit(&span);
    lower->level = block->level;
    lower->elements = block->elements - halving.elements;
    lower->children = block->children - upper;
    block->elements = halving.elements;
    block->children = upper;
}

static void put_halves(struct store *store, const struct key *key, struct block *block)
{
    struct block lower = {0};
    buffer_init(&lower.end);
    halve(store, key, block, &lower);
    block_put(store, key, &lower);
    block_put(store, key, block);
    buffer_deinit(&lower.end);
}

/* Puts a level of two blocks between the root and its children. */
static void grow(struct store *store, struct key *key)
{
    struct block whole = {.level = levels_of(key) + 1,
                          .elements = key->count,
                          .children = (uint32_t)root_children(key)};
    buffer_init(&whole.end);
    put_last_end(&whole.end);
    put_halves(store, key, &whole);
    set_root(key, whole.level, 2);
    buffer_deinit(&whole.end);
}

/* ---- Changes ---- */

void zset_counts_add(struct store *store, struct key *key, rr_bytes tail)
{
    struct block block = {0};
    buffer_init(&block.end);
    uint32_t added = 1; /* children that the level below got */
    unsigned levels = levels_of(key);
    for (unsigned level = 1; level <= levels; level++) {
        block_find(store, key, level, tail, &block);
        block.elements++;
        block.children += added;
        added = block.children > ZSET_COUNTS_FANOUT ? 1 : 0;
        if (added > 0) {
            put_halves(store, key, &block);
        } else {
            block_put(store, key, &block);
        }
    }
    if (levels > 0) {
        set_root(key, levels, root_children(key) + added);
    }
    if (root_children(key) > ZSET_COUNTS_FANOUT) {
        grow(store, key);
    }
    buffer_deinit(&block.end);
}

static void drop_counts(struct store *store, struct key *key)
{
    struct buffer prefix;
    buffer_init(&prefix);
    for (unsigned level = 1; level <= levels_of(key); level++) {
        block_key(&prefix, key, level, bytes_of(""));
        store_delete_prefix(store, buffer_bytes(&prefix), SIZE_MAX);
    }
    buffer_deinit(&prefix);
    set_root(key, 0, 0);
}

/* Puts or deletes `child`, which lost its last member, as the last child of `parent` or another. */
static void settle_empty(struct store *store, const struct key *key, const struct block *child,
                         struct block *parent)
{
    if (bytes_equal(buffer_bytes(&child->end), buffer_bytes(&parent->end))) {
        block_put(store, key, child);
    } else {
        block_delete(store, key, child);
        parent->children--;
    }
}

void zset_counts_remove(struct store *store, struct key *key, rr_bytes tail)
{
    unsigned levels = levels_of(key);
    if (levels == 0) {
        return;
    }
    if (key->count < FEWEST) {
        drop_counts(store, key);
        return;
    }
    struct block blocks[2] = {{0}, {0}};
    buffer_init(&blocks[0].end);
    buffer_init(&blocks[1].end);
    struct block *empty = NULL; /* the block below, not stored yet, if it lost its last member */
    struct block root = {.children = (uint32_t)root_children(key)};
    buffer_init(&root.end);
    put_last_end(&root.end);
    for (unsigned level = 1; level <= levels; level++) {
        struct block *block = &blocks[level % 2];
        block_find(store, key, level, tail, block);
        block->elements--;
        block->children -= level == 1 ? 1 : 0;
        if (empty != NULL) {
            settle_empty(store, key, empty, block);
        }
        empty = block->elements == 0 ? block : NULL;
        if (empty == NULL) {
            block_put(store, key, block);
        }
    }
    if (empty != NULL) {
        settle_empty(store, key, empty, &root);
    }
    set_root(key, levels, root.children);
    buffer_deinit(&blocks[0].end);
    buffer_deinit(&blocks[1].end);
    buffer_deinit(&root.end);
}

/* ---- Building ---- */

/* A level that is being built: its blocks one after another, each as its end, a slice, and its
 * elements and children. */
struct level {
    struct buffer blocks;
    uint64_t count;
    struct block block; /* the last, which is not among them yet */
};

static void level_add(struct level *level, rr_bytes end)
{
    buffer_put_slice(&level->blocks, end);
    buffer_put_u64(&level->blocks, level->block.elements);
    buffer_put_u32(&level->blocks, level->block.children);
    level->block.elements = 0;
    level->block.children = 0;
    level->count++;
}

/* A leaf ends before the first member of the next. */
static bool build_leaf(void *arg, rr_bytes stored_key, rr_bytes value)
{
    struct level *level = arg;
    (void)value;
    if (level->block.children == FILL) {
        const uint8_t *data = stored_key.data;
        level_add(level, (rr_bytes){data + TAIL_OFFSET, stored_key.size - TAIL_OFFSET});
    }
    level->block.elements++;
    level->block.children++;
    return !level->blocks.failed;
}

static void build_leaves(struct store *store, const struct key *key, struct level *out)
{
    struct span span;
    span_init(&span);
    order_key(&span.from, key, bytes_of(""));
    block_key(&span.to, key, 0, bytes_of(""));
    span_visit(store, &span, false, build_leaf, out);
    put_last_end(&out->block.end);
    level_add(out, buffer_bytes(&out->block.end));
    span_deinit(&span);
}

/* Stores the blocks of a level, and makes the level above, which has their ends. */
static void build_above(struct store *store, const struct key *key, unsigned number,
                        const struct level *level, struct level *above)
{
    struct reader reader = reader_of(buffer_bytes(&level->blocks));
    struct block block = {.level = number};
    buffer_init(&block.end);
    for (uint64_t i = 0; i < level->count && store->failure == RR_OK; i++) {
        rr_bytes end = reader_slice(&reader);
        block.elements = reader_u64(&reader);
        block.children = reader_u32(&reader);
        buffer_clear(&block.end);
        buffer_append_bytes(&block.end, end);
        block_put(store, key, &block);
        above->block.elements += block.elements;
        above->block.children++;
        if (above->block.children == FILL || i + 1 == level->count) {
            level_add(above, end);
        }
    }
    if (block.end.failed || above->blocks.failed) {
        store_fail(store, RR_NO_MEMORY);
    }
    buffer_deinit(&block.end);
}

static void level_init(struct level *level)
{
    *level = (struct level){.count = 0};
    buffer_init(&level->blocks);
    buffer_init(&level->block.end);
}

static void level_deinit(struct level *level)
{
    buffer_deinit(&level->blocks);
    buffer_deinit(&level->block.end);
}

void zset_counts_build(struct store *store, struct key *key)
{
    if (key->count <= ZSET_COUNTS_FANOUT) {
        return;
    }
    struct level level;
    level_init(&level);
    build_leaves(store, key, &level);
    unsigned number = 0;
    bool more = true;
    while (more && store->failure == RR_OK) {
        struct level above;
        level_init(&above);
        build_above(store, key, ++number, &level, &above);
        set_root(key, number, level.count);
        more = level.count > ZSET_COUNTS_FANOUT;
        level_deinit(&level);
        level = above;
    }
    level_deinit(&level);
}

/* ---- Search ---- */

struct descent {
    struct zset_leaf *leaf;
    bool by_rank;
    uint64_t rank;
    rr_bytes tail;
};

static bool pass_block(void *arg, rr_bytes stored_key, rr_bytes value)
{
    struct descent *descent = arg;
    struct zset_leaf *leaf = descent->leaf;
    rr_bytes end = end_of(stored_key);
    uint64_t elements;
    uint32_t children;
    block_decode(value, &elements, &children);
    bool found = descent->by_rank ? leaf->before + elements > descent->rank
                                  : bytes_compare(end, descent->tail) > 0;
    struct buffer *edge = found ? &leaf->to : &leaf->from;
    buffer_clear(edge);
    buffer_append_bytes(edge, end);
    leaf->count = elements;
    leaf->before += found ? 0 : elements;
    return !found;
}

static void descend(struct store *store, const struct key *key, struct descent *descent)
{
    struct zset_leaf *leaf = descent->leaf;
    *leaf = (struct zset_leaf){.count = key->count};
    buffer_init(&leaf->from);
    buffer_init(&leaf->to);
    put_last_end(&leaf->to);
    struct span span;
    span_init(&span);
    for (unsigned level = levels_of(key); level > 0 && store->failure == RR_OK; level--) {
        block_key_beyond(&span.from, key, level, buffer_bytes(&leaf->from));
        block_key(&span.to, key, level + 1, bytes_of(""));
        span_visit(store, &span, false, pass_block, descent);
    }
    if (leaf->from.failed || leaf->to.failed) {
        store_fail(store, RR_NO_MEMORY);
    }
    span_deinit(&span);
}

void zset_counts_find(struct store *store, const struct key *key, rr_bytes tail,
                      struct zset_leaf *out)
{
    struct descent descent = {.leaf = out, .tail = tail};
    descend(store, key, &descent);
}

void zset_counts_at(struct store *store, const struct key *key, uint64_t rank,
                    struct zset_leaf *out)
{
    struct descent descent = {.leaf = out, .by_rank = true, .rank = rank};
    descend(store, key, &descent);
}

void zset_leaf_deinit(struct zset_leaf *leaf)
{
    buffer_deinit(&leaf->from);
    buffer_deinit(&leaf->to);
}

/* ---- Checking ---- */

/* Goes over the blocks of one level. */
struct level_check {
    struct store *store;
    const struct key *key;
    unsigned level;
    struct buffer previous; /* the end of the block before */
    uint64_t blocks;
    uint64_t elements;
    bool fine;
};

/* Adds up the children of one block. */
struct range_sum {
    bool leaves;
    uint64_t elements;
    uint64_t children;
    rr_bytes end; /* of the block, and so of its last child */
    bool ended;   /* the last child was seen */
    bool fine;
};

static bool sum_child(void *arg, rr_bytes stored_key, rr_bytes value)
{
    struct range_sum *sum = arg;
    uint64_t elements = 1;
    uint32_t children;
    if (!sum->leaves) {
        block_decode(value, &elements, &children);
        bool shares = bytes_equal(end_of(stored_key), sum->end);
        sum->fine = sum->fine && !sum->ended && (elements > 0 || shares);
        sum->ended = shares;
    }
    sum->elements += elements;
    sum->children++;
    return true;
}

static bool check_block(void *arg, rr_bytes stored_key, rr_bytes value)
{
    struct level_check *check = arg;
    rr_bytes end = end_of(stored_key);
    rr_bytes previous = buffer_bytes(&check->previous);
    uint64_t elements;
    uint32_t children;
    block_decode(value, &elements, &children);
    struct range_sum sum = {.leaves = check->level == 1, .end = end, .fine = true};
    struct span span;
    span_init(&span);
    if (sum.leaves) {
        order_key(&span.from, check->key, previous);
        order_key(&span.to, check->key, end);
    } else {
        block_key_beyond(&span.from, check->key, check->level - 1, previous);
        block_key_beyond(&span.to, check->key, check->level - 1, end);
    }
    span_visit(check->store, &span, false, sum_child, &sum);
    span_deinit(&span);
    bool top = check->level == levels_of(check->key);
    bool last = end.size == sizeof levels_mark && layout_u64_at(end, 0) == levels_mark;
    check->fine = check->fine && sum.fine && (sum.ended || sum.leaves) &&
                  value.size == BLOCK_BYTES && sum.elements == elements &&
                  sum.children == children && children <= ZSET_COUNTS_FANOUT &&
                  (elements > 0 || last || !top);
    check->blocks++;
    check->elements += elements;
    buffer_clear(&check->previous);
    buffer_append_bytes(&check->previous, end);
    return true;
}

static bool check_level(struct store *store, const struct key *key, unsigned level)
{
    struct level_check check = {.store = store, .key = key, .level = level, .fine = true};
    struct buffer prefix;
    struct buffer last;
    buffer_init(&prefix);
    buffer_init(&last);
    buffer_init(&check.previous);
    block_key(&prefix, key, level, bytes_of(""));
    store_prefix(store, buffer_bytes(&prefix), false, check_block, &check);
    put_last_end(&last);
    bool ended = bytes_equal(buffer_bytes(&check.previous), buffer_bytes(&last));
    unsigned levels = levels_of(key);
    buffer_deinit(&prefix);
    buffer_deinit(&last);
    buffer_deinit(&check.previous);
    if (level > levels) {
        return check.blocks == 0;
    }
    return check.fine && ended && check.elements == key->count &&
           (level < levels || check.blocks == root_children(key));
}

bool zset_counts_check(struct store *store, const struct key *key)
{
    bool fine = root_children(key) <= ZSET_COUNTS_FANOUT;
    /* One level more than there are, to see that nothing was left there. */
    for (unsigned level = levels_of(key) + 1; level > 0; level--) {
        fine = check_level(store, key, level) && fine;
    }
    return fine && store->failure == RR_OK;
}
