/* SUBSCRIBE and its family, PUBLISH, PUBSUB. */
#include "coredb/base/bytes.h"
#include "coredb/server/client.h"
#include "coredb/server/messaging.h"
#include "coredb/server/pubsub.h"

#include <stdlib.h>

/* A client's part in pub/sub, made with its first subscription. */
struct subscriptions {
    struct subscriber subscriber;
};

static struct pubsub *pubsub_of(const struct client *client)
{
    return messaging_of(client->server)->pubsub;
}

/* ---- Subscriptions of a client ---- */

static void push(void *arg, rr_bytes bytes)
{
    client_push(arg, bytes);
}

static void count(struct client *client)
{
    const struct subscriber *subscriber = &client->subscriptions->subscriber;
    client->channel_count = (uint32_t)subscriber->counts[PUBSUB_CHANNEL];
    client->pattern_count = (uint32_t)subscriber->counts[PUBSUB_PATTERN];
    client->shard_channel_count = (uint32_t)subscriber->counts[PUBSUB_SHARD];
    messaging_update_wanted(messaging_of(client->server));
}

static void drop(struct client *client)
{
    subscriber_deinit(&client->subscriptions->subscriber);
    count(client);
    free(client->subscriptions);
    client->subscriptions = NULL;
}

static rr_status add(struct client *client, enum pubsub_kind kind, rr_bytes name)
{
    if (client->subscriptions == NULL) {
        client->subscriptions = malloc(sizeof(*client->subscriptions));
        if (client->subscriptions == NULL) {
            return RR_NO_MEMORY;
        }
        subscriber_init(&client->subscriptions->subscriber, pubsub_of(client),
                        &client->reply.protocol, push, client);
        client->drop_subscriptions = drop;
    }
    rr_status status = subscriber_add(&client->subscriptions->subscriber, kind, name);
    count(client);
    return status;
}

/* The number that replies show: shard channels are counted apart. */
static int64_t shown_count(const struct client *client, enum pubsub_kind kind)
{
    return kind == PUBSUB_SHARD ? (int64_t)client->shard_channel_count
                                : (int64_t)client->channel_count + client->pattern_count;
}

static void subscribe(struct client *client, enum pubsub_kind kind, const char *word,
                      const rr_bytes *argv, size_t argc)
{
    for (size_t i = 1; i < argc; i++) {
        rr_status status = add(client, kind, argv[i]);
        if (status != RR_OK) {
            reply_error(&client->reply, status == RR_BUSY
                                            ? "ERR too many subscriptions of this connection"
                                            : "OOM no memory for a subscription");
            continue;
        }
        reply_push(&client->reply, 3);
        reply_bulk_text(&client->reply, word);
        reply_bulk(&client->reply, argv[i]);
        reply_integer(&client->reply, shown_count(client, kind));
    }
}

/* Ends one, `name` NULL: none, for whoever has nothing to end. The name may go with it. */
static void unsubscribe_one(struct client *client, enum pubsub_kind kind, const char *word,
                            const rr_bytes *name)
{
    reply_push(&client->reply, 3);
    reply_bulk_text(&client->reply, word);
    if (name == NULL) {
        reply_null(&client->reply);
    } else {
        reply_bulk(&client->reply, *name);
        if (client->subscriptions != NULL) {
            (void)subscriber_remove(&client->subscriptions->subscriber, kind, *name);
            count(client);
        }
    }
    reply_integer(&client->reply, shown_count(client, kind));
}

static void unsubscribe(struct client *client, enum pubsub_kind kind, const char *word,
                        const rr_bytes *argv, size_t argc)
{
    for (size_t i = 1; i < argc; i++) {
        unsubscribe_one(client, kind, word, &argv[i]);
    }
    if (argc > 1) {
        return;
    }
    rr_bytes name;
    if (client->subscriptions == NULL ||
        !subscriber_first(&client->subscriptions->subscriber, kind, &name)) {
        unsubscribe_one(client, kind, word, NULL);
        return;
    }
    do {
        unsubscribe_one(client, kind, word, &name);
    } while (subscriber_first(&client->subscriptions->subscriber, kind, &name));
}

