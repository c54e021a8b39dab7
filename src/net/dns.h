/* Names to addresses, as the rest of the net layer asks for them: a lookup, of which some addresses
 * may be there before the others. */
#ifndef TEPAL_NET_DNS_H
#define TEPAL_NET_DNS_H

#include "base/list.h"
#include "net/dns_message.h"

#include <tepal/dns.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct name;
struct tepal_task;

/* A task that looks a name up; it lies on its stack. All but the last six are dns.c's. */
struct dns_lookup {
    struct list node;
    struct name *name; /* while it waits */
    struct tepal_task *task;
    int64_t patience_ms; /* with the family that has not answered, once the other one has */
    size_t max;
    tepal_addr *addrs;           /* in the order in which they should be tried; room for max */
    size_t n;                    /* so many are known */
    struct dns_records *records; /* of dns_lookup_records() */
    int64_t since;               /* when the first ones came, in ms */
    bool done;                   /* no more will come */
    int result;                  /* when done: how many, or an error */
};

/* The most addresses that a lookup gives in this loop. */
size_t dns_max_addresses(void);

/* Begins to look a host up. family: AF_UNSPEC, AF_INET or AF_INET6. addrs and max are set already.
 * call names the public call. Returns 0, and then dns_lookup_end() must follow, or an error. */
int dns_lookup_begin(struct dns_lookup *lookup, const char *host, int family, const char *call);

/* Waits until the lookup is done, or there are addresses enough to begin with: one of IPv6, or one
 * of IPv4 for which 50 ms have passed (RFC 8305, section 3). Suspends. Returns 0, -ECANCELED or
 * -ETIMEDOUT. */
int dns_lookup_wait_first(struct dns_lookup *lookup);

/* Until when what is missing is worth being waited for, once there is something. */
int64_t dns_lookup_until(const struct dns_lookup *lookup);

void dns_lookup_end(struct dns_lookup *lookup);

/* Looks records up: text is a normalised name, or for DNS_PTR an address. Suspends. Returns 0, and
 * then lookup->records is the caller's to release, or an error. */
int dns_lookup_records(struct dns_lookup *lookup, const char *text, enum dns_type type);

/* Brings addresses into the order in which they should be tried (RFC 6724, section 6). Part of
 * dns_order.c. */
void dns_order(tepal_addr *addrs, size_t n);

#endif
