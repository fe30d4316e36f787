/* The life of a client, and what it is sent. How its requests run is in steps.c. */
#include "coredb/server/client.h"

#include "coredb/server/blocked.h"
#include "coredb/server/server.h"
#include "coredb/server/steps.h"

#include <stdlib.h>
#include <string.h>

/* ---- The end ---- */

void client_destroy(struct client *client)
{
    parser_deinit(&client->parser);
    reply_deinit(&client->reply);
    buffer_deinit(&client->name);
    buffer_deinit(&client->library_name);
    buffer_deinit(&client->library_version);
    buffer_deinit(&client->literals);
    buffer_deinit(&client->served_reply);
    buffer_deinit(&client->exec_output);
    buffer_deinit(&client->keyspace);
    transaction_deinit(&client->transaction);
    call_deinit(&client->call);
    free(client->slots);
    free(client);
}

static void drop_subscriptions(struct client *client)
{
    if (client->drop_subscriptions != NULL) {
        client->drop_subscriptions(client);
        client->drop_subscriptions = NULL;
    }
}

/* Takes the client out of everything that knows it, and gives up its connection. */
static void detach(struct client *client, bool send_output)
{
    struct server *server = client->server;
    drop_subscriptions(client);
    list_remove(&client->link);
    list_remove(&client->waiting);
    server->client_count--;
    loop_timer_free(client->timer);
    client->timer = NULL;
    if (send_output) {
        connection_finish(client->connection);
    } else {
        connection_close(client->connection);
    }
    client->connection = NULL;
    blocked_forsake(client);
    if (!client->call.is_pending && !client->advancing) {
        client_destroy(client);
    }
}

void client_free(struct client *client)
{
    if (client->connection != NULL) {
        detach(client, /*send_output=*/false);
    }
}

void client_finish(struct client *client)
{
    if (client->connection != NULL) {
        detach(client, /*send_output=*/true);
    }
}

void client_kill(struct client *client, bool after_reply)
{
    client->closing = true;
    if (client->advancing || (after_reply && client->state == CLIENT_CALLING)) {
        return;
    }
    if (after_reply) {
        client_finish(client);
    } else {
        client_free(client);
    }
}

struct client *client_find(struct server *server, uint64_t id)
{
    for (struct list_link *link = server->clients.next; link != &server->clients;
         link = link->next) {
        struct client *client = LIST_OWNER(link, struct client, link);
        if (client->id == id) {
            return client;
        }
    }
    return NULL;
}

/* ---- Output ---- */

static void append(struct client *client, rr_bytes bytes)
{
    if (client->connection != NULL && bytes.size > 0) {
        buffer_append_bytes(connection_output(client->connection), bytes);
        connection_send(client->connection);
    }
}

void client_push(struct client *client, rr_bytes bytes)
{
    struct settings_output_limit limit =
        settings_output_limit(client->server->settings, client_is_subscriber(client) ? 2 : 0);
    if (client->connection != NULL && limit.hard_bytes > 0 &&
        connection_unsent(client->connection) + bytes.size > limit.hard_bytes) {
        client->over_hard_limit = true;
    }
    if (!client->over_hard_limit) {
        append(client, bytes);
    }
}

size_t client_memory(const struct client *client)
{
    const struct transaction *transaction = &client->transaction;
    size_t size = sizeof(*client) + connection_unsent(client->connection);
    size += client->parser.input.capacity + client->parser.capacity * sizeof(struct parser_slice) +
            client->parser.argv_capacity * sizeof(rr_bytes);
    size += client->slot_capacity * sizeof(*client->slots) + client->literals.capacity;
    size += client->call.input.capacity + client->served_reply.capacity;
    size += client->call.is_pending ? 0 : client->call.output.capacity;
    size += transaction->bytes.capacity + transaction->watch_bytes.capacity +
            transaction->capacity * sizeof(*transaction->commands) +
            transaction->watch_capacity * sizeof(*transaction->watches);
    return size;
}

void client_emit(struct client *client, rr_bytes bytes)
{
    switch (client->replies) {
    case REPLIES_ON:
        append(client, bytes);
        return;
    case REPLIES_OFF:
        return;
    case REPLIES_SKIP_NEXT: /* the reply of CLIENT REPLY SKIP itself, which is none */
    case REPLIES_SKIP:
        client->replies = REPLIES_ON;
        return;
    }
}

/* ---- Commands that take their time ---- */

uint64_t client_suspend(struct client *client)
{
    if (client->in_exec) {
        return 0;
    }
    client->state = CLIENT_SUSPENDED;
    return ++client->suspension;
}

struct client *client_resumable(struct server *server, uint64_t id, uint64_t ticket)
{
    struct client *client = client_find(server, id);
    return client != NULL && client->state == CLIENT_SUSPENDED && client->suspension == ticket
               ? client
               : NULL;
}

void client_resume(struct client *client)
{
    client->state = CLIENT_READY;
    steps_answer(client);
    client_advance(client);
}

