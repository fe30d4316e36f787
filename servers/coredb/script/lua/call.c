/* Threads and their stacks, calls, errors on their way. */
#include "coredb/script/lua/code.h"
#include "coredb/script/lua/object.h"

#include <stdio.h>
#include <string.h>

enum {
    STACK_FIRST = 32,
    STACK_MAX = 262144, /* values */
    FRAMES_MAX = 20000,
    C_STACK_SPARE = 20, /* what a function in C finds free */
    ERROR_TEXT_MAX = 1000,
    CALL_UNITS = 2,
    ERROR_UNITS = 30,
    HANDLER_STACK = 1000,
    HANDLER_FRAMES = 20,
    HANDLER_DEPTH = 20,
};

struct thread *thread_new(lua_State *state)
{
    struct thread *thread = object_new(state, KIND_THREAD, sizeof(*thread));
    struct object object = thread->object;
    *thread = (struct thread){.object = object};
    return thread;
}

/* What a handler of errors has beyond a limit, for what it handles may be that limit. */
static uint32_t spare(const lua_State *state, uint32_t count)
{
    return state->landing != NULL && state->landing->in_handler ? count : 0;
}

struct value *stack_reserve(lua_State *state, uint32_t count)
{
    struct thread *thread = state->thread;
    if (thread->stack_size - thread->top < count) {
        if (thread->top + count > STACK_MAX + spare(state, HANDLER_STACK)) {
            error_run(state, "stack overflow");
        }
        uint32_t size = thread->stack_size < STACK_FIRST ? STACK_FIRST : thread->stack_size;
        while (size - thread->top < count) {
            size *= 2;
        }
        thread->stack =
            memory_resize(state, thread->stack, thread->stack_size * sizeof(*thread->stack),
                          size * sizeof(*thread->stack));
        thread->stack_size = size;
    }
    return &thread->stack[thread->top];
}

void stack_push(lua_State *state, struct value value)
{
    *stack_reserve(state, 1) = value;
    state->thread->top++;
}

/* ---- Errors ---- */

static void run_handler(lua_State *state, struct landing *landing)
{
    landing->in_handler = true;
    struct thread *thread = state->thread;
    struct value handler = thread->stack[landing->handler];
    uint32_t function = thread->top;
    stack_push(state, handler);
    stack_push(state, state->error);
    call_run(state, function, 1);
    thread->top--;
    state->error = thread->stack[thread->top];
}

void error_throw(lua_State *state, int status)
{
    struct landing *landing = state->landing;
    if (landing->in_handler && status != LUA_ERRSPENT) {
        status = LUA_ERRERR;
        landing->handler = 0;
        state->error = value_nil(); /* a text is made where it lands */
    }
    if (status == LUA_ERRRUN && landing->handler != 0 && landing->thread == state->thread) {
        run_handler(state, landing);
    }
    landing->status = status;
    longjmp(landing->jump, 1);
}

int lua_error(lua_State *state)
{
    struct thread *thread = state->thread;
    state->error = thread->stack[--thread->top];
    error_throw(state, LUA_ERRRUN);
}

void error_run(lua_State *state, const char *format, ...)
{
    char text[ERROR_TEXT_MAX];
    char whole[ERROR_TEXT_MAX + 100];
    lua_charge(state, ERROR_UNITS);
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof(text), format, arguments);
    va_end(arguments);
    struct lua_place place;
    const char *shown = text;
    if (lua_place_of(state, 0, &place) && !place.is_c) {
        snprintf(whole, sizeof(whole), "%s:%d: %s", place.short_source, place.line, text);
        shown = whole;
    }
    state->error = value_of_string(string_new(state, shown, strlen(shown)));
    error_throw(state, LUA_ERRRUN);
}

void lua_charge(lua_State *state, uint64_t units)
{
    if (units >= state->left) {
        lua_abandon(state);
    }
    state->left -= units;
}

uint64_t lua_work(const lua_State *state)
{
    return state->budget - state->left;
}

void lua_abandon(lua_State *state)
{
    state->left = 0;
    state->error = value_nil();
    error_throw(state, LUA_ERRSPENT);
}

