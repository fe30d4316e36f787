/* Waiting clients: order, exactly once, and what becomes of waiters whose node is gone. */
#include "stage.h"

#include "coredb/base/bytes.h"
#include "coredb/command/blocking.h"
#include "coredb/command/execute.h"
#include "support/test.h"

#include <stdio.h>
#include <string.h>

enum { START_MS = 1000000 };

/* A command that must wait; returns its number. */
static uint64_t wait_with(struct stage *stage, const char *line)
{
    CHECK_TEXT(stage_command(stage, line), "waits");
    return stage_number(stage);
}

TEST(waiter, is_served_by_a_later_push)
{
    struct stage *stage = stage_new();
    uint64_t a = wait_with(stage, "blpop k 0");
    CHECK_TEXT(stage_command(stage, "rpush other x"), ":1 ");
    CHECK_TEXT(stage_answer(stage, a), NULL);
    CHECK_TEXT(stage_command(stage, "rpush k x y"), ":2 ");
    CHECK_TEXT(stage_answer(stage, a), "*2 $1 k $1 x ");
    CHECK_TEXT(stage_command(stage, "lrange k 0 -1"), "*1 $1 y ");
    stage_command(stage, "del k");
    CHECK_TEXT(stage_command(stage, "rpush k z"), ":1 ");
    CHECK_TEXT(stage_command(stage, "llen k"), ":1 ");
    stage_free(stage);
}

TEST(waiter, takes_what_is_there_without_waiting)
{
    struct stage *stage = stage_new();
    stage_command(stage, "rpush k2 x y");
    stage_command(stage, "zadd z 1 a 2 b 3 c");
    CHECK_TEXT(stage_command(stage, "blpop k1 k2 0"), "*2 $2 k2 $1 x ");
    CHECK_TEXT(stage_command(stage, "blmpop 0 2 k1 k2 right count 9"), "*2 $2 k2 *1 $1 y ");
    CHECK_TEXT(stage_command(stage, "bzpopmin z 0"), "*3 $1 z $1 a $1 1 ");
    CHECK_TEXT(stage_command(stage, "bzpopmax z 0"), "*3 $1 z $1 c $1 3 ");
    CHECK_TEXT(stage_command(stage, "bzmpop 0 1 z max count 2"), "*2 $1 z *1 *2 $1 b $1 2 ");
    stage_command(stage, "rpush k1 v");
    CHECK_TEXT(stage_command(stage, "blmove k1 k3 left right 0"), "$1 v ");
    CHECK_TEXT(stage_command(stage, "brpoplpush k3 k1 0"), "$1 v ");
    CHECK_TEXT(stage_command(stage, "exists k1 k2 k3 z"), ":1 ");
    CHECK_TEXT(stage_order(stage), "");
    stage_free(stage);
}

TEST(waiter, is_served_in_the_order_of_arrival)
{
    struct stage *stage = stage_new();
    wait_with(stage, "blpop k j 0");               /* 1 */
    wait_with(stage, "brpop j k 0");               /* 2 */
    wait_with(stage, "blpop i k 0");               /* 3 */
    wait_with(stage, "blmpop 0 1 k left count 5"); /* 4 */
    CHECK_TEXT(stage_command(stage, "rpush k a b c"), ":3 ");
    CHECK_TEXT(stage_order(stage), "1 2 3 ");
    CHECK_TEXT(stage_answer(stage, 1), "*2 $1 k $1 a ");
    CHECK_TEXT(stage_answer(stage, 2), "*2 $1 k $1 c ");
    CHECK_TEXT(stage_answer(stage, 3), "*2 $1 k $1 b ");
    CHECK_TEXT(stage_command(stage, "rpush k d e"), ":2 ");
    CHECK_TEXT(stage_answer(stage, 4), "*2 $1 k *2 $1 d $1 e ");
    stage_free(stage);
}

TEST(waiter, of_several_keys_is_served_from_the_first_that_became_ready)
{
    struct stage *stage = stage_new();
    wait_with(stage, "blpop k1 k2 k3 0"); /* 1 */
    wait_with(stage, "blpop k3 k2 0");    /* 2 */
    CHECK_TEXT(stage_exec(stage, "lpush k2 a\nlpush k3 b\nlpush k1 c"), ":1 :1 :1 ");
    CHECK_TEXT(stage_answer(stage, 1), "*2 $2 k2 $1 a ");
    CHECK_TEXT(stage_answer(stage, 2), "*2 $2 k3 $1 b ");
    CHECK_TEXT(stage_command(stage, "exists k1 k2 k3"), ":1 ");
    stage_free(stage);
}

