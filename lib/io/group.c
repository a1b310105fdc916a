// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/*
 * group.c - buffers as flow control: leases out, receives parked
 *
 * -ENOBUFS is the normal way for an armed receive to say that the pool is
 * empty, also when no data is there. It never reaches the user: the receive
 * waits here until leases come back, and those that waited longest go first.
 */
#include <errno.h>

#include "io/backend.h"
#include "io/group.h"
#include "io/lend.h"

int group_open(struct io_group *group)
{
	struct weir_loop *loop = group->loop;
	uint32_t i;
	int err;

	if (group->count > loop->opts.bufs_max - loop->bufs_used)
		return -ENOSPC;
	for (i = 0; i < GROUPS_MAX && loop->groups[i]; i++)
		;
	if (i == GROUPS_MAX)
		return -ENOSPC;
	group->id = i;
	group->free = group->count;
	group->free_min = group->count;
	list_init(&group->waiters);
	list_init(&group->hungry);
	group->spares = mem_get(&loop->alloc, group->spare_max + 1, sizeof(*group->spares),
				_Alignof(uint16_t));
	if (!group->spares)
		return -ENOMEM;
	for (i = 0; i < group->count; i++) {
		struct weir_lease *lease = &group->leases[i];

		lease->group = group;
		lease->data = group->slab + (size_t)i * group->buf_bytes;
		lease->size = group->buf_bytes;
		lease->bid = (uint16_t)i;
	}
	for (group->spare = 0; group->spare < group->spare_max; group->spare++)
		group->spares[group->spare] = (uint16_t)group->spare;
	err = loop->backend->group_open(loop, group);
	if (err) {
		mem_put(&loop->alloc, group->spares, group->spare_max + 1,
			sizeof(*group->spares));
		return err;
	}
	loop->groups[group->id] = group;
	if (group->id >= loop->groups_end)
		loop->groups_end = group->id + 1;
	loop->bufs_used += group->count;
	return 0;
}

void group_close(struct io_group *group)
{
	struct weir_loop *loop = group->loop;

	assert(!group->parked);
	loop->backend->group_close(loop, group);
	mem_put(&loop->alloc, group->spares, group->spare_max + 1, sizeof(*group->spares));
	loop->groups[group->id] = NULL;
	loop->bufs_used -= group->count;
	group->loop = NULL;
	/* Nobody writes to what it was lent: the slab goes away. */
	lend_forget(loop, group);
}

void group_back(struct io_group *group, uint32_t bid)
{
	group->free++;
	if (!group->loop)
		return;
	if (bid >= group->spare_max) {
		group->loop->backend->group_put(group->loop, group, bid);
		return;
	}
	group->spares[group->spare++] = (uint16_t)bid;
	if (group->spare_freed)
		group->spare_freed(group);
}

void lease_put(struct weir_lease *lease)
{
	struct io_group *group = lease->group;

	if (!lease->refs)
		base_die("weir: buffer %u of pool %u was given back twice", lease->bid, group->id);
	if (--lease->refs)
		return;
	if (group->incremental && lease != &group->leases[lease->bid])
		piece_put(lease);
	else
		group_back(group, lease->bid);
}

int group_lease(struct io_group *group, struct weir_lease **leasep)
{
	if (!group->spare)
		return -ENOBUFS;
	*leasep = group_take(group, group->spares[--group->spare], 0);
	return 0;
}

void group_park(struct io_group *group, struct weir_op *op, bool hungry)
{
	if (hungry)
		group->burst = 0;
	op->lib_state = OP_PARKED;
	list_add_tail(hungry ? &group->hungry : &group->waiters, &op->lib_queue);
	group->parked++;
	group->parks++;
	group->loop->stats.parks++;
}

bool group_admit(struct io_group *group, struct weir_op *op)
{
	if (group_ready(group) > group->low && !group->parked)
		return true;
	group_park(group, op, false);
	return false;
}

void group_rearm(struct io_group *group)
{
	uint32_t ready = group_ready(group);
	uint32_t n;

	if (ready <= group->low)
		return;
	/*
	 * One for each buffer above the mark: each may fill one at once. Those
	 * that were idle fill none, so the next turn may try twice as many.
	 */
	n = ready - group->low + group->burst;
	group->burst = n;
	while (n-- && group->parked) {
		struct weir_link *head = list_empty(&group->hungry) ? &group->waiters :
				&group->hungry;
		struct weir_op *op = container_of(head->next, struct weir_op, lib_queue);

		list_del(&op->lib_queue);
		group->parked--;
		group->loop->stats.rearms++;
		op_start(group->loop, op);
	}
}

struct io_group *group_find(const struct weir_loop *loop, const void *buf, uint32_t len)
{
	uintptr_t at = (uintptr_t)buf;
	unsigned int i;

	for (i = 0; i < loop->groups_end; i++) {
		struct io_group *group = loop->groups[i];
		uintptr_t slab;
		size_t bytes;

		if (!group || !group->fixed)
			continue;
		slab = (uintptr_t)group->slab;
		bytes = (size_t)group->count * group->buf_bytes;
		if (at >= slab && at - slab < bytes && len <= bytes - (at - slab))
			return group;
	}
	return NULL;
}
