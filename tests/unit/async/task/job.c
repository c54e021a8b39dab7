/* Tests of jobs: joining, cancelling, and taking them as they end. */
#include "../misuse.h"

#include "base/mem.h"

struct nap {
    int64_t ms;
    int result;
};

static int nap(void *arg)
{
    const struct nap *n = arg;
    int rc = tepal_sleep_ms(n->ms);
    return rc < 0 ? rc : n->result;
}

static tepal_job job_of(struct nap *n)
{
    return (tepal_job){ .fn = nap, .arg = n };
}

static struct nap endless = { 1000000000, 0 };

/* --- Joining ---------------------------------------------------------------------------------- */

static int join_for_results(void *arg)
{
    struct nap naps[] = { { 5, 0 }, { 0, 7 }, { 10, -EPIPE }, { 3, TEPAL_EMESSAGE } };
    tepal_group *group = tepal_group_new();
    for (size_t i = 0; i < 4; i++) {
        tepal_job job = job_of(&naps[i]);
        assert_int_equal(tepal_job_start(group, &job), 0);
        assert_false(job.done); /* starting does not run it */
        assert_int_equal(tepal_job_join(&job), 0);
        assert_true(job.done);
        assert_int_equal(job.result, naps[i].result);
        assert_int_equal(tepal_job_join(&job), 0); /* it stays so */
        assert_int_equal(tepal_job_start(group, &job), 0);
        assert_false(job.done);
        assert_int_equal(tepal_sleep_ms(50), 0);
        assert_true(job.done); /* seen without joining */
        assert_int_equal(tepal_job_join(&job), 0);
        assert_int_equal(job.result, naps[i].result);
    }
    assert_int_equal(tepal_group_wait(group), -EPIPE); /* a job is a task of the group */
    tepal_group_close(group);
    (void)arg;
    return 0;
}

static void join_gives_the_result(void **state)
{
    (void)state;
    assert_int_equal(run_fake(join_for_results, NULL), 0);
}

static int report_name(void *arg)
{
    struct tepal_task *task = loop_current->current;
    assert_string_equal(task->name, arg);
    return (int)(task->stack->size / 1024);
}

static int start_with_options(void *arg)
{
    tepal_group *group = tepal_group_new();
    tepal_job plain = { .fn = report_name, .arg = "job" };
    tepal_job named = { .fn = report_name, .arg = "large", .name = "large", .stack_size = 1 << 20 };
    assert_int_equal(tepal_job_start(group, &plain), 0);
    assert_int_equal(tepal_job_start(group, &named), 0);
    assert_int_equal(tepal_job_join(&plain), 0);
    assert_int_equal(tepal_job_join(&named), 0);
    assert_int_equal(plain.result, STACK_DEFAULT_SIZE / 1024);
    assert_int_equal(named.result, 1024);
    tepal_job absurd = { .fn = report_name, .arg = "job", .stack_size = SIZE_MAX };
    assert_int_equal(tepal_job_start(group, &absurd), -ENOMEM);
    assert_false(absurd.done);
    tepal_group_cancel(group);
    assert_int_equal(tepal_job_start(group, &plain), -ECANCELED);
    tepal_group_close(group);
    (void)arg;
    return 0;
}

static void names_and_stacks(void **state)
{
    (void)state;
    assert_int_equal(run_fake(start_with_options, NULL), 0);
}

static int join_job(void *arg)
{
    return tepal_job_join(arg);
}

static int interrupt_join(void *arg)
{
    tepal_job job = job_of(&endless);
    tepal_group *group = tepal_group_new();
    assert_int_equal(tepal_job_start(group, &job), 0);
    expect_interruptible(join_job, &job);
    assert_false(job.done);
    tepal_job_cancel(&job);
    assert_int_equal(tepal_job_join(&job), 0);
    assert_int_equal(job.result, -ECANCELED);
    expect_refusal(join_job, &job); /* also when it need not wait */
    tepal_group_close(group);
    (void)arg;
    return 0;
}

static void join_can_be_interrupted(void **state)
{
    (void)state;
    assert_int_equal(run_fake(interrupt_join, NULL), 0);
}

/* The job ends, and the one that joins it is cancelled, in one turn. The order decides what the
 * join returns; the job is not lost in either. */
