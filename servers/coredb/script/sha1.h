/* SHA-1, by which scripts are named. Not for security. */
#ifndef COREDB_SCRIPT_SHA1_H
#define COREDB_SCRIPT_SHA1_H

#include <rockraft/types.h>

enum { SHA1_HEX_SIZE = 40 };

/* Writes the digest as 40 small hexadecimal digits and a zero. */
void sha1_hex(rr_bytes bytes, char out[SHA1_HEX_SIZE + 1]);

#endif
