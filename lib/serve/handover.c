// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/*
 * handover.c - live connections go from one worker to another
 *
 *	source: keep a place -> receive ends -> descriptor -> target: take it over
 *	              \-> no room       \-> not idle: stays  \-> dead: stays
 *
 * The place is promised before anything happens, so that a connection that has let
 * go of its loop is taken for certain: by a target that lives, also by one that is
 * stopping, which waits for those it promised a place. What the two threads share
 * lies under the target's lock (struct arrivals), which is taken for no longer than
 * a few stores; who has nothing to do with it looks at one word per turn.
 *
 * From the descriptor on the source touches nothing but its own handle, which it
 * closes: bytes that come meanwhile wait in the socket.
 */
#include <errno.h>
#include <unistd.h>

#include "serve/controller.h"
#include "serve/service.h"

enum {
	GIVEN_MAX	= 16,	/* that a slow worker gives away at a time */
	LOOKED_MAX	= 256,	/* and clients it looks at for them */
};

#define GIVEN_NS	(100 * NSEC_PER_MSEC)

/* places among the clients of a worker */

bool place_take(struct worker *w)
{
	unsigned int max = w->service->opts.conns_max, n = atomic_load(&w->places);

	while (n < max) {
		if (atomic_compare_exchange_weak(&w->places, &n, n + 1))
			return true;
	}
	return false;
}

void place_put(struct worker *w)
{
	atomic_fetch_sub(&w->places, 1);
}

static int promise(struct worker *to)
{
	struct arrivals *arrivals = &to->arrivals;
	int err = 0;

	pthread_mutex_lock(&arrivals->lock);
	if (arrivals->closed)
		err = -ESHUTDOWN;
	else if (arrivals->reserved + arrivals->count == ARRIVALS_MAX || !place_take(to))
		err = -EAGAIN;
	else
		arrivals->reserved++;
	pthread_mutex_unlock(&arrivals->lock);
	return err;
}

/* It does not come. The target may wait for just that, to end. */
static void promise_end(struct worker *to)
{
	pthread_mutex_lock(&to->arrivals.lock);
	to->arrivals.reserved--;
	pthread_mutex_unlock(&to->arrivals.lock);
	place_put(to);
	worker_wake(to);
}

/* False: nobody is there any more; the promise has ended. */
static bool deliver(struct worker *to, const struct arrival *arrival)
{
	struct arrivals *arrivals = &to->arrivals;
	bool lost;

	pthread_mutex_lock(&arrivals->lock);
	arrivals->reserved--;
	lost = arrivals->lost;
	if (!lost) {
		arrivals->all[arrivals->count++] = *arrival;
		atomic_store(&arrivals->waiting, arrivals->count);
	}
	pthread_mutex_unlock(&arrivals->lock);
	worker_wake(to);
	return !lost;
}

/* the source */

static void stays(struct client *client, int err)
{
	const struct weir_service_ops *ops = &client->worker->service->ops;

	if (client->asked && ops->moved && client->conn.state == CONN_OPEN)
		ops->moved(&client->conn, err);
	client->asked = false;
}

void client_moving(struct weir_conn *conn, int fd)
{
	struct client *client = client_of(conn);
	struct worker *w = client->worker, *to = client->to;
	const struct arrival arrival = {
		.fd = fd, .paused = conn->paused, .ctx = conn->ctx, .cookie = client->cookie,
	};
	bool wished = conn->wished != CONN_OPEN;

	client->to = NULL;
	if (fd >= 0 && !wished && deliver(to, &arrival)) {
		client->left = true;
		w->meter.stats.given++;
		signals_leave(w, client);
		conn_left(conn);
		return;
	}
	if (fd < 0 || wished)
		promise_end(to);
	if (fd >= 0)
		close(fd);
	/* One that was not idle any more has gone on already. */
	if (conn->state == CONN_MOVE)
		conn_stay(conn);
	stays(client, fd < 0 ? fd : -EOWNERDEAD);
}

static int hand_over(struct client *client, struct worker *to)
{
	int err;

	if (client->edges || client->told || !conn_idle(&client->conn))
		return -EBUSY;
	err = promise(to);
	if (err)
		return err;
	client->to = to;
	return conn_move(&client->conn);
}

int weir_conn_hand_over(struct weir_conn *conn, unsigned int worker)
{
	struct client *client = client_of(conn);
	struct worker *w = client->worker;
	int err;

	assert(conn->hooks == &client_hooks);
	assert_owner(conn->loop);
	if (worker >= w->service->opts.workers || worker == w->index)
		return -EINVAL;
	if (worker_stopping(w))
		return -ESHUTDOWN;
	err = hand_over(client, &w->service->workers[worker]);
	client->asked = client->asked || !err;
	return err;
}

/* the target */

