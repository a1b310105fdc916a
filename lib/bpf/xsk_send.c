// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/*
 * xsk_send.c - frames on their way out of an AF_XDP socket
 *
 * The kernel is told once a turn, and again by the tick while frames of ours are
 * outstanding: see xsk.c.
 */
#include <errno.h>
#include <sys/socket.h>

#include <linux/if_ether.h>

#include "bpf/xsk.h"

#include "base/base.h"

#define KICKS_MAX	16	/* of a turn: in copy mode each sends 32 frames */

void xsk_reap(struct weir_xsk *xsk)
{
	uint32_t n, i, at = 0;

	if (!xsk->outstanding)
		return;
	n = xsk_ring_cons__peek(&xsk->comp, xsk->send_max, &at);
	for (i = 0; i < n; i++)
		weir_lease_put(xsk_held_take(xsk, *xsk_ring_cons__comp_addr(&xsk->comp, at + i)));
	if (!n)
		return;
	xsk_ring_cons__release(&xsk->comp, n);
	xsk->outstanding -= n;
	xsk->stats.tx_done += n;
	xsk->progress_ns = weir_loop_now(xsk->loop);
	xsk->stalled = false;
}

/* Half of it, so that who waits for room gets some worth waking for. */
void xsk_tell_room(struct weir_xsk *xsk)
{
	if (!xsk->refused || xsk->outstanding > xsk->send_max / 2)
		return;
	xsk->refused = false;
	if (xsk->ops.room && !xsk->closing && !xsk->broken)
		xsk->ops.room(xsk->ctx);
}

/* The kernel is busy or short of memory: the next tick tries again. */
static bool is_put_off(int err)
{
	return err == EAGAIN || err == EBUSY || err == ENOBUFS || err == EINTR;
}

void xsk_kick(struct weir_xsk *xsk)
{
	uint32_t i;

	if (xsk->closing || xsk->broken)
		return;
	for (i = 0; i < KICKS_MAX && xsk_ring_prod__needs_wakeup(&xsk->tx); i++) {
		xsk->stats.kicks++;
		if (sendto(xsk_socket__fd(xsk->sock), NULL, 0, MSG_DONTWAIT, NULL, 0) >= 0)
			break;
		if (errno == EAGAIN)
			continue;	/* some went out, more are there */
		if (!is_put_off(errno))
			xsk_broke(xsk, -errno);
		break;
	}
	xsk->unsent = false;
	xsk_reap(xsk);
}

void xsk_check_stall(struct weir_xsk *xsk)
{
	if (!xsk->outstanding || xsk->stalled ||
	    weir_loop_now(xsk->loop) - xsk->progress_ns < xsk->tx_timeout_ns)
		return;
	xsk->stalled = true;
	xsk->stats.tx_stalls++;
	if (xsk->ops.error && !xsk->closing && !xsk->broken)
		xsk->ops.error(xsk->ctx, -ETIME);
}

static void kick_done(struct weir_op *op)
{
	struct weir_xsk *xsk = op->ctx;

	if (op->res < 0 || xsk->closing || !xsk->unsent)
		return;
	xsk_kick(xsk);
	xsk_tell_room(xsk);
	xsk_busy_arm(xsk);
}

static int check_frame(const struct weir_xsk *xsk, const struct weir_lease *lease,
		       const unsigned char *frame, uint32_t len)
{
	const unsigned char *start = weir_lease_data(lease);

	if (start < xsk->slab || start >= xsk->slab + (size_t)xsk->frames * xsk->frame_bytes)
		return -EINVAL;
	if (frame < start || frame >= start + xsk->frame_bytes || len < ETH_HLEN ||
	    len > xsk->frame_bytes - (uint32_t)(frame - start))
		return -EINVAL;
	return len > xsk->frame_max ? -EMSGSIZE : 0;
}

int weir_xsk_send(struct weir_xsk *xsk, struct weir_lease *lease, void *frame, uint32_t len)
{
	struct xdp_desc *desc;
	uint32_t at = 0, index;
	int err;

	if (xsk->closing || xsk->broken)
		return -ESHUTDOWN;
	err = check_frame(xsk, lease, frame, len);
	if (err)
		return err;
	index = xsk_frame_of(xsk, (uint64_t)((unsigned char *)frame - xsk->slab));
	if (xsk->held[index])
		return -EBUSY;
	if (xsk->outstanding == xsk->send_max ||
	    xsk_ring_prod__reserve(&xsk->tx, 1, &at) != 1) {
		xsk->refused = true;
		xsk->stats.tx_refused++;
		return -EAGAIN;
	}
	if (!xsk->outstanding)
		xsk->progress_ns = weir_loop_now(xsk->loop);
	xsk->held[index] = weir_lease_get(lease);
	desc = xsk_ring_prod__tx_desc(&xsk->tx, at);
	*desc = (struct xdp_desc){
		.addr = (uint64_t)((unsigned char *)frame - xsk->slab),
		.len = len,
	};
	xsk_ring_prod__submit(&xsk->tx, 1);
	xsk->outstanding++;
	xsk->stats.tx_frames++;
	xsk->stats.tx_bytes += len;
	if (!xsk->unsent && !xsk->in_turn && !weir_op_busy(&xsk->kick_op)) {
		weir_prep_nop(&xsk->kick_op, kick_done, xsk);
		weir_submit(xsk->loop, &xsk->kick_op);
	}
	xsk->unsent = true;
	return 0;
}
