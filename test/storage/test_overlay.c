#include "storage/overlay.h"

#include "base/bytes.h"
#include "base/memory.h"
#include "support/test.h"

#include <stdio.h>

static void put(struct overlay *overlay, const char *key, const char *value)
{
    CHECK_OK(overlay_write(overlay, OVERLAY_PUT, test_bytes_of(key), test_bytes_of(value)));
}

TEST(overlay, keeps_keys_in_order)
{
    struct overlay overlay;
    overlay_init(&overlay, /*seed=*/7);
    for (int i = 0; i < 5000; i++) {
        char key[16];
        snprintf(key, sizeof(key), "%04d", i * 7919 % 5000);
        put(&overlay, key, key);
    }
    int count = 0;
    for (const struct overlay_node *node = overlay.heads[0]; node != NULL;
         node = overlay_next(node)) {
        char key[16];
        snprintf(key, sizeof(key), "%04d", count++);
        CHECK_BYTES(node->key, test_bytes_of(key));
        CHECK_BYTES(node->value, test_bytes_of(key));
        CHECK(overlay_find(&overlay, node->key) == node);
    }
    CHECK_EQ(count, 5000);
    CHECK(overlay_find(&overlay, test_bytes_of("12345")) == NULL);
    CHECK_BYTES(overlay_seek(&overlay, test_bytes_of("12345"))->key, test_bytes_of("1235"));
    CHECK(overlay_seek(&overlay, test_bytes_of("5")) == NULL);
    overlay_clear(&overlay);
    CHECK(overlay_seek(&overlay, test_bytes_of("")) == NULL);
    put(&overlay, "a", "");
    CHECK_EQ(overlay_find(&overlay, test_bytes_of("a"))->value.size, 0);
    overlay_deinit(&overlay);
}

TEST(overlay, orders_a_prefix_before_what_it_begins)
{
    CHECK_LT(bytes_compare(test_bytes_of("a"), test_bytes_of("aa")), 0);
    CHECK_GT(bytes_compare(test_bytes_of("b"), test_bytes_of("aa")), 0);
    CHECK_EQ(bytes_compare(test_bytes_of(""), (rr_bytes){NULL, 0}), 0);
    CHECK_GT(bytes_compare(test_bytes_of("\xff"), test_bytes_of("\x01")), 0);
}

TEST(overlay, changes_nothing_without_memory)
{
    for (uint64_t nth = 1;; nth++) {
        struct overlay overlay;
        overlay_init(&overlay, /*seed=*/7);
        mem_fail_after(nth);
        rr_status status =
            overlay_write(&overlay, OVERLAY_PUT, test_bytes_of("k"), test_bytes_of("v"));
        bool pending = mem_fail_pending();
        mem_fail_after(0);
        if (status != RR_OK) {
            CHECK_STATUS(status, RR_NO_MEMORY);
            CHECK_EQ(overlay.undo_count, 0);
            const struct overlay_node *node = overlay_find(&overlay, test_bytes_of("k"));
            CHECK(node == NULL || node->kind == OVERLAY_NONE);
        }
        overlay_deinit(&overlay);
        if (pending) {
            CHECK_OK(status);
            return;
        }
    }
}

TEST(overlay, holds_values_larger_than_its_chunks)
{
    struct overlay overlay;
    overlay_init(&overlay, /*seed=*/7);
    size_t size = 300 * 1024;
    uint8_t *value = mem_alloc(size);
    value[size - 1] = 7;
    CHECK_OK(overlay_write(&overlay, OVERLAY_PUT, test_bytes_of("k"), (rr_bytes){value, size}));
    put(&overlay, "l", "small");
    mem_free(value);
    const struct overlay_node *node = overlay_find(&overlay, test_bytes_of("k"));
    CHECK_EQ(node->value.size, size);
    CHECK_EQ(((const uint8_t *)node->value.data)[size - 1], 7);
    CHECK_GE(overlay.size, size);
    overlay_deinit(&overlay);
}
