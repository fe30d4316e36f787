/* Snapshots: complete ones, the one being received, and what a crash left. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "inspect/inspect.h"
#include "inspect/manifest.h"
#include "inspect/remedy.h"
#include "inspect/state_records.h"

enum { NAME_BYTES = 400 };

/* One look at a snapshot's directory. */
struct look {
    const struct place *place;
    const struct request *request;
    char name[NAME_BYTES];
    bool is_damaged;
};

static void damage(struct look *look, const char *file, const char *what)
{
    char name[2 * NAME_BYTES];
    snprintf(name, sizeof(name), "%s%s%s", look->name, file[0] == 0 ? "" : "/", file);
    output_damage(look->place->output, name, NO_OFFSET, REMEDY_SNAPSHOT, "%s", what);
    look->is_damaged = true;
}

/* Loads and reads a directory's manifest, which borrows from `bytes`. */
static bool load_manifest(struct look *look, bool is_complete, struct slice *bytes,
                          struct manifest *out)
{
    char path[NAME_BYTES + 16];
    snprintf(path, sizeof(path), "%s/SNAPSHOT", look->name);
    switch (place_load(look->place, path, UINT64_MAX, bytes)) {
    case LOAD_DONE:
        break;
    case LOAD_MISSING:
        if (is_complete) {
            damage(look, "SNAPSHOT", "the manifest is missing");
        }
        return false;
    case LOAD_FAILED:
        look->is_damaged = true;
        return false;
    }
    switch (manifest_read(*bytes, out)) {
    case FORM_OK:
        return true;
    case FORM_DAMAGED:
        damage(look, "SNAPSHOT", "the manifest fails its checksum, is cut, or says what cannot be");
        break;
    case FORM_NEWER:
        output_blind(look->place->output, path, "a newer version wrote this; " REMEDY_NEWER);
        break;
    }
    look->is_damaged = true;
    slice_free(bytes);
    return false;
}

static void verify_file(struct look *look, const struct manifest_file *file)
{
    char path[NAME_BYTES + MANIFEST_NAME_BYTES_MAX + 2];
    snprintf(path, sizeof(path), "%s/%s", look->name, file->name);
    uint64_t size;
    if (place_type(look->place, path, &size) != NAME_FILE) {
        damage(look, file->name, "missing, and the manifest names it");
        return;
    }
    if (size != file->size) {
        damage(look, file->name, "its size is not the one in the manifest");
        return;
    }
    if (!look->request->deep) {
        return;
    }
    struct slice bytes;
    if (place_load(look->place, path, UINT64_MAX, &bytes) != LOAD_DONE) {
        look->is_damaged = true;
        return;
    }
    if (bytes.size != file->size || manifest_file_checksum(bytes) != file->checksum) {
        damage(look, file->name, "its checksum is not the one in the manifest");
    }
    slice_free(&bytes);
}

static bool manifest_has(const struct manifest *manifest, const char *name)
{
    struct reader reader = reader_of(manifest->files);
    for (uint64_t i = 0; i < manifest->file_count; i++) {
        struct manifest_file file;
        if (manifest_next(&reader, &file) && strcmp(file.name, name) == 0) {
            return true;
        }
    }
    return false;
}

static void verify_files(struct look *look, const struct manifest *manifest)
{
    struct reader reader = reader_of(manifest->files);
    for (uint64_t i = 0; i < manifest->file_count; i++) {
        struct manifest_file file;
        if (manifest_next(&reader, &file)) {
            verify_file(look, &file);
        }
    }
    struct names names = {NULL, 0};
    if (place_list(look->place, look->name, &names) != LOAD_DONE) {
        return;
    }
    for (size_t i = 0; i < names.count; i++) {
        if (strcmp(names.list[i], "SNAPSHOT") != 0 && !manifest_has(manifest, names.list[i])) {
            char path[2 * NAME_BYTES];
            snprintf(path, sizeof(path), "%s/%s", look->name, names.list[i]);
            output_note(look->place->output, path, NO_OFFSET, "the manifest does not name it");
        }
    }
    names_free(&names);
}

/* Whether what is in the database is what the manifest says of it. */
static void verify_content(struct look *look, const struct manifest *manifest)
{
    char path[PATH_BYTES];
    if (!place_path(look->place, look->name, path)) {
        return;
    }
    char *error;
    struct rocks *rocks = rocks_open(path, state_families, STATE_FAMILIES, &error);
    struct state_records records = {.index = 0};
    if (rocks != NULL) {
        error = state_records_load(rocks, &records);
    }
    if (error == NULL) {
        error = rocks_verify(rocks);
    }
    if (error != NULL) {
        output_damage(look->place->output, look->name, NO_OFFSET, REMEDY_SNAPSHOT, "RocksDB: %s",
                      error);
        look->is_damaged = true;
        free(error);
    } else if (records.wrong != NULL) {
        damage(look, "", records.wrong);
    } else if (records.index != manifest->index || records.term != manifest->term) {
        damage(look, "", "the state in it is of another position than its manifest says");
    } else if (records.meta.size != manifest->meta.size ||
               (records.meta.size > 0 &&
                memcmp(records.meta.data, manifest->meta.data, records.meta.size) != 0)) {
        damage(look, "", "the members in it are others than its manifest says");
    }
    state_records_free(&records);
    rocks_close(rocks);
}

