/* The values of a log store: fields in fixed places, little endian. */
#include "storage/log_record.h"

#include "base/assert.h"
#include "base/checksum.h"
#include "base/codec.h"

#include <inttypes.h>
#include <string.h>

enum { VERSION = 1 };

/* Over everything that identifies the entry, then over its data. */
static uint64_t entry_checksum(raft_group group, raft_index index, raft_term term, uint8_t type,
                               rr_bytes data)
{
    uint8_t place[8 + 8 + 8 + 1];
    store_u64(place, group);
    store_u64(place + 8, index);
    store_u64(place + 16, term);
    place[24] = type;
    return checksum64_seeded(data.data, data.size, checksum64(place, sizeof(place)));
}

void log_entry_header_encode(raft_group group, const struct raft_entry *entry,
                             uint8_t out[LOG_ENTRY_HEADER_BYTES])
{
    ASSERT(entry->index > 0);
    ASSERT(entry->term > 0);
    rr_bytes data = {entry->data, entry->size};
    out[0] = VERSION;
    out[1] = (uint8_t)entry->type;
    store_u64(out + 2, entry->term);
    store_u64(out + 10,
              entry_checksum(group, entry->index, entry->term, (uint8_t)entry->type, data));
}

rr_status log_entry_decode(raft_group group, raft_index index, rr_bytes value,
                           struct storage_error *error, struct log_entry_view *out)
{
    const uint8_t *at = value.data;
    if (value.size < LOG_ENTRY_HEADER_BYTES || at[0] == 0) {
        return storage_fail(error, RR_CORRUPT,
                            "entry %" PRIu64 " of group %" PRIu64 " is cut short: %s", index, group,
                            LOG_DAMAGE_ADVICE);
    }
    if (at[0] > VERSION) {
        return storage_fail(error, RR_MISMATCH,
                            "entry %" PRIu64 " of group %" PRIu64
                            " has version %d, and this program knows up to %d; run a newer one",
                            index, group, at[0], VERSION);
    }
    struct log_entry_view view = {
        .term = load_u64(at + 2),
        .type = (enum raft_entry_type)at[1],
        .data = {at + LOG_ENTRY_HEADER_BYTES, value.size - LOG_ENTRY_HEADER_BYTES},
    };
    uint64_t checksum = entry_checksum(group, index, view.term, at[1], view.data);
    if (checksum != load_u64(at + 10) || view.term == 0 || at[1] > RAFT_ENTRY_CONF_CHANGE_V2) {
        return storage_fail(error, RR_CORRUPT,
                            "entry %" PRIu64 " of group %" PRIu64 " fails its checksum: %s", index,
                            group, LOG_DAMAGE_ADVICE);
    }
    *out = view;
    return RR_OK;
}

rr_status log_entry_load(raft_group group, raft_index index, rr_bytes value,
                         struct storage_error *error, struct raft_entry **out)
{
    struct log_entry_view view;
    rr_status status = log_entry_decode(group, index, value, error, &view);
    if (status != RR_OK) {
        return status;
    }
    struct raft_entry *entry = raft_entry_try_new(view.type, view.data.size);
    if (entry == NULL) {
        return storage_fail(error, RR_NO_MEMORY, "no memory for entry %" PRIu64 " of %zu bytes",
                            index, view.data.size);
    }
    entry->index = index;
    entry->term = view.term;
    if (view.data.size > 0) {
        memcpy(entry->data, view.data.data, view.data.size);
    }
    *out = entry;
    return RR_OK;
}

raft_term log_entry_term(rr_bytes value)
{
    ASSERT(value.size >= LOG_ENTRY_HEADER_BYTES);
    return load_u64((const uint8_t *)value.data + 2);
}

void log_group_record_encode(raft_group group, const struct log_group_record *record,
                             uint8_t out[LOG_GROUP_RECORD_BYTES])
{
    out[0] = VERSION;
    store_u64(out + 1, record->hard_state.term);
    store_u64(out + 9, record->hard_state.vote);
    store_u64(out + 17, record->hard_state.commit);
    store_u64(out + 25, record->base_index);
    store_u64(out + 33, record->base_term);
    store_u64(out + 41, checksum64_seeded(out, 41, group));
}

rr_status log_group_record_decode(raft_group group, rr_bytes value, struct storage_error *error,
                                  struct log_group_record *out)
{
    const uint8_t *at = value.data;
    if (value.size > 0 && at[0] > VERSION) {
        return storage_fail(error, RR_MISMATCH,
                            "the hard state of group %" PRIu64
                            " has version %d, and this program knows up to %d; run a newer one",
                            group, at[0], VERSION);
    }
    if (value.size != LOG_GROUP_RECORD_BYTES || at[0] != VERSION ||
        load_u64(at + 41) != checksum64_seeded(at, 41, group)) {
        return storage_fail(error, RR_CORRUPT,
                            "the hard state of group %" PRIu64 " fails its checksum: %s", group,
                            LOG_DAMAGE_ADVICE);
    }
    out->hard_state.term = load_u64(at + 1);
    out->hard_state.vote = load_u64(at + 9);
    out->hard_state.commit = load_u64(at + 17);
    out->base_index = load_u64(at + 25);
    out->base_term = load_u64(at + 33);
    return RR_OK;
}
