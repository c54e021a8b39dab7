/* The inside of an application: what registration has collected. */
#ifndef TEPAL_WEB_APP_APPLICATION_H
#define TEPAL_WEB_APP_APPLICATION_H

#include "base/list.h"
#include "web/routing/router.h"

#include <tepal/run.h>

#include <stdbool.h>
#include <stddef.h>

struct app_deferred;
struct app_memory;
struct done_hook;
struct res_hook;
struct server;

/* One value under a key, of an application or a request. */
struct state_entry {
    const tepal_key *key;
    void *value;
    struct state_entry *next;
};

struct app_middleware {
    tepal_middleware *fn;
    void *arg;
};

struct app_context {
    tepal_app_hook *enter, *leave;
    void *arg;
};

struct app_hook {
    tepal_app_hook *fn;
    void *arg;
};

struct app_background {
    tepal_app *app;
    tepal_app_hook *fn;
    void *arg;
};

/* A growing array of hooks. */
struct app_hooks {
    struct app_hook *all;
    size_t n;
};

struct tepal_app {
    struct list living; /* see living.h */
    struct router router;
    struct app_middleware *middlewares;
    size_t n_middlewares;
    struct res_hook *res_hooks; /* see res_hooks.h */
    size_t n_res_hooks;
    struct done_hook *done_hooks; /* see done.h */
    size_t n_done_hooks;
    struct state_entry *state;
    struct app_memory *memory; /* see belongings.c */
    struct app_deferred *deferred;
    const char *error_pages; /* the type for clients without a preference; NULL: text */
    struct app_hooks startup, shutdown, cleanup;
    struct app_context *contexts;
    size_t n_contexts, n_entered;
    struct app_background *backgrounds;
    size_t n_backgrounds;
    char *error;        /* the first one of registration */
    bool out_of_memory; /* which has no text of its own */
    unsigned told;      /* what was said once for requests without a route: see mistake.h */
    tepal_group *group; /* while it is served, as all below */
    int64_t end_until;  /* when its tasks that have not ended are abandoned; TEPAL_NEVER: never */
    struct server *server;
    bool ends_by_signal; /* a second one at once: tepal_run() */
};

struct tepal_next {
    tepal_handler *handler;
    size_t index; /* of the middleware that is called next */
    void *arg;    /* of the one that is called with this */
};

/* What the key has in the list, or NULL. */
void *state_get(const struct state_entry *list, const tepal_key *key);

/* Closes the application, which was given to a call that closes it, if it is there and not
 * served. */
void app_close_given(tepal_app *app);

/* Makes the calls that were deferred to the application's end, and frees its memory. */
void belongings_clear(tepal_app *app);

/* The life of a served application (lifecycle.c). Each runs in a task and may suspend. */
int app_start(tepal_app *app);
void app_shutdown(tepal_app *app);
void app_cleanup(tepal_app *app);

/* Starts the background tasks in the application's group (background.c). Returns 0 or a negative
 * error, which is logged. */
int background_start_all(tepal_app *app);

#endif
