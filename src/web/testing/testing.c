/* Tests of applications: the real server on one end of a connection, and on the other a client that
 * runs the loop until it has what it waits for. */
#include "async/thread/offload.h"
#include "async/task/task.h"
#include "base/buf.h"
#include "base/fd.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/room.h"
#include "conn/fetch.h"
#include "web/app/application.h"
#include "web/server/serve.h"
#include "web/server/server.h"
#include "web/testing/peer.h"
#include "web/testing/reply.h"
#include "web/testing/test.h"

#include <tepal/inspect.h>
#include <tepal/testing.h>

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { READ_SIZE = 64 * 1024 };

/* A task that never waits is left at it after so many turns. */
enum { MOST_TURNS = 20 * 1000 };

/* --- Running the loop until something is done ------------------------------------------------- */

void test_need(const char *call, const tepal_test *test)
{
    testreply_need(call, test, "the test");
    if (test->loop.current)
        misuse(call, "it was called in a task: only what runs the test may do that");
}

struct step {
    int (*fn)(tepal_test *test);
    tepal_test *test;
    int result;
    bool done;
};

static int run_step(void *arg)
{
    struct step *step = arg;
    step->result = step->fn(step->test);
    step->done = true;
    return 0;
}

/* Runs fn as a task of the loop until it has returned. */
static int run_task(tepal_test *test, int (*fn)(tepal_test *))
{
    struct step step = { .fn = fn, .test = test };
    struct tepal_task *task = task_new(&test->loop, run_step, &step, "test", 0);
    if (!task)
        return -ENOMEM;
    task_start(&test->loop, task);
    while (!step.done) {
        testpeer_answer(&test->closed);
        loop_turn(&test->loop, true);
    }
    return step.result;
}

static tepal_run_options run_options(const tepal_run_options *options)
{
    tepal_run_options out = options ? *options : (tepal_run_options){ 0 };
    out.path = NULL;
    out.host = NULL;
    out.port = 0;
    out.sites = NULL;
    out.n_sites = 0;
    out.access_log.off = !out.access_log.format;
    return out;
}

struct start {
    tepal_app *app;
    tepal_run_options options;
    int result;
    bool done;
};

static int start_app(void *arg)
{
    struct start *start = arg;
    int rc = serve_open(start->app, &start->options);
    start->result = rc > 0 ? -ECANCELED : rc;
    start->done = true;
    return 0;
}

/* Returns 0, or a negative error, which is logged. */
static int check_options(const tepal_test_options *options, struct addr *remote)
{
    int rc = room_check("tepal_test_new", options->later, sizeof(options->later));
    if (rc == 0) {
        rc = addr_from_ip(remote, options->remote ? options->remote : "127.0.0.1", 0);
        if (rc < 0)
            tepal_logf(TEPAL_LOG_ERROR, "tepal_test_new: remote is no address: %s",
                       options->remote);
    }
    return rc;
}

/* There is no test, and nothing else has told why. */
static void tell_no_test(int error)
{
    tepal_logf(TEPAL_LOG_ERROR, "no test: %s",
               error == -EBUSY ? "this thread has one that is not closed, or runs a loop"
                               : tepal_code_text(error));
}

/* Starts the application in a task. What has gone wrong has been told. */
static int run_start(struct loop *loop, struct start *start)
{
    struct tepal_task *task = task_new(loop, start_app, start, "test", 0);
    if (!task) {
        tell_no_test(-ENOMEM);
        return -ENOMEM;
    }
    task_start(loop, task);
    while (!start->done)
        loop_turn(loop, true);
    return start->result;
}

/* Opens the loop, with the test's clock, and starts the application in it. */
static int open_test(tepal_test *test, const tepal_run_options *options)
{
    struct start start = { .app = test->app, .options = run_options(options) };
    int rc = loop_open(&test->loop, start.options.stack_size);
    if (rc < 0) {
        tell_no_test(rc);
        return rc;
    }
    tepal_clock_fake();
    rc = run_start(&test->loop, &start);
    if (rc < 0) {
        loop_finish(&test->loop);
        loop_close(&test->loop);
    }
    return rc;
}

tepal_test *tepal_test_new(tepal_app *app, const tepal_test_options *options)
{
    static const tepal_test_options defaults;
    options = options ? options : &defaults;
    tepal_test *test = mem_zalloc(sizeof(*test));
    if (!test) {
        tell_no_test(-ENOMEM);
        return NULL;
    }
    test->own_app = app ? NULL : tepal_app_new();
    test->app = app ? app : test->own_app;
    test->fd = -1;
    buf_init(&test->in, TEST_MAX_REPLY);
    if (check_options(options, &test->remote) == 0 && open_test(test, options->run) == 0)
        return test;
    tepal_app_close(test->own_app);
    mem_free(test);
    return NULL;
}

