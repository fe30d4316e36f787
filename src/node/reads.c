/*
 * Reads: an index from the core first, then this node's own state once it has applied that index.
 *
 * All reads of a turn share one question (a read_round). A question that fails is asked again, at
 * the next leader or after a moment, until the read's deadline. Leases save the question, local
 * reads everything.
 */
#include "node/read.h"

#include "base/assert.h"
#include "base/memory.h"

#include <string.h>

enum {
    READ_RETRY_US = 15 * 1000,
    SCRATCH_BYTES_KEPT = 1024 * 1024, /* memory kept from read to read */
    SCAN_INLINE_COUNT_MAX = 128,      /* larger scans run on a worker */
};

/* Reads that asked together. */
struct read_round {
    struct list_link link; /* in reads->rounds or reads->applying */
    uint64_t id;
    raft_index index;
    struct list reads;
};

void reads_open(rr_node *node)
{
    list_init(&node->reads.fresh);
    list_init(&node->reads.retry);
    list_init(&node->reads.rounds);
    list_init(&node->reads.applying);
    list_init(&node->reads.running);
    node->reads.retry_us = UINT64_MAX;
}

static struct read *read_of(struct list_link *link)
{
    return CONTAINER_OF(CONTAINER_OF(link, struct request, link), struct read, request);
}

/* ---- One read ---- */

void read_start(struct request *request)
{
    request->node->counters.reads_total++;
    list_push_back(&request->node->reads.fresh, &request->link);
}

static void end_failed(struct read *read, rr_status status, const char *message)
{
    read->request.node->counters.reads_failed_total++;
    request_end_text(&read->request, status, message);
}

void read_expire(struct request *request)
{
    struct read *read = CONTAINER_OF(request, struct read, request);
    if (read->job != NULL) {
        atomic_store(&read->job->cancelled, (int)RR_TIMEOUT); /* its end is certain to come */
        return;
    }
    end_failed(read, RR_TIMEOUT, "no majority confirmed the read before its deadline");
}

void read_destroy(struct request *request)
{
    struct read *read = CONTAINER_OF(request, struct read, request);
    if (read->job != NULL) {
        buffer_deinit(&read->job->result);
        mem_free(read->job);
    }
    mem_free(read);
}

struct read *read_new(size_t memory_size)
{
    struct read *read = mem_try_alloc(sizeof(*read) + memory_size);
    if (read == NULL) {
        return NULL;
    }
    memset(read, 0, sizeof(*read));
    read->request.start = read_start;
    read->request.expire = read_expire;
    read->request.destroy = read_destroy;
    read->request.bytes = sizeof(*read) + memory_size;
    return read;
}

/* ---- Serving ---- */

/* `result` is the answer; or it is empty, and `status` and `error` say why there is none. */
static void end_read(struct read *read, rr_status status, const struct buffer *result,
                     const char *error)
{
    if (result->size > 0 && !result->failed) {
        request_end_bytes(&read->request, status, buffer_bytes(result));
        return;
    }
    rr_node *node = read->request.node;
    end_failed(read, status, error);
    if (status == RR_CORRUPT) {
        stores_damaged(node, DAMAGE_STATE, error);
    }
}

static rr_status run_read(struct read *read, struct state *state, struct buffer *out,
                          struct storage_error *error)
{
    switch (read->kind) {
    case READ_GET:
        return apply_get(state, read->range.prefix, read->index, out, error);
    case READ_SCAN:
        return apply_scan(state, &read->range, read->index, out, error);
    case READ_QUERY:
        return query_run(read, out, error);
    }
    UNREACHABLE();
}

static void run_on_worker(void *arg)
{
    struct read_job *job = arg;
    struct read *read = job->read;
    if (read->kind == READ_QUERY) {
        job->status = query_run_on_worker(job);
    } else {
        job->status = run_read(read, read->request.node->state, &job->result, &job->error);
    }
}

static void done_on_worker(void *arg)
{
    struct read_job *job = arg;
    end_read(job->read, job->status, &job->result, job->error.text);
}

static void serve_on_worker(struct read *read)
{
    rr_node *node = read->request.node;
    struct read_job *job = mem_new(struct read_job);
    buffer_init(&job->result);
    atomic_init(&job->cancelled, (int)RR_OK);
    job->seed = random_u64(&node->random);
    job->read = read;
    job->job.run = run_on_worker;
    job->job.done = done_on_worker;
    job->job.arg = job;
    read->job = job;
    list_push_back(&node->reads.running, &read->request.link);
    worker_submit(node->worker, &job->job);
}

/* Whether the node's thread, which everybody waits for, may do it. A query finds out by itself. */
static bool is_small(const rr_node *node, const struct read *read)
{
    switch (read->kind) {
    case READ_GET:
        return true;
    case READ_SCAN:
        return read->range.count_max > 0 && read->range.count_max <= SCAN_INLINE_COUNT_MAX;
    case READ_QUERY:
        /* After a halt the applier's clock may be ahead of the state. */
        return node_alive(node);
    }
    UNREACHABLE();
}

