#include "support/test.h"

#include "http/base64.h"
#include "http/json_read.h"
#include "http/query.h"
#include "http/text.h"

#include <malloc.h>
#include <string.h>

#define BYTES(literal) ((rr_bytes){literal, sizeof(literal) - 1})

static void check_json(rr_bytes bytes, const char *expected)
{
    struct text text = {0};
    json_write_string(&text, bytes);
    CHECK_BYTES(text_bytes(&text), test_bytes_of(expected));
    text_deinit(&text);
}

TEST(text, writes_json_strings_with_the_escapes_they_need)
{
    check_json(BYTES(""), "\"\"");
    check_json(BYTES("plain"), "\"plain\"");
    check_json(BYTES("\"\\/"), "\"\\\"\\\\/\"");
    check_json(BYTES("\b\t\n\f\r\v\0\x1f\x7f"), "\"\\b\\t\\n\\f\\r\\u000b\\u0000\\u001f\x7f\"");
    check_json(BYTES("\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80"),
               "\"\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80\"");
    check_json(BYTES("a\xff\xc3"), "\"a\xef\xbf\xbd\xef\xbf\xbd\"");
}

TEST(text, knows_utf8)
{
    CHECK(text_is_utf8(BYTES("")));
    CHECK(text_is_utf8(BYTES("\0\x7f\xc2\x80\xdf\xbf\xe0\xa0\x80\xed\x9f\xbf\xee\x80\x80")));
    CHECK(text_is_utf8(BYTES("\xf0\x90\x80\x80\xf4\x8f\xbf\xbf")));
    static const char *const bad[] = {
        "\x80",
        "\xbf",
        "\xc0\x80",
        "\xc1\xbf",
        "\xc2",
        "\xc2 ",
        "\xe0\x9f\xbf",
        "\xed\xa0\x80",
        "\xe2\x82",
        "\xf0\x8f\xbf\xbf",
        "\xf4\x90\x80\x80",
        "\xf5\x80\x80\x80",
        "\xff",
        "\xf0\x9f\x98",
    };
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        CHECK(!text_is_utf8(test_bytes_of(bad[i])));
    }
}

TEST(text, writes_bytes_that_are_no_text_in_base64)
{
    struct text text = {0};
    json_write_member(&text, "key", BYTES("a\"b"));
    text_append_string(&text, ",");
    json_write_member(&text, "value", BYTES("\xff\0"));
    CHECK_BYTES(text_bytes(&text), test_bytes_of("\"key\":\"a\\\"b\",\"value_base64\":\"/wA=\""));
    text_deinit(&text);
}

TEST(base64, gives_back_what_it_was_given)
{
    char bytes[64];
    for (size_t size = 0; size < sizeof(bytes); size++) {
        for (size_t i = 0; i < size; i++) {
            bytes[i] = (char)(i * 37 + size);
        }
        struct text encoded = {0};
        struct text decoded = {0};
        base64_encode(&encoded, (rr_bytes){bytes, size});
        CHECK_EQ(encoded.size, (size + 2) / 3 * 4);
        CHECK(base64_decode(&decoded, text_bytes(&encoded)));
        CHECK_BYTES(text_bytes(&decoded), ((rr_bytes){bytes, size}));
        text_deinit(&encoded);
        text_deinit(&decoded);
    }
}

TEST(base64, takes_both_alphabets_and_needs_no_padding)
{
    static const char *const spellings[] = {"+/8=", "-_8=", "+/8", "-_8"};
    for (size_t i = 0; i < 4; i++) {
        struct text decoded = {0};
        CHECK(base64_decode(&decoded, test_bytes_of(spellings[i])));
        CHECK_BYTES(text_bytes(&decoded), BYTES("\xfb\xff"));
        text_deinit(&decoded);
    }
}

TEST(base64, is_refused_when_it_is_none)
{
    static const char *const bad[] = {"a", "ab=", "a===", "====", "ab c", "ab\n=", "QQ=Q", "QR=="};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        struct text decoded = {0};
        CHECK(!base64_decode(&decoded, test_bytes_of(bad[i])));
        text_deinit(&decoded);
    }
}

static void check_query(const char *query, const char *name, const char *expected)
{
    struct text value = {0};
    bool found = query_find(test_bytes_of(query), name, &value);
    CHECK_EQ(found, expected != NULL);
    if (expected != NULL) {
        CHECK_BYTES(text_bytes(&value), test_bytes_of(expected));
    }
    text_deinit(&value);
}

TEST(query, takes_the_last_value_of_a_name)
{
    check_query("", "a", NULL);
    check_query("a=1", "a", "1");
    check_query("a=1&b=2&a=3", "a", "3");
    check_query("a=1&a", "a", "");
    check_query("&&a=1&=2", "a", "1");
    check_query("aa=1&b=a", "a", NULL);
    check_query("a==&b", "a", "=");
}

TEST(query, resolves_escapes_and_leaves_what_is_none)
{
    check_query("%61=%62+%2B%zz%4", "a", "b +%zz%4");
    check_query("a=%E2%82%AC", "a", "\xe2\x82\xac");
}

TEST(json_read, refuses_what_needs_more_memory_than_allowed)
{
    char body[30001];
    for (size_t i = 0; i < sizeof(body) - 1; i += 3) {
        memcpy(body + i, "{},", 3);
    }
    body[0] = '[';
    body[1] = '1';
    body[sizeof(body) - 2] = ']';
    rr_bytes bytes = {body, sizeof(body) - 1};
    char error[256];
    json_t *root = NULL;
    CHECK_EQ(json_read(bytes, 100000, &root, error, sizeof(error)), JSON_READ_TOO_BIG);
    CHECK_EQ(json_read(bytes, 100000000, &root, error, sizeof(error)), JSON_READ_OK);
    CHECK_EQ(json_array_size(root), 10000);
    json_decref(root);
}

/* Counts what is allocated, to hold the estimate to it. */
static size_t allocated_bytes;

static void *counting_malloc(size_t size)
{
    void *memory = malloc(size);
    allocated_bytes += malloc_usable_size(memory);
    return memory;
}

/* What is freed on the way is not subtracted, so that the count is above the peak. */
TEST(json_read, takes_no_more_memory_than_it_estimates)
{
    static const char *const patterns[] = {"{},",
                                           "[],",
                                           "\"\",",
                                           "{\"a\":1},",
                                           "1.5,",
                                           "[[],[]],",
                                           "{\"a\":{},\"b\":[1,2,3,4,5,6,7,8,9,0],\"c\":true},",
                                           "{\"op\":\"set\",\"key\":\"k\",\"value\":\"v\"},"};
    json_set_alloc_funcs(counting_malloc, free);
    for (size_t i = 0; i < sizeof(patterns) / sizeof(patterns[0]); i++) {
        char body[60000] = "[";
        size_t size = 1;
        while (size + strlen(patterns[i]) + 2 < sizeof(body)) {
            memcpy(body + size, patterns[i], strlen(patterns[i]));
            size += strlen(patterns[i]);
        }
        body[size - 1] = ']';
        char error[256];
        json_t *root = NULL;
        allocated_bytes = 0;
        CHECK_EQ(json_read((rr_bytes){body, size}, SIZE_MAX, &root, error, sizeof(error)),
                 JSON_READ_OK);
        json_decref(root);
        CHECK_EQ(
            json_read((rr_bytes){body, size}, allocated_bytes / 2, &root, error, sizeof(error)),
            JSON_READ_TOO_BIG);
    }
    json_set_alloc_funcs(malloc, free);
}
