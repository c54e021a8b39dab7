/* Tests of what only Unix sockets can do: pairs, credentials, and passing descriptors. */
#include "../sockets.h"

#include <sys/mman.h>
#include <sys/stat.h>

static void make_pair(tepal_conn **ends)
{
    assert_int_equal(tepal_conn_open_pair(&ends[0], &ends[1]), 0);
}

static void close_pair(tepal_conn **ends)
{
    tepal_conn_close(ends[0]);
    tepal_conn_close(ends[1]);
}

/* --- Pairs and credentials -------------------------------------------------------------------- */

static int pairs(void *arg)
{
    tepal_conn *ends[2];
    char buffer[10];
    make_pair(ends);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(tepal_conn_write(ends[i], "hello", 5), 0);
        assert_int_equal(tepal_conn_read(ends[1 - i], buffer, 10), 5);
        assert_true(fcntl(tepal_conn_fd(ends[i]), F_GETFD) & FD_CLOEXEC);
    }
    tepal_credentials found;
    assert_int_equal(tepal_conn_credentials(ends[0], &found), 0);
    assert_int_equal(found.pid, getpid());
    assert_int_equal(found.uid, getuid());
    assert_int_equal(found.gid, getgid());
    close_pair(ends);
    connect_conns(AF_INET, ends);
    assert_int_equal(tepal_conn_credentials(ends[0], &found), -EOPNOTSUPP);
    close_pair(ends);
    for (size_t nth = 1; nth <= 2; nth++) {
        mem_fail_nth(nth, 0);
        assert_int_equal(tepal_conn_open_pair(&ends[0], &ends[1]), -ENOMEM);
        mem_fail_nth(0, 0);
    }
    (void)arg;
    return 0;
}

static void pair_and_credentials(void **state)
{
    (void)state;
    assert_int_equal(run(pairs, NULL), 0);
}

/* --- Passing descriptors ---------------------------------------------------------------------- */

/* The descriptors are copies of one of ours, and close-on-exec. */
static void check_fds(const int *fds, size_t n, int original)
{
    struct stat a, b;
    assert_int_equal(fstat(original, &a), 0);
    for (size_t i = 0; i < n; i++) {
        assert_int_equal(fstat(fds[i], &b), 0);
        assert_true(a.st_ino == b.st_ino && a.st_dev == b.st_dev);
        assert_true(fcntl(fds[i], F_GETFD) & FD_CLOEXEC);
        close(fds[i]);
    }
}

static int pass_some(void *arg)
{
    enum { MAX = TEPAL_MAX_PASSED_FDS };
    tepal_conn *ends[2];
    char buffer[16];
    int out[MAX + 1], in[MAX];
    int file = memfd_create("passed", MFD_CLOEXEC);
    for (int i = 0; i <= MAX; i++)
        out[i] = file;
    make_pair(ends);
    for (size_t sent = 1; sent <= MAX; sent += sent == 1 ? 1 : MAX - 2) {
        size_t n = MAX;
        assert_int_equal(tepal_conn_send_fds(ends[0], out, sent, "abc", 3), 0);
        assert_int_equal(tepal_conn_receive_fds(ends[1], buffer, 16, in, &n), 3);
        assert_int_equal(n, sent);
        check_fds(in, n, file);
    }
    assert_int_equal(tepal_conn_send_fds(ends[0], out, MAX + 1, "abc", 3), -EINVAL);
    assert_int_equal(tepal_conn_send_fds(ends[0], out, 0, "abc", 3), -EINVAL);
    assert_int_equal(tepal_conn_send_fds(ends[0], out, 1, "", 0), -EINVAL);
    out[0] = 12345;
    assert_int_equal(tepal_conn_send_fds(ends[0], out, 1, "abc", 3), -EBADF);
    out[0] = file;
    /* Octets without any, the order among what was put, and the end. */
    size_t n = MAX;
    assert_int_equal(tepal_conn_put(ends[0], "1", 1), 0);
    assert_int_equal(tepal_conn_send_fds(ends[0], out, 2, "23", 2), 0);
    assert_int_equal(tepal_conn_write(ends[0], "4", 1), 0);
    assert_int_equal(tepal_conn_receive_fds(ends[1], buffer, 1, in, &n), 1);
    assert_int_equal(n, 0);
    n = 2;
    assert_int_equal(tepal_conn_receive_fds(ends[1], buffer, 1, in, &n), 1);
    assert_int_equal(n, 2);
    check_fds(in, n, file);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(tepal_conn_receive_fds(ends[1], buffer, 1, in, &n), 1);
        assert_int_equal(n, 0);
        assert_int_equal(buffer[0], "34"[i]);
    }
    assert_int_equal(tepal_conn_shutdown(ends[0]), 0);
    assert_int_equal(tepal_conn_receive_fds(ends[1], buffer, 16, in, &n), 0);
    assert_int_equal(n, 0);
    close_pair(ends);
    close(file);
    (void)arg;
    return 0;
}

