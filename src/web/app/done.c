/* What is told when a request is over: to the access log, and to the hooks of the program. */
#include "web/app/done.h"

#include "async/loop/loop.h"
#include "web/server/access_log.h"
#include "web/app/registration.h"
#include "web/server/server.h"

#include <errno.h>

void tepal_on_done(tepal_app *app, tepal_done_hook *hook, const void *arg)
{
    if (!registration_is_open(app, "tepal_on_done"))
        return;
    if (!hook) {
        registration_mistake(app, "tepal_on_done: the hook is NULL");
        return;
    }
    struct done_hook *room =
        registration_room(app, &app->done_hooks, app->n_done_hooks, sizeof(*room));
    if (room) {
        *room = (struct done_hook){ .fn = hook, .arg = registration_arg(arg) };
        app->n_done_hooks++;
    }
}

static void call_hooks(tepal_req *req, const tepal_res *res, int rc)
{
    const tepal_app *app = req->app;
    tepal_done done = {
        .error = rc < 0 ? rc : 0,
        .received = req->exchange->ops->received(req->exchange),
        .duration_us = loop_clock_us(req->server->loop) - req->start_us,
    };
    if (!res) {
        done.status = 503;
    } else if (res->head_sent) {
        done.status = res->head.status;
        done.sent = req->exchange->head_len + res->written;
    }
    for (size_t i = 0; i < app->n_done_hooks; i++)
        app->done_hooks[i].fn(req, &done, app->done_hooks[i].arg);
}

void done_tell(tepal_req *req, const tepal_res *res, int rc)
{
    struct access_log *log = req->server->access_log;
    if (log && res) /* the short answer in place of one has a line of its own */
        access_log_write(log, req, res, rc);
    if (req->app->n_done_hooks > 0)
        call_hooks(req, res, rc);
}
