/*
 * Serving backups: BEGIN asks the leader for an index and waits for a snapshot from there on, CHUNK
 * reads a piece of it, END lets it go.
 *
 * Invariants:
 * 1. Every responder is answered once: by what it asked for, or by the backup's end.
 * 2. A backup makes progress (a chunk further on than all before is asked for and answered), or this
 *    node owes it something, or it ends within BACKUP_IDLE_MS.
 * 3. It is freed when neither a worker nor a question to the leader is under way for it.
 */
#include "node/backups.h"

#include "base/assert.h"
#include "base/memory.h"
#include "command/backup.h"
#include "node/members.h"
#include "node/snapshots.h"
#include "storage/snapshot_check.h"

#include <inttypes.h>
#include <string.h>

enum {
    CONFIRM_MS = 10 * 1000, /* for the leader to say what was acknowledged */
    BEGIN_ANSWER_MS = 3000, /* a BEGIN is answered by then: the client learns that it is heard */
};

/* A chunk asked for. */
struct chunk_question {
    struct responder *responder;
    uint64_t chunk;
};

/* One backup, from its first BEGIN to its end. */
struct backup {
    struct list_link link; /* in snapshots->backups until it is over */
    rr_node *node;
    uint64_t id;
    raft_index covers;       /* what the client wants; 0: what the leader says */
    bool confirming;         /* a callback is to come */
    bool making;             /* waits for backups_made */
    bool over;               /* freed as soon as that can be */
    struct responder *begin; /* the BEGIN that waits; NULL: none */
    struct deadline begin_due;
    struct deadline idle;

    struct snapshot *files; /* held; NULL until there is one that covers what it must */
    struct snapshot_info info;
    uint64_t furthest; /* one past the last chunk that was sent */

    struct chunk_question questions[BACKUP_QUESTIONS_MAX]; /* oldest first */
    uint32_t question_count;
    uint64_t next_read_us; /* the rate allows no chunk before */
    struct deadline rate;
    struct worker_job job; /* reads the oldest one's chunk */
    bool reading;
    struct buffer chunk;
    uint64_t checksum;
    struct snapshot_check check; /* once there are files */
    bool in_use;                 /* the damage that it has found is in a file of the state's, too */
    rr_status status;
    struct storage_error error;
};

/* ---- Answers ---- */

static void send_answer(struct responder *responder, enum backup_kind kind,
                        const struct backup_answer *answer)
{
    struct buffer bytes;
    buffer_init(&bytes);
    backup_answer_encode(&bytes, kind, answer);
    responder_answer(responder, bytes.failed ? RR_NO_MEMORY : RR_OK,
                     bytes.failed ? (rr_bytes){0} : buffer_bytes(&bytes));
    buffer_deinit(&bytes);
}

static void refuse(struct responder *responder, rr_status status, const char *text)
{
    struct backup_answer answer = {.status = status, .text = {text, strlen(text)}};
    send_answer(responder, BACKUP_END, &answer);
}

/* What the BEGIN waits for is there, or is not yet. */
static void answer_begin(struct backup *backup)
{
    const rr_node *node = backup->node;
    struct backup_answer answer = {.status = RR_BUSY, .preparing = true};
    if (backup->files != NULL) {
        answer = (struct backup_answer){.status = RR_OK,
                                        .cluster = node->self.cluster,
                                        .node = node->options.public.node_id,
                                        .covers = backup->covers,
                                        .manifest = snapshot_manifest(backup->files)};
    }
    struct responder *responder = backup->begin;
    backup->begin = NULL;
    deadline_clear(&backup->node->deadlines, &backup->begin_due);
    send_answer(responder, BACKUP_BEGIN, &answer);
}

/* ---- The end ---- */

static void free_if_unused(struct backup *backup)
{
    if (!backup->over || backup->confirming || backup->reading) {
        return;
    }
    if (backup->files != NULL) {
        snapshot_check_deinit(&backup->check);
    }
    snapshot_release(backup->files);
    buffer_deinit(&backup->chunk);
    mem_free(backup);
}

