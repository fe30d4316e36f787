/* ctest: timeout=180 */
#include "storage/state.h"

#include "base/bytes.h"
#include "base/memory.h"
#include "base/random.h"
#include "storage/child.h"
#include "storage/file.h"
#include "storage/state_helpers.h"
#include "support/test.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* What the batch shows of all keys that begin with a small letter, as text. */
static const char *scan_batch(struct state_batch *batch)
{
    static char text[65536];
    text[0] = 0;
    for (char letter = 'a'; letter <= 'z'; letter++) {
        struct state_span span = {.prefix = {&letter, 1}};
        CHECK_OK(state_batch_span(batch, &span, visit_text, text, NULL));
    }
    return text;
}

static const char *scan_state(struct state *state, const struct state_range *range, bool *more)
{
    static char text[65536];
    text[0] = 0;
    CHECK_OK(state_scan(state, range, visit_text, text, more, NULL));
    return text;
}

static const struct state_range everything = {0};

static void put(struct state_batch *batch, const char *key, const char *value)
{
    CHECK_OK(state_batch_put(batch, test_bytes_of(key), test_bytes_of(value)));
}

static void drop(struct state_batch *batch, const char *key)
{
    CHECK_OK(state_batch_delete(batch, test_bytes_of(key)));
}

/* --- Batches --- */

TEST(state, is_empty_at_first)
{
    const char *directory = test_directory();
    struct state *state = open_state(directory);
    CHECK_EQ(state_applied(state).index, 0);
    CHECK_TEXT(text_of(state, "a"), NULL);
    CHECK_TEXT(scan_state(state, &everything, NULL), "");
    struct state_position persisted;
    CHECK_OK(state_persisted(state, &persisted, NULL));
    CHECK_EQ(persisted.index, 0);
    struct buffer meta;
    buffer_init(&meta);
    CHECK_OK(state_meta(state, &meta, NULL));
    CHECK_EQ(meta.size, 0);
    buffer_deinit(&meta);
    CHECK_EQ(digest_of(state), 0);
    state_close(state);
    state_close(open_state(directory));
}

TEST(state, shows_a_batch_only_after_its_commit)
{
    const char *directory = test_directory();
    struct state *state = open_state(directory);
    struct state_batch *batch = state_batch_new(state);
    put(batch, "a", "1");
    put(batch, "b", "2");
    CHECK_OK(state_batch_set_meta(batch, test_bytes_of("members")));
    state_batch_set_applied(batch, 3, 2);
    CHECK_TEXT(text_of(state, "a"), NULL);
    CHECK_EQ(state_applied(state).index, 0);
    CHECK_OK(state_batch_commit(batch, NULL));
    CHECK_TEXT(text_of(state, "a"), "1");
    CHECK_EQ(state_applied(state).index, 3);
    CHECK_EQ(state_applied(state).term, 2);
    CHECK_EQ(state_batch_size(batch), 0);
    put(batch, "c", "3"); /* not committed */
    state_batch_free(batch);
    state_close(state);

    state = open_state(directory);
    CHECK_TEXT(scan_state(state, &everything, NULL), "a=1 b=2 ");
    CHECK_EQ(state_applied(state).index, 3);
    struct buffer meta;
    buffer_init(&meta);
    CHECK_OK(state_meta(state, &meta, NULL));
    CHECK_BYTES(buffer_bytes(&meta), test_bytes_of("members"));
    buffer_deinit(&meta);
    state_close(state);
}

TEST(state, lets_a_batch_see_itself)
{
    struct state *state = open_state(test_directory());
    commit_put(state, 1, "a", "old");
    commit_put(state, 2, "c", "old");
    struct state_batch *batch = state_batch_new(state);
    put(batch, "b", "new");
    drop(batch, "c");
    put(batch, "a", "newer");
    struct buffer value;
    buffer_init(&value);
    CHECK_OK(state_batch_get(batch, test_bytes_of("a"), &value, NULL));
    CHECK_BYTES(buffer_bytes(&value), test_bytes_of("newer"));
    CHECK_STATUS(state_batch_get(batch, test_bytes_of("c"), &value, NULL), RR_NOT_FOUND);
    CHECK_EQ(value.size, 0);
    CHECK_TEXT(scan_batch(batch), "a=newer b=new ");
    put(batch, "c", "back");
    drop(batch, "a");
    CHECK_TEXT(scan_batch(batch), "b=new c=back ");
    buffer_deinit(&value);
    state_batch_free(batch);
    state_close(state);
}

