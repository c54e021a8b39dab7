/* Tests of groups: starting, joining, cancelling and closing. */
#include "../in_loop.h"

#include "base/mem.h"

static int n_ended;

static int setup(void **state)
{
    (void)state;
    n_ended = 0;
    return 0;
}

struct job {
    int64_t ms;
    int result;
};

static int job_main(void *arg)
{
    const struct job *job = arg;
    int rc = tepal_sleep_ms(job->ms);
    n_ended++;
    return rc < 0 ? rc : job->result;
}

static int wait_for_results(void *arg)
{
    static const struct {
        struct job jobs[3];
        int result;
    } rows[] = {
        { { { 1, 0 }, { 2, 0 }, { 3, 0 } }, 0 },
        { { { 1, 5 }, { 2, 7 }, { 3, 9 } }, 0 }, /* counts are no errors */
        { { { 1, 0 }, { 2, -EPIPE }, { 3, 0 } }, -EPIPE },
        { { { 3, -EIO }, { 2, -EPIPE }, { 1, 4 } }, -EPIPE }, /* the first in time */
        { { { 0, -ECANCELED }, { 2, -ETIMEDOUT }, { 1, TEPAL_EMESSAGE } }, -ECANCELED },
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        n_ended = 0;
        tepal_group *group = tepal_group_new();
        assert_int_equal(tepal_group_wait(group), 0); /* empty */
        for (int k = 0; k < 3; k++)
            assert_int_equal(
                tepal_spawn(group, job_main, (void *)(uintptr_t)&rows[i].jobs[k], NULL), 0);
        assert_int_equal(tepal_group_wait(group), rows[i].result);
        assert_int_equal(n_ended, 3);
        assert_int_equal(tepal_group_wait(group), rows[i].result); /* it stays */
        tepal_group_close(group);
    }
    (void)arg;
    return 0;
}

static void wait_returns_the_first_error(void **state)
{
    (void)state;
    assert_int_equal(run_fake(wait_for_results, NULL), 0);
}

/* The wait that is cut short leaves the tasks running. */
static int cut_short(void *arg)
{
    static struct job job = { 100, 0 };
    tepal_group *group = tepal_group_new();
    assert_int_equal(tepal_spawn(group, job_main, &job, NULL), 0);
    int64_t none = tepal_deadline_in_ms(10);
    assert_int_equal(tepal_group_wait(group), -ETIMEDOUT);
    tepal_deadline_restore(none);
    assert_int_equal(n_ended, 0);
    assert_int_equal(tepal_group_wait(group), 0);
    assert_int_equal(n_ended, 1);
    tepal_group_close(group);
    (void)arg;
    return 0;
}

static int wait_for_sleeper(void *arg)
{
    (void)arg;
    static struct job job = { 1000000, 0 };
    tepal_group *group = tepal_group_new();
    assert_non_null(group);
    assert_int_equal(tepal_spawn(group, job_main, &job, NULL), 0);
    /* The task has the deadline of its parent, too: this one must wait for the other. */
    loop_current->current->deadline = TEPAL_NEVER;
    int rc = tepal_group_wait(group);
    tepal_group_close(group);
    return rc;
}

static int wait_in_attempt(void *arg)
{
    return tepal_group_wait(arg);
}

static int interrupt_wait(void *arg)
{
    static struct job job = { 1000000, 0 };
    tepal_group *group = tepal_group_new();
    assert_int_equal(tepal_spawn(group, job_main, &job, NULL), 0);
    expect_interruptible(wait_in_attempt, group);
    assert_int_equal(n_ended, 0);
    tepal_group_close(group);
    assert_int_equal(n_ended, 1);
    expect_cancellation(wait_for_sleeper, NULL);
    (void)arg;
    return 0;
}

static void wait_can_be_interrupted(void **state)
{
    (void)state;
    assert_int_equal(run_fake(cut_short, NULL), 0);
    n_ended = 0;
    assert_int_equal(run_fake(interrupt_wait, NULL), 0);
}

/* --- Closing ---------------------------------------------------------------------------------- */

static bool in_cleanup, cleaned;

