/*
 * The state of a request that is being read lies in the parser, its bytes in `input` from `start`
 * on. Once a request is too big nothing of it is kept: `start` then follows `position`.
 */
#include "coredb/resp/parser.h"

#include "coredb/base/number.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    KEPT_INPUT_BYTES = 16 * 1024, /* larger memory is given back when idle */
    KEPT_ARGUMENTS = 64,
    ARGUMENT_OVERHEAD = 4, /* of one in a batch */
};

void parser_init(struct parser *parser)
{
    *parser = (struct parser){.state = PARSER_BETWEEN};
    buffer_init(&parser->input);
}

void parser_deinit(struct parser *parser)
{
    if (parser != NULL) {
        buffer_deinit(&parser->input);
        free(parser->slices);
        free(parser->argv_memory);
    }
}

bool parser_feed(struct parser *parser, rr_bytes bytes)
{
    if (parser->start == parser->input.size) {
        buffer_clear(&parser->input);
        parser->start = 0;
    } else if (parser->start > parser->input.size / 2) {
        buffer_consume(&parser->input, parser->start);
        parser->start = 0;
    }
    buffer_append_bytes(&parser->input, bytes);
    return !parser->input.failed;
}

void parser_shrink(struct parser *parser)
{
    if (parser_buffered(parser) == 0 && parser->input.capacity > KEPT_INPUT_BYTES) {
        buffer_deinit(&parser->input);
        buffer_init(&parser->input);
        parser->start = 0;
    }
    if (parser->count == 0 && parser->capacity > KEPT_ARGUMENTS) {
        free(parser->slices);
        parser->slices = NULL;
        parser->capacity = 0;
    }
    if (parser->count == 0 && parser->argv_capacity > KEPT_ARGUMENTS) {
        free(parser->argv_memory);
        parser->argv_memory = NULL;
        parser->argv_capacity = 0;
    }
}

/* ---- Small steps ---- */

static enum parser_result fail(struct parser *parser, const char *text)
{
    parser->error = text;
    return PARSER_ERROR;
}

static const uint8_t *at(const struct parser *parser)
{
    return parser->input.data + parser->start + parser->position;
}

static size_t available(const struct parser *parser)
{
    return parser->input.size - parser->start - parser->position;
}

static void advance(struct parser *parser, size_t size)
{
    parser->position += size;
    parser->scanned = 0;
    if (parser->too_big) {
        parser->start += parser->position;
        parser->position = 0;
    }
}

static void drop(struct parser *parser)
{
    parser->too_big = true;
    parser->count = 0;
    advance(parser, 0);
}

/*
 * How many bytes come before the next `end`, or -1 while it has not come. As in Redis, a zero byte
 * hides what follows it, so that such a line never ends.
 */
static int64_t find_end(struct parser *parser, char end)
{
    size_t left = available(parser);
    if (left == 0) {
        return -1;
    }
    const uint8_t *from = at(parser) + parser->scanned;
    size_t size = left - parser->scanned;
    const uint8_t *found = memchr(from, end, size);
    const uint8_t *zero = memchr(from, 0, found != NULL ? (size_t)(found - from) : size);
    if (found == NULL || zero != NULL) {
        parser->scanned += zero != NULL ? (size_t)(zero - from) : size;
        return -1;
    }
    return (int64_t)(parser->scanned + (size_t)(found - from));
}

static bool add_argument(struct parser *parser, size_t offset, size_t size)
{
    if (parser->count == parser->capacity) {
        size_t capacity = parser->capacity == 0 ? 8 : parser->capacity * 2;
        struct parser_slice *slices = realloc(parser->slices, capacity * sizeof(*slices));
        if (slices == NULL) {
            return false;
        }
        parser->slices = slices;
        parser->capacity = capacity;
    }
    parser->slices[parser->count++] = (struct parser_slice){offset, size};
    return true;
}

/* ---- Arrays ---- */

/*
 * Reads a line of a mark and a length, which ends in two bytes, of which the first is CR. More is
 * needed: PARSER_MORE, and `*line_size` is not set.
 */
static enum parser_result read_length_line(struct parser *parser, const char *too_big,
                                           size_t *line_size)
{
    int64_t size = find_end(parser, '\r');
    if (size > PARSER_LINE_BYTES_MAX || (size < 0 && available(parser) > PARSER_LINE_BYTES_MAX)) {
        return fail(parser, too_big);
    }
    if (size < 0 || available(parser) < (size_t)size + 2) {
        return PARSER_MORE;
    }
    *line_size = (size_t)size;
    return PARSER_REQUEST;
}

