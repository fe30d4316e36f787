/* Leases of nodes, and the end of waiters whose node's has ended. */
#include "coredb/value/waiter_private.h"

#include "coredb/value/layout.h"

enum { PAGE = 64 }; /* waiters, or nodes, that are looked at in one go */

/* ---- Leases of nodes ---- */

static void node_key(struct buffer *out, uint64_t node)
{
    buffer_clear(out);
    buffer_append_byte(out, LAYOUT_WAITER_NODE);
    buffer_put_u64(out, node);
}

struct lease {
    uint64_t node;
    uint64_t boot;
    uint64_t renewed_ms;
};

static bool lease_decode(rr_bytes value, struct lease *out)
{
    struct reader reader = reader_of(value);
    out->boot = reader_u64(&reader);
    out->renewed_ms = reader_u64(&reader);
    return !reader.failed;
}

static bool lease_load(struct store *store, uint64_t node, struct lease *out)
{
    struct buffer key;
    rr_bytes value;
    buffer_init(&key);
    node_key(&key, node);
    out->node = node;
    bool found = waiter_usable(store, &key) && store_get(store, buffer_bytes(&key), &value) &&
                 lease_decode(value, out);
    buffer_deinit(&key);
    return found;
}

static bool lease_ended(const struct store *store, const struct lease *lease)
{
    return store->now_ms > lease->renewed_ms && store->now_ms - lease->renewed_ms > WAITER_LEASE_MS;
}

static void lease_store(struct store *store, uint64_t node, uint64_t boot)
{
    struct buffer key;
    struct buffer value;
    buffer_init(&key);
    buffer_init(&value);
    node_key(&key, node);
    buffer_put_u64(&value, boot);
    buffer_put_u64(&value, store->now_ms);
    if (waiter_usable(store, &key) && waiter_usable(store, &value)) {
        store_put(store, buffer_bytes(&key), buffer_bytes(&value));
    }
    buffer_deinit(&key);
    buffer_deinit(&value);
}

bool waiter_lease_renew(struct store *store, uint64_t node, uint64_t boot, uint64_t age_ms)
{
    struct lease lease;
    if (lease_load(store, node, &lease)) {
        if (boot < lease.boot && !lease_ended(store, &lease)) {
            return false;
        }
        if (boot == lease.boot && store->now_ms - lease.renewed_ms < age_ms) {
            return true;
        }
    }
    lease_store(store, node, boot);
    return true;
}

void waiter_renew(struct store *store, uint64_t node, uint64_t boot)
{
    (void)waiter_lease_renew(store, node, boot, 0);
}

bool waiter_is_dead(struct store *store, const struct waiter_id *id)
{
    struct lease lease;
    return !lease_load(store, id->node, &lease) || lease.boot != id->boot ||
           lease_ended(store, &lease);
}

/* ---- Waiters of nodes that are gone ---- */

void waiter_drop(struct store *store, const struct waiter *waiter)
{
    struct reply reply;
    reply_init(&reply, waiter->protocol);
    reply_error(&reply, "UNBLOCKED force unblock from blocking operation, the client's node was "
                        "out of reach for too long; nothing was taken");
    if (waiter_usable(store, &reply.out)) {
        (void)events_served(&store->events, &waiter->id, buffer_bytes(&reply.out));
    }
    reply_deinit(&reply);
    waiter_remove(store, waiter);
}

/* Some waiters of a node, found by their records. */
struct found {
    struct waiter_id ids[PAGE];
    size_t count;
    size_t wanted;
};

static bool found_add(void *arg, rr_bytes key, rr_bytes value)
{
    struct found *found = arg;
    (void)value;
    struct reader reader = {(const uint8_t *)key.data + 1, key.size - 1, false};
    found->ids[found->count++] = waiter_read_id(&reader);
    return found->count < found->wanted;
}

