/* Geohashes: encoding, distances, and the cells that cover a shape. */
#include "coredb/value/geohash.h"

#include <math.h>

enum { STEPS_MAX = 26 }; /* bits of each coordinate in a score */

static const double earth_radius = 6372797.560856; /* metres */
static const double mercator_max = 20037726.37;    /* metres; half the equator, about */
static const double degree = M_PI / 180.0;

static const struct geo_point score_limits = {GEO_LONGITUDE_MAX, GEO_LATITUDE_MAX};
static const struct geo_point standard_limits = {180.0, 90.0};

/* A cell of the grid with 2^steps rows and columns. */
struct cell {
    uint32_t column; /* from west to east */
    uint32_t row;    /* from south to north */
    int steps;
};

struct bounds {
    double west;
    double east;
    double south;
    double north;
};

bool geo_is_valid(struct geo_point point)
{
    return point.longitude >= -GEO_LONGITUDE_MAX && point.longitude <= GEO_LONGITUDE_MAX &&
           point.latitude >= -GEO_LATITUDE_MAX && point.latitude <= GEO_LATITUDE_MAX;
}

/* ---- Bits ---- */

/* Puts a zero above each bit. */
static uint64_t spread(uint32_t value)
{
    uint64_t bits = value;
    bits = (bits | bits << 16) & 0x0000FFFF0000FFFFULL;
    bits = (bits | bits << 8) & 0x00FF00FF00FF00FFULL;
    bits = (bits | bits << 4) & 0x0F0F0F0F0F0F0F0FULL;
    bits = (bits | bits << 2) & 0x3333333333333333ULL;
    return (bits | bits << 1) & 0x5555555555555555ULL;
}

/* The bits at even places, close together. */
static uint32_t gather(uint64_t bits)
{
    bits &= 0x5555555555555555ULL;
    bits = (bits | bits >> 1) & 0x3333333333333333ULL;
    bits = (bits | bits >> 2) & 0x0F0F0F0F0F0F0F0FULL;
    bits = (bits | bits >> 4) & 0x00FF00FF00FF00FFULL;
    bits = (bits | bits >> 8) & 0x0000FFFF0000FFFFULL;
    bits = (bits | bits >> 16) & 0x00000000FFFFFFFFULL;
    return (uint32_t)bits;
}

static uint64_t cell_bits(struct cell cell)
{
    return spread(cell.row) | spread(cell.column) << 1;
}

/* A score's bits. Scores outside of their range convert as on x86-64, the same everywhere. */
static uint64_t score_bits(double score)
{
    const double limit = 9223372036854775808.0; /* 2^63 */
    if (score >= limit) {
        double rest = score - limit;
        return rest >= limit ? 0 : (uint64_t)rest | (uint64_t)1 << 63;
    }
    return score < -limit ? (uint64_t)1 << 63 : (uint64_t)(int64_t)score;
}

/* ---- Points and cells ---- */

static struct cell cell_of(struct geo_point point, struct geo_point limits, int steps)
{
    double scale = (double)(UINT64_C(1) << steps);
    double row = (point.latitude + limits.latitude) / (limits.latitude - -limits.latitude);
    double column = (point.longitude + limits.longitude) / (limits.longitude - -limits.longitude);
    return (struct cell){(uint32_t)(column * scale), (uint32_t)(row * scale), steps};
}

static double edge(uint64_t line, int steps, double limit)
{
    double part = (double)line / (double)(UINT64_C(1) << steps);
    return -limit + part * (limit - -limit);
}

static struct bounds cell_bounds(struct cell cell)
{
    return (struct bounds){
        .west = edge(cell.column, cell.steps, score_limits.longitude),
        .east = edge((uint64_t)cell.column + 1, cell.steps, score_limits.longitude),
        .south = edge(cell.row, cell.steps, score_limits.latitude),
        .north = edge((uint64_t)cell.row + 1, cell.steps, score_limits.latitude),
    };
}

double geo_encode(struct geo_point point)
{
    return (double)cell_bits(cell_of(point, score_limits, STEPS_MAX));
}

static double clamp(double value, double limit)
{
    return value > limit ? limit : value < -limit ? -limit : value;
}

struct geo_point geo_decode(double score)
{
    uint64_t bits = score_bits(score);
    struct cell cell = {gather(bits >> 1), gather(bits), STEPS_MAX};
    struct bounds bounds = cell_bounds(cell);
    return (struct geo_point){
        .longitude = clamp((bounds.west + bounds.east) / 2, GEO_LONGITUDE_MAX),
        .latitude = clamp((bounds.south + bounds.north) / 2, GEO_LATITUDE_MAX),
    };
}

void geo_print(double score, char out[GEO_TEXT_SIZE])
{
    static const char alphabet[] = "0123456789bcdefghjkmnpqrstuvwxyz";
    uint64_t bits = cell_bits(cell_of(geo_decode(score), standard_limits, STEPS_MAX));
    /* 52 bits are ten characters of 5 bits; of the eleventh there are too few. */
    for (int i = 0; i < GEO_TEXT_SIZE - 1; i++) {
        out[i] = alphabet[bits >> (52 - 5 * (i + 1)) & 31];
    }
    out[GEO_TEXT_SIZE - 1] = alphabet[0];
}

/* ---- Distances ---- */

static double latitude_distance(double left, double right)
{
    return earth_radius * fabs(right * degree - left * degree);
}

