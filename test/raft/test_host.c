/* The host of one core: its cache, what it reads from storage, and what a batch holds. */
#include "raft/host.h"

#include <string.h>

#include "base/memory.h"
#include "raft/progress.h"
#include "support/test.h"

enum { ENTRIES_MAX = 4000 };

/* A log in memory, a leader over it, and two members that are played by the test. */
struct fixture {
    struct raft_host *host;
    struct raft_entry *stored[ENTRIES_MAX]; /* by index; what was persisted */
    raft_index last;
    uint32_t reads;
    bool broken;
};

static rr_status read_entries(void *arg, raft_index first, raft_index last, uint64_t bytes_max,
                              uint32_t count_max, struct raft_entry **out, uint32_t *count)
{
    struct fixture *fixture = arg;
    fixture->reads++;
    if (fixture->broken) {
        return RR_IO;
    }
    uint64_t bytes = 0;
    *count = 0;
    for (raft_index index = first; index <= last && *count < count_max; index++) {
        CHECK(index <= fixture->last);
        bytes += raft_entry_bytes(fixture->stored[index]);
        if (*count > 0 && bytes > bytes_max) {
            break;
        }
        out[*count] = raft_entry_ref(fixture->stored[index]);
        (*count)++;
    }
    return RR_OK;
}

static struct raft_snapshot *no_snapshot(void *arg)
{
    (void)arg;
    return NULL;
}

static const struct raft_host_storage storage = {read_entries, no_snapshot};

static void begin(struct fixture *fixture, uint64_t cache_bytes_max)
{
    struct raft_host_options options;
    memset(&options, 0, sizeof(options));
    options.core.id = 1;
    options.core.heartbeat_interval = 1;
    options.core.election_timeout = 10;
    options.core.election_timeout_max = 19;
    options.core.validate_conf_changes = true;
    options.core.message_bytes_max = 10 * 33;
    options.core.inflight_count_max = 100;
    options.core.trace_level = RAFT_TRACE_NONE;
    options.merge = true;
    options.apply_bytes_max = UINT64_MAX;
    options.cache_bytes_max = cache_bytes_max;
    options.storage = &storage;
    options.storage_arg = fixture;
    struct raft_start start;
    memset(&start, 0, sizeof(start));
    start.configuration.count = 3;
    for (uint32_t i = 0; i < 3; i++) {
        start.configuration.members[i].id = i + 1;
        start.configuration.members[i].flags = RAFT_MEMBER_INCOMING;
    }
    fixture->host = raft_host_new(&options, &start, 0);
}

static void end(struct fixture *fixture)
{
    raft_host_free(fixture->host);
    for (raft_index index = 1; index <= fixture->last; index++) {
        raft_entry_unref(fixture->stored[index]);
    }
}

static void store(struct fixture *fixture, const struct raft_batch *batch)
{
    for (uint32_t i = 0; i < batch->entry_count; i++) {
        raft_index index = batch->entries[i]->index;
        CHECK_LE(index, fixture->last + 1);
        while (fixture->last >= index) {
            raft_entry_unref(fixture->stored[fixture->last]);
            fixture->last--;
        }
        fixture->stored[index] = raft_entry_ref(batch->entries[i]);
        fixture->last = index;
    }
}

/* Takes a batch, makes it durable and applies it. */
static void turn(struct fixture *fixture, struct raft_batch *batch)
{
    raft_host_take(fixture->host, batch);
    store(fixture, batch);
    raft_host_persisted(fixture->host, batch, 0);
    if (batch->committed_count > 0) {
        raft_host_applied(fixture->host, batch->committed[batch->committed_count - 1]->index,
                          batch->committed_bytes, 0);
    }
}

static void turns(struct fixture *fixture)
{
    while (raft_host_pending(fixture->host)) {
        struct raft_batch batch;
        turn(fixture, &batch);
        raft_batch_deinit(&batch);
    }
}

static enum raft_result answer(struct fixture *fixture, raft_id from, enum raft_message_type type,
                               raft_index index)
{
    struct raft *core = raft_host_core(fixture->host);
    struct raft_message message;
    memset(&message, 0, sizeof(message));
    message.type = type;
    message.from = from;
    message.to = 1;
    message.term = raft_hard_state(core).term;
    message.index = index;
    message.session = raft_progress(core, from)->session;
    struct raft_event event = {.type = RAFT_EVENT_MESSAGE};
    event.message = &message;
    return raft_host_step(fixture->host, &event);
}

static void lead(struct fixture *fixture)
{
    struct raft_event event = {.type = RAFT_EVENT_CAMPAIGN};
    (void)raft_host_step(fixture->host, &event);
    turns(fixture);
    (void)answer(fixture, 2, RAFT_MSG_VOTE_RESP, 0);
    CHECK_EQ(raft_role(raft_host_core(fixture->host)), RAFT_LEADER);
    turns(fixture);
}

