/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/*
 * uring.h - private state of the uring backend
 */
#ifndef IO_URING_H
#define IO_URING_H

#include "io/backend.h"
#include "io/group.h"
#include "io/lend.h"
#include "io/ops.h"
#include "io/uring_abi.h"

/* user_data: what it stands for */
enum kind {
	KIND_OP		= 1,
	KIND_WAKE	= 2,	/* the read of the wake descriptor */
	KIND_QUIET	= 3,	/* cancels and closes of our own: nobody waits */
	KIND_BELL	= 4,	/* another ring has left a message */
	KIND_BELL_LOST	= 5,	/* ours to another one failed; the loop's address */
	KIND_ARRIVED	= 6,	/* another ring has sent a file; the hand-over's address */
	KIND_SENT	= 7,	/* ours to another one; its place in the table */
	KIND_LENT	= 8,	/* a send without a copy; its place in the table */
};

/*
 * From the lowest bit: a word, eight bits of kind, three bytes. Of an op they are
 * slot, kind and generation; else the two parts together are a number or an address.
 */
#define URING_KIND_SHIFT	32

static inline uint64_t uring_data(enum kind kind, uint64_t value)
{
	return (value >> 32) << 40 | (uint64_t)kind << URING_KIND_SHIFT | (uint32_t)value;
}

static inline uint64_t uring_value(uint64_t data)
{
	return (data >> 40) << 32 | (uint32_t)data;
}

static inline enum kind uring_kind(uint64_t data)
{
	return (enum kind)(data >> URING_KIND_SHIFT & 0xff);
}

struct uring {
	struct io_uring ring;
	struct weir_link accepts;	/* armed, by lib_queue */
	uint64_t wake_count;		/* where the wake descriptor is read into */
	uint64_t ops;			/* bit n: the kernel has operation n */
	uint64_t rows;			/* bit n: so it carries out WEIR_OP n */
	uint32_t features;
	uint32_t inline_ops;		/* queued ops that likely end at submission */
	uint32_t tail_end;		/* up to which sqe_tail may go, for what is known */
	uint64_t news;			/* receives since noted_ns that a pool served */
	uint64_t noted_ns;
	uint64_t rate;			/* of events in one batch time, times 256 */
	struct uring_reg_wait *wait;	/* what a wait is for: a page */
	size_t wait_bytes;
	bool wait_known;		/* the kernel has that page: nothing is copied */
	bool deferred;			/* DEFER_TASKRUN */
	bool polled;			/* SQPOLL: a kernel thread takes the entries */
	bool accept_one;		/* multishot accepts are not to be trusted */
	bool no_bell;			/* MSG_RING is not to be had */
	bool gather_known;		/* bundles of sends are set up, or not to be had */
	unsigned char *gather_rings;	/* for GATHER_RINGS of them a page each, or NULL */
	bool zc_tried;
	bool zc;			/* sends without a copy work here */
	int nest_fd;			/* once nested: what another loop waits for, */
	int told_fd;			/* and in it what the kernel tells */
};

static inline struct uring *uring_of(const struct weir_loop *loop)
{
	return loop->priv;
}

static inline bool uring_has(const struct weir_loop *loop, unsigned int opcode)
{
	return uring_of(loop)->ops >> opcode & 1;
}

/* lib/io/uring.c: fill in the entry of an op but for what its row's prep does */
void uring_fill(struct weir_loop *loop, struct weir_op *op, struct io_uring_sqe *sqe);
void uring_quiet(struct io_uring_sqe *sqe);	/* nobody waits for its success */
void uring_cancel(struct weir_loop *loop, struct weir_op *op);

/* lib/io/uring_done.c: what has completed: how many events */
int uring_dispatch(struct weir_loop *loop);
int uring_brought(const struct weir_loop *loop, const struct weir_op *op);
void uring_wake_arm(struct weir_loop *loop);	/* wait for weir_loop_wake() */

/* lib/io/uring_wait.c */
int uring_commit(struct weir_loop *loop);
int uring_reap(struct weir_loop *loop, uint64_t deadline_ns);

/* uring_sqe() - an entry, making room if need be; NULL only if the ring is broken */
struct io_uring_sqe *uring_sqe(struct weir_loop *loop);

