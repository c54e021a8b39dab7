/* Tests of connections on pipes, in both directions. */
#include "../sockets.h"

#include "net/conn/pipe.h"

#include <signal.h>

static tepal_conn *conns[2]; /* to write to, to read from */

/* A connection to write to, and the descriptor that it is read from; or the other way round. */
static int open_pipe(bool to_write)
{
    int other;
    assert_int_equal(pipe_open(&conns[!to_write], &other, loop_current, to_write), 0);
    assert_true(other > 2);
    assert_int_equal(fcntl(other, F_GETFL) & O_NONBLOCK, 0);
    assert_int_equal(fcntl(other, F_GETFD), FD_CLOEXEC);
    return other;
}

static int read_pipe(void *arg)
{
    char buffer[16];
    int other = open_pipe(false);
    assert_int_equal(write(other, "ping", 4), 4);
    assert_int_equal(tepal_conn_read(conns[1], buffer, 2), 2);
    assert_int_equal(tepal_conn_read(conns[1], buffer + 2, 14), 2);
    assert_memory_equal(buffer, "ping", 4);
    assert_int_equal(tepal_conn_write(conns[1], "x", 1), -EBADF);
    assert_int_equal(write(other, "last", 4), 4);
    close(other);
    assert_int_equal(tepal_conn_read(conns[1], buffer, 4), 4);
    assert_int_equal(tepal_conn_read(conns[1], buffer, 16), 0);
    assert_int_equal(tepal_conn_read(conns[1], buffer, 16), 0);
    tepal_conn_close(conns[1]);
    assert_null(conns[1]);
    (void)arg;
    return 0;
}

static void reads_until_the_end(void **state)
{
    (void)state;
    assert_int_equal(run(read_pipe, NULL), 0);
}

static int write_much(void *arg)
{
    size_t len = 1 << 20;
    char *data = calloc(1, len);
    int rc = tepal_conn_write(conns[0], data, len);
    free(data);
    (void)arg;
    return rc;
}

/* Reads n octets, without blocking the loop for ever. */
static void drain(int fd, size_t n)
{
    char buffer[8192];
    assert_int_equal(fcntl(fd, F_SETFL, O_NONBLOCK), 0);
    while (n > 0) {
        ssize_t some = read(fd, buffer, sizeof(buffer));
        if (some > 0)
            n -= (size_t)some;
        else
            assert_int_equal(tepal_sleep_ms(1), 0);
    }
}

static int write_pipe(void *arg)
{
    char buffer[16];
    int other = open_pipe(true);
    assert_int_equal(tepal_conn_write(conns[0], "ping", 4), 0);
    assert_int_equal(read(other, buffer, 16), 4);
    assert_int_equal(tepal_conn_read(conns[0], buffer, 16), -EBADF);
    tepal_group *group = tepal_group_new(); /* more than a pipe holds */
    assert_int_equal(tepal_spawn(group, write_much, NULL, NULL), 0);
    drain(other, 1 << 20);
    assert_int_equal(tepal_group_wait(group), 0);
    tepal_group_close(group);
    tepal_conn_close(conns[0]);
    assert_int_equal(read(other, buffer, 16), 0);
    close(other);
    (void)arg;
    return 0;
}

static void writes_with_back_pressure(void **state)
{
    (void)state;
    assert_int_equal(run(write_pipe, NULL), 0);
}

/* The reader is gone: an error, no SIGPIPE, and the signal is as it was before. */
static int write_in_vain(void *arg)
{
    signal(SIGPIPE, SIG_DFL);
    int other = open_pipe(true);
    tepal_group *group = tepal_group_new();
    assert_int_equal(tepal_spawn(group, write_much, NULL, NULL), 0);
    settle();
    close(other);
    assert_int_equal(tepal_group_wait(group), -EPIPE);
    tepal_group_close(group);
    assert_int_equal(tepal_conn_write(conns[0], "x", 1), -EPIPE);
    int file = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
    assert_int_equal(tepal_conn_sendfile(conns[0], file, 0, 100), -EPIPE);
    close(file);
    sigset_t now;
    assert_int_equal(sigpending(&now), 0);
    assert_int_equal(sigismember(&now, SIGPIPE), 0);
    pthread_sigmask(SIG_SETMASK, NULL, &now);
    assert_int_equal(sigismember(&now, SIGPIPE), 0);
    tepal_conn_close(conns[0]);
    (void)arg;
    return 0;
}

static void the_reader_goes(void **state)
{
    (void)state;
    assert_int_equal(run(write_in_vain, NULL), 0);
}

static int send_file(void *arg)
{
    char name[] = "/tmp/tepal-test-XXXXXX", buffer[16];
    int file = mkstemp(name), other = open_pipe(true);
    unlink(name);
    assert_int_equal(write(file, "0123456789", 10), 10);
    assert_int_equal(tepal_conn_sendfile(conns[0], file, 3, 5), 0);
    assert_int_equal(read(other, buffer, 16), 5);
    assert_memory_equal(buffer, "34567", 5);
    assert_int_equal(tepal_conn_sendfile(conns[0], file, 8, 5), -EIO);
    close(file);
    close(other);
    tepal_conn_close(conns[0]);
    (void)arg;
    return 0;
}

static void sends_files(void **state)
{
    (void)state;
    assert_int_equal(run(send_file, NULL), 0);
}

