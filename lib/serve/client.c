// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/*
 * client.c - the connections of a worker, in a slab taken when it was opened
 *
 * A client that was accepted while all are in use is not dropped: its file
 * waits, first in first out, until one is free. There are no more of those than
 * the loop has file slots, and without a free slot the loop does not accept: the
 * others wait in the kernel's queue.
 */
#include <errno.h>

#include "serve/service.h"

/* clients that wait */

static void held_push(struct held *held, struct weir_file file)
{
	assert(held->count < held->max);
	held->files[(held->head + held->count++) % held->max] = file;
}

static struct weir_file held_pop(struct held *held)
{
	struct weir_file file = held->files[held->head];

	held->head = (held->head + 1) % held->max;
	held->count--;
	return file;
}

/* A stop closes them, one after the other. */
static void held_close(struct worker *w);

static void held_closed(struct weir_op *op)
{
	struct worker *w = op->ctx;

	held_close(w);
	worker_idle(w);
}

static void held_close(struct worker *w)
{
	struct held *held = &w->held;

	if (!held->count || weir_op_busy(&held->close_op))
		return;
	weir_prep_close(&held->close_op, held_pop(held), held_closed, w);
	weir_submit(w->loop, &held->close_op);
}

/* connections */

static void cookie_known(struct weir_conn *conn)
{
	struct client *client = client_of(conn);

	if (conn->state == CONN_OPEN)
		signals_add(client->worker, client, conn->cookie);
}

/* For who has a place. NULL: it was given back. */
static struct client *client_get(struct worker *w, struct weir_file file)
{
	struct weir_service *service = w->service;
	struct weir_conn_opts opts = service->conn_opts;
	struct client *client = w->client_free;
	int err;

	opts.pool = w->pool;
	err = conn_init(&client->conn, w->loop, file, &opts, &client_hooks, &w->sending);
	if (err) {
		/* Not with a file that was just accepted and marks that were checked. */
		service_log(service, WEIR_LOG_ERROR, "worker %u: connection: %s", w->index,
			    weir_strerror(err));
		place_put(w);
		return NULL;
	}
	w->client_free = client->next;
	w->conns++;
	client->used = true;
	client->refused = false;
	client->cookie = 0;
	client->accepted_ns = weir_loop_now(w->loop);
	client->edges = 0;
	client->told = 0;
	client->answered = false;
	client->left = false;
	client->asked = false;
	client->to = NULL;
	return client;
}

static void client_start(struct worker *w, struct weir_file file)
{
	struct weir_service *service = w->service;
	struct client *client = client_get(w, file);
	int err;

	if (!client)
		return;
	if (signals_wanted(w))
		conn_read_cookie(&client->conn, cookie_known);
	err = service->ops.open ? service->ops.open(&client->conn) : 0;
	if (err) {
		client->refused = true;
		w->meter.stats.refused++;
		weir_conn_abort(&client->conn, err);
	}
}

void client_arrived(struct worker *w, struct weir_file file, const struct arrival *arrival)
{
	struct weir_service *service = w->service;
	struct client *client = client_get(w, file);

	if (!client)
		return;
	client->conn.ctx = arrival->ctx;
	client->conn.cookie = arrival->cookie;
	if (acceptor_mode(service))
		atomic_fetch_add(&w->load, 1);
	w->meter.stats.taken++;
	if (arrival->paused)
		weir_conn_pause(&client->conn);
	if (service->ops.moved)
		service->ops.moved(&client->conn, 0);
	if (signals_wanted(w) && client->conn.state == CONN_OPEN)
		signals_arrive(w, client, arrival->cookie);
	if (worker_stopping(w))
		weir_conn_close(&client->conn);
}

void client_accepted(void *ctx, struct weir_file file)
{
	struct worker *w = ctx;

	if (acceptor_mode(w->service) && !worker_stopping(w) && acceptor_hand(w, file))
		return;
	client_take(w, file);
}

void client_take(struct worker *w, struct weir_file file)
{
	meter_accepted(w);
	if (!worker_stopping(w) && place_take(w)) {
		client_start(w, file);
		return;
	}
	held_push(&w->held, file);
	if (worker_stopping(w))
		held_close(w);
}

void client_no_data(struct weir_conn *conn, struct weir_lease *lease)
{
	/* Nobody would ever close it. */
	if (!lease)
		weir_conn_close(conn);
}

void client_closed(struct weir_conn *conn, int err)
{
	struct client *client = client_of(conn);
	struct worker *w = client->worker;

	if (client->left) {
		list_del(&client->edge);
		unread_forget(client);
		return;
	}
	/* A graceful close that took longer than it may, as at the deadline. */
	if (worker_stopping(w) && err == -ETIME)
		w->aborted++;
	signals_del(w, client);
	list_del(&client->edge);
	unread_forget(client);
	if (!client->refused && w->service->ops.close)
		w->service->ops.close(conn, err);
}

static void client_release(struct weir_conn *conn)
{
	struct client *client = client_of(conn);
	struct worker *w = client->worker;

	client->used = false;
	client->next = w->client_free;
	w->client_free = client;
	w->conns--;
	place_put(w);
	if (acceptor_mode(w->service))
		atomic_fetch_sub(&w->load, 1);
	if (!worker_stopping(w) && w->held.count && place_take(w))
		client_start(w, held_pop(&w->held));
	else
		worker_idle(w);
}

const struct conn_hooks client_hooks = {
	.release	= client_release,
	.edge		= pressure_edge,
	.unstalled	= pressure_unstalled,
	.halted		= unread_halted,
	.moving		= client_moving,
};

/* all of them */

void clients_stop(struct worker *w)
{
	uint32_t i;

	for (i = 0; i < w->service->opts.conns_max; i++) {
		if (w->clients[i].used)
			weir_conn_close(&w->clients[i].conn);
	}
	held_close(w);
}

/* At the deadline. Each is told -ETIME and counted when it has closed. */
void clients_abort(struct worker *w)
{
	uint32_t i;

	for (i = 0; i < w->service->opts.conns_max; i++) {
		if (w->clients[i].used)
			weir_conn_abort(&w->clients[i].conn, -ETIME);
	}
}

int clients_open(struct worker *w)
{
	struct weir_service *service = w->service;
	uint32_t i, max = service->opts.conns_max;

	w->clients = mem_get(&service->alloc, max, sizeof(*w->clients),
			     WEIR_CACHELINE_BYTES);
	w->held.max = service->loop_opts.files_max;
	w->held.files = mem_get(&service->alloc, w->held.max, sizeof(*w->held.files),
				_Alignof(struct weir_file));
	if (!w->clients || !w->held.files)
		return -ENOMEM;
	/* The first is used first. */
	for (i = max; i-- > 0;) {
		w->clients[i].worker = w;
		list_init(&w->clients[i].edge);
		list_init(&w->clients[i].unread);
		w->clients[i].next = w->client_free;
		w->client_free = &w->clients[i];
	}
	return 0;
}

void clients_close(struct worker *w)
{
	mem_put(&w->service->alloc, w->clients, w->service->opts.conns_max,
		sizeof(*w->clients));
	mem_put(&w->service->alloc, w->held.files, w->held.max, sizeof(*w->held.files));
	w->clients = NULL;
	w->held.files = NULL;
}
