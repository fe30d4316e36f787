/*
 * Files and directories, read alone. Nothing here writes, creates or locks for longer than the
 * process lives.
 */
#ifndef INSPECT_FILES_H
#define INSPECT_FILES_H

#include "inspect/output.h"

/* A data directory that is looked at. */
struct place {
    const char *root;
    struct output *output;
};

enum { PATH_BYTES = 4096 };

/* Writes root/name to `path`, of PATH_BYTES. Too long a path is told, and false. */
bool place_path(const struct place *place, const char *name, char *path);

enum load_result { LOAD_DONE, LOAD_MISSING, LOAD_FAILED };

/*
 * Loads the file `name` (relative to the root), at most `limit` bytes of it. Blocks that the disk
 * cannot read are told as damage, and are zeros in `out`; what else fails is told as unread
 * (LOAD_FAILED). A missing file is not told. `out` is freed by the caller.
 */
enum load_result place_load(const struct place *place, const char *name, uint64_t limit,
                            struct slice *out);

/* What place_load gave. */
void slice_free(struct slice *bytes);

/* The names in a directory, sorted, without . and .. */
struct names {
    char **list;
    size_t count;
};

/* Lists the directory `name` of the root ("": the root itself). LOAD_FAILED is told. `out` is freed
 * by names_free, which accepts one that was never filled. */
enum load_result place_list(const struct place *place, const char *name, struct names *out);
void names_free(struct names *names);

enum name_type { NAME_MISSING, NAME_FILE, NAME_DIRECTORY, NAME_OTHER };

/* What `name` is, and how big a file. */
enum name_type place_type(const struct place *place, const char *name, uint64_t *size);

/* The number in `name` after `prefix`, in `base` 10 or 16 with no sign; false if it has none. */
bool name_number(const char *name, const char *prefix, int base, uint64_t *out);

enum lock_result { LOCK_FREE, LOCK_HELD, LOCK_ABSENT };

/* Whether a process has the directory open. If none has, none can until this one ends. */
enum lock_result place_lock(const struct place *place);

#endif
