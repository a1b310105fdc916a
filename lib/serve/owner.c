// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/*
 * owner.c - a service as the owner of its listeners: what it does for a successor
 *
 * Who yields accepts nobody any more. When the successor serves the listeners are
 * closed, and those who are connected are served until they leave or drain_ns is over.
 */
#include <errno.h>

#include "base/clock.h"
#include "net/listener.h"
#include "serve/control.h"
#include "serve/parcel.h"
#include "serve/service.h"

#define LINGER_NS		(5 * NSEC_PER_SEC)
#define HALT_STEPS		10	/* for workers to accept no more, */
#define HALT_STEP_NS		(25 * NSEC_PER_MSEC)	/* each of so long */

static void wait_step(struct weir_service *service)
{
	uint64_t end_ns = clock_ns() + HALT_STEP_NS;	/* reported goes by that clock */
	struct timespec end = {
		.tv_sec		= (time_t)(end_ns / NSEC_PER_SEC),
		.tv_nsec	= (long)(end_ns % NSEC_PER_SEC),
	};

	while (service->accepting && !pthread_cond_timedwait(&service->reported, &service->lock,
							     &end))
		;
}

/*
 * Until nobody accepts; a worker that hangs is not waited for. In steps: where a whole
 * machine was stopped one of them is over, and those who were stopped with us have
 * the others.
 */
static unsigned int wait_halted(struct weir_service *service)
{
	unsigned int steps, left;

	pthread_mutex_lock(&service->lock);
	for (steps = HALT_STEPS; service->accepting && steps; steps--)
		wait_step(service);
	left = service->accepting;
	pthread_mutex_unlock(&service->lock);
	return left;
}

static void phase_set(struct weir_service *service, enum phase phase)
{
	uint32_t i;

	atomic_store(&service->phase, phase);
	for (i = 0; i < service->opts.workers; i++)
		worker_wake(&service->workers[i]);
}

static int yield(void *ctx, int maps, unsigned int *hung)
{
	struct weir_service *service = ctx;
	struct weir_steering *st = service->steering;
	int err;

	err = st->ops->yield(st, maps);
	if (err)
		return err;
	phase_set(service, PHASE_HALTED);
	*hung = wait_halted(service);
	if (maps)
		st->ops->yield(st, 1);	/* what was accepted meanwhile */
	return 0;
}

/*
 * One that died before is out of the group until a successor listens there again; one
 * that died since he came is in it.
 */
static void mute_dead(struct weir_service *service)
{
	uint32_t i;

	for (i = 0; service->control && i < service->opts.workers; i++)
		if (atomic_load(&service->workers[i].dead))
			control_mute(service->control, i);
}

static void take_back(void *ctx)
{
	struct weir_service *service = ctx;
	struct weir_steering *st = service->steering;
	bool halted = atomic_load(&service->phase) == PHASE_HALTED;
	int err = st->ops->resume(st);

	if (err)
		service_log(service, WEIR_LOG_ERROR, "control: not all that a successor had could "
			    "be taken back: %s", weir_strerror(err));
	if (!halted)
		return;
	phase_set(service, PHASE_ACCEPTING);
	mute_dead(service);
	if (!service->child)	/* else its parent says so */
		service_log(service, WEIR_LOG_WARN, "control: a successor did not come to serve; "
			    "the service goes on");
}

static void heirs(void *ctx, unsigned int workers)
{
	struct weir_service *service = ctx;

	atomic_store(&service->heirs, workers);
}

static void leave(void *ctx)
{
	phase_set(ctx, PHASE_LEFT);
}

static void drained(void *ctx)
{
	weir_service_stop(ctx, LINGER_NS);
}

static int died(void *ctx)
{
	struct weir_service *service = ctx;
	int count = 0;
	uint32_t i;

	for (i = 0; i < service->opts.workers; i++)
		count += atomic_load(&service->workers[i].dead);
	return count > 0;
}

const struct weir_control_ops owner_ops = {
	.yield		= yield,
	.take_back	= take_back,
	.heirs		= heirs,
	.leave		= leave,
	.drained	= drained,
	.died		= died,
};

/* An acceptor has the only one. */
static int read_listeners(const struct weir_service *service, int *fds, uint32_t count)
{
	const struct worker *w;
	uint32_t i;

	for (i = 0; i < count; i++) {
		w = &service->workers[i];
		fds[i] = dgram_mode(service) ? dgram_udp_fd(w) : weir_listener_fd(w->listener);
		if (fds[i] < 0)
			return fds[i];
	}
	return 0;
}

int owner_claim(struct weir_service *service)
{
	struct weir_control_opts opts = {
		.sz		= sizeof(opts),
		.instance	= service->opts.control,
		.given		= service->given,
		.steering	= service->steering,
		.ops		= &owner_ops,
		.ctx		= service,
		.log		= &service->log,
		.drain_ns	= service->opts.drain_ns,
		.flags		= takeover_lives(service->opts.takeover) ? WEIR_CONTROL_REPLACE : 0,
		.workers	= service->opts.workers,
	};
	int err;

	if (!service->opts.control)
		return 0;
	service->opts.control = NULL;
	/* What a carrier receives is in memory of this process. */
	if (service->opts.carrier)
		opts.flags |= WEIR_CONTROL_HOLD;
	err = control_make(&service->control, &opts);
	if (err)
		return err;
	/* Without a place for the socket the service serves all the same. */
	return control_claim(service->control) == -EADDRINUSE ? -EADDRINUSE : 0;
}

int owner_prepare(struct weir_service *service)
{
	uint32_t count = acceptor_mode(service) ? 1 : service->opts.workers;
	int fds[WEIR_WORKERS_MAX], err;

	if (!service->control)
		return 0;
	err = read_listeners(service, fds, count);
	return err ? err : control_keep(service->control, fds, count);
}

void owner_announce(struct weir_service *service)
{
	if (service->control)
		(void)control_run(service->control);
}
