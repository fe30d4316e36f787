/*
 * What INFO tells about the recent past: rates per second, errors by their code, the last snapshot.
 * Loop's thread.
 */
#ifndef COREDB_SERVER_SAMPLING_H
#define COREDB_SERVER_SAMPLING_H

#include <rockraft/types.h>

struct server;

enum sampled { SAMPLED_COMMANDS, SAMPLED_INPUT_BYTES, SAMPLED_OUTPUT_BYTES, SAMPLED_COUNT };

enum { SAMPLING_TURNS = 16, SAMPLING_ERRORS_MAX = 64, SAMPLING_CODE_BYTES_MAX = 40 };

struct sampling_error {
    char code[SAMPLING_CODE_BYTES_MAX]; /* "ERR", "WRONGTYPE", ... */
    uint64_t count;
};

struct sampling {
    /* Rings, of one turn each. */
    uint64_t rates[SAMPLED_COUNT][SAMPLING_TURNS]; /* per second */
    uint64_t before[SAMPLED_COUNT];
    uint64_t before_ms;
    size_t turn;

    struct sampling_error errors[SAMPLING_ERRORS_MAX];
    size_t error_count;

    uint64_t snapshot_index; /* the latest that was seen */
    uint64_t snapshot_ms;    /* and when; wall clock */
};

/* Ten times a second. */
void sampling_turn(struct server *server);

/* The mean of the last 1.6 seconds. */
uint64_t sampling_rate(const struct sampling *sampling, enum sampled which);

/* An error reply, "-CODE ...", was sent; of codes, the first SAMPLING_ERRORS_MAX are counted. */
void sampling_count_error(struct sampling *sampling, rr_bytes reply);

#endif
