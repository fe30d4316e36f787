#include "raft/progress.h"

#include <inttypes.h>
#include <string.h>

#include "base/assert.h"
#include "base/memory.h"
#include "raft/text.h"

static raft_index smaller(raft_index a, raft_index b)
{
    return a < b ? a : b;
}

static raft_index larger(raft_index a, raft_index b)
{
    return a > b ? a : b;
}

void raft_progress_init(struct raft_progress *progress, raft_id id, raft_index next)
{
    memset(progress, 0, sizeof(*progress));
    progress->id = id;
    progress->next = next;
    progress->active = true;
}

void raft_progress_deinit(struct raft_progress *progress)
{
    mem_free(progress->window.items);
    memset(&progress->window, 0, sizeof(progress->window));
}

static void window_clear(struct raft_window *window)
{
    window->start = 0;
    window->count = 0;
    window->bytes = 0;
}

void raft_progress_reset(struct raft_progress *progress, raft_index match, raft_index next)
{
    struct raft_window window = progress->window;
    raft_id id = progress->id;
    uint64_t session = progress->session;
    memset(progress, 0, sizeof(*progress));
    progress->id = id;
    progress->session = session;
    progress->match = match;
    progress->next = next;
    progress->window = window;
    window_clear(&progress->window);
}

static void change_state(struct raft_progress *progress, enum raft_progress_state state)
{
    progress->state = state;
    progress->paused = false;
    progress->more = false;
    progress->pending_snapshot = 0;
    window_clear(&progress->window);
}

void raft_progress_become_probe(struct raft_progress *progress)
{
    raft_index next = progress->match + 1;
    if (progress->state == RAFT_SNAPSHOT) {
        next = larger(next, progress->pending_snapshot + 1);
    }
    change_state(progress, RAFT_PROBE);
    progress->next = next;
    progress->sent_commit = smaller(progress->sent_commit, next - 1);
}

void raft_progress_become_replicate(struct raft_progress *progress)
{
    change_state(progress, RAFT_REPLICATE);
    progress->next = progress->match + 1;
}

void raft_progress_become_snapshot(struct raft_progress *progress, raft_index index)
{
    change_state(progress, RAFT_SNAPSHOT);
    progress->pending_snapshot = index;
    progress->next = index + 1;
    progress->sent_commit = index;
}

bool raft_progress_is_paused(const struct raft_progress *progress)
{
    return progress->state == RAFT_SNAPSHOT || progress->paused;
}

bool raft_window_full(const struct raft_window *window, const struct raft_window_limits *limits)
{
    return window->count >= limits->count_max ||
           (limits->bytes_max != 0 && window->bytes >= limits->bytes_max);
}

void raft_window_add(struct raft_window *window, raft_index index, uint64_t bytes)
{
    if (window->count == window->capacity) {
        uint32_t capacity = window->capacity == 0 ? 8 : 2 * window->capacity;
        struct raft_inflight *items = mem_new_array(struct raft_inflight, capacity);
        for (uint32_t i = 0; i < window->count; i++) {
            items[i] = window->items[(window->start + i) % window->capacity];
        }
        mem_free(window->items);
        window->items = items;
        window->capacity = capacity;
        window->start = 0;
    }
    uint32_t at = (window->start + window->count) % window->capacity;
    window->items[at].index = index;
    window->items[at].bytes = bytes;
    window->count++;
    window->bytes += bytes;
}

void raft_window_free_to(struct raft_window *window, raft_index index)
{
    while (window->count > 0 && window->items[window->start].index <= index) {
        window->bytes -= window->items[window->start].bytes;
        window->start = (window->start + 1) % window->capacity;
        window->count--;
    }
}

bool raft_progress_update(struct raft_progress *progress, raft_index index)
{
    if (index <= progress->match) {
        return false;
    }
    progress->match = index;
    progress->next = larger(progress->next, index + 1);
    progress->paused = false;
    return true;
}

bool raft_progress_decrease(struct raft_progress *progress, raft_index rejected, raft_index hint)
{
    if (progress->state == RAFT_REPLICATE) {
        if (rejected <= progress->match) {
            return false;
        }
        progress->next = progress->match + 1;
    } else {
        if (progress->next - 1 != rejected) {
            return false;
        }
        progress->next = larger(smaller(rejected, hint + 1), progress->match + 1);
        progress->paused = false;
    }
    progress->sent_commit = smaller(progress->sent_commit, progress->next - 1);
    return true;
}

static const char *state_name(enum raft_progress_state state)
{
    switch (state) {
    case RAFT_PROBE:
        return "StateProbe";
    case RAFT_REPLICATE:
        return "StateReplicate";
    case RAFT_SNAPSHOT:
        return "StateSnapshot";
    }
    UNREACHABLE();
}

char *raft_progress_text(const struct raft_progress *progress, bool learner,
                         const struct raft_window_limits *limits, char *data, size_t size)
{
    struct text text;
    text_init(&text, data, size);
    text_append(&text, "%s match=%" PRIu64 " next=%" PRIu64, state_name(progress->state),
                progress->match, progress->next);
    if (learner) {
        text_append(&text, " learner");
    }
    if (raft_progress_is_paused(progress)) {
        text_append(&text, " paused");
    }
    if (progress->pending_snapshot != 0) {
        text_append(&text, " pendingSnap=%" PRIu64, progress->pending_snapshot);
    }
    if (!progress->active) {
        text_append(&text, " inactive");
    }
    if (progress->window.count > 0) {
        text_append(&text, " inflight=%" PRIu32, progress->window.count);
        if (raft_window_full(&progress->window, limits)) {
            text_append(&text, "[full]");
        }
    }
    return data;
}
