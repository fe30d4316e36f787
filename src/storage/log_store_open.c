/* The kinds of log as files, and the choice between them. */
#include "storage/log_store_open.h"

#include "base/assert.h"
#include "storage/file.h"
#include "storage/log_migrate.h"
#include "storage/rocksdb_log_store.h"
#include "storage/segment_log_store.h"

#include <string.h>

static const rr_log_kind DEFAULT_KIND = RR_LOG_SEGMENTS;

const char *log_store_kind_name(rr_log_kind kind)
{
    switch (kind) {
    case RR_LOG_AUTO:
        return "no log";
    case RR_LOG_ROCKSDB:
        return "a log in RocksDB";
    case RR_LOG_SEGMENTS:
        return "a log in segments";
    }
    return "an unknown log";
}

/* Which kinds have files in the directory. */
struct traces {
    bool rocksdb;
    bool segments;
};

static rr_status look_at_name(void *arg, const char *name, struct storage_error *error)
{
    (void)error;
    struct traces *traces = arg;
    traces->rocksdb |= strcmp(name, "CURRENT") == 0;
    traces->segments |= strncmp(name, "segment-", 8) == 0;
    return RR_OK;
}

rr_status log_store_kind(const char *path, struct storage_error *error, rr_log_kind *out)
{
    struct traces traces = {0};
    rr_status status = directory_list(path, look_at_name, &traces, error);
    if (status != RR_OK && status != RR_NOT_FOUND) {
        return status;
    }
    if (traces.rocksdb && traces.segments) {
        return storage_fail(error, RR_CORRUPT,
                            "%s holds files of two kinds of log: restore the directory as it was, "
                            "or let the node join again under a new id with an empty one",
                            path);
    }
    *out = traces.rocksdb ? RR_LOG_ROCKSDB : traces.segments ? RR_LOG_SEGMENTS : RR_LOG_AUTO;
    return RR_OK;
}

rr_status log_store_open_kind(const struct log_store_open_options *options,
                              struct storage_error *error, struct log_store **out)
{
    ASSERT(options->kind != RR_LOG_AUTO);
    if (options->kind == RR_LOG_SEGMENTS) {
        struct segment_log_store_options segments = {
            .path = options->path,
            .segment_bytes = options->segment_bytes,
            .sync_on_thread = options->sync_on_thread,
        };
        return segment_log_store_open(&segments, error, out);
    }
    struct rocksdb_log_store_options rocksdb = {.path = options->path};
    return rocksdb_log_store_open(&rocksdb, error, out);
}

rr_status log_store_open(const struct log_store_open_options *options, const struct logger *logger,
                         struct storage_error *error, struct log_store **out)
{
    rr_log_kind found;
    rr_status status = log_migrate_recover(options->path, logger, error);
    if (status == RR_OK) {
        status = log_store_kind(options->path, error, &found);
    }
    if (status != RR_OK) {
        return status;
    }
    struct log_store_open_options chosen = *options;
    if (chosen.kind == RR_LOG_AUTO) {
        chosen.kind = found == RR_LOG_AUTO ? DEFAULT_KIND : found;
    }
    if (found != RR_LOG_AUTO && found != chosen.kind && !options->migrate) {
        return storage_fail(
            error, RR_MISMATCH,
            "%s holds %s, and %s is asked for: have it moved at start (migrate_log = "
            "true in [storage]), or take what is there (log = \"auto\")",
            options->path, log_store_kind_name(found), log_store_kind_name(chosen.kind));
    }
    if (found != RR_LOG_AUTO && found != chosen.kind) {
        status = log_migrate(&chosen, found, logger, error);
    }
    return status == RR_OK ? log_store_open_kind(&chosen, error, out) : status;
}
