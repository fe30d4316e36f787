/*
 * A node for fuzz targets of coredb. Its procedure hands the view of its entry to the fuzzer's
 * thread and waits, so that an input costs no write to disk: each works on the view and is undone.
 *
 * Included once per target; opened at the first input, closed and removed at exit.
 */
#ifndef FUZZ_ONE_NODE_H
#define FUZZ_ONE_NODE_H

#include <arpa/inet.h>
#include <pthread.h>
#include <rockraft/rockraft.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

static char one_node_directory[] = "/tmp/fuzz-coredb-XXXXXX";
static rr_node *one_node;

enum { ONE_NODE_RUNS = 1000 }; /* inputs of one entry: what they answer is kept until it ends */

/* The entry that is open, handed from the node's thread to the fuzzer's and back. */
static struct {
    pthread_mutex_t mutex;
    pthread_cond_t changed;
    rr_procedure_fn first; /* runs in an entry of its own, which is kept; NULL: none */
    rr_view *view;         /* NULL: the node's thread has it */
    rr_output *output;
    unsigned runs;
    bool ended; /* the call of the entry */
} one_entry = {.mutex = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER};

static void die(const char *what, const char *why)
{
    fprintf(stderr, "%s: %s\n", what, why);
    abort();
}

/* Node's thread. */
static rr_status one_entry_procedure(void *arg, rr_view *view, rr_bytes input, rr_output *output)
{
    if (input.size > 0) {
        return one_entry.first(arg, view, input, output);
    }
    pthread_mutex_lock(&one_entry.mutex);
    one_entry.view = view;
    one_entry.output = output;
    pthread_cond_broadcast(&one_entry.changed);
    while (one_entry.view != NULL) {
        pthread_cond_wait(&one_entry.changed, &one_entry.mutex);
    }
    pthread_mutex_unlock(&one_entry.mutex);
    return RR_REJECTED;
}

/* Node's thread. */
static void one_entry_done(void *arg, rr_status status, const rr_result *result)
{
    (void)arg;
    (void)result;
    pthread_mutex_lock(&one_entry.mutex);
    if (status != RR_REJECTED) {
        die("the entry ended otherwise", rr_status_name(status));
    }
    one_entry.ended = true;
    pthread_cond_broadcast(&one_entry.changed);
    pthread_mutex_unlock(&one_entry.mutex);
}

static void one_entry_begin(void)
{
    one_entry.ended = false;
    one_entry.runs = 0;
    rr_bytes none = {NULL, 0};
    rr_status status = rr_node_call(one_node, "fuzz", none, NULL, one_entry_done, NULL);
    if (status != RR_OK) {
        die("no entry", rr_status_name(status));
    }
    pthread_mutex_lock(&one_entry.mutex);
    while (one_entry.view == NULL) {
        pthread_cond_wait(&one_entry.changed, &one_entry.mutex);
    }
    pthread_mutex_unlock(&one_entry.mutex);
}

static void one_entry_end(void)
{
    pthread_mutex_lock(&one_entry.mutex);
    one_entry.view = NULL;
    pthread_cond_broadcast(&one_entry.changed);
    while (!one_entry.ended) {
        pthread_cond_wait(&one_entry.changed, &one_entry.mutex);
    }
    pthread_mutex_unlock(&one_entry.mutex);
}

static void one_node_close(void)
{
    one_entry_end();
    rr_node_close(one_node);
    char command[sizeof one_node_directory + 16];
    snprintf(command, sizeof command, "rm -rf %s", one_node_directory);
    if (system(command) != 0) {
        fprintf(stderr, "%s remains\n", one_node_directory);
    }
}

static unsigned one_node_port(void)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    socklen_t size = sizeof address;
    int listener = socket(AF_INET, SOCK_STREAM, 0);
    if (listener < 0 || bind(listener, (struct sockaddr *)&address, size) != 0 ||
        getsockname(listener, (struct sockaddr *)&address, &size) != 0) {
        die("no port", "bind");
    }
    close(listener);
    return ntohs(address.sin_port);
}

static void one_node_open(void)
{
    char address[32];
    char error[256] = "";
    rr_procedure procedures[] = {{"fuzz", 1, one_entry_procedure, NULL}};
    rr_options settings;
    if (mkdtemp(one_node_directory) == NULL) {
        die("no directory", one_node_directory);
    }
    snprintf(address, sizeof address, "127.0.0.1:%u", one_node_port());
    rr_options_init(&settings);
    settings.node_id = 1;
    settings.data_path = one_node_directory;
    settings.raft_address = address;
    settings.procedures = procedures;
    settings.procedure_count = 1;
    settings.timeout_ms = 600000;
    if (rr_node_open(&settings, error, sizeof error, &one_node) != RR_OK ||
        rr_node_await_member(one_node, 10000, error, sizeof error) != RR_OK) {
        die("no node", error);
    }
    if (atexit(one_node_close) != 0) {
        die("no atexit", one_node_directory);
    }
}

static void one_node_run_first(void)
{
    rr_result *result = NULL;
    rr_bytes input = {"first", 5};
    rr_status status = rr_node_call_wait(one_node, "fuzz", input, NULL, &result);
    if (status != RR_OK) {
        die("the first entry", rr_status_name(status));
    }
    rr_result_free(result);
}

/* Runs `procedure` with the input over the view, and undoes what it wrote. `first` fills the node
 * when it is opened, in an entry before; NULL: it stays empty. */
static void one_node_run(rr_procedure_fn first, rr_procedure_fn procedure, const uint8_t *data,
                         size_t size)
{
    if (one_node == NULL) {
        one_entry.first = first;
        one_node_open();
        if (first != NULL) {
            one_node_run_first();
        }
        one_entry_begin();
    } else if (++one_entry.runs == ONE_NODE_RUNS) {
        one_entry_end();
        one_entry_begin();
    }
    rr_savepoint before = rr_view_savepoint(one_entry.view);
    rr_status status = procedure(NULL, one_entry.view, (rr_bytes){data, size}, one_entry.output);
    if (status != RR_REJECTED) {
        die("the procedure ended otherwise", rr_status_name(status));
    }
    rr_view_rollback(one_entry.view, before);
}

#endif
