#include "support/log_kind.h"

#include "support/test.h"

#include <stdlib.h>
#include <string.h>

void test_set_log_kind(rr_options *options)
{
    options->log_segment_bytes = 1024 * 1024;
    const char *kind = getenv("TEST_LOG_KIND");
    if (kind == NULL) {
        return;
    }
    options->log_kind = strcmp(kind, "rocksdb") == 0 ? RR_LOG_ROCKSDB : RR_LOG_SEGMENTS;
    options->log_sync_thread = strcmp(kind, "segments-thread") == 0;
    if (strcmp(kind, "rocksdb") != 0 && strcmp(kind, "segments") != 0 &&
        !options->log_sync_thread) {
        FAIL("TEST_LOG_KIND: \"%s\" is no kind of log", kind);
    }
}
