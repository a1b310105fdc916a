// SPDX-License-Identifier: GPL-2.0-only
/*
 * test_turn.c - what a turn of the loop does, in which order, and how much of it:
 * the hooks, the clock, idleness, bounds
 */
#include <pthread.h>

#include "backends.h"
#include "kselftest_harness.h"

enum { STEPS = 64, ROUNDS = 40, PART_MAX = 96 };

/* Each hook leaves a letter, and calls what the test put there. */
struct trail {
	struct weir_loop *loop;
	char steps[STEPS + 1];
	unsigned int count;
	unsigned int parked;
	unsigned int events;
	void (*on_park)(struct trail *trail);
	void (*on_tick)(struct trail *trail);
	struct weir_op op;
	struct seen seen;
	uint64_t at_ns;
};

FIXTURE(turn)
{
	struct weir_loop_hooks hooks;
	struct weir_loop *loop;
	struct server server;
	struct trail trail;
};

BACKEND_VARIANTS(turn);

static void step(struct trail *trail, char c)
{
	if (trail->count < STEPS)
		trail->steps[trail->count++] = c;
}

static void on_parking(void *ctx)
{
	struct trail *trail = ctx;

	trail->parked++;
	step(trail, 'p');
	if (trail->on_park)
		trail->on_park(trail);
}

static void on_running(void *ctx, uint64_t now_ns, unsigned int events)
{
	struct trail *trail = ctx;

	trail->events += events;
	step(trail, 'r');
}

static void on_tick(void *ctx)
{
	struct trail *trail = ctx;

	step(trail, 't');
	if (trail->on_tick)
		trail->on_tick(trail);
}

FIXTURE_SETUP(turn)
{
	struct weir_loop_opts opts = {
		.sz = sizeof(opts), .backend = variant->name, .hooks = &self->hooks,
	};

	self->hooks = (struct weir_loop_hooks){
		.parking = on_parking, .running = on_running, .tick = on_tick,
		.ctx = &self->trail,
	};
	OPEN_LOOP(&self->loop, &opts);
	self->trail.loop = self->loop;
	/* An accept that never comes: something to wait for. */
	ASSERT_EQ(0, server_open(self->loop, &self->server, 8));
	ASSERT_LE(0, weir_loop_run_once(self->loop, 0));
	ASSERT_LE(0, weir_loop_run_once(self->loop, 0));
	memset(self->trail.steps, 0, STEPS);
	self->trail.count = 0;
	self->trail.parked = 0;
}

FIXTURE_TEARDOWN(turn)
{
	self->trail.on_park = NULL;
	self->trail.on_tick = NULL;
	EXPECT_EQ(0, weir_loop_close(self->loop, LIMIT_NS));
}

TEST_F(turn, a_look_never_parks)
{
	ASSERT_EQ(0, weir_loop_run_once(self->loop, 0));
	EXPECT_EQ(0, self->trail.parked);
	EXPECT_EQ('t', self->trail.steps[self->trail.count - 1]);
}

static void note_done(struct weir_op *op)
{
	step(op->ctx, 'd');
}

TEST_F(turn, the_tick_comes_after_the_events)
{
	struct trail *trail = &self->trail;
	const char *tick, *done;

	weir_prep_nop(&trail->op, note_done, trail);
	weir_submit(self->loop, &trail->op);
	RUN_UNTIL(self->loop, !weir_op_busy(&trail->op));
	done = strchr(trail->steps, 'd');
	ASSERT_NE(NULL, done);
	tick = strchr(done, 't');
	ASSERT_NE(NULL, tick);
	EXPECT_EQ('t', trail->steps[trail->count - 1]);
}

static void again_done(struct weir_op *op)
{
	struct trail *trail = op->ctx;

	seen_done(&(struct weir_op){ .ctx = &trail->seen, .lib_loop = trail->loop });
	if (trail->seen.events < ROUNDS)
		weir_submit(trail->loop, op);
}

/* What users of other loops do with an idle handle. */
TEST_F(turn, who_always_has_something_to_do_is_never_parked_and_never_starves_the_rest)
{
	struct trail *trail = &self->trail;
	uint64_t turns = stats_of(self->loop).turns;

	weir_prep_nop(&trail->op, again_done, trail);
	weir_submit(self->loop, &trail->op);
	RUN_UNTIL(self->loop, trail->seen.events == ROUNDS);
	/* One that submits itself again is back in another turn, not in this one. */
	EXPECT_LE(ROUNDS, stats_of(self->loop).turns - turns + 1);
	if (strcmp(weir_loop_backend(self->loop), "uring"))
		EXPECT_EQ(0, trail->parked);
}

