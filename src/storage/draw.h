/* Random numbers from the kernel, for names that must not be given twice and seeds that nobody may know. */
#ifndef STORAGE_DRAW_H
#define STORAGE_DRAW_H

#include "storage/error.h"

/* A number that nobody can foresee, never 0. RR_IO, with a text. Any thread. */
RR_MUST_USE rr_status draw_number(uint64_t *out, struct storage_error *error);

#endif
