// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/*
 * ops.c - operations on files and paths
 *
 * A buffer inside a pool's slab was registered with the ring: the fixed
 * variants spare the kernel from pinning its pages each time.
 */
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/uio.h>

#include "io/group.h"
#include "io/ops.h"

#ifdef CONFIG_URING
#include <liburing.h>

#include "io/uring.h"

/* A socket has no offsets, and io_uring would refuse one. Slots are sockets. */
static uint64_t offset_of(const struct weir_loop *loop, const struct weir_op *op)
{
	uint32_t index = op->file.index;
	bool socket = index < loop->files_fixed || loop->files[index].hints & IO_HINT_SOCKET;

	return socket ? 0 : op->xfer.offset;
}

void read_prep(struct weir_loop *loop, const struct weir_op *op, struct io_uring_sqe *sqe)
{
	const struct io_group *group = op_group(op);

	if (group) {
		/* Without the multishot one by one: on_pool() of uring.c goes on. */
		if (uring_has(loop, URING_OP_READ_MULTISHOT))
			io_uring_prep_rw(URING_OP_READ_MULTISHOT, sqe, -1, NULL, 0, 0);
		else
			io_uring_prep_read(sqe, -1, NULL, group->buf_bytes, 0);
		sqe->flags |= IOSQE_BUFFER_SELECT;
		sqe->buf_group = (uint16_t)group->id;
		return;
	}
	group = group_find(loop, op->xfer.buf, op->len);
	if (group)
		io_uring_prep_read_fixed(sqe, -1, op->xfer.buf, op->len, offset_of(loop, op),
					 (int)group->id);
	else
		io_uring_prep_read(sqe, -1, op->xfer.buf, op->len, offset_of(loop, op));
}

void write_prep(struct weir_loop *loop, const struct weir_op *op, struct io_uring_sqe *sqe)
{
	const struct io_group *group = group_find(loop, op->xfer.buf, op->len);

	if (group)
		io_uring_prep_write_fixed(sqe, -1, op->xfer.buf, op->len, offset_of(loop, op),
					  (int)group->id);
	else
		io_uring_prep_write(sqe, -1, op->xfer.buf, op->len, offset_of(loop, op));
}

/* The pool whose slab holds all of the vector, or NULL; its empty pieces lie nowhere. */
static const struct io_group *vector_group(const struct weir_loop *loop, const struct weir_op *op)
{
	const struct iovec *iov = op->xfer.buf;
	const struct io_group *group = NULL;
	uint32_t i;

	for (i = 0; i < op->len; i++) {
		const struct io_group *found;

		found = iov[i].iov_len ?
			group_find(loop, iov[i].iov_base, (uint32_t)iov[i].iov_len) : NULL;
		if (!found || (group && found != group))
			return NULL;
		group = found;
	}
	return group;
}

static void vector_prep(struct weir_loop *loop, const struct weir_op *op, unsigned int plain,
			unsigned int fixed, struct io_uring_sqe *sqe)
{
	const struct io_group *group = uring_has(loop, fixed) ? vector_group(loop, op) : NULL;

	io_uring_prep_rw((int)(group ? fixed : plain), sqe, -1, op->xfer.buf, op->len,
			 offset_of(loop, op));
	if (group)
		sqe->buf_index = (uint16_t)group->id;
}

void readv_prep(struct weir_loop *loop, const struct weir_op *op, struct io_uring_sqe *sqe)
{
	vector_prep(loop, op, IORING_OP_READV, URING_OP_READV_FIXED, sqe);
}

void writev_prep(struct weir_loop *loop, const struct weir_op *op, struct io_uring_sqe *sqe)
{
	vector_prep(loop, op, IORING_OP_WRITEV, URING_OP_WRITEV_FIXED, sqe);
}

void open_prep(struct weir_loop *loop, const struct weir_op *op, struct io_uring_sqe *sqe)
{
	io_uring_prep_openat(sqe, AT_FDCWD, op->path.name, op->path.flags | O_CLOEXEC,
			     op->path.mode);
}

void unlink_prep(struct weir_loop *loop, const struct weir_op *op, struct io_uring_sqe *sqe)
{
	io_uring_prep_unlink(sqe, op->path.name, op->path.flags);
}

void mkdir_prep(struct weir_loop *loop, const struct weir_op *op, struct io_uring_sqe *sqe)
{
	io_uring_prep_mkdir(sqe, op->path.name, op->path.mode);
}

void rename_prep(struct weir_loop *loop, const struct weir_op *op, struct io_uring_sqe *sqe)
{
	io_uring_prep_renameat(sqe, AT_FDCWD, op->rename.from, AT_FDCWD, op->rename.to,
			       op->rename.flags);
}