TEST(state, undoes_to_a_savepoint)
{
    struct state *state = open_state(test_directory());
    commit_put(state, 1, "a", "0");
    struct state_batch *batch = state_batch_new(state);
    put(batch, "a", "1");
    state_savepoint outer = state_batch_savepoint(batch);
    put(batch, "a", "2");
    put(batch, "b", "2");
    state_savepoint inner = state_batch_savepoint(batch);
    drop(batch, "a");
    put(batch, "b", "3");
    put(batch, "c", "3");
    CHECK_TEXT(scan_batch(batch), "b=3 c=3 ");
    state_batch_rollback(batch, inner);
    CHECK_TEXT(scan_batch(batch), "a=2 b=2 ");
    state_batch_rollback(batch, outer);
    CHECK_TEXT(scan_batch(batch), "a=1 ");
    state_batch_rollback(batch, 0);
    CHECK_TEXT(scan_batch(batch), "a=0 ");
    put(batch, "b", "4");
    state_batch_set_applied(batch, 2, 1);
    CHECK_OK(state_batch_commit(batch, NULL));
    CHECK_TEXT(scan_state(state, &everything, NULL), "a=0 b=4 ");
    state_batch_free(batch);
    state_close(state);
}

TEST(state, commits_a_position_without_data)
{
    const char *directory = test_directory();
    struct state *state = open_state(directory);
    struct state_batch *batch = state_batch_new(state);
    CHECK_OK(state_batch_commit(batch, NULL)); /* nothing at all */
    state_batch_set_applied(batch, 9, 4);
    CHECK_OK(state_batch_commit(batch, NULL));
    state_batch_free(batch);
    CHECK_EQ(state_applied(state).index, 9);
    state_close(state);
    state = open_state(directory);
    CHECK_EQ(state_applied(state).index, 9);
    CHECK_EQ(state_applied(state).term, 4);
    state_close(state);
}

CHILD(commits_without_position)
{
    struct state *state = open_state(child->directory);
    struct state_batch *batch = state_batch_new(state);
    put(batch, "a", "1");
    CHECK_OK(state_batch_commit(batch, NULL));
}

CHILD(goes_back)
{
    struct state *state = open_state(child->directory);
    commit_put(state, 5, "a", "1");
    commit_put(state, 4, "a", "1");
}

CHILD(uses_a_reserved_key)
{
    struct state_batch *batch = state_batch_new(open_state(child->directory));
    CHECK_OK(state_batch_put(batch, (rr_bytes){"\0a", 2}, test_bytes_of("1")));
}

TEST(state, takes_misuse_for_a_fault_of_its_owner)
{
    CHECK(child_aborts("commits_without_position", test_directory()));
    CHECK(child_aborts("goes_back", test_directory()));
    CHECK(child_aborts("uses_a_reserved_key", test_directory()));
}

/* --- Scans --- */

TEST(state, scans_prefixes_pages_and_limits)
{
    struct state *state = open_state(test_directory());
    raft_index index = 0;
    const char *keys[] = {"a", "ab", "aba", "abb", "ac", "b", "\xff", "\xff\xff"};
    for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++) {
        commit_put(state, ++index, keys[i], "v");
    }
    bool more;
    struct state_range range = {.prefix = test_bytes_of("ab")};
    CHECK_TEXT(scan_state(state, &range, &more), "ab=v aba=v abb=v ");
    CHECK(!more);
    range.count_max = 2;
    CHECK_TEXT(scan_state(state, &range, &more), "ab=v aba=v ");
    CHECK(more);
    range.start = test_bytes_of("aba");
    CHECK_TEXT(scan_state(state, &range, &more), "aba=v abb=v ");
    CHECK(!more);
    range.start_excluded = true;
    CHECK_TEXT(scan_state(state, &range, &more), "abb=v ");
    range.start = test_bytes_of("abaa"); /* not there */
    CHECK_TEXT(scan_state(state, &range, &more), "abb=v ");
    range.start = test_bytes_of("a"); /* before the prefix */
    CHECK_TEXT(scan_state(state, &range, &more), "ab=v aba=v ");
    range.start = test_bytes_of("b"); /* behind it */
    CHECK_TEXT(scan_state(state, &range, &more), "");
    CHECK(!more);
    range = (struct state_range){.prefix = test_bytes_of("\xff")};
    CHECK_TEXT(scan_state(state, &range, &more), "\xff=v \xff\xff=v ");
    range = (struct state_range){.start = test_bytes_of("ac"), .count_max = 2};
    CHECK_TEXT(scan_state(state, &range, &more), "ac=v b=v ");
    CHECK(more);
    range = (struct state_range){.bytes_max = 1};
    CHECK_TEXT(scan_state(state, &range, &more), "a=v ");
    CHECK(more);
    range.bytes_max = 5;
    CHECK_TEXT(scan_state(state, &range, &more), "a=v ab=v ");
    range.bytes_max = 9;
    CHECK_TEXT(scan_state(state, &range, &more), "a=v ab=v aba=v ");
    range = (struct state_range){.prefix = test_bytes_of("zz")};
    CHECK_TEXT(scan_state(state, &range, &more), "");
    state_close(state);
}

