#include "scenario/format.h"

#include <inttypes.h>
#include <string.h>
#include <wchar.h>
#include <wctype.h>

#include "base/assert.h"
#include "base/codec.h"
#include "base/memory.h"

void post_deinit(struct post *post)
{
    raft_message_deinit(&post->message);
    for (uint32_t i = 0; i < post->response_count; i++) {
        post_deinit(&post->responses[i]);
    }
    mem_free(post->responses);
    memset(post, 0, sizeof(*post));
}

/* ---- Entries ---- */

/* Blanks other than the space, and characters that only steer others, are not printed as is. */
static bool is_printable(wint_t character)
{
    if (character == 0xA0 || character == 0xAD || character == 0x1680 || character == 0x3000 ||
        character == 0xFEFF || (character >= 0x2000 && character <= 0x200F) ||
        (character >= 0x2028 && character <= 0x202F) ||
        (character >= 0x205F && character <= 0x206F) ||
        (character >= 0xE000 && character <= 0xF8FF)) {
        return false;
    }
    return iswprint(character) != 0;
}

/* Decodes one character; 0 when the bytes are not UTF-8. */
static size_t decode(const uint8_t *at, size_t left, uint32_t *out)
{
    size_t size = at[0] < 0x80 ? 1 : at[0] >= 0xF0 ? 4 : at[0] >= 0xE0 ? 3 : 2;
    static const uint32_t smallest[] = {0, 0, 0x80, 0x800, 0x10000};
    if (at[0] >= 0x80 && (at[0] < 0xC2 || at[0] > 0xF4 || size > left)) {
        return 0;
    }
    uint32_t value = size == 1 ? at[0] : at[0] & (0x7Fu >> size);
    for (size_t i = 1; i < size; i++) {
        if ((at[i] & 0xC0) != 0x80) {
            return 0;
        }
        value = (value << 6) | (at[i] & 0x3F);
    }
    if (size > 1 &&
        (value < smallest[size] || value > 0x10FFFF || (value >= 0xD800 && value <= 0xDFFF))) {
        return 0;
    }
    *out = value;
    return size;
}

static void quote_character(struct buffer *out, const uint8_t *at, size_t size, uint32_t value)
{
    static const char escaped[] = "\a\b\f\n\r\t\v\"\\";
    static const char names[] = "abfnrtv\"\\";
    const char *found = value != 0 && value < 0x80 ? strchr(escaped, (int)value) : NULL;
    if (found != NULL) {
        print(out, "\\%c", names[found - escaped]);
    } else if (value < 0x20 || value == 0x7F) {
        print(out, "\\x%02x", value);
    } else if (value < 0x80 || is_printable((wint_t)value)) {
        buffer_append(out, at, size);
    } else {
        print(out, value < 0x10000 ? "\\u%04x" : "\\U%08x", value);
    }
}

static void quote(struct buffer *out, const uint8_t *data, size_t size)
{
    print(out, "\"");
    for (size_t at = 0; at < size;) {
        uint32_t value;
        size_t length = decode(data + at, size - at, &value);
        if (length == 0) {
            print(out, "\\x%02x", data[at]);
            at++;
            continue;
        }
        quote_character(out, data + at, length, value);
        at += length;
    }
    print(out, "\"");
}

static void format_operations(struct buffer *out, const struct raft_entry *entry)
{
    struct raft_conf_change change;
    rr_status status = raft_conf_change_decode((rr_bytes){entry->data, entry->size}, &change);
    ASSERT(status == RR_OK);
    for (uint32_t i = 0; i < change.count; i++) {
        char letter = 0;
        switch (change.operations[i].type) {
        case RAFT_CONF_ADD_VOTER:
            letter = 'v';
            break;
        case RAFT_CONF_ADD_LEARNER:
            letter = 'l';
            break;
        case RAFT_CONF_REMOVE:
            letter = 'r';
            break;
        case RAFT_CONF_UPDATE:
            letter = 'u';
            break;
        }
        print(out, " %c%" PRIu64, letter, change.operations[i].id);
    }
}

void format_entry(struct buffer *out, const struct raft_entry *entry)
{
    print(out, "%" PRIu64 "/%" PRIu64 " ", entry->term, entry->index);
    switch (entry->type) {
    case RAFT_ENTRY_NORMAL:
        print(out, "EntryNormal ");
        quote(out, entry->data, entry->size);
        return;
    case RAFT_ENTRY_CONF_CHANGE:
        print(out, "EntryConfChange");
        format_operations(out, entry);
        return;
    case RAFT_ENTRY_CONF_CHANGE_V2:
        print(out, "EntryConfChangeV2");
        format_operations(out, entry);
        return;
    }
}

/* ---- Snapshots ---- */

static void format_ids(struct buffer *out, const char *name,
                       const struct raft_configuration *configuration, uint8_t flag)
{
    print(out, "%s:[", name);
    const char *separator = "";
    for (uint32_t i = 0; i < configuration->count; i++) {
        if ((configuration->members[i].flags & flag) != 0) {
            print(out, "%s%" PRIu64, separator, configuration->members[i].id);
            separator = " ";
        }
    }
    print(out, "] ");
}

