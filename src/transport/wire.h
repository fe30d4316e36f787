/*
 * Consensus messages as bytes: the body of a FRAME_RAFT.
 *
 * Made of sections that carry their size, so that versions can differ by one: a reader skips what
 * follows the fields it knows, and takes 0 for what is missing. docs/wire-format.md has the layout.
 * No I/O; any thread, but entries and snapshots are counted on one.
 */
#ifndef TRANSPORT_WIRE_H
#define TRANSPORT_WIRE_H

#include "base/buffer.h"
#include "raft/types.h"

enum {
    /* Entries of one message: empty ones cost us ten times their bytes on the wire. */
    WIRE_ENTRIES_MAX = 32 * 1024,

    /* The host's bytes in a snapshot's description; the data files travel apart. */
    WIRE_SNAPSHOT_DATA_BYTES_MAX = 1024 * 1024,
};

/*
 * Appends `message`, which is the caller's.
 *
 * Returns RR_OK; RR_TOO_BIG, more entries or bytes than the limits allow; RR_NO_MEMORY. Unless
 * RR_OK, the buffer is as it was.
 */
RR_MUST_USE rr_status wire_encode_message(const struct raft_message *message,
                                          struct buffer *buffer);

/* An upper bound on the bytes that wire_encode_message appends: what whoever merges messages
 * compares to MESSAGE_BYTES_MAX. */
size_t wire_message_size_max(const struct raft_message *message);

/* The same of one entry within a message. */
size_t wire_entry_size_max(const struct raft_entry *entry);

/*
 * Reads a message with references of its own, to be ended with raft_message_deinit. It allocates
 * at most about ten times what `bytes` holds.
 *
 * Returns RR_OK; RR_CORRUPT, the bytes make no message; RR_INVALID, a type of message or entry
 * that this version does not know; RR_TOO_BIG, over a limit; RR_NO_MEMORY. `out` is written on
 * RR_OK only.
 */
RR_MUST_USE rr_status wire_decode_message(rr_bytes bytes, struct raft_message *out);

/* A configuration as it stands in a snapshot's description: appended, and read from bytes that
 * hold nothing else (but what newer versions add). */
void wire_encode_configuration(const struct raft_configuration *configuration,
                               struct buffer *buffer);
RR_MUST_USE rr_status wire_decode_configuration(rr_bytes bytes, struct raft_configuration *out);

#endif
