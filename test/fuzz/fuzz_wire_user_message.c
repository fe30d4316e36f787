/* The decoder of the embedder's messages: what it gives lies within what it got, and is bounded. */
#include "base/assert.h"
#include "transport/user_message.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    rr_bytes message;
    if (user_message_decode((rr_bytes){.data = data, .size = size}, &message) != RR_OK) {
        return 0;
    }
    ASSERT(message.size < size);
    ASSERT(message.size <= USER_MESSAGE_BYTES_MAX);
    const uint8_t *end = data + size;
    ASSERT((const uint8_t *)message.data + message.size == end);
    return 0;
}
