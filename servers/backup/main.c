/* rockraft-backup. */
#include "backup/commands.h"
#include "backup/options.h"

int main(int argument_count, char **arguments)
{
    struct options options;
    switch (options_read(argument_count, arguments, &options)) {
    case OPTIONS_SAVE:
        return commands_save(&options);
    case OPTIONS_VERIFY:
        return commands_verify(&options);
    case OPTIONS_RESTORE:
        return commands_restore(&options);
    case OPTIONS_HELP:
        options_print_help();
        return 0;
    case OPTIONS_VERSION:
        options_print_version();
        return 0;
    case OPTIONS_WRONG:
        break;
    }
    return 2;
}
