/* Starting this program again as a child with one task. */
#include "storage/child.h"

#include "storage/file.h"
#include "support/test.h"

#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

/* Ends a child that went through its body without meeting its fault. */
enum { NO_FAULT_CODE = 118 };

void child_run_if_asked(const char *name, void (*body)(const struct child *child))
{
    const char *asked = getenv("STORAGE_CHILD");
    if (asked == NULL || strcmp(asked, name) != 0) {
        return;
    }
    struct child child = {
        .directory = getenv("STORAGE_CHILD_DIRECTORY"),
        .fd = atoi(getenv("STORAGE_CHILD_FD")),
        .fault = strtoull(getenv("STORAGE_CHILD_FAULT"), NULL, 10),
        .fault_kind = atoi(getenv("STORAGE_CHILD_FAULT_KIND")),
    };
    file_fault_after(child.fault, (enum file_fault)child.fault_kind);
    body(&child);
    bool met = child.fault == 0 || !file_fault_pending();
    _exit(met ? 0 : NO_FAULT_CODE);
}

static void set_number(const char *name, uint64_t number)
{
    char text[32];
    snprintf(text, sizeof(text), "%" PRId64, (int64_t)number);
    setenv(name, text, 1);
}

/* ThreadSanitizer lets each process sleep for a second at its end, in case threads still race. */
static void spare_sleep(void)
{
    const char *given = getenv("TSAN_OPTIONS");
    char options[1024];
    snprintf(options, sizeof(options), "%s atexit_sleep_ms=0", given == NULL ? "" : given);
    setenv("TSAN_OPTIONS", options, 1);
}

pid_t child_start(const char *name, const struct child *child)
{
    pid_t pid = fork();
    if (pid != 0) {
        CHECK_GT(pid, 0);
        return pid;
    }
    setenv("STORAGE_CHILD", name, 1);
    setenv("STORAGE_CHILD_DIRECTORY", child->directory, 1);
    set_number("STORAGE_CHILD_FD", (uint64_t)(int64_t)child->fd);
    set_number("STORAGE_CHILD_FAULT", child->fault);
    set_number("STORAGE_CHILD_FAULT_KIND", (uint64_t)child->fault_kind);
    spare_sleep();
    execl("/proc/self/exe", "child", (char *)NULL);
    _exit(119);
}

bool child_aborts(const char *name, const char *directory)
{
    pid_t pid = child_start(name, &(struct child){.directory = directory, .fd = -1});
    int wait_status = test_wait(pid);
    return WIFSIGNALED(wait_status) && WTERMSIG(wait_status) == SIGABRT;
}

void child_report(const struct child *child, uint64_t number)
{
    if (write(child->fd, &number, sizeof(number)) != (ssize_t)sizeof(number)) {
        _exit(4);
    }
}

uint64_t child_kill_after(const char *name, const char *directory, uint64_t reports)
{
    int fds[2];
    CHECK_EQ(pipe(fds), 0);
    CHECK_GE(fcntl(fds[0], F_SETFD, FD_CLOEXEC), 0);
    pid_t pid = child_start(name, &(struct child){.directory = directory, .fd = fds[1]});
    close(fds[1]);
    uint64_t last = 0;
    while (reports > 0 && read(fds[0], &last, sizeof(last)) == (ssize_t)sizeof(last)) {
        reports--;
    }
    kill(pid, SIGKILL);
    while (read(fds[0], &last, sizeof(last)) == (ssize_t)sizeof(last)) {
    }
    close(fds[0]);
    int wait_status = test_wait(pid);
    CHECK(WIFSIGNALED(wait_status));
    CHECK_EQ(WTERMSIG(wait_status), SIGKILL);
    CHECK_EQ(reports, 0);
    return last;
}

bool child_meets_fault(const char *name, const char *directory, uint64_t nth, int fault_kind)
{
    struct child child = {.directory = directory, .fd = -1, .fault = nth, .fault_kind = fault_kind};
    int wait_status = test_wait(child_start(name, &child));
    CHECK(WIFEXITED(wait_status));
    int code = WEXITSTATUS(wait_status);
    if (code == NO_FAULT_CODE) {
        return false;
    }
    CHECK_EQ(code, fault_kind == FILE_FAULT_EXIT ? FILE_FAULT_EXIT_CODE : 0);
    return true;
}

bool child_step(child_step_fn step, const char *path, uint64_t nth, enum file_fault fault)
{
    bool pending = false;
    if (fault != FILE_FAULT_EXIT) {
        step(path, nth, fault, &pending);
        return pending;
    }
    pid_t child = fork();
    if (child == 0) {
        step(path, nth, fault, &pending);
        _exit(0);
    }
    int wait_status = test_wait(child);
    CHECK(WIFEXITED(wait_status));
    pending = WEXITSTATUS(wait_status) != FILE_FAULT_EXIT_CODE;
    CHECK(!pending || WEXITSTATUS(wait_status) == 0);
    return pending;
}
