/* Base64 in both alphabets. */
#include "http/base64.h"

#include <string.h>

static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

void base64_encode(struct text *text, rr_bytes bytes)
{
    const unsigned char *data = bytes.data;
    if (!text_reserve(text, text->size + (bytes.size + 2) / 3 * 4)) {
        return;
    }
    for (size_t i = 0; i < bytes.size; i += 3) {
        size_t left = bytes.size - i;
        uint32_t group = (uint32_t)data[i] << 16;
        group |= left > 1 ? (uint32_t)data[i + 1] << 8 : 0;
        group |= left > 2 ? (uint32_t)data[i + 2] : 0;
        char out[4] = {digits[group >> 18], digits[(group >> 12) & 63], digits[(group >> 6) & 63],
                       digits[group & 63]};
        if (left < 3) {
            out[3] = '=';
        }
        if (left < 2) {
            out[2] = '=';
        }
        text_append(text, out, 4);
    }
}

static int digit_value(char c)
{
    if (c >= 'A' && c <= 'Z') {
        return c - 'A';
    }
    if (c >= 'a' && c <= 'z') {
        return c - 'a' + 26;
    }
    if (c >= '0' && c <= '9') {
        return c - '0' + 52;
    }
    if (c == '+' || c == '-') {
        return 62;
    }
    return c == '/' || c == '_' ? 63 : -1;
}

bool base64_decode(struct text *text, rr_bytes encoded)
{
    const char *data = encoded.data;
    size_t size = encoded.size;
    for (int i = 0; i < 2 && encoded.size % 4 == 0 && size > 0 && data[size - 1] == '='; i++) {
        size--;
    }
    if (size % 4 == 1 || !text_reserve(text, text->size + size / 4 * 3 + 3)) {
        return false;
    }
    uint32_t group = 0;
    unsigned bits = 0;
    for (size_t i = 0; i < size; i++) {
        int value = digit_value(data[i]);
        if (value < 0) {
            return false;
        }
        group = group << 6 | (uint32_t)value;
        bits += 6;
        if (bits >= 8) {
            bits -= 8;
            text->data[text->size++] = (char)(group >> bits & 0xff);
        }
    }
    /* What is left over must be zero, so that every value has one spelling. */
    return (group & ((1U << bits) - 1)) == 0;
}
