/* The loop that runs instructions, and what they mean for values with metatables. */
#include "coredb/script/lua/code.h"
#include "coredb/script/lua/object.h"

#include <math.h>
#include <string.h>

enum { CHAIN_MAX = 100, COPIED_PER_UNIT = 32, POWER_UNITS = 10 };

/* ---- Errors ---- */

static const struct note *find_note(const struct proto *proto, uint32_t pc, int reg)
{
    uint32_t low = 0;
    uint32_t high = proto->note_count;
    while (low < high) {
        uint32_t middle = (low + high) / 2;
        if (proto->notes[middle].pc < pc) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    for (; low < proto->note_count && proto->notes[low].pc == pc; low++) {
        if (proto->notes[low].reg == reg) {
            return &proto->notes[low];
        }
    }
    return NULL;
}

void vm_type_error(lua_State *state, const struct value *value, const char *operation, int reg)
{
    static const char *const kinds[] = {"", "local", "global", "field", "method", "upvalue"};
    const struct note *note = NULL;
    const struct frame *frame = state->thread->frame_count == 0 ? NULL : frame_top(state);
    if (reg >= 0 && frame != NULL && frame->closure->proto != NULL && frame->pc != 0) {
        note = find_note(frame->closure->proto, frame->pc - 1, reg);
    }
    const char *type = lua_typename(state, value->type);
    if (note == NULL || note->kind == NOTE_NONE) {
        error_run(state, "attempt to %s a %s value", operation, type);
    }
    error_run(state, "attempt to %s %s '%s' (a %s value)", operation, kinds[note->kind],
              note->name == NULL ? "?" : note->name->data, type);
}

static _Noreturn void compare_error(lua_State *state, const struct value *one,
                                    const struct value *other)
{
    const char *first = lua_typename(state, one->type);
    const char *second = lua_typename(state, other->type);
    if (strcmp(first, second) == 0) {
        error_run(state, "attempt to compare two %s values", first);
    }
    error_run(state, "attempt to compare %s with %s", first, second);
}

/* ---- Metamethods ---- */

static struct value field_of(lua_State *state, struct table *metatable, enum event event)
{
    if (metatable == NULL || (metatable->absent & 1u << event) != 0) {
        return value_nil();
    }
    struct value found = table_get_string(state, metatable, state->events[event]);
    if (found.type == LUA_TNIL) {
        metatable->absent |= 1u << event;
    }
    return found;
}

static struct table *metatable_of(lua_State *state, const struct value *value)
{
    return value->type == LUA_TTABLE    ? value->table->metatable
           : value->type == LUA_TSTRING ? state->string_metatable
                                        : NULL;
}

struct value vm_metamethod(lua_State *state, const struct value *value, enum event event)
{
    return field_of(state, metatable_of(state, value), event);
}

static struct value call_handler(lua_State *state, struct value handler, struct value one,
                                 struct value other)
{
    struct thread *thread = state->thread;
    uint32_t function = thread->top;
    stack_push(state, handler);
    stack_push(state, one);
    stack_push(state, other);
    call_run(state, function, 1);
    return thread->stack[--thread->top];
}

static struct value index_named(lua_State *state, struct value object, struct value key, int reg)
{
    for (int i = 0; i < CHAIN_MAX; i++) {
        struct value handler;
        if (object.type == LUA_TTABLE) {
            struct value found = table_get(state, object.table, &key);
            if (found.type != LUA_TNIL || object.table->metatable == NULL) {
                return found;
            }
            handler = field_of(state, object.table->metatable, EVENT_INDEX);
            if (handler.type == LUA_TNIL) {
                return found;
            }
        } else {
            handler = vm_metamethod(state, &object, EVENT_INDEX);
            if (handler.type == LUA_TNIL) {
                vm_type_error(state, &object, "index", i == 0 ? reg : -1);
            }
        }
        lua_charge(state, 1);
        if (handler.type == LUA_TFUNCTION) {
            return call_handler(state, handler, object, key);
        }
        object = handler;
    }
    error_run(state, "loop in gettable");
}

struct value vm_index(lua_State *state, struct value object, struct value key)
{
    return index_named(state, object, key, -1);
}

static void put_raw(lua_State *state, struct table *table, const struct value *key,
                    const struct value *value)
{
    if (key->type == LUA_TNIL) {
        error_run(state, "table index is nil");
    }
    if (key->type == LUA_TNUMBER && isnan(key->number)) {
        error_run(state, "table index is NaN");
    }
    table_put(state, table, key, value);
}

static void set_index_named(lua_State *state, struct value object, struct value key,
                            struct value value, int reg)
{
    for (int i = 0; i < CHAIN_MAX; i++) {
        struct value handler = value_nil();
        if (object.type == LUA_TTABLE) {
            struct table *table = object.table;
            if (table->read_only) {
                error_run(state, "Attempt to modify a readonly table");
            }
            if (table->metatable != NULL && table_get(state, table, &key).type == LUA_TNIL) {
                handler = field_of(state, table->metatable, EVENT_NEWINDEX);
            }
            if (handler.type == LUA_TNIL) {
                put_raw(state, table, &key, &value);
                return;
            }
        } else {
            handler = vm_metamethod(state, &object, EVENT_NEWINDEX);
            if (handler.type == LUA_TNIL) {
                vm_type_error(state, &object, "index", i == 0 ? reg : -1);
            }
        }
        lua_charge(state, 1);
        if (handler.type == LUA_TFUNCTION) {
            uint32_t function = state->thread->top;
            stack_push(state, handler);
            stack_push(state, object);
            stack_push(state, key);
            stack_push(state, value);
            call_run(state, function, 0);
            return;
        }
        object = handler;
    }
    error_run(state, "loop in settable");
}

/* ---- Comparison ---- */

bool vm_raw_equal(lua_State *state, const struct value *one, const struct value *other)
{
    if (one->type != other->type) {
        return false;
    }
    switch (one->type) {
    case LUA_TNIL:
        return true;
    case LUA_TNUMBER:
        return one->number == other->number;
    case LUA_TBOOLEAN:
        return one->boolean == other->boolean;
    case LUA_TSTRING:
        return string_equal(state, one->string, other->string);
    default:
        return one->pointer == other->pointer;
    }
}

/* The handler that both values have for the event, or nil. */
static struct value common_handler(lua_State *state, const struct value *one,
                                   const struct value *other, enum event event)
{
    struct table *first = metatable_of(state, one);
    struct table *second = metatable_of(state, other);
    struct value handler = field_of(state, first, event);
    if (handler.type == LUA_TNIL || first == second) {
        return handler;
    }
    struct value same = field_of(state, second, event);
    return vm_raw_equal(state, &handler, &same) ? handler : value_nil();
}

bool vm_equal(lua_State *state, struct value one, struct value other)
{
    if (vm_raw_equal(state, &one, &other)) {
        return true;
    }
    if (one.type != LUA_TTABLE || other.type != LUA_TTABLE) {
        return false;
    }
    struct value handler = common_handler(state, &one, &other, EVENT_EQ);
    if (handler.type == LUA_TNIL) {
        return false;
    }
    struct value result = call_handler(state, handler, one, other);
    return value_is_true(&result);
}

bool vm_less(lua_State *state, struct value one, struct value other)
{
    if (one.type == LUA_TNUMBER && other.type == LUA_TNUMBER) {
        return one.number < other.number;
    }
    if (one.type == LUA_TSTRING && other.type == LUA_TSTRING) {
        return string_compare(state, one.string, other.string) < 0;
    }
    struct value handler =
        one.type == other.type ? common_handler(state, &one, &other, EVENT_LT) : value_nil();
    if (handler.type == LUA_TNIL) {
        compare_error(state, &one, &other);
    }
    struct value result = call_handler(state, handler, one, other);
    return value_is_true(&result);
}

bool vm_less_equal(lua_State *state, struct value one, struct value other)
{
    if (one.type == LUA_TNUMBER && other.type == LUA_TNUMBER) {
        return one.number <= other.number;
    }
    if (one.type == LUA_TSTRING && other.type == LUA_TSTRING) {
        return string_compare(state, one.string, other.string) <= 0;
    }
    if (one.type != other.type) {
        compare_error(state, &one, &other);
    }
    struct value handler = common_handler(state, &one, &other, EVENT_LE);
    if (handler.type != LUA_TNIL) {
        struct value result = call_handler(state, handler, one, other);
        return value_is_true(&result);
    }
    handler = common_handler(state, &one, &other, EVENT_LT);
    if (handler.type == LUA_TNIL) {
        compare_error(state, &one, &other);
    }
    struct value result = call_handler(state, handler, other, one);
    return !value_is_true(&result);
}

/* ---- Arithmetic, length, concatenation ---- */

static double compute(enum opcode op, double one, double other)
{
    switch (op) {
    case OP_ADD:
        return one + other;
    case OP_SUB:
        return one - other;
    case OP_MUL:
        return one * other;
    case OP_DIV:
        return one / other;
    case OP_MOD:
        return one - floor(one / other) * other;
    case OP_POW:
        return pow(one, other);
    default: /* OP_UNM */
        return -one;
    }
}

/* The register of an operand, for its name; -1: a constant. */
static int operand_reg(int operand)
{
    return operand < CONSTANT_FIRST ? operand : -1;
}

static struct value arithmetic(lua_State *state, const struct instruction *instruction,
                               struct value one, struct value other)
{
    double first;
    double second;
    enum opcode op = instruction->op;
    if (value_number(state, &one, &first) && value_number(state, &other, &second)) {
        return value_of_number(compute(op, first, second));
    }
    enum event event = EVENT_ADD + (op - OP_ADD);
    struct value handler = vm_metamethod(state, &one, event);
    if (handler.type == LUA_TNIL) {
        handler = vm_metamethod(state, &other, event);
    }
    if (handler.type == LUA_TNIL) {
        bool first_fine = value_number(state, &one, &first);
        const struct value *culprit = first_fine ? &other : &one;
        vm_type_error(state, culprit, "perform arithmetic on",
                      operand_reg(first_fine && op != OP_UNM ? instruction->c : instruction->b));
    }
    return call_handler(state, handler, one, other);
}

static struct value length(lua_State *state, struct value value, int reg)
{
    if (value.type == LUA_TTABLE) {
        return value_of_number(table_length(value.table));
    }
    if (value.type == LUA_TSTRING) {
        return value_of_number((double)value.string->size);
    }
    vm_type_error(state, &value, "get length of", reg);
}

static bool is_text(const struct value *value)
{
    return value->type == LUA_TSTRING || value->type == LUA_TNUMBER;
}

static void make_text(lua_State *state, struct value *value)
{
    if (value->type == LUA_TNUMBER) {
        char text[NUMBER_TEXT_SIZE];
        size_t size = number_text(state, value->number, text);
        *value = value_of_string(string_new(state, text, size));
    }
}

/* Joins the texts at the end of `count` values at `first` into the first of them; returns how many
 * values are left. */
static uint32_t join(lua_State *state, uint32_t first, uint32_t count)
{
    struct value *values = &state->thread->stack[first];
    uint32_t from = count;
    size_t size = 0;
    while (from > 0 && is_text(&values[from - 1])) {
        from--;
        make_text(state, &values[from]);
        size += values[from].string->size;
    }
    lua_charge(state, size / COPIED_PER_UNIT);
    struct string *whole = string_blank(state, size);
    char *at = whole->data;
    for (uint32_t i = from; i < count; i++) {
        memcpy(at, values[i].string->data, values[i].string->size);
        at += values[i].string->size;
    }
    values[from] = value_of_string(whole);
    return from + 1;
}

/* The values at `first` on become one. From the right, as Lua does. */
static struct value concat(lua_State *state, uint32_t first, uint32_t count, int reg)
{
    while (count > 1) {
        struct value one = state->thread->stack[first + count - 2];
        struct value other = state->thread->stack[first + count - 1];
        if (is_text(&one) && is_text(&other)) {
            count = join(state, first, count);
            continue;
        }
        struct value handler = vm_metamethod(state, &one, EVENT_CONCAT);
        if (handler.type == LUA_TNIL) {
            handler = vm_metamethod(state, &other, EVENT_CONCAT);
        }
        if (handler.type == LUA_TNIL) {
            bool first_fine = is_text(&one);
            vm_type_error(state, first_fine ? &other : &one, "concatenate",
                          reg + (int)count - (first_fine ? 1 : 2));
        }
        struct value result = call_handler(state, handler, one, other);
        state->thread->stack[first + count - 2] = result;
        count--;
    }
    return state->thread->stack[first];
}

/* ---- Closures ---- */

static struct upvalue *find_upvalue(lua_State *state, uint32_t index)
{
    struct thread *thread = state->thread;
    struct upvalue **at = &thread->open;
    while (*at != NULL && (*at)->index > index) {
        at = &(*at)->next;
    }
    if (*at != NULL && (*at)->index == index) {
        return *at;
    }
    struct upvalue *upvalue = object_new(state, KIND_UPVALUE, sizeof(*upvalue));
    upvalue->thread = thread;
    upvalue->index = index;
    upvalue->next = *at;
    upvalue->closed = value_nil();
    *at = upvalue;
    return upvalue;
}

static struct closure *make_closure(lua_State *state, struct proto *proto,
                                    const struct frame *frame)
{
    uint32_t base = frame->base;
    struct closure *outer = frame->closure;
    struct closure *closure = object_new(
        state, KIND_CLOSURE, sizeof(*closure) + proto->capture_count * sizeof(struct value));
    closure->proto = proto;
    closure->function = NULL;
    closure->slot_count = proto->capture_count;
    for (uint32_t i = 0; i < proto->capture_count; i++) {
        closure->slots[i] = value_nil();
    }
    for (uint32_t i = 0; i < proto->capture_count; i++) {
        const struct capture *capture = &proto->captures[i];
        closure->slots[i].object = capture->is_register
                                       ? &find_upvalue(state, base + capture->index)->object
                                       : outer->slots[capture->index].object;
    }
    return closure;
}

static struct value *upvalue_slot(const struct closure *closure, uint32_t number)
{
    struct upvalue *upvalue = (struct upvalue *)closure->slots[number].object;
    return upvalue->thread == NULL ? &upvalue->closed : &upvalue->thread->stack[upvalue->index];
}

/* ---- Loops and calls ---- */

static void prepare_for(lua_State *state, struct value *values)
{
    static const char *const names[] = {"initial value", "limit", "step"};
    for (int i = 0; i < 3; i++) {
        double number;
        if (!value_number(state, &values[i], &number)) {
            error_run(state, "'for' %s must be a number", names[i]);
        }
        values[i] = value_of_number(number);
    }
    values[0].number -= values[2].number;
}

/* A tail call of a function in Lua takes the place of the running one. */
static void replace_frame(lua_State *state)
{
    struct thread *thread = state->thread;
    struct frame *called = frame_top(state);
    struct frame *caller = called - 1;
    upvalues_close(state, caller->function + 1);
    uint32_t moved = thread->top - called->function;
    lua_charge(state, moved / 4);
    memmove(&thread->stack[caller->function], &thread->stack[called->function],
            moved * sizeof(struct value));
    caller->closure = called->closure;
    caller->base = caller->function + (called->base - called->function);
    caller->vararg_count = called->vararg_count;
    caller->pc = 0;
    caller->tail_calls++;
    thread->top = caller->function + moved;
    thread->frame_count--;
}

/* Copies varargs to the registers from `to` on; `wanted` -1: all, which then are at the top. */
static void copy_varargs(lua_State *state, uint32_t to, int wanted)
{
    struct thread *thread = state->thread;
    uint32_t have = frame_top(state)->vararg_count;
    uint32_t count = wanted < 0 ? have : (uint32_t)wanted;
    if (wanted < 0) {
        thread->top = to;
        (void)stack_reserve(state, count + 1);
        thread->top = to + count;
    }
    lua_charge(state, count / 4);
    const struct value *from = &thread->stack[frame_top(state)->base - have];
    struct value *target = &thread->stack[to];
    /* The values lie right below the parameters, which are at the base. */
    for (uint32_t i = 0; i < count; i++) {
        target[i] = i < have ? from[i] : value_nil();
    }
}

/* ---- The loop ---- */

/* After whatever may call, grow the stack or change the frames, these are read again. */
#define REFRESH()                                                                                  \
    do {                                                                                           \
        frame = frame_top(state);                                                                  \
        proto = frame->closure->proto;                                                             \
        r = &state->thread->stack[frame->base];                                                    \
    } while (0)
#define RK(operand)                                                                                \
    ((operand) < CONSTANT_FIRST ? r[operand] : proto->constants[(operand)-CONSTANT_FIRST])
#define TOP() (state->thread->top = frame->base + proto->register_count)

enum call_outcome vm_execute(lua_State *state)
{
    struct frame *frame;
    const struct proto *proto;
    struct value *r;
    REFRESH();
    for (;;) {
        const struct instruction *i = &proto->code[frame->pc++];
        if (state->left <= 1) {
            lua_abandon(state);
        }
        state->left--;
        switch ((enum opcode)i->op) {
        case OP_MOVE:
            r[i->a] = r[i->b];
            break;
        case OP_LOADK:
            r[i->a] = proto->constants[i->c];
            break;
        case OP_NIL:
            for (uint32_t n = 0; n < i->b; n++) {
                r[i->a + n] = value_nil();
            }
            break;
        case OP_BOOL:
            r[i->a] = value_boolean(i->b != 0);
            break;
        case OP_GETUP:
            r[i->a] = *upvalue_slot(frame->closure, i->b);
            break;
        case OP_SETUP:
            *upvalue_slot(frame->closure, i->b) = r[i->a];
            break;
        case OP_GETGLOBAL: {
            struct value found =
                index_named(state, value_of_table(state->globals), proto->constants[i->c], -1);
            REFRESH();
            r[i->a] = found;
            break;
        }
        case OP_SETGLOBAL:
            set_index_named(state, value_of_table(state->globals), proto->constants[i->c], r[i->a],
                            -1);
            REFRESH();
            break;
        case OP_GETTABLE: {
            struct value found = index_named(state, r[i->b], RK(i->c), i->b);
            REFRESH();
            r[i->a] = found;
            break;
        }
        case OP_SETTABLE:
            set_index_named(state, r[i->a], RK(i->b), RK(i->c), i->a);
            REFRESH();
            break;
        case OP_SELF: {
            struct value object = r[i->b];
            struct value found = index_named(state, object, RK(i->c), i->b);
            REFRESH();
            r[i->a + 1] = object;
            r[i->a] = found;
            break;
        }
        case OP_NEWTABLE:
            r[i->a] = value_of_table(table_new(state, i->b, (size_t)i->c));
            if (memory_is_due(state)) {
                memory_collect(state);
            }
            break;
        case OP_ADD:
        case OP_SUB:
        case OP_MUL:
        case OP_DIV:
        case OP_MOD:
        case OP_POW: {
            struct value one = RK(i->b);
            struct value other = RK(i->c);
            if (i->op == OP_POW) {
                lua_charge(state, POWER_UNITS);
            }
            if (one.type == LUA_TNUMBER && other.type == LUA_TNUMBER) {
                r[i->a] = value_of_number(compute(i->op, one.number, other.number));
                break;
            }
            struct value result = arithmetic(state, i, one, other);
            REFRESH();
            r[i->a] = result;
            break;
        }
        case OP_UNM: {
            struct value result = arithmetic(state, i, RK(i->b), RK(i->b));
            REFRESH();
            r[i->a] = result;
            break;
        }
        case OP_NOT:
            r[i->a] = value_boolean(!value_is_true(&r[i->b]));
            break;
        case OP_LEN:
            r[i->a] = length(state, r[i->b], i->b);
            break;
        case OP_CONCAT: {
            uint32_t count = (uint32_t)i->c - i->b + 1;
            struct value result = concat(state, frame->base + i->b, count, i->b);
            REFRESH();
            r[i->a] = result;
            if (memory_is_due(state)) {
                memory_collect(state);
            }
            break;
        }
        case OP_EQ:
        case OP_NE: {
            bool equal = vm_equal(state, RK(i->b), RK(i->c));
            REFRESH();
            r[i->a] = value_boolean(equal == (i->op == OP_EQ));
            break;
        }
        case OP_LT: {
            bool less = vm_less(state, RK(i->b), RK(i->c));
            REFRESH();
            r[i->a] = value_boolean(less);
            break;
        }
        case OP_LE: {
            bool less = vm_less_equal(state, RK(i->b), RK(i->c));
            REFRESH();
            r[i->a] = value_boolean(less);
            break;
        }
        case OP_JUMP:
            frame->pc = (uint32_t)i->c;
            break;
        case OP_IF:
            frame->pc = value_is_true(&r[i->a]) ? (uint32_t)i->c : frame->pc;
            break;
        case OP_IFNOT:
            frame->pc = value_is_true(&r[i->a]) ? frame->pc : (uint32_t)i->c;
            break;
        case OP_CALL: {
            uint32_t function = frame->base + i->a;
            if (i->b != 0) {
                state->thread->top = function + i->b;
            }
            int wanted = i->c - 1;
            enum call_outcome outcome = call_enter(state, function, wanted);
            if (outcome == CALL_YIELDED) {
                return outcome;
            }
            REFRESH();
            if (outcome == CALL_DONE) {
                if (wanted >= 0) {
                    TOP();
                }
                if (memory_is_due(state)) {
                    memory_collect(state);
                }
            }
            break;
        }
        case OP_TAILCALL: {
            if (i->b != 0) {
                state->thread->top = frame->base + i->a + i->b;
            }
            enum call_outcome outcome = call_enter(state, frame->base + i->a, LUA_MULTRET);
            if (outcome == CALL_YIELDED) {
                return outcome;
            }
            if (outcome == CALL_ENTERED) {
                replace_frame(state);
            }
            REFRESH();
            break;
        }
        case OP_RETURN: {
            uint32_t first = frame->base + i->a;
            uint32_t count = i->b != 0 ? i->b - 1u : state->thread->top - first;
            bool fresh = frame->fresh;
            int wanted = frame->wanted;
            if (state->thread->open != NULL) {
                upvalues_close(state, frame->function + 1);
            }
            call_leave(state, first, count);
            if (fresh) {
                return CALL_DONE;
            }
            REFRESH();
            if (wanted >= 0) {
                TOP();
            }
            break;
        }
        case OP_FORPREP:
            prepare_for(state, &r[i->a]);
            frame->pc = (uint32_t)i->c;
            break;
        case OP_FORLOOP: {
            double step = r[i->a + 2].number;
            double number = r[i->a].number + step;
            double limit = r[i->a + 1].number;
            if (step > 0 ? number <= limit : limit <= number) {
                r[i->a].number = number;
                r[i->a + 3] = value_of_number(number);
                frame->pc = (uint32_t)i->c;
            }
            break;
        }
        case OP_TFORCALL: {
            memcpy(&r[i->a + 3], &r[i->a], 3 * sizeof(*r));
            uint32_t function = frame->base + i->a + 3;
            state->thread->top = function + 3;
            enum call_outcome outcome = call_enter(state, function, i->b);
            if (outcome == CALL_YIELDED) {
                return outcome;
            }
            REFRESH();
            if (outcome == CALL_DONE) {
                TOP();
                if (memory_is_due(state)) {
                    memory_collect(state);
                }
            }
            break;
        }
        case OP_TFORLOOP:
            if (r[i->a + 3].type != LUA_TNIL) {
                r[i->a + 2] = r[i->a + 3];
                frame->pc = (uint32_t)i->c;
            }
            break;
        case OP_SETLIST: {
            uint32_t count =
                i->b != LIST_OPEN ? i->b : state->thread->top - (frame->base + i->a + 1);
            table_put_list(state, r[i->a].table, (uint32_t)i->c, &r[i->a + 1], count);
            TOP();
            break;
        }
        case OP_CLOSURE: {
            struct closure *made = make_closure(state, proto->protos[i->c], frame);
            r[i->a] = value_of_closure(made);
            if (memory_is_due(state)) {
                memory_collect(state);
            }
            break;
        }
        case OP_CLOSE:
            upvalues_close(state, frame->base + i->a);
            break;
        case OP_VARARG:
            copy_varargs(state, frame->base + i->a, (int)i->b - 1);
            REFRESH();
            break;
        }
    }
}
