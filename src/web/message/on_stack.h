/* Variables of a function that will have returned when somebody looks at them. */
#ifndef TEPAL_WEB_MESSAGE_ON_STACK_H
#define TEPAL_WEB_MESSAGE_ON_STACK_H

#include "web/message/request.h"

#include <stdbool.h>

/* Whether the octet is on the stack of the request's handler, or on the one that runs: that of a
 * task, or of a thread. */
bool is_on_stack(const tepal_req *req, const void *p);

#endif
