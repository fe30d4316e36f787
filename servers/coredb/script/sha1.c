/* SHA-1 (FIPS 180-4). */
#include "coredb/script/sha1.h"

#include <string.h>

static uint32_t rotate(uint32_t value, unsigned count)
{
    return value << count | value >> (32 - count);
}

static void add_block(uint32_t state[5], const uint8_t block[64])
{
    uint32_t w[80];
    for (size_t i = 0; i < 16; i++) {
        w[i] = (uint32_t)block[4 * i] << 24 | (uint32_t)block[4 * i + 1] << 16 |
               (uint32_t)block[4 * i + 2] << 8 | block[4 * i + 3];
    }
    for (size_t i = 16; i < 80; i++) {
        w[i] = rotate(w[i - 3] ^ w[i - 8] ^ w[i - 14] ^ w[i - 16], 1);
    }
    uint32_t a = state[0];
    uint32_t b = state[1];
    uint32_t c = state[2];
    uint32_t d = state[3];
    uint32_t e = state[4];
    for (size_t i = 0; i < 80; i++) {
        uint32_t f;
        if (i < 20) {
            f = ((b & c) | (~b & d)) + 0x5a827999u;
        } else if (i < 40) {
            f = (b ^ c ^ d) + 0x6ed9eba1u;
        } else if (i < 60) {
            f = ((b & c) | (b & d) | (c & d)) + 0x8f1bbcdcu;
        } else {
            f = (b ^ c ^ d) + 0xca62c1d6u;
        }
        uint32_t next = rotate(a, 5) + f + e + w[i];
        e = d;
        d = c;
        c = rotate(b, 30);
        b = a;
        a = next;
    }
    state[0] += a;
    state[1] += b;
    state[2] += c;
    state[3] += d;
    state[4] += e;
}

void sha1_hex(rr_bytes bytes, char out[SHA1_HEX_SIZE + 1])
{
    uint32_t state[5] = {0x67452301u, 0xefcdab89u, 0x98badcfeu, 0x10325476u, 0xc3d2e1f0u};
    const uint8_t *data = bytes.data;
    size_t whole = bytes.size / 64 * 64;
    for (size_t at = 0; at < whole; at += 64) {
        add_block(state, data + at);
    }
    uint8_t tail[128] = {0};
    size_t left = bytes.size - whole;
    if (left != 0) {
        memcpy(tail, data + whole, left);
    }
    tail[left] = 0x80;
    size_t tail_size = left < 56 ? 64 : 128;
    uint64_t bits = (uint64_t)bytes.size * 8;
    for (size_t i = 0; i < 8; i++) {
        tail[tail_size - 1 - i] = (uint8_t)(bits >> (8 * i));
    }
    for (size_t at = 0; at < tail_size; at += 64) {
        add_block(state, tail + at);
    }
    for (size_t i = 0; i < SHA1_HEX_SIZE; i++) {
        out[i] = "0123456789abcdef"[state[i / 8] >> (28 - 4 * (i % 8)) & 15];
    }
    out[SHA1_HEX_SIZE] = '\0';
}
