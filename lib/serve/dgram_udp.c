// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/*
 * dgram_udp.c - datagrams by a UDP socket of each worker
 *
 * One receive is armed for ever. What is sent is gathered: datagrams to one peer,
 * all but the last of one size, become one message that the kernel cuts
 * (UDP_SEGMENT), without a copy of what lies in leases. A message that the kernel
 * does not cut (a segment above the path's MTU, a device without checksums) is sent
 * again one datagram at a time, and none of that size is merged any more.
 *
 * A stop leaves the steering first and goes on receiving until some turns brought
 * nothing, since nobody else would ever take what waits in this socket.
 */
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/udp.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

#include <weir/msg.h>
#include <weir/option.h>

#include "io/backend.h"
#include "serve/service.h"

enum {
	PIECES_MAX	= 16,		/* places in memory that one message is gathered from */
	MERGE_MAX	= 64,		/* UDP_MAX_SEGMENTS of the kernel */
	MERGE_BYTES	= 65000,
	QUIET_TURNS	= 4,		/* without a datagram, and a stop receives no more */
	STOP_TURNS	= 1024,		/* nor after so many */
	RETRY_NS	= 10000000,	/* 10 ms, after receiving failed twice */
};

/* A message on its way out. */
struct message {
	struct weir_op op;
	struct udp *udp;
	struct message *next;		/* free list */
	struct msghdr msg;
	struct weir_addr peer;
	struct iovec iov[PIECES_MAX];
	struct weir_lease *leases[PIECES_MAX];
	struct iovec one;		/* of it, when sent one at a time */
	uint32_t pieces;
	uint32_t datagrams;
	uint32_t segment;		/* size of each of them but the last */
	uint32_t bytes;
	uint32_t piece;			/* where the one is */
	uint32_t left;			/* datagrams still to be sent one by one */
	bool full;			/* the last one was shorter */
	union {
		struct cmsghdr head;	/* for its alignment */
		unsigned char bytes[CMSG_SPACE(sizeof(uint16_t))];
	} control;
};

struct udp {
	struct weir_dgram *dgram;
	struct worker *worker;
	struct weir_file file;
	struct weir_op recv;
	struct weir_op retry;
	struct weir_op quiet;
	struct weir_op close;
	struct msghdr room;		/* for the name and control of one received */
	struct message *messages;
	struct message *free;
	struct message *filling;
	struct weir_lease *copies;	/* where datagrams without a lease go */
	uint32_t copied;		/* bytes used of it */
	uint32_t max;
	uint32_t busy;			/* messages in use */
	uint32_t merge_bytes;		/* datagrams of up to this size are merged */
	uint32_t failures;		/* of receiving, in a row */
	uint32_t stop_turns;		/* left */
	uint32_t quiet_turns;		/* in a row */
	uint64_t quiet_seen;
	bool gro;
	bool stopping;
	bool sending_over;		/* the stop takes no more */
	bool aborted;
};

/* out */

static void message_put(struct message *message)
{
	struct udp *udp = message->udp;
	uint32_t i;

	for (i = 0; i < message->pieces; i++)
		weir_lease_put(message->leases[i]);
	message->pieces = 0;
	message->next = udp->free;
	udp->free = message;
	udp->busy--;
}

static struct message *message_get(struct udp *udp, const struct weir_datagram *datagram)
{
	struct message *message = udp->free;

	if (!message)
		return NULL;
	udp->free = message->next;
	udp->busy++;
	memcpy(&message->peer.ss, &datagram->peer->ss, datagram->peer->len);
	message->peer.len = datagram->peer->len;
	message->pieces = 0;
	message->datagrams = 0;
	message->segment = datagram->len;
	message->bytes = 0;
	message->full = !datagram->len;
	return message;
}

static void close_when_idle(struct udp *udp);

static void message_end(struct message *message)
{
	struct udp *udp = message->udp;

	message_put(message);
	if (udp->sending_over)
		close_when_idle(udp);
	else if (udp->busy <= udp->max / 2)
		weir_dgram_room(udp->dgram);
}

static void message_submit(struct message *message, weir_done_fn *done)
{
	weir_prep_sendmsg(&message->op, message->udp->file, &message->msg, MSG_NOSIGNAL, done,
			  message);
	weir_submit(message->udp->worker->loop, &message->op);
}

static void one_sent(struct weir_op *op);

/* The next of its datagrams alone: each lies within one piece. */
static void one_submit(struct message *message)
{
	const struct iovec *piece = &message->iov[message->piece];
	unsigned char *end = (unsigned char *)piece->iov_base + piece->iov_len;
	unsigned char *at = (unsigned char *)message->one.iov_base + message->one.iov_len;

	if (at == end) {
		piece = &message->iov[++message->piece];
		at = piece->iov_base;
		end = at + piece->iov_len;
	}
	message->one.iov_base = at;
	message->one.iov_len = min_u32(message->segment, (uint32_t)(end - at));
	message_submit(message, one_sent);
}

static void one_sent(struct weir_op *op)
{
	struct message *message = op->ctx;
	bool sent = op->res >= 0;

	weir_dgram_count(message->udp->dgram, sent, !sent, 0);
	if (!--message->left)
		message_end(message);
	else
		one_submit(message);
}

static void send_one_by_one(struct message *message)
{
	message->piece = 0;
	message->left = message->datagrams;
	message->one = (struct iovec){ .iov_base = message->iov[0].iov_base };
	message->msg.msg_iov = &message->one;
	message->msg.msg_iovlen = 1;
	message->msg.msg_control = NULL;
	message->msg.msg_controllen = 0;
	one_submit(message);
}

/* The kernel does not cut it: for want of checksums none, else none of its size. */
static bool not_cut(const struct message *message, int res)
{
	return message->datagrams > 1 && (res == -EINVAL || res == -EMSGSIZE || res == -EIO);
}

static void message_sent(struct weir_op *op)
{
	struct message *message = op->ctx;
	uint32_t segment = message->segment;
	struct udp *udp = message->udp;

	if (not_cut(message, op->res)) {
		udp->merge_bytes = min_u32(udp->merge_bytes, op->res == -EIO ? 0 : segment - 1);
		send_one_by_one(message);
		return;
	}
	if (op->res >= 0)
		weir_dgram_count(udp->dgram, message->datagrams, 0, 0);
	else
		weir_dgram_count(udp->dgram, 0, message->datagrams, 0);
	if (op->res < 0 && udp->aborted)
		udp->worker->aborted += message->datagrams;
	message_end(message);
}

static void copies_drop(struct udp *udp)
{
	weir_lease_put(udp->copies);
	udp->copies = NULL;
	udp->copied = 0;
}

static void filling_submit(struct udp *udp)
{
	struct message *message = udp->filling;
	bool cut = message && message->datagrams > 1;
	int err = 0;

	udp->filling = NULL;
	if (!message)
		return;
	message->msg = (struct msghdr){
		.msg_name	= &message->peer.ss,
		.msg_namelen	= message->peer.len,
		.msg_iov	= message->iov,
		.msg_iovlen	= message->pieces,
		.msg_control	= cut ? &message->control : NULL,
	};
	if (cut)
		err = weir_msg_put_segment(&message->msg, sizeof(message->control),
					   (uint16_t)message->segment);
	assert(!err);
	(void)err;
	message_submit(message, message_sent);
}

static void udp_flush(void *port)
{
	struct udp *udp = port;

	filling_submit(udp);
	copies_drop(udp);
}

/* Right behind the last piece, and of the same buffer? */
static bool goes_on(const struct message *message, const struct weir_datagram *datagram)
{
	const struct iovec *last;

	if (!message->pieces)
		return false;
	last = &message->iov[message->pieces - 1];
	return datagram->lease == message->leases[message->pieces - 1] &&
	       datagram->data == (unsigned char *)last->iov_base + last->iov_len;
}

static bool same_peer(const struct message *message, const struct weir_datagram *datagram)
{
	return message->peer.len == datagram->peer->len &&
	       !memcmp(&message->peer.ss, &datagram->peer->ss, message->peer.len);
}

static bool fits(const struct udp *udp, const struct message *message,
		 const struct weir_datagram *datagram)
{
	return !message->full && datagram->len && datagram->len <= message->segment &&
	       message->segment <= udp->merge_bytes && message->datagrams < MERGE_MAX &&
	       message->bytes + datagram->len <= MERGE_BYTES && same_peer(message, datagram) &&
	       (message->pieces < PIECES_MAX || goes_on(message, datagram));
}

static void message_add(struct message *message, const struct weir_datagram *datagram)
{
	uint32_t i = message->pieces;

	message->datagrams++;
	message->bytes += datagram->len;
	message->full |= datagram->len < message->segment;
	if (goes_on(message, datagram)) {
		message->iov[i - 1].iov_len += datagram->len;
		return;
	}
	message->iov[i] = (struct iovec){
		.iov_base = (void *)(uintptr_t)datagram->data, .iov_len = datagram->len,
	};
	message->leases[i] = datagram->lease ? weir_lease_get(datagram->lease) : NULL;
	message->pieces++;
}

/* Make room for a copy behind the last one, or in a spare buffer. */
static int copy_room(struct udp *udp, uint32_t len)
{
	if (len > udp->worker->service->opts.buf_bytes)
		return -EMSGSIZE;
	if (udp->copies && weir_lease_size(udp->copies) - udp->copied >= len)
		return 0;
	copies_drop(udp);
	return weir_pool_lease(udp->worker->pool, &udp->copies);
}

static void copy(struct udp *udp, struct weir_datagram *datagram)
{
	unsigned char *to = (unsigned char *)weir_lease_data(udp->copies) + udp->copied;

	memcpy(to, datagram->data, datagram->len);
	datagram->data = to;
	datagram->lease = udp->copies;
	udp->copied += datagram->len;
}

static int udp_send(void *port, const struct weir_datagram *given)
{
	struct weir_datagram datagram = *given;
	struct udp *udp = port;
	int err;

	if (udp->sending_over)
		return -ESHUTDOWN;
	if (!datagram.peer->len || datagram.peer->len > sizeof(datagram.peer->ss) ||
	    (datagram.len && !datagram.data))
		return -EINVAL;
	if (!datagram.len)
		datagram.data = udp;	/* an address, from which nothing is read */
	if (udp->filling && !fits(udp, udp->filling, &datagram) && !udp->free)
		return -EAGAIN;
	if (!udp->filling && !udp->free)
		return -EAGAIN;
	if (datagram.len && !datagram.lease) {
		err = copy_room(udp, datagram.len);
		if (err)
			return err;
		copy(udp, &datagram);
	}
	if (udp->filling && !fits(udp, udp->filling, &datagram))
		filling_submit(udp);
	if (!udp->filling)
		udp->filling = message_get(udp, &datagram);
	message_add(udp->filling, &datagram);
	return 0;
}

/* in */

static void recv_arm(struct udp *udp);

static void deliver(struct udp *udp, struct weir_lease *lease, const struct weir_msg *msg)
{
	uint32_t segment = udp->gro ? weir_msg_segment(msg) : msg->len;
	struct weir_addr peer = { .len = msg->name_len };
	struct weir_datagram datagram = { .peer = &peer, .lease = lease, .data = msg->data };
	uint32_t left = msg->len;

	memcpy(&peer.ss, msg->name, msg->name_len);
	do {
		datagram.len = min_u32(segment, left);
		left -= datagram.len;
		dgram_deliver(udp->dgram, &datagram);
		datagram.data = (const unsigned char *)datagram.data + datagram.len;
	} while (left);
}

static void received(struct udp *udp, struct weir_op *op)
{
	struct weir_msg msg;

	meter_accepted(udp->worker);
	udp->failures = 0;
	if (weir_msg_read(op, &msg) || !msg.name || msg.flags & MSG_TRUNC)
		weir_dgram_count(udp->dgram, 0, 0, 1);
	else
		deliver(udp, op->lease, &msg);
}

static void retry_done(struct weir_op *op)
{
	struct udp *udp = op->ctx;

	if (!op->res && !udp->stopping)
		recv_arm(udp);
}

static void recv_done(struct weir_op *op)
{
	struct udp *udp = op->ctx;

	if (op->res >= 0 && op->lease)
		received(udp, op);
	if (op->more || udp->sending_over || op->res == -ECANCELED)
		return;
	if (op->res >= 0 || !udp->failures++) {
		recv_arm(udp);
		return;
	}
	weir_prep_timeout(&udp->retry, deadline_after(weir_loop_now(udp->worker->loop), RETRY_NS),
			  retry_done, udp);
	weir_submit(udp->worker->loop, &udp->retry);
}

static void recv_arm(struct udp *udp)
{
	weir_prep_recvmsg_pool(&udp->recv, udp->file, udp->worker->pool, &udp->room, recv_done,
			       udp);
	weir_submit(udp->worker->loop, &udp->recv);
}

static void udp_start(void *port)
{
	recv_arm(port);
}

/* stop */

static void closed(struct weir_op *op)
{
	struct udp *udp = op->ctx;

	weir_dgram_stopped(udp->dgram);
}

static void close_when_idle(struct udp *udp)
{
	if ((udp->busy && !udp->aborted) || weir_op_busy(&udp->close) || !udp->file.gen)
		return;
	weir_prep_close(&udp->close, udp->file, closed, udp);
	udp->file = (struct weir_file){ 0 };
	weir_submit(udp->worker->loop, &udp->close);
}

static void receiving_over(struct udp *udp)
{
	if (udp->sending_over)
		return;
	udp_flush(udp);
	udp->sending_over = true;
	weir_cancel(udp->worker->loop, &udp->recv);
	weir_cancel(udp->worker->loop, &udp->retry);
	weir_cancel(udp->worker->loop, &udp->quiet);
	close_when_idle(udp);
}

static void turned(struct weir_op *op);

static void another_turn(struct udp *udp)
{
	udp->quiet_seen = udp->worker->meter.stats.accepted;
	weir_prep_nop(&udp->quiet, turned, udp);
	weir_submit(udp->worker->loop, &udp->quiet);
}

static void turned(struct weir_op *op)
{
	struct udp *udp = op->ctx;

	if (udp->sending_over)
		return;
	udp->quiet_turns = udp->quiet_seen == udp->worker->meter.stats.accepted ?
			   udp->quiet_turns + 1 : 0;
	if (op->res || udp->quiet_turns == QUIET_TURNS || !udp->stop_turns--)
		receiving_over(udp);
	else
		another_turn(udp);
}

static void udp_stop(void *port, int now)
{
	struct udp *udp = port;

	if (!udp->stopping) {
		udp->stopping = true;
		udp->stop_turns = STOP_TURNS;
		another_turn(udp);
	}
	if (!now)
		return;
	udp->aborted = true;
	receiving_over(udp);
	close_when_idle(udp);
}

/* open and close */

static int bind_socket(struct worker *w)
{
	const struct io_sys *sys = w->loop->sys;
	struct weir_addr *addr = &w->service->addr;
	int on = 1, err = 0, fd;

	if (addr->ss.ss_family != AF_INET && addr->ss.ss_family != AF_INET6)
		return -EAFNOSUPPORT;
	fd = sys->socket(w->loop, addr->ss.ss_family, SOCK_DGRAM, 0);
	if (fd < 0)
		return fd;
	/* Of one worker too: steering needs a group, and a later one may join it. */
	err = sys->setsockopt(w->loop, fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof(on));
	if (!err)
		err = sys->bind(w->loop, fd, (const struct sockaddr *)&addr->ss, addr->len);
	/* The first one's port is everybody's. */
	if (!err)
		err = sys->getsockname(w->loop, fd, (struct sockaddr *)&addr->ss, &addr->len);
	if (!err)
		return fd;
	sys->close(w->loop, fd);
	return err;
}

/* One of the caller's, that is bound already. */
static int take_socket(struct worker *w)
{
	int given = w->service->opts.listeners[w->index], type, fd;
	struct weir_addr addr = { .len = sizeof(addr.ss) };
	socklen_t len = sizeof(type);

	if (w->loop->sys != &io_sys_linux)
		return -EOPNOTSUPP;
	if (getsockopt(given, SOL_SOCKET, SO_TYPE, &type, &len) || type != SOCK_DGRAM ||
	    getsockname(given, (struct sockaddr *)&addr.ss, &addr.len) ||
	    !((const struct sockaddr_in *)(const void *)&addr.ss)->sin_port)
		return -EINVAL;
	fd = fcntl(given, F_DUPFD_CLOEXEC, 0);
	if (fd < 0)
		return -errno;
	w->service->addr = addr;
	return fd;
}

static int socket_open(struct udp *udp)
{
	struct worker *w = udp->worker;
	int on = 1, err, fd;

	fd = w->service->opts.listeners ? take_socket(w) : bind_socket(w);
	if (fd < 0)
		return fd;
	if (w->service->opts.buf_bytes >= WEIR_DGRAM_GRO_BYTES)
		udp->gro = !w->loop->sys->setsockopt(w->loop, fd, SOL_UDP, UDP_GRO, &on,
						     sizeof(on));
	err = weir_file_adopt(w->loop, fd, &udp->file);
	if (err)
		w->loop->sys->close(w->loop, fd);
	return err;
}

static void udp_close(void *port)
{
	struct udp *udp = port;
	const struct weir_alloc *alloc = &udp->worker->service->alloc;

	mem_put(alloc, udp->messages, udp->max, sizeof(*udp->messages));
	mem_put(alloc, udp, 1, sizeof(*udp));
}

static int messages_open(struct udp *udp)
{
	uint32_t i;

	udp->messages = mem_get(&udp->worker->service->alloc, udp->max, sizeof(*udp->messages),
				WEIR_CACHELINE_BYTES);
	if (!udp->messages)
		return -ENOMEM;
	for (i = udp->max; i-- > 0;) {
		udp->messages[i].udp = udp;
		udp->messages[i].next = udp->free;
		udp->free = &udp->messages[i];
	}
	return 0;
}

static int udp_open(struct weir_dgram_carrier *carrier, struct weir_dgram *dgram, void **portp)
{
	struct worker *w = dgram->worker;
	struct udp *udp = mem_get(&w->service->alloc, 1, sizeof(*udp), _Alignof(struct udp));
	int err;

	if (!udp)
		return -ENOMEM;
	udp->dgram = dgram;
	udp->worker = w;
	udp->max = w->service->opts.conns_max;
	udp->merge_bytes = MERGE_BYTES;
	err = messages_open(udp);
	if (!err)
		err = socket_open(udp);
	if (err) {
		udp_close(udp);
		return err;
	}
	udp->room.msg_namelen = sizeof(struct sockaddr_in6);
	udp->room.msg_controllen = udp->gro ? CMSG_SPACE(sizeof(int)) : 0;
	*portp = udp;
	return 0;
}

int dgram_udp_fd(const struct worker *w)
{
	const struct udp *udp = w->dgram.ports[w->dgram.count - 1].port;

	/* A simulated one has none; who steers by the kernel refuses that. */
	return weir_file_fd(w->loop, udp->file);
}

const struct weir_dgram_carrier_ops dgram_udp_ops = {
	.sz	= sizeof(struct weir_dgram_carrier_ops),
	.name	= "udp",
	.open	= udp_open,
	.start	= udp_start,
	.send	= udp_send,
	.flush	= udp_flush,
	.stop	= udp_stop,
	.close	= udp_close,
};
