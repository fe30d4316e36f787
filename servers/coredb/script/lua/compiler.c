/*
 * From the text of a chunk to its instructions, in one pass. Each function being compiled has its
 * registers as a stack: its active locals, then temporaries. An expression is described until it
 * is known where its value shall be.
 */
#include "coredb/script/lua/code.h"
#include "coredb/script/lua/lexer.h"

#include <stdio.h>
#include <string.h>

enum {
    LOCALS_MAX = 200,
    CAPTURES_MAX = 60,
    TARGETS_MAX = 100,
    CODE_MAX = 1 << 24,
    OPERAND_MAX = UINT16_MAX - 1,
    UNARY_PRIORITY = 8,
};

enum expression_kind {
    EXPR_NIL,
    EXPR_TRUE,
    EXPR_FALSE,
    EXPR_NUMBER,
    EXPR_STRING,
    EXPR_LOCAL,    /* reg */
    EXPR_UPVALUE,  /* reg: its number */
    EXPR_GLOBAL,   /* text */
    EXPR_INDEXED,  /* reg: the table; key: an operand */
    EXPR_CALL,     /* reg: of its first result; pc */
    EXPR_VARARG,   /* pc */
    EXPR_REGISTER, /* reg: a temporary */
};

struct expression {
    enum expression_kind kind;
    int reg;
    int key;
    uint32_t pc;
    double number;
    struct string *text; /* also the name of a field, or NULL */
};

/* A block of statements. */
struct block {
    struct block *outer;
    int local_count; /* active where it began */
    bool is_loop;
    bool captured;   /* a local of it is an upvalue of a function */
    uint32_t breaks; /* the last jump out; each tells the one before; NO_JUMP ends them */
};

#define NO_JUMP UINT32_MAX

struct local {
    struct string *name;
    bool captured;
};

/* How a temporary got its value, for errors. */
struct made {
    enum note_kind kind;
    struct string *name;
};

/* A function being compiled. */
struct function {
    struct function *outer;
    struct proto *proto;
    struct table *constants; /* their numbers by value */
    struct block *block;
    struct string *capture_names[CAPTURES_MAX];
    struct local locals[LOCALS_MAX + 4];
    struct made made[REGISTERS_MAX + 1];
    int local_count; /* active; the registers below are theirs */
    int free;        /* the first free register */
    uint32_t target; /* the last place that something jumps to */
};

struct compiler {
    struct lexer lexer;
    lua_State *state;
    struct function *function;
    int depth;
};

static void expression(struct compiler *compiler, struct expression *out);
static void block(struct compiler *compiler);
static void body(struct compiler *compiler, struct expression *out, bool is_method, int line);

/* ---- Errors and limits ---- */

static _Noreturn void limit_error(struct compiler *compiler, int limit, const char *what)
{
    char text[120];
    int line = compiler->function->proto->line_defined;
    if (line == 0) {
        snprintf(text, sizeof(text), "main function has more than %d %s", limit, what);
    } else {
        snprintf(text, sizeof(text), "function at line %d has more than %d %s", line, limit, what);
    }
    lexer_error_plain(&compiler->lexer, text);
}

static void enter(struct compiler *compiler)
{
    if (++compiler->depth > LUA_C_DEPTH_MAX) {
        lexer_error_plain(&compiler->lexer, "chunk has too many syntax levels");
    }
}

static void leave(struct compiler *compiler)
{
    compiler->depth--;
}

/* ---- Tokens ---- */

static int kind(const struct compiler *compiler)
{
    return compiler->lexer.token.kind;
}

static void next(struct compiler *compiler)
{
    lexer_next(&compiler->lexer);
}

static bool accept(struct compiler *compiler, int wanted)
{
    if (kind(compiler) != wanted) {
        return false;
    }
    next(compiler);
    return true;
}

static _Noreturn void expected(struct compiler *compiler, int wanted)
{
    char shown[32];
    char text[64];
    token_show(wanted, shown);
    snprintf(text, sizeof(text), "'%s' expected", shown);
    lexer_error(&compiler->lexer, text);
}

static void expect(struct compiler *compiler, int wanted)
{
    if (!accept(compiler, wanted)) {
        expected(compiler, wanted);
    }
}

/* The end of what began with `opened` in `line`. */
static void expect_end(struct compiler *compiler, int wanted, int opened, int line)
{
    if (accept(compiler, wanted)) {
        return;
    }
    if (line == compiler->lexer.line) {
        expected(compiler, wanted);
    }
    char first[32];
    char second[32];
    char text[120];
    token_show(wanted, first);
    token_show(opened, second);
    snprintf(text, sizeof(text), "'%s' expected (to close '%s' at line %d)", first, second, line);
    lexer_error(&compiler->lexer, text);
}

static struct string *name(struct compiler *compiler)
{
    if (kind(compiler) != TOKEN_NAME) {
        expected(compiler, TOKEN_NAME);
    }
    struct string *text = compiler->lexer.token.text;
    next(compiler);
    return text;
}

/* ---- Instructions ---- */

static uint32_t here(const struct compiler *compiler)
{
    return compiler->function->proto->code_size;
}

static uint32_t emit_at(struct compiler *compiler, int line, enum opcode op, int a, int b, int c)
{
    struct proto *proto = compiler->function->proto;
    lua_State *state = compiler->state;
    proto->code = memory_grow(state, proto->code, proto->code_size, &proto->code_capacity,
                              sizeof(*proto->code), CODE_MAX);
    proto->lines = memory_grow(state, proto->lines, proto->code_size, &proto->line_capacity,
                               sizeof(*proto->lines), CODE_MAX);
    proto->code[proto->code_size] = (struct instruction){(uint8_t)op, (uint8_t)a, (uint16_t)b, c};
    proto->lines[proto->code_size] = line;
    return proto->code_size++;
}

static uint32_t emit(struct compiler *compiler, enum opcode op, int a, int b, int c)
{
    return emit_at(compiler, compiler->lexer.last_line, op, a, b, c);
}

static struct instruction *last(const struct compiler *compiler)
{
    const struct proto *proto = compiler->function->proto;
    return proto->code_size == 0 ? NULL : &proto->code[proto->code_size - 1];
}

/* Lets a jump go here. */
static void patch(struct compiler *compiler, uint32_t jump)
{
    compiler->function->proto->code[jump].c = (int32_t)here(compiler);
    compiler->function->target = here(compiler);
}

static int loop_start(struct compiler *compiler)
{
    compiler->function->target = here(compiler);
    return (int)here(compiler);
}

