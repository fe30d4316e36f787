/* Starting, and the open files under the root. */
#include "shim_private.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

enum { FILES_MAX = 65536 };

struct shim_real real;
pthread_mutex_t shim_lock = PTHREAD_MUTEX_INITIALIZER;
struct shim_control *shim_control;

static struct file *files[FILES_MAX]; /* by descriptor */
static pthread_once_t once = PTHREAD_ONCE_INIT;
static char root[PATH_MAX];

void shim_fail(const char *what)
{
    fprintf(stderr, "disk_shim: %s: %s\n", what, strerror(errno));
    _exit(99);
}

static void *find(const char *name)
{
    void *function = dlsym(RTLD_NEXT, name);
    if (function == NULL) {
        shim_fail(name);
    }
    return function;
}

static void map_control(const char *path)
{
    int fd = real.open(path, O_RDWR | O_CLOEXEC);
    if (fd < 0) {
        shim_fail("cannot open the control file");
    }
    shim_control = mmap(NULL, sizeof(*shim_control), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (shim_control == MAP_FAILED || shim_control->magic != SHIM_CONTROL_MAGIC) {
        shim_fail("no control file");
    }
    real.close(fd);
}

static void start(void)
{
#define FIND(name) *(void **)&real.name = find(#name)
    FIND(open);
    FIND(openat);
    FIND(close);
    FIND(fclose);
    FIND(read);
    FIND(pread);
    FIND(fread_unlocked);
    FIND(write);
    FIND(pwrite);
    FIND(fsync);
    FIND(fdatasync);
    FIND(ftruncate);
    FIND(fallocate);
    FIND(rename);
    FIND(link);
    FIND(unlink);
    FIND(unlinkat);
    FIND(rmdir);
    FIND(mkdir);
#undef FIND
    const char *path = getenv("DISK_SHIM_ROOT");
    if (path == NULL) {
        return;
    }
    snprintf(root, sizeof(root), "%s", path);
    map_control(getenv("DISK_SHIM_CONTROL"));
    path = getenv("DISK_SHIM_JOURNAL");
    if (path != NULL) {
        open_journal(path);
    }
}

void ensure_started(void)
{
    pthread_once(&once, start);
}

uint64_t inode_of(const char *path)
{
    struct stat status;
    return lstat(path, &status) == 0 ? status.st_ino : 0;
}

uint64_t size_of(int fd)
{
    struct stat status;
    if (fstat(fd, &status) != 0) {
        shim_fail("fstat");
    }
    return (uint64_t)status.st_size;
}

/* --- Paths --- */

/* The absolute path without doubled slashes; false unless it is under the root. */
bool resolve(int directory, const char *path, char out[PATH_MAX])
{
    char base[PATH_MAX] = "";
    if (root[0] == 0) {
        return false;
    }
    if (path[0] != '/' && directory == AT_FDCWD) {
        if (getcwd(base, sizeof(base)) == NULL) {
            return false;
        }
    } else if (path[0] != '/') {
        char link_path[64];
        snprintf(link_path, sizeof(link_path), "/proc/self/fd/%d", directory);
        ssize_t size = readlink(link_path, base, sizeof(base) - 1);
        base[size < 0 ? 0 : size] = 0;
    }
    size_t size = strlen(base);
    memcpy(out, base, size);
    out[size] = 0;
    for (const char *at = path; *at != 0;) {
        size_t length = strcspn(at, "/");
        bool here = length == 0 || (length == 1 && at[0] == '.');
        if (!here) {
            if (size + length + 2 > PATH_MAX) {
                return false;
            }
            out[size++] = '/';
            memcpy(out + size, at, length);
            size += length;
            out[size] = 0;
        }
        at += length + (at[length] == '/');
    }
    size_t root_size = strlen(root);
    return strncmp(out, root, root_size) == 0 && (out[root_size] == '/' || out[root_size] == 0);
}

struct file *file_of(int fd)
{
    return fd >= 0 && fd < FILES_MAX ? __atomic_load_n(&files[fd], __ATOMIC_ACQUIRE) : NULL;
}

void forget(int fd)
{
    struct file *file = file_of(fd);
    if (file != NULL) {
        __atomic_store_n(&files[fd], NULL, __ATOMIC_RELEASE);
        if (file->reader >= 0) {
            real.close(file->reader);
        }
        free(file);
    }
}

void remember(int fd, const char *path, int flags)
{
    struct stat status;
    if (fd < 0 || fd >= FILES_MAX || fstat(fd, &status) != 0) {
        return;
    }
    forget(fd);
    struct file *file = calloc(1, sizeof(*file));
    if (file == NULL) {
        shim_fail("no memory");
    }
    snprintf(file->path, sizeof(file->path), "%s", path);
    file->inode = status.st_ino;
    file->reader = -1;
    file->append = (flags & O_APPEND) != 0;
    file->directory = S_ISDIR(status.st_mode);
    __atomic_store_n(&files[fd], file, __ATOMIC_RELEASE);
}

/* Open files follow a name that is changed. */
void rename_open(const char *from, const char *to)
{
    size_t size = strlen(from);
    for (int fd = 0; fd < FILES_MAX; fd++) {
        struct file *file = files[fd];
        if (file != NULL && strncmp(file->path, from, size) == 0 &&
            (file->path[size] == 0 || file->path[size] == '/')) {
            char rest[PATH_MAX];
            snprintf(rest, sizeof(rest), "%s", file->path + size);
            if (snprintf(file->path, sizeof(file->path), "%s%s", to, rest) >= PATH_MAX) {
                shim_fail("a path is too long");
            }
        }
    }
}
