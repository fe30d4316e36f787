#include "storage/data_dir.h"

#include "storage/child.h"
#include "storage/file.h"
#include "support/test.h"

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

static struct data_dir *open_dir(const char *path, raft_id node)
{
    struct data_dir_options options = {.path = path, .node = node};
    struct storage_error error;
    struct data_dir *dir;
    if (data_dir_open(&options, &error, &dir) != RR_OK) {
        FAIL("%s", error.text);
    }
    return dir;
}

/* Opens with a refusal, whose text must contain `text`. */
static rr_status refusal(const struct data_dir_options *options, const char *text)
{
    struct storage_error error = {0};
    struct data_dir *dir;
    rr_status status = data_dir_open(options, &error, &dir);
    CHECK_NE(status, RR_OK);
    if (strstr(error.text, text) == NULL) {
        FAIL("the text is: %s", error.text);
    }
    return status;
}

TEST(data_dir, keeps_its_identity)
{
    const char *path = test_path(test_directory(), "data");
    struct data_dir *dir = open_dir(path, 4);
    CHECK(data_dir_is_new(dir));
    struct data_dir_identity first = *data_dir_identity(dir);
    CHECK_EQ(first.node, 4);
    CHECK_EQ(first.cluster, 0);
    CHECK_NE(first.incarnation, 0);
    data_dir_close(dir);

    dir = open_dir(path, 4);
    CHECK(!data_dir_is_new(dir));
    CHECK_EQ(data_dir_identity(dir)->incarnation, first.incarnation);
    CHECK_OK(data_dir_set_cluster(dir, 77, NULL));
    CHECK_OK(data_dir_set_cluster(dir, 77, NULL));
    CHECK_STATUS(data_dir_set_cluster(dir, 78, NULL), RR_MISMATCH);
    data_dir_close(dir);

    dir = open_dir(path, 4);
    CHECK_EQ(data_dir_identity(dir)->cluster, 77);
    CHECK_TEXT(data_dir_path(dir), path);
    CHECK_TEXT(data_dir_log_path(dir), test_path(path, "log"));
    data_dir_close(dir);
}

TEST(data_dir, has_another_incarnation_after_it_was_wiped)
{
    const char *directory = test_directory();
    struct data_dir *dir = open_dir(test_path(directory, "a"), 1);
    uint64_t first = data_dir_identity(dir)->incarnation;
    data_dir_close(dir);
    CHECK_OK(file_remove_tree(test_path(directory, "a"), NULL));
    dir = open_dir(test_path(directory, "a"), 1);
    CHECK_NE(data_dir_identity(dir)->incarnation, first);
    data_dir_close(dir);
}

TEST(data_dir, refuses_another_node_and_another_cluster)
{
    const char *path = test_path(test_directory(), "data");
    struct data_dir *dir = open_dir(path, 4);
    CHECK_OK(data_dir_set_cluster(dir, 0xabc, NULL));
    data_dir_close(dir);
    CHECK_STATUS(refusal(&(struct data_dir_options){.path = path, .node = 5}, "belongs to node 4"),
                 RR_MISMATCH);
    CHECK_STATUS(refusal(&(struct data_dir_options){.path = path, .node = 4, .cluster = 1},
                         "belongs to cluster 0000000000000abc"),
                 RR_MISMATCH);
    struct data_dir_options right = {.path = path, .node = 4, .cluster = 0xabc, .must_exist = true};
    CHECK_OK(data_dir_open(&right, NULL, &dir));
    data_dir_close(dir);
}

TEST(data_dir, is_open_once_at_a_time)
{
    const char *path = test_path(test_directory(), "data");
    struct data_dir *dir = open_dir(path, 4);
    CHECK_STATUS(refusal(&(struct data_dir_options){.path = path, .node = 4}, "in use by another"),
                 RR_BUSY);
    data_dir_close(dir);
    data_dir_close(open_dir(path, 4));
}

TEST(data_dir, must_exist_where_it_is_asked_for)
{
    struct data_dir_options options = {
        .path = test_path(test_directory(), "data"), .node = 4, .must_exist = true};
    CHECK_STATUS(refusal(&options, "no data directory"), RR_NOT_FOUND);
    CHECK(!file_exists(options.path));
}

TEST(data_dir, says_that_it_cannot_be_created)
{
    const char *directory = test_directory();
    CHECK_OK(file_replace(test_path(directory, "file"), test_bytes_of("x"), NULL));
    CHECK_STATUS(
        refusal(&(struct data_dir_options){.path = test_path(directory, "file"), .node = 1},
                "Not a directory"),
        RR_IO);
    CHECK_STATUS(
        refusal(&(struct data_dir_options){.path = test_path(directory, "file/x"), .node = 1},
                "Not a directory"),
        RR_IO);
    CHECK_STATUS(
        refusal(&(struct data_dir_options){.path = test_path(directory, "no/x"), .node = 1},
                "No such file"),
        RR_IO);
    CHECK_STATUS(refusal(&(struct data_dir_options){.path = "", .node = 1}, "empty"), RR_INVALID);
    CHECK_STATUS(refusal(&(struct data_dir_options){.path = "/proc/1/x", .node = 1}, "cannot"),
                 RR_IO);
}

