/* Requests out of bytes: what Redis takes, and what it answers to the rest. */
#include "coredb/resp/parser.h"
#include "support/test.h"

#include "coredb/base/bytes.h"

#include <string.h>

static void feed(struct parser *parser, const char *text)
{
    CHECK(parser_feed(parser, bytes_of(text)));
}

/* A parser of a client that has authenticated, fed with `text`. */
static void begin(struct parser *parser, const char *text)
{
    parser_init(parser);
    parser->authenticated = true;
    feed(parser, text);
}

static void expect_error(const char *text, bool authenticated, const char *error)
{
    struct parser parser;
    begin(&parser, text);
    parser.authenticated = authenticated;
    CHECK_EQ(parser_next(&parser), PARSER_ERROR);
    CHECK_TEXT(parser.error, error);
    CHECK_EQ(parser_next(&parser), PARSER_ERROR);
    parser_deinit(&parser);
}

static void expect_argument(struct parser *parser, size_t i, const char *text)
{
    CHECK_LT(i, parser->count);
    CHECK_BYTES(parser_argv(parser)[i], bytes_of(text));
}

TEST(parser, reads_arrays_and_lines_one_after_another)
{
    struct parser parser;
    begin(&parser, "*2\r\n$3\r\nGET\r\n$1\r\na\r\nPING x\r\n*1\r\n$4\r\nPI");
    CHECK_EQ(parser_next(&parser), PARSER_REQUEST);
    CHECK_EQ(parser.count, 2);
    expect_argument(&parser, 0, "GET");
    expect_argument(&parser, 1, "a");
    CHECK_EQ(parser_next(&parser), PARSER_REQUEST);
    CHECK_EQ(parser.count, 2);
    expect_argument(&parser, 1, "x");
    CHECK_EQ(parser_next(&parser), PARSER_MORE);
    feed(&parser, "NG\r\n");
    CHECK_EQ(parser_next(&parser), PARSER_REQUEST);
    expect_argument(&parser, 0, "PING");
    parser_deinit(&parser);
}

TEST(parser, keeps_a_request_while_more_comes_in)
{
    struct parser parser;
    begin(&parser, "PING\r\nECHO first\r\n");
    CHECK_EQ(parser_next(&parser), PARSER_REQUEST);
    CHECK_EQ(parser_next(&parser), PARSER_REQUEST);
    for (int i = 0; i < 1000; i++) {
        feed(&parser, "ECHO and one more of them\r\n");
    }
    expect_argument(&parser, 1, "first");
    CHECK_EQ(parser_next(&parser), PARSER_REQUEST);
    expect_argument(&parser, 1, "and");
    parser_deinit(&parser);
}

TEST(parser, skips_empty_requests)
{
    struct parser parser;
    begin(&parser, "*-10\r\n*-1\r\n*0\r\n\r\n  \r\nPING\r\n");
    CHECK_EQ(parser_next(&parser), PARSER_REQUEST);
    expect_argument(&parser, 0, "PING");
    CHECK_EQ(parser_next(&parser), PARSER_MORE);
    CHECK_EQ(parser_buffered(&parser), (size_t)0);
    parser_deinit(&parser);
}

TEST(parser, reads_quotes_as_redis_does)
{
    struct parser parser;
    begin(&parser, "a \"\\x41\\n\\q\" 'b\\'c' d\"e\" \"\"\r\n");
    CHECK_EQ(parser_next(&parser), PARSER_REQUEST);
    CHECK_EQ(parser.count, 5);
    expect_argument(&parser, 1, "A\nq");
    expect_argument(&parser, 2, "b'c");
    expect_argument(&parser, 3, "de");
    expect_argument(&parser, 4, "");
    parser_deinit(&parser);
    expect_error("GET \"a\r\n", true, "ERR Protocol error: unbalanced quotes in request");
    expect_error("GET 'a'b\r\n", true, "ERR Protocol error: unbalanced quotes in request");
}

