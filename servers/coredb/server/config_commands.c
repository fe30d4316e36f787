/* CONFIG: the settings of this node. */
#include "coredb/server/surface.h"

const struct command commands_config[] = {{.name = NULL}};
