/* Tests of connecting: addresses, names, Unix sockets, refusals, time-outs and failures. */
#include "sockets.h"

#include <netinet/tcp.h>
#include <sys/stat.h>

static char folder[] = "/tmp/tepal-connect-XXXXXX", path[200];

static int setup(void **state)
{
    (void)state;
    if (!mkdtemp(folder))
        return -1;
    snprintf(path, sizeof(path), "%s/socket", folder);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    return rmdir(folder);
}

/* A listening socket, and its port. */
static int listen_on(const char *host, int backlog, uint16_t *port)
{
    struct addr addr;
    assert_int_equal(addr_from_ip(&addr, host, 0), 0);
    int fd = socket(addr.sa.sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0 || bind(fd, &addr.sa, addr.len) < 0) {
        close(fd);
        return -1; /* a machine without IPv6 */
    }
    assert_int_equal(listen(fd, backlog), 0);
    assert_int_equal(getsockname(fd, &addr.sa, &addr.len), 0);
    *port = addr_to_peer(&addr).port;
    return fd;
}

/* A port of this machine that nobody listens on; it is taken as long as the descriptor is open. */
static int closed_port(uint16_t *port)
{
    struct addr addr;
    assert_int_equal(addr_from_ip(&addr, "127.0.0.1", 0), 0);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(fd, &addr.sa, addr.len), 0);
    assert_int_equal(getsockname(fd, &addr.sa, &addr.len), 0);
    *port = addr_to_peer(&addr).port;
    return fd;
}

static void talk(tepal_conn *stream, int listener)
{
    char buffer[10];
    int peer = accept(listener, NULL, NULL);
    assert_true(peer >= 0);
    assert_int_equal(tepal_conn_write(stream, "hello", 5), 0);
    assert_int_equal(read(peer, buffer, sizeof(buffer)), 5);
    assert_int_equal(write(peer, "hi", 2), 2);
    assert_int_equal(tepal_conn_read(stream, buffer, sizeof(buffer)), 2);
    close(peer);
    assert_int_equal(tepal_conn_read(stream, buffer, sizeof(buffer)), 0);
}

/* --- TCP -------------------------------------------------------------------------------------- */

static int connect_by_address(void *arg)
{
    static const char *const hosts[] = { "127.0.0.1", "::1" };
    for (int i = 0; i < 2; i++) {
        uint16_t port;
        int listener = listen_on(hosts[i], 5, &port);
        if (listener < 0 && i == 1)
            break;
        tepal_conn *stream = NULL;
        assert_int_equal(tepal_connect(&stream, hosts[i], port), 0);
        int on = 0;
        socklen_t size = sizeof(on);
        getsockopt(stream->io.fd, IPPROTO_TCP, TCP_NODELAY, &on, &size);
        assert_true(on);
        talk(stream, listener);
        tepal_conn_close(stream);
        close(listener);
    }
    assert_null(loop_current->offload); /* no name, no thread */
    (void)arg;
    return 0;
}

static int connect_by_name(void *arg)
{
    uint16_t port;
    int listener = listen_on("127.0.0.1", 5, &port);
    tepal_conn *stream = NULL;
    /* ::1 may be tried first, and refuses. */
    assert_int_equal(tepal_connect(&stream, "localhost", port), 0);
    talk(stream, listener);
    tepal_conn_close(stream);
    close(listener);
    stream = (tepal_conn *)arg;
    assert_int_equal(tepal_connect(&stream, "not a name", port), -EHOSTUNREACH);
    assert_ptr_equal(stream, arg);
    return 0;
}

static int connect_to_nobody(void *arg)
{
    uint16_t port;
    int fd = closed_port(&port);
    tepal_conn *stream = (tepal_conn *)arg;
    assert_int_equal(tepal_connect(&stream, "127.0.0.1", port), -ECONNREFUSED);
    assert_int_equal(tepal_connect(&stream, "localhost", port), -ECONNREFUSED);
    assert_ptr_equal(stream, arg); /* nothing is returned */
    close(fd);
    return 0;
}

static void over_tcp(void **state)
{
    (void)state;
    assert_int_equal(run(connect_by_address, NULL), 0);
    assert_int_equal(run(connect_by_name, NULL), 0);
    assert_int_equal(run(connect_to_nobody, NULL), 0);
    assert_int_equal(run_fake(connect_by_name, NULL), 0);
}

/* --- Interruption ----------------------------------------------------------------------------- */

/* A listener that is full does not answer at all. */
struct silent {
    uint16_t port;
    int listener, fillers[8];
};

static void fill(struct silent *silent)
{
    silent->listener = listen_on("127.0.0.1", 0, &silent->port);
    struct addr addr;
    assert_int_equal(addr_from_ip(&addr, "127.0.0.1", silent->port), 0);
    for (int i = 0; i < 8; i++) {
        silent->fillers[i] = socket_new(AF_INET);
        assert_true(silent->fillers[i] >= 0);
        (void)connect(silent->fillers[i], &addr.sa, addr.len);
    }
}

static void empty(struct silent *silent)
{
    for (int i = 0; i < 8; i++)
        close(silent->fillers[i]);
    close(silent->listener);
}

