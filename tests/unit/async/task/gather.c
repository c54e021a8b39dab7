/* Tests of gather and race. */
#include "../misuse.h"

#include "base/mem.h"

enum { MAX = 200 };

static int n_running, max_running, n_begun;

static int setup(void **state)
{
    (void)state;
    n_running = max_running = n_begun = 0;
    return 0;
}

struct nap {
    int64_t ms;
    int result;
    bool stubborn; /* returns its result although it is cancelled */
};

static int nap(void *arg)
{
    const struct nap *n = arg;
    n_begun++;
    if (++n_running > max_running)
        max_running = n_running;
    int rc = tepal_sleep_ms(n->ms);
    if (rc == -ECANCELED && n->stubborn) {
        int64_t before = tepal_shield_begin_ms(1000); /* a clean-up that takes its time */
        rc = tepal_sleep_ms(100);
        tepal_shield_end(before);
    }
    n_running--;
    return rc < 0 ? rc : n->result;
}

static void fill(tepal_job *jobs, struct nap *naps, size_t n)
{
    for (size_t i = 0; i < n; i++)
        jobs[i] = (tepal_job){ .fn = nap, .arg = &naps[i] };
}

static struct nap endless = { 1000000000, 0, false };

/* --- Gather ----------------------------------------------------------------------------------- */

static int gather_results(void *arg)
{
    struct nap naps[] = { { 30, 5, false }, { 10, 0, false }, { 20, 7, false } };
    tepal_job jobs[3];
    int64_t before = tepal_now_ms();
    fill(jobs, naps, 3);
    assert_int_equal(tepal_gather(jobs, 3, NULL), 0);
    assert_true(tepal_now_ms() == before + 30); /* at once */
    for (int i = 0; i < 3; i++) {
        assert_true(jobs[i].done);
        assert_int_equal(jobs[i].result, naps[i].result);
    }
    assert_int_equal(tepal_gather(jobs, 3, &(tepal_gather_options){ 0 }), 0); /* and again */
    assert_int_equal(tepal_gather(NULL, 0, NULL), 0);
    assert_int_equal(n_running, 0);
    (void)arg;
    return 0;
}

static void gather_waits_for_all(void **state)
{
    (void)state;
    assert_int_equal(run_fake(gather_results, NULL), 0);
}

static int gather_errors(void *arg)
{
    struct nap naps[] = { { 20, -EIO, false },
                          { 10, -EPIPE, false },
                          { 30, 0, false },
                          { 5, 4, false },
                          { 40, 3, true } };
    static const int results[] = { -ECANCELED, -EPIPE, -ECANCELED, 4, 3 };
    tepal_job jobs[5];
    int64_t before = tepal_now_ms();
    fill(jobs, naps, 5);
    assert_int_equal(tepal_gather(jobs, 5, NULL), -EPIPE);
    assert_true(tepal_now_ms() == before + 110); /* the last was joined, too */
    for (int i = 0; i < 5; i++) {
        assert_true(jobs[i].done);
        assert_int_equal(jobs[i].result, results[i]);
    }
    assert_int_equal(n_running, 0);
    before = tepal_now_ms();
    assert_int_equal(tepal_gather(jobs, 5, &(tepal_gather_options){ .collect = true }), 0);
    assert_true(tepal_now_ms() == before + 40);
    for (int i = 0; i < 5; i++)
        assert_int_equal(jobs[i].result, naps[i].result);
    (void)arg;
    return 0;
}

static void the_first_error_cancels_the_others(void **state)
{
    (void)state;
    assert_int_equal(run_fake(gather_errors, NULL), 0);
}

