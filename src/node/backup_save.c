/*
 * Taking a backup: ask a node to hold a snapshot, read it chunk by chunk into the backup's directory,
 * verify, give it its name.
 *
 * A break is followed by another attempt, from the chunk that is wanted next if the node still has
 * that snapshot, else from the beginning of another. Invariants:
 *
 * 1. Whatever snapshot is taken in the end covers what the first node to answer was asked to cover,
 *    and all nodes that are asked are of its cluster.
 * 2. A failure of the disk here ends it; any other leads to the next attempt, until there was no
 *    byte for timeout_ms, or every node has said that it never will.
 */
#include "node/backup_client.h"
#include "node/backup_info.h"

#include "base/checksum.h"
#include "base/memory.h"
#include "io/address.h"
#include "io/loop.h"
#include "storage/draw.h"

#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

enum {
    BEGIN_TIMEOUT_MS = 15 * 1000, /* of one question; a node answers earlier, if only to say so */
    CHUNK_TIMEOUT_MS = 30 * 1000,
    END_TIMEOUT_MS = 2000,
    PAUSE_MS = 500,  /* between attempts */
    STAY_MAX = 20,   /* attempts at a node that gave something, before the next is asked */
    DAMAGES_MAX = 3, /* snapshots found damaged by their node, which then makes another */
    WINDOW = 2,      /* chunks asked for ahead: one travels while another is written */
    BYTES_PER_S_MIN = 128 * 1024,
    EVENT_BYTES_MAX = 1024,
};

struct save {
    rr_backup_options options;
    struct backup_client *client;
    struct backup_maker *maker;
    struct backup_question questions[WINDOW];
    struct backup_question end;
    struct backup_origin origin; /* cluster 0: no node has answered yet */
    uint64_t covers;             /* likewise */
    uint64_t id;                 /* the backup's, at all nodes */
    size_t at;                   /* the address that is asked */
    unsigned stays;              /* failed attempts there in a row */
    unsigned damages;
    uint32_t hopeless;               /* a bit for each address whose node never will */
    uint32_t told[RAFT_MEMBERS_MAX]; /* what was told last of each address: its checksum */
    bool here;                       /* the failure is of this side: no other node helps */
    uint64_t progress_us;            /* when the last byte came */
    uint64_t next_ask_us;            /* the rate allows no question before */
    rr_backup_progress progress;
    struct storage_error error; /* of the last attempt */
};

void rr_backup_options_init(rr_backup_options *options)
{
    *options =
        (rr_backup_options){.struct_size = sizeof(rr_backup_options), .timeout_ms = 600 * 1000};
}

/* ---- Progress ---- */

static bool tell(struct save *save, const char *event)
{
    if (save->options.progress == NULL) {
        return true;
    }
    save->progress.event = event;
    bool go_on = save->options.progress(save->options.progress_arg, &save->progress);
    save->progress.event = NULL;
    return go_on;
}

static bool on_tick(void *arg)
{
    return tell(arg, NULL);
}

__attribute__((format(printf, 2, 3))) static void tell_event(struct save *save, const char *format,
                                                             ...)
{
    char event[EVENT_BYTES_MAX];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(event, sizeof(event), format, arguments);
    va_end(arguments);
    (void)tell(save, event); /* who wants no more says so at the next tick, too */
}

static const char *address_of(const struct save *save)
{
    return save->options.from[save->at];
}

/* ---- One attempt ---- */

/* What the node said instead of what it was asked for. */
static rr_status refused(struct save *save, const struct backup_answer *answer)
{
    rr_status status = answer->status;
    if (status == RR_CLOSED) {
        status = RR_IO; /* the other is for the caller's own end */
    } else if (status == RR_INVALID) {
        status = RR_MISMATCH; /* the question was right as this version has it */
    }
    return storage_fail(&save->error, status, "%.*s", (int)answer->text.size,
                        answer->text.size == 0 ? "" : (const char *)answer->text.data);
}