TEST(waiter, is_served_at_the_end_of_a_transaction)
{
    struct stage *stage = stage_new();
    uint64_t a = wait_with(stage, "blpop k 0");
    CHECK_TEXT(stage_exec(stage, "lpush k a\nlpush k b\ndel k"), ":1 :2 :1 ");
    CHECK_TEXT(stage_answer(stage, a), NULL);
    CHECK_TEXT(stage_exec(stage, "lpush k a\nlpush k b\nllen k"), ":1 :2 :2 ");
    CHECK_TEXT(stage_answer(stage, a), "*2 $1 k $1 b ");
    stage_free(stage);
}

TEST(waiter, does_not_wait_within_a_transaction)
{
    struct stage *stage = stage_new();
    CHECK_TEXT(stage_exec(stage, "blpop k 0\nblmove k l left left 0\nbrpoplpush k l 0\n"
                                 "blmpop 0 1 k left\nbzpopmin k 0\nbzmpop 0 1 k min"),
               "*-1 $-1 $-1 *-1 *-1 *-1 ");
    CHECK_TEXT(stage_command(stage, "rpush k a"), ":1 ");
    CHECK_TEXT(stage_order(stage), "");
    stage_free(stage);
}

TEST(waiter, stays_while_the_key_has_another_type)
{
    struct stage *stage = stage_new();
    uint64_t list = wait_with(stage, "blpop k 0");
    uint64_t zset = wait_with(stage, "bzpopmax k 0");
    stage_command(stage, "set k x");
    stage_command(stage, "del k");
    CHECK_TEXT(stage_order(stage), "");
    stage_command(stage, "zadd k 1 a 2 b");
    CHECK_TEXT(stage_answer(stage, zset), "*3 $1 k $1 b $1 2 ");
    CHECK_TEXT(stage_answer(stage, list), NULL);
    stage_command(stage, "del k");
    stage_command(stage, "lpush k x");
    CHECK_TEXT(stage_answer(stage, list), "*2 $1 k $1 x ");
    stage_free(stage);
}

TEST(waiter, moves_on_to_waiters_of_the_destination)
{
    struct stage *stage = stage_new();
    wait_with(stage, "blpop c 0");               /* 1 */
    wait_with(stage, "blmove b c left right 0"); /* 2 */
    wait_with(stage, "blmove a b left right 0"); /* 3 */
    CHECK_TEXT(stage_command(stage, "rpush a x"), ":1 ");
    CHECK_TEXT(stage_order(stage), "3 2 1 ");
    CHECK_TEXT(stage_answer(stage, 3), "$1 x ");
    CHECK_TEXT(stage_answer(stage, 2), "$1 x ");
    CHECK_TEXT(stage_answer(stage, 1), "*2 $1 c $1 x ");
    CHECK_TEXT(stage_command(stage, "exists a b c"), ":0 ");
    stage_free(stage);
}

TEST(waiter, finds_a_key_that_becomes_ready_again_while_waiters_are_served)
{
    struct stage *stage = stage_new();
    wait_with(stage, "blpop a 0");              /* 1 */
    wait_with(stage, "blmove b a left left 0"); /* 2 */
    wait_with(stage, "blpop a 0");              /* 3 */
    CHECK_TEXT(stage_exec(stage, "rpush a x\nrpush b y"), ":1 :1 ");
    CHECK_TEXT(stage_order(stage), "1 2 3 ");
    CHECK_TEXT(stage_answer(stage, 3), "*2 $1 a $1 y ");
    stage_free(stage);
}

TEST(waiter, moves_round_in_a_circle_once)
{
    struct stage *stage = stage_new();
    wait_with(stage, "blmove a b left left 0");
    wait_with(stage, "blmove b a left left 0");
    stage_command(stage, "rpush a x");
    CHECK_TEXT(stage_order(stage), "1 2 ");
    CHECK_TEXT(stage_command(stage, "lrange a 0 -1"), "*1 $1 x ");
    uint64_t same = wait_with(stage, "brpoplpush k k 0");
    uint64_t next = wait_with(stage, "blpop k 0");
    stage_command(stage, "rpush k 1 2");
    CHECK_TEXT(stage_answer(stage, same), "$1 2 ");
    CHECK_TEXT(stage_answer(stage, next), "*2 $1 k $1 2 ");
    CHECK_TEXT(stage_command(stage, "lrange k 0 -1"), "*1 $1 1 ");
    stage_free(stage);
}

