/* Tests of the router: what matches, in which order, at which cost, and what is refused. */
#include "../web_check.h"

#include "base/mem.h"
#include "web/routing/router.h"
#include "web/routing/segment_regex.h"

static struct block_pool pool;
static struct arena arena;
static struct router router;

/* --- Steps of a match are counted: the linker puts these before the library's own ------------- */

static size_t n_steps;

void *__real_map_get(const struct map *map, const char *key, size_t len);
void *__wrap_map_get(const struct map *map, const char *key, size_t len);
int __real_segment_regex_match(const struct segment_regex *regex, struct segment_matcher *matcher,
                               tepal_bytes text, tepal_bytes *values, size_t room);
int __wrap_segment_regex_match(const struct segment_regex *regex, struct segment_matcher *matcher,
                               tepal_bytes text, tepal_bytes *values, size_t room);

void *__wrap_map_get(const struct map *map, const char *key, size_t len)
{
    n_steps++;
    return __real_map_get(map, key, len);
}

int __wrap_segment_regex_match(const struct segment_regex *regex, struct segment_matcher *matcher,
                               tepal_bytes text, tepal_bytes *values, size_t room)
{
    n_steps++;
    return __real_segment_regex_match(regex, matcher, text, values, room);
}

static int setup(void **state)
{
    (void)state;
    block_pool_init(&pool, 8192, 4);
    return arena_init(&arena, &pool, 1 << 20) < 0 ? -1 : router_init(&router);
}

static int teardown(void **state)
{
    (void)state;
    mem_fail_nth(0, 0);
    router_clear(&router);
    arena_clear(&arena);
    block_pool_clear(&pool);
    return 0;
}

static int try_add(const tepal_route *route, const char **why)
{
    tepal_route with_handler = *route;
    with_handler.handler = ok;
    return router_add(&router, &with_handler, why);
}

static void add_route(const char *method, const char *pattern)
{
    const char *why = NULL;
    int rc = try_add(&(tepal_route){ .method = method, .pattern = pattern }, &why);
    if (rc < 0)
        fail_msg("%s %s: %s", method, pattern, why);
}

static void add(const char *pattern)
{
    add_route("GET", pattern);
}

static int match_path(const char *method, const char *path, size_t len, struct router_match *match)
{
    return router_match(&router, &arena, (tepal_bytes){ .data = method, .len = strlen(method) },
                        (tepal_bytes){ .data = path, .len = len }, match);
}

/* What the path leads to: "PATTERN value value", "405" or "404". */
static const char *find(const char *method, const char *path)
{
    static char text[16 * 1024];
    struct router_match match;
    arena_reset(&arena);
    assert_int_equal(match_path(method, path, strlen(path), &match), 0);
    if (!match.route)
        return match.path_exists ? "405" : "404";
    char *p = text + sprintf(text, "%s", match.route->pattern.source);
    assert_int_equal(match.n_values, match.route->pattern.n_names);
    for (size_t i = 0; i < match.n_values; i++) {
        assert_int_equal(strlen(match.values[i].data), match.values[i].len);
        p += sprintf(p, " %s", match.values[i].data);
    }
    return text;
}

static void expect(const char *path, const char *found)
{
    const char *is = find("GET", path);
    if (strcmp(is, found) != 0)
        fail_msg("%s: %s, not %s", path, is, found);
}

static void fixed_segments(void **state)
{
    (void)state;
    add("/");
    add("/a");
    add("/a/");
    add("/a//b");
    add("/a/b/c");
    expect("/", "/");
    expect("/a", "/a");
    expect("/a/", "/a/");
    expect("//", "404");
    expect("/a//", "404");
    expect("/a//b", "/a//b");
    expect("/a/b", "404");
    expect("/a/b/", "404");
    expect("/a/b/c", "/a/b/c");
    expect("/a/b/c/", "404");
    expect("/A", "404");
    expect("*", "404");
    expect("", "404");
}

