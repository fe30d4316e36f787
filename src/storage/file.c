/* The POSIX calls behind file.h, each with its check, its text and its point for a fault. */
#include "storage/file.h"

#include "base/assert.h"
#include "base/checksum.h"
#include "base/memory.h"
#include "storage/file_gate.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

enum { PIECE_BYTES = 1024 * 1024 };

/* --- Faults --- */

static _Thread_local uint64_t fault_countdown;
static _Thread_local enum file_fault fault_kind;

void file_fault_after(uint64_t nth, enum file_fault fault)
{
    fault_countdown = nth;
    fault_kind = fault;
}

bool file_fault_pending(void)
{
    return fault_countdown != 0;
}

static _Thread_local uint64_t read_fault_countdown;
static _Thread_local enum file_fault read_fault_kind;

void file_read_fault_after(uint64_t nth, enum file_fault fault)
{
    read_fault_countdown = nth;
    read_fault_kind = fault;
}

bool file_read_fault_pending(void)
{
    return read_fault_countdown != 0;
}

static _Thread_local file_observe_fn observer;
static _Thread_local void *observer_arg;

void file_observe(file_observe_fn observe, void *arg)
{
    observer = observe;
    observer_arg = arg;
}

static void tell(struct file_event event)
{
    if (observer != NULL) {
        observer(observer_arg, &event);
    }
}

/* fsync or fdatasync, unless an observer plays the disk. */
static bool sync_really(int fd, int (*sync)(int fd))
{
    return observer != NULL || sync(fd) == 0;
}

/* What the operation that is about to start has to meet. */
static enum file_fault next_fault(void)
{
    if (fault_countdown == 0) {
        return FILE_FAULT_NONE;
    }
    fault_countdown--;
    return fault_countdown == 0 ? fault_kind : FILE_FAULT_NONE;
}

/* For operations that happen whole or not at all: false, with errno set, if it has to fail. */
static bool may_go_on(void)
{
    switch (next_fault()) {
    case FILE_FAULT_NONE:
    case FILE_FAULT_SHORT:
    case FILE_FAULT_INTERRUPT:
    case FILE_FAULT_FLIP:
        return true;
    case FILE_FAULT_ERROR:
        errno = EIO;
        return false;
    case FILE_FAULT_FULL:
        errno = ENOSPC;
        return false;
    case FILE_FAULT_EXIT:
        _exit(FILE_FAULT_EXIT_CODE);
    }
    UNREACHABLE();
}

rr_status file_fault_check(const char *what, struct storage_error *error)
{
    if (may_go_on()) {
        return RR_OK;
    }
    return storage_fail(error, errno == ENOSPC ? RR_NO_SPACE : RR_IO, "cannot %s: %s (a test)",
                        what, strerror(errno));
}

/* --- Errors and paths --- */

/* Fails with the meaning of errno. `what` is a verb such as "open". */
static rr_status fail(struct storage_error *error, const char *what, const char *path)
{
    int number = errno;
    switch (number) {
    case ENOSPC:
    case EDQUOT:
        return storage_fail(error, RR_NO_SPACE, "cannot %s %s: %s; free space on its disk", what,
                            path, strerror(number));
    case ENOENT:
        return storage_fail(error, RR_NOT_FOUND, "cannot %s %s: %s", what, path, strerror(number));
    case EACCES:
    case EPERM:
    case EROFS:
        return storage_fail(error, RR_IO, "cannot %s %s: %s; make it writable for this user", what,
                            path, strerror(number));
    default:
        return storage_fail(error, RR_IO, "cannot %s %s: %s", what, path, strerror(number));
    }
}

rr_status path_join(const char *directory, const char *name, char out[PATH_BYTES_MAX],
                    struct storage_error *error)
{
    int length = snprintf(out, PATH_BYTES_MAX, "%s/%s", directory, name);
    if (length < 0 || length >= PATH_BYTES_MAX) {
        return storage_fail(error, RR_TOO_BIG, "the path %.100s.../%.100s is too long", directory,
                            name);
    }
    return RR_OK;
}

