/* Tests of the loop: its life, its turns and its clock. */
#include "../in_loop.h"

#include <tepal/net.h>

#include <unistd.h>

#include "base/mem.h"

#include <pthread.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

static int return_arg(void *arg)
{
    return *(int *)arg;
}

static void result_of_main(void **state)
{
    (void)state;
    int results[] = { 0, 7, -EPIPE, TEPAL_EMESSAGE };
    for (int i = 0; i < 4; i++)
        assert_int_equal(run(return_arg, &results[i]), results[i]);
}

static int nested(void *arg)
{
    struct loop *loop = loop_current;
    assert_int_equal(tepal_main(return_arg, arg), -EBUSY);
    assert_ptr_equal(loop_current, loop);
    assert_int_equal(tepal_sleep_ms(0), 0);
    return 5;
}

static void nested_main_is_busy(void **state)
{
    (void)state;
    assert_int_equal(run(nested, NULL), 5);
}

static void no_memory_to_start(void **state)
{
    (void)state;
    int result = 3;
    for (size_t n = 1;; n++) {
        mem_fail_nth(n, 0);
        int rc = run(return_arg, &result);
        if (mem_failures() == 0) {
            assert_int_equal(rc, 3);
            assert_true(n > 3);
            break;
        }
        /* The signal stack alone is no need. */
        assert_true(rc == -ENOMEM || rc == 3);
    }
    mem_fail_nth(0, 0);
}

static void no_descriptors_to_start(void **state)
{
    (void)state;
    struct rlimit old, tight;
    int result = 3;
    getrlimit(RLIMIT_NOFILE, &old);
    int free_fd = dup(0);
    close(free_fd);
    tight = old;
    tight.rlim_cur = (rlim_t)free_fd;
    setrlimit(RLIMIT_NOFILE, &tight);
    int rc = tepal_main(return_arg, &result);
    setrlimit(RLIMIT_NOFILE, &old);
    assert_int_equal(rc, -EMFILE);
    assert_null(loop_current);
    assert_int_equal(run(return_arg, &result), 3);
}

/* --- What still runs when the first task ends ------------------------------------------------- */

static int n_cancelled;

static int sleep_for_ever(void *arg)
{
    (void)arg;
    if (tepal_sleep_ms(TEPAL_NEVER) == -ECANCELED)
        n_cancelled++;
    return 0;
}

static tepal_group *left_open[4];

/* A task that, cancelled, leaves one more behind. */
static int leave_one_more(void *arg)
{
    sleep_for_ever(arg);
    left_open[2] = tepal_group_new();
    return tepal_spawn(left_open[2], sleep_for_ever, NULL, NULL);
}

static int leave_tasks_behind(void *arg)
{
    left_open[0] = tepal_group_new();
    left_open[1] = tepal_group_new();
    assert_int_equal(tepal_spawn(left_open[0], sleep_for_ever, NULL, NULL), 0);
    assert_int_equal(tepal_spawn(left_open[0], sleep_for_ever, NULL, NULL), 0);
    assert_int_equal(tepal_spawn(left_open[1], leave_one_more, NULL, NULL), 0);
    if (arg)
        settle(); /* else they have not even begun */
    return 9;
}

static void main_cancels_and_joins_the_rest(void **state)
{
    (void)state;
    for (int begun = 0; begun < 2; begun++) {
        n_cancelled = 0;
        assert_int_equal(run(leave_tasks_behind, begun ? "" : NULL), 9);
        assert_int_equal(n_cancelled, 4);
        for (int i = 0; i < 3; i++)
            free(left_open[i]); /* the mistake of the tasks above */
    }
}

/* --- Parts of higher layers ------------------------------------------------------------------- */

static struct loop_part first, second;
static struct loop_part *closed[3];
static int n_closed;

static void close_part(struct loop_part *part)
{
    assert_non_null(loop_current); /* all of the loop is still there */
    assert_int_equal(loop_current->n_tasks, 0);
    closed[n_closed++] = part;
}

static void close_first(struct loop_part *part)
{
    close_part(part);
}

static void close_second(struct loop_part *part)
{
    close_part(part);
}

