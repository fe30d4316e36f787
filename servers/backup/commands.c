/* The three commands over rockraft/backup.h; results to stdout, progress and failures to stderr. */
#include "backup/commands.h"

#include <rockraft/backup.h>

#include <inttypes.h>
#include <stdio.h>
#include <time.h>

enum { ERROR_BYTES = 1024 };

/* ---- Progress ---- */

struct meter {
    time_t shown; /* at most one line of numbers a second */
    uint64_t bytes_done;
};

static bool show(void *arg, const rr_backup_progress *progress)
{
    struct meter *meter = arg;
    time_t now = time(NULL);
    if (progress->event != NULL) {
        fprintf(stderr, "%s\n", progress->event);
    } else if (progress->bytes > 0 && progress->bytes_done != meter->bytes_done &&
               (now != meter->shown || progress->bytes_done == progress->bytes)) {
        fprintf(stderr, "%" PRIu64 " of %" PRIu64 " bytes\n", progress->bytes_done,
                progress->bytes);
        meter->shown = now;
        meter->bytes_done = progress->bytes_done;
    }
    return true;
}

static int failed(rr_status status, const char *error)
{
    fprintf(stderr, "rockraft-backup: %s: %s\n", rr_status_name(status),
            error[0] != '\0' ? error : "failed");
    return status == RR_INVALID ? 2 : 1;
}

/* ---- What a backup holds ---- */

static void print_info(const char *path, const rr_backup_info *info)
{
    time_t made = (time_t)(info->made_ms / 1000);
    struct tm parts;
    char text[64] = "?";
    if (gmtime_r(&made, &parts) != NULL) {
        strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%SZ", &parts);
    }
    printf("backup:   %s\n"
           "made:     %s\n"
           "cluster:  %016" PRIx64 "\n"
           "node:     %" PRIu64 "\n"
           "index:    %" PRIu64 "\n"
           "term:     %" PRIu64 "\n"
           "size:     %" PRIu64 " bytes in %" PRIu32 " files\n",
           path, text, info->cluster, info->node, info->index, info->term, info->bytes,
           info->file_count);
    for (uint32_t i = 0; i < info->member_count && i < RR_BACKUP_MEMBERS_MAX; i++) {
        const rr_member *member = &info->members[i];
        printf("member:   %" PRIu64 " at %s%s\n", member->id, member->address,
               member->role == RR_LEARNER ? ", a learner" : "");
    }
}

/* ---- Commands ---- */

int commands_save(const struct options *options)
{
    struct meter meter = {0};
    char error[ERROR_BYTES] = "";
    rr_backup_info info = {.struct_size = sizeof(info)};
    rr_backup_options save;
    rr_backup_options_init(&save);
    save.from = options->from;
    save.from_count = options->from_count;
    save.path = options->path;
    save.bytes_per_s = options->bytes_per_s;
    if (options->timeout_s != 0) {
        save.timeout_ms = options->timeout_s * 1000;
    }
    save.progress = show;
    save.progress_arg = &meter;
    rr_status status = rr_backup_save(&save, &info, error, sizeof(error));
    if (status != RR_OK) {
        return failed(status, error);
    }
    print_info(options->path, &info);
    return 0;
}

int commands_verify(const struct options *options)
{
    char error[ERROR_BYTES] = "";
    rr_backup_info info = {.struct_size = sizeof(info)};
    rr_status status = rr_backup_verify(options->path, &info, error, sizeof(error));
    if (status != RR_OK) {
        return failed(status, error);
    }
    print_info(options->path, &info);
    return 0;
}

int commands_restore(const struct options *options)
{
    struct meter meter = {0};
    char error[ERROR_BYTES] = "";
    uint64_t cluster = 0;
    rr_restore_options restore;
    rr_restore_options_init(&restore);
    restore.path = options->path;
    restore.data_path = options->data_path;
    restore.node_id = options->node_id;
    restore.address = options->address;
    restore.progress = show;
    restore.progress_arg = &meter;
    rr_status status = rr_backup_restore(&restore, NULL, &cluster, error, sizeof(error));
    if (status != RR_OK) {
        return failed(status, error);
    }
    printf("restored: %s\n"
           "cluster:  %016" PRIx64 ", a new one\n"
           "node:     %" PRIu64 " at %s, its one member\n",
           options->data_path, cluster, options->node_id, options->address);
    return 0;
}
