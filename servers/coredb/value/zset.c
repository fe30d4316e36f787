/*
 * Sorted sets: members and their sub-keys. Ranges are zset_range.c's, counts zset_counts.c's.
 *
 * The order's key holds 0 for both zeros, since they compare equal; the value of the order's
 * sub-key is empty, or one byte for a negative zero.
 */
#include "coredb/value/zset.h"

#include "coredb/base/bytes.h"
#include "coredb/value/layout.h"
#include "coredb/value/zset_counts.h"
#include "coredb/value/zset_private.h"

#include <math.h>
#include <string.h>

enum {
    ORDER_MEMBER_OFFSET = 17, /* in a key of the order: after kind, object and score */
    COPY_PORTION_BYTES = 1 << 20,
};

static const uint64_t sign_bit = (uint64_t)1 << 63;

uint64_t zset_score_encode(double score)
{
    uint64_t bits = 0;
    memcpy(&bits, &score, sizeof bits);
    return (bits & sign_bit) != 0 ? ~bits : bits | sign_bit;
}

double zset_score_decode(uint64_t encoded)
{
    uint64_t bits = (encoded & sign_bit) != 0 ? encoded & ~sign_bit : ~encoded;
    double score = 0;
    memcpy(&score, &bits, sizeof score);
    return score;
}

/* ---- Sub-keys ---- */

struct named zset_members(const struct key *key)
{
    return (struct named){LAYOUT_ZSET, key->object};
}

void zset_order_key(struct buffer *out, const struct key *key, double score, rr_bytes member)
{
    layout_object(out, LAYOUT_ZSET_ORDER, key->object);
    buffer_put_u64(out, zset_score_encode(score == 0 ? 0.0 : score));
    buffer_append_bytes(out, member);
}

static bool is_negative_zero(double score)
{
    return score == 0 && signbit(score) != 0;
}

/* These two expect that `key->count` includes the member, and no longer includes it. */

static void order_put(struct store *store, struct key *key, double score, rr_bytes member,
                      bool counted)
{
    struct buffer stored_key;
    buffer_init(&stored_key);
    zset_order_key(&stored_key, key, score, member);
    if (stored_key.failed) {
        store_fail(store, RR_NO_MEMORY);
    } else {
        rr_bytes value = is_negative_zero(score) ? bytes_of("-") : bytes_of("");
        store_put(store, buffer_bytes(&stored_key), value);
        if (counted) {
            zset_counts_add(store, key, zset_order_tail(&stored_key));
        }
    }
    buffer_deinit(&stored_key);
}

static void order_delete(struct store *store, struct key *key, double score, rr_bytes member)
{
    struct buffer stored_key;
    buffer_init(&stored_key);
    zset_order_key(&stored_key, key, score, member);
    if (stored_key.failed) {
        store_fail(store, RR_NO_MEMORY);
    } else {
        store_delete(store, buffer_bytes(&stored_key));
        zset_counts_remove(store, key, zset_order_tail(&stored_key));
    }
    buffer_deinit(&stored_key);
}

rr_bytes zset_order_decode(rr_bytes stored_key, rr_bytes value, double *score)
{
    *score = zset_score_decode(layout_u64_at(stored_key, ORDER_MEMBER_OFFSET - sizeof(uint64_t)));
    if (*score == 0 && value.size != 0) {
        *score = -0.0;
    }
    const uint8_t *data = stored_key.data;
    return (rr_bytes){data + ORDER_MEMBER_OFFSET, stored_key.size - ORDER_MEMBER_OFFSET};
}

static void member_put(struct store *store, const struct key *key, rr_bytes member, double score)
{
    uint8_t bytes[sizeof(uint64_t)];
    uint64_t encoded = zset_score_encode(score);
    for (size_t i = 0; i < sizeof bytes; i++) {
        bytes[i] = (uint8_t)(encoded >> (56 - 8 * i));
    }
    named_write(store, zset_members(key), member, (rr_bytes){bytes, sizeof bytes});
}

/* ---- One member ---- */