static int connect_endless(void *arg)
{
    tepal_conn *stream = NULL;
    int rc = tepal_connect(&stream, "127.0.0.1", ((struct silent *)arg)->port);
    tepal_conn_close(stream);
    return rc;
}

static int connect_name_endless(void *arg)
{
    tepal_conn *stream = NULL;
    int rc = tepal_connect(&stream, "localhost", ((struct silent *)arg)->port);
    tepal_conn_close(stream);
    return rc;
}

static int interrupt(void *arg)
{
    struct silent silent;
    fill(&silent);
    expect_interruptible(connect_endless, &silent);
    expect_refusal(connect_name_endless, &silent);
    expect_timeout(connect_name_endless, &silent);
    empty(&silent);
    (void)arg;
    return 0;
}

/* A connection that could be had at once is not begun by a task that is cancelled. */
static int connect_unix_at_once(void *arg)
{
    tepal_conn *stream = NULL;
    int rc = tepal_connect_unix(&stream, arg);
    tepal_conn_close(stream);
    return rc;
}

static int refuse_unix(void *arg)
{
    tepal_listener *listener;
    assert_int_equal(tepal_listen(&listener, &(tepal_listen_options){ .path = path }), 0);
    expect_refusal(connect_unix_at_once, path);
    assert_int_equal(connect_unix_at_once(path), 0);
    tepal_listener_close(listener);
    (void)arg;
    return 0;
}

static void can_be_interrupted(void **state)
{
    (void)state;
    assert_int_equal(run_fake(interrupt, NULL), 0);
    assert_int_equal(run_fake(refuse_unix, NULL), 0);
}

/* --- Unix sockets ----------------------------------------------------------------------------- */

static int connect_unix(void *arg)
{
    char name[64];
    snprintf(name, sizeof(name), "@tepal-test-%d", (int)getpid());
    const char *const paths[] = { path, name };
    for (int i = 0; i < 2; i++) {
        struct addr addr;
        tepal_conn *stream = (tepal_conn *)arg;
        assert_int_equal(tepal_connect_unix(&stream, paths[i]), i ? -ECONNREFUSED : -ENOENT);
        assert_ptr_equal(stream, arg);
        assert_int_equal(addr_from_path(&addr, paths[i]), 0);
        int listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
        assert_int_equal(bind(listener, &addr.sa, addr.len), 0);
        assert_int_equal(tepal_connect_unix(&stream, paths[i]), -ECONNREFUSED);
        assert_int_equal(listen(listener, 5), 0);
        assert_int_equal(tepal_connect_unix(&stream, paths[i]), 0);
        talk(stream, listener);
        tepal_conn_close(stream);
        close(listener);
    }
    unlink(path);
    tepal_conn *stream;
    char too_long[200];
    memset(too_long, 'x', sizeof(too_long) - 1);
    too_long[sizeof(too_long) - 1] = '\0';
    assert_int_equal(tepal_connect_unix(&stream, too_long), -ENAMETOOLONG);
    return 0;
}

static void over_unix_sockets(void **state)
{
    (void)state;
    assert_int_equal(run(connect_unix, NULL), 0);
}

/* --- Failures --------------------------------------------------------------------------------- */

/* Calls connect with each allocation failing in turn. */
static int fail_allocations(void *arg)
{
    uint16_t port;
    int listener = listen_on("127.0.0.1", 50, &port);
    struct addr addr;
    assert_int_equal(addr_from_path(&addr, path), 0);
    int local = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(local, &addr.sa, addr.len), 0);
    assert_int_equal(listen(local, 50), 0);
    for (int kind = 0; kind < 3; kind++) {
        for (size_t n = 1;; n++) {
            tepal_conn *stream = NULL;
            int before = count_fds();
            mem_fail_nth(n, 0);
            int rc = kind == 0   ? tepal_connect(&stream, "127.0.0.1", port)
                     : kind == 1 ? tepal_connect_unix(&stream, path)
                                 : tepal_connect(&stream, "localhost", port);
            size_t failures = mem_failures();
            mem_fail_nth(0, 0);
            if (failures == 0) {
                assert_int_equal(rc, 0);
                assert_true(n > 1);
                tepal_conn_close(stream);
                break;
            }
            assert_true(rc == -ENOMEM || rc == -EAGAIN);
            assert_null(stream);
            assert_true(count_fds() <= before + 1); /* the pool of threads stays */
        }
    }
    unlink(path);
    close(local);
    close(listener);
    (void)arg;
    return 0;
}

static int without_descriptors(void *arg)
{
    uint16_t port;
    int listener = listen_on("127.0.0.1", 50, &port);
    tepal_conn *stream = NULL;
    struct rlimit old = limit_fds(0);
    int rc = tepal_connect(&stream, "127.0.0.1", port);
    int local = tepal_connect_unix(&stream, path);
    put_limit_back(old);
    assert_int_equal(rc, -EMFILE);
    assert_int_equal(local, -EMFILE);
    assert_null(stream);
    close(listener);
    (void)arg;
    return 0;
}

static void failures(void **state)
{
    (void)state;
    assert_int_equal(run(fail_allocations, NULL), 0);
    assert_int_equal(run(without_descriptors, NULL), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(over_tcp),
        cmocka_unit_test(can_be_interrupted),
        cmocka_unit_test(over_unix_sockets),
        cmocka_unit_test(failures),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