static int add_parts(void *arg)
{
    struct loop *loop = loop_current;
    first.close = close_first;
    second.close = close_second;
    assert_null(loop_find_part(loop, close_first));
    loop_add_part(loop, &first);
    assert_ptr_equal(loop_find_part(loop, close_first), &first);
    assert_null(loop_find_part(loop, close_second));
    loop_add_part(loop, &second);
    assert_ptr_equal(loop_find_part(loop, close_first), &first);
    assert_ptr_equal(loop_find_part(loop, close_second), &second);
    assert_int_equal(n_closed, 0);
    (void)arg;
    return 0;
}

static void parts_are_closed_with_the_loop(void **state)
{
    (void)state;
    n_closed = 0;
    assert_int_equal(run(add_parts, NULL), 0);
    assert_int_equal(n_closed, 2);
    assert_ptr_equal(closed[0], &second);
    assert_ptr_equal(closed[1], &first);
}

/* --- Clocks ----------------------------------------------------------------------------------- */

static int sleep_an_hour(void *arg)
{
    (void)arg;
    int64_t before = tepal_now_ms();
    assert_true(tepal_now_us() / 1000 == before);
    assert_int_equal(tepal_sleep_ms(3600 * 1000), 0);
    assert_true(tepal_now_ms() == before + 3600 * 1000);
    assert_int_equal(tepal_sleep_ms((int64_t)365 * 24 * 3600 * 1000), 0);
    return 0;
}

static int wait_for_bell(void *arg);

/* A timer that was cancelled does not move the clock. */
static int wait_beside_a_cancelled_timer(void *arg)
{
    static struct timer timer;
    int64_t before = tepal_now_ms();
    timer_init(&timer, NULL);
    timer_set(&loop_current->timers, &timer, before + 1000);
    timer_cancel(&timer);
    assert_int_equal(wait_for_bell(arg), 0);
    assert_true(tepal_now_ms() == before);
    return 0;
}

/* While a task waits for something outside, a fake hour is an hour. */
static int wait_outside(void *arg)
{
    tepal_group *group = tepal_group_new();
    int64_t before = tepal_now_ms();
    assert_int_equal(tepal_spawn(group, sleep_an_hour, NULL, NULL), 0);
    loop_current->n_outside++;
    assert_int_equal(wait_for_bell(arg), 0);
    assert_true(tepal_now_ms() == before);
    struct timespec begin, end;
    clock_gettime(CLOCK_MONOTONIC, &begin);
    assert_int_equal(tepal_sleep_ms(20), 0);
    clock_gettime(CLOCK_MONOTONIC, &end);
    assert_true((end.tv_sec - begin.tv_sec) * 1000 + (end.tv_nsec - begin.tv_nsec) / 1000000 >= 19);
    assert_true(tepal_now_ms() == before + 20);
    loop_current->n_outside--;
    assert_int_equal(tepal_group_wait(group), 0);
    tepal_group_close(group);
    return 0;
}

static void fake_time_takes_no_time(void **state)
{
    (void)state;
    assert_int_equal(run_fake(sleep_an_hour, NULL), 0);
    assert_int_equal(run_fake(wait_beside_a_cancelled_timer, NULL), 0);
    assert_int_equal(run_fake(wait_outside, NULL), 0);
}

/* From the real time to the fake one, while tasks sleep. */
static int sleep_through(void *arg)
{
    assert_int_equal(tepal_sleep_ms(3600 * 1000), 0);
    *(int64_t *)arg = tepal_now_ms();
    return 0;
}

static int change_clocks(void *arg)
{
    int64_t woken_at = 0;
    tepal_group *group = tepal_group_new();
    assert_int_equal(tepal_spawn(group, sleep_through, &woken_at, NULL), 0);
    settle();
    int64_t before = tepal_now_us();
    tepal_clock_fake();
    int64_t now = tepal_now_us();
    assert_true(now >= before); /* it never goes back */
    tepal_clock_fake();
    assert_true(tepal_now_us() == now); /* and stands still meanwhile */
    settle();
    assert_true(tepal_now_us() == now);
    assert_int_equal(woken_at, 0);
    assert_int_equal(tepal_group_wait(group), 0);
    assert_true(tepal_now_ms() == woken_at);
    assert_true(woken_at >= before / 1000 + 3590 * 1000);
    tepal_group_close(group);
    (void)arg;
    return 0;
}

