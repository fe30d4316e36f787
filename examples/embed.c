/* A replicated store within this program: one node, in the directory that is the first argument. */
#include <rockraft/rockraft.h>

#include <stdio.h>
#include <string.h>

static rr_bytes text(const char *string)
{
    return (rr_bytes){string, strlen(string)};
}

/* Runs on every replica when its entry is applied: appends the input to the key "log". */
static rr_status append(void *arg, rr_view *view, rr_bytes input, rr_output *output)
{
    (void)arg;
    char joined[256];
    rr_bytes old = {NULL, 0};
    rr_status status = rr_view_get(view, text("log"), &old);
    if (status == RR_IO || old.size + input.size > sizeof(joined)) {
        return RR_REJECTED;
    }
    memcpy(joined, old.size > 0 ? old.data : "", old.size);
    memcpy(joined + old.size, input.data, input.size);
    rr_bytes value = {joined, old.size + input.size};
    status = rr_view_put(view, text("log"), value);
    return status == RR_OK ? rr_output_append(output, value) : status;
}

static rr_status use(rr_node *node)
{
    rr_status status = rr_node_set_wait(node, text("fruit/apple"), text("3"));

    /* All of it or nothing: a pear for the third apple. */
    rr_txn *txn = rr_txn_new();
    rr_txn_if(txn, text("fruit/apple"), RR_EQUAL, text("3"));
    rr_txn_set(txn, text("fruit/apple"), text("2"));
    rr_txn_set(txn, text("fruit/pear"), text("1"));
    rr_result *result = NULL;
    if (status == RR_OK) {
        status = rr_node_submit_wait(node, txn, NULL, &result);
        printf("exchanged: %s\n", rr_result_branch(result) ? "yes" : "no");
        rr_result_free(result);
    }
    rr_txn_free(txn);

    rr_scan scan;
    rr_scan_init(&scan);
    scan.prefix = text("fruit/");
    if (status == RR_OK && (status = rr_node_scan_wait(node, &scan, &result)) == RR_OK) {
        for (size_t i = 0; i < rr_result_count(result); i++) {
            rr_bytes key = rr_result_key(result, i), value;
            rr_result_value(result, i, &value);
            printf("%.*s = %.*s\n", (int)key.size, (const char *)key.data, (int)value.size,
                   (const char *)value.data);
        }
        rr_result_free(result);
    }
    if (status == RR_OK &&
        (status = rr_node_call_wait(node, "append", text("hello "), NULL, &result)) == RR_OK) {
        rr_bytes value;
        rr_result_value(result, 0, &value);
        printf("log: %.*s\n", (int)value.size, (const char *)value.data);
        rr_result_free(result);
    }
    return status;
}

int main(int argc, char **argv)
{
    static const rr_procedure procedures[] = {{"append", 1, append, NULL}};
    rr_options options;
    rr_options_init(&options);
    options.node_id = 1;
    options.data_path = argc > 1 ? argv[1] : "./data";
    options.raft_address = "127.0.0.1:0"; /* any free port: nobody joins */
    options.procedures = procedures;
    options.procedure_count = 1;
    char error[256];
    rr_node *node;
    if (rr_node_open(&options, error, sizeof(error), &node) != RR_OK) {
        fprintf(stderr, "%s\n", error);
        return 1;
    }
    rr_status status = use(node);
    rr_node_close(node);
    printf("%s\n", rr_status_name(status));
    return status == RR_OK ? 0 : 1;
}
