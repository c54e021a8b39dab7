/* The tree of segments: building it, and walking it for each request. It knows paths and methods,
 * and nothing else of a request. */
#include "web/router.h"

#include "base/mem.h"
#include "http/field.h"
#include "http/uri.h"
#include "web/segment_regex.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Something variable that may follow a node. */
struct branch {
    struct branch *next; /* in the order in which they are tried */
    enum segment_kind kind;
    char *text; /* REGEX: the expression, to find equal ones */
    struct segment_regex *regex;
    struct router_node *node;
};

struct router_node {
    struct map fixed; /* text of the segment -> node */
    struct branch *branches;
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
        while (node->branches) {
            struct branch *branch = node->branches;
            node->branches = branch->next;
            segment_regex_free(branch->regex);
            mem_free(branch->text);
            mem_free(branch);
        }
        map_clear(&node->fixed);
        mem_free(node);
    }
    while (router->routes) {
        struct route *route = router->routes;
        router->routes = route->next_in_app;
        route_free(route);
    }
    map_clear(&router->names);
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

/* A new branch behind those that are tried before it. */
static int add_branch(struct router *router, struct router_node *node,
                      const struct pattern_segment *segment, struct branch **out, const char **why)
{
    struct branch *branch = mem_zalloc(sizeof(*branch));
    if (!branch)
        return -ENOMEM;
    struct branch **at = &node->branches;
    while (*at && (*at)->kind <= segment->kind)
        at = &(*at)->next;
    branch->next = *at;
    *at = *out = branch;
    branch->kind = segment->kind;
    branch->node = node_new(router);
    if (!branch->node)
        return -ENOMEM;
    if (segment->kind != SEGMENT_REGEX)
        return 0;
    branch->text = mem_strdup(segment->text);
    return branch->text ? segment_regex_new(&branch->regex, segment, why) : -ENOMEM;
}

static int follow_variable(struct router *router, struct router_node **node,
                           const struct pattern_segment *segment, const char **why)
{
    struct branch *branch = (*node)->branches;
    while (branch && (branch->kind != segment->kind ||
                      (segment->kind == SEGMENT_REGEX && strcmp(branch->text, segment->text) != 0)))
        branch = branch->next;
    if (!branch) {
        int rc = add_branch(router, *node, segment, &branch, why);
        if (rc < 0)
            return rc;
    }
    *node = branch->node;
    return 0;
}

/* Hangs the route on the tree. */
static int insert(struct router *router, struct route *route, const char **why)
{
    struct router_node *node = router->root;
    int rc = 0;
    for (size_t i = 0; i < route->pattern.n_segments && rc == 0; i++) {
        const struct pattern_segment *segment = &route->pattern.segments[i];
        rc = segment->kind == SEGMENT_FIXED ? follow_fixed(router, &node, segment)
                                            : follow_variable(router, &node, segment, why);
    }
    if (rc < 0)
        return rc;
    struct route **at = &node->routes;
    for (; *at; at = &(*at)->next)
        if (strcmp((*at)->method, route->method) == 0) {
            *why = "another route has the same method and path";
            return TEPAL_EPATTERN;
        }
    *at = route;
    return 0;
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
    route->max_body = options->max_body;
    route->timeout_ms = options->timeout_ms;
    route->no_head = options->no_head;
    route->shield = options->shield;
    route->method = mem_strdup(options->method);
    route->name = options->name ? mem_strdup(options->name) : NULL;
    if (!route->method || (options->name && !route->name))
        return -ENOMEM;
    if (!http_is_token(route->method, strlen(route->method))) {
        *why = "the method is not a token";
        return TEPAL_EPATTERN;
    }
    if (!route->handler) {
        *why = "the handler is NULL";
        return TEPAL_EPATTERN;
    }
    int rc = pattern_parse(&route->pattern, options->pattern, why);
    if (rc == 0)
        rc = insert(router, route, why);
    return rc < 0 ? rc : check_name(router, route, why);
}

/* --- Matching --------------------------------------------------------------------------------- */

struct walk {
    struct arena *arena;
    const char *method, *end;
    struct router_match *match;
    const char **methods; /* for router_allow(): of all nodes that the path reaches */
    size_t n_methods;
    int error;
};

static const struct route *route_for(const struct route *routes, const char *method)
{
    const struct route *any = NULL, *get = NULL;
    for (; routes; routes = routes->next) {
        if (strcmp(routes->method, method) == 0)
            return routes;
        if (strcmp(routes->method, "GET") == 0 && !routes->no_head)
            get = routes;
        else if (strcmp(routes->method, "*") == 0)
            any = routes;
    }
    return get && strcmp(method, "HEAD") == 0 ? get : any;
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

static bool is_int(tepal_bytes text)
{
    size_t i = text.len > 0 && text.data[0] == '-';
    uint64_t max = i ? (uint64_t)INT64_MAX + 1 : INT64_MAX, value = 0;
    if (i == text.len)
        return false;
    for (; i < text.len; i++) {
        unsigned digit = (unsigned)(unsigned char)text.data[i] - '0';
        if (digit > 9 || value > (max - digit) / 10)
            return false;
        value = value * 10 + digit;
    }
    return true;
}

/* Whether the branch takes the segment; its values are pushed then. */
static bool takes(struct walk *walk, const struct branch *branch, tepal_bytes segment)
{
    switch (branch->kind) {
    case SEGMENT_INT:
        if (!is_int(segment))
            return false;
        push(walk, segment);
        return true;
    case SEGMENT_ANY:
        if (segment.len == 0)
            return false;
        push(walk, segment);
        return true;
    case SEGMENT_REGEX: {
        struct router_match *match = walk->match;
        size_t room = PATTERN_MAX_VARIABLES - match->n_values;
        int n = segment_regex_match(branch->regex, segment, match->values + match->n_values, room,
                                    is_int);
        match->n_values += n > 0 ? (size_t)n : 0;
        return n > 0;
    }
    default:
        return false;
    }
}

/* Goes on from a node with the path from text on, which is behind a slash. */
static bool descend(struct walk *walk, const struct router_node *node, const char *text)
{
    const char *slash = memchr(text, '/', (size_t)(walk->end - text));
    const char *stop = slash ? slash : walk->end;
    tepal_bytes segment = decode(walk, text, (size_t)(stop - text));
    const struct router_node *child = map_get(&node->fixed, segment.data, segment.len);
    size_t n_values = walk->match->n_values;
    if (child && (slash ? descend(walk, child, slash + 1) : arrive(walk, child)))
        return true;
    for (const struct branch *branch = node->branches; branch && walk->error == 0;
         branch = branch->next) {
        walk->match->n_values = n_values;
        if (branch->kind == SEGMENT_PATH) {
            push(walk, decode(walk, text, (size_t)(walk->end - text)));
            if (arrive(walk, branch->node))
                return true;
        } else if (takes(walk, branch, segment)) {
            if (slash ? descend(walk, branch->node, slash + 1) : arrive(walk, branch->node))
                return true;
        }
    }
    walk->match->n_values = n_values;
    return false;
}

int router_match(const struct router *router, struct arena *arena, const char *method,
                 const char *path, size_t len, struct router_match *match)
{
    match->route = NULL;
    match->n_values = 0;
    match->path_exists = false;
    if (len == 0 || path[0] != '/') /* "*", or the target of CONNECT */
        return 0;
    struct walk walk = { .arena = arena, .method = method, .end = path + len, .match = match };
    descend(&walk, router->root, path + 1);
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
    struct walk walk = {
        .arena = arena, .method = "", .end = path + len, .match = &match, .methods = methods
    };
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
