/*
 * Preloaded into a program, it stands between it and its files under one directory: operations meet
 * the faults that the control file asks for, and what is not durable yet is put down in a journal.
 *
 *     DISK_SHIM_ROOT     the directory, without links in its path
 *     DISK_SHIM_CONTROL  a file of sizeof(struct shim_control)
 *     DISK_SHIM_JOURNAL  a directory on the same file system; without it there is no journal
 *
 * It knows what librockraft and RocksDB call: no mmap, no dup, no writing through a FILE. One process
 * at a time uses a root. With a journal, changes happen one at a time under the lock, each put down
 * before it is made, so that the journal explains the files wherever the process is killed.
 */
#include "shim_private.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* --- Changes of files --- */

/* Writes at `offset`, and puts it down before. The lock is held if there is a journal. */
static ssize_t write_journaled(struct file *file, int fd, const void *bytes, size_t size,
                               uint64_t offset)
{
    if (journaling()) {
        append_write(file, fd, offset, size);
    }
    return real.pwrite(fd, bytes, size, (off_t)offset);
}

static ssize_t write_flipped(struct file *file, int fd, const void *bytes, size_t size,
                             uint64_t offset)
{
    uint8_t *copy = malloc(size);
    if (copy == NULL) {
        shim_fail("no memory");
    }
    memcpy(copy, bytes, size);
    copy[shim_draw() % size] ^= (uint8_t)(1U << shim_draw() % 8);
    ssize_t written = write_journaled(file, fd, copy, size, offset);
    free(copy);
    return written;
}

/* Says that the bytes are written, and leaves what was there; past the end, zeros. */
static ssize_t write_nothing(struct file *file, int fd, size_t size, uint64_t offset)
{
    uint64_t before = size_of(fd);
    if (offset + size > before) {
        if (journaling()) {
            append_size(file->inode, -1, before, offset + size);
        }
        if (real.ftruncate(fd, (off_t)(offset + size)) != 0) {
            return -1;
        }
    }
    return (ssize_t)size;
}

static ssize_t write_met(const struct shim_rule *met, struct file *file, int fd, const void *bytes,
                         size_t size, uint64_t offset)
{
    switch ((enum shim_fault)met->fault) {
    case SHIM_ERROR:
    case SHIM_KILL:
        (void)!write_journaled(file, fd, bytes, size / 2, offset);
        if (met->fault == SHIM_KILL) {
            kill(getpid(), SIGKILL);
        }
        errno = (int)met->argument;
        return -1;
    case SHIM_SHORT:
        return write_journaled(file, fd, bytes, size > 1 ? size / 2 : size, offset);
    case SHIM_FLIP:
        return write_flipped(file, fd, bytes, size, offset);
    case SHIM_MISDIRECT: {
        int64_t other = (int64_t)offset + met->argument;
        write_nothing(file, fd, size, offset);
        return write_journaled(file, fd, bytes, size, other < 0 ? 0 : (uint64_t)other);
    }
    case SHIM_LOST:
        return write_nothing(file, fd, size, offset);
    case SHIM_NONE:
    case SHIM_STALL:
    case SHIM_DELAY:
        break;
    }
    return write_journaled(file, fd, bytes, size, offset);
}

/* `position`: the write is at the descriptor's position, which moves on. */
static ssize_t write_file(struct file *file, int fd, const void *bytes, size_t size, off_t offset,
                          bool position)
{
    struct shim_rule met = meet(SHIM_WRITE, file->path);
    bool locked = journaling();
    if (locked) {
        pthread_mutex_lock(&shim_lock);
    }
    if (position) {
        offset = file->append ? (off_t)size_of(fd) : lseek(fd, 0, SEEK_CUR);
    }
    int flags = fcntl(fd, F_GETFL);
    if (file->append) {
        /* Linux appends whatever offset pwrite is given. */
        fcntl(fd, F_SETFL, flags & ~O_APPEND);
    }
    ssize_t written = size == 0 ? 0 : write_met(&met, file, fd, bytes, size, (uint64_t)offset);
    int number = errno;
    if (file->append) {
        fcntl(fd, F_SETFL, flags);
    }
    if (position && written > 0) {
        lseek(fd, offset + written, SEEK_SET);
    }
    if (locked) {
        pthread_mutex_unlock(&shim_lock);
    }
    errno = number;
    return written;
}

