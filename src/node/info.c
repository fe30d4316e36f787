/*
 * What a node tells about itself: copies made at the end of each turn, under a mutex of their own,
 * so that asking never waits for the node's thread and works after it has ended.
 */
#include "node/members.h"
#include "node/snapshots.h"

#include "base/assert.h"
#include "base/memory.h"
#include "raft/progress.h"

#include <string.h>

enum { SAMPLE_INTERVAL_US = 1000 * 1000 }; /* of numbers that cost something to get */

struct info {
    pthread_mutex_t mutex;
    rr_node_info public;
    uint32_t member_count;
    rr_member members[RAFT_MEMBERS_MAX];
    uint64_t members_seen; /* the meta's index and the number of changes, when last copied */
    raft_index members_index;

    struct node_counters node;
    struct driver_counters driver;
    struct transport_counters transport;
    struct log_store_counters log;
    struct snapshots_counters snapshots;
    struct state_counters state; /* sampled */
    uint64_t sampled_us;
    bool sampled;

    uint64_t elections_total;
    uint64_t elections_won_total;
    uint64_t member_changes_total;
    uint64_t snapshot_bytes;
    uint32_t replica_count;                /* other voters, while this node leads */
    raft_index replicas[RAFT_MEMBERS_MAX]; /* up to where each has the log on disk */
    uint64_t lag_max;                      /* of the members of a leader that answer, in entries */
    uint64_t unreachable;                  /* members that do not */
    uint64_t cache_bytes;
    uint64_t disk_available;
    uint64_t disk_level; /* enum space_level */
    uint64_t disk_stalls;
    uint64_t sessions;
    uint64_t connections_in;
    bool snapshot_under_way;
};

void info_open(rr_node *node)
{
    struct info *info = mem_new(struct info);
    pthread_mutex_init(&info->mutex, NULL);
    info->public.struct_size = sizeof(info->public);
    info->public.node_id = node->options.public.node_id;
    info->public.role = RR_ROLE_LEARNER;
    node->info = info;
}

void info_close(rr_node *node)
{
    struct info *info = node->info;
    if (info == NULL) {
        return;
    }
    pthread_mutex_destroy(&info->mutex);
    mem_free(info);
    node->info = NULL;
}

/* ---- The node's thread: publishing ---- */

static rr_role role_of(const rr_node *node)
{
    const struct raft *core = node_core(node);
    if (!raft_configuration_votes(raft_configuration(core), raft_self(core)) ||
        !members_has_self(node)) { /* by another disk, which was damaged */
        return RR_ROLE_LEARNER;
    }
    switch (raft_role(core)) {
    case RAFT_FOLLOWER:
        return RR_FOLLOWER;
    case RAFT_CANDIDATE:
    case RAFT_PRE_CANDIDATE:
        return RR_CANDIDATE;
    case RAFT_LEADER:
        return node_leads(node) ? RR_LEADER : RR_FOLLOWER; /* not once it has halted */
    }
    return RR_FOLLOWER;
}

static void publish_role(const rr_node *node, struct info *info)
{
    rr_role role = role_of(node);
    if (role != info->public.role && role == RR_CANDIDATE) {
        info->elections_total++;
    }
    if (role != info->public.role && role == RR_LEADER) {
        info->elections_won_total++;
    }
    info->public.role = role;
    info->public.leader = node_leader(node);
}

static void publish_voters(struct info *info, const struct raft_configuration *configuration)
{
    info->public.joint = raft_configuration_joint(configuration);
    info->public.incoming_count = 0;
    info->public.outgoing_count = 0;
    for (uint32_t at = 0; at < configuration->count; at++) {
        const struct raft_member *member = &configuration->members[at];
        if ((member->flags & RAFT_MEMBER_INCOMING) != 0) {
            info->public.incoming[info->public.incoming_count++] = member->id;
        }
        if ((member->flags & RAFT_MEMBER_OUTGOING) != 0) {
            info->public.outgoing[info->public.outgoing_count++] = member->id;
        }
    }
}

/* Only when they have changed: they are large and seldom new. */
static void publish_members(const rr_node *node, struct info *info)
{
    const struct members *members = node->members;
    const struct member_list *list = &members->meta.list;
    if (info->members_index == members->meta.index &&
        info->members_seen == members->changes_total + 1) {
        return;
    }
    info->members_index = members->meta.index;
    info->members_seen = members->changes_total + 1;
    info->member_count = list->count;
    for (uint32_t at = 0; at < list->count; at++) {
        rr_member *member = &info->members[at];
        memset(member, 0, sizeof(*member));
        member->id = list->members[at].id;
        member->role = list->members[at].role;
        STATIC_ASSERT(sizeof(member->address) >= sizeof(list->members[at].address));
        memcpy(member->address, list->members[at].address, sizeof(list->members[at].address));
    }
    info->public.membership_index = members->meta.index;
    info->public.membership_term = members->meta.term;
    publish_voters(info, &members->meta.configuration);
}

