/*
 * Messages of the embedder's to peers, over their bulk connections: delivered at most once, in
 * order while a connection lasts, never answered. The transport does not look into them.
 *
 * Calls (rpc.h) that share the connection go first; what waits is bounded per peer. The other side
 * gets them from listener.h. Loop's thread.
 */
#ifndef TRANSPORT_USER_MESSAGE_H
#define TRANSPORT_USER_MESSAGE_H

#include "transport/peers.h"

enum { USER_MESSAGE_BYTES_MAX = 1024 * 1024 };

/*
 * Sends `body`, which stays the caller's, to the peer `to`.
 *
 * Returns RR_OK: on its way, which is no promise; RR_BUSY: dropped, too much waits for the peer;
 * RR_IO: dropped, out of reach at the moment; RR_NOT_FOUND: no such peer; RR_TOO_BIG;
 * RR_NO_MEMORY. All but the last three are counted.
 */
rr_status user_message_send(struct peers *peers, raft_id to, rr_bytes body);

/* The message in the body of a FRAME_USER_MESSAGE, borrowed. RR_OK, RR_CORRUPT or RR_TOO_BIG. */
RR_MUST_USE rr_status user_message_decode(rr_bytes bytes, rr_bytes *out);

#endif
