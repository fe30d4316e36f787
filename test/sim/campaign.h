/*
 * Many seeds, in child processes, so that one that ends in an assertion or a hang does not end the
 * campaign.
 */
#ifndef SIM_CAMPAIGN_H
#define SIM_CAMPAIGN_H

#include "sim.h"

struct campaign {
    struct sim_options options; /* of every run, but for the seed */
    uint64_t first;
    uint64_t count;
    uint32_t jobs;
    bool keep_going;    /* past failures */
    bool quiet;         /* no progress, no events of failed runs */
    const char *repeat; /* the options that repeat a run, without the seed */
};

/* How many seeds failed. Unless `keep_going`, the smallest failing seed is found and ends it. */
uint64_t campaign_run(const struct campaign *campaign);

/* One run in this process; returns the exit status. */
int campaign_run_one(const struct sim_options *options);

#endif
