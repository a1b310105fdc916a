// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/*
 * sim_conn.c - connections of the in-memory kernel: from the handshake to the
 * reset, as TCP behaves on the loopback of Linux; and as AF_UNIX does, which
 * connects at once
 */
#include <errno.h>
#include <string.h>
#include <sys/socket.h>

#include "base/list.h"
#include "io/sim.h"

struct sim_obj *sim_peer(const struct sim *sim, const struct sim_obj *obj)
{
	return obj->peer == SIM_NONE ? NULL : &sim->objs[obj->peer];
}

bool sim_breaks(int err)
{
	return err == -ECONNRESET || err == -EPIPE || err == -ETIMEDOUT;
}

/* the end of a connection */

void sim_reset(struct sim *sim, struct sim_obj *obj)
{
	struct sim_obj *peer = sim_peer(sim, obj);

	obj->state = SIM_DEAD;
	obj->peer = SIM_NONE;
	sim_stream_empty(sim, obj);
	sim_edge(sim, obj);
	if (!peer)
		return;
	/* It may still read what came before: so does tcp_recvmsg(). */
	peer->state = SIM_DEAD;
	peer->peer = SIM_NONE;
	peer->err = ECONNRESET;
	sim_edge(sim, peer);
}

void sim_hang_up(struct sim *sim, struct sim_obj *obj)
{
	struct sim_obj *peer = sim_peer(sim, obj);

	if (!peer)
		return;
	/* Closing with bytes unread resets: RFC 2525, 2.17. */
	if (obj->len || (obj->linger.on && !obj->linger.seconds)) {
		sim_reset(sim, obj);
		return;
	}
	peer->fin = true;
	/* Nobody can answer any more, and AF_UNIX knows it at once. */
	peer->wr_shut |= peer->local.family == AF_UNIX;
	peer->peer = SIM_NONE;
	obj->peer = SIM_NONE;
	sim_edge(sim, peer);
}

void sim_listen_end(struct sim *sim, struct sim_obj *obj)
{
	while (!list_empty(&obj->queue)) {
		struct sim_obj *embryo = container_of(obj->queue.next, struct sim_obj, wait);

		sim_reset(sim, embryo);
		list_del(&embryo->wait);
		sim_obj_drop(sim, embryo);
	}
	obj->queued = 0;
}

/* connect and accept */

static void connect_over(struct sim *sim, struct sim_obj *obj, enum sim_state state, int err)
{
	list_del(&obj->wait);
	obj->state = (uint8_t)state;
	obj->err = -err;
	sim_edge(sim, obj);
}

static bool establish(struct sim *sim, struct sim_obj *obj, struct sim_obj *listener)
{
	struct sim_obj *embryo;

	/* As sk_acceptq_is_full(): one more than the backlog says. */
	if (listener->queued > listener->backlog)
		return false;
	embryo = sim_obj_new(sim, SIM_OPEN, true);
	if (!embryo)
		return false;
	embryo->local = obj->remote;
	embryo->remote = obj->local;
	embryo->peer = sim_obj_index(sim, obj);
	memcpy(embryo->options, listener->options, sizeof(embryo->options));
	embryo->linger = listener->linger;
	obj->peer = sim_obj_index(sim, embryo);
	list_add_tail(&listener->queue, &embryo->wait);
	listener->queued++;
	sim_edge(sim, listener);
	connect_over(sim, obj, SIM_OPEN, 0);
	return true;
}

bool sim_handshake(struct sim *sim, struct sim_obj *obj)
{
	struct sim_obj *listener = sim_listener(sim, &obj->remote);
	int err;

	if (!listener) {
		connect_over(sim, obj, SIM_DEAD, -ECONNREFUSED);
		return true;
	}
	if (listener->queued > listener->backlog)
		return false;
	err = sim_fault(sim, WEIR_OP_CONNECT);
	if (err) {
		connect_over(sim, obj, SIM_DEAD, err);
		return true;
	}
	return establish(sim, obj, listener);
}

