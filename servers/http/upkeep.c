/* /trigger_*, /snapshot_status and /purge_log: what is done on the node that is asked. */
#include "http/body.h"
#include "http/handlers.h"
#include "http/server.h"

#include <rockraft/rockraft.h>

#include <inttypes.h>

/* A checkpoint of a large store on a slow disk. */
enum { SNAPSHOT_TIMEOUT_MS = 120 * 1000 };

static rr_node_info node_info(const struct exchange *exchange)
{
    rr_node_info info = {.struct_size = sizeof(info)};
    rr_node_get_info(exchange->server->node, &info);
    return info;
}

static void answer_snapshot(struct exchange *exchange);

/*
 * The result names the snapshot's index alone, and the node's info, which knows the term, is of its
 * last complete turn. A read of any key passes through a later turn.
 */
static void await_info(struct exchange *exchange)
{
    exchange_suspend(exchange, answer_snapshot);
    exchange_begun(exchange, rr_node_get(exchange->server->node, (rr_bytes){"", 0}, RR_READ_LOCAL,
                                         SNAPSHOT_TIMEOUT_MS, exchange_done, exchange));
}

static void answer_snapshot(struct exchange *exchange)
{
    if (exchange->status != RR_OK && exchange->status != RR_NOT_FOUND) {
        exchange_fail_operation(exchange);
        return;
    }
    /* A snapshot that came after the one asked for covers it, too. */
    rr_node_info info = node_info(exchange);
    if (info.snapshot_index < exchange->number) {
        await_info(exchange);
        return;
    }
    text_append_format(exchange_answer(exchange),
                       "{\"success\":true,\"term\":%" PRIu64 ",\"index\":%" PRIu64 "}",
                       info.snapshot_term, info.snapshot_index);
}

static void finish_snapshot(struct exchange *exchange)
{
    exchange->wants_result = false;
    exchange->number = rr_result_index(exchange->result);
    answer_snapshot(exchange);
}

void upkeep_snapshot(struct exchange *exchange)
{
    uint32_t timeout_ms;
    if (!exchange_read_timeout(exchange, SNAPSHOT_TIMEOUT_MS, &timeout_ms)) {
        return;
    }
    exchange->failure = "Failed to trigger snapshot: ";
    exchange->wants_result = true;
    exchange_suspend(exchange, finish_snapshot);
    exchange_begun(exchange,
                   rr_node_snapshot(exchange->server->node, timeout_ms, exchange_done, exchange));
}

void upkeep_snapshot_status(struct exchange *exchange)
{
    rr_node_info info = node_info(exchange);
    struct text *answer = exchange_answer(exchange);
    bool exists = info.snapshot_index > 0;
    text_append_format(answer, "{\"snapshot_exists\":%s,\"term\":", exists ? "true" : "false");
    json_write_number_or_null(answer, exists ? info.snapshot_term : 0);
    text_append_string(answer, ",\"index\":");
    json_write_number_or_null(answer, info.snapshot_index);
    text_append_string(answer, "}");
}

static void finish_purge(struct exchange *exchange)
{
    if (exchange->status != RR_OK) {
        exchange_fail_operation(exchange);
        return;
    }
    exchange_succeed(exchange, "Logs purged up to index %" PRIu64, exchange->number);
}

void upkeep_purge(struct exchange *exchange)
{
    json_t *root = body_parse(exchange);
    if (root == NULL) {
        return;
    }
    const json_t *upto = json_object_get(root, "upto_index");
    bool good = json_read_id(root, "upto_index", &exchange->number);
    if (!good && json_is_real(upto) && json_real_value(upto) >= 9223372036854775808.0 &&
        json_real_value(upto) <= 18446744073709551616.0) {
        /* Past 63 bits a number comes as a real one, and is beyond every index anyway. */
        exchange->number = UINT64_MAX;
        good = true;
    }
    json_decref(root);
    if (!good) {
        exchange_fail(exchange, MHD_HTTP_INTERNAL_SERVER_ERROR,
                      "Missing or invalid 'upto_index' field");
        return;
    }
    uint32_t timeout_ms;
    if (!exchange_read_timeout(exchange, exchange->server->config->timeout_ms, &timeout_ms)) {
        return;
    }
    exchange->failure = "Failed to purge log: ";
    exchange_suspend(exchange, finish_purge);
    exchange_begun(exchange, rr_node_purge(exchange->server->node, exchange->number, timeout_ms,
                                           exchange_done, exchange));
}

void upkeep_elect(struct exchange *exchange)
{
    exchange->failure = "Failed to trigger election: ";
    exchange->status = rr_node_trigger_election(exchange->server->node);
    if (exchange->status != RR_OK) {
        exchange_fail_operation(exchange);
        return;
    }
    exchange_succeed(exchange, "Election triggered");
}

void upkeep_heartbeat(struct exchange *exchange)
{
    exchange->failure = "Failed to trigger heartbeat: ";
    exchange->status = rr_node_trigger_heartbeat(exchange->server->node);
    if (exchange->status != RR_OK) {
        exchange_fail_operation(exchange);
        return;
    }
    exchange_succeed(exchange, "Heartbeat triggered");
}
