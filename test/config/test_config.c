#include "support/test.h"

#include "rockraft/config.h"

#include <stdio.h>
#include <string.h>

static const char MINIMAL[] = "node_id = 7\nhttp_addr = \"127.0.0.1:8000\"\n";

static const char WHOLE[] = "node_id = 2\n"
                            "http_addr = \"0.0.0.0:8002\"\n"
                            "[raft]\n"
                            "address = \"0.0.0.0:7002\"\n"
                            "advertise_host = \"node-2.example\"\n"
                            "join = [\"node-1.example:7001\", \"[::1]:7003\"]\n"
                            "found = false\n"
                            "heartbeat_interval = 300\n"
                            "election_timeout_min = 1000\n"
                            "election_timeout_max = 2000\n"
                            "[rocksdb]\n"
                            "data_path = \"/var/lib/rockraft\"\n"
                            "max_open_files = 512\n"
                            "[storage]\n"
                            "log = \"segments\"\n"
                            "migrate_log = true\n"
                            "log_segment_bytes = 65536\n"
                            "log_sync = \"thread\"\n"
                            "repair = \"never\"\n"
                            "[snapshot]\n"
                            "entries = 0\n"
                            "keep = 5\n"
                            "[limits]\n"
                            "body_bytes_max = 1000\n"
                            "pending_max = 99\n"
                            "[http]\n"
                            "cors_origins = [\"https://example.org\", \"*\"]\n"
                            "connections_max = 12\n"
                            "timeout_ms = 777\n"
                            "[log]\n"
                            "file = \"log/node.log\"\n"
                            "level = \"warn,raft=debug\"\n";

static rr_status parse(const char *text, rr_config **out, char *error, size_t error_size)
{
    return rr_config_parse(test_bytes_of(text), "node.toml", "http_addr", out, error, error_size);
}

static rr_config *parse_good(const char *text)
{
    rr_config *config = NULL;
    char error[512] = "";
    rr_status status = parse(text, &config, error, sizeof(error));
    CHECK_TEXT(error, "");
    CHECK_OK(status);
    return config;
}

TEST(config, needs_two_keys_and_has_defaults_for_the_rest)
{
    rr_config *config = parse_good(MINIMAL);
    CHECK_EQ(config->node_id, 7);
    CHECK_TEXT(config->server_address, "127.0.0.1:8000");
    CHECK_TEXT(config->raft_address, "127.0.0.1:6682");
    CHECK_TEXT(config->advertise_address, "localhost:6682");
    CHECK_EQ(config->join_count, 0);
    CHECK(config->found);
    CHECK_EQ(config->heartbeat_interval_ms, 50);
    CHECK_EQ(config->election_timeout_min_ms, 150);
    CHECK_EQ(config->election_timeout_max_ms, 300);
    CHECK_TEXT(config->data_path, ".rockraft_data");
    CHECK_EQ(config->max_open_files, 10000);
    CHECK_EQ(config->body_bytes_max, 8 * 1024 * 1024);
    CHECK_EQ(config->snapshot_entries, RR_CONFIG_UNSET);
    CHECK_EQ(config->cors_origin_count, 0);
    CHECK_TEXT(config->log_file, NULL);
    CHECK_TEXT(config->log_level, "info");
    CHECK_EQ(config->warning_count, 0);
    rr_config_free(config);
}

