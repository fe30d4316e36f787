#include "inspect/output.h"

#include <ctype.h>
#include <inttypes.h>
#include <string.h>

enum { KIND_WIDTH = 10, TEXT_MAX = 2048 };

static void print(struct output *output, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

static void print(struct output *output, const char *format, ...)
{
    if (output->file == NULL) {
        return;
    }
    va_list arguments;
    va_start(arguments, format);
    vfprintf(output->file, format, arguments);
    va_end(arguments);
}

/* Text within quotes in JSON, bare otherwise; nothing in it can end the line. */
static void print_escaped(struct output *output, struct slice text)
{
    for (size_t i = 0; i < text.size; i++) {
        uint8_t byte = text.data[i];
        bool is_plain = byte >= 0x20 && byte < 0x7f;
        if (is_plain && !(output->json && (byte == '"' || byte == '\\'))) {
            print(output, "%c", byte);
        } else if (output->json) {
            print(output, "\\u%04x", byte);
        } else {
            print(output, "\\x%02x", byte);
        }
    }
}

static struct slice slice_of_text(const char *text)
{
    return (struct slice){(const uint8_t *)text, strlen(text)};
}

void output_begin(struct output *output, const char *kind)
{
    output->fields = 0;
    if (output->json) {
        print(output, "{\"kind\":\"%s\"", kind);
    } else {
        print(output, "%-*s ", KIND_WIDTH, kind);
    }
}

static void begin_field(struct output *output, const char *name)
{
    if (output->json) {
        print(output, ",\"%s\":", name);
    } else {
        print(output, "%s%s ", output->fields == 0 ? "" : ", ", name);
    }
    output->fields++;
}

void output_number(struct output *output, const char *name, uint64_t value)
{
    begin_field(output, name);
    print(output, "%" PRIu64, value);
}

void output_flag(struct output *output, const char *name, bool value)
{
    begin_field(output, name);
    print(output, "%s", output->json ? (value ? "true" : "false") : (value ? "yes" : "no"));
}

void output_bytes(struct output *output, const char *name, struct slice bytes)
{
    begin_field(output, name);
    const char *quote = output->json ? "\"" : "";
    print(output, "%s", quote);
    print_escaped(output, bytes);
    print(output, "%s", quote);
}

void output_text(struct output *output, const char *name, const char *value)
{
    output_bytes(output, name, slice_of_text(value));
}

void output_format(struct output *output, const char *name, const char *format, ...)
{
    char text[TEXT_MAX];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof(text), format, arguments);
    va_end(arguments);
    output_text(output, name, text);
}

void output_id(struct output *output, const char *name, uint64_t value)
{
    output_format(output, name, "%016" PRIx64, value);
}

void output_hex(struct output *output, const char *name, struct slice bytes)
{
    begin_field(output, name);
    const char *quote = output->json ? "\"" : "";
    print(output, "%s", quote);
    for (size_t i = 0; i < bytes.size; i++) {
        print(output, "%02x", bytes.data[i]);
    }
    print(output, "%s", quote);
}

void output_end(struct output *output)
{
    print(output, output->json ? "}\n" : "\n");
}

static void print_finding(struct output *output, const char *kind, const char *file,
                          uint64_t offset, const char *what, const char *remedy)
{
    output_begin(output, kind);
    output_text(output, "file", file);
    if (offset != NO_OFFSET) {
        output_number(output, "offset", offset);
    }
    if (output->json) {
        output_text(output, "what", what);
        if (remedy != NULL) {
            output_text(output, "do", remedy);
        }
    } else {
        print(output, ": ");
        print_escaped(output, slice_of_text(what));
        if (remedy != NULL) {
            print(output, "\n%-*s   ", KIND_WIDTH, "");
            print_escaped(output, slice_of_text(remedy));
        }
    }
    output_end(output);
}

void output_damage(struct output *output, const char *file, uint64_t offset, const char *remedy,
                   const char *what, ...)
{
    char text[TEXT_MAX];
    va_list arguments;
    va_start(arguments, what);
    vsnprintf(text, sizeof(text), what, arguments);
    va_end(arguments);
    output->damages++;
    print_finding(output, "DAMAGE", file, offset, text, remedy);
}

void output_note(struct output *output, const char *file, uint64_t offset, const char *what, ...)
{
    char text[TEXT_MAX];
    va_list arguments;
    va_start(arguments, what);
    vsnprintf(text, sizeof(text), what, arguments);
    va_end(arguments);
    output->notes++;
    print_finding(output, "note", file, offset, text, NULL);
}

void output_blind(struct output *output, const char *file, const char *what, ...)
{
    char text[TEXT_MAX];
    va_list arguments;
    va_start(arguments, what);
    vsnprintf(text, sizeof(text), what, arguments);
    va_end(arguments);
    output->blind++;
    print_finding(output, "UNREAD", file, NO_OFFSET, text, NULL);
}
