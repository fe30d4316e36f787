/* The node: opening, its thread and turns, halting, closing. */
#include "node/node_private.h"

#include "base/assert.h"
#include "base/memory.h"

#include <inttypes.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>

enum {
    TURN_BUDGET_US = 10 * 1000, /* of applying, before sockets are looked at again */
    SPACE_INTERVAL_MS = 1000,
    STATE_FLUSH_US = 30 * 1000 * 1000, /* so that the log of a quiet node can be purged */
    APPLY_BYTES_MAX = 512 * 1024,      /* applied in one piece: some tens of milliseconds */
    APPEND_BYTES_MAX = 1024 * 1024,
    INFLIGHT_COUNT_MAX = 256,
    INFLIGHT_BYTES_MAX = 32 * 1024 * 1024,
    CACHE_BYTES_MAX = 64 * 1024 * 1024,
    PERSIST_STALL_ELECTIONS = 10, /* a write that takes so many election timeouts: hand over */
};

/* ---- The world of the driver ---- */

static uint64_t world_now(void *arg)
{
    return node_now_us(arg);
}

static void world_cancel_snapshot(void *arg, raft_id to)
{
    snapshots_cancel(arg, to);
}

static void world_flush(void *arg)
{
    rr_node *node = arg;
    loop_flush(node->loop);
}

static void world_log_submit(void *arg, const struct log_frame *frame, log_done_fn done,
                             void *done_arg)
{
    rr_node *node = arg;
    struct storage_error error = {0};
    stall_begin(node, "a write of the log");
    /* From the first write on this disk may have promised something, and its log must be there. */
    rr_status status = data_dir_begun(node->data_dir, &error);
    if (status != RR_OK) {
        stall_end(node);
        node_halt(node, status, "the data directory cannot be written: %s", error.text);
        done(done_arg, status);
        return;
    }
    log_store_submit(node->log_store, frame, done, done_arg);
    stall_end(node);
}

static rr_status world_log_read(void *arg, raft_index first, raft_index last, uint64_t bytes_max,
                                uint32_t count_max, struct raft_entry **out, uint32_t *count)
{
    rr_node *node = arg;
    struct storage_error error = {0};
    stall_begin(node, "a read of the log");
    rr_status status = log_store_read(node->log_store, NODE_GROUP, first, last, bytes_max,
                                      count_max, out, count, &error);
    stall_end(node);
    if (status == RR_CORRUPT) {
        stores_damaged(node, DAMAGE_LOG, error.text);
    } else if (status != RR_OK) {
        LOG_ERROR(&node->logger, "cannot read the log: %s", error.text);
    }
    return status;
}

static void world_role_changed(void *arg, enum raft_role role, raft_id leader)
{
    rr_node *node = arg;
    (void)role;
    if (leader != node->known_leader) {
        node->known_leader = leader;
        node->counters.leader_changes_total++;
        if (leader != RAFT_NO_ID) {
            LOG_INFO(&node->logger, "node %" PRIu64 " leads term %" PRIu64, leader,
                     raft_hard_state(node_core(node)).term);
        }
    }
    writes_retry_soon(node);
    reads_retry_soon(node);
    relays_retry_soon(node);
    members_role_changed(node);
}

static void world_read_done(void *arg, const struct raft_host_read *read)
{
    reads_done(arg, read);
}

static void world_transfer_ended(void *arg)
{
    rr_node *node = arg;
    writes_retry_soon(node);
    members_transfer_ended(node);
    shutdown_transfer_ended(node);
}

static void world_halt(void *arg, rr_status status, const char *reason)
{
    rr_node *node = arg;
    const char *log_failure = log_store_failure(node->log_store);
    if (log_failure != NULL) {
        node_halt(node, status, "%s: %s", reason, log_failure);
        return;
    }
    node_halt(node, status, "%s", reason);
}

static const struct driver_world world = {
    .now_us = world_now,
    .send = network_send,
    .cancel_snapshot = world_cancel_snapshot,
    .flush = world_flush,
    .log_submit = world_log_submit,
    .log_read = world_log_read,
    .offer_snapshot = snapshots_offer,
    .install = execute_install,
    .apply = execute_entries,
    .applied = execute_applied,
    .role_changed = world_role_changed,
    .read_done = world_read_done,
    .transfer_ended = world_transfer_ended,
    .halt = world_halt,
};