bool file_exists(const char *path)
{
    struct stat status;
    return lstat(path, &status) == 0;
}

/* --- Directories --- */

rr_status directory_sync(const char *path, struct storage_error *error)
{
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) {
        return fail(error, "open the directory", path);
    }
    bool synced = may_go_on() && sync_really(fd, fsync);
    if (synced) {
        tell((struct file_event){.kind = FILE_EVENT_SYNC_DIRECTORY, .path = path});
    }
    rr_status status = synced ? RR_OK : fail(error, "sync the directory", path);
    close(fd);
    return status;
}

rr_status directory_sync_parent(const char *path, struct storage_error *error)
{
    char parent[PATH_BYTES_MAX];
    size_t size = strlen(path);
    while (size > 1 && path[size - 1] == '/') {
        size--;
    }
    while (size > 0 && path[size - 1] != '/') {
        size--;
    }
    if (size == 0) {
        return directory_sync(".", error);
    }
    if (size >= sizeof(parent)) {
        return storage_fail(error, RR_TOO_BIG, "the path %.100s... is too long", path);
    }
    memcpy(parent, path, size);
    parent[size] = 0;
    return directory_sync(parent, error);
}

rr_status directory_create(const char *path, struct storage_error *error)
{
    if (!may_go_on()) {
        return fail(error, "create the directory", path);
    }
    if (mkdir(path, 0750) != 0) {
        struct stat status;
        if (errno == EEXIST && stat(path, &status) == 0) {
            errno = ENOTDIR;
            return S_ISDIR(status.st_mode) ? RR_OK : fail(error, "use", path);
        }
        return fail(error, "create the directory", path);
    }
    return directory_sync_parent(path, error);
}

rr_status directory_list(const char *path, directory_visit_fn visit, void *arg,
                         struct storage_error *error)
{
    DIR *stream = opendir(path);
    if (stream == NULL) {
        return fail(error, "open the directory", path);
    }
    rr_status status = RR_OK;
    errno = 0;
    for (struct dirent *entry; status == RR_OK && (entry = readdir(stream)) != NULL; errno = 0) {
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0) {
            status = visit(arg, entry->d_name, error);
        }
    }
    if (status == RR_OK && errno != 0) {
        status = fail(error, "read the directory", path);
    }
    closedir(stream);
    return status;
}

/* Removes what `name` in the open directory `parent_fd` is, with all it holds. `path` is for the
 * text. The depth is that of our own directories: snapshots/snapshot-1/file. */
static rr_status remove_at(int parent_fd, const char *name, const char *path,
                           struct storage_error *error)
{
    if (!may_go_on()) {
        return fail(error, "remove", path);
    }
    tell((struct file_event){.kind = FILE_EVENT_REMOVE, .path = path});
    if (unlinkat(parent_fd, name, 0) == 0 || errno == ENOENT) {
        return RR_OK;
    }
    if (errno != EISDIR && errno != EPERM) {
        return fail(error, "remove", path);
    }
    int fd = openat(parent_fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0) {
        return fail(error, "open the directory", path);
    }
    DIR *stream = fdopendir(fd);
    if (stream == NULL) {
        rr_status status = fail(error, "read the directory", path);
        close(fd);
        return status;
    }
    rr_status status = RR_OK;
    for (struct dirent *entry; status == RR_OK && (entry = readdir(stream)) != NULL;) {
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0) {
            status = remove_at(fd, entry->d_name, path, error);
        }
    }
    closedir(stream);
    if (status == RR_OK && unlinkat(parent_fd, name, AT_REMOVEDIR) != 0 && errno != ENOENT) {
        status = fail(error, "remove the directory", path);
    }
    return status;
}

