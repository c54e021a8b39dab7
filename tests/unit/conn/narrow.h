/* A socket whose room is for the test to say: where the system stops taking octets cannot be asked
 * for, and a test of every place must. All else is the real one's: the octets go through it, and it
 * is full, and has room again, as it says so itself. */
#ifndef TEPAL_TESTS_UNIT_CONN_NARROW_H
#define TEPAL_TESTS_UNIT_CONN_NARROW_H

#include "http_pair.h"

static size_t narrow_room;  /* octets that it takes before it is full */
static size_t narrow_tries; /* how often it was tried */

static inline ssize_t narrow_writev(struct tepal_conn *conn, const struct iovec *pieces, int n)
{
    struct iovec some[8];
    size_t left = narrow_room;
    int k = 0;
    narrow_tries++;
    if (left == 0) {
        errno = EAGAIN;
        return conn_failed(&conn->io, IO_WRITE);
    }
    for (; k < n && k < 8 && left > 0; k++) {
        some[k] = pieces[k];
        if (some[k].iov_len > left)
            some[k].iov_len = left;
        left -= some[k].iov_len;
    }
    ssize_t done = conn_unix_ops.writev(conn, some, k);
    narrow_room -= done > 0 ? (size_t)done : 0;
    return done;
}

/* From here on the connection's socket takes so many octets and is full then. */
static inline void narrow_from(size_t room)
{
    static struct conn_ops narrow_ops;
    narrow_ops = *http.conn.ops;
    narrow_ops.writev = narrow_writev;
    http.conn.ops = &narrow_ops;
    narrow_room = room;
    narrow_tries = 0;
}

/* So many more. The poller tells of it. */
static inline void narrow_by(size_t more)
{
    narrow_room += more;
    http.conn.io.state |= IO_WRITE;
    http.conn.io.fn(&http.conn.io);
}

#endif
