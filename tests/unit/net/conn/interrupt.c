/* Tests of calls that another task interrupts: they return -EINTR, nothing is lost, and the socket
 * is used as before. */
#include "../tls_check.h"

#include "net/conn/buffers.h"

#include <tepal/udp.h>

static tepal_conn *ends[2];
static char large[4 << 20];

/* --- Reading ---------------------------------------------------------------------------------- */

static int read_some(void *arg)
{
    char buffer[100];
    (void)arg;
    return (int)tepal_conn_read(ends[0], buffer, sizeof(buffer));
}

static int read_exactly(void *arg)
{
    char buffer[100];
    (void)arg;
    return tepal_conn_read_exactly(ends[0], buffer, sizeof(buffer));
}

static int read_much(void *arg)
{
    (void)arg;
    return tepal_conn_read_exactly(ends[0], large, sizeof(large));
}

static int read_line(void *arg)
{
    char *line;
    (void)arg;
    return (int)tepal_conn_read_line(ends[0], 100, &line);
}

static int read_until(void *arg)
{
    char *data;
    (void)arg;
    return (int)tepal_conn_read_until(ends[0], "xy", 2, 100, &data);
}

static int peek(void *arg)
{
    const char *data;
    (void)arg;
    return (int)tepal_conn_peek(ends[0], 100, &data);
}

static int receive_fds(void *arg)
{
    char buffer[10];
    int fd;
    size_t n = 1;
    (void)arg;
    return (int)tepal_conn_receive_fds(ends[0], buffer, sizeof(buffer), &fd, &n);
}

static tepal_task_fn *const readers[] = { read_some,  read_exactly, read_much,  read_line,
                                          read_until, peek,         receive_fds };

/* One that waits; and one that was woken, and has not run since. */
static void interrupt_reader(tepal_task_fn *fn, bool woken)
{
    bool buffers = fn != read_some && fn != receive_fds;
    tepal_group *group = tepal_group_new();
    assert_int_equal(tepal_spawn(group, fn, NULL, NULL), 0);
    settle();
    if (buffers) {
        assert_int_equal(tepal_conn_write(ends[1], "abc", 3), 0);
        settle();
    }
    if (woken) {
        assert_int_equal(tepal_conn_write(ends[1], "de", 2), 0);
        ends[0]->io.state |= IO_READ;
        conn_on_event(&ends[0]->io);
        assert_false(ends[0]->io.reader->waiting);
    }
    assert_false(tepal_conn_interrupt_writers(ends[0]));
    assert_true(tepal_conn_interrupt_reader(ends[0]));
    assert_true(tepal_conn_interrupt_reader(ends[0])); /* it has not returned yet */
    assert_int_equal(tepal_group_wait(group), -EINTR);
    tepal_group_close(group);
    assert_null(ends[0]->io.reader);
    assert_false(tepal_conn_interrupt_reader(ends[0])); /* and the next call knows nothing of it */
    char buffer[100], all[100] = "";
    size_t want = (buffers ? 3u : 0u) + (woken ? 2u : 0u), len = 0;
    while (len < want) {
        ssize_t n = tepal_conn_read(ends[0], buffer, sizeof(buffer));
        assert_true(n > 0);
        memcpy(all + len, buffer, (size_t)n);
        len += (size_t)n;
    }
    assert_memory_equal(all, buffers ? "abcde" : "de", want);
}

static int interrupt_readers(void *arg)
{
    int family = *(int *)arg;
    for (size_t i = 0; i < sizeof(readers) / sizeof(readers[0]); i++) {
        if (family == AF_UNIX)
            assert_int_equal(tepal_conn_open_pair(&ends[0], &ends[1]), 0);
        else
            connect_conns(family, ends);
        if (readers[i] != receive_fds || family == AF_UNIX) {
            interrupt_reader(readers[i], false);
            interrupt_reader(readers[i], true);
        }
        tepal_conn_close(ends[0]);
        tepal_conn_close(ends[1]);
    }
    return 0;
}

static void readers_are_interrupted(void **state)
{
    (void)state;
    int families[] = { AF_INET, AF_UNIX };
    for (int i = 0; i < 2; i++)
        assert_int_equal(run(interrupt_readers, &families[i]), 0);
}

