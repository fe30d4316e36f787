/* Streams and groups of consumers. Replies in the wide are compared with redis-server by the
 * differential test. */
#include "dice.h"
#include "stage.h"

#include "coredb/value/stream_group.h"
#include "support/test.h"

#include <stdio.h>
#include <string.h>

static const char *run(struct stage *stage, const char *line)
{
    return stage_exec(stage, line);
}

static void add_many(struct stage *stage, const char *key, int from, int to)
{
    char line[64];
    for (int i = from; i <= to; i++) {
        snprintf(line, sizeof line, "xadd %s %d-0 f v", key, i);
        run(stage, line);
    }
}

/* ---- Entries ---- */

TEST(stream, ids_ascend_whatever_the_clock_says)
{
    struct stage *stage = stage_new();
    stage_set_time(stage, 5000000);
    CHECK_TEXT(run(stage, "xadd s * a b"), "$9 5000000-0 ");
    CHECK_TEXT(run(stage, "xadd s * a b"), "$9 5000000-1 ");
    CHECK_TEXT(run(stage, "xadd s 5000000-* a b"), "$9 5000000-2 ");
    CHECK_TEXT(run(stage, "xadd s 5000001-* a b"), "$9 5000001-0 ");
    CHECK_TEXT(run(stage, "xadd s * a b"), "$9 5000001-1 ");
    CHECK_TEXT(
        run(stage, "xadd s 5000001-1 a b"),
        "-ERR The ID specified in XADD is equal or smaller than the target stream top item ");
    CHECK_TEXT(
        run(stage, "xadd s 4-* a b"),
        "-ERR The ID specified in XADD is equal or smaller than the target stream top item ");
    CHECK_TEXT(run(stage, "xadd s 6000000-18446744073709551615 a b"),
               "$28 6000000-18446744073709551615 ");
    CHECK_TEXT(run(stage, "xadd s * a b"), "$9 6000001-0 ");
    CHECK_TEXT(run(stage, "xadd s 18446744073709551615-18446744073709551615 a b"),
               "$41 18446744073709551615-18446744073709551615 ");
    CHECK_TEXT(run(stage, "xadd s * a b"),
               "-ERR The stream has exhausted the last possible ID, unable to add more items ");
    CHECK_TEXT(run(stage, "xlen s"), ":8 ");
    stage_free(stage);
}

TEST(stream, a_refused_entry_makes_no_stream)
{
    struct stage *stage = stage_new();
    CHECK_TEXT(run(stage, "xadd s 0-0 a b"),
               "-ERR The ID specified in XADD must be greater than 0-0 ");
    CHECK_TEXT(run(stage, "xadd s * a"), "-ERR wrong number of arguments for 'xadd' command ");
    CHECK_TEXT(run(stage, "xadd s nomkstream * a b"), "$-1 ");
    CHECK_TEXT(run(stage, "xadd s maxlen 2 minid 3 * a b"),
               "-ERR syntax error, MAXLEN and MINID options at the same time are not compatible ");
    CHECK_TEXT(run(stage, "xadd s maxlen = 2 limit 5 * a b"),
               "-ERR syntax error, LIMIT cannot be used without the special ~ option ");
    CHECK_TEXT(run(stage, "xadd s 1-2-3 a b"),
               "-ERR Invalid stream ID specified as stream command argument ");
    CHECK_TEXT(run(stage, "exists s"), ":0 ");
    CHECK_TEXT(run(stage, "xadd s 0-* a b"), "$3 0-1 ");
    CHECK_TEXT(run(stage, "object encoding s"), "$6 stream ");
    CHECK_TEXT(run(stage, "type s"), "+stream ");
    stage_free(stage);
}