/* Does not end at once when it is cancelled. */
static int slow_end(void *arg)
{
    struct tepal_task **self = arg;
    assert_int_equal(tepal_sleep_ms(TEPAL_NEVER), -ECANCELED);
    assert_true(tepal_is_cancelled());
    in_cleanup = true;
    *self = loop_current->current;
    assert_int_equal(task_wait_shielded(loop_current, "a test"), 0);
    cleaned = true;
    return 0;
}

static int finish_cleanup(void *arg)
{
    struct tepal_task **sleeper = arg;
    while (!in_cleanup)
        assert_int_equal(tepal_sleep_ms(1), 0);
    assert_int_equal(tepal_sleep_ms(100), 0);
    task_wake(*sleeper, 0);
    return 0;
}

static int close_joins(void *arg)
{
    struct tepal_task *sleeper = NULL;
    in_cleanup = cleaned = false;
    tepal_group *group = tepal_group_new(), *helpers = tepal_group_new();
    assert_int_equal(tepal_spawn(group, slow_end, &sleeper, NULL), 0);
    assert_int_equal(tepal_spawn(helpers, finish_cleanup, &sleeper, NULL), 0);
    settle();
    assert_false(tepal_is_cancelled());
    int64_t none = tepal_deadline_in_ms(5); /* closing cannot time out */
    tepal_group_close(group);
    assert_true(cleaned);
    tepal_deadline_restore(none);
    assert_int_equal(tepal_group_wait(helpers), 0);
    tepal_group_close(helpers);
    tepal_group_close(NULL);
    (void)arg;
    return 0;
}

static int cancel_while_closing(void *arg)
{
    struct tepal_task *sleeper = NULL;
    in_cleanup = cleaned = false;
    tepal_group *helpers = tepal_group_new(), *group = tepal_group_new();
    assert_int_equal(tepal_spawn(group, slow_end, &sleeper, NULL), 0);
    assert_int_equal(tepal_spawn(helpers, finish_cleanup, &sleeper, NULL), 0);
    settle();
    loop_current->current->cancelled = true; /* closing cannot be cancelled */
    tepal_group_close(group);
    assert_true(cleaned);
    assert_int_equal(tepal_group_wait(helpers), -ECANCELED);
    tepal_group_close(helpers);
    (void)arg;
    return 0;
}

static void close_cancels_and_joins(void **state)
{
    (void)state;
    assert_int_equal(run_fake(close_joins, NULL), 0);
    assert_int_equal(run_fake(cancel_while_closing, NULL), 0);
}

/* --- Cancelling ------------------------------------------------------------------------------- */

static int note_whether_cancelled(void *arg)
{
    *(int *)arg = tepal_is_cancelled() ? tepal_sleep_ms(5) : 1;
    return 0;
}

static int cancel(void *arg)
{
    int before = 0, after = 0;
    tepal_group *group = tepal_group_new();
    assert_int_equal(tepal_spawn(group, note_whether_cancelled, &before, NULL), 0);
    tepal_group_cancel(group);
    tepal_group_cancel(group);
    assert_int_equal(tepal_spawn(group, note_whether_cancelled, &after, NULL), -ECANCELED);
    assert_false(tepal_is_cancelled());
    assert_int_equal(tepal_group_wait(group), 0);
    tepal_group_close(group);
    assert_int_equal(before, -ECANCELED); /* it ran, and was told */
    assert_int_equal(after, 0);
    (void)arg;
    return 0;
}

static void cancelled_groups_take_no_more(void **state)
{
    (void)state;
    assert_int_equal(run_fake(cancel, NULL), 0);
}

/* A task of the group that cancels it, itself included. */
static int cancel_own_group(void *arg)
{
    assert_int_equal(tepal_sleep_ms(10), 0);
    tepal_group_cancel(arg);
    assert_true(tepal_is_cancelled());
    return tepal_sleep_ms(1);
}

