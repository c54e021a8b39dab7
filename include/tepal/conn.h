/* Connections: streams of bytes over TCP and Unix sockets, and listeners for them.
 *
 * The calls that suspend end with -ETIMEDOUT at the task's deadline (tepal_deadline_in_ms()), with
 * -ECANCELED in a task that is cancelled, and with -EINTR when another task interrupts them
 * (tepal_conn_interrupt_reader()). They return -ECANCELED, too, when another task has closed the
 * connection meanwhile: then it is gone. That the system gives up a peer which does not answer (its
 * ETIMEDOUT) is TEPAL_ESILENT.
 *
 * Tasks may read from a connection and write to it at once. Writers take turns, in order of their
 * coming: what one call writes stays together, and a call suspends while another task is in the
 * middle of one, which a deadline, a cancellation or an interruption ends before anything was
 * written. (While TLS begins they get -EBUSY.) Only one task at a time may read: which of two gets
 * what would be chance, so the second one gets -EBUSY while the first one waits.
 *
 * Calls with a connection or a listener that is NULL, or without a place for their result, end the
 * program with a message, where they do not say that NULL is allowed.
 */
#ifndef TEPAL_CONN_H
#define TEPAL_CONN_H

#include <tepal/addr.h>
#include <tepal/base.h>

#include <sys/socket.h> /* AF_INET, AF_INET6 */
#include <sys/types.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct tepal_conn tepal_conn;
typedef struct tepal_listener tepal_listener;
typedef struct tepal_tls tepal_tls; /* see tls.h */

typedef struct tepal_conn_options {
    int64_t attempt_delay_ms; /* between the attempts at two addresses; default 250 ms */
    int family; /* AF_INET or AF_INET6: to addresses of this family only; default both */
    const char *local_host; /* the address to connect from; default: what the system chooses */
    bool nagle;             /* TCP_NODELAY is off: small writes wait to be sent together */
    tepal_tls *tls; /* a client's context: the connection is encrypted, and the server's certificate
                               must be for host */
    uint64_t later[4];
} tepal_conn_options;

/* Connects to a TCP port. host is a name (see tepal/dns.h), an IPv4 or an IPv6 address. The
 * addresses of a name are tried as RFC 8305 says ("Happy Eyeballs"): both families in turns,
 * beginning with the one that is to be preferred (IPv6 where it is routed). Nobody waits for a name
 * server that has answered for one family only: attempts begin when there are IPv6 addresses, or 50
 * ms after IPv4 ones, and what comes later joins; once all have failed it is waited for no longer
 * than timeout_ms of tepal_dns_options. While an attempt is under way the next one starts after
 * attempt_delay_ms, and at once when one has failed; the first that succeeds is taken, and the
 * others are given up. TCP_NODELAY is on. options may be NULL. Suspends. Returns 0 and the
 * connection, which the caller closes; what tepal_resolve() returns when there is no address; the
 * error of the last attempt (-ECONNREFUSED, also for a port of this machine on which nobody listens
 * and which the attempt itself was given; TEPAL_ESILENT when the system gives up, ...), where that
 * there is no way from here (-ENETUNREACH, -EADDRNOTAVAIL) counts only if all failed so; -EINVAL or
 * -ENODEV for a local_host that is no address; -ENOMEM, -EMFILE, -ECANCELED, -ETIMEDOUT; with tls
 * what tepal_conn_start_tls() returns, and tepal_tls_error_text() says more. */
TEPAL_API int tepal_conn_open(tepal_conn **conn, const char *host, uint16_t port,
                              const tepal_conn_options *options);

/* Connects to a Unix socket; a path that begins with '@' is in the abstract namespace. Suspends
 * while the server's backlog is full. Returns 0 and the connection, -ENAMETOOLONG, -ETIMEDOUT or
 * -ECANCELED, or the error of the attempt. */
TEPAL_API int tepal_conn_open_unix(tepal_conn **conn, const char *path);

/* A connection on a connected socket of the program's own (SOCK_STREAM), such as one that was
 * inherited or received. It becomes non-blocking, and on TCP TCP_NODELAY and SO_KEEPALIVE are set.
 * Does not suspend. Returns 0 and the connection, which owns the descriptor from then on; -EBADF,
 * -ENOTSOCK, -ENOTCONN, -ESOCKTNOSUPPORT (no SOCK_STREAM), -EEXIST (a connection of this loop has
 * it), -ENOMEM, and then it is still the caller's, as it was. */
TEPAL_API int tepal_conn_open_fd(tepal_conn **conn, int fd);

