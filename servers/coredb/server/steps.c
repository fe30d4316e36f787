/* Dispatch: which request runs next, and how. */
#include "coredb/server/steps_private.h"

#include "coredb/base/bytes.h"
#include "coredb/command/measure.h"
#include "coredb/server/server.h"

#include <stdio.h>
#include <string.h>

/* ---- What may run ---- */

/* A command that is local and whose reply depends on nothing that runs before it. */
static bool is_immediate(const struct command *command)
{
    return command->local == command_ping || command->local == command_echo ||
           command->local == command_select || command->local == command_multi ||
           command->local == command_discard || command->local == command_unwatch;
}

static void full_name(const struct command *command, const struct command *container, char *out,
                      size_t size)
{
    if (container != NULL && container != command) {
        snprintf(out, size, "%s|%s", container->name, command->name);
    } else {
        snprintf(out, size, "%s", command->name);
    }
}

static enum verdict refuse(struct client *client)
{
    client->transaction.aborted = client->transaction.active;
    steps_answer(client);
    return VERDICT_DONE;
}

static bool allowed_to_subscriber(const struct command *command)
{
    static const char *const names[] = {"ping",         "subscribe",   "ssubscribe",
                                        "psubscribe",   "unsubscribe", "sunsubscribe",
                                        "punsubscribe", "quit",        "reset"};
    for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++) {
        if (strcmp(command->name, names[i]) == 0) {
            return true;
        }
    }
    return false;
}

/* Whether one of the keys is too long. */
static bool keys_too_long(const struct command *command, const rr_bytes *argv, size_t argc)
{
    enum { KEYS_MAX = 64 };
    bool any = false;
    for (size_t i = 1; i < argc; i++) {
        any = any || argv[i].size > STORE_KEY_BYTES_MAX;
    }
    size_t positions[KEYS_MAX];
    int count = any ? command_keys(command, argv, argc, positions, NULL, KEYS_MAX) : 0;
    for (int i = 0; i < count && i < KEYS_MAX; i++) {
        if (argv[positions[i]].size > STORE_KEY_BYTES_MAX) {
            return true;
        }
    }
    return false;
}

/* The checks that come before a command runs or is queued; true: it was refused, and
 * client->reply tells why. */
static bool is_refused(struct client *client, const struct command *command,
                       const struct command *container, const rr_bytes *argv, size_t argc)
{
    struct reply *reply = &client->reply;
    char name[80];
    if ((command->flags & COMMAND_PROTECTED) != 0 &&
        settings_number(client->server->settings, SETTING_DEBUG) == 0) {
        reply_error(reply,
                    "ERR DEBUG command not allowed. If the enable-debug-command option is set to "
                    "\"local\", you can run it from a local connection, otherwise you need to set "
                    "this option in the configuration file, and then restart the server.");
        return true;
    }
    if (!client->authenticated && (command->flags & COMMAND_NO_AUTH) == 0) {
        reply_error(reply, "NOAUTH Authentication required.");
        return true;
    }
    if (client->transaction.active && (command->flags & COMMAND_NO_MULTI) != 0) {
        reply_error(reply, "ERR Command not allowed inside a transaction");
        return true;
    }
    if (client_is_subscriber(client) && client->reply.protocol == 2 &&
        !allowed_to_subscriber(command)) {
        full_name(command, container, name, sizeof(name));
        reply_error(reply,
                    "ERR Can't execute '%s': only (P|S)SUBSCRIBE / (P|S)UNSUBSCRIBE / PING / QUIT "
                    "/ RESET are allowed in this context",
                    name);
        return true;
    }
    if (command->run != NULL && keys_too_long(command, argv, argc)) {
        reply_error(reply, "ERR key exceeds the limit of %d bytes", STORE_KEY_BYTES_MAX);
        return true;
    }
    return false;
}

static bool is_queued(const struct client *client, const struct command *command)
{
    return client->transaction.active && command->local != command_exec &&
           command->local != command_discard && command->local != command_multi &&
           command->local != command_watch && command->local != command_quit &&
           command->local != command_reset;
}

static bool is_paused(struct client *client, const struct command *command)
{
    struct server *server = client->server;
    if (server->paused_until_ms == 0 || bytes_is(bytes_of(command->name), "client")) {
        return false;
    }
    bool writes = (command->flags & (COMMAND_WRITE | COMMAND_MAY_REPLICATE)) != 0 ||
                  (command->local == command_exec && client->transaction.has_write);
    return server->paused_all || writes;
}

/* ---- Dispatch ---- */

static enum verdict dispatch_known(struct client *client, const struct command *command,
                                   const rr_bytes *argv, size_t argc)
{
    if (is_queued(client, command)) {
        if (transaction_add(&client->transaction, command, argv, argc)) {
            reply_status(&client->reply, "QUEUED");
        } else {
            client->transaction.aborted = true;
            reply_error(&client->reply, "ERR the transaction exceeds the limit of %d bytes",
                        TRANSACTION_BYTES_MAX);
        }
        steps_answer(client);
        return VERDICT_DONE;
    }
    if (command->local == command_exec) {
        return steps_run_exec(client, command);
    }
    if (command->run != NULL && command->local == NULL) {
        return steps_add_command(client, command, argv, argc);
    }
    if (client->slot_count > 0 && !is_immediate(command)) {
        return VERDICT_LATER;
    }
    steps_run_local(client, command, argv, argc);
    if (client->state == CLIENT_READY) {
        steps_answer(client);
    }
    return VERDICT_DONE;
}

