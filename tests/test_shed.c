// SPDX-License-Identifier: GPL-2.0-only
/*
 * test_shed.c - when clients are refused, and what a look at a worker's row tells
 *
 * The law alone: rows, looks and times are arguments.
 */
#include "base/base.h"

#include <kselftest_harness.h>

#include <weir/supervisor.h>

#include "serve/controller.h"

#define WORKERS	4
#define T0	(100 * NSEC_PER_SEC)
#define WINDOW	(WEIR_WINDOW_US * NSEC_PER_USEC)

FIXTURE(law) {
	struct weir_cfg cfg;
	struct weir_worker_row row;
	struct controller controller;
	struct sight sights[WORKERS];
	uint64_t now_ns;
};

FIXTURE_SETUP(law)
{
	unsigned int i;

	weir_cfg_init(&self->cfg);
	self->now_ns = T0;
	controller_begin(&self->controller, &self->cfg);
	for (i = 0; i < WORKERS; i++)
		self->sights[i] = (struct sight){
			.serving = true, .slow = true, .wait_us = WEIR_SHED_WAIT_US + 1,
		};
	controller_tick(&self->controller, &self->cfg, self->sights, WORKERS, self->now_ns);
}

FIXTURE_TEARDOWN(law)
{
}

/* One window more; the share after it. */
static uint32_t window(struct _test_data_law *self)
{
	self->now_ns += WINDOW;
	controller_tick(&self->controller, &self->cfg, self->sights, WORKERS, self->now_ns);
	return self->cfg.shed_permille;
}

TEST_F(law, the_share_rises_by_steps_and_falls_by_halves)
{
	uint32_t share;

	EXPECT_EQ(0, self->cfg.shed_permille);
	EXPECT_EQ(50, window(self));
	EXPECT_EQ(100, window(self));
	EXPECT_EQ(150, window(self));
	for (share = 150; share < WEIR_SHED_MAX_PERMILLE;)
		share = window(self);
	EXPECT_EQ(WEIR_SHED_MAX_PERMILLE, window(self));
	self->sights[2].slow = false;
	for (share = WEIR_SHED_MAX_PERMILLE; share; share /= 2)
		EXPECT_EQ(share / 2, window(self));
	EXPECT_EQ(0, self->cfg.shed_until_ns);
}

TEST_F(law, nothing_happens_within_a_window)
{
	EXPECT_EQ(50, window(self));
	self->now_ns += WINDOW - 1;
	EXPECT_FALSE(controller_tick(&self->controller, &self->cfg, self->sights, WORKERS,
				     self->now_ns));
	EXPECT_EQ(50, self->cfg.shed_permille);
}

TEST_F(law, one_that_is_not_slow_is_enough)
{
	self->sights[1].slow = false;
	EXPECT_EQ(0, window(self));
	self->sights[1].slow = true;
	self->sights[1].serving = false;
	EXPECT_EQ(50, window(self));
}

/* It is idle just because it gets nothing: those who get it all are the measure. */
TEST_F(law, who_is_drained_does_not_keep_the_others_from_refusing)
{
	unsigned int i;

	self->sights[1] = (struct sight){ .serving = true, .drained = true };
	EXPECT_EQ(50, window(self));
	self->sights[0].slow = false;
	EXPECT_EQ(25, window(self));
	/* Where nobody else serves clients go to it. */
	for (i = 0; i < WORKERS; i++)
		self->sights[i].serving = i == 1;
	EXPECT_EQ(12, window(self));
	self->sights[1].slow = true;
	self->sights[1].wait_us = WEIR_SHED_WAIT_US + 1;
	EXPECT_EQ(62, window(self));
}

TEST_F(law, a_mean_wait_that_is_short_refuses_nobody)
{
	unsigned int i;

	for (i = 0; i < WORKERS; i++)
		self->sights[i].wait_us = WEIR_SHED_WAIT_US;
	EXPECT_EQ(0, window(self));
	self->sights[3].wait_us += WORKERS;
	EXPECT_EQ(50, window(self));
}

TEST_F(law, without_a_worker_nobody_is_refused)
{
	unsigned int i;

	for (i = 0; i < WORKERS; i++)
		self->sights[i].serving = false;
	EXPECT_EQ(0, window(self));
}

TEST_F(law, a_share_counts_for_a_time_only)
{
	EXPECT_EQ(50, window(self));
	EXPECT_LT(self->now_ns + WINDOW, self->cfg.shed_until_ns);
	EXPECT_GE(self->now_ns + 100 * WINDOW, self->cfg.shed_until_ns);
	/* A supervisor that died: the next one takes back what it left. */
	controller_begin(&self->controller, &self->cfg);
	EXPECT_EQ(0, self->cfg.shed_permille);
	EXPECT_EQ(0, self->cfg.shed_until_ns);
}

