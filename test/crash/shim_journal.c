/* The journal: what was there before each change that is not known to be durable. */
#include "shim_private.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

static char journal_directory[PATH_MAX];
static int journal_fd = -1;
static uint64_t journal_size;

bool journaling(void)
{
    return journal_fd >= 0;
}

uint64_t journal_place(void)
{
    return journal_size;
}

static void append(const struct shim_record *record, const char *name, const char *to,
                   const void *bytes)
{
    const struct iovec parts[] = {
        {(void *)(uintptr_t)record, sizeof(*record)},
        {(void *)(uintptr_t)name, record->name_sizes[0]},
        {(void *)(uintptr_t)to, record->name_sizes[1]},
        {(void *)(uintptr_t)bytes, record->byte_count},
    };
    size_t size = sizeof(*record) + record->name_sizes[0] + record->name_sizes[1];
    size += record->byte_count;
    if (writev(journal_fd, parts, 4) != (ssize_t)size) {
        shim_fail("cannot write the journal");
    }
    journal_size += size;
}

void append_mark(enum shim_record_type type, uint64_t inode, uint64_t upto)
{
    struct shim_record record = {
        .magic = SHIM_RECORD_MAGIC, .type = type, .inode = inode, .upto = upto};
    append(&record, NULL, NULL, NULL);
}

static uint64_t parent_inode(const char *path, const char **name)
{
    char parent[PATH_MAX];
    const char *slash = strrchr(path, '/');
    *name = slash + 1;
    memcpy(parent, path, (size_t)(slash - path));
    parent[slash - path] = 0;
    return inode_of(parent);
}

/* Puts down a change of names that is about to be made. */
void append_intent(enum shim_record_type type, const char *path, const char *to)
{
    struct shim_record record = {.magic = SHIM_RECORD_MAGIC, .type = type};
    const char *name;
    const char *to_name = NULL;
    record.inode = inode_of(path);
    record.directories[0] = parent_inode(path, &name);
    record.name_sizes[0] = (uint32_t)strlen(name);
    if (to != NULL) {
        record.directories[1] = parent_inode(to, &to_name);
        record.name_sizes[1] = (uint32_t)strlen(to_name);
        record.replaced = inode_of(to);
    }
    append(&record, name, to_name, NULL);
}

/* Ends it as `done` says; `path` is a name of what was changed. Keeps errno. */
void append_end(bool done, uint64_t inode)
{
    int number = errno;
    append_mark(done ? SHIM_RECORD_DONE : SHIM_RECORD_CANCEL, inode, 0);
    errno = number;
}

/* Finds the journal's end: a record that was not written whole stands for nothing that was done.
 * power-loss ends what the last change of names left open, before the next process begins. */
void open_journal(const char *directory)
{
    char path[PATH_MAX + 16];
    snprintf(journal_directory, sizeof(journal_directory), "%s", directory);
    snprintf(path, sizeof(path), "%s/" SHIM_KEPT_NAME, journal_directory);
    real.mkdir(path, 0700);
    snprintf(path, sizeof(path), "%s/" SHIM_JOURNAL_NAME, journal_directory);
    journal_fd = real.open(path, O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    struct stat status;
    if (journal_fd < 0 || fstat(journal_fd, &status) != 0) {
        shim_fail("cannot open the journal");
    }
    journal_size = (uint64_t)status.st_size;
}

/* Where something removed is kept. */
void kept_path(char out[PATH_MAX + 64])
{
    snprintf(out, PATH_MAX + 64, "%s/" SHIM_KEPT_NAME "/%llu", journal_directory,
             (unsigned long long)journal_size);
}

/* --- Changes of files --- */

int reader_of(struct file *file, int fd)
{
    if (file->reader < 0) {
        char path[64];
        snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
        file->reader = real.open(path, O_RDONLY | O_CLOEXEC);
        if (file->reader < 0) {
            shim_fail("cannot read what is there");
        }
    }
    return file->reader;
}

/* Reads what is in the file from `offset` on, up to `size` bytes; the caller frees it. */
static void *read_before(int fd, uint64_t offset, uint64_t size)
{
    void *bytes = malloc(size + 1);
    if (bytes == NULL || real.pread(fd, bytes, size, (off_t)offset) != (ssize_t)size) {
        shim_fail("cannot read what is there");
    }
    return bytes;
}

void append_write(struct file *file, int fd, uint64_t offset, uint64_t size)
{
    struct shim_record record = {.magic = SHIM_RECORD_MAGIC,
                                 .type = SHIM_RECORD_WRITE,
                                 .inode = file->inode,
                                 .offset = offset,
                                 .size = size,
                                 .size_before = size_of(fd)};
    uint64_t end = offset + size < record.size_before ? offset + size : record.size_before;
    record.size_after = offset + size > record.size_before ? offset + size : record.size_before;
    record.byte_count = end > offset ? end - offset : 0;
    void *bytes = NULL;
    if (record.byte_count > 0) {
        bytes = read_before(reader_of(file, fd), offset, record.byte_count);
    }
    append(&record, NULL, NULL, bytes);
    free(bytes);
}

void append_size(uint64_t inode, int reader, uint64_t size_before, uint64_t size_after)
{
    struct shim_record record = {.magic = SHIM_RECORD_MAGIC,
                                 .type = SHIM_RECORD_SIZE,
                                 .inode = inode,
                                 .size_before = size_before,
                                 .size_after = size_after};
    void *bytes = NULL;
    if (size_after < size_before) {
        record.byte_count = size_before - size_after;
        bytes = read_before(reader, size_after, record.byte_count);
    }
    append(&record, NULL, NULL, bytes);
    free(bytes);
}