static void percent_codes(void **state)
{
    (void)state;
    add("/caf\xc3\xa9");
    add("/hot%20dog");
    add("/x/y");
    add("/one%2Ftwo");
    add("/v/{name}");
    add("/100%25");
    expect("/caf%C3%A9", "/caf\xc3\xa9");
    expect("/caf%c3%a9", "/caf\xc3\xa9");
    expect("/%63af\xc3\xa9", "/caf\xc3\xa9");
    expect("/hot%20dog", "/hot%20dog");
    expect("/%78/%79", "/x/y");
    /* An encoded slash is part of its segment. */
    expect("/x%2Fy", "404");
    expect("/x%2fy", "404");
    expect("/one%2ftwo", "/one%2Ftwo");
    expect("/one/two", "404");
    expect("/v/a%2Fb", "/v/{name} a/b");
    expect("/v%2Fa", "404");
    /* Each segment is decoded once. */
    expect("/v/%2541", "/v/{name} %41");
    expect("/100%25", "/100%25");
    expect("/v/+", "/v/{name} +");
    expect("/v/..", "/v/{name} ..");
    expect("/v/%2e%2e", "/v/{name} ..");
}

static void priorities(void **state)
{
    (void)state;
    add("/{rest:path}");
    add("/{name}");
    add("/{word:[a-m]+}");
    add("/{other:[a-z]+}");
    add("/{id:int}");
    add("/fixed");
    expect("/fixed", "/fixed");
    expect("/42", "/{id:int} 42");
    expect("/abc", "/{word:[a-m]+} abc");
    expect("/xyz", "/{other:[a-z]+} xyz");
    expect("/XYZ", "/{name} XYZ");
    expect("/", "/{rest:path} ");
    expect("/a/b", "/{rest:path} a/b");
}

static void backtracking(void **state)
{
    (void)state;
    add("/a/b/c");
    add("/a/{x}/d");
    add("/{y}/b/e");
    add("/{y}/{x}/{z:int}");
    add("/{p:path}");
    expect("/a/b/c", "/a/b/c");
    expect("/a/b/d", "/a/{x}/d b");
    expect("/a/b/e", "/{y}/b/e a");
    expect("/a/b/7", "/{y}/{x}/{z:int} a b 7");
    expect("/a/b/f", "/{p:path} a/b/f");
    expect("/a", "/{p:path} a");
    /* The method, too, may send it on to another pattern. */
    add_route("POST", "/m/b");
    add_route("PUT", "/m/{x}");
    expect("/m/b", "/{p:path} m/b");
    assert_string_equal(find("PUT", "/m/b"), "/m/{x} b");
    assert_string_equal(find("POST", "/m/b"), "/m/b");
    assert_string_equal(find("DELETE", "/m/b"), "405");
}

static void integers(void **state)
{
    (void)state;
    add("/{i:int}");
    expect("/0", "/{i:int} 0");
    expect("/-1", "/{i:int} -1");
    expect("/007", "/{i:int} 007");
    expect("/9223372036854775807", "/{i:int} 9223372036854775807");
    expect("/9223372036854775808", "404");
    expect("/-9223372036854775808", "/{i:int} -9223372036854775808");
    expect("/-9223372036854775809", "404");
    expect("/18446744073709551616", "404");
    expect("/99999999999999999999999999999999", "404");
    expect("/+1", "404");
    expect("/-", "404");
    expect("/", "404");
    expect("/1.0", "404");
    expect("/1e3", "404");
    expect("/%31", "/{i:int} 1");
    expect("/\xd9\xa1", "404"); /* ARABIC-INDIC DIGIT ONE */
    expect("/1%20", "404");
}

