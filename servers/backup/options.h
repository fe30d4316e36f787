/* The command line of rockraft-backup. */
#ifndef BACKUP_OPTIONS_H
#define BACKUP_OPTIONS_H

#include <stddef.h>
#include <stdint.h>

enum { OPTIONS_ADDRESSES_MAX = 31 };

enum options_action {
    OPTIONS_SAVE,
    OPTIONS_VERIFY,
    OPTIONS_RESTORE,
    OPTIONS_HELP,
    OPTIONS_VERSION,
    OPTIONS_WRONG, /* said why on stderr */
};

/* All text points into the arguments. */
struct options {
    const char *path; /* of the backup */
    const char *from[OPTIONS_ADDRESSES_MAX];
    size_t from_count;
    uint64_t bytes_per_s; /* 0: no limit */
    uint32_t timeout_s;   /* 0: the library's default */
    const char *data_path;
    uint64_t node_id;
    const char *address;
};

/* Reads the arguments, which it may change. */
enum options_action options_read(int argument_count, char **arguments, struct options *options);

void options_print_help(void);
void options_print_version(void);

#endif
