/*
 * Commands of coredb over a store, as a fuzzer makes them up: whatever they are, they must not
 * crash, hang or leave the stored data in disorder.
 *
 * The input is a sequence of steps. Each makes a command: one of a list, with the input's keys and
 * numbers in it, or any of the table with as many arguments as it takes, of whatever kind. Or it
 * moves the clock on, collects garbage, expires keys, or begins a transaction. Everything runs in one entry of a node
 * of its own, which is undone at the end. After each batch of steps store_check looks at all there
 * is.
 *
 * FUZZ_SHOW=1 prints the commands of an input.
 *
 * ctest: timeout=120
 */
#include "coredb/base/bytes.h"
#include "coredb/command/blocking.h"
#include "coredb/command/command.h"
#include "coredb/command/execute.h"
#include "coredb/store_check.c" /* NOLINT: a helper of test/coredb, which brings a main else */
#include "coredb/value/waiter.h"

#include <arpa/inet.h>
#include <rockraft/rockraft.h>
#include <sys/socket.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum {
    BATCH_STEPS = 12,   /* steps between two looks at the store */
    STEPS_MAX = 400,    /* of an input */
    ARGUMENTS_MAX = 24, /* of a command */
    LITERAL_MAX = 300,
    COMMANDS_MAX = 600,
    WORD_MAX = 96,
};

/* ---- Words ---- */

static const char *const numbers[] = {
    "0",
    "1",
    "2",
    "-1",
    "-2",
    "3",
    "10",
    "100",
    "1.5",
    "-0",
    "inf",
    "-inf",
    "nan",
    "0x10",
    "-0.5",
    "128",
    "129",
    "1000",
    "-1000",
    "512",
    "4096",
    "65535",
    "4294967296",
    "9223372036854775807",
    "-9223372036854775808",
    "18446744073709551615",
    "1e300",
    "7999999",
    "(1",
    "(-inf",
    "+inf",
    "",
};

static const char *const members[] = {
    "a",
    "b",
    "c",
    "aa",
    "",
    "z",
    "x1",
    "x2",
    "field",
    "1",
    "2",
    "12345678901234567890",
    "a-member-that-is-longer-than-sixty-four-bytes-so-that-encodings-change-by-it",
    "-",
    "+",
    "[a",
    "(b",
    "[z",
    "*",
    "a*",
    "?",
    "$",
    ">",
    "1-1",
    "5-0",
    "0-0",
    "5-*",
    "g1",
    "g2",
    "alice",
    "bob",
    "13.361389",
    "38.115556",
    "-180",
    "85.05112878",
    "\xff\xfe",
};

/* Options by group; generic ones for all. */
static const struct {
    const char *group;
    const char *words;
} options[] = {
    {"string", "EX PX EXAT PXAT NX XX KEEPTTL GET PERSIST LEN IDX MINMATCHLEN WITHMATCHLEN"},
    {"bitmap", "BYTE BIT AND OR XOR NOT GET SET INCRBY OVERFLOW WRAP SAT FAIL u8 i64 u63 i5 #1"},
    {"list", "LEFT RIGHT BEFORE AFTER COUNT RANK MAXLEN"},
    {"hash", "COUNT MATCH WITHVALUES"},
    {"set", "COUNT MATCH LIMIT"},
    {"sorted-set", "NX XX GT LT CH INCR WITHSCORES BYSCORE BYLEX REV LIMIT WEIGHTS AGGREGATE SUM "
                   "MIN MAX COUNT MATCH"},
    {"geo", "NX XX CH m km ft mi WITHDIST WITHCOORD WITHHASH COUNT ANY ASC DESC STORE STOREDIST "
            "FROMMEMBER FROMLONLAT BYRADIUS BYBOX"},
    {"stream", "MAXLEN MINID ~ = LIMIT NOMKSTREAM MKSTREAM COUNT BLOCK STREAMS GROUP NOACK IDLE "
               "TIME RETRYCOUNT FORCE JUSTID LASTID ENTRIESREAD ENTRIESADDED MAXDELETEDID FULL"},
    {"generic", "NX XX GT LT COUNT MATCH TYPE BY GET LIMIT ALPHA ASC DESC STORE REPLACE DB ABSTTL "
                "IDLETIME FREQ ASYNC SYNC string list set zset hash stream # w_* h->field"},
    {"server", "ASYNC SYNC"},
};