static int gather_bounded(void *arg)
{
    static struct nap naps[20];
    static tepal_job jobs[20];
    for (size_t max = 0; max <= 21; max++) {
        max_running = 0;
        uint64_t seed = max;
        for (int i = 0; i < 20; i++)
            naps[i] = (struct nap){ next_random(&seed) % 30, i, false };
        fill(jobs, naps, 20);
        assert_int_equal(tepal_gather(jobs, 20, &(tepal_gather_options){ .max_at_once = max }), 0);
        assert_int_equal(max_running, max == 0 || max > 20 ? 20 : (int)max);
        for (int i = 0; i < 20; i++)
            assert_int_equal(jobs[i].result, i);
    }
    /* What has not begun when one fails never does. */
    n_begun = 0;
    naps[3].result = -EIO;
    naps[3].ms = 100;
    assert_int_equal(tepal_gather(jobs, 20, &(tepal_gather_options){ .max_at_once = 1 }), -EIO);
    assert_int_equal(n_begun, 4);
    for (int i = 0; i < 20; i++) {
        assert_true(jobs[i].done);
        assert_int_equal(jobs[i].result, i < 3 ? i : i == 3 ? -EIO : -ECANCELED);
    }
    tepal_gather_options both = { .max_at_once = 3, .collect = true };
    assert_int_equal(tepal_gather(jobs, 20, &both), 0);
    for (int i = 0; i < 20; i++)
        assert_int_equal(jobs[i].result, i == 3 ? -EIO : i);
    (void)arg;
    return 0;
}

static void gather_bounds_how_many_run(void **state)
{
    (void)state;
    assert_int_equal(run_fake(gather_bounded, NULL), 0);
}

static int gather_endlessly(void *arg)
{
    struct nap naps[] = { { 10, 3, false }, endless, endless };
    tepal_job jobs[3];
    fill(jobs, naps, 3);
    int rc = tepal_gather(jobs, 3, arg);
    assert_int_equal(n_running, 0);
    for (int i = 0; i < 3; i++)
        assert_true(jobs[i].done);
    if (jobs[0].result != 3)
        assert_true(jobs[0].result == -ECANCELED);
    return rc;
}

static int interrupt_gather(void *arg)
{
    expect_interruptible(gather_endlessly, NULL);
    expect_interruptible(gather_endlessly, &(tepal_gather_options){ .collect = true });
    expect_interruptible(gather_endlessly, &(tepal_gather_options){ .max_at_once = 2 });
    (void)arg;
    return 0;
}

static void gather_can_be_interrupted(void **state)
{
    (void)state;
    assert_int_equal(run_fake(interrupt_gather, NULL), 0);
}

static int gather_without_memory(void *arg)
{
    static struct nap naps[MAX];
    static tepal_job jobs[MAX];
    bool collect = arg != NULL;
    fill(jobs, naps, MAX);
    mem_fail_nth(1, 1);
    int rc = tepal_gather(jobs, MAX, &(tepal_gather_options){ .collect = collect });
    assert_true(mem_failures() > 0);
    mem_fail_nth(0, 0);
    assert_int_equal(rc, collect ? 0 : -ENOMEM);
    int n_failed = 0;
    for (int i = 0; i < MAX; i++) {
        assert_true(jobs[i].done);
        n_failed += jobs[i].result == -ENOMEM;
        if (collect)
            assert_true(jobs[i].result == 0 || jobs[i].result == -ENOMEM);
    }
    assert_true(collect ? n_failed > 1 : n_failed == 1);
    assert_int_equal(n_running, 0);
    return 0;
}

static void gather_out_of_memory(void **state)
{
    (void)state;
    assert_int_equal(run_fake(gather_without_memory, NULL), 0);
    assert_int_equal(run_fake(gather_without_memory, ""), 0);
}

/* --- Race ------------------------------------------------------------------------------------- */

