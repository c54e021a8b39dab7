/* Tests of what the log says of tasks and jobs that failed, and that it is silent otherwise. */
#include "../in_loop.h"

static char said[2000];

static void keep(tepal_log_level level, const char *text, void *arg)
{
    (void)arg;
    size_t len = strlen(said);
    snprintf(said + len, sizeof(said) - len, "%s%s\n", level == TEPAL_LOG_WARNING ? "" : "? ",
             text);
}

static int setup(void **state)
{
    (void)state;
    said[0] = '\0';
    tepal_log_set_fn(keep, NULL);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    tepal_log_set_fn(NULL, NULL);
    return 0;
}

static void expect_said(const char *text)
{
    assert_string_equal(said, text);
    said[0] = '\0';
}

struct nap {
    int64_t ms;
    int result;
    int after_cancel; /* what it returns then; 0: as the sleep does */
};

static int nap(void *arg)
{
    const struct nap *n = arg;
    int rc = tepal_sleep_ms(n->ms);
    if (rc == -ECANCELED && n->after_cancel != 0)
        return n->after_cancel;
    return rc < 0 ? rc : n->result;
}

static void spawn(tepal_group *group, struct nap *n, const char *name)
{
    assert_int_equal(tepal_spawn(group, nap, n, &(tepal_spawn_options){ .name = name }), 0);
}

/* --- Tasks ------------------------------------------------------------------------------------ */

static struct nap fine = { 1, 0, 0 }, broken = { 1, -EPIPE, 0 }, also_broken = { 2, -EPIPE, 0 },
                  io_error = { 3, -EIO, 0 }, endless = { TEPAL_NEVER, 0, 0 },
                  fails_at_end = { TEPAL_NEVER, 0, -ENOSPC }, says_cancelled = { 1, -ECANCELED, 0 };

static int close_without_wait(void *arg)
{
    tepal_group *group = tepal_group_new();
    spawn(group, &fine, "fine");
    spawn(group, &broken, "broken");
    spawn(group, &endless, "endless"); /* cancelled at the end: no failure */
    assert_int_equal(tepal_sleep_ms(10), 0);
    expect_said("");
    tepal_group_close(group);
    expect_said("task \"broken\" failed: Broken pipe\n");
    (void)arg;
    return 0;
}

static int close_after_wait(void *arg)
{
    tepal_group *group = tepal_group_new();
    spawn(group, &broken, "broken");
    spawn(group, &also_broken, "too");
    assert_int_equal(tepal_group_wait(group), -EPIPE);
    tepal_group_close(group);
    expect_said(""); /* it was returned */
    return arg != NULL;
}

static int several_failures(void *arg)
{
    char name[80];
    tepal_group *group = tepal_group_new();
    snprintf(name, sizeof(name), "%s", "first");
    spawn(group, &broken, name);
    spawn(group, &also_broken, "second");
    spawn(group, &io_error, "third");
    assert_int_equal(tepal_sleep_ms(10), 0);
    memset(name, 'x', sizeof(name)); /* the name was to outlive the task only */
    expect_said("task \"third\" failed: Input/output error\n"); /* no wait would return it */
    tepal_group_close(group);
    expect_said("task \"first\" and 1 more of its group failed: Broken pipe\n");
    (void)arg;
    return 0;
}

static int others_beside_the_first(void *arg)
{
    tepal_group *group = tepal_group_new();
    spawn(group, &broken, "broken");
    spawn(group, &io_error, "unlucky");
    spawn(group, &also_broken, "too");
    assert_int_equal(tepal_group_wait(group), -EPIPE);
    tepal_group_close(group);
    expect_said("task \"unlucky\" failed: Input/output error\n");
    (void)arg;
    return 0;
}

static int failures_at_the_end(void *arg)
{
    tepal_group *group = tepal_group_new();
    spawn(group, &fails_at_end, "cleaner");
    settle();
    tepal_group_close(group);
    expect_said("task \"cleaner\" failed: No space left on device\n");
    group = tepal_group_new();
    spawn(group, &fails_at_end, "cleaner");
    spawn(group, &endless, "endless");
    tepal_group_cancel(group);
    assert_int_equal(tepal_group_wait(group), -ENOSPC);
    tepal_group_close(group);
    expect_said("");
    (void)arg;
    return 0;
}

/* -ECANCELED is a failure like another one in a task that nobody cancelled. */
static int cancelled_and_not(void *arg)
{
    tepal_group *group = tepal_group_new();
    spawn(group, &says_cancelled, "liar");
    assert_int_equal(tepal_sleep_ms(10), 0);
    tepal_group_close(group);
    expect_said("task \"liar\" failed: Operation canceled\n");
    /* After one that was cancelled, whose result is what the wait returns. */
    group = tepal_group_new();
    spawn(group, &endless, "endless");
    settle();
    tepal_group_cancel(group);
    settle();
    assert_int_equal(tepal_group_wait(group), -ECANCELED);
    tepal_group_close(group);
    expect_said("");
    (void)arg;
    return 0;
}

/* The tasks have the deadline of the one that waits: it is told once, by its own wait. */
static int all_out_of_time(void *arg)
{
    tepal_group *group = tepal_group_new();
    int64_t none = tepal_deadline_in_ms(10);
    for (int i = 0; i < 5; i++)
        spawn(group, &endless, "endless");
    assert_int_equal(tepal_group_wait(group), -ETIMEDOUT);
    tepal_deadline_restore(none);
    settle();
    tepal_group_close(group);
    expect_said("");
    (void)arg;
    return 0;
}