/* ---- Accessors ---- */

uint64_t node_now_us(const rr_node *node)
{
    return loop_now_us(node->loop);
}

bool node_alive(const rr_node *node)
{
    return !node->halted && !node->stopping && node->driver != NULL;
}

enum raft_result node_step(rr_node *node, struct raft_event *event)
{
    return node_alive(node) ? driver_step(node->driver, event) : RAFT_STEP_HALTED;
}

struct raft *node_core(const rr_node *node)
{
    return driver_core(node->driver);
}

bool node_leads(const rr_node *node)
{
    return node->driver != NULL && !node->halted && raft_role(node_core(node)) == RAFT_LEADER;
}

raft_id node_leader(const rr_node *node)
{
    return node->driver == NULL || node->halted ? RAFT_NO_ID : raft_leader(node_core(node));
}

rr_status node_set_cluster(rr_node *node, uint64_t cluster, struct storage_error *error)
{
    rr_status status = data_dir_set_cluster(node->data_dir, cluster, error);
    if (status != RR_OK) {
        return status;
    }
    node->self.cluster = cluster;
    transport_set_self(node->transport, &node->self);
    if (node->driver != NULL) {
        raft_set_cluster(node_core(node), cluster);
    }
    return RR_OK;
}

/* ---- Halting ---- */

static void tell_halt(rr_node *node)
{
    pthread_mutex_lock(&node->halt_mutex);
    rr_halt_fn fn = node->halt_fn;
    void *arg = node->halt_arg;
    bool tell = fn != NULL && !node->halt_told;
    node->halt_told |= tell;
    pthread_mutex_unlock(&node->halt_mutex);
    if (tell) {
        fn(arg, node->halt_status, node->halt_reason);
    }
}

/* After a halt, when whoever caused it has returned. */
static void end_halted(void *arg)
{
    rr_node *node = arg;
    members_stop(node);
    snapshots_stop(node);
    writes_end_all(node);
    reads_end_all(node, RR_CLOSED);
    relays_end_all(node);
    tell_halt(node);
    loop_mark(node->loop);
}

void node_halt(rr_node *node, rr_status status, const char *format, ...)
{
    pthread_mutex_lock(&node->halt_mutex);
    bool first = !node->halted;
    if (first) {
        va_list arguments;
        va_start(arguments, format);
        vsnprintf(node->halt_reason, sizeof(node->halt_reason), format, arguments);
        va_end(arguments);
        node->halt_status = status;
        node->halted = true;
    }
    pthread_mutex_unlock(&node->halt_mutex);
    if (first) {
        LOG_ERROR(&node->logger, "halted: %s", node->halt_reason);
        pthread_mutex_lock(&node->inbox.mutex);
        node->inbox.closed = true;
        pthread_mutex_unlock(&node->inbox.mutex);
        messages_end(node);
        node->halt_call.fn = end_halted;
        node->halt_call.arg = node;
        loop_defer(node->loop, &node->halt_call);
    }
}

void rr_node_on_halt(rr_node *node, rr_halt_fn fn, void *arg)
{
    if (node == NULL) {
        return;
    }
    pthread_mutex_lock(&node->halt_mutex);
    node->halt_fn = fn;
    node->halt_arg = arg;
    bool tell = fn != NULL && node->halted && !node->halt_told;
    node->halt_told |= tell;
    pthread_mutex_unlock(&node->halt_mutex);
    if (tell) {
        fn(arg, node->halt_status, node->halt_reason);
    }
}

/* ---- Turns ---- */

