/* Names of hosts to addresses, without a thread: DNS queries on the loop, with a cache.
 *
 * A name is looked up as the system is configured: in /etc/hosts, then by DNS (or as
 * /etc/nsswitch.conf says) with the name servers and search domains of /etc/resolv.conf. These
 * files are read at the loop's first look-up, by tepal_dns_configure(), and when /etc/resolv.conf
 * has changed, which is looked at once in a second at most; /etc/hosts each time it is asked. A
 * search domain whose servers fail, but at once, does not end the search. Names are ASCII; an
 * internationalised one is given in its "xn--" form. "localhost", and all names that end with
 * ".localhost", are ::1 and 127.0.0.1, whatever anyone else may say.
 *
 * Each loop has a cache of its own. Tasks that ask for the same name at the same time share one
 * query. A query goes on when nobody waits for it any more, and its answer is kept for the next.
 * Both families are asked for at the same time, and a server that is silent about one of them does
 * not hold the other one up for long.
 */
#ifndef TEPAL_DNS_H
#define TEPAL_DNS_H

#include <tepal/addr.h>
#include <tepal/base.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct tepal_resolve_options {
    int family; /* AF_INET or AF_INET6: addresses of this family only; default both */
    uint64_t later[4];
} tepal_resolve_options;

/* Writes the addresses of a host to addrs, max of them at most, in the order in which they should
 * be tried (RFC 6724); their port is 0. An address as text is a host, too, and asks nobody. When
 * there are addresses of one family, the other one is waited for no longer than timeout_ms of
 * tepal_dns_options (default 2000 ms). Suspends.
 * Returns how many there are in addrs, 1 or more; TEPAL_ENONAME when there is no such name or it has
 * no such address; TEPAL_EDNS when the name servers failed or did not answer; -EINVAL when host
 * cannot be a name (empty, longer than 253 octets, a label that is empty or longer than 63, other
 * characters than letters, digits, '-', '_' and '.', a last label of digits only), or max is 0, or
 * the family is another one; -ENODEV for an address on an interface that there is not; -ENOMEM,
 * -EMFILE, -ECANCELED or -ETIMEDOUT. */
TEPAL_API int tepal_resolve(tepal_addr *addrs, size_t max, const char *host,
                            const tepal_resolve_options *options);

typedef struct tepal_dns_options {
    /* The name servers, in order; port 0 is 53. Default: those of /etc/resolv.conf. */
    const tepal_addr *servers;
    size_t n_servers;
    /* The domains that are tried behind a name. Default: those of /etc/resolv.conf. */
    const char *const *search;
    size_t n_search;
    bool no_search; /* no such domains at all */
    unsigned ndots; /* a name with fewer dots is tried behind the search domains first; default as
                       in /etc/resolv.conf, or 1 */
    /* How long each server may take at its first turn, doubled for each further turn; how many turns
     * there are for each. Default 2000 ms and 3: with one server that is silent, 14 s. */
    int64_t timeout_ms;
    unsigned tries;
    size_t max_queries;   /* names that are asked for at once, further ones wait; default 100 */
    size_t max_names;     /* in the cache, the least recently used goes first; default 1000 */
    size_t max_addresses; /* of each name, more are dropped; default 64, no more than 4096 */
    /* How long an answer is kept: one of DNS as long as its records say (the smallest TTL), but no
     * longer than max_ttl_ms, default 1 hour; one of /etc/hosts for hosts_ttl_ms, and that there is no
     * such name for negative_ttl_ms, default 5 seconds each. A failure is not kept. */
    int64_t max_ttl_ms, hosts_ttl_ms, negative_ttl_ms;
    bool no_cache; /* keep nothing */
    uint64_t later[4];
} tepal_dns_options;

/* Sets how this loop looks names up from now on (NULL: the defaults), reads the system's files
 * again, and forgets the cache. The options are copied. Does not suspend. Returns 0; -EBUSY while a
 * task waits for a name; -EINVAL for a server that is no IPv4 or IPv6 address or has a scope, or for
 * a NULL array that has a length; -ENOMEM; TEPAL_EDNS when the system's files cannot be read. After a
 * failure all is as before. */
TEPAL_API int tepal_dns_configure(const tepal_dns_options *options);

/* Forgets this loop's cache. Does not suspend. */
TEPAL_API void tepal_dns_flush(void);

#ifdef __cplusplus
}
#endif
#endif
