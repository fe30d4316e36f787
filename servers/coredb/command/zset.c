/* Sorted sets: commands that write by member, pops, what the other files share, and the rows. */
#include "coredb/command/zset.h"

#include "coredb/base/bytes.h"
#include "coredb/base/number.h"

#include <math.h>
#include <stdlib.h>

/* ---- Replies ---- */

void zset_reply_begin(struct reply *reply, uint64_t count, bool with_scores)
{
    reply_array(reply, with_scores && reply->protocol == 2 ? count * 2 : count);
}

void zset_reply_end(struct reply *reply, size_t mark, uint64_t count, bool with_scores)
{
    reply_array_end(reply, mark, with_scores && reply->protocol == 2 ? count * 2 : count);
}

void zset_reply_member(struct reply *reply, rr_bytes member, double score, bool with_scores)
{
    if (with_scores && reply->protocol != 2) {
        reply_array(reply, 2);
    }
    reply_bulk(reply, member);
    if (with_scores) {
        reply_double(reply, score);
    }
}

void zset_reply_entries(struct exec *exec, const struct zset_entries *entries, bool with_scores)
{
    zset_reply_begin(exec->reply, entries->count, with_scores);
    for (size_t i = 0; i < entries->count; i++) {
        const struct zset_entry *entry = &entries->list[i];
        zset_reply_member(exec->reply, zset_entry_member(entry), entry->score, with_scores);
    }
}

/* ---- Writing ---- */

void zset_store_entries(struct exec *exec, size_t i, struct zset_entries *entries,
                        const char *event)
{
    struct key key;
    key_open(exec->store, exec->argv[i], &key);
    bool existed = key.type != VALUE_NONE;
    zset_entries_store(exec->store, &key, entries);
    if (entries->count > 0) {
        key_notify(exec->store, &key, NOTIFY_ZSET, event);
        key_signal_ready(exec->store, &key);
    } else if (existed) {
        key_notify(exec->store, &key, NOTIFY_GENERIC, "del");
    }
    reply_integer(exec->reply, (int64_t)entries->count);
    key_close(&key);
}

/* Saves a key that lost members and tells of it. */
static void save_smaller(struct store *store, struct key *key, const char *event)
{
    bool gone = key_save(store, key);
    key_notify(store, key, NOTIFY_ZSET, event);
    if (gone) {
        key_notify(store, key, NOTIFY_GENERIC, "del");
    }
}

/* What became of the pairs of one ZADD. */
struct addition {
    uint64_t added;
    uint64_t updated;
    uint64_t processed; /* not refused by an option */
    double score;       /* of the last one processed */
    bool not_a_number;  /* an increment refused; nothing was changed */
};

static void update_one(struct exec *exec, struct key *key, uint32_t flags, rr_bytes member,
                       double score, double old, struct addition *addition)
{
    if ((flags & ZSET_ADD_NX) != 0) {
        return;
    }
    if ((flags & ZSET_ADD_INCR) != 0) {
        score += old;
        if (isnan(score)) {
            addition->not_a_number = true;
            return;
        }
    }
    if (((flags & ZSET_ADD_GT) != 0 && score <= old) ||
        ((flags & ZSET_ADD_LT) != 0 && score >= old)) {
        return;
    }
    addition->processed++;
    addition->score = score;
    if (score != old) {
        zset_change(exec->store, key, member, old, score);
        addition->updated++;
    }
}

static void add_one(struct exec *exec, struct key *key, uint32_t flags, rr_bytes member,
                    double score, struct addition *addition)
{
    double old;
    if (zset_find(exec->store, key, member, &old)) {
        update_one(exec, key, flags, member, score, old, addition);
    } else if ((flags & ZSET_ADD_XX) == 0) {
        zset_add(exec->store, key, member, score);
        addition->added++;
        addition->processed++;
        addition->score = score;
    }
}

static void answer_addition(struct exec *exec, uint32_t flags, const struct addition *addition)
{
    if (addition->not_a_number) {
        reply_error(exec->reply, "ERR resulting score is not a number (NaN)");
    } else if ((flags & ZSET_ADD_INCR) == 0) {
        bool changed = (flags & ZSET_ADD_CH) != 0;
        reply_integer(exec->reply, (int64_t)(addition->added + (changed ? addition->updated : 0)));
    } else if (addition->processed > 0) {
        reply_double(exec->reply, addition->score);
    } else {
        reply_null(exec->reply);
    }
}

