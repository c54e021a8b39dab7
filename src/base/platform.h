/* What tepal asks of the compiler and the C library beyond C11, in one place. */
#ifndef TEPAL_BASE_PLATFORM_H
#define TEPAL_BASE_PLATFORM_H

#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif

#define LIKELY(x) __builtin_expect(!!(x), 1)
#define UNLIKELY(x) __builtin_expect(!!(x), 0)
#define NO_INLINE __attribute__((noinline))

#if defined(__SANITIZE_ADDRESS__)
#define TEPAL_ASAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define TEPAL_ASAN 1
#endif
#endif

#if defined(__SANITIZE_THREAD__)
#define TEPAL_TSAN 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define TEPAL_TSAN 1
#endif
#endif

/* The struct that has member at address ptr. */
#define CONTAINER_OF(ptr, type, member) ((type *)(void *)((char *)(ptr)-offsetof(type, member)))

#endif