static bool arrive(struct worker *w)
{
	struct weir_steering *st = w->service->steering;
	struct arrivals *arrivals = &w->arrivals;
	struct arrival arrival;
	struct weir_file file;
	uint32_t i;

	/* Others only add: the first stays the first. */
	pthread_mutex_lock(&arrivals->lock);
	arrival = arrivals->all[0];
	pthread_mutex_unlock(&arrivals->lock);
	if (arrival.cookie)
		st->ops->moved(st, w->index, arrival.cookie, arrival.fd);
	/* No slot now: clients that wait for a place have all. Later, then. */
	if (weir_file_adopt(w->loop, arrival.fd, &file))
		return false;
	pthread_mutex_lock(&arrivals->lock);
	arrivals->count--;
	for (i = 0; i < arrivals->count; i++)
		arrivals->all[i] = arrivals->all[i + 1];
	atomic_store(&arrivals->waiting, arrivals->count);
	pthread_mutex_unlock(&arrivals->lock);
	client_arrived(w, file, &arrival);
	return true;
}

bool handover_done(struct worker *w)
{
	bool done;

	pthread_mutex_lock(&w->arrivals.lock);
	done = !w->arrivals.reserved && !w->arrivals.count;
	pthread_mutex_unlock(&w->arrivals.lock);
	return done;
}

/* policy: who is slow gives what is idle to who is not */

static bool is_usable(const struct weir_service *service, const struct worker *to, uint64_t now_ns)
{
	struct weir_steering *st = service->steering;
	const struct weir_cfg *cfg = st->ops->cfg(st);
	uint32_t state = __atomic_load_n(&to->row->state, __ATOMIC_ACQUIRE);
	uint64_t loop_ns = __atomic_load_n(&to->row->loop_ns, __ATOMIC_RELAXED);

	if (__atomic_load_n(&st->ops->admin(st, to->index)->state, __ATOMIC_RELAXED) !=
	    WEIR_ADMIN_ON)
		return false;
	/* One that is idle cannot say that it is slow no more. */
	if (__atomic_load_n(&to->row->speed, __ATOMIC_RELAXED) != WEIR_OK &&
	    !row_rested(to->row, cfg, now_ns))
		return false;
	return state == WEIR_PARKED ||
	       (state == WEIR_RUN && now_ns < loop_ns + cfg->stale_ns);
}

static struct worker *fewest(const struct worker *w, uint64_t now_ns)
{
	struct weir_service *service = w->service;
	struct worker *best = NULL;
	uint32_t i;

	for (i = 0; i < service->opts.workers; i++) {
		struct worker *to = &service->workers[i];

		if (to != w && is_usable(service, to, now_ns) &&
		    (!best || atomic_load(&to->places) < atomic_load(&best->places)))
			best = to;
	}
	return best;
}

static void give(struct worker *w, struct worker *to)
{
	uint32_t looked, given = 0, max = w->service->opts.conns_max;
	struct client *client;

	for (looked = 0; looked < max && looked < LOOKED_MAX && given < GIVEN_MAX; looked++) {
		client = &w->clients[w->given_at];
		w->given_at = (w->given_at + 1) % max;
		if (client->used && !client->refused && !hand_over(client, to))
			given++;
	}
}

static void policy_tick(struct worker *w)
{
	uint64_t now_ns = weir_loop_now(w->loop);
	struct worker *to;

	if (__atomic_load_n(&w->row->speed, __ATOMIC_RELAXED) != WEIR_SLOW || worker_stopping(w) ||
	    now_ns - w->given_ns < GIVEN_NS)
		return;
	w->given_ns = now_ns;
	to = fewest(w, now_ns);
	if (to)
		give(w, to);
}

/* life */

void handover_tick(struct worker *w)
{
	while (atomic_load_explicit(&w->arrivals.waiting, memory_order_relaxed) && arrive(w))
		;
	if (w->service->opts.flags & WEIR_SERVICE_HAND_OVER)
		policy_tick(w);
}

void handover_open(struct worker *w)
{
	pthread_mutex_init(&w->arrivals.lock, NULL);
}

void handover_stop(struct worker *w)
{
	pthread_mutex_lock(&w->arrivals.lock);
	w->arrivals.closed = true;
	pthread_mutex_unlock(&w->arrivals.lock);
}

void handover_lost(struct worker *w)
{
	struct arrivals *arrivals = &w->arrivals;
	uint32_t i;

	pthread_mutex_lock(&arrivals->lock);
	arrivals->closed = true;
	arrivals->lost = true;
	while (arrivals->count)
		close(arrivals->all[--arrivals->count].fd);
	pthread_mutex_unlock(&arrivals->lock);
	for (i = 0; w->clients && i < w->service->opts.conns_max; i++) {
		if (!w->clients[i].used || !w->clients[i].to)
			continue;
		loop_lose(w->loop, &w->clients[i].conn.ctl);
		promise_end(w->clients[i].to);
	}
}

void handover_close(struct worker *w)
{
	pthread_mutex_destroy(&w->arrivals.lock);
}