static void propose(struct fixture *fixture, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        struct raft_entry *entry = raft_entry_new(RAFT_ENTRY_NORMAL, test_bytes_of("x"));
        struct raft_event event = {.type = RAFT_EVENT_PROPOSE};
        event.propose.entries = &entry;
        event.propose.count = 1;
        CHECK_EQ(raft_host_step(fixture->host, &event), RAFT_STEP_OK);
        raft_entry_unref(entry);
    }
}

TEST(host, sends_from_storage_what_the_cache_no_longer_holds)
{
    struct fixture fixture = {.reads = 0};
    begin(&fixture, 0);
    lead(&fixture);
    (void)answer(&fixture, 2, RAFT_MSG_APP_RESP, 1);
    propose(&fixture, 95);
    turns(&fixture);
    (void)answer(&fixture, 2, RAFT_MSG_APP_RESP, 96);
    turns(&fixture);
    CHECK_EQ(raft_host_cache_bytes(fixture.host), 0);
    /* 3 answers for the first time: it lacks all but the first entry, ten of which fit at once. */
    fixture.reads = 0;
    (void)answer(&fixture, 3, RAFT_MSG_APP_RESP, 1);
    raft_index next = 2;
    while (raft_more(raft_host_core(fixture.host)) || raft_host_pending(fixture.host)) {
        struct raft_event more = {.type = RAFT_EVENT_MORE};
        (void)raft_host_step(fixture.host, &more);
        struct raft_batch batch;
        turn(&fixture, &batch);
        for (uint32_t i = 0; i < batch.message_count; i++) {
            const struct raft_message *message = &batch.messages[i];
            CHECK_EQ(message->to, 3);
            CHECK(raft_message_valid(message));
            CHECK_LE(message->entry_count, 10);
            CHECK(message->entry_count == 0 || message->index == next - 1);
            next += message->entry_count;
        }
        raft_batch_deinit(&batch);
    }
    CHECK_EQ(next, 97);
    CHECK_GE(fixture.reads, 10);
    end(&fixture);
}

TEST(host, folds_the_appends_of_one_batch_as_far_as_a_message_may_grow)
{
    struct fixture fixture = {.reads = 0};
    begin(&fixture, UINT64_MAX);
    lead(&fixture);
    (void)answer(&fixture, 2, RAFT_MSG_APP_RESP, 1);
    turns(&fixture);
    propose(&fixture, 25);
    struct raft_batch batch;
    turn(&fixture, &batch);
    CHECK_EQ(batch.entry_count, 25);
    raft_index next = 2;
    uint32_t messages = 0;
    for (uint32_t i = 0; i < batch.message_count; i++) {
        if (batch.messages[i].to == 2) {
            CHECK(raft_message_valid(&batch.messages[i]));
            CHECK_EQ(batch.messages[i].index, next - 1);
            next += batch.messages[i].entry_count;
            messages++;
        }
    }
    CHECK_EQ(next, 27);
    CHECK_EQ(messages, 3);
    raft_batch_deinit(&batch);
    end(&fixture);
}

TEST(host, stops_when_its_log_cannot_be_read)
{
    struct fixture fixture = {.reads = 0};
    begin(&fixture, 0);
    lead(&fixture);
    (void)answer(&fixture, 2, RAFT_MSG_APP_RESP, 1);
    propose(&fixture, 20);
    turns(&fixture);
    (void)answer(&fixture, 2, RAFT_MSG_APP_RESP, 21);
    turns(&fixture);
    fixture.broken = true;
    (void)answer(&fixture, 3, RAFT_MSG_APP_RESP, 1);
    CHECK(raft_host_halted(fixture.host) != NULL);
    CHECK(strstr(raft_host_halted(fixture.host), "cannot be read") != NULL);
    CHECK_EQ(answer(&fixture, 3, RAFT_MSG_APP_RESP, 1), RAFT_STEP_HALTED);
    struct raft_batch batch;
    raft_host_take(fixture.host, &batch);
    for (uint32_t i = 0; i < batch.message_count; i++) {
        CHECK_EQ(batch.messages[i].entry_count, 0);
    }
    raft_batch_deinit(&batch);
    end(&fixture);
}

