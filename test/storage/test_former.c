/* A damaged directory becomes another disk: a new incarnation, the damaged parts set aside. */
#include "storage/former.h"

#include "storage/child.h"
#include "storage/data_dir.h"
#include "storage/file.h"
#include "support/test.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

/* Like test_path, but one of the last few is overwritten: a test makes many. */
static const char *in(const char *directory, const char *name)
{
    static char paths[8][PATH_BYTES_MAX];
    static size_t next;
    char *path = paths[next++ % 8];
    CHECK_OK(path_join(directory, name, path, NULL));
    return path;
}

static struct data_dir *open_dir(const char *path)
{
    struct data_dir_options options = {.path = path, .node = 4, .incarnation = 99};
    struct storage_error error = {0};
    struct data_dir *dir;
    if (data_dir_open(&options, &error, &dir) != RR_OK) {
        FAIL("%s", error.text);
    }
    return dir;
}

static void put(const char *path, const char *name)
{
    CHECK_OK(file_replace(in(path, name), test_bytes_of(name), NULL));
}

/* A directory of node 4 with something in every part. */
static void fill(const char *path)
{
    struct data_dir *dir = open_dir(path);
    CHECK_OK(data_dir_set_cluster(dir, 5, NULL));
    data_dir_close(dir);
    static const char *const folders[] = {"log", "log.new", "state-1", "snapshots"};
    for (size_t i = 0; i < sizeof(folders) / sizeof(folders[0]); i++) {
        CHECK_EQ(mkdir(in(path, folders[i]), 0700), 0);
        put(in(path, folders[i]), "file");
    }
    put(path, "STATE");
}

static const char *full_directory(void)
{
    const char *path = test_path(test_directory(), "data");
    fill(path);
    return path;
}

static const char *aside_of(const char *path, uint64_t incarnation)
{
    char name[64];
    snprintf(name, sizeof(name), "damaged-%016" PRIx64, incarnation);
    return in(path, name);
}

TEST(former, a_damaged_log_leaves_the_state_where_it_is)
{
    const char *path = full_directory();
    CHECK_OK(damage_mark(path, DAMAGE_LOG, "test", NULL));
    struct data_dir *dir = open_dir(path);
    CHECK_EQ(data_dir_former(dir)->count, 0);
    CHECK_OK(data_dir_renew(dir, DAMAGE_LOG, NULL));
    uint64_t incarnation = data_dir_identity(dir)->incarnation;
    CHECK_NE(incarnation, 99);
    CHECK_EQ(data_dir_identity(dir)->cluster, 5);
    const char *aside = aside_of(path, 99);
    CHECK(file_exists(in(aside, "log/file")));
    CHECK(file_exists(in(aside, "log.new/file")));
    CHECK(!file_exists(in(path, "log")));
    CHECK(!file_exists(in(path, "DAMAGED")));
    CHECK(file_exists(in(path, "STATE")));
    CHECK(file_exists(in(path, "state-1/file")));
    data_dir_close(dir);

    dir = open_dir(path);
    CHECK_EQ(data_dir_identity(dir)->incarnation, incarnation);
    CHECK_EQ(data_dir_former(dir)->count, 1);
    CHECK_EQ(data_dir_former(dir)->incarnations[0], 99);
    CHECK(data_dir_is_fresh(dir));
    CHECK_OK(data_dir_begun(dir, NULL));
    data_dir_close(dir);

    dir = open_dir(path);
    CHECK(!data_dir_is_fresh(dir));
    CHECK_EQ(data_dir_former(dir)->count, 1);
    data_dir_close(dir);
}

TEST(former, a_mark_that_names_more_stays)
{
    const char *path = full_directory();
    CHECK_OK(damage_mark(path, DAMAGE_STATE, "test", NULL));
    struct data_dir *dir = open_dir(path);
    CHECK_OK(data_dir_renew(dir, DAMAGE_LOG, NULL));
    CHECK(file_exists(in(path, "DAMAGED")));
    CHECK_OK(data_dir_renew(dir, DAMAGE_ALL, NULL));
    CHECK(!file_exists(in(path, "DAMAGED")));
    data_dir_close(dir);
}

