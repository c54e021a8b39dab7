/* The tree of segments: building it, and walking it for each request. It knows paths and methods,
 * and nothing else of a request. */
#include "web/routing/router.h"

#include "base/mem.h"
#include "base/word.h"
#include "http/field.h"
#include "http/uri.h"
#include "web/routing/regex_index.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* What may follow a node, in the order in which it is tried. NULL: nothing of that kind. */
struct router_node {
    struct map fixed; /* text of the segment -> node */
    struct router_node *integer;
    struct regex_index *expressions;
    struct router_node *any;
    struct router_node *path;
    struct route *routes;          /* that end here, of all methods */
    struct router_node *next_made; /* all nodes of the router, to free them */
};

/* --- Building --------------------------------------------------------------------------------- */

static struct router_node *node_new(struct router *router)
{
    struct router_node *node = mem_zalloc(sizeof(*node));
    if (node && router->root) {
        node->next_made = router->root->next_made;
        router->root->next_made = node;
    }
    return node;
}

int router_init(struct router *router)
{
    *router = (struct router){ 0 };
    router->last = &router->routes;
    router->root = node_new(router);
    return router->root ? 0 : -ENOMEM;
}

static void route_free(struct route *route)
{
    pattern_clear(&route->pattern);
    mem_free(route->method);
    mem_free(route->name);
    mem_free(route);
}

void router_clear(struct router *router)
{
    while (router->root) {
        struct router_node *node = router->root;
        router->root = node->next_made;
        if (node->expressions)
            regex_index_clear(node->expressions);
        mem_free(node->expressions);
        map_clear(&node->fixed);
        mem_free(node);
    }
    while (router->routes) {
        struct route *route = router->routes;
        router->routes = route->next_in_app;
        route_free(route);
    }
    map_clear(&router->names);
    map_clear(&router->whole);
    segment_matcher_free(router->matcher);
    router->matcher = NULL;
}

static int follow_fixed(struct router *router, struct router_node **node,
                        const struct pattern_segment *segment)
{
    size_t len = strlen(segment->text);
    struct router_node *child = map_get(&(*node)->fixed, segment->text, len);
    if (!child) {
        child = node_new(router);
        if (!child || map_set(&(*node)->fixed, segment->text, len, child) < 0)
            return -ENOMEM;
    }
    *node = child;
    return 0;
}

/* To the node behind the expression of the segment. */
static int follow_expression(struct router *router, struct router_node **node,
                             const struct pattern_segment *segment, const char **why)
{
    struct router_node *from = *node;
    if (!router->matcher && !(router->matcher = segment_matcher_new()))
        return -ENOMEM;
    if (!from->expressions && !(from->expressions = mem_zalloc(sizeof(*from->expressions))))
        return -ENOMEM;
    struct regex_branch *branch = regex_index_get(from->expressions, segment);
    int rc =
        branch ? 0 : regex_index_add(from->expressions, router->matcher, segment, why, &branch);
    if (rc < 0)
        return rc;
    if (!branch->node && !(branch->node = node_new(router)))
        return -ENOMEM;
    *node = branch->node;
    return 0;
}

static int follow_variable(struct router *router, struct router_node **node, enum segment_kind kind)
{
    struct router_node **child = kind == SEGMENT_INT   ? &(*node)->integer
                                 : kind == SEGMENT_ANY ? &(*node)->any
                                                       : &(*node)->path;
    if (!*child && !(*child = node_new(router)))
        return -ENOMEM;
    *node = *child;
    return 0;
}

static int follow(struct router *router, struct router_node **node,
                  const struct pattern_segment *segment, const char **why)
{
    switch (segment->kind) {
    case SEGMENT_FIXED:
        return follow_fixed(router, node, segment);
    case SEGMENT_REGEX:
        return follow_expression(router, node, segment, why);
    default:
        return follow_variable(router, node, segment->kind);
    }
}

