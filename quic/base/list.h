/* quic/base/list.h: an intrusive doubly linked list.
 *
 * Shape:  a ring through a head node, so no end is special. A zeroed node is not linked; a node is in
 *         one list at most. The head points to itself: a list must not be moved once initialised.
 */
#ifndef QUIC_BASE_LIST_H
#define QUIC_BASE_LIST_H

#include "quic/base/types.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct quic_list_node {
    struct quic_list_node *next; /* NULL when not linked */
    struct quic_list_node *prev;
} quic_list_node;

typedef struct quic_list {
    quic_list_node head;
} quic_list;

/* QUIC_CONTAINER_OF: from a pointer to `member` to the `type` that embeds it. */
#define QUIC_CONTAINER_OF(ptr, type, member)                                                       \
    ((type *)(void *)((char *)(ptr)-offsetof(type, member)))

static inline void quic_list_init(quic_list *list)
{
    list->head.next = &list->head;
    list->head.prev = &list->head;
}

static inline bool quic_list_is_empty(const quic_list *list)
{
    return list->head.next == &list->head;
}

static inline bool quic_list_is_linked(const quic_list_node *node)
{
    return node->next != NULL;
}

/* quic_list_insert_before links `node` (not linked) in front of `at`. */
static inline void quic_list_insert_before(quic_list_node *at, quic_list_node *node)
{
    node->next = at;
    node->prev = at->prev;
    at->prev->next = node;
    at->prev = node;
}

static inline void quic_list_push_back(quic_list *list, quic_list_node *node)
{
    quic_list_insert_before(&list->head, node);
}

static inline void quic_list_push_front(quic_list *list, quic_list_node *node)
{
    quic_list_insert_before(list->head.next, node);
}

/* quic_list_remove unlinks `node`; no-op when it is not linked. */
static inline void quic_list_remove(quic_list_node *node)
{
    if (node->next != NULL) {
        node->next->prev = node->prev;
        node->prev->next = node->next;
        node->next = NULL;
        node->prev = NULL;
    }
}

/* quic_list_front and _back give an end or NULL; _next the node after `node`, NULL at the end. */
static inline quic_list_node *quic_list_front(const quic_list *list)
{
    return quic_list_is_empty(list) ? NULL : list->head.next;
}

static inline quic_list_node *quic_list_back(const quic_list *list)
{
    return quic_list_is_empty(list) ? NULL : list->head.prev;
}

static inline quic_list_node *quic_list_next(const quic_list *list, const quic_list_node *node)
{
    return node->next == &list->head ? NULL : node->next;
}

/* quic_list_pop_front unlinks and gives the first node; NULL when empty. */
static inline quic_list_node *quic_list_pop_front(quic_list *list)
{
    quic_list_node *node = quic_list_front(list);
    if (node != NULL) {
        quic_list_remove(node);
    }
    return node;
}

#ifdef __cplusplus
}
#endif

#endif /* QUIC_BASE_LIST_H */