static void a_clock_becomes_fake(void **state)
{
    (void)state;
    assert_int_equal(run(change_clocks, NULL), 0);
}

static void clock_without_a_loop(void **state)
{
    (void)state;
    int64_t last = tepal_now_us();
    for (int i = 0; i < 1000; i++) {
        int64_t now = tepal_now_us();
        assert_true(now >= last);
        last = now;
    }
    assert_true(tepal_now_ms() >= last / 1000);
}

static int sleep_a_little(void *arg)
{
    (void)arg;
    for (int64_t ms = 1; ms < 8; ms++) {
        int64_t before = tepal_now_us();
        assert_int_equal(tepal_sleep_ms(ms), 0);
        assert_true(tepal_now_us() - before >= ms * 1000); /* at least, never less */
        assert_true(loop_current->now <= tepal_now_ms());
    }
    return 0;
}

static void sleeps_are_never_short(void **state)
{
    (void)state;
    assert_int_equal(run(sleep_a_little, NULL), 0);
}

/* What a descriptor's function reads from loop->now is the time when it is called, not when the
 * loop went to sleep. */
static struct io bell;
static _Atomic int64_t rung_at;
static int64_t heard_at;

static void *ring(void *arg)
{
    (void)arg;
    struct timespec pause = { .tv_nsec = 30 * 1000 * 1000 };
    nanosleep(&pause, NULL);
    rung_at = tepal_now_ms();
    uint64_t one = 1;
    assert_int_equal(write(bell.fd, &one, sizeof(one)), sizeof(one));
    return NULL;
}

static void on_bell(struct io *io)
{
    if (!(io->state & IO_READ))
        return;
    heard_at = loop_current->now;
    task_wake(io->reader, 0);
}

static int wait_for_bell(void *arg)
{
    pthread_t thread;
    bell = (struct io){ .fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC), .fn = on_bell };
    bell.reader = loop_current->current;
    assert_int_equal(poller_add(&loop_current->poller, &bell), 0);
    settle();
    assert_int_equal(pthread_create(&thread, NULL, ring, NULL), 0);
    assert_int_equal(task_wait(loop_current, "a test", TEPAL_NEVER), 0);
    pthread_join(thread, NULL);
    poller_remove(&loop_current->poller, &bell);
    close(bell.fd);
    (void)arg;
    return 0;
}

static void time_does_not_stand_still_in_a_wait(void **state)
{
    (void)state;
    assert_int_equal(run(wait_for_bell, NULL), 0);
    assert_true(heard_at >= rung_at);
}

/* --- Turns ------------------------------------------------------------------------------------ */

static int count_to_three(void *arg)
{
    for (int i = 0; i < 3; i++) {
        ++*(int *)arg;
        tepal_sleep_ms(0);
    }
    return 0;
}

static void turn_by_turn(void **state)
{
    (void)state;
    struct loop loop;
    int n = 0;
    assert_int_equal(loop_open(&loop, 64 * 1024), 0);
    assert_ptr_equal(loop_current, &loop);
    assert_int_equal(loop_open(&loop, 0), -EBUSY);
    assert_false(loop_turn(&loop, false)); /* nothing to do */
    struct tepal_task *task = task_new(&loop, count_to_three, &n, "counter", 0);
    assert_non_null(task);
    assert_int_equal(task->stack->size, 64 * 1024);
    assert_int_equal(loop.n_tasks, 1);
    assert_false(loop_turn(&loop, false)); /* not started */
    task_start(&loop, task);
    for (int i = 1; i <= 3; i++) {
        assert_true(loop_turn(&loop, false));
        assert_int_equal(n, i);
    }
    assert_int_equal(loop.n_tasks, 1);
    assert_true(loop_turn(&loop, true));
    assert_int_equal(loop.n_tasks, 0);
    assert_false(loop_turn(&loop, false));
    loop_close(&loop);
    assert_null(loop_current);
}

/* Tasks that are always ready, one or two that give way to one another, do not keep others from
 * what the poller and the timers bring. */
static bool stop;

static int busy(void *arg)
{
    long *n = arg;
    while (!stop) {
        ++*n;
        assert_int_equal(tepal_sleep_ms(0), 0);
    }
    return 0;
}

