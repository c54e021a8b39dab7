/* Error pages, and what becomes of a cause that was recorded. */
#include "base/log.h"
#include "http/accept.h"
#include "http/status.h"
#include "web/json/format.h"
#include "web/message/mistake.h"
#include "web/text/utf8.h"

#include <errno.h>
#include <stdarg.h>
#include <string.h>

enum page { PAGE_TEXT, PAGE_HTML, PAGE_JSON, N_PAGES };

static const char *const page_types[N_PAGES] = { "text/plain", "text/html", "application/json" };

/* The kind of page that the client likes best, and among equal ones the application's. */
static enum page page_for(tepal_req *req)
{
    const char *accept = tepal_req_header(req, "Accept"), *preferred = req->app->error_pages;
    enum page best = PAGE_TEXT;
    int best_quality = -1;
    for (enum page page = PAGE_TEXT; page < N_PAGES; page++) {
        int quality = 2 * accept_quality(accept, page_types[page]);
        if (preferred && strcmp(preferred, page_types[page]) == 0)
            quality++;
        if (quality > best_quality) {
            best_quality = quality;
            best = page;
        }
    }
    return best;
}

static tepal_res *page_of(tepal_req *req, int status, const char *message)
{
    const char *reason = http_status_reason(status);
    switch (page_for(req)) {
    case PAGE_JSON:
        return tepal_jsonf(req, status, "{s:i,s:s}", "status", status, "error", message);
    case PAGE_HTML:
        return tepal_htmlf(req, status,
                           "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">"
                           "<title>%d %s</title></head>\n<body><h1>%d %s</h1>\n<p>%s</p></body>"
                           "</html>\n",
                           status, reason, status, reason, message);
    default:
        return tepal_textf(req, status, "%d %s%s%s\n", status, reason,
                           strcmp(message, reason) == 0 ? "" : ": ",
                           strcmp(message, reason) == 0 ? "" : message);
    }
}

/* What another client would get is another page: caches must know (RFC 9110 section 12.5.5). */
static tepal_res *make_page(tepal_req *req, int status, const char *message)
{
    tepal_res *res = page_of(req, status, message);
    return res && tepal_res_add_to_list(res, "Vary", "Accept") == 0 ? res : NULL;
}

/* The page; detail NULL, or what is no text, is the phrase of the status. */
static tepal_res *make_error(tepal_req *req, int status, const char *call, const char *detail)
{
    if (!request_is_given(req, call))
        return NULL;
    if (status < 200 || status > 999) {
        mistake(req, -EINVAL, call, "status %d is not 200 to 999", status);
        return NULL;
    }
    if (!detail || !utf8_is_text(detail, strlen(detail)))
        detail = http_status_reason(status);
    return make_page(req, status, detail);
}

tepal_res *tepal_error(tepal_req *req, int status, const char *detail)
{
    return make_error(req, status, "tepal_error", detail);
}

/* The detail that a call was given as a format. NULL when it cannot be made: recorded. */
static const char *print_detail(tepal_req *req, const struct caller *caller, const char *format,
                                va_list args)
{
    if (!req || !format) {
        mistake_null(req, caller->call, "the format");
        return NULL;
    }
    return request_vprintf(req, caller, NULL, format, args);
}

tepal_res *tepal_errorf(tepal_req *req, int status, const char *format, ...)
{
    static const struct caller caller = { .call = "tepal_errorf" };
    va_list args;
    va_start(args, format);
    const char *detail = print_detail(req, &caller, format, args);
    va_end(args);
    return detail ? make_error(req, status, caller.call, detail) : NULL;
}