static int race_results(void *arg)
{
    static const struct {
        struct nap naps[3];
        int winner;
        int64_t takes;
    } rows[] = {
        { { { 30, 1, false }, { 10, 2, false }, { 20, 3, false } }, 1, 10 },
        { { { 10, 1, false }, { 10, 2, false }, { 20, 3, false } }, 0, 10 },
        { { { 30, 1, false }, { 20, 2, false }, { 10, -EIO, false } }, 2, 10 }, /* also an error */
        { { { 30, 1, true }, { 10, 2, false }, { 20, 3, false } }, 1, 110 },
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct nap naps[3];
        tepal_job jobs[3];
        memcpy(naps, rows[i].naps, sizeof(naps));
        fill(jobs, naps, 3);
        int64_t before = tepal_now_ms();
        assert_int_equal(tepal_race(jobs, 3), rows[i].winner);
        assert_true(tepal_now_ms() == before + rows[i].takes);
        assert_int_equal(jobs[rows[i].winner].result, naps[rows[i].winner].result);
        for (int k = 0; k < 3; k++) {
            assert_true(jobs[k].done);
            if (naps[k].stubborn)
                assert_int_equal(jobs[k].result, 1); /* a loser may come to something */
            else if (naps[k].ms > 10)
                assert_int_equal(jobs[k].result, -ECANCELED);
        }
        assert_int_equal(n_running, 0);
    }
    struct nap alone = { 10, -EPIPE, false };
    tepal_job job;
    fill(&job, &alone, 1);
    assert_int_equal(tepal_race(&job, 1), 0);
    assert_int_equal(job.result, -EPIPE);
    assert_int_equal(tepal_race(&job, 0), -EINVAL);
    (void)arg;
    return 0;
}

static void the_first_result_wins(void **state)
{
    (void)state;
    assert_int_equal(run_fake(race_results, NULL), 0);
}

static int race_endlessly(void *arg)
{
    struct nap naps[] = { endless, endless };
    tepal_job jobs[2];
    (void)arg;
    fill(jobs, naps, 2);
    int rc = tepal_race(jobs, 2);
    assert_int_equal(n_running, 0);
    return rc;
}

static int interrupt_race(void *arg)
{
    expect_interruptible(race_endlessly, arg);
    return 0;
}

/* The jobs inherit the deadline; it is the race that is told. */
static int race_until_deadline(void *arg)
{
    struct nap naps[] = { endless, endless };
    tepal_job jobs[2];
    (void)arg;
    fill(jobs, naps, 2);
    int64_t before = tepal_now_ms();
    int64_t none = tepal_deadline_in_ms(50);
    assert_int_equal(tepal_race(jobs, 2), -ETIMEDOUT);
    tepal_deadline_restore(none);
    assert_true(tepal_now_ms() == before + 50);
    assert_int_equal(n_running, 0);
    assert_true(jobs[0].done && jobs[1].done);
    return 0;
}

static void race_can_be_interrupted(void **state)
{
    (void)state;
    assert_int_equal(run_fake(interrupt_race, NULL), 0);
    assert_int_equal(run_fake(race_until_deadline, NULL), 0);
}

static int race_without_memory(void *arg)
{
    static struct nap naps[MAX];
    static tepal_job jobs[MAX];
    (void)arg;
    fill(jobs, naps, MAX);
    mem_fail_nth(1, 1);
    assert_int_equal(tepal_race(jobs, MAX), -ENOMEM);
    mem_fail_nth(0, 0);
    for (int i = 0; i < MAX; i++)
        assert_true(jobs[i].done);
    assert_int_equal(n_running, 0);
    return 0;
}

static void race_out_of_memory(void **state)
{
    (void)state;
    assert_int_equal(run_fake(race_without_memory, NULL), 0);
}

/* --- Misuse ----------------------------------------------------------------------------------- */

static int gather_started(void *arg)
{
    static tepal_job job;
    tepal_group *group = tepal_group_new();
    (void)arg;
    fill(&job, &endless, 1);
    (void)tepal_job_start(group, &job);
    return tepal_gather(&job, 1, NULL);
}

static int race_started(void *arg)
{
    static tepal_job job;
    tepal_group *group = tepal_group_new();
    (void)arg;
    fill(&job, &endless, 1);
    (void)tepal_job_start(group, &job);
    return tepal_race(&job, 1);
}

static void misuse_stops_the_program(void **state)
{
    (void)state;
    expect_misuse(gather_started, "tepal_gather: a job has been started and not joined");
    expect_misuse(race_started, "tepal_race: a job has been started and not joined");
}

#define TEST(name) cmocka_unit_test_setup(name, setup)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(gather_waits_for_all),       TEST(the_first_error_cancels_the_others),
        TEST(gather_bounds_how_many_run), TEST(gather_can_be_interrupted),
        TEST(gather_out_of_memory),       TEST(the_first_result_wins),
        TEST(race_can_be_interrupted),    TEST(race_out_of_memory),
        TEST(misuse_stops_the_program),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
