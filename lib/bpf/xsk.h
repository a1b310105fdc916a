/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/*
 * xsk.h - inside of an AF_XDP socket
 */
#ifndef BPF_XSK_H
#define BPF_XSK_H

#include <stdbool.h>

#include <xdp/xsk.h>

#include <weir/loop.h>
#include <weir/xsk.h>

#define VLAN_BYTES	4U	/* that the limit of a socket's frames allows for */

struct weir_xsk {
	struct weir_loop *loop;
	struct weir_pool *pool;
	struct weir_xsk_ops ops;
	void *ctx;
	unsigned char *slab;
	struct weir_lease *lent;	/* to packet() */
	struct weir_lease **held;	/* by frame: what the kernel has of us */
	uint32_t frames;
	uint32_t frame_bytes;
	uint32_t frame_max;		/* longest that the interface takes */
	uint32_t fill_max;
	uint32_t filled;		/* frames the kernel may receive into */
	uint32_t send_max;
	uint32_t outstanding;
	uint32_t batch;
	uint64_t tx_timeout_ns;
	uint64_t progress_ns;		/* since when nothing was taken */

	struct xsk_umem *umem;
	struct xsk_socket *sock;
	struct xsk_ring_prod fill;
	struct xsk_ring_prod tx;
	struct xsk_ring_cons comp;
	struct xsk_ring_cons rx;

	struct weir_file file;		/* of a second descriptor, to be polled */
	struct weir_op poll_op;
	struct weir_op kick_op;		/* a nop: what was sent outside a turn */
	struct weir_op busy_op;		/* a tick while the kernel has work of ours */
	struct weir_op idle_op;		/* one of a second, as a belt */
	struct weir_op close_op;

	bool own_pool;
	bool zero_copy;
	bool in_turn;
	bool unsent;			/* in the ring, kernel not told */
	bool refused;			/* room() is owed */
	bool stalled;			/* and was told */
	bool closing;
	bool broken;
	struct weir_xsk_stats stats;
};

static inline uint32_t xsk_frame_of(const struct weir_xsk *xsk, uint64_t addr)
{
	return (uint32_t)(addr / xsk->frame_bytes);
}

/* xsk.c */
void xsk_start(struct weir_xsk *xsk);
void xsk_broke(struct weir_xsk *xsk, int err);	/* tells the user, once */
void xsk_busy_arm(struct weir_xsk *xsk);
/* What lies in a frame is nobody's any more, but the caller's. */
struct weir_lease *xsk_held_take(struct weir_xsk *xsk, uint64_t addr);

/* xsk_send.c: take back what was sent; tell the kernel that there is something */
void xsk_reap(struct weir_xsk *xsk);
void xsk_kick(struct weir_xsk *xsk);
void xsk_tell_room(struct weir_xsk *xsk);
void xsk_check_stall(struct weir_xsk *xsk);

/* xsk_open.c: give back what the kernel had; it has let go of the memory */
void xsk_release(struct weir_xsk *xsk);
/* xsk_open.c: free one whose loop is gone; nobody is told */
void xsk_forget(struct weir_xsk *xsk);
/* -EBUSY while leases of its own pool are out. Frees it otherwise. */
int xsk_free(struct weir_xsk *xsk);

#endif /* BPF_XSK_H */
