/* The inside of an application: what registration has collected. */
#ifndef TEPAL_WEB_APPLICATION_H
#define TEPAL_WEB_APPLICATION_H

#include "web/router.h"

#include <tepal/run.h>

#include <stdbool.h>
#include <stddef.h>

struct server;

/* One value under a key, of an application or a request. */
struct state_entry {
    const tepal_key *key;
    void *value;
    struct state_entry *next;
};

struct app_context {
    tepal_app_hook *enter, *leave;
};

/* A growing array of hooks. */
struct app_hooks {
    tepal_app_hook **fns;
    size_t n;
};

struct tepal_app {
    struct router router;
    tepal_middleware **middlewares;
    size_t n_middlewares;
    struct state_entry *state;
    const char *error_pages; /* the type for clients without a preference; NULL: text */
    struct app_hooks startup, shutdown, cleanup;
    struct app_context *contexts;
    size_t n_contexts, n_entered;
    char *error;        /* the first one of registration */
    bool out_of_memory; /* which has no text of its own */
    tepal_group *group; /* while it is served, as all below */
    int64_t end_until;  /* when its tasks that have not ended are abandoned; TEPAL_NEVER: never */
    struct server *server;
    char *url;
    bool ends_by_signal; /* a second one at once: tepal_run() */
};

struct tepal_next {
    tepal_handler *handler;
    size_t index; /* of the middleware that is called next */
};

/* What the key has in the list, or NULL. */
void *state_get(const struct state_entry *list, const tepal_key *key);

/* The life of a served application (lifecycle.c). Each runs in a task and may suspend. */
int app_start(tepal_app *app);
void app_shutdown(tepal_app *app);
void app_cleanup(tepal_app *app);

#endif
