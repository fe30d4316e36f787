/* Counts over the order of a large sorted set. */
#include "coredb/value/zset_counts.h"

#include "coredb/base/bytes.h"
#include "coredb/value/layout.h"

#include <string.h>

/* Tests build this file with a small one, for trees of many levels. */
#ifndef ZSET_COUNTS_FANOUT
#define ZSET_COUNTS_FANOUT 1024
#endif

enum {
    TAIL_OFFSET = 9,       /* of an order's key: after kind and object */
    SEPARATOR_OFFSET = 17, /* of a block's key: after kind, object, mark and level */
    BLOCK_BYTES = 12,
    LEVEL_BITS = 8,
    FEWEST = ZSET_COUNTS_FANOUT / 4, /* a set that shrinks below this loses its counts */
};

static const uint64_t levels_mark = UINT64_MAX - UINT8_MAX; /* the level is added */

struct block {
    unsigned level;
    struct buffer separator;
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

static void block_key(struct buffer *out, const struct key *key, unsigned level, rr_bytes separator)
{
    layout_object(out, LAYOUT_ZSET_ORDER, key->object);
    buffer_put_u64(out, levels_mark + level);
    buffer_append_bytes(out, separator);
}

static rr_bytes separator_of(rr_bytes stored_key)
{
    const uint8_t *data = stored_key.data;
    return (rr_bytes){data + SEPARATOR_OFFSET, stored_key.size - SEPARATOR_OFFSET};
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
    block_key(&store->key, key, block->level, buffer_bytes(&block->separator));
    store_put(store, buffer_bytes(&store->key), (rr_bytes){bytes, sizeof bytes});
}

/* Deletes an empty block, and the empty ones below it that share its separator. */
static void block_delete(struct store *store, const struct key *key, const struct block *block)
{
    for (unsigned level = block->level; level > 0; level--) {
        block_key(&store->key, key, level, buffer_bytes(&block->separator));
        store_delete(store, buffer_bytes(&store->key));
    }
}

static bool read_block(void *arg, rr_bytes stored_key, rr_bytes value)
{
    struct block *block = arg;
    buffer_append_bytes(&block->separator, separator_of(stored_key));
    block_decode(value, &block->elements, &block->children);
    return false;
}

/* Reads the block of the level that `tail` belongs to, into one that is initialised. */
static void block_find(struct store *store, const struct key *key, unsigned level, rr_bytes tail,
                       struct block *out)
{
    struct buffer from;
    struct buffer to;
    buffer_init(&from);
    buffer_init(&to);
    block_key(&from, key, level, bytes_of(""));
    block_key(&to, key, level, tail);
    buffer_append_byte(&to, 0);
    out->level = level;
    buffer_clear(&out->separator);
    store_range(store, buffer_bytes(&from), buffer_bytes(&to), true, read_block, out);
    if (from.failed || to.failed || out->separator.failed) {
        store_fail(store, RR_NO_MEMORY);
    }
    buffer_deinit(&from);
    buffer_deinit(&to);
}

/* ---- Splitting ---- */

struct halving {
    bool leaves; /* the children are the order's keys */
    uint64_t skip;
    uint64_t elements; /* in the children that were passed */
    struct buffer *separator;
};

static bool pass_half(void *arg, rr_bytes stored_key, rr_bytes value)
{
    struct halving *halving = arg;
    if (halving->skip == 0) {
        const uint8_t *data = stored_key.data;
        rr_bytes tail = halving->leaves
                            ? (rr_bytes){data + TAIL_OFFSET, stored_key.size - TAIL_OFFSET}
                            : separator_of(stored_key);
        buffer_append_bytes(halving->separator, tail);
        return false;
    }
    uint64_t elements = 1;
    uint32_t children;
    if (!halving->leaves) {
        block_decode(value, &elements, &children);
    }
    halving->elements += elements;
    halving->skip--;
    return true;
}

/* Gives the upper half of the children of `block` to `upper`, which is initialised. */
static void halve(struct store *store, const struct key *key, struct block *block,
                  struct block *upper)
{
    uint32_t half = block->children / 2;
    struct halving halving = {block->level == 1, half, 0, &upper->separator};
    struct buffer from;
    struct buffer to;
    buffer_init(&from);
    buffer_init(&to);
    if (halving.leaves) {
        layout_object(&from, LAYOUT_ZSET_ORDER, key->object);
        buffer_append_bytes(&from, buffer_bytes(&block->separator));
        block_key(&to, key, 0, bytes_of(""));
    } else {
        block_key(&from, key, block->level - 1, buffer_bytes(&block->separator));
        block_key(&to, key, block->level, bytes_of(""));
    }
    buffer_clear(&upper->separator);
    store_range(store, buffer_bytes(&from), buffer_bytes(&to), false, pass_half, &halving);
    if (from.failed || to.failed || upper->separator.failed) {
        store_fail(store, RR_NO_MEMORY);
    }
    buffer_deinit(&from);
    buffer_deinit(&to);
    upper->level = block->level;
    upper->elements = block->elements - halving.elements;
    upper->children = block->children - half;
    block->elements = halving.elements;
    block->children = half;
}

static void put_halves(struct store *store, const struct key *key, struct block *block)
{
    struct block upper = {0};
    buffer_init(&upper.separator);
    halve(store, key, block, &upper);
    block_put(store, key, block);
    block_put(store, key, &upper);
    buffer_deinit(&upper.separator);
}

/* Puts a level of two blocks between the root and its children. */
static void grow(struct store *store, struct key *key)
{
    struct block whole = {.level = levels_of(key) + 1,
                          .elements = key->count,
                          .children = (uint32_t)root_children(key)};
    buffer_init(&whole.separator);
    put_halves(store, key, &whole);
    set_root(key, whole.level, 2);
    buffer_deinit(&whole.separator);
}

/* ---- Changes ---- */

void zset_counts_add(struct store *store, struct key *key, rr_bytes tail)
{
    struct block block = {0};
    buffer_init(&block.separator);
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
    buffer_deinit(&block.separator);
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

/* Puts or deletes `child`, which lost its last member, as the first child of `parent` or another. */
static void settle_empty(struct store *store, const struct key *key, const struct block *child,
                         struct block *parent)
{
    if (bytes_equal(buffer_bytes(&child->separator), buffer_bytes(&parent->separator))) {
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
    buffer_init(&blocks[0].separator);
    buffer_init(&blocks[1].separator);
    struct block *empty = NULL; /* the block below, not stored yet, if it lost its last member */
    struct block root = {.children = (uint32_t)root_children(key)};
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
    buffer_deinit(&blocks[0].separator);
    buffer_deinit(&blocks[1].separator);
}

/* ---- Search ---- */

struct descent {
    struct zset_leaf *leaf;
    bool by_rank;
    uint64_t rank;
    rr_bytes tail;
    bool started; /* a block of this level was seen */
};

static bool is_beyond(const struct descent *descent, rr_bytes separator)
{
    if (descent->by_rank) {
        return descent->leaf->before + descent->leaf->count > descent->rank;
    }
    return bytes_compare(separator, descent->tail) > 0;
}

static bool pass_block(void *arg, rr_bytes stored_key, rr_bytes value)
{
    struct descent *descent = arg;
    struct zset_leaf *leaf = descent->leaf;
    rr_bytes separator = separator_of(stored_key);
    if (descent->started && is_beyond(descent, separator)) {
        leaf->last = false;
        buffer_clear(&leaf->to);
        buffer_append_bytes(&leaf->to, separator);
        return false;
    }
    leaf->before += descent->started ? leaf->count : 0;
    uint32_t children;
    block_decode(value, &leaf->count, &children);
    buffer_clear(&leaf->from);
    buffer_append_bytes(&leaf->from, separator);
    descent->started = true;
    return true;
}

static void descend(struct store *store, const struct key *key, struct descent *descent)
{
    struct zset_leaf *leaf = descent->leaf;
    *leaf = (struct zset_leaf){.last = true, .count = key->count};
    buffer_init(&leaf->from);
    buffer_init(&leaf->to);
    struct buffer from;
    struct buffer to;
    buffer_init(&from);
    buffer_init(&to);
    for (unsigned level = levels_of(key); level > 0 && store->failure == RR_OK; level--) {
        block_key(&from, key, level, buffer_bytes(&leaf->from));
        block_key(&to, key, level + 1, bytes_of(""));
        descent->started = false;
        store_range(store, buffer_bytes(&from), buffer_bytes(&to), false, pass_block, descent);
    }
    if (from.failed || to.failed || leaf->from.failed || leaf->to.failed) {
        store_fail(store, RR_NO_MEMORY);
    }
    buffer_deinit(&from);
    buffer_deinit(&to);
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

/* Goes over one level, with the level below (or the order) beside it. */
struct level_check {
    struct store *store;
    const struct key *key;
    unsigned level;
    uint64_t blocks;
    uint64_t elements;
    bool fine;
};

struct range_sum {
    bool leaves;
    uint64_t elements;
    uint64_t children;
    rr_bytes first; /* the separator that the first child must have */
    bool started;
    bool fine;
};

static bool sum_child(void *arg, rr_bytes stored_key, rr_bytes value)
{
    struct range_sum *sum = arg;
    uint64_t elements = 1;
    uint32_t children;
    if (!sum->leaves) {
        block_decode(value, &elements, &children);
        bool shares = bytes_equal(separator_of(stored_key), sum->first);
        sum->fine = sum->fine && shares == !sum->started && (elements > 0 || shares);
    }
    sum->started = true;
    sum->elements += elements;
    sum->children++;
    return true;
}

struct next_separator {
    struct buffer separator;
    bool found;
};

static bool note_separator(void *arg, rr_bytes stored_key, rr_bytes value)
{
    (void)value;
    struct next_separator *next = arg;
    buffer_append_bytes(&next->separator, separator_of(stored_key));
    next->found = true;
    return false;
}

/* Where the block with this key ends, as a key of the level below (of the order, below 1). */
static void child_end(const struct level_check *check, rr_bytes stored_key, struct buffer *out)
{
    struct next_separator next = {.found = false};
    buffer_init(&next.separator);
    struct buffer from;
    struct buffer to;
    buffer_init(&from);
    buffer_init(&to);
    block_key(&from, check->key, check->level, separator_of(stored_key));
    buffer_append_byte(&from, 0);
    block_key(&to, check->key, check->level + 1, bytes_of(""));
    store_range(check->store, buffer_bytes(&from), buffer_bytes(&to), false, note_separator, &next);
    if (!next.found) {
        block_key(out, check->key, check->level == 1 ? 0 : check->level, bytes_of(""));
    } else if (check->level == 1) {
        layout_object(out, LAYOUT_ZSET_ORDER, check->key->object);
        buffer_append_bytes(out, buffer_bytes(&next.separator));
    } else {
        block_key(out, check->key, check->level - 1, buffer_bytes(&next.separator));
    }
    buffer_deinit(&from);
    buffer_deinit(&to);
    buffer_deinit(&next.separator);
}

static bool check_block(void *arg, rr_bytes stored_key, rr_bytes value)
{
    struct level_check *check = arg;
    rr_bytes separator = separator_of(stored_key);
    uint64_t elements;
    uint32_t children;
    block_decode(value, &elements, &children);
    struct range_sum sum = {.leaves = check->level == 1, .first = separator, .fine = true};
    struct buffer from;
    struct buffer to;
    buffer_init(&from);
    buffer_init(&to);
    if (sum.leaves) {
        layout_object(&from, LAYOUT_ZSET_ORDER, check->key->object);
        buffer_append_bytes(&from, separator);
    } else {
        block_key(&from, check->key, check->level - 1, separator);
    }
    child_end(check, stored_key, &to);
    store_range(check->store, buffer_bytes(&from), buffer_bytes(&to), false, sum_child, &sum);
    buffer_deinit(&from);
    buffer_deinit(&to);
    bool first = check->blocks == 0;
    check->fine = check->fine && sum.fine && value.size == BLOCK_BYTES &&
                  sum.elements == elements && sum.children == children &&
                  children <= ZSET_COUNTS_FANOUT && (separator.size == 0) == first &&
                  (elements > 0 || first || check->level < levels_of(check->key));
    check->blocks++;
    check->elements += elements;
    return true;
}

bool zset_counts_check(struct store *store, const struct key *key)
{
    struct buffer prefix;
    buffer_init(&prefix);
    unsigned levels = levels_of(key);
    bool fine = root_children(key) <= ZSET_COUNTS_FANOUT;
    uint64_t blocks = root_children(key);
    /* One level more than there are, to see that nothing was left there. */
    for (unsigned level = levels + 1; level > 0; level--) {
        struct level_check check = {store, key, level, 0, 0, true};
        block_key(&prefix, key, level, bytes_of(""));
        store_prefix(store, buffer_bytes(&prefix), false, check_block, &check);
        bool absent = level > levels;
        fine = fine && check.fine && check.elements == (absent ? 0 : key->count) &&
               (level == levels ? check.blocks == blocks : !absent || check.blocks == 0);
    }
    buffer_deinit(&prefix);
    return fine && store->failure == RR_OK;
}
