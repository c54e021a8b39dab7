/* Applications: making and closing them, and what is registered with them but routes. */
#include "async/loop/loop.h"
#include "base/log.h"
#include "base/mem.h"
#include "web/app/application.h"
#include "web/app/living.h"
#include "web/app/registration.h"
#include "web/message/res_hooks.h"

#include <errno.h>
#include <string.h>

tepal_app *tepal_app_new(void)
{
    tepal_app *app = mem_zalloc(sizeof(*app));
    if (app && router_init(&app->router) < 0) {
        mem_free(app);
        return NULL;
    }
    if (app)
        living_add(app);
    return app;
}

static void free_state(struct state_entry *list)
{
    while (list) {
        struct state_entry *next = list->next;
        mem_free(list);
        list = next;
    }
}

void tepal_app_close(tepal_app *app)
{
    if (!app)
        return;
    if (!living_has(app))
        misuse("tepal_app_close", registration_closed);
    if (app->server)
        misuse("tepal_app_close", "the application is being served");
    belongings_clear(app);
    living_remove(app);
    router_clear(&app->router);
    free_state(app->state);
    mem_free(app->middlewares);
    mem_free(app->res_hooks);
    mem_free(app->done_hooks);
    mem_free(app->startup.all);
    mem_free(app->shutdown.all);
    mem_free(app->cleanup.all);
    mem_free(app->contexts);
    mem_free(app->backgrounds);
    mem_free(app->error);
    mem_free(app);
}

void app_close_given(tepal_app *app)
{
    if (app && living_has(app) && !app->server)
        tepal_app_close(app);
}

void tepal_use(tepal_app *app, tepal_middleware *middleware, const void *arg)
{
    if (!registration_is_open(app, "tepal_use"))
        return;
    if (!middleware) {
        registration_mistake(app, "tepal_use: the middleware is NULL");
        return;
    }
    struct app_middleware *room =
        registration_room(app, &app->middlewares, app->n_middlewares, sizeof(*room));
    if (room) {
        *room = (struct app_middleware){ .fn = middleware, .arg = registration_arg(arg) };
        app->n_middlewares++;
    }
}

void tepal_on_response(tepal_app *app, tepal_res_hook *hook, const void *arg)
{
    if (!registration_is_open(app, "tepal_on_response"))
        return;
    if (!hook) {
        registration_mistake(app, "tepal_on_response: the hook is NULL");
        return;
    }
    struct res_hook *room =
        registration_room(app, &app->res_hooks, app->n_res_hooks, sizeof(*room));
    if (room) {
        *room = (struct res_hook){ .fn = hook, .arg = registration_arg(arg) };
        app->n_res_hooks++;
    }
}

void tepal_app_set_error_pages(tepal_app *app, const char *content_type)
{
    static const char *const types[] = { "text/plain", "text/html", "application/json" };
    if (!registration_is_open(app, "tepal_app_set_error_pages"))
        return;
    if (!content_type) {
        registration_mistake(app, "tepal_app_set_error_pages: content_type is NULL");
        return;
    }
    for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++)
        if (strcmp(content_type, types[i]) == 0) {
            app->error_pages = types[i];
            return;
        }
    registration_mistake(app, "tepal_app_set_error_pages: no pages are made of type %s",
                         content_type);
}

static void add_hook(tepal_app *app, struct app_hooks *hooks, struct app_hook hook,
                     const char *call)
{
    if (!hook.fn) {
        registration_mistake(app, "%s: the hook is NULL", call);
        return;
    }
    struct app_hook *room = registration_room(app, &hooks->all, hooks->n, sizeof(*room));
    if (room) {
        *room = hook;
        hooks->n++;
    }
}

void tepal_on_startup(tepal_app *app, tepal_app_hook *hook, const void *arg)
{
    if (registration_is_open(app, "tepal_on_startup"))
        add_hook(app, &app->startup, (struct app_hook){ hook, registration_arg(arg) },
                 "tepal_on_startup");
}

void tepal_on_shutdown(tepal_app *app, tepal_app_hook *hook, const void *arg)
{
    if (registration_is_open(app, "tepal_on_shutdown"))
        add_hook(app, &app->shutdown, (struct app_hook){ hook, registration_arg(arg) },
                 "tepal_on_shutdown");
}

void tepal_on_cleanup(tepal_app *app, tepal_app_hook *hook, const void *arg)
{
    if (registration_is_open(app, "tepal_on_cleanup"))
        add_hook(app, &app->cleanup, (struct app_hook){ hook, registration_arg(arg) },
                 "tepal_on_cleanup");
}

void tepal_context(tepal_app *app, tepal_app_hook *enter, tepal_app_hook *leave, const void *arg)
{
    if (!registration_is_open(app, "tepal_context"))
        return;
    if (!enter || !leave) {
        registration_mistake(app, "tepal_context: a hook is NULL");
        return;
    }
    struct app_context *room =
        registration_room(app, &app->contexts, app->n_contexts, sizeof(*room));
    if (room) {
        *room = (struct app_context){
            .enter = enter,
            .leave = leave,
            .arg = registration_arg(arg),
        };
        app->n_contexts++;
    }
}

void *state_get(const struct state_entry *list, const tepal_key *key)
{
    while (list && list->key != key)
        list = list->next;
    return list ? list->value : NULL;
}

/* A task may take it for granted: while an application is served it is not closed. */
static void need_living(const tepal_app *app, const char *call)
{
    if (!loop_current && !living_has(app))
        misuse(call, registration_closed);
}

int tepal_app_set_state(tepal_app *app, const tepal_key *key, const void *value)
{
    static const char call[] = "tepal_app_set_state", no_key[] = "the key is NULL";
    if (!app)
        return -ENOMEM;
    need_living(app, call);
    if (!key && app->server)
        tepal_logf(TEPAL_LOG_ERROR, "%s: %s", call, no_key);
    else if (!key)
        registration_mistake(app, "%s: %s", call, no_key);
    if (!key)
        return -EINVAL;
    struct state_entry *entry = app->state;
    while (entry && entry->key != key)
        entry = entry->next;
    if (!entry) {
        entry = mem_alloc(sizeof(*entry));
        if (!entry) {
            app->out_of_memory = app->out_of_memory || !app->server;
            return -ENOMEM;
        }
        *entry = (struct state_entry){ .key = key, .next = app->state };
        app->state = entry;
    }
    entry->value = registration_arg(value);
    return 0;
}

void *tepal_app_state(const tepal_app *app, const tepal_key *key)
{
    if (!app)
        return NULL;
    need_living(app, "tepal_app_state");
    if (!key)
        tepal_log(TEPAL_LOG_ERROR, "tepal_app_state: the key is NULL");
    return state_get(app->state, key);
}

tepal_group *tepal_app_group(tepal_app *app)
{
    if (!app)
        return NULL;
    need_living(app, "tepal_app_group");
    return app->group;
}