static int cancel_from_inside(void *arg)
{
    static struct job job = { 1000000, 0 };
    tepal_group *group = tepal_group_new();
    assert_int_equal(tepal_spawn(group, job_main, &job, NULL), 0);
    assert_int_equal(tepal_spawn(group, cancel_own_group, group, NULL), 0);
    assert_int_equal(tepal_group_wait(group), -ECANCELED);
    tepal_group_close(group);
    (void)arg;
    return 0;
}

static void a_task_may_cancel_its_group(void **state)
{
    (void)state;
    assert_int_equal(run_fake(cancel_from_inside, NULL), 0);
}

/* --- Spawning --------------------------------------------------------------------------------- */

static int report_name(void *arg)
{
    struct tepal_task *task = loop_current->current;
    assert_string_equal(task->name, arg);
    return (int)(task->stack->size / 1024);
}

static int use_large_stack(void *arg)
{
    volatile char large[900 * 1024];
    for (size_t i = 0; i < sizeof(large); i += 1000)
        large[i] = 1;
    assert_int_equal(large[5000], 1);
    return report_name(arg);
}

static int spawn_with_options(void *arg)
{
    tepal_group *group = tepal_group_new();
    assert_int_equal(tepal_spawn(group, report_name, "task", NULL), 0);
    assert_int_equal(tepal_spawn(group, report_name, "task", &(tepal_spawn_options){ 0 }), 0);
    assert_int_equal(
        tepal_spawn(group, report_name, "mine", &(tepal_spawn_options){ .name = "mine" }), 0);
    assert_int_equal(tepal_spawn(group, use_large_stack, "large",
                                 &(tepal_spawn_options){ .name = "large", .stack_size = 1 << 20 }),
                     0);
    assert_int_equal(
        tepal_spawn(group, report_name, "absurd", &(tepal_spawn_options){ .stack_size = SIZE_MAX }),
        -ENOMEM);
    assert_int_equal(tepal_group_wait(group), 0);
    tepal_group_close(group);
    report_name("main");
    (void)arg;
    return 0;
}

static void options_of_spawn(void **state)
{
    (void)state;
    assert_int_equal(run(spawn_with_options, NULL), 0);
}

/* The group may grow while it is waited for, by its own tasks or by others. */
static int spawn_more(void *arg)
{
    static struct job job = { 10, -EIO };
    assert_int_equal(tepal_sleep_ms(10), 0);
    return tepal_spawn(arg, job_main, &job, NULL);
}

static int refill(void *arg)
{
    /* At this moment the only task of the group ends, and the one that waits has been woken. */
    static struct job first = { 10, 0 };
    tepal_group *group = tepal_group_new(), *other = tepal_group_new();
    assert_int_equal(tepal_spawn(group, job_main, &first, NULL), 0);
    assert_int_equal(tepal_spawn(other, spawn_more, group, NULL), 0);
    assert_int_equal(tepal_group_wait(group), -EIO);
    assert_int_equal(n_ended, 2);
    tepal_group_close(group);
    tepal_group_close(other);
    (void)arg;
    return 0;
}

static int grow(void *arg)
{
    tepal_group *group = tepal_group_new(), *other = tepal_group_new();
    assert_int_equal(tepal_spawn(group, spawn_more, group, NULL), 0);
    assert_int_equal(tepal_spawn(other, spawn_more, group, NULL), 0);
    assert_int_equal(tepal_group_wait(group), -EIO);
    assert_int_equal(n_ended, 2);
    tepal_group_close(group);
    tepal_group_close(other);
    (void)arg;
    return 0;
}

static void groups_may_grow_while_waited_for(void **state)
{
    (void)state;
    assert_int_equal(run_fake(grow, NULL), 0);
    n_ended = 0;
    assert_int_equal(run_fake(refill, NULL), 0);
}

static int fail_allocations(void *arg)
{
    static struct job job = { 1, 0 };
    mem_fail_nth(1, 0);
    assert_null(tepal_group_new());
    tepal_group *group = tepal_group_new();
    int n_failed = 0;
    for (int i = 0; i < 200; i++) { /* slabs of stacks are allocated now and then */
        mem_fail_nth(1, 1);
        int rc = tepal_spawn(group, job_main, &job, NULL);
        assert_int_equal(rc, mem_failures() ? -ENOMEM : 0);
        n_failed += rc < 0;
    }
    mem_fail_nth(0, 0);
    assert_int_equal(tepal_group_wait(group), 0);
    assert_int_equal(n_ended, 200 - n_failed);
    tepal_group_close(group);
    (void)arg;
    return 0;
}

