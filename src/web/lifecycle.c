/* The start and the end of a served application: contexts, hooks and background tasks, in the order
 * that tepal/app.h promises. */
#include "async/group.h"
#include "base/log.h"
#include "web/application.h"

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

static int enter_contexts(tepal_app *app)
{
    for (; app->n_entered < app->n_contexts; app->n_entered++) {
        const struct app_context *context = &app->contexts[app->n_entered];
        int rc = context->enter(app, context->arg);
        if (rc < 0) {
            tepal_logf(TEPAL_LOG_ERROR, "entering context %zu failed: %s", app->n_entered + 1,
                       tepal_code_text(rc));
            return rc;
        }
    }
    return 0;
}

static int run_startup(tepal_app *app)
{
    for (size_t i = 0; i < app->startup.n; i++) {
        int rc = app->startup.all[i].fn(app, app->startup.all[i].arg);
        if (rc < 0) {
            tepal_logf(TEPAL_LOG_ERROR, "startup hook %zu failed: %s", i + 1, tepal_code_text(rc));
            return rc;
        }
    }
    return 0;
}

static void end(tepal_app *app)
{
    group_close_until(app->group, app->end_until);
    app->group = NULL;
    leave_contexts(app);
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
        end(app);
    /* What the first startup hooks have opened is closed, though a later one has failed. */
    if (rc < 0 && begun)
        run_all(app, &app->cleanup, "cleanup");
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
