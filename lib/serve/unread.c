// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/*
 * unread.c - the receive queue of connections that are not being read
 *
 * The kernel half cannot see it: its callbacks fire on acknowledgements of what we
 * sent. So the worker looks, every 10 ms while it has such connections: those whose
 * receiving is paused, and those whose receive waits for a buffer of the pool. An
 * edge at weir_cfg.recvq_high_bytes, and one at recvq_low_bytes or when the
 * connection is read again.
 *
 * A file without a descriptor is asked by a receive that peeks and truncates,
 * which copies nothing. With an empty queue it waits; the next look ends it.
 */
#include <linux/sockios.h>
#include <sys/ioctl.h>

#include "serve/service.h"

#define LOOK_NS		(10 * NSEC_PER_MSEC)

enum {
	LOOK_MAX	= 32,	/* connections a look asks: work per turn is bounded */
};

static void look_next(struct worker *w);

void unread_watch(struct client *client)
{
	if (list_empty(&client->unread))
		list_add_tail(&client->worker->unread.list, &client->unread);
}

void unread_forget(struct client *client)
{
	list_del(&client->unread);
	if (client->worker->unread.asked == client)
		client->worker->unread.asked = NULL;
}

void unread_halted(struct weir_conn *conn)
{
	unread_watch(client_of(conn));
}

static bool halted(const struct client *client)
{
	const struct weir_conn *conn = &client->conn;

	return conn->state == CONN_OPEN &&
	       (conn->paused || conn->recv.lib_state == OP_PARKED);
}

static void measured(struct client *client, uint32_t bytes)
{
	const struct weir_cfg *cfg = client->worker->meter.cfg;
	bool on = client->edges & 1U << WEIR_EV_RECVQ;

	client->unread_bytes = bytes;
	if (bytes > cfg->recvq_high_bytes && !on)
		pressure_note(client, WEIR_EV_RECVQ, true);
	else if (bytes < cfg->recvq_low_bytes && on)
		pressure_note(client, WEIR_EV_RECVQ, false);
}

static void ask_done(struct weir_op *op)
{
	struct worker *w = op->ctx;
	struct client *client = w->unread.asked;

	w->unread.asked = NULL;
	if (op->res > 0) {	/* looked at, not received */
		w->loop->good[WEIR_OP_RECVMSG]--;
		w->loop->moved[WEIR_OP_RECVMSG] -= (uint32_t)op->res;
	}
	/* Cancelled: it found nothing all the while. */
	if (client && (op->res >= 0 || op->res == -ECANCELED))
		measured(client, op->res > 0 ? (uint32_t)op->res : 0);
	if (!worker_stopping(w))
		look_next(w);
}

/* By a receive of as much as there may be, of which nothing is copied. */
static void ask(struct worker *w, struct client *client)
{
	static char nowhere;
	struct unread *unread = &w->unread;

	unread->iov.iov_base = &nowhere;
	unread->iov.iov_len = INT32_MAX;
	unread->msg = (struct msghdr){ .msg_iov = &unread->iov, .msg_iovlen = 1 };
	unread->asked = client;
	weir_prep_recvmsg(&unread->op, client->conn.file, &unread->msg, MSG_PEEK | MSG_TRUNC,
			  ask_done, w);
	weir_submit(w->loop, &unread->op);
}

/* Ask about the connection that has waited longest; true: an answer will come. */
static bool look_one(struct worker *w)
{
	struct client *client = container_of(w->unread.list.next, struct client, unread);
	int bytes = 0, fd;

	list_del(&client->unread);
	if (!halted(client)) {
		measured(client, 0);
		return false;
	}
	list_add_tail(&w->unread.list, &client->unread);
	fd = weir_file_fd(w->loop, client->conn.file);
	if (fd < 0) {
		ask(w, client);
		return true;
	}
	if (!ioctl(fd, SIOCINQ, &bytes))
		measured(client, (uint32_t)bytes);
	return false;
}

static void look_next(struct worker *w)
{
	while (w->unread.left && !list_empty(&w->unread.list)) {
		w->unread.left--;
		if (look_one(w))
			return;
	}
}

/* Receives that wait for a buffer; not all of the pool's need be ours. */
static void find_parked(struct worker *w, const struct weir_link *list)
{
	const char *first = (const char *)w->clients;
	const char *end = (const char *)(w->clients + w->service->opts.conns_max);
	const struct weir_link *link;
	uint32_t left = LOOK_MAX;

	for (link = list->next; link != list && left; link = link->next, left--) {
		const char *op = (const char *)container_of(link, struct weir_op, lib_queue);

		if (op >= first && op < end)
			unread_watch(&w->clients[(size_t)(op - first) / sizeof(*w->clients)]);
	}
}

static void look_done(struct weir_op *op)
{
	struct worker *w = op->ctx;

	if (op->res < 0 || worker_stopping(w))
		return;
	find_parked(w, &w->pool->group.hungry);
	find_parked(w, &w->pool->group.waiters);
	w->unread.left = LOOK_MAX;
	if (weir_op_busy(&w->unread.op))
		weir_cancel(w->loop, &w->unread.op);
	else
		look_next(w);
}

void unread_tick(struct worker *w)
{
	bool any = !list_empty(&w->unread.list) || w->pool->group.parked;

	if (!any || weir_op_busy(&w->unread.look_op) || worker_stopping(w))
		return;
	weir_prep_timeout(&w->unread.look_op, deadline_after(weir_loop_now(w->loop), LOOK_NS),
			  look_done, w);
	weir_submit(w->loop, &w->unread.look_op);
}

void unread_open(struct worker *w)
{
	list_init(&w->unread.list);
}

void unread_stop(struct worker *w)
{
	weir_cancel(w->loop, &w->unread.look_op);
	weir_cancel(w->loop, &w->unread.op);
}
