/* Whose directory it is, and what a running node has marked as damaged. */
#include "inspect/inspect.h"
#include "inspect/remedy.h"

static void read_mark(const struct place *place, const struct request *request)
{
    struct slice bytes;
    if (place_load(place, "DAMAGED", 1 << 20, &bytes) != LOAD_DONE) {
        return;
    }
    struct damage_mark mark;
    switch (damage_mark_read(bytes, &mark)) {
    case FORM_OK:
        if (request->identity) {
            output_begin(place->output, "marked");
            output_flag(place->output, "log", (mark.parts & MARK_LOG) != 0);
            output_flag(place->output, "state", (mark.parts & MARK_STATE) != 0);
            output_bytes(place->output, "text", mark.text);
            output_end(place->output);
        }
        output_damage(place->output, "DAMAGED", NO_OFFSET, REMEDY_STATE,
                      "the node met damage while it ran, and halted: %.*s", (int)mark.text.size,
                      (const char *)mark.text.data);
        break;
    case FORM_DAMAGED:
        output_damage(place->output, "DAMAGED", NO_OFFSET, REMEDY_NODE,
                      "the mark of what is damaged is itself damaged");
        break;
    case FORM_NEWER:
        output_blind(place->output, "DAMAGED", "a newer version wrote this; " REMEDY_NEWER);
        break;
    }
    slice_free(&bytes);
}

void inspect_identity(const struct place *place, const struct request *request,
                      struct identity *out)
{
    *out = (struct identity){.node = 0};
    struct slice bytes;
    switch (place_load(place, "IDENTITY", 1 << 20, &bytes)) {
    case LOAD_DONE:
        break;
    case LOAD_MISSING:
        output_damage(place->output, "IDENTITY", NO_OFFSET, REMEDY_NODE,
                      "missing: whose directory this is cannot be told");
        return;
    case LOAD_FAILED:
        return;
    }
    switch (identity_read(bytes, out)) {
    case FORM_OK:
        if (request->identity) {
            output_begin(place->output, "identity");
            output_id(place->output, "cluster", out->cluster);
            output_number(place->output, "node", out->node);
            output_id(place->output, "incarnation", out->incarnation);
            output_end(place->output);
        }
        break;
    case FORM_DAMAGED:
        output_damage(place->output, "IDENTITY", NO_OFFSET, REMEDY_NODE,
                      "its checksum fails, or it is cut: whose directory this is cannot be told");
        break;
    case FORM_NEWER:
        output_blind(place->output, "IDENTITY", "a newer version wrote this; " REMEDY_NEWER);
        break;
    }
    slice_free(&bytes);
    read_mark(place, request);
}
