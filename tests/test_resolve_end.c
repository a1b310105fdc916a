// SPDX-License-Identifier: GPL-2.0-only
/*
 * test_resolve_end.c - names to addresses on a loop: how questions end that are
 * cancelled, too late, given up, or asked anew
 */
#include <weir/token.h>

#include "resolving.h"
#include "kselftest_harness.h"

#define RUN()	RUN_UNTIL(self->r.loop, self->r.asked.done)
#define Q	self->r.asked.q

RESOLVING(ending, false);

TEST_F(ending, a_deadline_ends_it)
{
	uint64_t at = weir_loop_now(self->r.loop) + 30 * NSEC_PER_MSEC;

	ask_at(&self->r, &self->r.asked, "silent.test", 0, at);
	RUN();
	EXPECT_EQ(1, self->r.asked.done);
	EXPECT_EQ(-ETIME, Q.res);
	EXPECT_LE(at, real_ns());
}

TEST_F(ending, a_deadline_in_the_past_ends_it_at_once)
{
	ask_at(&self->r, &self->r.asked, "silent.test", 0, 1);
	EXPECT_EQ(0, self->r.asked.done);
	RUN();
	EXPECT_EQ(-ETIME, Q.res);
}

/* The answer comes from within the call, and is older than the look at the clock. */
TEST_F(ending, what_needs_no_server_is_answered_whatever_the_deadline)
{
	ask_at(&self->r, &self->r.asked, "192.0.2.7", 0, 1);
	RUN();
	EXPECT_EQ(1, Q.res);
}

TEST_F(ending, a_deadline_that_is_not_reached_changes_nothing)
{
	ask_at(&self->r, &self->r.asked, "v4.test", AF_INET,
	       weir_loop_now(self->r.loop) + LIMIT_NS);
	RUN();
	EXPECT_EQ(1, Q.res);
}

TEST_F(ending, a_cancel_before_any_turn)
{
	ask(&self->r, "v4.test", AF_INET);
	weir_resolve_cancel(&Q);
	weir_resolve_cancel(&Q);
	EXPECT_EQ(0, self->r.asked.done);
	RUN();
	EXPECT_EQ(1, self->r.asked.done);
	EXPECT_EQ(-ECANCELED, Q.res);
	weir_resolve_cancel(&Q);
	EXPECT_LE(0, weir_loop_run_once(self->r.loop, SETTLE_NS));
	EXPECT_EQ(1, self->r.asked.done);
}

TEST_F(ending, a_cancel_while_the_server_is_silent)
{
	ask(&self->r, "silent.test", AF_INET);
	while (!dns_count(&self->r.dns.counts->udp))
		ASSERT_LE(0, weir_loop_run_once(self->r.loop, NSEC_PER_MSEC));
	weir_resolve_cancel(&Q);
	RUN();
	EXPECT_EQ(1, self->r.asked.done);
	EXPECT_EQ(-ECANCELED, Q.res);
}

TEST_F(ending, a_token_that_is_cancelled_while_the_server_is_silent)
{
	struct weir_token token = { 0 };

	ASSERT_EQ(0, weir_token_init(&token, self->r.loop, NULL));
	Q.token = &token;
	ask(&self->r, "silent.test", AF_INET);
	while (!dns_count(&self->r.dns.counts->udp))
		ASSERT_LE(0, weir_loop_run_once(self->r.loop, NSEC_PER_MSEC));
	weir_token_cancel(&token);
	RUN();
	EXPECT_EQ(1, self->r.asked.done);
	EXPECT_EQ(-ECANCELED, Q.res);
	weir_token_fini(&token);
}

/* Called in each turn after its events: the answer is there, done() is not called yet. */
static void cancel_answered(void *ctx)
{
	struct resolving *r = ctx;

	if (weir_op_busy(&r->asked.q.lib_op) && !r->asked.q.lib_query) {
		weir_resolve_cancel(&r->asked.q);
		r->asked.q.ctx = NULL;		/* it was seen */
	}
}

