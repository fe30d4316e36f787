/* The log store in segments, with a thread that writes and one that prepares files. */
/* ctest: timeout=180 */
#define SUITE_WRITES_ON_A_THREAD
#include "storage/segment_log_store.h"

#include "storage/log_store_suite.h"
#include "storage/segment_writer.h"

#include <fcntl.h>
#include <stdio.h>

rr_status suite_open(const char *directory, struct storage_error *error, struct log_store **out)
{
    struct segment_log_store_options options = {
        .path = directory,
        .segment_bytes = 64 * 1024,
        .log_bytes_max = 256 * 1024,
        .sync_on_thread = true,
    };
    return segment_log_store_open(&options, error, out);
}

/* --- The writer --- */

struct outcomes {
    rr_status statuses[8];
    int count;
};

static void note_outcome(void *arg, rr_status status)
{
    struct outcomes *outcomes = arg;
    outcomes->statuses[outcomes->count++] = status;
}

/* Submits a frame of the bytes "frame <number>" padded to 16. */
static void write_frame(struct segment_writer *writer, int fd, uint64_t number,
                        struct outcomes *outcomes)
{
    struct segment_write write = {
        .fd = fd,
        .path = "the file",
        .segment = 1,
        .offset = (number - 1) * 16,
        .sync = true,
        .number = number,
        .done = note_outcome,
        .done_arg = outcomes,
    };
    char text[17];
    snprintf(text, sizeof(text), "frame %-10d", (int)number);
    buffer_init(&write.bytes);
    buffer_append(&write.bytes, text, 16);
    segment_writer_submit(writer, &write);
}

TEST(segment_writer, shows_a_frame_until_it_has_completed)
{
    int fd = open(test_path(test_directory(), "f"), O_RDWR | O_CREAT, 0600);
    struct segment_writer *writer;
    CHECK_OK(segment_writer_open(NULL, &writer));
    struct outcomes outcomes = {0};
    write_frame(writer, fd, 1, &outcomes);
    write_frame(writer, fd, 2, &outcomes);
    const uint8_t *found = segment_writer_find(writer, 1, 16 + 6, 1);
    CHECK(found != NULL);
    CHECK_EQ(*found, '2');
    CHECK(segment_writer_find(writer, 2, 0, 1) == NULL);  /* another segment */
    CHECK(segment_writer_find(writer, 1, 31, 2) == NULL); /* past its end */
    CHECK(segment_writer_find(writer, 1, 1000, 1) == NULL);
    CHECK_OK(segment_writer_drain(writer, NULL));
    CHECK_EQ(outcomes.count, 0);
    segment_writer_poll(writer);
    CHECK_EQ(outcomes.count, 2);
    CHECK_EQ(segment_writer_durable(writer, NULL), 2);
    CHECK(segment_writer_find(writer, 1, 0, 1) == NULL);
    char text[32];
    CHECK_EQ(pread(fd, text, 32, 0), 32);
    CHECK_BYTES(((rr_bytes){text, 32}), test_bytes_of("frame 1         frame 2         "));
    segment_writer_close(writer);
    close(fd);
}

TEST(segment_writer, treats_the_first_failure_as_final)
{
    int fd = open(test_path(test_directory(), "f"), O_RDWR | O_CREAT, 0600);
    struct segment_writer *writer;
    CHECK_OK(segment_writer_open(NULL, &writer));
    struct outcomes outcomes = {0};
    write_frame(writer, fd, 1, &outcomes);
    CHECK_OK(segment_writer_drain(writer, NULL));
    CHECK(segment_writer_failure(writer) == NULL);
    int reading = open("/dev/null", O_RDONLY); /* a write to it fails */
    write_frame(writer, reading, 2, &outcomes);
    struct storage_error error = {0};
    CHECK_STATUS(segment_writer_drain(writer, &error), RR_IO);
    CHECK(strstr(error.text, "the file") != NULL);
    write_frame(writer, fd, 3, &outcomes); /* this disk is well */
    CHECK_STATUS(segment_writer_drain(writer, &error), RR_IO);
    segment_writer_poll(writer);
    CHECK_EQ(outcomes.count, 3);
    CHECK_OK(outcomes.statuses[0]);
    CHECK_STATUS(outcomes.statuses[1], RR_IO);
    CHECK_STATUS(outcomes.statuses[2], RR_IO);
    CHECK_EQ(segment_writer_durable(writer, NULL), 1);
    CHECK_EQ(lseek(fd, 0, SEEK_END), 16);
    CHECK_TEXT(segment_writer_failure(writer), error.text);
    segment_writer_close(writer);
    close(reading);
    close(fd);
}
