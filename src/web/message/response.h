/* The inside of a response. Making one is response.c, its fields are fields.c, giving one to its
 * exchange is send.c.
 */
#ifndef TEPAL_WEB_MESSAGE_RESPONSE_H
#define TEPAL_WEB_MESSAGE_RESPONSE_H

#include "web/exchange/response_head.h"

#include <tepal/res.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct lent_body;

struct tepal_res {
    tepal_req *req;         /* NULL: it has ended */
    tepal_res *next_of_req; /* another response to the same request */
    struct response_head head;
    tepal_bytes body;          /* of a whole response */
    struct lent_body *lent;    /* that it is, and must be given back; or NULL */
    int error;                 /* why the response must not be sent as it is, or went wrong */
    int missing;               /* why the latest piece was not written: it may still be */
    uint16_t n_pieces;         /* so far, as far as that counts */
    uint16_t n_refused;        /* pieces in a row that could not be written */
    bool stream;               /* the body is written piece by piece */
    bool head_sent;            /* the response has begun */
    bool writing;              /* a task is in tepal_write() */
    bool ended;                /* a stream: nothing more may be written to it */
    bool broken;               /* it was broken off: not all of it has been sent */
    struct tepal_task *waiter; /* for the task in tepal_write() to leave it; or NULL */
    uint64_t written;          /* octets of the body so far */
    /* 0. A program that gives the next response to free() is told so by the C library, which takes
     * the word in front of it for a size. */
    size_t no_size;
};

/* Sets the media type, which has been checked or is ours. */
static inline void response_set_type(tepal_res *res, const char *type)
{
    res->head.content_type = type;
    res->head.type_len = strlen(type);
}

/* The same: one of the types of response_head.h. */
static inline void response_set_usual_type(tepal_res *res, const struct usual_type *type)
{
    res->head.content_type = type->text;
    res->head.type_len = type->len;
}

/* A response without a body, made by this call. Status is that of a final response. NULL with the
 * cause recorded. */
tepal_res *response_new(tepal_req *req, int status, const char *call);

/* Whether the call may touch the response: it is one of a request that has not ended, and if a
 * handler runs, of its request. If not, that is said, and made the cause of a 500. other: a
 * response to another request will do. NULL is none. */
bool response_is_usable(const tepal_res *res, const char *call, bool other);

/* Whether the response is one to this request. Any pointer may be asked about. */
bool response_is_of(const tepal_res *res, const tepal_req *req);

/* Makes the response one that must not be sent: it becomes a 500. Returns the error. */
int response_refuse(tepal_res *res, int error);

/* Says that what this call was to change is left as it is, since the head is on its way. Returns
 * TEPAL_ESENT. */
int response_sent_already(const tepal_res *res, const char *call, const char *what);

/* Gives it a copy of these octets as body, for this call. Returns 0, or an error: recorded, and the
 * response is refused. */
int response_copy_body(tepal_res *res, const char *call, const void *data, size_t len);

/* Sets a field for this call; the value is copied. Returns what tepal_res_set_header() does. */
int response_put(tepal_res *res, const char *call, const char *name, const char *value);

/* The response for a cause that was recorded (0: none was): see tepal_fail(). Never NULL. */
tepal_res *response_for_error(tepal_req *req, int error);

/* The answer when there is no memory to make one: it lies in the request. */
tepal_res *response_last_resort(tepal_req *req, int status);

/* Sends a response, all of it or what is left of a stream. Suspends. Returns 1 when the carrier
 * may go on, 0 when this was its last response, or a negative error when the response is not
 * whole. */
int response_send(tepal_res *res);

#endif
