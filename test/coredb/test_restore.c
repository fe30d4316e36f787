/* DUMP and RESTORE: payloads that redis-server 7.0.15 made, payloads of older forms, payloads that
 * are damaged. */
#include "coredb/base/bytes.h"
#include "coredb/command/execute.h"
#include "coredb/value/packed.h"
#include "coredb/value/rdb.h"
#include "stage.h"
#include "store_check.h"
#include "support/test.h"

#include <stdio.h>
#include <string.h>

enum { PAYLOAD_MAX = 256 };

struct payload {
    uint8_t data[PAYLOAD_MAX];
    size_t size;
};

static struct payload from_hex(const char *hex)
{
    struct payload payload = {.size = strlen(hex) / 2};
    CHECK_LE(payload.size, sizeof payload.data);
    for (size_t i = 0; i < payload.size; i++) {
        unsigned byte;
        CHECK(sscanf(hex + 2 * i, "%2x", &byte) == 1);
        payload.data[i] = (uint8_t)byte;
    }
    return payload;
}

/* Puts version and checksum behind a body. */
static void seal(struct payload *payload)
{
    struct buffer bytes;
    buffer_init(&bytes);
    buffer_append(&bytes, payload->data, payload->size);
    rdb_put_footer(&bytes);
    CHECK_LE(bytes.size, sizeof payload->data);
    memcpy(payload->data, bytes.data, bytes.size);
    payload->size = bytes.size;
    buffer_deinit(&bytes);
}

static struct payload sealed(const char *hex_body)
{
    struct payload payload = from_hex(hex_body);
    seal(&payload);
    return payload;
}

/* RESTORE k ttl payload option, and then a look at the store. */
struct restoring {
    const struct payload *payload;
    const char *ttl;
    const char *option;
    bool good; /* answered +OK */
    char answer[64];
    char problem[256];
};

static void restore(struct store *store, void *arg)
{
    struct restoring *restoring = arg;
    rr_bytes argv[] = {
        bytes_of("restore"),         bytes_of("k"),
        bytes_of(restoring->ttl),    {restoring->payload->data, restoring->payload->size},
        bytes_of(restoring->option),
    };
    struct reply reply;
    reply_init(&reply, 2);
    struct exec exec = {.store = store, .argv = argv, .argc = 5, .reply = &reply};
    execute_command(&exec);
    snprintf(restoring->answer, sizeof restoring->answer, "%.*s", (int)reply.out.size - 2,
             (const char *)reply.out.data);
    restoring->good = strcmp(restoring->answer, "+OK") == 0;
    (void)store_check(store, restoring->problem, sizeof restoring->problem);
    reply_deinit(&reply);
}

static void check_restore_for(struct stage *stage, const struct payload *payload, const char *ttl,
                              const char *option, const char *answer)
{
    struct restoring restoring = {.payload = payload, .ttl = ttl, .option = option};
    stage_run(stage, /*keep=*/true, restore, &restoring);
    CHECK_TEXT(restoring.answer, answer);
    CHECK_TEXT(restoring.problem, "");
}

static void check_restore(struct stage *stage, const struct payload *payload, const char *answer)
{
    check_restore_for(stage, payload, "0", "replace", answer);
}

