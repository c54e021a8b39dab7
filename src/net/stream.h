/* The stream as the layers above see it: one small vtable, so that what is below (TCP, a Unix
 * socket, TLS) makes no difference to them.
 *
 * The operations only try; stream.c waits. The struct is small and can be embedded in the struct of
 * a connection.
 */
#ifndef TEPAL_NET_STREAM_H
#define TEPAL_NET_STREAM_H

#include "async/poll.h"
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
struct stream_buffers;
struct tls_stream;

/* Each tries once. -EAGAIN: nothing was read or taken, and io.state says what to wait for. As long
 * as io.state has IO_READ there may be octets to read, in the socket or in what is above it.
 *
 * What writev and sendfile have taken they may hold, for want of room in the socket: see
 * stream_flush(). They take nothing more before that has gone; writev with n 0 only tries to let it
 * go. */
struct stream_ops {
    ssize_t (*read)(struct tepal_conn *stream, void *buffer, size_t size); /* 0 at the end */
    ssize_t (*writev)(struct tepal_conn *stream, const struct iovec *pieces, int n);
    ssize_t (*sendfile)(struct tepal_conn *stream, int file, int64_t *offset, size_t len);
    int (*shutdown)(struct tepal_conn *stream); /* what it has to say may be held, too */
    void (*close)(struct tepal_conn *stream);
};

struct tepal_conn {
    struct io io;
    const struct stream_ops *ops;
    struct stream_buffers *buffers; /* NULL: nothing was read or put by the calls that need them */
    struct tls_stream *tls;         /* NULL on a stream that is not encrypted */
};

/* Streams straight on a socket. On a Unix socket the first would do as long as the peer passes no
 * descriptors. */
extern const struct stream_ops stream_socket_ops, stream_unix_ops;

/* Makes stream one on this connected, non-blocking socket, and registers it with the loop. io.fn is
 * stream_on_event(). Returns 0 or a negative errno; then the socket is still the caller's. */
int stream_open_socket(struct tepal_conn *stream, struct loop *loop, int fd);

/* A new stream on this connected, non-blocking socket, to be closed by tepal_conn_close(). Returns 0
 * or a negative errno; then the socket is still the caller's. */
int stream_new_socket(struct tepal_conn **stream, struct loop *loop, int fd, int family);

/* Closes an embedded stream, without freeing it. What was put and has not gone is lost. */
void stream_close(struct tepal_conn *stream);

/* Lets the close be a reset, and be preceded by no farewell, so that the peer does not take it for a
 * proper end. */
void stream_reset_at_close(struct tepal_conn *stream);

/* Wakes the tasks that wait on the stream. */
void stream_on_event(struct io *io);

/* Whether octets have been read from below that the user has not asked for yet, and whether octets
 * were put that have not gone below. */
bool stream_has_unread(const struct tepal_conn *stream);
bool stream_has_unsent(const struct tepal_conn *stream);
/* Part of tls_stream.c. */
bool tls_is_holding(const struct tls_stream *tls);
bool tls_is_open(const struct tls_stream *tls); /* the handshake is done */
void tls_say_no_goodbye(struct tls_stream *tls);

/* Whether the stream holds octets that it has taken and that have not gone to the socket. */
static inline bool stream_is_holding(const struct tepal_conn *stream)
{
    return UNLIKELY(stream->tls != NULL) && tls_is_holding(stream->tls);
}

/* Waits until it holds none; each wait ends after timeout_ms without progress. Suspends if it holds
 * any. Returns 0, -ETIMEDOUT or another error. */
int stream_flush(struct tepal_conn *stream, int64_t timeout_ms);

/* Whether what is below the stream may be exchanged now, so that nothing that came before is mixed
 * with what comes after: 0; -EBUSY when a task waits, or what was put has not gone; TEPAL_EMESSAGE
 * when octets have been read that the user has not asked for yet. */
int stream_may_upgrade(const struct tepal_conn *stream);

/* What each public call must do at its end when it may have waited: a stream that was closed
 * meanwhile is freed by the last task that leaves it. Returns result. */
void stream_free_if_left(struct tepal_conn *stream);
static inline ssize_t stream_left(struct tepal_conn *stream, ssize_t result)
{
    if (UNLIKELY(stream->io.fd < 0))
        stream_free_if_left(stream);
    return result;
}

