/* Responses onto their exchange: what of a body there is, when the head goes, pieces, and the
 * end. */
#include "async/task/task.h"
#include "base/buf.h"
#include "base/log.h"
#include "base/print.h"
#include "http/status.h"
#include "web/message/mistake.h"
#include "web/message/res_hooks.h"
#include "web/text/printing.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

static inline struct exchange *exchange_of(const tepal_res *res)
{
    return res->req->exchange;
}

/* The length of a response that is whole: that of its body, or of what a HEAD or a 304 without one
 * stands for, if that was declared. */
static NO_INLINE void settle_length(tepal_res *res, bool stands_for_other)
{
    if (res->head.has_length && res->body.len == 0 && stands_for_other)
        return;
    if (res->head.has_length && res->head.length != res->body.len)
        tepal_logf(TEPAL_LOG_ERROR, "%s %s: the body has %zu octets, not the declared %llu",
                   tepal_req_method(res->req), tepal_req_target(res->req), res->body.len,
                   (unsigned long long)res->head.length);
    res->head.length = res->body.len;
    res->head.has_length = res->head.status != 304;
}

/* Settles whether there is a body, and what is said of its length (RFC 9110 section 6.4.1, 8.6). */
static inline void settle(tepal_res *res)
{
    const tepal_req *req = res->req;
    struct response_head *head = &res->head;
    bool is_head = request_is(req, "HEAD", 4), no_content = http_status_is_bodiless(head->status);
    bool tunnel = request_is(req, "CONNECT", 7) && head->status < 300;
    head->unframed = tunnel || no_content;
    head->bodiless = is_head || head->unframed;
    if (UNLIKELY(req->refused))
        head->close = true;
    if (LIKELY(!res->stream && !head->has_length && !head->unframed)) {
        head->length = res->body.len;
        head->has_length = true;
    } else if (!res->stream) {
        settle_length(res, is_head || head->status == 304);
    }
    if (UNLIKELY(head->status == 205)) {
        /* RFC 9110 section 15.3.6: no content, and it says so. */
        head->bodiless = head->has_length = true;
        head->length = 0;
        head->content_type = NULL;
    }
    if (no_content)
        head->content_type = NULL;
    /* RFC 9110 section 8.6: no Content-Length with 204, nor with 2xx to CONNECT; with 304 it is
     * that of the representation, if that is known. */
    if (head->unframed)
        head->has_length &= head->status == 304;
}

/* An interrupted head may be sent another time, or that of another response. Returns rc. */
static inline int has_begun(tepal_res *res, int rc)
{
    if (UNLIKELY(!exchange_of(res)->begun)) {
        res->head_sent = false;
        res->req->sending = NULL;
    }
    return rc;
}

static NO_INLINE int begin_stream(tepal_res *res, bool reading)
{
    struct exchange *exchange = exchange_of(res);
    settle(res);
    res->req->sending = res;
    res->head_sent = true;
    return has_begun(res, exchange->ops->begin(exchange, &res->head, reading));
}

static int send_whole(tepal_res *res)
{
    struct exchange *exchange = exchange_of(res);
    settle(res);
    res->req->sending = res;
    res->head_sent = true;
    int rc = has_begun(res, exchange->ops->send(exchange, &res->head, res->body));
    if (rc == 0)
        res->written = res->head.bodiless ? 0 : res->body.len;
    return rc;
}

/* What was cancelled in the middle must not look complete: the server ends, the client has reset
 * the connection; or it has ended its side, and the handler has been told so in a wait of its
 * own. */
static bool was_cut(const tepal_res *res)
{
    const struct tepal_task *task = res->req->exchange->task;
    if (!res->head_sent || res->head.bodiless || !task->cancelled)
        return false;
    bool whole = res->head.has_length && res->written == res->head.length;
    return !exchange_of(res)->ops->is_half_closed(exchange_of(res)) ||
           (task->cancel_told && !whole);
}

/* The end of a stream. A body that is too short leaves nothing but to close. */
static int finish_stream(tepal_res *res)
{
    struct exchange *exchange = exchange_of(res);
    if (was_cut(res))
        return -ECANCELED;
    int rc = res->missing;
    if (rc == 0)
        rc = res->head_sent ? res->error : begin_stream(res, false);
    if (rc < 0)
        return rc;
    if (!res->head.bodiless && res->head.has_length && res->written != res->head.length) {
        tepal_logf(TEPAL_LOG_ERROR, "%s %s: the body has %llu octets, not the declared %llu",
                   tepal_req_method(res->req), tepal_req_target(res->req),
                   (unsigned long long)res->written, (unsigned long long)res->head.length);
        return TEPAL_ELENGTH;
    }
    return exchange->ops->end(exchange);
}

