/* Tests of tasks that go on though they are cancelled or out of time: whatever they call, others
 * run meanwhile, the log names them once, and nobody waits for them for ever. */
#include "../misuse.h"

#include "async/task/group.h"
#include "base/log.h"

#include <limits.h>

static struct {
    int n_named, n_given_up, n_left, n_waited;
    char named[600], waited[600];
} logged;

static void take_log(tepal_log_level level, const char *text, void *arg)
{
    (void)arg;
    (void)level;
    if (strstr(text, " goes on though ")) {
        logged.n_named++;
        snprintf(logged.named, sizeof(logged.named), "%s", text);
    }
    logged.n_given_up +=
        strstr(text, " was cancelled and does not end: it is left as it is") != NULL;
    logged.n_left += strstr(text, " did not end in time, and ") != NULL;
    if (strstr(text, " still waited for; the first is ")) {
        logged.n_waited++;
        snprintf(logged.waited, sizeof(logged.waited), "%s", text);
    }
}

static int start_log(void **state)
{
    (void)state;
    memset(&logged, 0, sizeof(logged));
    tepal_log_set_fn(take_log, NULL);
    return 0;
}

/* What is given up keeps its memory, so that runs in a process of its own. */
static void run_in_child(tepal_task_fn *fn, void *arg, bool fake)
{
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        int rc = fake ? run_fake(fn, arg) : run(fn, arg);
        _exit(rc == 0 ? 0 : 1);
    }
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
}

/* --- Every kind of call ----------------------------------------------------------------------- */

static struct {
    tepal_channel *channel, *select_channel;
    tepal_mutex mutex;
    tepal_semaphore semaphore;
    tepal_event event;
    tepal_group *group;
    tepal_interval interval;
    tepal_job job;
} things;

static int nothing(void *arg)
{
    (void)arg;
    return 0;
}

static int call_sleep(void)
{
    return tepal_sleep_ms(1000);
}

static int call_give_way(void)
{
    return tepal_sleep_ms(0);
}

static int call_interval(void)
{
    return (int)tepal_interval_wait(&things.interval);
}

static int call_lock(void)
{
    return tepal_mutex_lock(&things.mutex);
}

static int call_acquire(void)
{
    return tepal_semaphore_acquire(&things.semaphore);
}

static int call_event(void)
{
    return tepal_event_wait(&things.event);
}

static int call_send(void)
{
    int item = 0;
    return tepal_channel_send(things.channel, &item);
}

static int call_receive(void)
{
    int item;
    return tepal_channel_receive(things.channel, &item);
}

static int call_select(void)
{
    int item;
    tepal_select_case one = { .channel = things.channel, .receive = &item };
    return tepal_select(&one, 1, 1000);
}

static int call_poll(void)
{
    int item;
    tepal_select_case one = { .channel = things.channel, .receive = &item };
    return tepal_select(&one, 1, 0);
}

static int call_offload(void)
{
    return tepal_offload(nothing, NULL);
}

static int call_abandonable(void)
{
    return tepal_offload_abandonable(nothing, NULL, NULL, NULL);
}

static int call_group_wait(void)
{
    return tepal_group_wait(things.group);
}

static int call_group_next(void)
{
    tepal_job *job;
    return tepal_group_next(things.group, &job);
}

static int call_join(void)
{
    return tepal_job_join(&things.job);
}

static int call_gather(void)
{
    tepal_job job = { .fn = nothing };
    return tepal_gather(&job, 1, NULL);
}

static int call_race(void)
{
    tepal_job job = { .fn = nothing };
    return tepal_race(&job, 1);
}

static int (*const calls[])(void) = {
    call_sleep, call_give_way, call_interval, call_lock,       call_acquire,    call_event,
    call_send,  call_receive,  call_select,   call_poll,       call_offload,    call_abandonable,
    call_join,  call_gather,   call_race,     call_group_wait, call_group_next,
};

struct stubborn {
    int (*call)(void);
    int expected;
    int64_t deadline_in;
    int n, n_max;
};

