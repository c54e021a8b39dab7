/* Tests of the parser of route patterns. */
#include "../web_check.h"

#include "base/mem.h"
#include "web/routing/pattern.h"

/* A pattern as text: each segment as its kind and its pieces. */
static const char *show(const struct pattern *pattern)
{
    static char text[4096];
    static const char *const kinds[] = { "fixed", "int", "regex", "any", "path" };
    char *p = text;
    *p = '\0';
    for (size_t i = 0; i < pattern->n_segments; i++) {
        const struct pattern_segment *segment = &pattern->segments[i];
        p += sprintf(p, "%s%s", i ? " " : "", kinds[segment->kind]);
        if (segment->kind == SEGMENT_FIXED || segment->kind == SEGMENT_REGEX)
            p += sprintf(p, "(%s)", segment->text);
    }
    for (size_t i = 0; i < pattern->n_names; i++)
        p += sprintf(p, "%s%s%s", i ? "," : ";", pattern->names[i],
                     pattern->is_int[i] ? ":int" : "");
    return text;
}

static void good_patterns(void **state)
{
    (void)state;
    static const struct {
        const char *source, *shown;
    } rows[] = {
        { "/", "fixed()" },
        { "//", "fixed() fixed()" },
        { "/a/b/", "fixed(a) fixed(b) fixed()" },
        { "/caf%C3%A9/caf\xc3\xa9", "fixed(caf\xc3\xa9) fixed(caf\xc3\xa9)" },
        { "/a%2Fb/100%25/c%zz", "fixed(a/b) fixed(100%) fixed(c%zz)" },
        { "/a b", "fixed(a b)" },
        { "/{name}", "any;name" },
        { "/{_a1}/{A:int}", "any int;_a1,A:int" },
        { "/x/{rest:path}", "fixed(x) path;rest" },
        { "/{x:[0-9]{3}}", "regex([0-9]{3});x" },
        { "/{x:a{1,2}b{3}}/y", "regex(a{1,2}b{3}) fixed(y);x" },
        { "/{x:\\}}", "regex(\\});x" },
        { "/{x:[^/]+}", "regex([^/]+);x" },
        { "/{a}.{b}", "regex((?<tepal0>.+)\\.(?<tepal2>.+));a,b" },
        { "/v{major:int}", "regex(v(?<tepal1>-?[0-9]+(?#int)));major:int" },
        { "/caf\xc3\xa9-{x}", "regex(caf\xc3\xa9\\-(?<tepal1>.+));x" },
        { "/a%2B{x}", "regex(a\\+(?<tepal1>.+));x" },
        /* What is meant as it is, though others mean a variable by it. */
        { "/%3Aid/%2A/%3Fa/%23b/%3Cid%3E/%5Bid%5D", "fixed(:id) fixed(*) fixed(?a) fixed(#b) "
                                                    "fixed(<id>) fixed([id])" },
        { "/:/a:b/[{x}]/...", "fixed(:) fixed(a:b) regex(\\[(?<tepal1>.+)\\]) fixed(...);x" },
        { "/{x:(?:integer)}/{y:a|b}/{z:a?#*}", "regex((?:integer)) regex(a|b) regex(a?#*);x,y,z" },
        /* A segment of one variable is its expression, and its groups count as they stand. */
        { "/{x:(a)\\1}", "regex((a)\\1);x" },
        { "/{x:(?<y>a)\\k<y>}b", "regex((?<tepal0>(?<y>a)\\k<y>)b);x" },
        { "/{x:(a)\\g{-1}}b", "regex((?<tepal0>(a)\\g{-1})b);x" },
        { "/{x:[\\1]\\\\1\\Q\\1\\E[]\\1][[:alpha:]\\1]}b",
          "regex((?<tepal0>[\\1]\\\\1\\Q\\1\\E[]\\1][[:alpha:]\\1])b);x" },
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
        struct pattern pattern;
        const char *why = NULL;
        assert_int_equal(pattern_parse(&pattern, rows[i].source, &why), 0);
        assert_string_equal(show(&pattern), rows[i].shown);
        assert_string_equal(pattern.source, rows[i].source);
        pattern_clear(&pattern);
    }
}

static const char no_type[] = "there is no such type: behind ':' is int, path, or a regular "
                              "expression, and a mere word matches nothing but itself";
static const char by_name[] = "a group of a segment with several parts is referred to by its name, "
                              "(?<y>...) and \\k<y>, not by a number";

