/* ctest: timeout=180
 * Entries that take longer to apply than an election timeout: all nodes are busy with them at the same
 * time, and none takes that for the silence of others.
 */
#include "members_helpers.h"

#include <time.h>

enum { ROUNDS = 8, APPLY_MS = 500 };

static uint64_t now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

/* Takes its time, which no real procedure should know of. */
static rr_status work(void *arg, rr_view *view, rr_bytes input, rr_output *output)
{
    (void)arg;
    uint64_t end = now_ms() + APPLY_MS;
    while (now_ms() < end) {
        cluster_nap();
    }
    (void)rr_view_put(view, test_bytes_of("k"), input);
    return rr_output_append(output, input);
}

TEST(long_apply, a_slow_entry_does_not_cost_the_leader_its_place)
{
    static const rr_procedure procedures[] = {{"work", 1, work, NULL}};
    struct cluster cluster;
    cluster_prepare(&cluster, 3);
    for (int i = 0; i < 3; i++) {
        cluster.nodes[i].options.procedures = procedures;
        cluster.nodes[i].options.procedure_count = 1;
    }
    cluster_open_all(&cluster);
    int changes = 0;
    for (int round = 0; round < ROUNDS; round++) {
        uint64_t leader = cluster_leader(&cluster);
        rr_node_info before;
        rr_node_info after;
        cluster_info(&cluster, leader, &before);
        CHECK_OK(rr_node_call_wait(cluster_node(&cluster, leader), "work", test_bytes_of("v"), NULL,
                                   NULL));
        cluster_set(&cluster, leader, "a", "1");
        cluster_info(&cluster, leader, &after);
        changes += after.term != before.term;
    }
    expect_equal_states(&cluster);
    CHECK_LT(changes, ROUNDS);
    cluster_close(&cluster);
}
