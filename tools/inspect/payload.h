/*
 * What is inside entries and the state's meta: commands (docs/command-format.md) and members
 * (docs/membership.md). It is printed as far as it can be read; nothing is verified by it.
 */
#ifndef INSPECT_PAYLOAD_H
#define INSPECT_PAYLOAD_H

#include "inspect/output.h"

/* Adds fields that say what a normal entry's payload is to the item that is being printed. */
void payload_print_command(struct output *output, struct slice payload);

/* Prints the configuration that a state's meta holds: an item of its own, and one for each member.
 * False if it cannot be read. */
bool payload_print_meta(struct output *output, struct slice meta);

/* The cluster that a state's meta names, once payload_print_meta could read it. */
uint64_t payload_meta_cluster(struct slice meta);

#endif
