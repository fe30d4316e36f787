/* The life of a server's process; see service.h. */
#include "common/service.h"

#include "common/parents.h"

#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <time.h>
#include <unistd.h>

enum {
    /* Together under the ten seconds that supervisors grant after SIGTERM. */
    SHUTDOWN_TIMEOUT_MS = 5000,
    WATCHDOG_S = 9,

    /* How long the thread of membership waits before it looks whether the process stops. */
    MEMBER_POLL_MS = 250,
    MEMBER_REPORT_MS = 15000
};

uint64_t service_now_us(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

void service_init(struct service *service, const char *program)
{
    *service = (struct service){.program = program, .signals = -1, .ends = -1};
    pthread_mutex_init(&service->lock, NULL);
}

void service_deinit(struct service *service)
{
    if (service->signals >= 0) {
        close(service->signals);
        close(service->ends);
    }
    log_close(service->log);
    rr_config_free(service->loaded);
    pthread_mutex_destroy(&service->lock);
}

/* ---- Reasons to end ---- */

static void wake(struct service *service)
{
    uint64_t one = 1;
    if (write(service->ends, &one, sizeof(one)) < 0) {
        _exit(SERVICE_FAILED);
    }
}

void service_fail(struct service *service, const char *reason)
{
    pthread_mutex_lock(&service->lock);
    bool first = !service->failed;
    if (first) {
        service->failed = true;
        snprintf(service->failure, sizeof(service->failure), "%s", reason);
    }
    pthread_mutex_unlock(&service->lock);
    if (first) {
        wake(service);
    }
}

void service_ask_stop(struct service *service)
{
    atomic_store(&service->stop_asked, true);
    wake(service);
}

static void on_halt(void *arg, rr_status status, const char *reason)
{
    char text[512];
    snprintf(text, sizeof(text), "the node halted: %s (%s)", reason, rr_status_name(status));
    service_fail(arg, text);
}

/* ---- Membership ---- */

static void describe_join(const rr_config *config, char *out, size_t size)
{
    size_t used = 0;
    out[0] = '\0';
    for (size_t i = 0; i < config->join_count && used < size; i++) {
        int added = snprintf(out + used, size - used, "%s%s", i > 0 ? ", " : "", config->join[i]);
        used += added > 0 ? (size_t)added : 0;
    }
}

/* Waits for one turn more; false when there is nothing left to wait for. */
static bool member_wait(struct service *service, uint64_t started_us, uint64_t *reported_us)
{
    char error[256] = "";
    rr_status status = rr_node_await_member(service->node, MEMBER_POLL_MS, error, sizeof(error));
    if (status == RR_OK) {
        log_write(service->log, RR_LOG_INFO, "this node is a member of its cluster");
        return false;
    }
    if (status == RR_CLOSED) {
        return false;
    }
    char text[600];
    char members[256];
    describe_join(&service->config, members, sizeof(members));
    if (status != RR_TIMEOUT) {
        snprintf(text, sizeof(text), "cannot become a member of the cluster: %s",
                 error[0] != '\0' ? error : rr_status_name(status));
        service_fail(service, text);
        return false;
    }
    uint64_t now_us = service_now_us();
    uint64_t limit_ms = service->config.join_timeout_ms;
    if (service->config.join_count > 0 && limit_ms > 0 && now_us - started_us > limit_ms * 1000) {
        snprintf(text, sizeof(text),
                 "could not join the cluster through %s within %" PRIu64 " ms%s%s", members,
                 limit_ms, error[0] != '\0' ? ": " : "", error);
        service_fail(service, text);
        return false;
    }
    if (now_us - *reported_us > (uint64_t)MEMBER_REPORT_MS * 1000) {
        *reported_us = now_us;
        log_write(service->log, RR_LOG_WARN, "still waiting to become a member%s%s%s%s",
                  members[0] != '\0' ? " through " : "", members, error[0] != '\0' ? ": " : "",
                  error);
    }
    return true;
}

static void *await_member(void *arg)
{
    struct service *service = arg;
    uint64_t started_us = service_now_us();
    uint64_t reported_us = started_us;
    while (!atomic_load(&service->stopping) && member_wait(service, started_us, &reported_us)) {
    }
    return NULL;
}

int service_await_member(struct service *service)
{
    service->member_thread_runs =
        pthread_create(&service->member_thread, NULL, await_member, service) == 0;
    return service->member_thread_runs
               ? 0
               : service_start_failed(service, SERVICE_FAILED, "cannot start a thread");
}

/* ---- Starting ---- */

int service_start_failed(const struct service *service, int code, const char *text)
{
    fprintf(stderr, "%s: %s\n", service->program, text);
    if (service->log != NULL && service->config.log_file != NULL) {
        log_write(service->log, RR_LOG_ERROR, "%s", text);
    }
    return code;
}

int service_load_config(struct service *service, const char *path, const char *address_key,
                        const char *table, const char *address)
{
    if (path == NULL) {
        service->loaded = rr_config_new(address);
    } else {
        char error[1024] = "";
        rr_status status =
            rr_config_load_table(path, address_key, table, &service->loaded, error, sizeof(error));
        if (status != RR_OK) {
            return service_start_failed(service, SERVICE_WRONG, error);
        }
    }
    service->config = *service->loaded;
    return 0;
}

void service_catch_signals(struct service *service)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGHUP);
    pthread_sigmask(SIG_BLOCK, &set, NULL);
    signal(SIGPIPE, SIG_IGN);
    service->signals = signalfd(-1, &set, SFD_CLOEXEC);
    service->ends = eventfd(0, EFD_CLOEXEC);
    if (service->signals < 0 || service->ends < 0) {
        abort();
    }
}

