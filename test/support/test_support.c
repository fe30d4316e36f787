/* The helpers of the tests, which would hide failures if they were wrong themselves. */
#include "support/test.h"

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

static char last_directory[256];

TEST(support, makes_a_directory_for_the_test)
{
    const char *directory = test_directory();
    struct stat status;
    CHECK_EQ(stat(directory, &status), 0);
    CHECK(S_ISDIR(status.st_mode));
    FILE *file = fopen(test_path(directory, "file"), "w");
    CHECK(file != NULL);
    fclose(file);
    CHECK_EQ(mkdir(test_path(directory, "folder"), 0777), 0);
    snprintf(last_directory, sizeof(last_directory), "%s", directory);
}

TEST(support, removes_the_directory_of_the_test_before)
{
    struct stat status;
    CHECK(getenv("TEST_KEEP") != NULL || stat(last_directory, &status) != 0);
}

TEST(support, never_gives_the_same_port_twice)
{
    uint16_t first = test_port();
    uint16_t second = test_port();
    CHECK_NE(first, second);
    CHECK_GE(first, 20000);
    CHECK_LT(first, 32768);
}

TEST(support, compares_numbers_of_different_types_as_numbers)
{
    CHECK_LT(-1, 1U);
    CHECK_LT(INT64_MIN, UINT64_MAX);
    CHECK_EQ((uint8_t)200, 200L);
    CHECK_GE(true, 1);
    CHECK_NE(&last_directory[0], &last_directory[1]);
    CHECK_STATUS(RR_BUSY, RR_BUSY);
    CHECK_OK(RR_OK);
}

TEST(support, sees_whether_a_statement_aborts)
{
    CHECK_ABORTS(abort());
}