TEST(waiter, with_a_wrong_destination_gets_an_error_and_takes_nothing)
{
    struct stage *stage = stage_new();
    uint64_t move = wait_with(stage, "blmove k s left left 0");
    uint64_t next = wait_with(stage, "blpop k 0");
    stage_command(stage, "set s x");
    stage_command(stage, "rpush k 1");
    CHECK_TEXT(stage_answer(stage, move),
               "-WRONGTYPE Operation against a key holding the wrong kind of value ");
    CHECK_TEXT(stage_answer(stage, next), "*2 $1 k $1 1 ");
    stage_free(stage);
}

TEST(waiter, is_registered_in_its_database)
{
    struct stage *stage = stage_new();
    uint64_t a = wait_with(stage, "blpop k 0");
    stage_command(stage, "rpush l x");
    CHECK_TEXT(stage_command(stage, "rename l k"), "+OK ");
    CHECK_TEXT(stage_answer(stage, a), "*2 $1 k $1 x ");
    uint64_t b = wait_with(stage, "blpop k 0");
    stage_command(stage, "rpush l y z");
    CHECK_TEXT(stage_command(stage, "copy l k"), ":1 ");
    CHECK_TEXT(stage_answer(stage, b), "*2 $1 k $1 y ");
    uint64_t c = wait_with(stage, "blpop other 0");
    stage_command(stage, "rpush far x");
    stage_command(stage, "move far 1");
    CHECK_TEXT(stage_answer(stage, c), NULL);
    stage_command(stage, "flushall");
    stage_command(stage, "rpush other x");
    CHECK_TEXT(stage_answer(stage, c), "*2 $5 other $1 x ");
    stage_free(stage);
}

TEST(waiter, sees_what_swapping_databases_brings)
{
    struct stage *stage = stage_new();
    uint64_t a = wait_with(stage, "blpop k 0");
    stage_command(stage, "rpush l x");
    stage_command(stage, "move l 1");
    stage_command(stage, "swapdb 0 1");
    CHECK_TEXT(stage_answer(stage, a), NULL);
    stage_command(stage, "rename l k");
    CHECK_TEXT(stage_answer(stage, a), "*2 $1 k $1 x ");
    uint64_t b = wait_with(stage, "blpop j 0");
    stage_command(stage, "rpush i y");
    stage_command(stage, "copy i j db 1");
    CHECK_TEXT(stage_answer(stage, b), NULL);
    stage_command(stage, "swapdb 0 1");
    CHECK_TEXT(stage_answer(stage, b), "*2 $1 j $1 y ");
    stage_free(stage);
}

TEST(waiter, refuses_timeouts_as_redis_does)
{
    struct stage *stage = stage_new();
    const char *not_float = "-ERR timeout is not a float or out of range ";
    const char *negative = "-ERR timeout is negative ";
    CHECK_TEXT(stage_command(stage, "blpop k x"), not_float);
    CHECK_TEXT(stage_command(stage, "blpop k nan"), not_float);
    CHECK_TEXT(stage_command(stage, "blpop k -1"), negative);
    CHECK_TEXT(stage_command(stage, "blpop k inf"), negative);
    CHECK_TEXT(stage_command(stage, "blpop k 1e300"), negative);
    CHECK_TEXT(stage_command(stage, "blpop k 9223372036854776"), negative);
    CHECK_TEXT(stage_command(stage, "blmpop x 0 k left"), "-ERR numkeys should be greater than 0 ");
    CHECK_TEXT(stage_command(stage, "blmpop x 1 k foo"), "-ERR syntax error ");
    CHECK_TEXT(stage_command(stage, "blmpop x 1 k left"), not_float);
    CHECK_TEXT(stage_command(stage, "blmove k l foo left x"), "-ERR syntax error ");
    CHECK_TEXT(stage_command(stage, "blmove k l left left x"), not_float);
    stage_free(stage);
}

/* ---- Streams ---- */

