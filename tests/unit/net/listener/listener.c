/* Tests of listeners: opening them, accepting, resting when descriptors run out, and pausing. */
#include "../folder.h"
#include "../sockets.h"

#include <sys/stat.h>
#include <tepal/log.h>

static int n_warnings;

static void count_warnings(tepal_log_level level, const char *text, void *arg)
{
    (void)arg;
    assert_int_equal(level, TEPAL_LOG_WARNING);
    assert_non_null(strstr(text, "accepting pauses"));
    n_warnings++;
}

static int setup(void **state)
{
    tepal_log_set_fn(count_warnings, NULL);
    return make_folder(state);
}

static int teardown(void **state)
{
    tepal_log_set_fn(NULL, NULL);
    return remove_folder(state);
}

static tepal_listener *listen_local(void)
{
    tepal_listener *listener = NULL;
    tepal_listener_options options = { .host = "127.0.0.1", .port = TEPAL_ANY_PORT };
    assert_int_equal(tepal_listener_open(&listener, &options), 0);
    return listener;
}

/* A plain connection to the listener; the peer that blocks. */
static int connect_plain(const tepal_listener *listener, const char *host)
{
    struct addr addr;
    if (listener->file.path)
        assert_int_equal(addr_from_path(&addr, listener->file.path), 0);
    else
        assert_int_equal(addr_from_ip(&addr, host, tepal_listener_port(listener)), 0);
    int fd = socket(addr.sa.sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(fd >= 0);
    assert_int_equal(connect(fd, &addr.sa, addr.len), 0);
    return fd;
}

static void talk(tepal_listener *listener, const char *host)
{
    char buffer[10];
    tepal_conn *conn = NULL;
    int peer = connect_plain(listener, host);
    assert_int_equal(tepal_listener_open_conn(listener, &conn), 0);
    assert_int_equal(write(peer, "hello", 5), 5);
    assert_int_equal(tepal_conn_read(conn, buffer, sizeof(buffer)), 5);
    assert_int_equal(tepal_conn_write(conn, "hi", 2), 0);
    assert_int_equal(read(peer, buffer, sizeof(buffer)), 2);
    tepal_conn_close(conn);
    close(peer);
}

static bool has_ipv6(void)
{
    struct addr addr;
    assert_int_equal(addr_from_ip(&addr, "::1", 0), 0);
    int fd = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0);
    bool has = fd >= 0 && bind(fd, &addr.sa, addr.len) == 0;
    if (fd >= 0)
        close(fd);
    return has;
}

/* --- Opening ---------------------------------------------------------------------------------- */

static int listen_tcp(void *arg)
{
    static const char *const hosts[] = { "127.0.0.1", "localhost", "::1", NULL };
    for (int i = 0; i < 4; i++) {
        tepal_listener *listener = NULL;
        if (i == 2 && !has_ipv6())
            continue;
        tepal_listener_options options = { .host = hosts[i], .port = TEPAL_ANY_PORT };
        assert_int_equal(tepal_listener_open(&listener, &options), 0);
        uint16_t port = tepal_listener_port(listener);
        assert_true(port > 0);
        if (i != 2)
            talk(listener, "127.0.0.1");
        if (i >= 2 && has_ipv6())
            talk(listener, "::1"); /* the same port for both families */
        /* It is taken now, */
        tepal_listener *second = (tepal_listener *)arg;
        options.port = port;
        assert_int_equal(tepal_listener_open(&second, &options), -EADDRINUSE);
        assert_ptr_equal(second, arg);
        tepal_listener_close(listener);
        /* and free again, although connections on it have just ended. */
        assert_int_equal(tepal_listener_open(&listener, &options), 0);
        assert_int_equal(tepal_listener_port(listener), port);
        tepal_listener_close(listener);
    }
    return 0;
}