/* The haversine formula. */
double geo_distance(struct geo_point left, struct geo_point right)
{
    double left_longitude = left.longitude * degree;
    double right_longitude = right.longitude * degree;
    double v = sin((right_longitude - left_longitude) / 2);
    if (v == 0) {
        return latitude_distance(left.latitude, right.latitude);
    }
    double left_latitude = left.latitude * degree;
    double right_latitude = right.latitude * degree;
    double u = sin((right_latitude - left_latitude) / 2);
    double a = u * u + cos(left_latitude) * cos(right_latitude) * v * v;
    /* Rounding may lead beyond 1 for opposite points. */
    return 2.0 * earth_radius * asin(a > 1 ? 1 : sqrt(a));
}

bool geo_covers(const struct geo_shape *shape, struct geo_point point, double *distance)
{
    if (!shape->is_box) {
        *distance = geo_distance(shape->center, point);
        return !(*distance > shape->radius);
    }
    if (latitude_distance(point.latitude, shape->center.latitude) > shape->height / 2) {
        return false;
    }
    struct geo_point beside = {shape->center.longitude, point.latitude};
    if (geo_distance(point, beside) > shape->width / 2) {
        return false;
    }
    *distance = geo_distance(shape->center, point);
    return true;
}

/* ---- Cells that cover a shape ---- */

static struct bounds shape_bounds(const struct geo_shape *shape)
{
    double height = shape->is_box ? shape->height / 2 : shape->radius;
    double width = shape->is_box ? shape->width / 2 : shape->radius;
    double latitude = shape->center.latitude;
    double up = height / earth_radius / degree;
    /* Meridians are closest at the edge that is nearer to a pole. */
    double outer = latitude < 0 ? latitude - up : latitude + up;
    double aside = width / earth_radius / cos(outer * degree) / degree;
    return (struct bounds){
        .west = shape->center.longitude - aside,
        .east = shape->center.longitude + aside,
        .south = latitude - up,
        .north = latitude + up,
    };
}

/* How fine the grid may be so that a cell and its neighbours are larger than the shape. */
static int estimate_steps(const struct geo_shape *shape)
{
    double reach = shape->radius;
    if (shape->is_box) {
        double half_width = shape->width / 2;
        double half_height = shape->height / 2;
        reach = sqrt(half_width * half_width + half_height * half_height);
    }
    if (reach == 0) {
        return STEPS_MAX;
    }
    int steps = 1;
    while (reach < mercator_max) {
        reach *= 2;
        steps++;
    }
    steps -= 2;
    double latitude = fabs(shape->center.latitude);
    steps -= (latitude > 66 ? 1 : 0) + (latitude > 80 ? 1 : 0);
    return steps < 1 ? 1 : steps > STEPS_MAX ? STEPS_MAX : steps;
}

/* The cell so many columns and rows away; the grid goes round. */
static struct cell cell_beside(struct cell cell, int columns, int rows)
{
    uint32_t mask = ((uint32_t)1 << cell.steps) - 1;
    if (columns != 0) {
        cell.column = (cell.column + (uint32_t)columns) & mask;
    }
    if (rows != 0) {
        cell.row = (cell.row + (uint32_t)rows) & mask;
    }
    return cell;
}

static bool reaches_beyond_neighbours(const struct bounds *shape, struct cell cell)
{
    return cell_bounds(cell_beside(cell, 0, 1)).north < shape->north ||
           cell_bounds(cell_beside(cell, 0, -1)).south > shape->south ||
           cell_bounds(cell_beside(cell, 1, 0)).east < shape->east ||
           cell_bounds(cell_beside(cell, -1, 0)).west > shape->west;
}

/* Whether the neighbour in that direction cannot contain any of the shape. */
static bool is_useless(const struct bounds *shape, const struct bounds *middle, int column, int row)
{
    return (row < 0 && middle->south < shape->south) || (row > 0 && middle->north > shape->north) ||
           (column < 0 && middle->west < shape->west) || (column > 0 && middle->east > shape->east);
}

size_t geo_cells(const struct geo_shape *shape, struct geo_cell out[GEO_CELLS_MAX])
{
    static const struct {
        int column;
        int row;
    } places[GEO_CELLS_MAX] = {{0, 0}, {0, 1},  {0, -1}, {1, 0},  {-1, 0},
                               {1, 1}, {-1, 1}, {1, -1}, {-1, -1}};
    struct bounds bounds = shape_bounds(shape);
    int steps = estimate_steps(shape);
    struct cell middle = cell_of(shape->center, score_limits, steps);
    if (steps > 1 && reaches_beyond_neighbours(&bounds, middle)) {
        steps--;
        middle = cell_of(shape->center, score_limits, steps);
    }
    struct bounds middle_bounds = cell_bounds(middle);
    uint64_t last = 0;
    size_t count = 0;
    for (size_t i = 0; i < GEO_CELLS_MAX; i++) {
        int column = places[i].column;
        int row = places[i].row;
        if (steps >= 2 && is_useless(&bounds, &middle_bounds, column, row)) {
            continue;
        }
        uint64_t bits = cell_bits(cell_beside(middle, column, row));
        /* Large shapes meet the same cell again, one after another. */
        if (count > 0 && bits == last) {
            continue;
        }
        int shift = 2 * (STEPS_MAX - steps);
        out[count].min = (double)(bits << shift);
        out[count].max = (double)((bits + 1) << shift);
        last = bits;
        count++;
    }
    return count;
}
