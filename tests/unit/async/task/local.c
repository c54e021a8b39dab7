/* Tests of task-local values: who sees what, and that nothing is kept for longer than a task. */
#include "../misuse.h"

#include "base/mem.h"

static const tepal_key KEYS[4] = { { "a" }, { "b" }, { "c" }, { "same name" } };
static const tepal_key OTHER = { "same name" };
static char values[64];

static void set(int key, int value)
{
    assert_int_equal(tepal_task_set_local(&KEYS[key], value < 0 ? NULL : &values[value]), 0);
}

/* The index of the value, -1 when there is none. */
static int get(int key)
{
    const char *value = tepal_task_local(&KEYS[key]);
    return value ? (int)(value - values) : -1;
}

static void expect(int a, int b, int c)
{
    assert_int_equal(get(0), a);
    assert_int_equal(get(1), b);
    assert_int_equal(get(2), c);
}

static int n_nodes(const struct local *list)
{
    return list ? 1 + n_nodes(list->next) : 0;
}

/* --- In one task ------------------------------------------------------------------------------ */

static int set_and_get(void *arg)
{
    expect(-1, -1, -1);
    set(0, 1);
    expect(1, -1, -1);
    set(1, 2);
    set(2, 3);
    expect(1, 2, 3);
    for (int i = 10; i < 20; i++) {
        set(i % 3, i);
        assert_int_equal(get(i % 3), i);
    }
    expect(18, 19, 17);
    assert_int_equal(n_nodes(loop_current->current->locals), 3);
    set(1, -1);
    expect(18, -1, 17);
    set(3, 4); /* the name is for people only */
    assert_null(tepal_task_local(&OTHER));
    assert_int_equal(tepal_sleep_ms(1), 0);
    expect(18, -1, 17);
    (void)arg;
    return 0;
}

static void a_task_sets_and_gets(void **state)
{
    (void)state;
    assert_int_equal(run_fake(set_and_get, NULL), 0);
}

/* --- Children --------------------------------------------------------------------------------- */

static int see_then_set(void *arg)
{
    int expected = *(int *)arg;
    expect(expected, 2, -1);
    assert_int_equal(tepal_sleep_ms(10), 0); /* meanwhile the others set theirs */
    expect(expected, 2, -1);
    for (int i = 0; i < 3; i++) {
        set(i, 40 + i);
        assert_int_equal(tepal_sleep_ms(1), 0);
    }
    expect(40, 41, 42);
    return 0;
}

static int spawn_children(void *arg)
{
    int seen[6];
    tepal_group *group = tepal_group_new();
    set(1, 2);
    for (int i = 0; i < 6; i++) {
        seen[i] = i;
        set(0, i);
        assert_int_equal(tepal_spawn(group, see_then_set, &seen[i], NULL), 0);
        expect(i, 2, -1);
    }
    set(0, 7); /* after they were spawned */
    assert_int_equal(tepal_sleep_ms(5), 0);
    set(0, 8);
    set(1, 9);
    assert_int_equal(tepal_group_wait(group), 0);
    expect(8, 9, -1);
    tepal_group_close(group);
    (void)arg;
    return 0;
}

static int set_in_job(void *arg)
{
    expect(5, 6, -1);
    set(2, *(int *)arg);
    assert_int_equal(tepal_sleep_ms(1), 0);
    expect(5, 6, *(int *)arg);
    return 0;
}

static int gather_children(void *arg)
{
    int n[4] = { 10, 11, 12, 13 };
    tepal_job jobs[4];
    set(0, 5);
    set(1, 6);
    for (int i = 0; i < 4; i++)
        jobs[i] = (tepal_job){ .fn = set_in_job, .arg = &n[i] };
    assert_int_equal(tepal_gather(jobs, 4, NULL), 0);
    expect(5, 6, -1);
    (void)arg;
    return 0;
}

static void children_inherit_and_go_their_own_way(void **state)
{
    (void)state;
    assert_int_equal(run_fake(spawn_children, NULL), 0);
    assert_int_equal(run_fake(gather_children, NULL), 0);
}

static int sleep_for_ever(void *arg)
{
    (void)arg;
    return tepal_sleep_ms(TEPAL_NEVER);
}

/* Setting and spawning in turns does not let the list grow, though each child keeps its own. */
static int set_and_spawn_long(void *arg)
{
    tepal_group *group = tepal_group_new();
    for (int i = 0; i < 60; i++) {
        set(i % 3, i);
        if (i % 2 == 0)
            assert_int_equal(tepal_spawn(group, sleep_for_ever, NULL, NULL), 0);
        assert_true(n_nodes(loop_current->current->locals) <= 3);
    }
    expect(57, 58, 59);
    tepal_group_close(group);
    (void)arg;
    return 0;
}

