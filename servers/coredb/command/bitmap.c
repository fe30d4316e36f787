/* The bitmap group: strings as arrays of bits, the highest bit of the first byte first. BITFIELD is
 * in bitfield.c. */
#include "coredb/base/bytes.h"
#include "coredb/command/bitfield.h"
#include "coredb/command/string.h"

static unsigned bit_at(rr_bytes bytes, uint64_t at)
{
    const uint8_t *data = bytes.data;
    return at / 8 < bytes.size ? (data[at / 8] >> (7 - at % 8)) & 1U : 0;
}

static void getbit(struct exec *exec)
{
    uint64_t offset;
    if (!bitmap_offset(exec, 2, /*width=*/0, &offset)) {
        return;
    }
    struct key key;
    if (exec_open(exec, 1, VALUE_STRING, &key)) {
        reply_integer(exec->reply, bit_at(buffer_bytes(&key.payload), offset));
    }
    key_close(&key);
}

static void setbit_opened(struct exec *exec, struct key *key, uint64_t offset, unsigned bit)
{
    size_t size = offset / 8 + 1;
    if (!string_size_fits(exec, size, 0)) {
        return;
    }
    unsigned old = bit_at(buffer_bytes(&key->payload), offset);
    bool changed = size > key->payload.size || bit != old;
    bool reencoded = key->encoding != ENCODING_RAW;
    string_edit(exec, key);
    if (string_extend(exec, key, size)) {
        uint8_t mask = (uint8_t)(0x80U >> (offset % 8));
        uint8_t *byte = &key->payload.data[offset / 8];
        *byte = (uint8_t)(bit ? *byte | mask : *byte & ~mask);
    }
    if (!changed && reencoded) {
        key_save_encoding(exec->store, key);
    }
    if (changed) {
        (void)key_save(exec->store, key);
        key_notify(exec->store, key, NOTIFY_STRING, "setbit");
    }
    reply_integer(exec->reply, old);
}

static void setbit(struct exec *exec)
{
    uint64_t offset;
    int64_t bit;
    if (!bitmap_offset(exec, 2, /*width=*/0, &offset) ||
        !exec_integer_in(exec, 3, 0, 1, "ERR bit is not an integer or out of range", &bit)) {
        return;
    }
    struct key key;
    if (exec_open(exec, 1, VALUE_STRING, &key)) {
        setbit_opened(exec, &key, offset, (unsigned)bit);
    }
    key_close(&key);
}

/* ---- Ranges ---- */

/* The bits first <= at < end. */
struct bit_range {
    uint64_t first;
    uint64_t end;
};

/* The range from `start` to `stop`, inclusive and counted from the end if negative, of a string of
 * `size` bytes. */
static struct bit_range clamp_range(int64_t start, int64_t stop, size_t size, bool in_bits)
{
    int64_t unit = in_bits ? 1 : 8;
    int64_t total = (int64_t)size * 8 / unit;
    start = start < 0 ? start + total : start;
    stop = stop < 0 ? stop + total : stop;
    start = start < 0 ? 0 : start;
    stop = stop < 0 ? 0 : stop;
    stop = stop >= total ? total - 1 : stop;
    if (start > stop) {
        return (struct bit_range){0, 0};
    }
    return (struct bit_range){(uint64_t)(start * unit), (uint64_t)((stop + 1) * unit)};
}

/* Reads BYTE or BIT at argv[i], which exists. False: answered. */
static bool parse_unit(struct exec *exec, size_t i, bool *in_bits)
{
    *in_bits = exec_is(exec, i, "bit");
    if (!*in_bits && !exec_is(exec, i, "byte")) {
        reply_error_syntax(exec->reply);
        return false;
    }
    return true;
}

static int64_t count_bits(rr_bytes bytes, struct bit_range range)
{
    int64_t count = 0;
    uint64_t at = range.first;
    for (; at < range.end && at % 8 != 0; at++) {
        count += bit_at(bytes, at);
    }
    for (; at + 64 <= range.end; at += 64) {
        uint64_t word;
        memcpy(&word, (const uint8_t *)bytes.data + at / 8, sizeof(word));
        count += __builtin_popcountll(word);
    }
    for (; at < range.end; at++) {
        count += bit_at(bytes, at);
    }
    return count;
}

static void bitcount_opened(struct exec *exec, const struct key *key)
{
    rr_bytes bytes = buffer_bytes(&key->payload);
    int64_t start = 0;
    int64_t stop = -1;
    bool in_bits = false;
    if (key->type == VALUE_NONE) {
        reply_integer(exec->reply, 0);
        return;
    }
    if (exec->argc == 3 || exec->argc > 5) {
        reply_error_syntax(exec->reply);
        return;
    }
    if (exec->argc > 3 && (!exec_integer(exec, 2, &start) || !exec_integer(exec, 3, &stop))) {
        return;
    }
    if (exec->argc > 3 && start < 0 && stop < 0 && start > stop) {
        reply_integer(exec->reply, 0);
        return;
    }
    if (exec->argc == 5 && !parse_unit(exec, 4, &in_bits)) {
        return;
    }
    struct bit_range range = clamp_range(start, stop, bytes.size, in_bits);
    reply_integer(exec->reply, count_bits(bytes, range));
}