static void regular_expressions(void **state)
{
    (void)state;
    add("/d/{x:[0-9]{3}}");
    add("/d/{x:a{1,2}b}");
    add("/alt/{x:one|two}");
    add("/any/{x:.*}");
    add("/esc/{x:\\d+\\}}");
    add("/groups/{x:(a)(b)?}-{y:(c)}");
    add("/i/{x:(?i)abc}/{y}");
    add("/u/{x:.}");
    expect("/d/123", "/d/{x:[0-9]{3}} 123");
    expect("/d/12", "404");
    expect("/d/1234", "404");
    expect("/d/aab", "/d/{x:a{1,2}b} aab");
    expect("/d/aaab", "404");
    expect("/alt/one", "/alt/{x:one|two} one");
    expect("/alt/two", "/alt/{x:one|two} two");
    expect("/alt/onetwo", "404");
    expect("/alt/ones", "404");
    expect("/any/", "/any/{x:.*} ");
    expect("/any/a%0Ab", "/any/{x:.*} a\nb"); /* the server refuses it, the router does not care */
    expect("/any/a%2Fb", "/any/{x:.*} a/b");
    expect("/any/a/b", "404");
    expect("/esc/12%7D", "/esc/{x:\\d+\\}} 12}");
    expect("/groups/ab-c", "/groups/{x:(a)(b)?}-{y:(c)} ab c");
    expect("/groups/a-c", "/groups/{x:(a)(b)?}-{y:(c)} a c");
    expect("/i/ABC/ABC", "/i/{x:(?i)abc}/{y} ABC ABC");
    expect("/u/%C3%A9", "/u/{x:.} \xc3\xa9");
    expect("/u/%FF", "404"); /* not UTF-8: no expression matches it */
}

static void mixed_segments(void **state)
{
    (void)state;
    add("/{name}.{ext}");
    add("/v{n:int}");
    add("/{a:int}-{b:int}");
    add("/[{x}]");
    expect("/a.b", "/{name}.{ext} a b");
    expect("/a.b.c", "/{name}.{ext} a.b c");
    expect("/a.", "404");
    expect("/.b", "404");
    expect("/ab", "404");
    expect("/v12", "/v{n:int} 12");
    expect("/v", "404");
    expect("/v99999999999999999999", "404");
    expect("/1-2", "/{a:int}-{b:int} 1 2");
    expect("/1--2", "/{a:int}-{b:int} 1 -2");
    expect("/1-99999999999999999999", "404");
    expect("/[q]", "/[{x}] q");
    /* The expression of an int is not that of digits that may overflow. */
    add("/v{n:-?[0-9]+}");
    expect("/v99999999999999999999", "/v{n:-?[0-9]+} 99999999999999999999");
    expect("/v7", "/v{n:int} 7");
}

static void rest_of_path(void **state)
{
    (void)state;
    add("/files/{rest:path}");
    add("/files/special");
    expect("/files/", "/files/{rest:path} ");
    expect("/files", "404");
    expect("/files/a/b//c/", "/files/{rest:path} a/b//c/");
    expect("/files/a%2Fb/c", "/files/{rest:path} a/b/c");
    expect("/files/%2e%2e/x", "/files/{rest:path} ../x");
    expect("/files/special", "/files/special");
    expect("/files/special/x", "/files/{rest:path} special/x");
}

/* Then nobody knows where the path leads, and it is not for another route. */
static void a_costly_expression_gives_up(void **state)
{
    (void)state;
    char path[256] = "/";
    struct router_match match;
    add("/{x:(?:a+)+[bc]}");
    add("/{y}");
    memset(path + 1, 'a', 200);
    assert_int_equal(match_path("GET", path, 201, &match), TEPAL_EPATTERN);
    assert_null(match.route);
    assert_string_equal(match.costly, "(?:a+)+[bc]");
    expect("/aab", "/{x:(?:a+)+[bc]} aab");
    expect("/aad", "/{y} aad");
}

/* Where the JIT's stack is too small the interpreter has a limit, too. */
static void an_expression_that_takes_memory(void **state)
{
    (void)state;
    static char path[400 * 1024];
    struct router_match match;
    add("/{x:(?:a|b)+(c|d)}");
    memset(path, 'a', sizeof(path));
    path[0] = '/';
    int rc = match_path("GET", path, sizeof(path), &match);
    assert_true(rc == TEPAL_EPATTERN || rc == 0);
    assert_null(match.route);
}

