// SPDX-License-Identifier: GPL-2.0-only
/*
 * test_loop.c - opening, running and closing a loop; its budget of operations
 */
#include <stddef.h>

#include "backends.h"
#include "kselftest_harness.h"

enum { MANY = 64 };

FIXTURE(loop)
{
	struct weir_loop_opts opts;
	struct weir_loop *loop;
	struct weir_op op[MANY];
	struct seen seen[MANY];
};

BACKEND_VARIANTS(loop);

FIXTURE_SETUP(loop)
{
	self->opts.sz = sizeof(self->opts);
	self->opts.backend = variant->name;
	self->opts.ops_max = 4;
	self->opts.files_max = 256;
	OPEN_LOOP(&self->loop, &self->opts);
}

FIXTURE_TEARDOWN(loop)
{
	EXPECT_EQ(0, weir_loop_close(self->loop, LIMIT_NS));
}

TEST_F(loop, it_says_which_backend_it_has_and_why)
{
	const char *reason = weir_loop_reason(self->loop);

	if (is_refused(variant->name)) {
		EXPECT_STREQ("epoll", weir_loop_backend(self->loop));
		EXPECT_NE(NULL, strstr(reason, "io_uring")) TH_LOG("%s", reason);
		return;
	}
	EXPECT_STREQ(variant->name, weir_loop_backend(self->loop));
	EXPECT_STREQ("asked for", reason);
}

TEST_F(loop, running_with_nothing_in_flight_returns_1)
{
	EXPECT_EQ(1, weir_loop_run(self->loop));
	weir_prep_nop(&self->op[0], seen_done, &self->seen[0]);
	weir_submit(self->loop, &self->op[0]);
	EXPECT_EQ(1, weir_loop_run(self->loop));
	EXPECT_EQ(1, self->seen[0].terminals);
}

static unsigned int inflight_max;

static void budget_done(struct weir_op *op)
{
	struct weir_loop_stats stats = stats_of(op->lib_loop);

	/* This one has given its place back. */
	if (stats.inflight + 1 > inflight_max)
		inflight_max = (unsigned int)stats.inflight + 1;
	seen_done(op);
}

TEST_F(loop, more_operations_than_the_budget_wait_and_end_in_order)
{
	int i;

	for (i = 0; i < MANY; i++) {
		weir_prep_nop(&self->op[i], budget_done, &self->seen[i]);
		weir_submit(self->loop, &self->op[i]);
	}
	EXPECT_LT(0, stats_of(self->loop).waiting);
	EXPECT_EQ(1, weir_loop_run(self->loop));
	EXPECT_LE(inflight_max, 4);
	for (i = 0; i < MANY; i++) {
		EXPECT_RESULT(&self->seen[i], 0, WEIR_ORIGIN_KERNEL);
		if (i)
			EXPECT_LT(self->seen[i - 1].serial, self->seen[i].serial);
	}
	EXPECT_EQ(0, stats_of(self->loop).waiting);
	EXPECT_EQ(MANY, stats_of(self->loop).ops);
}

TEST_F(loop, one_that_waits_for_the_budget_can_be_cancelled_or_time_out)
{
	struct sockaddr_in addr;
	struct weir_file file;
	int i;

	ASSERT_EQ(0, listener_open(self->loop, 8, &file, &addr));
	for (i = 0; i < 5; i++) {
		weir_prep_poll(&self->op[i], file, POLLIN, seen_done, &self->seen[i]);
		weir_submit(self->loop, &self->op[i]);
	}
	ASSERT_LE(0, weir_loop_run_once(self->loop, 0));
	EXPECT_EQ(1, stats_of(self->loop).waiting);
	weir_prep_poll(&self->op[5], file, POLLIN, seen_done, &self->seen[5]);
	self->op[5].deadline_ns = weir_loop_now(self->loop) + NSEC_PER_MSEC;
	weir_submit(self->loop, &self->op[5]);
	/* Looked at before a turn: however late that comes, it has not ended yet. */
	EXPECT_EQ(2, stats_of(self->loop).waiting);
	weir_cancel(self->loop, &self->op[4]);
	RUN_UNTIL(self->loop, self->seen[4].terminals && self->seen[5].terminals);
	EXPECT_RESULT(&self->seen[4], -ECANCELED, WEIR_ORIGIN_CANCELLED);
	EXPECT_RESULT(&self->seen[5], -ETIME, WEIR_ORIGIN_DEADLINE);
	EXPECT_EQ(0, self->seen[0].events);
}

