/* The table of commands as text, for tools/compatibility.py. */
#ifndef COREDB_COMMAND_LISTING_H
#define COREDB_COMMAND_LISTING_H

#include <stdio.h>

/*
 * Writes a line for each command and subcommand, after command_table_init: name, group, since,
 * arity, where it runs, summary and note, with tabs between them. The main thread's.
 */
void listing_print(FILE *out);

#endif