/* Keys by the group that most likely makes them; each may become anything. */
static const struct {
    const char *group;
    const char *keys;
} keys[] = {
    {"string", "s1 s2 s3"},
    {"bitmap", "s1 s2 b1"},
    {"hyperloglog", "p1 p2 p3"},
    {"list", "l1 l2 l3"},
    {"hash", "h1 h2"},
    {"set", "e1 e2 e3"},
    {"sorted-set", "z1 z2 z3 e1"},
    {"geo", "z1 z2 g1 g2"},
    {"stream", "t1 t2"},
    {"generic", "s1 l1 h1 e1 z1 t1 g1 p1"},
};

static const char every_key[] = "s1 s2 l1 l2 h1 h2 e1 e2 z1 z2 t1 t2 g1 p1 none";

/*
 * Commands that mostly succeed. K is a key of the command's group, and A to E are one of the group
 * string, list, set, hash or sorted set; M is a member, field or value, I a small number, N any
 * number, S a score, T a time from now in milliseconds, X any argument.
 */
static const char *const templates[] = {
    "set K M",
    "set K M px T",
    "set K I xx keepttl",
    "setnx K M",
    "append K M",
    "incrby K N",
    "incrbyfloat K S",
    "setrange K I M",
    "getdel K",
    "getex K px T",
    "mset K M K M",
    "getrange K N N",
    "setbit K N 1",
    "setbit K I 0",
    "bitop xor K K K",
    "bitop not K K",
    "bitcount K I N bit",
    "bitpos K 1 I",
    "bitfield K set u8 I N incrby i5 #1 N overflow sat incrby u63 I N",
    "pfadd K M M M",
    "pfmerge K K K",
    "pfcount K K",
    "rpush K M M M",
    "lpush K M M",
    "linsert K before M M",
    "lset K N M",
    "lrem K N M",
    "lpop K I",
    "rpop K",
    "ltrim K N N",
    "lmove K K left right",
    "rpoplpush K K",
    "lmpop 2 K K left count I",
    "lrange K N N",
    "lpos K M rank N",
    "blpop K K 0",
    "blmove K K right left 0",
    "brpop K 0",
    "blmpop 0 2 K K right count I",
    "hset K M M M M",
    "hsetnx K M M",
    "hincrby K M N",
    "hincrbyfloat K M S",
    "hdel K M M",
    "hgetall K",
    "hrandfield K N withvalues",
    "hscan K 0 count I",
    "sadd K M M M M",
    "sadd K I I I",
    "srem K M M",
    "spop K I",
    "srandmember K N",
    "smove K K M",
    "sinterstore K K K",
    "sunionstore K K K K",
    "sdiffstore K K K",
    "sintercard 2 K K limit I",
    "sscan K 0",
    "zadd K S M S M S M",
    "zadd K nx S M",
    "zadd K gt ch S M S M",
    "zadd K incr S M",
    "zincrby K S M",
    "zrem K M M",
    "zpopmin K I",
    "zpopmax K I",
    "zmpop 2 K K max count I",
    "zrange K N N withscores",
    "zrange K S S byscore limit I N",
    "zrangestore K K N N rev",
    "zrangestore K K (S S byscore limit I I",
    "zremrangebyrank K N N",
    "zremrangebyscore K S S",
    "zremrangebylex K [M (M",
    "zlexcount K - +",
    "zrank K M",
    "zcount K S S",
    "zunionstore K 2 K C weights S S aggregate max",
    "zinterstore K 2 K K",
    "zdiffstore K 2 K C",
    "zrandmember K N withscores",
    "zscan K 0 count I",
    "bzpopmin K K 0",
    "bzmpop 0 1 K min count I",
    "geoadd K 13.361389 38.115556 M 15.087269 37.502669 M",
    "geoadd K S S M",
    "geosearchstore K K fromlonlat 15 37 byradius N km storedist",
    "georadius K 15 37 N km store K",
    "geosearch K frommember M bybox N N km asc withdist",
    "geodist K M M",
    "geopos K M",
    "xadd K * M M",
    "xadd K maxlen ~ I * M M",
    "xadd K 5-* M M",
    "xadd K nomkstream minid I * M M",
    "xdel K 5-0 5-1",
    "xtrim K maxlen I",
    "xlen K",
    "xrange K - + count I",
    "xsetid K 9-0",
    "xgroup create K g1 $ mkstream",
    "xgroup create K g2 0",
    "xgroup destroy K g1",
    "xgroup createconsumer K g1 alice",
    "xgroup delconsumer K g1 alice",
    "xgroup setid K g1 0",
    "xreadgroup group g1 alice count I streams K >",
    "xreadgroup group g2 bob noack streams K >",
    "xreadgroup group g1 bob block 0 streams K >",
    "xread block 0 streams K $",
    "xread streams K 0",
    "xack K g1 5-0 5-1",
    "xpending K g1 - + I",
    "xclaim K g1 bob 0 5-0 5-1 force justid",
    "xautoclaim K g1 alice 0 0 count I",
    "xinfo stream K full",
    "xinfo groups K",
    "del A B",
    "unlink C D E",
    "rename A A",
    "rename B C",
    "renamenx D E",
    "copy A B replace",
    "copy D E replace",
    "copy C B replace",
    "copy E D replace",
    "copy E E replace",
    "move A 1",
    "pexpire A T",
    "pexpire D T gt",
    "expire E N",
    "persist A",
    "pexpireat C N",
    "sort B store B",
    "sort C alpha limit I I store B",
    "sort E by nosort get # store A",
    "touch A B",
    "flushdb",
    "swapdb 0 1",
    "flushall async",
    "randomkey",
    "scan 0 count I",
    "keys *",
    "dump E",
    "type A",
    "object encoding E",
    "set A M",
    "del D",
};