static void subscribe_local(struct client *client, const rr_bytes *argv, size_t argc)
{
    subscribe(client, PUBSUB_CHANNEL, "subscribe", argv, argc);
}

static void psubscribe_local(struct client *client, const rr_bytes *argv, size_t argc)
{
    subscribe(client, PUBSUB_PATTERN, "psubscribe", argv, argc);
}

static void ssubscribe_local(struct client *client, const rr_bytes *argv, size_t argc)
{
    subscribe(client, PUBSUB_SHARD, "ssubscribe", argv, argc);
}

static void unsubscribe_local(struct client *client, const rr_bytes *argv, size_t argc)
{
    unsubscribe(client, PUBSUB_CHANNEL, "unsubscribe", argv, argc);
}

static void punsubscribe_local(struct client *client, const rr_bytes *argv, size_t argc)
{
    unsubscribe(client, PUBSUB_PATTERN, "punsubscribe", argv, argc);
}

static void sunsubscribe_local(struct client *client, const rr_bytes *argv, size_t argc)
{
    unsubscribe(client, PUBSUB_SHARD, "sunsubscribe", argv, argc);
}

/* ---- Publishing ---- */

static void publish_local(struct client *client, const rr_bytes *argv, size_t argc)
{
    (void)argc;
    size_t receivers = messaging_publish(messaging_of(client->server), false, argv[1], argv[2]);
    reply_integer(&client->reply, (int64_t)receivers);
}

static void spublish_local(struct client *client, const rr_bytes *argv, size_t argc)
{
    (void)argc;
    size_t receivers = messaging_publish(messaging_of(client->server), true, argv[1], argv[2]);
    reply_integer(&client->reply, (int64_t)receivers);
}

/* Within EXEC or a script: the entry carries the message to every node. Who will be there to
 * receive it, none of them can know. */
static void publish_run(struct exec *exec)
{
    if (!events_publish(&exec->store->events, exec->argv[1], exec->argv[2])) {
        reply_error(exec->reply, "ERR too many messages in one transaction");
        return;
    }
    reply_integer(exec->reply, 0);
}

/* ---- PUBSUB ---- */

struct listing {
    struct reply *reply;
    const rr_bytes *pattern; /* NULL: all */
    size_t count;
};

static void list_name(void *arg, rr_bytes name, size_t subscribers)
{
    (void)subscribers;
    struct listing *listing = arg;
    if (listing->pattern == NULL || bytes_match(*listing->pattern, name, false)) {
        reply_bulk(listing->reply, name);
        listing->count++;
    }
}

static void list_names(struct client *client, enum pubsub_kind kind, const rr_bytes *argv,
                       size_t argc)
{
    if (argc > 3) {
        reply_error(&client->reply,
                    "ERR unknown subcommand or wrong number of arguments for '%.128s'. Try PUBSUB "
                    "HELP.",
                    kind == PUBSUB_SHARD ? "SHARDCHANNELS" : "CHANNELS");
        return;
    }
    struct listing listing = {.reply = &client->reply, .pattern = argc == 3 ? &argv[2] : NULL};
    size_t mark = reply_later(&client->reply);
    pubsub_each(pubsub_of(client), kind, list_name, &listing);
    reply_array_end(&client->reply, mark, listing.count);
}

static void count_names(struct client *client, enum pubsub_kind kind, const rr_bytes *argv,
                        size_t argc)
{
    reply_array(&client->reply, 2 * (argc - 2));
    for (size_t i = 2; i < argc; i++) {
        reply_bulk(&client->reply, argv[i]);
        reply_integer(&client->reply,
                      (int64_t)pubsub_subscribers(pubsub_of(client), kind, argv[i]));
    }
}

static void channels_local(struct client *client, const rr_bytes *argv, size_t argc)
{
    list_names(client, PUBSUB_CHANNEL, argv, argc);
}

