/* Frames: found again however their bytes are split, refused when any of them is changed. */
#include "transport/frame.h"

#include "base/codec.h"
#include "base/memory.h"
#include "base/random.h"
#include "support/test.h"

#include <string.h>

static void add_frame(struct buffer *buffer, uint8_t type, uint8_t flags, const char *body)
{
    size_t start = frame_begin(buffer, (enum frame_type)type, flags);
    buffer_append_text(buffer, body);
    frame_end(buffer, start);
}

/* Three frames, one of them empty. */
static void add_samples(struct buffer *buffer)
{
    buffer_init(buffer);
    add_frame(buffer, FRAME_RAFT, 7, "hello");
    add_frame(buffer, FRAME_REQUEST, 0, "");
    add_frame(buffer, 200, 1, "a frame of a type that nobody knows");
    CHECK(!buffer->failed);
}

/* Feeds `bytes` and counts the frames that are as the samples; -1 for one that differs. */
static int feed(struct frame_parser *parser, rr_bytes bytes, int already)
{
    static const uint8_t types[] = {FRAME_RAFT, FRAME_REQUEST, 200};
    static const uint8_t flags[] = {7, 0, 1};
    static const char *const bodies[] = {"hello", "", "a frame of a type that nobody knows"};
    struct frame frame;
    while (frame_parser_next(parser, &bytes, &frame)) {
        if (already == 3 || frame.type != types[already] || frame.flags != flags[already] ||
            frame.body.size != strlen(bodies[already]) ||
            (frame.body.size > 0 &&
             memcmp(frame.body.data, bodies[already], frame.body.size) != 0)) {
            return -1;
        }
        already++;
    }
    return already;
}

static rr_bytes slice(const struct buffer *buffer, size_t from, size_t to)
{
    return (rr_bytes){.data = buffer->data + from, .size = to - from};
}

TEST(frame, is_found_in_any_two_or_three_pieces)
{
    struct buffer bytes;
    add_samples(&bytes);
    for (size_t first = 0; first <= bytes.size; first++) {
        for (size_t second = first; second <= bytes.size; second++) {
            struct frame_parser parser;
            frame_parser_init(&parser, 100);
            int count = feed(&parser, slice(&bytes, 0, first), 0);
            count = feed(&parser, slice(&bytes, first, second), count);
            count = feed(&parser, slice(&bytes, second, bytes.size), count);
            CHECK_EQ(count, 3);
            CHECK_EQ(frame_parser_pending(&parser), (size_t)0);
            frame_parser_deinit(&parser);
        }
    }
    buffer_deinit(&bytes);
}

TEST(frame, is_found_byte_by_byte)
{
    struct buffer bytes;
    add_samples(&bytes);
    struct frame_parser parser;
    frame_parser_init(&parser, 100);
    int count = 0;
    for (size_t at = 0; at < bytes.size; at++) {
        count = feed(&parser, slice(&bytes, at, at + 1), count);
    }
    CHECK_EQ(count, 3);
    frame_parser_deinit(&parser);
    buffer_deinit(&bytes);
}

TEST(frame, waits_for_more_after_every_truncation)
{
    struct buffer bytes;
    add_samples(&bytes);
    for (size_t size = 0; size < bytes.size; size++) {
        struct frame_parser parser;
        frame_parser_init(&parser, 100);
        CHECK_LT(feed(&parser, slice(&bytes, 0, size), 0), 3);
        CHECK_OK(parser.failed);
        frame_parser_deinit(&parser);
    }
    buffer_deinit(&bytes);
}

TEST(frame, never_passes_with_a_bit_flipped)
{
    struct buffer bytes;
    add_samples(&bytes);
    for (size_t bit = 0; bit < bytes.size * 8; bit++) {
        bytes.data[bit / 8] ^= (uint8_t)(1u << (bit % 8));
        struct frame_parser parser;
        frame_parser_init(&parser, 100);
        int count = feed(&parser, buffer_bytes(&bytes), 0);
        CHECK_GE(count, 0);
        CHECK_LT(count, 3);
        CHECK_STATUS(parser.failed, RR_CORRUPT);
        struct frame frame;
        rr_bytes more = buffer_bytes(&bytes);
        CHECK(!frame_parser_next(&parser, &more, &frame));
        frame_parser_deinit(&parser);
        bytes.data[bit / 8] ^= (uint8_t)(1u << (bit % 8));
    }
    buffer_deinit(&bytes);
}

