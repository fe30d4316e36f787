/* The decoder of consensus messages: what it takes, it writes again as the same message. */
#include "base/assert.h"
#include "base/buffer.h"
#include "transport/wire.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct raft_message message;
    if (wire_decode_message((rr_bytes){.data = data, .size = size}, &message) != RR_OK) {
        return 0;
    }
    struct buffer first;
    struct buffer second;
    buffer_init(&first);
    buffer_init(&second);
    rr_status status = wire_encode_message(&message, &first);
    raft_message_deinit(&message);
    ASSERT(status == RR_OK);
    status = wire_decode_message(buffer_bytes(&first), &message);
    ASSERT(status == RR_OK);
    status = wire_encode_message(&message, &second);
    ASSERT(status == RR_OK);
    ASSERT(first.size == second.size);
    raft_message_deinit(&message);
    buffer_deinit(&first);
    buffer_deinit(&second);
    return 0;
}