rr_status file_remove_tree(const char *path, struct storage_error *error)
{
    if (!file_exists(path)) {
        return RR_OK;
    }
    rr_status status = remove_at(AT_FDCWD, path, path, error);
    return status == RR_OK ? directory_sync_parent(path, error) : status;
}

/* --- Open files --- */

rr_status file_open(const char *path, int *out, struct storage_error *error)
{
    int fd = open(path, O_RDWR | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0) {
        return fail(error, "open", path);
    }
    *out = fd;
    return RR_OK;
}

rr_status file_create(const char *path, int *out, struct storage_error *error)
{
    if (!may_go_on()) {
        return fail(error, "create", path);
    }
    tell((struct file_event){.kind = FILE_EVENT_CREATE, .path = path});
    int fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0640);
    if (fd < 0) {
        return fail(error, "create", path);
    }
    *out = fd;
    return RR_OK;
}

/* Writes some of the bytes, as pwrite does, or less than that and then a fault. */
static ssize_t write_some(int fd, const uint8_t *bytes, size_t size, off_t offset)
{
    enum file_fault fault = next_fault();
    if (fault == FILE_FAULT_NONE) {
        return pwrite(fd, bytes, size, offset);
    }
    if (fault == FILE_FAULT_INTERRUPT) {
        errno = EINTR;
        return -1;
    }
    ssize_t written = pwrite(fd, bytes, size / 2, offset);
    if (fault == FILE_FAULT_SHORT) {
        return written;
    }
    if (fault == FILE_FAULT_EXIT) {
        _exit(FILE_FAULT_EXIT_CODE);
    }
    errno = fault == FILE_FAULT_FULL ? ENOSPC : EIO;
    return -1;
}

rr_status file_write_at(int fd, const char *path, uint64_t offset, rr_bytes bytes,
                        struct storage_error *error)
{
    const uint8_t *at = bytes.data;
    size_t left = bytes.size;
    file_gate_pass(path);
    tell((struct file_event){
        .kind = FILE_EVENT_WRITE, .path = path, .offset = offset, .bytes = bytes});
    while (left > 0) {
        ssize_t written = write_some(fd, at, left, (off_t)offset);
        if (written < 0 && errno == EINTR) {
            continue;
        }
        if (written < 0) {
            return fail(error, "write", path);
        }
        at += written;
        offset += (uint64_t)written;
        left -= (size_t)written;
    }
    return RR_OK;
}

static rr_status sync_file(int fd, const char *path, int (*sync)(int fd),
                           struct storage_error *error)
{
    file_gate_pass(path);
    if (!may_go_on() || !sync_really(fd, sync)) {
        int number = errno;
        tell((struct file_event){.kind = FILE_EVENT_SYNC_FAILED, .path = path});
        errno = number;
        return fail(error, "sync", path);
    }
    tell((struct file_event){.kind = FILE_EVENT_SYNC, .path = path});
    return RR_OK;
}

rr_status file_sync(int fd, const char *path, struct storage_error *error)
{
    return sync_file(fd, path, fsync, error);
}

rr_status file_sync_data(int fd, const char *path, struct storage_error *error)
{
    return sync_file(fd, path, fdatasync, error);
}

rr_status file_truncate(int fd, const char *path, uint64_t size, struct storage_error *error)
{
    if (!may_go_on()) {
        return fail(error, "truncate", path);
    }
    tell((struct file_event){.kind = FILE_EVENT_TRUNCATE, .path = path, .offset = size});
    if (ftruncate(fd, (off_t)size) != 0) {
        return fail(error, "truncate", path);
    }
    return RR_OK;
}

void file_drop_cache(int fd)
{
    posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
}

