/* The words for mistakes of a program, and what becomes of the request in which one was made. */
#include "web/message/mistake.h"

#include "async/task/task.h"
#include "base/log.h"
#include "base/print.h"
#include "web/text/printing.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

static void __attribute__((format(printf, 3, 0)))
say(const tepal_req *req, const char *call, const char *format, va_list args)
{
    char what[1024];
    vsnprintf(what, sizeof(what), format, args);
    const char *pattern = tepal_req_pattern(req);
    bool is_plain = !pattern || !strchr(pattern, '{');
    tepal_logf(TEPAL_LOG_ERROR, "%s %s: %s: %s%s%s%s", tepal_req_method(req), tepal_req_target(req),
               call, what, is_plain ? "" : " (route ", is_plain ? "" : pattern,
               is_plain ? "" : ")");
}

int mistake_said(tepal_req *req, int error)
{
    request_fail(req, error);
    req->told = error;
    return error;
}

tepal_req *mistake_running(void)
{
    const struct tepal_task *task = loop_current ? loop_current->current : NULL;
    return task && task->describe == request_describe ? task->describe_arg : NULL;
}

tepal_req *mistake_no_request(const char *call)
{
    static const char what[] = "the request is NULL";
    tepal_req *running = mistake_running();
    if (!running)
        misuse(call, what);
    mistake(running, -EINVAL, call, "%s", what);
    return running;
}

int mistake(tepal_req *req, int error, const char *call, const char *format, ...)
{
    if (!request_is_given(req, call))
        return -EINVAL;
    va_list args;
    va_start(args, format);
    say(req, call, format, args);
    va_end(args);
    return mistake_said(req, error);
}

int mistake_null(tepal_req *req, const char *call, const char *what)
{
    return req && req->error < 0 ? req->error : mistake(req, -EINVAL, call, "%s is NULL", what);
}

void mistake_say(const tepal_req *req, const char *call, const char *format, ...)
{
    if (!request_is_given(req, call))
        return;
    va_list args;
    va_start(args, format);
    say(req, call, format, args);
    va_end(args);
}

void mistake_say_once(const tepal_req *req, enum mistake_once what, const char *call,
                      const char *format, ...)
{
    unsigned *told = req->match.route ? &req->match.route->told : &req->app->told;
    if (*told & what)
        return;
    *told |= what;
    va_list args;
    va_start(args, format);
    say(req, call, format, args);
    va_end(args);
}

bool argument_is_given(const tepal_req *req, const char *call, const void *argument,
                       const char *what)
{
    if (LIKELY(req && argument))
        return true;
    mistake_say(req, call, "%s is NULL", what);
    return false;
}

bool places_are_given(const tepal_req *req, const char *call, const size_t *at,
                      const tepal_pair *pair)
{
    return argument_is_given(req, call, at, "at") && argument_is_given(req, call, pair, "pair");
}

int mistake_in_format(tepal_req *req, const struct caller *caller, const char *format, va_list args)
{
    const char *field = caller->field ? caller->field : "";
    const char *of = caller->field ? ": " : "";
    va_list again;
    va_copy(again, args);
    errno = 0;
    int n = print_vsnprintf(NULL, 0, format, again), error = errno;
    va_end(again);
    if (n < 0)
        return mistake(req, error > 0 ? -error : -EINVAL, caller->call,
                       "%.100s%sthe format \"%.200s\" cannot be printed: %s%s", field, of, format,
                       tepal_code_text(-error),
                       error == EINVAL ? " (a '%' that is meant is written %%)" : "");
    if (!printing_has_null(format, args))
        return request_no_memory(req, (size_t)n + 1);
    if (req->error < 0)
        return req->error;
    return mistake(req, -EINVAL, caller->call, "%.100s%sa text for \"%.200s\" is NULL", field, of,
                   format);
}
