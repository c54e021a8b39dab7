/* Telling AddressSanitizer which octets of a recycled block may be touched. Nothing in other
 * builds.
 */
#ifndef TEPAL_BASE_POISON_H
#define TEPAL_BASE_POISON_H

#include "base/platform.h"

#include <stddef.h>

#ifdef TEPAL_ASAN
#include <sanitizer/asan_interface.h>
static inline void poison(void *p, size_t len)
{
    ASAN_POISON_MEMORY_REGION(p, len);
}
static inline void unpoison(void *p, size_t len)
{
    ASAN_UNPOISON_MEMORY_REGION(p, len);
}
#else
static inline void poison(void *p, size_t len)
{
    (void)p;
    (void)len;
}
static inline void unpoison(void *p, size_t len)
{
    (void)p;
    (void)len;
}
#endif

#endif
