/*
 * The target of a request: its path, and the form-encoded parameters after the question mark.
 * One thread at a time.
 */
#ifndef HTTP_QUERY_H
#define HTTP_QUERY_H

#include "http/text.h"

/* Appends `encoded` with its percent escapes resolved, and '+' as a space if `plus`. An escape that
 * is none stays as it is. */
void query_decode(struct text *text, rr_bytes encoded, bool plus);

/*
 * Finds the last parameter called `name` in `query` ("a=1&b=2") and appends its decoded value to
 * `value`. False if there is none.
 */
bool query_find(rr_bytes query, const char *name, struct text *value);

#endif