static int constant(struct compiler *compiler, struct value value)
{
    struct function *function = compiler->function;
    struct proto *proto = function->proto;
    lua_State *state = compiler->state;
    bool keyed = value.type == LUA_TNUMBER ? value.number != 0 && value.number == value.number
                                           : value.type != LUA_TNIL;
    if (keyed) {
        struct value found = table_get(state, function->constants, &value);
        if (found.type == LUA_TNUMBER) {
            return (int)found.number;
        }
    }
    proto->constants = memory_grow(state, proto->constants, proto->constant_count,
                                   &proto->constant_capacity, sizeof(value), CODE_MAX);
    proto->constants[proto->constant_count] = value;
    int number = (int)proto->constant_count++;
    if (keyed) {
        struct value as_value = value_of_number(number);
        table_put(state, function->constants, &value, &as_value);
    }
    return number;
}

/* ---- Registers ---- */

static int take_registers(struct compiler *compiler, int count)
{
    struct function *function = compiler->function;
    int first = function->free;
    if (first + count > REGISTERS_MAX) {
        lexer_error_plain(&compiler->lexer, "function or expression too complex");
    }
    function->free += count;
    if (function->free > function->proto->register_count) {
        function->proto->register_count = (uint8_t)function->free;
    }
    return first;
}

static void set_made(struct compiler *compiler, int reg, enum note_kind note, struct string *text)
{
    if (reg >= compiler->function->local_count) {
        compiler->function->made[reg] = (struct made){note, text};
    }
}

/* Notes what the register is called for the instruction emitted next. */
static void note_as(struct compiler *compiler, int reg, enum note_kind note, struct string *text)
{
    struct proto *proto = compiler->function->proto;
    if (note == NOTE_NONE) {
        return;
    }
    proto->notes = memory_grow(compiler->state, proto->notes, proto->note_count,
                               &proto->note_capacity, sizeof(*proto->notes), CODE_MAX);
    proto->notes[proto->note_count++] =
        (struct note){here(compiler), (uint16_t)reg, (uint16_t)note, text};
}

static void note(struct compiler *compiler, int reg)
{
    const struct function *function = compiler->function;
    if (reg < function->local_count) {
        note_as(compiler, reg, NOTE_LOCAL, function->locals[reg].name);
    } else if (reg < CONSTANT_FIRST) {
        note_as(compiler, reg, function->made[reg].kind, function->made[reg].name);
    }
}

/* ---- Expressions to registers ---- */

static bool is_multiple(const struct expression *e)
{
    return e->kind == EXPR_CALL || e->kind == EXPR_VARARG;
}

static bool can_write_elsewhere(enum opcode op)
{
    return (op >= OP_ADD && op <= OP_LE) || op == OP_GETTABLE || op == OP_GETGLOBAL;
}

/* Lets the last instruction write to `to` instead of the temporary `from`; false: it cannot. */
static bool redirect(struct compiler *compiler, int from, int to)
{
    struct function *function = compiler->function;
    struct instruction *instruction = last(compiler);
    if (from < function->local_count || instruction == NULL || instruction->a != from ||
        function->target == here(compiler) || !can_write_elsewhere(instruction->op)) {
        return false;
    }
    instruction->a = (uint8_t)to;
    return true;
}

static void load_constant(struct compiler *compiler, int reg, struct value value)
{
    (void)emit(compiler, OP_LOADK, reg, 0, constant(compiler, value));
}

/* Puts the value into `reg`, by one instruction at most. */
static void to_register(struct compiler *compiler, struct expression *e, int reg)
{
    struct function *function = compiler->function;
    struct made made = {NOTE_NONE, NULL};
    switch (e->kind) {
    case EXPR_NIL:
        (void)emit(compiler, OP_NIL, reg, 1, 0);
        break;
    case EXPR_TRUE:
    case EXPR_FALSE:
        (void)emit(compiler, OP_BOOL, reg, e->kind == EXPR_TRUE, 0);
        break;
    case EXPR_NUMBER:
        load_constant(compiler, reg, value_of_number(e->number));
        break;
    case EXPR_STRING:
        load_constant(compiler, reg, value_of_string(e->text));
        break;
    case EXPR_LOCAL:
        made = (struct made){NOTE_LOCAL, function->locals[e->reg].name};
        if (e->reg != reg) {
            (void)emit(compiler, OP_MOVE, reg, e->reg, 0);
        }
        break;
    case EXPR_UPVALUE:
        made = (struct made){NOTE_UPVALUE, function->capture_names[e->reg]};
        (void)emit(compiler, OP_GETUP, reg, e->reg, 0);
        break;
    case EXPR_GLOBAL:
        made = (struct made){NOTE_GLOBAL, e->text};
        (void)emit(compiler, OP_GETGLOBAL, reg, 0, constant(compiler, value_of_string(e->text)));
        break;
    case EXPR_INDEXED:
        made = (struct made){NOTE_FIELD, e->text};
        note(compiler, e->reg);
        (void)emit(compiler, OP_GETTABLE, reg, e->reg, e->key);
        break;
    case EXPR_VARARG:
        function->proto->code[e->pc].a = (uint8_t)reg;
        function->proto->code[e->pc].b = 2;
        break;
    case EXPR_CALL:
    case EXPR_REGISTER:
        made = function->made[e->reg];
        if (e->reg < function->local_count) {
            made = (struct made){NOTE_LOCAL, function->locals[e->reg].name};
        }
        if (e->reg != reg && !redirect(compiler, e->reg, reg)) {
            (void)emit(compiler, OP_MOVE, reg, e->reg, 0);
        }
        break;
    }
    set_made(compiler, reg, made.kind, made.name);
    e->kind = reg < function->local_count ? EXPR_LOCAL : EXPR_REGISTER;
    e->reg = reg;
}

/* Puts the value into the register `mark`, above which nothing is kept. */
static void to_mark(struct compiler *compiler, struct expression *e, int mark)
{
    compiler->function->free = mark;
    to_register(compiler, e, take_registers(compiler, 1));
}

/* A register that holds the value: its own, or the one at `mark`. */
static int any_register(struct compiler *compiler, struct expression *e, int mark)
{
    if (e->kind == EXPR_LOCAL || e->kind == EXPR_REGISTER) {
        return e->reg;
    }
    to_mark(compiler, e, mark);
    return e->reg;
}

/* A register or a constant that is the value. */
static int operand(struct compiler *compiler, struct expression *e, int mark)
{
    struct value value;
    switch (e->kind) {
    case EXPR_NIL:
        value = value_nil();
        break;
    case EXPR_TRUE:
    case EXPR_FALSE:
        value = value_boolean(e->kind == EXPR_TRUE);
        break;
    case EXPR_NUMBER:
        value = value_of_number(e->number);
        break;
    case EXPR_STRING:
        value = value_of_string(e->text);
        break;
    default:
        return any_register(compiler, e, mark);
    }
    int number = constant(compiler, value) + CONSTANT_FIRST;
    return number <= OPERAND_MAX ? number : any_register(compiler, e, mark);
}

