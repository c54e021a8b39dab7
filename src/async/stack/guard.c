/* The two kinds of guards, and the budget of mappings, the only thing that the loops of a process
 * share. It is counted what the process has mapped: when their number has doubled, and when the
 * budget was found spent, but not more than once a second. */
#include "async/stack/guard.h"

#include "base/platform.h"

#include <fcntl.h>
#include <limits.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#ifndef MADV_GUARD_INSTALL
#define MADV_GUARD_INSTALL 102
#endif

enum { DEFAULT_MAX_MAPPINGS = 65530, MAPPINGS_EACH = 2, FIRST_LOOK = 256, LOOK_AGAIN_MS = 1000 };

static atomic_size_t n_made, n_allowed; /* guards by mprotect() */
static _Atomic(int64_t) looked_ms;      /* when the budget was last found spent; 0: it was not */
static atomic_size_t max_for_test;

void guard_set_max_mappings(size_t max)
{
    atomic_store(&max_for_test, max);
    atomic_store(&n_allowed, 0);
    atomic_store(&looked_ms, 0);
}

size_t guard_count(void)
{
    return atomic_load(&n_made);
}

static size_t max_mappings(void)
{
    size_t max = atomic_load(&max_for_test);
    if (max > 0)
        return max;
    long count = DEFAULT_MAX_MAPPINGS;
    FILE *f = fopen("/proc/sys/vm/max_map_count", "re");
    if (f) {
        if (fscanf(f, "%ld", &count) != 1)
            count = DEFAULT_MAX_MAPPINGS;
        fclose(f);
    }
    return count > 0 ? (size_t)count : 0;
}

/* How many mappings the process has. Where /proc does not say, there are only ours. */
static size_t count_mappings(void)
{
    char text[4096];
    size_t n = 0;
    ssize_t len = -1;
    int fd = open("/proc/self/maps", O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return guard_count() * MAPPINGS_EACH;
    while ((len = read(fd, text, sizeof(text))) > 0)
        for (const char *p = text; (p = memchr(p, '\n', (size_t)(text + len - p))); p++)
            n++;
    close(fd);
    return n;
}

static int64_t clock_ms(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC_COARSE, &ts);
    return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000 + 1;
}

/* Says anew how many guards there may be. */
static void look_at_mappings(void)
{
    int64_t looked = atomic_load(&looked_ms), now = clock_ms();
    if (looked != 0 && now - looked < LOOK_AGAIN_MS)
        return;
    size_t max = max_mappings(), mapped = count_mappings(), n = guard_count();
    size_t more = mapped < max / 2 ? (max / 2 - mapped) / MAPPINGS_EACH : 0;
    size_t step = n > FIRST_LOOK ? n : FIRST_LOOK;
    atomic_store(&looked_ms, more == 0 ? now : 0);
    atomic_store(&n_allowed, n + (more < step ? more : step));
}

/* Takes one guard by mprotect() from the budget. */
static bool take_budget(void)
{
    if (atomic_load(&n_made) >= atomic_load(&n_allowed))
        look_at_mappings();
    if (atomic_fetch_add(&n_made, 1) < atomic_load(&n_allowed))
        return true;
    atomic_fetch_sub(&n_made, 1);
    return false;
}

void guard_forget(size_t n_mprotected)
{
    atomic_fetch_sub(&n_made, n_mprotected);
}

enum stack_guard guard_make(char *from, size_t size, enum stack_guard *kind)
{
    if (*kind == STACK_GUARD_MADVISE) {
        if (madvise(from, size, MADV_GUARD_INSTALL) == 0)
            return STACK_GUARD_MADVISE;
        *kind = STACK_GUARD_MPROTECT;
    }
    if (*kind == STACK_GUARD_MPROTECT && take_budget()) {
        if (mprotect(from, size, PROT_NONE) == 0)
            return STACK_GUARD_MPROTECT;
        guard_forget(1);
    }
    return STACK_GUARD_CANARY;
}
