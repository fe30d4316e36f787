/*
 * HyperLogLogs as bytes. Format: "HYLL", encoding (0 dense, 1 sparse), 3 unused bytes, the cached
 * count as 8 bytes little-endian whose highest bit says that it is invalid, then the registers.
 *
 * Dense: 6 bits each, from the lowest bit of the first byte on. Sparse, runs of equal registers:
 *     00llllll           l + 1 registers of 0
 *     01llllll llllllll  l + 1 registers of 0
 *     1vvvvvll           l + 1 registers of v + 1
 *
 * The estimator is Otmar Ertl's ("New cardinality estimation algorithms for HyperLogLog
 * sketches", 2017), the hash MurmurHash64A with the seed that Redis uses.
 */
#include "coredb/value/hyperloglog.h"

#include <math.h>
#include <string.h>

enum {
    HEADER_BYTES = 16,
    ENCODING_AT = 4,
    CACHED_AT = 8,
    INDEX_BITS = 14,
    HASH_BITS = 64 - INDEX_BITS, /* that the value of a register is found from */
    REGISTER_BITS = 6,
    REGISTER_MASK = 63,
    DENSE_BYTES = HEADER_BYTES + HYPERLOGLOG_REGISTERS * REGISTER_BITS / 8,
    ZERO_RUN_MAX = 64,
    VALUE_RUN_MAX = 4,
    SPARSE_VALUE_MAX = 32,
    MERGED_RUNS_MAX = 5, /* looked at after a change */
};

enum encoding { DENSE = 0, SPARSE = 1 };

bool hyperloglog_is(rr_bytes bytes)
{
    const uint8_t *data = bytes.data;
    if (bytes.size < HEADER_BYTES || memcmp(data, "HYLL", 4) != 0) {
        return false;
    }
    return data[ENCODING_AT] == SPARSE || (data[ENCODING_AT] == DENSE && bytes.size == DENSE_BYTES);
}

bool hyperloglog_is_dense(rr_bytes bytes)
{
    return ((const uint8_t *)bytes.data)[ENCODING_AT] == DENSE;
}

/* ---- The cached count ---- */

bool hyperloglog_cached(rr_bytes bytes, uint64_t *out)
{
    const uint8_t *cached = (const uint8_t *)bytes.data + CACHED_AT;
    uint64_t count = 0;
    for (int i = 7; i >= 0; i--) {
        count = count << 8 | cached[i];
    }
    *out = count;
    return count >> 63 == 0;
}

void hyperloglog_set_cached(struct buffer *bytes, uint64_t count)
{
    for (int i = 0; i < 8; i++) {
        bytes->data[CACHED_AT + i] = (uint8_t)(count >> (8 * i));
    }
}

void hyperloglog_invalidate(struct buffer *bytes)
{
    bytes->data[CACHED_AT + 7] |= 0x80;
}

/* ---- Dense registers ---- */

static unsigned dense_get(const uint8_t *registers, unsigned index)
{
    unsigned at = index * REGISTER_BITS;
    unsigned shift = at % 8;
    unsigned bits = registers[at / 8] >> shift;
    if (shift > 8 - REGISTER_BITS) {
        bits |= (unsigned)registers[at / 8 + 1] << (8 - shift);
    }
    return bits & REGISTER_MASK;
}

static void dense_set(uint8_t *registers, unsigned index, unsigned value)
{
    unsigned at = index * REGISTER_BITS;
    unsigned shift = at % 8;
    uint8_t *byte = &registers[at / 8];
    byte[0] = (uint8_t)((byte[0] & ~(REGISTER_MASK << shift)) | value << shift);
    if (shift > 8 - REGISTER_BITS) {
        byte[1] = (uint8_t)((byte[1] & ~(REGISTER_MASK >> (8 - shift))) | value >> (8 - shift));
    }
}

static enum hyperloglog_change dense_raise(struct buffer *bytes, unsigned index, unsigned value)
{
    uint8_t *registers = bytes->data + HEADER_BYTES;
    if (dense_get(registers, index) >= value) {
        return HYPERLOGLOG_SAME;
    }
    dense_set(registers, index, value);
    hyperloglog_invalidate(bytes);
    return HYPERLOGLOG_CHANGED;
}

/* ---- Runs ---- */

struct run {
    size_t at;       /* where its code is in the bytes */
    size_t size;     /* of the code */
    unsigned value;  /* of its registers */
    unsigned length; /* how many */
};

/* Reads the run whose code is at `at`. False: there is no whole code. */
static bool run_read(rr_bytes bytes, size_t at, struct run *out)
{
    const uint8_t *data = bytes.data;
    if (at >= bytes.size) {
        return false;
    }
    uint8_t code = data[at];
    if ((code & 0x80) != 0) {
        *out = (struct run){at, 1, ((code >> 2) & 31U) + 1, (code & 3U) + 1};
        return true;
    }
    if ((code & 0x40) == 0) {
        *out = (struct run){at, 1, 0, (code & 63U) + 1};
        return true;
    }
    if (at + 1 >= bytes.size) {
        return false;
    }
    *out = (struct run){at, 2, 0, ((code & 63U) << 8 | data[at + 1]) + 1};
    return true;
}

