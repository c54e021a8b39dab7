/* Tests of debug mode: tasks that hold the loop, while they do and afterwards, and what is said at
 * the loop's end. */
#include "../in_loop.h"
#include "../report.h"

#include "async/debug/debug.h"
#include "base/mem.h"

#include <tepal/inspect.h>

#include <signal.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#ifdef TEPAL_TSAN
enum { HAS_LIVE_REPORTS = 0 }; /* it holds a signal back until the next call of the C library */
#else
enum { HAS_LIVE_REPORTS = 1 };
#endif

int debugged_spin(void *arg);

static int setup(void **state)
{
    (void)state;
    report_clear();
    tepal_log_set_fn(report_log, NULL);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    mem_fail_nth(0, 0);
    unsetenv("TEPAL_DEBUG");
    tepal_log_set_fn(NULL, NULL);
    return 0;
}

static int64_t real_ms(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

static volatile unsigned spins;

/* Holds the loop for so many milliseconds of real time. */
NO_INLINE int debugged_spin(void *arg)
{
    int64_t until = real_ms() + *(int *)arg + 1;
    while (real_ms() < until)
        for (int i = 0; i < 1000; i++)
            spins++;
    return (int)(spins & 0);
}

static void spawn(tepal_group *group, tepal_task_fn *fn, void *arg, const char *name)
{
    assert_int_equal(tepal_spawn(group, fn, arg, &(tepal_spawn_options){ .name = name }), 0);
}

static void run_one(tepal_task_fn *fn, void *arg, const char *name)
{
    tepal_group *group = tepal_group_new();
    spawn(group, fn, arg, name);
    (void)tepal_group_wait(group);
    tepal_group_close(group);
}

/* --- After the fact --------------------------------------------------------------------------- */

static int spin_and_sleep(void *arg)
{
    debugged_spin(arg);
    return tepal_sleep_ms(1); /* reported when it suspends, too */
}

static void describe(void *arg, char *text, size_t size)
{
    snprintf(text, size, "%s", (const char *)arg);
}

static int spin_described(void *arg)
{
    loop_current->current->describe = describe;
    loop_current->current->describe_arg = "GET /slow";
    return spin_and_sleep(arg);
}

static int hold(void *arg)
{
    int ms = 30;
    run_one(debugged_spin, &ms, "early");
    expect_not_reported("held"); /* it is off */
    tepal_debug_options options = { .slow_ms = 20, .no_live_report = true };
    assert_int_equal(tepal_debug(&options), 0);
    run_one(debugged_spin, &ms, "ends");
    run_one(spin_and_sleep, &ms, "suspends");
    run_one(spin_described, &ms, "described");
    expect_reported("task \"ends\" held the loop for ");
    expect_reported("task \"suspends\" held the loop for ");
    expect_reported("task \"described\" (GET /slow) held the loop for ");
    expect_reported(" of them computing");
    expect_not_reported("still does");
    expect_not_reported("early");
    report_clear();
    options.slow_ms = 3600 * 1000;
    assert_int_equal(tepal_debug(&options), 0);
    run_one(debugged_spin, &ms, "quick");
    options.slow_ms = TEPAL_NEVER;
    assert_int_equal(tepal_debug(&options), 0);
    run_one(debugged_spin, &ms, "quick");
    expect_not_reported("held");
    (void)arg;
    return 0;
}

static void who_held_the_loop(void **state)
{
    (void)state;
    assert_int_equal(run(hold, NULL), 0);
    report_clear();
    assert_int_equal(run_fake(hold, NULL), 0); /* the time that counts is the real one */
}

static int compare(void *arg)
{
    int ms = 30;
    tepal_debug_options options = { .slow_ms = 20, .no_live_report = true };
    assert_int_equal(tepal_debug(&options), 0);
    struct timespec pause = { .tv_nsec = 30 * 1000000 };
    report_clear();
    nanosleep(&pause, NULL);
    assert_int_equal(tepal_sleep_ms(0), 0); /* the first run of this task was not watched */
    nanosleep(&pause, NULL);
    assert_int_equal(tepal_sleep_ms(0), 0);
    const char *text = strstr(report.text, "task \"main\" held the loop for ");
    assert_non_null(text);
    int held = 0, computed = -1;
    assert_int_equal(
        sscanf(text, "task \"main\" held the loop for %d ms, %d of them", &held, &computed), 2);
    assert_true(held >= 30 && computed >= 0 && computed < held);
    run_one(debugged_spin, &ms, "spin");
    (void)arg;
    return 0;
}

static void blocking_is_not_computing(void **state)
{
    (void)state;
    assert_int_equal(run(compare, NULL), 0);
}

/* --- In the midst of it ----------------------------------------------------------------------- */

/* Holds the loop until that has been reported so many times. */
static int spin_until_seen(void *arg)
{
    int64_t give_up = real_ms() + 60000;
    int wanted = *(int *)arg;
    while (real_ms() < give_up) {
        int once = 5;
        debugged_spin(&once);
        int n = 0;
        pthread_mutex_lock(&report.mutex);
        for (const char *at = report.text; (at = strstr(at, "and still does, at:")); at++)
            n++;
        pthread_mutex_unlock(&report.mutex);
        if (n >= wanted)
            return 0;
    }
    return -ETIMEDOUT;
}

static int hold_visibly(void *arg)
{
    int times_seen = 2; /* at 10 ms, and at 100 ms */
    assert_int_equal(tepal_debug(&(tepal_debug_options){ .slow_ms = 10 }), 0);
    tepal_group *group = tepal_group_new();
    spawn(group, spin_until_seen, &times_seen, "visible");
    assert_int_equal(tepal_group_wait(group), 0);
    tepal_group_close(group);
    expect_reported("task \"visible\" has held the loop for ");
    expect_reported("task \"visible\" held the loop for ");
    (void)arg;
    return 0;
}

static void where_it_holds_the_loop(void **state)
{
    (void)state;
    if (!HAS_LIVE_REPORTS)
        skip();
    assert_int_equal(run(hold_visibly, NULL), 0);
    expect_reported("#0 0x");
    expect_reported("debugged_spin+0x");
    /* The whole of it comes before what is said of its end. */
    const char *live = strstr(report.text, "  #0 0x"), *end = strstr(report.text, "\" held the");
    assert_true(live && end && live < end);
}

static int start_and_end(void *arg)
{
    (void)arg;
    for (int i = 0; i < 20; i++) {
        assert_int_equal(tepal_debug(&(tepal_debug_options){ .slow_ms = 1 }), 0);
        int ms = i % 3;
        run_one(debugged_spin, &ms, "spin");
    }
    return 0;
}

static void may_be_changed_at_any_time(void **state)
{
    (void)state;
    for (int i = 0; i < 5; i++) {
        report_clear();
        assert_int_equal(run(start_and_end, NULL), 0);
    }
}

static void on_urgent(int signal)
{
    (void)signal;
}

static int debug_by_default(void *arg)
{
    (void)arg;
    assert_int_equal(tepal_debug(NULL), 0);
    return 0;
}

static int debug_by_usr2(void *arg)
{
    (void)arg;
    assert_int_equal(tepal_debug(&(tepal_debug_options){ .signal = SIGUSR2 }), 0);
    return 0;
}

static void the_program_may_want_the_signal(void **state)
{
    (void)state;
    struct sigaction ours = { .sa_handler = on_urgent }, before, after;
    sigaction(SIGURG, &ours, &before);
    assert_int_equal(run(debug_by_default, NULL), 0);
    expect_reported("only at their end: the program handles the signal itself");
    sigaction(SIGURG, &before, &after);
    assert_ptr_equal(after.sa_handler, on_urgent);
    report_clear();
    assert_int_equal(run(debug_by_usr2, NULL), 0);
    expect_not_reported("only at their end");
}

static int fail_to_start(void *arg)
{
    (void)arg;
    mem_fail_nth(1, 0);
    assert_int_equal(tepal_debug(NULL), -ENOMEM);
    assert_null(loop_current->debug);
    mem_fail_nth(2, 0);
    assert_int_equal(tepal_debug(NULL), 0);
    expect_reported(tepal_code_text(-ENOMEM));
    struct rlimit old, tight;
    int free_fd = dup(0);
    close(free_fd);
    getrlimit(RLIMIT_NOFILE, &old);
    tight = old;
    tight.rlim_cur = (rlim_t)free_fd;
    setrlimit(RLIMIT_NOFILE, &tight);
    int rc = tepal_debug(NULL);
    setrlimit(RLIMIT_NOFILE, &old);
    assert_int_equal(rc, 0);
    expect_reported(tepal_code_text(-EMFILE));
    return 0;
}

static void failures(void **state)
{
    (void)state;
    assert_int_equal(run(fail_to_start, NULL), 0);
}

/* --- The environment, and the end of the loop ------------------------------------------------- */

static int is_on(void *arg)
{
    (void)arg;
    return loop_current->debug != NULL;
}

static void by_the_environment(void **state)
{
    (void)state;
    unsetenv("TEPAL_DEBUG");
    assert_int_equal(run(is_on, NULL), 0);
    setenv("TEPAL_DEBUG", "", 1);
    assert_int_equal(run(is_on, NULL), 0);
    setenv("TEPAL_DEBUG", "0", 1);
    assert_int_equal(run(is_on, NULL), 0);
    expect_not_reported("stacks");
    setenv("TEPAL_DEBUG", "1", 1);
    assert_int_equal(run(is_on, NULL), 1);
    expect_reported("stacks of \"main\": 1 task, at most ");
    expect_not_reported("not closed");
}

/* Kept here, they are no leaks for those who look for such. */
static tepal_group *forgotten_group;
static tepal_signals *forgotten_signals;

static int forget_to_close(void *arg)
{
    (void)arg;
    assert_int_equal(tepal_debug(NULL), 0);
    forgotten_group = tepal_group_new();
    forgotten_signals = tepal_signals_open((const int[]){ SIGUSR2, 0 });
    assert_non_null(forgotten_signals);
    return 0;
}

static void what_was_not_closed(void **state)
{
    (void)state;
    loop_current = NULL;
    assert_int_equal(tepal_main(forget_to_close, NULL), 0);
    expect_reported("1 group was not closed");
    expect_reported("a group that task \"main\" made at ");
    expect_reported("async-debug+0x");
    expect_reported("1 receiver of signals was not closed");
    mem_free(forgotten_group);
    tepal_channel_close(tepal_signals_channel(forgotten_signals));
    mem_free(forgotten_signals);
    sigset_t usr2;
    sigemptyset(&usr2);
    sigaddset(&usr2, SIGUSR2);
    pthread_sigmask(SIG_UNBLOCK, &usr2, NULL);
}

static int watch_twice(void *arg)
{
    tepal_debug_options options = { .signal = *(int *)arg };
    assert_int_equal(tepal_debug(&options), 0);
    assert_int_equal(tepal_debug(&options), 0);
    return 0;
}

/* What the program had for the signal is there again. */
static void the_signal_is_given_back(void **state)
{
    (void)state;
    int numbers[] = { SIGURG, SIGUSR2 };
    for (int i = 0; i < 2; i++) {
        struct sigaction now;
        signal(numbers[i], i == 0 ? SIG_DFL : SIG_IGN);
        loop_current = NULL;
        assert_int_equal(tepal_main(watch_twice, &numbers[i]), 0);
        assert_int_equal(sigaction(numbers[i], NULL, &now), 0);
        assert_true(now.sa_handler == (i == 0 ? SIG_DFL : SIG_IGN));
        signal(numbers[i], SIG_DFL);
    }
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(who_held_the_loop),
        TEST(blocking_is_not_computing),
        TEST(where_it_holds_the_loop),
        TEST(may_be_changed_at_any_time),
        TEST(the_program_may_want_the_signal),
        TEST(the_signal_is_given_back),
        TEST(failures),
        TEST(by_the_environment),
        TEST(what_was_not_closed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
