// SPDX-License-Identifier: GPL-2.0-only
/*
 * test_await.c - straight-line code that waits for operations, on every backend
 */
#include "backends.h"
#include "kselftest_harness.h"

#include <weir/call.h>

FIXTURE(await)
{
	struct weir_loop *loop;
	struct server server;
	struct weir_file client;
	struct weir_file accepted;
};

BACKEND_VARIANTS(await);

FIXTURE_SETUP(await)
{
	struct weir_loop_opts opts = { .sz = sizeof(opts), .backend = variant->name };

	OPEN_LOOP(&self->loop, &opts);
	ASSERT_EQ(0, server_open(self->loop, &self->server, 16));
	ASSERT_EQ(0, pair_open(self->loop, &self->server, &self->client, &self->accepted));
}

FIXTURE_TEARDOWN(await)
{
	EXPECT_EQ(NULL, weir_scope_token(self->loop));
	EXPECT_EQ(0, weir_loop_close(self->loop, LIMIT_NS));
}

static uint64_t after_ms(const struct weir_loop *loop, unsigned int ms)
{
	return weir_loop_now(loop) + ms * NSEC_PER_MSEC;
}

TEST_F(await, calls_return_what_the_operation_came_to)
{
	struct weir_file file = { 77, 88 };
	char buf[8] = "";

	EXPECT_EQ(0, weir_call_nop(self->loop, 0));
	EXPECT_EQ(5, weir_call_send(self->loop, self->client, "hello", 5, 0));
	EXPECT_EQ(5, weir_call_recv(self->loop, self->accepted, buf, sizeof(buf), 0));
	EXPECT_STREQ("hello", buf);
	EXPECT_EQ(-EBADF, weir_call_recv(self->loop, (struct weir_file){ 1000, 7 }, buf, 1, 0));
	EXPECT_EQ(0, weir_call_connect(self->loop, (struct sockaddr *)&self->server.addr,
				       sizeof(self->server.addr), 0, &file));
	EXPECT_EQ(1, weir_file_valid(self->loop, file));
	EXPECT_EQ(0, weir_call_close(self->loop, file));
	EXPECT_EQ(0, weir_file_valid(self->loop, file));
}

TEST_F(await, a_call_that_fails_leaves_the_file_alone)
{
	struct weir_file file = { 77, 88 };

	EXPECT_EQ(-ETIME, weir_call_accept(self->loop, self->server.file,
					   after_ms(self->loop, 2), &file));
	EXPECT_EQ(77, file.index);
	EXPECT_EQ(88, file.gen);
}

TEST_F(await, a_deadline_ends_the_operation_before_it_returns)
{
	uint64_t at = after_ms(self->loop, 3);
	struct weir_op op = { 0 };
	char byte;

	weir_prep_recv(&op, self->client, &byte, 1, NULL, NULL);
	op.deadline_ns = at;
	EXPECT_EQ(-ETIME, weir_await(self->loop, &op));
	EXPECT_EQ(WEIR_ORIGIN_DEADLINE, op.origin);
	EXPECT_EQ(0, weir_op_busy(&op));
	EXPECT_LE(at, weir_loop_now(self->loop));
	/* It is the caller's again, as it was. */
	EXPECT_TRUE(!op.done);
	EXPECT_EQ(NULL, op.token);
	op.deadline_ns = 0;
	EXPECT_EQ(1, do_send(self->loop, self->accepted, "x", 1));
	EXPECT_EQ(1, weir_await(self->loop, &op));
	EXPECT_EQ('x', byte);
}

TEST_F(await, a_sleep_is_never_short)
{
	uint64_t at = after_ms(self->loop, 4);

	EXPECT_EQ(0, weir_call_sleep(self->loop, at));
	EXPECT_LE(at, weir_loop_now(self->loop));
	EXPECT_EQ(0, weir_call_sleep(self->loop, 0));
}

TEST_F(await, an_operation_with_a_callback_has_it_called_first)
{
	struct seen seen = { 0 };
	struct weir_op op = { 0 };

	weir_prep_nop(&op, seen_done, &seen);
	EXPECT_EQ(0, weir_await(self->loop, &op));
	EXPECT_RESULT(&seen, 0, WEIR_ORIGIN_KERNEL);
	EXPECT_EQ(1, seen.events);
	EXPECT_EQ(&seen, op.ctx);
}

