/* Registration of routes. */
#include "base/room.h"
#include "web/app/registration.h"

#include <errno.h>

static void add_route(tepal_app *app, const tepal_route *route)
{
    const char *why = NULL;
    if (!room_is_empty(route->later, sizeof(route->later))) {
        registration_mistake(app, "a route %s", room_fault);
        return;
    }
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

/* A row whose method was forgotten would end the table unseen. */
static void need_method(tepal_app *app, const char *call, const tepal_route *route)
{
    if (!route->method && (route->pattern || route->handler))
        registration_mistake(app, "%s: the method of a route is NULL: %s", call,
                             route->pattern ? route->pattern : "one without a pattern");
}

void tepal_add_route(tepal_app *app, const tepal_route *route)
{
    static const char call[] = "tepal_add_route";
    if (!registration_is_open(app, call))
        return;
    if (!route || (!route->method && !route->pattern && !route->handler)) {
        registration_mistake(app, "%s: the route is NULL, or nothing of it is set", call);
        return;
    }
    need_method(app, call, route);
    if (route->method)
        add_route(app, route);
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
        add_route(app, table);
    need_method(app, call, table);
}

static void add_simple(tepal_app *app, const char *call, const char *method, const char *pattern,
                       tepal_handler *handler)
{
    if (registration_is_open(app, call))
        add_route(app, &(tepal_route){ .method = method, .pattern = pattern, .handler = handler });
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