static bool visit_one(void *arg, rr_bytes key, rr_bytes value)
{
    visit_text(arg, key, value);
    return false;
}

TEST(state, stops_a_scan_when_the_visitor_says_so)
{
    struct state *state = open_state(test_directory());
    commit_put(state, 1, "a", "1");
    commit_put(state, 2, "b", "2");
    char text[65536] = "";
    bool more;
    CHECK_OK(state_scan(state, &everything, visit_one, text, &more, NULL));
    CHECK_TEXT(text, "a=1 ");
    CHECK(more);
    text[0] = 0;
    struct state_range last = {.start = test_bytes_of("b")};
    CHECK_OK(state_scan(state, &last, visit_one, text, &more, NULL));
    CHECK_TEXT(text, "b=2 ");
    CHECK(!more);
    state_close(state);
}

/* What a span of "k" shows, as text. */
static const char *span_text(struct state_batch *batch, const char *from, const char *to,
                             bool reverse)
{
    static char text[65536];
    text[0] = 0;
    struct state_span span = {.prefix = {"k", 1},
                              .from = test_bytes_of(from),
                              .to = test_bytes_of(to),
                              .reverse = reverse};
    CHECK_OK(state_batch_span(batch, &span, visit_text, text, NULL));
    return text;
}

TEST(state, visits_a_span_either_way_with_the_batch_laid_over_it)
{
    struct state *state = open_state(test_directory());
    commit_put(state, 1, "j", "0");
    commit_put(state, 2, "k", "0");
    commit_put(state, 3, "kb", "1");
    commit_put(state, 4, "kd", "1");
    commit_put(state, 5, "l", "0");
    struct state_batch *batch = state_batch_new(state);
    CHECK_TEXT(span_text(batch, "", "", false), "k=0 kb=1 kd=1 ");
    CHECK_TEXT(span_text(batch, "", "", true), "kd=1 kb=1 k=0 ");
    put(batch, "kc", "2");
    put(batch, "kd", "2");
    drop(batch, "kb");
    CHECK_TEXT(span_text(batch, "", "", false), "k=0 kc=2 kd=2 ");
    CHECK_TEXT(span_text(batch, "b", "d", true), "kc=2 ");
    CHECK_TEXT(span_text(batch, "c", "c", true), "");
    CHECK_TEXT(span_text(batch, "d", "c", false), "");
    state_savepoint savepoint = state_batch_savepoint(batch);
    put(batch, "ka", "3");
    drop(batch, "kd");
    CHECK_TEXT(span_text(batch, "a", "", true), "kc=2 ka=3 ");
    state_batch_rollback(batch, savepoint);
    CHECK_TEXT(span_text(batch, "a", "", true), "kd=2 kc=2 ");
    state_batch_set_applied(batch, 6, 1);
    CHECK_OK(state_batch_commit(batch, NULL));
    CHECK_TEXT(span_text(batch, "a", "e", false), "kc=2 kd=2 ");
    state_batch_free(batch);
    state_close(state);
}

/* What a batch keeps for its spans must not outlive the commit of another one. */
TEST(state, shows_a_batch_without_contents_what_another_has_committed)
{
    struct state *state = open_state(test_directory());
    struct state_batch *reader = state_batch_new(state);
    CHECK_TEXT(span_text(reader, "", "", false), "");
    commit_put(state, 1, "ka", "1");
    CHECK_TEXT(span_text(reader, "", "", false), "ka=1 ");
    state_batch_free(reader);
    state_close(state);
}

struct nesting {
    struct state_batch *batch;
    int depth;
    int visited;
};

