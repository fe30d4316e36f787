/* RocksDB's C interface, brought into our shape. */
#include "storage/rocks.h"

#include "base/assert.h"
#include "storage/file.h"
#include "storage/rocks_silence.h"

#include <string.h>

rocksdb_options_t *rocks_options_new(void)
{
    rocksdb_options_t *options = rocksdb_options_create();
    rocksdb_options_set_paranoid_checks(options, 1);
    rocksdb_options_set_max_background_jobs(options, 2);
    /* Write-back in small steps, so that no sync has to wait for a whole file. */
    rocksdb_options_set_bytes_per_sync(options, 1024 * 1024);
    /* Each instance has one writer, which need not pay for others: a tenth of a frame's CPU. */
    rocksdb_options_set_allow_concurrent_memtable_write(options, 0);
    rocks_silence(options);
    rocksdb_options_set_stats_dump_period_sec(options, 0);
    rocksdb_options_set_stats_persist_period_sec(options, 0);
    return options;
}

rr_status rocks_check(char *message, const char *what, const char *path,
                      struct storage_error *error)
{
    if (message == NULL) {
        return RR_OK;
    }
    rr_status status = RR_IO;
    if (strstr(message, "No space left") != NULL || strstr(message, "Disk quota") != NULL) {
        status = RR_NO_SPACE;
    } else if (strncmp(message, "Corruption", 10) == 0) {
        status = RR_CORRUPT;
    } else if (strstr(message, "lock ") != NULL) {
        status = RR_BUSY;
    }
    storage_fail(error, status, "cannot %s %s: %s", what, path, message);
    rocksdb_free(message);
    return status;
}

rr_status rocks_open(const char *path, enum rocks_mode mode, rocksdb_options_t *options,
                     const char *const *families, int count, struct storage_error *error,
                     struct rocks *out)
{
    ASSERT(count < ROCKS_FAMILIES_MAX);
    rr_status status = file_fault_check("open a database", error);
    if (status != RR_OK) {
        return status;
    }
    const char *names[ROCKS_FAMILIES_MAX] = {"default"};
    const rocksdb_options_t *family_options[ROCKS_FAMILIES_MAX] = {options};
    for (int i = 0; i < count; i++) {
        names[i + 1] = families[i];
        family_options[i + 1] = options;
    }
    rocksdb_options_set_create_if_missing(options, mode == ROCKS_CREATE);
    rocksdb_options_set_create_missing_column_families(options, mode == ROCKS_CREATE);
    struct rocks rocks = {.family_count = count + 1};
    char *message = NULL;
    if (mode == ROCKS_READ_ONLY) {
        rocks.db = rocksdb_open_for_read_only_column_families(
            options, path, count + 1, names, family_options, rocks.families, 0, &message);
    } else {
        rocks.db = rocksdb_open_column_families(options, path, count + 1, names, family_options,
                                                rocks.families, &message);
    }
    bool gone =
        message != NULL && mode != ROCKS_CREATE &&
        (strstr(message, "No such file") != NULL || strstr(message, "does not exist") != NULL);
    status = rocks_check(message, "open", path, error);
    if (status == RR_IO && gone) {
        status = RR_CORRUPT; /* one of its files is missing */
    }
    if (status == RR_OK) {
        *out = rocks;
    }
    return status;
}

void rocks_close(struct rocks *rocks)
{
    if (rocks->db == NULL) {
        return;
    }
    for (int i = 0; i < rocks->family_count; i++) {
        rocksdb_column_family_handle_destroy(rocks->families[i]);
    }
    rocksdb_close(rocks->db);
    *rocks = (struct rocks){0};
}
