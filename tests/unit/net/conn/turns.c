/* Tests of several tasks at one connection: writers take turns, readers are refused, and a
 * connection may be closed under tasks that wait on it, or are about to leave it. */
#include "../sockets.h"

#include "net/conn/buffers.h"

#include <sys/wait.h>
#include <tepal/log.h>
#include <tepal/udp.h>

static int families[] = { AF_INET, AF_UNIX };

static void each_family(tepal_task_fn *fn)
{
    for (int i = 0; i < 2; i++)
        assert_int_equal(run(fn, &families[i]), 0);
}

/* --- Writers ---------------------------------------------------------------------------------- */

enum { WRITERS = 5, MESSAGES = 40, SIZE = 3000 };

static tepal_conn *ends[2];

/* One way to write a message of SIZE octets. */
static int write_message(int way, const char *data)
{
    tepal_bytes halves[] = { { data, SIZE / 2 }, { data + SIZE / 2, SIZE / 2 } };
    switch (way) {
    case 0:
        return tepal_conn_write(ends[0], data, SIZE);
    case 1:
        return tepal_conn_writev(ends[0], halves, 2);
    case 2:
        return tepal_conn_putf(ends[0], "%.*s", SIZE, data);
    case 3:
        return tepal_conn_put(ends[0], data, SIZE);
    default:
        (void)tepal_conn_put(ends[0], data, SIZE);
        return tepal_conn_drain(ends[0]);
    }
}

static int write_messages(void *arg)
{
    int me = *(int *)arg, rc = 0;
    char data[SIZE];
    for (int i = 0; i < MESSAGES && rc == 0; i++) {
        memset(data, 'a' + me, SIZE);
        rc = write_message((me + i) % WRITERS, data);
        if (rc == 0)
            rc = tepal_sleep_ms(0);
    }
    return rc;
}

static int write_from_many_tasks(void *arg)
{
    static int numbers[WRITERS] = { 0, 1, 2, 3, 4 };
    char message[SIZE];
    int seen[WRITERS] = { 0 };
    connect_conns(*(int *)arg, ends);
    tepal_group *group = tepal_group_new();
    for (int i = 0; i < WRITERS; i++)
        assert_int_equal(tepal_spawn(group, write_messages, &numbers[i], NULL), 0);
    for (int i = 0; i < WRITERS * MESSAGES; i++) {
        settle(); /* so that they fill the socket, and wait */
        if (i == WRITERS * MESSAGES - 8) {
            assert_int_equal(tepal_group_wait(group), 0); /* the rest fits */
            assert_int_equal(tepal_conn_drain(ends[0]), 0);
        }
        assert_int_equal(tepal_conn_read_exactly(ends[1], message, SIZE), 0);
        for (int k = 1; k < SIZE; k++)
            assert_int_equal(message[k], message[0]); /* whole */
        seen[message[0] - 'a']++;
    }
    for (int i = 0; i < WRITERS; i++)
        assert_int_equal(seen[i], MESSAGES);
    tepal_group_close(group);
    tepal_conn_close(ends[0]);
    tepal_conn_close(ends[1]);
    return 0;
}

static void messages_stay_whole(void **state)
{
    (void)state;
    each_family(write_from_many_tasks);
}

static char large[4 << 20];
static char order[10];

static int write_large(void *arg)
{
    (void)arg;
    return tepal_conn_write(ends[0], large, sizeof(large));
}

static int write_name(void *arg)
{
    int rc = tepal_conn_write(ends[0], arg, 1);
    if (rc == 0)
        order[strlen(order)] = *(const char *)arg;
    return rc;
}

static int read_large(void *arg)
{
    static char buffer[sizeof(large)];
    (void)arg;
    return tepal_conn_read_exactly(ends[1], buffer, sizeof(buffer));
}

static int shut_down(void *arg)
{
    (void)arg;
    return tepal_conn_shutdown(ends[0]);
}