/* By SET, RPUSH and so on; the hash of two fields by its order here. */
TEST(restore, takes_what_redis_dumps)
{
    static const struct {
        const char *hex;
        const char *encoding;
        const char *read;
        const char *value;
    } facts[] = {
        {"00c0fb0a0049c4c6f4d7263f68", "$3 int ", "get k", "$2 -5 "},
        {"00c12c010a00954261f265825c10", "$3 int ", "get k", "$3 300 "},
        {"00c2a08601000a00f12403506f2fa674", "$3 int ", "get k", "$6 100000 "},
        {"000568656c6c6f0a006372df766534200a", "$6 embstr ", "get k", "$5 hello "},
        {"00c30a3c02616261e02e010161620a00bb16d3ebae6fc574", "$3 raw ", "getrange k 55 59",
         "$5 babab "},
        {"120102222200000006008161020101ded402f270110104f400f2052a010000000982626203ff0a00478797cd"
         "38f75630",
         "$9 quicklist ", "lrange k 0 -1", "*6 $1 a $1 1 $4 -300 $5 70000 $10 5000000000 $2 bb "},
        {"120202c310405008500000000100e04671e03c000148ff020a0a0000000100817a02ff0a0059b00e4c3444a6"
         "e7",
         "$9 quicklist ", "lindex k 1", "$1 z "},
        {"0b0e0200000003000000feff01002c010a005b0aa862f794600a", "$6 intset ",
         "smismember k -2 300", "*2 :1 :1 "},
        {"0202c00101610a00b064e3d36cb07eb6", "$9 hashtable ", "smismember k 1 a 2", "*3 :1 :1 :0 "},
        {"101414000000040081660201018167028374776f04ff0a00e318742b61db6fdf", "$8 listpack ",
         "hmget k f g", "*2 $1 1 $3 two "},
        {"04010166c3094041017676e034000176760a003d71be523786cf45", "$9 hashtable ", "hstrlen k f",
         ":65 "},
        {"111d1d0000000600816302842d696e6605816102010181620283322e3504ff0a003992339be11f323d",
         "$8 listpack ", "zrange k 0 -1 withscores", "*6 $1 c $4 -inf $1 a $1 1 $1 b $3 2.5 "},
        {"0501c3094041016d6de03400016d6d000000000000f83f0a00f782f77e140ddf23", "$8 skiplist ",
         "zcount k 1.5 1.5", ":1 "},
    };
    struct stage *stage = stage_new();
    for (size_t i = 0; i < sizeof facts / sizeof facts[0]; i++) {
        struct payload payload = from_hex(facts[i].hex);
        check_restore(stage, &payload, "+OK");
        CHECK_TEXT(stage_exec(stage, "object encoding k"), facts[i].encoding);
        CHECK_TEXT(stage_exec(stage, facts[i].read), facts[i].value);
    }
    stage_free(stage);
}

/* XADD 1-1, 1-2, 2-0 (other fields); XDEL 1-2; a group whose consumer has 1-1 pending. */
static const char redis_stream[] =
    "130110000000000000000100000000000000013e3e0000001800020101010101816602000102010001000181760204"
    "01"
    "030100010101817702040100010101dfff02020181670281780281680207010801ff020200010101020301036772"
    "70010181ffffffffffffffff01000000000000000100000000000000016b890d08a20100000101026d656b890d08a2"
    "01000001000000000000000100000000000000010a00ec8dff89f2aaa580";

TEST(restore, takes_a_stream_of_redis_with_its_groups)
{
    struct stage *stage = stage_new();
    struct payload payload = from_hex(redis_stream);
    check_restore(stage, &payload, "+OK");
    CHECK_TEXT(stage_exec(stage, "xrange k - +"),
               "*2 *2 $3 1-1 *2 $1 f $1 v *2 $3 2-0 *4 $1 g $1 x $1 h $1 7 ");
    CHECK_TEXT(stage_exec(stage, "xpending k grp"), "*4 :1 $3 1-1 $3 1-1 *1 *2 $2 me $1 1 ");
    CHECK_TEXT(stage_exec(stage, "xinfo groups k"),
               "*1 *12 $4 name $3 grp $9 consumers :1 $7 pending :1 $17 last-delivered-id $3 1-1 "
               "$12 entries-read $-1 $3 lag $-1 ");
    stage_free(stage);
}