bool lua_place_of(lua_State *state, int level, struct lua_place *out)
{
    const struct thread *thread = state->thread;
    for (uint32_t i = thread->frame_count; i > 0; i--) {
        const struct frame *frame = &thread->frames[i - 1];
        if (level == 0) {
            const struct proto *proto = frame->closure->proto;
            *out = (struct lua_place){.source = "=[C]", .line = -1, .is_c = proto == NULL};
            if (proto == NULL) {
                snprintf(out->short_source, sizeof(out->short_source), "[C]");
            } else {
                out->source = proto->source->data;
                out->line = proto->lines[frame->pc == 0 ? 0 : frame->pc - 1];
                chunk_name_short(out->source, out->short_source);
            }
            return true;
        }
        level--;
        if (frame->closure->proto != NULL && level < frame->tail_calls) {
            *out = (struct lua_place){.source = "=(tail call)", .line = -1, .is_c = true};
            return true;
        }
        level -= frame->tail_calls;
    }
    return false;
}

/* ---- Upvalues ---- */

void upvalues_close(lua_State *state, uint32_t index)
{
    struct thread *thread = state->thread;
    while (thread->open != NULL && thread->open->index >= index) {
        struct upvalue *upvalue = thread->open;
        thread->open = upvalue->next;
        upvalue->closed = thread->stack[upvalue->index];
        upvalue->thread = NULL;
        upvalue->next = NULL;
    }
}

/* ---- Frames ---- */

static struct frame *push_frame(lua_State *state)
{
    struct thread *thread = state->thread;
    if (thread->frame_count >= FRAMES_MAX + spare(state, HANDLER_FRAMES)) {
        error_run(state, "stack overflow");
    }
    thread->frames = memory_grow(state, thread->frames, thread->frame_count,
                                 &thread->frame_capacity, sizeof(struct frame), UINT32_MAX / 2);
    return &thread->frames[thread->frame_count++];
}

/* Makes a value that is called a function, through its metatable. */
static struct closure *callable(lua_State *state, uint32_t function)
{
    struct thread *thread = state->thread;
    struct value called = thread->stack[function];
    if (called.type == LUA_TFUNCTION) {
        return called.closure;
    }
    struct value handler = vm_metamethod(state, &called, EVENT_CALL);
    if (handler.type != LUA_TFUNCTION) {
        struct frame *frame = thread->frame_count == 0 ? NULL : frame_top(state);
        bool from_lua = frame != NULL && frame->closure->proto != NULL && function >= frame->base &&
                        function < frame->base + frame->closure->proto->register_count;
        vm_type_error(state, &called, "call", from_lua ? (int)(function - frame->base) : -1);
    }
    (void)stack_reserve(state, 1);
    memmove(&thread->stack[function + 1], &thread->stack[function],
            (thread->top - function) * sizeof(struct value));
    lua_charge(state, (thread->top - function) / 4);
    thread->top++;
    thread->stack[function] = handler;
    return handler.closure;
}

void call_leave(lua_State *state, uint32_t first, uint32_t count)
{
    struct thread *thread = state->thread;
    struct frame *frame = frame_top(state);
    struct value *to = &thread->stack[frame->function];
    uint32_t wanted = frame->wanted == LUA_MULTRET ? count : (uint32_t)frame->wanted;
    uint32_t copied = count < wanted ? count : wanted;
    memmove(to, &thread->stack[first], copied * sizeof(*to));
    for (uint32_t i = copied; i < wanted; i++) {
        to[i] = value_nil();
    }
    thread->top = frame->function + wanted;
    thread->frame_count--;
    lua_charge(state, CALL_UNITS + wanted / 4);
}

static enum call_outcome enter_c(lua_State *state, struct closure *closure, uint32_t function,
                                 int wanted)
{
    struct thread *thread = state->thread;
    (void)stack_reserve(state, C_STACK_SPARE);
    struct frame *frame = push_frame(state);
    *frame = (struct frame){
        .closure = closure, .function = function, .base = function + 1, .wanted = wanted};
    int count = closure->function(state);
    if (count < 0) {
        return CALL_YIELDED;
    }
    call_leave(state, thread->top - (uint32_t)count, (uint32_t)count);
    return CALL_DONE;
}