/* The configuration that a node was created with is printed in the order it was given, which the
 * snapshot carries as its data: two counted lists of ids. */
static void format_given(struct buffer *out, const char *name, struct reader *reader)
{
    print(out, "%s:[", name);
    uint64_t count = reader_varint(reader);
    for (uint64_t i = 0; i < count; i++) {
        print(out, "%s%" PRIu64, i > 0 ? " " : "", reader_varint(reader));
    }
    print(out, "] ");
}

void format_snapshot(struct buffer *out, const struct raft_snapshot *snapshot)
{
    const struct raft_configuration *configuration = &snapshot->configuration;
    print(out, "Index:%" PRIu64 " Term:%" PRIu64 " ConfState:", snapshot->index, snapshot->term);
    if (snapshot->size > 0) {
        struct reader reader;
        reader_init(&reader, (rr_bytes){snapshot->data, snapshot->size});
        format_given(out, "Voters", &reader);
        print(out, "VotersOutgoing:[] ");
        format_given(out, "Learners", &reader);
        ASSERT(reader_done(&reader));
    } else {
        format_ids(out, "Voters", configuration, RAFT_MEMBER_INCOMING);
        format_ids(out, "VotersOutgoing", configuration, RAFT_MEMBER_OUTGOING);
        format_ids(out, "Learners", configuration, RAFT_MEMBER_LEARNER);
    }
    format_ids(out, "LearnersNext", configuration, RAFT_MEMBER_LEARNER_NEXT);
    print(out, "AutoLeave:%s", configuration->auto_leave ? "true" : "false");
}

/* ---- Messages ---- */

static void format_endpoint(struct buffer *out, uint64_t id)
{
    if (id == RAFT_NO_ID) {
        print(out, "None");
    } else if (id == APPEND_THREAD) {
        print(out, "AppendThread");
    } else if (id == APPLY_THREAD) {
        print(out, "ApplyThread");
    } else {
        print(out, "%" PRIx64, id);
    }
}

static const char *type_name(const struct post *post)
{
    switch (post->kind) {
    case POST_MESSAGE:
        return raft_message_type_name(post->message.type);
    case POST_APPEND:
        return "MsgStorageAppend";
    case POST_APPEND_RESP:
        return "MsgStorageAppendResp";
    case POST_APPLY:
        return "MsgStorageApply";
    case POST_APPLY_RESP:
        return "MsgStorageApplyResp";
    }
    ASSERT(false);
    return "";
}

static void format_entries(struct buffer *out, const struct raft_message *message,
                           const char *indent)
{
    if (message->entry_count == 1) {
        print(out, " Entries:[");
        format_entry(out, message->entries[0]);
        print(out, "]");
    } else if (message->entry_count > 1) {
        print(out, " Entries:[");
        for (uint32_t i = 0; i < message->entry_count; i++) {
            print(out, "\n%s  ", indent);
            format_entry(out, message->entries[i]);
        }
        print(out, "\n%s]", indent);
    }
}

static void format_deep(struct buffer *out, const struct post *post, bool with_responses,
                        const char *indent)
{
    const struct raft_message *message = &post->message;
    print(out, "%s", indent);
    format_endpoint(out, post->from);
    print(out, "->");
    format_endpoint(out, post->to);
    print(out, " %s Term:%" PRIu64 " Log:%" PRIu64 "/%" PRIu64, type_name(post),
          post->kind == POST_APPEND ? post->hard_state.term : message->term, message->log_term,
          message->index);
    if (message->reject) {
        print(out, " Rejected (Hint: %" PRIu64 ")", message->reject_hint);
    }
    uint64_t commit = post->kind == POST_APPEND ? post->hard_state.commit : message->commit;
    if (commit != 0) {
        print(out, " Commit:%" PRIu64, commit);
    }
    if (post->hard_state.vote != RAFT_NO_ID) {
        print(out, " Vote:%" PRIu64, post->hard_state.vote);
    }
    format_entries(out, message, indent);
    if (message->snapshot != NULL && message->snapshot->index > 0) {
        print(out, "\n%s  Snapshot: ", indent);
        format_snapshot(out, message->snapshot);
    }
    if (with_responses && post->response_count > 0) {
        print(out, " Responses:[");
        for (uint32_t i = 0; i < post->response_count; i++) {
            print(out, "\n");
            format_deep(out, &post->responses[i], true, "  ");
        }
        print(out, "\n%s]", indent);
    }
}

void format_post(struct buffer *out, const struct post *post, bool with_responses)
{
    format_deep(out, post, with_responses, "");
}

void format_indented(struct buffer *out, const struct buffer *text)
{
    const char *at = (const char *)text->data;
    const char *end = at + text->size;
    while (at < end) {
        const char *newline = memchr(at, '\n', (size_t)(end - at));
        const char *line_end = newline != NULL ? newline : end;
        print(out, "  ");
        buffer_append(out, at, (size_t)(line_end - at));
        print(out, "\n");
        at = newline != NULL ? newline + 1 : end;
    }
}