/* Whether the pattern, behind its first slash, is the only path that it matches and that is not
 * encoded. */
static bool is_whole_path(const struct pattern *pattern)
{
    const char *p = pattern->source;
    for (size_t i = 0; i < pattern->n_segments; i++) {
        const struct pattern_segment *segment = &pattern->segments[i];
        size_t len = segment->kind == SEGMENT_FIXED ? strlen(segment->text) : 0;
        if (segment->kind != SEGMENT_FIXED || memchr(segment->text, '/', len) ||
            memchr(segment->text, '%', len) || *p != '/' || strncmp(p + 1, segment->text, len) != 0)
            return false;
        p += 1 + len;
    }
    return pattern->n_segments > 0 && *p == '\0';
}

/* Hangs the route on the tree. */
static int insert(struct router *router, struct route *route, const char **why)
{
    struct router_node *node = router->root;
    int rc = 0;
    for (size_t i = 0; i < route->pattern.n_segments && rc == 0; i++)
        rc = follow(router, &node, &route->pattern.segments[i], why);
    if (rc < 0)
        return rc;
    struct route **at = &node->routes;
    for (; *at; at = &(*at)->next)
        if (strcmp((*at)->method, route->method) == 0) {
            *why = "another route has the same method and path";
            return TEPAL_EPATTERN;
        }
    *at = route;
    if (!is_whole_path(&route->pattern))
        return 0;
    const char *path = route->pattern.source + 1;
    return map_set(&router->whole, path, strlen(path), node);
}

static int check_name(struct router *router, const struct route *route, const char **why)
{
    if (!route->name)
        return 0;
    if (map_get(&router->names, route->name, strlen(route->name))) {
        *why = "another route has the same name";
        return TEPAL_EPATTERN;
    }
    return map_set(&router->names, route->name, strlen(route->name), (void *)(uintptr_t)route);
}

/* What is wrong with the route besides its pattern and its name; NULL: nothing. */
static const char *fault_of(const struct route *route)
{
    if (!http_is_token(route->method, strlen(route->method)))
        return *route->method ? "the method is not a token" : "the method is empty";
    if (strpbrk(route->method, "abcdefghijklmnopqrstuvwxyz"))
        return "the method is in lower case, which no client sends";
    if (!route->handler)
        return "the handler is NULL";
    return route->timeout_ms < 0 ? "timeout_ms is negative" : NULL;
}

static inline uint64_t word_of_method(const char *text, size_t len)
{
    return len <= WORD_MAX ? word_of(text, len) : 0;
}

int router_add(struct router *router, const tepal_route *options, const char **why)
{
    struct route *route = mem_zalloc(sizeof(*route));
    if (!route)
        return -ENOMEM;
    *why = NULL;
    /* In the list first: whatever fails, router_clear() frees it. */
    *router->last = route;
    router->last = &route->next_in_app;
    route->handler = options->handler;
    route->arg = options->arg;
    route->max_body = options->max_body;
    route->timeout_ms = options->timeout_ms;
    route->no_head = options->no_head;
    route->shield = options->shield;
    route->method = mem_strdup(options->method);
    route->method_len = strlen(options->method);
    route->method_word = word_of_method(options->method, route->method_len);
    route->name = options->name ? mem_strdup(options->name) : NULL;
    if (!route->method || (options->name && !route->name))
        return -ENOMEM;
    if ((*why = fault_of(route)))
        return TEPAL_EPATTERN;
    int rc = pattern_parse(&route->pattern, options->pattern, why);
    if (rc == 0)
        rc = insert(router, route, why);
    return rc < 0 ? rc : check_name(router, route, why);
}

/* --- Matching --------------------------------------------------------------------------------- */

struct walk {
    struct arena *arena;
    struct segment_matcher *matcher;
    const struct method *method;
    const char *end;
    struct router_match *match;
    const char **methods; /* for router_allow(): of all nodes that the path reaches */
    size_t n_methods;
    int error;
};

