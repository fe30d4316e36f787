/* The form of small files. */
#include "storage/sealed.h"

#include "base/buffer.h"
#include "base/checksum.h"
#include "base/codec.h"
#include "support/test.h"

#include <string.h>

static const char magic[8] = "RRTESTED";

static void seal(struct buffer *out, uint32_t format, const char *content)
{
    buffer_init(out);
    put_raw(out, magic, sizeof(magic));
    put_u32(out, format);
    put_raw(out, content, strlen(content));
    put_u64(out, checksum64(out->data, out->size));
}

static enum sealed open_as(rr_bytes bytes, uint32_t *format, rr_bytes *content)
{
    return sealed_open(bytes, magic, format, content);
}

TEST(sealed, gives_what_is_between)
{
    static const char *const contents[] = {"", "content"};
    for (int i = 0; i < 2; i++) {
        struct buffer bytes;
        rr_bytes content;
        uint32_t format = 3;
        seal(&bytes, 3, contents[i]);
        CHECK_EQ(open_as(buffer_bytes(&bytes), &format, &content), SEALED_WHOLE);
        CHECK_EQ(content.size, strlen(contents[i]));
        CHECK_EQ(memcmp(content.data, contents[i], content.size), 0);
        buffer_deinit(&bytes);
    }
}

TEST(sealed, tells_a_newer_format_from_damage)
{
    struct buffer bytes;
    rr_bytes content;
    seal(&bytes, 3, "content");
    uint32_t format = 2;
    bytes.data[bytes.size - 1] ^= 1; /* a newer one may end otherwise */
    CHECK_EQ(open_as(buffer_bytes(&bytes), &format, &content), SEALED_NEWER);
    CHECK_EQ(format, 3);
    format = 4;
    bytes.data[bytes.size - 1] ^= 1;
    CHECK_EQ(open_as(buffer_bytes(&bytes), &format, &content), SEALED_DAMAGED);
    buffer_deinit(&bytes);
}

TEST(sealed, notices_every_bit_and_every_end)
{
    struct buffer bytes;
    rr_bytes content;
    seal(&bytes, 3, "content");
    for (size_t bit = 0; bit < 8 * bytes.size; bit++) {
        uint32_t format = 3;
        bytes.data[bit / 8] ^= (uint8_t)(1u << bit % 8);
        CHECK(open_as(buffer_bytes(&bytes), &format, &content) != SEALED_WHOLE);
        bytes.data[bit / 8] ^= (uint8_t)(1u << bit % 8);
    }
    for (size_t size = 0; size < bytes.size; size++) {
        uint32_t format = 3;
        CHECK_EQ(open_as((rr_bytes){bytes.data, size}, &format, &content), SEALED_DAMAGED);
    }
    buffer_deinit(&bytes);
}