/* It is over; whatever is asked gets this answer. */
static void end(struct backup *backup, rr_status status, const char *text)
{
    struct deadlines *deadlines = &backup->node->deadlines;
    ASSERT(!backup->over);
    if (backup->begin != NULL) {
        refuse(backup->begin, status, text);
    }
    for (uint32_t at = 0; at < backup->question_count; at++) {
        refuse(backup->questions[at].responder, status, text);
    }
    deadline_clear(deadlines, &backup->begin_due);
    deadline_clear(deadlines, &backup->idle);
    deadline_clear(deadlines, &backup->rate);
    list_remove(&backup->link);
    backup->over = true;
    free_if_unused(backup);
}

static void expect_progress(struct backup *backup);

static void on_idle(void *arg)
{
    struct backup *backup = arg;
    bool owes = backup->confirming || backup->making;
    for (uint32_t at = 0; at < backup->question_count; at++) {
        owes |= backup->questions[at].chunk >= backup->furthest;
    }
    if (owes) {
        expect_progress(backup);
        return;
    }
    LOG_WARN(&backup->node->logger,
             "a backup ends unfinished, at chunk %" PRIu64 " of %" PRIu64
             ": its client asks no further",
             backup->furthest, backup->info.chunk_count);
    end(backup, RR_TIMEOUT, "the backup made no progress");
}

static void expect_progress(struct backup *backup)
{
    struct deadlines *deadlines = &backup->node->deadlines;
    deadline_clear(deadlines, &backup->idle);
    deadline_set(deadlines, &backup->idle,
                 node_now_us(backup->node) + (uint64_t)BACKUP_IDLE_MS * 1000, on_idle, backup);
}

/* ---- The snapshot ---- */

static bool covered(const struct backup *backup)
{
    const struct snapshots *snapshots = backup->node->snapshots;
    return snapshots->latest != NULL && snapshots->latest_info.position.index >= backup->covers;
}

static void take(struct backup *backup)
{
    struct snapshots *snapshots = backup->node->snapshots;
    backup->making = false;
    backup->files = snapshot_hold(snapshots->latest);
    backup->info = snapshots->latest_info;
    snapshot_check_init(&backup->check, backup->files);
    LOG_INFO(&backup->node->logger,
             "a backup of the snapshot at entry %" PRIu64 " is taken: %" PRIu64 " bytes",
             backup->info.position.index, backup->info.size);
    expect_progress(backup);
    if (backup->begin != NULL) {
        answer_begin(backup);
    }
}

/* `covers` is known. */
static void take_or_make(struct backup *backup)
{
    if (covered(backup)) {
        take(backup);
        return;
    }
    backup->making = true;
    backup->node->snapshots->making.retry_us = 0; /* somebody asks: at once */
    snapshots_make(backup->node);
}

void backups_made(rr_node *node, rr_status status, const char *text)
{
    bool more = false;
    LIST_FOREACH_SAFE(link, &node->snapshots->backups) {
        struct backup *backup = CONTAINER_OF(link, struct backup, link);
        if (!backup->making) {
            continue;
        }
        if (status != RR_OK) {
            end(backup, status, text);
        } else if (covered(backup)) {
            take(backup);
        } else {
            more = true; /* that one had begun before they asked */
        }
    }
    if (more) {
        snapshots_make(node);
    }
}

/* Everything acknowledged before the question is applied here. */
static void confirmed(void *arg, rr_status status, raft_index index)
{
    struct backup *backup = arg;
    backup->confirming = false;
    if (backup->over) {
        free_if_unused(backup);
    } else if (status != RR_OK) {
        end(backup, status == RR_CLOSED ? RR_CLOSED : RR_TIMEOUT,
            "this node could not catch up with the leader in time");
    } else {
        /* What a client asks for beyond that would never be there. */
        backup->covers = backup->covers == 0 || backup->covers > index ? index : backup->covers;
        take_or_make(backup);
    }
}

/* ---- BEGIN ---- */

static void on_begin_due(void *arg)
{
    answer_begin(arg);
}