TEST_F(loop, closing_never_waits_for_what_waits_for_the_budget)
{
	static struct weir_op op[200];
	static struct seen seen[200];
	struct sockaddr_in addr;
	struct weir_file file;
	unsigned int i, closed = 0;

	/* The budget is used up by what never ends, and more of it waits. */
	ASSERT_EQ(0, listener_open(self->loop, 8, &file, &addr));
	for (i = 0; i < 6; i++) {
		weir_prep_poll(&self->op[i], file, POLLIN, seen_done, &self->seen[i]);
		weir_submit(self->loop, &self->op[i]);
	}
	ASSERT_LE(0, weir_loop_run_once(self->loop, 0));
	for (i = 0; i < 200; i++) {
		ASSERT_EQ(0, listener_open(self->loop, 8, &file, &addr));
		weir_prep_close(&op[i], file, seen_done, &seen[i]);
	}
	for (i = 0; i < 200; i++)
		weir_submit(self->loop, &op[i]);
	RUN_UNTIL(self->loop, stats_of(self->loop).files == 1);
	for (i = 0; i < 200; i++)
		closed += seen[i].terminals == 1 && !seen[i].res;
	EXPECT_EQ(200, closed);
	EXPECT_EQ(0, self->seen[0].events);
}

static void again_done(struct weir_op *op)
{
	unsigned int *left = op->ctx;

	if (--*left)
		weir_submit(op->lib_loop, op);
	else
		weir_loop_stop(op->lib_loop);
}

TEST_F(loop, a_callback_may_submit_again_and_stop_the_loop)
{
	unsigned int left = 1000;

	weir_prep_timeout(&self->op[1], weir_loop_now(self->loop) + 3600 * NSEC_PER_SEC,
			  seen_done, &self->seen[1]);
	weir_submit(self->loop, &self->op[1]);
	weir_prep_nop(&self->op[0], again_done, &left);
	weir_submit(self->loop, &self->op[0]);
	EXPECT_EQ(0, weir_loop_run(self->loop));
	EXPECT_EQ(0, left);
	EXPECT_EQ(0, self->seen[1].events);
}

static int inside[4];

static void inside_done(struct weir_op *op)
{
	inside[0] = weir_loop_run(op->lib_loop);
	inside[1] = weir_loop_run_once(op->lib_loop, 0);
	inside[2] = weir_loop_run_until(op->lib_loop, op);
	inside[3] = weir_loop_close(op->lib_loop, 0);
}

TEST_F(loop, running_or_closing_from_a_callback_is_refused)
{
	int i;

	weir_prep_nop(&self->op[0], inside_done, NULL);
	weir_submit(self->loop, &self->op[0]);
	EXPECT_EQ(1, weir_loop_run(self->loop));
	for (i = 0; i < 4; i++)
		EXPECT_EQ(-EBUSY, inside[i]);
}

TEST_F(loop, run_until_returns_when_its_operation_has_ended)
{
	weir_prep_timeout(&self->op[0], weir_loop_now(self->loop) + NSEC_PER_MSEC, seen_done,
			  &self->seen[0]);
	weir_submit(self->loop, &self->op[0]);
	weir_prep_timeout(&self->op[1], weir_loop_now(self->loop) + 3600 * NSEC_PER_SEC,
			  seen_done, &self->seen[1]);
	weir_submit(self->loop, &self->op[1]);
	EXPECT_EQ(0, weir_loop_run_until(self->loop, &self->op[0]));
	EXPECT_EQ(1, self->seen[0].terminals);
	EXPECT_EQ(0, self->seen[1].events);
}

