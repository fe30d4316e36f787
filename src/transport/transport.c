/* The object that both directions share. */
#include "transport/transport_private.h"

#include "base/assert.h"
#include "base/memory.h"

#include <string.h>

enum {
    SCRATCH_KEPT_BYTES_MAX = 256 * 1024,
    LOG_INTERVAL_MS = 10 * 1000, /* for what strangers can cause */
    MIB = 1024 * 1024,
};

static uint32_t or_default(uint32_t value, uint32_t otherwise)
{
    return value == 0 ? otherwise : value;
}

static size_t or_default_size(size_t value, size_t otherwise)
{
    return value == 0 ? otherwise : value;
}

static void fill_in_defaults(struct transport_options *options)
{
    options->connect_timeout_ms = or_default(options->connect_timeout_ms, 3000);
    options->handshake_timeout_ms = or_default(options->handshake_timeout_ms, 3000);
    options->backoff_min_ms = or_default(options->backoff_min_ms, 50);
    options->backoff_max_ms = or_default(options->backoff_max_ms, 2000);
    options->consensus_queue_bytes_max =
        or_default_size(options->consensus_queue_bytes_max, 64 * (size_t)MIB);
    options->snapshot_queue_bytes_max =
        or_default_size(options->snapshot_queue_bytes_max, 16 * (size_t)MIB);
    options->answer_queue_bytes_max =
        or_default_size(options->answer_queue_bytes_max, 64 * (size_t)MIB);
    options->calls_max = or_default(options->calls_max, 16 * 1024);
    options->call_bytes_max = or_default_size(options->call_bytes_max, 128 * (size_t)MIB);
    options->user_queue_bytes_max =
        or_default_size(options->user_queue_bytes_max, 16 * (size_t)MIB);
    options->inbound_requests_max = or_default(options->inbound_requests_max, 4096);
    options->inbound_request_bytes_max =
        or_default_size(options->inbound_request_bytes_max, 64 * (size_t)MIB);
    options->inbound_connections_max = or_default(options->inbound_connections_max, 1024);
    options->addresses_max = or_default(options->addresses_max, 256);
    options->address_idle_ms = or_default(options->address_idle_ms, 10 * 1000);
    options->stall_timeout_ms = or_default(options->stall_timeout_ms, 15 * 1000);
    options->finish_timeout_ms = or_default(options->finish_timeout_ms, 120 * 1000);
}

struct transport *transport_new(const struct transport_options *options)
{
    struct transport *transport = mem_new(struct transport);
    transport->loop = options->loop;
    transport->logger = logger_named(&options->logger, "transport");
    transport->options = *options;
    fill_in_defaults(&transport->options);
    random_init(&transport->random, options->random_seed);
    buffer_init(&transport->scratch);
    transport->garbage_log.interval_ms = LOG_INTERVAL_MS;
    transport->reject_log.interval_ms = LOG_INTERVAL_MS;
    transport->protocol_log.interval_ms = LOG_INTERVAL_MS;
    return transport;
}

void transport_free(struct transport *transport)
{
    if (transport == NULL) {
        return;
    }
    ASSERT(transport->peers == NULL);
    buffer_deinit(&transport->scratch);
    mem_free(transport);
}

void transport_set_self(struct transport *transport, const struct hello *self)
{
    transport->options.self = *self;
}

const struct transport_counters *transport_counters(const struct transport *transport)
{
    return &transport->counters;
}

struct buffer *transport_scratch(struct transport *transport)
{
    if (transport->scratch.capacity > SCRATCH_KEPT_BYTES_MAX) {
        buffer_deinit(&transport->scratch);
    }
    buffer_clear(&transport->scratch);
    return &transport->scratch;
}

struct hello transport_hello(const struct transport *transport, enum traffic_class class)
{
    struct hello hello = transport->options.self;
    hello.version_min = PROTOCOL_VERSION_MIN;
    hello.version_max = PROTOCOL_VERSION;
    hello.class = class;
    hello.to_node = RAFT_NO_ID;
    hello.to_incarnation = 0;
    return hello;
}