static bool visit_nested(void *arg, rr_bytes key, rr_bytes value)
{
    struct nesting inner = *(struct nesting *)arg;
    struct nesting *outer = arg;
    outer->visited++;
    if (inner.depth > 0) {
        struct state_span span = {.prefix = {"k", 1}, .reverse = inner.depth % 2 == 0};
        inner.depth--;
        inner.visited = 0;
        CHECK_OK(state_batch_span(inner.batch, &span, visit_nested, &inner, NULL));
        CHECK_EQ(inner.visited, 3);
    }
    return true;
}

TEST(state, lets_a_visitor_read_spans_of_its_own)
{
    struct state *state = open_state(test_directory());
    commit_put(state, 1, "ka", "1");
    commit_put(state, 2, "kb", "1");
    struct state_batch *batch = state_batch_new(state);
    put(batch, "kc", "1");
    struct nesting nesting = {.batch = batch, .depth = 6};
    struct state_span span = {.prefix = {"k", 1}};
    CHECK_OK(state_batch_span(batch, &span, visit_nested, &nesting, NULL));
    CHECK_EQ(nesting.visited, 3);
    state_batch_free(batch);
    state_close(state);
}

TEST(state, keeps_a_view_as_it_was)
{
    struct state *state = open_state(test_directory());
    commit_counters(state, 1, 5, 0);
    struct state_view *view = state_view_open(state);
    commit_counters(state, 6, 9, 0);
    CHECK_EQ(counter_of(view), 5);
    struct state_position position;
    CHECK_OK(state_view_applied(view, &position, NULL));
    CHECK_EQ(position.index, 5);
    char text[65536] = "";
    CHECK_OK(state_view_scan(view, &everything, visit_text, text, NULL, NULL));
    CHECK_TEXT(text, "counter=5 key-001=1 key-002=2 key-003=3 key-004=4 key-005=5 ");
    text[0] = 0;
    struct state_span span = {
        .prefix = {"key", 3}, .from = {"-004", 4}, .to = {"-007", 4}, .reverse = true};
    CHECK_OK(state_view_span(view, &span, visit_text, text, NULL));
    CHECK_TEXT(text, "key-005=5 key-004=4 ");
    state_view_close(view);
    CHECK_EQ(check_counters(state), 9);
    state_close(state);
}

TEST(state, has_the_digest_of_its_contents)
{
    struct state *one = open_state(test_directory());
    struct state *two = open_state(test_directory());
    commit_put(one, 1, "a", "1");
    commit_put(one, 2, "b", "2");
    commit_put(two, 7, "b", "2");
    CHECK_NE(digest_of(one), digest_of(two));
    commit_put(two, 8, "c", "3");
    commit_put(two, 9, "a", "1");
    commit_put(two, 10, "c", NULL);
    CHECK_EQ(digest_of(one), digest_of(two));
    CHECK_OK(state_flush(one, true, NULL));
    CHECK_EQ(digest_of(one), digest_of(two));
    commit_put(one, 3, "a", "1b"); /* the same bytes, cut elsewhere */
    commit_put(one, 4, "b", NULL);
    commit_put(one, 5, "2", "");
    CHECK_NE(digest_of(one), digest_of(two));
    state_close(one);
    state_close(two);
}

/* --- Against a model --- */

enum { MODEL_KEYS = 200 };

/* Values by key number; 0 for a key that is not there. */
struct model {
    uint32_t values[MODEL_KEYS];
};

static void model_key(uint32_t number, char out[16])
{
    /* Keys of several lengths, one a prefix of the other. */
    snprintf(out, 16, "%.*s", 1 + (int)(number % 4), "kkkkk");
    snprintf(out + strlen(out), 16 - strlen(out), "%02x", (unsigned)number / 4);
}

struct model_pair {
    char key[16];
    uint32_t value;
};

static int compare_pairs(const void *left, const void *right)
{
    return strcmp(((const struct model_pair *)left)->key, ((const struct model_pair *)right)->key);
}

static size_t sort_model(const struct model *model, struct model_pair *pairs)
{
    size_t count = 0;
    for (uint32_t i = 0; i < MODEL_KEYS; i++) {
        if (model->values[i] != 0) {
            model_key(i, pairs[count].key);
            pairs[count++].value = model->values[i];
        }
    }
    qsort(pairs, count, sizeof(pairs[0]), compare_pairs);
    return count;
}

