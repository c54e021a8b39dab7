/* Addresses. The only look-up of names here is the C library's, which blocks: it is for listeners.
 * Everything else asks dns.c. */
#include "net/addr.h"

#include "base/log.h"
#include "base/mem.h"

#include <arpa/inet.h>
#include <errno.h>
#include <net/if.h>
#include <netdb.h>
#include <stdio.h>
#include <stdbool.h>
#include <string.h>
#include <strings.h>

int addr_from_path(struct addr *addr, const char *path)
{
    size_t len = strlen(path);
    memset(addr, 0, sizeof(*addr));
    if (len == 0 || len >= sizeof(addr->un.sun_path))
        return -ENAMETOOLONG;
    addr->un.sun_family = AF_UNIX;
    memcpy(addr->un.sun_path, path, len);
    addr->len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len + 1);
    if (path[0] == '@') {
        addr->un.sun_path[0] = '\0';
        addr->len--;
    }
    return 0;
}

int addr_from_ip(struct addr *addr, const char *host, uint16_t port)
{
    memset(addr, 0, sizeof(*addr));
    if (inet_pton(AF_INET, host, &addr->in.sin_addr) == 1) {
        addr->in.sin_family = AF_INET;
        addr->in.sin_port = htons(port);
        addr->len = sizeof(addr->in);
        return 0;
    }
    if (inet_pton(AF_INET6, host, &addr->in6.sin6_addr) == 1) {
        addr->in6.sin6_family = AF_INET6;
        addr->in6.sin6_port = htons(port);
        addr->len = sizeof(addr->in6);
        return 0;
    }
    return -EINVAL;
}

static int lookup_error(int error)
{
    switch (error) {
    case EAI_MEMORY:
        return -ENOMEM;
    case EAI_SYSTEM:
        return errno ? -errno : TEPAL_EDNS;
    case EAI_AGAIN:
    case EAI_FAIL:
        return TEPAL_EDNS;
    default:
        return TEPAL_ENONAME;
    }
}

/* Whether a name is in the domain that has none, which no server need be asked for: RFC 6761. */
static bool is_invalid_name(const char *host)
{
    static const char domain[] = "invalid";
    size_t len = strlen(host), end = sizeof(domain) - 1;
    len -= len > 0 && host[len - 1] == '.';
    return len >= end && strncasecmp(host + len - end, domain, end) == 0 &&
           (len == end || host[len - end - 1] == '.');
}

/* Adds an address unless it is there already, as when a name has it twice. Returns how many there
 * are then. */
static int add_address(struct addr *addrs, int n, const struct addrinfo *found)
{
    struct addr *new = &addrs[n];
    memset(new, 0, sizeof(*new));
    memcpy(&new->storage, found->ai_addr, found->ai_addrlen);
    new->len = found->ai_addrlen;
    for (int i = 0; i < n; i++)
        if (addrs[i].len == new->len && memcmp(&addrs[i].storage, &new->storage, new->len) == 0)
            return n;
    return n + 1;
}

int addr_lookup(struct addr **addrs, const char *host, uint16_t port)
{
    struct addrinfo hints = { .ai_socktype = SOCK_STREAM, .ai_flags = host ? 0 : AI_PASSIVE };
    struct addrinfo *found;
    char service[8];
    if (host && is_invalid_name(host))
        return TEPAL_ENONAME;
    snprintf(service, sizeof(service), "%u", port);
    errno = 0;
    int rc = getaddrinfo(host, service, &hints, &found), n = 0;
    if (rc != 0)
        return lookup_error(rc);
    for (struct addrinfo *a = found; a; a = a->ai_next)
        n++;
    *addrs = mem_alloc((size_t)n * sizeof(**addrs));
    rc = *addrs ? 0 : -ENOMEM;
    n = 0;
    for (struct addrinfo *a = found; a && rc == 0; a = a->ai_next)
        if (a->ai_family == AF_INET || a->ai_family == AF_INET6)
            n = add_address(*addrs, n, a);
    freeaddrinfo(found);
    if (rc == 0 && n == 0)
        rc = TEPAL_ENONAME;
    if (rc < 0)
        mem_free(*addrs);
    return rc < 0 ? rc : n;
}

/* Sets the IP address; IPv4 in IPv6 becomes IPv4. */
static void set_ip6(tepal_addr *out, const struct in6_addr *in)
{
    bool v4 = IN6_IS_ADDR_V4MAPPED(in);
    out->family = v4 ? AF_INET : AF_INET6;
    memcpy(out->ip, v4 ? in->s6_addr + 12 : in->s6_addr, v4 ? 4 : 16);
}

tepal_addr addr_to_public(const struct addr *addr)
{
    tepal_addr out = { .family = addr->sa.sa_family };
    if (addr->sa.sa_family == AF_INET) {
        out.port = ntohs(addr->in.sin_port);
        memcpy(out.ip, &addr->in.sin_addr, 4);
    } else if (addr->sa.sa_family == AF_INET6) {
        out.port = ntohs(addr->in6.sin6_port);
        out.scope = addr->in6.sin6_scope_id;
        set_ip6(&out, &addr->in6.sin6_addr);
    }
    return out;
}

