/*
 * What the preloaded disk_shim.so, the programs beside it and the Python of the tests share: the
 * control file, through which faults are asked for, and the journal, from which a loss of power is
 * played. README.md has the model.
 */
#ifndef TEST_CRASH_DISK_SHIM_H
#define TEST_CRASH_DISK_SHIM_H

#include <stdint.h>

/* --- The control file: mapped by both sides; shim.py has the same layout --- */

enum shim_operation {
    SHIM_OPEN = 1 << 0, /* without creating */
    SHIM_CREATE = 1 << 1,
    SHIM_READ = 1 << 2,
    SHIM_WRITE = 1 << 3,
    SHIM_SYNC = 1 << 4,
    SHIM_SYNC_DIRECTORY = 1 << 5,
    SHIM_TRUNCATE = 1 << 6, /* and fallocate */
    SHIM_RENAME = 1 << 7,
    SHIM_LINK = 1 << 8,
    SHIM_REMOVE = 1 << 9,
    SHIM_MKDIR = 1 << 10,
    SHIM_OPERATION_COUNT = 11,
};

enum shim_fault {
    SHIM_NONE = 0,
    SHIM_ERROR = 1,     /* fails with the errno `argument`; a write has written half its bytes */
    SHIM_SHORT = 2,     /* reads and writes: half the bytes */
    SHIM_STALL = 3,     /* waits until `released` is set, then goes on */
    SHIM_DELAY = 4,     /* waits `argument` microseconds, then goes on */
    SHIM_FLIP = 5,      /* reads and writes: one bit is the other one */
    SHIM_MISDIRECT = 6, /* a write goes `argument` bytes further on, or back */
    SHIM_LOST = 7,      /* a write or sync is said to be done, and is not */
    SHIM_KILL = 8,      /* the process is killed before; a write has written half its bytes */
};

/* Which operations meet a fault. Set `operations` last: 0 switches the rule off. */
struct shim_rule {
    uint32_t operations; /* of enum shim_operation */
    uint32_t fault;
    int64_t argument;
    uint64_t skip;        /* so many that match are spared first */
    uint64_t limit;       /* so many meet it; 0: all */
    uint32_t probability; /* of one that matches, in millionths */
    uint32_t released;
    uint64_t matched; /* these three are counted by the shim */
    uint64_t fired;
    uint64_t waiting;  /* in a stall now */
    char pattern[192]; /* of the path under the root, as for fnmatch: * matches / as well */
};

enum { SHIM_RULES_MAX = 16 };

struct shim_control {
    uint64_t magic; /* SHIM_CONTROL_MAGIC */
    uint64_t seed;
    uint64_t counts[16];   /* of operations, by bit */
    uint32_t sync_skipped; /* do not sync really: enough where only processes are killed */
    uint32_t reserved;
    struct shim_rule rules[SHIM_RULES_MAX];
};

#define SHIM_CONTROL_MAGIC 0x315854434d494853ULL

/* --- The journal: what is not durable yet --- */

enum shim_record_type {
    SHIM_RECORD_WRITE = 1,   /* bytes: what was at `offset`, as far as the file went */
    SHIM_RECORD_SIZE = 2,    /* bytes: what was cut off */
    SHIM_RECORD_SYNC = 3,    /* the records of `inode` before `upto` are durable */
    SHIM_RECORD_FAILED = 4,  /* a sync of them failed: they may be lost whatever is synced later */
    SHIM_RECORD_NAMES = 5,   /* those before `upto` of the directory `inode` are durable */
    SHIM_RECORD_CREATE = 6,  /* `names[0]` in `directories[0]`; file or directory */
    SHIM_RECORD_RENAME = 7,  /* from 0 to 1 */
    SHIM_RECORD_LINK = 8,    /* a further name 0 */
    SHIM_RECORD_REMOVE = 9,  /* of a file or an empty directory */
    SHIM_RECORD_DONE = 10,   /* the change of a name before it was made; `inode` is whose */
    SHIM_RECORD_CANCEL = 11, /* it was not made */
};

/* Each is followed by name_sizes[0] + name_sizes[1] bytes of names and `byte_count` bytes. */
struct shim_record {
    uint32_t magic;
    uint32_t type;
    uint64_t inode;
    uint64_t directories[2]; /* inodes */
    uint32_t name_sizes[2];
    uint64_t offset;
    uint64_t size; /* of the write */
    uint64_t size_before;
    uint64_t size_after;
    uint64_t upto;     /* a place in the journal */
    uint64_t replaced; /* RENAME: the inode whose name it was, or 0 */
    uint64_t byte_count;
};

#define SHIM_RECORD_MAGIC 0x52494853U

/* In the journal's directory, which is on the root's file system: the journal, and a directory of
 * files that were removed but may come back. */
#define SHIM_JOURNAL_NAME "journal"
#define SHIM_KEPT_NAME "kept"

#endif