static int beside_busy_tasks(void *arg)
{
    long n = 0;
    stop = false;
    tepal_group *group = tepal_group_new();
    for (int i = 0; i < *(int *)arg; i++)
        assert_int_equal(tepal_spawn(group, busy, &n, NULL), 0);
    assert_int_equal(sleep_a_little(arg),
                     0); /* not shorter when the loop looks at the clock often */
    assert_int_equal(wait_for_bell(arg), 0);
    stop = true;
    assert_int_equal(tepal_group_wait(group), 0);
    assert_true(n > 2);
    tepal_group_close(group);
    return 0;
}

static void io_is_not_starved(void **state)
{
    (void)state;
    for (int n = 1; n <= 2; n++)
        assert_int_equal(run(beside_busy_tasks, &n), 0);
}

/* An eventfd that is written to each time it has been: it has something to tell in every turn. */
static void ring_again(struct io *io)
{
    uint64_t one = 1;
    io->state = 0;
    assert_int_equal(write(io->fd, &one, sizeof(one)), sizeof(one));
}

enum { MORE_THAN_A_BATCH = 300 };

static int beside_busy_descriptors(void *arg)
{
    static struct io all[MORE_THAN_A_BATCH];
    struct poller *poller = &loop_current->poller;
    for (int i = 0; i < MORE_THAN_A_BATCH; i++) {
        all[i] = (struct io){ .fd = eventfd(1, EFD_NONBLOCK), .fn = ring_again };
        assert_int_equal(poller_add(poller, &all[i]), 0);
    }
    poller_remove(poller, &all[0]); /* some come and go */
    assert_int_equal(poller_add(poller, &all[0]), 0);
    int rc = sleep_a_little(arg);
    for (int i = 0; i < MORE_THAN_A_BATCH; i++) {
        poller_remove(poller, &all[i]);
        close(all[i].fd);
    }
    return rc;
}

/* However many descriptors have something to tell all the time. */
static void time_passes_beside_full_batches(void **state)
{
    (void)state;
    assert_int_equal(run(beside_busy_descriptors, NULL), 0);
}

/* --- Threads ---------------------------------------------------------------------------------- */

static int sleep_many(void *arg)
{
    for (int i = 0; i < 20; i++) {
        assert_int_equal(tepal_sleep_ms(i % 3), 0);
        ++*(int *)arg;
    }
    return 0;
}

static int work_in_thread(void *arg)
{
    int n = 0;
    tepal_group *group = tepal_group_new();
    for (int i = 0; i < 50; i++)
        assert_int_equal(tepal_spawn(group, sleep_many, &n, NULL), 0);
    assert_int_equal(tepal_group_wait(group), 0);
    tepal_group_close(group);
    *(int *)arg = n;
    return 0;
}

static void *thread_main(void *arg)
{
    for (int i = 0; i < 3; i++)
        if (tepal_main(work_in_thread, arg) != 0)
            *(int *)arg = -1;
    return loop_current;
}

static void loops_in_two_threads(void **state)
{
    (void)state;
    pthread_t threads[2];
    int n[2] = { 0 };
    for (int i = 0; i < 2; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, thread_main, &n[i]), 0);
    for (int i = 0; i < 2; i++) {
        void *left;
        pthread_join(threads[i], &left);
        assert_null(left);
        assert_int_equal(n[i], 1000);
    }
}

/* --- Misuse ----------------------------------------------------------------------------------- */

static void sleep_outside(void)
{
    tepal_sleep_ms(1);
}

static void new_group_outside(void)
{
    (void)tepal_group_new();
}

static void fake_clock_outside(void)
{
    tepal_clock_fake();
}

static void is_cancelled_outside(void)
{
    (void)tepal_is_cancelled();
}

static int close_own_group(void *arg)
{
    tepal_group_close(arg);
    return 0;
}

static int wait_in_own_group(void *arg)
{
    (void)arg;
    tepal_group *group = tepal_group_new();
    tepal_spawn(group, close_own_group, group, NULL);
    return tepal_group_wait(group);
}

static void close_own_group_inside(void)
{
    tepal_main(wait_in_own_group, NULL);
}

static int wait_for_group(void *arg)
{
    return tepal_group_wait(arg);
}

