/* The three families of scenario files. Each runs the cases of one file in one environment. */
#ifndef SCENARIO_FAMILIES_H
#define SCENARIO_FAMILIES_H

#include "raft/configuration.h"
#include "scenario/script.h"

struct family {
    /* Whether a file whose first command is this one belongs to the family. */
    bool (*knows)(const char *command);
    void *(*open)(void);
    /* Runs one case; its result is left in `out`. */
    void (*run)(void *environment, const struct script_case *item, struct buffer *out);
    void (*close)(void *environment);
};

extern const struct family interaction_family; /* knows every command that the others do not */
extern const struct family conf_change_family;
extern const struct family quorum_family;

/* Reads operations such as "v1 l2 r3 u4". On a bad token writes the published error text and
 * returns false. */
bool operations_parse(const char *input, struct raft_conf_change *out, struct buffer *error);

#endif
