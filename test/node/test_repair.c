/* Nodes whose disks are damaged, and that come back through the other members by themselves.
 * ctest: timeout=240
 */
#include "base/random.h"
#include "members_helpers.h"
#include "node_child.h"
#include "storage/file.h"
#include "storage/log_store_open.h"

#include <dirent.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

/* ---- Damage ---- */

/* Turns over a bit of every 64 bytes of the file. */
static void rot_file(const char *path)
{
    FILE *file = fopen(path, "r+b");
    CHECK(file != NULL);
    CHECK_EQ(fseek(file, 0, SEEK_END), 0);
    long size = ftell(file);
    for (long at = 5; at < size; at += 64) {
        CHECK_EQ(fseek(file, at, SEEK_SET), 0);
        int byte = fgetc(file);
        CHECK_EQ(fseek(file, at, SEEK_SET), 0);
        CHECK_NE(fputc(byte ^ 0x10, file), EOF);
    }
    CHECK_EQ(fclose(file), 0);
}

/* All files of the node's directory whose name, or whose folder's, begins with `part`. */
static int rot(const char *directory, const char *part)
{
    int count = 0;
    DIR *stream = opendir(directory);
    CHECK(stream != NULL);
    for (struct dirent *entry; (entry = readdir(stream)) != NULL;) {
        char path[1024];
        struct stat about;
        if (entry->d_name[0] == '.' || strncmp(entry->d_name, part, strlen(part)) != 0) {
            continue;
        }
        snprintf(path, sizeof(path), "%s/%s", directory, entry->d_name);
        CHECK_EQ(stat(path, &about), 0);
        if (S_ISDIR(about.st_mode)) {
            count += rot(path, "");
        } else {
            rot_file(path);
            count++;
        }
    }
    closedir(stream);
    return count;
}

static void damage(struct cluster *cluster, uint64_t id, const char *part)
{
    CHECK(cluster->nodes[id - 1].node == NULL);
    CHECK_GT(rot(cluster->nodes[id - 1].path, part), 0);
}

/* How many damaged disks are kept. */
static int kept(struct cluster *cluster, uint64_t id)
{
    int count = 0;
    DIR *stream = opendir(cluster->nodes[id - 1].path);
    CHECK(stream != NULL);
    for (struct dirent *entry; (entry = readdir(stream)) != NULL;) {
        count += strncmp(entry->d_name, "damaged-", 8) == 0;
    }
    closedir(stream);
    return count;
}

/* ---- Coming back ---- */

/* Three voters with some data; none of them was told of the others but to join. */
static void open_three(struct cluster *cluster)
{
    cluster_open(cluster, 3);
    write_many(cluster, 1, "before", 200, 100);
}

static void expect_voter(struct cluster *cluster, uint64_t id)
{
    await_member(cluster, id);
    for (uint64_t at = 1; at <= cluster->count; at++) {
        if (cluster->nodes[at - 1].node != NULL) {
            await_role(cluster, at, id, RR_VOTER);
        }
    }
}

/* Damages `part` of a node that is down, has others write meanwhile, and opens it as it was opened
 * before, without addresses to join through where `alone`. */
static void damage_and_reopen(struct cluster *cluster, uint64_t id, const char *part, bool alone)
{
    uint64_t other = id % 3 + 1;
    cluster_close_node(cluster, id);
    write_many(cluster, other, "while-away", 100, 100);
    damage(cluster, id, part);
    if (alone) {
        open_joining(cluster, id, NULL, 0);
    } else {
        cluster_open_node(cluster, id);
    }
    cluster_set(cluster, other, "a", "1");
    expect_voter(cluster, id);
    CHECK_EQ(metric(cluster, id, "disk_repairs_total"), 1);
    CHECK_EQ(kept(cluster, id), 1);
    expect_equal_states(cluster);
}

/* Whether the node's vote counts: without it there is no majority. */
static void expect_its_vote(struct cluster *cluster, uint64_t id)
{
    cluster_close_node(cluster, id % 3 + 1);
    cluster_set(cluster, id, "with-its-vote", "yes");
    cluster_expect(cluster, id, "a", "1", RR_READ_LINEARIZABLE);
}

TEST(repair, a_member_with_a_damaged_log_comes_back)
{
    struct cluster cluster;
    open_three(&cluster);
    damage_and_reopen(&cluster, 3, "log", false);
    expect_its_vote(&cluster, 3);
    cluster_close(&cluster);
}

/* It knows the others from its state. */
TEST(repair, the_founder_with_a_damaged_log_comes_back)
{
    struct cluster cluster;
    open_three(&cluster);
    damage_and_reopen(&cluster, 1, "log", true);
    expect_its_vote(&cluster, 1);
    cluster_close(&cluster);
}

