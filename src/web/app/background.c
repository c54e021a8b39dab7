/* Background tasks of an application: from its start to its end, and again when they fail. */
#include "async/task/group.h"
#include "async/task/task.h"
#include "base/log.h"
#include "web/app/registration.h"

#include <tepal/async.h>

enum { FIRST_DELAY_MS = 1000, LONGEST_DELAY_MS = 60 * 1000 };

void tepal_background(tepal_app *app, tepal_app_hook *task, const void *arg)
{
    if (!registration_is_open(app, "tepal_background"))
        return;
    if (!task) {
        registration_mistake(app, "tepal_background: the task is NULL");
        return;
    }
    struct app_background *room =
        registration_room(app, &app->backgrounds, app->n_backgrounds, sizeof(*room));
    if (room) {
        *room = (struct app_background){ .app = app, .fn = task, .arg = registration_arg(arg) };
        app->n_backgrounds++;
    }
}

/* Runs it until it ends by itself, or with the application. */
static int keep_running(void *arg)
{
    const struct app_background *background = arg;
    size_t number = (size_t)(background - background->app->backgrounds) + 1;
    int64_t delay = FIRST_DELAY_MS;
    while (true) {
        int64_t began = tepal_now_ms();
        int rc = background->fn(background->app, background->arg);
        /* The end has reached it: what it failed with then is the group's to tell. */
        if (rc >= 0 || task_check(loop_current, loop_current->current) < 0)
            return rc;
        /* One that ran for long has nothing to do with its failures before. */
        if (tepal_now_ms() - began >= LONGEST_DELAY_MS)
            delay = FIRST_DELAY_MS;
        tepal_logf(TEPAL_LOG_ERROR, "background task %zu failed: %s; it is started again in %d s",
                   number, tepal_code_text(rc), (int)(delay / 1000));
        rc = tepal_sleep_ms(delay);
        if (rc < 0)
            return rc;
        delay = delay * 2 < LONGEST_DELAY_MS ? delay * 2 : LONGEST_DELAY_MS;
    }
}

int background_start_all(tepal_app *app)
{
    for (size_t i = 0; i < app->n_backgrounds; i++) {
        int rc = tepal_spawn(app->group, keep_running, &app->backgrounds[i],
                             &(tepal_spawn_options){ .name = "background" });
        if (rc < 0) {
            tepal_logf(TEPAL_LOG_ERROR, "cannot start background task %zu: %s", i + 1,
                       tepal_code_text(rc));
            return rc;
        }
    }
    return 0;
}
