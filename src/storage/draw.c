/* See draw.h. */
#include "storage/draw.h"

#include <errno.h>
#include <string.h>
#include <sys/random.h>

rr_status draw_number(uint64_t *out, struct storage_error *error)
{
    uint64_t drawn = 0;
    while (drawn == 0) {
        if (getrandom(&drawn, sizeof(drawn), 0) != (ssize_t)sizeof(drawn)) {
            return storage_fail(error, RR_IO, "cannot draw a random number: %s", strerror(errno));
        }
    }
    *out = drawn;
    return RR_OK;
}
