// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/*
 * op_check.c - may an operation go on? What all of them have in common; the rest
 * is in the rows of lib/optable.c
 */
#include <errno.h>
#include <sys/socket.h>

#include "io/backend.h"
#include "io/group.h"

/* A receive is multishot when it takes its buffers from a pool. */
static int op_check_multi(const struct weir_loop *loop, const struct weir_op *op)
{
	const struct io_group *group = op_group(op);
	bool multi = op->flags & WEIR_OPF_MULTISHOT;

	if (op->opcode == WEIR_OP_POLL || op->opcode == WEIR_OP_ACCEPT)
		return 0;
	if (!group == multi || (group && group->loop != loop))
		return -EINVAL;
	/* What is left of a buffer would cut a record off. */
	if (group && group->streams &&
	    (op->opcode != WEIR_OP_RECV ||
	     loop->files[op->file.index].hints & IO_HINT_RECORDS))
		return -EINVAL;
	if (!group || !(op_def(op)->flags & IO_OPF_HEADED))
		return 0;
	return op->xfer.buf && msg_head_bytes(op) < group->buf_bytes ? 0 : -EINVAL;
}

/*
 * The backends agree on no more than these. A buffer of a pool is always taken,
 * and its count is never more than is in it.
 */
static int op_check_xfer(const struct weir_op *op)
{
	int allowed = op_def(op)->msg_flags;

	if (op_group(op))
		allowed &= ~(MSG_PEEK | MSG_TRUNC | MSG_ERRQUEUE);
	return op->xfer.msg_flags & ~allowed ? -EINVAL : 0;
}

int op_check(const struct weir_loop *loop, const struct weir_op *op)
{
	uint32_t flags;

	if (op->opcode >= WEIR_OP_MAX || op->flags & ~WEIR_OPF_ALL || op->len > INT32_MAX)
		return -EINVAL;
	flags = op_def(op)->flags;
	if (op->flags & WEIR_OPF_MULTISHOT && !(flags & IO_OPF_MULTI))
		return -EINVAL;
	if (op->flags & WEIR_OPF_LEASE && op->opcode != WEIR_OP_SEND)
		return -EINVAL;
	if (op_has_file(op) && !io_file_get(loop, op->file))
		return -EBADF;
	if (loop->closing && !(flags & IO_OPF_ENDS))
		return -ECANCELED;
	if (flags & IO_OPF_MULTI && op_check_multi(loop, op))
		return -EINVAL;
	if (flags & IO_OPF_MSG && op_check_xfer(op))
		return -EINVAL;
	return op_def(op)->check ? op_def(op)->check(loop, op) : 0;
}