/* --- Reading ---------------------------------------------------------------------------------- */

/* Reads what is there, at most size octets; waits until there is something. Suspends. Returns how
 * many octets, 0 when the peer has ended its side, or a negative error; -EINVAL when size is 0. */
TEPAL_API ssize_t tepal_conn_read(tepal_conn *conn, void *buffer, size_t size);

/* The four calls below wait until all that is asked for has come. Until then nothing is taken from
 * the connection: after a negative result the octets that have come are still there for the next
 * call, whichever it is, with one exception, said below. They return TEPAL_ECLOSED when the peer
 * has ended its side before that; tepal_conn_read() then gives what came of it, or 0 if that was
 * nothing. They may read ahead, into a buffer of 16 KiB that grows as far as the limit demands, and
 * that a connection has only while there is something in it. Other errors: -ENOMEM, -ECONNRESET,
 * ...; -EBUSY while another task reads. */

/* Reads size octets. Suspends. Returns 0 or a negative error. (After -ENOMEM with a size over 16
 * KiB octets may be lost; then all further reads return -ENOMEM.) */
TEPAL_API int tepal_conn_read_exactly(tepal_conn *conn, void *buffer, size_t size);

/* Reads up to a delimiter of delimiter_len octets, at least one. *data is what is before it, with a
 * NUL in the delimiter's place; it may be changed, and is valid until the connection is read again
 * or closed. Suspends. Returns its length, or a negative error: -EMSGSIZE when the delimiter does
 * not come after at most max octets. */
TEPAL_API ssize_t tepal_conn_read_until(tepal_conn *conn, const void *delimiter,
                                        size_t delimiter_len, size_t max, char **data);

/* Reads a line, which ends with LF or CR LF; *line is the line without that, with a NUL behind, as
 * *data above. (The line may have NULs inside: the result is its real length.) Suspends. Returns
 * its length, or a negative error: -EMSGSIZE when it has more than max octets. */
TEPAL_API ssize_t tepal_conn_read_line(tepal_conn *conn, size_t max, char **line);

/* The most octets that can be waited for. */
enum { TEPAL_MAX_PEEK = 64 * 1024 };

/* Waits until n octets have come, and shows all that have (as many as were read ahead), without
 * taking them: whatever reads the connection next gets them, be it tepal_conn_start_tls() or
 * tepal_conn_relay(). *data is where they are, with a NUL behind; valid until the connection is
 * used again. On an encrypted connection they are what was decrypted. Suspends. Returns how many: n
 * or more; fewer when the peer has ended its side before that, 0 when nothing came before; or a
 * negative error: -EMSGSIZE when n is over TEPAL_MAX_PEEK, -EINVAL when it is 0. */
TEPAL_API ssize_t tepal_conn_peek(tepal_conn *conn, size_t n, const char **data);

/* --- Writing ---------------------------------------------------------------------------------- */

/* Writes all len octets. Suspends while the peer is slow. Returns 0, or a negative error, after
 * which it is not known how much was written (-EPIPE, -ECONNRESET: the peer is gone). */
TEPAL_API int tepal_conn_write(tepal_conn *conn, const void *data, size_t len);

/* Writes several pieces, as one. Suspends. Returns as tepal_conn_write(). */
TEPAL_API int tepal_conn_writev(tepal_conn *conn, const tepal_bytes *pieces, size_t n);

/* Writes len octets of an open file from offset on, without copying them. Suspends while the peer
 * is slow (and for as long as the disk takes). Returns as tepal_conn_write(); -EIO when the file is
 * shorter. */
TEPAL_API int tepal_conn_sendfile(tepal_conn *conn, int file, int64_t offset, size_t len);

/* Puts data into the connection's output buffer, so that many small writes become few large ones.
 * What was put goes out when the buffer is full, and before all that the other calls write; see to
 * the rest with tepal_conn_drain(). Suspends when the buffer is full and the peer is slow. Returns
 * 0 or a negative error: -ETIMEDOUT, -ECANCELED, -EINTR, -ENOMEM, and then none of the data was
 * put, and what was put before is still there. Only of data that is larger than the whole buffer a
 * part may have gone; that, and each error of the connection (-EPIPE, ...), ends all writing: what
 * was put is dropped, and every further call returns the error again, or -EPIPE when it was a
 * deadline, a cancellation or an interruption. */
TEPAL_API int tepal_conn_put(tepal_conn *conn, const void *data, size_t len);

/* Puts text, formatted as by printf(). Suspends. Returns as tepal_conn_put(); -EINVAL for a format
 * that fails. */