TEST(frame, over_the_limit_is_refused_by_its_header_alone)
{
    struct buffer bytes;
    buffer_init(&bytes);
    add_frame(&bytes, FRAME_RAFT, 0, "0123456789");
    struct frame_parser parser;
    frame_parser_init(&parser, 9);
    struct frame frame;
    rr_bytes header = slice(&bytes, 0, FRAME_HEADER_BYTES);
    CHECK(!frame_parser_next(&parser, &header, &frame));
    CHECK_STATUS(parser.failed, RR_TOO_BIG);
    frame_parser_deinit(&parser);
    frame_parser_init(&parser, 9);
    frame_parser_limit(&parser, 10);
    rr_bytes all = buffer_bytes(&bytes);
    CHECK(frame_parser_next(&parser, &all, &frame));
    frame_parser_deinit(&parser);
    buffer_deinit(&bytes);
}

TEST(frame, takes_memory_only_for_bytes_that_came)
{
    struct buffer bytes;
    buffer_init(&bytes);
    size_t start = frame_begin(&bytes, FRAME_RAFT, 0);
    memset(buffer_extend(&bytes, FRAME_BODY_BYTES_MAX), 'x', FRAME_BODY_BYTES_MAX);
    frame_end(&bytes, start);
    struct frame_parser parser;
    frame_parser_init(&parser, FRAME_BODY_BYTES_MAX);
    struct frame frame;
    size_t step = 60 * 1000;
    bool whole = false;
    for (size_t at = 0; at < bytes.size; at += step) {
        size_t end = at + step < bytes.size ? at + step : bytes.size;
        rr_bytes piece = slice(&bytes, at, end);
        whole = frame_parser_next(&parser, &piece, &frame);
        CHECK_LE(parser.body.capacity, end * 2 + 128);
    }
    CHECK(whole);
    CHECK_EQ(frame.body.size, (size_t)FRAME_BODY_BYTES_MAX);
    rr_bytes nothing = {0};
    CHECK(!frame_parser_next(&parser, &nothing, &frame));
    CHECK_EQ(parser.body.capacity, (size_t)0);
    frame_parser_deinit(&parser);
    buffer_deinit(&bytes);
}

TEST(frame, parser_survives_missing_memory)
{
    struct buffer bytes;
    add_samples(&bytes);
    for (uint64_t nth = 1;; nth++) {
        struct frame_parser parser;
        frame_parser_init(&parser, 100);
        mem_fail_after(nth);
        int count = 0;
        for (size_t at = 0; at < bytes.size; at++) {
            count = feed(&parser, slice(&bytes, at, at + 1), count);
        }
        bool pending = mem_fail_pending();
        mem_fail_after(0);
        CHECK_STATUS(parser.failed, pending ? RR_OK : RR_NO_MEMORY);
        frame_parser_deinit(&parser);
        if (pending) {
            CHECK_EQ(count, 3);
            break;
        }
    }
    buffer_deinit(&bytes);
}

TEST(frame, leaves_a_failed_buffer_alone)
{
    struct buffer bytes;
    buffer_init_limited(&bytes, 10);
    frame_end(&bytes, frame_begin(&bytes, FRAME_RAFT, 0));
    CHECK(bytes.failed);
    CHECK_EQ(bytes.size, (size_t)0);
    buffer_deinit(&bytes);
}

/* The layout of docs/wire-format.md, byte for byte. */
TEST(frame, has_the_documented_layout)
{
    struct buffer bytes;
    buffer_init(&bytes);
    add_frame(&bytes, FRAME_RESPONSE, 5, "abc");
    static const uint8_t start[] = {3, 0, 0, 0, 33, 5, 0, 0};
    CHECK_BYTES(slice(&bytes, 0, 8), ((rr_bytes){.data = start, .size = sizeof(start)}));
    CHECK_EQ(bytes.size, (size_t)23);
    CHECK_EQ(load_u64(bytes.data + 8), UINT64_C(0x78af5f94892f3950)); /* XXH3 of "abc" */
    buffer_deinit(&bytes);
}
