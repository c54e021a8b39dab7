/* URLs of named routes: the pattern with values in the place of its variables. */
#include "http/uri.h"
#include "web/message/mistake.h"

#include <errno.h>
#include <string.h>

static const char call[] = "tepal_req_url";

static const tepal_pair *find_variable(const tepal_pair *variables, const char *name)
{
    for (; variables && variables->name; variables++)
        if (strcmp(variables->name, name) == 0)
            return variables;
    return NULL;
}

/* Calls for each piece of the pattern; out NULL: only counts. Returns the octets. */
static size_t build(const struct pattern *pattern, const tepal_pair *variables, char *out)
{
    size_t len = 0;
    for (size_t i = 0; i < pattern->n_segments; i++) {
        const struct pattern_segment *segment = &pattern->segments[i];
        if (out)
            out[len] = '/';
        len++;
        for (size_t j = 0; j < segment->n_pieces; j++) {
            const struct pattern_piece *piece = &segment->pieces[j];
            const char *text =
                piece->variable ? find_variable(variables, piece->text)->value : piece->text;
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
static bool check_values(tepal_req *req, const struct route *route, const tepal_pair *variables)
{
    const struct pattern *pattern = &route->pattern;
    for (size_t i = 0; i < pattern->n_names; i++) {
        const tepal_pair *variable = find_variable(variables, pattern->names[i]);
        if (variable && variable->value)
            continue;
        if (!variable || req->error == 0) /* else the NULL of a call that has failed */
            mistake(req, -EINVAL, call, "no value for \"%s\" of route \"%s\", %s",
                    pattern->names[i], route->name, pattern->source);
        return false;
    }
    for (; variables && variables->name; variables++)
        if (!has_variable(pattern, variables->name))
            mistake_say_once(req, ONCE_URL, call, "route \"%s\", %s, has no variable \"%.100s\"",
                             route->name, pattern->source, variables->name);
    return true;
}

const char *tepal_req_url(tepal_req *req, const char *name, const tepal_pair *variables)
{
    if (!req || !name) {
        mistake_null(req, call, "the name of the route");
        return NULL;
    }
    const struct route *route = map_get(&req->app->router.names, name, strlen(name));
    if (!route) {
        mistake(req, -EINVAL, call, "no route is named \"%.100s\"", name);
        return NULL;
    }
    if (!check_values(req, route, variables))
        return NULL;
    const struct pattern *pattern = &route->pattern;
    char *url = request_alloc_text(req, build(pattern, variables, NULL) + 1);
    if (url)
        url[build(pattern, variables, url)] = '\0';
    return url;
}