TEPAL_API int tepal_conn_putf(tepal_conn *conn, const char *format, ...) TEPAL_PRINTF(2, 3);

/* Writes what was put. Suspends while the peer is slow. Returns 0 or a negative error; after
 * -ETIMEDOUT, -ECANCELED and -EINTR the rest is still there. */
TEPAL_API int tepal_conn_drain(tepal_conn *conn);

/* Sets the size of the output buffer: how much can be put while the peer takes nothing. Default (0)
 * 16 KiB. Does not suspend. Returns 0 or -ENOMEM. */
TEPAL_API int tepal_conn_set_max_output(tepal_conn *conn, size_t max);

/* --- From one connection to another ----------------------------------------------------------- */

/* Passes on what comes from either connection to the other, until both have ended or one is gone;
 * in the kernel where much comes and neither is encrypted. What was read ahead of either, or peeked
 * at, goes first, and before it what was put into the other one. When one ends its side, so is that
 * of the other, and the other direction goes on. When nothing has moved in either direction for
 * idle_ms (TEPAL_NEVER: any time) it returns -ETIMEDOUT. Both stay open, and the caller's. Other
 * tasks that read get -EBUSY meanwhile, those that write wait for its end.
 *
 * Suspends. Returns 0 when all has been passed on; otherwise a negative error of either side. When
 * one cannot be written to any more, what it has sent before is passed on first; an error of
 * reading ends both directions at once. Whatever ends it, octets that have come from one and not
 * gone to the other can be read from the one that they came from: after -EINTR it can go on where
 * it was. -EINVAL when one is NULL, both are the same, or idle_ms is not over 0; -EBUSY when
 * another task reads or writes one; -ENOMEM. A process's pipe goes one way only and cannot be
 * relayed: -EBADF. */
TEPAL_API int tepal_conn_relay(tepal_conn *a, tepal_conn *b, int64_t idle_ms);

/* --- Interrupting ----------------------------------------------------------------------------- */

/* For another task: the call of the one that reads, or of all that write or wait for their turn to,
 * returns -EINTR. The connection stays open, and the tasks are not cancelled.
 *
 *  - The next read gets all that has come: nothing is lost. (But see tepal_conn_read_exactly().)
 *  - Of a write it is not known how much has gone: see each call. An encrypted connection stays so:
 *    a record that was begun goes on with the next write.
 *  - tepal_conn_relay() both reads and writes. So does a handshake, and after it was interrupted
 *    the connection can only be closed. (A connection that is being opened cannot be had yet:
 *    cancel the task, or give it a deadline.)
 *
 * Only a call that has begun is interrupted. When there is none nothing happens, and false is
 * returned; so a task that is to stop reading is told by a variable first, which it looks at before
 * each call:
 *
 *     state->stop = true;
 *     tepal_conn_interrupt_reader(state->conn);
 *
 * Do not suspend. Return whether there was such a call. */
TEPAL_API bool tepal_conn_interrupt_reader(tepal_conn *conn);
TEPAL_API bool tepal_conn_interrupt_writers(tepal_conn *conn);

/* --- The end ---------------------------------------------------------------------------------- */

/* Ends this side: the peer reads the end of what was written, and may go on writing itself. What
 * was put is drained first, and what other tasks write. Suspends if there is any, or the connection
 * is encrypted, and the peer is slow. Returns 0 or a negative error. */
TEPAL_API int tepal_conn_shutdown(tepal_conn *conn);

/* Closes the connection and frees it. Of what was put and not drained the peer gets as much as the
 * system takes at once, and the rest is lost. Whoever closes a TCP connection with octets unread,
 * or is sent more afterwards, lets the system answer with a reset, and what was written before may
 * be lost on its way: to be sure, end this side, and read to the peer's end. (An encrypted
 * connection sees to that; see tls.h.) Calls of other tasks that wait on the connection return
 * -ECANCELED, without their tasks being cancelled; they must not use it any more. Does not suspend.
 * NULL is allowed. */
TEPAL_API void tepal_conn_close(tepal_conn *conn);

/* The same, but so that the peer does not take it for a proper end: a TCP peer gets a reset. What
 * was put and not drained, and what the system has not sent yet, is lost. */
TEPAL_API void tepal_conn_abort(tepal_conn *conn);

/* --- About a connection ----------------------------------------------------------------------- */

/* The addresses of the peer and of this end. Do not suspend. Return 0 or a negative error:
 * -ENOTCONN when the connection is gone, -ENOTSOCK when it is no socket. */
