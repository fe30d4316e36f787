/*
 * A damaged disk that this node cannot repair by itself becomes a new disk, and the node comes back
 * through the other members under its id (docs/membership.md).
 *
 * Invariants:
 * 1. What may have lost a promise (a vote, an acknowledgement) never goes on under the incarnation
 *    that gave it. data_dir_renew sees to that, whatever crashes.
 * 2. Nothing is given up that the others might need: this is done only where they are a majority
 *    without this node, by the members as last applied here, and have a leader. Else the directory
 *    stays as it is: should all disks be taken for damaged at once, none is given up.
 */
#include "node/members.h"
#include "node/snapshots.h"

#include "base/memory.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

enum {
    ASK_PATIENCE_MS = 5000, /* for an election among the others */
    ASK_PAUSE_MS = 100,
    /* Two until a leader misses this node's answers, one that it may be excused (held_up), and one
     * until its followers know. */
    SILENT_ELECTIONS = 4,
};

/* Whether those of one half are a majority of it without `id`. */
static bool half_without(const struct raft_configuration *configuration, uint8_t half, raft_id id)
{
    uint32_t all = 0;
    uint32_t others = 0;
    for (uint32_t at = 0; at < configuration->count; at++) {
        if ((configuration->members[at].flags & half) != 0) {
            all++;
            others += configuration->members[at].id != id;
        }
    }
    return all == 0 || others > all / 2;
}

/* The members as far as the disk still tells; false if it does not. */
static bool read_members(rr_node *node, struct members_meta *out)
{
    bool known = false;
    struct buffer bytes;
    struct storage_error error;
    buffer_init(&bytes);
    if ((node->damage.parts & DAMAGE_STATE) == 0 && node->state != NULL &&
        state_meta(node->state, &bytes, &error) == RR_OK) {
        known = members_meta_decode(buffer_bytes(&bytes), out) == RR_OK && out->cluster != 0;
    }
    buffer_deinit(&bytes);
    if (!known && node->snapshots != NULL && node->snapshots->latest != NULL) {
        known = members_meta_decode(snapshot_meta(node->snapshots->latest), out) == RR_OK &&
                out->cluster != 0;
    }
    return known;
}

/* Whether an address to join through is another node's. */
static bool has_others_to_ask(const rr_node *node)
{
    for (size_t at = 0; at < node->options.public.join_count; at++) {
        if (strcmp(node->options.join[at], node->options.raft_address) != 0 &&
            strcmp(node->options.join[at], node->options.advertise_address) != 0) {
            return true;
        }
    }
    return false;
}

/* Why this node cannot come back through others; NULL: it can. */
static const char *obstacle(rr_node *node, const struct members_meta *meta, bool known)
{
    raft_id self = node->options.public.node_id;
    if (node->options.public.repair == RR_REPAIR_NEVER) {
        return "repair through the other members is switched off (repair = \"never\")";
    }
    if (known && (!half_without(&meta->configuration, RAFT_MEMBER_INCOMING, self) ||
                  !half_without(&meta->configuration, RAFT_MEMBER_OUTGOING, self))) {
        return "the other members are no majority without this node, so they cannot replace it; "
               "restore the cluster from a backup, or the directory from a copy of its own";
    }
    if (!known && !has_others_to_ask(node)) {
        return "which members there are is lost with it; if there are others, give their addresses "
               "to join through, else restore the directory from a backup";
    }
    return NULL; /* those that count it look for it, if it does not know where they are */
}

/* ---- Whether the others go on without this node ---- */

struct inquiry {
    rr_node *node;
    uint32_t calls; /* without an answer yet */
    bool led;       /* somebody else leads */
};

static void asked(void *arg, const struct rpc_result *result)
{
    struct inquiry *inquiry = arg;
    struct relay_answer answer;
    inquiry->calls--;
    if (result->answered && result->status == RR_OK &&
        relay_answer_decode(result->body, &answer) == RR_OK && answer.status == RR_OK) {
        inquiry->led |= answer.leader != RAFT_NO_ID && answer.leader != members_self(inquiry->node);
    }
}