void statx_prep(struct weir_loop *loop, const struct weir_op *op, struct io_uring_sqe *sqe)
{
	if (op->statx.path)
		io_uring_prep_statx(sqe, AT_FDCWD, op->statx.path, op->statx.flags,
				    op->statx.mask, op->statx.buf);
	else
		io_uring_prep_statx(sqe, -1, "", op->statx.flags | AT_EMPTY_PATH,
				    op->statx.mask, op->statx.buf);
}

void fsync_prep(struct weir_loop *loop, const struct weir_op *op, struct io_uring_sqe *sqe)
{
	io_uring_prep_fsync(sqe, -1, op->range.mode ? IORING_FSYNC_DATASYNC : 0);
}

void fallocate_prep(struct weir_loop *loop, const struct weir_op *op, struct io_uring_sqe *sqe)
{
	io_uring_prep_fallocate(sqe, -1, op->range.mode, (off_t)op->range.offset,
				(off_t)op->range.len);
}

void ftruncate_prep(struct weir_loop *loop, const struct weir_op *op, struct io_uring_sqe *sqe)
{
	io_uring_prep_rw(URING_OP_FTRUNCATE, sqe, -1, NULL, 0, op->range.offset);
}

void fadvise_prep(struct weir_loop *loop, const struct weir_op *op, struct io_uring_sqe *sqe)
{
	io_uring_prep_fadvise(sqe, -1, op->range.offset, (off_t)(uint32_t)op->range.len,
			      op->range.mode);
	/* The full length has a place of its own since 6.11; before, it is refused. */
	if (op->range.len > UINT32_MAX)
		sqe->addr = op->range.len;
}

void splice_prep(struct weir_loop *loop, const struct weir_op *op, struct io_uring_sqe *sqe)
{
	struct weir_file from = op->splice.from;
	bool fixed = from.index < loop->files_fixed;

	io_uring_prep_splice(sqe, fixed ? (int)from.index : loop->files[from.index].fd,
			     op->splice.off_in, -1, op->splice.off_out, op->len,
			     op->splice.flags | (fixed ? SPLICE_F_FD_IN_FIXED : 0));
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

/* Of what has no offsets. */
int read_fill(struct weir_loop *loop, struct weir_op *op, int fd, void *buf, uint32_t len)
{
	return loop->sys->read(loop, fd, buf, len, 0);
}

int write_try(struct weir_loop *loop, struct weir_op *op, int fd)
{
	return loop->sys->write(loop, fd, op->xfer.buf, op->len, op->xfer.offset);
}

int readv_try(struct weir_loop *loop, struct weir_op *op, int fd)
{
	return loop->sys->readv(loop, fd, op->xfer.buf, op->len, op->xfer.offset);
}

int writev_try(struct weir_loop *loop, struct weir_op *op, int fd)
{
	return loop->sys->writev(loop, fd, op->xfer.buf, op->len, op->xfer.offset);
}

int open_try(struct weir_loop *loop, struct weir_op *op, int fd)
{
	return loop->sys->open(loop, op->path.name, op->path.flags | O_CLOEXEC, op->path.mode);
}

int unlink_try(struct weir_loop *loop, struct weir_op *op, int fd)
{
	return loop->sys->unlink(loop, op->path.name, op->path.flags);
}

int mkdir_try(struct weir_loop *loop, struct weir_op *op, int fd)
{
	return loop->sys->mkdir(loop, op->path.name, op->path.mode);
}

int rename_try(struct weir_loop *loop, struct weir_op *op, int fd)
{
	return loop->sys->rename(loop, op->rename.from, op->rename.to, op->rename.flags);
}

int statx_try(struct weir_loop *loop, struct weir_op *op, int fd)
{
	return loop->sys->statx(loop, fd, op->statx.path, op->statx.flags, op->statx.mask,
				op->statx.buf);
}

int fsync_try(struct weir_loop *loop, struct weir_op *op, int fd)
{
	return loop->sys->fsync(loop, fd, op->range.mode);
}

int fallocate_try(struct weir_loop *loop, struct weir_op *op, int fd)
{
	return loop->sys->fallocate(loop, fd, op->range.mode, op->range.offset, op->range.len);
}

int ftruncate_try(struct weir_loop *loop, struct weir_op *op, int fd)
{
	return loop->sys->ftruncate(loop, fd, op->range.offset);
}

int fadvise_try(struct weir_loop *loop, struct weir_op *op, int fd)
{
	return loop->sys->fadvise(loop, fd, op->range.offset, op->range.len, op->range.mode);
}

int splice_try(struct weir_loop *loop, struct weir_op *op, int fd)
{
	return loop->sys->splice(loop, loop->files[op->splice.from.index].fd, op->splice.off_in,
				 fd, op->splice.off_out, op->len, op->splice.flags);
}

int close_try(struct weir_loop *loop, struct weir_op *op, int fd)
{
	return loop->sys->close(loop, fd);
}