static void shardchannels_local(struct client *client, const rr_bytes *argv, size_t argc)
{
    list_names(client, PUBSUB_SHARD, argv, argc);
}

static void numsub_local(struct client *client, const rr_bytes *argv, size_t argc)
{
    count_names(client, PUBSUB_CHANNEL, argv, argc);
}

static void shardnumsub_local(struct client *client, const rr_bytes *argv, size_t argc)
{
    count_names(client, PUBSUB_SHARD, argv, argc);
}

static void numpat_local(struct client *client, const rr_bytes *argv, size_t argc)
{
    (void)argv;
    (void)argc;
    reply_integer(&client->reply, (int64_t)pubsub_count(pubsub_of(client), PUBSUB_PATTERN));
}

static void help_local(struct client *client, const rr_bytes *argv, size_t argc)
{
    (void)argv;
    (void)argc;
    static const char *const lines[] = {
        "PUBSUB <subcommand> [<arg> [value] [opt] ...]. Subcommands are:",
        "CHANNELS [<pattern>]",
        "    Return the currently active channels matching a <pattern> (default: '*').",
        "NUMPAT",
        "    Return number of subscriptions to patterns.",
        "NUMSUB [<channel> ...]",
        "    Return the number of subscribers for the specified channels, excluding",
        "    pattern subscriptions(default: no channels).",
        "SHARDCHANNELS [<pattern>]",
        "    Return the currently active shard level channels matching a <pattern> (default: '*').",
        "SHARDNUMSUB [<shardchannel> ...]",
        "    Return the number of subscribers for the specified shard level channel(s)",
        "HELP",
        "    Prints this help.",
    };
    reply_lines(&client->reply, lines, sizeof(lines) / sizeof(*lines));
}

/* ---- The table ---- */

enum {
    SUBSCRIBE_FLAGS =
        COMMAND_PUBSUB | COMMAND_NOSCRIPT | COMMAND_LOADING | COMMAND_STALE | COMMAND_SENTINEL,
    SHARD_FLAGS = COMMAND_PUBSUB | COMMAND_NOSCRIPT | COMMAND_LOADING | COMMAND_STALE,
    PUBLISH_FLAGS =
        COMMAND_PUBSUB | COMMAND_LOADING | COMMAND_STALE | COMMAND_FAST | COMMAND_MAY_REPLICATE,
    LOOK_FLAGS = COMMAND_PUBSUB | COMMAND_LOADING | COMMAND_STALE,
};

static const char ON_THIS_NODE[] = "Tells of the subscribers of this node, as in a Redis cluster.";
static const char RECEIVERS[] =
    "Reaches the subscribers of all nodes, and returns how many are on this one, as in a Redis "
    "cluster; within a transaction or a script 0.";

static const struct command pubsub_subcommands[] = {
    {
        .name = "channels",
        .arity = -2,
        .flags = LOOK_FLAGS,
        .group = "pubsub",
        .since = "2.8.0",
        .summary = "Lists the channels that have subscribers.",
        .complexity = "O(N) with N channels",
        .local = channels_local,
        .note = ON_THIS_NODE,
    },
    {
        .name = "help",
        .arity = 2,
        .flags = COMMAND_LOADING | COMMAND_STALE,
        .group = "pubsub",
        .since = "6.2.0",
        .summary = "Tells the subcommands.",
        .complexity = "O(1)",
        .local = help_local,
    },
    {
        .name = "numpat",
        .arity = 2,
        .flags = LOOK_FLAGS,
        .group = "pubsub",
        .since = "2.8.0",
        .summary = "Counts the patterns that have subscribers.",
        .complexity = "O(1)",
        .local = numpat_local,
        .note = ON_THIS_NODE,
    },
    {
        .name = "numsub",
        .arity = -2,
        .flags = LOOK_FLAGS,
        .group = "pubsub",
        .since = "2.8.0",
        .summary = "Counts the subscribers of channels.",
        .complexity = "O(N) with N channels asked for",
        .local = numsub_local,
        .note = ON_THIS_NODE,
    },
    {
        .name = "shardchannels",
        .arity = -2,
        .flags = LOOK_FLAGS,
        .group = "pubsub",
        .since = "7.0.0",
        .summary = "Lists the shard channels that have subscribers.",
        .complexity = "O(N) with N shard channels",
        .local = shardchannels_local,
        .note = ON_THIS_NODE,
    },
    {
        .name = "shardnumsub",
        .arity = -2,
        .flags = LOOK_FLAGS,
        .group = "pubsub",
        .since = "7.0.0",
        .summary = "Counts the subscribers of shard channels.",
        .complexity = "O(N) with N shard channels asked for",
        .local = shardnumsub_local,
        .note = ON_THIS_NODE,
    },
    {0},
};

