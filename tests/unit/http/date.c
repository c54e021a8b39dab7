/* Tests of HTTP dates (RFC 9110 section 5.6.7). */
#include "http/date.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#define NOW_2026 INT64_C(1795305600) /* 2026-11-22 00:00:00 */

static int parse(const char *text, size_t len, int64_t now, int64_t *unix_time)
{
    char *copy = malloc(len ? len : 1);
    memcpy(copy, text, len);
    int rc = http_date_parse(copy, len, now, unix_time);
    free(copy);
    return rc;
}

static void good_dates(void **state)
{
    static const struct {
        const char *text;
        int64_t unix_time;
    } rows[] = {
        { "Sun, 06 Nov 1994 08:49:37 GMT", 784111777 },
        { "Sunday, 06-Nov-94 08:49:37 GMT", 784111777 },
        { "Sun Nov  6 08:49:37 1994", 784111777 },
        { "Sun Nov 16 08:49:37 1994", 784975777 },
        { "Sun Nov 06 08:49:37 1994", 784111777 }, /* date3 may have two digits for any day */
        { "Thu, 01 Jan 1970 00:00:00 GMT", 0 },
        { "Wed, 31 Dec 1969 23:59:59 GMT", -1 },
        { "Thu, 29 Feb 2024 12:00:00 GMT", 1709208000 },
        { "Tue, 29 Feb 2000 00:00:00 GMT", 951782400 },
        { "Fri, 31 Dec 9999 23:59:59 GMT", 253402300799 },
        { "Sat, 31 Dec 2016 23:59:60 GMT", 1483228800 }, /* a leap second */
        { "Mon, 06 Nov 1994 08:49:37 GMT", 784111777 },  /* was a Sunday; it does not matter */
        { "Sat, 01 Jan 0000 00:00:00 GMT", -62167219200 },
        { "Friday, 01-Jan-76 00:00:00 GMT", 3345062400 }, /* 2076: less than 50 years ahead */
        { "Sunday, 22-Nov-76 00:00:00 GMT", 3373228800 }, /* 50 years to the second */
        { "Monday, 22-Nov-76 00:00:01 GMT", 217468801 },  /* more: 1976 */
        { "Saturday, 01-Jan-77 00:00:00 GMT", 220924800 },
        { "Wednesday, 01-Jan-25 00:00:00 GMT", 1735689600 },
        { "Saturday, 01-Jan-00 00:00:00 GMT", 946684800 },
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        int64_t unix_time = 12345;
        if (parse(rows[i].text, strlen(rows[i].text), NOW_2026, &unix_time) != 0)
            fail_msg("%s is refused", rows[i].text);
        if (unix_time != rows[i].unix_time)
            fail_msg("%s is %lld", rows[i].text, (long long)unix_time);
    }
}

static void bad_dates(void **state)
{
    static const char *const rows[] = {
        "",
        "yesterday",
        "0",
        "Sun, 06 Nov 1994 08:49:37",
        "Sun, 06 Nov 1994 08:49:37 UTC",
        "Sun, 06 Nov 1994 08:49:37 gmt",
        "Sun, 06 Nov 1994 08:49:37 GMT ",
        " Sun, 06 Nov 1994 08:49:37 GMT",
        "Sun, 06 Nov 1994 08:49:37 +0000",
        "sun, 06 Nov 1994 08:49:37 GMT",
        "Sun, 06 nov 1994 08:49:37 GMT",
        "Xxx, 06 Nov 1994 08:49:37 GMT",
        "Sun, 06 Xxx 1994 08:49:37 GMT",
        "Sun, 00 Nov 1994 08:49:37 GMT",
        "Sun, 31 Nov 1994 08:49:37 GMT",
        "Sun, 29 Feb 1994 08:49:37 GMT",
        "Sun, 29 Feb 1900 08:49:37 GMT",
        "Sun, 32 Jan 1994 08:49:37 GMT",
        "Sun, 6 Nov 1994 08:49:37 GMT",
        "Sun,  6 Nov 1994 08:49:37 GMT",
        "Sun, 06 Nov 1994 24:00:00 GMT",
        "Sun, 06 Nov 1994 08:60:00 GMT",
        "Sun, 06 Nov 1994 08:49:61 GMT",
        "Sun, 06 Nov 1994 08.49.37 GMT",
        "Sun, 06 Nov 1994 -8:49:37 GMT",
        "Sun, 06 Nov 1994 08:+9:37 GMT",
        "Sun, 06 Nov -994 08:49:37 GMT",
        "Sun, 06-Nov-1994 08:49:37 GMT",
        "Sun, 06 Nov 94 08:49:37 GMT",
        "Sun, \xd9\xa0\xd9\xa6 Nov 1994 08:49:37 GMT",
        "Sun, 06 Nov 199\xb2 08:49:37 GMT",
        "Sun, 06-Nov-94 08:49:37 GMT",
        "Sunday, 06 Nov 94 08:49:37 GMT",
        "Sunday, 06-Nov-1994 08:49:37 GMT",
        "Sunday, 06-Nov-+4 08:49:37 GMT",
        "Sunday 06-Nov-94 08:49:37 GMT",
        "Sundays, 06-Nov-94 08:49:37 GMT",
        ", 06-Nov-94 08:49:37 GMT",
        "Sun Nov 6 08:49:37 1994",
        "Sun Nov  0 08:49:37 1994",
        "Sun Nov  6 08:49:37 94",
        "Sun Nov  6 08:49:37 1994 ",
        "Sun Nov  6 08:49:37 19x4",
        "1994-11-06T08:49:37Z",
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        int64_t unix_time = 12345;
        if (parse(rows[i], strlen(rows[i]), NOW_2026, &unix_time) != -EINVAL)
            fail_msg("%s is taken", rows[i]);
        assert_int_equal(unix_time, 12345);
    }
}

