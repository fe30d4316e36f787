#include "raft/configuration.h"

#include <inttypes.h>
#include <string.h>

#include "base/assert.h"
#include "base/buffer.h"
#include "base/codec.h"
#include "raft/text.h"

enum { CONF_CHANGE_VERSION = 1 };

const char *raft_conf_error_text(enum raft_conf_error error)
{
    switch (error) {
    case RAFT_CONF_OK:
        return "ok";
    case RAFT_CONF_REMOVED_ALL_VOTERS:
        return "removed all voters";
    case RAFT_CONF_SIMPLE_IN_JOINT:
        return "can't apply simple config change in joint config";
    case RAFT_CONF_MORE_THAN_ONE:
        return "more than one voter changed without entering joint config";
    case RAFT_CONF_ALREADY_JOINT:
        return "config is already joint";
    case RAFT_CONF_ZERO_VOTERS:
        return "can't make a zero-voter config joint";
    case RAFT_CONF_NOT_JOINT:
        return "can't leave a non-joint config";
    case RAFT_CONF_TOO_MANY_MEMBERS:
        return "too many members";
    }
    UNREACHABLE();
}

/* ---- The payload ---- */

struct raft_entry *raft_conf_change_entry(enum raft_entry_type type,
                                          const struct raft_conf_change *change)
{
    ASSERT(type != RAFT_ENTRY_NORMAL);
    ASSERT(change->count <= RAFT_CONF_OPERATIONS_MAX);
    struct buffer buffer;
    buffer_init(&buffer);
    put_u8(&buffer, CONF_CHANGE_VERSION);
    put_u8(&buffer, (uint8_t)change->transition);
    put_varint(&buffer, change->count);
    for (uint32_t i = 0; i < change->count; i++) {
        put_u8(&buffer, (uint8_t)change->operations[i].type);
        put_varint(&buffer, change->operations[i].id);
        put_u64(&buffer, change->operations[i].incarnation);
    }
    put_bytes(&buffer, change->context);
    ASSERT(!buffer.failed);
    struct raft_entry *entry = raft_entry_new(type, buffer_bytes(&buffer));
    buffer_deinit(&buffer);
    return entry;
}

rr_status raft_conf_change_decode(rr_bytes data, struct raft_conf_change *out)
{
    memset(out, 0, sizeof(*out));
    if (data.size == 0) {
        return RR_OK;
    }
    struct reader reader;
    reader_init(&reader, data);
    uint8_t version = reader_u8(&reader);
    uint8_t transition = reader_u8(&reader);
    uint64_t count = reader_varint(&reader);
    if (reader.failed || version != CONF_CHANGE_VERSION || transition > RAFT_CONF_JOINT_EXPLICIT ||
        count > RAFT_CONF_OPERATIONS_MAX) {
        return RR_CORRUPT;
    }
    out->transition = (enum raft_conf_transition)transition;
    out->count = (uint32_t)count;
    for (uint32_t i = 0; i < count; i++) {
        uint8_t type = reader_u8(&reader);
        if (type > RAFT_CONF_ADD_LEARNER) {
            return RR_CORRUPT;
        }
        out->operations[i].type = (enum raft_conf_operation_type)type;
        out->operations[i].id = reader_varint(&reader);
        out->operations[i].incarnation = reader_u64(&reader);
    }
    out->context = reader_bytes(&reader);
    return reader_done(&reader) ? RR_OK : RR_CORRUPT;
}

bool raft_conf_change_leaves_joint(const struct raft_conf_change *change)
{
    return change->transition == RAFT_CONF_AUTO && change->count == 0;
}

bool raft_conf_change_enters_joint(const struct raft_conf_change *change)
{
    return change->transition != RAFT_CONF_AUTO || change->count > 1;
}

bool raft_conf_change_renews(const struct raft_conf_change *change,
                             const struct raft_member *member)
{
    for (uint32_t i = 0; i < change->count; i++) {
        if (change->operations[i].type == RAFT_CONF_REMOVE &&
            change->operations[i].id == member->id && (member->flags & RAFT_MEMBER_OUTGOING) == 0) {
            return true;
        }
    }
    return false;
}

/* ---- The arithmetic ---- */

static struct raft_member *find(struct raft_configuration *configuration, raft_id id)
{
    for (uint32_t i = 0; i < configuration->count; i++) {
        if (configuration->members[i].id == id) {
            return &configuration->members[i];
        }
    }
    return NULL;
}

