/* HTTP dates, by integer arithmetic on the proleptic Gregorian calendar. It owns the three formats
 * of RFC 9110 section 5.6.7; it never asks for the time, the time zone or the locale. */
#include "http/date.h"

#include "http/octet.h"

#include <errno.h>
#include <string.h>

#define DAY 86400
#define YEAR_10000 INT64_C(253402300800)

static const char day_names[7][10] = { "Sunday",   "Monday", "Tuesday", "Wednesday",
                                       "Thursday", "Friday", "Saturday" };
static const char months[12][4] = { "Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                    "Jul", "Aug", "Sep", "Oct", "Nov", "Dec" };

struct date {
    int year, month, day; /* month 1 to 12 */
    int hour, minute, second;
};

/* Days from 1970-01-01 to a date. Years begin in March, so that the leap day is their last, and 400
 * of them are an era of 146097 days. */
static int64_t days_from_date(int year, int month, int day)
{
    int64_t y = month > 2 ? year : year - 1;
    int64_t era = (y >= 0 ? y : y - 399) / 400;
    int64_t year_of_era = y - era * 400;
    int64_t day_of_year = (153 * (month > 2 ? month - 3 : month + 9) + 2) / 5 + day - 1;
    return era * 146097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year -
           719468;
}

/* The reverse, for days >= 0. */
static void date_from_days(int64_t days, struct date *date)
{
    int64_t n = days + 719468, era = n / 146097, day_of_era = n % 146097;
    int64_t year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36524 - day_of_era / 146096) / 365;
    int64_t day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    int64_t month = (5 * day_of_year + 2) / 153; /* from March */
    date->day = (int)(day_of_year - (153 * month + 2) / 5 + 1);
    date->month = (int)(month < 10 ? month + 3 : month - 9);
    date->year = (int)(era * 400 + year_of_era + (date->month <= 2));
}

static void write_2(char *out, int value)
{
    out[0] = (char)('0' + value / 10);
    out[1] = (char)('0' + value % 10);
}

void http_date_write(char *out, int64_t unix_time)
{
    if (unix_time < 0)
        unix_time = 0;
    if (unix_time >= YEAR_10000)
        unix_time = YEAR_10000 - 1;
    int64_t days = unix_time / DAY;
    int seconds = (int)(unix_time % DAY);
    struct date date;
    date_from_days(days, &date);
    memcpy(out, "Sun, 06 Nov 1994 08:49:37 GMT", HTTP_DATE_LEN + 1);
    memcpy(out, day_names[(days + 4) % 7], 3);
    write_2(out + 5, date.day);
    memcpy(out + 8, months[date.month - 1], 3);
    write_2(out + 12, date.year / 100);
    write_2(out + 14, date.year % 100);
    write_2(out + 17, seconds / 3600);
    write_2(out + 20, seconds / 60 % 60);
    write_2(out + 23, seconds % 60);
}

/* The number that width digits at p are, or -1. */
static int number(const char *p, int width)
{
    int n = 0;
    for (int i = 0; i < width; i++) {
        if (!octet_is(p[i], OCTET_DIGIT))
            return -1;
        n = n * 10 + (p[i] - '0');
    }
    return n;
}

/* The number of the month at p, or 0. */
static int month_number(const char *p)
{
    for (int i = 0; i < 12; i++)
        if (memcmp(p, months[i], 3) == 0)
            return i + 1;
    return 0;
}

/* Whether the 3 octets at p abbreviate a day. Which day the date was is not compared: a wrong one
 * is a mistake of the sender that changes nothing. */
static bool is_day_name(const char *p)
{
    for (int i = 0; i < 7; i++)
        if (memcmp(p, day_names[i], 3) == 0)
            return true;
    return false;
}

/* Fills in the time of day from "08:49:37". */
static bool parse_time(const char *p, struct date *date)
{
    if (p[2] != ':' || p[5] != ':')
        return false;
    date->hour = number(p, 2);
    date->minute = number(p + 3, 2);
    date->second = number(p + 6, 2);
    return true;
}

