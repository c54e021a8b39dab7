/* Tests of the log. */
#include "../check.h"

#include "base/log.h"

#include <signal.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static char last[5000];
static int n_lines, last_level;
static void *last_arg;

static void keep(tepal_log_level level, const char *text, void *arg)
{
    snprintf(last, sizeof(last), "%s", text);
    last_arg = arg;
    last_level = (int)level;
    n_lines++;
}

static int setup(void **state)
{
    (void)state;
    n_lines = 0;
    tepal_log_set_fn(keep, &n_lines);
    tepal_log_set_level(TEPAL_LOG_INFO);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    tepal_log_set_fn(NULL, NULL);
    tepal_log_set_level(TEPAL_LOG_INFO);
    return 0;
}

static void levels(void **state)
{
    (void)state;
    for (int threshold = TEPAL_LOG_DEBUG; threshold <= TEPAL_LOG_NONE; threshold++) {
        tepal_log_set_level((tepal_log_level)threshold);
        for (int level = TEPAL_LOG_DEBUG; level < TEPAL_LOG_NONE; level++) {
            n_lines = 0;
            tepal_logf((tepal_log_level)level, "x%d", level);
            assert_int_equal(n_lines, level >= threshold);
            if (n_lines > 0) {
                assert_int_equal(last_level, level);
                assert_ptr_equal(last_arg, &n_lines);
            }
        }
        n_lines = 0;
        tepal_log(TEPAL_LOG_NONE, "not a level of a line");
        assert_int_equal(n_lines, 0);
    }
}

static void escapes_control_octets(void **state)
{
    (void)state;
    static const struct {
        const char *in;
        size_t len;
        const char *out;
    } rows[] = {
        { "plain", 5, "plain" },
        { "", 0, "" },
        { "two\r\nlines", 10, "two\\x0d\\x0alines" },
        { "\0\x01\x1f \x7e\x7f", 6, "\\x00\\x01\\x1f ~\\x7f" },
        { "\x1b[31mred", 8, "\\x1b[31mred" },
        { "caf\xc3\xa9 \\x", 8, "caf\xc3\xa9 \\x" },
        { "\xe2\x82\xac \xf0\x9f\x98\x80", 8, "\xe2\x82\xac \xf0\x9f\x98\x80" },
        /* What is a line end, a command or a turn of the direction to those who read it. */
        { "a\xc2\x85z", 4, "a\\xc2\\x85z" },     /* U+0085 */
        { "\xc2\x9b[31m", 6, "\\xc2\\x9b[31m" }, /* CSI */
        { "\xc2\xa0", 2, "\xc2\xa0" },           /* U+00A0, the first that is none */
        { "\xe2\x80\xa8\xe2\x80\xa9", 6, "\\xe2\\x80\\xa8\\xe2\\x80\\xa9" },
        { "\xe2\x80\xae", 3, "\\xe2\\x80\\xae" }, /* U+202E */
        { "\xe2\x81\xa6", 3, "\\xe2\\x81\\xa6" }, /* U+2066 */
        { "\xd8\x9c", 2, "\\xd8\\x9c" },          /* U+061C */
        /* What is no UTF-8. */
        { "\x9b[31m\xff", 6, "\\x9b[31m\\xff" },
        { "\xc0\x8a", 2, "\\xc0\\x8a" },
        { "\xe0\x80\x8a", 3, "\\xe0\\x80\\x8a" },
        { "\xed\xa0\x80", 3, "\\xed\\xa0\\x80" },
        { "\xf4\x90\x80\x80", 4, "\\xf4\\x90\\x80\\x80" },
        { "\xe2\x82", 2, "\\xe2\\x82" },
        { "\xe2\x82(", 3, "\\xe2\\x82(" },
    };
    char out[64];
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        size_t len = log_escape(out, sizeof(out), rows[i].in, rows[i].len);
        assert_string_equal(out, rows[i].out);
        assert_int_equal(len, strlen(rows[i].out));
    }
    /* What does not fit is left out as a whole. */
    assert_int_equal(log_escape(out, 6, "a\nbc", 4), 5);
    assert_string_equal(out, "a\\x0a");
    assert_int_equal(log_escape(out, 5, "a\nbc", 4), 1);
    assert_string_equal(out, "a");
    assert_int_equal(log_escape(out, 4, "a\xe2\x82\xac", 4), 1);
    assert_string_equal(out, "a");
    assert_int_equal(log_escape(out, 5, "a\xe2\x82\xac", 4), 4);
    assert_int_equal(log_escape(out, 1, "abc", 3), 0);
    assert_string_equal(out, "");
    tepal_log(TEPAL_LOG_ERROR, "peer says: \r\nforged");
    assert_string_equal(last, "peer says: \\x0d\\x0aforged");
}