void zset_add_all(struct exec *exec, uint32_t flags, const double *scores, size_t member,
                  size_t step, size_t count)
{
    struct key key;
    if (!exec_open(exec, 1, VALUE_ZSET, &key)) {
        key_close(&key);
        return;
    }
    struct addition addition = {.added = 0};
    bool created = key.type == VALUE_NONE && (flags & ZSET_ADD_XX) == 0;
    if (created) {
        key_create(exec->store, &key, VALUE_ZSET, ENCODING_LISTPACK);
    }
    for (size_t i = 0; i < count && key.type == VALUE_ZSET; i++) {
        add_one(exec, &key, flags, exec->argv[member + i * step], scores[i], &addition);
    }
    if (addition.added + addition.updated > 0) {
        key_save(exec->store, &key);
        key_notify(exec->store, &key, NOTIFY_ZSET, (flags & ZSET_ADD_INCR) != 0 ? "zincr" : "zadd");
        if (created) {
            key_signal_ready(exec->store, &key);
        }
    }
    answer_addition(exec, flags, &addition);
    key_close(&key);
}

/* ---- ZADD, ZINCRBY ---- */

static uint32_t add_option(const struct exec *exec, size_t i)
{
    static const struct {
        const char *word;
        uint32_t flag;
    } options[] = {
        {"nx", ZSET_ADD_NX}, {"xx", ZSET_ADD_XX}, {"ch", ZSET_ADD_CH},
        {"gt", ZSET_ADD_GT}, {"lt", ZSET_ADD_LT}, {"incr", ZSET_ADD_INCR},
    };
    for (size_t option = 0; option < sizeof options / sizeof options[0]; option++) {
        if (exec_is(exec, i, options[option].word)) {
            return options[option].flag;
        }
    }
    return 0;
}

/* The flags before the first score, whose place goes to *first. */
static uint32_t parse_add_options(const struct exec *exec, size_t *first)
{
    uint32_t flags = 0;
    size_t i = 2;
    uint32_t flag;
    while ((flag = add_option(exec, i)) != 0) {
        flags |= flag;
        i++;
    }
    *first = i;
    return flags;
}

static bool check_add_options(struct exec *exec, uint32_t flags, size_t pairs)
{
    bool nx = (flags & ZSET_ADD_NX) != 0;
    bool gt = (flags & ZSET_ADD_GT) != 0;
    bool lt = (flags & ZSET_ADD_LT) != 0;
    if (nx && (flags & ZSET_ADD_XX) != 0) {
        reply_error(exec->reply, "ERR XX and NX options at the same time are not compatible");
        return false;
    }
    if ((gt && nx) || (lt && nx) || (gt && lt)) {
        reply_error(exec->reply,
                    "ERR GT, LT, and/or NX options at the same time are not compatible");
        return false;
    }
    if ((flags & ZSET_ADD_INCR) != 0 && pairs > 1) {
        reply_error(exec->reply, "ERR INCR option supports a single increment-element pair");
        return false;
    }
    return true;
}

static void add_pairs(struct exec *exec, uint32_t flags, size_t first, size_t pairs)
{
    double *scores = malloc(pairs * sizeof *scores);
    if (scores == NULL) {
        store_fail(exec->store, RR_NO_MEMORY);
        return;
    }
    bool fine = true;
    for (size_t i = 0; i < pairs && fine; i++) {
        fine = exec_double(exec, first + 2 * i, &scores[i]);
    }
    if (fine) {
        zset_add_all(exec, flags, scores, first + 1, 2, pairs);
    }
    free(scores);
}

static void zadd(struct exec *exec)
{
    size_t first;
    uint32_t flags = parse_add_options(exec, &first);
    size_t left = exec->argc - first;
    if (left == 0 || left % 2 != 0) {
        reply_error_syntax(exec->reply);
    } else if (check_add_options(exec, flags, left / 2)) {
        add_pairs(exec, flags, first, left / 2);
    }
}

static void zincrby(struct exec *exec)
{
    double increment;
    if (add_option(exec, 2) != 0) {
        reply_error_syntax(exec->reply); /* Redis takes it for an option of ZADD */
    } else if (exec_double(exec, 2, &increment)) {
        zset_add_all(exec, ZSET_ADD_INCR, &increment, 3, 1, 1);
    }
}

/* ---- ZREM ---- */

