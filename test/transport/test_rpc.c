/* Calls: their answers, and what is known when there is none. */
#include "transport/world.h"

#include "base/memory.h"
#include "base/random.h"

#include <string.h>

struct two {
    struct world world;
    struct node one;
    struct node two;
};

static void init_two(struct two *two)
{
    world_open(&two->world);
    node_init(&two->one, &two->world, 1);
    node_init(&two->two, &two->world, 2);
}

static void start_two(struct two *two)
{
    node_start(&two->one);
    node_start(&two->two);
    node_add_peer(&two->one, &two->two);
}

static void open_two(struct two *two)
{
    init_two(two);
    start_two(two);
}

static void close_two(struct two *two)
{
    node_stop(&two->one);
    node_stop(&two->two);
    world_close(&two->world);
}

static rr_status call(struct two *two, uint16_t method, const char *body, uint32_t timeout_ms,
                      struct outcome *outcome)
{
    return rpc_call(two->one.peers, 2, method, test_bytes_of(body), timeout_ms, outcome_note,
                    outcome);
}

static void wait_for(struct two *two, const struct outcome *outcome)
{
    CHECK_EQ(outcome->done, 0);
    WAIT_UNTIL(&two->world, outcome->done > 0);
    CHECK_EQ(outcome->done, 1);
}

TEST(rpc, returns_the_answer)
{
    struct two two;
    open_two(&two);
    struct outcome outcome = {0};
    CHECK_OK(call(&two, RR_CONFLICT, "question", 5000, &outcome));
    wait_for(&two, &outcome);
    CHECK(outcome.answered);
    CHECK(outcome.sent);
    CHECK_STATUS(outcome.status, RR_CONFLICT);
    CHECK_TEXT(outcome.body, "question");
    CHECK_EQ(outcome.other, 2u);
    CHECK_LE(two.two.last_timeout_ms, 5000u);
    CHECK_GT(two.two.last_timeout_ms, 3000u);
    CHECK_EQ(node_counters(&two.one)->requests_sent, 1u);
    CHECK_EQ(node_counters(&two.two)->requests_received, 1u);
    close_two(&two);
}

TEST(rpc, takes_answers_later_and_in_any_order)
{
    struct two two;
    open_two(&two);
    two.two.hold_requests = true;
    struct outcome outcomes[3] = {0};
    for (int at = 0; at < 3; at++) {
        CHECK_OK(call(&two, 0, "q", 5000, &outcomes[at]));
    }
    WAIT_UNTIL(&two.world, two.two.held_count == 3);
    struct responder *first = two.two.held[0];
    two.two.held[0] = two.two.held[2];
    two.two.held[2] = first;
    CHECK(responder_wanted(first));
    node_answer_first(&two.two, RR_OK, "third");
    node_answer_first(&two.two, RR_OK, "second");
    node_answer_first(&two.two, RR_OK, "first");
    WAIT_UNTIL(&two.world, outcomes[0].done + outcomes[1].done + outcomes[2].done == 3);
    CHECK_TEXT(outcomes[0].body, "first");
    CHECK_TEXT(outcomes[1].body, "second");
    CHECK_TEXT(outcomes[2].body, "third");
    close_two(&two);
}

TEST(rpc, knows_that_a_refused_connection_delivered_nothing)
{
    struct two two;
    open_two(&two);
    node_stop(&two.two);
    struct outcome outcome = {0};
    CHECK_OK(call(&two, 0, "q", 5000, &outcome));
    wait_for(&two, &outcome);
    CHECK_STATUS(outcome.status, RR_IO);
    CHECK(!outcome.sent);
    CHECK(!outcome.answered);
    CHECK(outcome.reason[0] != 0);

    struct outcome second = {0}; /* within the pause */
    CHECK_OK(call(&two, 0, "q", 5000, &second));
    wait_for(&two, &second);
    CHECK_STATUS(second.status, RR_IO);
    CHECK(!second.sent);
    CHECK_EQ(node_counters(&two.one)->requests_failed, 2u);
    close_two(&two);
}

TEST(rpc, knows_that_a_refused_handshake_delivered_nothing)
{
    struct two two;
    init_two(&two);
    two.two.accept_status = RR_NOT_FOUND;
    start_two(&two);
    struct outcome outcome = {0};
    CHECK_OK(call(&two, 0, "q", 5000, &outcome));
    wait_for(&two, &outcome);
    CHECK_STATUS(outcome.status, RR_MISMATCH);
    CHECK(!outcome.sent);
    CHECK(strstr(outcome.reason, "not wanted") != NULL);
    close_two(&two);
}

