/* Comparing, matching and hashing of byte strings. */
#include "coredb/base/bytes.h"

enum { SLOT_COUNT = 16384 };

int bytes_compare(rr_bytes left, rr_bytes right)
{
    size_t size = left.size < right.size ? left.size : right.size;
    int order = size == 0 ? 0 : memcmp(left.data, right.data, size);
    if (order != 0) {
        return order;
    }
    return left.size < right.size ? -1 : left.size > right.size;
}

static uint8_t lower(uint8_t byte)
{
    return byte >= 'A' && byte <= 'Z' ? (uint8_t)(byte + ('a' - 'A')) : byte;
}

bool bytes_is(rr_bytes bytes, const char *text)
{
    const uint8_t *data = bytes.data;
    for (size_t i = 0; i < bytes.size; i++) {
        if (text[i] == '\0' || lower(data[i]) != lower((uint8_t)text[i])) {
            return false;
        }
    }
    return text[bytes.size] == '\0';
}

/* ---- Globs ---- */

/* Where matching stands in both strings. */
struct match {
    const uint8_t *pattern;
    size_t pattern_size;
    const uint8_t *text;
    size_t text_size;
    bool ignore_case;
};

static uint8_t fold(const struct match *match, uint8_t byte)
{
    return match->ignore_case ? lower(byte) : byte;
}

/* Whether `byte` is in the class that begins after the '[' at `at`; `*next` receives where the
 * pattern goes on. A class that never closes ends with the pattern, as Redis has it. */
static bool match_class(const struct match *match, size_t at, uint8_t byte, size_t *next)
{
    const uint8_t *pattern = match->pattern;
    size_t size = match->pattern_size;
    size_t i = at + 1;
    bool negated = i < size && pattern[i] == '^';
    if (negated) {
        i++;
    }
    bool found = false;
    byte = fold(match, byte);
    for (; i < size && pattern[i] != ']'; i++) {
        if (pattern[i] == '\\' && i + 1 < size) {
            i++;
            found = found || pattern[i] == byte;
        } else if (i + 2 < size && pattern[i + 1] == '-') {
            uint8_t from = pattern[i];
            uint8_t to = pattern[i + 2];
            if (from > to) {
                uint8_t swapped = from;
                from = to;
                to = swapped;
            }
            found = found || (byte >= fold(match, from) && byte <= fold(match, to));
            i += 2;
        } else {
            found = found || fold(match, pattern[i]) == byte;
        }
    }
    *next = i < size ? i + 1 : size;
    return found != negated;
}

/* Matches one byte of text with what stands at `at`, which is no '*'. */
static bool match_one(const struct match *match, size_t at, uint8_t byte, size_t *next)
{
    uint8_t wanted = match->pattern[at];
    if (wanted == '?') {
        *next = at + 1;
        return true;
    }
    if (wanted == '[') {
        return match_class(match, at, byte, next);
    }
    if (wanted == '\\' && at + 1 < match->pattern_size) {
        at++;
        wanted = match->pattern[at];
    }
    *next = at + 1;
    return fold(match, wanted) == fold(match, byte);
}

bool bytes_match(rr_bytes pattern, rr_bytes text, bool ignore_case)
{
    struct match match = {pattern.data, pattern.size, text.data, text.size, ignore_case};
    size_t p = 0;
    size_t t = 0;
    size_t star = SIZE_MAX; /* after the last '*', and where in the text it was tried last */
    size_t star_text = 0;
    while (t < match.text_size) {
        size_t next;
        if (p < match.pattern_size && match.pattern[p] == '*') {
            p++;
            star = p;
            star_text = t;
        } else if (p < match.pattern_size && match_one(&match, p, match.text[t], &next)) {
            p = next;
            t++;
        } else if (star != SIZE_MAX) {
            star_text++;
            p = star;
            t = star_text;
        } else {
            return false;
        }
    }
    /* As Redis has it, nothing but an empty pattern matches an empty text. */
    while (text.size != 0 && p < match.pattern_size && match.pattern[p] == '*') {
        p++;
    }
    return p == match.pattern_size;
}

/* ---- Hashes ---- */

/* CRC-16/XMODEM, as the cluster specification of Redis names it. */
static uint16_t crc16(const uint8_t *data, size_t size)
{
    uint16_t crc = 0;
    for (size_t i = 0; i < size; i++) {
        uint16_t byte = (uint16_t)(data[i] ^ (crc >> 8));
        byte ^= (uint16_t)(byte >> 4);
        crc = (uint16_t)((crc << 8) ^ (byte << 12) ^ (byte << 5) ^ byte);
    }
    return crc;
}

uint16_t bytes_slot(rr_bytes key)
{
    const uint8_t *data = key.data;
    const uint8_t *open = key.size == 0 ? NULL : memchr(data, '{', key.size);
    if (open != NULL) {
        size_t left = key.size - (size_t)(open + 1 - data);
        const uint8_t *close = left == 0 ? NULL : memchr(open + 1, '}', left);
        if (close != NULL && close > open + 1) {
            return crc16(open + 1, (size_t)(close - open - 1)) % SLOT_COUNT;
        }
    }
    return crc16(data, key.size) % SLOT_COUNT;
}

static uint64_t mix(uint64_t value)
{
    value ^= value >> 30;
    value *= 0xbf58476d1ce4e5b9U;
    value ^= value >> 27;
    value *= 0x94d049bb133111ebU;
    return value ^ (value >> 31);
}

uint64_t bytes_hash(rr_bytes bytes)
{
    const uint8_t *data = bytes.data;
    uint64_t hash = mix(bytes.size + 0x9e3779b97f4a7c15U);
    size_t at = 0;
    while (at < bytes.size) {
        uint64_t word = 0;
        size_t size = bytes.size - at < 8 ? bytes.size - at : 8;
        for (size_t i = 0; i < size; i++) {
            word |= (uint64_t)data[at + i] << (8 * i);
        }
        hash = mix(hash ^ word) + 0x9e3779b97f4a7c15U;
        at += size;
    }
    return mix(hash);
}
