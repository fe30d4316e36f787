/* What rockraft-backup does: each returns the exit status after it has said what came of it. */
#ifndef BACKUP_COMMANDS_H
#define BACKUP_COMMANDS_H

#include "backup/options.h"

int commands_save(const struct options *options);
int commands_verify(const struct options *options);
int commands_restore(const struct options *options);

#endif
