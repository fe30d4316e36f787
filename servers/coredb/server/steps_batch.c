/*
 * The batch that a client's requests become: what is gathered, its way through the node, and its
 * replies.
 *
 * The replies of a batch leave in the order of its slots: a slot is an item of the batch, or a reply
 * that was known when the request was read (an error, +QUEUED). So a pipeline that mixes them is
 * still one call of the node. Any other local command waits until the batch before it is answered.
 */
#include "coredb/server/steps_private.h"

#include "coredb/base/bytes.h"
#include "coredb/command/batch.h"
#include "coredb/command/measure.h"
#include "coredb/server/blocked.h"
#include "coredb/server/server.h"
#include "coredb/server/slowlog.h"
#include "coredb/server/surface.h"

#include <stdlib.h>
#include <string.h>

enum {
    HEADER_SIZE = 35, /* of BATCH_COMMANDS */
    BATCH_ROOM_BYTES = BATCH_BYTES_MAX - 256,
    /* More than the longest request can make SUBSCRIBE say. */
    LOCAL_REPLY_BYTES_MAX = 64 * 1024 * 1024,
    /* Of a transaction with local commands: its others have up to 60 MiB. */
    LOCAL_REPLIES_BYTES_MAX = 96 * 1024 * 1024,
};

/* ---- Replies ---- */

static bool add_slot(struct client *client, struct client_slot slot)
{
    if (client->slot_count == client->slot_capacity) {
        size_t capacity = client->slot_capacity == 0 ? 8 : client->slot_capacity * 2;
        struct client_slot *slots = realloc(client->slots, capacity * sizeof(*slots));
        if (slots == NULL) {
            return false;
        }
        client->slots = slots;
        client->slot_capacity = capacity;
    }
    client->slots[client->slot_count++] = slot;
    return true;
}

void steps_answer(struct client *client)
{
    struct buffer *out = &client->reply.out;
    if (client->connection == NULL || out->size == 0) {
        buffer_clear(out);
        return;
    }
    if (client->reply.is_error) {
        server_count_error(client->server, buffer_bytes(out));
        client->reply.is_error = false;
    }
    if (client->slot_count == 0) {
        client_emit(client, buffer_bytes(out));
    } else if (out->failed ||
               !add_slot(client, (struct client_slot){.literal = (uint32_t)out->size})) {
        client->closing = true;
    } else {
        buffer_append_bytes(&client->literals, buffer_bytes(out));
    }
    if (out->capacity > 64 * 1024) {
        int protocol = client->reply.protocol;
        reply_deinit(&client->reply);
        reply_init(&client->reply, protocol);
    } else {
        buffer_clear(out);
    }
}

void steps_status_error(struct reply *reply, rr_status status, bool reads_only)
{
    switch (status) {
    case RR_UNKNOWN:
        reply_error(reply, "UNKNOWN the write may or may not be applied");
        return;
    case RR_NOT_LEADER:
        reply_error(reply, "TRYAGAIN no leader took the request in time; it is not applied");
        return;
    case RR_BUSY:
        reply_error(reply, "TRYAGAIN the node has too many requests; it is not applied");
        return;
    case RR_TIMEOUT:
        reply_error(reply, reads_only ? "CLUSTERDOWN no majority confirmed the read in time"
                                      : "TRYAGAIN the deadline passed; it is not applied");
        return;
    case RR_NO_SPACE:
        reply_error(reply, "MISCONF the disk is almost full, writes are refused");
        return;
    case RR_CLOSED:
        reply_error(reply, "CLUSTERDOWN the node is shutting down");
        return;
    case RR_TOO_BIG:
        reply_error(reply, "ERR the request or its reply exceeds a limit");
        return;
    case RR_NO_MEMORY:
        reply_error(reply, "OOM no memory for the request");
        return;
    default:
        reply_error(reply, "ERR internal: %s", rr_status_name(status));
        return;
    }
}

/* ---- The end of a batch ---- */

