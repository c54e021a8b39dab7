/* The body of a request as handlers read it: piece by piece, whole, as text, as JSON. */
#include "base/platform.h"
#include "web/request.h"
#include "web/utf8.h"

#include <errno.h>
#include <string.h>

/* A chunked body begins with this much room. */
enum { FIRST_ROOM = 2048 };

/* Waits for more of the body. This is the one place where a client is told to send it: when that is
 * what it waits for, and no response has begun, into which the 100 would be mixed. */
static int wait_for_body(tepal_req *req)
{
    static const char go_on[] = "HTTP/1.1 100 Continue\r\n\r\n";
    if (request_awaits_continue(req) && !req->sending) {
        int rc = body_try_fill(&req->body);
        if (rc != -EAGAIN)
            return rc;
        rc = conn_write(req->body.conn, go_on, sizeof(go_on) - 1);
        if (rc < 0)
            return rc;
        req->continued = true;
    }
    return body_fill(&req->body);
}

/* Reads on. Errors of the connection are said in the request's terms. What was recorded of a read that
 * was interrupted is taken back when one goes well. */
static int read_piece(tepal_req *req, tepal_bytes *piece)
{
    int rc;
    while ((rc = body_take(&req->body, piece)) == -EAGAIN) {
        rc = wait_for_body(req);
        if (UNLIKELY(req->body.conn->stream.io.state & IO_EOF))
            connection_look_for_end(req->connection);
        if (rc < 0)
            break;
    }
    if (rc == -ECONNRESET || rc == -EPIPE)
        rc = TEPAL_ECLOSED;
    if (rc < 0) {
        bool first = req->error == 0;
        request_fail(req, rc);
        if (first && req->body.error == 0)
            req->read_failed = rc;
    } else if (UNLIKELY(req->read_failed != 0)) {
        if (req->error == req->read_failed)
            req->error = 0;
        req->read_failed = 0;
    }
    return rc;
}

int tepal_req_read(tepal_req *req, tepal_bytes *piece)
{
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
    return route && route->max_body ? route->max_body : req->connection->server->options.max_body;
}

/* The piece stays where it is meanwhile: nobody reads on. */
static int wait_for_memory(tepal_req *req, size_t size)
{
    memory_collect(req);
    int rc = memory_wait(req, size);
    return rc < 0 ? request_fail(req, rc) : 0;
}

/* Collects the body at req->whole_body, in *room octets. */
static int collect(tepal_req *req, uint64_t max, size_t room)
{
    tepal_bytes piece, *body = &req->whole_body;
    int rc;
    while ((rc = read_piece(req, &piece)) > 0) {
        if (piece.len > max - body->len)
            return request_fail(req, TEPAL_EBODY_SIZE);
        if (body->len + piece.len >= room) {
            size_t more = room * 2 > body->len + piece.len ? room * 2 : body->len + piece.len + 1;
            if (more > MEMORY_SMALL && (rc = wait_for_memory(req, more)) < 0)
                return rc;
            char *data = arena_resize(&req->arena, (char *)(uintptr_t)body->data, room, more);
            if (!data)
                return request_no_memory(req, more);
            body->data = data;
            room = more;
        }
        memcpy((char *)(uintptr_t)body->data + body->len, piece.data, piece.len);
        body->len += piece.len;
    }
    return rc;
}

const tepal_bytes *tepal_req_body(tepal_req *req)
{
    if (req->has_whole_body)
        return &req->whole_body;
    if (req->error < 0)
        return NULL;
    if (req->body_taken) {
        request_fail(req, -EINVAL);
        return NULL;
    }
    uint64_t max = max_body_of(req);
    if (req->head.framing == H1_BODY_LENGTH && req->head.content_length > max) {
        request_fail(req, TEPAL_EBODY_SIZE);
        return NULL;
    }
    /* Room for what is announced: so much is counted, but the system gives it only as it comes. Bodies
     * that each had a part and waited for the rest would wait for one another. */
    size_t room = req->head.framing == H1_BODY_CHUNKED ? FIRST_ROOM
                                                       : (size_t)tepal_req_content_length(req) + 1;
    if (room > MEMORY_SMALL && wait_for_memory(req, room) < 0)
        return NULL;
    char *data = request_alloc(req, room);
    if (!data)
        return NULL;
    req->body_taken = true;
    req->whole_body = (tepal_bytes){ .data = data };
    if (collect(req, max, room) < 0)
        return NULL;
    ((char *)(uintptr_t)req->whole_body.data)[req->whole_body.len] = '\0';
    req->body_taken = false;
    req->has_whole_body = true;
    return &req->whole_body;
}

const char *tepal_req_text(tepal_req *req)
{
    const tepal_bytes *body = tepal_req_body(req);
    if (!body)
        return NULL;
    if (!utf8_is_text(body->data, body->len)) {
        request_fail(req, TEPAL_ECHARSET);
        return NULL;
    }
    return body->data;
}

/* Whether the JSON text is nested no deeper than max: the parser recurses, and the stack is finite.
 */
static bool depth_is_ok(const char *text, size_t len, size_t max)
{
    size_t depth = 0;
    bool in_string = false;
    for (size_t i = 0; i < len; i++) {
        char c = text[i];
        if (in_string && c == '\\')
            i++;
        else if (c == '"')
            in_string = !in_string;
        else if (!in_string && (c == '[' || c == '{') && ++depth > max)
            return false;
        else if (!in_string && (c == ']' || c == '}') && depth > 0)
            depth--;
    }
    return true;
}

static void drop_json(void *json)
{
    json_decref(json);
}

json_t *tepal_req_json(tepal_req *req)
{
    if (req->json)
        return req->json;
    const tepal_bytes *body = tepal_req_body(req);
    if (!body)
        return NULL;
    json_t *json = NULL;
    if (depth_is_ok(body->data, body->len, req->connection->server->options.max_json_depth))
        json = json_loadb(body->data, body->len, JSON_DECODE_ANY | JSON_REJECT_DUPLICATES, NULL);
    if (!json) {
        request_fail(req, TEPAL_EJSON);
        return NULL;
    }
    if (tepal_req_defer(req, drop_json, json) < 0)
        return NULL;
    return req->json = json;
}
