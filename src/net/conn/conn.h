/* The connection as the layers above see it: one small vtable, so that what is below (TCP, a Unix
 * socket, TLS) makes no difference to them.
 *
 * The operations only try; conn.c waits. The struct is small and can be embedded in the struct of
 * a connection.
 */
#ifndef TEPAL_NET_CONN_CONN_H
#define TEPAL_NET_CONN_CONN_H

#include "async/loop/poll.h"
#include "base/log.h"
#include "base/platform.h"

#include <tepal/net.h>

#include <stdbool.h>
#include <errno.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/uio.h>

struct loop;
struct conn_buffers;
struct tls_conn;

/* Each tries once. -EAGAIN: nothing was read or taken, and io.state says what to wait for. As long
 * as io.state has IO_READ there may be octets to read, in the socket or in what is above it.
 *
 * What writev and sendfile have taken they may hold, for want of room in the socket: see
 * conn_flush(). They take nothing more before that has gone; writev with n 0 only tries to let it
 * go. */
struct conn_ops {
    ssize_t (*read)(struct tepal_conn *conn, void *buffer, size_t size); /* 0 at the end */
    ssize_t (*writev)(struct tepal_conn *conn, const struct iovec *pieces, int n);
    ssize_t (*sendfile)(struct tepal_conn *conn, int file, int64_t *offset, size_t len);
    int (*shutdown)(struct tepal_conn *conn); /* what it has to say may be held, too */
    void (*close)(struct tepal_conn *conn);
};

struct tepal_conn {
    struct io io;
    const struct conn_ops *ops;
    struct conn_buffers *buffers; /* NULL: nothing was read or put by the calls that need them */
    struct tls_conn *tls;         /* NULL on a connection that is not encrypted */
};

/* Connections straight on a socket. On a Unix socket the first would do as long as the peer passes
 * no descriptors. */
extern const struct conn_ops conn_socket_ops, conn_unix_ops;

/* Makes conn one on this connected, non-blocking socket, and registers it with the loop. io.fn is
 * conn_on_event(). Returns 0 or a negative errno; then the socket is still the caller's. */
int conn_open_socket(struct tepal_conn *conn, struct loop *loop, int fd);

/* A new connection on this connected, non-blocking socket, to be closed by tepal_conn_close().
 * Returns 0 or a negative errno; then the socket is still the caller's. */
int conn_new_socket(struct tepal_conn **conn, struct loop *loop, int fd, int family);

/* Closes an embedded connection, without freeing it. What was put and has not gone is lost. */
void conn_close(struct tepal_conn *conn);

/* Lets the close be a reset, and be preceded by no farewell, so that the peer does not take it for
 * a proper end. */
void conn_reset_at_close(struct tepal_conn *conn);

/* Wakes the tasks that wait on the connection. */
void conn_on_event(struct io *io);

/* Whether octets have been read from below that the user has not asked for yet, and whether octets
 * were put that have not gone below. */
bool conn_has_unread(const struct tepal_conn *conn);
bool conn_has_unsent(const struct tepal_conn *conn);
/* Part of tls/conn.c. */
bool tls_is_holding(const struct tls_conn *tls);
bool tls_is_open(const struct tls_conn *tls); /* the handshake is done */
void tls_say_no_goodbye(struct tls_conn *tls);

/* Whether the connection holds octets that it has taken and that have not gone to the socket. */
static inline bool conn_is_holding(const struct tepal_conn *conn)
{
    return UNLIKELY(conn->tls != NULL) && tls_is_holding(conn->tls);
}

/* Waits until it holds none; each wait ends after timeout_ms without progress. Suspends if it holds
 * any. Returns 0, -ETIMEDOUT or another error. */
int conn_flush(struct tepal_conn *conn, int64_t timeout_ms);

/* Whether what is below the connection may be exchanged now, so that nothing that was put before is
 * mixed with what comes after: 0; -EBUSY when a task waits, or what was put has not gone; -ENOMEM
 * when octets that had come were lost. */
int conn_may_upgrade(const struct tepal_conn *conn);

/* What each public call must do at its end when it may have waited: a connection that was closed
 * meanwhile is freed by the last task that leaves it. Returns result. */
void conn_free_if_left(struct tepal_conn *conn);
static inline ssize_t conn_left(struct tepal_conn *conn, ssize_t result)
{
    if (UNLIKELY(conn->io.fd < 0))
        conn_free_if_left(conn);
    return result;
}

/* Misuse, named call, when the connection is NULL. */
static inline void conn_need(const struct tepal_conn *conn, const char *call)
{
    if (UNLIKELY(!conn))
        misuse(call, "the connection is NULL");
}

