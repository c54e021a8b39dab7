/* Socket addresses: from names and paths, and to text. */
#ifndef TEPAL_NET_ADDR_H
#define TEPAL_NET_ADDR_H

#include "base/platform.h"

#include <tepal/addr.h>

#include <netinet/in.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/un.h>

struct addr {
    socklen_t len;
    union {
        struct sockaddr sa;
        struct sockaddr_in in;
        struct sockaddr_in6 in6;
        struct sockaddr_un un;
        struct sockaddr_storage storage;
    };
};

/* The part of a TCP peer's address that is worth keeping with each connection. family is AF_INET,
 * AF_INET6 or AF_UNIX (of which nothing is kept). */
struct addr_peer {
    uint8_t bytes[16];
    uint16_t port;
    uint16_t family;
};

/* The address of a Unix socket. Returns 0 or -ENAMETOOLONG. */
int addr_from_path(struct addr *addr, const char *path);

/* The addresses of a host (NULL: all of this machine, for listening), each once. May block when
 * host is a name. Returns how many, which the caller frees by mem_free(); or TEPAL_ENONAME,
 * TEPAL_EDNS, -ENOMEM. */
int addr_lookup(struct addr **addrs, const char *host, uint16_t port);

/* The address without a look-up. Returns 0, or -EINVAL when host is no address. */
int addr_from_ip(struct addr *addr, const char *host, uint16_t port);

/* To and from the public type. addr_from_public() returns 0, or -EAFNOSUPPORT for what is neither
 * IPv4 nor IPv6. */
tepal_addr addr_to_public(const struct addr *addr);
int addr_from_public(struct addr *addr, const tepal_addr *from);

struct addr_peer addr_to_peer(const struct addr *addr);

/* Writes the peer's IP address as text: IPv4 in an IPv6 address as IPv4; "" for a Unix socket. out
 * has room for INET6_ADDRSTRLEN octets. */
void addr_peer_write(const struct addr_peer *peer, char *out);

#endif
