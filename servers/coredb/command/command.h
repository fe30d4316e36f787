/*
 * Commands: their table, and what one runs with.
 *
 * A command either works on the data (`run`: at apply or in a query, see execute.h) or on this
 * node and connection (`local`: in server/). Its row stands at the end of the file that defines it.
 */
#ifndef COREDB_COMMAND_COMMAND_H
#define COREDB_COMMAND_COMMAND_H

#include "coredb/resp/reply.h"
#include "coredb/value/key.h"
#include "coredb/value/store.h"

struct client; /* a connection: server/client.h */
struct command;
struct waiter_id;

/* ---- Running over the data ---- */

/* One command being run. `argv[0]` is its name; arity has been checked. */
struct exec {
    struct store *store;
    const rr_bytes *argv;
    size_t argc;
    const struct command *command;
    struct reply *reply;    /* exactly one reply is written */
    size_t reply_bytes_max; /* of the whole `reply`; 0: the most that an entry, or a query, may */
    bool may_block;         /* false within EXEC and scripts: answer as at a timeout of nothing */
    bool in_script;
    const struct waiter_id *waiter; /* who would wait; NULL if nobody can */
    uint64_t block_timeout_ms;      /* with `blocked`: when the connection cancels it, 0 never */
    bool blocked;                   /* set instead of a reply: a waiter was registered */
    bool too_big; /* set with an error: the reply or the work would have passed the limit of an
                   * entry; nothing was done */
};

typedef void (*command_run_fn)(struct exec *exec);
typedef void (*command_local_fn)(struct client *client, const rr_bytes *argv, size_t argc);

/* ---- The table ---- */

enum command_flag {
    COMMAND_WRITE = 1 << 0,
    COMMAND_READONLY = 1 << 1,
    COMMAND_DENYOOM = 1 << 2,
    COMMAND_ADMIN = 1 << 3,
    COMMAND_PUBSUB = 1 << 4,
    COMMAND_NOSCRIPT = 1 << 5,
    COMMAND_BLOCKING = 1 << 6,
    COMMAND_LOADING = 1 << 7,
    COMMAND_STALE = 1 << 8,
    COMMAND_FAST = 1 << 9,
    COMMAND_NO_AUTH = 1 << 10,
    COMMAND_MAY_REPLICATE = 1 << 11,
    COMMAND_NO_MULTI = 1 << 12,
    COMMAND_MOVABLE_KEYS = 1 << 13,
    COMMAND_ALLOW_BUSY = 1 << 14,
    COMMAND_TOUCHES_ARBITRARY_KEYS = 1 << 15,
    COMMAND_SKIP_MONITOR = 1 << 16,
    COMMAND_SENTINEL = 1 << 17,
    COMMAND_PROTECTED = 1 << 18,
    COMMAND_NO_ASYNC_LOADING = 1 << 19,
    /* coredb's own, not shown by COMMAND: */
    COMMAND_HEAVY = 1 << 24,     /* may visit all data: never in one entry with other commands */
    COMMAND_EXTENSION = 1 << 25, /* not of Redis */
};

/* How an argument that is a key is used; as COMMAND's key specifications. */
enum key_flag {
    KEY_RW = 1 << 0,
    KEY_RO = 1 << 1,
    KEY_OW = 1 << 2,
    KEY_RM = 1 << 3,
    KEY_ACCESS = 1 << 4,
    KEY_UPDATE = 1 << 5,
    KEY_INSERT = 1 << 6,
    KEY_DELETE = 1 << 7,
    KEY_NOT_KEY = 1 << 8,
    KEY_INCOMPLETE = 1 << 9,
    KEY_VARIABLE = 1 << 10,
};

enum key_find { KEYS_NONE = 0, KEYS_RANGE = 1, KEYS_COUNTED = 2, KEYS_UNKNOWN = 3 };

/* Which arguments are keys. */
struct key_spec {
    uint32_t flags;
    int begin;           /* index of the first key or of the search; 0 with `keyword` */
    const char *keyword; /* NULL: begin at `begin`; else after this word, searched from `begin` on
                          * (negative: backwards from the end) */
    enum key_find find;
    int last;  /* RANGE: relative to the first, or negative from the end. COUNTED: where the number
                * of keys stands, relative to the beginning */
    int step;  /* usually 1; MSET 2 */
    int limit; /* RANGE with last -1: 2 means half of the arguments (XREAD) */
    int first; /* COUNTED: where the first key stands, relative to the beginning */
};

/* Key specs most commands need. */
#define KEY_SPEC(flags_, first_, last_, step_)                                                     \
    {                                                                                              \
        .flags = (flags_), .begin = (first_), .find = KEYS_RANGE, .last = (last_), .step = (step_) \
    }
