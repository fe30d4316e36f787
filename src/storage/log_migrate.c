/* Moving a log: the names beside it, copying, comparing, and the switch. */
#include "storage/log_migrate.h"

#include "base/assert.h"
#include "base/memory.h"
#include "storage/file.h"
#include "storage/log_record.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum {
    BATCH_BYTES = 1024 * 1024,
    BATCH_ENTRIES = 4096,
    SPARE_BYTES = 64 * 1024 * 1024, /* beside the entries: what the stores keep for themselves */
    TELL_SECONDS = 2,
};

/* --- Names --- */

struct names {
    const char *log;
    char fresh[PATH_BYTES_MAX]; /* LOG.new */
    char old[PATH_BYTES_MAX];   /* LOG.old */
};

static rr_status make_names(const char *path, struct names *out, struct storage_error *error)
{
    out->log = path;
    int fresh = snprintf(out->fresh, sizeof(out->fresh), "%s.new", path);
    int old = snprintf(out->old, sizeof(out->old), "%s.old", path);
    if (fresh < 0 || old < 0 || fresh >= PATH_BYTES_MAX || old >= PATH_BYTES_MAX) {
        return storage_fail(error, RR_INVALID, "the log's path is too long");
    }
    return RR_OK;
}

static rr_status refuse_names(const struct names *names, const char *what,
                              struct storage_error *error)
{
    return storage_fail(error, RR_CORRUPT,
                        "%s: %s, which no move of the log leaves behind: restore the directory as "
                        "it was, or let the node join again under a new id with an empty one",
                        names->log, what);
}

/* The new log is complete and has no name yet, or the old one is still there. */
static rr_status finish(const struct names *names, struct storage_error *error)
{
    rr_status status = RR_OK;
    if (!file_exists(names->log)) {
        status = file_rename(names->fresh, names->log, error);
    }
    return status == RR_OK ? file_remove_tree(names->old, error) : status;
}

rr_status log_migrate_recover(const char *path, const struct logger *logger,
                              struct storage_error *error)
{
    struct names names;
    rr_status status = make_names(path, &names, error);
    if (status != RR_OK) {
        return status;
    }
    bool log = file_exists(names.log);
    bool fresh = file_exists(names.fresh);
    bool old = file_exists(names.old);
    if (!fresh && !old) {
        return RR_OK;
    }
    if (log && fresh && old) {
        return refuse_names(&names, "there are LOG, LOG.new and LOG.old", error);
    }
    if (!log && !(fresh && old)) {
        return refuse_names(&names, fresh ? "LOG.new is without LOG" : "LOG.old is alone", error);
    }
    /* What was renamed last may be in memory alone. */
    status = directory_sync_parent(path, error);
    if (status != RR_OK) {
        return status;
    }
    if (log && fresh) {
        LOG_INFO(logger, "removing %s: moving the log was cut short", names.fresh);
        return file_remove_tree(names.fresh, error);
    }
    LOG_INFO(logger, "%s: moving the log was complete, and is ended now", path);
    return finish(&names, error);
}

/* --- Groups --- */

/* All there is to know of the groups without their entries. */
struct groups {
    raft_group *ids;
    struct log_recovery *recoveries;
    size_t count;
    uint64_t entries;
};

static void add_group(void *arg, raft_group id)
{
    struct groups *groups = arg;
    groups->ids = mem_resize(groups->ids, (groups->count + 1) * sizeof(groups->ids[0]));
    groups->ids[groups->count++] = id;
}

static void groups_deinit(struct groups *groups)
{
    mem_free(groups->ids);
    mem_free(groups->recoveries);
}

