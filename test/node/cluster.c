#include "cluster.h"

#include "support/log_kind.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

static void log_to_stderr(void *arg, rr_log_level level, const char *target, const char *text)
{
    fprintf(stderr, "[%s] %d %s: %s\n", (const char *)arg, (int)level, target, text);
}

void cluster_nap(void)
{
    struct timespec nap = {.tv_nsec = 1000 * 1000};
    nanosleep(&nap, NULL);
}

void cluster_prepare(struct cluster *cluster, size_t count)
{
    memset(cluster, 0, sizeof(*cluster));
    cluster->count = count;
    const char *directory = test_directory();
    for (size_t i = 0; i < count; i++) {
        struct cluster_node *node = &cluster->nodes[i];
        char name[32];
        snprintf(name, sizeof(name), "node%zu", i + 1);
        snprintf(node->address, sizeof(node->address), "127.0.0.1:%d", test_port());
        node->path = test_path(directory, name);
        rr_options_init(&node->options);
        test_set_log_kind(&node->options);
        node->options.node_id = i + 1;
        node->options.data_path = node->path;
        node->options.raft_address = node->address;
        node->options.disk_low_bytes = 0;
        node->options.block_cache_bytes = 8 << 20;
        node->options.timeout_ms = CLUSTER_PATIENCE_MS;
        if (getenv("TEST_LOG") != NULL) {
            node->options.log = log_to_stderr;
            node->options.log_arg = node->address;
            node->options.log_level = (rr_log_level)atoi(getenv("TEST_LOG"));
        }
    }
}

rr_node *cluster_node(struct cluster *cluster, uint64_t id)
{
    CHECK(id >= 1 && id <= cluster->count);
    rr_node *node = cluster->nodes[id - 1].node;
    CHECK(node != NULL);
    return node;
}

void cluster_open_node(struct cluster *cluster, uint64_t id)
{
    struct cluster_node *node = &cluster->nodes[id - 1];
    const char *join[] = {cluster->nodes[0].address};
    CHECK(node->node == NULL);
    node->options.join = join;
    node->options.join_count = id == 1 ? 0 : 1;
    char error[512] = "";
    rr_status status = rr_node_open(&node->options, error, sizeof(error), &node->node);
    if (status != RR_OK) {
        FAIL("node %d cannot be opened: %s: %s", (int)id, rr_status_name(status), error);
    }
}

static bool is_voter(struct cluster *cluster, uint64_t at, uint64_t id)
{
    rr_member members[32];
    size_t count = rr_node_members(cluster_node(cluster, at), members, 32);
    for (size_t i = 0; i < count && i < 32; i++) {
        if (members[i].id == id && members[i].role == RR_VOTER) {
            return true;
        }
    }
    return false;
}

static void await_voter(struct cluster *cluster, uint64_t at, uint64_t id)
{
    for (int i = 0; i < CLUSTER_PATIENCE_MS; i++) {
        if (is_voter(cluster, at, id)) {
            return;
        }
        cluster_nap();
    }
    FAIL("node %d never took node %d for a voter", (int)at, (int)id);
}

void cluster_open_all(struct cluster *cluster)
{
    for (uint64_t id = 1; id <= cluster->count; id++) {
        cluster_open_node(cluster, id);
        char error[512] = "";
        rr_status status = rr_node_await_member(cluster_node(cluster, id), CLUSTER_PATIENCE_MS,
                                                error, sizeof(error));
        if (status != RR_OK) {
            FAIL("node %d is no member: %s: %s", (int)id, rr_status_name(status), error);
        }
    }
    for (uint64_t at = 1; at <= cluster->count; at++) {
        for (uint64_t id = 1; id <= cluster->count; id++) {
            await_voter(cluster, at, id);
        }
    }
}

void cluster_open(struct cluster *cluster, size_t count)
{
    cluster_prepare(cluster, count);
    cluster_open_all(cluster);
}

void cluster_close_node(struct cluster *cluster, uint64_t id)
{
    rr_node *node = cluster_node(cluster, id);
    cluster->nodes[id - 1].node = NULL;
    rr_node_close(node);
}

void cluster_close(struct cluster *cluster)
{
    for (size_t i = 0; i < cluster->count; i++) {
        rr_node_close(cluster->nodes[i].node);
        cluster->nodes[i].node = NULL;
    }
}

void cluster_info(struct cluster *cluster, uint64_t id, rr_node_info *info)
{
    memset(info, 0, sizeof(*info));
    info->struct_size = sizeof(*info);
    rr_node_get_info(cluster_node(cluster, id), info);
}

uint64_t cluster_leader(struct cluster *cluster)
{
    for (int i = 0; i < CLUSTER_PATIENCE_MS; i++) {
        for (uint64_t id = 1; id <= cluster->count; id++) {
            rr_node_info info;
            if (cluster->nodes[id - 1].node == NULL) {
                continue;
            }
            cluster_info(cluster, id, &info);
            if (info.role == RR_LEADER && info.commit_index > 0) {
                return id;
            }
        }
        cluster_nap();
    }
    FAIL("nobody leads");
    return 0;
}

uint64_t cluster_follower(struct cluster *cluster)
{
    uint64_t leader = cluster_leader(cluster);
    for (uint64_t id = 1; id <= cluster->count; id++) {
        if (id != leader && cluster->nodes[id - 1].node != NULL) {
            return id;
        }
    }
    FAIL("there is no follower");
    return 0;
}

uint64_t cluster_await_other_leader(struct cluster *cluster, uint64_t id, uint64_t old)
{
    for (int i = 0; i < CLUSTER_PATIENCE_MS; i++) {
        rr_node_info info;
        cluster_info(cluster, id, &info);
        if (info.leader != 0 && info.leader != old) {
            return info.leader;
        }
        cluster_nap();
    }
    FAIL("no other leader than %d", (int)old);
    return 0;
}

void cluster_set(struct cluster *cluster, uint64_t id, const char *key, const char *value)
{
    CHECK_OK(rr_node_set_wait(cluster_node(cluster, id), test_bytes_of(key), test_bytes_of(value)));
}

void cluster_expect(struct cluster *cluster, uint64_t id, const char *key, const char *value,
                    rr_read_level level)
{
    rr_result *result = NULL;
    rr_bytes found;
    rr_status status = rr_node_get_wait(cluster_node(cluster, id), test_bytes_of(key), level,
                                        CLUSTER_PATIENCE_MS, &result);
    CHECK_OK(status);
    CHECK(rr_result_value(result, 0, &found));
    CHECK_BYTES(found, test_bytes_of(value));
    rr_result_free(result);
}
