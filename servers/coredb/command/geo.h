/* The geo commands: what their files share. Members' positions are the scores of a sorted set. */
#ifndef COREDB_COMMAND_GEO_H
#define COREDB_COMMAND_GEO_H

#include "coredb/command/command.h"
#include "coredb/value/geohash.h"

/* Parse from argv[i] on; false: answered. */
bool geo_argument_point(struct exec *exec, size_t i, struct geo_point *out);
bool geo_argument_unit(struct exec *exec, size_t i, double *metres);

void geo_reply_distance(struct reply *reply, double distance);
void geo_reply_point(struct reply *reply, struct geo_point point);

/* geo_search.c; the rows are in geo.c. */
void command_georadius(struct exec *exec);
void command_georadius_ro(struct exec *exec);
void command_georadiusbymember(struct exec *exec);
void command_georadiusbymember_ro(struct exec *exec);
void command_geosearch(struct exec *exec);
void command_geosearchstore(struct exec *exec);

#endif