static int share_a_port(void *arg)
{
    tepal_listener *first, *second;
    tepal_listener_options options = { .host = "127.0.0.1",
                                       .port = TEPAL_ANY_PORT,
                                       .reuse_port = true };
    assert_int_equal(tepal_listener_open(&first, &options), 0);
    options.port = tepal_listener_port(first);
    assert_int_equal(tepal_listener_open(&second, &options), 0);
    assert_int_equal(tepal_listener_port(second), options.port);
    tepal_listener_close(first);
    talk(second, "127.0.0.1");
    tepal_listener_close(second);
    (void)arg;
    return 0;
}

static int listen_wrongly(void *arg)
{
    tepal_listener *listener = (tepal_listener *)arg;
    char too_long[200];
    memset(too_long, 'x', sizeof(too_long) - 1);
    too_long[sizeof(too_long) - 1] = '\0';
    const struct {
        tepal_listener_options options;
        int rc;
    } rows[] = {
        { { 0 }, -EINVAL },
        { { .host = "127.0.0.1" }, -EINVAL },
        { { .port = -2 }, -EINVAL },
        { { .port = 65536 }, -EINVAL },
        { { .host = "not a name", .port = TEPAL_ANY_PORT }, TEPAL_ENONAME },
        { { .host = "192.0.2.1", .port = TEPAL_ANY_PORT }, -EADDRNOTAVAIL },
        { { .path = "" }, -ENAMETOOLONG },
        { { .path = too_long }, -ENAMETOOLONG },
        { { .path = "/nowhere/at/all" }, -ENOENT },
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        assert_int_equal(tepal_listener_open(&listener, &rows[i].options), rows[i].rc);
    assert_int_equal(tepal_listener_open(&listener, NULL), -EINVAL);
    assert_ptr_equal(listener, arg);
    tepal_listener_close(NULL);
    return 0;
}

static void over_tcp(void **state)
{
    (void)state;
    assert_int_equal(run(listen_tcp, NULL), 0);
    assert_int_equal(run(share_a_port, NULL), 0);
    assert_int_equal(run(listen_wrongly, NULL), 0);
}

static bool exists(void)
{
    struct stat st;
    return lstat(path, &st) == 0;
}

static int listen_unix(void *arg)
{
    tepal_listener *listener = NULL, *second = (tepal_listener *)arg;
    tepal_listener_options options = { .path = path };
    assert_int_equal(tepal_listener_open(&listener, &options), 0);
    assert_int_equal(tepal_listener_port(listener), 0);
    talk(listener, NULL);
    assert_int_equal(tepal_listener_open(&second, &options),
                     -EADDRINUSE); /* a live one is left alone */
    assert_ptr_equal(second, arg);
    assert_true(exists());
    tepal_conn *probe = NULL; /* that attempt has knocked at the door */
    assert_int_equal(tepal_listener_open_conn(listener, &probe), 0);
    tepal_conn_close(probe);
    talk(listener, NULL);
    tepal_listener_close(listener);
    assert_false(exists()); /* the file goes with the listener */

    /* A socket that a dead process has left behind is replaced, */
    struct addr addr;
    assert_int_equal(addr_from_path(&addr, path), 0);
    int dead = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(dead, &addr.sa, addr.len), 0);
    close(dead);
    assert_true(exists());
    assert_int_equal(tepal_listener_open(&listener, &options), 0);
    talk(listener, NULL);
    tepal_listener_close(listener);
    assert_false(exists());

    /* but never a file, nor another kind of socket. */
    int file = open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
    close(file);
    assert_int_equal(tepal_listener_open(&second, &options), -EADDRINUSE);
    assert_true(exists());
    unlink(path);
    int datagrams = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(datagrams, &addr.sa, addr.len), 0);
    assert_int_equal(tepal_listener_open(&second, &options), -EADDRINUSE);
    assert_true(exists());
    close(datagrams);
    unlink(path);
    return 0;
}

