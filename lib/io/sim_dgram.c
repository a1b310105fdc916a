// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/*
 * sim_dgram.c - datagrams of the in-memory kernel: UDP, which may lose, repeat
 * and reorder them if it is asked to, and AF_UNIX, which never does
 *
 * All queues take their datagrams from one store of SIM_DGRAMS. A UDP socket
 * that is full drops what comes; one of AF_UNIX makes the sender wait.
 */
#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>

#include "base/list.h"
#include "io/sim.h"

enum {
	UDP_BYTES_MAX	= 65507,	/* what IPv4's length field leaves */
	SEGMENTS_MAX	= 128,		/* UDP_MAX_SEGMENTS */
};

/* store */

int sim_dgrams_open(struct sim *sim)
{
	uint32_t i;

	sim->dgrams = mem_get(&sim->loop->alloc, SIM_DGRAMS, sizeof(*sim->dgrams),
			      _Alignof(struct sim_dgram));
	sim->payload = sim_pages((size_t)SIM_DGRAMS * SIM_DGRAM_BYTES);
	if (!sim->dgrams || !sim->payload)
		return -ENOMEM;
	for (i = 0; i < SIM_DGRAMS; i++)
		sim->dgrams[i].next = i + 1 < SIM_DGRAMS ? i + 1 : SIM_NONE;
	return 0;
}

void sim_dgrams_close(struct sim *sim)
{
	sim_pages_free(sim->payload, (size_t)SIM_DGRAMS * SIM_DGRAM_BYTES);
	mem_put(&sim->loop->alloc, sim->dgrams, SIM_DGRAMS, sizeof(*sim->dgrams));
}

static unsigned char *payload_of(const struct sim *sim, const struct sim_dgram *dgram)
{
	return sim->payload + (size_t)(dgram - sim->dgrams) * SIM_DGRAM_BYTES;
}

/* queue */

static bool is_unix(const struct sim_obj *obj)
{
	return obj->local.family == AF_UNIX;
}

/* One that is larger than the window goes into an empty queue all the same. */
static bool has_room(const struct sim *sim, const struct sim_obj *obj, uint32_t len)
{
	if (is_unix(obj) && obj->queued >= SIM_UNIX_QUEUE)
		return false;
	return !obj->queued || len <= sim->socket_bytes - min_u32(obj->len, sim->socket_bytes);
}

/* By chance before the one that came last. */
static void queue_put(struct sim *sim, struct sim_obj *obj, struct sim_dgram *dgram)
{
	uint32_t *at = &obj->first, *before = at;

	while (*at != SIM_NONE) {
		before = at;
		at = &sim->dgrams[*at].next;
	}
	if (!is_unix(obj) && sim_chance(sim, sim->loop->sim.dgram_reorder_permille))
		at = before;
	dgram->next = *at;
	*at = (uint32_t)(dgram - sim->dgrams);
	dgram->when_ns = sim->now_ns;
	obj->queued++;
	obj->len += dgram->len;
	sim_edge(sim, obj);
}

/* Those who met a full queue may try again. */
static void tell_senders(struct sim *sim, struct sim_obj *obj)
{
	uint32_t i;

	if (!obj->crowded)
		return;
	obj->crowded = false;
	for (i = 0; i < sim->objs_max; i++) {
		struct sim_obj *other = &sim->objs[i];

		if (other->state != SIM_DGRAM || !other->nospace)
			continue;
		other->nospace = false;
		sim_edge(sim, other);
	}
}

/* Its files are the caller's affair. */
static void queue_take(struct sim *sim, struct sim_obj *obj)
{
	struct sim_dgram *dgram = &sim->dgrams[obj->first];
	uint32_t index = obj->first;

	obj->first = dgram->next;
	obj->queued--;
	obj->len -= dgram->len;
	dgram->next = sim->dgram_free;
	sim->dgram_free = index;
	tell_senders(sim, obj);
}

void sim_dgram_end(struct sim *sim, struct sim_obj *obj)
{
	uint32_t index = sim_obj_index(sim, obj);
	uint32_t i;

	while (obj->first != SIM_NONE) {
		uint32_t rights = sim->dgrams[obj->first].rights;

		queue_take(sim, obj);
		sim_rights_drop(sim, rights);
	}
	/* Who was connected to it by its name finds nobody. */
	for (i = 0; i < sim->objs_max && is_unix(obj); i++) {
		if (sim->objs[i].state == SIM_DGRAM && sim->objs[i].peer == index)
			sim->objs[i].peer = SIM_NONE;
	}
}

