/* Making folders, one inside the other. */
#include "common/parents.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

bool parents_make(const char *path)
{
    char *copy = strdup(path);
    bool made = copy != NULL;
    for (char *slash = made && path[0] != '\0' ? strchr(copy + 1, '/') : NULL;
         slash != NULL && made; slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        made = mkdir(copy, 0755) == 0 || errno == EEXIST;
        *slash = '/';
    }
    free(copy);
    return made;
}