TEST(restore, takes_forms_of_older_versions)
{
    struct stage *stage = stage_new();
    /* A hash as a ziplist: f, 5, g, "two". */
    struct payload hash = sealed("0d18"
                                 "18000000120000000400"
                                 "000166"
                                 "03f6"
                                 "020167"
                                 "030374776f"
                                 "ff");
    check_restore(stage, &hash, "+OK");
    CHECK_TEXT(stage_exec(stage, "hmget k f g"), "*2 $1 5 $3 two ");
    /* A list of ziplists: -2 in 8 bits, 300 in 16, 70000 in 24, 2^31-1 in 32, 2^40 in 64, 12. */
    struct payload list = sealed("0e0129"
                                 "29000000260000000600"
                                 "00fefe"
                                 "03c02c01"
                                 "04f0701101"
                                 "05d0ffffff7f"
                                 "06e00000000000010000"
                                 "0afd"
                                 "ff");
    check_restore(stage, &list, "+OK");
    CHECK_TEXT(stage_exec(stage, "lrange k 0 -1"),
               "*6 $2 -2 $3 300 $5 70000 $10 2147483647 $13 1099511627776 $2 12 ");
    /* A sorted set with scores as text: a inf, b 1.5. */
    struct payload zset = sealed("03020161fe016203312e35");
    check_restore(stage, &zset, "+OK");
    CHECK_TEXT(stage_exec(stage, "zrange k 0 -1 withscores"), "*4 $1 b $3 1.5 $1 a $3 inf ");
    stage_free(stage);
}

TEST(restore, refuses_what_no_value_can_be)
{
    static const char *const bodies[] = {
        "0000000000",                               /* bytes behind the value */
        "0100",                                     /* an empty list */
        "0202016101 61",                            /* cut off; the blank ends the text */
        "020201610161",                             /* a member twice */
        "040201610162016101ff",                     /* a field twice */
        "05010161000000000000f87f",                 /* NaN */
        "0181ffffffffffffffff",                     /* more elements than bytes */
        "00c381ffffffffffffffff81ffffffffffffffff", /* a compressed string of 2^64 bytes */
        "00c3048f4240ffe0ff00",                     /* a compressed string from before its begin */
        "007fff",                                   /* a string beyond the end */
        "09",                                       /* a zipmap */
        "ff",
        "12010700",
    };
    struct stage *stage = stage_new();
    stage_exec(stage, "set k kept");
    for (size_t i = 0; i < sizeof bodies / sizeof bodies[0]; i++) {
        char hex[128];
        snprintf(hex, sizeof hex, "%.*s", (int)strcspn(bodies[i], " "), bodies[i]);
        struct payload payload = sealed(hex);
        check_restore(stage, &payload, "-ERR Bad data format");
        CHECK_TEXT(stage_exec(stage, "get k"), "$4 kept ");
    }
    struct payload flipped = sealed("0001");
    flipped.data[1] ^= 1;
    check_restore(stage, &flipped, "-ERR DUMP payload version or checksum are wrong");
    CHECK_TEXT(stage_exec(stage, "restore k 0 x"), "-BUSYKEY Target key name already exists. ");
    CHECK_TEXT(stage_exec(stage, "restore j -1 x"), "-ERR Invalid TTL value, must be >= 0 ");
    CHECK_TEXT(stage_exec(stage, "restore j 0 x freq 256"),
               "-ERR Invalid FREQ value, must be >= 0 and <= 255 ");
    stage_free(stage);
}

