// SPDX-License-Identifier: GPL-2.0-only
/*
 * sim_world.c - one simulated world, from its opening to the judgement
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sim_script.h"
#include "sim_world.h"

/* A world is zeroed as a whole; what has much to remember stands beside it. */
static struct script sockets, desk;

static void log_line(void *ctx, enum weir_log_level level, const char *text)
{
	struct world *world = ctx;

	/* What was never closed is a leak, however loud it is told. */
	if (level <= world->log_worst || strstr(text, "never closed")) {
		snprintf(world->text, sizeof(world->text), "%s", text);
		world_bad(world, world->text);
	}
}

static void *count_get(void *ctx, size_t bytes, size_t align)
{
	struct world *world = ctx;
	void *mem;

	if (posix_memalign(&mem, align < sizeof(mem) ? sizeof(mem) : align, bytes))
		return NULL;
	world->gets++;
	world->bytes += bytes;
	return mem;
}

static void count_put(void *ctx, void *mem, size_t bytes)
{
	struct world *world = ctx;

	world->puts++;
	world->bytes -= bytes;
	free(mem);
}

static void count_jump(void *ctx)
{
	((struct world *)ctx)->jumps++;
}

static void count_turn(void *ctx)
{
	struct world *world = ctx;
	struct weir_loop_stats stats;

	weir_loop_stats(world->loop, &stats, sizeof(stats));
	world->mischief.waits += stats.waiting > 0;
	if (++world->turns == world->turns_stop)
		weir_loop_stop(world->loop);
}

static void ticked(struct weir_op *op)
{
	act_event(op);
}

static void world_loop(struct world *world)
{
	struct weir_pool_opts pool_opts = {
		.sz		= sizeof(pool_opts),
		.buf_bytes	= 64 + (uint32_t)world_roll(world, 1000),
		.count		= 2 + (uint32_t)world_roll(world, LEASES_MAX - 1),
		.low		= 1,
	};
	struct weir_loop_opts opts = {
		.sz		= sizeof(opts),
		.backend	= "sim",
		.alloc		= &world->alloc,
		.log		= &world->log,
		.hooks		= &world->hooks,
		.sim		= &world->sim,
		.seed		= world->seed,
		/* Some have to wait; but not those that the others wait for. */
		.ops_max	= 3 * world->clients_count + 6 + (uint32_t)world_roll(world, 8),
		/* Listener, files and clients; the server's side waits for its turn. */
		.files_max	= 18 + world->clients_count +
				  (uint32_t)world_roll(world, CLIENTS_MAX),
		.bufs_max	= 32,
		.zc_min_bytes	= 1 + (uint32_t)(world->seed % 512),
	};

	if (weir_loop_open(&world->loop, &opts))
		abort();
	if (weir_pool_open(&world->pool, world->loop, &pool_opts))
		abort();
}

void world_init(struct world *world, uint64_t seed, const struct world_faults *faults)
{
	memset(world, 0, sizeof(*world));
	world->seed = seed;
	world->dice = seed * 2 + 1;
	world->trace = 0xcbf29ce484222325;
	world_roll(world, 2);
	world->log = (struct weir_log){ log_line, world, WEIR_LOG_DEBUG };
	world->log_worst = WEIR_LOG_WARN;
	world->alloc = (struct weir_alloc){ count_get, count_put, world };
	world->hooks = (struct weir_loop_hooks){ .parking = count_jump, .tick = count_turn,
						 .ctx = world };
	world->sim = (struct weir_sim_opts){
		.sz		= sizeof(world->sim),
		.delay_max_ns	= faults->delay_max_ns,
		.short_permille	= faults->short_permille,
		.error_permille	= faults->error_permille,
		.reorder_permille = faults->race_permille,
		.late_permille	= faults->race_permille,
		.rearm_permille	= faults->race_permille,
		.socket_bytes	= 1 + (uint32_t)world_roll(world, 4000),
	};
}

void world_open(struct world *world, uint64_t seed, const struct world_faults *faults)
{
	world_init(world, seed, faults);
	world->clients_count = 1 + (unsigned int)world_roll(world, CLIENTS_MAX);
	world_loop(world);

	act_set(&world->tick, world, world);
	world_server_start(world);
	world_clients_start(world);
	world_paper_start(world);
	world_post_start(world);
	memset(&sockets, 0, sizeof(sockets));
	memset(&desk, 0, sizeof(desk));
	world->sockets = &sockets;
	world->desk = &desk;
	script_sockets(world);
	script_desk(world);
	weir_prep_timeout(&world->tick.op, weir_loop_now(world->loop) + world_roll(world, 3000000),
			  ticked, &world->tick);
	act_start(&world->tick);
}

