// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/*
 * pool.c - one slab of buffers, and what lends it out
 *
 * How buffers and receives meet is lib/io/group.c; here are the memory, the
 * limits, and those who wait for a spare buffer to send from.
 */
#include <errno.h>
#include <sys/mman.h>

#include "buf/pool.h"
#include "io/backend.h"
#include "io/lend.h"

#define HUGE_BYTES	(2U << 20)
#define PIECE_BYTES	512	/* what a piece of a buffer is taken to be, at least */

_Static_assert((int)WEIR_POOLS_MAX == (int)GROUPS_MAX, "a pool is a group");

static int read_opts(struct weir_pool_opts *opts, const struct weir_pool_opts *given)
{
	uint32_t ready;
	int err;

	err = opts_copy(opts, sizeof(*opts), given);
	if (err)
		return err;
	if (opts->buf_bytes < WEIR_POOL_BUF_MIN || opts->buf_bytes > WEIR_POOL_BUF_MAX)
		return -EINVAL;
	if (!opts->count || opts->count > WEIR_POOL_BUFS_MAX)
		return -EINVAL;
	if (!opts->spare)
		opts->spare = opts->count / 4;
	if (opts->spare >= opts->count || opts->flags & ~(uint32_t)WEIR_POOL_ALL || opts->pad)
		return -EINVAL;
	ready = opts->count - opts->spare;
	if (!opts->low)
		opts->low = min_u32(opts->count / 8, ready - 1);
	/* A mark that is never passed would park every receive for ever. */
	return opts->low < ready ? 0 : -EINVAL;
}