static struct backup *find(rr_node *node, uint64_t id)
{
    LIST_FOREACH(link, &node->snapshots->backups) {
        struct backup *backup = CONTAINER_OF(link, struct backup, link);
        if (backup->id == id) {
            return backup;
        }
    }
    return NULL;
}

static uint32_t count(const rr_node *node)
{
    uint32_t count = 0;
    LIST_FOREACH(link, &node->snapshots->backups) {
        count++;
    }
    return count;
}

static struct backup *backup_new(rr_node *node, uint64_t id)
{
    struct backup *backup = mem_new(struct backup);
    backup->node = node;
    backup->id = id;
    buffer_init(&backup->chunk);
    list_push_back(&node->snapshots->backups, &backup->link);
    expect_progress(backup);
    return backup;
}

static void wait_for_snapshot(struct backup *backup, struct responder *responder,
                              uint32_t timeout_ms)
{
    rr_node *node = backup->node;
    uint32_t wait_ms = timeout_ms / 2 < BEGIN_ANSWER_MS ? timeout_ms / 2 : BEGIN_ANSWER_MS;
    if (backup->begin != NULL) {
        answer_begin(backup); /* the one that waited so far */
    }
    backup->begin = responder;
    deadline_set(&node->deadlines, &backup->begin_due, node_now_us(node) + (uint64_t)wait_ms * 1000,
                 on_begin_due, backup);
}

static void begin(rr_node *node, const struct backup_request *request, uint32_t timeout_ms,
                  struct responder *responder)
{
    struct backup *backup = find(node, request->id);
    if (backup == NULL && !members_is_member(node->members, members_self(node))) {
        refuse(responder, RR_NOT_FOUND, "this node is no member of a cluster");
        return;
    }
    if (backup == NULL && count(node) >= BACKUPS_MAX) {
        refuse(responder, RR_BUSY, "this node gives other backups at the moment");
        return;
    }
    bool first = backup == NULL;
    if (first) {
        backup = backup_new(node, request->id);
    }
    wait_for_snapshot(backup, responder, timeout_ms);
    if (first) {
        backup->covers = request->covers;
    }
    if (backup->files != NULL) {
        answer_begin(backup);
    } else if (first && request->covers != 0 && covered(backup)) {
        take(backup);
    } else if (first) {
        backup->confirming = true;
        confirm_index(node, node_now_us(node) + (uint64_t)CONFIRM_MS * 1000, confirmed, backup);
    }
}

/* ---- CHUNK ---- */

static void read_on_worker(void *arg)
{
    struct backup *backup = arg;
    uint64_t chunk = backup->questions[0].chunk;
    backup->in_use = false;
    backup->status = snapshot_read_chunk(backup->files, chunk, &backup->chunk, &backup->checksum,
                                         &backup->error);
    if (backup->status == RR_OK) {
        backup->status = snapshot_check_chunk(&backup->check, chunk, buffer_bytes(&backup->chunk),
                                              &backup->in_use, &backup->error);
    }
}

static void read_next(struct backup *backup);

static void on_rate(void *arg)
{
    read_next(arg);
}

/* Answers the oldest question with what was read. */
static void answer_chunk(struct backup *backup)
{
    struct snapshots_counters *counters = &backup->node->snapshots->counters;
    struct chunk_question question = backup->questions[0];
    backup->question_count--;
    memmove(&backup->questions[0], &backup->questions[1],
            backup->question_count * sizeof(question));
    if (backup->status != RR_OK) {
        LOG_ERROR(&backup->node->logger, "cannot read the snapshot: %s", backup->error.text);
        refuse(question.responder, backup->status, backup->error.text);
        return;
    }
    if (question.chunk >= backup->furthest) {
        backup->furthest = question.chunk + 1;
        expect_progress(backup);
    }
    counters->backup_bytes_total += backup->chunk.size;
    struct backup_answer answer = {
        .status = RR_OK, .checksum = backup->checksum, .bytes = buffer_bytes(&backup->chunk)};
    send_answer(question.responder, BACKUP_CHUNK, &answer);
    uint64_t rate = backup->node->options.public.snapshot_bytes_per_s;
    if (rate > 0) {
        rate = rate < BACKUP_BYTES_PER_S_MIN ? BACKUP_BYTES_PER_S_MIN : rate;
        backup->next_read_us = node_now_us(backup->node) + backup->chunk.size * 1000000 / rate;
    }
}

