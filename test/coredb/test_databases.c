/*
 * Sixteen databases under commands that move keys between them, empty and swap them, let keys expire
 * and garbage be collected, against a model that knows which value each key has. Large collections
 * leave garbage, which must never take what is new.
 *
 * ctest: timeout=180
 */
#include "coredb/base/bytes.h"
#include "coredb/command/command.h"
#include "coredb/command/execute.h"
#include "dice.h"
#include "stage.h"
#include "store_check.h"
#include "support/test.h"

#include <stdio.h>
#include <string.h>

enum {
    KEYS = 5,
    STEPS = 3000,
    LARGE = 100, /* elements: more than are deleted at once */
    START_MS = 1000000,
};

/* What a key holds: a list whose elements are all `value`, 0 being no key. */
struct held {
    int value;
    int count;
    uint64_t expire_ms;
};

struct model {
    struct held held[STORE_DATABASES][KEYS];
    struct dice dice;
    uint64_t now_ms;
    int value; /* the last one used */
};

/* ---- Running ---- */

static char reply_text[65536];

/* Runs a command of single words; its reply is in reply_text. */
static void run(struct store *store, uint32_t db, const char *line)
{
    rr_bytes argv[8 + LARGE];
    size_t argc = 0;
    struct reply reply;
    for (const char *at = line; *at != '\0'; at += strspn(at, " ")) {
        CHECK_LT(argc, sizeof argv / sizeof argv[0]);
        argv[argc] = (rr_bytes){at, strcspn(at, " ")};
        at += argv[argc++].size;
    }
    reply_init(&reply, 2);
    store->db_index = db;
    execute_command(&(struct exec){.store = store, .argv = argv, .argc = argc, .reply = &reply});
    CHECK_LT(reply.out.size, sizeof reply_text);
    memcpy(reply_text, reply.out.data, reply.out.size);
    reply_text[reply.out.size] = '\0';
    reply_deinit(&reply);
}

static void check_integer(int64_t expected)
{
    CHECK_EQ(reply_text[0], ':');
    CHECK_EQ(strtoll(reply_text + 1, NULL, 10), expected);
}

/* ---- Steps ---- */

static void put(struct model *model, struct store *store, uint32_t db, int key)
{
    static char line[4096];
    struct held held = {.value = ++model->value,
                        .count = dice_below(&model->dice, 2) == 0 ? 2 : LARGE};
    snprintf(line, sizeof line, "del k%d", key);
    run(store, db, line);
    size_t size = (size_t)snprintf(line, sizeof line, "rpush k%d", key);
    for (int i = 0; i < held.count; i++) {
        size += (size_t)snprintf(line + size, sizeof line - size, " %d", held.value);
    }
    run(store, db, line);
    check_integer(held.count);
    if (dice_below(&model->dice, 3) == 0) {
        int ttl_ms = 1 + dice_below(&model->dice, 500);
        held.expire_ms = model->now_ms + (uint64_t)ttl_ms;
        snprintf(line, sizeof line, "pexpire k%d %d", key, ttl_ms);
        run(store, db, line);
    }
    model->held[db][key] = held;
}

static void rename_key(struct model *model, struct store *store, uint32_t db, int from, int to)
{
    char line[64];
    snprintf(line, sizeof line, "rename k%d k%d", from, to);
    run(store, db, line);
    struct held held = model->held[db][from];
    CHECK_EQ(reply_text[0], held.value == 0 ? '-' : '+');
    if (held.value != 0) {
        model->held[db][from] = (struct held){0};
        model->held[db][to] = held;
    }
}

static void move_or_copy(struct model *model, struct store *store, uint32_t db, int key)
{
    char line[64];
    uint32_t other = (uint32_t)dice_below(&model->dice, STORE_DATABASES);
    bool copies = dice_below(&model->dice, 2) == 0;
    if (other == db) {
        return;
    }
    if (copies) {
        snprintf(line, sizeof line, "copy k%d k%d db %u", key, key, other);
    } else {
        snprintf(line, sizeof line, "move k%d %u", key, other);
    }
    run(store, db, line);
    struct held *from = &model->held[db][key];
    struct held *to = &model->held[other][key];
    bool done = from->value != 0 && to->value == 0;
    check_integer(done ? 1 : 0);
    if (done) {
        *to = *from;
        if (!copies) {
            *from = (struct held){0};
        }
    }
}

