/*
 * Making snapshots, installing received ones, and dropping the log that they make superfluous.
 *
 * Invariants:
 * 1. The log is purged no further than the latest snapshot and what the state has on disk, so it
 *    and a snapshot always meet; where damage has parted them, another snapshot is made.
 * 2. What is offered to a member contains the present configuration: a snapshot from before its
 *    addition would not know it.
 */
#include "node/snapshots.h"

#include "base/assert.h"
#include "base/memory.h"
#include "node/backups.h"
#include "node/members.h"
#include "node/members_meta.h"
#include "raft/progress.h"

#include <inttypes.h>
#include <string.h>

/* ---- The latest ---- */

static void drop_latest(struct snapshots *snapshots)
{
    raft_snapshot_unref(snapshots->description);
    snapshot_release(snapshots->latest);
    snapshots->description = NULL;
    snapshots->latest = NULL;
    memset(&snapshots->latest_info, 0, sizeof(snapshots->latest_info));
}

void snapshots_refresh(rr_node *node)
{
    struct snapshots *snapshots = node->snapshots;
    struct snapshot *latest = snapshot_store_latest(snapshots->store);
    drop_latest(snapshots);
    if (latest == NULL) {
        return;
    }
    struct members_meta *meta = mem_new(struct members_meta);
    rr_status status = members_meta_decode(snapshot_meta(latest), meta);
    if (status != RR_OK || meta->cluster == 0 || meta->cluster != node->self.cluster) {
        LOG_ERROR(&node->logger, "the latest snapshot is not of this cluster; it is not used");
        snapshot_release(latest);
    } else {
        snapshots->latest = latest;
        snapshot_info(latest, &snapshots->latest_info);
        struct state_position position = snapshots->latest_info.position;
        snapshots->description = raft_snapshot_new(position.index, position.term,
                                                   &meta->configuration, (rr_bytes){NULL, 0});
    }
    mem_free(meta);
}

void snapshots_damaged(rr_node *node, struct snapshot *snapshot, bool in_use, const char *text)
{
    if (in_use) {
        stores_damaged(node, DAMAGE_STATE, text);
        return;
    }
    snapshot_drop(snapshot);
    snapshots_refresh(node);
}

struct raft_snapshot *snapshots_offer(void *arg)
{
    rr_node *node = arg;
    struct snapshots *snapshots = node->snapshots;
    const struct raft_snapshot *latest = snapshots->description;
    if (latest != NULL && latest->index >= raft_base_index(node_core(node)) &&
        latest->index >= node->members->meta.index) {
        return raft_snapshot_ref(snapshots->description);
    }
    snapshots_make(node);
    return NULL;
}

/* ---- Making ---- */

static void make_on_worker(void *arg)
{
    rr_node *node = arg;
    struct making *making = &node->snapshots->making;
    making->status = snapshot_create(node->snapshots->store, node->state, &making->error, NULL);
}

static void made(void *arg)
{
    rr_node *node = arg;
    struct snapshots *snapshots = node->snapshots;
    struct making *making = &snapshots->making;
    uint64_t now_us = loop_now_us(node->loop);
    making->under_way = false;
    if (snapshots->stopped || !node_alive(node)) {
        return;
    }
    if (making->status != RR_OK) {
        snapshots->counters.make_failures_total++;
        making->retry_us = now_us + (uint64_t)SNAPSHOT_RETRY_MS * 1000;
        LOG_ERROR(&node->logger, "cannot make a snapshot: %s", making->error.text);
        snapshot_calls_settle(node, making->status, making->error.text);
        if (making->status == RR_CORRUPT) {
            stores_damaged(node, DAMAGE_STATE, making->error.text); /* it is made of nothing else */
        }
        return;
    }
    snapshots_refresh(node);
    snapshots->counters.made_total++;
    snapshots->counters.made_us_total += now_us - making->started_us;
    making->retry_us = 0;
    const struct snapshot_info *info = &snapshots->latest_info;
    LOG_INFO(&node->logger, "snapshot at entry %" PRIu64 ": %" PRIu64 " bytes in %" PRIu64 " ms",
             info->position.index, info->size, (now_us - making->started_us) / 1000);
    uint64_t keep = node->options.public.snapshot_keep;
    if (info->position.index > keep && info->position.index - keep > snapshots->purge_wanted) {
        snapshots->purge_wanted = info->position.index - keep;
    }
    snapshot_calls_settle(node, RR_OK, "");
    snapshots_applied(node); /* more may have been applied meanwhile than is let pass by */
}

