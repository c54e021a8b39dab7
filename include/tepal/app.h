/* Applications: middlewares, state, and what happens at the start and at the end. Their routes are
 * in route.h. */
#ifndef TEPAL_APP_H
#define TEPAL_APP_H

#include <tepal/async.h>
#include <tepal/base.h>
#include <tepal/http_error.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct tepal_app tepal_app;   /* an application */
typedef struct tepal_req tepal_req;   /* a request, see req.h */
typedef struct tepal_res tepal_res;   /* a response, see res.h */
typedef struct tepal_next tepal_next; /* what a middleware calls */

/* A handler gets a request and returns the response to it, made by one of the calls of res.h. It
 * runs in a task of its own, so it may call anything that suspends. One that returns NULL is
 * answered with the cause that a call recorded on the request (413, 400, ...), or 500.
 *
 * When its client goes away, what the handler waits for ends: sleeps, locks, channels, threads,
 * other connections and all other calls that suspend return -ECANCELED from then on. Only what it
 * writes to the client, and reads from it, goes on as if nothing had happened: the client may have
 * ended just its side of the connection. So a response that the handler returns all the same is
 * sent, and a stream is written to its end; but one of which the handler was told -ECANCELED after
 * its beginning is broken off, so that nobody takes a part for the whole. This is so from when the
 * end of the client's side is noticed behind the whole request, over TCP and Unix sockets alike: at
 * once where the handler has read the body, or what is left of it fits into the connection's buffer
 * of 16 KiB with the head. Behind more that is unread it does not count until the handler reads it:
 * who is late with that is the handler, and a body that ends too early is told by the call that
 * reads it. A handler that waits without reading such a body is bounded by timeout_ms of its route,
 * which is what to set there.
 *
 * A client that resets the connection, or turns out to be gone, ends the writes as well. One that
 * vanishes without a word is found by TCP's keep-alive within two minutes. A route with shield goes
 * on in any case, and half_closed_clients of a server lets only a reset count.
 *
 * When the server ends, a handler goes on for shutdown_timeout_ms (60 s, unless run.h's option says
 * otherwise); then all its calls that suspend return -ECANCELED, those that write to the client as
 * well. It has a tenth of that time to return, 1 s at least and 10 s at most; then it is left as it
 * is. */
typedef tepal_res *tepal_handler(tepal_req *req);

/* A middleware stands around all handlers of an application, and around what is answered where
 * there is none: 404, 405, 400, 501, OPTIONS. It calls tepal_next_call() for the response of what
 * is inside, and returns that or another one. The head of a stream has been sent by then: what
 * every response shall have is set by tepal_on_response(). */
typedef tepal_res *tepal_middleware(tepal_req *req, tepal_next *next);

/* The response of the next middleware or the handler. Suspends if they do. Never NULL; when an
 * argument is, that is logged, and the response is a 500. */
TEPAL_API tepal_res *tepal_next_call(tepal_next *next, tepal_req *req);

/* The argument that the middleware which was called with next was added with. NULL for a next that
 * is NULL, which is logged, and the response is a 500 unless the middleware makes another one. */
TEPAL_API void *tepal_next_arg(const tepal_next *next);

/* A new application. Returns NULL only when memory is short; the calls below accept that, and
 * tepal_run() reports it. An application that has been closed is told from others: a call with it
 * ends the program, with a message, and tepal_run() and tepal_serve() do not start. */
TEPAL_API tepal_app *tepal_app_new(void);

/* Frees the application. Not while it is served, nor after tepal_run(), which does it itself. NULL
 * is allowed. */
TEPAL_API void tepal_app_close(tepal_app *app);

/* Registration never returns an error: the first one is kept in the application, and tepal_run(),
 * tepal_serve() and tepal_test_new() refuse to start with it. This tells it: NULL when all is
 * well, else a text such as "route GET /a/{b: '{' is never closed". It lives as long as app. */
TEPAL_API const char *tepal_app_error_text(const tepal_app *app);

/* Adds a middleware; the first one added is the outermost. arg is what tepal_next_arg() tells it;
 * it is not copied. */
TEPAL_API void tepal_use(tepal_app *app, tepal_middleware *middleware, const void *arg);

/* Called once for each request when the head of its response is about to be sent, whoever causes
 * that: a handler that has returned, the first piece of a stream, an error page. So it reaches what
 * a middleware sees too late. It runs in the task that causes it, may change status and fields, and
 * suspend. Returns 0, or a negative error, which is logged: then the answer is the page of
 * tepal_fail() for it, which no hook is called for, and a stream's first tepal_write() returns it.
 * Not called for what is answered without a request: 408 for a head that does not end, 503 when
 * there is no memory for one. */
typedef int tepal_res_hook(tepal_req *req, tepal_res *res, void *arg);

/* Adds one. Those of a request (see tepal_req_on_response()) come first, then these, in the order
 * in which they were added. arg is what they are called with; it is not copied. */
TEPAL_API void tepal_on_response(tepal_app *app, tepal_res_hook *hook, const void *arg);

