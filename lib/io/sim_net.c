// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/*
 * sim_net.c - sockets of the in-memory kernel, of every kind: names, readiness,
 * shutdown, and who carries out a transfer. What a connection does is in
 * sim_conn.c and sim_stream.c, what datagrams do in sim_dgram.c.
 */
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>

#include "base/list.h"
#include "io/sim.h"

int sim_socket_of(struct sim *sim, int fd, struct sim_obj **objp)
{
	struct sim_obj *obj = sim_obj_of(sim, fd);

	if (!obj)
		return -EBADF;
	if (obj->state == SIM_FILE || obj->state == SIM_PIPE)
		return -ENOTSOCK;
	*objp = obj;
	return 0;
}

int sim_take_err(struct sim_obj *obj)
{
	int err = -obj->err;

	obj->err = 0;
	return err;
}

/* What socket(2) would take of it: any protocol that is the type's only one. */
static int socket_check(int family, int type, int protocol)
{
	static const struct {
		int type, protocol;
	} known[] = {
		{ SOCK_STREAM, IPPROTO_TCP },
		{ SOCK_DGRAM, IPPROTO_UDP },
	};
	size_t i;

	if (family != AF_INET && family != AF_INET6 && family != AF_UNIX)
		return -EAFNOSUPPORT;
	for (i = 0; i < ARRAY_SIZE(known); i++) {
		if (type != known[i].type)
			continue;
		return !protocol || (family != AF_UNIX && protocol == known[i].protocol) ?
		       0 : -EPROTONOSUPPORT;
	}
	return family == AF_UNIX ? -ESOCKTNOSUPPORT : -EPROTONOSUPPORT;
}

int sim_socket(struct weir_loop *loop, int family, int type, int protocol)
{
	struct sim *sim = sim_of(loop);
	struct sim_obj *obj;
	int err;

	type &= ~(SOCK_NONBLOCK | SOCK_CLOEXEC);
	err = socket_check(family, type, protocol);
	if (err)
		return err;
	obj = sim_obj_new(sim, type == SOCK_DGRAM ? SIM_DGRAM : SIM_NEW, false);
	if (!obj)
		return -EMFILE;
	obj->dgram = type == SOCK_DGRAM;
	sim_addr_any(&obj->local, (uint16_t)family);
	return sim_obj_fd(sim, obj);
}

bool sim_obj_is_tcp(const struct sim_obj *obj)
{
	return obj->state != SIM_FILE && obj->state != SIM_PIPE && !obj->dgram &&
	       obj->local.family != AF_UNIX;
}

int sim_dup(struct weir_loop *loop, int fd)
{
	struct sim_obj *obj = sim_obj_of(sim_of(loop), fd);

	if (!obj)
		return -EBADF;
	sim_obj_get(obj);
	return fd;
}

int sim_bind(struct weir_loop *loop, int fd, const struct sockaddr *addr, uint32_t len)
{
	struct sim *sim = sim_of(loop);
	struct sim_addr name;
	struct sim_obj *obj;
	int err;

	err = sim_socket_of(sim, fd, &obj);
	if (err)
		return err;
	err = sim_addr_read(&name, addr, len);
	if (err)
		return err;
	if (name.family != obj->local.family)
		return -EAFNOSUPPORT;
	if ((obj->state != SIM_NEW && obj->state != SIM_DGRAM) || obj->named)
		return -EINVAL;
	return sim_bind_name(sim, obj, &name);
}

int sim_listen(struct weir_loop *loop, int fd, int backlog)
{
	struct sim *sim = sim_of(loop);
	struct sim_obj *obj;
	int err;

	err = sim_socket_of(sim, fd, &obj);
	if (err)
		return err;
	if (obj->dgram)
		return -EOPNOTSUPP;
	if (obj->state != SIM_NEW && obj->state != SIM_LISTEN)
		return -EINVAL;
	/* Where would its clients find it? unix_listen(). */
	if (!obj->named && obj->local.family == AF_UNIX)
		return -EINVAL;
	if (!obj->named) {
		err = sim_bind_name(sim, obj, &obj->local);
		if (err)
			return err;
	}
	if (sim_name_taken(sim, obj, &obj->local, true))
		return -EADDRINUSE;
	/* A negative one is as large as it gets: listen(2) casts it. */
	obj->backlog = min_u32((uint32_t)backlog, SIM_BACKLOG_MAX);
	obj->state = SIM_LISTEN;
	obj->rd_shut = false;
	return 0;
}

int sim_getsockname(struct weir_loop *loop, int fd, struct sockaddr *addr, uint32_t *len)
{
	struct sim_obj *obj;
	int err;

	err = sim_socket_of(sim_of(loop), fd, &obj);
	return err ? err : sim_addr_write(&obj->local, addr, len);
}

/* transfers */

static int length_of(const struct msghdr *msg, uint32_t *lenp)
{
	uint64_t len = 0;
	size_t i;

	for (i = 0; i < msg->msg_iovlen; i++) {
		if (msg->msg_iov[i].iov_len > INT32_MAX)
			return -EINVAL;
		len += msg->msg_iov[i].iov_len;
	}
	*lenp = (uint32_t)min_u64(len, INT32_MAX);
	return 0;
}

static int recv_any(struct sim *sim, int fd, struct msghdr *msg, int flags,
		    enum weir_opcode opcode)
{
	struct sim_obj *obj;
	uint32_t len;
	int err;

