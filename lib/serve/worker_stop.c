// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/*
 * worker_stop.c - a worker stops, or leaves its listener to a successor
 *
 * A stop has three steps. The listener closes and every connection is closed
 * gracefully; at the deadline what is left is aborted; when nothing is left the
 * loop ends.
 */
#include "net/listener.h"
#include "serve/service.h"

static bool busy(struct worker *w)
{
	return w->listener || w->spare || w->dgram.running || w->conns || w->held.count ||
	       weir_op_busy(&w->held.close_op) || !acceptor_done(w) || !handover_done(w);
}

void worker_idle(struct worker *w)
{
	if ((!worker_stopping(w) && w->phase != PHASE_LEFT) || w->ended || busy(w))
		return;
	w->ended = true;
	if (!w->index)
		acceptor_ended(w->service);
	weir_cancel(w->loop, &w->stop_op);
	weir_cancel(w->loop, &w->hold_op);
	signals_stop(w);
	pressure_stop(w);
	unread_stop(w);
	weir_loop_stop(w->loop);
}

/* Who yields waits until nobody accepts. */
void worker_accepting(struct worker *w, bool on)
{
	struct weir_service *service = w->service;

	if (w->accepting == on)
		return;
	w->accepting = on;
	pthread_mutex_lock(&service->lock);
	service->accepting += on ? 1 : -1;
	pthread_cond_broadcast(&service->reported);
	pthread_mutex_unlock(&service->lock);
}

static void listener_closed(void *ctx)
{
	struct worker *w = ctx;

	w->listener = NULL;
	worker_accepting(w, false);
	worker_idle(w);
}

static void listener_halted(void *ctx)
{
	worker_accepting(ctx, false);
}

static void spare_closed(void *ctx)
{
	struct worker *w = ctx;

	w->spare = NULL;
	worker_idle(w);
}

static void stop_arm(struct worker *w);

static void stop_done(struct weir_op *op)
{
	struct worker *w = op->ctx;

	if (w->ended)
		return;
	if (op->res)
		stop_arm(w);	/* cancelled: the deadline is another now */
	else if (dgram_mode(w->service))
		dgram_stop(w, true);
	else
		clients_abort(w);
}

static void stop_arm(struct worker *w)
{
	weir_prep_timeout(&w->stop_op, w->stop_ns, stop_done, w);
	weir_submit(w->loop, &w->stop_op);
}

/* Before it is closed: another thread may be about to move its queue. */
void worker_leave(struct worker *w)
{
	if (w->listener || w->dgram.count)
		w->service->steering->ops->leave(w->service->steering, w->index);
}

static void stop_changed(struct worker *w, uint64_t stop_ns)
{
	bool first = !worker_stopping(w);

	w->stop_ns = stop_ns;
	if (!first) {
		weir_cancel(w->loop, &w->stop_op);
		return;
	}
	meter_state(w, WEIR_DRAIN);
	worker_leave(w);
	if (dgram_mode(w->service)) {
		dgram_stop(w, false);
	} else {
		weir_listener_close(w->listener, listener_closed, w);
		weir_listener_close(w->spare, spare_closed, w);
		handover_stop(w);
		acceptor_wait(w);
		clients_stop(w);
	}
	stop_arm(w);
	if (w->phase == PHASE_LEFT)
		worker_idle(w);		/* its listener is closed already */
}

/*
 * A successor has the listeners. Clients are not told: whoever has sent a request
 * by now gets his answer here, and so does every later one on that connection.
 */
static void drain(struct worker *w)
{
	uint32_t heirs = atomic_load(&w->service->heirs);

	meter_state(w, WEIR_DRAIN);
	worker_leave(w);
	if (dgram_mode(w->service)) {
		dgram_left(w, heirs && w->index >= heirs);
		return;
	}
	weir_listener_close(w->listener, listener_closed, w);
	weir_listener_close(w->spare, spare_closed, w);
	handover_stop(w);
	acceptor_wait(w);
	worker_idle(w);
}

/*
 * Counted first: who yields again by now either waits until it accepts no more, or is
 * seen here.
 */
static void go_on(struct worker *w)
{
	bool counted = w->accepting;	/* still: it has not ended halting */

	worker_accepting(w, w->listener || w->dgram.running);
	if (atomic_load(&w->service->phase) != PHASE_ACCEPTING) {
		w->phase = PHASE_HALTED;
		worker_accepting(w, counted);
		return;
	}
	/* A process of his may be first in line until it has ended. */
	if (w->listener)
		listener_share(w->listener);
	listener_go_on(w->listener);
	dgram_go_on(w);
	if (w->accepting)	/* else another does, for it */
		weir_cancel(w->loop, &w->hold_op);
}

/* The spare one is this process's own: a successor has another. */
static void phase_changed(struct worker *w, unsigned int phase)
{
	w->phase = phase;
	if (phase == PHASE_LEFT) {
		drain(w);
	} else if (phase == PHASE_HALTED) {
		acceptor_wait(w);
		listener_halt(w->listener, listener_halted, w);
		dgram_halt(w);
	} else {
		go_on(w);
	}
}

void worker_tick(struct worker *w)
{
	uint64_t stop_ns = atomic_load_explicit(&w->service->stop_ns, memory_order_relaxed);
	unsigned int phase = atomic_load_explicit(&w->service->phase, memory_order_relaxed);

	if (w->ended)
		return;
	pressure_tick(w);
	unread_tick(w);
	meter_tick(w);
	if (stop_ns != w->stop_ns)
		stop_changed(w, stop_ns);
	else if (phase != w->phase && !worker_stopping(w))
		phase_changed(w, phase);
	handover_tick(w);
	if (w->inbox)
		acceptor_tick(w);
	worker_idle(w);
	dgram_flush(w);
}
