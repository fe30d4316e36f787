/* Files with what is durable of them, and the changes since. */
#include "storage/disk.h"

#include "base/memory.h"
#include "support/test.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

enum { SECTOR_BYTES = 512 };

/* A write, or (without bytes) a change of size to `offset`. */
struct change {
    struct change *next;
    bool lost; /* a sync of it failed */
    uint64_t offset;
    size_t size;
    uint8_t bytes[];
};

struct content {
    struct buffer cache; /* as the process sees it */
    struct buffer kept;  /* durable */
    struct change *changes;
    struct change **last_change;
};

struct name {
    char text[64];
    struct content *content;
};

struct names {
    struct name list[DISK_FILES_MAX];
    uint32_t count;
};

/* What was done to a name. */
struct operation {
    enum file_event_kind kind;
    char name[64];
    char to[64];
    struct content *content; /* CREATE */
};

enum { OPERATIONS_MAX = 4096, CONTENTS_MAX = 4096 };

struct disk {
    char directory[PATH_BYTES_MAX];
    struct names now;  /* as the process sees them */
    struct names kept; /* durable */
    struct operation operations[OPERATIONS_MAX];
    uint32_t operation_count;
    struct content *contents[CONTENTS_MAX]; /* all there ever were */
    uint32_t content_count;
};

static const char *base_name(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash == NULL ? path : slash + 1;
}

static struct name *find(struct names *names, const char *text)
{
    for (uint32_t i = 0; i < names->count; i++) {
        if (strcmp(names->list[i].text, text) == 0) {
            return &names->list[i];
        }
    }
    return NULL;
}

static void remove_name(struct names *names, const char *text)
{
    struct name *name = find(names, text);
    if (name != NULL) {
        *name = names->list[--names->count];
    }
}

static void set_name(struct names *names, const char *text, struct content *content)
{
    remove_name(names, text);
    CHECK_LT(names->count, DISK_FILES_MAX);
    struct name *name = &names->list[names->count++];
    snprintf(name->text, sizeof(name->text), "%s", text);
    name->content = content;
}

static void apply_operation(struct names *names, const struct operation *operation)
{
    struct name *name = find(names, operation->name);
    if (operation->kind == FILE_EVENT_CREATE) {
        set_name(names, operation->name, operation->content);
    } else if (name != NULL) {
        struct content *content = name->content;
        remove_name(names, operation->name);
        if (operation->kind == FILE_EVENT_RENAME) {
            set_name(names, operation->to, content);
        }
    }
}

static struct content *new_content(struct disk *disk)
{
    CHECK_LT(disk->content_count, CONTENTS_MAX);
    struct content *content = mem_new(struct content);
    buffer_init(&content->cache);
    buffer_init(&content->kept);
    content->last_change = &content->changes;
    disk->contents[disk->content_count++] = content;
    return content;
}

static void join(const char *directory, const char *name, char out[PATH_BYTES_MAX])
{
    CHECK_OK(path_join(directory, name, out, NULL));
}

static rr_status add_existing(void *arg, const char *name, struct storage_error *error)
{
    struct disk *disk = arg;
    struct content *content = new_content(disk);
    char path[PATH_BYTES_MAX];
    join(disk->directory, name, path);
    CHECK_OK(file_read(path, SIZE_MAX, &content->kept, error));
    buffer_append(&content->cache, content->kept.data, content->kept.size);
    set_name(&disk->now, name, content);
    set_name(&disk->kept, name, content);
    return RR_OK;
}

struct disk *disk_new(const char *directory)
{
    struct disk *disk = mem_new(struct disk);
    CHECK_LT(strlen(directory), sizeof(disk->directory));
    strcpy(disk->directory, directory);
    CHECK_OK(directory_list(directory, add_existing, disk, NULL));
    return disk;
}

static void free_changes(struct content *content)
{
    while (content->changes != NULL) {
        struct change *change = content->changes;
        content->changes = change->next;
        mem_free(change);
    }
    content->last_change = &content->changes;
}

void disk_free(struct disk *disk)
{
    for (uint32_t i = 0; i < disk->content_count; i++) {
        free_changes(disk->contents[i]);
        buffer_deinit(&disk->contents[i]->kept);
        buffer_deinit(&disk->contents[i]->cache);
        mem_free(disk->contents[i]);
    }
    mem_free(disk);
}

/* --- Noting --- */

static void set_size(struct buffer *bytes, size_t size)
{
    if (size < bytes->size) {
        buffer_truncate(bytes, size);
    } else if (size > bytes->size) {
        size_t more = size - bytes->size;
        memset(buffer_extend(bytes, more), 0, more);
    }
}

static void put(struct buffer *bytes, size_t offset, const uint8_t *data, size_t size)
{
    if (offset + size > bytes->size) {
        set_size(bytes, offset + size);
    }
    memcpy(bytes->data + offset, data, size);
}

static void apply_change(struct buffer *content, uint64_t offset, rr_bytes bytes)
{
    if (bytes.size == 0) {
        set_size(content, offset);
    } else {
        put(content, offset, bytes.data, bytes.size);
    }
}

static void note_change(struct content *content, uint64_t offset, rr_bytes bytes)
{
    struct change *change = mem_alloc(sizeof(*change) + bytes.size);
    apply_change(&content->cache, offset, bytes);
    change->offset = offset;
    change->size = bytes.size;
    if (bytes.size > 0) {
        memcpy(change->bytes, bytes.data, bytes.size);
    }
    *content->last_change = change;
    content->last_change = &change->next;
}

static void sync_content(struct content *content)
{
    for (const struct change *change = content->changes; change != NULL; change = change->next) {
        if (!change->lost) {
            apply_change(&content->kept, change->offset, (rr_bytes){change->bytes, change->size});
        }
    }
    free_changes(content);
}