/* Finds up to `wanted` waiters of the node that began with boots from `first` to `last`. */
static void find_boots(struct store *store, uint64_t node, uint64_t first, uint64_t last,
                       size_t wanted, struct found *out)
{
    struct buffer from;
    struct buffer to;
    buffer_init(&from);
    buffer_init(&to);
    out->count = 0;
    out->wanted = wanted < PAGE ? wanted : PAGE;
    waiter_record_key(&from, &(struct waiter_id){node, first, 0});
    waiter_record_key(&to, &(struct waiter_id){node, last, UINT64_MAX});
    buffer_append_byte(&to, 0); /* behind the last number itself */
    if (out->wanted > 0 && waiter_usable(store, &from) && waiter_usable(store, &to)) {
        store_range(store, buffer_bytes(&from), buffer_bytes(&to), false, found_add, out);
    }
    buffer_deinit(&from);
    buffer_deinit(&to);
}

/* Finds waiters that nobody answers for any more: all if the lease has ended, else those of other
 * starts of the node. */
static void find_dead(struct store *store, const struct lease *lease, size_t wanted,
                      struct found *out)
{
    if (lease_ended(store, lease)) {
        find_boots(store, lease->node, 0, UINT64_MAX, wanted, out);
        return;
    }
    out->count = 0;
    if (lease->boot > 0) {
        find_boots(store, lease->node, 0, lease->boot - 1, wanted, out);
    }
    if (out->count == 0 && lease->boot < UINT64_MAX) {
        find_boots(store, lease->node, lease->boot + 1, UINT64_MAX, wanted, out);
    }
}

struct leases {
    struct lease leases[PAGE]; /* members of a cluster are fewer */
    size_t count;
};

static bool leases_add(void *arg, rr_bytes key, rr_bytes value)
{
    struct leases *leases = arg;
    struct lease *lease = &leases->leases[leases->count];
    lease->node = layout_u64_at(key, 1);
    if (lease_decode(value, lease)) {
        leases->count++;
    }
    return leases->count < PAGE;
}

static void find_leases(struct store *store, struct leases *out)
{
    const uint8_t kind = LAYOUT_WAITER_NODE;
    out->count = 0;
    store_prefix(store, (rr_bytes){&kind, 1}, false, leases_add, out);
}

bool waiter_has_dead(struct store *store)
{
    struct leases leases;
    find_leases(store, &leases);
    for (size_t i = 0; i < leases.count; i++) {
        struct found found;
        if (lease_ended(store, &leases.leases[i])) {
            return true;
        }
        find_dead(store, &leases.leases[i], 1, &found);
        if (found.count > 0) {
            return true;
        }
    }
    return false;
}

static size_t drop_dead_of(struct store *store, const struct lease *lease, size_t limit)
{
    size_t dropped = 0;
    struct found found;
    struct waiter waiter;
    buffer_init(&waiter.record);
    do {
        find_dead(store, lease, limit - dropped, &found);
        for (size_t i = 0; i < found.count; i++) {
            if (waiter_load(store, &found.ids[i], &waiter)) {
                waiter_drop(store, &waiter);
            }
        }
        dropped += found.count;
    } while (found.count > 0 && dropped < limit && store->failure == RR_OK);
    buffer_deinit(&waiter.record);
    if (dropped < limit && lease_ended(store, lease) && store->failure == RR_OK) {
        struct buffer key;
        buffer_init(&key);
        node_key(&key, lease->node);
        if (waiter_usable(store, &key)) {
            store_delete(store, buffer_bytes(&key));
        }
        buffer_deinit(&key);
    }
    return dropped;
}

size_t waiter_drop_dead(struct store *store, size_t limit)
{
    size_t dropped = 0;
    struct leases leases;
    find_leases(store, &leases);
    for (size_t i = 0; i < leases.count && dropped < limit; i++) {
        dropped += drop_dead_of(store, &leases.leases[i], limit - dropped);
    }
    return dropped;
}
