/* Tests at random: trees of tasks that gather, race, join, shield and wait, and are cancelled at
 * any point. What must hold whatever happens is checked at every return. */
#include "../in_loop.h"

#include "async/task/group.h"

static int n_running;
static const tepal_key DEPTH = { "depth" };

struct node {
    uint64_t seed;
    intptr_t depth;
};

static int node_main(void *arg);

/* An interruption is told only to one that was interrupted, and by the right name. */
static void check(int rc)
{
    if (rc == -ECANCELED)
        assert_true(tepal_is_cancelled());
    else if (rc == -ETIMEDOUT)
        assert_true(loop_current->current->deadline <= tepal_now_ms());
    else
        assert_true(rc >= 0);
}

enum { MAX_JOBS = 4 };

static size_t make_jobs(tepal_job *jobs, struct node *nodes, struct node *parent)
{
    size_t n = parent->depth >= 4 ? 0 : next_random(&parent->seed) % (MAX_JOBS + 1);
    for (size_t i = 0; i < n; i++) {
        nodes[i] = (struct node){ .seed = next_random(&parent->seed), .depth = parent->depth + 1 };
        jobs[i] = (tepal_job){ .fn = node_main, .arg = &nodes[i] };
    }
    return n;
}

/* Several jobs in a group of this task's own, some of which it cancels, joins or takes. */
static void use_jobs(struct node *node)
{
    tepal_job jobs[MAX_JOBS], *next;
    struct node nodes[MAX_JOBS];
    size_t n = make_jobs(jobs, nodes, node), n_left = n;
    tepal_group *group = tepal_group_new();
    for (size_t i = 0; i < n; i++)
        assert_int_equal(tepal_job_start(group, &jobs[i]), 0);
    for (size_t i = 0; i < n; i++) {
        uint32_t what = next_random(&node->seed) % 4;
        if (what == 0)
            tepal_job_cancel(&jobs[i]);
        if (what == 1 && !tepal_is_cancelled()) {
            bool was_taken = jobs[i].done && !jobs[i].inside.group;
            int rc = tepal_job_join(&jobs[i]);
            check(rc);
            assert_true(rc < 0 || jobs[i].done);
            n_left -= rc == 0 && !was_taken;
        }
        if (what == 2) {
            int rc = tepal_group_next(group, &next);
            check(rc);
            assert_true((rc == 1) == (next != NULL));
            assert_true(rc != 0 || n_left == 0);
            n_left -= rc == 1;
        }
    }
    int rc = tepal_group_wait(group);
    if (rc == 0) { /* all that were not taken are there to be */
        while ((rc = tepal_group_next(group, &next)) == 1)
            n_left--;
        check(rc);
        assert_true(rc < 0 || n_left == 0);
    }
    tepal_group_close(group);
    for (size_t i = 0; i < n; i++)
        assert_true(jobs[i].done);
}

static void gather_or_race(struct node *node)
{
    tepal_job jobs[MAX_JOBS];
    struct node nodes[MAX_JOBS];
    size_t n = make_jobs(jobs, nodes, node);
    bool race = next_random(&node->seed) % 2;
    tepal_gather_options options = { .collect = next_random(&node->seed) % 2,
                                     .max_at_once = next_random(&node->seed) % 3 };
    int rc = race ? tepal_race(jobs, n) : tepal_gather(jobs, n, &options);
    for (size_t i = 0; i < n; i++)
        assert_true(jobs[i].done);
    if (race && rc >= 0)
        assert_true((size_t)rc < n);
    else if (race && n == 0)
        assert_true(rc == -EINVAL || rc == -ECANCELED || rc == -ETIMEDOUT);
    else if (race || options.collect)
        check(rc);
    else if (rc == 0)
        for (size_t i = 0; i < n; i++)
            assert_true(jobs[i].result >= 0);
}

static void shielded_clean_up(struct node *node)
{
    bool cancelled = tepal_is_cancelled();
    int64_t before = tepal_shield_begin_ms(20), begin = tepal_now_ms();
    int64_t ms = next_random(&node->seed) % 40;
    int rc = tepal_sleep_ms(ms);
    assert_int_equal(rc, ms > 20 ? -ETIMEDOUT : 0);
    assert_true(tepal_now_ms() == begin + (ms > 20 ? 20 : ms));
    tepal_shield_end(before);
    assert_true(!cancelled || tepal_is_cancelled()); /* it is not lost */
}

static int node_main(void *arg)
{
    struct node *node = arg;
    n_running++;
    assert_ptr_equal(tepal_task_local(&DEPTH), (void *)(node->depth - 1));
    assert_int_equal(tepal_task_set_local(&DEPTH, (void *)node->depth), 0);
    int64_t before = loop_current->current->deadline;
    if (next_random(&node->seed) % 4 == 0)
        before = tepal_deadline_in_ms(next_random(&node->seed) % 60);
    int rc = 0;
    for (uint32_t i = next_random(&node->seed) % 4; i > 0 && rc >= 0; i--) {
        switch (next_random(&node->seed) % 6) {
        case 0:
            use_jobs(node);
            break;
        case 1:
        case 2:
            gather_or_race(node);
            break;
        case 3:
            shielded_clean_up(node);
            break;
        default:
            check(rc = tepal_sleep_ms(next_random(&node->seed) % 30));
        }
    }
    tepal_deadline_restore(before);
    assert_ptr_equal(tepal_task_local(&DEPTH), (void *)node->depth);
    n_running--;
    return rc < 0 ? rc : next_random(&node->seed) % 8 == 0 ? -EIO : 1;
}

static int run_trees(void *arg)
{
    uint64_t seed = 7;
    struct node nodes[20];
    (void)arg;
    for (int round = 0; round < times(2000); round++) {
        tepal_group *group = tepal_group_new();
        for (int i = 0; i < 20; i++) {
            nodes[i] = (struct node){ .seed = next_random(&seed), .depth = 1 };
            assert_int_equal(tepal_spawn(group, node_main, &nodes[i], NULL), 0);
        }
        assert_int_equal(tepal_sleep_ms(next_random(&seed) % 100), 0);
        for (struct list *node = group->tasks.next; node != &group->tasks; node = node->next)
            if (next_random(&seed) % 2)
                task_cancel(CONTAINER_OF(node, struct tepal_task, in_group));
        if (next_random(&seed) % 2)
            assert_int_equal(tepal_sleep_ms(next_random(&seed) % 50), 0);
        tepal_group_close(group);
        assert_int_equal(n_running, 0);
        assert_int_equal(loop_current->n_tasks, 1);
    }
    return 0;
}

static void trees_of_tasks(void **state)
{
    (void)state;
    tepal_log_set_level(TEPAL_LOG_ERROR); /* many fail, and are reported */
    assert_int_equal(run_fake(run_trees, NULL), 0);
    tepal_log_set_level(TEPAL_LOG_INFO);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(trees_of_tasks) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
