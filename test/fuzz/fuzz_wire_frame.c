/* The frame parser, its input in pieces that the first byte chooses: however they are cut, the same
 * frames come out. */
#include "base/assert.h"
#include "transport/frame.h"

enum { BODY_BYTES_MAX = 4096 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct outcome {
    rr_status failed;
    uint64_t frames;
    uint64_t body_bytes;
    uint64_t types;
};

static struct outcome parse(const uint8_t *data, size_t size, size_t step)
{
    struct outcome outcome = {0};
    struct frame_parser parser;
    frame_parser_init(&parser, BODY_BYTES_MAX);
    for (size_t at = 0; at < size; at += step) {
        rr_bytes piece = {.data = data + at, .size = size - at < step ? size - at : step};
        struct frame frame;
        while (frame_parser_next(&parser, &piece, &frame)) {
            ASSERT(frame.body.size <= BODY_BYTES_MAX);
            outcome.frames++;
            outcome.body_bytes += frame.body.size;
            outcome.types = outcome.types * 31 + frame.type;
        }
    }
    outcome.failed = parser.failed;
    frame_parser_deinit(&parser);
    return outcome;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0) {
        return 0;
    }
    struct outcome whole = parse(data + 1, size - 1, size);
    struct outcome pieces = parse(data + 1, size - 1, (size_t)data[0] + 1);
    ASSERT(whole.failed == pieces.failed);
    ASSERT(whole.frames == pieces.frames);
    ASSERT(whole.body_bytes == pieces.body_bytes);
    ASSERT(whole.types == pieces.types);
    return 0;
}
