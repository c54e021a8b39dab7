/* Tests of what a loop does with the memory that a wave of tasks has left: warm for the next wave,
 * and given back when none comes. */
#include "../in_loop.h"

static int n_trims;

/* The heap is the program's: the library must not trim it. */
int malloc_trim(size_t pad);
int malloc_trim(size_t pad)
{
    (void)pad;
    n_trims++;
    return 0;
}

enum { N = 300 };

static int use_memory(void *arg)
{
    struct loop *loop = loop_current;
    volatile char large[20000];
    for (size_t i = 0; i < sizeof(large); i += 1000)
        large[i] = 1;
    void *buffer = block_take(&loop->buffers), *chunk = block_take(&loop->chunks);
    assert_true(buffer && chunk);
    memset(buffer, 1, LOOP_BUFFER_SIZE);
    memset(chunk, 1, LOOP_CHUNK_SIZE);
    int rc = tepal_sleep_ms(0);
    block_give(&loop->buffers, buffer);
    block_give(&loop->chunks, chunk);
    (void)arg;
    return rc;
}

static void run_wave(int n)
{
    tepal_group *group = tepal_group_new();
    for (int i = 0; i < n; i++)
        assert_int_equal(tepal_spawn(group, use_memory, NULL, NULL), 0);
    assert_int_equal(tepal_group_wait(group), 0);
    tepal_group_close(group);
}

static void await_cool(void)
{
    for (int ms = 0; ms < 30000 && loop_is_warm(loop_current); ms += 10)
        assert_int_equal(tepal_sleep_ms(10), 0);
    assert_false(loop_is_warm(loop_current));
}

static int wave_after_wave(void *arg)
{
    struct loop *loop = loop_current;
    (void)arg;
    for (int i = 0; i < 5; i++) {
        run_wave(N);
        assert_true(idle_warm(&loop->stacks.idle) >= N);
        assert_true(loop_is_warm(loop));
    }
    int64_t since = tepal_now_ms();
    await_cool();
    assert_true(tepal_now_ms() - since >= 500); /* not before they have rested */
    assert_true(idle_warm(&loop->stacks.idle) <= STACK_KEEP_WARM);
    assert_true(loop->stacks.idle.n >= N);
    assert_false(timer_is_set(&loop->cooling)); /* an idle loop does not wake up for it */
    run_wave(N);                                /* what is cold is as good as new */
    assert_int_equal(tepal_sleep_ms(1), 0);
    assert_true(timer_is_set(&loop->cooling));
    await_cool();
    return 0;
}

static void memory_goes_back(void **state)
{
    (void)state;
    n_trims = 0;
    assert_int_equal(run(wave_after_wave, NULL), 0);
    assert_int_equal(n_trims, 0);
}

static int few_tasks(void *arg)
{
    (void)arg;
    for (int i = 0; i < 100; i++)
        run_wave(20);
    assert_false(timer_is_set(&loop_current->cooling));
    return 0;
}

static void few_tasks_need_none(void **state)
{
    (void)state;
    assert_int_equal(run(few_tasks, NULL), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(memory_goes_back),
        cmocka_unit_test(few_tasks_need_none),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
