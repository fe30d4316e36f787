/*
 * How the nodes of a test keep their logs: as TEST_LOG_KIND says ("rocksdb", "segments", or
 * "segments-thread" with a thread that syncs), or as the library has it by default; in small segments
 * always, so that many nodes write little.
 */
#ifndef TEST_SUPPORT_LOG_KIND_H
#define TEST_SUPPORT_LOG_KIND_H

#include "rockraft/rockraft.h"

/* Sets the options about the log. An unknown kind fails the test. */
void test_set_log_kind(rr_options *options);

#endif
