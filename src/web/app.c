/* Registration: routes, middlewares, hooks and state are collected, and the first mistake is
 * kept. */
#include "async/loop.h"
#include "base/log.h"
#include "base/mem.h"
#include "web/application.h"
#include "web/living.h"
#include "web/res_hooks.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static const char closed[] =
    "the application has been closed (tepal_run() closes what it is given)";

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
        misuse("tepal_app_close", closed);
    if (app->server)
        misuse("tepal_app_close", "the application is being served");
    living_remove(app);
    router_clear(&app->router);
    free_state(app->state);
    mem_free(app->middlewares);
    mem_free(app->res_hooks);
    mem_free(app->startup.all);
    mem_free(app->shutdown.all);
    mem_free(app->cleanup.all);
    mem_free(app->contexts);
    mem_free(app->error);
    mem_free(app);
}

void app_close_given(tepal_app *app)
{
    if (app && living_has(app) && !app->server)
        tepal_app_close(app);
}

const char *tepal_app_error_text(const tepal_app *app)
{
    if (!app)
        return "the application is NULL: none was made, or memory was short then";
    if (!living_has(app))
        return closed;
    return app->out_of_memory ? "out of memory" : app->error;
}

/* Keeps the first error of registration. */
static void TEPAL_PRINTF(2, 3) keep_error(tepal_app *app, const char *format, ...)
{
    char text[512];
    if (app->error || app->out_of_memory)
        return;
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    app->error = mem_strdup(text);
    app->out_of_memory = !app->error;
}

/* Whether the application may still be changed by this call. */
static bool is_open(tepal_app *app, const char *call)
{
    if (!app)
        return false;
    if (!living_has(app))
        misuse(call, closed);
    if (app->server)
        misuse(call, "the application is being served already");
    return true;
}

static void add_route(tepal_app *app, const char *call, const tepal_route *route)
{
    const char *why = NULL;
    if (!is_open(app, call))
        return;
    if (!route->pattern) {
        keep_error(app, "route %s: the pattern is NULL", route->method);
        return;
    }
    int rc = router_add(&app->router, route, &why);
    if (rc == -ENOMEM)
        app->out_of_memory = true;
    else if (rc < 0)
        keep_error(app, "route %s %s: %s", route->method, route->pattern, why);
}

void tepal_routes(tepal_app *app, const tepal_route *table)
{
    static const char call[] = "tepal_routes";
    if (!is_open(app, call))
        return;
    if (!table) {
        keep_error(app, "%s: the table is NULL", call);
        return;
    }
    for (; table->method; table++)
        add_route(app, call, table);
    /* A row whose method was forgotten would end the table unseen. */
    if (table->pattern || table->handler)
        keep_error(app, "%s: the method of a route is NULL: %s", call,
                   table->pattern ? table->pattern : "one without a pattern");
}

static void add_simple(tepal_app *app, const char *call, const char *method, const char *pattern,
                       tepal_handler *handler)
{
    add_route(app, call,
              &(tepal_route){ .method = method, .pattern = pattern, .handler = handler });
}

void tepal_any(tepal_app *app, const char *pattern, tepal_handler *handler)
{
    add_simple(app, "tepal_any", "*", pattern, handler);
}

void tepal_get(tepal_app *app, const char *pattern, tepal_handler *handler)
{
    add_simple(app, "tepal_get", "GET", pattern, handler);
}

void tepal_post(tepal_app *app, const char *pattern, tepal_handler *handler)
{
    add_simple(app, "tepal_post", "POST", pattern, handler);
}

void tepal_put(tepal_app *app, const char *pattern, tepal_handler *handler)
{
    add_simple(app, "tepal_put", "PUT", pattern, handler);
}

void tepal_patch(tepal_app *app, const char *pattern, tepal_handler *handler)
{
    add_simple(app, "tepal_patch", "PATCH", pattern, handler);
}

void tepal_delete(tepal_app *app, const char *pattern, tepal_handler *handler)
{
    add_simple(app, "tepal_delete", "DELETE", pattern, handler);
}

/* Makes room for one more item of this size in an array of n. Returns the new item, or NULL. */
static void *grow(tepal_app *app, void *array, size_t n, size_t size)
{
    char *grown;
    void *old;
    memcpy(&old, array, sizeof(old));
    grown = mem_resize(old, (n + 1) * size);
    if (!grown) {
        app->out_of_memory = true;
        return NULL;
    }
    memcpy(array, &grown, sizeof(grown));
    return grown + n * size;
}

