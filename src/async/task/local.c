/* Task-local values: setting and getting. A task that spawns another hands it its list, whatever
 * its length, by one more count; who sets a value in a list that is shared makes a new beginning
 * of it, up to that value. */
#include "async/task/local.h"

#include "async/task/task.h"
#include "base/mem.h"

#include <errno.h>

void locals_drop(struct local *locals)
{
    while (locals && --locals->n_users == 0) {
        struct local *next = locals->next;
        mem_free(locals);
        locals = next;
    }
}

static struct local *local_new(const tepal_key *key, const void *value)
{
    struct local *local = mem_alloc(sizeof(*local));
    if (local)
        *local = (struct local){ .n_users = 1, .key = key, .value = (void *)value };
    return local;
}

/* The list with another value in place of old, and its own copies of what is before it. Returns
 * NULL when memory is short. */
static struct local *replaced(const struct local *list, const struct local *old, const void *value)
{
    struct local *first = NULL, **end = &first;
    for (;; list = list->next) {
        *end = local_new(list->key, list == old ? value : list->value);
        if (!*end) {
            locals_drop(first);
            return NULL;
        }
        if (list == old)
            break;
        end = &(*end)->next;
    }
    (*end)->next = locals_share(old->next);
    return first;
}

int tepal_task_set_local(const tepal_key *key, const void *value)
{
    struct tepal_task *task = task_need("tepal_task_set_local");
    bool shared = false;
    struct local *old = task->locals;
    while (old && old->key != key) {
        shared |= old->n_users > 1;
        old = old->next;
    }
    if (old && old->n_users == 1 && !shared) {
        old->value = (void *)value;
        return 0;
    }
    struct local *list = old ? replaced(task->locals, old, value) : local_new(key, value);
    if (!list)
        return -ENOMEM;
    if (old)
        locals_drop(task->locals);
    else
        list->next = task->locals;
    task->locals = list;
    return 0;
}

void *tepal_task_local(const tepal_key *key)
{
    const struct local *local = task_need("tepal_task_local")->locals;
    while (local && local->key != key)
        local = local->next;
    return local ? local->value : NULL;
}
