/* What the fuzz targets share: the entry point, and assertions that no build option turns off. */
#ifndef TEPAL_TESTS_FUZZ_H
#define TEPAL_TESTS_FUZZ_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Aborts, so that the input is kept, unless condition holds. */
#define REQUIRE(condition) ((condition) ? (void)0 : fuzz_fail(__FILE__, __LINE__, #condition))

static inline _Noreturn void fuzz_fail(const char *file, int line, const char *condition)
{
    fprintf(stderr, "%s:%d: not so: %s\n", file, line, condition);
    abort();
}

/* A copy in a block of exactly its size, so that ASan finds reads beyond it. */
static inline char *fuzz_copy(const void *data, size_t size)
{
    char *copy = calloc(size ? size : 1, 1);
    REQUIRE(copy);
    if (size)
        memcpy(copy, data, size);
    return copy;
}

/* Whether p[0..len) is inside of in[0..size). */
static inline bool fuzz_inside(const char *p, size_t len, const char *in, size_t size)
{
    return p >= in && len <= size && p <= in + (size - len);
}

#endif
