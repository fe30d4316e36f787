/*
 * The few types that every part of Rockraft shares: statuses, byte slices, log levels.
 *
 * Plain values without behaviour; safe to use from any thread and from C++.
 */
#ifndef ROCKRAFT_TYPES_H
#define ROCKRAFT_TYPES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Marks what the shared library exports; nothing else leaves it. */
#if defined(__GNUC__)
#define RR_API __attribute__((visibility("default")))
#define RR_MUST_USE __attribute__((warn_unused_result))
#else
#define RR_API
#define RR_MUST_USE
#endif

/*
 * How a call ended. The values are stable: they travel between nodes and may be stored.
 *
 * Three groups matter to whoever handles a write: RR_OK, it took effect; RR_UNKNOWN, it may have
 * taken effect or may yet; every other value, it certainly did not and never will.
 */
typedef enum rr_status {
    RR_OK = 0,
    RR_INVALID = 1,       /* misuse: an argument or a request that can never succeed */
    RR_NOT_FOUND = 2,     /* what was asked for does not exist */
    RR_NOT_LEADER = 3,    /* no leader took the request before its deadline; not applied */
    RR_BUSY = 4,          /* a queue is full; not applied, try again later */
    RR_NO_SPACE = 5,      /* the disk is at its low-water mark; not applied */
    RR_TOO_BIG = 6,       /* over a limit of the options; not applied */
    RR_UNKNOWN = 7,       /* may have been applied, or may yet be: deadline, lost connection */
    RR_TIMEOUT = 8,       /* the deadline passed; for reads and others without effect */
    RR_CLOSED = 9,        /* the node is shutting down; not applied */
    RR_NO_MEMORY = 10,    /* memory sized by outside input could not be had */
    RR_IO = 11,           /* the operating system refused: disk or network */
    RR_CORRUPT = 12,      /* stored or received bytes fail their checksum or format */
    RR_MISMATCH = 13,     /* belongs to another cluster, node, incarnation or version */
    RR_CONFLICT = 15,     /* a membership change is under way, or the state forbids this one */
    RR_REJECTED = 16,     /* the registered procedure refused; nothing was changed */
    RR_STALE_SESSION = 17 /* the client session expired or the sequence is older than the last */
} rr_status;

/* A stable English name without prefix, such as "not leader"; "status 99" never occurs: unknown
 * values give "unknown status". The text is static. Any thread. */
RR_API const char *rr_status_name(rr_status status);

/* Borrowed bytes: a pointer and a size. `data` may be NULL when `size` is 0. */
typedef struct rr_bytes {
    const void *data;
    size_t size;
} rr_bytes;

typedef enum rr_log_level {
    RR_LOG_TRACE = 0,
    RR_LOG_DEBUG = 1,
    RR_LOG_INFO = 2,
    RR_LOG_WARN = 3,
    RR_LOG_ERROR = 4,
    RR_LOG_OFF = 5
} rr_log_level;

/* How a node keeps its log on disk. */
typedef enum rr_log_kind {
    RR_LOG_AUTO = 0,    /* what the directory has; a new one gets the default */
    RR_LOG_ROCKSDB = 1, /* a RocksDB instance of its own */
    RR_LOG_SEGMENTS = 2 /* files of its own, written ahead of need */
} rr_log_kind;

/* What a node does that finds its disk damaged, and cannot repair it from what it has itself. */
typedef enum rr_repair {
    RR_REPAIR_AUTO = 0, /* sets the damaged parts aside and comes back through the other members, if
                         * those can do without it; else as the next */
    RR_REPAIR_NEVER = 1 /* does not start */
} rr_repair;

/*
 * Receives one line of the library's log, without a newline. `target` names the part that speaks
 * ("raft", "storage", "transport", "node"). May be called from the node's thread and its workers,
 * one call at a time per node; must not block and must not call back into the library.
 */
typedef void (*rr_log_fn)(void *arg, rr_log_level level, const char *target, const char *text);

#ifdef __cplusplus
}
#endif

#endif
