// SPDX-License-Identifier: GPL-2.0-only
/*
 * test_sim.c - seeded worlds: whatever the simulated kernel does to a program,
 * no byte, operation, file or lease is lost, and the same seed does it again
 *
 * WEIR_SIM_SEEDS says how many seeds, WEIR_SIM_FIRST the first of them.
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "io/backend.h"
#include "sim_power.h"
#include "sim_service.h"

#include "kselftest_harness.h"

enum {
	SEEDS_DEFAULT	= 200,
	STEPS_MAX	= 4000,	/* turns of the longest world that is cut at every step */
	WORLDS_FOR_ALL	= 5,	/* one of each kind of faults */
	SEEDS_FOR_ALL	= 200,	/* so many bring about all kinds of faults */
	SEEDS_FOR_ERRORS = 1000, /* and so many each row of the table of errors */
	TIMEOUT_S	= 3600,
};

/* What is printed of a seed that failed: what happened, and how to see it again. */
#define SEED_FAILED(seed, what)						\
	do {								\
		seed_now = 0;						\
		TH_LOG("seed %llu: %s; again: make sim FIRST=%llu SEEDS=1",	\
		       (unsigned long long)(seed), what, (unsigned long long)(seed));	\
	} while (0)

static volatile uint64_t seed_now;	/* of the world that is running */

static struct world world;
static uint64_t ended_well[WEIR_OP_MAX];	/* in all worlds */

static uint64_t env_number(const char *name, uint64_t fallback)
{
	const char *text = getenv(name);

	return text && *text ? strtoull(text, NULL, 10) : fallback;
}

static uint64_t seeds(void)
{
	return env_number("WEIR_SIM_SEEDS", SEEDS_DEFAULT);
}

static uint64_t first_seed(void)
{
	return env_number("WEIR_SIM_FIRST", 1);
}

/* None, and what is hard in different ways. */
static struct world_faults faults_of(uint64_t seed)
{
	static const struct world_faults table[] = {
		{ 0, 0, 0, 0 },
		{ 2000000, 100, 0, 100 },
		{ 500000, 500, 5, 50 },
		{ 0, 300, 20, 300 },
		{ 5000000, 200, 50, 0 },
	};

	return table[seed % ARRAY_SIZE(table)];
}

/* The library has found a fault of its own, or made one: of which seed? */
static void died(int sig)
{
	char text[128];
	int len = snprintf(text, sizeof(text), "# again: make sim FIRST=%llu SEEDS=1\n",
			   (unsigned long long)seed_now);

	if (seed_now && write(STDERR_FILENO, text, (size_t)len) < 0)
		_exit(1);
	signal(sig, SIG_DFL);
	raise(sig);
}

/* Somebody may be watching. */
static void progress(const char *what, uint64_t done, uint64_t count)
{
	if (!isatty(STDERR_FILENO) || done % 64)
		return;
	fprintf(stderr, "\r%s: %llu of %llu\033[K%s", what, (unsigned long long)done,
		(unsigned long long)count, done ? "" : "\r");
}

/* From start to end; the trace. */
static uint64_t live(uint64_t seed)
{
	struct world_faults faults = faults_of(seed);
	unsigned int i;

	seed_now = seed;
	world_open(&world, seed, &faults);
	world_run(&world, 0);
	world_judge(&world);
	world_close(&world);
	for (i = 0; i < WEIR_OP_MAX; i++)
		ended_well[i] += world.ended_well[i];
	return world.trace;
}

FIXTURE(sim) {
	uint64_t first, count;
};

FIXTURE_SETUP(sim)
{
	signal(SIGABRT, died);
	signal(SIGSEGV, died);
	self->first = first_seed();
	self->count = seeds();
}

FIXTURE_TEARDOWN(sim)
{
}

/* Structs of numbers. */
static void add_counts(void *to, const void *from, size_t bytes)
{
	const uint64_t *more = from;
	uint64_t *sum = to;
	size_t i;

	for (i = 0; i < bytes / sizeof(*sum); i++)
		sum[i] += more[i];
}

/* A kernel that is kind in some way would test nothing there. */
static void expect_all_mischief(struct __test_metadata *_metadata,
				const struct world_mischief *sum)
{
	unsigned int i;

	for (i = 0; i < SIM_MISCHIEFS; i++) {
		EXPECT_LT(0, sum->kinds[i]);
		if (!sum->kinds[i])
			TH_LOG("mischief %u never happened", i);
	}
	EXPECT_LT(0, sum->waits);
	EXPECT_LT(0, sum->parks);
	EXPECT_LT(0, sum->files_full);
}

