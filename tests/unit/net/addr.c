/* Tests of socket addresses. */
#include "../check.h"

#include "base/mem.h"
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
        { "0.0.0.0", "0.0.0.0" },
        { "9.10.99.100", "9.10.99.100" },
        { "255.255.255.255", "255.255.255.255" },
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

static void parse_and_write(void **state)
{
    (void)state;
    static const struct {
        const char *in, *out;
        int rc;
    } rows[] = {
        { "127.0.0.1", "127.0.0.1:80", 0 },
        { "255.255.255.255", "255.255.255.255:80", 0 },
        { "0.0.0.0", "0.0.0.0:80", 0 },
        { "::", "[::]:80", 0 },
        { "::1", "[::1]:80", 0 },
        { "2001:0DB8:0::42", "[2001:db8::42]:80", 0 },
        { "::ffff:1.2.3.4", "1.2.3.4:80", 0 },
        { "fe80::1%lo", "[fe80::1%lo]:80", 0 },
        { "fe80::1%2147483647", "[fe80::1%2147483647]:80", 0 },
        { "fe80::1%2147483648", NULL, -ENODEV },
        { "fe80::1%0", NULL, -ENODEV },
        { "fe80::1%", NULL, -EINVAL },
        { "fe80::1%nothing0", NULL, -ENODEV },
        { "fe80::1%a-name-of-sixteen", NULL, -EINVAL },
        { "127.0.0.1%lo", NULL, -EINVAL },
        { "::ffff:1.2.3.4%lo", NULL, -EINVAL },
        { "", NULL, -EINVAL },
        { "%lo", NULL, -EINVAL },
        { "localhost", NULL, -EINVAL },
        { "127.0.0.256", NULL, -EINVAL },
        { "127.1", NULL, -EINVAL },
        { "[::1]", NULL, -EINVAL },
        { "1.2.3.4:80", NULL, -EINVAL },
        { "::g", NULL, -EINVAL },
        { "0000:0000:0000:0000:0000:0000:255.255.255.255.255", NULL, -EINVAL },
    };
    char text[TEPAL_ADDR_TEXT_SIZE];
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        tepal_addr addr = { .family = 99 }, again;
        assert_int_equal(tepal_addr_parse(&addr, rows[i].in, 80), rows[i].rc);
        if (rows[i].rc < 0) {
            assert_int_equal(addr.family, 99);
            continue;
        }
        assert_string_equal(tepal_addr_text(&addr, text, sizeof(text)), rows[i].out);
        addr.port = 0; /* the address alone, which can be read again */
        tepal_addr_text(&addr, text, sizeof(text));
        assert_int_equal(tepal_addr_parse(&again, text, 0), 0);
        assert_true(tepal_addr_equal(&addr, &again));
    }
}

static void text_of_all_sizes(void **state)
{
    (void)state;
    tepal_addr addr = { .family = AF_INET6, .port = 65535, .scope = INT32_MAX };
    memset(addr.ip, 0xff, sizeof(addr.ip));
    const char *whole = "[ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff%2147483647]:65535";
    char text[TEPAL_ADDR_TEXT_SIZE + 1];
    for (size_t size = 1; size <= TEPAL_ADDR_TEXT_SIZE; size++) {
        memset(text, 'x', sizeof(text));
        size_t len = strlen(tepal_addr_text(&addr, text, size));
        assert_int_equal(len, size <= strlen(whole) ? size - 1 : strlen(whole));
        assert_memory_equal(text, whole, len);
        assert_int_equal(text[size], 'x');
    }
    tepal_addr none = { 0 }, local = { .family = AF_UNIX };
    assert_string_equal(tepal_addr_text(&none, text, sizeof(text)), "none");
    assert_string_equal(tepal_addr_text(&local, text, sizeof(text)), "unix");
}

static void equality(void **state)
{
    (void)state;
    static const char *const texts[] = { "127.0.0.1", "127.0.0.2", "::1", "fe80::1", "fe80::1%1" };
    enum { N = sizeof(texts) / sizeof(texts[0]) };
    tepal_addr addrs[2 * N];
    for (int i = 0; i < 2 * N; i++)
        assert_int_equal(tepal_addr_parse(&addrs[i], texts[i / 2], i % 2 ? 80 : 81), 0);
    for (int i = 0; i < 2 * N; i++)
        for (int k = 0; k < 2 * N; k++)
            assert_int_equal(tepal_addr_equal(&addrs[i], &addrs[k]), i == k);
    tepal_addr none = { 0 }, local = { .family = AF_UNIX };
    assert_true(tepal_addr_equal(&none, &none));
    assert_false(tepal_addr_equal(&local, &local));
}

static void to_public_and_back(void **state)
{
    (void)state;
    static const char *const texts[] = { "127.0.0.1", "2001:db8::1", "fe80::1%7" };
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        tepal_addr addr;
        struct addr inner;
        assert_int_equal(tepal_addr_parse(&addr, texts[i], 4711), 0);
        assert_int_equal(addr_from_public(&inner, &addr), 0);
        assert_int_equal(ntohs(inner.in.sin_port), 4711);
        tepal_addr again = addr_to_public(&inner);
        assert_true(tepal_addr_equal(&addr, &again));
    }
    struct addr inner;
    assert_int_equal(addr_from_ip(&inner, "::ffff:1.2.3.4", 80), 0);
    assert_int_equal(addr_to_public(&inner).family, AF_INET);
    assert_int_equal(addr_from_path(&inner, "/tmp/x"), 0);
    tepal_addr local = addr_to_public(&inner), none = { 0 };
    assert_int_equal(local.family, AF_UNIX);
    assert_int_equal(addr_from_public(&inner, &local), -EAFNOSUPPORT);
    assert_int_equal(addr_from_public(&inner, &none), -EAFNOSUPPORT);
}

static void look_up(void **state)
{
    (void)state;
    struct addr *addrs;
    assert_int_equal(addr_lookup(&addrs, "127.0.0.1", 80), 1);
    assert_int_equal(addrs[0].in.sin_addr.s_addr, htonl(INADDR_LOOPBACK));
    assert_int_equal(ntohs(addrs[0].in.sin_port), 80);
    mem_free(addrs);
    int n = addr_lookup(&addrs, NULL, 65535); /* for listening: all of this machine */
    assert_in_range(n, 1, 2);
    for (int i = 0; i < n; i++) {
        struct addr_peer peer = addr_to_peer(&addrs[i]);
        assert_int_equal(peer.port, 65535);
        for (int k = 0; k < 16; k++)
            assert_int_equal(peer.bytes[k], 0);
    }
    mem_free(addrs);
    assert_int_equal(addr_lookup(&addrs, "::1", 80), 1);
    assert_int_equal(addrs[0].sa.sa_family, AF_INET6);
    mem_free(addrs);
    assert_int_equal(addr_lookup(&addrs, "256.256.256.invalid", 80), TEPAL_ENONAME);
    assert_int_equal(addr_lookup(&addrs, "not a name", 80), TEPAL_ENONAME);
    mem_fail_nth(1, 0);
    assert_int_equal(addr_lookup(&addrs, "localhost", 80), -ENOMEM);
    mem_fail_nth(0, 0);
    n = addr_lookup(&addrs, "localhost", 80);
    assert_true(n > 0);
    mem_free(addrs);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(from_path),
        cmocka_unit_test(from_ip),
        cmocka_unit_test(to_text),
        cmocka_unit_test(parse_and_write),
        cmocka_unit_test(text_of_all_sizes),
        cmocka_unit_test(equality),
        cmocka_unit_test(to_public_and_back),
        cmocka_unit_test(look_up),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
