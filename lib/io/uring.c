// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/*
 * uring.c - operations over io_uring: submit, wait, dispatch
 *
 * One system call a turn does all three. This file owns the submission tail
 * and io_uring_enter(2), because liburing 2.3 has neither a public flush nor
 * the minimum wait; liburing gives the mappings and fills the entries.
 *
 * Memory order: our release store of the submission tail pairs with the
 * kernel's acquire; our acquire load of the completion tail pairs with its
 * release; our release store of the completion head lets it reuse the entry.
 */
#include <errno.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "io/group.h"
#include "io/ops.h"
#include "io/uring.h"

/* user_data: slot, generation, kind; see io/loop.h for the limits. */
enum kind {
	KIND_OP		= 1,
	KIND_WAKE	= 2,	/* the read of the wake descriptor */
	KIND_QUIET	= 3,	/* cancels and closes of our own: nobody waits */
};

enum {
	GEN_SHIFT	= 32,
	KIND_SHIFT	= 56,
	BATCH_FROM	= 4,	/* events within one batch time from which batching pays */
	SOURCES_FROM	= 4,	/* receives armed from which it does */
	RATE_ONE	= 256,	/* fixed point of uring.rate */
	ACCEPT_SWITCH	= 3,	/* op->lib_priv: multishot cancelled, to take one at a time */
};

static uint64_t data_of(const struct weir_loop *loop, const struct weir_op *op)
{
	return op->lib_slot | (uint64_t)loop->slots[op->lib_slot].gen << GEN_SHIFT |
	       (uint64_t)KIND_OP << KIND_SHIFT;
}

/* enter */

/* Publish the filled entries; returns how many the kernel has still to take. */
static unsigned int flush(struct io_uring_sq *sq)
{
	io_uring_smp_store_release(sq->ktail, sq->sqe_tail);
	sq->sqe_head = sq->sqe_tail;
	return sq->sqe_tail - io_uring_smp_load_acquire(sq->khead);
}

static int enter(struct weir_loop *loop, unsigned int min, unsigned int flags, void *arg,
		 size_t arg_bytes)
{
	struct uring *u = uring_of(loop);
	unsigned int count = flush(&u->ring.sq);
	long ret;

	if (u->ring.int_flags & 1)	/* INT_FLAG_REG_RING of liburing */
		flags |= IORING_ENTER_REGISTERED_RING;
	loop->stats.syscalls++;
	ret = syscall(__NR_io_uring_enter, u->ring.enter_ring_fd, count, min, flags, arg,
		      arg_bytes);
	return ret < 0 ? -errno : (int)ret;
}

static int uring_commit(struct weir_loop *loop)
{
	struct uring *u = uring_of(loop);
	unsigned int tries;
	int ret = 0;

	/* -EBUSY and -EAGAIN: completions must be flushed to the queue first. */
	for (tries = 0; tries < 16; tries++) {
		ret = enter(loop, 0, tries ? IORING_ENTER_GETEVENTS : 0, NULL, 0);
		if (ret >= 0 || (ret != -EBUSY && ret != -EAGAIN && ret != -EINTR))
			break;
	}
	if (ret < 0)
		loop_log(loop, WEIR_LOG_ERROR, "uring: submission of %u failed: %s",
			 io_uring_sq_ready(&u->ring), weir_strerror(ret));
	return ret < 0 ? ret : 0;
}

/* An entry, making room if need be; NULL only if the ring is broken. */
static struct io_uring_sqe *get_sqe(struct weir_loop *loop)
{
	struct io_uring *ring = &uring_of(loop)->ring;
	struct io_uring_sqe *sqe = io_uring_get_sqe(ring);

	if (!sqe && !uring_commit(loop))
		sqe = io_uring_get_sqe(ring);
	return sqe;
}

/* queue and cancel */

static void set_file(struct weir_loop *loop, struct weir_file file, struct io_uring_sqe *sqe)
{
	if (file.index < loop->files_fixed) {
		sqe->fd = (int)file.index;
		sqe->flags |= IOSQE_FIXED_FILE;
	} else {
		sqe->fd = loop->files[file.index].fd;
	}
}

static void fill(struct weir_loop *loop, struct weir_op *op, struct io_uring_sqe *sqe)
{
	op_def(op)->prep(loop, op, sqe);
	sqe->user_data = data_of(loop, op);
	if (op->opcode == WEIR_OP_CLOSE)
		return;		/* a slot or a descriptor, never through the table */
	if (op_has_file(op))
		set_file(loop, op->file, sqe);
	else if (op->lib_priv == CONNECT_CONNECTING)
		set_file(loop, op->accepted, sqe);
}

