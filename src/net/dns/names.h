/* The names of a loop, known ones and those that are asked for. Part of dns.c, which has the
 * options and the public calls. */
#ifndef TEPAL_NET_DNS_NAMES_H
#define TEPAL_NET_DNS_NAMES_H

#include "async/loop/loop.h"
#include "net/dns/dns.h"
#include "net/dns/channel.h"
#include "net/dns/message.h"

struct dns_names {
    struct loop *loop;
    struct dns_channel *channel;
    struct name **buckets; /* of all names */
    size_t n_buckets, n_names;
    uint32_t seed;                    /* of the hash: peers may choose the names */
    struct list queued, asked, known; /* known: the least recently used first */
    size_t n_asked, n_known;
    size_t n_lookups;          /* tasks that wait */
    tepal_dns_options options; /* with the defaults filled in; the arrays are not for use here */
    bool closing;
};

/* Returns 0 or -ENOMEM. There is no channel yet. */
int dns_names_init(struct dns_names *names, struct loop *loop);

/* To be called when the channel has been closed. */
void dns_names_clear(struct dns_names *names);

/* Forgets the known names that were used least recently. */
void dns_names_forget(struct dns_names *names, size_t max_left);

/* Asks for the names that wait for their turn, as far as it is theirs. */
void dns_names_ask_queued(struct dns_names *names);

/* Lets what is asked for be asked again, of a channel that is to come. To be called before the old
 * one is closed. */
void dns_names_restart(struct dns_names *names);

/* What is asked for. */
struct dns_asked {
    const char *text; /* a name that is in lower case and well-formed; for DNS_PTR an address */
    enum dns_type type;
    int family; /* of DNS_ADDRESSES: AF_UNSPEC, AF_INET or AF_INET6 */
};

/* Looks a name up. What is known is in the lookup then, and it is done; otherwise it hears of what
 * comes until dns_names_leave(). Returns 0 or -ENOMEM. */
int dns_names_join(struct dns_names *names, const struct dns_asked *asked,
                   struct dns_lookup *lookup);

/* The lookup does not wait any more, whether it is done or not. */
void dns_names_leave(struct dns_names *names, struct dns_lookup *lookup);

#endif
