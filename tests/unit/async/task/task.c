/* Tests of tasks: their order, sleeping, deadlines, cancellation, waiting and waking. */
#include "../in_loop.h"

#include "base/mem.h"

#include <sys/mman.h>
#include <unistd.h>

static char trace[256];

static void mark(char c)
{
    size_t len = strlen(trace);
    if (len + 1 < sizeof(trace)) {
        trace[len] = c;
        trace[len + 1] = '\0';
    }
}

static int setup(void **state)
{
    (void)state;
    trace[0] = '\0';
    return 0;
}

/* --- Order ------------------------------------------------------------------------------------ */

static int mark_thrice(void *arg)
{
    for (int i = 0; i < 3; i++) {
        mark(*(char *)arg);
        assert_int_equal(tepal_sleep_ms(0), 0);
    }
    return 0;
}

static int in_turns(void *arg)
{
    tepal_group *group = tepal_group_new();
    for (int i = 0; i < 3; i++)
        assert_int_equal(tepal_spawn(group, mark_thrice, &"ABC"[i], NULL), 0);
    mark('m'); /* spawning does not suspend */
    mark_thrice("m");
    assert_int_equal(tepal_group_wait(group), 0);
    tepal_group_close(group);
    (void)arg;
    return 0;
}

static void tasks_run_in_turns(void **state)
{
    (void)state;
    assert_int_equal(run(in_turns, NULL), 0);
    assert_string_equal(trace, "mmABCmABCmABC");
}

struct nap {
    int64_t ms;
    char name;
};

static int nap_main(void *arg)
{
    struct nap *nap = arg;
    int64_t before = tepal_now_ms();
    assert_int_equal(tepal_sleep_ms(nap->ms), 0);
    assert_true(tepal_now_ms() - before >= nap->ms);
    if (loop_current->fake_time && nap->ms > 0)
        assert_true(tepal_now_ms() - before == nap->ms);
    mark(nap->name);
    return 0;
}

static int sleep_in_order(void *arg)
{
    static struct nap naps[] = { { 30, 'e' }, { 1, 'b' },       { 4096, 'h' }, { 20, 'd' },
                                 { 0, 'a' },  { 65, 'g' },      { 64, 'f' },   { 10, 'c' },
                                 { -5, 'A' }, { 86400000, 'i' } };
    tepal_group *group = tepal_group_new();
    for (size_t i = 0; i < sizeof(naps) / sizeof(naps[0]); i++)
        if (!arg || naps[i].ms < 100)
            assert_int_equal(tepal_spawn(group, nap_main, &naps[i], NULL), 0);
    assert_int_equal(tepal_group_wait(group), 0);
    tepal_group_close(group);
    return 0;
}

static void sleepers_wake_in_order(void **state)
{
    (void)state;
    assert_int_equal(run_fake(sleep_in_order, NULL), 0);
    assert_string_equal(trace, "aAbcdefghi");
    trace[0] = '\0';
    assert_int_equal(run(sleep_in_order, "short"), 0);
    assert_int_equal(strlen(trace), 8);
    assert_int_equal(trace[0], 'a');
}

static int sleep_absurdly(void *arg)
{
    struct tepal_task *task = loop_current->current;
    int64_t before = tepal_now_ms();
    (void)tepal_deadline_in_ms(INT64_MAX - 1); /* no overflow: as good as never */
    assert_true(task->deadline > before);
    tepal_deadline_restore(TEPAL_NEVER);
    (void)tepal_deadline_in_ms(1000);
    assert_int_equal(tepal_sleep_ms(INT64_MAX - 1), -ETIMEDOUT);
    assert_true(tepal_now_ms() == before + 1000);
    tepal_deadline_restore(TEPAL_NEVER);
    (void)tepal_deadline_in_ms(INT64_MIN);
    assert_int_equal(tepal_sleep_ms(1), -ETIMEDOUT);
    tepal_deadline_restore(TEPAL_NEVER);
    assert_int_equal(tepal_sleep_ms(INT64_MIN), 0);
    (void)arg;
    return 0;
}

static void absurd_times(void **state)
{
    (void)state;
    assert_int_equal(run_fake(sleep_absurdly, NULL), 0);
}

/* --- Deadlines -------------------------------------------------------------------------------- */

