#include "inspect/files.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

enum { PIECE_BYTES = 1 << 20, BLOCK_BYTES = 4096 };

bool place_path(const struct place *place, const char *name, char *path)
{
    int size = snprintf(path, PATH_BYTES, "%s%s%s", place->root, name[0] == 0 ? "" : "/", name);
    if (size < 0 || size >= PATH_BYTES) {
        output_blind(place->output, name, "the path is too long");
        return false;
    }
    return true;
}

/* Reads `size` bytes at `offset`; fewer only at the end of the file. -1 and errno on errors. */
static ssize_t read_fully(int file, uint8_t *data, size_t size, uint64_t offset)
{
    size_t done = 0;
    while (done < size) {
        ssize_t count = pread(file, data + done, size - done, (off_t)(offset + done));
        if (count < 0 && errno == EINTR) {
            continue;
        }
        if (count < 0) {
            return -1;
        }
        if (count == 0) {
            break;
        }
        done += (size_t)count;
    }
    return (ssize_t)done;
}

/* Reads a piece that could not be read as a whole, block by block. */
static void read_blocks(const struct place *place, const char *name, int file, uint8_t *data,
                        size_t size, uint64_t offset)
{
    for (size_t at = 0; at < size; at += BLOCK_BYTES) {
        size_t block = size - at < BLOCK_BYTES ? size - at : BLOCK_BYTES;
        if (read_fully(file, data + at, block, offset + at) < 0) {
            output_damage(place->output, name, offset + at,
                          "replace the disk, and let the node rejoin on a new one",
                          "the disk cannot read this block: %s", strerror(errno));
            memset(data + at, 0, block);
        }
    }
}

/* Fills `out` with `size` bytes. What the file does not have any more is cut off. */
static void read_pieces(const struct place *place, const char *name, int file, uint8_t *data,
                        size_t size, size_t *read)
{
    size_t at = 0;
    while (at < size) {
        size_t piece = size - at < PIECE_BYTES ? size - at : PIECE_BYTES;
        ssize_t count = read_fully(file, data + at, piece, at);
        if (count < 0) {
            read_blocks(place, name, file, data + at, piece, at);
            count = (ssize_t)piece;
        }
        at += (size_t)count;
        if ((size_t)count < piece) {
            break;
        }
    }
    *read = at;
}

enum load_result place_load(const struct place *place, const char *name, uint64_t limit,
                            struct slice *out)
{
    char path[PATH_BYTES];
    if (!place_path(place, name, path)) {
        return LOAD_FAILED;
    }
    int file = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
    if (file < 0 && errno == ENOENT) {
        return LOAD_MISSING;
    }
    struct stat status;
    if (file < 0 || fstat(file, &status) != 0) {
        output_blind(place->output, name, "%s", strerror(errno));
        if (file >= 0) {
            close(file);
        }
        return LOAD_FAILED;
    }
    uint64_t size = (uint64_t)status.st_size < limit ? (uint64_t)status.st_size : limit;
    uint8_t *data = S_ISREG(status.st_mode) ? malloc(size == 0 ? 1 : size) : NULL;
    if (data == NULL) {
        output_blind(place->output, name, "%s",
                     S_ISREG(status.st_mode) ? "too large for this machine's memory"
                                             : "not a regular file");
        close(file);
        return LOAD_FAILED;
    }
    out->data = data;
    read_pieces(place, name, file, data, size, &out->size);
    close(file);
    return LOAD_DONE;
}

void slice_free(struct slice *bytes)
{
    free((void *)bytes->data);
    *bytes = (struct slice){NULL, 0};
}

static int is_entry(const struct dirent *entry)
{
    return strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0;
}

static int by_bytes(const struct dirent **left, const struct dirent **right)
{
    return strcmp((*left)->d_name, (*right)->d_name);
}

enum load_result place_list(const struct place *place, const char *name, struct names *out)
{
    char path[PATH_BYTES];
    if (!place_path(place, name, path)) {
        return LOAD_FAILED;
    }
    struct dirent **entries;
    int count = scandir(path, &entries, is_entry, by_bytes);
    if (count < 0) {
        if (errno == ENOENT || errno == ENOTDIR) {
            return LOAD_MISSING;
        }
        output_blind(place->output, name, "%s", strerror(errno));
        return LOAD_FAILED;
    }
    enum load_result result = LOAD_DONE;
    out->list = calloc((size_t)count + 1, sizeof(*out->list));
    out->count = 0;
    for (int i = 0; i < count; i++) {
        char *copy = out->list == NULL ? NULL : strdup(entries[i]->d_name);
        free(entries[i]);
        if (copy == NULL) {
            result = LOAD_FAILED;
            continue;
        }
        out->list[out->count++] = copy;
    }
    free(entries);
    if (result == LOAD_FAILED) {
        output_blind(place->output, name, "no memory");
        names_free(out);
    }
    return result;
}

void names_free(struct names *names)
{
    for (size_t i = 0; i < names->count; i++) {
        free(names->list[i]);
    }
    free(names->list);
    *names = (struct names){NULL, 0};
}

enum name_type place_type(const struct place *place, const char *name, uint64_t *size)
{
    char path[PATH_BYTES];
    struct stat status;
    *size = 0;
    if (!place_path(place, name, path) || lstat(path, &status) != 0) {
        return NAME_MISSING;
    }
    if (S_ISDIR(status.st_mode)) {
        return NAME_DIRECTORY;
    }
    if (!S_ISREG(status.st_mode)) {
        return NAME_OTHER;
    }
    *size = (uint64_t)status.st_size;
    return NAME_FILE;
}

bool name_number(const char *name, const char *prefix, int base, uint64_t *out)
{
    size_t prefix_size = strlen(prefix);
    const char *digits = name + prefix_size;
    if (strncmp(name, prefix, prefix_size) != 0 || digits[0] == 0) {
        return false;
    }
    const char *allowed = base == 16 ? "0123456789abcdef" : "0123456789";
    if (digits[strspn(digits, allowed)] != 0) {
        return false;
    }
    errno = 0;
    *out = strtoull(digits, NULL, base);
    return errno == 0;
}

enum lock_result place_lock(const struct place *place)
{
    char path[PATH_BYTES];
    if (!place_path(place, "LOCK", path)) {
        return LOCK_ABSENT;
    }
    int file = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
    if (file < 0) {
        return LOCK_ABSENT;
    }
    /* The lock goes with the process: kept, so that no node starts meanwhile. */
    if (flock(file, LOCK_SH | LOCK_NB) != 0) {
        close(file);
        return LOCK_HELD;
    }
    return LOCK_FREE;
}