/* Reads all entries of all groups once, and checks them. `out` is the caller's in any case. */
static rr_status recover_groups(struct log_store *store, struct groups *out,
                                struct storage_error *error)
{
    log_store_each_group(store, add_group, out);
    out->recoveries = mem_new_array(struct log_recovery, out->count + 1);
    for (size_t i = 0; i < out->count; i++) {
        struct log_recovery *recovery = &out->recoveries[i];
        rr_status status = log_store_recover(store, out->ids[i], NULL, NULL, error, recovery);
        if (status != RR_OK) {
            return status;
        }
        if (recovery->hard_state.commit > recovery->bounds.last_index) {
            return storage_fail(error, RR_CORRUPT,
                                "the log of group %" PRIu64 " ends at %" PRIu64
                                ", before its commit index %" PRIu64 ": %s",
                                out->ids[i], recovery->bounds.last_index,
                                recovery->hard_state.commit, LOG_DAMAGE_ADVICE);
        }
        out->entries += recovery->bounds.last_index - recovery->bounds.base_index;
    }
    return RR_OK;
}

/* --- A move under way --- */

struct move {
    const struct log_store_open_options *options; /* with options->path of LOG */
    const struct logger *logger;
    struct names names;
    struct log_store *source;
    struct log_store *target;
    struct groups groups; /* of the source */
    uint64_t done;        /* entries, of twice as many: written, then compared */
    time_t told;
};

static time_t now_seconds(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec;
}

static void tell_progress(struct move *move, uint32_t entries)
{
    move->done += entries;
    time_t now = now_seconds();
    if (now - move->told >= TELL_SECONDS) {
        move->told = now;
        LOG_INFO(move->logger, "moving the log: %" PRIu64 " %% of %" PRIu64 " entries",
                 50 * move->done / move->groups.entries, move->groups.entries);
    }
}

/* How a frame that is waited for has ended. */
struct wait {
    bool done;
    rr_status status;
};

static void end_wait(void *arg, rr_status status)
{
    *(struct wait *)arg = (struct wait){true, status};
}

static rr_status submit(struct log_store *store, const struct log_record *record, bool sync,
                        struct storage_error *error)
{
    struct wait wait = {0};
    struct log_frame frame = {record, 1, sync};
    log_store_submit(store, &frame, end_wait, &wait);
    ASSERT(wait.done); /* stores without a thread that syncs complete at once */
    return wait.status == RR_OK ? RR_OK
                                : storage_fail(error, wait.status, "%s", log_store_failure(store));
}

static void drop_entries(struct raft_entry *const *entries, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        raft_entry_unref(entries[i]);
    }
}

/* --- Writing --- */

static rr_status write_entries(struct move *move, raft_group group, const struct log_bounds *bounds,
                               struct storage_error *error)
{
    struct raft_entry **entries = mem_new_array(struct raft_entry *, BATCH_ENTRIES);
    rr_status status = RR_OK;
    raft_index next = bounds->base_index + 1;
    while (status == RR_OK && next <= bounds->last_index) {
        uint32_t count;
        status = log_store_read(move->source, group, next, bounds->last_index, BATCH_BYTES,
                                BATCH_ENTRIES, entries, &count, error);
        if (status != RR_OK) {
            break;
        }
        struct log_record record = {.group = group, .entries = entries, .entry_count = count};
        status = submit(move->target, &record, /*sync=*/false, error);
        drop_entries(entries, count);
        next += count;
        tell_progress(move, count);
    }
    mem_free(entries);
    return status;
}

static rr_status write_group(struct move *move, raft_group group,
                             const struct log_recovery *recovery, struct storage_error *error)
{
    const struct log_bounds *bounds = &recovery->bounds;
    rr_status status = RR_OK;
    if (bounds->base_index > 0) {
        struct log_record base = {
            .group = group,
            .reset = true,
            .reset_index = bounds->base_index,
            .reset_term = bounds->base_term,
        };
        status = submit(move->target, &base, /*sync=*/false, error);
    }
    if (status == RR_OK) {
        status = write_entries(move, group, bounds, error);
    }
    if (status == RR_OK) {
        struct log_record record = {.group = group, .hard_state = &recovery->hard_state};
        status = submit(move->target, &record, /*sync=*/true, error);
    }
    return status;
}

/* --- Comparing --- */

static rr_status differs(const struct move *move, raft_group group, raft_index index,
                         struct storage_error *error)
{
    return storage_fail(error, RR_IO,
                        "%s does not hold what was written to it: entry %" PRIu64
                        " of group %" PRIu64 "; the disk cannot be trusted",
                        move->names.fresh, index, group);
}

