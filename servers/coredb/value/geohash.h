/*
 * Points on the earth as 52-bit geohashes: the latitude's 26 bits and the longitude's 26 bits
 * interleaved, the longitude's being the higher of each pair. As scores of a sorted set they are
 * Redis's, so that data and answers are interchangeable. Pure functions over doubles.
 */
#ifndef COREDB_VALUE_GEOHASH_H
#define COREDB_VALUE_GEOHASH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define GEO_LONGITUDE_MAX 180.0
#define GEO_LATITUDE_MAX 85.05112878 /* of the Mercator projection */

struct geo_point {
    double longitude;
    double latitude;
};

bool geo_is_valid(struct geo_point point);

/* The point as a score, and the middle of a score's cell. Any score that is not NaN is fine. */
double geo_encode(struct geo_point point);
struct geo_point geo_decode(double score);

enum { GEO_TEXT_SIZE = 11 };
/* The standard geohash (of latitudes up to 90 degrees) as base-32 text, not terminated. */
void geo_print(double score, char out[GEO_TEXT_SIZE]);

/* The distance of two points in metres. */
double geo_distance(struct geo_point left, struct geo_point right);

/* What a search covers; lengths in metres. */
struct geo_shape {
    bool is_box;
    struct geo_point center;
    double radius; /* unless a box */
    double width;
    double height;
};

/* Whether the shape covers the point, and how far that is from the center. */
bool geo_covers(const struct geo_shape *shape, struct geo_point point, double *distance);

enum { GEO_CELLS_MAX = 9 };

/* The scores from `min` to before `max`. */
struct geo_cell {
    double min;
    double max;
};

/* The cells that together contain all points of the shape, in the order in which Redis visits
 * them; returns how many. */
size_t geo_cells(const struct geo_shape *shape, struct geo_cell out[GEO_CELLS_MAX]);

#endif
