/* Geo: searches by radius and box, answered or stored. */
#include "coredb/command/geo.h"

#include "coredb/base/bytes.h"
#include "coredb/base/number.h"
#include "coredb/command/zset.h"

#include <math.h>
#include <stdlib.h>

enum order { ORDER_NONE, ORDER_ASCENDING, ORDER_DESCENDING };

enum search_kind {
    SEARCH_AROUND_POINT,  /* GEORADIUS */
    SEARCH_AROUND_MEMBER, /* GEORADIUSBYMEMBER */
    SEARCH_SHAPE,         /* GEOSEARCH */
};

struct search {
    struct exec *exec;
    enum search_kind kind;
    bool is_store_command; /* GEOSEARCHSTORE */
    bool may_store;        /* STORE and STOREDIST are options */
    size_t store_at;       /* the argument that is the destination; 0: none */
    bool store_distance;
    struct key key;

    struct geo_shape shape;
    double unit; /* in metres */
    bool has_member;
    bool has_point;
    bool has_radius;
    bool has_box;

    bool with_distance;
    bool with_hash;
    bool with_point;
    bool any;
    enum order order;
    uint64_t count; /* 0: all */

    struct zset_entries found; /* in the order of their finding; `places` tell more */
    struct place *places;
    size_t place_capacity;
};

/* What is known of a member that was found. */
struct place {
    struct geo_point point;
    double distance; /* metres */
    double score;
    size_t entry; /* in `found` */
};

/* ---- Arguments ---- */

/* Reads a length of the shape in the unit that follows; false: answered `text`. */
static bool parse_length(struct search *search, size_t i, const char *text, double *out)
{
    if (!number_parse_double(search->exec->argv[i], out)) {
        reply_error(search->exec->reply, "%s", text);
        return false;
    }
    return true;
}

static bool parse_radius(struct search *search, size_t i)
{
    double radius;
    if (!parse_length(search, i, "ERR need numeric radius", &radius)) {
        return false;
    }
    if (radius < 0) {
        reply_error(search->exec->reply, "ERR radius cannot be negative");
        return false;
    }
    if (!geo_argument_unit(search->exec, i + 1, &search->unit)) {
        return false;
    }
    search->shape.is_box = false;
    search->shape.radius = radius * search->unit;
    search->has_radius = true;
    return true;
}

static bool parse_box(struct search *search, size_t i)
{
    double width;
    double height;
    if (!parse_length(search, i, "ERR need numeric width", &width) ||
        !parse_length(search, i + 1, "ERR need numeric height", &height)) {
        return false;
    }
    if (width < 0 || height < 0) {
        reply_error(search->exec->reply, "ERR height or width cannot be negative");
        return false;
    }
    if (!geo_argument_unit(search->exec, i + 2, &search->unit)) {
        return false;
    }
    search->shape.is_box = true;
    search->shape.width = width * search->unit;
    search->shape.height = height * search->unit;
    search->has_box = true;
    return true;
}

/* Takes the position of argv[i] as the center; an absent key has none, which is told later. */
static bool parse_member(struct search *search, size_t i)
{
    double score;
    search->has_member = true;
    if (search->key.type == VALUE_NONE) {
        return true;
    }
    if (!zset_find(search->exec->store, &search->key, search->exec->argv[i], &score)) {
        reply_error(search->exec->reply, "ERR could not decode requested zset member");
        return false;
    }
    search->shape.center = geo_decode(score);
    return true;
}

static bool parse_count(struct search *search, size_t i)
{
    int64_t count;
    if (!exec_integer(search->exec, i, &count)) {
        return false;
    }
    if (count <= 0) {
        reply_error(search->exec->reply, "ERR COUNT must be > 0");
        return false;
    }
    search->count = (uint64_t)count;
    return true;
}

/* Options without arguments. */
static bool parse_word(struct search *search, size_t i)
{
    struct exec *exec = search->exec;
    if (exec_is(exec, i, "withdist")) {
        search->with_distance = true;
    } else if (exec_is(exec, i, "withhash")) {
        search->with_hash = true;
    } else if (exec_is(exec, i, "withcoord")) {
        search->with_point = true;
    } else if (exec_is(exec, i, "any")) {
        search->any = true;
    } else if (exec_is(exec, i, "asc")) {
        search->order = ORDER_ASCENDING;
    } else if (exec_is(exec, i, "desc")) {
        search->order = ORDER_DESCENDING;
    } else if (search->is_store_command && exec_is(exec, i, "storedist")) {
        search->store_distance = true;
    } else {
        return false;
    }
    return true;
}

