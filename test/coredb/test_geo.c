/* Geo: Redis's numbers for known places; thousands of random searches are compared with
 * redis-server by the differential test. */
#include "stage.h"

#include "coredb/value/geohash.h"
#include "support/test.h"

#include <math.h>

static const char *run(struct stage *stage, const char *line)
{
    return stage_exec(stage, line);
}

static struct stage *sicily(void)
{
    struct stage *stage = stage_new();
    CHECK_TEXT(run(stage, "geoadd g 13.361389 38.115556 Palermo 15.087269 37.502669 Catania"),
               ":2 ");
    return stage;
}

TEST(geo, gives_the_numbers_of_redis)
{
    struct stage *stage = sicily();
    CHECK_TEXT(run(stage, "zscore g Palermo"), "$16 3479099956230698 ");
    CHECK_TEXT(run(stage, "geohash g Palermo none"), "*2 $11 sqc8b49rny0 $-1 ");
    CHECK_TEXT(run(stage, "geopos g Palermo none"),
               "*2 *2 $20 13.36138933897018433 $20 38.11555639549629859 *-1 ");
    CHECK_TEXT(run(stage, "geodist g Palermo Catania"), "$11 166274.1516 ");
    CHECK_TEXT(run(stage, "geodist g Palermo Catania KM"), "$8 166.2742 ");
    CHECK_TEXT(run(stage, "geodist g Palermo none"), "$-1 ");
    stage_free(stage);
}

TEST(geo, searches_circles_and_boxes)
{
    struct stage *stage = sicily();
    CHECK_TEXT(run(stage, "geosearch g fromlonlat 15 37 byradius 100 km"), "*1 $7 Catania ");
    CHECK_TEXT(run(stage, "georadius g 15 37 200 km withdist desc"),
               "*2 *2 $7 Palermo $8 190.4424 *2 $7 Catania $7 56.4413 ");
    CHECK_TEXT(run(stage, "geosearch g fromlonlat 15 37 bybox 400 400 km asc count 1"),
               "*1 $7 Catania ");
    CHECK_TEXT(run(stage, "geosearch g fromlonlat 15 37 bybox 400 400 km count 1 any"),
               "*1 $7 Palermo ");
    CHECK_TEXT(run(stage, "georadiusbymember g Palermo 0 m"), "*1 $7 Palermo ");
    CHECK_TEXT(run(stage, "geosearch g frommember none byradius 1 km"),
               "-ERR could not decode requested zset member ");
    stage_free(stage);
}

TEST(geo, stores_hashes_or_distances)
{
    struct stage *stage = sicily();
    CHECK_TEXT(run(stage, "geosearchstore d g fromlonlat 15 37 byradius 100 km"), ":1 ");
    CHECK_TEXT(run(stage, "zscore d Catania"), "$16 3479447370796909 ");
    CHECK_TEXT(run(stage, "georadius g 15 37 100 km storedist d"), ":1 ");
    CHECK_TEXT(run(stage, "zrangebyscore d 56.441 56.442"), "*1 $7 Catania ");
    CHECK_TEXT(run(stage, "georadius g 15 37 1 m store d"), ":0 ");
    CHECK_TEXT(run(stage, "zcard d"), ":0 ");
    CHECK_TEXT(run(stage, "georadius_ro g 15 37 1 m store d"), "-ERR syntax error ");
    stage_free(stage);
}

TEST(geo, checks_all_positions_before_it_adds_any)
{
    struct stage *stage = sicily();
    CHECK_TEXT(run(stage, "geoadd g 1 1 one 181 0 two"),
               "-ERR invalid longitude,latitude pair 181.000000,0.000000 ");
    CHECK_TEXT(run(stage, "zscore g one"), "$-1 ");
    CHECK_TEXT(run(stage, "geoadd g 0 85.05112878 pole -180 -85.05112878 corner"), ":2 ");
    CHECK_TEXT(run(stage, "geoadd g xx ch 1 1 pole 2 2 none"), ":1 ");
    stage_free(stage);
}

TEST(geohash, decodes_any_score_to_a_valid_point)
{
    static const double scores[] = {-HUGE_VAL, HUGE_VAL, -1,   0,     0.5,  4503599627370496,
                                    1e18,      1e19,     2e19, -1e19, 1e300};
    for (size_t i = 0; i < sizeof scores / sizeof scores[0]; i++) {
        CHECK(geo_is_valid(geo_decode(scores[i])));
    }
}

TEST(geohash, covers_every_point_of_the_shape)
{
    uint64_t state = 7;
    for (int round = 0; round < 20000; round++) {
        double number[5];
        for (int i = 0; i < 5; i++) {
            state = state * 6364136223846793005ULL + 1442695040888963407ULL;
            number[i] = (double)(state >> 11) / 9007199254740992.0;
        }
        /* Away from the poles and the date line, where Redis's cells do not reach round. */
        struct geo_point center = {number[0] * 200 - 100, number[1] * 100 - 50};
        double reach = pow(10, number[2] * 6);
        struct geo_point point = {center.longitude + (number[3] - 0.5) * reach / 50000,
                                  center.latitude + (number[4] - 0.5) * reach / 50000};
        struct geo_shape shape = {.is_box = round % 2 == 0,
                                  .center = center,
                                  .radius = reach,
                                  .width = 2 * reach,
                                  .height = reach};
        double score = geo_encode(point);
        double distance;
        if (!geo_covers(&shape, geo_decode(score), &distance)) {
            continue;
        }
        struct geo_cell cells[GEO_CELLS_MAX];
        size_t count = geo_cells(&shape, cells);
        bool found = false;
        for (size_t i = 0; i < count; i++) {
            found = found || (score >= cells[i].min && score < cells[i].max);
        }
        CHECK(found);
    }
}
