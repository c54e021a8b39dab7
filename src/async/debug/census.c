/* The census of stack use: a table by name, which copies the names: they may go with their task. */
#include "async/debug/census.h"

#include "async/debug/debug.h"
#include "async/task/task.h"
#include "base/mem.h"

#include <string.h>

struct census_entry {
    tepal_stack_use use;
    bool told;
    char name[];
};

void census_init(struct census *census, size_t max_names)
{
    *census = (struct census){ .max_names = max_names };
}

void census_clear(struct census *census)
{
    for (size_t i = 0; i < census->names.size; i++)
        mem_free(census->names.entries[i].value);
    map_clear(&census->names);
    census_init(census, census->max_names);
}

static struct census_entry *new_entry(struct census *census, const char *name)
{
    size_t len = strlen(name);
    struct census_entry *entry = mem_zalloc(sizeof(*entry) + len + 1);
    if (!entry)
        return NULL;
    memcpy(entry->name, name, len);
    entry->use.name = entry->name;
    if (map_set(&census->names, entry->name, len, entry) < 0) {
        mem_free(entry);
        return NULL;
    }
    census->n_names++;
    return entry;
}

static void add(struct census *census, const tepal_stack_use *use)
{
    struct census_entry *entry =
        use->name ? map_get(&census->names, use->name, strlen(use->name)) : NULL;
    if (!entry && use->name && census->n_names < census->max_names)
        entry = new_entry(census, use->name);
    tepal_stack_use *sum = entry ? &entry->use : &census->others;
    sum->n_tasks += use->n_tasks;
    if (use->max_used >= sum->max_used) {
        sum->max_used = use->max_used;
        sum->size = use->size;
    }
}

void census_add_task(struct census *census, const struct tepal_task *task)
{
    const struct stack *stack = task->stack;
    add(census, &(tepal_stack_use){ .name = task->name,
                                    .n_tasks = 1,
                                    .max_used = stack_used(stack),
                                    .size = (size_t)(stack->top - stack->low) });
}

void census_add_all(struct census *census, const struct census *other)
{
    for (size_t i = 0; i < other->names.size; i++) {
        const struct census_entry *entry = other->names.entries[i].value;
        if (entry)
            add(census, &entry->use);
    }
    if (other->others.n_tasks > 0)
        add(census, &other->others);
}

/* The one with the highest use of those that have not been told. */
static struct census_entry *highest(const struct census *census)
{
    struct census_entry *found = NULL;
    for (size_t i = 0; i < census->names.size; i++) {
        struct census_entry *entry = census->names.entries[i].value;
        if (entry && !entry->told && (!found || entry->use.max_used > found->use.max_used))
            found = entry;
    }
    return found;
}

static void log_use(const tepal_stack_use *use, void *arg)
{
    (void)arg;
    const char *quote = use->name ? "\"" : "";
    tepal_logf(TEPAL_LOG_INFO, "stacks of %s%s%s: %zu task%s, at most %zu of %zu octets used",
               quote, use->name ? use->name : "all other names", quote, use->n_tasks,
               use->n_tasks == 1 ? "" : "s", use->max_used, use->size);
}

void census_tell(struct census *census, tepal_stack_use_fn *fn, void *arg)
{
    struct census_entry *entry;
    fn = fn ? fn : log_use;
    while ((entry = highest(census))) {
        entry->told = true;
        fn(&entry->use, arg);
    }
    if (census->others.n_tasks > 0)
        fn(&census->others, arg);
}

void tepal_stack_census(tepal_stack_use_fn *fn, const void *arg)
{
    struct loop *loop = loop_need("tepal_stack_census");
    struct census census;
    census_init(&census, loop->debug ? loop->debug->census.max_names : CENSUS_MAX_NAMES);
    if (loop->debug)
        census_add_all(&census, &loop->debug->census);
    for (struct list *node = loop->tasks.next; node != &loop->tasks; node = node->next)
        census_add_task(&census, CONTAINER_OF(node, struct tepal_task, in_loop));
    census_tell(&census, fn, (void *)arg);
    census_clear(&census);
}