#define KEY_SPEC_COUNTED(flags_, at_)                                                              \
    {                                                                                              \
        .flags = (flags_), .begin = (at_), .find = KEYS_COUNTED, .last = 0, .first = 1, .step = 1  \
    }

enum { COMMAND_KEY_SPECS = 4 };

struct command {
    const char *name;    /* lower case; a subcommand's own word: "create" of XGROUP */
    int arity;           /* as Redis counts: with the name (and subcommand); negative: at least */
    uint32_t flags;      /* of enum command_flag */
    const char *group;   /* "string", "sorted_set", ... as in COMMAND DOCS */
    const char *since;   /* "1.0.0" */
    const char *summary; /* one sentence of our own, for COMMAND DOCS and the documentation */
    const char *complexity; /* "O(1)"; NULL: not told */
    command_run_fn run;     /* over the data; NULL: local */
    command_local_fn local; /* NULL: over the data, or only subcommands do something */
    struct key_spec keys[COMMAND_KEY_SPECS]; /* KEYS_NONE ends them */
    const struct command *subcommands;       /* ended by a NULL name; NULL: none */
    const char *note; /* where it differs from Redis 7, for docs/compatibility.md; NULL: nowhere */
};

/* What each group's file offers: its rows, ended by a NULL name. Those of server/ are there too. */
extern const struct command commands_string[];
extern const struct command commands_bitmap[];
extern const struct command commands_hyperloglog[];
extern const struct command commands_generic[];
extern const struct command commands_list[];
extern const struct command
    commands_blocking[]; /* BLPOP, BZPOPMIN, ...: of lists and sorted sets */
extern const struct command commands_hash[];
extern const struct command commands_set[];
extern const struct command commands_zset[];
extern const struct command commands_geo[];
extern const struct command commands_stream[];
extern const struct command commands_script[];

/* The command of that name in any case, or NULL. Any thread, after command_table_init. */
const struct command *command_find(rr_bytes name);

/* The same for a request: goes on to the subcommand when there is one. `*container` (may be NULL)
 * receives the command itself. NULL: unknown, or an unknown subcommand of `*container`. */
const struct command *command_resolve(const rr_bytes *argv, size_t argc,
                                      const struct command **container);

bool command_arity_fits(const struct command *command, size_t argc);

/* Adds rows to the table; the process's main thread, before anything else runs. The rows are
 * borrowed for ever. */
void command_table_add(const struct command *rows);
/* Adds all groups that work on the data. Safe to call again. */
void command_table_init(void);

/* All commands in order of their addition: `*position` begins at 0; NULL at the end. */
const struct command *command_next(size_t *position);
size_t command_count(void);

/*
 * The positions of the keys in a request, ascending by specification: at most `capacity` are
 * written. Returns how many there are, or -1 when the request is malformed (a bad count).
 * `flags` may be NULL.
 */
int command_keys(const struct command *command, const rr_bytes *argv, size_t argc, size_t *out,
                 uint32_t *flags, size_t capacity);

/* ---- What commands share ---- */

/* Answers that there is no such command, or no such subcommand of `container` (NULL: none). */
void exec_error_unknown(struct reply *reply, const rr_bytes *argv, size_t argc,
                        const struct command *container);

/* Answers "wrong number of arguments", naming container|subcommand as Redis does. */
void exec_error_arity(struct reply *reply, const struct command *command,
                      const struct command *container);

/* Opens argv[i] as a key of `type`. False: it exists with another type, and WRONGTYPE was
 * answered. In both cases the caller closes the key. An absent one has VALUE_NONE. */
bool exec_open(struct exec *exec, size_t i, enum value_type type, struct key *key);

/* Parse argv[i]; false: answered "value is not an integer or out of range" or "... float". */
bool exec_integer(struct exec *exec, size_t i, int64_t *out);
bool exec_double(struct exec *exec, size_t i, double *out);
/* An integer from `minimum` to `maximum`; false: answered the error `text` ("ERR ..."). */
bool exec_integer_in(struct exec *exec, size_t i, int64_t minimum, int64_t maximum,
                     const char *text, int64_t *out);

/* Whether argv[i] exists and is `word`, in any case. */
bool exec_is(const struct exec *exec, size_t i, const char *word);

/* Reads MATCH, COUNT, TYPE of the SCAN family from argv[i] on; `type` may be NULL where it is not
 * allowed. False: answered. Also the cursor. */
bool exec_cursor(struct exec *exec, size_t i, uint64_t *cursor);

struct scan_options {
    uint64_t count; /* default 10 */
    rr_bytes pattern;
    bool has_pattern;
    rr_bytes type; /* empty: any */
};
bool exec_scan_options(struct exec *exec, size_t i, bool with_type, struct scan_options *out);

#endif
