/* Tests of serving: a task for each connection, how many there may be, shortages, and the end by
 * cancellation, deadline and signal. */
#include "../sockets.h"

#include <signal.h>
#include <tepal/log.h>

static int n_warnings, n_others;

static void count_lines(tepal_log_level level, const char *text, void *arg)
{
    (void)arg;
    (void)text;
    n_warnings += level == TEPAL_LOG_WARNING;
    n_others += level != TEPAL_LOG_WARNING;
}

static int setup(void **state)
{
    (void)state;
    tepal_log_set_fn(count_lines, NULL);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    tepal_log_set_fn(NULL, NULL);
    return 0;
}

/* A server in a task, and what its handlers have seen. */
struct service {
    tepal_listener *listener;
    tepal_listener_serve_options options;
    tepal_group *group;
    int64_t deadline_in;
    int result, n_now, n_most, n_served, n_cancelled;
    bool ended;
};

/* Echoes, and counts. */
static void echo(tepal_conn *conn, void *arg)
{
    struct service *s = arg;
    char buffer[100];
    ssize_t n;
    s->n_now++;
    s->n_most = s->n_now > s->n_most ? s->n_now : s->n_most;
    while ((n = tepal_conn_read(conn, buffer, sizeof(buffer))) > 0)
        if (tepal_conn_write(conn, buffer, (size_t)n) < 0)
            break;
    s->n_cancelled += n == -ECANCELED;
    s->n_now--;
    s->n_served++;
}

static int serve_main(void *arg)
{
    struct service *s = arg;
    (void)tepal_deadline_in_ms(s->deadline_in);
    s->result = tepal_listener_serve(s->listener, echo, s, &s->options);
    s->ended = true;
    assert_int_equal(s->n_now, 0);
    if (s->result == -ECANCELED) /* it is still told to the next call */
        assert_int_equal(tepal_sleep_ms(0), -ECANCELED);
    return s->result;
}

static void start(struct service *s)
{
    tepal_listener_options where = { .host = "127.0.0.1", .port = TEPAL_ANY_PORT };
    assert_int_equal(tepal_listener_open(&s->listener, &where), 0);
    if (s->deadline_in == 0)
        s->deadline_in = TEPAL_NEVER;
    s->group = tepal_group_new();
    assert_int_equal(tepal_spawn(s->group, serve_main, s, NULL), 0);
    settle();
}

static void stop(struct service *s)
{
    tepal_group_close(s->group);
    assert_true(s->ended);
    tepal_listener_close(s->listener);
}

static int connect_plain(const struct service *s)
{
    struct addr addr;
    assert_int_equal(addr_from_ip(&addr, "127.0.0.1", tepal_listener_port(s->listener)), 0);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(fd >= 0);
    assert_int_equal(connect(fd, &addr.sa, addr.len), 0);
    return fd;
}

/* Whether the server answers on it soon. */
static bool is_served(int fd)
{
    char buffer[10];
    ssize_t n = -1;
    if (send(fd, "hello", 5, MSG_NOSIGNAL) != 5)
        return false;
    for (int i = 0; i < 20 && n < 0; i++) {
        settle();
        n = recv(fd, buffer, sizeof(buffer), MSG_DONTWAIT);
    }
    return n == 5 && memcmp(buffer, "hello", 5) == 0;
}

static bool is_closed(int fd)
{
    char buffer[10];
    settle();
    return recv(fd, buffer, sizeof(buffer), MSG_DONTWAIT) == 0;
}

/* --- Serving ---------------------------------------------------------------------------------- */

static int serve_many(void *arg)
{
    enum { N = 100 };
    struct service s = { .deadline_in = 0 };
    int fds[N];
    start(&s);
    for (int i = 0; i < N; i++)
        fds[i] = connect_plain(&s);
    for (int i = N - 1; i >= 0; i--)
        assert_true(is_served(fds[i]));
    assert_int_equal(s.n_now, N);
    for (int i = 0; i < N / 2; i++) {
        shutdown(fds[i], SHUT_WR);
        assert_true(is_closed(fds[i]));
    }
    reset_fd(fds[N - 1]); /* is nothing to the others */
    assert_true(is_served(fds[N - 2]));
    assert_int_equal(s.n_served, N / 2 + 1);
    stop(&s);
    assert_int_equal(s.result, -ECANCELED);
    assert_int_equal(s.n_served, N);
    assert_int_equal(s.n_cancelled, N / 2 - 1);
    for (int i = 0; i < N - 1; i++)
        close(fds[i]);
    (void)arg;
    return 0;
}

static void a_task_for_each(void **state)
{
    (void)state;
    assert_int_equal(run(serve_many, NULL), 0);
}

