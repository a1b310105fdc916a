/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/*
 * ready.h - operations over readiness, shared by epoll and sim
 *
 * An op is tried (weir_op_def.try through loop->sys). -EAGAIN leaves it on its
 * file's list until the file becomes ready for the row's @wait events; then it
 * is runnable, and is tried from reap. Readiness is edge-triggered: who reports
 * it (epoll_wait, the in-memory kernel) calls ready_mark() once per edge.
 */
#ifndef IO_READY_H
#define IO_READY_H

#include <errno.h>

#include "io/backend.h"
#include "io/group.h"

enum {
	READY_BURST	= 16,	/* events one op may have in one turn: fairness */
};

/*
 * io_file.hints. HINT_STREAM: TCP, where a short receive leaves nothing behind,
 * so that it need not be tried again before the next edge. HINT_MORE: an end, an
 * error or urgent data was reported, and would be missed by that. HINT_CONNECTED:
 * opened by a connect of which the socket was not told by a second call.
 */
enum ready_hints {
	READY_HINT_STREAM	= 1 << 0,
	READY_HINT_MORE		= 1 << 1,	/* the next two are IO_HINT_* */
	READY_HINT_CONNECTED	= 1 << 4,
	READY_HINT_OWN		= 1 << 8,	/* this bit and higher: the backend's */
};

/*
 * First member of the private state of each readiness backend.
 * @runnable: ops to be tried at the next ready_run(), by lib_queue
 * @arm: an op will wait for edges of this file: make sure they are reported.
 *	0 or -errno
 * @offload: carry out a blocking op elsewhere; io_event() from reap tells.
 *	0 or -errno; -EAGAIN: this file never blocks, try it as any other op
 * @short_drains: HINT_STREAM may be given to the sockets of a connect
 * @cut_short: after an event of a multishot op: must it be armed again, as with a
 *	full completion queue? NULL: never
 */
struct ready {
	struct weir_link runnable;
	bool short_drains;
	int (*arm)(struct weir_loop *loop, uint32_t file);
	int (*offload)(struct weir_loop *loop, struct weir_op *op);
	bool (*cut_short)(struct weir_loop *loop);
};

void ready_init(struct ready *ready);

/* ready_queue() - weir_backend.queue: try once, else wait; multishot is runnable */
int ready_queue(struct weir_loop *loop, struct weir_op *op);

/* ready_both() - can a splice go on? Else *@notp is the file that is not ready */
bool ready_both(struct weir_loop *loop, const struct weir_op *op, struct weir_file *notp);

/* ready_cancel() - weir_backend.cancel */
void ready_cancel(struct weir_loop *loop, struct weir_op *op);

/* ready_late() - @op, which is on no list, was told to end: try it once more, then it ends */
void ready_late(struct weir_loop *loop, struct weir_op *op);

/* ready_mark() - an edge: @file is ready for @events (as in poll(2)) */
void ready_mark(struct weir_loop *loop, uint32_t file, uint32_t events);

/* ready_pending() - would ready_run() do anything? */
bool ready_pending(const struct weir_loop *loop);

/* ready_run() - try what was runnable when it was called; returns events */
unsigned int ready_run(struct weir_loop *loop);

/*
 * lib/io/ready_group.c: buffers by number on a stack: weir_backend.group_* of
 * readiness backends. At ready_group_open() buffers [spare_max, count) go on it;
 * the others are lent out by io/group.c itself.
 */
struct ready_group {
	uint32_t top;
	uint32_t bids[];
};

int ready_group_open(struct weir_loop *loop, struct io_group *group);
void ready_group_close(struct weir_loop *loop, struct io_group *group);
void ready_group_put(struct weir_loop *loop, struct io_group *group, uint32_t bid);

/* ready_group_push() - one that may be received into */
static inline void ready_group_push(struct io_group *group, uint32_t bid)
{
	struct ready_group *stack = group->priv;

	assert(stack->top < group->count);
	stack->bids[stack->top++] = bid;
}

/* ready_group_pop() - the last of them, or -ENOBUFS */
static inline int ready_group_pop(struct io_group *group)
{
	struct ready_group *stack = group->priv;

	return stack->top ? (int)stack->bids[--stack->top] : -ENOBUFS;
}

#endif /* IO_READY_H */
