/*
 * What the process of any server does: configuration, signals, log, its node, the wait for
 * membership, the reasons to end, the end in good time.
 *
 * A server loads its configuration, catches signals, takes its ports, opens its log and its node,
 * starts what is its own, then begins service_await_member and waits for the end. To stop, it calls
 * service_begin_stop, quiesces what is its own, calls service_shutdown_node, ends what is its own,
 * and calls service_deinit.
 *
 * The main thread's, except where noted.
 */
#ifndef COMMON_SERVICE_H
#define COMMON_SERVICE_H

#include "common/log.h"

#include <rockraft/config.h>
#include <rockraft/rockraft.h>

#include <pthread.h>
#include <stdatomic.h>

/* Exit statuses; 0 is an end that was asked for. */
enum { SERVICE_FAILED = 1, SERVICE_WRONG = 2 /* the command line or the configuration */ };

struct service {
    const char *program; /* its name, for stderr */
    rr_config config;    /* in force; the command line may put pointers of its own into it */
    struct log *log;
    rr_node *node;

    /* Private. */
    rr_config *loaded; /* owns what `config` began with */
    const char *log_filter;
    int signals; /* a signalfd */
    int ends;    /* an eventfd: `failure` or `stop_asked` has been set */
    pthread_mutex_t lock;
    bool failed;       /* under `lock`, as the next */
    char failure[640]; /* the first reason to end with a failure */
    atomic_bool stop_asked;
    pthread_t member_thread;
    bool member_thread_runs;
    atomic_bool stopping; /* read by the member thread */
};

/* `program` lasts as long as the service. */
void service_init(struct service *service, const char *program);
/* Closes and frees what is open, but for the node: service_shutdown_node. */
void service_deinit(struct service *service);

/* Each of the next returns 0, or an exit status after it has said why. */

/* The file at `path`, in which `address_key` is the server's address and `table` its own table (NULL:
 * none); NULL: the defaults that are built in, with the address `address`. */
int service_load_config(struct service *service, const char *path, const char *address_key,
                        const char *table, const char *address);
/* `target` is that of the server's own lines, a literal. */
int service_open_log(struct service *service, const char *target);
int service_open_node(struct service *service, const rr_procedure *procedures,
                      size_t procedure_count);
/* On a thread of its own: waits until the node is a member, and ends the service if that cannot be
 * or takes longer than the configuration allows. */
int service_await_member(struct service *service);

/* Says why the start fails, and returns `code`. */
int service_start_failed(const struct service *service, int code, const char *text);

/* From here on signals come through a descriptor, on no thread but the main one. */
void service_catch_signals(struct service *service);

/* Prints who this is and where its data and logs are. */
void service_print_summary(const struct service *service);

/* Sleeps until a signal, a failure or service_ask_stop, and returns the exit status. SIGHUP opens
 * the log's file again. */
int service_wait_for_end(struct service *service);

/* Ends the service soon, with the first reason that anyone gave. Any thread. */
void service_fail(struct service *service, const char *reason);
/* Ends it soon, as a client asked for. Any thread. */
void service_ask_stop(struct service *service);

/* From here on the process ends within nine seconds, whatever happens, and at a second SIGINT. */
void service_begin_stop(struct service *service);
/* Has the node hand over and answer what is pending, and joins the thread of membership. The node
 * is closed by the server, when nothing of its own uses it any more. */
void service_shutdown_node(struct service *service);

/* Microseconds of a clock that is never set. Any thread. */
uint64_t service_now_us(void);

#endif
