// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/*
 * acceptor.c - one worker accepts for all
 *
 * The first worker has the only listener. It gives each client to the worker with
 * the fewest, itself among them: as a descriptor, through a queue that the other
 * one empties when its turn ends. A slot of the ring's table becomes a descriptor
 * for that. Whom nobody has room for, or what cannot be handed over, stays here.
 *
 * A worker's load is what was given to it and has not closed; only the acceptor
 * raises it. A worker that stops has all its clients when it has emptied its queue
 * once more after it saw service->handed.
 */
#include <errno.h>
#include <unistd.h>

#include <weir/queue.h>

#include "serve/service.h"

/* A client on its way to another worker. */
struct handover {
	struct weir_op op;
	struct weir_file file;
	struct worker *from;
	struct worker *to;
	struct handover *next;		/* free list */
};

bool acceptor_mode(const struct weir_service *service)
{
	return service->opts.flags & WEIR_SERVICE_ACCEPTOR;
}

int acceptor_open(struct worker *w)
{
	struct weir_service *service = w->service;
	uint32_t i, max = service->loop_opts.files_max;
	int err;

	if (!acceptor_mode(service))
		return 0;
	/* No more are given to it than it has connections; NULL is no descriptor. */
	err = weir_queue_open(&w->inbox, service->opts.conns_max, 0, &service->alloc);
	if (err || w->index)
		return err;
	w->handovers = mem_get(&service->alloc, max, sizeof(*w->handovers),
			       _Alignof(struct handover));
	if (!w->handovers)
		return -ENOMEM;
	for (i = max; i-- > 0;) {
		w->handovers[i].from = w;
		w->handovers[i].next = w->handover_free;
		w->handover_free = &w->handovers[i];
	}
	return 0;
}

static int inbox_take(struct worker *w)
{
	return (int)(intptr_t)weir_queue_take(w->inbox) - 1;
}

void acceptor_lost(struct worker *w)
{
	uint32_t i;
	int fd;

	while (w->inbox && (fd = inbox_take(w)) >= 0)
		close(fd);
	for (i = 0; w->loop && w->handovers && i < w->service->loop_opts.files_max; i++)
		loop_lose(w->loop, &w->handovers[i].op);
}

void acceptor_close(struct worker *w)
{
	acceptor_lost(w);
	weir_queue_close(w->inbox);
	w->inbox = NULL;
	mem_put(&w->service->alloc, w->handovers, w->service->loop_opts.files_max,
		sizeof(*w->handovers));
	w->handovers = NULL;
}

/* the acceptor */

static struct worker *fewest(struct worker *w)
{
	struct weir_service *service = w->service;
	struct worker *best = w;
	uint32_t i;

	for (i = 1; i < service->opts.workers; i++) {
		struct worker *other = &service->workers[i];
		unsigned int load = atomic_load(&other->load);

		if (load < service->opts.conns_max && load < atomic_load(&best->load) &&
		    !atomic_load(&other->gone))
			best = other;
	}
	return best;
}

static void handover_put(struct handover *handover)
{
	struct worker *w = handover->from;

	handover->next = w->handover_free;
	w->handover_free = handover;
	w->handing--;
	worker_idle(w);
}

static void closed_here(struct weir_op *op)
{
	handover_put(op->ctx);
}

/* Into the other's queue, unless it is dead or ending: then this fails. */
static int give(struct worker *to, int fd)
{
	int err = -EOWNERDEAD;

	atomic_fetch_add(&to->wakers, 1);
	if (!atomic_load(&to->gone)) {
		err = weir_queue_put(to->inbox, (void *)((intptr_t)fd + 1));
		weir_loop_wake(to->loop);
	}
	atomic_fetch_sub(&to->wakers, 1);
	return err;
}

static void keep_here(struct handover *handover, int err)
{
	struct worker *w = handover->from;

	service_log(w->service, WEIR_LOG_WARN, "worker %u: a client stays with the acceptor: %s",
		    handover->to->index, weir_strerror(err));
	atomic_fetch_sub(&handover->to->load, 1);
	atomic_fetch_add(&w->load, 1);
	client_take(w, handover->file);
	handover_put(handover);
}

static void installed(struct weir_op *op)
{
	struct handover *handover = op->ctx;
	int fd = op->res, err;

	err = fd < 0 ? fd : give(handover->to, fd);
	if (err) {
		if (fd >= 0)
			close(fd);
		keep_here(handover, err);
		return;
	}
	weir_prep_close(op, handover->file, closed_here, handover);
	weir_submit(handover->from->loop, op);
}

bool acceptor_hand(struct worker *w, struct weir_file file)
{
	struct worker *to = fewest(w);
	struct handover *handover = w->handover_free;

	atomic_fetch_add(&to->load, 1);
	if (to == w)
		return false;
	/* There are as many as files. */
	assert(handover);
	w->handover_free = handover->next;
	w->handing++;
	handover->to = to;
	handover->file = file;
	weir_prep_install(&handover->op, file, installed, handover);
	weir_submit(w->loop, &handover->op);
	return true;
}

/* No client will be handed over any more: the others may end. */
void acceptor_ended(struct weir_service *service)
{
	uint32_t i;

	if (!acceptor_mode(service) || atomic_exchange(&service->handed, true))
		return;
	for (i = 1; i < service->opts.workers; i++)
		worker_wake(&service->workers[i]);
}

/* the others */

static void held_out(struct weir_op *op)
{
}

/* With nothing in flight a loop would not wait for what others give it. */
void acceptor_wait(struct worker *w)
{
	if (weir_op_busy(&w->hold_op))
		return;
	weir_prep_timeout(&w->hold_op, DEADLINE_NONE, held_out, w);
	weir_submit(w->loop, &w->hold_op);
}

bool acceptor_done(const struct worker *w)
{
	if (!acceptor_mode(w->service))
		return true;
	return w->index ? w->inbox_over : !w->handing;
}

/* Looked at first: what was given before that is found. */
void acceptor_tick(struct worker *w)
{
	bool last = atomic_load(&w->service->handed);
	struct weir_file file;
	int fd, err;

	while ((fd = inbox_take(w)) >= 0) {
		err = weir_file_adopt(w->loop, fd, &file);
		if (!err) {
			client_take(w, file);
			continue;
		}
		close(fd);
		atomic_fetch_sub(&w->load, 1);
		service_log(w->service, WEIR_LOG_ERROR, "worker %u: a client is lost: %s",
			    w->index, weir_strerror(err));
	}
	w->inbox_over = last;
}