EXPORT ssize_t write(int fd, const void *bytes, size_t size)
{
    ensure_started();
    struct file *file = file_of(fd);
    return file == NULL ? real.write(fd, bytes, size) : write_file(file, fd, bytes, size, 0, true);
}

EXPORT ssize_t pwrite(int fd, const void *bytes, size_t size, off_t offset)
{
    ensure_started();
    struct file *file = file_of(fd);
    return file == NULL ? real.pwrite(fd, bytes, size, offset)
                        : write_file(file, fd, bytes, size, offset, false);
}

EXPORT ssize_t pwrite64(int fd, const void *bytes, size_t size, off_t offset)
{
    return pwrite(fd, bytes, size, offset);
}

static int change_size(struct file *file, int fd, uint64_t size)
{
    if (!journaling()) {
        return real.ftruncate(fd, (off_t)size);
    }
    pthread_mutex_lock(&shim_lock);
    append_size(file->inode, reader_of(file, fd), size_of(fd), size);
    int result = real.ftruncate(fd, (off_t)size);
    int number = errno;
    pthread_mutex_unlock(&shim_lock);
    errno = number;
    return result;
}

EXPORT int ftruncate(int fd, off_t size)
{
    ensure_started();
    struct file *file = file_of(fd);
    if (file == NULL) {
        return real.ftruncate(fd, size);
    }
    return must_fail(SHIM_TRUNCATE, file->path) ? -1 : change_size(file, fd, (uint64_t)size);
}

EXPORT int ftruncate64(int fd, off_t size)
{
    return ftruncate(fd, size);
}

EXPORT int fallocate(int fd, int mode, off_t offset, off_t size)
{
    ensure_started();
    struct file *file = file_of(fd);
    if (file == NULL) {
        return real.fallocate(fd, mode, offset, size);
    }
    if (must_fail(SHIM_TRUNCATE, file->path)) {
        return -1;
    }
    if ((mode & FALLOC_FL_KEEP_SIZE) != 0 && (mode & FALLOC_FL_PUNCH_HOLE) == 0) {
        return real.fallocate(fd, mode, offset, size);
    }
    errno = EOPNOTSUPP; /* the callers go on without */
    return -1;
}

EXPORT int fallocate64(int fd, int mode, off_t offset, off_t size)
{
    return fallocate(fd, mode, offset, size);
}

static int sync_file(int fd, int (*sync)(int))
{
    struct file *file = file_of(fd);
    if (file == NULL) {
        return sync(fd);
    }
    struct shim_rule met = meet(file->directory ? SHIM_SYNC_DIRECTORY : SHIM_SYNC, file->path);
    if (met.fault == SHIM_LOST) {
        return 0;
    }
    pthread_mutex_lock(&shim_lock);
    uint64_t upto = journal_place();
    pthread_mutex_unlock(&shim_lock);
    int result = met.fault == SHIM_ERROR || shim_control->sync_skipped ? 0 : sync(fd);
    int number = errno;
    if (met.fault == SHIM_ERROR) {
        result = -1;
        number = (int)met.argument;
    }
    if (journaling()) {
        enum shim_record_type type = file->directory ? SHIM_RECORD_NAMES : SHIM_RECORD_SYNC;
        pthread_mutex_lock(&shim_lock);
        if (result == 0) {
            append_mark(type, file->inode, upto);
        } else if (!file->directory) {
            append_mark(SHIM_RECORD_FAILED, file->inode, upto);
        }
        pthread_mutex_unlock(&shim_lock);
    }
    errno = number;
    return result;
}

EXPORT int fsync(int fd)
{
    ensure_started();
    return sync_file(fd, real.fsync);
}

EXPORT int fdatasync(int fd)
{
    ensure_started();
    return sync_file(fd, real.fdatasync);
}

/* --- Reading --- */

