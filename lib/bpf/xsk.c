// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/*
 * xsk.c - what an AF_XDP socket does in a turn of its loop
 *
 * The four rings are shared with the kernel: frames to receive into (fill) and
 * received (rx), to be sent (tx) and sent (comp). A frame in one of them is a
 * lease in held[], and belongs to nobody else.
 *
 * Readiness is a one-shot poll, armed again at the end of each turn whether or
 * not the ring was emptied: arming looks at the level, so what is left or came
 * in between ends it at once, and a turn has bounded work. The poll also wakes a
 * driver that waits for frames to receive into.
 *
 * Nothing tells when a frame was sent, nor when the pool has buffers again. While
 * the kernel holds frames of ours to send, or has too few to receive into, a timer
 * of a millisecond looks. It is the only progress of a lone producer in generic
 * mode, where a send that the kernel put off is put off for good.
 */
#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>

#include "bpf/xsk.h"

#include "base/base.h"

#define BUSY_NS		NSEC_PER_MSEC
#define IDLE_NS		NSEC_PER_SEC

struct weir_lease *xsk_held_take(struct weir_xsk *xsk, uint64_t addr)
{
	struct weir_lease *lease;
	uint32_t frame = xsk_frame_of(xsk, addr);

	if (frame >= xsk->frames)
		return NULL;
	lease = xsk->held[frame];
	xsk->held[frame] = NULL;
	return lease;
}

void xsk_broke(struct weir_xsk *xsk, int err)
{
	if (xsk->broken || xsk->closing)
		return;
	xsk->broken = true;
	if (xsk->ops.error)
		xsk->ops.error(xsk->ctx, err);
}

/* what came */

static void refill(struct weir_xsk *xsk)
{
	struct weir_lease *lease;
	uint32_t at = 0, n = 0;
	uint64_t addr;

	while (xsk->filled < xsk->fill_max && !weir_pool_lease(xsk->pool, &lease)) {
		/* The ring has a place for every frame. */
		if (xsk_ring_prod__reserve(&xsk->fill, 1, &at) != 1) {
			weir_lease_put(lease);
			break;
		}
		addr = (uint64_t)((unsigned char *)weir_lease_data(lease) - xsk->slab);
		xsk->held[xsk_frame_of(xsk, addr)] = lease;
		*xsk_ring_prod__fill_addr(&xsk->fill, at) = addr;
		xsk->filled++;
		n++;
	}
	if (n)
		xsk_ring_prod__submit(&xsk->fill, n);
	if (xsk->filled < xsk->fill_max)
		xsk->stats.fill_short++;
}

static void hand_over(struct weir_xsk *xsk, const struct xdp_desc *desc)
{
	struct weir_lease *lease = xsk_held_take(xsk, desc->addr);

	if (!lease)
		return;
	xsk->filled--;
	xsk->stats.rx_frames++;
	xsk->stats.rx_bytes += desc->len;
	xsk->lent = lease;
	if (xsk->ops.packet && !xsk->closing && !xsk->broken)
		xsk->ops.packet(xsk->ctx, lease, xsk->slab + desc->addr, desc->len);
	xsk->lent = NULL;
	weir_lease_put(lease);
}

static uint32_t receive(struct weir_xsk *xsk)
{
	uint32_t n, i, at = 0;
	struct xdp_desc desc;

	n = xsk_ring_cons__peek(&xsk->rx, xsk->batch, &at);
	for (i = 0; i < n; i++) {
		desc = *xsk_ring_cons__rx_desc(&xsk->rx, at + i);
		hand_over(xsk, &desc);
	}
	if (n)
		xsk_ring_cons__release(&xsk->rx, n);
	return n;
}

/* turns */

static bool is_busy(const struct weir_xsk *xsk)
{
	return xsk->outstanding || xsk->unsent || xsk->filled < xsk->fill_max;
}

static void busy_done(struct weir_op *op);

void xsk_busy_arm(struct weir_xsk *xsk)
{
	if (xsk->closing || xsk->broken || weir_op_busy(&xsk->busy_op) || !is_busy(xsk))
		return;
	weir_prep_timeout(&xsk->busy_op, deadline_after(weir_loop_now(xsk->loop), BUSY_NS),
			  busy_done, xsk);
	weir_submit(xsk->loop, &xsk->busy_op);
}

static uint32_t turn(struct weir_xsk *xsk)
{
	uint32_t n;

	xsk->in_turn = true;
	xsk_reap(xsk);
	n = receive(xsk);
	refill(xsk);
	if (xsk->unsent)
		xsk_kick(xsk);
	xsk_tell_room(xsk);
	/* What room() sent has a turn of its own. */
	xsk->in_turn = false;
	if (xsk->unsent)
		xsk_kick(xsk);
	xsk_busy_arm(xsk);
	return n;
}

static void poll_arm(struct weir_xsk *xsk);

static void poll_done(struct weir_op *op)
{
	struct weir_xsk *xsk = op->ctx;

	if (xsk->closing || op->origin == WEIR_ORIGIN_CANCELLED)
		return;
	if (op->res < 0) {
		xsk_broke(xsk, op->res);
		return;
	}
	turn(xsk);
	poll_arm(xsk);
}