static void answered_done(struct weir_resolve *question)
{
	struct asked *asked = container_of(question, struct asked, q);

	asked->done++;
}

TEST_F(ending, a_cancel_between_the_answer_and_its_telling_comes_too_late)
{
	self->r.loop->hooks = (struct weir_loop_hooks){
		.tick = cancel_answered, .ctx = &self->r,
	};
	Q.done = answered_done;
	Q.ctx = &self->r;
	Q.family = AF_INET;
	weir_resolve(self->r.resolver, &Q, "v4.test");
	RUN();
	EXPECT_EQ(NULL, Q.ctx);
	EXPECT_EQ(1, self->r.asked.done);
	EXPECT_EQ(1, Q.res);
}

/* After each number of turns, until the answer is always quicker. */
TEST_F(ending, a_cancel_at_any_time_leaves_one_end)
{
	unsigned int turns, i, cancelled = 0, answered = 0;
	uint64_t end = real_ns() + LIMIT_NS;

	for (turns = 0; turns < 40 || !answered; turns++) {
		ASSERT_GT(end, real_ns());
		self->r.asked.done = 0;
		ask(&self->r, "both.test", 0);
		for (i = 0; i < turns && !self->r.asked.done; i++)
			ASSERT_LE(0, weir_loop_run_once(self->r.loop, NSEC_PER_MSEC));
		weir_resolve_cancel(&Q);
		RUN();
		EXPECT_EQ(1, self->r.asked.done);
		EXPECT_TRUE(Q.res == -ECANCELED || Q.res == 3);
		cancelled += Q.res == -ECANCELED;
		answered += Q.res == 3;
	}
	EXPECT_LT(0, cancelled);
}

static void free_done(struct weir_resolve *question)
{
	unsigned int *done = question->ctx;

	++*done;
	free(question);
}

static int ask_freed(struct resolving *r, const char *name, uint64_t deadline_ns,
		     unsigned int *done)
{
	struct weir_resolve *question = calloc(1, sizeof(*question));

	if (!question)
		return -ENOMEM;
	question->done = free_done;
	question->ctx = done;
	question->deadline_ns = deadline_ns;
	weir_resolve(r->resolver, question, name);
	return 0;
}

TEST_F(ending, done_may_free_the_question)
{
	unsigned int done = 0;

	ASSERT_EQ(0, ask_freed(&self->r, "both.test", 0, &done));
	ASSERT_EQ(0, ask_freed(&self->r, "192.0.2.7", 0, &done));
	ASSERT_EQ(0, ask_freed(&self->r, "silent.test", 1, &done));
	RUN_UNTIL(self->r.loop, done == 3);
}

static void again_done(struct weir_resolve *question)
{
	struct asked *asked = container_of(question, struct asked, q);
	struct resolving *r = container_of(asked, struct resolving, asked);

	if (++asked->done < 20)
		weir_resolve(r->resolver, question, asked->done % 2 ? "v4.test" : "nowhere.test");
}

TEST_F(ending, done_may_ask_again)
{
	Q.done = again_done;
	Q.family = AF_INET;
	weir_resolve(self->r.resolver, &Q, "nowhere.test");
	RUN_UNTIL(self->r.loop, self->r.asked.done == 20);
	EXPECT_EQ(1, Q.res);
}

TEST_F(ending, closing_the_resolver_ends_its_questions)
{
	static struct asked asked[20];
	unsigned int i, left;

	for (i = 0; i < ARRAY_SIZE(asked); i++)
		ask_at(&self->r, &asked[i], i % 2 ? "silent.test" : "both.test", 0, 0);
	ASSERT_LE(0, weir_loop_run_once(self->r.loop, 0));
	weir_resolver_close(self->r.resolver);
	self->r.resolver = NULL;
	do {
		ASSERT_EQ(0, run_turn(self->r.loop));
		for (i = 0, left = 0; i < ARRAY_SIZE(asked); i++)
			left += !asked[i].done;
	} while (left);
	for (i = 0; i < ARRAY_SIZE(asked); i++) {
		EXPECT_EQ(1, asked[i].done);
		EXPECT_TRUE(asked[i].q.res == -ECANCELED ||
			    (i % 2 == 0 && asked[i].q.res == 3));
	}
}

