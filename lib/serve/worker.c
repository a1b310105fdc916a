// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/*
 * worker.c - life of a worker: opened by the thread that opens the service, run
 * and ended by a thread of its own
 *
 * A worker that dies in a callback (pthread_exit()) leaves a turn of
 * its loop unfinished, so nothing can be drained any more: its row says so, its
 * listener leaves the group, and its loop is abandoned, which closes all its
 * sockets. Memory the kernel might still write to lives until the thread has
 * ended, by when the kernel has let go of it.
 */
#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "net/listener.h"
#include "serve/service.h"

#define CLOSE_NS	NSEC_PER_SEC	/* for the kernel to let go of a loop */

/* waking: from any thread, also while the loop ends */

void worker_wake(struct worker *w)
{
	atomic_fetch_add(&w->wakers, 1);
	if (!atomic_load(&w->gone))
		weir_loop_wake(w->loop);
	atomic_fetch_sub(&w->wakers, 1);
}

/* Nobody uses the loop any more but its owner. */
static void wakers_out(struct worker *w)
{
	atomic_store(&w->gone, true);
	while (atomic_load(&w->wakers))
		sched_yield();
}

static int open_loop(struct worker *w)
{
	struct weir_service *service = w->service;
	struct weir_loop_opts loop = service->loop_opts;
	struct weir_loop_hooks hooks = { 0 };
	struct weir_pool_opts pool = {
		.sz		= sizeof(pool),
		.buf_bytes	= service->opts.buf_bytes,
		.count		= service->opts.bufs,
	};
	int err;

	meter_open(w, &hooks);
	loop.hooks = &hooks;
	err = weir_loop_open(&w->loop, &loop);
	if (err)
		return err;
	atomic_store(&w->gone, false);
	return weir_pool_open(&w->pool, w->loop, &pool);
}

int worker_open(struct worker *w, uint32_t index)
{
	struct weir_service *service = w->service;
	int err;

	w->index = index;
	w->stop_ns = DEADLINE_NONE;
	w->later_fd = -1;
	w->row = service->steering->ops->row(service->steering, index);
	if (!w->row)
		return -EINVAL;
	pressure_open(w);
	unread_open(w);
	err = open_loop(w);
	if (dgram_mode(service))
		return err ? err : dgram_open(w);
	if (!err)
		err = clients_open(w);
	if (!err)
		err = acceptor_open(w);
	if (!err)
		err = worker_open_listener(w);
	if (!err)
		err = signals_open(w);
	return err;
}

/* Cancels what is left, the user's operations among it. */
static void end_loop(struct worker *w)
{
	int err;

	worker_leave(w);
	weir_listener_close(w->listener, NULL, NULL);
	weir_listener_close(w->spare, NULL, NULL);
	w->listener = NULL;
	w->spare = NULL;
	wakers_out(w);
	err = weir_loop_close(w->loop, CLOSE_NS);
	if (err) {
		w->leaked = true;
		service_log(w->service, WEIR_LOG_ERROR,
			    "worker %u: the kernel keeps memory of its loop: %s", w->index,
			    weir_strerror(err));
	}
	w->loop = NULL;
}

/* Nobody is left who could give its buffers back. */
static void pool_forget(struct weir_pool *pool)
{
	uint32_t i;

	for (i = 0; i < pool->group.count; i++)
		pool->group.leases[i].refs = 0;
	pool->group.free = pool->group.count;
	pool->group.armed = 0;
	pool->group.parked = 0;
	list_init(&pool->waiters);
	pool->wake = (struct weir_op){ 0 };
}

void worker_close(struct worker *w)
{
	int err;

	w->ended = true;
	if (w->loop)
		end_loop(w);
	if (w->leaked)
		return;
	if (w->pool && atomic_load(&w->dead))
		pool_forget(w->pool);
	err = weir_pool_close(w->pool);
	if (err)
		service_log(w->service, WEIR_LOG_ERROR,
			    "worker %u: buffers that were not given back are lost", w->index);
	signals_close(w);
	dgram_close(w);
	acceptor_close(w);
	handover_close(w);
	clients_close(w);
}

/* the thread */

/* Twice: when it is ready to serve, and when it serves. */
static void report(struct worker *w, int err)
{
	struct weir_service *service = w->service;

	w->reports++;
	pthread_mutex_lock(&service->lock);
	service->reports++;
	if (err && !service->start_err)
		service->start_err = err;
	pthread_cond_broadcast(&service->reported);
	pthread_mutex_unlock(&service->lock);
}

/* Until all are ready and what is steered is this service's. */
static int stand_by(struct worker *w)
{
	struct weir_service *service = w->service;
	int go;

	pthread_mutex_lock(&service->lock);
	while (!service->go)
		pthread_cond_wait(&service->reported, &service->lock);
	go = service->go;
	pthread_mutex_unlock(&service->lock);
	return go < 0 ? go : 0;
}

