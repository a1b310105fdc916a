// SPDX-License-Identifier: GPL-2.0-only
/*
 * test_race.c - connecting to whichever address answers first
 */
#include <weir/race.h>

#include "backends.h"
#include "kselftest_harness.h"

enum { STUCK = 4, DELAY_MS = 20 };

/* A listener whose queue is full: who connects waits. */
struct stuck {
	struct weir_file file;
	struct sockaddr_in addr;
	struct weir_op ops[STUCK];
	struct seen seen[STUCK];
};

FIXTURE(race)
{
	struct weir_loop *loop;
	struct server server;
	struct stuck stuck;
	struct sockaddr_in refusing;
	struct weir_race race;
	struct weir_race_opts opts;
	struct weir_addr addrs[WEIR_RACE_MAX + 1];
	unsigned int done;
	uint64_t began_ns;
	uint64_t ended_ns;
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

/* An address nobody listens at any more. */
static int refusing_addr(struct weir_loop *loop, struct sockaddr_in *addr)
{
	struct weir_file file;
	int err = listener_open(loop, 8, &file, addr);

	return err ? err : do_close(loop, file);
}

static void race_done(struct weir_race *race)
{
	FIXTURE_DATA(race) *self = race->ctx;

	self->done++;
	self->ended_ns = weir_loop_now(self->loop);
}

FIXTURE_SETUP(race)
{
	struct weir_loop_opts opts = { .sz = sizeof(opts), .backend = variant->name };

	OPEN_LOOP(&self->loop, &opts);
	ASSERT_EQ(0, server_open(self->loop, &self->server, 64));
	ASSERT_EQ(0, stuck_open(self->loop, &self->stuck));
	ASSERT_EQ(0, refusing_addr(self->loop, &self->refusing));
	self->opts = (struct weir_race_opts){
		.sz = sizeof(self->opts), .addrs = self->addrs, .done = race_done, .ctx = self,
		.delay_ns = DELAY_MS * NSEC_PER_MSEC,
	};
}

FIXTURE_TEARDOWN(race)
{
	if (self->done && !self->race.res)
		EXPECT_EQ(0, do_close(self->loop, self->race.file));
	EXPECT_EQ(0, weir_loop_close(self->loop, LIMIT_NS));
}

static void add(FIXTURE_DATA(race) *self, const struct sockaddr_in *addr)
{
	if (weir_addr_set(&self->addrs[self->opts.count++], (const struct sockaddr *)addr,
			  sizeof(*addr)))
		abort();
}

#define RACE()								\
	do {								\
		self->began_ns = weir_loop_now(self->loop);		\
		ASSERT_EQ(0, weir_race_start(&self->race, self->loop, &self->opts));	\
		EXPECT_EQ(0, self->done);				\
		RUN_UNTIL(self->loop, self->done);			\
		EXPECT_EQ(1, self->done);				\
	} while (0)

TEST_F(race, one_address_that_answers_wins)
{
	uint64_t files = stats_of(self->loop).files;

	add(self, &self->server.addr);
	RACE();
	EXPECT_EQ(0, self->race.res);
	EXPECT_EQ(0, self->race.winner);
	EXPECT_EQ(0, self->race.errs[0]);
	EXPECT_EQ(1, weir_file_valid(self->loop, self->race.file));
	RUN_UNTIL(self->loop, self->server.seen.events);
	/* Its two ends. */
	EXPECT_EQ(files + 2, stats_of(self->loop).files);
}

TEST_F(race, one_that_refuses_is_followed_at_once_by_the_next)
{
	self->opts.delay_ns = LIMIT_NS;
	add(self, &self->refusing);
	add(self, &self->refusing);
	add(self, &self->server.addr);
	RACE();
	EXPECT_EQ(0, self->race.res);
	EXPECT_EQ(2, self->race.winner);
	EXPECT_EQ(-ECONNREFUSED, self->race.errs[0]);
	EXPECT_EQ(-ECONNREFUSED, self->race.errs[1]);
	EXPECT_GT(self->opts.delay_ns, self->ended_ns - self->began_ns);
}

TEST_F(race, one_that_is_silent_is_joined_by_the_next_after_the_delay)
{
	uint64_t files = stats_of(self->loop).files;

	add(self, &self->stuck.addr);
	add(self, &self->server.addr);
	add(self, &self->server.addr);
	RACE();
	EXPECT_EQ(0, self->race.res);
	EXPECT_EQ(1, self->race.winner);
	EXPECT_EQ(-ECANCELED, self->race.errs[0]);
	EXPECT_EQ(0, self->race.errs[2]);
	EXPECT_LE(DELAY_MS * NSEC_PER_MSEC, self->ended_ns - self->began_ns);
	RUN_UNTIL(self->loop, self->server.seen.events);
	EXPECT_EQ(files + 2, stats_of(self->loop).files);
}

TEST_F(race, if_all_refuse_the_result_says_so)
{
	add(self, &self->refusing);
	add(self, &self->refusing);
	RACE();
	EXPECT_EQ(-ECONNREFUSED, self->race.res);
	EXPECT_EQ(0, weir_file_valid(self->loop, self->race.file));
}

TEST_F(race, a_deadline_ends_all_attempts)
{
	add(self, &self->stuck.addr);
	add(self, &self->stuck.addr);
	add(self, &self->stuck.addr);
	self->opts.deadline_ns = weir_loop_now(self->loop) + 3 * DELAY_MS * NSEC_PER_MSEC / 2;
	RACE();
	EXPECT_EQ(-ETIME, self->race.res);
	EXPECT_EQ(-ETIME, self->race.errs[0]);
	EXPECT_EQ(0, self->race.errs[2]);
	EXPECT_LE(self->opts.deadline_ns, self->ended_ns);
}

TEST_F(race, a_deadline_in_the_past_tries_nothing_twice)
{
	add(self, &self->stuck.addr);
	add(self, &self->stuck.addr);
	self->opts.deadline_ns = 1;
	RACE();
	EXPECT_EQ(-ETIME, self->race.res);
	EXPECT_EQ(0, self->race.errs[1]);
}

TEST_F(race, a_cancel_ends_it)
{
	add(self, &self->stuck.addr);
	add(self, &self->server.addr);
	self->opts.delay_ns = LIMIT_NS;
	ASSERT_EQ(0, weir_race_start(&self->race, self->loop, &self->opts));
	weir_race_cancel(&self->race);
	weir_race_cancel(&self->race);
	EXPECT_EQ(0, self->done);
	RUN_UNTIL(self->loop, self->done);
	EXPECT_EQ(1, self->done);
	EXPECT_EQ(-ECANCELED, self->race.res);
	weir_race_cancel(&self->race);
	EXPECT_EQ(0, self->server.seen.events);
}

TEST_F(race, as_many_as_there_may_be_and_all_of_them_connect)
{
	uint64_t files = stats_of(self->loop).files;
	unsigned int i, lost = 0;

	/* Timers are rounded up to one tick: some attempts overlap, some do not. */
	self->opts.delay_ns = 1;
	for (i = 0; i < WEIR_RACE_MAX; i++)
		add(self, &self->server.addr);
	RACE();
	EXPECT_EQ(0, self->race.res);
	for (i = 0; i < WEIR_RACE_MAX; i++) {
		EXPECT_TRUE(!self->race.errs[i] || self->race.errs[i] == -ECANCELED);
		lost += self->race.errs[i] != 0;
	}
	EXPECT_GT(WEIR_RACE_MAX, lost);
	/* The losers' ends are closed; the server's are open until it closes them. */
	RUN_UNTIL(self->loop, self->server.seen.events);
	EXPECT_EQ(files + 1 + self->server.seen.events, stats_of(self->loop).files);
}

TEST_F(race, bad_options_are_refused)
{
	EXPECT_EQ(-EINVAL, weir_race_start(&self->race, self->loop, &self->opts));
	self->opts.count = WEIR_RACE_MAX + 1;
	EXPECT_EQ(-E2BIG, weir_race_start(&self->race, self->loop, &self->opts));
	self->opts.count = 1;
	self->opts.addrs = NULL;
	EXPECT_EQ(-EINVAL, weir_race_start(&self->race, self->loop, &self->opts));
	self->opts.addrs = self->addrs;
	self->opts.done = NULL;
	EXPECT_EQ(-EINVAL, weir_race_start(&self->race, self->loop, &self->opts));
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
	FIXTURE_DATA(race) self = { 0 };
	size_t i;

	OPEN_LOOP(&self.loop, &opts);
	for (i = 0; i < ARRAY_SIZE(text); i++)
		ASSERT_EQ(0, weir_addr_parse(&addrs[i], text[i]));
	self.opts = (struct weir_race_opts){
		.sz = sizeof(self.opts), .addrs = addrs, .count = ARRAY_SIZE(text),
		.done = race_done, .ctx = &self,
	};
	ASSERT_EQ(0, weir_race_start(&self.race, self.loop, &self.opts));
	for (i = 0; i < ARRAY_SIZE(want); i++) {
		RUN_UNTIL(self.loop, self.race.errs[want[i]]);
		EXPECT_EQ(i == ARRAY_SIZE(want) - 1, self.done);
	}
	EXPECT_EQ(0, weir_loop_close(self.loop, LIMIT_NS));
}

/* Virtual time: the delay is what RFC 8305 recommends, to the tick of the timer. */
TEST(the_delay_is_250_ms_if_not_said)
{
	struct weir_loop_opts opts = { .sz = sizeof(opts), .backend = "sim" };
	FIXTURE_DATA(race) self = { 0 };

	OPEN_LOOP(&self.loop, &opts);
	ASSERT_EQ(0, server_open(self.loop, &self.server, 8));
	ASSERT_EQ(0, stuck_open(self.loop, &self.stuck));
	self.opts = (struct weir_race_opts){
		.sz = sizeof(self.opts), .addrs = self.addrs, .done = race_done, .ctx = &self,
	};
	add(&self, &self.stuck.addr);
	add(&self, &self.server.addr);
	self.began_ns = weir_loop_now(self.loop);
	ASSERT_EQ(0, weir_race_start(&self.race, self.loop, &self.opts));
	RUN_UNTIL(self.loop, self.done);
	EXPECT_EQ(0, self.race.res);
	EXPECT_LE(250 * NSEC_PER_MSEC, self.ended_ns - self.began_ns);
	EXPECT_GT(251 * NSEC_PER_MSEC, self.ended_ns - self.began_ns);
	EXPECT_EQ(0, weir_loop_close(self.loop, LIMIT_NS));
}

TEST_HARNESS_MAIN