TEST(config, reads_every_table)
{
    rr_config *config = parse_good(WHOLE);
    CHECK_TEXT(config->raft_address, "0.0.0.0:7002");
    CHECK_TEXT(config->advertise_address, "node-2.example:7002");
    CHECK_EQ(config->join_count, 2);
    CHECK_TEXT(config->join[0], "node-1.example:7001");
    CHECK_TEXT(config->join[1], "[::1]:7003");
    CHECK(!config->found);
    CHECK_EQ(config->election_timeout_max_ms, 2000);
    CHECK_TEXT(config->data_path, "/var/lib/rockraft");
    CHECK_EQ(config->max_open_files, 512);
    CHECK_EQ(config->snapshot_entries, 0);
    CHECK_EQ(config->snapshot_keep, 5);
    CHECK_EQ(config->body_bytes_max, 1000);
    CHECK_EQ(config->pending_max, 99);
    CHECK_EQ(config->cors_origin_count, 2);
    CHECK_TEXT(config->cors_origins[0], "https://example.org");
    CHECK_EQ(config->connections_max, 12);
    CHECK_EQ(config->timeout_ms, 777);
    CHECK_TEXT(config->log_file, "log/node.log");
    CHECK_TEXT(config->log_level, "warn,raft=debug");
    rr_config_free(config);
}

TEST(config, fills_the_options_of_a_node_and_leaves_unset_ones_alone)
{
    rr_config *config = parse_good(WHOLE);
    rr_options options;
    memset(&options, 0, sizeof(options));
    options.memtable_bytes = 12345;
    options.snapshot_entries = 4711;
    rr_config_to_options(config, &options);
    CHECK_EQ(options.node_id, 2);
    CHECK_TEXT(options.data_path, "/var/lib/rockraft");
    CHECK_TEXT(options.advertise_address, "node-2.example:7002");
    CHECK_EQ(options.join_count, 2);
    CHECK(!options.found);
    CHECK_EQ(options.heartbeat_interval_ms, 300);
    CHECK_EQ(options.snapshot_entries, 0);
    CHECK_EQ(options.memtable_bytes, 12345);
    CHECK_EQ(options.log_kind, RR_LOG_SEGMENTS);
    CHECK(options.log_migrate);
    CHECK_EQ(options.log_segment_bytes, 65536);
    CHECK(options.log_sync_thread);
    CHECK_EQ(options.repair, RR_REPAIR_NEVER);
    CHECK_EQ(options.pending_max, 99);
    CHECK_EQ(options.timeout_ms, 777);
    CHECK_EQ(options.log_level, RR_LOG_DEBUG);
    rr_config_free(config);
}

TEST(config, reads_the_keys_of_another_server_under_its_own_names)
{
    const char *text = "node_id = 1\nserver_addr = \"[::]:0\"\n[server]\nconnections_max = 3\n";
    rr_config *config = NULL;
    CHECK_OK(rr_config_parse(test_bytes_of(text), "core.toml", "server_addr", &config, NULL, 0));
    CHECK_TEXT(config->server_address, "[::]:0");
    CHECK_EQ(config->connections_max, 3);
    rr_config_free(config);
}

TEST(config, takes_the_host_of_the_raft_address_when_none_is_advertised)
{
    rr_config *config = parse_good("node_id = 1\nhttp_addr = \"localhost:1\"\n[raft]\n"
                                   "address = \"[fe80::1]:7000\"\nadvertise_host = \"\"\n"
                                   "join = []\n");
    CHECK_TEXT(config->advertise_address, "[fe80::1]:7000");
    rr_config_free(config);
}

TEST(config, puts_brackets_around_an_advertised_ipv6_address)
{
    rr_config *config = parse_good("node_id = 1\nhttp_addr = \"localhost:1\"\n[raft]\n"
                                   "address = \"[::]:7000\"\nadvertise_host = \"fe80::2\"\n"
                                   "join = []\n");
    CHECK_TEXT(config->advertise_address, "[fe80::2]:7000");
    rr_config_free(config);
}

TEST(config, ignores_unknown_keys_but_names_them)
{
    rr_config *config = parse_good("node_id = 1\nhttp_addr = \"localhost:1\"\ncolour = \"red\"\n"
                                   "[http]\ntimeout = 3\n[other]\nx = 1\n");
    CHECK_EQ(config->warning_count, 3);
    CHECK_TEXT(config->warnings[0], "node.toml:3: colour: not a key of this server, ignored");
    CHECK_TEXT(config->warnings[1], "node.toml:6: other: not a key of this server, ignored");
    CHECK_TEXT(config->warnings[2], "node.toml:5: http.timeout: not a key of this server, ignored");
    rr_config_free(config);
}

