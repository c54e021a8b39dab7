/* What is called before the head of a response goes out, whoever causes that. */
#ifndef TEPAL_WEB_MESSAGE_RES_HOOKS_H
#define TEPAL_WEB_MESSAGE_RES_HOOKS_H

#include "web/message/request.h"

/* One function, of an application or a request. */
struct res_hook {
    tepal_res_hook *fn;
    void *arg;
    struct res_hook *next; /* of a request */
};

/* Whether there is something to call. */
static inline bool res_hooks_wait(const tepal_req *req)
{
    return UNLIKELY(req->app->n_res_hooks > 0 || req->res_hooks) && !req->prepared;
}

/* Calls them, once for each request: what is sent in place of the response that one of them has
 * refused is not shown to them. Suspends if they do. Returns 0, or the error of the first that
 * failed; the others are not called then. */
int res_hooks_run(tepal_res *res);

#endif
