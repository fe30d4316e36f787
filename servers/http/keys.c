/* /get, /set, /delete, /getset: one key. */
#include "http/body.h"
#include "http/handlers.h"
#include "http/server.h"

#include <rockraft/rockraft.h>

static void finish_get(struct exchange *exchange)
{
    if (exchange->status != RR_OK && exchange->status != RR_NOT_FOUND) {
        exchange_fail_operation(exchange);
        return;
    }
    rr_bytes value;
    struct text *answer = exchange_answer(exchange);
    text_append_string(answer, "{");
    json_write_member(answer, "key", text_bytes(&exchange->key));
    if (exchange->status == RR_OK && rr_result_value(exchange->result, 0, &value)) {
        text_append_string(answer, ",");
        json_write_member(answer, "value", value);
    } else {
        text_append_string(answer, ",\"value\":null");
    }
    text_append_string(answer, "}");
}

void keys_get(struct exchange *exchange)
{
    bool found = false;
    rr_read_level level;
    uint32_t timeout_ms;
    if (!exchange_read_parameter(exchange, "key", &exchange->key, &found) ||
        !exchange_read_level(exchange, &level) ||
        !exchange_read_timeout(exchange, exchange->server->config->timeout_ms, &timeout_ms)) {
        return;
    }
    if (!found) {
        exchange_fail(exchange, MHD_HTTP_INTERNAL_SERVER_ERROR, "Missing 'key' parameter");
        return;
    }
    exchange->failure = "Failed to read: ";
    exchange->wants_result = true;
    exchange_suspend(exchange, finish_get);
    exchange_begun(exchange, rr_node_get(exchange->server->node, text_bytes(&exchange->key), level,
                                         timeout_ms, exchange_done, exchange));
}

/* Submits the transaction that sets (`value` not NULL) or deletes `key`. */
static void submit_one(struct exchange *exchange, rr_bytes key, const rr_bytes *value,
                       void (*finish)(struct exchange *exchange))
{
    rr_write_options options;
    if (!exchange_read_write_options(exchange, &options)) {
        return;
    }
    rr_txn *txn = rr_txn_new();
    rr_status status = value != NULL ? rr_txn_set(txn, key, *value) : rr_txn_delete(txn, key);
    rr_txn_return_previous(txn, exchange->wants_result);
    text_append(&exchange->key, key.data, key.size);
    exchange_suspend(exchange, finish);
    if (status == RR_OK) {
        status = rr_node_submit(exchange->server->node, txn, &options, exchange_done, exchange);
    }
    exchange_begun(exchange, status);
    rr_txn_free(txn);
}

static void finish_set(struct exchange *exchange)
{
    if (exchange->status != RR_OK) {
        exchange_fail_operation(exchange);
        return;
    }
    exchange_succeed_key(exchange, "Key ", text_bytes(&exchange->key), " set successfully");
}

void keys_set(struct exchange *exchange)
{
    json_t *root = body_parse_object(exchange);
    if (root == NULL) {
        return;
    }
    struct json_bytes key = {0};
    struct json_bytes value = {0};
    if (body_require_bytes(exchange, root, "key", &key) &&
        body_require_bytes(exchange, root, "value", &value)) {
        exchange->failure = "Failed to write: ";
        submit_one(exchange, key.bytes, &value.bytes, finish_set);
    }
    json_bytes_deinit(&key);
    json_bytes_deinit(&value);
    json_decref(root);
}

static void finish_delete(struct exchange *exchange)
{
    if (exchange->status != RR_OK) {
        exchange_fail_operation(exchange);
        return;
    }
    exchange_succeed_key(exchange, "Key ", text_bytes(&exchange->key), " deleted successfully");
}

/* The original reads this body as a map of strings, so a missing key is its handler's error. */
void keys_delete(struct exchange *exchange)
{
    json_t *root = body_parse_object(exchange);
    if (root == NULL) {
        return;
    }
    const char *name;
    json_t *member;
    struct json_bytes key = {0};
    json_object_foreach(root, name, member)
    {
        if (!json_is_string(member)) {
            body_refuse(exchange, "expected '%.64s' to be a string", name);
            json_decref(root);
            return;
        }
    }
    json_bytes_read(&key, root, "key");
    switch (key.kind) {
    case JSON_BYTES_FOUND:
        exchange->failure = "Failed to delete: ";
        submit_one(exchange, key.bytes, NULL, finish_delete);
        break;
    case JSON_BYTES_ABSENT:
        exchange_fail(exchange, MHD_HTTP_INTERNAL_SERVER_ERROR, "Missing 'key' field");
        break;
    case JSON_BYTES_WRONG:
        body_refuse(exchange, "expected %s", key.problem);
        break;
    }
    json_bytes_deinit(&key);
    json_decref(root);
}

static void finish_getset(struct exchange *exchange)
{
    if (exchange->status != RR_OK || exchange->result == NULL) {
        exchange_fail_operation(exchange);
        return;
    }
    rr_bytes old;
    struct text *answer = exchange_answer(exchange);
    text_append_string(answer, "{\"success\":true,");
    json_write_member(answer, "key", text_bytes(&exchange->key));
    text_append_string(answer, ",");
    if (rr_result_value(exchange->result, 0, &old)) {
        json_write_member(answer, "old_value", old);
    } else {
        text_append_string(answer, "\"old_value\":null");
    }
    text_append_string(answer, ",");
    json_write_member(answer, "new_value", text_bytes(&exchange->value));
    text_append_string(answer, "}");
}

void keys_getset(struct exchange *exchange)
{
    json_t *root = body_parse_object(exchange);
    if (root == NULL) {
        return;
    }
    struct json_bytes key = {0};
    struct json_bytes value = {0};
    if (body_require_bytes(exchange, root, "key", &key) &&
        body_require_bytes(exchange, root, "value", &value)) {
        exchange->failure = "Failed to getset: ";
        exchange->wants_result = true;
        text_append(&exchange->value, value.bytes.data, value.bytes.size);
        submit_one(exchange, key.bytes, &value.bytes, finish_getset);
    }
    json_bytes_deinit(&key);
    json_bytes_deinit(&value);
    json_decref(root);
}
