/* The log in RocksDB. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "inspect/inspect.h"
#include "inspect/remedy.h"
#include "inspect/rocks.h"

enum { FAMILY_LOG, FAMILY_HARD_STATE, FAMILIES };
static const char *const families[FAMILIES] = {"raft_log", "hard_state"};
enum { LOG_KEY_BYTES = 16, HARD_STATE_KEY_BYTES = 8, HARD_STATE_BYTES = 49 };

/* One look at a log in RocksDB. */
struct look {
    const struct place *place;
    const char *directory;
    const struct request *request;
    struct rocks *rocks;
    uint64_t applied_index;
    struct log_facts *out;
    uint64_t groups;
    uint64_t shown;  /* entries */
    uint64_t orphan; /* the group of the entry that was found last */
    bool has_orphan;

    /* The group whose entries are walked over. */
    uint64_t group;
    struct group_bounds bounds;
    uint64_t next;   /* index */
    uint64_t before; /* term */
    uint64_t wrong;  /* entries */
};

static void damage(struct look *look, const char *what, uint64_t group, uint64_t index)
{
    output_damage(look->place->output, look->directory, NO_OFFSET, REMEDY_LOG,
                  "entry %" PRIu64 " of group %" PRIu64 ": %s", index, group, what);
    look->out->is_whole = false;
    look->wrong++;
}

static void take_rocksdb_error(struct look *look, char *text)
{
    if (text != NULL) {
        output_damage(look->place->output, look->directory, NO_OFFSET, REMEDY_LOG, "RocksDB: %s",
                      text);
        look->out->is_whole = false;
        free(text);
    }
}

static bool visit_entry(void *arg, struct slice key, struct slice value)
{
    struct look *look = arg;
    struct reader reader = reader_of(key);
    uint64_t group = read_be64(&reader);
    uint64_t index = read_be64(&reader);
    if (!reader_is_done(&reader)) {
        output_damage(look->place->output, look->directory, NO_OFFSET, REMEDY_LOG,
                      "raft_log has a key of %zu bytes", key.size);
        look->out->is_whole = false;
        return true;
    }
    if (group != look->group) {
        return false;
    }
    if (index != look->next) {
        damage(look, "it is missing, and later ones are there", group, look->next);
    }
    struct entry entry;
    const char *wrong = entry_read(value, group, index, &entry);
    if (wrong == NULL && entry.term < look->before) {
        wrong = "its term is below the one before it";
    }
    if (wrong != NULL) {
        damage(look, wrong, group, index);
    } else {
        look->before = entry.term;
        if (index == look->applied_index && group == 0) {
            look->out->applied_term = entry.term;
        }
        if (request_wants(look->request, group, index) && look->shown < look->request->limit) {
            look->shown++;
            inspect_entry(look->place, look->request, group, index, &entry);
        }
    }
    look->bounds.last_index = index;
    look->bounds.last_term = wrong == NULL ? entry.term : look->before;
    look->next = index + 1;
    return true;
}

static void walk_entries(struct look *look)
{
    look->bounds.last_index = look->bounds.base_index;
    look->bounds.last_term = look->bounds.base_term;
    look->next = look->bounds.base_index + 1;
    look->before = look->bounds.base_term;
    uint8_t from[LOG_KEY_BYTES];
    for (unsigned i = 0; i < 8; i++) {
        from[i] = (uint8_t)(look->group >> (56 - 8 * i));
        from[8 + i] = (uint8_t)(look->next >> (56 - 8 * i));
    }
    struct slice start = {from, sizeof(from)};
    take_rocksdb_error(look, rocks_each(look->rocks, FAMILY_LOG, start, visit_entry, look));
    if (look->bounds.commit > look->bounds.last_index) {
        output_damage(look->place->output, look->directory, NO_OFFSET, REMEDY_LOG,
                      "group %" PRIu64 " ends at entry %" PRIu64
                      ", before its own commit index %" PRIu64 ": its end was lost",
                      look->group, look->bounds.last_index, look->bounds.commit);
        look->out->is_whole = false;
    }
}

/* A record of hard_state; NULL, or what is wrong with it. */
static const char *hard_state_read(struct slice value, uint64_t group, struct group_bounds *out)
{
    struct reader reader = reader_of(value);
    uint8_t version = read_u8(&reader);
    struct group_bounds bounds = {.is_known = true};
    bounds.term = read_u64(&reader);
    bounds.vote = read_u64(&reader);
    bounds.commit = read_u64(&reader);
    bounds.base_index = read_u64(&reader);
    bounds.base_term = read_u64(&reader);
    uint64_t sum = read_u64(&reader);
    if (!reader_is_done(&reader)) {
        return "it does not have 49 bytes";
    }
    if (sum != checksum((struct slice){value.data, HARD_STATE_BYTES - 8}, group)) {
        return "its checksum fails";
    }
    *out = bounds;
    return version == 1 ? NULL : "a newer version wrote it";
}