static void descriptors_are_passed(void **state)
{
    (void)state;
    assert_int_equal(run(pass_some, NULL), 0);
}

/* More than there is room for, or than this process may have: all are closed. run() counts. */
static int too_many(void *arg)
{
    tepal_conn *ends[2];
    char buffer[16];
    int out[8], in[8];
    for (int i = 0; i < 8; i++)
        out[i] = 0;
    make_pair(ends);
    for (size_t room = 0; room < 8; room++) {
        size_t n = room;
        int before = count_fds();
        assert_int_equal(tepal_conn_send_fds(ends[0], out, 8, "abc", 3), 0);
        assert_int_equal(tepal_conn_receive_fds(ends[1], buffer, 16, in, &n), -EMSGSIZE);
        assert_int_equal(n, 0);
        assert_int_equal(count_fds(), before);
    }
    size_t n = 8; /* and the connection goes on */
    assert_int_equal(tepal_conn_send_fds(ends[0], out, 1, "abc", 3), 0);
    assert_int_equal(tepal_conn_receive_fds(ends[1], buffer, 16, in, &n), 3);
    assert_int_equal(n, 1);
    close(in[0]);
    close_pair(ends);
    (void)arg;
    return 0;
}

static void none_leaks(void **state)
{
    (void)state;
    assert_int_equal(run(too_many, NULL), 0);
}

/* The descriptors that this process may have run out. */
static int limited(void *arg)
{
    tepal_conn *ends[2], *more[2];
    char buffer[16];
    int out[8] = { 0 }, in[8];
    make_pair(ends);
    for (int spare = 0; spare < 8; spare += 7) {
        size_t n = 8;
        int before = count_fds();
        assert_int_equal(tepal_conn_send_fds(ends[0], out, 8, "abc", 3), 0);
        struct rlimit limit = limit_fds(spare);
        assert_int_equal(tepal_conn_receive_fds(ends[1], buffer, 16, in, &n), -EMFILE);
        put_limit_back(limit);
        assert_int_equal(n, 0);
        assert_int_equal(count_fds(), before);
    }
    for (int spare = 0; spare < 2; spare++) {
        struct rlimit limit = limit_fds(spare);
        assert_int_equal(tepal_conn_open_pair(&more[0], &more[1]), -EMFILE);
        put_limit_back(limit);
    }
    close_pair(ends);
    (void)arg;
    return 0;
}

static void out_of_descriptors(void **state)
{
    (void)state;
    if (RUNNING_ON_VALGRIND)
        skip(); /* it keeps limits of its own */
    assert_int_equal(run(limited, NULL), 0);
}