TEST(stream, ranges_with_partial_and_excluded_ids)
{
    struct stage *stage = stage_new();
    run(stage, "xadd s 1-1 a 1");
    run(stage, "xadd s 1-2 b 2 c 3");
    run(stage, "xadd s 2-0 d 4");
    CHECK_TEXT(run(stage, "xrange s - +"), "*3 *2 $3 1-1 *2 $1 a $1 1 *2 $3 1-2 *4 $1 b $1 2 $1 c "
                                           "$1 3 *2 $3 2-0 *2 $1 d $1 4 ");
    CHECK_TEXT(run(stage, "xrange s 1 1 count 1"), "*1 *2 $3 1-1 *2 $1 a $1 1 ");
    CHECK_TEXT(run(stage, "xrevrange s 1 - count 1"), "*1 *2 $3 1-2 *4 $1 b $1 2 $1 c $1 3 ");
    CHECK_TEXT(run(stage, "xrange s (1-1 (2-0"), "*1 *2 $3 1-2 *4 $1 b $1 2 $1 c $1 3 ");
    CHECK_TEXT(run(stage, "xrange s (1-1 (1-2"), "*0 ");
    CHECK_TEXT(run(stage, "xrange s - + count 0"), "*-1 ");
    CHECK_TEXT(run(stage, "xrange s - (0-0"), "-ERR invalid end ID for the interval ");
    CHECK_TEXT(run(stage, "xrange s (18446744073709551615-18446744073709551615 +"),
               "-ERR invalid start ID for the interval ");
    CHECK_TEXT(run(stage, "xrange s (- +"),
               "-ERR Invalid stream ID specified as stream command argument ");
    stage_free(stage);
}

TEST(stream, an_emptied_stream_stays_and_remembers)
{
    struct stage *stage = stage_new();
    add_many(stage, "s", 1, 3);
    CHECK_TEXT(run(stage, "xdel s 2-0 2-0 9-9"), ":1 ");
    CHECK_TEXT(run(stage, "xdel s 1-0 3-0"), ":2 ");
    CHECK_TEXT(run(stage, "xlen s"), ":0 ");
    CHECK_TEXT(run(stage, "exists s"), ":1 ");
    CHECK_TEXT(
        run(stage, "xadd s 3-0 a b"),
        "-ERR The ID specified in XADD is equal or smaller than the target stream top item ");
    CHECK_TEXT(run(stage, "xinfo stream s"),
               "*20 $6 length :0 $15 radix-tree-keys :0 $16 radix-tree-nodes :1 "
               "$17 last-generated-id $3 3-0 $20 max-deleted-entry-id $3 3-0 $13 entries-added :3 "
               "$23 recorded-first-entry-id $3 0-0 $6 groups :0 $11 first-entry $-1 "
               "$10 last-entry $-1 ");
    stage_free(stage);
}

TEST(stream, xsetid_keeps_ids_above_the_entries)
{
    struct stage *stage = stage_new();
    add_many(stage, "s", 1, 3);
    CHECK_TEXT(run(stage, "xsetid s 2-9"),
               "-ERR The ID specified in XSETID is smaller than the target stream top item ");
    CHECK_TEXT(run(stage, "xsetid s 9-0 entriesadded 2"),
               "-ERR The entries_added specified in XSETID is smaller than the target stream "
               "length ");
    CHECK_TEXT(run(stage, "xsetid s 9-0 maxdeletedid 9-1"),
               "-ERR The ID specified in XSETID is smaller than the provided "
               "max_deleted_entry_id ");
    CHECK_TEXT(run(stage, "xsetid none 9-0"), "-ERR no such key ");
    CHECK_TEXT(run(stage, "xsetid s 9-0 entriesadded 7 maxdeletedid 8-0"), "+OK ");
    CHECK_TEXT(run(stage, "xadd s 9-* a b"), "$3 9-1 ");
    stage_free(stage);
}

/* ---- Trimming ---- */