static int nest_deadlines(void *arg)
{
    struct tepal_task *task = loop_current->current;
    int64_t now = tepal_now_ms();
    int64_t none = tepal_deadline_in_ms(1000);
    assert_true(none == TEPAL_NEVER);
    int64_t outer = tepal_deadline_in_ms(100); /* earlier: it shrinks */
    assert_true(outer == now + 1000);
    assert_true(task->deadline == now + 100);
    int64_t inner = tepal_deadline_in_ms(500); /* later: the earlier one stays */
    assert_true(inner == now + 100);
    assert_true(task->deadline == now + 100);
    assert_true(tepal_deadline_in_ms(TEPAL_NEVER) == now + 100);
    assert_true(task->deadline == now + 100);
    assert_int_equal(tepal_sleep_ms(200), -ETIMEDOUT);
    assert_true(tepal_now_ms() == now + 100);
    assert_int_equal(tepal_sleep_ms(0), -ETIMEDOUT); /* and from then on */
    assert_int_equal(tepal_sleep_ms(1), -ETIMEDOUT);
    assert_false(tepal_is_cancelled());
    tepal_deadline_restore(inner);
    assert_int_equal(tepal_sleep_ms(1), -ETIMEDOUT);
    tepal_deadline_restore(outer);
    assert_int_equal(tepal_sleep_ms(200), 0); /* there is time again */
    assert_int_equal(tepal_sleep_ms(10000), -ETIMEDOUT);
    assert_true(tepal_now_ms() == now + 1000);
    tepal_deadline_restore(none);
    assert_int_equal(tepal_sleep_ms(10000), 0);
    /* A sleep that ends with the deadline has been slept. */
    (void)tepal_deadline_in_ms(50);
    assert_int_equal(tepal_sleep_ms(50), 0);
    assert_int_equal(tepal_sleep_ms(0), -ETIMEDOUT);
    (void)arg;
    return 0;
}

static void deadlines_nest_and_only_shrink(void **state)
{
    (void)state;
    assert_int_equal(run_fake(nest_deadlines, NULL), 0);
}

static int report_deadline(void *arg)
{
    *(int64_t *)arg = loop_current->current->deadline;
    (void)tepal_deadline_in_ms(1);
    return 0;
}

static int spawn_with_deadline(void *arg)
{
    int64_t first = 0, second = 0;
    int64_t now = tepal_now_ms();
    tepal_group *group = tepal_group_new();
    int64_t none = tepal_deadline_in_ms(100);
    assert_int_equal(tepal_spawn(group, report_deadline, &first, NULL), 0);
    tepal_deadline_restore(none);
    assert_int_equal(tepal_spawn(group, report_deadline, &second, NULL), 0);
    assert_int_equal(tepal_group_wait(group), 0);
    tepal_group_close(group);
    assert_true(first == now + 100); /* that of the moment when it was spawned */
    assert_true(second == TEPAL_NEVER);
    assert_true(loop_current->current->deadline == TEPAL_NEVER);
    (void)arg;
    return 0;
}

static void tasks_inherit_the_deadline(void **state)
{
    (void)state;
    assert_int_equal(run_fake(spawn_with_deadline, NULL), 0);
}

/* --- Interruption ----------------------------------------------------------------------------- */

static int sleep_long(void *arg)
{
    (void)arg;
    return tepal_sleep_ms(1000000);
}

static int sleep_for_ever(void *arg)
{
    (void)arg;
    return tepal_sleep_ms(TEPAL_NEVER);
}

static int wait_for_ever(void *arg)
{
    (void)arg;
    return task_wait(loop_current, "a test", TEPAL_NEVER);
}

static int interrupt_all(void *arg)
{
    expect_interruptible(sleep_long, arg);
    expect_interruptible(sleep_for_ever, arg);
    expect_interruptible(wait_for_ever, arg);
    return 0;
}

static void every_wait_can_be_interrupted(void **state)
{
    (void)state;
    assert_int_equal(run_fake(interrupt_all, NULL), 0);
    assert_int_equal(run(interrupt_all, NULL), 0);
}

static int yield_for_ever(void *arg)
{
    int rc;
    do
        ++*(int *)arg;
    while ((rc = tepal_sleep_ms(0)) == 0);
    return rc;
}

static int interrupt_yielding(void *arg)
{
    int n = 0;
    expect_refusal(yield_for_ever, &n);
    expect_cancellation(yield_for_ever, &n);
    (void)arg;
    return 0;
}

static void yielding_can_be_interrupted(void **state)
{
    (void)state;
    assert_int_equal(run_fake(interrupt_yielding, NULL), 0);
}

static int yield_until_deadline(void *arg)
{
    int n = 0;
    (void)arg;
    (void)tepal_deadline_in_ms(3);
    return yield_for_ever(&n);
}

