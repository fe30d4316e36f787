/* What steps.c and steps_batch.c share. Loop's thread. */
#ifndef COREDB_SERVER_STEPS_PRIVATE_H
#define COREDB_SERVER_STEPS_PRIVATE_H

#include "coredb/server/steps.h"

enum verdict {
    VERDICT_DONE,  /* the request has been taken */
    VERDICT_LATER, /* after the batch that was gathered */
};

/* Adds a command over the data to the batch, if it fits. */
enum verdict steps_add_command(struct client *client, const struct command *command,
                               const rr_bytes *argv, size_t argc);

/* EXEC: adds the transaction to the batch, or answers it if nothing of it is over the data. */
enum verdict steps_run_exec(struct client *client, const struct command *command);

/* Forgets the transaction and what it watched. */
void steps_end_exec(struct client *client);

/* Has what was gathered run; client_advance goes on when it is answered. */
void steps_submit(struct client *client);

/* Runs a local command, whose reply goes to client->reply. */
void steps_run_local(struct client *client, const struct command *command, const rr_bytes *argv,
                     size_t argc);

#endif
