/* Tests of the operations that try once, and of what they leave in io.state. */
#include "../sockets.h"

#include <netinet/tcp.h>
#include <signal.h>

static int families[] = { AF_INET, AF_UNIX };

static int each_family(tepal_task_fn *fn)
{
    for (int i = 0; i < 2; i++)
        assert_int_equal(run(fn, &families[i]), 0);
    return 0;
}

static bool option(int fd, int level, int name)
{
    int on = 0;
    socklen_t len = sizeof(on);
    assert_int_equal(getsockopt(fd, level, name, &on, &len), 0);
    return on != 0;
}

static void options_of_new_sockets(void **state)
{
    (void)state;
    int fd = socket_new(AF_INET);
    assert_true(fd >= 0);
    assert_true(fcntl(fd, F_GETFL) & O_NONBLOCK);
    assert_true(fcntl(fd, F_GETFD) & FD_CLOEXEC);
    assert_false(option(fd, IPPROTO_TCP, TCP_NODELAY));
    socket_set_conn_options(fd, AF_INET);
    assert_true(option(fd, IPPROTO_TCP, TCP_NODELAY));
    assert_true(option(fd, SOL_SOCKET, SO_KEEPALIVE));
    close(fd);
    fd = socket_new(AF_UNIX);
    assert_true(fd >= 0);
    socket_set_conn_options(fd, AF_UNIX); /* nothing to set */
    close(fd);
    assert_int_equal(socket_new(-1), -EAFNOSUPPORT);
    struct rlimit old = limit_fds(0);
    fd = socket_new(AF_INET);
    put_limit_back(old);
    assert_int_equal(fd, -EMFILE);
}

/* Lets the poller report what there is. */
static void poll_events(void)
{
    assert_int_equal(tepal_sleep_ms(0), 0);
    assert_int_equal(tepal_sleep_ms(0), 0);
}

static int read_states(void *arg)
{
    tepal_conn *ends[2];
    char buffer[100];
    connect_conns(*(int *)arg, ends);
    struct io *io = &ends[0]->io;
    assert_int_equal(io->state, IO_WRITE); /* before the poller has said anything */
    assert_int_equal(conn_try_read(ends[0], buffer, 100), -EAGAIN);
    assert_int_equal(tepal_conn_write(ends[1], "abcdef", 6), 0);
    assert_int_equal(conn_wait_read(ends[0], TEPAL_NEVER), 0);
    assert_int_equal(conn_try_read(ends[0], buffer, 4), 4);
    assert_true(io->state & IO_READ); /* there may be more */
    assert_int_equal(conn_try_read(ends[0], buffer, 100), 2);
    assert_false(io->state & IO_READ); /* that was all: it costs no second call */
    assert_int_equal(tepal_conn_write(ends[1], "abcd", 4), 0);
    assert_int_equal(conn_wait_read(ends[0], TEPAL_NEVER), 0);
    assert_int_equal(conn_try_read(ends[0], buffer, 4), 4);
    assert_true(io->state & IO_READ);
    assert_int_equal(conn_try_read(ends[0], buffer, 4), -EAGAIN);
    assert_false(io->state & IO_READ);
    tepal_conn_close(ends[0]);
    tepal_conn_close(ends[1]);
    return 0;
}

static void reading(void **state)
{
    (void)state;
    each_family(read_states);
}

/* The trap of edges: data and the end come in one event, the read takes the data, and no second
 * event will ever tell of the end. */
static int end_with_data(void *arg)
{
    for (int wait_first = 0; wait_first < 2; wait_first++) {
        tepal_conn *ends[2];
        char buffer[100];
        connect_conns(*(int *)arg, ends);
        poll_events();
        assert_int_equal(tepal_conn_write(ends[1], "last", 4), 0);
        if (wait_first) { /* two events */
            assert_int_equal(conn_wait_read(ends[0], TEPAL_NEVER), 0);
            assert_false(ends[0]->io.state & IO_EOF);
        }
        assert_int_equal(tepal_conn_shutdown(ends[1]), 0);
        while (!(ends[0]->io.state & IO_EOF))
            assert_int_equal(tepal_sleep_ms(1), 0);
        assert_int_equal(tepal_conn_read(ends[0], buffer, 100), 4);
        assert_int_equal(tepal_conn_read(ends[0], buffer, 100), 0);
        assert_int_equal(tepal_conn_read(ends[0], buffer, 100), 0); /* and so on */
        tepal_conn_close(ends[0]);
        tepal_conn_close(ends[1]);
    }
    return 0;
}