static void clear_batch(struct client *client)
{
    client->slot_count = 0;
    client->item_count = 0;
    client->batch_writes = false;
    client->batch_heavy = false;
    client->batch_blocks = false;
    client->exec_merges = false;
    if (client->literals.capacity > 64 * 1024) {
        buffer_deinit(&client->literals);
        buffer_init(&client->literals);
    } else {
        buffer_clear(&client->literals);
    }
    if (client->slot_capacity > 256) {
        free(client->slots);
        client->slots = NULL;
        client->slot_capacity = 0;
    }
    if (!client->call.is_pending) {
        if (client->call.input.capacity > 64 * 1024) {
            buffer_deinit(&client->call.input);
            buffer_init(&client->call.input);
        } else {
            buffer_clear(&client->call.input);
        }
    }
}

/* The size of the reply that `bytes` begins with; 0: malformed. */
static size_t reply_size(rr_bytes bytes)
{
    const char *data = bytes.data;
    size_t position = 0;
    uint64_t left = 1;
    while (left > 0) {
        const char *line = data + position;
        const char *end = position < bytes.size ? memchr(line, '\n', bytes.size - position) : NULL;
        if (end == NULL) {
            return 0;
        }
        position = (size_t)(end - data) + 1;
        left--;
        long long size = strtoll(line + 1, NULL, 10);
        switch (line[0]) {
        case '$':
        case '=':
            position += size >= 0 ? (size_t)size + 2 : 0;
            break;
        case '*':
        case '~':
        case '>':
            left += size > 0 ? (uint64_t)size : 0;
            break;
        case '%':
            left += size > 0 ? 2 * (uint64_t)size : 0;
            break;
        default:
            break;
        }
        if (position > bytes.size) {
            return 0;
        }
    }
    return position;
}

void steps_run_local(struct client *client, const struct command *command, const rr_bytes *argv,
                     size_t argc)
{
    struct server *server = client->server;
    struct buffer *out = &client->reply.out;
    size_t size = out->size;
    client->last_command = command;
    uint64_t began_ns = measure_now_ns();
    out->limit = client->in_exec ? LOCAL_REPLIES_BYTES_MAX : LOCAL_REPLY_BYTES_MAX;
    command->local(client, argv, argc);
    out->limit = 0;
    if (out->full) {
        buffer_retreat(out, size);
        reply_error(&client->reply, "ERR the reply exceeds the limit of %d bytes",
                    client->in_exec ? LOCAL_REPLIES_BYTES_MAX : LOCAL_REPLY_BYTES_MAX);
    }
    struct measure_run run = {command, measure_now_ns() - began_ns, client->reply.is_error};
    measure_count(server->measure, &run);
    slowlog_local(server->slowlog, client, command, argv, argc, run.duration_ns);
}

/* Puts the replies of an EXEC together: those over the data are in `data`, local commands run now. */
static void merge_exec(struct client *client, rr_bytes data)
{
    struct transaction *transaction = &client->transaction;
    const char *text = data.data;
    bool ran = data.size > 2 && text[0] == '*' && text[1] != '-';
    if (!ran) { /* a watched key was touched, or nothing is known */
        buffer_append_bytes(&client->reply.out, data);
        return;
    }
    size_t position = (size_t)((const char *)memchr(text, '\n', data.size) - text) + 1;
    client->in_exec = true;
    reply_array(&client->reply, transaction->count);
    for (size_t i = 0; i < transaction->count; i++) {
        const struct transaction_command *command = &transaction->commands[i];
        if (command->command->run == NULL) {
            const rr_bytes *argv = transaction_argv(transaction, i);
            if (argv == NULL) {
                reply_error(&client->reply, "OOM no memory for the request");
            } else {
                steps_run_local(client, command->command, argv, command->argc);
            }
            continue;
        }
        rr_bytes rest = {text + position, data.size - position};
        size_t size = reply_size(rest);
        buffer_append(&client->reply.out, rest.data, size);
        position += size;
    }
    client->in_exec = false;
}

void steps_end_exec(struct client *client)
{
    transaction_clear(&client->transaction);
    transaction_unwatch(&client->transaction);
    client->exec_merges = false;
}

/* Keeps of the batch what has not run: the slots from `done` on, the first of which is an item, and
 * the literals from `literal` on. */
