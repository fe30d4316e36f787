/*
 * What a follower passes on, and what it may say of it after what the leader said. The node is made
 * of its requests, its transport and a core that follows; the leader is a script.
 */
#include "base/memory.h"
#include "command/command.h"
#include "command/relay.h"
#include "command/result.h"
#include "io/address.h"
#include "node/write.h"
#include "support/test.h"

#include <string.h>
#include <time.h>

enum { SELF = 1, LEADER = 2, ANSWERS_MAX = 4, PATIENCE_MS = 30 * 1000 };

/* What the leader says to one request. */
struct scripted {
    rr_status transport; /* RR_OK: with the answer below */
    rr_status status;
    bool as_result; /* an encoded result, as an applied command has one */
};

struct script {
    struct transport *transport;
    struct listener *listener;
    struct scripted answers[ANSWERS_MAX];
    size_t answer_count;
    size_t requests;
    bool leads_no_more;                  /* and says so to everything */
    struct responder *held[ANSWERS_MAX]; /* requests beyond the answers */
    size_t held_count;
};

struct follower {
    rr_node *node;
    struct script leader;
    bool ended;
    rr_status status;
};

/* ---- The leader ---- */

static void on_request(void *arg, const struct hello *from, uint16_t method, rr_bytes body,
                       uint32_t timeout_ms, struct responder *responder)
{
    struct script *script = arg;
    struct relay_request request;
    (void)from;
    (void)timeout_ms;
    CHECK_EQ(method, RPC_RELAY);
    CHECK_OK(relay_request_decode(body, &request));
    size_t at = script->requests++;
    if (at >= script->answer_count && !script->leads_no_more) {
        CHECK(script->held_count < ANSWERS_MAX);
        script->held[script->held_count++] = responder;
        return;
    }
    static const struct scripted refusal = {.status = RR_NOT_LEADER};
    const struct scripted *scripted = script->leads_no_more ? &refusal : &script->answers[at];
    struct buffer result;
    struct buffer bytes;
    buffer_init(&result);
    buffer_init(&bytes);
    if (scripted->transport == RR_OK) {
        struct relay_answer answer = {.id = request.id, .status = scripted->status};
        if (scripted->as_result) {
            CHECK_OK(result_encode(&result, scripted->status, 7, "as applied"));
            answer.result = buffer_bytes(&result);
        }
        relay_answer_encode(&bytes, &answer);
    }
    responder_answer(responder, scripted->transport, buffer_bytes(&bytes));
    buffer_deinit(&result);
    buffer_deinit(&bytes);
}

static const struct listener_callbacks leader_callbacks = {.request = on_request};

static void leader_open(struct script *script, struct loop *loop)
{
    struct transport_options options = {.loop = loop, .random_seed = 2};
    options.self = (struct hello){.cluster = 9, .node = LEADER, .incarnation = 20};
    script->transport = transport_new(&options);
    struct address any;
    CHECK_OK(address_parse("127.0.0.1:0", &any));
    CHECK_OK(
        listener_open(script->transport, &any, &leader_callbacks, script, &script->listener, NULL));
}

static void leader_close(struct script *script)
{
    for (size_t i = 0; i < script->held_count; i++) {
        responder_answer(script->held[i], RR_CLOSED, (rr_bytes){0});
    }
    listener_close(script->listener);
    transport_free(script->transport);
}

/* ---- The follower ---- */

static uint64_t world_now(void *arg)
{
    return node_now_us(arg);
}

static void world_send(void *arg, const struct raft_message *message)
{
    (void)arg;
    (void)message;
}

static const struct driver_world world = {.now_us = world_now, .send = world_send};