static void yielding_ends_at_the_deadline(void **state)
{
    (void)state;
    assert_int_equal(run(yield_until_deadline, NULL), -ETIMEDOUT);
}

/* --- Waiting and waking ----------------------------------------------------------------------- */

struct waiter {
    struct tepal_task *task;
    int results[4];
    int n;
    bool shielded;
};

static int waiter_main(void *arg)
{
    struct waiter *w = arg;
    w->task = loop_current->current;
    for (; w->n < 3; w->n++) {
        int rc = w->shielded ? task_wait_shielded(loop_current, "a test")
                             : task_wait(loop_current, "a test", TEPAL_NEVER);
        w->results[w->n] = rc;
    }
    return 0;
}

/* A task that is woken and cancelled before it runs gets both, one after the other. */
static int wake_then_cancel(void *arg)
{
    struct waiter w = { 0 };
    tepal_group *group = tepal_group_new();
    assert_int_equal(tepal_spawn(group, waiter_main, &w, NULL), 0);
    settle();
    task_wake(w.task, 42);
    tepal_group_cancel(group);
    task_wake(w.task, 43); /* not waiting any more: nothing happens */
    tepal_group_close(group);
    assert_int_equal(w.results[0], 42);
    assert_int_equal(w.results[1], -ECANCELED);
    assert_int_equal(w.results[2], -ECANCELED);
    (void)arg;
    return 0;
}

static int cancel_then_wake(void *arg)
{
    struct waiter w = { 0 };
    tepal_group *group = tepal_group_new();
    assert_int_equal(tepal_spawn(group, waiter_main, &w, NULL), 0);
    settle();
    tepal_group_cancel(group);
    task_wake(w.task, 42);
    tepal_group_close(group);
    assert_int_equal(w.results[0], -ECANCELED);
    assert_int_equal(w.results[1], -ECANCELED);
    (void)arg;
    return 0;
}

/* A shielded wait ends by nothing but being woken. */
static int shielded(void *arg)
{
    struct waiter w = { .shielded = true };
    tepal_group *group = tepal_group_new();
    int64_t none = tepal_deadline_in_ms(10);
    assert_int_equal(tepal_spawn(group, waiter_main, &w, NULL), 0);
    tepal_deadline_restore(none);
    settle();
    tepal_group_cancel(group);
    assert_int_equal(tepal_sleep_ms(100), 0);
    assert_int_equal(w.n, 0);
    task_wake(w.task, 1);
    settle();
    task_wake(w.task, 2);
    settle();
    assert_int_equal(w.n, 2);
    task_wake(w.task, 3);
    tepal_group_close(group);
    assert_int_equal(w.results[0], 1);
    assert_int_equal(w.results[1], 2);
    assert_int_equal(w.results[2], 3);
    (void)arg;
    return 0;
}

static int wait_until(void *arg)
{
    int64_t now = loop_current->now;
    (void)arg;
    assert_int_equal(task_wait(loop_current, "a test", now + 10), -ETIMEDOUT);
    assert_true(loop_current->now == now + 10);
    assert_int_equal(task_wait(loop_current, "a test", now),
                     -ETIMEDOUT); /* past: as soon as may be */
    (void)tepal_deadline_in_ms(5);
    assert_int_equal(task_wait(loop_current, "a test", now + 1000), -ETIMEDOUT);
    assert_true(loop_current->now <= now + 30);
    return 0;
}

static void waking_and_cancelling(void **state)
{
    (void)state;
    assert_int_equal(run_fake(wake_then_cancel, NULL), 0);
    assert_int_equal(run_fake(cancel_then_wake, NULL), 0);
    assert_int_equal(run_fake(shielded, NULL), 0);
    assert_int_equal(run_fake(wait_until, NULL), 0);
}

/* A timer that is due in the same turn as the waking does not strike the next wait. */
static int wake_at_the_deadline(void *arg)
{
    struct waiter w = { 0 };
    tepal_group *group = tepal_group_new();
    int64_t none = tepal_deadline_in_ms(10);
    assert_int_equal(tepal_spawn(group, waiter_main, &w, NULL), 0);
    tepal_deadline_restore(none);
    settle();
    w.task->deadline = TEPAL_NEVER; /* only this wait has a limit */
    task_wake(w.task, 7);
    assert_int_equal(tepal_sleep_ms(100), 0);
    assert_int_equal(w.n, 1);
    assert_int_equal(w.results[0], 7);
    tepal_group_close(group);
    (void)arg;
    return 0;
}

