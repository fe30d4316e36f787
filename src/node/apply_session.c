/*
 * Sessions at apply: loading, opening, checking, storing, expiring. The table is in memory; here
 * its changes are written through to the batch, so both always say the same.
 */
#include "node/apply_private.h"

#include "base/assert.h"
#include "base/codec.h"
#include "base/memory.h"
#include "command/result.h"
#include "node/apply_keys.h"

#include <string.h>

enum {
    SESSION_VERSION = 1,
    SWEEP_MAX = 16, /* sessions removed by one entry: its cost stays small when many expire */
};

static rr_bytes session_key(struct buffer *buffer, enum apply_key_kind kind, uint64_t id)
{
    buffer_clear(buffer);
    put_u8(buffer, (uint8_t)kind);
    put_be64(buffer, id);
    return buffer_bytes(buffer);
}

/* ---- Loading ---- */

struct session_list {
    struct session *sessions;
    size_t count;
    size_t capacity;
    rr_status status;
};

static bool decode_session(rr_bytes key, rr_bytes value, struct session *out)
{
    struct reader reader;
    reader_init(&reader, key);
    reader_skip(&reader, 1);
    *out = (struct session){.id = reader_be64(&reader)};
    bool key_sound = reader_done(&reader);
    reader_init(&reader, value);
    uint8_t version = reader_u8(&reader);
    out->sequence = reader_varint(&reader);
    out->used_ms = reader_varint(&reader);
    out->used_index = reader_varint(&reader);
    return key_sound && version == SESSION_VERSION && reader_done(&reader) &&
           out->used_index >= out->id;
}

static bool visit_session(void *arg, rr_bytes key, rr_bytes value)
{
    struct session_list *list = arg;
    if (list->count == list->capacity) {
        size_t capacity = list->capacity == 0 ? 64 : list->capacity * 2;
        struct session *grown =
            capacity > 2 * (size_t)SESSIONS_MAX
                ? NULL
                : mem_try_resize(list->sessions, capacity * sizeof(*list->sessions));
        if (grown == NULL) {
            list->status = RR_NO_MEMORY;
            return false;
        }
        list->sessions = grown;
        list->capacity = capacity;
    }
    if (!decode_session(key, value, &list->sessions[list->count])) {
        list->status = RR_CORRUPT;
        return false;
    }
    list->count++;
    return true;
}

rr_status apply_sessions_load(struct applier *applier, struct state *state)
{
    const uint8_t kind = APPLY_KEY_SESSION;
    struct state_range range = {.prefix = {&kind, 1}};
    struct session_list list = {.status = RR_OK};
    rr_status status = state_scan(state, &range, visit_session, &list, NULL, &applier->error);
    if (status == RR_OK && list.status != RR_OK) {
        status = storage_fail(&applier->error, list.status, "cannot load the client sessions: %s",
                              list.status == RR_CORRUPT ? "a record is damaged" : "no memory");
    }
    if (status == RR_OK && !session_table_load(&applier->sessions, list.sessions, list.count)) {
        status = storage_fail(&applier->error, RR_CORRUPT,
                              "the client sessions in the state contradict one another");
    }
    mem_free(list.sessions);
    return status;
}

/* ---- Changing ---- */

static rr_status write_session(struct applier *applier, struct state_batch *batch,
                               const struct session *session)
{
    buffer_clear(&applier->value);
    put_u8(&applier->value, SESSION_VERSION);
    put_varint(&applier->value, session->sequence);
    put_varint(&applier->value, session->used_ms);
    put_varint(&applier->value, session->used_index);
    rr_bytes key = session_key(&applier->key, APPLY_KEY_SESSION, session->id);
    if (applier->key.failed || applier->value.failed) {
        return RR_NO_MEMORY;
    }
    return state_batch_put(batch, key, buffer_bytes(&applier->value));
}

