/* The names of statuses, which any log line and error text uses. */
#include "rockraft/types.h"

const char *rr_status_name(rr_status status)
{
    switch (status) {
    case RR_OK:
        return "ok";
    case RR_INVALID:
        return "invalid";
    case RR_NOT_FOUND:
        return "not found";
    case RR_NOT_LEADER:
        return "not leader";
    case RR_BUSY:
        return "busy";
    case RR_NO_SPACE:
        return "no space";
    case RR_TOO_BIG:
        return "too big";
    case RR_UNKNOWN:
        return "unknown";
    case RR_TIMEOUT:
        return "timeout";
    case RR_CLOSED:
        return "closed";
    case RR_NO_MEMORY:
        return "no memory";
    case RR_IO:
        return "input/output error";
    case RR_CORRUPT:
        return "corrupt";
    case RR_MISMATCH:
        return "mismatch";
    case RR_CONFLICT:
        return "conflict";
    case RR_REJECTED:
        return "rejected";
    case RR_STALE_SESSION:
        return "stale session";
    }
    return "unknown status";
}