/* In order of their coming, without those that gave up; and the end is the last. */
static int take_turns(void *arg)
{
    char rest[10];
    connect_conns(*(int *)arg, ends);
    limit_buffers(ends[0]);
    limit_buffers(ends[1]);
    memset(order, 0, sizeof(order));
    tepal_group *group = tepal_group_new(), *impatient = tepal_group_new();
    assert_int_equal(tepal_spawn(group, write_large, NULL, NULL), 0);
    settle();
    assert_int_equal(tepal_spawn(group, write_name, "a", NULL), 0);
    assert_int_equal(tepal_spawn(impatient, write_name, "x", NULL), 0);
    assert_int_equal(tepal_spawn(group, write_name, "b", NULL), 0);
    assert_int_equal(tepal_spawn(group, shut_down, NULL, NULL), 0);
    settle();
    int64_t before = tepal_deadline_in_ms(1);
    assert_int_equal(write_name("y"), -ETIMEDOUT);
    tepal_deadline_restore(before);
    tepal_group_cancel(impatient);
    assert_int_equal(read_large(NULL), 0);
    assert_int_equal(tepal_group_wait(impatient), -ECANCELED);
    assert_int_equal(tepal_group_wait(group), 0);
    assert_string_equal(order, "ab");
    assert_int_equal(tepal_conn_read_exactly(ends[1], rest, 2), 0);
    assert_memory_equal(rest, "ab", 2);
    assert_int_equal(tepal_conn_read(ends[1], rest, sizeof(rest)), 0);
    assert_int_equal(write_name("z"), -EPIPE);
    tepal_group_close(impatient);
    tepal_group_close(group);
    tepal_conn_close(ends[0]);
    tepal_conn_close(ends[1]);
    return 0;
}

static void first_come_first_served(void **state)
{
    (void)state;
    each_family(take_turns);
}

static int queue_without_memory(void *arg)
{
    connect_conns(*(int *)arg, ends);
    limit_buffers(ends[0]);
    limit_buffers(ends[1]);
    tepal_group *group = tepal_group_new();
    assert_int_equal(tepal_spawn(group, write_large, NULL, NULL), 0);
    settle();
    mem_fail_nth(1, 0);
    assert_int_equal(write_name("a"), -ENOMEM);
    mem_fail_nth(0, 0);
    tepal_group_close(group);
    tepal_conn_close(ends[0]);
    tepal_conn_close(ends[1]);
    return 0;
}

static void the_queue_needs_memory(void **state)
{
    (void)state;
    each_family(queue_without_memory);
}

/* A larger buffer while a task waits in the middle of a piece, and no memory for it. */
static int put_large(void *arg)
{
    (void)arg;
    return tepal_conn_put(ends[0], large, 1 << 20);
}

static int grow_in_between(void *arg)
{
    static char buffer[1 << 20];
    connect_conns(*(int *)arg, ends);
    tepal_group *group = tepal_group_new();
    assert_int_equal(tepal_spawn(group, put_large, NULL, NULL), 0);
    settle();
    assert_int_equal(tepal_conn_set_max_output(ends[0], 64 << 20), 0);
    size_t len = 0;
    mem_fail_nth(1, 1);
    for (int i = 0; i < 3; i++)
        len += (size_t)tepal_conn_read(ends[1], buffer, 100000);
    settle();
    mem_fail_nth(0, 0);
    while (len < 1 << 20) {
        if (len + LOOP_BUFFER_SIZE >= 1 << 20) {
            assert_int_equal(tepal_group_wait(group), 0); /* the rest has been put, and no more */
            assert_int_equal(tepal_conn_drain(ends[0]), 0);
        }
        ssize_t n = tepal_conn_read(ends[1], buffer, sizeof(buffer) - len);
        assert_true(n > 0);
        len += (size_t)n;
        settle();
    }
    tepal_group_close(group);
    tepal_conn_close(ends[0]);
    tepal_conn_close(ends[1]);
    return 0;
}

static void the_buffer_grows_meanwhile(void **state)
{
    (void)state;
    each_family(grow_in_between);
}

/* --- Closing under tasks ---------------------------------------------------------------------- */

static int read_some(void *arg)
{
    char buffer[10];
    (void)arg;
    return (int)tepal_conn_read(ends[0], buffer, sizeof(buffer));
}

static int read_exactly(void *arg)
{
    static char buffer[100000];
    (void)arg;
    return tepal_conn_read_exactly(ends[0], buffer, sizeof(buffer));
}

static int read_line(void *arg)
{
    char *line;
    (void)arg;
    return (int)tepal_conn_read_line(ends[0], 100, &line);
}

