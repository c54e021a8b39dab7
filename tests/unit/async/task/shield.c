/* Tests of shields: what holds a cancellation back, and that it is never lost. */
#include "../misuse.h"

static struct tepal_task *self(void)
{
    return loop_current->current;
}

/* --- Cancelled before, in, and after ---------------------------------------------------------- */

struct shielded {
    int before, inside, after; /* what the calls returned */
    bool was_cancelled;        /* as the task itself saw it, inside */
    bool ended;
};

static int clean_up(void *arg)
{
    struct shielded *s = arg;
    s->before = tepal_sleep_ms(10);
    int64_t before = tepal_shield_begin_ms(1000);
    s->inside = tepal_sleep_ms(100);
    s->was_cancelled = tepal_is_cancelled();
    tepal_shield_end(before);
    assert_true(tepal_is_cancelled() == (self()->cancelled));
    s->after = tepal_sleep_ms(10);
    s->ended = true;
    return 0;
}

static int cancel_at(void *arg)
{
    static const struct {
        int64_t at;
        int before, inside, after;
    } rows[] = {
        { 0, -ECANCELED, 0, -ECANCELED }, /* before the task began */
        { 5, -ECANCELED, 0, -ECANCELED }, /* before the shield */
        { 50, 0, 0, -ECANCELED },         /* within it: held back */
        { 115, 0, 0, -ECANCELED },        /* after it */
        { 200, 0, 0, 0 },                 /* never */
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct shielded s = { 0 };
        int64_t start = tepal_now_ms();
        tepal_group *group = tepal_group_new();
        assert_int_equal(tepal_spawn(group, clean_up, &s, NULL), 0);
        if (rows[i].at > 0)
            assert_int_equal(tepal_sleep_ms(rows[i].at), 0);
        tepal_group_cancel(group);
        tepal_group_cancel(group);
        assert_int_equal(tepal_group_wait(group), 0);
        assert_true(s.ended && !s.was_cancelled);
        assert_int_equal(s.before, rows[i].before);
        assert_int_equal(s.inside, rows[i].inside);
        assert_int_equal(s.after, rows[i].after);
        assert_true(tepal_now_ms() >= start + 100);
        tepal_group_close(group);
    }
    (void)arg;
    return 0;
}

static void cancellation_is_held_back_and_told(void **state)
{
    (void)state;
    assert_int_equal(run_fake(cancel_at, NULL), 0);
}

/* A call that is cut off by the end of its shield's time returns -ETIMEDOUT though the task was
 * cancelled, too: the one is not taken for the other. */
static int out_of_shield_time(void *arg)
{
    int64_t before = tepal_shield_begin_ms(50);
    int64_t now = tepal_now_ms();
    assert_int_equal(tepal_sleep_ms(100), -ETIMEDOUT);
    assert_true(tepal_now_ms() == now + 50);
    assert_int_equal(tepal_sleep_ms(0), -ETIMEDOUT);
    assert_false(tepal_is_cancelled());
    tepal_shield_end(before);
    assert_true(tepal_is_cancelled());
    assert_int_equal(tepal_sleep_ms(0), -ECANCELED);
    (void)arg;
    return -ECANCELED;
}

static int cancel_beside(void *arg)
{
    tepal_group *group = tepal_group_new();
    assert_int_equal(tepal_spawn(group, out_of_shield_time, arg, NULL), 0);
    assert_int_equal(tepal_sleep_ms(10), 0);
    tepal_group_cancel(group);
    assert_int_equal(tepal_group_wait(group), -ECANCELED);
    tepal_group_close(group);
    return 0;
}

/* --- Deadlines -------------------------------------------------------------------------------- */