/* ---- The input ---- */

struct source {
    const uint8_t *data;
    size_t left;
};

static uint8_t take(struct source *source)
{
    if (source->left == 0) {
        return 0;
    }
    source->left--;
    return *source->data++;
}

/* The word of that number among those in `words`, which are set apart by spaces. */
static rr_bytes word_at(const char *words, size_t number)
{
    size_t count = 1;
    for (const char *at = words; *at != '\0'; at++) {
        count += *at == ' ' ? 1U : 0U;
    }
    for (number %= count; number > 0; number--) {
        words = strchr(words, ' ') + 1;
    }
    return (rr_bytes){words, strcspn(words, " ")};
}

static rr_bytes take_key(struct source *source, const char *group)
{
    uint8_t byte = take(source);
    for (size_t i = 0; i < sizeof keys / sizeof keys[0] && byte < 200; i++) {
        if (strcmp(keys[i].group, group) == 0) {
            return word_at(keys[i].keys, byte);
        }
    }
    return word_at(every_key, byte);
}

static rr_bytes take_option(struct source *source, const char *group)
{
    uint8_t byte = take(source);
    for (size_t i = 0; i < sizeof options / sizeof options[0]; i++) {
        if (strcmp(options[i].group, group) == 0) {
            return word_at(options[i].words, byte);
        }
    }
    return word_at("COUNT MATCH LIMIT", byte);
}

static rr_bytes take_literal(struct source *source)
{
    size_t size = ((size_t)take(source) << 8 | take(source)) % LITERAL_MAX;
    size = size < source->left ? size : source->left;
    rr_bytes literal = {source->data, size};
    source->data += size;
    source->left -= size;
    return literal;
}

static rr_bytes take_argument(struct source *source, const char *group)
{
    uint8_t byte = take(source);
    if (byte < 70) {
        return take_key(source, group);
    }
    if (byte < 130) {
        return bytes_of(numbers[take(source) % (sizeof numbers / sizeof numbers[0])]);
    }
    if (byte < 190) {
        return bytes_of(members[take(source) % (sizeof members / sizeof members[0])]);
    }
    return byte < 250 ? take_option(source, group) : take_literal(source);
}

/* ---- Making commands ---- */

/* A command that runs over the data, with its container if it is a subcommand. */
struct choice {
    const struct command *container;
    const struct command *command;
};

static struct choice choices[COMMANDS_MAX];
static size_t choice_count;

static void add_choice(const struct command *container, const struct command *command)
{
    if (command->run != NULL && choice_count < COMMANDS_MAX) {
        choices[choice_count++] = (struct choice){container, command};
    }
}

static void find_choices(void)
{
    size_t position = 0;
    command_table_init();
    for (const struct command *command = command_next(&position); command != NULL;
         command = command_next(&position)) {
        add_choice(NULL, command);
        for (const struct command *sub = command->subcommands; sub != NULL && sub->name != NULL;
             sub++) {
            add_choice(command, sub);
        }
    }
}

