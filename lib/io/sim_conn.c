// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/*
 * sim_conn.c - connections of the in-memory kernel: from the handshake to the
 * reset, as TCP behaves on the loopback of Linux
 *
 * A transfer that chance cuts short raises an edge for the rest: on stream
 * sockets a short count means "no more just now", and waiting may rely on it
 * (epoll(7), questions and answers).
 */
#include <errno.h>
#include <string.h>
#include <sys/socket.h>

#include "base/list.h"
#include "io/sim.h"

static struct sim_obj *peer_of(const struct sim *sim, const struct sim_obj *obj)
{
	return obj->peer == SIM_NONE ? NULL : &sim->objs[obj->peer];
}

static int stream_of(struct sim *sim, int fd, struct sim_obj **objp)
{
	struct sim_obj *obj = sim_obj_of(sim, fd);

	if (!obj)
		return -EBADF;
	if (obj->state == SIM_FILE)
		return -ENOTSOCK;
	*objp = obj;
	return 0;
}

static int take_err(struct sim_obj *obj)
{
	int err = -obj->err;

	obj->err = 0;
	return err;
}

/* ring */

static void ring_put(struct sim *sim, struct sim_obj *obj, const unsigned char *bytes, uint32_t len)
{
	unsigned char *ring = sim->rings + (size_t)sim_obj_index(sim, obj) * sim->socket_bytes;
	uint32_t at = (uint32_t)(((uint64_t)obj->head + obj->len) % sim->socket_bytes);
	uint32_t first = min_u32(len, sim->socket_bytes - at);

	memcpy(ring + at, bytes, first);
	memcpy(ring, bytes + first, len - first);
	obj->len += len;
}

static void ring_peek(const struct sim *sim, const struct sim_obj *obj, unsigned char *bytes,
		      uint32_t len)
{
	const unsigned char *ring = sim->rings +
				    (size_t)sim_obj_index(sim, obj) * sim->socket_bytes;
	uint32_t first = min_u32(len, sim->socket_bytes - obj->head);

	memcpy(bytes, ring + obj->head, first);
	memcpy(bytes + first, ring, len - first);
}

static void ring_drop(const struct sim *sim, struct sim_obj *obj, uint32_t len)
{
	obj->head = (uint32_t)(((uint64_t)obj->head + len) % sim->socket_bytes);
	obj->len -= len;
}

/* the end of a connection */

void sim_reset(struct sim *sim, struct sim_obj *obj)
{
	struct sim_obj *peer = peer_of(sim, obj);

	obj->state = SIM_DEAD;
	obj->peer = SIM_NONE;
	obj->len = 0;
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
	struct sim_obj *peer = peer_of(sim, obj);

	if (!peer)
		return;
	/* Closing with bytes unread resets: RFC 2525, 2.17. */
	if (obj->len || obj->linger0) {
		sim_reset(sim, obj);
		return;
	}
	peer->fin = true;
	peer->peer = SIM_NONE;
	obj->peer = SIM_NONE;
	sim_edge(sim, peer);
}

