// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/*
 * dgram.c - a worker of datagrams: its ports, its counters, its stop
 *
 * The row of such a worker counts what it has taken from the kernel, as a worker
 * of connections counts what it has accepted: the kernel half counts what it gave,
 * and the difference waits. But datagrams get lost in a full socket, so when the
 * worker is about to block with a receive armed while something seems to wait, it
 * looks once more; what waited before that turn and did not come in it is counted
 * as lost. So one that is idle is known to be, and one that was stopped while parked
 * is found out by what it does not take.
 */
#include <errno.h>
#include <string.h>

#include "serve/service.h"

/* open, start, stop */

static int port_open(struct weir_dgram *dgram, const struct weir_dgram_carrier_ops *ops,
		     struct weir_dgram_carrier *carrier, struct port *port)
{
	int err = ops->open(carrier, dgram, &port->port);

	if (!err)
		port->ops = ops;
	return err;
}

int dgram_open(struct worker *w)
{
	struct weir_dgram_carrier *carrier = w->service->opts.carrier;
	struct weir_dgram *dgram = &w->dgram;
	int err;

	dgram->worker = w;
	err = port_open(dgram, &dgram_udp_ops, NULL, &dgram->ports[!!carrier]);
	if (err)
		return err;
	dgram->count = 1;
	if (carrier) {
		err = port_open(dgram, carrier->ops, carrier, &dgram->ports[0]);
		if (err)
			return err;
		dgram->count = 2;
	}
	worker_accepting(w, true);
	return dgram_is_later(w) ? 0 : dgram_join(w);
}

/*
 * A flow stays with the worker that it has as long as the epoch does: also where the
 * worker's heir has that socket, in the same maps.
 */
int dgram_join(struct worker *w)
{
	struct weir_steering *st = w->service->steering;

	if (!st->ops->adopted(st) || dgram_is_later(w) || !w->row->epoch)
		w->row->epoch++;
	return st->ops->join(st, w->index, dgram_udp_fd(w));
}

int dgram_listen(struct worker *w)
{
	bool later = dgram_is_later(w);
	int err = dgram_bind(w);

	return err || !later ? err : dgram_join(w);
}

void dgram_close(struct worker *w)
{
	size_t i;

	for (i = 0; i < ARRAY_SIZE(w->dgram.ports); i++) {
		if (w->dgram.ports[i].ops)
			w->dgram.ports[i].ops->close(w->dgram.ports[i].port);
		w->dgram.ports[i].ops = NULL;
	}
}

void dgram_stop(struct worker *w, bool now)
{
	struct weir_dgram *dgram = &w->dgram;
	uint32_t i;

	for (i = 0; i < dgram->count && dgram->running; i++)
		dgram->ports[i].ops->stop(dgram->ports[i].port, now);
}

void dgram_start(struct worker *w)
{
	struct weir_dgram *dgram = &w->dgram;
	uint32_t i;

	if (w->ended)
		return;
	dgram->running = dgram->count;
	for (i = 0; i < dgram->count; i++)
		dgram->ports[i].ops->start(dgram->ports[i].port);
	if (worker_stopping(w))
		dgram_stop(w, false);
}

/* What had come is answered. @surplus: nobody else has the socket, and what it holds. */
void dgram_left(struct worker *w, bool surplus)
{
	if (surplus)
		dgram_go_on(w);
	else
		dgram_halt(w);
	dgram_stop(w, false);
}

void dgram_flush(struct worker *w)
{
	struct weir_dgram *dgram = &w->dgram;
	uint32_t i;

	for (i = 0; i < dgram->count && dgram->running; i++)
		dgram->ports[i].ops->flush(dgram->ports[i].port);
}

/* There was a turn. */
static void nudged(struct weir_op *op)
{
}

void dgram_parking(struct worker *w)
{
	struct weir_steering *steering = w->service->steering;
	struct weir_dgram *dgram = &w->dgram;
	uint64_t since_ns;
	int waiting;

	/* What comes while it is halted waits for it, or for the successor. */
	if (!w->dgram.running || w->pool->group.parked || w->phase != PHASE_ACCEPTING)
		return;
	waiting = steering->ops->waiting(steering, w->index, &since_ns);
	if (waiting <= 0) {
		dgram->missed = 0;
		return;
	}
	if (dgram->missed && dgram->missed_at == w->meter.stats.accepted) {
		w->meter.base += min_u32(dgram->missed, (uint32_t)waiting);
		dgram->missed = 0;
		return;
	}
	dgram->missed = (uint32_t)waiting;
	dgram->missed_at = w->meter.stats.accepted;
	if (weir_op_busy(&dgram->nudge))
		return;
	weir_prep_nop(&dgram->nudge, nudged, w);
	weir_submit(w->loop, &dgram->nudge);
}

/* for the user */

int weir_dgram_send(struct weir_dgram *dgram, const struct weir_datagram *datagram)
{
	uint32_t i;
	int err = -ESHUTDOWN;

	assert_owner(dgram->worker->loop);
	if (!datagram->peer)
		return -EINVAL;
	if (datagram->len > WEIR_DGRAM_BYTES_MAX)
		return -EMSGSIZE;
	for (i = 0; i < dgram->count && dgram->running; i++) {
		err = dgram->ports[i].ops->send(dgram->ports[i].port, datagram);
		if (err != -EOPNOTSUPP)
			break;
	}
	if (err == -EAGAIN) {
		dgram->refused = true;
		dgram->worker->meter.stats.dgrams_refused++;
	}
	return err;
}

unsigned int weir_dgram_worker(const struct weir_dgram *dgram)
{
	return dgram->worker->index;
}

void *weir_dgram_service_ctx(const struct weir_dgram *dgram)
{
	return dgram->worker->service->opts.ctx;
}

struct weir_loop *weir_dgram_loop(const struct weir_dgram *dgram)
{
	return dgram->worker->loop;
}

struct weir_pool *weir_dgram_pool(const struct weir_dgram *dgram)
{
	return dgram->worker->pool;
}

void weir_dgram_addr(const struct weir_dgram *dgram, struct weir_addr *addr)
{
	*addr = dgram->worker->service->addr;
}

/* for carriers */

void dgram_deliver(struct weir_dgram *dgram, const struct weir_datagram *datagram)
{
	dgram->worker->meter.stats.dgrams_in++;
	dgram->worker->service->ops.datagram(dgram, datagram);
}

void weir_dgram_received(struct weir_dgram *dgram, const struct weir_datagram *datagram)
{
	meter_accepted(dgram->worker);
	dgram_deliver(dgram, datagram);
}

void weir_dgram_count(struct weir_dgram *dgram, uint64_t sent, uint64_t failed, uint64_t cut)
{
	struct weir_service_stats *stats = &dgram->worker->meter.stats;

	stats->dgrams_out += sent;
	stats->dgrams_failed += failed;
	stats->dgrams_cut += cut;
}

void weir_dgram_room(struct weir_dgram *dgram)
{
	if (!dgram->refused)
		return;
	dgram->refused = false;
	if (dgram->worker->service->ops.ready)
		dgram->worker->service->ops.ready(dgram);
}

void weir_dgram_stopped(struct weir_dgram *dgram)
{
	assert(dgram->running);
	dgram->running--;
	if (!dgram->running)
		worker_accepting(dgram->worker, false);
	worker_idle(dgram->worker);
}
