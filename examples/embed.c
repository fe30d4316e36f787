/* A replicated store within this program: one node, in the directory that is the first argument. */
#include <rockraft/rockraft.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static rr_bytes text(const char *string)
{
    return (rr_bytes){string, strlen(string)};
}

static void must(rr_status status, const char *what)
{
    if (status != RR_OK) {
        fprintf(stderr, "%s: %s\n", what, rr_status_name(status));
        exit(1);
    }
}

/* Runs on every replica when its entry is applied: adds one to the value of the key `input`. */
static rr_status count(void *arg, rr_view *view, rr_bytes input, rr_output *output)
{
    rr_bytes old;
    unsigned char number = 0;
    if (rr_view_get(view, input, &old) == RR_OK && old.size == 1) {
        number = *(const unsigned char *)old.data;
    }
    number++;
    rr_view_put(view, input, (rr_bytes){&number, 1});
    return rr_output_append(output, (rr_bytes){&number, 1});
}

int main(int argc, char **argv)
{
    static const rr_procedure procedures[] = {{"count", 1, count, NULL}};
    char error[256] = "";
    rr_node *node;
    rr_options options;
    rr_options_init(&options);
    options.node_id = 1;
    options.data_path = argc > 1 ? argv[1] : "./data";
    options.raft_address = "127.0.0.1:0"; /* any free port: nobody joins */
    options.procedures = procedures;
    options.procedure_count = 1;
    must(rr_node_open(&options, error, sizeof(error), &node), error);
    must(rr_node_set_wait(node, text("fruit/apple"), text("3")), "set");

    rr_result *result;
    rr_txn *txn = rr_txn_new(); /* all of it or nothing: a pear for the third apple */
    rr_txn_if(txn, text("fruit/apple"), RR_EQUAL, text("3"));
    rr_txn_set(txn, text("fruit/apple"), text("2"));
    rr_txn_set(txn, text("fruit/pear"), text("1"));
    must(rr_node_submit_wait(node, txn, NULL, &result), "transaction");
    printf("exchanged: %s\n", rr_result_branch(result) ? "yes" : "no");
    rr_result_free(result);
    rr_txn_free(txn);

    rr_scan scan;
    rr_bytes value;
    rr_scan_init(&scan);
    scan.prefix = text("fruit/");
    must(rr_node_scan_wait(node, &scan, &result), "scan");
    for (size_t i = 0; i < rr_result_count(result) && rr_result_value(result, i, &value); i++) {
        rr_bytes key = rr_result_key(result, i);
        printf("%.*s = %.*s\n", (int)key.size, (const char *)key.data, (int)value.size,
               (const char *)value.data);
    }
    rr_result_free(result);

    must(rr_node_call_wait(node, "count", text("runs"), NULL, &result), "procedure");
    rr_result_value(result, 0, &value);
    printf("runs: %d\n", *(const unsigned char *)value.data);
    rr_result_free(result);
    rr_node_close(node);
    return 0;
}
