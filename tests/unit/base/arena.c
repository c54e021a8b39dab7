/* Tests of the arena. */
#include "../check.h"

#include "base/arena.h"
#include "base/mem.h"
#include "base/poison.h"

#include <stdalign.h>

enum { FIRST = 8192, LIMIT = 1 << 20 };

static struct block_pool pool;
static struct arena arena;

static int setup(void **state)
{
    (void)state;
    block_pool_init(&pool, FIRST, 4);
    return arena_init(&arena, &pool, LIMIT);
}

static int teardown(void **state)
{
    (void)state;
    mem_fail_nth(0, 0);
    arena_clear(&arena);
    block_pool_clear(&pool);
    return 0;
}

static bool is_aligned(const void *p)
{
    return (uintptr_t)p % alignof(max_align_t) == 0;
}

static void alignment(void **state)
{
    (void)state;
    for (size_t i = 1; i < 3000; i++) {
        char *text = arena_alloc_text(&arena, i % 7 + 1);
        void *any = arena_alloc(&arena, i % 50);
        assert_non_null(text);
        assert_non_null(any);
        assert_true(is_aligned(any));
        memset(text, 'x', i % 7 + 1);
        memset(any, 'y', i % 50);
    }
    assert_true(is_aligned(arena_alloc(&arena, 10000))); /* in a chunk of its own */
    arena_alloc_text(&arena, 1);
    assert_true(is_aligned(arena_zalloc(&arena, 1)));
}

static void text_is_packed(void **state)
{
    (void)state;
    char *a = arena_alloc_text(&arena, 3), *b = arena_alloc_text(&arena, 5);
    assert_ptr_equal(b, a + 3);
    char *copy = arena_strndup(&arena, "a\0bcd", 4);
    assert_memory_equal(copy, "a\0bc\0", 5);
    assert_string_equal(arena_strndup(&arena, "", 0), "");
}

static void zalloc_is_zeroed(void **state)
{
    (void)state;
    memset(arena_alloc(&arena, 5000), 0xee, 5000);
    arena_reset(&arena);
    char *p = arena_zalloc(&arena, 5000);
    for (int i = 0; i < 5000; i++)
        assert_int_equal(p[i], 0);
}

/* Many allocations, of all sizes, keep their content. */
static void nothing_overlaps(void **state)
{
    (void)state;
    enum { N = 400 };
    static unsigned char *blocks[N];
    static size_t sizes[N];
    uint64_t seed = 1;
    for (int round = 0; round < 20; round++) {
        for (int i = 0; i < N; i++) {
            sizes[i] = next_random(&seed) % (next_random(&seed) % 20 == 0 ? 9000 : 200);
            blocks[i] = next_random(&seed) % 2 ? arena_alloc(&arena, sizes[i])
                                               : (void *)arena_alloc_text(&arena, sizes[i]);
            assert_non_null(blocks[i]);
            memset(blocks[i], i & 255, sizes[i]);
        }
        for (int i = 0; i < N; i++)
            for (size_t k = 0; k < sizes[i]; k++)
                assert_int_equal(blocks[i][k], i & 255);
        assert_true(arena.used <= LIMIT);
        arena_reset(&arena);
        assert_int_equal(arena.used, FIRST);
    }
}

static void limit(void **state)
{
    (void)state;
    struct arena small;
    assert_int_equal(arena_init(&small, &pool, FIRST + 1000), 0);
    assert_null(arena_alloc(&small, FIRST + 1));
    assert_non_null(arena_alloc(&small, FIRST)); /* exactly the first chunk */
    assert_null(arena_alloc(&small, 1000));      /* the chunk's head counts */
    assert_non_null(arena_alloc(&small, 900));   /* what is left may be used, though little */
    assert_true(small.used <= FIRST + 1000);
    assert_null(arena_alloc(&small, 900));
    arena_clear(&small);

    assert_int_equal(arena_init(&small, &pool, 10), 0); /* less than the first chunk */
    assert_non_null(arena_alloc(&small, FIRST));
    assert_null(arena_alloc(&small, 1));
    assert_null(arena_strndup(&small, "x", 1));
    arena_reset(&small);
    assert_non_null(arena_strndup(&small, "x", 1));
    arena_clear(&small);

    size_t taken = 0;
    while (arena_alloc(&arena, 1000))
        taken += 1000;
    assert_true(taken > LIMIT * 9 / 10);
    assert_true(arena.used <= LIMIT);
}

