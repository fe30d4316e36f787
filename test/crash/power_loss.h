/*
 * What the parts of power-loss share. One thread; all ends the process with a text on failure.
 */
#ifndef TEST_CRASH_POWER_LOSS_H
#define TEST_CRASH_POWER_LOSS_H

#include "disk_shim.h"

#include <stdbool.h>
#include <stddef.h>

/* A record of the journal. */
struct change {
    struct shim_record record;
    uint64_t at; /* its place in the journal */
    const char *names[2];
    const uint8_t *bytes;
    bool made;    /* of names: DONE came */
    bool durable; /* of data: a sync covers it */
    bool failed;  /* of data: a sync of it failed */
};

/* Where the bytes of an inode are. */
struct place {
    uint64_t inode;
    char *path;
    bool is_directory;
};

struct counts {
    uint64_t names, names_lost, files, sectors, sectors_lost, sizes_lost;
};

extern struct counts counts;
extern struct change *changes;
extern size_t change_count;
extern char **in_order; /* patterns; ends with NULL */

__attribute__((format(printf, 1, 2))) void fail(const char *format, ...);
uint64_t draw(uint64_t limit);
bool keeps(uint64_t chance);                    /* true with `chance` in 8 */
void *allocate(size_t size);                    /* zeroed, and one byte more */
const struct place *find_place(uint64_t inode); /* NULL: nowhere */

/* Takes back what is lost of the bytes and sizes of all files, where they are now. */
void lose_all_bytes(void);

#endif