TEST_F(loop, a_wait_is_no_shorter_than_asked_for)
{
	uint64_t before = weir_loop_now(self->loop);

	weir_prep_timeout(&self->op[0], before + 3600 * NSEC_PER_SEC, seen_done,
			  &self->seen[0]);
	weir_submit(self->loop, &self->op[0]);
	ASSERT_LE(0, weir_loop_run_once(self->loop, 0));
	before = self->loop->sys->now(self->loop);
	EXPECT_EQ(0, weir_loop_run_once(self->loop, 3 * NSEC_PER_MSEC));
	EXPECT_LE(before + 3 * NSEC_PER_MSEC, weir_loop_now(self->loop));
}

static void submit_done(struct weir_op *op)
{
	struct weir_op *next = op->ctx;

	weir_submit(op->lib_loop, next);
}

/* One in every state there is, when the loop is closed. */
TEST_F(loop, closing_gives_each_operation_its_terminal_event)
{
	static struct weir_op late;
	static struct seen late_seen;
	struct weir_loop *loop;
	struct sockaddr_in addr;
	struct weir_file file;
	int i, n = 0;

	ASSERT_EQ(0, weir_loop_open(&loop, &self->opts));
	ASSERT_EQ(0, listener_open(loop, 8, &file, &addr));
	weir_prep_nop(&late, seen_done, &late_seen);
	weir_prep_timeout(&self->op[n++], DEADLINE_NONE - 1, submit_done, &late);
	weir_prep_accept(&self->op[n], file, 8, seen_done, &self->seen[n]);
	n++;
	while (n < 12) {
		weir_prep_poll(&self->op[n], file, POLLIN, seen_done, &self->seen[n]);
		n++;
	}
	weir_prep_nop(&self->op[n], seen_done, &self->seen[n]);
	n++;
	weir_prep_nop(&self->op[n], seen_done, &self->seen[n]);
	self->op[n].opcode = WEIR_OP_MAX;
	n++;
	for (i = 0; i < n; i++) {
		weir_submit(loop, &self->op[i]);
		if (i == 6)
			ASSERT_LE(0, weir_loop_run_once(loop, 0));
	}
	EXPECT_EQ(0, weir_loop_close(loop, LIMIT_NS));
	for (i = 0; i < n; i++) {
		EXPECT_EQ(0, weir_op_busy(&self->op[i]));
		if (i)
			EXPECT_EQ(1, self->seen[i].terminals);
	}
	for (i = 1; i < 12; i++)
		EXPECT_EQ(-ECANCELED, self->seen[i].res);
	EXPECT_EQ(-EINVAL, self->seen[n - 1].res);
	/* What is submitted while it is being closed is refused. */
	EXPECT_RESULT(&late_seen, -ECANCELED, WEIR_ORIGIN_LIBRARY);
}

TEST_F(loop, closing_one_that_never_ran_ends_its_operations)
{
	struct weir_loop *loop;

	ASSERT_EQ(0, weir_loop_open(&loop, &self->opts));
	weir_prep_nop(&self->op[0], seen_done, &self->seen[0]);
	weir_submit(loop, &self->op[0]);
	EXPECT_EQ(0, weir_loop_close(loop, LIMIT_NS));
	EXPECT_EQ(1, self->seen[0].terminals);
	EXPECT_EQ(0, weir_loop_close(NULL, 0));
}

TEST_F(loop, options_it_does_not_know_are_refused)
{
	struct { struct weir_loop_opts opts; uint64_t more[2]; } big = { .opts = self->opts };
	struct weir_loop_opts opts = self->opts;
	struct weir_loop *loop = self->loop;

	big.opts.sz = sizeof(big);
	big.more[1] = 1;
	EXPECT_EQ(-E2BIG, weir_loop_open(&loop, &big.opts));
	opts.flags = 1U << 31;
	EXPECT_EQ(-EINVAL, weir_loop_open(&loop, &opts));
	opts = self->opts;
	opts.backend = "kqueue";
	EXPECT_EQ(-EINVAL, weir_loop_open(&loop, &opts));
	opts = self->opts;
	opts.ops_max = WEIR_LOOP_CQ_MAX;
	EXPECT_EQ(-EINVAL, weir_loop_open(&loop, &opts));
	opts.ops_max = UINT32_MAX;
	EXPECT_EQ(-EINVAL, weir_loop_open(&loop, &opts));
	opts = self->opts;
	opts.sz = 4;
	EXPECT_EQ(-EINVAL, weir_loop_open(&loop, &opts));
	/* Out pointers change only on success. */
	EXPECT_EQ(self->loop, loop);
	/* A newer caller that leaves the new fields at zero, and an older one. */
	big.more[1] = 0;
	ASSERT_EQ(0, weir_loop_open(&loop, &big.opts));
	EXPECT_EQ(0, weir_loop_close(loop, LIMIT_NS));
	opts = self->opts;
	opts.sz = offsetof(struct weir_loop_opts, alloc);
	opts.alloc = (void *)8;
	ASSERT_EQ(0, weir_loop_open(&loop, &opts));
	EXPECT_EQ(0, weir_loop_close(loop, LIMIT_NS));
}

