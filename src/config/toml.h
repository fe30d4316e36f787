/*
 * TOML documents, read through toml++; the one place that knows it. Tables nest one level deep
 * here, which is all that the configuration needs.
 *
 * A document owns its values; a value is borrowed from it. One thread at a time.
 */
#ifndef CONFIG_TOML_H
#define CONFIG_TOML_H

#include "rockraft/types.h"

#ifdef __cplusplus
extern "C" {
#endif

struct toml_document;

enum toml_kind {
    TOML_ABSENT,
    TOML_TABLE,
    TOML_ARRAY,
    TOML_TEXT,
    TOML_INTEGER,
    TOML_BOOLEAN,
    TOML_OTHER /* floats, dates and times */
};

struct toml_value {
    enum toml_kind kind;
    unsigned line;    /* where it stands; 0 when absent */
    const char *text; /* of a TOML_TEXT; terminated, without zeros inside */
    int64_t integer;  /* of a TOML_INTEGER */
    bool boolean;     /* of a TOML_BOOLEAN */
    size_t count;     /* items of a TOML_ARRAY */
    const void *node;
};

/*
 * Parses `text`. Returns RR_OK, or RR_INVALID with the line and one line of text about what is
 * wrong (neither NULL).
 */
rr_status toml_parse(rr_bytes text, struct toml_document **out, unsigned *line, char *error,
                     size_t error_size);

/* NULL is fine. */
void toml_free(struct toml_document *document);

/* The value at `table`.`key`, or at the top when `table` is NULL. */
struct toml_value toml_get(const struct toml_document *document, const char *table,
                           const char *key);

/* The item at `position`, which is below `array`.count. */
struct toml_value toml_item(struct toml_value array, size_t position);

/* Calls `visit` for each key of `table`, or of the top when that is NULL. The arguments last for
 * the call. */
typedef void (*toml_visit_fn)(void *arg, const char *key, struct toml_value value);
void toml_each(const struct toml_document *document, const char *table, toml_visit_fn visit,
               void *arg);

#ifdef __cplusplus
}
#endif

#endif