static void submit_nop(struct trail *trail)
{
	if (trail->op.done)
		return;
	weir_prep_nop(&trail->op, seen_done, &trail->seen);
	weir_submit(trail->loop, &trail->op);
}

TEST_F(turn, what_is_submitted_while_parking_ends_without_anything_else_to_wake_it)
{
	self->trail.on_park = submit_nop;
	RUN_UNTIL(self->loop, self->trail.seen.terminals);
	EXPECT_RESULT(&self->trail.seen, 0, WEIR_ORIGIN_KERNEL);
}

static void submit_refused(struct trail *trail)
{
	if (trail->op.done)
		return;
	weir_prep_recv(&trail->op, (struct weir_file){ 0, 0 }, NULL, 0, seen_done, &trail->seen);
	weir_submit(trail->loop, &trail->op);
}

TEST_F(turn, what_is_refused_while_parking_is_told_at_once_too)
{
	self->trail.on_park = submit_refused;
	RUN_UNTIL(self->loop, self->trail.seen.terminals);
	EXPECT_RESULT(&self->trail.seen, -EBADF, WEIR_ORIGIN_LIBRARY);
}

static void submit_timer(struct trail *trail)
{
	if (trail->op.done)
		return;
	trail->at_ns = weir_loop_now(trail->loop) + 5 * NSEC_PER_MSEC;
	weir_prep_timeout(&trail->op, trail->at_ns, seen_done, &trail->seen);
	weir_submit(trail->loop, &trail->op);
}

/* However late the loop comes to it: what ends the wait begins while it parks. */
TEST_F(turn, a_wait_is_parking_then_running_then_the_tick)
{
	self->trail.on_park = submit_timer;
	ASSERT_EQ(0, weir_loop_run_once(self->loop, LIMIT_NS));
	EXPECT_STREQ("prt", self->trail.steps);
}

TEST_F(turn, a_timer_that_begins_while_parking_shortens_the_wait)
{
	self->trail.on_park = submit_timer;
	RUN_UNTIL(self->loop, self->trail.seen.terminals);
	EXPECT_RESULT(&self->trail.seen, 0, WEIR_ORIGIN_KERNEL);
	EXPECT_LE(self->trail.at_ns, self->trail.seen.now_ns);
}

static void cancel_it(struct trail *trail)
{
	weir_cancel(trail->loop, &trail->op);
}

TEST_F(turn, what_is_cancelled_while_parking_ends)
{
	struct trail *trail = &self->trail;

	weir_prep_poll(&trail->op, self->server.file, POLLIN, seen_done, &trail->seen);
	weir_submit(self->loop, &trail->op);
	ASSERT_LE(0, weir_loop_run_once(self->loop, 0));
	trail->on_park = cancel_it;
	RUN_UNTIL(self->loop, trail->seen.terminals);
	EXPECT_RESULT(&trail->seen, -ECANCELED, WEIR_ORIGIN_CANCELLED);
}

static void stop_it(struct trail *trail)
{
	weir_loop_stop(trail->loop);
}

TEST_F(turn, parking_may_stop_the_loop_which_then_does_not_wait)
{
	self->trail.on_park = stop_it;
	EXPECT_EQ(0, weir_loop_run(self->loop));
	EXPECT_EQ(1, self->trail.parked);
}

static void *stop_from_here(void *arg)
{
	weir_loop_stop(arg);
	return NULL;
}

TEST_F(turn, a_stop_of_another_thread_ends_the_next_run_and_no_later_one)
{
	struct trail *trail = &self->trail;
	pthread_t thread;

	ASSERT_EQ(0, pthread_create(&thread, NULL, stop_from_here, self->loop));
	pthread_join(thread, NULL);
	EXPECT_EQ(0, weir_loop_run(self->loop));
	EXPECT_EQ(0, trail->count);
	weir_prep_nop(&trail->op, seen_done, &trail->seen);
	weir_submit(self->loop, &trail->op);
	EXPECT_EQ(0, weir_loop_run_until(self->loop, &trail->op));
	EXPECT_EQ(1, trail->seen.terminals);
}

