/* Switching from one stack to another.
 *
 * A context is where a stack was left. ctx_<arch>.S or ctx_ucontext.c does the switch; ctx.c does
 * what else there is to do around it: it tells the sanitizers of the program, and changes the C++
 * exceptions that are being handled, which the C++ runtime keeps for each thread.
 */
#ifndef TEPAL_ASYNC_STACK_CTX_H
#define TEPAL_ASYNC_STACK_CTX_H

#include "base/platform.h"

#include <stdbool.h>
#include <stddef.h>

struct ctx {
    void *sp; /* where the stack was left; with ucontext, the ucontext_t at the stack's end */
    const void *low; /* the stack; NULL: that of the thread, which AddressSanitizer tells */
    size_t size;
    void *checked_by; /* what the sanitizer has for this stack: the fake stack, or the fiber */
};

/* Makes ctx the current thread's own stack. It is left by the first switch away from it. */
void ctx_init_thread(struct ctx *ctx);
void ctx_end_thread(struct ctx *ctx);

/* Makes ctx a fresh one that will call fn(arg) on the stack [low, low + size). fn must not return:
 * it ends by ctx_leave(). Returns the same again for a stack that has been left for good. */
void ctx_init(struct ctx *ctx, void *low, size_t size, void (*fn)(void *), void *arg);

/* Forgets a context that has been left for good. */
void ctx_end(struct ctx *ctx);

/* Saves the current context in from, and goes on in to. */
void ctx_switch(struct ctx *from, struct ctx *to);

/* As ctx_switch(), never to come back to from. */
_Noreturn void ctx_leave(struct ctx *from, struct ctx *to);

/* Nobody will go on on this stack, but what lies there, and what that points to, is still in
 * use. */
void ctx_keep_stack(const void *low, const void *end);

/* To be called first on a fresh stack. */
void ctx_entered(void);

/* --- What ctx_<arch>.S or ctx_ucontext.c provides --------------------------------------------- */

/* Saves the callee-saved state on this stack and its place in *save, and restores that at to. */
void ctx_swap(void **save, void *to);

/* Calls fn(arg), in which an unwinder sees this frame, and then those of the stack that was left at
 * sp and whose lowest octet is low. The stack must have begun. Returns false, and does not call,
 * when it cannot be done: with ucontext where the stack is nearly full, or under a sanitizer. */
bool ctx_call_as(void *sp, void *low, void (*fn)(void *), void *arg);

/* Lays out a stack, whose end is top, such that the first swap to the result calls fn(arg). */
void *ctx_prepare(void *low, void *top, void (*fn)(void *), void *arg);

#endif