static void zrem(struct exec *exec)
{
    struct key key;
    if (exec_open(exec, 1, VALUE_ZSET, &key)) {
        int64_t removed = 0;
        for (size_t i = 2; i < exec->argc && key.count > 0; i++) {
            double score;
            if (zset_find(exec->store, &key, exec->argv[i], &score)) {
                zset_remove(exec->store, &key, exec->argv[i], score);
                removed++;
            }
        }
        if (removed > 0) {
            save_smaller(exec->store, &key, "zrem");
        }
        reply_integer(exec->reply, removed);
    }
    key_close(&key);
}

/* ---- Pops ---- */

struct popping {
    struct reply *reply;
    bool nested;
};

static bool reply_popped(void *arg, rr_bytes member, double score)
{
    struct popping *popping = arg;
    if (popping->nested) {
        reply_array(popping->reply, 2);
    }
    reply_bulk(popping->reply, member);
    reply_double(popping->reply, score);
    return true;
}

void zset_pop(struct store *store, struct reply *reply, struct key *key, bool highest,
              uint64_t count, bool nested)
{
    struct zset_range range = {.kind = ZSET_BY_RANK, .last = count - 1};
    if (count == 0 || key->count == 0) {
        return;
    }
    if (count >= key->count) {
        range.last = key->count - 1;
    } else if (highest) {
        range.first = key->count - count;
        range.last = key->count - 1;
    }
    struct popping popping = {reply, nested};
    zset_visit(store, key, &range, highest, reply_popped, &popping);
    zset_remove_range(store, key, &range);
    save_smaller(store, key, highest ? "zpopmax" : "zpopmin");
}

/* `count` members of argv[1] for an answer of one key; -1: one, and not as a list. */
static void pop_one_key(struct exec *exec, bool highest, int64_t count)
{
    struct key key;
    if (exec_open(exec, 1, VALUE_ZSET, &key)) {
        uint64_t wanted = count < 0 ? 1 : (uint64_t)count;
        uint64_t popped = wanted < key.count ? wanted : key.count;
        bool nested = exec->reply->protocol != 2 && count >= 0;
        reply_array(exec->reply, nested ? popped : popped * 2);
        zset_pop(exec->store, exec->reply, &key, highest, popped, nested);
    }
    key_close(&key);
}

static void pop_command(struct exec *exec, bool highest)
{
    int64_t count = -1;
    if (exec->argc > 3) {
        reply_error_syntax(exec->reply);
    } else if (exec->argc == 2 ||
               exec_integer_in(exec, 2, 0, INT64_MAX, "ERR value is out of range, must be positive",
                               &count)) {
        pop_one_key(exec, highest, count);
    }
}

static void zpopmin(struct exec *exec)
{
    pop_command(exec, false);
}

static void zpopmax(struct exec *exec)
{
    pop_command(exec, true);
}

/* Reads what follows the keys of ZMPOP; false: answered. */
static bool parse_mpop(struct exec *exec, size_t i, bool *highest, int64_t *count)
{
    *highest = exec_is(exec, i, "max");
    *count = 1;
    bool counted = false;
    if (!*highest && !exec_is(exec, i, "min")) {
        reply_error_syntax(exec->reply);
        return false;
    }
    for (i++; i < exec->argc; i += 2) {
        if (counted || i + 1 >= exec->argc || !exec_is(exec, i, "count")) {
            reply_error_syntax(exec->reply);
            return false;
        }
        if (!exec_integer_in(exec, i + 1, 1, INT64_MAX, "ERR count should be greater than 0",
                             count)) {
            return false;
        }
        counted = true;
    }
    return true;
}

/* Pops from argv[i] if there is anything. False: go on with the next key. */
static bool pop_keyed(struct exec *exec, size_t i, bool highest, uint64_t count)
{
    struct key key;
    bool done = true;
    if (exec_open(exec, i, VALUE_ZSET, &key)) {
        done = key.type != VALUE_NONE;
        if (done) {
            uint64_t popped = count < key.count ? count : key.count;
            reply_array(exec->reply, 2);
            reply_bulk(exec->reply, exec->argv[i]);
            reply_array(exec->reply, popped);
            zset_pop(exec->store, exec->reply, &key, highest, popped, true);
        }
    }
    key_close(&key);
    return done;
}

