/* Tests of what JSON costs, against what jansson takes of the C library. */
#include "../../check.h"
#include "../counting.h"

#include "web/json/scan.h"

#include <jansson.h>

static struct json_scan scan;

/* One piece or many give the same. */
static void scan_all(const char *text, size_t len)
{
    json_scan_init(&scan);
    json_scan_feed(&scan, text, len);
    if (len > 3000)
        return;
    struct json_scan other;
    json_scan_init(&other);
    for (size_t i = 0; i < len; i++)
        json_scan_feed(&other, text + i, 1);
    assert_int_equal(other.memory, scan.memory);
    assert_int_equal(other.max_depth, scan.max_depth);
    assert_int_equal(json_scan_passing(&other), json_scan_passing(&scan));
}

/* Parses the text, and holds what that took against the scan. Returns what it kept. */
static size_t compare(const char *text, size_t len)
{
    live = peak = 0;
    scan_all(text, len);
    json_t *json = json_loadb(text, len, JSON_DECODE_ANY | JSON_REJECT_DUPLICATES, NULL);
    size_t kept = live;
    if (live > scan.memory)
        fail_msg("%.60s: %zu of %zu", text, live, scan.memory);
    if (peak > scan.memory + json_scan_passing(&scan))
        fail_msg("%.60s: at most %zu of %zu", text, peak, scan.memory + json_scan_passing(&scan));
    json_decref(json);
    assert_int_equal(live, 0);
    return kept;
}

static void small_texts(void **state)
{
    static const char *const texts[] = {
        "",
        "0",
        "-1.5e+300",
        "true",
        "[false,null,true]",
        "\"\"",
        "\"\\\\\\\"[[[{{{\"",
        "\"\\u00e9\\ud83d\\ude00\"",
        "[]",
        "{}",
        "[[[[[]]]]]",
        "{\"a\":{\"b\":{\"c\":[1,2,3,{\"d\":\"e\"}]}}}",
        " [ 1 , 2 ,\t\"x\" ] ",
        "[1,2,3,4,5,6,7,8]",
        "[1,2,3,4,5,6,7,8,9]",
        "{\"1\":1,\"2\":2,\"3\":3,\"4\":4,\"5\":5,\"6\":6,\"7\":7,\"8\":8}",
        "{\"1\":1,\"2\":2,\"3\":3,\"4\":4,\"5\":5,\"6\":6,\"7\":7,\"8\":8,\"9\":9}",
        /* none */
        "[1,2",
        "{\"a\":[1,{\"b\":\"c",
        "[1,2]]]]",
        "}{}{",
        "\"\\",
        "-",
        "[1e,2]",
        "{\"a\":1,\"a\":2}",
    };
    (void)state;
    for (size_t i = 0; i < sizeof(texts) / sizeof(*texts); i++)
        compare(texts[i], strlen(texts[i]));
}

/* count times the unit between two brackets; '#' in it is a number that differs. */
static char *repeated(const char *unit, size_t count, char open, char close, size_t *len)
{
    char *text = malloc(count * (strlen(unit) + 12) + 3), *p = text;
    assert_non_null(text);
    *p++ = open;
    for (size_t i = 0; i < count; i++) {
        if (i > 0)
            *p++ = ',';
        for (const char *c = unit; *c; c++)
            if (*c == '#')
                p += sprintf(p, "%zu", i);
            else
                *p++ = *c;
    }
    *p++ = close;
    *len = (size_t)(p - text);
    return text;
}

/* Never less than it is, and not so much more that ordinary JSON is refused for it. */
static void large_texts(void **state)
{
    static const struct {
        const char *unit;
        char open, close;
    } rows[] = {
        { "{}", '[', ']' },
        { "[]", '[', ']' },
        { "1", '[', ']' },
        { "true", '[', ']' },
        { "\"\"", '[', ']' },
        { "1.5", '[', ']' },
        { "[1,2]", '[', ']' },
        { "{\"\":0}", '[', ']' },
        { "\"#\":0", '{', '}' },
        { "\"key#\":{\"a\":[]}", '{', '}' },
        { "{\"id\":#,\"name\":\"Item #\",\"price\":#.99,\"tags\":[\"a\",\"b\"]}", '[', ']' },
        { "\"some text of ordinary length #\"", '[', ']' },
    };
    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++)
        for (size_t count = 1; count < (RUNNING_ON_VALGRIND ? 300 : 20000);
             count += count / 3 + 1) {
            size_t len;
            char *text = repeated(rows[i].unit, count, rows[i].open, rows[i].close, &len);
            size_t kept = compare(text, len);
            if (count > 100 && scan.memory > kept + kept / 2)
                fail_msg("%s: %zu is thought to be %zu", rows[i].unit, kept, scan.memory);
            free(text);
        }
}

static void long_tokens(void **state)
{
    (void)state;
    for (size_t len = 2; len < 300000; len = len * 3 / 2 + 1) {
        char *text = malloc(len);
        assert_non_null(text);
        memset(text, '1', len);
        compare(text, len);
        memset(text, 'a', len); /* which is none, but is taken whole before that is said */
        compare(text, len);
        text[0] = text[len - 1] = '"';
        compare(text, len);
        for (size_t i = 1; i + 2 < len; i += 2)
            text[i] = '\\', text[i + 1] = 'n';
        compare(text, len);
        free(text);
    }
}

static void depth(void **state)
{
    (void)state;
    char text[JSON_SCAN_MAX_DEPTH + 1];
    memset(text, '[', sizeof(text));
    scan_all(text, JSON_SCAN_MAX_DEPTH);
    assert_int_equal(scan.max_depth, JSON_SCAN_MAX_DEPTH);
    assert_false(scan.too_deep);
    scan_all(text, JSON_SCAN_MAX_DEPTH + 1);
    assert_true(scan.too_deep);
    scan_all("[{}]\"[[[[\"[[]]", 14);
    assert_int_equal(scan.max_depth, 2);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(small_texts),
        cmocka_unit_test(large_texts),
        cmocka_unit_test(long_tokens),
        cmocka_unit_test(depth),
    };
    json_set_alloc_funcs(counting_alloc, counting_free);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
