// SPDX-License-Identifier: GPL-2.0-only
/*
 * test_work.c - functions that are called on the offload threads of a loop
 */
#include <pthread.h>
#include <semaphore.h>
#include <stdatomic.h>

#include "backends.h"
#include "kselftest_harness.h"

enum { THREADS = 2, MANY = 200 };

FIXTURE(work)
{
	struct weir_loop *loop;
};

BACKEND_VARIANTS(work);

FIXTURE_SETUP(work)
{
	struct weir_loop_opts opts = {
		.sz = sizeof(opts), .backend = variant->name, .ops_max = 64,
		.offload_threads = THREADS,
	};

	OPEN_LOOP(&self->loop, &opts);
}

FIXTURE_TEARDOWN(work)
{
	EXPECT_EQ(0, weir_loop_close(self->loop, LIMIT_NS));
}

static int answer(void *arg)
{
	return *(int *)arg;
}

TEST_F(work, the_result_of_the_function_is_that_of_the_operation)
{
	int results[] = { 42, 0, -EDOM };
	size_t i;

	for (i = 0; i < ARRAY_SIZE(results); i++) {
		struct seen seen = { 0 };
		struct weir_op op = { 0 };

		weir_prep_work(&op, answer, &results[i], seen_done, &seen);
		EXPECT_EQ(results[i], op_do(self->loop, &op));
		EXPECT_RESULT(&seen, results[i], WEIR_ORIGIN_KERNEL);
	}
}

TEST_F(work, without_a_function_it_is_refused)
{
	struct seen seen = { 0 };
	struct weir_op op = { 0 };

	weir_prep_work(&op, NULL, NULL, seen_done, &seen);
	op_do(self->loop, &op);
	EXPECT_RESULT(&seen, -EINVAL, WEIR_ORIGIN_LIBRARY);
}

/* One that runs until it is let go; on sim, where nothing runs beside, at once. */
struct gate {
	sem_t running;
	sem_t go;
	bool open;
};

static int pass_gate(void *arg)
{
	struct gate *gate = arg;

	sem_post(&gate->running);
	if (!gate->open) {
		while (sem_wait(&gate->go))
			;
	}
	return 7;
}

static void gate_init(struct gate *gate, const struct weir_loop *loop)
{
	sem_init(&gate->running, 0, 0);
	sem_init(&gate->go, 0, 0);
	gate->open = on_sim(loop);
}

static int who(void *arg)
{
	*(pthread_t *)arg = pthread_self();
	return 7;
}

TEST_F(work, it_runs_on_another_thread_than_the_owners)
{
	pthread_t thread = pthread_self();
	struct seen seen = { 0 };
	struct weir_op op = { 0 };

	if (on_sim(self->loop))
		SKIP(return, "sim has one thread");
	weir_prep_work(&op, who, &thread, seen_done, &seen);
	EXPECT_EQ(7, op_do(self->loop, &op));
	EXPECT_FALSE(pthread_equal(thread, pthread_self()));
}

TEST_F(work, one_that_runs_completes_whoever_cancels_it)
{
	struct seen seen = { 0 };
	struct weir_op op = { 0 };
	struct gate gate;

	if (on_sim(self->loop))
		SKIP(return, "on sim it runs in no time");
	gate_init(&gate, self->loop);
	weir_prep_work(&op, pass_gate, &gate, seen_done, &seen);
	weir_submit(self->loop, &op);
	/* Only a turn hands it over. */
	while (sem_trywait(&gate.running))
		ASSERT_LE(0, weir_loop_run_once(self->loop, NSEC_PER_MSEC));
	weir_cancel(self->loop, &op);
	weir_cancel(self->loop, &op);
	ASSERT_LE(0, weir_loop_run_once(self->loop, 0));
	EXPECT_EQ(0, seen.events);
	sem_post(&gate.go);
	RUN_UNTIL(self->loop, seen.terminals);
	EXPECT_RESULT(&seen, 7, WEIR_ORIGIN_KERNEL);
}

struct queued {
	struct weir_op op;
	struct seen seen;
	atomic_int calls;
};

static int count_call(void *arg)
{
	struct queued *queued = arg;

	return 1 + atomic_fetch_add(&queued->calls, 1);
}

/* Let every thread be busy, so that what comes then waits. */
static void hold_threads(struct weir_loop *loop, struct gate *gate, struct weir_op *ops,
			 struct seen *seen)
{
	int i;

	gate_init(gate, loop);
	for (i = 0; i < THREADS; i++) {
		weir_prep_work(&ops[i], pass_gate, gate, seen_done, seen);
		weir_submit(loop, &ops[i]);
	}
	for (i = 0; !gate->open && i < THREADS;) {
		if (!sem_trywait(&gate->running))
			i++;
		else if (weir_loop_run_once(loop, NSEC_PER_MSEC) < 0)
			abort();
	}
}

static void let_threads_go(struct gate *gate)
{
	int i;

	for (i = 0; i < THREADS; i++)
		sem_post(&gate->go);
}

TEST_F(work, one_that_waits_for_a_thread_can_be_cancelled)
{
	struct weir_op held[THREADS] = { 0 };
	struct seen held_seen = { 0 };
	struct queued queued = { 0 };
	struct gate gate;

	hold_threads(self->loop, &gate, held, &held_seen);
	weir_prep_work(&queued.op, count_call, &queued, seen_done, &queued.seen);
	weir_submit(self->loop, &queued.op);
	weir_cancel(self->loop, &queued.op);
	EXPECT_EQ(0, queued.seen.events);
	RUN_UNTIL(self->loop, queued.seen.terminals);
	EXPECT_RESULT(&queued.seen, -ECANCELED, WEIR_ORIGIN_CANCELLED);
	let_threads_go(&gate);
	RUN_UNTIL(self->loop, held_seen.terminals == THREADS);
	EXPECT_EQ(0, atomic_load(&queued.calls));
}

