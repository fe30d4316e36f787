/* Messages of the embedder's: once or not at all, in order, bounded, and never in the way of calls. */
#include "transport/user_message.h"

#include "base/codec.h"
#include "base/memory.h"
#include "transport/world.h"

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

static rr_status send_text(struct two *two, const char *text)
{
    return user_message_send(two->one.peers, 2, test_bytes_of(text));
}

/* A message of `size` bytes that begins with `number`. */
static rr_status send_number(struct two *two, uint64_t number, size_t size)
{
    static uint8_t bytes[USER_MESSAGE_BYTES_MAX + 1];
    memcpy(bytes, &number, sizeof(number));
    return user_message_send(two->one.peers, 2, (rr_bytes){bytes, size});
}

TEST(user_message, arrives_with_its_sender)
{
    struct two two;
    open_two(&two);
    CHECK_OK(send_text(&two, "hello"));
    WAIT_UNTIL(&two.world, two.two.user_messages == 1);
    CHECK_TEXT(two.two.last_user_message, "hello");
    CHECK_EQ(two.two.last_user_message_from, 1u);
    CHECK_OK(send_text(&two, ""));
    WAIT_UNTIL(&two.world, two.two.user_messages == 2);
    CHECK_EQ(two.two.last_user_message_size, (size_t)0);
    CHECK_EQ(node_counters(&two.one)->user_messages_sent, 2u);
    CHECK_EQ(node_counters(&two.two)->user_messages_received, 2u);
    close_two(&two);
}

TEST(user_message, takes_one_mebibyte_and_no_more)
{
    struct two two;
    open_two(&two);
    CHECK_STATUS(send_number(&two, 1, USER_MESSAGE_BYTES_MAX + 1), RR_TOO_BIG);
    CHECK_OK(send_number(&two, 1, USER_MESSAGE_BYTES_MAX));
    WAIT_UNTIL(&two.world, two.two.user_messages == 1);
    CHECK_EQ(two.two.last_user_message_size, (size_t)USER_MESSAGE_BYTES_MAX);
    CHECK_STATUS(user_message_send(two.one.peers, 3, (rr_bytes){0}), RR_NOT_FOUND);
    close_two(&two);
}

TEST(user_message, keeps_the_order_when_many_wait)
{
    struct two two;
    open_two(&two);
    enum { COUNT = 1500 };
    for (uint64_t number = 1; number <= COUNT; number++) { /* ten times what is handed over */
        CHECK_OK(send_number(&two, number, 2000));
    }
    WAIT_UNTIL(&two.world, two.two.user_messages == COUNT);
    CHECK(!two.two.user_messages_out_of_order);
    CHECK_EQ(two.two.user_message_number, (uint64_t)COUNT);
    for (uint64_t number = 1; number <= COUNT; number++) { /* the same with an open connection */
        CHECK_OK(send_number(&two, COUNT + number, 2000));
    }
    WAIT_UNTIL(&two.world, two.two.user_messages == 2 * (uint64_t)COUNT);
    CHECK(!two.two.user_messages_out_of_order);
    CHECK_EQ(node_counters(&two.one)->user_messages_dropped, 0u);
    close_two(&two);
}

TEST(user_message, is_dropped_and_counted_when_nobody_is_there)
{
    struct two two;
    open_two(&two);
    node_stop(&two.two);
    CHECK_OK(send_text(&two, "waits for the connection that fails"));
    WAIT_UNTIL(&two.world, node_counters(&two.one)->user_messages_dropped == 1);
    CHECK_STATUS(send_text(&two, "no attempt is due"), RR_IO);
    CHECK_EQ(node_counters(&two.one)->user_messages_dropped, 2u);
    CHECK_EQ(node_counters(&two.one)->user_messages_sent, 0u);
    node_start(&two.two);
    while (two.two.user_messages == 0) { /* as soon as an attempt is due */
        (void)send_text(&two, "again");
        world_run_for(&two.world, 1);
    }
    CHECK_TEXT(two.two.last_user_message, "again");
    close_two(&two);
}

