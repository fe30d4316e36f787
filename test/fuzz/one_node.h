/*
 * A node for fuzz targets of coredb: its one procedure is the target's own, which works on the view
 * and returns RR_REJECTED, so that nothing of an input remains.
 *
 * Included once per target; opened at the first input, closed and removed at exit.
 */
#ifndef FUZZ_ONE_NODE_H
#define FUZZ_ONE_NODE_H

#include <arpa/inet.h>
#include <rockraft/rockraft.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

static char one_node_directory[] = "/tmp/fuzz-coredb-XXXXXX";
static rr_node *one_node;

static void die(const char *what, const char *why)
{
    fprintf(stderr, "%s: %s\n", what, why);
    abort();
}

static void one_node_close(void)
{
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

static void one_node_open(rr_procedure_fn procedure)
{
    char address[32];
    char error[256] = "";
    rr_procedure procedures[] = {{"fuzz", 1, procedure, NULL}};
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

/* Runs the procedure with the input, on a node that is opened if there is none. */
static void one_node_run(rr_procedure_fn procedure, const uint8_t *data, size_t size)
{
    if (one_node == NULL) {
        one_node_open(procedure);
    }
    rr_result *result = NULL;
    rr_status status = rr_node_call_wait(one_node, "fuzz", (rr_bytes){data, size}, NULL, &result);
    if (status != RR_REJECTED) {
        die("the call ended otherwise", rr_status_name(status));
    }
    rr_result_free(result);
}

#endif
