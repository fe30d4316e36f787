/* Streams over TCP on 127.0.0.1: connecting, writing, backpressure, and every way to end. */
#include "io/tcp.h"

#include "base/memory.h"
#include "base/random.h"
#include "io/io_private.h"
#include "io/timer.h"
#include "support/test.h"

#include <string.h>
#include <sys/socket.h>

/* A writer that writes until something stays queued, and goes on when it is told of an empty queue. */
struct pump {
    struct loop *loop;
    struct stream *stream;
    size_t piece; /* bytes in one write */
    size_t left;
};

/* One end of a stream and what it saw. */
struct end {
    struct stream *stream; /* NULL before, and once it has ended */
    struct buffer received;
    int closed;
    rr_status status;
    int drained;
    int reads;
    bool pause_at_once;
    bool abandon_on_read;
    uint64_t written_at_close;
    struct pump *pump; /* to be told of an empty queue; or NULL */
};

/* Two ends on one loop, with a guard against waiting for ever. */
struct pair {
    struct loop *loop;
    struct timer *guard;
    struct tcp_listener *listener;
    struct end server;
    struct end client;
    struct tcp_connect *connect;
    bool connected;
    rr_status connect_status;
    size_t queue_bytes_max;
};

static void guard_due(void *arg)
{
    (void)arg;
    FAIL("waited for too long");
}

#define WAIT_UNTIL(pair, condition)                                                                \
    do {                                                                                           \
        while (!(condition)) {                                                                     \
            loop_run_once((pair)->loop, true);                                                     \
        }                                                                                          \
    } while (0)

static void end_read(void *arg, rr_bytes bytes)
{
    struct end *end = arg;
    end->reads++;
    buffer_append(&end->received, bytes.data, bytes.size);
    if (end->abandon_on_read) {
        stream_abandon(end->stream);
        end->stream = NULL;
    }
}

static void pump_on(struct pump *pump)
{
    while (pump->left > 0 && stream_queued(pump->stream) == 0) {
        struct buffer buffer;
        buffer_init(&buffer);
        size_t size = pump->left < pump->piece ? pump->left : pump->piece;
        memset(buffer_extend(&buffer, size), 'p', size);
        pump->left -= size;
        CHECK_OK(stream_write(pump->stream, &buffer));
        buffer_deinit(&buffer);
        loop_flush(pump->loop);
    }
}

static void end_drained(void *arg)
{
    struct end *end = arg;
    end->drained++;
    if (end->pump != NULL) {
        pump_on(end->pump);
    }
}

static void end_closed(void *arg, rr_status status, const char *reason)
{
    struct end *end = arg;
    end->closed++;
    end->status = status;
    end->written_at_close = stream_written(end->stream);
    end->stream = NULL;
    CHECK(reason[0] != 0);
}

static const struct stream_callbacks end_callbacks = {
    .read = end_read,
    .drained = end_drained,
    .closed = end_closed,
};

static void accept_end(void *arg, struct stream *stream)
{
    struct pair *pair = arg;
    pair->server.stream = stream;
    stream_start(stream, &end_callbacks, &pair->server, pair->queue_bytes_max);
    if (pair->server.pause_at_once) {
        stream_pause(stream);
    }
}

static void connect_end(void *arg, rr_status status, struct stream *stream, const char *reason)
{
    struct pair *pair = arg;
    pair->connected = true;
    pair->connect = NULL;
    pair->connect_status = status;
    if (status == RR_OK) {
        pair->client.stream = stream;
        stream_start(stream, &end_callbacks, &pair->client, pair->queue_bytes_max);
    } else {
        CHECK(reason[0] != 0);
    }
}

static void open_loop(struct pair *pair)
{
    memset(pair, 0, sizeof(*pair));
    pair->queue_bytes_max = 1024 * 1024;
    CHECK_OK(loop_open(&pair->loop));
    pair->guard = timer_open(pair->loop, guard_due, pair);
    timer_start(pair->guard, 30 * 1000);
    buffer_init(&pair->server.received);
    buffer_init(&pair->client.received);
}

static void listen_on(struct pair *pair, const char *text, struct address *address)
{
    CHECK_OK(address_parse(text, address));
    CHECK_OK(tcp_listen(pair->loop, address, accept_end, pair, &pair->listener, NULL));
    tcp_listener_address(pair->listener, address);
    CHECK_NE(address->port, 0);
}

static void open_pair(struct pair *pair)
{
    bool pause = pair->server.pause_at_once;
    open_loop(pair);
    pair->server.pause_at_once = pause;
    struct address address;
    listen_on(pair, "127.0.0.1:0", &address);
    pair->connect = tcp_connect(pair->loop, &address, 10 * 1000, connect_end, pair);
    WAIT_UNTIL(pair, pair->client.stream != NULL && pair->server.stream != NULL);
}

