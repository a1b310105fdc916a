// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/*
 * signal.c - edges that the kernel half raises about connections
 *
 * They come through a ring whose descriptor polls readable. One-shot poll,
 * armed again after the ring was emptied: arming looks at the level, so nothing
 * that came in between is missed (a multishot poll loses wake-ups). A tick of
 * one second takes too, as a belt, and counts what it found.
 *
 * Signals name a connection by its socket cookie. The kernel may know one
 * before we do: such signals are held until it is accepted. Those that nobody
 * fetches in time, or that do not fit, are counted as lost. Those without a cookie
 * are about the worker itself.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <unistd.h>

#include "serve/service.h"

#define TICK_NS		NSEC_PER_SEC
#define HELD_NS		(10 * NSEC_PER_SEC)

/* signals that came before their connection */

static void lose(struct worker *w, uint32_t i)
{
	struct signals *s = &w->signals;

	w->meter.stats.signals_lost++;
	s->held_count--;
	for (; i < s->held_count; i++)
		s->held[i] = s->held[i + 1];
}

static void hold(struct worker *w, const struct weir_event *event)
{
	struct signals *s = &w->signals;

	if (s->held_count == SIGNALS_HELD)
		lose(w, 0);
	s->held[s->held_count++] = (struct held_signal){
		.event = *event,
		.since_ns = weir_loop_now(w->loop),
	};
	w->meter.stats.signals_held++;
}

static void expire_held(struct worker *w)
{
	struct signals *s = &w->signals;

	while (s->held_count && weir_loop_now(w->loop) - s->held[0].since_ns >= HELD_NS)
		lose(w, 0);
}

static void deliver(struct client *client, const struct weir_event *event)
{
	client->worker->meter.stats.signals++;
	pressure_tell(client, event);
}

/* In the order they came. Telling one may end the connection. */
static void deliver_held(struct worker *w, struct client *client)
{
	struct signals *s = &w->signals;
	struct weir_event mine[SIGNALS_HELD];
	uint32_t i, kept = 0, n = 0;

	for (i = 0; i < s->held_count; i++) {
		if (s->held[i].event.cookie == client->cookie)
			mine[n++] = s->held[i].event;
		else
			s->held[kept++] = s->held[i];
	}
	s->held_count = kept;
	for (i = 0; i < n; i++) {
		if (client->cookie)
			deliver(client, &mine[i]);
		else
			w->meter.stats.signals_lost++;
	}
}

/* Are cookies of any use? */
bool signals_wanted(const struct worker *w)
{
	return w->signals.cookies.table;
}

void signals_add(struct worker *w, struct client *client, uint64_t cookie)
{
	struct signals *s = &w->signals;

	if (!cookie)
		return;
	client->cookie = cookie;
	cookies_put(&s->cookies, cookie, client);
	w->service->steering->ops->accepted(w->service->steering, w->index, cookie,
						client->accepted_ns);
	if (s->held_count)
		deliver_held(w, client);
}

void signals_arrive(struct worker *w, struct client *client, uint64_t cookie)
{
	if (!cookie)
		return;
	client->cookie = cookie;
	cookies_put(&w->signals.cookies, cookie, client);
	if (w->signals.held_count)
		deliver_held(w, client);
}

void signals_leave(struct worker *w, struct client *client)
{
	if (client->cookie)
		cookies_del(&w->signals.cookies, client->cookie);
	client->cookie = 0;
}

void signals_del(struct worker *w, struct client *client)
{
	if (!client->cookie)
		return;
	cookies_del(&w->signals.cookies, client->cookie);
	w->service->steering->ops->closed(w->service->steering, client->cookie);
	client->cookie = 0;
}

/* the ring */

