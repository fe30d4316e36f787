/* How the log, the state and the snapshots of a directory hold together. */
#include <inttypes.h>

#include "inspect/inspect.h"
#include "inspect/remedy.h"

/* A log that ends before the state, or has another entry in its place. A snapshot that was being
 * installed explains it, and a directory that has promised nothing yet. */
static void check_state_ahead(const struct place *place, bool is_fresh, const struct log_facts *log,
                              const struct position *state, const struct position *snapshot)
{
    const struct group_bounds *bounds = &log->bounds;
    bool is_past = state->index > bounds->last_index;
    if (!is_past && log->applied_term == state->term) {
        return;
    }
    const char *what = is_past ? "ends before the state" : "has another entry where the state is";
    bool came_by_snapshot =
        snapshot->is_known && snapshot->index == state->index && snapshot->term == state->term;
    if (came_by_snapshot || is_fresh) {
        output_note(place->output, "log", NO_OFFSET,
                    "the log %s, at (%" PRIu64 ", %" PRIu64
                    "): a snapshot was being installed, or a backup restored; the next start ends "
                    "that",
                    what, state->index, state->term);
        return;
    }
    output_damage(place->output, "log", NO_OFFSET, REMEDY_LOG,
                  "the log %s, at (%" PRIu64 ", %" PRIu64 "), and ends at (%" PRIu64 ", %" PRIu64
                  "): it has lost entries that were there",
                  what, state->index, state->term, bounds->last_index, bounds->last_term);
}

void inspect_relations(const struct place *place, bool is_fresh, const struct log_facts *log,
                       const struct position *state, const struct position *snapshot)
{
    if (!log->is_whole || !state->is_known) {
        return;
    }
    const struct group_bounds *bounds = &log->bounds;
    if (bounds->base_index > state->index) {
        output_damage(place->output, "log", NO_OFFSET, REMEDY_STATE,
                      "the log begins after %" PRIu64 ", and the state is at %" PRIu64
                      ": entries between them are lost to this node",
                      bounds->base_index, state->index);
        return;
    }
    /* A founder writes its state, at index 1, before its log. */
    if (bounds->is_known || state->index > 1) {
        check_state_ahead(place, is_fresh, log, state, snapshot);
    }
    bool is_reached = snapshot->is_known && snapshot->index >= bounds->base_index;
    if (!is_reached && bounds->base_index > 1) {
        output_note(place->output, "snapshots", NO_OFFSET,
                    "no whole snapshot reaches the log's beginning at %" PRIu64
                    ": the node makes one when another needs it",
                    bounds->base_index);
    }
}
