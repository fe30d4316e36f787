/* Replies in RESP2 and RESP3. */
#include "coredb/resp/reply.h"

#include "coredb/base/number.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

enum { ERROR_BYTES_MAX = 1024 };

void reply_init(struct reply *reply, int protocol)
{
    buffer_init(&reply->out);
    reply->protocol = protocol;
    reply->is_error = false;
}

void reply_deinit(struct reply *reply)
{
    if (reply != NULL) {
        buffer_deinit(&reply->out);
    }
}

static void put_line(struct reply *reply, char type, const char *text, size_t size)
{
    uint8_t *out = buffer_extend(&reply->out, size + 3);
    if (out != NULL) {
        out[0] = (uint8_t)type;
        memcpy(out + 1, text, size);
        out[size + 1] = '\r';
        out[size + 2] = '\n';
    }
}

static void put_integer(struct reply *reply, char type, int64_t value)
{
    char text[NUMBER_TEXT_MAX];
    size_t size = number_print_i64(value, text);
    put_line(reply, type, text, size);
}

void reply_ok(struct reply *reply)
{
    buffer_append(&reply->out, "+OK\r\n", 5);
}

void reply_status(struct reply *reply, const char *text)
{
    put_line(reply, '+', text, strlen(text));
}

void reply_lines(struct reply *reply, const char *const *lines, size_t count)
{
    reply_array(reply, count);
    for (size_t i = 0; i < count; i++) {
        reply_status(reply, lines[i]);
    }
}

void reply_error(struct reply *reply, const char *format, ...)
{
    char text[ERROR_BYTES_MAX];
    va_list arguments;
    va_start(arguments, format);
    int printed = vsnprintf(text, sizeof(text), format, arguments);
    va_end(arguments);
    size_t size = printed < 0 ? 0 : (size_t)printed;
    if (size >= sizeof(text)) {
        size = sizeof(text) - 1;
    }
    /* Redis drops line ends at the end, and makes blanks of others. */
    while (size != 0 && (text[size - 1] == '\r' || text[size - 1] == '\n')) {
        size--;
    }
    for (size_t i = 0; i < size; i++) {
        if (text[i] == '\r' || text[i] == '\n') {
            text[i] = ' ';
        }
    }
    put_line(reply, '-', text, size);
    reply->is_error = true;
}

void reply_error_syntax(struct reply *reply)
{
    reply_error(reply, "ERR syntax error");
}

void reply_error_wrong_type(struct reply *reply)
{
    reply_error(reply, "WRONGTYPE Operation against a key holding the wrong kind of value");
}

void reply_error_not_integer(struct reply *reply)
{
    reply_error(reply, "ERR value is not an integer or out of range");
}

void reply_error_not_float(struct reply *reply)
{
    reply_error(reply, "ERR value is not a valid float");
}

void reply_error_no_key(struct reply *reply)
{
    reply_error(reply, "ERR no such key");
}

void reply_error_out_of_range(struct reply *reply)
{
    reply_error(reply, "ERR index out of range");
}

void reply_error_arity(struct reply *reply, rr_bytes command)
{
    reply_error(reply, "ERR wrong number of arguments for '%.*s' command",
                (int)(command.size > 128 ? 128 : command.size), (const char *)command.data);
}

void reply_integer(struct reply *reply, int64_t value)
{
    put_integer(reply, ':', value);
}

void reply_bulk(struct reply *reply, rr_bytes bytes)
{
    put_integer(reply, '$', (int64_t)bytes.size);
    buffer_append_bytes(&reply->out, bytes);
    buffer_append(&reply->out, "\r\n", 2);
}

void reply_bulk_text(struct reply *reply, const char *text)
{
    reply_bulk(reply, (rr_bytes){text, strlen(text)});
}

void reply_bulk_integer(struct reply *reply, int64_t value)
{
    char text[NUMBER_TEXT_MAX];
    size_t size = number_print_i64(value, text);
    reply_bulk(reply, (rr_bytes){text, size});
}

void reply_double(struct reply *reply, double value)
{
    char text[NUMBER_TEXT_MAX];
    size_t size = number_print_double(value, text);
    if (reply->protocol >= 3) {
        put_line(reply, ',', text, size);
    } else {
        reply_bulk(reply, (rr_bytes){text, size});
    }
}

void reply_boolean(struct reply *reply, bool value)
{
    if (reply->protocol >= 3) {
        put_line(reply, '#', value ? "t" : "f", 1);
    } else {
        reply_integer(reply, value);
    }
}

void reply_verbatim(struct reply *reply, const char *format3, rr_bytes bytes)
{
    if (reply->protocol < 3) {
        reply_bulk(reply, bytes);
        return;
    }
    put_integer(reply, '=', (int64_t)bytes.size + 4);
    buffer_append(&reply->out, format3, 3);
    buffer_append_byte(&reply->out, ':');
    buffer_append_bytes(&reply->out, bytes);
    buffer_append(&reply->out, "\r\n", 2);
}

void reply_null(struct reply *reply)
{
    buffer_append_text(&reply->out, reply->protocol >= 3 ? "_\r\n" : "$-1\r\n");
}

void reply_null_array(struct reply *reply)
{
    buffer_append_text(&reply->out, reply->protocol >= 3 ? "_\r\n" : "*-1\r\n");
}

void reply_array(struct reply *reply, size_t count)
{
    put_integer(reply, '*', (int64_t)count);
}

/* The header of an aggregate that RESP2 has as an array of `elements`. */
static void put_aggregate(struct reply *reply, char type3, size_t count, size_t elements)
{
    if (reply->protocol >= 3) {
        put_integer(reply, type3, (int64_t)count);
    } else {
        put_integer(reply, '*', (int64_t)elements);
    }
}

void reply_map(struct reply *reply, size_t pairs)
{
    put_aggregate(reply, '%', pairs, pairs * 2);
}

void reply_set(struct reply *reply, size_t count)
{
    put_aggregate(reply, '~', count, count);
}

void reply_push(struct reply *reply, size_t count)
{
    put_aggregate(reply, '>', count, count);
}

size_t reply_later(struct reply *reply)
{
    return reply->out.size;
}

static void put_at_mark(struct reply *reply, size_t mark, char type, size_t count)
{
    char header[NUMBER_TEXT_MAX + 3];
    header[0] = type;
    size_t size = 1 + number_print_u64(count, header + 1);
    header[size++] = '\r';
    header[size++] = '\n';
    buffer_insert(&reply->out, mark, header, size);
}

void reply_array_end(struct reply *reply, size_t mark, size_t count)
{
    put_at_mark(reply, mark, '*', count);
}

void reply_map_end(struct reply *reply, size_t mark, size_t pairs)
{
    bool is_map = reply->protocol >= 3;
    put_at_mark(reply, mark, is_map ? '%' : '*', is_map ? pairs : pairs * 2);
}

void reply_set_end(struct reply *reply, size_t mark, size_t count)
{
    put_at_mark(reply, mark, reply->protocol >= 3 ? '~' : '*', count);
}

void reply_truncate(struct reply *reply, size_t size)
{
    buffer_truncate(&reply->out, size);
    reply->is_error = false;
}
