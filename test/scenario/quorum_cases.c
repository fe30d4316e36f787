/* Quorum arithmetic by itself: committed and vote. */
#include <inttypes.h>
#include <string.h>

#include "base/assert.h"
#include "base/memory.h"
#include "raft/quorum.h"
#include "scenario/families.h"

enum { IDS_MAX = 2 * SCRIPT_VALUES_MAX };

/* One half of a configuration: indexes into the distinct ids. */
struct half {
    uint32_t count;
    uint32_t voters[SCRIPT_VALUES_MAX];
};

struct question {
    uint32_t count;
    uint64_t ids[IDS_MAX];    /* distinct, in the order of their first mention */
    uint64_t values[IDS_MAX]; /* 0: absent */
    struct half incoming;
    struct half outgoing;
    bool joint;
};

static bool knows(const char *command)
{
    return strcmp(command, "committed") == 0 || strcmp(command, "vote") == 0;
}

static void *open(void)
{
    return mem_new(char);
}

static void close(void *environment)
{
    mem_free(environment);
}

static void add_voter(struct question *question, struct half *half, uint64_t id)
{
    uint32_t at = 0;
    while (at < question->count && question->ids[at] != id) {
        at++;
    }
    if (at == question->count) {
        question->ids[at] = id;
        question->count++;
    }
    for (uint32_t i = 0; i < half->count; i++) {
        if (half->voters[i] == at) {
            return;
        }
    }
    ASSERT(half->count < SCRIPT_VALUES_MAX);
    half->voters[half->count] = at;
    half->count++;
}

static void read_half(const struct script_case *item, struct question *question, struct half *half,
                      const struct script_argument *argument)
{
    for (uint32_t i = 0; argument != NULL && i < argument->count; i++) {
        if (argument->values[i][0] != '\0') {
            add_voter(question, half, script_number(item, argument->values[i]));
        }
    }
}

static uint64_t read_value(const struct script_case *item, const char *text)
{
    if (strcmp(text, "_") == 0) {
        return 0;
    }
    if (strcmp(text, "y") == 0) {
        return QUORUM_VOTE_YES;
    }
    if (strcmp(text, "n") == 0) {
        return QUORUM_VOTE_NO;
    }
    return script_number(item, text);
}

/* ids ascending, as positions in the question */
static void ascending(const struct question *question, uint32_t *order)
{
    for (uint32_t i = 0; i < question->count; i++) {
        uint32_t at = i;
        while (at > 0 && question->ids[order[at - 1]] > question->ids[i]) {
            order[at] = order[at - 1];
            at--;
        }
        order[at] = i;
    }
}

/* Each argument at most once, so that its values have room. */
static void refuse_repeated(const struct script_case *item)
{
    for (uint32_t i = 0; i < item->count; i++) {
        if (script_find(item, item->arguments[i].key) != &item->arguments[i]) {
            script_fail(item, "'%s' is given twice", item->arguments[i].key);
        }
    }
}

static bool read_question(const struct script_case *item, struct question *question,
                          struct buffer *out)
{
    memset(question, 0, sizeof(*question));
    uint32_t value_count = 0;
    uint64_t values[IDS_MAX] = {0};
    refuse_repeated(item);
    for (uint32_t i = 0; i < item->count; i++) {
        const struct script_argument *argument = &item->arguments[i];
        if (strcmp(argument->key, "cfg") == 0) {
            read_half(item, question, &question->incoming, argument);
        } else if (strcmp(argument->key, "cfgj") == 0) {
            question->joint = true;
            if (argument->count != 1 || strcmp(argument->values[0], "zero") != 0) {
                read_half(item, question, &question->outgoing, argument);
            }
        } else if (strcmp(argument->key, "idx") == 0 || strcmp(argument->key, "votes") == 0) {
            for (uint32_t j = 0; j < argument->count; j++) {
                if (argument->values[j][0] != '\0') {
                    values[value_count] = read_value(item, argument->values[j]);
                    value_count++;
                }
            }
        } else {
            script_fail(item, "unknown argument %s", argument->key);
        }
    }
    memcpy(question->values, values, sizeof(values));
    if (value_count == question->count) {
        return true;
    }
    uint32_t order[IDS_MAX];
    ascending(question, order);
    print(out, "error: mismatched input (explicit or _) for voters map[");
    for (uint32_t i = 0; i < question->count; i++) {
        print(out, "%s%" PRIu64 ":{}", i > 0 ? " " : "", question->ids[order[i]]);
    }
    print(out, "]: [");
    for (uint32_t i = 0; i < value_count; i++) {
        print(out, "%s%" PRIu64, i > 0 ? " " : "", values[i]);
    }
    print(out, "]");
    return false;
}