TEST_F(work, a_deadline_ends_one_that_waits_for_a_thread)
{
	struct weir_op held[THREADS] = { 0 };
	struct seen held_seen = { 0 };
	struct queued queued = { 0 };
	struct gate gate;

	hold_threads(self->loop, &gate, held, &held_seen);
	weir_prep_work(&queued.op, count_call, &queued, seen_done, &queued.seen);
	queued.op.deadline_ns = weir_loop_now(self->loop) + 1;
	weir_submit(self->loop, &queued.op);
	RUN_UNTIL(self->loop, queued.seen.terminals);
	EXPECT_RESULT(&queued.seen, -ETIME, WEIR_ORIGIN_DEADLINE);
	let_threads_go(&gate);
	RUN_UNTIL(self->loop, held_seen.terminals == THREADS);
	EXPECT_EQ(0, atomic_load(&queued.calls));
}

TEST_F(work, closing_the_loop_ends_what_waits_and_awaits_what_runs)
{
	struct weir_loop_opts opts = {
		.sz = sizeof(opts), .backend = variant->name, .offload_threads = THREADS,
	};
	struct weir_op held[THREADS] = { 0 };
	struct seen held_seen = { 0 };
	struct queued queued = { 0 };
	struct weir_loop *loop;
	struct gate gate;

	OPEN_LOOP(&loop, &opts);
	hold_threads(loop, &gate, held, &held_seen);
	weir_prep_work(&queued.op, count_call, &queued, seen_done, &queued.seen);
	weir_submit(loop, &queued.op);
	if (!on_sim(loop)) {
		EXPECT_EQ(-ETIMEDOUT, weir_loop_close(loop, NSEC_PER_MSEC));
		EXPECT_EQ(0, held_seen.terminals);
	}
	let_threads_go(&gate);
	EXPECT_EQ(0, weir_loop_close(loop, LIMIT_NS));
	EXPECT_EQ(THREADS, held_seen.terminals);
	EXPECT_RESULT(&queued.seen, -ECANCELED, WEIR_ORIGIN_CANCELLED);
	EXPECT_EQ(0, atomic_load(&queued.calls));
}

/* How many run at once. */
static atomic_int now_running, most_running;

static int run_beside(void *arg)
{
	int running = 1 + atomic_fetch_add(&now_running, 1);
	int most = atomic_load(&most_running);

	while (running > most && !atomic_compare_exchange_weak(&most_running, &most, running))
		;
	sched_yield();
	atomic_fetch_sub(&now_running, 1);
	return 0;
}

TEST_F(work, no_more_run_at_once_than_there_are_threads)
{
	static struct weir_op ops[MANY];
	struct seen seen = { 0 };
	struct weir_loop_stats stats;
	int i;

	for (i = 0; i < MANY; i++) {
		weir_prep_work(&ops[i], run_beside, NULL, seen_done, &seen);
		weir_submit(self->loop, &ops[i]);
	}
	RUN_UNTIL(self->loop, seen.terminals == MANY);
	EXPECT_LE(1, atomic_load(&most_running));
	EXPECT_GE(THREADS, atomic_load(&most_running));
	stats = stats_of(self->loop);
	EXPECT_EQ(on_sim(self->loop) ? 0 : MANY, stats.offloaded);
	EXPECT_EQ(0, stats.offload_queued);
}

TEST_F(work, statistics_tell_what_waits_for_a_thread)
{
	struct weir_op held[THREADS] = { 0 };
	struct seen held_seen = { 0 };
	struct queued queued = { 0 };
	struct gate gate;

	if (on_sim(self->loop))
		SKIP(return, "sim has one thread");
	hold_threads(self->loop, &gate, held, &held_seen);
	weir_prep_work(&queued.op, count_call, &queued, seen_done, &queued.seen);
	weir_submit(self->loop, &queued.op);
	EXPECT_EQ(1, stats_of(self->loop).offload_queued);
	EXPECT_EQ(THREADS + 1, stats_of(self->loop).offloaded);
	let_threads_go(&gate);
	RUN_UNTIL(self->loop, queued.seen.terminals && held_seen.terminals == THREADS);
	EXPECT_EQ(1, queued.seen.res);
}

/* The order and the times at which a world of a seed is told of its work. */
static uint64_t digest_of(uint64_t seed)
{
	struct weir_sim_opts sim = { .sz = sizeof(sim), .delay_max_ns = NSEC_PER_MSEC };
	struct weir_loop_opts opts = {
		.sz = sizeof(opts), .backend = "sim", .sim = &sim, .seed = seed,
	};
	struct queued work[8] = { 0 };
	uint64_t digest = 0;
	struct weir_loop *loop;
	size_t i;

	if (weir_loop_open(&loop, &opts))
		abort();
	for (i = 0; i < ARRAY_SIZE(work); i++) {
		weir_prep_work(&work[i].op, count_call, &work[i], seen_done, &work[i].seen);
		weir_submit(loop, &work[i].op);
	}
	if (weir_loop_run(loop) != 1)
		abort();
	for (i = 0; i < ARRAY_SIZE(work); i++)
		digest = digest * 1000003 + work[i].seen.now_ns;
	if (weir_loop_close(loop, LIMIT_NS))
		abort();
	return digest;
}

TEST(on_sim_the_seed_decides_when_it_ends)
{
	EXPECT_EQ(digest_of(1), digest_of(1));
	EXPECT_NE(digest_of(1), digest_of(2));
}

TEST_HARNESS_MAIN
