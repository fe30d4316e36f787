/* /members, /join, /leave, /transfer: who belongs to the cluster, and who leads it. */
#include "http/body.h"
#include "http/handlers.h"
#include "http/server.h"

#include <rockraft/config.h>
#include <rockraft/rockraft.h>

#include <string.h>

/* Catching up takes longer than a write. */
enum { CHANGE_TIMEOUT_MS = 30 * 1000, MEMBERS_MAX = 128 };

/* Appends "name":{...} with the members of `role`. */
static void write_members(struct text *answer, const char *name, const rr_member *members,
                          size_t count, rr_member_role role)
{
    text_append_format(answer, "\"%s\":{", name);
    bool first = true;
    for (size_t i = 0; i < count; i++) {
        if (members[i].role != role) {
            continue;
        }
        unsigned long long id = members[i].id;
        text_append_format(answer, "%s\"%llu\":{\"node_id\":%llu,\"endpoint\":", first ? "" : ",",
                           id, id);
        json_write_string(answer, (rr_bytes){members[i].address, strlen(members[i].address)});
        text_append_string(answer, "}");
        first = false;
    }
    text_append_string(answer, "}");
}

void members_list(struct exchange *exchange)
{
    rr_member members[MEMBERS_MAX];
    size_t count = rr_node_members(exchange->server->node, members, MEMBERS_MAX);
    count = count < MEMBERS_MAX ? count : MEMBERS_MAX;
    size_t learners = 0;
    for (size_t i = 0; i < count; i++) {
        learners += members[i].role == RR_LEARNER ? 1 : 0;
    }
    struct text *answer = exchange_answer(exchange);
    text_append_string(answer, "{\"success\":true,");
    write_members(answer, "members", members, count, RR_VOTER);
    if (learners > 0) {
        text_append_string(answer, ",");
        write_members(answer, "learners", members, count, RR_LEARNER);
    }
    text_append_string(answer, "}");
}

static void finish_join(struct exchange *exchange)
{
    if (exchange->status != RR_OK) {
        exchange_fail_operation(exchange);
        return;
    }
    exchange_succeed(exchange, "Node %llu joined the cluster successfully",
                     (unsigned long long)exchange->number);
}

/* Reads what a join asks for. False when it has been refused. */
static bool read_join(struct exchange *exchange, const json_t *root, const char **endpoint,
                      rr_member_role *role)
{
    const json_t *text = json_object_get(root, "endpoint");
    const json_t *role_name = json_object_get(root, "role");
    if (!json_read_id(root, "node_id", &exchange->number)) {
        body_refuse(exchange, "expected 'node_id' to be an unsigned integer");
        return false;
    }
    if (!json_is_string(text)) {
        body_refuse(exchange, "expected 'endpoint' to be a string");
        return false;
    }
    *endpoint = json_string_value(text);
    *role = RR_VOTER;
    if (role_name != NULL) {
        const char *name = json_string_value(role_name);
        if (name == NULL || (strcmp(name, "voter") != 0 && strcmp(name, "learner") != 0)) {
            body_refuse(exchange, "expected 'role' to be voter or learner");
            return false;
        }
        *role = strcmp(name, "learner") == 0 ? RR_LEARNER : RR_VOTER;
    }
    char host[256];
    uint16_t port = 0;
    const char *problem = "it contains a zero byte";
    if (strlen(*endpoint) == json_string_length(text)) {
        problem = NULL;
        if (rr_address_split(*endpoint, host, sizeof(host), &port, &problem) == RR_OK &&
            port == 0) {
            problem = "the port is 0";
        }
    }
    if (problem != NULL) {
        exchange_fail(exchange, MHD_HTTP_INTERNAL_SERVER_ERROR, "Invalid endpoint '%.300s': %s",
                      *endpoint, problem);
        return false;
    }
    return true;
}

void members_join(struct exchange *exchange)
{
    json_t *root = body_parse_object(exchange);
    if (root == NULL) {
        return;
    }
    const char *endpoint;
    rr_member_role role;
    uint32_t timeout_ms;
    if (read_join(exchange, root, &endpoint, &role) &&
        exchange_read_timeout(exchange, CHANGE_TIMEOUT_MS, &timeout_ms)) {
        exchange->failure = "Failed to join cluster: ";
        exchange_suspend(exchange, finish_join);
        exchange_begun(exchange, rr_node_add(exchange->server->node, exchange->number, endpoint,
                                             role, timeout_ms, exchange_done, exchange));
    }
    json_decref(root);
}

static void finish_leave(struct exchange *exchange)
{
    if (exchange->status != RR_OK) {
        exchange_fail_operation(exchange);
        return;
    }
    exchange_succeed(exchange, "Node %llu left the cluster successfully",
                     (unsigned long long)exchange->number);
}

void members_leave(struct exchange *exchange)
{
    json_t *root = body_parse_object(exchange);
    if (root == NULL) {
        return;
    }
    uint32_t timeout_ms;
    if (!json_read_id(root, "node_id", &exchange->number)) {
        body_refuse(exchange, "expected 'node_id' to be an unsigned integer");
    } else if (exchange_read_timeout(exchange, CHANGE_TIMEOUT_MS, &timeout_ms)) {
        exchange->failure = "Failed to leave cluster: ";
        exchange_suspend(exchange, finish_leave);
        exchange_begun(exchange, rr_node_remove(exchange->server->node, exchange->number,
                                                timeout_ms, exchange_done, exchange));
    }
    json_decref(root);
}

static void finish_transfer(struct exchange *exchange)
{
    if (exchange->status != RR_OK) {
        exchange_fail_operation(exchange);
        return;
    }
    exchange_succeed(exchange, "Leadership transferred successfully");
}

/* The body may be empty: then the most up-to-date member is to lead. */
void members_transfer(struct exchange *exchange)
{
    if (exchange->body.size > 0) {
        json_t *root = body_parse_object(exchange);
        if (root == NULL) {
            return;
        }
        bool good = json_object_get(root, "node_id") == NULL ||
                    json_read_id(root, "node_id", &exchange->number);
        json_decref(root);
        if (!good) {
            body_refuse(exchange, "expected 'node_id' to be an unsigned integer");
            return;
        }
    }
    uint32_t timeout_ms;
    if (!exchange_read_timeout(exchange, exchange->server->config->timeout_ms, &timeout_ms)) {
        return;
    }
    exchange->failure = "Failed to transfer leadership: ";
    exchange_suspend(exchange, finish_transfer);
    exchange_begun(exchange, rr_node_transfer(exchange->server->node, exchange->number, timeout_ms,
                                              exchange_done, exchange));
}