static void print_chart(const struct question *question, struct buffer *out)
{
    uint32_t count = question->count;
    if (count == 0) {
        print(out, "<empty majority quorum>");
        return;
    }
    print(out, "%*s    idx\n", (int)count, "");
    uint32_t order[IDS_MAX];
    ascending(question, order);
    for (uint32_t i = 0; i < count; i++) {
        uint64_t value = question->values[order[i]];
        uint32_t bar = 0;
        for (uint32_t j = 0; j < count; j++) {
            bar += question->values[j] < value;
        }
        if (value == 0) {
            print(out, "?%*s", (int)count, "");
        } else {
            for (uint32_t j = 0; j < bar; j++) {
                print(out, "x");
            }
            print(out, ">%*s", (int)(count - bar), "");
        }
        print(out, " %5" PRIu64 "    (id=%" PRIx64 ")\n", value, question->ids[order[i]]);
    }
}

static uint32_t collect(const struct question *question, const struct half *half, uint64_t *values)
{
    for (uint32_t i = 0; i < half->count; i++) {
        values[i] = question->values[half->voters[i]];
    }
    return half->count;
}

static uint64_t committed(const struct question *question, const struct half *incoming,
                          const struct half *outgoing)
{
    uint64_t first[SCRIPT_VALUES_MAX];
    uint64_t second[SCRIPT_VALUES_MAX];
    uint32_t first_count = collect(question, incoming, first);
    uint32_t second_count = collect(question, outgoing, second);
    return quorum_joint_committed(first, first_count, second, second_count);
}

static enum quorum_result half_result(const struct question *question, const struct half *half)
{
    size_t count[3] = {0, 0, 0};
    for (uint32_t i = 0; i < half->count; i++) {
        uint64_t value = question->values[half->voters[i]];
        count[value == QUORUM_VOTE_YES ? QUORUM_VOTE_YES
              : value == 0             ? QUORUM_VOTE_MISSING
                                       : QUORUM_VOTE_NO]++;
    }
    return quorum_vote(count[QUORUM_VOTE_YES], count[QUORUM_VOTE_NO], count[QUORUM_VOTE_MISSING]);
}

static const char *result_name(enum quorum_result result)
{
    switch (result) {
    case QUORUM_PENDING:
        return "VotePending";
    case QUORUM_LOST:
        return "VoteLost";
    case QUORUM_WON:
        return "VoteWon";
    }
    return "";
}

static void print_index(struct buffer *out, uint64_t index)
{
    if (index == QUORUM_INFINITY) {
        print(out, "∞\n");
    } else {
        print(out, "%" PRIu64 "\n", index);
    }
}

static void run_committed(const struct question *question, struct buffer *out)
{
    print_chart(question, out);
    const struct half empty = {.count = 0};
    uint64_t index = committed(question, &question->incoming, &question->outgoing);
    print_index(out, index);
    /* The same asked in other ways; a correct implementation prints nothing here. */
    uint64_t swapped = committed(question, &question->outgoing, &question->incoming);
    if (swapped != index) {
        print(out, "%" PRIu64 " <-- via swapped halves\n", swapped);
    }
    if (!question->joint) {
        uint64_t self = committed(question, &question->incoming, &question->incoming);
        if (self != index) {
            print(out, "%" PRIu64 " <-- via self-joint quorum\n", self);
        }
        uint64_t zero = committed(question, &empty, &question->incoming);
        if (zero != index) {
            print(out, "%" PRIu64 " <-- via zero-joint quorum\n", zero);
        }
    }
}

static void run_vote(const struct question *question, struct buffer *out)
{
    enum quorum_result incoming = half_result(question, &question->incoming);
    enum quorum_result outgoing = half_result(question, &question->outgoing);
    enum quorum_result result = quorum_joint_vote(incoming, outgoing);
    print(out, "%s\n", result_name(result));
    enum quorum_result swapped = quorum_joint_vote(outgoing, incoming);
    if (swapped != result) {
        print(out, "%s <-- via swapped halves\n", result_name(swapped));
    }
}

static void run(void *environment, const struct script_case *item, struct buffer *out)
{
    (void)environment;
    if (!knows(item->command)) {
        script_fail(item, "unknown command %s", item->command);
    }
    struct question question;
    if (!read_question(item, &question, out)) {
        return;
    }
    if (strcmp(item->command, "committed") == 0) {
        run_committed(&question, out);
    } else {
        run_vote(&question, out);
    }
}

const struct family quorum_family = {knows, open, run, close};
