/* Times as text, by arithmetic alone. */
#include "base/stamp.h"

#include "base/platform.h"

#include <time.h>

/* In so many digits. */
static void put_digits(char *to, int64_t number, int n)
{
    for (; n > 0; number /= 10)
        to[--n] = (char)('0' + number % 10);
}

/* The date so many days after 1970-01-01, as YYYY-MM-DD. The years of an era of 400 are counted
 * from March, so that the day that some have is their last. */
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

void stamp_write(char *to, int64_t seconds, int ms)
{
    enum { DAY = 86400 };
    int64_t second = seconds % DAY;
    put_date(to, seconds / DAY);
    to[10] = 'T';
    to[13] = to[16] = ':';
    put_digits(to + 11, second / 3600, 2);
    put_digits(to + 14, second / 60 % 60, 2);
    put_digits(to + 17, second % 60, 2);
    to[19] = '.';
    put_digits(to + 20, ms, 3);
    to[23] = 'Z';
}

void stamp_now(char *to)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    stamp_write(to, now.tv_sec, (int)(now.tv_nsec / 1000000));
}
