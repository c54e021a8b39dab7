/* Tests of waiting for descriptors that others own. */
#include "../in_loop.h"

#include <tepal/fd.h>
#include <tepal/net.h>

#include <fcntl.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

static int ends[2];

static int setup(void **state)
{
    (void)state;
    return socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, ends);
}

static int teardown(void **state)
{
    (void)state;
    close(ends[0]);
    close(ends[1]);
    return 0;
}

static int write_soon(void *arg)
{
    (void)arg;
    assert_int_equal(tepal_sleep_ms(1), 0);
    assert_int_equal(write(ends[1], "x", 1), 1);
    return 0;
}

static void spawn(tepal_group *group, tepal_task_fn *fn, void *arg)
{
    assert_int_equal(tepal_spawn(group, fn, arg, NULL), 0);
}

static int read_what_comes(void *arg)
{
    (void)arg;
    char c;
    tepal_group *group = tepal_group_new();
    assert_int_equal(tepal_wait_fd(ends[0], TEPAL_WRITABLE), TEPAL_WRITABLE);
    assert_int_equal(tepal_wait_fd(ends[0], TEPAL_READABLE | TEPAL_WRITABLE), TEPAL_WRITABLE);
    for (int i = 0; i < 3; i++) {
        spawn(group, write_soon, NULL);
        assert_int_equal(tepal_wait_fd(ends[0], TEPAL_READABLE), TEPAL_READABLE);
        assert_int_equal(tepal_wait_fd(ends[0], TEPAL_READABLE | TEPAL_WRITABLE),
                         TEPAL_READABLE | TEPAL_WRITABLE);
        assert_int_equal(read(ends[0], &c, 1), 1);
    }
    tepal_group_close(group);
    return 0;
}

static void ready_and_not_yet(void **state)
{
    (void)state;
    assert_int_equal(run(read_what_comes, NULL), 0);
}

static int drain(int fd)
{
    char buffer[4096];
    ssize_t n, sum = 0;
    while ((n = read(fd, buffer, sizeof(buffer))) > 0)
        sum += n;
    return (int)sum;
}

static int drain_soon(void *arg)
{
    (void)arg;
    assert_int_equal(tepal_sleep_ms(1), 0);
    assert_true(drain(ends[1]) > 0);
    return 0;
}

static int write_when_there_is_room(void *arg)
{
    static const char data[4096];
    (void)arg;
    while (write(ends[0], data, sizeof(data)) > 0)
        continue;
    tepal_group *group = tepal_group_new();
    spawn(group, drain_soon, NULL);
    assert_int_equal(tepal_wait_fd(ends[0], TEPAL_WRITABLE), TEPAL_WRITABLE);
    assert_true(write(ends[0], data, 1) == 1);
    tepal_group_close(group);
    return 0;
}

static void full_and_drained(void **state)
{
    (void)state;
    assert_int_equal(run(write_when_there_is_room, NULL), 0);
}

static int hang_up_soon(void *arg)
{
    (void)arg;
    assert_int_equal(tepal_sleep_ms(1), 0);
    assert_int_equal(shutdown(ends[1], SHUT_RDWR), 0);
    return 0;
}

static int see_the_end(void *arg)
{
    (void)arg;
    char c;
    tepal_group *group = tepal_group_new();
    spawn(group, hang_up_soon, NULL);
    assert_int_equal(tepal_wait_fd(ends[0], TEPAL_READABLE), TEPAL_READABLE);
    assert_int_equal(read(ends[0], &c, 1), 0);
    /* Whatever is waited for. */
    assert_int_equal(tepal_wait_fd(ends[0], TEPAL_URGENT), TEPAL_URGENT);
    tepal_group_close(group);
    return 0;
}

static void the_other_end_hangs_up(void **state)
{
    (void)state;
    assert_int_equal(run(see_the_end, NULL), 0);
}

static int n_woken;

static int wait_and_count(void *arg)
{
    int rc = tepal_wait_fd(*(int *)arg, TEPAL_READABLE);
    n_woken += rc == TEPAL_READABLE;
    return rc < 0 ? rc : 0;
}

static int wait_together(void *arg)
{
    (void)arg;
    tepal_group *group = tepal_group_new();
    n_woken = 0;
    for (int i = 0; i < 3; i++)
        spawn(group, wait_and_count, &ends[0]);
    spawn(group, write_soon, NULL);
    assert_int_equal(tepal_group_wait(group), 0);
    assert_int_equal(n_woken, 3);
    tepal_group_close(group);
    return 0;
}

