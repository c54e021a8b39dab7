/* The start and the end of a served application: contexts, hooks and background tasks, in the order
 * that tepal/app.h promises. */
#include "async/task/group.h"
#include "base/log.h"
#include "web/app/application.h"
#include "web/server/server.h"

#include <errno.h>

/* Calls all hooks; all of them, whatever one returns. Returns the first error. */
static int run_all(tepal_app *app, const struct app_hooks *hooks, const char *which)
{
    int first = 0;
    for (size_t i = 0; i < hooks->n; i++) {
        int rc = hooks->all[i].fn(app, hooks->all[i].arg);
        if (rc < 0)
            tepal_logf(TEPAL_LOG_ERROR, "%s hook %zu failed: %s", which, i + 1,
                       tepal_code_text(rc));
        first = first < 0 ? first : rc;
    }
    return first;
}

static void leave_contexts(tepal_app *app)
{
    while (app->n_entered > 0) {
        const struct app_context *context = &app->contexts[--app->n_entered];
        int rc = context->leave(app, context->arg);
        if (rc < 0)
            tepal_logf(TEPAL_LOG_ERROR, "leaving context %zu failed: %s", app->n_entered + 1,
                       tepal_code_text(rc));
    }
}

/* One step of the start, which fails, too, when tepal_app_stop() has ended that before it. */
static int run_step(tepal_app *app, const struct app_hook *hook, const char *what, size_t number)
{
    if (app->server->start_ended)
        return -ECANCELED;
    int rc = hook->fn(app, hook->arg);
    if (rc < 0 && !(rc == -ECANCELED && app->server->start_ended))
        tepal_logf(TEPAL_LOG_ERROR, "%s %zu failed: %s", what, number, tepal_code_text(rc));
    return rc < 0 ? rc : 0;
}

static int enter_contexts(tepal_app *app)
{
    int rc = 0;
    while (rc == 0 && app->n_entered < app->n_contexts) {
        const struct app_context *context = &app->contexts[app->n_entered];
        struct app_hook enter = { context->enter, context->arg };
        rc = run_step(app, &enter, "entering context", app->n_entered + 1);
        app->n_entered += rc == 0;
    }
    return rc;
}

static int run_startup(tepal_app *app)
{
    int rc = 0;
    for (size_t i = 0; i < app->startup.n && rc == 0; i++)
        rc = run_step(app, &app->startup.all[i], "startup hook", i + 1);
    return rc;
}

static void end(tepal_app *app)
{
    group_close_until(app->group, app->end_until);
    app->group = NULL;
    leave_contexts(app);
}

/* The start has failed. What is closed is closed properly, also when it was cancelled. What the
 * first startup hooks have opened, too, though a later one has failed. */
static void undo(tepal_app *app, bool begun)
{
    int64_t deadline = tepal_shield_begin_ms(TEPAL_NEVER);
    end(app);
    if (begun)
        run_all(app, &app->cleanup, "cleanup");
    tepal_shield_end(deadline);
}

int app_start(tepal_app *app)
{
    app->group = tepal_group_new();
    if (!app->group) {
        tepal_logf(TEPAL_LOG_ERROR, "cannot start: %s", tepal_code_text(-ENOMEM));
        return -ENOMEM;
    }
    app->group->reports_at_once = true;
    app->group->belongs_to = "the group is the application's, and is closed with it";
    app->end_until = TEPAL_NEVER;
    int rc = enter_contexts(app);
    bool begun = rc == 0;
    if (begun)
        rc = run_startup(app);
    if (rc == 0)
        rc = background_start_all(app);
    if (rc < 0)
        undo(app, begun);
    return rc;
}

void app_shutdown(tepal_app *app)
{
    run_all(app, &app->shutdown, "shutdown");
}

void app_cleanup(tepal_app *app)
{
    end(app);
    run_all(app, &app->cleanup, "cleanup");
}
