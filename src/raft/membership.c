/* Switching configurations (paper, section 6; dissertation, chapter 4). They take effect when
 * their entry is applied; the arithmetic is configuration.c's. */
#include "raft/raft_private.h"

#include <stdio.h>

#include "base/memory.h"

static void install(struct raft *raft, const struct raft_configuration *configuration,
                    const struct raft_conf_change *change)
{
    ASSERT(raft_configuration_valid(configuration));
    struct raft_progress *progress = mem_new_array(struct raft_progress, configuration->count + 1);
    for (uint32_t i = 0; i < configuration->count; i++) {
        const struct raft_member *member = &configuration->members[i];
        struct raft_progress *old = raft_find_progress(raft, member->id);
        if (old != NULL && (change == NULL || !raft_conf_change_renews(change, member))) {
            progress[i] = *old;
            old->id = RAFT_NO_ID; /* moved: nothing is left to free */
            continue;
        }
        raft_index next = raft->log.last > 1 ? raft->log.last : 1;
        raft_progress_init(&progress[i], member->id, next);
        if (RAFT_FAULT(new_member_counted)) {
            progress[i].match = next - 1;
        }
        raft->sessions++;
        progress[i].session = raft->sessions;
    }
    for (uint32_t i = 0; i < raft->configuration.count; i++) {
        if (raft->progress[i].id == RAFT_NO_ID) {
            continue;
        }
        if (raft->progress[i].state == RAFT_SNAPSHOT) {
            raft_effect(raft, RAFT_EFFECT_CANCEL_SNAPSHOT)->cancel_snapshot = raft->progress[i].id;
        }
        raft_progress_deinit(&raft->progress[i]);
    }
    mem_free(raft->progress);
    raft->progress = progress;
    raft->configuration = *configuration;
}

/* The quorum may have become smaller, and members may be new. */
static void catch_up(struct raft *raft)
{
    if (replication_commit(raft)) {
        replication_broadcast(raft);
        return;
    }
    for (uint32_t i = 0; i < raft->configuration.count; i++) {
        if (raft->progress[i].id != raft->options.id) {
            (void)replication_try_append(raft, &raft->progress[i], false);
        }
    }
}

/* `change`: what led here from the configuration before; NULL: something else. */
static void switch_to(struct raft *raft, const struct raft_configuration *configuration,
                      const struct raft_conf_change *change)
{
    install(raft, configuration, change);
    char text[RAFT_CONFIGURATION_TEXT_MAX];
    TRACE(raft, INFO, "%" PRIx64 " switched to configuration %s", raft->options.id,
          raft_configuration_text(configuration, text, sizeof(text)));
    if (raft->role != RAFT_LEADER) {
        return;
    }
    const struct raft_member *self = raft_configuration_find(configuration, raft->options.id);
    if (self == NULL || (self->flags & RAFT_MEMBER_LEARNER) != 0) {
        if (raft->options.step_down_on_removal) {
            raft_become_follower(raft, raft->term, RAFT_NO_ID);
        }
        return;
    }
    catch_up(raft);
    if (raft->transfer_target != RAFT_NO_ID &&
        !raft_configuration_votes(configuration, raft->transfer_target)) {
        replication_abort_transfer(raft);
    }
    reads_advance(raft);
}

void membership_switch(struct raft *raft, const struct raft_configuration *configuration)
{
    switch_to(raft, configuration, NULL);
}

void membership_apply(struct raft *raft, const struct raft_conf_change *change)
{
    struct raft_configuration next;
    enum raft_conf_error error = raft_configuration_change(&raft->configuration, change, &next);
    if (error != RAFT_CONF_OK) {
        raft_halt(raft, "a committed configuration change cannot be applied: %s",
                  raft_conf_error_text(error));
        return;
    }
    ASSERT(raft_configuration_adjacent(&raft->configuration, &next));
    switch_to(raft, &next, change);
}

const char *membership_refuse(struct raft *raft, const struct raft_conf_change *change)
{
    static _Thread_local char text[128];
    if (raft->pending_conf > raft->log.applied && !RAFT_FAULT(pending_conf_unchecked)) {
        snprintf(text, sizeof(text),
                 "possible unapplied conf change at index %" PRIu64 " (applied to %" PRIu64 ")",
                 raft->pending_conf, raft->log.applied);
        return text;
    }
    bool joint = raft_configuration_joint(&raft->configuration);
    if (joint && change->count > 0) {
        return "must transition out of joint config first";
    }
    if (!joint && change->count == 0) {
        return "not in joint state; refusing empty conf change";
    }
    /* Nothing is pending, so this is the configuration that the change will meet. */
    struct raft_configuration next;
    enum raft_conf_error error = raft_configuration_change(&raft->configuration, change, &next);
    return error == RAFT_CONF_OK ? NULL : raft_conf_error_text(error);
}

void membership_leave_automatically(struct raft *raft)
{
    if (!raft->configuration.auto_leave || raft->log.applied < raft->pending_conf ||
        RAFT_FAULT(auto_leave_missing)) {
        return;
    }
    struct raft_entry *entry = raft_entry_new(RAFT_ENTRY_CONF_CHANGE_V2, (rr_bytes){NULL, 0});
    char text[RAFT_CONFIGURATION_TEXT_MAX];
    enum raft_result result = replication_propose(raft, &entry, 1, true);
    raft_configuration_text(&raft->configuration, text, sizeof(text));
    if (result == RAFT_STEP_OK) {
        TRACE(raft, INFO, "initiating automatic transition out of joint configuration %s", text);
    } else {
        TRACE(raft, DEBUG, "not initiating automatic transition out of joint configuration %s: %s",
              text, raft_result_text(result));
    }
    raft_entry_unref(entry);
}
