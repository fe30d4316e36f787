/* The core by itself: the states it may start from, and the bound on what a step asks for. */
#include "raft/raft.h"

#include <string.h>

#include "base/memory.h"
#include "raft/progress.h"
#include "support/test.h"

/* A host whose messages hold one entry each, and which always has a snapshot. */
struct stub {
    raft_index snapshot;
};

static raft_index fit_one(void *host, raft_index first, raft_index last, uint64_t bytes_max,
                          uint64_t *bytes)
{
    (void)host;
    (void)last;
    *bytes = bytes_max;
    return first;
}

static bool has_snapshot(void *host, raft_index *index, raft_term *term)
{
    const struct stub *stub = host;
    *index = stub->snapshot;
    *term = 1;
    return stub->snapshot > 0;
}

static const struct raft_host_ops stub_ops = {fit_one, has_snapshot, NULL};

static struct raft_options options_of(raft_id id, struct stub *stub)
{
    struct raft_options options;
    memset(&options, 0, sizeof(options));
    options.id = id;
    options.seed = id;
    options.heartbeat_interval = 1;
    options.election_timeout = 10;
    options.election_timeout_max = 19;
    options.validate_conf_changes = true;
    options.message_bytes_max = 1;
    options.inflight_count_max = 1000;
    options.trace_level = RAFT_TRACE_DEBUG;
    options.ops = &stub_ops;
    options.host = stub;
    return options;
}

static struct raft_configuration voters(uint32_t count)
{
    struct raft_configuration configuration;
    memset(&configuration, 0, sizeof(configuration));
    configuration.count = count;
    for (uint32_t i = 0; i < count; i++) {
        configuration.members[i].id = i + 1;
        configuration.members[i].flags = RAFT_MEMBER_INCOMING;
    }
    return configuration;
}

/* One core and room for what it asks for. */
struct fixture {
    struct stub stub;
    struct raft *raft;
    struct raft_effects *effects;
    uint64_t now;
    uint32_t most; /* effects of one step */
};

static void begin(struct fixture *fixture, const struct raft_options *options,
                  const struct raft_start *start)
{
    fixture->effects = mem_new(struct raft_effects);
    fixture->raft = raft_new(options, start, fixture->now, fixture->effects);
}

static void end(struct fixture *fixture)
{
    raft_free(fixture->raft);
    mem_free(fixture->effects);
}

static enum raft_result step(struct fixture *fixture, struct raft_event *event)
{
    event->now = fixture->now;
    enum raft_result result = raft_step(fixture->raft, event, fixture->effects);
    if (fixture->effects->count > fixture->most) {
        fixture->most = fixture->effects->count;
    }
    for (uint32_t i = 0; i < fixture->effects->count; i++) {
        if (fixture->effects->items[i].type == RAFT_EFFECT_APPEND) {
            raft_entry_unref(fixture->effects->items[i].append.own);
        }
    }
    return result;
}

static void answer(struct fixture *fixture, raft_id from, enum raft_message_type type,
                   raft_index index, uint64_t round)
{
    struct raft_message message;
    memset(&message, 0, sizeof(message));
    message.type = type;
    message.from = from;
    message.to = raft_self(fixture->raft);
    message.term = raft_hard_state(fixture->raft).term;
    message.index = index;
    message.round = round;
    const struct raft_progress *progress = raft_progress(fixture->raft, from);
    message.session = progress != NULL ? progress->session : 0;
    bool own = from == message.to;
    struct raft_event event = {.type = own ? RAFT_EVENT_LOCAL_MESSAGE : RAFT_EVENT_MESSAGE};
    event.message = &message;
    CHECK_EQ(step(fixture, &event), RAFT_STEP_OK);
}

static void elect(struct fixture *fixture)
{
    struct raft_event event = {.type = RAFT_EVENT_CAMPAIGN};
    (void)step(fixture, &event);
    for (raft_id id = 1; raft_role(fixture->raft) != RAFT_LEADER; id++) {
        answer(fixture, id, RAFT_MSG_VOTE_RESP, 0, 0);
    }
}