/* Asks the node for a snapshot until it has one, or says no. */
static rr_status begin(struct save *save, struct backup_answer *answer)
{
    struct backup_request request = {.kind = BACKUP_BEGIN, .id = save->id, .covers = save->covers};
    uint64_t begun_us = backup_client_now_us(save->client);
    for (bool told = false;; told = true) {
        backup_client_ask(save->client, &save->questions[0], address_of(save), &request,
                          BEGIN_TIMEOUT_MS);
        rr_status status =
            backup_client_await(save->client, &save->questions[0], answer, &save->error);
        if (status != RR_OK) {
            return status;
        }
        if (answer->status == RR_OK) {
            return RR_OK;
        }
        if (!answer->preparing) {
            return refused(save, answer);
        }
        if (!told) {
            tell_event(save, "%s makes a snapshot", address_of(save));
        }
        if (backup_client_now_us(save->client) - begun_us >
            (uint64_t)save->options.timeout_ms * 1000) {
            return storage_fail(&save->error, RR_TIMEOUT, "the node's snapshot was not ready");
        }
    }
}

/* The first answer settles what the backup is of. */
static rr_status check_origin(struct save *save, const struct backup_answer *answer)
{
    if (save->origin.cluster == 0) {
        save->origin.cluster = answer->cluster;
        save->covers = answer->covers;
    }
    if (answer->cluster == 0 || answer->cluster != save->origin.cluster) {
        return storage_fail(&save->error, RR_MISMATCH,
                            "the node is of cluster %016" PRIx64
                            ", and another address led to cluster %016" PRIx64,
                            answer->cluster, save->origin.cluster);
    }
    save->origin.node = answer->node;
    return RR_OK;
}

/* A status of the own disk is this side's, one about what came is the node's. */
static rr_status of_disk(struct save *save, rr_status status)
{
    save->here = status == RR_NO_SPACE || status == RR_IO || status == RR_NO_MEMORY;
    return status;
}

static rr_status keep_to_rate(struct save *save)
{
    uint64_t rate = save->options.bytes_per_s;
    uint64_t now_us = backup_client_now_us(save->client);
    if (rate == 0 || now_us >= save->next_ask_us) {
        return RR_OK;
    }
    return backup_client_pause(save->client, (save->next_ask_us - now_us + 999) / 1000);
}

static void count_bytes(struct save *save, size_t size)
{
    uint64_t rate = save->options.bytes_per_s;
    save->progress_us = backup_client_now_us(save->client);
    save->progress.bytes_done += size;
    save->stays = 0;
    if (rate > 0) {
        rate = rate < BYTES_PER_S_MIN ? BYTES_PER_S_MIN : rate;
        uint64_t from_us =
            save->next_ask_us > save->progress_us ? save->next_ask_us : save->progress_us;
        save->next_ask_us = from_us + size * 1000000 / rate;
    }
}

static void ask_chunk(struct save *save, uint64_t chunk)
{
    struct backup_request request = {.kind = BACKUP_CHUNK, .id = save->id, .chunk = chunk};
    backup_client_ask(save->client, &save->questions[chunk % WINDOW], address_of(save), &request,
                      CHUNK_TIMEOUT_MS);
}

/* Waits for the chunk and writes it. */
static rr_status take_chunk(struct save *save, struct snapshot_writer *writer, uint64_t chunk)
{
    struct backup_answer answer;
    rr_status status =
        backup_client_await(save->client, &save->questions[chunk % WINDOW], &answer, &save->error);
    if (status != RR_OK) {
        return status;
    }
    if (answer.status != RR_OK) {
        /* A node that has forgotten the backup, in a restart or while this side slept, or found its
         * snapshot damaged, is asked to begin anew. */
        status = refused(save, &answer);
        bool again = status == RR_CORRUPT && save->damages++ < DAMAGES_MAX;
        return status == RR_NOT_FOUND || again ? RR_IO : status;
    }
    status = snapshot_writer_chunk(writer, chunk, answer.bytes, answer.checksum, &save->error);
    if (status != RR_OK) {
        return of_disk(save, status);
    }
    count_bytes(save, answer.bytes.size);
    return tell(save, NULL) ? RR_OK : storage_fail(&save->error, RR_CLOSED, "ended by the caller");
}

/* All chunks from the one that is wanted. */
static rr_status take_chunks(struct save *save, struct snapshot_writer *writer)
{
    struct snapshot_info info;
    snapshot_writer_info(writer, &info);
    uint64_t next = snapshot_writer_next(writer);
    save->progress.bytes = info.size;
    save->progress.bytes_done = next == info.chunk_count ? info.size : next * info.chunk_bytes;
    tell_event(save, "%s gives the state at entry %" PRIu64 ": %" PRIu64 " of %" PRIu64 " bytes %s",
               address_of(save), info.position.index, info.size - save->progress.bytes_done,
               info.size, next > 0 ? "are left" : "are to come");
    uint64_t asked = next;
    while (next < info.chunk_count) {
        while (asked < info.chunk_count && asked - next < WINDOW) {
            if (keep_to_rate(save) != RR_OK) {
                return storage_fail(&save->error, RR_CLOSED, "ended by the caller");
            }
            ask_chunk(save, asked);
            asked++;
        }
        rr_status status = take_chunk(save, writer, next);
        if (status != RR_OK) {
            return status;
        }
        next++;
    }
    return RR_OK;
}