TEST(data_dir, finds_every_damage_of_its_identity)
{
    const char *path = test_path(test_directory(), "data");
    data_dir_close(open_dir(path, 4));
    const char *file = test_path(path, "IDENTITY");
    struct buffer good;
    buffer_init(&good);
    CHECK_OK(file_read(file, 1000, &good, NULL));
    struct data_dir_options options = {.path = path, .node = 4};
    for (size_t bit = 0; bit < good.size * 8; bit++) {
        good.data[bit / 8] ^= (uint8_t)(1 << bit % 8);
        CHECK_OK(file_replace(file, buffer_bytes(&good), NULL));
        rr_status status = refusal(&options, path);
        CHECK(status == RR_CORRUPT || status == RR_MISMATCH);
        good.data[bit / 8] ^= (uint8_t)(1 << bit % 8);
    }
    CHECK_OK(file_replace(file, (rr_bytes){good.data, good.size - 1}, NULL));
    CHECK_STATUS(refusal(&options, "damaged"), RR_CORRUPT);
    CHECK_OK(file_replace(file, (rr_bytes){NULL, 0}, NULL));
    CHECK_STATUS(refusal(&options, "damaged"), RR_CORRUPT);
    good.data[8] = 2;
    CHECK_OK(file_replace(file, buffer_bytes(&good), NULL));
    CHECK_STATUS(refusal(&options, "run a newer version"), RR_MISMATCH);
    buffer_deinit(&good);
}

TEST(data_dir, does_not_take_data_without_an_identity)
{
    const char *path = test_directory();
    CHECK_EQ(mkdir(test_path(path, "state-3"), 0700), 0);
    CHECK_STATUS(refusal(&(struct data_dir_options){.path = path, .node = 4}, "no IDENTITY"),
                 RR_CORRUPT);
    CHECK_OK(file_remove_tree(test_path(path, "state-3"), NULL));
    CHECK_EQ(mkdir(test_path(path, "lost+found"), 0700), 0);
    data_dir_close(open_dir(path, 4));
}

/* Both creating and naming the cluster, failing or dying at each step: what is found afterwards is
 * whole and never a third thing. */
static void change(const char *path, uint64_t nth, enum file_fault fault, bool *pending)
{
    struct data_dir *dir = NULL;
    struct data_dir_options options = {.path = path, .node = 4, .incarnation = 99};
    file_fault_after(nth, fault);
    rr_status status = data_dir_open(&options, NULL, &dir);
    if (status == RR_OK) {
        status = data_dir_set_cluster(dir, 5, NULL);
    }
    *pending = file_fault_pending();
    file_fault_after(0, FILE_FAULT_NONE);
    CHECK(status == RR_OK || !*pending);
    CHECK(status == RR_OK || status == RR_IO || status == RR_NO_SPACE);
    data_dir_close(dir);
}

TEST(data_dir, is_whole_after_a_fault_at_any_step)
{
    for (int fault = FILE_FAULT_ERROR; fault <= FILE_FAULT_EXIT; fault++) {
        bool pending = false;
        for (uint64_t nth = 1; !pending; nth++) {
            const char *path = test_path(test_directory(), "data");
            pending = child_step(change, path, nth, (enum file_fault)fault);
            struct data_dir *dir = open_dir(path, 4);
            uint64_t cluster = data_dir_identity(dir)->cluster;
            CHECK(cluster == 0 || cluster == 5);
            CHECK(!pending || cluster == 5);
            data_dir_close(dir);
        }
    }
}

/* ---- Restoring ---- */

TEST(data_dir, has_no_identity_until_its_restore_ends)
{
    const char *path = test_path(test_directory(), "data");
    struct data_dir_options options = {.path = path, .node = 4, .cluster = 77, .restoring = true};
    struct storage_error error;
    struct data_dir *dir;
    CHECK_OK(data_dir_open(&options, &error, &dir));
    CHECK_NE(data_dir_identity(dir)->incarnation, 0);
    CHECK_OK(directory_create(test_path(path, "state-1"), &error));
    data_dir_close(dir);

    struct data_dir_options start = {.path = path, .node = 4};
    CHECK_STATUS(refusal(&start, "did not end"), RR_CORRUPT);

    CHECK_OK(data_dir_open(&options, &error, &dir));
    CHECK(!file_exists(test_path(path, "state-1")));
    struct data_dir_identity identity = *data_dir_identity(dir);
    CHECK_OK(data_dir_finish_restore(dir, &error));
    data_dir_close(dir);
    CHECK(!file_exists(test_path(path, "RESTORING")));

    CHECK_STATUS(refusal(&options, "node 4 already"), RR_CONFLICT);
    dir = open_dir(path, 4);
    CHECK(!data_dir_is_new(dir));
    CHECK_EQ(data_dir_identity(dir)->cluster, 77);
    CHECK_EQ(data_dir_identity(dir)->incarnation, identity.incarnation);
    CHECK(data_dir_is_fresh(dir)); /* it has no log, and needs none */
    CHECK_OK(data_dir_begun(dir, &error));
    data_dir_close(dir);
    dir = open_dir(path, 4);
    CHECK(!data_dir_is_fresh(dir));
    data_dir_close(dir);
}

TEST(data_dir, takes_no_restore_where_there_is_anything)
{
    const char *path = test_directory();
    struct storage_error error;
    CHECK_OK(file_replace(test_path(path, "notes"), test_bytes_of("mine"), &error));
    struct data_dir_options options = {.path = path, .node = 4, .restoring = true};
    CHECK_STATUS(refusal(&options, "it holds notes"), RR_CONFLICT);
    CHECK(file_exists(test_path(path, "notes")));
}
