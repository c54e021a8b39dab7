/* Tests of deadlines that are moved, and of telling one's own time limit from an outer one and both
 * from a cancellation. */
#include "../in_loop.h"

static int64_t deadline(void)
{
    return loop_current->current->deadline;
}

/* --- Moving ----------------------------------------------------------------------------------- */

static int move_about(void *arg)
{
    int64_t now = tepal_now_ms();
    int64_t none = tepal_deadline_in_ms(1000);
    int64_t outer = tepal_deadline_in_ms(100);
    tepal_deadline_move_ms(outer, 300); /* later */
    assert_true(deadline() == now + 300);
    tepal_deadline_move_ms(outer, 50); /* earlier */
    assert_true(deadline() == now + 50);
    tepal_deadline_move_ms(outer, 1000);
    assert_true(deadline() == now + 1000);
    tepal_deadline_move_ms(outer, 1001); /* not beyond the outer one */
    assert_true(deadline() == now + 1000);
    tepal_deadline_move_ms(outer, TEPAL_NEVER);
    assert_true(deadline() == now + 1000);
    tepal_deadline_move_ms(outer, INT64_MAX - 1); /* no overflow */
    assert_true(deadline() == now + 1000);
    tepal_deadline_move_ms(outer, -1);
    assert_int_equal(tepal_sleep_ms(0), -ETIMEDOUT);
    tepal_deadline_move_ms(outer, INT64_MIN);
    assert_int_equal(tepal_sleep_ms(0), -ETIMEDOUT);
    tepal_deadline_move_ms(outer, 100); /* there is time again */
    assert_int_equal(tepal_sleep_ms(50), 0);
    assert_int_equal(tepal_sleep_ms(100), -ETIMEDOUT);
    assert_true(tepal_now_ms() == now + 100);
    tepal_deadline_restore(outer);
    tepal_deadline_move_ms(none, TEPAL_NEVER);
    assert_true(deadline() == TEPAL_NEVER);
    tepal_deadline_restore(none);
    (void)arg;
    return 0;
}

/* An idle timeout: each step of progress moves it, and the whole has a limit, too. */
static int progress(void *arg)
{
    int64_t now = tepal_now_ms();
    int64_t none = tepal_deadline_in_ms(1000);
    int64_t outer = tepal_deadline_in_ms(100);
    int n = 0;
    while (tepal_sleep_ms(60) == 0) {
        n++;
        tepal_deadline_move_ms(outer, 100);
    }
    assert_int_equal(n, 16);
    assert_true(tepal_now_ms() == now + 1000);
    tepal_deadline_restore(outer);
    assert_int_equal(tepal_sleep_ms(0), -ETIMEDOUT); /* it was the outer one */
    tepal_deadline_restore(none);
    assert_int_equal(tepal_sleep_ms(0), 0);
    (void)arg;
    return 0;
}

static int report_deadline(void *arg)
{
    *(int64_t *)arg = deadline();
    return tepal_sleep_ms(500);
}

static int children_keep_theirs(void *arg)
{
    int64_t seen = 0, now = tepal_now_ms();
    tepal_group *group = tepal_group_new();
    int64_t none = tepal_deadline_in_ms(100);
    assert_int_equal(tepal_spawn(group, report_deadline, &seen, NULL), 0);
    tepal_deadline_move_ms(none, 1000);
    assert_int_equal(tepal_group_wait(group), -ETIMEDOUT);
    assert_true(seen == now + 100);
    assert_true(tepal_now_ms() == now + 100);
    tepal_deadline_restore(none);
    tepal_group_close(group);
    (void)arg;
    return 0;
}

static int move_in_shield(void *arg)
{
    int64_t now = tepal_now_ms();
    int64_t none = tepal_deadline_in_ms(10);
    int64_t before = tepal_shield_begin_ms(100);
    int64_t outer = tepal_deadline_in_ms(50);
    tepal_deadline_move_ms(outer, 1000);
    assert_true(deadline() == now + 100); /* that of the shield is the outer one */
    tepal_deadline_restore(outer);
    tepal_shield_end(before);
    assert_true(deadline() == now + 10);
    tepal_deadline_restore(none);
    (void)arg;
    return 0;
}

