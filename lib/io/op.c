// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/*
 * op.c - an operation on its way to a backend, the same for every one of them
 *
 *	submit -> [waiting for the budget] -> [parked for a buffer or a file]
 *	       -> armed -> event ... -> terminal event
 *
 * From its events on it is in op_event.c.
 */
#include <errno.h>

#include "io/await.h"
#include "io/backend.h"
#include "io/group.h"
#include "io/short.h"
#include "io/token.h"

const char *weir_op_name(unsigned int opcode)
{
	return opcode < WEIR_OP_MAX ? weir_op_defs[opcode].name : "?";
}

int weir_op_busy(const struct weir_op *op)
{
	/* One that is idle knows no loop. */
	if (op->lib_magic == OP_MAGIC_BUSY)
		assert_owner(op->lib_loop);
	return op->lib_magic == OP_MAGIC_BUSY;
}

static bool slot_get(struct weir_loop *loop, struct weir_op *op)
{
	if (op->lib_slot != SLOT_NONE)
		return true;
	if (loop->slots_used >= loop->slots_budget &&
	    !(op_def(op)->flags & IO_OPF_ENDS && loop->slots_used < loop->slots_max))
		return false;
	slot_take(loop, op);
	return true;
}

/* start */

static bool has_room(const struct weir_loop *loop, const struct weir_op *op)
{
	return op_opens_plain(op) ? io_file_plain_room(loop) : io_file_room(loop, 1);
}

static void op_queue(struct weir_loop *loop, struct weir_op *op)
{
	struct io_group *group = op_group(op);
	int ret;

	op->lib_state = OP_ARMED;
	loop->plain_reserved += op_opens_plain(op);
	if (group)
		op->lib_priv = RECV_HUNGRY;
	while ((ret = loop->backend->queue(loop, op)) == -EAGAIN) {
		ret = loop->backend->commit(loop);
		if (ret < 0) {
			op_finish(loop, op, op_opened(loop, op, ret), WEIR_ORIGIN_LIBRARY);
			return;
		}
	}
	if (ret == IO_QUEUED_DONE)
		op_finish(loop, op, op_opened(loop, op, op->res), WEIR_ORIGIN_KERNEL);
	else if (group)
		group->armed++;
}

static void op_wait(struct weir_loop *loop, struct weir_op *op)
{
	op->lib_state = OP_WAITING;
	loop->waiting_count++;
	op_route(loop);
	/* One that frees resources has a reserve: it never waits behind the others. */
	list_add_tail(op_def(op)->flags & IO_OPF_ENDS ? loop->waiting.next : &loop->waiting,
		      &op->lib_queue);
}

void op_park_accept(struct weir_loop *loop, struct weir_op *op)
{
	op->lib_state = OP_PARKED;
	list_add_tail(&loop->accepts, &op->lib_queue);
	loop->stats.accept_pauses++;
	loop->accept_retry_ns = deadline_after(loop_clock(loop), ACCEPT_RETRY_NS);
}

void op_start(struct weir_loop *loop, struct weir_op *op)
{
	if (!loop->owned || !slot_get(loop, op)) {
		op_wait(loop, op);
		return;
	}
	if (op_def(op)->flags & IO_OPF_ODD && op_opens(op) && !has_room(loop, op)) {
		if (op->opcode == WEIR_OP_ACCEPT)
			op_park_accept(loop, op);
		else
			op_finish(loop, op, -ENFILE, WEIR_ORIGIN_LIBRARY);
		return;
	}
	/* Who comes from the park was admitted by group_rearm(). */
	if (op_group(op) && op->lib_state != OP_PARKED && !group_admit(op_group(op), op))
		return;
	op_queue(loop, op);
}

static void timer_start(struct weir_loop *loop, struct weir_op *op)
{
	op->lib_state = OP_TIMER;
	list_add_tail(&loop->timers, &op->lib_queue);
	if (op->deadline_ns != DEADLINE_NONE)
		wheel_start(&loop->wheel, op);
}