static void free_done(struct weir_op *op)
{
	*(int *)op->ctx += 1;
	free(op);
}

TEST_F(await, the_callback_may_free_the_operation)
{
	struct weir_op *op = calloc(1, sizeof(*op));
	int freed = 0;

	ASSERT_NE(NULL, op);
	weir_prep_shutdown(op, self->client, SHUT_WR, free_done, &freed);
	EXPECT_EQ(0, weir_await(self->loop, op));
	EXPECT_EQ(1, freed);
}

TEST_F(await, one_that_was_submitted_before_is_awaited_even_if_it_has_ended)
{
	struct weir_op op = { 0 };
	char byte;

	weir_prep_recv(&op, self->client, &byte, 1, weir_done_ignore, NULL);
	weir_submit(self->loop, &op);
	EXPECT_EQ(1, weir_call_send(self->loop, self->accepted, "y", 1, 0));
	EXPECT_EQ(1, weir_await_end(self->loop, &op));
	EXPECT_EQ('y', byte);
	EXPECT_EQ(0, weir_op_busy(&op));
	EXPECT_EQ(1, weir_await_end(self->loop, &op));
	EXPECT_TRUE(op.done == weir_done_ignore);
}

TEST_F(await, a_multishot_is_awaited_to_its_end_with_a_callback_only)
{
	struct server server = { 0 };
	struct weir_op op = { 0 };

	ASSERT_EQ(0, listener_open(self->loop, 4, &server.file, &server.addr));
	weir_prep_accept(&op, server.file, 4, NULL, NULL);
	EXPECT_EQ(-EINVAL, weir_await(self->loop, &op));
	EXPECT_EQ(0, weir_op_busy(&op));

	server.accept = op;
	weir_prep_accept(&server.accept, server.file, 4, seen_done, &server.seen);
	weir_submit(self->loop, &server.accept);
	EXPECT_EQ(0, weir_call_connect(self->loop, (struct sockaddr *)&server.addr,
				       sizeof(server.addr), 0, &server.file));
	RUN_UNTIL(self->loop, server.seen.events);
	weir_cancel(self->loop, &server.accept);
	EXPECT_EQ(-ECANCELED, weir_await_end(self->loop, &server.accept));
	EXPECT_EQ(2, server.seen.events);
	EXPECT_EQ(1, server.seen.terminals);
}

struct refused {
	struct weir_loop *loop;
	struct weir_op op;
	struct weir_token token;
	int awaited, all, called;
};

static void await_in_done(struct weir_op *op)
{
	struct refused *refused = op->ctx;

	weir_prep_nop(&refused->op, NULL, NULL);
	refused->awaited = weir_await(refused->loop, &refused->op);
	refused->called = weir_call_nop(refused->loop, 0);
	refused->all = weir_await_all(&refused->token);
}

TEST_F(await, from_a_callback_it_is_refused_and_nothing_is_submitted)
{
	struct refused refused = { .loop = self->loop };
	struct weir_op op = { 0 }, timer = { 0 };
	struct seen seen = { 0 };

	ASSERT_EQ(0, weir_token_init(&refused.token, self->loop, NULL));
	weir_prep_timeout(&timer, after_ms(self->loop, 5), seen_done, &seen);
	timer.token = &refused.token;
	weir_submit(self->loop, &timer);
	weir_prep_nop(&op, await_in_done, &refused);
	EXPECT_EQ(0, weir_await(self->loop, &op));
	EXPECT_EQ(-EDEADLK, refused.awaited);
	EXPECT_EQ(-EDEADLK, refused.called);
	EXPECT_EQ(-EDEADLK, refused.all);
	EXPECT_EQ(0, weir_op_busy(&refused.op));
	EXPECT_EQ(0, weir_await_all(&refused.token));
	EXPECT_EQ(1, seen.terminals);
	weir_token_fini(&refused.token);
}