	err = sim_socket_of(sim, fd, &obj);
	if (!err)
		err = length_of(msg, &len);
	if (err)
		return err;
	/* Errors of the network are told by the next call: that queue stays empty. */
	if (flags & MSG_ERRQUEUE)
		return -EAGAIN;
	if (flags & ~(MSG_PEEK | MSG_TRUNC | MSG_DONTWAIT | MSG_NOSIGNAL | MSG_CMSG_CLOEXEC))
		return -EOPNOTSUPP;
	return obj->dgram ? sim_dgram_recv(sim, obj, msg, len, flags, opcode) :
			    sim_stream_recv(sim, obj, msg, len, flags, opcode);
}

static int send_any(struct sim *sim, int fd, const struct msghdr *msg, int flags,
		    enum weir_opcode opcode)
{
	struct sim_obj *obj;
	uint32_t len;
	int err;

	err = sim_socket_of(sim, fd, &obj);
	if (!err)
		err = length_of(msg, &len);
	if (err)
		return err;
	if (flags & ~(MSG_DONTWAIT | MSG_NOSIGNAL | MSG_MORE))
		return -EOPNOTSUPP;
	return obj->dgram ? sim_dgram_send(sim, obj, msg, len, opcode) :
			    sim_stream_send(sim, obj, msg, len, opcode);
}

int sim_recv(struct weir_loop *loop, int fd, void *buf, uint32_t len, int flags)
{
	struct iovec iov = { buf, len };
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1 };

	return recv_any(sim_of(loop), fd, &msg, flags, WEIR_OP_RECV);
}

int sim_send(struct weir_loop *loop, int fd, const void *buf, uint32_t len, int flags)
{
	struct iovec iov = { (void *)(uintptr_t)buf, len };
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1 };

	return send_any(sim_of(loop), fd, &msg, flags, WEIR_OP_SEND);
}

int sim_recvmsg(struct weir_loop *loop, int fd, struct msghdr *msg, int flags)
{
	return recv_any(sim_of(loop), fd, msg, flags, WEIR_OP_RECVMSG);
}

int sim_sendmsg(struct weir_loop *loop, int fd, const struct msghdr *msg, int flags)
{
	return send_any(sim_of(loop), fd, msg, flags, WEIR_OP_SENDMSG);
}

/* readiness */

static uint32_t open_mask(const struct sim *sim, const struct sim_obj *obj)
{
	uint32_t mask = 0;

	if (obj->len)
		mask |= POLLIN | POLLRDNORM;
	if (obj->fin || obj->rd_shut)
		mask |= POLLIN | POLLRDNORM | POLLRDHUP;
	if (obj->peer == SIM_NONE || obj->wr_shut || sim->objs[obj->peer].len < sim->socket_bytes)
		mask |= POLLOUT | POLLWRNORM;
	if ((obj->fin || obj->rd_shut) && obj->wr_shut)
		mask |= POLLHUP;
	return mask;
}

uint32_t sim_poll_mask(const struct sim *sim, const struct sim_obj *obj)
{
	uint32_t error = obj->err ? POLLERR : 0;

	switch ((enum sim_state)obj->state) {
	case SIM_FILE:
		return POLLIN | POLLRDNORM | POLLOUT | POLLWRNORM;
	case SIM_PIPE:
		return sim_pipe_mask(sim, obj);
	case SIM_LISTEN:
		return obj->queued ? POLLIN | POLLRDNORM : 0;
	case SIM_OPEN:
		return open_mask(sim, obj) | error;
	case SIM_DGRAM:
		return sim_dgram_mask(obj) | error;
	case SIM_DEAD:
		return POLLIN | POLLRDNORM | POLLOUT | POLLWRNORM | POLLRDHUP | POLLHUP | error;
	case SIM_NEW:
		return POLLOUT | POLLWRNORM | POLLHUP;
	case SIM_SYN:
	case SIM_FREE:
		break;
	}
	return 0;
}

int sim_poll(struct weir_loop *loop, int fd, uint32_t events)
{
	struct sim *sim = sim_of(loop);
	struct sim_obj *obj = sim_obj_of(sim, fd);
	uint32_t mask;

	if (!obj)
		return -EBADF;
	mask = sim_poll_mask(sim, obj) & (events | POLLERR | POLLHUP);
	return mask ? (int)mask : -EAGAIN;
}

/* shutdown */

static void shutdown_write(struct sim *sim, struct sim_obj *obj)
{
	if (obj->wr_shut)
		return;
	obj->wr_shut = true;
	if (!obj->dgram && obj->peer != SIM_NONE) {
		sim->objs[obj->peer].fin = true;
		sim_edge(sim, &sim->objs[obj->peer]);
	}
}

/* Of a listener it ends the listening; listen(2) may begin it anew. */
static int shutdown_listener(struct sim *sim, struct sim_obj *obj, int how)
{
	if (how == SHUT_WR)
		return 0;
	obj->state = SIM_NEW;
	sim_listen_end(sim, obj);
	sim_retry_syns(sim);
	sim_edge(sim, obj);
	return 0;
}

int sim_shutdown(struct weir_loop *loop, int fd, int how)
{
	struct sim *sim = sim_of(loop);
	struct sim_obj *obj;
	int err;

	err = sim_socket_of(sim, fd, &obj);
	if (err)
		return err;
	if (how != SHUT_RD && how != SHUT_WR && how != SHUT_RDWR)
		return -EINVAL;
	if (obj->state == SIM_LISTEN)
		return shutdown_listener(sim, obj, how);
	if (obj->state != SIM_OPEN && !obj->connected)
		return -ENOTCONN;
	if (how != SHUT_WR)
		obj->rd_shut = true;
	if (how != SHUT_RD)
		shutdown_write(sim, obj);
	sim_edge(sim, obj);
	return 0;
}
