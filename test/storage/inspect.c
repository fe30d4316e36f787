#include "storage/inspect.h"

#include "support/test.h"

#include <inttypes.h>
#include <limits.h>
#include <spawn.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;

enum { ARGUMENTS_MAX = 16, LINE_BYTES = 1 << 18 };

/* The program beside this one: build/test/X and build/bin/rockraft-inspect. */
static const char *program(void)
{
    static char path[PATH_MAX + 32];
    ssize_t size = readlink("/proc/self/exe", path, PATH_MAX);
    CHECK(size > 0 && size < PATH_MAX);
    path[size] = 0;
    for (int i = 0; i < 2; i++) {
        char *slash = strrchr(path, '/');
        CHECK(slash != NULL);
        *slash = 0;
    }
    strcat(path, "/bin/rockraft-inspect");
    if (access(path, X_OK) != 0) {
        FAIL("%s is not there: build it", path);
    }
    return path;
}

int inspect_run(const char *const *arguments, inspect_line_fn each, void *arg)
{
    char *list[ARGUMENTS_MAX] = {(char *)program()};
    for (unsigned i = 0; arguments[i] != NULL; i++) {
        CHECK_LT(i + 2, ARGUMENTS_MAX);
        list[i + 1] = (char *)arguments[i];
    }
    int ends[2];
    CHECK_EQ(pipe(ends), 0);
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, ends[1], STDOUT_FILENO);
    posix_spawn_file_actions_addclose(&actions, ends[0]);
    posix_spawn_file_actions_addclose(&actions, ends[1]);
    pid_t pid;
    CHECK_EQ(posix_spawn(&pid, list[0], &actions, NULL, list, environ), 0);
    posix_spawn_file_actions_destroy(&actions);
    close(ends[1]);
    FILE *output = fdopen(ends[0], "r");
    static char line[LINE_BYTES];
    while (fgets(line, sizeof(line), output) != NULL) {
        each(arg, line);
    }
    fclose(output);
    int status;
    CHECK_EQ(waitpid(pid, &status, 0), pid);
    if (!WIFEXITED(status) || WEXITSTATUS(status) > INSPECT_UNREAD) {
        FAIL("rockraft-inspect ended with the status %d", status);
    }
    return WEXITSTATUS(status);
}

struct group_list {
    struct inspect_group *groups;
    uint32_t count;
};

static void note_group(void *arg, const char *line)
{
    struct group_list *list = arg;
    struct inspect_group group = {.exists = true};
    uint64_t id;
    int fields =
        sscanf(line,
               "group group %" SCNu64 ", term %" SCNu64 ", vote %" SCNu64 ", commit %" SCNu64
               ", base %" SCNu64 ", base_term %" SCNu64 ", last %" SCNu64 ", last_term %" SCNu64,
               &id, &group.term, &group.vote, &group.commit, &group.base, &group.base_term,
               &group.last, &group.last_term);
    if (fields <= 0) {
        return;
    }
    CHECK_EQ(fields, 8);
    CHECK_LT(id, list->count);
    list->groups[id] = group;
}

int inspect_log_groups(const char *directory, struct inspect_group *groups, uint32_t count)
{
    memset(groups, 0, count * sizeof(*groups));
    struct group_list list = {groups, count};
    const char *arguments[] = {"hard-state", directory, NULL};
    return inspect_run(arguments, note_group, &list);
}