TEST_F(law, a_share_set_by_hand_is_left_alone)
{
	self->cfg.shed_permille = 300;
	self->sights[0].slow = false;
	EXPECT_EQ(300, window(self));
	EXPECT_EQ(0, self->cfg.shed_until_ns);
	controller_end(&self->controller, &self->cfg);
	EXPECT_EQ(300, self->cfg.shed_permille);
}

TEST_F(law, any_configuration_keeps_within_a_thousand)
{
	unsigned int i;

	memset(&self->cfg, 0xff, sizeof(self->cfg));
	self->cfg.window_us = 0;
	self->cfg.shed_wait_us = 0;
	for (i = 0; i < 100; i++)
		EXPECT_GE(1000, window(self));
	self->sights[0].slow = false;
	for (i = 0; i < 10000 && self->cfg.shed_permille; i++)
		EXPECT_GE(1000, window(self));
	EXPECT_EQ(0, self->cfg.shed_permille);
}

/* what a row says */

static struct sight judge(struct _test_data_law *self, int waiting, uint64_t since_ns)
{
	struct sight sight;

	sight_judge(&sight, &self->row, &self->cfg, self->now_ns, waiting, since_ns);
	return sight;
}

TEST_F(law, a_run_that_does_not_end_is_a_hang)
{
	self->row.state = WEIR_RUN;
	self->row.loop_ns = T0 - WEIR_STALE_NS;
	EXPECT_FALSE(judge(self, 0, 0).hung);
	self->row.loop_ns--;
	EXPECT_TRUE(judge(self, 0, 0).hung);
	EXPECT_EQ(WEIR_STALE_NS + 1, judge(self, 0, 0).age_ns);
	/* A turn that began after we looked at the clock. */
	self->row.loop_ns = T0 + 1;
	EXPECT_EQ(0, judge(self, 0, 0).age_ns);
}

TEST_F(law, one_that_is_parked_hangs_only_if_something_waits)
{
	self->row.state = WEIR_PARKED;
	self->row.loop_ns = T0 - 100 * NSEC_PER_SEC;
	EXPECT_FALSE(judge(self, 0, 0).hung);
	EXPECT_TRUE(judge(self, 0, 0).idle);
	EXPECT_FALSE(judge(self, 1, T0 - WEIR_STALE_NS).hung);
	EXPECT_TRUE(judge(self, 1, T0 - WEIR_STALE_NS - 1).hung);
	/* Nobody counts: not known to wait. */
	EXPECT_FALSE(judge(self, -EOPNOTSUPP, 0).hung);
}

TEST_F(law, one_that_ends_neither_serves_nor_hangs)
{
	static const enum weir_worker_state states[] = { WEIR_INIT, WEIR_DRAIN, WEIR_DEAD };
	size_t i;

	for (i = 0; i < ARRAY_SIZE(states); i++) {
		self->row.state = states[i];
		EXPECT_FALSE(judge(self, 5, 1).serving);
		EXPECT_FALSE(judge(self, 5, 1).hung);
	}
}

/* It cannot say OK while it is parked. */
TEST_F(law, one_that_was_slow_and_is_idle_is_slow_no_more)
{
	self->row.state = WEIR_PARKED;
	self->row.speed = WEIR_SLOW;
	self->row.wait_us = 50000;
	self->row.loop_ns = T0 - WINDOW;
	EXPECT_TRUE(judge(self, 0, 0).slow);
	self->row.loop_ns = T0 - 2 * WINDOW - 1;
	EXPECT_FALSE(judge(self, 0, 0).slow);
	EXPECT_EQ(0, judge(self, 0, 0).wait_us);
	EXPECT_TRUE(judge(self, 1, T0).slow);
}

TEST_F(law, one_that_hangs_for_a_window_is_slow)
{
	self->row.state = WEIR_RUN;
	self->row.loop_ns = T0 - WINDOW;
	EXPECT_FALSE(judge(self, 0, 0).slow);
	self->row.loop_ns--;
	EXPECT_TRUE(judge(self, 0, 0).slow);
	EXPECT_EQ(WEIR_WINDOW_US, judge(self, 0, 0).wait_us);
	EXPECT_EQ(WEIR_WINDOW_US, judge(self, 0, 0).least_us);
}

TEST_HARNESS_MAIN
