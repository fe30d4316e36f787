/* Requests: their answers, their errors, and their way to the node's thread and back. */
#include "http/exchange.h"

#include "common/service.h"
#include "http/base64.h"
#include "http/query.h"
#include "http/server.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char JSON_TYPE[] = "application/json";

struct exchange *exchange_new(struct server *server, struct MHD_Connection *connection,
                              const char *target)
{
    struct exchange *exchange = calloc(1, sizeof(*exchange));
    char *copy = strdup(target);
    if (exchange == NULL || copy == NULL) {
        free(exchange);
        free(copy);
        return NULL;
    }
    exchange->server = server;
    exchange->connection = connection;
    exchange->started_us = service_now_us();
    exchange->target = copy;
    const char *question = strchr(copy, '?');
    size_t size = question != NULL ? (size_t)(question - copy) : strlen(copy);
    exchange->path = (rr_bytes){copy, size};
    exchange->query = question != NULL ? (rr_bytes){question + 1, strlen(question + 1)}
                                       : (rr_bytes){copy + size, 0};
    return exchange;
}

void exchange_drop_body(struct exchange *exchange)
{
    text_deinit(&exchange->body);
    exchange->server->bodies_bytes -= exchange->body_reserved;
    exchange->body_reserved = 0;
}

void exchange_free(struct exchange *exchange)
{
    if (exchange == NULL) {
        return;
    }
    exchange_drop_body(exchange);
    server_release_answer(exchange->server, exchange->answer_reserved);
    rr_result_free(exchange->result);
    text_deinit(&exchange->key);
    text_deinit(&exchange->value);
    text_deinit(&exchange->answer);
    free(exchange->target);
    free(exchange);
}

struct text *exchange_answer(struct exchange *exchange)
{
    exchange->answer.size = 0;
    exchange->answer_status = MHD_HTTP_OK;
    exchange->content_type = JSON_TYPE;
    return &exchange->answer;
}

static const char *outcome_name(enum outcome outcome)
{
    switch (outcome) {
    case OUTCOME_NONE:
        return NULL;
    case OUTCOME_NOT_APPLIED:
        return "not_applied";
    case OUTCOME_UNKNOWN:
        return "unknown";
    case OUTCOME_APPLIED:
        return "applied";
    }
    return NULL;
}

/* The error object; `name` is that of a status of the library, or NULL. */
static void write_error(struct exchange *exchange, unsigned status, rr_bytes message,
                        const char *name, enum outcome outcome)
{
    struct text *answer = exchange_answer(exchange);
    exchange->answer_status = status;
    text_append_string(answer, "{\"error\":");
    json_write_string(answer, message);
    if (name != NULL) {
        text_append_format(answer, ",\"status\":\"%s\"", name);
    }
    if (outcome_name(outcome) != NULL) {
        text_append_format(answer, ",\"outcome\":\"%s\"", outcome_name(outcome));
    }
    text_append_string(answer, "}");
}

/* What is said before the node has been asked: a write has certainly not happened. */
static enum outcome early_outcome(const struct exchange *exchange)
{
    return exchange->route != NULL && exchange->route->write ? OUTCOME_NOT_APPLIED : OUTCOME_NONE;
}

void exchange_fail(struct exchange *exchange, unsigned status, const char *format, ...)
{
    char message[1024];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(message, sizeof(message), format, arguments);
    va_end(arguments);
    write_error(exchange, status, (rr_bytes){message, strlen(message)}, NULL,
                early_outcome(exchange));
}

/* BEFORE'KEY'AFTER as text: a key that is none shows in base64. */
static void write_key_text(struct text *out, const char *before, rr_bytes key, const char *after)
{
    text_append_string(out, before);
    text_append_string(out, "'");
    if (text_is_utf8(key)) {
        text_append(out, key.data, key.size);
    } else {
        text_append_string(out, "base64:");
        base64_encode(out, key);
    }
    text_append_string(out, "'");
    text_append_string(out, after);
}

void exchange_fail_key(struct exchange *exchange, unsigned status, const char *before, rr_bytes key,
                       const char *after)
{
    struct text message = {0};
    write_key_text(&message, before, key, after);
    write_error(exchange, status, text_bytes(&message), NULL, early_outcome(exchange));
    text_deinit(&message);
}

