/* Numbers as Redis reads and prints them. The program never leaves the C locale. */
#include "coredb/base/number.h"

#include <ctype.h>
#include <errno.h>
#include <float.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { FLOAT_TEXT_MAX = 5 * 1024 };

bool number_parse_u64(rr_bytes text, uint64_t *out)
{
    const char *data = text.data;
    if (text.size == 0 || text.size > 20 || (data[0] == '0' && text.size > 1)) {
        return false;
    }
    uint64_t value = 0;
    for (size_t i = 0; i < text.size; i++) {
        if (data[i] < '0' || data[i] > '9') {
            return false;
        }
        uint64_t digit = (uint64_t)(data[i] - '0');
        if (value > (UINT64_MAX - digit) / 10) {
            return false;
        }
        value = value * 10 + digit;
    }
    *out = value;
    return true;
}

bool number_parse_i64(rr_bytes text, int64_t *out)
{
    const char *data = text.data;
    uint64_t magnitude;
    if (text.size == 0 || data[0] != '-') {
        if (!number_parse_u64(text, &magnitude) || magnitude > INT64_MAX) {
            return false;
        }
        *out = (int64_t)magnitude;
        return true;
    }
    rr_bytes digits = {data + 1, text.size - 1};
    if (!number_parse_u64(digits, &magnitude) || magnitude == 0 ||
        magnitude > (uint64_t)INT64_MAX + 1) {
        return false;
    }
    *out = magnitude == (uint64_t)INT64_MAX + 1 ? INT64_MIN : -(int64_t)magnitude;
    return true;
}

/* A terminated copy in `out`, unless it cannot be a float. */
static bool float_text(rr_bytes text, char out[FLOAT_TEXT_MAX])
{
    if (text.size == 0 || text.size >= FLOAT_TEXT_MAX) {
        return false;
    }
    memcpy(out, text.data, text.size);
    out[text.size] = '\0';
    return !isspace((unsigned char)out[0]);
}

bool number_parse_double(rr_bytes text, double *out)
{
    char copy[FLOAT_TEXT_MAX];
    if (!float_text(text, copy)) {
        return false;
    }
    char *end = NULL;
    errno = 0;
    double value = strtod(copy, &end);
    bool lost = errno == ERANGE && (isinf(value) || fpclassify(value) == FP_ZERO);
    if (end != copy + text.size || lost || isnan(value)) {
        return false;
    }
    *out = value;
    return true;
}

bool number_parse_long_double(rr_bytes text, long double *out)
{
    char copy[FLOAT_TEXT_MAX];
    if (!float_text(text, copy)) {
        return false;
    }
    char *end = NULL;
    errno = 0;
    long double value = strtold(copy, &end);
    bool lost = errno == ERANGE && (isinf(value) || fpclassify(value) == FP_ZERO);
    if (end != copy + text.size || lost || isnan(value)) {
        return false;
    }
    *out = value;
    return true;
}

/* Writes the digits and a zero to `out`, which has room for them. */
static size_t print_digits(uint64_t value, char *out)
{
    char digits[24];
    size_t size = 0;
    do {
        digits[size++] = (char)('0' + value % 10);
        value /= 10;
    } while (value > 0);
    for (size_t i = 0; i < size; i++) {
        out[i] = digits[size - 1 - i];
    }
    out[size] = '\0';
    return size;
}

size_t number_print_u64(uint64_t value, char out[NUMBER_TEXT_MAX])
{
    return print_digits(value, out);
}

size_t number_print_i64(int64_t value, char out[NUMBER_TEXT_MAX])
{
    if (value >= 0) {
        return print_digits((uint64_t)value, out);
    }
    out[0] = '-';
    return 1 + print_digits(-(uint64_t)value, out + 1);
}

size_t number_print_double(double value, char out[NUMBER_TEXT_MAX])
{
    if (isinf(value)) {
        strcpy(out, value > 0 ? "inf" : "-inf");
        return strlen(out);
    }
    int size = snprintf(out, NUMBER_TEXT_MAX, "%.17g", value);
    return size > 0 ? (size_t)size : 0;
}

size_t number_print_long_double(long double value, char out[NUMBER_LONG_DOUBLE_MAX])
{
    if (isinf(value)) {
        strcpy(out, value > 0 ? "inf" : "-inf");
        return strlen(out);
    }
    int printed = snprintf(out, NUMBER_LONG_DOUBLE_MAX, "%.17Lf", value);
    size_t size = printed > 0 ? (size_t)printed : 0;
    if (size >= NUMBER_LONG_DOUBLE_MAX) {
        size = NUMBER_LONG_DOUBLE_MAX - 1;
    }
    if (memchr(out, '.', size) != NULL) {
        while (size > 0 && out[size - 1] == '0') {
            size--;
        }
        if (size > 0 && out[size - 1] == '.') {
            size--;
        }
    }
    out[size] = '\0';
    if (strcmp(out, "-0") == 0) {
        strcpy(out, "0");
        size = 1;
    }
    return size;
}
