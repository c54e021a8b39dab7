/* Testing an application without a network: requests go through a connection within this process to
 * the real server code, and the clock is the test's. A timeout of an hour takes no time: whenever
 * nothing else can happen, the clock moves to the next timer. The connection begins and ends as one
 * over TCP does, and comes from 127.0.0.1.
 *
 * Not to be used in a task: each call runs the loop itself. A call whose reply can never come gives up:
 * when all tasks wait for one another, with no timer set; or after a minute of real time, for a stream
 * that has no end, or what never comes from outside of the process. The log then says what each task
 * waits for.
 *
 *     tepal_testclient *client = tepal_testclient_new(app, NULL);
 *     tepal_testreply *reply = tepal_testclient_get(client, "/hello/you");
 *     assert(reply->status == 200 && strcmp(reply->body.data, "Hello, you!\n") == 0);
 *     tepal_testclient_close(client);
 */
#ifndef TEPAL_TESTING_H
#define TEPAL_TESTING_H

#include <tepal/run.h>

#include <jansson.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct tepal_testclient tepal_testclient;

/* A response. It lives as long as the client. */
typedef struct tepal_testreply {
    int status;       /* 0: there is no whole response; see error */
    tepal_bytes body; /* without chunking; NUL-terminated */
    tepal_bytes raw;  /* all that was received for this response, the head included */
    bool closed;      /* the server closed the connection */
    /* Why status is 0: TEPAL_ECLOSED, the connection ended, or there is none; TEPAL_EMESSAGE, what came
     * is no response; -EDEADLK, nothing can happen any more; -ETIMEDOUT, a minute has passed. */
    int error;
} tepal_testreply;

/* Starts the application (its contexts and hooks run) with these options (NULL: defaults; where to
 * listen is ignored; the access log is off unless access_log.format is set). Does not take it over.
 * NULL when it could not start; the reason is logged. A thread has one test client at a time. */
TEPAL_API tepal_testclient *tepal_testclient_new(tepal_app *app, const tepal_run_options *options);

/* Stops the application gracefully and frees the client and all replies. NULL is allowed. */
TEPAL_API void tepal_testclient_close(tepal_testclient *client);

/* Sends a request and waits for the response, keeping the connection for the next one. headers is a
 * list of "Name: value" that ends with NULL, or NULL; Host is added, and Content-Length when body
 * is not NULL. Never NULL unless memory is short. */
TEPAL_API tepal_testreply *tepal_testclient_request(tepal_testclient *client, const char *method,
                                                    const char *target, const char *const *headers,
                                                    const char *body);
TEPAL_API tepal_testreply *tepal_testclient_get(tepal_testclient *client, const char *target);
TEPAL_API tepal_testreply *tepal_testclient_post(tepal_testclient *client, const char *target,
                                                 const char *content_type, const char *body);

/* The value of the first field with this name in a reply, or NULL. */
TEPAL_API const char *tepal_testreply_header(const tepal_testreply *reply, const char *name);

/* The body as JSON; the client owns it. NULL when it is none. */
TEPAL_API json_t *tepal_testreply_json(tepal_testreply *reply);

/* --- Octet by octet, for what a client should not do ------------------------------------------ */

/* Sends octets on the current connection (a new one if there is none). Returns 0 or a negative
 * error. */
TEPAL_API int tepal_testclient_send(tepal_testclient *client, const void *data, size_t len);

/* Waits for the next response, as if to a request with this method. */
TEPAL_API tepal_testreply *tepal_testclient_receive(tepal_testclient *client, const char *method);

/* Ends the client's side of the connection (half-close), or all of it: see tepal_handler for what its
 * handler sees. As over TCP the server learns of the latter only that the client's side has ended,
 * until it writes to it. */
TEPAL_API void tepal_testclient_shutdown(tepal_testclient *client);
TEPAL_API void tepal_testclient_disconnect(tepal_testclient *client);

/* Lets ms milliseconds pass on the test's clock, and everything happen that happens in them. */
TEPAL_API void tepal_testclient_advance(tepal_testclient *client, int64_t ms);

#ifdef __cplusplus
}
#endif
#endif
