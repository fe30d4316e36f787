/*
 * Asking nodes about backups without being one of them: a loop of its own, run by the calling thread
 * while it waits for an answer.
 */
#ifndef NODE_BACKUP_CLIENT_H
#define NODE_BACKUP_CLIENT_H

#include "command/backup.h"
#include "storage/error.h"

struct backup_client;

/* Called at least once a second while something is waited for; false: wait no longer. */
typedef bool (*backup_client_tick_fn)(void *arg);

/* RR_OK or RR_IO. */
RR_MUST_USE rr_status backup_client_open(backup_client_tick_fn tick, void *tick_arg,
                                         struct storage_error *error, struct backup_client **out);

/* Forgets questions that have no answer yet. NULL is fine. */
void backup_client_close(struct backup_client *client);

/* A question and its answer; zeroed before its first use, and the caller's until the client is
 * closed. */
struct backup_question {
    enum backup_kind kind;
    bool pending; /* no answer yet */
    rr_status status;
    struct buffer body;
    char reason[256];
};

/* Asks the node at `address`, "host:port". The question is not pending. What cannot even be sent is
 * its answer, too. */
void backup_client_ask(struct backup_client *client, struct backup_question *question,
                       const char *address, const struct backup_request *request,
                       uint32_t timeout_ms);

/*
 * Waits for the answer, and reads it: RR_OK with `answer`, whose bytes last until the question is
 * asked anew and whose status says what the node made of it. Else why there is none, with a text:
 * RR_MISMATCH (the node does not know backups), RR_CORRUPT (it makes no sense), RR_IO (not reached,
 * or no answer in time), RR_NO_MEMORY, RR_CLOSED (`tick` wants no more).
 */
RR_MUST_USE rr_status backup_client_await(struct backup_client *client,
                                          struct backup_question *question,
                                          struct backup_answer *answer,
                                          struct storage_error *error);

/* Lets so much time pass, less if `tick` wants no more: RR_OK or RR_CLOSED. */
RR_MUST_USE rr_status backup_client_pause(struct backup_client *client, uint64_t pause_ms);

/* A clock that never goes back. */
uint64_t backup_client_now_us(const struct backup_client *client);

void backup_question_deinit(struct backup_question *question);

#endif