static int go_on(void *arg)
{
    struct stubborn *s = arg;
    (void)tepal_deadline_in_ms(s->deadline_in);
    while (s->n < s->n_max) {
        s->n++;
        assert_int_equal(s->call(), s->expected);
    }
    return 0;
}

static int sleep_for_ever(void *arg)
{
    (void)arg;
    return tepal_sleep_ms(TEPAL_NEVER);
}

static void open_things(void)
{
    memset(&things, 0, sizeof(things));
    things.channel = tepal_channel_new(sizeof(int), 1);
    things.group = tepal_group_new();
    things.interval = tepal_interval_start_ms(1000);
    things.job = (tepal_job){ .fn = sleep_for_ever };
    assert_int_equal(tepal_job_start(things.group, &things.job), 0);
}

static void close_things(void)
{
    tepal_group_close(things.group);
    tepal_channel_close(things.channel);
}

/* Others run as if it were not there, and in ten seconds it runs a hundred and some times. */
static int beside_a_stubborn_task(void *arg)
{
    struct stubborn *pattern = arg;
    for (size_t i = 0; i < sizeof(calls) / sizeof(calls[0]); i++) {
        struct stubborn s = *pattern;
        s.call = calls[i];
        open_things();
        memset(&logged, 0, sizeof(logged));
        tepal_group *group = tepal_group_new();
        assert_int_equal(tepal_spawn(group, go_on, &s, &(tepal_spawn_options){ .name = "beat" }),
                         0);
        if (s.expected == -ECANCELED)
            tepal_group_cancel(group);
        int64_t before = tepal_now_ms();
        for (int k = 0; k < 1000; k++)
            assert_int_equal(tepal_sleep_ms(10), 0);
        assert_true(tepal_now_ms() <= before + 10100);
        assert_true(s.n > 80 && s.n < 200);
        assert_int_equal(logged.n_named, 1);
        assert_string_equal(logged.named, s.expected == -ECANCELED
                                              ? "task \"beat\" goes on though it was cancelled"
                                              : "task \"beat\" goes on though its time is over");
        s.n_max = 0; /* it ends by itself, and nothing of it is left */
        assert_int_equal(tepal_group_wait(group), 0);
        tepal_group_close(group);
        close_things();
    }
    return 0;
}

static void every_call_lets_others_run(void **state)
{
    (void)state;
    struct stubborn cancelled = { .expected = -ECANCELED,
                                  .deadline_in = TEPAL_NEVER,
                                  .n_max = INT_MAX };
    struct stubborn late = { .expected = -ETIMEDOUT, .deadline_in = 0, .n_max = INT_MAX };
    assert_int_equal(run_fake(beside_a_stubborn_task, &cancelled), 0);
    assert_int_equal(run_fake(beside_a_stubborn_task, &late), 0);
}

/* --- Few refusals cost nothing ---------------------------------------------------------------- */

static int refused_a_few_times(void *arg)
{
    struct stubborn s = { .call = call_sleep, .expected = -ECANCELED, .deadline_in = TEPAL_NEVER };
    for (s.n_max = 1; s.n_max <= 15; s.n_max++) {
        tepal_group *group = tepal_group_new();
        s.n = 0;
        assert_int_equal(tepal_spawn(group, go_on, &s, NULL), 0);
        int64_t before = tepal_now_ms();
        tepal_group_close(group);
        assert_true(tepal_now_ms() == before); /* on the test's clock */
    }
    assert_int_equal(logged.n_named, 0);
    (void)arg;
    return 0;
}

/* Each of many short deadlines is a new one. */
static int many_deadlines(void *arg)
{
    for (int i = 0; i < 100; i++) {
        int64_t before = tepal_deadline_in_ms(5);
        assert_int_equal(tepal_sleep_ms(10), -ETIMEDOUT);
        for (int k = 0; k < 3; k++)
            assert_int_equal(tepal_sleep_ms(10), -ETIMEDOUT);
        tepal_deadline_restore(before);
    }
    assert_int_equal(logged.n_named, 0);
    (void)arg;
    return 0;
}

