/* Consensus messages: there and back, cut, damaged, of other versions, without memory. */
#include "transport/wire.h"

#include "base/codec.h"
#include "base/memory.h"
#include "support/test.h"
#include "transport/samples.h"

#include <string.h>

static void encode(const struct raft_message *message, struct buffer *buffer)
{
    buffer_init(buffer);
    CHECK_OK(wire_encode_message(message, buffer));
    CHECK_LE(buffer->size, wire_message_size_max(message));
}

TEST(wire, returns_the_message_that_was_sent)
{
    struct random random;
    random_init(&random, test_seed(21));
    for (int count = 0; count < 3000; count++) {
        struct raft_message message;
        struct raft_message back;
        struct buffer bytes;
        sample_message(&random, &message);
        encode(&message, &bytes);
        CHECK_OK(wire_decode_message(buffer_bytes(&bytes), &back));
        CHECK(sample_equal(&message, &back));
        raft_message_deinit(&back);
        raft_message_deinit(&message);
        buffer_deinit(&bytes);
    }
}

TEST(wire, refuses_or_survives_every_truncation)
{
    struct random random;
    random_init(&random, test_seed(22));
    for (int count = 0; count < 60; count++) {
        struct raft_message message;
        struct buffer bytes;
        sample_message(&random, &message);
        encode(&message, &bytes);
        for (size_t size = 0; size < bytes.size; size++) {
            void *exact = mem_try_copy(bytes.data, size); /* so that ASan sees its end */
            struct raft_message back;
            rr_status status = wire_decode_message((rr_bytes){.data = exact, .size = size}, &back);
            if (status == RR_OK) {
                raft_message_deinit(&back);
            }
            mem_free(exact);
        }
        raft_message_deinit(&message);
        buffer_deinit(&bytes);
    }
}

TEST(wire, survives_any_change_of_bytes)
{
    struct random random;
    random_init(&random, test_seed(23));
    for (int count = 0; count < 20000; count++) {
        struct raft_message message;
        struct buffer bytes;
        sample_message(&random, &message);
        encode(&message, &bytes);
        for (uint64_t flips = random_between(&random, 1, 4); flips > 0; flips--) {
            bytes.data[random_below(&random, bytes.size)] = (uint8_t)random_u64(&random);
        }
        struct raft_message back;
        if (wire_decode_message(buffer_bytes(&bytes), &back) == RR_OK) {
            raft_message_deinit(&back);
        }
        raft_message_deinit(&message);
        buffer_deinit(&bytes);
    }
}

/* A section of `bytes`, longer by what a newer version would add. */
static void put_longer_section(struct buffer *to, const uint8_t *section, uint32_t size)
{
    static const uint8_t extra[] = {1, 2, 3, 4, 5};
    put_u32(to, size + (uint32_t)sizeof(extra));
    put_raw(to, section, size);
    put_raw(to, extra, sizeof(extra));
}

TEST(wire, skips_what_a_newer_version_adds)
{
    struct random random;
    random_init(&random, test_seed(24));
    for (int count = 0; count < 200; count++) {
        struct raft_message message;
        struct buffer bytes;
        struct buffer newer;
        sample_message(&random, &message);
        encode(&message, &bytes);
        buffer_init(&newer);
        const uint8_t *at = bytes.data;
        for (int section = 0; section < 3; section++) {
            uint32_t size = load_u32(at);
            if (section == 2 && size == 0) {
                put_u32(&newer, 0);
            } else {
                put_longer_section(&newer, at + 4, size);
            }
            at += 4 + size;
        }
        put_longer_section(&newer, NULL, 0); /* a fourth section */
        struct raft_message back;
        CHECK_OK(wire_decode_message(buffer_bytes(&newer), &back));
        CHECK(sample_equal(&message, &back));
        raft_message_deinit(&back);
        raft_message_deinit(&message);
        buffer_deinit(&newer);
        buffer_deinit(&bytes);
    }
}

TEST(wire, takes_0_for_what_an_older_version_lacks)
{
    struct buffer bytes;
    buffer_init(&bytes);
    put_u32(&bytes, 4);
    put_u8(&bytes, RAFT_MSG_HEARTBEAT);
    put_u8(&bytes, 0);
    put_varint(&bytes, 5);
    put_varint(&bytes, 6);
    struct raft_message message;
    CHECK_OK(wire_decode_message(buffer_bytes(&bytes), &message));
    CHECK_EQ(message.type, RAFT_MSG_HEARTBEAT);
    CHECK_EQ(message.from, 5u);
    CHECK_EQ(message.to, 6u);
    CHECK_EQ(message.term, 0u);
    CHECK_EQ(message.to_incarnation, 0u);
    CHECK_EQ(message.entry_count, 0u);
    CHECK_EQ(message.snapshot, NULL);
    buffer_deinit(&bytes);
}

static rr_status decode_of(const struct raft_message *message)
{
    struct buffer bytes;
    encode(message, &bytes);
    struct raft_message back;
    rr_status status = wire_decode_message(buffer_bytes(&bytes), &back);
    if (status == RR_OK) {
        raft_message_deinit(&back);
    }
    buffer_deinit(&bytes);
    return status;
}

TEST(wire, refuses_types_that_it_does_not_know)
{
    struct raft_message message = {.type = (enum raft_message_type)15};
    CHECK_STATUS(decode_of(&message), RR_INVALID);
    message.type = (enum raft_message_type)0;
    CHECK_STATUS(decode_of(&message), RR_INVALID);
    sample_append(1, 3, &message);
    message.entries[0]->type = (enum raft_entry_type)3;
    CHECK_STATUS(decode_of(&message), RR_INVALID);
    raft_message_deinit(&message);
}

