/* Lines on their way to a descriptor: a bounded buffer for each, and the count of what did not fit.
 *
 * Nothing here waits. What cannot be written stays in the buffer and is tried again: by the next
 * line, by each loop at the end of a turn, and when the process ends. Any thread may call; a forked
 * child begins with empty buffers.
 */
#ifndef TEPAL_BASE_SINK_H
#define TEPAL_BASE_SINK_H

#include "base/platform.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct sink;

/* How many octets wait at most, by default and at least. */
enum { SINK_MAX_DEFAULT = 1024 * 1024, SINK_MAX_LEAST = 16 * 1024 };

/* How long the end of the process waits for a reader that stands still. */
enum { SINK_END_MS = 1000 };

/* Where lines for the descriptor go. That of 1 and 2 is the process's own, and its descriptor may
 * change. Of any other one a duplicate is made: when the program closes its own, the number may
 * become that of a connection. Returns 0, or a negative errno when memory or descriptors are short;
 * a descriptor that is not open is no failure. */
int sink_open(struct sink **sink, int fd);

/* That of standard error. */
struct sink *sink_of_errors(void);

/* Writes what can be written, and counts the rest as lost. NULL is allowed. */
void sink_close(struct sink *sink);

/* Takes a line, with its end, to be written with others in a moment. */
void sink_put(struct sink *sink, const char *line, size_t len);

/* Takes a line, and writes it at once if that is possible. */
void sink_write(struct sink *sink, const char *line, size_t len);

/* Bounds the buffers; see tepal_log_set_max_buffer(). */
void sink_set_max(size_t octets);

extern bool sink_waiting; /* lines may be waiting; see sink_is_waiting() */

/* Whether lines wait anywhere. */
static inline bool sink_is_waiting(void)
{
    return __atomic_load_n(&sink_waiting, __ATOMIC_RELAXED);
}

/* Writes what is due to be written, or, at once, everything. Returns in how many ms it has to be
 * called again, -1 when no lines wait. */
int64_t sink_flush(bool at_once);

/* Writes everything; where there is no room, waits for it at most so long. */
void sink_flush_within(int64_t ms);

/* In a signal handler, before the process ends: as sink_flush(), if that is possible, and then
 * text to standard error. */
void sink_last_words(const char *text, size_t len);

#endif