/* ---- Names ---- */

static int find_local(const struct function *function, const struct string *wanted)
{
    for (int i = function->local_count - 1; i >= 0; i--) {
        const struct string *found = function->locals[i].name;
        if (found != NULL && found->size == wanted->size &&
            memcmp(found->data, wanted->data, wanted->size) == 0) {
            return i;
        }
    }
    return -1;
}

static int add_capture(struct compiler *compiler, struct function *function, struct string *text,
                       bool is_register, int index)
{
    struct proto *proto = function->proto;
    for (int i = 0; i < proto->capture_count; i++) {
        if (proto->captures[i].is_register == is_register && proto->captures[i].index == index) {
            return i;
        }
    }
    if (proto->capture_count == CAPTURES_MAX) {
        compiler->function = function;
        limit_error(compiler, CAPTURES_MAX, "upvalues");
    }
    function->capture_names[proto->capture_count] = text;
    proto->captures[proto->capture_count] = (struct capture){is_register, (uint8_t)index};
    return proto->capture_count++;
}

static void mark_captured(struct function *function, int reg)
{
    struct block *at = function->block;
    while (at != NULL && at->local_count > reg) {
        at = at->outer;
    }
    if (at != NULL) {
        at->captured = true;
    }
}

/* The number of the upvalue, or -1: the name is global. */
static int find_upvalue(struct compiler *compiler, struct function *function, struct string *text)
{
    if (function->outer == NULL) {
        return -1;
    }
    int reg = find_local(function->outer, text);
    if (reg >= 0) {
        mark_captured(function->outer, reg);
        return add_capture(compiler, function, text, true, reg);
    }
    int outer = find_upvalue(compiler, function->outer, text);
    return outer < 0 ? -1 : add_capture(compiler, function, text, false, outer);
}

static void variable(struct compiler *compiler, struct string *text, struct expression *out)
{
    struct function *function = compiler->function;
    *out = (struct expression){.kind = EXPR_LOCAL, .text = text};
    out->reg = find_local(function, text);
    if (out->reg < 0) {
        out->kind = EXPR_UPVALUE;
        out->reg = find_upvalue(compiler, function, text);
    }
    if (out->reg < 0) {
        out->kind = EXPR_GLOBAL;
    }
}

/* ---- Expressions ---- */

/* A new temporary, which has no name. */
static struct expression in_register(struct compiler *compiler, int reg)
{
    set_made(compiler, reg, NOTE_NONE, NULL);
    return (struct expression){.kind = EXPR_REGISTER, .reg = reg};
}

/* Makes `e` the field `text` of what it was. */
static void index_by_name(struct compiler *compiler, struct expression *e, struct string *text,
                          int mark)
{
    int table = any_register(compiler, e, mark);
    struct expression key = {.kind = EXPR_STRING, .text = text};
    int key_operand = operand(compiler, &key, compiler->function->free);
    *e = (struct expression){.kind = EXPR_INDEXED, .reg = table, .key = key_operand, .text = text};
}

static void index_by_value(struct compiler *compiler, struct expression *e, int mark)
{
    int table = any_register(compiler, e, mark);
    struct expression key;
    next(compiler);
    int key_mark = compiler->function->free;
    expression(compiler, &key);
    expect(compiler, ']');
    struct string *text = key.kind == EXPR_STRING ? key.text : NULL;
    int key_operand = operand(compiler, &key, key_mark);
    *e = (struct expression){.kind = EXPR_INDEXED, .reg = table, .key = key_operand, .text = text};
}

/* Puts expressions to consecutive registers; the last stays as it is. Returns how many. */
static int expression_list(struct compiler *compiler, struct expression *final)
{
    int count = 1;
    int mark = compiler->function->free;
    expression(compiler, final);
    while (accept(compiler, ',')) {
        to_mark(compiler, final, mark);
        mark = compiler->function->free;
        expression(compiler, final);
        count++;
    }
    return count;
}

/* Lets a call or "..." give all of its values, from the next register on. */
static void open_values(struct compiler *compiler, const struct expression *e, int reg)
{
    struct instruction *instruction = &compiler->function->proto->code[e->pc];
    if (e->kind == EXPR_CALL) {
        instruction->c = 0;
    } else {
        instruction->a = (uint8_t)reg;
        instruction->b = 0;
    }
}

static void constructor(struct compiler *compiler, struct expression *out);

/* The arguments after a function in `reg`; returns the operand b of the call. */
static int arguments(struct compiler *compiler, int reg)
{
    struct expression e;
    int line = compiler->lexer.line;
    switch (kind(compiler)) {
    case '(':
        if (line != compiler->lexer.last_line) {
            lexer_error(&compiler->lexer, "ambiguous syntax (function call x new statement)");
        }
        next(compiler);
        if (accept(compiler, ')')) {
            return compiler->function->free - reg;
        }
        for (;;) {
            int mark = compiler->function->free;
            expression(compiler, &e);
            if (!accept(compiler, ',')) {
                expect_end(compiler, ')', '(', line);
                if (is_multiple(&e)) {
                    compiler->function->free = mark;
                    open_values(compiler, &e, mark);
                    return 0;
                }
                to_mark(compiler, &e, mark);
                return compiler->function->free - reg;
            }
            to_mark(compiler, &e, mark);
        }
    case '{':
        constructor(compiler, &e);
        break;
    case TOKEN_STRING:
        e = (struct expression){.kind = EXPR_STRING, .text = compiler->lexer.token.text};
        next(compiler);
        to_mark(compiler, &e, compiler->function->free);
        break;
    default:
        lexer_error(&compiler->lexer, "function arguments expected");
    }
    return compiler->function->free - reg;
}

/* Calls what is in `reg`. */
static void call(struct compiler *compiler, struct expression *out, int reg, int line)
{
    struct made made = compiler->function->made[reg];
    int count = arguments(compiler, reg);
    note_as(compiler, reg, made.kind, made.name);
    uint32_t pc = emit_at(compiler, line, OP_CALL, reg, count, 2);
    compiler->function->free = reg;
    (void)take_registers(compiler, 1);
    set_made(compiler, reg, NOTE_NONE, NULL);
    *out = (struct expression){.kind = EXPR_CALL, .reg = reg, .pc = pc};
}

