// SPDX-License-Identifier: GPL-2.0-only
/*
 * sim_service.c - one simulated service, from its opening to the judgement
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "serve/service.h"
#include "sim_service.h"
#include "sim_util.h"

static struct service_world *service_of(struct world *world)
{
	return (struct service_world *)(void *)world;
}

/* the service: echo */

static int host_open(struct weir_conn *conn)
{
	struct service_world *sw = weir_conn_service_ctx(conn);
	struct host *host;

	if (sw->hosts_count == HOSTS_MAX) {
		world_bad(&sw->world, "more connections than guests made");
		return -ENOMEM;
	}
	host = &sw->hosts[sw->hosts_count++];
	host->id = -1;
	sw->opened++;
	weir_conn_set_ctx(conn, host);
	return 0;
}

static void host_data(struct weir_conn *conn, struct weir_lease *lease)
{
	struct service_world *sw = weir_conn_service_ctx(conn);
	struct host *host = weir_conn_ctx(conn);
	const unsigned char *bytes;
	uint32_t i;
	int ret;

	if (!lease) {
		weir_conn_close(conn);
		return;
	}
	bytes = weir_lease_data(lease);
	if (host->id < 0)
		host->id = bytes[0];
	for (i = 0; i < weir_lease_len(lease); i++) {
		if (bytes[i] != world_byte((uint32_t)host->id, host->got++))
			world_bad(&sw->world, "the service received another byte");
	}
	ret = weir_conn_send_lease(conn, lease, 0, weir_lease_len(lease));
	if (ret == 1)
		weir_conn_pause(conn);
	else if (ret == -ENOBUFS)
		world_bad(&sw->world, "no entry in a queue that is paused at its mark");
}

static void host_drain(struct weir_conn *conn)
{
	weir_conn_resume(conn);
}

static void host_close(struct weir_conn *conn, int err)
{
	struct service_world *sw = weir_conn_service_ctx(conn);
	struct host *host = weir_conn_ctx(conn);

	host->err = err;
	world_mix(&sw->world, (uint32_t)err);
	sw->closed++;
}

/* guests */

static void guest_over(struct guest *guest, int err)
{
	struct world *world = guest->connect.world;

	if (guest->over)
		world_bad(world, "a guest left twice");
	guest->over = true;
	if (!guest->err)
		guest->err = err;
}

static void guest_closed(struct weir_op *op)
{
	guest_over(act_event(op)->owner, 0);
}

static void guest_close(struct guest *guest, int err)
{
	if (guest->closing)
		return;
	guest->closing = true;
	guest->err = err;
	weir_prep_close(&guest->close.op, guest->file, guest_closed, &guest->close);
	act_start(&guest->close);
}

/* The guest a callback is for, or NULL if it is leaving or leaves now. */
static struct guest *guest_of(struct weir_op *op)
{
	struct guest *guest = act_event(op)->owner;

	if (guest->closing)
		return NULL;
	if (op->res >= 0)
		return guest;
	guest_close(guest, op->res);
	return NULL;
}

static void guest_shut(struct weir_op *op)
{
	guest_of(op);
}

static void guest_rude(struct weir_op *op)
{
	struct guest *guest = guest_of(op);

	if (guest)
		guest_close(guest, 0);
}

static void guest_sent(struct weir_op *op);

static void guest_finish(struct guest *guest)
{
	if (guest->kind == GUEST_STAYS)
		return;
	weir_prep_shutdown(&guest->shutdown.op, guest->file, SHUT_WR, guest_shut,
			   &guest->shutdown);
	act_start(&guest->shutdown);
}

static void guest_send(struct guest *guest)
{
	uint32_t len = 1 + (uint32_t)world_roll(guest->send.world, CHUNK_MAX);
	uint32_t i;

	if (guest->sent == guest->want) {
		guest_finish(guest);
		return;
	}
	if (len > guest->want - guest->sent)
		len = guest->want - guest->sent;
	for (i = 0; i < len; i++)
		guest->out[i] = world_byte(guest->id, guest->sent + i);
	weir_prep_send(&guest->send.op, guest->file, guest->out, len, guest_sent, &guest->send);
	act_start(&guest->send);
}