/* What is on the disks of the voters besides this leader. */
static void publish_replicas(const rr_node *node, struct info *info)
{
    const struct raft *core = node_core(node);
    const struct raft_configuration *configuration = raft_configuration(core);
    info->replica_count = 0;
    for (uint32_t at = 0; at < configuration->count && node_leads(node); at++) {
        raft_id id = configuration->members[at].id;
        const struct raft_progress *progress = raft_progress(core, id);
        if (id != raft_self(core) && progress != NULL &&
            raft_configuration_votes(configuration, id)) {
            info->replicas[info->replica_count++] = progress->match;
        }
    }
}

/* How far the members are behind this leader. */
static void publish_lag(const rr_node *node, struct info *info)
{
    const struct raft *core = node_core(node);
    const struct raft_configuration *configuration = raft_configuration(core);
    info->lag_max = 0;
    info->unreachable = 0;
    for (uint32_t at = 0; at < configuration->count && node_leads(node); at++) {
        raft_id id = configuration->members[at].id;
        const struct raft_progress *progress = raft_progress(core, id);
        if (id == raft_self(core) || progress == NULL) {
            continue;
        }
        if (!peers_connected(node->peers, id)) {
            info->unreachable++;
            continue;
        }
        uint64_t lag = raft_last_index(core) - progress->match;
        info->lag_max = lag > info->lag_max ? lag : info->lag_max;
    }
}

static void publish_positions(const rr_node *node, struct info *info)
{
    const struct raft *core = node_core(node);
    const struct snapshot_info *latest = &node->snapshots->latest_info;
    struct state_position applied = state_applied(node->state);
    info->public.cluster_id = node->self.cluster;
    info->public.term = raft_hard_state(core).term;
    info->public.last_index = raft_last_index(core);
    info->public.first_index = raft_base_index(core) + 1;
    info->public.commit_index = raft_committed_index(core);
    info->public.applied_index = applied.index;
    info->public.applied_term = applied.term;
    info->public.snapshot_index = latest->position.index;
    info->public.snapshot_term = latest->position.term;
    info->snapshot_bytes = latest->size;
    info->snapshot_under_way = node->snapshots->making.under_way;
}

/* Once a second. */
static void sample(const rr_node *node, struct info *info)
{
    uint64_t now_us = node_now_us(node);
    if (info->sampled && now_us - info->sampled_us < SAMPLE_INTERVAL_US) {
        return;
    }
    info->sampled = true;
    info->sampled_us = now_us;
    state_counters(node->state, &info->state);
    publish_lag(node, info);
}

void info_publish(rr_node *node)
{
    struct info *info = node->info;
    pthread_mutex_lock(&info->mutex);
    info->public.halted = node->halted;
    if (node->driver != NULL && node->members != NULL && node->snapshots != NULL) {
        publish_role(node, info);
        publish_positions(node, info);
        publish_members(node, info);
        publish_replicas(node, info);
        info->node = node->counters;
        info->disk_available = node->space.available;
        info->disk_level = node->space.level;
        info->disk_stalls = stall_total(node);
        info->driver = *driver_counters(node->driver);
        info->transport = *transport_counters(node->transport);
        info->snapshots = node->snapshots->counters;
        log_store_counters(node->log_store, &info->log);
        info->cache_bytes = raft_host_cache_bytes(driver_host(node->driver));
        info->sessions = applier_session_count(node->applier);
        info->connections_in = listener_connection_count(node->listener);
        info->member_changes_total = node->members->changes_total;
        sample(node, info);
    }
    pthread_mutex_unlock(&info->mutex);
}

/* ---- Any thread ---- */

void rr_node_get_info(rr_node *node, rr_node_info *out)
{
    if (node == NULL || out == NULL) {
        return;
    }
    struct info *info = node->info;
    size_t size = out->struct_size < sizeof(*out) ? out->struct_size : sizeof(*out);
    size_t asked = out->struct_size;
    pthread_mutex_lock(&info->mutex);
    memcpy(out, &info->public, size);
    pthread_mutex_unlock(&info->mutex);
    if (size >= sizeof(out->struct_size)) {
        out->struct_size = asked;
    }
}

