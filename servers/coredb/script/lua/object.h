/* What the files of the interpreter share: values, objects, the state. */
#ifndef COREDB_SCRIPT_LUA_OBJECT_H
#define COREDB_SCRIPT_LUA_OBJECT_H

#include "coredb/script/lua/lua.h"

#include <setjmp.h>

enum object_kind {
    KIND_STRING,
    KIND_TABLE,
    KIND_CLOSURE,
    KIND_UPVALUE,
    KIND_THREAD,
    KIND_PROTO,
};

/* What all objects begin with. */
struct object {
    struct object *next; /* of all objects */
    struct object *gray; /* marked, its parts not yet */
    uint8_t kind;
    bool marked;
};

struct value {
    int type; /* enum lua_type */
    union {
        double number;
        bool boolean;
        void *pointer;
        struct object *object;
        struct string *string;
        struct table *table;
        struct closure *closure;
        struct thread *thread;
    };
};

struct string {
    struct object object;
    size_t size;
    uint64_t hash;
    bool hashed;
    char data[]; /* and a zero */
};

struct entry {
    struct value key; /* KEY_DEAD: moved to the array */
    struct value value;
};

enum { KEY_DEAD = 100 };

/*
 * The values of 1 to array_size are in `array`, the last of them not nil; other keys are in
 * `entries`, in order of insertion, found through `places`. An entry whose value is nil stays until
 * the entries are packed, so that next() finds its way.
 */
struct table {
    struct object object;
    struct table *metatable;
    struct value *array;
    struct entry *entries;
    uint32_t *places; /* open addressing; the number of an entry plus 1, or 0 */
    uint32_t array_size;
    uint32_t array_capacity;
    uint32_t entry_count;
    uint32_t entry_capacity;
    uint32_t place_count; /* a power of two, or 0 */
    uint32_t absent;      /* events that a metatable has no field for */
    bool read_only;
};

struct closure {
    struct object object;
    struct proto *proto; /* NULL: in C */
    lua_CFunction function;
    uint32_t slot_count;
    struct value slots[]; /* values in C, else objects of kind upvalue */
};

struct upvalue {
    struct object object;
    struct thread *thread; /* NULL: closed */
    uint32_t index;        /* on the thread's stack */
    struct upvalue *next;  /* open ones of the thread, the highest first */
    struct value closed;
};

struct frame {
    struct closure *closure;
    uint32_t function; /* where its value is on the stack */
    uint32_t base;
    uint32_t pc; /* the next instruction */
    uint32_t vararg_count;
    int wanted; /* results, or LUA_MULTRET */
    int tail_calls;
    bool fresh; /* the interpreter's loop ends with it */
};

enum thread_status { THREAD_FRESH, THREAD_SUSPENDED, THREAD_RUNNING, THREAD_NORMAL, THREAD_DEAD };

struct thread {
    struct object object;
    struct value *stack;
    uint32_t stack_size;
    uint32_t top;
    struct frame *frames;
    uint32_t frame_count;
    uint32_t frame_capacity;
    struct upvalue *open;
    enum thread_status status;
    int nesting; /* calls from C within it: it cannot yield below one */
    struct thread *resumer;
};

enum event {
    EVENT_INDEX,
    EVENT_NEWINDEX,
    EVENT_CALL,
    EVENT_ADD,
    EVENT_SUB,
    EVENT_MUL,
    EVENT_DIV,
    EVENT_MOD,
    EVENT_POW,
    EVENT_UNM,
    EVENT_LEN,
    EVENT_CONCAT,
    EVENT_EQ,
    EVENT_LT,
    EVENT_LE,
    EVENT_COUNT,
};

/* A place that errors go to. */
struct landing {
    jmp_buf jump;
    struct landing *outer;
    struct thread *thread;
    int status;
    uint32_t handler; /* where on the stack; 0: none */
    bool in_handler;
};

struct lua_State {
    struct arena *arena;
    void *owner;
    uint64_t budget;
    uint64_t left;
    struct thread *thread;
    struct thread *main;
    struct object *objects;
    struct object *gray;
    size_t allocated; /* since the last collection */
    size_t allocated_max;
    struct landing *landing;
    struct value error;
    int c_depth;
    struct table *registry;
    struct table *globals;
    struct table *string_metatable;
    struct string *events[EVENT_COUNT];
    struct string *no_memory;
    uint64_t seed[2];
};

/* ---- memory.c ---- */

/* Resizes a block; `size` 0 frees it. Raises "not enough memory". */
void *memory_resize(lua_State *state, void *block, size_t old_size, size_t size);
/* Makes room for one more element in an array that doubles. */
void *memory_grow(lua_State *state, void *block, uint32_t count, uint32_t *capacity, size_t size,
                  uint32_t count_max);
