/* The swap of stacks for every other architecture, by the C library's ucontext. It costs two system
 * calls a switch, for the signal mask. */
#include "async/ctx.h"

#include <signal.h>
#include <stdint.h>
#include <string.h>
#include <ucontext.h>

struct start {
    void (*fn)(void *);
    void *arg;
};

static void enter(unsigned high, unsigned low)
{
    struct start *start = (struct start *)((uintptr_t)high << 32 | low);
    start->fn(start->arg);
}

void ctx_swap(void **save, void *to)
{
    ucontext_t here, *there = to;
    *save = &here;
    /* The mask is the thread's, not one for each stack as swapcontext() has it. */
    pthread_sigmask(SIG_BLOCK, NULL, &there->uc_sigmask);
    swapcontext(&here, there);
}

void *ctx_prepare(void *low, void *top, void (*fn)(void *), void *arg)
{
    uintptr_t at = ((uintptr_t)top - sizeof(ucontext_t)) & ~(uintptr_t)63;
    ucontext_t *context = (ucontext_t *)at;
    struct start *start = (struct start *)((at - sizeof(*start)) & ~(uintptr_t)15);
    *start = (struct start){ .fn = fn, .arg = arg };
    getcontext(context);
    context->uc_stack.ss_sp = low;
    context->uc_stack.ss_size = (size_t)((char *)start - (char *)low);
    context->uc_link = NULL;
    makecontext(context, (void (*)(void))(uintptr_t)enter, 2, (unsigned)((uintptr_t)start >> 32),
                (unsigned)((uintptr_t)start & 0xffffffffu));
    return context;
}
