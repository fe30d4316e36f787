/* Questions of one who is no member, over the transport's calls to addresses. */
#include "node/backup_client.h"

#include "base/assert.h"
#include "base/memory.h"
#include "io/timer.h"
#include "node/backups.h"
#include "transport/rpc.h"

#include <stdio.h>
#include <string.h>
#include <sys/random.h>

enum { TICK_MS = 500 };

struct backup_client {
    struct loop *loop;
    struct timer *tick_timer;
    struct timer *pause_timer;
    struct transport *transport;
    struct peers *peers;
    backup_client_tick_fn tick;
    void *tick_arg;
    bool stopped; /* `tick` wants no more */
};

/* ---- Opening and closing ---- */

static void on_tick(void *arg)
{
    struct backup_client *client = arg;
    client->stopped = client->stopped || !client->tick(client->tick_arg);
    timer_start(client->tick_timer, TICK_MS);
}

static void on_pause_over(void *arg)
{
    (void)arg; /* who waits looks whether the timer still runs */
}

rr_status backup_client_open(backup_client_tick_fn tick, void *tick_arg,
                             struct storage_error *error, struct backup_client **out)
{
    static const struct peers_callbacks none = {0};
    struct backup_client *client = mem_new(struct backup_client);
    client->tick = tick;
    client->tick_arg = tick_arg;
    if (loop_open(&client->loop) != RR_OK) {
        mem_free(client);
        return storage_fail(error, RR_IO, "cannot create an event loop");
    }
    struct transport_options options = {.loop = client->loop};
    if (getrandom(&options.random_seed, sizeof(options.random_seed), 0) < 0) {
        options.random_seed = loop_wall_ms(); /* for the jitter of reconnects alone */
    }
    client->tick_timer = timer_open(client->loop, on_tick, client);
    client->pause_timer = timer_open(client->loop, on_pause_over, client);
    client->transport = transport_new(&options);
    client->peers = peers_new(client->transport, &none, client);
    timer_start(client->tick_timer, TICK_MS);
    *out = client;
    return RR_OK;
}

void backup_client_close(struct backup_client *client)
{
    if (client == NULL) {
        return;
    }
    peers_free(client->peers);
    transport_free(client->transport);
    timer_close(client->tick_timer);
    timer_close(client->pause_timer);
    loop_close(client->loop);
    mem_free(client);
}

/* ---- Asking ---- */

static void answer_without_body(struct backup_question *question, rr_status status,
                                const char *reason)
{
    question->pending = false;
    question->status = status;
    snprintf(question->reason, sizeof(question->reason), "%s", reason);
}

static void on_answer(void *arg, const struct rpc_result *result)
{
    struct backup_question *question = arg;
    answer_without_body(question, result->status, result->reason);
    if (!result->answered) {
        question->status = RR_IO; /* not reached, or no answer: a later question may have one */
        return;
    }
    if (result->status != RR_OK) {
        answer_without_body(question, RR_MISMATCH,
                            "the node does not know backups; is it of an older version?");
        return;
    }
    buffer_append(&question->body, result->body.data, result->body.size);
    if (question->body.failed) {
        answer_without_body(question, RR_NO_MEMORY, "no memory for an answer");
    }
}

void backup_client_ask(struct backup_client *client, struct backup_question *question,
                       const char *address, const struct backup_request *request,
                       uint32_t timeout_ms)
{
    struct buffer body;
    ASSERT(!question->pending);
    question->kind = request->kind;
    question->pending = true;
    question->reason[0] = '\0';
    buffer_deinit(&question->body);
    buffer_init(&question->body);
    buffer_init(&body);
    backup_request_encode(&body, request);
    rr_status status = body.failed
                           ? RR_NO_MEMORY
                           : rpc_call_address(client->peers, address, RPC_BACKUP,
                                              buffer_bytes(&body), timeout_ms, on_answer, question);
    if (status != RR_OK) {
        answer_without_body(question, status == RR_CLOSED ? RR_IO : status, rr_status_name(status));
    }
    buffer_deinit(&body);
}

rr_status backup_client_await(struct backup_client *client, struct backup_question *question,
                              struct backup_answer *answer, struct storage_error *error)
{
    while (question->pending && !client->stopped) {
        loop_run_once(client->loop, true);
    }
    if (client->stopped) {
        return storage_fail(error, RR_CLOSED, "ended by the caller");
    }
    if (question->status != RR_OK) {
        const char *reason = question->reason;
        return storage_fail(error, question->status, "%s",
                            reason[0] != '\0' ? reason : rr_status_name(question->status));
    }
    if (backup_answer_decode(buffer_bytes(&question->body), question->kind, answer) != RR_OK) {
        return storage_fail(error, RR_CORRUPT, "the node's answer makes no sense");
    }
    return RR_OK;
}

rr_status backup_client_pause(struct backup_client *client, uint64_t pause_ms)
{
    timer_start(client->pause_timer, pause_ms);
    while (timer_running(client->pause_timer) && !client->stopped) {
        loop_run_once(client->loop, true);
    }
    timer_stop(client->pause_timer);
    return client->stopped ? RR_CLOSED : RR_OK;
}

uint64_t backup_client_now_us(const struct backup_client *client)
{
    return loop_now_us(client->loop);
}

void backup_question_deinit(struct backup_question *question)
{
    buffer_deinit(&question->body);
}