static void references_between_groups(void **state)
{
    (void)state;
    add("/one/{x:(a|b)\\1}");
    add("/call/{x:(a|b)(?1)}");
    add("/all/{x:a(?R)?b}");
    add("/if/{x:(a)?b(?(1)c|d)}");
    add("/two/{x:(?<p>a|b)\\k<p>}-{y:(?<q>.)\\k<q>}");
    add("/back/{x:(a|b)\\g{-1}}-{y:(.)\\g{-1}}");
    expect("/one/aa", "/one/{x:(a|b)\\1} aa");
    expect("/one/ab", "404");
    expect("/call/ab", "/call/{x:(a|b)(?1)} ab");
    expect("/all/aabb", "/all/{x:a(?R)?b} aabb");
    expect("/all/aab", "404");
    expect("/if/abc", "/if/{x:(a)?b(?(1)c|d)} abc");
    expect("/if/bd", "/if/{x:(a)?b(?(1)c|d)} bd");
    expect("/if/abd", "404");
    expect("/two/bb-cc", "/two/{x:(?<p>a|b)\\k<p>}-{y:(?<q>.)\\k<q>} bb cc");
    expect("/two/ba-cc", "404");
    expect("/back/bb-cc", "/back/{x:(a|b)\\g{-1}}-{y:(.)\\g{-1}} bb cc");
    expect("/back/bb-cd", "404");
}

/* Whatever they begin and end with, the first one that was added wins. */
static void the_order_of_expressions(void **state)
{
    (void)state;
    add("/{a}-{b}");
    add("/x-{c}");
    add("/x{d:int}");
    add("/{e:[xy].*z}");
    add("/{f}z");
    add("/xy{g}");
    expect("/x-1", "/{a}-{b} x 1");
    expect("/x-", "404");
    expect("/x7", "/x{d:int} 7");
    expect("/xyz", "/{e:[xy].*z} xyz");
    expect("/az", "/{f}z a");
    expect("/xyq", "/xy{g} q");
    expect("/z", "404");
}

/* More lengths of beginnings than the index tells apart. */
static void beginnings_of_many_lengths(void **state)
{
    (void)state;
    char pattern[128], path[128], found[160];
    for (int len = 40; len > 0; len--) {
        sprintf(pattern, "/%.*s{x:int}.end", len,
                "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa");
        add(pattern);
    }
    for (int len = 1; len <= 40; len++) {
        sprintf(path, "/%.*s7.end", len, "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa");
        sprintf(found, "/%.*s{x:int}.end 7", len,
                "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa");
        expect(path, found);
    }
}

/* Matching a group once for each character takes stack that the JIT has not got by itself. */
static void a_long_segment(void **state)
{
    (void)state;
    char path[8100] = "/", found[8200];
    add("/{x:(?:a|b)+c}");
    memset(path + 1, 'a', 8000);
    path[8001] = 'c';
    sprintf(found, "/{x:(?:a|b)+c} %s", path + 1);
    expect(path, found);
}

/* A match has a stack of its own: the task's may be smaller than what the JIT wants. */
static char long_path[8100];
static int matched;

static int match_long_path(void *arg)
{
    struct router_match match;
    (void)arg;
    matched = match_path("GET", long_path, strlen(long_path), &match);
    return match.route ? 0 : -ENOENT;
}

static int match_on_a_small_stack(void *arg)
{
    (void)arg;
    tepal_spawn_options options = { .stack_size = SANITIZED ? 128 * 1024 : 32 * 1024 };
    tepal_group *group = tepal_group_new();
    int rc = tepal_spawn(group, match_long_path, NULL, &options);
    if (rc == 0)
        rc = tepal_group_wait(group);
    tepal_group_close(group);
    return rc;
}

static void a_small_stack(void **state)
{
    (void)state;
    add("/{x:(?:a|b)+c}");
    memset(long_path, 'a', sizeof(long_path) - 1);
    long_path[0] = '/';
    long_path[sizeof(long_path) - 2] = 'c';
    matched = 1;
    assert_int_equal(tepal_main(match_on_a_small_stack, NULL), 0);
    assert_int_equal(matched, 0);
}

