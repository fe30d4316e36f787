#include "raft/log.h"

#include "base/random.h"
#include "support/test.h"

enum { LAST_MAX = 400 };

/* The same log, entry by entry. */
struct model {
    raft_term terms[LAST_MAX + 2]; /* by index; that of the base included */
    bool configuration[LAST_MAX + 2];
    raft_index base, last, committed, applied;
};

static void check_same(const struct raft_log *log, const struct model *model)
{
    CHECK_EQ(log->base, model->base);
    CHECK_EQ(log->last, model->last);
    CHECK_EQ(raft_log_last_term(log), model->terms[model->last]);
    uint32_t pending = 0;
    uint32_t committed = 0;
    for (raft_index index = 0; index <= model->last + 1; index++) {
        raft_term term = 99;
        bool known = index >= model->base && index <= model->last;
        CHECK_EQ(raft_log_term(log, index, &term), known);
        CHECK_EQ(term, known ? model->terms[index] : 99);
        if (index > model->applied && index <= model->last && model->configuration[index]) {
            pending++;
            committed += index <= model->committed;
        }
    }
    CHECK_EQ(raft_log_configurations_pending(log), pending);
    CHECK_EQ(raft_log_configurations_committed(log), committed);
}

/* The largest index up to `index` with a term of at most `term`, by going down. */
static raft_index find_down(const struct model *model, raft_index index, raft_term term,
                            raft_term *found)
{
    for (; index > 0; index--) {
        if (index < model->base || index > model->last) {
            *found = 0;
            return index;
        }
        if (model->terms[index] <= term) {
            *found = model->terms[index];
            return index;
        }
    }
    *found = 0;
    return 0;
}

static void random_step(struct random *random, struct raft_log *log, struct model *model)
{
    switch (random_below(random, 7)) {
    case 0:
    case 1:
    case 2:
        if (model->last < LAST_MAX) {
            raft_term term = model->terms[model->last] + random_chance(random, 1, 4);
            bool configuration = random_chance(random, 1, 5);
            raft_log_append(log, term == 0 ? 1 : term, configuration);
            model->last++;
            model->terms[model->last] = term == 0 ? 1 : term;
            model->configuration[model->last] = configuration;
        }
        return;
    case 3: {
        raft_index index = random_between(random, model->committed, model->last);
        raft_log_truncate(log, index);
        model->last = index;
        return;
    }
    case 4:
        model->committed = random_between(random, model->committed, model->last);
        log->committed = model->committed;
        return;
    case 5:
        model->applied = random_between(random, model->applied, model->committed);
        raft_log_applied(log, model->applied);
        return;
    case 6:
        if (model->applied > model->base) {
            model->base = random_between(random, model->base, model->applied);
            raft_log_compact(log, model->base);
        } else if (random_chance(random, 1, 5) && model->committed < LAST_MAX) {
            raft_index index = random_between(random, model->committed + 1, LAST_MAX);
            raft_term term = model->terms[model->last] + 1;
            raft_log_restore(log, index, term);
            raft_log_applied(log, index);
            *model = (struct model){.base = index, .last = index};
            model->committed = index;
            model->applied = index;
            model->terms[index] = term;
        }
        return;
    default:
        return;
    }
}

TEST(log, answers_like_a_list_of_entries)
{
    struct random random;
    random_init(&random, test_seed(4));
    for (int round = 0; round < 200; round++) {
        struct raft_log log;
        struct model model = {.base = 0};
        raft_log_init(&log, 0, 0);
        for (int step = 0; step < 200; step++) {
            random_step(&random, &log, &model);
            check_same(&log, &model);
            raft_index index = random_below(&random, model.last + 3);
            raft_term term = random_below(&random, raft_log_last_term(&log) + 2);
            raft_term found;
            raft_term expected_term;
            raft_index expected = find_down(&model, index, term, &expected_term);
            CHECK_EQ(raft_log_find_term(&log, index, term, &found), expected);
            CHECK_EQ(found, expected_term);
        }
        raft_log_deinit(&log);
    }
}

TEST(log, never_truncates_what_is_committed)
{
    struct raft_log log;
    raft_log_init(&log, 5, 1);
    raft_log_append(&log, 2, false);
    log.committed = 6;
    CHECK_ABORTS(raft_log_truncate(&log, 5));
    CHECK_ABORTS(raft_log_restore(&log, 6, 2));
    CHECK_ABORTS(raft_log_append(&log, 1, false));
    CHECK_ABORTS(raft_log_applied(&log, 7));
    raft_log_deinit(&log);
}

TEST(log, what_is_replaced_is_not_durable)
{
    struct raft_log log;
    raft_log_init(&log, 0, 0);
    for (int i = 0; i < 5; i++) {
        raft_log_append(&log, 1, false);
    }
    log.persisted = 5;
    raft_log_truncate(&log, 3);
    raft_log_append(&log, 2, false);
    CHECK_EQ(log.persisted, 3);
    raft_log_deinit(&log);
}

TEST(log, compares_logs_by_last_term_and_length)
{
    struct raft_log log;
    raft_log_init(&log, 7, 3);
    CHECK(raft_log_up_to_date(&log, 7, 3));
    CHECK(raft_log_up_to_date(&log, 1, 4));
    CHECK(!raft_log_up_to_date(&log, 6, 3));
    CHECK(!raft_log_up_to_date(&log, 9, 2));
    raft_log_deinit(&log);
}