/* What is left of `size` after `met`; -1 with errno set. */
static ssize_t read_allowed(const struct shim_rule *met, size_t size)
{
    if (met->fault == SHIM_ERROR) {
        errno = (int)met->argument;
        return -1;
    }
    return (ssize_t)(met->fault == SHIM_SHORT && size > 1 ? size / 2 : size);
}

static void flip_read(const struct shim_rule *met, void *bytes, ssize_t size)
{
    if (met->fault == SHIM_FLIP && size > 0) {
        pthread_mutex_lock(&shim_lock);
        uint64_t place = shim_draw() % ((uint64_t)size * 8);
        pthread_mutex_unlock(&shim_lock);
        ((uint8_t *)bytes)[place / 8] ^= (uint8_t)(1U << place % 8);
    }
}

static ssize_t read_file(struct file *file, int fd, void *bytes, size_t size, off_t offset,
                         bool position)
{
    struct shim_rule met = meet(SHIM_READ, file->path);
    ssize_t allowed = read_allowed(&met, size);
    if (allowed < 0) {
        return -1;
    }
    ssize_t got = position ? real.read(fd, bytes, (size_t)allowed)
                           : real.pread(fd, bytes, (size_t)allowed, offset);
    flip_read(&met, bytes, got);
    return got;
}

EXPORT ssize_t read(int fd, void *bytes, size_t size)
{
    ensure_started();
    struct file *file = file_of(fd);
    return file == NULL ? real.read(fd, bytes, size) : read_file(file, fd, bytes, size, 0, true);
}

EXPORT ssize_t pread(int fd, void *bytes, size_t size, off_t offset)
{
    ensure_started();
    struct file *file = file_of(fd);
    return file == NULL ? real.pread(fd, bytes, size, offset)
                        : read_file(file, fd, bytes, size, offset, false);
}

EXPORT ssize_t pread64(int fd, void *bytes, size_t size, off_t offset)
{
    return pread(fd, bytes, size, offset);
}

/* What fortified programs call; the size of the buffer was checked where it is known. */
EXPORT ssize_t __read_chk(int fd, void *bytes, size_t size, size_t room);
EXPORT ssize_t __read_chk(int fd, void *bytes, size_t size, size_t room)
{
    return size > room ? (abort(), -1) : read(fd, bytes, size);
}

EXPORT ssize_t __pread_chk(int fd, void *bytes, size_t size, off_t offset, size_t room);
EXPORT ssize_t __pread_chk(int fd, void *bytes, size_t size, off_t offset, size_t room)
{
    return size > room ? (abort(), -1) : pread(fd, bytes, size, offset);
}

EXPORT ssize_t __pread64_chk(int fd, void *bytes, size_t size, off_t offset, size_t room);
EXPORT ssize_t __pread64_chk(int fd, void *bytes, size_t size, off_t offset, size_t room)
{
    return size > room ? (abort(), -1) : pread(fd, bytes, size, offset);
}

#undef fread_unlocked
/* RocksDB reads its WAL, MANIFEST and CURRENT so. */
EXPORT size_t fread_unlocked(void *bytes, size_t size, size_t amount, FILE *stream)
{
    enum { GLIBC_ERROR_SEEN = 0x20 };
    ensure_started();
    struct file *file = file_of(fileno(stream));
    if (file == NULL) {
        return real.fread_unlocked(bytes, size, amount, stream);
    }
    struct shim_rule met = meet(SHIM_READ, file->path);
    if (met.fault == SHIM_ERROR) {
        stream->_flags |= GLIBC_ERROR_SEEN;
        errno = (int)met.argument;
        return 0;
    }
    size_t got = real.fread_unlocked(bytes, size, amount, stream);
    flip_read(&met, bytes, (ssize_t)(got * size));
    return got;
}

/* --- Opening --- */

static void append_emptied(const char *path)
{
    int fd = real.open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        shim_fail("cannot read what is emptied");
    }
    append_size(inode_of(path), fd, size_of(fd), 0);
    real.close(fd);
}