/* Reads some of the bytes, as pread does, or meets the fault that is due. */
static ssize_t read_some(int fd, uint8_t *out, size_t size, off_t offset)
{
    enum file_fault fault = FILE_FAULT_NONE;
    if (read_fault_countdown > 0) {
        read_fault_countdown--;
        fault = read_fault_countdown == 0 ? read_fault_kind : FILE_FAULT_NONE;
    }
    if (fault == FILE_FAULT_ERROR || fault == FILE_FAULT_INTERRUPT) {
        errno = fault == FILE_FAULT_ERROR ? EIO : EINTR;
        return -1;
    }
    ssize_t got = pread(fd, out, fault == FILE_FAULT_SHORT ? (size + 1) / 2 : size, offset);
    if (fault == FILE_FAULT_FLIP && got > 0) {
        out[got / 2] ^= 0x10;
    }
    return got;
}

rr_status file_read_at(int fd, const char *path, uint64_t offset, void *out, size_t size,
                       struct storage_error *error)
{
    uint8_t *at = out;
    while (size > 0) {
        ssize_t got = read_some(fd, at, size, (off_t)offset);
        if (got < 0 && errno == EINTR) {
            continue;
        }
        if (got < 0) {
            return fail(error, "read", path);
        }
        if (got == 0) {
            return storage_fail(error, RR_CORRUPT, "%s ends before byte %" PRIu64, path,
                                offset + size);
        }
        at += got;
        offset += (uint64_t)got;
        size -= (size_t)got;
    }
    return RR_OK;
}

/* --- Whole files --- */

/* Creates or empties the file, writes all of it and syncs it. */
static rr_status write_whole(const char *path, rr_bytes bytes, struct storage_error *error)
{
    int fd = may_go_on() ? open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0640) : -1;
    if (fd < 0) {
        return fail(error, "create", path);
    }
    rr_status status = file_write_at(fd, path, 0, bytes, error);
    if (status == RR_OK) {
        status = file_sync(fd, path, error);
    }
    close(fd);
    return status;
}

rr_status file_replace(const char *path, rr_bytes bytes, struct storage_error *error)
{
    char temporary[PATH_BYTES_MAX];
    int length = snprintf(temporary, sizeof(temporary), "%s.tmp", path);
    if (length < 0 || length >= (int)sizeof(temporary)) {
        return storage_fail(error, RR_TOO_BIG, "the path %.100s... is too long", path);
    }
    rr_status status = write_whole(temporary, bytes, error);
    if (status != RR_OK) {
        unlink(temporary);
        return status;
    }
    return file_rename(temporary, path, error);
}

rr_status file_size(const char *path, uint64_t *out, struct storage_error *error)
{
    struct stat status;
    if (stat(path, &status) != 0) {
        return fail(error, "look at", path);
    }
    if (!S_ISREG(status.st_mode)) {
        return storage_fail(error, RR_IO, "%s is not a regular file", path);
    }
    *out = (uint64_t)status.st_size;
    return RR_OK;
}

rr_status file_read(const char *path, size_t size_max, struct buffer *out,
                    struct storage_error *error)
{
    uint64_t size;
    rr_status status = file_size(path, &size, error);
    if (status != RR_OK) {
        return status;
    }
    if (size > size_max) {
        return storage_fail(error, RR_TOO_BIG, "%s has %" PRIu64 " bytes, more than %zu", path,
                            size, size_max);
    }
    size_t size_before = out->size;
    uint8_t *at = buffer_extend(out, (size_t)size);
    if (at == NULL && size > 0) {
        return storage_fail(error, RR_NO_MEMORY, "no memory for %" PRIu64 " bytes of %s", size,
                            path);
    }
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    status =
        fd < 0 ? fail(error, "open", path) : file_read_at(fd, path, 0, at, (size_t)size, error);
    if (fd >= 0) {
        close(fd);
    }
    if (status != RR_OK) {
        buffer_truncate(out, size_before);
    }
    return status;
}

static bool same_parent(const char *left, const char *right)
{
    const char *left_name = strrchr(left, '/');
    const char *right_name = strrchr(right, '/');
    size_t size = left_name == NULL ? 0 : (size_t)(left_name - left);
    size_t right_size = right_name == NULL ? 0 : (size_t)(right_name - right);
    return size == right_size && memcmp(left, right, size) == 0;
}

