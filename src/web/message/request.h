/* The inside of a request: the message and the exchange that carry it, and all that lives with it
 * in its arena.
 */
#ifndef TEPAL_WEB_MESSAGE_REQUEST_H
#define TEPAL_WEB_MESSAGE_REQUEST_H

#include "base/arena.h"
#include "base/list.h"
#include "web/app/application.h"
#include "web/exchange/user.h"
#include "web/message/response.h"
#include "web/server/server.h"

#include <tepal/req.h>

struct query;
struct field_values;
struct cookies;
struct res_hook;

struct deferred {
    void (*fn)(void *arg);
    void *arg;
    struct deferred *next;
};

struct tepal_req {
    struct arena arena; /* in which this struct lies, too */
    struct exchange *exchange;
    struct message *message; /* the exchange's */
    struct server *server;
    tepal_app *app;
    struct tepal_res last_resort; /* when there is no memory for another response */
    tepal_bytes whole_body;       /* if has_whole_body */
    int before_read;              /* what was recorded before read_failed */
    int rejected;                 /* with TEPAL_EREJECTED: the status, */
    const char *rejection;        /* and the detail, or NULL */
    struct router_match match;

    /* All that follows is zero at first. */
    int refused;     /* the status that the request was refused with before it was routed, or 0 */
    int error;       /* the cause that was recorded last, see request_fail() */
    int told;        /* the cause that the log has been told of, or 0 */
    int body_error;  /* why the whole body cannot be had */
    int read_failed; /* the interruption of a read that may be tried again; it was recorded */
    bool has_whole_body, body_taken;
    bool in_handler;          /* that of the route runs */
    bool prepared, preparing; /* the hooks of res_hooks.h: have been called, are at work */
    bool has_streams;         /* one was made by tepal_stream() */
    bool making_json;
    int64_t start_us; /* when its head was complete, if somebody wants to know */
    struct state_entry *state;
    struct deferred *deferred;
    tepal_group *group;
    tepal_res *responses;                            /* all that were made, the latest first */
    tepal_res *sending;                              /* the response whose head has been sent */
    const char *path, *host, *remote, *content_type; /* made when asked for, as the next three */
    struct query *query;
    struct field_values *values;
    struct cookies *cookies;
    struct res_hook *res_hooks; /* of this request alone */
    json_t *json;
    struct list collecting; /* in the server's list, when it has read a large body */
};

/* Closes the request's group, if it has one. Suspends. */
void request_end_group(tepal_req *req);
static inline void request_close_group(tepal_req *req)
{
    if (UNLIKELY(req->group != NULL))
        request_end_group(req);
}

/* Looks at the target of a request that has come whole, or that is refused with this status (0: it
 * is not). Sets refused. */
void request_look(tepal_req *req, int status);

/* Records the cause of a failure, in place of an earlier one: what follows a failure is tried on
 * purpose. -ECANCELED replaces none, as one failure may cancel what else goes on. Returns error. */
int request_fail(tepal_req *req, int error);

/* The arena's calls, with failure recorded. */
void *request_alloc(tepal_req *req, size_t size);
char *request_alloc_text(tepal_req *req, size_t size);

/* Whom a line of the log is about: a public call, and the field that it sets, or NULL. */
struct caller {
    const char *call, *field;
};

/* Whether a field can be set that has this name and this value, or the format of it. Returns 0, or
 * an error. */
int response_check_put(tepal_res *res, const struct caller *caller, const char *value);

/* Sets or adds a field whose value lives with the request, for this call. Returns what
 * tepal_res_set_header() does. */
int response_put_value(tepal_res *res, const struct caller *caller, const char *value, size_t len,
                       bool add);

/* Whether the format is text of the request, so that its client would choose what is printed: that
 * is said, of this call, and the cause of a failure. */
bool request_refuses_format(tepal_req *req, const char *call, const char *format);

/* Text for this call. NULL, and the cause recorded, when memory is short or the format or one of
 * its texts is wrong. */
char *request_vprintf(tepal_req *req, const struct caller *caller, size_t *len, const char *format,
                      va_list args) __attribute__((format(printf, 4, 0)));

/* Records why the arena had no size octets. Returns the error. */
int request_no_memory(tepal_req *req, size_t size);

/* Whether the method is this literal. */
static inline bool request_is(const tepal_req *req, const char *method, size_t len)
{
    return message_is(req->message, method, len);
}

/* The handler of requests that have no route (unrouted.c). */
tepal_res *unrouted(tepal_req *req);

/* The response of the application: middlewares and handler (dispatch.c). Suspends. Never NULL. */
tepal_res *dispatch(tepal_req *req);
tepal_res *dispatch_call(tepal_req *req, const struct exchange_call *call);

#endif
