// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/*
 * ops.c - operations on open sockets: bytes and messages, options, shutdown
 *
 * lib/net/open.c has those that open, bind and connect them.
 */
#include <errno.h>
#include <limits.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include "io/gather.h"
#include "io/group.h"
#include "io/ops.h"

#ifdef CONFIG_URING
#include <liburing.h>

#include "io/uring.h"

void recv_prep(struct weir_loop *loop, const struct weir_op *op, struct io_uring_sqe *sqe)
{
	const struct io_group *group = (const void *)op->xfer.pool;

	if (!group) {
		io_uring_prep_recv(sqe, -1, op->xfer.buf, op->len, op->xfer.msg_flags);
		return;
	}
	io_uring_prep_recv_multishot(sqe, -1, NULL, 0, op->xfer.msg_flags);
	sqe->flags |= IOSQE_BUFFER_SELECT;
	sqe->buf_group = (uint16_t)group->id;
	if (group->bundle_bytes && loop->files[op->file.index].hints & IO_HINT_BULK) {
		sqe->ioprio |= URING_BUNDLE;
		sqe->len = group->bundle_bytes;
	}
}

void send_prep(struct weir_loop *loop, const struct weir_op *op, struct io_uring_sqe *sqe)
{
	io_uring_prep_send(sqe, -1, op->xfer.buf, op->len, op->xfer.msg_flags | MSG_NOSIGNAL);
}

void recvmsg_prep(struct weir_loop *loop, const struct weir_op *op, struct io_uring_sqe *sqe)
{
	const struct io_group *group = op_group(op);
	unsigned int flags = (unsigned int)op->xfer.msg_flags | MSG_CMSG_CLOEXEC;

	if (!group) {
		io_uring_prep_recvmsg(sqe, -1, op->xfer.buf, flags);
		return;
	}
	io_uring_prep_recvmsg_multishot(sqe, -1, op->xfer.buf, flags);
	sqe->flags |= IOSQE_BUFFER_SELECT;
	sqe->buf_group = (uint16_t)group->id;
}

void sendmsg_prep(struct weir_loop *loop, const struct weir_op *op, struct io_uring_sqe *sqe)
{
	struct io_gather *gather = gather_of(loop, op->xfer.buf);

	if (gather && uring_gather_prep(loop, gather, op->xfer.msg_flags, sqe))
		return;
	io_uring_prep_sendmsg(sqe, -1, op->xfer.buf,
			      (unsigned int)op->xfer.msg_flags | MSG_NOSIGNAL);
}

void shutdown_prep(struct weir_loop *loop, const struct weir_op *op, struct io_uring_sqe *sqe)
{
	io_uring_prep_shutdown(sqe, -1, op->shutdown.how);
}

void getsockopt_prep(struct weir_loop *loop, const struct weir_op *op, struct io_uring_sqe *sqe)
{
	uring_prep_sockopt(sqe, URING_SOCKET_GETSOCKOPT, op->sockopt.level, op->sockopt.name,
			   op->sockopt.value, op->sockopt.len);
}

void setsockopt_prep(struct weir_loop *loop, const struct weir_op *op, struct io_uring_sqe *sqe)
{
	uring_prep_sockopt(sqe, URING_SOCKET_SETSOCKOPT, op->sockopt.level, op->sockopt.name,
			   op->sockopt.value, op->sockopt.len);
}

void install_prep(struct weir_loop *loop, const struct weir_op *op, struct io_uring_sqe *sqe)
{
	io_uring_prep_rw(URING_OP_FIXED_FD_INSTALL, sqe, -1, NULL, 0, 0);
}
#endif

int send_check(const struct weir_loop *loop, const struct weir_op *op)
{
	const struct weir_lease *lease = op->xfer.lease;
	const unsigned char *at = op->xfer.buf;
	uint32_t size;

	if (!(op->flags & WEIR_OPF_LEASE))
		return xfer_check(loop, op);
	if (!lease || lease->group->loop != loop || !lease->refs)
		return -EINVAL;
	size = lease->size;
	return at >= lease->data && at - lease->data <= size &&
	       op->len <= size - (at - lease->data) ? 0 : -EINVAL;
}

