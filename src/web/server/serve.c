/* Serving an application in a task, from its start to its graceful end. */
#include "async/signal/ending.h"
#include "async/task/group.h"
#include "async/task/task.h"
#include "base/log.h"
#include "web/app/application.h"
#include "web/exchange/connection.h"
#include "web/app/living.h"
#include "web/server/options_check.h"
#include "web/server/serve.h"
#include "web/server/server.h"
#include "web/server/sites.h"

#include <errno.h>
#include <stdio.h>

/* Starts the application. Returns as serve_open(). */
static int start(tepal_app *app)
{
    struct server *server = app->server;
    struct tepal_task *task = loop_current->current;
    server->starter = task;
    int rc = app_start(app);
    server->starter = NULL;
    if (server->start_ended)
        group_forget_cancel(task);
    return rc == -ECANCELED && server->start_ended ? 1 : rc;
}

/* What the start waits for ends; but for who stops it while it starts, and is a part of that. */
static void end_start(struct server *server)
{
    struct tepal_task *task = server->starter;
    if (!task || task == loop_current->current || task->cancelled || task->cancel_held)
        return;
    server->start_ended = true;
    task_cancel(task);
}

int serve_open(tepal_app *app, const tepal_run_options *options)
{
    tepal_run_options filled;
    char why[SERVER_WHY_SIZE];
    const char *error = tepal_app_error_text(app);
    if (!error && (options_check(options, why, sizeof(why)) < 0 ||
                   server_options(app, &filled, options, why) < 0))
        error = why;
    if (error) {
        tepal_logf(TEPAL_LOG_ERROR, "cannot start: %s", error);
        return -EINVAL;
    }
    if (app->server)
        misuse("tepal_serve", "the application is being served already");
    struct server *server;
    int rc = server_new(&server, app, &filled);
    if (rc < 0) {
        tepal_logf(TEPAL_LOG_ERROR, "cannot start: %s", tepal_code_text(rc));
        return rc;
    }
    server->default_memory = !options || options->limits.max_request_memory == 0;
    app->server = server;
    rc = start(app);
    if (rc != 0) {
        app->server = NULL;
        server_free(server);
        return rc;
    }
    server->locals = locals_share(loop_current->current->locals);
    return 0;
}

int serve_listen(tepal_app *app)
{
    return sites_open(app->server);
}

/* Lets the requests end, and cancels those that take too long. What does not end even then, such as
 * one that waits for a thread that is stuck, is left as it is. */
static void end_requests(struct server *server, int64_t patience_ms)
{
    if (server_wait_idle(server, loop_time_in(server->loop, patience_ms)) == 0)
        return;
    size_t n = server->n_connections - server->n_idle;
    if (n > 0)
        tepal_logf(TEPAL_LOG_WARNING, "%zu request%s did not finish in time, and %s cancelled", n,
                   n == 1 ? "" : "s", n == 1 ? "is" : "are");
    server_cancel_all(server);
    int64_t until = loop_time_in(server->loop, ending_grace_ms(patience_ms));
    if (server_wait_idle(server, until) < 0)
        server_abandon_all(server);
}

static size_t count_requests(const struct server *server)
{
    size_t n = 0;
    for (struct list *node = server->connections.next; node != &server->connections;
         node = node->next)
        n += CONTAINER_OF(node, struct connection, node)->task != NULL;
    return n;
}

/* What the end waits for, so that nobody wonders why it lasts. */
static void tell_wait(const tepal_app *app)
{
    const struct server *server = app->server;
    int64_t ms = server->options.shutdown_timeout_ms;
    size_t requests = count_requests(server), n = requests ? requests : server->n_connections;
    char most[64] = "without a limit";
    if (n == 0)
        return;
    if (ms != TEPAL_NEVER)
        snprintf(most, sizeof(most), "at most %lld %s", (long long)(ms % 1000 ? ms : ms / 1000),
                 ms % 1000 ? "ms" : "s");
    tepal_logf(TEPAL_LOG_INFO, "waiting for %zu %s%s, %s%s", n, requests ? "request" : "connection",
               n == 1 ? "" : "s", most,
               app->ends_by_signal ? "; a second Ctrl-C or SIGTERM ends it at once" : "");
}

void serve_close(tepal_app *app)
{
    struct server *server = app->server;
    int64_t patience = server->options.shutdown_timeout_ms, grace = ending_grace_ms(patience);
    /* The end has to be done properly, whatever has ended the serving, and has a time of its
     * own. */
    int64_t deadline = tepal_shield_begin_ms(TEPAL_NEVER);
    int64_t until = loop_time_in(server->loop, patience);
    server_close_gently(server);
    app_shutdown(app);
    tell_wait(app);
    end_requests(server, patience);
    int64_t at_least = loop_time_in(server->loop, grace);
    app->end_until = until > at_least ? until : at_least;
    app_cleanup(app);
    tepal_shield_end(deadline);
    app->server = NULL;
    server_free(server);
}

int tepal_serve(tepal_app *app, const tepal_run_options *options)
{
    struct tepal_task *task = task_need("tepal_serve");
    int rc = serve_open(app, options);
    if (rc != 0)
        return rc < 0 ? rc : 0;
    rc = serve_listen(app);
    struct server *server = app->server;
    while (rc == 0 && !server->stopped) {
        server->waiter = task;
        int waited = task_wait(loop_current, "the end of serving", TEPAL_NEVER);
        server->waiter = NULL;
        if (waited < 0)
            break;
    }
    serve_close(app);
    return rc;
}

void tepal_app_stop(tepal_app *app)
{
    if (!app)
        return;
    if (!living_has(app))
        misuse("tepal_app_stop", "the application has been closed");
    struct server *server = app->server;
    if (!server || server->stopped)
        return;
    server->stopped = true;
    end_start(server);
    if (server->waiter)
        task_wake(server->waiter, 0);
}

const char *tepal_app_url(const tepal_app *app, size_t n)
{
    const struct server *server = app && living_has(app) ? app->server : NULL;
    return server && n < server->n_sites ? server->sites[n].url : NULL;
}