TEST(config, hands_a_table_of_the_server_over_as_it_is)
{
    const char *text = "node_id = 1\nserver_addr = \"[::]:0\"\n[coredb]\nrequirepass = \"s3\"\n"
                       "maxclients = 12\nallow = true\n[server]\ntimeout_ms = 5\n";
    rr_config *config = NULL;
    char error[256] = "";
    rr_bytes bytes = test_bytes_of(text);
    CHECK_OK(rr_config_parse_table(bytes, "core.toml", "server_addr", "coredb", &config, error,
                                   sizeof(error)));
    CHECK_EQ(config->warning_count, 0);
    CHECK_EQ(config->setting_count, 3);
    CHECK_TEXT(config->settings[0].name, "requirepass");
    CHECK_TEXT(config->settings[0].value, "s3");
    CHECK_EQ(config->settings[0].line, 4u);
    CHECK_TEXT(config->settings[1].name, "maxclients");
    CHECK_TEXT(config->settings[1].value, "12");
    CHECK_TEXT(config->settings[2].value, "true");
    CHECK_EQ(config->timeout_ms, 5);
    rr_config_free(config);

    CHECK_OK(rr_config_parse(bytes, "core.toml", "server_addr", &config, error, sizeof(error)));
    CHECK_EQ(config->setting_count, 0);
    CHECK_EQ(config->warning_count, 1);
    CHECK_TEXT(config->warnings[0], "core.toml:3: coredb: not a key of this server, ignored");
    rr_config_free(config);
}

TEST(config, refuses_what_a_table_of_the_server_cannot_hold)
{
    static const char *const texts[][2] = {
        {"coredb = 3\n", "core.toml:3: coredb: expected a table, [coredb], not an integer"},
        {"[coredb]\nx = [1]\n",
         "core.toml:4: coredb.x: expected a string, an integer or a boolean, "
         "not an array"},
        {"[coredb]\nx = 1\n[coredb.y]\n", "core.toml:5: coredb.y: expected a string, an integer or "
                                          "a boolean, not a table"},
    };
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        char text[256];
        char error[256] = "";
        rr_config *config = NULL;
        snprintf(text, sizeof(text), "node_id = 1\nserver_addr = \"[::]:0\"\n%s", texts[i][0]);
        CHECK_STATUS(rr_config_parse_table(test_bytes_of(text), "core.toml", "server_addr",
                                           "coredb", &config, error, sizeof(error)),
                     RR_INVALID);
        CHECK_TEXT(error, texts[i][1]);
    }
}

TEST(config, has_a_single_node_for_a_server_without_a_file)
{
    rr_config *config = rr_config_new("127.0.0.1:8000");
    CHECK_EQ(config->node_id, 1);
    CHECK_TEXT(config->server_address, "127.0.0.1:8000");
    CHECK_TEXT(config->raft_address, "127.0.0.1:6682");
    CHECK_TEXT(config->data_path, "data");
    rr_config_free(config);
}

/* A text that is refused, after "node_id" and "http_addr" in lines 1 and 2 unless it is whole. */
struct bad {
    const char *text;
    const char *error; /* its beginning, after "node.toml:" */
};

static void check_bad(const char *before, const struct bad *cases, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        char text[1024];
        snprintf(text, sizeof(text), "%s%s", before, cases[i].text);
        rr_config *config = NULL;
        char error[512] = "";
        CHECK_STATUS(parse(text, &config, error, sizeof(error)), RR_INVALID);
        char expected[512];
        snprintf(expected, sizeof(expected), "node.toml:%s", cases[i].error);
        error[strlen(expected) < sizeof(error) ? strlen(expected) : 0] = '\0';
        CHECK_TEXT(error, expected);
        CHECK(strchr(error, '\n') == NULL);
        CHECK(config == NULL);
    }
}

