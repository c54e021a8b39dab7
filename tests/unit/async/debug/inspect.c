/* Tests of the dump of all tasks: what it says of each state, its back-traces, and the signal. */
#include "../in_loop.h"
#include "../report.h"

#include "base/mem.h"

#include <tepal/inspect.h>

#include <signal.h>
#include <sys/resource.h>
#include <unistd.h>

/* Functions that the dynamic linker knows the names of, and that keep their frames. */
int inspected_sleep(void *arg);
int inspected_recursion(int depth);
int inspected_dump(void *arg);

static volatile int zero;

NO_INLINE int inspected_sleep(void *arg)
{
    int rc = tepal_sleep_ms(*(int *)arg);
    return rc + zero;
}

static int setup(void **state)
{
    (void)state;
    report_clear();
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    mem_fail_nth(0, 0);
    tepal_log_set_fn(NULL, NULL);
    return 0;
}

static void spawn(tepal_group *group, tepal_task_fn *fn, void *arg, const char *name)
{
    assert_int_equal(tepal_spawn(group, fn, arg, &(tepal_spawn_options){ .name = name }), 0);
}

static void dump(void)
{
    report_clear();
    tepal_dump_tasks(report_line, NULL);
}

/* --- States ----------------------------------------------------------------------------------- */

static struct tepal_task *held;

static int wait_shielded(void *arg)
{
    held = loop_current->current;
    while (*(bool *)arg)
        task_wait_shielded(loop_current, "a test to end");
    return 0;
}

static int wait_for_fd(void *arg)
{
    (void)arg;
    (void)tepal_deadline_in_ms(90000);
    (void)task_wait_fd(loop_current, "reading", 7, loop_current->now + 60000);
    return task_wait(loop_current, "a test", TEPAL_NEVER);
}

static int dump_states(void *arg)
{
    int ms = 1000;
    bool shielded = true;
    tepal_group *group = tepal_group_new(), *cancelled = tepal_group_new();
    spawn(group, inspected_sleep, &ms, "sleeper");
    spawn(group, wait_for_fd, NULL, "reader");
    spawn(cancelled, wait_shielded, &shielded, "stubborn");
    assert_int_equal(tepal_sleep_ms(250), 0);
    tepal_group_cancel(cancelled);
    spawn(group, inspected_sleep, &ms, "new");
    dump();
    expect_reported("5 tasks\n");
    expect_of("main", " \"main\": running, ");
    expect_of("sleeper", " \"sleeper\": waiting for 250 ms (sleep), for 750 ms more at most, ");
    expect_of("reader", ": waiting for 250 ms (reading fd 7), for 59750 ms more at most, deadline "
                        "in 89750 ms, ");
    expect_not_of("sleeper", "deadline");
    expect_not_of("sleeper", "cancelled");
    expect_of("stubborn", "shielded for 250 ms (a test to end), cancelled, ");
    expect_of("new", " \"new\": not begun, ");
    expect_not_of("new", "#0"); /* there is no trace yet */
    expect_of("new", " octets of stack");
    shielded = false;
    task_wake(held, 0);
    dump();
    expect_of("stubborn", " \"stubborn\": ready to run, cancelled, ");
    assert_int_equal(tepal_sleep_ms(60000), 0);
    dump();
    expect_reported("2 tasks\n");
    expect_of("reader", "waiting for 250 ms (a test), deadline in 29750 ms, ");
    tepal_group_close(cancelled);
    tepal_group_close(group);
    (void)arg;
    return 0;
}

static void each_state_is_said(void **state)
{
    (void)state;
    assert_int_equal(run_fake(dump_states, NULL), 0);
}

static void describe(void *arg, char *text, size_t size)
{
    snprintf(text, size, "%s", (const char *)arg);
}

static int dump_descriptions(void *arg)
{
    struct tepal_task *task = loop_current->current;
    char *longest = mem_zalloc(10000);
    task->describe = describe;
    dump();
    expect_of("main", " \"main\": running");
    task->describe_arg = "";
    dump();
    expect_of("main", " \"main\": running");
    task->describe_arg = "GET / from 10.0.0.1\r\n";
    dump();
    expect_of("main", " \"main\" (GET / from 10.0.0.1\\x0d\\x0a): running");
    memset(longest, 'x', 9999);
    task->describe_arg = longest;
    dump();
    expect_of("main", "xxx): running, ");
    mem_free(longest);
    (void)arg;
    return 0;
}

static void says_what_a_task_is_at(void **state)
{
    (void)state;
    assert_int_equal(run(dump_descriptions, NULL), 0);
}