/* What became of a request. */
typedef struct tepal_done {
    int status; /* that was sent, or is on its way; 0: the client was gone before */
    /* 0, or why the response did not go out whole: -EPIPE, -ECANCELED, ...; -ENOMEM with 503: there
     * was no memory for the response that was meant. */
    int error;
    /* Octets of the request that were read: its head, and its body as the handler sees it. And the
     * same of the response; 0 for that 503. */
    uint64_t received, sent;
    /* From when the head of the request was whole to when the system, or the buffer of the
     * connection, had the last of the response. */
    int64_t duration_us;
    uint64_t later[4];
} tepal_done;

/* Called when the response to a request has been made and sent, for logs and counters; also for
 * error pages, and for requests whose head was refused. The request is still there. Must not
 * suspend. Not called for what is answered without a request, nor for requests that were left as
 * they are at the end: see tepal_handler. */
typedef void tepal_done_hook(tepal_req *req, const tepal_done *done, void *arg);

/* Adds one. They are called in the order in which they were added; arg is not copied. */
TEPAL_API void tepal_on_done(tepal_app *app, tepal_done_hook *hook, const void *arg);

/* What error pages are for a client that likes all the same: "text/plain", the default,
 * "text/html", or "application/json", as an API may want. One that prefers something gets that in
 * any case. */
TEPAL_API void tepal_app_set_error_pages(tepal_app *app, const char *content_type);

/* --- State ------------------------------------------------------------------------------------ */

/* Keeps value under the key; tepal does not look into it nor free it. A key that is NULL is an
 * error of registration; once the application is served it is logged, and nothing is kept. Returns
 * 0; -EINVAL for such a key; or -ENOMEM, with which an application that is not being served yet
 * refuses to start.
 */
TEPAL_API int tepal_app_set_state(tepal_app *app, const tepal_key *key, const void *value);

/* The value of the key, NULL when there is none; or for a key that is NULL, which is logged. */
TEPAL_API void *tepal_app_state(const tepal_app *app, const tepal_key *key);

/* Memory, zeroed and aligned for everything, and calls that are made when the application is
 * closed, the last one first: for components that set themselves up. The memory is freed after the
 * calls, which run in no task and must not suspend. Neither suspends. NULL, or -ENOMEM and fn has
 * been called, when memory is short; an application that is not being served yet refuses to start
 * with that. */
TEPAL_API void *tepal_app_alloc(tepal_app *app, size_t size);
TEPAL_API int tepal_app_defer(tepal_app *app, void (*fn)(void *arg), const void *arg);

/* --- Start and end -------------------------------------------------------------------------------
 *
 * Order: contexts are entered, startup hooks run and background tasks are started, before the first
 * connection is accepted.
 * At the end: connections that wait to be accepted are, and then no more; requests that have come
 * are answered, with Connection: close, and so is the first request of a connection that comes
 * within a second, or begins to; other idle connections are closed; shutdown hooks run; running
 * requests have shutdown_timeout_ms to finish and are then cancelled; background tasks are
 * cancelled; contexts are left in reverse; cleanup hooks run. All of them run in a task and may
 * suspend.
 *
 * When the start fails: contexts that were entered are left; cleanup hooks run if startup hooks
 * have begun, even if the first of them has failed; shutdown hooks run only if all of those went
 * well, as they did when it is listening that fails.
 *
 * When tepal_app_stop() or a signal ends the application while it starts, what the step that runs
 * waits for is cancelled (-ECANCELED), none is begun after it, and what has been opened is closed
 * as when the start fails. That is no failure: tepal_serve() and tepal_run() return 0. */

/* Called with the argument that it was added with, which is not copied. Returns 0, or a negative
 * error: logged, and at startup the application does not start. */
typedef int tepal_app_hook(tepal_app *app, void *arg);

TEPAL_API void tepal_on_startup(tepal_app *app, tepal_app_hook *hook, const void *arg);
TEPAL_API void tepal_on_shutdown(tepal_app *app, tepal_app_hook *hook, const void *arg);
TEPAL_API void tepal_on_cleanup(tepal_app *app, tepal_app_hook *hook, const void *arg);

/* A pair: what enter opened, leave closes. leave runs exactly when enter returned 0, also when
 * something else kept the application from starting. */
TEPAL_API void tepal_context(tepal_app *app, tepal_app_hook *enter, tepal_app_hook *leave,
                             const void *arg);

/* Adds a task that runs beside the requests, from the start of the application to its end, when it
 * is cancelled: all calls that suspend return -ECANCELED to it then. One that returns 0 or more has
 * ended. One that fails before the end is a line of the log, and is started again after 1 s, then 2
 * s, 4 s and so on, at most a minute; after it has run for a minute or longer, it is 1 s again. */
TEPAL_API void tepal_background(tepal_app *app, tepal_app_hook *task, const void *arg);

/* The group of the application's background tasks; for tepal_spawn() in hooks and handlers. One
 * that fails is logged at once. NULL before the application is served. */
TEPAL_API tepal_group *tepal_app_group(tepal_app *app);

#ifdef __cplusplus
}
#endif
#endif
