/*
 * An ordered map from bytes to bytes in memory: what a batch has written so far, laid over the
 * database. A key is put, deleted, or not mentioned. Undoing goes back to any earlier point.
 *
 * A skip list in an arena that only grows until overlay_clear; values that were replaced stay in
 * it, since undoing may want them back. One thread at a time.
 */
#ifndef STORAGE_OVERLAY_H
#define STORAGE_OVERLAY_H

#include "rockraft/types.h"

enum { OVERLAY_LEVELS_MAX = 12 }; /* good for 4^12 keys */

enum overlay_kind {
    OVERLAY_NONE = 0, /* not mentioned: what put it here was undone */
    OVERLAY_PUT = 1,
    OVERLAY_DELETE = 2,
};

struct overlay_node {
    rr_bytes key;
    rr_bytes value; /* of a PUT */
    enum overlay_kind kind;
    struct overlay_node *next[]; /* as many as its level */
};

/* What a write has replaced. */
struct overlay_undo {
    struct overlay_node *node;
    rr_bytes value;
    enum overlay_kind kind;
};

struct overlay_chunk;

struct overlay {
    struct overlay_node *heads[OVERLAY_LEVELS_MAX];
    struct overlay_chunk *chunks; /* newest first; the last one is kept by overlay_clear */
    struct overlay_undo *undos;
    size_t undo_count;
    size_t undo_capacity;
    size_t size;     /* bytes taken from the arena */
    uint64_t random; /* for the levels; never 0 */
};

/* `seed` should be known to nobody, so that nobody can choose keys that make it slow. */
void overlay_init(struct overlay *overlay, uint64_t seed);
void overlay_deinit(struct overlay *overlay);
void overlay_clear(struct overlay *overlay);

/* Copies both. RR_NO_MEMORY: nothing was changed. `kind` is PUT or DELETE (without a value). */
RR_MUST_USE rr_status overlay_write(struct overlay *overlay, enum overlay_kind kind, rr_bytes key,
                                    rr_bytes value);

/* The node of the key, of any kind, or NULL. */
const struct overlay_node *overlay_find(const struct overlay *overlay, rr_bytes key);

/* The first node at `key` or after it, of any kind, or NULL; and the one after a node. */
const struct overlay_node *overlay_seek(const struct overlay *overlay, rr_bytes key);
static inline const struct overlay_node *overlay_next(const struct overlay_node *node)
{
    return node->next[0];
}

/* The last node before `key`, of any kind, or NULL. */
const struct overlay_node *overlay_seek_before(const struct overlay *overlay, rr_bytes key);

/* Goes back to when `undo_count` had this value. */
void overlay_undo_to(struct overlay *overlay, size_t undo_count);

#endif