static void call_method(struct compiler *compiler, struct expression *e, int mark)
{
    int line = compiler->lexer.line;
    int object = any_register(compiler, e, mark);
    next(compiler);
    struct expression key = {.kind = EXPR_STRING, .text = name(compiler)};
    line = compiler->lexer.line;
    struct string *text = key.text;
    int key_operand = operand(compiler, &key, compiler->function->free);
    note(compiler, object);
    struct function *function = compiler->function;
    function->free = mark;
    int reg = take_registers(compiler, 2);
    (void)emit(compiler, OP_SELF, reg, object, key_operand);
    set_made(compiler, reg, NOTE_METHOD, text);
    call(compiler, e, reg, line);
}

/* A name or an expression in parentheses. */
static void prefix(struct compiler *compiler, struct expression *out, int mark)
{
    int line = compiler->lexer.line;
    if (kind(compiler) == TOKEN_NAME) {
        variable(compiler, name(compiler), out);
        return;
    }
    if (!accept(compiler, '(')) {
        lexer_error(&compiler->lexer, "unexpected symbol");
    }
    expression(compiler, out);
    expect_end(compiler, ')', '(', line);
    /* It is one value, and cannot be assigned to. */
    if (out->kind == EXPR_LOCAL) {
        out->kind = EXPR_REGISTER;
    } else if (is_multiple(out) || out->kind == EXPR_GLOBAL || out->kind == EXPR_INDEXED ||
               out->kind == EXPR_UPVALUE) {
        to_mark(compiler, out, mark);
    }
}

static void suffixed(struct compiler *compiler, struct expression *out)
{
    int mark = compiler->function->free;
    prefix(compiler, out, mark);
    for (;;) {
        int line = compiler->lexer.line;
        switch (kind(compiler)) {
        case '.':
            next(compiler);
            index_by_name(compiler, out, name(compiler), mark);
            break;
        case '[':
            index_by_value(compiler, out, mark);
            break;
        case ':':
            call_method(compiler, out, mark);
            break;
        case '(':
        case '{':
        case TOKEN_STRING: {
            to_mark(compiler, out, mark);
            call(compiler, out, mark, line);
            break;
        }
        default:
            return;
        }
    }
}

/* ---- Constructors ---- */

struct list {
    int table;   /* its register */
    int pending; /* values in registers after it */
    int total;   /* values before those */
    bool has_open;
    struct expression open; /* the last value, not in a register yet */
};

static void flush_list(struct compiler *compiler, struct list *list)
{
    if (list->pending != 0) {
        (void)emit(compiler, OP_SETLIST, list->table, list->pending, list->total + 1);
        list->total += list->pending;
        list->pending = 0;
        compiler->function->free = list->table + 1;
    }
}

/* The value read last goes to its register. */
static void close_item(struct compiler *compiler, struct list *list)
{
    if (list->has_open) {
        to_mark(compiler, &list->open, list->table + 1 + list->pending);
        list->has_open = false;
        list->pending++;
        if (list->pending == LIST_BATCH) {
            flush_list(compiler, list);
        }
    }
}

static void record_item(struct compiler *compiler, int table)
{
    struct expression key;
    struct expression value;
    int mark = compiler->function->free;
    if (kind(compiler) == TOKEN_NAME) {
        key = (struct expression){.kind = EXPR_STRING, .text = name(compiler)};
    } else {
        next(compiler);
        expression(compiler, &key);
        expect(compiler, ']');
    }
    int key_operand = operand(compiler, &key, mark);
    expect(compiler, '=');
    int value_mark = compiler->function->free;
    expression(compiler, &value);
    int value_operand = operand(compiler, &value, value_mark);
    (void)emit(compiler, OP_SETTABLE, table, key_operand, value_operand);
    compiler->function->free = mark;
}

static void constructor(struct compiler *compiler, struct expression *out)
{
    int line = compiler->lexer.line;
    struct list list = {.table = take_registers(compiler, 1)};
    uint32_t pc = emit(compiler, OP_NEWTABLE, list.table, 0, 0);
    int records = 0;
    expect(compiler, '{');
    while (kind(compiler) != '}') {
        close_item(compiler, &list);
        bool is_record = kind(compiler) == '[' ||
                         (kind(compiler) == TOKEN_NAME && lexer_peek(&compiler->lexer) == '=');
        if (is_record) {
            record_item(compiler, list.table);
            records++;
        } else {
            expression(compiler, &list.open);
            list.has_open = true;
        }
        if (!accept(compiler, ',') && !accept(compiler, ';')) {
            break;
        }
    }
    expect_end(compiler, '}', '{', line);
    if (list.has_open && is_multiple(&list.open)) {
        open_values(compiler, &list.open, list.table + 1 + list.pending);
        (void)emit(compiler, OP_SETLIST, list.table, LIST_OPEN, list.total + 1);
    } else {
        close_item(compiler, &list);
        flush_list(compiler, &list);
    }
    int size = list.total < UINT16_MAX ? list.total : UINT16_MAX;
    compiler->function->proto->code[pc].b = (uint16_t)size;
    compiler->function->free = list.table + 1;
    *out = in_register(compiler, list.table);
}

/* ---- Operators ---- */

static void simple(struct compiler *compiler, struct expression *out)
{
    *out = (struct expression){.kind = EXPR_NIL};
    switch (kind(compiler)) {
    case TOKEN_NUMBER:
        out->kind = EXPR_NUMBER;
        out->number = compiler->lexer.token.number;
        break;
    case TOKEN_STRING:
        out->kind = EXPR_STRING;
        out->text = compiler->lexer.token.text;
        break;
    case TOKEN_NIL:
        break;
    case TOKEN_TRUE:
        out->kind = EXPR_TRUE;
        break;
    case TOKEN_FALSE:
        out->kind = EXPR_FALSE;
        break;
    case TOKEN_DOTS:
        if (!compiler->function->proto->is_vararg) {
            lexer_error(&compiler->lexer, "cannot use '...' outside a vararg function");
        }
        out->kind = EXPR_VARARG;
        out->pc = emit(compiler, OP_VARARG, 0, 2, 0);
        break;
    case '{':
        constructor(compiler, out);
        return;
    case TOKEN_FUNCTION:
        next(compiler);
        body(compiler, out, false, compiler->lexer.line);
        return;
    default:
        suffixed(compiler, out);
        return;
    }
    next(compiler);
}

struct operator_row {
    int token;
    int left;
    int right;
    enum opcode op;
    bool swapped;
};

