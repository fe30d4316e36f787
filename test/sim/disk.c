#include "disk.h"

#include <string.h>

#include "base/assert.h"
#include "base/memory.h"

/* ---- Logs ---- */

raft_index disk_log_last(const struct disk_log *log)
{
    return log->base + log->count;
}

struct raft_entry *disk_log_at(const struct disk_log *log, raft_index index)
{
    ASSERT(index > log->base);
    ASSERT(index <= disk_log_last(log));
    return log->entries[log->start + (index - log->base - 1)];
}

raft_term disk_log_term(const struct disk_log *log, raft_index index)
{
    return index == log->base ? log->base_term : disk_log_at(log, index)->term;
}

static void log_truncate(struct disk_log *log, raft_index last)
{
    ASSERT(last >= log->base);
    while (disk_log_last(log) > last) {
        log->count--;
        raft_entry_unref(log->entries[log->start + log->count]);
    }
}

static void log_append(struct disk_log *log, struct raft_entry *entry)
{
    ASSERT(entry->index == disk_log_last(log) + 1);
    if (log->start + log->count == log->capacity && log->start > log->capacity / 2) {
        memmove(log->entries, log->entries + log->start, log->count * sizeof(*log->entries));
        log->start = 0;
    }
    if (log->start + log->count == log->capacity) {
        log->capacity = log->capacity == 0 ? 64 : 2 * log->capacity;
        log->entries = mem_resize(log->entries, log->capacity * sizeof(*log->entries));
    }
    log->entries[log->start + log->count] = raft_entry_ref(entry);
    log->count++;
}

static void log_reset(struct disk_log *log, raft_index base, raft_term term)
{
    log_truncate(log, log->base);
    log->start = 0;
    log->base = base;
    log->base_term = term;
}

static void log_compact(struct disk_log *log, raft_index index)
{
    if (index <= log->base) {
        return;
    }
    raft_term term = disk_log_term(log, index);
    while (log->base < index) {
        raft_entry_unref(log->entries[log->start]);
        log->start++;
        log->count--;
        log->base++;
    }
    log->base_term = term;
}

static void log_take(struct disk_log *log, const struct disk_frame *frame)
{
    if (frame->snapshot != NULL) {
        log_reset(log, frame->snapshot->index, frame->snapshot->term);
    }
    if (frame->entry_count > 0) {
        log_truncate(log, frame->entries[0]->index - 1);
        for (uint32_t i = 0; i < frame->entry_count; i++) {
            log_append(log, frame->entries[i]);
        }
    }
    if (frame->compacted > 0) {
        log_compact(log, frame->compacted);
    }
}

static void log_deinit(struct disk_log *log)
{
    log_truncate(log, log->base);
    mem_free(log->entries);
    memset(log, 0, sizeof(*log));
}

static void log_copy(struct disk_log *to, const struct disk_log *from)
{
    log_reset(to, from->base, from->base_term);
    for (uint32_t i = 0; i < from->count; i++) {
        log_append(to, from->entries[from->start + i]);
    }
}

/* ---- The disk ---- */

void disk_init(struct disk *disk, const struct machine *machine)
{
    memset(disk, 0, sizeof(*disk));
    disk->flushed = *machine;
    disk->durable.base = machine->applied;
    disk->durable.base_term = machine->term;
    disk->written.base = machine->applied;
    disk->written.base_term = machine->term;
}

static void frame_deinit(struct disk_frame *frame)
{
    for (uint32_t i = 0; i < frame->entry_count; i++) {
        raft_entry_unref(frame->entries[i]);
    }
    mem_free(frame->entries);
    raft_snapshot_unref(frame->snapshot);
}

void disk_deinit(struct disk *disk)
{
    for (uint32_t i = 0; i < disk->frame_count; i++) {
        frame_deinit(&disk->frames[i]);
    }
    mem_free(disk->frames);
    log_deinit(&disk->written);
    log_deinit(&disk->durable);
    memset(disk, 0, sizeof(*disk));
}

void disk_write(struct disk *disk, const struct disk_frame *frame)
{
    log_take(&disk->written, frame);
    if (disk->frame_count == disk->frame_capacity) {
        disk->frame_capacity = disk->frame_capacity == 0 ? 16 : 2 * disk->frame_capacity;
        disk->frames = mem_resize(disk->frames, disk->frame_capacity * sizeof(*disk->frames));
    }
    disk->frames[disk->frame_count] = *frame;
    disk->frame_count++;
    disk->written_frames++;
}

void disk_sync(struct disk *disk, uint64_t upto)
{
    ASSERT(upto <= disk->written_frames);
    uint32_t done = 0;
    while (disk->durable_frames < upto) {
        struct disk_frame *frame = &disk->frames[done];
        log_take(&disk->durable, frame);
        if (frame->has_hard_state) {
            disk->durable_hard_state = frame->hard_state;
        }
        if (frame->snapshot != NULL && frame->snapshot->index > disk->flushed.applied) {
            machine_restore(&disk->flushed, frame->snapshot);
        }
        frame_deinit(frame);
        disk->durable_frames++;
        done++;
    }
    disk->frame_count -= done;
    if (disk->frame_count > 0) {
        memmove(disk->frames, disk->frames + done, disk->frame_count * sizeof(*disk->frames));
    }
}

void disk_crash(struct disk *disk, uint32_t kept)
{
    ASSERT(kept <= disk->frame_count);
    disk_sync(disk, disk->durable_frames + kept);
    for (uint32_t i = 0; i < disk->frame_count; i++) {
        frame_deinit(&disk->frames[i]);
    }
    disk->frame_count = 0;
    disk->written_frames = disk->durable_frames;
    log_copy(&disk->written, &disk->durable);
}

/* ---- The state machine ---- */

struct raft_snapshot *machine_snapshot(const struct machine *machine)
{
    rr_bytes data = {(const void *)&machine->digest, sizeof(machine->digest)};
    return raft_snapshot_new(machine->applied, machine->term, &machine->configuration, data);
}

void machine_restore(struct machine *machine, const struct raft_snapshot *snapshot)
{
    ASSERT(snapshot->size == sizeof(machine->digest));
    machine->applied = snapshot->index;
    machine->term = snapshot->term;
    machine->configuration = snapshot->configuration;
    memcpy(&machine->digest, snapshot->data, sizeof(machine->digest));
}
