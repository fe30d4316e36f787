/*
 * Numbers as Redis reads and prints them. Independent of the locale.
 */
#ifndef COREDB_BASE_NUMBER_H
#define COREDB_BASE_NUMBER_H

#include <rockraft/types.h>

enum { NUMBER_TEXT_MAX = 64 }; /* any integer or double as text, with its zero */

/* A canonical decimal: no sign +, no leading zeros or spaces, in the range of the type. */
bool number_parse_i64(rr_bytes text, int64_t *out);
bool number_parse_u64(rr_bytes text, uint64_t *out);

/* A double: what strtod accepts as a whole, without leading space, "inf" and "-inf" in any case
 * included, NaN excluded. `text` is at most 255 bytes. */
bool number_parse_double(rr_bytes text, double *out);
bool number_parse_long_double(rr_bytes text, long double *out);

/* Print into `out` and return the length. */
size_t number_print_i64(int64_t value, char out[NUMBER_TEXT_MAX]);
size_t number_print_u64(uint64_t value, char out[NUMBER_TEXT_MAX]);

/* As scores in replies: the shortest of what Redis 7.0 prints ("%.17g", integers without point,
 * "inf", "-inf"). */
size_t number_print_double(double value, char out[NUMBER_TEXT_MAX]);

enum { NUMBER_LONG_DOUBLE_MAX = 5200 };
/* As INCRBYFLOAT: "%.17Lf" without trailing zeros. */
size_t number_print_long_double(long double value, char out[NUMBER_LONG_DOUBLE_MAX]);

#endif