static const struct operator_row operators[] = {
    {'+', 6, 6, OP_ADD, false},
    {'-', 6, 6, OP_SUB, false},
    {'*', 7, 7, OP_MUL, false},
    {'/', 7, 7, OP_DIV, false},
    {'%', 7, 7, OP_MOD, false},
    {'^', 10, 9, OP_POW, false},
    {TOKEN_CONCAT, 5, 4, OP_CONCAT, false},
    {TOKEN_EQUAL, 3, 3, OP_EQ, false},
    {TOKEN_NOT_EQUAL, 3, 3, OP_NE, false},
    {'<', 3, 3, OP_LT, false},
    {TOKEN_LESS_EQUAL, 3, 3, OP_LE, false},
    {'>', 3, 3, OP_LT, true},
    {TOKEN_GREATER_EQUAL, 3, 3, OP_LE, true},
    {TOKEN_AND, 2, 2, OP_IFNOT, false},
    {TOKEN_OR, 1, 1, OP_IF, false},
};

static const struct operator_row *find_operator(int token)
{
    for (size_t i = 0; i < sizeof(operators) / sizeof(operators[0]); i++) {
        if (operators[i].token == token) {
            return &operators[i];
        }
    }
    return NULL;
}

static void operation(struct compiler *compiler, struct expression *out, int limit);

static void unary(struct compiler *compiler, struct expression *out, enum opcode op, int mark)
{
    next(compiler);
    operation(compiler, out, UNARY_PRIORITY);
    if (op == OP_UNM && out->kind == EXPR_NUMBER && out->number != 0) {
        out->number = -out->number;
        return;
    }
    int reg = any_register(compiler, out, mark);
    note(compiler, reg);
    compiler->function->free = mark;
    int target = take_registers(compiler, 1);
    (void)emit(compiler, op, target, reg, 0);
    *out = in_register(compiler, target);
}

/* "and", "or": the value is in the register at `mark` either way. */
static void choice(struct compiler *compiler, struct expression *out, const struct operator_row *by,
                   int mark)
{
    to_mark(compiler, out, mark);
    uint32_t jump = emit(compiler, by->op, mark, 0, 0);
    struct expression other;
    operation(compiler, &other, by->right);
    to_mark(compiler, &other, mark);
    patch(compiler, jump);
    set_made(compiler, mark, NOTE_NONE, NULL);
    *out = in_register(compiler, mark);
}

static void concatenation(struct compiler *compiler, struct expression *out, int priority, int mark)
{
    to_mark(compiler, out, mark);
    struct made first = compiler->function->made[mark];
    uint32_t before = here(compiler);
    struct expression other;
    operation(compiler, &other, priority);
    to_mark(compiler, &other, mark + 1);
    struct instruction *instruction = last(compiler);
    bool joins = here(compiler) > before && instruction->op == OP_CONCAT &&
                 instruction->a == mark + 1 && instruction->b == mark + 1 &&
                 compiler->function->target != here(compiler);
    if (joins) {
        /* What the right side joins begins right after the left side. */
        compiler->function->proto->code_size--;
        note_as(compiler, mark, first.kind, first.name);
        compiler->function->proto->code_size++;
        instruction->a = (uint8_t)mark;
        instruction->b = (uint16_t)mark;
    } else {
        note_as(compiler, mark, first.kind, first.name);
        note(compiler, mark + 1);
        (void)emit(compiler, OP_CONCAT, mark, mark, mark + 1);
    }
    compiler->function->free = mark;
    (void)take_registers(compiler, 1);
    *out = in_register(compiler, mark);
}

static void arithmetic(struct compiler *compiler, struct expression *out,
                       const struct operator_row *by, int mark)
{
    int first = operand(compiler, out, mark);
    int line_mark = compiler->function->free;
    struct expression other;
    operation(compiler, &other, by->right);
    int second = operand(compiler, &other, line_mark);
    note(compiler, first);
    note(compiler, second);
    compiler->function->free = mark;
    int target = take_registers(compiler, 1);
    (void)emit(compiler, by->op, target, by->swapped ? second : first,
               by->swapped ? first : second);
    *out = in_register(compiler, target);
}

/* An expression whose operators bind more than `limit`. */
static void operation(struct compiler *compiler, struct expression *out, int limit)
{
    int mark = compiler->function->free;
    enter(compiler);
    switch (kind(compiler)) {
    case TOKEN_NOT:
        unary(compiler, out, OP_NOT, mark);
        break;
    case '-':
        unary(compiler, out, OP_UNM, mark);
        break;
    case '#':
        unary(compiler, out, OP_LEN, mark);
        break;
    default:
        simple(compiler, out);
        break;
    }
    const struct operator_row *by;
    while ((by = find_operator(kind(compiler))) != NULL && by->left > limit) {
        next(compiler);
        if (out->kind == EXPR_VARARG) {
            to_mark(compiler, out, mark);
        }
        if (by->op == OP_IF || by->op == OP_IFNOT) {
            choice(compiler, out, by, mark);
        } else if (by->op == OP_CONCAT) {
            concatenation(compiler, out, by->right, mark);
        } else {
            arithmetic(compiler, out, by, mark);
        }
    }
    leave(compiler);
}

static void expression(struct compiler *compiler, struct expression *out)
{
    operation(compiler, out, 0);
}

/* ---- Locals and blocks ---- */

static void declare(struct compiler *compiler, int number, struct string *text)
{
    struct function *function = compiler->function;
    if (function->local_count + number >= LOCALS_MAX) {
        limit_error(compiler, LOCALS_MAX, "local variables");
    }
    function->locals[function->local_count + number] = (struct local){text, false};
}

/* The registers that follow become the `count` locals declared. */
static void activate(struct compiler *compiler, int count)
{
    compiler->function->local_count += count;
}

static void open_block(struct compiler *compiler, struct block *block, bool is_loop)
{
    struct function *function = compiler->function;
    *block = (struct block){.outer = function->block,
                            .local_count = function->local_count,
                            .is_loop = is_loop,
                            .breaks = NO_JUMP};
    function->block = block;
}

static void close_block(struct compiler *compiler)
{
    struct function *function = compiler->function;
    struct block *closed = function->block;
    if (closed->captured) {
        (void)emit(compiler, OP_CLOSE, closed->local_count, 0, 0);
    }
    function->local_count = closed->local_count;
    function->free = closed->local_count;
    function->block = closed->outer;
}

/* Lets the breaks of a block that was closed go here. */
static void patch_breaks(struct compiler *compiler, const struct block *block)
{
    uint32_t jump = block->breaks;
    while (jump != NO_JUMP) {
        uint32_t before = (uint32_t)compiler->function->proto->code[jump].c;
        patch(compiler, jump);
        jump = before;
    }
}

static bool block_ends(int token)
{
    return token == TOKEN_ELSE || token == TOKEN_ELSEIF || token == TOKEN_END ||
           token == TOKEN_END_OF_FILE || token == TOKEN_UNTIL;
}

/* ---- Statements ---- */