static int open_locked(const char *path, int flags, mode_t mode, bool creates)
{
    if (!journaling()) {
        return real.open(path, flags, mode);
    }
    if (!creates) {
        if ((flags & O_TRUNC) != 0 && (flags & O_EXCL) == 0 && inode_of(path) != 0) {
            append_emptied(path);
        }
        return real.open(path, flags, mode);
    }
    append_intent(SHIM_RECORD_CREATE, path, NULL);
    int fd = real.open(path, flags, mode);
    append_end(fd >= 0, fd >= 0 ? inode_of(path) : 0);
    return fd;
}

static int open_path(const char *path, int flags, mode_t mode)
{
    pthread_mutex_lock(&shim_lock);
    bool creates = (flags & O_CREAT) != 0 && inode_of(path) == 0;
    pthread_mutex_unlock(&shim_lock);
    if (must_fail(creates ? SHIM_CREATE : SHIM_OPEN, path)) {
        return -1;
    }
    pthread_mutex_lock(&shim_lock);
    int fd = open_locked(path, flags, mode, creates);
    int number = errno;
    remember(fd, path, flags);
    pthread_mutex_unlock(&shim_lock);
    errno = number;
    return fd;
}

static int open_at(int directory, const char *path, int flags, mode_t mode)
{
    char resolved[PATH_MAX];
    ensure_started();
    return resolve(directory, path, resolved) ? open_path(resolved, flags, mode)
                                              : real.openat(directory, path, flags, mode);
}

#define MODE_OF(flags)                                                                             \
    mode_t mode = 0;                                                                               \
    if (((flags) & (O_CREAT | O_TMPFILE)) != 0) {                                                  \
        va_list list;                                                                              \
        va_start(list, flags);                                                                     \
        mode = va_arg(list, mode_t);                                                               \
        va_end(list);                                                                              \
    }

EXPORT int open(const char *path, int flags, ...)
{
    MODE_OF(flags)
    return open_at(AT_FDCWD, path, flags, mode);
}

EXPORT int open64(const char *path, int flags, ...)
{
    MODE_OF(flags)
    return open_at(AT_FDCWD, path, flags, mode);
}

EXPORT int openat(int directory, const char *path, int flags, ...)
{
    MODE_OF(flags)
    return open_at(directory, path, flags, mode);
}

EXPORT int openat64(int directory, const char *path, int flags, ...)
{
    MODE_OF(flags)
    return open_at(directory, path, flags, mode);
}

EXPORT int __open_2(const char *path, int flags);
EXPORT int __open_2(const char *path, int flags)
{
    return open_at(AT_FDCWD, path, flags, 0);
}

EXPORT int __openat_2(int directory, const char *path, int flags);
EXPORT int __openat_2(int directory, const char *path, int flags)
{
    return open_at(directory, path, flags, 0);
}

EXPORT int close(int fd)
{
    ensure_started();
    if (file_of(fd) != NULL) {
        pthread_mutex_lock(&shim_lock);
        forget(fd);
        pthread_mutex_unlock(&shim_lock);
    }
    return real.close(fd);
}

EXPORT int fclose(FILE *stream)
{
    ensure_started();
    int fd = fileno(stream);
    if (file_of(fd) != NULL) {
        pthread_mutex_lock(&shim_lock);
        forget(fd);
        pthread_mutex_unlock(&shim_lock);
    }
    return real.fclose(stream);
}

/* --- Names --- */

static int rename_locked(const char *from, const char *to)
{
    if (journaling()) {
        append_intent(SHIM_RECORD_RENAME, from, to);
        char kept[PATH_MAX + 64];
        kept_path(kept);
        real.link(to, kept); /* there may be nothing to keep */
    }
    uint64_t inode = inode_of(from);
    int result = real.rename(from, to);
    if (journaling()) {
        append_end(result == 0, inode);
    }
    if (result == 0) {
        rename_open(from, to);
    }
    return result;
}

EXPORT int rename(const char *from, const char *to)
{
    char from_path[PATH_MAX];
    char to_path[PATH_MAX];
    ensure_started();
    if (!resolve(AT_FDCWD, from, from_path) || !resolve(AT_FDCWD, to, to_path)) {
        return real.rename(from, to);
    }
    if (must_fail(SHIM_RENAME, to_path)) {
        return -1;
    }
    pthread_mutex_lock(&shim_lock);
    int result = rename_locked(from_path, to_path);
    int number = errno;
    pthread_mutex_unlock(&shim_lock);
    errno = number;
    return result;
}

