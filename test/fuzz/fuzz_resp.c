/* The parser of requests: however the input is cut, the requests are the same, and bounded. */
#include "coredb/resp/parser.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool holds, const char *what)
{
    if (!holds) {
        fprintf(stderr, "fuzz_resp: %s\n", what);
        abort();
    }
}

/* Writes down all requests that are complete. */
static void take(struct parser *parser, struct buffer *out)
{
    for (;;) {
        enum parser_result result = parser_next(parser);
        if (result == PARSER_MORE) {
            return;
        }
        if (result == PARSER_ERROR) {
            if (out->size == 0 || out->data[out->size - 1] != '!') {
                buffer_append_text(out, parser->error);
                buffer_append_byte(out, '!');
            }
            return;
        }
        const rr_bytes *argv = parser_argv(parser);
        require(parser->too_big || (parser->count > 0 && argv != NULL), "an empty request");
        buffer_put_u32(out, parser->too_big ? UINT32_MAX : (uint32_t)parser->count);
        for (size_t i = 0; i < parser->count; i++) {
            buffer_put_slice(out, argv[i]);
        }
    }
}

/* Parses the input in pieces of at most `piece` bytes. */
static void parse(rr_bytes input, size_t piece, bool authenticated, struct buffer *out)
{
    struct parser parser;
    parser_init(&parser);
    parser.authenticated = authenticated;
    for (size_t at = 0; at < input.size; at += piece) {
        size_t size = input.size - at < piece ? input.size - at : piece;
        rr_bytes bytes = {(const uint8_t *)input.data + at, size};
        require(parser_feed(&parser, bytes), "no memory");
        take(&parser, out);
        require(parser_buffered(&parser) <= input.size, "more is buffered than came");
    }
    parser_shrink(&parser);
    parser_deinit(&parser);
}

static bool is_same(const struct buffer *left, const struct buffer *right)
{
    return left->size == right->size &&
           (left->size == 0 || memcmp(left->data, right->data, left->size) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 2) {
        return 0;
    }
    bool authenticated = (data[0] & 1) != 0;
    size_t piece = 1 + data[0] / 2;
    rr_bytes input = {data + 1, size - 1};
    struct buffer whole;
    struct buffer cut;
    struct buffer bytes;
    buffer_init(&whole);
    buffer_init(&cut);
    buffer_init(&bytes);
    parse(input, input.size, authenticated, &whole);
    parse(input, piece, authenticated, &cut);
    parse(input, 1, authenticated, &bytes);
    require(is_same(&whole, &cut), "pieces make a difference");
    require(is_same(&whole, &bytes), "single bytes make a difference");
    buffer_deinit(&whole);
    buffer_deinit(&cut);
    buffer_deinit(&bytes);
    return 0;
}