static void keep_rest(struct client *client, size_t done, size_t literal)
{
    struct buffer *input = &client->call.input;
    size_t left = client->slot_count - done;
    memmove(client->slots, client->slots + done, left * sizeof(*client->slots));
    client->slot_count = left;
    buffer_consume(&client->literals, literal);
    size_t gone = client->slots[0].offset - HEADER_SIZE;
    memmove(input->data + HEADER_SIZE, input->data + HEADER_SIZE + gone,
            input->size - HEADER_SIZE - gone);
    buffer_truncate(input, input->size - gone);
    client->item_count = 0;
    for (size_t i = 0; i < left; i++) {
        if (client->slots[i].literal == SLOT_ITEM) {
            client->slots[i].offset -= (uint32_t)gone;
            client->item_count++;
        }
    }
    client->unfinished = true;
}

/* Sends the replies of the slots; true: the last item waits instead. Where the batch was broken off
 * after some items, what is left of it stays as it is. */
static bool emit_slots(struct client *client, struct reader *output, uint64_t *timeout_ms)
{
    size_t literal = 0;
    size_t items = 0;
    for (size_t i = 0; i < client->slot_count; i++) {
        const struct client_slot *slot = &client->slots[i];
        if (slot->literal == SLOT_ITEM && items > 0 && output->left == 0 && !output->failed) {
            keep_rest(client, i, literal);
            return false;
        }
        if (slot->literal != SLOT_ITEM) {
            client_emit(client, (rr_bytes){client->literals.data + literal, slot->literal});
            literal += slot->literal;
            continue;
        }
        bool waits = false;
        rr_bytes reply = {NULL, 0};
        items++;
        if (!batch_output_next(output, &waits, timeout_ms, &reply)) {
            static const char text[] = "-ERR internal: the answer is incomplete\r\n";
            reply = (rr_bytes){text, sizeof(text) - 1};
        }
        if (waits) {
            return true;
        }
        if (reply.size > 0 && *(const char *)reply.data == '-') {
            server_count_error(client->server, reply);
        }
        client_emit(client, reply);
    }
    return false;
}

static void emit_failure(struct client *client, rr_status status)
{
    struct reply error;
    reply_init(&error, 2);
    steps_status_error(&error, status, !client->batch_writes);
    size_t literal = 0;
    for (size_t i = 0; i < client->slot_count; i++) {
        const struct client_slot *slot = &client->slots[i];
        if (slot->literal != SLOT_ITEM) {
            client_emit(client, (rr_bytes){client->literals.data + literal, slot->literal});
            literal += slot->literal;
        } else {
            client_emit(client, buffer_bytes(&error.out));
            server_count_error(client->server, buffer_bytes(&error.out));
        }
    }
    reply_deinit(&error);
}

static void send_batch(struct client *client);

static void finish_batch(struct client *client, struct reader *output)
{
    uint64_t timeout_ms = 0;
    rr_status status = client->call.status;
    bool waits = false;
    if (client->batch_writes && client->call.index > client->last_index) {
        client->last_index = client->call.index; /* for WAIT, within this EXEC too */
    }
    if (status != RR_OK) {
        server_count_status(client->server, status);
        emit_failure(client, status);
        if (client->batch_blocks && status == RR_UNKNOWN) {
            blocked_unknown(client);
        }
        if (client->exec_merges) {
            steps_end_exec(client);
        }
    } else if (client->exec_merges) {
        rr_bytes reply = {NULL, 0};
        if (batch_output_next(output, &waits, &timeout_ms, &reply)) {
            merge_exec(client, reply);
        }
        steps_end_exec(client);
        clear_batch(client);
        steps_answer(client);
    } else {
        waits = emit_slots(client, output, &timeout_ms);
    }
    if (client->unfinished) {
        return;
    }
    bool blocks = client->batch_blocks;
    clear_batch(client);
    if (waits) {
        blocked_begin(client, timeout_ms, client->call.index);
    } else if (blocks) {
        blocked_forget(client);
    }
}

/* ---- EXEC with INFO ---- */