static void leave_group(struct worker *w)
{
	int fd = w->listener ? weir_listener_fd(w->listener) : -1;

	worker_leave(w);
	/*
	 * Closing it takes effect only when the accept in flight has let go. But what a
	 * successor has is his, and before this one serves a predecessor's or a caller's.
	 */
	if (w->reports < 2 || atomic_load(&w->service->phase) != PHASE_ACCEPTING)
		return;
	if (fd >= 0)
		shutdown(fd, SHUT_RDWR);
	if (dgram_mode(w->service))
		dgram_deafen(w);
}

/* The thread ends in the middle of something. Runs on it. */
static void worker_died(void *arg)
{
	struct worker *w = arg;

	if (!w->err)
		w->err = -EOWNERDEAD;
	service_log(w->service, WEIR_LOG_ERROR, "worker %u died: %s; %u connections are lost",
		    w->index, weir_strerror(w->err), w->conns);
	/* Who reads that it is dead cannot hand it anything any more. */
	handover_stop(w);
	meter_state(w, WEIR_DEAD);
	atomic_store(&w->dead, true);
	w->ended = true;
	meter_publish(w);
	leave_group(w);
	wakers_out(w);
	acceptor_lost(w);
	handover_lost(w);
	if (!w->index)
		acceptor_ended(w->service);
	loop_abandon(w->loop);
	worker_accepting(w, false);
	listener_forget(w->listener, &w->service->alloc);
	listener_forget(w->spare, &w->service->alloc);
	w->listener = NULL;
	w->spare = NULL;
	w->loop = NULL;
	if (w->reports < 2)
		report(w, w->err);
}

static int pin_thread(const struct worker *w)
{
	const int *cpus = w->service->opts.cpus;
	cpu_set_t set;

	if (!cpus)
		return 0;
	if (cpus[w->index] < 0 || cpus[w->index] >= CPU_SETSIZE)
		return -EINVAL;
	CPU_ZERO(&set);
	CPU_SET(cpus[w->index], &set);
	return -pthread_setaffinity_np(pthread_self(), sizeof(set), &set);
}

/* All that may fail for good: of a predecessor nothing has been taken yet. */
static int worker_ready(struct worker *w)
{
	const struct weir_service *service = w->service;
	char name[16];
	int ret;

	snprintf(name, sizeof(name), "weir-w%u", w->index);
	pthread_setname_np(pthread_self(), name);
	ret = pin_thread(w);
	if (ret)
		return ret;
	/* From here the loop is this thread's. */
	ret = weir_loop_run_once(w->loop, 0);
	if (ret < 0)
		return ret;
	ret = service->ops.start ? service->ops.start(service->opts.ctx, w->index, w->loop) : 0;
	/* Opening returns it, where a positive value would pass for success. */
	if (ret)
		return ret < 0 ? ret : -EINVAL;
	w->started = true;
	return 0;
}

static int worker_begin(struct worker *w)
{
	w->row->pid = (uint32_t)syscall(SYS_gettid);
	meter_begin(w);
	signals_start(w);
	if (dgram_mode(w->service))
		dgram_start(w);
	else if (w->listener)
		weir_listener_start(w->listener);
	else
		acceptor_wait(w);
	return worker_spare(w);
}

/* A user's weir_loop_stop() does not end a service. */
static int worker_serve(struct worker *w)
{
	int ret = 0;

	while (!w->ended && ret >= 0) {
		ret = weir_loop_run(w->loop);
		if (ret == 1 && !w->ended)
			ret = -ECANCELED;
	}
	return ret < 0 ? ret : 0;
}

static void worker_end(struct worker *w)
{
	const struct weir_service *service = w->service;

	if (w->started && service->ops.stop)
		service->ops.stop(service->opts.ctx, w->index);
	w->ended = true;
	meter_publish(w);
	end_loop(w);
	meter_state(w, WEIR_DEAD);
}

static void *worker_main(void *arg)
{
	struct worker *w = arg;
	int err;

	pthread_cleanup_push(worker_died, w);
	err = worker_ready(w);
	report(w, err);
	if (!err)
		err = stand_by(w);
	if (!err) {
		err = worker_begin(w);
		report(w, err);
	}
	if (!err)
		w->err = worker_serve(w);
	if (!w->err)
		worker_end(w);
	pthread_cleanup_pop(w->err);
	return NULL;
}

/* Signals are for the caller's threads, but for those that a fault raises. */
int thread_start(pthread_t *thread, void *(*run)(void *arg), void *arg)
{
	static const int faults[] = {
		SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP, SIGABRT, SIGSYS, SIGPROF,
	};
	sigset_t set, old;
	size_t i;
	int err;

	sigfillset(&set);
	for (i = 0; i < ARRAY_SIZE(faults); i++)
		sigdelset(&set, faults[i]);
	pthread_sigmask(SIG_SETMASK, &set, &old);
	err = pthread_create(thread, NULL, run, arg);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	return -err;
}

int worker_start(struct worker *w)
{
	int err = thread_start(&w->thread, worker_main, w);

	w->created = !err;
	return err;
}