static void guest_sent(struct weir_op *op)
{
	struct guest *guest = ((struct act *)op->ctx)->owner;

	/* Also when it is leaving: these bytes are on their way. */
	if (op->res > 0)
		guest->sent += (uint32_t)op->res;
	guest = guest_of(op);
	if (guest)
		guest_send(guest);
}

static void guest_received(struct weir_op *op);

static void guest_recv(struct guest *guest)
{
	uint32_t max = guest->kind == GUEST_SLOW ? 100 : CHUNK_MAX;

	weir_prep_recv(&guest->recv.op, guest->file, guest->in,
		       1 + (uint32_t)world_roll(guest->recv.world, max), guest_received,
		       &guest->recv);
	act_start(&guest->recv);
}

static void guest_rested(struct weir_op *op)
{
	struct guest *guest = guest_of(op);

	if (guest)
		guest_recv(guest);
}

static void guest_rest(struct guest *guest, uint64_t ns, weir_done_fn *done)
{
	struct world *world = guest->wait.world;

	weir_prep_timeout(&guest->wait.op, weir_loop_now(world->loop) + world_roll(world, ns),
			  done, &guest->wait);
	act_start(&guest->wait);
}

static void guest_reset(struct guest *guest)
{
	guest->linger.on = 1;
	weir_prep_setsockopt(&guest->option.op, guest->file, SOL_SOCKET, SO_LINGER,
			     &guest->linger, sizeof(guest->linger), guest_rude, &guest->option);
	act_start(&guest->option);
}

static void guest_received(struct weir_op *op)
{
	struct guest *guest = guest_of(op);
	int i;

	if (!guest)
		return;
	for (i = 0; i < op->res; i++) {
		if (guest->in[i] != world_byte(guest->id, guest->got++))
			world_bad(guest->recv.world, "a guest received another byte");
	}
	if (!op->res) {
		guest->ended_ns = weir_loop_now(guest->recv.world->loop);
		guest_close(guest, 0);
	} else if (guest->kind == GUEST_RUDE && guest->got > guest->want / 2) {
		guest_reset(guest);
	} else if (guest->kind == GUEST_SLOW) {
		guest_rest(guest, 3000000, guest_rested);
	} else {
		guest_recv(guest);
	}
}

static void guest_connected(struct weir_op *op)
{
	struct guest *guest = act_event(op)->owner;

	if (op->res < 0) {
		guest_over(guest, op->res);
		return;
	}
	guest->file = op->accepted;
	guest_recv(guest);
	guest_send(guest);
}

static void guest_comes(struct weir_op *op)
{
	struct guest *guest = act_event(op)->owner;

	if (op->res) {
		guest_over(guest, op->res);
		return;
	}
	weir_prep_connect(&guest->connect.op, (struct sockaddr *)&guest->addr,
			  sizeof(guest->addr), guest_connected, &guest->connect);
	act_start(&guest->connect);
}

static void guest_start(struct service_world *sw, struct guest *guest, uint32_t id)
{
	struct act *acts = &guest->wait;
	unsigned int i;

	for (i = 0; acts + i <= &guest->close; i++)
		act_set(acts + i, &sw->world, guest);
	guest->id = id;
	guest->kind = (enum guest_kind)world_roll(&sw->world, GUEST_KINDS);
	guest->want = 1 + (uint32_t)world_roll(&sw->world, 20000);
	/* Its port is known only now: the service was opened on any. */
	memcpy(&guest->addr, &sw->service->addr.ss, sizeof(guest->addr));
	guest_rest(guest, 20000000, guest_comes);
}

/* life of the service */

static void stop_due(struct weir_op *op)
{
	struct service_world *sw = service_of(act_event(op)->world);

	sw->stopped_ns = weir_loop_now(sw->world.loop);
	weir_service_stop(sw->service, sw->drain_ns);
}

static int service_start(void *ctx, unsigned int index, struct weir_loop *loop)
{
	struct service_world *sw = ctx;
	struct world *world = &sw->world;
	unsigned int i;

	world->loop = loop;
	/* weir_service_open() tells the opener only, and that thread has no part in this. */
	sw->service = ((struct worker *)loop->hooks.ctx)->service;
	sw->began_ns = weir_loop_now(loop);
	for (i = 0; i < sw->guests_count; i++)
		guest_start(sw, &sw->guests[i], i + 1);
	act_set(&sw->stopper, world, sw);
	weir_prep_timeout(&sw->stopper.op, sw->began_ns + world_roll(world, 200000000), stop_due,
			  &sw->stopper);
	act_start(&sw->stopper);
	return 0;
}

