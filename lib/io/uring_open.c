// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/*
 * uring_open.c - operations that open files: accept, and those that end with one
 *
 * The kernel chooses the slot, so a place is reserved while such an op is on its
 * way. An accept is multishot as long as a whole backlog fits.
 */
#include <errno.h>

#include "io/ops.h"
#include "io/uring.h"

enum {
	ACCEPT_SWITCH	= 3,	/* op->lib_priv: multishot cancelled, to take one at a time */
};

/* When a whole backlog no longer fits, a multishot accept goes on one by one. */
static void accept_judge(struct weir_loop *loop, struct weir_op *op)
{
	if (op->lib_priv != ACCEPT_MULTI || op->lib_end != OP_END_NONE || !io_accept_one(loop, op))
		return;
	op->lib_priv = ACCEPT_SWITCH;
	uring_cancel(loop, op);
}

void uring_reserve(struct weir_loop *loop)
{
	struct weir_link *head = &uring_of(loop)->accepts;
	struct weir_link *node;

	loop->files_reserved++;
	for (node = head->next; node != head; node = node->next)
		accept_judge(loop, container_of(node, struct weir_op, lib_queue));
}

/* Multishot accepts that must yield are cancelled before this op's entry. */
void uring_opening(struct weir_loop *loop, struct weir_op *op)
{
	if (op_opens_plain(op))
		return;		/* no slot of the kernel's */
	if (op->opcode != WEIR_OP_ACCEPT) {
		op->lib_priv = OPEN_FILE;
		uring_reserve(loop);
		return;
	}
	op->lib_priv = io_accept_one(loop, op) || uring_of(loop)->accept_one ? ACCEPT_ONE :
		       ACCEPT_MULTI;
	if (op->lib_priv == ACCEPT_ONE)
		uring_reserve(loop);
	list_add_tail(&uring_of(loop)->accepts, &op->lib_queue);
}

void uring_on_accept(struct weir_loop *loop, struct weir_op *op, int res, uint32_t flags)
{
	bool more = flags & IORING_CQE_F_MORE;

	if (!more) {
		list_del(&op->lib_queue);
		loop->files_reserved -= op->lib_priv == ACCEPT_ONE;
	}
	switch (res) {
	case -ENFILE:
	case -EMFILE:
		io_event_nofile(loop, op, res);
		return;
	case -ECANCELED:
		if (op->lib_end != OP_END_NONE)
			break;
		/* fall through */
	case -ECONNABORTED:
	case -EPROTO:
	case -EAGAIN:
	case -EINTR:
		io_event_again(loop, op);
		return;
	}
	if (res < 0) {
		io_event(loop, op, res, false);
		return;
	}
	op->accepted = io_file_fixed(loop, (uint32_t)res);
	loop->files[op->accepted.index].hints |= loop->files[op->file.index].hints &
						 IO_HINTS_KIND;
	if (!(op->flags & WEIR_OPF_MULTISHOT)) {
		io_event(loop, op, 0, false);
		return;
	}
	io_event(loop, op, 0, true);
	if (more)
		accept_judge(loop, op);
	else
		io_event_again(loop, op);
}

static void connect_abandon(struct weir_loop *loop, struct weir_op *op, int res)
{
	struct io_uring_sqe *sqe = uring_sqe(loop);

	if (sqe) {
		io_uring_prep_close_direct(sqe, op->accepted.index);
		uring_quiet(sqe);
	}
	io_file_free(loop, op->accepted.index);
	io_event(loop, op, res, false);
}

static void connect_begin(struct weir_loop *loop, struct weir_op *op)
{
	struct io_uring_sqe *sqe;

	if (op->lib_end != OP_END_NONE) {
		connect_abandon(loop, op, -ECANCELED);
		return;
	}
	op->lib_priv = OPEN_CONNECTING;
	sqe = uring_sqe(loop);
	if (sqe)
		uring_fill(loop, op, sqe);
	else
		connect_abandon(loop, op, -EIO);
}

void uring_on_open(struct weir_loop *loop, struct weir_op *op, int res)
{
	if (op->lib_priv == OPEN_CONNECTING) {
		if (res < 0)
			connect_abandon(loop, op, res);
		else
			io_event(loop, op, 0, false);
		return;
	}
	loop->files_reserved--;
	if (res < 0) {
		io_event(loop, op, res, false);
		return;
	}
	op->accepted = io_file_fixed(loop, (uint32_t)res);
	if (op->opcode == WEIR_OP_CONNECT) {
		io_file_type(loop, op->accepted, op->addr.addr->sa_family, SOCK_STREAM);
		connect_begin(loop, op);
		return;
	}
	if (op->opcode == WEIR_OP_SOCKET)
		io_file_type(loop, op->accepted, op->socket.family, op->socket.type);
	io_event(loop, op, 0, false);
}
