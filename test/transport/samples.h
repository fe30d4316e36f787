/* Messages to try the wire with. */
#ifndef TEST_TRANSPORT_SAMPLES_H
#define TEST_TRANSPORT_SAMPLES_H

#include "base/random.h"
#include "raft/types.h"

/* A message of a random type with random fields that fit together. The caller deinits it. */
void sample_message(struct random *random, struct raft_message *out);

/* An append message with `count` entries of `size` bytes after (term 3, index 10). */
void sample_append(uint32_t count, uint32_t size, struct raft_message *out);

/* Whether the two say the same. */
bool sample_equal(const struct raft_message *left, const struct raft_message *right);

#endif
