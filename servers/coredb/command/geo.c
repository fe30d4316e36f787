/* Geo: adding, positions, distances; and the rows of all geo commands. */
#include "coredb/command/geo.h"

#include "coredb/base/bytes.h"
#include "coredb/base/number.h"
#include "coredb/command/zset.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

/* ---- Arguments and replies ---- */

bool geo_argument_point(struct exec *exec, size_t i, struct geo_point *out)
{
    if (!exec_double(exec, i, &out->longitude) || !exec_double(exec, i + 1, &out->latitude)) {
        return false;
    }
    if (!geo_is_valid(*out)) {
        reply_error(exec->reply, "ERR invalid longitude,latitude pair %f,%f", out->longitude,
                    out->latitude);
        return false;
    }
    return true;
}

bool geo_argument_unit(struct exec *exec, size_t i, double *metres)
{
    static const struct {
        const char *name;
        double metres;
    } units[] = {{"m", 1}, {"km", 1000}, {"ft", 0.3048}, {"mi", 1609.34}};
    for (size_t unit = 0; unit < sizeof units / sizeof units[0]; unit++) {
        if (exec_is(exec, i, units[unit].name)) {
            *metres = units[unit].metres;
            return true;
        }
    }
    reply_error(exec->reply, "ERR unsupported unit provided. please use M, KM, FT, MI");
    return false;
}

void geo_reply_distance(struct reply *reply, double distance)
{
    /* Scaled and rounded, which differs from "%.4f" now and then; at most half the equator in feet. */
    char text[NUMBER_TEXT_MAX];
    long long scaled = llrint(distance * 10000);
    int size = snprintf(text, sizeof text, "%lld.%04lld", scaled / 10000, scaled % 10000);
    reply_bulk(reply, (rr_bytes){text, size > 0 ? (size_t)size : 0});
}

static void reply_coordinate(struct reply *reply, double value)
{
    char text[NUMBER_LONG_DOUBLE_MAX];
    size_t size = number_print_long_double((long double)value, text);
    if (reply->protocol == 2) {
        reply_bulk(reply, (rr_bytes){text, size});
        return;
    }
    buffer_append_byte(&reply->out, ',');
    buffer_append(&reply->out, text, size);
    buffer_append_text(&reply->out, "\r\n");
}

void geo_reply_point(struct reply *reply, struct geo_point point)
{
    reply_array(reply, 2);
    reply_coordinate(reply, point.longitude);
    reply_coordinate(reply, point.latitude);
}

/* ---- GEOADD ---- */

static void add_points(struct exec *exec, uint32_t flags, size_t first, size_t count)
{
    double *scores = malloc(count * sizeof *scores);
    if (scores == NULL) {
        store_fail(exec->store, RR_NO_MEMORY);
        return;
    }
    bool fine = true;
    for (size_t i = 0; i < count && fine; i++) {
        struct geo_point point;
        fine = geo_argument_point(exec, first + 3 * i, &point);
        scores[i] = fine ? geo_encode(point) : 0;
    }
    if (fine) {
        zset_add_all(exec, flags, scores, first + 2, 3, count);
    }
    free(scores);
}

static void geoadd(struct exec *exec)
{
    uint32_t flags = 0;
    size_t first = 2;
    for (;; first++) {
        if (exec_is(exec, first, "nx")) {
            flags |= ZSET_ADD_NX;
        } else if (exec_is(exec, first, "xx")) {
            flags |= ZSET_ADD_XX;
        } else if (exec_is(exec, first, "ch")) {
            flags |= ZSET_ADD_CH;
        } else {
            break;
        }
    }
    bool both = (flags & ZSET_ADD_NX) != 0 && (flags & ZSET_ADD_XX) != 0;
    size_t left = exec->argc - first;
    if (both || left == 0 || left % 3 != 0) {
        reply_error_syntax(exec->reply);
        return;
    }
    add_points(exec, flags, first, left / 3);
}

/* ---- Reading ---- */

static void reply_hash(struct reply *reply, double score)
{
    char text[GEO_TEXT_SIZE];
    geo_print(score, text);
    reply_bulk(reply, (rr_bytes){text, sizeof text});
}

static void geohash(struct exec *exec)
{
    struct key key;
    if (exec_open(exec, 1, VALUE_ZSET, &key)) {
        reply_array(exec->reply, exec->argc - 2);
        for (size_t i = 2; i < exec->argc; i++) {
            double score;
            if (zset_find(exec->store, &key, exec->argv[i], &score)) {
                reply_hash(exec->reply, score);
            } else {
                reply_null(exec->reply);
            }
        }
    }
    key_close(&key);
}

