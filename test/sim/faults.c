#define RAFT_FAULTS 1
#include "faults.h"

#include <stdio.h>
#include <string.h>

#include "raft/fault.h"

enum raft_fault raft_fault_planted = RAFT_FAULT_NONE;

#define NAME_AND_TEXT(name, text) {#name, text},

static const struct {
    const char *name;
    const char *text;
} faults[] = {RAFT_FAULT_LIST(NAME_AND_TEXT)};

bool faults_plant(const char *name)
{
    for (size_t i = 0; i < sizeof(faults) / sizeof(faults[0]); i++) {
        if (strcmp(faults[i].name, name) == 0) {
            raft_fault_planted = (enum raft_fault)(i + 1); /* 0 is none */
            return true;
        }
    }
    return false;
}

void faults_list(void)
{
    for (size_t i = 0; i < sizeof(faults) / sizeof(faults[0]); i++) {
        printf("%-30s %s\n", faults[i].name, faults[i].text);
    }
}
