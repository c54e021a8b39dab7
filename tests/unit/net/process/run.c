/* Tests of programs that are run from beginning to end. */
#include "../children.h"

static tepal_process_result result;

static int setup(void **state)
{
    (void)state;
    memset(&result, 0x55, sizeof(result)); /* what it was before makes no difference */
    return 0;
}

static void expect_result(int exit_code, const char *output, const char *errors)
{
    assert_int_equal(result.status.exit_code, exit_code);
    assert_int_equal(result.status.signal, 0);
    assert_string_equal(result.output.data, output);
    assert_int_equal(result.output.len, strlen(output));
    assert_string_equal(result.errors.data, errors);
    assert_int_equal(result.errors.len, strlen(errors));
    tepal_process_result_clear(&result);
}

static void expect_empty(void)
{
    static const tepal_process_result empty;
    assert_memory_equal(&result, &empty, sizeof(result));
    tepal_process_result_clear(&result); /* allowed after a failure, too */
}

static int run_line(const char *line, const tepal_process_options *options)
{
    return tepal_process_run(shell(line), options, &result);
}

static int capture(void *arg)
{
    assert_int_equal(run_line("echo out; echo err >&2; exit 3", NULL), 0);
    expect_result(3, "out\n", "err\n");
    assert_int_equal(run_line(":", NULL), 0);
    expect_result(0, "", "");
    assert_int_equal(run_line("cat", NULL), 0); /* without an input it is at its end at once */
    expect_result(0, "", "");
    assert_int_equal(run_line("kill -9 $$", NULL), 0);
    assert_int_equal(result.status.exit_code, -1);
    assert_int_equal(result.status.signal, SIGKILL);
    tepal_process_result_clear(&result);
    tepal_process_result_clear(&result);
    /* Every octet. */
    char octets[256];
    for (int i = 0; i < 256; i++)
        octets[i] = (char)i;
    tepal_process_options options = { .input = { octets, 256 } };
    assert_int_equal(run_line("cat", &options), 0);
    assert_int_equal(result.output.len, 256);
    assert_memory_equal(result.output.data, octets, 256);
    tepal_process_result_clear(&result);
    (void)arg;
    return 0;
}

static void captures_what_it_writes(void **state)
{
    (void)state;
    run_children(capture);
}

static int redirect(void *arg)
{
    tepal_process_options options = { .err = TEPAL_STDIO_OUTPUT };
    assert_int_equal(run_line("echo out; echo err >&2", &options), 0);
    expect_result(0, "out\nerr\n", "");
    options = (tepal_process_options){ .out = TEPAL_STDIO_NULL };
    assert_int_equal(run_line("echo out; echo err >&2", &options), 0);
    expect_result(0, "", "err\n");
    options = (tepal_process_options){ .err = TEPAL_STDIO_INHERIT };
    assert_int_equal(run_line("readlink /proc/$$/fd/2", &options), 0);
    char name[200] = "";
    assert_true(readlink("/proc/self/fd/2", name, sizeof(name) - 2) > 0);
    expect_result(0, strcat(name, "\n"), "");
    options = (tepal_process_options){ .in = TEPAL_STDIO_PIPE }; /* of which nothing comes */
    assert_int_equal(run_line("cat", &options), 0);
    expect_result(0, "", "");
    /* The pipe can be opened by its name, as a socket could not. */
    options = (tepal_process_options){ .input = { "hello", 5 }, .cwd = "/tmp" };
    assert_int_equal(run_line("cat /dev/stdin; pwd; echo e >/dev/stderr", &options), 0);
    expect_result(0, "hello/tmp\n", "e\n");
    (void)arg;
    return 0;
}

static void redirects(void **state)
{
    (void)state;
    run_children(redirect);
}

