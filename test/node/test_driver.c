/* The driver over a world of the test's own: what leaves when, and what a failure stops. */
#include "node/driver.h"

#include "base/memory.h"
#include "raft/progress.h"
#include "support/test.h"

#include <string.h>

enum { SENT_MAX = 256, SUBMITTED_MAX = 64 };

/* A disk that completes when the test says so, a network that notes, a clock that stands. */
struct stage {
    struct driver *driver;
    uint64_t now_us;
    struct {
        enum raft_message_type type;
        raft_id to;
    } sent[SENT_MAX];
    uint32_t sent_count;
    struct {
        log_done_fn done;
        void *arg;
        uint32_t entry_count;
        bool sync;
        bool has_hard_state;
        struct raft_hard_state hard_state;
        raft_index purge;
        uint32_t unflushed; /* messages that waited for it */
    } submitted[SUBMITTED_MAX];
    uint32_t submitted_count;
    uint32_t completed_count;
    uint32_t unflushed; /* messages given to `send` since the last flush */
    uint32_t unflushed_at_apply;
    bool inline_disk; /* completes within submit */
    raft_index applied;
    rr_status apply_status;
    int halts;
    rr_status halt_status;
    enum raft_role role;
};

static uint64_t stage_now(void *arg)
{
    return ((struct stage *)arg)->now_us;
}

static void stage_send(void *arg, const struct raft_message *message)
{
    struct stage *stage = arg;
    CHECK_LT(stage->sent_count, SENT_MAX);
    stage->sent[stage->sent_count].type = message->type;
    stage->sent[stage->sent_count].to = message->to;
    stage->sent_count++;
    stage->unflushed++;
}

static void stage_flush(void *arg)
{
    ((struct stage *)arg)->unflushed = 0;
}

static void stage_cancel(void *arg, raft_id to)
{
    (void)arg;
    (void)to;
}

static void stage_submit(void *arg, const struct log_frame *frame, log_done_fn done, void *done_arg)
{
    struct stage *stage = arg;
    uint32_t at = stage->submitted_count;
    CHECK_LT(at, SUBMITTED_MAX);
    CHECK_EQ(frame->record_count, 1);
    stage->submitted[at].unflushed = stage->unflushed;
    const struct log_record *record = &frame->records[0];
    stage->submitted[at].done = done;
    stage->submitted[at].arg = done_arg;
    stage->submitted[at].sync = frame->sync;
    stage->submitted[at].entry_count = record->entry_count;
    stage->submitted[at].purge = record->purge_index;
    stage->submitted[at].has_hard_state = record->hard_state != NULL;
    if (record->hard_state != NULL) {
        stage->submitted[at].hard_state = *record->hard_state;
    }
    stage->submitted_count++;
    if (stage->inline_disk) {
        stage->completed_count++;
        done(done_arg, RR_OK);
    }
}

static void complete(struct stage *stage, rr_status status)
{
    CHECK_LT(stage->completed_count, stage->submitted_count);
    uint32_t at = stage->completed_count;
    stage->completed_count++;
    stage->submitted[at].done(stage->submitted[at].arg, status);
}

static rr_status stage_read(void *arg, raft_index first, raft_index last, uint64_t bytes_max,
                            uint32_t count_max, struct raft_entry **out, uint32_t *count)
{
    (void)arg, (void)first, (void)last, (void)bytes_max, (void)count_max, (void)out, (void)count;
    return RR_IO; /* the cache holds everything */
}

static struct raft_snapshot *stage_offer(void *arg)
{
    (void)arg;
    return NULL;
}

static rr_status stage_install(void *arg, const struct raft_snapshot *snapshot)
{
    (void)arg, (void)snapshot;
    return RR_OK;
}

static rr_status stage_apply(void *arg, struct raft_entry *const *entries, uint32_t count)
{
    struct stage *stage = arg;
    stage->unflushed_at_apply = stage->unflushed;
    for (uint32_t i = 0; i < count; i++) {
        CHECK_EQ(entries[i]->index, stage->applied + 1);
        stage->applied = entries[i]->index;
    }
    return stage->apply_status;
}

static void stage_applied(void *arg)
{
    struct stage *stage = arg;
    CHECK_EQ(raft_applied_index(driver_core(stage->driver)), stage->applied);
}

