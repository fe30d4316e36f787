/* Requests out of a stream of bytes. The bytes of a request stay in `input` until it is done with;
 * what is too much is taken out as it comes. */
#include "coredb/resp/parser.h"

#include "coredb/base/bytes.h"
#include "coredb/base/number.h"

#include <ctype.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>

enum { KEPT_CAPACITY = 64 * 1024, COMPACT_AT = 64 * 1024, FIRST_SLICES = 8 };

void parser_init(struct parser *parser)
{
    *parser = (struct parser){0};
    buffer_init(&parser->input);
}

void parser_deinit(struct parser *parser)
{
    if (parser != NULL) {
        buffer_deinit(&parser->input);
        free(parser->slices);
        free(parser->argv_memory);
        *parser = (struct parser){0};
    }
}

bool parser_feed(struct parser *parser, rr_bytes bytes)
{
    buffer_append_bytes(&parser->input, bytes);
    return !parser->input.failed;
}

static enum parser_result fail(struct parser *parser, const char *error)
{
    parser->error = error;
    return PARSER_ERROR;
}

/* The unread bytes. */
static uint8_t *unread(const struct parser *parser)
{
    return parser->input.data + parser->start + parser->position;
}

static size_t unread_size(const struct parser *parser)
{
    return parser->input.size - parser->start - parser->position;
}

static void drop_unread(struct parser *parser, size_t size)
{
    memmove(unread(parser), unread(parser) + size, unread_size(parser) - size);
    parser->input.size -= size;
}

/* Forgets the request that was returned. */
static void begin_request(struct parser *parser)
{
    parser->start += parser->position;
    parser->position = 0;
    parser->scanned = 0;
    parser->count = 0;
    parser->kept_bytes = 0;
    parser->too_big = false;
    parser->argument_too_big = false;
    parser->in_bulk = false;
    parser->state = PARSER_BETWEEN;
    if (parser->start == parser->input.size) {
        parser->input.size = 0;
        parser->start = 0;
    } else if (parser->start > COMPACT_AT && parser->start > parser->input.size / 2) {
        buffer_consume(&parser->input, parser->start);
        parser->start = 0;
    }
}

/* A line has ended: its bytes without CR LF. False: not yet. */
static bool take_line(struct parser *parser, rr_bytes *line)
{
    size_t size = unread_size(parser);
    const uint8_t *data = unread(parser);
    const uint8_t *end = size == parser->scanned
                             ? NULL
                             : memchr(data + parser->scanned, '\n', size - parser->scanned);
    if (end == NULL) {
        parser->scanned = size;
        return false;
    }
    size_t length = (size_t)(end - data);
    parser->scanned = 0;
    parser->position += length + 1;
    *line = (rr_bytes){data, length > 0 && data[length - 1] == '\r' ? length - 1 : length};
    return true;
}

static bool line_too_long(const struct parser *parser)
{
    return unread_size(parser) > PARSER_LINE_BYTES_MAX;
}

