/* Registration of routes. */
#include "web/registration.h"

#include <tepal/log.h>

#include <errno.h>

static void add_route(tepal_app *app, const char *call, const tepal_route *route)
{
    const char *why = NULL;
    if (!registration_is_open(app, call))
        return;
    if (!route->pattern) {
        registration_mistake(app, "route %s: the pattern is NULL", route->method);
        return;
    }
    int rc = router_add(&app->router, route, &why);
    if (rc == -ENOMEM)
        app->out_of_memory = true;
    else if (rc < 0)
        registration_mistake(app, "route %s %s: %s", route->method, route->pattern, why);
}

void tepal_routes(tepal_app *app, const tepal_route *table)
{
    static const char call[] = "tepal_routes";
    if (!registration_is_open(app, call))
        return;
    if (!table) {
        registration_mistake(app, "%s: the table is NULL", call);
        return;
    }
    for (; table->method; table++)
        add_route(app, call, table);
    /* A row whose method was forgotten would end the table unseen. */
    if (table->pattern || table->handler)
        registration_mistake(app, "%s: the method of a route is NULL: %s", call,
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