/* At random, against a table of what each task must see. */
struct mirror {
    int seen[4];
    uint64_t seed;
    int depth;
};

static int mirror_main(void *arg)
{
    struct mirror own = *(struct mirror *)arg;
    free(arg);
    tepal_group *group = tepal_group_new();
    for (int i = 0; i < 20; i++) {
        int key = (int)(next_random(&own.seed) % 4);
        switch (next_random(&own.seed) % 4) {
        case 0:
            own.seen[key] = (int)(next_random(&own.seed) % 60) - 1;
            set(key, own.seen[key]);
            break;
        case 1:
            if (own.depth < 4) {
                struct mirror *child = malloc(sizeof(*child));
                *child = own;
                child->depth++;
                child->seed = next_random(&own.seed);
                assert_int_equal(tepal_spawn(group, mirror_main, child, NULL), 0);
            }
            break;
        default:
            assert_int_equal(tepal_sleep_ms(next_random(&own.seed) % 3), 0);
        }
        for (int k = 0; k < 4; k++)
            assert_int_equal(get(k), own.seen[k]);
    }
    assert_int_equal(tepal_group_wait(group), 0);
    tepal_group_close(group);
    return 0;
}

static int at_random(void *arg)
{
    for (uint64_t seed = 1; seed <= (uint64_t)times(30); seed++) {
        struct mirror *root = malloc(sizeof(*root));
        *root = (struct mirror){ .seen = { -1, -1, -1, -1 }, .seed = seed };
        tepal_group *group = tepal_group_new();
        assert_int_equal(tepal_spawn(group, mirror_main, root, NULL), 0);
        assert_int_equal(tepal_group_wait(group), 0);
        tepal_group_close(group);
    }
    assert_null(loop_current->current->locals);
    (void)arg;
    return 0;
}

static void lists_are_shared_and_stay_short(void **state)
{
    (void)state;
    assert_int_equal(run_fake(set_and_spawn_long, NULL), 0);
    assert_int_equal(run_fake(at_random, NULL), 0);
}

/* --- Memory ----------------------------------------------------------------------------------- */

static int return_zero(void *arg)
{
    (void)arg;
    return 0;
}

static int use_no_memory(void *arg)
{
    tepal_group *group = tepal_group_new();
    set(0, 1);
    set(1, 2);
    assert_int_equal(tepal_spawn(group, return_zero, NULL, NULL), 0); /* its stack may */
    assert_int_equal(tepal_group_wait(group), 0);
    size_t before = mem_count();
    for (int i = 0; i < 10; i++) { /* neither to inherit nor to set again what is not shared */
        assert_int_equal(tepal_spawn(group, return_zero, NULL, NULL), 0);
        assert_int_equal(tepal_group_wait(group), 0);
        set(i % 2, i);
    }
    assert_int_equal(mem_count(), before);
    tepal_group_close(group);
    (void)arg;
    return 0;
}

static int have_no_memory(void *arg)
{
    tepal_group *group = tepal_group_new();
    mem_fail_nth(1, 0);
    assert_int_equal(tepal_task_set_local(&KEYS[0], &values[1]), -ENOMEM);
    expect(-1, -1, -1);
    set(0, 1);
    set(1, 2);
    set(2, 3);
    assert_int_equal(tepal_spawn(group, sleep_for_ever, NULL, NULL), 0);
    for (size_t n = 1; n <= 3; n++) { /* the list is shared: all of it is made anew, or nothing */
        mem_fail_nth(n, 0);
        assert_int_equal(tepal_task_set_local(&KEYS[0], &values[4]), -ENOMEM);
        expect(1, 2, 3);
    }
    mem_fail_nth(0, 0);
    set(0, 4);
    expect(4, 2, 3);
    tepal_group_close(group);
    (void)arg;
    return 0;
}

static void memory(void **state)
{
    (void)state;
    assert_int_equal(run_fake(use_no_memory, NULL), 0);
    assert_int_equal(run_fake(have_no_memory, NULL), 0);
}

/* --- Misuse ----------------------------------------------------------------------------------- */

static void get_in_call(void *arg)
{
    (void)tepal_task_local(arg);
}

static int get_outside_tasks(void *arg)
{
    (void)arg;
    (void)tepal_loop_call(tepal_loop_current(), get_in_call, (void *)(uintptr_t)&KEYS[0]);
    return tepal_sleep_ms(1);
}

static void misuse_stops_the_program(void **state)
{
    (void)state;
    expect_misuse(get_outside_tasks, "tepal_task_local: must be called from a task");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_task_sets_and_gets),
        cmocka_unit_test(children_inherit_and_go_their_own_way),
        cmocka_unit_test(lists_are_shared_and_stay_short),
        cmocka_unit_test(memory),
        cmocka_unit_test(misuse_stops_the_program),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