/* A NUL, or the text cut short or made longer, is refused at every place. */
static void cut_dates(void **state)
{
    static const char *const texts[] = { "Sun, 06 Nov 1994 08:49:37 GMT",
                                         "Sunday, 06-Nov-94 08:49:37 GMT",
                                         "Sun Nov  6 08:49:37 1994" };
    (void)state;
    for (size_t i = 0; i < 3; i++) {
        size_t len = strlen(texts[i]);
        int64_t unix_time;
        for (size_t cut = 0; cut < len; cut++) {
            char damaged[64];
            assert_int_equal(parse(texts[i], cut, 0, &unix_time), -EINVAL);
            memcpy(damaged, texts[i], len);
            damaged[cut] = '\0';
            assert_int_equal(parse(damaged, len, 0, &unix_time), -EINVAL);
        }
    }
}

/* Against the C library, over the years 1970 to 9999, and back. */
static void write_and_back(void **state)
{
    (void)state;
    for (int64_t t = 0; t < INT64_C(253402300800); t += INT64_C(86400) * 11 + 12345) {
        char ours[HTTP_DATE_LEN + 1], libc[64];
        time_t seconds = (time_t)t;
        struct tm tm;
        int64_t back;
        http_date_write(ours, t);
        gmtime_r(&seconds, &tm);
        strftime(libc, sizeof libc, "%a, %d %b %Y %H:%M:%S GMT", &tm);
        assert_string_equal(ours, libc);
        assert_int_equal(parse(ours, HTTP_DATE_LEN, 0, &back), 0);
        assert_int_equal(back, t);
    }
}

static void clamped(void **state)
{
    static const struct {
        int64_t unix_time;
        const char *text;
    } rows[] = {
        { 0, "Thu, 01 Jan 1970 00:00:00 GMT" },
        { -1, "Thu, 01 Jan 1970 00:00:00 GMT" },
        { INT64_MIN, "Thu, 01 Jan 1970 00:00:00 GMT" },
        { 253402300799, "Fri, 31 Dec 9999 23:59:59 GMT" },
        { 253402300800, "Fri, 31 Dec 9999 23:59:59 GMT" },
        { INT64_MAX, "Fri, 31 Dec 9999 23:59:59 GMT" },
        { 951782400, "Tue, 29 Feb 2000 00:00:00 GMT" },
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        char text[HTTP_DATE_LEN + 1];
        http_date_write(text, rows[i].unix_time);
        assert_string_equal(text, rows[i].text);
    }
}

/* Any now will do. */
static void extreme_now(void **state)
{
    static const int64_t nows[] = { INT64_MIN, -1, 0, INT64_C(253402300799), INT64_MAX };
    static const int64_t years[] = { 1994, 1994, 1994, 9994, 9994 };
    (void)state;
    for (size_t i = 0; i < 5; i++) {
        char text[HTTP_DATE_LEN + 1];
        int64_t unix_time;
        assert_int_equal(parse("Sunday, 06-Nov-94 08:49:37 GMT", 30, nows[i], &unix_time), 0);
        http_date_write(text, unix_time);
        assert_int_equal(strtol(text + 12, NULL, 10), years[i]);
    }
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(good_dates), cmocka_unit_test(bad_dates),
        cmocka_unit_test(cut_dates),  cmocka_unit_test(write_and_back),
        cmocka_unit_test(clamped),    cmocka_unit_test(extreme_now),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