TEST(waiter, readers_of_a_stream_all_get_what_is_added)
{
    struct stage *stage = stage_new();
    stage_command(stage, "xadd s 1-1 a 1");
    uint64_t all = wait_with(stage, "xread block 0 streams none s 0 $");
    uint64_t one = wait_with(stage, "xread count 1 block 0 streams s s t 1-1 5-5 0");
    uint64_t later = wait_with(stage, "xread block 0 streams s t 1-3 0");
    CHECK_TEXT(stage_exec(stage, "xadd s 1-2 b 2\nxadd s 1-3 c 3"), "$3 1-2 $3 1-3 ");
    CHECK_TEXT(stage_answer(stage, all),
               "*1 *2 $1 s *2 *2 $3 1-2 *2 $1 b $1 2 *2 $3 1-3 *2 $1 c $1 3 ");
    CHECK_TEXT(stage_answer(stage, one), "*1 *2 $1 s *1 *2 $3 1-2 *2 $1 b $1 2 ");
    CHECK_TEXT(stage_answer(stage, later), NULL);
    CHECK_TEXT(stage_command(stage, "xadd t 7-7 x y"), "$3 7-7 ");
    CHECK_TEXT(stage_answer(stage, later), "*1 *2 $1 t *1 *2 $3 7-7 *2 $1 x $1 y ");
    stage_free(stage);
}

TEST(waiter, consumers_of_a_group_get_an_entry_each_in_turn)
{
    struct stage *stage = stage_new();
    stage_command(stage, "xgroup create s g $ mkstream");
    uint64_t first = wait_with(stage, "xreadgroup group g c1 block 0 streams s >");
    uint64_t second = wait_with(stage, "xreadgroup group g c2 block 0 streams s >");
    stage_command(stage, "xadd s 1-1 a 1");
    CHECK_TEXT(stage_answer(stage, first), "*1 *2 $1 s *1 *2 $3 1-1 *2 $1 a $1 1 ");
    CHECK_TEXT(stage_answer(stage, second), NULL);
    stage_command(stage, "xadd s 1-2 b 2");
    CHECK_TEXT(stage_answer(stage, second), "*1 *2 $1 s *1 *2 $3 1-2 *2 $1 b $1 2 ");
    CHECK_TEXT(stage_command(stage, "xpending s g"),
               "*4 :2 $3 1-1 $3 1-2 *2 *2 $2 c1 $1 1 *2 $2 c2 $1 1 ");
    stage_free(stage);
}

TEST(waiter, consumers_are_told_when_their_stream_or_group_vanishes)
{
    static const struct {
        const char *lines;
        const char *answer;
    } cases[] = {
        {"del s", "-UNBLOCKED the stream key no longer exists "},
        {"set s x", "-UNBLOCKED the stream key no longer exists "},
        {"del s\nlpush s a\ndel s", "-UNBLOCKED the stream key no longer exists "},
        {"lpush l a\nrename l s", "-UNBLOCKED the stream key no longer exists "},
        {"rename s other", "-UNBLOCKED the stream key no longer exists "},
        {"move s 3", "-UNBLOCKED the stream key no longer exists "},
        {"flushall", "-UNBLOCKED the stream key no longer exists "},
        {"swapdb 0 1", "-UNBLOCKED the stream key no longer exists "},
        {"xgroup destroy s g",
         "-NOGROUP the consumer group this client was blocked on no longer exists "},
        {"del s\nxadd s 1-1 a b",
         "-NOGROUP the consumer group this client was blocked on no longer exists "},
        {"xgroup destroy s g\nxgroup create s g 0", NULL},
        {"rename s other\nrename other s", NULL},
    };
    struct stage *stage = stage_new();
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        stage_exec(stage, "flushall\nxgroup create s g $ mkstream");
        uint64_t consumer = wait_with(stage, "xreadgroup group g c block 0 streams s >");
        uint64_t reader = wait_with(stage, "xread block 0 streams s 9-9");
        stage_exec(stage, cases[i].lines);
        CHECK_TEXT(stage_answer(stage, consumer), cases[i].answer);
        CHECK_TEXT(stage_answer(stage, reader), NULL);
    }
    stage_free(stage);
}

TEST(waiter, consumers_are_told_when_their_stream_expires)
{
    struct stage *stage = stage_new();
    stage_exec(stage, "xgroup create s g $ mkstream\npexpire s 1000");
    uint64_t consumer = wait_with(stage, "xreadgroup group g c block 0 streams s >");
    stage_set_time(stage, START_MS + 1001);
    stage_command(stage, "exists s");
    CHECK_TEXT(stage_answer(stage, consumer), "-UNBLOCKED the stream key no longer exists ");
    stage_free(stage);
}

/* ---- Timeouts as told to the connection ---- */

