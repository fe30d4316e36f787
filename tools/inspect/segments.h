/*
 * A whole log in segments: where it begins and ends, what of it is whole, and its groups.
 */
#ifndef INSPECT_SEGMENTS_H
#define INSPECT_SEGMENTS_H

#include "inspect/files.h"
#include "inspect/groups.h"

/* Where segments come from: a directory, or memory. */
struct segment_source {
    void *arg;
    const char *directory; /* as findings name it */
    const uint64_t *ids;   /* ascending */
    size_t count;
    /* At most `limit` bytes of a segment; told if it fails. `out` is freed by slice_free. */
    bool (*load)(void *arg, uint64_t id, uint64_t limit, struct slice *out);
};

/* How the newest segment ends. */
enum log_end {
    LOG_END_UNKNOWN, /* it could not be read, or is damaged */
    LOG_END_CLOSED,  /* with the frame that closing writes */
    LOG_END_OPEN,    /* with a whole frame: the process was killed, or runs */
    LOG_END_TORN,    /* with a frame that a crash left in part, behind the last whole one */
};

struct segment_item {
    uint64_t id;
    uint64_t bytes;      /* size of the file */
    uint64_t used_bytes; /* up to the end of the last frame's block */
    uint64_t frames;
    uint64_t first_frame;
    bool is_leftover; /* from before the oldest one needed */
};

struct segment_reader {
    /* Unless NULL: each whole frame, in order. */
    void (*frame)(void *arg, const struct frame_header *header, const struct body_place *place);
    /* Unless NULL: each segment after its frames. */
    void (*segment)(void *arg, const struct segment_item *segment);
    void *arg;

    struct groups groups; /* as of the end */
    uint64_t log;         /* the log's id; 0 until it is known */
    uint64_t oldest;
    uint64_t frames;
    uint64_t last_frame; /* its number */
    uint64_t durable;    /* the highest number that a frame calls durable */
    enum log_end end;
    bool is_whole; /* nothing was wrong: `groups` is what a node recovers */
};

/* Reads all of it; findings go to `output`. Initialise the callbacks, and the rest to zero. Freed
 * by segment_reader_deinit. */
void segment_reader_run(struct segment_reader *reader, const struct segment_source *source,
                        struct output *output);
void segment_reader_deinit(struct segment_reader *reader);

/* The file's name within the data directory, in a buffer of PATH_BYTES. */
void segment_name(const char *directory, uint64_t id, char *name);

const char *log_end_name(enum log_end end);

#endif
