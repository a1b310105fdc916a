// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/*
 * open.c - operations that make sockets what they are: socket, bind, listen,
 * accept, connect
 */
#include <errno.h>
#include <sys/socket.h>

#include "io/ops.h"
#include "io/ready.h"

/* Both are the library's affair, and io_uring wants to hear of neither. */
enum { TYPE_FLAGS = SOCK_NONBLOCK | SOCK_CLOEXEC };

#ifdef CONFIG_URING
#include <liburing.h>

#include "io/uring_abi.h"

void socket_prep(struct weir_loop *loop, const struct weir_op *op, struct io_uring_sqe *sqe)
{
	io_uring_prep_socket_direct_alloc(sqe, op->socket.family, op->socket.type & ~TYPE_FLAGS,
					  op->socket.protocol, 0);
}

void bind_prep(struct weir_loop *loop, const struct weir_op *op, struct io_uring_sqe *sqe)
{
	io_uring_prep_rw(URING_OP_BIND, sqe, -1, op->addr.addr, 0, op->addr.len);
}

void listen_prep(struct weir_loop *loop, const struct weir_op *op, struct io_uring_sqe *sqe)
{
	io_uring_prep_rw(URING_OP_LISTEN, sqe, -1, NULL, (unsigned int)op->listen.backlog, 0);
}

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
	if (op->lib_priv == OPEN_FILE)
		io_uring_prep_socket_direct_alloc(sqe, op->addr.addr->sa_family,
						  SOCK_STREAM, 0, 0);
	else
		io_uring_prep_connect(sqe, -1, op->addr.addr, op->addr.len);
}
#endif

int addr_check(const struct weir_loop *loop, const struct weir_op *op)
{
	if (!op->addr.addr)
		return -EFAULT;
	return op->addr.len < sizeof(sa_family_t) ||
	       op->addr.len > sizeof(struct sockaddr_storage) ? -EINVAL : 0;
}

/* The file of a new descriptor, which is closed if there is no place for it. */
static int own(struct weir_loop *loop, struct weir_op *op, int fd)
{
	int err = io_file_new(loop, fd, &op->accepted);

	if (err)
		loop->sys->close(loop, fd);
	return err;
}

int socket_try(struct weir_loop *loop, struct weir_op *op, int fd)
{
	int err;

	fd = loop->sys->socket(loop, op->socket.family, op->socket.type & ~TYPE_FLAGS,
			       op->socket.protocol);
	if (fd < 0)
		return fd;
	err = own(loop, op, fd);
	if (err)
		return err;
	io_file_type(loop, op->accepted, op->socket.family, op->socket.type);
	return loop->backend->adopt(loop, op->accepted.index, fd);
}

int bind_try(struct weir_loop *loop, struct weir_op *op, int fd)
{
	return loop->sys->bind(loop, fd, op->addr.addr, op->addr.len);
}

int listen_try(struct weir_loop *loop, struct weir_op *op, int fd)
{
	return loop->sys->listen(loop, fd, op->listen.backlog);
}

int accept_try(struct weir_loop *loop, struct weir_op *op, int fd)
{
	if (!io_file_room(loop, 1))
		return -ENFILE;
	fd = loop->sys->accept(loop, fd);
	return fd < 0 ? fd : own(loop, op, fd);
}

/* Undo connect_begin(): the socket goes, and the op has no file to wait for. */
static int connect_undo(struct weir_loop *loop, struct weir_op *op, int err)
{
	loop->sys->close(loop, loop->files[op->accepted.index].fd);
	io_file_free(loop, op->accepted.index);
	op->lib_priv = OPEN_NONE;
	return err;
}

/* The caller's socket stays open whatever comes of it. */
static int connect_file(struct weir_loop *loop, struct weir_op *op, int fd)
{
	struct io_file *entry = &loop->files[op->file.index];
	int err = loop->sys->connect(loop, fd, op->addr.addr, op->addr.len);

	/* That was the call which takes note of the first connect. */
	if (!err && entry->hints & READY_HINT_CONNECTED)
		err = loop->sys->connect(loop, fd, op->addr.addr, op->addr.len);
	entry->hints &= (uint16_t)~READY_HINT_CONNECTED;
	if (err != -EINPROGRESS)
		return err;
	op->lib_priv = OPEN_CONNECTING;
	return -EAGAIN;
}

static int connect_begin(struct weir_loop *loop, struct weir_op *op)
{
	int fd, err;

	if (op_has_file(op))
		return connect_file(loop, op, loop->files[op->file.index].fd);
	fd = loop->sys->socket(loop, op->addr.addr->sa_family, SOCK_STREAM | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return fd;
	err = own(loop, op, fd);
	if (err)
		return err;
	op->lib_priv = OPEN_CONNECTING;
	err = loop->sys->connect(loop, fd, op->addr.addr, op->addr.len);
	if (err == -EINPROGRESS)
		return -EAGAIN;
	/*
	 * -EAGAIN is an end too: the backlog of a listener of AF_UNIX is full, and
	 * nothing would ever tell that it has room again.
	 */
	return err ? connect_undo(loop, op, err) : 0;
}

/* Called again when the socket is writable; @fd is that of the socket by then. */
int connect_try(struct weir_loop *loop, struct weir_op *op, int fd)
{
	int err;

	if (op->lib_priv == OPEN_NONE)
		return connect_begin(loop, op);
	err = loop->sys->connected(loop, fd);
	if (op_opens(op) && !err)
		loop->files[op->accepted.index].hints |= READY_HINT_CONNECTED;
	if (op_opens(op))
		return err && err != -EAGAIN ? connect_undo(loop, op, err) : err;
	/* Only a second call makes it known to the socket, where a third is -EISCONN. */
	if (!err)
		loop->sys->connect(loop, fd, op->addr.addr, op->addr.len);
	return err;
}