TEST(repair, a_member_with_a_damaged_state_comes_back)
{
    struct cluster cluster;
    open_three(&cluster);
    damage_and_reopen(&cluster, 3, "s", false); /* its snapshots, too */
    expect_its_vote(&cluster, 3);
    cluster_close(&cluster);
}

/* What is left of its disk is a snapshot that tells that there are others; they look for it. */
TEST(repair, the_founder_is_found_by_the_others_when_its_state_is_damaged)
{
    struct cluster cluster;
    open_three(&cluster);
    CHECK_OK(rr_node_snapshot_wait(cluster_node(&cluster, 1), CLUSTER_PATIENCE_MS, NULL, NULL));
    cluster_close_node(&cluster, 1);
    write_many(&cluster, 2, "while-away", 100, 100);
    damage(&cluster, 1, "state-");
    damage(&cluster, 1, "log");
    open_joining(&cluster, 1, NULL, 0);
    expect_voter(&cluster, 1);
    expect_equal_states(&cluster);
    cluster_close(&cluster);
}

TEST(repair, it_comes_back_again_and_again)
{
    struct cluster cluster;
    open_three(&cluster);
    for (int round = 1; round <= 3; round++) {
        cluster_close_node(&cluster, 3);
        damage(&cluster, 3, round % 2 == 0 ? "s" : "log");
        cluster_open_node(&cluster, 3);
        expect_voter(&cluster, 3);
        CHECK_EQ(kept(&cluster, 3), round);
    }
    expect_equal_states(&cluster);
    cluster_close(&cluster);
}

/* A damaged learner was none that counts, and is none afterwards. */
TEST(repair, a_learner_stays_a_learner)
{
    struct cluster cluster;
    cluster_prepare(&cluster, 2);
    cluster_open_node(&cluster, 1);
    await_member(&cluster, 1);
    open_waiting(&cluster, 2);
    CHECK_OK(rr_node_add_wait(cluster_node(&cluster, 1), 2, cluster.nodes[1].address, RR_LEARNER,
                              CLUSTER_PATIENCE_MS, NULL, 0));
    await_role(&cluster, 2, 2, RR_LEARNER);
    write_many(&cluster, 1, "before", 100, 100);
    cluster_close_node(&cluster, 2);
    damage(&cluster, 2, "log");
    open_waiting(&cluster, 2);
    await_member(&cluster, 2);
    await_role(&cluster, 2, 2, RR_LEARNER);
    expect_equal_states(&cluster);
    cluster_close(&cluster);
}

/* ---- What is not done ---- */

static void expect_refusal(struct cluster *cluster, uint64_t id, const char *part)
{
    char error[1024] = "";
    struct cluster_node *node = &cluster->nodes[id - 1];
    node->options.join = NULL;
    node->options.join_count = 0;
    rr_status status = rr_node_open(&node->options, error, sizeof(error), &node->node);
    if (status != RR_CORRUPT || strstr(error, part) == NULL) {
        FAIL("%s: %s", rr_status_name(status), error);
    }
    node->node = NULL;
    CHECK_EQ(kept(cluster, id), 0);
}

TEST(repair, one_of_two_voters_is_not_given_up)
{
    struct cluster cluster;
    cluster_open(&cluster, 2);
    cluster_set(&cluster, 1, "a", "1");
    cluster_close_node(&cluster, 2);
    damage(&cluster, 2, "log");
    expect_refusal(&cluster, 2, "no majority without this node");
    cluster_close(&cluster);
}

TEST(repair, a_single_node_is_not_given_up)
{
    struct cluster cluster;
    cluster_open(&cluster, 1);
    cluster_set(&cluster, 1, "a", "1");
    cluster_close_node(&cluster, 1);
    damage(&cluster, 1, "log");
    expect_refusal(&cluster, 1, "no majority without this node");
    cluster_close(&cluster);
}

/* Without its log it would know neither its votes nor what it acknowledged. */
TEST(repair, a_log_that_is_gone_is_noticed)
{
    struct cluster cluster;
    cluster_open(&cluster, 1);
    cluster_set(&cluster, 1, "a", "1");
    cluster_close_node(&cluster, 1);
    CHECK_OK(file_remove_tree(test_path(cluster.nodes[0].path, "log"), NULL));
    expect_refusal(&cluster, 1, "the log ends at entry 0");
    cluster_close(&cluster);
}