static bool is_key_place(const struct command *command, size_t i)
{
    for (size_t spec = 0; spec < COMMAND_KEY_SPECS; spec++) {
        const struct key_spec *keys_at = &command->keys[spec];
        size_t begin = (size_t)keys_at->begin;
        if (keys_at->find != KEYS_RANGE || keys_at->keyword != NULL || i < begin) {
            continue;
        }
        size_t step = keys_at->step > 0 ? (size_t)keys_at->step : 1;
        bool within = keys_at->last < 0 || i <= begin + (size_t)keys_at->last;
        if (within && (i - begin) % step == 0) {
            return true;
        }
    }
    return false;
}

static bool is_count_place(const struct command *command, size_t i)
{
    for (size_t spec = 0; spec < COMMAND_KEY_SPECS; spec++) {
        if (command->keys[spec].find == KEYS_COUNTED && i == (size_t)command->keys[spec].begin) {
            return true;
        }
    }
    return false;
}

/* Fills `argv` with a command from the input and returns its count. */
static size_t make_command(struct source *source, rr_bytes argv[ARGUMENTS_MAX])
{
    size_t number = (size_t)take(source) << 8 | take(source);
    const struct choice *choice = &choices[number % choice_count];
    const struct command *command = choice->command;
    size_t argc = 0;
    if (choice->container != NULL) {
        argv[argc++] = bytes_of(choice->container->name);
    }
    argv[argc++] = bytes_of(command->name);
    size_t least = (size_t)(command->arity < 0 ? -command->arity : command->arity);
    uint8_t extra = take(source);
    size_t wanted = least + (command->arity < 0 || extra > 250 ? extra % 8 : 0);
    wanted = wanted < ARGUMENTS_MAX ? wanted : ARGUMENTS_MAX;
    while (argc < wanted) {
        if (is_key_place(command, argc)) {
            argv[argc] = take_key(source, command->group);
        } else if (is_count_place(command, argc)) {
            argv[argc] = word_at("1 2 1 3 1 2 0", take(source));
        } else {
            argv[argc] = take_argument(source, command->group);
        }
        argc++;
    }
    return argc;
}

/* The group whose keys a letter of the templates stands for; NULL: not a letter. */
static const char *key_group(char letter, const char *group)
{
    static const char *const groups[] = {"string", "list", "set", "hash", "sorted-set"};
    return letter == 'K' ? group : letter >= 'A' && letter <= 'E' ? groups[letter - 'A'] : NULL;
}

/* The argument that a word of a template stands for. */
static rr_bytes take_templated(struct source *source, rr_bytes word, const char *group, char *text)
{
    const char *letters = word.data;
    size_t prefix = word.size == 2 && strchr("([", letters[0]) != NULL ? 1 : 0;
    const char *keys_of = key_group(letters[prefix], group);
    rr_bytes argument = word;
    if (word.size != prefix + 1) {
        return word;
    }
    if (keys_of != NULL) {
        return take_key(source, keys_of);
    }
    switch (letters[prefix]) {
    case 'M':
        argument = bytes_of(members[take(source) % (sizeof members / sizeof members[0])]);
        break;
    case 'I':
        snprintf(text, WORD_MAX, "%u", take(source) % 20U);
        return bytes_of(text);
    case 'N':
        argument = bytes_of(numbers[take(source) % (sizeof numbers / sizeof numbers[0])]);
        break;
    case 'S':
        argument = word_at("0 1 2 3 -1 1.5 -0 inf -inf 1e300 0.1 -2 10 4 5 6 7", take(source));
        break;
    case 'T':
        snprintf(text, WORD_MAX, "%u", 1 + take(source) * 50U);
        return bytes_of(text);
    case 'X':
        return take_argument(source, group);
    default:
        return word;
    }
    snprintf(text, WORD_MAX, "%.*s%.*s", (int)prefix, letters, (int)argument.size,
             (const char *)argument.data);
    return bytes_of(text);
}