void snapshots_make(rr_node *node)
{
    struct snapshots *snapshots = node->snapshots;
    struct making *making = &snapshots->making;
    if (making->under_way || snapshots->stopped || node_now_us(node) < making->retry_us ||
        state_applied(node->state).index == 0) {
        return;
    }
    if (node->space.level == SPACE_SHORT) {
        making->retry_us = node_now_us(node) + (uint64_t)SNAPSHOT_RETRY_MS * 1000;
        snapshot_calls_settle(node, RR_NO_SPACE, "the disk is nearly full");
        return;
    }
    making->under_way = true;
    making->started_us = node_now_us(node);
    making->error.text[0] = 0;
    making->job.run = make_on_worker;
    making->job.done = made;
    making->job.arg = node;
    worker_submit(node->worker, &making->job);
}

void snapshots_shorten(rr_node *node)
{
    const struct snapshots *snapshots = node->snapshots;
    if (node->options.public.snapshot_entries > 0 &&
        state_applied(node->state).index > snapshots->latest_info.position.index) {
        snapshots_make(node);
    }
}

/* ---- Purging ---- */

/* A leader waits for members that are connected and not far behind what would be dropped. */
static raft_index hold_for_members(const rr_node *node, raft_index index)
{
    const struct raft *core = node_core(node);
    const struct raft_configuration *configuration = raft_configuration(core);
    if (!node_leads(node)) {
        return index;
    }
    for (uint32_t at = 0; at < configuration->count; at++) {
        const struct raft_progress *progress = raft_progress(core, configuration->members[at].id);
        if (progress == NULL || progress->id == raft_self(core) ||
            !peers_connected(node->peers, progress->id) || progress->state == RAFT_SNAPSHOT) {
            continue;
        }
        if (progress->match < index &&
            progress->match + node->options.public.snapshot_keep >= index) {
            index = progress->match;
        }
    }
    return index;
}

static raft_index lower(raft_index a, raft_index b)
{
    return a < b ? a : b;
}

/* Drops the log up to `index`, as far as snapshot and state allow. */
static void purge_to(rr_node *node, raft_index index)
{
    struct snapshots *snapshots = node->snapshots;
    struct state_position persisted;
    struct storage_error error = {{0}};
    index = lower(index, snapshots->latest_info.position.index);
    if (index <= raft_base_index(node_core(node))) {
        return;
    }
    if (state_persisted(node->state, &persisted, &error) != RR_OK) {
        LOG_WARN(&node->logger, "the log is not purged: %s", error.text);
        return;
    }
    index = lower(index, persisted.index);
    if (index <= raft_base_index(node_core(node))) {
        return;
    }
    LOG_INFO(&node->logger, "dropping the log up to entry %" PRIu64, index);
    driver_purge(node->driver, index);
    snapshots->counters.purges_total++;
}

static void purge_again(void *arg)
{
    snapshots_purge(arg);
}

void snapshots_purge(rr_node *node)
{
    struct snapshots *snapshots = node->snapshots;
    raft_index wanted = snapshots->purge_wanted;
    if (snapshots->stopped || !node_alive(node) || wanted <= raft_base_index(node_core(node))) {
        return;
    }
    uint64_t again_us = snapshots->purged_us + (uint64_t)PURGE_INTERVAL_MS * 1000;
    raft_index allowed = lower(hold_for_members(node, wanted), sends_floor(node));
    if (allowed == wanted || node_now_us(node) >= again_us) {
        snapshots->purged_us = node_now_us(node);
        purge_to(node, allowed);
    }
    if (wanted > raft_base_index(node_core(node)) && snapshots->purge_again.link.next == NULL) {
        deadline_set(&node->deadlines, &snapshots->purge_again,
                     node_now_us(node) + (uint64_t)PURGE_INTERVAL_MS * 1000, purge_again, node);
    }
}

