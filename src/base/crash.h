/* A line for standard error that looks like one of the log, from where next to nothing may be called:
 * a signal handler. */
#ifndef TEPAL_BASE_CRASH_H
#define TEPAL_BASE_CRASH_H

#include <stddef.h>
#include <stdint.h>

enum { CRASH_STAMP_LEN = 19 };

struct crash_line {
    char text[512];
    size_t len;
};

/* Notes how far local time is from UTC now: a handler cannot find out. */
void crash_prepare(void);

/* Writes so many seconds after 1970 to to, as YYYY-MM-DD hh:mm:ss, without a NUL. */
void crash_stamp(char *to, int64_t seconds);

/* Begins a line with the time and the level error. */
void crash_begin(struct crash_line *line);

/* Adds a text, with control octets as \xNN, or a number. What is too much is cut. */
void crash_add(struct crash_line *line, const char *text);
void crash_add_number(struct crash_line *line, size_t number);

/* Writes the line to standard error. */
void crash_write(struct crash_line *line);

#endif