static void methods(void **state)
{
    (void)state;
    add_route("GET", "/a");
    add_route("POST", "/a");
    add_route("*", "/a");
    add_route("GET", "/b");
    add_route("*", "/c");
    add_route("HEAD", "/d");
    add_route("GET", "/d");
    const char *why;
    assert_int_equal(
        try_add(&(tepal_route){ .method = "GET", .pattern = "/e", .no_head = true }, &why), 0);
    struct router_match match;
    static const struct {
        const char *method, *path, *found;
    } rows[] = {
        { "GET", "/a", "GET" },   { "POST", "/a", "POST" }, { "HEAD", "/a", "GET" },
        { "DELETE", "/a", "*" },  { "get", "/a", "*" },     { "GET", "/b", "GET" },
        { "HEAD", "/b", "GET" },  { "POST", "/b", NULL },   { "get", "/b", NULL },
        { "BREW", "/c", "*" },    { "*", "/c", "*" },       { "HEAD", "/c", "*" },
        { "HEAD", "/d", "HEAD" }, { "GET", "/e", "GET" },   { "HEAD", "/e", NULL },
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
        assert_int_equal(match_path(rows[i].method, rows[i].path, strlen(rows[i].path), &match), 0);
        assert_true(match.path_exists);
        if (!rows[i].found)
            assert_null(match.route);
        else
            assert_string_equal(match.route->method, rows[i].found);
    }
}

static void allow(void **state)
{
    (void)state;
    add_route("PUT", "/a/{id:int}");
    add_route("DELETE", "/a/{name}");
    add_route("GET", "/a/7");
    add_route("PUT", "/a/{w:[0-9]}");
    add_route("PATCH", "/{p:path}");
    const char *why;
    assert_int_equal(
        try_add(&(tepal_route){ .method = "GET", .pattern = "/n", .no_head = true }, &why), 0);
    assert_string_equal(router_allow(&router, &arena, "/a/7", 4),
                        "DELETE, GET, HEAD, OPTIONS, PATCH, PUT");
    assert_string_equal(router_allow(&router, &arena, "/a/x", 4), "DELETE, OPTIONS, PATCH");
    assert_string_equal(router_allow(&router, &arena, "/n", 2), "GET, OPTIONS, PATCH");
    /* More patterns than anybody has for one path: all of them count. */
    char pattern[64], method[64];
    for (int i = 0; i < 40; i++) {
        sprintf(pattern, "/many/{x:[a-z]{1,%d}}", i + 1);
        sprintf(method, "M%02d", i);
        add_route(method, pattern);
    }
    const char *text = router_allow(&router, &arena, "/many/a", 7);
    assert_non_null(strstr(text, "M00, M01"));
    assert_non_null(strstr(text, "M38, M39, OPTIONS, PATCH"));
}

static void bad_routes(void **state)
{
    (void)state;
    static const struct {
        const char *method, *pattern, *name, *why;
    } rows[] = {
        { "GET", "/a", "a", NULL },
        { "GET", "/a", NULL, "another route has the same method and path" },
        { "POST", "/a", "a", "another route has the same name" },
        { "GET", "/v/{x}", NULL, NULL },
        { "GET", "/v/{y}", NULL, "another route has the same method and path" },
        { "POST", "/v/{y}", NULL, NULL },
        { "GET", "/r/{x:[a-z]}", NULL, NULL },
        { "GET", "/r/{y:[a-z]}", NULL, "another route has the same method and path" },
        { "GET", "/%61", NULL, "another route has the same method and path" },
        { "G T", "/b", NULL, "the method is not a token" },
        { "", "/b", NULL, "the method is empty" },
        { "get", "/b", NULL, "the method is in lower case, which no client sends" },
        { "Get", "/b", NULL, "the method is in lower case, which no client sends" },
        { "GET", "b", NULL, "a pattern begins with '/'" },
        { "GET", "/{x:(}", NULL, "bad regular expression: missing closing parenthesis" },
        { "GET", "/{x:a)(b}", NULL, "bad regular expression: unmatched closing parenthesis" },
        { "GET", "/{x:[}", NULL,
          "bad regular expression: missing terminating ] for character class" },
        { "GET", "/{x:\\xff}\xff", NULL,
          "bad regular expression: UTF-8 error: illegal byte (0xfe or 0xff)" },
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
        const char *why = NULL;
        int rc = try_add(&(tepal_route){ .method = rows[i].method,
                                         .pattern = rows[i].pattern,
                                         .name = rows[i].name },
                         &why);
        if ((rc < 0) != (rows[i].why != NULL))
            print_error("%s: %s\n", rows[i].pattern, why ? why : "taken");
        assert_int_equal(rc, rows[i].why ? TEPAL_EPATTERN : 0);
        if (rows[i].why && strncmp(why, rows[i].why, strlen(rows[i].why)) != 0)
            fail_msg("%s: %s", rows[i].pattern, why);
    }
    const char *why = NULL;
    assert_int_equal(router_add(&router, &(tepal_route){ .method = "GET", .pattern = "/z" }, &why),
                     TEPAL_EPATTERN);
    assert_string_equal(why, "the handler is NULL");
}

