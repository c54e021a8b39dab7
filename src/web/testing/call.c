/* Tasks on a test's clock, and among them made requests: a handler, or the application, is called
 * without a connection. */
#include "async/task/task.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/room.h"
#include "base/sink.h"
#include "conn/fetch.h"
#include "web/app/application.h"
#include "web/exchange/made.h"
#include "web/server/server.h"
#include "web/testing/reply.h"
#include "web/testing/test.h"

#include <errno.h>
#include <string.h>

/* --- Tasks ------------------------------------------------------------------------------------ */

/* In memory of its own, which stays as it is with a task that does not end. */
struct test_task {
    tepal_test *test;
    struct tepal_task *task;
    tepal_task_fn *fn;
    void *arg;
    int result;
    bool done;
};

static int run_test_task(void *arg)
{
    struct test_task *run = arg;
    run->result = run->fn(run->arg);
    run->done = true;
    return 0;
}

/* Lets things happen until the task has ended, or so much real time has passed. Returns 0,
 * -ETIMEDOUT or -EDEADLK. */
static int wait_for_task(struct test_task *run, int64_t patience_ms)
{
    int64_t until = test_real_ms() + patience_ms;
    int rc = 0;
    while (!run->done && rc == 0)
        rc = test_real_ms() > until ? -ETIMEDOUT : test_wait_for_next(run->test);
    return rc;
}

/* It has no end by itself: cancels it, and leaves it as it is if even that is no end. */
static void give_task_up(struct test_task *run, const char *call, int why)
{
    enum { ENDING_MS = 1000 };
    if (why == -ETIMEDOUT)
        tepal_logf(TEPAL_LOG_ERROR, "%s: a minute has passed, and the task has no end", call);
    task_cancel(run->task);
    if (wait_for_task(run, ENDING_MS) == 0)
        return;
    tepal_logf(TEPAL_LOG_ERROR, "%s: the task was cancelled and does not end: it is left as it is",
               call);
    task_abandon(&run->test->loop, run->task);
}

/* Runs it, at once and as far as it can without waiting. Returns 0 when it has ended by itself; or
 * an error: it was given up, and if it is not done even so its memory must stay. */
static int run_test_to_end(struct test_task *run, const char *call)
{
    struct loop *loop = &run->test->loop;
    run->task = task_new(loop, run_test_task, run, "test", 0);
    if (!run->task) {
        run->done = true;
        return -ENOMEM;
    }
    task_run(loop, run->task);
    int rc = wait_for_task(run, TEST_PATIENCE_MS);
    if (rc < 0)
        give_task_up(run, call, rc);
    /* What it has started, and has said, is not left until the next call. */
    if (!list_is_empty(&loop->ready) || sink_is_waiting())
        test_let_happen(run->test);
    return rc;
}

int tepal_test_run(tepal_test *test, tepal_task_fn *fn, const void *arg)
{
    static const char call[] = "tepal_test_run";
    test_need(call, test);
    if (!fn)
        misuse(call, "the function is NULL");
    struct test_task *run = mem_alloc(sizeof(*run));
    if (!run)
        return -ENOMEM;
    *run = (struct test_task){ .test = test, .fn = fn, .arg = (void *)(uintptr_t)arg };
    int rc = run_test_to_end(run, call);
    if (rc == 0)
        rc = run->result;
    if (run->done)
        mem_free(run);
    return rc;
}

/* --- Made requests ---------------------------------------------------------------------------- */

static const char call_name[] = "tepal_test_call";

/* A call that is under way; in memory of its own, as its task. */
struct made_call {
    struct test_task run;
    struct made_request request;
    struct made_memory memory;
    struct exchange_call how;
    struct fetch_request described; /* what the request is made of */
    char *content;                  /* a copy: a literal may be one of the program, too */
    struct timer leaving;           /* of the client, if it does */
};

static int serve_made(void *arg)
{
    struct made_call *made = arg;
    return made_serve(made->run.test->app->server, &made->request, &made->memory.client,
                      &made->how);
}

static void on_leaving(struct timer *timer)
{
    struct made_call *made = CONTAINER_OF(timer, struct made_call, leaving);
    made_client_leave(&made->memory.client);
}

/* What cannot be meant is refused. */
static int check_call(const struct exchange_call *how)
{
    size_t n = 0;
    for (const tepal_pair *pair = how->match; pair && pair->name; pair++, n++)
        testreply_need(call_name, pair->value, "the value of a variable in match");
    if (how->handler && n <= EXCHANGE_MAX_MATCH)
        return 0;
    if (how->handler)
        tepal_logf(TEPAL_LOG_ERROR, "%s: match has over %d variables", call_name,
                   EXCHANGE_MAX_MATCH);
    else if (how->match || how->arg)
        tepal_logf(TEPAL_LOG_ERROR, "%s: match and arg are for a handler, which is NULL",
                   call_name);
    else
        return 0;
    return -EINVAL;
}