static int job_ends_and_joiner_is_cancelled(void *arg)
{
    for (int end_first = 0; end_first < 2; end_first++) {
        struct nap n = { 10, 5 };
        tepal_job job = job_of(&n);
        tepal_job joining = { .fn = join_job, .arg = &job }, *next;
        tepal_group *group = tepal_group_new(), *joiners = tepal_group_new();
        assert_int_equal(tepal_job_start(joiners, &joining), 0);
        if (end_first)
            assert_int_equal(tepal_job_start(group, &job), 0);
        struct attempt cancel = { .to_cancel = joiners, .cancel_in = 10 };
        tepal_job canceller = { .fn = attempt_canceller, .arg = &cancel };
        assert_int_equal(tepal_job_start(group, &canceller), 0);
        if (!end_first)
            assert_int_equal(tepal_job_start(group, &job), 0);
        assert_int_equal(tepal_job_join(&joining), 0);
        assert_int_equal(joining.result, end_first ? 0 : -ECANCELED);
        assert_int_equal(tepal_job_join(&canceller), 0);
        assert_int_equal(tepal_group_next(group, &next), end_first ? 0 : 1);
        assert_ptr_equal(next, end_first ? NULL : &job);
        assert_true(job.done);
        assert_int_equal(job.result, 5);
        tepal_group_close(group);
        tepal_group_close(joiners);
    }
    (void)arg;
    return 0;
}

static void a_cancelled_join_loses_no_job(void **state)
{
    (void)state;
    assert_int_equal(run_fake(job_ends_and_joiner_is_cancelled, NULL), 0);
}

/* --- Cancelling ------------------------------------------------------------------------------- */

static int cancel_one(void *arg)
{
    struct nap n = { 10, 3 };
    tepal_job jobs[3] = { job_of(&n), job_of(&n), job_of(&n) }, unused = { .fn = nap };
    tepal_group *group = tepal_group_new();
    tepal_job_cancel(&unused);
    for (int i = 0; i < 3; i++)
        assert_int_equal(tepal_job_start(group, &jobs[i]), 0);
    tepal_job_cancel(&jobs[0]); /* before it began */
    settle();
    tepal_job_cancel(&jobs[1]);
    tepal_job_cancel(&jobs[1]);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(tepal_job_join(&jobs[i]), 0);
        assert_int_equal(jobs[i].result, i < 2 ? -ECANCELED : 3);
        tepal_job_cancel(&jobs[i]); /* done: nothing happens */
    }
    tepal_group_close(group);
    (void)arg;
    return 0;
}

static void cancel_is_for_one_job(void **state)
{
    (void)state;
    assert_int_equal(run_fake(cancel_one, NULL), 0);
}

static int join_in_attempt(void *arg)
{
    assert_int_equal(tepal_job_join(arg), 0);
    return ((tepal_job *)arg)->result;
}

/* The group is closed while another task joins a job of it, and the job outlives the group. */
static int close_under_joiner(void *arg)
{
    tepal_job job = job_of(&endless);
    tepal_job joining = { .fn = join_in_attempt, .arg = &job };
    tepal_group *group = tepal_group_new(), *joiners = tepal_group_new();
    assert_int_equal(tepal_job_start(group, &job), 0);
    assert_int_equal(tepal_job_start(joiners, &joining), 0);
    settle();
    tepal_group_close(group);
    assert_int_equal(tepal_job_join(&joining), 0);
    assert_int_equal(joining.result, -ECANCELED);
    assert_int_equal(tepal_job_join(&job), 0);
    tepal_group_close(joiners);
    (void)arg;
    return 0;
}

/* Nobody joins: closing the group lets go of the jobs. */
static int close_unjoined(void *arg)
{
    struct nap short_nap = { 1, 0 };
    tepal_job jobs[3] = { job_of(&endless), job_of(&short_nap), job_of(&short_nap) };
    tepal_group *group = tepal_group_new();
    for (int i = 0; i < 3; i++)
        assert_int_equal(tepal_job_start(group, &jobs[i]), 0);
    assert_int_equal(tepal_sleep_ms(10), 0);
    tepal_group_close(group);
    for (int i = 0; i < 3; i++) {
        assert_true(jobs[i].done);
        assert_int_equal(tepal_job_join(&jobs[i]), 0);
        assert_int_equal(jobs[i].result, i == 0 ? -ECANCELED : 0);
    }
    (void)arg;
    return 0;
}

static void jobs_outlive_their_group(void **state)
{
    (void)state;
    assert_int_equal(run_fake(close_under_joiner, NULL), 0);
    assert_int_equal(run_fake(close_unjoined, NULL), 0);
}

/* --- As they end ------------------------------------------------------------------------------ */