/* Waits until the connection may be readable or writable, or until the time until. Returns 0,
 * -ETIMEDOUT, -ECANCELED or -EBUSY. */
int conn_wait_read(struct tepal_conn *conn, int64_t until);
int conn_wait_write(struct tepal_conn *conn, int64_t until);

/* For a call that may have what it reads already: every so often lets others run. Returns as above.
 */
int conn_may_wait_read(struct tepal_conn *conn);

/* As the public calls, but each wait ends after timeout_ms without progress (-ETIMEDOUT). writev
 * may change the pieces. */
ssize_t conn_read(struct tepal_conn *conn, void *buffer, size_t size, int64_t timeout_ms);
int conn_writev(struct tepal_conn *conn, struct iovec *pieces, int n, int64_t timeout_ms);
int conn_sendfile(struct tepal_conn *conn, int file, int64_t offset, size_t len,
                  int64_t timeout_ms);

/* A non-blocking, close-on-exec socket with the options that every TCP connection has. Returns the
 * descriptor or a negative errno. */
int socket_new(int family);
void socket_set_conn_options(int fd, int family);

/* An integer option of level SOL_SOCKET, or a negative errno. */
int socket_option(int fd, int option);

/* What an error number of the system means on a connection: its ETIMEDOUT is no deadline. */
static inline int conn_error(int error)
{
    return error == ETIMEDOUT ? TEPAL_ESILENT : -error;
}

/* What an attempt that has failed, errno says how, tells of the descriptor: not to be ready for
 * state (IO_READ or IO_WRITE) any more. Returns the error; -EAGAIN also for one that was
 * interrupted. */
static inline ssize_t conn_failed(struct io *io, uint32_t state)
{
    if (errno == EAGAIN)
        io->state &= ~state;
    return errno == EINTR ? -EAGAIN : conn_error(errno);
}

/* What a read that has given fewer octets than there was room for tells: it has emptied the socket,
 * and the next octets make a new edge. Unless the end has come already, which makes none, or it may
 * have stopped before there were no more. */
static inline void conn_read_short(struct io *io, bool is_short)
{
    if (is_short && !(io->state & (IO_EOF | IO_STOPS)))
        io->state &= ~(uint32_t)IO_READ;
}

/* The result of an attempt to write: n as it is, or as above. */
static inline ssize_t conn_wrote(struct io *io, ssize_t n)
{
    return n >= 0 ? n : conn_failed(io, IO_WRITE);
}

/* What is left to do when the attempt below has failed. Part of socket.c. */
ssize_t socket_read_failed(struct tepal_conn *conn, void *buffer, size_t size);

/* The reading of conn_socket_ops. It is inlined where it can be: a system call leaves the processor
 * no memory of where functions return to, and each that was entered before returns slowly. */
static inline ssize_t socket_read(struct tepal_conn *conn, void *buffer, size_t size)
{
    ssize_t n = recv(conn->io.fd, buffer, size, 0);
    if (UNLIKELY(n < 0))
        return socket_read_failed(conn, buffer, size);
    conn_read_short(&conn->io, (size_t)n < size);
    return n;
}

/* Tries to read; see ops->read. Does not suspend. */
static inline ssize_t conn_try_read(struct tepal_conn *conn, void *buffer, size_t size)
{
    return LIKELY(conn->ops == &conn_socket_ops) ? socket_read(conn, buffer, size)
                                                 : conn->ops->read(conn, buffer, size);
}

/* Tries to write one piece; see ops->writev. Does not suspend. */
static inline ssize_t conn_try_write(struct tepal_conn *conn, const void *data, size_t len)
{
    if (LIKELY(conn->ops == &conn_socket_ops))
        return conn_wrote(&conn->io, send(conn->io.fd, data, len, MSG_NOSIGNAL));
    struct iovec piece = { .iov_base = (void *)(uintptr_t)data, .iov_len = len };
    return conn->ops->writev(conn, &piece, 1);
}

/* The sendfile of what is not encrypted: sockets and pipes. Part of socket.c. */
ssize_t conn_plain_sendfile(struct tepal_conn *conn, int file, int64_t *offset, size_t len);

/* The reading of conn_unix_ops. Part of unix.c. */
ssize_t unix_read(struct tepal_conn *conn, void *buffer, size_t size);

/* Moves the pieces of a gathered write on by done octets. */
static inline void pieces_advance(struct iovec **pieces, int *n, size_t done)
{
    while (*n > 0 && done >= (*pieces)->iov_len) {
        done -= (*pieces)->iov_len;
        ++*pieces;
        --*n;
    }
    if (*n > 0) {
        (*pieces)->iov_base = (char *)(*pieces)->iov_base + done;
        (*pieces)->iov_len -= done;
    }
}

#endif
