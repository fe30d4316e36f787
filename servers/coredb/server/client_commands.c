/* CLIENT: what this node knows about its connections. */
#include "coredb/base/bytes.h"
#include "coredb/server/client.h"
#include "coredb/server/surface.h"

const struct command commands_client[] = {{.name = NULL}};
