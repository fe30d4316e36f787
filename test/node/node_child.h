/*
 * A node in a process of its own that meets a fault of the disk half way: the test's program
 * executed anew, since neither threads nor RocksDB survive a fork.
 */
#ifndef TEST_NODE_NODE_CHILD_H
#define TEST_NODE_NODE_CHILD_H

#include "storage/file.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct node_child {
    uint64_t id;
    const char *path;
    const char *address;
    bool founds;        /* else it waits to be added, */
    const char *joins;  /* or asks at this address; NULL: not */
    bool while_opening; /* the fault is met by the thread that opens the node, else by its own */
    uint64_t nth;       /* the operation that meets it (file_fault_after); 0: none does */
    enum file_fault kind;
};

enum node_child_end {
    NODE_CHILD_WELL,   /* a member, which reads "a" as "1" if it was added; no fault was met */
    NODE_CHILD_FAULTY, /* it met its fault, and ended there or said so */
    NODE_CHILD_BAD,    /* anything else */
};

/* Starts it; it runs until it is a member, has failed, or has died. */
pid_t node_child_start(const struct node_child *child);
enum node_child_end node_child_wait(const struct node_child *child, pid_t pid);

#endif
