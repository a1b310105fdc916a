// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/*
 * op.c - the life of an operation, the same on every backend
 *
 *	submit -> [waiting for the budget] -> [parked for a buffer or a file]
 *	       -> armed -> event ... -> terminal event
 *
 * Resources (slot, place on the file's list, timer) are given back in
 * op_release(), just before the terminal event, and nowhere else. Callbacks
 * run in op_event() and nowhere else, and that runs from a turn of the loop.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>

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

/* The descriptor that an open ended with becomes a file, in the place kept for it. */
static int opened(struct weir_loop *loop, struct weir_op *op, int res)
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
			op_finish(loop, op, opened(loop, op, ret), WEIR_ORIGIN_LIBRARY);
			return;
		}
	}
	if (ret == IO_QUEUED_DONE)
		op_finish(loop, op, opened(loop, op, op->res), WEIR_ORIGIN_KERNEL);
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

static void accept_park(struct weir_loop *loop, struct weir_op *op)
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
			accept_park(loop, op);
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

static void finish_ended(struct weir_loop *loop, struct weir_op *op)
{
	enum weir_origin origin;
	int res = end_result(op, &origin);

	op_finish(loop, op, res, origin);
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
		finish_ended(loop, op);
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

/* end */

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

void op_finish(struct weir_loop *loop, struct weir_op *op, int res, enum weir_origin origin)
{
	/* Wherever it waited, it does so no longer. */
	list_del(&op->lib_queue);
	op->lib_state = OP_FINISHED;
	op->res = res;
	op->origin = (uint8_t)origin;
	list_add_tail(&loop->finished, &op->lib_queue);
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
		finish_ended(loop, op);
		break;
	case OP_WAITING:
		loop->waiting_count--;
		op->lib_end = (uint8_t)why;
		finish_ended(loop, op);
		op_route(loop);
		break;
	case OP_TIMER:
		op->lib_end = (uint8_t)why;
		finish_ended(loop, op);
		break;
	case OP_ARMED:
		op->lib_end = (uint8_t)why;
		loop->backend->cancel(loop, op);
		break;
	case OP_OFFLOADED:
		op->lib_end = (uint8_t)why;
		if (!offload_cancel(loop, op)) {
			opened(loop, op, -ECANCELED);
			finish_ended(loop, op);
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

/* events from the backend */

void io_event(struct weir_loop *loop, struct weir_op *op, int res, bool more)
{
	enum weir_origin origin = WEIR_ORIGIN_KERNEL;

	if (!more && op_group(op))
		op_group(op)->armed--;
	if (op_def(op)->flags & IO_OPF_ODD)
		res = opened(loop, op, res);
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
		finish_ended(loop, op);
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
		finish_ended(loop, op);
	else
		group_park(op_group(op), op, !(op->lib_priv & RECV_SERVED));
}

void io_event_nofile(struct weir_loop *loop, struct weir_op *op, int err)
{
	op->accepted = (struct weir_file){ 0, 0 };
	if (op->lib_end != OP_END_NONE) {
		finish_ended(loop, op);
		return;
	}
	/* Parked before the user hears of it, who may cancel it at once. */
	accept_park(loop, op);
	if (op->flags & WEIR_OPF_MULTISHOT)
		op_event(loop, op, err, WEIR_ORIGIN_KERNEL, true);
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

bool op_none_left(const struct weir_loop *loop)
{
	return !loop->slots_used && list_empty(&loop->waiting) && list_empty(&loop->timers) &&
	       list_empty(&loop->finished) && !posts_wait(loop) && !loop->passing &&
	       !(loop->fibers && !list_empty(&loop->fibers->ready));
}