/* What to tell a client about `status` where the node says nothing itself. */
static const char *status_cause(rr_status status)
{
    switch (status) {
    case RR_OK:
        return "the write took effect, but its answer could not be kept in memory";
    case RR_INVALID:
        return "the request can never succeed";
    case RR_NOT_FOUND:
        return "not found";
    case RR_NOT_LEADER:
        return "no leader took the request before its deadline";
    case RR_BUSY:
        return "the node is busy, try again later";
    case RR_NO_SPACE:
        return "the disk is nearly full";
    case RR_TOO_BIG:
        return "larger than a limit of this server";
    case RR_UNKNOWN:
        return "the outcome is not known: it may have been applied, or may yet be";
    case RR_TIMEOUT:
        return "the deadline passed; there may be no leader with a majority";
    case RR_CLOSED:
        return "the node is shutting down";
    case RR_NO_MEMORY:
        return "out of memory";
    case RR_CONFLICT:
        return "another change of the membership is under way, or the state forbids this one";
    case RR_MISMATCH:
        return "that node belongs to another cluster";
    case RR_STALE_SESSION:
        return "the session expired, or the sequence is older than its last";
    case RR_IO:
    case RR_CORRUPT:
    case RR_REJECTED:
        break;
    }
    return rr_status_name(status);
}

/* A deadline that passes during a change leaves its outcome open, whatever the change is. */
static enum outcome late_outcome(const struct exchange *exchange)
{
    if (exchange->route == NULL || !exchange->route->write) {
        return OUTCOME_NONE;
    }
    if (exchange->status == RR_OK) {
        return OUTCOME_APPLIED;
    }
    return exchange->status == RR_UNKNOWN || exchange->status == RR_TIMEOUT ? OUTCOME_UNKNOWN
                                                                            : OUTCOME_NOT_APPLIED;
}

void exchange_fail_operation(struct exchange *exchange)
{
    if (exchange->crowded) {
        exchange_fail(exchange, MHD_HTTP_SERVICE_UNAVAILABLE,
                      "%stoo many large answers are being sent, try again later",
                      exchange->failure);
        exchange->retry_after_s = 1;
        return;
    }
    const char *said = rr_result_message(exchange->result);
    struct text message = {0};
    text_append_string(&message, exchange->failure);
    text_append_string(&message,
                       said != NULL && said[0] != '\0' ? said : status_cause(exchange->status));
    write_error(exchange, MHD_HTTP_INTERNAL_SERVER_ERROR, text_bytes(&message),
                rr_status_name(exchange->status), late_outcome(exchange));
    text_deinit(&message);
}

void exchange_succeed_key(struct exchange *exchange, const char *before, rr_bytes key,
                          const char *after)
{
    struct text message = {0};
    write_key_text(&message, before, key, after);
    struct text *answer = exchange_answer(exchange);
    text_append_string(answer, "{\"success\":true,\"message\":");
    json_write_string(answer, text_bytes(&message));
    text_append_string(answer, "}");
    text_deinit(&message);
}

void exchange_succeed(struct exchange *exchange, const char *format, ...)
{
    char message[256];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(message, sizeof(message), format, arguments);
    va_end(arguments);
    struct text *answer = exchange_answer(exchange);
    text_append_string(answer, "{\"success\":true,\"message\":");
    json_write_string(answer, (rr_bytes){message, strlen(message)});
    text_append_string(answer, "}");
}

void exchange_suspend(struct exchange *exchange, void (*finish)(struct exchange *exchange))
{
    rr_result_free(exchange->result);
    exchange->result = NULL;
    server_release_answer(exchange->server, exchange->answer_reserved);
    exchange->answer_reserved = 0;
    exchange->finish = finish;
    exchange->stage = EXCHANGE_SUSPENDED;
    atomic_fetch_add(&exchange->server->suspended_count, 1);
    MHD_suspend_connection(exchange->connection);
}

void exchange_begun(struct exchange *exchange, rr_status status)
{
    if (status != RR_OK) {
        exchange_done(exchange, status, NULL);
    }
}

static size_t result_size(const rr_result *result)
{
    size_t size = 0;
    for (size_t i = 0; i < rr_result_count(result); i++) {
        rr_bytes value;
        if (rr_result_value(result, i, &value)) {
            size += value.size;
        }
        size += rr_result_key(result, i).size;
    }
    return size;
}

