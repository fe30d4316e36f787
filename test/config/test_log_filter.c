#include "support/test.h"

#include "rockraft/config.h"

TEST(log_filter, is_a_level_for_everything)
{
    CHECK_OK(rr_log_filter_check("debug"));
    CHECK_EQ(rr_log_filter_level("debug", "raft"), RR_LOG_DEBUG);
    CHECK_EQ(rr_log_filter_level("WARN", "http"), RR_LOG_WARN);
    CHECK_EQ(rr_log_filter_level("off", "http"), RR_LOG_OFF);
}

TEST(log_filter, prefers_the_directive_that_names_the_target)
{
    const char *filter = "raft=trace, info,storage=off";
    CHECK_OK(rr_log_filter_check(filter));
    CHECK_EQ(rr_log_filter_level(filter, "raft"), RR_LOG_TRACE);
    CHECK_EQ(rr_log_filter_level(filter, "storage"), RR_LOG_OFF);
    CHECK_EQ(rr_log_filter_level(filter, "http"), RR_LOG_INFO);
    CHECK_EQ(rr_log_filter_level(filter, NULL), RR_LOG_TRACE);
}

TEST(log_filter, lets_errors_pass_where_it_says_nothing)
{
    CHECK_EQ(rr_log_filter_level("raft=info", "storage"), RR_LOG_ERROR);
    CHECK_EQ(rr_log_filter_level("rockraft=debug", "storage"), RR_LOG_DEBUG);
}

TEST(log_filter, is_refused_when_it_is_no_list_of_directives)
{
    CHECK_STATUS(rr_log_filter_check(""), RR_INVALID);
    CHECK_STATUS(rr_log_filter_check("info,"), RR_INVALID);
    CHECK_STATUS(rr_log_filter_check("loud"), RR_INVALID);
    CHECK_STATUS(rr_log_filter_check("info,raft"), RR_INVALID);
    CHECK_STATUS(rr_log_filter_check("raft=loud"), RR_INVALID);
    CHECK_STATUS(rr_log_filter_check("loud"), RR_INVALID);
    CHECK_STATUS(rr_log_filter_check("info,raft"), RR_INVALID);
    CHECK_STATUS(rr_log_filter_check("=info"), RR_INVALID);
    CHECK_STATUS(rr_log_filter_check("ra ft=info"), RR_INVALID);
}
