// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/*
 * offload.c - a few threads for the calls that block
 *
 * Started at first use, one at a time while there are fewer than asked for and
 * none is idle. The threads see nothing of the loop but the op they carry out,
 * its file's descriptor, and weir_loop_wake().
 */
#include <errno.h>
#include <signal.h>
#include <unistd.h>

#include "io/ops.h"

static int fd_of(const struct weir_loop *loop, const struct weir_op *op)
{
	return op->lib_priv >= OP_FD ? (int)(op->lib_priv - OP_FD) : op_fd(loop, op);
}

/* One of its own goes with it. */
static void fd_close(struct weir_op *op)
{
	if (op->lib_priv >= OP_FD)
		close((int)(op->lib_priv - OP_FD));
	op->lib_priv = 0;
}

static void *offload_thread(void *arg)
{
	struct weir_loop *loop = arg;
	struct offload *offload = &loop->offload;
	struct weir_op *op;

	pthread_mutex_lock(&offload->lock);
	for (;;) {
		while (list_empty(&offload->queued) && !offload->quit) {
			offload->idle++;
			pthread_cond_wait(&offload->more, &offload->lock);
			offload->idle--;
		}
		if (offload->quit)
			break;
		op = container_of(offload->queued.next, struct weir_op, lib_queue);
		list_del(&op->lib_queue);
		offload->queued_count--;
		pthread_mutex_unlock(&offload->lock);

		op->res = op_def(op)->try(loop, op, fd_of(loop, op));
		fd_close(op);

		pthread_mutex_lock(&offload->lock);
		list_add_tail(&offload->done, &op->lib_queue);
		/* Under the lock: offload_close() cannot pass it by. */
		weir_loop_wake(loop);
	}
	pthread_mutex_unlock(&offload->lock);
	return NULL;
}

int offload_open(struct weir_loop *loop)
{
	struct offload *offload = &loop->offload;
	int err;

	list_init(&offload->queued);
	list_init(&offload->done);
	err = pthread_mutex_init(&offload->lock, NULL);
	if (err)
		return -err;
	err = pthread_cond_init(&offload->more, NULL);
	if (err)
		pthread_mutex_destroy(&offload->lock);
	return -err;
}

void offload_close(struct weir_loop *loop)
{
	struct offload *offload = &loop->offload;
	uint32_t i;

	pthread_mutex_lock(&offload->lock);
	offload->quit = true;
	pthread_cond_broadcast(&offload->more);
	pthread_mutex_unlock(&offload->lock);
	for (i = 0; i < offload->started; i++)
		pthread_join(offload->threads[i], NULL);
	pthread_cond_destroy(&offload->more);
	pthread_mutex_destroy(&offload->lock);
}

/* The process's signals are for threads that its author knows of. */
static int start_thread(struct weir_loop *loop)
{
	struct offload *offload = &loop->offload;
	sigset_t all, old;
	int err;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	err = pthread_create(&offload->threads[offload->started], NULL, offload_thread, loop);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	if (!err)
		offload->started++;
	return err;
}

int io_offload(struct weir_loop *loop, struct weir_op *op)
{
	struct offload *offload = &loop->offload;
	bool busy;

	pthread_mutex_lock(&offload->lock);
	busy = !offload->idle || !list_empty(&offload->queued);
	pthread_mutex_unlock(&offload->lock);
	/* One that runs already will do, if later. */
	if (busy && offload->started < loop->opts.offload_threads && start_thread(loop) &&
	    !offload->started)
		return -ENOMEM;

	op->lib_state = OP_OFFLOADED;
	loop->stats.offloaded++;
	pthread_mutex_lock(&offload->lock);
	list_add_tail(&offload->queued, &op->lib_queue);
	offload->queued_count++;
	pthread_cond_signal(&offload->more);
	pthread_mutex_unlock(&offload->lock);
	return 0;
}

int offload_cancel(struct weir_loop *loop, struct weir_op *op)
{
	struct offload *offload = &loop->offload;
	struct weir_link *node;
	int ret = -EALREADY;

	pthread_mutex_lock(&offload->lock);
	for (node = offload->queued.next; node != &offload->queued; node = node->next) {
		if (node == &op->lib_queue) {
			list_del(node);
			offload->queued_count--;
			fd_close(op);
			ret = 0;
			break;
		}
	}
	pthread_mutex_unlock(&offload->lock);
	return ret;
}

unsigned int offload_reap(struct weir_loop *loop)
{
	struct offload *offload = &loop->offload;
	unsigned int n;
	struct weir_link done;

	pthread_mutex_lock(&offload->lock);
	list_take(&done, &offload->done);
	pthread_mutex_unlock(&offload->lock);
	for (n = 0; !list_empty(&done); n++) {
		struct weir_op *op = container_of(done.next, struct weir_op, lib_queue);

		list_del(&op->lib_queue);
		io_event_offloaded(loop, op, op->res);
	}
	return n;
}

uint64_t offload_queued(const struct weir_loop *loop)
{
	/* The lock is no part of what the caller may not change. */
	struct offload *offload = (struct offload *)(uintptr_t)&loop->offload;
	uint64_t count;

	pthread_mutex_lock(&offload->lock);
	count = offload->queued_count;
	pthread_mutex_unlock(&offload->lock);
	return count;
}
