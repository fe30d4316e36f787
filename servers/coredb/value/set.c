/* Members of sets. */
#include "coredb/value/set.h"

#include "coredb/base/number.h"

void set_create(struct store *store, struct key *key)
{
    key_create(store, key, VALUE_SET, ENCODING_INTSET);
}

bool set_has(struct store *store, const struct key *key, rr_bytes member)
{
    return key->type == VALUE_SET && named_get(store, set_members(key), member, NULL);
}

bool set_is_integer(rr_bytes member)
{
    int64_t value;
    return number_parse_i64(member, &value);
}

static void count_member(struct key *key, rr_bytes member)
{
    key->count++;
    if (key->count > SET_INTSET_ENTRIES_MAX ||
        (key->encoding == ENCODING_INTSET && !set_is_integer(member))) {
        key->encoding = ENCODING_HASHTABLE;
    }
}

bool set_add(struct store *store, struct key *key, rr_bytes member)
{
    bool is_new = named_put(store, set_members(key), member, (rr_bytes){0});
    if (is_new) {
        count_member(key, member);
    }
    return is_new;
}

void set_append(struct store *store, struct key *key, rr_bytes member)
{
    named_write(store, set_members(key), member, (rr_bytes){0});
    count_member(key, member);
}

bool set_remove(struct store *store, struct key *key, rr_bytes member)
{
    if (key->type != VALUE_SET || !named_delete(store, set_members(key), member)) {
        return false;
    }
    key->count--;
    return true;
}

static bool stop_at_text(void *all_integers, rr_bytes member, rr_bytes value)
{
    (void)value;
    *(bool *)all_integers = set_is_integer(member);
    return *(bool *)all_integers;
}

enum value_encoding set_natural_encoding(struct store *store, const struct key *key)
{
    if (key->encoding == ENCODING_INTSET) {
        return ENCODING_INTSET;
    }
    bool all_integers = key->count <= SET_INTSET_ENTRIES_MAX;
    if (all_integers) {
        named_each(store, set_members(key), stop_at_text, &all_integers);
    }
    return all_integers ? ENCODING_INTSET : ENCODING_HASHTABLE;
}

void set_copy(struct store *store, uint64_t from_object, uint64_t to_object)
{
    named_copy(store, (struct named){LAYOUT_SET, from_object},
               (struct named){LAYOUT_SET, to_object});
}