void sim_retry_syns(struct sim *sim)
{
	struct weir_link *node, *next;

	for (node = sim->syns.next; node != &sim->syns; node = next) {
		struct sim_obj *obj = container_of(node, struct sim_obj, wait);

		next = node->next;
		if (!sim_event_queued(sim, sim_obj_node(sim, obj)))
			sim_handshake(sim, obj);
	}
}

/* To nobody: a path that is not there, or one where nobody listens. */
static int refused(const struct sim *sim, const struct sim_addr *addr)
{
	const struct sim_obj *other = sim_name_find(sim, addr);

	if (other && other->dgram)
		return -EPROTOTYPE;
	return !other && addr->path[0] ? -ENOENT : -ECONNREFUSED;
}

/* It is over at once; -EAGAIN: the backlog is full. */
static int connect_unix(struct sim *sim, struct sim_obj *obj)
{
	struct sim_obj *listener = sim_listener(sim, &obj->remote);
	int err;

	if (!listener)
		return refused(sim, &obj->remote);
	err = sim_fault(sim, WEIR_OP_CONNECT);
	if (err)
		return err;
	return establish(sim, obj, listener) ? 0 : -EAGAIN;
}

static int connect_check(const struct sim_obj *obj, const struct sim_addr *addr)
{
	switch ((enum sim_state)obj->state) {
	case SIM_NEW:
	case SIM_DGRAM:
		if (obj->dgram && addr->family == AF_UNSPEC)
			return 0;
		return addr->family == obj->local.family ? 0 : -EAFNOSUPPORT;
	case SIM_SYN:
		return -EALREADY;
	case SIM_OPEN:
	case SIM_LISTEN:
		return -EISCONN;
	default:
		return -ECONNABORTED;
	}
}

int sim_connect(struct weir_loop *loop, int fd, const struct sockaddr *addr, uint32_t len)
{
	struct sim *sim = sim_of(loop);
	struct sim_addr remote;
	struct sim_obj *obj;
	int err;

	err = sim_socket_of(sim, fd, &obj);
	if (!err)
		err = sim_addr_read(&remote, addr, len);
	if (!err)
		err = connect_check(obj, &remote);
	if (err)
		return err;
	sim_addr_local(&remote);
	if (obj->dgram)
		return sim_dgram_connect(sim, obj, &remote);
	obj->remote = remote;
	if (remote.family == AF_UNIX)
		return connect_unix(sim, obj);
	if (!obj->named) {
		obj->local.port = sim_port_new(sim);
		if (!obj->local.port)
			return -EADDRNOTAVAIL;
		sim_addr_local(&obj->local);
	}
	obj->state = SIM_SYN;
	list_add_tail(&sim->syns, &obj->wait);
	sim_event_add(sim, sim_obj_node(sim, obj), SIM_DUE_OBJ, sim->now_ns + sim_delay(sim));
	return -EINPROGRESS;
}

int sim_connected(struct weir_loop *loop, int fd)
{
	struct sim_obj *obj;
	int err;

	err = sim_socket_of(sim_of(loop), fd, &obj);
	if (err)
		return err;
	return obj->state == SIM_SYN ? -EAGAIN : sim_take_err(obj);
}

int sim_accept(struct weir_loop *loop, int fd)
{
	struct sim *sim = sim_of(loop);
	struct sim_obj *obj, *conn;
	int err;

	err = sim_socket_of(sim, fd, &obj);
	if (err)
		return err;
	if (obj->state != SIM_LISTEN)
		return obj->state == SIM_DGRAM ? -EOPNOTSUPP : -EINVAL;
	if (!obj->queued)
		return -EAGAIN;
	err = sim_fault(sim, WEIR_OP_ACCEPT);
	if (!err && !sim_obj_room(sim))
		err = -EMFILE;
	if (err) {
		/* The client stays in the queue, and is told of again. */
		sim_edge(sim, obj);
		return err;
	}
	conn = container_of(obj->queue.next, struct sim_obj, wait);
	list_del(&conn->wait);
	obj->queued--;
	sim_obj_adopt(sim, conn);
	sim_retry_syns(sim);
	return sim_obj_fd(sim, conn);
}
