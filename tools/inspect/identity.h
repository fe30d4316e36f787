/* The small files of a data directory: IDENTITY, FORMER, DAMAGED and STATE. Pure functions. */
#ifndef INSPECT_IDENTITY_H
#define INSPECT_IDENTITY_H

#include "inspect/bytes.h"

enum form {
    FORM_OK,
    FORM_DAMAGED, /* cut, or its checksum fails, or it says what cannot be */
    FORM_NEWER,   /* of another version than 1 */
};

struct identity {
    uint64_t cluster; /* 0: not known yet */
    uint64_t node;
    uint64_t incarnation;
};

enum { MARK_LOG = 1, MARK_STATE = 2 };

struct damage_mark {
    uint32_t parts;
    struct slice text;
};

enum { FORMER_MAX = 16 };

/* The disk's earlier incarnations, from before it was damaged. */
struct former {
    uint64_t next; /* the incarnation that follows them */
    uint32_t left; /* what is still to be set aside, as in a mark */
    bool fresh;    /* nothing was promised under `next` yet */
    uint32_t count;
    uint64_t list[FORMER_MAX]; /* oldest first */
};

/* Each fills `out` on FORM_OK only. */
enum form identity_read(struct slice bytes, struct identity *out);
enum form state_pointer_read(struct slice bytes, uint64_t *number);
enum form damage_mark_read(struct slice bytes, struct damage_mark *out);
enum form former_read(struct slice bytes, struct former *out);

/*
 * What the small files and manifests have in common: a magic of 8 bytes, the version, and xxh3 of
 * all before it at the end. On FORM_OK `content` walks over what is between.
 */
enum form sealed_read(struct slice bytes, const char *magic, struct reader *content);

#endif