TEST(stream, trims_exactly_by_length_and_by_id)
{
    struct stage *stage = stage_new();
    add_many(stage, "s", 1, 10);
    CHECK_TEXT(run(stage, "xtrim s maxlen 10"), ":0 ");
    CHECK_TEXT(run(stage, "xtrim s maxlen = 7"), ":3 ");
    CHECK_TEXT(run(stage, "xtrim s minid 6"), ":2 ");
    CHECK_TEXT(run(stage, "xrange s - + count 1"), "*1 *2 $3 6-0 *2 $1 f $1 v ");
    CHECK_TEXT(run(stage, "xadd s maxlen 1 11-0 g w"), "$4 11-0 ");
    CHECK_TEXT(run(stage, "xrange s - +"), "*1 *2 $4 11-0 *2 $1 g $1 w ");
    CHECK_TEXT(run(stage, "xadd s minid 99 12-0 g w"), "$4 12-0 ");
    CHECK_TEXT(run(stage, "xlen s"), ":0 ");
    CHECK_TEXT(run(stage, "xtrim none maxlen 0"), ":0 ");
    stage_free(stage);
}

TEST(stream, trims_approximately_by_whole_nodes_as_redis)
{
    struct stage *stage = stage_new();
    add_many(stage, "s", 1, 250);
    CHECK_TEXT(run(stage, "xtrim s maxlen 220"), ":30 ");
    CHECK_TEXT(run(stage, "xtrim s maxlen ~ 160"), ":0 ");
    CHECK_TEXT(run(stage, "xtrim s maxlen ~ 150"), ":70 ");
    CHECK_TEXT(run(stage, "xtrim s minid ~ 150"), ":0 ");
    CHECK_TEXT(run(stage, "xtrim s minid ~ 201 limit 50"), ":0 ");
    CHECK_TEXT(run(stage, "xtrim s minid ~ 201 limit 100"), ":100 ");
    CHECK_TEXT(run(stage, "xtrim s minid ~ 250"), ":0 ");
    CHECK_TEXT(run(stage, "xtrim s minid ~ 251"), ":50 ");
    stage_free(stage);
}

TEST(stream, an_approximate_trim_has_a_limit_unless_told_otherwise)
{
    struct stage *stage = stage_new();
    add_many(stage, "s", 1, 10150);
    CHECK_TEXT(run(stage, "xtrim s maxlen ~ 0"), ":10000 ");
    add_many(stage, "s", 10151, 20250);
    CHECK_TEXT(run(stage, "xtrim s maxlen ~ 0 limit 0"), ":10250 ");
    stage_free(stage);
}

/* ---- Reading ---- */

TEST(stream, reads_what_lies_after_an_id)
{
    struct stage *stage = stage_new();
    run(stage, "xadd a 1-0 f v");
    run(stage, "xadd b 2-0 f v");
    run(stage, "xadd b 3-0 f v");
    CHECK_TEXT(run(stage, "xread streams a b none 0 2-0 0"),
               "*2 *2 $1 a *1 *2 $3 1-0 *2 $1 f $1 v *2 $1 b *1 *2 $3 3-0 *2 $1 f $1 v ");
    CHECK_TEXT(run(stage, "xread count 1 streams b 0"), "*1 *2 $1 b *1 *2 $3 2-0 *2 $1 f $1 v ");
    CHECK_TEXT(run(stage, "xread streams a b $ 3-0"), "*-1 ");
    CHECK_TEXT(run(stage, "xread streams a 18446744073709551615-18446744073709551615"), "*-1 ");
    CHECK_TEXT(run(stage, "xread streams a b 0"),
               "-ERR Unbalanced XREAD list of streams: for each stream key an ID or '$' must be "
               "specified. ");
    CHECK_TEXT(
        run(stage, "xread streams a >"),
        "-ERR The > ID can be specified only when calling XREADGROUP using the GROUP <group> "
        "<consumer> option. ");
    stage_free(stage);
}