size_t rr_node_members(rr_node *node, rr_member *out, size_t capacity)
{
    if (node == NULL) {
        return 0;
    }
    struct info *info = node->info;
    pthread_mutex_lock(&info->mutex);
    size_t count = info->member_count;
    size_t copied = count < capacity ? count : capacity;
    if (copied > 0) {
        memcpy(out, info->members, copied * sizeof(*out));
    }
    pthread_mutex_unlock(&info->mutex);
    return count;
}

size_t rr_node_replicas(rr_node *node, uint64_t index)
{
    if (node == NULL) {
        return 0;
    }
    struct info *info = node->info;
    size_t count = 0;
    pthread_mutex_lock(&info->mutex);
    for (uint32_t at = 0; at < info->replica_count; at++) {
        count += info->replicas[at] >= index;
    }
    pthread_mutex_unlock(&info->mutex);
    return count;
}

/* ---- Metrics ---- */

struct visitor {
    rr_metric_fn visit;
    void *arg;
};

static void counter(const struct visitor *visitor, const char *name, const char *help,
                    uint64_t value)
{
    visitor->visit(visitor->arg, name, help, true, (double)value);
}

static void gauge(const struct visitor *visitor, const char *name, const char *help, uint64_t value)
{
    visitor->visit(visitor->arg, name, help, false, (double)value);
}

static void visit_consensus(const struct visitor *v, const struct info *info)
{
    const rr_node_info *public = &info->public;
    gauge(v, "is_leader", "Whether this node leads.", public->role == RR_LEADER);
    gauge(v, "has_leader", "Whether this node knows who leads.", public->leader != 0);
    gauge(v, "halted", "Whether consensus has stopped for good on this node.", public->halted);
    gauge(v, "term", "The term of this node.", public->term);
    gauge(v, "log_first_index", "The first entry in the log.", public->first_index);
    gauge(v, "log_last_index", "The last entry in the log.", public->last_index);
    gauge(v, "commit_index", "The last entry known to be committed.", public->commit_index);
    gauge(v, "applied_index", "The last entry applied.", public->applied_index);
    gauge(v, "members", "The members, learners included.", info->member_count);
    gauge(v, "voters", "The members that vote.", public->incoming_count);
    gauge(v, "members_unreachable", "On the leader: members without a connection.",
          info->unreachable);
    gauge(v, "members_lag_entries", "On the leader: entries that the slowest connected one lacks.",
          info->lag_max);
    counter(v, "member_changes_total", "Changes of the configuration applied.",
            info->member_changes_total);
    counter(v, "elections_total", "Elections that this node stood for.", info->elections_total);
    counter(v, "elections_won_total", "Times that this node became leader.",
            info->elections_won_total);
    counter(v, "leader_changes_total", "Times that another leader, or none, was seen.",
            info->node.leader_changes_total);
    counter(v, "messages_sent_total", "Consensus messages handed to the transport.",
            info->driver.messages);
    counter(v, "messages_dropped_total", "Consensus messages of strangers, dropped.",
            info->node.dropped_messages_total);
    counter(v, "disk_repairs_total",
            "Damaged disks that became new ones, to be brought up by the other members.",
            info->node.repairs_total);
}

static void visit_requests(const struct visitor *v, const struct info *info)
{
    const struct node_counters *node = &info->node;
    counter(v, "writes_total", "Writes asked of this node.", node->writes_total);
    counter(v, "writes_failed_total", "Writes that did not end well.", node->writes_failed_total);
    counter(v, "writes_forwarded_total", "Writes passed on to the leader.",
            node->writes_forwarded_total);
    counter(v, "proposals_total", "Entries proposed by this node.", node->proposals_total);
    counter(v, "applied_total", "Entries applied since the start.", node->applied_total);
    counter(v, "reads_total", "Reads asked of this node.", node->reads_total);
    counter(v, "reads_failed_total", "Reads that did not end well.", node->reads_failed_total);
    counter(v, "read_rounds_total", "Confirmations asked for, each for many reads.",
            node->read_rounds_total);
    counter(v, "query_reruns_total", "Queries that were too large for the node's thread.",
            node->query_reruns_total);
    counter(v, "lease_reads_total", "Reads answered by the leader's lease.",
            node->lease_reads_total);
    counter(v, "busy_total", "Requests refused for a full queue.", node->busy_total);
    gauge(v, "client_sessions", "Client sessions open.", info->sessions);
}

