/* Memory of a state: its blocks in the arena, and the collector: mark and sweep, all at once. */
#include "coredb/script/lua/code.h"
#include "coredb/script/lua/object.h"

#include <string.h>

enum {
    BYTES_PER_UNIT = 64,
    COLLECT_MIN = 1024 * 1024,
    UNITS_PER_OBJECT = 4, /* of a collection */
};

void *memory_resize(lua_State *state, void *block, size_t old_size, size_t size)
{
    if (size > old_size) {
        lua_charge(state, 1 + size / BYTES_PER_UNIT);
        state->allocated += size;
    }
    void *moved = arena_resize(state->arena, block, old_size, size);
    if (moved == NULL && size != 0) {
        state->error = value_of_string(state->no_memory);
        error_throw(state, LUA_ERRMEM);
    }
    return moved;
}

void *memory_grow(lua_State *state, void *block, uint32_t count, uint32_t *capacity, size_t size,
                  uint32_t count_max)
{
    if (count < *capacity) {
        return block;
    }
    if (count >= count_max) {
        state->error = value_of_string(state->no_memory);
        error_throw(state, LUA_ERRMEM);
    }
    uint32_t wanted = *capacity < 4 ? 4 : *capacity > count_max / 2 ? count_max : *capacity * 2;
    void *moved = memory_resize(state, block, *capacity * size, wanted * size);
    *capacity = wanted;
    return moved;
}

void *object_new(lua_State *state, enum object_kind kind, size_t size)
{
    struct object *object = memory_resize(state, NULL, 0, size);
    object->kind = (uint8_t)kind;
    object->marked = false;
    object->gray = NULL;
    object->next = state->objects;
    state->objects = object;
    return object;
}

/* ---- Marking ---- */

static void mark_object(lua_State *state, struct object *object)
{
    if (object == NULL || object->marked) {
        return;
    }
    object->marked = true;
    if (object->kind != KIND_STRING) {
        object->gray = state->gray;
        state->gray = object;
    }
}

static void mark_value(lua_State *state, const struct value *value)
{
    if (value->type >= LUA_TSTRING && value->type <= LUA_TTHREAD) {
        mark_object(state, value->object);
    }
}

static void mark_values(lua_State *state, const struct value *values, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        mark_value(state, &values[i]);
    }
}

static uint64_t mark_table(lua_State *state, struct table *table)
{
    mark_object(state, (struct object *)table->metatable);
    mark_values(state, table->array, table->array_size);
    for (uint32_t i = 0; i < table->entry_count; i++) {
        mark_value(state, &table->entries[i].key);
        mark_value(state, &table->entries[i].value);
    }
    return table->array_size + 2 * (uint64_t)table->entry_count;
}

/* Registers above the top of a function that called another still count: they keep old values. */
static uint64_t mark_thread(lua_State *state, struct thread *thread)
{
    uint32_t end = thread->top;
    for (uint32_t i = 0; i < thread->frame_count; i++) {
        struct frame *frame = &thread->frames[i];
        mark_object(state, &frame->closure->object);
        if (frame->closure->proto != NULL) {
            uint32_t frame_end = frame->base + frame->closure->proto->register_count;
            end = frame_end > end ? frame_end : end;
        }
    }
    mark_values(state, thread->stack, end);
    for (struct upvalue *upvalue = thread->open; upvalue != NULL; upvalue = upvalue->next) {
        mark_object(state, &upvalue->object);
    }
    mark_object(state, (struct object *)thread->resumer);
    return end + thread->frame_count;
}

static uint64_t mark_proto(lua_State *state, struct proto *proto)
{
    mark_object(state, (struct object *)proto->source);
    mark_values(state, proto->constants, proto->constant_count);
    for (uint32_t i = 0; i < proto->proto_count; i++) {
        mark_object(state, &proto->protos[i]->object);
    }
    for (uint32_t i = 0; i < proto->note_count; i++) {
        mark_object(state, (struct object *)proto->notes[i].name);
    }
    return proto->constant_count + proto->proto_count + proto->note_count;
}

