/* What lives as long as an application: memory, and calls at its end. */
#include "base/log.h"
#include "base/mem.h"
#include "web/app/living.h"
#include "web/app/registration.h"

#include <errno.h>
#include <stdalign.h>
#include <stddef.h>
#include <stdint.h>

/* A piece of memory. */
struct app_memory {
    struct app_memory *next;
    alignas(max_align_t) char data[];
};

/* A call at the end. */
struct app_deferred {
    struct app_deferred *next;
    void (*fn)(void *arg);
    void *arg;
};

static void need_living(const tepal_app *app, const char *call)
{
    if (!living_has(app))
        misuse(call, registration_closed);
}

/* Memory for size octets, or NULL, with which an application that is not served yet does not
 * start. */
static void *alloc(tepal_app *app, size_t size)
{
    void *memory = size <= PTRDIFF_MAX ? mem_zalloc(size) : NULL;
    if (!memory && !app->server)
        app->out_of_memory = true;
    return memory;
}

void *tepal_app_alloc(tepal_app *app, size_t size)
{
    if (!app)
        return NULL;
    need_living(app, "tepal_app_alloc");
    const size_t head = sizeof(struct app_memory);
    struct app_memory *memory = alloc(app, size < SIZE_MAX - head ? head + size : SIZE_MAX);
    if (!memory)
        return NULL;
    memory->next = app->memory;
    app->memory = memory;
    return memory->data;
}

int tepal_app_defer(tepal_app *app, void (*fn)(void *arg), const void *arg)
{
    if (!fn)
        misuse("tepal_app_defer", "the function is NULL");
    if (app)
        need_living(app, "tepal_app_defer");
    struct app_deferred *deferred = app ? alloc(app, sizeof(*deferred)) : NULL;
    if (!deferred) {
        fn(registration_arg(arg));
        return -ENOMEM;
    }
    *deferred = (struct app_deferred){ app->deferred, fn, registration_arg(arg) };
    app->deferred = deferred;
    return 0;
}

void belongings_clear(tepal_app *app)
{
    while (app->deferred) { /* one may defer another */
        struct app_deferred *deferred = app->deferred;
        app->deferred = deferred->next;
        deferred->fn(deferred->arg);
        mem_free(deferred);
    }
    while (app->memory) {
        struct app_memory *memory = app->memory;
        app->memory = memory->next;
        mem_free(memory);
    }
}