static void absurd_sizes(void **state)
{
    (void)state;
    const size_t sizes[] = { SIZE_MAX,     SIZE_MAX - 1,     SIZE_MAX - 15,   SIZE_MAX - 64,
                             SIZE_MAX / 2, SIZE_MAX / 2 + 1, (size_t)1 << 62, LIMIT };
    struct arena endless;
    assert_int_equal(arena_init(&endless, &pool, SIZE_MAX), 0);
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        assert_null(arena_alloc(&arena, sizes[i]));
        assert_null(arena_alloc_text(&arena, sizes[i]));
        assert_null(arena_resize(&arena, NULL, 0, sizes[i]));
    }
    for (size_t i = 0; i < 4; i++)
        assert_null(arena_alloc(&endless, sizes[i]));
    assert_non_null(arena_alloc(&endless, LIMIT));
    arena_clear(&endless);
}

static void zero_size(void **state)
{
    (void)state;
    assert_non_null(arena_alloc(&arena, 0));
    assert_non_null(arena_alloc(&arena, FIRST));
    assert_non_null(arena_alloc(&arena, 0)); /* with nothing left in the chunk */
    assert_non_null(arena_alloc_text(&arena, 0));
}

static void reset_and_clear(void **state)
{
    (void)state;
    void *first = arena_alloc(&arena, 100);
    for (int i = 0; i < 50; i++)
        assert_non_null(arena_alloc(&arena, 5000));
    assert_non_null(arena.large);
    arena_reset(&arena);
    assert_null(arena.large);
    assert_ptr_equal(arena_alloc(&arena, 100), first);
#ifdef TEPAL_ASAN
    arena_reset(&arena);
    assert_true(__asan_address_is_poisoned(first));
    char *again = arena_alloc(&arena, 100);
    assert_null(__asan_region_is_poisoned(again, 100));
    assert_true(__asan_address_is_poisoned(again + 100));
#endif
    size_t n_idle = pool.idle.n;
    arena_clear(&arena);
    assert_int_equal(pool.idle.n, n_idle + 1);
    arena_clear(&arena); /* twice does no harm */
    assert_int_equal(pool.idle.n, n_idle + 1);
}

static void resize(void **state)
{
    (void)state;
    char *p = arena_resize(&arena, NULL, 0, 10);
    memcpy(p, "0123456789", 10);
    assert_ptr_equal(arena_resize(&arena, p, 10, 100), p); /* the latest: in place */
    assert_memory_equal(p, "0123456789", 10);
    p[99] = 'x';
    assert_ptr_equal(arena_resize(&arena, p, 100, 20), p); /* smaller: in place */
    char *other = arena_alloc(&arena, 10);
    memset(other, 'o', 10);
    char *copy = arena_resize(&arena, p, 20, 30); /* not the latest: by a copy */
    assert_ptr_not_equal(copy, p);
    assert_memory_equal(copy, "0123456789", 10);
    assert_ptr_equal(arena_resize(&arena, p, 20, 5), p);
    char *far = arena_resize(&arena, copy, 30, FIRST); /* no room in this chunk */
    assert_memory_equal(far, "0123456789", 10);
    assert_null(arena_resize(&arena, far, FIRST, LIMIT)); /* over the limit: old stays */
    assert_memory_equal(far, "0123456789", 10);
    assert_memory_equal(other, "oooooooooo", 10);
}

/* What is large moves as a whole, and leaves nothing behind: a body that grows by doubling costs
 * what it is, not twice as much. */
static void resize_large(void **state)
{
    (void)state;
    size_t size = 5000;
    arena_alloc(&arena, FIRST);
    char *p = arena_resize(&arena, NULL, 0, size);
    size_t before = arena.used - size;
    for (; size < LIMIT / 2; size *= 2) {
        p[0] = 'a';
        p[size - 1] = 'z';
        arena_alloc(&arena, 100); /* others come between */
        p = arena_resize(&arena, p, size, 2 * size);
        assert_non_null(p);
        assert_true(is_aligned(p));
        assert_int_equal(p[0], 'a');
        assert_int_equal(p[size - 1], 'z');
    }
    assert_in_range(arena.used, before + size, before + size + 32 * 1024);
    assert_null(arena_resize(&arena, p, size, LIMIT));
    assert_null(arena_resize(&arena, p, size, SIZE_MAX));
    mem_fail_nth(1, 0);
    assert_null(arena_resize(&arena, p, size, size + 1000));
    assert_int_equal(p[0], 'a');
    assert_non_null(arena_resize(&arena, p, size, size + 1000));
}

/* What is elsewhere counts as what is here. */
static void what_it_has(void **state)
{
    (void)state;
    char other;
    char *small = arena_alloc(&arena, 10), *large = arena_alloc(&arena, 100000);
    assert_non_null(arena_alloc(&arena, FIRST - 100));
    char *more = arena_alloc(&arena, 900); /* there is no room in the first chunk */
    assert_true(small && large && more);
    assert_true(arena_has(&arena, more) && arena_has(&arena, more + 899));
    assert_true(arena_has(&arena, small) && arena_has(&arena, small + 9));
    assert_true(arena_has(&arena, large) && arena_has(&arena, large + 99999));
    assert_false(arena_has(&arena, &other));
    assert_false(arena_has(&arena, &arena));
    assert_false(arena_has(&arena, NULL));
}