/* Most of these have ended when the submission returns. */
static bool ends_inline(const struct weir_op *op)
{
	return op->opcode == WEIR_OP_SEND || op->opcode == WEIR_OP_CLOSE ||
	       op->opcode == WEIR_OP_NOP || op->opcode == WEIR_OP_SHUTDOWN ||
	       op->opcode == WEIR_OP_GETSOCKOPT;
}

static void quiet(struct io_uring_sqe *sqe)
{
	sqe->flags |= IOSQE_CQE_SKIP_SUCCESS;
	sqe->user_data = (uint64_t)KIND_QUIET << KIND_SHIFT;
}

static void uring_cancel(struct weir_loop *loop, struct weir_op *op)
{
	struct io_uring_sqe *sqe = get_sqe(loop);

	if (!sqe)
		return;		/* the ring is broken; reap will tell */
	io_uring_prep_cancel64(sqe, data_of(loop, op), 0);
	quiet(sqe);
}

/* When a whole backlog no longer fits, a multishot accept goes on one by one. */
static void accept_judge(struct weir_loop *loop, struct weir_op *op)
{
	if (op->lib_priv != ACCEPT_MULTI || op->lib_end != OP_END_NONE || !io_accept_one(loop, op))
		return;
	op->lib_priv = ACCEPT_SWITCH;
	uring_cancel(loop, op);
}

/* An op of ours will open a file: its place is taken from now on. */
static void reserve(struct weir_loop *loop)
{
	struct weir_link *head = &uring_of(loop)->accepts;
	struct weir_link *node;

	loop->files_reserved++;
	for (node = head->next; node != head; node = node->next)
		accept_judge(loop, container_of(node, struct weir_op, lib_queue));
}

/* Multishot accepts that must yield are cancelled before this op's entry. */
static void queue_opening(struct weir_loop *loop, struct weir_op *op)
{
	if (op->opcode == WEIR_OP_CONNECT) {
		op->lib_priv = CONNECT_SOCKET;
		reserve(loop);
		return;
	}
	op->lib_priv = io_accept_one(loop, op) ? ACCEPT_ONE : ACCEPT_MULTI;
	if (op->lib_priv == ACCEPT_ONE)
		reserve(loop);
	list_add_tail(&uring_of(loop)->accepts, &op->lib_queue);
}

static int uring_queue(struct weir_loop *loop, struct weir_op *op)
{
	struct uring *u = uring_of(loop);
	struct io_uring_sqe *sqe;

	if (!io_uring_sq_space_left(&u->ring))
		return -EAGAIN;
	if (op_opens(op))
		queue_opening(loop, op);
	sqe = get_sqe(loop);
	if (!sqe) {
		op->res = -EIO;	/* the ring is broken; reap will tell */
		return IO_QUEUED_DONE;
	}
	fill(loop, op, sqe);
	u->inline_ops += ends_inline(op);
	return IO_QUEUED_PENDING;
}

static int uring_adopt(struct weir_loop *loop, uint32_t file, int fd)
{
	return 0;
}

/* completions */

static void wake_arm(struct weir_loop *loop)
{
	struct uring *u = uring_of(loop);
	struct io_uring_sqe *sqe = get_sqe(loop);

	if (!sqe)
		return;
	io_uring_prep_read(sqe, loop->wake_fd, &u->wake_count, sizeof(u->wake_count), 0);
	sqe->user_data = (uint64_t)KIND_WAKE << KIND_SHIFT;
}

static void on_wake(struct weir_loop *loop)
{
	/* Cleared before anybody looks at what the waker left: see weir_loop_wake(). */
	atomic_store(&loop->woken, false);
	wake_arm(loop);
}

static void on_accept(struct weir_loop *loop, struct weir_op *op, int res, uint32_t flags)
{
	bool more = flags & IORING_CQE_F_MORE;

	if (!more) {
		list_del(&op->lib_queue);
		loop->files_reserved -= op->lib_priv == ACCEPT_ONE;
	}
	switch (res) {
	case -ENFILE:
	case -EMFILE:
		io_event_nofile(loop, op, res);
		return;
	case -ECANCELED:
		if (op->lib_end != OP_END_NONE)
			break;
		/* fall through */
	case -ECONNABORTED:
	case -EPROTO:
	case -EAGAIN:
	case -EINTR:
		io_event_again(loop, op);
		return;
	}
	if (res < 0) {
		io_event(loop, op, res, false);
		return;
	}
	op->accepted = io_file_fixed(loop, (uint32_t)res);
	io_event(loop, op, 0, true);
	if (more)
		accept_judge(loop, op);
	else
		io_event_again(loop, op);
}

