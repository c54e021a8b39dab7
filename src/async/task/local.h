/* Task-local values: an immutable list, of which tasks share the ends that they have in common. */
#ifndef TEPAL_ASYNC_TASK_LOCAL_H
#define TEPAL_ASYNC_TASK_LOCAL_H

#include <tepal/base.h>

/* One value. What a node holds is changed only while nobody shares it. */
struct local {
    struct local *next;
    size_t n_users; /* tasks and nodes that point here */
    const tepal_key *key;
    void *value;
};

/* One more user of the list, which may be NULL: none. */
static inline struct local *locals_share(struct local *locals)
{
    if (locals)
        locals->n_users++;
    return locals;
}

/* One user fewer. NULL is allowed. */
void locals_drop(struct local *locals);

#endif
