/* What the files of the string and bitmap groups share. */
#ifndef COREDB_COMMAND_STRING_H
#define COREDB_COMMAND_STRING_H

#include "coredb/command/command.h"

/* Stores `value` as the key's whole value; the expiry stays as it is in `key`. An absent key, or
 * one of another type, becomes a string. `encoding` is ENCODING_AUTO for a value that came as a
 * whole, ENCODING_EMBSTR for one that is text even if it looks like an integer, or ENCODING_RAW. */
void string_store(struct exec *exec, struct key *key, rr_bytes value, enum value_encoding encoding);

/* Makes an absent key an empty string, and marks the bytes as edited in place (encoding raw). The
 * payload may then be changed; key_save stores it. */
void string_edit(struct exec *exec, struct key *key);

/* Lengthens the payload by zeros up to `size`; no effect if it is as long. False: no memory, the
 * store has failed. */
bool string_extend(struct exec *exec, struct key *key, size_t size);

/* Whether a string may be `left + right` bytes; false: answered. */
bool string_size_fits(struct exec *exec, uint64_t left, uint64_t right);

/* What OBJECT ENCODING says of a string of these bytes: int, embstr or raw. */
enum value_encoding string_encoding(enum value_encoding stored, rr_bytes bytes);

/* INCR, INCRBY, DECR, DECRBY, INCRBYFLOAT: string_number.c. */
void string_incr(struct exec *exec);
void string_incrby(struct exec *exec);
void string_decr(struct exec *exec);
void string_decrby(struct exec *exec);
void string_incrbyfloat(struct exec *exec);

/* LCS: string_lcs.c. */
void string_lcs(struct exec *exec);

/* SET, SETNX, SETEX, PSETEX, GETSET, GETEX: string_set.c. */
void string_set(struct exec *exec);
void string_setnx(struct exec *exec);
void string_setex(struct exec *exec);
void string_psetex(struct exec *exec);
void string_getset(struct exec *exec);
void string_getex(struct exec *exec);

#endif