/* Its state on disk is still the snapshot that it came by. */
TEST(repair, a_log_that_is_gone_is_noticed_though_the_state_is_at_its_snapshot)
{
    struct cluster cluster;
    open_three(&cluster);
    CHECK_OK(rr_node_snapshot_wait(cluster_node(&cluster, 3), CLUSTER_PATIENCE_MS, NULL, NULL));
    cluster_close_node(&cluster, 3);
    CHECK_OK(file_remove_tree(test_path(cluster.nodes[2].path, "log"), NULL));
    cluster_open_node(&cluster, 3);
    expect_voter(&cluster, 3);
    CHECK_EQ(metric(&cluster, 3, "disk_repairs_total"), 1);
    cluster_close(&cluster);
}

static void note_status(void *arg, rr_status status)
{
    *(int *)arg = (int)status;
}

/* Gives the log's last entry another term, as it had one before an overwriting that was lost. */
static void change_last_term(const char *directory)
{
    struct log_store_open_options options = {.path = test_path(directory, "log")};
    struct logger logger = {0};
    struct storage_error error;
    struct log_store *store;
    struct log_bounds bounds;
    int status = -1;
    CHECK_OK(log_store_open(&options, &logger, &error, &store));
    CHECK(log_store_bounds(store, 0, &bounds));
    struct raft_entry *entry = raft_entry_new(RAFT_ENTRY_NORMAL, (rr_bytes){NULL, 0});
    entry->index = bounds.last_index;
    entry->term = bounds.last_term + 1;
    struct log_record record = {.entries = &entry, .entry_count = 1};
    struct log_frame frame = {.records = &record, .record_count = 1, .sync = true};
    log_store_submit(store, &frame, note_status, &status);
    CHECK_EQ(status, RR_OK);
    raft_entry_unref(entry);
    log_store_close(store);
}

/* What it had after the entries that were overwritten may have been acknowledged, and votes. */
TEST(repair, a_log_whose_newest_entries_are_gone_is_noticed_by_their_terms)
{
    struct cluster cluster;
    cluster_open(&cluster, 1);
    cluster_set(&cluster, 1, "a", "1");
    cluster_close_node(&cluster, 1);
    change_last_term(cluster.nodes[0].path);
    expect_refusal(&cluster, 1, "it has lost entries that were there");
    cluster_close(&cluster);
}

TEST(repair, nothing_is_done_where_it_is_switched_off)
{
    struct cluster cluster;
    open_three(&cluster);
    cluster_close_node(&cluster, 3);
    damage(&cluster, 3, "log");
    cluster.nodes[2].options.repair = RR_REPAIR_NEVER;
    expect_refusal(&cluster, 3, "switched off");
    cluster.nodes[2].options.repair = RR_REPAIR_AUTO;
    cluster_open_node(&cluster, 3);
    expect_voter(&cluster, 3);
    cluster_close(&cluster);
}

/*
 * The classical danger: an entry that the leader and the damaged node alone have. When the leader
 * is gone, the damaged node and the third must wait for it: with the vote of the damaged one the
 * third could lead, and lose the entry.
 */
TEST(repair, what_the_damaged_node_had_acknowledged_is_not_lost)
{
    struct cluster cluster;
    open_three(&cluster);
    uint64_t leader = cluster_leader(&cluster);
    uint64_t damaged = leader % 3 + 1;
    uint64_t third = damaged % 3 + 1;
    cluster_close_node(&cluster, third);
    cluster_set(&cluster, leader, "precious", "yes");
    cluster_close_node(&cluster, damaged);
    cluster_close_node(&cluster, leader);
    damage(&cluster, damaged, "log");

    open_joining(&cluster, third, NULL, 0);
    expect_refusal(&cluster, damaged, "no other member says that they have a leader");
    CHECK_EQ(metric(&cluster, third, "elections_won_total"), 0);

    open_joining(&cluster, leader, NULL, 0);
    open_joining(&cluster, damaged, NULL, 0);
    expect_voter(&cluster, damaged);
    for (uint64_t id = 1; id <= 3; id++) {
        cluster_expect(&cluster, id, "precious", "yes", RR_READ_LINEARIZABLE);
    }
    expect_equal_states(&cluster);
    cluster_close(&cluster);
}

/* Whatever makes all of them take their disks for damaged at once: none is given up. */
TEST(repair, not_all_disks_are_given_up_at_once)
{
    struct cluster cluster;
    open_three(&cluster);
    for (uint64_t id = 1; id <= 3; id++) {
        cluster_close_node(&cluster, id);
        damage(&cluster, id, "log");
    }
    for (uint64_t id = 1; id <= 3; id++) {
        expect_refusal(&cluster, id, "no other member says that they have a leader");
    }
    cluster_close(&cluster);
}

