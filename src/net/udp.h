/* A datagram socket inside: what udp.c and udp_batch.c share. */
#ifndef TEPAL_NET_UDP_H
#define TEPAL_NET_UDP_H

#include "async/loop/poll.h"
#include "base/log.h"
#include "net/addr.h"
#include "net/conn/turns.h"
#include "net/conn/unix_file.h"

#include <tepal/udp.h>

struct tepal_udp {
    struct io io;
    struct loop *loop;
    int family;
    bool connected;  /* to an address of the internet: */
    tepal_addr peer; /* whose datagrams alone are received */
    struct turns senders;
    struct unix_file file;
};

/* Misuse, named call, when the socket is NULL. */
static inline void udp_need(const struct tepal_udp *udp, const char *call)
{
    if (UNLIKELY(!udp))
        misuse(call, "the socket is NULL");
}

/* Waits until an attempt may succeed. state: IO_READ or IO_WRITE. */
int udp_wait_ready(struct tepal_udp *udp, uint32_t state);

/* The result of an attempt: n or -errno, and whether it is to be made again. */
ssize_t udp_attempted(struct tepal_udp *udp, uint32_t state, ssize_t n, bool *again);

/* Begins a call that sends: waits until no other task is in the middle of one. Returns 0, and
 * udp_end_sending() must follow; or an error, and then the socket must not be touched any more. */
int udp_begin_sending(struct tepal_udp *udp);

/* Ends it, with this result. */
ssize_t udp_end_sending(struct tepal_udp *udp, ssize_t result);

/* The end of a call that may have waited: a socket that was closed meanwhile is freed by the last
 * task that leaves it. Returns result. */
ssize_t udp_left(struct tepal_udp *udp, ssize_t result);

/* An address in the form that the socket's family needs. Returns 0 or -EAFNOSUPPORT. */
int udp_fit(const struct tepal_udp *udp, const tepal_addr *in, struct addr *out);

/* Whether a datagram is from somebody else than the peer. The system lets in none, but those that
 * had come before the socket was connected are still there. */
bool udp_is_foreign(const struct tepal_udp *udp, const struct addr *addr);

/* Where a datagram has come from. */
tepal_addr udp_source(const struct tepal_udp *udp, struct addr *addr);

#endif