/* The steps for a path, whatever else there is. */
static size_t steps_for(const char *path)
{
    n_steps = 0;
    find("GET", path);
    return n_steps;
}

static void cost_does_not_grow(void **state)
{
    (void)state;
    char pattern[128];
    size_t few[4] = { 0 }, many[4];
    for (int i = 0; i < times(3000); i++) {
        sprintf(pattern, "/api/v%d/things/{id:int}", i);
        add(pattern);
        sprintf(pattern, "/api/v%d/{name:[a-z]+}/x", i);
        add(pattern);
        sprintf(pattern, "/fixed/f%d", i);
        add(pattern);
        size_t *counts = i == 9 ? few : many;
        counts[0] = steps_for("/api/v3/things/5");
        counts[1] = steps_for("/api/v3/other/x");
        counts[2] = steps_for("/fixed/f3");
        counts[3] = steps_for("/fixed/nothing");
        if (i == 9)
            assert_true(counts[0] > 0 && counts[0] <= 6 && counts[2] <= 3);
    }
    assert_memory_equal(few, many, sizeof(few));
}

/* Nor with the number of expressions, where they begin or end differently. */
static void cost_does_not_grow_with_expressions(void **state)
{
    (void)state;
    char pattern[128];
    size_t few[5] = { 0 }, many[5];
    for (int i = 0; i < times(1000); i++) {
        sprintf(pattern, "/report-%d-{x}.csv", i);
        add(pattern);
        sprintf(pattern, "/{x:[a-z]+}.of%d", i);
        add(pattern);
        size_t *counts = i == 9 ? few : many;
        counts[0] = steps_for("/report-3-abc.csv");
        counts[1] = steps_for("/report-3-abc.txt");
        counts[2] = steps_for("/abc.of4");
        counts[3] = steps_for("/abc.none");
        counts[4] = steps_for("/x");
    }
    assert_true(few[0] <= 6);
    for (size_t i = 0; i < 5; i++)
        assert_true(many[i] <= few[i] + 2); /* a map for each length of "report-N-" */
}

static void memory_shortage(void **state)
{
    (void)state;
    bool done = false;
    for (size_t n = 1; !done; n++) {
        const char *why = NULL;
        mem_fail_nth(n, 1);
        int rc = try_add(&(tepal_route){ .method = "GET",
                                         .name = "n",
                                         .pattern = "/a/{b}.{c:int}/{d:[x-z]}/{e:path}" },
                         &why);
        done = mem_failures() == 0;
        mem_fail_nth(0, 0);
        assert_int_equal(rc, done ? 0 : -ENOMEM);
        if (!done) {
            router_clear(&router);
            assert_int_equal(router_init(&router), 0);
        }
    }
    /* A match copies its values; without memory for that it fails, and says so. */
    struct router_match match;
    char path[9000];
    memset(path, 'q', sizeof(path));
    memcpy(path, "/a/", 3);
    memcpy(path + 8000, ".1/x/", 5);
    mem_fail_nth(1, 1);
    assert_int_equal(match_path("GET", path, sizeof(path), &match), -ENOMEM);
    mem_fail_nth(0, 0);
    assert_int_equal(match_path("GET", path, sizeof(path), &match), 0);
    assert_non_null(match.route);
}

/* --- In an application ------------------------------------------------------------------------ */