static int receive_fds(void *arg)
{
    char buffer[10];
    int fd;
    size_t n = 1;
    (void)arg;
    return (int)tepal_conn_receive_fds(ends[0], buffer, sizeof(buffer), &fd, &n);
}

static int send_fds(void *arg)
{
    int fd = 0;
    (void)arg;
    return tepal_conn_send_fds(ends[0], &fd, 1, large, sizeof(large));
}

static tepal_task_fn *const endless[] = { read_some,   read_exactly, read_line, receive_fds,
                                          write_large, put_large,    send_fds };

/* Cancelled, out of time, or neither; after that something may have come that ends the wait as
 * well. */
static int close_under(void *arg)
{
    enum { CANCELLED, LATE, WAITING };
    size_t way = *(size_t *)arg;
    for (int why = CANCELLED; why <= WAITING; why++) {
        bool late = why == LATE;
        assert_int_equal(tepal_conn_open_pair(&ends[0], &ends[1]), 0);
        tepal_group *group = tepal_group_new();
        int64_t before = tepal_deadline_in_ms(late ? 20 : TEPAL_NEVER);
        assert_int_equal(tepal_spawn(group, endless[way], NULL, NULL), 0);
        if (way >= 4) { /* and who waits behind it */
            assert_int_equal(tepal_spawn(group, write_name, "a", NULL), 0);
            assert_int_equal(tepal_spawn(group, put_large, NULL, NULL), 0);
        }
        settle();
        tepal_deadline_restore(before);
        if (late)
            assert_int_equal(tepal_sleep_ms(20), 0); /* its timer is before ours */
        else if (why == CANCELLED)
            tepal_group_cancel(group);
        tepal_conn_close(ends[0]);
        char octet[100];
        while (tepal_conn_read(ends[1], octet, sizeof(octet)) > 0) /* closed at once */
            continue;
        int rc = tepal_group_wait(group);
        assert_true(rc == -ECANCELED || (late && rc == -ETIMEDOUT));
        tepal_group_close(group);
        tepal_conn_close(ends[1]);
    }
    return 0;
}

static void closed_under_tasks(void **state)
{
    (void)state;
    for (size_t way = 0; way < sizeof(endless) / sizeof(endless[0]); way++)
        assert_int_equal(run_fake(close_under, &way), 0);
}

/* A reader that could read on, cancelled before it has or not: what it waits for has ended. */
static int close_under_the_woken(void *arg)
{
    for (int cancelled = 0; cancelled < 2; cancelled++) {
        assert_int_equal(tepal_conn_open_pair(&ends[0], &ends[1]), 0);
        tepal_group *group = tepal_group_new();
        assert_int_equal(tepal_spawn(group, read_exactly, NULL, NULL), 0);
        settle();
        ends[0]->io.state |= IO_READ;
        conn_on_event(&ends[0]->io);
        if (cancelled)
            tepal_group_cancel(group);
        tepal_conn_close(ends[0]);
        assert_int_equal(tepal_group_wait(group), -ECANCELED);
        tepal_group_close(group);
        tepal_conn_close(ends[1]);
    }
    (void)arg;
    return 0;
}

/* A writer that has been given its turn, the same. */
static int close_under_the_next(void *arg)
{
    for (int cancelled = 0; cancelled < 2; cancelled++) {
        assert_int_equal(tepal_conn_open_pair(&ends[0], &ends[1]), 0);
        tepal_group *first = tepal_group_new(), *second = tepal_group_new();
        assert_int_equal(tepal_spawn(first, write_large, NULL, NULL), 0);
        settle();
        assert_int_equal(tepal_spawn(second, write_name, "a", NULL), 0);
        settle();
        tepal_group_cancel(first);
        assert_int_equal(tepal_sleep_ms(0), 0); /* it leaves, before the second one runs */
        assert_non_null(ends[0]->buffers->writers.next);
        if (cancelled)
            tepal_group_cancel(second);
        tepal_conn_close(ends[0]);
        assert_int_equal(tepal_group_wait(second), -ECANCELED);
        tepal_group_close(first);
        tepal_group_close(second);
        tepal_conn_close(ends[1]);
    }
    (void)arg;
    return 0;
}