TEST(parser, refuses_lengths_that_are_none)
{
    static const char *const counts[] = {"*2147483648\r\n", "*abc\r\n", "*\r\n", "*+1\r\n",
                                         "*01\r\n"};
    for (size_t i = 0; i < sizeof(counts) / sizeof(*counts); i++) {
        expect_error(counts[i], true, "ERR Protocol error: invalid multibulk length");
    }
    static const char *const sizes[] = {"*1\r\n$536870913\r\n", "*1\r\n$9223372036854775808\r\n",
                                        "*1\r\n$-1\r\n", "*1\r\n$xx\r\n", "*1\r\n$\r\n"};
    for (size_t i = 0; i < sizeof(sizes) / sizeof(*sizes); i++) {
        expect_error(sizes[i], true, "ERR Protocol error: invalid bulk length");
    }
    expect_error("*1\r\nfoo\r\n", true, "ERR Protocol error: expected '$', got 'f'");
}

TEST(parser, gives_those_who_have_not_authenticated_little)
{
    expect_error("*11\r\n", false, "ERR Protocol error: unauthenticated multibulk length");
    expect_error("*1\r\n$16385\r\n", false, "ERR Protocol error: unauthenticated bulk length");
    struct parser parser;
    begin(&parser, "*10\r\n$16384\r\n");
    parser.authenticated = false;
    CHECK_EQ(parser_next(&parser), PARSER_MORE);
    parser_deinit(&parser);
}

TEST(parser, ends_lines_that_never_end)
{
    static const struct {
        const char *begin;
        const char *error;
    } cases[] = {{"x", "ERR Protocol error: too big inline request"},
                 {"*1", "ERR Protocol error: too big mbulk count string"},
                 {"*1\r\n$1", "ERR Protocol error: too big bulk count string"}};
    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
        struct parser parser;
        begin(&parser, cases[i].begin);
        size_t fed = 0;
        while (parser_next(&parser) == PARSER_MORE) {
            CHECK_LE(fed, (size_t)PARSER_LINE_BYTES_MAX);
            feed(&parser, "1");
            fed++;
        }
        CHECK_TEXT(parser.error, cases[i].error);
        parser_deinit(&parser);
    }
}

TEST(parser, drops_an_argument_that_is_too_large_and_goes_on)
{
    struct parser parser;
    begin(&parser, "*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$20000000\r\n");
    static char zeros[50000];
    for (size_t i = 0; i < 20000000 / sizeof(zeros); i++) {
        CHECK_EQ(parser_next(&parser), PARSER_MORE);
        CHECK(parser_feed(&parser, (rr_bytes){zeros, sizeof(zeros)}));
        CHECK_LE(parser.input.capacity, 1024u * 1024);
    }
    feed(&parser, "\r\nPING\r\n");
    CHECK_EQ(parser_next(&parser), PARSER_REQUEST);
    CHECK(parser.too_big);
    CHECK(parser.argument_too_big);
    CHECK_EQ(parser_next(&parser), PARSER_REQUEST);
    CHECK(!parser.too_big);
    expect_argument(&parser, 0, "PING");
    parser_deinit(&parser);
}

TEST(parser, keeps_nothing_of_more_arguments_than_a_request_may_have)
{
    struct parser parser;
    begin(&parser, "*1048577\r\n");
    for (size_t i = 0; i < PARSER_ARGUMENTS_MAX + 1; i++) {
        CHECK_EQ(parser_next(&parser), PARSER_MORE);
        feed(&parser, "$1\r\na\r\n");
        CHECK_LE(parser.input.capacity, 64u * 1024);
    }
    CHECK_EQ(parser_next(&parser), PARSER_REQUEST);
    CHECK(parser.too_big);
    CHECK(!parser.argument_too_big);
    parser_deinit(&parser);
}

TEST(parser, reserves_nothing_for_what_is_only_announced)
{
    struct parser parser;
    begin(&parser, "*1048576\r\n$8000000\r\n");
    CHECK_EQ(parser_next(&parser), PARSER_MORE);
    CHECK_LE(parser.input.capacity, 1024u);
    CHECK_LE(parser.capacity, 64u);
    parser_deinit(&parser);
}