/* A method as it is looked for. */
struct method {
    const char *text;
    size_t len;
    uint64_t word; /* see struct route */
};

static inline bool is_of(const struct route *route, const struct method *method)
{
    return route->method_len == method->len && route->method_word == method->word &&
           (LIKELY(method->len <= WORD_MAX) ||
            memcmp(route->method, method->text, method->len) == 0);
}

/* The route for a method that has none of its own. */
static NO_INLINE struct route *route_instead(struct route *routes, const struct method *method)
{
    struct route *any = NULL, *get = NULL;
    for (; routes; routes = routes->next) {
        if (strcmp(routes->method, "GET") == 0 && !routes->no_head)
            get = routes;
        else if (strcmp(routes->method, "*") == 0)
            any = routes;
    }
    return get && method->len == 4 && memcmp(method->text, "HEAD", 4) == 0 ? get : any;
}

static inline struct route *route_for(struct route *routes, const struct method *method)
{
    for (struct route *route = routes; route; route = route->next)
        if (is_of(route, method))
            return route;
    return route_instead(routes, method);
}

enum { MAX_METHODS = 64 };

static void add_method(struct walk *walk, const char *method)
{
    for (size_t i = 0; i < walk->n_methods; i++)
        if (strcmp(walk->methods[i], method) == 0)
            return;
    if (walk->n_methods < MAX_METHODS)
        walk->methods[walk->n_methods++] = method;
}

static void add_methods(struct walk *walk, const struct route *routes)
{
    for (; routes; routes = routes->next) {
        add_method(walk, routes->method);
        if (strcmp(routes->method, "GET") == 0 && !routes->no_head)
            add_method(walk, "HEAD");
    }
}

/* A path has been matched up to its end. Returns whether the walk is over. */
static bool arrive(struct walk *walk, const struct router_node *node)
{
    if (!node->routes)
        return false;
    walk->match->path_exists = true;
    if (walk->methods) {
        add_methods(walk, node->routes);
        return false;
    }
    walk->match->route = route_for(node->routes, walk->method);
    return walk->match->route != NULL;
}

/* The segment at text, decoded. */
static tepal_bytes decode(struct walk *walk, const char *text, size_t len)
{
    tepal_bytes bytes = { .data = text, .len = len };
    if (len == 0 || !memchr(text, '%', len))
        return bytes;
    char *copy = arena_alloc_text(walk->arena, len);
    if (!copy) {
        walk->error = -ENOMEM;
        return (tepal_bytes){ .data = "", .len = 0 };
    }
    bytes.data = copy;
    bytes.len = uri_decode(copy, text, len, false);
    return bytes;
}

static void push(struct walk *walk, tepal_bytes value)
{
    struct router_match *match = walk->match;
    if (match->n_values < PATTERN_MAX_VARIABLES)
        match->values[match->n_values++] = value;
}

static bool descend(struct walk *walk, const struct router_node *node, const char *text);

/* Goes on from a child behind a segment, whose values have been pushed. slash ends the segment;
 * NULL: it is the last one. */
static inline bool go_on(struct walk *walk, const struct router_node *child, const char *slash)
{
    return slash ? descend(walk, child, slash + 1) : arrive(walk, child);
}

/* Tries the expressions that may match the segment. */
static NO_INLINE bool try_expressions(struct walk *walk, const struct regex_index *index,
                                      tepal_bytes segment, const char *slash)
{
    struct router_match *match = walk->match;
    struct regex_walk candidates;
    const struct regex_branch *branch;
    size_t n_values = match->n_values, room = PATTERN_MAX_VARIABLES - n_values;
    regex_walk_begin(&candidates, index, segment);
    while (walk->error == 0 && (branch = regex_walk_next(&candidates))) {
        int n = segment_regex_match(branch->regex, walk->matcher, segment, match->values + n_values,
                                    room);
        match->n_values = n_values + (n > 0 ? (size_t)n : 0);
        if (n > 0 && go_on(walk, branch->node, slash))
            return true;
        if (UNLIKELY(n < 0)) {
            walk->error = n;
            match->costly = branch->text;
        }
    }
    match->n_values = n_values;
    return false;
}