static void closed_under_tasks_that_were_woken(void **state)
{
    (void)state;
    assert_int_equal(run_fake(close_under_the_woken, NULL), 0);
    assert_int_equal(run_fake(close_under_the_next, NULL), 0);
}

/* --- Readers ---------------------------------------------------------------------------------- */

static int second_reader(void *arg)
{
    char *line, buffer[10];
    connect_conns(*(int *)arg, ends);
    tepal_group *group = tepal_group_new();
    assert_int_equal(tepal_spawn(group, read_some, NULL, NULL), 0);
    settle();
    assert_int_equal(read_some(NULL), -EBUSY);
    ends[0]->io.state |= IO_READ; /* also when it could go on, and has not had its turn yet */
    assert_int_equal(read_some(NULL), -EBUSY);
    assert_int_equal(tepal_conn_read_line(ends[0], 10, &line), -EBUSY);
    assert_int_equal(tepal_conn_read_exactly(ends[0], buffer, 10), -EBUSY);
    assert_int_equal(tepal_conn_write(ends[1], "abc", 3), 0);
    assert_int_equal(tepal_group_wait(group), 0);
    tepal_group_close(group);
    assert_int_equal(tepal_conn_write(ends[1], "de", 2), 0);
    assert_int_equal(read_some(NULL), 2); /* the place is free */
    tepal_conn_close(ends[0]);
    tepal_conn_close(ends[1]);
    return 0;
}

static void a_second_reader_is_refused(void **state)
{
    (void)state;
    each_family(second_reader);
}

/* --- Given up --------------------------------------------------------------------------------- */

static tepal_listener *listener;
static tepal_udp *udp;

static void ignore_line(tepal_log_level level, const char *text, void *arg)
{
    (void)level, (void)text, (void)arg;
}

static int accept_for_ever(void *arg)
{
    tepal_conn *conn;
    (void)arg;
    return tepal_listener_open_conn(listener, &conn);
}

static int receive_for_ever(void *arg)
{
    char octet;
    (void)arg;
    return (int)tepal_udp_receive(udp, &octet, 1, NULL);
}

/* A task that calls again and again, though it is cancelled, until it is given up. */
static int go_on(void *arg)
{
    tepal_task_fn *fn = *(tepal_task_fn **)arg;
    while (true)
        (void)fn(NULL);
    return 0;
}

/* Those that come after it find no place taken for ever, nor do those that waited behind it. */
static int outlive(void *arg)
{
    char buffer[10];
    tepal_listener_options where = { .host = "127.0.0.1", .port = TEPAL_ANY_PORT };
    assert_int_equal(tepal_conn_open_pair(&ends[0], &ends[1]), 0);
    assert_int_equal(tepal_listener_open(&listener, &where), 0);
    assert_int_equal(tepal_udp_open(&udp, NULL), 0);
    tepal_group *group = tepal_group_new(), *others = tepal_group_new();
    assert_int_equal(tepal_spawn(group, go_on, arg, NULL), 0);
    settle();
    assert_int_equal(tepal_spawn(others, write_name, "a", NULL), 0);
    settle();
    tepal_group_close(group);
    assert_null(ends[0]->io.reader);
    assert_null(listener->sockets[0].io.reader);
    int64_t before = tepal_deadline_in_ms(1);
    assert_int_equal(accept_for_ever(NULL), -ETIMEDOUT);
    assert_int_equal(receive_for_ever(NULL), -ETIMEDOUT);
    tepal_deadline_restore(before);
    for (int i = 0; i < 10; i++) { /* what was written, and who waits behind it */
        while (conn_try_read(ends[1], large, sizeof(large)) > 0)
            continue;
        settle();
    }
    assert_int_equal(tepal_group_wait(others), 0);
    tepal_group_close(others);
    assert_null(ends[0]->io.writer);
    assert_int_equal(tepal_conn_write(ends[0], "b", 1), 0);
    assert_int_equal(tepal_conn_write(ends[1], "c", 1), 0);
    assert_int_equal(tepal_conn_read(ends[0], buffer, sizeof(buffer)), 1);
    tepal_conn_close(ends[0]);
    tepal_conn_close(ends[1]);
    tepal_listener_close(listener);
    tepal_udp_close(udp);
    return 0;
}