TEST(rpc, does_not_know_about_a_request_that_was_written)
{
    struct two two;
    open_two(&two);
    struct outcome outcome = {0};
    listener_pause(two.two.listener, TRAFFIC_BULK, true); /* it is written, but never read */
    CHECK_OK(call(&two, 0, "q", 5000, &outcome));
    WAIT_UNTIL(&two.world, node_counters(&two.one)->requests_sent == 1);
    loop_run_once(two.world.loop, false);
    node_stop(&two.two);
    wait_for(&two, &outcome);
    CHECK_STATUS(outcome.status, RR_UNKNOWN);
    CHECK(outcome.sent);
    CHECK(!outcome.answered);
    CHECK_EQ(two.two.requests, 0u);
    CHECK_EQ(node_counters(&two.one)->requests_unknown, 1u);
    close_two(&two);
}

TEST(rpc, does_not_know_about_a_request_that_was_read)
{
    struct two two;
    open_two(&two);
    two.two.drop_asker = true;
    struct outcome outcome = {0};
    CHECK_OK(call(&two, 0, "q", 5000, &outcome));
    wait_for(&two, &outcome);
    CHECK_STATUS(outcome.status, RR_UNKNOWN);
    CHECK(outcome.sent);
    CHECK_EQ(two.two.requests, 1u);
    CHECK_EQ(two.two.held_count, (size_t)1);
    CHECK(!responder_wanted(two.two.held[0]));
    WAIT_UNTIL(&two.world, listener_connection_count(two.two.listener) <= 1);
    node_answer_first(&two.two, RR_OK, "too late");
    CHECK_EQ(node_counters(&two.two)->answers_dropped, 1u);
    close_two(&two);
}

TEST(rpc, knows_that_half_a_request_is_none)
{
    struct two two;
    open_two(&two);
    listener_pause(two.two.listener, TRAFFIC_BULK, true);
    size_t size = RPC_BODY_BYTES_MAX; /* more than sockets hold */
    void *body = mem_alloc(size);
    struct outcome outcome = {0};
    struct outcome behind = {0};
    rr_bytes bytes = {.data = body, .size = size};
    CHECK_OK(rpc_call(two.one.peers, 2, 0, bytes, 20000, outcome_note, &outcome));
    CHECK_OK(call(&two, 0, "q", 20000, &behind));
    WAIT_UNTIL(&two.world, node_counters(&two.one)->requests_sent == 1);
    world_run_for(&two.world, 30);
    node_stop(&two.two);
    wait_for(&two, &outcome);
    CHECK_STATUS(outcome.status, RR_IO);
    CHECK(!outcome.sent);
    WAIT_UNTIL(&two.world, behind.done == 1);
    CHECK_STATUS(behind.status, RR_IO);
    CHECK(!behind.sent);
    mem_free(body);
    close_two(&two);
}

TEST(rpc, ends_at_the_deadline_unknown_if_it_was_sent)
{
    struct two two;
    open_two(&two);
    two.two.hold_requests = true;
    struct outcome outcome = {0};
    CHECK_OK(call(&two, 0, "q", 30, &outcome));
    uint64_t start_ms = loop_now_ms(two.world.loop);
    wait_for(&two, &outcome);
    CHECK_GE(loop_now_ms(two.world.loop) - start_ms, 29u);
    CHECK_STATUS(outcome.status, RR_UNKNOWN);
    CHECK(outcome.sent);
    CHECK_EQ(two.two.held_count, (size_t)1);
    CHECK(!responder_wanted(two.two.held[0]));
    node_answer_first(&two.two, RR_OK, "late");
    WAIT_UNTIL(&two.world, node_counters(&two.one)->answers_dropped == 1);
    CHECK_EQ(outcome.done, 1);
    close_two(&two);
}

