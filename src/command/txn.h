/*
 * A transaction as bytes: the body of a COMMAND_TXN.
 *
 * A builder gathers it in any order and encodes it; the reading side walks it without copying.
 * What a transaction means is told at rr_txn in rockraft.h and done by node/apply.c.
 */
#ifndef COMMAND_TXN_H
#define COMMAND_TXN_H

#include "rockraft/rockraft.h"

#include "base/buffer.h"
#include "base/codec.h"
#include "command/command_limits.h"

struct txn_condition {
    rr_bytes key;
    rr_compare compare;
    rr_bytes value; /* empty for RR_EXISTS and RR_NOT_EXISTS */
};

struct txn_operation {
    rr_bytes key;
    bool set;       /* else it deletes */
    rr_bytes value; /* empty when it deletes */
};

enum txn_branch { TXN_THEN = 0, TXN_ELSE = 1 };

/* ---- Building ---- */

/*
 * A transaction in the making. The first failure sticks: from then on nothing is added and the
 * transaction cannot be encoded, so that one that lost an operation is never submitted. One thread
 * at a time.
 */
struct txn_builder {
    struct buffer conditions;
    struct buffer operations[2]; /* by enum txn_branch */
    uint32_t condition_count;
    uint32_t operation_counts[2];
    bool return_previous;
    size_t key_bytes_max;   /* of the keys in it, for limits that are settings */
    size_t value_bytes_max; /* of the values in it, likewise */
    rr_status status;       /* RR_OK, or the first failure */
};

void txn_builder_init(struct txn_builder *builder);
void txn_builder_deinit(struct txn_builder *builder); /* NULL is fine */

/* Both copy. RR_OK, or the failure that sticks: RR_INVALID (bytes without data, no such
 * comparison), RR_TOO_BIG (over a limit of limits.h) or RR_NO_MEMORY. */
rr_status txn_builder_condition(struct txn_builder *builder, const struct txn_condition *condition);
rr_status txn_builder_operation(struct txn_builder *builder, enum txn_branch branch,
                                const struct txn_operation *operation);

/* How many bytes txn_encode appends. */
size_t txn_encoded_size(const struct txn_builder *builder);

/* Appends the transaction, whose status is RR_OK and whose size at most COMMAND_BODY_BYTES_MAX. */
void txn_encode(const struct txn_builder *builder, struct buffer *buffer);

/* ---- Reading ---- */

/* A decoded transaction: counts, and where its parts are in the borrowed bytes. */
struct txn {
    bool return_previous;
    uint32_t condition_count;
    uint32_t operation_counts[2]; /* by enum txn_branch */
    rr_bytes conditions;
    rr_bytes operations[2];
};

/* Checks all of `body`. RR_OK, RR_INVALID (malformed) or RR_TOO_BIG (over a limit of limits.h). */
RR_MUST_USE rr_status txn_decode(rr_bytes body, struct txn *out);

/*
 * Walk the parts of a decoded transaction in their order; false at the end. The slices last as
 * long as the body.
 *
 *     struct reader reader;
 *     reader_init(&reader, txn->operations[branch]);
 *     struct txn_operation operation;
 *     while (txn_next_operation(&reader, &operation)) { ... }
 */
bool txn_next_condition(struct reader *reader, struct txn_condition *out);
bool txn_next_operation(struct reader *reader, struct txn_operation *out);

/* Whether `compare` holds for a key with this value, or without one when `value` is NULL. */
bool txn_compare(rr_compare compare, const rr_bytes *value, rr_bytes operand);

#endif
