/*
 * What the files of the interaction family share: the environment with its nodes, and what each
 * file does for the others. A command that cannot be understood ends the program (script_fail); one
 * that fails prints why (say_error).
 */
#ifndef SCENARIO_INTERACTION_PRIVATE_H
#define SCENARIO_INTERACTION_PRIVATE_H

#include "raft/host.h"
#include "scenario/format.h"

enum level { LEVEL_DEBUG, LEVEL_INFO, LEVEL_WARN, LEVEL_ERROR, LEVEL_FATAL, LEVEL_NONE };

/* A list of messages that keeps its order. */
struct posts {
    struct post *items;
    uint32_t count;
    uint32_t capacity;
};

/* What a node's disk holds. */
struct storage {
    struct raft_hard_state hard_state;
    struct raft_snapshot *snapshot; /* NULL: none */
    raft_index base;
    raft_term base_term;
    struct raft_entry **entries;
    uint32_t count;
    uint32_t capacity;
};

struct node {
    struct environment *environment;
    struct raft_host_options options;
    struct raft_host *host; /* NULL: crashed */
    bool restarted;
    uint64_t now; /* ticks */
    struct storage storage;
    struct raft_snapshot *state; /* the last element of the published history */
    /* What the state machine would restart from: unlike the history, it knows received snapshots. */
    raft_index applied;
    struct raft_configuration configuration;
    struct posts append_work;
    struct posts apply_work;
    uint64_t reads;
};

enum { NODES_MAX = 32 };

struct environment {
    uint32_t count;
    struct node *nodes[NODES_MAX]; /* id 1 first; owned */
    struct posts inflight;
    struct posts held; /* on a long way: out of `inflight` until they are released */
    enum level level;
    struct buffer *out;             /* of the present command */
    const struct script_case *item; /* the present command */
};

/* ---- environment.c ---- */

/* Appends an empty message and returns it, to be filled in before the list changes again. */
struct post *posts_push(struct posts *posts);

/* Takes the message at `at` out; the caller owns it. */
struct post posts_take(struct posts *posts, uint32_t at);

/* Frees the messages and leaves an empty list. */
void posts_deinit(struct posts *posts);

/* Whether the message never leaves its node, so that no network can lose it. */
bool post_is_local(const struct post *post);

/* Reads a level's name, in letters of either case. False: there is no such level. */
bool level_parse(const char *name, enum level *out);

/* The error text when level_parse fails. */
extern const char level_error[];

/* Text of the driver's own; hidden with the level NONE. */
#define SAY(environment, ...)                                                                      \
    do {                                                                                           \
        if ((environment)->level != LEVEL_NONE) {                                                  \
            print((environment)->out, __VA_ARGS__);                                                \
        }                                                                                          \
    } while (0)

/* Prints a trace line of the core, if the environment's level lets it through. A raft_host's
 * `trace`; `arg` is the environment. */
void say_trace(void *arg, enum raft_log_level level, const char *text);

/* format_post, hidden with the level NONE. */
void say_post(struct environment *environment, const struct post *post, bool with_responses);

/* Runs `run` for the node with its output indented, and returns its result. */
bool say_indented(struct environment *environment, struct node *node,
                  bool (*run)(struct environment *environment, struct node *node));

/* Prints the error text of a failed command; with the level NONE it is the only output. */
void say_error(struct environment *environment, const char *text);

/* The node of this id, running or not. Ends the program if there is none. */
struct node *environment_node(struct environment *environment, uint64_t id);

/* ---- node.c ---- */

/* Stores references to entries, which replace those of their index and all behind; what a snapshot
 * covers is skipped. The others must follow the log without a gap. */
void storage_append(struct storage *storage, struct raft_entry *const *entries, uint32_t count);

/* Puts a reference to the snapshot in place of the snapshot and all entries. NULL, or the error
 * text: there is one as new already. */
const char *storage_apply_snapshot(struct storage *storage, struct raft_snapshot *snapshot);

/* Drops the entries up to `index`. NULL, or the error text: it is not in the log. */
const char *storage_compact(struct storage *storage, raft_index index);

/* How a host reads a node's storage; the argument is the node. */
extern const struct raft_host_storage node_storage;

/* The node's host. Ends the program if the node has crashed. */
struct raft_host *node_running(struct environment *environment, struct node *node);

/* Gives the event to a running node, at its present time, and lets it do all that follows at once.
 * Prints why a node halted. */
enum raft_result node_step(struct node *node, struct raft_event *event);

/* Makes the host of a node that has none, from what is stored. */
void node_start(struct node *node);

void node_free(struct node *node);

/* ---- batch.c ---- */

/* Prints the next batch of a running node, and writes and applies it or hands it to the node's
 * threads. False: it could not be stored, and the error text is printed. */
bool process_ready(struct environment *environment, struct node *node);

/* Prints and does the first work of the append thread; its answers are sent. False: it could not be
 * stored, and the error text is printed. */
bool process_append(struct environment *environment, struct node *node);

/* The same for the apply thread; always true. */
bool process_apply(struct environment *environment, struct node *node);

/* ---- Commands, of the environment's present case ---- */

void run_add_nodes(struct environment *environment); /* add_nodes.c */

/* deliver.c: deliver-msgs, hold-msgs, release-msgs, duplicate-msgs, stabilize */
void run_deliver(struct environment *environment);
void run_hold(struct environment *environment);
void run_release(struct environment *environment);
void run_duplicate(struct environment *environment);
void run_stabilize(struct environment *environment);

#endif
