/* How the log, the state and the snapshots of a directory hold together. */
#include <inttypes.h>

#include "inspect/inspect.h"
#include "inspect/remedy.h"

static void check_state_ahead(const struct place *place, const struct log_facts *log,
                              const struct position *state, const struct position *snapshot)
{
    const struct group_bounds *bounds = &log->bounds;
    bool is_past = state->index > bounds->last_index;
    if (!is_past && log->applied_term == state->term) {
        return;
    }
    bool came_by_snapshot =
        snapshot->is_known && snapshot->index == state->index && snapshot->term == state->term;
    output_note(place->output, "log", NO_OFFSET,
                "the state at (%" PRIu64 ", %" PRIu64 ") is %s, which ends at (%" PRIu64
                ", %" PRIu64 "); %s",
                state->index, state->term,
                is_past ? "ahead of the log" : "another than the log's entry there",
                bounds->last_index, bounds->last_term,
                came_by_snapshot ? "it came by a snapshot, and the next start resets the log to it"
                                 : "the next start resets the log to it");
}

void inspect_relations(const struct place *place, const struct log_facts *log,
                       const struct position *state, const struct position *snapshot)
{
    if (!log->is_whole || !state->is_known) {
        return;
    }
    const struct group_bounds *bounds = &log->bounds;
    if (!bounds->is_known) {
        if (state->index > 1) {
            output_damage(place->output, "log", NO_OFFSET, REMEDY_LOG,
                          "the state is at %" PRIu64 ", and there is no log: the node's vote and "
                          "term are lost",
                          state->index);
        }
        return;
    }
    if (bounds->base_index > state->index) {
        output_damage(place->output, "log", NO_OFFSET, REMEDY_STATE,
                      "the log begins after %" PRIu64 ", and the state is at %" PRIu64
                      ": entries between them are lost to this node",
                      bounds->base_index, state->index);
        return;
    }
    check_state_ahead(place, log, state, snapshot);
    bool is_reached = snapshot->is_known && snapshot->index >= bounds->base_index;
    if (!is_reached && bounds->base_index > 1) {
        output_note(place->output, "snapshots", NO_OFFSET,
                    "no whole snapshot reaches the log's beginning at %" PRIu64
                    ": the node makes one when another needs it",
                    bounds->base_index);
    }
}
