/* What is answered where no route has been found: what was refused before, OPTIONS, and the
 * statuses of paths and methods that are not served. */
#include "web/message/request.h"

#include <string.h>

/* The methods of a path that has routes, in their field. */
static tepal_res *with_allow(tepal_req *req, tepal_res *res)
{
    const char *allow = router_allow(&req->app->router, &req->arena, req->message->uri.path,
                                     req->message->uri.path_len);
    if (allow)
        tepal_res_set_header(res, "Allow", allow);
    return res;
}

tepal_res *unrouted(tepal_req *req)
{
    if (req->refused)
        return tepal_error(req, req->refused, NULL);
    if (req->error)
        return NULL;
    /* Its target is no path, so no route can be for it: a method that is not implemented. */
    if (request_is(req, "CONNECT", 7))
        return tepal_error(req, 501, NULL);
    bool options = request_is(req, "OPTIONS", 7);
    /* "*" is the server as a whole (RFC 9110 section 9.3.7). */
    if (options && req->message->uri.path[0] == '*')
        return tepal_empty(req, 204);
    if (!req->match.path_exists)
        return tepal_error(req, 404, NULL);
    return with_allow(req, options ? tepal_empty(req, 204) : tepal_error(req, 405, NULL));
}
