/*
 * Replacing the state by a snapshot.
 *
 * 1. The snapshot's files are linked (tables) or copied into state-<n+1>, and synced.
 * 2. It is opened and must be at the snapshot's position.
 * 3. STATE is replaced: from here on the new state is the one.
 * 4. The old directory goes when its last reader does.
 *
 * A crash before 3 leaves the old state and a leftover, one after it the new state and a leftover;
 * state_open deletes leftovers. The snapshot itself is not touched, so it can be installed again.
 */
#include "storage/state.h"

#include "base/assert.h"
#include "base/memory.h"
#include "storage/snapshot_private.h"
#include "storage/state_pointer.h"
#include "storage/state_private.h"

#include <inttypes.h>
#include <string.h>

/* Tables never change, so both directories can share them; where the file system cannot link, they
 * are copied. The other files are small, and RocksDB writes to them. */
static rr_status place_file(const char *from, const char *to, struct storage_error *error)
{
    size_t size = strlen(from);
    if (size > 4 && strcmp(from + size - 4, ".sst") == 0) {
        rr_status status = file_link(from, to, NULL);
        if (status == RR_OK) {
            return RR_OK;
        }
    }
    return file_copy(from, to, error);
}

rr_status state_place_files(const struct snapshot *snapshot, const char *target,
                            struct storage_error *error)
{
    rr_status status = file_remove_tree(target, error);
    if (status == RR_OK) {
        status = directory_create(target, error);
    }
    for (uint32_t i = 0; status == RR_OK && i < snapshot->manifest.file_count; i++) {
        char from[PATH_BYTES_MAX];
        char to[PATH_BYTES_MAX];
        const char *name = snapshot->manifest.files[i].name;
        status = path_join(snapshot->path, name, from, error);
        if (status == RR_OK) {
            status = path_join(target, name, to, error);
        }
        if (status == RR_OK) {
            status = place_file(from, to, error);
        }
        if (status == RR_NOT_FOUND) {
            status = RR_CORRUPT; /* the snapshot lacks a file; the text names it */
        }
    }
    return status == RR_OK ? directory_sync(target, error) : status;
}

/* Opens what was placed and checks that it is what the snapshot promises. */
static rr_status open_placed(struct state *state, const struct snapshot *snapshot,
                             const char *target, struct storage_error *error, struct state_db **out)
{
    struct state_db *db;
    rr_status status = state_db_open(state, target, ROCKS_EXISTING, error, &db);
    if (status != RR_OK) {
        return status;
    }
    const struct state_position *wanted = &snapshot->manifest.position;
    struct state_position position;
    status = state_db_position(db, state->read_options, &position, error);
    if (status == RR_OK && (position.index != wanted->index || position.term != wanted->term)) {
        status = storage_fail(error, RR_CORRUPT,
                              "the snapshot is at index %" PRIu64 " instead of %" PRIu64,
                              position.index, wanted->index);
    }
    if (status != RR_OK) {
        state_db_release(state, db);
        return status;
    }
    *out = db;
    return RR_OK;
}

/* Puts the new database in the place of the old one, which lasts until its last reader is gone.
 * Tables that wait to be written are part of the old state. */
static void become(struct state *state, struct state_db *db, struct state_memory *memory,
                   uint64_t number, struct state_position position)
{
    pthread_mutex_lock(&state->write_mutex);
    state_layers_replace(state, db, memory);
    pthread_mutex_unlock(&state->write_mutex);
    state->number = number;
    state->applied = position;
    value_cache_clear(state->values);
}

/* STATE could not be replaced. Where it is seen to name the old state, that one stays in use. Else
 * a crash may bring back either: neither may be changed, and the state has failed. */
static rr_status give_up(struct state *state, const char *target, rr_status status,
                         const struct storage_error *cause)
{
    uint64_t number;
    if (state_pointer_read(state->path, &number, NULL) == RR_OK && number == state->number) {
        rr_status removed = file_remove_tree(target, NULL);
        (void)removed;
        return status;
    }
    state_fail(state, status, cause->text);
    return status;
}

rr_status state_install(struct state *state, struct snapshot *snapshot, struct storage_error *error)
{
    ASSERT(state->batch_with_contents == NULL);
    rr_status status = state_check(state, error);
    if (status != RR_OK) {
        return status;
    }
    struct state_position position = snapshot->manifest.position;
    if (position.index < state->applied.index) {
        return storage_fail(error, RR_CONFLICT,
                            "the snapshot is at index %" PRIu64 ", and the state at %" PRIu64,
                            position.index, state->applied.index);
    }
    uint64_t number = state->number + 1;
    char target[PATH_BYTES_MAX];
    struct state_db *db = NULL;
    struct state_memory *memory = NULL;
    status = state_pointer_path(state->path, number, target, error);
    if (status == RR_OK) {
        status = state_place_files(snapshot, target, error);
    }
    if (status == RR_OK) {
        status = open_placed(state, snapshot, target, error, &db);
    }
    if (status == RR_OK) {
        memory = state_memory_new(state);
        status = memory != NULL
                     ? RR_OK
                     : storage_fail(error, RR_NO_MEMORY, "no memory for a table of the state");
    }
    if (status != RR_OK) {
        state_db_release(state, db);
        rr_status removed = file_remove_tree(target, NULL);
        (void)removed;
        return status;
    }
    struct storage_error cause;
    status = state_pointer_write(state->path, number, &cause);
    if (status != RR_OK) {
        state_memory_free(memory);
        state_db_release(state, db);
        storage_fail(error, status, "%s", cause.text);
        return give_up(state, target, status, &cause);
    }
    become(state, db, memory, number, position);
    state_db_release(state, db);
    return RR_OK;
}