static void charges(void **state)
{
    (void)state;
    assert_true(arena_charge(&arena, LIMIT - FIRST - 20000));
    assert_false(arena_charge(&arena, 20001));
    assert_null(arena_alloc(&arena, 30000));
    assert_true(arena_charge(&arena, 20000));
    assert_true(arena_charge(&arena, 0));
    assert_false(arena_charge(&arena, 1));
    assert_false(arena_charge(&arena, SIZE_MAX));
    arena_discharge(&arena, 40000);
    assert_non_null(arena_alloc(&arena, 30000));
    arena_reset(&arena);
    assert_int_equal(arena.used, FIRST);
}

static char *print(size_t *len, const char *format, ...) __attribute__((format(printf, 2, 3)));
static char *print(size_t *len, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    char *text = arena_vprintf(&arena, len, format, args);
    va_end(args);
    return text;
}

static void formatted_text(void **state)
{
    (void)state;
    size_t len = 0;
    assert_string_equal(print(&len, "%d %s", 42, "x"), "42 x");
    assert_int_equal(len, 4);
    assert_string_equal(print(NULL, "%s", ""), "");
    /* Around the end of the chunk: it fits exactly, it lacks one octet, and so on. */
    for (int spare = -3; spare <= 3; spare++) {
        arena_reset(&arena);
        arena_alloc_text(&arena, (size_t)(FIRST - 10 - spare));
        char *text = print(&len, "%s", "123456789");
        assert_string_equal(text, "123456789");
        assert_int_equal(len, 9);
        char *next = arena_alloc_text(&arena, 1);
        *next = 'n';
        assert_string_equal(text, "123456789");
        assert_int_equal(arena.chunks == NULL, spare >= 1);
    }
    assert_null(print(&len, "%*d", LIMIT, 1)); /* over the limit */
    assert_string_equal(print(&len, "%d", 1), "1");
}

static void out_of_memory(void **state)
{
    (void)state;
    struct arena other;
    struct block_pool empty;
    block_pool_init(&empty, FIRST, 1);
    mem_fail_nth(1, 0);
    assert_int_equal(arena_init(&other, &empty, LIMIT), -ENOMEM);
    arena_clear(&other); /* of one that could not begin */
    block_pool_clear(&empty);
    char *p = arena_alloc(&arena, FIRST);
    mem_fail_nth(1, 1);
    assert_null(arena_alloc(&arena, 1));
    assert_null(arena_alloc_text(&arena, 1));
    assert_null(arena_zalloc(&arena, 1));
    assert_null(arena_strndup(&arena, "x", 1));
    assert_null(arena_resize(&arena, p, FIRST, FIRST + 1));
    assert_null(print(NULL, "x"));
    assert_int_equal(mem_failures(), 6);
    mem_fail_nth(0, 0);
    assert_non_null(arena_alloc(&arena, 1));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

/* An allocation that has grown over all of a chunk is not alone in it: a short text may lie behind
 * it, or what comes next. So it does not move with its chunk. */
static void grown_over_a_chunk(void **state)
{
    (void)state;
    enum { CHUNK = 16 * 1024, ROOM = CHUNK - 2 * sizeof(void *) };
    arena_alloc(&arena, FIRST);
    for (size_t behind = 0; behind < alignof(max_align_t); behind++) {
        size_t size = ROOM - behind;
        char *data = arena_alloc(&arena, 112);
        assert_ptr_equal(arena_resize(&arena, data, 112, size), data);
        memset(data, 'd', size);
        char *text = behind ? arena_alloc_text(&arena, behind / 2 + 1) : NULL;
        if (text)
            memset(text, 't', behind / 2 + 1);
        char *more = arena_resize(&arena, data, size, 30000);
        assert_non_null(more);
        memset(more + size, 'm', 30000 - size);
        char *next = arena_alloc_text(&arena, 1);
        *next = 'n';
        for (size_t i = 0; i < 30000; i++)
            assert_int_equal(more[i], i < size ? 'd' : 'm');
        for (size_t i = 0; text && i < behind / 2 + 1; i++)
            assert_int_equal(text[i], 't');
        arena_reset(&arena);
        arena_alloc(&arena, FIRST);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(alignment),        TEST(text_is_packed),  TEST(zalloc_is_zeroed),
        TEST(nothing_overlaps), TEST(limit),           TEST(absurd_sizes),
        TEST(zero_size),        TEST(reset_and_clear), TEST(resize),
        TEST(resize_large),     TEST(what_it_has),     TEST(charges),
        TEST(formatted_text),   TEST(out_of_memory),   TEST(grown_over_a_chunk),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