static int take_as_they_end(void *arg)
{
    struct nap naps[] = { { 30, 0 }, { 10, -EIO }, { 20, 2 }, { 0, 3 }, { 20, 4 } };
    static const int order[] = { 3, 1, 2, 4, 0 };
    tepal_job jobs[5], *job = jobs;
    tepal_group *group = tepal_group_new();
    assert_int_equal(tepal_group_next(group, &job), 0);
    assert_null(job);
    for (int i = 0; i < 5; i++) {
        jobs[i] = job_of(&naps[i]);
        assert_int_equal(tepal_job_start(group, &jobs[i]), 0);
    }
    if (arg)
        assert_int_equal(tepal_sleep_ms(100), 0); /* all have ended by now */
    for (int i = 0; i < 5; i++) {
        assert_int_equal(tepal_group_next(group, &job), 1);
        assert_ptr_equal(job, &jobs[order[i]]);
        assert_true(job->done);
    }
    assert_int_equal(tepal_group_next(group, &job), 0);
    assert_int_equal(tepal_group_next(group, &job), 0);
    /* One that was taken may be started again, while the group goes on. */
    assert_int_equal(tepal_job_start(group, &jobs[2]), 0);
    assert_int_equal(tepal_group_next(group, &job), 1);
    assert_ptr_equal(job, &jobs[2]);
    tepal_group_close(group);
    return 0;
}

/* Joined ones are left out, wherever they are in the order. */
static int take_between_joins(void *arg)
{
    for (unsigned joined = 0; joined < 16; joined++) {
        struct nap naps[] = { { 1, 0 }, { 2, 0 }, { 3, 0 }, { 4, 0 } };
        tepal_job jobs[4], *job;
        tepal_group *group = tepal_group_new();
        for (int i = 0; i < 4; i++) {
            jobs[i] = job_of(&naps[i]);
            assert_int_equal(tepal_job_start(group, &jobs[i]), 0);
        }
        assert_int_equal(tepal_sleep_ms(5), 0);
        for (int i = 3; i >= 0; i--)
            if (joined & 1u << i)
                assert_int_equal(tepal_job_join(&jobs[i]), 0);
        for (int i = 0; i < 4; i++) {
            if (joined & 1u << i)
                continue;
            assert_int_equal(tepal_group_next(group, &job), 1);
            assert_ptr_equal(job, &jobs[i]);
        }
        assert_int_equal(tepal_group_next(group, &job), 0);
        tepal_group_close(group);
    }
    (void)arg;
    return 0;
}

static void jobs_are_taken_as_they_end(void **state)
{
    (void)state;
    assert_int_equal(run_fake(take_as_they_end, NULL), 0);
    assert_int_equal(run_fake(take_as_they_end, ""), 0);
    assert_int_equal(run_fake(take_between_joins, NULL), 0);
}

static int next_job(void *arg)
{
    tepal_job *job;
    return tepal_group_next(arg, &job);
}

static int interrupt_next(void *arg)
{
    tepal_job job = job_of(&endless), *next;
    tepal_group *group = tepal_group_new();
    assert_int_equal(tepal_job_start(group, &job), 0);
    expect_interruptible(next_job, group);
    tepal_job_cancel(&job);
    settle();
    expect_refusal(next_job, group); /* it does not take the job, either */
    assert_int_equal(tepal_group_next(group, &next), 1);
    assert_ptr_equal(next, &job);
    tepal_group_close(group);
    (void)arg;
    return 0;
}

/* A task that is no job is not waited for. */
static int next_beside_a_task(void *arg)
{
    struct nap n = { 10, 0 };
    tepal_job job = job_of(&n), *next;
    tepal_group *group = tepal_group_new();
    assert_int_equal(tepal_spawn(group, nap, &endless, NULL), 0);
    assert_int_equal(tepal_group_next(group, &next), 0);
    assert_int_equal(tepal_job_start(group, &job), 0);
    assert_int_equal(tepal_group_next(group, &next), 1);
    assert_int_equal(tepal_group_next(group, &next), 0);
    tepal_group_close(group);
    (void)arg;
    return 0;
}

static int join_the_last(void *arg)
{
    return tepal_job_join(arg);
}

/* The last job ends, and goes to the one that joins it: who waits for the next is told. */
static int next_and_join(void *arg)
{
    struct nap n = { 10, 0 };
    tepal_job job = job_of(&n), *next;
    tepal_job joining = { .fn = join_the_last, .arg = &job };
    tepal_group *group = tepal_group_new(), *joiners = tepal_group_new();
    assert_int_equal(tepal_job_start(joiners, &joining), 0);
    assert_int_equal(tepal_job_start(group, &job), 0);
    assert_int_equal(tepal_group_next(group, &next), 0);
    assert_true(job.done);
    assert_int_equal(tepal_job_join(&joining), 0);
    assert_int_equal(joining.result, 0);
    tepal_group_close(group);
    tepal_group_close(joiners);
    (void)arg;
    return 0;
}

