/* Names to addresses, as the rest of the net layer asks for them. */
#ifndef TEPAL_NET_DNS_H
#define TEPAL_NET_DNS_H

#include <tepal/dns.h>

#include <stddef.h>
#include <stdint.h>

/* All addresses of a host, with this port, in an array of their own that the caller frees by
 * mem_free(). family: AF_UNSPEC, AF_INET or AF_INET6. Suspends. Returns how many, or as
 * tepal_resolve(). */
int dns_resolve_all(tepal_addr **addrs, const char *host, uint16_t port, int family);

#endif
