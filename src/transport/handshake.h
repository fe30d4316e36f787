/*
 * How two nodes introduce themselves before anything else is said, as bytes and as rules.
 *
 * The side that connected sends a HELLO. The other answers WELCOME (its own hello) or REJECT and a
 * closed connection; and the first may answer a WELCOME that it does not like with a REJECT, too.
 * So both sides know, and log, why. These frames' layout never changes. No I/O; any thread.
 */
#ifndef TRANSPORT_HANDSHAKE_H
#define TRANSPORT_HANDSHAKE_H

#include "base/buffer.h"
#include "base/limits.h"
#include "raft/types.h"

enum {
    PROTOCOL_VERSION = 1,     /* what this build speaks */
    PROTOCOL_VERSION_MIN = 1, /* the oldest it still speaks: always the one before, or itself */
    HANDSHAKE_REASON_BYTES_MAX = 256, /* with the zero */
    HANDSHAKE_BYTES_MAX = 1024,       /* the body of a frame before the handshake is done */
};

/* What a connection is for. One slow kind never holds up another. The values are the wire's. */
enum traffic_class {
    TRAFFIC_CONSENSUS = 1, /* raft messages, one way */
    TRAFFIC_BULK = 2,      /* requests and their responses */
    TRAFFIC_SNAPSHOT = 3,  /* one snapshot */
};

enum { TRAFFIC_CLASS_COUNT = 3 };

const char *traffic_class_name(enum traffic_class class);

/* Who a node is, as it tells another. A plain value. */
struct hello {
    uint16_t version_min; /* of the protocol; in a WELCOME both are the version chosen */
    uint16_t version_max;
    uint64_t features;    /* bits for what was added within a version; the unknown are ignored */
    uint64_t cluster;     /* 0: not known yet, a node about to join */
    raft_id node;         /* 0: not known yet */
    uint64_t incarnation; /* of the node's disk */
    enum traffic_class class;
    raft_id to_node;                 /* whom the sender means to reach; 0: whoever is there */
    uint64_t to_incarnation;         /* 0: whatever disk it has */
    char address[ADDRESS_BYTES_MAX]; /* where others reach the sender: "host:port", or empty */
};

/* Appends the body of a HELLO or WELCOME. */
void hello_encode(const struct hello *hello, struct buffer *buffer);

/* Returns RR_OK; RR_CORRUPT, not a hello of ours at all; RR_INVALID, a value that makes no sense,
 * among them an address that address_parse refuses. */
RR_MUST_USE rr_status hello_decode(rr_bytes bytes, struct hello *out);

/* The status that travelled as `number`, or `otherwise` for one that this version does not know. */
rr_status status_decode(uint8_t number, rr_status otherwise);

/* The body of a REJECT: a status and a text. */
void reject_encode(rr_status status, const char *reason, struct buffer *buffer);

/* Whatever cannot be printed becomes '?'. A status that this version does not know, or RR_OK,
 * becomes RR_MISMATCH. Returns RR_OK or RR_CORRUPT. */
RR_MUST_USE rr_status reject_decode(rr_bytes bytes, rr_status *status,
                                    char reason[HANDSHAKE_REASON_BYTES_MAX]);

/*
 * Holds what `other` says against `own`, the hello that this node sends or would send to it:
 * common version, cluster (when both know theirs), the node and the disk that the other side means
 * to reach and the ones that this side means to.
 *
 * Returns RR_OK and sets `version`; or RR_MISMATCH and a text that names both values.
 */
RR_MUST_USE rr_status hello_check(const struct hello *own, const struct hello *other,
                                  uint16_t *version, char reason[HANDSHAKE_REASON_BYTES_MAX]);

#endif
