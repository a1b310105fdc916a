// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/*
 * dgram_in.c - datagrams that come to a worker's UDP socket
 *
 * One receive is armed for ever.
 */
#include <errno.h>
#include <string.h>

#include "io/backend.h"
#include "serve/dgram_udp.h"

#define RETRY_NS	(10 * NSEC_PER_MSEC)	/* after receiving failed twice */

static void deliver(struct udp *udp, struct weir_lease *lease, const struct weir_msg *msg)
{
	uint32_t segment = udp->gro ? weir_msg_segment(msg) : msg->len;
	struct weir_addr peer = { .len = msg->name_len }, own;
	struct weir_datagram datagram = { .peer = &peer, .lease = lease, .data = msg->data };
	uint32_t left = msg->len;

	udp_own_read(msg, &own);
	if (own.len)
		datagram.own = &own;
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

/* Whichever of the two ends last. */
static void halt_check(struct udp *udp)
{
	if (!weir_op_busy(&udp->recv) && !weir_op_busy(&udp->retry))
		worker_accepting(udp->worker, false);
}

static void retry_done(struct weir_op *op)
{
	struct udp *udp = op->ctx;

	if (udp->halt)
		halt_check(udp);
	else if ((!op->res || udp->again) && !udp->stopping)
		udp_recv_arm(udp);
}

static void recv_done(struct weir_op *op)
{
	struct udp *udp = op->ctx;

	if (op->res >= 0 && op->lease)
		received(udp, op);
	if (op->more || udp->sending_over)
		return;
	if (udp->halt) {
		halt_check(udp);
		return;
	}
	if (op->res == -ECANCELED && (!udp->again || udp->worker->loop->closing))
		return;
	if (op->res >= 0 || udp->again || !udp->failures++) {
		udp_recv_arm(udp);
		return;
	}
	weir_prep_timeout(&udp->retry, deadline_after(weir_loop_now(udp->worker->loop), RETRY_NS),
			  retry_done, udp);
	weir_submit(udp->worker->loop, &udp->retry);
}

void udp_recv_arm(struct udp *udp)
{
	udp->again = false;
	weir_prep_recvmsg_pool(&udp->recv, udp->file, udp->worker->pool, &udp->room, recv_done,
			       udp);
	weir_submit(udp->worker->loop, &udp->recv);
}

void udp_recv_end(struct udp *udp)
{
	weir_cancel(udp->worker->loop, &udp->recv);
	weir_cancel(udp->worker->loop, &udp->retry);
}

void udp_halt(struct udp *udp)
{
	if (udp->sending_over)
		return;
	udp->halt = true;
	udp_recv_end(udp);
	halt_check(udp);
}

/* A receive that is being cancelled still is armed again when it has ended. */
void udp_go_on(struct udp *udp)
{
	if (udp->sending_over || !udp->halt)
		return;
	udp->halt = false;
	udp_merge(udp);
	worker_accepting(udp->worker, true);
	if (weir_op_busy(&udp->recv) || weir_op_busy(&udp->retry))
		udp->again = true;
	else
		udp_recv_arm(udp);
}