static int stop_app(tepal_test *test)
{
    serve_close(test->app);
    return 0;
}

void tepal_test_close(tepal_test *test)
{
    if (!test)
        return;
    test_need("tepal_test_close", test);
    tepal_test_disconnect(test);
    if (run_task(test, stop_app) < 0)
        misuse("tepal_test_close", "no memory to stop the application");
    testpeer_clear(&test->closed);
    loop_finish(&test->loop);
    loop_close(&test->loop);
    testreply_free_all(&test->replies);
    tepal_app_close(test->own_app);
    mem_free(test);
}

/* --- The connection --------------------------------------------------------------------------- */

static int connect_client(tepal_test *test)
{
    if (test->fd >= 0)
        return 0;
    if (test->own_app)
        misuse("tepal_test_new", "a test without an application is for tepal_test_call() and "
                                 "tepal_test_run(): nothing can be sent to it");
    int fd = testpeer_open(test->app->server, &test->remote);
    if (fd < 0)
        return fd;
    test->fd = fd;
    test->at_end = false;
    return 0;
}

static bool receive_some(tepal_test *test);

void test_let_happen(tepal_test *test)
{
    for (int left = MOST_TURNS; left > 0; left--)
        if (!receive_some(test) && !testpeer_answer(&test->closed) &&
            !loop_turn(&test->loop, false))
            return;
}

void tepal_test_disconnect(tepal_test *test)
{
    test_need("tepal_test_disconnect", test);
    if (test->fd < 0)
        return;
    testpeer_close(&test->closed, test->fd);
    test->fd = -1;
    buf_clear(&test->in);
    test_let_happen(test);
}

void tepal_test_shutdown(tepal_test *test)
{
    testreply_need("tepal_test_shutdown", test, "the test");
    if (test->fd >= 0)
        shutdown(test->fd, SHUT_WR);
}

/* Reads what the server has sent. Returns whether there was something new. */
static bool receive_some(tepal_test *test)
{
    if (test->fd < 0 || test->at_end)
        return false;
    if (buf_reserve(&test->in, READ_SIZE) < 0) {
        test->no_memory = true;
        return false;
    }
    ssize_t n = recv(test->fd, test->in.data + test->in.len, READ_SIZE, 0);
    if (n < 0 && errno == EAGAIN)
        return false;
    if (n <= 0)
        test->at_end = true;
    else
        test->in.len += (size_t)n;
    return true;
}

/* Whether a task waits for what is neither the clock's nor this client's. */
static bool waits_for_others(const tepal_test *test)
{
    const struct loop *loop = &test->loop;
    if (offload_is_busy(loop) || loop->n_outside > 0)
        return true;
    for (const struct list *node = loop->tasks.next; node != &loop->tasks; node = node->next) {
        const struct tepal_task *task = CONTAINER_OF(node, struct tepal_task, in_loop);
        if (task->waiting && task->waits_fd >= 0 &&
            !server_has_socket(test->app->server, task->waits_fd))
            return true;
    }
    return false;
}

int test_wait_for_next(tepal_test *test)
{
    struct loop *loop = &test->loop;
    if (testpeer_answer(&test->closed) || loop_turn(loop, false))
        return 0;
    struct pollfd poller = { .fd = loop->poller.fd, .events = POLLIN };
    if (loop_next_us(loop) != INT64_MAX ||
        (waits_for_others(test) && poll(&poller, 1, TEST_PATIENCE_MS) > 0)) {
        loop_turn(loop, true);
        return 0;
    }
    tepal_log(TEPAL_LOG_ERROR, "test: no reply can come any more; what all tasks wait for:");
    tepal_dump_tasks(NULL, NULL);
    return -EDEADLK;
}

int tepal_test_write(tepal_test *test, const void *data, size_t len)
{
    test_need("tepal_test_write", test);
    testreply_need("tepal_test_write", len > 0 ? data : test, "the data");
    const char *p = data;
    int rc = connect_client(test);
    while (rc == 0 && len > 0) {
        ssize_t n = send(test->fd, p, len, MSG_NOSIGNAL);
        if (n >= 0) {
            p += n;
            len -= (size_t)n;
        } else if (errno != EAGAIN) {
            rc = -errno;
        }
        /* Let the server read, and do not let it wait for us. */
        test_let_happen(test);
        if (n < 0 && rc == 0)
            rc = test_wait_for_next(test);
    }
    return rc;
}

void tepal_test_advance(tepal_test *test, int64_t ms)
{
    test_need("tepal_test_advance", test);
    struct loop *loop = &test->loop;
    int64_t now = loop_clock_us(loop);
    int64_t end = ms < (INT64_MAX - now) / 1000 ? now + ms * 1000 : INT64_MAX - 1;
    while (true) {
        test_let_happen(test);
        int64_t next = loop_next_us(loop);
        if (next > end)
            break;
        loop_move_fake_clock(loop, next);
    }
    loop_move_fake_clock(loop, end);
}

