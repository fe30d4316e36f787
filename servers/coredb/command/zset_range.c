/* Sorted sets: commands over ranges by rank, score or member. */
#include "coredb/base/bytes.h"
#include "coredb/command/zset.h"

#include <math.h>
#include <stdlib.h>

enum { SCORE_TEXT_MAX = 256 };

/* ---- Bounds ---- */

/* As strtod over a C string: leading space and nothing at all (0) are fine, NaN is not. */
static bool parse_score_bound(rr_bytes text, struct zset_bound *out)
{
    char copy[SCORE_TEXT_MAX];
    if (text.size >= sizeof copy) {
        return false;
    }
    if (text.size > 0) {
        memcpy(copy, text.data, text.size);
    }
    copy[text.size] = '\0';
    *out = (struct zset_bound){.open = copy[0] == '('};
    char *end = NULL;
    out->score = strtod(copy + (out->open ? 1 : 0), &end);
    return *end == '\0' && !isnan(out->score);
}

static bool parse_member_bound(rr_bytes text, bool is_max, struct zset_bound *out)
{
    const char *data = text.data;
    *out = (struct zset_bound){.open = false};
    if (text.size == 0) {
        return false;
    }
    switch (data[0]) {
    case '-':
        out->unlimited = !is_max;
        out->nothing = is_max;
        return text.size == 1;
    case '+':
        out->unlimited = is_max;
        out->nothing = !is_max;
        return text.size == 1;
    case '(':
    case '[':
        out->open = data[0] == '(';
        out->member = (rr_bytes){data + 1, text.size - 1};
        return true;
    default:
        return false;
    }
}

bool zset_score_range(struct exec *exec, size_t min, size_t max, struct zset_range *out)
{
    *out = (struct zset_range){.kind = ZSET_BY_SCORE};
    if (parse_score_bound(exec->argv[min], &out->min) &&
        parse_score_bound(exec->argv[max], &out->max)) {
        return true;
    }
    reply_error(exec->reply, "ERR min or max is not a float");
    return false;
}

bool zset_member_range(struct exec *exec, size_t min, size_t max, struct zset_range *out)
{
    *out = (struct zset_range){.kind = ZSET_BY_LEX};
    if (parse_member_bound(exec->argv[min], false, &out->min) &&
        parse_member_bound(exec->argv[max], true, &out->max)) {
        return true;
    }
    reply_error(exec->reply, "ERR min or max not valid string range item");
    return false;
}

/* Ranks as arguments: negative ones count from the end. */
struct ranks {
    int64_t start;
    int64_t end;
};

static bool parse_ranks(struct exec *exec, size_t start, struct ranks *out)
{
    return exec_integer(exec, start, &out->start) && exec_integer(exec, start + 1, &out->end);
}

/* The ranks within a set of `count` members; false: none. With `reverse` they count from the
 * highest. */
static bool settle_ranks(struct ranks ranks, uint64_t count, bool reverse, struct zset_range *out)
{
    int64_t size = (int64_t)count;
    int64_t start = ranks.start < 0 ? ranks.start + size : ranks.start;
    int64_t end = ranks.end < 0 ? ranks.end + size : ranks.end;
    start = start < 0 ? 0 : start;
    end = end >= size ? size - 1 : end;
    if (start > end) {
        return false;
    }
    *out = (struct zset_range){.kind = ZSET_BY_RANK};
    out->first = (uint64_t)(reverse ? size - 1 - end : start);
    out->last = (uint64_t)(reverse ? size - 1 - start : end);
    return true;
}

/* ---- ZRANGE and its like ---- */

enum direction { DIRECTION_OPEN, DIRECTION_FORWARD, DIRECTION_REVERSE };

/* What is asked for; `by_open` and DIRECTION_OPEN: the options may yet say. */
struct range_request {
    size_t source; /* the argument that is the key; the bounds follow */
    bool stores;
    bool by_open;
    enum zset_range_kind by;
    enum direction direction;
    bool with_scores;
    int64_t offset;
    int64_t limit; /* negative: none */
    struct ranks ranks;
    struct zset_range range; /* unless by rank */
};