uint32_t sim_dgram_mask(const struct sim_obj *obj)
{
	uint32_t mask = 0;

	if (obj->queued || obj->rd_shut)
		mask |= POLLIN | POLLRDNORM;
	if (obj->rd_shut)
		mask |= POLLRDHUP;
	if (!obj->nospace)
		mask |= POLLOUT | POLLWRNORM;
	return mask;
}

/* names */

static int name_self(struct sim *sim, struct sim_obj *obj)
{
	if (obj->named || is_unix(obj))
		return 0;
	return sim_bind_name(sim, obj, &obj->local) ? -EAGAIN : 0;
}

/* Who has a name of AF_UNIX, and takes from @obj. */
static int unix_find(struct sim *sim, const struct sim_obj *obj, const struct sim_addr *addr,
		     struct sim_obj **otherp)
{
	struct sim_obj *other = sim_name_find(sim, addr);

	if (!other)
		return addr->path_len && addr->path[0] ? -ENOENT : -ECONNREFUSED;
	if (!other->dgram)
		return -EPROTOTYPE;
	if (other->connected && other->peer != sim_obj_index(sim, obj))
		return -EPERM;
	*otherp = other;
	return 0;
}

int sim_dgram_connect(struct sim *sim, struct sim_obj *obj, const struct sim_addr *addr)
{
	struct sim_obj *other = NULL;
	int err = 0;

	obj->connected = false;
	obj->peer = SIM_NONE;
	if (addr->family == AF_UNSPEC)
		return 0;
	if (is_unix(obj))
		err = unix_find(sim, obj, addr, &other);
	else
		err = addr->port ? name_self(sim, obj) : -ECONNREFUSED;
	if (err)
		return err;
	if (other)
		obj->peer = sim_obj_index(sim, other);
	else
		sim_addr_local(&obj->local);
	obj->remote = *addr;
	obj->connected = true;
	return 0;
}

/* recv */

/* The name of @dgram's sender, as far as there is room for it. */
static void write_name(const struct sim_dgram *dgram, struct msghdr *msg)
{
	/* One of AF_UNIX without a name has none. */
	if (!msg->msg_name || (dgram->from.family == AF_UNIX && !dgram->from.path_len))
		msg->msg_namelen = 0;
	else if (msg->msg_namelen)
		sim_addr_write(&dgram->from, msg->msg_name, &msg->msg_namelen);
}

/* An error of the network is not for the socket to break at. */
static int fault(struct sim *sim, enum weir_opcode opcode)
{
	int err = sim_fault(sim, opcode);

	return sim_breaks(err) ? 0 : err;
}

int sim_dgram_recv(struct sim *sim, struct sim_obj *obj, struct msghdr *msg, uint32_t len,
		   int flags, enum weir_opcode opcode)
{
	bool peek = flags & MSG_PEEK;
	struct sim_dgram dgram;
	uint32_t n;
	int err;

	err = obj->err ? sim_take_err(obj) : 0;
	if (!err && !obj->queued)
		err = obj->rd_shut ? 0 : -EAGAIN;
	else if (!err)
		err = fault(sim, opcode);
	if (err || !obj->queued) {
		msg->msg_namelen = 0;
		msg->msg_controllen = 0;
		msg->msg_flags = 0;
		return err;
	}
	dgram = sim->dgrams[obj->first];
	n = min_u32(len, dgram.len);
	sim_iov_put(msg, 0, payload_of(sim, &sim->dgrams[obj->first]), n);
	if (!peek)
		queue_take(sim, obj);
	write_name(&dgram, msg);
	sim_control_write(sim, obj, msg, dgram.rights, &dgram, peek);
	if (n < dgram.len)
		msg->msg_flags |= MSG_TRUNC;
	if (obj->queued)
		sim_edge(sim, obj);
	return (int)(flags & MSG_TRUNC ? dgram.len : n);
}

/* send */

/* What is sent, and to whom. */
struct parcel {
	const struct msghdr *msg;
	struct sim_obj *from;
	struct sim_obj *to;
	struct sim_addr addr;
	uint32_t segment;
	uint32_t rights;
};