TEST_F(await, a_stop_cancels_what_is_awaited_and_stays_for_the_next_run)
{
	char byte;

	weir_loop_stop(self->loop);
	EXPECT_EQ(-ECANCELED, weir_call_recv(self->loop, self->client, &byte, 1, 0));
	/* Else it would run on: the accept is in flight. */
	EXPECT_EQ(0, weir_loop_run(self->loop));
}

/* groups */

static void timer_under(struct weir_loop *loop, struct weir_op *op, unsigned int ms,
			struct weir_token *token)
{
	*op = (struct weir_op){ 0 };
	weir_prep_timeout(op, after_ms(loop, ms), weir_done_ignore, NULL);
	op->token = token;
	weir_submit(loop, op);
}

TEST_F(await, all_waits_for_the_last_and_any_for_each)
{
	struct weir_token token = { 0 };
	struct weir_op op[3];

	ASSERT_EQ(0, weir_token_init(&token, self->loop, NULL));
	timer_under(self->loop, &op[0], 60000, &token);
	timer_under(self->loop, &op[1], 1, &token);
	timer_under(self->loop, &op[2], 60000, &token);
	EXPECT_EQ(1, weir_await_any(&token));
	EXPECT_EQ(0, weir_op_busy(&op[1]));
	EXPECT_EQ(1, weir_op_busy(&op[0]));
	weir_cancel(self->loop, &op[0]);
	EXPECT_EQ(1, weir_await_any(&token));
	EXPECT_EQ(1, weir_op_busy(&op[2]));
	weir_cancel(self->loop, &op[2]);
	EXPECT_EQ(1, weir_await_any(&token));
	EXPECT_EQ(0, weir_await_any(&token));

	timer_under(self->loop, &op[0], 4, &token);
	timer_under(self->loop, &op[1], 1, &token);
	EXPECT_EQ(0, weir_await_all(&token));
	EXPECT_EQ(0, weir_op_busy(&op[0]) + weir_op_busy(&op[1]));
	/* Ended, and not asked for yet. */
	EXPECT_EQ(2, weir_await_any(&token));
	EXPECT_EQ(0, weir_await_any(&token));
	weir_token_fini(&token);
}

TEST_F(await, a_group_with_a_deadline_ends_all_of_it)
{
	struct weir_token token = { 0 };
	uint64_t at = after_ms(self->loop, 3);
	struct weir_op quick, slow;

	ASSERT_EQ(0, weir_token_init(&token, self->loop, NULL));
	weir_token_deadline(&token, at);
	timer_under(self->loop, &quick, 0, &token);
	timer_under(self->loop, &slow, 60000, &token);
	EXPECT_EQ(-ETIME, weir_await_all(&token));
	EXPECT_LE(at, weir_loop_now(self->loop));
	EXPECT_EQ(0, quick.res);
	EXPECT_EQ(-ETIME, slow.res);
	EXPECT_EQ(2, weir_await_any(&token));
	weir_token_fini(&token);
}

/* scopes */

TEST_F(await, a_scope_bounds_every_call_in_it)
{
	uint64_t at = after_ms(self->loop, 3);
	char byte;

	{
		WEIR_SCOPE(outer, self->loop, at);

		{
			WEIR_SCOPE(inner, self->loop, 0);

			EXPECT_EQ(&inner.token, weir_scope_token(self->loop));
			EXPECT_EQ(-ETIME, weir_call_recv(self->loop, self->client, &byte, 1, 0));
			EXPECT_EQ(-ETIME, weir_call_nop(self->loop, 0));
		}
		EXPECT_EQ(&outer.token, weir_scope_token(self->loop));
	}
	EXPECT_EQ(0, weir_call_nop(self->loop, 0));
}

static int leave_early(struct weir_loop *loop, struct weir_op *op)
{
	WEIR_SCOPE(scope, loop, 0);

	timer_under(loop, op, 60000, &scope.token);
	if (weir_op_busy(op))
		return 7;
	return 0;
}

TEST_F(await, a_scope_that_is_left_ends_what_is_in_flight_in_it)
{
	struct weir_op op;

	EXPECT_EQ(7, leave_early(self->loop, &op));
	EXPECT_EQ(0, weir_op_busy(&op));
	EXPECT_EQ(-ECANCELED, op.res);
}

TEST_HARNESS_MAIN