/* Fills `argv` with a command from a template; texts of its own are in `texts`. */
static size_t make_templated(struct source *source, rr_bytes argv[ARGUMENTS_MAX],
                             char texts[ARGUMENTS_MAX][WORD_MAX])
{
    size_t number = (size_t)take(source) << 8 | take(source);
    const char *words = templates[number % (sizeof templates / sizeof templates[0])];
    const char *group = "generic";
    size_t argc = 0;
    while (argc < ARGUMENTS_MAX && *words != '\0') {
        rr_bytes word = {words, strcspn(words, " ")};
        argv[argc] = argc == 0 ? word : take_templated(source, word, group, texts[argc]);
        if (argc == 0) {
            const struct command *command = command_find(word);
            group = command != NULL ? command->group : group;
        }
        argc++;
        words += word.size + (words[word.size] == ' ' ? 1U : 0U);
    }
    return argc;
}

/* ---- Running ---- */

struct run {
    rr_view *view;
    struct source source;
    uint64_t now_ms;
    uint64_t steps;
    uint32_t ordinal; /* of objects: all batches belong to one entry */
    struct waiter_id client;
};

static void die(const char *what, const char *detail)
{
    fprintf(stderr, "%s: %s\n", what, detail);
    abort();
}

/* The reply is one value of the protocol, as far as its first byte tells. */
static void check_reply(const struct exec *exec)
{
    const struct buffer *out = &exec->reply->out;
    bool fine = exec->blocked ? true
                              : out->size >= 3 && strchr("+-:$*_#,%~=>(", out->data[0]) != NULL &&
                                    memcmp(out->data + out->size - 2, "\r\n", 2) == 0;
    if (!fine) {
        die("no reply to", exec->command != NULL ? exec->command->name : "an unknown command");
    }
}

/* What an input does: for whoever looks into one. */
static void show(const rr_bytes *argv, size_t argc, const struct reply *reply)
{
    for (size_t i = 0; i < argc; i++) {
        fprintf(stderr, "%.*s ", (int)argv[i].size, (const char *)argv[i].data);
    }
    rr_bytes text = buffer_bytes(&reply->out);
    const char *end = text.size > 0 ? memchr(text.data, '\r', text.size) : NULL;
    fprintf(stderr, "-> %.*s\n", end != NULL ? (int)(end - (const char *)text.data) : 0,
            (const char *)text.data);
}

static void run_words(struct run *run, struct store *store, const rr_bytes *argv, size_t argc,
                      bool may_block)
{
    struct reply reply;
    reply_init(&reply, run->steps % 2 == 0 ? 2 : 3);
    run->client.number++;
    struct exec exec = {.store = store,
                        .argv = argv,
                        .argc = argc,
                        .reply = &reply,
                        .may_block = may_block,
                        .waiter = &run->client};
    execute_command(&exec);
    if (getenv("FUZZ_SHOW") != NULL) {
        show(argv, argc, &reply);
    }
    check_reply(&exec);
    reply_deinit(&reply);
}

static void run_command(struct run *run, struct store *store, bool may_block)
{
    rr_bytes argv[ARGUMENTS_MAX];
    char texts[ARGUMENTS_MAX][WORD_MAX];
    size_t argc = take(&run->source) % 4 == 0 ? make_command(&run->source, argv)
                                              : make_templated(&run->source, argv, texts);
    run_words(run, store, argv, argc, may_block);
}

/* Makes a collection large: up to 510 elements, beyond all thresholds. */
static void run_filling(struct run *run, struct store *store)
{
    static const char *const forms[] = {"rpush l1 m",    "sadd e1 m",  "zadd z1 n m", "hset h1 m n",
                                        "xadd t1 * m n", "lpush l2 m", "zadd z2 m m"};
    const char *form = forms[take(&run->source) % (sizeof forms / sizeof forms[0])];
    unsigned count = 2U * take(&run->source);
    unsigned spread = 1U + take(&run->source);
    for (unsigned i = 0; i < count; i++) {
        char number[2][WORD_MAX];
        rr_bytes argv[ARGUMENTS_MAX];
        size_t argc = 0;
        snprintf(number[0], WORD_MAX, "%u", i);
        snprintf(number[1], WORD_MAX, "%u", i % spread);
        for (const char *at = form; *at != '\0'; at += strspn(at, " ")) {
            rr_bytes word = {at, strcspn(at, " ")};
            at += word.size;
            bool is_member = bytes_equal(word, bytes_of("m"));
            bool is_other = bytes_equal(word, bytes_of("n"));
            argv[argc++] = is_member ? bytes_of(number[0]) : is_other ? bytes_of(number[1]) : word;
        }
        run_words(run, store, argv, argc, /*may_block=*/false);
    }
}

