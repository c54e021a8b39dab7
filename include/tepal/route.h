/* Routes: which handler gets which requests.
 *
 * A pattern is a path. A segment of it, or a part of one, may be a variable:
 *
 *   {name}        anything but nothing, within the segment
 *   {name:int}    a decimal integer that fits int64_t, with an optional '-'
 *   {name:path}   the rest of the path, slashes and all; may be empty; only as the last segment
 *   {name:REGEX}  what the PCRE2 regular expression matches, within the segment. A group of it is
 *                 referred to by its name, (?<y>a)\k<y>, when the segment has more parts than the
 *                 variable. A match that takes over 100000 steps is given up: a 500, and logged
 *
 * Names are identifiers. A fixed segment wins over a variable one; among variable ones int wins
 * over a regular expression, that (in order of registration) over a plain one, and path comes last.
 * Matching takes time by the length of the path, not by the number of routes: but for segments with
 * a regular expression, or with several parts, of which those are tried that begin and end with the
 * same fixed text as the path's.
 *
 * What could never match as it is meant is refused at the start: a method in lower case; :name,
 * <name>, [name] and * in the place of a variable, and '?' and '#', each of which can be written as
 * a %-code where it is meant; '.' and '..', which clients resolve; {name:integer}, and any other
 * mere word in the place of int and path.
 *
 * The path is matched as it was sent, segment by segment, each decoded once: an encoded slash is
 * part of its segment. A path that no pattern matches is a 404; one that is there, but not for this
 * method, a 405 with Allow. OPTIONS of a path that has no handler for it is answered with 204 and
 * Allow, "OPTIONS *" with 204. CONNECT is a 501: no route can be for it. */
#ifndef TEPAL_ROUTE_H
#define TEPAL_ROUTE_H

#include <tepal/app.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct tepal_route {
    const char *method;  /* "GET", ...; "*" is any that has no route of its own there */
    const char *pattern; /* begins with '/' */
    tepal_handler *handler;
    const void *arg;  /* for tepal_req_arg(); not copied */
    const char *name; /* for tepal_req_url(); NULL: none */
    size_t max_body;  /* octets; default that of the server. Over a max_request_memory that is set:
                           refused at the start; TEPAL_UNLIMITED: that is the bound */
    int64_t timeout_ms; /* deadline of the handler, then 504; default none */
    bool no_head;       /* a GET route does not answer HEAD */
    bool shield;        /* a client that goes away does not end the handler: see tepal_handler */
    uint64_t later[8];
} tepal_route;

/* Adds a route, or all routes of a table, which ends with an entry that is all zero. The strings
 * are copied. A route that is not initialised is an error of the application, as any other mistake:
 * see tepal_app_error_text(). */
TEPAL_API void tepal_add_route(tepal_app *app, const tepal_route *route);
TEPAL_API void tepal_routes(tepal_app *app, const tepal_route *table);

/* Adds a route for any method, and for the usual ones. A GET route also answers HEAD: the handler
 * runs, and the body is not sent. */
TEPAL_API void tepal_any(tepal_app *app, const char *pattern, tepal_handler *handler);
TEPAL_API void tepal_get(tepal_app *app, const char *pattern, tepal_handler *handler);
TEPAL_API void tepal_post(tepal_app *app, const char *pattern, tepal_handler *handler);
TEPAL_API void tepal_put(tepal_app *app, const char *pattern, tepal_handler *handler);
TEPAL_API void tepal_patch(tepal_app *app, const char *pattern, tepal_handler *handler);
TEPAL_API void tepal_delete(tepal_app *app, const char *pattern, tepal_handler *handler);

#ifdef __cplusplus
}
#endif
#endif
