/* The bytes and sizes of files that survive a loss of power. */
#include "power_loss.h"

#include <fcntl.h>
#include <fnmatch.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { SECTOR = 512, PAGE = 4096 };

/* One file's changes that may be lost, oldest first. */
struct history {
    struct change **list;
    size_t count;
    int fd;
    bool in_order;    /* what survives is what was written first */
    uint64_t chance;  /* in 8, that something survives */
    uint64_t size;    /* of the file while it is being taken back */
    uint8_t *settled; /* by sector: it stays as it is now */
};

static void put(struct history *history, uint64_t offset, const void *bytes, uint64_t size)
{
    if (size > 0 && pwrite(history->fd, bytes, size, (off_t)offset) != (ssize_t)size) {
        fail("cannot take back a write");
    }
}

static void set_size(struct history *history, uint64_t size)
{
    if (ftruncate(history->fd, (off_t)size) != 0) {
        fail("cannot take back a size");
    }
    history->size = size;
}

/* Takes a change back whole. */
static void undo(struct history *history, const struct change *change)
{
    const struct shim_record *record = &change->record;
    if (record->size_before != history->size) {
        set_size(history, record->size_before);
    }
    uint64_t at = record->type == SHIM_RECORD_SIZE ? record->size_after : record->offset;
    put(history, at, change->bytes, record->byte_count);
}

/* Takes back those sectors of a write that have not reached the disk; what none of the writes of a
 * sector has reached is as it was before all. */
static void undo_some(struct history *history, const struct change *change)
{
    const struct shim_record *record = &change->record;
    static const uint8_t zeros[SECTOR];
    uint64_t end = record->offset + record->size;
    end = end < history->size ? end : history->size;
    for (uint64_t at = record->offset; at < end;) {
        uint64_t sector = at / SECTOR;
        uint64_t next = (sector + 1) * SECTOR < end ? (sector + 1) * SECTOR : end;
        if (change->durable || keeps(history->chance)) {
            history->settled[sector] = 1;
        }
        counts.sectors += !change->durable;
        if (history->settled[sector] == 0) {
            uint64_t from = at - record->offset;
            uint64_t known = record->byte_count > from ? record->byte_count - from : 0;
            known = known < next - at ? known : next - at;
            put(history, at, change->bytes + from, known);
            put(history, at + known, zeros, next - at - known);
            counts.sectors_lost++;
        }
        at = next;
    }
}

static bool shrinks(const struct change *change)
{
    return change->record.size_after < change->record.size_before;
}

/* A shrinking that is lost takes everything after it along: the blocks were not free before. */
static size_t choose_cut(struct history *history)
{
    size_t least = 0;
    for (size_t i = 0; i < history->count; i++) {
        least = history->list[i]->durable ? i + 1 : least;
    }
    if (history->in_order) {
        return least + draw(history->count - least + 1);
    }
    for (size_t i = 0; i < history->count; i++) {
        if (i >= least && shrinks(history->list[i]) && !keeps(history->chance)) {
            return i;
        }
    }
    return history->count;
}

/* The size reaches the disk on its own, a page or a change at a time, and never before a smaller one
 * that was durable. */
static void choose_size(struct history *history, size_t cut)
{
    uint64_t least = cut > 0 ? history->list[0]->record.size_before : history->size;
    for (size_t i = 0; i < cut; i++) {
        const struct change *change = history->list[i];
        bool fixed = change->durable || shrinks(change);
        least = fixed ? change->record.size_after : least;
    }
    uint64_t most = history->size;
    if (least >= most || keeps(history->chance)) {
        return;
    }
    uint64_t pages = (most - least) / PAGE;
    uint64_t size = draw(2) == 0 ? least : (least + draw(pages + 1) * PAGE) / PAGE * PAGE;
    set_size(history, size < least ? least : size);
    counts.sizes_lost++;
}

static void lose_bytes(struct history *history)
{
    struct stat status;
    if (fstat(history->fd, &status) != 0) {
        fail("cannot look at a file");
    }
    history->size = (uint64_t)status.st_size;
    history->chance = draw(9);
    uint64_t largest = history->size;
    for (size_t i = 0; i < history->count; i++) {
        const struct shim_record *record = &history->list[i]->record;
        largest = record->size_before > largest ? record->size_before : largest;
        largest = record->size_after > largest ? record->size_after : largest;
    }
    history->settled = allocate(largest / SECTOR + 1);
    size_t cut = choose_cut(history);
    for (size_t i = history->count; i-- > cut;) {
        undo(history, history->list[i]);
    }
    uint64_t size = history->size;
    for (size_t i = history->in_order ? 0 : cut; i-- > 0;) {
        if (shrinks(history->list[i])) {
            /* What was cut off never comes back. */
            uint64_t sector = history->list[i]->record.size_after / SECTOR;
            memset(history->settled + sector, 1, largest / SECTOR + 1 - sector);
        } else {
            undo_some(history, history->list[i]);
        }
    }
    if (size != history->size) {
        fail("the size changed");
    }
    choose_size(history, cut);
    free(history->settled);
    counts.files++;
}

static int by_inode(const void *left, const void *right)
{
    const struct change *a = *(struct change *const *)left;
    const struct change *b = *(struct change *const *)right;
    if (a->record.inode != b->record.inode) {
        return a->record.inode < b->record.inode ? -1 : 1;
    }
    return a->at < b->at ? -1 : 1;
}

/* Marks what the syncs of one file cover. What a failed one was to write, no later one writes. */
static void mark_durable(struct change **list, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        const struct shim_record *sync = &list[i]->record;
        if (sync->type != SHIM_RECORD_SYNC && sync->type != SHIM_RECORD_FAILED) {
            continue;
        }
        for (size_t j = i; j-- > 0;) {
            struct change *change = list[j];
            if (change->at >= sync->upto || change->durable) {
                continue;
            }
            change->failed = change->failed || sync->type == SHIM_RECORD_FAILED;
            change->durable = !change->failed;
        }
    }
}

/* One file's changes and syncs, in their order. */
static void lose_file(struct change **list, size_t count)
{
    mark_durable(list, count);
    size_t kept = 0;
    for (size_t i = 0; i < count; i++) {
        bool change = list[i]->record.type <= SHIM_RECORD_SIZE;
        /* Nothing is lost of those before the first that is not durable. */
        if (change && (kept > 0 || !list[i]->durable)) {
            list[kept++] = list[i];
        }
    }
    const struct place *place = kept == 0 ? NULL : find_place(list[0]->record.inode);
    if (place == NULL) {
        return;
    }
    struct history history = {.list = list, .count = kept};
    history.fd = open(place->path, O_RDWR);
    for (char **pattern = in_order; *pattern != NULL; pattern++) {
        history.in_order = history.in_order || fnmatch(*pattern, place->path, 0) == 0;
    }
    if (history.fd < 0) {
        fail("cannot open %s", place->path);
    }
    lose_bytes(&history);
    close(history.fd);
}

void lose_all_bytes(void)
{
    struct change **list = allocate(change_count * sizeof(struct change *));
    size_t count = 0;
    for (size_t i = 0; i < change_count; i++) {
        if (changes[i].record.type <= SHIM_RECORD_FAILED) {
            list[count++] = &changes[i];
        }
    }
    qsort(list, count, sizeof(struct change *), by_inode);
    for (size_t first = 0, next; first < count; first = next) {
        next = first;
        while (next < count && list[next]->record.inode == list[first]->record.inode) {
            next++;
        }
        lose_file(list + first, next - first);
    }
    free(list);
}
