// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/*
 * sim_net.c - sockets of the in-memory kernel: names, options, readiness,
 * shutdown. What a connection does is in sim_conn.c.
 */
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>

#include "base/list.h"
#include "io/sim.h"

static int socket_of(struct sim *sim, int fd, struct sim_obj **objp)
{
	struct sim_obj *obj = sim_obj_of(sim, fd);

	if (!obj)
		return -EBADF;
	if (obj->state == SIM_FILE)
		return -ENOTSOCK;
	*objp = obj;
	return 0;
}

int sim_socket(struct weir_loop *loop, int family, int type, int protocol)
{
	struct sim *sim = sim_of(loop);
	struct sim_obj *obj;

	if (family != AF_INET && family != AF_INET6)
		return -EAFNOSUPPORT;
	if ((type & ~(SOCK_NONBLOCK | SOCK_CLOEXEC)) != SOCK_STREAM)
		return -EPROTONOSUPPORT;
	obj = sim_obj_new(sim, SIM_NEW, false);
	if (!obj)
		return -EMFILE;
	sim_addr_any(&obj->local, (uint16_t)family);
	return sim_obj_fd(sim, obj);
}

int sim_recvmsg(struct weir_loop *loop, int fd, struct msghdr *msg, int flags)
{
	return -EOPNOTSUPP;
}

int sim_sendmsg(struct weir_loop *loop, int fd, const struct msghdr *msg, int flags)
{
	return -EOPNOTSUPP;
}

/* An object of this kernel has no descriptor of the real one. */
int sim_dup(struct weir_loop *loop, int fd)
{
	return -EOPNOTSUPP;
}

int sim_bind(struct weir_loop *loop, int fd, const struct sockaddr *addr, uint32_t len)
{
	struct sim *sim = sim_of(loop);
	struct sim_addr name;
	struct sim_obj *obj;
	int err;

	err = socket_of(sim, fd, &obj);
	if (err)
		return err;
	err = sim_addr_read(&name, addr, len);
	if (err)
		return err;
	if (name.family != obj->local.family)
		return -EAFNOSUPPORT;
	if (obj->state != SIM_NEW || obj->named)
		return -EINVAL;
	return sim_bind_name(sim, obj, &name);
}

int sim_listen(struct weir_loop *loop, int fd, int backlog)
{
	struct sim *sim = sim_of(loop);
	struct sim_obj *obj;
	int err;

	err = socket_of(sim, fd, &obj);
	if (err)
		return err;
	if (obj->state != SIM_NEW && obj->state != SIM_LISTEN)
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

static int set_flag(bool *flag, const void *value, uint32_t len)
{
	int on;

	if (len < sizeof(on))
		return -EINVAL;
	memcpy(&on, value, sizeof(on));
	*flag = on;
	return 0;
}

static int set_linger(struct sim_obj *obj, const void *value, uint32_t len)
{
	struct linger linger;

	if (len < sizeof(linger))
		return -EINVAL;
	memcpy(&linger, value, sizeof(linger));
	obj->linger0 = linger.l_onoff && !linger.l_linger;
	return 0;
}

static int set_socket(struct sim_obj *obj, int name, const void *value, uint32_t len)
{
	bool ignored;

	switch (name) {
	case SO_REUSEADDR:
		return set_flag(&obj->reuse_addr, value, len);
	case SO_REUSEPORT:
		return set_flag(&obj->reuse_port, value, len);
	case SO_LINGER:
		return set_linger(obj, value, len);
	case SO_KEEPALIVE:
	case SO_RCVBUF:
	case SO_SNDBUF:
	case SO_INCOMING_CPU:
		/* Nothing here depends on them. */
		return set_flag(&ignored, value, len);
	default:
		return -ENOPROTOOPT;
	}
}

int sim_setsockopt(struct weir_loop *loop, int fd, int level, int name,
		   const void *value, uint32_t len)
{
	struct sim_obj *obj;
	bool ignored;
	int err;

	err = socket_of(sim_of(loop), fd, &obj);
	if (err)
		return err;
	if (level == SOL_SOCKET)
		return set_socket(obj, name, value, len);
	if (level == IPPROTO_IPV6 && name == IPV6_V6ONLY)
		return obj->named ? -EINVAL : set_flag(&obj->v6only, value, len);
	/* No segments, so none of TCP's options changes anything. */
	if (level == IPPROTO_TCP)
		return set_flag(&ignored, value, len);
	return -ENOPROTOOPT;
}

int sim_getsockname(struct weir_loop *loop, int fd, struct sockaddr *addr, uint32_t *len)
{
	struct sim_obj *obj;
	int err;

	err = socket_of(sim_of(loop), fd, &obj);
	return err ? err : sim_addr_write(&obj->local, addr, len);
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
	case SIM_LISTEN:
		return obj->queued ? POLLIN | POLLRDNORM : 0;
	case SIM_OPEN:
		return open_mask(sim, obj) | error;
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
	if (obj->peer != SIM_NONE) {
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

	err = socket_of(sim, fd, &obj);
	if (err)
		return err;
	if (how != SHUT_RD && how != SHUT_WR && how != SHUT_RDWR)
		return -EINVAL;
	if (obj->state == SIM_LISTEN)
		return shutdown_listener(sim, obj, how);
	if (obj->state != SIM_OPEN)
		return -ENOTCONN;
	if (how != SHUT_WR)
		obj->rd_shut = true;
	if (how != SHUT_RD)
		shutdown_write(sim, obj);
	sim_edge(sim, obj);
	return 0;
}

int sim_getsockopt(struct weir_loop *loop, int fd, int level, int name, void *value,
		   uint32_t *len)
{
	struct sim_obj *obj;
	int err;

	err = socket_of(sim_of(loop), fd, &obj);
	if (err)
		return err;
	if (level != SOL_SOCKET || name != SO_COOKIE)
		return -ENOPROTOOPT;
	if (*len != sizeof(obj->cookie))
		return -EINVAL;
	memcpy(value, &obj->cookie, sizeof(obj->cookie));
	return 0;
}
