/*
 * What is printed: items of named fields, and findings. One item is one line of text, or one JSON
 * object on a line of its own.
 */
#ifndef INSPECT_OUTPUT_H
#define INSPECT_OUTPUT_H

#include <stdarg.h>
#include <stdio.h>

#include "inspect/bytes.h"

/* Where a finding has no place within its file. */
#define NO_OFFSET UINT64_MAX

struct output {
    FILE *file; /* NULL: nothing is printed, findings are counted */
    bool json;
    unsigned fields;  /* of the item that is being printed */
    uint64_t damages; /* what no crash explains */
    uint64_t notes;   /* what is worth a word and does no harm */
    uint64_t blind;   /* what could not be read, so that nothing is known of it */
};

/* An item: its kind, then any number of fields, then its end. Names are JSON names as they are. */
void output_begin(struct output *output, const char *kind);
void output_number(struct output *output, const char *name, uint64_t value);
void output_flag(struct output *output, const char *name, bool value);
void output_text(struct output *output, const char *name, const char *value);
void output_format(struct output *output, const char *name, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* Bytes that may be anything, as text: those that are not printable ASCII as \xNN. */
void output_bytes(struct output *output, const char *name, struct slice bytes);

/* 16 hexadecimal digits: identities and checksums. */
void output_id(struct output *output, const char *name, uint64_t value);

/* Bytes in hexadecimal digits. */
void output_hex(struct output *output, const char *name, struct slice bytes);

void output_end(struct output *output);

/*
 * Something that no crash explains: `what` is wrong in `file` (relative to the data directory) at
 * `offset` (NO_OFFSET: nowhere in particular). `remedy` says what to do.
 */
void output_damage(struct output *output, const char *file, uint64_t offset, const char *remedy,
                   const char *what, ...) __attribute__((format(printf, 5, 6)));

/* Something that is as it may be, but worth a word. */
void output_note(struct output *output, const char *file, uint64_t offset, const char *what, ...)
    __attribute__((format(printf, 4, 5)));

/* Something that could not be read for reasons outside the file: nothing is known of it. */
void output_blind(struct output *output, const char *file, const char *what, ...)
    __attribute__((format(printf, 3, 4)));

#endif
