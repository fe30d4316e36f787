/*
 * What the files of this folder share: the node, and what its parts ask of one another.
 *
 * Everything below belongs to the node's thread except where it says otherwise. Who does what:
 *
 *   node.c      opening, the thread, the turn, halting, closing
 *   recover.c   what the disk holds at start
 *   driver.c    runs the core: events in, messages, writes and committed entries out (driver.h)
 *   execute.c   committed entries into the state, their answers to those who wait
 *   request.c   every public call: inbox, limits, deadlines;   shutdown.c  ending in good order
 *   requests.c  writes: proposing, waiting;   forward.c  passing on to the leader
 *   reads.c     reads;   query.c  queries;   network.c  transport;   api.c, wait.c  the public calls
 *   members.c   founding, joining, adding, removing, identity
 *   snapshots.c making, sending, receiving, installing, purging
 *   space.c     what a disk that is nearly full can still take;   stall.c  says that it stands still
 *   messages.c  messages of the embedder's between nodes
 *   info.c      rr_node_get_info, rr_node_members, metrics, digest
 *
 * A turn (node_turn, a hook at the end of every loop turn in which something happened): requests
 * are taken from the inbox, writes proposed and reads asked in one event each, then the driver runs
 * until nothing is pending, committed entries are applied and answered, info is published.
 * Whoever steps the core between turns (driver_step) need do nothing else: the loop turn's end
 * brings the rest about. From a bare callback of one's own (a worker's `done`, a timer) that is so
 * as well, since everything that arrives through the loop marks the turn.
 */
#ifndef NODE_NODE_PRIVATE_H
#define NODE_NODE_PRIVATE_H

#include "rockraft/rockraft.h"

#include "base/list.h"
#include "base/log.h"
#include "base/map.h"
#include "base/random.h"
#include "command/member.h"
#include "command/relay.h"
#include "io/loop.h"
#include "io/timer.h"
#include "io/worker.h"
#include "node/apply.h"
#include "node/deadline.h"
#include "node/driver.h"
#include "node/result.h"
#include "raft/host.h"
#include "storage/damage.h"
#include "storage/data_dir.h"
#include "storage/log_store.h"
#include "storage/snapshot.h"
#include "storage/state.h"
#include "transport/listener.h"
#include "transport/peers.h"
#include "transport/rpc.h"
#include "transport/snapshot_stream.h"

#include <pthread.h>
#include <stdatomic.h>

struct members;   /* members.c */
struct snapshots; /* snapshots.c */
struct info;      /* info.c */
struct stall;     /* stall.c */

enum {
    NODE_GROUP = 0, /* the one group of a node */
    NODE_ERROR_BYTES_MAX = 1024,
    RPC_RELAY = 1,    /* the transport's method of relay_request and relay_answer */
    NODE_WORKERS = 2, /* threads for scans, queries and snapshots */
};

/* A copy of the caller's options with its own texts; set once, read on any thread. */
struct node_options {
    rr_options public; /* texts and arrays point to memory of the copy */
    char *data_path;
    char *raft_address;
    char *advertise_address; /* never NULL: raft_address when not given */
    char **join;
};

enum node_phase {
    NODE_RUNNING,
    NODE_DRAINING, /* shutting down: nothing new is taken, what is there is finished */
    NODE_STOPPED,  /* the thread has ended, or is about to: everything is closed */
};

/* Public calls that wait for the node's thread, under `mutex`. */
struct inbox {
    pthread_mutex_t mutex;
    struct list requests;   /* struct request */
    uint32_t pending_count; /* accepted and not ended, in the inbox or past it */
    size_t pending_bytes;
    bool closed;      /* nothing new is taken: RR_CLOSED */
    bool ended;       /* nothing at all: the thread has ended */
    uint64_t refused; /* with RR_BUSY */
};

/* The writes under way; see requests.c. */
struct writes {
    struct list fresh;     /* to be proposed or passed on in this turn */
    struct list waiting;   /* for a leader, or for a moment to try again */
    struct list proposed;  /* in this node's log: wait for their index to be applied */
    struct list forwarded; /* with the leader */
    struct map by_index;   /* of the proposed: struct write, chained for one index */
    uint64_t retry_us;     /* when to look at `waiting` again; UINT64_MAX: no need */
    uint64_t time_base_ms; /* of an entry: where time goes on from, and since when */
    uint64_t time_since_us;
};