void sim_listen_end(struct sim *sim, struct sim_obj *obj)
{
	while (!list_empty(&obj->queue)) {
		struct sim_obj *embryo = container_of(obj->queue.next, struct sim_obj, wait);

		sim_reset(sim, embryo);
		sim_obj_put(sim, embryo);
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

static int connect_check(const struct sim_obj *obj, const struct sim_addr *addr)
{
	switch ((enum sim_state)obj->state) {
	case SIM_NEW:
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

	err = stream_of(sim, fd, &obj);
	if (!err)
		err = sim_addr_read(&remote, addr, len);
	if (!err)
		err = connect_check(obj, &remote);
	if (err)
		return err;
	sim_addr_local(&remote);
	if (!obj->named) {
		obj->local.port = sim_port_new(sim);
		if (!obj->local.port)
			return -EADDRNOTAVAIL;
		sim_addr_local(&obj->local);
	}
	obj->remote = remote;
	obj->state = SIM_SYN;
	list_add_tail(&sim->syns, &obj->wait);
	sim_event_add(sim, sim_obj_node(sim, obj), SIM_DUE_OBJ, sim->now_ns + sim_delay(sim));
	return -EINPROGRESS;
}

int sim_connected(struct weir_loop *loop, int fd)
{
	struct sim_obj *obj;
	int err;

	err = stream_of(sim_of(loop), fd, &obj);
	if (err)
		return err;
	return obj->state == SIM_SYN ? -EAGAIN : take_err(obj);
}

int sim_accept(struct weir_loop *loop, int fd)
{
	struct sim *sim = sim_of(loop);
	struct sim_obj *obj, *conn;
	int err;

	err = stream_of(sim, fd, &obj);
	if (err)
		return err;
	if (obj->state != SIM_LISTEN)
		return -EINVAL;
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

/* recv and send */

static int recv_check(struct sim_obj *obj)
{
	if (obj->state == SIM_SYN)
		return -EAGAIN;
	if (obj->state != SIM_OPEN && obj->state != SIM_DEAD)
		return -ENOTCONN;
	return 0;
}

/* Nothing is in the ring: an error, the end, or not yet. */
static int recv_nothing(struct sim_obj *obj)
{
	if (obj->err)
		return take_err(obj);
	return obj->fin || obj->rd_shut || obj->state == SIM_DEAD ? 0 : -EAGAIN;
}

static void recv_drop(struct sim *sim, struct sim_obj *obj, uint32_t len)
{
	struct sim_obj *peer = peer_of(sim, obj);

	ring_drop(sim, obj, len);
	if (len && peer && peer->nospace) {
		peer->nospace = false;
		sim_edge(sim, peer);
	}
}

int sim_recv(struct weir_loop *loop, int fd, void *buf, uint32_t len, int flags)
{
	struct sim *sim = sim_of(loop);
	struct sim_obj *obj;
	uint32_t n;
	int err;

	err = stream_of(sim, fd, &obj);
	if (!err)
		err = recv_check(obj);
	if (err)
		return err;
	if (flags & ~(MSG_PEEK | MSG_DONTWAIT | MSG_NOSIGNAL))
		return -EOPNOTSUPP;
	if (!obj->len)
		return recv_nothing(obj);
	err = sim_fault(sim, WEIR_OP_RECV);
	if (err) {
		sim_reset(sim, obj);
		return err;
	}
	len = min_u32(len, obj->len);
	n = sim_cut(sim, len);
	ring_peek(sim, obj, buf, n);
	if (!(flags & MSG_PEEK))
		recv_drop(sim, obj, n);
	if (n < len)
		sim_edge(sim, obj);
	return (int)n;
}

/*
 * The peer has closed. The first send goes out and is answered by a reset,
 * which is told as EPIPE to one who had seen the FIN: tcp_reset().
 */
static int send_lost(struct sim *sim, struct sim_obj *obj, uint32_t len)
{
	obj->state = SIM_DEAD;
	obj->err = obj->fin ? EPIPE : ECONNRESET;
	sim_edge(sim, obj);
	return (int)len;
}

static int send_check(struct sim_obj *obj)
{
	if (obj->err)
		return take_err(obj);
	if (obj->state == SIM_SYN)
		return -EAGAIN;
	return obj->state == SIM_OPEN && !obj->wr_shut ? 0 : -EPIPE;
}

int sim_send(struct weir_loop *loop, int fd, const void *buf, uint32_t len, int flags)
{
	struct sim *sim = sim_of(loop);
	struct sim_obj *obj, *peer;
	uint32_t room, n;
	int err;

	err = stream_of(sim, fd, &obj);
	if (!err)
		err = send_check(obj);
	if (err || !len)
		return err;
	if (flags & ~(MSG_DONTWAIT | MSG_NOSIGNAL | MSG_MORE))
		return -EOPNOTSUPP;
	peer = peer_of(sim, obj);
	if (!peer)
		return send_lost(sim, obj, len);
	room = sim->socket_bytes - peer->len;
	obj->nospace = len > room;
	if (!room)
		return -EAGAIN;
	err = sim_fault(sim, WEIR_OP_SEND);
	if (err) {
		sim_reset(sim, obj);
		return err;
	}
	len = min_u32(len, room);
	n = sim_cut(sim, len);
	ring_put(sim, peer, buf, n);
	sim_edge(sim, peer);
	if (n < len)
		sim_edge(sim, obj);
	return (int)n;
}