static void several_wait_for_one(void **state)
{
    (void)state;
    assert_int_equal(run(wait_together, NULL), 0);
}

static int wait_beside_a_conn(void *arg)
{
    (void)arg;
    tepal_conn *a, *b;
    char c;
    assert_int_equal(tepal_conn_open_pair(&a, &b), 0);
    assert_int_equal(tepal_conn_write(b, "x", 1), 0);
    assert_int_equal(tepal_wait_fd(tepal_conn_fd(a), TEPAL_READABLE), TEPAL_READABLE);
    assert_int_equal(tepal_conn_read(a, &c, 1), 1);
    int before = tepal_conn_fd(a);
    tepal_deadline_in_ms(2);
    assert_int_equal(tepal_wait_fd(before, TEPAL_READABLE), -ETIMEDOUT);
    tepal_deadline_restore(TEPAL_NEVER);
    assert_int_equal(tepal_conn_write(b, "y", 1), 0);
    assert_int_equal(tepal_conn_read(a, &c, 1), 1); /* the connection goes on as before */
    tepal_conn_close(a);
    tepal_conn_close(b);
    return 0;
}

static void the_library_watches_it_too(void **state)
{
    (void)state;
    assert_int_equal(run(wait_beside_a_conn, NULL), 0);
}

static int ends_of_waits(void *arg)
{
    (void)arg;
    tepal_group *group = tepal_group_new();
    spawn(group, wait_and_count, &ends[0]);
    assert_int_equal(tepal_sleep_ms(0), 0);
    tepal_group_cancel(group);
    assert_int_equal(tepal_group_wait(group), -ECANCELED);
    tepal_group_close(group);
    tepal_deadline_in_ms(1);
    assert_int_equal(tepal_wait_fd(ends[0], TEPAL_READABLE), -ETIMEDOUT);
    assert_int_equal(tepal_wait_fd(ends[0], TEPAL_WRITABLE), -ETIMEDOUT); /* though it is ready */
    tepal_deadline_restore(TEPAL_NEVER);
    /* Nothing of it is left: another descriptor may have the number. */
    close(ends[0]);
    ends[0] = eventfd(1, EFD_NONBLOCK);
    assert_int_equal(tepal_wait_fd(ends[0], TEPAL_READABLE), TEPAL_READABLE);
    return 0;
}

static void cancelled_and_late(void **state)
{
    (void)state;
    assert_int_equal(run(ends_of_waits, NULL), 0);
}

static int wrong_and_odd(void *arg)
{
    (void)arg;
    assert_int_equal(tepal_wait_fd(ends[0], 0), -EINVAL);
    assert_int_equal(tepal_wait_fd(ends[0], 8), -EINVAL);
    assert_int_equal(tepal_wait_fd(-1, TEPAL_READABLE), -EBADF);
    assert_int_equal(tepal_wait_fd(1 << 20, TEPAL_READABLE), -EBADF);
    int file = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
    assert_int_equal(tepal_wait_fd(file, TEPAL_READABLE), TEPAL_READABLE);
    close(file);
    return 0;
}

static void bad_arguments_and_files(void **state)
{
    (void)state;
    assert_int_equal(run(wrong_and_odd, NULL), 0);
}

static int be_busy(void *arg)
{
    (void)arg;
    for (int i = 0; i < 1000 && n_woken == 0; i++)
        assert_int_equal(tepal_wait_fd(ends[0], TEPAL_WRITABLE), TEPAL_WRITABLE);
    assert_int_equal(n_woken, 1);
    return 0;
}

static int wake_once(void *arg)
{
    (void)arg;
    n_woken++;
    return 0;
}

static int give_way(void *arg)
{
    (void)arg;
    tepal_group *group = tepal_group_new();
    n_woken = 0;
    spawn(group, be_busy, NULL);
    spawn(group, wake_once, NULL);
    assert_int_equal(tepal_group_wait(group), 0);
    tepal_group_close(group);
    return 0;
}

static void ready_all_the_time_lets_others_run(void **state)
{
    (void)state;
    assert_int_equal(run(give_way, NULL), 0);
}

#define FD_TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    static const struct CMUnitTest tests[] = {
        FD_TEST(ready_and_not_yet),          FD_TEST(full_and_drained),
        FD_TEST(the_other_end_hangs_up),     FD_TEST(several_wait_for_one),
        FD_TEST(the_library_watches_it_too), FD_TEST(cancelled_and_late),
        FD_TEST(bad_arguments_and_files),    FD_TEST(ready_all_the_time_lets_others_run),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