static void out_of_memory(void **state)
{
    (void)state;
    assert_int_equal(run_fake(fail_allocations, NULL), 0);
}

/* --- Copies of arguments ---------------------------------------------------------------------- */

struct letter {
    char octets[1000];
    size_t size;
};

static int n_right;

/* The copy is there from beginning to end, whatever else lies on the stack. */
static int read_letter(void *arg)
{
    struct letter *letter = arg;
    assert_int_equal((uintptr_t)arg % _Alignof(max_align_t), 0);
    volatile char frame[5000];
    for (size_t i = 0; i < sizeof(frame); i++)
        frame[i] = 9;
    assert_int_equal(tepal_sleep_ms(1), 0);
    for (size_t i = 0; i < sizeof(letter->octets); i++)
        assert_int_equal(letter->octets[i], (char)letter->size);
    letter->octets[0] = (char)frame[0]; /* it is the task's own */
    n_right++;
    return 0;
}

/* The argument is a local variable of a function that has returned when the task runs. */
static NO_INLINE void send_letter(tepal_group *group, size_t number)
{
    struct letter letter = { .size = number };
    memset(letter.octets, (int)number, sizeof(letter.octets));
    tepal_spawn_options options = { .arg_size = sizeof(letter),
                                    .stack_size = number % 3 == 0 ? 32 * 1024 : 0 };
    assert_int_equal(tepal_spawn(group, read_letter, &letter, &options), 0);
    memset(&letter, 0, sizeof(letter));
}

static int sum_up(void *arg)
{
    const unsigned char *octets = arg;
    n_right += octets[0];
    return 0;
}

/* Half of the stack may be taken by it, and no more. */
static void check_arg_limit(tepal_group *group, size_t stack_size)
{
    size_t half = (stack_size ? stack_size : STACK_DEFAULT_SIZE) / 2;
    unsigned char *large = malloc(half + 1);
    memset(large, 1, half + 1);
    for (size_t size = half - 1; size <= half + 1; size++) {
        tepal_spawn_options options = { .arg_size = size, .stack_size = stack_size };
        int rc = tepal_spawn(group, sum_up, large, &options);
        assert_int_equal(rc, size <= half ? 0 : -EINVAL);
    }
    free(large);
    assert_int_equal(tepal_group_wait(group), 0);
}

static int copy_arguments(void *arg)
{
    tepal_group *group = tepal_group_new();
    n_right = 0;
    for (size_t i = 0; i < 50; i++)
        send_letter(group, i);
    assert_int_equal(tepal_group_wait(group), 0);
    assert_int_equal(n_right, 50);
    n_right = 0;
    check_arg_limit(group, 0);
    check_arg_limit(group, 64 * 1024);
    assert_int_equal(n_right, 4);
    size_t n_tasks = loop_current->n_tasks;
    tepal_spawn_options options = { .arg_size = 1 };
    assert_int_equal(tepal_spawn(group, sum_up, NULL, &options), -EINVAL);
    options.arg_size = SIZE_MAX;
    assert_int_equal(tepal_spawn(group, sum_up, &options, &options), -EINVAL);
    assert_int_equal(loop_current->n_tasks, n_tasks);
    tepal_group_close(group);
    (void)arg;
    return 0;
}

static void arguments_are_copied(void **state)
{
    (void)state;
    assert_int_equal(run_fake(copy_arguments, NULL), 0);
}

#define TEST(name) cmocka_unit_test_setup(name, setup)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(wait_returns_the_first_error),
        TEST(wait_can_be_interrupted),
        TEST(close_cancels_and_joins),
        TEST(cancelled_groups_take_no_more),
        TEST(a_task_may_cancel_its_group),
        TEST(options_of_spawn),
        TEST(arguments_are_copied),
        TEST(groups_may_grow_while_waited_for),
        TEST(out_of_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