/* Jumps, when the condition does not hold, by the instruction returned. */
static uint32_t condition(struct compiler *compiler)
{
    struct expression e;
    int mark = compiler->function->free;
    expression(compiler, &e);
    int reg = any_register(compiler, &e, mark);
    compiler->function->free = mark;
    return emit(compiler, OP_IFNOT, reg, 0, 0);
}

static void scope(struct compiler *compiler)
{
    struct block inner;
    open_block(compiler, &inner, false);
    block(compiler);
    close_block(compiler);
}

static void if_statement(struct compiler *compiler, int line)
{
    uint32_t ends = NO_JUMP;
    for (;;) {
        next(compiler); /* if, elseif */
        uint32_t otherwise = condition(compiler);
        expect(compiler, TOKEN_THEN);
        scope(compiler);
        bool more = kind(compiler) == TOKEN_ELSE || kind(compiler) == TOKEN_ELSEIF;
        if (more) {
            uint32_t jump = emit(compiler, OP_JUMP, 0, 0, (int)ends);
            ends = jump;
        }
        patch(compiler, otherwise);
        if (kind(compiler) != TOKEN_ELSEIF) {
            break;
        }
    }
    if (accept(compiler, TOKEN_ELSE)) {
        scope(compiler);
    }
    expect_end(compiler, TOKEN_END, TOKEN_IF, line);
    struct block jumps = {.breaks = ends};
    patch_breaks(compiler, &jumps);
}

static void while_statement(struct compiler *compiler, int line)
{
    struct block loop;
    next(compiler);
    int start = loop_start(compiler);
    uint32_t out = condition(compiler);
    open_block(compiler, &loop, true);
    expect(compiler, TOKEN_DO);
    scope(compiler);
    (void)emit(compiler, OP_JUMP, 0, 0, start);
    expect_end(compiler, TOKEN_END, TOKEN_WHILE, line);
    close_block(compiler);
    patch(compiler, out);
    patch_breaks(compiler, &loop);
}

/* The condition sees the locals of the block. */
static void repeat_statement(struct compiler *compiler, int line)
{
    struct block loop;
    struct block inner;
    int start = loop_start(compiler);
    open_block(compiler, &loop, true);
    open_block(compiler, &inner, false);
    next(compiler);
    block(compiler);
    expect_end(compiler, TOKEN_UNTIL, TOKEN_REPEAT, line);
    uint32_t again = condition(compiler);
    bool captured = inner.captured;
    if (!captured) {
        compiler->function->proto->code[again].c = start;
        close_block(compiler);
    } else {
        (void)emit(compiler, OP_CLOSE, inner.local_count, 0, 0);
        uint32_t out = emit(compiler, OP_JUMP, 0, 0, 0);
        patch(compiler, again);
        close_block(compiler);
        (void)emit(compiler, OP_JUMP, 0, 0, start);
        patch(compiler, out);
    }
    close_block(compiler);
    patch_breaks(compiler, &loop);
}

static struct string *hidden_name(struct compiler *compiler, const char *text)
{
    return string_new(compiler->state, text, strlen(text));
}

static void number_expression(struct compiler *compiler)
{
    struct expression e;
    int mark = compiler->function->free;
    expression(compiler, &e);
    to_mark(compiler, &e, mark);
}

/* The body of a for loop over `count` new variables. */
static void for_body(struct compiler *compiler, int base, int line, int count, bool is_numeric)
{
    struct block inner;
    activate(compiler, 3);
    expect(compiler, TOKEN_DO);
    uint32_t enter_loop =
        is_numeric ? emit(compiler, OP_FORPREP, base, 0, 0) : emit(compiler, OP_JUMP, 0, 0, 0);
    open_block(compiler, &inner, false);
    activate(compiler, count);
    (void)take_registers(compiler, count);
    int start = (int)here(compiler);
    compiler->function->target = here(compiler);
    block(compiler);
    close_block(compiler);
    patch(compiler, enter_loop);
    if (is_numeric) {
        (void)emit_at(compiler, line, OP_FORLOOP, base, 0, start);
        return;
    }
    int spare = compiler->function->free;
    (void)take_registers(compiler, count > 3 ? count : 3); /* what is called, and its arguments */
    compiler->function->free = spare;
    (void)emit_at(compiler, line, OP_TFORCALL, base, count, 0);
    (void)emit_at(compiler, line, OP_TFORLOOP, base, 0, start);
}

static void numeric_for(struct compiler *compiler, struct string *text, int line)
{
    int base = compiler->function->free;
    next(compiler); /* = */
    number_expression(compiler);
    expect(compiler, ',');
    number_expression(compiler);
    if (accept(compiler, ',')) {
        number_expression(compiler);
    } else {
        struct expression one = {.kind = EXPR_NUMBER, .number = 1};
        to_mark(compiler, &one, compiler->function->free);
    }
    declare(compiler, 0, hidden_name(compiler, "(for index)"));
    declare(compiler, 1, hidden_name(compiler, "(for limit)"));
    declare(compiler, 2, hidden_name(compiler, "(for step)"));
    declare(compiler, 3, text);
    for_body(compiler, base, line, 1, true);
}

static void adjust(struct compiler *compiler, int wanted, int count, struct expression *final,
                   int mark);

static void generic_for(struct compiler *compiler, struct string *text)
{
    int base = compiler->function->free;
    int count = 0;
    declare(compiler, 0, hidden_name(compiler, "(for generator)"));
    declare(compiler, 1, hidden_name(compiler, "(for state)"));
    declare(compiler, 2, hidden_name(compiler, "(for control)"));
    declare(compiler, 3 + count++, text);
    while (accept(compiler, ',')) {
        declare(compiler, 3 + count, name(compiler));
        count++;
    }
    expect(compiler, TOKEN_IN);
    int line = compiler->lexer.line;
    struct expression final;
    int given = expression_list(compiler, &final);
    adjust(compiler, 3, given, &final, base);
    for_body(compiler, base, line, count, false);
}

static void for_statement(struct compiler *compiler, int line)
{
    struct block loop;
    open_block(compiler, &loop, true);
    next(compiler);
    struct string *text = name(compiler);
    if (kind(compiler) == '=') {
        numeric_for(compiler, text, line);
    } else if (kind(compiler) == ',' || kind(compiler) == TOKEN_IN) {
        generic_for(compiler, text);
    } else {
        lexer_error(&compiler->lexer, "'=' or 'in' expected");
    }
    expect_end(compiler, TOKEN_END, TOKEN_FOR, line);
    close_block(compiler);
    patch_breaks(compiler, &loop);
}