/* A cancellation goes first, and a deadline that has come; the interruption is forgotten. */
static int interrupt_late(void *arg)
{
    (void)arg;
    assert_int_equal(tepal_conn_open_pair(&ends[0], &ends[1]), 0);
    for (int late = 0; late < 2; late++) {
        tepal_group *group = tepal_group_new();
        assert_int_equal(tepal_spawn(group, read_line, NULL, NULL), 0);
        settle();
        if (late)
            task_wake(ends[0]->io.reader, -ETIMEDOUT);
        else
            tepal_group_cancel(group);
        assert_true(tepal_conn_interrupt_reader(ends[0]));
        assert_int_equal(tepal_group_wait(group), late ? -ETIMEDOUT : -ECANCELED);
        tepal_group_close(group);
        assert_int_equal(tepal_conn_write(ends[1], "abc\n", 4), 0);
        assert_int_equal(read_line(NULL), 3);
    }
    tepal_conn_close(ends[0]);
    tepal_conn_close(ends[1]);
    return 0;
}

static void a_cancellation_goes_first(void **state)
{
    (void)state;
    assert_int_equal(run(interrupt_late, NULL), 0);
}

/* A supervisor that interrupts and closes at once. */
static int interrupt_and_close(void *arg)
{
    (void)arg;
    for (size_t i = 0; i < sizeof(readers) / sizeof(readers[0]); i++) {
        assert_int_equal(tepal_conn_open_pair(&ends[0], &ends[1]), 0);
        tepal_group *group = tepal_group_new();
        assert_int_equal(tepal_spawn(group, readers[i], NULL, NULL), 0);
        settle();
        assert_true(tepal_conn_interrupt_reader(ends[0]));
        tepal_conn_close(ends[0]);
        assert_int_equal(tepal_group_wait(group), -ECANCELED);
        tepal_group_close(group);
        tepal_conn_close(ends[1]);
    }
    return 0;
}

static void a_close_goes_first(void **state)
{
    (void)state;
    assert_int_equal(run(interrupt_and_close, NULL), 0);
}

/* --- Writing ---------------------------------------------------------------------------------- */

static int write_large(void *arg)
{
    (void)arg;
    return tepal_conn_write(ends[0], large, sizeof(large));
}

static int write_name(void *arg)
{
    return tepal_conn_write(ends[0], arg, 1);
}

static int put_name(void *arg)
{
    return tepal_conn_put(ends[0], arg, 1);
}

static int drain(void *arg)
{
    (void)arg;
    return tepal_conn_drain(ends[0]);
}

static bool has_written;

static int write_late(void *arg)
{
    int rc = tepal_conn_write(ends[0], arg, 1);
    has_written = true;
    return rc;
}

/* Reads what has come by now. */
static size_t read_available(tepal_conn *conn)
{
    static char buffer[1 << 16];
    size_t len = 0;
    ssize_t n = 1;
    settle();
    while (n > 0 && (conn->io.state & IO_READ)) {
        n = conn_try_read(conn, buffer, sizeof(buffer));
        assert_true(n > 0 || n == -EAGAIN);
        len += n > 0 ? (size_t)n : 0;
    }
    return len;
}

/* The one that writes, and those that wait for their turn; who comes later writes. */
static int interrupt_all_writers(void *arg)
{
    connect_conns(*(int *)arg, ends);
    limit_buffers(ends[0]);
    limit_buffers(ends[1]);
    tepal_group *first = tepal_group_new(), *others = tepal_group_new(), *late = tepal_group_new();
    assert_int_equal(tepal_spawn(first, write_large, NULL, NULL), 0);
    settle();
    assert_int_equal(tepal_spawn(others, write_name, "a", NULL), 0);
    assert_int_equal(tepal_spawn(others, put_name, "b", NULL), 0);
    settle();
    assert_false(tepal_conn_interrupt_reader(ends[0]));
    assert_true(tepal_conn_interrupt_writers(ends[0]));
    has_written = false;
    assert_int_equal(tepal_spawn(late, write_late, "z", NULL), 0);
    assert_int_equal(tepal_group_wait(first), -EINTR);
    assert_int_equal(tepal_group_wait(others), -EINTR);
    size_t len = 0;
    while (!has_written) /* it waits for room only */
        len += read_available(ends[1]);
    assert_int_equal(tepal_group_wait(late), 0);
    assert_true(len < sizeof(large));
    assert_false(tepal_conn_interrupt_writers(ends[0]));
    assert_int_equal(tepal_conn_write(ends[0], "more", 4), 0);
    tepal_group_close(first);
    tepal_group_close(others);
    tepal_group_close(late);
    tepal_conn_close(ends[0]);
    tepal_conn_close(ends[1]);
    return 0;
}

