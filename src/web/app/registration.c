/* What all calls that register something have in common: the first mistake is kept. */
#include "web/app/registration.h"

#include "base/log.h"
#include "base/mem.h"
#include "web/app/living.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

const char registration_closed[] =
    "the application has been closed (tepal_run() closes what it is given)";

const char *tepal_app_error_text(const tepal_app *app)
{
    if (!app)
        return "the application is NULL: none was made, or memory was short then";
    if (!living_has(app))
        return registration_closed;
    return app->out_of_memory ? "out of memory" : app->error;
}

void registration_mistake(tepal_app *app, const char *format, ...)
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

bool registration_is_open(tepal_app *app, const char *call)
{
    if (!app)
        return false;
    if (!living_has(app))
        misuse(call, registration_closed);
    if (app->server)
        misuse(call, "the application is being served already");
    return true;
}

void *registration_room(tepal_app *app, void *array, size_t n, size_t size)
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

void *registration_arg(const void *arg)
{
    return (void *)(uintptr_t)arg;
}