static void geopos(struct exec *exec)
{
    struct key key;
    if (exec_open(exec, 1, VALUE_ZSET, &key)) {
        reply_array(exec->reply, exec->argc - 2);
        for (size_t i = 2; i < exec->argc; i++) {
            double score;
            if (zset_find(exec->store, &key, exec->argv[i], &score)) {
                geo_reply_point(exec->reply, geo_decode(score));
            } else {
                reply_null_array(exec->reply);
            }
        }
    }
    key_close(&key);
}

static void geodist(struct exec *exec)
{
    double metres = 1;
    if (exec->argc > 5) {
        reply_error_syntax(exec->reply);
        return;
    }
    if (exec->argc == 5 && !geo_argument_unit(exec, 4, &metres)) {
        return;
    }
    struct key key;
    if (exec_open(exec, 1, VALUE_ZSET, &key)) {
        double first;
        double second;
        if (zset_find(exec->store, &key, exec->argv[2], &first) &&
            zset_find(exec->store, &key, exec->argv[3], &second)) {
            double distance = geo_distance(geo_decode(first), geo_decode(second));
            geo_reply_distance(exec->reply, distance / metres);
        } else {
            reply_null(exec->reply);
        }
    }
    key_close(&key);
}

/* ---- Rows ---- */

#define READ COMMAND_READONLY
#define GROWS (COMMAND_WRITE | COMMAND_DENYOOM)
#define KEY_READ KEY_SPEC(KEY_RO | KEY_ACCESS, 1, 0, 1)
#define KEY_AFTER(word_, begin_)                                                                   \
    {                                                                                              \
        .flags = KEY_OW | KEY_UPDATE, .begin = (begin_), .keyword = (word_), .find = KEYS_RANGE,   \
        .last = 0, .step = 1                                                                       \
    }
#define ROW(name_, arity_, flags_, since_, summary_, complexity_, run_, ...)                       \
    {                                                                                              \
        .name = (name_), .arity = (arity_), .flags = (flags_), .group = "geo", .since = (since_),  \
        .summary = (summary_), .complexity = (complexity_), .run = (run_), .keys = __VA_ARGS__     \
    }

#define TIES_NOTE                                                                                  \
    "with COUNT, which of several members at the same distance are answered may differ"
#define SEARCH_COST "O(N + log M), N members near the shape, M in all"

const struct command commands_geo[] = {
    ROW("geoadd", -5, GROWS, "3.2.0", "Adds members at positions, or moves them.",
        "O(log N) per member", geoadd, {KEY_SPEC(KEY_RW | KEY_UPDATE, 1, 0, 1)}),
    ROW("geodist", -4, READ, "3.2.0", "Gives the distance of two members.", "O(1)", geodist,
        {KEY_READ}),
    ROW("geohash", -2, READ, "3.2.0", "Gives positions as standard geohash text.",
        "O(1) per member", geohash, {KEY_READ}),
    ROW("geopos", -2, READ, "3.2.0", "Gives longitudes and latitudes.", "O(1) per member", geopos,
        {KEY_READ}),
    ROW("georadius", -6, GROWS | COMMAND_MOVABLE_KEYS, "3.2.0",
        "Gives or stores the members around a position.", SEARCH_COST, command_georadius,
        {KEY_READ, KEY_AFTER("STORE", 6), KEY_AFTER("STOREDIST", 6)}, .note = TIES_NOTE),
    ROW("georadius_ro", -6, READ, "3.2.10", "Gives the members around a position.", SEARCH_COST,
        command_georadius_ro, {KEY_READ}, .note = TIES_NOTE),
    ROW("georadiusbymember", -5, GROWS | COMMAND_MOVABLE_KEYS, "3.2.0",
        "Gives or stores the members around a member.", SEARCH_COST, command_georadiusbymember,
        {KEY_READ, KEY_AFTER("STORE", 5), KEY_AFTER("STOREDIST", 5)}, .note = TIES_NOTE),
    ROW("georadiusbymember_ro", -5, READ, "3.2.10", "Gives the members around a member.",
        SEARCH_COST, command_georadiusbymember_ro, {KEY_READ}, .note = TIES_NOTE),
    ROW("geosearch", -7, READ, "6.2.0", "Gives the members in a circle or a box.", SEARCH_COST,
        command_geosearch, {KEY_READ}, .note = TIES_NOTE),
    ROW("geosearchstore", -8, GROWS, "6.2.0", "Stores the members in a circle or a box.",
        SEARCH_COST, command_geosearchstore,
        {KEY_SPEC(KEY_OW | KEY_UPDATE, 1, 0, 1), KEY_SPEC(KEY_RO | KEY_ACCESS, 2, 0, 1)},
        .note = TIES_NOTE),
    {.name = NULL},
};