static void bad_patterns(void **state)
{
    (void)state;
    static const struct {
        const char *source, *why;
    } rows[] = {
        { "", "a pattern begins with '/'" },
        { "a", "a pattern begins with '/'" },
        { "{a}", "a pattern begins with '/'" },
        { "/{a", "'{' is never closed" },
        { "/{", "a variable needs a name: letters, digits and '_'" },
        { "/{a:", "'{' is never closed" },
        { "/{a:[0-9]{3}", "'{' is never closed" },
        { "/{a:x\\}", "'{' is never closed" },
        { "/{a/b}", "a variable's name has letters, digits and '_' only" },
        { "/{a-b}", "a variable's name has letters, digits and '_' only" },
        { "/{}", "a variable needs a name: letters, digits and '_'" },
        { "/{1a}", "a variable needs a name: letters, digits and '_'" },
        { "/{\xc3\xa9}", "a variable needs a name: letters, digits and '_'" },
        { "/{:int}", "a variable needs a name: letters, digits and '_'" },
        { "/{a:}", "nothing behind ':'" },
        { "/}", "'}' without '{'" },
        { "/a}b", "'}' without '{'" },
        { "/{a}}", "'}' without '{'" },
        { "/{a}/{a}", "two variables have the same name" },
        { "/{a}-{a:int}", "two variables have the same name" },
        { "/{a:path}/b", "a path variable must be the whole last segment" },
        { "/x{a:path}", "a path variable must be the whole last segment" },
        { "/{a:path}{b}", "a path variable must be the whole last segment" },
        { "/a%00b", "an encoded NUL never matches" },
        { "/:id", "a variable is written {name}, not :name (if the ':' is meant: %3A)" },
        { "/a/:id.json", "a variable is written {name}, not :name (if the ':' is meant: %3A)" },
        { "/a/<id>", "a variable is written {name}, not <name> (if the '<' is meant: %3C)" },
        { "/a/<int:id>/b", "a variable is written {name}, not <name> (if the '<' is meant: %3C)" },
        { "/[id]/b", "a variable is written {name}, not [name] (if the '[' is meant: %5B)" },
        { "*", "a pattern begins with '/'" },
        { "/*", "'*' stands for nothing: the rest of a path is {name:path} (if it is meant: %2A)" },
        { "/a/*rest",
          "'*' stands for nothing: the rest of a path is {name:path} (if it is meant: %2A)" },
        { "/{x}*",
          "'*' stands for nothing: the rest of a path is {name:path} (if it is meant: %2A)" },
        { "?a=", "a pattern begins with '/'" },
        { "/a?b=", "'?' begins the query, which is no part of a path (if it is meant: %3F)" },
        { "/a?b={b}", "'?' begins the query, which is no part of a path (if it is meant: %3F)" },
        { "/a#b", "'#' begins the fragment, which no server is told (if it is meant: %23)" },
        { "/a/../b", "clients resolve the segments '.' and '..': they are never sent" },
        { "/./b", "clients resolve the segments '.' and '..': they are never sent" },
        { "/%2e%2E", "clients resolve the segments '.' and '..': they are never sent" },
        { "/{id:integer}", no_type },
        { "/{id:string}/x", no_type },
        { "/v{id: int}", no_type },
        { "/{id:%d}", no_type },
        { "/{x:(a)\\1}b", by_name },
        { "/{x:(a)\\g1}b", by_name },
        { "/b{x:(a)\\g{1}}", by_name },
        { "/b{x:(a)\\g<1>}", by_name },
        { "/b{x:(a)(?1)}", by_name },
        { "/b{x:a(?R)?}", by_name },
        { "/b{x:(a)?(?(1)b|c)}", by_name },
        { "/{y}{x:[]]\\Q[\\E(a)\\1}", by_name },
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
        struct pattern pattern;
        const char *why = NULL;
        int rc = pattern_parse(&pattern, rows[i].source, &why);
        if (rc != TEPAL_EPATTERN)
            print_error("%s\n", rows[i].source);
        assert_int_equal(rc, TEPAL_EPATTERN);
        assert_string_equal(why, rows[i].why);
    }
}

static void many_variables(void **state)
{
    (void)state;
    char source[1024] = "";
    struct pattern pattern;
    const char *why = NULL;
    for (int i = 0; i < PATTERN_MAX_VARIABLES; i++)
        sprintf(source + strlen(source), "/{v%d}", i);
    assert_int_equal(pattern_parse(&pattern, source, &why), 0);
    assert_int_equal(pattern.n_names, PATTERN_MAX_VARIABLES);
    pattern_clear(&pattern);
    strcat(source, "/{one_more}");
    assert_int_equal(pattern_parse(&pattern, source, &why), TEPAL_EPATTERN);
    assert_string_equal(why, "more than 32 variables");
}

static void memory_shortage(void **state)
{
    (void)state;
    for (size_t n = 1;; n++) {
        struct pattern pattern;
        const char *why = NULL;
        mem_fail_nth(n, n % 2);
        int rc = pattern_parse(&pattern, "/a/{b}/{c:int}/x{d:[a-z]{2}}.{e}/{f:path}", &why);
        size_t failures = mem_failures();
        mem_fail_nth(0, 0);
        if (failures == 0) {
            assert_int_equal(rc, 0);
            pattern_clear(&pattern);
            break;
        }
        assert_int_equal(rc, -ENOMEM);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(good_patterns),
        cmocka_unit_test(bad_patterns),
        cmocka_unit_test(many_variables),
        cmocka_unit_test(memory_shortage),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
