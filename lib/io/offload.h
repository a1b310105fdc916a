/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/*
 * offload.h - a few threads for the calls that block
 *
 * An op handed over is carried out by its row's try, with a thread of its own
 * for as long as that takes. It waits in a queue that the loop's budget bounds,
 * and until a thread takes it a cancel or deadline takes it back. Its result
 * comes through the list of those done, after weir_loop_wake().
 */
#ifndef IO_OFFLOAD_H
#define IO_OFFLOAD_H

#include <pthread.h>
#include <stdbool.h>

#include <weir/op.h>

enum { OFFLOAD_THREADS_MAX = 64 };

struct offload {
	pthread_t threads[OFFLOAD_THREADS_MAX];
	uint32_t started;	/* the owner's alone */
	pthread_mutex_t lock;	/* guards what follows */
	pthread_cond_t more;
	struct weir_link queued;	/* by lib_queue, in order */
	struct weir_link done;		/* by lib_queue, result in op->res */
	uint64_t queued_count;
	uint32_t idle;
	bool quit;
};

int offload_open(struct weir_loop *loop);

/* offload_close() - end and join the threads; what is queued is forgotten */
void offload_close(struct weir_loop *loop);

/*
 * io_offload() - for backends, in queue(): carry @op out on a thread. 0: its
 * event comes without the backend; -EOPNOTSUPP: its file has no descriptor;
 * -ENOMEM if not one thread could be started.
 */
int io_offload(struct weir_loop *loop, struct weir_op *op);

/* offload_cancel() - 0: taken off the queue; -EALREADY: a thread has it, or had */
int offload_cancel(struct weir_loop *loop, struct weir_op *op);

/* offload_reap() - the events of what is done; returns how many */
unsigned int offload_reap(struct weir_loop *loop);

/* offload_queued() - how many wait for a thread */
uint64_t offload_queued(const struct weir_loop *loop);

#endif /* IO_OFFLOAD_H */
