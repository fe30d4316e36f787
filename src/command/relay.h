/*
 * What nodes ask of one another outside consensus, and the answers: passing a client's write or a
 * change of members on to the leader, joining, and asking a node who it is.
 *
 * Reads are served by the node that was asked, so they are not among these. Decoders are safe on
 * any input; what they return borrows from it. Pure functions; any thread.
 */
#ifndef COMMAND_RELAY_H
#define COMMAND_RELAY_H

#include "base/buffer.h"
#include "command/command_limits.h"
#include "command/member.h"

enum {
    RELAY_VERSION = 1,
    RELAY_FORMER_MAX = 16,
};

enum relay_kind {
    RELAY_SUBMIT = 1,   /* propose this command */
    RELAY_ADD = 2,      /* add the member, or give it the role */
    RELAY_REMOVE = 3,   /* remove the member */
    RELAY_TRANSFER = 4, /* hand leadership to the member, 0: to the best */
    RELAY_JOIN = 5,     /* the sender asks to be added; any member takes it and passes it on */
    RELAY_IDENTIFY = 6, /* who are you? */
};

struct relay_request {
    enum relay_kind kind;
    uint64_t id;         /* the asker's number for it, returned with the answer */
    uint32_t timeout_ms; /* how long the asker still waits; clocks differ, so not a time of day */
    uint8_t hops;        /* how often it was passed on; ends a circle of wrong hints */
    uint64_t cluster;    /* the asker's; 0: not a member of any yet. JOIN: the one it wants, or 0 */
    rr_bytes command;    /* SUBMIT: as command.h has it, not yet stamped. At most ENTRY_BYTES_MAX */
    uint64_t target;     /* REMOVE, TRANSFER: the member's id */
    struct member member; /* ADD: the new one; JOIN, IDENTIFY: the asker */
    /* JOIN, and the ADD that it becomes: incarnations of the member's former disks, which were
     * damaged. It takes the place of the one that is known. None of them is 0. */
    uint32_t former_count;
    uint64_t former[RELAY_FORMER_MAX];
};

/* Who answers an IDENTIFY. */
struct relay_identity {
    uint64_t cluster; /* 0: not a member of any yet */
    uint64_t node;
    uint64_t incarnation;
    bool member; /* of `cluster`, as far as it knows */
};

struct relay_answer {
    uint64_t id; /* the request's */
    rr_status status;
    uint64_t leader;         /* whom the answerer takes for the leader; 0: not known */
    rr_bytes leader_address; /* its address, if the answerer knows it; not terminated */
    rr_bytes message;        /* text for people, not terminated, without zero bytes */
    rr_bytes result;   /* SUBMIT: as result.h has it, to be decoded as outside bytes, or empty */
    bool has_identity; /* IDENTIFY */
    struct relay_identity identity;
};

/* Append the bytes. Check `failed` of the buffer. */
void relay_request_encode(struct buffer *buffer, const struct relay_request *request);
void relay_answer_encode(struct buffer *buffer, const struct relay_answer *answer);

/*
 * RR_OK; RR_CORRUPT (malformed); RR_MISMATCH (a newer version, or a kind not known). `id` of `out`
 * is set in any case, to 0 if it could not be read, so that a failure can be answered; the rest is
 * set on success. Trailing bytes are fields that a newer peer added, and are skipped.
 */
RR_MUST_USE rr_status relay_request_decode(rr_bytes bytes, struct relay_request *out);

/* The same for an answer. A status that this version does not know reads as RR_UNKNOWN. */
RR_MUST_USE rr_status relay_answer_decode(rr_bytes bytes, struct relay_answer *out);

#endif
