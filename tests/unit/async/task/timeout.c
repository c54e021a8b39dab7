/* Tests of functions with a time of their own. */
#include "../misuse.h"

static int64_t deadline(void)
{
    return loop_current->current->deadline;
}

static int return_it(void *arg)
{
    return *(const int *)arg;
}

static int sleep_as_long(void *arg)
{
    return tepal_sleep_ms(*(const int64_t *)arg);
}

/* --- Results ---------------------------------------------------------------------------------- */

static int results(void *arg)
{
    static const int codes[] = { 0, 7, -EIO, -ECANCELED, -ETIMEDOUT, -ETIME };
    (void)arg;
    for (size_t i = 0; i < sizeof(codes) / sizeof(codes[0]); i++) {
        assert_int_equal(tepal_timeout_ms(100, return_it, &codes[i]), codes[i]);
        assert_true(deadline() == TEPAL_NEVER);
        assert_int_equal(tepal_timeout_ms(TEPAL_NEVER, return_it, &codes[i]), codes[i]);
    }
    return 0;
}

static void what_the_function_returns(void **state)
{
    (void)state;
    assert_int_equal(run_fake(results, NULL), 0);
    assert_string_equal(tepal_code_name(-ETIME), "ETIME");
    assert_string_equal(tepal_code_text(-ETIME), "the time for this step is over");
}

/* --- Whose time ------------------------------------------------------------------------------- */

struct row {
    int64_t outer, own, sleep; /* ms from the beginning; TEPAL_NEVER */
    int result, next;          /* of the call, and of the next one without it */
    int64_t took;
};

static int whose_time(void *arg)
{
    static const struct row rows[] = {
        { TEPAL_NEVER, 100, 99, 0, 0, 99 },
        { TEPAL_NEVER, 100, 100, 0, 0, 100 },
        { TEPAL_NEVER, 100, 101, -ETIME, 0, 100 },
        { TEPAL_NEVER, TEPAL_NEVER, 5000, 0, 0, 5000 },
        { TEPAL_NEVER, INT64_MAX - 1, 5000, 0, 0, 5000 },
        { TEPAL_NEVER, 0, 10, -ETIME, 0, 0 },
        { TEPAL_NEVER, -5, 0, -ETIME, 0, 0 },
        { TEPAL_NEVER, INT64_MIN / 2, 0, -ETIME, 0, 0 },
        { 200, 100, 1000, -ETIME, 0, 100 },
        { 100, 200, 1000, -ETIMEDOUT, -ETIMEDOUT, 100 },
        { 100, 100, 1000, -ETIMEDOUT, -ETIMEDOUT, 100 }, /* both: it is over for the caller, too */
        { 100, TEPAL_NEVER, 1000, -ETIMEDOUT, -ETIMEDOUT, 100 },
    };
    (void)arg;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        const struct row *row = &rows[i];
        int64_t start = tepal_now_ms(), none = tepal_deadline_in_ms(row->outer);
        int64_t before = deadline();
        assert_int_equal(tepal_timeout_ms(row->own, sleep_as_long, &row->sleep), row->result);
        assert_true(deadline() == before);
        assert_int_equal(tepal_now_ms() - start, row->took);
        assert_int_equal(tepal_sleep_ms(0), row->next);
        tepal_deadline_restore(none);
    }
    return 0;
}

static void own_time_and_outer_time(void **state)
{
    (void)state;
    assert_int_equal(run_fake(whose_time, NULL), 0);
}

static int hold_the_loop(void *arg)
{
    int64_t until = tepal_now_ms() + *(const int64_t *)arg;
    while (tepal_now_ms() < until)
        continue;
    return tepal_sleep_ms(1);
}

static int in_real_time(void *arg)
{
    int64_t long_ms = 3600 * 1000, start = tepal_now_us(), busy_ms = 10;
    (void)arg;
    assert_int_equal(tepal_timeout_ms(5, sleep_as_long, &long_ms), -ETIME);
    assert_true(tepal_now_us() - start >= 5000);
    assert_int_equal(tepal_sleep_ms(0), 0);
    assert_int_equal(tepal_timeout_ms(2, hold_the_loop, &busy_ms), -ETIME);
    assert_int_equal(tepal_sleep_ms(0), 0);
    return 0;
}

static void on_the_real_clock(void **state)
{
    (void)state;
    assert_int_equal(run(in_real_time, NULL), 0);
}

/* --- Nesting ---------------------------------------------------------------------------------- */

static int n_steps;

static int try_twice(void *arg)
{
    static const int64_t long_ms = 1000;
    (void)arg;
    int rc = tepal_timeout_ms(40, sleep_as_long, &long_ms);
    n_steps += rc == -ETIME;
    if (rc == -ETIME)
        rc = tepal_timeout_ms(400, sleep_as_long, &long_ms);
    n_steps += rc == -ETIMEDOUT;
    return rc;
}

static int nest(void *arg)
{
    int64_t start = tepal_now_ms();
    (void)arg;
    n_steps = 0;
    assert_int_equal(tepal_timeout_ms(100, try_twice, NULL), -ETIME);
    assert_int_equal(n_steps, 2);
    assert_int_equal(tepal_now_ms() - start, 100);
    return 0;
}

static void a_timeout_in_a_timeout(void **state)
{
    (void)state;
    assert_int_equal(run_fake(nest, NULL), 0);
}

static int leave_deadlines(void *arg)
{
    (void)arg;
    (void)tepal_deadline_in_ms(10);
    (void)tepal_deadline_in_ms(5);
    return tepal_sleep_ms(1);
}

static int report_deadline(void *arg)
{
    *(int64_t *)arg = deadline();
    return 0;
}

