/*
 * Sorted sets: ZUNION, ZINTER, ZDIFF, their STORE forms and ZINTERCARD, over sorted sets and sets
 * (whose members all have score 1).
 */
#include "coredb/base/number.h"
#include "coredb/command/zset.h"
#include "coredb/value/named.h"

#include <math.h>
#include <stdlib.h>

enum combine_kind { COMBINE_UNION, COMBINE_INTER, COMBINE_DIFF };

/* A key that is read. */
struct source {
    struct key key;
    double weight;
    size_t place; /* among the arguments */
};

struct combine {
    struct exec *exec;
    enum combine_kind kind;
    bool stores;      /* argv[1] is the destination */
    bool counts_only; /* ZINTERCARD */
    size_t count_at;  /* the argument that says how many keys there are */
    struct source *sources;
    size_t source_count;
    enum zset_aggregate aggregate;
    bool with_scores;
    uint64_t limit; /* of the count; UINT64_MAX: none */
    struct zset_entries entries;
    uint64_t found;  /* counts_only */
    size_t at;       /* the source being visited */
    size_t merge_at; /* entries that make a union merge what it has */
};

/* ---- Arguments ---- */

static bool parse_source_count(struct combine *combine)
{
    struct exec *exec = combine->exec;
    int64_t count;
    if (!exec_integer(exec, combine->count_at, &count)) {
        return false;
    }
    if (count < 1) {
        reply_error(exec->reply, "ERR at least 1 input key is needed for '%s' command",
                    exec->command->name);
        return false;
    }
    if ((uint64_t)count > exec->argc - combine->count_at - 1) {
        reply_error_syntax(exec->reply);
        return false;
    }
    combine->source_count = (size_t)count;
    return true;
}

/* Opens all keys; false: one has a wrong type, which was answered, or there is no memory. */
static bool open_sources(struct combine *combine)
{
    size_t count = combine->source_count;
    combine->source_count = 0;
    combine->sources = calloc(count, sizeof *combine->sources);
    if (combine->sources == NULL) {
        store_fail(combine->exec->store, RR_NO_MEMORY);
        return false;
    }
    for (size_t i = 0; i < count; i++) {
        struct source *source = &combine->sources[combine->source_count++];
        source->place = i;
        source->weight = 1;
        key_open(combine->exec->store, combine->exec->argv[combine->count_at + 1 + i],
                 &source->key);
        enum value_type type = source->key.type;
        if (type != VALUE_NONE && type != VALUE_ZSET && type != VALUE_SET) {
            reply_error_wrong_type(combine->exec->reply);
            return false;
        }
    }
    return true;
}

static bool parse_weights(struct combine *combine, size_t first)
{
    for (size_t i = 0; i < combine->source_count; i++) {
        if (!number_parse_double(combine->exec->argv[first + i], &combine->sources[i].weight)) {
            reply_error(combine->exec->reply, "ERR weight value is not a float");
            return false;
        }
    }
    return true;
}

static bool parse_aggregate(struct combine *combine, size_t i)
{
    if (exec_is(combine->exec, i, "sum")) {
        combine->aggregate = ZSET_SUM;
    } else if (exec_is(combine->exec, i, "min")) {
        combine->aggregate = ZSET_MIN;
    } else if (exec_is(combine->exec, i, "max")) {
        combine->aggregate = ZSET_MAX;
    } else {
        reply_error_syntax(combine->exec->reply);
        return false;
    }
    return true;
}

