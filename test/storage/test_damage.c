#include "storage/damage.h"

#include "storage/file.h"
#include "support/test.h"

#include <string.h>

static struct damage read_mark(const char *directory)
{
    struct damage damage;
    CHECK_OK(damage_read(directory, &damage, NULL));
    return damage;
}

TEST(damage, is_remembered_until_it_is_cleared)
{
    const char *directory = test_directory();
    CHECK_EQ(read_mark(directory).parts, 0);
    CHECK_OK(damage_mark(directory, DAMAGE_STATE, "a table fails its checksum", NULL));
    CHECK_OK(damage_mark(directory, DAMAGE_LOG, "something later", NULL));
    struct damage damage = read_mark(directory);
    CHECK_EQ(damage.parts, DAMAGE_STATE | DAMAGE_LOG);
    CHECK_TEXT(damage.text, "a table fails its checksum");
    CHECK_OK(damage_clear(directory, NULL));
    CHECK_EQ(read_mark(directory).parts, 0);
    CHECK_OK(damage_clear(directory, NULL));
}

TEST(damage, cuts_a_text_that_is_too_long)
{
    const char *directory = test_directory();
    char text[2 * STORAGE_ERROR_BYTES_MAX];
    memset(text, 'x', sizeof(text));
    text[sizeof(text) - 1] = 0;
    CHECK_OK(damage_mark(directory, DAMAGE_LOG, text, NULL));
    struct damage damage = read_mark(directory);
    CHECK_EQ(damage.parts, DAMAGE_LOG);
    CHECK_EQ(strlen(damage.text), STORAGE_ERROR_BYTES_MAX - 1);
}

TEST(damage, of_the_mark_itself_makes_everything_suspect)
{
    const char *directory = test_directory();
    const char *path = test_path(directory, "DAMAGED");
    CHECK_OK(damage_mark(directory, DAMAGE_LOG, "a file is missing", NULL));
    struct buffer whole;
    buffer_init(&whole);
    CHECK_OK(file_read(path, SIZE_MAX, &whole, NULL));
    for (size_t i = 0; i < whole.size * 8; i++) {
        whole.data[i / 8] ^= (uint8_t)(1u << i % 8);
        CHECK_OK(file_replace(path, buffer_bytes(&whole), NULL));
        whole.data[i / 8] ^= (uint8_t)(1u << i % 8);
        struct damage damage;
        rr_status status = damage_read(directory, &damage, NULL);
        bool of_version = i / 8 >= 8 && i / 8 < 12;
        CHECK(status == RR_OK ? damage.parts == DAMAGE_ALL : of_version && status == RR_MISMATCH);
    }
    for (size_t size = 0; size < whole.size; size++) {
        CHECK_OK(file_replace(path, (rr_bytes){whole.data, size}, NULL));
        CHECK_EQ(read_mark(directory).parts, DAMAGE_ALL);
    }
    buffer_deinit(&whole);
    CHECK_OK(damage_mark(directory, DAMAGE_LOG, "more", NULL));
    CHECK_EQ(read_mark(directory).parts, DAMAGE_ALL);
}

TEST(damage, is_marked_whole_or_not_at_all_after_a_fault_at_any_step)
{
    const char *directory = test_directory();
    bool met = true;
    for (uint64_t nth = 1; met; nth++) {
        for (int fault = FILE_FAULT_ERROR; fault <= FILE_FAULT_FULL; fault++) {
            CHECK_OK(damage_clear(directory, NULL));
            CHECK_OK(damage_mark(directory, DAMAGE_STATE, "first", NULL));
            file_fault_after(nth, (enum file_fault)fault);
            struct storage_error error = {0};
            rr_status status = damage_mark(directory, DAMAGE_LOG, "second", &error);
            met = !file_fault_pending();
            file_fault_after(0, FILE_FAULT_NONE);
            CHECK_EQ(status != RR_OK, met);
            CHECK_EQ(error.text[0] != 0, met);
            unsigned parts = read_mark(directory).parts;
            CHECK(parts == (DAMAGE_STATE | DAMAGE_LOG) || (met && parts == DAMAGE_STATE));
        }
    }
}