/* Keeps what the answer needs of `result`. A write's is kept at any price: it has happened. */
static void keep_result(struct exchange *exchange, const rr_result *result)
{
    size_t size = result_size(result);
    if (!server_reserve_answer(exchange->server, size, exchange->route->write)) {
        exchange->crowded = true;
        exchange->status = RR_BUSY;
        return;
    }
    exchange->answer_reserved = size;
    exchange->result = rr_result_copy(result);
    if (exchange->result == NULL && exchange->status == RR_OK && !exchange->route->write) {
        exchange->status = RR_NO_MEMORY;
    }
}

void exchange_done(void *arg, rr_status status, const rr_result *result)
{
    struct exchange *exchange = arg;
    exchange->status = status;
    if (result != NULL && (exchange->wants_result || status != RR_OK)) {
        keep_result(exchange, result);
    }
    /* From the resumption on, the exchange is the HTTP thread's, which may free it at once. */
    struct server *server = exchange->server;
    MHD_resume_connection(exchange->connection);
    atomic_fetch_sub(&server->suspended_count, 1);
}

bool exchange_read_parameter(struct exchange *exchange, const char *name, struct text *out,
                             bool *found)
{
    char base64_name[32];
    snprintf(base64_name, sizeof(base64_name), "%s_base64", name);
    struct text encoded = {0};
    *found = query_find(exchange->query, base64_name, &encoded);
    bool good = true;
    if (*found) {
        good = base64_decode(out, text_bytes(&encoded));
        if (!good) {
            exchange_fail(exchange, MHD_HTTP_BAD_REQUEST, "Invalid '%s' parameter: not base64",
                          base64_name);
        }
    } else {
        *found = query_find(exchange->query, name, out);
    }
    text_deinit(&encoded);
    return good;
}

bool exchange_read_number(struct exchange *exchange, const char *name, uint64_t min, uint64_t max,
                          uint64_t *number)
{
    struct text value = {0};
    if (!query_find(exchange->query, name, &value)) {
        return true;
    }
    uint64_t parsed = 0;
    bool good = value.size > 0 && value.size <= 18;
    for (size_t i = 0; i < value.size && good; i++) {
        good = value.data[i] >= '0' && value.data[i] <= '9';
        parsed = parsed * 10 + (uint64_t)(value.data[i] - '0');
    }
    text_deinit(&value);
    if (!good || parsed < min || parsed > max) {
        exchange_fail(exchange, MHD_HTTP_BAD_REQUEST,
                      "Invalid '%s' parameter: expected a number from %" PRIu64 " to %" PRIu64,
                      name, min, max);
        return false;
    }
    *number = parsed;
    return true;
}

bool exchange_read_level(struct exchange *exchange, rr_read_level *level)
{
    static const struct {
        const char *name;
        rr_read_level level;
    } names[] = {
        {"linearizable", RR_READ_LINEARIZABLE}, {"lease", RR_READ_LEASE}, {"local", RR_READ_LOCAL}};
    *level = RR_READ_LINEARIZABLE;
    struct text value = {0};
    bool good = !query_find(exchange->query, "consistency", &value);
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]) && !good; i++) {
        if (value.size == strlen(names[i].name) &&
            memcmp(value.data, names[i].name, value.size) == 0) {
            *level = names[i].level;
            good = true;
        }
    }
    text_deinit(&value);
    if (!good) {
        exchange_fail(exchange, MHD_HTTP_BAD_REQUEST,
                      "Invalid 'consistency' parameter: expected linearizable, lease or local");
    }
    return good;
}

bool exchange_read_timeout(struct exchange *exchange, uint64_t fallback, uint32_t *timeout_ms)
{
    uint64_t number = fallback;
    bool good = exchange_read_number(exchange, "timeout_ms", 1, 600000, &number);
    *timeout_ms = (uint32_t)number;
    return good;
}

bool exchange_read_write_options(struct exchange *exchange, rr_write_options *options)
{
    rr_write_options_init(options);
    if (!exchange_read_timeout(exchange, exchange->server->config->timeout_ms,
                               &options->timeout_ms) ||
        !exchange_read_number(exchange, "session", 1, UINT64_MAX, &options->session) ||
        !exchange_read_number(exchange, "sequence", 1, UINT64_MAX, &options->sequence)) {
        return false;
    }
    if ((options->session == 0) != (options->sequence == 0)) {
        exchange_fail(exchange, MHD_HTTP_BAD_REQUEST,
                      "'session' and 'sequence' go together: one of them is missing");
        return false;
    }
    return true;
}