/* Has the node let go at once; it would do so by itself. */
static void let_go(struct save *save)
{
    struct backup_request request = {.kind = BACKUP_END, .id = save->id};
    struct backup_answer answer;
    struct storage_error ignored;
    if (!save->end.pending) {
        backup_client_ask(save->client, &save->end, address_of(save), &request, END_TIMEOUT_MS);
        (void)!backup_client_await(save->client, &save->end, &answer, &ignored);
    }
}

/* Questions of an attempt that broke off have their answers before the next. */
static void drain(struct save *save)
{
    struct backup_answer answer;
    struct storage_error ignored;
    for (size_t i = 0; i < WINDOW; i++) {
        if (save->questions[i].pending) {
            (void)!backup_client_await(save->client, &save->questions[i], &answer, &ignored);
        }
    }
}

static rr_status attempt(struct save *save)
{
    struct backup_answer answer;
    struct snapshot_writer *writer = NULL;
    rr_status status = begin(save, &answer);
    if (status == RR_OK) {
        status = check_origin(save, &answer);
    }
    if (status != RR_OK) {
        return status;
    }
    status = of_disk(save, backup_maker_begin(save->maker, answer.manifest, &save->error, &writer));
    if (status == RR_OK && writer != NULL) {
        status = take_chunks(save, writer);
        if (status == RR_OK) {
            tell_event(save, "verifying");
            status = of_disk(save, backup_maker_take(save->maker, writer, &save->error));
        } else {
            snapshot_writer_close(writer);
        }
    }
    let_go(save);
    return status;
}

/* ---- Attempts ---- */

/* Whether the node would say the same again. */
static bool is_hopeless(rr_status status)
{
    return status == RR_INVALID || status == RR_MISMATCH || status == RR_NOT_FOUND ||
           status == RR_CORRUPT || status == RR_TOO_BIG;
}

/* Who is asked next, of those with hope. A node that gave a part of it has a while to come back. */
static void choose_next(struct save *save, rr_status status)
{
    bool stay = save->progress.bytes > 0 && !is_hopeless(status) && status != RR_BUSY;
    save->stays++;
    if (is_hopeless(status)) {
        save->hopeless |= UINT32_C(1) << save->at;
    }
    if (stay && save->stays < STAY_MAX) {
        return;
    }
    save->stays = 0;
    for (size_t i = 0; i < save->options.from_count; i++) {
        save->at = (save->at + 1) % save->options.from_count;
        if ((save->hopeless >> save->at & 1) == 0) {
            return;
        }
    }
}

static rr_status give_up(struct save *save, rr_status status, const char *address)
{
    struct storage_error last = save->error;
    return storage_fail(&save->error, status, "no node gave a backup; the last was %s: %s", address,
                        last.text);
}

/* Tells why the node at `at` gave nothing, unless that is what it was the last time. */
static void tell_failure(struct save *save, size_t at)
{
    uint32_t checksum = checksum32(save->error.text, strlen(save->error.text));
    if (save->told[at] == checksum) {
        return;
    }
    save->told[at] = checksum;
    const char *address = save->options.from[at];
    if ((save->hopeless >> at & 1) != 0) {
        tell_event(save, "%s: %s", address, save->error.text);
    } else if (save->origin.cluster != 0) {
        tell_event(save, "%s: %s; asking on", address, save->error.text);
    } else {
        tell_event(save,
                   "%s: %s; asking on for up to %" PRIu32 " s (is it a member's raft address?)",
                   address, save->error.text, save->options.timeout_ms / 1000);
    }
}

