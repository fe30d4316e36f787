/* Every allocation that outsiders size may fail: the node then halts, or the read fails, cleanly. */
#include "node/apply_fixture.h"

#include "base/memory.h"
#include "command/call.h"

static rr_status busy(void *arg, rr_view *view, rr_bytes input, rr_output *output)
{
    rr_bytes value;
    for (int i = 0; i < 5; i++) {
        if (rr_view_get(view, test_bytes_of("key"), &value) != RR_OK ||
            rr_output_append(output, value) != RR_OK || rr_view_put(view, input, value) != RR_OK) {
            return RR_REJECTED; /* what it returns does not matter then */
        }
    }
    return RR_OK;
}

static const rr_procedure procedures[] = {{"busy", 1, busy, NULL}};

static void make_payloads(struct buffer payloads[3], uint64_t session)
{
    for (int i = 0; i < 3; i++) {
        buffer_init(&payloads[i]);
    }
    rr_txn *txn = rr_txn_new();
    rr_txn_return_previous(txn, true);
    CHECK_OK(rr_txn_if(txn, test_bytes_of("key"), RR_EXISTS, (rr_bytes){0}));
    CHECK_OK(rr_txn_set(txn, test_bytes_of("key"), test_bytes_of("new")));
    CHECK_OK(rr_txn_delete(txn, test_bytes_of("other")));
    struct command command = {.kind = COMMAND_TXN, .session = session, .sequence = 1};
    command_encode(&payloads[0], &command);
    txn_encode(&txn->builder, &payloads[0]);
    rr_txn_free(txn);
    command.kind = COMMAND_CALL;
    command.sequence = 2;
    command_encode(&payloads[1], &command);
    call_encode(&payloads[1], &(struct call){test_bytes_of("busy"), 1, test_bytes_of("key")});
    command_encode(&payloads[2], &command); /* the same sequence: a retry */
    call_encode(&payloads[2], &(struct call){test_bytes_of("busy"), 1, test_bytes_of("key")});
}

TEST(apply_memory, halts_at_every_allocation_that_fails_and_recovers_by_loading)
{
    struct replica replica;
    replica_open(&replica, procedures, 1);
    replica_set(&replica, "key", "value");
    uint64_t session = replica_session(&replica, 1);
    CHECK_OK(replica_commit(&replica));
    struct buffer payloads[3];
    make_payloads(payloads, session);
    uint64_t digest = replica_digest(&replica);
    raft_index base = replica.index;
    uint64_t not_needed = 0; /* what the state's cache would have liked to keep */
    for (uint64_t nth = 1;; nth++) {
        struct storage_error error = {0};
        struct logger silent = logger_silent();
        struct applier *applier; /* a new one, whose buffers are still empty */
        CHECK_OK(applier_new(procedures, 1, &silent, &applier));
        CHECK_OK(applier_load(applier, replica.state, &error));
        mem_fail_after(nth);
        rr_status status = RR_OK;
        for (uint64_t i = 0; i < 3 && status == RR_OK; i++) {
            struct applied applied;
            status = applier_apply(applier, replica.batch, base + 1 + i, buffer_bytes(&payloads[i]),
                                   &applied);
            CHECK(status != RR_OK || applied.status == RR_OK);
        }
        bool pending = mem_fail_pending();
        mem_fail_after(0);
        CHECK(status == RR_OK || status == RR_NO_MEMORY);
        CHECK(!pending || status == RR_OK);
        CHECK(status == RR_OK || applier_reason(applier)[0] != '\0');
        not_needed += !pending && status == RR_OK;
        applier_free(applier);
        state_batch_clear(replica.batch);
        CHECK_EQ(replica_digest(&replica), digest);
        if (pending) {
            CHECK_GT(nth, 5 + not_needed);
            CHECK_LE(not_needed, 3);
            break;
        }
    }
    for (int i = 0; i < 3; i++) {
        buffer_deinit(&payloads[i]);
    }
    replica_close(&replica);
}

TEST(apply_memory, loads_or_tells_that_it_could_not)
{
    struct replica replica;
    replica_open(&replica, procedures, 1);
    for (int i = 0; i < 100; i++) {
        replica_session(&replica, 1);
    }
    CHECK_OK(replica_commit(&replica));
    for (uint64_t nth = 1;; nth++) {
        struct storage_error error = {0};
        mem_fail_after(nth);
        rr_status status = applier_load(replica.applier, replica.state, &error);
        bool pending = mem_fail_pending();
        mem_fail_after(0);
        CHECK_STATUS(status, pending ? RR_OK : RR_NO_MEMORY);
        if (pending) {
            break;
        }
        CHECK_NE(error.text[0], '\0');
    }
    CHECK_EQ(applier_session_count(replica.applier), 100);
    replica_close(&replica);
}

TEST(apply_memory, fails_reads_at_every_allocation_that_fails)
{
    struct replica replica;
    replica_open(&replica, NULL, 0);
    for (int i = 0; i < 40; i++) {
        char key[] = {(char)('a' + i % 26), (char)('a' + i / 26), '\0'};
        replica_set(&replica, key, "value");
    }
    CHECK_OK(replica_commit(&replica));
    for (int scan = 0; scan < 2; scan++) {
        for (uint64_t nth = 1;; nth++) {
            struct storage_error error = {0};
            struct buffer out;
            buffer_init(&out);
            struct apply_range range = {.bytes_max = SIZE_MAX};
            mem_fail_after(nth);
            rr_status status = scan == 1
                                   ? apply_scan(replica.state, &range, 1, &out, &error)
                                   : apply_get(replica.state, test_bytes_of("aa"), 1, &out, &error);
            bool pending = mem_fail_pending();
            mem_fail_after(0);
            CHECK_STATUS(status, pending ? RR_OK : RR_NO_MEMORY);
            CHECK_EQ(out.size > 0, pending);
            buffer_deinit(&out);
            if (pending) {
                break;
            }
        }
    }
    replica_close(&replica);
}
