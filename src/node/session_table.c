/* Sessions by id in a hash map and by use in a list; each is a small object of its own. */
#include "node/session_table.h"

#include "base/assert.h"
#include "base/memory.h"

#include <stdlib.h>

void session_table_init(struct session_table *table)
{
    map_init(&table->by_id);
    list_init(&table->by_use);
}

static struct session *from_link(struct list_link *link)
{
    return link == NULL ? NULL : CONTAINER_OF(link, struct session, link);
}

static void remove_all(struct session_table *table)
{
    struct list_link *link;
    while ((link = list_pop_front(&table->by_use)) != NULL) {
        mem_free(from_link(link));
    }
    map_deinit(&table->by_id);
}

void session_table_deinit(struct session_table *table)
{
    if (table != NULL) {
        remove_all(table);
    }
}

uint32_t session_table_count(const struct session_table *table)
{
    return (uint32_t)map_count(&table->by_id);
}

struct session *session_table_find(const struct session_table *table, uint64_t id)
{
    return map_get(&table->by_id, id);
}

/* Puts `session`, used later than all others, into the table. */
static void insert(struct session_table *table, struct session *session)
{
    const struct session *latest = from_link(list_back(&table->by_use));
    ASSERT(latest == NULL || latest->used_index < session->used_index);
    list_push_back(&table->by_use, &session->link);
    void *replaced = map_set(&table->by_id, session->id, session);
    ASSERT(replaced == NULL);
}

struct session *session_table_add(struct session_table *table, uint64_t id, raft_index index,
                                  uint64_t time_ms)
{
    ASSERT(session_table_count(table) < SESSIONS_MAX);
    struct session *session = mem_new(struct session);
    session->id = id;
    session->used_index = index;
    session->used_ms = time_ms;
    insert(table, session);
    return session;
}

void session_table_use(struct session_table *table, struct session *session, raft_index index,
                       uint64_t time_ms)
{
    const struct session *latest = from_link(list_back(&table->by_use));
    ASSERT(latest->used_index < index);
    ASSERT(session->used_ms <= time_ms);
    list_remove(&session->link);
    session->used_index = index;
    session->used_ms = time_ms;
    list_push_back(&table->by_use, &session->link);
}

struct session *session_table_oldest(const struct session_table *table)
{
    return from_link(list_front(&table->by_use));
}

void session_table_remove(struct session_table *table, struct session *session)
{
    list_remove(&session->link);
    map_remove(&table->by_id, session->id);
    mem_free(session);
}

static int compare_by_use(const void *left, const void *right)
{
    const struct session *a = left;
    const struct session *b = right;
    return (a->used_index > b->used_index) - (a->used_index < b->used_index);
}

bool session_table_load(struct session_table *table, struct session *sessions, size_t count)
{
    remove_all(table);
    if (count > SESSIONS_MAX) {
        return false;
    }
    if (count > 0) {
        qsort(sessions, count, sizeof(*sessions), compare_by_use);
    }
    for (size_t i = 0; i < count; i++) {
        if (i > 0 && sessions[i].used_index == sessions[i - 1].used_index) {
            return false;
        }
        struct session *session = mem_new(struct session);
        *session = sessions[i];
        session->link = (struct list_link){0};
        insert(table, session);
    }
    return true;
}

bool session_expired(const struct session *session, uint64_t time_ms)
{
    return time_ms >= session->used_ms && time_ms - session->used_ms >= SESSION_IDLE_MS_MAX;
}
