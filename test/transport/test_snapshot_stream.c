/* Snapshots: to their end, resumed, and in every way that they can fail. */
#include "transport/world.h"

#include "base/memory.h"

#include <stdio.h>
#include <string.h>

/* The sender's owner. */
struct source {
    struct snapshot_send *send;
    uint64_t asked;
    uint64_t first_asked;
    size_t chunk_size;
    bool hold;        /* the test supplies */
    uint64_t fail_at; /* this chunk cannot be read; UINT64_MAX: none */
    bool cancel;      /* from within `read` */
    int done;
    rr_status status;
    char reason[200];
};

struct two {
    struct world world;
    struct node one;
    struct node two;
    struct source source;
};

static void init_two(struct two *two)
{
    memset(&two->source, 0, sizeof(two->source));
    two->source.chunk_size = 10000;
    two->source.fail_at = UINT64_MAX;
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

static void supply(struct source *source, uint64_t chunk)
{
    uint8_t *bytes = mem_alloc(source->chunk_size);
    memset(bytes, (int)chunk + 1, source->chunk_size);
    snapshot_send_supply(source->send, chunk, chunk == source->fail_at ? RR_CORRUPT : RR_OK,
                         (rr_bytes){.data = bytes, .size = source->chunk_size});
    mem_free(bytes);
}

static void source_read(void *arg, struct snapshot_send *send, uint64_t chunk)
{
    struct source *source = arg;
    if (source->asked == 0) {
        source->first_asked = chunk;
    }
    source->asked++;
    if (source->cancel) {
        snapshot_send_cancel(send);
    } else if (!source->hold) {
        supply(source, chunk);
    }
}

static void source_done(void *arg, struct snapshot_send *send, rr_status status, const char *reason)
{
    struct source *source = arg;
    CHECK_EQ(source->send, send);
    source->done++;
    source->status = status;
    snprintf(source->reason, sizeof(source->reason), "%s", reason);
}

static rr_status start_from(struct node *from, raft_id to, uint64_t chunk_count,
                            uint64_t bytes_per_second_max, struct source *source)
{
    struct raft_configuration configuration = {.count = 1};
    configuration.members[0] = (struct raft_member){.id = 1, .flags = RAFT_MEMBER_INCOMING};
    struct raft_message message = {.type = RAFT_MSG_SNAP, .group = 5, .from = 1, .to = 2};
    message.snapshot = raft_snapshot_new(42, 3, &configuration, test_bytes_of("host"));
    struct snapshot_send_options options = {.to = to, .message = &message};
    options.manifest = test_bytes_of("the manifest");
    options.chunk_count = chunk_count;
    options.bytes_per_second_max = bytes_per_second_max;
    options.read = source_read;
    options.done = source_done;
    options.arg = source;
    rr_status status = snapshot_send_start(from->peers, &options, &source->send);
    raft_message_deinit(&message);
    return status;
}

static void start(struct two *two, uint64_t chunk_count)
{
    CHECK_OK(start_from(&two->one, 2, chunk_count, 0, &two->source));
    CHECK_EQ(two->source.done, 0);
}

/* Waits until both sides have heard of the end, each once. */
static void wait_for_end(struct two *two)
{
    WAIT_UNTIL(&two->world, two->source.done > 0 && two->two.sink.ended == two->two.sink.begun);
    loop_run_once(two->world.loop, false);
    CHECK_EQ(two->source.done, 1);
}

TEST(snapshot_stream, carries_every_chunk_and_installs)
{
    struct two two;
    open_two(&two);
    start(&two, 50);
    wait_for_end(&two);
    CHECK_OK(two.source.status);
    CHECK_OK(two.two.sink.end_status);
    CHECK_EQ(two.two.sink.begun, 1);
    CHECK_EQ(two.two.sink.chunk_count, 50u);
    CHECK_EQ(two.two.sink.chunks_stored, 50u);
    CHECK_EQ(two.two.sink.index, 42u);
    CHECK_TEXT(two.two.sink.manifest, "the manifest");
    for (int chunk = 0; chunk < 50; chunk++) {
        CHECK_EQ(two.two.sink.chunks[chunk], chunk + 1);
    }
    CHECK_EQ(node_counters(&two.one)->snapshots_sent, 1u);
    CHECK_EQ(node_counters(&two.two)->snapshots_received, 1u);
    CHECK_EQ(node_counters(&two.one)->snapshot_chunks_sent, 50u);
    close_two(&two);
}

TEST(snapshot_stream, may_have_no_chunks_at_all)
{
    struct two two;
    open_two(&two);
    start(&two, 0);
    wait_for_end(&two);
    CHECK_OK(two.source.status);
    CHECK_EQ(two.source.asked, 0u);
    close_two(&two);
}

TEST(snapshot_stream, goes_on_where_the_receiver_says)
{
    struct two two;
    open_two(&two);
    two.two.sink.resume_at = 30;
    start(&two, 50);
    wait_for_end(&two);
    CHECK_OK(two.source.status);
    CHECK_EQ(two.source.first_asked, 30u);
    CHECK_EQ(two.two.sink.chunks_stored, 20u);

    struct source second = {.chunk_size = 10, .fail_at = UINT64_MAX};
    two.two.sink.resume_at = 50; /* all of it is there */
    CHECK_OK(start_from(&two.one, 2, 50, 0, &second));
    WAIT_UNTIL(&two.world, second.done == 1);
    CHECK_OK(second.status);
    CHECK_EQ(second.asked, 0u);
    close_two(&two);
}

TEST(snapshot_stream, keeps_to_its_window)
{
    struct two two;
    open_two(&two);
    two.two.sink.hold_acks = true;
    start(&two, 50);
    WAIT_UNTIL(&two.world, two.two.sink.held_count == SNAPSHOT_WINDOW);
    world_run_for(&two.world, 20);
    CHECK_EQ(two.source.asked, (uint64_t)SNAPSHOT_WINDOW);
    CHECK_EQ(snapshot_send_progress(two.source.send), 0u);
    two.two.sink.hold_acks = false;
    for (uint64_t chunk = 0; chunk < SNAPSHOT_WINDOW; chunk++) {
        snapshot_receive_ack(two.two.sink.receive, chunk);
    }
    wait_for_end(&two);
    CHECK_OK(two.source.status);
    close_two(&two);
}

TEST(snapshot_stream, takes_chunks_from_a_source_that_answers_later)
{
    struct two two;
    open_two(&two);
    two.source.hold = true;
    two.two.sink.hold_begin = true;
    start(&two, 10);
    WAIT_UNTIL(&two.world, two.two.sink.begun == 1);
    snapshot_receive_resume(two.two.sink.receive, 0);
    for (uint64_t chunk = 0; chunk < 10; chunk++) {
        WAIT_UNTIL(&two.world, two.source.asked > chunk);
        supply(&two.source, chunk);
    }
    wait_for_end(&two);
    CHECK_OK(two.source.status);
    close_two(&two);
}

TEST(snapshot_stream, detects_damage_and_can_be_resumed_after_it)
{
    struct two two;
    open_two(&two);
    struct proxy proxy;
    proxy_open(&proxy, &two.world, &two.two.address);
    CHECK_OK(peers_set(two.one.peers, 2, 0, proxy.address_text));
    proxy.flip_bit_at = 105000; /* within the eleventh chunk */
    start(&two, 50);
    wait_for_end(&two);
    CHECK_STATUS(two.source.status, RR_IO);
    CHECK_STATUS(two.two.sink.end_status, RR_CORRUPT);
    CHECK_EQ(node_counters(&two.two)->corrupt_frames, 1u);
    CHECK_EQ(two.two.sink.chunks_stored, 10u);
    proxy.flip_bit_at = UINT64_MAX;
    two.two.sink.resume_at = 10;
    struct source second = {.chunk_size = 10000, .fail_at = UINT64_MAX};
    CHECK_OK(start_from(&two.one, 2, 50, 0, &second));
    WAIT_UNTIL(&two.world, second.done == 1);
    CHECK_OK(second.status);
    for (int chunk = 0; chunk < 50; chunk++) {
        CHECK_EQ(two.two.sink.chunks[chunk], chunk + 1);
    }
    proxy_close(&proxy);
    close_two(&two);
}

TEST(snapshot_stream, ends_on_both_sides_when_it_is_cut_anywhere)
{
    for (uint64_t cut = 1; cut < 12000; cut += 397) {
        struct two two;
        open_two(&two);
        struct proxy proxy;
        proxy_open(&proxy, &two.world, &two.two.address);
        proxy.cut_after = cut;
        CHECK_OK(peers_set(two.one.peers, 2, 0, proxy.address_text));
        two.source.chunk_size = 3000;
        start(&two, 5);
        wait_for_end(&two);
        CHECK_STATUS(two.source.status, RR_IO);
        CHECK(two.two.sink.begun == 0 || two.two.sink.end_status != RR_OK);
        proxy_close(&proxy);
        close_two(&two);
    }
}

/* The network swallows everything once the receiver has accepted. */
static void check_stall(uint32_t sender_ms, uint32_t receiver_ms, rr_status sender_status,
                        rr_status receiver_status)
{
    struct two two;
    init_two(&two);
    two.one.options.stall_timeout_ms = sender_ms;
    two.two.options.stall_timeout_ms = receiver_ms;
    start_two(&two);
    struct proxy proxy;
    proxy_open(&proxy, &two.world, &two.two.address);
    CHECK_OK(peers_set(two.one.peers, 2, 0, proxy.address_text));
    two.two.sink.hold_begin = true;
    start(&two, 50);
    WAIT_UNTIL(&two.world, two.two.sink.begun == 1);
    snapshot_receive_resume(two.two.sink.receive, 0);
    proxy.stalled = true;
    wait_for_end(&two);
    CHECK_STATUS(two.source.status, sender_status);
    CHECK_STATUS(two.two.sink.end_status, receiver_status);
    proxy_close(&proxy);
    close_two(&two);
}

TEST(snapshot_stream, gives_up_without_progress)
{
    check_stall(100, 20 * 1000, RR_TIMEOUT, RR_IO);
    check_stall(20 * 1000, 100, RR_IO, RR_TIMEOUT);
}

TEST(snapshot_stream, waits_for_a_slow_receiver_only_so_long)
{
    struct two two;
    init_two(&two);
    two.one.options.stall_timeout_ms = 30;
    two.two.options.stall_timeout_ms = 10;
    start_two(&two);
    two.two.sink.hold_acks = true; /* it owes: its own timeout does not end it */
    start(&two, 50);
    wait_for_end(&two);
    CHECK_STATUS(two.source.status, RR_TIMEOUT);
    CHECK_STATUS(two.two.sink.end_status, RR_IO);
    close_two(&two);
}

TEST(snapshot_stream, tells_the_sender_why_the_receiver_refuses)
{
    struct two two;
    open_two(&two);
    two.two.sink.begin_status = RR_NO_SPACE;
    start(&two, 50);
    wait_for_end(&two);
    CHECK_STATUS(two.source.status, RR_NO_SPACE);
    CHECK_TEXT(two.source.reason, "no room");
    CHECK_STATUS(two.two.sink.end_status, RR_NO_SPACE);
    close_two(&two);
}

TEST(snapshot_stream, tells_the_sender_why_the_receiver_gives_up)
{
    struct two two;
    open_two(&two);
    two.two.sink.chunk_status = RR_NO_SPACE;
    start(&two, 50);
    wait_for_end(&two);
    CHECK_STATUS(two.source.status, RR_NO_SPACE);
    CHECK_TEXT(two.source.reason, "disk full");
    close_two(&two);

    open_two(&two);
    two.two.sink.finish_status = RR_CORRUPT;
    start(&two, 50);
    wait_for_end(&two);
    CHECK_STATUS(two.source.status, RR_CORRUPT);
    CHECK_STATUS(two.two.sink.end_status, RR_CORRUPT);
    close_two(&two);
}

TEST(snapshot_stream, ends_when_the_source_fails)
{
    struct two two;
    open_two(&two);
    two.source.fail_at = 7;
    start(&two, 50);
    wait_for_end(&two);
    CHECK_STATUS(two.source.status, RR_CORRUPT);
    CHECK_STATUS(two.two.sink.end_status, RR_IO);
    CHECK_EQ(two.two.sink.chunks_stored, 7u);
    close_two(&two);
}

TEST(snapshot_stream, can_be_cancelled_at_any_time)
{
    for (int turns = 0; turns < 12; turns++) {
        struct two two;
        open_two(&two);
        start(&two, 50);
        for (int turn = 0; turn < turns && two.source.done == 0; turn++) {
            loop_run_once(two.world.loop, false);
        }
        if (two.source.done == 0) {
            snapshot_send_cancel(two.source.send);
            WAIT_UNTIL(&two.world, two.two.sink.ended == two.two.sink.begun &&
                                       listener_connection_count(two.two.listener) == 0);
            CHECK_EQ(two.source.done, 0);
        }
        close_two(&two);
    }
    struct two two;
    open_two(&two);
    two.source.cancel = true;
    start(&two, 50);
    WAIT_UNTIL(&two.world, two.two.sink.ended == 1);
    CHECK_EQ(two.source.asked, 1u);
    CHECK_EQ(two.source.done, 0);
    close_two(&two);
}

TEST(snapshot_stream, ends_when_the_peer_is_removed)
{
    struct two two;
    open_two(&two);
    two.two.sink.hold_acks = true;
    start(&two, 50);
    WAIT_UNTIL(&two.world, two.two.sink.held_count > 0);
    peers_remove(two.one.peers, 2);
    CHECK_EQ(two.source.done, 1);
    CHECK_STATUS(two.source.status, RR_CLOSED);
    WAIT_UNTIL(&two.world, two.two.sink.ended == 1);
    CHECK_STATUS(start_from(&two.one, 2, 1, 0, &two.source), RR_NOT_FOUND);
    close_two(&two);
}

TEST(snapshot_stream, knows_that_nobody_is_there)
{
    struct two two;
    open_two(&two);
    node_stop(&two.two);
    start(&two, 50);
    WAIT_UNTIL(&two.world, two.source.done == 1);
    CHECK_STATUS(two.source.status, RR_IO);
    close_two(&two);

    init_two(&two);
    two.two.accept_status = RR_NOT_FOUND;
    start_two(&two);
    start(&two, 50);
    WAIT_UNTIL(&two.world, two.source.done == 1);
    CHECK_STATUS(two.source.status, RR_MISMATCH);
    close_two(&two);
}

TEST(snapshot_stream, takes_one_at_a_time_in_each_group)
{
    struct two two;
    open_two(&two);
    struct node three;
    node_init(&three, &two.world, 3);
    node_start(&three);
    node_add_peer(&three, &two.two);
    two.two.sink.hold_acks = true;
    start(&two, 50);
    WAIT_UNTIL(&two.world, two.two.sink.held_count > 0);
    struct source other = {.chunk_size = 10, .fail_at = UINT64_MAX};
    CHECK_OK(start_from(&three, 2, 50, 0, &other));
    WAIT_UNTIL(&two.world, other.done == 1);
    CHECK_STATUS(other.status, RR_BUSY);
    CHECK_EQ(two.two.sink.begun, 1);

    struct source again = {.chunk_size = 10, .fail_at = UINT64_MAX}; /* from the same node */
    two.two.sink.hold_acks = false;
    CHECK_OK(start_from(&two.one, 2, 50, 0, &again));
    WAIT_UNTIL(&two.world, again.done == 1 && two.source.done == 1);
    CHECK_OK(again.status);
    CHECK_STATUS(two.source.status, RR_IO);
    WAIT_UNTIL(&two.world, two.two.sink.ended == 2);
    node_stop(&three);
    close_two(&two);
}

TEST(snapshot_stream, keeps_to_its_rate)
{
    struct two two;
    open_two(&two);
    two.source.chunk_size = 100 * 1000;
    uint64_t start_us = loop_now_us(two.world.loop);
    CHECK_OK(start_from(&two.one, 2, 11, 10 * 1000 * 1000, &two.source));
    wait_for_end(&two);
    CHECK_OK(two.source.status);
    CHECK_GE(loop_now_us(two.world.loop) - start_us, 100u * 1000); /* ten chunks of 10 ms */
    close_two(&two);
}

TEST(snapshot_stream, ends_with_the_listener)
{
    struct two two;
    open_two(&two);
    two.two.sink.hold_acks = true;
    start(&two, 50);
    WAIT_UNTIL(&two.world, two.two.sink.held_count > 0);
    node_stop(&two.two);
    CHECK_EQ(two.two.sink.ended, 1);
    CHECK_STATUS(two.two.sink.end_status, RR_CLOSED);
    WAIT_UNTIL(&two.world, two.source.done == 1);
    close_two(&two);
}
