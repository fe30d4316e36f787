/* Joining, leaving, coming back: nodes of one cluster in this process. */
#include "cluster.h"

#include <string.h>

TEST(members, three_nodes_join_one_after_another)
{
    struct cluster cluster;
    cluster_open(&cluster, 3);
    cluster_set(&cluster, 1, "a", "1");
    cluster_expect(&cluster, 2, "a", "1", RR_READ_LINEARIZABLE);
    cluster_expect(&cluster, 3, "a", "1", RR_READ_LINEARIZABLE);
    cluster_set(&cluster, 3, "b", "2");
    cluster_expect(&cluster, 1, "b", "2", RR_READ_LINEARIZABLE);
    cluster_close(&cluster);
}