static int dump_long_name(void *arg)
{
    char name[3000];
    memset(name, 'n', sizeof(name));
    name[sizeof(name) - 1] = '\0';
    loop_current->current->name = name;
    loop_current->current->describe = describe;
    loop_current->current->describe_arg = "something";
    dump();
    expect_reported("task 1 \"nnnn");
    loop_current->current->name = "main";
    (void)arg;
    return 0;
}

static void long_names_are_cut(void **state)
{
    (void)state;
    assert_int_equal(run(dump_long_name, NULL), 0);
}

/* --- Back-traces ------------------------------------------------------------------------------ */

NO_INLINE int inspected_recursion(int depth)
{
    volatile char frame[64] = { 0 };
    int rc = depth > 0 ? inspected_recursion(depth - 1) : tepal_sleep_ms(1000);
    return rc + frame[depth % 64];
}

static int recurse(void *arg)
{
    return inspected_recursion(*(int *)arg);
}

NO_INLINE int inspected_dump(void *arg)
{
    (void)arg;
    dump();
    return zero;
}

static size_t n_occurrences(const char *text, const char *what)
{
    size_t n = 0;
    for (; (text = strstr(text, what)); text++)
        n++;
    return n;
}

static int dump_traces(void *arg)
{
    int ms = 1000, little = 10, deep = 100;
    tepal_group *group = tepal_group_new();
    spawn(group, inspected_sleep, &ms, "sleeper");
    spawn(group, recurse, &little, "little");
    spawn(group, recurse, &deep, "deep");
    spawn(group, inspected_sleep, &ms, "second sleeper");
    assert_int_equal(tepal_sleep_ms(1), 0);
    tepal_task_fn *volatile call = inspected_dump; /* itself, not what the compiler makes of it */
    for (int i = 0; i < 3; i++) {                  /* it does not change what it looks at */
        call(NULL);
        expect_of("main", "inspected_dump+0x");
        expect_not_of("main", "inspected_sleep");
        if (!has_traces())
            continue;
        expect_of("sleeper", "inspected_sleep+0x");
        expect_of("sleeper", "tepal_sleep_ms+0x");
        expect_not_of("sleeper", "inspected_dump");
        assert_int_equal(n_occurrences(report_of("little"), "inspected_recursion+0x"), 11);
        expect_not_of("little", "and more");
        expect_of("deep", "  #63 0x");
        expect_not_of("deep", "  #64 0x");
        expect_of("deep", "  ... and more");
        expect_of("sleeper", "async-inspect+0x"); /* object and offset */
        expect_reported("task 2 \"sleeper\"");
        expect_of("second sleeper", "  back-trace as that of task 2\n");
        expect_not_of("second sleeper", "#0");
    }
    assert_int_equal(tepal_group_wait(group), 0);
    tepal_group_close(group);
    (void)arg;
    return 0;
}

static void traces_of_left_stacks(void **state)
{
    (void)state;
    assert_int_equal(run_fake(dump_traces, NULL), 0);
}

/* Calls itself until only a little of the smallest stack is left. */
static NO_INLINE int nearly_fill_stack(void)
{
    volatile char frame[64] = { 0 };
    const char *low = loop_current->current->stack->low;
    int rc =
        (uintptr_t)frame - (uintptr_t)low > 3 * 1024 ? nearly_fill_stack() : tepal_sleep_ms(1000);
    return rc + frame[zero];
}

static int fill_stack(void *arg)
{
    (void)arg;
    return nearly_fill_stack();
}

static int dump_full_stack(void *arg)
{
    tepal_group *group = tepal_group_new();
    tepal_spawn_options small = { .name = "small", .stack_size = STACK_MIN_SIZE };
    assert_int_equal(tepal_spawn(group, fill_stack, NULL, &small), 0);
    assert_int_equal(tepal_sleep_ms(1), 0);
    dump();
    expect_of("small", "waiting for 1 ms");
#ifndef TEPAL_UCONTEXT /* which needs the room */
    expect_of("small", "  #10 0x");
#endif
    tepal_group_close(group);
    (void)arg;
    return 0;
}

static void stack_with_little_left(void **state)
{
    (void)state;
    if (SANITIZED)
        skip(); /* their frames are too large for the smallest stack */
    assert_int_equal(run_fake(dump_full_stack, NULL), 0);
}

/* --- The log, and the signal ------------------------------------------------------------------ */

