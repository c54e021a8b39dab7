/* Tests of background tasks: when they start, end, fail and start again. */
#include "../web_check.h"

static char story[512];
static int n_runs, result;
static int64_t lasts_ms;
static int64_t starts[16];

static int background_setup(void **state)
{
    story[0] = '\0';
    n_runs = 0;
    result = 0;
    lasts_ms = 0;
    return web_setup(state);
}

#define BACKGROUND_TEST(name) cmocka_unit_test_setup_teardown(name, background_setup, web_teardown)

static void stop(void)
{
    tepal_test_close(client);
    client = NULL;
}

static int tell_start(tepal_app *a, void *arg)
{
    (void)a;
    strcat(story, arg);
    return 0;
}

/* Says its argument every second, and what its end was. */
static int speak(tepal_app *a, void *arg)
{
    int rc;
    do
        strcat(story, arg);
    while ((rc = tepal_sleep_ms(1000)) == 0);
    strcat(story, rc == -ECANCELED && a == app ? "|" : "?");
    return rc;
}

static void from_start_to_end(void **state)
{
    (void)state;
    tepal_background(app, speak, "a");
    tepal_background(app, speak, "b");
    tepal_on_startup(app, tell_start, "start ");
    tepal_on_shutdown(app, tell_start, " shutdown ");
    tepal_on_cleanup(app, tell_start, " cleanup");
    start(NULL);
    tepal_test_advance(client, 2500);
    stop();
    assert_string_equal(story, "start ababab shutdown || cleanup");
    assert_string_equal(logged(), "");
    /* Served again, it runs again. */
    start(NULL);
    tepal_test_advance(client, 100);
    stop();
    assert_non_null(strstr(story, "cleanupstart ab shutdown || cleanup"));
}

/* Runs for lasts_ms, and then returns result. */
static int run_and_return(tepal_app *a, void *arg)
{
    (void)a;
    (void)arg;
    starts[n_runs++ % 16] = tepal_now_ms();
    int rc = lasts_ms ? tepal_sleep_ms(lasts_ms) : 0;
    return rc < 0 ? rc : result;
}

static void that_has_ended(void **state)
{
    (void)state;
    tepal_background(app, run_and_return, NULL);
    start(NULL);
    tepal_test_advance(client, 3600 * 1000);
    assert_int_equal(n_runs, 1);
    assert_string_equal(logged(), "");
}

static void delays_grow(void **state)
{
    (void)state;
    static const int64_t delays[] = { 1, 2, 4, 8, 16, 32, 60, 60 };
    const int n = sizeof(delays) / sizeof(*delays);
    result = -EIO;
    tepal_background(app, run_and_return, NULL);
    start(NULL);
    tepal_test_advance(client, 190 * 1000);
    assert_int_equal(n_runs, n + 1);
    for (int i = 0; i < n; i++)
        assert_int_equal(starts[i + 1] - starts[i], delays[i] * 1000);
    assert_non_null(strstr(logged(), "background task 1 failed: Input/output error; it is started "
                                     "again in 1 s\n"));
    assert_non_null(strstr(logged(), "again in 60 s\n"));
    /* While it waits the application can end. */
    log_forget();
    stop();
    assert_string_equal(logged(), "");
}

static void delay_is_short_again(void **state)
{
    (void)state;
    result = -EIO;
    tepal_background(app, run_and_return, NULL);
    start(NULL);
    tepal_test_advance(client, 10 * 1000);
    assert_int_equal(n_runs, 4); /* after 0, 1, 3, 7 s; the next at 15 s */
    lasts_ms = 60 * 1000;
    tepal_test_advance(client, 80 * 1000);
    assert_int_equal(n_runs, 6);
    assert_int_equal(starts[5] - starts[4], 61 * 1000);
}

/* Fails at its end with something else. */
static int fail_at_the_end(tepal_app *a, void *arg)
{
    (void)a;
    (void)arg;
    n_runs++;
    tepal_sleep_ms(TEPAL_NEVER);
    return -ENOSPC;
}

static void failure_at_the_end(void **state)
{
    (void)state;
    tepal_background(app, fail_at_the_end, NULL);
    start(NULL);
    stop();
    assert_int_equal(n_runs, 1);
    assert_string_equal(logged(), "task \"background\" failed: No space left on device\n");
}

static void mistakes(void **state)
{
    (void)state;
    tepal_background(NULL, speak, "");
    tepal_background(app, NULL, NULL);
    assert_refused(NULL, "tepal_background: the task is NULL");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        BACKGROUND_TEST(from_start_to_end),  BACKGROUND_TEST(that_has_ended),
        BACKGROUND_TEST(delays_grow),        BACKGROUND_TEST(delay_is_short_again),
        BACKGROUND_TEST(failure_at_the_end), BACKGROUND_TEST(mistakes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
