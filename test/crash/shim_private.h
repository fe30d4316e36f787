/*
 * What the parts of disk_shim.so share. Everything is under shim_lock unless it says otherwise.
 */
#ifndef TEST_CRASH_SHIM_PRIVATE_H
#define TEST_CRASH_SHIM_PRIVATE_H

#include "disk_shim.h"

#include <limits.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <sys/types.h>

#define EXPORT __attribute__((visibility("default")))

/* An open file under the root. */
struct file {
    char path[PATH_MAX];
    uint64_t inode;
    int reader; /* for what is there before a write; -1 until needed */
    bool append;
    bool directory;
};

/* The functions that the shim stands before. */
struct shim_real {
    int (*open)(const char *, int, ...);
    int (*openat)(int, const char *, int, ...);
    int (*close)(int);
    int (*fclose)(FILE *);
    ssize_t (*read)(int, void *, size_t);
    ssize_t (*pread)(int, void *, size_t, off_t);
    size_t (*fread_unlocked)(void *, size_t, size_t, FILE *);
    ssize_t (*write)(int, const void *, size_t);
    ssize_t (*pwrite)(int, const void *, size_t, off_t);
    int (*fsync)(int);
    int (*fdatasync)(int);
    int (*ftruncate)(int, off_t);
    int (*fallocate)(int, int, off_t, off_t);
    int (*rename)(const char *, const char *);
    int (*link)(const char *, const char *);
    int (*unlink)(const char *);
    int (*unlinkat)(int, const char *, int);
    int (*rmdir)(const char *);
    int (*mkdir)(const char *, mode_t);
};

extern struct shim_real real;
extern pthread_mutex_t shim_lock;
extern struct shim_control *shim_control;

/* Before anything else; any thread, without the lock. */
void ensure_started(void);
/* Ends the process: the shim itself cannot go on. */
void shim_fail(const char *what);

/* The absolute path without doubled slashes; false unless it is under the root. Without the lock. */
bool resolve(int directory, const char *path, char out[PATH_MAX]);
/* The open file under the root, or NULL. Without the lock. */
struct file *file_of(int fd);
void remember(int fd, const char *path, int flags);
void forget(int fd);
/* Open files follow a name that is changed. */
void rename_open(const char *from, const char *to);
uint64_t inode_of(const char *path); /* 0: nothing is there */
uint64_t size_of(int fd);

/* What the operation has to meet. Waits are over when it returns; the caller does the rest. Takes the
 * lock itself, and so does must_fail. */
struct shim_rule meet(enum shim_operation operation, const char *path);
/* For what succeeds or fails: whether it has to fail, with errno set. */
bool must_fail(enum shim_operation operation, const char *path);
uint64_t shim_draw(void);

/* Whether there is a journal. Then each of these puts something down before it is done. */
bool journaling(void);
void open_journal(const char *directory);
uint64_t journal_place(void); /* where it ends now */
void append_write(struct file *file, int fd, uint64_t offset, uint64_t size);
/* `reader`: a descriptor to read what is cut off; not used when the file grows. */
void append_size(uint64_t inode, int reader, uint64_t size_before, uint64_t size_after);
int reader_of(struct file *file, int fd);
void append_mark(enum shim_record_type type, uint64_t inode, uint64_t upto);
/* A change of names that is about to be made, and its end. The end keeps errno. */
void append_intent(enum shim_record_type type, const char *path, const char *to);
void append_end(bool done, uint64_t inode);
/* Where something removed is kept. */
void kept_path(char out[PATH_MAX + 64]);

#endif
