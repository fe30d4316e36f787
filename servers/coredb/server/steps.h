/*
 * How the requests of a client run: one after another, data commands that stand together as one
 * batch. Loop's thread.
 */
#ifndef COREDB_SERVER_STEPS_H
#define COREDB_SERVER_STEPS_H

#include "coredb/server/client.h"

/* What client.c and steps.c share. */
void client_finish(struct client *client); /* sends what waits, and frees */
void client_destroy(struct client *client);
void client_set_defaults(struct client *client);

/* Sends what stands in client->reply as the reply of a command. */
void steps_answer(struct client *client);

/* Answers a call that the node did not carry out. `reads_only`: a timeout left nothing open. */
void steps_status_error(struct reply *reply, rr_status status, bool reads_only);

/* The transaction's commands, in command_exec's place. */
void command_multi(struct client *client, const rr_bytes *argv, size_t argc);
void command_exec(struct client *client, const rr_bytes *argv, size_t argc);
void command_discard(struct client *client, const rr_bytes *argv, size_t argc);
void command_watch(struct client *client, const rr_bytes *argv, size_t argc);
void command_unwatch(struct client *client, const rr_bytes *argv, size_t argc);
void command_quit(struct client *client, const rr_bytes *argv, size_t argc);
void command_reset(struct client *client, const rr_bytes *argv, size_t argc);
void command_ping(struct client *client, const rr_bytes *argv, size_t argc);
void command_echo(struct client *client, const rr_bytes *argv, size_t argc);
void command_select(struct client *client, const rr_bytes *argv, size_t argc);

#endif
