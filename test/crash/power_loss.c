/*
 * Plays a loss of power: turns the files under a root into what a disk may hold of them, by the
 * journal that disk_shim.so has kept. README.md has the model. No process may be using the root.
 *
 *     power-loss settle ROOT JOURNAL                only ends what a kill has left open in the journal
 *     power-loss ordered|any ROOT JOURNAL SEED [IN_ORDER...]
 *                                                   loses, and begins a new journal; the bytes of
 *                                                   files whose path matches an IN_ORDER are lost
 *                                                   from the end on
 *
 * Prints what was lost, as one line of JSON.
 */
#include "power_loss.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static uint64_t random_state;
char **in_order;

struct counts counts;

void fail(const char *format, ...)
{
    va_list list;
    va_start(list, format);
    fprintf(stderr, "power-loss: ");
    vfprintf(stderr, format, list);
    fprintf(stderr, " (%s)\n", strerror(errno));
    va_end(list);
    exit(1);
}

uint64_t draw(uint64_t limit)
{
    random_state += 0x9E3779B97F4A7C15ULL;
    uint64_t x = random_state;
    x = (x ^ x >> 30) * 0xBF58476D1CE4E5B9ULL;
    x = (x ^ x >> 27) * 0x94D049BB133111EBULL;
    return (x ^ x >> 31) % limit;
}

bool keeps(uint64_t chance)
{
    return draw(8) < chance;
}

void *allocate(size_t size)
{
    void *memory = calloc(1, size + 1);
    if (memory == NULL) {
        fail("no memory");
    }
    return memory;
}

/* --- The journal --- */

struct change *changes;
size_t change_count;
static uint64_t journal_end; /* whole records */

static char *text_of(const uint8_t *bytes, uint32_t size)
{
    char *text = allocate(size);
    memcpy(text, bytes, size);
    return text;
}

static bool is_name(const struct change *change)
{
    return change->record.type >= SHIM_RECORD_CREATE && change->record.type <= SHIM_RECORD_REMOVE;
}

static uint8_t *read_file(const char *path, size_t *size)
{
    struct stat status;
    int fd = open(path, O_RDONLY);
    if (fd < 0 || fstat(fd, &status) != 0) {
        fail("cannot open %s", path);
    }
    *size = (size_t)status.st_size;
    uint8_t *bytes = allocate(*size);
    if (read(fd, bytes, *size) != (ssize_t)*size) {
        fail("cannot read %s", path);
    }
    close(fd);
    return bytes;
}

static void load(const char *path)
{
    size_t size;
    uint8_t *bytes = read_file(path, &size);
    changes = allocate(size / sizeof(struct shim_record) * sizeof(*changes));
    while (size - journal_end >= sizeof(struct shim_record)) {
        struct change *change = &changes[change_count];
        struct shim_record *record = &change->record;
        memcpy(record, bytes + journal_end, sizeof(*record));
        if (record->magic != SHIM_RECORD_MAGIC) {
            fail("%s: no record at %llu", path, (unsigned long long)journal_end);
        }
        const uint8_t *tail = bytes + journal_end + sizeof(*record);
        uint64_t whole = sizeof(*record) + record->name_sizes[0] + record->name_sizes[1];
        whole += record->byte_count;
        if (size - journal_end < whole) {
            break;
        }
        change->at = journal_end;
        change->names[0] = text_of(tail, record->name_sizes[0]);
        change->names[1] = text_of(tail + record->name_sizes[0], record->name_sizes[1]);
        change->bytes = tail + record->name_sizes[0] + record->name_sizes[1];
        journal_end += whole;
        change_count++;
    }
}

/* --- Names --- */

struct name {
    uint64_t directory;
    char *text;
    uint64_t inode;
};

struct names {
    struct name *list;
    size_t count;
    size_t room;
};

static struct place *places;
static size_t place_count;
static size_t place_room;

static struct name *find_name(struct names *names, uint64_t directory, const char *text)
{
    for (size_t i = 0; i < names->count; i++) {
        if (names->list[i].directory == directory && strcmp(names->list[i].text, text) == 0) {
            return &names->list[i];
        }
    }
    return NULL;
}

static void remove_name(struct names *names, uint64_t directory, const char *text)
{
    struct name *name = find_name(names, directory, text);
    if (name != NULL) {
        *name = names->list[--names->count];
    }
}

static void set_name(struct names *names, uint64_t directory, const char *text, uint64_t inode)
{
    remove_name(names, directory, text);
    if (names->count == names->room) {
        names->room = names->room * 2 + 64;
        names->list = realloc(names->list, names->room * sizeof(*names->list));
        if (names->list == NULL) {
            fail("no memory");
        }
    }
    names->list[names->count++] = (struct name){directory, strdup(text), inode};
}

const struct place *find_place(uint64_t inode)
{
    for (size_t i = 0; i < place_count; i++) {
        if (places[i].inode == inode) {
            return &places[i];
        }
    }
    return NULL;
}