static bool transaction_wants_keyspace(struct transaction *transaction)
{
    for (size_t i = 0; i < transaction->count; i++) {
        const struct transaction_command *command = &transaction->commands[i];
        if (command->command->run == NULL) {
            const rr_bytes *argv = transaction_argv(transaction, i);
            if (argv != NULL && info_wants_keyspace(command->command, argv, command->argc)) {
                return true;
            }
        }
    }
    return false;
}

static const char no_replies[] = "*0\r\n";

static void keyspace_done(struct call *call)
{
    struct client *client = call->arg;
    if (client->connection == NULL) {
        client_destroy(client);
        return;
    }
    if (call->status == RR_OK) { /* else INFO does without */
        buffer_append_bytes(&client->keyspace, buffer_bytes(&call->output));
    }
    call->status = RR_OK;
    call->index = client->exec_index;
    client->state = CLIENT_READY;
    client->advancing = true;
    bool again = false;
    struct reader output;
    if (batch_output_begin(&output, buffer_bytes(&client->exec_output), &again)) {
        finish_batch(client, &output);
    } else {
        merge_exec(client, bytes_of(no_replies));
        steps_end_exec(client);
        clear_batch(client);
        steps_answer(client);
    }
    buffer_deinit(&client->exec_output);
    buffer_init(&client->exec_output);
    buffer_clear(&client->keyspace);
    client->advancing = false;
    client_advance(client);
}

/* Goes on with EXEC when it is known how many keys there are. `output` is the batch's. */
static void ask_for_keyspace(struct client *client, rr_bytes output)
{
    buffer_append_bytes(&client->exec_output, output);
    client->exec_index = client->call.index;
    buffer_clear(&client->call.input);
    batch_keyspace(&client->call.input);
    client->call.done = keyspace_done;
    client->state = CLIENT_CALLING;
    call_query(&client->call, RR_READ_LOCAL);
}

static void batch_done(struct call *call)
{
    struct client *client = call->arg;
    struct reader output = reader_of(buffer_bytes(&call->output));
    bool again = false;
    if (call->status == RR_OK &&
        !batch_output_begin(&output, buffer_bytes(&call->output), &again)) {
        call->status = RR_CORRUPT;
    }
    if (again && client->connection != NULL) {
        client->batch_writes = true;
        send_batch(client);
        return;
    }
    if (client->connection == NULL) { /* gone meanwhile; blocked_forsake has seen to its waiter */
        client_destroy(client);
        return;
    }
    if (call->status == RR_OK && client->exec_merges &&
        transaction_wants_keyspace(&client->transaction)) {
        ask_for_keyspace(client, buffer_bytes(&call->output));
        return;
    }
    client->state = CLIENT_READY;
    client->advancing = true;
    finish_batch(client, &output);
    call_shrink(call);
    client->advancing = false;
    client_advance(client);
}

/* ---- The beginning of a batch ---- */

static void write_header(struct client *client)
{
    struct buffer header;
    buffer_init(&header);
    /* Without a waiter the number only tells the slow log whose batch it is. */
    uint64_t number = client->waiter != 0 ? client->waiter : SLOWLOG_CLIENT_BIT | client->id;
    struct waiter_id waiter = {client->server->node_id, client->server->boot, number};
    batch_begin_commands(&header, client->reply.protocol, &waiter,
                         client->batch_writes ? 0 : server_wall_ms());
    if (header.size == HEADER_SIZE && client->call.input.size >= HEADER_SIZE) {
        memcpy(client->call.input.data, header.data, HEADER_SIZE);
    }
    buffer_deinit(&header);
}

static void send_batch(struct client *client)
{
    write_header(client);
    client->call.done = batch_done;
    client->state = CLIENT_CALLING;
    if (client->batch_writes) {
        call_write(&client->call);
    } else {
        call_query(&client->call, client->read_level);
    }
}

void steps_submit(struct client *client)
{
    if (client->item_count == 0) {
        uint64_t timeout_ms = 0;
        struct reader none = reader_of((rr_bytes){NULL, 0});
        (void)emit_slots(client, &none, &timeout_ms);
        clear_batch(client);
        return;
    }
    if (client->batch_blocks && client->waiter == 0) {
        blocked_prepare(client);
    }
    send_batch(client);
}