static void zmpop(struct exec *exec)
{
    int64_t keys;
    bool highest;
    int64_t count;
    if (!exec_integer_in(exec, 1, 1, INT64_MAX, "ERR numkeys should be greater than 0", &keys)) {
        return;
    }
    if ((uint64_t)keys > exec->argc - 3) {
        reply_error_syntax(exec->reply);
        return;
    }
    if (!parse_mpop(exec, 2 + (size_t)keys, &highest, &count)) {
        return;
    }
    for (size_t i = 0; i < (size_t)keys; i++) {
        if (pop_keyed(exec, 2 + i, highest, (uint64_t)count)) {
            return;
        }
    }
    reply_null_array(exec->reply);
}

/* ---- Rows ---- */

#define READ COMMAND_READONLY
#define READ_FAST (COMMAND_READONLY | COMMAND_FAST)
#define WRITE COMMAND_WRITE
#define GROWS (COMMAND_WRITE | COMMAND_DENYOOM)
#define KEY_READ                                                                                   \
    {                                                                                              \
        KEY_SPEC(KEY_RO | KEY_ACCESS, 1, 0, 1)                                                     \
    }
#define KEY_TAKE                                                                                   \
    {                                                                                              \
        KEY_SPEC(KEY_RW | KEY_DELETE, 1, 0, 1)                                                     \
    }
#define KEYS_READ                                                                                  \
    {                                                                                              \
        KEY_SPEC_COUNTED(KEY_RO | KEY_ACCESS, 1)                                                   \
    }
#define KEYS_STORE                                                                                 \
    {                                                                                              \
        KEY_SPEC(KEY_OW | KEY_UPDATE, 1, 0, 1), KEY_SPEC_COUNTED(KEY_RO | KEY_ACCESS, 2)           \
    }
#define LEX_NOTE                                                                                   \
    "over several scores, where Redis's answer is not specified, the offset of LIMIT counts the "  \
    "members in the range"
#define ROW(name_, arity_, flags_, since_, summary_, complexity_, run_, ...)                       \
    {                                                                                              \
        .name = (name_), .arity = (arity_), .flags = (flags_), .group = "sorted-set",              \
        .since = (since_), .summary = (summary_), .complexity = (complexity_), .run = (run_),      \
        .keys = __VA_ARGS__                                                                        \
    }

