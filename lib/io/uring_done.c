// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/*
 * uring_done.c - operations over io_uring: what has completed
 *
 * Memory order: our acquire load of the completion tail pairs with the kernel's
 * release; our release store of the completion head lets it reuse the entry.
 */
#include <errno.h>

#include "io/group.h"
#include "io/ops.h"
#include "io/short.h"
#include "io/uring.h"

enum {
	ERESTARTSYS	= 512,	/* the kernel's own; a cancelled splice shows it */
	RETRIES		= 32,	/* of one multishot in a row, in the kernel */
};

void uring_wake_arm(struct weir_loop *loop)
{
	struct uring *u = uring_of(loop);
	struct io_uring_sqe *sqe = uring_sqe(loop);

	if (!sqe)
		return;
	io_uring_prep_read(sqe, loop->wake_fd, &u->wake_count, sizeof(u->wake_count), 0);
	sqe->user_data = uring_data(KIND_WAKE, 0);
}

static void on_wake(struct weir_loop *loop)
{
	/* Cleared before anybody looks at what the waker left: see weir_loop_wake(). */
	atomic_store(&loop->woken, false);
	uring_wake_arm(loop);
}

/* @len bytes in buffer @bid, which is a lease of its own. */
static inline void serve(struct weir_loop *loop, struct weir_op *op, uint32_t len, uint32_t bid)
{
	struct io_group *group = (struct io_group *)(void *)op->xfer.pool;
	struct weir_lease *lease = group_take(group, bid, len);

	short_event(loop, op, lease, len);
	if (lease->refs != 1) {
		lease_put(lease);
		return;
	}
	lease->refs = 0;
	group->free++;
	uring_put(group, lease);
}

/* Its end below is no end: see on_pool(). */
static void arm_anew(struct weir_loop *loop, struct weir_op *op)
{
	op->lib_priv = RECV_SERVED | RECV_AGAIN;
	uring_cancel(loop, op);
}

/*
 * Who fills a whole buffer may fill several: from now on in bundles, which cost more
 * than they bring where messages are short. One record, however long it is, must not
 * go on in the next buffer.
 */
static void on_full(struct weir_loop *loop, struct weir_op *op)
{
	uint16_t *hints = &loop->files[op->file.index].hints;

	if (!op_group(op)->bundle_bytes || *hints & (IO_HINT_BULK | IO_HINT_RECORDS) ||
	    op->opcode != WEIR_OP_RECV || op->lib_end != OP_END_NONE)
		return;
	*hints |= IO_HINT_BULK;
	arm_anew(loop, op);
}

static inline void on_served(struct weir_loop *loop, struct weir_op *op, uint32_t len,
			     uint32_t bid)
{
	uring_of(loop)->news++;
	serve(loop, op, len, bid);
	if (len == op_group(op)->buf_bytes)
		on_full(loop, op);
}

/*
 * The kernel names the first buffer. It filled those that follow it in the ring,
 * each but the last one whole. None of them comes back, and so moves in the ring,
 * before its own lease ends.
 */
static void on_bundle(struct weir_loop *loop, struct weir_op *op, uint32_t len, uint32_t bid)
{
	const struct io_group *group = op_group(op);

	while (len > group->buf_bytes) {
		uint32_t next = group->leases[bid].next;

		len -= group->buf_bytes;
		loop->stats.bundled++;
		serve(loop, op, group->buf_bytes, bid);
		bid = next;
	}
	serve(loop, op, len, bid);
}

static void on_bytes(struct weir_loop *loop, struct weir_op *op, uint32_t len, uint32_t bid)
{
	if (len > op_group(op)->buf_bytes)
		on_bundle(loop, op, len, bid);
	else
		io_event_lease(loop, op, len, bid, true);
}

/*
 * After so many buffers in a row the kernel goes on another time, and then forgets to
 * look for the end of a stream of AF_UNIX that is there already (seen up to 6.18).
 * Who is armed anew finds it.
 */
static void count_buffers(struct weir_loop *loop, struct weir_op *op, uint32_t len)
{
	if (!(op->lib_priv & RECV_COUNTED))
		return;
	op->lib_priv += RECV_ONE * (len / op_group(op)->buf_bytes + 1);
	if (op->lib_priv >= RECV_ONE * RETRIES)
		arm_anew(loop, op);
}

static void on_pool(struct weir_loop *loop, struct weir_op *op, int res, uint32_t flags)
{
	struct io_group *group = op_group(op);
	uint32_t bid = flags >> IORING_CQE_BUFFER_SHIFT;
	bool end;

	uring_of(loop)->news++;
	if (res == -ENOBUFS) {
		io_event_nobufs(loop, op);
		return;
	}
	if (res == -ECANCELED && op->lib_priv & RECV_AGAIN && op->lib_end == OP_END_NONE) {
		io_event_again(loop, op);
		return;
	}
	end = res < 0 || io_pool_end(loop, op, group->leases[bid].data, (uint32_t)res);
	/* One that is filled in pieces is the kernel's until it is full, whatever this says. */
	if (flags & IORING_CQE_F_BUFFER && (end || !res) && !group->incremental)
		uring_group_put(loop, group, bid);
	if (end) {
		io_event(loop, op, res < 0 ? res : 0, false);
		return;
	}
	if (res)
		on_bytes(loop, op, (uint32_t)res, bid);
	else
		io_event(loop, op, 0, true);
	if (flags & IORING_CQE_F_MORE) {
		if ((uint32_t)res >= group->buf_bytes)
			on_full(loop, op);
		count_buffers(loop, op, (uint32_t)res);
	} else {
		io_event_again(loop, op);
	}
}