TEST(stream, a_group_delivers_each_entry_once_and_keeps_it_pending)
{
    struct stage *stage = stage_new();
    add_many(stage, "s", 1, 3);
    CHECK_TEXT(run(stage, "xreadgroup group g c streams s >"),
               "-NOGROUP No such key 's' or consumer group 'g' in XREADGROUP with GROUP option ");
    CHECK_TEXT(run(stage, "xgroup create s g 0"), "+OK ");
    CHECK_TEXT(run(stage, "xgroup create s g 0"), "-BUSYGROUP Consumer Group name already exists ");
    CHECK_TEXT(run(stage, "xreadgroup group g c count 2 streams s >"),
               "*1 *2 $1 s *2 *2 $3 1-0 *2 $1 f $1 v *2 $3 2-0 *2 $1 f $1 v ");
    CHECK_TEXT(run(stage, "xreadgroup group g d noack streams s >"),
               "*1 *2 $1 s *1 *2 $3 3-0 *2 $1 f $1 v ");
    CHECK_TEXT(run(stage, "xreadgroup group g d streams s >"), "*-1 ");
    CHECK_TEXT(run(stage, "xpending s g"), "*4 :2 $3 1-0 $3 2-0 *1 *2 $1 c $1 2 ");
    CHECK_TEXT(run(stage, "xreadgroup group g c streams s 1-0"),
               "*1 *2 $1 s *1 *2 $3 2-0 *2 $1 f $1 v ");
    CHECK_TEXT(run(stage, "xreadgroup group g d streams s 0"), "*1 *2 $1 s *0 ");
    CHECK_TEXT(run(stage, "xpending s g - + 10"), "*2 *4 $3 1-0 $1 c :0 :1 *4 $3 2-0 $1 c :0 :2 ");
    CHECK_TEXT(run(stage, "xack s g 1-0 1-0 9-0"), ":1 ");
    CHECK_TEXT(run(stage, "xack s none 1-0"), ":0 ");
    CHECK_TEXT(run(stage, "xpending s g"), "*4 :1 $3 2-0 $3 2-0 *1 *2 $1 c $1 1 ");
    CHECK_TEXT(run(stage, "xgroup delconsumer s g c"), ":1 ");
    CHECK_TEXT(run(stage, "xpending s g"), "*4 :0 $-1 $-1 *-1 ");
    CHECK_TEXT(run(stage, "xgroup destroy s g"), ":1 ");
    CHECK_TEXT(run(stage, "xgroup destroy s g"), ":0 ");
    CHECK_TEXT(run(stage, "xinfo groups s"), "*0 ");
    stage_free(stage);
}

TEST(stream, a_pending_entry_that_was_deleted_is_told_by_its_id)
{
    struct stage *stage = stage_new();
    add_many(stage, "s", 1, 3);
    run(stage, "xgroup create s g 0");
    run(stage, "xreadgroup group g c streams s >");
    run(stage, "xdel s 1-0 2-0");
    CHECK_TEXT(run(stage, "xreadgroup group g c count 2 streams s 0"),
               "*1 *2 $1 s *2 *2 $3 1-0 *-1 *2 $3 2-0 *-1 ");
    CHECK_TEXT(run(stage, "xclaim s g d 0 1-0"), "*0 ");
    CHECK_TEXT(run(stage, "xautoclaim s g d 0 0 count 1"), "*3 $3 3-0 *0 *1 $3 2-0 ");
    CHECK_TEXT(run(stage, "xinfo consumers s g"), "*1 *6 $4 name $1 c $7 pending :1 $4 idle :0 ");
    CHECK_TEXT(run(stage, "xautoclaim s g d 0 0 justid"), "*3 $3 0-0 *1 $3 3-0 *0 ");
    CHECK_TEXT(run(stage, "xpending s g - + 10"), "*1 *4 $3 3-0 $1 d :0 :1 ");
    stage_free(stage);
}