static rr_status attempts(struct save *save)
{
    save->progress_us = backup_client_now_us(save->client);
    for (;;) {
        size_t at = save->at;
        const char *address = address_of(save);
        rr_status status = attempt(save);
        if (status == RR_OK || save->here || status == RR_CLOSED) {
            return status;
        }
        drain(save);
        choose_next(save, status);
        if (save->hopeless == (UINT32_C(1) << save->options.from_count) - 1) {
            return give_up(save, status, address);
        }
        if (backup_client_now_us(save->client) - save->progress_us >=
            (uint64_t)save->options.timeout_ms * 1000) {
            return give_up(save, RR_TIMEOUT, address);
        }
        tell_failure(save, at);
        if (backup_client_pause(save->client, PAUSE_MS) != RR_OK) {
            return storage_fail(&save->error, RR_CLOSED, "ended by the caller");
        }
    }
}

static rr_status publish(struct save *save, rr_backup_info *info)
{
    struct backup_dir *backup = NULL;
    save->origin.made_ms = loop_wall_ms();
    rr_status status = backup_maker_publish(save->maker, &save->origin, &save->error);
    save->maker = NULL;
    if (status == RR_OK) {
        status = backup_dir_open(save->options.path, &save->error, &backup);
    }
    if (status == RR_OK) {
        status = backup_info_of(backup, info, &save->error);
    }
    backup_dir_close(backup);
    return status;
}

/* ---- The call ---- */

static rr_status copy_options(struct save *save, const rr_backup_options *options)
{
    if (options->struct_size < offsetof(rr_backup_options, bytes_per_s) ||
        options->struct_size > 16 * sizeof(rr_backup_options)) {
        return storage_fail(&save->error, RR_INVALID,
                            "the options were not set up with rr_backup_options_init");
    }
    rr_backup_options_init(&save->options);
    size_t known =
        options->struct_size < sizeof(save->options) ? options->struct_size : sizeof(save->options);
    memcpy(&save->options, options, known);
    options = &save->options;
    if (options->path == NULL || options->from == NULL || options->from_count == 0 ||
        options->from_count > RAFT_MEMBERS_MAX || options->timeout_ms == 0) {
        return storage_fail(&save->error, RR_INVALID,
                            "a backup needs a path, 1 to %d addresses and a timeout",
                            RAFT_MEMBERS_MAX);
    }
    for (size_t i = 0; i < options->from_count; i++) {
        struct address address;
        if (options->from[i] == NULL || address_parse(options->from[i], &address) != RR_OK ||
            address.port == 0) {
            return storage_fail(&save->error, RR_INVALID,
                                "\"%s\" is no address; expected \"host:port\"",
                                options->from[i] == NULL ? "" : options->from[i]);
        }
    }
    return RR_OK;
}

static rr_status run(struct save *save, rr_backup_info *info)
{
    rr_status status = draw_number(&save->id, &save->error);
    if (status == RR_OK) {
        status = backup_maker_open(save->options.path, &save->error, &save->maker);
    }
    if (status == RR_OK) {
        status = backup_client_open(on_tick, save, &save->error, &save->client);
    }
    if (status == RR_OK) {
        status = attempts(save);
    }
    if (status == RR_OK) {
        status = publish(save, info);
    }
    backup_client_close(save->client);
    backup_maker_close(save->maker);
    for (size_t i = 0; i < WINDOW; i++) {
        backup_question_deinit(&save->questions[i]);
    }
    backup_question_deinit(&save->end);
    return status;
}

/* Runs it without SIGPIPE, which a write to a connection that is gone would raise in this thread. */
static rr_status run_quietly(struct save *save, rr_backup_info *info)
{
    sigset_t pipe;
    sigset_t before;
    sigset_t pending;
    sigemptyset(&pipe);
    sigaddset(&pipe, SIGPIPE);
    sigpending(&pending);
    bool was_pending = sigismember(&pending, SIGPIPE) == 1;
    pthread_sigmask(SIG_BLOCK, &pipe, &before);
    rr_status status = run(save, info);
    if (!was_pending) {
        const struct timespec at_once = {0};
        while (sigtimedwait(&pipe, NULL, &at_once) < 0 && errno == EINTR) {
        }
    }
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return status;
}

rr_status rr_backup_save(const rr_backup_options *options, rr_backup_info *info, char *error,
                         size_t error_size)
{
    if (options == NULL) {
        return RR_INVALID;
    }
    struct save *save = mem_new(struct save);
    rr_status status = copy_options(save, options);
    if (status == RR_OK && info != NULL && info->struct_size < sizeof(size_t)) {
        status = storage_fail(&save->error, RR_INVALID, "rr_backup_info: struct_size is not set");
    }
    if (status == RR_OK) {
        status = run_quietly(save, info);
    }
    status = backup_result(status, &save->error, error, error_size);
    mem_free(save);
    return status;
}