TEPAL_API int tepal_conn_peer_addr(const tepal_conn *conn, tepal_addr *addr);
TEPAL_API int tepal_conn_local_addr(const tepal_conn *conn, tepal_addr *addr);

/* The descriptor, for setsockopt() and the like; it stays the connection's. Reading or writing it
 * confuses the connection. */
TEPAL_API int tepal_conn_fd(const tepal_conn *conn);

/* How a TCP connection finds out that a silent peer is gone. */
typedef struct tepal_keepalive {
    int idle_s;     /* seconds of silence before the first probe; default 60 */
    int interval_s; /* seconds between probes; default 15 */
    int count;      /* probes without an answer, after which the peer is gone; default 4 */
    uint64_t later[4];
} tepal_keepalive;

/* Sets when the peer of a TCP connection is probed (unless set, the system's defaults hold: after
 * two hours). When it is found gone, calls on the connection return TEPAL_ESILENT, or the error of
 * the network (-EHOSTUNREACH). NULL: all defaults. Does not suspend. Returns 0; -EINVAL when a
 * value is out of the system's range, -EOPNOTSUPP when this is no TCP connection. */
TEPAL_API int tepal_conn_set_keepalive(tepal_conn *conn, const tepal_keepalive *options);

/* --- Unix sockets ----------------------------------------------------------------------------- */

/* The two ends of a connection. Does not suspend. Returns 0 and both, which the caller closes,
 * -EMFILE, -ENFILE or -ENOMEM. */
TEPAL_API int tepal_conn_open_pair(tepal_conn **a, tepal_conn **b);

/* The process at the other end of a Unix socket, as it was when it connected or listened. */
typedef struct tepal_credentials {
    pid_t pid; /* 0 when it is in another PID namespace */
    uid_t uid;
    gid_t gid;
    uint64_t later[4];
} tepal_credentials;

/* Does not suspend. Returns 0; -EOPNOTSUPP when this is no Unix socket. */
TEPAL_API int tepal_conn_credentials(const tepal_conn *conn, tepal_credentials *credentials);

/* How many descriptors can be passed at once. */
enum { TEPAL_MAX_PASSED_FDS = 64 };

/* Writes data, at least one octet, and passes n descriptors with it over a Unix socket. The peer
 * gets copies; the caller closes its own. Suspends while the peer is slow. Returns as
 * tepal_conn_write(); -EOPNOTSUPP when this is no Unix socket, -EINVAL when there is no data or n
 * is not 1 to TEPAL_MAX_PASSED_FDS, -EBADF, -ETOOMANYREFS (too many are under way). */
TEPAL_API int tepal_conn_send_fds(tepal_conn *conn, const int *fds, size_t n, const void *data,
                                  size_t len);

/* Reads as tepal_conn_read(), and receives the descriptors that were passed with the octets. *n is
 * how many fds has room for, and then how many were received, often none; they are close-on-exec,
 * and the caller closes them. (The other calls that read drop descriptors, which the system
 * closes.) Suspends. Returns how many octets, 0 at the end, or a negative error: -EMSGSIZE when
 * there were more descriptors than *n, -EMFILE when this process cannot have more; then all of them
 * were closed and the octets that they came with are lost. -EOPNOTSUPP when this is no Unix socket.
 */
TEPAL_API ssize_t tepal_conn_receive_fds(tepal_conn *conn, void *buffer, size_t size, int *fds,
                                         size_t *n);

/* --- Listening -------------------------------------------------------------------------------- */

typedef struct tepal_listener_options {
    const char *host; /* an address, or a name, of which all addresses are listened on (without IPv6
                         on this machine, all that are IPv4); default: all IPv6 and IPv4 ones */
    int port;         /* TCP port; TEPAL_ANY_PORT: one that is free. Ignored with path */
    const char *path; /* a Unix socket; '@' first: abstract. A socket left by a dead process is
                         replaced; the file is removed when the listener is closed, unless the path
                         leads to another one by then */
    int backlog;      /* default 1024; the kernel caps it at net.core.somaxconn */
    bool reuse_port;  /* SO_REUSEPORT: several processes share the port */
    int fd;           /* a TCP or Unix stream socket that listens already, such as one that was
                         inherited; 0: none. It takes the place of all of the above. A duplicate is
                         used, so that it stays the caller's to close; it is made non-blocking */
    uint64_t later[4];
} tepal_listener_options;

/* For a port: one that is free. */
#define TEPAL_ANY_PORT (-1)