static void stage_role(void *arg, enum raft_role role, raft_id leader)
{
    (void)leader;
    ((struct stage *)arg)->role = role;
}

static void stage_read_done(void *arg, const struct raft_host_read *read)
{
    (void)arg, (void)read;
}

static void stage_transfer_ended(void *arg)
{
    (void)arg;
}

static void stage_halt(void *arg, rr_status status, const char *reason)
{
    struct stage *stage = arg;
    CHECK(reason != NULL);
    stage->halts++;
    stage->halt_status = status;
}

static const struct driver_world world = {
    .now_us = stage_now,
    .send = stage_send,
    .cancel_snapshot = stage_cancel,
    .flush = stage_flush,
    .log_submit = stage_submit,
    .log_read = stage_read,
    .offer_snapshot = stage_offer,
    .install = stage_install,
    .apply = stage_apply,
    .applied = stage_applied,
    .role_changed = stage_role,
    .read_done = stage_read_done,
    .transfer_ended = stage_transfer_ended,
    .halt = stage_halt,
};

/* Member 1 of `members`, with an empty log. */
static void stage_open(struct stage *stage, uint32_t members)
{
    memset(stage, 0, sizeof(*stage));
    stage->now_us = 1000 * 1000;
    struct driver_options options = {.world = &world, .world_arg = stage};
    options.host = (struct raft_host_options){
        .core = {.id = 1,
                 .cluster = 7,
                 .heartbeat_interval = 50 * 1000,
                 .election_timeout = 150 * 1000,
                 .election_timeout_max = 300 * 1000,
                 .pre_vote = true,
                 .check_quorum = true,
                 .lease_reads = true,
                 .validate_conf_changes = true,
                 .message_bytes_max = 1024 * 1024,
                 .inflight_count_max = 256,
                 .trace_level = RAFT_TRACE_NONE},
        .asynchronous = true,
        .merge = true,
        .apply_bytes_max = 1024 * 1024,
        .cache_bytes_max = 1024 * 1024,
    };
    struct raft_start start = {0};
    start.configuration.count = members;
    for (uint32_t i = 0; i < members; i++) {
        start.configuration.members[i].id = i + 1;
        start.configuration.members[i].flags = RAFT_MEMBER_INCOMING;
    }
    stage->driver = driver_new(&options, &start);
}

static void stage_close(struct stage *stage)
{
    driver_free(stage->driver);
}

static void turn(struct stage *stage)
{
    while (driver_turn(stage->driver, 1000 * 1000)) {
    }
}

static void campaign(struct stage *stage)
{
    struct raft_event event = {.type = RAFT_EVENT_CAMPAIGN};
    (void)driver_step(stage->driver, &event);
    turn(stage);
}

static enum raft_result propose(struct stage *stage, const char *text)
{
    struct raft_entry *entry = raft_entry_new(RAFT_ENTRY_NORMAL, test_bytes_of(text));
    struct raft_event event = {.type = RAFT_EVENT_PROPOSE};
    event.propose.entries = &entry;
    event.propose.count = 1;
    enum raft_result result = driver_step(stage->driver, &event);
    raft_entry_unref(entry);
    return result;
}

TEST(driver, applies_nothing_before_it_is_durable)
{
    struct stage stage;
    stage_open(&stage, 1);
    campaign(&stage);
    /* The vote for itself, then the entry of the new term. */
    for (int i = 0; i < 4 && stage.completed_count < stage.submitted_count; i++) {
        CHECK(stage.submitted[stage.completed_count].sync);
        CHECK_EQ(stage.applied, 0);
        complete(&stage, RR_OK);
        turn(&stage);
    }
    CHECK_EQ(stage.role, RAFT_LEADER);
    CHECK_EQ(stage.applied, 1);
    CHECK_EQ(propose(&stage, "a"), RAFT_STEP_OK);
    turn(&stage);
    CHECK_EQ(stage.applied, 1);
    complete(&stage, RR_OK);
    turn(&stage);
    CHECK_EQ(stage.applied, 2);
    stage_close(&stage);
}

TEST(driver, writes_all_proposals_of_a_turn_in_one_frame)
{
    struct stage stage;
    stage_open(&stage, 1);
    stage.inline_disk = true;
    campaign(&stage);
    uint32_t frames = stage.submitted_count;
    for (int i = 0; i < 10; i++) {
        CHECK_EQ(propose(&stage, "x"), RAFT_STEP_OK);
    }
    turn(&stage);
    CHECK_EQ(stage.submitted_count, frames + 1);
    CHECK_EQ(stage.submitted[frames].entry_count, 10);
    CHECK(stage.submitted[frames].sync);
    CHECK_EQ(stage.applied, 11);
    stage_close(&stage);
}

