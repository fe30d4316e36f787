/*
 * BITFIELD: integers of 1 to 64 bits anywhere in a string. The arguments are walked twice, first
 * to check them all, then to do what they say, so that nothing is kept of them.
 */
#include "coredb/command/bitfield.h"

#include "coredb/base/number.h"
#include "coredb/command/string.h"

enum field_action { FIELD_GET, FIELD_SET, FIELD_INCRBY };
enum field_overflow { OVERFLOW_WRAP, OVERFLOW_SAT, OVERFLOW_FAIL };

struct field {
    enum field_action action;
    bool is_signed;
    unsigned width;
    uint64_t offset;
    int64_t value; /* of SET and INCRBY */
};

/* Where the walk over the arguments stands. */
struct walk {
    struct exec *exec;
    size_t next;
    enum field_overflow overflow;
};

bool bitmap_offset(struct exec *exec, size_t i, unsigned width, uint64_t *out)
{
    rr_bytes text = exec->argv[i];
    bool scaled = width != 0 && text.size > 0 && *(const char *)text.data == '#';
    if (scaled) {
        text = (rr_bytes){(const char *)text.data + 1, text.size - 1};
    }
    int64_t offset;
    if (!number_parse_i64(text, &offset) ||
        (scaled && __builtin_mul_overflow(offset, (int64_t)width, &offset)) || offset < 0 ||
        offset > UINT32_MAX) {
        reply_error(exec->reply, "ERR bit offset is not an integer or out of range");
        return false;
    }
    *out = (uint64_t)offset;
    return true;
}

static bool parse_type(struct exec *exec, size_t i, struct field *field)
{
    rr_bytes text = exec->argv[i];
    const char *data = text.data;
    int64_t width = 0;
    if (text.size > 1 && (data[0] == 'i' || data[0] == 'u')) {
        field->is_signed = data[0] == 'i';
        if (!number_parse_i64((rr_bytes){data + 1, text.size - 1}, &width)) {
            width = 0;
        }
    }
    if (width < 1 || width > (field->is_signed ? 64 : 63)) {
        reply_error(exec->reply, "ERR Invalid bitfield type. Use something like i16 u8. Note that "
                                 "u64 is not supported but i64 is.");
        return false;
    }
    field->width = (unsigned)width;
    return true;
}

static bool parse_overflow(struct walk *walk)
{
    size_t i = walk->next + 1;
    if (exec_is(walk->exec, i, "wrap")) {
        walk->overflow = OVERFLOW_WRAP;
    } else if (exec_is(walk->exec, i, "sat")) {
        walk->overflow = OVERFLOW_SAT;
    } else if (exec_is(walk->exec, i, "fail")) {
        walk->overflow = OVERFLOW_FAIL;
    } else {
        reply_error(walk->exec->reply, "ERR Invalid OVERFLOW type specified");
        return false;
    }
    walk->next += 2;
    return true;
}

/* Whether the walk stands at `word` and at least `count` arguments follow. */
static bool at_word(const struct walk *walk, const char *word, size_t count)
{
    return exec_is(walk->exec, walk->next, word) && walk->exec->argc - walk->next > count;
}

/* Goes on to the next field. False: at the end (next is argc), or answered an error. */
static bool walk_next(struct walk *walk, struct field *out)
{
    struct exec *exec = walk->exec;
    while (at_word(walk, "overflow", 1)) {
        if (!parse_overflow(walk)) {
            return false;
        }
    }
    if (walk->next == exec->argc) {
        return false;
    }
    size_t i = walk->next;
    *out = (struct field){.action = FIELD_GET};
    if (at_word(walk, "set", 3)) {
        out->action = FIELD_SET;
    } else if (at_word(walk, "incrby", 3)) {
        out->action = FIELD_INCRBY;
    } else if (!at_word(walk, "get", 2)) {
        reply_error_syntax(exec->reply);
        return false;
    }
    if (!parse_type(exec, i + 1, out) || !bitmap_offset(exec, i + 2, out->width, &out->offset) ||
        (out->action != FIELD_GET && !exec_integer(exec, i + 3, &out->value))) {
        return false;
    }
    walk->next += out->action == FIELD_GET ? 3 : 4;
    return true;
}

/* What all fields together ask for. */
struct plan {
    size_t count;
    bool writes;
    uint64_t size; /* that the string must have for the writes, in bytes */
};

static bool make_plan(struct exec *exec, struct plan *out)
{
    *out = (struct plan){0};
    struct walk walk = {exec, 2, OVERFLOW_WRAP};
    struct field field;
    while (walk_next(&walk, &field)) {
        out->count++;
        if (field.action != FIELD_GET) {
            uint64_t size = (field.offset + field.width + 7) / 8;
            out->size = size > out->size ? size : out->size;
            out->writes = true;
        }
    }
    return walk.next == exec->argc;
}

