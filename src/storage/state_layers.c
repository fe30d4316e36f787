/*
 * What the state consists of at a moment: tables in memory over the database. Readers hold layers,
 * so nothing that they read goes away; writers of tables replace them.
 *
 * A commit is whole in one table. It is taken out of memory only after it was put into the database,
 * so a moment that has it in both sees the same twice.
 */
#include "storage/state.h"

#include "base/assert.h"
#include "base/memory.h"
#include "storage/state_private.h"

#include <string.h>

/* --- Tables --- */

struct state_memory *state_memory_new(struct state *state)
{
    struct state_table *table = state_table_new(state->memtable_bytes, state->seed);
    if (table == NULL) {
        return NULL;
    }
    struct state_memory *memory = mem_new(struct state_memory);
    memory->table = table;
    return memory;
}

void state_memory_free(struct state_memory *memory)
{
    if (memory != NULL) {
        ASSERT(memory->refs == 0);
        state_table_free(memory->table);
        mem_free(memory);
    }
}

void state_layers_free_unused(struct state *state)
{
    pthread_mutex_lock(&state->mutex);
    struct state_memory *memory = state->unused;
    state->unused = NULL;
    pthread_mutex_unlock(&state->mutex);
    while (memory != NULL) {
        struct state_memory *next = memory->next;
        state_memory_free(memory);
        memory = next;
    }
}

/* --- Layers --- */

/* Without tables; under the mutex. */
static struct state_layers *layers_new(struct state_db *db)
{
    struct state_layers *layers = mem_new(struct state_layers);
    layers->refs = 1;
    layers->db = db;
    db->refs++;
    return layers;
}

/* Adds a table behind those that are there; under the mutex. */
static void add_table(struct state_layers *layers, struct state_memory *memory)
{
    ASSERT(layers->table_count < STATE_TABLES_MAX);
    layers->tables[layers->table_count++] = memory;
    memory->refs++;
}

struct state_layers *state_layers_acquire(struct state *state)
{
    pthread_mutex_lock(&state->mutex);
    struct state_layers *layers = state->layers;
    ASSERT(layers->refs > 0);
    layers->refs++;
    pthread_mutex_unlock(&state->mutex);
    return layers;
}

/* Lets go of the tables; under the mutex. */
static void drop_tables(struct state *state, const struct state_layers *layers)
{
    for (uint32_t i = 0; i < layers->table_count; i++) {
        struct state_memory *memory = layers->tables[i];
        ASSERT(memory->refs > 0);
        memory->refs--;
        if (memory->refs == 0) {
            memory->next = state->unused;
            state->unused = memory;
            pthread_cond_signal(&state->work);
        }
    }
}

void state_layers_release(struct state *state, struct state_layers *layers)
{
    if (layers == NULL) {
        return;
    }
    pthread_mutex_lock(&state->mutex);
    ASSERT(layers->refs > 0);
    layers->refs--;
    bool last = layers->refs == 0;
    if (last) {
        drop_tables(state, layers);
    }
    pthread_mutex_unlock(&state->mutex);
    if (!last) {
        return;
    }
    state_db_release(state, layers->db);
    mem_free(layers);
}

static void become_active(struct state *state, struct state_memory *memory)
{
    state->memory_count++;
    memory->number = state->memory_count;
    state->active = memory;
}

void state_layers_replace(struct state *state, struct state_db *db, struct state_memory *memory)
{
    pthread_mutex_lock(&state->mutex);
    struct state_layers *old = state->layers;
    if (old != NULL) {
        old->db->obsolete = true;
    }
    struct state_layers *layers = layers_new(db);
    become_active(state, memory);
    add_table(layers, memory);
    state->layers = layers;
    atomic_fetch_add(&state->sequence, 1); /* so that batches see that something has changed */
    pthread_cond_broadcast(&state->flushed);
    pthread_mutex_unlock(&state->mutex);
    state_layers_release(state, old);
}

static bool is_full(struct state *state)
{
    pthread_mutex_lock(&state->mutex);
    bool full = state->layers->table_count == STATE_TABLES_MAX;
    pthread_mutex_unlock(&state->mutex);
    return full;
}

