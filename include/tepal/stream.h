/* Byte streams over TCP and Unix sockets, and listeners for them.
 *
 * The calls that suspend end with -ETIMEDOUT at the task's deadline (tepal_deadline_in()) and with
 * -ECANCELED in a task that is cancelled. One task may read from a stream while another one writes;
 * a second reader, or a second writer, gets -EBUSY.
 */
#ifndef TEPAL_STREAM_H
#define TEPAL_STREAM_H

#include <tepal/base.h>

#include <sys/socket.h> /* AF_INET, AF_INET6 */
#include <sys/types.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct tepal_conn tepal_conn;
typedef struct tepal_listener tepal_listener;

typedef struct tepal_connect_options {
    int64_t attempt_delay_ms; /* between the attempts at two addresses; default 250 ms */
    int family; /* AF_INET or AF_INET6: to addresses of this family only; default both */
    const char *local_host; /* the address to connect from; default: what the system chooses */
    bool nagle;             /* TCP_NODELAY is off: small writes wait to be sent together */
} tepal_connect_options;

/* Connects to a TCP port. host is a name (see tepal/dns.h), an IPv4 or an IPv6 address. The
 * addresses of a name are tried as RFC 8305 says ("Happy Eyeballs"): both families in turns,
 * beginning with the one that is to be preferred (IPv6 where it is routed); while an attempt is
 * under way the next one starts after attempt_delay_ms, and at once when one has failed; the first
 * that succeeds is taken, and the others are given up. TCP_NODELAY is on. options may be NULL.
 * Suspends. Returns 0 and the stream, which the caller closes; what tepal_resolve() returns when
 * there is no address; the error of the last attempt (-ECONNREFUSED, ...), where that there is no
 * way from here (-ENETUNREACH, -EADDRNOTAVAIL) counts only if all failed so; -EINVAL or -ENODEV for
 * a local_host that is no address; -ENOMEM, -EMFILE, -ECANCELED, -ETIMEDOUT. */
TEPAL_API int tepal_connect(tepal_conn **stream, const char *host, uint16_t port,
                            const tepal_connect_options *options);

/* Connects to a Unix socket; a path that begins with '@' is in the abstract namespace. Suspends.
 * Returns 0 and the stream, -ENAMETOOLONG, or the error of the attempt. */
TEPAL_API int tepal_connect_unix(tepal_conn **stream, const char *path);

/* Reads what is there, at most size octets; waits until there is something. Suspends. Returns how
 * many octets, 0 when the peer has ended its side, or a negative error. */
TEPAL_API ssize_t tepal_conn_read(tepal_conn *stream, void *buffer, size_t size);

/* Writes all len octets. Suspends while the peer is slow. Returns 0, or a negative error, after
 * which it is not known how much was written (-EPIPE, -ECONNRESET: the peer is gone). */
TEPAL_API int tepal_conn_write(tepal_conn *stream, const void *data, size_t len);

/* Writes several pieces, as one. Suspends. Returns as tepal_conn_write(). */
TEPAL_API int tepal_conn_writev(tepal_conn *stream, const tepal_bytes *pieces, size_t n);

/* Writes len octets of an open file from offset on, without copying them. Suspends while the peer
 * is slow (and for as long as the disk takes). Returns as tepal_conn_write(); -EIO when the file is
 * shorter. */
TEPAL_API int tepal_conn_sendfile(tepal_conn *stream, int file, int64_t offset, size_t len);

/* Ends this side: the peer reads the end of the stream, and may go on writing. Does not suspend.
 * Returns 0 or a negative error. */
TEPAL_API int tepal_conn_shutdown(tepal_conn *stream);

/* Closes the stream and frees it. No task may wait on it. Does not suspend. NULL is allowed. */
TEPAL_API void tepal_conn_close(tepal_conn *stream);

typedef struct tepal_listen_options {
    const char *host; /* an address or a name; default: all IPv6 and IPv4 addresses */
    int port;         /* TCP port; TEPAL_ANY_PORT: one that is free. Ignored with path */
    const char *path; /* a Unix socket; '@' first: abstract. A socket left by a dead process is
                         replaced, and the file is removed at the end */
    int backlog;      /* default 1024; the kernel caps it at net.core.somaxconn */
    bool reuse_port;  /* SO_REUSEPORT: several processes share the port */
} tepal_listen_options;

/* For a port: one that is free. */
#define TEPAL_ANY_PORT (-1)

/* Begins to listen. Does not suspend (a host name is looked up at once). Returns 0 and the
 * listener, which the caller closes; -EADDRINUSE, -EACCES, ...; -EINVAL for neither port nor
 * path. */
TEPAL_API int tepal_listen(tepal_listener **listener, const tepal_listen_options *options);

/* The port of a TCP listener, 0 of a Unix one. */
TEPAL_API uint16_t tepal_listener_port(const tepal_listener *listener);

/* Waits for the next connection. Suspends. Returns 0 and the stream, which the caller closes, or a
 * negative error. */
TEPAL_API int tepal_accept(tepal_listener *listener, tepal_conn **stream);

/* Stops listening. Connections that were accepted live on. NULL is allowed. */
TEPAL_API void tepal_listener_close(tepal_listener *listener);

#ifdef __cplusplus
}
#endif
#endif