#define CHECK_BAD(before, cases) check_bad(before, cases, sizeof(cases) / sizeof((cases)[0]))

TEST(config, complains_with_line_and_key_about_the_top)
{
    static const struct bad cases[] = {
        {"", "1: node_id: expected a positive integer, unique in the cluster"},
        {"node_id = 0\n", "1: node_id: expected a positive integer, unique in the cluster and "
                          "never reused, not 0"},
        {"node_id = -1\n", "1: node_id: expected a positive integer"},
        {"\nnode_id = \"1\"\n", "2: node_id: expected a positive integer, unique in the cluster "
                                "and never reused, not a string"},
        {"node_id = 1.5\n", "1: node_id: expected a positive integer"},
        {"node_id = 1\n", "1: http_addr: expected \"HOST:PORT\" with a port from 1 to 65535, but "
                          "the key is missing"},
        {"node_id = 1\nhttp_addr = 8000\n", "2: http_addr: expected \"HOST:PORT\" with a port "
                                            "from 1 to 65535, not an integer"},
        {"node_id = 1\nhttp_addr = \"localhost\"\n",
         "2: http_addr: expected \"HOST:PORT\" with a port from 1 to 65535, not \"localhost\": the "
         "port is missing"},
        {"node_id = 1\nhttp_addr = \"localhost:65536\"\n",
         "2: http_addr: expected \"HOST:PORT\" with a port from 1 to 65535, not "
         "\"localhost:65536\": the port is no number up to 65535"},
        {"node_id = 1\nhttp_addr = \":80\"\n",
         "2: http_addr: expected \"HOST:PORT\" with a port from 1 to 65535, not \":80\": the host "
         "is missing"},
        {"node_id = 1\nhttp_addr = \"::1:80\"\n", "2: http_addr: expected \"HOST:PORT\" with a "
                                                  "port from 1 to 65535, not \"::1:80\": the host "
                                                  "is missing"},
        {"node_id = 1\nhttp_addr = \"fe80::1:80\"\n",
         "2: http_addr: expected \"HOST:PORT\" with a port from 1 to 65535, not \"fe80::1:80\": an "
         "IPv6 address is written in brackets"},
        {"node_id = 1\nhttp_addr = \"a:1\"\n[storage]\nlog = \"memory\"\n",
         "4: storage.log: expected \"auto\", \"segments\" or \"rocksdb\", not \"memory\""},
        {"node_id = 1\nhttp_addr = \"a:1\"\n[storage]\nlog_sync = true\n",
         "4: storage.log_sync: expected \"inline\" or \"thread\", not a boolean"},
        {"node_id = 1\nhttp_addr = \"a:1\"\n[storage]\nrepair = \"always\"\n",
         "4: storage.repair: expected \"auto\" or \"never\", not \"always\""},
        {"node_id = 1\nhttp_addr = \"a:1\"\n[storage]\nlog_segment_bytes = 20000\n",
         "4: storage.log_segment_bytes: expected a multiple of 4096, not 20000"},
        {"node_id = 1\nraft = 5\n", "2: raft: expected a table, [raft], not an integer"},
        {"node_id = \n", "1: expected a TOML document: "},
        {"node_id = 1\n[raft\n", "2: expected a TOML document: "},
        {"node_id = 1\nnode_id = 2\n", "2: expected a TOML document: "},
    };
    CHECK_BAD("", cases);
}

