#include "node/apply_fixture.h"

#include <stdio.h>
#include <string.h>

static rr_status scan(struct replica *replica, const struct apply_range *range)
{
    struct storage_error error = {0};
    CHECK_OK(replica_commit(replica));
    rr_status status = apply_scan(replica->state, range, replica->index, &replica->read, &error);
    if (status == RR_OK) {
        CHECK_OK(result_decode(buffer_bytes(&replica->read), &replica->result));
        CHECK_EQ(replica->result.index, replica->index);
    }
    return status;
}

/* The keys of the last scan in one text, with a + where there is more. */
static const char *keys(const struct replica *replica)
{
    static char text[512];
    size_t size = 0;
    text[0] = '\0';
    for (size_t i = 0; i < replica->result.count; i++) {
        rr_bytes key = result_key(&replica->result, i);
        size += (size_t)snprintf(text + size, sizeof(text) - size, "[%.*s]", (int)key.size,
                                 (const char *)key.data);
    }
    if (replica->result.more) {
        snprintf(text + size, sizeof(text) - size, "+");
    }
    return text;
}

static void open_with_keys(struct replica *replica)
{
    static const char *const names[] = {"b", "a2", "", "a", "\xff", "a1", "a\xff"};
    replica_open(replica, NULL, 0);
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        replica_set(replica, names[i], names[i]);
    }
    replica_session(replica, 1); /* the state now has keys of other kinds on its own */
}

TEST(apply_scan, visits_user_keys_alone_ascending_by_bytes)
{
    struct replica replica;
    open_with_keys(&replica);
    CHECK_OK(scan(&replica, &(struct apply_range){.bytes_max = SIZE_MAX}));
    CHECK_TEXT(keys(&replica), "[][a][a1][a2][a\xff][b][\xff]");
    CHECK_TEXT(replica_value(&replica, 2), "a1");
    replica_close(&replica);
}

TEST(apply_scan, keeps_to_a_prefix_and_starts_after_a_key)
{
    struct replica replica;
    open_with_keys(&replica);
    struct apply_range range = {.prefix = test_bytes_of("a"), .bytes_max = SIZE_MAX};
    CHECK_OK(scan(&replica, &range));
    CHECK_TEXT(keys(&replica), "[a][a1][a2][a\xff]");
    range.after = test_bytes_of("a1");
    CHECK_OK(scan(&replica, &range));
    CHECK_TEXT(keys(&replica), "[a2][a\xff]");
    range.after = test_bytes_of("A");
    CHECK_OK(scan(&replica, &range));
    CHECK_TEXT(keys(&replica), "[a][a1][a2][a\xff]");
    range.after = test_bytes_of("b");
    CHECK_OK(scan(&replica, &range));
    CHECK_TEXT(keys(&replica), "");
    range = (struct apply_range){.prefix = test_bytes_of("\xff"), .bytes_max = SIZE_MAX};
    CHECK_OK(scan(&replica, &range));
    CHECK_TEXT(keys(&replica), "[\xff]");
    replica_close(&replica);
}

TEST(apply_scan, pages_by_count_and_tells_whether_there_is_more)
{
    struct replica replica;
    open_with_keys(&replica);
    struct apply_range range = {.count_max = 3, .bytes_max = SIZE_MAX};
    CHECK_OK(scan(&replica, &range));
    CHECK_TEXT(keys(&replica), "[][a][a1]+");
    range.after = test_bytes_of("a1");
    CHECK_OK(scan(&replica, &range));
    CHECK_TEXT(keys(&replica), "[a2][a\xff][b]+");
    range.after = test_bytes_of("b");
    CHECK_OK(scan(&replica, &range));
    CHECK_TEXT(keys(&replica), "[\xff]");
    range.after = test_bytes_of("a2");
    CHECK_OK(scan(&replica, &range));
    CHECK_TEXT(keys(&replica), "[a\xff][b][\xff]");
    replica_close(&replica);
}

/* `after` cannot name the empty key, so a caller who pages could not go on from it. */
TEST(apply_scan, never_ends_a_page_at_the_empty_key)
{
    struct replica replica;
    open_with_keys(&replica);
    CHECK_OK(scan(&replica, &(struct apply_range){.count_max = 1, .bytes_max = SIZE_MAX}));
    CHECK_TEXT(keys(&replica), "[][a]+");
    CHECK_OK(scan(&replica, &(struct apply_range){.bytes_max = 1}));
    CHECK_TEXT(keys(&replica), "[][a]+");
    replica_close(&replica);
}

TEST(apply_scan, pages_by_bytes_but_takes_at_least_one_pair)
{
    struct replica replica;
    replica_open(&replica, NULL, 0);
    char value[1001] = {0};
    memset(value, 'v', 1000);
    replica_set(&replica, "a", value);
    replica_set(&replica, "b", value);
    replica_set(&replica, "c", value);
    for (size_t bytes_max = 1; bytes_max < 5000; bytes_max += 100) {
        CHECK_OK(scan(&replica, &(struct apply_range){.bytes_max = bytes_max}));
        CHECK_GE(replica.result.count, 1);
        CHECK_EQ(replica.result.more, replica.result.count < 3);
        CHECK(replica.result.count == 1 || replica.read.size <= bytes_max);
        CHECK(bytes_max < 3200 || replica.result.count == 3);
    }
    replica_close(&replica);
}
