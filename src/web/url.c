/* URLs of named routes: the pattern with values in the place of its variables. */
#include "http/uri.h"
#include "web/mistake.h"

#include <errno.h>
#include <stdarg.h>
#include <string.h>

enum { MAX_PAIRS = PATTERN_MAX_VARIABLES };

static const char call[] = "tepal_req_url";

struct values {
    const char *names[MAX_PAIRS], *values[MAX_PAIRS];
    size_t n;
};

static const char *value_of(const struct values *values, const char *name)
{
    for (size_t i = 0; i < values->n; i++)
        if (strcmp(values->names[i], name) == 0)
            return values->values[i];
    return NULL;
}

/* Calls for each piece of the pattern; out NULL: only counts. Returns the octets. */
static size_t build(const struct pattern *pattern, const struct values *values, char *out)
{
    size_t len = 0;
    for (size_t i = 0; i < pattern->n_segments; i++) {
        const struct pattern_segment *segment = &pattern->segments[i];
        if (out)
            out[len] = '/';
        len++;
        for (size_t j = 0; j < segment->n_pieces; j++) {
            const struct pattern_piece *piece = &segment->pieces[j];
            const char *text = piece->variable ? value_of(values, piece->text) : piece->text;
            size_t text_len = strlen(text);
            enum uri_part part = piece->is_path ? URI_PATH : URI_SEGMENT;
            len += out ? uri_encode(out + len, text, text_len, part) : 3 * text_len;
        }
    }
    return len;
}

static bool has_variable(const struct pattern *pattern, const char *name)
{
    for (size_t i = 0; i < pattern->n_names; i++)
        if (strcmp(pattern->names[i], name) == 0)
            return true;
    return false;
}

/* Whether each variable has a value. What has no variable is said, and does no harm. */
static bool check_values(tepal_req *req, const struct route *route, const struct values *values)
{
    const struct pattern *pattern = &route->pattern;
    for (size_t i = 0; i < pattern->n_names; i++)
        if (!value_of(values, pattern->names[i])) {
            mistake(req, -EINVAL, call, "no value for \"%s\" of route \"%s\", %s",
                    pattern->names[i], route->name, pattern->source);
            return false;
        }
    for (size_t i = 0; i < values->n; i++)
        if (!has_variable(pattern, values->names[i]))
            mistake_say_once(req, ONCE_URL, call, "route \"%s\", %s, has no variable \"%.100s\"",
                             route->name, pattern->source, values->names[i]);
    return true;
}

static const char *build_url(tepal_req *req, const struct route *route, const struct values *values)
{
    if (!check_values(req, route, values))
        return NULL;
    char *url = tepal_req_alloc(req, build(&route->pattern, values, NULL) + 1);
    if (url)
        url[build(&route->pattern, values, url)] = '\0';
    return url;
}

const char *tepal_req_url(tepal_req *req, const char *name, ...)
{
    struct values values = { .n = 0 };
    if (!req || !name) {
        mistake_null(req, call, "the name of the route");
        return NULL;
    }
    const struct route *route = map_get(&req->app->router.names, name, strlen(name));
    if (!route) {
        mistake(req, -EINVAL, call, "no route is named \"%.100s\"", name);
        return NULL;
    }
    va_list args;
    va_start(args, name);
    const char *variable;
    while (values.n < MAX_PAIRS && (variable = va_arg(args, const char *))) {
        values.names[values.n] = variable;
        values.values[values.n++] = va_arg(args, const char *);
    }
    va_end(args);
    return build_url(req, route, &values);
}