TEST(rpc, ends_at_the_deadline_certain_if_it_was_not_sent)
{
    struct two two;
    open_two(&two);
    struct proxy proxy;
    proxy_open(&proxy, &two.world, &two.two.address);
    proxy.stalled = true; /* the handshake never ends */
    CHECK_OK(peers_set(two.one.peers, 2, 0, proxy.address_text));
    struct outcome outcome = {0};
    struct outcome later = {0};
    CHECK_OK(call(&two, 0, "q", 60, &later));
    CHECK_OK(call(&two, 0, "q", 30, &outcome));
    wait_for(&two, &outcome);
    CHECK_STATUS(outcome.status, RR_TIMEOUT);
    CHECK(!outcome.sent);
    wait_for(&two, &later);
    CHECK_STATUS(later.status, RR_TIMEOUT);
    proxy_close(&proxy);
    close_two(&two);
}

TEST(rpc, refuses_calls_over_its_limits)
{
    struct two two;
    init_two(&two);
    two.one.options.calls_max = 3;
    two.one.options.call_bytes_max = 100;
    start_two(&two);
    two.two.hold_requests = true;
    struct outcome outcome = {0};
    CHECK_OK(call(&two, 0, "q", 5000, &outcome));
    CHECK_OK(call(&two, 0, "q", 5000, &outcome));
    CHECK_OK(call(&two, 0, "q", 5000, &outcome));
    CHECK_STATUS(call(&two, 0, "q", 5000, &outcome), RR_BUSY);
    WAIT_UNTIL(&two.world, two.two.held_count == 3);
    node_answer_all(&two.two, RR_OK, "");
    WAIT_UNTIL(&two.world, outcome.done == 3);
    char large[101];
    memset(large, 'l', 100);
    large[100] = 0;
    CHECK_OK(call(&two, 0, large, 5000, &outcome));
    CHECK_STATUS(call(&two, 0, "q", 5000, &outcome), RR_BUSY);
    rr_bytes huge = {.data = large, .size = RPC_BODY_BYTES_MAX + 1};
    CHECK_STATUS(rpc_call(two.one.peers, 2, 0, huge, 1, outcome_note, &outcome), RR_TOO_BIG);
    CHECK_STATUS(rpc_call(two.one.peers, 9, 0, (rr_bytes){0}, 1, outcome_note, &outcome),
                 RR_NOT_FOUND);
    CHECK_EQ(node_counters(&two.one)->requests_busy, 2u);
    WAIT_UNTIL(&two.world, two.two.held_count == 1);
    node_answer_all(&two.two, RR_OK, "");
    WAIT_UNTIL(&two.world, outcome.done == 4);
    close_two(&two);
}

TEST(rpc, stops_reading_from_an_asker_with_too_many_requests)
{
    struct two two;
    init_two(&two);
    two.two.options.inbound_requests_max = 10;
    start_two(&two);
    two.two.hold_requests = true;
    struct outcome outcome = {0};
    for (int count = 0; count < 100; count++) {
        CHECK_OK(call(&two, 0, "q", 20000, &outcome));
    }
    while (outcome.done < 100) {
        WAIT_UNTIL(&two.world, two.two.held_count == 10 || two.two.requests == 100);
        loop_run_once(two.world.loop, false);
        CHECK_LE(two.two.held_count, (size_t)10);
        int before = outcome.done;
        node_answer_all(&two.two, RR_OK, "a");
        WAIT_UNTIL(&two.world, outcome.done > before);
    }
    CHECK_EQ(two.two.requests, 100u);
    close_two(&two);
}

TEST(rpc, reads_on_after_an_answer_that_is_large_for_the_queue_but_not_for_the_socket)
{
    struct two two;
    init_two(&two);
    two.two.options.answer_queue_bytes_max = 64 * 1024;
    start_two(&two);
    two.two.hold_requests = true;
    char large[50 * 1000];
    memset(large, 'l', sizeof(large) - 1);
    large[sizeof(large) - 1] = 0;
    struct outcome outcome = {0};
    for (int count = 1; count <= 5; count++) {
        CHECK_OK(call(&two, 0, "q", 20000, &outcome));
        WAIT_UNTIL(&two.world, two.two.held_count == 1);
        node_answer_all(&two.two, RR_OK, large);
        WAIT_UNTIL(&two.world, outcome.done == count);
        CHECK_OK(outcome.status);
    }
    close_two(&two);
}

