/* Octets on their way from one socket to another that never leave the kernel: a pipe between the
 * two (splice(2)). A few pipes that are empty are kept with the loop, so that a connection has one
 * only while there is something in it. */
#ifndef TEPAL_NET_CONN_SPLICE_H
#define TEPAL_NET_CONN_SPLICE_H

#include "base/list.h"
#include "net/conn/conn.h"

#include <stdbool.h>
#include <stddef.h>

struct splice {
    struct list node;
    int ends[2]; /* to read from, to write to */
    size_t len;  /* of what is in it */
};

/* Whether splice_in() and splice_out() work on the connection: it is a socket, and not
 * encrypted. */
bool splice_knows(const struct tepal_conn *conn);

/* An empty pipe; NULL when there is no descriptor or memory for one. splice_give() must follow,
 * which drops what is in it. */
struct splice *splice_take(void);
void splice_give(struct splice *pipe);

/* Tries once to move octets from the connection into the pipe, which is empty, or all that is in it
 * to the connection. Return how many, 0 at the end of the peer's side; -EAGAIN when none can move
 * now, -EINVAL when the system cannot do it with this socket, or another error. */
ssize_t splice_in(struct splice *pipe, struct tepal_conn *from);
ssize_t splice_out(struct splice *pipe, struct tepal_conn *to);

/* Takes all octets out of the pipe; there must be room for them. False when that failed. */
bool splice_empty(struct splice *pipe, char *to);

#endif
