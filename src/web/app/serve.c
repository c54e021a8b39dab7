/* An exchange from above: the request of its message, the response of the application, and whom it
 * is told of. */
#include "async/loop/loop.h"
#include "async/task/task.h"
#include "web/app/done.h"
#include "web/exchange/user.h"
#include "web/message/request.h"
#include "web/server/server.h"

#include <errno.h>

static inline int answer(struct exchange *exchange, int refused, const struct exchange_call *call)
{
    tepal_req *req = exchange->req;
    struct server *server = req->server;
    req->message = exchange->message;
    if (UNLIKELY(server->observed))
        req->start_us = loop_clock_us(server->loop);
    exchange->task->describe_arg = req;
    exchange->task->cancel_told = false;
    request_look(req, refused);
    tepal_res *res = call ? dispatch_call(req, call) : dispatch(req);
    int rc = response_send(res);
    if (UNLIKELY(server->observed)) {
        bool short_of_memory = rc == -ENOMEM && !exchange->begun;
        done_tell(req, short_of_memory ? NULL : req->sending ? req->sending : res, rc);
    }
    exchange->task->describe_arg = NULL;
    return rc;
}

int exchange_serve(struct exchange *exchange, int refused)
{
    return answer(exchange, refused, NULL);
}

int exchange_call(struct exchange *exchange, int refused, const struct exchange_call *call)
{
    return answer(exchange, refused, call);
}

int exchange_error(const struct exchange *exchange)
{
    return exchange->req->error;
}
