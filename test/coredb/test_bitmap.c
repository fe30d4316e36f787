/* Bitmaps: bits, ranges, operations, fields. Replies in the wide are compared with redis-server by
 * the differential test. */
#include "stage.h"
#include "support/test.h"

static const char *run(struct stage *stage, const char *line)
{
    return stage_exec(stage, line);
}

TEST(bitmap, a_bit_is_set_within_bounds)
{
    struct stage *stage = stage_new();
    CHECK_TEXT(run(stage, "setbit b 7 1"), ":0 ");
    CHECK_TEXT(run(stage, "setbit b 7 0"), ":1 ");
    CHECK_TEXT(run(stage, "setbit b 63999999 1"), ":0 ");
    CHECK_TEXT(run(stage, "strlen b"), ":8000000 ");
    CHECK_TEXT(run(stage, "setbit b 64000000 1"),
               "-ERR string exceeds maximum allowed size (proto-max-bulk-len) ");
    CHECK_TEXT(run(stage, "setbit b 4294967296 1"),
               "-ERR bit offset is not an integer or out of range ");
    CHECK_TEXT(run(stage, "setbit b -1 1"), "-ERR bit offset is not an integer or out of range ");
    CHECK_TEXT(run(stage, "setbit b 1 2"), "-ERR bit is not an integer or out of range ");
    CHECK_TEXT(run(stage, "getbit b 63999999"), ":1 ");
    CHECK_TEXT(run(stage, "getbit b 4294967295"), ":0 ");
    CHECK_TEXT(run(stage, "bitcount b"), ":1 ");
    CHECK_TEXT(run(stage, "bitpos b 1"), ":63999999 ");
    stage_free(stage);
}

TEST(bitmap, counts_in_bytes_and_in_bits)
{
    struct stage *stage = stage_new();
    run(stage, "set b foobar");
    CHECK_TEXT(run(stage, "bitcount b"), ":26 ");
    CHECK_TEXT(run(stage, "bitcount b 1 1"), ":6 ");
    CHECK_TEXT(run(stage, "bitcount b 5 30 bit"), ":17 ");
    CHECK_TEXT(run(stage, "bitcount b -1 -5"), ":0 ");
    CHECK_TEXT(run(stage, "bitcount b -9223372036854775808 9223372036854775807"), ":26 ");
    CHECK_TEXT(run(stage, "bitcount b 0"), "-ERR syntax error ");
    CHECK_TEXT(run(stage, "bitcount none 0"), ":0 ");
    stage_free(stage);
}

TEST(bitmap, a_clear_bit_is_found_behind_the_end_only_without_an_end)
{
    struct stage *stage = stage_new();
    run(stage, "bitfield b set u16 0 65535");
    CHECK_TEXT(run(stage, "bitpos b 0"), ":16 ");
    CHECK_TEXT(run(stage, "bitpos b 0 1"), ":16 ");
    CHECK_TEXT(run(stage, "bitpos b 0 0 -1"), ":-1 ");
    CHECK_TEXT(run(stage, "bitpos b 0 2"), ":-1 ");
    CHECK_TEXT(run(stage, "bitpos b 1 9 15 bit"), ":9 ");
    CHECK_TEXT(run(stage, "bitpos none 0"), ":0 ");
    CHECK_TEXT(run(stage, "bitpos none 1"), ":-1 ");
    stage_free(stage);
}

TEST(bitmap, operations_take_short_strings_as_followed_by_zeros)
{
    struct stage *stage = stage_new();
    run(stage, "set a abc ex 100");
    run(stage, "set b a");
    CHECK_TEXT(run(stage, "bitop or d a b none"), ":3 ");
    CHECK_TEXT(run(stage, "get d"), "$3 abc ");
    CHECK_TEXT(run(stage, "bitop and a b a"), ":3 ");
    CHECK_TEXT(run(stage, "bitcount a"), ":3 ");
    CHECK_TEXT(run(stage, "strlen a"), ":3 ");
    CHECK_TEXT(run(stage, "ttl a"), ":-1 ");
    CHECK_TEXT(run(stage, "bitop not d d"), ":3 ");
    CHECK_TEXT(run(stage, "bitop not d d"), ":3 ");
    CHECK_TEXT(run(stage, "get d"), "$3 abc ");
    CHECK_TEXT(run(stage, "bitop xor d d d"), ":3 ");
    CHECK_TEXT(run(stage, "bitcount d"), ":0 ");
    CHECK_TEXT(run(stage, "bitop not d a b"),
               "-ERR BITOP NOT must be called with a single source key. ");
    CHECK_TEXT(run(stage, "bitop and d none"), ":0 ");
    CHECK_TEXT(run(stage, "exists d"), ":0 ");
    stage_free(stage);
}

TEST(bitmap, fields_overflow_as_asked)
{
    struct stage *stage = stage_new();
    CHECK_TEXT(run(stage, "bitfield b set u8 0 255 incrby u8 0 10 get u8 0"), "*3 :0 :9 :9 ");
    CHECK_TEXT(run(stage, "bitfield b overflow sat incrby u8 0 1000 get u8 0"), "*2 :255 :255 ");
    CHECK_TEXT(run(stage, "bitfield b overflow fail incrby u8 0 1 get u8 0"), "*2 $-1 :255 ");
    CHECK_TEXT(run(stage, "bitfield b get i8 0 get i4 #1"), "*2 :-1 :-1 ");
    CHECK_TEXT(run(stage, "bitfield b overflow sat incrby i8 0 -128 incrby i8 0 -128"),
               "*2 :-128 :-128 ");
    CHECK_TEXT(run(stage, "bitfield i set i64 1 -9223372036854775808 get i64 1"),
               "*2 :0 :-9223372036854775808 ");
    CHECK_TEXT(run(stage, "bitfield i overflow wrap incrby i64 1 -1"), "*1 :9223372036854775807 ");
    CHECK_TEXT(run(stage, "bitfield i overflow fail incrby i64 1 1"), "*1 $-1 ");
    stage_free(stage);
}

TEST(bitmap, fields_are_checked_before_any_is_written)
{
    struct stage *stage = stage_new();
    CHECK_TEXT(run(stage, "bitfield b set u8 0 1 set u64 0 1"),
               "-ERR Invalid bitfield type. Use something like i16 u8. Note that u64 is not "
               "supported but i64 is. ");
    CHECK_TEXT(run(stage, "bitfield b set u8 0 1 set u8 #536870912 1"),
               "-ERR bit offset is not an integer or out of range ");
    CHECK_TEXT(run(stage, "bitfield b set u8 0 1 set u8 #9223372036854775807 1"),
               "-ERR bit offset is not an integer or out of range ");
    CHECK_TEXT(run(stage, "bitfield b set u8 0 1 set u8 64000000 1"),
               "-ERR string exceeds maximum allowed size (proto-max-bulk-len) ");
    CHECK_TEXT(run(stage, "exists b"), ":0 ");
    CHECK_TEXT(run(stage, "bitfield_ro b get u8 0"), "*1 :0 ");
    CHECK_TEXT(run(stage, "bitfield_ro b set u8 0 1"),
               "-ERR BITFIELD_RO only supports the GET subcommand ");
    CHECK_TEXT(run(stage, "exists b"), ":0 ");
    stage_free(stage);
}