static tepal_res *show_match(tepal_req *req)
{
    const char *name = tepal_req_match(req, "name");
    return tepal_textf(req, 200, "%s %s %s", tepal_req_method(req), tepal_req_pattern(req),
                       name ? name : "-");
}

static tepal_res *delete_it(tepal_req *req)
{
    return tepal_text(req, 200, "deleted");
}

static const tepal_route table[] = {
    { "GET", "/u/{name}", show_match, .name = "user" },
    { "DELETE", "/u/{name}", delete_it },
    { "GET", "/quiet", show_match, .no_head = true },
    { "*", "/any", show_match },
    { 0 },
};

static void served(void **state)
{
    (void)state;
    tepal_routes(app, table);
    start(NULL);
    assert_reply(get("/u/you"), 200, "GET /u/{name} you");
    assert_reply(get("/u/"), 404, "404 Not Found\n");
    assert_reply(get("/u/you/"), 404, NULL);
    assert_reply(ask("DELETE", "/u/you", NULL, NULL), 200, "deleted");
    tepal_test_reply *reply = ask("POST", "/u/you", NULL, "");
    assert_reply(reply, 405, "405 Method Not Allowed\n");
    assert_field(reply, "Allow", "DELETE, GET, HEAD, OPTIONS");
    reply = ask("HEAD", "/u/you", NULL, NULL);
    assert_reply(reply, 200, "");
    assert_field(reply, "Content-Length", "18");
    reply = ask("HEAD", "/quiet", NULL, NULL);
    assert_reply(reply, 405, "");
    assert_field(reply, "Allow", "GET, OPTIONS");
    assert_reply(ask("BREW", "/any", NULL, NULL), 200, "BREW /any -");
    assert_reply(ask("OPTIONS", "*", NULL, NULL), 204, "");
}

static void errors_at_start(void **state)
{
    (void)state;
    static const struct {
        tepal_route route;
        const char *error;
    } rows[] = {
        { { "GET", "/a/{b", ok }, "route GET /a/{b: '{' is never closed" },
        { { "GET", NULL, ok }, "route GET: the pattern is NULL" },
        { { "GET", "/a", NULL }, "route GET /a: the handler is NULL" },
        { { "GET", "/{x:+}", ok },
          "route GET /{x:+}: bad regular expression: "
          "quantifier does not follow a repeatable item" },
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
        const tepal_route two[] = { rows[i].route, { 0 } };
        tepal_routes(app, two);
        tepal_get(app, "bad", ok); /* the first one is told */
        assert_string_equal(tepal_app_error_text(app), rows[i].error);
        assert_refused(NULL, rows[i].error);
        again();
    }
    tepal_get(app, "/{x}", ok);
    tepal_any(app, "/{x}", ok);
    assert_null(tepal_app_error_text(app));
    tepal_get(app, "/{y}", ok);
    assert_string_equal(tepal_app_error_text(app),
                        "route GET /{y}: another route has the same method and path");
}

#define ROUTER_TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        ROUTER_TEST(fixed_segments),
        ROUTER_TEST(percent_codes),
        ROUTER_TEST(priorities),
        ROUTER_TEST(backtracking),
        ROUTER_TEST(integers),
        ROUTER_TEST(regular_expressions),
        ROUTER_TEST(mixed_segments),
        ROUTER_TEST(rest_of_path),
        ROUTER_TEST(a_costly_expression_gives_up),
        ROUTER_TEST(an_expression_that_takes_memory),
        ROUTER_TEST(references_between_groups),
        ROUTER_TEST(the_order_of_expressions),
        ROUTER_TEST(beginnings_of_many_lengths),
        ROUTER_TEST(a_long_segment),
        ROUTER_TEST(a_small_stack),
        ROUTER_TEST(methods),
        ROUTER_TEST(allow),
        ROUTER_TEST(bad_routes),
        ROUTER_TEST(cost_does_not_grow),
        ROUTER_TEST(cost_does_not_grow_with_expressions),
        ROUTER_TEST(memory_shortage),
        WEB_TEST(served),
        WEB_TEST(errors_at_start),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
