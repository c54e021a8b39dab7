/* Getters of a request's head: straight from the message where they can, made in the arena on the
 * first call where they cannot. */
#include "http/cookie.h"
#include "http/field.h"
#include "net/addr.h"
#include "web/message/mistake.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const char *tepal_req_method(const tepal_req *req)
{
    return request_is_given(req, "tepal_req_method") ? message_method(req->message) : NULL;
}

const char *tepal_req_target(const tepal_req *req)
{
    return request_is_given(req, "tepal_req_target") ? message_target(req->message) : NULL;
}

int tepal_req_version(const tepal_req *req)
{
    if (!request_is_given(req, "tepal_req_version"))
        return 0;
    return req->message->version;
}

const char *tepal_req_scheme(const tepal_req *req)
{
    return request_is_given(req, "tepal_req_scheme") ? req->exchange->scheme : NULL;
}

const char *tepal_req_path(tepal_req *req)
{
    if (!request_is_given(req, "tepal_req_path"))
        return NULL;
    if (req->path)
        return req->path;
    char *path = request_alloc_text(req, req->message->uri.path_len + 1);
    if (!path)
        return NULL;
    path[uri_decode(path, req->message->uri.path, req->message->uri.path_len, false)] = '\0';
    return req->path = path;
}

/* --- Fields ----------------------------------------------------------------------------------- */

struct lookup {
    enum http_field id;
    const char *name;
    size_t len;
};

static struct lookup lookup_of(const char *name)
{
    size_t len = strlen(name);
    return (struct lookup){ .id = http_field_id(name, len), .name = name, .len = len };
}

/* The index of the first field from i on that has the name, n_fields when there is none. */
static size_t find(const tepal_req *req, const struct lookup *what, size_t i)
{
    const struct message *head = req->message;
    for (; i < head->n_fields; i++) {
        const struct message_field *field = &head->fields[i];
        if (field->id == what->id && field->name_len == what->len &&
            (what->id != HTTP_FIELD_OTHER ||
             http_same_name(req->message->data + field->name, field->name_len, what->name,
                            what->len)))
            break;
    }
    return i;
}

static const char *value_at(const tepal_req *req, size_t i)
{
    return req->message->data + req->message->fields[i].value;
}

/* The values of a name, kept for the next who asks. */
struct field_values {
    size_t first; /* the index of its first field */
    struct field_values *next;
    const char *joined;     /* as one text; NULL before that is asked for */
    const char *const *all; /* as a list; the same */
};

/* What is kept of the field with this index. NULL when memory is short. */
static struct field_values *values_of(tepal_req *req, size_t first)
{
    for (struct field_values *values = req->values; values; values = values->next)
        if (values->first == first)
            return values;
    struct field_values *values = request_alloc(req, sizeof(*values));
    if (!values)
        return NULL;
    *values = (struct field_values){ .first = first, .next = req->values };
    return req->values = values;
}

/* The values of a field that is there several times, as one (RFC 9110 section 5.3). */
static const char *join(tepal_req *req, const struct lookup *what, size_t first)
{
    const char *between = what->id == HTTP_FIELD_COOKIE ? "; " : ", ";
    const struct message_field *fields = req->message->fields;
    size_t size = 1, n = req->message->n_fields;
    for (size_t i = first; i < n; i = find(req, what, i + 1))
        size += fields[i].value_len + 2;
    char *text = request_alloc_text(req, size), *p = text;
    if (!text)
        return NULL;
    for (size_t i = first; i < n; i = find(req, what, i + 1)) {
        if (i != first)
            p = stpcpy(p, between);
        memcpy(p, value_at(req, i), fields[i].value_len);
        p += fields[i].value_len;
    }
    *p = '\0';
    return text;
}

static const char *joined(tepal_req *req, const struct lookup *what, size_t first)
{
    struct field_values *values = values_of(req, first);
    if (values && !values->joined)
        values->joined = join(req, what, first);
    return values ? values->joined : NULL;
}

static const char *const *list(tepal_req *req, const struct lookup *what, size_t first)
{
    size_t count = 0, n = req->message->n_fields;
    for (size_t i = first; i < n; i = find(req, what, i + 1))
        count++;
    const char **all = request_alloc(req, (count + 1) * sizeof(*all));
    if (!all)
        return NULL;
    count = 0;
    for (size_t i = first; i < n; i = find(req, what, i + 1))
        all[count++] = value_at(req, i);
    all[count] = NULL;
    return all;
}

