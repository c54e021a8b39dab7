/* Tests of sleeping for microseconds. */
#include "../misuse.h"

#include "base/mem.h"

#include <sys/resource.h>

static int64_t now_us(void)
{
    return tepal_now_us();
}

/* --- On the test's clock ---------------------------------------------------------------------- */

static int exact_times(void *arg)
{
    static const int64_t times[] = {
        1, 63, 64, 65, 500, 999, 1000, 1001, 4097, 262145, 3600000001
    };
    (void)arg;
    int64_t start = now_us(), sum = 0;
    for (size_t i = 0; i < sizeof(times) / sizeof(times[0]); i++) {
        assert_int_equal(tepal_sleep_us(times[i]), 0);
        sum += times[i];
        assert_int_equal(now_us() - start, sum);
        assert_int_equal(tepal_now_ms(), now_us() / 1000);
    }
    /* A millisecond from within another one is a whole one, and more. */
    int64_t before = now_us();
    assert_true(before % 1000 != 0);
    assert_int_equal(tepal_sleep_ms(1), 0);
    assert_int_equal(now_us(), (before / 1000 + 2) * 1000);
    return 0;
}

static void exact_on_the_tests_clock(void **state)
{
    (void)state;
    assert_int_equal(run_fake(exact_times, NULL), 0);
}

static char order[16];

struct nap {
    int64_t us;
    char name;
    bool in_ms;
};

static int nap(void *arg)
{
    const struct nap *nap = arg;
    assert_int_equal(nap->in_ms ? tepal_sleep_ms(nap->us / 1000) : tepal_sleep_us(nap->us), 0);
    order[strlen(order)] = nap->name;
    return 0;
}

static int nap_in_order(void *arg)
{
    static const struct nap naps[] = {
        { 2000, 'f', true },  { 1001, 'd', false }, { 999, 'b', false }, { 1000, 'c', true },
        { 1999, 'e', false }, { 2001, 'g', false }, { 1, 'a', false },
    };
    (void)arg;
    memset(order, 0, sizeof(order));
    tepal_group *group = tepal_group_new();
    for (size_t i = 0; i < sizeof(naps) / sizeof(naps[0]); i++)
        assert_int_equal(tepal_spawn(group, nap, (void *)(uintptr_t)&naps[i], NULL), 0);
    assert_int_equal(tepal_group_wait(group), 0);
    tepal_group_close(group);
    assert_string_equal(order, "abcdefg");
    return 0;
}

static void beside_sleeps_of_milliseconds(void **state)
{
    (void)state;
    assert_int_equal(run_fake(nap_in_order, NULL), 0);
}

/* --- On the real clock ------------------------------------------------------------------------ */

static int never_too_early(void *arg)
{
    (void)arg;
    for (int64_t us = 1; us < 3000; us += 97) {
        int64_t start = now_us();
        assert_int_equal(tepal_sleep_us(us), 0);
        assert_true(now_us() - start >= us);
    }
    return 0;
}

/* The best of many: of what else the machine does, nothing is known. */
static int less_than_a_millisecond(void *arg)
{
    int64_t best = INT64_MAX;
    (void)arg;
    for (int i = 0; i < 10000 && best >= 900; i++) {
        int64_t start = now_us();
        assert_int_equal(tepal_sleep_us(100), 0);
        int64_t took = now_us() - start;
        best = took < best ? took : best;
    }
    assert_true(best < 900);
    return 0;
}

static void on_the_real_clock(void **state)
{
    (void)state;
    assert_int_equal(run(never_too_early, NULL), 0);
    assert_int_equal(run(less_than_a_millisecond, NULL), 0);
}

enum { N_SLEEPERS = 500 };

static int sleep_at_random(void *arg)
{
    uint64_t random = (uint64_t)(uintptr_t)arg;
    for (int i = 0; i < 20; i++) {
        int64_t us = next_random(&random) % 2000, start = now_us();
        assert_int_equal(tepal_sleep_us(us), 0);
        assert_true(now_us() - start >= us);
    }
    return 0;
}

static int many_sleepers(void *arg)
{
    (void)arg;
    tepal_group *group = tepal_group_new();
    for (uintptr_t i = 0; i < N_SLEEPERS; i++)
        assert_int_equal(tepal_spawn(group, sleep_at_random, (void *)i, NULL), 0);
    assert_int_equal(tepal_group_wait(group), 0);
    tepal_group_close(group);
    return 0;
}

static void many_at_once(void **state)
{
    (void)state;
    assert_int_equal(run(many_sleepers, NULL), 0);
    assert_int_equal(run_fake(many_sleepers, NULL), 0);
}

/* --- Others run ------------------------------------------------------------------------------- */

static int n_rounds;

static int count_rounds(void *arg)
{
    (void)arg;
    for (; n_rounds >= 0; n_rounds++)
        assert_int_equal(tepal_sleep_ms(0), 0);
    return 0;
}

