/* The router: a tree of path segments that leads from a request's path to its route.
 *
 * It is built before the application is served, and not changed afterwards.
 */
#ifndef TEPAL_WEB_ROUTING_ROUTER_H
#define TEPAL_WEB_ROUTING_ROUTER_H

#include "base/arena.h"
#include "base/map.h"
#include "web/routing/pattern.h"

#include <tepal/route.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct route {
    struct route *next; /* in its resource */
    struct route *next_in_app;
    struct pattern pattern;
    char *method;
    size_t method_len;
    uint64_t method_word; /* of one that is no longer than WORD_MAX */
    char *name;           /* NULL: none */
    tepal_handler *handler;
    const void *arg;
    size_t max_body;    /* 0: the server's */
    int64_t timeout_ms; /* 0: none */
    bool no_head;
    bool shield;   /* a client that goes away does not end the handler */
    unsigned told; /* what was said once: see mistake.h */
};

/* A place in the tree: what may follow, and what ends here. */
struct router_node;

/* What expressions are matched with. */
struct segment_matcher;

struct router {
    struct router_node *root;
    struct map whole; /* path without its first slash -> node, of paths without variables */
    struct segment_matcher *matcher; /* NULL: there are none */
    struct route *routes, **last;
    struct map names;
};

/* What a match found. */
struct router_match {
    struct route *route; /* NULL: none */
    tepal_bytes values[PATTERN_MAX_VARIABLES];
    size_t n_values;
    bool path_exists;   /* without a route, too: the path is there, but not for this method */
    const char *costly; /* after TEPAL_EPATTERN: the expression */
};

int router_init(struct router *router);
void router_clear(struct router *router);

/* Adds a route; strings are copied. Returns 0, TEPAL_EPATTERN with *why (a constant text, or one
 * that lives as long as the router), or -ENOMEM. */
int router_add(struct router *router, const tepal_route *route, const char **why);

/* Finds the route of a method and a path, which is still encoded. Values are decoded and
 * terminated; they live in the arena or in the path. Returns 0, -ENOMEM, or TEPAL_EPATTERN when an
 * expression takes more than its limits: whether there is a route is not known then. */
int router_match(const struct router *router, struct arena *arena, tepal_bytes method,
                 tepal_bytes path, struct router_match *match);

/* Writes the methods that the path has, and OPTIONS, sorted and separated by ", ", to a new text in
 * the arena; NULL when memory is short. */
const char *router_allow(const struct router *router, struct arena *arena, const char *path,
                         size_t len);

#endif