/* A core that has heard from the leader, and takes no turns. */
static struct driver *driver_of(rr_node *node)
{
    struct raft_start start = {
        .hard_state = {.term = 1}, .base = 1, .base_term = 1, .applied = 1, .last = 1};
    for (raft_id id = 1; id <= 3; id++) {
        start.configuration.members[id - 1] =
            (struct raft_member){.id = id, .flags = RAFT_MEMBER_INCOMING};
    }
    start.configuration.count = 3;
    struct driver_options options = {.world = &world, .world_arg = node};
    options.host.core = (struct raft_options){.id = SELF,
                                              .heartbeat_interval = 1000 * 1000,
                                              .election_timeout = 10 * 1000 * 1000,
                                              .election_timeout_max = 20 * 1000 * 1000,
                                              .message_bytes_max = 1 << 20,
                                              .inflight_count_max = 8,
                                              .trace_level = RAFT_TRACE_NONE};
    options.host.apply_bytes_max = 1 << 20;
    struct driver *driver = driver_new(&options, &start);
    struct raft_message heartbeat = {
        .type = RAFT_MSG_HEARTBEAT, .from = LEADER, .to = SELF, .term = 1};
    struct raft_event event = {.type = RAFT_EVENT_MESSAGE};
    event.message = &heartbeat;
    CHECK_EQ(driver_step(driver, &event), RAFT_STEP_OK);
    CHECK_EQ(raft_leader(driver_core(driver)), LEADER);
    return driver;
}

static void follower_open(struct follower *follower)
{
    memset(follower, 0, sizeof(*follower));
    rr_node *node = mem_new(struct rr_node);
    follower->node = node;
    rr_options_init(&node->options.public);
    pthread_mutex_init(&node->inbox.mutex, NULL);
    list_init(&node->inbox.requests);
    buffer_init(&node->results);
    buffer_init(&node->scratch);
    writes_open(node);
    reads_open(node);
    relays_open(node);
    CHECK_OK(loop_open(&node->loop));
    deadlines_init(&node->deadlines, node_now_us(node));
    leader_open(&follower->leader, node->loop);
    node->self = (struct hello){.cluster = 9, .node = SELF, .incarnation = 10};
    struct transport_options options = {.loop = node->loop, .random_seed = 1, .self = node->self};
    node->transport = transport_new(&options);
    static const struct peers_callbacks peers_callbacks = {0};
    node->peers = peers_new(node->transport, &peers_callbacks, node);
    struct address address;
    char text[ADDRESS_BYTES_MAX];
    listener_address(follower->leader.listener, &address);
    address_format(&address, text);
    CHECK_OK(peers_set(node->peers, LEADER, 20, text));
    node->driver = driver_of(node);
}

static void follower_close(struct follower *follower)
{
    rr_node *node = follower->node;
    leader_close(&follower->leader);
    peers_free(node->peers);
    writes_end_all(node);
    transport_free(node->transport);
    driver_free(node->driver);
    loop_close(node->loop);
    writes_close(node);
    buffer_deinit(&node->results);
    buffer_deinit(&node->scratch);
    pthread_mutex_destroy(&node->inbox.mutex);
    mem_free(node);
}

static void on_done(void *arg, rr_status status, const rr_result *result)
{
    struct follower *follower = arg;
    (void)result;
    CHECK(!follower->ended);
    follower->ended = true;
    follower->status = status;
}

static struct write *submit(struct follower *follower, uint64_t session, uint32_t timeout_ms)
{
    struct command command = {.kind = COMMAND_NOOP, .session = 0};
    struct buffer bytes;
    buffer_init(&bytes);
    command_encode(&bytes, &command);
    struct raft_entry *entry = raft_entry_new(RAFT_ENTRY_NORMAL, buffer_bytes(&bytes));
    buffer_deinit(&bytes);
    struct write *write = write_new(entry);
    write->session = session;
    write->request.done = on_done;
    write->request.done_arg = follower;
    CHECK_OK(request_begin(follower->node, &write->request, (uint64_t)timeout_ms * 1000));
    return write;
}

/* Turns of the node, without its core, until `done`. */
#define RUN_UNTIL(follower, done)                                                                  \
    do {                                                                                           \
        while (!(done)) {                                                                          \
            turn(follower);                                                                        \
        }                                                                                          \
    } while (0)

static void nap(void)
{
    struct timespec time = {.tv_nsec = 1000 * 1000};
    nanosleep(&time, NULL);
}

static void turn(struct follower *follower)
{
    rr_node *node = follower->node;
    deadlines_run(&node->deadlines, node_now_us(node));
    relays_turn(node);
    writes_turn(node);
    loop_run_once(node->loop, false);
    nap();
}

/* The status that a write ends with when the leader says this. */
static rr_status status_after(const struct scripted *answers, size_t count, uint64_t session)
{
    struct follower follower;
    follower_open(&follower);
    memcpy(follower.leader.answers, answers, count * sizeof(*answers));
    follower.leader.answer_count = count;
    submit(&follower, session, PATIENCE_MS);
    RUN_UNTIL(&follower, follower.ended);
    CHECK_EQ(follower.leader.requests, count);
    rr_status status = follower.status;
    follower_close(&follower);
    return status;
}

