/* A backup as its users see it; verifying one. */
#include "node/backup_info.h"

#include "base/memory.h"
#include "node/members_meta.h"

#include <stdio.h>
#include <string.h>

static void fill_members(const struct member_list *list, rr_backup_info *info)
{
    for (uint32_t at = 0; at < list->count && at < RR_BACKUP_MEMBERS_MAX; at++) {
        rr_member *member = &info->members[at];
        member->id = list->members[at].id;
        member->role = list->members[at].role;
        snprintf(member->address, sizeof(member->address), "%s", list->members[at].address);
        info->member_count++;
    }
}

static void fill(const struct backup_dir *backup, const struct members_meta *meta,
                 rr_backup_info *info)
{
    const struct backup_origin *origin = backup_dir_origin(backup);
    struct snapshot_info snapshot;
    snapshot_info(backup_dir_snapshot(backup), &snapshot);
    info->cluster = origin->cluster;
    info->node = origin->node;
    info->made_ms = origin->made_ms;
    info->index = snapshot.position.index;
    info->term = snapshot.position.term;
    info->bytes = snapshot.size;
    info->file_count = snapshot.file_count;
    fill_members(&meta->list, info);
}

rr_status backup_info_of(const struct backup_dir *backup, rr_backup_info *out,
                         struct storage_error *error)
{
    if (out != NULL && out->struct_size < sizeof(size_t)) {
        return storage_fail(error, RR_INVALID, "rr_backup_info: struct_size is not set");
    }
    struct members_meta *meta = mem_new(struct members_meta);
    rr_status status = members_meta_decode(snapshot_meta(backup_dir_snapshot(backup)), meta);
    if (status == RR_MISMATCH) {
        (void)storage_fail(error, status, "a newer version made the backup; use that");
    } else if (status != RR_OK || meta->cluster == 0 ||
               meta->cluster != backup_dir_origin(backup)->cluster) {
        status = storage_fail(error, RR_CORRUPT,
                              "the members in the backup are damaged, or of another cluster");
    } else if (out != NULL) {
        rr_backup_info info = {.struct_size = out->struct_size};
        fill(backup, meta, &info);
        memcpy(out, &info, out->struct_size < sizeof(info) ? out->struct_size : sizeof(info));
    }
    mem_free(meta);
    return status;
}

rr_status backup_result(rr_status status, const struct storage_error *failure, char *error,
                        size_t error_size)
{
    if (status != RR_OK && error != NULL && error_size > 0) {
        const char *text = failure->text;
        snprintf(error, error_size, "%s", text[0] != '\0' ? text : rr_status_name(status));
    }
    return status;
}

rr_status rr_backup_verify(const char *path, rr_backup_info *info, char *error, size_t error_size)
{
    struct storage_error failure = {{0}};
    struct backup_dir *backup = NULL;
    if (path == NULL) {
        return RR_INVALID;
    }
    rr_status status = backup_dir_open(path, &failure, &backup);
    if (status == RR_OK) {
        status = snapshot_verify(backup_dir_snapshot(backup), &failure);
    }
    if (status == RR_OK) {
        status = backup_info_of(backup, info, &failure);
    }
    backup_dir_close(backup);
    return backup_result(status, &failure, error, error_size);
}
