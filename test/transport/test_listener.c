/* The inbound side against strangers: dropped, counted, logged; and never harmed. */
#include "transport/world.h"

#include "base/memory.h"
#include "base/random.h"
#include "transport/frame.h"

#include <string.h>

struct one {
    struct world world;
    struct node node;
};

static void open_one(struct one *one)
{
    world_open(&one->world);
    node_init(&one->node, &one->world, 1);
    one->node.options.handshake_timeout_ms = 200;
    node_start(&one->node);
}

static void close_one(struct one *one)
{
    node_stop(&one->node);
    world_close(&one->world);
}

/* Says `bytes` and waits for the end of the connection. */
static void say(struct one *one, rr_bytes bytes)
{
    struct raw raw;
    raw_open(&raw, &one->world, &one->node.address);
    raw_send(&raw, bytes);
    WAIT_UNTIL(&one->world, raw.closed);
    CHECK_EQ(raw.received.size, (size_t)0);
    raw_close(&raw);
    WAIT_UNTIL(&one->world, listener_connection_count(one->node.listener) == 0);
}

TEST(listener, drops_other_protocols)
{
    struct one one;
    open_one(&one);
    say(&one, test_bytes_of("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"));
    static const uint8_t tls[] = {0x16, 3, 1, 2, 0, 1, 0, 1, 0xfc, 3, 3, 9, 9, 9, 9, 9, 9,
                                  9,    9, 9, 9, 9, 9, 9, 9, 9,    9, 9, 9, 9, 9, 9, 9, 9};
    say(&one, (rr_bytes){.data = tls, .size = sizeof(tls)});
    say(&one, test_bytes_of("*1\r\n$4\r\nPING\r\n*1\r\n$4\r\nPING\r\n"));
    CHECK_EQ(node_counters(&one.node)->garbage, 3u);
    CHECK_EQ(node_counters(&one.node)->connections_accepted, 0u);
    char *first = strstr(one.node.log, "no peer of ours");
    CHECK(first != NULL);
    CHECK_EQ(strstr(first + 1, "no peer of ours"), NULL); /* logged once */
    close_one(&one);
}

TEST(listener, drops_random_bytes)
{
    struct random random;
    random_init(&random, test_seed(51));
    struct one one;
    open_one(&one);
    for (int count = 1; count <= 100; count++) {
        uint8_t bytes[500];
        size_t size = random_between(&random, FRAME_HEADER_BYTES, sizeof(bytes));
        random_fill(&random, bytes, size);
        say(&one, (rr_bytes){.data = bytes, .size = size});
        CHECK_EQ(node_counters(&one.node)->garbage, (uint64_t)count);
    }
    close_one(&one);
}

TEST(listener, drops_who_says_nothing)
{
    struct one one;
    open_one(&one);
    say(&one, test_bytes_of(""));
    say(&one, test_bytes_of("GET"));
    CHECK_EQ(node_counters(&one.node)->handshake_timeouts, 2u);
    close_one(&one);
}

static void put_hello(struct buffer *bytes, enum traffic_class class, raft_id id)
{
    struct hello hello = {.version_min = 1, .version_max = 1, .cluster = 7, .node = id};
    hello.class = class;
    size_t start = frame_begin(bytes, FRAME_HELLO, 0);
    hello_encode(&hello, bytes);
    frame_end(bytes, start);
}

static void put_frame(struct buffer *bytes, uint8_t type, const char *body)
{
    size_t start = frame_begin(bytes, (enum frame_type)type, 0);
    buffer_append_text(bytes, body);
    frame_end(bytes, start);
}

TEST(listener, drops_a_first_frame_that_is_no_hello)
{
    struct one one;
    open_one(&one);
    struct buffer bytes;
    buffer_init(&bytes);
    put_frame(&bytes, FRAME_RAFT, "x");
    say(&one, buffer_bytes(&bytes));
    buffer_clear(&bytes);
    put_frame(&bytes, FRAME_HELLO, "ROCKRAFT but no more");
    say(&one, buffer_bytes(&bytes));
    buffer_clear(&bytes);
    size_t start = frame_begin(&bytes, FRAME_HELLO, 0); /* larger than a hello may be */
    memset(buffer_extend(&bytes, HANDSHAKE_BYTES_MAX + 1), 'h', HANDSHAKE_BYTES_MAX + 1);
    frame_end(&bytes, start);
    say(&one, buffer_bytes(&bytes));
    CHECK_EQ(node_counters(&one.node)->garbage, 3u);
    buffer_deinit(&bytes);
    close_one(&one);
}

/* After a good hello of `class`: says a frame, and expects to be dropped, or not. */
static void check_frame(enum traffic_class class, uint8_t type, const char *body, bool dropped)
{
    struct one one;
    open_one(&one);
    struct buffer bytes;
    buffer_init(&bytes);
    put_hello(&bytes, class, 2);
    put_frame(&bytes, type, body);
    struct raw raw;
    raw_open(&raw, &one.world, &one.node.address);
    raw_send(&raw, buffer_bytes(&bytes));
    if (dropped) {
        WAIT_UNTIL(&one.world, raw.closed);
        CHECK_EQ(node_counters(&one.node)->malformed, 1u);
    } else {
        WAIT_UNTIL(&one.world, node_counters(&one.node)->unknown_frames == 1);
        CHECK(!raw.closed);
    }
    CHECK_EQ(node_counters(&one.node)->connections_accepted, 1u);
    CHECK_EQ(one.node.messages, 0u);
    CHECK_EQ(one.node.requests, 0u);
    CHECK_EQ(one.node.user_messages, 0u);
    CHECK_EQ(one.node.sink.begun, 0);
    raw_close(&raw);
    buffer_deinit(&bytes);
    close_one(&one);
}

