/* What is told, and to whom, when a request is over. */
#ifndef TEPAL_WEB_APP_DONE_H
#define TEPAL_WEB_APP_DONE_H

#include "web/message/request.h"

struct done_hook {
    tepal_done_hook *fn;
    void *arg;
};

/* Writes the line of the access log, and calls the hooks of the application. rc is what
 * response_send() has said; res NULL: there was no memory for the head of any, and a short answer
 * is what the client gets. */
void done_tell(tepal_req *req, const tepal_res *res, int rc);

#endif
