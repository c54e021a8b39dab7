/* The first frame of a fresh stack, as ctx_swap() of each architecture expects to find it. */
#include "async/stack/ctx.h"

#include <stdint.h>
#include <string.h>

extern void ctx_entry(void);

#if defined(__x86_64__)
void *ctx_prepare(void *low, void *top, void (*fn)(void *), void *arg)
{
    (void)low;
    /* ctx_entry() begins with rsp aligned to 16, so that its call pushes what the ABI expects. */
    uintptr_t *frame = (uintptr_t *)((uintptr_t)top & ~(uintptr_t)15) - 8;
    uint32_t mxcsr = 0;
    uint16_t x87 = 0;
    __asm__ volatile("stmxcsr %0\n\tfnstcw %1" : "=m"(mxcsr), "=m"(x87));
    frame[0] = (uintptr_t)x87 << 32 | mxcsr;
    memset(&frame[1], 0, 6 * sizeof(*frame));
    frame[4] = (uintptr_t)fn;  /* r12 */
    frame[3] = (uintptr_t)arg; /* r13 */
    frame[7] = (uintptr_t)ctx_entry;
    return frame;
}
#elif defined(__aarch64__)
void *ctx_prepare(void *low, void *top, void (*fn)(void *), void *arg)
{
    (void)low;
    uintptr_t *frame = (uintptr_t *)((uintptr_t)top & ~(uintptr_t)15) - 22;
    uint64_t fpcr = 0;
    __asm__ volatile("mrs %0, fpcr" : "=r"(fpcr));
    memset(frame, 0, 22 * sizeof(*frame));
    frame[0] = (uintptr_t)fn;  /* x19 */
    frame[1] = (uintptr_t)arg; /* x20 */
    frame[11] = (uintptr_t)ctx_entry;
    frame[20] = fpcr;
    return frame;
}
#endif
