/*
 * Restoring: the backup's snapshot goes into a new data directory by the ways of a received one
 * (chunks, verified; installed into the state), then gets members of its own.
 *
 * The directory has no identity until everything in it is done and durable (data_dir.h), so a crash
 * leaves one from which no node starts. There is no log: the state is a position with nothing after
 * it, from which recovery begins an empty log, as it does after an installed snapshot.
 */
#include "node/backup_info.h"

#include "base/memory.h"
#include "io/address.h"
#include "node/members_meta.h"
#include "storage/data_dir.h"
#include "storage/draw.h"
#include "storage/file.h"

#include <inttypes.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

struct restore {
    rr_restore_options options;
    char address[ADDRESS_BYTES_MAX]; /* in its usual form */
    uint64_t cluster;                /* the new one */
    struct backup_dir *backup;
    struct data_dir *directory;
    struct snapshot_store *store; /* of the new directory, while it lasts */
    struct snapshot *snapshot;    /* the copy in it */
    struct state *state;
    struct storage_error error;
};

void rr_restore_options_init(rr_restore_options *options)
{
    *options = (rr_restore_options){.struct_size = sizeof(rr_restore_options)};
}

/* ---- Copying ---- */

static rr_status copy_chunks(struct restore *restore, struct snapshot_writer *writer)
{
    const struct snapshot *from = backup_dir_snapshot(restore->backup);
    struct snapshot_info info;
    struct buffer chunk;
    rr_status status = RR_OK;
    snapshot_info(from, &info);
    buffer_init(&chunk);
    rr_backup_progress progress = {.bytes = info.size};
    for (uint64_t next = 0; status == RR_OK && next < info.chunk_count; next++) {
        uint64_t checksum;
        status = snapshot_read_chunk(from, next, &chunk, &checksum, &restore->error);
        if (status == RR_OK) {
            status = snapshot_writer_chunk(writer, next, buffer_bytes(&chunk), checksum,
                                           &restore->error);
        }
        progress.bytes_done += chunk.size;
        if (status == RR_OK && restore->options.progress != NULL &&
            !restore->options.progress(restore->options.progress_arg, &progress)) {
            status = storage_fail(&restore->error, RR_CLOSED, "ended by the caller");
        }
    }
    buffer_deinit(&chunk);
    return status;
}

/* A copy of the snapshot, verified as it lies in the new directory. */
static rr_status copy_snapshot(struct restore *restore)
{
    struct snapshot_store_options options = {.path = data_dir_snapshots_path(restore->directory)};
    struct snapshot_writer *writer;
    rr_status status = snapshot_store_open(&options, &restore->error, &restore->store);
    if (status == RR_OK) {
        status = snapshot_writer_begin(restore->store,
                                       snapshot_manifest(backup_dir_snapshot(restore->backup)),
                                       &restore->error, &writer);
    }
    if (status != RR_OK) {
        return status;
    }
    status = copy_chunks(restore, writer);
    if (status != RR_OK) {
        snapshot_writer_close(writer);
        return status;
    }
    return snapshot_writer_finish(writer, &restore->error, &restore->snapshot);
}

/* The copy has served: it is of the old cluster. */
static rr_status drop_copy(struct restore *restore)
{
    snapshot_release(restore->snapshot);
    snapshot_store_close(restore->store);
    restore->snapshot = NULL;
    restore->store = NULL;
    return file_remove_tree(data_dir_snapshots_path(restore->directory), &restore->error);
}

/* ---- The state ---- */

/* The members of the new cluster: this node alone. */
static rr_status encode_members(struct restore *restore, struct state_position position,
                                struct buffer *out)
{
    const struct data_dir_identity *identity = data_dir_identity(restore->directory);
    struct member founder;
    rr_status status = member_set(&founder, restore->options.node_id, RR_VOTER, restore->address,
                                  identity->incarnation);
    if (status != RR_OK) {
        return storage_fail(&restore->error, status, "the address %s is too long",
                            restore->address);
    }
    struct members_meta *meta = mem_new(struct members_meta);
    members_meta_found(meta, restore->cluster, &founder, position.index, position.term);
    members_meta_encode(out, meta);
    mem_free(meta);
    return out->failed ? storage_fail(&restore->error, RR_NO_MEMORY, "no memory") : RR_OK;
}