static void dispatch(struct worker *w, const struct weir_event *event)
{
	const struct weir_service *service = w->service;
	struct client *client;

	if (!event->cookie) {
		w->meter.stats.signals++;
		if (service->ops.trouble)
			service->ops.trouble(service->opts.ctx, w->index, event);
		return;
	}
	client = cookies_get(&w->signals.cookies, event->cookie);
	if (client)
		deliver(client, event);
	else
		hold(w, event);
}

static unsigned int take(struct worker *w)
{
	struct weir_steering *st = w->service->steering;
	struct weir_event events[SIGNALS_BATCH];
	unsigned int round, total = 0;
	int n = SIGNALS_BATCH, i;

	for (round = 0; round < SIGNALS_ROUNDS && n == SIGNALS_BATCH; round++) {
		n = st->ops->signal_take(st, w->index, events, SIGNALS_BATCH);
		for (i = 0; i < n; i++)
			dispatch(w, &events[i]);
		total += n > 0 ? (unsigned int)n : 0;
	}
	return total;
}

static void poll_arm(struct worker *w);

static void poll_done(struct weir_op *op)
{
	struct worker *w = op->ctx;

	if (worker_stopping(w) || !w->signals.on)
		return;
	if (op->res < 0) {
		service_log(w->service, WEIR_LOG_WARN, "worker %u: signals only once a second: %s",
			    w->index, weir_strerror(op->res));
		return;
	}
	take(w);
	poll_arm(w);
}

static void poll_arm(struct worker *w)
{
	struct signals *s = &w->signals;

	weir_prep_poll(&s->poll_op, s->file, POLLIN, poll_done, w);
	weir_submit(w->loop, &s->poll_op);
}

/* the tick */

static void tick_arm(struct worker *w);

static void tick_done(struct weir_op *op)
{
	struct worker *w = op->ctx;
	struct weir_steering *st = w->service->steering;

	if (op->res < 0 || worker_stopping(w))
		return;
	if (w->signals.on) {
		w->meter.stats.signals_late += take(w);
		expire_held(w);
	}
	/* The first worker that lives keeps the house of the steering. */
	if (worker_first(w)) {
		st->ops->tick(st, weir_loop_now(w->loop));
		(void)worker_spare(w);	/* the one before may have died; again next time */
	}
	tick_arm(w);
}

static void tick_arm(struct worker *w)
{
	weir_prep_timeout(&w->signals.tick_op, deadline_after(weir_loop_now(w->loop), TICK_NS),
			  tick_done, w);
	weir_submit(w->loop, &w->signals.tick_op);
}

/* life */

static int ring_open(struct worker *w)
{
	struct weir_steering *st = w->service->steering;
	int fd = st->ops->signal_fd(st, w->index), err;

	if (fd < 0)
		return fd == -EOPNOTSUPP ? 0 : fd;
	/* A file of a loop is the loop's to close, the ring is not. */
	fd = fcntl(fd, F_DUPFD_CLOEXEC, 0);
	if (fd < 0)
		return -errno;
	err = weir_file_adopt(w->loop, fd, &w->signals.file);
	if (err) {
		close(fd);
		return err;
	}
	w->signals.on = true;
	return 0;
}

/* Plain steering neither tells anything nor wants to be told. */
int signals_open(struct worker *w)
{
	struct weir_service *service = w->service;
	int err;

	if (service->steering->ops == &steer_reuseport_ops)
		return 0;
	err = cookies_open(&w->signals.cookies, &service->alloc, service->opts.conns_max);
	return err ? err : ring_open(w);
}

/* The descriptor was the loop's. */
void signals_close(struct worker *w)
{
	cookies_close(&w->signals.cookies, &w->service->alloc);
}

void signals_start(struct worker *w)
{
	if (!signals_wanted(w))
		return;
	if (w->signals.on)
		poll_arm(w);
	tick_arm(w);
}

/* Connections that drain are told nothing more. */
void signals_stop(struct worker *w)
{
	weir_cancel(w->loop, &w->signals.poll_op);
	weir_cancel(w->loop, &w->signals.tick_op);
}
