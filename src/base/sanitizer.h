/* The sanitizers of the program, which may be built with one though this library is not, and the
 * other way round: so they are looked up when the program starts. Their symbols are weak; where
 * there is no sanitizer, they are NULL. */
#ifndef TEPAL_BASE_SANITIZER_H
#define TEPAL_BASE_SANITIZER_H

#include <stdbool.h>
#include <stddef.h>

#define SANITIZER_WEAK __attribute__((weak))

void __asan_unpoison_memory_region(const volatile void *from, size_t size) SANITIZER_WEAK;
void __sanitizer_start_switch_fiber(void **fake_stack, const void *low, size_t size) SANITIZER_WEAK;
void __sanitizer_finish_switch_fiber(void *fake_stack, const void **low,
                                     size_t *size) SANITIZER_WEAK;
void __lsan_register_root_region(const void *from, size_t size) SANITIZER_WEAK;
void *__tsan_get_current_fiber(void) SANITIZER_WEAK;
void *__tsan_create_fiber(unsigned flags) SANITIZER_WEAK;
void __tsan_destroy_fiber(void *fiber) SANITIZER_WEAK;
void __tsan_switch_to_fiber(void *fiber, unsigned flags) SANITIZER_WEAK;

static inline bool has_asan(void)
{
    return __asan_unpoison_memory_region && __sanitizer_start_switch_fiber &&
           __sanitizer_finish_switch_fiber;
}

static inline bool has_tsan(void)
{
    return __tsan_get_current_fiber && __tsan_create_fiber && __tsan_destroy_fiber &&
           __tsan_switch_to_fiber;
}

/* Lets the program's code use memory in which frames were left for good: they are still
 * poisoned. */
static inline void sanitizer_unpoison(void *from, size_t size)
{
    if (has_asan())
        __asan_unpoison_memory_region(from, size);
}

#endif