/* The text of a scan over the model. */
static const char *scan_model(const struct model *model, const struct state_range *range,
                              bool *more)
{
    static char text[65536];
    struct model_pair pairs[MODEL_KEYS];
    size_t count = sort_model(model, pairs);
    text[0] = 0;
    uint64_t shown = 0;
    *more = false;
    for (size_t i = 0; i < count; i++) {
        int order = range->start.size == 0 ? 1 : strcmp(pairs[i].key, range->start.data);
        bool outside = range->prefix.size > 0 &&
                       strncmp(pairs[i].key, range->prefix.data, range->prefix.size) != 0;
        if (outside || order < 0 || (order == 0 && range->start_excluded)) {
            continue;
        }
        if (range->count_max != 0 && shown == range->count_max) {
            *more = true;
            break;
        }
        char value[16];
        snprintf(value, sizeof(value), "%u", (unsigned)pairs[i].value);
        visit_text(text, test_bytes_of(pairs[i].key), test_bytes_of(value));
        shown++;
    }
    return text;
}

static void change_both(struct random *random, struct state_batch *batch, struct model *model)
{
    uint32_t number = (uint32_t)random_below(random, MODEL_KEYS);
    char key[16];
    char value[16];
    model_key(number, key);
    if (random_chance(random, 1, 3)) {
        model->values[number] = 0;
        drop(batch, key);
    } else {
        model->values[number] = (uint32_t)random_between(random, 1, 999999);
        snprintf(value, sizeof(value), "%u", (unsigned)model->values[number]);
        put(batch, key, value);
    }
}

/* The text of a span over the model; its prefix is "k". */
static const char *span_model(const struct model *model, const struct state_span *span)
{
    static char text[65536];
    struct model_pair pairs[MODEL_KEYS];
    size_t count = sort_model(model, pairs);
    text[0] = 0;
    for (size_t i = 0; i < count; i++) {
        const struct model_pair *pair = &pairs[span->reverse ? count - 1 - i : i];
        rr_bytes rest = test_bytes_of(pair->key + 1);
        if (bytes_compare(rest, span->from) < 0 ||
            (span->to.size > 0 && bytes_compare(rest, span->to) >= 0)) {
            continue;
        }
        char value[16];
        snprintf(value, sizeof(value), "%u", (unsigned)pair->value);
        visit_text(text, test_bytes_of(pair->key), test_bytes_of(value));
    }
    return text;
}

/* Bounds that are keys, parts of keys, or missing; the lower one may be the greater. */
static void compare_spans(struct random *random, struct state_batch *batch,
                          const struct model *model)
{
    char bounds[2][16];
    rr_bytes ends[2];
    for (int i = 0; i < 2; i++) {
        model_key((uint32_t)random_below(random, MODEL_KEYS), bounds[i]);
        size_t size = random_chance(random, 1, 4) ? random_below(random, 3) : strlen(bounds[i]) - 1;
        ends[i] = (rr_bytes){bounds[i] + 1, size};
    }
    struct state_span span = {
        .prefix = {"k", 1}, .from = ends[0], .to = ends[1], .reverse = random_chance(random, 1, 2)};
    char text[65536] = "";
    CHECK_OK(state_batch_span(batch, &span, visit_text, text, NULL));
    CHECK_TEXT(text, span_model(model, &span));
}

/* A page of what is committed. */
static void compare_pages(struct random *random, struct state *state, const struct model *model)
{
    char start[16];
    char prefix[16];
    model_key((uint32_t)random_below(random, MODEL_KEYS), start);
    model_key((uint32_t)random_below(random, MODEL_KEYS), prefix);
    struct state_range range = {
        .prefix = {prefix, (size_t)random_below(random, 4)},
        .start = {start, random_chance(random, 1, 2) ? strlen(start) : 0},
        .start_excluded = random_chance(random, 1, 2),
        .count_max = random_below(random, 20),
    };
    bool more;
    bool model_more;
    const char *found = scan_state(state, &range, &more);
    CHECK_TEXT(found, scan_model(model, &range, &model_more));
    CHECK_EQ(more, model_more);
}

static void compare_both(struct random *random, struct state_batch *batch,
                         const struct model *model)
{
    compare_spans(random, batch, model);
    uint32_t number = (uint32_t)random_below(random, MODEL_KEYS);
    char key[16];
    model_key(number, key);
    struct buffer value;
    buffer_init(&value);
    rr_status status = state_batch_get(batch, test_bytes_of(key), &value, NULL);
    CHECK_EQ(status == RR_OK, model->values[number] != 0);
    if (status == RR_OK) {
        buffer_append_byte(&value, 0);
        CHECK_EQ(strtoul((char *)value.data, NULL, 10), model->values[number]);
    }
    buffer_deinit(&value);
}

