/* HyperLogLogs: the very bytes and counts of Redis 7.0, and bytes that are damaged. */
#include "coredb/value/hyperloglog.h"

#include "coredb/base/bytes.h"
#include "coredb/value/rdb.h"
#include "stage.h"
#include "support/test.h"

#include <stdio.h>
#include <string.h>

static void add_numbers(struct buffer *bytes, int count)
{
    hyperloglog_create(bytes);
    hyperloglog_invalidate(bytes);
    for (int i = 0; i < count; i++) {
        char text[32];
        int size = snprintf(text, sizeof text, "e%d", i);
        CHECK_NE(hyperloglog_add(bytes, (rr_bytes){text, (size_t)size}), HYPERLOGLOG_CORRUPT);
    }
}

static uint64_t estimate(const struct buffer *bytes)
{
    uint8_t registers[HYPERLOGLOG_REGISTERS] = {0};
    CHECK(hyperloglog_merge(buffer_bytes(bytes), registers));
    return hyperloglog_estimate(registers);
}

/* What redis-server 7.0.15 made of PFADD with the elements e0, e1, ..., and PFCOUNT. */
TEST(hyperloglog, bytes_and_counts_are_those_of_redis)
{
    static const struct {
        int elements;
        uint64_t count;
        size_t size;
        uint64_t checksum; /* of GET */
    } facts[] = {
        {1, 1, 21, UINT64_C(0xf843b6af94521c0f)},
        {10, 10, 48, UINT64_C(0x00ba0d38d35ebefd)},
        {500, 506, 1068, UINT64_C(0x6b64c725413e0f7f)},
        {1500, 1509, 2719, UINT64_C(0x859281a79ed916eb)},
        {2000, 2000, 12304, UINT64_C(0x5c4abea1c55fb69b)},
        {50000, 49978, 12304, UINT64_C(0xd04bcc6a774aa7f8)},
    };
    struct buffer bytes;
    buffer_init(&bytes);
    for (size_t i = 0; i < sizeof facts / sizeof facts[0]; i++) {
        add_numbers(&bytes, facts[i].elements);
        CHECK_EQ(bytes.size, facts[i].size);
        CHECK_EQ(rdb_checksum(buffer_bytes(&bytes)), facts[i].checksum);
        CHECK_EQ(estimate(&bytes), facts[i].count);
    }
    buffer_deinit(&bytes);
}

TEST(hyperloglog, dense_and_sparse_have_the_same_registers)
{
    struct buffer sparse;
    struct buffer dense;
    buffer_init(&sparse);
    buffer_init(&dense);
    add_numbers(&sparse, 1200);
    hyperloglog_create(&dense);
    CHECK(hyperloglog_make_dense(&dense));
    for (int i = 1199; i >= 0; i--) {
        char text[32];
        int size = snprintf(text, sizeof text, "e%d", i);
        CHECK_NE(hyperloglog_add(&dense, (rr_bytes){text, (size_t)size}), HYPERLOGLOG_CORRUPT);
    }
    CHECK(!hyperloglog_is_dense(buffer_bytes(&sparse)));
    uint8_t left[HYPERLOGLOG_REGISTERS] = {0};
    uint8_t right[HYPERLOGLOG_REGISTERS] = {0};
    CHECK(hyperloglog_merge(buffer_bytes(&sparse), left));
    CHECK(hyperloglog_merge(buffer_bytes(&dense), right));
    CHECK(memcmp(left, right, sizeof left) == 0);
    buffer_deinit(&sparse);
    buffer_deinit(&dense);
}

TEST(hyperloglog, an_element_counts_once)
{
    struct stage *stage = stage_new();
    CHECK_TEXT(stage_exec(stage, "pfadd h a b c"), ":1 ");
    CHECK_TEXT(stage_exec(stage, "pfadd h a b c"), ":0 ");
    CHECK_TEXT(stage_exec(stage, "pfcount h"), ":3 ");
    CHECK_TEXT(stage_exec(stage, "pfadd g c d"), ":1 ");
    CHECK_TEXT(stage_exec(stage, "pfcount h g none"), ":4 ");
    CHECK_TEXT(stage_exec(stage, "pfmerge m h g"), "+OK ");
    CHECK_TEXT(stage_exec(stage, "pfcount m"), ":4 ");
    CHECK_TEXT(stage_exec(stage, "pfadd empty"), ":1 ");
    CHECK_TEXT(stage_exec(stage, "pfadd empty"), ":0 ");
    CHECK_TEXT(stage_exec(stage, "pfcount empty"), ":0 ");
    CHECK_TEXT(stage_exec(stage, "pfcount none"), ":0 ");
    stage_free(stage);
}

