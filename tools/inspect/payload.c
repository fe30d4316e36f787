#include "inspect/payload.h"

enum { COMMAND_NOOP, COMMAND_TRANSACTION, COMMAND_CALL, COMMAND_SESSION };
enum { MEMBERS_MAX = 64, MEMBER_PROMOTE = 2 };
enum { ROLE_INCOMING = 1, ROLE_OUTGOING = 2, ROLE_LEARNER_NEXT = 8 };

static const char *command_name(uint8_t kind)
{
    switch (kind) {
    case COMMAND_NOOP:
        return "noop";
    case COMMAND_TRANSACTION:
        return "transaction";
    case COMMAND_CALL:
        return "call";
    case COMMAND_SESSION:
        return "session";
    default:
        return "unknown";
    }
}

static void print_transaction(struct output *output, struct reader *reader)
{
    read_u8(reader);
    uint64_t conditions = read_varint(reader);
    uint64_t then = read_varint(reader);
    uint64_t otherwise = read_varint(reader);
    if (!reader->failed) {
        output_number(output, "conditions", conditions);
        output_number(output, "then", then);
        output_number(output, "else", otherwise);
    }
}

static void print_call(struct output *output, struct reader *reader)
{
    struct slice name = read_bytes(reader);
    uint64_t version = read_varint(reader);
    if (!reader->failed) {
        output_bytes(output, "procedure", name);
        output_number(output, "procedure_version", version);
    }
}

void payload_print_command(struct output *output, struct slice payload)
{
    if (payload.size == 0) {
        output_text(output, "command", "none");
        return;
    }
    struct reader reader = reader_of(payload);
    uint8_t version = read_u8(&reader);
    uint8_t kind = read_u8(&reader);
    uint64_t time = read_u64(&reader);
    if (kind == COMMAND_CALL) {
        read_u64(&reader);
    }
    uint64_t session = read_varint(&reader);
    uint64_t sequence = session == 0 ? 0 : read_varint(&reader);
    read_varint(&reader);
    if (reader.failed || version != 1) {
        output_text(output, "command", "unknown");
        return;
    }
    output_text(output, "command", command_name(kind));
    output_number(output, "time_ms", time);
    if (session != 0) {
        output_number(output, "session", session);
        output_number(output, "sequence", sequence);
    }
    if (kind == COMMAND_TRANSACTION) {
        print_transaction(output, &reader);
    } else if (kind == COMMAND_CALL) {
        print_call(output, &reader);
    }
}

struct role {
    uint64_t id;
    uint64_t incarnation;
    uint8_t flags;
};

/* While two configurations hold (a joint one), a member votes in the new one, the old one or both. */
static void print_role(struct output *output, const struct role *role, bool is_joint)
{
    static const char *const halves[] = {"neither", "new", "old", "both"};
    uint8_t votes = role->flags & (ROLE_INCOMING | ROLE_OUTGOING);
    output_text(output, "role", votes != 0 ? "voter" : "learner");
    if (is_joint) {
        output_text(output, "votes_in", halves[votes]);
    }
    if ((role->flags & ROLE_LEARNER_NEXT) != 0) {
        output_flag(output, "learner_next", true);
    }
}

static bool is_joint(const struct role *roles, uint64_t count)
{
    uint8_t flags = 0;
    for (uint64_t i = 0; i < count; i++) {
        flags |= roles[i].flags;
    }
    return (flags & ROLE_OUTGOING) != 0;
}

static void print_member(struct output *output, struct reader *reader, const struct role *roles,
                         uint64_t role_count)
{
    uint64_t id = read_varint(reader);
    uint64_t incarnation = read_u64(reader);
    uint8_t flags = read_u8(reader);
    struct slice address = read_bytes(reader);
    if (reader->failed) {
        return;
    }
    output_begin(output, "member");
    output_number(output, "node", id);
    output_id(output, "incarnation", incarnation);
    output_bytes(output, "address", address);
    for (uint64_t i = 0; i < role_count; i++) {
        if (roles[i].id == id) {
            print_role(output, &roles[i], is_joint(roles, role_count));
        }
    }
    if ((flags & MEMBER_PROMOTE) != 0) {
        output_flag(output, "promote", true);
    }
    output_end(output);
}

static void print_list(struct output *output, struct reader *reader, const struct role *roles,
                       uint64_t role_count)
{
    if (read_u8(reader) != 1) {
        reader->failed = true;
    }
    uint64_t count = read_varint(reader);
    for (uint64_t i = 0; i < count && !reader->failed; i++) {
        print_member(output, reader, roles, role_count);
    }
    uint64_t removed = read_varint(reader);
    for (uint64_t i = 0; i < removed && !reader->failed; i++) {
        uint64_t id = read_varint(reader);
        uint64_t incarnation = read_u64(reader);
        if (!reader->failed) {
            output_begin(output, "removed");
            output_number(output, "node", id);
            output_id(output, "incarnation", incarnation);
            output_end(output);
        }
    }
}

bool payload_print_meta(struct output *output, struct slice meta)
{
    struct reader reader = reader_of(meta);
    uint8_t version = read_u8(&reader);
    uint64_t cluster = read_u64(&reader);
    uint64_t index = read_varint(&reader);
    uint64_t term = read_varint(&reader);
    uint8_t flags = read_u8(&reader);
    uint64_t count = read_varint(&reader);
    if (reader.failed || version != 1 || count > MEMBERS_MAX) {
        return false;
    }
    struct role roles[MEMBERS_MAX];
    for (uint64_t i = 0; i < count; i++) {
        roles[i].id = read_varint(&reader);
        roles[i].incarnation = read_u64(&reader);
        roles[i].flags = read_u8(&reader);
    }
    if (reader.failed) {
        return false;
    }
    output_begin(output, "members");
    output_id(output, "cluster", cluster);
    output_number(output, "index", index);
    output_number(output, "term", term);
    output_number(output, "count", count);
    output_flag(output, "leaves_by_itself", (flags & 1) != 0);
    output_end(output);
    print_list(output, &reader, roles, count);
    return reader_is_done(&reader);
}

uint64_t payload_meta_cluster(struct slice meta)
{
    struct reader reader = reader_of(meta);
    read_u8(&reader);
    return read_u64(&reader);
}