/* Reads the option at *i, and moves it to its last argument. False: answered. */
static bool parse_range_option(struct exec *exec, size_t *i, struct range_request *request)
{
    if (!request->stores && exec_is(exec, *i, "withscores")) {
        request->with_scores = true;
    } else if (exec_is(exec, *i, "limit") && *i + 2 < exec->argc) {
        *i += 2;
        return exec_integer(exec, *i - 1, &request->offset) &&
               exec_integer(exec, *i, &request->limit);
    } else if (request->direction == DIRECTION_OPEN && exec_is(exec, *i, "rev")) {
        request->direction = DIRECTION_REVERSE;
    } else if (request->by_open && exec_is(exec, *i, "bylex")) {
        request->by = ZSET_BY_LEX;
        request->by_open = false;
    } else if (request->by_open && exec_is(exec, *i, "byscore")) {
        request->by = ZSET_BY_SCORE;
        request->by_open = false;
    } else {
        reply_error_syntax(exec->reply);
        return false;
    }
    return true;
}

static bool parse_range_bounds(struct exec *exec, struct range_request *request)
{
    bool reverse = request->direction == DIRECTION_REVERSE;
    size_t min = request->source + (reverse ? 2 : 1);
    size_t max = request->source + (reverse ? 1 : 2);
    switch (request->by) {
    case ZSET_BY_RANK:
        return parse_ranks(exec, request->source + 1, &request->ranks);
    case ZSET_BY_SCORE:
        return zset_score_range(exec, min, max, &request->range);
    case ZSET_BY_LEX:
        return zset_member_range(exec, min, max, &request->range);
    }
    return false;
}

static bool parse_range(struct exec *exec, struct range_request *request)
{
    request->limit = -1;
    for (size_t i = request->source + 3; i < exec->argc; i++) {
        if (!parse_range_option(exec, &i, request)) {
            return false;
        }
    }
    if (request->limit != -1 && request->by == ZSET_BY_RANK) {
        reply_error(exec->reply, "ERR syntax error, LIMIT is only supported in combination with "
                                 "either BYSCORE or BYLEX");
        return false;
    }
    if (request->with_scores && request->by == ZSET_BY_LEX) {
        reply_error(exec->reply, "ERR syntax error, WITHSCORES not supported in combination with "
                                 "BYLEX");
        return false;
    }
    return parse_range_bounds(exec, request);
}

/* Passes members on to an answer or to entries, after the offset and up to the limit. */
struct range_output {
    uint64_t skip;
    uint64_t left;
    uint64_t count;
    struct reply *reply;          /* NULL: into entries */
    struct zset_entries *entries; /* NULL: into the reply */
    bool with_scores;
};

static bool output_member(void *arg, rr_bytes member, double score)
{
    struct range_output *output = arg;
    if (output->skip > 0) {
        output->skip--;
        return true;
    }
    if (output->left == 0) {
        return false;
    }
    output->left--;
    output->count++;
    if (output->reply != NULL) {
        zset_reply_member(output->reply, member, score, output->with_scores);
        return output->left > 0 && !output->reply->out.failed;
    }
    zset_entries_add(output->entries, member, score);
    return output->left > 0 && !output->entries->failed;
}

/* Visits what was asked for of an open key. */
static void visit_range(struct exec *exec, const struct key *key, struct range_request *request,
                        struct range_output *output)
{
    bool reverse = request->direction == DIRECTION_REVERSE;
    output->left = UINT64_MAX;
    if (request->by == ZSET_BY_RANK) {
        if (!settle_ranks(request->ranks, key->count, reverse, &request->range)) {
            return;
        }
    } else {
        if (request->offset < 0 || request->limit == 0) {
            return;
        }
        output->skip = (uint64_t)request->offset;
        output->left = request->limit < 0 ? UINT64_MAX : (uint64_t)request->limit;
    }
    zset_visit(exec->store, key, &request->range, reverse, output_member, output);
}

static void answer_range(struct exec *exec, struct range_request *request)
{
    if (!parse_range(exec, request)) {
        return;
    }
    struct key key;
    if (exec_open(exec, request->source, VALUE_ZSET, &key)) {
        struct range_output output = {.reply = exec->reply, .with_scores = request->with_scores};
        size_t mark = reply_later(exec->reply);
        visit_range(exec, &key, request, &output);
        zset_reply_end(exec->reply, mark, output.count, output.with_scores);
    }
    key_close(&key);
}

void command_zrange(struct exec *exec)
{
    struct range_request request = {.source = 1, .by_open = true, .by = ZSET_BY_RANK};
    answer_range(exec, &request);
}

void command_zrevrange(struct exec *exec)
{
    struct range_request request = {.source = 1, .direction = DIRECTION_REVERSE};
    answer_range(exec, &request);
}

void command_zrangebyscore(struct exec *exec)
{
    struct range_request request = {
        .source = 1, .by = ZSET_BY_SCORE, .direction = DIRECTION_FORWARD};
    answer_range(exec, &request);
}

