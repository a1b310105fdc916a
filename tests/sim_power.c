// SPDX-License-Identifier: GPL-2.0-only
/*
 * sim_power.c - a machine that loses its power and comes back, several times
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <weir/sim.h>

#include "sim_power.h"

static void go_dark(struct power_world *pw)
{
	struct weir_loop_stats stats;

	weir_loop_stats(pw->world.loop, &stats, sizeof(stats));
	if (weir_sim_power_loss(pw->world.loop))
		abort();
	pw->dark = true;
	pw->counts.losses++;
	pw->counts.in_flight += stats.inflight > 0;
}

void power_step(struct power_world *pw)
{
	if (++pw->steps == pw->dark_at)
		go_dark(pw);
}

static void step_of_turn(void *ctx)
{
	power_step(ctx);
}

static void keepers_init(struct power_world *pw)
{
	unsigned int i;

	pw->keepers_count = 1 + (unsigned int)world_roll(&pw->world, KEEPERS_MAX);
	for (i = 0; i < pw->keepers_count; i++) {
		struct keeper *keeper = &pw->keepers[i];

		keeper->pw = pw;
		keeper->id = i + 1;
		keeper->kind = (enum keeper_kind)world_roll(&pw->world, KEEPER_KINDS);
		snprintf(keeper->home, sizeof(keeper->home), "/k%u", keeper->id);
		snprintf(keeper->path, sizeof(keeper->path), "/k%u/file", keeper->id);
		snprintf(keeper->aside, sizeof(keeper->aside), "/k%u/aside", keeper->id);
	}
}

static void power_open(struct power_world *pw)
{
	struct weir_fibers_opts fibers = { .sz = sizeof(fibers), .fibers_max = KEEPERS_MAX };
	struct world *world = &pw->world;
	struct weir_loop_opts opts = {
		.sz		= sizeof(opts),
		.backend	= "sim",
		.alloc		= &world->alloc,
		.log		= &world->log,
		.hooks		= &world->hooks,
		.sim		= &world->sim,
		.seed		= world->seed,
		.ops_max	= 1 + (uint32_t)world_roll(world, 2 * KEEPERS_MAX),
		.files_max	= 3 * KEEPERS_MAX,
	};

	world->hooks = (struct weir_loop_hooks){ .tick = step_of_turn, .ctx = pw };
	if (weir_loop_open(&world->loop, &opts) ||
	    weir_fibers_open(&pw->fibers, world->loop, &fibers))
		abort();
}

/* From the power's coming to its going. */
static void power_life(struct power_world *pw)
{
	struct weir_fiber *fibers[KEEPERS_MAX];
	struct world *world = &pw->world;
	size_t gets = world->gets;
	unsigned int i;

	pw->dark = false;
	pw->dark_at = pw->looking ? 0 : pw->steps + 1 + world_roll(world, STEPS_DARK);
	for (i = 0; i < pw->keepers_count; i++) {
		if (weir_fiber_spawn(&fibers[i], pw->fibers, NULL, keeper_life, &pw->keepers[i]))
			abort();
	}
	for (i = 0; i < pw->keepers_count; i++)
		weir_fiber_join(fibers[i], 0, NULL);
	if (world->gets != gets)
		world_bad(world, "memory was allocated on the I/O path");
	if (!pw->dark && !pw->looking)
		go_dark(pw);
}

static void power_close(struct power_world *pw)
{
	struct world *world = &pw->world;
	struct weir_loop_stats stats;

	weir_loop_stats(world->loop, &stats, sizeof(stats));
	if (stats.files || stats.inflight || stats.waiting)
		world_bad(world, "files or slots are left");
	if (weir_fibers_close(pw->fibers) || weir_loop_close(world->loop, 1000000000))
		world_bad(world, "the loop does not close");
	if (world->gets != world->puts || world->bytes)
		world_bad(world, "memory is left");
}

void power_live(struct power_world *pw, uint64_t seed, const struct world_faults *faults)
{
	unsigned int lives, i;

	memset(pw, 0, sizeof(*pw));
	world_init(&pw->world, seed, faults);
	keepers_init(pw);
	power_open(pw);
	lives = 2 + (unsigned int)world_roll(&pw->world, LIVES_MAX - 1);
	for (i = 1; i <= lives; i++) {
		pw->looking = i == lives;
		power_life(pw);
	}
	power_close(pw);
}