/* The reads under way; see reads.c. */
struct reads {
    struct list fresh;    /* to be asked for in this turn */
    struct list retry;    /* failed: to be asked for again */
    struct list rounds;   /* struct read_round: asked, oldest first */
    struct list applying; /* struct read_round: have an index, wait for it to be applied */
    struct list running;  /* with a worker */
    uint64_t next_id;
    uint64_t retry_us;
};

/* Messages between nodes, under `mutex`; see messages.c. */
struct messages {
    pthread_mutex_t mutex;
    struct list outgoing; /* oldest first */
    size_t outgoing_bytes;
    bool closed; /* nothing new is taken */
    rr_message_fn fn;
    void *arg;
};

/* Numbers for metrics; the node's thread writes, info_publish copies. */
struct node_counters {
    uint64_t writes_total; /* asked of this node, forwarded ones of others included */
    uint64_t writes_failed_total;
    uint64_t writes_forwarded_total; /* passed on to a leader */
    uint64_t proposals_total;        /* entries proposed here */
    uint64_t applied_total;          /* entries applied since start */
    uint64_t reads_total;
    uint64_t reads_failed_total;
    uint64_t read_rounds_total;
    uint64_t query_reruns_total; /* queries too large for the node's thread */
    uint64_t lease_reads_total;
    uint64_t busy_total; /* refused for a full queue */
    uint64_t leader_changes_total;
    uint64_t dropped_messages_total;    /* consensus messages of strangers */
    uint64_t user_messages_stray_total; /* from or to what is no member */
    uint64_t repairs_total;             /* damaged disks that became new ones, at this start */
    uint64_t space_dropped_total;       /* messages not taken for want of disk space */
};

enum space_level {
    SPACE_FINE,
    SPACE_LOW,   /* a leader takes no writes and hands over; no snapshot is received */
    SPACE_SHORT, /* nor are entries taken from a leader, or snapshots made */
};

/* The disk's free space; see space.c. */
struct space {
    enum space_level level;
    uint64_t available;    /* bytes, at the last look */
    raft_id asked;         /* who was last asked to lead instead */
    uint64_t hand_over_us; /* not before */
};

struct rr_node {
    struct node_options options;
    pthread_mutex_t log_mutex; /* one line at a time */
    struct logger logger;      /* target "node"; any thread */

    pthread_t thread;
    bool thread_started;
    bool joined; /* under close_mutex, which shutting down holds */
    pthread_mutex_t close_mutex;
    bool stopping;    /* the node's thread is about to leave its loop */
    atomic_int phase; /* enum node_phase; set by the node's thread */
    struct inbox inbox;
    struct messages messages;
    struct loop *loop;
    struct wakeup *wakeup; /* rung when the inbox is no longer empty */
    struct turn_hook turn_hook;
    struct timer *timer; /* the core's deadline and the requests' */
    uint64_t armed_us;
    uint64_t overdue_turn;     /* the loop's turn in which the core's deadline was seen to have
                                * passed, plus 1; 0: it has not */
    bool unfinished;           /* the last turn left work behind */
    struct timer *space_timer; /* looks at the free disk space */
    struct worker *worker;     /* NODE_WORKERS threads */
    struct deadlines deadlines;
    struct random random;
    struct deferred halt_call; /* ends what is pending after a halt */
    struct buffer results;     /* answers of the entries applied in this turn */
    struct buffer scratch;     /* for one encoding or one read */

    struct data_dir *data_dir;
    struct log_store *log_store;
    struct damage damage; /* found while opening: `parts` cannot be used */
    struct state *state;
    struct state_batch *batch; /* the one batch, empty between turns */
    struct applier *applier;
    struct driver *driver;
    raft_id known_leader;   /* as last logged */
    bool asking;            /* the others, while opening: repair.c */
    bool install_marked;    /* a snapshot was installed; the log follows (storage/install_mark.h) */
    raft_term applied_term; /* of the last applied entry; its index is state_applied's */

    struct transport *transport;
    struct peers *peers;
    struct listener *listener;
    struct listener_callbacks listener_callbacks;
    struct hello self; /* as the transport tells it; see node_set_cluster */

    struct writes writes;
    struct reads reads;
    struct list relays; /* struct relay: what waits for a leader; forward.c */
    uint64_t relays_retry_us;
    struct node_counters counters;
    struct space space;
    struct stall *stall;

