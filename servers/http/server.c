/*
 * The HTTP library's callbacks: a request comes in piece by piece, is checked as early as can be,
 * and leaves with one answer. A request that is refused early is still read to its end, so that
 * the connection stays usable.
 */
#include "http/server.h"

#include "common/service.h"
#include "http/cors.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
    /* A refused body is read and dropped up to here; a longer one ends the connection. */
    DRAIN_BYTES_MAX = 64 * 1024 * 1024,
    /* An answer that needs no account: the errors, and what most keys hold. */
    SMALL_ANSWER_BYTES = 16 * 1024
};

bool server_reserve_answer(struct server *server, size_t size, bool force)
{
    size_t before = atomic_fetch_add(&server->answers_bytes, size);
    if (force || size <= SMALL_ANSWER_BYTES || before == 0 ||
        before + size <= server->config->answers_bytes_max) {
        return true;
    }
    atomic_fetch_sub(&server->answers_bytes, size);
    return false;
}

void server_release_answer(struct server *server, size_t size)
{
    atomic_fetch_sub(&server->answers_bytes, size);
}

static const unsigned status_kinds[STATUS_KIND_COUNT] = {200, 400, 403, 404, 405, 413,
                                                         415, 422, 500, 503, 0};

size_t server_status_place(unsigned status)
{
    size_t place = 0;
    while (place < STATUS_KIND_COUNT - 1 && status_kinds[place] != status) {
        place++;
    }
    return place;
}

unsigned server_status_at(size_t place)
{
    return status_kinds[place];
}

uint64_t server_latency_bound_us(size_t bucket)
{
    static const uint64_t bounds[LATENCY_BUCKET_COUNT] = {
        250, 500, 1000, 2500, 5000, 10000, 50000, 100000, 500000, 1000000, 5000000, UINT64_MAX};
    return bounds[bucket];
}

/* ---- Sending ---- */

static const char *request_header(const struct exchange *exchange, const char *name)
{
    return MHD_lookup_connection_value(exchange->connection, MHD_HEADER_KIND, name);
}

static void add_headers(const struct exchange *exchange, const char *method,
                        struct MHD_Response *response)
{
    MHD_add_response_header(response, "Content-Type", exchange->content_type);
    if (exchange->answer_status == MHD_HTTP_METHOD_NOT_ALLOWED) {
        char methods[64];
        route_write_methods(exchange->allowed, methods, sizeof(methods));
        MHD_add_response_header(response, "Allow", methods);
    }
    if (exchange->retry_after_s > 0) {
        char seconds[16];
        snprintf(seconds, sizeof(seconds), "%u", exchange->retry_after_s);
        MHD_add_response_header(response, "Retry-After", seconds);
    }
    if (atomic_load(&exchange->server->stopping)) {
        MHD_add_response_header(response, "Connection", "close");
    }
    if (exchange->server->config->cors_origin_count > 0) {
        cors_add_headers(exchange->server->config, request_header(exchange, "Origin"),
                         strcmp(method, "OPTIONS") == 0, response);
    }
}

/* Hands the answer to the HTTP library; MHD_NO ends the connection. */
static enum MHD_Result send_answer(struct exchange *exchange, const char *method)
{
    exchange_drop_body(exchange);
    rr_result_free(exchange->result);
    exchange->result = NULL;
    struct text *answer = &exchange->answer;
    if (answer->failed) {
        text_deinit(answer);
        exchange_fail(exchange, MHD_HTTP_INTERNAL_SERVER_ERROR, "out of memory");
        if (answer->failed) {
            return MHD_NO;
        }
    }
    server_release_answer(exchange->server, exchange->answer_reserved);
    exchange->answer_reserved = answer->size;
    (void)server_reserve_answer(exchange->server, answer->size, /*force=*/true);
    exchange->server->counters.sent_bytes += answer->size;
    if (answer->capacity > 2 * SMALL_ANSWER_BYTES) {
        char *shrunk = realloc(answer->data, answer->size > 0 ? answer->size : 1);
        answer->data = shrunk != NULL ? shrunk : answer->data;
    }
    struct MHD_Response *response =
        MHD_create_response_from_buffer(answer->size, answer->data, MHD_RESPMEM_MUST_FREE);
    if (response == NULL) {
        return MHD_NO;
    }
    *answer = (struct text){0};
    add_headers(exchange, method, response);
    enum MHD_Result queued =
        MHD_queue_response(exchange->connection, exchange->answer_status, response);
    MHD_destroy_response(response);
    exchange->stage = EXCHANGE_ANSWERED;
    return queued;
}

