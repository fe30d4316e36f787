/*
 * A disk that loses what was not synced: it watches what file.h does in one directory (flat, small
 * files) and can tell at any moment what a crash might leave of it.
 *
 * Writes reach the disk in sectors of 512 bytes, in any order, until the file is synced; names are
 * created, renamed and removed in any order, until the directory is. What a sync that failed was
 * to write may never reach it, whatever is synced later; reading shows it all the same.
 */
#ifndef TEST_STORAGE_DISK_H
#define TEST_STORAGE_DISK_H

#include "base/buffer.h"
#include "base/random.h"
#include "storage/file.h"

/* A file as a crash leaves it. */
struct disk_file {
    char name[64];
    struct buffer bytes;
};

enum { DISK_FILES_MAX = 256 };

/* The directory as a crash leaves it. */
struct disk_image {
    struct disk_file files[DISK_FILES_MAX];
    uint32_t count;
};

void disk_image_deinit(struct disk_image *image);

/* Creates `directory`, or empties it, and puts the files there. */
void disk_image_write(const struct disk_image *image, const char *directory);

struct disk;

/* A disk on which the files of `directory` are, all of them durable. */
struct disk *disk_new(const char *directory);
void disk_free(struct disk *disk);

/* Notes what happens; for file_observe, by way of a function that chooses when to crash. */
void disk_note(struct disk *disk, const struct file_event *event);

/* The image that the end of the process alone leaves, without a crash of the machine: everything. */
void disk_kill(const struct disk *disk, struct disk_image *out);

/* Draws one of the images that a crash may leave. */
void disk_crash(const struct disk *disk, struct random *random, struct disk_image *out);

#endif
