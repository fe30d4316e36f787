/* LCS: the longest common subsequence of two strings, by the table of all prefixes' lengths. */
#include "coredb/base/bytes.h"
#include "coredb/command/string.h"

#include <stdlib.h>

/* Of the table: a query may be asked by anyone, and runs on the node's thread. */
enum { LCS_TABLE_BYTES_MAX = 64 * 1024 * 1024 };

struct lcs_options {
    bool length;            /* LEN */
    bool ranges;            /* IDX */
    bool range_lengths;     /* WITHMATCHLEN */
    int64_t range_size_min; /* MINMATCHLEN */
};

struct lcs {
    rr_bytes left;
    rr_bytes right;
    uint32_t *table; /* (left.size + 1) rows of right.size + 1 */
};

static bool parse_options(struct exec *exec, struct lcs_options *out)
{
    *out = (struct lcs_options){0};
    for (size_t i = 3; i < exec->argc; i++) {
        if (exec_is(exec, i, "idx")) {
            out->ranges = true;
        } else if (exec_is(exec, i, "len")) {
            out->length = true;
        } else if (exec_is(exec, i, "withmatchlen")) {
            out->range_lengths = true;
        } else if (exec_is(exec, i, "minmatchlen") && i + 1 < exec->argc) {
            if (!exec_integer(exec, ++i, &out->range_size_min)) {
                return false;
            }
        } else {
            reply_error_syntax(exec->reply);
            return false;
        }
    }
    if (out->length && out->ranges) {
        reply_error(exec->reply,
                    "ERR If you want both the length and indexes, please just use IDX.");
        return false;
    }
    return true;
}

static uint32_t *cell(const struct lcs *lcs, size_t row, size_t column)
{
    return &lcs->table[row * (lcs->right.size + 1) + column];
}

static uint8_t left_at(const struct lcs *lcs, size_t row)
{
    return ((const uint8_t *)lcs->left.data)[row - 1];
}

static uint8_t right_at(const struct lcs *lcs, size_t column)
{
    return ((const uint8_t *)lcs->right.data)[column - 1];
}

/* Fills the table: each cell is the length for the prefixes of its row and its column. */
static void fill_table(const struct lcs *lcs)
{
    for (size_t row = 1; row <= lcs->left.size; row++) {
        for (size_t column = 1; column <= lcs->right.size; column++) {
            if (left_at(lcs, row) == right_at(lcs, column)) {
                *cell(lcs, row, column) = *cell(lcs, row - 1, column - 1) + 1;
            } else {
                uint32_t up = *cell(lcs, row - 1, column);
                uint32_t back = *cell(lcs, row, column - 1);
                *cell(lcs, row, column) = up > back ? up : back;
            }
        }
    }
}

static bool make_table(struct exec *exec, struct lcs *lcs)
{
    uint64_t cells = (uint64_t)(lcs->left.size + 1) * (lcs->right.size + 1);
    if (cells > LCS_TABLE_BYTES_MAX / sizeof(uint32_t)) {
        reply_error(exec->reply, "ERR Insufficient memory, transient memory for LCS exceeds "
                                 "proto-max-bulk-len");
        return false;
    }
    if (!store_work(exec->store, cells / 100)) {
        return false;
    }
    lcs->table = calloc(cells, sizeof(uint32_t));
    if (lcs->table == NULL) {
        reply_error(exec->reply, "ERR Insufficient memory, failed allocating transient memory for "
                                 "LCS");
        return false;
    }
    fill_table(lcs);
    return true;
}

/* A run of equal bytes: `size` of them that end before `left_end` and `right_end`. */
struct match {
    size_t left_end;
    size_t right_end;
    size_t size;
};

static void reply_range(struct reply *reply, size_t end, size_t size)
{
    reply_array(reply, 2);
    reply_integer(reply, (int64_t)(end - size));
    reply_integer(reply, (int64_t)end - 1);
}

/* Answers the match if it is one and long enough; returns how many were answered. */
static size_t reply_match(struct reply *reply, const struct match *match,
                          const struct lcs_options *options)
{
    if (match->size == 0 || (int64_t)match->size < options->range_size_min) {
        return 0;
    }
    reply_array(reply, options->range_lengths ? 3 : 2);
    reply_range(reply, match->left_end, match->size);
    reply_range(reply, match->right_end, match->size);
    if (options->range_lengths) {
        reply_integer(reply, (int64_t)match->size);
    }
    return 1;
}

/* Walks back from the ends of both strings. `common` (may be NULL) receives the subsequence, and
 * the runs are answered if `reply` is not NULL; returns how many. */
static size_t walk_back(const struct lcs *lcs, const struct lcs_options *options, uint8_t *common,
                        struct reply *reply)
{
    size_t row = lcs->left.size;
    size_t column = lcs->right.size;
    size_t left = *cell(lcs, row, column);
    size_t matches = 0;
    struct match match = {0};
    while (row > 0 && column > 0) {
        if (left_at(lcs, row) == right_at(lcs, column)) {
            bool continues = match.size > 0 && match.left_end - match.size == row &&
                             match.right_end - match.size == column;
            if (!continues) {
                matches += reply == NULL ? 0 : reply_match(reply, &match, options);
                match = (struct match){.left_end = row, .right_end = column};
            }
            match.size++;
            left--;
            if (common != NULL) {
                common[left] = left_at(lcs, row);
            }
            row--;
            column--;
        } else if (*cell(lcs, row - 1, column) > *cell(lcs, row, column - 1)) {
            row--;
        } else {
            column--;
        }
    }
    return matches + (reply == NULL ? 0 : reply_match(reply, &match, options));
}

static void reply_common(struct exec *exec, const struct lcs *lcs,
                         const struct lcs_options *options)
{
    struct buffer common;
    buffer_init(&common);
    uint8_t *data = buffer_extend(&common, *cell(lcs, lcs->left.size, lcs->right.size));
    if (common.failed) {
        store_fail(exec->store, RR_NO_MEMORY);
    } else {
        (void)walk_back(lcs, options, data, NULL);
    }
    reply_bulk(exec->reply, buffer_bytes(&common));
    buffer_deinit(&common);
}

static void lcs_opened(struct exec *exec, const struct key *left, const struct key *right)
{
    struct reply *reply = exec->reply;
    if ((left->type != VALUE_NONE && left->type != VALUE_STRING) ||
        (right->type != VALUE_NONE && right->type != VALUE_STRING)) {
        reply_error(reply, "ERR The specified keys must contain string values");
        return;
    }
    struct lcs_options options;
    struct lcs lcs = {buffer_bytes(&left->payload), buffer_bytes(&right->payload), NULL};
    if (!parse_options(exec, &options) || !make_table(exec, &lcs)) {
        return;
    }
    uint32_t length = *cell(&lcs, lcs.left.size, lcs.right.size);
    if (options.ranges) {
        reply_map(reply, 2);
        reply_bulk_text(reply, "matches");
        size_t mark = reply_later(reply);
        size_t matches = walk_back(&lcs, &options, NULL, reply);
        reply_array_end(reply, mark, matches);
        reply_bulk_text(reply, "len");
        reply_integer(reply, length);
    } else if (options.length) {
        reply_integer(reply, length);
    } else {
        reply_common(exec, &lcs, &options);
    }
    free(lcs.table);
}

void string_lcs(struct exec *exec)
{
    struct key left;
    struct key right;
    key_open(exec->store, exec->argv[1], &left);
    key_open(exec->store, exec->argv[2], &right);
    lcs_opened(exec, &left, &right);
    key_close(&left);
    key_close(&right);
}