bool zset_find(struct store *store, const struct key *key, rr_bytes member, double *score)
{
    rr_bytes value;
    if (key->type != VALUE_ZSET || member.size > STORE_KEY_BYTES_MAX ||
        !named_get(store, zset_members(key), member, &value)) {
        return false;
    }
    if (value.size != sizeof(uint64_t)) {
        store_fail(store, RR_CORRUPT);
        return false;
    }
    if (score != NULL) {
        *score = zset_score_decode(layout_u64_at(value, 0));
    }
    return true;
}

/* A listpack keeps whole numbers as integers, where a negative zero is lost. */
static double as_encoding_keeps(const struct key *key, double score)
{
    return key->encoding == ENCODING_LISTPACK && score == 0 ? 0.0 : score;
}

static void add(struct store *store, struct key *key, rr_bytes member, double score, bool counted)
{
    if (member.size > STORE_KEY_BYTES_MAX) {
        store_fail(store, RR_TOO_BIG);
        return;
    }
    key->count++;
    if (key->count > ZSET_LISTPACK_ENTRIES || member.size > ZSET_LISTPACK_VALUE) {
        key->encoding = ENCODING_SKIPLIST;
    }
    double kept = as_encoding_keeps(key, score);
    member_put(store, key, member, kept);
    order_put(store, key, kept, member, counted);
}

void zset_add(struct store *store, struct key *key, rr_bytes member, double score)
{
    add(store, key, member, score, /*counted=*/true);
}

void zset_add_uncounted(struct store *store, struct key *key, rr_bytes member, double score)
{
    add(store, key, member, score, /*counted=*/false);
}

void zset_change(struct store *store, struct key *key, rr_bytes member, double old, double score)
{
    double kept = as_encoding_keeps(key, score);
    key->count--;
    order_delete(store, key, old, member);
    key->count++;
    member_put(store, key, member, kept);
    order_put(store, key, kept, member, /*counted=*/true);
}

void zset_remove(struct store *store, struct key *key, rr_bytes member, double score)
{
    key->count--;
    order_delete(store, key, score, member);
    layout_named(&store->key, LAYOUT_ZSET, key->object, member);
    store_delete(store, buffer_bytes(&store->key));
}

/* ---- Copying ---- */

struct copying {
    struct named_list list;
    struct buffer last; /* the last key that was visited */
};

static bool collect_pair(void *arg, rr_bytes stored_key, rr_bytes value)
{
    struct copying *copying = arg;
    named_list_add(&copying->list, stored_key, value);
    return copying->list.bytes.size < COPY_PORTION_BYTES && !named_list_failed(&copying->list);
}

static void copy_pair(struct store *store, rr_bytes stored_key, rr_bytes value,
                      enum layout_kind kind, uint64_t to)
{
    layout_object(&store->key, kind, to);
    size_t prefix = store->key.size;
    buffer_append(&store->key, (const uint8_t *)stored_key.data + prefix, stored_key.size - prefix);
    store_put(store, buffer_bytes(&store->key), value);
}

static void copy_kind(struct store *store, enum layout_kind kind, uint64_t from, uint64_t to)
{
    struct copying copying;
    struct buffer end;
    named_list_init(&copying.list);
    buffer_init(&copying.last);
    buffer_init(&end);
    layout_object(&copying.last, kind, from);
    layout_object(&end, kind, from);
    layout_end(&end);
    do {
        named_list_clear(&copying.list);
        store_range(store, buffer_bytes(&copying.last), buffer_bytes(&end), false, collect_pair,
                    &copying);
        rr_bytes stored_key = {NULL, 0};
        for (size_t i = 0; i < copying.list.count; i++) {
            rr_bytes value;
            stored_key = named_list_at(&copying.list, i, &value);
            copy_pair(store, stored_key, value, kind, to);
        }
        buffer_clear(&copying.last);
        buffer_append_bytes(&copying.last, stored_key);
        buffer_append_byte(&copying.last, 0);
        if (named_list_failed(&copying.list) || copying.last.failed || end.failed) {
            store_fail(store, RR_NO_MEMORY);
        }
    } while (copying.list.count > 0 && store->failure == RR_OK);
    named_list_deinit(&copying.list);
    buffer_deinit(&copying.last);
    buffer_deinit(&end);
}

void zset_copy(struct store *store, uint64_t from, uint64_t to)
{
    copy_kind(store, LAYOUT_ZSET, from, to);
    copy_kind(store, LAYOUT_ZSET_ORDER, from, to);
}