int msg_check(const struct weir_loop *loop, const struct weir_op *op)
{
	const struct msghdr *msg = op->xfer.buf;
	uint64_t total = 0;
	size_t i;

	if (!msg)
		return -EFAULT;
	if (op->flags & WEIR_OPF_MULTISHOT)
		return 0;	/* nothing but the lengths matters, and op_check_multi() saw them */
	if (msg->msg_iovlen > IOV_MAX)
		return -EMSGSIZE;
	if (!msg->msg_iov && msg->msg_iovlen)
		return -EFAULT;
	for (i = 0; i < msg->msg_iovlen; i++) {
		if (!msg->msg_iov[i].iov_base && msg->msg_iov[i].iov_len)
			return -EFAULT;
		/* The count must fit into op->res. */
		if (msg->msg_iov[i].iov_len > INT32_MAX - total)
			return -EINVAL;
		total += msg->msg_iov[i].iov_len;
	}
	return 0;
}

int sockopt_check(const struct weir_loop *loop, const struct weir_op *op)
{
	if (op->sockopt.len > INT32_MAX)
		return -EINVAL;
	return op->sockopt.value || !op->sockopt.len ? 0 : -EFAULT;
}

int recv_try(struct weir_loop *loop, struct weir_op *op, int fd)
{
	return loop->sys->recv(loop, fd, op->xfer.buf, op->len, op->xfer.msg_flags);
}

int send_try(struct weir_loop *loop, struct weir_op *op, int fd)
{
	int res = loop->sys->send(loop, fd, op->xfer.buf, op->len, op->xfer.msg_flags);

	if (res > 0 && op->flags & WEIR_OPF_LEASE && loop->backend->lend)
		loop->backend->lend(loop, op, res);
	return res;
}

int recv_fill(struct weir_loop *loop, struct weir_op *op, int fd, void *buf, uint32_t len)
{
	return loop->sys->recv(loop, fd, buf, len, op->xfer.msg_flags);
}

int recvmsg_try(struct weir_loop *loop, struct weir_op *op, int fd)
{
	return loop->sys->recvmsg(loop, fd, op->xfer.buf, op->xfer.msg_flags);
}

int recvmsg_fill(struct weir_loop *loop, struct weir_op *op, int fd, void *buf, uint32_t len)
{
	const struct msghdr *room = op->xfer.buf;
	uint32_t before = (uint32_t)msg_head_bytes(op);
	unsigned char *name = (unsigned char *)buf + sizeof(struct msg_head);
	struct msg_head head;
	struct iovec iov = { .iov_base = (unsigned char *)buf + before, .iov_len = len - before };
	struct msghdr msg = {
		.msg_name = room->msg_namelen ? name : NULL,
		.msg_namelen = room->msg_namelen,
		.msg_control = room->msg_controllen ? name + room->msg_namelen : NULL,
		.msg_controllen = room->msg_controllen,
		.msg_iov = &iov,
		.msg_iovlen = 1,
	};
	int res = loop->sys->recvmsg(loop, fd, &msg, op->xfer.msg_flags);

	if (res < 0)
		return res;
	head = (struct msg_head){
		.name_len = msg.msg_namelen, .control_len = (uint32_t)msg.msg_controllen,
		.len = (uint32_t)res, .flags = (uint32_t)msg.msg_flags,
	};
	/* A buffer of a pool may begin anywhere. */
	memcpy(buf, &head, sizeof(head));
	return (int)before + res;
}

int sendmsg_try(struct weir_loop *loop, struct weir_op *op, int fd)
{
	return loop->sys->sendmsg(loop, fd, op->xfer.buf, op->xfer.msg_flags);
}

int shutdown_try(struct weir_loop *loop, struct weir_op *op, int fd)
{
	return loop->sys->shutdown(loop, fd, op->shutdown.how);
}

int getsockopt_try(struct weir_loop *loop, struct weir_op *op, int fd)
{
	uint32_t len = op->sockopt.len;
	int err;

	err = loop->sys->getsockopt(loop, fd, op->sockopt.level, op->sockopt.name,
				    op->sockopt.value, &len);
	return err ? err : (int)len;
}

int setsockopt_try(struct weir_loop *loop, struct weir_op *op, int fd)
{
	return loop->sys->setsockopt(loop, fd, op->sockopt.level, op->sockopt.name,
				     op->sockopt.value, op->sockopt.len);
}

int install_try(struct weir_loop *loop, struct weir_op *op, int fd)
{
	return loop->sys->dup(loop, fd);
}
