#include "node/driver.h"

#include "base/assert.h"
#include "base/list.h"
#include "base/memory.h"

#include <stdio.h>

/* A batch on its way to the disk. */
struct flight {
    struct list_link link; /* in driver->flights, oldest first */
    struct driver *driver;
    struct raft_batch batch;
    bool written; /* its frame is durable, or it has none */
    uint64_t submitted_us;
};

struct driver {
    struct driver_options options;
    struct raft_host *host;
    struct list flights;
    /* Committed entries of this turn, to be applied at its end. */
    struct raft_entry **committed;
    uint32_t committed_count;
    uint32_t committed_capacity;
    uint64_t committed_bytes;
    bool hard_state_due; /* a commit index that was put off */
    bool halted;
    bool in_turn;
    struct driver_counters counters;
};

static uint64_t now(const struct driver *driver)
{
    return driver->options.world->now_us(driver->options.world_arg);
}

static void halt(struct driver *driver, rr_status status, const char *reason)
{
    if (!driver->halted) {
        driver->halted = true;
        driver->options.world->halt(driver->options.world_arg, status, reason);
    }
}

/* Whether to go on; passes on a halt of the core. */
static bool going(struct driver *driver)
{
    const char *reason = raft_host_halted(driver->host);
    if (reason != NULL) {
        halt(driver, RR_CORRUPT, reason);
    }
    return !driver->halted;
}

/* ---- What the host asks of storage ---- */

static rr_status storage_read(void *arg, raft_index first, raft_index last, uint64_t bytes_max,
                              uint32_t count_max, struct raft_entry **out, uint32_t *count)
{
    struct driver *driver = arg;
    return driver->options.world->log_read(driver->options.world_arg, first, last, bytes_max,
                                           count_max, out, count);
}

static struct raft_snapshot *storage_snapshot(void *arg)
{
    struct driver *driver = arg;
    return driver->options.world->offer_snapshot(driver->options.world_arg);
}

static const struct raft_host_storage host_storage = {storage_read, storage_snapshot};

/* ---- Opening and closing ---- */

struct driver *driver_new(const struct driver_options *options, const struct raft_start *start)
{
    struct driver *driver = mem_new(struct driver);
    driver->options = *options;
    driver->options.host.storage = &host_storage;
    driver->options.host.storage_arg = driver;
    list_init(&driver->flights);
    driver->host = raft_host_new(&driver->options.host, start, now(driver));
    return driver;
}

void driver_stop(struct driver *driver)
{
    driver->halted = true;
}

static void flight_free(struct flight *flight)
{
    raft_batch_deinit(&flight->batch);
    mem_free(flight);
}

static void drop_committed(struct driver *driver)
{
    for (uint32_t i = 0; i < driver->committed_count; i++) {
        raft_entry_unref(driver->committed[i]);
    }
    driver->committed_count = 0;
    driver->committed_bytes = 0;
}

void driver_free(struct driver *driver)
{
    if (driver == NULL) {
        return;
    }
    LIST_FOREACH_SAFE(link, &driver->flights) {
        list_remove(link);
        flight_free(CONTAINER_OF(link, struct flight, link));
    }
    drop_committed(driver);
    mem_free(driver->committed);
    raft_host_free(driver->host);
    mem_free(driver);
}

/* ---- Batches: durable ---- */

static void send(struct driver *driver, const struct raft_message *message)
{
    driver->counters.messages++;
    driver->options.world->send(driver->options.world_arg, message);
}

/* The flight and all before it are durable. */
static void land(struct driver *driver, struct flight *flight)
{
    const struct raft_batch *batch = &flight->batch;
    raft_host_persisted(driver->host, batch, now(driver));
    for (uint32_t i = 0; i < batch->response_count; i++) {
        if (!raft_response_is_own(&batch->responses[i])) {
            send(driver, &batch->responses[i]);
        }
    }
    flight_free(flight);
}

static void land_all(struct driver *driver)
{
    struct list_link *link;
    while (!driver->halted && (link = list_front(&driver->flights)) != NULL) {
        struct flight *flight = CONTAINER_OF(link, struct flight, link);
        if (!flight->written) {
            return;
        }
        list_remove(link);
        land(driver, flight);
    }
}

