/* Fields of hashes. */
#include "coredb/value/hash.h"

bool hash_get(struct store *store, const struct key *key, rr_bytes field, rr_bytes *value)
{
    return key->type == VALUE_HASH && named_get(store, hash_fields(key), field, value);
}

bool hash_set(struct store *store, struct key *key, rr_bytes field, rr_bytes value)
{
    bool is_new = named_put(store, hash_fields(key), field, value);
    key->count += is_new ? 1 : 0;
    if (key->count > HASH_LISTPACK_ENTRIES_MAX || field.size > HASH_LISTPACK_BYTES_MAX ||
        value.size > HASH_LISTPACK_BYTES_MAX) {
        key->encoding = ENCODING_HASHTABLE;
    }
    return is_new;
}

bool hash_delete(struct store *store, struct key *key, rr_bytes field)
{
    if (key->type != VALUE_HASH || !named_delete(store, hash_fields(key), field)) {
        return false;
    }
    key->count--;
    return true;
}

void hash_copy(struct store *store, uint64_t from_object, uint64_t to_object)
{
    named_copy(store, (struct named){LAYOUT_HASH, from_object},
               (struct named){LAYOUT_HASH, to_object});
}
