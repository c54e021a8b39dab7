/* Tests of accepting where it is hard: several sockets of which one is busy, sockets on which it
 * fails for ever, names with many addresses, and a listener that is closed under its task. */
#include "../sockets.h"

#include <sched.h>
#include <sys/mount.h>
#include <sys/wait.h>
#include <tepal/log.h>

static int n_warnings;

static void count_warnings(tepal_log_level level, const char *text, void *arg)
{
    (void)arg, (void)level;
    n_warnings += strstr(text, "accepting pauses") != NULL;
}

static int setup(void **state)
{
    (void)state;
    tepal_log_set_fn(count_warnings, NULL);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    tepal_log_set_fn(NULL, NULL);
    return 0;
}

/* A listener with two sockets. */
static tepal_listener *listen_twice(void)
{
    tepal_listener *listener = NULL;
    assert_int_equal(
        tepal_listener_open(&listener, &(tepal_listener_options){ .port = TEPAL_ANY_PORT }), 0);
    return listener;
}

/* Begins to connect to the socket. */
static int knock(const tepal_listener *listener, int i)
{
    struct addr addr = { .len = sizeof(addr.storage) };
    assert_int_equal(getsockname(listener->sockets[i].io.fd, &addr.sa, &addr.len), 0);
    addr_from_ip(&addr, addr.sa.sa_family == AF_INET ? "127.0.0.1" : "::1",
                 tepal_listener_port(listener));
    int fd = socket(addr.sa.sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    assert_true(fd >= 0);
    assert_true(connect(fd, &addr.sa, addr.len) == 0 || errno == EINPROGRESS);
    return fd;
}

/* --- Fairness --------------------------------------------------------------------------------- */

enum { KNOCKS = 200 };

static int accept_in_turns(void *arg)
{
    int fds[KNOCKS + 1], of_first = 0;
    tepal_addr local;
    tepal_listener *listener = listen_twice();
    if (listener->n_sockets == 2) {
        tepal_addr first = addr_to_public(&(struct addr){ 0 });
        for (int i = 0; i < KNOCKS; i++)
            fds[i] = knock(listener, 0);
        fds[KNOCKS] = knock(listener, 1);
        settle();
        for (int i = 0; i < 3; i++) {
            tepal_conn *conn;
            assert_int_equal(tepal_listener_open_conn(listener, &conn), 0);
            assert_int_equal(tepal_conn_local_addr(conn, &local), 0);
            if (i == 0)
                first = local;
            of_first += local.family == first.family;
            tepal_conn_close(conn);
        }
        assert_true(of_first < 3); /* the other one has had its turn */
        for (int i = 0; i <= KNOCKS; i++)
            close(fds[i]);
    }
    tepal_listener_close(listener);
    (void)arg;
    return 0;
}

static int families[KNOCKS + 1], n_accepted, most;

static void accept_few(struct tepal_listener *listener, int fd, const struct addr *peer)
{
    families[n_accepted++] = peer->sa.sa_family;
    close(fd);
    if (n_accepted >= most)
        listener_pause(listener);
}

/* One place for a connection at a time. */
static int accept_in_turns_by_function(void *arg)
{
    int fds[KNOCKS + 1];
    tepal_listener *listener = listen_twice();
    if (listener->n_sockets == 2) {
        n_accepted = most = 0;
        listener->on_accept = accept_few;
        listener_pause(listener);
        for (int i = 0; i < KNOCKS; i++)
            fds[i] = knock(listener, 0);
        fds[KNOCKS] = knock(listener, 1);
        settle();
        while (n_accepted < 3) {
            most = n_accepted + 1;
            listener_resume(listener);
            assert_int_equal(tepal_sleep_ms(2), 0);
        }
        assert_true(families[0] != families[1] || families[1] != families[2]);
        for (int i = 0; i <= KNOCKS; i++)
            close(fds[i]);
    }
    tepal_listener_close(listener);
    (void)arg;
    return 0;
}

static void all_sockets_have_their_turns(void **state)
{
    (void)state;
    assert_int_equal(run(accept_in_turns, NULL), 0);
    assert_int_equal(run(accept_in_turns_by_function, NULL), 0);
}

/* --- Failing for ever ------------------------------------------------------------------------- */

/* Somebody has shut a socket down, as a process that has inherited it may. */
static void break_socket(tepal_listener *listener, int i)
{
    assert_int_equal(shutdown(listener->sockets[i].io.fd, SHUT_RD), 0);
}

static void mend_socket(tepal_listener *listener, int i)
{
    assert_int_equal(listen(listener->sockets[i].io.fd, 10), 0);
}

static int accept_one(void *arg)
{
    tepal_conn *conn;
    int rc = tepal_listener_open_conn(arg, &conn);
    if (rc == 0)
        tepal_conn_close(conn);
    return rc;
}

static int fail_in_a_task(void *arg)
{
    tepal_listener *listener = listen_twice();
    n_warnings = 0;
    for (int i = 0; i < listener->n_sockets; i++)
        break_socket(listener, i);
    settle();
    int64_t begin = tepal_now_ms();
    for (int i = 0; i < 5 * listener->n_sockets; i++)
        assert_int_equal(accept_one(listener), -EINVAL);
    assert_true(tepal_now_ms() >= begin + 4 * LISTENER_REST_MS); /* not as fast as it can */
    assert_int_equal(n_warnings, 1);
    int64_t before = tepal_deadline_in_ms(10);
    assert_int_equal(accept_one(listener), -ETIMEDOUT); /* the rest can be interrupted */
    tepal_deadline_restore(before);
    /* One of them works again, and is not held up by the other one. */
    mend_socket(listener, 0);
    int fd = knock(listener, 0);
    int rc;
    while ((rc = accept_one(listener)) == -EINVAL)
        continue;
    assert_int_equal(rc, 0);
    close(fd);
    tepal_listener_close(listener);
    (void)arg;
    return 0;
}

static void accept_and_count(struct tepal_listener *listener, int fd, const struct addr *peer)
{
    (void)listener, (void)peer;
    n_accepted++;
    close(fd);
}

static int fail_by_function(void *arg)
{
    tepal_listener *listener = listen_twice();
    listener->on_accept = accept_and_count;
    n_warnings = n_accepted = 0;
    for (int i = 0; i < listener->n_sockets; i++)
        break_socket(listener, i);
    settle();
    assert_int_equal(n_warnings, 1);
    for (int i = 0; i < 5; i++) {
        assert_int_equal(tepal_sleep_ms(LISTENER_REST_MS), 0);
        assert_true(timer_is_set(&listener->again)); /* it is tried again, */
        assert_true(listener->again.at >= loop_current->now + LISTENER_REST_MS - 2); /* later */
    }
    assert_int_equal(n_warnings, 1);
    mend_socket(listener, 0);
    int fd = knock(listener, 0);
    while (n_accepted == 0)
        assert_int_equal(tepal_sleep_ms(10), 0);
    close(fd);
    tepal_listener_close(listener);
    (void)arg;
    return 0;
}

static void serve_nothing(tepal_conn *conn, void *arg)
{
    (void)conn;
    ++*(int *)arg;
}

static tepal_listener *served;

static int serve(void *n)
{
    return tepal_listener_serve(served, serve_nothing, n, NULL);
}

static int fail_while_serving(void *arg)
{
    int n_served = 0;
    served = listen_twice();
    n_warnings = 0;
    tepal_group *group = tepal_group_new();
    assert_int_equal(tepal_spawn(group, serve, &n_served, NULL), 0);
    settle();
    for (int i = 0; i < served->n_sockets; i++)
        break_socket(served, i);
    for (int i = 0; i < 10; i++)
        assert_int_equal(tepal_sleep_ms(LISTENER_REST_MS), 0);
    assert_int_equal(n_warnings, 1);
    assert_true(served->sockets[0].rest_until > loop_current->now - LISTENER_REST_MS);
    mend_socket(served, 0);
    int fd = knock(served, 0);
    while (n_served == 0)
        assert_int_equal(tepal_sleep_ms(10), 0);
    close(fd);
    tepal_group_close(group);
    tepal_listener_close(served);
    (void)arg;
    return 0;
}

static void what_fails_for_ever_rests(void **state)
{
    (void)state;
    assert_int_equal(run_fake(fail_in_a_task, NULL), 0);
    assert_int_equal(run_fake(fail_by_function, NULL), 0);
    assert_int_equal(run_fake(fail_while_serving, NULL), 0);
}

/* --- Names ------------------------------------------------------------------------------------ */

static int listen_on_name(const char *host, tepal_listener **listener)
{
    return tepal_listener_open(listener,
                               &(tepal_listener_options){ .host = host, .port = TEPAL_ANY_PORT });
}

/* Names of which the hosts file has the same address twice, and more than a few. */
static int listen_on_names(void *arg)
{
    tepal_listener *listener;
    assert_int_equal(listen_on_name("dup.test", &listener), 0);
    assert_int_equal(listener->n_sockets, 1);
    tepal_listener_close(listener);
    assert_int_equal(listen_on_name("many.test", &listener), 0);
    assert_int_equal(listener->n_sockets, 20);
    for (int i = 0; i < 20; i++) {
        char host[20];
        tepal_conn *client, *server;
        snprintf(host, sizeof(host), "127.0.0.%d", i + 1);
        assert_int_equal(tepal_conn_open(&client, host, tepal_listener_port(listener), NULL), 0);
        assert_int_equal(tepal_listener_open_conn(listener, &server), 0);
        tepal_conn_close(client);
        tepal_conn_close(server);
    }
    tepal_listener_close(listener);
    /* One that is not of this machine: said, not left out. */
    assert_int_equal(listen_on_name("foreign.test", &listener), -EADDRNOTAVAIL);
    (void)arg;
    return 0;
}

/* In a child whose hosts file is another one. */
static void in_another_world(const char *hosts)
{
    if (unshare(CLONE_NEWNS) < 0 || mount(NULL, "/", "none", MS_REC | MS_PRIVATE, NULL) < 0 ||
        mount(hosts, "/etc/hosts", "none", MS_BIND, NULL) < 0)
        _exit(77); /* not allowed here */
    loop_current = NULL;
    _exit(tepal_main(listen_on_names, NULL) == 0 ? 0 : 1);
}

static void names_with_many_addresses(void **state)
{
    char hosts[] = "/tmp/tepal-hosts-XXXXXX";
    int status;
    (void)state;
    int fd = mkstemp(hosts);
    dprintf(fd, "127.0.0.1 dup.test\n127.0.0.1 dup.test\n127.0.0.1 foreign.test\n"
                "192.0.2.1 foreign.test\n");
    for (int i = 1; i <= 20; i++)
        dprintf(fd, "127.0.0.%d many.test\n", i);
    close(fd);
    pid_t child = fork();
    if (child == 0)
        in_another_world(hosts);
    assert_int_equal(waitpid(child, &status, 0), child);
    unlink(hosts);
    if (WIFEXITED(status) && WEXITSTATUS(status) == 77)
        skip();
    assert_int_equal(status, 0);
}

static int listen_nowhere(void *arg)
{
    tepal_listener *listener;
    assert_int_equal(listen_on_name("nonsense.invalid", &listener), TEPAL_ENONAME);
    assert_int_equal(listen_on_name("Invalid.", &listener), TEPAL_ENONAME);
    assert_int_equal(listen_on_name("not a name", &listener), TEPAL_ENONAME);
    (void)arg;
    return 0;
}

static void names_that_are_none(void **state)
{
    (void)state;
    assert_int_equal(run(listen_nowhere, NULL), 0);
}

/* --- Closing ---------------------------------------------------------------------------------- */

static int close_under(void *arg)
{
    for (int why = 0; why < 3; why++) { /* cancelled, out of time, or neither */
        bool late = why == 1;
        tepal_listener *listener = listen_twice(), *again;
        uint16_t port = tepal_listener_port(listener);
        tepal_group *group = tepal_group_new();
        int64_t before = tepal_deadline_in_ms(late ? 20 : TEPAL_NEVER);
        assert_int_equal(tepal_spawn(group, accept_one, listener, NULL), 0);
        settle();
        tepal_deadline_restore(before);
        if (late)
            assert_int_equal(tepal_sleep_ms(20), 0);
        else if (why == 0)
            tepal_group_cancel(group);
        tepal_listener_close(listener);
        /* The port is free at once. */
        assert_int_equal(tepal_listener_open(&again, &(tepal_listener_options){ .port = port }), 0);
        assert_int_equal(tepal_group_wait(group), late ? -ETIMEDOUT : -ECANCELED);
        tepal_group_close(group);
        tepal_listener_close(again);
    }
    (void)arg;
    return 0;
}

static void closed_under_a_task(void **state)
{
    (void)state;
    assert_int_equal(run_fake(close_under, NULL), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(all_sockets_have_their_turns), cmocka_unit_test(what_fails_for_ever_rests),
        cmocka_unit_test(names_with_many_addresses),    cmocka_unit_test(names_that_are_none),
        cmocka_unit_test(closed_under_a_task),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
