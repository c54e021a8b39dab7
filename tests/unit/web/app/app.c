/* Tests of applications: what is registered, and the order in which it starts and ends. */
#include "../web_check.h"

#include "async/loop.h"
#include "base/mem.h"
#include "web/server/serve.h"

/* --- What happens is written down ------------------------------------------------------------- */

static char story[1024];
static const char *failing; /* the step that fails */

static int step(const char *name)
{
    strcat(story, *story ? " " : "");
    strcat(story, name);
    return failing && strcmp(failing, name) == 0 ? -EIO : 0;
}

#define STEP(name)                           \
    static int name(tepal_app *a, void *arg) \
    {                                        \
        (void)a;                             \
        (void)arg;                           \
        return step(#name);                  \
    }

STEP(enter1)
STEP(enter2)
STEP(enter3)
STEP(leave1)
STEP(leave2)
STEP(leave3)
STEP(start1)
STEP(start2)
STEP(shut1)
STEP(shut2)
STEP(clean1)
STEP(clean2)

static void register_all(void)
{
    story[0] = '\0';
    tepal_on_startup(app, start1, NULL);
    tepal_context(app, enter1, leave1, NULL);
    tepal_context(app, enter2, leave2, NULL);
    tepal_on_cleanup(app, clean1, NULL);
    tepal_on_shutdown(app, shut1, NULL);
    tepal_on_startup(app, start2, NULL);
    tepal_context(app, enter3, leave3, NULL);
    tepal_on_cleanup(app, clean2, NULL);
    tepal_on_shutdown(app, shut2, NULL);
}

static int reset(void **state)
{
    failing = NULL;
    story[0] = '\0';
    return web_setup(state);
}

static void stop(void)
{
    tepal_test_close(client);
    client = NULL;
}

static void order(void **state)
{
    (void)state;
    register_all();
    tepal_get(app, "/", ok);
    start(NULL);
    assert_string_equal(story, "enter1 enter2 enter3 start1 start2");
    assert_reply(get("/"), 200, "ok");
    stop();
    assert_string_equal(story,
                        "enter1 enter2 enter3 start1 start2 shut1 shut2 leave3 leave2 leave1 "
                        "clean1 clean2");
    /* It can be served again. */
    story[0] = '\0';
    start(NULL);
    assert_reply(get("/"), 200, "ok");
    stop();
    assert_string_equal(story,
                        "enter1 enter2 enter3 start1 start2 shut1 shut2 leave3 leave2 leave1 "
                        "clean1 clean2");
}

static void failures(void **state)
{
    (void)state;
    static const struct {
        const char *step, *story, *log;
    } rows[] = {
        { "enter1", "enter1", "entering context 1 failed" },
        { "enter2", "enter1 enter2 leave1", "entering context 2 failed" },
        { "enter3", "enter1 enter2 enter3 leave2 leave1", "entering context 3 failed" },
        { "start1", "enter1 enter2 enter3 start1 leave3 leave2 leave1 clean1 clean2",
          "startup hook 1 failed" },
        { "start2", "enter1 enter2 enter3 start1 start2 leave3 leave2 leave1 clean1 clean2",
          "startup hook 2 failed" },
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
        register_all();
        failing = rows[i].step;
        assert_refused(NULL, rows[i].log);
        assert_string_equal(story, rows[i].story);
        assert_null(tepal_app_group(app));
        again();
    }
    /* At the end nothing is left out because something else failed. */
    static const char *const at_end[] = { "shut1",  "shut2",  "leave1", "leave2",
                                          "leave3", "clean1", "clean2" };
    for (size_t i = 0; i < sizeof(at_end) / sizeof(*at_end); i++) {
        failing = at_end[i];
        register_all();
        start(NULL);
        stop();
        assert_string_equal(story, "enter1 enter2 enter3 start1 start2 shut1 shut2 leave3 leave2 "
                                   "leave1 clean1 clean2");
        assert_non_null(strstr(logged(), "failed: "));
        again();
    }
}

static void null_arguments(void **state)
{
    (void)state;
    tepal_app_close(NULL);
    assert_string_equal(tepal_app_error_text(NULL),
                        "the application is NULL: none was made, or memory was short then");
    assert_int_equal(tepal_run(NULL, NULL), 1);
    assert_non_null(strstr(logged(), "cannot start: the application is NULL"));
    tepal_get(NULL, "/", ok);
    tepal_use(NULL, NULL, NULL);
    tepal_on_startup(NULL, start1, NULL);
    tepal_context(NULL, enter1, leave1, NULL);
    assert_int_equal(tepal_app_set_state(NULL, NULL, NULL), -ENOMEM);
    assert_null(tepal_app_state(NULL, NULL));
    assert_null(tepal_app_group(NULL));
    tepal_routes(NULL, NULL);
    tepal_app_set_error_pages(NULL, NULL);
    tepal_app_stop(NULL);
    assert_null(tepal_app_url(NULL, 0));
    tepal_test_close(NULL);

    assert_null(tepal_app_error_text(app));
    tepal_use(app, NULL, NULL);
    assert_string_equal(tepal_app_error_text(app), "tepal_use: the middleware is NULL");
    again();
    tepal_on_startup(app, NULL, NULL);
    assert_string_equal(tepal_app_error_text(app), "tepal_on_startup: the hook is NULL");
    again();
    tepal_on_shutdown(app, NULL, NULL);
    assert_string_equal(tepal_app_error_text(app), "tepal_on_shutdown: the hook is NULL");
    again();
    tepal_on_cleanup(app, NULL, NULL);
    assert_string_equal(tepal_app_error_text(app), "tepal_on_cleanup: the hook is NULL");
    again();
    tepal_context(app, enter1, NULL, NULL);
    assert_string_equal(tepal_app_error_text(app), "tepal_context: a hook is NULL");
    assert_refused(NULL, "tepal_context: a hook is NULL");
    again();
    tepal_routes(app, NULL);
    assert_string_equal(tepal_app_error_text(app), "tepal_routes: the table is NULL");
    again();
    tepal_routes(app, (const tepal_route[]){ { "GET", "/a", ok }, { NULL, "/b", ok }, { 0 } });
    assert_string_equal(tepal_app_error_text(app),
                        "tepal_routes: the method of a route is NULL: /b");
    again();
    tepal_app_set_error_pages(app, NULL);
    assert_string_equal(tepal_app_error_text(app),
                        "tepal_app_set_error_pages: content_type is NULL");
}

/* --- State ------------------------------------------------------------------------------------ */

static const tepal_key A = { "a" }, B = { "b" }, same_name = { "a" };

static int set_state(tepal_app *a, void *arg)
{
    (void)arg;
    tepal_app_set_state(a, &B, "from startup");
    return 0;
}

static tepal_res *show_state(tepal_req *req)
{
    const char *a = tepal_req_state(req, &A), *b = tepal_req_state(req, &B);
    const char *other = tepal_req_state(req, &same_name);
    return tepal_textf(req, 200, "%s, %s, %s", a ? a : "-", b ? b : "-", other ? other : "-");
}

static tepal_res *shadow_state(tepal_req *req)
{
    assert_int_equal(tepal_req_set_state(req, &A, "once"), 0);
    assert_int_equal(tepal_req_set_state(req, &A, "of the request"), 0);
    return show_state(req);
}

static void state_of_app_and_request(void **state)
{
    (void)state;
    tepal_app_set_state(app, &A, "old");
    tepal_app_set_state(app, &A, "of the app");
    tepal_on_startup(app, set_state, NULL);
    tepal_get(app, "/", show_state);
    tepal_get(app, "/shadow", shadow_state);
    assert_null(tepal_app_state(app, &B));
    start(NULL);
    assert_reply(get("/"), 200, "of the app, from startup, -");
    assert_reply(get("/shadow"), 200, "of the request, from startup, -");
    assert_reply(get("/"), 200, "of the app, from startup, -");
    assert_string_equal(tepal_app_state(app, &A), "of the app");
}

/* --- Misuse ----------------------------------------------------------------------------------- */

static tepal_res *through(tepal_req *req, tepal_next *next)
{
    return tepal_next_call(next, req);
}

static void late_route(void *arg)
{
    (void)arg;
    tepal_get(app, "/late", ok);
}
static void late_table(void *arg)
{
    (void)arg;
    tepal_routes(app, (const tepal_route[]){ { "GET", "/late", ok }, { 0 } });
}
static void late_middleware(void *arg)
{
    (void)arg;
    tepal_use(app, through, NULL);
}
static void late_hook(void *arg)
{
    (void)arg;
    tepal_on_startup(app, start1, NULL);
}
static void late_context(void *arg)
{
    (void)arg;
    tepal_context(app, enter1, leave1, NULL);
}
static void early_close(void *arg)
{
    (void)arg;
    tepal_app_close(app);
}
static void second_client(void *arg)
{
    (void)arg;
    loop_current = NULL;
    tepal_test_new(app, NULL);
}

static void registration_after_the_start(void **state)
{
    (void)state;
    start(NULL);
    assert_misuse(late_route, NULL, "tepal_get: the application is being served already");
    assert_misuse(late_table, NULL, "tepal_routes: the application is being served already");
    assert_misuse(late_middleware, NULL, "tepal_use: the application is being served already");
    assert_misuse(late_hook, NULL, "tepal_on_startup: the application is being served already");
    assert_misuse(late_context, NULL, "tepal_context: the application is being served already");
    assert_misuse(early_close, NULL, "tepal_app_close: the application is being served");
    assert_misuse(second_client, NULL, "the application is being served already");
}

/* --- What is closed --------------------------------------------------------------------------- */

static tepal_app *gone;

static void route_of_closed(void *arg)
{
    (void)arg;
    tepal_get(gone, "/", ok);
}
static void close_closed(void *arg)
{
    (void)arg;
    tepal_app_close(gone);
}
static void stop_closed(void *arg)
{
    (void)arg;
    tepal_app_stop(gone);
}
static void state_of_closed(void *arg)
{
    (void)arg;
    tepal_app_state(gone, &A);
}
static void set_of_closed(void *arg)
{
    (void)arg;
    tepal_app_set_state(gone, &A, arg);
}

/* An application that tepal_run() has closed, as a program has it after its first tepal_run(). */
static void a_closed_application(void **state)
{
    (void)state;
    static const char says[] =
        "the application has been closed (tepal_run() closes what it is given)";
    gone = tepal_app_new();
    tepal_get(gone, "bad", ok);
    assert_int_equal(tepal_run(gone, NULL), 1);
    log_forget();
    assert_int_equal(tepal_run(gone, NULL), 1);
    assert_non_null(strstr(logged(), says));
    assert_string_equal(tepal_app_error_text(gone), says);
    assert_null(tepal_test_new(gone, NULL));
    assert_null(tepal_app_url(gone, 0));
    char *args[] = { (char[]){ "program" }, (char[]){ "--nonsense" }, NULL };
    assert_int_equal(tepal_run_args(gone, 1, args, NULL), 1);
    assert_misuse(route_of_closed, NULL, "tepal_get: the application has been closed");
    assert_misuse(close_closed, NULL, "tepal_app_close: the application has been closed");
    assert_misuse(stop_closed, NULL, "tepal_app_stop: the application has been closed");
    assert_misuse(state_of_closed, NULL, "tepal_app_state: the application has been closed");
    assert_misuse(set_of_closed, NULL, "tepal_app_set_state: the application has been closed");
    gone = NULL;
}

static int run_result;

static tepal_res *run_inside(tepal_req *req)
{
    tepal_app *own = tepal_app_new();
    run_result = tepal_run(*tepal_req_query_string(req) ? own : app, NULL);
    if (!*tepal_req_query_string(req))
        tepal_app_close(own);
    return ok(req);
}

static void running_in_a_handler(void **state)
{
    (void)state;
    tepal_get(app, "/", run_inside);
    start(NULL);
    for (int i = 0; i < 2; i++) {
        run_result = 0;
        log_forget();
        assert_reply(get(i ? "/?own" : "/"), 200, "ok");
        assert_int_equal(run_result, 1);
        assert_non_null(strstr(logged(), "cannot start: tepal_run() runs a loop, and was called "
                                         "where one runs: tepal_serve() is for tasks"));
    }
}

/* --- Background tasks ------------------------------------------------------------------------- */

static int ticks, ended_with;

static int tick(void *arg)
{
    (void)arg;
    int rc;
    while ((rc = tepal_sleep_ms(1000)) == 0)
        ticks++;
    strcat(story, " background-ended");
    return ended_with = rc;
}

static int spawn_tick(tepal_app *a, void *arg)
{
    (void)arg;
    step("enter");
    return tepal_spawn(tepal_app_group(a), tick, NULL, NULL);
}

static tepal_res *spawn_from_request(tepal_req *req)
{
    int rc = tepal_spawn(tepal_app_group(tepal_req_app(req)), tick, NULL, NULL);
    return tepal_textf(req, 200, "%d", rc);
}

static void background_group(void **state)
{
    (void)state;
    ticks = ended_with = 0;
    tepal_context(app, spawn_tick, leave1, NULL);
    tepal_on_shutdown(app, shut1, NULL);
    tepal_on_cleanup(app, clean1, NULL);
    tepal_get(app, "/", spawn_from_request);
    assert_null(tepal_app_group(app));
    start(NULL);
    tepal_test_advance(client, 5500);
    assert_int_equal(ticks, 5);
    assert_reply(get("/"), 200, "0");
    tepal_test_advance(client, 2000);
    assert_int_equal(ticks, 9);
    stop();
    assert_int_equal(ended_with, -ECANCELED);
    assert_string_equal(story, "enter shut1 background-ended background-ended leave1 clean1");
    assert_null(tepal_app_group(app));
}

/* Nobody waits for a background task: its failure is logged when it happens. */
static int fail_later(void *arg)
{
    (void)arg;
    int rc = tepal_sleep_ms(1000);
    return rc < 0 ? rc : -EIO;
}

static int spawn_failing(tepal_app *a, void *arg)
{
    (void)arg;
    tepal_spawn_options options = { .name = "sync" };
    int rc = tepal_spawn(tepal_app_group(a), fail_later, NULL, &options);
    return rc < 0 ? rc : tepal_spawn(tepal_app_group(a), tick, NULL, NULL);
}

static void background_failures(void **state)
{
    (void)state;
    tepal_on_startup(app, spawn_failing, NULL);
    start(NULL);
    log_forget();
    tepal_test_advance(client, 500);
    assert_null(strstr(logged(), "failed"));
    tepal_test_advance(client, 1000);
    assert_non_null(strstr(logged(), "task \"sync\" failed: "));
    log_forget();
    stop(); /* the other one was cancelled */
    assert_null(strstr(logged(), "failed"));
}

/* A start that fails ends the background tasks, too. */
static void background_group_of_a_failed_start(void **state)
{
    (void)state;
    tepal_context(app, spawn_tick, leave1, NULL);
    tepal_on_startup(app, start1, NULL);
    failing = "start1";
    assert_refused(NULL, "startup hook 1 failed");
    assert_string_equal(story, "enter start1 background-ended leave1");
}

/* --- Serving in a task ------------------------------------------------------------------------ */

static int stop_soon(void *arg)
{
    (void)arg;
    int rc = tepal_sleep_ms(5);
    tepal_app_stop(app);
    tepal_app_stop(app); /* once more does no harm */
    return rc;
}

static char url[128];

static int keep_url(void *arg)
{
    (void)arg;
    tepal_sleep_ms(0);
    snprintf(url, sizeof(url), "%s", tepal_app_url(app, 0) ? tepal_app_url(app, 0) : "-");
    return 0;
}

static int serve_until_stopped(void *arg)
{
    tepal_group *group = tepal_group_new();
    int rc = tepal_spawn(group, keep_url, NULL, NULL);
    if (rc == 0)
        rc = tepal_spawn(group, stop_soon, NULL, NULL);
    if (rc == 0)
        rc = tepal_serve(app, arg);
    tepal_group_close(group);
    return rc;
}

static void stopping(void **state)
{
    (void)state;
    register_all();
    assert_null(tepal_app_url(app, 0));
    tepal_app_stop(app); /* not served: nothing to do */
    tepal_run_options options = { .host = "127.0.0.1",
                                  .port = TEPAL_ANY_PORT,
                                  .access_log.off = true };
    assert_int_equal(tepal_main(serve_until_stopped, &options), 0);
    assert_string_equal(story,
                        "enter1 enter2 enter3 start1 start2 shut1 shut2 leave3 leave2 leave1 "
                        "clean1 clean2");
    assert_memory_equal(url, "http://127.0.0.1:", 17);
    assert_null(tepal_app_url(app, 0));
    options = (tepal_run_options){ .path = "@tepal-unit-app", .access_log.off = true };
    assert_int_equal(tepal_main(serve_until_stopped, &options), 0);
    assert_string_equal(url, "unix:@tepal-unit-app");
}

static int stop_at_startup(tepal_app *a, void *arg)
{
    (void)arg;
    tepal_app_stop(a);
    return 0;
}

static int serve(void *arg)
{
    return tepal_serve(app, arg);
}

static void stopped_by_a_hook(void **state)
{
    (void)state;
    tepal_on_startup(app, stop_at_startup, NULL);
    tepal_run_options options = { .path = "@tepal-unit-app", .access_log.off = true };
    assert_int_equal(tepal_main(serve, &options), 0);
}

/* A server that is stopped while a hook waits for something that never comes. */
static bool waits;
static int waited_in_hook, waited_in_leave, waited_after;

static int enter_soon(tepal_app *a, void *arg)
{
    (void)arg;
    (void)a;
    return tepal_sleep_ms(1);
}

static int wait_for_ever(tepal_app *a, void *arg)
{
    (void)arg;
    (void)a;
    waits = true;
    return waited_in_hook = tepal_sleep_ms(TEPAL_NEVER);
}

static int leave_slowly(tepal_app *a, void *arg)
{
    (void)arg;
    (void)a;
    return waited_in_leave = tepal_sleep_ms(1);
}

static int never_reached(tepal_app *a, void *arg)
{
    (void)arg;
    (void)a;
    strcat(story, "reached ");
    return 0;
}

static int serve_and_go_on(void *arg)
{
    int rc = tepal_serve(app, arg);
    waited_after = tepal_sleep_ms(1);
    return rc;
}

static int stop_while_it_starts(void *arg)
{
    tepal_group *group = tepal_group_new();
    waits = false;
    int rc = tepal_spawn(group, serve_and_go_on, arg, NULL);
    while (rc == 0 && !waits)
        rc = tepal_sleep_ms(1);
    tepal_app_stop(app);
    if (rc == 0)
        rc = tepal_group_wait(group);
    tepal_group_close(group);
    return rc;
}

static void stopped_while_it_starts(void **state)
{
    (void)state;
    waited_in_leave = waited_after = 1;
    tepal_context(app, enter_soon, leave_slowly, NULL);
    tepal_on_startup(app, wait_for_ever, NULL);
    tepal_on_startup(app, never_reached, NULL);
    tepal_on_shutdown(app, never_reached, NULL);
    tepal_run_options options = { .path = "@tepal-unit-app", .access_log.off = true };
    assert_int_equal(tepal_main(stop_while_it_starts, &options), 0);
    assert_int_equal(waited_in_hook, -ECANCELED);
    assert_int_equal(waited_in_leave, 0); /* it can do its work */
    assert_int_equal(waited_after, 0);    /* it was not the task that was cancelled */
    assert_string_equal(story, "");
    assert_string_equal(logged(), "");
}

static int enter_for_ever(tepal_app *a, void *arg)
{
    (void)arg;
    (void)a;
    waits = true;
    (void)tepal_sleep_ms(TEPAL_NEVER); /* which does not look at what it returns */
    return 0;
}

static void stopped_while_a_context_is_entered(void **state)
{
    (void)state;
    waited_in_leave = 1;
    tepal_context(app, enter_for_ever, leave_slowly, NULL);
    tepal_context(app, never_reached, never_reached, NULL);
    tepal_on_startup(app, never_reached, NULL);
    tepal_run_options options = { .path = "@tepal-unit-app", .access_log.off = true };
    assert_int_equal(tepal_main(stop_while_it_starts, &options), 0);
    assert_int_equal(waited_in_leave, 0);
    assert_string_equal(story, "");
    assert_string_equal(logged(), "");
}

/* Its own task is cancelled: that is a failure, but what was opened is closed properly. */
static int cancel_while_it_starts(void *arg)
{
    tepal_group *group = tepal_group_new();
    waits = false;
    int rc = tepal_spawn(group, serve_and_go_on, arg, NULL);
    while (rc == 0 && !waits)
        rc = tepal_sleep_ms(1);
    tepal_group_close(group);
    return rc;
}

static void cancelled_while_it_starts(void **state)
{
    (void)state;
    waited_in_leave = waited_after = 1;
    tepal_context(app, enter_soon, leave_slowly, NULL);
    tepal_on_startup(app, wait_for_ever, NULL);
    tepal_run_options options = { .path = "@tepal-unit-app", .access_log.off = true };
    assert_int_equal(tepal_main(cancel_while_it_starts, &options), 0);
    assert_int_equal(waited_in_leave, 0);
    assert_int_equal(waited_after, -ECANCELED);
    assert_non_null(strstr(logged(), "startup hook 1 failed"));
}

static void cannot_listen(void **state)
{
    (void)state;
    register_all();
    tepal_run_options options = { .path = "/nonexistent/socket", .access_log.off = true };
    assert_int_equal(tepal_main(serve, &options), -ENOENT);
    assert_string_equal(story,
                        "enter1 enter2 enter3 start1 start2 shut1 shut2 leave3 leave2 leave1 "
                        "clean1 clean2");
    assert_non_null(strstr(logged(), "cannot listen on /nonexistent/socket"));
}

static int slow_shutdown(tepal_app *a, void *arg)
{
    (void)arg;
    (void)a;
    return tepal_sleep_ms(20);
}

static int serve_task_result;

static int serve_task(void *arg)
{
    return serve_task_result = tepal_serve(app, arg);
}

/* Cancelled, and cancelled again while it ends: the end is done properly all the same. */
static int cancel_twice(void *arg)
{
    tepal_group *group = tepal_group_new();
    int rc = tepal_spawn(group, serve_task, arg, NULL);
    if (rc == 0)
        rc = tepal_sleep_ms(5);
    tepal_group_cancel(group);
    if (rc == 0)
        rc = tepal_sleep_ms(5);
    tepal_group_close(group);
    return rc;
}

static void cancelled_twice(void **state)
{
    (void)state;
    register_all();
    tepal_on_shutdown(app, slow_shutdown, NULL);
    tepal_run_options options = { .path = "@tepal-unit-app", .access_log.off = true };
    serve_task_result = 1;
    assert_int_equal(tepal_main(cancel_twice, &options), 0);
    assert_int_equal(serve_task_result, 0);
    assert_non_null(strstr(story, "shut1 shut2 leave3 leave2 leave1 clean1 clean2"));
}

/* --- A shortage of memory --------------------------------------------------------------------- */

static void memory_shortage(void **state)
{
    (void)state;
    tepal_app_close(app);
    app = NULL;
    for (size_t n = 1;; n++) {
        mem_fail_nth(n, 0);
        app = tepal_app_new();
        tepal_get(app, "/{x:int}", ok);
        tepal_use(app, through, NULL);
        tepal_on_startup(app, start1, NULL);
        tepal_context(app, enter1, leave1, NULL);
        int rc = tepal_app_set_state(app, &A, "a");
        assert_true(rc == 0 || (rc == -ENOMEM && mem_failures() + !app > 0));
        size_t failures_so_far = mem_failures();
        mem_fail_nth(0, 0);
        if (failures_so_far == 0)
            break;
        assert_string_equal(tepal_app_error_text(app),
                            app ? "out of memory"
                                : "the application is NULL: none was made, or memory was short "
                                  "then");
        if (app) /* NULL would be a test without one */
            assert_null(tepal_test_new(app, NULL));
        tepal_app_close(app);
        app = NULL;
    }
    assert_null(tepal_app_error_text(app));
    /* Starting: either it says that it could not, or it works. */
    for (size_t n = 1;; n++) {
        mem_fail_nth(n, 0);
        client = tepal_test_new(app, NULL);
        bool failed = mem_failures() > 0;
        mem_fail_nth(0, 0);
        assert_true(client || failed);
        if (client)
            assert_reply(get("/7"), 200, "ok");
        stop();
        if (!failed)
            break;
    }
}

#define APP_TEST(name) cmocka_unit_test_setup_teardown(name, reset, web_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        APP_TEST(order),
        APP_TEST(failures),
        APP_TEST(null_arguments),
        APP_TEST(state_of_app_and_request),
        APP_TEST(registration_after_the_start),
        APP_TEST(a_closed_application),
        APP_TEST(running_in_a_handler),
        APP_TEST(background_group),
        APP_TEST(background_failures),
        APP_TEST(background_group_of_a_failed_start),
        APP_TEST(stopping),
        APP_TEST(stopped_by_a_hook),
        APP_TEST(stopped_while_it_starts),
        APP_TEST(stopped_while_a_context_is_entered),
        APP_TEST(cancelled_while_it_starts),
        APP_TEST(cannot_listen),
        APP_TEST(cancelled_twice),
        APP_TEST(memory_shortage),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