TEST(rpc, drops_an_asker_that_does_not_take_its_answers)
{
    struct two two;
    init_two(&two);
    two.two.options.answer_queue_bytes_max = 1024 * 1024;
    start_two(&two);
    struct proxy proxy;
    proxy_open(&proxy, &two.world, &two.two.address);
    CHECK_OK(peers_set(two.one.peers, 2, 0, proxy.address_text));
    two.two.hold_requests = true;
    struct outcome outcome = {0};
    for (int count = 0; count < 200; count++) {
        CHECK_OK(call(&two, 0, "q", 40000, &outcome));
    }
    WAIT_UNTIL(&two.world, two.two.held_count == 200);
    char *large = mem_alloc(300 * 1000);
    memset(large, 'l', 300 * 1000 - 1);
    node_answer_all(&two.two, RR_OK, large); /* in one turn: what the sockets take is written */
    CHECK_GT(node_counters(&two.two)->answers_dropped, 100u);
    WAIT_UNTIL(&two.world, outcome.done == 200);
    CHECK_STATUS(outcome.status, RR_UNKNOWN);
    mem_free(large);
    proxy_close(&proxy);
    close_two(&two);
}

TEST(rpc, answers_with_a_status_when_the_body_is_too_big)
{
    struct two two;
    open_two(&two);
    two.two.hold_requests = true;
    struct outcome outcome = {0};
    CHECK_OK(call(&two, 0, "q", 5000, &outcome));
    WAIT_UNTIL(&two.world, two.two.held_count == 1);
    responder_answer(two.two.held[0], RR_OK,
                     (rr_bytes){.data = "", .size = RPC_BODY_BYTES_MAX + 1});
    two.two.held_count = 0;
    wait_for(&two, &outcome);
    CHECK_STATUS(outcome.status, RR_TOO_BIG);
    CHECK(outcome.answered);
    close_two(&two);
}

TEST(rpc, reaches_an_address_whose_node_is_not_known)
{
    struct two two;
    init_two(&two);
    two.one.options.self.cluster = 0;
    two.one.options.self.node = 0;
    two.one.options.address_idle_ms = 20;
    node_start(&two.one);
    node_start(&two.two);
    struct outcome outcome = {0};
    rr_bytes body = test_bytes_of("who are you");
    CHECK_OK(rpc_call_address(two.one.peers, two.two.address_text, 0, body, 5000, outcome_note,
                              &outcome));
    wait_for(&two, &outcome);
    CHECK_STATUS(outcome.status, RR_OK);
    CHECK_EQ(outcome.other, 2u);
    CHECK_OK(rpc_call_address(two.one.peers, two.two.address_text, 0, body, 5000, outcome_note,
                              &outcome));
    WAIT_UNTIL(&two.world, outcome.done == 2);
    CHECK_EQ(node_counters(&two.two)->connections_accepted, 1u);
    WAIT_UNTIL(&two.world, listener_connection_count(two.two.listener) == 0); /* idle */
    CHECK_STATUS(rpc_call_address(two.one.peers, "nonsense", 0, body, 1, outcome_note, &outcome),
                 RR_INVALID);
    node_stop(&two.two);
    for (int count = 0; count < 3; count++) {
        struct outcome refused = {0};
        CHECK_OK(rpc_call_address(two.one.peers, two.two.address_text, 0, body, 5000, outcome_note,
                                  &refused));
        wait_for(&two, &refused);
        CHECK_STATUS(refused.status, RR_IO);
        CHECK(!refused.sent);
    }
    close_two(&two);
}

TEST(rpc, bounds_the_addresses_called_at_a_time)
{
    struct two two;
    init_two(&two);
    two.one.options.addresses_max = 1;
    start_two(&two);
    struct outcome outcome = {0};
    CHECK_OK(rpc_call_address(two.one.peers, two.two.address_text, 0, (rr_bytes){0}, 5000,
                              outcome_note, &outcome));
    CHECK_STATUS(rpc_call_address(two.one.peers, "127.0.0.1:1", 0, (rr_bytes){0}, 5000,
                                  outcome_note, &outcome),
                 RR_BUSY);
    wait_for(&two, &outcome);
    close_two(&two);
}

TEST(rpc, ends_every_call_when_the_peer_is_removed)
{
    struct two two;
    open_two(&two);
    two.two.hold_requests = true;
    struct outcome early = {0};
    CHECK_OK(call(&two, 0, "q", 5000, &early));
    peers_remove(two.one.peers, 2);
    CHECK_EQ(early.done, 1);
    CHECK_STATUS(early.status, RR_CLOSED);
    CHECK(!early.sent);
    node_add_peer(&two.one, &two.two);
    struct outcome sent = {0};
    CHECK_OK(call(&two, 0, "q", 5000, &sent));
    WAIT_UNTIL(&two.world, two.two.held_count == 1);
    peers_remove(two.one.peers, 2);
    CHECK_EQ(sent.done, 1);
    CHECK_STATUS(sent.status, RR_UNKNOWN);
    close_two(&two);
}

