// SPDX-License-Identifier: GPL-2.0-only
/*
 * test_race.c - connecting to whichever address answers first
 */
#include <weir/race.h>

#include "socks.h"
#include "kselftest_harness.h"

enum { STUCK = 4, DELAY_MS = 20 };

/* A listener whose queue is full: who connects waits. */
struct stuck {
	struct weir_file file;
	struct sockaddr_in addr;
	struct weir_op ops[STUCK];
	struct seen seen[STUCK];
};

struct racing {
	struct weir_loop *loop;
	struct server server;
	struct stuck stuck;
	struct weir_file mute;		/* bound, and nobody listens there */
	struct sockaddr_in refusing;
	struct weir_race race;
	struct weir_race_opts opts;
	struct weir_addr addrs[WEIR_RACE_MAX + 1];
	unsigned int done;
	uint64_t began_ns;
	uint64_t ended_ns;
};

FIXTURE(race)
{
	struct racing r;
};

BACKEND_VARIANTS(race);

static int stuck_open(struct weir_loop *loop, struct stuck *stuck)
{
	unsigned int ended = 0, i;
	int err = listener_open(loop, 0, &stuck->file, &stuck->addr);

	for (i = 0; i < STUCK && !err; i++) {
		weir_prep_connect(&stuck->ops[i], (struct sockaddr *)&stuck->addr,
				  sizeof(stuck->addr), seen_done, &stuck->seen[i]);
		weir_submit(loop, &stuck->ops[i]);
	}
	while (!ended && !err) {
		err = run_turn(loop);
		for (i = 0; i < STUCK; i++)
			ended += stuck->seen[i].terminals;
	}
	return err;
}

static void race_done(struct weir_race *race)
{
	struct racing *r = race->ctx;

	r->done++;
	r->ended_ns = weir_loop_now(r->loop);
}

FIXTURE_SETUP(race)
{
	struct weir_loop_opts opts = { .sz = sizeof(opts), .backend = variant->name };

	OPEN_LOOP(&self->r.loop, &opts);
	ASSERT_EQ(0, server_open(self->r.loop, &self->r.server, 64));
	ASSERT_EQ(0, stuck_open(self->r.loop, &self->r.stuck));
	ASSERT_EQ(0, bound_open(self->r.loop, SOCK_STREAM, &self->r.mute, &self->r.refusing));
	self->r.opts = (struct weir_race_opts){
		.sz = sizeof(self->r.opts), .addrs = self->r.addrs, .done = race_done,
		.ctx = &self->r,
		.delay_ns = DELAY_MS * NSEC_PER_MSEC,
	};
}

FIXTURE_TEARDOWN(race)
{
	if (self->r.done && !self->r.race.res)
		EXPECT_EQ(0, do_close(self->r.loop, self->r.race.file));
	EXPECT_EQ(0, weir_loop_close(self->r.loop, LIMIT_NS));
}

static void add(struct racing *r, const struct sockaddr_in *addr)
{
	if (weir_addr_set(&r->addrs[r->opts.count++], (const struct sockaddr *)addr,
			  sizeof(*addr)))
		abort();
}

#define RACE()								\
	do {								\
		self->r.began_ns = weir_loop_now(self->r.loop);		\
		ASSERT_EQ(0, weir_race_start(&self->r.race, self->r.loop, &self->r.opts));	\
		EXPECT_EQ(0, self->r.done);				\
		RUN_UNTIL(self->r.loop, self->r.done);			\
		EXPECT_EQ(1, self->r.done);				\
	} while (0)

TEST_F(race, one_address_that_answers_wins)
{
	uint64_t files = stats_of(self->r.loop).files;

	add(&self->r, &self->r.server.addr);
	RACE();
	EXPECT_EQ(0, self->r.race.res);
	EXPECT_EQ(0, self->r.race.winner);
	EXPECT_EQ(0, self->r.race.errs[0]);
	EXPECT_EQ(1, weir_file_valid(self->r.loop, self->r.race.file));
	RUN_UNTIL(self->r.loop, self->r.server.seen.events);
	/* Its two ends. */
	EXPECT_EQ(files + 2, stats_of(self->r.loop).files);
}

TEST_F(race, one_that_refuses_is_followed_at_once_by_the_next)
{
	self->r.opts.delay_ns = LIMIT_NS;
	add(&self->r, &self->r.refusing);
	add(&self->r, &self->r.refusing);
	add(&self->r, &self->r.server.addr);
	RACE();
	EXPECT_EQ(0, self->r.race.res);
	EXPECT_EQ(2, self->r.race.winner);
	EXPECT_EQ(-ECONNREFUSED, self->r.race.errs[0]);
	EXPECT_EQ(-ECONNREFUSED, self->r.race.errs[1]);
	EXPECT_GT(self->r.opts.delay_ns, self->r.ended_ns - self->r.began_ns);
}