/* Whether the length of a body is kept back, so that only its end tells it. */
static bool is_unannounced(const struct fetch_request *described)
{
    if (!described->content.data)
        return false;
    for (const tepal_pair *pair = described->fields; pair->name; pair++)
        if (http_same_name(pair->name, strlen(pair->name), "Content-Length", 14))
            return false;
    return true;
}

/* Makes the request of its parts. Returns 0, or why it cannot be made. */
static int make_call(struct made_call *made, const tepal_made *from)
{
    struct fetch_request *described = &made->described;
    const tepal_test *test = made->run.test;
    int rc = check_call(&made->how);
    made->content =
        mem_strndup(described->content.len ? described->content.data : "", described->content.len);
    if (rc < 0 || !made->content)
        return rc < 0 ? rc : -ENOMEM;
    made->request = (struct made_request){
        .method = described->method,
        .target = described->target.data,
        .fields = described->fields,
        .version = 11,
        .scheme = from->https ? "https" : "http",
        .peer = addr_to_peer(&test->remote),
        .content_length = is_unannounced(described) ? TEPAL_UNKNOWN : described->content.len,
    };
    tepal_bytes content = { .data = made->content, .len = described->content.len };
    made_memory_init(&made->memory, content, TEST_MAX_REPLY);
    made->memory.most_at_once = from->max_piece;
    made->memory.server_name = test->app->server->options.server;
    return 0;
}

/* What has come of the response, as a reply. whole: 0, or why it is not. */
static int fill_reply(struct kept_reply *kept, const struct made_call *made, int whole)
{
    const struct made_memory *memory = &made->memory;
    tepal_bytes body = { .data = memory->body.data, .len = memory->body.len };
    const struct message nothing = { .data = "" };
    bool has_head = memory->message.status > 0;
    int rc = testreply_take(kept, has_head ? &memory->message : &nothing,
                            has_head ? memory->text.len : 0, body);
    kept->reply.status = whole == 0 ? memory->message.status : 0;
    kept->reply.error = whole == 0 ? memory->client.error : whole;
    return rc;
}

static void free_call(struct made_call *made)
{
    if (!made->run.done)
        return; /* its task is left as it is, and uses it */
    made_memory_clear(&made->memory);
    fetch_clear(&made->described);
    mem_free(made->content);
    mem_free(made);
}

/* Calls what was made, and makes a reply of what comes. */
static tepal_test_reply *call_made(struct made_call *made, const tepal_made *from)
{
    tepal_test *test = made->run.test;
    struct kept_reply *kept = testreply_new(&test->replies);
    if (!kept)
        return NULL;
    timer_init(&made->leaving, on_leaving);
    if (from->leaves_after_ms > 0)
        timer_set(&test->loop.timers, &made->leaving,
                  loop_time_in(&test->loop, from->leaves_after_ms));
    int rc = run_test_to_end(&made->run, call_name);
    timer_cancel(&made->leaving);
    return fill_reply(kept, made, rc < 0 ? rc : made->run.result) == 0 ? &kept->reply : NULL;
}

tepal_test_reply *tepal_test_call(tepal_test *test, tepal_handler *handler, const tepal_made *from)
{
    static const tepal_made nothing;
    from = from ? from : &nothing;
    test_need(call_name, test);
    if (!handler && test->own_app)
        misuse(call_name, "the handler is NULL, and the test has no application");
    int rc = room_check(call_name, from->later, sizeof(from->later));
    if (rc < 0)
        return test_no_reply(test, rc); /* what it has as its options may be none */
    struct made_call *made = mem_zalloc(sizeof(*made));
    if (!made)
        return NULL;
    rc = fetch_describe(&made->described, call_name, "test", from->target ? from->target : "/",
                        from->fetch);
    if (rc < 0) {
        mem_free(made);
        return test_no_reply(test, rc);
    }
    made->run = (struct test_task){ .test = test, .fn = serve_made, .arg = made };
    made->how = (struct exchange_call){
        .handler = handler,
        .arg = from->arg,
        .match = from->match,
        .prepare = from->prepare,
        .prepare_arg = (void *)(uintptr_t)from->prepare_arg,
    };
    rc = make_call(made, from);
    tepal_test_reply *reply = NULL;
    if (rc == 0)
        reply = call_made(made, from);
    else if (rc != -ENOMEM)
        reply = test_no_reply(test, rc);
    made->run.done |= !made->run.task;
    free_call(made);
    return reply;
}