int addr_from_public(struct addr *addr, const tepal_addr *from)
{
    memset(addr, 0, sizeof(*addr));
    if (from->family == AF_INET) {
        addr->in.sin_family = AF_INET;
        addr->in.sin_port = htons(from->port);
        memcpy(&addr->in.sin_addr, from->ip, 4);
        addr->len = sizeof(addr->in);
        return 0;
    }
    if (from->family == AF_INET6) {
        addr->in6.sin6_family = AF_INET6;
        addr->in6.sin6_port = htons(from->port);
        addr->in6.sin6_scope_id = from->scope;
        memcpy(&addr->in6.sin6_addr, from->ip, 16);
        addr->len = sizeof(addr->in6);
        return 0;
    }
    return -EAFNOSUPPORT;
}

/* The index of the interface with this name or number. Returns 0, -EINVAL or -ENODEV. */
static int parse_scope(const char *text, uint32_t *scope)
{
    uint64_t number = 0;
    size_t len = strlen(text), digits = strspn(text, "0123456789");
    if (len == 0 || len >= IF_NAMESIZE)
        return -EINVAL;
    if (digits < len) {
        *scope = if_nametoindex(text);
        return *scope ? 0 : -ENODEV;
    }
    for (size_t i = 0; i < digits; i++)
        number = number * 10 + (uint64_t)(text[i] - '0');
    *scope = (uint32_t)number;
    return number >= 1 && number <= INT32_MAX ? 0 : -ENODEV;
}

int tepal_addr_parse(tepal_addr *addr, const char *text, uint16_t port)
{
    tepal_addr out = { .port = port, .family = AF_INET };
    struct in6_addr in6;
    char ip[INET6_ADDRSTRLEN];
    if (!text)
        misuse("tepal_addr_parse", "the text is NULL");
    need_place("tepal_addr_parse", addr);
    const char *scope = strchr(text, '%');
    size_t len = scope ? (size_t)(scope - text) : strlen(text);
    if (len >= sizeof(ip))
        return -EINVAL;
    memcpy(ip, text, len);
    ip[len] = '\0';
    if (inet_pton(AF_INET6, ip, &in6) == 1)
        set_ip6(&out, &in6);
    else if (inet_pton(AF_INET, ip, out.ip) != 1)
        return -EINVAL;
    if (scope) {
        int rc = out.family == AF_INET6 ? parse_scope(scope + 1, &out.scope) : -EINVAL;
        if (rc < 0)
            return rc;
    }
    *addr = out;
    return 0;
}

const char *tepal_addr_text(const tepal_addr *addr, char *out, size_t size)
{
    char ip[INET6_ADDRSTRLEN], scope[1 + IF_NAMESIZE] = "%";
    if (!addr)
        misuse("tepal_addr_text", "the address is NULL");
    bool v6 = addr->family == AF_INET6;
    if (addr->family != AF_INET && !v6) {
        snprintf(out, size, "%s", addr->family == AF_UNIX ? "unix" : "none");
        return out;
    }
    inet_ntop(addr->family, addr->ip, ip, sizeof(ip));
    if (addr->scope == 0)
        scope[0] = '\0';
    else if (!if_indextoname(addr->scope, scope + 1)) /* an interface that is gone */
        snprintf(scope + 1, IF_NAMESIZE, "%u", addr->scope);
    if (addr->port == 0)
        snprintf(out, size, "%s%s", ip, scope);
    else
        snprintf(out, size, v6 ? "[%s%s]:%u" : "%s%s:%u", ip, scope, addr->port);
    return out;
}

bool tepal_addr_equal(const tepal_addr *a, const tepal_addr *b)
{
    if (!a || !b)
        misuse("tepal_addr_equal", "an address is NULL");
    return a->family == b->family && a->family != AF_UNIX && a->port == b->port &&
           a->scope == b->scope && memcmp(a->ip, b->ip, sizeof(a->ip)) == 0;
}

struct addr_peer addr_to_peer(const struct addr *addr)
{
    struct addr_peer peer = { .family = AF_UNIX };
    if (addr->sa.sa_family == AF_INET) {
        peer.family = AF_INET;
        peer.port = ntohs(addr->in.sin_port);
        memcpy(peer.bytes, &addr->in.sin_addr, 4);
    } else if (addr->sa.sa_family == AF_INET6) {
        static const uint8_t mapped[12] = { [10] = 0xff, [11] = 0xff };
        const uint8_t *bytes = addr->in6.sin6_addr.s6_addr;
        bool v4 = memcmp(bytes, mapped, sizeof(mapped)) == 0;
        peer.family = v4 ? AF_INET : AF_INET6;
        peer.port = ntohs(addr->in6.sin6_port);
        memcpy(peer.bytes, v4 ? bytes + 12 : bytes, v4 ? 4 : 16);
    }
    return peer;
}

/* A line of the access log has one, and the C library's way takes ten times as long. */
static void write_ipv4(const uint8_t *bytes, char *out)
{
    for (int i = 0; i < 4; i++) {
        unsigned n = bytes[i];
        if (n >= 100)
            *out++ = (char)('0' + n / 100);
        if (n >= 10)
            *out++ = (char)('0' + n / 10 % 10);
        *out++ = (char)('0' + n % 10);
        *out++ = i < 3 ? '.' : '\0';
    }
}

void addr_peer_write(const struct addr_peer *peer, char *out)
{
    if (peer->family == AF_INET) {
        write_ipv4(peer->bytes, out);
        return;
    }
    if (peer->family == AF_UNIX || !inet_ntop(peer->family, peer->bytes, out, INET6_ADDRSTRLEN))
        out[0] = '\0';
}