void command_zrevrangebyscore(struct exec *exec)
{
    struct range_request request = {
        .source = 1, .by = ZSET_BY_SCORE, .direction = DIRECTION_REVERSE};
    answer_range(exec, &request);
}

void command_zrangebylex(struct exec *exec)
{
    struct range_request request = {.source = 1, .by = ZSET_BY_LEX, .direction = DIRECTION_FORWARD};
    answer_range(exec, &request);
}

void command_zrevrangebylex(struct exec *exec)
{
    struct range_request request = {.source = 1, .by = ZSET_BY_LEX, .direction = DIRECTION_REVERSE};
    answer_range(exec, &request);
}

/* Redis adds the members of the range one by one to a listpack, where a negative zero is lost, until
 * one does not fit there; a range by rank that is too long for it from the start is none. */
static void lose_negative_zeros(struct zset_entries *entries, enum zset_range_kind by)
{
    if (by == ZSET_BY_RANK && entries->count > ZSET_LISTPACK_ENTRIES) {
        return;
    }
    for (size_t i = 0; i < entries->count && i < ZSET_LISTPACK_ENTRIES; i++) {
        struct zset_entry *entry = &entries->list[i];
        if (entry->size > ZSET_LISTPACK_VALUE) {
            return;
        }
        entry->score = entry->score == 0 ? 0.0 : entry->score;
    }
}

void command_zrangestore(struct exec *exec)
{
    struct range_request request = {
        .source = 2, .stores = true, .by_open = true, .by = ZSET_BY_RANK};
    if (!parse_range(exec, &request)) {
        return;
    }
    struct key key;
    struct zset_entries entries;
    zset_entries_init(&entries);
    bool right_type = exec_open(exec, request.source, VALUE_ZSET, &key);
    if (right_type) {
        struct range_output output = {.entries = &entries};
        visit_range(exec, &key, &request, &output);
    }
    key_close(&key);
    if (right_type) {
        lose_negative_zeros(&entries, request.by);
        zset_store_entries(exec, 1, &entries, "zrangestore");
    }
    zset_entries_deinit(&entries);
}

/* ---- Counting and removing ---- */

static void answer_count(struct exec *exec, const struct zset_range *range)
{
    struct key key;
    if (exec_open(exec, 1, VALUE_ZSET, &key)) {
        reply_integer(exec->reply, (int64_t)zset_count(exec->store, &key, range));
    }
    key_close(&key);
}

void command_zcount(struct exec *exec)
{
    struct zset_range range;
    if (zset_score_range(exec, 2, 3, &range)) {
        answer_count(exec, &range);
    }
}

void command_zlexcount(struct exec *exec)
{
    struct zset_range range;
    if (zset_member_range(exec, 2, 3, &range)) {
        answer_count(exec, &range);
    }
}

/* Removes the range from an open key and answers how many there were. */
static void remove_range(struct exec *exec, struct key *key, const struct zset_range *range,
                         const char *event)
{
    uint64_t removed = zset_remove_range(exec->store, key, range);
    if (removed > 0) {
        bool gone = key_save(exec->store, key);
        key_notify(exec->store, key, NOTIFY_ZSET, event);
        if (gone) {
            key_notify(exec->store, key, NOTIFY_GENERIC, "del");
        }
    }
    reply_integer(exec->reply, (int64_t)removed);
}

void command_zremrangebyrank(struct exec *exec)
{
    struct ranks ranks;
    if (!parse_ranks(exec, 2, &ranks)) {
        return;
    }
    struct key key;
    if (exec_open(exec, 1, VALUE_ZSET, &key)) {
        struct zset_range range;
        if (settle_ranks(ranks, key.count, false, &range)) {
            remove_range(exec, &key, &range, "zremrangebyrank");
        } else {
            reply_integer(exec->reply, 0);
        }
    }
    key_close(&key);
}

static void remove_bounded(struct exec *exec, const struct zset_range *range, const char *event)
{
    struct key key;
    if (exec_open(exec, 1, VALUE_ZSET, &key)) {
        remove_range(exec, &key, range, event);
    }
    key_close(&key);
}

void command_zremrangebyscore(struct exec *exec)
{
    struct zset_range range;
    if (zset_score_range(exec, 2, 3, &range)) {
        remove_bounded(exec, &range, "zremrangebyscore");
    }
}

void command_zremrangebylex(struct exec *exec)
{
    struct zset_range range;
    if (zset_member_range(exec, 2, 3, &range)) {
        remove_bounded(exec, &range, "zremrangebylex");
    }
}