static void propose(struct fixture *fixture, uint32_t count)
{
    struct raft_entry *entries[64];
    for (uint32_t i = 0; i < count; i++) {
        entries[i] = raft_entry_new(RAFT_ENTRY_NORMAL, test_bytes_of("x"));
    }
    struct raft_event event = {.type = RAFT_EVENT_PROPOSE};
    event.propose.entries = entries;
    event.propose.count = count;
    CHECK_EQ(step(fixture, &event), RAFT_STEP_OK);
    for (uint32_t i = 0; i < count; i++) {
        raft_entry_unref(entries[i]);
    }
}

static void read_index(struct fixture *fixture, uint64_t id)
{
    struct raft_event event = {.type = RAFT_EVENT_READ, .read = id};
    CHECK_EQ(step(fixture, &event), RAFT_STEP_OK);
}

static void ask(struct fixture *fixture, raft_id from, uint64_t id)
{
    struct raft_message message;
    memset(&message, 0, sizeof(message));
    message.type = RAFT_MSG_READ_INDEX;
    message.from = from;
    message.to = raft_self(fixture->raft);
    message.read_id = id;
    struct raft_event event = {.type = RAFT_EVENT_MESSAGE};
    event.message = &message;
    CHECK_EQ(step(fixture, &event), RAFT_STEP_OK);
}

static void go_on(struct fixture *fixture)
{
    while (raft_more(fixture->raft)) {
        struct raft_event event = {.type = RAFT_EVENT_MORE};
        (void)step(fixture, &event);
    }
}

/* A leader of the largest group, 1, with a log of 2000 entries that nobody else has. */
static void lead_a_large_group(struct fixture *fixture)
{
    struct raft_options options = options_of(1, &fixture->stub);
    static const struct raft_term_run runs[] = {{1, 1}};
    struct raft_start start = {.configuration = voters(RAFT_MEMBERS_MAX)};
    start.hard_state.term = 1;
    start.runs = runs;
    start.run_count = 1;
    start.last = 2000;
    start.hard_state.commit = 1000;
    start.applied = 1000;
    fixture->now = 1;
    begin(fixture, &options, &start);
    elect(fixture);
    answer(fixture, 1, RAFT_MSG_APP_RESP, raft_last_index(fixture->raft), 0);
}

TEST(core, the_largest_group_stays_within_the_bound_on_effects)
{
    struct fixture fixture = {.stub = {0}};
    lead_a_large_group(&fixture);
    raft_index last = raft_last_index(fixture.raft);
    /* All begin to replicate, one entry to a message, as much as a step may send at once. */
    for (raft_id id = 2; id <= RAFT_MEMBERS_MAX; id++) {
        answer(&fixture, id, RAFT_MSG_APP_RESP, 900, 0);
    }
    struct raft_event more = {.type = RAFT_EVENT_MORE};
    (void)step(&fixture, &more);
    CHECK_GE(fixture.effects->count, (uint32_t)(RAFT_MEMBERS_MAX - 1) * RAFT_SEND_BURST_MAX);
    go_on(&fixture);
    /* Everybody waits for a read when the entry of the term is committed. */
    read_index(&fixture, 1);
    for (raft_id id = 2; id <= RAFT_MEMBERS_MAX; id++) {
        ask(&fixture, id, 7);
    }
    propose(&fixture, 64);
    for (raft_id id = 2; id <= RAFT_MEMBERS_MAX; id++) {
        answer(&fixture, id, RAFT_MSG_APP_RESP, last, 0);
    }
    CHECK_EQ(raft_committed_index(fixture.raft), last);
    /* They are confirmed by the same step that commits more. */
    answer(&fixture, 1, RAFT_MSG_APP_RESP, last + 64, 0);
    for (raft_id id = 2; id <= RAFT_MEMBERS_MAX; id++) {
        read_index(&fixture, id);
        answer(&fixture, id, RAFT_MSG_APP_RESP, last + 64, 1);
    }
    CHECK_EQ(raft_committed_index(fixture.raft), last + 64);
    CHECK_LT(fixture.most, RAFT_EFFECTS_MAX * 3 / 4); /* where trace lines begin to be left out */
    end(&fixture);
}

