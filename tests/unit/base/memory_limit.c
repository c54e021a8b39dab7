/* Tests of the limits of control groups, in a tree of our own. */
#include "../check.h"

#include "base/memory_limit.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

static char folder[] = "/tmp/tepal-cgroup-XXXXXX";
static char names[32][256];
static int n_names;

static const char *below(const char *name)
{
    static char path[512];
    snprintf(path, sizeof(path), "%s/%s", folder, name);
    return path;
}

static void put(const char *name, const char *text)
{
    FILE *file = fopen(below(name), "w");
    assert_non_null(file);
    fputs(text, file);
    fclose(file);
    snprintf(names[n_names++], sizeof(names[0]), "%s", name);
}

static void make(const char *name)
{
    assert_int_equal(mkdir(below(name), 0700), 0);
    snprintf(names[n_names++], sizeof(names[0]), "%s", name);
}

static size_t limit_of(const char *cgroups)
{
    char path[512];
    put("cgroups", cgroups);
    n_names--;
    snprintf(path, sizeof(path), "%s", below("cgroups"));
    size_t limit = memory_limit_of_cgroups(path, folder);
    unlink(path);
    return limit;
}

static void cgroups(void **state)
{
    (void)state;
    assert_non_null(mkdtemp(folder));
    make("a");
    make("a/b");
    make("memory");
    make("memory/x");
    put("a/memory.max", "1000000\n");
    put("a/b/memory.max", "max\n");
    put("memory/memory.limit_in_bytes", "9223372036854771712\n");
    put("memory/x/memory.limit_in_bytes", "67108864\n");
    assert_int_equal(limit_of("0::/a/b\n"), 1000000);
    assert_int_equal(limit_of("0::/a\n"), 1000000);
    assert_int_equal(limit_of("0::/none/such\n"), SIZE_MAX);
    assert_int_equal(limit_of("0::/\n"), SIZE_MAX);
    assert_int_equal(limit_of("5:cpu,memory:/x\n4:pids:/a\n0::/a\n"), 1000000);
    assert_int_equal(limit_of("5:cpu,memory:/x\n4:pids:/a\n"), 67108864);
    assert_int_equal(limit_of("5:memory:/gone/x\n"), 9223372036854771712u);
    assert_int_equal(limit_of("rubbish\n:\n::\n"), SIZE_MAX);
    put("a/b/memory.max", "4096\n");
    n_names--;
    assert_int_equal(limit_of("0::/a/b\n"), 4096);
    put("a/memory.high", "3000\n");
    assert_int_equal(limit_of("0::/a/b\n"), 3000);
    assert_int_equal(limit_of("0::/a\n"), 3000);
    assert_int_equal(memory_limit_of_cgroups("/nonexistent", folder), SIZE_MAX);
    while (n_names > 0)
        remove(below(names[--n_names]));
    rmdir(folder);
}

static void this_process(void **state)
{
    (void)state;
    size_t limit = memory_limit();
    assert_true(limit > 1024 * 1024 && limit < SIZE_MAX);
}

/* qemu-user knows no such limits. */
static bool is_limited(__rlimit_resource_t resource, rlim_t to)
{
    struct rlimit now;
    assert_int_equal(getrlimit(resource, &now), 0);
    return now.rlim_cur == to;
}

/* Both count what is mapped, whether it is used or not. */
static void limits_of_the_process(void **state)
{
    (void)state;
    static const __rlimit_resource_t resources[] = { RLIMIT_AS, RLIMIT_DATA };
    size_t before = memory_space();
    if (SANITIZED) /* they map more than that */
        skip();
    for (int i = 0; i < 2; i++) {
        struct rlimit old, tight;
        assert_int_equal(getrlimit(resources[i], &old), 0);
        tight = old;
        tight.rlim_cur = (rlim_t)1 << 40; /* which no mapping of this test reaches */
        if (setrlimit(resources[i], &tight) < 0 || !is_limited(resources[i], tight.rlim_cur))
            skip();
        assert_int_equal(memory_space(), before < (size_t)1 << 40 ? before : (size_t)1 << 40);
        assert_true(memory_limit() <= (size_t)1 << 40);
        assert_int_equal(setrlimit(resources[i], &old), 0);
        assert_int_equal(memory_space(), before);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(cgroups),
        cmocka_unit_test(this_process),
        cmocka_unit_test(limits_of_the_process),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
