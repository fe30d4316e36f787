/* The log store in segments: the suite of all log stores, its own rules, and damage to its files. */
/* ctest: timeout=120 */
#include "storage/segment_log_store.h"

#include "storage/log_store_suite.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

enum { SEGMENT_BYTES = 64 * 1024, LOG_BYTES_MAX = 4 * SEGMENT_BYTES };

rr_status suite_open(const char *directory, struct storage_error *error, struct log_store **out)
{
    /* Small segments, so that the tests see many. */
    struct segment_log_store_options options = {
        .path = directory,
        .segment_bytes = SEGMENT_BYTES,
        .log_bytes_max = LOG_BYTES_MAX,
        .prepare_inline = true,
    };
    return segment_log_store_open(&options, error, out);
}