static int serve_few(void *arg)
{
    struct service s = { .options = { .max_connections = 3 } };
    int fds[6];
    start(&s);
    for (int i = 0; i < 6; i++)
        fds[i] = connect_plain(&s);
    for (int i = 0; i < 3; i++)
        assert_true(is_served(fds[i]));
    for (int i = 3; i < 6; i++)
        assert_false(is_served(fds[i])); /* it waits in the backlog, */
    for (int i = 0; i < 3; i++) {
        shutdown(fds[i], SHUT_WR);
        settle();
        char buffer[10];
        assert_int_equal(recv(fds[i + 3], buffer, 10, MSG_DONTWAIT), 5); /* until one has ended */
    }
    assert_int_equal(s.n_most, 3);
    tepal_group_cancel(s.group); /* also while it waits for room */
    settle();
    stop(&s);
    for (int i = 0; i < 6; i++)
        close(fds[i]);
    (void)arg;
    return 0;
}

static void no_more_than_allowed(void **state)
{
    (void)state;
    assert_int_equal(run_fake(serve_few, NULL), 0);
}

/* Out of descriptors: one line, and those that wait are served when there are some again. */
static int serve_without_fds(void *arg)
{
    struct service s = { .deadline_in = 0 };
    n_warnings = 0;
    start(&s);
    int fds[3] = { connect_plain(&s), connect_plain(&s), connect_plain(&s) };
    struct rlimit limit = limit_fds(1);
    assert_true(is_served(fds[0]));
    for (int i = 0; i < 5; i++)
        assert_int_equal(tepal_sleep_ms(LISTENER_REST_MS), 0);
    assert_false(is_served(fds[1]));
    assert_int_equal(n_warnings, 1);
    put_limit_back(limit);
    assert_int_equal(tepal_sleep_ms(LISTENER_REST_MS), 0);
    for (int i = 1; i < 3; i++) {
        char buffer[10];
        settle();
        if (i == 2)
            assert_true(is_served(fds[i]));
        else
            assert_int_equal(recv(fds[i], buffer, 10, MSG_DONTWAIT), 5);
    }
    assert_int_equal(n_warnings, 1);
    stop(&s);
    for (int i = 0; i < 3; i++)
        close(fds[i]);
    (void)arg;
    return 0;
}

/* Without memory for a connection that one ends, and the others go on. */
static int serve_without_memory(void *arg)
{
    for (size_t nth = 1; nth <= 3; nth++) {
        struct service s = { .deadline_in = 0 };
        n_warnings = 0;
        start(&s);
        int first = connect_plain(&s);
        mem_fail_nth(nth, 0);
        assert_int_equal(is_served(first), nth == 3);
        mem_fail_nth(0, 0);
        assert_int_equal(n_warnings, nth < 3);
        assert_int_equal(tepal_sleep_ms(LISTENER_REST_MS), 0);
        int second = connect_plain(&s);
        assert_true(is_served(second));
        stop(&s);
        close(first);
        close(second);
    }
    /* And without any it does not begin. */
    struct service s = { .deadline_in = 0 };
    start(&s);
    stop(&s);
    tepal_listener_options where = { .host = "127.0.0.1", .port = TEPAL_ANY_PORT };
    assert_int_equal(tepal_listener_open(&s.listener, &where), 0);
    for (size_t nth = 1; nth <= 3; nth++) {
        tepal_listener_serve_options options = { .stop_on_signal = nth == 3 };
        mem_fail_nth(nth, 0);
        int rc = tepal_listener_serve(s.listener, echo, &s, &options);
        assert_int_equal(rc, -ENOMEM);
        mem_fail_nth(0, 0);
    }
    tepal_listener_close(s.listener);
    (void)arg;
    return 0;
}

static void out_of_descriptors(void **state)
{
    (void)state;
    if (RUNNING_ON_VALGRIND)
        skip(); /* it keeps limits of its own */
    assert_int_equal(run_fake(serve_without_fds, NULL), 0);
}

static void out_of_memory(void **state)
{
    (void)state;
    assert_int_equal(run_fake(serve_without_memory, NULL), 0);
}

/* --- The end ---------------------------------------------------------------------------------- */

static int serve_for_ever(void *arg)
{
    struct service *s = arg;
    return tepal_listener_serve(s->listener, echo, s, &s->options);
}

static int interrupt(void *arg)
{
    struct service s = { .options = { .shutdown_timeout_ms = 0 } };
    tepal_listener_options where = { .host = "127.0.0.1", .port = TEPAL_ANY_PORT };
    assert_int_equal(tepal_listener_open(&s.listener, &where), 0);
    expect_interruptible(serve_for_ever, &s);
    int fd = connect_plain(&s);
    expect_interruptible(serve_for_ever, &s); /* with a connection, too */
    close(fd);
    tepal_listener_close(s.listener);
    (void)arg;
    return 0;
}

static void can_be_interrupted(void **state)
{
    (void)state;
    assert_int_equal(run_fake(interrupt, NULL), 0);
}