/* Reads the option at *i and moves it to its last argument; false: answered. */
static bool parse_option(struct search *search, size_t *i)
{
    struct exec *exec = search->exec;
    size_t at = *i;
    size_t left = exec->argc - at - 1;
    bool shaped = search->kind == SEARCH_SHAPE;
    if (parse_word(search, at)) {
        return true;
    }
    if (left >= 1 && exec_is(exec, at, "count")) {
        *i += 1;
        return parse_count(search, at + 1);
    }
    bool distance = exec_is(exec, at, "storedist");
    if (left >= 1 && search->may_store && (distance || exec_is(exec, at, "store"))) {
        *i += 1;
        search->store_at = at + 1;
        search->store_distance = distance;
        return true;
    }
    if (left >= 1 && shaped && !search->has_point && exec_is(exec, at, "frommember")) {
        *i += 1;
        return parse_member(search, at + 1);
    }
    if (left >= 2 && shaped && !search->has_member && exec_is(exec, at, "fromlonlat")) {
        *i += 2;
        search->has_point = true;
        return geo_argument_point(exec, at + 1, &search->shape.center);
    }
    if (left >= 2 && shaped && !search->has_box && exec_is(exec, at, "byradius")) {
        *i += 2;
        return parse_radius(search, at + 1);
    }
    if (left >= 3 && shaped && !search->has_radius && exec_is(exec, at, "bybox")) {
        *i += 3;
        return parse_box(search, at + 1);
    }
    reply_error_syntax(exec->reply);
    return false;
}

/* What stands before the options; *i is moved behind it. False: answered. */
static bool parse_fixed(struct search *search, size_t *i)
{
    switch (search->kind) {
    case SEARCH_AROUND_POINT:
        *i = 6;
        return geo_argument_point(search->exec, 2, &search->shape.center) &&
               parse_radius(search, 4);
    case SEARCH_AROUND_MEMBER:
        *i = 5;
        return search->key.type == VALUE_NONE ||
               (parse_member(search, 2) && parse_radius(search, 3));
    case SEARCH_SHAPE:
        *i = search->is_store_command ? 3 : 2;
        return true;
    }
    return false;
}

static bool check_search(struct search *search)
{
    struct reply *reply = search->exec->reply;
    rr_bytes name = search->exec->argv[0];
    int name_size = name.size < 128 ? (int)name.size : 128;
    if (search->store_at != 0 &&
        (search->with_distance || search->with_hash || search->with_point)) {
        reply_error(reply, "ERR %s is not compatible with WITHDIST, WITHHASH and WITHCOORD options",
                    search->is_store_command ? "GEOSEARCHSTORE" : "STORE option in GEORADIUS");
        return false;
    }
    if (search->kind == SEARCH_SHAPE && !search->has_member && !search->has_point) {
        reply_error(reply, "ERR exactly one of FROMMEMBER or FROMLONLAT can be specified for %.*s",
                    name_size, (const char *)name.data);
        return false;
    }
    if (search->kind == SEARCH_SHAPE && !search->has_radius && !search->has_box) {
        reply_error(reply, "ERR exactly one of BYRADIUS and BYBOX can be specified for %.*s",
                    name_size, (const char *)name.data);
        return false;
    }
    if (search->any && search->count == 0) {
        reply_error(reply, "ERR the ANY argument requires COUNT argument");
        return false;
    }
    if (search->count > 0 && search->order == ORDER_NONE && !search->any) {
        search->order = ORDER_ASCENDING; /* the nearest are meant */
    }
    return true;
}

static bool parse_search(struct search *search)
{
    size_t i = 0;
    if (!parse_fixed(search, &i)) {
        return false;
    }
    for (; i < search->exec->argc; i++) {
        if (!parse_option(search, &i)) {
            return false;
        }
    }
    return check_search(search);
}

/* ---- Finding ---- */

static bool has_enough(const struct search *search)
{
    return search->any && search->found.count >= search->count;
}

static bool add_place(struct search *search, struct place place)
{
    size_t count = search->found.count;
    if (count == search->place_capacity) {
        size_t capacity = count == 0 ? 16 : count * 2;
        struct place *places = realloc(search->places, capacity * sizeof *places);
        if (places == NULL) {
            search->found.failed = true;
            return false;
        }
        search->places = places;
        search->place_capacity = capacity;
    }
    place.entry = count;
    search->places[count] = place;
    return true;
}

static bool find_member(void *arg, rr_bytes member, double score)
{
    struct search *search = arg;
    struct place place = {.point = geo_decode(score), .score = score};
    if (geo_covers(&search->shape, place.point, &place.distance) && add_place(search, place)) {
        zset_entries_add(&search->found, member, score);
    }
    return !search->found.failed && !has_enough(search);
}