int service_open_log(struct service *service, const char *target)
{
    char error[1024] = "";
    service->log = log_open(&service->config, target, &service->log_filter, error, sizeof(error));
    return service->log != NULL ? 0 : service_start_failed(service, SERVICE_FAILED, error);
}

int service_open_node(struct service *service, const rr_procedure *procedures,
                      size_t procedure_count)
{
    rr_options options;
    rr_options_init(&options);
    rr_config_to_options(&service->config, &options);
    options.procedures = procedures;
    options.procedure_count = procedure_count;
    options.log = log_line;
    options.log_arg = service->log;
    options.log_level = rr_log_filter_level(service->log_filter, NULL);
    char error[512] = "";
    (void)parents_make(service->config.data_path); /* what is wrong shows when the node opens */
    rr_status status = rr_node_open(&options, error, sizeof(error), &service->node);
    if (status == RR_OK) {
        rr_node_on_halt(service->node, on_halt, service);
        return 0;
    }
    char text[600];
    snprintf(text, sizeof(text), "cannot start node %" PRIu64 ": %s", service->config.node_id,
             error[0] != '\0' ? error : rr_status_name(status));
    service->node = NULL;
    return service_start_failed(service, status == RR_INVALID ? SERVICE_WRONG : SERVICE_FAILED,
                                text);
}

void service_print_summary(const struct service *service)
{
    const rr_config *config = &service->config;
    printf("%s %s: node %" PRIu64 ", raft at %s (known to peers as %s), data in %s\n",
           service->program, RR_VERSION, config->node_id, config->raft_address,
           config->advertise_address, config->data_path);
    if (config->join_count > 0) {
        char members[512];
        describe_join(config, members, sizeof(members));
        printf("joins through %s unless it is a member already\n", members);
    }
    if (config->log_file != NULL) {
        printf("logs to %s\n", config->log_file);
    }
}

/* ---- Running and stopping ---- */

static int end_by_event(struct service *service)
{
    pthread_mutex_lock(&service->lock);
    bool failed = service->failed;
    pthread_mutex_unlock(&service->lock); /* `failure` does not change any more */
    if (!failed) {
        log_write(service->log, RR_LOG_INFO, "stopping: SHUTDOWN");
        return 0;
    }
    log_write(service->log, RR_LOG_ERROR, "stopping: %s", service->failure);
    fprintf(stderr, "%s: %s\n", service->program, service->failure);
    return SERVICE_FAILED;
}

int service_wait_for_end(struct service *service)
{
    struct pollfd events[2] = {{.fd = service->signals, .events = POLLIN},
                               {.fd = service->ends, .events = POLLIN}};
    for (;;) {
        if (poll(events, 2, -1) < 0 && errno != EINTR) {
            return SERVICE_FAILED;
        }
        if ((events[1].revents & POLLIN) != 0) {
            return end_by_event(service);
        }
        struct signalfd_siginfo signal_info;
        if ((events[0].revents & POLLIN) == 0 ||
            read(service->signals, &signal_info, sizeof(signal_info)) != sizeof(signal_info)) {
            continue;
        }
        if (signal_info.ssi_signo == SIGHUP) {
            log_reopen(service->log);
            continue;
        }
        log_write(service->log, RR_LOG_INFO, "stopping: signal %u", signal_info.ssi_signo);
        return 0;
    }
}

static void give_up(int signal_number)
{
    static const char text[] = "could not stop in time\n";
    (void)signal_number;
    (void)!write(STDERR_FILENO, text, sizeof(text) - 1);
    _exit(SERVICE_FAILED);
}

void service_begin_stop(struct service *service)
{
    /* A disk that does not answer must not keep the process alive, nor a second SIGINT unheard. */
    signal(SIGALRM, give_up);
    alarm(WATCHDOG_S);
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGINT);
    signal(SIGINT, SIG_DFL);
    pthread_sigmask(SIG_UNBLOCK, &set, NULL);
    atomic_store(&service->stopping, true);
}

void service_shutdown_node(struct service *service)
{
    if (service->node != NULL && rr_node_shutdown(service->node, SHUTDOWN_TIMEOUT_MS) != RR_OK) {
        log_write(service->log, RR_LOG_WARN, "not every request could be finished in time");
    }
    if (service->member_thread_runs) {
        pthread_join(service->member_thread, NULL);
    }
}