static void break_statement(struct compiler *compiler)
{
    struct block *at = compiler->function->block;
    bool captured = false;
    next(compiler);
    while (at != NULL && !at->is_loop) {
        captured = captured || at->captured;
        at = at->outer;
    }
    if (at == NULL) {
        lexer_error(&compiler->lexer, "no loop to break");
    }
    if (captured) {
        (void)emit(compiler, OP_CLOSE, at->local_count, 0, 0);
    }
    uint32_t before = at->breaks;
    at->breaks = emit(compiler, OP_JUMP, 0, 0, (int)before);
}

static void return_statement(struct compiler *compiler)
{
    struct expression e;
    int mark = compiler->function->free;
    next(compiler);
    if (block_ends(kind(compiler)) || kind(compiler) == ';') {
        (void)emit(compiler, OP_RETURN, 0, 1, 0);
        return;
    }
    int count = expression_list(compiler, &e);
    if (is_multiple(&e)) {
        if (e.kind == EXPR_CALL && count == 1) {
            compiler->function->proto->code[e.pc].op = OP_TAILCALL;
        }
        open_values(compiler, &e, mark + count - 1);
        (void)emit(compiler, OP_RETURN, mark, 0, 0);
        return;
    }
    if (count == 1) {
        int reg = any_register(compiler, &e, mark);
        (void)emit(compiler, OP_RETURN, reg, 2, 0);
        return;
    }
    to_mark(compiler, &e, mark + count - 1);
    (void)emit(compiler, OP_RETURN, mark, count + 1, 0);
}

/* Brings `count` values from `mark` on, the last not yet in its register, to `wanted`. */
static void adjust(struct compiler *compiler, int wanted, int count, struct expression *final,
                   int mark)
{
    struct function *function = compiler->function;
    int last_reg = mark + count - 1;
    int missing = wanted - count;
    if (count != 0 && is_multiple(final)) {
        int given = missing < 0 ? 1 : missing + 1;
        function->free = last_reg;
        (void)take_registers(compiler, given);
        struct instruction *instruction = &function->proto->code[final->pc];
        if (final->kind == EXPR_CALL) {
            instruction->c = given + 1;
        } else {
            instruction->a = (uint8_t)last_reg;
            instruction->b = (uint16_t)(given + 1);
        }
    } else {
        if (count != 0) {
            to_mark(compiler, final, last_reg);
        }
        if (missing > 0) {
            int reg = take_registers(compiler, missing);
            (void)emit(compiler, OP_NIL, reg, missing, 0);
        }
    }
    function->free = mark;
    (void)take_registers(compiler, wanted);
}

static void local_statement(struct compiler *compiler)
{
    int mark = compiler->function->free;
    int count = 0;
    do {
        declare(compiler, count, name(compiler));
        count++;
    } while (accept(compiler, ','));
    struct expression final = {.kind = EXPR_NIL};
    int given = accept(compiler, '=') ? expression_list(compiler, &final) : 0;
    adjust(compiler, count, given, &final, mark);
    activate(compiler, count);
}

static void local_function(struct compiler *compiler)
{
    struct expression e;
    declare(compiler, 0, name(compiler));
    int reg = take_registers(compiler, 1);
    activate(compiler, 1);
    body(compiler, &e, false, compiler->lexer.line);
    to_register(compiler, &e, reg);
    compiler->function->free = reg + 1;
}

static void store(struct compiler *compiler, const struct expression *target,
                  struct expression *value, int mark)
{
    switch (target->kind) {
    case EXPR_LOCAL:
        to_register(compiler, value, target->reg);
        return;
    case EXPR_UPVALUE:
        (void)emit(compiler, OP_SETUP, any_register(compiler, value, mark), target->reg, 0);
        return;
    case EXPR_GLOBAL: {
        int reg = any_register(compiler, value, mark);
        (void)emit(compiler, OP_SETGLOBAL, reg, 0,
                   constant(compiler, value_of_string(target->text)));
        return;
    }
    default: {
        int reg = operand(compiler, value, mark);
        note(compiler, target->reg);
        (void)emit(compiler, OP_SETTABLE, target->reg, target->key, reg);
        return;
    }
    }
}

static void check_target(struct compiler *compiler, const struct expression *e)
{
    if (e->kind != EXPR_LOCAL && e->kind != EXPR_UPVALUE && e->kind != EXPR_GLOBAL &&
        e->kind != EXPR_INDEXED) {
        lexer_error(&compiler->lexer, "syntax error");
    }
}

/* A table or a key in a local, which the same statement may change, goes to a temporary. */
static int settle(struct compiler *compiler, int reg)
{
    if (reg >= compiler->function->local_count) {
        return reg;
    }
    struct string *text = compiler->function->locals[reg].name;
    int copy = take_registers(compiler, 1);
    (void)emit(compiler, OP_MOVE, copy, reg, 0);
    set_made(compiler, copy, NOTE_LOCAL, text);
    return copy;
}

static void assign_many(struct compiler *compiler, struct expression *targets, int count)
{
    while (accept(compiler, ',')) {
        if (count == TARGETS_MAX) {
            limit_error(compiler, TARGETS_MAX, "variables in assignment");
        }
        suffixed(compiler, &targets[count]);
        check_target(compiler, &targets[count]);
        if (targets[count].kind == EXPR_INDEXED) {
            targets[count].reg = settle(compiler, targets[count].reg);
            targets[count].key = settle(compiler, targets[count].key);
        }
        count++;
    }
    expect(compiler, '=');
    struct expression final;
    int mark = compiler->function->free;
    int given = expression_list(compiler, &final);
    if (given > count) {
        to_mark(compiler, &final, mark + given - 1);
    } else {
        adjust(compiler, count, given, &final, mark);
    }
    for (int i = count - 1; i >= 0; i--) {
        struct expression value = in_register(compiler, mark + i);
        compiler->function->target = here(compiler); /* nothing is redirected */
        store(compiler, &targets[i], &value, compiler->function->free);
    }
}

static void expression_statement(struct compiler *compiler)
{
    struct expression targets[TARGETS_MAX];
    int mark = compiler->function->free;
    suffixed(compiler, &targets[0]);
    if (targets[0].kind == EXPR_CALL) {
        compiler->function->proto->code[targets[0].pc].c = 1;
        compiler->function->free = mark;
        return;
    }
    check_target(compiler, &targets[0]);
    if (kind(compiler) == ',') {
        if (targets[0].kind == EXPR_INDEXED) {
            targets[0].reg = settle(compiler, targets[0].reg);
            targets[0].key = settle(compiler, targets[0].key);
        }
        assign_many(compiler, targets, 1);
    } else {
        struct expression value;
        expect(compiler, '=');
        int value_mark = compiler->function->free;
        int given = expression_list(compiler, &value);
        if (given > 1) {
            adjust(compiler, given, given, &value, value_mark);
            value = in_register(compiler, value_mark);
            compiler->function->target = here(compiler);
        }
        store(compiler, &targets[0], &value, value_mark + given - 1);
    }
    compiler->function->free = mark;
}

