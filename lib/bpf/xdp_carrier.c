// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/*
 * xdp_carrier.c - datagrams of a service by AF_XDP sockets
 *
 * Each worker has a socket on a queue of its own, with a pool of its own. A peer's
 * hardware address is that of the last frame that came from it (xdp_peers.c): who is not
 * known is answered by the worker's UDP socket, for which the kernel asks who is where.
 * So is what does not fit into a frame.
 *
 * An echo leaves from the buffer that it came in: the headers are written over those
 * that it came with, and the datagram does not move.
 */
#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

#include <weir/addr.h>
#include <weir/dgram.h>
#include <weir/loop.h>
#include <weir/pool.h>

#include "bpf/frame.h"
#include "bpf/xdp.h"
#include "bpf/xdp_peers.h"
#include "bpf/xsk.h"

#include "base/base.h"

#define FRAMES		2048U
#define FRAME_BYTES	2048U
#define STOP_NS		NSEC_PER_MSEC

struct carrier {
	struct weir_dgram_carrier base;
	struct weir_xdp *xdp;
	struct port *ports;
};

struct port {
	struct carrier *carrier;
	struct port *next;
	struct weir_dgram *dgram;
	struct weir_pool *pool;
	struct weir_xsk *xsk;		/* NULL: closed, or about to be: */
	struct weir_xsk *ending;
	struct weir_op stop_op;
	struct weir_lease *lent;	/* what datagram() has now */
	const unsigned char *lent_at;	/* and where its datagram begins */
	uint64_t counted;		/* frames sent that the service knows of */
	uint64_t quiet_seen;
	bool stopping;
	bool orphan;			/* was not opened: goes with its socket */
	struct weir_xdp_carrier_stats stats;
	struct peers peers;
};

/* One writer, the worker's thread; anybody reads. */
static void count(uint64_t *counter, uint64_t more)
{
	__atomic_store_n(counter, *counter + more, __ATOMIC_RELAXED);
}

/* in */

static void packet(void *ctx, struct weir_lease *lease, void *frame, uint32_t len)
{
	struct port *port = ctx;
	struct weir_addr from, own;
	struct weir_datagram datagram = { .peer = &from, .own = &own, .lease = lease };
	struct frame_body body;
	struct frame_ends ends;

	if (frame_read(frame, len, &ends, &body)) {
		count(&port->stats.damaged, 1);
		weir_dgram_count(port->dgram, 0, 0, 1);
		return;
	}
	peers_heard(&port->peers, &ends, weir_loop_now(weir_dgram_loop(port->dgram)));
	count(&port->stats.received, 1);
	count(&port->stats.unverified, body.unverified);
	peers_addr(&port->peers, &ends, &from);
	peers_own(&port->peers, &ends, &own);
	datagram.data = body.data;
	datagram.len = body.len;
	port->lent = lease;
	port->lent_at = body.data;
	weir_dgram_received(port->dgram, &datagram);
	port->lent = NULL;
}

static void room(void *ctx)
{
	struct port *port = ctx;

	weir_dgram_room(port->dgram);
}

/* out */

/* Where the datagram lies with room for its headers, as one reference; or NULL. */
static struct weir_lease *place(struct port *port, const struct weir_datagram *datagram,
				uint32_t head, unsigned char **framep)
{
	unsigned char *at;
	struct weir_lease *lease = port->lent;

	if (lease && datagram->lease == lease && datagram->data == port->lent_at &&
	    port->lent_at - (unsigned char *)weir_lease_data(lease) >= (ptrdiff_t)head) {
		*framep = (unsigned char *)(uintptr_t)datagram->data - head;
		return weir_lease_get(lease);
	}
	if (weir_xsk_lease(port->xsk, &lease))
		return NULL;
	at = weir_lease_data(lease);
	if (datagram->len)
		memcpy(at + head, datagram->data, datagram->len);
	*framep = at;
	return lease;
}

static int by_socket(uint64_t *why)
{
	count(why, 1);
	return -EOPNOTSUPP;
}