/* Begins to listen. A host that is a name is looked up as the system does it (getaddrinfo()): in a
 * task by a thread of tepal_offload(), so that others go on; it suspends then, and also returns
 * what that call does: -ECANCELED, -ETIMEDOUT, -EBUSY, -EAGAIN. Outside of any task it blocks.
 * Without a name it does not suspend. Returns 0 and the listener, which the caller closes;
 * -EADDRINUSE, -EACCES, ...; TEPAL_ENONAME when there is no such host, and TEPAL_EDNS when that
 * cannot be known; -EINVAL for neither port nor path, and for an fd that is no such socket;
 * -ENOTSOCK and -EBADF for one that is no socket, or nothing. */
TEPAL_API int tepal_listener_open(tepal_listener **listener, const tepal_listener_options *options);

/* The port of a TCP listener, 0 of a Unix one. */
TEPAL_API uint16_t tepal_listener_port(const tepal_listener *listener);

/* Waits for the next connection. When the listener has several sockets, for as many addresses, they
 * take turns. Suspends. Returns 0 and the connection, which the caller closes; -EMFILE, -ENFILE,
 * -ENOMEM or -ENOBUFS when there is a shortage; -EBUSY when another task accepts; -EINTR when
 * another task interrupts it, and -ECANCELED when one closes the listener; or another error, when
 * accepting fails again and again: then the next call waits for a moment before it tries. */
TEPAL_API int tepal_listener_open_conn(tepal_listener *listener, tepal_conn **conn);

/* Serves a connection. It runs in a task of its own; when it returns the connection is closed. */
typedef void tepal_conn_fn(tepal_conn *conn, void *arg);

typedef struct tepal_listener_serve_options {
    size_t max_connections;      /* at once; default 10000. More wait in the backlog */
    int64_t shutdown_timeout_ms; /* for the connections, when the serving ends, before they are
                                    cancelled. Default 0: at once */
    bool stop_on_signal;         /* the serving ends at SIGINT and SIGTERM, too; see below */
    tepal_tls *tls; /* a server's context: connections are encrypted before fn is called */
    int64_t handshake_timeout_ms; /* for that; default 10 s, then the connection is closed */
    const char *name;             /* of the tasks, in reports; must outlive them. Default
                                    "connection" */
    size_t stack_size;            /* of the tasks; see tepal_spawn_options */
    uint64_t later[4];
} tepal_listener_serve_options;

/* Accepts connections and runs fn(conn, arg) in a task for each, until the calling task is
 * cancelled, its deadline comes, or it is told by a signal or by tepal_listener_interrupt(). (The
 * connections' tasks do not inherit that deadline.) Then no more are accepted, the connections are
 * given the time of the options to end, the rest are cancelled, and when all have returned the call
 * does; those that do not end even then, such as one that waits for a thread that is stuck, are
 * left as they are after a tenth of that time (one second at least, and ten at most; ten when it is
 * 0), and a thread's memory must stay. With stop_on_signal all servers of the process end at one
 * signal. A second one ends the process at once, whatever holds the loop; but when it comes within
 * 150 ms of the first it is taken for the same wish, sent by two: for its twin the call waits a
 * tenth of a second. When descriptors or memory are short, or accepting fails again and again for
 * another reason, it pauses, with one line in the log, and is tried ten times a second. The
 * listener stays the caller's; when another task closes it, that ends the serving, too. Suspends.
 * Returns 0 after a signal, an interruption or that close, else -ECANCELED or -ETIMEDOUT; -EBUSY
 * when another task accepts from the listener, -ENOMEM or -EMFILE when it could not begin; what
 * tepal_tls_error() says of tls. */
TEPAL_API int tepal_listener_serve(tepal_listener *listener, tepal_conn_fn *fn, const void *arg,
                                   const tepal_listener_serve_options *options);

/* The same with a listener of its own, which is closed at the end; the log says where it listens,
 * or why it cannot. Suspends. Returns as tepal_listener_serve(), or what tepal_listener_open()
 * returned. */
TEPAL_API int tepal_listener_open_and_serve(const tepal_listener_options *where, tepal_conn_fn *fn,
                                            const void *arg,
                                            const tepal_listener_serve_options *options);

/* For another task: lets tepal_listener_open_conn() return -EINTR, or tepal_listener_serve() end as
 * by a signal. The listener can be used as before. When neither waits nothing happens. Does not
 * suspend. Returns whether one did. */
TEPAL_API bool tepal_listener_interrupt(tepal_listener *listener);

/* Stops listening. Connections that were accepted live on. Calls of other tasks that wait on the
 * listener end: see there. Does not suspend. NULL is allowed. */
TEPAL_API void tepal_listener_close(tepal_listener *listener);

#ifdef __cplusplus
}
#endif
#endif