/* What is given up keeps its memory, so that runs in a process of its own. */
static void a_task_that_is_given_up_leaves_its_place(void **state)
{
    tepal_task_fn *calls[] = { read_some,   read_exactly, read_line,       receive_fds,
                               write_large, send_fds,     accept_for_ever, receive_for_ever };
    (void)state;
    for (size_t i = 0; i < sizeof(calls) / sizeof(calls[0]); i++) {
        pid_t child = fork();
        int status;
        assert_true(child >= 0);
        if (child == 0) {
            tepal_log_set_fn(ignore_line, NULL);
            _exit(run_fake(outlive, &calls[i]) == 0 ? 0 : 1);
        }
        assert_int_equal(waitpid(child, &status, 0), child);
        assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    }
}

/* --- No octets -------------------------------------------------------------------------------- */

/* 0 is the end, and nothing else. */
static int ask_for_nothing(void *arg)
{
    char buffer[10], *data;
    int fd;
    size_t n = 1;
    assert_int_equal(tepal_conn_open_pair(&ends[0], &ends[1]), 0);
    assert_int_equal(tepal_conn_write(ends[0], "a\nbc", 4), 0);
    for (int i = 0; i < 2; i++) { /* without and with a buffer */
        assert_int_equal(tepal_conn_read(ends[1], buffer, 0), -EINVAL);
        assert_int_equal(tepal_conn_receive_fds(ends[1], buffer, 0, &fd, &n), -EINVAL);
        assert_int_equal(n, 0);
        if (i == 0)
            assert_int_equal(tepal_conn_read_line(ends[1], 10, &data), 1);
    }
    assert_int_equal(tepal_conn_read_exactly(ends[1], buffer, 0), 0);
    assert_int_equal(tepal_conn_read(ends[1], buffer, 10), 2);
    tepal_conn_close(ends[0]);
    assert_int_equal(tepal_conn_read(ends[1], buffer, 0), -EINVAL);
    assert_int_equal(tepal_conn_read(ends[1], buffer, 1), 0);
    tepal_conn_close(ends[1]);
    (void)arg;
    return 0;
}

static void reading_nothing_is_not_the_end(void **state)
{
    (void)state;
    assert_int_equal(run(ask_for_nothing, NULL), 0);
}

#define TEST(name) cmocka_unit_test(name)

/* --- Held back -------------------------------------------------------------------------------- */

static bool is_late, told_to_stop;

/* Goes on though its time is over; so it is held back in some of its calls. */
static int put_for_ever(void *arg)
{
    int rc = 0;
    (void)arg;
    tepal_deadline_in_ms(1);
    assert_int_equal(tepal_sleep_ms(TEPAL_NEVER), -ETIMEDOUT);
    is_late = true;
    while (!told_to_stop) {
        rc = tepal_conn_put(ends[0], "x", 1);
        assert_int_equal(rc, -ETIMEDOUT);
    }
    return 0;
}

static int close_under_one_that_is_held_back(void *arg)
{
    tepal_group *group = tepal_group_new();
    (void)arg;
    is_late = told_to_stop = false;
    assert_int_equal(tepal_conn_open_pair(&ends[0], &ends[1]), 0);
    assert_int_equal(tepal_spawn(group, put_for_ever, NULL, NULL), 0);
    while (!is_late)
        assert_int_equal(tepal_sleep_ms(0), 0);
    assert_true(tepal_conn_interrupt_writers(ends[0])); /* it is in a call */
    told_to_stop = true;
    tepal_conn_close(ends[0]);
    assert_int_equal(tepal_group_wait(group), 0);
    tepal_group_close(group);
    tepal_conn_close(ends[1]);
    return 0;
}

static void closed_under_one_that_is_held_back(void **state)
{
    (void)state;
    assert_int_equal(run(close_under_one_that_is_held_back, NULL), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(messages_stay_whole),
        TEST(first_come_first_served),
        TEST(the_queue_needs_memory),
        TEST(the_buffer_grows_meanwhile),
        TEST(closed_under_tasks),
        TEST(closed_under_tasks_that_were_woken),
        TEST(closed_under_one_that_is_held_back),
        TEST(a_second_reader_is_refused),
        TEST(a_task_that_is_given_up_leaves_its_place),
        TEST(reading_nothing_is_not_the_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
