// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/*
 * uring_peer.c - what one ring asks of another, by MSG_RING
 *
 * A bell is one completion in the target's queue, from the reserve: there is at
 * most one outstanding (weir_loop.bell). Of our own queue it takes an entry only
 * if it fails.
 */
#include <errno.h>

#include "io/pass.h"
#include "io/uring.h"

int uring_bell(struct weir_loop *loop, struct weir_loop *to)
{
	struct io_uring_sqe *sqe;

	if (uring_of(loop)->no_bell)
		return -EOPNOTSUPP;
	sqe = uring_sqe(loop);
	if (!sqe)
		return -EIO;
	io_uring_prep_msg_ring(sqe, uring_of(to)->ring.ring_fd, 0, uring_data(KIND_BELL, 0), 0);
	sqe->flags |= IOSQE_CQE_SKIP_SUCCESS;
	sqe->user_data = uring_data(KIND_BELL_LOST, (uintptr_t)to);
	loop->stats.bells++;
	return 0;
}

static void bell_lost(uint64_t data)
{
	struct weir_loop *to = (struct weir_loop *)(uintptr_t)data;

	atomic_store(&to->bell, false);
	weir_loop_wake(to);
}

void uring_on_bell_lost(struct weir_loop *loop, uint64_t data, int res)
{
	/* No such thing in this kernel. */
	if (res == -EINVAL || res == -EOPNOTSUPP)
		uring_of(loop)->no_bell = true;
	bell_lost(data);
}

/* The completion there is covered by the place that is kept there. */
int uring_send_file(struct weir_loop *loop, uint32_t file, struct weir_loop *to,
		    struct weir_pass *pass)
{
	struct io_uring_sqe *sqe = uring_sqe(loop);

	if (!sqe)
		return -EIO;
	uring_prep_send_file(sqe, uring_of(to)->ring.ring_fd, file,
			     uring_data(KIND_ARRIVED, (uintptr_t)pass));
	sqe->user_data = uring_data(KIND_SENT, file);
	return 0;
}

void uring_on_arrived(struct weir_loop *loop, uint64_t data, int res)
{
	pass_arrived(loop, (struct weir_pass *)(uintptr_t)data, (uint32_t)res);
}

void uring_on_sent(struct weir_loop *loop, uint64_t data, int res)
{
	uint32_t file = (uint32_t)data;
	struct io_uring_sqe *sqe;

	if (res >= 0) {
		sqe = uring_sqe(loop);
		if (sqe) {
			io_uring_prep_close_direct(sqe, file);
			uring_quiet(sqe);
		}
	}
	pass_sent(loop, file, res < 0 ? res : 0);
}

/* A loop that is given up in the middle of a turn leaves bells that never sounded. */
void uring_lose_bells(struct weir_loop *loop)
{
	struct io_uring_sq *sq = &uring_of(loop)->ring.sq;
	unsigned int i;

	for (i = io_uring_smp_load_acquire(sq->khead); i != sq->sqe_tail; i++) {
		uint64_t data = sq->sqes[i & *sq->kring_mask].user_data;

		if (uring_kind(data) == KIND_BELL_LOST)
			bell_lost(uring_value(data));
	}
}
