/* Testing an application without a network: requests go through a connection within this process to
 * the real server code, and the clock is the test's. A timeout of an hour takes no time: whenever
 * nothing else can happen, the clock moves to the next timer. The connection begins and ends as one
 * over TCP does.
 *
 * Not to be used in a task: the calls run the loop themselves, and one in a task of the test ends
 * the program with a message that names it. A call whose reply can never come gives up: when all
 * tasks wait for one another, with no timer set; or after a minute of real time, for a stream that
 * has no end, or what never comes from outside of the process. The log then says what each task
 * waits for. NULL, where it is not said to be allowed, ends the program with a message that names
 * the call: so does the test that could not start.
 *
 *     tepal_test *test = tepal_test_new(app, NULL);
 *     tepal_test_reply *reply = tepal_test_get(test, "/hello/you");
 *     assert(reply->status == 200 && strcmp(reply->text, "Hello, you!\n") == 0);
 *     tepal_test_close(test);
 *
 * A handler alone is called on a made request, by tepal_test_call().
 */
#ifndef TEPAL_TESTING_H
#define TEPAL_TESTING_H

#include <tepal/fetch.h>
#include <tepal/run.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct tepal_test tepal_test;

/* A response. It lives as long as the test, or until tepal_test_forget(). */
typedef struct tepal_test_reply {
    int status;       /* 0: there is no whole response; see error */
    tepal_bytes body; /* without chunking; with a NUL behind */
    const char *text; /* the same */
    tepal_bytes raw;  /* all that was received for this response, the head included */
    /* Why status is 0: TEPAL_ECLOSED, the connection ended, or there is none; TEPAL_EMESSAGE, what
     * came is no response; -EDEADLK, nothing can happen any more; -ETIMEDOUT, a minute has passed;
     * or why the request was not sent, see tepal_test_send(). Of tepal_test_call(): what was
     * recorded on the request last, or why the response is not whole. */
    int error;
    bool closed; /* the server closed the connection */
    uint64_t later[4];
} tepal_test_reply;

typedef struct tepal_test_options {
    const char *remote; /* the IP address that requests come from; default "127.0.0.1" */
    /* Limits and the like; NULL: defaults. Where to listen is ignored; the access log is off unless
     * access_log.format is set. */
    const tepal_run_options *run;
    uint64_t later[8];
} tepal_test_options;

/* Starts the application: its contexts and hooks run. Does not take it over. app NULL: there is
 * none, and the test is for tepal_test_call() with a handler, and tepal_test_run(): who sends
 * something to it ends the program with a message. options may be NULL. Returns NULL when it could
 * not start, or memory is short; the reason is logged. A thread has one test at a time. */
TEPAL_API tepal_test *tepal_test_new(tepal_app *app, const tepal_test_options *options);

/* Stops the application gracefully and frees the test and all replies. NULL is allowed. */
TEPAL_API void tepal_test_close(tepal_test *test);

/* Sends a request and waits for the response, keeping the connection for the next one. The target
 * is sent as it is. Never NULL unless memory is short: a request that cannot be made is a reply
 * with status 0 and this error: -EINVAL, two bodies, a method that is no token, or options that are
 * not initialised (logged); TEPAL_EFIELD, a field that HTTP forbids; TEPAL_EJSON, JSON that is no
 * text. What a client should not send is written octet by octet, see below. */
TEPAL_API tepal_test_reply *tepal_test_send(tepal_test *test, const char *target,
                                            const tepal_fetch_options *options);
TEPAL_API tepal_test_reply *tepal_test_get(tepal_test *test, const char *target);

/* A POST. JSON is taken over; NULL is -EINVAL, and logged. */
TEPAL_API tepal_test_reply *tepal_test_post_json(tepal_test *test, const char *target,
                                                 json_t *json);
TEPAL_API tepal_test_reply *tepal_test_post_form(tepal_test *test, const char *target,
                                                 const tepal_pair *form);

/* The value of the first field with this name in a reply, or NULL. */
TEPAL_API const char *tepal_test_header(const tepal_test_reply *reply, const char *name);