static int listen_abstract(void *arg)
{
    char name[64];
    snprintf(name, sizeof(name), "@tepal-listen-%d", (int)getpid());
    tepal_listener *listener, *second;
    tepal_listener_options options = { .path = name };
    assert_int_equal(tepal_listener_open(&listener, &options), 0);
    assert_int_equal(tepal_listener_open(&second, &options), -EADDRINUSE);
    tepal_conn *client = NULL, *server = NULL;
    assert_int_equal(tepal_conn_open_unix(&client, name), 0);
    assert_int_equal(tepal_listener_open_conn(listener, &server), 0);
    tepal_listener_close(listener);
    char c;
    assert_int_equal(tepal_conn_write(client, "x", 1), 0); /* what was accepted lives on */
    assert_int_equal(tepal_conn_read(server, &c, 1), 1);
    tepal_conn_close(client);
    tepal_conn_close(server);
    assert_int_equal(tepal_listener_open(&listener, &options), 0);
    tepal_listener_close(listener);
    (void)arg;
    return 0;
}

static void over_unix_sockets(void **state)
{
    (void)state;
    assert_int_equal(run(listen_unix, NULL), 0);
    assert_int_equal(run(listen_abstract, NULL), 0);
}

/* --- Accepting in a task ---------------------------------------------------------------------- */

static int accept_endless(void *arg)
{
    tepal_conn *conn = NULL;
    int rc = tepal_listener_open_conn(arg, &conn);
    if (rc == 0)
        tepal_conn_close(conn);
    return rc;
}

static int interrupt(void *arg)
{
    tepal_listener *listener = NULL;
    assert_int_equal(
        tepal_listener_open(&listener, &(tepal_listener_options){ .port = TEPAL_ANY_PORT }), 0);
    expect_interruptible(accept_endless, listener);
    int peer = connect_plain(listener, "127.0.0.1");
    expect_refusal(accept_endless, listener);
    assert_int_equal(accept_endless(listener), 0); /* it was not lost */
    close(peer);
    tepal_group *group = tepal_group_new();
    assert_int_equal(tepal_spawn(group, accept_endless, listener, NULL), 0);
    settle();
    assert_int_equal(accept_endless(listener), -EBUSY); /* a second one */
    tepal_group_close(group);
    tepal_listener_close(listener);
    (void)arg;
    return 0;
}

static int accept_many(void *arg)
{
    enum { N = 200 };
    int peers[N];
    tepal_listener *listener = listen_local();
    for (int i = 0; i < N; i++)
        peers[i] = connect_plain(listener, "127.0.0.1");
    for (int i = 0; i < N; i++)
        assert_int_equal(accept_endless(listener), 0);
    for (int i = 0; i < N; i++)
        close(peers[i]);
    (void)tepal_deadline_in_ms(1);
    assert_int_equal(accept_endless(listener), -ETIMEDOUT); /* no one is left */
    tepal_listener_close(listener);
    (void)arg;
    return 0;
}

static void in_a_task(void **state)
{
    (void)state;
    assert_int_equal(run_fake(interrupt, NULL), 0);
    assert_int_equal(run(accept_many, NULL), 0);
}

/* --- Accepting by function -------------------------------------------------------------------- */

static int accepted[512], n_accepted;

static void on_accept(struct tepal_listener *listener, int fd, const struct addr *peer)
{
    assert_true(fcntl(fd, F_GETFL) & O_NONBLOCK);
    assert_true(fcntl(fd, F_GETFD) & FD_CLOEXEC);
    assert_int_equal(peer->sa.sa_family, listener->file.path ? AF_UNIX : AF_INET);
    accepted[n_accepted++] = fd;
}

static void forget_accepted(void)
{
    for (int i = 0; i < n_accepted; i++)
        close(accepted[i]);
    n_accepted = 0;
}

/* Lets the loop turn until n connections have been accepted. */
static void await_accepted(int n)
{
    while (n_accepted < n)
        assert_int_equal(tepal_sleep_ms(1), 0);
}

static int accept_by_function(void *arg)
{
    enum { N = 300 };
    int peers[N];
    tepal_listener *listener = arg ? NULL : listen_local();
    if (arg)
        assert_int_equal(tepal_listener_open(&listener, &(tepal_listener_options){ .path = path }),
                         0);
    listener->on_accept = on_accept;
    for (int i = 0; i < N; i++)
        peers[i] = connect_plain(listener, "127.0.0.1");
    if (loop_current->fake_time) {
        settle();
        assert_in_range(n_accepted, 1, N / 2); /* others have their turn in between */
    }
    await_accepted(N);
    for (int i = 0; i < N; i++)
        close(peers[i]);
    forget_accepted();
    tepal_listener_close(listener);
    return 0;
}

