#include "support/test.h"

#include "rockraft/config.h"

#include <string.h>

static void check_split(const char *address, const char *expected_host, uint16_t expected_port)
{
    char host[256];
    uint16_t port = 0;
    CHECK_OK(rr_address_split(address, host, sizeof(host), &port, NULL));
    CHECK_TEXT(host, expected_host);
    CHECK_EQ(port, expected_port);
}

TEST(address, is_a_host_and_a_port)
{
    check_split("localhost:1", "localhost", 1);
    check_split("10.0.0.1:65535", "10.0.0.1", 65535);
    check_split("rockraft-0.rockraft-headless.ns.svc.cluster.local:7000",
                "rockraft-0.rockraft-headless.ns.svc.cluster.local", 7000);
    check_split("[::1]:0", "::1", 0);
    check_split("[2001:db8::7]:7000", "2001:db8::7", 7000);
}

TEST(address, is_refused_with_a_reason)
{
    static const char *const cases[][2] = {
        {"", "the port is missing"},
        {"host", "the port is missing"},
        {":1", "the host is missing"},
        {"host:", "the port is no number up to 65535"},
        {"host:99999", "the port is no number up to 65535"},
        {"host:0000001", "the port is no number up to 65535"},
        {"host:1x", "the port is no number up to 65535"},
        {"host:-1", "the port is no number up to 65535"},
        {"ho st:1", "the host has a character that none has"},
        {"[::1]", "an IPv6 address ends with \"]:PORT\""},
        {"[::1:7", "an IPv6 address ends with \"]:PORT\""},
        {"[::g]:7", "the host is no IPv6 address"},
        {"[]:7", "the host is missing"},
        {"2001:db8::7:7000", "an IPv6 address is written in brackets, as in \"[::1]:7000\""},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char host[256];
        uint16_t port;
        const char *problem = NULL;
        CHECK_STATUS(rr_address_split(cases[i][0], host, sizeof(host), &port, &problem),
                     RR_INVALID);
        CHECK_TEXT(problem, cases[i][1]);
    }
}

TEST(address, is_refused_when_its_host_does_not_fit)
{
    char host[4];
    uint16_t port;
    const char *problem = NULL;
    CHECK_STATUS(rr_address_split("four:1", host, sizeof(host), &port, &problem), RR_INVALID);
    CHECK_TEXT(problem, "the host is too long");
    CHECK_OK(rr_address_split("fit:1", host, sizeof(host), &port, &problem));

    char address[400];
    memset(address, 'a', 300);
    strcpy(address + 300, ":1");
    char room[400];
    CHECK_STATUS(rr_address_split(address, room, sizeof(room), &port, &problem), RR_INVALID);
}
