/* Options: defaults, a copy of the node's own, and what may not be. */
#include "node/node_private.h"

#include "base/memory.h"
#include "command/command_limits.h"
#include "io/address.h"
#include "storage/segment_log_store.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define MEBIBYTE ((size_t)1024 * 1024)

void rr_options_init(rr_options *options)
{
    *options = (rr_options){
        .struct_size = sizeof(rr_options),
        .raft_address = "127.0.0.1:6682",
        .found = true,
        .heartbeat_interval_ms = 50,
        .election_timeout_min_ms = 150,
        .election_timeout_max_ms = 300,
        .lease_reads = true,
        .lease_drift_permille = 100,
        .timeout_ms = 10000,
        .snapshot_entries = 100000,
        .snapshot_keep = 10000,
        .entry_bytes_max = 9 * MEBIBYTE,
        .value_bytes_max = VALUE_BYTES_MAX,
        .key_bytes_max = KEY_BYTES_MAX,
        .result_bytes_max = 64 * MEBIBYTE,
        .pending_bytes_max = 64 * MEBIBYTE,
        .pending_max = 65536,
        .max_open_files = 10000,
        .block_cache_bytes = 512 * MEBIBYTE,
        .memtable_bytes = 64 * MEBIBYTE,
        .disk_low_bytes = 256 * MEBIBYTE,
        .log_level = RR_LOG_INFO,
    };
}

__attribute__((format(printf, 2, 3))) static rr_status refuse(char error[NODE_ERROR_BYTES_MAX],
                                                              const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(error, NODE_ERROR_BYTES_MAX, format, arguments);
    va_end(arguments);
    return RR_INVALID;
}

static rr_status check_address(const char *name, const char *text, bool to_listen,
                               char error[NODE_ERROR_BYTES_MAX])
{
    struct address address;
    if (text == NULL || address_parse(text, &address) != RR_OK) {
        return refuse(error, "%s: \"%s\" is no address; expected \"host:port\"", name,
                      text == NULL ? "" : text);
    }
    if (address.port == 0 && !to_listen) {
        return refuse(error, "%s: \"%s\" has port 0; nobody can connect to that", name, text);
    }
    return RR_OK;
}

static rr_status check_addresses(const rr_options *options, char error[NODE_ERROR_BYTES_MAX])
{
    rr_status status = check_address("raft_address", options->raft_address, true, error);
    if (status == RR_OK && options->advertise_address != NULL) {
        status = check_address("advertise_address", options->advertise_address, false, error);
    }
    if (options->join_count > RAFT_MEMBERS_MAX) {
        return refuse(error, "join: at most %d addresses", RAFT_MEMBERS_MAX);
    }
    for (size_t i = 0; i < options->join_count && status == RR_OK; i++) {
        status = check_address("join", options->join[i], false, error);
    }
    return status;
}

static rr_status check_times(const rr_options *options, char error[NODE_ERROR_BYTES_MAX])
{
    if (options->heartbeat_interval_ms == 0) {
        return refuse(error, "heartbeat_interval_ms: must not be 0");
    }
    if (options->election_timeout_min_ms < 2 * (uint64_t)options->heartbeat_interval_ms) {
        return refuse(error,
                      "election_timeout_min_ms: %" PRIu32
                      " is less than twice the heartbeat interval of %" PRIu32,
                      options->election_timeout_min_ms, options->heartbeat_interval_ms);
    }
    if (options->election_timeout_max_ms <= options->election_timeout_min_ms) {
        return refuse(
            error, "election_timeout_max_ms: %" PRIu32 " is not more than the minimum of %" PRIu32,
            options->election_timeout_max_ms, options->election_timeout_min_ms);
    }
    if (options->lease_drift_permille >= 1000) {
        return refuse(error, "lease_drift_permille: must be less than 1000");
    }
    if (options->timeout_ms == 0) {
        return refuse(error, "timeout_ms: must not be 0");
    }
    return RR_OK;
}

static rr_status check_size(const char *name, size_t size, size_t size_max,
                            char error[NODE_ERROR_BYTES_MAX])
{
    if (size == 0 || size > size_max) {
        return refuse(error, "%s: %zu; expected 1 to %zu", name, size, size_max);
    }
    return RR_OK;
}