static int carrier_send(void *ctx, const struct weir_datagram *datagram)
{
	struct port *port = ctx;
	const struct frame_ends *peer;
	struct frame_ends ends;
	struct weir_lease *lease;
	unsigned char *frame;
	uint32_t bytes;
	int err;

	if (datagram->len && !datagram->data)
		return -EINVAL;
	if (!port->xsk)
		return by_socket(&port->stats.no_socket);
	peer = peers_find(&port->peers, datagram->peer,
			  weir_loop_now(weir_dgram_loop(port->dgram)));
	if (!peer)
		return by_socket(&port->stats.no_peer);
	ends = *peer;
	if (datagram->own && peers_from(&ends, datagram->own))
		return -EINVAL;
	bytes = frame_head(&ends) + datagram->len;
	if (bytes > port->xsk->frame_max - VLAN_BYTES || bytes > FRAME_BYTES)
		return by_socket(&port->stats.too_long);
	lease = place(port, datagram, frame_head(&ends), &frame);
	if (!lease)
		return by_socket(&port->stats.no_buffer);
	frame_write(frame, &ends, datagram->len);
	err = weir_xsk_send(port->xsk, lease, frame, bytes);
	/* Until it has left, nobody may write there again. */
	if (!err && lease == port->lent)
		port->lent = NULL;
	weir_lease_put(lease);
	if (err == -ESHUTDOWN)
		return by_socket(&port->stats.no_socket);
	return err;
}

/* What has left is known at the end of a turn. */
static void carrier_flush(void *ctx)
{
	struct port *port = ctx;
	uint64_t more;

	if (!port->xsk)
		return;
	more = port->xsk->stats.tx_done - port->counted;
	if (!more)
		return;
	port->counted += more;
	count(&port->stats.sent, more);
	weir_dgram_count(port->dgram, more, 0, 0);
}

/* stop */

static void socket_close(struct port *port)
{
	uint64_t lost;

	if (!port->xsk)
		return;
	carrier_flush(port);
	lost = port->xsk->outstanding;
	count(&port->stats.lost, lost);
	weir_dgram_count(port->dgram, 0, lost, 0);
	port->ending = port->xsk;
	port->xsk = NULL;
	weir_xsk_close(port->ending);
}

static void stop_done(struct weir_op *op);

static void stop_arm(struct port *port)
{
	struct weir_loop *loop = weir_dgram_loop(port->dgram);

	weir_prep_timeout(&port->stop_op, deadline_after(weir_loop_now(loop), STOP_NS), stop_done,
			  port);
	weir_submit(loop, &port->stop_op);
}

/* The program gives us nothing more: what lies in the rings is done in a while. */
static void stop_done(struct weir_op *op)
{
	struct port *port = op->ctx;

	if (op->res)
		return;
	if (!port->xsk) {
		if (!port->ending)
			weir_dgram_stopped(port->dgram);
	} else if (port->xsk->stats.rx_frames == port->quiet_seen && !port->xsk->outstanding) {
		socket_close(port);
	} else {
		port->quiet_seen = port->xsk->stats.rx_frames;
		stop_arm(port);
	}
}

static void carrier_stop(void *ctx, int now)
{
	struct port *port = ctx;

	if (!port->stopping) {
		port->stopping = true;
		port->quiet_seen = UINT64_MAX;
		stop_arm(port);
	}
	if (now)
		socket_close(port);
}

static void port_free(struct port *port)
{
	struct port **at;

	if (weir_pool_close(port->pool))
		bpf_log(port->carrier->xdp->bpf, WEIR_LOG_ERROR,
			"xdp: frames that were not given back are lost");
	for (at = &port->carrier->ports; *at != port; at = &(*at)->next)
		;
	*at = port->next;
	free(port);
}

static void closed(void *ctx)
{
	struct port *port = ctx;

	port->ending = NULL;
	if (port->orphan)
		port_free(port);
	/* Else the tick of the stop that is under way tells. */
	else if (port->stopping && !weir_op_busy(&port->stop_op))
		weir_dgram_stopped(port->dgram);
}

static void error(void *ctx, int err)
{
	struct port *port = ctx;
	struct weir_xdp *xdp = port->carrier->xdp;

	if (err == -ETIME) {
		bpf_log(xdp->bpf, WEIR_LOG_WARN, "xdp: worker %u: %s takes nothing that is sent",
			weir_dgram_worker(port->dgram), xdp->ifname);
		return;
	}
	bpf_log(xdp->bpf, WEIR_LOG_WARN, "xdp: worker %u: the socket on %s ended (%s); its UDP "
		"socket goes on", weir_dgram_worker(port->dgram), xdp->ifname, strerror(-err));
	socket_close(port);
}

