/*
 * Faults that can be planted in the core, so that the simulator can be shown to find them.
 *
 * Nothing of this is in an ordinary build: RAFT_FAULT is the constant false there. The simulator
 * compiles a core of its own with RAFT_FAULTS, and at most one fault is on in a process.
 */
#ifndef RAFT_FAULT_H
#define RAFT_FAULT_H

#include <stdbool.h>

#ifdef RAFT_FAULTS

/* X(name, what the core then does) */
#define RAFT_FAULT_LIST(X)                                                                         \
    X(vote_twice, "votes for everybody who asks in a term")                                        \
    X(vote_forgotten, "does not know after a restart whom it voted for")                           \
    X(vote_not_written, "writes the term but not the vote")                                        \
    X(vote_not_synced, "writes a vote and does not wait until it is durable")                      \
    X(vote_before_durable, "answers a vote request before the vote is durable")                    \
    X(votes_asked_early, "asks for votes before its own is durable")                               \
    X(log_unchecked, "votes for candidates with any log")                                          \
    X(log_length_only, "compares logs by their length, not by their last terms")                   \
    X(old_votes_counted, "counts votes of an earlier term")                                        \
    X(prevote_raises_term, "takes over the term of a pre-vote")                                    \
    X(learners_vote, "counts the votes of learners in elections")                                  \
    X(half_is_quorum, "takes half of the voters for a majority")                                   \
    X(old_leader_followed, "takes appends of a leader of an earlier term")                         \
    X(commit_of_earlier_term, "commits entries of earlier terms by counting")                      \
    X(learners_commit, "counts learners for commits and reads")                                    \
    X(joint_commit_by_incoming, "commits by the incoming half of a joint configuration")           \
    X(joint_vote_by_incoming, "elects by the incoming half of a joint configuration")              \
    X(own_log_counted_early, "counts the leader's own entries before they are durable")            \
    X(match_survives_election, "keeps what followers acknowledged to an earlier leadership")       \
    X(new_member_counted, "takes a new member for one that has the whole log")                     \
    X(former_acknowledgement, "counts acknowledgements from before a member was replaced")         \
    X(incarnation_unchecked, "takes a member with a new disk for the one it was")                  \
    X(new_disk_stands, "stands for election where its former disk is the member")                  \
    X(votes_of_any_disk, "asks for and counts votes whatever the disk they come from")             \
    X(heartbeats_of_any_disk, "confirms reads by members with whatever disk")                      \
    X(ack_before_durable, "acknowledges entries before they are durable")                          \
    X(snapshot_acked_early, "acknowledges a snapshot before it is installed")                      \
    X(stale_receipt, "takes entries for durable because those they replaced are")                  \
    X(append_unchecked, "appends without looking at the entry before")                             \
    X(append_truncates, "drops what follows an append, conflict or not")                           \
    X(conflict_kept, "keeps entries that contradict the leader's")                                 \
    X(heartbeat_commit_unlimited, "tells followers to commit what they did not acknowledge")       \
    X(commit_written_apart, "writes the commit index after the entries it came with")              \
    X(applied_again, "applies the last entry again after a restart")                               \
    X(snapshot_keeps_configuration, "does not take over a snapshot's configuration")               \
    X(pending_conf_unchecked, "proposes a configuration while another is not applied")             \
    X(pending_conf_forgotten, "forgets in an election that a configuration may be pending")        \
    X(campaign_before_applied, "stands although a committed configuration is not applied")         \
    X(auto_leave_missing, "does not leave joint configurations by itself")                         \
    X(read_before_own_term, "serves reads before an entry of its term is committed")               \
    X(read_without_round, "serves reads without asking whether it still leads")                    \
    X(read_in_running_round, "lets a read be confirmed by a round that began before it")           \
    X(read_reuses_round, "lets a follower's later read share the round of an earlier one")         \
    X(read_answers_all, "takes the answer to one read for that to all")                            \
    X(read_of_former_life, "takes the answer to a read from before a restart")                     \
    X(reads_survive_demotion, "keeps reads when leadership is lost")                               \
    X(read_never_ends, "neither repeats nor fails a read that is not answered")                    \
    X(lease_from_receipt, "counts a lease from when answers come, not from when it asked")         \
    X(lease_without_drift, "counts on clocks that run alike")                                      \
    X(lease_kept_on_transfer, "keeps its lease while it hands leadership over")                    \
    X(lease_promise_forgotten, "votes although a leader may hold a lease")                         \
    X(restart_wait_missing, "votes right after a restart although it promised not to")             \
    X(refusal_ignored, "does not go back when an append is refused")                               \
    X(window_not_freed, "never forgets what is in flight")                                         \
    X(pause_not_ended, "stays paused when a member answers again")                                 \
    X(snapshot_status_ignored, "waits for ever for a snapshot that was lost")                      \
    X(answers_not_noticed, "takes members for silent that answer")                                 \
    X(transfer_never_ends, "waits for ever for a transfer")                                        \
    X(uncommitted_not_released, "never gives back the room of uncommitted entries")

#define RAFT_FAULT_ENUM(name, text) RAFT_FAULT_##name,
enum raft_fault { RAFT_FAULT_NONE, RAFT_FAULT_LIST(RAFT_FAULT_ENUM) };

/* The one that is on. */
extern enum raft_fault raft_fault_planted;

#define RAFT_FAULT(name) (raft_fault_planted == RAFT_FAULT_##name)

#else

#define RAFT_FAULT(name) false

#endif

#endif