static void the_end_together_with_data(void **state)
{
    (void)state;
    each_family(end_with_data);
}

static int write_states(void *arg)
{
    static char data[1 << 20];
    tepal_conn *ends[2];
    connect_conns(*(int *)arg, ends);
    struct io *io = &ends[0]->io;
    struct iovec pieces[3] = { { data, 10 }, { data, 0 }, { data, 20 } };
    assert_int_equal(ends[0]->ops->writev(ends[0], pieces, 1), 10);
    assert_int_equal(ends[0]->ops->writev(ends[0], pieces, 3), 30);
    struct iovec large = { data, sizeof(data) };
    ssize_t n;
    while ((n = ends[0]->ops->writev(ends[0], &large, 1)) > 0)
        continue;
    assert_int_equal(n, -EAGAIN);
    assert_false(io->state & IO_WRITE);
    assert_int_equal(ends[0]->ops->writev(ends[0], pieces, 3), -EAGAIN);
    while (!(io->state & IO_WRITE)) { /* the poller tells when there is room again */
        n = conn_try_read(ends[1], data, sizeof(data));
        assert_true(n > 0 || n == -EAGAIN);
        assert_int_equal(tepal_sleep_ms(1), 0);
    }
    tepal_conn_close(ends[0]);
    tepal_conn_close(ends[1]);
    return 0;
}

static void writing(void **state)
{
    (void)state;
    each_family(write_states);
}

static int write_to_nobody(void *arg)
{
    static char data[100];
    struct iovec pieces[2] = { { data, 10 }, { data, 10 } };
    int64_t offset = 0;
    char name[] = "/tmp/tepal-test-XXXXXX";
    int file = mkstemp(name);
    unlink(name);
    assert_int_equal(write(file, data, sizeof(data)), sizeof(data));
    tepal_conn *ends[2];
    connect_conns(*(int *)arg, ends);
    tepal_conn_close(ends[1]);
    while (!(ends[0]->io.state & IO_EOF))
        assert_int_equal(tepal_sleep_ms(1), 0);
    int n;
    for (n = 0; n < 10 && ends[0]->ops->writev(ends[0], pieces, 1) >= 0; n++)
        assert_int_equal(tepal_sleep_ms(1), 0); /* TCP learns of it by the first one */
    /* None of them ends the program by SIGPIPE. */
    assert_int_equal(ends[0]->ops->writev(ends[0], pieces, 1), -EPIPE);
    assert_int_equal(ends[0]->ops->writev(ends[0], pieces, 2), -EPIPE);
    assert_int_equal(ends[0]->ops->sendfile(ends[0], file, &offset, 50), -EPIPE);
    sigset_t pending;
    assert_int_equal(sigpending(&pending), 0);
    assert_int_equal(sigismember(&pending, SIGPIPE), 0);
    tepal_conn_close(ends[0]);
    close(file);
    return 0;
}

static void no_signal_from_a_peer_that_is_gone(void **state)
{
    (void)state;
    signal(SIGPIPE, SIG_DFL);
    each_family(write_to_nobody);
    sigset_t mask;
    assert_int_equal(sigprocmask(SIG_SETMASK, NULL, &mask), 0);
    assert_int_equal(sigismember(&mask, SIGPIPE), 0);
}