static int compare_distances(const void *left_place, const void *right_place)
{
    const struct place *left = left_place;
    const struct place *right = right_place;
    if (left->distance != right->distance) {
        return left->distance < right->distance ? -1 : 1;
    }
    return (left->entry > right->entry) - (left->entry < right->entry);
}

static int compare_distances_down(const void *left_place, const void *right_place)
{
    const struct place *left = left_place;
    const struct place *right = right_place;
    if (left->distance != right->distance) {
        return left->distance > right->distance ? -1 : 1;
    }
    return (left->entry > right->entry) - (left->entry < right->entry);
}

static void find(struct search *search)
{
    struct geo_cell cells[GEO_CELLS_MAX];
    size_t count = geo_cells(&search->shape, cells);
    for (size_t i = 0; i < count && !has_enough(search) && !search->found.failed; i++) {
        struct zset_range range = {.kind = ZSET_BY_SCORE,
                                   .min = {.score = cells[i].min},
                                   .max = {.score = cells[i].max, .open = true}};
        zset_visit(search->exec->store, &search->key, &range, false, find_member, search);
    }
    if (search->found.failed) {
        store_fail(search->exec->store, RR_NO_MEMORY);
        return;
    }
    zset_entries_settle(&search->found);
    if (search->order != ORDER_NONE && search->found.count > 0) {
        qsort(search->places, search->found.count, sizeof search->places[0],
              search->order == ORDER_ASCENDING ? compare_distances : compare_distances_down);
    }
}

/* ---- Answers ---- */

static size_t result_count(const struct search *search)
{
    size_t count = search->found.count;
    return search->count > 0 && search->count < count ? (size_t)search->count : count;
}

static void answer_places(struct search *search)
{
    struct reply *reply = search->exec->reply;
    size_t extras = (search->with_distance ? 1U : 0U) + (search->with_hash ? 1U : 0U) +
                    (search->with_point ? 1U : 0U);
    size_t count = result_count(search);
    reply_array(reply, count);
    for (size_t i = 0; i < count; i++) {
        const struct place *place = &search->places[i];
        if (extras > 0) {
            reply_array(reply, extras + 1);
        }
        reply_bulk(reply, zset_entry_member(&search->found.list[place->entry]));
        if (search->with_distance) {
            geo_reply_distance(reply, place->distance / search->unit);
        }
        if (search->with_hash) {
            reply_integer(reply, (int64_t)place->score);
        }
        if (search->with_point) {
            geo_reply_point(reply, place->point);
        }
    }
}

static void store_places(struct search *search)
{
    struct zset_entries entries;
    zset_entries_init(&entries);
    size_t count = result_count(search);
    for (size_t i = 0; i < count; i++) {
        const struct place *place = &search->places[i];
        double score = search->store_distance ? place->distance / search->unit : place->score;
        zset_entries_add(&entries, zset_entry_member(&search->found.list[place->entry]), score);
    }
    zset_store_entries(search->exec, search->store_at, &entries,
                       search->kind == SEARCH_SHAPE ? "geosearchstore" : "georadiusstore");
    zset_entries_deinit(&entries);
}

static void run_search(struct search *search, size_t key_at)
{
    zset_entries_init(&search->found);
    if (exec_open(search->exec, key_at, VALUE_ZSET, &search->key) && parse_search(search)) {
        if (search->key.type == VALUE_ZSET) {
            find(search);
        }
        if (search->store_at != 0) {
            store_places(search);
        } else {
            answer_places(search);
        }
    }
    key_close(&search->key);
    zset_entries_deinit(&search->found);
    free(search->places);
}

void command_georadius(struct exec *exec)
{
    struct search search = {.exec = exec, .kind = SEARCH_AROUND_POINT, .may_store = true};
    run_search(&search, 1);
}

void command_georadius_ro(struct exec *exec)
{
    struct search search = {.exec = exec, .kind = SEARCH_AROUND_POINT};
    run_search(&search, 1);
}

void command_georadiusbymember(struct exec *exec)
{
    struct search search = {.exec = exec, .kind = SEARCH_AROUND_MEMBER, .may_store = true};
    run_search(&search, 1);
}

void command_georadiusbymember_ro(struct exec *exec)
{
    struct search search = {.exec = exec, .kind = SEARCH_AROUND_MEMBER};
    run_search(&search, 1);
}

void command_geosearch(struct exec *exec)
{
    struct search search = {.exec = exec, .kind = SEARCH_SHAPE};
    run_search(&search, 1);
}

void command_geosearchstore(struct exec *exec)
{
    struct search search = {
        .exec = exec, .kind = SEARCH_SHAPE, .is_store_command = true, .store_at = 1};
    run_search(&search, 2);
}