static void timers_end_with_their_wait(void **state)
{
    (void)state;
    assert_int_equal(run_fake(wake_at_the_deadline, NULL), 0);
}

static int before_wait_calls;

static void before_wait(void *arg)
{
    before_wait_calls++;
    assert_ptr_equal(arg, trace);
    assert_non_null(loop_current->current);
}

static int watch_waits(void *arg)
{
    struct tepal_task *task = loop_current->current;
    assert_null(task->before_wait);
    task->before_wait = before_wait;
    task->before_wait_arg = trace;
    assert_int_equal(tepal_sleep_ms(0), 0);
    assert_int_equal(tepal_sleep_ms(1), 0);
    assert_int_equal(before_wait_calls, 2);
    (void)tepal_deadline_in_ms(-1);
    assert_int_equal(tepal_sleep_ms(1), -ETIMEDOUT); /* does not suspend */
    assert_int_equal(before_wait_calls, 2);
    (void)arg;
    return 0;
}

static void is_told_before_it_waits(void **state)
{
    (void)state;
    before_wait_calls = 0;
    assert_int_equal(run_fake(watch_waits, NULL), 0);
}

static void wake_itself(void *arg)
{
    (void)arg;
    task_wake(loop_current->current, 7);
}

/* Others are ready, or nobody is; the task goes on in its turn. */
static int wait_and_wake_itself(void *arg)
{
    struct tepal_task *task = loop_current->current;
    task->before_wait = wake_itself;
    assert_int_equal(task_wait(loop_current, "a test", TEPAL_NEVER), 7);
    task->before_wait = NULL;
    tepal_group *group = tepal_group_new();
    for (int i = 0; i < 2; i++)
        assert_int_equal(tepal_spawn(group, mark_thrice, &"AB"[i], NULL), 0);
    task->before_wait = wake_itself;
    assert_int_equal(task_wait(loop_current, "a test", TEPAL_NEVER), 7);
    task->before_wait = NULL;
    mark('m');
    assert_int_equal(tepal_group_wait(group), 0);
    tepal_group_close(group);
    (void)arg;
    return 0;
}

static void is_woken_before_it_waits(void **state)
{
    (void)state;
    assert_int_equal(run(wait_and_wake_itself, NULL), 0);
    assert_string_equal(trace, "ABmABAB");
    trace[0] = '\0';
    assert_int_equal(run_fake(wait_and_wake_itself, NULL), 0);
    assert_string_equal(trace, "ABmABAB");
}

/* --- Memory ----------------------------------------------------------------------------------- */

static struct stack *sleepers_stack;

static int sleep_on_own_stack(void *arg)
{
    (void)arg;
    sleepers_stack = loop_current->current->stack;
    return tepal_sleep_ms(TEPAL_NEVER);
}

static int look_at_a_sleeper(void *arg)
{
    (void)arg;
    unsigned char resident[STACK_DEFAULT_SIZE / 4096];
    size_t page = (size_t)sysconf(_SC_PAGESIZE), n = 0;
    tepal_group *group = tepal_group_new();
    assert_int_equal(tepal_spawn(group, sleep_on_own_stack, NULL, NULL), 0);
    settle();
    char *low = sleepers_stack->low;
    size_t size = (size_t)(sleepers_stack->top - low);
    assert_true((uintptr_t)low % page == 0 && size / page <= sizeof(resident));
    assert_int_equal(mincore(low, size, resident), 0);
    for (size_t i = 0; i < size / page; i++)
        n += resident[i] & 1;
    assert_int_equal(n, 1);
    tepal_group_close(group);
    return 0;
}

static void a_sleeping_task_needs_one_page(void **state)
{
    (void)state;
    if (SANITIZED)
        skip(); /* their frames are larger */
    assert_int_equal(run(look_at_a_sleeper, NULL), 0);
}

/* --- Many, and chance ------------------------------------------------------------------------- */

