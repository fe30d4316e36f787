/* The faults that can be planted in the core: names for those of raft/fault.h. */
#ifndef SIM_FAULTS_H
#define SIM_FAULTS_H

#include <stdbool.h>

/* Turns the fault of this name on for the whole process; false if there is none. */
bool faults_plant(const char *name);

/* Prints one line for each: its name and what it is. */
void faults_list(void);

#endif