TEST(stream, claims_respect_idle_time_and_count_deliveries)
{
    struct stage *stage = stage_new();
    add_many(stage, "s", 1, 3);
    run(stage, "xgroup create s g 0");
    run(stage, "xreadgroup group g c count 2 streams s >");
    stage_set_time(stage, 1000500);
    CHECK_TEXT(run(stage, "xclaim s g d 501 1-0 2-0"), "*0 ");
    CHECK_TEXT(run(stage, "xclaim s g d 500 1-0 3-0"), "*1 *2 $3 1-0 *2 $1 f $1 v ");
    CHECK_TEXT(run(stage, "xclaim s g d 0 3-0 force justid"), "*1 $3 3-0 ");
    CHECK_TEXT(run(stage, "xclaim s g d 0 9-0 force"), "*0 ");
    CHECK_TEXT(run(stage, "xclaim s g d 0 2-0 idle 100 retrycount 7 justid"), "*1 $3 2-0 ");
    CHECK_TEXT(run(stage, "xpending s g - + 10"),
               "*3 *4 $3 1-0 $1 d :0 :2 *4 $3 2-0 $1 d :100 :7 *4 $3 3-0 $1 d :0 :1 ");
    CHECK_TEXT(run(stage, "xpending s g idle 100 - + 10 d"), "*1 *4 $3 2-0 $1 d :100 :7 ");
    CHECK_TEXT(run(stage, "xpending s g - + 10 c"), "*0 ");
    CHECK_TEXT(run(stage, "xclaim s g d 0 1-0 time 99999999999999 lastid 7-0 justid"),
               "*1 $3 1-0 ");
    CHECK_TEXT(run(stage, "xpending s g (1-0 (3-0 10"), "*1 *4 $3 2-0 $1 d :100 :7 ");
    CHECK_TEXT(run(stage, "xinfo groups s"),
               "*1 *12 $4 name $1 g $9 consumers :2 $7 pending :3 $17 last-delivered-id $3 7-0 "
               "$12 entries-read :2 $3 lag :1 ");
    stage_free(stage);
}

TEST(stream, lag_is_told_only_where_it_is_known)
{
    struct stage *stage = stage_new();
    add_many(stage, "s", 1, 3);
    run(stage, "xdel s 2-0");
    run(stage, "xgroup create s start 0");
    run(stage, "xgroup create s end $");
    CHECK_TEXT(run(stage, "xinfo groups s"),
               "*2 *12 $4 name $3 end $9 consumers :0 $7 pending :0 $17 last-delivered-id $3 3-0 "
               "$12 entries-read $-1 $3 lag :0 *12 $4 name $5 start $9 consumers :0 $7 pending :0 "
               "$17 last-delivered-id $3 0-0 $12 entries-read $-1 $3 lag $-1 ");
    run(stage, "xreadgroup group start c streams s >");
    run(stage, "xgroup destroy s end");
    CHECK_TEXT(run(stage, "xinfo groups s"),
               "*1 *12 $4 name $5 start $9 consumers :1 $7 pending :2 $17 last-delivered-id $3 3-0 "
               "$12 entries-read :3 $3 lag :0 ");
    stage_free(stage);
}

TEST(stream, nothing_of_a_deleted_stream_comes_back)
{
    struct stage *stage = stage_new();
    add_many(stage, "s", 1, 200);
    run(stage, "xgroup create s g 0");
    run(stage, "xreadgroup group g c streams s >");
    CHECK_TEXT(run(stage, "copy s t"), ":1 ");
    run(stage, "del s");
    run(stage, "xadd s 5-0 a b");
    CHECK_TEXT(run(stage, "xrange s - +"), "*1 *2 $3 5-0 *2 $1 a $1 b ");
    CHECK_TEXT(run(stage, "xinfo groups s"), "*0 ");
    CHECK_TEXT(run(stage, "xlen t"), ":200 ");
    CHECK_TEXT(run(stage, "xack t g 7-0"), ":1 ");
    CHECK_TEXT(run(stage, "xpending t g"), "*4 :199 $3 1-0 $5 200-0 *1 *2 $1 c $3 199 ");
    stage_free(stage);
}

/* ---- Waiting ---- */

