/* DEBUG and SHUTDOWN. */
#include "coredb/server/surface.h"

const struct command commands_debug[] = {{.name = NULL}};