void snapshots_purge_asked(rr_node *node, raft_index index)
{
    if (!node->snapshots->stopped) {
        purge_to(node, lower(index, sends_floor(node)));
        snapshots_purge(node);
    }
}

/* Whether the log begins after the latest snapshot: it was repaired, or that one was damaged. Until
 * there is another, nothing makes up for damage to the state. */
static bool is_behind_log(const rr_node *node)
{
    raft_index base = raft_base_index(node_core(node));
    return base > FOUNDING_INDEX && base > node->snapshots->latest_info.position.index &&
           state_applied(node->state).index > base;
}

void snapshots_applied(rr_node *node)
{
    struct snapshots *snapshots = node->snapshots;
    uint64_t entries = node->options.public.snapshot_entries;
    raft_index applied = state_applied(node->state).index;
    raft_index latest = snapshots->latest_info.position.index;
    if (snapshots->stopped || !node_alive(node)) {
        return;
    }
    bool due = entries > 0 && applied > latest && applied - latest >= entries;
    if (due || is_behind_log(node)) {
        snapshots_make(node);
    }
    snapshots_purge(node);
}

/* ---- Installing ---- */

rr_status snapshots_install(rr_node *node, const struct raft_snapshot *snapshot,
                            struct storage_error *error)
{
    struct snapshots *snapshots = node->snapshots;
    struct snapshot *received = snapshots->installing;
    struct snapshot_info info = {0};
    if (received != NULL) {
        snapshot_info(received, &info);
    }
    if (info.position.index != snapshot->index || info.position.term != snapshot->term) {
        return storage_fail(error, RR_NOT_FOUND,
                            "the snapshot at entry %" PRIu64 " is not the one that was received",
                            snapshot->index);
    }
    rr_status status = state_install(node->state, received, error);
    if (status != RR_OK) {
        return status;
    }
    snapshots->counters.installed_total++;
    receive_installed(node);
    snapshots_refresh(node);
    LOG_INFO(&node->logger, "installed the snapshot at entry %" PRIu64 ": %" PRIu64 " bytes",
             snapshot->index, info.size);
    return RR_OK;
}

/* ---- Opening and closing ---- */

rr_status snapshots_open(rr_node *node, struct storage_error *error)
{
    struct snapshots *snapshots = mem_new(struct snapshots);
    node->snapshots = snapshots;
    list_init(&snapshots->waiting);
    list_init(&snapshots->sends);
    list_init(&snapshots->backoffs);
    list_init(&snapshots->backups);
    struct snapshot_store_options options = {.path = data_dir_snapshots_path(node->data_dir)};
    STATIC_ASSERT(SNAPSHOT_CHUNK_BYTES_MAX >= 1024 * 1024); /* the store's default */
    rr_status status = snapshot_store_open(&options, error, &snapshots->store);
    if (status == RR_OK) {
        snapshots_refresh(node);
    }
    return status;
}

void snapshots_stop(rr_node *node)
{
    struct snapshots *snapshots = node->snapshots;
    if (snapshots == NULL || snapshots->stopped) {
        return;
    }
    snapshots->stopped = true;
    deadline_clear(&node->deadlines, &snapshots->purge_again);
    sends_stop(node);
    backups_stop(node);
    snapshot_calls_stop(node);
}

void snapshots_close(rr_node *node)
{
    struct snapshots *snapshots = node->snapshots;
    if (snapshots == NULL) {
        return;
    }
    ASSERT(list_empty(&snapshots->waiting));
    ASSERT(list_empty(&snapshots->backups));
    sends_close(node);
    receive_close(node);
    snapshot_release(snapshots->installing);
    drop_latest(snapshots);
    snapshot_store_close(snapshots->store);
    mem_free(snapshots);
    node->snapshots = NULL;
}
