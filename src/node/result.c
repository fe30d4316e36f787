/* The bodies of rr_result_*: accessors over decoded bytes, owned or borrowed. */
#include "node/result.h"

#include "base/memory.h"

void result_borrow(rr_result *result, rr_bytes bytes)
{
    result->memory = NULL;
    result_decode_trusted(bytes, &result->decoded);
}

void result_borrow_message(rr_result *result, rr_status status, const char *message)
{
    *result = (rr_result){.decoded = {.status = status, .message = message == NULL ? "" : message}};
}

/* Takes the bytes at `memory`, which may be NULL for want of memory. */
static rr_status open_owned(void *memory, size_t size, rr_result **out)
{
    if (memory == NULL) {
        return RR_NO_MEMORY;
    }
    rr_result *result = mem_new(rr_result);
    result->memory = memory;
    rr_status status = result_decode((rr_bytes){memory, size}, &result->decoded);
    if (status != RR_OK) {
        rr_result_free(result);
        return status;
    }
    *out = result;
    return RR_OK;
}

rr_status result_open(rr_bytes bytes, rr_result **out)
{
    return open_owned(mem_try_copy(bytes.data, bytes.size), bytes.size, out);
}

void rr_result_free(rr_result *result)
{
    if (result != NULL) {
        mem_free(result->memory);
        mem_free(result);
    }
}

rr_result *rr_result_copy(const rr_result *result)
{
    rr_result *copy = NULL;
    if (result == NULL) {
        return NULL;
    }
    const struct result *decoded = &result->decoded;
    if (decoded->bytes != NULL) {
        return result_open(result_bytes(decoded), &copy) == RR_OK ? copy : NULL;
    }
    struct buffer buffer;
    buffer_init(&buffer);
    rr_status status = result_encode(&buffer, decoded->status, decoded->index, decoded->message);
    if (status == RR_OK) {
        size_t size;
        void *memory = buffer_steal(&buffer, &size);
        status = open_owned(memory, size, &copy);
    }
    buffer_deinit(&buffer);
    return status == RR_OK ? copy : NULL;
}

uint64_t rr_result_index(const rr_result *result)
{
    return result == NULL ? 0 : result->decoded.index;
}

bool rr_result_branch(const rr_result *result)
{
    return result != NULL && result->decoded.branch;
}

size_t rr_result_count(const rr_result *result)
{
    return result == NULL ? 0 : result->decoded.count;
}

bool rr_result_value(const rr_result *result, size_t i, rr_bytes *value)
{
    if (result == NULL) {
        *value = (rr_bytes){0};
        return false;
    }
    return result_value(&result->decoded, i, value);
}

rr_bytes rr_result_key(const rr_result *result, size_t i)
{
    return result == NULL ? (rr_bytes){0} : result_key(&result->decoded, i);
}

bool rr_result_more(const rr_result *result)
{
    return result != NULL && result->decoded.more;
}

const char *rr_result_message(const rr_result *result)
{
    return result == NULL ? "" : result->decoded.message;
}