TEST(state, agrees_with_a_model_over_random_batches)
{
    struct random random;
    random_init(&random, test_seed(20240612));
    const char *directory = test_directory();
    struct state *state = open_state(directory);
    struct state_batch *batch = state_batch_new(state);
    struct model model = {0};
    struct model saved[3];
    for (raft_index index = 1; index <= 400; index++) {
        state_savepoint savepoints[3];
        int depth = 0;
        uint64_t steps = random_below(&random, 60);
        struct model committed = model;
        for (uint64_t i = 0; i < steps; i++) {
            if (random_chance(&random, 1, 8) && depth < 3) {
                saved[depth] = model;
                savepoints[depth++] = state_batch_savepoint(batch);
            } else if (random_chance(&random, 1, 8) && depth > 0) {
                depth = (int)random_below(&random, (uint64_t)depth);
                model = saved[depth];
                state_batch_rollback(batch, savepoints[depth]);
            } else {
                change_both(&random, batch, &model);
            }
            if (random_chance(&random, 1, 4)) {
                compare_both(&random, batch, &model);
                compare_pages(&random, state, &committed);
            }
        }
        bool more;
        CHECK_TEXT(scan_state(state, &everything, NULL),
                   scan_model(&committed, &everything, &more));
        if (random_chance(&random, 1, 10)) {
            state_batch_clear(batch);
            model = committed;
            continue;
        }
        state_batch_set_applied(batch, index, 1);
        CHECK_OK(state_batch_commit(batch, NULL));
        CHECK_TEXT(scan_state(state, &everything, NULL), scan_model(&model, &everything, &more));
        if (random_chance(&random, 1, 40)) {
            state_batch_free(batch);
            state_close(state);
            state = open_state(directory);
            batch = state_batch_new(state);
        } else if (random_chance(&random, 1, 20)) {
            CHECK_OK(state_flush(state, true, NULL));
        }
    }
    state_batch_free(batch);
    state_close(state);
}

/* --- Durability --- */

TEST(state, tells_what_has_reached_the_disk)
{
    struct state *state = open_state(test_directory());
    commit_counters(state, 1, 10, 0);
    struct state_position persisted;
    CHECK_OK(state_persisted(state, &persisted, NULL));
    CHECK_EQ(persisted.index, 0);
    CHECK_OK(state_flush(state, true, NULL));
    CHECK_OK(state_persisted(state, &persisted, NULL));
    CHECK_EQ(persisted.index, 10);
    CHECK_EQ(persisted.term, 1);
    commit_counters(state, 11, 20, 0);
    CHECK_OK(state_persisted(state, &persisted, NULL));
    CHECK_EQ(persisted.index, 10);
    CHECK_OK(state_flush(state, false, NULL));
    for (int i = 0; i < 5000 && persisted.index < 20; i++) {
        usleep(1000);
        CHECK_OK(state_persisted(state, &persisted, NULL));
    }
    CHECK_EQ(persisted.index, 20);
    struct state_counters counters;
    state_counters(state, &counters);
    CHECK_EQ(counters.commits, 20);
    CHECK_EQ(counters.keys_written, 40);
    CHECK_GT(counters.disk_bytes, 0);
    state_close(state);
}

/* Commits counters for ever and reports what is persisted. */
CHILD(commits_counters)
{
    struct state *state = open_state(child->directory);
    for (raft_index index = state_applied(state).index + 1;; index++) {
        commit_counters(state, index, index, 1000);
        struct state_position position;
        if (state_persisted(state, &position, NULL) != RR_OK || position.index > index) {
            _exit(5);
        }
        child_report(child, position.index);
    }
}

TEST(state, is_some_earlier_commit_after_kill_9)
{
    struct random random;
    random_init(&random, test_seed(78));
    const char *directory = test_directory();
    raft_index last = 0;
    for (int round = 0; round < 8; round++) {
        raft_index persisted =
            child_kill_after("commits_counters", directory, random_between(&random, 1, 1500));
        struct state *state = open_state(directory);
        raft_index applied = check_counters(state);
        CHECK_GE(applied, persisted);
        CHECK_GE(applied, last);
        struct state_position position;
        CHECK_OK(state_persisted(state, &position, NULL));
        CHECK_EQ(position.index, applied);
        last = applied;
        state_close(state);
    }
    CHECK_GT(last, 0);
}

/* --- Other threads --- */

struct watcher {
    struct state *state;
    atomic_bool stop;
    uint64_t views;
    bool failed;
};

