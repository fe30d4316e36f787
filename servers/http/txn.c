/* /batch_write, /txn and /session: several operations in one log entry, and exactly-once retries. */
#include "http/body.h"
#include "http/handlers.h"
#include "http/server.h"

#include <rockraft/rockraft.h>

#include <string.h>

/* One operation or condition of a request. Ends with part_deinit. */
struct part {
    const char *op;
    struct json_bytes key;
    struct json_bytes value;
};

static void part_deinit(struct part *part)
{
    json_bytes_deinit(&part->key);
    json_bytes_deinit(&part->value);
}

/* Reads item `i` of `list`; its value may be absent. False when it has been refused. */
static bool read_part(struct exchange *exchange, const char *list, size_t i, const json_t *json,
                      struct part *out)
{
    if (!json_is_object(json)) {
        body_refuse(exchange, "%s[%zu]: expected an object", list, i);
        return false;
    }
    const json_t *op = json_object_get(json, "op");
    if (!json_is_string(op)) {
        body_refuse(exchange, "%s[%zu]: expected 'op' to be a string", list, i);
        return false;
    }
    out->op = json_string_value(op);
    json_bytes_read(&out->key, json, "key");
    json_bytes_read(&out->value, json, "value");
    if (out->key.kind == JSON_BYTES_ABSENT) {
        body_refuse(exchange, "%s[%zu]: missing member 'key'", list, i);
        return false;
    }
    if (out->key.kind == JSON_BYTES_WRONG || out->value.kind == JSON_BYTES_WRONG) {
        body_refuse(exchange, "%s[%zu]: expected %s", list, i,
                    out->key.kind == JSON_BYTES_WRONG ? out->key.problem : out->value.problem);
        return false;
    }
    return true;
}

/* Where the operations of a list go, and what to say of a set without a value. */
struct branch {
    const char *list;
    bool otherwise;            /* the branch of conditions that do not hold */
    const char *missing_value; /* before the key */
};

static rr_status add_set(rr_txn *txn, bool otherwise, rr_bytes key, rr_bytes value)
{
    return otherwise ? rr_txn_else_set(txn, key, value) : rr_txn_set(txn, key, value);
}

static rr_status add_delete(rr_txn *txn, bool otherwise, rr_bytes key)
{
    return otherwise ? rr_txn_else_delete(txn, key) : rr_txn_delete(txn, key);
}

/* Adds one operation. False when it has been refused. */
static bool add_operation(struct exchange *exchange, rr_txn *txn, const struct branch *branch,
                          size_t i, const struct part *part)
{
    rr_status status;
    if (strcmp(part->op, "delete") == 0) {
        status = add_delete(txn, branch->otherwise, part->key.bytes);
    } else if (strcmp(part->op, "set") != 0) {
        body_refuse(exchange, "%s[%zu]: expected 'op' to be set or delete", branch->list, i);
        return false;
    } else if (part->value.kind == JSON_BYTES_ABSENT) {
        exchange_fail_key(exchange, MHD_HTTP_INTERNAL_SERVER_ERROR, branch->missing_value,
                          part->key.bytes, "");
        return false;
    } else {
        status = add_set(txn, branch->otherwise, part->key.bytes, part->value.bytes);
    }
    if (status != RR_OK) {
        exchange->status = status;
        exchange_fail_operation(exchange);
    }
    return status == RR_OK;
}

/* Adds the operations of `list`, which may be NULL. False when one has been refused. */
static bool add_operations(struct exchange *exchange, rr_txn *txn, const struct branch *branch,
                           const json_t *list)
{
    if (list != NULL && !json_is_array(list)) {
        body_refuse(exchange, "expected '%s' to be an array", branch->list);
        return false;
    }
    for (size_t i = 0; i < json_array_size(list); i++) {
        struct part part = {0};
        bool added = read_part(exchange, branch->list, i, json_array_get(list, i), &part) &&
                     add_operation(exchange, txn, branch, i, &part);
        part_deinit(&part);
        if (!added) {
            return false;
        }
    }
    return true;
}

