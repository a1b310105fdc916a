// SPDX-License-Identifier: GPL-2.0-only
/*
 * test_token.c - tokens on every backend: what ends together, and how
 */
#include "backends.h"
#include "kselftest_harness.h"

#include <weir/token.h>

#include "io/token.h"

FIXTURE(token)
{
	struct weir_loop *loop;
	struct server server;
	struct weir_token token;
	struct weir_token child;
	struct weir_file client;
	struct weir_file accepted;
};

BACKEND_VARIANTS(token);

FIXTURE_SETUP(token)
{
	struct weir_loop_opts opts = { .sz = sizeof(opts), .backend = variant->name };

	OPEN_LOOP(&self->loop, &opts);
	ASSERT_EQ(0, server_open(self->loop, &self->server, 16));
	ASSERT_EQ(0, pair_open(self->loop, &self->server, &self->client, &self->accepted));
	ASSERT_EQ(0, weir_token_init(&self->token, self->loop, NULL));
	ASSERT_EQ(0, weir_token_init(&self->child, self->loop, &self->token));
}

FIXTURE_TEARDOWN(token)
{
	EXPECT_EQ(0, weir_loop_close(self->loop, LIMIT_NS));
	EXPECT_EQ(0, weir_token_inflight(&self->token));
	weir_token_fini(&self->child);
	weir_token_fini(&self->token);
}

/* A receive that nothing comes for, or a timer of a minute, under a token. */
struct stuck {
	struct weir_op op;
	struct seen seen;
	char byte;
};

static void stuck_recv(struct weir_loop *loop, struct stuck *stuck, struct weir_file file,
		       struct weir_token *token)
{
	weir_prep_recv(&stuck->op, file, &stuck->byte, 1, seen_done, &stuck->seen);
	stuck->op.token = token;
	weir_submit(loop, &stuck->op);
}

static void stuck_timer(struct weir_loop *loop, struct stuck *stuck, struct weir_token *token)
{
	weir_prep_timeout(&stuck->op, weir_loop_now(loop) + 60 * NSEC_PER_SEC, seen_done,
			  &stuck->seen);
	stuck->op.token = token;
	weir_submit(loop, &stuck->op);
}

TEST_F(token, a_cancel_ends_what_is_under_it_and_under_its_child_and_no_more)
{
	struct stuck mine = { 0 }, timer = { 0 }, child = { 0 }, other = { 0 };

	stuck_recv(self->loop, &mine, self->client, &self->token);
	stuck_timer(self->loop, &timer, &self->token);
	stuck_recv(self->loop, &child, self->accepted, &self->child);
	stuck_timer(self->loop, &other, NULL);
	ASSERT_LE(0, weir_loop_run_once(self->loop, 0));
	EXPECT_EQ(3, weir_token_inflight(&self->token));
	EXPECT_EQ(1, weir_token_inflight(&self->child));
	weir_token_cancel(&self->token);
	EXPECT_EQ(0, mine.seen.events + timer.seen.events + child.seen.events);
	RUN_UNTIL(self->loop, !weir_token_inflight(&self->token));
	EXPECT_RESULT(&mine.seen, -ECANCELED, WEIR_ORIGIN_CANCELLED);
	EXPECT_RESULT(&timer.seen, -ECANCELED, WEIR_ORIGIN_CANCELLED);
	EXPECT_RESULT(&child.seen, -ECANCELED, WEIR_ORIGIN_CANCELLED);
	EXPECT_EQ(0, other.seen.events);
	EXPECT_EQ(-ECANCELED, weir_token_error(&self->child));
	weir_cancel(self->loop, &other.op);
	RUN_UNTIL(self->loop, other.seen.terminals);
}

TEST_F(token, a_child_that_is_cancelled_leaves_its_parent_alone)
{
	struct stuck mine = { 0 }, child = { 0 };

	stuck_recv(self->loop, &mine, self->client, &self->token);
	stuck_recv(self->loop, &child, self->accepted, &self->child);
	weir_token_cancel(&self->child);
	weir_token_cancel(&self->child);
	RUN_UNTIL(self->loop, child.seen.terminals);
	EXPECT_RESULT(&child.seen, -ECANCELED, WEIR_ORIGIN_CANCELLED);
	EXPECT_EQ(0, mine.seen.events);
	EXPECT_EQ(1, weir_token_inflight(&self->token));
	EXPECT_EQ(0, weir_token_error(&self->token));
	/* It still works. */
	EXPECT_EQ(1, do_send(self->loop, self->accepted, "x", 1));
	RUN_UNTIL(self->loop, mine.seen.terminals);
	EXPECT_RESULT(&mine.seen, 1, WEIR_ORIGIN_KERNEL);
}