/* Reads the counter and the position again and again; they must never disagree. */
static void *watch(void *arg)
{
    struct watcher *watcher = arg;
    uint64_t last = 0;
    while (!atomic_load(&watcher->stop)) {
        struct state_view *view = state_view_open(watcher->state);
        struct state_position position;
        uint64_t counter = counter_of(view);
        if (state_view_applied(view, &position, NULL) != RR_OK || counter != position.index ||
            counter < last) {
            watcher->failed = true;
        }
        state_view_close(view);
        last = counter;
        watcher->views++;
    }
    return NULL;
}

TEST(state, never_shows_data_and_position_apart)
{
    struct state *state = open_state(test_directory());
    struct watcher watcher = {.state = state};
    pthread_t thread;
    CHECK_EQ(pthread_create(&thread, NULL, watch, &watcher), 0);
    commit_counters(state, 1, 3000, 500);
    atomic_store(&watcher.stop, true);
    pthread_join(thread, NULL);
    CHECK(!watcher.failed);
    CHECK_GT(watcher.views, 0);
    state_close(state);
}

/* --- Faults --- */

/* What a commit answers, and whether the state knows why. */
static rr_status commit_after_failure(struct state *state, raft_index index)
{
    struct state_batch *batch = state_batch_new(state);
    put(batch, "counter", "lost");
    state_batch_set_applied(batch, index, 1);
    struct storage_error error = {{0}};
    rr_status status = state_batch_commit(batch, &error);
    CHECK_EQ(status == RR_OK, error.text[0] == 0);
    CHECK_EQ(status == RR_OK, state_failure(state) == NULL);
    state_batch_free(batch);
    return status;
}

TEST(state, fails_for_good_when_a_table_cannot_be_written)
{
    for (uint64_t nth = 1;; nth++) {
        const char *directory = test_directory();
        struct state *state = open_state(directory);
        commit_counters(state, 1, 3, 0);
        CHECK_OK(state_flush(state, true, NULL));
        commit_counters(state, 4, 6, 0);
        file_fault_after(nth, nth % 2 == 0 ? FILE_FAULT_FULL : FILE_FAULT_ERROR);
        struct storage_error error = {{0}};
        rr_status status = state_flush(state, true, &error);
        bool pending = file_fault_pending();
        file_fault_after(0, FILE_FAULT_NONE);
        CHECK_EQ(pending, status == RR_OK);
        /* A fault before anything was written is no failure of the state. */
        if (state_failure(state) != NULL) {
            CHECK_STATUS(commit_after_failure(state, 7), RR_IO);
            CHECK_STATUS(state_flush(state, true, NULL), RR_IO);
            struct state_position persisted;
            CHECK_OK(state_persisted(state, &persisted, NULL));
            CHECK_EQ(persisted.index, 3);
        }
        CHECK_EQ(check_counters(state), 6); /* what was committed is still seen */
        bool failed = state_failure(state) != NULL;
        state_close(state);
        state = open_state(directory);
        CHECK_EQ(check_counters(state), failed ? 3 : 6);
        commit_counters(state, failed ? 4 : 7, 9, 0);
        state_close(state);
        if (pending) {
            CHECK_GT(nth, 4);
            break;
        }
        CHECK_EQ(failed, nth > 1);
    }
}

/* A failure that the thread has met. */
TEST(state, tells_of_a_failure_that_nobody_waited_for)
{
    const char *directory = test_directory();
    struct state *state = open_state(directory);
    commit_counters(state, 1, 3, 0);
    /* Nothing can be created in a directory's place. */
    const char *path = path_in(directory, "state-1/table.tmp");
    CHECK_EQ(mkdir(path, 0700), 0);
    CHECK_EQ(mkdir(path_in(directory, "state-1/table.tmp/in-the-way"), 0700), 0);
    CHECK_OK(state_flush(state, true, NULL)); /* what a crash left is in nobody's way */
    CHECK_EQ(rename(path_in(directory, "state-1"), path_in(directory, "gone")), 0);
    commit_counters(state, 4, 6, 0);
    CHECK_OK(state_flush(state, false, NULL));
    for (int i = 0; i < 20000 && state_failure(state) == NULL; i++) {
        usleep(1000);
    }
    CHECK(state_failure(state) != NULL);
    CHECK_STATUS(commit_after_failure(state, 7), RR_IO);
    CHECK_EQ(check_counters(state), 6);
    state_close(state);
    CHECK_EQ(rename(path_in(directory, "gone"), path_in(directory, "state-1")), 0);
    state = open_state(directory);
    CHECK_EQ(check_counters(state), 3);
    state_close(state);
}