    struct members *members;
    struct snapshots *snapshots;
    struct info *info;

    /* Halting: `mutex` guards what rr_node_on_halt and the node's thread share. */
    pthread_mutex_t halt_mutex;
    bool halted; /* also read alone on the node's thread, which writes it */
    bool halt_told;
    rr_status halt_status;
    char halt_reason[NODE_ERROR_BYTES_MAX];
    rr_halt_fn halt_fn;
    void *halt_arg;

    struct shutdown *shutdown; /* shutdown.c: while draining */
    struct list applied;       /* struct write: applied in this turn, to be answered */
    uint64_t flushed_index;    /* applied when the state was last flushed by time */
    uint64_t flushed_us;
};

/* ---- Requests: any public call, from its arrival to its one answer ---- */

/*
 * The caller's thread makes one (as the first member of a larger struct, zeroed), hands it over
 * with request_post, and from then on the node's thread has it: `start` is called once there, and
 * somebody ends it once with request_end. The deadline runs from the posting: when it passes,
 * `expire` is called, which must end the request or leave it to an answer that is certain to come.
 */
struct request {
    struct list_link link; /* inbox; then for the use of whoever has it, zeroed at `start` */
    struct deadline deadline;
    rr_node *node;
    void (*start)(struct request *request);
    void (*expire)(struct request *request);
    void (*destroy)(struct request *request); /* frees it and what it holds */
    rr_done_fn done;
    void *done_arg;
    uint64_t deadline_us; /* of loop_now_us; set by request_post */
    size_t bytes;         /* counts towards pending_bytes_max; set before request_post */
    bool counted;         /* towards pending_max */
    bool always;          /* taken even when the queues are full: upkeep, shutdown */
};

/*
 * Any thread. `timeout_ms` 0: the node's default. RR_OK; RR_BUSY, RR_CLOSED: then the caller still
 * owns the request and `done` never runs.
 */
RR_MUST_USE rr_status request_post(rr_node *node, struct request *request, uint32_t timeout_ms);

/* The same on the node's thread, for requests of other nodes; `start` is called at once. */
RR_MUST_USE rr_status request_begin(rr_node *node, struct request *request, uint64_t timeout_us);

/* Ends the request: out of its list and off the wheel, `done` with `result` (may be NULL), freed. */
void request_end(struct request *request, rr_status status, const rr_result *result);

/* The same with an encoded result of this process, or with nothing but a text (may be NULL). */
void request_end_bytes(struct request *request, rr_status status, rr_bytes encoded);
void request_end_text(struct request *request, rr_status status, const char *message);

/* Begins what other threads have handed over. */
void inbox_take(rr_node *node);

/* Milliseconds until the deadline, at least 1. */
uint32_t request_left_ms(const struct request *request);

/* ---- Blocking forms: wait.c ---- */

/* One blocking call. `result` is a copy of what `done` received, or NULL. */
struct wait {
    pthread_mutex_t mutex;
    pthread_cond_t ended;
    bool is_ended;
    bool want_result;
    rr_status status;
    rr_result *result;
};

/*
 *     struct wait wait;
 *     rr_status status = wait_begin(&wait, node, want_result);  RR_INVALID on the node's thread
 *     if (status == RR_OK) {
 *         status = wait_end(&wait, rr_node_xyz(node, ..., wait_done, &wait), &result);
 *     }
 *
 * wait_end takes what the asynchronous call returned, and sets `result` (may be NULL) in any case.
 */
RR_MUST_USE rr_status wait_begin(struct wait *wait, rr_node *node, bool want_result);
void wait_done(void *arg, rr_status status, const rr_result *result);
rr_status wait_end(struct wait *wait, rr_status started, rr_result **result);

/* ---- The node: node.c ---- */

/* Stops consensus for good: everything pending ends with what is certain, nothing more is sent or
 * written. The first reason counts. Safe to call from anywhere on the node's thread; callers go on
 * returning as if nothing had happened. Requests end after the caller has returned. */