static void visit_storage(const struct visitor *v, const struct info *info)
{
    counter(v, "log_frames_total", "Writes to the log.", info->log.frames);
    counter(v, "log_entries_total", "Entries appended to the log.", info->log.entries);
    counter(v, "log_bytes_written_total", "Bytes written to the log.", info->log.bytes_written);
    counter(v, "log_syncs_total", "Writes that were forced to the disk.", info->log.syncs);
    counter(v, "log_entries_read_total", "Entries read back from the log.", info->log.entries_read);
    gauge(v, "log_cache_bytes", "Bytes of entries in memory.", info->cache_bytes);
    counter(v, "state_commits_total", "Batches committed to the state.", info->state.commits);
    counter(v, "state_bytes_written_total", "Bytes of keys and values written to the state.",
            info->state.bytes_written);
    gauge(v, "state_keys", "Keys in the state, as estimated.", info->state.keys_estimated);
    gauge(v, "state_disk_bytes", "Bytes of the state's files.", info->state.disk_bytes);
    gauge(v, "state_memory_bytes", "Bytes of the state not on disk yet.", info->state.memory_bytes);
    gauge(v, "disk_available_bytes", "Free space on the disk, as of the last second.",
          info->disk_available);
    gauge(v, "disk_low", "1: writes are refused for want of space; 2: entries are as well.",
          info->disk_level);
    counter(v, "disk_dropped_total", "Messages of others not taken for want of space.",
            info->node.space_dropped_total);
    counter(v, "disk_stalls_total", "Times that the disk took too long for a write or a read.",
            info->disk_stalls);
}

static void visit_snapshots(const struct visitor *v, const struct info *info)
{
    const struct snapshots_counters *snapshots = &info->snapshots;
    gauge(v, "snapshot_index", "What the latest snapshot covers; 0: none.",
          info->public.snapshot_index);
    gauge(v, "snapshot_bytes", "Size of the latest snapshot.", info->snapshot_bytes);
    gauge(v, "snapshot_under_way", "Whether one is being made.", info->snapshot_under_way);
    counter(v, "snapshots_made_total", "Snapshots made.", snapshots->made_total);
    counter(v, "snapshots_failed_total", "Snapshots that could not be made.",
            snapshots->make_failures_total);
    counter(v, "snapshot_make_microseconds_total", "Time spent making snapshots.",
            snapshots->made_us_total);
    counter(v, "snapshots_sent_total", "Snapshots sent to members.", snapshots->sent_total);
    counter(v, "snapshot_send_failures_total", "Snapshots that did not get to a member.",
            snapshots->send_failures_total);
    counter(v, "snapshot_bytes_sent_total", "Bytes of snapshots sent.",
            snapshots->sent_bytes_total);
    counter(v, "snapshots_received_total", "Snapshots received whole.", snapshots->received_total);
    counter(v, "snapshot_receive_failures_total", "Snapshots that could not be taken.",
            snapshots->receive_failures_total);
    counter(v, "snapshot_bytes_received_total", "Bytes of snapshots received.",
            snapshots->received_bytes_total);
    counter(v, "snapshots_installed_total", "Snapshots installed.", snapshots->installed_total);
    counter(v, "log_purges_total", "Times that the log was shortened.", snapshots->purges_total);
    counter(v, "backups_total", "Backups that clients have read to the end.",
            snapshots->backups_total);
    counter(v, "backup_bytes_sent_total", "Bytes of snapshots sent to clients.",
            snapshots->backup_bytes_total);
}

static void visit_transport(const struct visitor *v, const struct info *info)
{
    const struct transport_counters *t = &info->transport;
    counter(v, "transport_frames_sent_total", "Frames sent.", t->frames_sent);
    counter(v, "transport_frames_received_total", "Frames received.", t->frames_received);
    counter(v, "transport_bytes_sent_total", "Bytes sent.", t->bytes_sent);
    counter(v, "transport_bytes_received_total", "Bytes received.", t->bytes_received);
    gauge(v, "transport_connections_in", "Connections from other nodes.", info->connections_in);
    counter(v, "transport_connections_opened_total", "Connections made.", t->connections_opened);
    counter(v, "transport_connections_accepted_total", "Connections taken.",
            t->connections_accepted);
    counter(v, "transport_connections_lost_total", "Connections lost.", t->connections_lost);
    counter(v, "transport_connect_failures_total", "Connections that came to nothing.",
            t->connect_failures);
    counter(v, "transport_reconnects_total", "Attempts after the first.", t->reconnects);
    counter(v, "transport_refused_total", "Handshakes that this node refused.", t->rejected_by_us);
    counter(v, "transport_refused_by_others_total", "Handshakes that others refused.",
            t->rejected_by_other);
    counter(v, "transport_garbage_total", "Connections that were none of ours.", t->garbage);
    counter(v, "transport_corrupt_frames_total", "Frames with a wrong checksum or size.",
            t->corrupt_frames);
    counter(v, "transport_malformed_total", "Frames that made no sense.", t->malformed);
    counter(v, "transport_dropped_total", "Consensus messages dropped before they were sent.",
            t->dropped_queue_full + t->dropped_not_connected + t->dropped_no_memory);
    counter(v, "transport_requests_sent_total", "Requests to other nodes.", t->requests_sent);
    counter(v, "transport_requests_received_total", "Requests of other nodes.",
            t->requests_received);
    counter(v, "user_messages_sent_total", "Messages of the embedder's sent to other nodes.",
            t->user_messages_sent);
    counter(v, "user_messages_received_total", "Messages of the embedder's from other nodes.",
            t->user_messages_received);
    counter(v, "user_messages_dropped_total", "Messages of the embedder's that were dropped.",
            t->user_messages_dropped + info->node.user_messages_stray_total);
    counter(v, "transport_requests_unknown_total", "Requests sent that were never answered.",
            t->requests_unknown);
}

