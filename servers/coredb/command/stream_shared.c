/* Arguments and replies of streams. */
#include "coredb/command/stream.h"

#include "coredb/base/bytes.h"
#include "coredb/base/number.h"

#include <errno.h>
#include <stdlib.h>

enum { ID_ARGUMENT_MAX = 127 };

bool stream_open(struct exec *exec, size_t i, struct key *key, struct stream *stream)
{
    bool fits = exec_open(exec, i, VALUE_STREAM, key);
    stream_load(stream, key);
    return fits;
}

/* ---- Ids ---- */

/* Redis reads a part of an id by strtoull when it is no plain decimal: "+5" and "007" are fine. */
static bool part_parse(const char *text, uint64_t *out)
{
    int64_t plain;
    if (number_parse_i64(bytes_of(text), &plain)) {
        *out = (uint64_t)plain;
        return plain >= 0;
    }
    char *end = NULL;
    errno = 0;
    unsigned long long value = strtoull(text, &end, 10);
    *out = value;
    return errno == 0 && *text != '\0' && *end == '\0';
}

bool stream_id_parse(rr_bytes text, uint64_t missing_seq, bool *seq_given, struct stream_id *out)
{
    char copy[ID_ARGUMENT_MAX + 1];
    if (text.size > ID_ARGUMENT_MAX) {
        return false;
    }
    if (text.size > 0) {
        memcpy(copy, text.data, text.size);
    }
    copy[text.size] = '\0';
    char *dash = strchr(copy, '-');
    if (dash != NULL) {
        *dash = '\0';
    }
    struct stream_id id = {0, missing_seq};
    if (!part_parse(copy, &id.ms)) {
        return false;
    }
    if (seq_given != NULL) {
        *seq_given = dash == NULL || strcmp(dash + 1, "*") != 0;
        if (!*seq_given) {
            id.seq = 0;
            dash = NULL;
        }
    }
    if (dash != NULL && !part_parse(dash + 1, &id.seq)) {
        return false;
    }
    *out = id;
    return true;
}

void stream_reply_bad_id(struct reply *reply)
{
    reply_error(reply, "ERR Invalid stream ID specified as stream command argument");
}

bool stream_id_argument(struct exec *exec, size_t i, struct stream_id *out)
{
    if (!stream_id_parse(exec->argv[i], 0, NULL, out)) {
        stream_reply_bad_id(exec->reply);
        return false;
    }
    return true;
}

/* An end of an interval; `*excluded`: it stands after "(". */
static bool end_argument(struct exec *exec, size_t i, uint64_t missing_seq, bool *excluded,
                         struct stream_id *out)
{
    rr_bytes text = exec->argv[i];
    const char *data = text.data;
    *excluded = text.size > 1 && data[0] == '(';
    if (*excluded) {
        text = (rr_bytes){data + 1, text.size - 1};
    } else if (text.size == 1 && data[0] == '-') {
        *out = STREAM_ID_MIN;
        return true;
    } else if (text.size == 1 && data[0] == '+') {
        *out = STREAM_ID_MAX;
        return true;
    }
    if (!stream_id_parse(text, missing_seq, NULL, out)) {
        stream_reply_bad_id(exec->reply);
        return false;
    }
    return true;
}

bool stream_start_argument(struct exec *exec, size_t i, struct stream_id *out)
{
    bool excluded;
    if (!end_argument(exec, i, 0, &excluded, out)) {
        return false;
    }
    if (excluded && !stream_id_next(out)) {
        reply_error(exec->reply, "ERR invalid start ID for the interval");
        return false;
    }
    return true;
}

bool stream_end_argument(struct exec *exec, size_t i, struct stream_id *out)
{
    bool excluded;
    if (!end_argument(exec, i, UINT64_MAX, &excluded, out)) {
        return false;
    }
    if (excluded && !stream_id_previous(out)) {
        reply_error(exec->reply, "ERR invalid end ID for the interval");
        return false;
    }
    return true;
}

/* ---- Replies ---- */

void stream_reply_id(struct reply *reply, struct stream_id id)
{
    char text[STREAM_ID_TEXT_MAX];
    reply_bulk(reply, (rr_bytes){text, stream_id_print(id, text)});
}

void stream_reply_entry(struct reply *reply, struct stream_id id, rr_bytes entry)
{
    struct reader reader;
    uint32_t count = stream_entry_begin(entry, &reader);
    reply_array(reply, 2);
    stream_reply_id(reply, id);
    reply_array(reply, count);
    for (uint32_t i = 0; i < count; i++) {
        reply_bulk(reply, reader_slice(&reader));
    }
}

struct range_reply {
    struct reply *reply;
    uint64_t limit;
    size_t count;
};

static bool range_visit(void *arg, struct stream_id id, rr_bytes entry)
{
    struct range_reply *range = arg;
    stream_reply_entry(range->reply, id, entry);
    range->count++;
    return range->count != range->limit && !range->reply->out.failed;
}

size_t stream_reply_range(struct store *store, struct reply *reply, const struct stream *stream,
                          struct stream_id from, struct stream_id to, bool reverse, uint64_t limit)
{
    size_t mark = reply_later(reply);
    struct range_reply range = {reply, limit, 0};
    stream_range(store, stream, from, to, reverse, range_visit, &range);
    reply_array_end(reply, mark, range.count);
    return range.count;
}

void stream_reply_no_group(struct exec *exec, rr_bytes key, rr_bytes group)
{
    reply_error(exec->reply, "NOGROUP No such key '%.*s' or consumer group '%.*s'", (int)key.size,
                (const char *)key.data, (int)group.size, (const char *)group.data);
}

void stream_reply_subcommand_syntax(struct exec *exec, const char *command)
{
    enum { SHOWN_MAX = 128 };
    rr_bytes word = exec->argv[1];
    reply_error(
        exec->reply, "ERR unknown subcommand or wrong number of arguments for '%.*s'. Try %s HELP.",
        word.size < SHOWN_MAX ? (int)word.size : SHOWN_MAX, (const char *)word.data, command);
}
