/* Where tepal says what it has to say to the person who runs the program. */
#ifndef TEPAL_LOG_H
#define TEPAL_LOG_H

#include <tepal/base.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef enum tepal_log_level {
    TEPAL_LOG_DEBUG = 1,
    TEPAL_LOG_INFO,
    TEPAL_LOG_WARNING,
    TEPAL_LOG_ERROR,
    TEPAL_LOG_NONE, /* as a threshold: nothing at all */
} tepal_log_level;

/* Receives one log line: text has no line end and no control characters. Called on the thread that
 * logs; must not suspend. */
typedef void tepal_log_fn(tepal_log_level level, const char *text, void *arg);

/* Writes a line to the log: a text as it is, or formatted as by printf. What a peer sent cannot
 * forge a line, nor disturb a terminal: the octets of control characters (line ends among them,
 * also U+0085, U+2028 and U+2029), of characters that turn the direction of writing, and those that
 * are no UTF-8 are written as \xNN. Lines over 4 KiB are cut. A text or a format that is NULL makes
 * a line that says so, and NULL for a %s is written as "(null)". Never suspends; may be called from
 * any thread, also before and after a loop runs, but not in a signal handler.
 *
 * The default log is standard error: the time in UTC (ISO 8601), the level and the text, as in
 *     2026-11-27T09:00:01.123Z warning: the text
 *
 * The log never holds up the program. No line waits for a reader: what cannot be written, since a
 * pipe's reader or a terminal stands still, a disk is full or a file has reached its limit, is kept
 * in a buffer, and tried again after a moment. Lines for which there is no room in that are
 * counted, and a line says how many were lost as soon as writing is possible again. Neither SIGPIPE
 * nor SIGXFSZ is raised. Lines are whole, also those that several processes write into one file
 * that is open for appending, or into one pipe. When the process ends by exit() or a return from
 * main(), it waits up to a second for a reader that stands still. (A disk that is slow is waited
 * for, as by any write to a file.) */
TEPAL_API void tepal_log(tepal_log_level level, const char *text);
TEPAL_API void tepal_logf(tepal_log_level level, const char *format, ...) TEPAL_PRINTF(2, 3);

/* Lines below this level are dropped. Default TEPAL_LOG_INFO. Process-wide: set it before threads
 * start. */
TEPAL_API void tepal_log_set_level(tepal_log_level level);

/* Sends log lines to fn instead of standard error; NULL for standard error again. Process-wide: set
 * it before threads start. */
TEPAL_API void tepal_log_set_fn(tepal_log_fn *fn, const void *arg);

/* How many octets of lines that cannot be written yet are kept, for each descriptor that is logged
 * to, those of access logs too; more are lost. Default (0) 1 MiB, at least 16 KiB; TEPAL_UNLIMITED:
 * as many as there is memory for. Process-wide; any thread may call it. */
TEPAL_API void tepal_log_set_max_buffer(size_t octets);

#ifdef __cplusplus
}
#endif
#endif
