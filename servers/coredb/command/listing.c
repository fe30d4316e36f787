/* The table of commands as text. */
#include "coredb/command/listing.h"

#include "coredb/command/command.h"

static const char *place_of(const struct command *command)
{
    if ((command->flags & COMMAND_WRITE) != 0) {
        return "write";
    }
    if ((command->flags & COMMAND_READONLY) != 0) {
        return "read";
    }
    if (command->run == NULL && command->local == NULL) {
        return "container";
    }
    return command->run != NULL ? "data" : "connection";
}

static void print_row(FILE *out, const struct command *container, const struct command *command)
{
    const char *in = container != NULL ? container->name : "";
    const char *since = command->since != NULL ? command->since : "";
    const char *note = command->note != NULL ? command->note : "";
    fprintf(out, "%s%s%s\t%s\t%s\t%d\t%s\t%s\t%s\n", in, container != NULL ? " " : "",
            command->name, command->group, since, command->arity, place_of(command),
            command->summary, note);
}

void listing_print(FILE *out)
{
    size_t position = 0;
    for (const struct command *command = command_next(&position); command != NULL;
         command = command_next(&position)) {
        print_row(out, NULL, command);
        const struct command *sub = command->subcommands;
        for (; sub != NULL && sub->name != NULL; sub++) {
            print_row(out, command, sub);
        }
    }
}