/* A call whose end makes another one. */
struct chain {
    struct two *two;
    int left;
    struct outcome outcome;
};

static void chain_next(void *arg, const struct rpc_result *result)
{
    struct chain *chain = arg;
    chain->left--;
    if (chain->left > 0) {
        CHECK_OK(rpc_call(chain->two->one.peers, 2, 0, (rr_bytes){0}, 5000, chain_next, chain));
    } else {
        peers_remove(chain->two->one.peers, 2); /* from within the last one */
    }
}

TEST(rpc, may_be_called_and_the_peer_removed_from_within_its_end)
{
    struct two two;
    open_two(&two);
    struct chain chain = {.two = &two, .left = 50};
    CHECK_OK(rpc_call(two.one.peers, 2, 0, (rr_bytes){0}, 5000, chain_next, &chain));
    WAIT_UNTIL(&two.world, chain.left == 0);
    CHECK_EQ(two.two.requests, 50u);
    struct chain failing = {.two = &two, .left = 3};
    node_stop(&two.two);
    node_add_peer(&two.one, &two.two);
    CHECK_OK(rpc_call(two.one.peers, 2, 0, (rr_bytes){0}, 5000, chain_next, &failing));
    WAIT_UNTIL(&two.world, failing.left == 0);
    close_two(&two);
}

TEST(rpc, survives_missing_memory)
{
    struct two two;
    open_two(&two);
    struct outcome outcome = {0};
    int accepted = 0;
    for (uint64_t nth = 1; nth < 40; nth++) {
        mem_fail_after(nth);
        accepted += call(&two, 0, "question", 2000, &outcome) == RR_OK;
        for (int turn = 0; turn < 6; turn++) {
            loop_run_once(two.world.loop, false);
        }
        mem_fail_after(0);
    }
    WAIT_UNTIL(&two.world, outcome.done == accepted);
    CHECK_GT(accepted, 20);
    close_two(&two);
}

/* Every call ends once, and one that was answered or executed is never called unsent. */
TEST(rpc, ends_every_call_once_whatever_breaks)
{
    enum { CALLS = 2000 };
    struct random random;
    random_init(&random, test_seed(41));
    struct two two;
    init_two(&two);
    two.two.options.inbound_requests_max = 50;
    start_two(&two);
    struct proxy proxy;
    proxy_open(&proxy, &two.world, &two.two.address);
    CHECK_OK(peers_set(two.one.peers, 2, 0, proxy.address_text));
    struct outcome *outcomes = mem_new_array(struct outcome, CALLS);
    int made = 0;
    uint64_t unsent = 0;
    while (made < CALLS) {
        uint64_t batch = random_below(&random, 10);
        for (; batch > 0 && made < CALLS; batch--) {
            two.two.hold_requests = random_chance(&random, 1, 4);
            uint32_t timeout_ms = (uint32_t)random_between(&random, 1, 300);
            made += call(&two, 0, "q", timeout_ms, &outcomes[made]) == RR_OK;
        }
        if (random_chance(&random, 1, 30)) {
            proxy_cut(&proxy);
        }
        if (random_chance(&random, 1, 10) && two.two.held_count > 0) {
            node_answer_first(&two.two, RR_OK, "held");
        }
        if (random_chance(&random, 1, 100)) {
            proxy.cut_after = random_below(&random, 3000);
        } else if (random_chance(&random, 1, 5)) {
            proxy.cut_after = UINT64_MAX;
        }
        loop_run_once(two.world.loop, false);
    }
    for (int at = 0; at < CALLS; at++) {
        WAIT_UNTIL(&two.world, outcomes[at].done > 0);
        unsent += !outcomes[at].sent;
    }
    for (int at = 0; at < CALLS; at++) {
        CHECK_EQ(outcomes[at].done, 1);
    }
    CHECK_LE(two.two.requests, CALLS - unsent);
    proxy_close(&proxy);
    close_two(&two);
    mem_free(outcomes);
}
