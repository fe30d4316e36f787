/*
 * An entry and a group's record as the values that a log store keeps, with version and checksum.
 *
 * The checksum covers the place as well (group, index), so a value that turns up under another key
 * is found out.
 */
#ifndef STORAGE_LOG_RECORD_H
#define STORAGE_LOG_RECORD_H

#include "raft/types.h"
#include "storage/error.h"

enum {
    LOG_ENTRY_HEADER_BYTES = 1 + 1 + 8 + 8, /* version, type, term, checksum; then the data */
    LOG_GROUP_RECORD_BYTES = 1 + 8 * 5 + 8, /* version, five numbers, checksum */
};

/* What a group keeps beside its entries. */
struct log_group_record {
    struct raft_hard_state hard_state;
    raft_index base_index;
    raft_term base_term;
};

/* A decoded entry; `data` is borrowed from the value. */
struct log_entry_view {
    raft_term term;
    enum raft_entry_type type;
    rr_bytes data;
};

/* Writes what stands before the entry's data. */
void log_entry_header_encode(raft_group group, const struct raft_entry *entry,
                             uint8_t out[LOG_ENTRY_HEADER_BYTES]);

/* Takes a value apart and verifies it against the place it was found at. RR_CORRUPT or RR_MISMATCH
 * (a newer version), with a text that names the entry. */
RR_MUST_USE rr_status log_entry_decode(raft_group group, raft_index index, rr_bytes value,
                                       struct storage_error *error, struct log_entry_view *out);

/* As log_entry_decode, into an entry of its own with one reference. RR_NO_MEMORY as well. */
RR_MUST_USE rr_status log_entry_load(raft_group group, raft_index index, rr_bytes value,
                                     struct storage_error *error, struct raft_entry **out);

/* The term in a value of at least LOG_ENTRY_HEADER_BYTES, of which nothing is verified. */
raft_term log_entry_term(rr_bytes value);

void log_group_record_encode(raft_group group, const struct log_group_record *record,
                             uint8_t out[LOG_GROUP_RECORD_BYTES]);
RR_MUST_USE rr_status log_group_record_decode(raft_group group, rr_bytes value,
                                              struct storage_error *error,
                                              struct log_group_record *out);

/* The text that all damage of a log ends with. */
#define LOG_DAMAGE_ADVICE "the disk or the file system lost data (docs/faults.md)"

#endif
