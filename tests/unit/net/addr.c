/* Tests of socket addresses. */
#include "../check.h"

#include "net/addr.h"

#include <arpa/inet.h>

static void from_path(void **state)
{
    (void)state;
    struct addr addr;
    char path[200];
    assert_int_equal(addr_from_path(&addr, "/tmp/x"), 0);
    assert_int_equal(addr.sa.sa_family, AF_UNIX);
    assert_string_equal(addr.un.sun_path, "/tmp/x");
    assert_int_equal(addr.len, offsetof(struct sockaddr_un, sun_path) + 7);
    assert_int_equal(addr_from_path(&addr, "@name"), 0); /* abstract: a NUL first, none behind */
    assert_memory_equal(addr.un.sun_path, "\0name", 5);
    assert_int_equal(addr.len, offsetof(struct sockaddr_un, sun_path) + 5);
    assert_int_equal(addr_from_path(&addr, ""), -ENAMETOOLONG);
    for (size_t len = 105; len < 112; len++) {
        memset(path, 'x', len);
        path[len] = '\0';
        int rc = addr_from_path(&addr, path);
        assert_int_equal(rc, len < sizeof(addr.un.sun_path) ? 0 : -ENAMETOOLONG);
    }
}

static void from_ip(void **state)
{
    (void)state;
    static const struct {
        const char *host;
        int family;
    } rows[] = {
        { "127.0.0.1", AF_INET },
        { "255.255.255.255", AF_INET },
        { "::", AF_INET6 },
        { "::1", AF_INET6 },
        { "2001:db8::42", AF_INET6 },
        { "::ffff:1.2.3.4", AF_INET6 },
        { "", 0 },
        { "localhost", 0 },
        { "127.0.0.256", 0 },
        { "127.1", 0 },
        { "[::1]", 0 },
        { "1.2.3.4 ", 0 },
        { "::g", 0 },
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct addr addr;
        int rc = addr_from_ip(&addr, rows[i].host, 8080);
        assert_int_equal(rc, rows[i].family ? 0 : -EINVAL);
        if (rc < 0)
            continue;
        assert_int_equal(addr.sa.sa_family, rows[i].family);
        assert_int_equal(ntohs(addr.in.sin_port), 8080);
        assert_int_equal(addr.len, rows[i].family == AF_INET ? sizeof(addr.in) : sizeof(addr.in6));
    }
}

static void to_text(void **state)
{
    (void)state;
    static const char *const rows[][2] = {
        { "127.0.0.1", "127.0.0.1" },
        { "::1", "::1" },
        { "::ffff:1.2.3.4", "1.2.3.4" }, /* IPv4 that came in by IPv6 */
        { "::1.2.3.4", "::1.2.3.4" },
        { "2001:0db8:0::0042", "2001:db8::42" },
        { "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff" },
    };
    char text[INET6_ADDRSTRLEN];
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct addr addr;
        assert_int_equal(addr_from_ip(&addr, rows[i][0], 54321), 0);
        struct addr_peer peer = addr_to_peer(&addr);
        assert_int_equal(peer.port, 54321);
        addr_peer_write(&peer, text);
        assert_string_equal(text, rows[i][1]);
    }
    struct addr addr;
    assert_int_equal(addr_from_path(&addr, "/tmp/x"), 0);
    struct addr_peer peer = addr_to_peer(&addr);
    assert_int_equal(peer.family, AF_UNIX);
    assert_int_equal(peer.port, 0);
    addr_peer_write(&peer, text);
    assert_string_equal(text, "");
}

static void look_up(void **state)
{
    (void)state;
    struct addr addrs[4];
    assert_int_equal(addr_lookup(addrs, 4, "127.0.0.1", 80), 1);
    assert_int_equal(addrs[0].in.sin_addr.s_addr, htonl(INADDR_LOOPBACK));
    assert_int_equal(ntohs(addrs[0].in.sin_port), 80);
    int n = addr_lookup(addrs, 4, NULL, 65535); /* for listening: all of this machine */
    assert_in_range(n, 1, 2);
    for (int i = 0; i < n; i++) {
        struct addr_peer peer = addr_to_peer(&addrs[i]);
        assert_int_equal(peer.port, 65535);
        for (int k = 0; k < 16; k++)
            assert_int_equal(peer.bytes[k], 0);
    }
    assert_int_equal(addr_lookup(addrs, 1, NULL, 80), 1); /* no more than asked for */
    assert_int_equal(addr_lookup(addrs, 4, "::1", 80), 1);
    assert_int_equal(addrs[0].sa.sa_family, AF_INET6);
    assert_int_equal(addr_lookup(addrs, 4, "256.256.256.256", 80), -EHOSTUNREACH);
    assert_int_equal(addr_lookup(addrs, 4, "not a name", 80), -EHOSTUNREACH);
    n = addr_lookup(addrs, 4, "localhost", 80);
    assert_true(n > 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(from_path),
        cmocka_unit_test(from_ip),
        cmocka_unit_test(to_text),
        cmocka_unit_test(look_up),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
