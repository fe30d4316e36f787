/*
 * Some nodes of one cluster in this process, each with a directory and a port of its own.
 *
 * Everything waits for an event or polls with a limit, so that no test leans on how fast the
 * machine is. The test's thread.
 */
#ifndef TEST_NODE_CLUSTER_H
#define TEST_NODE_CLUSTER_H

#include "rockraft/rockraft.h"
#include "support/test.h"

enum { CLUSTER_NODES_MAX = 5, CLUSTER_PATIENCE_MS = 30 * 1000 };

struct cluster_node {
    rr_options options;
    char address[64];
    const char *path;
    rr_node *node; /* NULL while closed */
};

struct cluster {
    size_t count;
    struct cluster_node nodes[CLUSTER_NODES_MAX]; /* ids from 1 */
};

/* Directories, ports and options; nothing runs yet, so options may be changed. */
void cluster_prepare(struct cluster *cluster, size_t count);

/* Opens the node of that id; node 1 founds, others join through it. */
void cluster_open_node(struct cluster *cluster, uint64_t id);

/* Opens all of a prepared cluster and waits until every one is a voter. */
void cluster_open(struct cluster *cluster, size_t count);
void cluster_open_all(struct cluster *cluster);

/* Closes one at once, or all. */
void cluster_close_node(struct cluster *cluster, uint64_t id);
void cluster_close(struct cluster *cluster);

rr_node *cluster_node(struct cluster *cluster, uint64_t id);

/* Waits until some open node leads and says so, and returns its id. */
uint64_t cluster_leader(struct cluster *cluster);

/* The id of an open node that does not lead, after waiting for a leader. */
uint64_t cluster_follower(struct cluster *cluster);

/* Waits until `id` knows of a leader other than `old`. */
uint64_t cluster_await_other_leader(struct cluster *cluster, uint64_t id, uint64_t old);

void cluster_info(struct cluster *cluster, uint64_t id, rr_node_info *info);

/* Checked shorthands: a test that calls them needs them to succeed. */
void cluster_set(struct cluster *cluster, uint64_t id, const char *key, const char *value);
void cluster_expect(struct cluster *cluster, uint64_t id, const char *key, const char *value,
                    rr_read_level level);

/* A millisecond, for polling with a limit. */
void cluster_nap(void);

#endif