/* For a while it still says that it leads. */
TEST(repair, a_leader_without_a_majority_but_for_this_disk_is_none)
{
    struct cluster cluster;
    cluster_prepare(&cluster, 3);
    for (size_t at = 0; at < 3; at++) {
        cluster.nodes[at].options.election_timeout_min_ms = 500;
        cluster.nodes[at].options.election_timeout_max_ms = 600;
    }
    cluster_open_all(&cluster);
    cluster_set(&cluster, 1, "a", "1");
    uint64_t leader = cluster_leader(&cluster);
    uint64_t damaged = leader % 3 + 1;
    uint64_t third = damaged % 3 + 1;
    cluster_close_node(&cluster, third);
    cluster_set(&cluster, leader, "b", "2");
    cluster_close_node(&cluster, damaged);
    damage(&cluster, damaged, "log");
    expect_refusal(&cluster, damaged, "no other member says that they have a leader");
    cluster_close(&cluster);
}

/* ---- Things in between ---- */

TEST(repair, leaders_may_change_in_between)
{
    struct cluster cluster;
    open_three(&cluster);
    cluster_close_node(&cluster, 3);
    damage(&cluster, 3, "log");
    cluster_open_node(&cluster, 3);
    rr_member member;
    for (int i = 0; i < CLUSTER_PATIENCE_MS; i++) {
        if (find_member(&cluster, 3, 3, &member) && member.role == RR_VOTER &&
            metric(&cluster, 3, "member_changes_total") >= 2) {
            break;
        }
        uint64_t leader = cluster_leader(&cluster);
        (void)!rr_node_transfer_wait(cluster_node(&cluster, leader), leader == 1 ? 2 : 1, 1000);
    }
    expect_voter(&cluster, 3);
    expect_equal_states(&cluster);
    cluster_close(&cluster);
}

/* A copy of the directory, damaged, runs beside the node itself: that one is not given up for it. */
TEST(repair, a_disk_that_still_takes_part_is_not_replaced)
{
    struct cluster cluster;
    open_three(&cluster);
    cluster_close_node(&cluster, 3);
    struct cluster_node *node = &cluster.nodes[2];
    const char *copy = test_path(test_directory(), "copy");
    char command[1024];
    snprintf(command, sizeof(command), "cp -r '%s' '%s'", node->path, copy);
    CHECK_EQ(system(command), 0);
    CHECK_GT(rot(copy, "log"), 0);
    cluster_open_node(&cluster, 3);
    expect_voter(&cluster, 3);
    uint64_t changes = metric(&cluster, 1, "member_changes_total");

    struct cluster beside = cluster;
    struct cluster_node *other = &beside.nodes[2];
    struct log_lines *lines = log_lines_of(&beside, 3);
    char address[64];
    snprintf(address, sizeof(address), "127.0.0.1:%d", test_port());
    other->node = NULL;
    other->path = copy;
    other->options.data_path = copy;
    other->options.raft_address = address;
    open_joining(&beside, 3, NULL, 0);
    await_line(lines, "is it running twice?");
    CHECK_EQ(metric(&cluster, 1, "member_changes_total"), changes);
    await_role(&cluster, 1, 3, RR_VOTER);
    cluster_set(&cluster, 3, "a", "1");
    rr_node_close(other->node);
    log_lines_free(lines);
    cluster_close(&cluster);
}

/* Dies at some step of its repair, and comes back all the same. */
TEST(repair, a_crash_at_any_step_is_gone_on_from)
{
    enum { ROUNDS = 5 };
    struct cluster cluster;
    struct random random;
    random_init(&random, test_seed(17));
    open_three(&cluster);
    cluster_set(&cluster, 1, "a", "1");
    for (int round = 0; round < ROUNDS; round++) {
        cluster_close_node(&cluster, 3);
        damage(&cluster, 3, round % 2 == 0 ? "log" : "s");
        struct node_child child = {.id = 3,
                                   .path = cluster.nodes[2].path,
                                   .address = cluster.nodes[2].address,
                                   .joins = cluster.nodes[0].address,
                                   .while_opening = random_chance(&random, 2, 3),
                                   .nth = random_between(&random, 1, 40),
                                   .kind = FILE_FAULT_EXIT};
        CHECK_NE(node_child_wait(&child, node_child_start(&child)), NODE_CHILD_BAD);
        cluster_open_node(&cluster, 3);
        expect_voter(&cluster, 3);
        expect_equal_states(&cluster);
    }
    cluster_close(&cluster);
}
