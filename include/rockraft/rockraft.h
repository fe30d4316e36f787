/*
 * Rockraft: a strongly consistent, replicated, persistent key-value store in a library.
 *
 * A node owns one data directory, one listening address and one thread of its own (plus workers).
 * Every call here may be made from any thread unless its comment says otherwise, and on any node
 * of the cluster: what the leader must do is passed on to it. Nothing is printed, no signal is
 * handled and no state is global.
 *
 * Asynchronous calls come first; each has a blocking form that ends in `_wait`. An asynchronous
 * call that returns RR_OK runs its `done` exactly once, on the node's thread; `done` must not
 * block and must not call a `_wait` form or rr_node_close. Any other return value means that
 * `done` never runs and that nothing was or will be changed. Arguments are copied: everything
 * passed in stays the caller's and may be freed at once.
 *
 * What a status says about a write is told at rr_status in types.h: only RR_UNKNOWN leaves the
 * outcome open.
 */
#ifndef ROCKRAFT_ROCKRAFT_H
#define ROCKRAFT_ROCKRAFT_H

#include <rockraft/types.h>

#ifdef __cplusplus
extern "C" {
#endif

#define RR_VERSION "0.1.0"

typedef struct rr_node rr_node;
typedef struct rr_txn rr_txn;
typedef struct rr_result rr_result;
typedef struct rr_view rr_view;
typedef struct rr_output rr_output;

/* ---- Procedures: code of the user's that runs at apply, on every replica ---- */

/*
 * Runs when the entry that calls it is applied, on every replica in the same order, atomically:
 * nothing else runs between its reads and its writes. It must depend on nothing but `input` and
 * `view`: not on a clock, a random number, a setting or memory of its own (rr_view_time_ms and
 * rr_view_random give what replicas agree on). Node's thread; must not block.
 *
 * Returning RR_OK keeps the writes. RR_REJECTED undoes them all; what was written to `output` is
 * still the answer. RR_NO_MEMORY and RR_IO say that this replica could not run it, though others
 * may have: nothing is kept, and the node halts rather than differ from them. Any other value
 * counts as RR_REJECTED.
 */
typedef rr_status (*rr_procedure_fn)(void *arg, rr_view *view, rr_bytes input, rr_output *output);

typedef struct rr_procedure {
    const char *name; /* 1 to 64 bytes */
    uint32_t version; /* replicas run exactly this version, or stop with an error that says so */
    rr_procedure_fn fn;
    void *arg;
} rr_procedure;

/* Reads `key` as of this point of the procedure, its own writes included. `value` lasts until the
 * next call on `view`. RR_OK, RR_NOT_FOUND, or RR_IO (the node then halts). */
RR_API RR_MUST_USE rr_status rr_view_get(rr_view *view, rr_bytes key, rr_bytes *value);
/* Writes. RR_OK; RR_TOO_BIG (over 64 KiB of key or 8 MiB of value: fixed, so that replicas agree
 * whatever their options; nothing written); RR_INVALID inside a visitor. */
RR_API rr_status rr_view_put(rr_view *view, rr_bytes key, rr_bytes value);
RR_API rr_status rr_view_delete(rr_view *view, rr_bytes key);
/* Called for each pair, in the order of key bytes; false ends the scan. The slices last for the
 * call; the visitor must not write to the view. */
typedef bool (*rr_visit_fn)(void *arg, rr_bytes key, rr_bytes value);
/* Visits the pairs whose key starts with `prefix` and is greater than `after` (empty: all). The
 * visitor may read the view. */
RR_API rr_status rr_view_scan(rr_view *view, rr_bytes prefix, rr_bytes after, rr_visit_fn visit,
                              void *arg);

/* The keys k with `from` <= k < `to`; an empty `to`: no upper end. Zeroed, it means all keys. */
typedef struct rr_range {
    rr_bytes from;
    rr_bytes to;
    bool reverse; /* descending, from the greatest key below `to` */
} rr_range;

/* Visits the pairs of `range`, this procedure's writes included. The visitor may read the view, in
 * ranges of its own too. Cheap for many short ranges. As rr_view_get, without RR_NOT_FOUND. */
RR_API rr_status rr_view_range(rr_view *view, const rr_range *range, rr_visit_fn visit, void *arg);

/*
 * A place to go back to: a rollback undoes every put and delete since. Savepoints nest; a rollback
 * ends those after its own, which stays good. One that is not needed is forgotten. A savepoint that
 * has ended undoes nothing, and so does a rollback inside a visitor.
 */
typedef uint64_t rr_savepoint;
RR_API rr_savepoint rr_view_savepoint(rr_view *view);
RR_API void rr_view_rollback(rr_view *view, rr_savepoint savepoint);

/* The next three are told for procedures; queries have their own words. */

/* The entry's time: milliseconds since 1970, chosen by the leader, never behind an earlier entry's.
 * Where the leader's wall clock is behind those, time goes on from the latest, a sixteenth slower. */
RR_API uint64_t rr_view_time_ms(const rr_view *view);
/* The next number of a sequence that the entry seeds: the same on every replica. */
RR_API uint64_t rr_view_random(rr_view *view);
/* The log index of the entry that is being applied. */
RR_API uint64_t rr_view_index(const rr_view *view);
/* Appends to the answer. RR_OK or RR_TOO_BIG (over result_bytes_max; nothing appended). */
RR_API rr_status rr_output_append(rr_output *output, rr_bytes bytes);

/* ---- Opening and closing ---- */

typedef struct rr_options {
    size_t struct_size; /* set by rr_options_init; lets the struct grow between versions */

    uint64_t node_id;              /* required, not 0; unique in the cluster and never reused */
    const char *data_path;         /* required; created if absent, used by one node at a time */
    const char *raft_address;      /* "host:port" to listen on; default "127.0.0.1:6682" */
    const char *advertise_address; /* "host:port" told to peers; NULL: raft_address */
    const char *const *join;       /* raft addresses of members to join through */
    size_t join_count;             /* 0: found a cluster of one, if `found` and nothing is stored */
    bool found;                    /* default true; false: never found, wait to be added */

    uint32_t heartbeat_interval_ms;   /* default 50 */
    uint32_t election_timeout_min_ms; /* default 150; at least twice the heartbeat interval */
    uint32_t election_timeout_max_ms; /* default 300; more than the minimum */
    bool lease_reads;                 /* default true: RR_READ_LEASE may be served by lease */
    uint32_t lease_drift_permille;    /* default 100: how far two clocks may drift apart */

    uint32_t timeout_ms;           /* default 10000: deadline of a call that names none */
    uint64_t snapshot_entries;     /* default 100000: entries applied between automatic snapshots;
                                  * 0: only when triggered */
    uint64_t snapshot_keep;        /* default 10000: entries kept in the log before a snapshot */
    size_t entry_bytes_max;        /* default 9 MiB: one transaction or call */
    size_t value_bytes_max;        /* default 8 MiB */
    size_t key_bytes_max;          /* default 64 KiB */
    size_t result_bytes_max;       /* default 64 MiB: one answer, scans included */
    size_t pending_bytes_max;      /* default 64 MiB: requests accepted and not yet answered */
    uint32_t pending_max;          /* default 65536: the same, counted */
    uint64_t snapshot_bytes_per_s; /* default 0: no limit on sending snapshots */

    uint32_t max_open_files;  /* default 10000, RocksDB's */
    size_t block_cache_bytes; /* default 512 MiB at most, filled as data is read */
    size_t memtable_bytes;    /* default 64 MiB */
    uint64_t disk_low_bytes;  /* default 256 MiB: with less free space writes are refused, and
                               * leadership is handed over; with a quarter of it, no entries are
                               * taken from others either */

    const rr_procedure *procedures;
    size_t procedure_count;

    rr_log_fn log; /* NULL: no log */
    void *log_arg;
    rr_log_level log_level; /* default RR_LOG_INFO */

    rr_log_kind log_kind;       /* default RR_LOG_AUTO */
    bool log_migrate;           /* default false; true: a log of another kind than log_kind is moved
                                 * at start, which takes as long as reading it three times, and room
                                 * for both */
    uint64_t log_segment_bytes; /* default 0: 64 MiB; 16 KiB to 1 GiB, a multiple of 4096. Of
                                 * segments only; may change between runs */
    bool log_sync_thread; /* default false; true: segments are synced by a thread of their own,
                                 * not by the node's */
    rr_repair repair;     /* default RR_REPAIR_AUTO */
} rr_options;

/* Fills in the defaults above. Every rr_options must begin with this call. */
RR_API void rr_options_init(rr_options *options);

/*
 * Opens the data directory, listens, and starts the node's thread; then founds a cluster or begins
 * to join one if nothing is stored. Returns as soon as the node runs; membership may come later
 * (rr_node_await_member). `error`, if not NULL, receives a line of text that says what to do,
 * terminated, cut to `error_size`.
 *
 * RR_OK, RR_INVALID (an option), RR_IO (address in use, directory not writable), RR_BUSY (another
 * process uses the directory), RR_MISMATCH (the directory belongs to another node, was written by
 * a newer version, or has another kind of log than the one asked for), RR_CORRUPT, RR_NO_SPACE.
 */
RR_API RR_MUST_USE rr_status rr_node_open(const rr_options *options, char *error, size_t error_size,
                                          rr_node **out);

/* Waits until the node is a member of a cluster that it knows (founded, joined or restarted).
 * RR_OK, RR_TIMEOUT, RR_MISMATCH (the peers belong to another cluster, or refuse this node: wiped
 * or removed) with the reason in `error`, RR_CLOSED. */
RR_API RR_MUST_USE rr_status rr_node_await_member(rr_node *node, uint32_t timeout_ms, char *error,
                                                  size_t error_size);

/*
 * Hands leadership over if this node leads, answers what it can within `timeout_ms`, fails the
 * rest with RR_CLOSED or RR_UNKNOWN, and stops the node's thread. After it only rr_node_close and
 * local accessors are useful. RR_OK, or RR_TIMEOUT when not everything could be finished.
 */
RR_API rr_status rr_node_shutdown(rr_node *node, uint32_t timeout_ms);

/* Shuts down (at once, if rr_node_shutdown did not run) and frees. NULL is allowed. */
RR_API void rr_node_close(rr_node *node);

/* Called once, on the node's thread, when the node cannot go on (a failed write or sync, a
 * divergent replica, peers of another cluster). The process should end; the node answers
 * everything with RR_CLOSED or RR_UNKNOWN from then on. Set before it matters: right after
 * rr_node_open; if the node has halted already, `fn` runs before this returns. */
typedef void (*rr_halt_fn)(void *arg, rr_status status, const char *reason);
RR_API void rr_node_on_halt(rr_node *node, rr_halt_fn fn, void *arg);

/* ---- Transactions ---- */

typedef enum rr_compare {
    RR_EXISTS = 0,
    RR_NOT_EXISTS = 1,
    RR_EQUAL = 2,
    RR_NOT_EQUAL = 3, /* holds when the key is absent */
    RR_GREATER = 4,   /* this and the next three: false when the key is absent */
    RR_LESS = 5,
    RR_GREATER_EQUAL = 6,
    RR_LESS_EQUAL = 7
} rr_compare;

/*
 * A transaction: conditions joined by AND (none: holds), operations if they hold, operations if
 * not. It is one log entry: all of it or nothing. Conditions and previous values refer to the
 * state before the transaction; of several operations on one key the last wins. Values compare as
 * bytes, a proper prefix being smaller. One thread at a time.
 */
RR_API rr_txn *rr_txn_new(void);
RR_API void rr_txn_free(rr_txn *txn);
/* `value` is not used by the first two comparisons. RR_OK, RR_INVALID, RR_TOO_BIG or RR_NO_MEMORY,
 * as below; a failure sticks, and submitting the transaction is then refused with it. A transaction
 * without conditions and operations is allowed: it goes through the log and changes nothing. */
RR_API rr_status rr_txn_if(rr_txn *txn, rr_bytes key, rr_compare compare, rr_bytes value);
RR_API rr_status rr_txn_set(rr_txn *txn, rr_bytes key, rr_bytes value);
RR_API rr_status rr_txn_delete(rr_txn *txn, rr_bytes key);
RR_API rr_status rr_txn_else_set(rr_txn *txn, rr_bytes key, rr_bytes value);
RR_API rr_status rr_txn_else_delete(rr_txn *txn, rr_bytes key);
/* Asks for the value that each operation's key had before the transaction. */
RR_API void rr_txn_return_previous(rr_txn *txn, bool on);

/* ---- Results ---- */

/* The slices of a result last as long as the result: inside `done`, until `done` returns; from a
 * `_wait` call, until rr_result_free. Any accessor accepts NULL and answers 0, false or empty. */
RR_API void rr_result_free(rr_result *result);
RR_API rr_result *rr_result_copy(const rr_result *result);
/* The log index at which the write took effect, or which the read was served at. */
RR_API uint64_t rr_result_index(const rr_result *result);
/* Transactions: whether the conditions held. */
RR_API bool rr_result_branch(const rr_result *result);
/* Previous values of a transaction (one per operation), or the pairs of a scan, or 0 or 1 value
 * of a read or a call. */
RR_API size_t rr_result_count(const rr_result *result);
/* The i-th value; false when absent (`value` is then empty). */
RR_API bool rr_result_value(const rr_result *result, size_t i, rr_bytes *value);
/* The i-th key of a scan. */
RR_API rr_bytes rr_result_key(const rr_result *result, size_t i);
/* Scans: a limit ended it and there is more after the last key. */
RR_API bool rr_result_more(const rr_result *result);
/* What the status does not say: the reason of a refusal, for a log or an error body; "" if none. */
RR_API const char *rr_result_message(const rr_result *result);

typedef void (*rr_done_fn)(void *arg, rr_status status, const rr_result *result);

/* ---- Writes ---- */

/*
 * A client session makes retries exactly-once: of the calls with one (session, sequence) only the
 * first that is applied takes effect, and the others get its result. Sequences of a session rise
 * by the caller's hand; one call of a session at a time. RR_STALE_SESSION: the session expired
 * (unused for an hour of the cluster's time, or pushed out by 65,536 younger ones) or the sequence
 * is older than its last.
 */
typedef struct rr_write_options {
    size_t struct_size;  /* set by rr_write_options_init */
    uint32_t timeout_ms; /* 0: the node's default */
    uint64_t session;    /* 0: none; else what rr_node_session gave */
    uint64_t sequence;   /* from 1 */
} rr_write_options;

RR_API void rr_write_options_init(rr_write_options *options);

/* Opens a client session through the log; the result's index is its id, unique for all time. */
RR_API RR_MUST_USE rr_status rr_node_session(rr_node *node, uint32_t timeout_ms, rr_done_fn done,
                                             void *arg);
RR_API RR_MUST_USE rr_status rr_node_session_wait(rr_node *node, uint32_t timeout_ms,
                                                  uint64_t *session);

/*
 * Submits `txn`. RR_OK at `done` means: on stable storage at a majority, and applied; every later
 * linearizable read on any node sees it. `options` may be NULL.
 *
 * Returns RR_OK, RR_INVALID, RR_TOO_BIG, RR_BUSY (pending_max, pending_bytes_max) or RR_CLOSED.
 * `done` receives RR_OK, or one of RR_NOT_LEADER, RR_BUSY, RR_NO_SPACE, RR_CLOSED,
 * RR_STALE_SESSION (not applied) or RR_UNKNOWN.
 */
RR_API RR_MUST_USE rr_status rr_node_submit(rr_node *node, const rr_txn *txn,
                                            const rr_write_options *options, rr_done_fn done,
                                            void *arg);
/* The result, which may be NULL if not wanted, is the caller's to free, also on failure. */
RR_API RR_MUST_USE rr_status rr_node_submit_wait(rr_node *node, const rr_txn *txn,
                                                 const rr_write_options *options,
                                                 rr_result **result);

/* Calls a registered procedure through the log. As rr_node_submit; also RR_NOT_FOUND (no procedure
 * of that name is registered here) and, at `done`, RR_REJECTED with the procedure's output. */
RR_API RR_MUST_USE rr_status rr_node_call(rr_node *node, const char *procedure, rr_bytes input,
                                          const rr_write_options *options, rr_done_fn done,
                                          void *arg);
RR_API RR_MUST_USE rr_status rr_node_call_wait(rr_node *node, const char *procedure, rr_bytes input,
                                               const rr_write_options *options, rr_result **result);

/* Shorthands for transactions of one operation. `old` as `result` above: its value 0 is the
 * previous value. */
RR_API RR_MUST_USE rr_status rr_node_set_wait(rr_node *node, rr_bytes key, rr_bytes value);
RR_API RR_MUST_USE rr_status rr_node_delete_wait(rr_node *node, rr_bytes key);
RR_API RR_MUST_USE rr_status rr_node_getset_wait(rr_node *node, rr_bytes key, rr_bytes value,
                                                 rr_result **old);

/* ---- Reads ---- */

typedef enum rr_read_level {
    RR_READ_LINEARIZABLE = 0, /* confirmed by a majority after the call began (ReadIndex) */
    RR_READ_LEASE = 1,        /* as above, but a leader with a valid lease asks nobody: correct as
                               * long as clocks drift less than lease_drift_permille and no
                               * node has a shorter election_timeout_min_ms than the leader */
    RR_READ_LOCAL = 2         /* what this node has applied; may be old */
} rr_read_level;

/* Reads one key. `done` receives RR_OK with one value, RR_NOT_FOUND, RR_TIMEOUT, RR_CLOSED, RR_IO
 * or RR_CORRUPT. A read waits through an election until its deadline. `timeout_ms` 0: default. */
RR_API RR_MUST_USE rr_status rr_node_get(rr_node *node, rr_bytes key, rr_read_level level,
                                         uint32_t timeout_ms, rr_done_fn done, void *arg);
RR_API RR_MUST_USE rr_status rr_node_get_wait(rr_node *node, rr_bytes key, rr_read_level level,
                                              uint32_t timeout_ms, rr_result **result);

typedef struct rr_scan {
    size_t struct_size; /* set by rr_scan_init */
    rr_bytes prefix;    /* empty: all keys */
    rr_bytes after;     /* only keys greater than this; empty: from the start */
    /* 0: no limit. A page that would end at the empty key, which `after` cannot name, holds one pair
     * more. */
    size_t count_max;
    size_t bytes_max; /* 0: result_bytes_max; over it, `more` is set, never an error */
    rr_read_level level;
    uint32_t timeout_ms;
} rr_scan;

RR_API void rr_scan_init(rr_scan *scan);

/* Reads a page of pairs, ascending by key bytes, as of one moment. Statuses as rr_node_get's. */
RR_API RR_MUST_USE rr_status rr_node_scan(rr_node *node, const rr_scan *scan, rr_done_fn done,
                                          void *arg);
RR_API RR_MUST_USE rr_status rr_node_scan_wait(rr_node *node, const rr_scan *scan,
                                               rr_result **result);

/* ---- Queries: code of the user's that reads several keys as of one moment ---- */

/*
 * Reads `view` and answers in `output`, as a procedure does; writes return RR_INVALID. What it sees
 * is one moment: rr_view_index tells the last entry applied, rr_view_time_ms the cluster's clock
 * then. rr_view_random differs from run to run.
 *
 * It begins on the node's thread, where it must not block. Once it has read 1,000 pairs or 256 KiB
 * there, further reads return RR_BUSY, what it has answered is dropped, and it runs again from its
 * beginning on a worker's thread, where it may read as much as it likes while others go on. So
 * it may run twice, on any of the node's threads and beside itself, and ends early when a read
 * fails. After the deadline, or when the node stops, reads on a worker return RR_TIMEOUT or
 * RR_CLOSED, which the query then ends with.
 *
 * What it returns is the query's status.
 */
typedef rr_status (*rr_query_fn)(void *arg, rr_view *view, rr_bytes input, rr_output *output);

typedef struct rr_query {
    size_t struct_size; /* set by rr_query_init */
    rr_query_fn fn;
    void *fn_arg; /* must be good until `done` */
    rr_bytes input;
    rr_read_level level;
    uint32_t timeout_ms; /* 0: the node's default */
} rr_query;

RR_API void rr_query_init(rr_query *query);

/*
 * Runs `query->fn` on this node once the level allows it. The result's value 0 is the output, if
 * there was any; its index is what was read. Returns as rr_node_get does. `done` receives what `fn`
 * returned (RR_OK, RR_REJECTED, ...), or RR_TIMEOUT, RR_CLOSED, RR_IO, RR_CORRUPT or RR_NO_MEMORY.
 */
RR_API RR_MUST_USE rr_status rr_node_query(rr_node *node, const rr_query *query, rr_done_fn done,
                                           void *arg);
RR_API RR_MUST_USE rr_status rr_node_query_wait(rr_node *node, const rr_query *query,
                                                rr_result **result);

/* ---- Membership ---- */

typedef enum rr_member_role { RR_VOTER = 0, RR_LEARNER = 1 } rr_member_role;

typedef struct rr_member {
    uint64_t id;
    rr_member_role role;
    char address[272]; /* "host:port", terminated */
} rr_member;

/*
 * Adds `id` at `address`: first as a learner, and once it has caught up as a voter (or stays a
 * learner, if `role` says so). The quorum is never lost to a member that cannot be reached. Success
 * without change when it has the role already. The new node must be running: it is asked for its
 * identity first.
 *
 * `done`: RR_OK; RR_INVALID (address); RR_CONFLICT (the id was used by another disk; changes
 * wait for one another); RR_MISMATCH (belongs to another cluster); RR_TIMEOUT (it stays a learner
 * and is promoted when it has caught up, or not reached: nothing changed; the message tells);
 * RR_NOT_LEADER, RR_UNKNOWN, RR_CLOSED.
 */
RR_API RR_MUST_USE rr_status rr_node_add(rr_node *node, uint64_t id, const char *address,
                                         rr_member_role role, uint32_t timeout_ms, rr_done_fn done,
                                         void *arg);
RR_API RR_MUST_USE rr_status rr_node_add_wait(rr_node *node, uint64_t id, const char *address,
                                              rr_member_role role, uint32_t timeout_ms, char *error,
                                              size_t error_size);
/* Removes exactly `id`; success when it is no member. A leader may remove itself. RR_CONFLICT when
 * it is the last voter, or when those who would be left could not commit anything. */
RR_API RR_MUST_USE rr_status rr_node_remove(rr_node *node, uint64_t id, uint32_t timeout_ms,
                                            rr_done_fn done, void *arg);
RR_API RR_MUST_USE rr_status rr_node_remove_wait(rr_node *node, uint64_t id, uint32_t timeout_ms,
                                                 char *error, size_t error_size);
/* The members that this node has applied, ascending by id: up to `capacity` of them are copied;
 * returns how many there are. */
RR_API size_t rr_node_members(rr_node *node, rr_member *out, size_t capacity);
/* Hands leadership to `id`, or to the most up-to-date voter when 0. `done`: RR_OK when another
 * member leads, RR_TIMEOUT, RR_INVALID (not a voter), RR_NOT_LEADER. */
RR_API RR_MUST_USE rr_status rr_node_transfer(rr_node *node, uint64_t id, uint32_t timeout_ms,
                                              rr_done_fn done, void *arg);
RR_API RR_MUST_USE rr_status rr_node_transfer_wait(rr_node *node, uint64_t id, uint32_t timeout_ms);

/* ---- Messages between nodes ---- */

/*
 * Sends `message`, at most 1 MiB, to the member `to` (0: every other member; this node's own id is
 * allowed) without the log: it arrives once or not at all. What comes from one node on one thread
 * arrives in that order, with gaps where something was dropped: the receiver is out of reach, takes
 * too little (16 MiB wait for each), or does not know the sender as a member yet. Reads, writes and
 * consensus never wait for messages.
 *
 * RR_OK: handed over, which is no promise; RR_INVALID, RR_TOO_BIG, RR_BUSY (16 MiB wait for the
 * node's thread), RR_NO_MEMORY, RR_CLOSED.
 */
RR_API RR_MUST_USE rr_status rr_node_send(rr_node *node, uint64_t to, rr_bytes message);

/* A message of member `from`; the bytes last for the call. Node's thread; must not block. */
typedef void (*rr_message_fn)(void *arg, uint64_t from, rr_bytes message);

/* Has `fn` called for messages from now on (NULL: they are dropped, as before the first call). A
 * call of the function before it may still be running on the node's thread. */
RR_API void rr_node_on_message(rr_node *node, rr_message_fn fn, void *arg);

/* ---- Upkeep, all on the node that is asked ---- */

/* Starts an election now; RR_OK means that it began. */
RR_API RR_MUST_USE rr_status rr_node_trigger_election(rr_node *node);
/* A leader sends heartbeats now. */
RR_API RR_MUST_USE rr_status rr_node_trigger_heartbeat(rr_node *node);
/* Switches elections (standing for them) and heartbeats on or off at run time; for tests and
 * maintenance. */
RR_API RR_MUST_USE rr_status rr_node_enable(rr_node *node, bool elections, bool heartbeats);
/* Takes a snapshot that covers every write acknowledged before the call, waiting for this node to
 * catch up first. The result's index is the snapshot's, its count is 0. */
RR_API RR_MUST_USE rr_status rr_node_snapshot(rr_node *node, uint32_t timeout_ms, rr_done_fn done,
                                              void *arg);
RR_API RR_MUST_USE rr_status rr_node_snapshot_wait(rr_node *node, uint32_t timeout_ms,
                                                   uint64_t *term, uint64_t *index);
/* Drops log entries up to and including `index`, at most as far as the latest snapshot reaches.
 * Asking for more is not an error. */
RR_API RR_MUST_USE rr_status rr_node_purge(rr_node *node, uint64_t index, uint32_t timeout_ms,
                                           rr_done_fn done, void *arg);
RR_API RR_MUST_USE rr_status rr_node_purge_wait(rr_node *node, uint64_t index, uint32_t timeout_ms);

/* ---- What is going on ---- */

typedef enum rr_role {
    RR_FOLLOWER = 0,
    RR_CANDIDATE = 1,
    RR_LEADER = 2,
    RR_ROLE_LEARNER = 3 /* also a node that is no member yet */
} rr_role;

typedef struct rr_node_info {
    size_t struct_size; /* set by the caller to sizeof(rr_node_info) */
    uint64_t node_id;
    uint64_t cluster_id; /* 0: not a member of any yet */
    rr_role role;
    uint64_t leader; /* 0: not known */
    uint64_t term;
    uint64_t last_index; /* of the log */
    uint64_t first_index;
    uint64_t commit_index;
    uint64_t applied_index;
    uint64_t applied_term;
    uint64_t snapshot_index; /* 0: none */
    uint64_t snapshot_term;
    uint64_t membership_index; /* of the entry that made the present configuration */
    uint64_t membership_term;
    bool joint;
    bool halted;
    uint32_t incoming_count; /* voters of the incoming (or only) half */
    uint32_t outgoing_count; /* voters of the outgoing half; 0 when not joint */
    uint64_t incoming[64];
    uint64_t outgoing[64];
} rr_node_info;

/* A consistent copy as of the node's last turn; never waits for the node's thread. */
RR_API void rr_node_get_info(rr_node *node, rr_node_info *info);

/* On the leader: how many voters besides it are known to have the log up to `index` on disk, as of
 * its last turn; 0 on other nodes. Never waits for the node's thread. */
RR_API size_t rr_node_replicas(rr_node *node, uint64_t index);

/* One metric: `name` in Prometheus's manner without prefix, such as "proposals_total"; `counter`
 * tells a counter from a gauge. */
typedef void (*rr_metric_fn)(void *arg, const char *name, const char *help, bool counter,
                             double value);
RR_API void rr_node_metrics(rr_node *node, rr_metric_fn visit, void *arg);

/* A digest over all that this node has applied - pairs, client sessions, the clock - with the index
 * it was taken at; equal on all replicas at the same index. Reads everything: for checks, not for
 * dashboards. */
RR_API RR_MUST_USE rr_status rr_node_digest_wait(rr_node *node, uint64_t *index, uint64_t *digest);

#ifdef __cplusplus
}
#endif

#endif
