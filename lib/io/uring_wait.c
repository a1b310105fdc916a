// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/*
 * uring_wait.c - into the kernel: hand over what was queued, wait for what comes
 *
 * One system call a turn does both. This file owns the submission tail, because
 * liburing 2.3 has neither a public flush nor the minimum wait; liburing gives the
 * mappings and enters the kernel.
 *
 * Memory order: our release store of the submission tail pairs with the
 * kernel's acquire.
 */
#include <errno.h>
#include <unistd.h>

#include "io/group.h"
#include "io/uring.h"

enum {
	BATCH_FROM	= 4,	/* events within one batch time from which batching pays */
	SOURCES_FROM	= 4,	/* receives armed from which it does */
	RATE_ONE	= 256,	/* fixed point of uring.rate */
};

/* Publish the filled entries; returns how many the kernel has still to take. */
static unsigned int flush(struct io_uring_sq *sq)
{
	io_uring_smp_store_release(sq->ktail, sq->sqe_tail);
	sq->sqe_head = sq->sqe_tail;
	return sq->sqe_tail - io_uring_smp_load_acquire(sq->khead);
}

/*
 * The kernel's thread takes the entries by itself, if it is awake. Returns false if
 * there is nothing to enter for.
 */
static bool polled_enter(const struct io_uring *ring, unsigned int min, unsigned int *flags)
{
	uint32_t state;

	/* Pairs with the kernel's: it says that it sleeps, then looks at the tail again. */
	atomic_thread_fence(memory_order_seq_cst);
	state = IO_URING_READ_ONCE(*ring->sq.kflags);
	if (state & IORING_SQ_NEED_WAKEUP)
		*flags |= IORING_ENTER_SQ_WAKEUP;
	return min || *flags & ~(uint32_t)IORING_ENTER_GETEVENTS ||
	       state & (IORING_SQ_CQ_OVERFLOW | IORING_SQ_TASKRUN);
}

static __always_inline int enter(struct weir_loop *loop, unsigned int min, unsigned int flags,
				 void *arg, size_t arg_bytes)
{
	struct uring *u = uring_of(loop);
	unsigned int count = flush(&u->ring.sq);

	if (u->polled && !polled_enter(&u->ring, min, &flags))
		return 0;
	if (u->ring.int_flags & 1)	/* INT_FLAG_REG_RING of liburing */
		flags |= IORING_ENTER_REGISTERED_RING;
	loop->stats.syscalls++;
	return io_uring_enter2((unsigned int)u->ring.enter_ring_fd, count, min, flags, arg,
			       arg_bytes);
}

int uring_commit(struct weir_loop *loop)
{
	struct uring *u = uring_of(loop);
	unsigned int room = u->polled ? IORING_ENTER_SQ_WAIT : 0;
	unsigned int tries;
	int ret = 0;

	/* -EBUSY and -EAGAIN: completions must be flushed to the queue first. */
	for (tries = 0; tries < 16; tries++) {
		ret = enter(loop, 0, room | (tries ? IORING_ENTER_GETEVENTS : 0), NULL, 0);
		if (ret >= 0 || (ret != -EBUSY && ret != -EAGAIN && ret != -EINTR))
			break;
	}
	if (ret < 0)
		loop_log(loop, WEIR_LOG_ERROR, "uring: submission of %u failed: %s",
			 io_uring_sq_ready(&u->ring), weir_strerror(ret));
	return ret < 0 ? ret : 0;
}

struct io_uring_sqe *uring_sqe(struct weir_loop *loop)
{
	struct io_uring *ring = &uring_of(loop)->ring;
	struct io_uring_sqe *sqe = io_uring_get_sqe(ring);

	if (!sqe && !uring_commit(loop))
		sqe = io_uring_get_sqe(ring);
	return sqe;
}

/* wait */

/*
 * Smooth the number of events that came within one batch time. Of wall time,
 * not of the last turn: a loop that is faster than its clients has small turns
 * at any load, and would never begin to batch.
 */
