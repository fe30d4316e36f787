/* A linearizable read of nothing in particular, for its index alone. */
#include "node/members.h"

#include "base/memory.h"
#include "node/read.h"

struct confirm {
    confirm_done_fn done;
    void *arg;
};

static void on_done(void *arg, rr_status status, const rr_result *result)
{
    struct confirm *confirm = arg;
    bool read = status == RR_OK || status == RR_NOT_FOUND;
    confirm->done(confirm->arg, read ? RR_OK : status, read ? rr_result_index(result) : 0);
    mem_free(confirm);
}

void confirm_index(rr_node *node, uint64_t deadline_us, confirm_done_fn done, void *arg)
{
    uint64_t now_us = node_now_us(node);
    struct confirm *confirm = mem_new(struct confirm);
    confirm->done = done;
    confirm->arg = arg;
    struct read *read = read_new(0);
    rr_status status = RR_NO_MEMORY;
    if (read != NULL) {
        read->level = RR_READ_LINEARIZABLE;
        read->request.always = true;
        read->request.done = on_done;
        read->request.done_arg = confirm;
        status =
            request_begin(node, &read->request, deadline_us > now_us ? deadline_us - now_us : 1);
    }
    if (status != RR_OK) {
        if (read != NULL) {
            read_destroy(&read->request);
        }
        mem_free(confirm);
        done(arg, status, 0);
    }
}
