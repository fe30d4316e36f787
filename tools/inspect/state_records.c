#include "inspect/state_records.h"

#include <stdlib.h>
#include <string.h>

const char *const state_families[STATE_FAMILIES] = {"state"};

enum { POSITION_BYTES = 25 };

static const char *read_position(struct slice value, struct state_records *records)
{
    struct reader reader = reader_of(value);
    uint8_t version = read_u8(&reader);
    uint64_t index = read_u64(&reader);
    uint64_t term = read_u64(&reader);
    uint64_t sum = read_u64(&reader);
    if (!reader_is_done(&reader) ||
        sum != checksum((struct slice){value.data, POSITION_BYTES - 8}, 0)) {
        return "the record of the applied position fails its checksum";
    }
    if (version != 1) {
        return "a newer version wrote the applied position";
    }
    records->index = index;
    records->term = term;
    return NULL;
}

static const char *read_meta(struct slice value, struct state_records *records)
{
    struct reader reader = reader_of(value);
    uint8_t version = read_u8(&reader);
    uint64_t sum = read_u64(&reader);
    struct slice meta = read_rest(&reader);
    if (reader.failed || sum != checksum(meta, 0)) {
        return "the record of the members fails its checksum";
    }
    if (version != 1) {
        return "a newer version wrote the record of the members";
    }
    uint8_t *copy = malloc(meta.size == 0 ? 1 : meta.size);
    if (copy == NULL) {
        return "there is no memory to read the record of the members";
    }
    if (meta.size > 0) {
        memcpy(copy, meta.data, meta.size);
    }
    free((void *)records->meta.data);
    records->meta = (struct slice){copy, meta.size};
    return NULL;
}

static bool visit_own(void *arg, struct slice key, struct slice value)
{
    struct state_records *records = arg;
    if (key.size == 0 || key.data[0] != 0) {
        return key.size == 0;
    }
    const char *wrong = "a record of the storage layer that there is not";
    if (key.size == 2 && key.data[1] == 'a') {
        wrong = read_position(value, records);
    } else if (key.size == 2 && key.data[1] == 'm') {
        wrong = read_meta(value, records);
    }
    if (records->wrong == NULL) {
        records->wrong = wrong;
    }
    return true;
}

char *state_records_load(struct rocks *rocks, struct state_records *out)
{
    *out = (struct state_records){.index = 0};
    struct slice all = {NULL, 0};
    return rocks_each(rocks, 0, all, visit_own, out);
}

void state_records_free(struct state_records *records)
{
    free((void *)records->meta.data);
    *records = (struct state_records){.index = 0};
}