TEST(wire, refuses_what_the_core_could_not_bear)
{
    struct raft_message message = {.type = RAFT_MSG_SNAP};
    CHECK_STATUS(decode_of(&message), RR_CORRUPT);
    sample_append(2, 3, &message);
    message.type = RAFT_MSG_VOTE;
    CHECK_STATUS(decode_of(&message), RR_CORRUPT);
    message.type = RAFT_MSG_APP;
    CHECK_STATUS(decode_of(&message), RR_OK);
    message.entries[1]->index++;
    CHECK_STATUS(decode_of(&message), RR_CORRUPT);
    message.entries[1]->index--;
    message.entries[1]->term = 4;
    CHECK_STATUS(decode_of(&message), RR_CORRUPT);
    message.entries[1]->term = 2;
    CHECK_STATUS(decode_of(&message), RR_CORRUPT);
    message.entries[1]->term = 3;
    message.index = UINT64_MAX - 1;
    CHECK_STATUS(decode_of(&message), RR_CORRUPT);
    raft_message_deinit(&message);
}

TEST(wire, bounds_counts_before_it_allocates)
{
    struct buffer bytes;
    buffer_init(&bytes);
    put_u32(&bytes, 2);
    put_u8(&bytes, RAFT_MSG_PROP);
    put_u8(&bytes, 0);
    put_u32(&bytes, 10);
    put_varint(&bytes, UINT64_MAX);
    struct raft_message message;
    mem_fail_after(1);
    CHECK_STATUS(wire_decode_message(buffer_bytes(&bytes), &message), RR_CORRUPT);
    CHECK(mem_fail_pending());
    mem_fail_after(0);
    buffer_deinit(&bytes);
}

TEST(wire, sends_no_more_than_the_limits)
{
    struct raft_message message;
    struct buffer bytes;
    buffer_init(&bytes);
    buffer_append_text(&bytes, "before");
    sample_append(WIRE_ENTRIES_MAX, 0, &message);
    CHECK_OK(wire_encode_message(&message, &bytes));
    struct raft_message back;
    CHECK_OK(
        wire_decode_message((rr_bytes){.data = bytes.data + 6, .size = bytes.size - 6}, &back));
    CHECK_EQ(back.entry_count, (uint32_t)WIRE_ENTRIES_MAX);
    raft_message_deinit(&back);
    raft_message_deinit(&message);
    buffer_truncate(&bytes, 6);

    sample_append(WIRE_ENTRIES_MAX + 1, 0, &message);
    CHECK_STATUS(wire_encode_message(&message, &bytes), RR_TOO_BIG);
    raft_message_deinit(&message);
    sample_append(1, ENTRY_BYTES_MAX, &message);
    CHECK_OK(wire_encode_message(&message, &bytes));
    raft_message_deinit(&message);
    buffer_truncate(&bytes, 6);
    sample_append(2, ENTRY_BYTES_MAX / 2 + 100000, &message);
    CHECK_STATUS(wire_encode_message(&message, &bytes), RR_TOO_BIG);
    raft_message_deinit(&message);
    CHECK_BYTES(buffer_bytes(&bytes), test_bytes_of("before"));
    buffer_deinit(&bytes);
}

TEST(wire, survives_missing_memory_at_every_step)
{
    struct raft_message message;
    struct buffer bytes;
    sample_append(5, 100, &message);
    encode(&message, &bytes);
    for (uint64_t nth = 1;; nth++) {
        struct raft_message back;
        mem_fail_after(nth);
        rr_status status = wire_decode_message(buffer_bytes(&bytes), &back);
        bool pending = mem_fail_pending();
        mem_fail_after(0);
        if (pending) {
            CHECK_OK(status);
            raft_message_deinit(&back);
            CHECK_EQ(nth, 7u); /* the array and five entries */
            break;
        }
        CHECK_STATUS(status, RR_NO_MEMORY);
    }
    struct buffer target;
    buffer_init(&target);
    mem_fail_after(1);
    CHECK_STATUS(wire_encode_message(&message, &target), RR_NO_MEMORY);
    mem_fail_after(0);
    CHECK(!target.failed);
    CHECK_EQ(target.size, (size_t)0);
    CHECK_OK(wire_encode_message(&message, &target));
    buffer_deinit(&target);
    raft_message_deinit(&message);
    buffer_deinit(&bytes);
}

static rr_status decode_configuration(const struct raft_configuration *configuration)
{
    struct buffer bytes;
    buffer_init(&bytes);
    wire_encode_configuration(configuration, &bytes);
    struct raft_configuration back;
    rr_status status = wire_decode_configuration(buffer_bytes(&bytes), &back);
    buffer_deinit(&bytes);
    return status;
}

TEST(wire, refuses_configurations_out_of_order)
{
    struct raft_configuration configuration = {.count = 2};
    configuration.members[0] = (struct raft_member){.id = 1, .flags = RAFT_MEMBER_INCOMING};
    configuration.members[1] = (struct raft_member){.id = 2, .flags = RAFT_MEMBER_LEARNER};
    CHECK_OK(decode_configuration(&configuration));
    configuration.members[1].id = 1;
    CHECK_STATUS(decode_configuration(&configuration), RR_CORRUPT);
    configuration.members[1].id = 2;
    configuration.members[1].flags = 0;
    CHECK_STATUS(decode_configuration(&configuration), RR_CORRUPT);
    configuration.members[1].flags = 16;
    CHECK_STATUS(decode_configuration(&configuration), RR_INVALID);
    configuration.members[0].id = RAFT_NO_ID;
    CHECK_STATUS(decode_configuration(&configuration), RR_CORRUPT);
}