TEST(core, snapshots_to_all_members_stay_within_the_bound_on_effects)
{
    struct fixture fixture = {.stub = {1000}};
    lead_a_large_group(&fixture);
    struct raft_event compacted = {.type = RAFT_EVENT_COMPACTED, .compacted = 1000};
    (void)step(&fixture, &compacted);
    for (raft_id id = 2; id <= RAFT_MEMBERS_MAX; id++) {
        answer(&fixture, id, RAFT_MSG_HEARTBEAT_RESP, 0, 0); /* unpaused, and active */
        struct raft_event lost = {.type = RAFT_EVENT_UNREACHABLE, .unreachable = id};
        (void)step(&fixture, &lost);
    }
    for (raft_id id = 2; id <= RAFT_MEMBERS_MAX; id++) {
        struct raft_message message = {.type = RAFT_MSG_APP_RESP, .from = id, .to = 1};
        message.term = raft_hard_state(fixture.raft).term;
        message.session = raft_progress(fixture.raft, id)->session;
        message.reject = true;
        message.index = raft_progress(fixture.raft, id)->next - 1;
        message.reject_hint = 5;
        message.log_term = 1;
        struct raft_event event = {.type = RAFT_EVENT_MESSAGE};
        event.message = &message;
        (void)step(&fixture, &event);
        CHECK_EQ(raft_progress(fixture.raft, id)->state, RAFT_SNAPSHOT);
    }
    /* Another term ends them all. */
    struct raft_message message = {.type = RAFT_MSG_HEARTBEAT, .from = 2, .to = 1, .term = 99};
    struct raft_event event = {.type = RAFT_EVENT_MESSAGE};
    event.message = &message;
    (void)step(&fixture, &event);
    uint32_t cancelled = 0;
    for (uint32_t i = 0; i < fixture.effects->count; i++) {
        cancelled += fixture.effects->items[i].type == RAFT_EFFECT_CANCEL_SNAPSHOT;
    }
    CHECK_EQ(cancelled, RAFT_MEMBERS_MAX - 1);
    end(&fixture);
}

TEST(core, a_proposal_holds_a_bounded_number_of_configurations)
{
    struct fixture fixture = {.stub = {0}};
    lead_a_large_group(&fixture);
    struct raft_conf_change change;
    memset(&change, 0, sizeof(change));
    change.count = RAFT_CONF_OPERATIONS_MAX;
    for (uint32_t i = 0; i < change.count; i++) {
        change.operations[i].type = RAFT_CONF_ADD_LEARNER;
        change.operations[i].id = UINT64_MAX - i;
    }
    struct raft_entry *entries[RAFT_PROPOSED_CONFIGURATIONS_MAX + 1];
    for (uint32_t i = 0; i <= RAFT_PROPOSED_CONFIGURATIONS_MAX; i++) {
        entries[i] = raft_conf_change_entry(RAFT_ENTRY_CONF_CHANGE_V2, &change);
    }
    struct raft_event event = {.type = RAFT_EVENT_PROPOSE};
    event.propose.entries = entries;
    event.propose.count = RAFT_PROPOSED_CONFIGURATIONS_MAX + 1;
    raft_index last = raft_last_index(fixture.raft);
    CHECK_EQ(step(&fixture, &event), RAFT_STEP_PROPOSAL_DROPPED);
    CHECK_EQ(raft_last_index(fixture.raft), last);
    event.propose.count = RAFT_PROPOSED_CONFIGURATIONS_MAX;
    CHECK_EQ(step(&fixture, &event), RAFT_STEP_OK);
    CHECK_EQ(raft_last_index(fixture.raft), last + RAFT_PROPOSED_CONFIGURATIONS_MAX);
    for (uint32_t i = 0; i <= RAFT_PROPOSED_CONFIGURATIONS_MAX; i++) {
        raft_entry_unref(entries[i]);
    }
    end(&fixture);
}

/* ---- Starts ---- */

