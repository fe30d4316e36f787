/* The applied state: which directory, its position, its members, its keys. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "inspect/inspect.h"
#include "inspect/payload.h"
#include "inspect/remedy.h"
#include "inspect/state_records.h"

enum { NAME_BYTES = 64 };

/* One look at a state. */
struct look {
    const struct place *place;
    const struct request *request;
    const char *name;
    struct rocks *rocks;
    uint64_t shown; /* keys */
    bool is_digested;
    uint64_t keys;
    uint64_t key_bytes;
    uint64_t value_bytes;
    uint64_t digest;
};

static void take_rocksdb_error(const struct look *look, char *text)
{
    if (text != NULL) {
        output_damage(look->place->output, look->name, NO_OFFSET, REMEDY_STATE, "RocksDB: %s",
                      text);
        free(text);
    }
}

/* All that is not the storage layer's own. */
static bool digest_pair(void *arg, struct slice key, struct slice value)
{
    struct look *look = arg;
    if (key.size > 0 && key.data[0] == 0) {
        return true;
    }
    uint8_t sizes[16];
    put_u64(sizes, key.size);
    put_u64(sizes + 8, value.size);
    look->digest = checksum((struct slice){sizes, sizeof(sizes)}, look->digest);
    look->digest = checksum(key, look->digest);
    look->digest = checksum(value, look->digest);
    look->keys++;
    look->key_bytes += key.size;
    look->value_bytes += value.size;
    return true;
}

static bool show_key(void *arg, struct slice key, struct slice value)
{
    struct look *look = arg;
    const struct slice *prefix = &look->request->prefix;
    if (look->shown == look->request->limit || key.size < prefix->size ||
        (prefix->size > 0 && memcmp(key.data, prefix->data, prefix->size) != 0)) {
        return false;
    }
    look->shown++;
    output_begin(look->place->output, "key");
    output_hex(look->place->output, "key", key);
    output_number(look->place->output, "bytes", value.size);
    if (look->request->print_data) {
        output_hex(look->place->output, "value", value);
    }
    output_end(look->place->output);
    return true;
}

static void show_state(const struct look *look, const struct state_records *records)
{
    uint64_t files;
    uint64_t bytes;
    rocks_files(look->rocks, &files, &bytes);
    struct output *output = look->place->output;
    output_begin(output, "state");
    output_text(output, "directory", look->name);
    output_number(output, "index", records->index);
    output_number(output, "term", records->term);
    output_number(output, "sst_files", files);
    output_number(output, "sst_bytes", bytes);
    if (look->is_digested) {
        output_number(output, "keys", look->keys);
        output_number(output, "key_bytes", look->key_bytes);
        output_number(output, "value_bytes", look->value_bytes);
        output_id(output, "digest", look->digest);
    } else {
        output_number(output, "keys_about", rocks_keys(look->rocks, 0));
    }
    output_end(output);
}

/* What the members of the state know of the directory's own identity. */
static void check_meta(const struct look *look, const struct state_records *records,
                       const struct identity *identity)
{
    if (records->meta.size == 0) {
        return;
    }
    struct output silent = {.file = NULL};
    if (!payload_print_meta(look->request->members ? look->place->output : &silent,
                            records->meta)) {
        output_note(look->place->output, look->name, NO_OFFSET,
                    "the configuration in its meta cannot be read by this program");
        return;
    }
    uint64_t cluster = payload_meta_cluster(records->meta);
    if (identity->cluster != 0 && cluster != identity->cluster) {
        output_damage(look->place->output, look->name, NO_OFFSET, REMEDY_NODE,
                      "it belongs to the cluster %016" PRIx64 ", and IDENTITY to %016" PRIx64,
                      cluster, identity->cluster);
    }
}

