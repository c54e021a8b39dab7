/* Tests of the lines that a signal handler can write. */
#include "../check.h"

#include "base/crash.h"

#include <unistd.h>

static void long_and_odd_texts(void **state)
{
    (void)state;
    int ends[2];
    char text[1000], large[600];
    struct crash_line line;
    memset(large, 'x', sizeof(large) - 1);
    large[sizeof(large) - 1] = '\0';
    crash_begin(&line, "error");
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
        cmocka_unit_test(long_and_odd_texts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