/* Ends what has begun instead of the response that was returned: it cannot be taken back, and must
 * not look complete. Where there is no body its head was all there is. */
static int end_other(tepal_res *begun)
{
    if (begun->head.bodiless)
        return begun->error;
    tepal_logf(TEPAL_LOG_ERROR, "%s %s: a stream was begun and not returned",
               tepal_req_method(begun->req), tepal_req_target(begun->req));
    return -EPIPE;
}

/* A response that is broken off: of its body no more was written than has gone. */
static void break_off(tepal_res *res)
{
    struct exchange *exchange = exchange_of(res);
    uint64_t sent = exchange->ops->break_off(exchange);
    res->broken = true;
    if (!res->stream || sent < res->written)
        res->written = sent;
}

/* What a task is in the midst of writing when the handler has returned is a part of the body, and
 * waited for; where the request has been cancelled it is cut short. Only behind it can the response
 * end, and the connection go: the task uses both. */
static NO_INLINE void wait_for_writer(tepal_res *res)
{
    enum { LOOK_AGAIN_MS = 10 }; /* at a writer that did not wait for the client just then */
    static const char what[] = "a write to the response";
    struct loop *loop = loop_current;
    struct exchange *exchange = exchange_of(res);
    int rc = 0;
    res->waiter = loop->current;
    while (res->writing && rc == 0)
        rc = task_wait(loop, what, TEPAL_NEVER);
    while (res->writing) {
        exchange->ops->cut_writer(exchange, true);
        (void)task_wait_shielded_until(loop, what, loop_time_in(loop, LOOK_AGAIN_MS));
    }
    exchange->ops->cut_writer(exchange, false);
    res->waiter = NULL;
}

/* From here on nothing more is written to the streams of the request. */
static NO_INLINE void end_streams(tepal_req *req)
{
    for (tepal_res *res = req->responses; res; res = res->next_of_req) {
        res->ended = res->stream;
        if (UNLIKELY(res->writing))
            wait_for_writer(res);
    }
}

int response_send(tepal_res *res)
{
    tepal_req *req = res->req;
    int rc;
    if (UNLIKELY(req->has_streams))
        end_streams(req);
    if (UNLIKELY(req->sending && req->sending != res)) {
        res = req->sending;
        rc = end_other(res);
    } else {
        rc = res->stream ? finish_stream(res) : send_whole(res);
    }
    if (UNLIKELY(rc < 0)) {
        break_off(res);
        return rc;
    }
    return req->exchange->keep_alive & !res->head.close; /* asked for after the head, maybe */
}

/* What a write must return before it does anything. A loop around it lets others run, and learns
 * that it is over, also when there is nothing to write. Small pieces are collected: to let others
 * run after each would send each by itself. */
static int may_write(tepal_res *res, size_t len)
{
    enum { PIECES_AT_ONCE = 64 };
    struct exchange *exchange = exchange_of(res);
    if (len == 0 || res->head.bodiless || res->error < 0 || res->n_pieces++ % PIECES_AT_ONCE == 0)
        return exchange->ops->may_wait(exchange);
    return exchange->ops->check(exchange);
}

static int write_piece(tepal_res *res, const void *data, size_t len)
{
    struct exchange *exchange = exchange_of(res);
    int rc = may_write(res, len);
    if (rc == 0 && !res->head_sent)
        rc = begin_stream(res, true);
    if (rc < 0)
        return rc;
    if (res->head.bodiless)
        return TEPAL_ENOBODY;
    if (res->head.has_length && len > res->head.length - res->written)
        return TEPAL_ELENGTH;
    if (len > 0)
        rc = exchange->ops->write(exchange, data, len);
    if (rc == 0)
        res->written += len;
    return rc;
}

/* A body in which a piece is missing must not be ended as if it were whole. A piece of which
 * nothing was written can still be, by another call. */
static void note_result(tepal_res *res, int rc)
{
    if (rc == TEPAL_ELENGTH || rc == TEPAL_ENOBODY)
        return;
    bool again = task_was_interrupted(rc) && rc != -ECANCELED &&
                 exchange_of(res)->ops->failure(exchange_of(res)) == 0;
    res->missing = rc;
    if (rc == 0)
        res->n_refused = 0;
    else if (!again)
        res->error = rc;
}

/* Whether there is a response that can be written to. If not, a loop of writes to none lets others
 * run. */
static bool is_written_to(tepal_res *res, const char *call)
{
    bool usable = response_is_usable(res, call, true);
    if (usable)
        task_need(call);
    else if (loop_current && loop_current->current)
        (void)task_may_wait(loop_current, loop_current->current);
    return usable;
}