static enum parser_result read_array_header(struct parser *parser)
{
    size_t size = 0;
    enum parser_result result =
        read_length_line(parser, "ERR Protocol error: too big mbulk count string", &size);
    if (result != PARSER_REQUEST) {
        return result;
    }
    int64_t count = 0;
    if (!number_parse_i64((rr_bytes){at(parser) + 1, size - 1}, &count) || count > INT32_MAX) {
        return fail(parser, "ERR Protocol error: invalid multibulk length");
    }
    if (count > PARSER_NEW_ARGUMENTS_MAX && !parser->authenticated) {
        return fail(parser, "ERR Protocol error: unauthenticated multibulk length");
    }
    advance(parser, size + 2);
    if (count > 0) {
        parser->state = PARSER_ARRAY;
        parser->arguments_left = (uint64_t)count;
        if (count > PARSER_ARGUMENTS_MAX) {
            drop(parser);
        }
    } else {
        parser->start += parser->position;
        parser->position = 0;
    }
    return PARSER_REQUEST;
}

static enum parser_result read_bulk_header(struct parser *parser)
{
    size_t size = 0;
    enum parser_result result =
        read_length_line(parser, "ERR Protocol error: too big bulk count string", &size);
    if (result != PARSER_REQUEST) {
        return result;
    }
    const uint8_t *line = at(parser);
    if (line[0] != '$') {
        char mark = (char)line[0];
        snprintf(parser->error_memory, sizeof(parser->error_memory),
                 "ERR Protocol error: expected '$', got '%c'", mark);
        return fail(parser, parser->error_memory);
    }
    int64_t bulk = 0;
    if (!number_parse_i64((rr_bytes){line + 1, size - 1}, &bulk) || bulk < 0 ||
        bulk > PARSER_BULK_BYTES_MAX) {
        return fail(parser, "ERR Protocol error: invalid bulk length");
    }
    if (bulk > PARSER_NEW_BULK_BYTES_MAX && !parser->authenticated) {
        return fail(parser, "ERR Protocol error: unauthenticated bulk length");
    }
    advance(parser, size + 2);
    parser->in_bulk = true;
    parser->bulk_left = (uint64_t)bulk + 2;
    parser->kept_bytes += (size_t)bulk + ARGUMENT_OVERHEAD;
    if (bulk > PARSER_ARGUMENT_BYTES_MAX) {
        parser->argument_too_big = true;
        drop(parser);
    } else if (parser->kept_bytes > PARSER_REQUEST_BYTES_MAX) {
        drop(parser);
    }
    return PARSER_REQUEST;
}

static enum parser_result read_bulk(struct parser *parser)
{
    size_t left = available(parser);
    if (left < parser->bulk_left) {
        if (parser->too_big) {
            parser->bulk_left -= left;
            advance(parser, left);
        }
        return PARSER_MORE;
    }
    size_t size = (size_t)parser->bulk_left;
    if (!parser->too_big && !add_argument(parser, parser->position, size - 2)) {
        drop(parser);
    }
    advance(parser, size);
    parser->in_bulk = false;
    parser->arguments_left--;
    return PARSER_REQUEST;
}

static enum parser_result read_array(struct parser *parser)
{
    while (parser->arguments_left > 0) {
        enum parser_result result = parser->in_bulk ? read_bulk(parser) : read_bulk_header(parser);
        if (result != PARSER_REQUEST) {
            return result;
        }
    }
    parser->state = PARSER_DONE;
    return PARSER_REQUEST;
}

/* ---- Lines ---- */

static int hex_digit(uint8_t byte)
{
    if (byte >= '0' && byte <= '9') {
        return byte - '0';
    }
    byte |= 0x20;
    return byte >= 'a' && byte <= 'f' ? byte - 'a' + 10 : -1;
}

static bool is_space(uint8_t byte)
{
    return byte == ' ' || (byte >= '\t' && byte <= '\r');
}

static uint8_t unescape(uint8_t byte)
{
    switch (byte) {
    case 'n':
        return '\n';
    case 'r':
        return '\r';
    case 't':
        return '\t';
    case 'b':
        return '\b';
    case 'a':
        return '\a';
    default:
        return byte;
    }
}