static bool same_entry(const struct raft_entry *left, const struct raft_entry *right)
{
    return left->index == right->index && left->term == right->term && left->type == right->type &&
           left->size == right->size &&
           (left->size == 0 || memcmp(left->data, right->data, left->size) == 0);
}

/* Compares entries from `next` on, as many as are read at a time, which `count` tells. */
static rr_status compare_batch(struct move *move, raft_group group, raft_index next,
                               raft_index last, struct raft_entry **left, struct raft_entry **right,
                               uint32_t *count, struct storage_error *error)
{
    uint32_t read;
    rr_status status = log_store_read(move->source, group, next, last, BATCH_BYTES, BATCH_ENTRIES,
                                      left, count, error);
    if (status != RR_OK) {
        return status;
    }
    status = log_store_read(move->target, group, next, next + *count - 1, SIZE_MAX, *count, right,
                            &read, error);
    if (status == RR_OK) {
        for (uint32_t i = 0; status == RR_OK && i < *count; i++) {
            if (i >= read || !same_entry(left[i], right[i])) {
                status = differs(move, group, next + i, error);
            }
        }
        drop_entries(right, read);
    }
    drop_entries(left, *count);
    return status;
}

static rr_status compare_group(struct move *move, size_t position, const struct groups *found,
                               struct storage_error *error)
{
    raft_group group = move->groups.ids[position];
    const struct log_recovery *old = &move->groups.recoveries[position];
    const struct log_recovery *new = &found->recoveries[position];
    if (found->ids[position] != group || new->hard_state.term != old->hard_state.term ||
        new->hard_state.vote != old->hard_state.vote ||
        new->hard_state.commit != old->hard_state.commit ||
        new->bounds.base_index != old->bounds.base_index ||
        new->bounds.base_term != old->bounds.base_term ||
        new->bounds.last_index != old->bounds.last_index ||
        new->bounds.last_term != old->bounds.last_term) {
        return differs(move, group, old->bounds.base_index, error);
    }
    struct raft_entry **left = mem_new_array(struct raft_entry *, BATCH_ENTRIES);
    struct raft_entry **right = mem_new_array(struct raft_entry *, BATCH_ENTRIES);
    rr_status status = RR_OK;
    raft_index next = old->bounds.base_index + 1;
    while (status == RR_OK && next <= old->bounds.last_index) {
        uint32_t count;
        status =
            compare_batch(move, group, next, old->bounds.last_index, left, right, &count, error);
        if (status == RR_OK) {
            next += count;
            tell_progress(move, count);
        }
    }
    mem_free(left);
    mem_free(right);
    return status;
}

static rr_status compare(struct move *move, struct storage_error *error)
{
    struct groups found = {0};
    rr_status status = recover_groups(move->target, &found, error);
    if (status == RR_OK && found.count != move->groups.count) {
        status = differs(move, 0, 0, error);
    }
    for (size_t i = 0; status == RR_OK && i < found.count; i++) {
        status = compare_group(move, i, &found, error);
    }
    groups_deinit(&found);
    return status;
}

/* --- The steps --- */

struct sum {
    const char *directory;
    uint64_t bytes;
};

static rr_status add_size(void *arg, const char *name, struct storage_error *error)
{
    struct sum *sum = arg;
    char path[PATH_BYTES_MAX];
    uint64_t size = 0;
    rr_status status = path_join(sum->directory, name, path, error);
    if (status == RR_OK) {
        status = file_size(path, &size, error);
    }
    sum->bytes += size;
    return status;
}

/* Both logs are on the disk for a while, the new one no larger than the old one and what its store
 * keeps for itself. */
static rr_status check_space(const struct move *move, struct storage_error *error)
{
    struct sum sum = {.directory = move->names.log};
    uint64_t available = 0;
    rr_status status = directory_list(sum.directory, add_size, &sum, error);
    if (status == RR_OK) {
        status = file_space_available(move->names.log, &available, error);
    }
    uint64_t needed = sum.bytes + SPARE_BYTES + 2 * move->options->segment_bytes;
    if (status == RR_OK && available < needed) {
        status =
            storage_fail(error, RR_NO_SPACE,
                         "moving the log %s takes %" PRIu64 " MiB of the disk for a while, and "
                         "%" PRIu64 " are free: make room, or leave the log as it is",
                         move->names.log, needed / (1024 * 1024), available / (1024 * 1024));
    }
    return status;
}