static int shield_from_deadline(void *arg)
{
    int64_t now = tepal_now_ms();
    int64_t none = tepal_deadline_in_ms(10);
    assert_int_equal(tepal_sleep_ms(100), -ETIMEDOUT);
    int64_t before = tepal_shield_begin_ms(1000);
    assert_true(before == now + 10);
    assert_true(self()->deadline == now + 1010);
    assert_int_equal(tepal_sleep_ms(100), 0);
    int64_t inner = tepal_deadline_in_ms(5000); /* within it deadlines only shrink, as ever */
    assert_true(self()->deadline == now + 1010);
    tepal_deadline_restore(inner);
    tepal_shield_end(before);
    assert_int_equal(tepal_sleep_ms(1), -ETIMEDOUT);
    tepal_deadline_restore(none);
    before = tepal_shield_begin_ms(TEPAL_NEVER);
    assert_true(self()->deadline == TEPAL_NEVER);
    tepal_shield_end(before);
    before = tepal_shield_begin_ms(0); /* no time at all */
    assert_int_equal(tepal_sleep_ms(0), -ETIMEDOUT);
    tepal_shield_end(before);
    before = tepal_shield_begin_ms(INT64_MIN);
    assert_int_equal(tepal_sleep_ms(0), -ETIMEDOUT);
    tepal_shield_end(before);
    before = tepal_shield_begin_ms(INT64_MAX - 1);
    assert_int_equal(tepal_sleep_ms(10), 0);
    tepal_shield_end(before);
    assert_int_equal(tepal_sleep_ms(10), 0);
    (void)arg;
    return 0;
}

static void a_shield_has_its_own_time(void **state)
{
    (void)state;
    assert_int_equal(run_fake(shield_from_deadline, NULL), 0);
    assert_int_equal(run_fake(cancel_beside, NULL), 0);
}

/* --- Nesting ---------------------------------------------------------------------------------- */

static int nest(void *arg)
{
    struct tepal_task *task = self();
    int64_t now = tepal_now_ms();
    int64_t outer = tepal_shield_begin_ms(100);
    for (int i = 0; i < 3; i++) {
        int64_t inner = tepal_shield_begin_ms(1000);
        assert_true(inner == now + 100);
        if (i == 1)
            task_cancel(task);
        assert_true(task->deadline == tepal_now_ms() + 1000);
        assert_int_equal(tepal_sleep_ms(i == 2 ? 200 : 10), 0);
        tepal_shield_end(inner);
        assert_true(task->deadline == now + 100);
        assert_false(tepal_is_cancelled());
        if (i < 2)
            assert_int_equal(tepal_sleep_ms(1), 0); /* still within the outer one */
    }
    assert_int_equal(tepal_sleep_ms(1), -ETIMEDOUT); /* whose time is over */
    tepal_shield_end(outer);
    assert_true(tepal_is_cancelled());
    /* Cancelled, it may clean up once more, and is still cancelled then. */
    outer = tepal_shield_begin_ms(100);
    assert_int_equal(tepal_sleep_ms(10), 0);
    tepal_shield_end(outer);
    assert_int_equal(tepal_sleep_ms(10), -ECANCELED);
    (void)arg;
    return 0;
}

static void shields_nest(void **state)
{
    (void)state;
    assert_int_equal(run_fake(nest, NULL), 0);
}

/* --- Children, and every kind of wait --------------------------------------------------------- */

static int sleep_a_little(void *arg)
{
    *(int *)arg = tepal_sleep_ms(10);
    return 0;
}

/* What a clean-up starts is not cancelled either, but by its own group. */
static int clean_up_with_children(void *arg)
{
    struct tepal_task *task = self();
    int first = 1, second = 1;
    task_cancel(task);
    int64_t before = tepal_shield_begin_ms(1000);
    tepal_group *group = tepal_group_new();
    assert_int_equal(tepal_spawn(group, sleep_a_little, &first, NULL), 0);
    assert_int_equal(tepal_group_wait(group), 0);
    assert_int_equal(first, 0);
    assert_int_equal(tepal_spawn(group, sleep_a_little, &second, NULL), 0);
    tepal_group_close(group);
    assert_int_equal(second, -ECANCELED);
    tepal_job job = { .fn = sleep_a_little, .arg = &second };
    assert_int_equal(tepal_gather(&job, 1, NULL), 0);
    assert_int_equal(second, 0);
    tepal_shield_end(before);
    assert_int_equal(tepal_gather(&job, 1, NULL), -ECANCELED);
    (void)arg;
    return 0;
}

static void children_of_a_shielded_task(void **state)
{
    (void)state;
    assert_int_equal(run_fake(clean_up_with_children, NULL), 0);
}

/* A cancellation that has ended a wait, and one that comes when the wait has ended: both are still
 * there when the shield that follows is over. */
