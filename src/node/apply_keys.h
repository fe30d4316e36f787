/*
 * How the node divides the keys of the state: the first byte is the kind. The state keeps kind 0
 * for itself, and scans of one kind never see another.
 */
#ifndef NODE_APPLY_KEYS_H
#define NODE_APPLY_KEYS_H

enum apply_key_kind {
    APPLY_KEY_CLOCK = 0x01,          /* alone: the logical clock */
    APPLY_KEY_SESSION = 0x02,        /* be64 session: its last use and sequence */
    APPLY_KEY_SESSION_RESULT = 0x03, /* be64 session: the answer to its last sequence */
    APPLY_KEY_USER = 0x10,           /* the user's key: the user's value */
};

#endif
