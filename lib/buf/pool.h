/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/*
 * pool.h - inside of a pool, for the rooms above
 */
#ifndef BUF_POOL_H
#define BUF_POOL_H

#include <weir/pool.h>

#include "io/group.h"

#define SEG_NONE	UINT32_MAX

/*
 * One entry of a send queue. All connections over a pool share the pool's
 * entries, so that an idle connection pays for none.
 */
struct pool_seg {
	struct weir_lease *lease;
	uint32_t offset;
	uint32_t len;
	uint32_t next;		/* index, or SEG_NONE */
	uint32_t pad;
};

/* Who waits for a spare buffer: first in first out, each woken once. */
struct pool_waiter {
	struct weir_link link;
	void (*wake)(struct pool_waiter *waiter);
};

struct weir_pool {
	struct io_group group;	/* first: lib/io casts */
	struct weir_alloc alloc;
	size_t slab_bytes;
	struct pool_seg *segs;
	uint32_t segs_max;
	uint32_t seg_free;	/* list of free ones, by next */
	struct weir_link waiters;
	struct weir_op wake;	/* a nop: waiters are called from a turn */
};

/* pool_wait() - be told, from a turn of the loop, when a spare buffer is free */
void pool_wait(struct weir_pool *pool, struct pool_waiter *waiter);

/* pool_wait_end() - no longer; harmless for one that does not wait */
void pool_wait_end(struct weir_pool *pool, struct pool_waiter *waiter);

/* pool_seg_get() - index of an entry nobody uses, or SEG_NONE */
static inline uint32_t pool_seg_get(struct weir_pool *pool)
{
	uint32_t index = pool->seg_free;

	if (index != SEG_NONE)
		pool->seg_free = pool->segs[index].next;
	return index;
}

static inline void pool_seg_put(struct weir_pool *pool, uint32_t index)
{
	pool->segs[index].next = pool->seg_free;
	pool->seg_free = index;
}

#endif /* BUF_POOL_H */
