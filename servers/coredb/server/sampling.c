/* Rates are means over the turns that a ring keeps, as Redis's are. */
#include "coredb/server/sampling.h"

#include "coredb/base/bytes.h"
#include "coredb/net/connection.h"
#include "coredb/server/server.h"

/* ---- Rates ---- */

static void sample(struct sampling *sampling, enum sampled which, uint64_t value, uint64_t span_ms)
{
    uint64_t before = sampling->before[which];
    /* CONFIG RESETSTAT takes counters back. */
    uint64_t more = value >= before ? value - before : 0;
    sampling->rates[which][sampling->turn % SAMPLING_TURNS] = more * 1000 / span_ms;
    sampling->before[which] = value;
}

uint64_t sampling_rate(const struct sampling *sampling, enum sampled which)
{
    uint64_t sum = 0;
    for (size_t i = 0; i < SAMPLING_TURNS; i++) {
        sum += sampling->rates[which][i];
    }
    return sum / SAMPLING_TURNS;
}

static void look_for_snapshot(struct server *server)
{
    struct sampling *sampling = &server->sampling;
    rr_node_info info = {.struct_size = sizeof(info)};
    rr_node_get_info(server->node, &info);
    if (info.snapshot_index != sampling->snapshot_index || sampling->snapshot_ms == 0) {
        sampling->snapshot_index = info.snapshot_index;
        sampling->snapshot_ms = server_wall_ms();
    }
}

void sampling_turn(struct server *server)
{
    struct sampling *sampling = &server->sampling;
    const struct connection_totals *totals = connection_totals();
    uint64_t now_ms = loop_now_ms(server->loop);
    uint64_t span_ms = now_ms - sampling->before_ms;
    if (span_ms > 0) {
        sample(sampling, SAMPLED_COMMANDS, server->statistics.commands, span_ms);
        sample(sampling, SAMPLED_INPUT_BYTES, totals->received, span_ms);
        sample(sampling, SAMPLED_OUTPUT_BYTES, totals->sent, span_ms);
        sampling->turn++;
        sampling->before_ms = now_ms;
    }
    look_for_snapshot(server);
}

/* ---- Errors ---- */

static rr_bytes code_of(rr_bytes reply)
{
    const char *text = reply.data;
    size_t end = 1;
    while (end < reply.size && text[end] != ' ' && text[end] != '\r' &&
           end < SAMPLING_CODE_BYTES_MAX) {
        end++;
    }
    return (rr_bytes){text + 1, end - 1};
}

void sampling_count_error(struct sampling *sampling, rr_bytes reply)
{
    if (reply.size == 0 || *(const char *)reply.data != '-') {
        return; /* an error within a transaction's replies */
    }
    rr_bytes code = code_of(reply);
    for (size_t i = 0; i < sampling->error_count; i++) {
        if (bytes_equal(code, bytes_of(sampling->errors[i].code))) {
            sampling->errors[i].count++;
            return;
        }
    }
    if (sampling->error_count < SAMPLING_ERRORS_MAX && code.size > 0) {
        struct sampling_error *error = &sampling->errors[sampling->error_count++];
        *error = (struct sampling_error){.count = 1};
        memcpy(error->code, code.data, code.size);
    }
}