static void read_done(void *arg)
{
    struct backup *backup = arg;
    backup->reading = false;
    if (backup->over) {
        free_if_unused(backup);
        return;
    }
    answer_chunk(backup);
    if (backup->status == RR_CORRUPT) { /* the client begins anew, with another one */
        snapshots_damaged(backup->node, backup->files, backup->in_use, backup->error.text);
        end(backup, RR_NOT_FOUND, "the snapshot was damaged");
        return;
    }
    read_next(backup);
}

/* Reads for the oldest question, as soon as the rate allows it. */
static void read_next(struct backup *backup)
{
    rr_node *node = backup->node;
    if (backup->reading || backup->question_count == 0 || list_contains(&backup->rate.link)) {
        return;
    }
    if (node_now_us(node) < backup->next_read_us) {
        deadline_set(&node->deadlines, &backup->rate, backup->next_read_us, on_rate, backup);
        return;
    }
    backup->reading = true;
    backup->job.run = read_on_worker;
    backup->job.done = read_done;
    backup->job.arg = backup;
    worker_submit(node->worker, &backup->job);
}

static void serve_chunk(rr_node *node, const struct backup_request *request,
                        struct responder *responder)
{
    struct backup *backup = find(node, request->id);
    if (backup == NULL || backup->files == NULL) {
        refuse(responder, RR_NOT_FOUND, "this node has no such backup under way, or no longer");
    } else if (request->chunk >= backup->info.chunk_count) {
        refuse(responder, RR_INVALID, "the snapshot has no such chunk");
    } else if (backup->question_count == BACKUP_QUESTIONS_MAX) {
        refuse(responder, RR_BUSY, "too many chunks are asked for at a time");
    } else {
        backup->questions[backup->question_count] =
            (struct chunk_question){responder, request->chunk};
        backup->question_count++;
        read_next(backup);
    }
}

/* ---- All questions ---- */

static void serve_end(rr_node *node, const struct backup_request *request,
                      struct responder *responder)
{
    struct backup *backup = find(node, request->id);
    if (backup != NULL) {
        if (backup->files != NULL && backup->furthest == backup->info.chunk_count) {
            node->snapshots->counters.backups_total++;
            LOG_INFO(&node->logger, "the backup at entry %" PRIu64 " was taken",
                     backup->info.position.index);
        }
        end(backup, RR_CLOSED, "the client has ended the backup");
    }
    struct backup_answer answer = {.status = RR_OK};
    send_answer(responder, BACKUP_END, &answer);
}

void backups_serve(rr_node *node, rr_bytes body, uint32_t timeout_ms, struct responder *responder)
{
    struct backup_request request;
    rr_status status = backup_request_decode(body, &request);
    if (status != RR_OK) {
        refuse(responder, status == RR_MISMATCH ? RR_MISMATCH : RR_INVALID,
               "this node does not understand the question");
        return;
    }
    if (!node_alive(node) || node->snapshots->stopped) {
        refuse(responder, RR_CLOSED, "the node is stopping, or has halted");
        return;
    }
    switch (request.kind) {
    case BACKUP_BEGIN:
        begin(node, &request, timeout_ms, responder);
        return;
    case BACKUP_CHUNK:
        serve_chunk(node, &request, responder);
        return;
    case BACKUP_END:
        serve_end(node, &request, responder);
        return;
    }
    UNREACHABLE();
}

void backups_stop(rr_node *node)
{
    LIST_FOREACH_SAFE(link, &node->snapshots->backups) {
        end(CONTAINER_OF(link, struct backup, link), RR_CLOSED, "the node is stopping");
    }
}