rr_status file_rename(const char *from, const char *to, struct storage_error *error)
{
    if (!may_go_on()) {
        return fail(error, "rename", from);
    }
    tell((struct file_event){.kind = FILE_EVENT_RENAME, .path = from, .to = to});
    if (rename(from, to) != 0) {
        return fail(error, "rename", from);
    }
    rr_status status = directory_sync_parent(to, error);
    return status == RR_OK && !same_parent(from, to) ? directory_sync_parent(from, error) : status;
}

rr_status file_link(const char *from, const char *to, struct storage_error *error)
{
    if (!may_go_on() || link(from, to) != 0) {
        return fail(error, "link", from);
    }
    return RR_OK;
}

/* Copies `size` bytes piece by piece through `piece`. */
static rr_status copy_pieces(int from_fd, const char *from, int to_fd, const char *to,
                             uint64_t size, uint8_t *piece, struct storage_error *error)
{
    for (uint64_t offset = 0; offset < size;) {
        size_t count = size - offset < PIECE_BYTES ? (size_t)(size - offset) : PIECE_BYTES;
        rr_status status = file_read_at(from_fd, from, offset, piece, count, error);
        if (status == RR_OK) {
            status = file_write_at(to_fd, to, offset, (rr_bytes){piece, count}, error);
        }
        if (status != RR_OK) {
            return status;
        }
        offset += count;
    }
    return file_sync(to_fd, to, error);
}

rr_status file_copy(const char *from, const char *to, struct storage_error *error)
{
    uint64_t size;
    rr_status status = file_size(from, &size, error);
    if (status != RR_OK) {
        return status;
    }
    int from_fd = open(from, O_RDONLY | O_CLOEXEC);
    if (from_fd < 0) {
        return fail(error, "open", from);
    }
    int to_fd = may_go_on() ? open(to, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0640) : -1;
    if (to_fd < 0) {
        status = fail(error, "create", to);
        close(from_fd);
        return status;
    }
    uint8_t *piece = mem_try_alloc(PIECE_BYTES);
    status = piece == NULL ? storage_fail(error, RR_NO_MEMORY, "no memory to copy %s", from)
                           : copy_pieces(from_fd, from, to_fd, to, size, piece, error);
    mem_free(piece);
    close(to_fd);
    close(from_fd);
    return status;
}

rr_status file_checksum(const char *path, uint64_t size, uint64_t *out, struct storage_error *error)
{
    uint64_t size_found;
    rr_status status = file_size(path, &size_found, error);
    if (status != RR_OK) {
        return status;
    }
    if (size_found != size) {
        return storage_fail(error, RR_CORRUPT, "%s has %" PRIu64 " bytes instead of %" PRIu64, path,
                            size_found, size);
    }
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        return fail(error, "open", path);
    }
    uint8_t *piece = mem_try_alloc(PIECE_BYTES);
    status =
        piece == NULL ? storage_fail(error, RR_NO_MEMORY, "no memory to read %s", path) : RR_OK;
    uint64_t checksum = 0;
    for (uint64_t offset = 0; status == RR_OK && offset < size;) {
        size_t count = size - offset < PIECE_BYTES ? (size_t)(size - offset) : PIECE_BYTES;
        status = file_read_at(fd, path, offset, piece, count, error);
        if (status == RR_OK) {
            checksum = checksum64_seeded(piece, count, checksum);
            offset += count;
        }
    }
    mem_free(piece);
    close(fd);
    if (status == RR_OK) {
        *out = checksum;
    }
    return status;
}

rr_status file_space_available(const char *path, uint64_t *out, struct storage_error *error)
{
    struct statvfs status;
    if (file_gate_space(path, out)) {
        return RR_OK;
    }
    if (statvfs(path, &status) != 0) {
        return fail(error, "look at the disk of", path);
    }
    *out = (uint64_t)status.f_bavail * status.f_frsize;
    return RR_OK;
}