/* Reads the option at *i and moves it to its last argument; false: answered. */
static bool parse_option(struct combine *combine, size_t *i)
{
    struct exec *exec = combine->exec;
    size_t left = exec->argc - *i;
    bool scored = combine->kind != COMBINE_DIFF && !combine->counts_only;
    if (scored && left >= combine->source_count + 1 && exec_is(exec, *i, "weights")) {
        *i += combine->source_count;
        return parse_weights(combine, *i - combine->source_count + 1);
    }
    if (scored && left >= 2 && exec_is(exec, *i, "aggregate")) {
        *i += 1;
        return parse_aggregate(combine, *i);
    }
    if (!combine->stores && !combine->counts_only && exec_is(exec, *i, "withscores")) {
        combine->with_scores = true;
        return true;
    }
    if (combine->counts_only && left >= 2 && exec_is(exec, *i, "limit")) {
        *i += 1;
        int64_t limit = 0;
        if (!exec_integer_in(exec, *i, 0, INT64_MAX, "ERR LIMIT can't be negative", &limit)) {
            return false;
        }
        combine->limit = limit == 0 ? UINT64_MAX : (uint64_t)limit;
        return true;
    }
    reply_error_syntax(exec->reply);
    return false;
}

static bool parse_combine(struct combine *combine)
{
    if (!parse_source_count(combine) || !open_sources(combine)) {
        return false;
    }
    for (size_t i = combine->count_at + 1 + combine->source_count; i < combine->exec->argc; i++) {
        if (!parse_option(combine, &i)) {
            return false;
        }
    }
    return true;
}

/* ---- Reading sources ---- */

struct set_visit {
    zset_visit_fn visit;
    void *arg;
};

static bool visit_set_member(void *arg, rr_bytes member, rr_bytes value)
{
    (void)value;
    struct set_visit *visit = arg;
    return visit->visit(visit->arg, member, 1);
}

static void visit_source(struct store *store, const struct source *source, zset_visit_fn visit,
                         void *arg)
{
    if (source->key.type == VALUE_ZSET) {
        zset_visit_all(store, &source->key, visit, arg);
    } else if (source->key.type == VALUE_SET) {
        struct set_visit set = {visit, arg};
        named_each(store, (struct named){LAYOUT_SET, source->key.object}, visit_set_member, &set);
    }
}

static bool find_in_source(struct store *store, const struct source *source, rr_bytes member,
                           double *score)
{
    if (source->key.type == VALUE_ZSET) {
        return zset_find(store, &source->key, member, score);
    }
    *score = 1;
    return source->key.type == VALUE_SET &&
           named_get(store, (struct named){LAYOUT_SET, source->key.object}, member, NULL);
}

static uint64_t source_size(const struct source *source)
{
    return source->key.type == VALUE_NONE ? 0 : source->key.count;
}

static int compare_sources(const void *left_source, const void *right_source)
{
    const struct source *left = left_source;
    const struct source *right = right_source;
    uint64_t left_size = source_size(left);
    uint64_t right_size = source_size(right);
    if (left_size != right_size) {
        return left_size < right_size ? -1 : 1;
    }
    return (left->place > right->place) - (left->place < right->place);
}

static double weigh(const struct source *source, double score)
{
    double weighed = source->weight * score;
    return isnan(weighed) ? 0 : weighed;
}

/* ---- Union ---- */

enum { MERGE_MIN = 4096 };

static bool add_to_union(void *arg, rr_bytes member, double score)
{
    struct combine *combine = arg;
    zset_entries_add(&combine->entries, member, weigh(&combine->sources[combine->at], score));
    if (combine->entries.count >= combine->merge_at) {
        zset_entries_merge(&combine->entries, combine->aggregate);
        combine->merge_at = MERGE_MIN + 2 * combine->entries.count;
    }
    return !combine->entries.failed;
}

/* Memory stays in proportion to the result, because members that are there already are merged now
 * and then. */
static void unite(struct combine *combine)
{
    combine->merge_at = MERGE_MIN;
    for (size_t i = 0; i < combine->source_count; i++) {
        combine->at = i;
        visit_source(combine->exec->store, &combine->sources[i], add_to_union, combine);
    }
    zset_entries_merge(&combine->entries, combine->aggregate);
}

/* ---- Intersection ---- */

