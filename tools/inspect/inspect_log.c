/* What both kinds of log have in common, and which one a directory has. */
#include <string.h>

#include "inspect/inspect.h"
#include "inspect/payload.h"
#include "inspect/remedy.h"

void inspect_group(const struct place *place, uint64_t group, const struct group_bounds *bounds)
{
    struct output *output = place->output;
    output_begin(output, "group");
    output_number(output, "group", group);
    output_number(output, "term", bounds->term);
    output_number(output, "vote", bounds->vote);
    output_number(output, "commit", bounds->commit);
    output_number(output, "base", bounds->base_index);
    output_number(output, "base_term", bounds->base_term);
    output_number(output, "last", bounds->last_index);
    output_number(output, "last_term", bounds->last_term);
    output_end(output);
}

void inspect_entry(const struct place *place, const struct request *request, uint64_t group,
                   uint64_t index, const struct entry *entry)
{
    struct output *output = place->output;
    output_begin(output, "entry");
    output_number(output, "group", group);
    output_number(output, "index", index);
    output_number(output, "term", entry->term);
    output_text(output, "type", entry_type_name(entry->type));
    output_number(output, "bytes", entry->data.size);
    if (entry->type == 0) {
        payload_print_command(output, entry->data);
    }
    if (request->print_data) {
        output_hex(output, "data", entry->data);
    }
    output_end(output);
}

bool request_wants(const struct request *request, uint64_t group, uint64_t index)
{
    return request->entries && (!request->has_group || request->group == group) &&
           index >= request->from && index <= request->to;
}

static bool is_directory(const struct place *place, const char *name)
{
    uint64_t size;
    return place_type(place, name, &size) == NAME_DIRECTORY;
}

/* Where the log is: moving it to the other kind may have been cut short. NULL, told: nowhere. */
static const char *find_log(const struct place *place)
{
    bool has_log = is_directory(place, "log");
    bool has_new = is_directory(place, "log.new");
    bool has_old = is_directory(place, "log.old");
    if ((has_log && has_new && has_old) || (!has_log && has_new != has_old)) {
        output_damage(place->output, "log", NO_OFFSET, REMEDY_LOG,
                      "of log, log.new and log.old there are those that no move leaves");
        return NULL;
    }
    if (has_new || has_old) {
        output_note(place->output, has_old ? "log.old" : "log.new", NO_OFFSET,
                    "the log was being moved to the other kind; the next start ends that");
    }
    return has_log || !has_new ? "log" : "log.new";
}

/* Looks at the log in `directory`, whose names are given. */
static void inspect_directory(const struct place *place, const struct request *request,
                              const char *directory, const struct names *names,
                              uint64_t applied_index, struct log_facts *out)
{
    bool has_segments = false;
    bool has_rocksdb = false;
    for (size_t i = 0; i < names->count; i++) {
        uint64_t number;
        has_segments |= name_number(names->list[i], "segment-", 16, &number) ||
                        name_number(names->list[i], "spare-", 16, &number);
        has_rocksdb |= strcmp(names->list[i], "CURRENT") == 0;
    }
    if (has_segments && has_rocksdb) {
        output_damage(place->output, directory, NO_OFFSET, REMEDY_LOG,
                      "both kinds of log are in one directory");
        out->is_whole = false;
    } else if (has_segments) {
        inspect_segments(place, request, directory, applied_index, out);
    } else if (has_rocksdb) {
        inspect_rocksdb_log(place, request, directory, applied_index, out);
    } else if (names->count > 0) {
        output_damage(place->output, directory, NO_OFFSET, REMEDY_LOG,
                      "there are files, but neither segments nor a RocksDB database");
        out->is_whole = false;
    } else if (request->log) {
        output_begin(place->output, "log");
        output_text(place->output, "log", "none");
        output_end(place->output);
    }
}

void inspect_log(const struct place *place, const struct request *request, uint64_t applied_index,
                 struct log_facts *out)
{
    *out = (struct log_facts){.is_whole = true};
    const char *directory = find_log(place);
    struct names names = {NULL, 0};
    if (directory == NULL || place_list(place, directory, &names) == LOAD_FAILED) {
        out->is_whole = false;
        return;
    }
    inspect_directory(place, request, directory, &names, applied_index, out);
    names_free(&names);
}
