/* Functions as the compiler leaves them and the interpreter's loop runs them. */
#ifndef COREDB_SCRIPT_LUA_CODE_H
#define COREDB_SCRIPT_LUA_CODE_H

#include "coredb/script/lua/object.h"

/* R: a register. RK: a register, or from CONSTANT_FIRST on a constant. K: a constant. */
enum opcode {
    OP_MOVE,      /* R(a) = R(b) */
    OP_LOADK,     /* R(a) = K(c) */
    OP_NIL,       /* b registers from a on */
    OP_BOOL,      /* R(a) = b != 0 */
    OP_GETUP,     /* R(a) = upvalue b */
    OP_SETUP,     /* upvalue b = R(a) */
    OP_GETGLOBAL, /* R(a) = globals[K(c)] */
    OP_SETGLOBAL, /* globals[K(c)] = R(a) */
    OP_GETTABLE,  /* R(a) = R(b)[RK(c)] */
    OP_SETTABLE,  /* R(a)[RK(b)] = RK(c) */
    OP_SELF,      /* R(a + 1) = R(b), R(a) = R(b)[RK(c)] */
    OP_NEWTABLE,  /* R(a) = {}, for b in the array and c others */
    OP_ADD,       /* R(a) = RK(b) + RK(c) */
    OP_SUB,
    OP_MUL,
    OP_DIV,
    OP_MOD,
    OP_POW,
    OP_UNM, /* R(a) = -R(b) */
    OP_NOT,
    OP_LEN,
    OP_CONCAT, /* R(a) = R(b) .. to R(c) */
    OP_EQ,     /* R(a) = RK(b) == RK(c) */
    OP_NE,
    OP_LT,
    OP_LE,
    OP_JUMP,     /* to c */
    OP_IF,       /* to c if R(a) */
    OP_IFNOT,    /* to c if not R(a) */
    OP_CALL,     /* R(a)(b - 1 arguments; 0: to the top), c - 1 results or all */
    OP_TAILCALL, /* as CALL */
    OP_RETURN,   /* b - 1 values from R(a) on, or to the top */
    OP_FORPREP,  /* start, limit, step in R(a) and on; to c */
    OP_FORLOOP,  /* to c unless at the end */
    OP_TFORCALL, /* R(a + 3).. = R(a)(R(a + 1), R(a + 2)), b results */
    OP_TFORLOOP, /* if R(a + 3) is not nil, it is the new R(a + 2), to c */
    OP_SETLIST,  /* R(a)[c ...] = the b values after it, or to the top with b UINT16_MAX */
    OP_CLOSURE,  /* R(a) = function c of the proto */
    OP_CLOSE,    /* upvalues from R(a) on */
    OP_VARARG,   /* b - 1 values to R(a) and on, or all */
};

enum {
    CONSTANT_FIRST = 256,
    LIST_OPEN = UINT16_MAX,
    LIST_BATCH = 50,
    REGISTERS_MAX = 250,
};

struct instruction {
    uint8_t op;
    uint8_t a;
    uint16_t b;
    int32_t c;
};

enum note_kind { NOTE_NONE, NOTE_LOCAL, NOTE_GLOBAL, NOTE_FIELD, NOTE_METHOD, NOTE_UPVALUE };

/* What the register `reg` is called that the instruction at `pc` uses; ascending by pc. */
struct note {
    uint32_t pc;
    uint16_t reg;
    uint16_t kind;
    struct string *name; /* NULL: not known */
};

/* Where a closure finds an upvalue: a register of the function around it, or its upvalue. */
struct capture {
    bool is_register;
    uint8_t index;
};

struct proto {
    struct object object;
    struct instruction *code;
    int *lines; /* of the code */
    struct value *constants;
    struct proto **protos;
    struct note *notes;
    struct string *source;
    uint32_t code_size;
    uint32_t code_capacity;
    uint32_t line_capacity;
    uint32_t constant_count;
    uint32_t constant_capacity;
    uint32_t proto_count;
    uint32_t proto_capacity;
    uint32_t note_count;
    uint32_t note_capacity;
    int line_defined;
    uint8_t parameter_count;
    bool is_vararg;
    uint8_t register_count;
    uint8_t capture_count;
    struct capture captures[60];
};

/* Compiles; raises syntax errors. */
struct proto *compile(lua_State *state, const char *text, size_t size, const char *name);

/* "@x" and "=x" as x, other names as [string "..."]. */
void chunk_name_short(const char *name, char out[64]);

#endif
