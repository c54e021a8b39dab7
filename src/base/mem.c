/* Memory from the system, with the counter and the fault injection that the tests use. Nothing here
 * keeps memory: pools are in block.c and stack.c. The heap is the program's, and never trimmed. */
#include "base/mem.h"

#include "base/platform.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

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

size_t mem_page_size(void)
{
    return (size_t)sysconf(_SC_PAGESIZE);
}

size_t mem_whole_pages(size_t size)
{
    size_t page = mem_page_size();
    return (size + page - 1) / page * page;
}

void *mem_map(size_t size)
{
    if (UNLIKELY(must_fail()))
        return NULL;
    void *base = mmap(NULL, size, PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (base == MAP_FAILED)
        return NULL;
    /* One touched page must not become two megabytes. A kernel without huge pages refuses. */
    (void)madvise(base, size, MADV_NOHUGEPAGE);
    return base;
}

void mem_unmap(void *base, size_t size)
{
    munmap(base, size);
}

int mem_discard(void *from, size_t size)
{
    return madvise(from, size, MADV_DONTNEED) == 0 ? 0 : -errno;
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
