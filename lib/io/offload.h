/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/*
 * offload.h - a few threads for the calls that block
 *
 * An op handed over is carried out by its row's try, with a thread of its own
 * for as long as that takes. Its result comes back through the list of those
 * done, after weir_loop_wake().
 */
#ifndef IO_OFFLOAD_H
#define IO_OFFLOAD_H

#include <pthread.h>

#include "io/loop.h"

struct offload {
	struct weir_loop *loop;
	pthread_t *threads;
	uint32_t threads_max;
	uint32_t started;	/* the owner's alone */
	pthread_mutex_t lock;	/* guards what follows */
	pthread_cond_t more;
	struct weir_link queued;	/* by lib_queue, in order */
	struct weir_link done;		/* by lib_queue, result in op->res */
	uint32_t idle;
	bool quit;
};

int offload_open(struct offload *offload, struct weir_loop *loop);

/* offload_close() - end and join the threads; nothing is in flight any more */
void offload_close(struct offload *offload);

/* offload_submit() - 0, or -ENOMEM if not one thread could be started */
int offload_submit(struct offload *offload, struct weir_op *op);

/* offload_cancel() - 0: taken off the queue; -EALREADY: a thread has it, or had */
int offload_cancel(struct offload *offload, struct weir_op *op);

/* offload_take() - move the ops that are done to the empty list @done */
void offload_take(struct offload *offload, struct weir_link *done);

#endif /* IO_OFFLOAD_H */