/* lib/io/uring_open.c: an op that will open a file is queued, or was told */
/* uring_reserve() - a file will take a slot: its place is taken from now on */
void uring_reserve(struct weir_loop *loop);
void uring_opening(struct weir_loop *loop, struct weir_op *op);
void uring_on_accept(struct weir_loop *loop, struct weir_op *op, int res, uint32_t flags);
void uring_on_open(struct weir_loop *loop, struct weir_op *op, int res);

/* lib/io/uring_rows.c: uring_rows_open() - ask the ring what it has. 0 or -errno */
int uring_rows_open(struct weir_loop *loop, struct uring *u);

/*
 * uring_elsewhere() - carry @op out without the ring: enum io_queued; or -ENOSYS: it
 * is the ring's, if only to make a descriptor of its slot
 */
int uring_elsewhere(struct weir_loop *loop, struct weir_op *op);
static inline bool uring_is_installing(const struct weir_op *op)
{
	return op_def(op)->flags & IO_OPF_ELSEWHERE && op->lib_priv == OP_INSTALLING;
}

bool uring_has_edges(struct weir_loop *loop, int fd);
void uring_on_installed(struct weir_loop *loop, struct weir_op *op, int res);

/* lib/io/uring_peer.c: uring_bell() is weir_backend.bell */
int uring_bell(struct weir_loop *loop, struct weir_loop *to);
void uring_on_bell_lost(struct weir_loop *loop, uint64_t data, int res);
int uring_send_file(struct weir_loop *loop, uint32_t file, struct weir_loop *to,
		    struct weir_pass *pass);
void uring_on_arrived(struct weir_loop *loop, uint64_t data, int res);
void uring_on_sent(struct weir_loop *loop, uint64_t data, int res);
void uring_lose_bells(struct weir_loop *loop);

/* lib/io/uring_zc.c: sends without a copy */
void uring_zc_open(struct weir_loop *loop, const struct io_group *group);
bool uring_zc_wanted(const struct weir_loop *loop, const struct weir_op *op);
int uring_zc_queue(struct weir_loop *loop, struct weir_op *op);
bool uring_on_lent(struct weir_loop *loop, uint32_t index, int res, uint32_t flags);	/* told? */

/* op->lib_priv of a send: one more than its place in the table; or 0, or LEND_PLAIN. */
static inline bool uring_is_lent(const struct weir_op *op)
{
	return op->flags & WEIR_OPF_LEASE && op->lib_priv && op->lib_priv <= LEND_MAX;
}

static inline uint64_t uring_zc_data(const struct weir_op *op)
{
	return uring_data(KIND_LENT, op->lib_priv - 1);
}

/* lib/io/uring_setup.c */
void uring_refusal(int err, char *text, size_t size);	/* why no ring was made */
int uring_open(struct weir_loop *loop);
int uring_enable(struct weir_loop *loop);
void uring_close(struct weir_loop *loop);

/* lib/io/uring_nest.c */
int uring_fd(const struct weir_loop *loop);
bool uring_pending(const struct weir_loop *loop);
void uring_nest_clear(struct weir_loop *loop);	/* the kernel was entered */
void uring_nest_close(struct weir_loop *loop);

/* lib/io/uring_gather.c */
void uring_gather_open(struct weir_loop *loop);
void uring_gather_close(struct weir_loop *loop);

/* uring_gather_prep() - a sendmsg of @gather as a bundle; false: it cannot be one */
bool uring_gather_prep(struct weir_loop *loop, struct io_gather *gather, int msg_flags,
		       struct io_uring_sqe *sqe);

/* lib/io/uring_group.c */
int uring_group_open(struct weir_loop *loop, struct io_group *group);
void uring_group_close(struct weir_loop *loop, struct io_group *group);
void uring_group_put(struct weir_loop *loop, struct io_group *group, uint32_t bid);

/* uring_put() - the kernel may fill the buffer of @lease */
static inline void uring_put(struct io_group *group, struct weir_lease *lease)
{
	struct io_uring_buf_ring *ring = group->priv;
	uint16_t tail = ring->tail;
	struct io_uring_buf *buf = &ring->bufs[tail & group->mask];

	buf->addr = (uintptr_t)lease->data;
	buf->len = group->buf_bytes;
	buf->bid = lease->bid;
	io_uring_smp_store_release(&ring->tail, (uint16_t)(tail + 1));
	group->leases[group->last].next = lease->bid;
	group->last = lease->bid;
}

#endif /* IO_URING_H */
