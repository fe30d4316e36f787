/*
 * What both users of RocksDB share: options, opening with column families, closing in the order
 * that its assertions want, and errors as statuses.
 */
#ifndef STORAGE_ROCKS_H
#define STORAGE_ROCKS_H

#include "rockraft/types.h"
#include "storage/error.h"

#include <rocksdb/c.h>

enum { ROCKS_FAMILIES_MAX = 3 };

/* An open instance. The first family is always the unused "default". */
struct rocks {
    rocksdb_t *db;
    rocksdb_column_family_handle_t *families[ROCKS_FAMILIES_MAX];
    int family_count;
};

enum rocks_mode {
    ROCKS_CREATE,   /* created where it is missing */
    ROCKS_EXISTING, /* must be there */
    ROCKS_READ_ONLY /* must be there, and is not changed */
};

/* Options that fit both, for the instance and for its families alike. The caller destroys them. */
rocksdb_options_t *rocks_options_new(void);

/*
 * Opens `path` with "default" and `count` further families, all with `options`, which may be
 * destroyed afterwards. RR_BUSY (open elsewhere), RR_CORRUPT, RR_NO_SPACE, RR_IO.
 */
RR_MUST_USE rr_status rocks_open(const char *path, enum rocks_mode mode, rocksdb_options_t *options,
                                 const char *const *families, int count,
                                 struct storage_error *error, struct rocks *out);

/* Closes what is open. A zeroed struct is fine. */
void rocks_close(struct rocks *rocks);

/* RR_OK for NULL; otherwise the status and text of RocksDB's `message`, which is freed. `what` is a
 * verb such as "write to", `path` its object. */
RR_MUST_USE rr_status rocks_check(char *message, const char *what, const char *path,
                                  struct storage_error *error);

#endif