/* The index of the first field with the name, n_fields when there is none. */
static size_t find_first(const tepal_req *req, const struct lookup *what)
{
    if (what->id == HTTP_FIELD_OTHER)
        return find(req, what, 0);
    return req->message->known[what->id] ? req->message->known[what->id] - 1u
                                         : req->message->n_fields;
}

const char *const *tepal_req_header_all(tepal_req *req, const char *name)
{
    static const char *const none[] = { NULL };
    if (!argument_is_given(req, "tepal_req_header_all", name, "the name"))
        return none;
    struct lookup what = lookup_of(name);
    size_t first = find_first(req, &what);
    if (first == req->message->n_fields)
        return none;
    struct field_values *values = values_of(req, first);
    if (values && !values->all)
        values->all = list(req, &what, first);
    return values ? values->all : NULL;
}

const char *tepal_req_header(tepal_req *req, const char *name)
{
    if (!argument_is_given(req, "tepal_req_header", name, "the name"))
        return NULL;
    struct lookup what = lookup_of(name);
    size_t first = find_first(req, &what);
    if (first == req->message->n_fields)
        return NULL;
    if (find(req, &what, first + 1) == req->message->n_fields)
        return value_at(req, first);
    return joined(req, &what, first);
}

bool tepal_req_each_header(tepal_req *req, size_t *at, tepal_pair *pair)
{
    if (!places_are_given(req, "tepal_req_each_header", at, pair) || *at >= req->message->n_fields)
        return false;
    *pair = (tepal_pair){ .name = req->message->data + req->message->fields[*at].name,
                          .value = value_at(req, *at) };
    ++*at;
    return true;
}

/* --- Cookies ---------------------------------------------------------------------------------- */

/* They are taken apart when the first of them is asked for. */
struct cookies {
    size_t n;
    tepal_pair pairs[];
};

static const char *copy_to(char **out, const char *text, size_t len)
{
    char *start = *out;
    memcpy(start, text, len);
    start[len] = '\0';
    *out += len + 1;
    return start;
}

/* NULL when there are none, or with the cause recorded. */
static const struct cookies *cookies_of(tepal_req *req)
{
    const char *field = req->cookies ? NULL : tepal_req_header(req, "Cookie"), *rest = field;
    size_t len = field ? strlen(field) : 0, left = len, n = 0;
    struct cookie_pair pair;
    while (cookie_next(&rest, &left, &pair))
        n++;
    if (n == 0)
        return req->cookies;
    struct cookies *cookies = request_alloc(req, sizeof(*cookies) + n * sizeof(cookies->pairs[0]));
    /* NULs stand in the places of '=' and ';', so this is enough. */
    char *text = cookies ? request_alloc_text(req, len + 1) : NULL;
    if (!text)
        return NULL;
    cookies->n = 0;
    for (rest = field, left = len; cookie_next(&rest, &left, &pair);) {
        tepal_pair *to = &cookies->pairs[cookies->n++];
        to->name = copy_to(&text, pair.name, pair.name_len);
        to->value = copy_to(&text, pair.value, pair.value_len);
    }
    return req->cookies = cookies;
}

const char *tepal_req_cookie(tepal_req *req, const char *name)
{
    if (!argument_is_given(req, "tepal_req_cookie", name, "the name"))
        return NULL;
    const struct cookies *cookies = cookies_of(req);
    for (size_t i = 0; cookies && i < cookies->n; i++)
        if (strcmp(cookies->pairs[i].name, name) == 0)
            return cookies->pairs[i].value;
    return NULL;
}

bool tepal_req_each_cookie(tepal_req *req, size_t *at, tepal_pair *pair)
{
    if (!places_are_given(req, "tepal_req_each_cookie", at, pair))
        return false;
    const struct cookies *cookies = cookies_of(req);
    if (!cookies || *at >= cookies->n)
        return false;
    *pair = cookies->pairs[(*at)++];
    return true;
}

/* --- What the route and the connection say ---------------------------------------------------- */

/* What the variable matched. A handler knows its pattern, so a name that is not there is a slip;
 * a middleware may ask for what only some patterns have. */
