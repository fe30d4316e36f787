#include "raft/log.h"

#include <string.h>

#include "base/assert.h"
#include "base/memory.h"
#include "raft/fault.h"

void raft_log_init(struct raft_log *log, raft_index base, raft_term base_term)
{
    memset(log, 0, sizeof(*log));
    log->base = base;
    log->base_term = base_term;
    log->last = base;
    log->persisted = base;
    log->committed = base;
    log->applied = base;
}

void raft_log_deinit(struct raft_log *log)
{
    mem_free(log->runs);
    mem_free(log->configurations);
    memset(log, 0, sizeof(*log));
}

raft_term raft_log_last_term(const struct raft_log *log)
{
    return log->run_count > 0 ? log->runs[log->run_count - 1].term : log->base_term;
}

/* The run that holds `index`, which is in the log. Searched from the end: callers ask there. */
static uint32_t find_run(const struct raft_log *log, raft_index index)
{
    ASSERT(index > log->base);
    ASSERT(index <= log->last);
    uint32_t at = log->run_count - 1;
    while (log->runs[at].first > index) {
        ASSERT(at > 0);
        at--;
    }
    return at;
}

bool raft_log_term(const struct raft_log *log, raft_index index, raft_term *out)
{
    if (index < log->base || index > log->last) {
        return false;
    }
    *out = index == log->base ? log->base_term : log->runs[find_run(log, index)].term;
    return true;
}

bool raft_log_matches(const struct raft_log *log, raft_index index, raft_term term)
{
    raft_term own;
    return raft_log_term(log, index, &own) && own == term;
}

bool raft_log_up_to_date(const struct raft_log *log, raft_index index, raft_term term)
{
    raft_term own = raft_log_last_term(log);
    if (RAFT_FAULT(log_unchecked) || RAFT_FAULT(log_length_only)) {
        return RAFT_FAULT(log_unchecked) || index >= log->last;
    }
    return term > own || (term == own && index >= log->last);
}

static void push_configuration(struct raft_log *log, raft_index index)
{
    if (log->configuration_count == log->configuration_capacity) {
        log->configuration_capacity += 4;
        log->configurations = mem_resize(log->configurations, log->configuration_capacity *
                                                                  sizeof(*log->configurations));
    }
    log->configurations[log->configuration_count] = index;
    log->configuration_count++;
}

void raft_log_append(struct raft_log *log, raft_term term, bool configuration)
{
    ASSERT(term >= raft_log_last_term(log));
    log->last++;
    if (log->run_count == 0 || log->runs[log->run_count - 1].term != term) {
        if (log->run_count == log->run_capacity) {
            log->run_capacity = log->run_capacity == 0 ? 4 : 2 * log->run_capacity;
            log->runs = mem_resize(log->runs, log->run_capacity * sizeof(*log->runs));
        }
        log->runs[log->run_count].first = log->last;
        log->runs[log->run_count].term = term;
        log->run_count++;
    }
    if (configuration) {
        push_configuration(log, log->last);
    }
}

void raft_log_truncate(struct raft_log *log, raft_index index)
{
    ASSERT(index >= log->committed);
    ASSERT(index <= log->last);
    while (log->run_count > 0 && log->runs[log->run_count - 1].first > index) {
        log->run_count--;
    }
    while (log->configuration_count > 0 &&
           log->configurations[log->configuration_count - 1] > index) {
        log->configuration_count--;
    }
    log->last = index;
    if (log->persisted > index) {
        log->persisted = index;
    }
}

void raft_log_compact(struct raft_log *log, raft_index index)
{
    if (index <= log->base) {
        return;
    }
    ASSERT(index <= log->last);
    raft_term term = 0;
    bool known = raft_log_term(log, index, &term);
    ASSERT(known);
    if (index == log->last) {
        log->run_count = 0;
    } else {
        uint32_t first = find_run(log, index + 1);
        memmove(log->runs, log->runs + first, (log->run_count - first) * sizeof(*log->runs));
        log->run_count -= first;
        log->runs[0].first = index + 1;
    }
    log->base = index;
    log->base_term = term;
    if (log->persisted < index) {
        log->persisted = index;
    }
}

void raft_log_restore(struct raft_log *log, raft_index index, raft_term term)
{
    ASSERT(index > log->committed);
    log->run_count = 0;
    log->configuration_count = 0;
    log->base = index;
    log->base_term = term;
    log->last = index;
    log->persisted = index;
    log->committed = index;
}

raft_index raft_log_find_term(const struct raft_log *log, raft_index index, raft_term term,
                              raft_term *found)
{
    while (index > 0) {
        raft_term own;
        if (!raft_log_term(log, index, &own)) {
            *found = 0;
            return index;
        }
        if (own <= term) {
            *found = own;
            return index;
        }
        index = index == log->base ? index - 1 : log->runs[find_run(log, index)].first - 1;
    }
    *found = 0;
    return 0;
}

void raft_log_applied(struct raft_log *log, raft_index index)
{
    ASSERT(index >= log->applied);
    ASSERT(index <= log->committed);
    log->applied = index;
    uint32_t done = 0;
    while (done < log->configuration_count && log->configurations[done] <= index) {
        done++;
    }
    if (done > 0) {
        memmove(log->configurations, log->configurations + done,
                (log->configuration_count - done) * sizeof(*log->configurations));
        log->configuration_count -= done;
    }
}

uint32_t raft_log_configurations_pending(const struct raft_log *log)
{
    return log->configuration_count;
}

uint32_t raft_log_configurations_committed(const struct raft_log *log)
{
    uint32_t count = 0;
    while (count < log->configuration_count && log->configurations[count] <= log->committed) {
        count++;
    }
    return count;
}