/* The connections have their time to end, which begins at the deadline of the serving. */
static int end_gently(void *arg)
{
    int64_t begin = tepal_now_ms();
    struct service s = { .deadline_in = 1000, .options = { .shutdown_timeout_ms = 500 } };
    start(&s);
    int patient = connect_plain(&s), polite = connect_plain(&s);
    assert_true(is_served(patient) && is_served(polite));
    assert_int_equal(tepal_sleep_ms(begin + 1200 - tepal_now_ms()), 0);
    assert_true(is_served(patient) && is_served(polite)); /* still */
    int late = connect_plain(&s);
    assert_false(is_served(late));
    shutdown(polite, SHUT_WR);
    assert_true(is_closed(polite));
    assert_false(s.ended);
    assert_int_equal(tepal_group_wait(s.group), -ETIMEDOUT);
    assert_true(tepal_now_ms() >= begin + 1500);
    assert_int_equal(s.n_served, 2);
    assert_int_equal(s.n_cancelled, 1);
    assert_true(is_closed(patient));
    close(patient);
    close(polite);
    close(late);
    stop(&s);
    (void)arg;
    return 0;
}

/* A second cancellation ends the patience; and where all have gone there is nothing to wait for. */
static int end_sooner(void *arg)
{
    struct service s = { .options = { .shutdown_timeout_ms = TEPAL_NEVER } };
    start(&s);
    int fd = connect_plain(&s);
    assert_true(is_served(fd));
    tepal_group_cancel(s.group);
    settle();
    assert_false(s.ended);
    assert_true(is_served(fd));
    tepal_group_cancel(s.group);
    settle();
    assert_true(s.ended);
    assert_int_equal(s.n_cancelled, 1);
    stop(&s);
    close(fd);
    s = (struct service){ .options = { .shutdown_timeout_ms = TEPAL_NEVER } };
    start(&s);
    stop(&s);
    (void)arg;
    return 0;
}

static void has_patience(void **state)
{
    (void)state;
    assert_int_equal(run_fake(end_gently, NULL), 0);
    assert_int_equal(run_fake(end_sooner, NULL), 0);
}

static int end_by_signal(void *arg)
{
    static const int numbers[] = { SIGTERM, SIGINT };
    for (int i = 0; i < 2; i++) {
        struct service s = { .options = { .stop_on_signal = true } };
        start(&s);
        int fd = connect_plain(&s);
        assert_true(is_served(fd));
        raise(numbers[i]);
        assert_int_equal(tepal_group_wait(s.group), 0);
        assert_int_equal(s.result, 0);
        assert_int_equal(s.n_cancelled, 1);
        stop(&s);
        close(fd);
    }
    (void)arg;
    return 0;
}

static void ends_by_signal(void **state)
{
    (void)state;
    assert_int_equal(run(end_by_signal, NULL), 0);
}

static int accept_elsewhere(void *arg)
{
    tepal_conn *conn;
    struct service s = { .deadline_in = 0 };
    start(&s);
    assert_int_equal(tepal_listener_open_conn(s.listener, &conn), -EBUSY);
    assert_int_equal(tepal_listener_serve(s.listener, echo, &s, NULL), -EBUSY);
    int fd = connect_plain(&s); /* the first one is not disturbed */
    assert_true(is_served(fd));
    close(fd);
    stop(&s);
    (void)arg;
    return 0;
}

static void one_at_a_time(void **state)
{
    (void)state;
    assert_int_equal(run(accept_elsewhere, NULL), 0);
}

/* --- With a listener of its own --------------------------------------------------------------- */

static int listen_and_serve(void *arg)
{
    tepal_listener_options where = { .path = "@tepal-acceptor" }, taken = { .host = "127.0.0.1" };
    struct service s = { .deadline_in = 0 };
    n_others = 0;
    (void)tepal_deadline_in_ms(50);
    assert_int_equal(tepal_listener_open_and_serve(&where, echo, &s, NULL), -ETIMEDOUT);
    assert_int_equal(n_others, 1);
    tepal_deadline_restore(TEPAL_NEVER);
    assert_int_equal(tepal_listener_open_and_serve(&taken, echo, &s, NULL), -EINVAL);
    start(&s);
    taken.port = tepal_listener_port(s.listener);
    assert_int_equal(tepal_listener_open_and_serve(&taken, echo, &s, NULL), -EADDRINUSE);
    assert_int_equal(n_others, 3);
    stop(&s);
    (void)arg;
    return 0;
}

static void listens_by_itself(void **state)
{
    (void)state;
    assert_int_equal(run_fake(listen_and_serve, NULL), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_task_for_each),    cmocka_unit_test(no_more_than_allowed),
        cmocka_unit_test(out_of_descriptors), cmocka_unit_test(out_of_memory),
        cmocka_unit_test(can_be_interrupted), cmocka_unit_test(has_patience),
        cmocka_unit_test(ends_by_signal),     cmocka_unit_test(one_at_a_time),
        cmocka_unit_test(listens_by_itself),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