static void cuts_long_lines(void **state)
{
    (void)state;
    static char text[10000];
    memset(text, 'x', sizeof(text) - 1);
    tepal_log(TEPAL_LOG_ERROR, text);
    assert_int_equal(strlen(last), 4095);
    memset(text, '\n', sizeof(text) - 1);
    tepal_log(TEPAL_LOG_ERROR, text);
    assert_int_equal(strlen(last), 4092);
}

static void texts_that_are_null(void **state)
{
    (void)state;
    static const char *volatile none;
    const char *format = none;
    tepal_logf(TEPAL_LOG_ERROR, format, 0);
    assert_string_equal(last, "tepal_logf: the format is NULL");
    tepal_log(TEPAL_LOG_ERROR, none);
    assert_string_equal(last, "tepal_log: the text is NULL");
    tepal_logf(TEPAL_LOG_ERROR, "of %s", none);
    assert_string_equal(last, "of (null)");
}

/* Runs fn with standard error in a pipe. Returns what it wrote. */
static const char *caught_stderr(void (*fn)(void))
{
    static char text[6000];
    int ends[2], saved = dup(STDERR_FILENO);
    assert_int_equal(pipe(ends), 0);
    dup2(ends[1], STDERR_FILENO);
    close(ends[1]);
    fn();
    dup2(saved, STDERR_FILENO);
    close(saved);
    ssize_t n = read(ends[0], text, sizeof(text) - 1);
    close(ends[0]);
    text[n > 0 ? n : 0] = '\0';
    return text;
}

static void log_two_lines(void)
{
    tepal_log(TEPAL_LOG_WARNING, "one\n");
    tepal_log(TEPAL_LOG_DEBUG, "dropped");
    tepal_log(TEPAL_LOG_ERROR, "two");
}

/* In whole seconds, by the clock that the log reads: that of time() may be a moment behind. */
static time_t now(void)
{
    struct timespec at;
    clock_gettime(CLOCK_REALTIME, &at);
    return at.tv_sec;
}

/* The time in UTC, with milliseconds, whatever the zone of the program. */
static void standard_error_is_the_default(void **state)
{
    (void)state;
    tepal_log_set_fn(NULL, NULL);
    setenv("TZ", "Pacific/Marquesas", 1);
    time_t before = now();
    const char *text = caught_stderr(log_two_lines);
    unsetenv("TZ");
    struct tm tm = { 0 };
    int ms, length = 0;
    const char *rest = strptime(text, "%Y-%m-%dT%H:%M:%S", &tm);
    assert_non_null(rest);
    assert_true(timegm(&tm) >= before && timegm(&tm) <= now());
    assert_int_equal(sscanf(rest, ".%3dZ warning: one\\x0a\n%n", &ms, &length), 1);
    assert_true(length > 0);
    assert_string_equal(rest + length + strlen("2026-01-01T00:00:00.000Z "), "error: two\n");
}

static void misuse_ends_the_program(void **state)
{
    (void)state;
    if (SANITIZED || RUNNING_ON_VALGRIND)
        skip();
    int ends[2], status;
    char text[200];
    assert_int_equal(pipe(ends), 0);
    pid_t child = fork();
    if (child == 0) {
        dup2(ends[1], STDERR_FILENO);
        signal(SIGABRT, SIG_DFL); /* cmocka has a handler of its own */
        misuse("tepal_x", "was used wrongly");
    }
    close(ends[1]);
    size_t len = 0;
    ssize_t n;
    while ((n = read(ends[0], text + len, sizeof(text) - 1 - len)) > 0)
        len += (size_t)n;
    text[len] = '\0';
    close(ends[0]);
    assert_int_equal(waitpid(child, &status, 0), child);
    /* An emulator of another processor may have a last word of its own behind it. */
    static const char message[] = "tepal: tepal_x: was used wrongly\n";
    assert_memory_equal(text, message, strlen(message));
    assert_true(WIFSIGNALED(status));
    assert_int_equal(WTERMSIG(status), SIGABRT);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(levels),          TEST(texts_that_are_null),           TEST(escapes_control_octets),
        TEST(cuts_long_lines), TEST(standard_error_is_the_default), TEST(misuse_ends_the_program),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
