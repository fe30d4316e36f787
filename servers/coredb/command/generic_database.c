/* The commands about whole databases. */
#include "coredb/base/number.h"
#include "coredb/command/generic.h"
#include "coredb/value/waiter.h"

void generic_dbsize(struct exec *exec)
{
    struct store_db *db = store_db(exec->store, exec->store->db_index);
    reply_integer(exec->reply, (int64_t)db->key_count);
}

/* Emptying takes the same time either way, so that ASYNC and SYNC make no difference. False:
 * answered. */
static bool flush_options(struct exec *exec)
{
    if (exec->argc > 2 ||
        (exec->argc == 2 && !exec_is(exec, 1, "async") && !exec_is(exec, 1, "sync"))) {
        reply_error_syntax(exec->reply);
        return false;
    }
    return true;
}

void generic_flushdb(struct exec *exec)
{
    if (flush_options(exec)) {
        key_flush(exec->store, exec->store->db_index);
        reply_ok(exec->reply);
    }
}

void generic_flushall(struct exec *exec)
{
    if (!flush_options(exec)) {
        return;
    }
    for (uint32_t db = 0; db < STORE_DATABASES; db++) {
        key_flush(exec->store, db);
    }
    reply_ok(exec->reply);
}

static void swap_databases(struct store *store, uint32_t left_index, uint32_t right_index)
{
    struct store_db *left = store_db_changing(store, left_index);
    struct store_db *right = store_db_changing(store, right_index);
    struct store_db kept = *left;
    left->generation = right->generation;
    left->key_count = right->key_count;
    left->expiring_count = right->expiring_count;
    right->generation = kept.generation;
    right->key_count = kept.key_count;
    right->expiring_count = kept.expiring_count;
    left->swapped = right->swapped = rr_view_index(store->view);
    /* Waiters stay with the database that they named. */
    waiter_signal_db(store, left_index);
    waiter_signal_db(store, right_index);
}

/* Reads argv[i] as a number of any database. False: answered. */
static bool swapped_index(struct exec *exec, size_t i, const char *which, int64_t *out)
{
    if (!number_parse_i64(exec->argv[i], out) || *out < INT32_MIN || *out > INT32_MAX) {
        reply_error(exec->reply, "ERR invalid %s DB index", which);
        return false;
    }
    return true;
}

void generic_swapdb(struct exec *exec)
{
    int64_t left;
    int64_t right;
    if (!swapped_index(exec, 1, "first", &left) || !swapped_index(exec, 2, "second", &right)) {
        return;
    }
    if (left < 0 || left >= STORE_DATABASES || right < 0 || right >= STORE_DATABASES) {
        reply_error(exec->reply, "ERR DB index is out of range");
        return;
    }
    if (left != right) {
        swap_databases(exec->store, (uint32_t)left, (uint32_t)right);
    }
    reply_ok(exec->reply);
}