static void submit(struct exchange *exchange, const rr_txn *txn,
                   void (*finish)(struct exchange *exchange))
{
    rr_write_options options;
    if (!exchange_read_write_options(exchange, &options)) {
        return;
    }
    exchange_suspend(exchange, finish);
    exchange_begun(exchange,
                   rr_node_submit(exchange->server->node, txn, &options, exchange_done, exchange));
}

static void finish_batch(struct exchange *exchange)
{
    if (exchange->status != RR_OK) {
        exchange_fail_operation(exchange);
        return;
    }
    exchange_succeed(exchange, "Batch write successful: %llu operations applied",
                     (unsigned long long)exchange->number);
}

void txn_batch(struct exchange *exchange)
{
    static const struct branch branch = {"operations", false,
                                         "Missing 'value' for set operation on key "};
    json_t *root = body_parse_object(exchange);
    if (root == NULL) {
        return;
    }
    exchange->failure = "Failed to batch write: ";
    const json_t *operations = json_object_get(root, "operations");
    rr_txn *txn = rr_txn_new();
    if (operations == NULL) {
        body_refuse(exchange, "missing member 'operations'");
    } else if (add_operations(exchange, txn, &branch, operations)) {
        exchange->number = json_array_size(operations);
        if (exchange->number == 0) {
            exchange_succeed(exchange, "No operations to perform");
        } else {
            submit(exchange, txn, finish_batch);
        }
    }
    rr_txn_free(txn);
    json_decref(root);
}

static const struct {
    const char *name;
    rr_compare compare;
    bool needs_value;
} comparisons[] = {
    {"exists", RR_EXISTS, false},
    {"not_exists", RR_NOT_EXISTS, false},
    {"equal", RR_EQUAL, true},
    {"not_equal", RR_NOT_EQUAL, true},
    {"greater", RR_GREATER, true},
    {"less", RR_LESS, true},
    {"greater_equal", RR_GREATER_EQUAL, true},
    {"less_equal", RR_LESS_EQUAL, true},
};
enum { COMPARISON_COUNT = sizeof(comparisons) / sizeof(comparisons[0]) };

/* Adds one condition. False when it has been refused. */
static bool add_condition(struct exchange *exchange, rr_txn *txn, size_t i, const struct part *part)
{
    size_t found = 0;
    while (found < COMPARISON_COUNT && strcmp(comparisons[found].name, part->op) != 0) {
        found++;
    }
    if (found == COMPARISON_COUNT) {
        body_refuse(exchange, "conditions[%zu]: '%.32s' is no comparison", i, part->op);
        return false;
    }
    if (comparisons[found].needs_value && part->value.kind == JSON_BYTES_ABSENT) {
        char before[64] = "Condition '";
        strcat(before, comparisons[found].name);
        strcat(before, "' requires a value for key ");
        exchange_fail_key(exchange, MHD_HTTP_INTERNAL_SERVER_ERROR, before, part->key.bytes, "");
        return false;
    }
    rr_status status =
        rr_txn_if(txn, part->key.bytes, comparisons[found].compare, part->value.bytes);
    if (status != RR_OK) {
        exchange->status = status;
        exchange_fail_operation(exchange);
    }
    return status == RR_OK;
}

static bool add_conditions(struct exchange *exchange, rr_txn *txn, const json_t *list)
{
    if (!json_is_array(list)) {
        body_refuse(exchange, list == NULL ? "missing member 'conditions'"
                                           : "expected 'conditions' to be an array");
        return false;
    }
    for (size_t i = 0; i < json_array_size(list); i++) {
        struct part part = {0};
        bool added = read_part(exchange, "conditions", i, json_array_get(list, i), &part) &&
                     add_condition(exchange, txn, i, &part);
        part_deinit(&part);
        if (!added) {
            return false;
        }
    }
    return true;
}