/* One whose turn has come, and that has not run since: although it need not wait to write. */
static int interrupt_the_next(void *arg)
{
    (void)arg;
    assert_int_equal(tepal_conn_open_pair(&ends[0], &ends[1]), 0);
    tepal_group *first = tepal_group_new(), *second = tepal_group_new(), *third = tepal_group_new();
    assert_int_equal(tepal_spawn(first, write_large, NULL, NULL), 0);
    settle();
    assert_int_equal(tepal_spawn(second, put_name, "a", NULL), 0);
    settle();
    tepal_group_cancel(first);
    assert_int_equal(tepal_sleep_ms(0), 0); /* it leaves, before the second one runs */
    assert_non_null(ends[0]->buffers->writers.next);
    assert_true(tepal_conn_interrupt_writers(ends[0]));
    assert_int_equal(tepal_spawn(third, put_name, "b", NULL), 0);
    assert_int_equal(tepal_group_wait(second), -EINTR);
    assert_int_equal(tepal_group_wait(third), 0);
    assert_int_equal(octets_len(&ends[0]->buffers->out), 1);
    tepal_group_close(first);
    tepal_group_close(second);
    tepal_group_close(third);
    tepal_conn_close(ends[0]);
    tepal_conn_close(ends[1]);
    return 0;
}

/* What was put stays. */
static int interrupt_a_drain(void *arg)
{
    connect_conns(*(int *)arg, ends);
    limit_buffers(ends[0]);
    limit_buffers(ends[1]);
    assert_int_equal(tepal_conn_set_max_output(ends[0], sizeof(large)), 0);
    assert_int_equal(tepal_conn_put(ends[0], large, sizeof(large)), 0);
    tepal_group *group = tepal_group_new();
    assert_int_equal(tepal_spawn(group, drain, NULL, NULL), 0);
    settle();
    assert_true(tepal_conn_interrupt_writers(ends[0]));
    assert_int_equal(tepal_group_wait(group), -EINTR);
    tepal_group_close(group);
    group = tepal_group_new();
    assert_int_equal(tepal_spawn(group, drain, NULL, NULL), 0);
    size_t len = 0;
    while (len < sizeof(large))
        len += read_available(ends[1]);
    assert_int_equal(len, sizeof(large));
    assert_int_equal(tepal_group_wait(group), 0);
    tepal_group_close(group);
    tepal_conn_close(ends[0]);
    tepal_conn_close(ends[1]);
    return 0;
}

static void writers_are_interrupted(void **state)
{
    (void)state;
    int families[] = { AF_INET, AF_UNIX };
    for (int i = 0; i < 2; i++) {
        assert_int_equal(run(interrupt_all_writers, &families[i]), 0);
        assert_int_equal(run(interrupt_a_drain, &families[i]), 0);
    }
    assert_int_equal(run(interrupt_the_next, NULL), 0);
}

/* --- TLS -------------------------------------------------------------------------------------- */

static int shut_down(void *arg)
{
    (void)arg;
    return tepal_conn_shutdown(ends[0]);
}

/* A reader, and then a writer: the peer reads whole records, and what is written later. */
static int interrupt_tls(void *arg)
{
    static char buffer[sizeof(large)];
    struct pair pair;
    tepal_tls *server = new_server("server"), *client = new_client();
    (void)arg;
    open_pair(&pair, client, server, "localhost");
    expect_secure(&pair);
    for (int i = 0; i < 2; i++)
        ends[i] = pair.ends[i].conn;
    for (size_t i = 0; i < sizeof(readers) / sizeof(readers[0]); i++) {
        if (readers[i] == receive_fds)
            continue;
        interrupt_reader(readers[i], false);
    }
    for (size_t i = 0; i < sizeof(large); i++)
        large[i] = (char)(i % 251);
    tepal_group *group = tepal_group_new();
    assert_int_equal(tepal_spawn(group, write_large, NULL, NULL), 0);
    settle();
    assert_true(tepal_conn_interrupt_writers(ends[0]));
    assert_int_equal(tepal_group_wait(group), -EINTR);
    assert_true(conn_is_holding(ends[0]));
    tepal_group_close(group);
    group = tepal_group_new();
    assert_int_equal(tepal_spawn(group, write_name, "z", NULL), 0);
    assert_int_equal(tepal_spawn(group, shut_down, NULL, NULL), 0);
    size_t len = 0;
    ssize_t n;
    while ((n = tepal_conn_read(ends[1], buffer + len, sizeof(buffer) - len)) > 0)
        len += (size_t)n;
    assert_int_equal(n, 0); /* a proper end */
    assert_true(len > 1 && len < sizeof(large));
    assert_memory_equal(buffer, large, len - 1);
    assert_int_equal(buffer[len - 1], 'z');
    assert_int_equal(tepal_group_wait(group), 0);
    tepal_group_close(group);
    close_pair(&pair);
    tepal_tls_close(server);
    tepal_tls_close(client);
    return 0;
}

