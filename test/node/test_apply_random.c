/*
 * ctest: timeout=180
 *
 * Random commands on two replicas that commit at different times, one of which restarts, against a
 * simple model: answers, user keys and digests agree.
 */
#include "node/apply_fixture.h"

#include "base/memory.h"
#include "base/random.h"
#include "command/call.h"

#include <stdio.h>
#include <string.h>

enum { KEYS = 6, SESSIONS = 4, ENTRIES = 6000, TEXT_MAX = 16 };

struct cell {
    bool present;
    char value[TEXT_MAX];
};

/* What a session of the model remembers. */
struct model_session {
    uint64_t id; /* 0: not opened */
    uint64_t sequence;
    uint64_t used_ms;
    uint8_t *result;
    size_t result_size;
};

struct model {
    struct cell cells[KEYS];
    struct model_session sessions[SESSIONS];
    uint64_t time_ms;
};

static const char *const key_names[KEYS] = {"", "a", "ab", "b", "c", "\xff"};

/* A procedure that both sides know: moves the value of key input[0] to key input[1], and refuses,
 * after having written, when there is none. */
static rr_status move(void *arg, rr_view *view, rr_bytes input, rr_output *output)
{
    const uint8_t *keys = input.data;
    rr_bytes from = test_bytes_of(key_names[keys[0]]);
    rr_bytes to = test_bytes_of(key_names[keys[1]]);
    rr_bytes value;
    rr_status status = rr_view_get(view, from, &value);
    if (status == RR_NOT_FOUND) {
        CHECK_OK(rr_view_put(view, to, test_bytes_of("undone")));
        CHECK_OK(rr_output_append(output, test_bytes_of("nothing there")));
        return RR_REJECTED;
    }
    char copy[TEXT_MAX];
    int size = snprintf(copy, sizeof(copy), "%.*s", (int)value.size,
                        value.size == 0 ? "" : (const char *)value.data);
    CHECK_OK(rr_view_delete(view, from));
    CHECK_OK(rr_view_put(view, to, (rr_bytes){copy, (size_t)size}));
    return RR_OK;
}

static const rr_procedure procedures[] = {{"move", 1, move, NULL}};

/* One random command with what the model says it must answer. */
struct trial {
    struct buffer payload;
    struct buffer expected;
};

static bool model_compare(const struct cell *cell, rr_compare compare, const char *operand)
{
    int order = cell->present ? strcmp(cell->value, operand) : 0;
    switch (compare) {
    case RR_EXISTS:
        return cell->present;
    case RR_NOT_EXISTS:
        return !cell->present;
    case RR_EQUAL:
        return cell->present && order == 0;
    case RR_NOT_EQUAL:
        return !cell->present || order != 0;
    case RR_GREATER:
        return cell->present && order > 0;
    case RR_LESS:
        return cell->present && order < 0;
    case RR_GREATER_EQUAL:
        return cell->present && order >= 0;
    case RR_LESS_EQUAL:
        return cell->present && order <= 0;
    }
    return false;
}

/* Makes a transaction, appends it, and where `run` writes its effect and answer to the model. */
static void make_txn(struct random *random, struct model *model, struct trial *trial,
                     raft_index index, bool run)
{
    rr_txn *txn = rr_txn_new();
    bool hold = true;
    char operand[TEXT_MAX];
    for (uint64_t left = random_below(random, 3); left > 0; left--) {
        uint64_t key = random_below(random, KEYS);
        rr_compare compare = (rr_compare)random_below(random, 8);
        snprintf(operand, sizeof(operand), "%d", (int)random_below(random, 5));
        CHECK_OK(rr_txn_if(txn, test_bytes_of(key_names[key]), compare, test_bytes_of(operand)));
        hold = hold && model_compare(&model->cells[key], compare, operand);
    }
    bool previous = random_chance(random, 1, 2);
    rr_txn_return_previous(txn, previous);
    struct cell before[KEYS];
    memcpy(before, model->cells, sizeof(before));
    struct result_writer writer;
    result_writer_begin(&writer, &trial->expected, index, SIZE_MAX);
    for (uint64_t left = random_below(random, 5); left > 0; left--) {
        uint64_t at = random_below(random, KEYS);
        rr_bytes key = test_bytes_of(key_names[at]);
        bool then = random_chance(random, 1, 2);
        bool set = random_chance(random, 2, 3);
        snprintf(operand, sizeof(operand), "%d", (int)random_below(random, 5));
        rr_bytes value = test_bytes_of(operand);
        if (set) {
            CHECK_OK(then ? rr_txn_set(txn, key, value) : rr_txn_else_set(txn, key, value));
        } else {
            CHECK_OK(then ? rr_txn_delete(txn, key) : rr_txn_else_delete(txn, key));
        }
        if (then != hold) {
            continue;
        }
        if (previous && before[at].present) {
            CHECK(result_writer_value(&writer, test_bytes_of(before[at].value)));
        } else if (previous) {
            CHECK(result_writer_absent(&writer));
        }
        if (run) {
            model->cells[at].present = set;
            memcpy(model->cells[at].value, operand, TEXT_MAX);
        }
    }
    CHECK_OK(result_writer_finish(&writer, &(struct result_end){.branch = hold}));
    txn_encode(&txn->builder, &trial->payload);
    rr_txn_free(txn);
}

