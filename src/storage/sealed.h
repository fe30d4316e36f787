/*
 * The form that the small files of a directory share (IDENTITY, FORMER, DAMAGED, INSTALLING, STATE,
 * BACKUP): 8 bytes of magic, u32 format, the content, and checksum64 of all before. No I/O.
 */
#ifndef STORAGE_SEALED_H
#define STORAGE_SEALED_H

#include "rockraft/types.h"

enum sealed {
    SEALED_WHOLE,
    SEALED_NEWER, /* of a higher format, which may look different behind it */
    SEALED_DAMAGED,
};

/* What `bytes` are. `format` is the one that is known, and becomes the one found when it is a newer
 * one. `content` points into `bytes`, and is set when they are whole. */
enum sealed sealed_open(rr_bytes bytes, const char magic[8], uint32_t *format, rr_bytes *content);

#endif