TEST_F(race, one_that_is_silent_is_joined_by_the_next_after_the_delay)
{
	uint64_t files = stats_of(self->r.loop).files;

	add(&self->r, &self->r.stuck.addr);
	add(&self->r, &self->r.server.addr);
	add(&self->r, &self->r.server.addr);
	RACE();
	EXPECT_EQ(0, self->r.race.res);
	EXPECT_EQ(1, self->r.race.winner);
	EXPECT_EQ(-ECANCELED, self->r.race.errs[0]);
	EXPECT_EQ(0, self->r.race.errs[2]);
	EXPECT_LE(DELAY_MS * NSEC_PER_MSEC, self->r.ended_ns - self->r.began_ns);
	RUN_UNTIL(self->r.loop, self->r.server.seen.events);
	EXPECT_EQ(files + 2, stats_of(self->r.loop).files);
}

TEST_F(race, if_all_refuse_the_result_says_so)
{
	add(&self->r, &self->r.refusing);
	add(&self->r, &self->r.refusing);
	RACE();
	EXPECT_EQ(-ECONNREFUSED, self->r.race.res);
	EXPECT_EQ(0, weir_file_valid(self->r.loop, self->r.race.file));
}

TEST_F(race, a_deadline_ends_all_attempts)
{
	add(&self->r, &self->r.stuck.addr);
	add(&self->r, &self->r.stuck.addr);
	add(&self->r, &self->r.stuck.addr);
	self->r.opts.deadline_ns = weir_loop_now(self->r.loop) + 3 * DELAY_MS * NSEC_PER_MSEC / 2;
	RACE();
	EXPECT_EQ(-ETIME, self->r.race.res);
	EXPECT_EQ(-ETIME, self->r.race.errs[0]);
	EXPECT_EQ(0, self->r.race.errs[2]);
	EXPECT_LE(self->r.opts.deadline_ns, self->r.ended_ns);
}

/* What failed before the cancel is no reason any more. */
TEST_F(race, a_cancel_between_two_attempts_is_told)
{
	add(&self->r, &self->r.refusing);
	add(&self->r, &self->r.stuck.addr);
	self->r.opts.delay_ns = LIMIT_NS;
	ASSERT_EQ(0, weir_race_start(&self->r.race, self->r.loop, &self->r.opts));
	RUN_UNTIL(self->r.loop, self->r.race.errs[0]);
	EXPECT_EQ(-ECONNREFUSED, self->r.race.errs[0]);
	EXPECT_EQ(0, self->r.done);
	weir_race_cancel(&self->r.race);
	RUN_UNTIL(self->r.loop, self->r.done);
	EXPECT_EQ(-ECANCELED, self->r.race.res);
}

TEST_F(race, a_deadline_in_the_past_tries_nothing_twice)
{
	add(&self->r, &self->r.stuck.addr);
	add(&self->r, &self->r.stuck.addr);
	self->r.opts.deadline_ns = 1;
	RACE();
	EXPECT_EQ(-ETIME, self->r.race.res);
	EXPECT_EQ(0, self->r.race.errs[1]);
}

TEST_F(race, a_cancel_ends_it)
{
	add(&self->r, &self->r.stuck.addr);
	add(&self->r, &self->r.server.addr);
	self->r.opts.delay_ns = LIMIT_NS;
	ASSERT_EQ(0, weir_race_start(&self->r.race, self->r.loop, &self->r.opts));
	weir_race_cancel(&self->r.race);
	weir_race_cancel(&self->r.race);
	EXPECT_EQ(0, self->r.done);
	RUN_UNTIL(self->r.loop, self->r.done);
	EXPECT_EQ(1, self->r.done);
	EXPECT_EQ(-ECANCELED, self->r.race.res);
	weir_race_cancel(&self->r.race);
	EXPECT_EQ(0, self->r.server.seen.events);
}

TEST_F(race, a_token_ends_it_by_cancel_or_deadline)
{
	struct weir_token token = { 0 };
	int i;

	add(&self->r, &self->r.stuck.addr);
	add(&self->r, &self->r.server.addr);
	self->r.opts.delay_ns = LIMIT_NS;
	self->r.opts.token = &token;
	for (i = 0; i < 2; i++) {
		ASSERT_EQ(0, weir_token_init(&token, self->r.loop, NULL));
		self->r.done = 0;
		if (i)
			weir_token_deadline(&token, weir_loop_now(self->r.loop) + NSEC_PER_MSEC);
		ASSERT_EQ(0, weir_race_start(&self->r.race, self->r.loop, &self->r.opts));
		if (!i)
			weir_token_cancel(&token);
		RUN_UNTIL(self->r.loop, self->r.done);
		EXPECT_EQ(i ? -ETIME : -ECANCELED, self->r.race.res);
		EXPECT_EQ(0, weir_token_inflight(&token));
		weir_token_fini(&token);
	}
	EXPECT_EQ(0, self->r.server.seen.events);
	EXPECT_EQ(-EINVAL, weir_race_start(&self->r.race, self->r.loop, &self->r.opts));
}

