/* What the calls about backups share (rockraft/backup.h). */
#ifndef NODE_BACKUP_INFO_H
#define NODE_BACKUP_INFO_H

#include "rockraft/backup.h"

#include "storage/backup_dir.h"

/*
 * What the backup holds, into `out` as far as its struct_size reaches; NULL is fine. RR_OK;
 * RR_CORRUPT or RR_MISMATCH, its members cannot be read or are another cluster's; RR_INVALID, a
 * struct_size that was not set.
 */
RR_MUST_USE rr_status backup_info_of(const struct backup_dir *backup, rr_backup_info *out,
                                     struct storage_error *error);

/* Copies the text for the caller, who may want none; returns `status`. */
rr_status backup_result(rr_status status, const struct storage_error *failure, char *error,
                        size_t error_size);

#endif
