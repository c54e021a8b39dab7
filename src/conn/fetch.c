/* Makes requests of options, and writes them. What cannot be written as it is meant is refused, and
 * not sent. */
#include "conn/fetch.h"

#include "base/mem.h"
#include "base/room.h"
#include "http/field.h"
#include "http/uri.h"

#include <tepal/http_error.h>
#include <tepal/log.h>

#include <errno.h>
#include <stdio.h>
#include <string.h>

static bool has_body(const tepal_fetch_options *options)
{
    return options->text || options->data.data || options->json || options->form;
}

const char *fetch_method(const tepal_fetch_options *options)
{
    if (options && options->method)
        return options->method;
    return options && has_body(options) ? "POST" : "GET";
}

/* --- The body --------------------------------------------------------------------------------- */

static int append_encoded(struct buf *out, const char *text)
{
    size_t len = strlen(text);
    int rc = buf_reserve(out, 3 * len + 1);
    if (rc == 0)
        out->len += uri_encode(out->data + out->len, text, len, URI_QUERY);
    return rc;
}

/* a=1&b=2, as in a query and in a form. */
static int append_pairs(struct buf *out, const tepal_pair *pairs)
{
    int rc = 0;
    for (const tepal_pair *pair = pairs; pair->name && rc == 0; pair++) {
        rc = pair == pairs ? 0 : buf_append(out, "&", 1);
        if (rc == 0)
            rc = append_encoded(out, pair->name);
        if (rc == 0 && pair->value)
            rc = buf_append(out, "=", 1);
        if (rc == 0 && pair->value)
            rc = append_encoded(out, pair->value);
    }
    return rc;
}

/* Where JSON goes, and what kept it from that. */
struct json_sink {
    struct buf *out;
    int error;
};

static int append_json(const char *data, size_t len, void *arg)
{
    struct json_sink *sink = arg;
    sink->error = buf_append(sink->out, data, len);
    return sink->error;
}

static int make_json(struct buf *out, json_t *json)
{
    struct json_sink sink = { .out = out };
    if (json_dump_callback(json, append_json, &sink, JSON_COMPACT | JSON_ENCODE_ANY) == 0)
        return 0;
    return sink.error < 0 ? sink.error : TEPAL_EJSON;
}

static void set_content(struct fetch_request *out, const char *data, size_t len, const char *type)
{
    out->content = (tepal_bytes){ .data = data ? data : "", .len = len };
    out->content_type = type;
}

static int make_content(struct fetch_request *out, const tepal_fetch_options *options)
{
    int rc = 0;
    if (options->text)
        set_content(out, options->text, strlen(options->text), "text/plain; charset=utf-8");
    if (options->data.data)
        set_content(out, options->data.data, options->data.len, "application/octet-stream");
    if (options->json) {
        rc = make_json(&out->made, options->json);
        set_content(out, out->made.data, out->made.len, "application/json");
    }
    if (options->form) {
        rc = append_pairs(&out->made, options->form);
        set_content(out, out->made.data, out->made.len, "application/x-www-form-urlencoded");
    }
    if (options->content_type)
        out->content_type = options->content_type;
    return rc;
}

/* --- The head --------------------------------------------------------------------------------- */

static bool has_field(const tepal_pair *fields, const char *name)
{
    for (; fields && fields->name; fields++)
        if (http_same_name(fields->name, strlen(fields->name), name, strlen(name)))
            return true;
    return false;
}

static int put_given_field(tepal_pair **end, const char *name, const char *value)
{
    if (!http_is_token(name, strlen(name)) || !http_is_field_value(value, strlen(value)))
        return TEPAL_EFIELD;
    *(*end)++ = (tepal_pair){ .name = name, .value = value };
    return 0;
}

/* A field that comes by itself, unless it was given. */
static int add_default(tepal_pair **end, const tepal_pair *given, const char *name,
                       const char *value)
{
    return has_field(given, name) ? 0 : put_given_field(end, name, value);
}

static int add_given(tepal_pair **end, const tepal_pair *fields)
{
    int rc = 0;
    for (; fields && fields->name && rc == 0; fields++)
        if (fields->value)
            rc = put_given_field(end, fields->name, fields->value);
    return rc;
}