TEST_F(race, as_many_as_there_may_be_and_all_of_them_connect)
{
	uint64_t files = stats_of(self->r.loop).files;
	unsigned int i, lost = 0;

	/* Timers are rounded up to one tick: some attempts overlap, some do not. */
	self->r.opts.delay_ns = 1;
	for (i = 0; i < WEIR_RACE_MAX; i++)
		add(&self->r, &self->r.server.addr);
	RACE();
	EXPECT_EQ(0, self->r.race.res);
	for (i = 0; i < WEIR_RACE_MAX; i++) {
		EXPECT_TRUE(!self->r.race.errs[i] || self->r.race.errs[i] == -ECANCELED);
		lost += self->r.race.errs[i] != 0;
	}
	EXPECT_GT(WEIR_RACE_MAX, lost);
	/* The losers' ends are closed; the server's are open until it closes them. */
	RUN_UNTIL(self->r.loop, self->r.server.seen.events);
	EXPECT_EQ(files + 1 + self->r.server.seen.events, stats_of(self->r.loop).files);
}

TEST_F(race, bad_options_are_refused)
{
	EXPECT_EQ(-EINVAL, weir_race_start(&self->r.race, self->r.loop, &self->r.opts));
	self->r.opts.count = WEIR_RACE_MAX + 1;
	EXPECT_EQ(-E2BIG, weir_race_start(&self->r.race, self->r.loop, &self->r.opts));
	self->r.opts.count = 1;
	self->r.opts.addrs = NULL;
	EXPECT_EQ(-EINVAL, weir_race_start(&self->r.race, self->r.loop, &self->r.opts));
	self->r.opts.addrs = self->r.addrs;
	self->r.opts.done = NULL;
	EXPECT_EQ(-EINVAL, weir_race_start(&self->r.race, self->r.loop, &self->r.opts));
}

/* The order of attempts shows where each one fails: all are refused in turn. */
TEST(families_take_turns)
{
	struct weir_sim_opts sim = { .sz = sizeof(sim) };
	struct weir_loop_opts opts = { .sz = sizeof(opts), .backend = "sim", .sim = &sim };
	static const char *const text[] = {
		"[::1]:1", "[::1]:2", "[::1]:3", "127.0.0.1:4", "127.0.0.1:5", "[::1]:6",
	};
	static const unsigned int want[] = { 0, 3, 1, 4, 2, 5 };
	struct weir_addr addrs[ARRAY_SIZE(text)];
	struct racing r = { 0 };
	size_t i;

	OPEN_LOOP(&r.loop, &opts);
	for (i = 0; i < ARRAY_SIZE(text); i++)
		ASSERT_EQ(0, weir_addr_parse(&addrs[i], text[i]));
	r.opts = (struct weir_race_opts){
		.sz = sizeof(r.opts), .addrs = addrs, .count = ARRAY_SIZE(text),
		.done = race_done, .ctx = &r,
	};
	ASSERT_EQ(0, weir_race_start(&r.race, r.loop, &r.opts));
	for (i = 0; i < ARRAY_SIZE(want); i++) {
		RUN_UNTIL(r.loop, r.race.errs[want[i]]);
		EXPECT_EQ(i == ARRAY_SIZE(want) - 1, r.done);
	}
	EXPECT_EQ(0, weir_loop_close(r.loop, LIMIT_NS));
}

/* Virtual time: the delay is what RFC 8305 recommends, to the tick of the timer. */
TEST(the_delay_is_250_ms_if_not_said)
{
	struct weir_loop_opts opts = { .sz = sizeof(opts), .backend = "sim" };
	struct racing r = { 0 };

	OPEN_LOOP(&r.loop, &opts);
	ASSERT_EQ(0, server_open(r.loop, &r.server, 8));
	ASSERT_EQ(0, stuck_open(r.loop, &r.stuck));
	r.opts = (struct weir_race_opts){
		.sz = sizeof(r.opts), .addrs = r.addrs, .done = race_done, .ctx = &r,
	};
	add(&r, &r.stuck.addr);
	add(&r, &r.server.addr);
	r.began_ns = weir_loop_now(r.loop);
	ASSERT_EQ(0, weir_race_start(&r.race, r.loop, &r.opts));
	RUN_UNTIL(r.loop, r.done);
	EXPECT_EQ(0, r.race.res);
	EXPECT_LE(250 * NSEC_PER_MSEC, r.ended_ns - r.began_ns);
	EXPECT_GT(251 * NSEC_PER_MSEC, r.ended_ns - r.began_ns);
	EXPECT_EQ(0, weir_loop_close(r.loop, LIMIT_NS));
}

TEST_HARNESS_MAIN