TEST_F(turn, the_tick_may_stop_the_loop)
{
	struct trail *trail = &self->trail;

	weir_prep_nop(&trail->op, seen_done, &trail->seen);
	weir_submit(self->loop, &trail->op);
	trail->on_tick = stop_it;
	EXPECT_EQ(0, weir_loop_run(self->loop));
	EXPECT_EQ(1, trail->count && strchr(trail->steps, 't') == trail->steps + trail->count - 1);
}

TEST_F(turn, what_the_tick_submits_is_begun_by_the_next_turn)
{
	self->trail.on_tick = submit_nop;
	ASSERT_EQ(0, weir_loop_run_once(self->loop, 0));
	RUN_UNTIL(self->loop, self->trail.seen.terminals);
	EXPECT_RESULT(&self->trail.seen, 0, WEIR_ORIGIN_KERNEL);
}

/* Callbacks that take their time: the clock stands still in a turn, and moves between. */
static void slow_done(struct weir_op *op)
{
	uint64_t end = real_ns() + NSEC_PER_MSEC;
	struct trail *trail = op->ctx;
	uint64_t now = weir_loop_now(trail->loop);

	while (real_ns() < end)
		;
	trail->events += weir_loop_now(trail->loop) != now;
	trail->at_ns = now;
}

TEST_F(turn, the_clock_stands_still_in_a_callback)
{
	struct trail *trail = &self->trail;
	uint64_t first;

	trail->events = 0;
	self->loop->hooks.running = NULL;
	weir_prep_nop(&trail->op, slow_done, trail);
	op_do(self->loop, &trail->op);
	first = trail->at_ns;
	op_do(self->loop, &trail->op);
	EXPECT_EQ(0, trail->events);
	if (!on_sim(self->loop))	/* whose clock is moved by waits alone */
		EXPECT_LE(first + NSEC_PER_MSEC, trail->at_ns);
}

/* What one connection had of a turn. */
struct share {
	struct weir_loop *loop;
	uint64_t turn;
	unsigned int now, max;
	uint64_t bytes;
};

static void share_done(struct weir_op *op)
{
	struct share *share = op->ctx;
	uint64_t turn = stats_of(share->loop).turns;

	share->now = turn == share->turn ? share->now + 1 : 1;
	share->turn = turn;
	share->max = share->now > share->max ? share->now : share->max;
	share->bytes += op->res > 0 ? (unsigned int)op->res : 0;
}

TEST_F(turn, one_connection_has_a_part_of_it_however_much_there_is)
{
	struct weir_pool_opts shape = { .sz = sizeof(shape), .buf_bytes = 64, .count = 512 };
	struct share share = { .loop = self->loop };
	struct weir_file client, accepted;
	static const char text[16384];
	struct weir_op op = { 0 };
	struct weir_pool *pool;
	uint64_t sent;

	ASSERT_EQ(0, weir_pool_open(&pool, self->loop, &shape));
	ASSERT_EQ(0, pair_open(self->loop, &self->server, &client, &accepted));
	sent = (uint64_t)do_send(self->loop, client, text, sizeof(text));
	/* In many more buffers than are its part. */
	ASSERT_LE(PART_MAX * 2 * 64, sent);
	weir_prep_recv_pool(&op, accepted, pool, share_done, &share);
	weir_submit(self->loop, &op);
	RUN_UNTIL(self->loop, share.bytes == sent);
	/* In the first one uring has armed it anew, for bundles: once in its life. */
	EXPECT_GE(2 * PART_MAX, share.max) {
		TH_LOG("%u", share.max);
	}
	share.max = 0;
	sent += (uint64_t)do_send(self->loop, client, text, sizeof(text));
	RUN_UNTIL(self->loop, share.bytes == sent);
	EXPECT_LT(1, share.max);
	EXPECT_GE(PART_MAX, share.max) {
		TH_LOG("%u", share.max);
	}
	weir_cancel(self->loop, &op);
	RUN_UNTIL(self->loop, !weir_op_busy(&op));
}

TEST_F(turn, a_poll_gives_up_at_its_deadline)
{
	struct trail *trail = &self->trail;

	weir_prep_poll(&trail->op, self->server.file, POLLIN, seen_done, &trail->seen);
	trail->op.deadline_ns = weir_loop_now(self->loop) + 2 * NSEC_PER_MSEC;
	op_do(self->loop, &trail->op);
	EXPECT_RESULT(&trail->seen, -ETIME, WEIR_ORIGIN_DEADLINE);
	EXPECT_LE(trail->op.deadline_ns, trail->seen.now_ns);
}

TEST_HARNESS_MAIN