/* ---- What the connection tells ---- */

bool client_input_is_enough(const struct client *client)
{
    bool soon = client->state == CLIENT_READY || client->state == CLIENT_CALLING;
    return soon && parser_buffered(&client->parser) > CLIENT_INPUT_PAUSE_BYTES;
}

static void on_received(void *arg, rr_bytes bytes)
{
    struct client *client = arg;
    client->active_ms = loop_now_ms(client->server->loop);
    uint64_t limit = (uint64_t)settings_number(client->server->settings, SETTING_QUERY_LIMIT);
    if (!parser_feed(&client->parser, bytes) || parser_buffered(&client->parser) > limit) {
        client_free(client);
        return;
    }
    if (client->state == CLIENT_READY) {
        client_advance(client);
    } else if (client_input_is_enough(client)) {
        connection_read(client->connection, false);
    }
}

static void on_sent(void *arg)
{
    struct client *client = arg;
    client->active_ms = loop_now_ms(client->server->loop);
    client_advance(client);
}

static void on_ended(void *arg, bool orderly)
{
    struct client *client = arg;
    client->input_ended = true;
    if (client->advancing) {
        client->closing = true;
    } else if (!orderly || (client->state != CLIENT_READY && client->state != CLIENT_CALLING)) {
        client_free(client);
    } else {
        client_advance(client);
    }
}

/* ---- The beginning ---- */

static const struct connection_events events = {on_received, on_sent, on_ended};

void client_set_defaults(struct client *client)
{
    const struct settings *settings = client->server->settings;
    client->reply.protocol = 2;
    client->db = 0;
    client->authenticated = settings_text(settings, SETTING_REQUIREPASS)[0] == '\0';
    client->parser.authenticated = client->authenticated;
    client->read_level = (rr_read_level)settings_number(settings, SETTING_READ_LEVEL);
    client->replies = REPLIES_ON;
}

void client_reset(struct client *client)
{
    drop_subscriptions(client);
    transaction_clear(&client->transaction);
    transaction_unwatch(&client->transaction);
    client->no_evict = false;
    buffer_clear(&client->name);
    client_set_defaults(client);
}

static struct client *client_new(struct server *server, struct connection *connection)
{
    struct client *client = calloc(1, sizeof(*client));
    if (client == NULL) {
        abort();
    }
    client->server = server;
    client->connection = connection;
    client->id = ++server->last_client_id;
    list_init(&client->waiting);
    parser_init(&client->parser);
    reply_init(&client->reply, 2);
    buffer_init(&client->name);
    buffer_init(&client->library_name);
    buffer_init(&client->library_version);
    buffer_init(&client->literals);
    buffer_init(&client->served_reply);
    buffer_init(&client->exec_output);
    buffer_init(&client->keyspace);
    transaction_init(&client->transaction);
    call_init(&client->call, server, NULL, client);
    client->created_ms = loop_now_ms(server->loop);
    client->active_ms = client->created_ms;
    client_set_defaults(client);
    list_append(&server->clients, &client->link);
    server->client_count++;
    return client;
}

/* Whether protected-mode keeps this one out. */
static bool is_denied(const struct server *server, const struct connection *connection)
{
    char peer[CONNECTION_ADDRESS_MAX];
    if (settings_number(server->settings, SETTING_PROTECTED) == 0 ||
        settings_text(server->settings, SETTING_REQUIREPASS)[0] != '\0' ||
        connection_is_unix(connection)) {
        return false;
    }
    connection_peer(connection, peer);
    return strncmp(peer, "127.", 4) != 0 && strncmp(peer, "[::1]:", 6) != 0 &&
           strncmp(peer, "::1:", 4) != 0 && strncmp(peer, "::ffff:127.", 11) != 0;
}

void client_accept(void *arg, struct connection *connection)
{
    static const char denial[] =
        "-DENIED coredb is running in protected mode, and no password is set: connections are "
        "accepted from the loopback interface alone. Set a password (CONFIG SET requirepass), or "
        "from this machine CONFIG SET protected-mode no.\r\n";
    static const char refusal[] = "-ERR max number of clients reached\r\n";
    struct server *server = arg;
    if (server->quiescing) {
        connection_close(connection);
        return;
    }
    if ((int64_t)server->client_count >= settings_number(server->settings, SETTING_MAXCLIENTS)) {
        buffer_append(connection_output(connection), refusal, sizeof(refusal) - 1);
        connection_finish(connection);
        server->statistics.rejected_connections++;
        return;
    }
    if (is_denied(server, connection)) {
        buffer_append(connection_output(connection), denial, sizeof(denial) - 1);
        connection_finish(connection);
        server->statistics.rejected_connections++;
        return;
    }
    server->statistics.connections++;
    connection_keepalive(connection,
                         (unsigned)settings_number(server->settings, SETTING_TCP_KEEPALIVE));
    connection_start(connection, &events, client_new(server, connection));
}
