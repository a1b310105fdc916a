// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/*
 * ops.c - operations on files: read, write, close
 *
 * A buffer inside a pool's slab was registered with the ring: the fixed
 * variants spare the kernel from pinning its pages each time.
 */
#include "io/group.h"
#include "io/ops.h"

#ifdef CONFIG_URING
#include <liburing.h>

void read_prep(struct weir_loop *loop, const struct weir_op *op, struct io_uring_sqe *sqe)
{
	const struct io_group *group = group_find(loop, op->xfer.buf, op->len);

	if (group)
		io_uring_prep_read_fixed(sqe, -1, op->xfer.buf, op->len, op->xfer.offset,
					 (int)group->id);
	else
		io_uring_prep_read(sqe, -1, op->xfer.buf, op->len, op->xfer.offset);
}

void write_prep(struct weir_loop *loop, const struct weir_op *op, struct io_uring_sqe *sqe)
{
	const struct io_group *group = group_find(loop, op->xfer.buf, op->len);

	if (group)
		io_uring_prep_write_fixed(sqe, -1, op->xfer.buf, op->len, op->xfer.offset,
					  (int)group->id);
	else
		io_uring_prep_write(sqe, -1, op->xfer.buf, op->len, op->xfer.offset);
}

void close_prep(struct weir_loop *loop, const struct weir_op *op, struct io_uring_sqe *sqe)
{
	if (op->file.index < loop->files_fixed)
		io_uring_prep_close_direct(sqe, op->file.index);
	else
		io_uring_prep_close(sqe, loop->files[op->file.index].fd);
}
#endif

int read_try(struct weir_loop *loop, struct weir_op *op, int fd)
{
	return loop->sys->read(loop, fd, op->xfer.buf, op->len, op->xfer.offset);
}

int write_try(struct weir_loop *loop, struct weir_op *op, int fd)
{
	return loop->sys->write(loop, fd, op->xfer.buf, op->len, op->xfer.offset);
}

int close_try(struct weir_loop *loop, struct weir_op *op, int fd)
{
	return loop->sys->close(loop, fd);
}
