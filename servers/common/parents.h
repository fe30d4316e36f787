/* The folders above a path that a configuration names. */
#ifndef COMMON_PARENTS_H
#define COMMON_PARENTS_H

#include <stdbool.h>

/* Makes the folders that `path` lies in, where they are missing, but not `path` itself. False with
 * errno when one cannot be made. Any thread. */
bool parents_make(const char *path);

#endif