static int slab_open(struct weir_pool *pool, const struct weir_pool_opts *opts)
{
	void *slab;

	if (__builtin_mul_overflow((size_t)opts->count, opts->buf_bytes, &pool->slab_bytes))
		return -EINVAL;
	slab = mmap(NULL, pool->slab_bytes, PROT_READ | PROT_WRITE,
		    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (slab == MAP_FAILED)
		return -ENOMEM;
	/* A hint: fewer pages to pin and to walk. Refused is as good. */
	if (pool->slab_bytes >= HUGE_BYTES)
		(void)madvise(slab, pool->slab_bytes, MADV_HUGEPAGE);
	pool->group.slab = slab;
	return 0;
}

/*
 * Two entries to a buffer: it is sent on whole as a rule, now and then in parts. One
 * that is filled in pieces is sent on in pieces.
 */
static int segs_open(struct weir_pool *pool)
{
	const struct io_group *group = &pool->group;
	uint32_t each = group->buf_bytes / PIECE_BYTES;
	uint32_t i;

	pool->segs_max = group->count * (group->streams && each > 2 ? each : 2);
	pool->segs = mem_get(&pool->alloc, pool->segs_max, sizeof(*pool->segs),
			     _Alignof(struct pool_seg));
	if (!pool->segs)
		return -ENOMEM;
	for (i = 0; i < pool->segs_max; i++)
		pool->segs[i].next = i + 1 < pool->segs_max ? i + 1 : SEG_NONE;
	return 0;
}

int weir_pool_open(struct weir_pool **poolp, struct weir_loop *loop,
		   const struct weir_pool_opts *given)
{
	struct weir_pool_opts opts;
	struct weir_pool *pool;
	int err;

	assert_owner(loop);
	err = read_opts(&opts, given);
	if (err)
		return err;
	pool = mem_get(&loop->alloc, 1, sizeof(*pool), _Alignof(struct weir_pool));
	if (!pool)
		return -ENOMEM;
	pool->alloc = loop->alloc;
	pool->group.loop = loop;
	pool->group.buf_bytes = opts.buf_bytes;
	pool->group.count = opts.count;
	pool->group.low = opts.low;
	pool->group.spare_max = opts.spare;
	pool->group.streams = opts.flags & WEIR_POOL_INCREMENTAL;
	list_init(&pool->waiters);

	err = -ENOMEM;
	pool->group.leases = mem_get(&pool->alloc, opts.count, sizeof(struct weir_lease),
				     _Alignof(struct weir_lease));
	if (!pool->group.leases)
		goto free_pool;
	err = segs_open(pool);
	if (err)
		goto free_leases;
	err = slab_open(pool, &opts);
	if (err)
		goto free_segs;
	err = group_open(&pool->group);
	if (err)
		goto unmap_slab;
	*poolp = pool;
	return 0;

unmap_slab:
	munmap(pool->group.slab, pool->slab_bytes);
free_segs:
	mem_put(&pool->alloc, pool->segs, pool->segs_max, sizeof(*pool->segs));
free_leases:
	mem_put(&pool->alloc, pool->group.leases, opts.count, sizeof(struct weir_lease));
free_pool:
	mem_put(&loop->alloc, pool, 1, sizeof(*pool));
	return err;
}

/* A receive may still be waiting for the loop's budget, or for its first turn. */
static bool is_awaited(const struct io_group *group)
{
	const struct weir_link *head = &group->loop->waiting;
	const struct weir_link *node;

	for (node = head->next; node != head; node = node->next) {
		if (op_group(container_of(node, struct weir_op, lib_queue)) == group)
			return true;
	}
	return false;
}

int weir_pool_close(struct weir_pool *pool)
{
	struct weir_alloc alloc;
	struct io_group *group;
	uint32_t held = 0;

	if (!pool)
		return 0;
	group = &pool->group;
	/* The loop may be gone: it has let go of the group then. */
	if (group->loop) {
		assert_owner(group->loop);
		if (is_awaited(group))
			return -EBUSY;
		held = lend_held(group->loop, group);
	}
	if (group->free + held != group->count || group->pieces_out || group->armed ||
	    group->parked)
		return -EBUSY;
	if (!list_empty(&pool->waiters) || weir_op_busy(&pool->wake))
		return -EBUSY;
	if (group->loop)
		group_close(group);
	alloc = pool->alloc;
	munmap(group->slab, pool->slab_bytes);
	pieces_free(group, &alloc);
	mem_put(&alloc, pool->segs, pool->segs_max, sizeof(*pool->segs));
	mem_put(&alloc, group->leases, group->count, sizeof(struct weir_lease));
	mem_put(&alloc, pool, 1, sizeof(*pool));
	return 0;
}

int weir_pool_lease(struct weir_pool *pool, struct weir_lease **leasep)
{
	assert_owner(pool->group.loop);
	return group_lease(&pool->group, leasep);
}

void *weir_pool_memory(const struct weir_pool *pool, size_t *bytes)
{
	const struct io_group *group = &pool->group;

	if (bytes)
		*bytes = (size_t)group->count * group->buf_bytes;
	return group->slab;
}

void weir_pool_stats(const struct weir_pool *pool, struct weir_pool_stats *stats, size_t sz)
{
	const struct io_group *group = &pool->group;
	struct weir_pool_stats now = {
		.count		= group->count,
		.free		= group->free,
		.free_min	= group->free_min,
		.parked		= group->parked,
		.parks		= group->parks,
		.incremental	= group->incremental,
		.pieces		= group->pieces_out,
	};

	if (group->loop)
		assert_owner(group->loop);
	stats_copy(stats, sz, &now, sizeof(now));
}

/* waiting for a spare buffer */

static void spare_freed(struct io_group *group);

static void wake_done(struct weir_op *op)
{
	struct weir_pool *pool = op->ctx;
	struct weir_link now;

	/* Who waits again meanwhile goes to the end of the other list. */
	list_take(&now, &pool->waiters);
	while (!list_empty(&now) && pool->group.spare) {
		struct pool_waiter *waiter = container_of(now.next, struct pool_waiter, link);

		list_del(&waiter->link);
		waiter->wake(waiter);
	}
	/* The rest keeps its place, before those that came meanwhile. */
	while (!list_empty(&now)) {
		struct weir_link *last = now.prev;

		list_del(last);
		list_add_tail(pool->waiters.next, last);
	}
	pool->group.spare_freed = list_empty(&pool->waiters) ? NULL : spare_freed;
}

static void spare_freed(struct io_group *group)
{
	struct weir_pool *pool = container_of(group, struct weir_pool, group);

	if (weir_op_busy(&pool->wake))
		return;
	weir_prep_nop(&pool->wake, wake_done, pool);
	weir_submit(group->loop, &pool->wake);
}

void pool_wait(struct weir_pool *pool, struct pool_waiter *waiter)
{
	if (!list_empty(&waiter->link))
		return;
	list_add_tail(&pool->waiters, &waiter->link);
	pool->group.spare_freed = spare_freed;
}

void pool_wait_end(struct weir_pool *pool, struct pool_waiter *waiter)
{
	list_del(&waiter->link);
	if (list_empty(&pool->waiters))
		pool->group.spare_freed = NULL;
}