TEST_F(token, what_starts_under_a_cancelled_token_ends_from_the_loop)
{
	struct stuck recv = { 0 }, timer = { 0 };
	struct weir_token late = { 0 };

	weir_token_cancel(&self->token);
	stuck_recv(self->loop, &recv, self->client, &self->token);
	EXPECT_EQ(0, recv.seen.events);
	EXPECT_EQ(1, weir_token_inflight(&self->token));
	ASSERT_EQ(0, weir_token_init(&late, self->loop, &self->child));
	stuck_timer(self->loop, &timer, &late);
	RUN_UNTIL(self->loop, recv.seen.terminals && timer.seen.terminals);
	EXPECT_RESULT(&recv.seen, -ECANCELED, WEIR_ORIGIN_CANCELLED);
	EXPECT_RESULT(&timer.seen, -ECANCELED, WEIR_ORIGIN_CANCELLED);
	weir_token_fini(&late);
}

TEST_F(token, a_close_under_a_cancelled_token_closes)
{
	struct seen seen = { 0 };
	struct weir_op op = { 0 };

	weir_token_cancel(&self->token);
	weir_prep_close(&op, self->client, seen_done, &seen);
	op.token = &self->token;
	EXPECT_EQ(0, op_do(self->loop, &op));
	EXPECT_EQ(0, weir_file_valid(self->loop, self->client));
	EXPECT_EQ(0, weir_token_inflight(&self->token));
}

TEST_F(token, a_deadline_ends_all_with_etime_even_a_timer)
{
	uint64_t at = weir_loop_now(self->loop) + 5 * NSEC_PER_MSEC;
	struct stuck recv = { 0 }, timer = { 0 };

	weir_token_deadline(&self->token, at);
	stuck_recv(self->loop, &recv, self->client, &self->child);
	stuck_timer(self->loop, &timer, &self->token);
	RUN_UNTIL(self->loop, recv.seen.terminals && timer.seen.terminals);
	EXPECT_RESULT(&recv.seen, -ETIME, WEIR_ORIGIN_DEADLINE);
	EXPECT_RESULT(&timer.seen, -ETIME, WEIR_ORIGIN_DEADLINE);
	EXPECT_LE(at, recv.seen.now_ns);
	EXPECT_EQ(-ETIME, weir_token_error(&self->child));
	/* Final: a cancel does not change what it came to. */
	weir_token_cancel(&self->token);
	EXPECT_EQ(-ETIME, weir_token_error(&self->token));
}

TEST_F(token, a_deadline_in_the_past_ends_all_at_once)
{
	struct stuck before = { 0 }, after = { 0 };

	stuck_recv(self->loop, &before, self->client, &self->token);
	weir_token_deadline(&self->token, 1);
	stuck_recv(self->loop, &after, self->accepted, &self->token);
	RUN_UNTIL(self->loop, before.seen.terminals && after.seen.terminals);
	EXPECT_RESULT(&before.seen, -ETIME, WEIR_ORIGIN_DEADLINE);
	EXPECT_RESULT(&after.seen, -ETIME, WEIR_ORIGIN_DEADLINE);
}

TEST_F(token, a_deadline_passes_while_nothing_is_in_flight)
{
	uint64_t at = weir_loop_now(self->loop) + 2 * NSEC_PER_MSEC;
	struct stuck late = { 0 }, other = { 0 };

	weir_token_deadline(&self->token, at);
	weir_prep_timeout(&other.op, at + NSEC_PER_MSEC, seen_done, &other.seen);
	weir_submit(self->loop, &other.op);
	RUN_UNTIL(self->loop, other.seen.terminals);
	EXPECT_EQ(-ETIME, weir_token_error(&self->child));
	stuck_recv(self->loop, &late, self->client, &self->child);
	RUN_UNTIL(self->loop, late.seen.terminals);
	EXPECT_RESULT(&late.seen, -ETIME, WEIR_ORIGIN_DEADLINE);
}

TEST_F(token, a_deadline_that_is_taken_back_does_not_come)
{
	uint64_t at = weir_loop_now(self->loop) + 2 * NSEC_PER_MSEC;
	struct stuck recv = { 0 }, other = { 0 };

	stuck_recv(self->loop, &recv, self->client, &self->token);
	weir_token_deadline(&self->token, at);
	weir_token_deadline(&self->token, 0);
	weir_prep_timeout(&other.op, at + NSEC_PER_MSEC, seen_done, &other.seen);
	weir_submit(self->loop, &other.op);
	RUN_UNTIL(self->loop, other.seen.terminals);
	EXPECT_EQ(0, recv.seen.events);
	EXPECT_EQ(0, weir_token_error(&self->token));
	weir_token_cancel(&self->token);
	RUN_UNTIL(self->loop, recv.seen.terminals);
}

