/*
 * Free space on the node's disk: what is refused when there is little, so that what is left holds
 * votes and purges.
 *
 * Two marks. Below `disk_low_bytes` the disk is low: a leader refuses writes and hands leadership to
 * a voter that takes it; followers go on. Below a quarter of it, or when the log could not get the
 * next file that it writes ahead, it is short: no entries are taken from a leader either, and no
 * snapshots made. What is refused is dropped like a message that the network lost, so consensus need
 * not know: heartbeats are answered, votes given, and the leader sends it all again.
 */
#include "node/node_private.h"

#include "node/snapshots.h"
#include "storage/file.h"

#include <inttypes.h>

enum {
    SHORT_DIVISOR = 4,      /* of disk_low_bytes */
    LEAVE_DIVISOR = 8,      /* so much more than the mark is wanted to leave a level again */
    HAND_OVER_PAUSE_S = 30, /* after every other voter was asked once */
};

/* ---- How much there is ---- */

static uint64_t to_leave(uint64_t mark)
{
    uint64_t more = mark / LEAVE_DIVISOR;
    return mark < UINT64_MAX - more ? mark + more : UINT64_MAX;
}

/* Whether `available` is below a mark; `is` tells whether it was. */
static bool below(uint64_t available, uint64_t mark, bool is)
{
    return available < (is ? to_leave(mark) : mark);
}

static enum space_level level_of(const rr_node *node, uint64_t available, bool shortage)
{
    uint64_t low = node->options.public.disk_low_bytes;
    enum space_level before = node->space.level;
    if (shortage || below(available, low / SHORT_DIVISOR, before == SPACE_SHORT)) {
        return SPACE_SHORT;
    }
    return below(available, low, before != SPACE_FINE) ? SPACE_LOW : SPACE_FINE;
}

static void tell(rr_node *node, const struct storage_error *shortage)
{
    uint64_t left = node->space.available / (1024 * 1024);
    const char *path = node->options.data_path;
    switch (node->space.level) {
    case SPACE_FINE:
        LOG_WARN(&node->logger, "%s has %" PRIu64 " MiB free again: writes are taken", path, left);
        return;
    case SPACE_LOW:
        LOG_WARN(&node->logger,
                 "%s has %" PRIu64 " MiB left, disk_low_bytes wants more: this node refuses writes "
                 "while it leads, and snapshots of others; free some space",
                 path, left);
        return;
    case SPACE_SHORT:
        LOG_WARN(&node->logger,
                 "%s has %" PRIu64 " MiB left%s%s: this node takes no entries and makes no "
                 "snapshots, only votes; %s",
                 path, left,
                 shortage->text[0] == '\0' ? "" : ", and the log's next file could not be made: ",
                 shortage->text,
                 shortage->text[0] == '\0' ? "free some space"
                                           : "free some space or see to the disk");
        return;
    }
}

/* ---- Handing leadership over ---- */

/* The connected voter after the one asked last; RAFT_NO_ID: all were asked. */
static raft_id next_voter(const rr_node *node)
{
    const struct raft *core = node_core(node);
    const struct raft_configuration *configuration = raft_configuration(core);
    raft_id best = RAFT_NO_ID;
    for (uint32_t at = 0; at < configuration->count; at++) {
        raft_id id = configuration->members[at].id;
        if (id != raft_self(core) && id > node->space.asked && (best == RAFT_NO_ID || id < best) &&
            raft_configuration_votes(configuration, id) && peers_connected(node->peers, id)) {
            best = id;
        }
    }
    return best;
}

/* A voter that is low itself does not take it (space_takes); then the next one is asked. */
static void hand_over(rr_node *node)
{
    struct space *space = &node->space;
    if (space->level == SPACE_FINE || !node_leads(node)) {
        space->asked = RAFT_NO_ID;
        space->hand_over_us = 0;
        return;
    }
    if (raft_transferring(node_core(node)) || node_now_us(node) < space->hand_over_us) {
        return;
    }
    raft_id target = next_voter(node);
    if (target == RAFT_NO_ID) {
        if (space->asked != RAFT_NO_ID) {
            space->asked = RAFT_NO_ID;
            space->hand_over_us = node_now_us(node) + (uint64_t)HAND_OVER_PAUSE_S * 1000000;
        }
        return;
    }
    space->asked = target;
    LOG_INFO(&node->logger, "the disk is low: handing leadership to node %" PRIu64, target);
    struct raft_event event = {.type = RAFT_EVENT_TRANSFER};
    event.transfer = target;
    (void)node_step(node, &event);
}

/* ---- For the node's other parts ---- */

void space_look(rr_node *node)
{
    struct space *space = &node->space;
    struct storage_error error = {0};
    struct storage_error shortage = {0};
    uint64_t available = UINT64_MAX; /* whoever writes will say so */
    if (file_space_available(node->options.data_path, &available, &error) != RR_OK) {
        LOG_DEBUG(&node->logger, "%s", error.text);
    }
    space->available = available;
    bool short_log = log_store_shortage(node->log_store, &shortage);
    enum space_level before = space->level;
    space->level = level_of(node, space->available, short_log);
    if (space->level != before) {
        tell(node, &shortage);
    }
    if (space->level > before && space->level == SPACE_LOW) {
        snapshots_shorten(node);
    }
    hand_over(node);
}

bool space_takes(const rr_node *node, const struct raft_message *message)
{
    switch (node->space.level) {
    case SPACE_FINE:
        return true;
    case SPACE_SHORT:
        if (message->type == RAFT_MSG_APP && message->entry_count > 0) {
            return false;
        }
        return message->type != RAFT_MSG_TIMEOUT_NOW;
    case SPACE_LOW:
        return message->type != RAFT_MSG_TIMEOUT_NOW;
    }
    return true;
}

bool space_has(const rr_node *node, uint64_t bytes)
{
    return node->space.level == SPACE_FINE &&
           node->space.available - node->options.public.disk_low_bytes >= bytes;
}
