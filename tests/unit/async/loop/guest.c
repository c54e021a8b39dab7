/* Tests of a loop that is a guest of another one. The host here is a loop around poll(). */
#include "../misuse.h"
#include "../report.h"

#include "base/mem.h"

#include <tepal/async.h>

#include <limits.h>
#include <poll.h>
#include <pthread.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

static tepal_loop *guest;
static int fds_before;

static int setup(void **state)
{
    (void)state;
    loop_current = NULL;
    fds_before = count_fds();
    assert_int_equal(tepal_loop_open(&guest), 0);
    assert_non_null(guest);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    tepal_loop_close(guest);
    assert_null(loop_current);
    assert_int_equal(count_fds(), fds_before);
    return 0;
}

/* The way of the host: waits for what the guest waits for, at most for ten seconds. Returns whether
 * that was the descriptor. */
static bool host_waits(void)
{
    int64_t ms = tepal_loop_next_ms(guest);
    struct pollfd fd = { .fd = tepal_loop_fd(guest), .events = POLLIN };
    assert_true(ms >= 0);
    int n = poll(&fd, 1, ms > 10000 ? 10000 : (int)ms);
    assert_true(n > 0 || ms <= 10000); /* else nothing came at all */
    return n > 0;
}

static void host_runs(void)
{
    while (tepal_loop_turn(guest) > 0)
        host_waits();
}

static void start(tepal_task_fn *fn, const void *arg)
{
    assert_int_equal(tepal_loop_spawn(guest, fn, arg, NULL), 0);
}

/* --- When the next turn is due ---------------------------------------------------------------- */

static int n_done;

static int count_up(void *arg)
{
    (void)arg;
    n_done++;
    return 0;
}

static int sleep_for(void *arg)
{
    int rc = tepal_sleep_ms(*(const int64_t *)arg);
    n_done += rc == 0;
    return rc;
}

static void when_the_next_turn_is_due(void **state)
{
    (void)state;
    static const int64_t naps[] = { 3600000, 500000 };
    n_done = 0;
    assert_true(tepal_loop_next_ms(guest) == TEPAL_NEVER);
    assert_int_equal(tepal_loop_turn(guest), 0);
    start(count_up, NULL);
    assert_int_equal(n_done, 0); /* not before its turn */
    assert_int_equal(tepal_loop_next_ms(guest), 0);
    assert_int_equal(tepal_loop_turn(guest), 0);
    assert_int_equal(n_done, 1);
    start(sleep_for, &naps[0]);
    assert_int_equal(tepal_loop_turn(guest), 1);
    int64_t ms = tepal_loop_next_ms(guest);
    assert_true(ms > 0 && ms <= 3600001);
    start(sleep_for, &naps[1]);
    assert_int_equal(tepal_loop_turn(guest), 2);
    ms = tepal_loop_next_ms(guest);
    assert_true(ms > 0 && ms <= 500001);
}

static int three_naps(void *arg)
{
    (void)arg;
    for (int i = 0; i < 3; i++) {
        int64_t before = tepal_now_us();
        assert_int_equal(tepal_sleep_ms(2), 0);
        assert_true(tepal_now_us() - before >= 2000);
        before = tepal_now_us();
        assert_int_equal(tepal_sleep_us(300), 0);
        assert_true(tepal_now_us() - before >= 300);
    }
    n_done++;
    return 0;
}

static void time_passes(void **state)
{
    (void)state;
    n_done = 0;
    start(three_naps, NULL);
    start(three_naps, NULL);
    host_runs();
    assert_int_equal(n_done, 2);
}

/* A timer that has become due while the host waited fires in the first turn after. */
static void late_is_at_once(void **state)
{
    (void)state;
    static const int64_t nap = 1;
    n_done = 0;
    start(sleep_for, &nap);
    assert_int_equal(tepal_loop_turn(guest), 1);
    usleep(10000);
    assert_int_equal(tepal_loop_next_ms(guest), 0);
    assert_int_equal(tepal_loop_turn(guest), 0);
    assert_int_equal(n_done, 1);
}

/* --- What happens outside --------------------------------------------------------------------- */

static int ends[2];