static void make_call(struct random *random, struct model *model, struct trial *trial,
                      raft_index index, bool run)
{
    uint8_t keys[2] = {(uint8_t)random_below(random, KEYS), (uint8_t)random_below(random, KEYS)};
    call_encode(&trial->payload, &(struct call){test_bytes_of("move"), 1, {keys, 2}});
    struct cell moved = model->cells[keys[0]];
    struct result_writer writer;
    result_writer_begin(&writer, &trial->expected, index, SIZE_MAX);
    if (!moved.present) {
        CHECK(result_writer_value(&writer, test_bytes_of("nothing there")));
    } else if (run) {
        model->cells[keys[0]].present = false;
        model->cells[keys[1]] = moved;
    }
    struct result_end end = {.status = moved.present ? RR_OK : RR_REJECTED};
    CHECK_OK(result_writer_finish(&writer, &end));
}

/* What the model's session makes of a sequence: whether the command runs, and else the answer. */
static bool session_lets_run(const struct model_session *session, const struct model *model,
                             uint64_t sequence, rr_status *status, bool *replay)
{
    *replay = false;
    *status = RR_STALE_SESSION;
    if (session->id == 0 || model->time_ms - session->used_ms >= SESSION_IDLE_MS_MAX ||
        sequence < session->sequence) {
        return false;
    }
    *replay = sequence == session->sequence;
    return !*replay;
}

static void keep_result(struct model_session *session, const struct trial *trial, uint64_t sequence)
{
    mem_free(session->result);
    session->result = mem_try_copy(trial->expected.data, trial->expected.size);
    session->result_size = trial->expected.size;
    session->sequence = sequence;
}

static void make_command(struct random *random, struct model *model, struct trial *trial,
                         raft_index index)
{
    buffer_clear(&trial->payload);
    buffer_clear(&trial->expected);
    struct command command = {.seed = index};
    uint64_t step = random_chance(random, 1, 200) ? SESSION_IDLE_MS_MAX / 2 : 3;
    command.time_ms = model->time_ms + random_below(random, step);
    model->time_ms = command.time_ms;
    command.kind = random_chance(random, 1, 3) ? COMMAND_CALL : COMMAND_TXN;
    struct model_session *session = &model->sessions[random_below(random, SESSIONS)];
    if (session->id == 0 || random_chance(random, 1, 100)) {
        mem_free(session->result);
        *session = (struct model_session){.id = index, .used_ms = command.time_ms};
        command.kind = COMMAND_SESSION;
        command_encode(&trial->payload, &command);
        CHECK_OK(result_encode(&trial->expected, RR_OK, index, NULL));
        return;
    }
    bool run = true;
    bool replay = false;
    rr_status refusal = RR_OK;
    if (random_chance(random, 1, 2)) {
        command.session = session->id;
        command.sequence = session->sequence + random_below(random, 3);
        command.sequence = command.sequence == 0 ? 1 : command.sequence;
        command.sequence -= random_chance(random, 1, 5) && command.sequence > 1 ? 1 : 0;
        run = session_lets_run(session, model, command.sequence, &refusal, &replay);
    }
    command_encode(&trial->payload, &command);
    if (command.kind == COMMAND_CALL) {
        make_call(random, model, trial, index, run);
    } else {
        make_txn(random, model, trial, index, run);
    }
    if (command.session != 0 && run) {
        keep_result(session, trial, command.sequence);
    }
    if (command.session != 0 && (run || replay)) {
        session->used_ms = command.time_ms;
    }
    if (replay) {
        buffer_clear(&trial->expected);
        buffer_append(&trial->expected, session->result, session->result_size);
    } else if (!run) {
        buffer_clear(&trial->expected);
        CHECK_OK(result_encode(&trial->expected, refusal, index, NULL));
    }
}