static void on_written(void *arg, rr_status status)
{
    struct flight *flight = arg;
    struct driver *driver = flight->driver;
    flight->written = true;
    if (status != RR_OK) {
        halt(driver, status, "the log cannot be written");
        return;
    }
    if (!driver->in_turn) {
        land_all(driver);
    }
}

static void on_unwaited(void *arg, rr_status status)
{
    struct driver *driver = arg;
    if (status != RR_OK) {
        halt(driver, status, "the log cannot be written");
    }
}

/* ---- Batches: taken ---- */

/* A commit index alone is worth no write: it goes with the next frame, or with driver_flush. */
static bool worth_writing(const struct raft_batch *batch)
{
    return batch->entry_count > 0 || batch->snapshot != NULL || batch->sync;
}

static void submit(struct driver *driver, struct flight *flight)
{
    const struct raft_batch *batch = &flight->batch;
    driver->hard_state_due |= batch->hard_state_changed;
    if (!worth_writing(batch)) {
        flight->written = true;
        return;
    }
    struct log_record record = {.group = driver->options.group};
    if (batch->snapshot != NULL) {
        record.reset = true;
        record.reset_index = batch->snapshot->index;
        record.reset_term = batch->snapshot->term;
    }
    record.entries = batch->entries;
    record.entry_count = batch->entry_count;
    record.hard_state = driver->hard_state_due ? &batch->hard_state : NULL;
    driver->hard_state_due = false;
    struct log_frame frame = {&record, 1, batch->sync || batch->snapshot != NULL};
    driver->counters.frames++;
    if (frame.sync) {
        driver->options.world->flush(driver->options.world_arg);
    }
    flight->submitted_us = now(driver);
    driver->options.world->log_submit(driver->options.world_arg, &frame, on_written, flight);
}

static void install(struct driver *driver, const struct raft_snapshot *snapshot)
{
    ASSERT(driver->committed_count == 0);
    rr_status status = driver->options.world->install(driver->options.world_arg, snapshot);
    if (status != RR_OK) {
        halt(driver, status, "the received snapshot cannot be installed");
    }
}

static void send_messages(struct driver *driver, const struct raft_batch *batch)
{
    for (uint32_t i = 0; i < batch->cancelled_snapshot_count; i++) {
        driver->options.world->cancel_snapshot(driver->options.world_arg,
                                               batch->cancelled_snapshots[i]);
    }
    for (uint32_t i = 0; i < batch->message_count; i++) {
        send(driver, &batch->messages[i]);
    }
}

static void tell_news(struct driver *driver, const struct raft_batch *batch)
{
    const struct driver_world *world = driver->options.world;
    void *arg = driver->options.world_arg;
    if (batch->role_changed) {
        world->role_changed(arg, batch->role, batch->leader);
    }
    for (uint32_t i = 0; i < batch->read_count; i++) {
        world->read_done(arg, &batch->reads[i]);
    }
    if (batch->transfer_ended) {
        world->transfer_ended(arg);
    }
}

/* Moves the batch's committed entries behind those of this turn. */
static void gather_committed(struct driver *driver, struct raft_batch *batch)
{
    uint32_t count = driver->committed_count + batch->committed_count;
    if (count > driver->committed_capacity) {
        driver->committed_capacity = 2 * count;
        driver->committed =
            mem_resize(driver->committed, driver->committed_capacity * sizeof(*driver->committed));
    }
    for (uint32_t i = 0; i < batch->committed_count; i++) {
        driver->committed[driver->committed_count + i] = batch->committed[i];
    }
    driver->committed_count = count;
    driver->committed_bytes += batch->committed_bytes;
    mem_free(batch->committed);
    batch->committed = NULL;
    batch->committed_count = 0;
}

static void take_batch(struct driver *driver)
{
    struct flight *flight = mem_new(struct flight);
    flight->driver = driver;
    raft_host_take(driver->host, &flight->batch);
    driver->counters.batches++;
    list_push_back(&driver->flights, &flight->link);
    struct raft_batch *batch = &flight->batch;
    send_messages(driver, batch);
    if (batch->snapshot != NULL) {
        install(driver, batch->snapshot);
    }
    if (!driver->halted) {
        gather_committed(driver, batch);
        submit(driver, flight);
    }
    if (!driver->halted) {
        tell_news(driver, batch);
        land_all(driver);
    }
}

