/* Tables: an array, and other keys in the order of their insertion. */
#include "coredb/script/lua/object.h"

#include <math.h>
#include <string.h>

enum {
    ENTRIES_MAX = 1 << 24, /* more than the memory of a script can hold */
    COPIED_PER_UNIT = 4,
    NEAR_ENTRIES = 1000, /* a table of so many is likely in the cache of the processor */
    FAR_UNITS = 8,
};

struct table *table_new(lua_State *state, size_t array_size, size_t hash_size)
{
    struct table *table = object_new(state, KIND_TABLE, sizeof(*table));
    struct object object = table->object;
    *table = (struct table){.object = object};
    (void)hash_size; /* grows by itself; what a script foretells is not trusted */
    if (array_size != 0) {
        uint32_t capacity = array_size > ENTRIES_MAX ? ENTRIES_MAX : (uint32_t)array_size;
        table->array = memory_resize(state, NULL, 0, capacity * sizeof(struct value));
        table->array_capacity = capacity;
    }
    return table;
}

/* ---- Finding ---- */

static uint64_t hash_of(lua_State *state, const struct value *key)
{
    switch (key->type) {
    case LUA_TSTRING:
        return string_hash(state, key->string);
    case LUA_TNUMBER: {
        double number = key->number == 0 ? 0 : key->number; /* -0 is the same key */
        uint64_t bits;
        memcpy(&bits, &number, sizeof(bits));
        return hash_number(state, bits);
    }
    case LUA_TBOOLEAN:
        return hash_number(state, key->boolean);
    default:
        return hash_number(state, (uint64_t)(uintptr_t)key->pointer);
    }
}

static bool same_key(lua_State *state, const struct value *one, const struct value *other)
{
    if (one->type != other->type) {
        return false;
    }
    switch (one->type) {
    case LUA_TSTRING:
        return string_equal(state, one->string, other->string);
    case LUA_TNUMBER:
        return one->number == other->number;
    case LUA_TBOOLEAN:
        return one->boolean == other->boolean;
    default:
        return one->pointer == other->pointer;
    }
}

static struct entry *find(lua_State *state, const struct table *table, const struct value *key)
{
    if (table->entry_count == 0) {
        return NULL;
    }
    lua_charge(state, table->entry_count > NEAR_ENTRIES ? FAR_UNITS : 1);
    uint32_t mask = table->place_count - 1;
    for (uint64_t at = hash_of(state, key) & mask; table->places[at] != 0; at = (at + 1) & mask) {
        struct entry *entry = &table->entries[table->places[at] - 1];
        if (same_key(state, &entry->key, key)) {
            return entry;
        }
    }
    return NULL;
}

/* A key that could be in an array: a whole number from 1 on. Else 0. */
static uint32_t array_place(const struct value *key)
{
    if (key->type != LUA_TNUMBER || !(key->number >= 1 && key->number <= ENTRIES_MAX)) {
        return 0;
    }
    uint32_t place = (uint32_t)key->number;
    return (double)place == key->number ? place : 0;
}

struct value table_get(lua_State *state, struct table *table, const struct value *key)
{
    uint32_t place = array_place(key);
    if (place != 0 && place <= table->array_size) {
        return table->array[place - 1];
    }
    const struct entry *entry = find(state, table, key);
    return entry == NULL ? value_nil() : entry->value;
}

struct value table_get_string(lua_State *state, struct table *table, struct string *key)
{
    struct value value = value_of_string(key);
    const struct entry *entry = find(state, table, &value);
    return entry == NULL ? value_nil() : entry->value;
}

struct value table_get_integer(lua_State *state, struct table *table, int64_t key)
{
    struct value value = value_of_number((double)key);
    return table_get(state, table, &value);
}

uint32_t table_length(const struct table *table)
{
    return table->array_size;
}

/* ---- Changing ---- */

static void place_entry(lua_State *state, struct table *table, uint32_t number)
{
    uint32_t mask = table->place_count - 1;
    uint64_t at = hash_of(state, &table->entries[number].key) & mask;
    while (table->places[at] != 0) {
        at = (at + 1) & mask;
    }
    table->places[at] = number + 1;
}

/* Drops entries without a value, and makes room for at least as many as there are. */
static void pack_entries(lua_State *state, struct table *table)
{
    uint32_t live = 0;
    for (uint32_t i = 0; i < table->entry_count; i++) {
        live += table->entries[i].value.type != LUA_TNIL;
    }
    lua_charge(state, table->entry_count);
    uint32_t capacity = 4;
    while (capacity < live + live / 2 + 1) {
        capacity *= 2;
    }
    if (capacity > ENTRIES_MAX) {
        state->error = value_of_string(state->no_memory);
        error_throw(state, LUA_ERRMEM);
    }
    struct entry *entries = memory_resize(state, NULL, 0, capacity * sizeof(*entries));
    uint32_t *places = arena_resize(state->arena, NULL, 0, 2 * capacity * sizeof(*places));
    if (places == NULL) {
        (void)memory_resize(state, entries, capacity * sizeof(*entries), 0);
        state->error = value_of_string(state->no_memory);
        error_throw(state, LUA_ERRMEM);
    }
    memset(places, 0, 2 * capacity * sizeof(*places));
    live = 0;
    for (uint32_t i = 0; i < table->entry_count; i++) {
        if (table->entries[i].value.type != LUA_TNIL) {
            entries[live++] = table->entries[i];
        }
    }
    if (table->entries != NULL) {
        (void)memory_resize(state, table->entries, table->entry_capacity * sizeof(*entries), 0);
        (void)memory_resize(state, table->places, table->place_count * sizeof(*places), 0);
    }
    table->entries = entries;
    table->places = places;
    table->entry_count = live;
    table->entry_capacity = capacity;
    table->place_count = 2 * capacity;
    lua_charge(state, (uint64_t)capacity + 4 * live);
    for (uint32_t i = 0; i < live; i++) {
        place_entry(state, table, i);
    }
}