/* Specification, section 14: a commit index is written with the entries that came with it. */
TEST(host, reports_a_commit_index_in_the_batch_of_the_entries_it_came_with)
{
    struct fixture fixture = {.reads = 0};
    begin(&fixture, UINT64_MAX);
    struct raft_entry *entries[2];
    struct raft_message message = {.type = RAFT_MSG_APP, .from = 2, .to = 1, .term = 3};
    for (uint32_t i = 0; i < 2; i++) {
        entries[i] = raft_entry_new(RAFT_ENTRY_NORMAL, test_bytes_of("x"));
        entries[i]->index = i + 1;
        entries[i]->term = 3;
    }
    message.entries = entries;
    message.entry_count = 2;
    message.commit = 1;
    struct raft_event event = {.type = RAFT_EVENT_MESSAGE};
    event.message = &message;
    CHECK_EQ(raft_host_step(fixture.host, &event), RAFT_STEP_OK);
    struct raft_batch batch;
    raft_host_take(fixture.host, &batch);
    CHECK_EQ(batch.entry_count, 2);
    CHECK(batch.hard_state_changed);
    CHECK_EQ(batch.hard_state.commit, 1);
    CHECK_EQ(batch.hard_state.term, 3);
    CHECK(batch.sync);
    CHECK_EQ(batch.response_count, 1);
    CHECK_EQ(batch.message_count, 0);
    raft_batch_deinit(&batch);
    raft_entry_unref(entries[0]);
    raft_entry_unref(entries[1]);
    end(&fixture);
}

/* What replaced entries of a batch under way is written by the next; its receipt confirms neither. */
TEST(host, a_receipt_of_replaced_entries_confirms_nothing)
{
    struct fixture fixture = {.reads = 0};
    begin(&fixture, UINT64_MAX);
    struct raft_batch batches[2];
    for (raft_term term = 3; term <= 4; term++) {
        struct raft_entry *entry = raft_entry_new(RAFT_ENTRY_NORMAL, test_bytes_of("x"));
        entry->index = 1;
        entry->term = term;
        struct raft_message message = {.type = RAFT_MSG_APP, .from = (raft_id)term - 1, .to = 1};
        message.term = term;
        message.entries = &entry;
        message.entry_count = 1;
        struct raft_event event = {.type = RAFT_EVENT_MESSAGE};
        event.message = &message;
        CHECK_EQ(raft_host_step(fixture.host, &event), RAFT_STEP_OK);
        raft_host_take(fixture.host, &batches[term - 3]);
        CHECK_EQ(batches[term - 3].entry_count, 1);
        raft_entry_unref(entry);
    }
    raft_host_persisted(fixture.host, &batches[0], 0);
    CHECK_EQ(raft_persisted_index(raft_host_core(fixture.host)), 0);
    raft_host_persisted(fixture.host, &batches[1], 0);
    CHECK_EQ(raft_persisted_index(raft_host_core(fixture.host)), 1);
    raft_batch_deinit(&batches[0]);
    raft_batch_deinit(&batches[1]);
    end(&fixture);
}

/* A snapshot replaces what was not handed out, and goes with the entries behind it. */
TEST(host, a_snapshot_takes_the_place_of_entries_that_were_not_written)
{
    struct fixture fixture = {.reads = 0};
    begin(&fixture, UINT64_MAX);
    struct raft_entry *entry = raft_entry_new(RAFT_ENTRY_NORMAL, test_bytes_of("x"));
    entry->index = 1;
    entry->term = 1;
    struct raft_message message = {.type = RAFT_MSG_APP, .from = 2, .to = 1, .term = 1};
    message.entries = &entry;
    message.entry_count = 1;
    struct raft_event event = {.type = RAFT_EVENT_MESSAGE};
    event.message = &message;
    CHECK_EQ(raft_host_step(fixture.host, &event), RAFT_STEP_OK);
    struct raft_configuration configuration = *raft_configuration(raft_host_core(fixture.host));
    struct raft_snapshot *snapshot = raft_snapshot_new(9, 1, &configuration, (rr_bytes){NULL, 0});
    struct raft_message second = {.type = RAFT_MSG_SNAP, .from = 2, .to = 1, .term = 1};
    second.snapshot = snapshot;
    event.message = &second;
    CHECK_EQ(raft_host_step(fixture.host, &event), RAFT_STEP_OK);
    raft_snapshot_unref(snapshot);
    struct raft_batch batch;
    raft_host_take(fixture.host, &batch);
    CHECK_EQ(batch.entry_count, 0);
    CHECK_EQ(batch.committed_count, 0);
    CHECK(batch.snapshot != NULL && batch.snapshot->index == 9);
    CHECK(batch.receipt_due);
    CHECK_EQ(raft_pending_snapshot(raft_host_core(fixture.host)), 9);
    CHECK_EQ(batch.message_count, 0);
    CHECK_EQ(batch.response_count, 1);
    CHECK_EQ(batch.responses[0].index, 9);
    raft_host_persisted(fixture.host, &batch, 0);
    CHECK_EQ(raft_pending_snapshot(raft_host_core(fixture.host)), 0);
    CHECK_EQ(raft_applied_index(raft_host_core(fixture.host)), 9);
    raft_batch_deinit(&batch);
    raft_entry_unref(entry);
    end(&fixture);
}