TEST(core, starts_with_nothing_at_all)
{
    struct fixture fixture = {.now = 5};
    struct raft_options options = options_of(3, &fixture.stub);
    struct raft_start start;
    memset(&start, 0, sizeof(start));
    begin(&fixture, &options, &start);
    CHECK_EQ(raft_role(fixture.raft), RAFT_FOLLOWER);
    CHECK_EQ(raft_deadline(fixture.raft), UINT64_MAX); /* no member: never stands */
    struct raft_event event = {.type = RAFT_EVENT_CAMPAIGN};
    (void)step(&fixture, &event);
    CHECK_EQ(raft_role(fixture.raft), RAFT_FOLLOWER);
    end(&fixture);
}

TEST(core, starts_with_a_state_that_is_ahead_of_the_stored_commit_index)
{
    struct fixture fixture = {.now = 0};
    struct raft_options options = options_of(1, &fixture.stub);
    static const struct raft_term_run runs[] = {{11, 2}, {15, 4}};
    struct raft_start start = {.base = 10, .base_term = 1, .configuration = voters(3)};
    start.hard_state = (struct raft_hard_state){4, 2, 12};
    start.applied = 16;
    start.runs = runs;
    start.run_count = 2;
    start.last = 20;
    begin(&fixture, &options, &start);
    CHECK_EQ(raft_committed_index(fixture.raft), 16);
    CHECK_EQ(raft_applied_index(fixture.raft), 16);
    CHECK_EQ(raft_persisted_index(fixture.raft), 20);
    raft_term term;
    CHECK(raft_log_term_at(fixture.raft, 14, &term));
    CHECK_EQ(term, 2);
    CHECK(raft_log_term_at(fixture.raft, 10, &term));
    CHECK_EQ(term, 1);
    CHECK(!raft_log_term_at(fixture.raft, 9, &term));
    end(&fixture);
}

TEST(core, starts_from_a_snapshot_with_an_empty_log)
{
    struct fixture fixture = {.now = 0};
    struct raft_options options = options_of(1, &fixture.stub);
    struct raft_start start = {.base = 10, .base_term = 3, .configuration = voters(1)};
    start.hard_state = (struct raft_hard_state){3, 0, 7}; /* from before the snapshot */
    start.applied = 10;
    start.last = 10;
    begin(&fixture, &options, &start);
    CHECK_EQ(raft_committed_index(fixture.raft), 10);
    elect(&fixture);
    CHECK_EQ(raft_last_index(fixture.raft), 11);
    answer(&fixture, 1, RAFT_MSG_APP_RESP, 11, 0);
    CHECK_EQ(raft_committed_index(fixture.raft), 11);
    end(&fixture);
}

TEST(core, does_not_stand_with_configurations_that_it_has_not_applied)
{
    raft_index pending[] = {12, 13};
    static const struct raft_term_run runs[] = {{11, 2}};
    for (uint32_t count = 0; count <= 2; count++) {
        for (raft_index commit = 10; commit <= 13; commit++) {
            struct fixture fixture = {.now = 0};
            struct raft_options options = options_of(1, &fixture.stub);
            struct raft_start start = {.base = 10, .base_term = 1, .configuration = voters(3)};
            start.hard_state = (struct raft_hard_state){4, 0, commit};
            start.applied = 10;
            start.runs = runs;
            start.run_count = 1;
            start.last = 14;
            start.configurations = pending;
            start.configuration_count = count;
            begin(&fixture, &options, &start);
            struct raft_event event = {.type = RAFT_EVENT_CAMPAIGN};
            (void)step(&fixture, &event);
            bool may = count == 0 || (count == 1 && commit < 12);
            CHECK_EQ(raft_role(fixture.raft), may ? RAFT_CANDIDATE : RAFT_FOLLOWER);
            end(&fixture);
        }
    }
}

