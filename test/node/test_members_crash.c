/* ctest: timeout=300 label=slow
 * Founding, joining and installing a snapshot, with the disk or the process failing at every step:
 * what was begun is finished after a restart. */
#include "members_helpers.h"
#include "node_child.h"

#include <stdio.h>

enum { STEPS_MAX = 400, LONG_MS = CLUSTER_PATIENCE_MS };

/* A node that founds, failing at each step in turn, founds one cluster in the end. */
static void walk_founding(enum file_fault kind)
{
    uint64_t nth = 1;
    for (;; nth++) {
        char address[64];
        char name[64];
        CHECK_LT(nth, STEPS_MAX);
        snprintf(address, sizeof(address), "127.0.0.1:%d", test_port());
        snprintf(name, sizeof(name), "founder-%d", (int)nth);
        struct node_child child = {.id = 1,
                                   .path = test_path(test_directory(), name),
                                   .address = address,
                                   .founds = true,
                                   .while_opening = true,
                                   .nth = nth,
                                   .kind = kind};
        enum node_child_end end = node_child_wait(&child, node_child_start(&child));
        if (end == NODE_CHILD_WELL) {
            break;
        }
        CHECK_EQ(end, NODE_CHILD_FAULTY);
        child.nth = 0;
        for (int restart = 0; restart < 2; restart++) {
            CHECK_EQ(node_child_wait(&child, node_child_start(&child)), NODE_CHILD_WELL);
        }
    }
    CHECK_GT(nth, 10);
}

TEST(members_crash, a_founding_that_breaks_off_is_finished)
{
    walk_founding(FILE_FAULT_EXIT);
}

TEST(members_crash, a_founding_that_the_disk_refuses_is_finished)
{
    walk_founding(FILE_FAULT_FULL);
}

/* Runs a node that is added as a learner while it runs. */
static enum node_child_end run_added(struct cluster *cluster, const struct node_child *child)
{
    char error[512] = "";
    pid_t pid = node_child_start(child);
    rr_status status = rr_node_add_wait(cluster_node(cluster, 1), child->id, child->address,
                                        RR_LEARNER, LONG_MS, error, sizeof(error));
    if (status != RR_OK && (child->nth == 0 || status != RR_TIMEOUT)) {
        FAIL("adding node %d: %s: %s", (int)child->id, rr_status_name(status), error);
    }
    return node_child_wait(child, pid);
}

/* Nodes that are added to a cluster with data, each failing at one step of its own thread: the
 * cluster's identity, the snapshot's installation, the log behind it. */
static void walk_adding(enum file_fault kind)
{
    struct cluster cluster;
    cluster_open(&cluster, 1);
    cluster_set(&cluster, 1, "a", "1");
    write_many(&cluster, 1, "fill", 200, 500);
    uint64_t nth = 1;
    bool met = true;
    for (; met; nth++) {
        char address[64];
        char name[64];
        CHECK_LT(nth, STEPS_MAX);
        snprintf(address, sizeof(address), "127.0.0.1:%d", test_port());
        snprintf(name, sizeof(name), "added-%d", (int)nth);
        struct node_child child = {.id = 1 + nth,
                                   .path = test_path(test_directory(), name),
                                   .address = address,
                                   .nth = nth,
                                   .kind = kind};
        enum node_child_end end = run_added(&cluster, &child);
        CHECK_NE(end, NODE_CHILD_BAD);
        met = end == NODE_CHILD_FAULTY;
        child.nth = 0;
        CHECK_EQ(run_added(&cluster, &child), NODE_CHILD_WELL);
        CHECK_OK(rr_node_remove_wait(cluster_node(&cluster, 1), child.id, LONG_MS, NULL, 0));
    }
    CHECK_GT(nth, 10);
    cluster_close(&cluster);
}

TEST(members_crash, an_installation_that_breaks_off_is_finished)
{
    walk_adding(FILE_FAULT_EXIT);
}

TEST(members_crash, an_installation_that_the_disk_refuses_is_finished)
{
    walk_adding(FILE_FAULT_ERROR);
}
