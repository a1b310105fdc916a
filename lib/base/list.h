/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/*
 * list.h - circular doubly linked lists of struct weir_link
 *
 * A node that is on no list points to itself, so that list_del() of it is
 * harmless and list_empty() of it is true.
 */
#ifndef BASE_LIST_H
#define BASE_LIST_H

#include <stdbool.h>
#include <stddef.h>

#include <weir/op.h>

#define container_of(ptr, type, member) \
	((type *)(void *)((char *)(ptr) - offsetof(type, member)))

static inline void list_init(struct weir_link *node)
{
	node->next = node;
	node->prev = node;
}

static inline bool list_empty(const struct weir_link *node)
{
	return node->next == node;
}

static inline void list_add_tail(struct weir_link *head, struct weir_link *node)
{
	node->prev = head->prev;
	node->next = head;
	head->prev->next = node;
	head->prev = node;
}

static inline void list_del(struct weir_link *node)
{
	node->prev->next = node->next;
	node->next->prev = node->prev;
	list_init(node);
}

/* Move all of @from to the end of the empty list @to. */
static inline void list_take(struct weir_link *to, struct weir_link *from)
{
	list_init(to);
	if (list_empty(from))
		return;
	*to = *from;
	to->next->prev = to;
	to->prev->next = to;
	list_init(from);
}

#endif /* BASE_LIST_H */
