// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/*
 * uring_zc.c - sends without a copy
 *
 * Two completions, under the same user_data: how the send ended, with F_MORE if
 * there will be another; and with F_NOTIF, that the kernel is done with the memory.
 * The op ends with the first. An error may come with or without the second.
 *
 * Only from memory that is registered: otherwise each send would have its pages
 * pinned, and counted against RLIMIT_MEMLOCK.
 */
#include <errno.h>

#include "io/group.h"
#include "io/probe.h"
#include "io/uring.h"

/* Tried when there is a pool with buffers that are long enough: it takes a while. */
void uring_zc_open(struct weir_loop *loop, const struct io_group *group)
{
	struct uring *u = uring_of(loop);

	if (u->zc_tried || group->buf_bytes < loop->opts.zc_min_bytes)
		return;
	u->zc_tried = true;
	u->zc = uring_has(loop, URING_OP_SEND_ZC) && probe_works(PROBE_SEND_ZC);
	if (!u->zc)
		loop_log(loop, WEIR_LOG_INFO, "uring: no sending without a copy here");
	else if (!loop->lend.max)
		loop_log(loop, WEIR_LOG_INFO, "uring: no sending without a copy: operations, "
			 "files and buffers take all of the completion queue");
}

bool uring_zc_wanted(const struct weir_loop *loop, const struct weir_op *op)
{
	return uring_of(loop)->zc && op->xfer.lease->group->fixed && lend_wanted(loop, op);
}

int uring_zc_queue(struct weir_loop *loop, struct weir_op *op)
{
	struct uring *u = uring_of(loop);
	struct io_uring_sqe *sqe = io_uring_get_sqe(&u->ring);
	struct lent *lent;

	if (!sqe)
		return -EAGAIN;
	lent = lend_begin(loop, op);
	op->lib_priv = (uint32_t)(lent - loop->lend.all) + 1;
	uring_fill(loop, op, sqe);
	sqe->opcode = URING_OP_SEND_ZC;
	sqe->ioprio = URING_SEND_ZC_REPORT | IORING_RECVSEND_FIXED_BUF;
	sqe->buf_index = (uint16_t)op->xfer.lease->group->id;
	sqe->user_data = uring_zc_data(op);
	u->inline_ops++;
	return IO_QUEUED_PENDING;
}

/* The send has ended; what it was lent may not have. */
static void on_sent(struct weir_loop *loop, struct lent *lent, int res, uint32_t flags)
{
	struct weir_op *op = lent->op;

	lend_sent(loop, lent, res);
	if (!(flags & IORING_CQE_F_MORE))
		lend_end(loop, lent, false);
	op->lib_priv = 0;
	if (!lend_is_refusal(res)) {
		io_event(loop, op, res, false);
		return;
	}
	op->lib_priv = LEND_PLAIN;
	io_event_again(loop, op);
}

bool uring_on_lent(struct weir_loop *loop, uint32_t index, int res, uint32_t flags)
{
	struct lent *lent = &loop->lend.all[index];

	assert(index < loop->lend.max);
	if (flags & IORING_CQE_F_NOTIF) {
		lend_end(loop, lent, (uint32_t)res & URING_NOTIF_COPIED);
		return false;
	}
	on_sent(loop, lent, res, flags);
	return true;
}
