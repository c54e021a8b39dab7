/* A list behind a mutex: there are few applications, and they are asked about at the start and at
 * the end. */
#include "web/app/living.h"

#include "web/app/application.h"

#include <pthread.h>

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static struct list all = { .next = &all, .prev = &all };

void living_add(tepal_app *app)
{
    pthread_mutex_lock(&mutex);
    list_append(&all, &app->living);
    pthread_mutex_unlock(&mutex);
}

void living_remove(tepal_app *app)
{
    pthread_mutex_lock(&mutex);
    list_remove(&app->living);
    pthread_mutex_unlock(&mutex);
}

bool living_has(const tepal_app *app)
{
    bool found = false;
    pthread_mutex_lock(&mutex);
    for (const struct list *node = all.next; node != &all && !found; node = node->next)
        found = node == &app->living;
    pthread_mutex_unlock(&mutex);
    return found;
}