/* ---- Receiving ---- */

/* "application/json" or "application/...+json", with or without parameters. */
static bool is_json_type(const char *type)
{
    if (type == NULL || strncasecmp(type, "application/", 12) != 0) {
        return false;
    }
    const char *name = type + 12;
    size_t size = strcspn(name, "; \t");
    return (size == 4 && strncasecmp(name, "json", 4) == 0) ||
           (size > 5 && strncasecmp(name + size - 5, "+json", 5) == 0);
}

/* The size that the request announces, or 0. The HTTP library has checked its form. */
static uint64_t announced_size(const struct exchange *exchange)
{
    const char *text = request_header(exchange, "Content-Length");
    return text != NULL ? strtoull(text, NULL, 10) : 0;
}

static void refuse_size(struct exchange *exchange)
{
    exchange_fail(exchange, MHD_HTTP_CONTENT_TOO_LARGE,
                  "The body is larger than %llu bytes (limits.body_bytes_max)",
                  (unsigned long long)exchange->server->config->body_bytes_max);
    exchange->refused = true;
}

/* Answers what can be answered from the head alone. */
static void check_head(struct exchange *exchange, const char *method)
{
    const rr_config *config = exchange->server->config;
    const struct route *route = exchange->route;
    exchange->refused = true;
    if (atomic_load(&exchange->server->stopping)) {
        exchange_fail(exchange, MHD_HTTP_SERVICE_UNAVAILABLE, "The server is shutting down");
        exchange->retry_after_s = 1;
    } else if (strcmp(method, "OPTIONS") == 0 && config->cors_origin_count > 0) {
        text_append_string(exchange_answer(exchange), "{}");
    } else if (exchange->allowed == 0) {
        exchange_fail_key(exchange, MHD_HTTP_NOT_FOUND, "There is nothing at ", exchange->path, "");
    } else if (route == NULL) {
        exchange_fail(exchange, MHD_HTTP_METHOD_NOT_ALLOWED,
                      "The method %.32s is not allowed here, see the header 'allow'", method);
    } else if (route->method != METHOD_GET &&
               !cors_allows_change(config, request_header(exchange, "Origin"),
                                   request_header(exchange, "Host"))) {
        exchange_fail(exchange, MHD_HTTP_FORBIDDEN,
                      "A web page of this origin may not do this (http.cors_origins)");
    } else if (route->body == BODY_JSON &&
               !is_json_type(request_header(exchange, "Content-Type"))) {
        exchange_fail(exchange, MHD_HTTP_UNSUPPORTED_MEDIA_TYPE,
                      "The body must have the content type application/json");
    } else if (route->body != BODY_IGNORED && announced_size(exchange) > config->body_bytes_max) {
        refuse_size(exchange);
    } else {
        exchange->refused = false;
    }
}

/*
 * The head is complete. A refusal waits for the body's end, unless the client asked before sending
 * it or it is too long to be read for nothing: then it is sent at once, and the HTTP library
 * closes the connection, as there is no telling what follows.
 */
static enum MHD_Result receive_head(struct exchange *exchange, const char *method)
{
    exchange->stage = EXCHANGE_RECEIVING;
    exchange->route = route_find(route_method(method), exchange->path, &exchange->allowed);
    check_head(exchange, method);
    bool asks = request_header(exchange, "Expect") != NULL;
    if ((exchange->refused && asks) || announced_size(exchange) > DRAIN_BYTES_MAX) {
        if (!exchange->refused && exchange->route->body != BODY_IGNORED) {
            return MHD_YES; /* body_bytes_max is larger than what is drained */
        }
        if (!exchange->refused) {
            refuse_size(exchange);
        }
        return send_answer(exchange, method);
    }
    return MHD_YES;
}

