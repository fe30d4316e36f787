/* What the repair of one node's disk means to others that were away meanwhile. */
#include "members_helpers.h"
#include "storage/file.h"

#include <stdio.h>

static void lose_log(struct cluster *cluster, uint64_t id)
{
    char path[PATH_BYTES_MAX];
    CHECK_OK(path_join(cluster->nodes[id - 1].path, "log", path, NULL));
    CHECK_OK(file_remove_tree(path, NULL));
}

static void make_leader(struct cluster *cluster, uint64_t id)
{
    for (int i = 0; i < CLUSTER_PATIENCE_MS && cluster_leader(cluster) != id; i++) {
        (void)!rr_node_transfer_wait(cluster_node(cluster, cluster_leader(cluster)), id, 1000);
    }
    CHECK_EQ(cluster_leader(cluster), id);
}

/* Node 4 knows node 2 with its former disk, and only node 2 can tell it otherwise. */
TEST(repair_others, one_that_was_away_follows_a_leader_with_a_new_disk)
{
    struct cluster cluster;
    cluster_open(&cluster, 5);
    write_many(&cluster, 1, "before", 50, 100);
    cluster_close_node(&cluster, 4);
    cluster_close_node(&cluster, 2);
    lose_log(&cluster, 2);
    cluster_open_node(&cluster, 2);
    await_member(&cluster, 2);
    await_role(&cluster, 1, 2, RR_VOTER);
    make_leader(&cluster, 2);
    cluster_set(&cluster, 2, "a", "1");

    cluster_open_node(&cluster, 4);
    cluster_expect(&cluster, 4, "a", "1", RR_READ_LINEARIZABLE);
    CHECK_EQ(cluster_leader(&cluster), 2);
    cluster_close(&cluster);
}
