/* What the commands of streams share. The rows of all of them are in stream.c. */
#ifndef COREDB_COMMAND_STREAM_H
#define COREDB_COMMAND_STREAM_H

#include "coredb/command/command.h"
#include "coredb/value/stream_group.h"
#include "coredb/value/waiter.h"

/* ---- Arguments ---- */

/* exec_open, and the stream in it. */
bool stream_open(struct exec *exec, size_t i, struct key *key, struct stream *stream);

/* Parses "ms-seq" or "ms", whose seq then is `missing_seq`. With `seq_given`, also "ms-*", which
 * makes it false. Nothing is answered. */
bool stream_id_parse(rr_bytes text, uint64_t missing_seq, bool *seq_given, struct stream_id *out);

/* The same for argv[i]; false: answered. */
bool stream_id_argument(struct exec *exec, size_t i, struct stream_id *out);
void stream_reply_bad_id(struct reply *reply);

/* Parses argv[start] and argv[end] as the ends of an interval: also "-", "+" and ids after "(", which
 * are excluded. Returns inclusive ends. False: answered. */
bool stream_start_argument(struct exec *exec, size_t i, struct stream_id *out);
bool stream_end_argument(struct exec *exec, size_t i, struct stream_id *out);

/* ---- Replies ---- */

void stream_reply_id(struct reply *reply, struct stream_id id);
/* An id and its fields and values. */
void stream_reply_entry(struct reply *reply, struct stream_id id, rr_bytes entry);
/* The entries from..to, at most `limit` (0: all), as an array; returns how many. */
size_t stream_reply_range(struct store *store, struct reply *reply, const struct stream *stream,
                          struct stream_id from, struct stream_id to, bool reverse, uint64_t limit);
/* NOGROUP No such key ... */
void stream_reply_no_group(struct exec *exec, rr_bytes key, rr_bytes group);
/* ERR unknown subcommand or wrong number of arguments ... */
void stream_reply_subcommand_syntax(struct exec *exec, const char *command);

/* ---- Commands ---- */

void stream_run_xread(struct exec *exec);
void stream_run_xreadgroup(struct exec *exec);
/* What a waiter of WAITER_STREAM_READ or WAITER_STREAM_READ_GROUP gets: a waiter_serve_fn. */
bool stream_serve(struct store *store, struct key *key, const struct waiter *waiter,
                  struct reply *reply);

void stream_run_xack(struct exec *exec);
void stream_run_xpending(struct exec *exec);
void stream_run_xclaim(struct exec *exec);
void stream_run_xautoclaim(struct exec *exec);

extern const struct command stream_xgroup_subcommands[];
extern const struct command stream_xinfo_subcommands[];

#endif