static void failures_of_tasks(void **state)
{
    (void)state;
    assert_int_equal(run_fake(close_without_wait, NULL), 0);
    assert_int_equal(run_fake(close_after_wait, NULL), 0);
    assert_int_equal(run_fake(several_failures, NULL), 0);
    assert_int_equal(run_fake(others_beside_the_first, NULL), 0);
    assert_int_equal(run_fake(failures_at_the_end, NULL), 0);
    assert_int_equal(run_fake(cancelled_and_not, NULL), 0);
    assert_int_equal(run_fake(all_out_of_time, NULL), 0);
}

static tepal_group *left_open;

static int leave_group(void *arg)
{
    left_open = tepal_group_new();
    spawn(left_open, arg, "left");
    return tepal_sleep_ms(10);
}

static void groups_left_open(void **state)
{
    (void)state;
    assert_int_equal(run_fake(leave_group, &broken), 0);
    free(left_open); /* the mistake of the task above */
    expect_said("task \"left\" failed: Broken pipe\n");
    assert_int_equal(run_fake(leave_group, &endless), 0);
    free(left_open);
    expect_said("");
}

/* --- Jobs ------------------------------------------------------------------------------------- */

static tepal_job job_of(struct nap *n, const char *name)
{
    return (tepal_job){ .fn = nap, .arg = n, .name = name };
}

static int jobs_unjoined(void *arg)
{
    tepal_job jobs[] = { job_of(&broken, "a"),      job_of(&fine, "b"),   job_of(&io_error, NULL),
                         job_of(&broken, "d"),      job_of(&broken, "e"), job_of(&endless, "f"),
                         job_of(&fails_at_end, "g") };
    tepal_group *group = tepal_group_new();
    for (size_t i = 0; i < sizeof(jobs) / sizeof(jobs[0]); i++)
        assert_int_equal(tepal_job_start(group, &jobs[i]), 0);
    assert_int_equal(tepal_job_join(&jobs[3]), 0);
    tepal_job *next;
    assert_int_equal(tepal_group_next(group, &next), 1);
    assert_ptr_equal(next, &jobs[0]);
    assert_int_equal(tepal_sleep_ms(10), 0);
    expect_said("");
    tepal_group_close(group);
    expect_said("job \"e\" failed: Broken pipe\n"
                "job \"job\" failed: Input/output error\n"
                "job \"g\" failed: No space left on device\n");
    (void)arg;
    return 0;
}

static int jobs_joined(void *arg)
{
    tepal_job job = job_of(&broken, "a");
    tepal_group *group = tepal_group_new();
    assert_int_equal(tepal_job_start(group, &job), 0);
    assert_int_equal(tepal_job_join(&job), 0);
    tepal_group_close(group);
    group = tepal_group_new();
    assert_int_equal(tepal_job_start(group, &job), 0);
    assert_int_equal(tepal_group_wait(group), -EPIPE); /* also told */
    tepal_group_close(group);
    group = tepal_group_new();
    job = job_of(&endless, "a");
    assert_int_equal(tepal_job_start(group, &job), 0);
    settle();
    tepal_job_cancel(&job);
    settle();
    tepal_group_close(group);
    expect_said("");
    (void)arg;
    return 0;
}

/* As with tasks: whose time is over is told once. */
static int jobs_out_of_time(void *arg)
{
    for (int joining = 0; joining < 2; joining++) {
        tepal_job jobs[] = { job_of(&endless, "a"), job_of(&endless, "b") }, *next;
        tepal_group *group = tepal_group_new();
        int64_t none = tepal_deadline_in_ms(10);
        for (int i = 0; i < 2; i++)
            assert_int_equal(tepal_job_start(group, &jobs[i]), 0);
        int rc = joining ? tepal_job_join(&jobs[1]) : tepal_group_next(group, &next);
        assert_int_equal(rc, -ETIMEDOUT);
        tepal_deadline_restore(none);
        settle();
        tepal_group_close(group);
        assert_int_equal(jobs[0].result, -ETIMEDOUT);
        expect_said("");
    }
    (void)arg;
    return 0;
}

/* A wait that is cut short later does not make the first one untold. */
static int told_before(void *arg)
{
    tepal_group *group = tepal_group_new();
    spawn(group, &broken, "broken");
    assert_int_equal(tepal_group_wait(group), -EPIPE);
    int64_t none = tepal_deadline_in_ms(0);
    assert_int_equal(tepal_group_wait(group), -ETIMEDOUT);
    tepal_deadline_restore(none);
    tepal_group_close(group);
    expect_said("");
    (void)arg;
    return 0;
}

static int gather_and_race(void *arg)
{
    tepal_job jobs[] = { job_of(&broken, "a"), job_of(&io_error, "b"), job_of(&fails_at_end, "c") };
    assert_int_equal(tepal_gather(jobs, 3, NULL), -EPIPE);
    assert_int_equal(tepal_gather(jobs, 2, &(tepal_gather_options){ .collect = true }), 0);
    assert_int_equal(tepal_race(jobs, 3), 0);
    expect_said(""); /* all results are in the jobs */
    (void)arg;
    return 0;
}

static void failures_of_jobs(void **state)
{
    (void)state;
    assert_int_equal(run_fake(jobs_unjoined, NULL), 0);
    assert_int_equal(run_fake(jobs_joined, NULL), 0);
    assert_int_equal(run_fake(jobs_out_of_time, NULL), 0);
    assert_int_equal(run_fake(told_before, NULL), 0);
    assert_int_equal(run_fake(gather_and_race, NULL), 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = { TEST(failures_of_tasks), TEST(groups_left_open),
                                        TEST(failures_of_jobs) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
