/* The main of every program of TESTs: all of them, those that match a text, or their names. */
#include "support/test_private.h"

#include <stdio.h>
#include <string.h>

int main(int argument_count, char **arguments)
{
    if (argument_count > 2) {
        fprintf(stderr, "usage: %s [--list | PART_OF_A_NAME]\n", arguments[0]);
        return 2;
    }
    const char *argument = argument_count == 2 ? arguments[1] : "";
    if (strcmp(argument, "--list") == 0) {
        test_list();
        return 0;
    }
    return test_run_all(argument);
}