static void note_news(struct weir_loop *loop, struct uring *u)
{
	uint64_t span;
	uint64_t window = loop->opts.batch_wait_us * NSEC_PER_USEC;

	if (!u->news && !u->rate)
		return;
	span = loop_clock(loop) - u->noted_ns;
	if (span < window)
		return;
	u->rate = (u->rate * 3 + u->news * window * RATE_ONE / span) / 4;
	u->news = 0;
	u->noted_ns = loop_clock(loop);
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
	for (i = 0; i < loop->groups_end; i++)
		sources += loop->groups[i] ? loop->groups[i]->armed : 0;
	if (sources < SOURCES_FROM)
		return 1;
	return min_u32(sources / 2, loop->opts.batch_max) + u->inline_ops;
}

/* Fill in what the next wait is for. */
static void wait_set(struct weir_loop *loop, struct uring_reg_wait *wait, unsigned int min,
		     uint64_t deadline_ns)
{
	uint64_t now, left;

	wait->min_wait_usec = min > 1 ? loop->opts.batch_wait_us : 0;
	wait->flags = 0;
	if (deadline_ns == DEADLINE_NONE)
		return;
	/* The cached time is as old as the last callbacks were slow. */
	now = loop->sys->now(loop);
	left = deadline_ns > now ? deadline_ns - now : 0;
	wait->ts.tv_sec = (int64_t)(left / NSEC_PER_SEC);
	wait->ts.tv_nsec = (long long)(left % NSEC_PER_SEC);
	wait->flags = URING_WAIT_TS;
}

/* A wait that is for more than one completion, or not for ever. */
static __attribute__((noinline)) int wait_bounded(struct weir_loop *loop, uint64_t deadline_ns,
						  unsigned int min, unsigned int flags)
{
	struct uring *u = uring_of(loop);
	struct uring_reg_wait *wait = u->wait;
	struct uring_wait_arg arg;

	wait_set(loop, wait, min, deadline_ns);
	flags |= IORING_ENTER_EXT_ARG;
	/* Instead of an address: where in the page it is. */
	if (u->wait_known)
		return enter(loop, min, flags | URING_ENTER_EXT_ARG_REG, NULL, sizeof(*wait));
	arg = (struct uring_wait_arg){
		.min_wait_usec = wait->min_wait_usec,
		.ts = wait->flags ? (uintptr_t)&wait->ts : 0,
	};
	return enter(loop, min, flags, &arg, sizeof(arg));
}

static int wait_events(struct weir_loop *loop, uint64_t deadline_ns)
{
	const struct uring *u = uring_of(loop);
	unsigned int flags = IORING_ENTER_GETEVENTS;
	unsigned int min = wanted(loop, u);

	if (u->features & URING_FEAT_NO_IOWAIT)
		flags |= URING_ENTER_NO_IOWAIT;
	/* An argument is looked at, and maybe copied: none is cheaper. */
	if (min == 1 && deadline_ns == DEADLINE_NONE)
		return enter(loop, min, flags, NULL, 0);
	return wait_bounded(loop, deadline_ns, min, flags);
}

static void check_overflow(struct weir_loop *loop, const struct uring *u)
{
	if (*u->ring.sq.kflags & IORING_SQ_CQ_OVERFLOW)
		loop->stats.overflows++;
	if (*u->ring.cq.koverflow)
		base_die("weir: the kernel lost %u completions", *u->ring.cq.koverflow);
}

int uring_reap(struct weir_loop *loop, uint64_t deadline_ns)
{
	struct uring *u = uring_of(loop);
	int ret;

	if (!io_uring_cq_ready(&u->ring) && deadline_ns &&
	    (deadline_ns == DEADLINE_NONE || deadline_ns > loop_clock(loop))) {
		ret = wait_events(loop, io_parking(loop, deadline_ns));
	} else {
		ret = enter(loop, 0, IORING_ENTER_GETEVENTS, NULL, 0);
	}
	if (loop->nested)
		uring_nest_clear(loop);
	u->inline_ops = 0;
	io_running(loop, io_uring_cq_ready(&u->ring));
	if (ret < 0 && ret != -ETIME && ret != -EINTR && ret != -EAGAIN && ret != -EBUSY)
		return ret;
	check_overflow(loop, u);
	note_news(loop, u);
	return uring_dispatch(loop);
}