static void ask(struct inquiry *inquiry, const char *address)
{
    rr_node *node = inquiry->node;
    struct relay_request request = {
        .kind = RELAY_IDENTIFY, .timeout_ms = IDENTIFY_TIMEOUT_MS, .cluster = node->self.cluster};
    if (member_set(&request.member, members_self(node), RR_VOTER, node->self.address,
                   members_incarnation(node)) != RR_OK) {
        return;
    }
    buffer_clear(&node->scratch);
    relay_request_encode(&node->scratch, &request);
    if (!node->scratch.failed &&
        rpc_call_address(node->peers, address, RPC_RELAY, buffer_bytes(&node->scratch),
                         IDENTIFY_TIMEOUT_MS, asked, inquiry) == RR_OK) {
        inquiry->calls++;
    }
}

/* Asks all that are known, once. Nothing else runs on the loop yet; every call has its deadline. */
static bool ask_all(rr_node *node, const struct members_meta *meta)
{
    struct inquiry inquiry = {.node = node};
    for (size_t at = 0; at < node->options.public.join_count; at++) {
        ask(&inquiry, node->options.join[at]);
    }
    for (uint32_t at = 0; at < meta->list.count; at++) {
        if (meta->list.members[at].id != members_self(node)) {
            ask(&inquiry, meta->list.members[at].address);
        }
    }
    while (inquiry.calls > 0) {
        loop_run_once(node->loop, true);
    }
    return inquiry.led;
}

/* Whether some other member says that there is a leader. What is said while one may still lead by
 * this node's last answers does not count; an election after that is waited for. */
static bool others_are_led(rr_node *node, const struct members_meta *meta)
{
    const struct timespec pause = {.tv_nsec = ASK_PAUSE_MS * 1000000L};
    uint64_t election_us = (uint64_t)node->options.public.election_timeout_max_ms * 1000;
    uint64_t counts_us = node_now_us(node) + SILENT_ELECTIONS * election_us;
    uint64_t until_us = counts_us + (uint64_t)ASK_PATIENCE_MS * 1000;
    bool led = false;
    node->asking = true;
    transport_set_self(node->transport, &node->self);
    for (uint64_t now_us = 0; !led && now_us < until_us;) {
        nanosleep(&pause, NULL);
        now_us = node_now_us(node);
        led = now_us >= counts_us && ask_all(node, meta);
    }
    node->asking = false;
    return led;
}

bool repair_possible(rr_node *node, struct storage_error *error)
{
    if (node->damage.parts == 0) {
        return false;
    }
    struct members_meta *meta = mem_new(struct members_meta);
    bool known = read_members(node, meta);
    const char *text = obstacle(node, meta, known);
    if (text == NULL && !others_are_led(node, meta)) {
        text =
            "no other member says that they have a leader without this node; start it again when "
            "they have, and it comes back through them";
    }
    mem_free(meta);
    if (text != NULL) {
        struct storage_error cause = *error;
        (void)storage_fail(error, RR_CORRUPT, "%.500s; %s", cause.text, text);
    }
    return text == NULL;
}

/* What was opened before the damage was met. */
static void close_stores(rr_node *node)
{
    members_close(node);
    if (node->snapshots != NULL) {
        snapshots_stop(node);
        snapshots_close(node);
    }
    state_batch_free(node->batch);
    node->batch = NULL;
    state_close(node->state);
    node->state = NULL;
    log_store_close(node->log_store);
    node->log_store = NULL;
}

rr_status repair_renew(rr_node *node, struct storage_error *error)
{
    struct storage_error cause = *error;
    uint64_t former = data_dir_identity(node->data_dir)->incarnation;
    unsigned parts = node->damage.parts;
    LOG_WARN(&node->logger, "damaged beyond repair by this node alone: %s", cause.text);
    close_stores(node);
    rr_status status = data_dir_renew(node->data_dir, parts, error);
    if (status != RR_OK) {
        return status;
    }
    const struct data_dir_identity *identity = data_dir_identity(node->data_dir);
    node->self.incarnation = identity->incarnation;
    node->damage.parts = 0;
    node->counters.repairs_total++;
    LOG_WARN(&node->logger,
             "the damaged %s is kept in %s/damaged-%016" PRIx64
             ", to be removed by hand; node %" PRIu64
             " begins as a new disk (incarnation %016" PRIx64
             ") and asks the others to take it in in the place of the old one",
             (parts & DAMAGE_STATE) != 0 ? "state, with log and snapshots," : "log",
             data_dir_path(node->data_dir), former, identity->node, identity->incarnation);
    return RR_OK;
}