static void look_inside(struct look *look, const struct identity *identity, struct position *out)
{
    struct state_records records;
    char *error = state_records_load(look->rocks, &records);
    bool is_whole = error == NULL && records.wrong == NULL;
    take_rocksdb_error(look, error);
    if (records.wrong != NULL) {
        output_damage(look->place->output, look->name, NO_OFFSET, REMEDY_STATE, "%s",
                      records.wrong);
    }
    struct slice all = {NULL, 0};
    if (look->request->deep) {
        take_rocksdb_error(look, rocks_verify(look->rocks));
        take_rocksdb_error(look, rocks_each(look->rocks, 0, all, digest_pair, look));
        look->is_digested = true;
    }
    show_state(look, &records);
    if (is_whole) {
        check_meta(look, &records, identity);
    }
    if (look->request->keys) {
        take_rocksdb_error(look, rocks_each(look->rocks, 0, look->request->prefix, show_key, look));
    }
    *out = (struct position){is_whole, records.index, records.term};
    state_records_free(&records);
}

/* Which state-<n> directories there are. */
static void find_directories(const struct place *place, uint64_t *count, uint64_t *one)
{
    struct names names = {NULL, 0};
    *count = 0;
    *one = 0;
    if (place_list(place, "", &names) != LOAD_DONE) {
        return;
    }
    for (size_t i = 0; i < names.count; i++) {
        uint64_t number;
        if (name_number(names.list[i], "state-", 10, &number)) {
            ++*count;
            *one = number;
        }
    }
    names_free(&names);
}

/* The number of the current directory; false if there is none, or it cannot be told. */
static bool find_current(const struct place *place, uint64_t *number)
{
    uint64_t count;
    uint64_t one;
    struct slice bytes;
    enum form form = FORM_OK;
    switch (place_load(place, "STATE", 1 << 20, &bytes)) {
    case LOAD_DONE:
        form = state_pointer_read(bytes, number);
        slice_free(&bytes);
        break;
    case LOAD_MISSING:
        find_directories(place, &count, &one);
        *number = 1;
        if (count == 1 && one == 1) {
            output_note(place->output, "STATE", NO_OFFSET,
                        "missing: the node ended while it created state-1");
        } else if (count > 0) {
            output_damage(place->output, "STATE", NO_OFFSET, REMEDY_STATE,
                          "missing: which state is the current one cannot be told");
        }
        return count == 1 && one == 1;
    case LOAD_FAILED:
        return false;
    }
    if (form == FORM_DAMAGED) {
        output_damage(place->output, "STATE", NO_OFFSET, REMEDY_STATE,
                      "its checksum fails, or it is cut: which state is the current one cannot "
                      "be told");
    } else if (form == FORM_NEWER) {
        output_blind(place->output, "STATE", "a newer version wrote this; " REMEDY_NEWER);
    }
    return form == FORM_OK;
}

/* Directories that a crash has left and the next start deletes. */
static void tell_leftovers(const struct place *place, uint64_t current)
{
    struct names names = {NULL, 0};
    if (place_list(place, "", &names) != LOAD_DONE) {
        return;
    }
    for (size_t i = 0; i < names.count; i++) {
        uint64_t number;
        if (name_number(names.list[i], "state-", 10, &number) && number != current) {
            output_note(place->output, names.list[i], NO_OFFSET,
                        "a leftover: STATE names another one");
        }
    }
    names_free(&names);
}

void inspect_state(const struct place *place, const struct request *request,
                   const struct identity *identity, struct position *out)
{
    *out = (struct position){false, 0, 0};
    uint64_t number;
    if (!find_current(place, &number)) {
        return;
    }
    tell_leftovers(place, number);
    char name[NAME_BYTES];
    snprintf(name, sizeof(name), "state-%" PRIu64, number);
    struct look look = {.place = place, .request = request, .name = name};
    uint64_t size;
    if (place_type(place, name, &size) != NAME_DIRECTORY) {
        output_damage(place->output, name, NO_OFFSET, REMEDY_STATE, "missing, and STATE names it");
        return;
    }
    char path[PATH_BYTES];
    if (!place_path(place, name, path)) {
        return;
    }
    char *error;
    look.rocks = rocks_open(path, state_families, STATE_FAMILIES, &error);
    if (look.rocks == NULL) {
        take_rocksdb_error(&look, error);
        return;
    }
    look_inside(&look, identity, out);
    rocks_close(look.rocks);
}