/* --- Replies ---------------------------------------------------------------------------------- */

int64_t test_real_ms(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

/* Runs the loop until a reply is whole. Returns its length, or why there is none. */
static long wait_for_reply(tepal_test *test, struct kept_reply *kept, const char *method,
                           struct buf *body)
{
    int64_t until = test_real_ms() + TEST_PATIENCE_MS;
    test->no_memory = false;
    while (true) {
        tepal_bytes received = { .data = test->in.data, .len = test->in.len };
        long len = testreply_parse(kept, method, received, test->at_end, body);
        if (len != 0)
            return len > 0 ? len : TEPAL_EMESSAGE;
        if (test->at_end || test->fd < 0)
            return TEPAL_ECLOSED;
        if (receive_some(test))
            continue;
        if (test->no_memory)
            return -ENOMEM;
        if (test_real_ms() > until) {
            tepal_log(TEPAL_LOG_ERROR, "test: a minute has passed, and the reply has no end");
            return -ETIMEDOUT;
        }
        int rc = test_wait_for_next(test);
        if (rc < 0)
            return rc;
    }
}

/* Takes the first len octets of the input for the reply. */
static int take_reply(tepal_test *test, struct kept_reply *kept, size_t len, const struct buf *body)
{
    tepal_bytes raw = { .data = test->in.data, .len = len };
    int rc = testreply_fill(kept, raw, (tepal_bytes){ .data = body->data, .len = body->len });
    if (rc == 0 && len > 0) {
        memmove(test->in.data, test->in.data + len, test->in.len - len);
        test->in.len -= len;
    }
    return rc;
}

tepal_test_reply *tepal_test_receive(tepal_test *test, const char *method)
{
    test_need("tepal_test_receive", test);
    testreply_need("tepal_test_receive", method, "the method");
    struct kept_reply *kept = testreply_new(&test->replies);
    struct buf body;
    if (!kept)
        return NULL;
    buf_init(&body, TEST_MAX_REPLY);
    long len = wait_for_reply(test, kept, method, &body);
    if (len > 0)
        kept->reply.status = kept->head.message.status;
    else
        kept->reply.error = (int)len;
    int rc = len == -ENOMEM ? -ENOMEM
                            : take_reply(test, kept, len > 0 ? (size_t)len : test->in.len, &body);
    buf_clear(&body);
    if (rc < 0)
        return NULL;
    test_let_happen(test);
    kept->reply.closed = test->at_end;
    if (test->at_end && test->in.len == 0)
        tepal_test_disconnect(test);
    return &kept->reply;
}

tepal_test_reply *test_no_reply(tepal_test *test, int error)
{
    const tepal_bytes nothing = { 0 };
    struct kept_reply *kept = testreply_new(&test->replies);
    if (!kept || testreply_fill(kept, nothing, nothing) < 0)
        return NULL;
    kept->reply.error = error;
    return &kept->reply;
}

tepal_test_reply *tepal_test_send(tepal_test *test, const char *target,
                                  const tepal_fetch_options *options)
{
    test_need("tepal_test_send", test);
    testreply_need("tepal_test_send", target, "the target");
    struct buf request;
    buf_init(&request, TEST_MAX_REPLY);
    int rc = fetch_write(&request, "tepal_test_send", "test", target, options);
    if (rc == 0) /* a refusal may come before all is sent */
        (void)tepal_test_write(test, request.data, request.len);
    buf_clear(&request);
    return rc < 0 ? test_no_reply(test, rc) : tepal_test_receive(test, fetch_method(options));
}

tepal_test_reply *tepal_test_get(tepal_test *test, const char *target)
{
    test_need("tepal_test_get", test);
    testreply_need("tepal_test_get", target, "the target");
    return tepal_test_send(test, target, NULL);
}

tepal_test_reply *tepal_test_post_json(tepal_test *test, const char *target, json_t *json)
{
    test_need("tepal_test_post_json", test);
    testreply_need("tepal_test_post_json", target, "the target");
    if (json)
        return tepal_test_send(test, target,
                               &(tepal_fetch_options){ .method = "POST", .json = json });
    tepal_log(TEPAL_LOG_ERROR, "tepal_test_post_json: the JSON is NULL");
    return test_no_reply(test, -EINVAL);
}

tepal_test_reply *tepal_test_post_form(tepal_test *test, const char *target, const tepal_pair *form)
{
    test_need("tepal_test_post_form", test);
    testreply_need("tepal_test_post_form", target, "the target");
    return tepal_test_send(test, target, &(tepal_fetch_options){ .method = "POST", .form = form });
}

void tepal_test_forget(tepal_test *test)
{
    if (!test)
        return;
    test_need("tepal_test_forget", test); /* a call that is under way has a reply among them */
    testreply_free_all(&test->replies);
}