static void check_timeout(struct store *store, void *arg)
{
    static const struct {
        const char *text;
        uint64_t timeout_ms;
    } cases[] = {{"0", 0},      {"1", 1000},    {"0.0001", 1},
                 {"1.5", 1500}, {"-0.0001", 0}, {"0x1", 1000}};
    (void)arg;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        rr_bytes argv[] = {bytes_of("blpop"), bytes_of("k"), bytes_of(cases[i].text)};
        struct reply reply;
        reply_init(&reply, 2);
        struct exec exec = {.store = store,
                            .argv = argv,
                            .argc = 3,
                            .reply = &reply,
                            .may_block = true,
                            .waiter = &(struct waiter_id){1, 1, i}};
        execute_command(&exec);
        CHECK(exec.blocked);
        CHECK_EQ(exec.block_timeout_ms, cases[i].timeout_ms);
        CHECK_EQ(reply.out.size, 0);
        reply_deinit(&reply);
    }
}

TEST(waiter, tells_its_timeout_in_whole_milliseconds)
{
    struct stage *stage = stage_new();
    stage_run(stage, /*keep=*/true, check_timeout, NULL);
    stage_free(stage);
}

/* ---- Cancelling, leases ---- */

struct cancelling {
    struct waiter_id id;
    bool was_registered;
};

static void cancel(struct store *store, void *arg)
{
    struct cancelling *cancelling = arg;
    cancelling->was_registered = waiter_cancel(store, &cancelling->id);
}

static bool cancel_number(struct stage *stage, uint64_t number)
{
    struct cancelling cancelling = {.id = {1, 1, number}};
    stage_run(stage, /*keep=*/true, cancel, &cancelling);
    return cancelling.was_registered;
}

/* How many records of waiters there are, and how many the databases count. */
struct census {
    size_t records;
    size_t places;
    size_t nodes;
    uint64_t counted;
};

static bool count_one(void *arg, rr_bytes key, rr_bytes value)
{
    (void)key;
    (void)value;
    ++*(size_t *)arg;
    return true;
}

static void take_census(struct store *store, void *arg)
{
    struct census *census = arg;
    *census = (struct census){0};
    store_prefix(store, bytes_of("W"), false, count_one, &census->records);
    store_prefix(store, bytes_of("w"), false, count_one, &census->places);
    store_prefix(store, bytes_of("N"), false, count_one, &census->nodes);
    for (uint32_t i = 0; i < STORE_DATABASES; i++) {
        census->counted += store_db(store, i)->waiter_count;
    }
}

static struct census census_of(struct stage *stage)
{
    struct census census;
    stage_run(stage, /*keep=*/true, take_census, &census);
    CHECK_EQ(census.places, census.counted);
    return census;
}

TEST(waiter, is_cancelled_or_served_never_both)
{
    struct stage *stage = stage_new();
    uint64_t a = wait_with(stage, "blpop k j k 0");
    uint64_t b = wait_with(stage, "blpop k 0");
    CHECK_EQ(census_of(stage).places, 3);
    CHECK(cancel_number(stage, a));
    CHECK(!cancel_number(stage, a));
    CHECK_EQ(census_of(stage).places, 1);
    stage_command(stage, "rpush k x y");
    CHECK_TEXT(stage_answer(stage, a), NULL);
    CHECK_TEXT(stage_answer(stage, b), "*2 $1 k $1 x ");
    CHECK(!cancel_number(stage, b));
    CHECK_EQ(census_of(stage).records, 0);
    CHECK_EQ(census_of(stage).places, 0);
    CHECK_TEXT(stage_command(stage, "lrange k 0 -1"), "*1 $1 y ");
    stage_free(stage);
}

TEST(waiter, of_a_node_without_a_lease_is_passed_over)
{
    struct stage *stage = stage_new();
    stage_set_node(stage, 1, 1);
    uint64_t dead = wait_with(stage, "blpop k 0");
    stage_set_time(stage, START_MS + WAITER_LEASE_MS);
    stage_set_node(stage, 2, 1);
    uint64_t alive = wait_with(stage, "blpop k 0");
    stage_set_time(stage, START_MS + WAITER_LEASE_MS + 1);
    stage_command(stage, "rpush k x");
    CHECK_TEXT(stage_answer(stage, alive), "*2 $1 k $1 x ");
    CHECK_EQ(strncmp(stage_answer(stage, dead), "-UNBLOCKED ", 11), 0);
    stage_free(stage);
}

static void renew(struct store *store, void *arg)
{
    (void)arg;
    waiter_renew(store, 1, 1);
}

