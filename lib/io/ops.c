// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/*
 * ops.c - operations that are the loop's own: nop, poll, work
 */
#include <errno.h>
#include <poll.h>

#include "io/ops.h"

/* Those of poll(2): io_uring would take bits of epoll for commands. */
enum {
	POLL_EVENTS = POLLIN | POLLPRI | POLLOUT | POLLERR | POLLHUP | POLLNVAL | POLLRDNORM |
		      POLLRDBAND | POLLWRNORM | POLLWRBAND | POLLMSG | POLLRDHUP,
};

#ifdef CONFIG_URING
#include <liburing.h>

void nop_prep(struct weir_loop *loop, const struct weir_op *op, struct io_uring_sqe *sqe)
{
	io_uring_prep_nop(sqe);
}

void poll_prep(struct weir_loop *loop, const struct weir_op *op, struct io_uring_sqe *sqe)
{
	if (op->flags & WEIR_OPF_MULTISHOT)
		io_uring_prep_poll_multishot(sqe, -1, op->poll.events);
	else
		io_uring_prep_poll_add(sqe, -1, op->poll.events);
}
#endif

int poll_check(const struct weir_loop *loop, const struct weir_op *op)
{
	return op->poll.events & ~(uint32_t)POLL_EVENTS ? -EINVAL : 0;
}

int nop_try(struct weir_loop *loop, struct weir_op *op, int fd)
{
	return 0;
}

int work_check(const struct weir_loop *loop, const struct weir_op *op)
{
	return op->work.fn ? 0 : -EINVAL;
}

int work_try(struct weir_loop *loop, struct weir_op *op, int fd)
{
	return op->work.fn(op->work.arg);
}

int poll_try(struct weir_loop *loop, struct weir_op *op, int fd)
{
	return loop->sys->poll(loop, fd, op->poll.events);
}