static uint64_t earlier(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

/* One timer serves the core, the deadlines and what is to be tried again. */
static void arm_timer(rr_node *node)
{
    uint64_t due_us = deadlines_next(&node->deadlines);
    if (node_alive(node) && node->unfinished) {
        due_us = 0;
    } else if (node_alive(node)) {
        due_us = earlier(due_us, driver_deadline(node->driver));
        due_us = earlier(due_us, node->writes.retry_us);
        due_us = earlier(due_us, node->reads.retry_us);
        due_us = earlier(due_us, node->relays_retry_us);
    }
    if (due_us == node->armed_us && timer_running(node->timer)) {
        return;
    }
    node->armed_us = due_us;
    if (due_us == UINT64_MAX) {
        timer_stop(node->timer);
        return;
    }
    uint64_t now_us = node_now_us(node);
    timer_start(node->timer, due_us > now_us ? (due_us - now_us + 999) / 1000 : 0);
}

static void on_timer(void *arg)
{
    (void)arg; /* the turn's end does it all */
}

/* Lets the core's time pass, but only when the sockets were looked at since its deadline was seen to
 * have passed. The loop ends a turn before it looks at them and one after, so two turns suffice. */
static void pass_time(rr_node *node)
{
    if (node_now_us(node) < driver_deadline(node->driver)) {
        node->overdue_turn = 0;
        return;
    }
    uint64_t turn = loop_turn(node->loop) + 1;
    if (node->overdue_turn == 0) {
        node->overdue_turn = turn;
    } else if (turn >= node->overdue_turn + 2) {
        node->overdue_turn = 0;
        driver_timer(node->driver);
    }
}

static void node_turn(void *arg)
{
    rr_node *node = arg;
    if (node->stopping) {
        return;
    }
    log_store_poll(node->log_store); /* what a thread of the log's has written */
    inbox_take(node);
    messages_turn(node);
    deadlines_run(&node->deadlines, node_now_us(node));
    if (node_alive(node)) {
        relays_turn(node);
        writes_turn(node);
        reads_turn(node);
        pass_time(node);
        /* What is left waits for the sockets: they are looked at, and written, in between. */
        node->unfinished = driver_turn(node->driver, TURN_BUDGET_US);
        reads_applied(node);
    } else {
        writes_end_all(node);
        reads_end_all(node, RR_CLOSED);
        relays_end_all(node);
    }
    shutdown_turn(node);
    info_publish(node);
    if (!node->stopping) {
        arm_timer(node);
    }
}

static void on_wakeup(void *arg)
{
    (void)arg; /* the turn's end looks into the inbox */
}

/* Halts where a table of the state could not be written in the background; false then. */
static bool look_at_state(rr_node *node)
{
    struct storage_error error = {0};
    rr_status status = state_check(node->state, &error);
    if (status == RR_CORRUPT) {
        stores_damaged(node, DAMAGE_STATE, error.text);
    } else if (status != RR_OK) {
        node_halt(node, status, "the state cannot be written: %s", error.text);
    }
    return status == RR_OK;
}

/* Once a second: what must happen also when nobody asks for anything. */
static void on_space_timer(void *arg)
{
    rr_node *node = arg;
    timer_start(node->space_timer, SPACE_INTERVAL_MS);
    if (!node_alive(node)) {
        return;
    }
    space_look(node);
    stall_look(node);
    if (!look_at_state(node)) {
        return;
    }
    driver_flush(node->driver);
    state_batch_clear(node->batch); /* empty; but queries may have left iterators in it */
    uint64_t now_us = node_now_us(node);
    raft_index applied = state_applied(node->state).index;
    if (now_us - node->flushed_us < STATE_FLUSH_US || applied == node->flushed_index ||
        node->space.level == SPACE_SHORT) {
        return;
    }
    node->flushed_us = now_us;
    node->flushed_index = applied;
    struct storage_error error = {0};
    if (state_flush(node->state, false, &error) != RR_OK) {
        LOG_WARN(&node->logger, "the state cannot be flushed: %s", error.text);
    }
}

/* ---- The thread ---- */

/* Everything but what info and the inbox need; on the node's thread, or where it never ran. */
static void close_parts(rr_node *node)
{
    loop_remove_turn_hook(node->loop, &node->turn_hook);
    loop_defer_cancel(&node->halt_call);
    if (node->driver != NULL && !node->halted) {
        driver_flush(node->driver);
    }
    if (node->driver != NULL) {
        driver_stop(node->driver);
    }
    if (node->members != NULL) {
        members_stop(node);
    }
    if (node->snapshots != NULL) {
        snapshots_stop(node);
    }
    writes_end_all(node);
    reads_end_all(node, RR_CLOSED);
    relays_end_all(node);
    network_close(node);
    writes_end_all(node); /* calls that network_close has ended */
    worker_close(node->worker);
    node->worker = NULL;
    if (node->snapshots != NULL) {
        snapshots_close(node);
        node->snapshots = NULL;
    }
    if (node->members != NULL) {
        members_close(node);
        node->members = NULL;
    }
    log_store_close(node->log_store); /* what it completes is the driver's */
    node->log_store = NULL;
    driver_free(node->driver);
    node->driver = NULL;
    state_batch_free(node->batch);
    node->batch = NULL;
    state_close(node->state);
    node->state = NULL;
    data_dir_close(node->data_dir);
    node->data_dir = NULL;
    timer_close(node->timer);
    timer_close(node->space_timer);
    node->timer = NULL;
    node->space_timer = NULL;
}

void node_stop(rr_node *node)
{
    node->stopping = true;
    loop_stop(node->loop);
}

/* Ends what has come in since the last turn; from here on the inbox takes nothing at all. */
static void end_inbox(rr_node *node)
{
    pthread_mutex_lock(&node->inbox.mutex);
    node->inbox.closed = true;
    node->inbox.ended = true;
    pthread_mutex_unlock(&node->inbox.mutex);
    messages_end(node);
    inbox_take(node);
}

static void *run(void *arg)
{
    rr_node *node = arg;
    loop_run(node->loop);
    ASSERT(node->stopping);
    end_inbox(node);
    atomic_store(&node->phase, NODE_STOPPED);
    close_parts(node);
    return NULL;
}

/* ---- Opening ---- */

/* One line at a time, whoever logs. */
static void log_line(void *arg, rr_log_level level, const char *target, const char *text)
{
    rr_node *node = arg;
    pthread_mutex_lock(&node->log_mutex);
    node->options.public.log(node->options.public.log_arg, level, target, text);
    pthread_mutex_unlock(&node->log_mutex);
}

static uint64_t random_seed(void)
{
    uint64_t seed;
    if (getrandom(&seed, sizeof(seed), 0) != (ssize_t)sizeof(seed)) {
        seed = loop_wall_ms() ^ (uintptr_t)&seed;
    }
    return seed;
}

static void on_core_trace(void *arg, enum raft_log_level level, const char *text)
{
    rr_node *node = arg;
    static const rr_log_level levels[] = {
        [RAFT_TRACE_DEBUG] = RR_LOG_TRACE,
        [RAFT_TRACE_INFO] = RR_LOG_DEBUG,
        [RAFT_TRACE_WARN] = RR_LOG_WARN,
        [RAFT_TRACE_ERROR] = RR_LOG_ERROR,
    };
    struct logger logger = logger_named(&node->logger, "raft");
    LOG_AT(&logger, levels[level], "%s", text);
}

static enum raft_log_level core_trace_level(const struct logger *logger)
{
    if (log_enabled(logger, RR_LOG_TRACE)) {
        return RAFT_TRACE_DEBUG;
    }
    if (log_enabled(logger, RR_LOG_DEBUG)) {
        return RAFT_TRACE_INFO;
    }
    return logger->fn == NULL ? RAFT_TRACE_NONE : RAFT_TRACE_WARN;
}

/* What is pending twice over: what has timed out, and what came after it. */
static uint64_t uncommitted_bytes_max(const rr_options *options)
{
    uint64_t pending = options->pending_bytes_max;
    return pending < UINT64_MAX / 2 ? 2 * pending : UINT64_MAX;
}

static void fill_host_options(rr_node *node, struct raft_host_options *out)
{
    const rr_options *options = &node->options.public;
    uint64_t election_us = (uint64_t)options->election_timeout_min_ms * 1000;
    *out = (struct raft_host_options){
        .core =
            {
                .id = options->node_id,
                .cluster = node->self.cluster,
                .group = NODE_GROUP,
                .incarnation = node->self.incarnation,
                .seed = random_u64(&node->random),
                .heartbeat_interval = (uint64_t)options->heartbeat_interval_ms * 1000,
                .election_timeout = election_us,
                .election_timeout_max = (uint64_t)options->election_timeout_max_ms * 1000,
                .lease_drift_permille = options->lease_drift_permille,
                .persist_stall = PERSIST_STALL_ELECTIONS * election_us,
                .held_up = election_us / 2,
                .pre_vote = true,
                .check_quorum = true,
                /* Also when reads by lease are off here: others' leases rest on this node's
                 * promises. */
                .lease_reads = true,
                .step_down_on_removal = true,
                .validate_conf_changes = true,
                .message_bytes_max = APPEND_BYTES_MAX,
                .inflight_count_max = INFLIGHT_COUNT_MAX,
                .inflight_bytes_max = INFLIGHT_BYTES_MAX,
                /* Requests end at their deadline, their entries stay: without a limit, followers
                 * that answer heartbeats but store nothing would let the log fill the memory. */
                .uncommitted_bytes_max = uncommitted_bytes_max(options),
                .trace_level = core_trace_level(&node->logger),
            },
        .asynchronous = true,
        .merge = true,
        .apply_bytes_max = APPLY_BYTES_MAX,
        .cache_bytes_max = CACHE_BYTES_MAX,
        .trace = on_core_trace,
        .trace_arg = node,
    };
}

static rr_status open_directory(rr_node *node, struct storage_error *error)
{
    struct data_dir_options options = {.path = node->options.data_path,
                                       .node = node->options.public.node_id};
    rr_status status = data_dir_open(&options, error, &node->data_dir);
    if (status != RR_OK) {
        return status;
    }
    const struct data_dir_identity *identity = data_dir_identity(node->data_dir);
    node->self.cluster = identity->cluster;
    node->self.incarnation = identity->incarnation;
    return RR_OK;
}

static rr_status open_driver(rr_node *node, struct storage_error *error)
{
    struct raft_start start;
    rr_status status = stores_recover(node, &start, error);
    if (status != RR_OK) {
        return status;
    }
    struct driver_options options = {.group = NODE_GROUP, .world = &world, .world_arg = node};
    fill_host_options(node, &options.host);
    node->driver = driver_new(&options, &start);
    recover_free(&start);
    return RR_OK;
}

static rr_status open_loop(rr_node *node, char error[NODE_ERROR_BYTES_MAX])
{
    rr_status status = loop_open(&node->loop);
    if (status == RR_OK) {
        status = worker_open(node->loop, NODE_WORKERS, &node->worker);
    }
    if (status != RR_OK) {
        snprintf(error, NODE_ERROR_BYTES_MAX, "cannot create the event loop or its threads");
        return status;
    }
    deadlines_init(&node->deadlines, node_now_us(node));
    node->wakeup = wakeup_open(node->loop, on_wakeup, node);
    node->timer = timer_open(node->loop, on_timer, node);
    node->space_timer = timer_open(node->loop, on_space_timer, node);
    return RR_OK;
}

/* Log, state and what is known of the cluster. */
static rr_status open_data(rr_node *node, struct storage_error *error)
{
    rr_status status = stores_open(node, error);
    if (status == RR_OK) {
        status = members_open(node, error);
    }
    if (status == RR_OK) {
        transport_set_self(node->transport, &node->self);
        status = open_driver(node, error);
    }
    return status;
}

/* Opens everything that the thread needs; what is open already is closed by the caller. */
static rr_status open_parts(rr_node *node, char error[NODE_ERROR_BYTES_MAX])
{
    struct storage_error storage_error = {0};
    const rr_options *options = &node->options.public;
    rr_status status = open_loop(node, error);
    if (status == RR_OK) {
        status = stall_open(
            node, PERSIST_STALL_ELECTIONS * 1000 * (uint64_t)options->election_timeout_min_ms,
            error);
    }
    if (status == RR_OK) {
        status = applier_new(options->procedures, options->procedure_count, &node->logger,
                             &node->applier);
        if (status != RR_OK) {
            snprintf(error, NODE_ERROR_BYTES_MAX,
                     "procedures: a name is empty, too long or given twice, or has no function");
        }
    }
    if (status == RR_OK) {
        status = network_open(node, error); /* before anything is written */
    }
    if (status != RR_OK) {
        return status;
    }
    status = open_directory(node, &storage_error);
    if (status == RR_OK) {
        status = open_data(node, &storage_error);
    }
    if (status == RR_CORRUPT && repair_possible(node, &storage_error)) {
        status = repair_renew(node, &storage_error);
        if (status == RR_OK) {
            status = open_data(node, &storage_error);
        }
    }
    if (status != RR_OK) {
        snprintf(error, NODE_ERROR_BYTES_MAX, "%s",
                 storage_error.text[0] != '\0' ? storage_error.text : rr_status_name(status));
    }
    return status;
}

static rr_node *node_new(void)
{
    rr_node *node = mem_new(struct rr_node);
    pthread_mutex_init(&node->log_mutex, NULL);
    pthread_mutex_init(&node->halt_mutex, NULL);
    pthread_mutex_init(&node->close_mutex, NULL);
    pthread_mutex_init(&node->inbox.mutex, NULL);
    list_init(&node->inbox.requests);
    buffer_init(&node->results);
    buffer_init(&node->scratch);
    writes_open(node);
    reads_open(node);
    relays_open(node);
    messages_open(node);
    random_init(&node->random, random_seed());
    atomic_store(&node->phase, NODE_RUNNING);
    return node;
}

static void node_free(rr_node *node)
{
    stall_close(node);
    info_close(node);
    applier_free(node->applier); /* its procedures may be asked for on any thread */
    wakeup_close(node->wakeup);
    loop_close(node->loop);
    writes_close(node);
    messages_close(node);
    buffer_deinit(&node->results);
    buffer_deinit(&node->scratch);
    pthread_mutex_destroy(&node->inbox.mutex);
    pthread_mutex_destroy(&node->halt_mutex);
    pthread_mutex_destroy(&node->close_mutex);
    pthread_mutex_destroy(&node->log_mutex);
    options_deinit(&node->options);
    mem_free(node);
}

/* The library's threads take no signals: those are the embedder's. */
static void block_signals(sigset_t *before)
{
    sigset_t all;
    sigfillset(&all);
    pthread_sigmask(SIG_BLOCK, &all, before);
}

static rr_status start_thread(rr_node *node, char error[NODE_ERROR_BYTES_MAX])
{
    node->turn_hook.fn = node_turn;
    node->turn_hook.arg = node;
    loop_add_turn_hook(node->loop, &node->turn_hook);
    members_start(node);
    space_look(node);
    node->flushed_us = node_now_us(node);
    node->armed_us = UINT64_MAX;
    timer_start(node->space_timer, SPACE_INTERVAL_MS);
    loop_mark(node->loop);
    info_publish(node);
    wakeup_send(node->wakeup); /* the first turn arms the timers */
    if (pthread_create(&node->thread, NULL, run, node) != 0) {
        snprintf(error, NODE_ERROR_BYTES_MAX, "cannot create the node's thread");
        return RR_IO;
    }
    node->thread_started = true;
    return RR_OK;
}

rr_status rr_node_open(const rr_options *options, char *error, size_t error_size, rr_node **out)
{
    char text[NODE_ERROR_BYTES_MAX] = "";
    if (options == NULL || out == NULL) {
        return RR_INVALID;
    }
    rr_node *node = node_new();
    rr_status status = options_copy(options, &node->options, text);
    if (status == RR_OK) {
        if (options->log != NULL) {
            node->logger = (struct logger){log_line, node, node->options.public.log_level, "node"};
        }
        info_open(node);
        sigset_t before;
        block_signals(&before); /* threads inherit it */
        status = open_parts(node, text);
        if (status == RR_OK) {
            status = start_thread(node, text);
        }
        pthread_sigmask(SIG_SETMASK, &before, NULL);
    }
    if (status == RR_OK) {
        *out = node;
        return RR_OK;
    }
    if (error != NULL && error_size > 0) {
        snprintf(error, error_size, "%s", text);
    }
    node->stopping = true;
    if (node->loop != NULL) {
        close_parts(node);
    }
    node_free(node);
    return status;
}

/* ---- Closing ---- */

rr_status rr_node_shutdown(rr_node *node, uint32_t timeout_ms)
{
    struct wait wait;
    if (node == NULL) {
        return RR_INVALID;
    }
    rr_status status = wait_begin(&wait, node, false);
    if (status != RR_OK) {
        return status;
    }
    pthread_mutex_lock(&node->close_mutex);
    if (node->joined) {
        (void)wait_end(&wait, RR_CLOSED, NULL); /* another call has done it all */
    } else {
        status = wait_end(&wait, shutdown_post(node, timeout_ms, wait_done, &wait), NULL);
        pthread_join(node->thread, NULL);
        node->joined = true;
    }
    pthread_mutex_unlock(&node->close_mutex);
    return status;
}

void rr_node_close(rr_node *node)
{
    if (node == NULL) {
        return;
    }
    (void)rr_node_shutdown(node, 0);
    node_free(node);
}
