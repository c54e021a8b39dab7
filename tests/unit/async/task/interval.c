/* Tests of intervals: no drift, missed moments are counted, and interruptions lose none. */
#include "../misuse.h"

static int beat(void *arg)
{
    int64_t start = tepal_now_ms();
    tepal_interval interval = tepal_interval_start_ms(10);
    for (int i = 1; i <= 100; i++) {
        assert_true(tepal_interval_wait(&interval) == 1);
        assert_true(tepal_now_ms() == start + 10 * i);
        assert_int_equal(tepal_sleep_ms(i % 10), 0); /* work that takes its time */
    }
    (void)arg;
    return 0;
}

static void intervals_do_not_drift(void **state)
{
    (void)state;
    assert_int_equal(run_fake(beat, NULL), 0);
}

static int come_late(void *arg)
{
    static const struct {
        int64_t late, n, next; /* ms asleep, how many moments that is, and until the one after */
    } rows[] = {
        { 0, 1, 10 }, { 1, 1, 10 },  { 9, 1, 10 },     { 10, 1, 10 },
        { 11, 1, 9 }, { 19, 1, 1 },  { 20, 2, 10 },    { 21, 2, 9 },
        { 29, 2, 1 }, { 30, 3, 10 }, { 1005, 100, 5 }, { 86400000, 8640000, 10 },
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        tepal_interval interval = tepal_interval_start_ms(10);
        assert_int_equal(tepal_sleep_ms(rows[i].late), 0);
        assert_true(tepal_interval_wait(&interval) == rows[i].n);
        int64_t now = tepal_now_ms();
        assert_true(tepal_interval_wait(&interval) == 1); /* they do not come in a bunch */
        assert_true(tepal_now_ms() == now + rows[i].next);
        assert_true(tepal_interval_wait(&interval) == 1);
        assert_true(tepal_now_ms() == now + rows[i].next + 10);
    }
    (void)arg;
    return 0;
}

static void missed_moments_are_counted(void **state)
{
    (void)state;
    assert_int_equal(run_fake(come_late, NULL), 0);
}

static int wait_once(void *arg)
{
    return (int)tepal_interval_wait(arg);
}

static int interrupt(void *arg)
{
    tepal_interval interval = tepal_interval_start_ms(1000000);
    expect_interruptible(wait_once, &interval);
    interval = tepal_interval_start_ms(TEPAL_NEVER);
    expect_interruptible(wait_once, &interval);
    /* Also when the moment has come, and then it is not lost. */
    int64_t start = tepal_now_ms();
    interval = tepal_interval_start_ms(10);
    assert_int_equal(tepal_sleep_ms(25), 0);
    expect_refusal(wait_once, &interval);
    assert_true(tepal_interval_wait(&interval) == 2);
    /* Cut short, it goes on where it was. */
    int64_t none = tepal_deadline_in_ms(2);
    assert_true(tepal_interval_wait(&interval) == -ETIMEDOUT);
    tepal_deadline_restore(none);
    assert_true(tepal_now_ms() == start + 27);
    assert_true(tepal_interval_wait(&interval) == 1);
    assert_true(tepal_now_ms() == start + 30);
    /* A wait that ends with the deadline has been waited. */
    none = tepal_deadline_in_ms(10);
    assert_true(tepal_interval_wait(&interval) == 1);
    assert_true(tepal_interval_wait(&interval) == -ETIMEDOUT);
    tepal_deadline_restore(none);
    (void)arg;
    return 0;
}

static void waits_can_be_interrupted(void **state)
{
    (void)state;
    assert_int_equal(run_fake(interrupt, NULL), 0);
}

/* One that is always late does not keep the loop for itself. */
static int spin(void *arg)
{
    tepal_interval interval = { .period_ms = 1, .next_ms = tepal_now_ms() };
    int64_t n = 0;
    while (n >= 0) {
        interval.next_ms = tepal_now_ms();
        n = tepal_interval_wait(&interval);
    }
    ++*(int *)arg;
    return 0;
}

static int spin_beside(void *arg)
{
    int n_ended = 0;
    tepal_group *group = tepal_group_new();
    assert_int_equal(tepal_spawn(group, spin, &n_ended, NULL), 0);
    settle();
    tepal_group_close(group);
    assert_int_equal(n_ended, 1);
    (void)arg;
    return 0;
}

static void others_have_their_turn(void **state)
{
    (void)state;
    assert_int_equal(run_fake(spin_beside, NULL), 0);
}

static int beat_in_real_time(void *arg)
{
    int64_t start = tepal_now_us(), sum = 0;
    tepal_interval interval = tepal_interval_start_ms(2);
    for (int i = 0; i < 10; i++) {
        int64_t n = tepal_interval_wait(&interval);
        assert_true(n >= 1);
        sum += n;
        assert_true(tepal_now_us() - start >= sum * 2000); /* never early */
    }
    (void)arg;
    return 0;
}

static void in_real_time(void **state)
{
    (void)state;
    assert_int_equal(run(beat_in_real_time, NULL), 0);
    tepal_interval outside = tepal_interval_start_ms(5); /* without a loop */
    assert_true(outside.next_ms >= tepal_now_ms());
}

static int start_at_zero(void *arg)
{
    (void)arg;
    (void)tepal_interval_start_ms(0);
    return 0;
}

static void misuse_stops_the_program(void **state)
{
    (void)state;
    expect_misuse(start_at_zero, "tepal_interval_start_ms: the period is less than a millisecond");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(intervals_do_not_drift),
        cmocka_unit_test(missed_moments_are_counted),
        cmocka_unit_test(waits_can_be_interrupted),
        cmocka_unit_test(others_have_their_turn),
        cmocka_unit_test(in_real_time),
        cmocka_unit_test(misuse_stops_the_program),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
