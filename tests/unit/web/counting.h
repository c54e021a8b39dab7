/* For tests of what jansson takes: an allocator that counts as the C library does. */
#ifndef TEPAL_TESTS_UNIT_WEB_COUNTING_H
#define TEPAL_TESTS_UNIT_WEB_COUNTING_H

#include <stdlib.h>

/* Octets that are taken now, and the most that were since it was set to zero. */
static size_t live, peak;

/* What the C library takes for an allocation. */
static inline size_t counted_size(size_t size)
{
    size_t all = (size + 8 + 15) & ~(size_t)15;
    return all < 32 ? 32 : all;
}

static inline void *counting_alloc(size_t size)
{
    size_t *p = malloc(size + 16);
    if (!p)
        abort();
    p[0] = counted_size(size);
    live += p[0];
    peak = live > peak ? live : peak;
    return p + 2;
}

static inline void counting_free(void *at)
{
    if (!at)
        return;
    size_t *p = (size_t *)at - 2;
    live -= p[0];
    free(p);
}

#endif