/* Overwrites something in the middle of each table. */
static rr_status damage_table(void *arg, const char *name, struct storage_error *error)
{
    const char *path = path_in(arg, name);
    uint64_t size;
    if (strstr(name, ".sst") != NULL && file_size(path, &size, error) == RR_OK) {
        int fd;
        CHECK_OK(file_open(path, &fd, error));
        CHECK_OK(file_write_at(fd, path, size / 3, test_bytes_of("rotten"), error));
        close(fd);
    }
    return RR_OK;
}

/* RocksDB meets damage when it merges tables as well, and takes no more writes then. */
TEST(state, says_that_it_is_damaged_when_tables_cannot_be_merged)
{
    const char *directory = test_directory();
    struct state *state = open_state(directory);
    for (raft_index index = 1; index < 300; index += 100) {
        commit_counters(state, index, index + 99, 1000);
        CHECK_OK(state_flush(state, true, NULL));
    }
    state_close(state);
    CHECK_OK(directory_list(path_in(directory, "state-1"), damage_table,
                            (void *)(uintptr_t)path_in(directory, "state-1"), NULL));
    state = open_state(directory);
    struct state_batch *batch = state_batch_new(state);
    struct storage_error error = {0};
    rr_status status = RR_OK;
    for (raft_index index = 301; status == RR_OK; index++) {
        put(batch, "counter", "x");
        state_batch_set_applied(batch, index, 1);
        status = state_batch_commit(batch, &error);
        (void)!state_flush(state, true, NULL); /* more tables, until RocksDB merges them */
    }
    CHECK_STATUS(status, RR_CORRUPT);
    CHECK(strstr(error.text, "Corruption") != NULL);
    CHECK_STATUS(state_batch_commit(batch, NULL), RR_CORRUPT);
    state_batch_free(batch);
    state_close(state);
}

CHILD(creates_a_state)
{
    struct state *state;
    struct state_options options = {.path = child->directory};
    rr_status status = state_open(&options, NULL, &state);
    if (status == RR_OK && !file_fault_pending()) {
        _exit(5); /* it went on over a fault */
    }
}

TEST(state, opens_after_a_fault_at_any_step_of_its_creation)
{
    for (int fault = FILE_FAULT_ERROR; fault <= FILE_FAULT_EXIT; fault++) {
        for (uint64_t nth = 1;; nth++) {
            const char *directory = test_directory();
            bool met = child_meets_fault("creates_a_state", directory, nth, fault);
            struct state *state = open_state(directory);
            CHECK_EQ(check_counters(state), 0);
            commit_counters(state, 1, 2, 0);
            state_close(state);
            if (!met) {
                CHECK_GT(nth, 5);
                break;
            }
        }
    }
}

TEST(state, finds_its_pointer_missing_or_damaged)
{
    const char *directory = test_directory();
    struct state *state = open_state(directory);
    commit_counters(state, 1, 2, 0);
    state_close(state);
    struct buffer pointer;
    buffer_init(&pointer);
    const char *path = test_path(directory, "STATE");
    CHECK_OK(file_read(path, 1000, &pointer, NULL));
    struct state_options options = {.path = directory};
    for (size_t bit = 0; bit < pointer.size * 8; bit++) {
        pointer.data[bit / 8] ^= (uint8_t)(1 << bit % 8);
        CHECK_OK(file_replace(path, buffer_bytes(&pointer), NULL));
        rr_status status = state_open(&options, NULL, &state);
        CHECK(status == RR_CORRUPT || status == RR_MISMATCH);
        pointer.data[bit / 8] ^= (uint8_t)(1 << bit % 8);
    }
    CHECK_EQ(unlink(path), 0);
    struct storage_error error = {0};
    CHECK_STATUS(state_open(&options, &error, &state), RR_CORRUPT); /* never an empty one instead */
    CHECK(strstr(error.text, "STATE is missing") != NULL);
    CHECK_OK(file_replace(path, buffer_bytes(&pointer), NULL));
    state = open_state(directory);
    CHECK_EQ(check_counters(state), 2);
    state_close(state);
    CHECK_OK(file_remove_tree(test_path(directory, "state-1"), NULL));
    CHECK_STATUS(state_open(&options, &error, &state), RR_CORRUPT);
    CHECK(strstr(error.text, "is missing") != NULL);
    buffer_deinit(&pointer);
}