TEST(config, complains_with_line_and_key_about_raft)
{
    static const struct bad cases[] = {
        {"[raft]\n", "3: raft.address: expected \"HOST:PORT\" with a port from 1 to 65535, but"},
        {"[raft]\naddress = \"a:0\"\n", "4: raft.address: expected \"HOST:PORT\" with a port from "
                                        "1 to 65535, not \"a:0\": the port is 0"},
        {"[raft]\naddress = \"a:1\"\n", "3: raft.advertise_host: expected the host that peers "
                                        "reach this node by"},
        {"[raft]\naddress = \"a:1\"\nadvertise_host = \"b:2\"\n",
         "5: raft.advertise_host: expected the host that peers reach this node by, or \"\" for "
         "raft.address's, not \"b:2\""},
        {"[raft]\naddress = \"a:1\"\nadvertise_host = \"b\"\n",
         "3: raft.join: expected an array of \"HOST:PORT\", the raft addresses of members ([] "
         "founds a cluster), but the key is missing"},
        {"[raft]\naddress = \"a:1\"\nadvertise_host = \"b\"\njoin = \"c:3\"\n",
         "6: raft.join: expected an array of \"HOST:PORT\", the raft addresses of members, not a "
         "string"},
        {"[raft]\naddress = \"a:1\"\nadvertise_host = \"b\"\njoin = [\n \"c:3\",\n 4]\n",
         "8: raft.join: expected an array of \"HOST:PORT\", the raft addresses of members, not an "
         "integer in it"},
        {"[raft]\naddress = \"a:1\"\nadvertise_host = \"b\"\njoin = [\"c\"]\n",
         "6: raft.join: expected \"HOST:PORT\""},
        {"[raft]\nheartbeat_interval = 0\n",
         "4: raft.heartbeat_interval: expected a number of milliseconds from 1 to 60000, not 0"},
        {"[raft]\nheartbeat_interval = -5\n", "4: raft.heartbeat_interval: expected a number of "
                                              "milliseconds from 1 to 60000, not -5"},
        {"[raft]\nelection_timeout_max = \"9\"\n",
         "4: raft.election_timeout_max: expected a number of milliseconds from 3 to 1200000, not "
         "a string"},
        {"[raft]\nfound = \"yes\"\n", "4: raft.found: expected true or false, not a string"},
    };
    CHECK_BAD(MINIMAL, cases);
}

TEST(config, complains_about_times_that_do_not_fit_each_other)
{
    static const struct bad cases[] = {
        {"election_timeout_min = 99\n", "7: raft.election_timeout_min: expected at least twice the "
                                        "heartbeat, 100, to fit raft.heartbeat_interval"},
        {"heartbeat_interval = 300\n", "7: raft.heartbeat_interval: expected at most 75, to fit "
                                       "raft.election_timeout_min"},
        {"election_timeout_max = 150\n", "7: raft.election_timeout_max: expected more than 150, to "
                                         "fit raft.election_timeout_min"},
        {"election_timeout_min = 300\n", "7: raft.election_timeout_min: expected less than 300, to "
                                         "fit raft.election_timeout_max"},
    };
    CHECK_BAD("node_id = 1\nhttp_addr = \"a:1\"\n[raft]\naddress = \"a:2\"\n"
              "advertise_host = \"\"\njoin = []\n",
              cases);
}