TEST(stream, who_waits_gets_the_entries_that_come)
{
    struct stage *stage = stage_new();
    run(stage, "xadd a 1-0 f v");
    CHECK_TEXT(stage_command(stage, "xread block 0 count 1 streams a b $ $"), "waits");
    uint64_t first = stage_number(stage);
    CHECK_TEXT(stage_command(stage, "xread block 0 streams a 5-0"), "waits");
    uint64_t second = stage_number(stage);
    run(stage, "xadd a 2-0 f v\nxadd a 3-0 f v");
    CHECK_TEXT(stage_answer(stage, first), "*1 *2 $1 a *1 *2 $3 2-0 *2 $1 f $1 v ");
    CHECK(stage_answer(stage, second) == NULL);
    run(stage, "xadd a 6-0 f v");
    CHECK_TEXT(stage_answer(stage, second), "*1 *2 $1 a *1 *2 $3 6-0 *2 $1 f $1 v ");
    CHECK_TEXT(stage_exec(stage, "xread block 0 streams a $"), "*-1 ");
    stage_free(stage);
}

TEST(stream, waiting_consumers_share_the_entries)
{
    struct stage *stage = stage_new();
    run(stage, "xgroup create s g $ mkstream");
    CHECK_TEXT(stage_command(stage, "xreadgroup group g c block 0 count 1 streams s >"), "waits");
    uint64_t first = stage_number(stage);
    CHECK_TEXT(stage_command(stage, "xreadgroup group g d block 0 noack streams s >"), "waits");
    uint64_t second = stage_number(stage);
    run(stage, "xadd s 1-0 f v\nxadd s 2-0 f v");
    CHECK_TEXT(stage_answer(stage, first), "*1 *2 $1 s *1 *2 $3 1-0 *2 $1 f $1 v ");
    CHECK_TEXT(stage_answer(stage, second), "*1 *2 $1 s *1 *2 $3 2-0 *2 $1 f $1 v ");
    CHECK_TEXT(run(stage, "xpending s g"), "*4 :1 $3 1-0 $3 1-0 *1 *2 $1 c $1 1 ");
    stage_free(stage);
}

TEST(stream, a_waiting_consumer_learns_that_stream_or_group_has_gone)
{
    struct stage *stage = stage_new();
    static const char *const losses[][2] = {
        {"del s", "-UNBLOCKED the stream key no longer exists "},
        {"set s x", "-UNBLOCKED the stream key no longer exists "},
        {"rename s t", "-UNBLOCKED the stream key no longer exists "},
        {"flushall", "-UNBLOCKED the stream key no longer exists "},
        {"xgroup destroy s g",
         "-NOGROUP the consumer group this client was blocked on no longer exists "},
    };
    for (size_t i = 0; i < sizeof losses / sizeof *losses; i++) {
        run(stage, "del s t");
        run(stage, "xgroup create s g $ mkstream");
        CHECK_TEXT(stage_command(stage, "xreadgroup group g c block 0 streams s >"), "waits");
        uint64_t waiter = stage_number(stage);
        run(stage, losses[i][0]);
        CHECK_TEXT(stage_answer(stage, waiter), losses[i][1]);
    }
    stage_free(stage);
}

/* ---- Against a model ---- */

enum { IDS = 40, CONSUMERS = 3 };

/* One stream with one group, ids i-0. */
struct model {
    bool exists[IDS + 1];
    int owner[IDS + 1]; /* a consumer + 1, 0: not pending */
    int top;
    int delivered;
};

static int model_pending(const struct model *model, int owner)
{
    int count = 0;
    for (int i = 1; i <= IDS; i++) {
        count += model->owner[i] != 0 && (owner == 0 || model->owner[i] == owner) ? 1 : 0;
    }
    return count;
}

