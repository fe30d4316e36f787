/* Whose directory it is, and what a running node has marked as damaged. */
#include "inspect/inspect.h"
#include "inspect/remedy.h"

static void read_mark(const struct place *place)
{
    struct slice bytes;
    if (place_load(place, "DAMAGED", 1 << 20, &bytes) != LOAD_DONE) {
        return;
    }
    struct damage_mark mark;
    switch (damage_mark_read(bytes, &mark)) {
    case FORM_OK:
        output_begin(place->output, "marked");
        output_flag(place->output, "log", (mark.parts & MARK_LOG) != 0);
        output_flag(place->output, "state", (mark.parts & MARK_STATE) != 0);
        output_end(place->output);
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

/* What FORMER says, held against IDENTITY. */
static void show_former(const struct place *place, const struct former *former,
                        const struct identity *identity)
{
    struct output *output = place->output;
    for (uint32_t i = 0; i < former->count; i++) {
        output_begin(output, "former");
        output_id(output, "incarnation", former->list[i]);
        output_end(output);
    }
    uint64_t last = former->count == 0 ? 0 : former->list[former->count - 1];
    if (identity->node == 0) {
        return;
    }
    if (identity->incarnation == former->next && former->fresh) {
        output_note(place->output, "FORMER", NO_OFFSET,
                    "nothing was promised by this disk yet: the next start may find no log");
    }
    if (identity->incarnation == former->next && former->left != 0) {
        output_note(place->output, "FORMER", NO_OFFSET,
                    "damaged parts are being set aside; the next start goes on with it");
    } else if (identity->incarnation == last) {
        output_note(place->output, "FORMER", NO_OFFSET,
                    "the directory was about to become another disk; nothing has happened yet");
    } else if (identity->incarnation != former->next) {
        output_damage(place->output, "FORMER", NO_OFFSET, REMEDY_NODE,
                      "it knows nothing of the incarnation in IDENTITY: the two are not of one "
                      "directory");
    }
}

/* Returns whether the directory has made no promise yet. */
static bool read_former(const struct place *place, const struct identity *identity)
{
    struct slice bytes;
    if (place_load(place, "FORMER", 1 << 20, &bytes) != LOAD_DONE) {
        return false;
    }
    struct former former = {.fresh = false};
    switch (former_read(bytes, &former)) {
    case FORM_OK:
        show_former(place, &former, identity);
        break;
    case FORM_DAMAGED:
        output_damage(place->output, "FORMER", NO_OFFSET, REMEDY_NODE,
                      "its checksum fails, or it is cut");
        break;
    case FORM_NEWER:
        output_blind(place->output, "FORMER", "a newer version wrote this; " REMEDY_NEWER);
        break;
    }
    slice_free(&bytes);
    return former.fresh && identity->incarnation == former.next;
}

static void tell_missing(const struct place *place)
{
    uint64_t size;
    if (place_type(place, "RESTORING", &size) != NAME_MISSING) {
        output_damage(place->output, "RESTORING", NO_OFFSET,
                      "empty the directory and restore the backup again",
                      "a backup was being restored, and the restore did not end");
        return;
    }
    output_damage(place->output, "IDENTITY", NO_OFFSET, REMEDY_NODE,
                  "missing: whose directory this is cannot be told");
}

void inspect_identity(const struct place *place, struct identity *out, bool *is_fresh)
{
    *out = (struct identity){.node = 0};
    *is_fresh = false;
    struct slice bytes;
    switch (place_load(place, "IDENTITY", 1 << 20, &bytes)) {
    case LOAD_DONE:
        break;
    case LOAD_MISSING:
        tell_missing(place);
        return;
    case LOAD_FAILED:
        return;
    }
    switch (identity_read(bytes, out)) {
    case FORM_OK:
        output_begin(place->output, "identity");
        output_id(place->output, "cluster", out->cluster);
        output_number(place->output, "node", out->node);
        output_id(place->output, "incarnation", out->incarnation);
        output_end(place->output);
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
    *is_fresh = read_former(place, out);
    read_mark(place);
}
