/* Datagrams: UDP, and Unix datagram sockets.
 *
 * The calls that suspend end with -ETIMEDOUT at the task's deadline and with -ECANCELED in a task
 * that is cancelled; nothing is lost then. Tasks may receive from a socket and send at once; senders
 * take turns, but only one task at a time may receive: a second one gets -EBUSY while the first one
 * waits. Calls with a socket that is NULL, or without a place for their result, end the program with a
 * message, but for tepal_udp_close().
 */
#ifndef TEPAL_UDP_H
#define TEPAL_UDP_H

#include <tepal/addr.h>
#include <tepal/base.h>

#include <sys/types.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct tepal_udp tepal_udp;

typedef struct tepal_udp_options {
    const char *host; /* the address to receive on, IPv4 or IPv6 (no name); default: all addresses
                         of both families */
    int port;         /* to receive on; 0 or TEPAL_ANY_PORT: one that is free */
    bool reuse_port;  /* SO_REUSEPORT: several sockets share the port. Each gets every multicast
                         datagram, and one of them each other one */
    bool broadcast;   /* sending to broadcast addresses is allowed */
    const char *path; /* a Unix datagram socket instead, bound to this path; '@' first: abstract. A
                         socket left by a dead process is replaced; the file is removed when the
                         socket is closed, unless the path leads to another one by then */
    const char *peer_path; /* a Unix datagram socket instead, connected to this path; with or
                              without a path of its own */
    uint64_t later[4];
} tepal_udp_options;

/* Opens a socket. NULL: all defaults. Does not suspend. Returns 0 and the socket, which the caller
 * closes; -EINVAL when host is no address or port is none, -ENAMETOOLONG; -EADDRINUSE, -EACCES, ...;
 * -ECONNREFUSED, -ENOENT when nobody receives on peer_path. */
TEPAL_API int tepal_udp_open(tepal_udp **udp, const tepal_udp_options *options);

/* Connects the socket to a peer: it is where datagrams go by default, and no others than the peer's
 * are received, also of those that have come before. May be called again, for another peer. Does
 * not suspend, since nothing is sent. Returns 0 or a negative error: -ENETUNREACH, -EAFNOSUPPORT
 * when the socket is of another family, ... */
TEPAL_API int tepal_udp_connect(tepal_udp *udp, const tepal_addr *peer);

/* Sends a datagram, of no octets or more, to an address; NULL: to the peer that the socket is
 * connected to. Suspends while the system's buffer is full, or another task sends. Returns 0 or a
 * negative error: -EMSGSIZE when it is too long, -EDESTADDRREQ without an address, -EACCES
 * (broadcast is not allowed), -ENETUNREACH, ... On a connected socket the error may be that of an
 * earlier datagram: -ECONNREFUSED when nobody received that at the peer. The socket can be used
 * after every error; the datagram was not sent. */
TEPAL_API int tepal_udp_send(tepal_udp *udp, const tepal_addr *to, const void *data, size_t len);

/* Receives one datagram. from, which may be NULL, is where it came from. Suspends. Returns its
 * length, which may be 0, or a negative error: -EMSGSIZE when it was longer than size; then the
 * first size octets are in buffer, *from is set, and the rest is lost. On a connected socket
 * -ECONNREFUSED, -EHOSTUNREACH, ... when an earlier datagram could not be delivered: receiving can
 * go on after it. */
TEPAL_API ssize_t tepal_udp_receive(tepal_udp *udp, void *buffer, size_t size, tepal_addr *from);

/* Joins a multicast group, and leaves it. The interface is group->scope (an index, for IPv4, too);
 * 0: the system chooses. Do not suspend. Return 0 or a negative error: -EINVAL when this is no
 * multicast address, -ENODEV, -EADDRINUSE when the socket is in the group already, and
 * -EADDRNOTAVAIL when it is not. */
TEPAL_API int tepal_udp_join(tepal_udp *udp, const tepal_addr *group);
TEPAL_API int tepal_udp_leave(tepal_udp *udp, const tepal_addr *group);

/* The address of this end, with the port that was free. Does not suspend. Returns 0 or a negative
 * error. */
TEPAL_API int tepal_udp_local(const tepal_udp *udp, tepal_addr *addr);

/* The descriptor, for setsockopt() and the like; it stays the socket's. */
TEPAL_API int tepal_udp_fd(const tepal_udp *udp);

/* Closes the socket. No task may wait on it, but for those that have been cancelled or whose time is
 * over, and that only have not run since. Does not suspend. NULL is allowed. */
TEPAL_API void tepal_udp_close(tepal_udp *udp);

#ifdef __cplusplus
}
#endif
#endif
