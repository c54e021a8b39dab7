/* Back-traces: of the code that runs, of a stack that has been left, and of code that a signal has
 * interrupted. */
#ifndef TEPAL_ASYNC_DEBUG_TRACE_H
#define TEPAL_ASYNC_DEBUG_TRACE_H

#include "async/stack/ctx.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { TRACE_MAX = 64 };

struct trace {
    uintptr_t at[TRACE_MAX]; /* the calls, the innermost first */
    size_t n;
    bool cut; /* there were more */
};

/* The back-trace of the caller of this function (one that is not inlined), which the present call
 * comes from. */
void trace_here(struct trace *trace, uintptr_t function);

/* In the handler of a signal: the back-trace of what it has interrupted, on whatever stack. */
void trace_interrupted(struct trace *trace);

/* Of a stack that has begun and been left, whose lowest octet is low. Nothing when it cannot be
 * had; see ctx_call_as(). */
void trace_left(struct trace *trace, const struct ctx *ctx, void *low);

/* The unwinder's own preparations, which must not be made in a signal handler. */
void trace_prepare(void);

/* Writes a line about one of at: "0x... name+0x... (object+0x...)". */
void trace_describe(uintptr_t at, char *text, size_t size);

#endif
