/*
 * raft-scenario: runs scenario files of Raft's published language against the consensus core and
 * compares what they print, byte for byte. docs/scenarios.md describes the language.
 */
#include <locale.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/memory.h"
#include "scenario/families.h"

static const char usage[] =
    "Usage: raft-scenario [--rewrite] FILE...\n"
    "Runs Raft scenario files and compares their output byte for byte.\n"
    "\n"
    "  --rewrite   put what the core prints into the files instead of comparing\n"
    "  --help      print this text\n"
    "\n"
    "Exit status: 0 all the same, 1 something differs, 2 a file that cannot be parsed.\n";

static const struct family *find_family(const char *command)
{
    static const struct family *const families[] = {&conf_change_family, &quorum_family,
                                                    &interaction_family};
    for (size_t i = 0; i < sizeof(families) / sizeof(families[0]); i++) {
        if (families[i]->knows(command)) {
            return families[i];
        }
    }
    return &interaction_family; /* which says what it does not know */
}

/* Prints the lines of `text` from the first one that differs, under `mark`. */
static void print_side(const char *text, size_t same, char mark)
{
    const char *at = text + same;
    while (*at != '\0') {
        size_t size = strcspn(at, "\n");
        printf("  %c %.*s%s\n", mark, (int)size, at, at[size] == '\n' ? "" : "<no newline>");
        at += size + (at[size] == '\n');
    }
}

static void print_difference(const struct script_case *item, const char *actual)
{
    size_t same = 0; /* bytes of whole lines that are alike */
    for (size_t i = 0; actual[i] != '\0' && actual[i] == item->expected[i]; i++) {
        if (actual[i] == '\n') {
            same = i + 1;
        }
    }
    uint32_t line = 1;
    for (size_t i = 0; i < same; i++) {
        line += actual[i] == '\n';
    }
    printf("%s:%u: %s: output differs from its line %u on (- expected, + printed)\n", item->path,
           item->line, item->command, line);
    print_side(item->expected, same, '-');
    print_side(actual, same, '+');
}

/* A result is compared with its newline. */
static void finish(struct buffer *out)
{
    if (out->size > 0 && out->data[out->size - 1] != '\n') {
        buffer_append_byte(out, '\n');
    }
    buffer_append_byte(out, 0);
    ASSERT(!out->failed);
}

/* Whether the text would be read back as less than it is: it has a line of white space alone, or
 * begins with "----". */
static bool needs_fence(const char *text)
{
    if (strncmp(text, "----\n", 5) == 0) {
        return true;
    }
    while (*text != '\0') {
        size_t size = strcspn(text, "\n");
        if (strspn(text, " \t\r\v\f") >= size) {
            return true;
        }
        text += size + (text[size] == '\n');
    }
    return false;
}

static void rewrite_case(const struct script_case *item, const char *actual, struct buffer *file)
{
    if (strcmp(actual, item->expected) == 0) {
        buffer_append(file, item->raw, item->whole_size);
        return;
    }
    buffer_append(file, item->raw, item->raw_size);
    bool last = item->raw[item->whole_size] == '\0';
    if (item->raw[item->raw_size - 1] != '\n') {
        print(file, "\n"); /* the file ended with the "----" */
    }
    if (needs_fence(actual)) {
        print(file, "----\n%s----\n----\n%s", actual, last ? "" : "\n");
    } else {
        print(file, "%s%s", actual, last ? "" : "\n");
    }
}

static void write_file(const char *path, const struct buffer *text)
{
    FILE *file = fopen(path, "wb");
    if (file == NULL || fwrite(text->data, 1, text->size, file) != text->size ||
        fclose(file) != 0) {
        perror(path);
        exit(2);
    }
}

/* Runs one file; returns how many cases differ. */
static uint32_t run_file(const char *path, bool rewrite)
{
    struct script script;
    struct script_case item;
    struct buffer file;
    buffer_init(&file);
    script_open(&script, path);
    const struct family *family = NULL;
    void *environment = NULL;
    uint32_t differing = 0;
    uint32_t count = 0;
    while (script_next(&script, &item)) {
        if (family == NULL) {
            family = find_family(item.command);
            environment = family->open();
        }
        struct buffer out;
        buffer_init(&out);
        family->run(environment, &item, &out);
        finish(&out);
        count++;
        if (rewrite) {
            rewrite_case(&item, (const char *)out.data, &file);
        } else if (strcmp((const char *)out.data, item.expected) != 0) {
            print_difference(&item, (const char *)out.data);
            differing++;
        }
        buffer_deinit(&out);
        script_case_deinit(&item);
    }
    if (family != NULL) {
        family->close(environment);
    }
    if (rewrite) {
        print(&file, "%s", script_rest(&script));
        write_file(path, &file);
    }
    buffer_deinit(&file);
    script_close(&script);
    printf("%s: %u cases, %u differ\n", path, count, differing);
    return differing;
}

int main(int argc, char **argv)
{
    setlocale(LC_CTYPE, "C.UTF-8");
    bool rewrite = false;
    int first = 1;
    while (first < argc && strncmp(argv[first], "--", 2) == 0) {
        if (strcmp(argv[first], "--help") == 0) {
            fputs(usage, stdout);
            return 0;
        }
        if (strcmp(argv[first], "--rewrite") != 0) {
            fprintf(stderr, "raft-scenario: unknown option %s\n%s", argv[first], usage);
            return 2;
        }
        rewrite = true;
        first++;
    }
    if (first == argc) {
        fputs(usage, stderr);
        return 2;
    }
    uint32_t differing = 0;
    for (int i = first; i < argc; i++) {
        differing += run_file(argv[i], rewrite);
    }
    return differing > 0 ? 1 : 0;
}