/* By either call, whatever the handshake waits for. */
static int interrupt_handshake(void *arg)
{
    bool by_writers = *(bool *)arg;
    tepal_tls *server = new_server("server");
    connect_conns(AF_UNIX, ends);
    struct handshake h = { .conn = ends[0], .tls = server };
    tepal_group *group = tepal_group_new();
    assert_int_equal(tepal_spawn(group, handshake_main, &h, NULL), 0);
    settle();
    assert_true(by_writers ? tepal_conn_interrupt_writers(ends[0])
                           : tepal_conn_interrupt_reader(ends[0]));
    assert_int_equal(tepal_group_wait(group), 0);
    assert_int_equal(h.result, -EINTR);
    assert_int_equal(read_some(NULL), TEPAL_ETLS); /* it can only be closed */
    assert_int_equal(tepal_spawn(group, handshake_main, &h, NULL), 0);
    assert_int_equal(tepal_group_wait(group), 0);
    tepal_conn_close(ends[0]);
    tepal_conn_close(ends[1]);
    /* And one that is closed meanwhile. */
    connect_conns(AF_UNIX, ends);
    h.conn = ends[0];
    assert_int_equal(tepal_spawn(group, handshake_main, &h, NULL), 0);
    settle();
    tepal_conn_close(ends[0]);
    assert_int_equal(tepal_group_wait(group), 0);
    assert_int_equal(h.result, -ECANCELED);
    tepal_group_close(group);
    tepal_conn_close(ends[1]);
    tepal_tls_close(server);
    return 0;
}

static void encrypted_ones_are_interrupted(void **state)
{
    (void)state;
    assert_int_equal(run(interrupt_tls, NULL), 0);
    for (int i = 0; i < 2; i++)
        assert_int_equal(run(interrupt_handshake, &(bool){ i }), 0);
}

/* --- Listeners -------------------------------------------------------------------------------- */

static tepal_listener *listener;

static int accept_one(void *arg)
{
    tepal_conn *conn;
    int rc = tepal_listener_open_conn(listener, &conn);
    if (rc == 0)
        tepal_conn_close(conn);
    (void)arg;
    return rc;
}

static void open_listener(void)
{
    tepal_listener_options where = { .host = "127.0.0.1", .port = TEPAL_ANY_PORT };
    assert_int_equal(tepal_listener_open(&listener, &where), 0);
}

static int interrupt_accept(void *arg)
{
    tepal_conn *conn;
    (void)arg;
    open_listener();
    tepal_group *group = tepal_group_new();
    assert_false(tepal_listener_interrupt(listener));
    for (int woken = 0; woken < 2; woken++) {
        assert_int_equal(tepal_spawn(group, accept_one, NULL, NULL), 0);
        settle();
        if (woken)
            listener->sockets[0].io.fn(&listener->sockets[0].io);
        assert_true(tepal_listener_interrupt(listener));
        assert_int_equal(tepal_group_wait(group), -EINTR);
        tepal_group_close(group);
        group = tepal_group_new();
    }
    assert_int_equal(tepal_conn_open(&conn, "127.0.0.1", tepal_listener_port(listener), NULL), 0);
    assert_int_equal(accept_one(NULL), 0);
    tepal_conn_close(conn);
    tepal_group_close(group);
    tepal_listener_close(listener);
    return 0;
}

static void an_accept_is_interrupted(void **state)
{
    (void)state;
    assert_int_equal(run(interrupt_accept, NULL), 0);
}

static int n_served;

static void serve_one(tepal_conn *conn, void *arg)
{
    char octet;
    while (tepal_conn_read(conn, &octet, 1) > 0)
        n_served++;
    (void)arg;
}

static int serve(void *arg)
{
    tepal_listener_serve_options options = { .max_connections = 1, .shutdown_timeout_ms = 60000 };
    (void)arg;
    return tepal_listener_serve(listener, serve_one, NULL, &options);
}