/* Makes room for a body of `size` bytes; false when it is over a limit, and then refused. */
static bool reserve_body(struct exchange *exchange, size_t size)
{
    struct server *server = exchange->server;
    const rr_config *config = server->config;
    if (size > config->body_bytes_max) {
        refuse_size(exchange);
        return false;
    }
    if (size <= exchange->body_reserved) {
        return true;
    }
    /* Doubling is cheap for chunked bodies, and honest: what is announced need not come. */
    size_t wanted = exchange->body_reserved * 2 > size ? exchange->body_reserved * 2 : size;
    uint64_t announced = announced_size(exchange);
    if (announced >= size && wanted > announced) {
        wanted = (size_t)announced;
    }
    size_t more = wanted - exchange->body_reserved;
    if (server->bodies_bytes + more > config->bodies_bytes_max ||
        !text_reserve(&exchange->body, wanted)) {
        exchange_fail(exchange, MHD_HTTP_SERVICE_UNAVAILABLE,
                      "Too many large requests at once, try again later");
        exchange->retry_after_s = 1;
        exchange->refused = true;
        return false;
    }
    server->bodies_bytes += more;
    exchange->body_reserved = wanted;
    return true;
}

static enum MHD_Result receive_body(struct exchange *exchange, const char *data, size_t size)
{
    exchange->body_size += size;
    exchange->server->counters.received_bytes += size;
    bool keep = !exchange->refused && exchange->route->body != BODY_IGNORED;
    if (!keep) {
        return exchange->body_size > DRAIN_BYTES_MAX ? MHD_NO : MHD_YES;
    }
    if (reserve_body(exchange, exchange->body.size + size)) {
        text_append(&exchange->body, data, size);
    } else {
        exchange_drop_body(exchange);
    }
    return MHD_YES;
}

static enum MHD_Result handle(void *arg, struct MHD_Connection *connection, const char *url,
                              const char *method, const char *version, const char *data,
                              size_t *size, void **request)
{
    struct exchange *exchange = *request;
    if (exchange == NULL) {
        return MHD_NO;
    }
    switch (exchange->stage) {
    case EXCHANGE_NEW:
        return receive_head(exchange, method);
    case EXCHANGE_RECEIVING:
        if (*size > 0) {
            enum MHD_Result result = receive_body(exchange, data, *size);
            *size = 0;
            return result;
        }
        if (!exchange->refused) {
            exchange->route->handle(exchange);
            if (exchange->stage == EXCHANGE_SUSPENDED) {
                exchange_drop_body(exchange);
                return MHD_YES;
            }
        }
        return send_answer(exchange, method);
    case EXCHANGE_SUSPENDED:
        exchange->stage = EXCHANGE_RECEIVING;
        exchange->finish(exchange);
        return exchange->stage == EXCHANGE_SUSPENDED ? MHD_YES : send_answer(exchange, method);
    case EXCHANGE_ANSWERED:
        return MHD_YES;
    }
    return MHD_NO;
}

/* ---- Beginnings and ends ---- */

/* The target as it came; the library's own decoding would lose zeros and slashes. */
static void *begin(void *arg, const char *target, struct MHD_Connection *connection)
{
    struct server *server = arg;
    struct exchange *exchange = exchange_new(server, connection, target);
    if (exchange != NULL) {
        atomic_fetch_add(&server->active_count, 1);
    }
    return exchange;
}

static void count(struct server *server, const struct exchange *exchange, uint64_t took_us)
{
    struct counters *counters = &server->counters;
    size_t row = exchange->route != NULL ? (size_t)(exchange->route - routes) : ROUTE_COUNT;
    counters->answers[row][server_status_place(exchange->answer_status)]++;
    size_t bucket = 0;
    while (took_us > server_latency_bound_us(bucket)) {
        bucket++;
    }
    counters->latency[bucket]++;
    counters->latency_sum_us += took_us;
}