TEST(config, complains_with_line_and_key_about_the_other_tables)
{
    static const struct bad cases[] = {
        {"[rocksdb]\n", "3: rocksdb.data_path: expected the path of the data directory, but"},
        {"[rocksdb]\ndata_path = 5\n", "4: rocksdb.data_path: expected the path of the data "
                                       "directory, not an integer"},
        {"[rocksdb]\ndata_path = \"\"\n", "4: rocksdb.data_path: expected the path of the data "
                                          "directory, not \"\""},
        {"[rocksdb]\ndata_path = \"d\"\n", "3: rocksdb.max_open_files: expected a number of files"},
        {"[rocksdb]\nmax_open_files = true\n", "4: rocksdb.max_open_files: expected a number of "
                                               "files from 16 to 1000000, not a boolean"},
        {"[snapshot]\nentries = -1\n", "4: snapshot.entries: expected a number of entries from 0"},
        {"[limits]\nbody_bytes_max = 0\n", "4: limits.body_bytes_max: expected a number of bytes "
                                           "from 1 to 1073741824, not 0"},
        {"[limits]\nbody_bytes_max = 100000000\n",
         "4: limits.body_bytes_max: expected at most limits.bodies_bytes_max, 67108864"},
        {"[limits]\nbodies_bytes_max = 5\n",
         "4: limits.bodies_bytes_max: expected at least limits.body_bytes_max, 8388608"},
        {"[http]\ncors_origins = \"*\"\n", "4: http.cors_origins: expected an array of origins"},
        {"[http]\ncors_origins = [\"example.org\"]\n",
         "4: http.cors_origins: expected an array of origins"},
        {"[http]\nconnections_max = 1e3\n", "4: http.connections_max: expected a number of "
                                            "connections from 1 to 1000000, not another type"},
        {"[log]\nfile = 1\n", "4: log.file: expected the path of a file, not an integer"},
        {"[log]\nfile = \"\"\n", "4: log.file: expected the path of a file, not \"\""},
        {"[log]\nlevel = \"loud\"\n", "4: log.level: expected trace, debug, info, warn, error or "
                                      "a list such as \"info,raft=debug\", not \"loud\""},
        {"[log]\nlevel = \"raft=\\n\"\n", "4: log.level: expected trace, debug, info, warn, error "
                                          "or a list such as \"info,raft=debug\", not \"raft= \""},
        {"[log]\nlevel = 3\n", "4: log.level: expected trace"},
    };
    CHECK_BAD(MINIMAL, cases);
}

TEST(config, says_which_file_it_cannot_read)
{
    const char *path = test_path(test_directory(), "missing.toml");
    rr_config *config = NULL;
    char error[512];
    CHECK_STATUS(rr_config_load(path, "http_addr", &config, error, sizeof(error)), RR_IO);
    char expected[512];
    snprintf(expected, sizeof(expected),
             "%s: cannot read the configuration: No such file or directory", path);
    CHECK_TEXT(error, expected);

    CHECK_STATUS(rr_config_load(test_directory(), "http_addr", &config, error, sizeof(error)),
                 RR_IO);
    CHECK(strstr(error, "Is a directory") != NULL);
}

TEST(config, loads_a_file_and_names_it_in_complaints)
{
    const char *path = test_path(test_directory(), "node.toml");
    FILE *file = fopen(path, "w");
    CHECK(file != NULL);
    fputs(WHOLE, file);
    fclose(file);
    rr_config *config = NULL;
    CHECK_OK(rr_config_load(path, "http_addr", &config, NULL, 0));
    CHECK_EQ(config->node_id, 2);
    rr_config_free(config);

    char error[512];
    CHECK_STATUS(rr_config_load(path, "server_addr", &config, error, sizeof(error)), RR_INVALID);
    CHECK_EQ(strncmp(error, path, strlen(path)), 0);
    CHECK(strstr(error, ":1: server_addr: expected") != NULL);
}

TEST(config, accepts_the_sample_files)
{
    const char *source = getenv("ROCKRAFT_SOURCE");
    if (source == NULL) {
        test_skip("ROCKRAFT_SOURCE is not set");
    }
    static const char *const names[] = {"single.toml",  "node1.toml",   "node2.toml",  "node3.toml",
                                        "coredb1.toml", "coredb2.toml", "coredb3.toml"};
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        char path[1024];
        snprintf(path, sizeof(path), "%s/config/%s", source, names[i]);
        const char *address_key = names[i][0] == 'c' ? "server_addr" : "http_addr";
        rr_config *config = NULL;
        char error[1024] = "";
        rr_status status = rr_config_load(path, address_key, &config, error, sizeof(error));
        CHECK_TEXT(error, "");
        CHECK_OK(status);
        CHECK_EQ(config->warning_count, 0);
        rr_config_free(config);
    }
}