/* In one commit, durable on return. The position stays: entries go on behind it. */
static rr_status commit_members(struct restore *restore, rr_bytes meta,
                                struct state_position position)
{
    struct state_batch *batch = state_batch_new(restore->state);
    rr_status status = state_batch_set_meta(batch, meta);
    if (status == RR_OK) {
        state_batch_set_applied(batch, position.index, position.term);
        status = state_batch_commit(batch, &restore->error);
    }
    if (status == RR_OK) {
        status = state_flush(restore->state, true, &restore->error);
    }
    state_batch_free(batch);
    return status;
}

static rr_status make_state(struct restore *restore)
{
    struct state_options options = {.path = data_dir_path(restore->directory)};
    struct buffer meta;
    buffer_init(&meta);
    rr_status status = state_open(&options, &restore->error, &restore->state);
    if (status == RR_OK) {
        status = state_install(restore->state, restore->snapshot, &restore->error);
    }
    if (status == RR_OK) {
        struct state_position position = state_applied(restore->state);
        status = encode_members(restore, position, &meta);
        if (status == RR_OK) {
            status = commit_members(restore, buffer_bytes(&meta), position);
        }
    }
    buffer_deinit(&meta);
    state_close(restore->state);
    restore->state = NULL;
    return status;
}

/* ---- The call ---- */

static rr_status copy_options(struct restore *restore, const rr_restore_options *options)
{
    struct address address;
    if (options->struct_size < offsetof(rr_restore_options, progress) ||
        options->struct_size > 16 * sizeof(rr_restore_options)) {
        return storage_fail(&restore->error, RR_INVALID,
                            "the options were not set up with rr_restore_options_init");
    }
    rr_restore_options_init(&restore->options);
    size_t known = options->struct_size < sizeof(restore->options) ? options->struct_size
                                                                   : sizeof(restore->options);
    memcpy(&restore->options, options, known);
    if (options->path == NULL || options->data_path == NULL || options->node_id == 0) {
        return storage_fail(&restore->error, RR_INVALID,
                            "a restore needs a backup, a data directory and a node id over 0");
    }
    if (options->address == NULL || address_parse(options->address, &address) != RR_OK ||
        address.port == 0) {
        return storage_fail(&restore->error, RR_INVALID,
                            "\"%s\" is no address; expected \"host:port\"",
                            options->address == NULL ? "" : options->address);
    }
    address_format(&address, restore->address);
    return RR_OK;
}

static rr_status draw_cluster(struct restore *restore)
{
    uint64_t old = backup_dir_origin(restore->backup)->cluster;
    do {
        rr_status status = draw_number(&restore->cluster, &restore->error);
        if (status != RR_OK) {
            return status;
        }
    } while (restore->cluster == old);
    return RR_OK;
}

static rr_status open_directory(struct restore *restore)
{
    struct data_dir_options options = {.path = restore->options.data_path,
                                       .node = restore->options.node_id,
                                       .cluster = restore->cluster,
                                       .restoring = true};
    return data_dir_open(&options, &restore->error, &restore->directory);
}

static rr_status run(struct restore *restore, rr_backup_info *info)
{
    rr_status status = backup_dir_open(restore->options.path, &restore->error, &restore->backup);
    if (status == RR_OK) {
        status = backup_info_of(restore->backup, info, &restore->error);
    }
    if (status == RR_OK) {
        status = draw_cluster(restore);
    }
    if (status == RR_OK) {
        status = open_directory(restore);
    }
    if (status == RR_OK) {
        status = copy_snapshot(restore);
    }
    if (status == RR_OK) {
        status = make_state(restore);
    }
    if (status == RR_OK) {
        status = drop_copy(restore);
    }
    if (status == RR_OK) {
        status = data_dir_finish_restore(restore->directory, &restore->error);
    }
    snapshot_release(restore->snapshot);
    snapshot_store_close(restore->store);
    data_dir_close(restore->directory);
    backup_dir_close(restore->backup);
    return status;
}

rr_status rr_backup_restore(const rr_restore_options *options, rr_backup_info *info,
                            uint64_t *cluster, char *error, size_t error_size)
{
    if (options == NULL) {
        return RR_INVALID;
    }
    struct restore *restore = mem_new(struct restore);
    rr_status status = copy_options(restore, options);
    if (status == RR_OK) {
        status = run(restore, info);
    }
    if (status == RR_OK && cluster != NULL) {
        *cluster = restore->cluster;
    }
    status = backup_result(status, &restore->error, error, error_size);
    mem_free(restore);
    return status;
}
