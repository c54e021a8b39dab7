/* Addresses. The only look-up of names is the C library's, which blocks: callers on the loop
 * offload it. */
#include "net/addr.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <stdio.h>
#include <stdbool.h>
#include <string.h>

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

int addr_lookup(struct addr *addrs, int max, const char *host, uint16_t port)
{
    struct addrinfo hints = { .ai_socktype = SOCK_STREAM, .ai_flags = host ? 0 : AI_PASSIVE };
    struct addrinfo *found;
    char service[8];
    snprintf(service, sizeof(service), "%u", port);
    int rc = getaddrinfo(host, service, &hints, &found);
    if (rc != 0)
        return rc == EAI_MEMORY ? -ENOMEM : -EHOSTUNREACH;
    int n = 0;
    for (struct addrinfo *a = found; a && n < max; a = a->ai_next) {
        if (a->ai_family != AF_INET && a->ai_family != AF_INET6)
            continue;
        memset(&addrs[n], 0, sizeof(addrs[n]));
        memcpy(&addrs[n].storage, a->ai_addr, a->ai_addrlen);
        addrs[n++].len = a->ai_addrlen;
    }
    freeaddrinfo(found);
    return n > 0 ? n : -EHOSTUNREACH;
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

void addr_peer_write(const struct addr_peer *peer, char *out)
{
    if (peer->family == AF_UNIX || !inet_ntop(peer->family, peer->bytes, out, INET6_ADDRSTRLEN))
        out[0] = '\0';
}