static void add_place(uint64_t inode, const char *path, bool is_directory)
{
    if (place_count == place_room) {
        place_room = place_room * 2 + 64;
        places = realloc(places, place_room * sizeof(*places));
        if (places == NULL) {
            fail("no memory");
        }
    }
    places[place_count++] = (struct place){inode, strdup(path), is_directory};
}

/* Finds everything under `path`; into `names`, too, unless that is NULL. */
static void scan(const char *path, uint64_t inode, struct names *names)
{
    DIR *stream = opendir(path);
    if (stream == NULL) {
        fail("cannot read %s", path);
    }
    for (struct dirent *entry; (entry = readdir(stream)) != NULL;) {
        char child[PATH_MAX];
        struct stat status;
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0) {
            continue;
        }
        if (snprintf(child, sizeof(child), "%s/%s", path, entry->d_name) >= PATH_MAX ||
            lstat(child, &status) != 0) {
            fail("cannot look at %s", child);
        }
        bool directory = S_ISDIR(status.st_mode);
        add_place(status.st_ino, child, directory);
        if (names != NULL) {
            set_name(names, inode, entry->d_name, status.st_ino);
        }
        if (directory) {
            scan(child, status.st_ino, names);
        }
    }
    closedir(stream);
}

static void apply(struct names *names, const struct change *change)
{
    const struct shim_record *record = &change->record;
    const struct name *name = find_name(names, record->directories[0], change->names[0]);
    switch (record->type) {
    case SHIM_RECORD_CREATE:
    case SHIM_RECORD_LINK:
        set_name(names, record->directories[0], change->names[0], record->inode);
        return;
    case SHIM_RECORD_RENAME:
        if (name != NULL && name->inode == record->inode) {
            remove_name(names, record->directories[0], change->names[0]);
            set_name(names, record->directories[1], change->names[1], record->inode);
        }
        return;
    case SHIM_RECORD_REMOVE:
        if (name != NULL && name->inode == record->inode) {
            remove_name(names, record->directories[0], change->names[0]);
        }
        return;
    default:
        fail("no change of names");
    }
}

/* Whether the change of names that the journal ends with was made before the process was killed. */
static bool was_made(struct change *change, struct names *now)
{
    struct shim_record *record = &change->record;
    bool renamed = record->type == SHIM_RECORD_RENAME;
    const struct name *name = find_name(now, record->directories[renamed], change->names[renamed]);
    switch (record->type) {
    case SHIM_RECORD_CREATE:
    case SHIM_RECORD_LINK:
        record->inode = name == NULL ? 0 : name->inode;
        return name != NULL;
    case SHIM_RECORD_RENAME:
        return name != NULL && name->inode == record->inode;
    default:
        return name == NULL;
    }
}

static void cut_journal(const char *path, const struct shim_record *last)
{
    int fd = open(path, O_WRONLY);
    if (fd < 0 || ftruncate(fd, (off_t)journal_end) != 0) {
        fail("cannot cut %s", path);
    }
    if (last != NULL &&
        pwrite(fd, last, sizeof(*last), (off_t)journal_end) != (ssize_t)sizeof(*last)) {
        fail("cannot write %s", path);
    }
    close(fd);
}

/* Brings DONE and CANCEL to what they end, and ends the last change if the kill came before that. */
static void settle(const char *journal, struct names *now)
{
    struct change *open_change = NULL;
    for (size_t i = 0; i < change_count; i++) {
        struct change *change = &changes[i];
        uint32_t type = change->record.type;
        if (type == SHIM_RECORD_DONE || type == SHIM_RECORD_CANCEL) {
            if (open_change == NULL) {
                fail("the journal ends what did not begin");
            }
            open_change->made = type == SHIM_RECORD_DONE;
            open_change->record.inode = change->record.inode;
            open_change = NULL;
        } else if (open_change != NULL) {
            fail("the journal goes on after a change that did not end");
        }
        open_change = is_name(change) ? change : open_change;
    }
    struct shim_record last = {.magic = SHIM_RECORD_MAGIC, .type = SHIM_RECORD_CANCEL};
    if (open_change != NULL && was_made(open_change, now)) {
        open_change->made = true;
        last.type = SHIM_RECORD_DONE;
        last.inode = open_change->record.inode;
    }
    cut_journal(journal, open_change == NULL ? NULL : &last);
}

/* --- Names that survive --- */

static bool synced_name(const struct change *change, bool ordered)
{
    const struct shim_record *record = &change->record;
    for (const struct change *sync = change + 1; sync < changes + change_count; sync++) {
        bool one = sync->record.inode == record->directories[0];
        if (sync->record.type == SHIM_RECORD_NAMES && sync->record.upto > change->at &&
            (ordered || one || sync->record.inode == record->directories[1])) {
            return true;
        }
    }
    return false;
}