static void waiting_for_the_next(void **state)
{
    (void)state;
    assert_int_equal(run_fake(interrupt_next, NULL), 0);
    assert_int_equal(run_fake(next_beside_a_task, NULL), 0);
    assert_int_equal(run_fake(next_and_join, NULL), 0);
}

static int start_without_memory(void *arg)
{
    struct nap n = { 1, 0 };
    tepal_group *group = tepal_group_new();
    size_t allocations = mem_count();
    tepal_job warm = job_of(&n);
    assert_int_equal(tepal_job_start(group, &warm), 0);
    assert_int_equal(tepal_job_join(&warm), 0);
    allocations = mem_count();
    for (int i = 0; i < 10; i++) {
        assert_int_equal(tepal_job_start(group, &warm), 0);
        assert_int_equal(tepal_job_join(&warm), 0);
    }
    assert_int_equal(mem_count(), allocations); /* a job costs none */
    static tepal_job jobs[200];                 /* slabs of stacks are allocated now and then */
    int n_failed = 0;
    for (int i = 0; i < 200; i++) {
        jobs[i] = job_of(&n);
        mem_fail_nth(1, 1);
        int rc = tepal_job_start(group, &jobs[i]);
        assert_int_equal(rc, mem_failures() ? -ENOMEM : 0);
        n_failed += rc < 0;
    }
    mem_fail_nth(0, 0);
    tepal_job *next;
    for (int i = 0; i < 200 - n_failed; i++)
        assert_int_equal(tepal_group_next(group, &next), 1);
    assert_int_equal(tepal_group_next(group, &next), 0);
    assert_true(n_failed > 0);
    tepal_group_close(group);
    (void)arg;
    return 0;
}

static void memory(void **state)
{
    (void)state;
    assert_int_equal(run_fake(start_without_memory, NULL), 0);
}

/* --- Misuse ----------------------------------------------------------------------------------- */

static int join_unstarted(void *arg)
{
    tepal_job job = job_of(&endless);
    (void)arg;
    return tepal_job_join(&job);
}

static int start_twice(void *arg)
{
    static tepal_job job;
    job = job_of(&endless);
    tepal_group *group = tepal_group_new();
    (void)arg;
    (void)tepal_job_start(group, &job);
    return tepal_job_start(group, &job);
}

static int join_twice(void *arg)
{
    static tepal_job job;
    job = job_of(&endless);
    tepal_group *group = tepal_group_new();
    (void)arg;
    (void)tepal_job_start(group, &job);
    (void)tepal_spawn(group, join_job, &job, NULL);
    (void)tepal_sleep_ms(0);
    return tepal_job_join(&job);
}

static int join_oneself(void *arg)
{
    static tepal_job job;
    job = (tepal_job){ .fn = join_job, .arg = &job };
    tepal_group *group = tepal_group_new();
    (void)arg;
    (void)tepal_job_start(group, &job);
    return tepal_sleep_ms(1);
}

static int next_twice(void *arg)
{
    static tepal_job job;
    job = job_of(&endless);
    tepal_group *group = tepal_group_new();
    (void)arg;
    (void)tepal_job_start(group, &job);
    (void)tepal_spawn(group, next_job, group, NULL);
    (void)tepal_sleep_ms(0);
    return next_job(group);
}

static int close_under_taker(void *arg)
{
    static tepal_job job;
    job = job_of(&endless);
    tepal_group *group = tepal_group_new(), *other = tepal_group_new();
    (void)arg;
    (void)tepal_job_start(group, &job);
    (void)tepal_spawn(other, next_job, group, NULL);
    (void)tepal_sleep_ms(0);
    tepal_group_close(group);
    return 0;
}

static void misuse_stops_the_program(void **state)
{
    (void)state;
    expect_misuse(join_unstarted, "tepal_job_join: the job has not been started");
    expect_misuse(start_twice, "tepal_job_start: the job has been started and not joined");
    expect_misuse(join_twice, "tepal_job_join: another task joins this job");
    expect_misuse(join_oneself, "tepal_job_join: the job would wait for itself");
    expect_misuse(next_twice,
                  "tepal_group_next: another task waits for the next job of this group");
    expect_misuse(close_under_taker, "tepal_group_close: another task waits for this group");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(join_gives_the_result),
        cmocka_unit_test(names_and_stacks),
        cmocka_unit_test(join_can_be_interrupted),
        cmocka_unit_test(a_cancelled_join_loses_no_job),
        cmocka_unit_test(cancel_is_for_one_job),
        cmocka_unit_test(jobs_outlive_their_group),
        cmocka_unit_test(jobs_are_taken_as_they_end),
        cmocka_unit_test(waiting_for_the_next),
        cmocka_unit_test(memory),
        cmocka_unit_test(misuse_stops_the_program),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