static void deadlines_move_within_the_outer_one(void **state)
{
    (void)state;
    assert_int_equal(run_fake(move_about, NULL), 0);
    assert_int_equal(run_fake(progress, NULL), 0);
    assert_int_equal(run_fake(children_keep_theirs, NULL), 0);
    assert_int_equal(run_fake(move_in_shield, NULL), 0);
}

/* --- Which of the three ----------------------------------------------------------------------- */

struct limits {
    int64_t own, moved_to, outer, cancelled; /* ms from the beginning; TEPAL_NEVER */
    int result;                              /* of the call under the own limit */
    int next;                                /* of the next one, without it */
};

/* A request with a time limit of its own, in a task that has another one and may be cancelled: how
 * a program tells what happened. */
static int limited(void *arg)
{
    const struct limits *l = arg;
    int64_t none = tepal_deadline_in_ms(l->outer);
    int64_t outer = tepal_deadline_in_ms(l->own);
    tepal_deadline_move_ms(outer, l->moved_to);
    assert_int_equal(tepal_sleep_ms(1000), l->result);
    tepal_deadline_restore(outer);
    assert_int_equal(tepal_sleep_ms(1), l->next);
    assert_true(tepal_is_cancelled() == (l->next == -ECANCELED));
    tepal_deadline_restore(none);
    return 0;
}

static int cancel_in_time(void *arg)
{
    const struct attempt *cancel = arg;
    if (tepal_sleep_ms(cancel->cancel_in) == 0)
        tepal_group_cancel(cancel->to_cancel);
    return 0;
}

static int tell_apart(void *arg)
{
    static const struct limits rows[] = {
        { 100, 100, TEPAL_NEVER, TEPAL_NEVER, -ETIMEDOUT, 0 },
        { 100, 200, 300, TEPAL_NEVER, -ETIMEDOUT, 0 },          /* the own one */
        { 100, 400, 300, TEPAL_NEVER, -ETIMEDOUT, -ETIMEDOUT }, /* moved beyond: the outer one */
        { 100, 300, 300, TEPAL_NEVER, -ETIMEDOUT, -ETIMEDOUT }, /* both at once */
        { 100, 200, 300, 150, -ECANCELED, -ECANCELED },         /* before any */
        { 300, 100, 400, 200, -ETIMEDOUT, 0 },                  /* too late to matter */
        { 100, 400, 300, 200, -ECANCELED, -ECANCELED },
        { 100, TEPAL_NEVER, TEPAL_NEVER, 2000, 0, 0 },
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        tepal_group *group = tepal_group_new(), *cancellers = tepal_group_new();
        struct limits row = rows[i];
        struct attempt cancel = { .to_cancel = group, .cancel_in = row.cancelled };
        assert_int_equal(tepal_spawn(group, limited, &row, NULL), 0);
        assert_int_equal(tepal_spawn(cancellers, cancel_in_time, &cancel, NULL), 0);
        assert_int_equal(tepal_group_wait(group), 0);
        tepal_group_close(cancellers);
        tepal_group_close(group);
    }
    (void)arg;
    return 0;
}

static void own_limit_outer_limit_and_cancellation(void **state)
{
    (void)state;
    assert_int_equal(run_fake(tell_apart, NULL), 0);
}

static int move_in_real_time(void *arg)
{
    int64_t before = tepal_now_us();
    int64_t none = tepal_deadline_in_ms(3600 * 1000);
    tepal_deadline_move_ms(none, 5);
    assert_int_equal(tepal_sleep_ms(TEPAL_NEVER), -ETIMEDOUT);
    assert_true(tepal_now_us() - before >= 5000);
    tepal_deadline_restore(none);
    (void)arg;
    return 0;
}

static void in_real_time(void **state)
{
    (void)state;
    assert_int_equal(run(move_in_real_time, NULL), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(deadlines_move_within_the_outer_one),
        cmocka_unit_test(own_limit_outer_limit_and_cancellation),
        cmocka_unit_test(in_real_time),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
