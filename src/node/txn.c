/* The bodies of rr_txn_* and of the small option structs of writes, scans and queries. */
#include "node/txn.h"

#include "base/memory.h"

rr_txn *rr_txn_new(void)
{
    rr_txn *txn = mem_new(rr_txn);
    txn_builder_init(&txn->builder);
    return txn;
}

void rr_txn_free(rr_txn *txn)
{
    if (txn != NULL) {
        txn_builder_deinit(&txn->builder);
        mem_free(txn);
    }
}

rr_status rr_txn_if(rr_txn *txn, rr_bytes key, rr_compare compare, rr_bytes value)
{
    if (txn == NULL) {
        return RR_INVALID;
    }
    struct txn_condition condition = {.key = key, .compare = compare, .value = value};
    return txn_builder_condition(&txn->builder, &condition);
}

static rr_status add_operation(rr_txn *txn, enum txn_branch branch,
                               const struct txn_operation *operation)
{
    return txn == NULL ? RR_INVALID : txn_builder_operation(&txn->builder, branch, operation);
}

rr_status rr_txn_set(rr_txn *txn, rr_bytes key, rr_bytes value)
{
    struct txn_operation operation = {.key = key, .set = true, .value = value};
    return add_operation(txn, TXN_THEN, &operation);
}

rr_status rr_txn_delete(rr_txn *txn, rr_bytes key)
{
    struct txn_operation operation = {.key = key};
    return add_operation(txn, TXN_THEN, &operation);
}

rr_status rr_txn_else_set(rr_txn *txn, rr_bytes key, rr_bytes value)
{
    struct txn_operation operation = {.key = key, .set = true, .value = value};
    return add_operation(txn, TXN_ELSE, &operation);
}

rr_status rr_txn_else_delete(rr_txn *txn, rr_bytes key)
{
    struct txn_operation operation = {.key = key};
    return add_operation(txn, TXN_ELSE, &operation);
}

void rr_txn_return_previous(rr_txn *txn, bool on)
{
    if (txn != NULL) {
        txn->builder.return_previous = on;
    }
}

void rr_write_options_init(rr_write_options *options)
{
    *options = (rr_write_options){.struct_size = sizeof(*options)};
}

void rr_scan_init(rr_scan *scan)
{
    *scan = (rr_scan){.struct_size = sizeof(*scan), .level = RR_READ_LINEARIZABLE};
}

void rr_query_init(rr_query *query)
{
    *query = (rr_query){.struct_size = sizeof(*query), .level = RR_READ_LINEARIZABLE};
}
