/* The body of a request as handlers read it: piece by piece, whole, as text, as JSON. */
#include "base/platform.h"
#include "web/message/mistake.h"
#include "web/text/utf8.h"

#include <errno.h>
#include <string.h>

/* A body begins with this much room when it is chunked or large. */
enum { FIRST_ROOM = 2048 };

/* Octets of text that are looked at in one go. */
enum { TEXT_STEP = 256 * 1024 };

/* Records it, such that a read that goes well can take it back. */
static void note_read_failed(tepal_req *req, int error)
{
    if (req->read_failed == 0 || req->error != req->read_failed)
        req->before_read = req->error;
    request_fail(req, error);
    if (req->error == error)
        req->read_failed = req->exchange->body_error == 0 ? error : 0;
}

/* Reads on. Errors of the connection are said in the request's terms. What was recorded of a read
 * that was interrupted is taken back when one goes well. */
static int read_piece(tepal_req *req, tepal_bytes *piece)
{
    struct exchange *exchange = req->exchange;
    /* A client that was silent for too long has been given up: who polls by deadlines of its own is
     * to see that it is over. */
    bool given_up = exchange->body_error == -ETIMEDOUT;
    int rc = exchange->ops->read(exchange, piece);
    if (rc == -ECONNRESET || rc == -EPIPE || given_up)
        rc = TEPAL_ECLOSED;
    if (rc <= 0)
        (void)exchange->ops->may_wait(exchange); /* a loop around it lets others run */
    if (rc < 0) {
        note_read_failed(req, given_up ? -ETIMEDOUT : rc); /* the cause stays what it was */
    } else if (UNLIKELY(req->read_failed != 0)) {
        if (req->error == req->read_failed)
            req->error = req->before_read;
        req->read_failed = 0;
    }
    return rc;
}

int tepal_req_read(tepal_req *req, tepal_bytes *piece)
{
    if (UNLIKELY(!req || !piece))
        return mistake_null(req, "tepal_req_read", "piece");
    if (req->has_whole_body) {
        /* It is read already: the rest of it is all there is. */
        *piece = req->body_taken ? (tepal_bytes){ 0 } : req->whole_body;
        req->body_taken = true;
        return piece->len > 0;
    }
    req->body_taken = true;
    return read_piece(req, piece);
}

static uint64_t max_body_of(const tepal_req *req)
{
    const struct route *route = req->match.route;
    return route && route->max_body ? route->max_body : req->server->options.limits.max_body;
}

/* The piece stays where it is meanwhile: nobody reads on. */
static int wait_for_memory(tepal_req *req, size_t size)
{
    int rc = memory_wait(req, size);
    return rc < 0 ? request_fail(req, rc) : 0;
}

/* A route that takes larger bodies than others has the memory for them. */
static void raise_memory(tepal_req *req, uint64_t max)
{
    const struct server *server = req->server;
    if (!server->default_memory || max <= server->options.limits.max_body || max == TEPAL_UNLIMITED)
        return;
    size_t limit = server_request_memory((size_t)max);
    if (limit > req->arena.limit)
        req->arena.limit = limit;
}

/* Makes room for len octets and a NUL. It doubles, but not beyond max octets. Returns 0 or an
 * error. */
static int make_room(tepal_req *req, size_t *room, size_t len, uint64_t max)
{
    tepal_bytes *body = &req->whole_body;
    if (len < *room)
        return 0;
    size_t more = *room * 2 > len ? *room * 2 : len + 1;
    if (more - 1 > max)
        more = (size_t)max + 1;
    int rc = more > MEMORY_SMALL ? wait_for_memory(req, more) : 0;
    if (rc < 0)
        return rc;
    char *data = arena_resize(&req->arena, (char *)(uintptr_t)body->data, *room, more);
    if (!data)
        return request_no_memory(req, more - *room);
    if (more > MEMORY_SMALL)
        memory_collect(req);
    body->data = data;
    *room = more;
    return 0;
}

/* Collects the body at req->whole_body, in room octets. */
static int collect(tepal_req *req, uint64_t max, size_t room)
{
    tepal_bytes piece, *body = &req->whole_body;
    int rc;
    while ((rc = read_piece(req, &piece)) > 0) {
        if (piece.len > max - body->len)
            return request_fail(req, TEPAL_EBODY_SIZE);
        rc = make_room(req, &room, body->len + piece.len, max);
        if (rc < 0)
            return rc;
        memcpy((char *)(uintptr_t)body->data + body->len, piece.data, piece.len);
        body->len += piece.len;
    }
    return rc;
}

/* Reads the whole body. Returns 0, or an error that was recorded. */
static int read_whole(tepal_req *req)
{
    if (req->body_taken)
        return request_fail(req, -EINVAL);
    uint64_t max = max_body_of(req), announced = req->message->content_length;
    raise_memory(req, max);
    if (announced != TEPAL_UNKNOWN && announced > max)
        return request_fail(req, TEPAL_EBODY_SIZE);
    /* Room for what is announced: so much is counted, but the system gives it only as it comes.
     * Bodies that each had a part and waited for the rest would wait for one another. */
    size_t room = announced == TEPAL_UNKNOWN ? FIRST_ROOM : (size_t)announced + 1;
    int rc = room > MEMORY_SMALL ? wait_for_memory(req, room) : 0;
    if (rc < 0)
        return rc;
    char *data = request_alloc(req, room);
    if (!data)
        return req->error;
    if (room > MEMORY_SMALL)
        memory_collect(req);
    req->body_taken = true;
    req->whole_body = (tepal_bytes){ .data = data };
    if (announced != TEPAL_UNKNOWN)
        max = announced;
    rc = collect(req, max, room);
    if (rc < 0)
        return rc;
    ((char *)(uintptr_t)req->whole_body.data)[req->whole_body.len] = '\0';
    req->body_taken = false;
    req->has_whole_body = true;
    return 0;
}

const tepal_bytes *tepal_req_body(tepal_req *req)
{
    if (!request_is_given(req, "tepal_req_body"))
        return NULL;
    if (req->has_whole_body)
        return &req->whole_body;
    if (req->body_error < 0) {
        request_fail(req, req->body_error);
        return NULL;
    }
    req->body_error = read_whole(req);
    return req->body_error == 0 ? &req->whole_body : NULL;
}

/* Whether it is UTF-8, looked at in steps: others want their turn, too. Suspends where there is
 * more than one. */
static int check_text(const char *text, size_t len)
{
    while (len > TEXT_STEP) {
        size_t step = TEXT_STEP;
        while (step > TEXT_STEP - 3 && ((unsigned char)text[step] & 0xc0) == 0x80)
            step--; /* to the beginning of a character */
        if (!utf8_is_text(text, step))
            return TEPAL_ECHARSET;
        text += step;
        len -= step;
        int rc = tepal_sleep_ms(0);
        if (rc < 0)
            return rc;
    }
    return utf8_is_text(text, len) ? 0 : TEPAL_ECHARSET;
}

const char *tepal_req_text(tepal_req *req)
{
    if (!request_is_given(req, "tepal_req_text"))
        return NULL;
    const tepal_bytes *body = tepal_req_body(req);
    if (!body)
        return NULL;
    int rc = check_text(body->data, body->len);
    if (rc < 0) {
        request_fail(req, rc);
        return NULL;
    }
    return body->data;
}