static void show_snapshot(const struct look *look, const struct manifest *manifest)
{
    struct output *output = look->place->output;
    output_begin(output, "snapshot");
    output_text(output, "directory", look->name);
    output_number(output, "index", manifest->index);
    output_number(output, "term", manifest->term);
    output_number(output, "files", manifest->file_count);
    output_number(output, "bytes", manifest->bytes);
    output_number(output, "chunks", manifest_chunks(manifest));
}

static void look_at_complete(const struct place *place, const struct request *request,
                             const char *name, struct position *newest)
{
    struct look look = {.place = place, .request = request};
    snprintf(look.name, sizeof(look.name), "%s", name);
    struct slice bytes;
    struct manifest manifest;
    if (!load_manifest(&look, true, &bytes, &manifest)) {
        return;
    }
    show_snapshot(&look, &manifest);
    output_end(place->output);
    verify_files(&look, &manifest);
    if (request->deep && !look.is_damaged) {
        verify_content(&look, &manifest);
    }
    if (!look.is_damaged && (!newest->is_known || manifest.index > newest->index)) {
        *newest = (struct position){true, manifest.index, manifest.term};
    }
    slice_free(&bytes);
}

/* How many bytes of the run of all files are there, from the first one on. */
static uint64_t received_bytes(const struct look *look, const struct manifest *manifest)
{
    struct reader reader = reader_of(manifest->files);
    uint64_t received = 0;
    for (uint64_t i = 0; i < manifest->file_count; i++) {
        struct manifest_file file;
        if (!manifest_next(&reader, &file)) {
            break;
        }
        char path[NAME_BYTES + MANIFEST_NAME_BYTES_MAX + 2];
        snprintf(path, sizeof(path), "%s/%s", look->name, file.name);
        uint64_t size;
        if (place_type(look->place, path, &size) != NAME_FILE) {
            break;
        }
        received += size < file.size ? size : file.size;
        if (size < file.size) {
            break;
        }
    }
    return received;
}

static void look_at_incoming(const struct place *place, const struct request *request)
{
    struct look look = {.place = place, .request = request, .name = "snapshots/incoming"};
    struct slice bytes;
    struct manifest manifest;
    if (!load_manifest(&look, false, &bytes, &manifest)) {
        return;
    }
    uint64_t received = received_bytes(&look, &manifest);
    show_snapshot(&look, &manifest);
    output_flag(place->output, "incoming", true);
    output_number(place->output, "chunks_there",
                  received == manifest.bytes ? manifest_chunks(&manifest)
                                             : received / manifest.chunk_bytes);
    output_end(place->output);
    slice_free(&bytes);
}

/* A complete snapshot's directory. */
struct candidate {
    uint64_t number;
    uint64_t index; /* by its manifest; 0 if that cannot be read */
};

/* The later first; of the same position the one made last. */
static int by_position(const void *left, const void *right)
{
    const struct candidate *a = left;
    const struct candidate *b = right;
    if (a->index != b->index) {
        return a->index > b->index ? -1 : 1;
    }
    return (a->number < b->number) - (a->number > b->number);
}

static uint64_t index_of(const struct place *place, const char *name)
{
    struct output silent = {.file = NULL};
    struct place quiet = {place->root, &silent};
    struct look look = {.place = &quiet};
    snprintf(look.name, sizeof(look.name), "snapshots/%s", name);
    struct slice bytes;
    struct manifest manifest;
    if (!load_manifest(&look, true, &bytes, &manifest)) {
        return 0;
    }
    slice_free(&bytes);
    return manifest.index;
}

/* From the latest one back. Beside a whole one, the others were about to be deleted, and may be so in
 * part. */
static void look_at_all_complete(const struct place *place, const struct request *request,
                                 const struct names *names, struct position *out)
{
    struct candidate *candidates = calloc(names->count + 1, sizeof(*candidates));
    if (candidates == NULL) {
        output_blind(place->output, "snapshots", "no memory");
        return;
    }
    size_t count = 0;
    for (size_t i = 0; i < names->count; i++) {
        if (name_number(names->list[i], "snapshot-", 10, &candidates[count].number)) {
            candidates[count++].index = index_of(place, names->list[i]);
        }
    }
    qsort(candidates, count, sizeof(*candidates), by_position);
    for (size_t i = 0; i < count; i++) {
        char name[NAME_BYTES / 2];
        snprintf(name, sizeof(name), "snapshots/snapshot-%" PRIu64, candidates[i].number);
        if (out->is_known) {
            output_note(place->output, name, NO_OFFSET,
                        "older than another one; the next start deletes it");
        } else {
            look_at_complete(place, request, name, out);
        }
    }
    free(candidates);
}

void inspect_snapshots(const struct place *place, const struct request *request,
                       struct position *out)
{
    *out = (struct position){false, 0, 0};
    struct names names = {NULL, 0};
    if (place_list(place, "snapshots", &names) != LOAD_DONE) {
        return;
    }
    look_at_all_complete(place, request, &names, out);
    for (size_t i = 0; i < names.count; i++) {
        const char *name = names.list[i];
        char path[2 * NAME_BYTES];
        uint64_t number;
        snprintf(path, sizeof(path), "snapshots/%s", name);
        if (strcmp(name, "incoming") == 0) {
            look_at_incoming(place, request);
        } else if (strcmp(name, "making") == 0) {
            output_note(place->output, path, NO_OFFSET,
                        "a snapshot that was being made; the next start deletes it");
        } else if (!name_number(name, "snapshot-", 10, &number)) {
            output_note(place->output, path, NO_OFFSET, "no snapshot");
        }
    }
    names_free(&names);
}
