/*
 * Every limit on what others can make grow, with its reason.
 *
 * A limit that the embedder may choose is the largest value that the option accepts, or its
 * default where the name says so.
 */
#ifndef BASE_LIMITS_H
#define BASE_LIMITS_H

enum {
    /* Members of one group, learners included. Odd, and a round of messages stays small; member
     * sets fit in one 32-bit word. */
    RAFT_MEMBERS_MAX = 31,

    /* A key. RocksDB compares keys all the time; long ones belong into values. */
    KEY_BYTES_MAX = 64 * 1024,

    /* A value. One entry holds it whole, and an entry is sent and written whole. */
    VALUE_BYTES_MAX = 8 * 1024 * 1024,

    /* Operations and comparisons of one transaction: it is applied in one piece. */
    TXN_OPERATIONS_MAX = 16 * 1024,

    /* The payload of one log entry: a value at its limit, or a batch of smaller ones. */
    ENTRY_BYTES_MAX = 16 * 1024 * 1024,

    /* A frame between nodes: one entry at its limit and the fields around it. */
    MESSAGE_BYTES_MAX = ENTRY_BYTES_MAX + 64 * 1024,

    /* An address of a node as text, "host:port": a DNS name has at most 253 bytes. */
    ADDRESS_BYTES_MAX = 264,

    /* A line of log with its zero; longer ones are cut. On the stack of whoever logs. */
    LOG_LINE_BYTES_MAX = 1024,
};

#endif