/* Misuse, named call, when the stream is NULL. */
static inline void stream_need(const struct tepal_conn *stream, const char *call)
{
    if (UNLIKELY(!stream))
        misuse(call, "the connection is NULL");
}

/* Waits until the stream may be readable or writable, or until the time until. Returns 0,
 * -ETIMEDOUT, -ECANCELED or -EBUSY. */
int stream_wait_read(struct tepal_conn *stream, int64_t until);
int stream_wait_write(struct tepal_conn *stream, int64_t until);

/* For a call that may have what it reads already: every so often lets others run. Returns as above. */
int stream_may_wait_read(struct tepal_conn *stream);

/* As the public calls, but each wait ends after timeout_ms without progress (-ETIMEDOUT). writev
 * may change the pieces. */
ssize_t stream_read(struct tepal_conn *stream, void *buffer, size_t size, int64_t timeout_ms);
int stream_writev(struct tepal_conn *stream, struct iovec *pieces, int n, int64_t timeout_ms);
int stream_sendfile(struct tepal_conn *stream, int file, int64_t offset, size_t len,
                    int64_t timeout_ms);

/* A non-blocking, close-on-exec socket with the options that every TCP stream has. Returns the
 * descriptor or a negative errno. */
int socket_new(int family);
void socket_set_stream_options(int fd, int family);

/* An integer option of level SOL_SOCKET, or a negative errno. */
int socket_option(int fd, int option);

/* What an error number of the system means on a connection: its ETIMEDOUT is no deadline. */
static inline int stream_error(int error)
{
    return error == ETIMEDOUT ? TEPAL_ESILENT : -error;
}

/* What an attempt that has failed, errno says how, tells of the descriptor: not to be ready for state
 * (IO_READ or IO_WRITE) any more. Returns the error; -EAGAIN also for one that was interrupted. */
static inline ssize_t stream_failed(struct io *io, uint32_t state)
{
    if (errno == EAGAIN)
        io->state &= ~state;
    return errno == EINTR ? -EAGAIN : stream_error(errno);
}

/* What a read that has given fewer octets than there was room for tells: it has emptied the socket,
 * and the next octets make a new edge. Unless the end has come already, which makes none, or it may
 * have stopped before there were no more. */
static inline void stream_read_short(struct io *io, bool is_short)
{
    if (is_short && !(io->state & (IO_EOF | IO_STOPS)))
        io->state &= ~(uint32_t)IO_READ;
}

/* The result of an attempt to write: n as it is, or as above. */
static inline ssize_t stream_wrote(struct io *io, ssize_t n)
{
    return n >= 0 ? n : stream_failed(io, IO_WRITE);
}

/* What is left to do when the attempt below has failed. Part of socket.c. */
ssize_t socket_read_failed(struct tepal_conn *stream, void *buffer, size_t size);

/* The reading of stream_socket_ops. It is inlined where it can be: a system call leaves the processor
 * no memory of where functions return to, and each that was entered before returns slowly. */
static inline ssize_t socket_read(struct tepal_conn *stream, void *buffer, size_t size)
{
    ssize_t n = recv(stream->io.fd, buffer, size, 0);
    if (UNLIKELY(n < 0))
        return socket_read_failed(stream, buffer, size);
    stream_read_short(&stream->io, (size_t)n < size);
    return n;
}

/* Tries to read; see ops->read. Does not suspend. */
static inline ssize_t stream_try_read(struct tepal_conn *stream, void *buffer, size_t size)
{
    return LIKELY(stream->ops == &stream_socket_ops) ? socket_read(stream, buffer, size)
                                                     : stream->ops->read(stream, buffer, size);
}

/* Tries to write one piece; see ops->writev. Does not suspend. */
static inline ssize_t stream_try_write(struct tepal_conn *stream, const void *data, size_t len)
{
    if (LIKELY(stream->ops == &stream_socket_ops))
        return stream_wrote(&stream->io, send(stream->io.fd, data, len, MSG_NOSIGNAL));
    struct iovec piece = { .iov_base = (void *)(uintptr_t)data, .iov_len = len };
    return stream->ops->writev(stream, &piece, 1);
}

/* The sendfile of what is not encrypted: sockets and pipes. Part of socket.c. */
ssize_t stream_plain_sendfile(struct tepal_conn *stream, int file, int64_t *offset, size_t len);

/* The reading of stream_unix_ops. Part of unix.c. */
ssize_t unix_read(struct tepal_conn *stream, void *buffer, size_t size);

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
