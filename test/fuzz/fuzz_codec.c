/* The reader, on any bytes: the first chooses what is read next, and so on to the end. */
#include "base/codec.h"

#include "base/assert.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* What a varint reads as is written with the very bytes that it was read from. */
static void read_varint(struct reader *reader)
{
    const uint8_t *start = reader->at;
    uint64_t value = reader_varint(reader);
    if (!reader->failed) {
        ASSERT((size_t)(reader->at - start) == varint_size(value));
    }
}

static void read_bytes(struct reader *reader)
{
    rr_bytes bytes = reader_bytes(reader);
    volatile uint8_t last = 0;
    if (bytes.size > 0) {
        last = ((const uint8_t *)bytes.data)[bytes.size - 1];
    }
    (void)last;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct reader reader;
    reader_init(&reader, (rr_bytes){data, size});
    while (reader_left(&reader) > 0) {
        switch (reader_u8(&reader) % 8) {
        case 0:
            reader_u16(&reader);
            break;
        case 1:
            reader_u32(&reader);
            break;
        case 2:
            reader_u64(&reader);
            break;
        case 3:
            reader_be64(&reader);
            break;
        case 4:
            read_varint(&reader);
            break;
        case 5:
            read_bytes(&reader);
            break;
        case 6:
            reader_skip(&reader, reader_u8(&reader));
            break;
        default:
            reader_raw(&reader, reader_u8(&reader));
            break;
        }
    }
    ASSERT(reader.at == data + size || size == 0);
    return 0;
}