static void poll_arm(struct weir_xsk *xsk)
{
	if (xsk->closing || xsk->broken)
		return;
	weir_prep_poll(&xsk->poll_op, xsk->file, POLLIN, poll_done, xsk);
	weir_submit(xsk->loop, &xsk->poll_op);
}

static void busy_done(struct weir_op *op)
{
	struct weir_xsk *xsk = op->ctx;

	if (op->res < 0 || xsk->closing || xsk->broken)
		return;
	if (xsk->outstanding)
		xsk->unsent = true;
	turn(xsk);
	xsk_check_stall(xsk);
}

/* An interface that goes away wakes nobody. */
static int sock_error(const struct weir_xsk *xsk)
{
	socklen_t len = sizeof(int);
	int err = 0;

	if (getsockopt(xsk_socket__fd(xsk->sock), SOL_SOCKET, SO_ERROR, &err, &len))
		return -errno;
	return -err;
}

static void idle_done(struct weir_op *op);

static void idle_arm(struct weir_xsk *xsk)
{
	if (xsk->closing || xsk->broken)
		return;
	weir_prep_timeout(&xsk->idle_op, deadline_after(weir_loop_now(xsk->loop), IDLE_NS),
			  idle_done, xsk);
	weir_submit(xsk->loop, &xsk->idle_op);
}

static void idle_done(struct weir_op *op)
{
	struct weir_xsk *xsk = op->ctx;
	int err;

	if (op->res < 0 || xsk->closing)
		return;
	err = sock_error(xsk);
	if (err)
		xsk_broke(xsk, err);
	xsk->stats.late += turn(xsk);
	idle_arm(xsk);
}

void xsk_start(struct weir_xsk *xsk)
{
	refill(xsk);
	poll_arm(xsk);
	idle_arm(xsk);
	xsk_busy_arm(xsk);
}

/* calls */

int weir_xsk_lease(struct weir_xsk *xsk, struct weir_lease **leasep)
{
	return weir_pool_lease(xsk->pool, leasep);
}

int weir_xsk_fd(const struct weir_xsk *xsk)
{
	return xsk_socket__fd(xsk->sock);
}

static void stats_kernel(const struct weir_xsk *xsk, struct weir_xsk_stats *stats)
{
	struct xdp_statistics kernel = { 0 };
	socklen_t len = sizeof(kernel);

	if (getsockopt(xsk_socket__fd(xsk->sock), SOL_XDP, XDP_STATISTICS, &kernel, &len))
		return;
	stats->rx_dropped = kernel.rx_dropped;
	stats->rx_ring_full = kernel.rx_ring_full;
	stats->fill_empty = kernel.rx_fill_ring_empty_descs;
	stats->rx_invalid = kernel.rx_invalid_descs;
	stats->tx_invalid = kernel.tx_invalid_descs;
}

void weir_xsk_stats(const struct weir_xsk *xsk, struct weir_xsk_stats *stats, size_t sz)
{
	struct weir_xsk_stats now = xsk->stats;

	if (xsk->sock)
		stats_kernel(xsk, &now);
	now.zero_copy = xsk->zero_copy;
	now.outstanding = xsk->outstanding;
	memcpy(stats, &now, sz < sizeof(now) ? sz : sizeof(now));
}

/* the end */

static void free_done(struct weir_op *op);

/* Leases of its own pool may still be out: they end when their holders are done. */
static void free_try(struct weir_xsk *xsk)
{
	struct weir_loop *loop = xsk->loop;

	if (xsk_free(xsk) != -EBUSY)
		return;
	weir_prep_timeout(&xsk->busy_op, deadline_after(weir_loop_now(loop), BUSY_NS), free_done,
			  xsk);
	weir_submit(loop, &xsk->busy_op);
}

static void free_done(struct weir_op *op)
{
	/* The loop itself closes: nobody is left to be told. */
	if (!op->res)
		free_try(op->ctx);
}

static bool ops_end(struct weir_xsk *xsk)
{
	weir_cancel(xsk->loop, &xsk->busy_op);
	weir_cancel(xsk->loop, &xsk->idle_op);
	weir_cancel(xsk->loop, &xsk->kick_op);
	return !weir_op_busy(&xsk->busy_op) && !weir_op_busy(&xsk->idle_op) &&
	       !weir_op_busy(&xsk->kick_op);
}

/* After the close that polled: nothing of the kernel's is in the loop. */
static void close_done(struct weir_op *op)
{
	struct weir_xsk *xsk = op->ctx;

	if (!ops_end(xsk)) {
		weir_prep_nop(&xsk->close_op, close_done, xsk);
		weir_submit(xsk->loop, &xsk->close_op);
		return;
	}
	xsk_release(xsk);
	free_try(xsk);
}

void weir_xsk_close(struct weir_xsk *xsk)
{
	if (!xsk || xsk->closing)
		return;
	xsk->closing = true;
	ops_end(xsk);
	weir_prep_close(&xsk->close_op, xsk->file, close_done, xsk);
	weir_submit(xsk->loop, &xsk->close_op);
}