/*
 * A multishot poll. The kernel may end it although it was not asked to, and does so
 * at once with what is always ready.
 */
static void on_poll(struct weir_loop *loop, struct weir_op *op, int res, uint32_t flags)
{
	int fd;

	io_event(loop, op, res, res >= 0);
	if (res < 0 || flags & IORING_CQE_F_MORE)
		return;
	fd = op_fd(loop, op);
	if (op->lib_end == OP_END_NONE && fd >= 0 && !uring_has_edges(loop, fd))
		io_event(loop, op, -EINVAL, false);
	else
		io_event_again(loop, op);
}

static void on_odd(struct weir_loop *loop, struct weir_op *op, int res, uint32_t flags)
{
	if (op->opcode == WEIR_OP_ACCEPT)
		uring_on_accept(loop, op, res, flags);
	else if (op_opens(op) && !op_opens_plain(op))
		uring_on_open(loop, op, res);
	else if (op->flags & WEIR_OPF_MULTISHOT)
		on_poll(loop, op, res, flags);
	else if (uring_is_installing(op))
		uring_on_installed(loop, op, res);
	else
		io_event(loop, op, res == -ERESTARTSYS ? -EINTR : res, false);
}

/* Out of line, so that what is seen most has the registers. */
static __attribute__((noinline)) void on_op(struct weir_loop *loop, struct weir_op *op, int res,
					    uint32_t flags)
{
	op_lengthen(op);
	if (op_group(op))
		on_pool(loop, op, res, flags);
	else
		on_odd(loop, op, res, flags);
}

/* What is no operation of a user. */
static __attribute__((noinline)) bool on_other(struct weir_loop *loop, uint64_t data, int res,
					       uint32_t flags)
{
	switch (uring_kind(data)) {
	case KIND_OP:
		loop->stats.stale++;
		break;
	case KIND_WAKE:
		on_wake(loop);
		break;
	case KIND_BELL:
		/* Before posts_run() looks: see lib/io/post.c. */
		atomic_store(&loop->bell, false);
		break;
	case KIND_BELL_LOST:
		uring_on_bell_lost(loop, uring_value(data), res);
		break;
	case KIND_ARRIVED:
		uring_on_arrived(loop, uring_value(data), res);
		return true;
	case KIND_SENT:
		uring_on_sent(loop, uring_value(data), res);
		break;
	case KIND_LENT:
		return uring_on_lent(loop, (uint32_t)data, res, flags);
	case KIND_QUIET:
		break;
	}
	return false;
}

/* Does it end well what went the short way? Without bytes it is an end of another kind. */
static inline bool is_short(const struct weir_op *op, int res)
{
	return op->lib_state == OP_SHORT && (res > 0 || (!res && op->opcode == WEIR_OP_NOP));
}

/* Did a receive that goes on get bytes in one buffer of its own? What is seen most. */
static inline bool is_served(const struct weir_op *op, int res, uint32_t flags)
{
	const struct io_group *group = (const void *)op->xfer.pool;

	/* None but those that have a pool get a buffer. */
	return flags & IORING_CQE_F_BUFFER && flags & IORING_CQE_F_MORE &&
	       op->opcode == WEIR_OP_RECV && (uint32_t)res - 1 < group->buf_bytes &&
	       !group->incremental && !(op->lib_priv & RECV_COUNTED);
}

int uring_dispatch(struct weir_loop *loop)
{
	struct io_uring_cq *cq = &uring_of(loop)->ring.cq;
	unsigned int *khead = cq->khead;
	unsigned int head = *khead;
	/* Those that come meanwhile wait for the next turn: it stays bounded. */
	unsigned int end = io_uring_smp_load_acquire(cq->ktail);
	unsigned int mask = *cq->kring_mask;
	int events = 0;

	while (head != end) {
		const struct io_uring_cqe *at = &cq->cqes[head & mask];
		/* One by one, as they were stored: a wider load would wait for them. */
		uint64_t data = IO_URING_READ_ONCE(at->user_data);
		int res = IO_URING_READ_ONCE(at->res);
		uint32_t flags = IO_URING_READ_ONCE(at->flags);
		uint32_t index = (uint32_t)data;
		struct io_slot *slot = &loop->slots[index];

		io_uring_smp_store_release(khead, ++head);
		if (index >= loop->slots_max || slot->data != data) {
			events += on_other(loop, data, res, flags);
			continue;
		}
		events++;
		if (is_short(slot->op, res))
			short_end(loop, slot, res);
		else if (is_served(slot->op, res, flags))
			on_served(loop, slot->op, (uint32_t)res, flags >> IORING_CQE_BUFFER_SHIFT);
		else
			on_op(loop, slot->op, res, flags);
	}
	return events;
}

int uring_brought(const struct weir_loop *loop, const struct weir_op *op)
{
	const struct io_uring_cq *cq = &uring_of(loop)->ring.cq;
	unsigned int head = *cq->khead, end = io_uring_smp_load_acquire(cq->ktail);
	const struct io_uring_cqe *at;

	for (; head != end; head++) {
		at = &cq->cqes[head & *cq->kring_mask];
		if (at->user_data == loop->slots[op->lib_slot].data)
			return at->res;
	}
	return -ENOENT;
}