static void service_stopped(void *ctx, unsigned int index)
{
	struct service_world *sw = ctx;

	sw->left_ns = weir_loop_now(sw->world.loop);
}

static void open_service(struct service_world *sw)
{
	static const struct weir_service_ops ops = {
		.open	= host_open,
		.data	= host_data,
		.drain	= host_drain,
		.close	= host_close,
		.start	= service_start,
		.stop	= service_stopped,
	};
	struct world *world = &sw->world;
	struct weir_addr addr = { .len = sizeof(struct sockaddr_in) };
	struct sockaddr_in any = sim_loopback(0);
	uint32_t conns = 1 + (uint32_t)world_roll(world, GUESTS_MAX);
	struct weir_loop_opts loop = {
		.sz		= sizeof(loop),
		.backend	= "sim",
		.alloc		= &world->alloc,
		.log		= &world->log,
		.sim		= &world->sim,
		.seed		= world->seed,
		.ops_max	= 2 * conns + 64,
		.files_max	= conns + 16,
		.bufs_max	= 64,
		.zc_min_bytes	= 1 + (uint32_t)(world->seed % 512),
	};
	struct weir_service_opts opts = {
		.sz		= sizeof(opts),
		.ops		= &ops,
		.ctx		= sw,
		.addr		= &addr,
		.loop		= &loop,
		.workers	= 1,
		.conns_max	= conns,
		.buf_bytes	= 64 + (uint32_t)world_roll(world, 1000),
		.bufs		= 8 + (uint32_t)world_roll(world, 56),
		.backlog	= 1 + (uint32_t)world_roll(world, 4),
		.high_bytes	= 1024 + (uint32_t)world_roll(world, 8192),
		.linger_ns	= 1 + world_roll(world, 50000000),
	};
	struct weir_service *service;

	memcpy(&addr.ss, &any, sizeof(any));
	if (weir_service_open(&service, &opts))
		abort();
	sw->result = weir_service_wait(service);
	weir_service_close(service);
}

static void judge_guest(struct service_world *sw, const struct guest *guest)
{
	const struct host *host = NULL;
	unsigned int i;

	if (guest->got > guest->sent)
		world_bad(&sw->world, "a guest received more bytes than it sent");
	for (i = 0; i < sw->hosts_count; i++) {
		if (sw->hosts[i].id == (int)guest->id)
			host = &sw->hosts[i];
	}
	/* Both ends of it ended well and nobody was in a hurry: then all came back. */
	if (host && !host->err && !guest->err && guest->ended_ns &&
	    guest->ended_ns < sw->stopped_ns && guest->got != guest->want)
		world_bad(&sw->world, "bytes are missing, and nobody was told");
}

static void judge(struct service_world *sw)
{
	struct world *world = &sw->world;
	unsigned int i;

	if (sw->result < 0)
		world_bad(world, weir_strerror(sw->result));
	if (sw->opened != sw->closed)
		world_bad(world, "a connection that was opened and not closed, or twice");
	if (sw->result > (int)sw->opened)
		world_bad(world, "more connections aborted than there were");
	if (world->started != world->ended)
		world_bad(world, "an operation without a terminal event");
	if (sw->left_ns <= sw->began_ns)
		world_bad(world, "time stood still");
	if (sw->left_ns > sw->stopped_ns + sw->drain_ns + 1000000000)
		world_bad(world, "the service went on after its deadline");
	if (world->gets != world->puts || world->bytes)
		world_bad(world, "memory is left");
	for (i = 0; i < sw->guests_count; i++)
		judge_guest(sw, &sw->guests[i]);
}

void service_live(struct service_world *sw, uint64_t seed, const struct world_faults *faults)
{
	memset(sw, 0, sizeof(*sw));
	world_init(&sw->world, seed, faults);
	/* Accepting pauses when an accept fails, and says so. */
	sw->world.log_worst = WEIR_LOG_ERROR;
	sw->guests_count = 1 + (unsigned int)world_roll(&sw->world, GUESTS_MAX);
	sw->drain_ns = world_roll(&sw->world, 100000000);
	open_service(sw);
	judge(sw);
}
