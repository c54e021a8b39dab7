/* Tests of the lines that a signal handler can write. */
#include "../check.h"

#include "base/crash.h"

#include <time.h>
#include <unistd.h>

static void dates(void **state)
{
    (void)state;
    for (int64_t at = 0; at < (int64_t)4e9; at += 86400 * 7 / 3 + 12345) {
        char stamp[CRASH_STAMP_LEN + 1] = "", expected[32];
        time_t seconds = (time_t)at;
        struct tm tm;
        gmtime_r(&seconds, &tm);
        strftime(expected, sizeof(expected), "%Y-%m-%d %H:%M:%S", &tm);
        crash_stamp(stamp, at);
        assert_string_equal(stamp, expected);
    }
    char leap[CRASH_STAMP_LEN + 1] = "";
    crash_stamp(leap, 951782399);
    assert_string_equal(leap, "2000-02-28 23:59:59");
    crash_stamp(leap, 951782400);
    assert_string_equal(leap, "2000-02-29 00:00:00");
}

/* Local time, as the log has it. */
static void local_time(void **state)
{
    (void)state;
    char expected[2][32];
    struct crash_line line;
    setenv("TZ", "XYZ-5:30", 1);
    tzset();
    crash_prepare();
    for (int i = 0; i < 2; i++) {
        time_t now = time(NULL);
        struct tm tm;
        localtime_r(&now, &tm);
        strftime(expected[i], sizeof(expected[i]), "%Y-%m-%d %H:%M:%S error: ", &tm);
        if (i == 0)
            crash_begin(&line);
    }
    line.text[line.len] = '\0';
    assert_true(strcmp(line.text, expected[0]) >= 0 && strcmp(line.text, expected[1]) <= 0);
}

static void long_and_odd_texts(void **state)
{
    (void)state;
    int ends[2];
    char text[1000], large[600];
    struct crash_line line;
    memset(large, 'x', sizeof(large) - 1);
    large[sizeof(large) - 1] = '\0';
    crash_begin(&line);
    crash_add(&line, "a\nb ");
    crash_add_number(&line, 0);
    crash_add(&line, " ");
    crash_add_number(&line, SIZE_MAX);
    crash_add(&line, large);
    crash_add(&line, large);
    assert_int_equal(pipe(ends), 0);
    int before = dup(STDERR_FILENO);
    dup2(ends[1], STDERR_FILENO);
    crash_write(&line);
    dup2(before, STDERR_FILENO);
    close(before);
    ssize_t n = read(ends[0], text, sizeof(text) - 1);
    assert_in_range(n, 500, sizeof(line.text));
    text[n] = '\0';
    assert_non_null(strstr(text, "error: a\\x0ab 0 18446744073709551615xxx"));
    assert_int_equal(text[n - 1], '\n');
    close(ends[0]);
    close(ends[1]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(dates),
        cmocka_unit_test(local_time),
        cmocka_unit_test(long_and_odd_texts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
