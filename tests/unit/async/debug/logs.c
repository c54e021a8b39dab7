/* Tests of what the loop does for the log, and of the standard descriptors. */
#include "../in_loop.h"

#include "base/sink.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static int ends[2]; /* of a pipe that nobody reads by itself */
static struct sink *sink;

static int setup(void **state)
{
    (void)state;
    if (pipe2(ends, O_CLOEXEC) < 0 || sink_open(&sink, ends[1]) < 0)
        return -1;
    fcntl(ends[0], F_SETFL, O_NONBLOCK);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    sink_close(sink);
    close(ends[0]);
    close(ends[1]);
    return 0;
}

static char text[128 * 1024];

/* What has come, within a while. */
static ssize_t hear(void)
{
    ssize_t n = -1;
    for (int i = 0; i < 10000 && n < 0; i++) {
        n = read(ends[0], text, sizeof(text) - 1);
        if (n < 0)
            tepal_sleep_ms(1);
    }
    text[n > 0 ? n : 0] = '\0';
    return n;
}

/* Without a further line, and without anything else that happens in the loop. */
static int write_in_a_moment(void *arg)
{
    (void)arg;
    for (int i = 0; i < 3; i++) {
        sink_put(sink, "one\n", 4);
        sink_put(sink, "two\n", 4);
        assert_int_equal(hear(), 8);
        assert_string_equal(text, "one\ntwo\n");
    }
    return 0;
}

static void lines_go_out_in_a_moment(void **state)
{
    (void)state;
    assert_int_equal(run(write_in_a_moment, NULL), 0);
}

static int write_to_a_full_pipe(void *arg)
{
    (void)arg;
    fcntl(ends[1], F_SETFL, O_NONBLOCK);
    while (write(ends[1], "fill\n", 5) > 0)
        ;
    sink_write(sink, "one\n", 4);
    tepal_sleep_ms(3); /* the loop waits meanwhile, and tries again */
    assert_true(hear() > 4096);
    assert_int_equal(hear(), 4);
    assert_string_equal(text, "one\n");
    assert_false(sink_is_waiting());
    return 0;
}

static void lines_go_out_when_there_is_room_again(void **state)
{
    (void)state;
    assert_int_equal(run(write_to_a_full_pipe, NULL), 0);
}

static int only_put(void *arg)
{
    (void)arg;
    tepal_clock_fake();
    tepal_sleep_ms(1); /* this turn began with the real one */
    sink_put(sink, "one\n", 4);
    tepal_sleep_ms(1);
    assert_int_equal(read(ends[0], text, sizeof(text)), 4); /* with the turn */
    sink_put(sink, "two\n", 4);
    return 0;
}

static void the_end_of_the_loop_writes_all(void **state)
{
    (void)state;
    assert_int_equal(run(only_put, NULL), 0);
    assert_int_equal(read(ends[0], text, sizeof(text)), 4);
}

/* --- Descriptors ------------------------------------------------------------------------------ */

static bool is_null(int fd)
{
    struct stat st, null;
    return fstat(fd, &st) == 0 && stat("/dev/null", &null) == 0 && st.st_rdev == null.st_rdev;
}

/* Started without standard descriptors, and with them closed while it runs. */
static int use_descriptors(void *arg)
{
    const int *closed = arg;
    if (!is_null(0) || !is_null(1) || !is_null(2) || loop_current->poller.fd < 3)
        return 1;
    for (int fd = 0; fd < 3; fd++)
        if (*closed & (1 << fd))
            close(fd);
    tepal_signals *signals = tepal_signals_open((const int[]){ SIGUSR2, 0 });
    if (!signals)
        return 2;
    tepal_signals_close(signals);
    tepal_log(TEPAL_LOG_ERROR, "this goes nowhere");
    for (int fd = 0; fd < 3; fd++)
        if (*closed & (1 << fd) && !is_null(fd))
            return 3;
    return 0;
}

static void standard_descriptors_are_filled(void **state)
{
    (void)state;
    for (int closed = 1; closed < 8; closed++) {
        int status;
        pid_t child = fork();
        if (child == 0) {
            for (int fd = 0; fd < 3; fd++)
                close(fd);
            _exit(tepal_main(use_descriptors, &closed));
        }
        assert_int_equal(waitpid(child, &status, 0), child);
        assert_true(WIFEXITED(status));
        assert_int_equal(WEXITSTATUS(status), 0);
    }
}

#define LOG_TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        LOG_TEST(lines_go_out_in_a_moment),
        LOG_TEST(lines_go_out_when_there_is_room_again),
        LOG_TEST(the_end_of_the_loop_writes_all),
        cmocka_unit_test(standard_descriptors_are_filled),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
