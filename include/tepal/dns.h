/* Names of hosts to addresses, and what else DNS tells: the name of an address, where a service
 * is, texts. Without a thread: DNS queries on the loop, with a cache.
 *
 * A name is looked up as the system is configured: in /etc/hosts, then by DNS (or as
 * /etc/nsswitch.conf says) with the name servers and search domains of /etc/resolv.conf. These
 * files are read at the loop's first look-up, by tepal_dns_configure(), and when one of them has
 * changed, which is looked at by a look-up, once in a second at most: then the cache is forgotten,
 * and what is being asked for is asked again, of the new servers. While they cannot be read for
 * want of descriptors or memory all stays as it was, and it is tried again. /etc/hosts is read each
 * time it is asked. A search domain whose servers fail, but at once, does not end the search. Names
 * are ASCII; an internationalised one is given in its "xn--" form. "localhost", and all names that
 * end with ".localhost", are ::1 and 127.0.0.1, whatever anyone else may say.
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
 * Returns how many there are in addrs, 1 or more; TEPAL_ENONAME when there is no such name or it
 * has no such address; TEPAL_EDNS when the name servers failed or did not answer; -EINVAL when host
 * cannot be a name (empty, longer than 253 octets, a label that is empty or longer than 63, other
 * characters than letters, digits, '-', '_' and '.', a last label of digits only), or max is 0, or
 * the family is another one; -ENODEV for an address on an interface that there is not; -ENOMEM,
 * -EMFILE, -ECANCELED or -ETIMEDOUT. */
TEPAL_API int tepal_resolve(tepal_addr *addrs, size_t max, const char *host,
                            const tepal_resolve_options *options);

/* --- Other questions ----------------------------------------------------------------------------
 *
 * They share the cache, the limits and the options with tepal_resolve(), and these errors:
 * TEPAL_ENONAME when there is no such name, or nothing of that kind for it (so for each name that
 * is "localhost" or ends with ".localhost"); TEPAL_EDNS when the name servers failed, did not
 * answer or sent what is malformed; -EINVAL when the name cannot be one, by the rules of
 * tepal_resolve(); -ENOMEM, -EMFILE, -ECANCELED or -ETIMEDOUT. An answer that takes more than
 * 8 KiB is not kept in the cache. A pointer that is NULL, but for options, ends the program with a
 * message. */

/* What a name needs at most, with its NUL. */
enum { TEPAL_DNS_NAME_SIZE = 256 };

typedef struct tepal_dns_query_options {
    /* Try the name behind the search domains, too, as tepal_resolve() does. Default: it is asked for
     * as it is. Of no meaning for tepal_dns_reverse(). */
    bool search;
    uint64_t later[4];
} tepal_dns_query_options;

/* Writes the name of an address to name, as text without a dot at its end: the first one that
 * /etc/hosts has, or the first one of DNS (PTR). The port does not matter. Whoever owns the
 * address decides what DNS says of it: to rely on the name, resolve it, and see whether the
 * address is there. A name with other characters than host names have is none. Suspends. Returns
 * 0; -ENAMETOOLONG when it does not fit size octets (TEPAL_DNS_NAME_SIZE is enough for all);
 * -EINVAL for what is neither IPv4 nor IPv6; or an error as above. */
TEPAL_API int tepal_dns_reverse(char *name, size_t size, const tepal_addr *addr,
                                const tepal_dns_query_options *options);

/* One place where a service is (SRV, RFC 2782). */
typedef struct tepal_dns_service {
    char host[TEPAL_DNS_NAME_SIZE]; /* a name for tepal_conn_open(), without a dot at its end */
    uint16_t port;
    uint16_t priority, weight; /* which the order has heeded already */
    uint64_t later[3];
} tepal_dns_service;

/* Writes where a service is, max places at most, in the order in which they should be tried: by
 * priority, and those of one priority at random by their weights, anew in each call. The name is
 * that of the service, "_imaps._tcp.example.org". Places whose host is no host name are left out;
 * of more than max_addresses of tepal_dns_options those that come last in the answer, too.
 * Suspends. Returns how many, 1 or more; TEPAL_ENOSERVICE when the domain says that it does not
 * have the service; -EINVAL when max is 0; or an error as above. */
TEPAL_API int tepal_dns_services(tepal_dns_service *services, size_t max, const char *name,
                                 const tepal_dns_query_options *options);

/* The texts of a name (TXT). They belong to the thread of the loop. */
typedef struct tepal_dns_texts tepal_dns_texts;

/* Asks for the texts of a name. Suspends. Returns how many there are, 1 or more, and them, which
 * the caller closes; or an error as above, and NULL. */
TEPAL_API int tepal_dns_texts_open(tepal_dns_texts **texts, const char *name,
                                   const tepal_dns_query_options *options);

/* The next text, in the order of the answer: any octets, with a NUL behind, valid until the close.
 * The strings of a record (of 255 octets each at most) are one text, with nothing between them.
 * Does not suspend. Returns 1 with *text filled, or 0 when there is none left. */
TEPAL_API int tepal_dns_texts_next(tepal_dns_texts *texts, tepal_bytes *text);

/* NULL is allowed. */
TEPAL_API void tepal_dns_texts_close(tepal_dns_texts *texts);

/* --- How -------------------------------------------------------------------------------------- */

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
    /* How long each server may take at its first turn, doubled for each further turn; how many
     * turns there are for each. Default 2000 ms and 3: with one server that is silent, 14 s. */
    int64_t timeout_ms;
    unsigned tries;
    size_t max_queries;   /* names that are asked for at once, further ones wait; default 100 */
    size_t max_names;     /* in the cache, the least recently used goes first; default 1000 */
    size_t max_addresses; /* of each name, and places of a service, more are dropped; default 64, no
                             more than 4096 */
    /* How long an answer is kept: one of DNS as long as its records say (the smallest TTL), but no
     * longer than max_ttl_ms, default 1 hour; one of /etc/hosts for hosts_ttl_ms, and that there is
     * no such name for negative_ttl_ms, default 5 seconds each. A failure is not kept. */
    int64_t max_ttl_ms, hosts_ttl_ms, negative_ttl_ms;
    bool no_cache; /* keep nothing */
    uint64_t later[4];
} tepal_dns_options;

/* Sets how this loop looks names up from now on (NULL: the defaults), reads the system's files
 * again, and forgets the cache. The options are copied. Does not suspend. Returns 0; -EBUSY while a
 * task waits for a name; -EINVAL for a server that is no IPv4 or IPv6 address or has a scope, or
 * for a NULL array that has a length; -ENOMEM; TEPAL_EDNS when the system's files cannot be read.
 * After a failure all is as before. */
TEPAL_API int tepal_dns_configure(const tepal_dns_options *options);

/* Forgets this loop's cache. Does not suspend. */
TEPAL_API void tepal_dns_flush(void);

#ifdef __cplusplus
}
#endif
#endif