static int waits_then_shields(void *arg)
{
    int rc = task_wait(loop_current, "a test", TEPAL_NEVER);
    assert_int_equal(rc, *(int *)arg);
    int64_t before = tepal_shield_begin_ms(1000);
    assert_int_equal(tepal_sleep_ms(1), 0);
    tepal_shield_end(before);
    return tepal_sleep_ms(0);
}

static int cancel_beside_the_wake(void *arg)
{
    for (int wake_first = 0; wake_first < 2; wake_first++) {
        int expected = wake_first ? 42 : -ECANCELED;
        tepal_job job = { .fn = waits_then_shields, .arg = &expected };
        tepal_group *group = tepal_group_new();
        assert_int_equal(tepal_job_start(group, &job), 0);
        settle();
        if (wake_first)
            task_wake(job.inside.task, 42);
        tepal_job_cancel(&job);
        task_wake(job.inside.task, 42);
        assert_int_equal(tepal_job_join(&job), 0);
        assert_int_equal(job.result, -ECANCELED);
        tepal_group_close(group);
    }
    (void)arg;
    return 0;
}

static void no_cancellation_is_lost(void **state)
{
    (void)state;
    assert_int_equal(run_fake(cancel_beside_the_wake, NULL), 0);
}

/* --- Setting a cancellation aside ------------------------------------------------------------- */

static int work_all_the_same(void *arg)
{
    struct tepal_task *task = self();
    int *first = arg, *second = first + 1;
    assert_int_equal(tepal_sleep_ms(1), -ECANCELED);
    bool cancelled = task_set_aside_cancel(task);
    assert_true(cancelled);
    *first = tepal_sleep_ms(10);
    bool again = task_set_aside_cancel(task);
    *second = tepal_sleep_ms(100); /* cancelled once more meanwhile, or not */
    task_restore_cancel(task, again);
    task_restore_cancel(task, cancelled);
    assert_true(tepal_is_cancelled());
    /* Within a shield there is none to set aside, and none is lost. */
    int64_t before = tepal_shield_begin_ms(100);
    cancelled = task_set_aside_cancel(task);
    assert_false(cancelled);
    task_restore_cancel(task, cancelled);
    assert_int_equal(tepal_sleep_ms(1), 0);
    tepal_shield_end(before);
    return tepal_sleep_ms(1);
}

static int cancel_once_or_twice(void *arg)
{
    for (int twice = 0; twice < 2; twice++) {
        int results[2] = { 1, 1 };
        tepal_group *group = tepal_group_new();
        assert_int_equal(tepal_spawn(group, work_all_the_same, results, NULL), 0);
        tepal_group_cancel(group);
        assert_int_equal(tepal_sleep_ms(50), 0);
        if (twice)
            tepal_group_cancel(group);
        assert_int_equal(tepal_group_wait(group), -ECANCELED);
        assert_int_equal(results[0], 0);
        assert_int_equal(results[1], twice ? -ECANCELED : 0);
        tepal_group_close(group);
    }
    (void)arg;
    return 0;
}

static void a_cancellation_can_be_set_aside(void **state)
{
    (void)state;
    assert_int_equal(run_fake(cancel_once_or_twice, NULL), 0);
}

/* --- Misuse ----------------------------------------------------------------------------------- */

static int end_only(void *arg)
{
    (void)arg;
    tepal_shield_end(TEPAL_NEVER);
    return 0;
}

static int begin_only(void *arg)
{
    (void)arg;
    (void)tepal_shield_begin_ms(1);
    return 0;
}

static void misuse_stops_the_program(void **state)
{
    (void)state;
    expect_misuse(end_only, "tepal_shield_end: the task is within no shield");
    expect_misuse(begin_only,
                  "tepal_shield_begin_ms: the function ended without tepal_shield_end()");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(cancellation_is_held_back_and_told),
        cmocka_unit_test(a_shield_has_its_own_time),
        cmocka_unit_test(shields_nest),
        cmocka_unit_test(children_of_a_shielded_task),
        cmocka_unit_test(no_cancellation_is_lost),
        cmocka_unit_test(a_cancellation_can_be_set_aside),
        cmocka_unit_test(misuse_stops_the_program),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
