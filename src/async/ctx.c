/* The switch of stacks as the rest of tepal sees it: the bare swap, and what ASan and TSan must be
 * told around it. */
#include "async/ctx.h"

#ifdef TEPAL_ASAN
#include <sanitizer/asan_interface.h>
#include <sanitizer/common_interface_defs.h>
#include <sanitizer/lsan_interface.h>
#endif
#ifdef TEPAL_TSAN
#include <sanitizer/tsan_interface.h>
#endif

#ifdef TEPAL_ASAN
/* The context that this thread has left last. */
static _Thread_local struct ctx *left;

static void asan_before(struct ctx *from, struct ctx *to, int leave)
{
    left = from;
    __sanitizer_start_switch_fiber(leave ? NULL : &from->fake_stack, to->low, to->size);
}
static void asan_after(struct ctx *ctx)
{
    __sanitizer_finish_switch_fiber(ctx->fake_stack, NULL, NULL);
}
#else
static inline void asan_before(struct ctx *from, struct ctx *to, int leave)
{
    (void)from;
    (void)to;
    (void)leave;
}
static inline void asan_after(struct ctx *ctx)
{
    (void)ctx;
}
#endif

#ifdef TEPAL_TSAN
/* Inlined: TSan counts the calls and returns of each fiber, and this would return on another
 * one. */
static inline __attribute__((always_inline)) void tsan_before(struct ctx *to)
{
    __tsan_switch_to_fiber(to->fiber, 0);
}
#else
static inline void tsan_before(struct ctx *to)
{
    (void)to;
}
#endif

void ctx_init_thread(struct ctx *ctx)
{
    *ctx = (struct ctx){ 0 };
#ifdef TEPAL_TSAN
    ctx->fiber = __tsan_get_current_fiber();
#endif
}

void ctx_end_thread(struct ctx *ctx)
{
    *ctx = (struct ctx){ 0 };
}

void ctx_init(struct ctx *ctx, void *low, size_t size, void (*fn)(void *), void *arg)
{
#ifdef TEPAL_ASAN
    /* Frames that an earlier task left for good are still poisoned. */
    ASAN_UNPOISON_MEMORY_REGION(low, size);
    ctx->fake_stack = NULL;
    ctx->low = low;
    ctx->size = size;
#endif
#ifdef TEPAL_TSAN
    ctx->fiber = __tsan_create_fiber(0);
#endif
    ctx->sp = ctx_prepare(low, (char *)low + size, fn, arg);
}

void ctx_end(struct ctx *ctx)
{
#ifdef TEPAL_TSAN
    __tsan_destroy_fiber(ctx->fiber);
#endif
    ctx->sp = NULL;
}

void ctx_keep_stack(const void *low, const void *end)
{
#ifdef TEPAL_ASAN
    __lsan_register_root_region(low, (size_t)((const char *)end - (const char *)low));
#else
    (void)low;
    (void)end;
#endif
}

void ctx_switch(struct ctx *from, struct ctx *to)
{
    asan_before(from, to, 0);
    tsan_before(to);
    ctx_swap(&from->sp, to->sp);
    asan_after(from);
}

_Noreturn void ctx_leave(struct ctx *from, struct ctx *to)
{
    asan_before(from, to, 1);
    tsan_before(to);
    ctx_swap(&from->sp, to->sp);
    __builtin_unreachable();
}

void ctx_entered(void)
{
#ifdef TEPAL_ASAN
    /* Also the way to learn where the thread's own stack is. */
    __sanitizer_finish_switch_fiber(NULL, &left->low, &left->size);
#endif
}