TEST(waiter, of_a_node_that_renews_is_served_late)
{
    struct stage *stage = stage_new();
    uint64_t a = wait_with(stage, "blpop k 0");
    for (uint64_t i = 1; i <= 10; i++) {
        stage_set_time(stage, START_MS + i * WAITER_LEASE_MS);
        stage_run(stage, /*keep=*/true, renew, NULL);
    }
    stage_set_time(stage, START_MS + 11 * WAITER_LEASE_MS);
    stage_command(stage, "rpush k x");
    CHECK_TEXT(stage_answer(stage, a), "*2 $1 k $1 x ");
    stage_free(stage);
}

TEST(waiter, of_an_earlier_start_of_its_node_is_passed_over)
{
    struct stage *stage = stage_new();
    stage_set_node(stage, 7, 100);
    uint64_t old = wait_with(stage, "blpop k 0");
    stage_set_node(stage, 7, 101);
    uint64_t new = wait_with(stage, "blpop k 0");
    stage_set_node(stage, 7, 100);
    CHECK_EQ(strncmp(stage_command(stage, "blpop k 0"), "-TRYAGAIN ", 10), 0);
    stage_command(stage, "rpush k x y");
    CHECK_TEXT(stage_answer(stage, new), "*2 $1 k $1 x ");
    CHECK_EQ(strncmp(stage_answer(stage, old), "-UNBLOCKED ", 11), 0);
    CHECK_TEXT(stage_command(stage, "llen k"), ":1 ");
    /* When the lease has ended, a lower start counts again: a clock was set back. */
    stage_set_time(stage, START_MS + WAITER_LEASE_MS + 1);
    uint64_t late = wait_with(stage, "blpop j 0");
    stage_command(stage, "rpush j x");
    CHECK_TEXT(stage_answer(stage, late), "*2 $1 j $1 x ");
    stage_free(stage);
}

static void drop_ten(struct store *store, void *arg)
{
    *(size_t *)arg = waiter_drop_dead(store, 10);
}

static void look_for_dead(struct store *store, void *arg)
{
    *(bool *)arg = waiter_has_dead(store);
}

static bool has_dead(struct stage *stage)
{
    bool has = false;
    stage_run(stage, /*keep=*/true, look_for_dead, &has);
    return has;
}

TEST(waiter, of_dead_nodes_are_cleared_away_bit_by_bit)
{
    struct stage *stage = stage_new();
    stage_set_node(stage, 1, 1);
    for (int i = 0; i < 25; i++) {
        wait_with(stage, "blpop k j 0");
    }
    CHECK(!has_dead(stage));
    stage_set_node(stage, 1, 2);
    uint64_t alive = wait_with(stage, "blpop k 0");
    CHECK(has_dead(stage));
    size_t dropped = 0;
    stage_run(stage, /*keep=*/true, drop_ten, &dropped);
    CHECK_EQ(dropped, 10);
    CHECK_EQ(census_of(stage).records, 16);
    stage_run(stage, /*keep=*/true, drop_ten, &dropped);
    stage_run(stage, /*keep=*/true, drop_ten, &dropped);
    CHECK_EQ(dropped, 5);
    CHECK(!has_dead(stage));
    CHECK_EQ(census_of(stage).records, 1);
    stage_set_time(stage, START_MS + WAITER_LEASE_MS + 1);
    CHECK(has_dead(stage));
    stage_run(stage, /*keep=*/true, drop_ten, &dropped);
    CHECK_EQ(dropped, 1);
    CHECK_EQ(strncmp(stage_answer(stage, alive), "-UNBLOCKED ", 11), 0);
    CHECK(!has_dead(stage));
    struct census census = census_of(stage);
    CHECK_EQ(census.records + census.places + census.nodes, 0);
    stage_free(stage);
}

static void list_registered(struct store *store, void *arg)
{
    CHECK_EQ(waiter_list(store, 1, 1, arg), 2);
}

TEST(waiter, is_listed_for_its_node_and_start)
{
    struct stage *stage = stage_new();
    wait_with(stage, "blpop a 0");
    wait_with(stage, "blpop b 0");
    wait_with(stage, "bzpopmin c 0");
    stage_set_node(stage, 2, 1);
    wait_with(stage, "blpop d 0");
    stage_command(stage, "rpush b x");
    struct buffer numbers;
    buffer_init(&numbers);
    stage_run(stage, /*keep=*/true, list_registered, &numbers);
    struct reader reader = reader_of(buffer_bytes(&numbers));
    CHECK_EQ(reader_u64(&reader), 1);
    CHECK_EQ(reader_u64(&reader), 3);
    CHECK_EQ(reader.left, 0);
    buffer_deinit(&numbers);
    stage_free(stage);
}

