/* The router against a model: random tables of routes, and random paths that nearly match. The
 * model knows no tree: it looks at all routes for each segment, in the order that tepal/app.h
 * promises. */
#include "../web_check.h"

#include "web/routing/router.h"

enum { MAX_SEGMENTS = 4, MAX_ROUTES = 24, MAX_VALUES = 2 * MAX_SEGMENTS };

/* --- What a segment can be, and what it takes ------------------------------------------------- */

struct values {
    char texts[MAX_VALUES][64];
    size_t n;
};

static void push(struct values *values, const char *text, size_t len)
{
    sprintf(values->texts[values->n++], "%.*s", (int)len, text);
}

static bool all_of(const char *text, const char *set)
{
    return *text && text[strspn(text, set)] == '\0';
}

static bool is_int(const char *text)
{
    return all_of(*text == '-' ? text + 1 : text, "0123456789");
}

static bool take_whole(const char *text, struct values *values)
{
    push(values, text, strlen(text));
    return true;
}

static bool take_int(const char *text, struct values *values)
{
    return is_int(text) && take_whole(text, values);
}

static bool take_any(const char *text, struct values *values)
{
    return *text && take_whole(text, values);
}

static bool take_letters(const char *text, struct values *values)
{
    return all_of(text, "ab") && take_whole(text, values);
}

static bool take_choice(const char *text, struct values *values)
{
    return (strcmp(text, "a") == 0 || strcmp(text, "1") == 0) && take_whole(text, values);
}

static bool take_behind_a(const char *text, struct values *values)
{
    return text[0] == 'a' && text[1] && take_whole(text + 1, values);
}

static bool take_before_b(const char *text, struct values *values)
{
    size_t len = strlen(text);
    if (len < 2 || text[len - 1] != 'b')
        return false;
    push(values, text, len - 1);
    return true;
}

static bool take_number_behind_a(const char *text, struct values *values)
{
    return text[0] == 'a' && is_int(text + 1) && take_whole(text + 1, values);
}

/* The first variable takes as much as it can. */
static bool take_two(const char *text, struct values *values)
{
    size_t len = strlen(text);
    for (size_t at = len >= 2 ? len - 2 : 0; at > 0; at--)
        if (text[at] == '-') {
            push(values, text, at);
            return take_whole(text + at + 1, values);
        }
    return false;
}

enum rank { FIXED, INT, REGEX, ANY, PATH };

static const struct kind {
    const char *pattern; /* with # for the number that makes names unique */
    enum rank rank;
    bool (*take)(const char *text, struct values *values);
} kinds[] = {
    { "a", FIXED, NULL },
    { "b", FIXED, NULL },
    { "1", FIXED, NULL },
    { "a-b", FIXED, NULL },
    { "", FIXED, NULL },
    { "{i#:int}", INT, take_int },
    { "{r#:[ab]+}", REGEX, take_letters },
    { "{c#:a|1}", REGEX, take_choice },
    { "a{p#}", REGEX, take_behind_a },
    { "{s#}b", REGEX, take_before_b },
    { "a{n#:int}", REGEX, take_number_behind_a },
    { "{l#}-{m#}", REGEX, take_two },
    { "{x#}", ANY, take_any },
    { "{t#:path}", PATH, take_whole },
};

static const char *const texts[] = {
    "a", "b", "1", "a-b", "", "ab", "-2", "a1", "a-1", "-", "--b"
};

/* --- A table of routes ------------------------------------------------------------------------ */

struct model_route {
    const struct kind *segments[MAX_SEGMENTS];
    size_t n;
    const char *method;
    char pattern[128];
};

static struct model_route routes[MAX_ROUTES];
static size_t n_routes;
static struct router router;
static uint64_t seed;

static size_t pick(size_t n)
{
    return next_random(&seed) % n;
}

static void write_pattern(struct model_route *route)
{
    char *p = route->pattern;
    for (size_t i = 0; i < route->n; i++) {
        *p++ = '/';
        for (const char *in = route->segments[i]->pattern; *in; in++)
            *p++ = *in == '#' ? (char)('0' + i) : *in;
    }
    *p = '\0';
}

static void add_random_route(void)
{
    static const char *const methods[] = { "GET", "GET", "POST", "*" };
    struct model_route *route = &routes[n_routes];
    route->n = 1 + pick(MAX_SEGMENTS);
    for (size_t i = 0; i < route->n; i++) {
        route->segments[i] = &kinds[pick(sizeof(kinds) / sizeof(*kinds))];
        if (route->segments[i]->rank == PATH)
            route->n = i + 1;
    }
    route->method = methods[pick(4)];
    write_pattern(route);
    const char *why = NULL;
    int rc = router_add(
        &router,
        &(tepal_route){ .method = route->method, .pattern = route->pattern, .handler = ok }, &why);
    if (rc == 0)
        n_routes++;
    else
        assert_string_equal(why, "another route has the same method and path");
}