static void close_pair(struct pair *pair)
{
    tcp_connect_cancel(pair->connect);
    stream_abandon(pair->client.stream);
    stream_abandon(pair->server.stream);
    tcp_listener_close(pair->listener);
    timer_close(pair->guard);
    loop_close(pair->loop);
    buffer_deinit(&pair->server.received);
    buffer_deinit(&pair->client.received);
}

static rr_status write_text(struct stream *stream, const char *text)
{
    struct buffer buffer;
    buffer_init(&buffer);
    buffer_append_text(&buffer, text);
    rr_status status = stream_write(stream, &buffer);
    buffer_deinit(&buffer);
    return status;
}

TEST(stream, carries_bytes_both_ways)
{
    struct pair pair = {0};
    open_pair(&pair);
    CHECK_OK(write_text(pair.client.stream, "ping"));
    WAIT_UNTIL(&pair, pair.server.received.size == 4);
    CHECK_OK(write_text(pair.server.stream, "pong"));
    WAIT_UNTIL(&pair, pair.client.received.size == 4);
    CHECK_BYTES(buffer_bytes(&pair.server.received), test_bytes_of("ping"));
    CHECK_BYTES(buffer_bytes(&pair.client.received), test_bytes_of("pong"));
    CHECK_EQ(stream_accepted(pair.client.stream), 4u);
    CHECK_EQ(stream_written(pair.client.stream), 4u);
    CHECK_EQ(stream_queued(pair.client.stream), (size_t)0);
    CHECK_EQ(strncmp(stream_peer_text(pair.client.stream), "127.0.0.1:", 10), 0);
    close_pair(&pair);
}

TEST(stream, sends_the_writes_of_a_turn_at_its_end_and_together)
{
    struct pair pair = {0};
    open_pair(&pair);
    for (int count = 0; count < 100; count++) {
        CHECK_OK(write_text(pair.client.stream, "0123456789"));
    }
    CHECK_EQ(stream_written(pair.client.stream), 0u);
    loop_run_once(pair.loop, false);
    CHECK_EQ(stream_written(pair.client.stream), 1000u);
    WAIT_UNTIL(&pair, pair.server.received.size == 1000);
    CHECK_EQ(pair.server.reads, 1);
    close_pair(&pair);
}

TEST(stream, carries_large_and_small_writes_in_order)
{
    struct random random;
    random_init(&random, test_seed(11));
    struct pair pair = {0};
    open_pair(&pair);
    struct buffer sent;
    buffer_init(&sent);
    for (int count = 0; count < 200; count++) {
        struct buffer part;
        buffer_init(&part);
        size_t size = random_chance(&random, 1, 4) ? random_below(&random, 200000)
                                                   : random_below(&random, 500);
        uint8_t *bytes = buffer_extend(&part, size);
        if (size > 0) {
            random_fill(&random, bytes, size);
        }
        buffer_append(&sent, part.data, part.size);
        for (;;) {
            rr_status status = stream_write(pair.client.stream, &part);
            if (status == RR_OK) {
                break;
            }
            CHECK_STATUS(status, RR_BUSY);
            loop_run_once(pair.loop, true);
        }
        buffer_deinit(&part);
        if (random_chance(&random, 1, 3)) {
            loop_run_once(pair.loop, false);
        }
    }
    WAIT_UNTIL(&pair, pair.server.received.size == sent.size);
    CHECK_BYTES(buffer_bytes(&pair.server.received), buffer_bytes(&sent));
    buffer_deinit(&sent);
    close_pair(&pair);
}

TEST(stream, limits_the_queue_for_a_reader_that_does_not_read)
{
    struct pair pair = {.server.pause_at_once = true};
    open_pair(&pair);
    char text[10001];
    memset(text, 'x', 10000);
    text[10000] = 0;
    int refused = 0;
    for (int count = 0; count < 5000 && refused < 10; count++) {
        refused += write_text(pair.client.stream, text) == RR_BUSY;
        CHECK_LE(stream_queued(pair.client.stream), pair.queue_bytes_max);
        loop_run_once(pair.loop, false);
    }
    CHECK_EQ(refused, 10);
    CHECK_EQ(pair.server.received.size, (size_t)0);
    CHECK_EQ(pair.client.drained, 0);
    uint64_t accepted = stream_accepted(pair.client.stream);
    stream_resume(pair.server.stream);
    WAIT_UNTIL(&pair, pair.server.received.size == accepted);
    WAIT_UNTIL(&pair, pair.client.drained == 1);
    CHECK_EQ(stream_queued(pair.client.stream), (size_t)0);
    close_pair(&pair);
}

