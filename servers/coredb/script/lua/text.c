/* Strings and numbers: hashing, comparing, and the text of numbers. */
#include "coredb/script/lua/object.h"

#include <ctype.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { COMPARED_PER_UNIT = 64, HASHED_PER_UNIT = 16, PARSED_PER_UNIT = 2, NUMBER_UNITS = 20 };

struct string *string_blank(lua_State *state, size_t size)
{
    if (size > ARENA_BYTES_MAX) {
        state->error = value_of_string(state->no_memory);
        error_throw(state, LUA_ERRMEM);
    }
    struct string *string = object_new(state, KIND_STRING, sizeof(*string) + size + 1);
    string->size = size;
    string->hashed = false;
    string->data[size] = '\0';
    return string;
}

struct string *string_new(lua_State *state, const char *data, size_t size)
{
    struct string *string = string_blank(state, size);
    if (size != 0) {
        memcpy(string->data, data, size);
    }
    return string;
}

/* ---- SipHash-1-3, keyed by a secret of the process, so that nobody can choose collisions ---- */

static uint64_t rotate(uint64_t x, int bits)
{
    return x << bits | x >> (64 - bits);
}

static void sip_round(uint64_t v[4])
{
    v[0] += v[1];
    v[1] = rotate(v[1], 13) ^ v[0];
    v[0] = rotate(v[0], 32);
    v[2] += v[3];
    v[3] = rotate(v[3], 16) ^ v[2];
    v[0] += v[3];
    v[3] = rotate(v[3], 21) ^ v[0];
    v[2] += v[1];
    v[1] = rotate(v[1], 17) ^ v[2];
    v[2] = rotate(v[2], 32);
}

static uint64_t sip_hash(const uint64_t seed[2], const char *data, size_t size)
{
    uint64_t v[4] = {seed[0] ^ 0x736f6d6570736575u, seed[1] ^ 0x646f72616e646f6du,
                     seed[0] ^ 0x6c7967656e657261u, seed[1] ^ 0x7465646279746573u};
    size_t left = size;
    for (; left >= 8; data += 8, left -= 8) {
        uint64_t word;
        memcpy(&word, data, sizeof(word));
        v[3] ^= word;
        sip_round(v);
        v[0] ^= word;
    }
    uint64_t last = (uint64_t)size << 56;
    for (size_t i = 0; i < left; i++) {
        last |= (uint64_t)(unsigned char)data[i] << (8 * i);
    }
    v[3] ^= last;
    sip_round(v);
    v[0] ^= last;
    v[2] ^= 0xff;
    sip_round(v);
    sip_round(v);
    sip_round(v);
    return v[0] ^ v[1] ^ v[2] ^ v[3];
}

uint64_t string_hash(lua_State *state, struct string *string)
{
    if (!string->hashed) {
        lua_charge(state, string->size / HASHED_PER_UNIT);
        string->hash = sip_hash(state->seed, string->data, string->size);
        string->hashed = true;
    }
    return string->hash;
}

uint64_t hash_number(const lua_State *state, uint64_t bits)
{
    return sip_hash(state->seed, (const char *)&bits, sizeof(bits));
}

bool string_equal(lua_State *state, const struct string *one, const struct string *other)
{
    if (one == other) {
        return true;
    }
    if (one->size != other->size || (one->hashed && other->hashed && one->hash != other->hash)) {
        return false;
    }
    lua_charge(state, one->size / COMPARED_PER_UNIT);
    return memcmp(one->data, other->data, one->size) == 0;
}

int string_compare(lua_State *state, const struct string *one, const struct string *other)
{
    size_t size = one->size < other->size ? one->size : other->size;
    lua_charge(state, size / COMPARED_PER_UNIT);
    int order = memcmp(one->data, other->data, size);
    return order != 0 ? order : (one->size > other->size) - (one->size < other->size);
}

/* ---- Numbers ---- */

bool number_of_text(lua_State *state, const char *text, size_t size, double *out)
{
    lua_charge(state, NUMBER_UNITS + size / PARSED_PER_UNIT);
    const char *end = text + size;
    const char *first = text;
    while (first < end && isspace((unsigned char)*first)) {
        first++;
    }
    const char *digits = first + (first < end && (*first == '-' || *first == '+'));
    if (digits == end ||
        (!isdigit((unsigned char)*digits) && *digits != '.' && !isalpha((unsigned char)*digits))) {
        return false;
    }
    char *stop;
    *out = strtod(first, &stop); /* strings end with a zero */
    if (stop == first) {
        return false;
    }
    while (stop < end && isspace((unsigned char)*stop)) {
        stop++;
    }
    return stop == end;
}

size_t number_text(lua_State *state, double number, char out[NUMBER_TEXT_SIZE])
{
    lua_charge(state, NUMBER_UNITS);
    int size = snprintf(out, NUMBER_TEXT_SIZE, "%.14g", number);
    return size < 0 ? 0 : (size_t)size;
}

bool value_number(lua_State *state, const struct value *value, double *out)
{
    if (value->type == LUA_TNUMBER) {
        *out = value->number;
        return true;
    }
    return value->type == LUA_TSTRING &&
           number_of_text(state, value->string->data, value->string->size, out);
}
