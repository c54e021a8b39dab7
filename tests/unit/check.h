/* What every unit test includes: cmocka with all that its header needs first, and what a test must
 * know of where it runs. */
#ifndef TEPAL_TESTS_UNIT_CHECK_H
#define TEPAL_TESTS_UNIT_CHECK_H

#include "base/platform.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#if __has_include(<valgrind/valgrind.h>)
#include <valgrind/valgrind.h>
#else
#define RUNNING_ON_VALGRIND 0
#define VALGRIND_STACK_REGISTER(low, high) 0
#endif

#if defined(TEPAL_ASAN) || defined(TEPAL_TSAN)
enum { SANITIZED = 1 };
#else
enum { SANITIZED = 0 };
#endif

/* n repetitions, or fewer where each takes long. */
static inline int times(int n)
{
    return RUNNING_ON_VALGRIND ? n / 50 + 1 : SANITIZED ? n / 8 + 1 : n;
}

/* A generator of its own for each test that wants numbers: the same ones in every run. */
static inline uint32_t next_random(uint64_t *state)
{
    *state = *state * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(*state >> 33);
}

/* Whether a stack that has been left can be unwound: not where ucontext and a sanitizer meet. */
static inline bool has_traces(void)
{
#ifdef TEPAL_UCONTEXT
    return !SANITIZED;
#else
    return true;
#endif
}

#endif
