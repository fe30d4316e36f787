/* The storage layer's own records in a state or a snapshot. */
#ifndef INSPECT_STATE_RECORDS_H
#define INSPECT_STATE_RECORDS_H

#include "inspect/rocks.h"

enum { STATE_FAMILIES = 1 };
extern const char *const state_families[STATE_FAMILIES];

struct state_records {
    uint64_t index; /* 0 without a record of it */
    uint64_t term;
    struct slice meta; /* the caller's own bytes */
    const char *wrong; /* NULL, or what is wrong with them */
};

/* Fills `out`, which state_records_free frees, always. NULL, or what RocksDB says; the caller
 * frees it. */
char *state_records_load(struct rocks *rocks, struct state_records *out);
void state_records_free(struct state_records *records);

#endif