/* Much in, and as much out of both pipes at once. */
static int move_much(void *arg)
{
    size_t len = 2000000;
    char *data = malloc(len);
    for (size_t i = 0; i < len; i++)
        data[i] = (char)(i * 7 + (i >> 9));
    tepal_process_options options = { .input = { data, len }, .max_output = 2 * len };
    assert_int_equal(run_line("tee /dev/stderr", &options), 0);
    assert_int_equal(result.output.len, len);
    assert_int_equal(result.errors.len, len);
    assert_memory_equal(result.output.data, data, len);
    assert_memory_equal(result.errors.data, data, len);
    assert_int_equal(result.output.data[len], 0);
    tepal_process_result_clear(&result);
    /* Input that nobody wants. */
    assert_int_equal(run_line("exit 4", &options), 0);
    expect_result(4, "", "");
    assert_int_equal(run_line("head -c 5", &options), 0);
    assert_int_equal(result.output.len, 5);
    tepal_process_result_clear(&result);
    assert_int_equal(run_line("exec <&-; echo closed", &options), 0);
    expect_result(0, "closed\n", "");
    free(data);
    (void)arg;
    return 0;
}

static void moves_much_both_ways(void **state)
{
    (void)state;
    run_children(move_much);
}

static int reach_limits(void *arg)
{
    /* Both pipes together. */
    static const char line[] = "printf 1234; printf 56789 >&2";
    tepal_process_options options = { 0 };
    for (size_t max = 9; max <= 10; max++) {
        options.max_output = max;
        assert_int_equal(run_line(line, &options), 0);
        expect_result(0, "1234", "56789");
    }
    options.max_output = 8;
    assert_int_equal(run_line(line, &options), -EFBIG);
    expect_empty();
    options.max_output = 1;
    assert_int_equal(run_line("printf 12", &options), -EFBIG);
    assert_int_equal(run_line("printf 1", &options), 0);
    expect_result(0, "1", "");
    /* The default, and none at all. */
    assert_int_equal(run_line("head -c 1048576 /dev/zero", NULL), 0);
    assert_int_equal(result.output.len, 1048576);
    tepal_process_result_clear(&result);
    assert_int_equal(run_line("head -c 1048577 /dev/zero", NULL), -EFBIG);
    expect_empty();
    options.max_output = TEPAL_UNLIMITED;
    assert_int_equal(run_line("head -c 1048577 /dev/zero", &options), 0);
    assert_int_equal(result.output.len, 1048577);
    tepal_process_result_clear(&result);
    /* A program that does not stop by itself is stopped. */
    assert_int_equal(run_line("exec yes", NULL), -EFBIG);
    options = (tepal_process_options){ .kill_after_ms = 1 };
    assert_int_equal(run_line("trap '' TERM PIPE; exec cat /dev/zero", &options), -EFBIG);
    (void)arg;
    return 0;
}

static void output_has_a_limit(void **state)
{
    (void)state;
    run_children(reach_limits);
}

/* A program that it leaves behind has the pipe, too. */
static int leave_behind(void *arg)
{
    assert_int_equal(run_line("(sleep 0.1; echo late) & echo early", NULL), 0);
    expect_result(0, "early\nlate\n", "");
    (void)arg;
    return 0;
}

static void waits_for_the_end_of_the_output(void **state)
{
    (void)state;
    run_children(leave_behind);
}

static int run_endless(void *arg)
{
    (void)arg;
    int rc = run_line("echo begun; exec sleep 1000", NULL);
    expect_empty();
    return rc;
}

static int run_stubborn(void *arg)
{
    (void)arg;
    tepal_process_options options = { .kill_after_ms = 1 };
    return run_line("trap '' TERM; exec sleep 1000", &options);
}

static int run_silent(void *arg)
{
    (void)arg;
    /* No pipe to wait on, so it waits for the process. */
    tepal_process_options options = { .out = TEPAL_STDIO_NULL, .err = TEPAL_STDIO_NULL };
    return run_line("exec sleep 1000", &options);
}

static int run_deaf(void *arg)
{
    (void)arg;
    size_t len = 1 << 20; /* more than the pipe takes */
    char *data = calloc(1, len);
    int rc = run_line("exec sleep 1000", &(tepal_process_options){ .input = { data, len } });
    free(data);
    return rc;
}