/* So that the socket is full after little. */
static void shrink_send_buffer(struct stream *stream)
{
    uv_os_fd_t file;
    int size = 16 * 1024;
    CHECK_EQ(uv_fileno((uv_handle_t *)stream_tcp(stream), &file), 0);
    CHECK_EQ(setsockopt(file, SOL_SOCKET, SO_SNDBUF, &size, sizeof(size)), 0);
}

TEST(stream, tells_a_writer_of_the_empty_queue_while_its_last_bytes_are_on_their_way)
{
    for (size_t piece = 1000; piece < 200 * 1000; piece *= 3) {
        struct pair pair = {0};
        open_pair(&pair);
        struct pump pump = {.loop = pair.loop, .stream = pair.client.stream, .piece = piece};
        pump.left = 1000 * 1000;
        pair.client.pump = &pump;
        shrink_send_buffer(pair.client.stream);
        pump_on(&pump);
        WAIT_UNTIL(&pair, pair.server.received.size == 1000 * 1000);
        close_pair(&pair);
    }
}

TEST(stream, takes_one_write_over_the_limit_into_an_empty_queue)
{
    struct pair pair = {0};
    open_pair(&pair);
    struct buffer large;
    buffer_init(&large);
    memset(buffer_extend(&large, 3 * 1024 * 1024), 'y', 3 * 1024 * 1024);
    CHECK_OK(stream_write(pair.client.stream, &large));
    CHECK_EQ(large.size, (size_t)0);
    CHECK_STATUS(write_text(pair.client.stream, "z"), RR_BUSY);
    WAIT_UNTIL(&pair, pair.server.received.size == 3 * 1024 * 1024);
    buffer_deinit(&large);
    close_pair(&pair);
}

TEST(stream, reports_its_end_once_on_both_sides)
{
    struct pair pair = {0};
    open_pair(&pair);
    stream_close(pair.client.stream);
    stream_close(pair.client.stream);
    CHECK_EQ(pair.client.closed, 0);
    CHECK_STATUS(write_text(pair.client.stream, "late"), RR_CLOSED);
    WAIT_UNTIL(&pair, pair.client.closed == 1 && pair.server.closed == 1);
    CHECK_STATUS(pair.client.status, RR_CLOSED);
    CHECK_STATUS(pair.server.status, RR_IO);
    loop_run_once(pair.loop, false);
    CHECK_EQ(pair.client.closed, 1);
    close_pair(&pair);
}

TEST(stream, writes_what_is_queued_before_it_finishes)
{
    struct pair pair = {0};
    open_pair(&pair);
    struct buffer large;
    buffer_init(&large);
    memset(buffer_extend(&large, 5 * 1024 * 1024), 'y', 5 * 1024 * 1024);
    CHECK_OK(stream_write(pair.client.stream, &large));
    buffer_deinit(&large);
    stream_finish(pair.client.stream);
    CHECK_STATUS(write_text(pair.client.stream, "late"), RR_CLOSED);
    WAIT_UNTIL(&pair, pair.client.closed == 1 && pair.server.closed == 1);
    CHECK_EQ(pair.server.received.size, (size_t)(5 * 1024 * 1024));
    CHECK_STATUS(pair.client.status, RR_CLOSED);
    close_pair(&pair);
}

TEST(stream, sends_what_it_can_when_abandoned_and_then_is_silent)
{
    struct pair pair = {0};
    open_pair(&pair);
    CHECK_OK(write_text(pair.client.stream, "bye"));
    stream_abandon(pair.client.stream);
    pair.client.stream = NULL;
    WAIT_UNTIL(&pair, pair.server.closed == 1);
    CHECK_BYTES(buffer_bytes(&pair.server.received), test_bytes_of("bye"));
    CHECK_EQ(pair.client.closed, 0);
    close_pair(&pair);
}

TEST(stream, may_be_abandoned_while_it_reads)
{
    struct pair pair = {0};
    open_pair(&pair);
    pair.server.abandon_on_read = true;
    CHECK_OK(write_text(pair.client.stream, "x"));
    WAIT_UNTIL(&pair, pair.client.closed == 1);
    CHECK_EQ(pair.server.closed, 0);
    close_pair(&pair);
}

TEST(stream, knows_what_never_left)
{
    struct pair pair = {.server.pause_at_once = true};
    open_pair(&pair);
    struct buffer large;
    buffer_init(&large);
    memset(buffer_extend(&large, 64 * 1024 * 1024), 'y', 64 * 1024 * 1024);
    CHECK_OK(stream_write(pair.client.stream, &large));
    buffer_deinit(&large);
    loop_run_once(pair.loop, false);
    stream_abandon(pair.server.stream); /* with unread bytes: a reset */
    pair.server.stream = NULL;
    WAIT_UNTIL(&pair, pair.client.closed == 1);
    CHECK_STATUS(pair.client.status, RR_IO);
    CHECK_GT(pair.client.written_at_close, 0u);
    CHECK_LT(pair.client.written_at_close, 64u * 1024 * 1024);
    close_pair(&pair);
}