/* Writes the code of a run with length 0 as nothing. Returns its size. */
static size_t run_write(uint8_t *out, unsigned value, unsigned length)
{
    if (length == 0) {
        return 0;
    }
    unsigned bits = length - 1;
    if (value > 0) {
        out[0] = (uint8_t)(0x80U | (value - 1) << 2 | bits);
        return 1;
    }
    if (length <= ZERO_RUN_MAX) {
        out[0] = (uint8_t)bits;
        return 1;
    }
    out[0] = (uint8_t)(0x40U | bits >> 8);
    out[1] = (uint8_t)bits;
    return 2;
}

/* Goes on to the run that follows `*run` (size 0: the first) and begins at register `*first`.
 * False: the end, or more registers than there are. */
static bool run_next(rr_bytes bytes, struct run *run, unsigned *first)
{
    size_t at = run->size == 0 ? HEADER_BYTES : run->at + run->size;
    *first += run->length;
    return run_read(bytes, at, run) && run->length <= HYPERLOGLOG_REGISTERS - *first;
}

void hyperloglog_create(struct buffer *bytes)
{
    buffer_clear(bytes);
    uint8_t *data = buffer_extend(bytes, HEADER_BYTES + 2);
    if (data != NULL) {
        memset(data, 0, HEADER_BYTES);
        memcpy(data, "HYLL", 4);
        data[ENCODING_AT] = SPARSE;
        (void)run_write(data + HEADER_BYTES, 0, HYPERLOGLOG_REGISTERS);
    }
}

bool hyperloglog_make_dense(struct buffer *bytes)
{
    if (hyperloglog_is_dense(buffer_bytes(bytes))) {
        return true;
    }
    uint8_t registers[HYPERLOGLOG_REGISTERS] = {0};
    if (!hyperloglog_merge(buffer_bytes(bytes), registers)) {
        return false;
    }
    buffer_truncate(bytes, HEADER_BYTES);
    uint8_t *dense = buffer_extend(bytes, DENSE_BYTES - HEADER_BYTES);
    if (dense == NULL) {
        return true;
    }
    memset(dense, 0, DENSE_BYTES - HEADER_BYTES);
    bytes->data[ENCODING_AT] = DENSE;
    for (unsigned i = 0; i < HYPERLOGLOG_REGISTERS; i++) {
        dense_set(dense, i, registers[i]);
    }
    return true;
}

/* Joins runs of equal values near `at`, where something changed. */
static void join_runs(struct buffer *bytes, size_t at)
{
    struct run run;
    for (int i = 0; i < MERGED_RUNS_MAX && run_read(buffer_bytes(bytes), at, &run); i++) {
        struct run next;
        if (run.value > 0 && run_read(buffer_bytes(bytes), at + 1, &next) &&
            next.value == run.value && run.length + next.length <= VALUE_RUN_MAX) {
            (void)run_write(bytes->data + next.at, run.value, run.length + next.length);
            memmove(bytes->data + at, bytes->data + next.at, bytes->size - next.at);
            buffer_truncate(bytes, bytes->size - 1);
        } else {
            at += run.size;
        }
    }
}

static enum hyperloglog_change raise_as_dense(struct buffer *bytes, unsigned index, unsigned value)
{
    if (!hyperloglog_make_dense(bytes)) {
        return HYPERLOGLOG_CORRUPT;
    }
    return bytes->failed ? HYPERLOGLOG_CHANGED : dense_raise(bytes, index, value);
}

static void replace_code(struct buffer *bytes, const struct run *run, const uint8_t *codes,
                         size_t size)
{
    if (size > run->size) {
        buffer_insert(bytes, run->at, codes, size - run->size);
    } else if (size < run->size) {
        uint8_t *end = bytes->data + run->at + run->size;
        memmove(end - (run->size - size), end, bytes->size - run->at - run->size);
        buffer_truncate(bytes, bytes->size - (run->size - size));
    }
    if (!bytes->failed) {
        memcpy(bytes->data + run->at, codes, size);
    }
}

/* Puts the register in place of the run that has it: what is before, itself, what is after. */
static enum hyperloglog_change split_run(struct buffer *bytes, const struct run *run,
                                         unsigned before, unsigned index, unsigned value)
{
    uint8_t codes[5];
    size_t size = run_write(codes, run->value, before);
    size += run_write(codes + size, value, 1);
    size += run_write(codes + size, run->value, run->length - before - 1);
    if (size > run->size && bytes->size + size - run->size > HYPERLOGLOG_SPARSE_BYTES_MAX) {
        return raise_as_dense(bytes, index, value);
    }
    replace_code(bytes, run, codes, size);
    return HYPERLOGLOG_CHANGED;
}