static void function_statement(struct compiler *compiler, int line)
{
    struct expression target;
    struct expression e;
    int mark = compiler->function->free;
    next(compiler);
    variable(compiler, name(compiler), &target);
    bool is_method = false;
    while (!is_method && (kind(compiler) == '.' || kind(compiler) == ':')) {
        is_method = kind(compiler) == ':';
        next(compiler);
        index_by_name(compiler, &target, name(compiler), mark);
    }
    body(compiler, &e, is_method, line);
    store(compiler, &target, &e, compiler->function->free);
    struct proto *proto = compiler->function->proto;
    proto->lines[proto->code_size - 1] = line;
    compiler->function->free = mark;
}

/* Returns whether it must be the last of its block. */
static bool statement(struct compiler *compiler)
{
    int line = compiler->lexer.line;
    switch (kind(compiler)) {
    case TOKEN_IF:
        if_statement(compiler, line);
        return false;
    case TOKEN_WHILE:
        while_statement(compiler, line);
        return false;
    case TOKEN_DO:
        next(compiler);
        scope(compiler);
        expect_end(compiler, TOKEN_END, TOKEN_DO, line);
        return false;
    case TOKEN_FOR:
        for_statement(compiler, line);
        return false;
    case TOKEN_REPEAT:
        repeat_statement(compiler, line);
        return false;
    case TOKEN_FUNCTION:
        function_statement(compiler, line);
        return false;
    case TOKEN_LOCAL:
        next(compiler);
        if (accept(compiler, TOKEN_FUNCTION)) {
            local_function(compiler);
        } else {
            local_statement(compiler);
        }
        return false;
    case TOKEN_RETURN:
        return_statement(compiler);
        return true;
    case TOKEN_BREAK:
        break_statement(compiler);
        return true;
    default:
        expression_statement(compiler);
        return false;
    }
}

static void block(struct compiler *compiler)
{
    bool is_last = false;
    enter(compiler);
    while (!is_last && !block_ends(kind(compiler))) {
        is_last = statement(compiler);
        (void)accept(compiler, ';');
        compiler->function->free = compiler->function->local_count;
    }
    leave(compiler);
}

/* ---- Functions ---- */

static struct proto *proto_new(lua_State *state, struct string *source, int line)
{
    struct proto *proto = object_new(state, KIND_PROTO, sizeof(*proto));
    struct object object = proto->object;
    *proto = (struct proto){.object = object, .source = source, .line_defined = line};
    proto->register_count = 2;
    return proto;
}

static struct function *open_function(struct compiler *compiler, struct string *source, int line)
{
    lua_State *state = compiler->state;
    struct function *function = memory_resize(state, NULL, 0, sizeof(*function));
    memset(function, 0, sizeof(*function));
    function->outer = compiler->function;
    function->proto = proto_new(state, source, line);
    function->constants = table_new(state, 0, 0);
    function->target = NO_JUMP;
    compiler->function = function;
    return function;
}

static struct proto *close_function(struct compiler *compiler)
{
    struct function *function = compiler->function;
    (void)emit(compiler, OP_RETURN, 0, 1, 0);
    struct proto *proto = function->proto;
    compiler->function = function->outer;
    (void)memory_resize(compiler->state, function, sizeof(*function), 0);
    return proto;
}

static void parameters(struct compiler *compiler)
{
    struct function *function = compiler->function;
    int count = 0;
    if (kind(compiler) != ')') {
        do {
            if (accept(compiler, TOKEN_DOTS)) {
                function->proto->is_vararg = true;
                break;
            }
            if (kind(compiler) != TOKEN_NAME) {
                lexer_error(&compiler->lexer, "<name> or '...' expected");
            }
            declare(compiler, count, name(compiler));
            count++;
        } while (accept(compiler, ','));
    }
    activate(compiler, count);
    function->proto->parameter_count = (uint8_t)function->local_count;
    (void)take_registers(compiler, function->local_count - function->free);
}

/* A function from its parameters to its end. */
static void body(struct compiler *compiler, struct expression *out, bool is_method, int line)
{
    struct block outermost;
    struct string *source = compiler->function->proto->source;
    (void)open_function(compiler, source, line);
    open_block(compiler, &outermost, false);
    expect(compiler, '(');
    if (is_method) {
        declare(compiler, 0, hidden_name(compiler, "self"));
        activate(compiler, 1);
    }
    parameters(compiler);
    expect(compiler, ')');
    block(compiler);
    expect_end(compiler, TOKEN_END, TOKEN_FUNCTION, line);
    struct proto *made = close_function(compiler);
    struct proto *proto = compiler->function->proto;
    proto->protos = memory_grow(compiler->state, proto->protos, proto->proto_count,
                                &proto->proto_capacity, sizeof(made), CODE_MAX);
    proto->protos[proto->proto_count] = made;
    int reg = take_registers(compiler, 1);
    (void)emit(compiler, OP_CLOSURE, reg, 0, (int)proto->proto_count++);
    *out = in_register(compiler, reg);
}

struct proto *compile(lua_State *state, const char *text, size_t size, const char *chunk)
{
    struct compiler compiler = {.state = state};
    struct block outermost;
    lexer_init(&compiler.lexer, state, text, size, chunk);
    struct string *source = string_new(state, chunk, strlen(chunk));
    struct function *function = open_function(&compiler, source, 0);
    function->proto->is_vararg = true;
    open_block(&compiler, &outermost, false);
    next(&compiler);
    block(&compiler);
    if (kind(&compiler) != TOKEN_END_OF_FILE) {
        expected(&compiler, TOKEN_END_OF_FILE);
    }
    return close_function(&compiler);
}

void chunk_name_short(const char *chunk, char out[64])
{
    enum { SIZE = 60 };
    if (*chunk == '=') {
        snprintf(out, SIZE, "%s", chunk + 1);
    } else if (*chunk == '@') {
        size_t size = strlen(chunk + 1);
        const char *cut = size >= SIZE - 8 ? "..." : "";
        size_t skipped = *cut != '\0' ? size - (SIZE - 8) : 0;
        snprintf(out, SIZE, "%s%s", cut, chunk + 1 + skipped);
    } else {
        size_t size = strcspn(chunk, "\n\r");
        size_t room = SIZE - sizeof(" [string \"...\"] ") - 1;
        bool cut = chunk[size] != '\0' || size > room;
        size = size > room ? room : size;
        snprintf(out, SIZE, "[string \"%.*s%s\"]", (int)size, chunk, cut ? "..." : "");
    }
}