const struct raft_member *raft_configuration_find(const struct raft_configuration *configuration,
                                                  raft_id id)
{
    return find((struct raft_configuration *)configuration, id);
}

bool raft_configuration_votes(const struct raft_configuration *configuration, raft_id id)
{
    const struct raft_member *member = raft_configuration_find(configuration, id);
    return member != NULL && (member->flags & (RAFT_MEMBER_INCOMING | RAFT_MEMBER_OUTGOING)) != 0;
}

static uint32_t count_flag(const struct raft_configuration *configuration, uint8_t flag)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < configuration->count; i++) {
        count += (configuration->members[i].flags & flag) != 0;
    }
    return count;
}

bool raft_configuration_joint(const struct raft_configuration *configuration)
{
    return count_flag(configuration, RAFT_MEMBER_OUTGOING) > 0;
}

/* Keeps the ids ascending. */
static enum raft_conf_error insert(struct raft_configuration *configuration,
                                   const struct raft_conf_operation *operation, uint8_t flags)
{
    if (configuration->count == RAFT_MEMBERS_MAX) {
        return RAFT_CONF_TOO_MANY_MEMBERS;
    }
    uint32_t at = configuration->count;
    while (at > 0 && configuration->members[at - 1].id > operation->id) {
        configuration->members[at] = configuration->members[at - 1];
        at--;
    }
    configuration->members[at].id = operation->id;
    configuration->members[at].incarnation = operation->incarnation;
    configuration->members[at].flags = flags;
    configuration->count++;
    return RAFT_CONF_OK;
}

static void remove_without_flags(struct raft_configuration *configuration)
{
    uint32_t kept = 0;
    for (uint32_t i = 0; i < configuration->count; i++) {
        if (configuration->members[i].flags != 0) {
            configuration->members[kept] = configuration->members[i];
            kept++;
        }
    }
    configuration->count = kept;
}

static enum raft_conf_error apply_one(struct raft_configuration *configuration,
                                      const struct raft_conf_operation *operation)
{
    struct raft_member *member = find(configuration, operation->id);
    switch (operation->type) {
    case RAFT_CONF_ADD_VOTER:
        if (member == NULL) {
            return insert(configuration, operation, RAFT_MEMBER_INCOMING);
        }
        member->flags &= RAFT_MEMBER_OUTGOING;
        member->flags |= RAFT_MEMBER_INCOMING;
        return RAFT_CONF_OK;
    case RAFT_CONF_ADD_LEARNER:
        if (member == NULL) {
            return insert(configuration, operation, RAFT_MEMBER_LEARNER);
        }
        member->flags &= RAFT_MEMBER_OUTGOING;
        member->flags |= member->flags != 0 ? RAFT_MEMBER_LEARNER_NEXT : RAFT_MEMBER_LEARNER;
        return RAFT_CONF_OK;
    case RAFT_CONF_REMOVE:
        if (member != NULL) {
            member->flags &= RAFT_MEMBER_OUTGOING;
            remove_without_flags(configuration);
        }
        return RAFT_CONF_OK;
    case RAFT_CONF_UPDATE:
        return RAFT_CONF_OK;
    }
    UNREACHABLE();
}

static enum raft_conf_error apply_all(struct raft_configuration *configuration,
                                      const struct raft_conf_operation *operations, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (operations[i].id == RAFT_NO_ID) {
            continue;
        }
        enum raft_conf_error error = apply_one(configuration, &operations[i]);
        if (error != RAFT_CONF_OK) {
            return error;
        }
    }
    if (count_flag(configuration, RAFT_MEMBER_INCOMING) == 0) {
        return RAFT_CONF_REMOVED_ALL_VOTERS;
    }
    return RAFT_CONF_OK;
}

/* How many ids vote in exactly one of the two incoming sets. */
static uint32_t incoming_difference(const struct raft_configuration *a,
                                    const struct raft_configuration *b)
{
    uint32_t both = 0;
    for (uint32_t i = 0; i < a->count; i++) {
        const struct raft_member *other = raft_configuration_find(b, a->members[i].id);
        both += (a->members[i].flags & RAFT_MEMBER_INCOMING) != 0 && other != NULL &&
                (other->flags & RAFT_MEMBER_INCOMING) != 0;
    }
    return count_flag(a, RAFT_MEMBER_INCOMING) + count_flag(b, RAFT_MEMBER_INCOMING) - 2 * both;
}

