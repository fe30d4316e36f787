/*
 * The thread behind segment_writer.h. Frames end in their order, so a count of those that ended is
 * all that it tells the owner, who alone keeps their list.
 */
#include "storage/segment_writer.h"

#include "base/assert.h"
#include "base/list.h"
#include "base/memory.h"
#include "storage/file.h"

#include <pthread.h>

struct item {
    struct list_link link;  /* in writer->items */
    struct list_link queue; /* in writer->queue, until the thread takes it */
    struct segment_write write;
};

struct segment_writer {
    pthread_t thread;
    bool started;
    struct list items;  /* submitted and not completed; the owner's alone */
    uint64_t completed; /* how many the owner has completed */

    pthread_mutex_t mutex; /* of all below */
    pthread_cond_t queued;
    pthread_cond_t ended;
    struct list queue;
    uint64_t submitted;
    uint64_t finished; /* whether well or not */
    uint64_t good;     /* finished well: the first so many */
    uint64_t durable;
    uint64_t syncs;
    bool failed;
    bool stop;
    struct storage_error error;
    log_wake_fn wake;
    void *wake_arg;
};

/* --- The thread --- */

/* Writes the frames and syncs once if one of them asks for it. They are of one segment, because
 * the owner drains the queue before it begins another. */
static rr_status write_all(struct list *batch, uint64_t *durable, struct storage_error *error)
{
    const struct segment_write *last = NULL;
    bool sync = false;
    LIST_FOREACH(link, batch) {
        const struct segment_write *write = &CONTAINER_OF(link, struct item, queue)->write;
        rr_status status = file_write_at(write->fd, write->path, write->offset,
                                         buffer_bytes(&write->bytes), error);
        if (status != RR_OK) {
            return status;
        }
        sync = sync || write->sync;
        last = write;
    }
    if (!sync) {
        return RR_OK;
    }
    *durable = last->number;
    return file_sync_data(last->fd, last->path, error);
}

/* Takes what is queued into `batch`; false at the end. */
static bool take_batch(struct segment_writer *writer, struct list *batch, uint64_t *count,
                       bool *failed)
{
    pthread_mutex_lock(&writer->mutex);
    while (list_empty(&writer->queue) && !writer->stop) {
        pthread_cond_wait(&writer->queued, &writer->mutex);
    }
    list_append_all(batch, &writer->queue);
    *count = writer->submitted - writer->finished;
    *failed = writer->failed;
    pthread_mutex_unlock(&writer->mutex);
    return *count > 0;
}

static void end_batch(struct segment_writer *writer, uint64_t count, bool good, uint64_t durable,
                      const struct storage_error *error)
{
    pthread_mutex_lock(&writer->mutex);
    writer->finished += count;
    if (good) {
        writer->good = writer->finished;
        writer->syncs += durable > writer->durable;
        writer->durable = durable > writer->durable ? durable : writer->durable;
    } else if (!writer->failed) {
        writer->failed = true;
        writer->error = *error;
    }
    pthread_cond_signal(&writer->ended);
    if (writer->wake != NULL) {
        /* Within the mutex, so that none comes after segment_writer_set_wake has ended it. */
        writer->wake(writer->wake_arg);
    }
    pthread_mutex_unlock(&writer->mutex);
}

static void *run(void *arg)
{
    struct segment_writer *writer = arg;
    struct list batch;
    list_init(&batch);
    uint64_t count;
    bool failed;
    while (take_batch(writer, &batch, &count, &failed)) {
        struct storage_error error = {0};
        uint64_t durable = 0;
        bool good = !failed && write_all(&batch, &durable, &error) == RR_OK;
        while (list_pop_front(&batch) != NULL) {
            /* The items are the owner's. */
        }
        end_batch(writer, count, good, durable, &error);
    }
    return NULL;
}

/* --- The owner --- */

rr_status segment_writer_open(struct storage_error *error, struct segment_writer **out)
{
    struct segment_writer *writer = mem_new(struct segment_writer);
    list_init(&writer->items);
    list_init(&writer->queue);
    pthread_mutex_init(&writer->mutex, NULL);
    pthread_cond_init(&writer->queued, NULL);
    pthread_cond_init(&writer->ended, NULL);
    writer->started = pthread_create(&writer->thread, NULL, run, writer) == 0;
    if (!writer->started) {
        segment_writer_close(writer);
        return storage_fail(error, RR_IO, "cannot start a thread for the log");
    }
    *out = writer;
    return RR_OK;
}