/* The body as JSON, which is lent; NULL when it is none. */
TEPAL_API json_t *tepal_test_json(tepal_test_reply *reply);

/* Frees all replies so far, for tests with many. NULL is allowed. */
TEPAL_API void tepal_test_forget(tepal_test *test);

/* --- Made requests: without a connection ------------------------------------------------------ */

/* What a request is made of beside the options of tepal_fetch_options. All may be zero, for GET
 * /. */
typedef struct tepal_made {
    const char *target;               /* default "/" */
    const tepal_fetch_options *fetch; /* method, headers, query, body; NULL: none */
    const tepal_pair *match;          /* variables of a pattern, at most 32, as texts */
    const void *arg;                  /* tepal_req_arg() */
    /* Called in the task of the request before the handler, and before the middlewares, to set
     * state and the like. What it fails with is the cause of the answer. Not called for a request
     * that is refused. */
    int (*prepare)(tepal_req *req, void *arg);
    const void *prepare_arg;
    size_t max_piece; /* octets that tepal_req_read() gives at once at most; default: all */
    /* The client goes away after so many milliseconds, as one that resets its connection: see
     * tepal_handler. Default: it stays. */
    int64_t leaves_after_ms;
    bool https; /* tepal_req_scheme() */
    uint64_t later[8];
} tepal_made;

/* Calls a handler, in a task, on a request that no connection carries: for unit tests of it.
 * Neither routes nor middlewares take part; hooks, state, limits and error pages are those of the
 * test's application. Its pattern is "(made)". handler NULL: calls the application, with routes,
 * middlewares and all; made has neither match nor arg then. made may be NULL.
 *
 * No socket or other descriptor is opened, and the loop has no turn if the handler does not wait.
 * All is as it would be on a connection, but for what HTTP/1 adds to a message: the request has no
 * framing, so Transfer-Encoding, and a Content-Length that is not that of the body, are answered
 * with 400 (a Content-Length whose value is NULL is a body whose length only its end tells); the
 * response has no Connection or Transfer-Encoding, no raw octets, and its head none for tepal_done.
 *
 * Never NULL unless memory is short. Status is 0 and error says why when the response is not whole
 * (-ECANCELED, -ECONNRESET: the client left; -ENOBUFS: a body over 256 MiB; TEPAL_EMESSAGE: over
 * 255 fields, with those that are the server's own; TEPAL_ELENGTH, ...; body is what came before
 * that); when the handler never ended, which is then cancelled (-EDEADLK, -ETIMEDOUT: see above);
 * or when the request cannot be made: as for tepal_test_send(); and -EINVAL, logged, for match or
 * arg without a handler, or more than 32 variables. */
TEPAL_API tepal_test_reply *tepal_test_call(tepal_test *test, tepal_handler *handler,
                                            const tepal_made *made);

/* Runs fn(arg) as a task on the test's clock, and waits for its end. Returns its result; -ENOMEM;
 * or -EDEADLK or -ETIMEDOUT when it has no end: then it is cancelled. */
TEPAL_API int tepal_test_run(tepal_test *test, tepal_task_fn *fn, const void *arg);

/* --- Octet by octet, for what a client should not do ------------------------------------------ */

/* Sends octets on the current connection (a new one if there is none). Returns 0 or a negative
 * error. */
TEPAL_API int tepal_test_write(tepal_test *test, const void *data, size_t len);

/* Waits for the next response, as if to a request with this method. */
TEPAL_API tepal_test_reply *tepal_test_receive(tepal_test *test, const char *method);

/* Ends the client's side of the connection (half-close), or all of it: see tepal_handler for what
 * its handler sees. As over TCP the server learns of the latter only that the client's side has
 * ended, until it writes to it. */
TEPAL_API void tepal_test_shutdown(tepal_test *test);
TEPAL_API void tepal_test_disconnect(tepal_test *test);

/* Lets ms milliseconds pass on the test's clock, and everything happen that happens in them. */
TEPAL_API void tepal_test_advance(tepal_test *test, int64_t ms);

#ifdef __cplusplus
}
#endif
#endif
