/* ctest: timeout=180 */
#include "node/apply_fixture.h"

#include <stdio.h>
#include <string.h>

/* Swaps `key` for `value` within a session; the answer holds what was there. */
static rr_status swap(struct replica *replica, uint64_t session, uint64_t sequence,
                      uint64_t time_ms, const char *value)
{
    rr_txn *txn = rr_txn_new();
    rr_txn_return_previous(txn, true);
    CHECK_OK(rr_txn_set(txn, test_bytes_of("key"), test_bytes_of(value)));
    struct command header = {.session = session, .sequence = sequence, .time_ms = time_ms};
    return replica_txn(replica, &header, txn);
}

TEST(apply_session, gives_a_retry_the_first_answer_and_applies_it_once)
{
    struct replica replica;
    replica_open(&replica, NULL, 0);
    uint64_t session = replica_session(&replica, 1);
    CHECK_EQ(session, 1);
    CHECK_OK(swap(&replica, session, 1, 1, "one"));
    CHECK_EQ(replica.result.index, 2);
    replica_set(&replica, "key", "other");
    for (int retry = 0; retry < 3; retry++) {
        CHECK_OK(swap(&replica, session, 1, 1, "one"));
        CHECK_EQ(replica.result.index, 2);
        CHECK_TEXT(replica_value(&replica, 0), "(absent)");
        CHECK_TEXT(replica_get(&replica, "key"), "other");
    }
    CHECK_OK(swap(&replica, session, 7, 1, "seven"));
    CHECK_TEXT(replica_value(&replica, 0), "other");
    CHECK_TEXT(replica_get(&replica, "key"), "seven");
    replica_close(&replica);
}

TEST(apply_session, remembers_over_a_restart)
{
    struct replica replica;
    replica_open(&replica, NULL, 0);
    uint64_t session = replica_session(&replica, 1);
    uint64_t unused = replica_session(&replica, 1);
    CHECK_OK(swap(&replica, session, 3, 1, "three"));
    replica_restart(&replica);
    CHECK_EQ(applier_session_count(replica.applier), 2);
    CHECK_OK(swap(&replica, session, 3, 1, "again"));
    CHECK_EQ(replica.result.index, 3);
    CHECK_STATUS(swap(&replica, session, 2, 1, "older"), RR_STALE_SESSION);
    CHECK_OK(swap(&replica, unused, 1, 1, "fresh"));
    CHECK_TEXT(replica_value(&replica, 0), "three");
    replica_close(&replica);
}

TEST(apply_session, refuses_an_older_sequence_and_an_unknown_session)
{
    struct replica replica;
    replica_open(&replica, NULL, 0);
    uint64_t session = replica_session(&replica, 1);
    CHECK_OK(swap(&replica, session, 5, 1, "five"));
    CHECK_STATUS(swap(&replica, session, 4, 1, "four"), RR_STALE_SESSION);
    CHECK_STATUS(swap(&replica, session + 1, 1, 1, "nobody"), RR_STALE_SESSION);
    CHECK_STATUS(swap(&replica, UINT64_MAX, 1, 1, "nobody"), RR_STALE_SESSION);
    CHECK_EQ(replica.result.count, 0);
    CHECK_TEXT(replica_get(&replica, "key"), "five");
    replica_close(&replica);
}

TEST(apply_session, expires_after_an_hour_without_use)
{
    enum { HOUR = SESSION_IDLE_MS_MAX };
    struct replica replica;
    replica_open(&replica, NULL, 0);
    uint64_t idle = replica_session(&replica, 1000);
    uint64_t busy = replica_session(&replica, 1000);
    CHECK_OK(swap(&replica, idle, 1, 1000, "i"));
    CHECK_OK(swap(&replica, busy, 1, 1000 + HOUR - 1, "b"));
    CHECK_EQ(applier_session_count(replica.applier), 2);
    CHECK_STATUS(swap(&replica, idle, 2, 1000 + HOUR, "late"), RR_STALE_SESSION);
    CHECK_EQ(applier_session_count(replica.applier), 1);
    /* A retry is a use. */
    CHECK_OK(swap(&replica, busy, 1, 1000 + HOUR + 5, "b"));
    CHECK_OK(swap(&replica, busy, 2, 1000 + 2 * HOUR + 4, "c"));
    CHECK_TEXT(replica_get(&replica, "key"), "c");
    replica_close(&replica);
}

TEST(apply_session, leaves_nothing_of_expired_sessions_in_the_state)
{
    struct replica replica;
    replica_open(&replica, NULL, 0);
    for (int i = 0; i < 100; i++) {
        uint64_t session = replica_session(&replica, 1000);
        CHECK_OK(swap(&replica, session, 1, 1000, "v"));
    }
    CHECK_EQ(applier_session_count(replica.applier), 100);
    struct command late = {.time_ms = 1000 + SESSION_IDLE_MS_MAX};
    for (int i = 0; i < 10; i++) {
        CHECK_OK(replica_txn(&replica, &late, rr_txn_new()));
    }
    CHECK_EQ(applier_session_count(replica.applier), 0);
    uint64_t digest = replica_digest(&replica);

    struct replica other;
    replica_open(&other, NULL, 0);
    late.time_ms = 1000 + SESSION_IDLE_MS_MAX;
    replica_set(&other, "key", "v");
    CHECK_OK(replica_txn(&other, &late, rr_txn_new()));
    CHECK_EQ(replica_digest(&other), digest);
    replica_close(&other);
    replica_close(&replica);
}

TEST(apply_session, pushes_out_the_one_unused_for_longest)
{
    struct replica replica;
    replica_open(&replica, NULL, 0);
    uint64_t first = replica_session(&replica, 1);
    uint64_t second = replica_session(&replica, 1);
    for (int i = 2; i < SESSIONS_MAX; i++) {
        replica_session(&replica, 1);
    }
    CHECK_EQ(applier_session_count(replica.applier), SESSIONS_MAX);
    CHECK_OK(swap(&replica, first, 1, 1, "kept"));
    replica_session(&replica, 1);
    CHECK_EQ(applier_session_count(replica.applier), SESSIONS_MAX);
    CHECK_STATUS(swap(&replica, second, 1, 1, "gone"), RR_STALE_SESSION);
    CHECK_OK(swap(&replica, first, 2, 1, "still there"));

    replica_restart(&replica);
    CHECK_EQ(applier_session_count(replica.applier), SESSIONS_MAX);
    replica_session(&replica, 1);
    CHECK_STATUS(swap(&replica, second + 1, 1, 1, "gone"), RR_STALE_SESSION);
    CHECK_OK(swap(&replica, second + 2, 1, 1, "next to go"));
    CHECK_OK(swap(&replica, first, 3, 1, "still there"));
    replica_close(&replica);
}

/* The refusal is the first answer, and a retry gets no other. */
TEST(apply_session, repeats_refusals_too)
{
    struct replica replica;
    replica_open(&replica, NULL, 0);
    uint64_t session = replica_session(&replica, 1);
    replica_set(&replica, "key", "a value over the limit of the answer");
    for (uint64_t limit = 30; limit < 3000; limit += 1000) {
        rr_txn *txn = rr_txn_new();
        rr_txn_return_previous(txn, true);
        CHECK_OK(rr_txn_delete(txn, test_bytes_of("key")));
        struct command header = {.session = session, .sequence = 1, .result_bytes_max = limit};
        CHECK_STATUS(replica_txn(&replica, &header, txn), RR_TOO_BIG);
        CHECK_EQ(replica.result.index, 3);
    }
    CHECK_TEXT(replica_get(&replica, "key"), "a value over the limit of the answer");
    replica_close(&replica);
}
