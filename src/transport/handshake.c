/* The frames of the handshake, and what two hellos must have in common. */
#include "transport/handshake.h"

#include "base/assert.h"
#include "base/codec.h"
#include "io/address.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

static const char magic[8] = {'R', 'O', 'C', 'K', 'R', 'A', 'F', 'T'};

const char *traffic_class_name(enum traffic_class class)
{
    switch (class) {
    case TRAFFIC_CONSENSUS:
        return "consensus";
    case TRAFFIC_BULK:
        return "bulk";
    case TRAFFIC_SNAPSHOT:
        return "snapshot";
    }
    UNREACHABLE();
}

void hello_encode(const struct hello *hello, struct buffer *buffer)
{
    put_raw(buffer, magic, sizeof(magic));
    put_u16(buffer, hello->version_min);
    put_u16(buffer, hello->version_max);
    put_u64(buffer, hello->features);
    put_u64(buffer, hello->cluster);
    put_u64(buffer, hello->node);
    put_u64(buffer, hello->incarnation);
    put_u8(buffer, (uint8_t)hello->class);
    put_u64(buffer, hello->to_node);
    put_u64(buffer, hello->to_incarnation);
    put_bytes(buffer, (rr_bytes){.data = hello->address, .size = strlen(hello->address)});
}

/* Empty, or an address. */
static rr_status copy_address(rr_bytes bytes, char out[ADDRESS_BYTES_MAX])
{
    struct address address;
    if (bytes.size == 0) {
        out[0] = 0;
        return RR_OK;
    }
    rr_status status = address_parse_bytes(bytes, &address);
    if (status == RR_OK) {
        address_format(&address, out);
    }
    return status;
}

rr_status hello_decode(rr_bytes bytes, struct hello *out)
{
    struct hello hello = {0};
    struct reader reader;
    reader_init(&reader, bytes);
    rr_bytes start = reader_raw(&reader, sizeof(magic));
    if (reader.failed || memcmp(start.data, magic, sizeof(magic)) != 0) {
        return RR_CORRUPT;
    }
    hello.version_min = reader_u16(&reader);
    hello.version_max = reader_u16(&reader);
    hello.features = reader_u64(&reader);
    hello.cluster = reader_u64(&reader);
    hello.node = reader_u64(&reader);
    hello.incarnation = reader_u64(&reader);
    uint8_t class = reader_u8(&reader);
    hello.to_node = reader_u64(&reader);
    hello.to_incarnation = reader_u64(&reader);
    rr_bytes address = reader_bytes(&reader);
    if (reader.failed) {
        return RR_CORRUPT;
    }
    if (class < TRAFFIC_CONSENSUS || class > TRAFFIC_SNAPSHOT ||
        hello.version_min > hello.version_max || copy_address(address, hello.address) != RR_OK) {
        return RR_INVALID;
    }
    hello.class = (enum traffic_class) class;
    *out = hello;
    return RR_OK;
}

rr_status status_decode(uint8_t number, rr_status otherwise)
{
    rr_status status = (rr_status)number;
    switch (status) {
    case RR_OK:
    case RR_INVALID:
    case RR_NOT_FOUND:
    case RR_NOT_LEADER:
    case RR_BUSY:
    case RR_NO_SPACE:
    case RR_TOO_BIG:
    case RR_UNKNOWN:
    case RR_TIMEOUT:
    case RR_CLOSED:
    case RR_NO_MEMORY:
    case RR_IO:
    case RR_CORRUPT:
    case RR_MISMATCH:
    case RR_CONFLICT:
    case RR_REJECTED:
    case RR_STALE_SESSION:
        return status;
    }
    return otherwise;
}

void reject_encode(rr_status status, const char *reason, struct buffer *buffer)
{
    put_u8(buffer, (uint8_t)status);
    put_bytes(buffer,
              (rr_bytes){.data = reason, .size = strnlen(reason, HANDSHAKE_REASON_BYTES_MAX - 1)});
}

rr_status reject_decode(rr_bytes bytes, rr_status *status, char reason[HANDSHAKE_REASON_BYTES_MAX])
{
    struct reader reader;
    reader_init(&reader, bytes);
    uint8_t number = reader_u8(&reader);
    rr_bytes text = reader_bytes(&reader);
    if (reader.failed || text.size >= HANDSHAKE_REASON_BYTES_MAX) {
        return RR_CORRUPT;
    }
    *status = status_decode(number == RR_OK ? RR_MISMATCH : number, RR_MISMATCH);
    const char *characters = text.data;
    for (size_t at = 0; at < text.size; at++) {
        bool printable = characters[at] >= ' ' && characters[at] <= '~';
        reason[at] = '?';
        if (printable) {
            reason[at] = characters[at];
        }
    }
    reason[text.size] = 0;
    return RR_OK;
}

/* What is meant to be reached, against what is there; 0 is neither wrong. */
static bool differ(uint64_t wanted, uint64_t actual)
{
    return wanted != 0 && actual != 0 && wanted != actual;
}

static rr_status check_identity(const struct hello *own, const struct hello *other,
                                char reason[HANDSHAKE_REASON_BYTES_MAX])
{
    const size_t size = HANDSHAKE_REASON_BYTES_MAX;
    if (differ(own->cluster, other->cluster)) {
        snprintf(reason, size, "other cluster: %016" PRIx64 " here, %016" PRIx64 " there",
                 own->cluster, other->cluster);
    } else if (differ(other->to_node, own->node)) {
        snprintf(reason, size, "other node: %" PRIu64 " is looked for, this is node %" PRIu64,
                 other->to_node, own->node);
    } else if (differ(own->to_node, other->node)) {
        snprintf(reason, size, "other node: %" PRIu64 " is looked for, there is node %" PRIu64,
                 own->to_node, other->node);
    } else if (differ(other->to_incarnation, own->incarnation)) {
        snprintf(reason, size,
                 "other disk: incarnation %016" PRIx64 " of node %" PRIu64
                 " is looked for, this one has %016" PRIx64 "; was it wiped?",
                 other->to_incarnation, other->to_node, own->incarnation);
    } else if (differ(own->to_incarnation, other->incarnation)) {
        snprintf(reason, size,
                 "other disk: incarnation %016" PRIx64 " of node %" PRIu64
                 " is looked for, there is %016" PRIx64 "; was it wiped?",
                 own->to_incarnation, own->to_node, other->incarnation);
    } else if (own->node != 0 && own->node == other->node &&
               differ(own->incarnation, other->incarnation)) {
        snprintf(reason, size, "both sides call themselves node %" PRIu64, own->node);
    } else {
        return RR_OK;
    }
    return RR_MISMATCH;
}

rr_status hello_check(const struct hello *own, const struct hello *other, uint16_t *version,
                      char reason[HANDSHAKE_REASON_BYTES_MAX])
{
    uint16_t low = own->version_min > other->version_min ? own->version_min : other->version_min;
    uint16_t high = own->version_max < other->version_max ? own->version_max : other->version_max;
    if (low > high) {
        snprintf(reason, HANDSHAKE_REASON_BYTES_MAX,
                 "no common protocol version: %u to %u here, %u to %u there",
                 (unsigned)own->version_min, (unsigned)own->version_max,
                 (unsigned)other->version_min, (unsigned)other->version_max);
        return RR_MISMATCH;
    }
    rr_status status = check_identity(own, other, reason);
    if (status == RR_OK) {
        *version = high;
    }
    return status;
}