void rr_node_metrics(rr_node *node, rr_metric_fn visit, void *arg)
{
    if (node == NULL || visit == NULL) {
        return;
    }
    struct visitor visitor = {visit, arg};
    struct info *copy = mem_new(struct info);
    pthread_mutex_lock(&node->info->mutex);
    *copy = *node->info;
    pthread_mutex_unlock(&node->info->mutex);
    pthread_mutex_lock(&node->inbox.mutex);
    uint64_t pending = node->inbox.pending_count;
    uint64_t pending_bytes = node->inbox.pending_bytes;
    copy->node.busy_total += node->inbox.refused;
    pthread_mutex_unlock(&node->inbox.mutex);
    visit_consensus(&visitor, copy);
    visit_requests(&visitor, copy);
    gauge(&visitor, "requests_pending", "Requests accepted and not answered.", pending);
    gauge(&visitor, "requests_pending_bytes", "Bytes of those.", pending_bytes);
    visit_storage(&visitor, copy);
    visit_snapshots(&visitor, copy);
    visit_transport(&visitor, copy);
    mem_free(copy);
}

/* ---- The digest: on a worker, for it reads everything ---- */

struct digest_call {
    struct request request;
    struct worker_job job;
    bool on_worker;
    rr_status status;
    struct state_position position;
    uint64_t digest;
    uint64_t *index_out; /* the waiter's */
    uint64_t *digest_out;
};

static void digest_run(void *arg)
{
    struct digest_call *call = arg;
    struct storage_error error;
    struct state_view *view = state_view_open(call->request.node->state);
    call->status = state_view_applied(view, &call->position, &error);
    if (call->status == RR_OK) {
        call->status = state_view_digest(view, &call->digest, &error);
    }
    state_view_close(view);
}

static void digest_done(void *arg)
{
    struct digest_call *call = arg;
    if (call->status == RR_OK) {
        *call->index_out = call->position.index;
        *call->digest_out = call->digest;
    }
    request_end(&call->request, call->status, NULL);
}

static void digest_start(struct request *request)
{
    struct digest_call *call = CONTAINER_OF(request, struct digest_call, request);
    rr_node *node = request->node;
    if (node->stopping || node->worker == NULL) {
        request_end(request, RR_CLOSED, NULL);
        return;
    }
    call->on_worker = true;
    call->job.run = digest_run;
    call->job.done = digest_done;
    call->job.arg = call;
    worker_submit(node->worker, &call->job);
}

/* The worker answers, however long it takes. */
static void digest_expire(struct request *request)
{
    (void)request;
}

static void digest_destroy(struct request *request)
{
    mem_free(CONTAINER_OF(request, struct digest_call, request));
}

rr_status rr_node_digest_wait(rr_node *node, uint64_t *index, uint64_t *digest)
{
    struct wait wait;
    uint64_t found_index = 0;
    uint64_t found_digest = 0;
    rr_status status = node == NULL ? RR_INVALID : wait_begin(&wait, node, false);
    if (status != RR_OK) {
        return status;
    }
    struct digest_call *call = mem_new(struct digest_call);
    call->index_out = &found_index;
    call->digest_out = &found_digest;
    call->request.start = digest_start;
    call->request.expire = digest_expire;
    call->request.destroy = digest_destroy;
    call->request.done = wait_done;
    call->request.done_arg = &wait;
    call->request.always = true;
    status = request_post(node, &call->request, 0);
    if (status != RR_OK) {
        mem_free(call);
    }
    status = wait_end(&wait, status, NULL);
    if (status == RR_OK && index != NULL) {
        *index = found_index;
    }
    if (status == RR_OK && digest != NULL) {
        *digest = found_digest;
    }
    return status;
}