/* Ending our side closes the pipe at once; the connection lives on, and keeps its number. */
static int end_side(void *arg)
{
    char buffer[16];
    int other = open_pipe(true);
    assert_int_equal(tepal_conn_write(conns[0], "all", 3), 0);
    tepal_group *group = tepal_group_new();
    assert_int_equal(tepal_conn_shutdown(conns[0]), 0);
    assert_int_equal(read(other, buffer, 16), 3);
    assert_int_equal(read(other, buffer, 16), 0);
    close(other);
    int taken = open("/dev/null", O_RDWR | O_CLOEXEC);
    assert_int_not_equal(taken, conns[0]->io.fd);
    close(taken);
    assert_int_equal(tepal_conn_shutdown(conns[0]), 0);
    assert_int_equal(tepal_conn_write(conns[0], "x", 1), -EPIPE);
    assert_int_equal(tepal_conn_sendfile(conns[0], 0, 0, 1), -EPIPE);
    assert_int_equal(tepal_conn_read(conns[0], buffer, 16), 0);
    tepal_conn_close(conns[0]);
    /* It does not cut what another task writes. */
    other = open_pipe(true);
    assert_int_equal(tepal_spawn(group, write_much, NULL, NULL), 0);
    settle();
    int64_t before = tepal_deadline_in_ms(1);
    assert_int_equal(tepal_conn_shutdown(conns[0]), -ETIMEDOUT);
    tepal_deadline_restore(before);
    drain(other, 1 << 20);
    assert_int_equal(tepal_group_wait(group), 0);
    assert_int_equal(tepal_conn_shutdown(conns[0]), 0);
    close(other);
    tepal_conn_close(conns[0]);
    tepal_group_close(group);
    (void)arg;
    return 0;
}

static void ends_one_side(void **state)
{
    (void)state;
    assert_int_equal(run(end_side, NULL), 0);
}

static int read_for_ever(void *arg)
{
    return (int)tepal_conn_read(conns[1], arg, 10);
}

static int write_for_ever(void *arg)
{
    int rc = 0;
    while (rc == 0)
        rc = write_much(arg);
    return rc;
}

static int interrupt_calls(void *arg)
{
    char buffer[10];
    int to_read = open_pipe(true), to_write = open_pipe(false);
    expect_interruptible(read_for_ever, buffer);
    expect_cancellation(write_for_ever, NULL); /* fills the pipe */
    expect_interruptible(write_much, NULL);
    close(to_read);
    close(to_write);
    tepal_conn_close(conns[0]);
    tepal_conn_close(conns[1]);
    (void)arg;
    return 0;
}

static void every_call_can_be_interrupted(void **state)
{
    (void)state;
    assert_int_equal(run_fake(interrupt_calls, NULL), 0);
}

/* Also in a program that has closed its standard descriptors. */
static int open_low(void *arg)
{
    int kept = dup(0), next = dup(0);
    close(0);
    for (int i = 0; i < 2; i++) {
        int other = open_pipe(i);
        close(other);
        tepal_conn_close(conns[!i]);
    }
    dup2(kept, 0);
    close(kept);
    close(next);
    (void)arg;
    return 0;
}

/* By another task: interrupted, and used as before; then closed. */
static int read_one(void *arg)
{
    char octet;
    (void)arg;
    return (int)tepal_conn_read(conns[1], &octet, 1);
}

static int told_by_others(void *arg)
{
    tepal_task_fn *calls[] = { write_much, read_one };
    for (int reads = 0; reads < 2; reads++) {
        int other = open_pipe(!reads);
        tepal_group *first = tepal_group_new(), *second = tepal_group_new();
        assert_int_equal(tepal_spawn(first, calls[reads], NULL, NULL), 0);
        settle();
        assert_true(reads ? tepal_conn_interrupt_reader(conns[1])
                          : tepal_conn_interrupt_writers(conns[0]));
        assert_int_equal(tepal_group_wait(first), -EINTR);
        if (reads) {
            assert_int_equal(write(other, "x", 1), 1);
            assert_int_equal(read_one(NULL), 1);
        }
        assert_int_equal(tepal_spawn(second, calls[reads], NULL, NULL), 0);
        settle();
        tepal_conn_close(conns[reads]);
        assert_null(conns[reads]);
        assert_int_equal(tepal_group_wait(second), -ECANCELED);
        tepal_group_close(first);
        tepal_group_close(second);
        close(other);
    }
    (void)arg;
    return 0;
}

static void other_tasks_interrupt_and_close(void **state)
{
    (void)state;
    assert_int_equal(run(told_by_others, NULL), 0);
}

static int run_short(void *arg)
{
    int other = -1;
    tepal_conn *conn = NULL;
    mem_fail_nth(1, 0);
    assert_int_equal(pipe_open(&conn, &other, loop_current, true), -ENOMEM);
    mem_fail_nth(0, 0);
    for (int spare = 0; spare < 2; spare++) {
        struct rlimit old = limit_fds(spare);
        int rc = pipe_open(&conn, &other, loop_current, spare);
        put_limit_back(old);
        assert_int_equal(rc, -EMFILE);
    }
    assert_null(conn);
    (void)arg;
    return 0;
}

static void descriptors_and_memory(void **state)
{
    (void)state;
    assert_int_equal(run(open_low, NULL), 0);
    assert_int_equal(run(run_short, NULL), 0);
}

#define TEST(name) cmocka_unit_test(name)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(reads_until_the_end),
        TEST(writes_with_back_pressure),
        TEST(the_reader_goes),
        TEST(sends_files),
        TEST(ends_one_side),
        TEST(every_call_can_be_interrupted),
        TEST(other_tasks_interrupt_and_close),
        TEST(descriptors_and_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
