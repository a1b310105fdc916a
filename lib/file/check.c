// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/*
 * check.c - arguments of operations on files, before any kernel sees them
 *
 * What every backend must answer in the same way is answered here: pointers that
 * are none, offsets that are negative to the kernel. Flags are the kernel's to
 * refuse, except for open(2), which ignores those that it does not know, and those
 * of splice(2), of which io_uring has one more.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sys/stat.h>
#include <sys/uio.h>

#include "io/ops.h"

#ifdef CONFIG_URING
#include "io/uring.h"
#endif

#define OPEN_FLAGS	(O_ACCMODE | O_CREAT | O_EXCL | O_NOCTTY | O_TRUNC | O_APPEND |	\
			 O_NONBLOCK | O_SYNC | O_DSYNC | O_ASYNC | O_DIRECT | O_LARGEFILE |	\
			 O_DIRECTORY | O_NOFOLLOW | O_NOATIME | O_CLOEXEC | O_PATH | O_TMPFILE)
#define SPLICE_FLAGS	(SPLICE_F_MOVE | SPLICE_F_NONBLOCK | SPLICE_F_MORE | SPLICE_F_GIFT)

int xfer_check(const struct weir_loop *loop, const struct weir_op *op)
{
	if (op->flags & WEIR_OPF_MULTISHOT)
		return 0;	/* into buffers of a pool, of what has no offsets */
	if (op->xfer.offset > INT64_MAX)
		return -EINVAL;
	return !op->xfer.buf && op->len ? -EFAULT : 0;
}

int read_check(const struct weir_loop *loop, const struct weir_op *op)
{
#ifdef CONFIG_URING
	int fd = op_fd(loop, op);

	/* Only the multishot read would tell that a file has no edges. */
	if (op->flags & WEIR_OPF_MULTISHOT && fd >= 0 && loop->backend == &weir_backend_uring &&
	    !uring_has(loop, URING_OP_READ_MULTISHOT) &&
	    !uring_has_edges((struct weir_loop *)(uintptr_t)loop, fd))
		return -EBADFD;
#endif
	return xfer_check(loop, op);
}

int vector_check(const struct weir_loop *loop, const struct weir_op *op)
{
	const struct iovec *iov = op->xfer.buf;
	uint64_t total = 0;
	uint32_t i;
	int err;

	err = xfer_check(loop, op);
	if (err)
		return err;
	if (op->len > IOV_MAX)
		return -EINVAL;
	for (i = 0; i < op->len; i++) {
		if (!iov[i].iov_base && iov[i].iov_len)
			return -EFAULT;
		/* The count must fit into op->res. */
		if (iov[i].iov_len > INT32_MAX - total)
			return -EINVAL;
		total += iov[i].iov_len;
	}
	return 0;
}

int path_check(const struct weir_loop *loop, const struct weir_op *op)
{
	return op->path.name ? 0 : -EFAULT;
}

int open_check(const struct weir_loop *loop, const struct weir_op *op)
{
	if (op->path.flags & ~OPEN_FLAGS)
		return -EINVAL;
	return path_check(loop, op);
}

int rename_check(const struct weir_loop *loop, const struct weir_op *op)
{
	return op->rename.from && op->rename.to ? 0 : -EFAULT;
}

int statx_check(const struct weir_loop *loop, const struct weir_op *op)
{
	if (!op->statx.buf || (!op->statx.path && !op->file.gen))
		return -EFAULT;
	return op->statx.path && op->file.gen ? -EINVAL : 0;
}

int range_check(const struct weir_loop *loop, const struct weir_op *op)
{
	return op->range.offset > INT64_MAX || op->range.len > INT64_MAX ? -EINVAL : 0;
}

/* Of fsync the mode is a flag: data only. */
int sync_check(const struct weir_loop *loop, const struct weir_op *op)
{
	return op->range.mode & ~1 ? -EINVAL : 0;
}

int splice_check(const struct weir_loop *loop, const struct weir_op *op)
{
	if (!io_file_get(loop, op->splice.from))
		return -EBADF;
	/* Others would be taken for the library's own by io_uring. */
	if (op->splice.flags & ~SPLICE_FLAGS)
		return -EINVAL;
	return op->splice.off_in < -1 || op->splice.off_out < -1 ? -EINVAL : 0;
}
