/* What the tests of the net layer share: pairs of connections, and plain blocking sockets as
 * peers. */
#ifndef TEPAL_TESTS_UNIT_NET_SOCKETS_H
#define TEPAL_TESTS_UNIT_NET_SOCKETS_H

#include "../async/in_loop.h"

#include "base/mem.h"
#include "net/listener/listener.h"
#include "net/conn/conn.h"

#include <fcntl.h>
#include <netinet/in.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

/* A connection on this descriptor, to be closed by tepal_conn_close(). */
static inline tepal_conn *open_conn(int fd)
{
    tepal_conn *conn = mem_zalloc(sizeof(*conn));
    assert_non_null(conn);
    assert_true(fd >= 0);
    assert_int_equal(conn_open_socket(conn, loop_current, fd), 0);
    return conn;
}

/* Two descriptors that are connected; TCP on the loopback or a Unix socket. */
static inline void connect_fds(int family, int *ends)
{
    int flags = SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC;
    if (family == AF_UNIX) {
        assert_int_equal(socketpair(AF_UNIX, flags, 0, ends), 0);
        return;
    }
    struct addr addr;
    assert_int_equal(addr_from_ip(&addr, "127.0.0.1", 0), 0);
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(listener, &addr.sa, addr.len), 0);
    assert_int_equal(listen(listener, 1), 0);
    assert_int_equal(getsockname(listener, &addr.sa, &addr.len), 0);
    ends[0] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(connect(ends[0], &addr.sa, addr.len), 0);
    ends[1] = accept4(listener, NULL, NULL, flags & ~SOCK_STREAM);
    assert_true(ends[1] >= 0);
    assert_int_equal(fcntl(ends[0], F_SETFL, O_NONBLOCK), 0);
    close(listener);
}

static inline void connect_conns(int family, tepal_conn **ends)
{
    int fds[2];
    connect_fds(family, fds);
    ends[0] = open_conn(fds[0]);
    ends[1] = open_conn(fds[1]);
}

/* Little fits between the connection and its peer, whatever the system would make of it. */
static inline void limit_buffers(const tepal_conn *conn)
{
    int fd = tepal_conn_fd(conn), size = 32 * 1024;
    assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &size, sizeof(size)), 0);
    assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof(size)), 0);
}

/* Closes with a reset instead of an orderly end. */
static inline void reset_fd(int fd)
{
    struct linger linger = { .l_onoff = 1, .l_linger = 0 };
    assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, sizeof(linger)), 0);
    close(fd);
}

/* Takes all free descriptors but spare away, until the limit is put back. */
static inline struct rlimit limit_fds(int spare)
{
    struct rlimit old, tight;
    int next = dup(0);
    assert_true(next >= 0);
    close(next);
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &old), 0);
    tight = old;
    tight.rlim_cur = (rlim_t)(next + spare);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &tight), 0);
    return old;
}

static inline void put_limit_back(struct rlimit old)
{
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &old), 0);
}

#endif