TEST(user_message, is_bounded_for_a_peer_that_does_not_read)
{
    struct two two;
    init_two(&two);
    two.one.options.user_queue_bytes_max = 4 * 1024 * 1024;
    start_two(&two);
    CHECK_OK(send_number(&two, 1, 100));
    WAIT_UNTIL(&two.world, two.two.user_messages == 1);
    listener_pause(two.two.listener, TRAFFIC_BULK, true);
    uint64_t sent = 1;
    rr_status status = RR_OK;
    while (status == RR_OK) { /* the sockets' own buffers are full some time, and then the queue */
        sent++;
        CHECK_LT(sent, (uint64_t)100 * 1000);
        status = send_number(&two, sent, 64 * 1024);
        loop_run_once(two.world.loop, false);
    }
    CHECK_STATUS(status, RR_BUSY);
    CHECK_EQ(node_counters(&two.one)->user_messages_dropped, 1u);
    listener_pause(two.two.listener, TRAFFIC_BULK, false);
    WAIT_UNTIL(&two.world, two.two.user_messages == sent - 1);
    CHECK(!two.two.user_messages_out_of_order);
    close_two(&two);
}

TEST(user_message, lets_calls_go_first)
{
    struct two two;
    open_two(&two);
    struct outcome outcome = {0};
    CHECK_OK(rpc_call(two.one.peers, 2, 0, test_bytes_of("first"), 5000, outcome_note, &outcome));
    WAIT_UNTIL(&two.world, outcome.done == 1);
    two.two.hold_requests = true;
    for (uint64_t number = 1; number <= 120; number++) {
        CHECK_OK(send_number(&two, number, 100 * 1000));
    }
    struct outcome second = {0};
    CHECK_OK(rpc_call(two.one.peers, 2, 0, test_bytes_of("second"), 5000, outcome_note, &second));
    WAIT_UNTIL(&two.world, two.two.held_count == 1);
    CHECK_LT(two.two.user_messages, 120u); /* it has passed those that waited */
    node_answer_first(&two.two, RR_OK, "answer");
    WAIT_UNTIL(&two.world, second.done == 1);
    WAIT_UNTIL(&two.world, two.two.user_messages == 120);
    close_two(&two);
}

TEST(user_message, does_not_need_memory_that_is_not_there)
{
    struct two two;
    open_two(&two);
    for (uint64_t nth = 1;; nth++) { /* no connection yet: it has to wait */
        mem_fail_after(nth);
        rr_status status = send_number(&two, nth, 300 * 1000);
        bool done = mem_fail_pending();
        mem_fail_after(0);
        if (done) {
            CHECK_OK(status);
            break;
        }
        CHECK_STATUS(status, RR_NO_MEMORY);
    }
    WAIT_UNTIL(&two.world, two.two.user_messages == 1);
    close_two(&two);
}

TEST(user_message, ends_a_connection_on_which_it_makes_no_sense)
{
    struct two two;
    open_two(&two);
    CHECK_OK(send_text(&two, "x"));
    WAIT_UNTIL(&two.world, two.two.user_messages == 1);
    rr_bytes message;
    CHECK_STATUS(user_message_decode((rr_bytes){"\x05"
                                                "abc",
                                                4},
                                     &message),
                 RR_CORRUPT);
    CHECK_STATUS(user_message_decode((rr_bytes){0}, &message), RR_CORRUPT);
    CHECK_OK(user_message_decode((rr_bytes){"\x02??abc", 6}, &message)); /* a newer header */
    CHECK_BYTES(message, test_bytes_of("abc"));
    uint8_t *large = mem_alloc(USER_MESSAGE_BYTES_MAX + 2);
    CHECK_STATUS(user_message_decode((rr_bytes){large, USER_MESSAGE_BYTES_MAX + 2}, &message),
                 RR_TOO_BIG);
    CHECK_OK(user_message_decode((rr_bytes){large, USER_MESSAGE_BYTES_MAX + 1}, &message));
    mem_free(large);
    close_two(&two);
}
