/* Serving an application in a task, from its start to its graceful end. */
#include "async/task.h"
#include "base/log.h"
#include "base/mem.h"
#include "web/application.h"
#include "web/serve.h"
#include "web/server.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

/* How long requests that were cancelled have before they are complained about. */
enum { CANCEL_COMPLAINT_MS = 10 * 1000 };

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

/* Waits until all connections have ended, at most ms. Returns 0 or -ETIMEDOUT. */
static int wait_idle(struct server *server, int64_t ms)
{
    return server_wait_idle(server, loop_time_after(server->loop->now, ms));
}

void serve_close(tepal_app *app)
{
    struct server *server = app->server;
    /* The end has to be done properly, whatever has ended the serving, and has a time of its
     * own. */
    int64_t deadline = tepal_shield_begin(TEPAL_NEVER);
    server_close_gently(server);
    app_shutdown(app);
    if (wait_idle(server, server->options.shutdown_timeout_ms) < 0) {
        tepal_log(TEPAL_LOG_WARNING, "%zu connections did not finish in time",
                  server->n_connections);
        server_cancel_all(server);
        while (wait_idle(server, CANCEL_COMPLAINT_MS) < 0)
            tepal_log(TEPAL_LOG_ERROR, "%zu handlers go on although they are cancelled",
                      server->n_connections);
    }
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
