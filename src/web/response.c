/* Making responses: text, HTML, octets, JSON values, redirects, streams. */
#include "http/status.h"
#include "http/uri.h"
#include "web/json_writer.h"
#include "web/request.h"

#include <errno.h>
#include <stdarg.h>
#include <string.h>

static void init(tepal_res *res, tepal_req *req, int status)
{
    memset(res, 0, sizeof(*res));
    res->req = req;
    res->status = status;
}

tepal_res *response_new(tepal_req *req, int status)
{
    /* 1xx is no answer, and never the last word (RFC 9110 section 15.2). */
    if (status < 200 || status > 999) {
        request_fail(req, -EINVAL);
        return NULL;
    }
    tepal_res *res = request_alloc(req, sizeof(*res));
    if (res)
        init(res, req, status);
    return res;
}

tepal_res *response_last_resort(tepal_req *req, int status)
{
    tepal_res *res = &req->last_resort;
    init(res, req, status);
    response_set_type(res, "text/plain; charset=utf-8");
    res->body = http_status_reason(status);
    res->len = strlen(res->body);
    return res;
}

tepal_res *tepal_empty(tepal_req *req, int status)
{
    return response_new(req, status);
}

static inline tepal_res *format_text(tepal_req *req, int status, const char *type,
                                     const char *format, va_list args)
{
    tepal_res *res = response_new(req, status);
    if (!res)
        return NULL;
    response_set_type(res, type);
    const char *end = strchrnul(format, '%');
    if (*end == '\0') {
        res->len = (size_t)(end - format);
        char *copy = request_alloc_text(req, res->len);
        if (!copy)
            return NULL;
        res->body = memcpy(copy, format, res->len);
        return res;
    }
    res->body = request_vprintf(req, &res->len, format, args);
    return res->body ? res : NULL;
}

tepal_res *tepal_text(tepal_req *req, int status, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    tepal_res *res = format_text(req, status, "text/plain; charset=utf-8", format, args);
    va_end(args);
    return res;
}

tepal_res *tepal_html(tepal_req *req, int status, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    tepal_res *res = format_text(req, status, "text/html; charset=utf-8", format, args);
    va_end(args);
    return res;
}

/* The media type for a response that is given one: it becomes a field, so it is checked as one. */
static void set_type(tepal_res *res, const char *type)
{
    response_set_type(res, "application/octet-stream");
    if (type)
        tepal_res_header(res, "Content-Type", "%s", type);
}

tepal_res *tepal_data(tepal_req *req, int status, const char *content_type, const void *data,
                      size_t len)
{
    tepal_res *res = response_new(req, status);
    if (!res)
        return NULL;
    set_type(res, content_type);
    res->body = data;
    res->len = len;
    return res;
}

tepal_res *tepal_stream(tepal_req *req, int status, const char *content_type)
{
    tepal_res *res = response_new(req, status);
    if (!res)
        return NULL;
    set_type(res, content_type);
    res->stream = true;
    return res;
}

tepal_res *tepal_json(tepal_req *req, int status, json_t *value)
{
    if (!value) {
        request_fail(req, -ENOMEM);
        return NULL;
    }
    struct json_writer w;
    tepal_res *res = response_new(req, status);
    if (res) {
        json_writer_init(&w, &req->arena);
        json_put_value(&w, value);
    }
    json_decref(value);
    if (!res)
        return NULL;
    if (w.error < 0) {
        if (w.error == -ENOMEM)
            request_no_memory(req, w.len);
        request_fail(req, w.error);
        return NULL;
    }
    response_set_type(res, "application/json");
    res->body = w.data;
    res->len = w.len;
    return res;
}

tepal_res *tepal_redirect(tepal_req *req, int status, const char *location)
{
    static const char hex[] = "0123456789ABCDEF";
    if (status != 301 && status != 302 && status != 303 && status != 307 && status != 308) {
        request_fail(req, -EINVAL);
        return NULL;
    }
    tepal_res *res = response_new(req, status);
    char *url = res ? request_alloc_text(req, 3 * strlen(location) + 1) : NULL;
    if (!url)
        return NULL;
    char *p = url;
    for (const unsigned char *in = (const unsigned char *)location; *in; in++) {
        if (*in > 0x20 && *in < 0x7f && !strchr("\"<>\\^`{|}", *in)) {
            *p++ = (char)*in;
        } else {
            *p++ = '%';
            *p++ = hex[*in >> 4];
            *p++ = hex[*in & 15];
        }
    }
    *p = '\0';
    return tepal_res_header(res, "Location", "%s", url) == 0 ? res : NULL;
}

const char *tepal_html_escape(tepal_req *req, const char *text)
{
    char *out = request_alloc_text(req, 6 * strlen(text) + 1), *p = out;
    for (; out && *text; text++) {
        const char *entity = *text == '&'    ? "&amp;"
                             : *text == '<'  ? "&lt;"
                             : *text == '>'  ? "&gt;"
                             : *text == '"'  ? "&quot;"
                             : *text == '\'' ? "&#39;"
                                             : NULL;
        if (entity)
            p = stpcpy(p, entity);
        else
            *p++ = *text;
    }
    if (out)
        *p = '\0';
    return out;
}
