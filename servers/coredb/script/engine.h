/*
 * Runs one Lua script over the data, with Redis's rules. A script's effects and its reply depend on
 * its text, its arguments and the data alone: it has no clock, sees no addresses, draws its random
 * numbers from the store, and is ended by limits that count its work and memory, not time.
 *
 * Each script has a state of Lua of its own, so nothing passes from one to another.
 */
#ifndef COREDB_SCRIPT_ENGINE_H
#define COREDB_SCRIPT_ENGINE_H

#include "coredb/command/command.h"
#include "coredb/script/sha1.h"

struct script {
    rr_bytes text;
    char sha1[SHA1_HEX_SIZE + 1];
    const rr_bytes *keys;
    size_t key_count;
    const rr_bytes *arguments;
    size_t argument_count;
    bool read_only; /* a command that writes is refused */
};

/* Runs it and writes its reply, or the error that it ended with, to `exec->reply`. Writes that it
 * made before an error stay, but for a script that used up its budget of work, which leaves none.
 * What it does counts as work of the store. The thread of the procedure or the query. */
void engine_run(struct exec *exec, const struct script *script);

/* Whether the text compiles; else `error` receives Redis's message without its code. */
bool engine_compiles(rr_bytes text, char *error, size_t error_size);

#endif