/* The bits of a field, the highest first, as a number; those behind the end are 0. */
static uint64_t read_bits(rr_bytes bytes, const struct field *field)
{
    const uint8_t *data = bytes.data;
    uint64_t bits = 0;
    for (uint64_t at = field->offset; at < field->offset + field->width; at++) {
        unsigned bit = at / 8 < bytes.size ? (data[at / 8] >> (7 - at % 8)) & 1U : 0;
        bits = bits << 1 | bit;
    }
    return bits;
}

static void write_bits(uint8_t *data, const struct field *field, uint64_t bits)
{
    for (unsigned i = 0; i < field->width; i++) {
        uint64_t at = field->offset + i;
        unsigned shift = 7 - (unsigned)(at % 8);
        unsigned bit = (unsigned)(bits >> (field->width - 1 - i)) & 1U;
        data[at / 8] = (uint8_t)((data[at / 8] & ~(1U << shift)) | bit << shift);
    }
}

/* What the field's bits mean. */
static int64_t meaning(const struct field *field, uint64_t bits)
{
    unsigned unused = 64 - field->width;
    if (!field->is_signed || unused == 0) {
        return (int64_t)bits;
    }
    return (int64_t)(bits << unused) >> unused;
}

/* Whether Redis sets the maximum for this far too small number: its `maximum - value` wraps around. */
static bool redis_takes_for_great(const struct field *field, int64_t maximum)
{
    int64_t room;
    return field->action == FIELD_SET && field->is_signed && field->width < 64 &&
           __builtin_sub_overflow(maximum, field->value, &room);
}

/* The number to store: `old` plus the increment, or the value that is set, treated as the overflow
 * says. False: it does not fit and overflow fails. */
static bool new_value(const struct field *field, int64_t old, enum field_overflow overflow,
                      int64_t *out)
{
    __extension__ typedef __int128 wide;
    wide minimum = field->is_signed ? -((wide)1 << (field->width - 1)) : 0;
    wide maximum = ((wide)1 << (field->is_signed ? field->width - 1 : field->width)) - 1;
    wide value = (wide)old + field->value;
    if (field->action == FIELD_SET) {
        value = field->is_signed ? (wide)field->value : (wide)(uint64_t)field->value;
    }
    if (value < minimum || value > maximum) {
        if (overflow == OVERFLOW_FAIL) {
            return false;
        }
        if (overflow == OVERFLOW_SAT) {
            value = value < minimum && !redis_takes_for_great(field, (int64_t)maximum) ? minimum
                                                                                       : maximum;
        }
    }
    uint64_t mask = UINT64_MAX >> (64 - field->width);
    *out = meaning(field, (uint64_t)value & mask);
    return true;
}

/* Does what one field says and answers; true: it wrote, and the string is another than before.
 * `grows`: the string has been made longer for it. */
static bool run_field(struct exec *exec, struct key *key, const struct field *field,
                      enum field_overflow overflow, bool grows)
{
    int64_t old = meaning(field, read_bits(buffer_bytes(&key->payload), field));
    if (field->action == FIELD_GET) {
        reply_integer(exec->reply, old);
        return false;
    }
    int64_t value;
    if (!new_value(field, old, overflow, &value)) {
        reply_null(exec->reply);
        return false;
    }
    write_bits(key->payload.data, field, (uint64_t)value);
    reply_integer(exec->reply, field->action == FIELD_SET ? old : value);
    return grows || value != old;
}

static void run_fields(struct exec *exec, struct key *key, const struct plan *plan)
{
    bool grows = plan->writes && plan->size > key->payload.size;
    enum value_encoding encoding = key->encoding;
    if (plan->writes) {
        if (!string_size_fits(exec, plan->size, 0)) {
            return;
        }
        string_edit(exec, key);
        if (!string_extend(exec, key, plan->size)) {
            reply_null(exec->reply);
            return;
        }
    }
    reply_array(exec->reply, plan->count);
    struct walk walk = {exec, 2, OVERFLOW_WRAP};
    struct field field;
    bool changed = false;
    while (walk_next(&walk, &field)) {
        changed |= run_field(exec, key, &field, walk.overflow, grows);
    }
    if (changed || grows) {
        (void)key_save(exec->store, key);
    } else if (plan->writes && encoding != ENCODING_RAW) {
        key_save_encoding(exec->store, key);
    }
    if (changed) {
        key_notify(exec->store, key, NOTIFY_STRING, "setbit");
    }
}

void bitfield(struct exec *exec)
{
    struct plan plan;
    if (!make_plan(exec, &plan)) {
        return;
    }
    struct key key;
    if (exec_open(exec, 1, VALUE_STRING, &key)) {
        run_fields(exec, &key, &plan);
    }
    key_close(&key);
}

void bitfield_ro(struct exec *exec)
{
    struct plan plan;
    if (!make_plan(exec, &plan)) {
        return;
    }
    if (plan.writes) {
        reply_error(exec->reply, "ERR BITFIELD_RO only supports the GET subcommand");
        return;
    }
    struct key key;
    if (exec_open(exec, 1, VALUE_STRING, &key)) {
        run_fields(exec, &key, &plan);
    }
    key_close(&key);
}