/* "Sun, 06 Nov 1994 08:49:37 GMT" */
static bool parse_imf_fixdate(const char *p, size_t len, struct date *date)
{
    if (len != HTTP_DATE_LEN || !is_day_name(p) || p[3] != ',' || p[4] != ' ' || p[7] != ' ' ||
        p[11] != ' ' || p[16] != ' ' || memcmp(p + 25, " GMT", 4) != 0)
        return false;
    date->day = number(p + 5, 2);
    date->month = month_number(p + 8);
    date->year = number(p + 12, 4);
    return parse_time(p + 17, date);
}

/* "Sun Nov  6 08:49:37 1994" */
static bool parse_asctime(const char *p, size_t len, struct date *date)
{
    if (len != 24 || !is_day_name(p) || p[3] != ' ' || p[7] != ' ' || p[10] != ' ' || p[19] != ' ')
        return false;
    date->month = month_number(p + 4);
    date->day = p[8] == ' ' ? number(p + 9, 1) : number(p + 8, 2);
    date->year = number(p + 20, 4);
    return parse_time(p + 11, date);
}

/* "Sunday, 06-Nov-94 08:49:37 GMT", with the last two digits of the year. */
static bool parse_rfc850(const char *p, size_t len, struct date *date)
{
    const char *comma = memchr(p, ',', len);
    size_t name_len = comma ? (size_t)(comma - p) : 0;
    bool day_name = false;
    for (int i = 0; i < 7; i++)
        day_name |= strlen(day_names[i]) == name_len && memcmp(p, day_names[i], name_len) == 0;
    if (!day_name || len - name_len != 24)
        return false;
    p = comma;
    if (p[1] != ' ' || p[4] != '-' || p[8] != '-' || p[11] != ' ' || memcmp(p + 20, " GMT", 4) != 0)
        return false;
    date->day = number(p + 2, 2);
    date->month = month_number(p + 5);
    date->year = number(p + 9, 2);
    return parse_time(p + 12, date) && date->year >= 0;
}

static int days_in_month(int year, int month)
{
    static const int days[12] = { 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31 };
    bool leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    return days[month - 1] + (month == 2 && leap);
}

/* The Unix time of a date; second 60 is a leap second, the first one of the next minute here. */
static int to_unix_time(const struct date *date, int64_t *unix_time)
{
    if (date->year < 0 || date->month < 1 || date->day < 1 ||
        date->day > days_in_month(date->year, date->month) || date->hour < 0 || date->hour > 23 ||
        date->minute < 0 || date->minute > 59 || date->second < 0 || date->second > 60)
        return -EINVAL;
    *unix_time = days_from_date(date->year, date->month, date->day) * DAY + date->hour * 3600 +
                 date->minute * 60 + date->second;
    return 0;
}

/* A year of two digits is the last such year with which the date is not more than 50 years in the
 * future. */
static int settle_century(struct date *date, int64_t now, int64_t *unix_time)
{
    struct date limit;
    int64_t days = now < 0 ? 0 : now >= YEAR_10000 ? YEAR_10000 / DAY - 1 : now / DAY;
    date_from_days(days, &limit);
    limit.year = limit.year < 9950 ? limit.year + 50 : 9999;
    int64_t latest = days_from_date(limit.year, limit.month, limit.day) * DAY + now % DAY;
    date->year += limit.year - limit.year % 100;
    if (date->year > limit.year)
        date->year -= 100;
    int rc = to_unix_time(date, unix_time);
    if (rc == 0 && *unix_time > latest) {
        date->year -= 100;
        rc = to_unix_time(date, unix_time);
    }
    return rc;
}

int http_date_parse(const char *text, size_t len, int64_t now, int64_t *unix_time)
{
    struct date date;
    if (parse_imf_fixdate(text, len, &date) || parse_asctime(text, len, &date))
        return to_unix_time(&date, unix_time);
    if (parse_rfc850(text, len, &date))
        return settle_century(&date, now, unix_time);
    return -EINVAL;
}
