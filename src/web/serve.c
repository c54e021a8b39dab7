/* Serving an application in a task, from its start to its graceful end. */
#include "async/ending.h"
#include "async/task.h"
#include "base/log.h"
#include "base/mem.h"
#include "web/application.h"
#include "web/serve.h"
#include "web/server.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

int serve_open(tepal_app *app, const tepal_run_options *options)
{
    tepal_run_options filled;
    char why[SERVER_WHY_SIZE];
    const char *error = tepal_app_error(app);
    if (error || server_options(app, &filled, options, why) < 0) {
        tepal_log(TEPAL_LOG_ERROR, "cannot start: %s", error ? error : why);
        return -EINVAL;
    }
    if (app->server)
        misuse("tepal_serve", "the application is being served already");
    struct server *server = server_new(app, &filled);
    if (!server)
        return -ENOMEM;
    server->default_memory = !options || options->max_request_memory == 0;
    app->server = server;
    int rc = app_start(app);
    if (rc < 0) {
        app->server = NULL;
        server_free(server);
        return rc;
    }
    server->locals = locals_share(loop_current->current->locals);
    return 0;
}

/* The text of tepal_app_url(). */
static char *make_url(const struct server *server)
{
    const tepal_run_options *options = &server->options;
    char text[300];
    if (options->path) {
        snprintf(text, sizeof(text), "unix:%s", options->path);
    } else {
        const char *host = options->host ? options->host : "localhost";
        snprintf(text, sizeof(text), strchr(host, ':') ? "http://[%s]:%u" : "http://%s:%u", host,
                 tepal_listener_port(server->listener));
    }
    return mem_strdup(text);
}

int serve_listen(tepal_app *app)
{
    struct server *server = app->server;
    int rc = server_listen(server);
    if (rc < 0) {
        const tepal_run_options *options = &server->options;
        tepal_log(TEPAL_LOG_ERROR, "cannot listen on %s%s%d: %s",
                  options->path   ? options->path
                  : options->host ? options->host
                                  : "all addresses",
                  options->path ? " " : ", port ", options->path ? 0 : options->port,
                  tepal_error_text(rc));
        return rc;
    }
    app->url = make_url(server);
    if (!app->url)
        return -ENOMEM;
    tepal_log(TEPAL_LOG_INFO, "serving on %s", app->url);
    return 0;
}

/* Waits until all requests have ended, at most ms; says what is waited for, and how long. Returns 0
 * or -ETIMEDOUT. */
static int wait_idle(struct server *server, int64_t ms)
{
    char name[512];
    if (server->n_connections == 0)
        return 0;
    server_name_first(server, name, sizeof(name));
    if (ms == TEPAL_NEVER)
        tepal_log(TEPAL_LOG_INFO, "waiting for %zu request%s: %s", server->n_connections,
                  server->n_connections == 1 ? "" : "s", name);
    else
        tepal_log(TEPAL_LOG_INFO, "waiting for %zu request%s, at most %g s: %s",
                  server->n_connections, server->n_connections == 1 ? "" : "s", (double)ms / 1000,
                  name);
    return server_wait_idle(server, loop_time_in(server->loop, ms));
}

/* Lets the requests end, and cancels those that take too long. What does not end even then, such as
 * one that waits for a thread that is stuck, is left as it is. */
static void end_requests(struct server *server, int64_t patience_ms)
{
    if (wait_idle(server, patience_ms) == 0)
        return;
    size_t n = server->n_connections;
    tepal_log(TEPAL_LOG_WARNING, "%zu request%s did not finish in time, and %s cancelled", n,
              n == 1 ? "" : "s", n == 1 ? "is" : "are");
    server_cancel_all(server);
    int64_t until = loop_time_in(server->loop, ending_grace_ms(patience_ms));
    if (server_wait_idle(server, until) < 0)
        server_abandon_all(server);
}

void serve_close(tepal_app *app)
{
    struct server *server = app->server;
    int64_t patience = server->options.shutdown_timeout_ms, grace = ending_grace_ms(patience);
    /* The end has to be done properly, whatever has ended the serving, and has a time of its
     * own. */
    int64_t deadline = tepal_shield_begin(TEPAL_NEVER);
    int64_t until = loop_time_in(server->loop, patience);
    server_close_gently(server);
    app_shutdown(app);
    end_requests(server, patience);
    int64_t at_least = loop_time_in(server->loop, grace);
    app->end_until = until > at_least ? until : at_least;
    app_cleanup(app);
    tepal_shield_end(deadline);
    app->server = NULL;
    server_free(server);
    mem_free(app->url);
    app->url = NULL;
}

int tepal_serve(tepal_app *app, const tepal_run_options *options)
{
    struct tepal_task *task = task_need("tepal_serve");
    int rc = serve_open(app, options);
    if (rc < 0)
        return rc;
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
    struct server *server = app->server;
    if (!server || server->stopped)
        return;
    server->stopped = true;
    if (server->waiter)
        task_wake(server->waiter, 0);
}

const char *tepal_app_url(const tepal_app *app)
{
    return app->url;
}