static int interrupt_runs(void *arg)
{
    static endless_call *const calls[] = { run_endless, run_stubborn, run_silent, run_deaf };
    for (int i = 0; i < 4; i++) {
        expect_refusal(calls[i], NULL);
        for (int k = 0; k < 4; k++) {
            tepal_group *group = tepal_group_new();
            assert_int_equal(tepal_spawn(group, calls[i], NULL, NULL), 0);
            settle();
            assert_int_equal(tepal_sleep_ms(k * 5), 0);
            tepal_group_cancel(group);
            assert_int_equal(tepal_group_wait(group), -ECANCELED);
            tepal_group_close(group);
            assert_int_equal(waitpid(-1, NULL, WNOHANG), -1); /* there is no child any more */
        }
        expect_timeout(calls[i], NULL);
    }
    expect_either(run_endless, NULL);
    (void)arg;
    return 0;
}

static void killed_when_cancelled_or_late(void **state)
{
    (void)state;
    run_children(interrupt_runs);
}

static int run_one(void *arg)
{
    char line[64];
    tepal_process_result own;
    int number = *(int *)arg;
    snprintf(line, sizeof(line), "cat; echo %d; exit %d", number, number);
    tepal_process_options options = { .input = { "number ", 7 } };
    const char *argv[] = { "sh", "-c", line, NULL };
    int rc = tepal_process_run(argv, &options, &own);
    if (rc == 0) {
        snprintf(line, sizeof(line), "number %d\n", number);
        assert_string_equal(own.output.data, line);
        assert_int_equal(own.status.exit_code, number);
    }
    tepal_process_result_clear(&own);
    return rc;
}

static int run_many(void *arg)
{
    enum { N = 50 };
    static int numbers[N];
    tepal_group *group = tepal_group_new();
    for (int i = 0; i < N; i++) {
        numbers[i] = i;
        assert_int_equal(tepal_spawn(group, run_one, &numbers[i], NULL), 0);
    }
    assert_int_equal(tepal_group_wait(group), 0);
    tepal_group_close(group);
    (void)arg;
    return 0;
}

static void many_at_once(void **state)
{
    (void)state;
    run_children(run_many);
}

static int fail_allocations(void *arg)
{
    tepal_process_options options = { .input = { "12", 2 } };
    int rc = -ENOMEM;
    size_t n;
    for (n = 1; rc != 0; n++) {
        assert_true(n < 100);
        setup(NULL);
        mem_fail_nth(n, 0);
        rc = run_line("cat", &options);
        if (mem_failures() == 0)
            break;
        mem_fail_nth(0, 0);
        assert_int_equal(rc, -ENOMEM);
        expect_empty();
    }
    mem_fail_nth(0, 0);
    assert_true(n > 5);
    assert_int_equal(rc, 0);
    expect_result(0, "12", "");
    (void)arg;
    return 0;
}

static int run_nothing(void *arg)
{
    const char *argv[] = { "/nowhere/program", NULL };
    if (!RUNNING_ON_VALGRIND) /* see process.c */
        assert_int_equal(tepal_process_run(argv, NULL, &result), -ENOENT);
    (void)arg;
    return 0;
}

static void failures(void **state)
{
    (void)state;
    run_children(fail_allocations);
    run_children(run_nothing);
}

static int feed_no_pipe(void *arg)
{
    (void)arg;
    tepal_process_options options = { .input = { "x", 1 }, .in = TEPAL_STDIO_NULL };
    return run_line("cat", &options);
}

static void input_without_a_pipe_is_misuse(void **state)
{
    (void)state;
    expect_misuse(feed_no_pipe, "there is an input, but no pipe for it");
}

#define TEST(name) cmocka_unit_test_setup(name, setup)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(captures_what_it_writes),
        TEST(redirects),
        TEST(moves_much_both_ways),
        TEST(output_has_a_limit),
        TEST(waits_for_the_end_of_the_output),
        TEST(killed_when_cancelled_or_late),
        TEST(many_at_once),
        TEST(failures),
        TEST(input_without_a_pipe_is_misuse),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