EXPORT int link(const char *from, const char *to)
{
    char from_path[PATH_MAX];
    char to_path[PATH_MAX];
    ensure_started();
    if (!resolve(AT_FDCWD, from, from_path) || !resolve(AT_FDCWD, to, to_path)) {
        return real.link(from, to);
    }
    if (must_fail(SHIM_LINK, to_path)) {
        return -1;
    }
    pthread_mutex_lock(&shim_lock);
    uint64_t inode = inode_of(from_path);
    if (journaling()) {
        append_intent(SHIM_RECORD_LINK, to_path, NULL);
    }
    int result = real.link(from_path, to_path);
    int number = errno;
    if (journaling()) {
        append_end(result == 0, inode);
    }
    pthread_mutex_unlock(&shim_lock);
    errno = number;
    return result;
}

/* Whether what unlink or rmdir would remove may be; sets errno. */
static bool removable(const char *path, bool directory)
{
    struct stat status;
    if (lstat(path, &status) != 0) {
        return false;
    }
    if (!directory || !S_ISDIR(status.st_mode)) {
        errno = directory ? ENOTDIR : EISDIR;
        return directory == S_ISDIR(status.st_mode);
    }
    bool empty = true;
    DIR *stream = opendir(path);
    for (struct dirent *entry; stream != NULL && (entry = readdir(stream)) != NULL;) {
        empty = empty && (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0);
    }
    if (stream != NULL) {
        closedir(stream);
    }
    errno = ENOTEMPTY;
    return stream != NULL && empty;
}

/* Moves it to where it is kept, so that its inode is nobody else's. */
static int remove_journaled(const char *path, bool directory)
{
    if (!removable(path, directory)) {
        return -1;
    }
    append_intent(SHIM_RECORD_REMOVE, path, NULL);
    char kept[PATH_MAX + 64];
    kept_path(kept);
    uint64_t inode = inode_of(path);
    int result = real.rename(path, kept);
    append_end(result == 0, inode);
    return result;
}

static int remove_path(const char *path, bool directory)
{
    if (must_fail(SHIM_REMOVE, path)) {
        return -1;
    }
    if (!journaling()) {
        return directory ? real.rmdir(path) : real.unlink(path);
    }
    pthread_mutex_lock(&shim_lock);
    int result = remove_journaled(path, directory);
    int number = errno;
    pthread_mutex_unlock(&shim_lock);
    errno = number;
    return result;
}

EXPORT int unlink(const char *path)
{
    char resolved[PATH_MAX];
    ensure_started();
    return resolve(AT_FDCWD, path, resolved) ? remove_path(resolved, false) : real.unlink(path);
}

EXPORT int rmdir(const char *path)
{
    char resolved[PATH_MAX];
    ensure_started();
    return resolve(AT_FDCWD, path, resolved) ? remove_path(resolved, true) : real.rmdir(path);
}

EXPORT int unlinkat(int directory, const char *path, int flags)
{
    char resolved[PATH_MAX];
    ensure_started();
    return resolve(directory, path, resolved) ? remove_path(resolved, (flags & AT_REMOVEDIR) != 0)
                                              : real.unlinkat(directory, path, flags);
}

EXPORT int mkdir(const char *path, mode_t mode)
{
    char resolved[PATH_MAX];
    ensure_started();
    if (!resolve(AT_FDCWD, path, resolved)) {
        return real.mkdir(path, mode);
    }
    if (must_fail(SHIM_MKDIR, resolved)) {
        return -1;
    }
    pthread_mutex_lock(&shim_lock);
    bool journaled = journaling() && inode_of(resolved) == 0;
    if (journaled) {
        append_intent(SHIM_RECORD_CREATE, resolved, NULL);
    }
    int result = real.mkdir(resolved, mode);
    int number = errno;
    if (journaled) {
        append_end(result == 0, result == 0 ? inode_of(resolved) : 0);
    }
    pthread_mutex_unlock(&shim_lock);
    errno = number;
    return result;
}