/* One step; false: the batch ends. */
static bool run_step(struct run *run, struct store *store)
{
    uint8_t kind = take(&run->source);
    run->steps++;
    if (kind < 216) {
        run_command(run, store, /*may_block=*/true);
    } else if (kind < 220) {
        run_filling(run, store);
    } else if (kind < 230) {
        for (size_t left = 1 + take(&run->source) % 4; left > 0; left--) {
            run_command(run, store, /*may_block=*/false);
        }
    } else if (kind < 236) {
        run->now_ms += (uint64_t)take(&run->source) * take(&run->source);
        return false;
    } else if (kind < 242) {
        key_expire_due(store, take(&run->source));
    } else if (kind < 248) {
        key_collect_garbage(store, take(&run->source));
    } else if (kind < 251) {
        struct waiter_id id = run->client;
        id.number -= take(&run->source) % 8;
        waiter_cancel(store, &id);
    } else {
        store->db_index = take(&run->source) % 2;
    }
    waiters_serve(store);
    return true;
}

static void run_batch(struct run *run)
{
    struct store store;
    store_init(&store, run->view, /*is_query=*/false, 0);
    store.now_ms = run->now_ms;
    store.clock_ms = run->now_ms;
    store.ordinal = run->ordinal;
    for (int i = 0; i < BATCH_STEPS && run->source.left > 0 && run->steps < STEPS_MAX; i++) {
        if (!run_step(run, &store)) {
            break;
        }
    }
    store_finish(&store);
    run->ordinal = store.ordinal;
    char problem[512] = "";
    if (store.failure != RR_OK) {
        die("the store failed", rr_status_name(store.failure));
    }
    store_deinit(&store);
    store_init(&store, run->view, /*is_query=*/false, 0);
    if (!store_check(&store, problem, sizeof problem)) {
        die("the stored data is in disorder", problem);
    }
    store_deinit(&store);
}

/* Refuses at the end, so that nothing of it remains. */
static rr_status procedure(void *arg, rr_view *view, rr_bytes input, rr_output *output)
{
    (void)arg;
    (void)output;
    struct run run = {
        .view = view, .source = {input.data, input.size}, .now_ms = 1000000, .client = {1, 1, 0}};
    while (run.source.left > 0 && run.steps < STEPS_MAX) {
        run_batch(&run);
    }
    return RR_REJECTED;
}

/* ---- The node ---- */

static char directory[] = "/tmp/fuzz-commands-XXXXXX";
static rr_node *node;

static void close_node(void)
{
    rr_node_close(node);
    char command[sizeof directory + 16];
    snprintf(command, sizeof command, "rm -rf %s", directory);
    if (system(command) != 0) {
        fprintf(stderr, "%s remains\n", directory);
    }
}

static unsigned free_port(void)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    socklen_t size = sizeof address;
    int listener = socket(AF_INET, SOCK_STREAM, 0);
    if (listener < 0 || bind(listener, (struct sockaddr *)&address, size) != 0 ||
        getsockname(listener, (struct sockaddr *)&address, &size) != 0) {
        die("no port", "bind");
    }
    close(listener);
    return ntohs(address.sin_port);
}

static void open_node(void)
{
    char address[32];
    char error[256] = "";
    rr_procedure procedures[] = {{"fuzz", 1, procedure, NULL}};
    rr_options settings;
    if (mkdtemp(directory) == NULL) {
        die("no directory", directory);
    }
    snprintf(address, sizeof address, "127.0.0.1:%u", free_port());
    rr_options_init(&settings);
    settings.node_id = 1;
    settings.data_path = directory;
    settings.raft_address = address;
    settings.procedures = procedures;
    settings.procedure_count = 1;
    settings.timeout_ms = 600000;
    if (rr_node_open(&settings, error, sizeof error, &node) != RR_OK ||
        rr_node_await_member(node, 10000, error, sizeof error) != RR_OK) {
        die("no node", error);
    }
    if (atexit(close_node) != 0) {
        die("no atexit", directory);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (node == NULL) {
        find_choices();
        open_node();
    }
    rr_result *result = NULL;
    rr_status status = rr_node_call_wait(node, "fuzz", (rr_bytes){data, size}, NULL, &result);
    if (status != RR_REJECTED) {
        die("the call ended otherwise", rr_status_name(status));
    }
    rr_result_free(result);
    return 0;
}
