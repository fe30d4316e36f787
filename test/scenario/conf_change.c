/*
 * Configuration arithmetic by itself: simple, enter-joint and leave-joint; and reading operations,
 * which propose-conf-change takes as well.
 */
#include <ctype.h>
#include <inttypes.h>
#include <string.h>

#include "base/memory.h"
#include "raft/progress.h"
#include "scenario/families.h"

struct environment {
    struct raft_configuration configuration;
    raft_index next[RAFT_MEMBERS_MAX]; /* of each member's progress, in the same order */
    raft_index last;                   /* grows with every command, also a failing one */
};

static bool knows(const char *command)
{
    return strcmp(command, "simple") == 0 || strcmp(command, "enter-joint") == 0 ||
           strcmp(command, "leave-joint") == 0;
}

static void *open(void)
{
    return mem_new(struct environment);
}

static void close(void *environment)
{
    mem_free(environment);
}

/* The id of a token; false, with the published text, when it is no number. */
static bool parse_id(const char *digits, size_t size, uint64_t *out, struct buffer *error)
{
    const char *reason = NULL;
    uint64_t id = 0;
    for (size_t i = 0; i < size; i++) {
        if (!isdigit((unsigned char)digits[i])) {
            reason = "invalid syntax";
            break;
        }
        uint64_t digit = (uint64_t)(digits[i] - '0');
        if (id > (UINT64_MAX - digit) / 10) {
            reason = "value out of range";
        }
        id = id * 10 + digit;
    }
    if (reason != NULL) {
        print(error, "strconv.ParseUint: parsing \"%.*s\": %s", (int)size, digits, reason);
        return false;
    }
    *out = id;
    return true;
}

bool operations_parse(const char *input, struct raft_conf_change *out, struct buffer *error)
{
    memset(out, 0, sizeof(*out));
    const char *at = input;
    while (*input != '\0') {
        size_t size = strcspn(at, " ");
        if (size < 2) {
            print(error, "unknown token %.*s", (int)size, at);
            return false;
        }
        static const char letters[] = "vrul"; /* in the order of raft_conf_operation_type */
        const char *letter = strchr(letters, at[0]);
        if (letter == NULL) {
            print(error, "unknown input: %.*s", (int)size, at);
            return false;
        }
        if (out->count == RAFT_CONF_OPERATIONS_MAX) {
            print(error, "more than %d operations", RAFT_CONF_OPERATIONS_MAX);
            return false;
        }
        struct raft_conf_operation *operation = &out->operations[out->count];
        operation->type = (enum raft_conf_operation_type)(letter - letters);
        if (!parse_id(at + 1, size - 1, &operation->id, error)) {
            return false;
        }
        out->count++;
        if (at[size] == '\0') {
            break;
        }
        at += size + 1;
    }
    return true;
}

/* Members that were there keep their progress; new ones start at the present end of the log. */
static void install(struct environment *environment, const struct raft_conf_change *change,
                    const struct raft_configuration *next)
{
    raft_index positions[RAFT_MEMBERS_MAX];
    for (uint32_t i = 0; i < next->count; i++) {
        const struct raft_member *old =
            raft_configuration_find(&environment->configuration, next->members[i].id);
        if (old != NULL && !raft_conf_change_renews(change, &next->members[i])) {
            positions[i] = environment->next[old - environment->configuration.members];
        } else {
            positions[i] = environment->last > 1 ? environment->last : 1;
        }
    }
    memcpy(environment->next, positions, sizeof(positions));
    environment->configuration = *next;
}

static void print_all(const struct environment *environment, struct buffer *out)
{
    const struct raft_configuration *configuration = &environment->configuration;
    char text[RAFT_CONFIGURATION_TEXT_MAX];
    print(out, "%s\n", raft_configuration_text(configuration, text, sizeof(text)));
    struct raft_window_limits limits = {10, 0};
    for (uint32_t i = 0; i < configuration->count; i++) {
        const struct raft_member *member = &configuration->members[i];
        struct raft_progress progress;
        raft_progress_init(&progress, member->id, environment->next[i]);
        raft_progress_text(&progress, (member->flags & RAFT_MEMBER_LEARNER) != 0, &limits, text,
                           sizeof(text));
        print(out, "%" PRIu64 ": %s\n", member->id, text);
    }
}

static enum raft_conf_error change(const struct environment *environment,
                                   const struct script_case *item,
                                   const struct raft_conf_change *operations,
                                   struct raft_configuration *next)
{
    const struct raft_configuration *from = &environment->configuration;
    if (strcmp(item->command, "simple") == 0) {
        return raft_configuration_simple(from, operations->operations, operations->count, next);
    }
    if (strcmp(item->command, "leave-joint") == 0) {
        return raft_configuration_leave_joint(from, next);
    }
    const struct script_argument *argument = script_find(item, "autoleave");
    bool auto_leave = argument != NULL && script_boolean(item, script_value(item, argument));
    return raft_configuration_enter_joint(from, auto_leave, operations->operations,
                                          operations->count, next);
}

static void run(void *arg, const struct script_case *item, struct buffer *out)
{
    struct environment *environment = arg;
    struct raft_conf_change operations;
    struct raft_configuration next;
    if (!operations_parse(item->input, &operations, out)) {
        print(out, "\n");
    } else if (!knows(item->command)) {
        print(out, "unknown command\n");
    } else if (strcmp(item->command, "leave-joint") == 0 && operations.count > 0) {
        print(out, "this command takes no input\n");
    } else {
        enum raft_conf_error error = change(environment, item, &operations, &next);
        if (error == RAFT_CONF_OK) {
            install(environment, &operations, &next);
            print_all(environment, out);
        } else {
            print(out, "%s\n", raft_conf_error_text(error));
        }
    }
    environment->last++;
}

const struct family conf_change_family = {knows, open, run, close};