static void connect_abandon(struct weir_loop *loop, struct weir_op *op, int res)
{
	struct io_uring_sqe *sqe = get_sqe(loop);

	if (sqe) {
		io_uring_prep_close_direct(sqe, op->accepted.index);
		quiet(sqe);
	}
	io_file_free(loop, op->accepted.index);
	io_event(loop, op, res, false);
}

static void on_connect(struct weir_loop *loop, struct weir_op *op, int res)
{
	struct io_uring_sqe *sqe;

	if (op->lib_priv == CONNECT_SOCKET) {
		loop->files_reserved--;
		if (res < 0) {
			io_event(loop, op, res, false);
			return;
		}
		op->accepted = io_file_fixed(loop, (uint32_t)res);
		op->lib_priv = CONNECT_CONNECTING;
		if (op->lib_end != OP_END_NONE) {
			connect_abandon(loop, op, -ECANCELED);
			return;
		}
		sqe = get_sqe(loop);
		if (sqe)
			fill(loop, op, sqe);
		else
			connect_abandon(loop, op, -EIO);
		return;
	}
	if (res < 0)
		connect_abandon(loop, op, res);
	else
		io_event(loop, op, 0, false);
}

static void on_recv(struct weir_loop *loop, struct weir_op *op, int res, uint32_t flags)
{
	bool more = flags & IORING_CQE_F_MORE;
	uint32_t bid = flags >> IORING_CQE_BUFFER_SHIFT;

	if (res == -ENOBUFS && op->xfer.pool) {
		io_event_nobufs(loop, op);
		return;
	}
	if (flags & IORING_CQE_F_BUFFER && res > 0) {
		io_event_lease(loop, op, res, bid, true);
		if (!more)
			io_event_again(loop, op);
		return;
	}
	if (flags & IORING_CQE_F_BUFFER)
		uring_group_put(loop, (struct io_group *)(void *)op->xfer.pool, bid);
	io_event(loop, op, res, more && res > 0);
}

static void on_op(struct weir_loop *loop, const struct io_uring_cqe *cqe)
{
	struct uring *u = uring_of(loop);
	struct weir_op *op = io_op_of(loop, (uint32_t)cqe->user_data,
				      (cqe->user_data >> GEN_SHIFT) & SLOT_GEN_MASK);

	if (!op)
		return;
	u->news += !ends_inline(op);
	switch (op->opcode) {
	case WEIR_OP_ACCEPT:
		on_accept(loop, op, cqe->res, cqe->flags);
		break;
	case WEIR_OP_CONNECT:
		on_connect(loop, op, cqe->res);
		break;
	case WEIR_OP_RECV:
		on_recv(loop, op, cqe->res, cqe->flags);
		break;
	default:
		io_event(loop, op, cqe->res, false);
		break;
	}
}

static int dispatch(struct weir_loop *loop)
{
	struct uring *u = uring_of(loop);
	struct io_uring_cq *cq = &u->ring.cq;
	unsigned int head = *cq->khead;
	/* Those that come meanwhile wait for the next turn: it stays bounded. */
	unsigned int n = io_uring_smp_load_acquire(cq->ktail) - head;
	unsigned int mask = *cq->kring_mask;
	unsigned int i;
	int events = 0;

	for (i = 0; i < n; i++) {
		struct io_uring_cqe cqe = cq->cqes[(head + i) & mask];

		io_uring_smp_store_release(cq->khead, head + i + 1);
		switch ((enum kind)(cqe.user_data >> KIND_SHIFT)) {
		case KIND_OP:
			events++;
			on_op(loop, &cqe);
			break;
		case KIND_WAKE:
			on_wake(loop);
			break;
		case KIND_QUIET:
			break;
		}
	}
	return events;
}

/* reap */

/*
 * Smooth the number of events that came within one batch time. Of wall time,
 * not of the last turn: a loop that is faster than its clients has small turns
 * at any load, and would never begin to batch.
 */