void segment_writer_set_wake(struct segment_writer *writer, log_wake_fn wake, void *wake_arg)
{
    pthread_mutex_lock(&writer->mutex);
    writer->wake = wake;
    writer->wake_arg = wake_arg;
    pthread_mutex_unlock(&writer->mutex);
}

void segment_writer_submit(struct segment_writer *writer, const struct segment_write *write)
{
    struct item *item = mem_new(struct item);
    item->write = *write;
    list_push_back(&writer->items, &item->link);
    pthread_mutex_lock(&writer->mutex);
    list_push_back(&writer->queue, &item->queue);
    writer->submitted++;
    pthread_cond_signal(&writer->queued);
    pthread_mutex_unlock(&writer->mutex);
}

void segment_writer_poll(struct segment_writer *writer)
{
    for (;;) {
        pthread_mutex_lock(&writer->mutex);
        bool due = writer->completed < writer->finished;
        bool good = writer->completed < writer->good;
        pthread_mutex_unlock(&writer->mutex);
        if (!due) {
            return;
        }
        writer->completed++;
        struct item *item = CONTAINER_OF(list_pop_front(&writer->items), struct item, link);
        log_done_fn done = item->write.done;
        void *done_arg = item->write.done_arg;
        buffer_deinit(&item->write.bytes);
        mem_free(item);
        done(done_arg, good ? RR_OK : RR_IO);
    }
}

bool segment_writer_idle(const struct segment_writer *writer)
{
    return list_empty(&writer->items);
}

rr_status segment_writer_drain(struct segment_writer *writer, struct storage_error *error)
{
    pthread_mutex_lock(&writer->mutex);
    while (writer->finished < writer->submitted) {
        pthread_cond_wait(&writer->ended, &writer->mutex);
    }
    rr_status status = RR_OK;
    if (writer->failed) {
        status = storage_fail(error, RR_IO, "%s", writer->error.text);
    }
    pthread_mutex_unlock(&writer->mutex);
    return status;
}

void segment_writer_fail(struct segment_writer *writer, const struct storage_error *error)
{
    pthread_mutex_lock(&writer->mutex);
    if (!writer->failed) {
        writer->failed = true;
        writer->error = *error;
    }
    pthread_mutex_unlock(&writer->mutex);
}

const char *segment_writer_failure(struct segment_writer *writer)
{
    pthread_mutex_lock(&writer->mutex);
    const char *text = writer->failed ? writer->error.text : NULL; /* never changes again */
    pthread_mutex_unlock(&writer->mutex);
    return text;
}

uint64_t segment_writer_durable(struct segment_writer *writer, uint64_t *syncs)
{
    pthread_mutex_lock(&writer->mutex);
    uint64_t durable = writer->durable;
    if (syncs != NULL) {
        *syncs = writer->syncs;
    }
    pthread_mutex_unlock(&writer->mutex);
    return durable;
}

const uint8_t *segment_writer_find(const struct segment_writer *writer, uint64_t segment,
                                   uint64_t offset, size_t size)
{
    LIST_FOREACH(link, &writer->items) {
        const struct segment_write *write = &CONTAINER_OF(link, struct item, link)->write;
        if (write->segment == segment && offset >= write->offset &&
            offset - write->offset <= write->bytes.size &&
            size <= write->bytes.size - (offset - write->offset)) {
            return write->bytes.data + (offset - write->offset);
        }
    }
    return NULL;
}

void segment_writer_close(struct segment_writer *writer)
{
    if (writer == NULL) {
        return;
    }
    ASSERT(list_empty(&writer->items));
    if (writer->started) {
        pthread_mutex_lock(&writer->mutex);
        writer->stop = true;
        pthread_cond_signal(&writer->queued);
        pthread_mutex_unlock(&writer->mutex);
        pthread_join(writer->thread, NULL);
    }
    pthread_cond_destroy(&writer->queued);
    pthread_cond_destroy(&writer->ended);
    pthread_mutex_destroy(&writer->mutex);
    mem_free(writer);
}