/* --- The model -------------------------------------------------------------------------------- */

struct search {
    const char *segments[MAX_SEGMENTS + 1]; /* of the path */
    size_t n;
    const char *method;
    struct values values;
    bool path_exists;
};

/* Which of the routes that are left, one bit each. */
static const struct model_route *arrive(struct search *search, uint32_t left, size_t depth)
{
    const struct model_route *get = NULL, *any = NULL;
    for (size_t i = 0; i < n_routes; i++) {
        if (!(left & 1u << i) || routes[i].n != depth)
            continue;
        search->path_exists = true;
        if (strcmp(routes[i].method, search->method) == 0)
            return &routes[i];
        if (strcmp(routes[i].method, "GET") == 0)
            get = &routes[i];
        if (strcmp(routes[i].method, "*") == 0)
            any = &routes[i];
    }
    return get && strcmp(search->method, "HEAD") == 0 ? get : any;
}

static const struct model_route *walk(struct search *search, uint32_t left, size_t depth);

/* On with the routes whose segment is of this kind. */
static const struct model_route *try_kind(struct search *search, uint32_t left, size_t depth,
                                          const struct kind *kind)
{
    const char *text = search->segments[depth];
    char rest[256] = "";
    uint32_t those = 0;
    size_t n_values = search->values.n, next = depth + 1;
    for (size_t i = 0; i < n_routes; i++)
        if ((left & 1u << i) && routes[i].n > depth && routes[i].segments[depth] == kind)
            those |= 1u << i;
    if (kind->rank == PATH) {
        for (size_t i = depth; i < search->n; i++)
            sprintf(rest + strlen(rest), "%s%s", i > depth ? "/" : "", search->segments[i]);
        text = rest;
    }
    if (!those || !(kind->take ? kind->take(text, &search->values) : !strcmp(kind->pattern, text)))
        return NULL;
    const struct model_route *found = kind->rank == PATH || next == search->n
                                          ? arrive(search, those, next)
                                          : walk(search, those, next);
    if (!found)
        search->values.n = n_values;
    return found;
}

static const struct model_route *walk(struct search *search, uint32_t left, size_t depth)
{
    for (enum rank rank = FIXED; rank <= PATH; rank++)
        for (size_t i = 0; i < n_routes; i++) { /* in the order of registration */
            if (!(left & 1u << i) || routes[i].n <= depth ||
                routes[i].segments[depth]->rank != rank)
                continue;
            const struct model_route *found =
                try_kind(search, left, depth, routes[i].segments[depth]);
            if (found)
                return found;
        }
    return NULL;
}

/* --- Both ------------------------------------------------------------------------------------- */

static struct block_pool pool;
static struct arena arena;

static void compare(const struct search *search, const struct model_route *expected,
                    const struct router_match *match, const char *path)
{
    const char *found = match->route ? match->route->pattern.source : "none";
    if (strcmp(expected ? expected->pattern : "none", found) != 0)
        fail_msg("%s %s: %s, not %s", search->method, path, found,
                 expected ? expected->pattern : "none");
    assert_int_equal(match->path_exists, search->path_exists);
    if (!expected)
        return;
    assert_string_equal(match->route->method, expected->method);
    assert_int_equal(match->n_values, search->values.n);
    for (size_t i = 0; i < match->n_values; i++)
        assert_string_equal(match->values[i].data, search->values.texts[i]);
}

static int match_path(const char *method, const char *path, size_t len, struct router_match *match)
{
    return router_match(&router, &arena, (tepal_bytes){ .data = method, .len = strlen(method) },
                        (tepal_bytes){ .data = path, .len = len }, match);
}

static void look_up(void)
{
    static const char *const methods[] = { "GET", "POST", "HEAD", "PUT" };
    struct search search = { .n = 1 + pick(MAX_SEGMENTS + 1), .method = methods[pick(4)] };
    char path[256] = "";
    for (size_t i = 0; i < search.n; i++) {
        search.segments[i] = texts[pick(sizeof(texts) / sizeof(*texts))];
        sprintf(path + strlen(path), "/%s", search.segments[i]);
    }
    struct router_match match;
    arena_reset(&arena);
    assert_int_equal(match_path(search.method, path, strlen(path), &match), 0);
    const struct model_route *expected = walk(&search, ~0u, 0);
    compare(&search, expected, &match, path);
}

static void router_and_model(void **state)
{
    (void)state;
    block_pool_init(&pool, 8192, 4);
    assert_int_equal(arena_init(&arena, &pool, 1 << 20), 0);
    for (int i = 0; i < times(1500); i++) {
        seed = (uint64_t)i;
        n_routes = 0;
        assert_int_equal(router_init(&router), 0);
        for (size_t n = 1 + pick(MAX_ROUTES); n > 0; n--)
            add_random_route();
        for (int j = 0; j < 60; j++)
            look_up();
        router_clear(&router);
    }
    arena_clear(&arena);
    block_pool_clear(&pool);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(router_and_model) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
