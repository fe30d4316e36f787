/* Sorted sets: commands that read by member, at random or as a scan. */
#include "coredb/base/number.h"
#include "coredb/command/named.h"
#include "coredb/command/zset.h"

void command_zcard(struct exec *exec)
{
    struct key key;
    if (exec_open(exec, 1, VALUE_ZSET, &key)) {
        reply_integer(exec->reply, (int64_t)key.count);
    }
    key_close(&key);
}

static void reply_score(struct exec *exec, const struct key *key, rr_bytes member)
{
    double score;
    if (zset_find(exec->store, key, member, &score)) {
        reply_double(exec->reply, score);
    } else {
        reply_null(exec->reply);
    }
}

void command_zscore(struct exec *exec)
{
    struct key key;
    if (exec_open(exec, 1, VALUE_ZSET, &key)) {
        reply_score(exec, &key, exec->argv[2]);
    }
    key_close(&key);
}

void command_zmscore(struct exec *exec)
{
    struct key key;
    if (exec_open(exec, 1, VALUE_ZSET, &key)) {
        reply_array(exec->reply, exec->argc - 2);
        for (size_t i = 2; i < exec->argc; i++) {
            reply_score(exec, &key, exec->argv[i]);
        }
    }
    key_close(&key);
}

static void answer_rank(struct exec *exec, bool reverse)
{
    struct key key;
    if (exec_open(exec, 1, VALUE_ZSET, &key)) {
        double score;
        if (zset_find(exec->store, &key, exec->argv[2], &score)) {
            uint64_t rank = zset_rank(exec->store, &key, exec->argv[2], score);
            reply_integer(exec->reply, (int64_t)(reverse ? key.count - 1 - rank : rank));
        } else {
            reply_null(exec->reply);
        }
    }
    key_close(&key);
}

void command_zrank(struct exec *exec)
{
    answer_rank(exec, false);
}

void command_zrevrank(struct exec *exec)
{
    answer_rank(exec, true);
}

/* ---- ZRANDMEMBER, ZSCAN ---- */

static struct named members_of(const struct key *key)
{
    return (struct named){LAYOUT_ZSET, key->object};
}

static double stored_score(rr_bytes value)
{
    return value.size == sizeof(uint64_t) ? zset_score_decode(layout_u64_at(value, 0)) : 0;
}

static void reply_stored_double(struct reply *reply, rr_bytes value)
{
    reply_double(reply, stored_score(value));
}

/* ZSCAN's scores are strings in RESP3, too. */
static void reply_stored_text(struct reply *reply, rr_bytes value)
{
    char text[NUMBER_TEXT_MAX];
    size_t size = number_print_double(stored_score(value), text);
    reply_bulk(reply, (rr_bytes){text, size});
}

/* The same of a small sorted set: Redis keeps whole numbers in it as integers, and shows them so. */
static void reply_compact_text(struct reply *reply, rr_bytes value)
{
    double score = stored_score(value);
    double limit = (double)(INT64_MAX / 2);
    if (score >= -limit && score <= limit && score == (double)(int64_t)score) {
        reply_bulk_integer(reply, (int64_t)score);
    } else {
        reply_stored_text(reply, value);
    }
}

void command_zrandmember(struct exec *exec)
{
    struct named_random wanted;
    if (!named_random_arguments(exec, "withscores", &wanted)) {
        return;
    }
    struct key key;
    if (exec_open(exec, 1, VALUE_ZSET, &key)) {
        named_random_reply(exec, &key, members_of(&key), &wanted, reply_stored_double);
    }
    key_close(&key);
}

void command_zscan(struct exec *exec)
{
    uint64_t cursor;
    if (!exec_cursor(exec, 2, &cursor)) {
        return;
    }
    struct key key;
    if (exec_open(exec, 1, VALUE_ZSET, &key)) {
        named_scan_reply(exec, &key, members_of(&key), cursor,
                         key.encoding == ENCODING_LISTPACK ? reply_compact_text
                                                           : reply_stored_text);
    }
    key_close(&key);
}
