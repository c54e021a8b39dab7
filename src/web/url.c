/* URLs of named routes: the pattern with values in the place of its variables. */
#include "base/log.h"
#include "http/uri.h"
#include "web/request.h"

#include <stdarg.h>
#include <string.h>

enum { MAX_PAIRS = PATTERN_MAX_VARIABLES };

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

/* The text of a piece; *part says how it is encoded. NULL when its variable has no value. */
static const char *piece_text(const struct pattern_piece *piece, const struct values *values,
                              enum uri_part *part)
{
    *part = piece->is_path ? URI_PATH : URI_SEGMENT;
    if (!piece->variable)
        return piece->text;
    const char *value = value_of(values, piece->text);
    if (!value)
        tepal_log(TEPAL_LOG_ERROR, "tepal_req_url: no value for \"%s\"", piece->text);
    return value;
}

/* Calls for each piece of the pattern; out NULL: only counts. Returns the octets, or -1. */
static long build(const struct pattern *pattern, const struct values *values, char *out)
{
    size_t len = 0;
    for (size_t i = 0; i < pattern->n_segments; i++) {
        const struct pattern_segment *segment = &pattern->segments[i];
        if (out)
            out[len] = '/';
        len++;
        for (size_t j = 0; j < segment->n_pieces; j++) {
            enum uri_part part;
            const char *text = piece_text(&segment->pieces[j], values, &part);
            if (!text)
                return -1;
            size_t text_len = strlen(text);
            len += out ? uri_encode(out + len, text, text_len, part) : 3 * text_len;
        }
    }
    return (long)len;
}

static const char *build_url(tepal_req *req, const struct route *route, const struct values *values)
{
    long room = build(&route->pattern, values, NULL);
    char *url = room < 0 ? NULL : tepal_req_alloc(req, (size_t)room + 1);
    if (!url)
        return NULL;
    url[build(&route->pattern, values, url)] = '\0';
    return url;
}

const char *tepal_req_url(tepal_req *req, const char *name, ...)
{
    struct values values = { .n = 0 };
    const struct route *route = map_get(&req->app->router.names, name, strlen(name));
    if (!route) {
        tepal_log(TEPAL_LOG_ERROR, "tepal_req_url: no route is named \"%s\"", name);
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
