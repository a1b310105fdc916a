// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/*
 * ops.c - operations on sockets: accept, connect, recv, send, shutdown, getsockopt
 */
#include <errno.h>
#include <sys/socket.h>

#include "io/group.h"
#include "io/ops.h"

#ifdef CONFIG_URING
#include <liburing.h>

#include "io/uring_abi.h"

void accept_prep(struct weir_loop *loop, const struct weir_op *op, struct io_uring_sqe *sqe)
{
	if (op->lib_priv != ACCEPT_ONE) {
		io_uring_prep_multishot_accept_direct(sqe, -1, NULL, NULL, 0);
		return;
	}
	/* The helper of liburing 2.3 makes "any slot" into "no slot": a descriptor. */
	io_uring_prep_accept(sqe, -1, NULL, NULL, 0);
	sqe->file_index = IORING_FILE_INDEX_ALLOC;
}

void connect_prep(struct weir_loop *loop, const struct weir_op *op, struct io_uring_sqe *sqe)
{
	if (op->lib_priv == CONNECT_SOCKET)
		io_uring_prep_socket_direct_alloc(sqe, op->addr.addr->sa_family,
						  SOCK_STREAM, 0, 0);
	else
		io_uring_prep_connect(sqe, -1, op->addr.addr, op->addr.len);
}

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
}

void send_prep(struct weir_loop *loop, const struct weir_op *op, struct io_uring_sqe *sqe)
{
	io_uring_prep_send(sqe, -1, op->xfer.buf, op->len, op->xfer.msg_flags | MSG_NOSIGNAL);
}

void shutdown_prep(struct weir_loop *loop, const struct weir_op *op, struct io_uring_sqe *sqe)
{
	io_uring_prep_shutdown(sqe, -1, op->shutdown.how);
}

void getsockopt_prep(struct weir_loop *loop, const struct weir_op *op, struct io_uring_sqe *sqe)
{
	uring_prep_getsockopt(sqe, op->sockopt.level, op->sockopt.name, op->sockopt.value,
			      op->sockopt.len);
}
#endif

int accept_try(struct weir_loop *loop, struct weir_op *op, int fd)
{
	int ret, err;

	if (!io_file_room(loop, 1))
		return -ENFILE;
	ret = loop->sys->accept(loop, fd);
	if (ret < 0)
		return ret;
	fd = ret;
	err = io_file_new(loop, fd, &op->accepted);
	if (err) {
		loop->sys->close(loop, fd);
		return err;
	}
	return 0;
}

/* Undo connect_begin(): the socket goes, and the op has no file to wait for. */
static int connect_undo(struct weir_loop *loop, struct weir_op *op, int err)
{
	loop->sys->close(loop, loop->files[op->accepted.index].fd);
	io_file_free(loop, op->accepted.index);
	op->lib_priv = CONNECT_NONE;
	return err;
}

static int connect_begin(struct weir_loop *loop, struct weir_op *op)
{
	int fd, err;

	fd = loop->sys->socket(loop, op->addr.addr->sa_family, SOCK_STREAM | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return fd;
	err = io_file_new(loop, fd, &op->accepted);
	if (err) {
		loop->sys->close(loop, fd);
		return err;
	}
	op->lib_priv = CONNECT_CONNECTING;
	err = loop->sys->connect(loop, fd, op->addr.addr, op->addr.len);
	if (err == -EINPROGRESS)
		return -EAGAIN;
	/*
	 * -EAGAIN is an end too: the backlog of a listener of AF_UNIX is full, and
	 * nothing would ever tell that it has room again.
	 */
	return err ? connect_undo(loop, op, err) : 0;
}

/* Called again when the socket is writable; @fd is op->accepted's by then. */
int connect_try(struct weir_loop *loop, struct weir_op *op, int fd)
{
	int err;

	if (op->lib_priv == CONNECT_NONE)
		return connect_begin(loop, op);
	err = loop->sys->connected(loop, fd);
	return err && err != -EAGAIN ? connect_undo(loop, op, err) : err;
}

int recv_try(struct weir_loop *loop, struct weir_op *op, int fd)
{
	return loop->sys->recv(loop, fd, op->xfer.buf, op->len, op->xfer.msg_flags);
}

int send_try(struct weir_loop *loop, struct weir_op *op, int fd)
{
	return loop->sys->send(loop, fd, op->xfer.buf, op->len, op->xfer.msg_flags);
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