static rr_status open_as(const struct move *move, const char *path, rr_log_kind kind,
                         struct storage_error *error, struct log_store **out)
{
    struct log_store_open_options options = {
        .path = path,
        .kind = kind,
        .segment_bytes = move->options->segment_bytes,
    };
    return log_store_open_kind(&options, error, out);
}

/* Has the kernel forget the file, too: it is read from the disk next. */
static rr_status sync_file(void *arg, const char *name, struct storage_error *error)
{
    char path[PATH_BYTES_MAX];
    int fd = -1;
    rr_status status = path_join(arg, name, path, error);
    if (status == RR_OK) {
        status = file_open(path, &fd, error);
    }
    if (status == RR_OK) {
        status = file_sync(fd, path, error);
        file_drop_cache(fd);
        close(fd);
    }
    return status;
}

/* Makes what is in the directory durable, whoever wrote it. */
static rr_status sync_all(const char *directory, struct storage_error *error)
{
    rr_status status = directory_list(directory, sync_file, (void *)directory, error);
    return status == RR_OK ? directory_sync(directory, error) : status;
}

static rr_status write_all(struct move *move, struct storage_error *error)
{
    rr_status status = RR_OK;
    for (size_t i = 0; status == RR_OK && i < move->groups.count; i++) {
        status = write_group(move, move->groups.ids[i], &move->groups.recoveries[i], error);
    }
    return status;
}

/* Opens the new log, does the work, and closes it, durably if all went well. */
static rr_status with_target(struct move *move,
                             rr_status (*work)(struct move *move, struct storage_error *error),
                             struct storage_error *error)
{
    rr_status status = open_as(move, move->names.fresh, move->options->kind, error, &move->target);
    if (status == RR_OK) {
        status = work(move, error);
    }
    log_store_close(move->target);
    move->target = NULL;
    if (status == RR_CORRUPT) {
        status = RR_IO; /* of the new log: nothing is known against the old one, which was read */
    }
    return status == RR_OK ? sync_all(move->names.fresh, error) : status;
}

static rr_status copy(struct move *move, rr_log_kind from, struct storage_error *error)
{
    rr_status status = open_as(move, move->names.log, from, error, &move->source);
    if (status == RR_OK) {
        status = recover_groups(move->source, &move->groups, error);
    }
    if (status == RR_OK) {
        LOG_INFO(move->logger, "moving the log of %" PRIu64 " entries: %s becomes %s",
                 move->groups.entries, log_store_kind_name(from),
                 log_store_kind_name(move->options->kind));
        move->told = now_seconds();
        status = with_target(move, write_all, error);
    }
    if (status == RR_OK) {
        status = with_target(move, compare, error);
    }
    log_store_close(move->source);
    groups_deinit(&move->groups);
    return status;
}

rr_status log_migrate(const struct log_store_open_options *options, rr_log_kind from,
                      const struct logger *logger, struct storage_error *error)
{
    struct move *move = mem_new(struct move);
    move->options = options;
    move->logger = logger;
    rr_status status = make_names(options->path, &move->names, error);
    if (status == RR_OK) {
        status = check_space(move, error);
    }
    if (status == RR_OK) {
        status = copy(move, from, error);
        if (status != RR_OK) {
            /* Why it failed is told; what is left of it goes at the next start at the latest. */
            struct storage_error ignored;
            rr_status removed = file_remove_tree(move->names.fresh, &ignored);
            (void)removed;
        }
    }
    if (status == RR_OK) {
        status = file_rename(move->names.log, move->names.old, error);
    }
    if (status == RR_OK) {
        status = finish(&move->names, error);
    }
    if (status == RR_OK) {
        LOG_INFO(logger, "the log was moved");
    }
    mem_free(move);
    return status;
}
