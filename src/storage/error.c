/* Filling in the text of a failure. */
#include "storage/error.h"

#include "base/assert.h"

#include <stdarg.h>
#include <stdio.h>

rr_status storage_fail(struct storage_error *error, rr_status status, const char *format, ...)
{
    ASSERT(status != RR_OK);
    if (error != NULL) {
        va_list args;
        va_start(args, format);
        vsnprintf(error->text, sizeof(error->text), format, args);
        va_end(args);
    }
    return status;
}