TEST(former, remembers_the_latest_incarnations)
{
    const char *path = full_directory();
    struct data_dir *dir = open_dir(path);
    uint64_t before[FORMER_COUNT_MAX + 2];
    for (size_t i = 0; i < FORMER_COUNT_MAX + 2; i++) {
        before[i] = data_dir_identity(dir)->incarnation;
        CHECK_OK(data_dir_renew(dir, DAMAGE_ALL, NULL));
    }
    data_dir_close(dir);
    dir = open_dir(path);
    const struct former *former = data_dir_former(dir);
    CHECK_EQ(former->count, FORMER_COUNT_MAX);
    for (size_t i = 0; i < FORMER_COUNT_MAX; i++) {
        CHECK_EQ(former->incarnations[i], before[i + 2]);
    }
    data_dir_close(dir);
}

TEST(former, finds_every_damage_of_the_file)
{
    const char *path = full_directory();
    struct data_dir *dir = open_dir(path);
    CHECK_OK(data_dir_renew(dir, DAMAGE_LOG, NULL));
    data_dir_close(dir);
    const char *file = in(path, "FORMER");
    struct buffer good;
    buffer_init(&good);
    CHECK_OK(file_read(file, 1000, &good, NULL));
    struct data_dir_options options = {.path = path, .node = 4};
    for (size_t bit = 0; bit < good.size * 8; bit++) {
        good.data[bit / 8] ^= (uint8_t)(1 << bit % 8);
        CHECK_OK(file_replace(file, buffer_bytes(&good), NULL));
        struct storage_error error = {0};
        rr_status status = data_dir_open(&options, &error, &dir);
        CHECK(status == RR_CORRUPT || status == RR_MISMATCH);
        CHECK(strstr(error.text, "FORMER") != NULL);
        good.data[bit / 8] ^= (uint8_t)(1 << bit % 8);
    }
    CHECK_OK(file_replace(file, (rr_bytes){good.data, good.size - 1}, NULL));
    CHECK_STATUS(data_dir_open(&options, NULL, &dir), RR_CORRUPT);
    buffer_deinit(&good);
}

/* Renews the directory with a fault at a step. */
static void renew(const char *path, uint64_t nth, enum file_fault fault, bool *pending)
{
    struct data_dir *dir = open_dir(path);
    file_fault_after(nth, fault);
    rr_status status = data_dir_renew(dir, DAMAGE_ALL, NULL);
    *pending = file_fault_pending();
    file_fault_after(0, FILE_FAULT_NONE);
    CHECK(status == RR_OK || !*pending);
    CHECK(status == RR_OK || status == RR_IO || status == RR_NO_SPACE);
    data_dir_close(dir);
}

/* Whatever happened half way: the old incarnation has everything, the new one has none of it. */
static void expect_one_or_the_other(const char *path, bool renewed)
{
    static const char *const parts[] = {"log/file", "log.new/file", "state-1/file",
                                        "snapshots/file", "STATE"};
    struct data_dir *dir = open_dir(path);
    bool old = data_dir_identity(dir)->incarnation == 99;
    CHECK(!old || !renewed);
    CHECK_EQ(data_dir_former(dir)->count, old ? 0 : 1);
    CHECK_EQ(data_dir_former(dir)->parts, 0);
    CHECK_EQ(data_dir_identity(dir)->cluster, 5);
    for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++) {
        CHECK_EQ(file_exists(in(path, parts[i])), old);
        CHECK_EQ(file_exists(in(aside_of(path, 99), parts[i])), !old);
    }
    /* And it can be done once more. */
    CHECK_OK(data_dir_renew(dir, DAMAGE_LOG, NULL));
    CHECK_EQ(data_dir_former(dir)->count, old ? 1 : 2);
    CHECK_EQ(data_dir_former(dir)->incarnations[0], 99);
    data_dir_close(dir);
}

TEST(former, no_step_leaves_the_old_incarnation_without_its_parts)
{
    const char *directory = test_directory();
    for (int fault = FILE_FAULT_ERROR; fault <= FILE_FAULT_EXIT; fault++) {
        bool pending = false;
        for (uint64_t nth = 1; !pending; nth++) {
            char path[PATH_BYTES_MAX];
            char name[32];
            snprintf(name, sizeof(name), "%d-%" PRIu64, fault, nth);
            CHECK_OK(path_join(directory, name, path, NULL));
            fill(path);
            pending = child_step(renew, path, nth, (enum file_fault)fault);
            expect_one_or_the_other(path, pending);
        }
        CHECK(fault != FILE_FAULT_EXIT || pending);
    }
}