TEST_F(token, a_loop_with_an_idle_token_has_nothing_to_wait_for)
{
	weir_token_deadline(&self->token, weir_loop_now(self->loop) + 3600 * NSEC_PER_SEC);
	weir_cancel(self->loop, &self->server.accept);
	EXPECT_EQ(1, weir_loop_run(self->loop));
	/* And none keeps it that is cancelled. */
	weir_token_cancel(&self->token);
	EXPECT_EQ(1, weir_loop_run(self->loop));
}

TEST_F(token, what_is_refused_is_counted_until_its_terminal_event)
{
	struct stuck bad = { 0 };

	stuck_recv(self->loop, &bad, (struct weir_file){ 1000, 7 }, &self->child);
	EXPECT_EQ(1, weir_token_inflight(&self->token));
	RUN_UNTIL(self->loop, bad.seen.terminals);
	EXPECT_RESULT(&bad.seen, -EBADF, WEIR_ORIGIN_LIBRARY);
	EXPECT_EQ(0, weir_token_inflight(&self->token));
}

TEST_F(token, a_finished_token_is_refused_until_it_is_made_again)
{
	struct stuck stuck = { 0 };

	weir_token_cancel(&self->child);
	weir_token_fini(&self->child);
	weir_token_fini(&self->child);
	stuck_recv(self->loop, &stuck, self->client, &self->child);
	RUN_UNTIL(self->loop, stuck.seen.terminals);
	EXPECT_RESULT(&stuck.seen, -EINVAL, WEIR_ORIGIN_LIBRARY);
	EXPECT_EQ(-EINVAL, weir_token_init(&self->token, self->loop, &self->child));

	ASSERT_EQ(0, weir_token_init(&self->child, self->loop, &self->token));
	EXPECT_EQ(0, weir_token_error(&self->child));
	stuck_recv(self->loop, &stuck, self->client, &self->child);
	EXPECT_EQ(1, do_send(self->loop, self->accepted, "x", 1));
	RUN_UNTIL(self->loop, stuck.seen.terminals == 2);
	EXPECT_EQ(1, stuck.seen.res);
}

static void end_in_done(struct weir_op *op)
{
	struct weir_token *token = op->token;

	seen_done(op);
	if (!weir_token_inflight(token))
		weir_token_fini(token);
}

TEST_F(token, the_last_callback_may_finish_it)
{
	struct stuck a = { 0 }, b = { 0 };

	stuck_recv(self->loop, &a, self->client, &self->child);
	stuck_recv(self->loop, &b, self->accepted, &self->child);
	a.op.done = end_in_done;
	b.op.done = end_in_done;
	weir_token_cancel(&self->child);
	RUN_UNTIL(self->loop, a.seen.terminals && b.seen.terminals);
	EXPECT_EQ(0, self->child.lib_magic);
}

/* What would corrupt memory ends the process, with the reason. */

struct death {
	struct weir_loop *loop;
	struct weir_token *token;
	struct stuck stuck;
};

static void die_in_flight(void *arg)
{
	struct death *death = arg;

	weir_token_fini(death->token);
}

static void die_made_again(void *arg)
{
	struct death *death = arg;

	weir_token_init(death->token, death->loop, NULL);
}

static void die_before_child(void *arg)
{
	struct death *death = arg;

	weir_token_fini(death->token);
}

static bool aborts(void (*fn)(void *arg), struct death *death, const char *want)
{
	char text[512];
	int status = run_child(fn, death, text, sizeof(text));

	return WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT && strstr(text, want);
}

TEST_F(token, one_that_ends_too_early_aborts_with_the_reason)
{
	struct death child = { .loop = self->loop, .token = &self->child };
	struct death parent = { .loop = self->loop, .token = &self->token };

	stuck_timer(self->loop, &child.stuck, &self->child);
	EXPECT_TRUE(aborts(die_in_flight, &child, "test_token.c:"));
	EXPECT_TRUE(aborts(die_made_again, &child, "1 operations in flight"));
	weir_cancel(self->loop, &child.stuck.op);
	RUN_UNTIL(self->loop, child.stuck.seen.terminals);
	EXPECT_TRUE(aborts(die_before_child, &parent, "before its child"));
}

TEST_F(token, a_token_of_another_loop_is_refused)
{
	struct weir_loop_opts opts = { .sz = sizeof(opts), .backend = "sim" };
	struct weir_token token = { 0 };
	struct stuck stuck = { 0 };
	struct weir_loop *other;

	ASSERT_EQ(0, weir_loop_open(&other, &opts));
	EXPECT_EQ(-EINVAL, weir_token_init(&token, other, &self->token));
	stuck_timer(other, &stuck, &self->token);
	RUN_UNTIL(other, stuck.seen.terminals);
	EXPECT_RESULT(&stuck.seen, -EINVAL, WEIR_ORIGIN_LIBRARY);
	EXPECT_EQ(0, weir_token_inflight(&self->token));
	EXPECT_EQ(0, weir_loop_close(other, LIMIT_NS));
}

TEST_HARNESS_MAIN