TEST(driver, puts_a_commit_index_off_to_the_next_frame_or_the_flush)
{
    struct stage stage;
    stage_open(&stage, 1);
    stage.inline_disk = true;
    campaign(&stage);
    CHECK_EQ(propose(&stage, "a"), RAFT_STEP_OK);
    turn(&stage);
    uint32_t frames = stage.submitted_count;
    CHECK_EQ(stage.submitted[frames - 1].hard_state.commit, 1); /* as of the proposal */
    CHECK_EQ(propose(&stage, "b"), RAFT_STEP_OK);
    turn(&stage);
    CHECK_EQ(stage.submitted_count, frames + 1);
    CHECK_EQ(stage.submitted[frames].hard_state.commit, 2);
    driver_flush(stage.driver);
    CHECK_EQ(stage.submitted_count, frames + 2);
    CHECK_EQ(stage.submitted[frames + 1].entry_count, 0);
    CHECK_EQ(stage.submitted[frames + 1].hard_state.commit, 3);
    CHECK(!stage.submitted[frames + 1].sync);
    driver_flush(stage.driver); /* nothing is left */
    CHECK_EQ(stage.submitted_count, frames + 2);
    stage_close(&stage);
}

/* A vote is an acknowledgement: it must not leave before it is on the disk. */
TEST(driver, sends_a_vote_only_when_it_is_durable)
{
    struct stage stage;
    stage_open(&stage, 3);
    struct raft_message request = {
        .type = RAFT_MSG_VOTE, .from = 2, .to = 1, .term = 5, .cluster = 7};
    struct raft_event event = {.type = RAFT_EVENT_MESSAGE};
    event.message = &request;
    CHECK_EQ(driver_step(stage.driver, &event), RAFT_STEP_OK);
    turn(&stage);
    CHECK_EQ(stage.sent_count, 0);
    CHECK_EQ(stage.submitted_count, 1);
    CHECK_EQ(stage.submitted[0].hard_state.vote, 2);
    complete(&stage, RR_OK);
    turn(&stage);
    CHECK_EQ(stage.sent_count, 1);
    CHECK_EQ(stage.sent[0].type, RAFT_MSG_VOTE_RESP);
    CHECK_EQ(stage.sent[0].to, 2);
    stage_close(&stage);
}

/* The own vote and grants of member 2 make this node lead; its disk completes at once. */
static void lead(struct stage *stage)
{
    campaign(stage);
    static const enum raft_message_type types[] = {RAFT_MSG_PRE_VOTE_RESP, RAFT_MSG_VOTE_RESP};
    for (int i = 0; i < 2; i++) {
        struct raft_message grant = {.type = types[i], .from = 2, .to = 1, .term = 1, .cluster = 7};
        struct raft_event event = {.type = RAFT_EVENT_MESSAGE};
        event.message = &grant;
        CHECK_EQ(driver_step(stage->driver, &event), RAFT_STEP_OK);
        turn(stage);
    }
    CHECK_EQ(stage->role, RAFT_LEADER);
}

/* Dissertation, 10.2.1: the followers' disks work at the same time as the leader's. */
TEST(driver, lets_appends_leave_before_its_own_sync)
{
    struct stage stage;
    stage_open(&stage, 3);
    stage.inline_disk = true;
    lead(&stage);
    uint32_t frames = stage.submitted_count;
    CHECK_EQ(stage.sent[stage.sent_count - 1].type, RAFT_MSG_APP);
    CHECK(stage.submitted[frames - 1].sync);
    CHECK_EQ(stage.submitted[frames - 1].unflushed, 0);
    stage_close(&stage);
}

