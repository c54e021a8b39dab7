/* For tests of the web room: an application and its client, short words for asking, and what the
 * log said. Handlers render what they see as text; the assertions are in the tests, not on the
 * stack of a task. */
#ifndef TEPAL_TESTS_UNIT_WEB_CHECK_H
#define TEPAL_TESTS_UNIT_WEB_CHECK_H

#include "../check.h"

#include "base/platform.h"

#include <tepal/testing.h>
#include <tepal/web.h>

/* Of the present test: made by web_setup(), ended by web_teardown(). */
extern tepal_app *app;
extern tepal_test *client;

int web_setup(void **state);
int web_teardown(void **state);

#define WEB_TEST(name) cmocka_unit_test_setup_teardown(name, web_setup, web_teardown)

/* Starts the application. */
void start(const tepal_run_options *options);

/* Ends it, and begins a new one. */
void again(void);

/* Sees that it does not start, and that the log says why: text is a part of that. */
void assert_refused(const tepal_run_options *options, const char *text);

/* One request, and its response. headers: a list that ends with NULL, or NULL. */
tepal_test_reply *get(const char *target);
tepal_test_reply *ask(const char *method, const char *target, const char *header, const char *body);

/* Octets as they are; NUL-terminated ones, and others. */
void say(const char *text);
void say_octets(const char *data, size_t len);
tepal_test_reply *hear(const char *method);

/* Both: the response to a request that is text. */
tepal_test_reply *talk(const char *text);

/* What came in all, without the Date and Server lines; valid until the next call. */
const char *wire(const tepal_test_reply *reply);

/* The response has this status and this body, and left the connection open or closed it. */
void assert_reply(const tepal_test_reply *reply, int status, const char *body);
void assert_field(const tepal_test_reply *reply, const char *name, const char *value);

/* The server ended the connection without another response. */
void assert_gone(void);

/* What the log has said since the last call of log_forget() or the beginning of the test. */
const char *logged(void);
void log_forget(void);

/* fn(arg) ends the process by misuse, and the message has text in it. */
void assert_misuse(void (*fn)(void *arg), void *arg, const char *text);

/* A handler that answers "ok". */
/* A 200 of octets that outlive the request. */
tepal_res *lent(tepal_req *req, const void *data, size_t len);

tepal_res *ok(tepal_req *req);

/* As many octets as len of a pattern, with a NUL behind; to be freed. */
char *octets(size_t len);

#endif
