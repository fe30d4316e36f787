/*
 * Frames: how messages lie in a stream of bytes. What is in them is for wire.h, handshake.h,
 * rpc.h and snapshot_stream.h. docs/wire-format.md has the layout.
 *
 * A header of 20 bytes (size, type, flags, checksum of the body, checksum of the header), then the
 * body. The header's checksum guards the size: nothing is allocated and nothing waited for on
 * behalf of a damaged or foreign header. No I/O. One thread per parser.
 */
#ifndef TRANSPORT_FRAME_H
#define TRANSPORT_FRAME_H

#include "base/buffer.h"
#include "base/limits.h"

enum {
    FRAME_HEADER_BYTES = 20,
    FRAME_BODY_BYTES_MAX = MESSAGE_BYTES_MAX,
};

/* The values are the wire's. */
enum frame_type {
    FRAME_HELLO = 1,   /* the side that connected introduces itself */
    FRAME_WELCOME = 2, /* the other side does, and accepts */
    FRAME_REJECT = 3,  /* either side refuses, with the reason */

    FRAME_RAFT = 16, /* a struct raft_message */

    FRAME_REQUEST = 32,
    FRAME_RESPONSE = 33,
    FRAME_USER_MESSAGE = 34,

    FRAME_SNAPSHOT_BEGIN = 48,
    FRAME_SNAPSHOT_RESUME = 49,
    FRAME_SNAPSHOT_CHUNK = 50,
    FRAME_SNAPSHOT_ACK = 51,
    FRAME_SNAPSHOT_FINISH = 52,
    FRAME_SNAPSHOT_RESULT = 53,
};

/* A frame that arrived; the body is borrowed. */
struct frame {
    uint8_t type; /* perhaps none of enum frame_type: a newer version's */
    uint8_t flags;
    rr_bytes body;
};

/*
 * Begins a frame at the end of `buffer` and returns its position there. The caller then appends
 * the body and calls frame_end with that position. A buffer that fails in between is the caller's
 * to notice, after frame_end, which leaves it alone.
 */
size_t frame_begin(struct buffer *buffer, enum frame_type type, uint8_t flags);

/* Fills in the header of the frame that begins at `start` and whose body is all that follows. A
 * body over FRAME_BODY_BYTES_MAX is the caller's fault. */
void frame_end(struct buffer *buffer, size_t start);

/* Frames from bytes that come in pieces of any size. */
struct frame_parser {
    uint8_t header[FRAME_HEADER_BYTES]; /* of the frame that is incomplete */
    size_t header_size;                 /* bytes of it that are there */
    struct buffer body;                 /* what is there of its body, or the last frame's body */
    size_t body_size;                   /* what it will have */
    size_t body_bytes_max;              /* a larger frame is refused */
    rr_status failed;                   /* RR_OK until the first error, which is final */
};

void frame_parser_init(struct frame_parser *parser, size_t body_bytes_max);

/* NULL is fine. */
void frame_parser_deinit(struct frame_parser *parser);

/* Changes the limit from the next frame on. */
void frame_parser_limit(struct frame_parser *parser, size_t body_bytes_max);

/*
 * Takes bytes from the front of `input`, moving it on, until one frame is whole. Its memory grows
 * as bytes arrive and holds at most twice what did, whatever size the header announces.
 *
 * Returns true and sets `out`, whose body lasts until the next call and as long as the input's
 * bytes; or false: then `input` is used up and more must come, or `parser->failed` says that the
 * stream is of no more use: RR_CORRUPT (a checksum), RR_TOO_BIG or RR_NO_MEMORY.
 */
bool frame_parser_next(struct frame_parser *parser, rr_bytes *input, struct frame *out);

/* Bytes that the parser holds of an incomplete frame. */
size_t frame_parser_pending(const struct frame_parser *parser);

#endif