static bool add_to_inter(void *arg, rr_bytes member, double score)
{
    struct combine *combine = arg;
    struct store *store = combine->exec->store;
    double total = weigh(&combine->sources[0], score);
    for (size_t i = 1; i < combine->source_count; i++) {
        double other;
        if (!find_in_source(store, &combine->sources[i], member, &other)) {
            return store->failure == RR_OK;
        }
        zset_aggregate(combine->aggregate, &total, other * combine->sources[i].weight);
    }
    if (combine->counts_only) {
        combine->found++;
        return combine->found < combine->limit;
    }
    zset_entries_add(&combine->entries, member, total);
    return !combine->entries.failed;
}

static void intersect(struct combine *combine)
{
    if (source_size(&combine->sources[0]) > 0) {
        visit_source(combine->exec->store, &combine->sources[0], add_to_inter, combine);
    }
}

/* ---- Difference ---- */

static bool add_to_diff(void *arg, rr_bytes member, double score)
{
    struct combine *combine = arg;
    struct store *store = combine->exec->store;
    for (size_t i = 1; i < combine->source_count; i++) {
        double other;
        if (find_in_source(store, &combine->sources[i], member, &other)) {
            return store->failure == RR_OK;
        }
    }
    zset_entries_add(&combine->entries, member, score);
    return !combine->entries.failed;
}

static void subtract(struct combine *combine)
{
    visit_source(combine->exec->store, &combine->sources[0], add_to_diff, combine);
}

/* ---- Commands ---- */

static void compute(struct combine *combine)
{
    if (combine->kind != COMBINE_DIFF) {
        qsort(combine->sources, combine->source_count, sizeof combine->sources[0], compare_sources);
    }
    switch (combine->kind) {
    case COMBINE_UNION:
        unite(combine);
        break;
    case COMBINE_INTER:
        intersect(combine);
        break;
    case COMBINE_DIFF:
        subtract(combine);
        break;
    }
    zset_entries_sort(&combine->entries);
    if (combine->entries.failed) {
        store_fail(combine->exec->store, RR_NO_MEMORY);
    }
}

static void run_combine(struct exec *exec, enum combine_kind kind, const char *store_event,
                        bool counts_only)
{
    struct combine combine = {.exec = exec,
                              .kind = kind,
                              .stores = store_event != NULL,
                              .counts_only = counts_only,
                              .count_at = store_event != NULL ? 2 : 1,
                              .limit = UINT64_MAX};
    zset_entries_init(&combine.entries);
    if (parse_combine(&combine)) {
        compute(&combine);
        if (counts_only) {
            reply_integer(exec->reply, (int64_t)combine.found);
        } else if (combine.stores) {
            zset_store_entries(exec, 1, &combine.entries, store_event);
        } else {
            zset_reply_entries(exec, &combine.entries, combine.with_scores);
        }
    }
    for (size_t i = 0; i < combine.source_count && combine.sources != NULL; i++) {
        key_close(&combine.sources[i].key);
    }
    free(combine.sources);
    zset_entries_deinit(&combine.entries);
}

void command_zunion(struct exec *exec)
{
    run_combine(exec, COMBINE_UNION, NULL, false);
}

void command_zunionstore(struct exec *exec)
{
    run_combine(exec, COMBINE_UNION, "zunionstore", false);
}

void command_zinter(struct exec *exec)
{
    run_combine(exec, COMBINE_INTER, NULL, false);
}

void command_zinterstore(struct exec *exec)
{
    run_combine(exec, COMBINE_INTER, "zinterstore", false);
}

void command_zintercard(struct exec *exec)
{
    run_combine(exec, COMBINE_INTER, NULL, true);
}

void command_zdiff(struct exec *exec)
{
    run_combine(exec, COMBINE_DIFF, NULL, false);
}

void command_zdiffstore(struct exec *exec)
{
    run_combine(exec, COMBINE_DIFF, "zdiffstore", false);
}
