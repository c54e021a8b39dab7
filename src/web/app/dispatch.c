/* From a request to its response: routing, middlewares, handler. */
#include "async/group.h"
#include "async/task.h"
#include "base/log.h"
#include "web/message/mistake.h"
#include "web/message/res_hooks.h"

#include <errno.h>

/* A response in place of none, and of one that must not be sent. who returned it. */
static NO_INLINE tepal_res *other_response(tepal_req *req, tepal_res *res, const char *who)
{
    if (!res) {
        /* One that was interrupted need not say so. */
        int error = req->error ? req->error : task_check(loop_current, req->exchange->task);
        return response_for_error(req, error);
    }
    if (!response_is_of(res, req)) {
        mistake(req, -EINVAL, who, "returned a response that is not to this request");
        return response_for_error(req, -EINVAL);
    }
    if ((res->error | res->missing) < 0 && !res->head_sent)
        return response_for_error(req, res->error < 0 ? res->error : res->missing);
    return res;
}

/* Mostly it is the one that was made last, and right. */
static inline tepal_res *make_sure(tepal_req *req, tepal_res *res, const char *who)
{
    if (LIKELY(res && res == req->responses && (res->error | res->missing) == 0))
        return res;
    return other_response(req, res, who);
}

static tepal_res *call_next(tepal_next *next, tepal_req *req)
{
    tepal_app *app = req->app;
    if (next->index == app->n_middlewares) {
        req->in_handler = true;
        tepal_res *res = next->handler(req);
        req->in_handler = false;
        return make_sure(req, res, "the handler");
    }
    const struct app_middleware *middleware = &app->middlewares[next->index];
    tepal_next inner = {
        .handler = next->handler,
        .index = next->index + 1,
        .arg = middleware->arg,
    };
    return make_sure(req, middleware->fn(req, &inner), "a middleware");
}

void *tepal_next_arg(const tepal_next *next)
{
    static const char call[] = "tepal_next_arg";
    if (LIKELY(next))
        return next->arg;
    tepal_req *req = mistake_running();
    if (!req)
        misuse(call, "next is NULL");
    mistake_null(req, call, "next");
    return NULL;
}

tepal_res *tepal_next_call(tepal_next *next, tepal_req *req)
{
    static const char call[] = "tepal_next_call";
    if (LIKELY(next && req))
        return call_next(next, req);
    if (!req)
        req = mistake_no_request(call);
    else
        mistake_null(req, call, "next");
    return response_for_error(req, req->error);
}

/* The response, or another one in place of it when it has been refused. */
static NO_INLINE tepal_res *prepare(tepal_req *req, tepal_res *res)
{
    int rc = res_hooks_run(res);
    request_close_group(req); /* that of a hook */
    task_need_nothing_open(req->exchange->task);
    return rc < 0 && !res->head_sent ? response_for_error(req, rc) : res;
}

tepal_res *dispatch(tepal_req *req)
{
    struct tepal_task *task = req->exchange->task;
    tepal_next next = { .handler = unrouted };
    int64_t deadline = task->deadline;
    if (!req->refused) {
        const struct message *message = req->message;
        const tepal_bytes method = { .data = message_method(message), .len = message->method_len },
                          path = { .data = message->uri.path, .len = message->uri.path_len };
        int rc = router_match(&req->app->router, &req->arena, method, path, &req->match);
        if (UNLIKELY(rc == TEPAL_EPATTERN))
            mistake(req, rc, "the route",
                    "the expression %.200s takes too many steps for this path", req->match.costly);
        else if (UNLIKELY(rc < 0))
            request_fail(req, rc);
    }
    const struct route *route = req->match.route;
    req->exchange->shielded = route && route->shield;
    req->exchange->ops->look(req->exchange);
    if (route && !req->error) {
        next.handler = route->handler;
        task->name = route->pattern.source;
        if (route->timeout_ms > 0)
            tepal_deadline_in_ms(route->timeout_ms);
    }
    tepal_res *res = call_next(&next, req);
    request_close_group(req);
    task_need_nothing_open(task);
    task->deadline = deadline;
    if (res_hooks_wait(req) && !res->head_sent)
        res = prepare(req, res);
    task->name = "connection";
    return res;
}
