/*
 * Bodies of requests as JSON, read through jansson within a limit of memory: a body of many tiny
 * objects would else take fifty times its size. One thread at a time.
 */
#ifndef HTTP_JSON_READ_H
#define HTTP_JSON_READ_H

#include "http/text.h"

#include <jansson.h>

enum json_read_result {
    JSON_READ_OK,
    JSON_READ_MALFORMED,
    JSON_READ_TOO_BIG /* more memory than `memory_bytes_max` */
};

/* Parses `body`, any JSON value. `*out` is the caller's, for json_decref. `error` receives a line
 * unless the result is JSON_READ_OK. */
enum json_read_result json_read(rr_bytes body, size_t memory_bytes_max, json_t **out, char *error,
                                size_t error_size);

/* A string member, or the bytes of its base64 form. */
struct json_bytes {
    enum {
        JSON_BYTES_ABSENT, /* neither NAME nor NAME_base64, or null */
        JSON_BYTES_FOUND,
        JSON_BYTES_WRONG /* no string, no base64, or both */
    } kind;
    bool null;      /* NAME is there, and is null */
    rr_bytes bytes; /* of JSON_BYTES_FOUND; borrowed from the JSON or from `decoded` */
    struct text decoded;
    char problem[96]; /* of JSON_BYTES_WRONG: what was expected */
};

/* Reads the member `name` of `object`. The caller ends with json_bytes_deinit. */
void json_bytes_read(struct json_bytes *field, const json_t *object, const char *name);
void json_bytes_deinit(struct json_bytes *field);

/* A positive integer member. False if it is absent or anything else. */
bool json_read_id(const json_t *object, const char *name, uint64_t *out);

#endif