static void begin_item(struct client *client)
{
    if (client->item_count == 0) {
        buffer_clear(&client->call.input);
        (void)buffer_extend(&client->call.input, HEADER_SIZE);
    }
}

/* Whether a command of these flags may join what was gathered. */
static bool fits_batch(const struct client *client, uint32_t flags, size_t size)
{
    if (client->item_count == 0) {
        return client->slot_count < BATCH_COMMANDS_MAX;
    }
    bool writes = (flags & COMMAND_WRITE) != 0;
    bool mixes = writes != client->batch_writes;
    if (client->batch_heavy || client->batch_blocks || client->slot_count >= BATCH_COMMANDS_MAX ||
        client->call.input.size + size > BATCH_ROOM_BYTES) {
        return false;
    }
    /* What may be long has a larger limit, and costs less, as a query. */
    return !mixes || ((flags & COMMAND_HEAVY) == 0 &&
                      (writes ? client->item_count < 64 : (flags & COMMAND_FAST) != 0));
}

enum verdict steps_add_command(struct client *client, const struct command *command,
                               const rr_bytes *argv, size_t argc)
{
    size_t size = 16;
    for (size_t i = 0; i < argc; i++) {
        size += 4 + argv[i].size;
    }
    if (!fits_batch(client, command->flags, size)) {
        return VERDICT_LATER;
    }
    begin_item(client);
    uint32_t offset = (uint32_t)client->call.input.size;
    if (!add_slot(client, (struct client_slot){SLOT_ITEM, offset, command})) {
        client->closing = true;
        return VERDICT_DONE;
    }
    client->item_count++;
    batch_add_command(&client->call.input, (uint8_t)client->db, argv, argc);
    client->batch_writes = client->batch_writes || (command->flags & COMMAND_WRITE) != 0;
    client->batch_heavy = (command->flags & COMMAND_HEAVY) != 0;
    client->batch_blocks = (command->flags & COMMAND_BLOCKING) != 0;
    client->last_command = command;
    return VERDICT_DONE;
}

/* ---- EXEC ---- */

enum verdict steps_run_exec(struct client *client, const struct command *command)
{
    struct transaction *transaction = &client->transaction;
    if (!transaction->active || transaction->aborted) {
        if (transaction->active) {
            reply_error(&client->reply,
                        "EXECABORT Transaction discarded because of previous errors.");
            steps_end_exec(client);
        } else {
            reply_error(&client->reply, "ERR EXEC without MULTI");
        }
        steps_answer(client);
        return VERDICT_DONE;
    }
    if (transaction->watch_failed || server_watch_missed(client->server, transaction)) {
        /* In Redis WATCH cannot fail, so clients may have overlooked it. */
        reply_null_array(&client->reply);
        steps_end_exec(client);
        steps_answer(client);
        return VERDICT_DONE;
    }
    bool no_data = transaction->count == transaction->local_count && transaction->watch_count == 0;
    size_t size = transaction->bytes.size + 16 * transaction->count +
                  transaction->watch_bytes.size + 16 * transaction->watch_count;
    bool merges = transaction->local_count > 0;
    if (client->slot_count > 0 && (merges || no_data || !fits_batch(client, COMMAND_WRITE, size))) {
        return VERDICT_LATER;
    }
    if (no_data && transaction_wants_keyspace(transaction)) {
        client->exec_merges = true;
        ask_for_keyspace(client, (rr_bytes){NULL, 0});
        return VERDICT_DONE;
    }
    if (no_data) {
        merge_exec(client, bytes_of(no_replies));
        steps_end_exec(client);
        steps_answer(client);
        return VERDICT_DONE;
    }
    begin_item(client);
    uint32_t offset = (uint32_t)client->call.input.size;
    if (!add_slot(client, (struct client_slot){SLOT_ITEM, offset, command}) ||
        !transaction_encode(transaction, &client->call.input, client->db)) {
        client->closing = true;
        return VERDICT_DONE;
    }
    client->item_count++;
    client->batch_writes =
        client->batch_writes || transaction->has_write || transaction->watch_count > 0;
    client->batch_heavy = true;
    client->exec_merges = merges;
    if (!merges) {
        steps_end_exec(client);
    }
    return VERDICT_DONE;
}
