/* Memory from the system, with the counter and the fault injection that the tests use. Nothing here
 * keeps memory: pools are in block.c and stack.c. */
#include "base/mem.h"

#include "base/platform.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#ifdef __GLIBC__
#include <malloc.h>
#endif

/* Each loop has a thread of its own, and so has each test: no locks on the way to malloc. */
static _Thread_local size_t n_allocations;
static _Thread_local size_t fail_at, n_failures;
static _Thread_local int fail_sticky;

static inline bool must_fail(void)
{
    n_allocations++;
    if (LIKELY(fail_at == 0))
        return false;
    if (fail_at > 1) {
        fail_at--;
        return false;
    }
    n_failures++;
    if (!fail_sticky)
        fail_at = 0;
    return true;
}

void *mem_alloc(size_t size)
{
    return UNLIKELY(must_fail()) ? NULL : malloc(size);
}

void *mem_zalloc(size_t size)
{
    return UNLIKELY(must_fail()) ? NULL : calloc(1, size);
}

void *mem_resize(void *old, size_t size)
{
    return UNLIKELY(must_fail()) ? NULL : realloc(old, size);
}

void mem_free(void *p)
{
    free(p);
}

void mem_trim(void)
{
#ifdef __GLIBC__
    malloc_trim(0);
#endif
}

char *mem_strndup(const char *s, size_t len)
{
    char *copy = mem_alloc(len + 1);
    if (!copy)
        return NULL;
    memcpy(copy, s, len);
    copy[len] = '\0';
    return copy;
}

char *mem_strdup(const char *s)
{
    return mem_strndup(s, strlen(s));
}

size_t mem_count(void)
{
    return n_allocations;
}

void mem_fail_nth(size_t n, int sticky)
{
    fail_at = n;
    fail_sticky = sticky;
    n_failures = 0;
}

size_t mem_failures(void)
{
    return n_failures;
}
