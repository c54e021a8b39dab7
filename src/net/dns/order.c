/* The order in which the addresses of a name should be tried: RFC 6724, section 6. Which of our own
 * addresses would talk to each is what the system says: a datagram socket that is connected sends
 * nothing. */
#include "base/fd.h"
#include "base/mem.h"
#include "net/addr.h"
#include "net/dns/dns.h"

#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

struct destination {
    tepal_addr addr, source;
    bool usable;
    size_t index;
};

/* --- What an address is ----------------------------------------------------------------------- */

/* Section 2.1. IPv4 addresses are looked up as mapped ones. */
static const struct policy {
    uint8_t prefix[4];
    uint8_t bits, precedence, label;
} policies[] = {
    { { 0 }, 96, 1, 3 },                 /* ::/96 */
    { { 0x20, 0x01, 0, 0 }, 32, 5, 5 },  /* Teredo */
    { { 0x20, 0x02, 0, 0 }, 16, 30, 2 }, /* 6to4 */
    { { 0xfe, 0xc0, 0, 0 }, 10, 1, 11 }, /* site-local */
    { { 0x3f, 0xfe, 0, 0 }, 16, 1, 12 }, /* 6bone */
    { { 0xfc, 0, 0, 0 }, 7, 3, 13 },     /* unique local */
    { { 0 }, 0, 40, 1 },
};

static bool is_loopback6(const uint8_t *ip)
{
    static const uint8_t loopback[16] = { [15] = 1 };
    return memcmp(ip, loopback, 16) == 0;
}

static unsigned common_bits(const uint8_t *a, const uint8_t *b, unsigned max)
{
    unsigned n = 0;
    while (n < max && ((a[n / 8] ^ b[n / 8]) & (0x80 >> n % 8)) == 0)
        n++;
    return n;
}

static struct policy policy_of(const tepal_addr *addr)
{
    static const uint8_t zeros[16];
    if (addr->family == AF_INET)
        return (struct policy){ .precedence = 35, .label = 4 };
    if (is_loopback6(addr->ip))
        return (struct policy){ .precedence = 50, .label = 0 };
    const struct policy *p = policies;
    if (common_bits(addr->ip, zeros, 96) == 96)
        return *p;
    for (p++; common_bits(addr->ip, p->prefix, p->bits) < p->bits; p++)
        continue;
    return *p;
}

/* Section 3.1 and 3.2. */
static int scope_of(const tepal_addr *addr)
{
    enum { LINK_LOCAL = 2, SITE_LOCAL = 5, GLOBAL = 14 };
    const uint8_t *ip = addr->ip;
    if (addr->family == AF_INET)
        return ip[0] == 127 || (ip[0] == 169 && ip[1] == 254) ? LINK_LOCAL : GLOBAL;
    if (ip[0] == 0xff)
        return ip[1] & 0xf;
    if (is_loopback6(ip) || (ip[0] == 0xfe && (ip[1] & 0xc0) == 0x80))
        return LINK_LOCAL;
    return ip[0] == 0xfe && (ip[1] & 0xc0) == 0xc0 ? SITE_LOCAL : GLOBAL;
}

/* --- The order -------------------------------------------------------------------------------- */

static void find_source(struct destination *d)
{
    struct addr to, from = { .len = sizeof(from.storage) };
    tepal_addr public = d->addr;
    public.port = 1; /* any */
    if (addr_from_public(&to, &public) < 0)
        return;
    int fd = fd_keep(socket(d->addr.family, SOCK_DGRAM | SOCK_CLOEXEC, 0));
    if (fd < 0)
        return;
    if (connect(fd, &to.sa, to.len) == 0 && getsockname(fd, &from.sa, &from.len) == 0) {
        d->source = addr_to_public(&from);
        d->usable = true;
    }
    close(fd);
}

/* Rule 9, for IPv6 only: with IPv4 it undoes what a name server has in mind with its order. */
static unsigned prefix_of(const struct destination *d)
{
    return d->addr.family == AF_INET6 ? common_bits(d->addr.ip, d->source.ip, 64) : 0;
}

/* Positive when a is to be tried first. */
static int prefer(const struct destination *a, const struct destination *b)
{
    if (a->usable != b->usable) /* rule 1 */
        return a->usable - b->usable;
    int scope_a = scope_of(&a->addr), scope_b = scope_of(&b->addr);
    struct policy policy_a = policy_of(&a->addr), policy_b = policy_of(&b->addr);
    if (a->usable) {
        int match_a = scope_a == scope_of(&a->source), match_b = scope_b == scope_of(&b->source);
        if (match_a != match_b) /* rule 2 */
            return match_a - match_b;
        match_a = policy_a.label == policy_of(&a->source).label;
        match_b = policy_b.label == policy_of(&b->source).label;
        if (match_a != match_b) /* rule 5 */
            return match_a - match_b;
    }
    if (policy_a.precedence != policy_b.precedence) /* rule 6 */
        return policy_a.precedence - policy_b.precedence;
    if (scope_a != scope_b) /* rule 8 */
        return scope_b - scope_a;
    if (a->usable && a->addr.family == b->addr.family && prefix_of(a) != prefix_of(b))
        return (int)prefix_of(a) - (int)prefix_of(b);
    return 0;
}

static int compare(const void *left, const void *right)
{
    const struct destination *a = left, *b = right;
    int order = prefer(b, a);
    return order ? order : a->index < b->index ? -1 : 1;
}

void dns_order(tepal_addr *addrs, size_t n)
{
    struct destination *all = n > 1 ? mem_zalloc(n * sizeof(*all)) : NULL;
    if (!all) /* or without memory for it: as they came */
        return;
    for (size_t i = 0; i < n; i++) {
        all[i].addr = addrs[i];
        all[i].index = i;
        find_source(&all[i]);
    }
    qsort(all, n, sizeof(*all), compare);
    for (size_t i = 0; i < n; i++)
        addrs[i] = all[i].addr;
    mem_free(all);
}
