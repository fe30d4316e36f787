/* Hellos and rejections from strangers: decoded, checked and printed without a crash. */
#include "base/assert.h"
#include "transport/handshake.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    rr_bytes bytes = {.data = data, .size = size};
    char reason[HANDSHAKE_REASON_BYTES_MAX];
    rr_status status;
    if (reject_decode(bytes, &status, reason) == RR_OK) {
        ASSERT(strlen(reason) < HANDSHAKE_REASON_BYTES_MAX);
        ASSERT(status != RR_OK);
    }
    struct hello other;
    if (hello_decode(bytes, &other) != RR_OK) {
        return 0;
    }
    ASSERT(strlen(other.address) < ADDRESS_BYTES_MAX);
    struct hello own = {.version_min = 1, .version_max = 1, .cluster = 1, .node = 1};
    own.incarnation = 1;
    own.class = other.class;
    uint16_t version = 0;
    if (hello_check(&own, &other, &version, reason) == RR_OK) {
        ASSERT(version == 1);
    }
    struct buffer buffer;
    buffer_init(&buffer);
    hello_encode(&other, &buffer);
    struct hello again;
    status = hello_decode(buffer_bytes(&buffer), &again);
    ASSERT(status == RR_OK);
    buffer_deinit(&buffer);
    return 0;
}