static int reset_states(void *arg)
{
    char buffer[10];
    int fds[2];
    (void)arg;
    connect_fds(AF_INET, fds);
    tepal_conn *conn = open_conn(fds[0]);
    reset_fd(fds[1]);
    assert_int_equal(conn_wait_read(conn, TEPAL_NEVER), 0);
    assert_true(conn->io.state & IO_HUP);
    assert_int_equal(conn_try_read(conn, buffer, 10), -ECONNRESET);
    tepal_conn_close(conn);
    return 0;
}

static void resets(void **state)
{
    (void)state;
    assert_int_equal(run(reset_states, NULL), 0);
}

static int open_and_close(void *arg)
{
    tepal_conn conn;
    int fds[2];
    connect_fds(AF_UNIX, fds);
    assert_int_equal(conn_open_socket(&conn, loop_current, fds[0]), 0);
    conn_close(&conn);
    assert_int_equal(conn.io.fd, -1);
    conn_close(&conn); /* once more: nothing */
    assert_true(fcntl(fds[0], F_GETFD) < 0);
    close(fds[1]);
    assert_int_equal(conn_open_socket(&conn, loop_current, fds[1]), -EBADF);
    (void)arg;
    return 0;
}

static void embedded_conns(void **state)
{
    (void)state;
    assert_int_equal(run(open_and_close, NULL), 0);
}

/* --- What a connection says of itself --------------------------------------------------------- */

static int addresses(void *arg)
{
    tepal_conn *ends[2];
    tepal_addr local, peer;
    for (int i = 0; i < 2; i++) {
        connect_conns(families[i], ends);
        assert_int_equal(tepal_conn_local_addr(ends[0], &local), 0);
        assert_int_equal(tepal_conn_peer_addr(ends[1], &peer), 0);
        assert_int_equal(local.family, families[i]);
        assert_int_equal(peer.family, families[i]);
        assert_int_equal(tepal_addr_equal(&local, &peer), families[i] == AF_INET);
        assert_int_equal(tepal_conn_fd(ends[0]), ends[0]->io.fd);
        tepal_conn_abort(ends[0]);
        settle();
        if (families[i] == AF_INET)
            assert_int_equal(tepal_conn_peer_addr(ends[1], &peer), -ENOTCONN);
        tepal_conn_close(ends[1]);
    }
    (void)arg;
    return 0;
}

static void own_and_peer_address(void **state)
{
    (void)state;
    assert_int_equal(run(addresses, NULL), 0);
}

static int option_of(const tepal_conn *conn, int level, int option)
{
    int value = -1;
    socklen_t size = sizeof(value);
    assert_int_equal(getsockopt(tepal_conn_fd(conn), level, option, &value, &size), 0);
    return value;
}

static int keepalive(void *arg)
{
    static const struct {
        tepal_keepalive options;
        int rc, idle, interval, count;
    } rows[] = {
        { { 0 }, 0, 60, 15, 4 },
        { { .idle_s = 7 }, 0, 7, 15, 4 },
        { { .interval_s = 3, .count = 9 }, 0, 60, 3, 9 },
        { { .idle_s = -1 }, -EINVAL, 0, 0, 0 },
        { { .interval_s = 1 << 20 }, -EINVAL, 0, 0, 0 },
        { { .count = 1000 }, -EINVAL, 0, 0, 0 },
    };
    tepal_conn *ends[2];
    connect_conns(AF_INET, ends);
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        assert_int_equal(tepal_conn_set_keepalive(ends[0], &rows[i].options), rows[i].rc);
        if (rows[i].rc < 0)
            continue;
        assert_int_equal(option_of(ends[0], SOL_SOCKET, SO_KEEPALIVE), 1);
        assert_int_equal(option_of(ends[0], IPPROTO_TCP, TCP_KEEPIDLE), rows[i].idle);
        assert_int_equal(option_of(ends[0], IPPROTO_TCP, TCP_KEEPINTVL), rows[i].interval);
        assert_int_equal(option_of(ends[0], IPPROTO_TCP, TCP_KEEPCNT), rows[i].count);
    }
    assert_int_equal(tepal_conn_set_keepalive(ends[0], NULL), 0);
    assert_int_equal(option_of(ends[0], IPPROTO_TCP, TCP_KEEPIDLE), 60);
    tepal_conn_close(ends[0]);
    tepal_conn_close(ends[1]);
    connect_conns(AF_UNIX, ends);
    assert_int_equal(tepal_conn_set_keepalive(ends[0], NULL), -EOPNOTSUPP);
    tepal_conn_close(ends[0]);
    tepal_conn_close(ends[1]);
    (void)arg;
    return 0;
}