static void wait_on_k(struct store *store, void *arg)
{
    rr_bytes key = bytes_of("k");
    (void)arg;
    CHECK(waiter_register(store, &(struct waiter_request){.id = {1, 1, 1},
                                                          .protocol = 2,
                                                          .operation = WAITER_LIST_POP,
                                                          .parameters = {"\0", 1},
                                                          .keys = &key,
                                                          .key_count = 1}));
}

TEST(waiter, that_was_undone_was_never_there)
{
    struct stage *stage = stage_new();
    stage_run(stage, /*keep=*/false, wait_on_k, NULL);
    struct census census = census_of(stage);
    CHECK_EQ(census.records + census.places + census.nodes, 0);
    CHECK_TEXT(stage_command(stage, "rpush k x"), ":1 ");
    CHECK_TEXT(stage_order(stage), "");
    CHECK_TEXT(stage_command(stage, "llen k"), ":1 ");
    stage_free(stage);
}

TEST(waiter, waits_in_long_queues_in_order)
{
    struct stage *stage = stage_new();
    char expected[4096];
    size_t size = 0;
    for (int i = 1; i <= 300; i++) {
        wait_with(stage, "blpop k 0");
        size += (size_t)sprintf(expected + size, "%d ", i);
    }
    for (int i = 0; i < 300; i += 150) {
        char line[1024] = "rpush k";
        for (int j = 0; j < 150; j++) {
            sprintf(line + strlen(line), " %d", i + j);
        }
        stage_command(stage, line);
    }
    CHECK_TEXT(stage_order(stage), expected);
    CHECK_TEXT(stage_answer(stage, 300), "*2 $1 k $3 299 ");
    CHECK_TEXT(stage_command(stage, "exists k"), ":0 ");
    stage_free(stage);
}

/* ---- Random, against a model in memory ---- */

enum { KEYS = 5, STEPS = 3000, MODEL_WAITERS = STEPS, ELEMENTS = 64 };

/* One that waits in the model. */
struct model_waiter {
    uint64_t number;
    int keys[3];
    int key_count;
    int target; /* -1: pops */
    bool from_tail;
    bool waiting;
};

struct model {
    uint64_t random;
    int lists[KEYS][ELEMENTS * STEPS / 8];
    int begin[KEYS]; /* the list is lists[k][begin .. end) */
    int end[KEYS];
    struct model_waiter waiters[MODEL_WAITERS];
    size_t waiter_count;
    int ready[KEYS * STEPS];
    size_t ready_count;
    char expected[MODEL_WAITERS][32]; /* answers by number */
};

static unsigned below(struct model *model, unsigned bound)
{
    model->random = model->random * UINT64_C(6364136223846793005) + 1442695040888963407u;
    return (unsigned)(model->random >> 33) % bound;
}

static void model_signal(struct model *model, int key)
{
    for (size_t i = 0; i < model->ready_count; i++) {
        if (model->ready[i] == key) {
            return;
        }
    }
    model->ready[model->ready_count++] = key;
}

static void model_push(struct model *model, int key, int value)
{
    if (model->begin[key] == model->end[key]) {
        model_signal(model, key);
    }
    model->lists[key][model->end[key]++] = value;
}

static int model_pop(struct model *model, int key, bool from_tail)
{
    return from_tail ? model->lists[key][--model->end[key]]
                     : model->lists[key][model->begin[key]++];
}

static void model_serve_one(struct model *model, struct model_waiter *waiter, int key)
{
    int value = model_pop(model, key, waiter->from_tail);
    char *expected = model->expected[waiter->number];
    waiter->waiting = false;
    if (waiter->target >= 0) {
        if (waiter->target == key) {
            model->lists[key][model->end[key]++] = value;
        } else {
            model_push(model, waiter->target, value);
        }
        sprintf(expected, "$5 %d ", value);
    } else {
        sprintf(expected, "*2 $2 k%d $5 %d ", key, value);
    }
}

static void model_serve(struct model *model)
{
    while (model->ready_count > 0) {
        int key = model->ready[0];
        memmove(model->ready, model->ready + 1, --model->ready_count * sizeof(int));
        for (size_t i = 0; i < model->waiter_count; i++) {
            struct model_waiter *waiter = &model->waiters[i];
            bool on_key = false;
            for (int j = 0; j < waiter->key_count; j++) {
                on_key = on_key || waiter->keys[j] == key;
            }
            if (waiter->waiting && on_key && model->begin[key] < model->end[key]) {
                model_serve_one(model, waiter, key);
            }
        }
    }
}

