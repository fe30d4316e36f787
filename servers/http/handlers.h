/*
 * The handlers of all routes, by file. Each is called on the HTTP thread with a complete body; how
 * it ends is told in exchange.h.
 */
#ifndef HTTP_HANDLERS_H
#define HTTP_HANDLERS_H

struct exchange;

/* keys.c */
void keys_get(struct exchange *exchange);
void keys_set(struct exchange *exchange);
void keys_delete(struct exchange *exchange);
void keys_getset(struct exchange *exchange);

/* scan.c */
void scan_prefix(struct exchange *exchange);

/* raw.c */
void raw_get(struct exchange *exchange);
void raw_put(struct exchange *exchange);
void raw_delete(struct exchange *exchange);

/* txn.c */
void txn_batch(struct exchange *exchange);
void txn_run(struct exchange *exchange);
void txn_session(struct exchange *exchange);

/* members.c */
void members_list(struct exchange *exchange);
void members_join(struct exchange *exchange);
void members_leave(struct exchange *exchange);
void members_transfer(struct exchange *exchange);

/* upkeep.c */
void upkeep_snapshot(struct exchange *exchange);
void upkeep_snapshot_status(struct exchange *exchange);
void upkeep_purge(struct exchange *exchange);
void upkeep_elect(struct exchange *exchange);
void upkeep_heartbeat(struct exchange *exchange);

/* status.c */
void status_health(struct exchange *exchange);
void status_metrics(struct exchange *exchange);

#endif
