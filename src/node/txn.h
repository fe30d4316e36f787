/* The public API's transaction: a builder of command/txn.h. One thread at a time. */
#ifndef NODE_TXN_H
#define NODE_TXN_H

#include "rockraft/rockraft.h"

#include "command/txn.h"

struct rr_txn {
    struct txn_builder builder;
};

#endif
