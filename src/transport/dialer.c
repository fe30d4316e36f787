/*
 * Connecting to one place, and again after a failure: after a pause that doubles from failure to
 * failure, of which a random half is cut, so that nodes do not come back all at once.
 */
#include "transport/transport_private.h"

#include "base/assert.h"

static void start_pause(struct dialer *dialer)
{
    const struct transport_options *options = &dialer->transport->options;
    uint64_t pause_ms = options->backoff_min_ms;
    for (uint32_t at = 0; at < dialer->failures && pause_ms < options->backoff_max_ms; at++) {
        pause_ms *= 2;
    }
    if (pause_ms > options->backoff_max_ms) {
        pause_ms = options->backoff_max_ms;
    }
    dialer->failures++;
    dialer->state = DIALER_PAUSED;
    uint64_t cut_ms = random_below(&dialer->transport->random, pause_ms / 2 + 1);
    timer_start(dialer->pause, pause_ms - cut_ms);
}

/* Once per series of failures. */
static void log_failure(struct dialer *dialer, const char *reason, bool was_open)
{
    if (dialer->failure_logged) {
        return;
    }
    dialer->failure_logged = true;
    char address[ADDRESS_BYTES_MAX];
    address_format(&dialer->address, address);
    LOG_WARN(&dialer->transport->logger, "%s %s of %s: %s",
             was_open ? "lost the connection for" : "cannot connect for",
             traffic_class_name(dialer->class), address, reason);
}

/* The attempt, or the connection, has ended. The callee may deinit the dialer, so this is last. */
static void end_attempt(struct dialer *dialer, rr_status status, const char *reason,
                        uint64_t written, const struct hello *other)
{
    bool was_open = dialer->state == DIALER_OPEN;
    uint64_t now_ms = loop_now_ms(dialer->transport->loop);
    if (!was_open) {
        dialer->transport->counters.connect_failures++;
    } else if (now_ms - dialer->opened_ms >= dialer->transport->options.backoff_max_ms) {
        dialer->failures = 0; /* it had lasted: this is not one more failure of a series */
    }
    log_failure(dialer, reason, was_open);
    dialer->wanted = was_open;
    start_pause(dialer);
    dialer->callbacks->failed(dialer->arg, status, reason, written, other);
}

static void connection_opened(void *arg)
{
    struct dialer *dialer = arg;
    ASSERT(dialer->state == DIALER_SHAKING_HANDS);
    dialer->state = DIALER_OPEN;
    dialer->opened_ms = loop_now_ms(dialer->transport->loop);
    if (dialer->failure_logged) {
        char address[ADDRESS_BYTES_MAX];
        address_format(&dialer->address, address);
        LOG_INFO(&dialer->transport->logger, "connected for %s of %s",
                 traffic_class_name(dialer->class), address);
    }
    dialer->failure_logged = false;
    dialer->callbacks->opened(dialer->arg);
}

static void connection_frame(void *arg, const struct frame *frame)
{
    struct dialer *dialer = arg;
    dialer->callbacks->frame(dialer->arg, frame);
}

static void connection_drained(void *arg)
{
    struct dialer *dialer = arg;
    if (dialer->callbacks->drained != NULL) {
        dialer->callbacks->drained(dialer->arg);
    }
}

static void connection_closed(void *arg, rr_status status, const char *reason)
{
    struct dialer *dialer = arg;
    struct connection *connection = dialer->connection;
    dialer->connection = NULL;
    end_attempt(dialer, status, reason, connection_written(connection),
                connection_other(connection));
}

static const struct connection_callbacks connection_callbacks = {
    .opened = connection_opened,
    .frame = connection_frame,
    .drained = connection_drained,
    .closed = connection_closed,
};

static void connected(void *arg, rr_status status, struct stream *stream, const char *reason)
{
    struct dialer *dialer = arg;
    dialer->connect = NULL;
    if (status != RR_OK) {
        end_attempt(dialer, RR_IO, reason, 0, NULL);
        return;
    }
    struct hello own = transport_hello(dialer->transport, dialer->class);
    own.to_node = dialer->to_node;
    own.to_incarnation = dialer->to_incarnation;
    dialer->state = DIALER_SHAKING_HANDS;
    dialer->connection = connection_from_connect(
        dialer->transport, stream, &own, dialer->queue_bytes_max, &connection_callbacks, dialer);
}

static void start_attempt(struct dialer *dialer)
{
    if (dialer->tried) {
        dialer->transport->counters.reconnects++;
    }
    dialer->tried = true;
    dialer->wanted = false;
    dialer->state = DIALER_CONNECTING;
    dialer->connect = tcp_connect(dialer->transport->loop, &dialer->address,
                                  dialer->transport->options.connect_timeout_ms, connected, dialer);
}

static void pause_over(void *arg)
{
    struct dialer *dialer = arg;
    ASSERT(dialer->state == DIALER_PAUSED);
    dialer->state = DIALER_IDLE;
    if (dialer->wanted) {
        start_attempt(dialer);
    }
}

void dialer_init(struct dialer *dialer, struct transport *transport, enum traffic_class class,
                 const struct address *address, size_t queue_bytes_max,
                 const struct dialer_callbacks *callbacks, void *arg)
{
    *dialer = (struct dialer){.transport = transport, .class = class};
    dialer->address = *address;
    dialer->queue_bytes_max = queue_bytes_max;
    dialer->callbacks = callbacks;
    dialer->arg = arg;
    dialer->pause = timer_open(transport->loop, pause_over, dialer);
}

void dialer_deinit(struct dialer *dialer)
{
    tcp_connect_cancel(dialer->connect);
    dialer->connect = NULL;
    connection_abandon(dialer->connection);
    dialer->connection = NULL;
    timer_close(dialer->pause);
    dialer->pause = NULL;
    dialer->state = DIALER_IDLE;
}

void dialer_want(struct dialer *dialer)
{
    if (dialer->state == DIALER_IDLE) {
        start_attempt(dialer);
    } else if (dialer->state == DIALER_PAUSED) {
        dialer->wanted = true;
    }
}

void dialer_end_pause(struct dialer *dialer)
{
    if (dialer->state == DIALER_PAUSED) {
        timer_stop(dialer->pause);
        dialer->failures = 0;
        pause_over(dialer);
    }
}
