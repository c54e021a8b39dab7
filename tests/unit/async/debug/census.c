/* Tests of the census of stack use. */
#include "../in_loop.h"

#include "async/debug/census.h"
#include "async/debug/debug.h"
#include "base/mem.h"

/* What was told, in order. */
struct told {
    char names[20][32];
    tepal_stack_use uses[20];
    size_t n;
};

static struct told told;

static void tell(const tepal_stack_use *use, void *arg)
{
    (void)arg;
    assert_true(told.n < 20);
    snprintf(told.names[told.n], sizeof(told.names[0]), "%s", use->name ? use->name : "(others)");
    told.uses[told.n++] = *use;
}

static const tepal_stack_use *take_census(const char *name)
{
    told.n = 0;
    tepal_stack_census(tell, NULL);
    for (size_t i = 1; i < told.n; i++)
        if (strcmp(told.names[i], "(others)") != 0)
            assert_true(told.uses[i].max_used <= told.uses[i - 1].max_used);
    for (size_t i = 0; i < told.n; i++)
        if (strcmp(told.names[i], name) == 0)
            return &told.uses[i];
    return NULL;
}

static void spawn(tepal_group *group, tepal_task_fn *fn, void *arg, const char *name)
{
    assert_int_equal(tepal_spawn(group, fn, arg, &(tepal_spawn_options){ .name = name }), 0);
}

static int use_little(void *arg)
{
    return arg ? tepal_sleep_ms(*(int *)arg) : 0;
}

enum { MUCH = 100 * 1024 };

static int use_much(void *arg)
{
    volatile char frame[MUCH];
    for (size_t i = 0; i < MUCH; i += 512)
        frame[i] = 1;
    return use_little(arg) + frame[512] - 1;
}

static void run_one(tepal_task_fn *fn, const char *name)
{
    tepal_group *group = tepal_group_new();
    spawn(group, fn, NULL, name);
    assert_int_equal(tepal_group_wait(group), 0);
    tepal_group_close(group);
}

static int living_tasks(void *arg)
{
    int ms = 1000;
    tepal_group *group = tepal_group_new();
    spawn(group, use_little, &ms, "little");
    spawn(group, use_little, &ms, "little");
    spawn(group, use_much, &ms, "much");
    run_one(use_little, "ended");
    const tepal_stack_use *use = take_census("much");
    assert_int_equal(told.n, 3);
    assert_string_equal(told.names[0], "much");
    assert_int_equal(use->n_tasks, 1);
    assert_true(use->max_used > MUCH && use->max_used < use->size);
    assert_int_equal(use->size, STACK_DEFAULT_SIZE);
    use = take_census("little");
    assert_int_equal(use->n_tasks, 2);
    assert_in_range(use->max_used, sizeof(struct tepal_task), MUCH / 2);
    assert_null(take_census("ended")); /* only debug mode keeps it */
    tepal_group_close(group);
    (void)arg;
    return 0;
}

static void of_living_tasks(void **state)
{
    (void)state;
    assert_int_equal(run_fake(living_tasks, NULL), 0);
}

static int ended_tasks(void *arg)
{
    assert_int_equal(tepal_debug(&(tepal_debug_options){ .no_live_report = true }), 0);
    for (int i = 0; i < 5; i++) {
        run_one(use_much, "much"); /* the same stack all the time */
        run_one(use_little, "little");
    }
    char passing[] = "passing";
    run_one(use_little, passing);
    memset(passing, 'x', 7); /* the name goes with its task */
    const tepal_stack_use *use = take_census("much");
    assert_int_equal(use->n_tasks, 5);
    assert_true(use->max_used > MUCH && use->max_used < use->size);
    use = take_census("little");
    assert_int_equal(use->n_tasks, 5);
    assert_true(use->max_used < MUCH / 2); /* its own, not that of the task before */
    assert_non_null(take_census("passing"));
    int ms = 1000;
    tepal_group *group = tepal_group_new();
    spawn(group, use_little, &ms, "little");
    assert_int_equal(take_census("little")->n_tasks, 6); /* with the one that lives */
    assert_int_equal(take_census("little")->n_tasks, 6); /* which is not counted twice */
    tepal_group_close(group);
    (void)arg;
    return 0;
}

static void of_ended_tasks(void **state)
{
    (void)state;
    assert_int_equal(run_fake(ended_tasks, NULL), 0);
}

/* As many names as there may be and one fewer are told apart; one more is not. */
static int many_names(void *arg)
{
    static const char *const names[] = { "main", "b", "c", "d", "e" };
    for (size_t max = 3; max <= 5; max++) {
        assert_int_equal(
            tepal_debug(&(tepal_debug_options){ .no_live_report = true, .max_names = max }), 0);
        census_clear(&loop_current->debug->census);
        census_add_task(&loop_current->debug->census, loop_current->current);
        for (int i = 1; i < 4; i++) {
            run_one(use_little, names[i]);
            run_one(use_little, names[i]);
        }
        const tepal_stack_use *others = take_census("(others)");
        if (max >= 4) {
            assert_null(others);
            assert_int_equal(told.n, 4);
        } else {
            assert_int_equal(others->n_tasks, 2);
            assert_null(others->name);
            assert_true(others->max_used > 0);
            assert_int_equal(told.n, 4); /* three, and the others, which come last */
            assert_string_equal(told.names[3], "(others)");
        }
        assert_int_equal(take_census("c")->n_tasks, 2);
    }
    (void)arg;
    return 0;
}

static void of_many_names(void **state)
{
    (void)state;
    assert_int_equal(run_fake(many_names, NULL), 0);
}

static int no_memory(void *arg)
{
    for (size_t n = 1; n < 3; n++) {
        mem_fail_nth(n, 0);
        assert_null(take_census("main"));
        assert_int_equal(take_census("main")->n_tasks, 1); /* at the next time there is some */
        mem_fail_nth(n, 1);
        assert_int_equal(take_census("(others)")->n_tasks, 1);
        mem_fail_nth(0, 0);
    }
    (void)arg;
    return 0;
}

static void out_of_memory(void **state)
{
    (void)state;
    assert_int_equal(run_fake(no_memory, NULL), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(of_living_tasks),
        cmocka_unit_test(of_ended_tasks),
        cmocka_unit_test(of_many_names),
        cmocka_unit_test(out_of_memory),
    };
    unsetenv("TEPAL_DEBUG"); /* some tests are about what there is without it */
    tepal_log_set_level(TEPAL_LOG_NONE);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