/* ---- Applying ---- */

static void apply_committed(struct driver *driver)
{
    if (driver->committed_count == 0) {
        return;
    }
    const struct driver_world *world = driver->options.world;
    raft_index last = driver->committed[driver->committed_count - 1]->index;
    world->flush(driver->options.world_arg); /* others may apply it at the same time */
    rr_status status =
        world->apply(driver->options.world_arg, driver->committed, driver->committed_count);
    uint64_t bytes = driver->committed_bytes;
    drop_committed(driver);
    if (status != RR_OK) {
        halt(driver, status, "committed entries cannot be applied");
        return;
    }
    raft_host_applied(driver->host, last, bytes, now(driver));
    world->applied(driver->options.world_arg);
}

/* ---- Turns ---- */

enum raft_result driver_step(struct driver *driver, struct raft_event *event)
{
    if (driver->halted) {
        return RAFT_STEP_HALTED;
    }
    event->now = now(driver);
    return raft_host_step(driver->host, event);
}

static void step_simple(struct driver *driver, enum raft_event_type type)
{
    struct raft_event event = {.type = type};
    (void)driver_step(driver, &event);
}

void driver_timer(struct driver *driver)
{
    if (going(driver) && now(driver) >= raft_deadline(driver_core(driver))) {
        step_simple(driver, RAFT_EVENT_TIMER);
    }
}

bool driver_turn(struct driver *driver, uint64_t budget_us)
{
    ASSERT(!driver->in_turn);
    driver->in_turn = true;
    uint64_t end = now(driver) + budget_us;
    bool left = false;
    land_all(driver);
    while (going(driver) && raft_host_pending(driver->host)) {
        while (going(driver) && raft_host_pending(driver->host)) {
            take_batch(driver);
        }
        if (going(driver)) {
            apply_committed(driver);
        }
        if (going(driver) && raft_more(driver_core(driver))) {
            step_simple(driver, RAFT_EVENT_MORE);
        }
        if (now(driver) >= end) {
            left = going(driver) && raft_host_pending(driver->host);
            break;
        }
    }
    driver->in_turn = false;
    return left;
}

uint64_t driver_deadline(const struct driver *driver)
{
    return driver->halted ? UINT64_MAX : raft_deadline(raft_host_core(driver->host));
}

void driver_purge(struct driver *driver, raft_index index)
{
    if (driver->halted || index <= raft_base_index(driver_core(driver))) {
        return;
    }
    ASSERT(index <= raft_applied_index(driver_core(driver)));
    struct log_record record = {.group = driver->options.group, .purge_index = index};
    struct log_frame frame = {&record, 1, false};
    driver->options.world->log_submit(driver->options.world_arg, &frame, on_unwaited, driver);
    raft_host_compacted(driver->host, index, now(driver));
}

void driver_flush(struct driver *driver)
{
    if (driver->halted || !driver->hard_state_due || !list_empty(&driver->flights)) {
        return;
    }
    /* With no batch under way, what the core holds is what the last one reported, unless an event
     * came since; then the next frame brings it. */
    if (raft_host_pending(driver->host)) {
        return;
    }
    struct raft_hard_state hard_state = raft_hard_state(driver_core(driver));
    struct log_record record = {.group = driver->options.group, .hard_state = &hard_state};
    struct log_frame frame = {&record, 1, false};
    driver->hard_state_due = false;
    driver->options.world->log_submit(driver->options.world_arg, &frame, on_unwaited, driver);
}

uint64_t driver_unwritten_since(const struct driver *driver)
{
    LIST_FOREACH(link, &driver->flights) {
        const struct flight *flight = CONTAINER_OF(link, struct flight, link);
        if (!flight->written) {
            return flight->submitted_us;
        }
    }
    return 0;
}

struct raft *driver_core(const struct driver *driver)
{
    return raft_host_core(driver->host);
}

struct raft_host *driver_host(const struct driver *driver)
{
    return driver->host;
}

const struct driver_counters *driver_counters(const struct driver *driver)
{
    return &driver->counters;
}