static int read_one(void *arg)
{
    char c;
    (void)arg;
    assert_int_equal(tepal_wait_fd(ends[0], TEPAL_READABLE), TEPAL_READABLE);
    assert_int_equal(read(ends[0], &c, 1), 1);
    n_done++;
    return 0;
}

static void descriptors(void **state)
{
    (void)state;
    n_done = 0;
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, ends), 0);
    start(read_one, NULL);
    assert_int_equal(tepal_loop_turn(guest), 1);
    assert_true(tepal_loop_next_ms(guest) == TEPAL_NEVER);
    assert_int_equal(tepal_loop_turn(guest), 1); /* one too many is harmless */
    assert_int_equal(write(ends[1], "x", 1), 1);
    assert_true(host_waits());
    assert_int_equal(tepal_loop_turn(guest), 0);
    assert_int_equal(n_done, 1);
    close(ends[0]);
    close(ends[1]);
}

static void spawn_one(void *arg)
{
    (void)arg;
    start(count_up, NULL);
}

static void *call_from_a_thread(void *arg)
{
    (void)arg;
    assert_int_equal(tepal_loop_call(guest, spawn_one, NULL), 0);
    return NULL;
}

static void other_threads(void **state)
{
    (void)state;
    pthread_t thread;
    n_done = 0;
    assert_int_equal(pthread_create(&thread, NULL, call_from_a_thread, NULL), 0);
    while (n_done == 0) {
        host_waits();
        host_runs();
    }
    pthread_join(thread, NULL);
    /* The host itself. */
    assert_ptr_equal(tepal_loop_current(), guest);
    assert_int_equal(tepal_loop_call(guest, spawn_one, NULL), 0);
    assert_int_equal(tepal_loop_next_ms(guest), 0);
    host_runs();
    assert_int_equal(n_done, 2);
}

static int count_in_thread(void *arg)
{
    (*(int *)arg)++;
    return 7;
}

static int offload_some(void *arg)
{
    for (int i = 0; i < 10; i++)
        assert_int_equal(tepal_offload(count_in_thread, arg), 7);
    return 0;
}

static void offloads(void **state)
{
    (void)state;
    int n = 0;
    start(offload_some, &n);
    host_runs();
    assert_int_equal(n, 10);
}

/* --- From outside of a task ------------------------------------------------------------------- */

static int receive_two(void *arg)
{
    int item;
    for (int i = 0; i < 2; i++) {
        assert_int_equal(tepal_channel_receive(arg, &item), 0);
        n_done += item;
    }
    return 0;
}

static void the_host_sends(void **state)
{
    (void)state;
    tepal_channel *channel = tepal_channel_new(sizeof(int), 1);
    n_done = 0;
    start(receive_two, channel);
    assert_int_equal(tepal_loop_turn(guest), 1);
    assert_int_equal(tepal_channel_try_send(channel, &(int){ 3 }), 0);
    assert_int_equal(tepal_loop_next_ms(guest), 0);
    assert_int_equal(tepal_loop_turn(guest), 1);
    assert_int_equal(n_done, 3);
    assert_int_equal(tepal_channel_try_send(channel, &(int){ 4 }), 0);
    assert_int_equal(tepal_loop_turn(guest), 0);
    assert_int_equal(n_done, 7);
    tepal_channel_close(channel);
}

static int spawn_within(void *arg)
{
    (void)arg;
    (void)tepal_deadline_in_ms(0);
    start(three_naps, NULL); /* which are not cut short */
    return 0;
}

static void a_task_of_its_own(void **state)
{
    (void)state;
    n_done = 0;
    start(spawn_within, NULL);
    host_runs();
    assert_int_equal(n_done, 1);
    assert_int_equal(
        tepal_loop_spawn(guest, count_up, NULL, &(tepal_spawn_options){ .arg_size = 8 }), -EINVAL);
    mem_fail_nth(1, 1);
    int rc = 0;
    for (int i = 0; i < 1000 && rc == 0; i++) /* some stacks are there already */
        rc = tepal_loop_spawn(guest, count_up, NULL, NULL);
    mem_fail_nth(0, 0);
    assert_true(rc == 0 || rc == -ENOMEM);
    host_runs();
}

/* --- Turns are short -------------------------------------------------------------------------- */

static bool stop;

static int go_on(void *arg)
{
    (void)arg;
    while (!stop)
        assert_int_equal(tepal_sleep_ms(0), 0);
    return 0;
}

