/* Datagrams: UDP, and Unix datagram sockets.
 *
 * The calls that suspend end with -ETIMEDOUT at the task's deadline, with -ECANCELED in a task that
 * is cancelled, and with -EINTR when another task interrupts them; nothing is lost then. Tasks may
 * receive from a socket and send at once; senders take turns, but only one task at a time may
 * receive: a second one gets -EBUSY while the first one waits. Calls with a socket that is NULL, or
 * without a place for their result, end the program with a message, but for tepal_udp_close().
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
 * closes; -EINVAL when host is no address or port is none, -ENAMETOOLONG; -EADDRINUSE, -EACCES,
 * ...; -ECONNREFUSED, -ENOENT when nobody receives on peer_path. */
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

/* --- Many at once ----------------------------------------------------------------------------- */

/* One of many datagrams. An array of them that was received can be sent as it is, back to where
 * each came from (but not over a Unix socket, whose addresses are not kept: -EAFNOSUPPORT). */
typedef struct tepal_datagram {
    tepal_addr
        addr;    /* received: where it came from. Sent: where to; all zero (family 0): to the peer
                        that the socket is connected to */
    void *data;  /* the octets: memory of the caller's */
    size_t size; /* received: how many there is room for. Sent: ignored */
    size_t len;  /* how many there are; may be 0 */
    int error;   /* sent: 0, or why it was not */
    bool truncated; /* received: it was longer than size, and the rest is lost */
    uint64_t later[4];
} tepal_datagram;

/* Receives all datagrams that have come, at most n and at most 64, in one call of the system. Waits
 * until there is one. Of each, data and size are the caller's, and the others are filled in; where
 * some are dropped, since they are not from the peer that the socket is connected to, entries of
 * the array are exchanged. Suspends. Returns how many, over 0, or as tepal_udp_receive(), but never
 * -EMSGSIZE: see truncated; -EINVAL when n is 0. -ENOMEM. */
TEPAL_API ssize_t tepal_udp_receive_all(tepal_udp *udp, tepal_datagram *datagrams, size_t n);

/* Sends n datagrams, in order, 64 in one call of the system. No datagram of another task comes
 * between them. One that cannot be sent does not hold up the others: its error says why, as
 * tepal_udp_send() would. (But that nobody received an earlier one, -ECONNREFUSED, the system tells
 * of the first one of a call to it at most; of others it may be lost.) Suspends while the system's
 * buffer is full, or another task sends. Returns how many were sent: n, or fewer when some have an
 * error; or -ETIMEDOUT, -ECANCELED, -EINTR or -ENOMEM, which is the error of those, too, that were
 * not tried any more. */
TEPAL_API ssize_t tepal_udp_send_all(tepal_udp *udp, tepal_datagram *datagrams, size_t n);

/* --- Interrupting ----------------------------------------------------------------------------- */

/* For another task: the call of the one that receives, or of all that send or wait for their turn
 * to, returns -EINTR; the socket can be used as before. No datagram is lost. When there is no such
 * call nothing happens. Do not suspend. Return whether there was one. */
TEPAL_API bool tepal_udp_interrupt_receiver(tepal_udp *udp);
TEPAL_API bool tepal_udp_interrupt_senders(tepal_udp *udp);

/* --- About a socket --------------------------------------------------------------------------- */

/* Joins a multicast group, and leaves it. The interface is group->scope (an index, for IPv4, too);
 * 0: the system chooses. Do not suspend. Return 0 or a negative error: -EINVAL when this is no
 * multicast address, -ENODEV, -EADDRINUSE when the socket is in the group already, and
 * -EADDRNOTAVAIL when it is not. */
TEPAL_API int tepal_udp_join(tepal_udp *udp, const tepal_addr *group);
TEPAL_API int tepal_udp_leave(tepal_udp *udp, const tepal_addr *group);

/* The address of this end, with the port that was free. Does not suspend. Returns 0 or a negative
 * error. */
TEPAL_API int tepal_udp_local_addr(const tepal_udp *udp, tepal_addr *addr);

/* The descriptor, for setsockopt() and the like; it stays the socket's. */
TEPAL_API int tepal_udp_fd(const tepal_udp *udp);

/* Closes the socket. Calls of other tasks that wait on it return -ECANCELED, without their tasks
 * being cancelled; they must not use the socket any more. Does not suspend. NULL is allowed. */
TEPAL_API void tepal_udp_close(tepal_udp *udp);

#ifdef __cplusplus
}
#endif
#endif
