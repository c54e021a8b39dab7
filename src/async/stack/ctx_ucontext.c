/* The swap of stacks for every other architecture, by the C library's ucontext. It costs two system
 * calls a switch, for the signal mask. */
#include "async/stack/ctx.h"

#include "base/sanitizer.h"

#include <signal.h>
#include <stdint.h>
#include <string.h>
#include <ucontext.h>

struct start {
    void (*fn)(void *);
    void *arg;
};

/* What ctx_call_as() has the stack that it switches to do. */
struct errand {
    void (*fn)(void *);
    void *arg;
    ucontext_t *back;
};

static _Thread_local struct errand *errand;

static void enter(unsigned high, unsigned low)
{
    struct start *start = (struct start *)((uintptr_t)high << 32 | low);
    start->fn(start->arg);
}

/* The mask is the thread's, not one for each stack as swapcontext() has it. */
static void swap(ucontext_t *here, ucontext_t *there)
{
    pthread_sigmask(SIG_BLOCK, NULL, &there->uc_sigmask);
    swapcontext(here, there);
}

void ctx_swap(void **save, void *to)
{
    ucontext_t here;
    *save = &here;
    swap(&here, to);
    while (errand) {
        struct errand *e = errand;
        errand = NULL;
        e->fn(e->arg);
        swap(&here, e->back);
    }
}

bool ctx_call_as(void *sp, void *low, void (*fn)(void *), void *arg)
{
    if (has_asan() || has_tsan())
        return false; /* they would have to be told of the switch, from a frame that they know */
    /* It is done on that stack, which must have the room. */
    enum { ROOM = 12 * 1024 };
    if ((char *)sp - (char *)low < ROOM)
        return false;
    ucontext_t here;
    errand = &(struct errand){ .fn = fn, .arg = arg, .back = &here };
    swap(&here, sp);
    return true;
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
