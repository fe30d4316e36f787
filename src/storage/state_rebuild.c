/* See state_rebuild.h. The steps are those of state_install.c, without an old state to go on with. */
#include "storage/state_rebuild.h"

#include "storage/snapshot_private.h"
#include "storage/state_pointer.h"
#include "storage/state_private.h"

#include <inttypes.h>

/* The state directories that there are. */
struct found {
    uint32_t count;
    uint64_t highest;
};

static rr_status count_directory(void *arg, const char *name, struct storage_error *error)
{
    struct found *found = arg;
    uint64_t number;
    (void)error;
    if (state_pointer_parse_name(name, &number)) {
        found->count++;
        found->highest = number > found->highest ? number : found->highest;
    }
    return RR_OK;
}

rr_status state_rebuild_pointer(const char *directory, bool *written, struct storage_error *error)
{
    uint64_t number;
    *written = false;
    rr_status status = state_pointer_read(directory, &number, error);
    if (status != RR_CORRUPT && status != RR_NOT_FOUND) {
        return status;
    }
    struct found found = {0};
    status = directory_list(directory, count_directory, &found, error);
    if (status == RR_OK && found.count != 1) {
        status = storage_fail(error, RR_CORRUPT,
                              "%s/STATE is damaged, and there are %" PRIu32
                              " states that it may have named",
                              directory, found.count);
    }
    if (status == RR_OK) {
        status = state_pointer_write(directory, found.highest, error);
        *written = status == RR_OK;
    }
    return status;
}

/* Puts the files in place and sees whether they are the state that the snapshot promises. */
static rr_status place(const struct snapshot *snapshot, const char *target,
                       struct storage_error *error)
{
    const struct state_position *wanted = &snapshot->manifest.position;
    struct state_position position = {0};
    struct buffer meta;
    buffer_init(&meta);
    rr_status status = state_place_files(snapshot, target, error);
    if (status == RR_OK) {
        status = state_inspect(target, &position, &meta, error);
    }
    if (status == RR_OK && (position.index != wanted->index || position.term != wanted->term)) {
        status = storage_fail(error, RR_CORRUPT,
                              "the snapshot is at index %" PRIu64 " instead of %" PRIu64,
                              position.index, wanted->index);
    }
    buffer_deinit(&meta);
    return status;
}

rr_status state_rebuild(const char *directory, struct snapshot *snapshot,
                        struct storage_error *error)
{
    rr_status status = snapshot_verify(snapshot, error);
    struct found found = {0};
    uint64_t current = 0;
    char target[PATH_BYTES_MAX];
    if (status == RR_OK) {
        status = directory_list(directory, count_directory, &found, error);
    }
    if (status == RR_OK) {
        if (state_pointer_read(directory, &current, NULL) == RR_OK && current > found.highest) {
            found.highest = current; /* its directory is what is missing */
        }
        status = state_pointer_path(directory, found.highest + 1, target, error);
    }
    if (status != RR_OK) {
        return status;
    }
    status = place(snapshot, target, error);
    if (status != RR_OK) {
        rr_status removed = file_remove_tree(target, NULL);
        (void)removed; /* the next state_open removes it */
        return status;
    }
    return state_pointer_write(directory, found.highest + 1, error);
}
