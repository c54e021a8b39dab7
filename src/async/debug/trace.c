/* Back-traces by the unwinder of the compiler's runtime library, names by the dynamic linker. */
#include "async/debug/trace.h"

#include "base/platform.h"

#include <dlfcn.h>
#include <link.h>
#include <stdio.h>
#include <unwind.h>

/* Which frames the trace begins behind. */
enum begin {
    BEGIN_AT_ONCE,
    BEGIN_BEHIND_FUNCTION,
    BEGIN_BEHIND_CALL_AS, /* that of ctx_call_as(), or of ctx_swap() with ucontext */
    BEGIN_BEHIND_SIGNAL,  /* those of the handler: with what the signal has interrupted */
};

struct collector {
    struct trace *trace;
    enum begin begin;
    uintptr_t function;
};

/* Whether the trace begins behind the frame of this function. */
static bool is_last_to_skip(const struct collector *c, uintptr_t function)
{
    if (c->begin == BEGIN_BEHIND_CALL_AS)
        return function == (uintptr_t)ctx_call_as || function == (uintptr_t)ctx_swap;
    return c->begin == BEGIN_BEHIND_FUNCTION && function == c->function;
}

static _Unwind_Reason_Code collect(struct _Unwind_Context *context, void *arg)
{
    struct collector *c = arg;
    int interrupted = 0;
    uintptr_t ip = _Unwind_GetIPInfo(context, &interrupted);
    if (ip == 0)
        return _URC_END_OF_STACK;
    if (c->begin == BEGIN_BEHIND_SIGNAL && interrupted)
        c->begin = BEGIN_AT_ONCE;
    if (c->begin != BEGIN_AT_ONCE) {
        if (is_last_to_skip(c, _Unwind_GetRegionStart(context)))
            c->begin = BEGIN_AT_ONCE;
        return _URC_NO_REASON;
    }
    if (c->trace->n == TRACE_MAX) {
        c->trace->cut = true;
        return _URC_END_OF_STACK;
    }
    /* Where a call returns to may be in the next line, or the next function. */
    c->trace->at[c->trace->n++] = interrupted ? ip : ip - 1;
    return _URC_NO_REASON;
}

static void unwind(struct trace *trace, enum begin begin, uintptr_t function)
{
    struct collector c = { .trace = trace, .begin = begin, .function = function };
    trace->n = 0;
    trace->cut = false;
    _Unwind_Backtrace(collect, &c);
}

void trace_here(struct trace *trace, uintptr_t function)
{
    unwind(trace, BEGIN_BEHIND_FUNCTION, function);
    if (trace->n == 0) /* the compiler has made more than one of it */
        unwind(trace, BEGIN_AT_ONCE, 0);
}

void trace_interrupted(struct trace *trace)
{
    unwind(trace, BEGIN_BEHIND_SIGNAL, 0);
}

static void unwind_left(void *arg)
{
    unwind(arg, BEGIN_BEHIND_CALL_AS, 0);
}

void trace_left(struct trace *trace, const struct ctx *ctx, void *low)
{
    trace->n = 0;
    trace->cut = false;
    (void)ctx_call_as(ctx->sp, low, unwind_left, trace);
}

void trace_prepare(void)
{
    struct trace trace;
    unwind(&trace, BEGIN_AT_ONCE, 0);
}

void trace_describe(uintptr_t at, char *text, size_t size)
{
    Dl_info info;
    struct link_map *object = NULL;
    void *where = (void *)at;
    if (!dladdr1(where, &info, (void **)&object, RTLD_DL_LINKMAP) || !object)
        snprintf(text, size, "0x%zx", (size_t)at);
    else if (!info.dli_sname)
        snprintf(text, size, "0x%zx (%s+0x%zx)", (size_t)at, info.dli_fname,
                 (size_t)(at - object->l_addr));
    else
        snprintf(text, size, "0x%zx %s+0x%zx (%s+0x%zx)", (size_t)at, info.dli_sname,
                 (size_t)(at - (uintptr_t)info.dli_saddr), info.dli_fname,
                 (size_t)(at - object->l_addr));
}