static void bitcount(struct exec *exec)
{
    struct key key;
    if (exec_open(exec, 1, VALUE_STRING, &key)) {
        bitcount_opened(exec, &key);
    }
    key_close(&key);
}

/* The first such bit of the range, or -1. */
static int64_t find_bit(rr_bytes bytes, unsigned bit, struct bit_range range)
{
    const uint8_t *data = bytes.data;
    uint8_t skip = bit ? 0x00 : 0xff;
    uint64_t at = range.first;
    while (at < range.end) {
        if (at % 8 == 0 && at + 8 <= range.end && data[at / 8] == skip) {
            at += 8;
        } else if (bit_at(bytes, at) == bit) {
            return (int64_t)at;
        } else {
            at++;
        }
    }
    return -1;
}

static void bitpos_opened(struct exec *exec, const struct key *key, unsigned bit)
{
    rr_bytes bytes = buffer_bytes(&key->payload);
    int64_t start = 0;
    int64_t stop = -1;
    bool in_bits = false;
    if (key->type == VALUE_NONE) {
        reply_integer(exec->reply, bit ? -1 : 0);
        return;
    }
    if (exec->argc > 6) {
        reply_error_syntax(exec->reply);
        return;
    }
    if (exec->argc > 3 && !exec_integer(exec, 3, &start)) {
        return;
    }
    if (exec->argc == 6 && !parse_unit(exec, 5, &in_bits)) {
        return;
    }
    if (exec->argc > 4 && !exec_integer(exec, 4, &stop)) {
        return;
    }
    struct bit_range range = clamp_range(start, stop, bytes.size, in_bits);
    int64_t found = find_bit(bytes, bit, range);
    /* Without an end, a string counts as followed by zeros. */
    if (found < 0 && !bit && exec->argc <= 4 && range.end > range.first) {
        found = (int64_t)bytes.size * 8;
    }
    reply_integer(exec->reply, found);
}

static void bitpos(struct exec *exec)
{
    int64_t bit;
    if (!exec_integer(exec, 2, &bit)) {
        return;
    }
    if (bit != 0 && bit != 1) {
        reply_error(exec->reply, "ERR The bit argument must be 1 or 0.");
        return;
    }
    struct key key;
    if (exec_open(exec, 1, VALUE_STRING, &key)) {
        bitpos_opened(exec, &key, (unsigned)bit);
    }
    key_close(&key);
}

/* ---- BITOP ---- */

enum bit_operation { BITS_AND, BITS_OR, BITS_XOR, BITS_NOT };

static bool parse_operation(struct exec *exec, enum bit_operation *out)
{
    static const char *const words[] = {"and", "or", "xor", "not"};
    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
        if (exec_is(exec, 1, words[i])) {
            *out = (enum bit_operation)i;
            if (*out == BITS_NOT && exec->argc != 4) {
                reply_error(exec->reply, "ERR BITOP NOT must be called with a single source key.");
                return false;
            }
            return true;
        }
    }
    reply_error_syntax(exec->reply);
    return false;
}

static void combine(uint8_t *result, size_t size, rr_bytes operand, enum bit_operation operation)
{
    const uint8_t *data = operand.data;
    for (size_t i = 0; i < size; i++) {
        uint8_t byte = i < operand.size ? data[i] : 0;
        switch (operation) {
        case BITS_AND:
            result[i] &= byte;
            break;
        case BITS_OR:
            result[i] |= byte;
            break;
        case BITS_XOR:
            result[i] ^= byte;
            break;
        case BITS_NOT:
            result[i] = (uint8_t)~byte;
            break;
        }
    }
}

/* Takes the next operand into the result, the shorter of them being followed by zeros. False: no
 * memory. */
static bool add_operand(struct buffer *result, rr_bytes operand, enum bit_operation operation,
                        bool first)
{
    if (first) {
        buffer_append_bytes(result, operand);
    } else if (operand.size > result->size) {
        size_t missing = operand.size - result->size;
        uint8_t *zeros = buffer_extend(result, missing);
        if (zeros != NULL) {
            memset(zeros, 0, missing);
        }
    }
    if (result->failed) {
        return false;
    }
    if (!first || operation == BITS_NOT) {
        combine(result->data, result->size, operand, operation);
    }
    return true;
}

