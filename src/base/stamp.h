/* The time at the beginning of a line of the log: UTC, ISO 8601, with milliseconds, such as
 * 2026-11-27T09:00:01.123Z. It asks neither for the time zone nor for a lock: it is safe in a
 * signal handler and in a forked child. */
#ifndef TEPAL_BASE_STAMP_H
#define TEPAL_BASE_STAMP_H

#include <stdint.h>

enum { STAMP_LEN = 24 };

/* Writes the time so many seconds, and ms, after 1970, without a NUL; up to the year 9999. */
void stamp_write(char *to, int64_t seconds, int ms);

/* The same for the present time. */
void stamp_now(char *to);

#endif
