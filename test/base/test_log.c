#include "support/test.h"

#include "base/limits.h"
#include "base/log.h"

#include <stdio.h>
#include <string.h>

/* The last line that the logger of a test received. */
struct heard {
    int lines;
    rr_log_level level;
    char target[32];
    char text[LOG_LINE_BYTES_MAX];
};

static void hear(void *arg, rr_log_level level, const char *target, const char *text)
{
    struct heard *heard = arg;
    heard->lines++;
    heard->level = level;
    snprintf(heard->target, sizeof(heard->target), "%s", target);
    snprintf(heard->text, sizeof(heard->text), "%s", text);
}

static int evaluated;

static int costly(void)
{
    return ++evaluated;
}

TEST(log, hands_on_lines_of_its_level_and_above)
{
    struct heard heard = {0};
    struct logger logger = {.fn = hear, .arg = &heard, .level = RR_LOG_INFO, .target = "test"};
    LOG_INFO(&logger, "group %d elected node %d", 7, 3);
    CHECK_TEXT(heard.text, "group 7 elected node 3");
    CHECK_TEXT(heard.target, "test");
    CHECK_EQ(heard.level, RR_LOG_INFO);

    evaluated = 0;
    LOG_DEBUG(&logger, "not wanted: %d", costly());
    CHECK_EQ(heard.lines, 1);
    CHECK_EQ(evaluated, 0);
    LOG_ERROR(&logger, "wanted: %d", costly());
    CHECK_EQ(heard.lines, 2);
}

TEST(log, speaks_under_another_name)
{
    struct heard heard = {0};
    struct logger logger = {.fn = hear, .arg = &heard, .target = "test"};
    struct logger named = logger_named(&logger, "raft");
    LOG_TRACE(&named, "hello");
    CHECK_TEXT(heard.target, "raft");
}

TEST(log, is_silent_without_a_callback)
{
    struct logger silent = logger_silent();
    evaluated = 0;
    LOG_ERROR(&silent, "nobody listens: %d", costly());
    struct logger zeroed = {0};
    LOG_ERROR(&zeroed, "nobody listens: %d", costly());
    CHECK_EQ(evaluated, 0);
}

TEST(log, cuts_lines_that_are_too_long)
{
    struct heard heard = {0};
    struct logger logger = {.fn = hear, .arg = &heard, .target = "test"};
    char text[2 * LOG_LINE_BYTES_MAX];
    memset(text, 'x', sizeof(text) - 1);
    text[sizeof(text) - 1] = '\0';
    LOG_INFO(&logger, "%s", text);
    CHECK_EQ(strlen(heard.text), LOG_LINE_BYTES_MAX - 1);
}

TEST(log_limiter, lets_one_line_pass_in_each_interval_and_counts_the_others)
{
    struct log_limiter limiter = {.interval_ms = 100};
    uint64_t suppressed = 99;
    CHECK(log_limiter_pass(&limiter, 0, &suppressed));
    CHECK_EQ(suppressed, 0);
    CHECK(!log_limiter_pass(&limiter, 1, &suppressed));
    CHECK(!log_limiter_pass(&limiter, 99, NULL));
    CHECK(log_limiter_pass(&limiter, 100, &suppressed));
    CHECK_EQ(suppressed, 2);
    CHECK(!log_limiter_pass(&limiter, 199, &suppressed));
    CHECK(log_limiter_pass(&limiter, 1000, NULL));
}

TEST(log_limiter, can_let_only_the_first_line_pass)
{
    struct log_limiter limiter = {.interval_ms = UINT64_MAX};
    CHECK(log_limiter_pass(&limiter, 5, NULL));
    CHECK(!log_limiter_pass(&limiter, UINT64_MAX - 1, NULL));
}

TEST(status, has_a_name_for_every_value)
{
    for (int status = 0; status <= RR_STALE_SESSION; status++) {
        if (strcmp(rr_status_name((rr_status)status), "unknown status") == 0) {
            CHECK_EQ(status, 14); /* the one number that is not used */
        }
    }
    CHECK_TEXT(rr_status_name(RR_NOT_LEADER), "not leader");
    CHECK_TEXT(rr_status_name((rr_status)99), "unknown status");
}