static void check_answer(const struct replica *replica, const struct trial *trial)
{
    struct result expected;
    CHECK_OK(result_decode(buffer_bytes(&trial->expected), &expected));
    if (expected.status == RR_STALE_SESSION) {
        CHECK_STATUS(replica->result.status, RR_STALE_SESSION); /* its text is not compared */
        return;
    }
    CHECK_BYTES(result_bytes(&replica->result), buffer_bytes(&trial->expected));
}

static void check_keys(struct replica *replica, const struct model *model)
{
    for (int i = 0; i < KEYS; i++) {
        CHECK_TEXT(replica_get(replica, key_names[i]),
                   model->cells[i].present ? model->cells[i].value : "(absent)");
    }
}

TEST(apply_random, agrees_with_a_model_and_with_a_replica_that_batches_otherwise)
{
    struct random random;
    random_init(&random, test_seed(1));
    struct replica one;
    struct replica other;
    replica_open(&one, procedures, 1);
    replica_open(&other, procedures, 1);
    static struct model model;
    model = (struct model){.time_ms = 1000};
    struct trial trial;
    buffer_init(&trial.payload);
    buffer_init(&trial.expected);
    for (raft_index index = 1; index <= ENTRIES; index++) {
        make_command(&random, &model, &trial, index);
        CHECK_OK(applier_check(one.applier, buffer_bytes(&trial.payload)));
        replica_apply(&one, buffer_bytes(&trial.payload));
        check_answer(&one, &trial);
        replica_apply(&other, buffer_bytes(&trial.payload));
        check_answer(&other, &trial);
        if (random_chance(&random, 1, 10)) {
            CHECK_OK(replica_commit(&one));
        }
        if (random_chance(&random, 1, 500)) {
            replica_restart(&other);
        }
        if (random_chance(&random, 1, 200)) {
            check_keys(&one, &model);
            CHECK_EQ(replica_digest(&one), replica_digest(&other));
            CHECK_EQ(applier_time_ms(one.applier), model.time_ms);
        }
    }
    check_keys(&other, &model);
    for (int i = 0; i < SESSIONS; i++) {
        mem_free(model.sessions[i].result);
    }
    buffer_deinit(&trial.payload);
    buffer_deinit(&trial.expected);
    replica_close(&one);
    replica_close(&other);
}

/* Bytes that no leader would propose: damaged commands, on two replicas. Neither may stop for
 * another reason than the version, and they must agree. */
TEST(apply_random, agrees_on_damaged_entries)
{
    struct random random;
    random_init(&random, test_seed(2));
    struct replica one;
    struct replica other;
    replica_open(&one, procedures, 1);
    replica_open(&other, procedures, 1);
    static struct model model;
    model = (struct model){.time_ms = 1000};
    struct trial trial;
    buffer_init(&trial.payload);
    buffer_init(&trial.expected);
    for (raft_index index = 1; index <= ENTRIES; index++) {
        make_command(&random, &model, &trial, index);
        struct buffer *payload = &trial.payload;
        uint64_t at = 1 + random_below(&random, payload->size - 1);
        payload->data[at] = (uint8_t)random_u64(&random);
        if (random_chance(&random, 1, 4)) {
            buffer_truncate(payload, at);
        }
        rr_status checked = applier_check(one.applier, buffer_bytes(payload));
        if (checked == RR_NOT_FOUND || checked == RR_MISMATCH) {
            payload->size = 0; /* no leader that checks proposes it */
        }
        bool moves = checked == RR_OK && payload->data[1] == COMMAND_CALL;
        if (moves) {
            payload->size = 0; /* its input may be damaged, and `move` trusts it */
        }
        rr_status status = replica_apply(&one, buffer_bytes(payload));
        CHECK_STATUS(replica_apply(&other, buffer_bytes(payload)), status);
        bool replayed = one.result.index != index; /* perhaps of a command that was not checked */
        CHECK(checked != RR_OK || status != RR_INVALID || replayed);
        if (random_chance(&random, 1, 300)) {
            replica_restart(&other);
            CHECK_EQ(replica_digest(&one), replica_digest(&other));
        }
    }
    CHECK_EQ(replica_digest(&one), replica_digest(&other));
    for (int i = 0; i < SESSIONS; i++) {
        mem_free(model.sessions[i].result);
    }
    buffer_deinit(&trial.payload);
    buffer_deinit(&trial.expected);
    replica_close(&one);
    replica_close(&other);
}