TEST(tcp, reports_a_refused_connection)
{
    struct pair pair;
    open_loop(&pair);
    struct address address;
    listen_on(&pair, "127.0.0.1:0", &address);
    tcp_listener_close(pair.listener);
    pair.listener = NULL;
    loop_run_once(pair.loop, false);
    pair.connect = tcp_connect(pair.loop, &address, 10 * 1000, connect_end, &pair);
    CHECK(!pair.connected);
    WAIT_UNTIL(&pair, pair.connected);
    CHECK_STATUS(pair.connect_status, RR_IO);
    close_pair(&pair);
}

TEST(tcp, tries_each_address_of_a_name)
{
    struct pair pair;
    open_loop(&pair);
    struct address address;
    listen_on(&pair, "127.0.0.1:0", &address); /* not on ::1, which "localhost" may be first */
    strcpy(address.host, "localhost");
    pair.connect = tcp_connect(pair.loop, &address, 10 * 1000, connect_end, &pair);
    WAIT_UNTIL(&pair, pair.connected && pair.server.stream != NULL);
    CHECK_STATUS(pair.connect_status, RR_OK);
    close_pair(&pair);
}

TEST(tcp, reports_a_name_without_an_address)
{
    struct pair pair;
    open_loop(&pair);
    struct address address;
    CHECK_OK(address_parse("no-such-host.invalid:1", &address));
    pair.connect = tcp_connect(pair.loop, &address, 20 * 1000, connect_end, &pair);
    WAIT_UNTIL(&pair, pair.connected);
    CHECK(pair.connect_status == RR_NOT_FOUND || pair.connect_status == RR_TIMEOUT);
    close_pair(&pair);
}

TEST(tcp, does_not_report_a_cancelled_attempt)
{
    struct pair pair;
    open_loop(&pair);
    struct address address;
    listen_on(&pair, "127.0.0.1:0", &address);
    for (int turns = 0; turns < 3; turns++) {
        pair.connect = tcp_connect(pair.loop, &address, 10 * 1000, connect_end, &pair);
        for (int turn = 0; turn < turns && !pair.connected; turn++) {
            loop_run_once(pair.loop, false);
        }
        if (!pair.connected) {
            tcp_connect_cancel(pair.connect);
        }
        pair.connect = NULL;
        stream_abandon(pair.client.stream);
        pair.client.stream = NULL;
        pair.connected = false;
        stream_abandon(pair.server.stream);
        pair.server.stream = NULL;
    }
    strcpy(address.host, "localhost");
    tcp_connect_cancel(tcp_connect(pair.loop, &address, 10 * 1000, connect_end, &pair));
    close_pair(&pair);
    CHECK(!pair.connected);
}

TEST(tcp, refuses_to_connect_to_port_0)
{
    struct pair pair;
    open_loop(&pair);
    struct address address;
    CHECK_OK(address_parse("127.0.0.1:0", &address));
    pair.connect = tcp_connect(pair.loop, &address, 10 * 1000, connect_end, &pair);
    WAIT_UNTIL(&pair, pair.connected);
    CHECK_STATUS(pair.connect_status, RR_IO);
    close_pair(&pair);
}

TEST(tcp, tells_a_port_in_use_from_an_address_that_is_not_here)
{
    struct pair pair;
    open_loop(&pair);
    struct address address;
    listen_on(&pair, "127.0.0.1:0", &address);
    struct tcp_listener *second = NULL;
    char reason[STREAM_REASON_BYTES_MAX] = "";
    CHECK_STATUS(tcp_listen(pair.loop, &address, accept_end, &pair, &second, reason), RR_CONFLICT);
    CHECK(reason[0] != 0);
    CHECK_OK(address_parse("no-such-host.invalid:0", &address));
    CHECK_STATUS(tcp_listen(pair.loop, &address, accept_end, &pair, &second, reason), RR_INVALID);
    close_pair(&pair);
}

TEST(tcp, listens_on_ipv6_where_there_is_one)
{
    struct pair pair;
    open_loop(&pair);
    struct address address;
    CHECK_OK(address_parse("[::1]:0", &address));
    if (tcp_listen(pair.loop, &address, accept_end, &pair, &pair.listener, NULL) != RR_OK) {
        close_pair(&pair);
        test_skip("this machine has no ::1");
    }
    tcp_listener_address(pair.listener, &address);
    pair.connect = tcp_connect(pair.loop, &address, 10 * 1000, connect_end, &pair);
    WAIT_UNTIL(&pair, pair.connected && pair.server.stream != NULL);
    CHECK_STATUS(pair.connect_status, RR_OK);
    CHECK_EQ(strncmp(stream_peer_text(pair.client.stream), "[::1]:", 6), 0);
    close_pair(&pair);
}