static uint64_t mark_parts(lua_State *state, struct object *object)
{
    switch ((enum object_kind)object->kind) {
    case KIND_STRING:
        return 0;
    case KIND_TABLE:
        return mark_table(state, (struct table *)object);
    case KIND_CLOSURE: {
        struct closure *closure = (struct closure *)object;
        mark_object(state, (struct object *)closure->proto);
        if (closure->proto == NULL) {
            mark_values(state, closure->slots, closure->slot_count);
        } else {
            for (uint32_t i = 0; i < closure->slot_count; i++) {
                mark_object(state, closure->slots[i].object);
            }
        }
        return closure->slot_count;
    }
    case KIND_UPVALUE: {
        struct upvalue *upvalue = (struct upvalue *)object;
        if (upvalue->thread == NULL) {
            mark_value(state, &upvalue->closed);
        } else {
            mark_object(state, &upvalue->thread->object); /* its stack holds the value */
        }
        return 1;
    }
    case KIND_THREAD:
        return mark_thread(state, (struct thread *)object);
    case KIND_PROTO:
        return mark_proto(state, (struct proto *)object);
    }
    return 0;
}

static uint64_t mark_all(lua_State *state)
{
    uint64_t visited = 0;
    mark_object(state, &state->main->object);
    mark_object(state, &state->thread->object);
    mark_object(state, (struct object *)state->registry);
    mark_object(state, (struct object *)state->globals);
    mark_object(state, (struct object *)state->string_metatable);
    mark_object(state, (struct object *)state->no_memory);
    for (int i = 0; i < EVENT_COUNT; i++) {
        mark_object(state, (struct object *)state->events[i]);
    }
    mark_value(state, &state->error);
    while (state->gray != NULL) {
        struct object *object = state->gray;
        state->gray = object->gray;
        visited += 1 + mark_parts(state, object);
    }
    return visited;
}

/* ---- Sweeping ---- */

static void release(lua_State *state, void *block, size_t size)
{
    if (block != NULL) {
        (void)arena_resize(state->arena, block, size, 0);
    }
}

static void free_proto(lua_State *state, struct proto *proto)
{
    release(state, proto->code, proto->code_capacity * sizeof(*proto->code));
    release(state, proto->lines, proto->line_capacity * sizeof(*proto->lines));
    release(state, proto->constants, proto->constant_capacity * sizeof(*proto->constants));
    release(state, proto->protos, proto->proto_capacity * sizeof(struct proto *));
    release(state, proto->notes, proto->note_capacity * sizeof(*proto->notes));
    release(state, proto, sizeof(*proto));
}

static void free_object(lua_State *state, struct object *object)
{
    switch ((enum object_kind)object->kind) {
    case KIND_STRING:
        release(state, object, sizeof(struct string) + ((struct string *)object)->size + 1);
        return;
    case KIND_TABLE: {
        struct table *table = (struct table *)object;
        release(state, table->array, table->array_capacity * sizeof(*table->array));
        release(state, table->entries, table->entry_capacity * sizeof(*table->entries));
        release(state, table->places, table->place_count * sizeof(*table->places));
        release(state, table, sizeof(*table));
        return;
    }
    case KIND_CLOSURE: {
        struct closure *closure = (struct closure *)object;
        release(state, closure, sizeof(*closure) + closure->slot_count * sizeof(struct value));
        return;
    }
    case KIND_UPVALUE:
        release(state, object, sizeof(struct upvalue));
        return;
    case KIND_THREAD: {
        struct thread *thread = (struct thread *)object;
        release(state, thread->stack, thread->stack_size * sizeof(*thread->stack));
        release(state, thread->frames, thread->frame_capacity * sizeof(*thread->frames));
        release(state, thread, sizeof(*thread));
        return;
    }
    case KIND_PROTO:
        free_proto(state, (struct proto *)object);
        return;
    }
}

/* An upvalue that nothing but its thread refers to stays, as mark_thread marks it; so what is swept
 * here is on no list. */
static uint64_t sweep(lua_State *state)
{
    uint64_t visited = 0;
    struct object **at = &state->objects;
    while (*at != NULL) {
        struct object *object = *at;
        visited++;
        if (object->marked) {
            object->marked = false;
            at = &object->next;
        } else {
            *at = object->next;
            free_object(state, object);
        }
    }
    return visited;
}

void memory_collect(lua_State *state)
{
    uint64_t visited = mark_all(state);
    visited += sweep(state) * UNITS_PER_OBJECT;
    size_t live = state->arena->used;
    size_t room = live < ARENA_BYTES_MAX ? (ARENA_BYTES_MAX - live) / 2 : 0;
    size_t next = live > COLLECT_MIN ? live : COLLECT_MIN;
    state->allocated_max = next < room ? next : room;
    state->allocated = 0;
    lua_charge(state, visited);
}