static void a_turn_ends_though_tasks_go_on(void **state)
{
    (void)state;
    stop = false;
    start(go_on, NULL);
    start(go_on, NULL);
    for (int i = 0; i < 10; i++) {
        assert_int_equal(tepal_loop_turn(guest), 2);
        assert_int_equal(tepal_loop_next_ms(guest), 0);
    }
    stop = true;
    host_runs();
}

/* --- The end ---------------------------------------------------------------------------------- */

static int return_it(void *arg)
{
    return *(const int *)arg;
}

static void failures_are_logged(void **state)
{
    (void)state;
    static const int error = -EIO;
    report_clear();
    tepal_log_set_fn(report_log, NULL);
    assert_int_equal(
        tepal_loop_spawn(guest, return_it, &error, &(tepal_spawn_options){ .name = "poor" }), 0);
    host_runs();
    tepal_log_set_fn(NULL, NULL);
    expect_reported("task \"poor\" failed: Input/output error");
}

static int wait_until_cancelled(void *arg)
{
    *(int *)arg = tepal_sleep_ms(TEPAL_NEVER);
    assert_int_equal(tepal_loop_spawn(guest, count_up, NULL, NULL), -ECANCELED);
    int64_t before = tepal_shield_begin_ms(1000);
    assert_int_equal(tepal_sleep_ms(1), 0);
    tepal_shield_end(before);
    n_done++;
    return -ECANCELED;
}

static void closing_cancels_and_waits(void **state)
{
    (void)state;
    int result[2] = { 1, 1 };
    n_done = 0;
    start(wait_until_cancelled, &result[0]);
    assert_int_equal(tepal_loop_turn(guest), 1);
    start(wait_until_cancelled, &result[1]); /* has not begun */
    tepal_loop_close(guest);
    assert_null(loop_current);
    assert_int_equal(n_done, 2);
    assert_int_equal(result[0], -ECANCELED);
    assert_int_equal(result[1], -ECANCELED);
    assert_int_equal(tepal_loop_open(&guest), 0); /* and again */
    tepal_loop_close(NULL);
}

static void one_loop_in_a_thread(void **state)
{
    (void)state;
    tepal_loop *second = guest;
    assert_int_equal(tepal_loop_open(&second), -EBUSY);
    assert_null(second);
    assert_int_equal(tepal_main(count_up, NULL), -EBUSY);
    host_runs();
}

static void short_of_memory_and_descriptors(void **state)
{
    (void)state;
    tepal_loop *loop;
    int before = count_fds();
    for (size_t n = 1;; n++) {
        mem_fail_nth(n, 0);
        int rc = tepal_loop_open(&loop);
        bool failed = mem_failures() > 0;
        mem_fail_nth(0, 0);
        assert_true(rc == 0 || (failed && rc == -ENOMEM && !loop));
        tepal_loop_close(loop);
        assert_int_equal(count_fds(), before);
        if (!failed)
            break;
    }
    struct rlimit old, tight;
    getrlimit(RLIMIT_NOFILE, &old);
    for (rlim_t more = 0; more < 2; more++) {
        int free_fd = dup(0);
        close(free_fd);
        tight = old;
        tight.rlim_cur = (rlim_t)free_fd + more;
        setrlimit(RLIMIT_NOFILE, &tight);
        int rc = tepal_loop_open(&loop);
        setrlimit(RLIMIT_NOFILE, &old);
        assert_int_equal(rc, -EMFILE);
        assert_null(loop);
        assert_null(loop_current);
    }
}

/* --- fork() ----------------------------------------------------------------------------------- */

static int write_one(void *arg)
{
    (void)arg;
    assert_int_equal(write(ends[1], "x", 1), 1);
    return 0;
}

/* In the child: 0 when all is as it should be. */
static int live_in_child(void)
{
    tepal_loop_close(guest);
    if (loop_current || tepal_loop_open(&guest) < 0)
        return 1;
    n_done = 0;
    start(count_up, NULL);
    host_runs();
    tepal_loop_close(guest);
    return n_done == 1 ? 0 : 2;
}