/* Bytes [@at, @at + @len) of it as one datagram: 0, or -ENOBUFS. */
static int deliver(struct sim *sim, const struct parcel *parcel, uint32_t at, uint32_t len,
		   uint32_t segment)
{
	struct sim_dgram *dgram;

	if (sim->dgram_free == SIM_NONE)
		return -ENOBUFS;
	dgram = &sim->dgrams[sim->dgram_free];
	sim->dgram_free = dgram->next;
	dgram->len = len;
	dgram->segment = segment;
	dgram->rights = parcel->rights;
	dgram->from = parcel->from->local;
	sim_addr_local(&dgram->from);
	sim_iov_get(parcel->msg, at, payload_of(sim, dgram), len);
	queue_put(sim, parcel->to, dgram);
	return 0;
}

/* One datagram over the network: it comes once, or by chance twice or never. */
static void transmit(struct sim *sim, const struct parcel *parcel, uint32_t at, uint32_t len,
		     uint32_t segment)
{
	const struct weir_sim_opts *opts = &sim->loop->sim;
	unsigned int copies = 1;

	if (sim_chance(sim, opts->dgram_loss_permille))
		copies = 0;
	else if (sim_chance(sim, opts->dgram_copy_permille))
		copies = 2;
	while (copies-- && has_room(sim, parcel->to, len))
		deliver(sim, parcel, at, len, segment);
}

/* A whole train to one who takes it as such, else wagon by wagon. */
static int send_udp(struct sim *sim, const struct parcel *parcel, uint32_t len)
{
	uint32_t segment = parcel->segment;
	uint32_t at = 0, n;

	if (len > UDP_BYTES_MAX)
		return -EMSGSIZE;
	if (segment && len > segment * SEGMENTS_MAX)
		return -EINVAL;
	if (!parcel->to) {
		/* A port unreachable comes back, and is told to who is connected. */
		if (parcel->from->connected) {
			parcel->from->err = ECONNREFUSED;
			sim_edge(sim, parcel->from);
		}
		return (int)len;
	}
	if (!segment || len <= segment || parcel->to->options[SIM_UDP_GRO]) {
		transmit(sim, parcel, 0, len, len > segment ? segment : 0);
		return (int)len;
	}
	for (; at < len; at += n) {
		n = min_u32(segment, len - at);
		transmit(sim, parcel, at, n, 0);
	}
	return (int)len;
}

static int send_unix(struct sim *sim, const struct parcel *parcel, uint32_t len)
{
	int err;

	if (len > SIM_DGRAM_BYTES)
		return -EMSGSIZE;
	if (parcel->to->rd_shut)
		return -EPIPE;
	if (!has_room(sim, parcel->to, len)) {
		parcel->from->nospace = true;
		parcel->to->crowded = true;
		return -EAGAIN;
	}
	err = deliver(sim, parcel, 0, len, 0);
	return err ? err : (int)len;
}

static int find_receiver(struct sim *sim, struct parcel *parcel)
{
	const struct msghdr *msg = parcel->msg;
	struct sim_obj *from = parcel->from;
	int err;

	if (msg->msg_name) {
		err = sim_addr_read(&parcel->addr, msg->msg_name, msg->msg_namelen);
		if (err)
			return err;
		if (parcel->addr.family != from->local.family)
			return -EAFNOSUPPORT;
		sim_addr_local(&parcel->addr);
	} else if (from->connected) {
		parcel->addr = from->remote;
	} else {
		return is_unix(from) ? -ENOTCONN : -EDESTADDRREQ;
	}
	if (is_unix(from) && msg->msg_name)
		return unix_find(sim, from, &parcel->addr, &parcel->to);
	if (is_unix(from)) {
		parcel->to = sim_peer(sim, from);
		return parcel->to ? 0 : -ECONNREFUSED;
	}
	err = name_self(sim, from);
	if (!err) {
		struct sim_addr self = from->local;

		sim_addr_local(&self);
		parcel->to = sim_receiver(sim, &parcel->addr, &self);
	}
	return err;
}

int sim_dgram_send(struct sim *sim, struct sim_obj *obj, const struct msghdr *msg,
		   uint32_t len, enum weir_opcode opcode)
{
	struct parcel parcel = { .msg = msg, .from = obj };
	struct sim_control control;
	int res;

	if (obj->err)
		return sim_take_err(obj);
	if (obj->wr_shut)
		return -EPIPE;
	res = find_receiver(sim, &parcel);
	if (!res)
		res = fault(sim, opcode);
	if (!res)
		res = sim_control_read(sim, obj, msg, &control);
	if (res)
		return res;
	parcel.segment = control.segment;
	parcel.rights = control.rights;
	res = is_unix(obj) ? send_unix(sim, &parcel, len) : send_udp(sim, &parcel, len);
	/* Not even once on its way. */
	if (res < 0)
		sim_rights_drop(sim, control.rights);
	return res;
}