static void swap(struct model *model, struct store *store, uint32_t left, uint32_t right)
{
    char line[64];
    struct held kept[KEYS];
    snprintf(line, sizeof line, "swapdb %u %u", left, right);
    run(store, 0, line);
    memcpy(kept, model->held[left], sizeof kept);
    memmove(model->held[left], model->held[right], sizeof kept);
    memcpy(model->held[right], kept, sizeof kept);
}

static void step(struct model *model, struct store *store)
{
    struct dice *dice = &model->dice;
    uint32_t db = (uint32_t)dice_below(dice, STORE_DATABASES);
    int key = dice_below(dice, KEYS);
    int kind = dice_below(dice, 100);
    if (kind < 40) {
        put(model, store, db, key);
    } else if (kind < 50) {
        rename_key(model, store, db, key, dice_below(dice, KEYS));
    } else if (kind < 70) {
        move_or_copy(model, store, db, key);
    } else if (kind < 80) {
        swap(model, store, db, (uint32_t)dice_below(dice, STORE_DATABASES));
    } else if (kind < 84) {
        run(store, db, "flushdb");
        memset(model->held[db], 0, sizeof model->held[db]);
    } else if (kind < 85) {
        run(store, db, "flushall");
        memset(model->held, 0, sizeof model->held);
    } else if (kind < 95) {
        key_collect_garbage(store, (size_t)dice_below(dice, 200));
    } else {
        key_expire_due(store, (size_t)dice_below(dice, 5));
    }
}

/* ---- Comparing ---- */

static void let_expire(struct model *model)
{
    for (int db = 0; db < STORE_DATABASES; db++) {
        for (int key = 0; key < KEYS; key++) {
            struct held *held = &model->held[db][key];
            if (held->expire_ms != 0 && held->expire_ms <= model->now_ms) {
                *held = (struct held){0};
            }
        }
    }
}

static void compare(struct model *model, struct store *store)
{
    char line[64];
    char value[16];
    for (uint32_t db = 0; db < STORE_DATABASES; db++) {
        int count = 0;
        for (int key = 0; key < KEYS; key++) {
            const struct held *held = &model->held[db][key];
            snprintf(line, sizeof line, "lrange k%d 0 -1", key);
            run(store, db, line); /* deletes it if it has expired */
            snprintf(value, sizeof value, "*%d\r\n", held->count);
            CHECK_EQ(strncmp(reply_text, value, strlen(value)), 0);
            snprintf(value, sizeof value, "\r\n%d\r\n", held->value);
            int found = 0;
            for (const char *at = strstr(reply_text, value); at != NULL;
                 at = strstr(at + 1, value)) {
                found++;
            }
            CHECK_EQ(found, held->count);
            snprintf(line, sizeof line, "pexpiretime k%d", key);
            run(store, db, line);
            check_integer(held->value == 0       ? -2
                          : held->expire_ms == 0 ? -1
                                                 : (int64_t)held->expire_ms);
            count += held->value != 0 ? 1 : 0;
        }
        run(store, db, "dbsize");
        check_integer(count);
    }
}

static void run_steps(struct store *store, void *arg)
{
    struct model *model = arg;
    for (int i = 0; i < 10; i++) {
        step(model, store);
    }
    if (dice_below(&model->dice, 10) == 0) {
        compare(model, store);
    }
    char problem[256] = "";
    if (!store_check(store, problem, sizeof problem)) {
        FAIL("%s", problem);
    }
}

static void check_empty(struct store *store, void *arg)
{
    (void)arg;
    run(store, 0, "flushall");
    while (key_has_garbage(store)) {
        CHECK_GT(key_collect_garbage(store, 1000), 0);
    }
    uint8_t kinds[] = {'m', 'x', 'h', 's', 'l', 'z', 'o', 't', 'u', 'g', 'G'};
    for (size_t i = 0; i < sizeof kinds; i++) {
        CHECK_EQ(store_delete_prefix(store, (rr_bytes){&kinds[i], 1}, 1), 0);
    }
}

TEST(databases, do_what_a_model_does_and_leave_nothing_behind)
{
    struct model model = {.dice = {test_seed(1)}, .now_ms = START_MS};
    struct stage *stage = stage_new();
    for (int i = 0; i < STEPS / 10; i++) {
        stage_set_time(stage, model.now_ms);
        stage_run(stage, /*keep=*/true, run_steps, &model);
        model.now_ms += (uint64_t)dice_below(&model.dice, 30);
        let_expire(&model);
    }
    stage_run(stage, /*keep=*/true, check_empty, NULL);
    stage_free(stage);
}
