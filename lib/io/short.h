/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/*
 * short.h - the short way through the life of an operation
 *
 * Most operations have no token, no deadline and no pool, and find a loop where
 * nothing waits: one slot, one entry, one completion. A backend that has a
 * weir_backend.submit takes those in one piece, without the steps in op.c that
 * would find nothing to do. Whatever else happens to such an op (a cancel, an
 * error, somebody who waits for it) makes it an ordinary one first.
 */
#ifndef IO_SHORT_H
#define IO_SHORT_H

#include "io/backend.h"
#include "io/group.h"

/* slots: the index and generation that stand for an op in the kernel */

static inline struct io_slot *slot_take(struct weir_loop *loop, struct weir_op *op)
{
	struct io_slot *slot = loop->slot_free;

	op->lib_slot = (uint32_t)slot->data;
	loop->slot_free = slot->next;
	slot->op = op;
	loop->slots_used++;
	return slot;
}

static inline void slot_drop(struct weir_loop *loop, struct io_slot *slot)
{
	slot->op = NULL;
	slot->data += SLOT_DATA_STEP;
	slot->next = loop->slot_free;
	loop->slot_free = slot;
	loop->slots_used--;
}

/* short_start() - @op, for which there is a slot, is in flight; on the list of @file or NULL */
static inline struct io_slot *short_start(struct weir_loop *loop, struct weir_op *op,
					  struct io_file *file, const char *where)
{
	op->lib_magic = OP_MAGIC_BUSY;
	op->lib_state = OP_SHORT;
	op->lib_end = OP_END_NONE;
	op->lib_pad = 0;
	op->lib_priv = 0;
	op->lib_loop = loop;
	op->lib_where = where;
	op->lease = NULL;
	if (file)
		list_add_tail(&file->ops, &op->lib_file);
	else
		list_init(&op->lib_file);
	return slot_take(loop, op);
}

/* short_end() - it came to @res, which is no error */
static inline void short_end(struct weir_loop *loop, struct io_slot *slot, int res)
{
	struct weir_op *op = slot->op;
	struct weir_link *prev = op->lib_file.prev, *next = op->lib_file.next;

	slot_drop(loop, slot);
	prev->next = next;
	next->prev = prev;
	loop->shorts[op->opcode]++;
	loop->moved[op->opcode] += (uint32_t)res;
	op->res = res;
	op->origin = WEIR_ORIGIN_KERNEL;
	op->more = 0;
	op->pad2 = 0;
	op->lib_magic = OP_MAGIC_IDLE;
	op->done(op);
}

/* short_event() - @op, which goes on, had @len bytes in the buffer of @lease */
static inline void short_event(struct weir_loop *loop, struct weir_op *op,
			       struct weir_lease *lease, uint32_t len)
{
	op->lease = lease;
	op->lib_priv |= RECV_SERVED;
	op->res = (int)len;
	op->origin = WEIR_ORIGIN_KERNEL;
	op->more = 1;
	loop->stats.events++;
	loop->good[op->opcode]++;
	loop->moved[op->opcode] += len;
	op->done(op);
}

/* op_lengthen() - from now on it goes the long way, with all that op_event.c asks of an op */
static inline void op_lengthen(struct weir_op *op)
{
	if (op->lib_state != OP_SHORT)
		return;
	op->lib_state = OP_ARMED;
	list_init(&op->lib_queue);
	op->lib_wheel.next = NULL;
	op->lib_token.next = NULL;
}

#endif /* IO_SHORT_H */
