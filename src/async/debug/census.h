/* How much stack the tasks of each name use. */
#ifndef TEPAL_ASYNC_DEBUG_CENSUS_H
#define TEPAL_ASYNC_DEBUG_CENSUS_H

#include "base/map.h"

#include <tepal/inspect.h>

enum { CENSUS_MAX_NAMES = 1000 };

struct census {
    struct map names; /* of struct census_entry */
    size_t n_names, max_names;
    tepal_stack_use others; /* whose names are over max_names, or found no memory */
};

struct tepal_task;

void census_init(struct census *census, size_t max_names);
void census_clear(struct census *census);

/* Counts a task with the stack it has used so far. */
void census_add_task(struct census *census, const struct tepal_task *task);

/* Counts all that the other one has counted. */
void census_add_all(struct census *census, const struct census *other);

/* Calls fn for each name, those with the highest use first; NULL: to the log. Once only. */
void census_tell(struct census *census, tepal_stack_use_fn *fn, void *arg);

#endif