TEST(hyperloglog, other_values_are_refused)
{
    struct stage *stage = stage_new();
    stage_exec(stage, "set s text");
    stage_exec(stage, "set n 12");
    stage_exec(stage, "rpush l x");
    CHECK_TEXT(stage_exec(stage, "pfadd s a"),
               "-WRONGTYPE Key is not a valid HyperLogLog string value. ");
    CHECK_TEXT(stage_exec(stage, "pfcount n"),
               "-WRONGTYPE Key is not a valid HyperLogLog string value. ");
    CHECK_TEXT(stage_exec(stage, "pfmerge m l"),
               "-WRONGTYPE Operation against a key holding the wrong kind of value ");
    CHECK_TEXT(stage_exec(stage, "exists m"), ":0 ");
    stage_exec(stage, "pfadd h a");
    stage_exec(stage, "append h x");
    CHECK_TEXT(stage_exec(stage, "pfcount h"), "-INVALIDOBJ Corrupted HLL object detected ");
    CHECK_TEXT(stage_exec(stage, "pfmerge h"), "-INVALIDOBJ Corrupted HLL object detected ");
    stage_free(stage);
}

TEST(hyperloglog, a_cached_count_is_believed_until_a_change)
{
    struct buffer bytes;
    buffer_init(&bytes);
    add_numbers(&bytes, 10);
    uint64_t count;
    CHECK(!hyperloglog_cached(buffer_bytes(&bytes), &count));
    hyperloglog_set_cached(&bytes, 77);
    CHECK(hyperloglog_cached(buffer_bytes(&bytes), &count));
    CHECK_EQ(count, 77);
    CHECK_EQ(hyperloglog_add(&bytes, bytes_of("e3")), HYPERLOGLOG_SAME);
    CHECK(hyperloglog_cached(buffer_bytes(&bytes), &count));
    CHECK_EQ(hyperloglog_add(&bytes, bytes_of("new")), HYPERLOGLOG_CHANGED);
    CHECK(!hyperloglog_cached(buffer_bytes(&bytes), &count));
    buffer_deinit(&bytes);
}

/* A number below `bound`: splitmix64. */
static uint64_t below(uint64_t *random, uint64_t bound)
{
    *random += UINT64_C(0x9e3779b97f4a7c15);
    uint64_t bits = *random;
    bits = (bits ^ bits >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    bits = (bits ^ bits >> 27) * UINT64_C(0x94d049bb133111eb);
    return (bits ^ bits >> 31) % bound;
}

/* Whatever the bytes, no function reads or writes beyond them (sanitizers look), what is changed
 * remains a HyperLogLog, and a raised register has its value. */
TEST(hyperloglog, damaged_bytes_do_no_harm)
{
    uint64_t random = test_seed(31);
    struct buffer bytes;
    buffer_init(&bytes);
    for (int round = 0; round < 3000; round++) {
        add_numbers(&bytes, (int)below(&random, 60));
        for (int i = 0; i < 4; i++) {
            size_t at = 16 + below(&random, bytes.size - 16);
            bytes.data[at] = (uint8_t)below(&random, 256);
        }
        buffer_truncate(&bytes, 16 + below(&random, bytes.size - 15));
        CHECK(hyperloglog_is(buffer_bytes(&bytes)));
        uint8_t registers[HYPERLOGLOG_REGISTERS] = {0};
        if (hyperloglog_merge(buffer_bytes(&bytes), registers)) {
            (void)hyperloglog_estimate(registers);
        }
        unsigned index = (unsigned)below(&random, HYPERLOGLOG_REGISTERS);
        unsigned value = 1 + (unsigned)below(&random, 51);
        if (hyperloglog_raise(&bytes, index, value) != HYPERLOGLOG_CORRUPT) {
            CHECK(hyperloglog_is(buffer_bytes(&bytes)));
            CHECK_EQ(hyperloglog_raise(&bytes, index, value), HYPERLOGLOG_SAME);
        }
    }
    buffer_deinit(&bytes);
}
