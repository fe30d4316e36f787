/*
 * What all commands share: lists of messages, what the driver prints and how much of it, and the
 * nodes by their ids. How Raft's values look as text is format.c's.
 */
#include <inttypes.h>
#include <string.h>
#include <strings.h>

#include "base/memory.h"
#include "scenario/interaction_private.h"

/* ---- Lists of messages ---- */

struct post *posts_push(struct posts *posts)
{
    if (posts->count == posts->capacity) {
        posts->capacity = posts->capacity == 0 ? 16 : 2 * posts->capacity;
        posts->items = mem_resize(posts->items, posts->capacity * sizeof(*posts->items));
    }
    struct post *post = &posts->items[posts->count];
    memset(post, 0, sizeof(*post));
    posts->count++;
    return post;
}

struct post posts_take(struct posts *posts, uint32_t at)
{
    struct post post = posts->items[at];
    posts->count--;
    memmove(posts->items + at, posts->items + at + 1, (posts->count - at) * sizeof(*posts->items));
    return post;
}

void posts_deinit(struct posts *posts)
{
    for (uint32_t i = 0; i < posts->count; i++) {
        post_deinit(&posts->items[i]);
    }
    mem_free(posts->items);
    memset(posts, 0, sizeof(*posts));
}

bool post_is_local(const struct post *post)
{
    return post->kind != POST_MESSAGE || post->from == post->to;
}

/* ---- Output ---- */

static const char *const level_names[] = {"DEBUG", "INFO", "WARN", "ERROR", "FATAL", "NONE"};

bool level_parse(const char *name, enum level *out)
{
    for (int i = LEVEL_DEBUG; i <= LEVEL_NONE; i++) {
        if (strcasecmp(name, level_names[i]) == 0) {
            *out = (enum level)i;
            return true;
        }
    }
    return false;
}

const char level_error[] = "log levels must be either of [DEBUG INFO WARN ERROR FATAL NONE]";

void say_trace(void *arg, enum raft_log_level level, const char *text)
{
    struct environment *environment = arg;
    if (environment->level != LEVEL_NONE && (int)environment->level <= (int)level) {
        print(environment->out, "%s %s\n", level_names[level], text);
    }
}

void say_post(struct environment *environment, const struct post *post, bool with_responses)
{
    if (environment->level != LEVEL_NONE) {
        format_post(environment->out, post, with_responses);
    }
}

bool say_indented(struct environment *environment, struct node *node,
                  bool (*run)(struct environment *environment, struct node *node))
{
    struct buffer *outer = environment->out;
    struct buffer inner;
    buffer_init(&inner);
    environment->out = &inner;
    bool worked = run(environment, node);
    environment->out = outer;
    format_indented(outer, &inner);
    buffer_deinit(&inner);
    return worked;
}

void say_error(struct environment *environment, const char *text)
{
    if (environment->level == LEVEL_NONE) {
        buffer_clear(environment->out);
    }
    print(environment->out, "%s", text);
}

/* ---- Nodes ---- */

struct node *environment_node(struct environment *environment, uint64_t id)
{
    if (id == 0 || id > environment->count) {
        script_fail(environment->item, "there is no node %" PRIu64, id);
    }
    return environment->nodes[id - 1];
}