TEST(listener, drops_a_peer_that_breaks_the_protocol)
{
    check_frame(TRAFFIC_CONSENSUS, FRAME_RAFT, "no message", true);
    check_frame(TRAFFIC_CONSENSUS, FRAME_REQUEST, "not here", true);
    check_frame(TRAFFIC_BULK, FRAME_REQUEST, "no request", true);
    check_frame(TRAFFIC_BULK, FRAME_RAFT, "not here", true);
    check_frame(TRAFFIC_BULK, FRAME_USER_MESSAGE, "\x09short", true);
    check_frame(TRAFFIC_CONSENSUS, FRAME_USER_MESSAGE, "", true);
    check_frame(TRAFFIC_BULK, FRAME_HELLO, "again", true);
    check_frame(TRAFFIC_SNAPSHOT, FRAME_SNAPSHOT_BEGIN, "no offer", true);
    check_frame(TRAFFIC_SNAPSHOT, FRAME_SNAPSHOT_CHUNK, "12345678123456781", true);
    check_frame(TRAFFIC_SNAPSHOT, FRAME_SNAPSHOT_FINISH, "", true);
    check_frame(TRAFFIC_SNAPSHOT, FRAME_REQUEST, "not here", true);
}

TEST(listener, skips_frames_of_a_newer_version)
{
    check_frame(TRAFFIC_CONSENSUS, 99, "news", false);
    check_frame(TRAFFIC_BULK, 99, "news", false);
    check_frame(TRAFFIC_SNAPSHOT, 99, "news", false);
}

TEST(listener, limits_connections)
{
    struct one one;
    world_open(&one.world);
    node_init(&one.node, &one.world, 1);
    one.node.options.inbound_connections_max = 3;
    node_start(&one.node);
    struct raw raws[5];
    for (int at = 0; at < 5; at++) {
        raw_open(&raws[at], &one.world, &one.node.address);
        WAIT_UNTIL(&one.world, listener_connection_count(one.node.listener) == (size_t)at + 1 ||
                                   raws[at].closed);
    }
    CHECK_EQ(listener_connection_count(one.node.listener), (size_t)3);
    CHECK_EQ(node_counters(&one.node)->connections_refused, 2u);
    for (int at = 0; at < 5; at++) {
        raw_close(&raws[at]);
    }
    WAIT_UNTIL(&one.world, listener_connection_count(one.node.listener) == 0);
    close_one(&one);
}

TEST(listener, tells_an_older_version_why_it_is_refused)
{
    struct one one;
    open_one(&one);
    struct hello hello = {.version_min = 9, .version_max = 12, .cluster = 7, .node = 2};
    hello.class = TRAFFIC_BULK;
    struct buffer bytes;
    buffer_init(&bytes);
    size_t start = frame_begin(&bytes, FRAME_HELLO, 0);
    hello_encode(&hello, &bytes);
    frame_end(&bytes, start);
    struct raw raw;
    raw_open(&raw, &one.world, &one.node.address);
    raw_send(&raw, buffer_bytes(&bytes));
    WAIT_UNTIL(&one.world, raw.closed);
    struct frame_parser parser;
    frame_parser_init(&parser, HANDSHAKE_BYTES_MAX);
    struct frame frame;
    rr_bytes input = buffer_bytes(&raw.received);
    CHECK(frame_parser_next(&parser, &input, &frame));
    CHECK_EQ(frame.type, FRAME_REJECT);
    rr_status status;
    char reason[HANDSHAKE_REASON_BYTES_MAX];
    CHECK_OK(reject_decode(frame.body, &status, reason));
    CHECK_STATUS(status, RR_MISMATCH);
    CHECK(strstr(reason, "version") != NULL);
    frame_parser_deinit(&parser);
    buffer_deinit(&bytes);
    raw_close(&raw);
    close_one(&one);
}

/* A whole conversation with a bit flipped anywhere: it ends, and nothing false is taken. */
TEST(listener, detects_every_changed_byte_of_a_conversation)
{
    struct buffer bytes;
    buffer_init(&bytes);
    put_hello(&bytes, TRAFFIC_BULK, 2);
    size_t hello_size = bytes.size;
    put_frame(&bytes, FRAME_REQUEST,
              "\x0e"
              "12345678"
              "mm"
              "tttt"
              "body");
    struct one one;
    open_one(&one);
    for (size_t at = 0; at < bytes.size; at++) {
        bytes.data[at] ^= 0x10;
        uint64_t requests = one.node.requests;
        struct raw raw;
        raw_open(&raw, &one.world, &one.node.address);
        raw_send(&raw, buffer_bytes(&bytes));
        WAIT_UNTIL(&one.world, raw.closed);
        CHECK_EQ(one.node.requests, requests);
        raw_close(&raw);
        bytes.data[at] ^= 0x10;
    }
    CHECK_EQ(node_counters(&one.node)->garbage, hello_size);
    CHECK_EQ(node_counters(&one.node)->corrupt_frames, bytes.size - hello_size);
    buffer_deinit(&bytes);
    close_one(&one);
}

TEST(listener, says_that_its_port_is_in_use)
{
    struct one one;
    open_one(&one);
    static const struct listener_callbacks none = {0};
    struct listener *second = NULL;
    char reason[STREAM_REASON_BYTES_MAX] = "";
    CHECK_STATUS(listener_open(one.node.transport, &one.node.address, &none, NULL, &second, reason),
                 RR_CONFLICT);
    CHECK(reason[0] != 0);
    close_one(&one);
}