rr_status state_layers_freeze(struct state *state, bool *full, struct storage_error *error)
{
    *full = false;
    if (state_table_count(state->active->table) == 0) {
        return RR_OK;
    }
    *full = is_full(state);
    if (*full) {
        return RR_OK;
    }
    struct state_memory *memory = state_memory_new(state);
    if (memory == NULL) {
        return storage_fail(error, RR_NO_MEMORY, "no memory for a table of the state");
    }
    pthread_mutex_lock(&state->mutex);
    struct state_layers *old = state->layers;
    struct state_layers *layers = layers_new(old->db);
    become_active(state, memory);
    add_table(layers, memory);
    for (uint32_t i = 0; i < old->table_count; i++) {
        add_table(layers, old->tables[i]);
    }
    state->layers = layers;
    pthread_cond_signal(&state->work);
    pthread_mutex_unlock(&state->mutex);
    state_layers_release(state, old);
    return RR_OK;
}

bool state_layers_are_current(struct state *state, const struct state_layers *layers)
{
    pthread_mutex_lock(&state->mutex);
    bool current = state->layers->db == layers->db;
    pthread_mutex_unlock(&state->mutex);
    return current;
}

void state_layers_shorten(struct state *state, const struct state_layers *before)
{
    pthread_mutex_lock(&state->mutex);
    struct state_layers *old = state->layers;
    if (old->db != before->db) {
        pthread_mutex_unlock(&state->mutex);
        return;
    }
    ASSERT(old->table_count > 1);
    struct state_layers *layers = layers_new(old->db);
    for (uint32_t i = 0; i + 1 < old->table_count; i++) {
        add_table(layers, old->tables[i]);
    }
    state->layers = layers;
    pthread_cond_broadcast(&state->flushed);
    pthread_mutex_unlock(&state->mutex);
    state_layers_release(state, old);
}

/* --- Moments --- */

/* The snapshot is made under the mutex: so nothing has been added to the database that is not in
 * the layers. */
struct state_moment state_moment_take(struct state *state, bool lasting)
{
    struct state_moment moment = {.options = state->read_options};
    pthread_mutex_lock(&state->mutex);
    moment.layers = state->layers;
    moment.layers->refs++;
    moment.sequence = atomic_load_explicit(&state->sequence, memory_order_acquire);
    if (lasting) {
        moment.snapshot = rocksdb_create_snapshot(moment.layers->db->rocks.db);
    }
    pthread_mutex_unlock(&state->mutex);
    if (lasting) {
        moment.options = rocksdb_readoptions_create();
        rocksdb_readoptions_set_snapshot(moment.options, moment.snapshot);
    }
    return moment;
}

void state_moment_drop(struct state *state, struct state_moment *moment)
{
    if (moment->snapshot != NULL) {
        rocksdb_readoptions_destroy(moment->options);
        rocksdb_release_snapshot(moment->layers->db->rocks.db, moment->snapshot);
    }
    state_layers_release(state, moment->layers);
    *moment = (struct state_moment){0};
}

enum state_table_kind state_moment_find(const struct state_moment *moment, rr_bytes key,
                                        rr_bytes *value)
{
    const struct state_layers *layers = moment->layers;
    enum state_table_kind kind = STATE_TABLE_NONE;
    for (uint32_t i = 0; i < layers->table_count && kind == STATE_TABLE_NONE; i++) {
        kind = state_table_find(layers->tables[i]->table, key, moment->sequence, value);
    }
    return kind;
}

rr_status state_copy_value(bool present, rr_bytes value, struct buffer *out,
                           struct storage_error *error)
{
    buffer_clear(out);
    if (!present) {
        return RR_NOT_FOUND;
    }
    buffer_append(out, value.data, value.size);
    if (out->failed) {
        return storage_fail(error, RR_NO_MEMORY, "no memory for a value of %zu bytes", value.size);
    }
    return RR_OK;
}

rr_status state_moment_get(const struct state_moment *moment, rr_bytes key, struct buffer *out,
                           struct storage_error *error)
{
    rr_bytes value = {0};
    enum state_table_kind kind = state_moment_find(moment, key, &value);
    if (kind == STATE_TABLE_NONE) {
        return state_db_get(moment->layers->db, moment->options, key, out, error);
    }
    return state_copy_value(kind == STATE_TABLE_PUT, value, out, error);
}