static rr_status check_sizes(const rr_options *options, char error[NODE_ERROR_BYTES_MAX])
{
    rr_status status =
        check_size("entry_bytes_max", options->entry_bytes_max, ENTRY_BYTES_MAX, error);
    if (status == RR_OK) {
        status = check_size("value_bytes_max", options->value_bytes_max, VALUE_BYTES_MAX, error);
    }
    if (status == RR_OK) {
        status = check_size("key_bytes_max", options->key_bytes_max, KEY_BYTES_MAX, error);
    }
    if (status == RR_OK) {
        status = check_size("result_bytes_max", options->result_bytes_max, UINT32_MAX, error);
    }
    if (status == RR_OK) {
        status = check_size("pending_max", options->pending_max, UINT32_MAX, error);
    }
    if (status == RR_OK) {
        status = check_size("pending_bytes_max", options->pending_bytes_max, SIZE_MAX, error);
    }
    if (status == RR_OK && options->log_segment_bytes != 0 &&
        (options->log_segment_bytes < SEGMENT_BYTES_MIN ||
         options->log_segment_bytes > SEGMENT_BYTES_LIMIT ||
         options->log_segment_bytes % SEGMENT_BYTES_UNIT != 0)) {
        return refuse(error, "log_segment_bytes: %" PRIu64 "; expected %d to %d, a multiple of %d",
                      options->log_segment_bytes, SEGMENT_BYTES_MIN, SEGMENT_BYTES_LIMIT,
                      SEGMENT_BYTES_UNIT);
    }
    if (status == RR_OK && options->max_open_files > INT32_MAX) {
        return refuse(error, "max_open_files: %" PRIu32 " is too large", options->max_open_files);
    }
    return status;
}

static rr_status check(const rr_options *options, char error[NODE_ERROR_BYTES_MAX])
{
    if (options->node_id == 0) {
        return refuse(error, "node_id: required, and not 0");
    }
    if (options->data_path == NULL || options->data_path[0] == '\0') {
        return refuse(error, "data_path: required");
    }
    if ((options->join_count > 0 && options->join == NULL) ||
        (options->procedure_count > 0 && options->procedures == NULL)) {
        return refuse(error, "a count is given without its array");
    }
    if (options->log_kind != RR_LOG_AUTO && options->log_kind != RR_LOG_ROCKSDB &&
        options->log_kind != RR_LOG_SEGMENTS) {
        return refuse(error, "log_kind: there is none of number %d", (int)options->log_kind);
    }
    if (options->repair != RR_REPAIR_AUTO && options->repair != RR_REPAIR_NEVER) {
        return refuse(error, "repair: there is none of number %d", (int)options->repair);
    }
    rr_status status = check_addresses(options, error);
    if (status == RR_OK) {
        status = check_times(options, error);
    }
    return status == RR_OK ? check_sizes(options, error) : status;
}

rr_status options_copy(const rr_options *options, struct node_options *out,
                       char error[NODE_ERROR_BYTES_MAX])
{
    if (options->struct_size < offsetof(rr_options, heartbeat_interval_ms) ||
        options->struct_size > 16 * sizeof(rr_options)) {
        return refuse(error, "the options were not set up with rr_options_init");
    }
    rr_options copy;
    rr_options_init(&copy);
    size_t known = options->struct_size < sizeof(copy) ? options->struct_size : sizeof(copy);
    memcpy(&copy, options, known);
    copy.struct_size = sizeof(copy);
    rr_status status = check(&copy, error);
    if (status != RR_OK) {
        return status;
    }
    memset(out, 0, sizeof(*out));
    out->public = copy;
    out->data_path = mem_copy_text(copy.data_path);
    out->raft_address = mem_copy_text(copy.raft_address);
    out->advertise_address =
        mem_copy_text(copy.advertise_address != NULL ? copy.advertise_address : copy.raft_address);
    out->join = mem_new_array(char *, copy.join_count + 1);
    for (size_t i = 0; i < copy.join_count; i++) {
        out->join[i] = mem_copy_text(copy.join[i]);
    }
    out->public.data_path = out->data_path;
    out->public.raft_address = out->raft_address;
    out->public.advertise_address = out->advertise_address;
    out->public.join = (const char *const *)out->join;
    return RR_OK;
}

void options_deinit(struct node_options *options)
{
    for (size_t i = 0; options->join != NULL && i < options->public.join_count; i++) {
        mem_free(options->join[i]);
    }
    mem_free(options->join);
    mem_free(options->data_path);
    mem_free(options->raft_address);
    mem_free(options->advertise_address);
}