/* Whether a child for a variable that is the whole segment leads on. */
static NO_INLINE bool try_variable(struct walk *walk, const struct router_node *child,
                                   tepal_bytes value, const char *slash)
{
    size_t n_values = walk->match->n_values;
    push(walk, value);
    if (go_on(walk, child, slash))
        return true;
    walk->match->n_values = n_values;
    return false;
}

/* Goes on from a node with the path from text on, which is behind a slash. */
static bool descend(struct walk *walk, const struct router_node *node, const char *text)
{
    const char *slash = memchr(text, '/', (size_t)(walk->end - text));
    const char *stop = slash ? slash : walk->end;
    tepal_bytes segment = decode(walk, text, (size_t)(stop - text));
    const struct router_node *child = map_get(&node->fixed, segment.data, segment.len);
    if (child && go_on(walk, child, slash))
        return true;
    if (node->integer && pattern_is_int(segment) &&
        try_variable(walk, node->integer, segment, slash))
        return true;
    if (node->expressions && try_expressions(walk, node->expressions, segment, slash))
        return true;
    if (node->any && segment.len > 0 && walk->error == 0 &&
        try_variable(walk, node->any, segment, slash))
        return true;
    if (!node->path || walk->error < 0)
        return false;
    return try_variable(walk, node->path, decode(walk, text, (size_t)(walk->end - text)), NULL);
}

int router_match(const struct router *router, struct arena *arena, tepal_bytes given,
                 tepal_bytes path, struct router_match *match)
{
    match->route = NULL;
    match->n_values = 0;
    match->path_exists = false;
    if (path.len == 0 || path.data[0] != '/') /* "*", or the target of CONNECT */
        return 0;
    const struct method method = { given.data, given.len, word_of_method(given.data, given.len) };
    /* To the node of a whole path the tree would lead first, too. */
    const struct router_node *whole = map_get(&router->whole, path.data + 1, path.len - 1);
    if (whole && (match->route = route_for(whole->routes, &method))) {
        match->path_exists = true;
        return 0;
    }
    struct walk walk = { .arena = arena,
                         .matcher = router->matcher,
                         .method = &method,
                         .end = path.data + path.len,
                         .match = match };
    descend(&walk, router->root, path.data + 1);
    for (size_t i = 0; i < match->n_values && walk.error == 0; i++) {
        match->values[i].data = arena_strndup(arena, match->values[i].data, match->values[i].len);
        if (!match->values[i].data)
            walk.error = -ENOMEM;
    }
    return walk.error;
}

/* --- Allow ------------------------------------------------------------------------------------ */

static int compare_text(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

const char *router_allow(const struct router *router, struct arena *arena, const char *path,
                         size_t len)
{
    struct router_match match = { 0 };
    const char *methods[MAX_METHODS];
    size_t size = 1;
    struct walk walk = { .arena = arena,
                         .matcher = router->matcher,
                         .end = path + len,
                         .match = &match,
                         .methods = methods };
    descend(&walk, router->root, path + 1);
    add_method(&walk, "OPTIONS"); /* which is answered for every route */
    qsort(methods, walk.n_methods, sizeof(*methods), compare_text);
    for (size_t i = 0; i < walk.n_methods; i++)
        size += strlen(methods[i]) + 2;
    char *text = arena_alloc_text(arena, size), *p = text;
    if (!text)
        return NULL;
    *p = '\0';
    for (size_t i = 0; i < walk.n_methods; i++)
        p += snprintf(p, size - (size_t)(p - text), "%s%s", i ? ", " : "", methods[i]);
    return text;
}