/* Text that is UTF-8 is a string; other bytes are an object that says so. */
static void write_previous(struct text *answer, const rr_result *result, size_t i)
{
    rr_bytes value;
    if (!rr_result_value(result, i, &value)) {
        text_append_string(answer, "null");
    } else if (text_is_utf8(value)) {
        json_write_string(answer, value);
    } else {
        text_append_string(answer, "{");
        json_write_member(answer, "value", value);
        text_append_string(answer, "}");
    }
}

static void finish_txn(struct exchange *exchange)
{
    const rr_result *result = exchange->result;
    if (exchange->status != RR_OK || result == NULL) {
        exchange_fail_operation(exchange);
        return;
    }
    struct text *answer = exchange_answer(exchange);
    text_append_format(answer, "{\"success\":true,\"branch\":%s,\"prev_values\":[",
                       rr_result_branch(result) ? "true" : "false");
    for (size_t i = 0; i < rr_result_count(result); i++) {
        text_append(answer, ",", i > 0 ? 1 : 0);
        write_previous(answer, result, i);
    }
    text_append_string(answer, "]}");
}

/* Whether `root`, of which a transaction was read, neither asks nor changes anything. */
static bool is_nothing(const json_t *root)
{
    return json_array_size(json_object_get(root, "conditions")) == 0 &&
           json_array_size(json_object_get(root, "if_then")) == 0 &&
           json_array_size(json_object_get(root, "else_then")) == 0;
}

/* Builds the transaction of `root`. False when it has been refused. */
static bool read_txn(struct exchange *exchange, const json_t *root, rr_txn *txn)
{
    static const char missing[] = "Set operation requires a value for key ";
    static const struct branch if_then = {"if_then", false, missing};
    static const struct branch else_then = {"else_then", true, missing};
    const json_t *previous = json_object_get(root, "return_previous");
    const json_t *operations = json_object_get(root, "if_then");
    if (previous != NULL && !json_is_boolean(previous)) {
        body_refuse(exchange, "expected 'return_previous' to be a boolean");
        return false;
    }
    rr_txn_return_previous(txn, json_is_true(previous));
    if (!add_conditions(exchange, txn, json_object_get(root, "conditions"))) {
        return false;
    }
    if (operations == NULL) {
        body_refuse(exchange, "missing member 'if_then'");
        return false;
    }
    return add_operations(exchange, txn, &if_then, operations) &&
           add_operations(exchange, txn, &else_then, json_object_get(root, "else_then"));
}

void txn_run(struct exchange *exchange)
{
    json_t *root = body_parse_object(exchange);
    if (root == NULL) {
        return;
    }
    exchange->failure = "Failed to execute transaction: ";
    exchange->wants_result = true;
    rr_txn *txn = rr_txn_new();
    if (read_txn(exchange, root, txn)) {
        if (is_nothing(root)) {
            text_append_string(exchange_answer(exchange),
                               "{\"success\":true,\"branch\":true,\"prev_values\":[]}");
        } else {
            submit(exchange, txn, finish_txn);
        }
    }
    rr_txn_free(txn);
    json_decref(root);
}

static void finish_session(struct exchange *exchange)
{
    if (exchange->status != RR_OK || exchange->result == NULL) {
        exchange_fail_operation(exchange);
        return;
    }
    text_append_format(exchange_answer(exchange), "{\"success\":true,\"session\":%llu}",
                       (unsigned long long)rr_result_index(exchange->result));
}

void txn_session(struct exchange *exchange)
{
    uint32_t timeout_ms;
    if (!exchange_read_timeout(exchange, exchange->server->config->timeout_ms, &timeout_ms)) {
        return;
    }
    exchange->failure = "Failed to open a session: ";
    exchange->wants_result = true;
    exchange_suspend(exchange, finish_session);
    exchange_begun(exchange,
                   rr_node_session(exchange->server->node, timeout_ms, exchange_done, exchange));
}
