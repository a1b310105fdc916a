// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/*
 * op_event.c - the events of an operation, of which the last is its end
 *
 * Resources (slot, place on the file's list, timer) are given back in
 * op_release(), just before the terminal event, and nowhere else. Callbacks
 * run in op_event() and nowhere else, and that runs from a turn of the loop.
 */
#include <errno.h>
#include <fcntl.h>

#include "io/backend.h"
#include "io/group.h"
#include "io/short.h"
#include "io/token.h"

static void op_release(struct weir_loop *loop, struct weir_op *op)
{
	loop->stats.ops++;
	if (loop->awaited == op)
		loop->awaited = NULL;
	if (op->lib_wheel.next)
		list_del(&op->lib_wheel);
	if (op->lib_token.next)
		token_leave(op);
	if (op->lib_slot != SLOT_NONE)
		slot_drop(loop, &loop->slots[op->lib_slot]);
	op->lib_state = OP_IDLE;
	op->lib_magic = OP_MAGIC_IDLE;
	if (!list_empty(&op->lib_file))
		op_file_leave(loop, op);
	if (op->opcode == WEIR_OP_CLOSE && op->file.index < loop->files_max &&
	    loop->files[op->file.index].closer == op)
		io_file_free(loop, op->file.index);
}

static inline void op_event(struct weir_loop *loop, struct weir_op *op, int res,
			    enum weir_origin origin, bool more)
{
	op->res = res;
	op->origin = (uint8_t)origin;
	op->more = more;
	loop->stats.events++;
	if (res < 0) {
		loop->stats.errors += res != -ECANCELED && res != -ETIME;
	} else {
		/* What moves bytes counts if it moved some. */
		loop->good[op->opcode] += res || !(op_def(op)->flags & (IO_OPF_IN | IO_OPF_OUT));
		loop->moved[op->opcode] += (uint32_t)res;
	}
	if (!more)
		op_release(loop, op);
	op->done(op);
}

int op_opened(struct weir_loop *loop, struct weir_op *op, int res)
{
	int err;

	if (!op_opens_plain(op))
		return res;
	loop->plain_reserved--;
	if (res < 0)
		return res;
	err = io_file_new(loop, res, &op->accepted);
	assert(!err);
	if (!err && op->path.flags & O_NONBLOCK)
		err = loop->backend->adopt(loop, op->accepted.index, res);
	return err;
}

unsigned int op_dispatch_finished(struct weir_loop *loop)
{
	struct weir_link now;
	unsigned int n;

	/* Those that finish meanwhile wait for the next turn. */
	list_take(&now, &loop->finished);
	for (n = 0; !list_empty(&now); n++) {
		struct weir_op *op = container_of(now.next, struct weir_op, lib_queue);

		list_del(&op->lib_queue);
		op_event(loop, op, op->res, op->origin, false);
	}
	return n;
}

/* end */

/* What an op that was told to end comes to. */
static int end_result(const struct weir_op *op, enum weir_origin *origin)
{
	if (op->lib_end == OP_END_DEADLINE) {
		*origin = WEIR_ORIGIN_DEADLINE;
		return -ETIME;
	}
	if (op->lib_end == OP_END_NOMEM) {
		*origin = WEIR_ORIGIN_LIBRARY;
		return -ENOMEM;
	}
	*origin = WEIR_ORIGIN_CANCELLED;
	return -ECANCELED;
}

void op_finish_ended(struct weir_loop *loop, struct weir_op *op)
{
	enum weir_origin origin;
	int res = end_result(op, &origin);

	op_finish(loop, op, res, origin);
}

void op_end(struct weir_loop *loop, struct weir_op *op, enum op_end why)
{
	if (op->opcode == WEIR_OP_CLOSE || op->lib_end != OP_END_NONE)
		return;
	op_lengthen(op);
	switch ((enum op_state)op->lib_state) {
	case OP_PARKED:
		if (op_group(op))
			op_group(op)->parked--;
		op->lib_end = (uint8_t)why;
		op_finish_ended(loop, op);
		break;
	case OP_WAITING:
		loop->waiting_count--;
		op->lib_end = (uint8_t)why;
		op_finish_ended(loop, op);
		op_route(loop);
		break;
	case OP_TIMER:
		op->lib_end = (uint8_t)why;
		op_finish_ended(loop, op);
		break;
	case OP_ARMED:
		op->lib_end = (uint8_t)why;
		loop->backend->cancel(loop, op);
		break;
	case OP_OFFLOADED:
		op->lib_end = (uint8_t)why;
		if (!offload_cancel(loop, op)) {
			op_opened(loop, op, -ECANCELED);
			op_finish_ended(loop, op);
		}
		break;
	case OP_IDLE:
	case OP_SHORT:
	case OP_CLOSING:
	case OP_FINISHED:
	case OP_ALARM:
		break;
	}
}

void weir_cancel(struct weir_loop *loop, struct weir_op *op)
{
	assert_owner(loop);
	if (op->lib_magic == OP_MAGIC_BUSY)
		op_end(loop, op, OP_END_CANCEL);
}

void op_expire(struct weir_loop *loop)
{
	struct weir_link due;

	list_init(&due);
	wheel_expire(&loop->wheel, loop_clock(loop), &due);
	while (!list_empty(&due)) {
		struct weir_op *op = container_of(due.next, struct weir_op, lib_wheel);

		list_del(&op->lib_wheel);
		if (op->lib_state == OP_ALARM)
			op->done(op);
		else if (op->lib_state == OP_TIMER)
			op_finish(loop, op, 0, WEIR_ORIGIN_KERNEL);
		else
			op_end(loop, op, OP_END_DEADLINE);
	}
}

static void cancel_list(struct weir_loop *loop, struct weir_link *head)
{
	struct weir_link *node, *next;

	for (node = head->next; node != head; node = next) {
		next = node->next;
		op_end(loop, container_of(node, struct weir_op, lib_queue), OP_END_CANCEL);
	}
}

void op_cancel_all(struct weir_loop *loop)
{
	uint32_t i;

	cancel_list(loop, &loop->timers);
	cancel_list(loop, &loop->waiting);
	for (i = 0; i < loop->slots_max; i++) {
		if (loop->slots[i].op)
			op_end(loop, loop->slots[i].op, OP_END_CANCEL);
	}
}

/* events from the backend */

void io_event(struct weir_loop *loop, struct weir_op *op, int res, bool more)
{
	enum weir_origin origin = WEIR_ORIGIN_KERNEL;

	if (!more && op_group(op))
		op_group(op)->armed--;
	if (op_def(op)->flags & IO_OPF_ODD)
		res = op_opened(loop, op, res);
	if (res < 0 || !(op_def(op)->flags & IO_OPF_ODD && op_opens(op)))
		op->lease = NULL;
	/* Of a stream with a gap nothing is told any more, its end neither. */
	if (op->lib_end != OP_END_NONE &&
	    (res == -ECANCELED || res == -EINTR || op->lib_end == OP_END_NOMEM))
		res = end_result(op, &origin);
	op_event(loop, op, res, origin, more);
}

/* A piece of a buffer for @op; NULL: there is a gap in its stream, it ends. */
static struct weir_lease *next_piece(struct weir_loop *loop, struct weir_op *op, uint32_t len,
				     uint32_t bid)
{
	struct weir_lease *lease = piece_take(op_group(op), bid, len);

	if (lease && op->lib_end != OP_END_NOMEM)
		return lease;
	if (lease) {
		lease_put(lease);
		return NULL;
	}
	op_end(loop, op, OP_END_NOMEM);
	op->lib_end = OP_END_NOMEM;
	return NULL;
}

void io_event_lease(struct weir_loop *loop, struct weir_op *op, uint32_t len, uint32_t bid,
		    bool more)
{
	struct io_group *group = (struct io_group *)(void *)op->xfer.pool;
	struct weir_lease *lease;

	lease = group->incremental ? next_piece(loop, op, len, bid) : group_take(group, bid, len);
	if (!lease)
		return;
	if (op_def(op)->flags & IO_OPF_HEADED)
		len -= (uint32_t)msg_head_bytes(op);
	op->lease = lease;
	op->lib_priv |= RECV_SERVED;
	if (!more)
		group->armed--;
	op_event(loop, op, (int)len, WEIR_ORIGIN_KERNEL, more);
	lease_put(lease);
}

void io_event_again(struct weir_loop *loop, struct weir_op *op)
{
	if (op_group(op))
		op_group(op)->armed--;
	op->lease = NULL;
	loop->stats.rearms++;
	if (op->lib_end != OP_END_NONE)
		op_finish_ended(loop, op);
	else
		op_start(loop, op);
}

void io_event_offloaded(struct weir_loop *loop, struct weir_op *op, int res)
{
	if (res == -EAGAIN && op_def(op)->wait)
		io_event_again(loop, op);
	else
		io_event(loop, op, res, false);
}

void io_event_nobufs(struct weir_loop *loop, struct weir_op *op)
{
	op_group(op)->armed--;
	op->lease = NULL;
	if (op->lib_end != OP_END_NONE)
		op_finish_ended(loop, op);
	else
		group_park(op_group(op), op, !(op->lib_priv & RECV_SERVED));
}

void io_event_nofile(struct weir_loop *loop, struct weir_op *op, int err)
{
	op->accepted = (struct weir_file){ 0, 0 };
	if (op->lib_end != OP_END_NONE) {
		op_finish_ended(loop, op);
		return;
	}
	/* Parked before the user hears of it, who may cancel it at once. */
	op_park_accept(loop, op);
	if (op->flags & WEIR_OPF_MULTISHOT)
		op_event(loop, op, err, WEIR_ORIGIN_KERNEL, true);
}
