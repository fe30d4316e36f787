/* Categories follow from a command's group and flags, but for the exceptions that Redis makes. */
#include "coredb/server/categories.h"

#include "coredb/base/bytes.h"

#include <string.h>

enum {
    KEYSPACE = 1 << 0,
    READ = 1 << 1,
    WRITE = 1 << 2,
    SET = 1 << 3,
    SORTED_SET = 1 << 4,
    LIST = 1 << 5,
    HASH = 1 << 6,
    STRING = 1 << 7,
    BITMAP = 1 << 8,
    HYPERLOGLOG = 1 << 9,
    GEO = 1 << 10,
    STREAM = 1 << 11,
    PUBSUB = 1 << 12,
    ADMIN = 1 << 13,
    FAST = 1 << 14,
    SLOW = 1 << 15,
    BLOCKING = 1 << 16,
    DANGEROUS = 1 << 17,
    CONNECTION = 1 << 18,
    TRANSACTION = 1 << 19,
    SCRIPTING = 1 << 20,
};

/* By bit. */
static const char *const names[] = {
    "keyspace", "read",   "write",       "set",       "sortedset",  "list",        "hash",
    "string",   "bitmap", "hyperloglog", "geo",       "stream",     "pubsub",      "admin",
    "fast",     "slow",   "blocking",    "dangerous", "connection", "transaction", "scripting",
};

static const struct {
    const char *group;
    uint32_t category;
} groups[] = {{"generic", KEYSPACE},
              {"string", STRING},
              {"list", LIST},
              {"set", SET},
              {"sorted-set", SORTED_SET},
              {"hash", HASH},
              {"stream", STREAM},
              {"bitmap", BITMAP},
              {"hyperloglog", HYPERLOGLOG},
              {"geo", GEO},
              {"pubsub", PUBSUB},
              {"connection", CONNECTION},
              {"transactions", TRANSACTION},
              {"scripting", SCRIPTING}};

/* What stands in place of the group's category. A container's name stands for its subcommands. */
static const struct {
    const char *name;
    uint32_t categories;
} exceptions[] = {{"command", CONNECTION},
                  {"readonly", CONNECTION},
                  {"readwrite", CONNECTION},
                  {"asking", CONNECTION},
                  {"wait", CONNECTION},
                  {"dbsize", KEYSPACE},
                  {"flushall", KEYSPACE | DANGEROUS},
                  {"flushdb", KEYSPACE | DANGEROUS},
                  {"swapdb", KEYSPACE | DANGEROUS},
                  {"info", DANGEROUS},
                  {"role", ADMIN | DANGEROUS},
                  {"lastsave", ADMIN | DANGEROUS},
                  {"keys", KEYSPACE | DANGEROUS},
                  {"restore", KEYSPACE | DANGEROUS},
                  {"sort", SET | SORTED_SET | LIST | DANGEROUS},
                  {"sort_ro", SET | SORTED_SET | LIST | DANGEROUS}};

static uint32_t of_group(const struct command *container, const struct command *command)
{
    const char *name = container != NULL ? container->name : command->name;
    for (size_t i = 0; i < sizeof(exceptions) / sizeof(*exceptions); i++) {
        if (strcmp(name, exceptions[i].name) == 0) {
            return exceptions[i].categories;
        }
    }
    for (size_t i = 0; i < sizeof(groups) / sizeof(*groups); i++) {
        if (strcmp(command->group, groups[i].group) == 0) {
            return groups[i].category;
        }
    }
    return 0;
}

/* Whether it only holds subcommands, or is PUBSUB HELP, which Redis forgot. */
static bool has_no_group(const struct command *container, const struct command *command)
{
    return (command->run == NULL && command->local == NULL) ||
           (container != NULL && strcmp(container->name, "pubsub") == 0 &&
            strcmp(command->name, "help") == 0);
}

uint32_t categories_of(const struct command *container, const struct command *command)
{
    uint32_t flags = command->flags;
    uint32_t all = has_no_group(container, command) ? 0 : of_group(container, command);
    bool scripting = (all & SCRIPTING) != 0;
    bool runs = scripting && (container == NULL || strcmp(container->name, "script") == 0);
    if ((flags & COMMAND_WRITE) != 0 && !runs) {
        all |= WRITE;
    }
    if ((flags & COMMAND_READONLY) != 0 && !scripting) {
        all |= READ;
    }
    if ((flags & COMMAND_BLOCKING) != 0) {
        all |= BLOCKING;
    }
    if ((flags & COMMAND_ADMIN) != 0) {
        all |= ADMIN | DANGEROUS;
    }
    return all | ((flags & COMMAND_FAST) != 0 ? FAST : SLOW);
}

const char *categories_name(size_t i)
{
    return i < sizeof(names) / sizeof(*names) ? names[i] : NULL;
}

uint32_t categories_find(rr_bytes name)
{
    for (size_t i = 0; categories_name(i) != NULL; i++) {
        if (bytes_is(name, categories_name(i))) {
            return 1U << i;
        }
    }
    return 0;
}
