/* Addresses as text: what is taken, what is refused, and that both ways agree. */
#include "io/address.h"

#include "support/test.h"

#include <string.h>

static void check_good(const char *text, const char *host, uint16_t port, bool is_ipv6)
{
    struct address address;
    CHECK_OK(address_parse(text, &address));
    CHECK_TEXT(address.host, host);
    CHECK_EQ(address.port, port);
    CHECK_EQ(address.is_ipv6, is_ipv6);
    char back[ADDRESS_BYTES_MAX];
    address_format(&address, back);
    CHECK_TEXT(back, text);
}

static void check_bad(const char *text)
{
    struct address address;
    CHECK_STATUS(address_parse(text, &address), RR_INVALID);
}

TEST(address, reads_names_and_literals)
{
    check_good("localhost:1", "localhost", 1, false);
    check_good("127.0.0.1:65535", "127.0.0.1", 65535, false);
    check_good("a-b_c.example.org:80", "a-b_c.example.org", 80, false);
    check_good("[::1]:9000", "::1", 9000, true);
    check_good("[2001:db8::7]:0", "2001:db8::7", 0, true);
}

TEST(address, refuses_what_is_no_host_and_port)
{
    static const char *const bad[] = {
        "",         ":",          "host",       "host:",   ":80",         "host:65536",
        "host:-1",  "host:+1",    "host: 1",    "host:1 ", "host:0x10",   "host:999999",
        "::1:80",   "[::1]",      "[::1]80",    "[::1",    "[]:80",       "[host]:80",
        "h st:80",  "host:80:80", "http://a:1", "[::1]:",  "[1.2.3.4]:1", "host\n:80",
        "user@h:1", "[::1]x:80",
    };
    for (size_t at = 0; at < sizeof(bad) / sizeof(bad[0]); at++) {
        check_bad(bad[at]);
    }
}

TEST(address, bounds_the_length_of_a_name)
{
    char text[400];
    memset(text, 'a', sizeof(text));
    strcpy(text + 253, ":65535");
    struct address address;
    CHECK_OK(address_parse(text, &address));
    char back[ADDRESS_BYTES_MAX];
    address_format(&address, back);
    CHECK_TEXT(back, text);
    memset(text, 'a', sizeof(text));
    strcpy(text + 254, ":65535");
    check_bad(text);
    CHECK_STATUS(address_parse_bytes((rr_bytes){.data = "a\0b:1", .size = 5}, &address),
                 RR_INVALID);
}
