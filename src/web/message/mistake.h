/* What a program does wrong with a request or a response, said to whoever wrote it: one line in the
 * log that names the request, the call, and what it was given. The client gets a 500 and the
 * process goes on, for much of what a handler passes on comes from a client.
 */
#ifndef TEPAL_WEB_MESSAGE_MISTAKE_H
#define TEPAL_WEB_MESSAGE_MISTAKE_H

#include "base/platform.h"
#include "web/message/request.h"

#include <stdarg.h>
#include <stdbool.h>

/* What does no harm to the response, and is said only once for each route. */
enum mistake_once {
    ONCE_MATCH = 1,   /* a variable that the pattern does not have */
    ONCE_SENT = 2,    /* a change after the head has been sent */
    ONCE_FRAMING = 4, /* a field that is the server's business */
    ONCE_URL = 8,     /* a variable that the named route does not have */
    ONCE_JSON = 16,   /* a reference that was not the handler's to give */
};

/* The request whose handler is the running task; NULL: it is none. */
tepal_req *mistake_running(void);

/* The request is NULL that this call was given. It is said of the request whose handler is running,
 * whose answer is a 500 then unless the handler makes another one; that request is returned. Where
 * none is running nobody could be told, and the program ends with a message. */
tepal_req *mistake_no_request(const char *call);

/* Whether a call was given a request. */
static inline bool request_is_given(const tepal_req *req, const char *call)
{
    if (UNLIKELY(!req))
        mistake_no_request(call);
    return req != NULL;
}

/* Logs "GET /x: call: what", and makes error the cause of the request's failure unless it has one.
 * Returns error. Here and below a request that is NULL is what is said instead. */
int mistake(tepal_req *req, int error, const char *call, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

/* The same for an argument, named what, that is NULL. It is not said when a failure is recorded
 * already: then the NULL is what that call has returned. Returns the cause. */
int mistake_null(tepal_req *req, const char *call, const char *what);

/* Makes error the cause, of which the log has been told. Returns error. */
int mistake_said(tepal_req *req, int error);

/* Only logs it. */
void mistake_say(const tepal_req *req, const char *call, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* Only logs it, and that once for the route of the request. */
void mistake_say_once(const tepal_req *req, enum mistake_once what, const char *call,
                      const char *format, ...) __attribute__((format(printf, 4, 5)));

/* Whether a getter was given a request, and an argument, named what: "the name" may come from where
 * nothing was found. If not, that is said, and nothing is found here either. */
bool argument_is_given(const tepal_req *req, const char *call, const void *argument,
                       const char *what);

/* The same for the places that a walk along names and values is given: at and pair. */
bool places_are_given(const tepal_req *req, const char *call, const size_t *at,
                      const tepal_pair *pair);

/* The format could not be printed, or has printed a NULL (see printing.h): says which of them it
 * was, or records that memory is short. Returns the cause. */
int mistake_in_format(tepal_req *req, const struct caller *caller, const char *format, va_list args)
    __attribute__((format(printf, 3, 0)));

#endif
