/* Unions, intersections and differences of sets: the commands whose rows are in set.c. */
#ifndef COREDB_COMMAND_SET_COMBINE_H
#define COREDB_COMMAND_SET_COMBINE_H

#include "coredb/command/command.h"

void set_run_sunion(struct exec *exec);
void set_run_sunionstore(struct exec *exec);
void set_run_sinter(struct exec *exec);
void set_run_sinterstore(struct exec *exec);
void set_run_sintercard(struct exec *exec);
void set_run_sdiff(struct exec *exec);
void set_run_sdiffstore(struct exec *exec);

#endif
