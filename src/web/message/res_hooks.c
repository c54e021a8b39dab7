/* The hooks of the request, and then those of its application, in the order in which they came. */
#include "web/message/res_hooks.h"

#include "base/log.h"
#include "web/message/mistake.h"

#include <errno.h>

static int call_hook(tepal_res *res, const struct res_hook *hook)
{
    tepal_req *req = res->req;
    int rc = hook->fn(req, res, hook->arg);
    if (rc < 0)
        tepal_logf(TEPAL_LOG_ERROR, "%s %s: a hook of tepal_on_response() failed: %s",
                   tepal_req_method(req), tepal_req_target(req), tepal_code_text(rc));
    return rc < 0 ? rc : 0;
}

static int call_all(tepal_res *res)
{
    const tepal_app *app = res->req->app;
    int rc = 0;
    for (const struct res_hook *hook = res->req->res_hooks; hook && rc == 0; hook = hook->next)
        rc = call_hook(res, hook);
    for (size_t i = 0; i < app->n_res_hooks && rc == 0; i++)
        rc = call_hook(res, &app->res_hooks[i]);
    return rc;
}

int res_hooks_run(tepal_res *res)
{
    tepal_req *req = res->req;
    req->prepared = req->preparing = true;
    int rc = call_all(res);
    req->preparing = false;
    if (rc < 0)
        req->told = rc;
    /* A field that was refused makes the response a 500, as it does in a handler. */
    return rc == 0 && res->error < 0 ? res->error : rc;
}

int tepal_req_on_response(tepal_req *req, tepal_res_hook *fn, const void *arg)
{
    static const char call[] = "tepal_req_on_response";
    if (!req || !fn)
        return mistake_null(req, call, "the hook");
    if (req->prepared) {
        mistake_say(req, call, "the hooks of this request have been called already");
        return TEPAL_ESENT;
    }
    struct res_hook *hook = request_alloc(req, sizeof(*hook)), **at = &req->res_hooks;
    if (!hook)
        return req->error;
    *hook = (struct res_hook){ .fn = fn, .arg = (void *)(uintptr_t)arg };
    while (*at)
        at = &(*at)->next;
    *at = hook;
    return 0;
}