static void a_child_goes_on_by_itself(void **state)
{
    (void)state;
    int status;
    n_done = 0;
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, ends), 0);
    start(read_one, NULL);
    assert_int_equal(tepal_loop_turn(guest), 1);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0)
        _exit(live_in_child());
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    start(write_one, NULL); /* the parent knows nothing of it */
    host_runs();
    assert_int_equal(n_done, 1);
    close(ends[0]);
    close(ends[1]);
}

/* --- Misuse ----------------------------------------------------------------------------------- */

/* Each in a process of its own, in which main's loop has been left. */
static void open_guest(void)
{
    loop_current = NULL;
    if (tepal_loop_open(&guest) < 0)
        _exit(1);
}

static int turn_nothing(void *arg)
{
    (void)arg;
    return (int)tepal_loop_turn(NULL);
}

static int turn_that_of_main(void *arg)
{
    (void)arg;
    return (int)tepal_loop_turn(tepal_loop_current());
}

static int turn_guest(void *arg)
{
    (void)arg;
    return (int)tepal_loop_turn(guest);
}

static int close_guest(void *arg)
{
    (void)arg;
    tepal_loop_close(guest);
    return 0;
}

static int turn_within(void *arg)
{
    open_guest();
    start(arg ? close_guest : turn_guest, NULL);
    return (int)tepal_loop_turn(guest);
}

static int close_within(void *arg)
{
    return turn_within(&arg);
}

static void turn_in_call(void *arg)
{
    (void)arg;
    tepal_loop_turn(guest);
}

static int turn_within_a_call(void *arg)
{
    (void)arg;
    open_guest();
    tepal_loop_call(guest, turn_in_call, NULL);
    return (int)tepal_loop_turn(guest);
}

static int sleep_outside(void *arg)
{
    (void)arg;
    open_guest();
    return tepal_sleep_ms(1);
}

static int fake_its_clock(void *arg)
{
    (void)arg;
    open_guest();
    tepal_clock_fake();
    return 0;
}

static void *turn_in_thread(void *arg)
{
    (void)arg;
    tepal_loop_turn(guest);
    return NULL;
}

static int turn_elsewhere(void *arg)
{
    pthread_t thread;
    (void)arg;
    open_guest();
    pthread_create(&thread, NULL, turn_in_thread, NULL);
    pthread_join(thread, NULL);
    return 0;
}

static int turn_in_a_child(void *arg)
{
    int status;
    (void)arg;
    open_guest();
    pid_t child = fork();
    if (child == 0)
        tepal_loop_turn(guest);
    waitpid(child, &status, 0);
    abort();
}

static void wrong_use_is_told(void **state)
{
    (void)state;
    expect_misuse(turn_nothing, "tepal_loop_turn: the loop is NULL");
    expect_misuse(turn_that_of_main, "tepal_loop_turn: the loop is not one of tepal_loop_open()");
    expect_misuse(turn_within, "tepal_loop_turn: called by what this loop runs itself");
    expect_misuse(close_within, "tepal_loop_close: called by what this loop runs itself");
    expect_misuse(turn_within_a_call, "tepal_loop_turn: called by what this loop runs itself");
    expect_misuse(sleep_outside, "tepal_sleep_ms: must be called from a task");
    expect_misuse(fake_its_clock, "tepal_clock_fake: the time of a loop of tepal_loop_open() is");
    expect_misuse(turn_elsewhere, "tepal_loop_turn: the loop is another thread's");
    expect_misuse(turn_in_a_child, "tepal_loop_turn: a child of fork() has no loop; it may close");
}

#define GUEST_TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    static const struct CMUnitTest tests[] = {
        GUEST_TEST(when_the_next_turn_is_due),
        GUEST_TEST(time_passes),
        GUEST_TEST(late_is_at_once),
        GUEST_TEST(descriptors),
        GUEST_TEST(other_threads),
        GUEST_TEST(offloads),
        GUEST_TEST(the_host_sends),
        GUEST_TEST(a_task_of_its_own),
        GUEST_TEST(a_turn_ends_though_tasks_go_on),
        GUEST_TEST(failures_are_logged),
        GUEST_TEST(closing_cancels_and_waits),
        GUEST_TEST(one_loop_in_a_thread),
        cmocka_unit_test(short_of_memory_and_descriptors),
        GUEST_TEST(a_child_goes_on_by_itself),
        cmocka_unit_test(wrong_use_is_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
