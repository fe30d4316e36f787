/*
 * What the transport counts, for metrics and for tests. Numbers only grow. Loop's thread.
 */
#ifndef TRANSPORT_COUNTERS_H
#define TRANSPORT_COUNTERS_H

#include <stdint.h>

struct transport_counters {
    uint64_t frames_received; /* whole and undamaged */
    uint64_t frames_sent;
    uint64_t bytes_received; /* of every kind, garbage too */
    uint64_t bytes_sent;     /* accepted for sending */

    uint64_t connections_opened;   /* outbound, handshake done */
    uint64_t connections_accepted; /* inbound, handshake done */
    uint64_t connections_lost;     /* of either kind, after the handshake */
    uint64_t connect_failures;     /* outbound attempts that never finished their handshake */
    uint64_t reconnects;           /* outbound attempts after the first */

    uint64_t rejected_by_us;    /* handshakes that this node refused */
    uint64_t rejected_by_other; /* handshakes that another node refused */
    uint64_t garbage;           /* inbound connections dropped: what came was not our protocol */
    uint64_t corrupt_frames;    /* after the handshake: a checksum or a size was wrong */
    uint64_t malformed;         /* undamaged frames whose body made no sense */
    uint64_t unknown_frames;    /* of a type that this version does not know; skipped */
    uint64_t handshake_timeouts;
    uint64_t connections_refused; /* inbound, over the limit on connections */

    uint64_t dropped_queue_full;    /* consensus messages for a peer that takes too little */
    uint64_t dropped_not_connected; /* consensus messages while the peer is out of reach */
    uint64_t dropped_no_memory;

    uint64_t requests_sent;
    uint64_t requests_received;
    uint64_t requests_busy;    /* calls refused at once: too many outstanding */
    uint64_t requests_failed;  /* certainly never received by the peer */
    uint64_t requests_unknown; /* sent, and no answer */
    uint64_t answers_dropped;  /* the asker's connection was gone; or the answer came too late */

    uint64_t user_messages_sent; /* handed to a connection */
    uint64_t user_messages_received;
    uint64_t user_messages_dropped; /* not sent: out of reach, or too much waits */

    uint64_t snapshots_sent; /* to their end */
    uint64_t snapshots_received;
    uint64_t snapshots_failed; /* either way, any reason */
    uint64_t snapshot_chunks_sent;
    uint64_t snapshot_chunks_received;
};

#endif
