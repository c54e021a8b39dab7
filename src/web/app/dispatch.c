/* From a request to its response: routing, middlewares, handler. */
#include "async/task/group.h"
#include "async/task/task.h"
#include "base/log.h"
#include "web/message/mistake.h"
#include "web/message/res_hooks.h"

#include <errno.h>
#include <string.h>

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

static inline void find_route(tepal_req *req)
{
    if (req->refused)
        return;
    const struct message *message = req->message;
    const tepal_bytes method = { .data = message_method(message), .len = message->method_len },
                      path = { .data = message->uri.path, .len = message->uri.path_len };
    int rc = router_match(&req->app->router, &req->arena, method, path, &req->match);
    if (UNLIKELY(rc == TEPAL_EPATTERN))
        mistake(req, rc, "the route", "the expression %.200s takes too many steps for this path",
                req->match.costly);
    else if (UNLIKELY(rc < 0))
        request_fail(req, rc);
}

/* What next calls, behind what is common to all: the time of the route, the hooks. */
static inline tepal_res *respond_by(tepal_req *req, tepal_next *next)
{
    struct tepal_task *task = req->exchange->task;
    int64_t deadline = task->deadline;
    const struct route *route = req->match.route;
    req->exchange->shielded = route && route->shield;
    req->exchange->ops->look(req->exchange);
    if (route && !req->error) {
        next->handler = route->handler;
        task->name = route->pattern.source;
        if (route->timeout_ms > 0)
            tepal_deadline_in_ms(route->timeout_ms);
    }
    tepal_res *res = call_next(next, req);
    request_close_group(req);
    task_need_nothing_open(task);
    task->deadline = deadline;
    if (res_hooks_wait(req) && !res->head_sent)
        res = prepare(req, res);
    task->name = "connection";
    return res;
}

tepal_res *dispatch(tepal_req *req)
{
    tepal_next next = { .handler = unrouted };
    find_route(req);
    return respond_by(req, &next);
}

/* --- Calls ------------------------------------------------------------------------------------ */

/* A route that matches just this request. NULL, and the cause recorded, when memory is short. */
static struct route *route_of_call(tepal_req *req, const struct exchange_call *call)
{
    static char source[] = "(made)";
    struct route *route = request_alloc(req, sizeof(*route));
    if (!route)
        return NULL;
    *route = (struct route){ .handler = call->handler, .arg = call->arg };
    route->pattern.source = source;
    for (const tepal_pair *pair = call->match; pair && pair->name; pair++) {
        size_t n = route->pattern.n_names;
        const char *value = n < PATTERN_MAX_VARIABLES ? tepal_req_strdup(req, pair->value) : NULL;
        if (!value)
            break;
        route->pattern.names[n] = pair->name;
        req->match.values[n] = (tepal_bytes){ .data = value, .len = strlen(value) };
        req->match.n_values = route->pattern.n_names = n + 1;
    }
    return req->error ? NULL : route;
}

/* What is done before the handler is called. */
static void prepare_call(tepal_req *req, const struct exchange_call *call)
{
    if (req->refused || req->error || !call->prepare)
        return;
    req->rejected = 500; /* for one that says so without tepal_reject() */
    req->rejection = NULL;
    int rc = call->prepare(req, call->prepare_arg);
    if (rc < 0)
        request_fail(req, rc);
    else
        req->error = 0;
}

tepal_res *dispatch_call(tepal_req *req, const struct exchange_call *call)
{
    tepal_next next = { .handler = unrouted };
    if (!call->handler)
        find_route(req);
    else if (!req->refused)
        req->match.route = route_of_call(req, call);
    if (call->handler)
        next.index = req->app->n_middlewares;
    prepare_call(req, call);
    return respond_by(req, &next);
}
