/*
 * Makes commands up from bytes, which a fuzzer or a generator of random numbers gives: one of a list
 * of commands that mostly succeed, or any of the table with as many arguments as it takes, of
 * whatever kind. The same bytes make the same commands.
 */
#ifndef COREDB_TEST_COMMAND_MAKER_H
#define COREDB_TEST_COMMAND_MAKER_H

#include <rockraft/types.h>

enum { MAKER_ARGUMENTS_MAX = 24, MAKER_WORD_MAX = 96 };

/* The bytes that are left; the caller's. */
struct maker {
    const uint8_t *data;
    size_t left;
};

/* A command; its arguments lie in `texts`, in the maker's bytes or in constants. */
struct made_command {
    rr_bytes argv[MAKER_ARGUMENTS_MAX];
    size_t argc;
    char texts[MAKER_ARGUMENTS_MAX][MAKER_WORD_MAX];
};

/* Looks through the table of commands; before anything else. */
void maker_init(void);

/* The next byte; 0 when none is left. */
uint8_t maker_take(struct maker *maker);

/* The next command. */
void maker_command(struct maker *maker, struct made_command *out);

/* Commands that make a collection large: up to 510 elements, beyond all thresholds. */
struct filling {
    const char *form;
    unsigned count;
    unsigned spread;
    unsigned done;
};
void maker_filling(struct maker *maker, struct filling *out);
/* The next of them; false: there is none. */
bool filling_next(struct filling *filling, struct made_command *out);

#endif
