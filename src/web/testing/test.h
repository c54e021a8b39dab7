/* The inside of a test: its loop, its client's end of a connection, and what lets things happen. */
#ifndef TEPAL_WEB_TESTING_TEST_H
#define TEPAL_WEB_TESTING_TEST_H

#include "async/loop/loop.h"
#include "base/buf.h"
#include "net/addr.h"

#include <tepal/testing.h>

struct closed_peer;
struct kept_reply;

enum { TEST_MAX_REPLY = 256 * 1024 * 1024 };

/* How long, in real time, a reply may be waited for that is never whole, and something from
 * outside. */
enum { TEST_PATIENCE_MS = 60 * 1000 };

struct tepal_test {
    struct loop loop;
    tepal_app *app;
    tepal_app *own_app;         /* the same, when the user has given none */
    struct addr remote;         /* what the requests come from */
    int fd;                     /* of the client's end; -1: not connected */
    struct closed_peer *closed; /* its earlier ends */
    struct buf in;              /* received and not yet part of a reply */
    bool at_end;                /* the server has closed */
    bool no_memory;             /* to receive what it has sent */
    struct kept_reply *replies;
};

/* Ends a test that gave NULL as the test to the call, or that called it in a task: that task would
 * run the loop that runs it. */
void test_need(const char *call, const tepal_test *test);

/* Lets everything happen that takes no time. A task that never waits is left at it after a
 * while. */
void test_let_happen(tepal_test *test);

/* Lets the next thing happen; on the fake clock that is the next timer. Returns 0, or -EDEADLK when
 * nothing can happen any more, and then says what all tasks wait for. */
int test_wait_for_next(tepal_test *test);

/* A clock that is not the test's. */
int64_t test_real_ms(void);

/* The reply when there is none, for this reason. NULL when memory is short. */
tepal_test_reply *test_no_reply(tepal_test *test, int error);

#endif
