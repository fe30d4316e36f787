/* The table `coroutine`. A coroutine runs in a loop of the interpreter of its own. */
#include "coredb/script/lua/code.h"
#include "coredb/script/lua/object.h"

#include <string.h>

enum { RESUME_UNITS = 10 };

static struct thread *check_thread(lua_State *state, int index)
{
    if (lua_type(state, index) != LUA_TTHREAD) {
        luaL_argerror(state, index, "coroutine expected");
    }
    return state->thread->stack[frame_top(state)->base + (uint32_t)index - 1].thread;
}

static int create(lua_State *state)
{
    if (lua_type(state, 1) != LUA_TFUNCTION ||
        state->thread->stack[frame_top(state)->base].closure->proto == NULL) {
        luaL_argerror(state, 1, "Lua function expected");
    }
    struct thread *thread = thread_new(state);
    struct value function = state->thread->stack[frame_top(state)->base];
    stack_push(state, (struct value){.type = LUA_TTHREAD, .thread = thread});
    struct thread *caller = state->thread;
    state->thread = thread;
    stack_push(state, function);
    state->thread = caller;
    return 1;
}

/* Moves the top `count` values from one thread to the other. */
static void move_values(lua_State *state, struct thread *from, struct thread *to, uint32_t count)
{
    struct thread *running = state->thread;
    state->thread = to;
    (void)stack_reserve(state, count);
    state->thread = running;
    if (count != 0) {
        memcpy(&to->stack[to->top], &from->stack[from->top - count], count * sizeof(struct value));
    }
    to->top += count;
    from->top -= count;
    lua_charge(state, RESUME_UNITS + count / 4);
}

/* Goes on with the running thread, which has `count` arguments on its stack. */
static enum call_outcome go_on(lua_State *state, enum thread_status before, uint32_t count)
{
    struct thread *thread = state->thread;
    if (before == THREAD_FRESH) {
        enum call_outcome outcome = call_enter(state, thread->top - count - 1, LUA_MULTRET);
        if (outcome != CALL_ENTERED) {
            return outcome;
        }
        frame_top(state)->fresh = true;
        return vm_execute(state);
    }
    /* The arguments are the results of `yield`, whose frame is the top one. */
    call_leave(state, thread->top - count, count);
    if (thread->frame_count == 0) {
        return CALL_DONE;
    }
    const struct frame *frame = frame_top(state);
    const struct instruction *last = &frame->closure->proto->code[frame->pc - 1];
    bool open = (last->op == OP_CALL && last->c == 0) || last->op == OP_TAILCALL;
    if (!open) {
        thread->top = frame->base + frame->closure->proto->register_count;
    }
    return vm_execute(state);
}

/* Runs `thread` with the top `count` values. Returns how many values it gave, which are pushed, or
 * -1 with an error value pushed. */
static int resume(lua_State *state, struct thread *thread, uint32_t count)
{
    struct thread *resumer = state->thread;
    enum thread_status before = thread->status;
    if (before != THREAD_FRESH && before != THREAD_SUSPENDED) {
        lua_pushfstring(state, "cannot resume %s coroutine",
                        before == THREAD_DEAD      ? "dead"
                        : before == THREAD_RUNNING ? "running"
                                                   : "normal");
        return -1;
    }
    if (state->c_depth >= LUA_C_DEPTH_MAX) {
        luaL_error(state, "C stack overflow");
    }
    int depth = state->c_depth++;
    struct landing landing = {.outer = state->landing, .thread = thread};
    move_values(state, resumer, thread, count);
    resumer->status = THREAD_NORMAL;
    thread->status = THREAD_RUNNING;
    thread->resumer = resumer;
    state->landing = &landing;
    state->thread = thread;
    enum call_outcome outcome = CALL_DONE;
    bool failed = setjmp(landing.jump) != 0;
    if (!failed) {
        outcome = go_on(state, before, count);
    }
    state->landing = landing.outer;
    if (failed && landing.status == LUA_ERRSPENT) {
        error_throw(state, LUA_ERRSPENT);
    }
    state->c_depth = depth;
    state->thread = resumer;
    resumer->status = THREAD_RUNNING;
    thread->resumer = NULL;
    if (failed) {
        state->thread = thread;
        upvalues_close(state, 0);
        state->thread = resumer;
        thread->frame_count = 0;
        thread->status = THREAD_DEAD;
        if (landing.status == LUA_ERRERR) {
            lua_pushstring(state, "error in error handling");
        } else {
            stack_push(state, state->error);
        }
        return -1;
    }
    uint32_t given = thread->top;
    if (outcome == CALL_YIELDED) {
        thread->status = THREAD_SUSPENDED;
        given -= thread->frames[thread->frame_count - 1].base;
    } else {
        thread->status = THREAD_DEAD;
    }
    move_values(state, thread, resumer, given);
    return (int)given;
}

static int coroutine_resume(lua_State *state)
{
    struct thread *thread = check_thread(state, 1);
    int given = resume(state, thread, (uint32_t)lua_gettop(state) - 1);
    lua_pushboolean(state, given >= 0);
    int count = given < 0 ? 1 : given;
    lua_insert(state, -count - 1);
    return count + 1;
}

/* Upvalue: the thread. */
static int wrapped(lua_State *state)
{
    struct thread *thread = frame_top(state)->closure->slots[0].thread;
    int given = resume(state, thread, (uint32_t)lua_gettop(state));
    if (given >= 0) {
        return given;
    }
    if (lua_type(state, -1) == LUA_TSTRING) {
        luaL_where(state, 1);
        lua_insert(state, -2);
        size_t place_size;
        size_t text_size;
        const char *place = lua_tolstring(state, -2, &place_size);
        const char *text = lua_tolstring(state, -1, &text_size);
        struct string *whole = string_blank(state, place_size + text_size);
        memcpy(whole->data, place, place_size);
        memcpy(whole->data + place_size, text, text_size);
        stack_push(state, value_of_string(whole));
    }
    return lua_error(state);
}

static int coroutine_wrap(lua_State *state)
{
    (void)create(state);
    lua_pushcclosure(state, wrapped, 1);
    return 1;
}

static int coroutine_yield(lua_State *state)
{
    if (state->thread->nesting != 0 || state->thread == state->main) {
        error_run(state, "attempt to yield across metamethod/C-call boundary");
    }
    return -1;
}

static int coroutine_status(lua_State *state)
{
    static const char *const names[] = {"suspended", "suspended", "running", "normal", "dead"};
    lua_pushstring(state, names[check_thread(state, 1)->status]);
    return 1;
}

static int coroutine_running(lua_State *state)
{
    if (state->thread == state->main) {
        lua_pushnil(state);
    } else {
        stack_push(state, (struct value){.type = LUA_TTHREAD, .thread = state->thread});
    }
    return 1;
}

void lua_open_coroutine(lua_State *state)
{
    static const luaL_Reg functions[] = {
        {"create", create},
        {"resume", coroutine_resume},
        {"wrap", coroutine_wrap},
        {"yield", coroutine_yield},
        {"status", coroutine_status},
        {"running", coroutine_running},
        {NULL, NULL},
    };
    lua_newtable(state);
    luaL_register(state, functions);
}
