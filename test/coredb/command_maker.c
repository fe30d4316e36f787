/* Makes commands up; see command_maker.h. */
#include "command_maker.h"

#include "coredb/base/bytes.h"
#include "coredb/command/command.h"

#include <stdio.h>
#include <string.h>

enum { LITERAL_MAX = 300, COMMANDS_MAX = 600 };

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

uint8_t maker_take(struct maker *maker)
{
    if (maker->left == 0) {
        return 0;
    }
    maker->left--;
    return *maker->data++;
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

static rr_bytes take_key(struct maker *maker, const char *group)
{
    uint8_t byte = maker_take(maker);
    for (size_t i = 0; i < sizeof keys / sizeof keys[0] && byte < 200; i++) {
        if (strcmp(keys[i].group, group) == 0) {
            return word_at(keys[i].keys, byte);
        }
    }
    return word_at(every_key, byte);
}

static rr_bytes take_option(struct maker *maker, const char *group)
{
    uint8_t byte = maker_take(maker);
    for (size_t i = 0; i < sizeof options / sizeof options[0]; i++) {
        if (strcmp(options[i].group, group) == 0) {
            return word_at(options[i].words, byte);
        }
    }
    return word_at("COUNT MATCH LIMIT", byte);
}

static rr_bytes take_literal(struct maker *maker)
{
    size_t size = ((size_t)maker_take(maker) << 8 | maker_take(maker)) % LITERAL_MAX;
    size = size < maker->left ? size : maker->left;
    rr_bytes literal = {maker->data, size};
    maker->data += size;
    maker->left -= size;
    return literal;
}

static rr_bytes take_argument(struct maker *maker, const char *group)
{
    uint8_t byte = maker_take(maker);
    if (byte < 70) {
        return take_key(maker, group);
    }
    if (byte < 130) {
        return bytes_of(numbers[maker_take(maker) % (sizeof numbers / sizeof numbers[0])]);
    }
    if (byte < 190) {
        return bytes_of(members[maker_take(maker) % (sizeof members / sizeof members[0])]);
    }
    return byte < 250 ? take_option(maker, group) : take_literal(maker);
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

void maker_init(void)
{
    size_t position = 0;
    choice_count = 0;
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
static size_t make_command(struct maker *maker, rr_bytes argv[MAKER_ARGUMENTS_MAX])
{
    size_t number = (size_t)maker_take(maker) << 8 | maker_take(maker);
    const struct choice *choice = &choices[number % choice_count];
    const struct command *command = choice->command;
    size_t argc = 0;
    if (choice->container != NULL) {
        argv[argc++] = bytes_of(choice->container->name);
    }
    argv[argc++] = bytes_of(command->name);
    size_t least = (size_t)(command->arity < 0 ? -command->arity : command->arity);
    uint8_t extra = maker_take(maker);
    size_t wanted = least + (command->arity < 0 || extra > 250 ? extra % 8 : 0);
    wanted = wanted < MAKER_ARGUMENTS_MAX ? wanted : MAKER_ARGUMENTS_MAX;
    while (argc < wanted) {
        if (is_key_place(command, argc)) {
            argv[argc] = take_key(maker, command->group);
        } else if (is_count_place(command, argc)) {
            argv[argc] = word_at("1 2 1 3 1 2 0", maker_take(maker));
        } else {
            argv[argc] = take_argument(maker, command->group);
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
static rr_bytes take_templated(struct maker *maker, rr_bytes word, const char *group, char *text)
{
    const char *letters = word.data;
    size_t prefix = word.size == 2 && strchr("([", letters[0]) != NULL ? 1 : 0;
    const char *keys_of = key_group(letters[prefix], group);
    rr_bytes argument = word;
    if (word.size != prefix + 1) {
        return word;
    }
    if (keys_of != NULL) {
        return take_key(maker, keys_of);
    }
    switch (letters[prefix]) {
    case 'M':
        argument = bytes_of(members[maker_take(maker) % (sizeof members / sizeof members[0])]);
        break;
    case 'I':
        snprintf(text, MAKER_WORD_MAX, "%u", maker_take(maker) % 20U);
        return bytes_of(text);
    case 'N':
        argument = bytes_of(numbers[maker_take(maker) % (sizeof numbers / sizeof numbers[0])]);
        break;
    case 'S':
        argument = word_at("0 1 2 3 -1 1.5 -0 inf -inf 1e300 0.1 -2 10 4 5 6 7", maker_take(maker));
        break;
    case 'T':
        snprintf(text, MAKER_WORD_MAX, "%u", 1 + maker_take(maker) * 50U);
        return bytes_of(text);
    case 'X':
        return take_argument(maker, group);
    default:
        return word;
    }
    snprintf(text, MAKER_WORD_MAX, "%.*s%.*s", (int)prefix, letters, (int)argument.size,
             (const char *)argument.data);
    return bytes_of(text);
}

/* Fills `argv` with a command from a template; texts of its own are in `texts`. */
static size_t make_templated(struct maker *maker, rr_bytes argv[MAKER_ARGUMENTS_MAX],
                             char texts[MAKER_ARGUMENTS_MAX][MAKER_WORD_MAX])
{
    size_t number = (size_t)maker_take(maker) << 8 | maker_take(maker);
    const char *words = templates[number % (sizeof templates / sizeof templates[0])];
    const char *group = "generic";
    size_t argc = 0;
    while (argc < MAKER_ARGUMENTS_MAX && *words != '\0') {
        rr_bytes word = {words, strcspn(words, " ")};
        argv[argc] = argc == 0 ? word : take_templated(maker, word, group, texts[argc]);
        if (argc == 0) {
            const struct command *command = command_find(word);
            group = command != NULL ? command->group : group;
        }
        argc++;
        words += word.size + (words[word.size] == ' ' ? 1U : 0U);
    }
    return argc;
}

void maker_command(struct maker *maker, struct made_command *out)
{
    out->argc = maker_take(maker) % 4 == 0 ? make_command(maker, out->argv)
                                           : make_templated(maker, out->argv, out->texts);
}

/* ---- Filling ---- */

void maker_filling(struct maker *maker, struct filling *out)
{
    static const char *const forms[] = {"rpush l1 m",    "sadd e1 m",  "zadd z1 n m", "hset h1 m n",
                                        "xadd t1 * m n", "lpush l2 m", "zadd z2 m m"};
    out->form = forms[maker_take(maker) % (sizeof forms / sizeof forms[0])];
    out->count = 2U * maker_take(maker);
    out->spread = 1U + maker_take(maker);
    out->done = 0;
}

bool filling_next(struct filling *filling, struct made_command *out)
{
    if (filling->done == filling->count) {
        return false;
    }
    snprintf(out->texts[0], MAKER_WORD_MAX, "%u", filling->done);
    snprintf(out->texts[1], MAKER_WORD_MAX, "%u", filling->done % filling->spread);
    filling->done++;
    out->argc = 0;
    for (const char *at = filling->form; *at != '\0'; at += strspn(at, " ")) {
        rr_bytes word = {at, strcspn(at, " ")};
        at += word.size;
        bool is_member = bytes_equal(word, bytes_of("m"));
        bool is_other = bytes_equal(word, bytes_of("n"));
        out->argv[out->argc++] = is_member  ? bytes_of(out->texts[0])
                                 : is_other ? bytes_of(out->texts[1])
                                            : word;
    }
    return true;
}