enum raft_conf_error raft_configuration_simple(const struct raft_configuration *from,
                                               const struct raft_conf_operation *operations,
                                               size_t count, struct raft_configuration *out)
{
    if (raft_configuration_joint(from)) {
        return RAFT_CONF_SIMPLE_IN_JOINT;
    }
    struct raft_configuration next = *from;
    enum raft_conf_error error = apply_all(&next, operations, count);
    if (error != RAFT_CONF_OK) {
        return error;
    }
    if (incoming_difference(from, &next) > 1) {
        return RAFT_CONF_MORE_THAN_ONE;
    }
    *out = next;
    return RAFT_CONF_OK;
}

enum raft_conf_error raft_configuration_enter_joint(const struct raft_configuration *from,
                                                    bool auto_leave,
                                                    const struct raft_conf_operation *operations,
                                                    size_t count, struct raft_configuration *out)
{
    if (raft_configuration_joint(from)) {
        return RAFT_CONF_ALREADY_JOINT;
    }
    if (count_flag(from, RAFT_MEMBER_INCOMING) == 0) {
        return RAFT_CONF_ZERO_VOTERS;
    }
    struct raft_configuration next = *from;
    for (uint32_t i = 0; i < next.count; i++) {
        if ((next.members[i].flags & RAFT_MEMBER_INCOMING) != 0) {
            next.members[i].flags |= RAFT_MEMBER_OUTGOING;
        }
    }
    enum raft_conf_error error = apply_all(&next, operations, count);
    if (error != RAFT_CONF_OK) {
        return error;
    }
    next.auto_leave = auto_leave;
    *out = next;
    return RAFT_CONF_OK;
}

enum raft_conf_error raft_configuration_leave_joint(const struct raft_configuration *from,
                                                    struct raft_configuration *out)
{
    if (!raft_configuration_joint(from)) {
        return RAFT_CONF_NOT_JOINT;
    }
    struct raft_configuration next = *from;
    for (uint32_t i = 0; i < next.count; i++) {
        uint8_t flags = next.members[i].flags;
        if ((flags & RAFT_MEMBER_LEARNER_NEXT) != 0) {
            flags = RAFT_MEMBER_LEARNER;
        }
        next.members[i].flags = flags & (uint8_t)~RAFT_MEMBER_OUTGOING;
    }
    remove_without_flags(&next);
    next.auto_leave = false;
    *out = next;
    return RAFT_CONF_OK;
}

enum raft_conf_error raft_configuration_change(const struct raft_configuration *from,
                                               const struct raft_conf_change *change,
                                               struct raft_configuration *out)
{
    if (raft_conf_change_leaves_joint(change)) {
        return raft_configuration_leave_joint(from, out);
    }
    if (raft_conf_change_enters_joint(change)) {
        return raft_configuration_enter_joint(from, change->transition != RAFT_CONF_JOINT_EXPLICIT,
                                              change->operations, change->count, out);
    }
    return raft_configuration_simple(from, change->operations, change->count, out);
}

static bool flags_valid(uint8_t flags)
{
    switch (flags) {
    case RAFT_MEMBER_INCOMING:
    case RAFT_MEMBER_OUTGOING:
    case RAFT_MEMBER_INCOMING | RAFT_MEMBER_OUTGOING:
    case RAFT_MEMBER_LEARNER:
    case RAFT_MEMBER_OUTGOING | RAFT_MEMBER_LEARNER_NEXT:
        return true;
    default: /* a set of bits from outside, not an enum */
        return false;
    }
}

bool raft_configuration_valid(const struct raft_configuration *configuration)
{
    if (configuration->count > RAFT_MEMBERS_MAX) {
        return false;
    }
    for (uint32_t i = 0; i < configuration->count; i++) {
        const struct raft_member *member = &configuration->members[i];
        if (member->id == RAFT_NO_ID || !flags_valid(member->flags)) {
            return false;
        }
        if (i > 0 && configuration->members[i - 1].id >= member->id) {
            return false;
        }
    }
    if (configuration->auto_leave && !raft_configuration_joint(configuration)) {
        return false;
    }
    return configuration->count == 0 || count_flag(configuration, RAFT_MEMBER_INCOMING) > 0;
}