/* Other calls that read drop them, and do not stop where they were. */
static int passed_over(void *arg)
{
    tepal_conn *ends[2];
    char buffer[64], *line;
    int out = 0, in[1];
    make_pair(ends);
    for (int i = 0; i < 3; i++) {
        size_t got = 0;
        for (int k = 0; k < 3; k++)
            assert_int_equal(tepal_conn_send_fds(ends[0], &out, 1, "ab\n", 3), 0);
        settle(); /* the edges are over before anything is read */
        while (got < 9 && i == 0)
            got += (size_t)tepal_conn_read(ends[1], buffer, 64);
        for (int k = 0; k < 3 && i == 1; k++)
            assert_int_equal(tepal_conn_read_line(ends[1], 10, &line), 2);
        if (i == 2)
            assert_int_equal(tepal_conn_read_exactly(ends[1], buffer, 9), 0);
    }
    /* What was read ahead comes first. */
    size_t n = 1;
    assert_int_equal(tepal_conn_write(ends[0], "line\nx", 6), 0);
    assert_int_equal(tepal_conn_read_line(ends[1], 10, &line), 4);
    assert_int_equal(tepal_conn_send_fds(ends[0], &out, 1, "y", 1), 0);
    assert_int_equal(tepal_conn_receive_fds(ends[1], buffer, 64, in, &n), 1);
    assert_int_equal(buffer[0], 'x');
    assert_int_equal(n, 0);
    n = 1;
    assert_int_equal(tepal_conn_receive_fds(ends[1], buffer, 64, in, &n), 1);
    assert_int_equal(buffer[0], 'y');
    assert_int_equal(n, 1);
    close(in[0]);
    /* Descriptors that nobody receives go with the connection. */
    assert_int_equal(tepal_conn_send_fds(ends[0], &out, 1, "z", 1), 0);
    close_pair(ends);
    connect_conns(AF_INET, ends);
    assert_int_equal(tepal_conn_send_fds(ends[0], &out, 1, "z", 1), -EOPNOTSUPP);
    assert_int_equal(tepal_conn_receive_fds(ends[1], buffer, 64, in, &n), -EOPNOTSUPP);
    close_pair(ends);
    (void)arg;
    return 0;
}

static void other_calls_drop_them(void **state)
{
    (void)state;
    assert_int_equal(run(passed_over, NULL), 0);
}

/* --- Interruption ----------------------------------------------------------------------------- */

static int receive_once(void *arg)
{
    char buffer[16];
    int in[4];
    size_t n = 4;
    ssize_t got = tepal_conn_receive_fds(arg, buffer, 16, in, &n);
    for (size_t i = 0; i < n; i++)
        close(in[i]);
    return (int)got;
}

static int send_for_ever(void *arg)
{
    static char data[100000];
    int out = 0, rc;
    while ((rc = tepal_conn_send_fds(arg, &out, 1, data, sizeof(data))) == 0)
        continue;
    return rc;
}

static int interrupt_all(void *arg)
{
    tepal_conn *ends[2];
    make_pair(ends);
    expect_interruptible(receive_once, ends[0]);
    expect_interruptible(send_for_ever, ends[0]);
    int out = 0;
    assert_int_equal(tepal_conn_send_fds(ends[1], &out, 1, "abc", 3), 0);
    expect_refusal(receive_once, ends[0]);
    assert_int_equal(receive_once(ends[0]), 3);
    close_pair(ends);
    (void)arg;
    return 0;
}

static void every_call_can_be_interrupted(void **state)
{
    (void)state;
    assert_int_equal(run_fake(interrupt_all, NULL), 0);
}

static int peer_goes(void *arg)
{
    tepal_conn *ends[2];
    int out = 0;
    make_pair(ends);
    tepal_group *group = tepal_group_new();
    assert_int_equal(tepal_spawn(group, send_for_ever, ends[0], NULL), 0);
    settle();
    tepal_conn_close(ends[1]);
    assert_int_equal(tepal_group_wait(group), -EPIPE);
    assert_int_equal(tepal_conn_send_fds(ends[0], &out, 1, "abc", 3), -EPIPE);
    tepal_group_close(group);
    tepal_conn_close(ends[0]);
    (void)arg;
    return 0;
}

static void the_peer_vanishes(void **state)
{
    (void)state;
    assert_int_equal(run(peer_goes, NULL), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pair_and_credentials),
        cmocka_unit_test(descriptors_are_passed),
        cmocka_unit_test(none_leaks),
        cmocka_unit_test(out_of_descriptors),
        cmocka_unit_test(other_calls_drop_them),
        cmocka_unit_test(every_call_can_be_interrupted),
        cmocka_unit_test(the_peer_vanishes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