static bool is_blocked(int signal)
{
    sigset_t mask;
    pthread_sigmask(SIG_SETMASK, NULL, &mask);
    return sigismember(&mask, signal) == 1;
}

static int dump_to_log(void *arg)
{
    tepal_log_set_fn(report_log, NULL);
    tepal_dump_tasks(NULL, NULL);
    expect_of("main", "running");
    (void)arg;
    return 0;
}

static void to_the_log(void **state)
{
    (void)state;
    assert_int_equal(run(dump_to_log, NULL), 0);
}

static void expect_dump_at(int signal)
{
    report_clear();
    raise(signal);
    expect_not_reported("task");
    assert_int_equal(tepal_sleep_ms(1), 0); /* the loop asks the poller before the time comes */
    settle();
    expect_reported("1 task\n");
    expect_of("main", "(sleep)");
}

static int dump_at_signals(void *arg)
{
    tepal_log_set_fn(report_log, NULL);
    assert_int_equal(tepal_dump_on_signal(SIGUSR1), 0);
    for (int i = 0; i < 3; i++)
        expect_dump_at(SIGUSR1);
    assert_int_equal(tepal_dump_on_signal(SIGUSR1), 0); /* again: nothing changes */
    assert_int_equal(tepal_dump_on_signal(SIGUSR2), 0);
    expect_dump_at(SIGUSR1);
    expect_dump_at(SIGUSR2);
    (void)arg;
    return 0;
}

static void at_signals(void **state)
{
    (void)state;
    for (int i = 0; i < 2; i++) {
        assert_int_equal(run(dump_at_signals, NULL), 0);
    }
    assert_int_equal(run_fake(dump_at_signals, NULL), 0);
}

static int take_over(void *arg)
{
    tepal_log_set_fn(report_log, NULL);
    assert_int_equal(tepal_dump_on_signal(SIGUSR1), 0);
    assert_int_equal(tepal_dump_on_signal(SIGUSR2), 0);
    tepal_signals *signals = tepal_signals_open((const int[]){ SIGUSR1, SIGTERM, 0 });
    expect_dump_at(SIGUSR1); /* both get it */
    assert_int_equal(tepal_signals_next(signals), SIGUSR1);
    expect_dump_at(SIGUSR2);
    tepal_signals_close(signals);
    expect_dump_at(SIGUSR1);
    (void)arg;
    return 0;
}

static void the_program_may_want_the_signal(void **state)
{
    (void)state;
    assert_int_equal(run(take_over, NULL), 0);
}

static int keep_blocked(void *arg)
{
    sigset_t usr1;
    sigemptyset(&usr1);
    sigaddset(&usr1, SIGUSR1);
    pthread_sigmask(SIG_BLOCK, &usr1, NULL);
    assert_int_equal(tepal_dump_on_signal(SIGUSR1), 0);
    (void)arg;
    return 0;
}

static void the_mask_is_put_back(void **state)
{
    (void)state;
    assert_int_equal(run(keep_blocked, NULL), 0);
    assert_true(is_blocked(SIGUSR1)); /* as it was before */
    sigset_t usr1;
    sigemptyset(&usr1);
    sigaddset(&usr1, SIGUSR1);
    pthread_sigmask(SIG_UNBLOCK, &usr1, NULL);
}

static int fail_to_open(void *arg)
{
    mem_fail_nth(1, 0);
    assert_int_equal(tepal_dump_on_signal(SIGUSR1), -ENOMEM);
    mem_fail_nth(0, 0);
    struct rlimit old, tight;
    int free_fd = dup(0);
    close(free_fd);
    getrlimit(RLIMIT_NOFILE, &old);
    tight = old;
    tight.rlim_cur = (rlim_t)free_fd;
    setrlimit(RLIMIT_NOFILE, &tight);
    int rc = tepal_dump_on_signal(SIGUSR1);
    setrlimit(RLIMIT_NOFILE, &old);
    assert_int_equal(rc, -EMFILE);
    assert_false(is_blocked(SIGUSR1));
    assert_int_equal(tepal_dump_on_signal(SIGUSR1), 0);
    (void)arg;
    return 0;
}

static void failures(void **state)
{
    (void)state;
    assert_int_equal(run(fail_to_open, NULL), 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(each_state_is_said),
        TEST(says_what_a_task_is_at),
        TEST(long_names_are_cut),
        TEST(traces_of_left_stacks),
        TEST(stack_with_little_left),
        TEST(to_the_log),
        TEST(at_signals),
        TEST(the_program_may_want_the_signal),
        TEST(the_mask_is_put_back),
        TEST(failures),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
