/* /health and /metrics: what this node knows, as JSON and for Prometheus. */
#include "http/handlers.h"
#include "http/query.h"
#include "http/server.h"

#include <rockraft/config.h>
#include <rockraft/rockraft.h>

#include <inttypes.h>
#include <math.h>
#include <string.h>

enum { MEMBERS_MAX = 128 };

static const char *role_name(rr_role role)
{
    switch (role) {
    case RR_FOLLOWER:
        return "Follower";
    case RR_CANDIDATE:
        return "Candidate";
    case RR_LEADER:
        return "Leader";
    case RR_ROLE_LEARNER:
        return "Learner";
    }
    return "Learner";
}

void status_health(struct exchange *exchange)
{
    rr_node_info info = {.struct_size = sizeof(info)};
    rr_node_get_info(exchange->server->node, &info);
    struct text *answer = exchange_answer(exchange);
    text_append_format(
        answer, "{\"status\":\"%s\",\"node_id\":%" PRIu64 ",\"is_leader\":%s,\"current_leader\":",
        info.halted ? "halted" : "ok", info.node_id, info.role == RR_LEADER ? "true" : "false");
    json_write_number_or_null(answer, info.leader);
    text_append_format(answer, ",\"current_term\":%" PRIu64 ",\"state\":\"%s\"}", info.term,
                       role_name(info.role));
}

static void write_ids(struct text *answer, const uint64_t *ids, uint32_t count)
{
    text_append_string(answer, "[");
    for (uint32_t i = 0; i < count && i < 64; i++) {
        text_append_format(answer, "%s%" PRIu64, i > 0 ? "," : "", ids[i]);
    }
    text_append_string(answer, "]");
}

/* {"leader_id":{"term":T,"node_id":N},"index":I}, or null for index 0. The leader of a past term
 * is not kept; N is then 0, as clients expect a number. */
static void write_log_id(struct text *answer, const rr_node_info *info, uint64_t term,
                         uint64_t index)
{
    if (index == 0) {
        text_append_string(answer, "null");
        return;
    }
    text_append_format(answer,
                       "{\"leader_id\":{\"term\":%" PRIu64 ",\"node_id\":%" PRIu64
                       "},\"index\":%" PRIu64 "}",
                       term, term == info->term ? info->leader : 0, index);
}

static void write_membership(struct text *answer, rr_node *node, const rr_node_info *info)
{
    text_append_string(answer, "{\"log_id\":");
    write_log_id(answer, info, info->membership_term, info->membership_index);
    text_append_string(answer, ",\"membership\":{\"configs\":[");
    write_ids(answer, info->incoming, info->incoming_count);
    if (info->outgoing_count > 0) {
        text_append_string(answer, ",");
        write_ids(answer, info->outgoing, info->outgoing_count);
    }
    text_append_string(answer, "],\"nodes\":{");
    rr_member members[MEMBERS_MAX];
    size_t count = rr_node_members(node, members, MEMBERS_MAX);
    for (size_t i = 0; i < count && i < MEMBERS_MAX; i++) {
        char host[256] = "";
        uint16_t port = 0;
        (void)!rr_address_split(members[i].address, host, sizeof(host), &port, NULL);
        text_append_format(answer,
                           "%s\"%" PRIu64 "\":{\"node_id\":%" PRIu64 ",\"endpoint\":{\"address\":",
                           i > 0 ? "," : "", members[i].id, members[i].id);
        json_write_string(answer, (rr_bytes){host, strlen(host)});
        text_append_format(answer, ",\"port\":%u}}", port);
    }
    text_append_string(answer, "}}}");
}

static void answer_json(struct exchange *exchange)
{
    rr_node *node = exchange->server->node;
    rr_node_info info = {.struct_size = sizeof(info)};
    rr_node_get_info(node, &info);
    struct text *answer = exchange_answer(exchange);
    text_append_format(answer, "{\"node_id\":%" PRIu64 ",\"current_leader\":", info.node_id);
    json_write_number_or_null(answer, info.leader);
    text_append_format(answer, ",\"current_term\":%" PRIu64 ",\"last_applied\":", info.term);
    write_log_id(answer, &info, info.applied_term, info.applied_index);
    text_append_string(answer, ",\"last_log_index\":");
    json_write_number_or_null(answer, info.last_index);
    text_append_format(answer, ",\"state\":%s,\"role\":\"%s\",\"membership\":",
                       info.halted ? "{\"Err\":\"halted\"}" : "{\"Ok\":null}",
                       role_name(info.role));
    write_membership(answer, node, &info);
    text_append_string(answer, "}");
}

