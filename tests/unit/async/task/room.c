/* Tests that structs which are not initialised are refused by the calls that take them. */
#include "../in_loop.h"

#include <tepal/channel.h>
#include <tepal/file.h>
#include <tepal/inspect.h>
#include <tepal/thread.h>

static char said[200];

static void keep(tepal_log_level level, const char *text, void *arg)
{
    (void)arg;
    if (level == TEPAL_LOG_ERROR)
        snprintf(said, sizeof(said), "%s", text);
}

/* The call was refused, and the log names it. */
static void refused(int rc, const char *call)
{
    char expected[200];
    snprintf(expected, sizeof(expected),
             "%s: the options are not initialised, or made for a newer tepal", call);
    assert_int_equal(rc, -EINVAL);
    assert_string_equal(said, expected);
    said[0] = '\0';
}

static int never(void *arg)
{
    (void)arg;
    fail();
    return 0;
}

static int in_tasks(void *arg)
{
    tepal_group *group = tepal_group_new();
    tepal_spawn_options spawning = { .later = { 0, 0, 0, 1 } };
    refused(tepal_spawn(group, never, NULL, &spawning), "tepal_spawn");
    tepal_job job = { .fn = never, .later = { 1 } };
    refused(tepal_job_start(group, &job), "tepal_job_start");
    tepal_gather_options gathering = { .later = { 0, 1 } };
    refused(tepal_gather(NULL, 0, &gathering), "tepal_gather");
    refused(tepal_gather(&job, 1, NULL), "tepal_job_start");
    refused(tepal_race(&job, 1), "tepal_job_start");
    assert_int_equal(tepal_group_wait(group), 0);
    tepal_group_close(group);
    (void)arg;
    return 0;
}

static int in_channels(void *arg)
{
    int item = 1;
    tepal_channel *channel = tepal_channel_new(sizeof(item), 1);
    tepal_select_case cases[] = { { .channel = channel, .send = &item },
                                  { .channel = channel, .send = &item, .later = { 0, 0, 1 } } };
    refused(tepal_select(cases, 2, 0), "tepal_select");
    assert_int_equal(tepal_channel_length(channel), 0);
    assert_int_equal(tepal_select(cases, 1, 0), 0);
    tepal_channel_close(channel);
    (void)arg;
    return 0;
}

static int in_configuration(void *arg)
{
    tepal_loop_options loop = { .later = { 1 } };
    refused(tepal_loop_configure(&loop), "tepal_loop_configure");
    tepal_offload_options offload = { .later = { 1 } };
    refused(tepal_offload_configure(&offload), "tepal_offload_configure");
    tepal_debug_options debug = { .later = { 1 } };
    refused(tepal_debug(&debug), "tepal_debug");
    (void)arg;
    return 0;
}

static int in_files(void *arg)
{
    tepal_file *file = NULL;
    tepal_file_options opening = { .later = { 1 } };
    refused(tepal_file_open(&file, "/dev/null", &opening), "tepal_file_open");
    tepal_file_save_options saving = { .later = { 1 } };
    refused(tepal_file_save("/nowhere/at/all", "x", 1, &saving), "tepal_file_save");
    (void)arg;
    return 0;
}

static void each_call(void **state)
{
    (void)state;
    tepal_log_set_fn(keep, NULL);
    assert_int_equal(run_fake(in_tasks, NULL), 0);
    assert_int_equal(run_fake(in_channels, NULL), 0);
    assert_int_equal(run_fake(in_configuration, NULL), 0);
    assert_int_equal(run_fake(in_files, NULL), 0);
    tepal_log_set_fn(NULL, NULL);
}

int main(void)
{
    static const struct CMUnitTest tests[] = { cmocka_unit_test(each_call) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
