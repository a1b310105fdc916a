// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/*
 * pressure.c - edges that the worker's own loop raises about a connection, in
 * the form of the kernel's, and the answer to them
 *
 * Raised are: the send queue at its high mark, until it is back at the low one;
 * and one send outstanding for longer than send_stall_ns, until it ends: a
 * stopped reader, whom the kernel half cannot see, since it hears of ACKs alone;
 * and the receive queue of a connection that is not read (unread.c).
 *
 * They may be noticed in the middle of a call by the user, so they are told at
 * the end of the turn, when no callback runs; what went on and off within one
 * turn is not told at all.
 *
 * Others see them, too: in the table of recent events and as observers. That takes
 * a system call each, so no more than SHOWN_MAX a second; the rest are counted.
 */
#include "serve/service.h"

#define BIT(kind)	(1U << (kind))

enum {
	SHOWN_MAX	= 100,
};

/*
 * The default answer. Only to the worker's own edges: one from the kernel may
 * be lost when its ring is full, and a pause whose end was lost lasts for ever.
 * Nor to what is not read: reading less would not end that.
 */
static void answer(struct client *client, const struct weir_event *event)
{
	if (event->seq || event->kind == WEIR_EV_RECVQ)
		return;
	if (client->told & ~BIT(WEIR_EV_RECVQ)) {
		/* A pause of the user's own is not ours to end. */
		client->answered |= !client->conn.paused;
		weir_conn_pause(&client->conn);
	} else if (client->answered) {
		client->answered = false;
		weir_conn_resume(&client->conn);
	}
}

void pressure_tell(struct client *client, const struct weir_event *event)
{
	const struct weir_service_ops *ops = &client->worker->service->ops;

	/* One that closes has no producer to be told. */
	if (client->conn.state != CONN_OPEN)
		return;
	if (ops->pressure)
		ops->pressure(&client->conn, event);
	else
		answer(client, event);
}

void pressure_note(struct client *client, enum weir_event_kind kind, bool on)
{
	if (on)
		client->edges |= BIT(kind);
	else
		client->edges &= ~BIT(kind);
	if (client->edges != client->told && list_empty(&client->edge))
		list_add_tail(&client->worker->edges, &client->edge);
}

void pressure_edge(struct weir_conn *conn, enum weir_water_edge edge)
{
	pressure_note(client_of(conn), WEIR_EV_SENDQ, edge == WEIR_WATER_HIGH);
}

void pressure_unstalled(struct weir_conn *conn)
{
	pressure_note(client_of(conn), WEIR_EV_ZERO_WINDOW, false);
}

static void show(struct worker *w, const struct weir_event *event)
{
	struct weir_steering *st = w->service->steering;

	if (!signals_wanted(w))
		return;
	if (event->ns - w->shown_ns >= NSEC_PER_SEC) {
		w->shown_ns = event->ns;
		w->shown = 0;
	}
	/* Without a cookie nobody could tell whose it is. */
	if (!event->cookie || w->shown == SHOWN_MAX || st->ops->raise(st, event))
		w->meter.stats.signals_unshown++;
	else
		w->shown++;
}

static void tell_edge(struct client *client, enum weir_event_kind kind)
{
	struct worker *w = client->worker;
	bool on = client->edges & BIT(kind);
	struct weir_event event = {
		.ns	= weir_loop_now(w->loop),
		.cookie	= weir_conn_cookie(&client->conn),
		.value	= weir_conn_queued(&client->conn),
		.kind	= kind,
		.edge	= on ? WEIR_EDGE_ON : WEIR_EDGE_OFF,
		.worker	= w->index,
	};

	if (kind == WEIR_EV_SENDQ)
		event.limit = on ? client->conn.water.high_bytes : client->conn.water.low_bytes;
	if (kind == WEIR_EV_RECVQ) {
		event.value = client->unread_bytes;
		event.limit = on ? w->meter.cfg->recvq_high_bytes : w->meter.cfg->recvq_low_bytes;
	}
	client->told ^= BIT(kind);
	show(w, &event);
	pressure_tell(client, &event);
}

static void tell_all(struct worker *w)
{
	static const enum weir_event_kind kinds[] = {
		WEIR_EV_SENDQ, WEIR_EV_ZERO_WINDOW, WEIR_EV_RECVQ
	};
	struct weir_link now;
	size_t i;

	/* What is noticed meanwhile is told after the next turn. */
	list_take(&now, &w->edges);
	while (!list_empty(&now)) {
		struct client *client = container_of(now.next, struct client, edge);

		list_del(&client->edge);
		/* Who hears that his queue has room may close: the other ends come before. */
		for (i = ARRAY_SIZE(kinds); i-- > 0;) {
			if (client->told & ~client->edges & BIT(kinds[i]))
				tell_edge(client, kinds[i]);
		}
		for (i = 0; i < ARRAY_SIZE(kinds); i++) {
			if (client->edges & ~client->told & BIT(kinds[i]))
				tell_edge(client, kinds[i]);
		}
	}
}

/* sends that the peer does not take */

static struct weir_conn *oldest(const struct worker *w)
{
	return list_empty(&w->sending) ? NULL :
	       container_of(w->sending.next, struct weir_conn, sending);
}

static uint64_t stalls_at(const struct worker *w, const struct weir_conn *conn)
{
	return deadline_after(conn->send_since_ns, w->service->opts.send_stall_ns);
}

static void find_stalled(struct worker *w)
{
	uint64_t now_ns = weir_loop_now(w->loop);
	struct weir_conn *conn;

	while ((conn = oldest(w)) && stalls_at(w, conn) <= now_ns) {
		list_del(&conn->sending);
		list_add_tail(&w->stalled, &conn->sending);
		conn->stalled = true;
		pressure_note(client_of(conn), WEIR_EV_ZERO_WINDOW, true);
	}
}

static void stall_done(struct weir_op *op)
{
	/* The tick behind this turn looks. */
}

/*
 * One timer, armed when there is a send to watch and let run out: ten wake-ups
 * a second while there is traffic, none without.
 */
static void watch(struct worker *w)
{
	struct weir_conn *conn = oldest(w);

	if (!conn || weir_op_busy(&w->stall_op) || worker_stopping(w))
		return;
	weir_prep_timeout(&w->stall_op, stalls_at(w, conn), stall_done, w);
	weir_submit(w->loop, &w->stall_op);
}

void pressure_tick(struct worker *w)
{
	find_stalled(w);
	if (!list_empty(&w->edges))
		tell_all(w);
	watch(w);
}

void pressure_open(struct worker *w)
{
	list_init(&w->edges);
	list_init(&w->sending);
	list_init(&w->stalled);
}

void pressure_stop(struct worker *w)
{
	weir_cancel(w->loop, &w->stall_op);
}