static int close_awaited_group(void *arg)
{
    tepal_group *awaited = tepal_group_new(), *other = tepal_group_new();
    tepal_spawn(awaited, sleep_for_ever, arg, NULL);
    tepal_spawn(other, wait_for_group, awaited, NULL);
    tepal_sleep_ms(0);
    tepal_group_close(awaited);
    return 0;
}

static void close_awaited_group_inside(void)
{
    tepal_main(close_awaited_group, NULL);
}

static void wrong_use_ends_the_program(void **state)
{
    (void)state;
    static void (*const wrong[])(void) = { sleep_outside,          fake_clock_outside,
                                           new_group_outside,      is_cancelled_outside,
                                           close_own_group_inside, close_awaited_group_inside };
    static const char *const names[] = { "tepal_sleep_ms",    "tepal_clock_fake",
                                         "tepal_group_new",   "tepal_is_cancelled",
                                         "tepal_group_close", "tepal_group_close" };
    if (SANITIZED || RUNNING_ON_VALGRIND)
        skip();
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        int ends[2], status;
        char text[200];
        assert_int_equal(pipe(ends), 0);
        pid_t child = fork();
        if (child == 0) {
            dup2(ends[1], STDERR_FILENO);
            signal(SIGABRT, SIG_DFL);
            wrong[i]();
            _exit(0);
        }
        close(ends[1]);
        ssize_t n = read(ends[0], text, sizeof(text) - 1);
        text[n > 0 ? n : 0] = '\0';
        close(ends[0]);
        assert_int_equal(waitpid(child, &status, 0), child);
        assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
        assert_non_null(strstr(text, names[i]));
    }
}

/* --- Stalls ----------------------------------------------------------------------------------- */

struct late_reader {
    tepal_conn *conn;
    char text[16];
    ssize_t n;
};

static int read_in_time(void *arg)
{
    struct late_reader *reader = arg;
    (void)tepal_deadline_in_ms(500);
    reader->n = tepal_conn_read(reader->conn, reader->text, sizeof(reader->text));
    return 0;
}

/* What came while a task held the loop came in time; who got nothing is out of time. */
static int hold_the_loop(void *arg)
{
    (void)arg;
    enum { N = 400 }; /* more than the poller tells at once */
    static struct late_reader readers[N];
    static tepal_conn *writers[N];
    tepal_group *group = tepal_group_new();
    for (int i = 0; i < N; i++) {
        assert_int_equal(tepal_conn_open_pair(&readers[i].conn, &writers[i]), 0);
        assert_int_equal(tepal_spawn(group, read_in_time, &readers[i], NULL), 0);
    }
    settle();
    for (int i = 0; i < N; i += 2)
        assert_int_equal(tepal_conn_write(writers[i], "x", 1), 0);
    usleep(600 * 1000);
    assert_int_equal(tepal_group_wait(group), 0);
    for (int i = 0; i < N; i++) {
        assert_int_equal(readers[i].n, i % 2 ? -ETIMEDOUT : 1);
        tepal_conn_close(readers[i].conn);
        tepal_conn_close(writers[i]);
    }
    tepal_group_close(group);
    return 0;
}

static void what_has_come_is_read_before_time_is_judged(void **state)
{
    (void)state;
    assert_int_equal(run(hold_the_loop, NULL), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_has_come_is_read_before_time_is_judged),
        cmocka_unit_test(result_of_main),
        cmocka_unit_test(nested_main_is_busy),
        cmocka_unit_test(no_memory_to_start),
        cmocka_unit_test(no_descriptors_to_start),
        cmocka_unit_test(main_cancels_and_joins_the_rest),
        cmocka_unit_test(parts_are_closed_with_the_loop),
        cmocka_unit_test(fake_time_takes_no_time),
        cmocka_unit_test(a_clock_becomes_fake),
        cmocka_unit_test(clock_without_a_loop),
        cmocka_unit_test(sleeps_are_never_short),
        cmocka_unit_test(time_does_not_stand_still_in_a_wait),
        cmocka_unit_test(turn_by_turn),
        cmocka_unit_test(io_is_not_starved),
        cmocka_unit_test(time_passes_beside_full_batches),
        cmocka_unit_test(loops_in_two_threads),
        cmocka_unit_test(wrong_use_ends_the_program),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
