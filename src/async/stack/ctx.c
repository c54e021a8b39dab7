/* The switch of stacks as the rest of tepal sees it: the bare swap, and what must be done around it
 * in some programs. In most there is nothing, and one flag says so. */
#include "async/stack/ctx.h"

#include "base/sanitizer.h"

#include <stdatomic.h>
#include <stdint.h>

/* What the C++ ABI calls __cxa_eh_globals: the exceptions that the running code has caught and not
 * left, and how many are on their way. */
struct cxx_exceptions {
    void *caught;
    unsigned n_uncaught;
};

struct cxx_exceptions *__cxa_get_globals(void) SANITIZER_WEAK;

enum around { AROUND_ASAN = 1, AROUND_TSAN = 2, AROUND_CXX = 4 };

/* What there is to do in this program, the same for all threads. */
static _Atomic(unsigned) around;

/* That of the thread, in C++; and the context that was left last, for AddressSanitizer. */
static _Thread_local struct cxx_exceptions *exceptions;
static _Thread_local struct ctx *left;

static inline unsigned to_do_around(void)
{
    return atomic_load_explicit(&around, memory_order_relaxed);
}

void ctx_init_thread(struct ctx *ctx)
{
    *ctx = (struct ctx){ 0 };
    unsigned found = 0;
    if (has_asan())
        found |= AROUND_ASAN;
    if (has_tsan()) {
        found |= AROUND_TSAN;
        ctx->checked_by = __tsan_get_current_fiber();
    }
    if (__cxa_get_globals) {
        found |= AROUND_CXX;
        exceptions = __cxa_get_globals();
    }
    atomic_store_explicit(&around, found, memory_order_relaxed);
}

void ctx_end_thread(struct ctx *ctx)
{
    *ctx = (struct ctx){ 0 };
}

static NO_INLINE void tell_of_new(struct ctx *ctx)
{
    if (to_do_around() & AROUND_ASAN)
        sanitizer_unpoison((void *)(uintptr_t)ctx->low, ctx->size);
    if (to_do_around() & AROUND_TSAN)
        ctx->checked_by = __tsan_create_fiber(0);
}

void ctx_init(struct ctx *ctx, void *low, size_t size, void (*fn)(void *), void *arg)
{
    ctx->low = low;
    ctx->size = size;
    ctx->checked_by = NULL;
    if (UNLIKELY(to_do_around() != 0))
        tell_of_new(ctx);
    ctx->sp = ctx_prepare(low, (char *)low + size, fn, arg);
}

void ctx_end(struct ctx *ctx)
{
    if (UNLIKELY(to_do_around() & AROUND_TSAN))
        __tsan_destroy_fiber(ctx->checked_by);
    ctx->sp = NULL;
}

void ctx_keep_stack(const void *low, const void *end)
{
    if (__lsan_register_root_region)
        __lsan_register_root_region(low, (size_t)((const char *)end - (const char *)low));
}

/* Inlined: TSan counts the calls and returns of each fiber, and this would return on another
 * one. */
static inline __attribute__((always_inline)) void tell_before(struct ctx *from, struct ctx *to,
                                                              bool for_good)
{
    unsigned what = to_do_around();
    if (what & AROUND_ASAN) {
        left = from;
        __sanitizer_start_switch_fiber(for_good ? NULL : &from->checked_by, to->low, to->size);
    }
    if (what & AROUND_TSAN)
        __tsan_switch_to_fiber(to->checked_by, 0);
}

static NO_INLINE void switch_with_care(struct ctx *from, struct ctx *to)
{
    struct cxx_exceptions kept = { 0 };
    if (to_do_around() & AROUND_CXX)
        kept = *exceptions;
    tell_before(from, to, false);
    ctx_swap(&from->sp, to->sp);
    if (to_do_around() & AROUND_ASAN)
        __sanitizer_finish_switch_fiber(from->checked_by, NULL, NULL);
    if (to_do_around() & AROUND_CXX)
        *exceptions = kept;
}

void ctx_switch(struct ctx *from, struct ctx *to)
{
    if (LIKELY(to_do_around() == 0))
        ctx_swap(&from->sp, to->sp);
    else
        switch_with_care(from, to);
}

static NO_INLINE void leave_with_care(struct ctx *from, struct ctx *to)
{
    tell_before(from, to, true);
    ctx_swap(&from->sp, to->sp);
}

_Noreturn void ctx_leave(struct ctx *from, struct ctx *to)
{
    if (LIKELY(to_do_around() == 0))
        ctx_swap(&from->sp, to->sp);
    else
        leave_with_care(from, to);
    __builtin_unreachable();
}

void ctx_entered(void)
{
    unsigned what = to_do_around();
    if (LIKELY(what == 0))
        return;
    if (what & AROUND_ASAN) /* also the way to learn where the thread's own stack is */
        __sanitizer_finish_switch_fiber(NULL, &left->low, &left->size);
    if (what & AROUND_CXX)
        *exceptions = (struct cxx_exceptions){ 0 };
}