/* The names before the journal began: those of now, with all changes taken back. */
static void base_names(const struct names *now, struct names *base)
{
    for (size_t i = 0; i < now->count; i++) {
        set_name(base, now->list[i].directory, now->list[i].text, now->list[i].inode);
    }
    for (size_t i = change_count; i-- > 0;) {
        const struct shim_record *record = &changes[i].record;
        const char *const *names = changes[i].names;
        if (!is_name(&changes[i]) || !changes[i].made) {
            continue;
        }
        switch (record->type) {
        case SHIM_RECORD_CREATE:
        case SHIM_RECORD_LINK:
            remove_name(base, record->directories[0], names[0]);
            break;
        case SHIM_RECORD_RENAME:
            remove_name(base, record->directories[1], names[1]);
            if (record->replaced != 0) {
                set_name(base, record->directories[1], names[1], record->replaced);
            }
            set_name(base, record->directories[0], names[0], record->inode);
            break;
        default:
            set_name(base, record->directories[0], names[0], record->inode);
        }
    }
}

static void choose_names(struct names *target, bool ordered)
{
    uint64_t chance = draw(9);
    bool lost_one = false;
    for (size_t i = 0; i < change_count; i++) {
        if (!is_name(&changes[i]) || !changes[i].made) {
            continue;
        }
        bool durable = synced_name(&changes[i], ordered);
        bool kept = durable || (keeps(chance) && !(ordered && lost_one));
        counts.names += !durable;
        counts.names_lost += !kept;
        lost_one = lost_one || !kept;
        if (kept) {
            apply(target, &changes[i]);
        }
    }
}

static void make_directory(const char *path)
{
    if (mkdir(path, 0750) != 0) {
        fail("cannot create %s", path);
    }
}

/* Builds the directory `inode` at `path`, by further links to the files. */
static void build(const struct names *names, uint64_t inode, const char *path)
{
    make_directory(path);
    for (size_t i = 0; i < names->count; i++) {
        const struct name *name = &names->list[i];
        char child[PATH_MAX];
        if (name->directory != inode) {
            continue;
        }
        const struct place *place = find_place(name->inode);
        if (place == NULL ||
            snprintf(child, sizeof(child), "%s/%s", path, name->text) >= PATH_MAX) {
            fail("nothing is known of %s", name->text);
        }
        if (place->is_directory) {
            build(names, name->inode, child);
        } else if (link(place->path, child) != 0) {
            fail("cannot link %s to %s", place->path, child);
        }
    }
}

/* --- All of it --- */

static void remove_tree(const char *path)
{
    struct stat status;
    if (lstat(path, &status) != 0) {
        return;
    }
    if (S_ISDIR(status.st_mode)) {
        DIR *stream = opendir(path);
        for (struct dirent *entry; stream != NULL && (entry = readdir(stream)) != NULL;) {
            char child[PATH_MAX];
            if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0 &&
                snprintf(child, sizeof(child), "%s/%s", path, entry->d_name) < PATH_MAX) {
                remove_tree(child);
            }
        }
        closedir(stream);
    }
    if (remove(path) != 0) {
        fail("cannot remove %s", path);
    }
}

static void lose(const char *root, uint64_t root_inode, const char *journal_directory,
                 const struct names *now, bool ordered)
{
    char kept[PATH_MAX];
    char built[PATH_MAX];
    struct names target = {0};
    snprintf(kept, sizeof(kept), "%s/" SHIM_KEPT_NAME, journal_directory);
    snprintf(built, sizeof(built), "%s/built", journal_directory);
    scan(kept, 0, NULL);
    base_names(now, &target);
    choose_names(&target, ordered);
    lose_all_bytes();
    remove_tree(built);
    build(&target, root_inode, built);
    remove_tree(root);
    remove_tree(kept);
    if (rename(built, root) != 0) {
        fail("cannot put %s in its place", root);
    }
    make_directory(kept);
}

int main(int count, char **arguments)
{
    if (count < 4) {
        fprintf(stderr, "power-loss settle|ordered|any ROOT JOURNAL [SEED [IN_ORDER...]]\n");
        return 2;
    }
    const char *root = arguments[2];
    char journal[PATH_MAX];
    struct names now = {0};
    struct stat status;
    in_order = arguments + (count < 5 ? count : 5);
    random_state = count > 4 ? strtoull(arguments[4], NULL, 10) * 2654435761U + 1 : 1;
    snprintf(journal, sizeof(journal), "%s/" SHIM_JOURNAL_NAME, arguments[3]);
    if (stat(root, &status) != 0) {
        fail("no %s", root);
    }
    load(journal);
    scan(root, status.st_ino, &now);
    settle(journal, &now);
    if (strcmp(arguments[1], "settle") != 0) {
        bool ordered = strcmp(arguments[1], "ordered") == 0;
        lose(root, status.st_ino, arguments[3], &now, ordered);
        journal_end = 0;
        cut_journal(journal, NULL);
    }
    printf("{\"names\": %llu, \"names_lost\": %llu, \"files\": %llu, \"sectors\": %llu, "
           "\"sectors_lost\": %llu, \"sizes_lost\": %llu}\n",
           (unsigned long long)counts.names, (unsigned long long)counts.names_lost,
           (unsigned long long)counts.files, (unsigned long long)counts.sectors,
           (unsigned long long)counts.sectors_lost, (unsigned long long)counts.sizes_lost);
    return 0;
}