/* A piece is not written, and the next one will not be either. Who does not heed that is held back,
 * and does not hold up the others: without a body only a little, as a program may go on to its end
 * there without a look at the results. The response may have ended when this returns. */
static NO_INLINE int refuse_piece(tepal_res *res, int error)
{
    enum { FREE_WITHOUT_BODY = 1000 };
    bool no_body = error == TEPAL_ENOBODY;
    if (res->n_refused < UINT16_MAX)
        res->n_refused++;
    unsigned n = res->n_refused, least = no_body ? FREE_WITHOUT_BODY : 0;
    task_hold_back(loop_current, loop_current->current, n > least ? n - least : 0,
                   no_body ? 1 : TASK_MOST_PAUSE_MS,
                   no_body ? "nobody reads the body that it writes (TEPAL_ENOBODY)"
                           : "its writes to the response fail");
    return error;
}

/* A piece that is missing: the body must not be ended without it as if it were whole. */
static int fail_piece(tepal_res *res, int error)
{
    if (res->error == 0)
        res->error = error;
    return refuse_piece(res, error);
}

int tepal_write(tepal_res *res, const void *data, size_t len)
{
    static const char call[] = "tepal_write";
    if (!is_written_to(res, call))
        return -EINVAL;
    if (UNLIKELY(!res->stream))
        return fail_piece(
            res, mistake(res->req, -EINVAL, call, "the response was not made by tepal_stream()"));
    if (UNLIKELY(!data && len > 0))
        return fail_piece(res, mistake_null(res->req, call, "the data"));
    int rc = res->error;
    if (res->ended || (res->req->sending && res->req->sending != res))
        rc = TEPAL_ESENT;
    else if (res->writing) /* two pieces that are on their way at once would be mixed up */
        rc = -EBUSY;
    if (UNLIKELY(rc < 0)) {
        int interrupted = exchange_of(res)->ops->may_wait(exchange_of(res));
        if (interrupted < 0)
            return interrupted == -ECANCELED ? interrupted : rc;
        return refuse_piece(res, rc);
    }
    res->writing = true;
    rc = !res->head_sent && res_hooks_wait(res->req) ? res_hooks_run(res) : 0;
    if (rc == 0)
        rc = write_piece(res, data, len);
    res->writing = false;
    if (UNLIKELY(res->waiter != NULL))
        task_wake(res->waiter, 0);
    note_result(res, rc);
    if (UNLIKELY(rc < 0) && !task_was_interrupted(rc))
        return refuse_piece(res, rc);
    return rc;
}

/* The text of a piece: not in the arena, as a stream may go on for ever. */
struct printed {
    char small[512];
    struct buf large; /* when that has no room for it */
    const char *data;
    size_t len;
};

/* Returns 0, or an error: memory is short, the format cannot be printed, or a text is NULL, which
 * is said. */
static int __attribute__((format(printf, 3, 0)))
print_piece(tepal_req *req, struct printed *text, const char *format, va_list args)
{
    static const struct caller caller = { .call = "tepal_writef" };
    va_list again;
    va_copy(again, args);
    int n = print_vsnprintf(text->small, sizeof(text->small), format, again), rc = 0;
    va_end(again);
    if (n < 0)
        return mistake_in_format(req, &caller, format, args) == -ENOMEM ? -ENOMEM : -EINVAL;
    bool fits = (size_t)n < sizeof(text->small);
    if (!fits) {
        va_copy(again, args);
        rc = buf_vprintf(&text->large, format, again);
        va_end(again);
    }
    text->data = fits ? text->small : text->large.data;
    text->len = (size_t)n;
    if (rc == 0 && UNLIKELY(printing_looks_null(text->data, text->len)) &&
        printing_has_null(format, args))
        rc = mistake_in_format(req, &caller, format, args);
    return rc;
}

int tepal_writef(tepal_res *res, const char *format, ...)
{
    static const char call[] = "tepal_writef";
    if (!is_written_to(res, call))
        return -EINVAL;
    if (UNLIKELY(!format))
        return fail_piece(res, mistake_null(res->req, call, "the format"));
    if (UNLIKELY(request_refuses_format(res->req, call, format)))
        return fail_piece(res, -EINVAL);
    struct printed text;
    buf_init(&text.large, SIZE_MAX / 2);
    va_list args;
    va_start(args, format);
    int rc = print_piece(res->req, &text, format, args);
    va_end(args);
    if (rc == 0)
        rc = tepal_write(res, text.data, text.len);
    else
        rc = fail_piece(res, rc);
    buf_clear(&text.large);
    return rc;
}