/* A client pops or moves, and waits if there is nothing. */
static void random_wait(struct stage *stage, struct model *model)
{
    char line[128];
    struct model_waiter *waiter = &model->waiters[model->waiter_count++];
    *waiter = (struct model_waiter){.target = -1, .from_tail = below(model, 2) == 1};
    if (below(model, 3) == 0) {
        waiter->key_count = 1;
        waiter->keys[0] = (int)below(model, KEYS);
        waiter->target = (int)below(model, KEYS);
        sprintf(line, "blmove k%d k%d %s right 0", waiter->keys[0], waiter->target,
                waiter->from_tail ? "right" : "left");
    } else {
        sprintf(line, "%s", waiter->from_tail ? "brpop" : "blpop");
        waiter->key_count = 1 + (int)below(model, 3);
        for (int i = 0; i < waiter->key_count; i++) {
            waiter->keys[i] = (int)below(model, KEYS);
            sprintf(line + strlen(line), " k%d", waiter->keys[i]);
        }
        strcat(line, " 0");
    }
    const char *reply = stage_command(stage, line);
    waiter->number = stage_number(stage);
    for (int i = 0; i < waiter->key_count; i++) {
        int key = waiter->keys[i];
        if (model->begin[key] < model->end[key]) {
            model_serve_one(model, waiter, key);
            CHECK_TEXT(reply, model->expected[waiter->number]);
            model->expected[waiter->number][0] = '\0'; /* it came as a reply, not as an event */
            model_serve(model);
            return;
        }
    }
    CHECK_TEXT(reply, "waits");
    waiter->waiting = true;
}

/* Pushes to some keys, and may delete one, in one transaction. */
static void random_push(struct stage *stage, struct model *model, int *next_value)
{
    char lines[512] = "";
    unsigned count = 1 + below(model, 3);
    for (unsigned i = 0; i < count; i++) {
        int key = (int)below(model, KEYS);
        if (below(model, 8) == 0) {
            sprintf(lines + strlen(lines), "%sdel k%d", i == 0 ? "" : "\n", key);
            model->begin[key] = model->end[key];
            continue;
        }
        sprintf(lines + strlen(lines), "%srpush k%d", i == 0 ? "" : "\n", key);
        for (unsigned j = 1 + below(model, 3); j > 0; j--) {
            sprintf(lines + strlen(lines), " %d", *next_value);
            model_push(model, key, (*next_value)++);
        }
    }
    stage_exec(stage, lines);
    model_serve(model);
}

static void random_cancel(struct stage *stage, struct model *model)
{
    struct model_waiter *waiter = &model->waiters[below(model, (unsigned)model->waiter_count)];
    CHECK_EQ(cancel_number(stage, waiter->number), waiter->waiting);
    waiter->waiting = false;
}

static void check_model(struct stage *stage, const struct model *model, uint64_t numbers)
{
    size_t waiting = 0;
    for (uint64_t number = 1; number <= numbers; number++) {
        const char *expected = model->expected[number];
        CHECK_TEXT(stage_answer(stage, number), expected[0] == '\0' ? NULL : expected);
    }
    for (size_t i = 0; i < model->waiter_count; i++) {
        waiting += model->waiters[i].waiting ? 1 : 0;
    }
    CHECK_EQ(census_of(stage).records, waiting);
    for (int key = 0; key < KEYS; key++) {
        char line[32];
        char expected[32];
        sprintf(line, "llen k%d", key);
        sprintf(expected, ":%d ", model->end[key] - model->begin[key]);
        CHECK_TEXT(stage_exec(stage, line), expected);
    }
}

TEST(waiter, random_waits_pushes_and_cancels_agree_with_a_model)
{
    struct stage *stage = stage_new();
    struct model *model = calloc(1, sizeof(*model));
    CHECK(model != NULL);
    model->random = test_seed(7);
    int next_value = 10000;
    for (int i = 0; i < STEPS; i++) {
        unsigned choice = below(model, 16);
        if (choice < 8) {
            random_wait(stage, model);
        } else if (choice < 14) {
            random_push(stage, model, &next_value);
        } else if (model->waiter_count > 0) {
            random_cancel(stage, model);
        }
    }
    check_model(stage, model, stage_number(stage));
    stage_check(stage);
    free(model);
    stage_free(stage);
}