static int sleep_beside_a_busy_one(void *arg)
{
    (void)arg;
    n_rounds = 0;
    tepal_group *group = tepal_group_new();
    assert_int_equal(tepal_spawn(group, count_rounds, NULL, NULL), 0);
    assert_int_equal(tepal_sleep_us(0), 0);
    assert_int_equal(tepal_sleep_us(-1), 0);
    assert_true(n_rounds > 0);
    for (int i = 0; i < 10; i++) {
        int before = n_rounds;
        assert_int_equal(tepal_sleep_us(1), 0);
        assert_true(n_rounds > before);
    }
    n_rounds = -1000000;
    assert_int_equal(tepal_group_wait(group), 0);
    tepal_group_close(group);
    return 0;
}

static void the_others_run(void **state)
{
    (void)state;
    assert_int_equal(run(sleep_beside_a_busy_one, NULL), 0);
}

/* --- Cut short -------------------------------------------------------------------------------- */

static int sleep_for_ever(void *arg)
{
    return tepal_sleep_us(*(int64_t *)arg);
}

static int interrupt(void *arg)
{
    int64_t long_us = (int64_t)3600 * 1000000, never = TEPAL_NEVER;
    (void)arg;
    expect_interruptible(sleep_for_ever, &long_us);
    expect_interruptible(sleep_for_ever, &never);
    int64_t none = tepal_deadline_in_ms(1);
    assert_int_equal(tepal_sleep_us(long_us), -ETIMEDOUT);
    tepal_deadline_restore(none);
    return tepal_sleep_us(1);
}

static int up_to_the_deadline(void *arg)
{
    (void)arg;
    int64_t none = tepal_deadline_in_ms(10);
    assert_int_equal(tepal_sleep_us(5000), 0);
    assert_int_equal(tepal_sleep_us(5000), 0);
    tepal_deadline_restore(none);
    none = tepal_deadline_in_ms(10);
    assert_int_equal(tepal_sleep_us(10001), -ETIMEDOUT);
    tepal_deadline_restore(none);
    return 0;
}

static void cancelled_and_late(void **state)
{
    (void)state;
    assert_int_equal(run_fake(interrupt, NULL), 0);
    assert_int_equal(run_fake(up_to_the_deadline, NULL), 0);
    assert_int_equal(run(interrupt, NULL), 0);
}

/* --- Without memory or descriptors ------------------------------------------------------------ */

static int sleep_without_memory(void *arg)
{
    (void)arg;
    int64_t start = now_us();
    mem_fail_nth(1, 0);
    assert_int_equal(tepal_sleep_us(1200), 0);
    assert_int_equal(mem_failures(), 1);
    mem_fail_nth(0, 0);
    if (loop_current->fake_time)
        assert_int_equal(now_us() - start, 2000);
    assert_true(now_us() - start >= 1200);
    start = now_us();
    assert_int_equal(tepal_sleep_us(1200), 0);
    assert_true(now_us() - start >= 1200);
    return 0;
}

static int sleep_without_descriptors(void *arg)
{
    struct rlimit old, tight;
    (void)arg;
    getrlimit(RLIMIT_NOFILE, &old);
    int free_fd = dup(0);
    close(free_fd);
    tight = old;
    tight.rlim_cur = (rlim_t)free_fd;
    setrlimit(RLIMIT_NOFILE, &tight);
    int64_t start = now_us();
    int rc = tepal_sleep_us(1200);
    int64_t took = now_us() - start;
    setrlimit(RLIMIT_NOFILE, &old);
    assert_int_equal(rc, 0);
    assert_true(took >= 1200);
    return 0;
}

static void in_whole_milliseconds_when_short(void **state)
{
    (void)state;
    assert_int_equal(run_fake(sleep_without_memory, NULL), 0);
    assert_int_equal(run(sleep_without_memory, NULL), 0);
    assert_int_equal(run(sleep_without_descriptors, NULL), 0);
}

static int call_outside(void *arg)
{
    (void)arg;
    loop_current->current = NULL;
    return tepal_sleep_us(1);
}

static void outside_of_a_task(void **state)
{
    (void)state;
    expect_misuse(call_outside, "tepal_sleep_us: must be called from a task");
}

/* --- The clock becomes the test's while one sleeps -------------------------------------------- */

static int sleep_a_second(void *arg)
{
    (void)arg;
    return tepal_sleep_us(1000000);
}

static int fake_meanwhile(void *arg)
{
    (void)arg;
    tepal_group *group = tepal_group_new();
    int64_t start = now_us();
    assert_int_equal(tepal_spawn(group, sleep_a_second, NULL, NULL), 0);
    assert_int_equal(tepal_sleep_ms(0), 0);
    tepal_clock_fake();
    assert_int_equal(tepal_group_wait(group), 0);
    int64_t took = now_us() - start;
    assert_true(took >= 1000000 && took < 60 * 1000000);
    tepal_group_close(group);
    return 0;
}

static void a_clock_that_becomes_the_tests(void **state)
{
    (void)state;
    assert_int_equal(run(fake_meanwhile, NULL), 0);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(exact_on_the_tests_clock),
        cmocka_unit_test(beside_sleeps_of_milliseconds),
        cmocka_unit_test(on_the_real_clock),
        cmocka_unit_test(many_at_once),
        cmocka_unit_test(the_others_run),
        cmocka_unit_test(cancelled_and_late),
        cmocka_unit_test(in_whole_milliseconds_when_short),
        cmocka_unit_test(outside_of_a_task),
        cmocka_unit_test(a_clock_that_becomes_the_tests),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