/* While it accepts, while there are too many connections, and before its task has begun. */
static int interrupt_serving(void *arg)
{
    int when = *(int *)arg / 2;
    bool close = *(int *)arg % 2;
    tepal_conn *conn = NULL;
    open_listener();
    uint16_t port = tepal_listener_port(listener);
    tepal_group *group = tepal_group_new();
    n_served = 0;
    assert_int_equal(tepal_spawn(group, serve, NULL, NULL), 0);
    if (when == 0)
        assert_int_equal(tepal_sleep_ms(0), 0); /* the acceptor was spawned, and has not run */
    else
        settle();
    if (when == 2) {
        assert_int_equal(tepal_conn_open(&conn, "127.0.0.1", port, NULL), 0);
        assert_int_equal(tepal_conn_write(conn, "x", 1), 0);
        while (n_served == 0)
            assert_int_equal(tepal_sleep_ms(1), 0);
    }
    assert_int_equal(serve(NULL), -EBUSY);
    if (close)
        tepal_listener_close(listener);
    else
        assert_true(tepal_listener_interrupt(listener));
    if (conn) { /* the connections go on to their end */
        settle();
        assert_int_equal(tepal_conn_write(conn, "x", 1), 0);
        assert_int_equal(tepal_conn_shutdown(conn), 0);
    }
    assert_int_equal(tepal_group_wait(group), 0);
    assert_int_equal(n_served, conn ? 2 : 0);
    tepal_group_close(group);
    tepal_conn_close(conn);
    if (!close) {
        assert_false(tepal_listener_interrupt(listener));
        tepal_listener_close(listener);
    }
    return 0;
}

static void serving_is_interrupted(void **state)
{
    (void)state;
    for (int i = 0; i < 6; i++)
        assert_int_equal(run(interrupt_serving, &i), 0);
}

/* --- Datagrams -------------------------------------------------------------------------------- */

static tepal_udp *sockets[2];

static int receive(void *arg)
{
    char octet;
    (void)arg;
    return (int)tepal_udp_receive(sockets[1], &octet, 1, NULL);
}

static int receive_all(void *arg)
{
    char octet;
    tepal_datagram datagram = { .data = &octet, .size = 1 };
    (void)arg;
    return (int)tepal_udp_receive_all(sockets[1], &datagram, 1);
}

static int send_for_ever(void *arg)
{
    int rc;
    do
        rc = tepal_udp_send(sockets[0], NULL, arg, 1);
    while (rc == 0);
    return rc;
}

static int interrupt_udp(void *arg)
{
    char name[64];
    tepal_task_fn *receivers[] = { receive, receive_all };
    (void)arg;
    snprintf(name, sizeof(name), "@tepal-interrupt-%d", (int)getpid());
    assert_int_equal(tepal_udp_open(&sockets[1], &(tepal_udp_options){ .path = name }), 0);
    assert_int_equal(tepal_udp_open(&sockets[0], &(tepal_udp_options){ .peer_path = name }), 0);
    assert_false(tepal_udp_interrupt_receiver(sockets[1]));
    assert_false(tepal_udp_interrupt_senders(sockets[0]));
    for (int i = 0; i < 2; i++) {
        tepal_group *group = tepal_group_new();
        assert_int_equal(tepal_spawn(group, receivers[i], NULL, NULL), 0);
        settle();
        assert_true(tepal_udp_interrupt_receiver(sockets[1]));
        assert_int_equal(tepal_group_wait(group), -EINTR);
        tepal_group_close(group);
        assert_int_equal(tepal_udp_send(sockets[0], NULL, "x", 1), 0);
        assert_int_equal(receivers[i](NULL), 1);
    }
    tepal_group *first = tepal_group_new(), *second = tepal_group_new();
    assert_int_equal(tepal_spawn(first, send_for_ever, "a", NULL), 0);
    assert_int_equal(tepal_spawn(second, send_for_ever, "b", NULL), 0);
    settle();
    assert_true(tepal_udp_interrupt_senders(sockets[0]));
    assert_int_equal(tepal_group_wait(first), -EINTR);
    assert_int_equal(tepal_group_wait(second), -EINTR);
    assert_int_equal(receive(NULL), 1);
    assert_int_equal(tepal_udp_send(sockets[0], NULL, "x", 1), 0);
    tepal_group_close(first);
    tepal_group_close(second);
    tepal_udp_close(sockets[0]);
    tepal_udp_close(sockets[1]);
    return 0;
}

static void datagrams_are_interrupted(void **state)
{
    (void)state;
    assert_int_equal(run(interrupt_udp, NULL), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(readers_are_interrupted),
        cmocka_unit_test(a_cancellation_goes_first),
        cmocka_unit_test(a_close_goes_first),
        cmocka_unit_test(writers_are_interrupted),
        cmocka_unit_test(encrypted_ones_are_interrupted),
        cmocka_unit_test(an_accept_is_interrupted),
        cmocka_unit_test(serving_is_interrupted),
        cmocka_unit_test(datagrams_are_interrupted),
    };
    return cmocka_run_group_tests(tests, make_certificates, remove_certificates);
}