static void a_task_that_unwinds_is_not_held_up(void **state)
{
    (void)state;
    assert_int_equal(run_fake(refused_a_few_times, NULL), 0);
    assert_int_equal(run_fake(many_deadlines, NULL), 0);
}

/* --- In a queue ------------------------------------------------------------------------------- */

/* One that pauses is passed over by what it was about to wait for. */
static int pauses_in_no_queue(void *arg)
{
    struct stubborn s = { call_receive, -ECANCELED, TEPAL_NEVER, 0, INT_MAX };
    open_things();
    tepal_group *group = tepal_group_new();
    assert_int_equal(tepal_spawn(group, go_on, &s, NULL), 0);
    tepal_group_cancel(group);
    for (int i = 0; i < 100; i++) {
        int item = 0;
        assert_int_equal(tepal_channel_send(things.channel, &i), 0);
        assert_int_equal(tepal_sleep_ms(7), 0);
        assert_int_equal(tepal_channel_receive(things.channel, &item), 0);
        assert_int_equal(item, i);
    }
    s.n_max = 0;
    tepal_group_close(group);
    close_things();
    (void)arg;
    return 0;
}

static void nothing_is_lost_to_one_that_pauses(void **state)
{
    (void)state;
    assert_int_equal(run_fake(pauses_in_no_queue, NULL), 0);
}

/* --- Ends ------------------------------------------------------------------------------------- */

static int never_ends(void *arg)
{
    while (true)
        tepal_sleep_ms(1000);
    return arg != NULL;
}

static int with_children(void *arg)
{
    tepal_group *group = tepal_group_new();
    assert_int_equal(tepal_spawn(group, arg ? never_ends : sleep_for_ever, NULL, NULL), 0);
    return never_ends(NULL);
}

/* Closing a group comes to an end, and who waits for a job of it gets a result. */
static int close_a_group(void *arg)
{
    tepal_group *group = tepal_group_new();
    int64_t before = tepal_now_ms();
    tepal_job job = { .fn = never_ends };
    assert_int_equal(tepal_job_start(group, &job), 0);
    assert_int_equal(tepal_spawn(group, never_ends, NULL, NULL), 0);
    tepal_group_close(group);
    assert_true(tepal_now_ms() - before >= 3000 && tepal_now_ms() - before < 3500);
    assert_true(job.done && job.result == -ECANCELED);
    assert_int_equal(logged.n_given_up, 2);
    assert_int_equal(loop_current->n_tasks, 1);
    (void)arg;
    return 0;
}

/* What it has started goes with it: the owner of the group may free what they all used. */
static int close_with_children(void *arg)
{
    for (int stubborn = 0; stubborn < 2; stubborn++) {
        tepal_group *group = tepal_group_new();
        int64_t before = tepal_now_ms();
        assert_int_equal(tepal_spawn(group, with_children, stubborn ? &before : NULL, NULL), 0);
        assert_int_equal(tepal_sleep_ms(10), 0);
        tepal_group_close(group);
        assert_true(tepal_now_ms() - before < 8000);
        assert_int_equal(loop_current->n_tasks, 1);
    }
    (void)arg;
    return 0;
}

/* A shield is what a clean-up has, however long it takes. */
static int clean_up_long(void *arg)
{
    (void)tepal_sleep_ms(TEPAL_NEVER);
    int64_t before = tepal_shield_begin_ms(TEPAL_NEVER);
    for (int i = 0; i < 100; i++)
        assert_int_equal(tepal_sleep_ms(1000), 0);
    tepal_shield_end(before);
    *(bool *)arg = true;
    return -ECANCELED;
}

