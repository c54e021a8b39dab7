/* Where tepal says what it has to say to the person who runs the program. */
#ifndef TEPAL_LOG_H
#define TEPAL_LOG_H

#include <tepal/base.h>

#ifdef __cplusplus
extern "C" {
#endif

enum tepal_log_level {
    TEPAL_LOG_DEBUG = 1,
    TEPAL_LOG_INFO,
    TEPAL_LOG_WARNING,
    TEPAL_LOG_ERROR,
    TEPAL_LOG_NONE, /* as a threshold: nothing at all */
};

/* Receives one log line: text has no line end and no control octets. Called on the thread that
 * logs; must not suspend. */
typedef void tepal_log_fn(void *arg, enum tepal_log_level level, const char *text);

/* Writes a line to the log, formatted as by printf. Control octets (line ends among them) are
 * written as \xNN, so that what a peer sent cannot forge a line. Lines over 4 KiB are cut. Never
 * suspends; may be called from any thread. The default log is standard error. */
TEPAL_API void tepal_log(enum tepal_log_level level, const char *format, ...) TEPAL_PRINTF(2, 3);

/* Lines below this level are dropped. Default TEPAL_LOG_INFO. Process-wide: set it before threads
 * start. */
TEPAL_API void tepal_log_set_level(enum tepal_log_level level);

/* Sends log lines to fn instead of standard error; NULL for standard error again. Process-wide: set
 * it before threads start. */
TEPAL_API void tepal_log_set(tepal_log_fn *fn, void *arg);

#ifdef __cplusplus
}
#endif
#endif
