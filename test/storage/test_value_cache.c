#include "storage/value_cache.h"

#include "base/memory.h"
#include "base/random.h"
#include "support/test.h"

#include <stdio.h>
#include <string.h>

static void set(struct value_cache *cache, const char *key, const char *text)
{
    rr_bytes value = test_bytes_of(text);
    value_cache_set(cache, test_bytes_of(key), &value);
}

TEST(value_cache, knows_the_last_value_of_a_key_or_its_absence)
{
    struct value_cache *cache = value_cache_new();
    rr_bytes value;
    CHECK_EQ(value_cache_find(cache, test_bytes_of("a"), &value), VALUE_UNKNOWN);
    set(cache, "a", "1");
    set(cache, "ab", "");
    CHECK_EQ(value_cache_find(cache, test_bytes_of("a"), &value), VALUE_PRESENT);
    CHECK_BYTES(value, test_bytes_of("1"));
    CHECK_EQ(value_cache_find(cache, test_bytes_of("ab"), &value), VALUE_PRESENT);
    CHECK_EQ(value.size, 0);
    const char *longer =
        "a longer one, of more than the sixty-four bytes that memory comes in steps of";
    set(cache, "a", longer);
    CHECK_EQ(value_cache_find(cache, test_bytes_of("a"), &value), VALUE_PRESENT);
    CHECK_BYTES(value, test_bytes_of(longer));
    value_cache_set(cache, test_bytes_of("a"), NULL);
    CHECK_EQ(value_cache_find(cache, test_bytes_of("a"), &value), VALUE_ABSENT);
    value_cache_clear(cache);
    CHECK_EQ(value_cache_find(cache, test_bytes_of("ab"), &value), VALUE_UNKNOWN);
    value_cache_free(cache);
}

TEST(value_cache, forgets_what_became_too_large)
{
    struct value_cache *cache = value_cache_new();
    static char large[2000];
    memset(large, 'x', sizeof(large) - 1);
    rr_bytes value;
    set(cache, "a", "small");
    set(cache, "a", large);
    CHECK_EQ(value_cache_find(cache, test_bytes_of("a"), &value), VALUE_UNKNOWN);
    value_cache_set(cache, test_bytes_of(large), NULL);
    CHECK_EQ(value_cache_find(cache, test_bytes_of(large), &value), VALUE_UNKNOWN);
    value_cache_free(cache);
}

TEST(value_cache, forgets_what_there_is_no_memory_for)
{
    struct value_cache *cache = value_cache_new();
    rr_bytes value;
    set(cache, "a", "small");
    mem_fail_after(1);
    set(cache, "a", "another that does not fit where the first one was, for it has over 64 bytes");
    CHECK(!mem_fail_pending());
    CHECK_EQ(value_cache_find(cache, test_bytes_of("a"), &value), VALUE_UNKNOWN);
    value_cache_free(cache);
}

enum { KEYS = 400000 };

/* More keys than it has room for: what it knows is right, and what is in use stays. */
TEST(value_cache, is_never_wrong_about_what_it_knows)
{
    static uint16_t lengths[KEYS]; /* of the values, one more; 0: absent; never set: 65535 */
    memset(lengths, 0xff, sizeof(lengths));
    struct random random;
    random_init(&random, test_seed(20260101));
    struct value_cache *cache = value_cache_new();
    static char text[1024];
    memset(text, 'v', sizeof(text));
    uint64_t hot_known = 0;
    uint64_t hot_asked = 0;
    for (int i = 0; i < 1000000; i++) {
        bool hot = random_chance(&random, 1, 2);
        uint64_t number = random_below(&random, hot ? 1000 : KEYS);
        char key[16];
        int size = snprintf(key, sizeof(key), "%u", (unsigned)number);
        rr_bytes key_bytes = {key, (size_t)size};
        if (random_chance(&random, 1, 2)) {
            rr_bytes value = {text,
                              random_below(&random, random_chance(&random, 1, 50) ? 900 : 90)};
            bool absent = random_chance(&random, 1, 5);
            lengths[number] = absent ? 0 : (uint16_t)(value.size + 1);
            value_cache_set(cache, key_bytes, absent ? NULL : &value);
            continue;
        }
        rr_bytes value;
        enum value_known known = value_cache_find(cache, key_bytes, &value);
        if (known == VALUE_ABSENT) {
            CHECK_EQ(lengths[number], 0);
        } else if (known == VALUE_PRESENT) {
            CHECK_EQ(lengths[number], value.size + 1);
        }
        hot_asked += hot;
        hot_known += hot && known != VALUE_UNKNOWN;
    }
    CHECK_GT(hot_known, hot_asked * 3 / 4);
    value_cache_free(cache);
}

TEST(value_cache, forgets_a_key_alone)
{
    struct value_cache *cache = value_cache_new();
    rr_bytes value = {"1", 1};
    rr_bytes found;
    value_cache_set(cache, test_bytes_of("a"), &value);
    value_cache_set(cache, test_bytes_of("b"), NULL);
    value_cache_forget(cache, test_bytes_of("a"));
    value_cache_forget(cache, test_bytes_of("c"));
    CHECK_EQ(value_cache_find(cache, test_bytes_of("a"), &found), VALUE_UNKNOWN);
    CHECK_EQ(value_cache_find(cache, test_bytes_of("b"), &found), VALUE_ABSENT);
    value_cache_set(cache, test_bytes_of("a"), &value);
    CHECK_EQ(value_cache_find(cache, test_bytes_of("a"), &found), VALUE_PRESENT);
    value_cache_free(cache);
}