static int close_with_a_shield(void *arg)
{
    bool cleaned = false;
    tepal_group *group = tepal_group_new();
    tepal_spawn_options named = { .name = "cleaner" };
    assert_int_equal(tepal_spawn(group, clean_up_long, &cleaned, &named), 0);
    assert_int_equal(tepal_sleep_ms(10), 0);
    tepal_group_close(group);
    assert_true(cleaned);
    assert_int_equal(logged.n_given_up, 0);
    /* But it is named. */
    assert_int_equal(logged.n_waited, 1);
    assert_non_null(strstr(logged.waited, "a group is closed, and 1 task is still waited for; the "
                                          "first is \"cleaner\""));
    (void)arg;
    return 0;
}

/* And no longer than it may take: what goes on in a shield whose time is over has no other end. */
static int clean_up_for_ever(void *arg)
{
    (void)tepal_sleep_ms(1000);
    (void)tepal_shield_begin_ms(1000);
    return never_ends(arg);
}

static int close_with_a_shield_that_is_over(void *arg)
{
    tepal_group *group = tepal_group_new();
    int64_t before = tepal_now_ms();
    assert_int_equal(tepal_spawn(group, clean_up_for_ever, NULL, NULL), 0);
    assert_int_equal(tepal_sleep_ms(10), 0);
    tepal_group_close(group);
    assert_in_range(tepal_now_ms() - before, 4000, 4500);
    assert_int_equal(logged.n_given_up, 1);
    assert_int_equal(loop_current->n_tasks, 1);
    (void)arg;
    return 0;
}

static int leave_a_shield_that_is_over(void *arg)
{
    assert_int_equal(tepal_spawn(tepal_group_new(), clean_up_for_ever, NULL, NULL), 0);
    (void)arg;
    return 0;
}

/* At a time of the closer's own, whatever they are at. */
static int close_until(void *arg)
{
    tepal_group *group = tepal_group_new();
    bool cleaned = false;
    assert_int_equal(tepal_spawn(group, clean_up_long, &cleaned, NULL), 0);
    assert_int_equal(tepal_spawn(group, with_children, NULL, NULL), 0);
    assert_int_equal(tepal_sleep_ms(10), 0);
    int64_t before = tepal_now_ms();
    group_close_until(group, before + 500);
    assert_true(tepal_now_ms() - before >= 500 && tepal_now_ms() - before < 600);
    assert_false(cleaned);
    assert_int_equal(loop_current->n_tasks, 1);
    (void)arg;
    return 0;
}

static void closing_a_group_ends(void **state)
{
    (void)state;
    run_in_child(close_a_group, NULL, true);
    run_in_child(close_with_children, NULL, true);
    run_in_child(close_until, NULL, true);
    run_in_child(close_with_a_shield_that_is_over, NULL, true);
    assert_int_equal(run_fake(close_with_a_shield, NULL), 0);
}

static int leave_behind(void *arg)
{
    tepal_group *group = tepal_group_new(); /* not closed */
    for (int i = 0; i < 3; i++)
        assert_int_equal(tepal_spawn(group, never_ends, NULL, NULL), 0);
    assert_int_equal(tepal_spawn(group, with_children, group, NULL), 0);
    assert_int_equal(tepal_sleep_ms(10), 0);
    (void)arg;
    return 0;
}

static int leave_until(void *arg)
{
    loop_current->end_until = tepal_now_ms() + 100;
    tepal_group *group = tepal_group_new();
    static bool cleaned;
    assert_int_equal(tepal_spawn(group, clean_up_long, &cleaned, NULL), 0);
    return leave_behind(arg);
}

static void the_loop_ends(void **state)
{
    (void)state;
    run_in_child(leave_behind, NULL, true);
    run_in_child(leave_behind, NULL, false);
    run_in_child(leave_until, NULL, false);
    run_in_child(leave_a_shield_that_is_over, NULL, true);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(every_call_lets_others_run, start_log),
        cmocka_unit_test_setup(a_task_that_unwinds_is_not_held_up, start_log),
        cmocka_unit_test_setup(nothing_is_lost_to_one_that_pauses, start_log),
        cmocka_unit_test_setup(closing_a_group_ends, start_log),
        cmocka_unit_test_setup(the_loop_ends, start_log),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