/* Whether the voters of `a` under `a_half` are those of `b` under `b_half`. */
static bool same_voters(const struct raft_configuration *a, uint8_t a_half,
                        const struct raft_configuration *b, uint8_t b_half)
{
    if (count_flag(a, a_half) != count_flag(b, b_half)) {
        return false;
    }
    for (uint32_t i = 0; i < a->count; i++) {
        if ((a->members[i].flags & a_half) == 0) {
            continue;
        }
        const struct raft_member *other = raft_configuration_find(b, a->members[i].id);
        if (other == NULL || (other->flags & b_half) == 0) {
            return false;
        }
    }
    return true;
}

bool raft_configuration_adjacent(const struct raft_configuration *from,
                                 const struct raft_configuration *to)
{
    bool from_joint = raft_configuration_joint(from);
    bool to_joint = raft_configuration_joint(to);
    if (from_joint && to_joint) {
        return false;
    }
    if (to_joint) {
        return same_voters(from, RAFT_MEMBER_INCOMING, to, RAFT_MEMBER_OUTGOING);
    }
    if (from_joint) {
        return same_voters(from, RAFT_MEMBER_INCOMING, to, RAFT_MEMBER_INCOMING);
    }
    return incoming_difference(from, to) <= 1;
}

bool raft_configuration_equal(const struct raft_configuration *a,
                              const struct raft_configuration *b)
{
    if (a->count != b->count || a->auto_leave != b->auto_leave) {
        return false;
    }
    for (uint32_t i = 0; i < a->count; i++) {
        if (a->members[i].id != b->members[i].id || a->members[i].flags != b->members[i].flags ||
            a->members[i].incarnation != b->members[i].incarnation) {
            return false;
        }
    }
    return true;
}

/* ---- Text ---- */

static void append_ids(struct text *text, const struct raft_configuration *configuration,
                       uint8_t flag)
{
    const char *separator = "";
    text_append(text, "(");
    for (uint32_t i = 0; i < configuration->count; i++) {
        if ((configuration->members[i].flags & flag) != 0) {
            text_append(text, "%s%" PRIx64, separator, configuration->members[i].id);
            separator = " ";
        }
    }
    text_append(text, ")");
}

char *raft_configuration_text(const struct raft_configuration *configuration, char *data,
                              size_t size)
{
    struct text text;
    text_init(&text, data, size);
    text_append(&text, "voters=");
    append_ids(&text, configuration, RAFT_MEMBER_INCOMING);
    if (raft_configuration_joint(configuration)) {
        text_append(&text, "&&");
        append_ids(&text, configuration, RAFT_MEMBER_OUTGOING);
    }
    if (count_flag(configuration, RAFT_MEMBER_LEARNER) > 0) {
        text_append(&text, " learners=");
        append_ids(&text, configuration, RAFT_MEMBER_LEARNER);
    }
    if (count_flag(configuration, RAFT_MEMBER_LEARNER_NEXT) > 0) {
        text_append(&text, " learners_next=");
        append_ids(&text, configuration, RAFT_MEMBER_LEARNER_NEXT);
    }
    if (configuration->auto_leave) {
        text_append(&text, " autoleave");
    }
    return data;
}

static const char *transition_name(enum raft_conf_transition transition)
{
    switch (transition) {
    case RAFT_CONF_AUTO:
        return "ConfChangeTransitionAuto";
    case RAFT_CONF_JOINT_IMPLICIT:
        return "ConfChangeTransitionJointImplicit";
    case RAFT_CONF_JOINT_EXPLICIT:
        return "ConfChangeTransitionJointExplicit";
    }
    UNREACHABLE();
}

static const char *operation_name(enum raft_conf_operation_type type)
{
    switch (type) {
    case RAFT_CONF_ADD_VOTER:
        return "ConfChangeAddNode";
    case RAFT_CONF_REMOVE:
        return "ConfChangeRemoveNode";
    case RAFT_CONF_UPDATE:
        return "ConfChangeUpdateNode";
    case RAFT_CONF_ADD_LEARNER:
        return "ConfChangeAddLearnerNode";
    }
    UNREACHABLE();
}

char *raft_conf_change_text(const struct raft_conf_change *change, char *data, size_t size)
{
    struct text text;
    text_init(&text, data, size);
    text_append(&text, "transition:%s", transition_name(change->transition));
    for (uint32_t i = 0; i < change->count; i++) {
        text_append(&text, " changes:{type:%s node_id:%" PRIu64 "}",
                    operation_name(change->operations[i].type), change->operations[i].id);
    }
    return data;
}