static void note_news(struct weir_loop *loop, struct uring *u)
{
	uint64_t span = loop->now_ns - u->noted_ns;
	uint64_t window = loop->opts.batch_wait_us * NSEC_PER_USEC;

	if (span < window)
		return;
	u->rate = (u->rate * 3 + u->news * window * RATE_ONE / span) / 4;
	u->news = 0;
	u->noted_ns = loop->now_ns;
}

/*
 * How many completions to wait for: one at low load; at high load, for a
 * bounded time, news from half of those who may bring it. The sends of this
 * turn end as it is submitted and are no news.
 */
static unsigned int wanted(const struct weir_loop *loop, const struct uring *u)
{
	uint32_t sources = 0;
	unsigned int i;

	if (u->rate < BATCH_FROM * RATE_ONE || loop->opts.flags & WEIR_LOOP_NO_BATCH ||
	    !(u->features & URING_FEAT_MIN_TIMEOUT))
		return 1;
	for (i = 0; i < GROUPS_MAX; i++)
		sources += loop->groups[i] ? loop->groups[i]->armed : 0;
	if (sources < SOURCES_FROM)
		return 1;
	return min_u32(sources / 2, loop->opts.batch_max) + u->inline_ops;
}

static int wait_events(struct weir_loop *loop, uint64_t deadline_ns)
{
	struct uring *u = uring_of(loop);
	unsigned int flags = IORING_ENTER_GETEVENTS | IORING_ENTER_EXT_ARG;
	struct __kernel_timespec ts;
	struct uring_wait_arg arg = { 0 };
	unsigned int min = wanted(loop, u);
	uint64_t now, left;

	if (u->features & URING_FEAT_NO_IOWAIT)
		flags |= URING_ENTER_NO_IOWAIT;
	if (min > 1)
		arg.min_wait_usec = loop->opts.batch_wait_us;
	if (deadline_ns != DEADLINE_NONE) {
		/* The cached time is as old as the last callbacks were slow. */
		now = loop->sys->now(loop);
		left = deadline_ns > now ? deadline_ns - now : 0;
		ts.tv_sec = (int64_t)(left / NSEC_PER_SEC);
		ts.tv_nsec = (long long)(left % NSEC_PER_SEC);
		arg.ts = (uintptr_t)&ts;
	}
	return enter(loop, min, flags, &arg, sizeof(arg));
}

static void check_overflow(struct weir_loop *loop, const struct uring *u)
{
	if (*u->ring.sq.kflags & IORING_SQ_CQ_OVERFLOW)
		loop->stats.overflows++;
	if (*u->ring.cq.koverflow)
		base_die("weir: the kernel lost %u completions", *u->ring.cq.koverflow);
}

static int uring_reap(struct weir_loop *loop, uint64_t deadline_ns)
{
	struct uring *u = uring_of(loop);
	int ret;

	if (deadline_ns > loop->now_ns && !io_uring_cq_ready(&u->ring)) {
		io_parking(loop);
		ret = wait_events(loop, deadline_ns);
	} else {
		ret = enter(loop, 0, IORING_ENTER_GETEVENTS, NULL, 0);
	}
	u->inline_ops = 0;
	io_running(loop, io_uring_cq_ready(&u->ring));
	if (ret < 0 && ret != -ETIME && ret != -EINTR && ret != -EAGAIN && ret != -EBUSY)
		return ret;
	check_overflow(loop, u);
	note_news(loop, u);
	return dispatch(loop);
}

static int uring_start(struct weir_loop *loop)
{
	int err = uring_enable(loop);

	if (!err)
		wake_arm(loop);
	return err;
}

static int uring_fd(const struct weir_loop *loop)
{
	return uring_of(loop)->ring.ring_fd;
}

/* Entries are flushed by commit; the descriptor shows the rest. */
static bool uring_pending(const struct weir_loop *loop)
{
	return false;
}

const struct weir_backend weir_backend_uring = {
	.name		= "uring",
	.sys		= &io_sys_linux,
	.fixed_files	= 1,
	.open		= uring_open,
	.enable		= uring_start,
	.close		= uring_close,
	.queue		= uring_queue,
	.commit		= uring_commit,
	.reap		= uring_reap,
	.cancel		= uring_cancel,
	.adopt		= uring_adopt,
	.group_open	= uring_group_open,
	.group_close	= uring_group_close,
	.group_put	= uring_group_put,
	.fd		= uring_fd,
	.pending	= uring_pending,
};