static enum hyperloglog_change sparse_raise(struct buffer *bytes, unsigned index, unsigned value)
{
    if (value > SPARSE_VALUE_MAX) {
        return raise_as_dense(bytes, index, value);
    }
    struct run run = {0};
    unsigned first = 0;
    size_t previous = HEADER_BYTES;
    do {
        previous = run.size == 0 ? HEADER_BYTES : run.at;
        if (!run_next(buffer_bytes(bytes), &run, &first)) {
            return HYPERLOGLOG_CORRUPT;
        }
    } while (index >= first + run.length);
    if (run.value >= value) {
        return HYPERLOGLOG_SAME;
    }
    enum hyperloglog_change change = split_run(bytes, &run, index - first, index, value);
    if (change == HYPERLOGLOG_CHANGED && !bytes->failed) {
        if (!hyperloglog_is_dense(buffer_bytes(bytes))) {
            join_runs(bytes, previous);
        }
        hyperloglog_invalidate(bytes);
    }
    return change;
}

enum hyperloglog_change hyperloglog_raise(struct buffer *bytes, unsigned index, unsigned value)
{
    return hyperloglog_is_dense(buffer_bytes(bytes)) ? dense_raise(bytes, index, value)
                                                     : sparse_raise(bytes, index, value);
}

/* ---- Elements ---- */

static uint64_t read_little_endian(const uint8_t *data, size_t size)
{
    uint64_t value = 0;
    for (size_t i = size; i > 0; i--) {
        value = value << 8 | data[i - 1];
    }
    return value;
}

/* MurmurHash64A. */
static uint64_t hash_element(rr_bytes element)
{
    const uint64_t factor = UINT64_C(0xc6a4a7935bd1e995);
    const uint64_t seed = UINT64_C(0xadc83b19);
    const uint8_t *data = element.data;
    uint64_t hash = seed ^ (element.size * factor);
    size_t at = 0;
    for (; at + 8 <= element.size; at += 8) {
        uint64_t word = read_little_endian(data + at, 8) * factor;
        word ^= word >> 47;
        hash = (hash ^ (word * factor)) * factor;
    }
    if (at < element.size) {
        hash = (hash ^ read_little_endian(data + at, element.size - at)) * factor;
    }
    hash ^= hash >> 47;
    hash *= factor;
    return hash ^ hash >> 47;
}

enum hyperloglog_change hyperloglog_add(struct buffer *bytes, rr_bytes element)
{
    uint64_t hash = hash_element(element);
    unsigned index = (unsigned)(hash & (HYPERLOGLOG_REGISTERS - 1));
    uint64_t rest = hash >> INDEX_BITS | UINT64_C(1) << HASH_BITS;
    return hyperloglog_raise(bytes, index, (unsigned)__builtin_ctzll(rest) + 1);
}

bool hyperloglog_merge(rr_bytes bytes, uint8_t registers[HYPERLOGLOG_REGISTERS])
{
    if (hyperloglog_is_dense(bytes)) {
        const uint8_t *dense = (const uint8_t *)bytes.data + HEADER_BYTES;
        for (unsigned i = 0; i < HYPERLOGLOG_REGISTERS; i++) {
            unsigned value = dense_get(dense, i);
            registers[i] = value > registers[i] ? (uint8_t)value : registers[i];
        }
        return true;
    }
    unsigned first = 0;
    struct run run;
    for (size_t at = HEADER_BYTES; at < bytes.size; at += run.size) {
        if (!run_read(bytes, at, &run) || run.length > HYPERLOGLOG_REGISTERS - first) {
            return false;
        }
        for (unsigned i = first; i < first + run.length; i++) {
            registers[i] = run.value > registers[i] ? (uint8_t)run.value : registers[i];
        }
        first += run.length;
    }
    return first == HYPERLOGLOG_REGISTERS;
}

/* ---- The estimate ---- */

static double sigma(double x)
{
    if (x == 1.0) {
        return INFINITY;
    }
    double power = 1.0;
    double sum = x;
    double last;
    do {
        x *= x;
        last = sum;
        sum += x * power;
        power += power;
    } while (last != sum);
    return sum;
}

static double tau(double x)
{
    if (x == 0.0 || x == 1.0) {
        return 0.0;
    }
    double power = 1.0;
    double sum = 1 - x;
    double last;
    do {
        x = sqrt(x);
        last = sum;
        power *= 0.5;
        sum -= (1 - x) * (1 - x) * power;
    } while (last != sum);
    return sum / 3;
}

uint64_t hyperloglog_estimate(const uint8_t registers[HYPERLOGLOG_REGISTERS])
{
    const double alpha = 0.721347520444481703680; /* 1 / (2 ln 2) */
    const double count = HYPERLOGLOG_REGISTERS;
    int histogram[REGISTER_MASK + 1] = {0};
    for (unsigned i = 0; i < HYPERLOGLOG_REGISTERS; i++) {
        histogram[registers[i] & REGISTER_MASK]++;
    }
    double sum = count * tau((count - histogram[HASH_BITS + 1]) / count);
    for (int i = HASH_BITS; i >= 1; i--) {
        sum = (sum + histogram[i]) * 0.5;
    }
    sum += count * sigma(histogram[0] / count);
    double estimate = alpha * count * count / sum;
    /* Registers above what a hash can make leave a sum of 0. */
    return estimate >= 9e18 ? (uint64_t)INT64_MAX : (uint64_t)llround(estimate);
}