static void expect_all_errors(struct __test_metadata *_metadata,
			      const struct world_mischief *sum)
{
	static const bool never_fails[WEIR_OP_MAX] = {
		[WEIR_OP_NOP]		= true,
		[WEIR_OP_TIMEOUT]	= true,
		[WEIR_OP_POLL]		= true,
		[WEIR_OP_WORK]		= true,
		[WEIR_OP_BIND]		= true,
		[WEIR_OP_LISTEN]	= true,
		[WEIR_OP_SHUTDOWN]	= true,
		[WEIR_OP_GETSOCKOPT]	= true,
		[WEIR_OP_FADVISE]	= true,
		[WEIR_OP_CLOSE]		= true,
	};
	unsigned int i;

	for (i = 0; i < WEIR_OP_MAX; i++) {
		EXPECT_EQ(never_fails[i], !sum->failed[i]);
		if (never_fails[i] != !sum->failed[i])
			TH_LOG("errors of %s: %llu", weir_op_name(i),
			       (unsigned long long)sum->failed[i]);
	}
}

TEST_F_TIMEOUT(sim, every_byte_is_accounted_for_on_every_seed, TIMEOUT_S)
{
	uint64_t events = 0, errors = 0, jumps = 0, seed;
	struct world_mischief sum = { 0 };

	for (seed = self->first; seed < self->first + self->count; seed++) {
		progress("worlds", seed - self->first, self->count);
		live(seed);
		ASSERT_EQ(world.bad, NULL) SEED_FAILED(seed, world.bad);
		events += world.events;
		errors += world.errors;
		jumps += world.jumps;
		add_counts(&sum, &world.mischief, sizeof(sum));
	}
	TH_LOG("%llu seeds: %llu events, %llu of them errors; the clock jumped %llu times",
	       (unsigned long long)self->count, (unsigned long long)events,
	       (unsigned long long)errors, (unsigned long long)jumps);
	EXPECT_GT(events, 10 * self->count);
	EXPECT_GT(jumps, self->count);
	TH_LOG("delayed %llu, cut short %llu, reordered %llu, cancelled too late %llu",
	       (unsigned long long)sum.kinds[SIM_DELAYED],
	       (unsigned long long)sum.kinds[SIM_CUT],
	       (unsigned long long)sum.kinds[SIM_REORDERED],
	       (unsigned long long)sum.kinds[SIM_LATE]);
	TH_LOG("queue full %llu; waited for a slot %llu, a buffer %llu, a file %llu",
	       (unsigned long long)sum.kinds[SIM_REARMED], (unsigned long long)sum.waits,
	       (unsigned long long)sum.parks, (unsigned long long)sum.files_full);
	if (self->count >= SEEDS_FOR_ALL)
		expect_all_mischief(_metadata, &sum);
	if (self->count >= SEEDS_FOR_ERRORS)
		expect_all_errors(_metadata, &sum);
}

/* What no world does is not tested here at all. */
TEST_F_TIMEOUT(sim, every_operation_there_is_ends_well_in_some_world, TIMEOUT_S)
{
	uint64_t seed;
	unsigned int i;

	for (seed = self->first; seed < self->first + WORLDS_FOR_ALL; seed++)
		live(seed);
	for (i = 0; i < WEIR_OP_MAX; i++) {
		EXPECT_GT(ended_well[i], 0);
		if (!ended_well[i])
			TH_LOG("%s never did", weir_op_name(i));
	}
}

TEST_F_TIMEOUT(sim, the_same_seed_gives_the_same_trace_and_another_does_not, TIMEOUT_S)
{
	uint64_t count = self->count / 4 + 2;
	uint64_t before = 0, seed;

	for (seed = self->first; seed < self->first + count; seed++) {
		uint64_t one = live(seed), two = live(seed);

		ASSERT_EQ(one, two) SEED_FAILED(seed, "two runs differ");
		ASSERT_NE(one, before);
		before = one;
	}
}

/* Faults alone must make the difference too, with the same program and sizes. */
TEST_F_TIMEOUT(sim, delays_reorder_what_happens, TIMEOUT_S)
{
	struct world_faults faults = { 0 };
	uint64_t calm;

	world_open(&world, 7, &faults);
	world_run(&world, 0);
	world_judge(&world);
	world_close(&world);
	ASSERT_EQ(world.bad, NULL) TH_LOG("%s", world.bad);
	calm = world.trace;
	faults.delay_max_ns = 1000000;
	world_open(&world, 7, &faults);
	world_run(&world, 0);
	world_judge(&world);
	world_close(&world);
	ASSERT_EQ(world.bad, NULL) TH_LOG("%s", world.bad);
	EXPECT_NE(calm, world.trace);
}

/* the service layer */

static struct service_world service;

static uint64_t serve(uint64_t seed)
{
	struct world_faults faults = faults_of(seed);

	seed_now = seed;
	service_live(&service, seed, &faults);
	return service.world.trace;
}

TEST_F_TIMEOUT(sim, a_service_echoes_drains_and_leaves_nothing_on_every_seed, TIMEOUT_S)
{
	uint64_t conns = 0, aborted = 0, seed;

	for (seed = self->first; seed < self->first + self->count; seed++) {
		progress("services", seed - self->first, self->count);
		serve(seed);
		ASSERT_EQ(NULL, service.world.bad) SEED_FAILED(seed, service.world.bad);
		conns += service.closed;
		aborted += (uint64_t)service.result;
	}
	TH_LOG("%llu seeds: %llu connections, %llu aborted at a deadline",
	       (unsigned long long)self->count, (unsigned long long)conns,
	       (unsigned long long)aborted);
	EXPECT_GT(conns, self->count);
	EXPECT_TRUE(aborted || self->count < 10);
}

