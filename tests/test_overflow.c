// SPDX-License-Identifier: GPL-2.0-only
/*
 * test_overflow.c - more completions at once than the completion queue holds
 */
#include "backends.h"
#include "kselftest_harness.h"

/* With the rest of the budget they are less than 4096, the queue's size. */
enum { OPS = 3900 };

struct nop {
	struct weir_op op;
	struct seen seen;
};

FIXTURE(overflow)
{
	struct weir_loop *loop;
	struct nop *nops;
};

FIXTURE_SETUP(overflow)
{
	struct weir_loop_opts opts = {
		.sz = sizeof(opts), .backend = "uring",
		.ops_max = OPS, .files_max = 32, .bufs_max = 32,
	};

	OPEN_LOOP(&self->loop, &opts);
	self->nops = calloc(OPS, sizeof(*self->nops));
	ASSERT_NE(NULL, self->nops);
	/* From here what is submitted is started. */
	ASSERT_LE(0, weir_loop_run_once(self->loop, 0));
}

FIXTURE_TEARDOWN(overflow)
{
	EXPECT_EQ(0, weir_loop_close(self->loop, LIMIT_NS));
	free(self->nops);
}

/*
 * Each nop has a completion, and so has each cancel that comes too late to find
 * it: both wait for the same turn, and the queue has no room for twice the budget.
 */
TEST_F(overflow, nothing_is_lost_when_cancels_overfill_the_queue)
{
	struct server server = { 0 };
	struct seen late = { 0 };
	struct weir_op op = { 0 };
	unsigned int i, right = 0, round;

	ASSERT_EQ(0, server_open(self->loop, &server, 8));
	for (round = 1; round <= 3; round++) {
		uint64_t before = stats_of(self->loop).overflows;

		for (i = 0; i < OPS - 1; i++) {
			weir_prep_nop(&self->nops[i].op, seen_done, &self->nops[i].seen);
			weir_submit(self->loop, &self->nops[i].op);
		}
		for (i = 0; i < OPS - 1; i++)
			weir_cancel(self->loop, &self->nops[i].op);
		/* All but the accept. */
		RUN_UNTIL(self->loop, stats_of(self->loop).inflight == 1);
		EXPECT_LT(before, stats_of(self->loop).overflows);
		for (i = 0, right = 0; i < OPS - 1; i++)
			right += self->nops[i].seen.terminals == round &&
				 (!self->nops[i].seen.res ||
				  self->nops[i].seen.res == -ECANCELED);
		EXPECT_EQ(OPS - 1, right);
	}
	EXPECT_EQ(0, stats_of(self->loop).stale);
	/* The accept that was armed all the time, and whatever comes after. */
	EXPECT_EQ(0, server.seen.events);
	server_connect(self->loop, &server, &op, &late);
	RUN_UNTIL(self->loop, late.terminals && server.seen.events);
	EXPECT_EQ(0, late.res);
	EXPECT_EQ(0, server.seen.res);
	weir_cancel(self->loop, &server.accept);
	RUN_UNTIL(self->loop, server.seen.terminals);
}

TEST_HARNESS_MAIN
