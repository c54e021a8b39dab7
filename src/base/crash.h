/* A line for standard error that looks like one of the log, from where next to nothing may be
 * called: a signal handler. */
#ifndef TEPAL_BASE_CRASH_H
#define TEPAL_BASE_CRASH_H

#include <stddef.h>

struct crash_line {
    char text[512];
    size_t len;
};

/* Begins a line with the time and this level: "error". */
void crash_begin(struct crash_line *line, const char *level);

/* Adds a text, with control octets as \xNN, or a number. What is too much is cut. */
void crash_add(struct crash_line *line, const char *text);
void crash_add_number(struct crash_line *line, size_t number);

/* Writes what waits of the logs, and the line to standard error. */
void crash_write(struct crash_line *line);

#endif