const struct command commands_pubsub[] = {
    {
        .name = "psubscribe",
        .arity = -2,
        .flags = SUBSCRIBE_FLAGS,
        .group = "pubsub",
        .since = "2.0.0",
        .summary = "Subscribes to all channels that match patterns.",
        .complexity = "O(N) with N patterns",
        .local = psubscribe_local,
    },
    {
        .name = "publish",
        .arity = 3,
        .flags = PUBLISH_FLAGS | COMMAND_SENTINEL,
        .group = "pubsub",
        .since = "2.0.0",
        .summary = "Sends a message to the subscribers of a channel.",
        .complexity = "O(N+M) with N subscribers of the channel and M patterns",
        .run = publish_run,
        .local = publish_local,
        .note = RECEIVERS,
    },
    {
        .name = "pubsub",
        .arity = -2,
        .group = "pubsub",
        .since = "2.8.0",
        .summary = "Looks at channels and their subscribers.",
        .complexity = "Depends on the subcommand.",
        .subcommands = pubsub_subcommands,
    },
    {
        .name = "punsubscribe",
        .arity = -1,
        .flags = SUBSCRIBE_FLAGS,
        .group = "pubsub",
        .since = "2.0.0",
        .summary = "Ends subscriptions to patterns, or all of them.",
        .complexity = "O(N) with N patterns",
        .local = punsubscribe_local,
    },
    {
        .name = "spublish",
        .arity = 3,
        .flags = PUBLISH_FLAGS,
        .group = "pubsub",
        .since = "7.0.0",
        .summary = "Sends a message to the subscribers of a shard channel.",
        .complexity = "O(N) with N subscribers of the shard channel",
        .local = spublish_local,
        .keys = {KEY_SPEC(KEY_NOT_KEY, 1, 0, 1)},
        .note = RECEIVERS,
    },
    {
        .name = "ssubscribe",
        .arity = -2,
        .flags = SHARD_FLAGS,
        .group = "pubsub",
        .since = "7.0.0",
        .summary = "Subscribes to shard channels.",
        .complexity = "O(N) with N shard channels",
        .local = ssubscribe_local,
        .keys = {KEY_SPEC(KEY_NOT_KEY, 1, -1, 1)},
    },
    {
        .name = "subscribe",
        .arity = -2,
        .flags = SUBSCRIBE_FLAGS,
        .group = "pubsub",
        .since = "2.0.0",
        .summary = "Subscribes to channels.",
        .complexity = "O(N) with N channels",
        .local = subscribe_local,
    },
    {
        .name = "sunsubscribe",
        .arity = -1,
        .flags = SHARD_FLAGS,
        .group = "pubsub",
        .since = "7.0.0",
        .summary = "Ends subscriptions to shard channels, or all of them.",
        .complexity = "O(N) with N shard channels",
        .local = sunsubscribe_local,
        .keys = {KEY_SPEC(KEY_NOT_KEY, 1, -1, 1)},
    },
    {
        .name = "unsubscribe",
        .arity = -1,
        .flags = SUBSCRIBE_FLAGS,
        .group = "pubsub",
        .since = "2.0.0",
        .summary = "Ends subscriptions to channels, or all of them.",
        .complexity = "O(N) with N channels",
        .local = unsubscribe_local,
    },
    {0},
};