static int spawn_one(void *arg)
{
    tepal_group *group = tepal_group_new();
    assert_int_equal(tepal_spawn(group, report_deadline, arg, NULL), 0);
    assert_int_equal(tepal_group_wait(group), 0);
    tepal_group_close(group);
    return 0;
}

static int time_is_restored(void *arg)
{
    int64_t seen = 0, now = tepal_now_ms();
    (void)arg;
    assert_int_equal(tepal_timeout_ms(100, leave_deadlines, NULL), 0);
    assert_true(deadline() == TEPAL_NEVER);
    now = tepal_now_ms();
    assert_int_equal(tepal_timeout_ms(100, spawn_one, &seen), 0); /* tasks have it, too */
    assert_true(seen == now + 100);
    return 0;
}

static void deadlines_end_with_the_function(void **state)
{
    (void)state;
    assert_int_equal(run_fake(time_is_restored, NULL), 0);
}

/* More of them in a row than a task may be refused calls: each is a new time. */
static int again_and_again(void *arg)
{
    static const int64_t long_ms = 1000;
    int64_t start = tepal_now_ms();
    (void)arg;
    for (int i = 0; i < 100; i++)
        assert_int_equal(tepal_timeout_ms(1, sleep_as_long, &long_ms), -ETIME);
    assert_int_equal(tepal_now_ms() - start, 100);
    return 0;
}

static void many_in_a_row(void **state)
{
    (void)state;
    assert_int_equal(run_fake(again_and_again, NULL), 0);
}

/* --- Cancellation and shields ----------------------------------------------------------------- */

static int sleep_long_in_time(void *arg)
{
    static const int64_t long_ms = 3600 * 1000;
    (void)arg;
    return tepal_timeout_ms(TEPAL_NEVER, sleep_as_long, &long_ms);
}

static int sleep_until_cancelled(void *arg)
{
    static const int64_t long_ms = 3600 * 1000;
    int rc = tepal_timeout_ms(100, sleep_as_long, &long_ms);
    *(int *)arg = rc;
    return rc;
}

static int interrupt(void *arg)
{
    (void)arg;
    expect_interruptible(sleep_long_in_time, NULL);
    return 0;
}

static int cancel_in_time(void *arg)
{
    int result = 1;
    (void)arg;
    tepal_group *group = tepal_group_new();
    assert_int_equal(tepal_spawn(group, sleep_until_cancelled, &result, NULL), 0);
    assert_int_equal(tepal_sleep_ms(50), 0);
    tepal_group_close(group);
    assert_int_equal(result, -ECANCELED);
    return 0;
}

static void cancelled_within(void **state)
{
    (void)state;
    assert_int_equal(run_fake(interrupt, NULL), 0);
    assert_int_equal(run_fake(cancel_in_time, NULL), 0);
    assert_int_equal(run(interrupt, NULL), 0);
}

static int shield_itself(void *arg)
{
    (void)arg;
    int64_t before = tepal_shield_begin_ms(1000);
    int rc = tepal_sleep_ms(200);
    tepal_shield_end(before);
    return rc;
}

static int within_a_shield(void *arg)
{
    static const int64_t long_ms = 1000;
    (void)arg;
    assert_int_equal(tepal_timeout_ms(100, shield_itself, NULL), 0);
    int64_t before = tepal_shield_begin_ms(500);
    assert_int_equal(tepal_timeout_ms(100, sleep_as_long, &long_ms), -ETIME);
    assert_int_equal(tepal_timeout_ms(TEPAL_NEVER, sleep_as_long, &long_ms), -ETIMEDOUT);
    tepal_shield_end(before);
    return tepal_sleep_ms(0);
}

static void shields_within_and_around(void **state)
{
    (void)state;
    assert_int_equal(run_fake(within_a_shield, NULL), 0);
}

/* --- Misuse ----------------------------------------------------------------------------------- */

static int without_function(void *arg)
{
    (void)arg;
    return tepal_timeout_ms(100, NULL, NULL);
}

static int begin_only(void *arg)
{
    (void)arg;
    (void)tepal_shield_begin_ms(1);
    return 0;
}

static int leave_a_shield(void *arg)
{
    (void)arg;
    return tepal_timeout_ms(100, begin_only, NULL);
}

static int end_only(void *arg)
{
    (void)arg;
    tepal_shield_end(TEPAL_NEVER);
    return 0;
}

static int end_a_shield(void *arg)
{
    (void)arg;
    (void)tepal_shield_begin_ms(1);
    return tepal_timeout_ms(100, end_only, NULL);
}

static int call_outside(void *arg)
{
    (void)arg;
    loop_current->current = NULL;
    return tepal_timeout_ms(100, end_only, NULL);
}

static void wrong_use_is_told(void **state)
{
    (void)state;
    expect_misuse(without_function, "tepal_timeout_ms: the function is NULL");
    expect_misuse(leave_a_shield, "tepal_timeout_ms: the function has begun or ended a shield");
    expect_misuse(end_a_shield, "tepal_timeout_ms: the function has begun or ended a shield");
    expect_misuse(call_outside, "tepal_timeout_ms: must be called from a task");
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_the_function_returns),
        cmocka_unit_test(own_time_and_outer_time),
        cmocka_unit_test(on_the_real_clock),
        cmocka_unit_test(a_timeout_in_a_timeout),
        cmocka_unit_test(deadlines_end_with_the_function),
        cmocka_unit_test(many_in_a_row),
        cmocka_unit_test(cancelled_within),
        cmocka_unit_test(shields_within_and_around),
        cmocka_unit_test(wrong_use_is_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