static enum verdict refuse_too_big(struct client *client)
{
    if (client->parser.argument_too_big) {
        reply_error(&client->reply, "ERR argument exceeds the limit of %d bytes",
                    PARSER_ARGUMENT_BYTES_MAX);
    } else {
        reply_error(&client->reply, "ERR request exceeds the limit of %d bytes",
                    PARSER_REQUEST_BYTES_MAX);
    }
    return refuse(client);
}

static enum verdict dispatch(struct client *client)
{
    /* The transaction of an EXEC with local commands stays until its replies are put together: what
     * follows would be queued into it. */
    if (client->exec_merges) {
        return VERDICT_LATER;
    }
    if (client->batch_blocks) {
        return VERDICT_LATER; /* whatever it is, its reply comes after the wait */
    }
    if (client->parser.too_big) {
        return refuse_too_big(client);
    }
    const rr_bytes *argv = parser_argv(&client->parser);
    size_t argc = client->parser.count;
    if (argv == NULL || bytes_is(argv[0], "host:") || bytes_is(argv[0], "post")) {
        /* A browser that was talked into sending HTTP here. */
        if (client->slot_count > 0) {
            return VERDICT_LATER;
        }
        client->closing = true;
        return VERDICT_DONE;
    }
    const struct command *container = NULL;
    const struct command *command = command_resolve(argv, argc, &container);
    if (command == NULL) {
        exec_error_unknown(&client->reply, argv, argc, container);
        return refuse(client);
    }
    if (!command_arity_fits(command, argc)) {
        if (command->local == command_exec) {
            reply_error(&client->reply, "EXECABORT Transaction discarded because of: wrong number "
                                        "of arguments for 'exec' command");
            steps_end_exec(client);
            steps_answer(client);
            return VERDICT_DONE;
        }
        exec_error_arity(&client->reply, command, container);
        measure_rejected(client->server->measure, command);
        return refuse(client);
    }
    if (is_refused(client, command, container, argv, argc)) {
        measure_rejected(client->server->measure, command);
        return refuse(client);
    }
    if (is_paused(client, command) && !is_queued(client, command)) {
        if (client->slot_count == 0 && !list_is_linked(&client->waiting)) {
            list_append(&client->server->paused, &client->waiting);
        }
        return VERDICT_LATER;
    }
    enum verdict verdict = dispatch_known(client, command, argv, argc);
    if (verdict == VERDICT_DONE) {
        client->command_count++;
        client->server->statistics.commands++;
    }
    return verdict;
}

/* ---- Advancing ---- */

static bool may_go_on(const struct client *client)
{
    if (client->connection == NULL || client->state != CLIENT_READY || client->closing ||
        client->server->quiescing || list_is_linked(&client->waiting)) {
        return false;
    }
    if (connection_unsent(client->connection) > CLIENT_OUTPUT_PAUSE_BYTES) {
        connection_await_sent(client->connection); /* which goes on here */
        return false;
    }
    return true;
}

/* Takes the next request, if there is one. False: there is none, and nothing waits to be sent. */
static bool fetch(struct client *client)
{
    switch (parser_next(&client->parser)) {
    case PARSER_REQUEST:
        client->holding = true;
        return true;
    case PARSER_MORE:
        if (client->slot_count > 0) {
            steps_submit(client);
            return true;
        }
        return false;
    case PARSER_ERROR:
        if (client->slot_count > 0) {
            steps_submit(client);
            return true;
        }
        reply_error(&client->reply, "%s", client->parser.error);
        steps_answer(client);
        client->closing = true;
        return false;
    }
    return false;
}

static void settle(struct client *client, bool idle)
{
    if (client->connection == NULL) {
        if (!client->call.is_pending) {
            client_destroy(client);
        }
        return;
    }
    bool ready = client->state == CLIENT_READY;
    bool ends = client->closing && (ready || client->state == CLIENT_BLOCKED);
    if (ends || (ready && client->input_ended && idle)) {
        client_finish(client);
        return;
    }
    if (idle) {
        parser_shrink(&client->parser);
    }
    bool enough = !idle && client_input_is_enough(client);
    connection_read(client->connection, !client->input_ended && !enough);
}

void client_advance(struct client *client)
{
    if (client->advancing || client->connection == NULL) {
        return;
    }
    client->advancing = true;
    bool idle = false;
    while (may_go_on(client)) {
        if (client->unfinished) {
            client->unfinished = false;
            steps_submit(client);
            continue;
        }
        if (!client->holding) {
            if (!fetch(client)) {
                idle = true;
                break;
            }
            continue;
        }
        if (dispatch(client) == VERDICT_DONE) {
            client->holding = false;
        } else if (client->slot_count > 0) {
            steps_submit(client);
        }
    }
    client->advancing = false;
    settle(client, idle);
}
