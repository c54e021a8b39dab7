/* Tests of the times in the log. */
#include "../check.h"

#include "base/stamp.h"

#include <time.h>

static void dates(void **state)
{
    (void)state;
    char stamp[STAMP_LEN + 1] = "", expected[64], date[32];
    for (int64_t at = 0; at < (int64_t)4e9; at += 86400 * 7 / 3 + 12345) {
        time_t seconds = (time_t)at;
        int ms = (int)(at % 1000);
        struct tm tm;
        gmtime_r(&seconds, &tm);
        strftime(date, sizeof(date), "%Y-%m-%dT%H:%M:%S", &tm);
        snprintf(expected, sizeof(expected), "%s.%03dZ", date, ms);
        stamp_write(stamp, at, ms);
        assert_string_equal(stamp, expected);
    }
    stamp_write(stamp, 951782399, 999);
    assert_string_equal(stamp, "2000-02-28T23:59:59.999Z");
    stamp_write(stamp, 951782400, 0);
    assert_string_equal(stamp, "2000-02-29T00:00:00.000Z");
    stamp_write(stamp, 253402300799, 7);
    assert_string_equal(stamp, "9999-12-31T23:59:59.007Z");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(dates),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
