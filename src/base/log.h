/* The log's inner side: escaping, and the end of a program that uses the API wrongly. */
#ifndef TEPAL_BASE_LOG_H
#define TEPAL_BASE_LOG_H

#include "base/platform.h"

#include <tepal/log.h>

#include <stddef.h>

/* Writes in[0..len) to out with control octets as \xNN, cut to size - 1 octets, with a NUL. Returns
 * the length. */
size_t log_escape(char *out, size_t size, const char *in, size_t len);

/* Ends the program with a line of the level error that names the call: for wrong use of the API,
 * which no run of a right program can reach. */
_Noreturn void misuse(const char *call, const char *what);

/* Ends it where a call is given no place for what it makes. */
static inline void need_place(const char *call, const void *place)
{
    if (UNLIKELY(!place))
        misuse(call, "there is no place for the result");
}

#endif