static void end(void *arg, struct MHD_Connection *connection, void **request,
                enum MHD_RequestTerminationCode code)
{
    struct server *server = arg;
    struct exchange *exchange = *request;
    if (exchange == NULL) {
        return;
    }
    *request = NULL;
    uint64_t took_us = service_now_us() - exchange->started_us;
    if (exchange->stage == EXCHANGE_ANSWERED) {
        count(server, exchange, took_us);
    }
    if (log_enabled(server->log, RR_LOG_DEBUG)) {
        log_write(server->log, RR_LOG_DEBUG, "%.*s: %u in %llu us%s", (int)exchange->path.size,
                  (const char *)exchange->path.data, exchange->answer_status,
                  (unsigned long long)took_us,
                  code == MHD_REQUEST_TERMINATED_COMPLETED_OK ? "" : ", cut off");
    }
    exchange_free(exchange);
    atomic_fetch_sub(&server->active_count, 1);
}

static void count_connection(void *arg, struct MHD_Connection *connection, void **context,
                             enum MHD_ConnectionNotificationCode code)
{
    struct server *server = arg;
    server->counters.connections += code == MHD_CONNECTION_NOTIFY_STARTED ? 1 : (uint64_t)-1;
}

/* The library decodes in place what it thinks it needs; here, nothing is. */
static size_t leave_encoded(void *arg, struct MHD_Connection *connection, char *text)
{
    return strlen(text);
}

static void log_library(void *arg, const char *format, va_list arguments)
    __attribute__((format(printf, 2, 0)));
static void log_library(void *arg, const char *format, va_list arguments)
{
    struct server *server = arg;
    char text[512];
    vsnprintf(text, sizeof(text), format, arguments);
    size_t size = strlen(text);
    if (size > 0 && text[size - 1] == '\n') {
        text[size - 1] = '\0';
    }
    log_write(server->log, RR_LOG_DEBUG, "connection: %s", text);
}

struct server *server_start(const rr_config *config, rr_node *node, struct log *log, int listener)
{
    struct server *server = calloc(1, sizeof(*server));
    if (server == NULL) {
        return NULL;
    }
    server->config = config;
    server->node = node;
    server->log = log;
    server->listener = listener;
    /* Without "turbo", the library misses a client's end that comes together with its last bytes,
     * and the connection stays until it has been idle for too long. */
    unsigned flags =
        MHD_USE_EPOLL_INTERNAL_THREAD | MHD_USE_SUSPEND_RESUME | MHD_USE_ERROR_LOG | MHD_USE_TURBO;
    server->daemon = MHD_start_daemon(
        flags, 0, NULL, NULL, handle, server, MHD_OPTION_EXTERNAL_LOGGER, log_library, server,
        MHD_OPTION_LISTEN_SOCKET, listener, MHD_OPTION_URI_LOG_CALLBACK, begin, server,
        MHD_OPTION_NOTIFY_COMPLETED, end, server, MHD_OPTION_NOTIFY_CONNECTION, count_connection,
        server, MHD_OPTION_UNESCAPE_CALLBACK, leave_encoded, server, MHD_OPTION_CONNECTION_LIMIT,
        (unsigned)config->connections_max, MHD_OPTION_CONNECTION_MEMORY_LIMIT,
        (size_t)config->header_bytes_max, MHD_OPTION_CONNECTION_TIMEOUT,
        (unsigned)((config->idle_timeout_ms + 999) / 1000), MHD_OPTION_END);
    if (server->daemon == NULL) {
        free(server);
        return NULL;
    }
    return server;
}

void server_quiesce(struct server *server)
{
    atomic_store(&server->stopping, true);
    (void)MHD_quiesce_daemon(server->daemon);
    shutdown(server->listener, SHUT_RDWR);
}

void server_drain(struct server *server, uint32_t timeout_ms)
{
    /* The last answers leave within a few turns of the loop; asking now and then is enough. */
    uint64_t until = service_now_us() + (uint64_t)timeout_ms * 1000;
    while (atomic_load(&server->active_count) > 0 && service_now_us() < until) {
        usleep(2000);
    }
}

bool server_stop(struct server *server)
{
    if (server == NULL) {
        return true;
    }
    if (atomic_load(&server->suspended_count) > 0) {
        return false;
    }
    MHD_stop_daemon(server->daemon);
    free(server);
    return true;
}