/* The status that tells the client of an error. */
static int status_of(int error)
{
    switch (error) {
    case TEPAL_EBODY_SIZE:
    case TEPAL_EREQUEST_MEMORY:
        return 413;
    case TEPAL_EMESSAGE:
    case TEPAL_ECLOSED:
    case TEPAL_EJSON:
    case TEPAL_ECHARSET:
        return 400;
    case -ETIMEDOUT:
    case -ETIME: /* tepal_timeout_ms() */
    case TEPAL_ESILENT:
        return 504;
    case -EBUSY:
    case -EAGAIN:
    case -EMFILE:
    case -ECANCELED:
    case -ENOBUFS: /* max_memory */
        return 503;
    default:
        return 500;
    }
}

/* Unless the log has been told already, or it is the client's business. */
static void log_cause(const tepal_req *req, int error, int status)
{
    if (error == 0)
        tepal_logf(TEPAL_LOG_ERROR, "%s %s: the handler returned no response",
                   tepal_req_method(req), tepal_req_target(req));
    else if (error != req->told && status >= 500 && error != -ECANCELED && error != TEPAL_ENOBODY &&
             error != -ENOBUFS && error != TEPAL_EREJECTED)
        tepal_logf(TEPAL_LOG_ERROR, "%s %s: %s", tepal_req_method(req), tepal_req_target(req),
                   tepal_code_text(error));
}

/* What would be answered for this error. */
static tepal_failure failure_of(const tepal_req *req, int error)
{
    if (error == TEPAL_EREJECTED && req->error == TEPAL_EREJECTED)
        return (tepal_failure){ .error = error, .status = req->rejected, .detail = req->rejection };
    int status = status_of(error);
    /* The client's own silence, not that of somebody behind us. */
    if (error == -ETIMEDOUT && req->exchange->body_error == -ETIMEDOUT)
        status = 408;
    bool of_client = status < 500 && error != -ETIMEDOUT;
    return (tepal_failure){
        .error = error,
        .status = status,
        .detail = of_client ? tepal_code_text(error) : NULL,
    };
}

tepal_failure tepal_req_failure(const tepal_req *req)
{
    tepal_failure failure = { 0 };
    if (!request_is_given(req, "tepal_req_failure"))
        return failure;
    if (req->error < 0)
        failure = failure_of(req, req->error);
    if (req->error < 0 && !failure.detail)
        failure.detail = http_status_reason(failure.status);
    return failure;
}

tepal_res *response_for_error(tepal_req *req, int error)
{
    tepal_failure failure = failure_of(req, error);
    log_cause(req, error, failure.status);
    tepal_res *res = tepal_error(req, failure.status, failure.detail);
    if (!res)
        res = response_last_resort(req, failure.status);
    else if (error == -ENOBUFS)
        tepal_res_set_header(res, "Retry-After", "1");
    return res;
}

/* Records the answer of this call. detail lives with the request; NULL is the phrase. */
static void reject(tepal_req *req, const char *call, int status, const char *detail)
{
    if (status < 200 || status > 999) {
        mistake(req, -EINVAL, call, "status %d is not 200 to 999", status);
        return;
    }
    req->rejected = status;
    req->rejection = detail;
    request_fail(req, TEPAL_EREJECTED);
}

void *tepal_reject(tepal_req *req, int status, const char *detail)
{
    if (!request_is_given(req, "tepal_reject"))
        return NULL;
    const char *copy = detail ? tepal_req_strdup(req, detail) : NULL;
    if (copy || !detail) /* else it is recorded that memory is short */
        reject(req, "tepal_reject", status, copy);
    return NULL;
}

void *tepal_rejectf(tepal_req *req, int status, const char *format, ...)
{
    static const struct caller caller = { .call = "tepal_rejectf" };
    va_list args;
    va_start(args, format);
    const char *detail = print_detail(req, &caller, format, args);
    va_end(args);
    if (detail)
        reject(req, caller.call, status, detail);
    return NULL;
}

tepal_res *tepal_fail(tepal_req *req, int error)
{
    if (!request_is_given(req, "tepal_fail"))
        return NULL;
    if (error >= 0)
        error = mistake(req, -EINVAL, "tepal_fail", "error %d is not negative", error);
    return response_for_error(req, error);
}