void node_halt(rr_node *node, rr_status status, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* Has the node's thread leave its loop and close everything. */
void node_stop(rr_node *node);

/* True while consensus runs: not halted and not stopped. Check it in callbacks before the driver,
 * the state or the log is touched. */
bool node_alive(const rr_node *node);

/* The time for events and deadlines. */
uint64_t node_now_us(const rr_node *node);

/* Steps the core with `event` (its `now` is set here) and returns what it said. The turn's end
 * carries out what it asks for. RAFT_STEP_HALTED when not alive. */
enum raft_result node_step(rr_node *node, struct raft_event *event);

/* Shorthands for the core's accessors. */
struct raft *node_core(const rr_node *node);
bool node_leads(const rr_node *node);
raft_id node_leader(const rr_node *node); /* 0: not known */

/* The cluster has become known: on disk, in the transport and in the core. Before it is known
 * (`self.cluster` == 0) consensus messages are dropped. RR_OK, or why it could not be stored. */
RR_MUST_USE rr_status node_set_cluster(rr_node *node, uint64_t cluster,
                                       struct storage_error *error);

/* Writes and reads, per turn; requests.c, reads.c, forward.c. */
void writes_open(rr_node *node);
void writes_turn(rr_node *node);       /* proposes or passes on what is fresh, or due again */
void writes_retry_soon(rr_node *node); /* who leads has changed */
void writes_entry_applied(rr_node *node, const struct raft_entry *entry, rr_status status,
                          rr_bytes result);          /* not committed to the state yet */
void writes_answer(rr_node *node);                   /* the state is committed: answers those */
void writes_skipped(rr_node *node, raft_index last); /* a snapshot took the place of entries */
void writes_end_all(rr_node *node); /* halt or stop: ends all that are not with a leader */
void writes_close(rr_node *node);

void reads_open(rr_node *node);
void reads_turn(rr_node *node);
void reads_done(rr_node *node, const struct raft_host_read *read);
void reads_applied(rr_node *node); /* the state has moved on */
void reads_retry_soon(rr_node *node);
void reads_end_all(rr_node *node, rr_status status);

void relays_open(rr_node *node);
void relays_turn(rr_node *node);
void relays_retry_soon(rr_node *node);
void relays_end_all(rr_node *node);

/* Serves the transport's requests; the `request` of listener_callbacks. */
void forward_serve(void *node, const struct hello *from, uint16_t method, rr_bytes body,
                   uint32_t timeout_ms, struct responder *responder);

/* Sends `entry`'s command to `leader`. RR_OK: `done` follows. Else as rpc_call. */
RR_MUST_USE rr_status forward_command(rr_node *node, raft_id leader, rr_bytes command,
                                      uint32_t timeout_ms, rpc_done_fn done, void *arg);

/* A command of another node, on its way into the log. `done` as a request's. RR_OK, or why not. */
RR_MUST_USE rr_status write_begin_remote(rr_node *node, rr_bytes command, uint32_t timeout_ms,
                                         rr_done_fn done, void *arg);

/* Entries into the state: execute.c; the functions of driver_world. */
rr_status execute_entries(void *node, struct raft_entry *const *entries, uint32_t count);
rr_status execute_install(void *node, const struct raft_snapshot *snapshot);
void execute_applied(void *node);

/*
 * What is on the disk: stores.c. Opens snapshots, state and log. Damage is repaired where nothing is
 * lost by it: a state from the latest snapshot, a log from the state; what was done is logged. Else
 * RR_CORRUPT, with `node->damage` saying what cannot be used.
 */
RR_MUST_USE rr_status stores_open(rr_node *node, struct storage_error *error);

/* recover_log, likewise. Afterwards the mark of an earlier run's damage is gone. */
RR_MUST_USE rr_status stores_recover(rr_node *node, struct raft_start *start,
                                     struct storage_error *error);

/* A running node has met damage: it is marked for the next start (storage/damage.h), and the node
 * halts. The node's thread. */
void stores_damaged(rr_node *node, enum damage_part part, const char *text);

/*
 * Damage that stores_open or stores_recover could not repair, and `error` tells: repair.c.
 *
 * repair_possible: whether the other members can replace this node's disk; else `error` says what to
 * do. repair_renew, after that: closes what is open, makes the directory a new disk and sets the
 * damaged parts aside. RR_OK: open it again. RR_IO, RR_NO_SPACE, RR_NO_MEMORY.
 */
bool repair_possible(rr_node *node, struct storage_error *error);
RR_MUST_USE rr_status repair_renew(rr_node *node, struct storage_error *error);

/* Start: recover.c. Fills `start` from log, state and members; `runs` and `configurations` of it
 * are freed with recover_free. */
RR_MUST_USE rr_status recover_log(rr_node *node, struct raft_start *start,
                                  struct storage_error *error);
void recover_free(struct raft_start *start);

/* Options: options.c. */
RR_MUST_USE rr_status options_copy(const rr_options *options, struct node_options *out,
                                   char error[NODE_ERROR_BYTES_MAX]);
void options_deinit(struct node_options *options);

/* Transport: network.c. */
RR_MUST_USE rr_status network_open(rr_node *node, char error[NODE_ERROR_BYTES_MAX]);
void network_send(void *node, const struct raft_message *message);
void network_close(rr_node *node);

/* Messages between nodes: messages.c. */
void messages_open(rr_node *node);
void messages_turn(rr_node *node); /* sends what other threads have handed over */
void messages_receive(void *node, const struct hello *from, rr_bytes message);
void messages_end(rr_node *node); /* nothing new is taken; any thread */
void messages_close(rr_node *node);

/* Shutting down: shutdown.c. */
RR_MUST_USE rr_status shutdown_post(rr_node *node, uint32_t timeout_ms, rr_done_fn done, void *arg);
void shutdown_turn(rr_node *node); /* looks whether everything is finished */
void shutdown_transfer_ended(rr_node *node);

/* ---- Consensus: requests.c ---- */

/* How a proposed change ended. RR_OK: applied, at `index`. RR_CONFLICT: consensus refused it in
 * this configuration. RR_NOT_LEADER: certainly never applied. RR_UNKNOWN: deadline, or lost sight.
 * RR_CLOSED: halted or shut down, not applied. */
typedef void (*conf_done_fn)(void *arg, rr_status status, raft_index index);

/*
 * Proposes a change of the configuration, on the leader; RR_NOT_LEADER elsewhere. `change` with its
 * context is copied. `done` runs once, never from within this function (also after a halt). It runs
 * after members_conf_applied for the same entry and after the state's commit.
 */
void conf_propose(rr_node *node, const struct raft_conf_change *change, uint64_t deadline_us,
                  conf_done_fn done, void *arg);

/* ---- Passing on to the leader: forward.c ---- */

/* `answer` and what it points to last for the call. `id` of it has no meaning here. */
typedef void (*relay_done_fn)(void *arg, const struct relay_answer *answer);

/*
 * Has the leader serve `request` (ADD, REMOVE, TRANSFER; its `id` and `timeout_ms` are set here),
 * wherever it is: on this node through members_serve, elsewhere by rpc. Waits for a leader, and asks
 * again while it is certain that nothing was done (not sent; answered RR_NOT_LEADER, RR_CLOSED),
 * until the deadline. `request` with what it points to is copied. `done` runs once, never from
 * within this function: with the leader's answer, or RR_NOT_LEADER (no leader took it), RR_UNKNOWN
 * (sent, no answer), RR_CLOSED.
 */
void relay_to_leader(rr_node *node, const struct relay_request *request, uint64_t deadline_us,
                     relay_done_fn done, void *arg);

/* ---- What members.c provides ---- */

/* Before the log is recovered; the state is open, `state_meta` may be empty. Makes node->members
 * from the meta (an empty list without) and founds a cluster when that is due: data_dir_is_new or
 * nothing stored, join_count 0, `found`. Founding writes to the log store, durably: entry 1 (term
 * 1), a configuration entry that adds this node as the one voter with its address as context, and
 * the hard state {term 1, vote 0, commit 1}; and sets the cluster in the data directory. */
RR_MUST_USE rr_status members_open(rr_node *node, struct storage_error *error);

/* The configuration as of the applied state, for raft_start: from the meta, or empty. */
void members_configuration(const rr_node *node, struct raft_configuration *out);

/* The driver, transport and listener are there and the loop is about to run: set the peers, begin
 * to join, start timers. On the opening thread; the node's thread does not run yet. */
void members_start(rr_node *node);

/* transport_options.accept: who may talk to this node. */
rr_status members_accept(void *node, const struct hello *other, bool inbound,
                         char reason[HANDSHAKE_REASON_BYTES_MAX]);

/* transport_options.refused: what others think of this node, and it of them. */
void members_refused(void *node, const struct refusal *refusal);

/* Entry `index` is a configuration change and was just stepped into the core, whose configuration
 * is the new one. Updates the list from change->context, sets the batch's meta (configuration,
 * list, position: node->batch, not committed yet), and the peers. Not RR_OK: the node halts. */
RR_MUST_USE rr_status members_conf_applied(rr_node *node, const struct raft_entry *entry,
                                           const struct raft_conf_change *change);

/* A snapshot was installed: read the meta of the state again. Not RR_OK: the node halts. */
RR_MUST_USE rr_status members_reload(rr_node *node, struct storage_error *error);

/* Role or leader have changed (they may be what they were before, if both happened). */
void members_role_changed(rr_node *node);

/* A transfer was given up while still leading. */
void members_transfer_ended(rr_node *node);

/* Serves ADD, REMOVE, TRANSFER (the leader; else answers RR_NOT_LEADER), JOIN and IDENTIFY (any
 * node) for this node or another; `request` lasts for the call. `done` exactly once, at any time.
 * `from` is who asks, NULL: this node. */
void members_serve(rr_node *node, const struct hello *from, const struct relay_request *request,
                   uint64_t deadline_us, relay_done_fn done, void *arg);

/* Shutting down begins: whoever waits for membership need not wait any longer. */
void members_drain(rr_node *node);

/* Everything that waits ends, with RR_CLOSED where nothing was done. After a halt, and before the
 * transport is closed. */
void members_stop(rr_node *node);
void members_close(rr_node *node); /* NULL members are fine */

/* The address of a member as applied, or NULL. Lasts until the next turn. */
const char *members_address(const rr_node *node, raft_id id);

/* ---- What snapshots.c provides ---- */

/* Opens the snapshot store. The state is open, the driver is not. */
RR_MUST_USE rr_status snapshots_open(rr_node *node, struct storage_error *error);

/* raft_host_storage.snapshot: a reference to what could be sent now, or NULL. `arg` is the node. */
struct raft_snapshot *snapshots_offer(void *node);

/* The core wants `message` (SNAP) sent; borrowed. Its end must be told by SNAPSHOT_STATUS. */
void snapshots_send(rr_node *node, const struct raft_message *message);
/* The member needs it no more: stop, and tell nothing. */
void snapshots_cancel(rr_node *node, raft_id id);

/* For the listener; their `arg` is the node. Once all of a snapshot is stored, step the SNAP
 * message: the driver then calls snapshots_install in this turn's end, if the core takes it. */
extern const struct snapshot_receive_callbacks snapshots_receive_callbacks;

/* The core restores `snapshot`: install it into the state (state_install). Then execute.c reloads
 * applier and members, and the driver writes the log's reset. Not RR_OK: the node halts. */
RR_MUST_USE rr_status snapshots_install(rr_node *node, const struct raft_snapshot *snapshot,
                                        struct storage_error *error);

/* Entries were applied and committed to the state; once per turn at most. Policy of snapshots and
 * purges goes here. To purge: log record with purge_index through driver_purge. */
void snapshots_applied(rr_node *node);

/* Little space is left: makes a snapshot, if it does so by itself, since that shortens the log. */
void snapshots_shorten(rr_node *node);

void snapshots_stop(rr_node *node);  /* as members_stop; waits for no worker */
void snapshots_close(rr_node *node); /* after the workers have ended */

/* ---- Free space: space.c ---- */

/* Once a second: looks at the disk and acts on it. */
void space_look(rr_node *node);

/* Whether the message is taken, or dropped for want of space as if it had been lost. */
bool space_takes(const rr_node *node, const struct raft_message *message);

/* Whether there is room for so much more than entries need. */
bool space_has(const rr_node *node, uint64_t bytes);

/* ---- A disk that stands still: stall.c ---- */

/* Starts the watching thread, which logs when the node's thread has waited `limit_us` for the disk.
 * RR_OK, or RR_IO with a text. */
RR_MUST_USE rr_status stall_open(rr_node *node, uint64_t limit_us,
                                 char error[NODE_ERROR_BYTES_MAX]);
void stall_close(rr_node *node);

/* Around what may wait for the disk, not nested; `what` is static, as in "has not ended WHAT". */
void stall_begin(rr_node *node, const char *what);
void stall_end(rr_node *node);

/* Once a second: looks after writes on a thread of the log's. */
void stall_look(rr_node *node);

/* How often the disk has stood still; any thread. */
uint64_t stall_total(const rr_node *node);

/* ---- What info.c provides ---- */

void info_open(rr_node *node);
/* The end of a turn: copies what other threads may ask for, under a mutex of its own. */
void info_publish(rr_node *node);
void info_close(rr_node *node);

#endif
