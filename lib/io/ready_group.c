// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/*
 * ready_group.c - buffers of a pool over readiness, by number: last in, first out,
 * for the cache's sake
 */
#include <errno.h>

#include "io/ready.h"

static size_t stack_bytes(const struct io_group *group)
{
	return sizeof(struct ready_group) + (size_t)group->count * sizeof(uint32_t);
}

int ready_group_open(struct weir_loop *loop, struct io_group *group)
{
	uint32_t bid;

	group->priv = mem_get(&loop->alloc, 1, stack_bytes(group), _Alignof(struct ready_group));
	if (!group->priv)
		return -ENOMEM;
	group->incremental = group->streams;
	for (bid = group->count; bid-- > group->spare_max;)
		ready_group_push(group, bid);
	return 0;
}

void ready_group_close(struct weir_loop *loop, struct io_group *group)
{
	mem_put(&loop->alloc, group->priv, 1, stack_bytes(group));
	group->priv = NULL;
}

void ready_group_put(struct weir_loop *loop, struct io_group *group, uint32_t bid)
{
	ready_group_push(group, bid);
}
