#include "raft/quorum.h"

#include "base/assert.h"
#include "raft/fault.h"

/* Insertion sort: the sets are small and mostly sorted already. */
static void sort(uint64_t *values, size_t count)
{
    for (size_t i = 1; i < count; i++) {
        uint64_t value = values[i];
        size_t at = i;
        while (at > 0 && values[at - 1] > value) {
            values[at] = values[at - 1];
            at--;
        }
        values[at] = value;
    }
}

static size_t majority(size_t count)
{
    return RAFT_FAULT(half_is_quorum) ? (count + 1) / 2 : count / 2 + 1;
}

uint64_t quorum_committed(uint64_t *values, size_t count)
{
    if (count == 0) {
        return QUORUM_INFINITY;
    }
    sort(values, count);
    return values[count - majority(count)];
}

uint64_t quorum_joint_committed(uint64_t *incoming, size_t incoming_count, uint64_t *outgoing,
                                size_t outgoing_count)
{
    uint64_t first = quorum_committed(incoming, incoming_count);
    uint64_t second = quorum_committed(outgoing, outgoing_count);
    return first < second ? first : second;
}

enum quorum_result quorum_vote(size_t yes, size_t no, size_t missing)
{
    size_t count = yes + no + missing;
    if (count == 0) {
        return QUORUM_WON;
    }
    if (yes >= majority(count)) {
        return QUORUM_WON;
    }
    return yes + missing >= majority(count) ? QUORUM_PENDING : QUORUM_LOST;
}

enum quorum_result quorum_joint_vote(enum quorum_result incoming, enum quorum_result outgoing)
{
    if (incoming == outgoing) {
        return incoming;
    }
    if (incoming == QUORUM_LOST || outgoing == QUORUM_LOST) {
        return QUORUM_LOST;
    }
    return QUORUM_PENDING;
}
