/* Making responses: text, HTML, octets, JSON values, redirects, streams. */
#include "async/task/task.h"
#include "base/log.h"
#include "http/status.h"
#include "http/uri.h"
#include "web/json/owner.h"
#include "web/json/writer.h"
#include "web/message/markup.h"
#include "web/message/mistake.h"
#include "web/message/responses.h"

#include <errno.h>
#include <stdarg.h>
#include <string.h>

static inline void init(tepal_res *res, tepal_req *req, int status)
{
    /* One by one and in order: compilers make fewer stores of it than of a struct. */
    struct response_head *head = &res->head;
    res->req = req;
    res->next_of_req = NULL;
    head->status = status;
    head->reason = head->content_type = NULL;
    head->type_len = 0;
    head->fields = head->last = NULL;
    head->fields_size = 0;
    head->length = 0;
    head->has_length = head->bodiless = head->unframed = head->close = false;
    head->own_date = head->own_server = false;
    res->body = (tepal_bytes){ 0 };
    res->lent = NULL;
    res->error = res->missing = 0;
    res->n_pieces = res->n_refused = 0;
    res->stream = res->head_sent = res->writing = res->ended = res->broken = false;
    res->waiter = NULL;
    res->written = 0;
}

/* The memory for a response. Each beyond the first takes as much of the request's, which is
 * bounded; it is not used. */
static inline tepal_res *take_memory(tepal_req *req)
{
    if (UNLIKELY(req->responses != NULL) && !request_alloc(req, sizeof(tepal_res)))
        return NULL;
    tepal_res *res = responses_take(req->server->responses);
    if (UNLIKELY(!res))
        request_fail(req, -ENOMEM);
    return res;
}

static inline tepal_res *make(tepal_req *req, int status, const char *call)
{
    /* 1xx is no answer, and never the last word (RFC 9110 section 15.2). */
    if (UNLIKELY(status < 200 || status > 999)) {
        mistake(req, -EINVAL, call, "status %d is not 200 to 999", status);
        return NULL;
    }
    tepal_res *res = take_memory(req);
    if (UNLIKELY(!res))
        return NULL;
    init(res, req, status);
    res->next_of_req = req->responses;
    return req->responses = res;
}

tepal_res *response_new(tepal_req *req, int status, const char *call)
{
    return make(req, status, call);
}

bool response_is_of(const tepal_res *res, const tepal_req *req)
{
    if (LIKELY(res == req->responses))
        return res != NULL;
    if (res == &req->last_resort)
        return res->req == req;
    return responses_live(req->server->responses, res) && res->req == req;
}

bool response_is_usable(const tepal_res *res, const char *call, bool other)
{
    tepal_req *req = mistake_running();
    if (!res || !loop_current || (req && response_is_of(res, req)))
        return res != NULL;
    const struct responses *responses = responses_find(loop_current);
    bool live = responses && responses_live(responses, res);
    if (live && (other || !req || res->req->preparing))
        return true;
    static const char *const what[] = { "the response is of a request that has ended",
                                        "the response is one to another request" };
    if (req)
        mistake(req, -EINVAL, call, "%s", what[live]);
    else
        tepal_logf(TEPAL_LOG_ERROR, "%s: %s", call, what[live]);
    return false;
}

tepal_res *response_last_resort(tepal_req *req, int status)
{
    tepal_res *res = &req->last_resort;
    init(res, req, status);
    response_set_usual_type(res, &usual_types[USUAL_TEXT]);
    res->body.data = http_status_reason(status);
    res->body.len = strlen(res->body.data);
    return res;
}

tepal_res *tepal_empty(tepal_req *req, int status)
{
    static const char call[] = "tepal_empty";
    return request_is_given(req, call) ? response_new(req, status, call) : NULL;
}

/* The calls that print, and the type of what they make. */
struct text_kind {
    struct caller caller;
    const struct usual_type *type;
};

/* A response of this kind, without its text yet. */
static inline tepal_res *make_text(tepal_req *req, int status, const struct text_kind *kind,
                                   const char *text)
{
    if (UNLIKELY(!req || !text)) {
        mistake_null(req, kind->caller.call, "the text");
        return NULL;
    }
    tepal_res *res = make(req, status, kind->caller.call);
    if (res)
        response_set_usual_type(res, kind->type);
    return res;
}