const struct command commands_zset[] = {
    ROW("zadd", -4, GROWS | COMMAND_FAST, "1.2.0", "Adds members, or gives them other scores.",
        "O(log N) per member", zadd, {KEY_SPEC(KEY_RW | KEY_UPDATE, 1, 0, 1)}),
    ROW("zcard", 2, READ_FAST, "1.2.0", "Tells how many members there are.", "O(1)", command_zcard,
        {KEY_SPEC(KEY_RO, 1, 0, 1)}),
    ROW("zcount", 4, READ_FAST, "2.0.0", "Counts the members with a score in a range.", "O(log N)",
        command_zcount, KEY_READ),
    ROW("zdiff", -3, READ | COMMAND_MOVABLE_KEYS, "6.2.0",
        "Gives the members of the first set that are in none of the others.", "O(N*K)",
        command_zdiff, KEYS_READ),
    ROW("zdiffstore", -4, GROWS | COMMAND_MOVABLE_KEYS, "6.2.0",
        "Stores the members of the first set that are in none of the others.", "O(N*K)",
        command_zdiffstore, KEYS_STORE),
    ROW("zincrby", 4, GROWS | COMMAND_FAST, "1.2.0", "Adds to the score of a member.", "O(log N)",
        zincrby, {KEY_SPEC(KEY_RW | KEY_ACCESS | KEY_UPDATE, 1, 0, 1)}),
    ROW("zinter", -3, READ | COMMAND_MOVABLE_KEYS, "6.2.0",
        "Gives the members that are in all sets.", "O(N*K)", command_zinter, KEYS_READ),
    ROW("zintercard", -3, READ | COMMAND_MOVABLE_KEYS, "7.0.0",
        "Counts the members that are in all sets.", "O(N*K)", command_zintercard, KEYS_READ),
    ROW("zinterstore", -4, GROWS | COMMAND_MOVABLE_KEYS, "2.0.0",
        "Stores the members that are in all sets.", "O(N*K)", command_zinterstore, KEYS_STORE),
    ROW("zlexcount", 4, READ_FAST, "2.8.9", "Counts the members in a range by name.", "O(log N)",
        command_zlexcount, KEY_READ),
    ROW("zmpop", -4, WRITE | COMMAND_MOVABLE_KEYS, "7.0.0",
        "Takes members with the lowest or highest scores from the first set that has any.",
        "O(K + M log N)", zmpop, {KEY_SPEC_COUNTED(KEY_RW | KEY_ACCESS | KEY_DELETE, 1)}),
    ROW("zmscore", -3, READ_FAST, "6.2.0", "Gives the scores of several members.", "O(M)",
        command_zmscore, KEY_READ),
    ROW("zpopmax", -2, WRITE | COMMAND_FAST, "5.0.0", "Takes members with the highest scores.",
        "O(M log N)", zpopmax, {KEY_SPEC(KEY_RW | KEY_ACCESS | KEY_DELETE, 1, 0, 1)}),
    ROW("zpopmin", -2, WRITE | COMMAND_FAST, "5.0.0", "Takes members with the lowest scores.",
        "O(M log N)", zpopmin, {KEY_SPEC(KEY_RW | KEY_ACCESS | KEY_DELETE, 1, 0, 1)}),
    ROW("zrandmember", -2, READ, "6.2.0", "Gives members chosen at random.", "O(M)",
        command_zrandmember, KEY_READ,
        .note = "a negative count so large that the reply would exceed the limit is refused"),
    ROW("zrange", -4, READ, "1.2.0", "Gives the members in a range by rank, score or name.",
        "O(log N + M)", command_zrange, KEY_READ),
    ROW("zrangebylex", -4, READ, "2.8.9", "Gives the members in a range by name.", "O(log N + M)",
        command_zrangebylex, KEY_READ, .note = LEX_NOTE),
    ROW("zrangebyscore", -4, READ, "1.0.5", "Gives the members with a score in a range.",
        "O(log N + M)", command_zrangebyscore, KEY_READ),
    ROW("zrangestore", -5, GROWS, "6.2.0", "Stores a range of members under another key.",
        "O(log N + M)", command_zrangestore,
        {KEY_SPEC(KEY_OW | KEY_UPDATE, 1, 0, 1), KEY_SPEC(KEY_RO | KEY_ACCESS, 2, 0, 1)}),
    ROW("zrank", 3, READ_FAST, "2.0.0", "Gives the rank of a member, from the lowest score.",
        "O(log N)", command_zrank, KEY_READ),
    ROW("zrem", -3, WRITE | COMMAND_FAST, "1.2.0", "Removes members.", "O(M log N)", zrem,
        KEY_TAKE),
    ROW("zremrangebylex", 4, WRITE, "2.8.9", "Removes the members in a range by name.",
        "O(log N + M)", command_zremrangebylex, KEY_TAKE),
    ROW("zremrangebyrank", 4, WRITE, "2.0.0", "Removes the members in a range by rank.",
        "O(log N + M)", command_zremrangebyrank, KEY_TAKE),
    ROW("zremrangebyscore", 4, WRITE, "1.2.0", "Removes the members with a score in a range.",
        "O(log N + M)", command_zremrangebyscore, KEY_TAKE),
    ROW("zrevrange", -4, READ, "1.2.0", "Gives the members in a range by rank from the highest.",
        "O(log N + M)", command_zrevrange, KEY_READ),
    ROW("zrevrangebylex", -4, READ, "2.8.9", "Gives the members in a range by name, downwards.",
        "O(log N + M)", command_zrevrangebylex, KEY_READ, .note = LEX_NOTE),
    ROW("zrevrangebyscore", -4, READ, "2.2.0",
        "Gives the members with a score in a range, downwards.", "O(log N + M)",
        command_zrevrangebyscore, KEY_READ),
    ROW("zrevrank", 3, READ_FAST, "2.0.0", "Gives the rank of a member, from the highest score.",
        "O(log N)", command_zrevrank, KEY_READ),
    ROW("zscan", -3, READ, "2.8.0", "Visits the members step by step.", "O(1) per step",
        command_zscan, KEY_READ),
    ROW("zscore", 3, READ_FAST, "1.2.0", "Gives the score of a member.", "O(1)", command_zscore,
        KEY_READ),
    ROW("zunion", -3, READ | COMMAND_MOVABLE_KEYS, "6.2.0",
        "Gives the members that are in any of the sets.", "O(N log N)", command_zunion, KEYS_READ),
    ROW("zunionstore", -4, GROWS | COMMAND_MOVABLE_KEYS, "2.0.0",
        "Stores the members that are in any of the sets.", "O(N log N)", command_zunionstore,
        KEYS_STORE),
    {.name = NULL},
};