TEST_F_TIMEOUT(sim, the_same_seed_gives_the_same_service, TIMEOUT_S)
{
	uint64_t count = self->count / 4 + 2;
	uint64_t before = 0, seed;

	for (seed = self->first; seed < self->first + count; seed++) {
		uint64_t one = serve(seed), two = serve(seed);

		ASSERT_EQ(one, two) SEED_FAILED(seed, "two runs of the service differ");
		ASSERT_NE(one, before);
		before = one;
	}
}

/* power loss */

static struct power_world power;

static uint64_t lose_power(uint64_t seed)
{
	struct world_faults faults = faults_of(seed);

	seed_now = seed;
	power_live(&power, seed, &faults);
	return power.world.trace;
}

/* A disk that keeps all, or nothing but what was synced, would try nobody. */
static void expect_all_kinds(struct __test_metadata *_metadata, const struct power_counts *counts)
{
	EXPECT_LT(0, counts->in_flight);
	EXPECT_LT(0, counts->records_kept);
	EXPECT_LT(0, counts->records_lost);
	EXPECT_LT(0, counts->settings_old);
	EXPECT_LT(0, counts->settings_new);
	EXPECT_LT(0, counts->sectors_old);
	EXPECT_LT(0, counts->sectors_new);
	EXPECT_LT(0, counts->writes_torn);
	EXPECT_LT(0, counts->names_lost);
	EXPECT_LT(0, counts->syncs_failed);
}

TEST_F_TIMEOUT(sim, what_was_synced_is_there_whenever_the_power_fails, TIMEOUT_S)
{
	struct power_counts sum = { 0 };
	uint64_t seed;

	for (seed = self->first; seed < self->first + self->count; seed++) {
		progress("power losses", seed - self->first, self->count);
		lose_power(seed);
		ASSERT_EQ(NULL, power.world.bad) SEED_FAILED(seed, power.world.bad);
		add_counts(&sum, &power.counts, sizeof(sum));
	}
	TH_LOG("%llu seeds: %llu losses of power, %llu with operations in flight",
	       (unsigned long long)self->count, (unsigned long long)sum.losses,
	       (unsigned long long)sum.in_flight);
	TH_LOG("%llu records, %llu settings, %llu sectors lost, %llu writes torn",
	       (unsigned long long)sum.records_lost,
	       (unsigned long long)sum.settings_old, (unsigned long long)sum.sectors_old,
	       (unsigned long long)sum.writes_torn);
	if (self->count >= SEEDS_FOR_ALL)
		expect_all_kinds(_metadata, &sum);
}

TEST_F_TIMEOUT(sim, the_same_seed_loses_the_same, TIMEOUT_S)
{
	uint64_t count = self->count / 4 + 2;
	uint64_t before = 0, seed;

	for (seed = self->first; seed < self->first + count; seed++) {
		uint64_t one = lose_power(seed), two = lose_power(seed);

		ASSERT_EQ(one, two) SEED_FAILED(seed, "two runs of a power loss differ");
		ASSERT_NE(one, before);
		before = one;
	}
}

/* cutting worlds short */

/* Cut the world of @seed after @step turns; false: it was over before that. */
static bool cut(uint64_t seed, uint64_t step, bool cancel_first)
{
	struct world_faults faults = faults_of(seed);
	int ret = 0;

	seed_now = seed;
	world_open(&world, seed, &faults);
	if (step)
		ret = world_run(&world, step);
	if (cancel_first) {
		world_cancel(&world);
		world_run(&world, 0);
	}
	world_close(&world);
	return !ret;
}

static bool cut_at_every_step(struct __test_metadata *_metadata, uint64_t seed,
			      bool cancel_first)
{
	uint64_t step, stride;

	/* All of the first turns, then ever fewer, so that long worlds end too. */
	for (step = 0; step < STEPS_MAX; step += stride) {
		bool going = cut(seed, step, cancel_first);

		if (world.bad) {
			TH_LOG("cut at step %llu:", (unsigned long long)step);
			SEED_FAILED(seed, world.bad);
			return false;
		}
		if (!going)
			break;
		stride = 1 + step / 64;
	}
	return true;
}

TEST_F_TIMEOUT(sim, cancelling_all_at_any_step_leaks_nothing, TIMEOUT_S)
{
	uint64_t end = self->first + self->count / 20 + 5, seed;
	bool ok = true;

	for (seed = self->first; ok && seed < end; seed++)
		ok = cut_at_every_step(_metadata, seed, true);
	EXPECT_TRUE(ok);
}

TEST_F_TIMEOUT(sim, closing_the_loop_at_any_step_leaks_nothing, TIMEOUT_S)
{
	uint64_t end = self->first + self->count / 20 + 5, seed;
	bool ok = true;

	for (seed = self->first; ok && seed < end; seed++)
		ok = cut_at_every_step(_metadata, seed, false);
	EXPECT_TRUE(ok);
}

TEST_HARNESS_MAIN
