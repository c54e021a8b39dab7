/* For tests that run in a loop: running one, on the test's clock or the real one, and what every
 * call that suspends must do when its task is cancelled or out of time. */
#ifndef TEPAL_TESTS_UNIT_ASYNC_IN_LOOP_H
#define TEPAL_TESTS_UNIT_ASYNC_IN_LOOP_H

#include "../check.h"

#include "async/task/task.h"

#include <dirent.h>

static inline int count_fds(void)
{
    int n = 0;
    DIR *dir = opendir("/proc/self/fd");
    assert_non_null(dir);
    while (readdir(dir))
        n++;
    closedir(dir);
    return n;
}

/* Runs fn(arg) as the first task of a loop, and sees that no descriptor is left. */
static inline int run(tepal_task_fn *fn, void *arg)
{
    loop_current = NULL; /* a test that failed has left its loop */
    int before = count_fds();
    int result = tepal_main(fn, arg);
    assert_null(loop_current);
    assert_int_equal(count_fds(), before);
    return result;
}

struct fake_run {
    tepal_task_fn *fn;
    void *arg;
};

static inline int fake_run_main(void *arg)
{
    struct fake_run *fake = arg;
    tepal_clock_fake();
    return fake->fn(fake->arg);
}

/* The same with a clock that moves only when all tasks wait. */
static inline int run_fake(tepal_task_fn *fn, void *arg)
{
    return run(fake_run_main, &(struct fake_run){ .fn = fn, .arg = arg });
}

/* Lets all other tasks run until they wait, and the loop ask the poller after each round of
 * them. */
static inline void settle(void)
{
    for (int i = 0; i < 10; i++) {
        size_t round = list_length(&loop_current->ready);
        if (loop_current->n_to_run > round)
            loop_current->n_to_run = round;
        loop_current->turn_over = true;
        assert_int_equal(tepal_sleep_ms(0), 0);
    }
}

/* --- Cancellation and deadlines --------------------------------------------------------------- */

/* A call that waits for ever when nothing interrupts it. */
typedef int endless_call(void *arg);

struct attempt {
    endless_call *call;
    void *arg;
    int64_t deadline_in;
    int result, n_suspended;
    bool ended;
    tepal_group *to_cancel; /* by the canceller, after cancel_in */
    int64_t cancel_in;
};

static inline void count_suspension(void *arg)
{
    ((struct attempt *)arg)->n_suspended++;
}

static inline int attempt_main(void *arg)
{
    struct attempt *a = arg;
    struct tepal_task *task = loop_current->current;
    (void)tepal_deadline_in_ms(a->deadline_in);
    task->before_wait = count_suspension;
    task->before_wait_arg = a;
    a->result = a->call(a->arg);
    task->before_wait = NULL;
    a->ended = true;
    /* What was not told now must be told by the next call. */
    int next = tepal_sleep_ms(0);
    if (tepal_is_cancelled())
        assert_int_equal(next, -ECANCELED);
    else if (a->deadline_in != TEPAL_NEVER)
        assert_int_equal(next, -ETIMEDOUT);
    return a->result;
}

static inline int attempt_canceller(void *arg)
{
    struct attempt *a = arg;
    assert_int_equal(tepal_sleep_ms(a->cancel_in), 0);
    tepal_group_cancel(a->to_cancel);
    return 0;
}

static inline tepal_group *attempt_start(struct attempt *a)
{
    tepal_group *group = tepal_group_new();
    assert_non_null(group);
    assert_int_equal(tepal_spawn(group, attempt_main, a, NULL), 0);
    return group;
}

/* Cancelled, or out of time, before the call: it does not begin. */
static inline void expect_refusal(endless_call *call, void *arg)
{
    struct attempt a = { .call = call, .arg = arg, .deadline_in = TEPAL_NEVER };
    tepal_group *group = attempt_start(&a);
    tepal_group_close(group);
    assert_int_equal(a.result, -ECANCELED);
    assert_int_equal(a.n_suspended, 0);
    for (int64_t ms = loop_current->fake_time ? 0 : -3600000; ms >= -3600000; ms -= 3600000) {
        a = (struct attempt){ .call = call, .arg = arg, .deadline_in = ms };
        group = attempt_start(&a);
        assert_int_equal(tepal_group_wait(group), -ETIMEDOUT);
        assert_int_equal(a.result, -ETIMEDOUT);
        assert_int_equal(a.n_suspended, 0);
        tepal_group_close(group);
    }
}

/* Cancelled while it waits. */
static inline void expect_cancellation(endless_call *call, void *arg)
{
    struct attempt a = { .call = call, .arg = arg, .deadline_in = TEPAL_NEVER };
    tepal_group *group = attempt_start(&a);
    settle();
    assert_false(a.ended);
    assert_true(a.n_suspended > 0);
    tepal_group_cancel(group);
    assert_false(a.ended); /* only at its turn */
    settle();
    assert_true(a.ended);
    assert_int_equal(a.result, -ECANCELED);
    tepal_group_close(group);
}

/* Out of time while it waits. */
static inline void expect_timeout(endless_call *call, void *arg)
{
    struct attempt a = { .call = call, .arg = arg, .deadline_in = 50 };
    tepal_group *group = attempt_start(&a);
    int64_t before = tepal_now_ms();
    assert_int_equal(tepal_group_wait(group), -ETIMEDOUT);
    assert_true(tepal_now_ms() >= before + 50);
    assert_int_equal(a.result, -ETIMEDOUT);
    tepal_group_close(group);
}

/* Both within a millisecond or two of one another, in either order: one of them is told, and it is
 * one that has happened. */
static inline void expect_either(endless_call *call, void *arg)
{
    for (int64_t cancel_in = 49; cancel_in <= 51; cancel_in++) {
        for (int first = 0; first < 2; first++) {
            tepal_group *cancellers = tepal_group_new(), *group = tepal_group_new();
            struct attempt a = { .call = call,
                                 .arg = arg,
                                 .deadline_in = 50,
                                 .to_cancel = group,
                                 .cancel_in = cancel_in };
            if (first)
                assert_int_equal(tepal_spawn(cancellers, attempt_canceller, &a, NULL), 0);
            assert_int_equal(tepal_spawn(group, attempt_main, &a, NULL), 0);
            if (!first)
                assert_int_equal(tepal_spawn(cancellers, attempt_canceller, &a, NULL), 0);
            assert_int_equal(tepal_group_wait(cancellers), 0);
            int rc = tepal_group_wait(group);
            assert_int_equal(rc, a.result);
            if (loop_current->fake_time && cancel_in != 50)
                assert_int_equal(rc, cancel_in < 50 ? -ECANCELED : -ETIMEDOUT);
            else
                assert_true(rc == -ECANCELED || rc == -ETIMEDOUT);
            tepal_group_close(group);
            tepal_group_close(cancellers);
        }
    }
}

static inline void expect_interruptible(endless_call *call, void *arg)
{
    expect_refusal(call, arg);
    expect_cancellation(call, arg);
    expect_timeout(call, arg);
    expect_either(call, arg);
}

#endif