TEST(passing_on, gives_the_leaders_answer)
{
    const struct scripted fine = {.status = RR_OK, .as_result = true};
    const struct scripted full = {.status = RR_NO_SPACE};
    const struct scripted stale = {.status = RR_STALE_SESSION, .as_result = true};
    CHECK_STATUS(status_after(&fine, 1, 0), RR_OK);
    CHECK_STATUS(status_after(&full, 1, 0), RR_NO_SPACE);
    CHECK_STATUS(status_after(&stale, 1, 5), RR_STALE_SESSION);
}

TEST(passing_on, asks_again_after_a_certain_refusal)
{
    const struct scripted answers[] = {{.status = RR_NOT_LEADER}, {.status = RR_OK}};
    CHECK_STATUS(status_after(answers, 2, 0), RR_OK);
}

/* The leader may have applied the command and had no memory to say so. */
TEST(passing_on, takes_a_lost_answer_for_an_unknown_outcome)
{
    const struct scripted no_memory = {.transport = RR_NO_MEMORY};
    const struct scripted too_big = {.transport = RR_TOO_BIG};
    CHECK_STATUS(status_after(&no_memory, 1, 0), RR_UNKNOWN);
    CHECK_STATUS(status_after(&too_big, 1, 0), RR_UNKNOWN);
}

/* The first attempt was applied, or was not; the session that could tell is gone. */
TEST(passing_on, does_not_call_an_attempt_in_doubt_not_applied_when_its_session_is_stale)
{
    const struct scripted answers[] = {{.status = RR_UNKNOWN},
                                       {.status = RR_STALE_SESSION, .as_result = true}};
    CHECK_STATUS(status_after(answers, 2, 5), RR_UNKNOWN);
}

/* A session lets the write be tried again, but not for ever: its deadline came while the call was
 * under way, and comes only once. */
TEST(passing_on, ends_a_write_whose_deadline_passed_during_the_call)
{
    struct follower follower;
    follower_open(&follower);
    rr_node *node = follower.node;
    struct write *write = submit(&follower, 5, 1000);
    RUN_UNTIL(&follower, follower.leader.requests == 1);
    while (write->request.deadline_us + DEADLINE_TICK_MS * 2000 >= node_now_us(node)) {
        nap();
    }
    deadlines_run(&node->deadlines, node_now_us(node));
    CHECK(!follower.ended); /* the call has the same deadline, and knows more */
    while (!follower.ended && write->forwarded) {
        loop_run_once(node->loop, false);
        nap();
    }
    CHECK(follower.ended);
    CHECK_STATUS(follower.status, RR_UNKNOWN);
    follower_close(&follower);
}

/* ---- Changes of members ---- */

static void on_relayed(void *arg, const struct relay_answer *answer)
{
    struct follower *follower = arg;
    CHECK(!follower->ended);
    follower->ended = true;
    follower->status = answer->status;
}

/* Until its deadline somebody may come after the leader: long enough for a busy machine to ask the
 * leader once, as the end is awaited. */
enum { RELAY_US = 2000 * 1000 };

/* The status that a request ends with when the leader leads no more, and nobody comes after it. */
static rr_status status_of_relay(enum relay_kind kind)
{
    struct follower follower;
    follower_open(&follower);
    follower.leader.leads_no_more = true;
    struct relay_request request = {.kind = kind, .target = 3};
    if (kind == RELAY_ADD) {
        CHECK_OK(member_set(&request.member, 4, RR_VOTER, "127.0.0.1:1", 0));
    }
    relay_to_leader(follower.node, &request, node_now_us(follower.node) + RELAY_US, on_relayed,
                    &follower);
    RUN_UNTIL(&follower, follower.ended);
    CHECK_GT(follower.leader.requests, 0);
    rr_status status = follower.status;
    follower_close(&follower);
    return status;
}

/* A leader may have made the node a learner before it lost its leadership: the next one goes on. */
TEST(passing_on, does_not_call_adding_certainly_not_done_when_a_leader_was_asked)
{
    CHECK_STATUS(status_of_relay(RELAY_ADD), RR_UNKNOWN);
    CHECK_STATUS(status_of_relay(RELAY_REMOVE), RR_NOT_LEADER);
}