/* Adds an argument; false without memory. */
static bool add_slice(struct parser *parser, size_t offset, size_t size)
{
    if (parser->count == parser->capacity) {
        size_t capacity = parser->capacity == 0 ? FIRST_SLICES : parser->capacity * 2;
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

/* ---- Lines of words ---- */

static int hex_digit(uint8_t byte)
{
    if (byte >= '0' && byte <= '9') {
        return byte - '0';
    }
    byte = (uint8_t)tolower(byte);
    return byte >= 'a' && byte <= 'f' ? byte - 'a' + 10 : -1;
}

/* Reads one escape after a backslash at `*at` within double quotes. */
static uint8_t read_escape(const uint8_t *line, size_t size, size_t *at)
{
    size_t i = *at + 1;
    if (i + 2 < size && line[i] == 'x' && hex_digit(line[i + 1]) >= 0 &&
        hex_digit(line[i + 2]) >= 0) {
        *at = i + 3;
        return (uint8_t)(hex_digit(line[i + 1]) * 16 + hex_digit(line[i + 2]));
    }
    *at = i + 1;
    switch (line[i]) {
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
        return line[i];
    }
}

/* Reads a quoted part from its opening quote at `*at`, writing it at `*out`; false: not closed, or
 * something else than a space follows. */
static bool read_quoted(uint8_t *line, size_t size, size_t *at, size_t *out)
{
    uint8_t quote = line[*at];
    size_t i = *at + 1;
    while (i < size) {
        if (quote == '"' && line[i] == '\\' && i + 1 < size) {
            uint8_t byte = read_escape(line, size, &i);
            line[(*out)++] = byte;
        } else if (quote == '\'' && line[i] == '\\' && i + 1 < size && line[i + 1] == '\'') {
            line[(*out)++] = '\'';
            i += 2;
        } else if (line[i] == quote) {
            *at = i + 1;
            return i + 1 == size || isspace(line[i + 1]);
        } else {
            line[(*out)++] = line[i++];
        }
    }
    return false;
}

/* Splits the line in place: a word never grows. */
static enum parser_result split_words(struct parser *parser, uint8_t *line, size_t size)
{
    size_t i = 0;
    size_t base = (size_t)(line - parser->input.data) - parser->start;
    for (;;) {
        while (i < size && (isspace(line[i]) || line[i] == '\0')) {
            i++;
        }
        if (i >= size) {
            break;
        }
        size_t word = i;
        size_t out = i;
        bool quoted = false;
        while (i < size && !quoted && !isspace(line[i]) && line[i] != '\0') {
            if (line[i] == '"' || line[i] == '\'') {
                if (!read_quoted(line, size, &i, &out)) {
                    return fail(parser, "Protocol error: unbalanced quotes in request");
                }
                quoted = true;
            } else {
                line[out++] = line[i++];
            }
        }
        if (!add_slice(parser, base + word, out - word)) {
            return fail(parser, "Protocol error: out of memory");
        }
    }
    return PARSER_REQUEST;
}

static enum parser_result read_inline(struct parser *parser)
{
    rr_bytes line;
    if (!take_line(parser, &line)) {
        return line_too_long(parser) ? fail(parser, "Protocol error: too big inline request")
                                     : PARSER_MORE;
    }
    return split_words(
        parser, (uint8_t *)parser->input.data + ((const uint8_t *)line.data - parser->input.data),
        line.size);
}

/* ---- Arrays of bulk strings ---- */

static enum parser_result read_array_header(struct parser *parser)
{
    rr_bytes line;
    if (!take_line(parser, &line)) {
        return line_too_long(parser) ? fail(parser, "Protocol error: too big mbulk count string")
                                     : PARSER_MORE;
    }
    int64_t count;
    rr_bytes digits = {(const uint8_t *)line.data + 1, line.size - 1};
    if (!number_parse_i64(digits, &count) || count > INT_MAX) {
        return fail(parser, "Protocol error: invalid multibulk length");
    }
    if (count > PARSER_NEW_ARGUMENTS_MAX && !parser->authenticated) {
        return fail(parser, "Protocol error: unauthenticated multibulk length");
    }
    parser->state = PARSER_ARRAY;
    parser->arguments_left = count > 0 ? (uint64_t)count : 0;
    return PARSER_REQUEST;
}

static enum parser_result read_bulk_header(struct parser *parser)
{
    rr_bytes line;
    if (unread_size(parser) > 0 && *unread(parser) != '$') {
        uint8_t got = *unread(parser);
        snprintf(parser->error_memory, sizeof(parser->error_memory),
                 "Protocol error: expected '$', got '%c'", isprint(got) ? got : ' ');
        return fail(parser, parser->error_memory);
    }
    if (!take_line(parser, &line)) {
        return line_too_long(parser) ? fail(parser, "Protocol error: too big bulk count string")
                                     : PARSER_MORE;
    }
    int64_t size;
    rr_bytes digits = {(const uint8_t *)line.data + 1, line.size - 1};
    if (!number_parse_i64(digits, &size) || size < 0 || size > PARSER_BULK_BYTES_MAX) {
        return fail(parser, "Protocol error: invalid bulk length");
    }
    if (size > PARSER_NEW_BULK_BYTES_MAX && !parser->authenticated) {
        return fail(parser, "Protocol error: unauthenticated bulk length");
    }
    parser->in_bulk = true;
    parser->bulk_left = (uint64_t)size;
    parser->bulk_dropped = false;
    size_t cost = (size_t)size + 4;
    if (size > PARSER_ARGUMENT_BYTES_MAX) {
        parser->argument_too_big = true;
        parser->bulk_dropped = true;
    } else if (cost > PARSER_REQUEST_BYTES_MAX - parser->kept_bytes ||
               parser->count >= PARSER_ARGUMENTS_MAX) {
        parser->bulk_dropped = true;
    } else {
        parser->kept_bytes += cost;
    }
    parser->too_big = parser->too_big || parser->bulk_dropped;
    if (parser->bulk_dropped) {
        parser->bulk_left += 2; /* its line end goes with it */
    }
    return PARSER_REQUEST;
}

static enum parser_result read_bulk(struct parser *parser)
{
    size_t size = unread_size(parser);
    if (parser->bulk_dropped) {
        size_t dropped = size < parser->bulk_left ? size : (size_t)parser->bulk_left;
        drop_unread(parser, dropped);
        parser->bulk_left -= dropped;
        if (parser->bulk_left > 0) {
            return PARSER_MORE;
        }
    } else {
        if (size < parser->bulk_left + 2) {
            return PARSER_MORE;
        }
        if (!add_slice(parser, parser->position, (size_t)parser->bulk_left)) {
            return fail(parser, "Protocol error: out of memory");
        }
        parser->position += (size_t)parser->bulk_left + 2;
    }
    parser->in_bulk = false;
    parser->arguments_left--;
    return PARSER_REQUEST;
}

/* PARSER_REQUEST: all arguments are there. */
static enum parser_result read_array(struct parser *parser)
{
    while (parser->arguments_left > 0) {
        enum parser_result result = PARSER_REQUEST;
        if (!parser->in_bulk) {
            result = read_bulk_header(parser);
        }
        if (result == PARSER_REQUEST) {
            result = read_bulk(parser);
        }
        if (result != PARSER_REQUEST) {
            return result;
        }
    }
    return PARSER_REQUEST;
}

/* A web browser that was tricked into talking to us says one of these first. */
static bool is_cross_protocol(const struct parser *parser)
{
    if (parser->count == 0) {
        return false;
    }
    rr_bytes first = {parser->input.data + parser->start + parser->slices[0].offset,
                      parser->slices[0].size};
    return bytes_is(first, "post") || bytes_is(first, "host:");
}

enum parser_result parser_next(struct parser *parser)
{
    if (parser->error != NULL) {
        return PARSER_ERROR;
    }
    if (parser->state == PARSER_DONE) {
        begin_request(parser);
    }
    for (;;) {
        enum parser_result result;
        if (parser->state == PARSER_BETWEEN) {
            if (unread_size(parser) == 0) {
                return PARSER_MORE;
            }
            bool is_array = *unread(parser) == '*';
            result = is_array ? read_array_header(parser) : read_inline(parser);
            if (result != PARSER_REQUEST) {
                return result;
            }
        }
        if (parser->state == PARSER_ARRAY) {
            result = read_array(parser);
            if (result != PARSER_REQUEST) {
                return result;
            }
        }
        if (parser->count == 0 && !parser->too_big) {
            begin_request(parser); /* empty: as if it had not been sent */
            continue;
        }
        parser->state = PARSER_DONE;
        if (is_cross_protocol(parser)) {
            parser->silent = true;
            return fail(parser, "another protocol's request");
        }
        return PARSER_REQUEST;
    }
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
    for (size_t i = 0; i < parser->count; i++) {
        parser->argv_memory[i] = (rr_bytes){
            parser->input.data + parser->start + parser->slices[i].offset, parser->slices[i].size};
    }
    return parser->argv_memory;
}

void parser_shrink(struct parser *parser)
{
    if (parser->input.size == parser->start && parser->input.capacity > KEPT_CAPACITY &&
        parser->state == PARSER_BETWEEN) {
        buffer_deinit(&parser->input);
        parser->start = 0;
        parser->position = 0;
        parser->scanned = 0;
    }
}