/* Prometheus text has no JSON escapes: help texts keep to one line. */
static void write_metric(void *arg, const char *name, const char *help, bool counter, double value)
{
    struct text *answer = arg;
    const char *kind = counter ? "counter" : "gauge";
    text_append_format(answer, "# HELP rockraft_%s %s\n# TYPE rockraft_%s %s\n", name, help, name,
                       kind);
    if (isfinite(value)) {
        text_append_format(answer, "rockraft_%s %.17g\n", name, value);
    } else {
        text_append_format(answer, "rockraft_%s NaN\n", name);
    }
}

static void write_answers(struct text *answer, const struct counters *counters)
{
    text_append_string(answer, "# HELP rockraft_http_requests_total Requests answered.\n"
                               "# TYPE rockraft_http_requests_total counter\n");
    for (size_t row = 0; row <= ROUTE_COUNT; row++) {
        for (size_t place = 0; place < STATUS_KIND_COUNT; place++) {
            if (counters->answers[row][place] == 0) {
                continue;
            }
            static const char *const methods[] = {[METHOD_GET] = "GET",
                                                  [METHOD_POST] = "POST",
                                                  [METHOD_PUT] = "PUT",
                                                  [METHOD_DELETE] = "DELETE"};
            bool known = row < ROUTE_COUNT;
            text_append_format(answer,
                               "rockraft_http_requests_total{path=\"%s\",method=\"%s\","
                               "status=\"%u\"} %" PRIu64 "\n",
                               known ? routes[row].path : "other",
                               known ? methods[routes[row].method] : "any", server_status_at(place),
                               counters->answers[row][place]);
        }
    }
}

static void write_latency(struct text *answer, const struct counters *counters)
{
    static const char name[] = "rockraft_http_request_seconds";
    text_append_format(answer, "# HELP %s From the request line to the last byte.\n", name);
    text_append_format(answer, "# TYPE %s histogram\n", name);
    uint64_t total = 0;
    for (size_t i = 0; i < LATENCY_BUCKET_COUNT; i++) {
        total += counters->latency[i];
        uint64_t bound = server_latency_bound_us(i);
        if (bound == UINT64_MAX) {
            text_append_format(answer, "%s_bucket{le=\"+Inf\"} %" PRIu64 "\n", name, total);
        } else {
            text_append_format(answer, "%s_bucket{le=\"%g\"} %" PRIu64 "\n", name,
                               (double)bound / 1e6, total);
        }
    }
    text_append_format(answer, "%s_sum %.6f\n%s_count %" PRIu64 "\n", name,
                       (double)counters->latency_sum_us / 1e6, name, total);
}

static void answer_prometheus(struct exchange *exchange)
{
    struct server *server = exchange->server;
    struct text *answer = exchange_answer(exchange);
    exchange->content_type = "text/plain; version=0.0.4; charset=utf-8";
    rr_node_metrics(server->node, write_metric, answer);
    write_answers(answer, &server->counters);
    write_latency(answer, &server->counters);
    write_metric(answer, "http_connections", "Open connections of clients.", false,
                 (double)server->counters.connections);
    write_metric(answer, "http_requests_active", "Requests that are being received or answered.",
                 false, (double)atomic_load(&server->active_count));
    write_metric(answer, "http_body_bytes", "Memory held by bodies of requests.", false,
                 (double)server->bodies_bytes);
    write_metric(answer, "http_answer_bytes", "Memory held by answers.", false,
                 (double)atomic_load(&server->answers_bytes));
    write_metric(answer, "http_received_bytes_total", "Bytes of bodies received.", true,
                 (double)server->counters.received_bytes);
    write_metric(answer, "http_sent_bytes_total", "Bytes of answers sent.", true,
                 (double)server->counters.sent_bytes);
}

void status_metrics(struct exchange *exchange)
{
    struct text format = {0};
    bool given = query_find(exchange->query, "format", &format);
    rr_bytes value = text_bytes(&format);
    if (!given || (value.size == 4 && memcmp(value.data, "json", 4) == 0)) {
        answer_json(exchange);
    } else if (value.size == 10 && memcmp(value.data, "prometheus", 10) == 0) {
        answer_prometheus(exchange);
    } else {
        exchange_fail(exchange, MHD_HTTP_BAD_REQUEST,
                      "Invalid 'format' parameter: expected json or prometheus");
    }
    text_deinit(&format);
}