void *object_new(lua_State *state, enum object_kind kind, size_t size);
/* Frees what nothing refers to. Between instructions only. */
void memory_collect(lua_State *state);
static inline bool memory_is_due(const lua_State *state)
{
    return state->allocated > state->allocated_max;
}

/* ---- text.c: strings and numbers ---- */

struct string *string_new(lua_State *state, const char *data, size_t size);
/* Bytes to be filled in by the caller at once. */
struct string *string_blank(lua_State *state, size_t size);
uint64_t string_hash(lua_State *state, struct string *string);
bool string_equal(lua_State *state, const struct string *one, const struct string *other);
int string_compare(lua_State *state, const struct string *one, const struct string *other);
uint64_t hash_number(const lua_State *state, uint64_t bits);

/* As Lua reads numbers: with spaces around, hexadecimal allowed. */
bool number_of_text(lua_State *state, const char *text, size_t size, double *out);
enum { NUMBER_TEXT_SIZE = 32 };
size_t number_text(lua_State *state, double number, char out[NUMBER_TEXT_SIZE]); /* "%.14g" */
/* A number or a text of one. */
bool value_number(lua_State *state, const struct value *value, double *out);

/* ---- table.c ---- */

struct table *table_new(lua_State *state, size_t array_size, size_t hash_size);
struct value table_get(lua_State *state, struct table *table, const struct value *key);
struct value table_get_string(lua_State *state, struct table *table, struct string *key);
struct value table_get_integer(lua_State *state, struct table *table, int64_t key);
/* The key is neither nil nor NaN. */
void table_put(lua_State *state, struct table *table, const struct value *key,
               const struct value *value);
void table_put_integer(lua_State *state, struct table *table, int64_t key,
                       const struct value *value);
/* Puts values to `start` and on; nil among them keep their place in the array. */
void table_put_list(lua_State *state, struct table *table, uint32_t start,
                    const struct value *values, uint32_t count);
uint32_t table_length(const struct table *table);
/* The pair after `key`. False: none is left. Raises an error for a key that is not there. */
bool table_next(lua_State *state, struct table *table, struct value *key, struct value *value);

/* ---- call.c: threads, frames, errors ---- */

struct thread *thread_new(lua_State *state);
struct value *stack_reserve(lua_State *state, uint32_t count); /* above the top; returns the top */
void stack_push(lua_State *state, struct value value);
/* Enters the function at `function` with what is above it. True: a frame of Lua is to be run. */
enum call_outcome { CALL_DONE, CALL_ENTERED, CALL_YIELDED };
enum call_outcome call_enter(lua_State *state, uint32_t function, int wanted);
/* Ends the running frame with the top `count` values as its results. */
void call_leave(lua_State *state, uint32_t first, uint32_t count);
/* Calls from C, to the end. */
void call_run(lua_State *state, uint32_t function, int wanted);
void upvalues_close(lua_State *state, uint32_t index);
_Noreturn void error_throw(lua_State *state, int status);
/* Raises a message with the place of the running function. */
_Noreturn void error_run(lua_State *state, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

static inline struct frame *frame_top(lua_State *state)
{
    return &state->thread->frames[state->thread->frame_count - 1];
}

/* ---- vm.c ---- */

/* Runs the top frame until one that is fresh ends: CALL_DONE, or until a yield. */
enum call_outcome vm_execute(lua_State *state);
struct value vm_index(lua_State *state, struct value object, struct value key);
bool vm_equal(lua_State *state, struct value one, struct value other);
bool vm_raw_equal(lua_State *state, const struct value *one, const struct value *other);
bool vm_less(lua_State *state, struct value one, struct value other);
bool vm_less_equal(lua_State *state, struct value one, struct value other);
/* The metamethod of a value, or nil. */
struct value vm_metamethod(lua_State *state, const struct value *value, enum event event);
/* Raises "attempt to index local 'x' (a nil value)"; `reg` -1: not named. */
_Noreturn void vm_type_error(lua_State *state, const struct value *value, const char *operation,
                             int reg);

/* ---- Values ---- */

static inline struct value value_nil(void)
{
    return (struct value){.type = LUA_TNIL, .pointer = NULL};
}
static inline struct value value_boolean(bool boolean)
{
    return (struct value){.type = LUA_TBOOLEAN, .boolean = boolean};
}
static inline struct value value_of_number(double number)
{
    return (struct value){.type = LUA_TNUMBER, .number = number};
}
static inline struct value value_of_string(struct string *string)
{
    return (struct value){.type = LUA_TSTRING, .string = string};
}
static inline struct value value_of_table(struct table *table)
{
    return (struct value){.type = LUA_TTABLE, .table = table};
}
static inline struct value value_of_closure(struct closure *closure)
{
    return (struct value){.type = LUA_TFUNCTION, .closure = closure};
}
static inline bool value_is_true(const struct value *value)
{
    return value->type > LUA_TBOOLEAN || (value->type == LUA_TBOOLEAN && value->boolean);
}

#endif
