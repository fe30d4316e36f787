/* The table of commands, and where a request's keys stand. */
#include "coredb/command/command.h"

#include "coredb/base/bytes.h"
#include "coredb/base/number.h"

#include <stdlib.h>

enum { COMMANDS_MAX = 512, BUCKETS = 2048 };

static const struct command *commands[COMMANDS_MAX];
static size_t command_total;
static const struct command *buckets[BUCKETS];

static size_t bucket_of(rr_bytes name)
{
    uint32_t hash = 2166136261u;
    for (size_t i = 0; i < name.size; i++) {
        uint8_t c = ((const uint8_t *)name.data)[i];
        hash = (hash ^ (c >= 'A' && c <= 'Z' ? c + 32u : c)) * 16777619u;
    }
    return hash % BUCKETS;
}

const struct command *command_find(rr_bytes name)
{
    if (name.size > 64) {
        return NULL;
    }
    for (size_t i = bucket_of(name); buckets[i] != NULL; i = (i + 1) % BUCKETS) {
        if (bytes_is(name, buckets[i]->name)) {
            return buckets[i];
        }
    }
    return NULL;
}

void command_table_add(const struct command *rows)
{
    for (; rows->name != NULL; rows++) {
        rr_bytes name = bytes_of(rows->name);
        if (command_total == COMMANDS_MAX || command_find(name) != NULL) {
            continue;
        }
        commands[command_total++] = rows;
        size_t i = bucket_of(name);
        while (buckets[i] != NULL) {
            i = (i + 1) % BUCKETS;
        }
        buckets[i] = rows;
    }
}

const struct command *command_resolve(const rr_bytes *argv, size_t argc,
                                      const struct command **container)
{
    const struct command *command = argc == 0 ? NULL : command_find(argv[0]);
    if (container != NULL) {
        *container = command;
    }
    if (command == NULL || command->subcommands == NULL || argc < 2) {
        return command;
    }
    for (const struct command *sub = command->subcommands; sub->name != NULL; sub++) {
        if (bytes_is(argv[1], sub->name)) {
            return sub;
        }
    }
    return NULL;
}

bool command_arity_fits(const struct command *command, size_t argc)
{
    return command->arity >= 0 ? argc == (size_t)command->arity : argc >= (size_t)-command->arity;
}

const struct command *command_next(size_t *position)
{
    return *position < command_total ? commands[(*position)++] : NULL;
}

size_t command_count(void)
{
    return command_total;
}

void command_table_init(void)
{
    static const struct command *const groups[] = {
        commands_string, commands_bitmap,   commands_hyperloglog, commands_generic,
        commands_list,   commands_blocking, commands_hash,        commands_set,
        commands_zset,   commands_geo,      commands_stream,      commands_script,
    };
    for (size_t i = 0; i < sizeof(groups) / sizeof(*groups); i++) {
        if (groups[i] != NULL)
            command_table_add(groups[i]);
    }
}