/* A line that is being split; words are written over it, as they never grow. */
struct words {
    uint8_t *line;
    size_t size;
    size_t read;
    size_t written;
};

/* Reads what is between quotes, the first of which has been read. False: it does not end, or
 * something follows the end. */
static bool read_quoted(struct words *words, uint8_t quote)
{
    while (words->read < words->size) {
        const uint8_t *text = words->line + words->read;
        size_t left = words->size - words->read;
        if (text[0] == quote) {
            words->read++;
            return left == 1 || is_space(text[1]);
        }
        uint8_t byte = text[0];
        size_t used = 1;
        if (quote == '"' && byte == '\\' && left >= 4 && text[1] == 'x' &&
            hex_digit(text[2]) >= 0 && hex_digit(text[3]) >= 0) {
            byte = (uint8_t)(hex_digit(text[2]) * 16 + hex_digit(text[3]));
            used = 4;
        } else if (quote == '"' && byte == '\\' && left >= 2) {
            byte = unescape(text[1]);
            used = 2;
        } else if (quote == '\'' && byte == '\\' && left >= 2 && text[1] == '\'') {
            byte = '\'';
            used = 2;
        }
        words->line[words->written++] = byte;
        words->read += used;
    }
    return false;
}

static bool read_word(struct words *words)
{
    while (words->read < words->size) {
        uint8_t byte = words->line[words->read];
        if (byte == ' ' || byte == '\n' || byte == '\r' || byte == '\t') {
            return true;
        }
        words->read++;
        if (byte == '"' || byte == '\'') {
            return read_quoted(words, byte);
        }
        words->line[words->written++] = byte;
    }
    return true;
}

static enum parser_result read_line(struct parser *parser)
{
    int64_t size = find_end(parser, '\n');
    if (size > PARSER_LINE_BYTES_MAX || (size < 0 && available(parser) > PARSER_LINE_BYTES_MAX)) {
        return fail(parser, "ERR Protocol error: too big inline request");
    }
    if (size < 0) {
        return PARSER_MORE;
    }
    struct words words = {parser->input.data + parser->start, (size_t)size, 0, 0};
    while (words.read < words.size) {
        if (is_space(words.line[words.read])) {
            words.read++;
            continue;
        }
        size_t offset = words.written;
        if (!read_word(&words)) {
            return fail(parser, "ERR Protocol error: unbalanced quotes in request");
        }
        if (!add_argument(parser, offset, words.written - offset)) {
            parser->too_big = true;
        }
    }
    advance(parser, (size_t)size + 1);
    if (parser->count > 0 || parser->too_big) {
        parser->state = PARSER_DONE;
    } else {
        parser->start += parser->position;
        parser->position = 0;
    }
    return PARSER_REQUEST;
}

/* ---- Requests ---- */

static void forget(struct parser *parser)
{
    parser->start += parser->position;
    parser->position = 0;
    parser->scanned = 0;
    parser->count = 0;
    parser->kept_bytes = 0;
    parser->too_big = false;
    parser->argument_too_big = false;
    parser->state = PARSER_BETWEEN;
}

enum parser_result parser_next(struct parser *parser)
{
    if (parser->error != NULL) {
        return PARSER_ERROR;
    }
    if (parser->state == PARSER_DONE) {
        forget(parser);
    }
    while (parser->state != PARSER_DONE) {
        enum parser_result result = PARSER_MORE;
        if (parser->state == PARSER_ARRAY) {
            result = read_array(parser);
        } else if (available(parser) > 0) {
            result = at(parser)[0] == '*' ? read_array_header(parser) : read_line(parser);
        }
        if (result != PARSER_REQUEST) {
            return result;
        }
    }
    if (parser->too_big) {
        parser->count = 0;
    }
    return PARSER_REQUEST;
}

const rr_bytes *parser_argv(struct parser *parser)
{
    if (parser->argv_capacity < parser->count) {
        rr_bytes *memory = realloc(parser->argv_memory, parser->capacity * sizeof(*memory));
        if (memory == NULL) {
            return NULL;
        }
        parser->argv_memory = memory;
        parser->argv_capacity = parser->capacity;
    }
    const uint8_t *base = parser->input.data + parser->start;
    for (size_t i = 0; i < parser->count; i++) {
        parser->argv_memory[i] =
            (rr_bytes){base + parser->slices[i].offset, parser->slices[i].size};
    }
    return parser->argv_memory;
}