/* A number below `bound`: splitmix64. */
static uint64_t below(uint64_t *random, uint64_t bound)
{
    *random += UINT64_C(0x9e3779b97f4a7c15);
    uint64_t bits = *random;
    bits = (bits ^ bits >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    bits = (bits ^ bits >> 27) * UINT64_C(0x94d049bb133111eb);
    return (bits ^ bits >> 31) % bound;
}

/* Bytes changed anywhere, under a right checksum: refused without a trace, or a value that dumps
 * and restores; the store stays in order (sanitizers look at the reading). */
TEST(restore, damaged_payloads_leave_no_trace)
{
    static const char *const sources[] = {
        redis_stream,
        "101414000000040081660201018167028374776f04ff0a00e318742b61db6fdf",
        "111d1d0000000600816302842d696e6605816102010181620283322e3504ff0a003992339be11f323d",
        "120102222200000006008161020101ded402f270110104f400f2052a010000000982626203ff0a00478797cd"
        "38f75630",
        "0b0e0200000003000000feff01002c010a005b0aa862f794600a",
        "00c30a3c02616261e02e010161620a00bb16d3ebae6fc574",
    };
    uint64_t random = test_seed(41);
    struct stage *stage = stage_new();
    int good = 0;
    for (int round = 0; round < 600; round++) {
        size_t source = below(&random, sizeof sources / sizeof sources[0]);
        struct payload payload = from_hex(sources[source]);
        payload.size -= 10;
        for (uint64_t i = 1 + below(&random, 3); i > 0; i--) {
            payload.data[below(&random, payload.size)] = (uint8_t)below(&random, 256);
        }
        seal(&payload);
        struct restoring restoring = {.payload = &payload, .ttl = "0", .option = "replace"};
        stage_exec(stage, "set k kept");
        stage_run(stage, /*keep=*/true, restore, &restoring);
        CHECK_TEXT(restoring.problem, "");
        good += restoring.good;
        if (!restoring.good) {
            CHECK_TEXT(restoring.answer, "-ERR Bad data format");
            CHECK_TEXT(stage_exec(stage, "get k"), "$4 kept ");
        }
    }
    CHECK_GT(good, 50); /* many changes hit the elements' own bytes */
    CHECK_LT(good, 550);
    stage_free(stage);
}

TEST(restore, sets_the_expiry_or_deletes_what_is_past)
{
    struct stage *stage = stage_new();
    struct payload payload = sealed("000568656c6c6f");
    check_restore_for(stage, &payload, "700", "replace", "+OK");
    CHECK_TEXT(stage_exec(stage, "pttl k"), ":700 ");
    check_restore_for(stage, &payload, "1000800", "absttl",
                      "-BUSYKEY Target key name already exists.");
    stage_exec(stage, "del k");
    check_restore_for(stage, &payload, "1000800", "absttl", "+OK");
    CHECK_TEXT(stage_exec(stage, "pttl k"), ":800 ");
    stage_exec(stage, "del k");
    check_restore_for(stage, &payload, "1000000", "absttl", "+OK");
    CHECK_TEXT(stage_exec(stage, "dbsize"), ":0 ");
    check_restore_for(stage, &payload, "9223372036854775807", "replace",
                      "-ERR Invalid TTL value, must be >= 0");
    stage_free(stage);
}

TEST(listpack, reads_back_what_was_written)
{
    static const int64_t numbers[] = {
        0,       1,         127,       128,       -1,        -4096,   4095,
        -4097,   4096,      32767,     -32768,    32768,     8388607, -8388608,
        8388608, INT32_MAX, INT32_MIN, INT64_MAX, INT64_MIN,
    };
    struct buffer bytes;
    buffer_init(&bytes);
    listpack_begin(&bytes);
    static char text[70000];
    memset(text, 'x', sizeof text);
    static const size_t sizes[] = {0, 1, 63, 64, 127, 4095, 4096, 16384, 70000};
    enum { NUMBERS = sizeof numbers / sizeof numbers[0], SIZES = sizeof sizes / sizeof sizes[0] };
    for (size_t i = 0; i < NUMBERS; i++) {
        listpack_put_integer(&bytes, numbers[i]);
    }
    for (size_t i = 0; i < SIZES; i++) {
        listpack_put(&bytes, (rr_bytes){text, sizes[i]});
    }
    listpack_end(&bytes, NUMBERS + SIZES);
    struct packed packed;
    packed_begin(&packed, PACKED_LISTPACK, buffer_bytes(&bytes));
    for (size_t i = 0; i < NUMBERS; i++) {
        int64_t number;
        CHECK(packed_next_integer(&packed, &number));
        CHECK_EQ(number, numbers[i]);
    }
    for (size_t i = 0; i < SIZES; i++) {
        rr_bytes element;
        CHECK(packed_next(&packed, &element));
        CHECK(bytes_equal(element, (rr_bytes){text, sizes[i]}));
    }
    rr_bytes none;
    CHECK(!packed_next(&packed, &none));
    CHECK(!packed.failed);
    buffer_deinit(&bytes);
}
