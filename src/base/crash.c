/* Everything here is safe in a signal handler but crash_prepare(): no lock, no allocation, nothing
 * of stdio or of the time zone. */
#include "base/crash.h"

#include "base/log.h"
#include "base/platform.h"

#include <stdatomic.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static _Atomic(long) utc_offset; /* seconds */

void crash_prepare(void)
{
    time_t now = time(NULL);
    struct tm tm;
    if (localtime_r(&now, &tm))
        atomic_store(&utc_offset, tm.tm_gmtoff);
}

/* In so many digits. */
static void put_digits(char *to, int64_t number, int n)
{
    for (; n > 0; number /= 10)
        to[--n] = (char)('0' + number % 10);
}

/* The date so many days after 1970-01-01, as YYYY-MM-DD. The years of an era of 400 are counted from
 * March, so that the day that some have is their last. */
static void put_date(char *to, int64_t days)
{
    int64_t since_march = days + 719468; /* of the year 0 */
    int64_t era = since_march / 146097, day = since_march % 146097;
    int64_t year = (day - day / 1460 + day / 36524 - day / 146096) / 365;
    int64_t day_of_year = day - (365 * year + year / 4 - year / 100);
    int64_t month = (5 * day_of_year + 2) / 153; /* from March on */
    int64_t number = month < 10 ? month + 3 : month - 9;
    put_digits(to, era * 400 + year + (number <= 2), 4);
    to[4] = to[7] = '-';
    put_digits(to + 5, number, 2);
    put_digits(to + 8, day_of_year - (153 * month + 2) / 5 + 1, 2);
}

void crash_stamp(char *to, int64_t seconds)
{
    enum { DAY = 86400 };
    int64_t second = seconds % DAY;
    put_date(to, seconds / DAY);
    to[10] = ' ';
    to[13] = to[16] = ':';
    put_digits(to + 11, second / 3600, 2);
    put_digits(to + 14, second / 60 % 60, 2);
    put_digits(to + 17, second % 60, 2);
}

void crash_begin(struct crash_line *line)
{
    static const char level[] = " error: ";
    crash_stamp(line->text, (int64_t)time(NULL) + atomic_load(&utc_offset));
    memcpy(line->text + CRASH_STAMP_LEN, level, sizeof(level) - 1);
    line->len = CRASH_STAMP_LEN + sizeof(level) - 1;
}

void crash_add(struct crash_line *line, const char *text)
{
    size_t room = sizeof(line->text) - line->len - 1; /* the last one is for the line's end */
    line->len += log_escape(line->text + line->len, room, text, strlen(text));
}

void crash_add_number(struct crash_line *line, size_t number)
{
    char digits[24];
    size_t at = sizeof(digits) - 1;
    digits[at] = '\0';
    do
        digits[--at] = (char)('0' + number % 10);
    while ((number /= 10) > 0);
    crash_add(line, digits + at);
}

void crash_write(struct crash_line *line)
{
    line->text[line->len++] = '\n';
    ssize_t done = write(STDERR_FILENO, line->text, line->len);
    (void)done; /* there is nobody left to tell */
}