static const char *match_of(const tepal_req *req, const char *call, const char *name)
{
    if (!argument_is_given(req, call, name, "the name"))
        return NULL;
    const struct route *route = req->match.route;
    for (size_t i = 0; route && i < route->pattern.n_names; i++)
        if (strcmp(route->pattern.names[i], name) == 0)
            return req->match.values[i].data;
    if (UNLIKELY(req->in_handler && route))
        mistake_say_once(req, ONCE_MATCH, call, "the pattern %s has no variable \"%.100s\"",
                         route->pattern.source, name);
    return NULL;
}

const char *tepal_req_match(const tepal_req *req, const char *name)
{
    return match_of(req, "tepal_req_match", name);
}

int64_t tepal_req_match_int(const tepal_req *req, const char *name)
{
    const char *text = match_of(req, "tepal_req_match_int", name);
    return text ? strtoll(text, NULL, 10) : 0;
}

const char *tepal_req_pattern(const tepal_req *req)
{
    if (!request_is_given(req, "tepal_req_pattern"))
        return NULL;
    return req->match.route ? req->match.route->pattern.source : NULL;
}

/* The address of this side, for a client that does not say whom it wants. */
static const char *local_address(tepal_req *req)
{
    struct addr_peer local;
    char ip[INET6_ADDRSTRLEN];
    req->exchange->ops->local(req->exchange, &local);
    if (local.family == AF_UNIX)
        return "";
    addr_peer_write(&local, ip);
    return tepal_req_printf(req, local.family == AF_INET6 ? "[%s]:%u" : "%s:%u", ip, local.port);
}

const char *tepal_req_host(tepal_req *req)
{
    if (!request_is_given(req, "tepal_req_host"))
        return NULL;
    if (req->host)
        return req->host;
    /* RFC 9112 section 3.2.2: absolute-form overrides the field. */
    if (req->message->uri.authority && req->message->uri.authority_len > 0) {
        char *host = request_alloc_text(req, req->message->uri.authority_len + 1);
        if (host) {
            memcpy(host, req->message->uri.authority, req->message->uri.authority_len);
            host[req->message->uri.authority_len] = '\0';
        }
        return req->host = host;
    }
    const char *field = tepal_req_header(req, "Host");
    return req->host = field ? field : local_address(req);
}

const char *tepal_req_remote(tepal_req *req)
{
    if (!request_is_given(req, "tepal_req_remote"))
        return NULL;
    if (!req->remote) {
        char *text = request_alloc_text(req, INET6_ADDRSTRLEN);
        if (!text)
            return "";
        addr_peer_write(req->exchange->peer, text);
        req->remote = text;
    }
    return req->remote;
}

/* Without the request's memory, of which a report must not take any. */
void request_describe(void *arg, char *text, size_t size)
{
    const tepal_req *req = arg;
    char remote[INET6_ADDRSTRLEN];
    addr_peer_write(req->exchange->peer, remote);
    snprintf(text, size, "%s %s from %s", tepal_req_method(req), tepal_req_target(req),
             *remote ? remote : "a Unix socket");
}

const char *tepal_req_content_type(tepal_req *req)
{
    if (!request_is_given(req, "tepal_req_content_type"))
        return NULL;
    if (req->content_type)
        return req->content_type;
    const char *value = tepal_req_header(req, "Content-Type");
    size_t len = value ? strcspn(value, "; \t") : 0;
    if (len > 0 && value[len] && value[len + strspn(value + len, " \t")] != ';')
        len = 0; /* something else than parameters behind the type */
    const char *slash = len ? memchr(value, '/', len) : NULL;
    if (!slash || !http_is_token(value, (size_t)(slash - value)) ||
        !http_is_token(slash + 1, len - (size_t)(slash - value) - 1))
        return req->content_type = "application/octet-stream";
    char *type = request_alloc_text(req, len + 1);
    if (!type)
        return NULL;
    for (size_t i = 0; i < len; i++)
        type[i] = value[i] >= 'A' && value[i] <= 'Z' ? (char)(value[i] | 0x20) : value[i];
    type[len] = '\0';
    return req->content_type = type;
}

uint64_t tepal_req_content_length(const tepal_req *req)
{
    if (!request_is_given(req, "tepal_req_content_length"))
        return 0;
    return req->message->content_length;
}
