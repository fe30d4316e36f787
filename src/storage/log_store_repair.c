/* See log_store_repair.h. */
#include "storage/log_store_repair.h"

#include "storage/segment_log_repair.h"

rr_status log_store_repair(const struct log_store_open_options *options, raft_group group,
                           raft_index index, raft_term term, struct storage_error *text)
{
    rr_log_kind kind;
    rr_status status = log_store_kind(options->path, text, &kind);
    if (status != RR_OK) {
        return status;
    }
    if (kind != RR_LOG_SEGMENTS) {
        return storage_fail(text, RR_CORRUPT, "a log in RocksDB is not repaired in its place");
    }
    struct segment_log_store_options segments = {
        .path = options->path,
        .segment_bytes = options->segment_bytes,
    };
    struct segment_log_floor floor = {.group = group, .index = index, .term = term};
    return segment_log_store_repair(&segments, &floor, text);
}