int world_run(struct world *world, uint64_t turns)
{
	size_t gets = world->gets;
	int ret;

	world->turns_stop = world->turns + (turns ? turns : TURNS_MAX);
	ret = weir_loop_run(world->loop);
	world->over = ret == 1;
	if (!ret && !turns)
		world_bad(world, "it does not come to an end");
	if (ret < 0)
		world_bad(world, weir_strerror(ret));
	if (world->gets != gets)
		world_bad(world, "memory was allocated on the I/O path");
	return ret;
}

static void cancel(struct act *act)
{
	if (act->busy)
		weir_cancel(act->world->loop, &act->op);
}

void world_cancel(struct world *world)
{
	unsigned int i;

	world->ending = true;
	cancel(&world->accept);
	cancel(&world->tick);
	cancel(&world->paper.write);
	cancel(&world->paper.read);
	cancel(&world->post.send);
	cancel(&world->post.recv);
	cancel(&world->post.watch);
	cancel(&world->sockets->act);
	cancel(&world->sockets->pause);
	cancel(&world->desk->act);
	cancel(&world->desk->pause);
	for (i = 0; i < world->clients_count; i++) {
		struct visitor *client = &world->clients[i];

		cancel(&client->connect);
		cancel(&client->poll);
		cancel(&client->cookie);
		cancel(&client->send);
		cancel(&client->recv);
		cancel(&client->shutdown);
		cancel(&client->late);
	}
	for (i = 0; i < world->conns_count; i++) {
		cancel(&world->conns[i].recv);
		cancel(&world->conns[i].send);
	}
}

/* What was done to it; before its kernel goes. */
static void world_note(struct world *world, const struct weir_loop_stats *stats)
{
	const struct sim *sim = sim_of(world->loop);

	memcpy(world->mischief.kinds, sim->mischief, sizeof(sim->mischief));
	memcpy(world->mischief.failed, sim->failed, sizeof(sim->failed));
	world->mischief.parks = stats->parks;
	world->mischief.files_full = stats->accept_pauses;
}

void world_close(struct world *world)
{
	struct weir_loop_stats stats;
	struct weir_pool_stats pool;

	weir_loop_stats(world->loop, &stats, sizeof(stats));
	world_note(world, &stats);
	if (world->over && (stats.files || stats.inflight || stats.waiting))
		world_bad(world, "files or slots are left");
	if (weir_loop_close(world->loop, 1000000000))
		world_bad(world, "the loop does not close");
	if (world->started != world->ended)
		world_bad(world, "an operation without a terminal event");
	weir_pool_stats(world->pool, &pool, sizeof(pool));
	if (pool.free != pool.count || pool.parked)
		world_bad(world, "leases are left");
	if (weir_pool_close(world->pool))
		world_bad(world, "the pool does not close");
	if (world->gets != world->puts || world->bytes)
		world_bad(world, "memory is left");
}

static const struct conn *conn_of(const struct world *world, uint32_t id)
{
	unsigned int i;

	for (i = 0; i < world->conns_count; i++) {
		if (world->conns[i].id == (int)id)
			return &world->conns[i];
	}
	return NULL;
}

void world_judge(struct world *world)
{
	unsigned int i;

	if (!world->paper.closing || world->paper.at != 2 * FILE_BYTES)
		world_bad(world, "the file was not written and read to its end");
	if (world->post.got != POST_COUNT || !world->post.seen)
		world_bad(world, "the post did not come");
	if (!world->sockets->over || world->sockets->at != world->sockets->count)
		world_bad(world, "the script of sockets did not come to its end");
	if (!world->desk->over || world->desk->at != world->desk->count)
		world_bad(world, "the script of files did not come to its end");
	for (i = 0; i < world->clients_count; i++) {
		const struct visitor *client = &world->clients[i];
		const struct conn *conn = conn_of(world, client->id);

		if (!client->over)
			world_bad(world, "a client that did not end");
		if (client->err && client->err != -ENFILE && !world->sim.error_permille)
			world_bad(world, "an error without a fault");
		if (conn && (conn->got > client->sent || conn->sent > conn->got ||
			     client->got > conn->sent))
			world_bad(world, "more bytes received than sent");
		if (client->err || (conn && conn->err))
			continue;
		/* Nobody was told of an error: then all of it went there and back. */
		if (client->want && !conn && world->errors)
			continue;
		if (client->got != client->want)
			world_bad(world, "bytes are missing, and nobody was told");
	}
}
