/*
 * The outbound side: a connection per peer and traffic class, opened when there is something to
 * send, kept, and opened anew after a pause that doubles, with jitter, when it breaks.
 *
 * Consensus messages may be lost at any time, as Raft allows: what finds its queue full, or its
 * peer out of reach, is dropped and counted. Calls (rpc.h) and snapshots (snapshot_stream.h) always
 * end in one report. When a peer connects to us, a pause for it ends at once. Loop's thread.
 */
#ifndef TRANSPORT_PEERS_H
#define TRANSPORT_PEERS_H

#include "transport/transport.h"

struct peers;

struct peers_callbacks {
    /*
     * Messages for `peer` were, or may have been, lost: Raft's `unreachable`. At most once per peer
     * and turn, never from within peers_send. NULL is fine.
     */
    void (*unreachable)(void *arg, raft_id peer);

    /* `peer`'s consensus connection is usable (again), or is lost after it was. NULL is fine. */
    void (*connected)(void *arg, raft_id peer, bool connected);
};

/* One per transport. `callbacks` outlives it. */
struct peers *peers_new(struct transport *transport, const struct peers_callbacks *callbacks,
                        void *arg);

/*
 * Ends all calls and snapshots under way, with RR_CLOSED (calls handed to a connection: RR_UNKNOWN),
 * from within this function, drops all connections and frees it. What the sockets take at once of
 * the messages queued is still sent. Their callbacks get no new call or snapshot accepted. Not from
 * within a callback of a call, of a snapshot or of `peers`. NULL is fine.
 */
void peers_free(struct peers *peers);

/*
 * Adds the peer `id`, or changes where it is and which disk it must have (0: any); a change drops
 * its connections, and its calls and snapshots end as in peers_free; connections are opened anew
 * when needed. Nothing is opened by this. The same values again change nothing.
 *
 * Returns RR_OK or RR_INVALID, the address is none that one can connect to.
 */
RR_MUST_USE rr_status peers_set(struct peers *peers, raft_id id, uint64_t incarnation,
                                const char *address);

/* Forgets the peer; its calls and snapshots end as in peers_free. Does nothing if it is unknown. */
void peers_remove(struct peers *peers, raft_id id);

/* Its address, or NULL for an unknown peer. Lasts until it is set or removed. */
const char *peers_address(const struct peers *peers, raft_id id);

/* Whether its consensus connection is open at the moment. */
bool peers_connected(const struct peers *peers, raft_id id);

/* Bytes accepted for the peer's consensus connection that have not left yet. */
size_t peers_queued(const struct peers *peers, raft_id id);

/*
 * Sends `message` to `message->to`; encoded at once, so that it stays the caller's and may change.
 * Messages of one turn leave in one write.
 *
 * Returns RR_OK: on its way, which is no promise; RR_BUSY: dropped, queue full; RR_IO: dropped,
 * out of reach at the moment (`unreachable` follows in both cases); RR_NOT_FOUND: no such peer;
 * RR_TOO_BIG; RR_NO_MEMORY.
 */
rr_status peers_send(struct peers *peers, const struct raft_message *message);

/* Ends the pause before the next attempt to connect to `id`: there is a sign of life. */
void peers_retry_now(struct peers *peers, raft_id id);

#endif
