#ifndef WPROXY_BASE_LIST_H
#define WPROXY_BASE_LIST_H

#include <stdbool.h>
#include <stddef.h>

/* Intrusive doubly linked ring with a head.  A node that is on no list points to itself. */
struct list {
	struct list *next;
	struct list *prev;
};

#define LIST_INIT(l)		{ &(l), &(l) }
#define list_item(node, type, field)	((type *)((char *)(node) - offsetof(type, field)))
#define LIST_EACH(head, it)	for (struct list *it = (head)->next; it != (head); it = it->next)
/* The current node may be removed (and freed) inside. */
#define LIST_EACH_SAFE(head, it, after)						\
	for (struct list *it = (head)->next, *after = it->next; it != (head);	\
	    it = after, after = it->next)

static inline void
list_init(struct list *l)
{
	l->next = l->prev = l;
}

static inline bool
list_is_empty(const struct list *l)
{
	return (l->next == l);
}

static inline void
list_push_back(struct list *head, struct list *node)
{
	node->prev = head->prev;
	node->next = head;
	head->prev->next = node;
	head->prev = node;
}

static inline void
list_push_front(struct list *head, struct list *node)
{
	node->next = head->next;
	node->prev = head;
	head->next->prev = node;
	head->next = node;
}

/* Leaves the node on no list; a node on no list stays so. */
static inline void
list_remove(struct list *node)
{
	node->prev->next = node->next;
	node->next->prev = node->prev;
	list_init(node);
}

/* The first node, removed, or NULL. */
static inline struct list *
list_pop(struct list *head)
{
	struct list *first = head->next;

	if (first == head)
		return (NULL);
	list_remove(first);
	return (first);
}

#endif
