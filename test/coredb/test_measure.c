/* What commands cost: counts by command, durations in buckets. */
#include "coredb/command/measure.h"

#include "coredb/base/bytes.h"
#include "coredb/value/event.h"
#include "support/test.h"

static struct measure *new_measure(void)
{
    command_table_init();
    struct measure *measure = measure_new();
    measure->node = 3;
    measure->boot = 7;
    return measure;
}

static const struct command *named(const char *name)
{
    return command_find(bytes_of(name));
}

static void count(struct measure *measure, const char *name, uint64_t duration_ns, bool failed)
{
    struct measure_run run = {named(name), duration_ns, failed};
    measure_count(measure, &run);
}

static struct measure_counts *counts_of(const struct measure *measure, const char *name)
{
    return measure_find(measure, named(name));
}

TEST(measure, counts_each_command_and_subcommand_on_its_own)
{
    struct measure *measure = new_measure();
    count(measure, "get", 100, false);
    count(measure, "get", 300, true);
    count(measure, "set", 1000, false);
    measure_rejected(measure, named("get"));

    struct measure_counts *get = counts_of(measure, "get");
    CHECK_EQ(atomic_load(&get->calls), 2);
    CHECK_EQ(atomic_load(&get->failed), 1);
    CHECK_EQ(atomic_load(&get->rejected), 1);
    CHECK_EQ(atomic_load(&get->total_ns), 400);
    CHECK_EQ(atomic_load(&counts_of(measure, "set")->calls), 1);

    /* Every row of the table, and of the containers', is there once. */
    size_t seen = 0;
    size_t subcommands = 0;
    size_t position = 0;
    struct measure_counts *counts;
    while ((counts = measure_next(measure, &position)) != NULL) {
        CHECK(measure_find(measure, counts->command) == counts);
        seen += counts->container == NULL;
        subcommands += counts->container != NULL;
    }
    CHECK_EQ(seen, command_count());
    CHECK(subcommands > 10);

    struct command unknown = {.name = "unknown"};
    CHECK(measure_find(measure, &unknown) == NULL);
    measure_reset(measure);
    CHECK_EQ(atomic_load(&get->calls), 0);
    CHECK_EQ(measure_within(get, UINT64_MAX), 0);
    measure_free(measure);
}

TEST(measure, durations_are_exact_to_an_eighth)
{
    struct measure *measure = new_measure();
    struct measure_counts *get = counts_of(measure, "get");
    for (uint64_t ns = 128; ns < (uint64_t)1 << 37; ns += ns / 3) {
        measure_reset(measure);
        count(measure, "get", ns, false);
        uint64_t told = measure_percentile_ns(get, 50);
        CHECK(told >= ns && told - ns <= ns / 8);
        CHECK_EQ(measure_within(get, told), 1);
        CHECK_EQ(measure_within(get, ns - ns / 8 - 1), 0);
    }
    measure_free(measure);
}

TEST(measure, extreme_durations_have_a_bucket)
{
    struct measure *measure = new_measure();
    struct measure_counts *get = counts_of(measure, "get");
    count(measure, "get", 0, false);
    CHECK_EQ(measure_percentile_ns(get, 100), 127);
    count(measure, "get", UINT64_MAX, false);
    CHECK_EQ(measure_within(get, UINT64_MAX), 2);
    CHECK(measure_percentile_ns(get, 100) > (uint64_t)60 * 1000000000);
    measure_free(measure);
}

TEST(measure, percentiles_are_what_so_many_runs_did_not_exceed)
{
    struct measure *measure = new_measure();
    struct measure_counts *get = counts_of(measure, "get");
    CHECK_EQ(measure_percentile_ns(get, 50), 0);
    for (int i = 0; i < 990; i++) {
        count(measure, "get", 1000, false);
    }
    for (int i = 0; i < 10; i++) {
        count(measure, "get", 1000000, false);
    }
    CHECK(measure_percentile_ns(get, 50) < 1200);
    CHECK(measure_percentile_ns(get, 99) < 1200);
    CHECK(measure_percentile_ns(get, 99.1) >= 1000000);
    CHECK(measure_percentile_ns(get, 99.9) >= 1000000);
    measure_free(measure);
}

struct heard {
    size_t count;
    uint64_t duration_ns;
    size_t argc;
};

static void hear(void *arg, const struct waiter_id *who, const struct measure_run *run,
                 const rr_bytes *argv, size_t argc)
{
    struct heard *heard = arg;
    (void)argv;
    CHECK_EQ(who->number, 9);
    heard->count++;
    heard->duration_ns = run->duration_ns;
    heard->argc = argc;
}

TEST(measure, tells_of_slow_commands_from_the_threshold_on)
{
    struct measure *measure = new_measure();
    struct heard heard = {0};
    struct waiter_id who = {3, 7, 9};
    rr_bytes argv[2] = {bytes_of("get"), bytes_of("k")};
    struct measure_run run = {named("get"), 5000, false};
    measure->slow = hear;
    measure->slow_arg = &heard;

    measure_slow(measure, &who, &run, argv, 2);
    CHECK_EQ(heard.count, 0); /* nothing is slow unless someone says so */
    atomic_store(&measure->slow_ns, 5001);
    measure_slow(measure, &who, &run, argv, 2);
    CHECK_EQ(heard.count, 0);
    atomic_store(&measure->slow_ns, 5000);
    measure_slow(measure, &who, &run, argv, 2);
    CHECK_EQ(heard.count, 1);
    CHECK_EQ(heard.duration_ns, 5000);
    CHECK_EQ(heard.argc, 2);
    measure_free(measure);
}

TEST(measure, counts_only_for_clients_of_this_start_of_this_node)
{
    struct measure *measure = new_measure();
    CHECK(measure_is_own(measure, &(struct waiter_id){3, 7, 1}));
    CHECK(!measure_is_own(measure, &(struct waiter_id){2, 7, 1}));
    CHECK(!measure_is_own(measure, &(struct waiter_id){3, 6, 1}));
    measure_free(measure);
}