static int append_target(struct buf *out, const char *target, const tepal_pair *query)
{
    int rc = buf_append_str(out, target);
    if (rc == 0 && query && query->name)
        rc = buf_append_str(out, strchr(target, '?') ? "&" : "?");
    return rc == 0 && query ? append_pairs(out, query) : rc;
}

/* Whether the length of no body is said, too: these methods mean to have one (RFC 9110 section
 * 8.6). */
static bool expects_body(const char *method)
{
    return strcmp(method, "POST") == 0 || strcmp(method, "PUT") == 0 ||
           strcmp(method, "PATCH") == 0;
}

static int add_content_fields(struct fetch_request *out, tepal_pair **end, const tepal_pair *given)
{
    int rc = 0;
    if (out->content_type)
        rc = add_default(end, given, "Content-Type", out->content_type);
    if (rc < 0 || (!out->content.data && !expects_body(out->method)) ||
        has_field(given, "Transfer-Encoding"))
        return rc;
    snprintf(out->length, sizeof(out->length), "%zu", out->content.len);
    return add_default(end, given, "Content-Length", out->length);
}

static int make_fields(struct fetch_request *out, const char *host, const tepal_pair *given)
{
    enum { OWN = 3 }; /* Host, Content-Type, Content-Length */
    size_t n = OWN + 1;
    for (const tepal_pair *pair = given; pair && pair->name; pair++)
        n++;
    tepal_pair *end = out->fields = mem_zalloc(n * sizeof(*end));
    int rc = end ? add_default(&end, given, "Host", host) : -ENOMEM;
    if (rc == 0)
        rc = add_given(&end, given);
    return rc == 0 ? add_content_fields(out, &end, given) : rc;
}

static int check(const char *call, const tepal_fetch_options *options)
{
    int n = !!options->text + !!options->data.data + !!options->json + !!options->form;
    const char *method = fetch_method(options);
    if (n <= 1 && http_is_token(method, strlen(method)))
        return 0;
    tepal_logf(TEPAL_LOG_ERROR, "%s: %s", call,
               n > 1 ? "the request has more than one body" : "the method is no token");
    return -EINVAL;
}

int fetch_describe(struct fetch_request *out, const char *call, const char *host,
                   const char *target, const tepal_fetch_options *options)
{
    static const tepal_fetch_options nothing;
    options = options ? options : &nothing;
    int rc = room_check(call, options->later, sizeof(options->later));
    if (rc < 0)
        return rc; /* what it has as its JSON may be none */
    *out = (struct fetch_request){ .method = fetch_method(options) };
    buf_init(&out->made, SIZE_MAX / 4);
    buf_init(&out->target, SIZE_MAX / 4);
    rc = check(call, options);
    if (rc == 0)
        rc = make_content(out, options);
    if (rc == 0)
        rc = make_fields(out, host, options->headers);
    if (rc == 0)
        rc = append_target(&out->target, target, options->query);
    if (rc == 0)
        rc = buf_reserve(&out->target, 1);
    if (rc == 0)
        out->target.data[out->target.len] = '\0';
    json_decref(options->json);
    if (rc < 0)
        fetch_clear(out);
    return rc;
}

void fetch_clear(struct fetch_request *request)
{
    buf_clear(&request->made);
    buf_clear(&request->target);
    mem_free(request->fields);
}

/* --- HTTP/1 ----------------------------------------------------------------------------------- */

static int append_request(struct buf *out, const struct fetch_request *request)
{
    int rc = buf_printf(out, "%s ", request->method);
    if (rc == 0)
        rc = buf_append(out, request->target.data, request->target.len);
    if (rc == 0)
        rc = buf_append_str(out, " HTTP/1.1\r\n");
    for (const tepal_pair *field = request->fields; field->name && rc == 0; field++)
        rc = buf_printf(out, "%s: %s\r\n", field->name, field->value);
    if (rc == 0)
        rc = buf_append_str(out, "\r\n");
    return rc == 0 ? buf_append(out, request->content.data, request->content.len) : rc;
}

int fetch_write(struct buf *out, const char *call, const char *host, const char *target,
                const tepal_fetch_options *options)
{
    struct fetch_request request;
    int rc = fetch_describe(&request, call, host, target, options);
    if (rc == 0) {
        rc = append_request(out, &request);
        fetch_clear(&request);
    }
    return rc;
}
