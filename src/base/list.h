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

/* Counts the nodes, one by one. */
static inline size_t list_length(const struct list *list)
{
    size_t n = 0;
    for (const struct list *node = list->next; node != list; node = node->next)
        n++;
    return n;
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

/* Takes the first node out of the list, which is not empty, and returns it. */
static inline struct list *list_take_first(struct list *list)
{
    struct list *first = list->next;
    list_remove(first);
    return first;
}

/* The same, and puts node, which is in no list, at the end. */
static inline struct list *list_exchange_first(struct list *list, struct list *node)
{
    struct list *first = list->next;
    if (first == list->prev) {
        /* Of one node all addresses are known: nothing is stored through a pointer that was itself
         * stored a moment ago, for which the processor would wait. */
        list->next = list->prev = node;
        node->next = node->prev = list;
        list_init(first);
    } else {
        list_append(list, node);
        list_remove(first);
    }
    return first;
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