static rr_status remove_session(struct applier *applier, struct state_batch *batch,
                                struct session *session)
{
    rr_bytes key = session_key(&applier->key, APPLY_KEY_SESSION, session->id);
    rr_status status = applier->key.failed ? RR_NO_MEMORY : state_batch_delete(batch, key);
    if (status == RR_OK && session->sequence > 0) {
        key = session_key(&applier->key, APPLY_KEY_SESSION_RESULT, session->id);
        status = state_batch_delete(batch, key);
    }
    session_table_remove(&applier->sessions, session);
    return status;
}

rr_status apply_sessions_sweep(struct applier *applier, struct state_batch *batch)
{
    for (int i = 0; i < SWEEP_MAX; i++) {
        struct session *oldest = session_table_oldest(&applier->sessions);
        if (oldest == NULL || !session_expired(oldest, applier->time_ms)) {
            return RR_OK;
        }
        rr_status status = remove_session(applier, batch, oldest);
        if (status != RR_OK) {
            return status;
        }
    }
    return RR_OK;
}

rr_status apply_session_open(struct applier *applier, struct state_batch *batch, raft_index index)
{
    while (session_table_count(&applier->sessions) >= SESSIONS_MAX) {
        rr_status status = remove_session(applier, batch, session_table_oldest(&applier->sessions));
        if (status != RR_OK) {
            return status;
        }
    }
    struct session *session = session_table_add(&applier->sessions, index, index, applier->time_ms);
    rr_status status = write_session(applier, batch, session);
    return status == RR_OK ? apply_answer(applier, RR_OK, index, NULL) : status;
}

/* Answers with what the session kept, which is then used again. */
static rr_status replay(struct applier *applier, struct state_batch *batch, raft_index index,
                        struct session *session)
{
    rr_bytes key = session_key(&applier->key, APPLY_KEY_SESSION_RESULT, session->id);
    if (applier->key.failed) {
        return RR_NO_MEMORY;
    }
    rr_status status = state_batch_get(batch, key, &applier->result, &applier->error);
    if (status == RR_NOT_FOUND) {
        return storage_fail(&applier->error, RR_CORRUPT,
                            "a client session lacks the result of its last write");
    }
    if (status != RR_OK) {
        return status;
    }
    struct result result;
    if (result_decode(buffer_bytes(&applier->result), &result) != RR_OK) {
        return storage_fail(&applier->error, RR_CORRUPT,
                            "the result that a client session kept is damaged");
    }
    session_table_use(&applier->sessions, session, index, applier->time_ms);
    return write_session(applier, batch, session);
}

rr_status apply_session_check(struct applier *applier, struct state_batch *batch, raft_index index,
                              const struct command *command, enum session_verdict *verdict,
                              struct session **out)
{
    *verdict = SESSION_ANSWERED;
    *out = NULL;
    if (command->session == 0) {
        *verdict = SESSION_RUN;
        return RR_OK;
    }
    struct session *session = session_table_find(&applier->sessions, command->session);
    if (session == NULL || session_expired(session, applier->time_ms)) {
        return apply_answer(applier, RR_STALE_SESSION, index,
                            "the client session is not known or has expired: open a new one");
    }
    if (command->sequence < session->sequence) {
        return apply_answer(applier, RR_STALE_SESSION, index,
                            "the client session has already used a later sequence");
    }
    if (command->sequence == session->sequence) {
        return replay(applier, batch, index, session);
    }
    *verdict = SESSION_RUN;
    *out = session;
    return RR_OK;
}

rr_status apply_session_store(struct applier *applier, struct state_batch *batch, raft_index index,
                              const struct command *command, struct session *session)
{
    ASSERT(command->sequence > session->sequence);
    session->sequence = command->sequence;
    session_table_use(&applier->sessions, session, index, applier->time_ms);
    rr_status status = write_session(applier, batch, session);
    if (status != RR_OK) {
        return status;
    }
    rr_bytes key = session_key(&applier->key, APPLY_KEY_SESSION_RESULT, session->id);
    return state_batch_put(batch, key, buffer_bytes(&applier->result));
}
