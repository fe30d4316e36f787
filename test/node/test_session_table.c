#include "support/test.h"

#include "node/session_table.h"

TEST(session_table, orders_by_last_use)
{
    struct session_table table;
    session_table_init(&table);
    session_table_add(&table, 10, 10, 100);
    session_table_add(&table, 11, 11, 100);
    session_table_use(&table, session_table_find(&table, 10), 12, 101);
    CHECK_EQ(session_table_oldest(&table)->id, 11);
    session_table_remove(&table, session_table_oldest(&table));
    CHECK(session_table_find(&table, 11) == NULL);
    CHECK_EQ(session_table_oldest(&table)->id, 10);
    CHECK_EQ(session_table_count(&table), 1);
    session_table_deinit(&table);
    session_table_deinit(NULL);
}

TEST(session_table, is_loaded_in_any_order_and_refuses_two_uses_by_one_entry)
{
    struct session_table table;
    session_table_init(&table);
    struct session sessions[] = {
        {.id = 5, .used_index = 30}, {.id = 6, .used_index = 10}, {.id = 7, .used_index = 20}};
    CHECK(session_table_load(&table, sessions, 3));
    CHECK_EQ(session_table_oldest(&table)->id, 6);
    CHECK_EQ(session_table_count(&table), 3);
    sessions[1].used_index = 30;
    CHECK(!session_table_load(&table, sessions, 3));
    CHECK(session_table_load(&table, NULL, 0));
    CHECK(session_table_oldest(&table) == NULL);
    session_table_deinit(&table);
}

TEST(session_table, lets_a_session_live_for_an_hour_without_use)
{
    struct session session = {.used_ms = 1000};
    CHECK(!session_expired(&session, 1000 + SESSION_IDLE_MS_MAX - 1));
    CHECK(session_expired(&session, 1000 + SESSION_IDLE_MS_MAX));
    CHECK(!session_expired(&session, 0));
}