static inline tepal_res *copy_text(tepal_req *req, int status, const struct text_kind *kind,
                                   const char *text)
{
    tepal_res *res = make_text(req, status, kind, text);
    if (!res)
        return NULL;
    size_t len = strlen(text);
    char *copy = request_alloc_text(req, len);
    if (!copy)
        return NULL;
    res->body = (tepal_bytes){ .data = memcpy(copy, text, len), .len = len };
    return res;
}

tepal_res *tepal_text(tepal_req *req, int status, const char *text)
{
    static const struct text_kind kind = { { "tepal_text", NULL }, &usual_types[USUAL_TEXT] };
    return copy_text(req, status, &kind, text);
}

tepal_res *tepal_html(tepal_req *req, int status, const char *markup)
{
    static const struct text_kind kind = { { "tepal_html", NULL }, &usual_types[USUAL_HTML] };
    return copy_text(req, status, &kind, markup);
}

tepal_res *tepal_textf(tepal_req *req, int status, const char *format, ...)
{
    static const struct text_kind kind = { { "tepal_textf", NULL }, &usual_types[USUAL_TEXT] };
    tepal_res *res = make_text(req, status, &kind, format);
    if (!res)
        return NULL;
    va_list args;
    va_start(args, format);
    res->body.data = request_vprintf(req, &kind.caller, &res->body.len, format, args);
    va_end(args);
    return res->body.data ? res : NULL;
}

tepal_res *tepal_htmlf(tepal_req *req, int status, const char *format, ...)
{
    static const struct text_kind kind = { { "tepal_htmlf", NULL }, &usual_types[USUAL_HTML] };
    tepal_res *res = make_text(req, status, &kind, format);
    if (!res)
        return NULL;
    va_list args;
    va_start(args, format);
    res->body.data = markup_vprintf(req, &kind.caller, &res->body.len, format, args);
    va_end(args);
    return res->body.data ? res : NULL;
}

/* The media type for a response that is given one: it becomes a field, so it is checked as one. */
static void set_type(tepal_res *res, const char *call, const char *type)
{
    response_set_type(res, "application/octet-stream");
    if (type)
        response_put(res, call, "Content-Type", type);
}

tepal_res *tepal_data(tepal_req *req, int status, const char *content_type, const void *data,
                      size_t len)
{
    static const char call[] = "tepal_data";
    tepal_res *res = request_is_given(req, call) ? response_new(req, status, call) : NULL;
    if (!res || response_copy_body(res, call, data, len) < 0)
        return NULL;
    set_type(res, call, content_type);
    return res;
}

tepal_res *tepal_stream(tepal_req *req, int status, const char *content_type)
{
    static const char call[] = "tepal_stream";
    tepal_res *res = request_is_given(req, call) ? response_new(req, status, call) : NULL;
    if (!res)
        return NULL;
    set_type(res, call, content_type);
    res->stream = req->has_streams = true;
    return res;
}

tepal_res *tepal_json(tepal_req *req, int status, json_t *value)
{
    if (UNLIKELY(!req)) {
        json_drop_given(mistake_no_request("tepal_json"), "tepal_json", value, 0);
        return NULL;
    }
    if (!value) {
        mistake_null(req, "tepal_json", "the value (what made it has failed)");
        return NULL;
    }
    struct json_writer w;
    tepal_res *res = response_new(req, status, "tepal_json");
    if (res) {
        json_writer_init(&w, &req->arena);
        json_put_value(&w, value);
    }
    json_drop_given(req, "tepal_json", value, res ? w.len : 0);
    if (!res)
        return NULL;
    if (w.error < 0) {
        if (w.error == -ENOMEM)
            request_no_memory(req, w.len);
        else
            mistake(req, w.error, "tepal_json", "the value cannot be written: %s",
                    tepal_code_text(w.error));
        return NULL;
    }
    response_set_usual_type(res, &usual_types[USUAL_JSON]);
    res->body = (tepal_bytes){ .data = w.data, .len = w.len };
    return res;
}

tepal_res *tepal_redirect(tepal_req *req, int status, const char *location)
{
    static const char hex[] = "0123456789ABCDEF";
    static const char call[] = "tepal_redirect";
    if (!req || !location) {
        mistake_null(req, call, "location");
        return NULL;
    }
    if (status != 301 && status != 302 && status != 303 && status != 307 && status != 308) {
        mistake(req, -EINVAL, call, "status %d is not 301, 302, 303, 307 or 308", status);
        return NULL;
    }
    tepal_res *res = response_new(req, status, call);
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
    return response_put(res, call, "Location", url) == 0 ? res : NULL;
}
