/* The blocking forms of asynchronous calls. */
#include "node/node_private.h"

rr_status wait_begin(struct wait *wait, rr_node *node, bool want_result)
{
    if (node->thread_started && pthread_equal(pthread_self(), node->thread)) {
        return RR_INVALID; /* it would wait for itself */
    }
    *wait = (struct wait){.want_result = want_result};
    pthread_mutex_init(&wait->mutex, NULL);
    pthread_cond_init(&wait->ended, NULL);
    return RR_OK;
}

void wait_done(void *arg, rr_status status, const rr_result *result)
{
    struct wait *wait = arg;
    pthread_mutex_lock(&wait->mutex);
    wait->status = status;
    wait->result = wait->want_result ? rr_result_copy(result) : NULL;
    wait->is_ended = true;
    pthread_cond_signal(&wait->ended);
    pthread_mutex_unlock(&wait->mutex);
}

rr_status wait_end(struct wait *wait, rr_status started, rr_result **result)
{
    if (started == RR_OK) {
        pthread_mutex_lock(&wait->mutex);
        while (!wait->is_ended) {
            pthread_cond_wait(&wait->ended, &wait->mutex);
        }
        pthread_mutex_unlock(&wait->mutex);
        started = wait->status;
    }
    pthread_cond_destroy(&wait->ended);
    pthread_mutex_destroy(&wait->mutex);
    if (result != NULL) {
        *result = wait->result;
    } else {
        rr_result_free(wait->result);
    }
    return started;
}