static void model_step(struct stage *stage, struct model *model, struct dice *dice)
{
    char line[128];
    char wanted[32];
    int consumer = dice_below(dice, CONSUMERS);
    int id = 1 + dice_below(dice, IDS);
    switch (dice_below(dice, 6)) {
    case 0:
    case 1:
        if (model->top < IDS) {
            snprintf(line, sizeof line, "xadd s %d-0 f v", ++model->top);
            run(stage, line);
            model->exists[model->top] = true;
        }
        return;
    case 2:
        snprintf(line, sizeof line, "xdel s %d-0", id);
        CHECK_TEXT(run(stage, line), model->exists[id] ? ":1 " : ":0 ");
        model->exists[id] = false;
        return;
    case 3:
        snprintf(line, sizeof line, "xreadgroup group g c%d count 1 streams s >", consumer);
        run(stage, line);
        for (int i = model->delivered + 1; i <= model->top; i++) {
            if (model->exists[i]) {
                model->delivered = i;
                model->owner[i] = consumer + 1;
                return;
            }
        }
        return;
    case 4:
        snprintf(line, sizeof line, "xack s g %d-0", id);
        CHECK_TEXT(run(stage, line), model->owner[id] != 0 ? ":1 " : ":0 ");
        model->owner[id] = 0;
        return;
    default:
        snprintf(line, sizeof line, "xclaim s g c%d 0 %d-0 justid", consumer, id);
        snprintf(wanted, sizeof wanted, "*1 $%d %d-0 ", id < 10 ? 3 : 4, id);
        bool claimed = model->exists[id] && model->owner[id] != 0;
        CHECK_TEXT(run(stage, line), claimed ? wanted : "*0 ");
        model->owner[id] = claimed ? consumer + 1 : model->exists[id] ? model->owner[id] : 0;
        return;
    }
}

static void model_check(struct stage *stage, const struct model *model)
{
    char line[128];
    char wanted[64];
    int length = 0;
    for (int i = 1; i <= IDS; i++) {
        length += model->exists[i] ? 1 : 0;
    }
    snprintf(wanted, sizeof wanted, ":%d ", length);
    CHECK_TEXT(run(stage, "xlen s"), wanted);
    snprintf(wanted, sizeof wanted, "*4 :%d ", model_pending(model, 0));
    CHECK_EQ(strncmp(run(stage, "xpending s g"), wanted, strlen(wanted)), 0);
    for (int c = 0; c < CONSUMERS; c++) {
        snprintf(line, sizeof line, "xpending s g - + 100 c%d", c);
        snprintf(wanted, sizeof wanted, "*%d ", model_pending(model, c + 1));
        CHECK_EQ(strncmp(run(stage, line), wanted, strlen(wanted)), 0);
        snprintf(line, sizeof line, "$2 c%d $7 pending :%d ", c, model_pending(model, c + 1));
        if (model_pending(model, c + 1) > 0) {
            CHECK(strstr(run(stage, "xinfo consumers s g"), line) != NULL);
        }
    }
}

static bool tally_entry(void *arg, struct stream_id id, rr_bytes entry)
{
    struct stream *seen = arg;
    (void)entry;
    seen->first = seen->added == 0 ? id : seen->first;
    seen->added++;
    return true;
}

/* The counts of stream "s" and of its groups agree with what is stored. */
static void check_stored(struct store *store, void *arg)
{
    struct key key;
    struct stream stream;
    struct stream seen = {0};
    (void)arg;
    key_open(store, (rr_bytes){"s", 1}, &key);
    stream_load(&stream, &key);
    CHECK(stream_groups_check(store, &stream));
    struct stream all = stream;
    all.first = STREAM_ID_MIN; /* where a range begins */
    stream_range(store, &all, STREAM_ID_MIN, STREAM_ID_MAX, false, tally_entry, &seen);
    CHECK_EQ(seen.added, key.count);
    CHECK_EQ(stream_id_compare(seen.first, stream.first), 0);
    key_close(&key);
}

TEST(stream, groups_agree_with_a_model)
{
    struct dice dice = {test_seed(21)};
    struct stage *stage = stage_new();
    for (int round = 0; round < 20; round++) {
        struct model model = {0};
        run(stage, "del s");
        run(stage, "xgroup create s g 0 mkstream");
        for (int i = 0; i < 150; i++) {
            model_step(stage, &model, &dice);
            model_check(stage, &model);
            stage_run(stage, /*keep=*/false, check_stored, NULL);
        }
    }
    stage_free(stage);
}
