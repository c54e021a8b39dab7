/* Tests of the growable buffer. */
#include "../check.h"

#include "base/buf.h"
#include "base/mem.h"

static void appends(void **state)
{
    (void)state;
    struct buf buf;
    buf_init(&buf, 1000);
    assert_int_equal(buf.len, 0);
    assert_int_equal(buf_append(&buf, NULL, 0), 0);
    assert_int_equal(buf_append(&buf, "a\0b", 3), 0);
    assert_int_equal(buf_append_str(&buf, "cd"), 0);
    assert_int_equal(buf_printf(&buf, "-%d-%s", 42, "x"), 0);
    assert_int_equal(buf.len, 10);
    assert_memory_equal(buf.data, "a\0bcd-42-x", 10);
    buf_clear(&buf);
    assert_int_equal(buf.len, 0);
    assert_null(buf.data);
    assert_int_equal(buf.max, 1000);
    assert_int_equal(buf_append_str(&buf, "again"), 0);
    assert_memory_equal(buf.data, "again", 5);
    buf_clear(&buf);
    buf_clear(&buf);
}

static void never_over_its_maximum(void **state)
{
    (void)state;
    static const size_t maxima[] = { 0, 1, 7, 255, 256, 257, 511, 512, 513, 1000 };
    for (size_t i = 0; i < sizeof(maxima) / sizeof(maxima[0]); i++) {
        struct buf buf;
        buf_init(&buf, maxima[i]);
        for (size_t n = 0; n < maxima[i]; n++)
            assert_int_equal(buf_append(&buf, "x", 1), 0);
        assert_int_equal(buf_append(&buf, "x", 1), -ENOBUFS);
        assert_int_equal(buf_printf(&buf, "%d", 1), -ENOBUFS);
        assert_int_equal(buf_printf(&buf, "%s", ""), 0);
        assert_int_equal(buf_reserve(&buf, SIZE_MAX), -ENOBUFS);
        assert_int_equal(buf_reserve(&buf, 0), 0);
        assert_int_equal(buf.len, maxima[i]);
        buf_clear(&buf);
        /* The same by printf, which writes a NUL that does not count. */
        char text[1001];
        memset(text, 'y', sizeof(text));
        assert_int_equal(buf_printf(&buf, "%.*s", (int)maxima[i], text), 0);
        assert_int_equal(buf.len, maxima[i]);
        if (maxima[i] > 0)
            assert_memory_equal(buf.data, text, maxima[i]);
        assert_int_equal(buf_printf(&buf, "z"), -ENOBUFS);
        assert_int_equal(buf.len, maxima[i]);
        buf_clear(&buf);
    }
}

static void reserve_keeps_the_content(void **state)
{
    (void)state;
    struct buf buf;
    buf_init(&buf, SIZE_MAX);
    assert_int_equal(buf_append_str(&buf, "begin"), 0);
    assert_int_equal(buf_reserve(&buf, 100000), 0);
    assert_true(buf.cap >= 100005);
    assert_int_equal(buf.len, 5);
    memset(buf.data + 5, 'r', 100000);
    assert_memory_equal(buf.data, "begin", 5);
    size_t before = mem_count();
    buf.len += 100000;
    assert_int_equal(buf_reserve(&buf, 0), 0);
    assert_int_equal(mem_count(), before);
    buf_clear(&buf);
}

/* All pieces, in any sizes, come out as they went in. */
static void random_appends(void **state)
{
    (void)state;
    enum { MAX = 20000 };
    static char expected[MAX], piece[1000];
    uint64_t seed = 5;
    for (int round = 0; round < 30; round++) {
        struct buf buf;
        size_t len = 0;
        buf_init(&buf, MAX);
        while (true) {
            size_t n = next_random(&seed) % (sizeof(piece) - 1);
            memset(piece, 'a' + (int)(next_random(&seed) % 26), n);
            piece[n] = '\0';
            int rc =
                next_random(&seed) % 2 ? buf_append(&buf, piece, n) : buf_printf(&buf, "%s", piece);
            assert_int_equal(rc, len + n <= MAX ? 0 : -ENOBUFS);
            if (rc < 0)
                break;
            memcpy(expected + len, piece, n);
            len += n;
            assert_int_equal(buf.len, len);
        }
        assert_memory_equal(buf.data, expected, len);
        buf_clear(&buf);
    }
}

static void out_of_memory(void **state)
{
    (void)state;
    struct buf buf;
    buf_init(&buf, 100000);
    mem_fail_nth(1, 0);
    assert_int_equal(buf_append_str(&buf, "x"), -ENOMEM);
    assert_int_equal(buf_append_str(&buf, "kept"), 0);
    mem_fail_nth(1, 1);
    assert_int_equal(buf_reserve(&buf, 1000), -ENOMEM);
    assert_int_equal(buf_printf(&buf, "%1000d", 1), -ENOMEM);
    assert_int_equal(buf_printf(&buf, "%*d", (int)(buf.cap - buf.len), 1), -ENOMEM); /* its NUL */
    assert_int_equal(buf.len, 4);
    assert_memory_equal(buf.data, "kept", 4);
    mem_fail_nth(0, 0);
    buf_clear(&buf);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(appends),
        cmocka_unit_test(never_over_its_maximum),
        cmocka_unit_test(reserve_keeps_the_content),
        cmocka_unit_test(random_appends),
        cmocka_unit_test(out_of_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
