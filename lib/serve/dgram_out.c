// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/*
 * dgram_out.c - datagrams on their way out of a worker's UDP socket
 *
 * What is sent is gathered: datagrams to one peer, all but the last of one size,
 * become one message that the kernel cuts (UDP_SEGMENT), without a copy of what lies
 * in leases. A message that the kernel does not cut (a segment above the path's MTU,
 * a device without checksums) is sent again one datagram at a time, and none of that
 * size is merged any more.
 */
#include <errno.h>
#include <string.h>

#include "serve/dgram_udp.h"

#define MERGE_MAX	64		/* UDP_MAX_SEGMENTS of the kernel */

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
	message->own.len = 0;
	if (datagram->own)
		message->own = *datagram->own;
	message->pieces = 0;
	message->datagrams = 0;
	message->segment = datagram->len;
	message->bytes = 0;
	message->full = !datagram->len;
	return message;
}

static void message_end(struct message *message)
{
	struct udp *udp = message->udp;

	message_put(message);
	if (udp->sending_over)
		udp_close_when_idle(udp);
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

static void message_fill(struct message *message, struct iovec *iov, uint32_t pieces,
			 uint32_t segment)
{
	struct msghdr *msg = &message->msg;
	int err;

	*msg = (struct msghdr){
		.msg_name	= &message->peer.ss,
		.msg_namelen	= message->peer.len,
		.msg_iov	= iov,
		.msg_iovlen	= pieces,
		.msg_control	= &message->control,
	};
	err = udp_own_put(msg, sizeof(message->control), &message->own);
	if (!err && segment)
		err = weir_msg_put_segment(msg, sizeof(message->control), (uint16_t)segment);
	assert(!err);
	(void)err;
	if (!msg->msg_controllen)
		msg->msg_control = NULL;
}

static void send_one_by_one(struct message *message)
{
	message->piece = 0;
	message->left = message->datagrams;
	message->one = (struct iovec){ .iov_base = message->iov[0].iov_base };
	message_fill(message, &message->one, 1, 0);
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

	udp->filling = NULL;
	if (!message)
		return;
	message_fill(message, message->iov, message->pieces,
		     message->datagrams > 1 ? message->segment : 0);
	message_submit(message, message_sent);
}

void udp_flush(void *port)
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

static bool same_addr(const struct weir_addr *a, const struct weir_addr *b)
{
	return a->len == b->len && !memcmp(&a->ss, &b->ss, a->len);
}

static bool same_ends(const struct message *message, const struct weir_datagram *datagram)
{
	static const struct weir_addr none;

	return same_addr(&message->peer, datagram->peer) &&
	       same_addr(&message->own, datagram->own ? datagram->own : &none);
}

static bool fits(const struct udp *udp, const struct message *message,
		 const struct weir_datagram *datagram)
{
	return !message->full && datagram->len && datagram->len <= message->segment &&
	       message->segment <= udp->merge_bytes && message->datagrams < MERGE_MAX &&
	       message->bytes + datagram->len <= MERGE_BYTES && same_ends(message, datagram) &&
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

static bool own_valid(const struct udp *udp, const struct weir_addr *own)
{
	return !own || (own->ss.ss_family == udp->worker->service->addr.ss.ss_family &&
			own->len && own->len <= sizeof(own->ss));
}

int udp_send(void *port, const struct weir_datagram *given)
{
	struct weir_datagram datagram = *given;
	struct udp *udp = port;
	int err;

	if (udp->sending_over)
		return -ESHUTDOWN;
	if (!datagram.peer->len || datagram.peer->len > sizeof(datagram.peer->ss) ||
	    (datagram.len && !datagram.data) || !own_valid(udp, datagram.own))
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

/* open and close */

int udp_messages_open(struct udp *udp)
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

void udp_messages_close(struct udp *udp)
{
	mem_put(&udp->worker->service->alloc, udp->messages, udp->max, sizeof(*udp->messages));
}
