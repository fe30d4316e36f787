#include "node_child.h"

#include "rockraft/rockraft.h"
#include "support/log_kind.h"
#include "support/test.h"

#include <inttypes.h>
#include <semaphore.h>
#include <stdio.h>
#include <string.h>

enum { PATIENCE_MS = 60 * 1000, WELL_CODE = 100, FAULTY_CODE = 101, BAD_CODE = 102 };

/* ---- In the child ---- */

/* What is to happen on the node's thread. */
struct on_thread {
    sem_t done;
    uint64_t nth;
    enum file_fault kind;
    bool pending;
};

static void set_fault(void *arg, rr_status status, const rr_result *result)
{
    struct on_thread *task = arg;
    (void)status;
    (void)result;
    file_fault_after(task->nth, task->kind);
    sem_post(&task->done);
}

static void look_at_fault(void *arg, rr_status status, const rr_result *result)
{
    struct on_thread *task = arg;
    (void)status;
    (void)result;
    task->pending = file_fault_pending();
    sem_post(&task->done);
}

/* Any request's end is on the node's thread. False: the node has halted. */
static bool run_on_thread(rr_node *node, rr_done_fn fn, struct on_thread *task)
{
    sem_init(&task->done, 0, 0);
    rr_status status =
        rr_node_get(node, test_bytes_of("none"), RR_READ_LOCAL, PATIENCE_MS, fn, task);
    if (status == RR_OK) {
        sem_wait(&task->done);
    }
    sem_destroy(&task->done);
    return status == RR_OK;
}

/* Ends the child that has a fault to meet: did it? */
static void end_with_fault(rr_node *node, const struct node_child *child)
{
    struct on_thread task = {.pending = child->while_opening && file_fault_pending()};
    if (!child->while_opening) {
        (void)run_on_thread(node, look_at_fault, &task);
    }
    rr_node_close(node);
    _exit(task.pending ? WELL_CODE : FAULTY_CODE);
}

static bool reads_what_was_written(rr_node *node)
{
    rr_result *result = NULL;
    rr_bytes value = {0};
    rr_status status =
        rr_node_get_wait(node, test_bytes_of("a"), RR_READ_LINEARIZABLE, PATIENCE_MS, &result);
    bool right = status == RR_OK && rr_result_value(result, 0, &value) && value.size == 1 &&
                 memcmp(value.data, "1", 1) == 0;
    rr_result_free(result);
    return right;
}

static void run_child(const struct node_child *child)
{
    rr_options options;
    rr_node *node = NULL;
    char error[512] = "";
    rr_options_init(&options);
    test_set_log_kind(&options);
    options.node_id = child->id;
    options.data_path = child->path;
    options.raft_address = child->address;
    options.found = child->founds;
    options.join = &child->joins;
    options.join_count = child->joins == NULL ? 0 : 1;
    options.disk_low_bytes = 0;
    if (child->while_opening) {
        file_fault_after(child->nth, child->kind);
    }
    rr_status status = rr_node_open(&options, error, sizeof(error), &node);
    if (status != RR_OK) {
        bool met = child->while_opening && child->nth > 0 && !file_fault_pending();
        _exit(met ? FAULTY_CODE : BAD_CODE);
    }
    if (!child->while_opening && child->nth > 0) {
        struct on_thread task = {.nth = child->nth, .kind = child->kind};
        if (!run_on_thread(node, set_fault, &task)) {
            _exit(BAD_CODE);
        }
    }
    status = rr_node_await_member(node, PATIENCE_MS, error, sizeof(error));
    if (child->nth > 0) {
        end_with_fault(node, child);
    }
    bool well = status == RR_OK && (child->founds || reads_what_was_written(node));
    rr_node_close(node);
    _exit(well ? WELL_CODE : BAD_CODE);
}

__attribute__((constructor)) static void run_if_asked(void)
{
    if (getenv("NODE_CHILD_ID") == NULL) {
        return;
    }
    struct node_child child = {
        .id = strtoull(getenv("NODE_CHILD_ID"), NULL, 10),
        .path = getenv("NODE_CHILD_PATH"),
        .address = getenv("NODE_CHILD_ADDRESS"),
        .founds = getenv("NODE_CHILD_FOUNDS") != NULL,
        .joins = getenv("NODE_CHILD_JOINS"),
        .while_opening = getenv("NODE_CHILD_OPENING") != NULL,
        .nth = strtoull(getenv("NODE_CHILD_NTH"), NULL, 10),
        .kind = (enum file_fault)atoi(getenv("NODE_CHILD_KIND")),
    };
    run_child(&child);
}

/* ---- In the test ---- */

static void set_number(const char *name, uint64_t number)
{
    char text[32];
    snprintf(text, sizeof(text), "%" PRIu64, number);
    setenv(name, text, 1);
}

pid_t node_child_start(const struct node_child *child)
{
    pid_t pid = fork();
    CHECK_GE(pid, 0);
    if (pid == 0) {
        set_number("NODE_CHILD_ID", child->id);
        setenv("NODE_CHILD_PATH", child->path, 1);
        setenv("NODE_CHILD_ADDRESS", child->address, 1);
        if (child->founds) {
            setenv("NODE_CHILD_FOUNDS", "yes", 1);
        }
        if (child->joins != NULL) {
            setenv("NODE_CHILD_JOINS", child->joins, 1);
        }
        if (child->while_opening) {
            setenv("NODE_CHILD_OPENING", "yes", 1);
        }
        set_number("NODE_CHILD_NTH", child->nth);
        set_number("NODE_CHILD_KIND", (uint64_t)child->kind);
        execl("/proc/self/exe", "child", (char *)NULL);
        _exit(BAD_CODE);
    }
    return pid;
}

enum node_child_end node_child_wait(const struct node_child *child, pid_t pid)
{
    int wait_status = test_wait(pid);
    if (!WIFEXITED(wait_status) || WEXITSTATUS(wait_status) == BAD_CODE) {
        fprintf(stderr, "the child ended with wait status 0x%x at step %" PRIu64 "\n",
                (unsigned)wait_status, child->nth);
        return NODE_CHILD_BAD;
    }
    switch (WEXITSTATUS(wait_status)) {
    case WELL_CODE:
        return NODE_CHILD_WELL;
    case FAULTY_CODE:
        return NODE_CHILD_FAULTY;
    case FILE_FAULT_EXIT_CODE:
        return child->kind == FILE_FAULT_EXIT ? NODE_CHILD_FAULTY : NODE_CHILD_BAD;
    default:
        return NODE_CHILD_BAD;
    }
}