static void by_function(void **state)
{
    (void)state;
    assert_int_equal(run(accept_by_function, NULL), 0);
    assert_int_equal(run(accept_by_function, "unix"), 0);
    assert_int_equal(run_fake(accept_by_function, NULL), 0);
}

static int pause_and_resume(void *arg)
{
    int peers[10];
    tepal_listener *listener = listen_local();
    listener->on_accept = on_accept;
    listener_resume(listener); /* not paused: nothing */
    listener_pause(listener);
    listener_pause(listener);
    for (int i = 0; i < 10; i++)
        peers[i] = connect_plain(listener, "127.0.0.1");
    assert_int_equal(tepal_sleep_ms(500), 0);
    settle();
    assert_int_equal(n_accepted, 0); /* they wait in the backlog */
    listener_resume(listener);
    assert_int_equal(n_accepted, 0); /* not inside of the call */
    assert_int_equal(tepal_sleep_ms(5), 0);
    assert_int_equal(n_accepted, 10);
    int late = connect_plain(listener, "127.0.0.1");
    await_accepted(11);
    /* Paused before it was told of a connection. */
    listener_pause(listener);
    listener_resume(listener);
    int last = connect_plain(listener, "127.0.0.1");
    await_accepted(12);
    listener_pause(listener);
    for (int i = 0; i < 10; i++)
        close(peers[i]);
    close(late);
    close(last);
    forget_accepted();
    tepal_listener_close(listener); /* a paused one can be closed */
    (void)arg;
    return 0;
}

static void pausing(void **state)
{
    (void)state;
    assert_int_equal(run_fake(pause_and_resume, NULL), 0);
}

/* --- Out of descriptors ----------------------------------------------------------------------- */

static int run_out_of_descriptors(void *arg)
{
    enum { N = 20 };
    int peers[N];
    tepal_listener *listener = listen_local();
    listener->on_accept = on_accept;
    n_warnings = 0;
    for (int i = 0; i < N; i++)
        peers[i] = connect_plain(listener, "127.0.0.1");
    struct rlimit old = limit_fds(5); /* for five of them */
    await_accepted(5);
    for (int i = 0; i < 10; i++)
        assert_int_equal(tepal_sleep_ms(150), 0); /* it tries again and again, */
    int n = n_accepted, warned = n_warnings;
    put_limit_back(old);
    assert_int_equal(n, 5);
    assert_int_equal(warned, 1); /* and says it once */
    assert_int_equal(tepal_sleep_ms(150), 0);
    assert_int_equal(n_accepted, N); /* no connection was lost */
    /* The next shortage is told again. */
    int late = dup(0);
    old = limit_fds(0);
    close(late); /* room for one more at the peer's side */
    late = connect_plain(listener, "127.0.0.1");
    assert_int_equal(tepal_sleep_ms(500), 0);
    warned = n_warnings;
    put_limit_back(old);
    assert_int_equal(warned, 2);
    assert_int_equal(tepal_sleep_ms(150), 0);
    assert_int_equal(n_accepted, N + 1);
    assert_int_equal(n_warnings, 2);
    for (int i = 0; i < N; i++)
        close(peers[i]);
    close(late);
    forget_accepted();
    tepal_listener_close(listener);
    (void)arg;
    return 0;
}

static int accept_without_descriptors(void *arg)
{
    tepal_listener *listener = listen_local(), *none = NULL;
    int peer = connect_plain(listener, "127.0.0.1");
    settle();
    struct rlimit old = limit_fds(0);
    int rc = accept_endless(listener);
    int opened = tepal_listener_open(&none, &(tepal_listener_options){ .port = TEPAL_ANY_PORT });
    int opened_unix = tepal_listener_open(&none, &(tepal_listener_options){ .path = path });
    put_limit_back(old);
    assert_int_equal(rc, -EMFILE);
    assert_true(opened == -EMFILE || opened == TEPAL_ENONAME);
    assert_int_equal(opened_unix, -EMFILE);
    assert_false(exists());
    assert_int_equal(accept_endless(listener), 0); /* it was not lost */
    close(peer);
    tepal_listener_close(listener);
    (void)arg;
    return 0;
}