static int chaos_task(void *arg)
{
    uint64_t seed = (uint64_t)(uintptr_t)arg;
    int steps = (int)(next_random(&seed) % 8);
    for (int i = 0; i < steps; i++) {
        int64_t none = next_random(&seed) % 3 ? loop_current->current->deadline
                                              : tepal_deadline_in_ms(next_random(&seed) % 50);
        int64_t begin = tepal_now_ms();
        int64_t ms = next_random(&seed) % 30;
        int rc = tepal_sleep_ms(ms);
        if (rc == 0)
            assert_true(tepal_now_ms() >= begin + ms);
        else if (rc == -ECANCELED)
            assert_true(tepal_is_cancelled());
        else
            assert_true(rc == -ETIMEDOUT && tepal_now_ms() >= loop_current->current->deadline);
        tepal_deadline_restore(none);
        if (next_random(&seed) % 4 == 0) {
            tepal_group *group = tepal_group_new();
            for (uint32_t k = next_random(&seed) % 3; k > 0; k--) {
                rc = tepal_spawn(group, chaos_task, (void *)(uintptr_t)next_random(&seed), NULL);
                assert_int_equal(rc, 0);
            }
            if (next_random(&seed) % 2)
                (void)tepal_group_wait(group);
            tepal_group_close(group);
        }
    }
    return 0;
}

static int chaos(void *arg)
{
    uint64_t seed = 99;
    tepal_group *group = tepal_group_new();
    for (int i = 0; i < times(2000); i++) {
        void *task_seed = (void *)(uintptr_t)next_random(&seed);
        assert_int_equal(tepal_spawn(group, chaos_task, task_seed, NULL), 0);
        if (i % 10 == 0)
            assert_int_equal(tepal_sleep_ms(next_random(&seed) % 3), 0);
    }
    assert_int_equal(tepal_sleep_ms(20), 0);
    tepal_group_close(group);
    assert_int_equal(loop_current->n_tasks, 1);
    assert_int_equal(loop_current->stacks.n_used, 1);
    (void)arg;
    return 0;
}

static void at_random(void **state)
{
    (void)state;
    assert_int_equal(run_fake(chaos, NULL), 0);
}

static int sleep_one(void *arg)
{
    ++*(int *)arg;
    return tepal_sleep_ms(1);
}

static int many(void *arg)
{
    int n = RUNNING_ON_VALGRIND || SANITIZED ? 500 : 20000, n_ran = 0;
    tepal_group *group = tepal_group_new();
    for (int i = 0; i < n; i++)
        assert_int_equal(tepal_spawn(group, sleep_one, &n_ran, NULL), 0);
    assert_int_equal(tepal_sleep_ms(0), 0);
    assert_int_equal(n_ran, n);
    assert_int_equal(tepal_group_wait(group), 0);
    tepal_group_close(group);
    (void)arg;
    return 0;
}

static void twenty_thousand_at_once(void **state)
{
    (void)state;
    assert_int_equal(run_fake(many, NULL), 0);
}

/* What a task has begun is finished once, when it leaves: by giving way, waiting or ending. */
static void mark_leaving(struct leaving *leaving)
{
    (void)leaving;
    mark('!');
}

static struct leaving twice[2];

static int begin_two(void *arg)
{
    mark(*(char *)arg);
    loop_at_leaving(loop_current, &twice[0]);
    loop_at_leaving(loop_current, &twice[1]);
    loop_at_leaving(loop_current, &twice[0]);
    mark('.');
    return 0;
}

static int begin_and_leave(void *arg)
{
    tepal_group *group = tepal_group_new();
    for (int i = 0; i < 2; i++)
        twice[i] = (struct leaving){ .fn = mark_leaving };
    begin_two("a");
    tepal_sleep_ms(0);
    begin_two("b");
    tepal_sleep_ms(5);
    assert_int_equal(tepal_spawn(group, begin_two, "c", NULL), 0);
    assert_int_equal(tepal_group_wait(group), 0);
    mark('d');
    tepal_group_close(group);
    (void)arg;
    return 0;
}

static void what_is_done_at_leaving(void **state)
{
    (void)state;
    assert_int_equal(run_fake(begin_and_leave, NULL), 0);
    assert_string_equal(trace, "a.!!b.!!c.!!d");
}

#define TEST(name) cmocka_unit_test_setup(name, setup)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(tasks_run_in_turns),
        TEST(sleepers_wake_in_order),
        TEST(absurd_times),
        TEST(deadlines_nest_and_only_shrink),
        TEST(tasks_inherit_the_deadline),
        TEST(every_wait_can_be_interrupted),
        TEST(yielding_can_be_interrupted),
        TEST(yielding_ends_at_the_deadline),
        TEST(waking_and_cancelling),
        TEST(timers_end_with_their_wait),
        TEST(is_told_before_it_waits),
        TEST(is_woken_before_it_waits),
        TEST(what_is_done_at_leaving),
        TEST(a_sleeping_task_needs_one_page),
        TEST(at_random),
        TEST(twenty_thousand_at_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
