/*
 * Streams: entries by id (LAYOUT_STREAM), their number in the key, what else a stream remembers in
 * the key's payload. Groups of consumers: stream_group.h.
 *
 * Stored: the payload is last, first, max_deleted (ms and seq each, 8 bytes) and added (8 bytes); an
 * entry is the number of its fields and values (4 bytes), then a slice for each.
 */
#ifndef COREDB_VALUE_STREAM_H
#define COREDB_VALUE_STREAM_H

#include "coredb/value/key.h"

struct stream_id {
    uint64_t ms;
    uint64_t seq;
};

static const struct stream_id STREAM_ID_MIN = {0, 0};
static const struct stream_id STREAM_ID_MAX = {UINT64_MAX, UINT64_MAX};

int stream_id_compare(struct stream_id left, struct stream_id right); /* as memcmp */
/* The neighbour of an id; false, and nothing changed, at the end of the range. */
bool stream_id_next(struct stream_id *id);
bool stream_id_previous(struct stream_id *id);

/* A stream that is open. */
struct stream {
    struct key *key; /* borrowed; key->count is the number of entries */
    struct stream_id last;
    struct stream_id first; /* of the entries; 0-0 without any */
    struct stream_id max_deleted;
    uint64_t added; /* entries ever added */
};

/* Reads the payload of a key of type VALUE_STREAM; of an absent key, all is zero. */
void stream_load(struct stream *stream, struct key *key);

/* Makes an absent key an empty stream. */
void stream_create(struct store *store, struct stream *stream);

/* Stores payload and key. */
void stream_save(struct store *store, struct stream *stream);

/* Adds an entry with an id beyond `last`. `fields` are names and values in turn. */
void stream_append(struct store *store, struct stream *stream, struct stream_id id,
                   const rr_bytes *fields, size_t count);
/* The same for an entry in stored form, anywhere: RESTORE, which sets the rest of `stream`. */
void stream_put(struct store *store, struct stream *stream, struct stream_id id, rr_bytes entry);

/* The entry, in stored form; it lasts until the next call on the store and may be NULL. */
bool stream_get(struct store *store, const struct stream *stream, struct stream_id id,
                rr_bytes *entry);

/* The fields and values of an entry in stored form; `*reader` goes on with a slice for each. */
uint32_t stream_entry_begin(rr_bytes entry, struct reader *reader);

/* The visitor may read the store, must not write to it, and returns false to stop. */
typedef bool (*stream_visit_fn)(void *arg, struct stream_id id, rr_bytes entry);
/* Visits the entries from <= id <= to, descending if `reverse`. */
void stream_range(struct store *store, const struct stream *stream, struct stream_id from,
                  struct stream_id to, bool reverse, stream_visit_fn visit, void *arg);

/* Whether an entry lies beyond `id`. */
bool stream_has_beyond(struct store *store, const struct stream *stream, struct stream_id id);

/* Deletes an entry; true: there was one. The caller calls stream_find_first when all are done. */
bool stream_delete(struct store *store, struct stream *stream, struct stream_id id);
/* Sets `first` right after deletions. */
void stream_find_first(struct store *store, struct stream *stream);

/* XTRIM's wish. */
struct stream_trim {
    bool wanted;
    bool by_id;
    bool approximate; /* whole nodes only, see STREAM_NODE_ENTRIES */
    uint64_t maxlen;
    struct stream_id minid;
    uint64_t limit; /* of an approximate trim; 0: none */
};

/* Redis keeps entries in nodes of so many (fewer, if they are large), and trims "~" by whole ones.
 * Here nodes are imagined: every so many entries since the first one ever. */
enum { STREAM_NODE_ENTRIES = 100 };

/* Removes entries from the front; returns how many. */
uint64_t stream_trim(struct store *store, struct stream *stream, const struct stream_trim *trim);

/* Copies entries and groups of one object to another, new one. */
void stream_copy(struct store *store, uint64_t from_object, uint64_t to_object);

/* Writes an id as text. Returns its length. */
enum { STREAM_ID_TEXT_MAX = 48 };
size_t stream_id_print(struct stream_id id, char out[STREAM_ID_TEXT_MAX]);

/* Ids in stored form, as 16 bytes. */
void stream_id_put(struct buffer *out, struct stream_id id);
struct stream_id stream_id_read(struct reader *reader);

#endif