static void lose_content(struct content *content)
{
    for (struct change *change = content->changes; change != NULL; change = change->next) {
        change->lost = true;
    }
}

static void note_operation(struct disk *disk, const struct file_event *event)
{
    CHECK_LT(disk->operation_count, OPERATIONS_MAX);
    struct operation *operation = &disk->operations[disk->operation_count++];
    *operation = (struct operation){.kind = event->kind};
    snprintf(operation->name, sizeof(operation->name), "%s", base_name(event->path));
    if (event->kind == FILE_EVENT_RENAME) {
        snprintf(operation->to, sizeof(operation->to), "%s", base_name(event->to));
    }
    if (event->kind == FILE_EVENT_CREATE) {
        operation->content = new_content(disk);
    }
    apply_operation(&disk->now, operation);
}

static void sync_names(struct disk *disk)
{
    for (uint32_t i = 0; i < disk->operation_count; i++) {
        apply_operation(&disk->kept, &disk->operations[i]);
    }
    disk->operation_count = 0;
}

/* Whether it is the disk's own directory, with a slash at the end or without. */
static bool is_directory(const struct disk *disk, const char *path)
{
    size_t size = strlen(disk->directory);
    return strncmp(path, disk->directory, size) == 0 &&
           (path[size] == 0 || strcmp(path + size, "/") == 0);
}

void disk_note(struct disk *disk, const struct file_event *event)
{
    struct name *name = find(&disk->now, base_name(event->path));
    switch (event->kind) {
    case FILE_EVENT_CREATE:
    case FILE_EVENT_RENAME:
    case FILE_EVENT_REMOVE:
        note_operation(disk, event);
        return;
    case FILE_EVENT_WRITE:
    case FILE_EVENT_TRUNCATE:
        CHECK(name != NULL);
        note_change(name->content, event->offset, event->bytes);
        return;
    case FILE_EVENT_SYNC:
        CHECK(name != NULL);
        sync_content(name->content);
        return;
    case FILE_EVENT_SYNC_FAILED:
        CHECK(name != NULL);
        lose_content(name->content);
        return;
    case FILE_EVENT_SYNC_DIRECTORY:
        if (is_directory(disk, event->path)) {
            sync_names(disk);
        }
        return;
    }
}

/* --- Crashing --- */

/* Lets some of a write's sectors reach the disk, `chance` in 8 of them; now and then half of one. */
static void keep_some(const struct change *change, struct random *random, uint64_t chance,
                      struct buffer *out)
{
    for (size_t at = 0; at < change->size;) {
        size_t size = SECTOR_BYTES - (change->offset + at) % SECTOR_BYTES;
        size = size < change->size - at ? size : change->size - at;
        if (random_chance(random, chance, 8)) {
            size_t kept = chance < 8 && random_chance(random, 1, 50) ? size / 2 : size;
            put(out, change->offset + at, change->bytes + at, kept);
        }
        at += size;
    }
}

static void crash_content(const struct content *content, struct random *random, struct buffer *out)
{
    buffer_append(out, content->kept.data, content->kept.size);
    uint64_t chance = random_below(random, 9); /* from nothing to everything */
    for (const struct change *change = content->changes; change != NULL; change = change->next) {
        if (change->size > 0) {
            keep_some(change, random, chance, out);
        } else if (random_chance(random, chance, 8)) {
            set_size(out, change->offset);
        }
    }
}

void disk_kill(const struct disk *disk, struct disk_image *out)
{
    out->count = disk->now.count;
    for (uint32_t i = 0; i < out->count; i++) {
        struct disk_file *file = &out->files[i];
        snprintf(file->name, sizeof(file->name), "%s", disk->now.list[i].text);
        buffer_init(&file->bytes);
        const struct buffer *cache = &disk->now.list[i].content->cache;
        buffer_append(&file->bytes, cache->data, cache->size);
    }
}

void disk_crash(const struct disk *disk, struct random *random, struct disk_image *out)
{
    struct names names = disk->kept;
    uint64_t chance = random_below(random, 9);
    for (uint32_t i = 0; i < disk->operation_count; i++) {
        if (random_chance(random, chance, 8)) {
            apply_operation(&names, &disk->operations[i]);
        }
    }
    out->count = names.count;
    for (uint32_t i = 0; i < names.count; i++) {
        struct disk_file *file = &out->files[i];
        snprintf(file->name, sizeof(file->name), "%s", names.list[i].text);
        buffer_init(&file->bytes);
        crash_content(names.list[i].content, random, &file->bytes);
    }
}

/* --- Images --- */

void disk_image_deinit(struct disk_image *image)
{
    for (uint32_t i = 0; i < image->count; i++) {
        buffer_deinit(&image->files[i].bytes);
    }
    image->count = 0;
}

static rr_status unlink_one(void *arg, const char *name, struct storage_error *error)
{
    char path[PATH_BYTES_MAX];
    join(arg, name, path);
    CHECK_EQ(unlink(path), 0);
    return RR_OK;
}

void disk_image_write(const struct disk_image *image, const char *directory)
{
    if (mkdir(directory, 0700) != 0) {
        CHECK_OK(directory_list(directory, unlink_one, (void *)(uintptr_t)directory, NULL));
    }
    for (uint32_t i = 0; i < image->count; i++) {
        const struct disk_file *file = &image->files[i];
        char path[PATH_BYTES_MAX];
        join(directory, file->name, path);
        int fd = open(path, O_WRONLY | O_CREAT | O_EXCL, 0600);
        CHECK_GE(fd, 0);
        CHECK_EQ(write(fd, file->bytes.data, file->bytes.size), (ssize_t)file->bytes.size);
        close(fd);
    }
}
