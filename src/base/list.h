/* An intrusive, circular, doubly linked list: no allocation, O(1) everything.
 *
 * A node is a member of the struct that is listed. A node that is in no list points to itself.
 */
#ifndef TEPAL_BASE_LIST_H
#define TEPAL_BASE_LIST_H

#include "base/platform.h"

#include <stdbool.h>
#include <stddef.h>

struct list {
    struct list *next, *prev;
};

static inline void list_init(struct list *node)
{
    node->next = node->prev = node;
}

static inline bool list_is_empty(const struct list *list)
{
    return list->next == list;
}

/* Whether the node is in a list. */
static inline bool list_is_linked(const struct list *node)
{
    return node->next != node;
}

/* Puts the node, which is in no list, at the end of the list. */
static inline void list_append(struct list *list, struct list *node)
{
    node->prev = list->prev;
    node->next = list;
    list->prev->next = node;
    list->prev = node;
}

/* Puts the node, which is in no list, at the beginning of the list. */
static inline void list_prepend(struct list *list, struct list *node)
{
    list_append(list->next, node);
}

/* Takes the node out of its list; one that is in none stays so. */
static inline void list_remove(struct list *node)
{
    node->prev->next = node->next;
    node->next->prev = node->prev;
    list_init(node);
}

/* Moves all nodes of from to the end of to. */
static inline void list_move_all(struct list *to, struct list *from)
{
    if (list_is_empty(from))
        return;
    from->next->prev = to->prev;
    to->prev->next = from->next;
    from->prev->next = to;
    to->prev = from->prev;
    list_init(from);
}

#endif