/* Combines the sources, one after another. False: one is not a string, or the store failed. */
static bool combine_sources(struct exec *exec, enum bit_operation operation, struct buffer *result)
{
    bool good = true;
    for (size_t i = 3; i < exec->argc && good; i++) {
        struct key key;
        good = exec_open(exec, i, VALUE_STRING, &key);
        if (good && !add_operand(result, buffer_bytes(&key.payload), operation, i == 3)) {
            store_fail(exec->store, RR_NO_MEMORY);
            reply_null(exec->reply);
            good = false;
        }
        key_close(&key);
    }
    return good;
}

static void store_result(struct exec *exec, rr_bytes result)
{
    struct key key;
    key_open(exec->store, exec->argv[2], &key);
    if (result.size > 0) {
        key.expire_ms = 0;
        string_store(exec, &key, result, ENCODING_RAW);
        key_notify(exec->store, &key, NOTIFY_STRING, "set");
    } else if (key.type != VALUE_NONE) {
        key_delete(exec->store, &key);
        key_notify(exec->store, &key, NOTIFY_GENERIC, "del");
    }
    key_close(&key);
}

static void bitop(struct exec *exec)
{
    enum bit_operation operation;
    if (!parse_operation(exec, &operation)) {
        return;
    }
    struct buffer result;
    buffer_init(&result);
    if (combine_sources(exec, operation, &result)) {
        store_result(exec, buffer_bytes(&result));
        reply_integer(exec->reply, (int64_t)result.size);
    }
    buffer_deinit(&result);
}

const struct command commands_bitmap[] = {
    {.name = "bitcount",
     .arity = -2,
     .flags = COMMAND_READONLY,
     .group = "bitmap",
     .since = "2.6.0",
     .summary = "Counts the bits that are set in a string or a part of it.",
     .complexity = "O(N) in the size of the string",
     .run = bitcount,
     .keys = {KEY_SPEC(KEY_RO | KEY_ACCESS, 1, 0, 1)}},
    {.name = "bitfield",
     .arity = -2,
     .flags = COMMAND_WRITE | COMMAND_DENYOOM,
     .group = "bitmap",
     .since = "3.2.0",
     .summary = "Reads, sets and increments integers of any width within a string.",
     .complexity = "O(N) in the size of the string",
     .run = bitfield,
     .note = "Refuses to write beyond the limit of a string, 8,000,000 bytes.",
     .keys = {KEY_SPEC(KEY_RW | KEY_ACCESS | KEY_UPDATE | KEY_VARIABLE, 1, 0, 1)}},
    {.name = "bitfield_ro",
     .arity = -2,
     .flags = COMMAND_READONLY | COMMAND_FAST,
     .group = "bitmap",
     .since = "6.0.0",
     .summary = "Reads integers of any width within a string.",
     .complexity = "O(N) in the size of the string",
     .run = bitfield_ro,
     .keys = {KEY_SPEC(KEY_RO | KEY_ACCESS, 1, 0, 1)}},
    {.name = "bitop",
     .arity = -4,
     .flags = COMMAND_WRITE | COMMAND_DENYOOM,
     .group = "bitmap",
     .since = "2.6.0",
     .summary = "Combines strings bit by bit into another string.",
     .complexity = "O(N) in the size of the longest string",
     .run = bitop,
     .keys = {KEY_SPEC(KEY_OW | KEY_UPDATE, 2, 0, 1), KEY_SPEC(KEY_RO | KEY_ACCESS, 3, -1, 1)}},
    {.name = "bitpos",
     .arity = -3,
     .flags = COMMAND_READONLY,
     .group = "bitmap",
     .since = "2.8.7",
     .summary = "Finds the first bit that is set, or clear, in a string.",
     .complexity = "O(N) in the size of the string",
     .run = bitpos,
     .keys = {KEY_SPEC(KEY_RO | KEY_ACCESS, 1, 0, 1)}},
    {.name = "getbit",
     .arity = 3,
     .flags = COMMAND_READONLY | COMMAND_FAST,
     .group = "bitmap",
     .since = "2.2.0",
     .summary = "Returns one bit of a string.",
     .complexity = "O(N) in the size of the string",
     .run = getbit,
     .keys = {KEY_SPEC(KEY_RO | KEY_ACCESS, 1, 0, 1)}},
    {.name = "setbit",
     .arity = 4,
     .flags = COMMAND_WRITE | COMMAND_DENYOOM,
     .group = "bitmap",
     .since = "2.2.0",
     .summary = "Sets or clears one bit of a string and returns what it was.",
     .complexity = "O(N) in the size of the string",
     .run = setbit,
     .note = "Refuses a bit beyond the limit of a string, 8,000,000 bytes.",
     .keys = {KEY_SPEC(KEY_RW | KEY_ACCESS | KEY_UPDATE, 1, 0, 1)}},
    {.name = NULL},
};