static void close_done(struct weir_resolve *question)
{
	struct asked *asked = container_of(question, struct asked, q);
	struct resolving *r = container_of(asked, struct resolving, asked);

	asked->done++;
	weir_resolver_close(r->resolver);
	r->resolver = NULL;
}

TEST_F(ending, done_may_close_the_resolver)
{
	static struct asked other;

	ask_at(&self->r, &other, "silent.test", 0, 0);
	Q.done = close_done;
	weir_resolve(self->r.resolver, &Q, "both.test");
	RUN();
	RUN_UNTIL(self->r.loop, other.done);
	EXPECT_EQ(3, Q.res);
	EXPECT_EQ(-ECANCELED, other.q.res);
}

/* The resolver outlives its loop, and is closed after it. */
TEST_F(ending, closing_the_loop_ends_its_questions)
{
	static struct asked asked[20];
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(asked); i++)
		ask_at(&self->r, &asked[i], i % 2 ? "silent.test" : "many.test", 0, 0);
	for (i = 0; i < 3; i++)
		ASSERT_LE(0, weir_loop_run_once(self->r.loop, NSEC_PER_MSEC));
	EXPECT_EQ(0, weir_loop_close(self->r.loop, LIMIT_NS));
	self->r.loop = NULL;
	for (i = 0; i < ARRAY_SIZE(asked); i++) {
		EXPECT_EQ(1, asked[i].done);
		EXPECT_TRUE(asked[i].q.res == -ECANCELED || asked[i].q.res == WEIR_RESOLVE_MAX);
	}
}

TEST_F(ending, closing_the_resolver_then_the_loop_frees_both)
{
	ask(&self->r, "silent.test", 0);
	ASSERT_LE(0, weir_loop_run_once(self->r.loop, 0));
	weir_resolver_close(self->r.resolver);
	self->r.resolver = NULL;
	EXPECT_EQ(0, weir_loop_close(self->r.loop, LIMIT_NS));
	self->r.loop = NULL;
	EXPECT_EQ(1, self->r.asked.done);
	EXPECT_EQ(-ECANCELED, Q.res);
}

/* Its sockets have no place in the loop: c-ares's own time runs out. */
TEST_F(ending, a_full_table_of_files_is_an_error_and_no_hang)
{
	struct weir_loop_opts how = {
		.sz = sizeof(how), .backend = weir_loop_backend(self->r.loop), .files_max = 1,
	};
	struct weir_resolver_opts opts = self->r.opts;
	struct weir_resolver *resolver;
	struct asked asked = { 0 };
	struct weir_file file;
	struct weir_loop *loop;
	int fd = dup(STDERR_FILENO);

	opts.try_ms = 50;
	opts.tries = 1;
	ASSERT_EQ(0, weir_loop_open(&loop, &how));
	ASSERT_EQ(0, weir_file_adopt(loop, fd, &file));
	ASSERT_EQ(0, weir_resolver_open(&resolver, loop, &opts));
	asked.q.done = asked_done;
	asked.q.ctx = &asked;
	weir_resolve(resolver, &asked.q, "v4.test");
	RUN_UNTIL(loop, asked.done);
	EXPECT_EQ(-ETIMEDOUT, asked.q.res);
	weir_resolver_close(resolver);
	EXPECT_EQ(0, weir_loop_close(loop, LIMIT_NS));
}

/* c-ares's own sockets are never seen by the loop's user. */
TEST_F(ending, the_loop_is_done_when_nothing_is_asked_any_more)
{
	ask(&self->r, "v4.test", AF_INET);
	weir_resolver_close(self->r.resolver);
	self->r.resolver = NULL;
	EXPECT_EQ(1, weir_loop_run(self->r.loop));
	EXPECT_EQ(1, self->r.asked.done);
	EXPECT_EQ(0, stats_of(self->r.loop).files);
}

TEST_HARNESS_MAIN
