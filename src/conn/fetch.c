/* Writes requests. What cannot be written as it is meant is refused, and not sent. */
#include "conn/fetch.h"

#include "base/room.h"
#include "http/field.h"
#include "http/uri.h"

#include <tepal/http_error.h>
#include <tepal/log.h>

#include <errno.h>
#include <stdio.h>
#include <string.h>

/* What is sent as the body. */
struct content {
    const char *data; /* NULL: there is none */
    size_t len;
    const char *type;
    struct buf made; /* of JSON or a form */
};

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

static void set_content(struct content *content, const char *data, size_t len, const char *type)
{
    content->data = data ? data : "";
    content->len = len;
    content->type = type;
}

static int make_content(struct content *content, const tepal_fetch_options *options)
{
    int rc = 0;
    if (options->text)
        set_content(content, options->text, strlen(options->text), "text/plain; charset=utf-8");
    if (options->data.data)
        set_content(content, options->data.data, options->data.len, "application/octet-stream");
    if (options->json) {
        rc = make_json(&content->made, options->json);
        set_content(content, content->made.data, content->made.len, "application/json");
    }
    if (options->form) {
        rc = append_pairs(&content->made, options->form);
        set_content(content, content->made.data, content->made.len,
                    "application/x-www-form-urlencoded");
    }
    if (options->content_type)
        content->type = options->content_type;
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

static int append_field(struct buf *out, const char *name, const char *value)
{
    if (!http_is_token(name, strlen(name)) || !http_is_field_value(value, strlen(value)))
        return TEPAL_EFIELD;
    return buf_printf(out, "%s: %s\r\n", name, value);
}

/* A field that comes by itself, unless it was given. */
static int append_default(struct buf *out, const tepal_pair *given, const char *name,
                          const char *value)
{
    return has_field(given, name) ? 0 : append_field(out, name, value);
}

static int append_given(struct buf *out, const tepal_pair *fields)
{
    int rc = 0;
    for (; fields && fields->name && rc == 0; fields++)
        if (fields->value)
            rc = append_field(out, fields->name, fields->value);
    return rc;
}

static int append_target(struct buf *out, const char *target, const tepal_pair *query)
{
    int rc = buf_append_str(out, target);
    if (rc == 0 && query && query->name)
        rc = buf_append_str(out, strchr(target, '?') ? "&" : "?");
    return rc == 0 && query ? append_pairs(out, query) : rc;
}

/* Whether the length of no body is said, too: these methods mean to have one (RFC 9110 section 8.6). */
static bool expects_body(const char *method)
{
    return strcmp(method, "POST") == 0 || strcmp(method, "PUT") == 0 ||
           strcmp(method, "PATCH") == 0;
}

static int append_content_fields(struct buf *out, const tepal_fetch_options *options,
                                 const struct content *content)
{
    char length[24];
    int rc = 0;
    if (content->type)
        rc = append_default(out, options->headers, "Content-Type", content->type);
    if (rc < 0 || (!content->data && !expects_body(fetch_method(options))) ||
        has_field(options->headers, "Transfer-Encoding"))
        return rc;
    snprintf(length, sizeof(length), "%zu", content->len);
    return append_default(out, options->headers, "Content-Length", length);
}

static int append_all(struct buf *out, const char *host, const char *target,
                      const tepal_fetch_options *options, const struct content *content)
{
    int rc = buf_printf(out, "%s ", fetch_method(options));
    if (rc == 0)
        rc = append_target(out, target, options->query);
    if (rc == 0)
        rc = buf_append_str(out, " HTTP/1.1\r\n");
    if (rc == 0)
        rc = append_default(out, options->headers, "Host", host);
    if (rc == 0)
        rc = append_given(out, options->headers);
    if (rc == 0)
        rc = append_content_fields(out, options, content);
    if (rc == 0)
        rc = buf_append_str(out, "\r\n");
    return rc == 0 && content->data ? buf_append(out, content->data, content->len) : rc;
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

int fetch_write(struct buf *out, const char *call, const char *host, const char *target,
                const tepal_fetch_options *options)
{
    static const tepal_fetch_options nothing;
    options = options ? options : &nothing;
    int rc = room_check(call, options->later, sizeof(options->later));
    if (rc < 0)
        return rc; /* what it has as its JSON may be none */
    struct content content = { 0 };
    buf_init(&content.made, SIZE_MAX / 4);
    rc = check(call, options);
    if (rc == 0)
        rc = make_content(&content, options);
    if (rc == 0)
        rc = append_all(out, host, target, options, &content);
    buf_clear(&content.made);
    json_decref(options->json);
    return rc;
}
