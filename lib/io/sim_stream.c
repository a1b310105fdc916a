// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/*
 * sim_stream.c - bytes of a connection in the in-memory kernel
 *
 * A transfer that chance cuts short raises an edge for the rest: on stream
 * sockets a short count means "no more just now", and waiting may rely on it
 * (epoll(7), questions and answers).
 *
 * Files that a message carries belong to its first byte: a receive ends before
 * it, unless it begins there.
 */
#include <errno.h>
#include <string.h>
#include <sys/socket.h>

#include "io/sim.h"

/* ring */

static unsigned char *ring_of(const struct sim *sim, const struct sim_obj *obj)
{
	return sim->rings + (size_t)sim_obj_index(sim, obj) * sim->socket_bytes;
}

void sim_ring_put(struct sim *sim, struct sim_obj *obj, const struct msghdr *msg, uint32_t len)
{
	unsigned char *ring = ring_of(sim, obj);
	uint32_t at = (uint32_t)(((uint64_t)obj->head + obj->len) % sim->socket_bytes);
	uint32_t first = min_u32(len, sim->socket_bytes - at);

	sim_iov_get(msg, 0, ring + at, first);
	sim_iov_get(msg, first, ring, len - first);
	obj->len += len;
}

void sim_ring_peek(const struct sim *sim, const struct sim_obj *obj, const struct msghdr *msg,
		   uint32_t len)
{
	const unsigned char *ring = ring_of(sim, obj);
	uint32_t first = min_u32(len, sim->socket_bytes - obj->head);

	sim_iov_put(msg, 0, ring + obj->head, first);
	sim_iov_put(msg, first, ring, len - first);
}

void sim_ring_drop(const struct sim *sim, struct sim_obj *obj, uint32_t len)
{
	obj->head = (uint32_t)(((uint64_t)obj->head + len) % sim->socket_bytes);
	obj->taken += len;
	obj->len -= len;
}

/* files in a stream */

static void rights_add(struct sim *sim, struct sim_obj *obj, uint32_t rights)
{
	uint32_t *last = &obj->rights;

	while (*last != SIM_NONE)
		last = &sim->rights[*last].next;
	sim->rights[rights].at = obj->taken + obj->len;
	sim->rights[rights].next = SIM_NONE;
	*last = rights;
}

/* The message that begins right here, or SIM_NONE. */
static uint32_t rights_here(const struct sim *sim, const struct sim_obj *obj)
{
	return obj->rights != SIM_NONE && sim->rights[obj->rights].at == obj->taken ?
	       obj->rights : SIM_NONE;
}

/* How many bytes may be read before the next message that carries files. */
static uint32_t readable(const struct sim *sim, const struct sim_obj *obj)
{
	uint32_t next = obj->rights;

	if (next != SIM_NONE && next == rights_here(sim, obj))
		next = sim->rights[next].next;
	return next == SIM_NONE ? obj->len : (uint32_t)(sim->rights[next].at - obj->taken);
}

void sim_stream_empty(struct sim *sim, struct sim_obj *obj)
{
	obj->len = 0;
	while (obj->rights != SIM_NONE) {
		uint32_t rights = obj->rights;

		obj->rights = sim->rights[rights].next;
		sim_rights_drop(sim, rights);
	}
}

/* recv */

static int recv_check(const struct sim_obj *obj)
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
		return sim_take_err(obj);
	return obj->fin || obj->rd_shut || obj->state == SIM_DEAD ? 0 : -EAGAIN;
}

static void recv_drop(struct sim *sim, struct sim_obj *obj, uint32_t len)
{
	struct sim_obj *peer = sim_peer(sim, obj);

	sim_ring_drop(sim, obj, len);
	if (len && peer && peer->nospace) {
		peer->nospace = false;
		sim_edge(sim, peer);
	}
}

/* An error by chance; one that breaks connections breaks this one. */
static int fault(struct sim *sim, struct sim_obj *obj, enum weir_opcode opcode)
{
	int err = sim_fault(sim, opcode);

	if (sim_breaks(err))
		sim_reset(sim, obj);
	return err;
}

int sim_stream_recv(struct sim *sim, struct sim_obj *obj, struct msghdr *msg, uint32_t len,
		    int flags, enum weir_opcode opcode)
{
	bool peek = flags & MSG_PEEK;
	uint32_t rights, n;
	int err;

	err = recv_check(obj);
	if (!err && !obj->len)
		err = recv_nothing(obj);
	else if (!err)
		err = fault(sim, obj, opcode);
	if (err || !obj->len || !len) {
		msg->msg_namelen = 0;
		msg->msg_controllen = 0;
		msg->msg_flags = 0;
		return err;
	}
	rights = rights_here(sim, obj);
	len = min_u32(len, readable(sim, obj));
	n = sim_cut(sim, len);
	/* tcp(7): with MSG_TRUNC bytes are counted, not handed over. */
	if (!(flags & MSG_TRUNC) || obj->local.family == AF_UNIX)
		sim_ring_peek(sim, obj, msg, n);
	if (!peek && rights != SIM_NONE)
		obj->rights = sim->rights[rights].next;
	if (!peek)
		recv_drop(sim, obj, n);
	msg->msg_namelen = 0;
	sim_control_write(sim, obj, msg, rights, NULL, peek);
	if (obj->len && !peek)
		sim_edge(sim, obj);
	return (int)n;
}

/* send */

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
		return sim_take_err(obj);
	if (obj->state == SIM_SYN)
		return -EAGAIN;
	return obj->state == SIM_OPEN && !obj->wr_shut ? 0 : -EPIPE;
}

/* To a peer with room for @len: all of it, or by chance less. */
static int send_bytes(struct sim *sim, struct sim_obj *obj, const struct msghdr *msg,
		      uint32_t len)
{
	struct sim_obj *peer = sim_peer(sim, obj);
	struct sim_control control;
	uint32_t n;
	int err;

	err = sim_control_read(sim, obj, msg, &control);
	if (err)
		return err;
	if (control.rights != SIM_NONE)
		rights_add(sim, peer, control.rights);
	n = sim_cut(sim, len);
	sim_ring_put(sim, peer, msg, n);
	sim_edge(sim, peer);
	if (n < len)
		sim_edge(sim, obj);
	return (int)n;
}

int sim_stream_send(struct sim *sim, struct sim_obj *obj, const struct msghdr *msg,
		    uint32_t len, enum weir_opcode opcode)
{
	struct sim_obj *peer = sim_peer(sim, obj);
	uint32_t room;
	int err;

	err = send_check(obj);
	if (!err && msg->msg_namelen && obj->local.family == AF_UNIX)
		err = -EISCONN;
	if (err || !len)
		return err;
	if (!peer)
		return send_lost(sim, obj, len);
	room = sim->socket_bytes - peer->len;
	obj->nospace = len > room;
	if (!room)
		return -EAGAIN;
	err = fault(sim, obj, opcode);
	return err ? err : send_bytes(sim, obj, msg, min_u32(len, room));
}
