/* /prefix: the pairs whose key begins with a prefix, whole or page by page. */
#include "http/handlers.h"
#include "http/server.h"

#include <rockraft/rockraft.h>

/* `number` is the page's limit, 0 without paging. */
static void finish_prefix(struct exchange *exchange)
{
    const rr_result *result = exchange->result;
    bool paging = exchange->number > 0;
    if (exchange->status != RR_OK) {
        exchange_fail_operation(exchange);
        return;
    }
    if (rr_result_more(result) && !paging) {
        exchange_fail(exchange, MHD_HTTP_INTERNAL_SERVER_ERROR,
                      "Failed to scan prefix: the result is larger than limits.result_bytes_max; "
                      "ask for pages with the parameters 'limit' and 'after'");
        return;
    }
    size_t count = rr_result_count(result);
    struct text *answer = exchange_answer(exchange);
    text_reserve(answer, 256 + exchange->answer_reserved + 24 * count);
    text_append_string(answer, "{\"success\":true,");
    json_write_member(answer, "prefix", text_bytes(&exchange->key));
    text_append_format(answer, ",\"count\":%zu,\"items\":[", count);
    for (size_t i = 0; i < count; i++) {
        rr_bytes value = {NULL, 0};
        (void)rr_result_value(result, i, &value);
        text_append_string(answer, i > 0 ? ",{" : "{");
        json_write_member(answer, "key", rr_result_key(result, i));
        text_append_string(answer, ",");
        json_write_member(answer, "value", value);
        text_append_string(answer, "}");
    }
    text_append_string(answer, "]");
    if (paging) {
        text_append_string(answer, rr_result_more(result) ? ",\"more\":true" : ",\"more\":false");
        if (rr_result_more(result) && count > 0) {
            text_append_string(answer, ",");
            json_write_member(answer, "next_after", rr_result_key(result, count - 1));
        }
    }
    text_append_string(answer, "}");
}

void scan_prefix(struct exchange *exchange)
{
    bool found = false;
    bool has_after = false;
    struct text after = {0};
    rr_scan scan;
    rr_scan_init(&scan);
    const uint64_t limit_max = 1000000;
    if (!exchange_read_parameter(exchange, "prefix", &exchange->key, &found) ||
        !exchange_read_parameter(exchange, "after", &after, &has_after) ||
        !exchange_read_level(exchange, &scan.level) ||
        !exchange_read_number(exchange, "limit", 1, limit_max, &exchange->number) ||
        !exchange_read_timeout(exchange, exchange->server->config->timeout_ms, &scan.timeout_ms)) {
        text_deinit(&after);
        return;
    }
    if (!found) {
        exchange_fail(exchange, MHD_HTTP_INTERNAL_SERVER_ERROR, "Missing 'prefix' parameter");
        text_deinit(&after);
        return;
    }
    scan.prefix = text_bytes(&exchange->key);
    scan.after = text_bytes(&after);
    scan.count_max = (size_t)exchange->number;
    if (has_after && exchange->number == 0) {
        /* Whoever sends `after` pages, with pages as large as an answer may be. */
        exchange->number = limit_max;
    }
    exchange->failure = "Failed to scan prefix: ";
    exchange->wants_result = true;
    exchange_suspend(exchange, finish_prefix);
    exchange_begun(exchange, rr_node_scan(exchange->server->node, &scan, exchange_done, exchange));
    text_deinit(&after);
}
