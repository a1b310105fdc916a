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

#include "io/backend.h"
#include "io/offload.h"

static void carry_out(struct weir_loop *loop, struct weir_op *op)
{
	op->res = weir_op_defs[op->opcode].try(loop, op, loop->files[op->file.index].fd);
}

static void *offload_thread(void *arg)
{
	struct offload *offload = arg;
	struct weir_op *op;

	pthread_mutex_lock(&offload->lock);
	for (;;) {
		while (list_empty(&offload->queued) && !offload->quit) {
			offload->idle++;
			pthread_cond_wait(&offload->more, &offload->lock);
			offload->idle--;
		}
		if (list_empty(&offload->queued))
			break;
		op = container_of(offload->queued.next, struct weir_op, lib_queue);
		list_del(&op->lib_queue);
		pthread_mutex_unlock(&offload->lock);

		carry_out(offload->loop, op);

		pthread_mutex_lock(&offload->lock);
		list_add_tail(&offload->done, &op->lib_queue);
		/* Under the lock: offload_close() cannot pass it by. */
		weir_loop_wake(offload->loop);
	}
	pthread_mutex_unlock(&offload->lock);
	return NULL;
}

int offload_open(struct offload *offload, struct weir_loop *loop)
{
	int err;

	offload->loop = loop;
	offload->threads_max = loop->opts.offload_threads;
	list_init(&offload->queued);
	list_init(&offload->done);
	offload->threads = mem_get(&loop->alloc, offload->threads_max,
				   sizeof(*offload->threads), _Alignof(pthread_t));
	if (!offload->threads)
		return -ENOMEM;
	err = pthread_mutex_init(&offload->lock, NULL);
	if (err)
		goto free_threads;
	err = pthread_cond_init(&offload->more, NULL);
	if (err)
		goto destroy_lock;
	return 0;

destroy_lock:
	pthread_mutex_destroy(&offload->lock);
free_threads:
	mem_put(&loop->alloc, offload->threads, offload->threads_max,
		sizeof(*offload->threads));
	return -err;
}

void offload_close(struct offload *offload)
{
	uint32_t i;

	pthread_mutex_lock(&offload->lock);
	offload->quit = true;
	pthread_cond_broadcast(&offload->more);
	pthread_mutex_unlock(&offload->lock);
	for (i = 0; i < offload->started; i++)
		pthread_join(offload->threads[i], NULL);
	pthread_cond_destroy(&offload->more);
	pthread_mutex_destroy(&offload->lock);
	mem_put(&offload->loop->alloc, offload->threads, offload->threads_max,
		sizeof(*offload->threads));
}

/* The process's signals are for threads that its author knows of. */
static int start_thread(struct offload *offload)
{
	sigset_t all, old;
	int err;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	err = pthread_create(&offload->threads[offload->started], NULL, offload_thread, offload);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	if (!err)
		offload->started++;
	return err;
}

int offload_submit(struct offload *offload, struct weir_op *op)
{
	bool busy;

	pthread_mutex_lock(&offload->lock);
	busy = !offload->idle || !list_empty(&offload->queued);
	pthread_mutex_unlock(&offload->lock);
	/* One that runs already will do, if later. */
	if (busy && offload->started < offload->threads_max &&
	    start_thread(offload) && !offload->started)
		return -ENOMEM;

	pthread_mutex_lock(&offload->lock);
	list_add_tail(&offload->queued, &op->lib_queue);
	pthread_cond_signal(&offload->more);
	pthread_mutex_unlock(&offload->lock);
	return 0;
}

int offload_cancel(struct offload *offload, struct weir_op *op)
{
	struct weir_link *node;
	int ret = -EALREADY;

	pthread_mutex_lock(&offload->lock);
	for (node = offload->queued.next; node != &offload->queued; node = node->next) {
		if (node == &op->lib_queue) {
			list_del(node);
			ret = 0;
			break;
		}
	}
	pthread_mutex_unlock(&offload->lock);
	return ret;
}

void offload_take(struct offload *offload, struct weir_link *done)
{
	pthread_mutex_lock(&offload->lock);
	list_take(done, &offload->done);
	pthread_mutex_unlock(&offload->lock);
}