/* The op is the library's from here. */
static void op_take(struct weir_loop *loop, struct weir_op *op, const char *where)
{
	if (op->lib_magic == OP_MAGIC_BUSY)
		base_die("weir: %s in flight since %s was submitted again at %s",
			 weir_op_name(op->opcode), op->lib_where, where);
	if (!op->done)
		base_die("weir: %s without a callback at %s", weir_op_name(op->opcode), where);
	op->lib_magic = OP_MAGIC_BUSY;
	op->lib_slot = SLOT_NONE;
	op->lib_state = OP_IDLE;
	op->lib_end = OP_END_NONE;
	op->lib_priv = 0;
	op->lib_loop = loop;
	op->lib_where = where;
	op->lease = NULL;
	list_init(&op->lib_file);
	list_init(&op->lib_queue);
	op->lib_wheel.next = NULL;
	op->lib_token.next = NULL;
}

void op_settle(struct weir_loop *loop, struct weir_op *op, const char *where)
{
	op_take(loop, op, where);
	op_close_start(loop, op);
}

static void op_begin(struct weir_loop *loop, struct weir_op *op)
{
	int err;

	err = op->token ? token_join(loop, op) : 0;
	if (!err)
		err = op_check(loop, op);
	if (err) {
		op_finish(loop, op, err, WEIR_ORIGIN_LIBRARY);
		return;
	}
	if (op->token && op->token->lib_end && !(op_def(op)->flags & IO_OPF_ENDS)) {
		op->lib_end = (uint8_t)op->token->lib_end;
		op_finish_ended(loop, op);
		return;
	}
	if (op->opcode == WEIR_OP_CLOSE) {
		op_close_start(loop, op);
		return;
	}
	if (op->opcode == WEIR_OP_TIMEOUT) {
		timer_start(loop, op);
		return;
	}
	if (op_has_file(op))
		op_file_enter(loop, op);
	if (op->deadline_ns)
		wheel_start(&loop->wheel, op);
	if (!list_empty(&loop->waiting) && !(op_def(op)->flags & IO_OPF_ENDS))
		op_wait(loop, op);
	else
		op_start(loop, op);
}

void op_submit(struct weir_loop *loop, struct weir_op *op, const char *where)
{
	assert_owner(loop);
	op_take(loop, op, where);
	if (loop->forked)
		base_die("weir: %s submitted at %s to the loop of a parent process",
			 weir_op_name(op->opcode), where);
	op_begin(loop, op);
	/* Another loop may be waiting for our descriptor to tell. */
	if (loop->nested && !loop->running)
		loop_tell(loop);
}

void weir_submit_at(struct weir_loop *loop, struct weir_op *op, const char *where)
{
	loop->submit(loop, op, where);
}

void op_route(struct weir_loop *loop)
{
	bool is_short = loop->backend->submit && loop->owned && !loop->closing &&
			!loop->nested && !loop->forked && list_empty(&loop->waiting);

	loop->submit = is_short ? loop->backend->submit : op_submit;
}

/* once a turn */

void op_start_waiting(struct weir_loop *loop)
{
	while (!list_empty(&loop->waiting) && loop->owned) {
		struct weir_op *op = container_of(loop->waiting.next, struct weir_op, lib_queue);

		if (!slot_get(loop, op))
			return;
		list_del(&op->lib_queue);
		loop->waiting_count--;
		op_start(loop, op);
	}
	op_route(loop);
}

void op_retry_accepts(struct weir_loop *loop)
{
	struct weir_link parked;

	if (loop_clock(loop) < loop->accept_retry_ns)
		return;
	list_take(&parked, &loop->accepts);
	while (!list_empty(&parked)) {
		struct weir_op *op = container_of(parked.next, struct weir_op, lib_queue);

		list_del(&op->lib_queue);
		loop->stats.rearms++;
		op_start(loop, op);
	}
}

bool op_none_left(const struct weir_loop *loop)
{
	return !loop->slots_used && list_empty(&loop->waiting) && list_empty(&loop->timers) &&
	       list_empty(&loop->finished) && !posts_wait(loop) && !loop->passing &&
	       !(loop->fibers && !list_empty(&loop->fibers->ready));
}