static void insert(lua_State *state, struct table *table, const struct value *key,
                   const struct value *value)
{
    if (table->entry_count == table->entry_capacity) {
        pack_entries(state, table);
    }
    struct entry *entry = &table->entries[table->entry_count];
    *entry = (struct entry){*key, *value};
    if (key->type == LUA_TNUMBER && key->number == 0) {
        entry->key.number = 0; /* not -0 */
    }
    (void)hash_of(state, &entry->key); /* may raise an error, so before it counts */
    table->entry_count++;
    table->absent = 0;
    place_entry(state, table, table->entry_count - 1);
}

static void append(lua_State *state, struct table *table, const struct value *value)
{
    table->array = memory_grow(state, table->array, table->array_size, &table->array_capacity,
                               sizeof(struct value), ENTRIES_MAX);
    table->array[table->array_size++] = *value;
}

/* Moves what follows the array out of the entries. */
static void take_followers(lua_State *state, struct table *table)
{
    while (table->entry_count != 0) {
        struct value key = value_of_number(table->array_size + 1.0);
        struct entry *entry = find(state, table, &key);
        if (entry == NULL || entry->value.type == LUA_TNIL) {
            return;
        }
        struct value value = entry->value;
        lua_charge(state, 2);
        append(state, table, &value);
        entry->key.type = KEY_DEAD;
        entry->value = value_nil();
    }
}

/* The last value of an array is never nil. */
static void trim(lua_State *state, struct table *table)
{
    uint32_t before = table->array_size;
    while (table->array_size != 0 && table->array[table->array_size - 1].type == LUA_TNIL) {
        table->array_size--;
    }
    lua_charge(state, (before - table->array_size) / COPIED_PER_UNIT);
}

void table_put(lua_State *state, struct table *table, const struct value *key,
               const struct value *value)
{
    uint32_t place = array_place(key);
    if (place != 0 && place <= table->array_size) {
        table->array[place - 1] = *value;
        if (value->type == LUA_TNIL && place == table->array_size) {
            trim(state, table);
        }
        return;
    }
    struct entry *entry = find(state, table, key);
    if (entry != NULL && (place == 0 || place != table->array_size + 1)) {
        entry->value = *value;
        table->absent = 0;
        return;
    }
    if (value->type == LUA_TNIL) {
        if (entry != NULL) {
            entry->value = *value;
        }
        return;
    }
    if (place != 0 && place == table->array_size + 1) {
        append(state, table, value);
        if (entry != NULL) {
            entry->key.type = KEY_DEAD;
            entry->value = value_nil();
        }
        take_followers(state, table);
        return;
    }
    insert(state, table, key, value);
}

void table_put_integer(lua_State *state, struct table *table, int64_t key,
                       const struct value *value)
{
    struct value number = value_of_number((double)key);
    table_put(state, table, &number, value);
}

void table_put_list(lua_State *state, struct table *table, uint32_t start,
                    const struct value *values, uint32_t count)
{
    if (table->array_size + 1 > start || table->entry_count != 0) {
        lua_charge(state, count);
        for (uint32_t i = 0; i < count; i++) {
            table_put_integer(state, table, (int64_t)start + i, &values[i]);
        }
        return;
    }
    /* Nil at the end of the list before this one was cut off, and counts here. */
    struct value nil = value_nil();
    while (table->array_size + 1 < start) {
        append(state, table, &nil);
    }
    for (uint32_t i = 0; i < count; i++) {
        append(state, table, &values[i]);
    }
    lua_charge(state, count / COPIED_PER_UNIT);
    trim(state, table);
}

/* ---- Going through ---- */

/* The number of the entry after `key`; entries follow the array, whose places come as `*array`. */
static uint32_t entry_after(lua_State *state, const struct table *table, const struct value *key,
                            uint32_t *array)
{
    *array = table->array_size;
    if (key->type == LUA_TNIL) {
        *array = 0;
        return 0;
    }
    uint32_t place = array_place(key);
    if (place != 0 && place <= table->array_size) {
        *array = place;
        return 0;
    }
    const struct entry *entry = find(state, table, key);
    if (entry != NULL) {
        return (uint32_t)(entry - table->entries) + 1;
    }
    if (place == 0 || place > table->array_capacity) {
        error_run(state, "invalid key to 'next'");
    }
    return 0; /* the array was cut off on the way */
}

bool table_next(lua_State *state, struct table *table, struct value *key, struct value *value)
{
    uint32_t array;
    uint32_t at = entry_after(state, table, key, &array);
    uint32_t first = array + at;
    for (; array < table->array_size; array++) {
        if (table->array[array].type != LUA_TNIL) {
            lua_charge(state, (array + at - first) / COPIED_PER_UNIT);
            *key = value_of_number(array + 1.0);
            *value = table->array[array];
            return true;
        }
    }
    for (; at < table->entry_count; at++) {
        if (table->entries[at].value.type != LUA_TNIL) {
            lua_charge(state, (array + at - first) / COPIED_PER_UNIT);
            *key = table->entries[at].key;
            *value = table->entries[at].value;
            return true;
        }
    }
    lua_charge(state, (array + at - first) / COPIED_PER_UNIT);
    return false;
}