static void silent_peers_are_probed(void **state)
{
    (void)state;
    assert_int_equal(run(keepalive, NULL), 0);
}

/* The system gives up: not to be taken for a deadline of the task's. */
static int write_to_a_silent_peer(void *arg)
{
    static char data[1 << 20];
    int fds[2], rc = 0, ms = 100;
    char octet;
    connect_fds(AF_INET, fds);
    tepal_conn *conn = open_conn(fds[0]);
    assert_int_equal(setsockopt(fds[0], IPPROTO_TCP, TCP_USER_TIMEOUT, &ms, sizeof(ms)), 0);
    while (rc == 0)
        rc = tepal_conn_write(conn, data, sizeof(data));
    assert_int_equal(rc, TEPAL_ESILENT);
    assert_int_equal(tepal_conn_write(conn, data, 1), -EPIPE);
    assert_int_equal(tepal_conn_read(conn, &octet, 1), 0);
    tepal_conn_close(conn);
    close(fds[1]);
    (void)arg;
    return 0;
}

static void the_system_gives_up(void **state)
{
    (void)state;
    assert_int_equal(run(write_to_a_silent_peer, NULL), 0);
}

static int open_fds(void *arg)
{
    tepal_conn *conn = arg;
    char buffer[16];
    int fds[2], family = *(int *)arg;
    connect_fds(family, fds);
    assert_int_equal(fcntl(fds[0], F_SETFL, 0), 0);
    assert_int_equal(write(fds[1], "hello", 5), 5); /* before it is watched */
    mem_fail_nth(1, 0);
    assert_int_equal(tepal_conn_open_fd(&conn, fds[0]), -ENOMEM);
    mem_fail_nth(0, 0);
    assert_int_equal(fcntl(fds[0], F_GETFL) & O_NONBLOCK, 0); /* as it was */
    assert_int_equal(socket_option(fds[0], SO_KEEPALIVE), 0);
    assert_int_equal(tepal_conn_open_fd(&conn, fds[0]), 0);
    assert_int_equal(tepal_conn_read(conn, buffer, 16), 5);
    assert_int_equal(tepal_conn_write(conn, "hi", 2), 0);
    assert_int_equal(read(fds[1], buffer, 16), 2);
    tepal_conn *again = arg;
    assert_int_equal(tepal_conn_open_fd(&again, fds[0]), -EEXIST);
    tepal_conn_close(conn);
    close(fds[1]);
    assert_int_equal(tepal_conn_open_fd(&again, fds[1]), -EBADF);
    int datagrams = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    int alone = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(tepal_conn_open_fd(&again, datagrams), -ESOCKTNOSUPPORT);
    assert_int_equal(tepal_conn_open_fd(&again, alone), -ENOTCONN);
    assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
    assert_int_equal(tepal_conn_open_fd(&again, fds[0]), -ENOTSOCK);
    assert_ptr_equal(again, arg);
    close(datagrams);
    close(alone);
    close(fds[0]);
    close(fds[1]);
    return 0;
}

static void sockets_of_the_program(void **state)
{
    (void)state;
    each_family(open_fds);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(options_of_new_sockets),
        cmocka_unit_test(reading),
        cmocka_unit_test(the_end_together_with_data),
        cmocka_unit_test(writing),
        cmocka_unit_test(no_signal_from_a_peer_that_is_gone),
        cmocka_unit_test(resets),
        cmocka_unit_test(embedded_conns),
        cmocka_unit_test(own_and_peer_address),
        cmocka_unit_test(silent_peers_are_probed),
        cmocka_unit_test(the_system_gives_up),
        cmocka_unit_test(sockets_of_the_program),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