TEST_F(loop, statistics_fit_the_callers_struct)
{
	struct weir_loop_stats stats;

	memset(&stats, 0xff, sizeof(stats));
	weir_prep_nop(&self->op[0], seen_done, &self->seen[0]);
	op_do(self->loop, &self->op[0]);
	weir_loop_stats(self->loop, &stats, offsetof(struct weir_loop_stats, ops));
	EXPECT_EQ(1, stats.events);
	EXPECT_EQ(UINT64_MAX, stats.ops);
}

TEST_F(loop, random_bytes_differ)
{
	unsigned char a[300] = { 0 }, b[300] = { 0 };

	weir_loop_entropy(self->loop, a, sizeof(a));
	weir_loop_entropy(self->loop, b, sizeof(b));
	EXPECT_NE(0, memcmp(a, b, 150));
	EXPECT_NE(0, memcmp(a + 150, b + 150, 150));
}

struct ledger {
	size_t bytes;
	unsigned int held;
	unsigned int gets;
	unsigned int fail_at;
};

static void *ledger_get(void *ctx, size_t bytes, size_t align)
{
	struct ledger *ledger = ctx;
	void *mem;

	if (++ledger->gets == ledger->fail_at)
		return NULL;
	if (posix_memalign(&mem, align < sizeof(mem) ? sizeof(mem) : align, bytes))
		return NULL;
	ledger->bytes += bytes;
	ledger->held++;
	return mem;
}

static void ledger_put(void *ctx, void *mem, size_t bytes)
{
	struct ledger *ledger = ctx;

	ledger->bytes -= bytes;
	ledger->held--;
	free(mem);
}

TEST_F(loop, the_allocator_gets_back_what_it_gave)
{
	struct ledger ledger = { 0 };
	struct weir_alloc alloc = { .get = ledger_get, .put = ledger_put, .ctx = &ledger };
	struct weir_pool_opts shape = { .sz = sizeof(shape), .buf_bytes = 256, .count = 8 };
	struct weir_pool *pool;
	struct weir_loop *loop;

	self->opts.alloc = &alloc;
	ASSERT_EQ(0, weir_loop_open(&loop, &self->opts));
	ASSERT_EQ(0, weir_pool_open(&pool, loop, &shape));
	EXPECT_LT(0, ledger.held);
	EXPECT_EQ(0, weir_pool_close(pool));
	EXPECT_EQ(0, weir_loop_close(loop, LIMIT_NS));
	EXPECT_EQ(0, ledger.held);
	EXPECT_EQ(0, ledger.bytes);
}

TEST_F(loop, each_allocation_that_fails_is_told_and_undone)
{
	struct ledger ledger = { 0 };
	struct weir_alloc alloc = { .get = ledger_get, .put = ledger_put, .ctx = &ledger };
	struct weir_loop *loop;
	unsigned int n;

	self->opts.alloc = &alloc;
	/* By its name: one that falls back does so for want of memory too. */
	self->opts.backend = weir_loop_backend(self->loop);
	for (n = 1; n < 100; n++) {
		int err;

		ledger.gets = 0;
		ledger.fail_at = n;
		err = weir_loop_open(&loop, &self->opts);
		if (!err)
			break;
		EXPECT_EQ(-ENOMEM, err);
		EXPECT_EQ(0, ledger.held);
	}
	EXPECT_LT(3, n);
	ASSERT_GT(100, n);
	EXPECT_EQ(0, weir_loop_close(loop, LIMIT_NS));
	EXPECT_EQ(0, ledger.held);
}

TEST_HARNESS_MAIN
