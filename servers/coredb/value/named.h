/*
 * Records that are found by name and visited by the position of their name: the fields of a hash,
 * the members of a set or a sorted set, the keys of a database. Point access, whole visits, scans
 * with cursors that need no state, and uniform random choice.
 *
 * A family of such records is `kind` with the object it belongs to (LAYOUT_META: the generation).
 * Each record is kind(1) id(8) position(8) name -> value; see layout.h. Counts are kept by the
 * caller, usually in the key's metadata.
 */
#ifndef COREDB_VALUE_NAMED_H
#define COREDB_VALUE_NAMED_H

#include "coredb/value/layout.h"
#include "coredb/value/store.h"

struct named {
    enum layout_kind kind;
    uint64_t id;
};

/* ---- One record, of any family but LAYOUT_META, whose positions are others ---- */

/* `value` lasts until the next call on the store and may be NULL. */
bool named_get(struct store *store, struct named family, rr_bytes name, rr_bytes *value);
/* True: there was none of that name (it costs a read to know; named_write spares it). */
bool named_put(struct store *store, struct named family, rr_bytes name, rr_bytes value);
/* Writes whether or not there is one. */
void named_write(struct store *store, struct named family, rr_bytes name, rr_bytes value);
/* True: there was one. */
bool named_delete(struct store *store, struct named family, rr_bytes name);

/* ---- Visits, in ascending order of position ---- */

/* The slices last for the call. False ends the visit. The visitor may read the store, other
 * families included; it must not write to it. */
typedef bool (*named_visit_fn)(void *arg, rr_bytes name, rr_bytes value);

void named_each(struct store *store, struct named family, named_visit_fn visit, void *arg);

/*
 * One step of SCAN and its like: visits at least `count` records (as far as there are) from
 * `cursor` on, all of one position together, and returns the cursor to go on from, 0 at the end.
 * Whatever is present from the first step to the last is visited at least once. When the visitor
 * returns false, the step ends after the records of that position.
 */
uint64_t named_scan(struct store *store, struct named family, uint64_t cursor, uint64_t count,
                    named_visit_fn visit, void *arg);

/* Writes every record of `from` into `to`, which is empty: COPY and *STORE. In portions, so that
 * memory stays bounded. */
void named_copy(struct store *store, struct named from, struct named to);

/* ---- Names with values, kept aside: what a visitor collects to be written or chosen from ---- */

struct named_list {
    struct buffer bytes;  /* per entry: name and value as slices */
    struct buffer places; /* per entry: its offset in `bytes`, 8 bytes */
    size_t count;
    bool names_only; /* set before anything is added: values are not kept */
};

void named_list_init(struct named_list *list);
void named_list_deinit(struct named_list *list);
void named_list_clear(struct named_list *list);
void named_list_add(struct named_list *list, rr_bytes name, rr_bytes value);
/* The slices last until the list changes. `value` may be NULL. */
rr_bytes named_list_at(const struct named_list *list, size_t i, rr_bytes *value);
/* Memory ran out while it was filled: then store_fail(store, RR_NO_MEMORY) is due; the functions
 * below do that themselves. */
bool named_list_failed(const struct named_list *list);
/* A named_visit_fn with a list as `arg`. */
bool named_list_visit(void *list, rr_bytes name, rr_bytes value);

/* Finds the entries of a list by their names, which are all different. */
struct named_index {
    struct named_list *list; /* borrowed; grows through the index only */
    uint32_t *slots;         /* an entry's number + 1, or 0 */
    size_t capacity;         /* of `slots`, a power of two; 0 at first */
};

#define NAMED_NONE SIZE_MAX

/* `list` is empty. */
void named_index_init(struct named_index *index, struct named_list *list);
void named_index_deinit(struct named_index *index);
/* True: added. False: the name is there, or memory ran out (named_list_failed). */
bool named_index_add(struct named_index *index, rr_bytes name, rr_bytes value);
/* The entry of that name, or NAMED_NONE. */
size_t named_index_find(const struct named_index *index, rr_bytes name);

/* ---- Uniform random choice ---- */

/*
 * Puts `wanted` distinct records into `out`, which is empty, each set of that size as likely as any other; all of
 * them when there are no more than that. `count` is the family's number of records. The order
 * says nothing (shuffle, if it matters). Memory is in proportion to the choice. For SPOP,
 * SRANDMEMBER with a positive count, and so on.
 */
void named_pick(struct store *store, struct named family, uint64_t count, uint64_t wanted,
                struct named_list *out);

/* Draws with replacement: SRANDMEMBER with a negative count, RANDOMKEY. */
struct named_sampler {
    struct store *store;
    struct named family;
    uint64_t count;
    uint64_t ranges; /* the positions are divided into so many equal ranges */
    bool holds_all;  /* `list` is the whole family, else the last range */
    struct named_list list;
};

/* `draws` is how many will be made about: many draws of a family that is small against them read
 * it once as a whole. */
void named_sampler_init(struct named_sampler *sampler, struct store *store, struct named family,
                        uint64_t count, uint64_t draws);
void named_sampler_deinit(struct named_sampler *sampler);
/* Draws one, whatever was drawn before. False: the family is empty, or the store has failed. The
 * slices last until the next draw; `value` may be NULL. */
bool named_sampler_draw(struct named_sampler *sampler, rr_bytes *name, rr_bytes *value);

#endif
