/* The core once more, with the faults that can be planted in it. */
#define RAFT_FAULTS 1
#include "raft/election.c"