/* A configuration that counts the disk that this node had before does not count this one. */
TEST(core, does_not_stand_where_its_former_disk_is_the_member)
{
    static const uint64_t incarnations[] = {0, 7, 8};
    for (size_t at = 0; at < 3; at++) {
        struct fixture fixture = {.now = 0};
        struct raft_options options = options_of(1, &fixture.stub);
        options.incarnation = 8;
        struct raft_start start = {.base = 10, .base_term = 1, .configuration = voters(3)};
        start.configuration.members[0].incarnation = incarnations[at];
        start.hard_state = (struct raft_hard_state){4, 0, 10};
        start.applied = 10;
        start.last = 10;
        begin(&fixture, &options, &start);
        struct raft_event event = {.type = RAFT_EVENT_CAMPAIGN};
        (void)step(&fixture, &event);
        bool may = incarnations[at] != 7;
        CHECK_EQ(raft_role(fixture.raft), may ? RAFT_CANDIDATE : RAFT_FOLLOWER);
        fixture.now = 1000;
        event = (struct raft_event){.type = RAFT_EVENT_TIMER};
        (void)step(&fixture, &event);
        CHECK_EQ(raft_role(fixture.raft), may ? RAFT_CANDIDATE : RAFT_FOLLOWER);
        end(&fixture);
    }
}

static void pass(struct fixture *fixture, uint64_t time)
{
    fixture->now += time;
    struct raft_event event = {.type = RAFT_EVENT_TIMER};
    (void)step(fixture, &event);
}

static void begin_held_up(struct fixture *fixture, uint64_t held_up)
{
    struct raft_options options = options_of(1, &fixture->stub);
    options.check_quorum = true;
    options.held_up = held_up;
    struct raft_start start = {.configuration = voters(3)};
    begin(fixture, &options, &start);
}

/* After being held up it asks before it judges; but the next silence is the others'. */
TEST(core, a_leader_that_was_held_up_does_not_take_it_for_the_silence_of_others)
{
    for (uint64_t held_up = 0; held_up <= 5; held_up += 5) {
        struct fixture fixture = {.now = 0};
        begin_held_up(&fixture, held_up);
        elect(&fixture);
        answer(&fixture, 2, RAFT_MSG_HEARTBEAT_RESP, 0, 0);
        pass(&fixture, 10);
        CHECK_EQ(raft_role(fixture.raft), RAFT_LEADER);
        pass(&fixture, 500);
        CHECK_EQ(raft_role(fixture.raft), held_up > 0 ? RAFT_LEADER : RAFT_FOLLOWER);
        if (held_up > 0) {
            CHECK_GT(fixture.effects->count, 0); /* heartbeats */
            pass(&fixture, 500);                 /* held up again */
            CHECK_EQ(raft_role(fixture.raft), RAFT_FOLLOWER);
        }
        end(&fixture);
    }
}

TEST(core, a_leader_that_was_a_little_late_is_not_excused)
{
    struct fixture fixture = {.now = 0};
    begin_held_up(&fixture, 5);
    elect(&fixture);
    answer(&fixture, 2, RAFT_MSG_HEARTBEAT_RESP, 0, 0);
    pass(&fixture, 10);
    CHECK_EQ(raft_role(fixture.raft), RAFT_LEADER);
    pass(&fixture, 14);
    CHECK_EQ(raft_role(fixture.raft), RAFT_FOLLOWER);
    end(&fixture);
}

TEST(core, a_follower_that_was_held_up_waits_once_more_before_it_stands)
{
    struct fixture fixture = {.now = 0};
    begin_held_up(&fixture, 5);
    pass(&fixture, 500);
    CHECK_EQ(raft_role(fixture.raft), RAFT_FOLLOWER);
    CHECK_LE(raft_deadline(fixture.raft), 500u + 19);
    pass(&fixture, 500);
    CHECK_EQ(raft_role(fixture.raft), RAFT_CANDIDATE);
    end(&fixture);
}

TEST(core, refuses_to_start_from_what_cannot_be)
{
    struct fixture fixture = {.now = 0};
    struct raft_options options = options_of(1, &fixture.stub);
    struct raft_start start = {.configuration = voters(3)};
    start.applied = 1; /* of an empty log */
    CHECK_ABORTS(begin(&fixture, &options, &start));
    start.applied = 0;
    start.hard_state.commit = 1;
    CHECK_ABORTS(begin(&fixture, &options, &start));
    start.hard_state.commit = 0;
    options.lease_reads = true; /* without CheckQuorum */
    CHECK_ABORTS(begin(&fixture, &options, &start));
}
