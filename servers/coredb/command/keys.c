/* Finds the keys of a request by the specifications of its command. */
#include "coredb/base/bytes.h"
#include "coredb/base/number.h"
#include "coredb/command/command.h"

#include <string.h>

/* Where keys are collected. */
struct found {
    size_t *out;
    uint32_t *flags;
    size_t capacity;
    size_t count;
};

static void add(struct found *found, size_t position, uint32_t flags)
{
    if (found->count < found->capacity) {
        found->out[found->count] = position;
        if (found->flags != NULL) {
            found->flags[found->count] = flags;
        }
    }
    found->count++;
}

/* The argument that the specification counts from; 0: its keyword is not there. */
static size_t find_begin(const struct key_spec *spec, const rr_bytes *argv, size_t argc)
{
    if (spec->keyword == NULL) {
        return (size_t)spec->begin;
    }
    bool backwards = spec->begin < 0;
    size_t back = backwards ? (size_t)-spec->begin : 0;
    size_t i = backwards ? (back < argc ? argc - back : 0) : (size_t)spec->begin;
    while (i > 0 && i < argc) {
        if (bytes_is(argv[i], spec->keyword)) {
            return i + 1 < argc ? i + 1 : 0;
        }
        i = backwards ? i - 1 : i + 1;
    }
    return 0;
}

static void find_range(const struct key_spec *spec, size_t begin, size_t argc, struct found *found)
{
    size_t last = begin + (size_t)(spec->last > 0 ? spec->last : 0);
    if (spec->last < 0) {
        size_t left = argc - begin;
        size_t taken = spec->last == -1 && spec->limit > 1 ? left / (size_t)spec->limit
                                                           : left - (size_t)(-spec->last - 1);
        if (left < (size_t)(-spec->last - 1) || taken == 0) {
            return;
        }
        last = begin + taken - 1;
    }
    for (size_t i = begin; i <= last && i < argc; i += (size_t)spec->step) {
        add(found, i, spec->flags);
    }
}

/* False: the number of keys is none, or too many. */
static bool find_counted(const struct key_spec *spec, const rr_bytes *argv, size_t begin,
                         size_t argc, struct found *found)
{
    size_t at = begin + (size_t)spec->last;
    size_t first = begin + (size_t)spec->first;
    int64_t count = 0;
    if (at >= argc || !number_parse_i64(argv[at], &count) || count < 0 ||
        (count > 0 && (first >= argc || (uint64_t)count > argc - first))) {
        return false;
    }
    for (int64_t i = 0; i < count; i++) {
        size_t position = first + (size_t)(i * spec->step);
        if (position < argc) {
            add(found, position, spec->flags);
        }
    }
    return true;
}

/* BITFIELD reads unless something other than GET and OVERFLOW stands among its operations. */
static bool bitfield_only_reads(const rr_bytes *argv, size_t argc)
{
    size_t i = 2;
    while (i < argc) {
        if (bytes_is(argv[i], "get") && i + 2 < argc) {
            i += 3;
        } else if (bytes_is(argv[i], "overflow") && i + 1 < argc) {
            i += 2;
        } else {
            return false;
        }
    }
    return true;
}

/* SET only overwrites unless GET is among its options. */
static bool set_reads(const rr_bytes *argv, size_t argc)
{
    for (size_t i = 3; i < argc; i++) {
        if (bytes_is(argv[i], "get")) {
            return true;
        }
    }
    return false;
}

/* How the keys are used by commands whose options decide it (KEY_VARIABLE): SET and BITFIELD. */
static uint32_t flags_by_options(const struct command *command, const rr_bytes *argv, size_t argc)
{
    if (strcmp(command->name, "set") == 0 && !set_reads(argv, argc)) {
        return KEY_OW | KEY_UPDATE;
    }
    if (strcmp(command->name, "bitfield") == 0 && bitfield_only_reads(argv, argc)) {
        return KEY_RO | KEY_ACCESS;
    }
    return KEY_RW | KEY_ACCESS | KEY_UPDATE;
}

int command_keys(const struct command *command, const rr_bytes *argv, size_t argc, size_t *out,
                 uint32_t *flags, size_t capacity)
{
    struct found found = {out, flags, capacity, 0};
    for (size_t i = 0; i < COMMAND_KEY_SPECS; i++) {
        const struct key_spec *spec = &command->keys[i];
        if (spec->find == KEYS_NONE) {
            break;
        }
        size_t begin = spec->find == KEYS_UNKNOWN ? 0 : find_begin(spec, argv, argc);
        if (begin == 0 || begin >= argc) {
            continue;
        }
        if (spec->find == KEYS_RANGE) {
            size_t before = found.count;
            find_range(spec, begin, argc, &found);
            if ((spec->flags & KEY_VARIABLE) != 0 && flags != NULL && found.count > before &&
                before < capacity) {
                flags[before] = flags_by_options(command, argv, argc);
            }
        } else if (!find_counted(spec, argv, begin, argc, &found)) {
            return -1;
        }
    }
    return (int)found.count;
}
