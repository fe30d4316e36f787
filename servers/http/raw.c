/* /raw/KEY: keys as percent-encoded paths and values as plain bytes. */
#include "http/handlers.h"
#include "http/query.h"
#include "http/server.h"

#include <rockraft/rockraft.h>

#include <string.h>

/* The key is the rest of the path, slashes and all. */
static void read_key(struct exchange *exchange)
{
    size_t skip = strlen(exchange->route->path);
    rr_bytes encoded = {(const char *)exchange->path.data + skip, exchange->path.size - skip};
    query_decode(&exchange->key, encoded, /*plus=*/false);
}

static void finish_get(struct exchange *exchange)
{
    rr_bytes value;
    if (exchange->status == RR_OK && rr_result_value(exchange->result, 0, &value)) {
        struct text *answer = exchange_answer(exchange);
        exchange->content_type = "application/octet-stream";
        text_append(answer, value.data, value.size);
    } else if (exchange->status == RR_OK || exchange->status == RR_NOT_FOUND) {
        exchange_fail_key(exchange, MHD_HTTP_NOT_FOUND, "There is no key ",
                          text_bytes(&exchange->key), "");
    } else {
        exchange_fail_operation(exchange);
    }
}

void raw_get(struct exchange *exchange)
{
    rr_read_level level;
    uint32_t timeout_ms;
    if (!exchange_read_level(exchange, &level) ||
        !exchange_read_timeout(exchange, exchange->server->config->timeout_ms, &timeout_ms)) {
        return;
    }
    read_key(exchange);
    exchange->failure = "Failed to read: ";
    exchange->wants_result = true;
    exchange_suspend(exchange, finish_get);
    exchange_begun(exchange, rr_node_get(exchange->server->node, text_bytes(&exchange->key), level,
                                         timeout_ms, exchange_done, exchange));
}

static void finish_put(struct exchange *exchange)
{
    if (exchange->status != RR_OK) {
        exchange_fail_operation(exchange);
        return;
    }
    exchange_succeed_key(exchange, "Key ", text_bytes(&exchange->key),
                         exchange->route->method == METHOD_PUT ? " set successfully"
                                                               : " deleted successfully");
}

static void change(struct exchange *exchange)
{
    rr_write_options options;
    if (!exchange_read_write_options(exchange, &options)) {
        return;
    }
    read_key(exchange);
    bool put = exchange->route->method == METHOD_PUT;
    exchange->failure = put ? "Failed to write: " : "Failed to delete: ";
    rr_bytes key = text_bytes(&exchange->key);
    rr_txn *txn = rr_txn_new();
    rr_status status =
        put ? rr_txn_set(txn, key, text_bytes(&exchange->body)) : rr_txn_delete(txn, key);
    exchange_suspend(exchange, finish_put);
    if (status == RR_OK) {
        status = rr_node_submit(exchange->server->node, txn, &options, exchange_done, exchange);
    }
    exchange_begun(exchange, status);
    rr_txn_free(txn);
}

void raw_put(struct exchange *exchange)
{
    change(exchange);
}

void raw_delete(struct exchange *exchange)
{
    change(exchange);
}
