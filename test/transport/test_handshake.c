/* Hellos and rejections: there and back, damaged, and which pairs go together. */
#include "transport/handshake.h"

#include "base/codec.h"
#include "base/memory.h"
#include "base/random.h"
#include "support/test.h"

#include <string.h>

static struct hello sample(void)
{
    struct hello hello = {.version_min = 1, .version_max = 2, .features = 5, .cluster = 77};
    hello.node = 3;
    hello.incarnation = 33;
    hello.class = TRAFFIC_BULK;
    hello.to_node = 4;
    hello.to_incarnation = 44;
    strcpy(hello.address, "node3.example.org:7000");
    return hello;
}

TEST(handshake, returns_the_hello_that_was_sent)
{
    struct hello hello = sample();
    struct hello back = {0};
    struct buffer bytes;
    buffer_init(&bytes);
    hello_encode(&hello, &bytes);
    put_u64(&bytes, 9); /* a newer version's field */
    CHECK_LE(bytes.size, (size_t)HANDSHAKE_BYTES_MAX);
    CHECK_OK(hello_decode(buffer_bytes(&bytes), &back));
    CHECK_EQ(back.version_min, 1);
    CHECK_EQ(back.version_max, 2);
    CHECK_EQ(back.features, 5u);
    CHECK_EQ(back.cluster, 77u);
    CHECK_EQ(back.node, 3u);
    CHECK_EQ(back.incarnation, 33u);
    CHECK_EQ(back.class, TRAFFIC_BULK);
    CHECK_EQ(back.to_node, 4u);
    CHECK_EQ(back.to_incarnation, 44u);
    CHECK_TEXT(back.address, "node3.example.org:7000");
    buffer_deinit(&bytes);
}

TEST(handshake, refuses_truncated_and_changed_hellos_without_a_crash)
{
    struct random random;
    random_init(&random, test_seed(31));
    struct hello hello = sample();
    struct hello back;
    struct buffer bytes;
    buffer_init(&bytes);
    hello_encode(&hello, &bytes);
    for (size_t size = 0; size < bytes.size; size++) {
        void *exact = mem_try_copy(bytes.data, size);
        CHECK_STATUS(hello_decode((rr_bytes){.data = exact, .size = size}, &back), RR_CORRUPT);
        mem_free(exact);
    }
    for (int count = 0; count < 5000; count++) {
        size_t at = random_below(&random, bytes.size);
        uint8_t before = bytes.data[at];
        bytes.data[at] = (uint8_t)random_u64(&random);
        if (hello_decode(buffer_bytes(&bytes), &back) == RR_OK) {
            CHECK_LT(strlen(back.address), (size_t)ADDRESS_BYTES_MAX);
        }
        bytes.data[at] = before;
    }
    buffer_deinit(&bytes);
}

static rr_status encoded(const struct hello *hello)
{
    struct buffer bytes;
    buffer_init(&bytes);
    hello_encode(hello, &bytes);
    struct hello back;
    rr_status status = hello_decode(buffer_bytes(&bytes), &back);
    buffer_deinit(&bytes);
    return status;
}

TEST(handshake, refuses_values_without_sense)
{
    struct hello hello = sample();
    hello.class = (enum traffic_class)4;
    CHECK_STATUS(encoded(&hello), RR_INVALID);
    hello = sample();
    hello.version_min = 3;
    CHECK_STATUS(encoded(&hello), RR_INVALID);
    hello = sample();
    strcpy(hello.address, "evil\n:80");
    CHECK_STATUS(encoded(&hello), RR_INVALID);
    hello.address[0] = 0;
    CHECK_OK(encoded(&hello));
}

TEST(handshake, carries_the_reason_of_a_rejection)
{
    struct buffer bytes;
    buffer_init(&bytes);
    reject_encode(RR_NOT_FOUND, "who\x01\xff?", &bytes);
    rr_status status;
    char reason[HANDSHAKE_REASON_BYTES_MAX];
    CHECK_OK(reject_decode(buffer_bytes(&bytes), &status, reason));
    CHECK_STATUS(status, RR_NOT_FOUND);
    CHECK_TEXT(reason, "who???");
    CHECK_STATUS(reject_decode((rr_bytes){.data = bytes.data, .size = 3}, &status, reason),
                 RR_CORRUPT);
    bytes.data[0] = 0;
    CHECK_OK(reject_decode(buffer_bytes(&bytes), &status, reason));
    CHECK_STATUS(status, RR_MISMATCH);
    buffer_deinit(&bytes);
}

static rr_status check_pair(const struct hello *own, const struct hello *other, const char *text)
{
    char reason[HANDSHAKE_REASON_BYTES_MAX] = "";
    uint16_t version = 0;
    rr_status status = hello_check(own, other, &version, reason);
    if (status == RR_OK) {
        CHECK_NE(version, 0);
    } else {
        CHECK(strstr(reason, text) != NULL);
    }
    return status;
}

TEST(handshake, explains_every_mismatch)
{
    struct hello own = {.version_min = 1, .version_max = 1, .cluster = 7, .node = 1};
    own.incarnation = 10;
    struct hello other = {.version_min = 1, .version_max = 1, .cluster = 7, .node = 2};
    other.incarnation = 20;
    CHECK_OK(check_pair(&own, &other, ""));
    other.cluster = 8;
    CHECK_STATUS(check_pair(&own, &other, "cluster"), RR_MISMATCH);
    other.cluster = 0;
    CHECK_OK(check_pair(&own, &other, ""));
    other.to_node = 5;
    CHECK_STATUS(check_pair(&own, &other, "5"), RR_MISMATCH);
    other.to_node = 1;
    other.to_incarnation = 11;
    CHECK_STATUS(check_pair(&own, &other, "wiped"), RR_MISMATCH);
    other.to_incarnation = 10;
    CHECK_OK(check_pair(&own, &other, ""));
    own.to_node = 3;
    CHECK_STATUS(check_pair(&own, &other, "node 2"), RR_MISMATCH);
    own.to_node = 2;
    own.to_incarnation = 21;
    CHECK_STATUS(check_pair(&own, &other, "wiped"), RR_MISMATCH);
    own.to_incarnation = 0;
    other.version_min = 2;
    other.version_max = 3;
    CHECK_STATUS(check_pair(&own, &other, "version"), RR_MISMATCH);
    own.version_max = 2;
    CHECK_OK(check_pair(&own, &other, ""));
    own.to_node = 0;
    other.to_node = 0;
    other.node = 1;
    CHECK_STATUS(check_pair(&own, &other, "both"), RR_MISMATCH);
}

TEST(handshake, takes_no_status_that_it_does_not_know)
{
    CHECK_STATUS(status_decode(RR_STALE_SESSION, RR_UNKNOWN), RR_STALE_SESSION);
    CHECK_STATUS(status_decode(14, RR_UNKNOWN), RR_UNKNOWN);
    CHECK_STATUS(status_decode(255, RR_MISMATCH), RR_MISMATCH);
}