static void out_of_descriptors(void **state)
{
    (void)state;
    if (RUNNING_ON_VALGRIND) /* its accept() drops a connection for which there is no descriptor */
        skip();
    assert_int_equal(run_fake(run_out_of_descriptors, NULL), 0);
    assert_int_equal(run(accept_without_descriptors, NULL), 0);
}

static int fail_allocations(void *arg)
{
    const tepal_listener_options options[] = { { .port = TEPAL_ANY_PORT }, { .path = path } };
    tepal_listener *listener;
    for (int i = 0; i < 2; i++) {
        for (size_t n = 1;; n++) {
            int before = count_fds();
            listener = NULL;
            mem_fail_nth(n, 0);
            int rc = tepal_listener_open(&listener, &options[i]);
            size_t failures = mem_failures();
            mem_fail_nth(0, 0);
            if (failures == 0) {
                assert_int_equal(rc, 0);
                break;
            }
            assert_int_equal(rc, -ENOMEM);
            assert_null(listener);
            assert_int_equal(count_fds(), before);
            assert_false(exists());
        }
        int peer = connect_plain(listener, "127.0.0.1");
        mem_fail_nth(1, 0);
        assert_int_equal(accept_endless(listener), -ENOMEM);
        mem_fail_nth(0, 0);
        close(peer);
        talk(listener, "127.0.0.1"); /* it goes on */
        tepal_listener_close(listener);
    }
    (void)arg;
    return 0;
}

static void out_of_memory(void **state)
{
    (void)state;
    assert_int_equal(run(fail_allocations, NULL), 0);
}

/* --- A socket that others have made ----------------------------------------------------------- */

static int listen_on_given(void *arg)
{
    (void)arg;
    tepal_listener *made = listen_local(), *listener = NULL;
    int given = made->sockets[0].io.fd, before = count_fds();
    assert_int_equal(fcntl(given, F_SETFL, 0), 0);
    assert_int_equal(tepal_listener_open(&listener, &(tepal_listener_options){ .fd = given }), 0);
    assert_int_not_equal(listener->sockets[0].io.fd, given);
    assert_true(fcntl(given, F_GETFL) & O_NONBLOCK);
    assert_true(fcntl(listener->sockets[0].io.fd, F_GETFD) & FD_CLOEXEC);
    assert_int_equal(tepal_listener_port(listener), tepal_listener_port(made));
    talk(listener, "127.0.0.1");
    tepal_listener_close(listener);
    assert_int_equal(count_fds(), before);
    talk(made, "127.0.0.1"); /* the original goes on */
    tepal_listener_close(made);

    listener = NULL;
    assert_int_equal(tepal_listener_open(&listener, &(tepal_listener_options){ .fd = given }),
                     -EBADF);
    int ends[2];
    connect_fds(AF_INET, ends);
    assert_int_equal(tepal_listener_open(&listener, &(tepal_listener_options){ .fd = ends[0] }),
                     -EINVAL);
    close(ends[0]);
    close(ends[1]);
    assert_int_equal(pipe(ends), 0);
    assert_int_equal(tepal_listener_open(&listener, &(tepal_listener_options){ .fd = ends[0] }),
                     -ENOTSOCK);
    close(ends[0]);
    close(ends[1]);
    assert_null(listener);
    return 0;
}

static void given(void **state)
{
    (void)state;
    assert_int_equal(run(listen_on_given, NULL), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(over_tcp),      cmocka_unit_test(over_unix_sockets),
        cmocka_unit_test(in_a_task),     cmocka_unit_test(by_function),
        cmocka_unit_test(pausing),       cmocka_unit_test(out_of_descriptors),
        cmocka_unit_test(out_of_memory), cmocka_unit_test(given),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