/* An argument is given as a constant, as it is not looked into, and reaches its function as it was. */
static void *without_const(const void *arg)
{
    return (void *)(uintptr_t)arg;
}

void tepal_use(tepal_app *app, tepal_middleware *middleware, const void *arg)
{
    if (!is_open(app, "tepal_use"))
        return;
    if (!middleware) {
        keep_error(app, "tepal_use: the middleware is NULL");
        return;
    }
    struct app_middleware *room = grow(app, &app->middlewares, app->n_middlewares, sizeof(*room));
    if (room) {
        *room = (struct app_middleware){ .fn = middleware, .arg = without_const(arg) };
        app->n_middlewares++;
    }
}

void tepal_on_response(tepal_app *app, tepal_res_hook *hook, const void *arg)
{
    if (!is_open(app, "tepal_on_response"))
        return;
    if (!hook) {
        keep_error(app, "tepal_on_response: the hook is NULL");
        return;
    }
    struct res_hook *room = grow(app, &app->res_hooks, app->n_res_hooks, sizeof(*room));
    if (room) {
        *room = (struct res_hook){ .fn = hook, .arg = without_const(arg) };
        app->n_res_hooks++;
    }
}

void tepal_app_set_error_pages(tepal_app *app, const char *content_type)
{
    static const char *const types[] = { "text/plain", "text/html", "application/json" };
    if (!is_open(app, "tepal_app_set_error_pages"))
        return;
    if (!content_type) {
        keep_error(app, "tepal_app_set_error_pages: content_type is NULL");
        return;
    }
    for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++)
        if (strcmp(content_type, types[i]) == 0) {
            app->error_pages = types[i];
            return;
        }
    keep_error(app, "tepal_app_set_error_pages: no pages are made of type %s", content_type);
}

static void add_hook(tepal_app *app, struct app_hooks *hooks, struct app_hook hook,
                     const char *call)
{
    if (!hook.fn) {
        keep_error(app, "%s: the hook is NULL", call);
        return;
    }
    struct app_hook *room = grow(app, &hooks->all, hooks->n, sizeof(*room));
    if (room) {
        *room = hook;
        hooks->n++;
    }
}

void tepal_on_startup(tepal_app *app, tepal_app_hook *hook, const void *arg)
{
    if (is_open(app, "tepal_on_startup"))
        add_hook(app, &app->startup, (struct app_hook){ hook, without_const(arg) },
                 "tepal_on_startup");
}

void tepal_on_shutdown(tepal_app *app, tepal_app_hook *hook, const void *arg)
{
    if (is_open(app, "tepal_on_shutdown"))
        add_hook(app, &app->shutdown, (struct app_hook){ hook, without_const(arg) },
                 "tepal_on_shutdown");
}

void tepal_on_cleanup(tepal_app *app, tepal_app_hook *hook, const void *arg)
{
    if (is_open(app, "tepal_on_cleanup"))
        add_hook(app, &app->cleanup, (struct app_hook){ hook, without_const(arg) },
                 "tepal_on_cleanup");
}

void tepal_context(tepal_app *app, tepal_app_hook *enter, tepal_app_hook *leave, const void *arg)
{
    if (!is_open(app, "tepal_context"))
        return;
    if (!enter || !leave) {
        keep_error(app, "tepal_context: a hook is NULL");
        return;
    }
    struct app_context *room = grow(app, &app->contexts, app->n_contexts, sizeof(*room));
    if (room) {
        *room = (struct app_context){
            .enter = enter,
            .leave = leave,
            .arg = without_const(arg),
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
        misuse(call, closed);
}

void tepal_app_set_state(tepal_app *app, const tepal_key *key, void *value)
{
    static const char call[] = "tepal_app_set_state", no_key[] = "the key is NULL";
    if (!app)
        return;
    need_living(app, call);
    if (!key && app->server)
        tepal_logf(TEPAL_LOG_ERROR, "%s: %s", call, no_key);
    else if (!key)
        keep_error(app, "%s: %s", call, no_key);
    if (!key)
        return;
    for (struct state_entry *entry = app->state; entry; entry = entry->next)
        if (entry->key == key) {
            entry->value = value;
            return;
        }
    struct state_entry *entry = mem_alloc(sizeof(*entry));
    if (!entry) {
        app->out_of_memory = true;
        return;
    }
    *entry = (struct state_entry){ .key = key, .value = value, .next = app->state };
    app->state = entry;
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
