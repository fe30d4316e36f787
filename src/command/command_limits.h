/*
 * Limits of the formats of this layer, with their reasons. They are part of what replicas agree
 * on: applying an entry depends on them, so none of them is a setting, and changing one is a new
 * version of the format.
 */
#ifndef COMMAND_COMMAND_LIMITS_H
#define COMMAND_COMMAND_LIMITS_H

#include "base/limits.h"

enum {
    /* The fields around the body of a command: version, kind, time, seed and three varints. */
    COMMAND_HEADER_BYTES_MAX = 64,

    /* The body of a command; with its header it fits an entry. */
    COMMAND_BODY_BYTES_MAX = ENTRY_BYTES_MAX - COMMAND_HEADER_BYTES_MAX,

    /* What one write answers, encoded: it is kept for its session and relayed in one message, with
     * the fields of an answer around it. A write that would answer more is not applied. */
    COMMAND_RESULT_BYTES_MAX = ENTRY_BYTES_MAX,

    /* The text of a refusal. For people; longer ones are cut. */
    MESSAGE_TEXT_BYTES_MAX = 1024,

    /* A procedure's name, as the public API promises. */
    PROCEDURE_NAME_BYTES_MAX = 64,

    /* Client sessions of a cluster; the one unused for longest makes room. Part of the public API. */
    SESSIONS_MAX = 65536,

    /* A session unused for so long, by the clock in the entries, is gone. Part of the public API. */
    SESSION_IDLE_MS_MAX = 60 * 60 * 1000,

    /* Removed members whose ids are remembered, so that another disk cannot take one of them; the
     * oldest is forgotten first. */
    MEMBERS_REMOVED_MAX = 256,
};

#endif
