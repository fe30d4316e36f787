/* A snapshot's manifest, and the checksums of its files. Pure functions. */
#ifndef INSPECT_MANIFEST_H
#define INSPECT_MANIFEST_H

#include "inspect/identity.h"

enum { MANIFEST_NAME_BYTES_MAX = 63, SNAPSHOT_PIECE_BYTES = 1 << 20 };

struct manifest {
    uint64_t index;
    uint64_t term;
    uint32_t chunk_bytes;
    struct slice meta; /* the caller's own bytes */
    uint64_t file_count;
    uint64_t bytes; /* of all files */
    struct slice files;
};

struct manifest_file {
    char name[MANIFEST_NAME_BYTES_MAX + 1];
    uint64_t size;
    uint64_t checksum;
};

/* Reads a manifest, which `out` borrows from; each of its files is looked at. */
enum form manifest_read(struct slice bytes, struct manifest *out);

/* Reads the next file from a reader over `manifest->files`; false if it is malformed. */
bool manifest_next(struct reader *reader, struct manifest_file *out);

/* How many chunks the files make when they are sent. */
uint64_t manifest_chunks(const struct manifest *manifest);

/* The checksum of a file's bytes. */
uint64_t manifest_file_checksum(struct slice bytes);

#endif