/* Arguments beyond the parameters stay below the frame. */
static uint32_t place_arguments(lua_State *state, const struct proto *proto, uint32_t function,
                                uint32_t *vararg_count)
{
    struct thread *thread = state->thread;
    uint32_t count = thread->top - function - 1;
    *vararg_count = 0;
    if (!proto->is_vararg) {
        return function + 1;
    }
    uint32_t base = thread->top;
    for (uint32_t i = 0; i < proto->parameter_count; i++) {
        struct value *from = &thread->stack[function + 1 + i];
        thread->stack[base + i] = i < count ? *from : value_nil();
        if (i < count) {
            *from = value_nil();
        }
    }
    *vararg_count = count > proto->parameter_count ? count - proto->parameter_count : 0;
    thread->top = base + proto->parameter_count;
    return base;
}

enum call_outcome call_enter(lua_State *state, uint32_t function, int wanted)
{
    struct thread *thread = state->thread;
    struct closure *closure = callable(state, function);
    const struct proto *proto = closure->proto;
    if (proto == NULL) {
        return enter_c(state, closure, function, wanted);
    }
    (void)stack_reserve(state, (uint32_t)proto->register_count + proto->parameter_count + 2);
    uint32_t varargs;
    uint32_t base = place_arguments(state, proto, function, &varargs);
    struct frame *frame = push_frame(state);
    *frame = (struct frame){.closure = closure,
                            .function = function,
                            .base = base,
                            .wanted = wanted,
                            .vararg_count = varargs};
    uint32_t given = thread->top > base ? thread->top - base : 0;
    uint32_t first = given < proto->parameter_count ? given : proto->parameter_count;
    for (uint32_t i = first; i < proto->register_count; i++) {
        thread->stack[base + i] = value_nil();
    }
    thread->top = base + proto->register_count;
    lua_charge(state, CALL_UNITS);
    return CALL_ENTERED;
}

void call_run(lua_State *state, uint32_t function, int wanted)
{
    if (state->c_depth >= LUA_C_DEPTH_MAX + (int)spare(state, HANDLER_DEPTH)) {
        error_run(state, "C stack overflow");
    }
    state->c_depth++;
    state->thread->nesting++;
    if (call_enter(state, function, wanted) == CALL_ENTERED) {
        frame_top(state)->fresh = true;
        (void)vm_execute(state);
    }
    state->thread->nesting--;
    state->c_depth--;
}

void lua_call(lua_State *state, int arguments, int results)
{
    call_run(state, state->thread->top - (uint32_t)arguments - 1, results);
}

/* Puts things back to where the landing was made; the error value becomes the top. */
static void land(lua_State *state, struct landing *landing, uint32_t frames, uint32_t top,
                 int nesting)
{
    state->landing = landing->outer;
    state->thread = landing->thread;
    state->thread->frame_count = frames;
    state->thread->nesting = nesting;
    upvalues_close(state, top);
    state->thread->top = top;
    if (landing->status == LUA_ERRERR) {
        static const char text[] = "error in error handling";
        state->error = value_of_string(string_new(state, text, sizeof(text) - 1));
    }
    stack_push(state, state->error);
    state->error = value_nil();
}

int lua_pcall(lua_State *state, int arguments, int results, int handler)
{
    struct thread *thread = state->thread;
    uint32_t function = thread->top - (uint32_t)arguments - 1;
    uint32_t base = thread->frame_count == 0 ? 0 : frame_top(state)->base;
    struct landing landing = {
        .outer = state->landing,
        .thread = thread,
        .handler = handler > 0 ? base + (uint32_t)handler - 1 : 0,
    };
    uint32_t frames = thread->frame_count;
    int nesting = thread->nesting;
    int depth = state->c_depth;
    state->landing = &landing;
    if (setjmp(landing.jump) == 0) {
        call_run(state, function, results);
        state->landing = landing.outer;
        return LUA_OK;
    }
    state->c_depth = depth;
    if (landing.status == LUA_ERRSPENT && landing.outer != NULL) {
        state->landing = landing.outer;
        error_throw(state, LUA_ERRSPENT);
    }
    land(state, &landing, frames, function, nesting);
    return landing.status;
}

int lua_cpcall(lua_State *state, lua_CFunction function, void *arg)
{
    lua_pushcfunction(state, function);
    lua_pushlightuserdata(state, arg);
    return lua_pcall(state, 1, 0, 0);
}