/* `read` is in no list. */
static void serve(struct read *read)
{
    rr_node *node = read->request.node;
    read->index = state_applied(node->state).index;
    if (!is_small(node, read)) {
        serve_on_worker(read);
        return;
    }
    struct storage_error error;
    error.text[0] = '\0';
    rr_status status = run_read(read, node->state, &node->scratch, &error);
    if (read->kind == READ_QUERY && node->scratch.size == 0 && status == RR_BUSY) {
        node->counters.query_reruns_total++;
        serve_on_worker(read);
    } else {
        end_read(read, status, &node->scratch, error.text);
    }
    if (node->scratch.capacity > SCRATCH_BYTES_KEPT) {
        buffer_deinit(&node->scratch);
    }
}

static void serve_all(struct list *reads)
{
    struct list_link *link;
    while ((link = list_front(reads)) != NULL) {
        list_remove(link);
        serve(read_of(link));
    }
}

static void round_free(struct read_round *round)
{
    ASSERT(list_empty(&round->reads));
    list_remove(&round->link);
    mem_free(round);
}

void reads_applied(rr_node *node)
{
    raft_index applied = state_applied(node->state).index;
    struct list_link *link;
    while ((link = list_front(&node->reads.applying)) != NULL) {
        struct read_round *round = CONTAINER_OF(link, struct read_round, link);
        if (round->index > applied) {
            return; /* indexes rise from round to round, but for an odd one that waits longer */
        }
        serve_all(&round->reads);
        round_free(round);
    }
}

/* ---- Asking ---- */

static struct read_round *round_new(struct list *reads)
{
    struct read_round *round = mem_new(struct read_round);
    list_init(&round->reads);
    list_append_all(&round->reads, reads);
    return round;
}

void reads_retry_soon(rr_node *node)
{
    node->reads.retry_us = 0;
    loop_mark(node->loop);
}

void reads_done(rr_node *node, const struct raft_host_read *read)
{
    struct reads *reads = &node->reads;
    struct list_link *link;
    while ((link = list_front(&reads->rounds)) != NULL) {
        struct read_round *round = CONTAINER_OF(link, struct read_round, link);
        if (round->id > read->id) {
            break;
        }
        if (read->ready) {
            round->index = read->index;
            list_remove(link);
            list_push_back(&reads->applying, link);
            continue;
        }
        list_append_all(&reads->retry, &round->reads);
        round_free(round);
        uint64_t retry_us = node_now_us(node) + READ_RETRY_US;
        if (retry_us < reads->retry_us) {
            reads->retry_us = retry_us;
        }
    }
    reads_applied(node);
}

/* Sorts the fresh reads: local ones are served, those that a lease covers wait for the commit
 * index, the others are left in `asking`. */
static void sort_fresh(rr_node *node, struct list *asking)
{
    struct reads *reads = &node->reads;
    bool lease = node_leads(node) && raft_lease_valid(node_core(node), node_now_us(node));
    struct list leased;
    list_init(&leased);
    struct list_link *link;
    while ((link = list_pop_front(&reads->fresh)) != NULL) {
        struct read *read = read_of(link);
        if (read->level == RR_READ_LOCAL) {
            serve(read);
        } else if (read->level == RR_READ_LEASE && lease) {
            node->counters.lease_reads_total++;
            list_push_back(&leased, link);
        } else {
            list_push_back(asking, link);
        }
    }
    if (!list_empty(&leased)) {
        struct read_round *round = round_new(&leased);
        round->index = raft_committed_index(node_core(node));
        list_push_back(&reads->applying, &round->link);
        reads_applied(node);
    }
}

void reads_turn(rr_node *node)
{
    struct reads *reads = &node->reads;
    if (node_now_us(node) >= reads->retry_us) {
        reads->retry_us = UINT64_MAX;
        list_append_all(&reads->fresh, &reads->retry);
    }
    if (list_empty(&reads->fresh)) {
        return;
    }
    struct list asking;
    list_init(&asking);
    sort_fresh(node, &asking);
    if (list_empty(&asking)) {
        return;
    }
    struct read_round *round = round_new(&asking);
    reads->next_id++;
    round->id = reads->next_id;
    list_push_back(&reads->rounds, &round->link);
    node->counters.read_rounds_total++;
    struct raft_event event = {.type = RAFT_EVENT_READ};
    event.read = round->id;
    (void)node_step(node, &event);
}

static void fail_rounds(struct list *rounds, rr_status status)
{
    struct list_link *link;
    while ((link = list_front(rounds)) != NULL) {
        struct read_round *round = CONTAINER_OF(link, struct read_round, link);
        struct list_link *waiting;
        while ((waiting = list_front(&round->reads)) != NULL) {
            end_failed(read_of(waiting), status, "the node is shutting down");
        }
        round_free(round);
    }
}

void reads_end_all(rr_node *node, rr_status status)
{
    struct reads *reads = &node->reads;
    struct list_link *waiting;
    while ((waiting = list_front(&reads->fresh)) != NULL ||
           (waiting = list_front(&reads->retry)) != NULL) {
        end_failed(read_of(waiting), status, "the node is shutting down");
    }
    fail_rounds(&reads->rounds, status);
    fail_rounds(&reads->applying, status);
    LIST_FOREACH(link, &reads->running) {
        atomic_store(&read_of(link)->job->cancelled, (int)status); /* ends on its worker */
    }
}
