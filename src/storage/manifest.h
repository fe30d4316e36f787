/*
 * What a snapshot consists of: its position, the caller's bytes, and its files with sizes and
 * checksums. As bytes it is what SNAPSHOT in the snapshot's directory holds and what is sent first.
 *
 * The files' bytes, one file after the other in the manifest's order, make one run that is cut into
 * chunks of `chunk_bytes`.
 */
#ifndef STORAGE_MANIFEST_H
#define STORAGE_MANIFEST_H

#include "storage/snapshot.h"

enum {
    MANIFEST_NAME_BYTES_MAX = 64,   /* with its zero; RocksDB's names are shorter */
    MANIFEST_FILES_MAX = 64 * 1024, /* 64 MiB each make 4 TiB */
};

struct manifest_file {
    char name[MANIFEST_NAME_BYTES_MAX];
    uint64_t size;     /* never 0 */
    uint64_t checksum; /* of file_checksum */
    uint64_t offset;   /* in the run */
};

struct manifest {
    struct state_position position;
    uint32_t chunk_bytes;
    uint32_t file_count;
    struct manifest_file *files; /* names ascending */
    uint64_t size;               /* of the run */
    struct buffer meta;
};

/* An empty manifest, and freeing what it holds. */
void manifest_init(struct manifest *manifest);
void manifest_deinit(struct manifest *manifest);

/* Whether a snapshot may have a file of this name: one of those that RocksDB's checkpoints have,
 * and so never a path that leads elsewhere. */
bool manifest_name_allowed(const char *name);

/* Adds a file; the names come in ascending order. RR_NO_MEMORY, RR_TOO_BIG (too many). */
RR_MUST_USE rr_status manifest_add(struct manifest *manifest, const char *name, uint64_t size,
                                   uint64_t checksum);

/* Appends the manifest to `out`, whose `failed` tells about memory. */
void manifest_encode(const struct manifest *manifest, struct buffer *out);

/* Fills an empty manifest from bytes that nobody vouches for. RR_CORRUPT, RR_MISMATCH (a newer
 * version), RR_NO_MEMORY; the manifest is then to be freed all the same. */
RR_MUST_USE rr_status manifest_decode(rr_bytes bytes, struct storage_error *error,
                                      struct manifest *manifest);

/* How many chunks, and the size of one of them. */
uint64_t manifest_chunk_count(const struct manifest *manifest);
size_t manifest_chunk_size(const struct manifest *manifest, uint64_t number);

/* The file that holds byte `offset` of the run, which is below its size. */
uint32_t manifest_file_at(const struct manifest *manifest, uint64_t offset);

void manifest_info(const struct manifest *manifest, struct snapshot_info *out);

#endif