/* So that all members work at an entry at the same time, however long it takes. */
TEST(driver, tells_of_a_commit_before_it_applies)
{
    struct stage stage;
    stage_open(&stage, 3);
    stage.inline_disk = true;
    lead(&stage);
    struct raft_message stored = {
        .type = RAFT_MSG_APP_RESP, .from = 2, .to = 1, .term = 1, .index = 1, .cluster = 7};
    stored.session = raft_progress(driver_core(stage.driver), 2)->session;
    struct raft_event event = {.type = RAFT_EVENT_MESSAGE};
    event.message = &stored;
    uint32_t sent = stage.sent_count;
    CHECK_EQ(driver_step(stage.driver, &event), RAFT_STEP_OK);
    turn(&stage);
    CHECK_EQ(stage.applied, 1);
    CHECK_GT(stage.sent_count, sent);
    CHECK_EQ(stage.unflushed_at_apply, 0);
    stage_close(&stage);
}

TEST(driver, stops_for_good_when_a_write_fails)
{
    struct stage stage;
    stage_open(&stage, 3);
    struct raft_message request = {
        .type = RAFT_MSG_VOTE, .from = 2, .to = 1, .term = 5, .cluster = 7};
    struct raft_event event = {.type = RAFT_EVENT_MESSAGE};
    event.message = &request;
    CHECK_EQ(driver_step(stage.driver, &event), RAFT_STEP_OK);
    turn(&stage);
    complete(&stage, RR_IO);
    CHECK_EQ(stage.halts, 1);
    CHECK_STATUS(stage.halt_status, RR_IO);
    turn(&stage);
    CHECK_EQ(stage.sent_count, 0); /* the vote never leaves */
    CHECK_EQ(driver_step(stage.driver, &event), RAFT_STEP_HALTED);
    driver_flush(stage.driver);
    driver_purge(stage.driver, 1);
    turn(&stage);
    CHECK_EQ(stage.submitted_count, 1);
    CHECK_EQ(stage.halts, 1);
    CHECK_EQ(driver_deadline(stage.driver), UINT64_MAX);
    stage_close(&stage);
}

TEST(driver, does_nothing_more_for_a_write_that_ends_after_its_own_end)
{
    struct stage stage;
    stage_open(&stage, 1);
    campaign(&stage);
    while (stage.completed_count < stage.submitted_count) {
        complete(&stage, RR_OK);
        turn(&stage);
    }
    CHECK_EQ(stage.role, RAFT_LEADER);
    raft_index applied = stage.applied;
    CHECK_EQ(propose(&stage, "a"), RAFT_STEP_OK);
    turn(&stage);
    uint32_t submitted = stage.submitted_count;
    CHECK(stage.completed_count < submitted);
    driver_stop(stage.driver);
    complete(&stage, RR_OK);
    turn(&stage);
    CHECK_EQ(stage.applied, applied);
    CHECK_EQ(stage.submitted_count, submitted);
    CHECK_EQ(propose(&stage, "b"), RAFT_STEP_HALTED);
    stage_close(&stage);
}

TEST(driver, stops_for_good_when_an_entry_cannot_be_applied)
{
    struct stage stage;
    stage_open(&stage, 1);
    stage.inline_disk = true;
    stage.apply_status = RR_MISMATCH;
    campaign(&stage);
    CHECK_EQ(stage.halts, 1);
    CHECK_STATUS(stage.halt_status, RR_MISMATCH);
    CHECK_EQ(propose(&stage, "a"), RAFT_STEP_HALTED);
    stage_close(&stage);
}

TEST(driver, campaigns_when_the_time_has_come)
{
    struct stage stage;
    stage_open(&stage, 3);
    turn(&stage);
    CHECK_EQ(stage.sent_count, 0);
    stage.now_us = driver_deadline(stage.driver);
    driver_timer(stage.driver);
    turn(&stage);
    CHECK_EQ(stage.sent_count, 2);
    CHECK_EQ(stage.sent[0].type, RAFT_MSG_PRE_VOTE);
    stage_close(&stage);
}

TEST(driver, purges_what_is_applied)
{
    struct stage stage;
    stage_open(&stage, 1);
    stage.inline_disk = true;
    campaign(&stage);
    CHECK_EQ(propose(&stage, "a"), RAFT_STEP_OK);
    turn(&stage);
    uint32_t frames = stage.submitted_count;
    driver_purge(stage.driver, 1);
    CHECK_EQ(stage.submitted_count, frames + 1);
    CHECK_EQ(stage.submitted[frames].purge, 1);
    CHECK_EQ(raft_base_index(driver_core(stage.driver)), 1);
    driver_purge(stage.driver, 1);
    CHECK_EQ(stage.submitted_count, frames + 1);
    stage_close(&stage);
}