static bool visit_group(void *arg, struct slice key, struct slice value)
{
    struct look *look = arg;
    struct reader reader = reader_of(key);
    look->group = read_be64(&reader);
    look->groups++;
    const char *wrong = reader_is_done(&reader) ? hard_state_read(value, look->group, &look->bounds)
                                                : "its key does not have 8 bytes";
    if (wrong != NULL) {
        output_damage(look->place->output, look->directory, NO_OFFSET, REMEDY_LOG,
                      "the hard state of group %" PRIu64 ": %s", look->group, wrong);
        look->out->is_whole = false;
        return true;
    }
    walk_entries(look);
    if (look->request->groups) {
        inspect_group(look->place, look->group, &look->bounds);
    }
    look->out->is_there = true;
    if (look->group == 0) {
        look->out->bounds = look->bounds;
        if (look->applied_index == look->bounds.base_index) {
            look->out->applied_term = look->bounds.base_term;
        }
    }
    return true;
}

/* Whether a group is in the hard state, for entries without one. */
struct search {
    uint64_t group;
    bool is_found;
};

static bool visit_found(void *arg, struct slice key, struct slice value)
{
    (void)value;
    struct search *search = arg;
    struct reader reader = reader_of(key);
    search->is_found = read_be64(&reader) == search->group && reader_is_done(&reader);
    return false;
}

/* Each group that has an entry; then on to the next group. */
static bool visit_owner(void *arg, struct slice key, struct slice value)
{
    (void)value;
    struct look *look = arg;
    struct reader reader = reader_of(key);
    look->orphan = read_be64(&reader);
    look->has_orphan = !reader.failed;
    return false;
}

/* Groups that have entries and no hard state: entries are written after it, or with it. */
static void find_orphans(struct look *look)
{
    uint8_t from[HARD_STATE_KEY_BYTES] = {0};
    for (;;) {
        look->has_orphan = false;
        struct slice start = {from, sizeof(from)};
        take_rocksdb_error(look, rocks_each(look->rocks, FAMILY_LOG, start, visit_owner, look));
        if (!look->has_orphan) {
            return;
        }
        for (unsigned i = 0; i < 8; i++) {
            from[i] = (uint8_t)(look->orphan >> (56 - 8 * i));
        }
        struct search search = {.group = look->orphan};
        take_rocksdb_error(look,
                           rocks_each(look->rocks, FAMILY_HARD_STATE, start, visit_found, &search));
        if (!search.is_found) {
            output_damage(look->place->output, look->directory, NO_OFFSET, REMEDY_LOG,
                          "group %" PRIu64 " has entries and no hard state", look->orphan);
            look->out->is_whole = false;
        }
        if (look->orphan == UINT64_MAX) {
            return;
        }
        for (unsigned i = 0; i < 8; i++) {
            from[i] = (uint8_t)((look->orphan + 1) >> (56 - 8 * i));
        }
    }
}

static void show_log(const struct look *look)
{
    uint64_t files;
    uint64_t bytes;
    rocks_files(look->rocks, &files, &bytes);
    struct output *output = look->place->output;
    output_begin(output, "log");
    output_text(output, "log", "rocksdb");
    output_number(output, "sst_files", files);
    output_number(output, "sst_bytes", bytes);
    output_number(output, "groups", look->groups);
    output_end(output);
}

void inspect_rocksdb_log(const struct place *place, const struct request *request,
                         const char *directory, uint64_t applied_index, struct log_facts *out)
{
    struct look look = {
        .place = place,
        .directory = directory,
        .request = request,
        .applied_index = applied_index,
        .out = out,
    };
    char path[PATH_BYTES];
    if (!place_path(place, directory, path)) {
        out->is_whole = false;
        return;
    }
    if (request->segments || request->frames) {
        output_note(place->output, directory, NO_OFFSET,
                    "a RocksDB database, which has neither segments nor frames");
    }
    char *error;
    look.rocks = rocks_open(path, families, FAMILIES, &error);
    if (look.rocks == NULL) {
        take_rocksdb_error(&look, error);
        return;
    }
    struct slice all = {NULL, 0};
    take_rocksdb_error(&look, rocks_each(look.rocks, FAMILY_HARD_STATE, all, visit_group, &look));
    find_orphans(&look);
    if (request->deep) {
        take_rocksdb_error(&look, rocks_verify(look.rocks));
    }
    if (request->log) {
        show_log(&look);
    }
    rocks_close(look.rocks);
}