/* open and close */

static const struct weir_xsk_ops xsk_ops = {
	.sz	= sizeof(xsk_ops),
	.packet	= packet,
	.room	= room,
	.error	= error,
	.closed	= closed,
};

static int socket_open(struct port *port)
{
	struct weir_loop *loop = weir_dgram_loop(port->dgram);
	uint32_t worker = weir_dgram_worker(port->dgram);
	struct weir_xdp *xdp = port->carrier->xdp;
	struct weir_pool_opts pool = {
		.sz = sizeof(pool), .buf_bytes = FRAME_BYTES, .count = FRAMES, .spare = FRAMES - 1,
	};
	char why[WEIR_BPF_WHY_BYTES] = "";
	struct weir_xsk_opts opts = {
		.sz = sizeof(opts), .ops = &xsk_ops, .ctx = port, .ifname = xdp->ifname,
		.queue = xdp->cfg->queue_first + worker, .reason = why,
		.reason_bytes = sizeof(why),
	};
	int err = weir_pool_open(&port->pool, loop, &pool);

	if (err)
		return err;
	opts.pool = port->pool;
	err = weir_xsk_open(&port->xsk, loop, &opts);
	if (err)
		bpf_log(xdp->bpf, WEIR_LOG_ERROR, "xdp: worker %u: %s", worker, why);
	return err ?: weir_xdp_join(xdp, worker, port->xsk);
}

/* There is no loop any more, nor a thread that could be inside of one of its turns. */
static void carrier_close(void *ctx)
{
	struct port *port = ctx;

	if (port->xsk || port->ending)
		xsk_forget(port->xsk ?: port->ending);
	port_free(port);
}

static int carrier_open(struct weir_dgram_carrier *base, struct weir_dgram *dgram, void **portp)
{
	struct carrier *carrier = (struct carrier *)base;
	struct port *port = calloc(1, sizeof(*port));
	struct weir_addr addr;
	int err;

	if (!port)
		return -ENOMEM;
	port->carrier = carrier;
	port->dgram = dgram;
	port->next = carrier->ports;
	carrier->ports = port;
	weir_dgram_addr(dgram, &addr);
	err = peers_open(&port->peers, carrier->xdp, &addr);
	if (!err)
		err = socket_open(port);
	if (!err) {
		*portp = port;
		return 0;
	}
	port->orphan = true;
	if (port->xsk)
		socket_close(port);	/* its loop lives, and ends it */
	else
		port_free(port);
	return err;
}

/* The socket has received since it was opened: the program gives when the row says so. */
static void carrier_start(void *port)
{
}

static const struct weir_dgram_carrier_ops carrier_ops = {
	.sz	= sizeof(carrier_ops),
	.name	= "xdp",
	.open	= carrier_open,
	.start	= carrier_start,
	.send	= carrier_send,
	.flush	= carrier_flush,
	.stop	= carrier_stop,
	.close	= carrier_close,
};

int weir_xdp_carrier_open(struct weir_dgram_carrier **carrierp, struct weir_xdp *xdp)
{
	struct carrier *carrier = calloc(1, sizeof(*carrier));

	if (!carrier)
		return -ENOMEM;
	carrier->base.ops = &carrier_ops;
	carrier->xdp = xdp;
	*carrierp = &carrier->base;
	return 0;
}

void weir_xdp_carrier_close(struct weir_dgram_carrier *base)
{
	free(base);
}

void weir_xdp_carrier_stats(const struct weir_dgram_carrier *base,
			    struct weir_xdp_carrier_stats *stats, size_t sz)
{
	const struct carrier *carrier = (const struct carrier *)base;
	uint64_t sum[sizeof(*stats) / sizeof(uint64_t)] = { 0 };
	const struct port *port;
	size_t i;

	for (port = carrier->ports; port; port = port->next) {
		for (i = 0; i < ARRAY_SIZE(sum); i++)
			sum[i] += __atomic_load_n((const uint64_t *)&port->stats + i,
						  __ATOMIC_RELAXED);
	}
	memcpy(stats, sum, sz < sizeof(sum) ? sz : sizeof(sum));
}
