// SPDX-License-Identifier: GPL-2.0-only
/*
 * test_wait_until.c - waits with an end: how long they take, and where uring keeps
 * what a wait is for
 */
#include <stdio.h>

#include <weir/probe.h>

#include "backends.h"
#include "kselftest_harness.h"

#define ENTER_EXT_ARG_REG	(1U << 6)	/* IORING_ENTER_EXT_ARG_REG of <linux/io_uring.h> */

struct lines {
	char text[4096];
	size_t len;
};

FIXTURE(until)
{
	struct lines lines;
	struct weir_log log;
	struct weir_loop *loop;
	struct server server;
	struct weir_op op;
	struct seen seen;
};

BACKEND_VARIANTS(until);
COPIED_VARIANT(until);

static void note(void *ctx, enum weir_log_level level, const char *text)
{
	struct lines *lines = ctx;
	size_t room = sizeof(lines->text) - lines->len;
	int n = snprintf(lines->text + lines->len, room, "%d %s\n", level, text);

	lines->len += n > 0 && (size_t)n < room ? (size_t)n : 0;
}

FIXTURE_SETUP(until)
{
	struct weir_loop_opts opts = {
		.sz = sizeof(opts), .backend = variant->name, .log = &self->log,
	};

	self->log = (struct weir_log){
		.line = note, .ctx = &self->lines, .level = WEIR_LOG_DEBUG,
	};
	OPEN_LOOP(&self->loop, &opts);
	/* An accept that never comes: without an end, a wait would have none. */
	ASSERT_EQ(0, server_open(self->loop, &self->server, 8));
	ASSERT_LE(0, weir_loop_run_once(self->loop, 0));
	ASSERT_LE(0, weir_loop_run_once(self->loop, 0));
}

FIXTURE_TEARDOWN(until)
{
	EXPECT_EQ(0, weir_loop_close(self->loop, LIMIT_NS));
}

TEST_F(until, a_deadline_in_the_past_ends_it_without_a_wait)
{
	uint64_t before = real_ns();

	weir_prep_poll(&self->op, self->server.file, POLLIN, seen_done, &self->seen);
	self->op.deadline_ns = 1;
	EXPECT_EQ(-ETIME, op_do(self->loop, &self->op));
	EXPECT_RESULT(&self->seen, -ETIME, WEIR_ORIGIN_DEADLINE);
	self->seen = (struct seen){ 0 };
	weir_prep_timeout(&self->op, 1, seen_done, &self->seen);
	EXPECT_EQ(0, op_do(self->loop, &self->op));
	EXPECT_RESULT(&self->seen, 0, WEIR_ORIGIN_KERNEL);
	EXPECT_GT(STALL_NS, real_ns() - before);
}

/* Longer and shorter by turns: what an earlier wait was for must not be left. */
TEST_F(until, a_wait_is_as_long_as_asked_for_and_not_as_the_one_before)
{
	static const uint64_t waits_us[] = { 1, 3000, 20, 1500, 100, 700, 1, 5000, 300 };
	uint64_t before, took, real;
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(waits_us); i++) {
		real = real_ns();
		before = self->loop->sys->now(self->loop);
		ASSERT_EQ(0, weir_loop_run_once(self->loop, waits_us[i] * NSEC_PER_USEC));
		took = self->loop->sys->now(self->loop) - before;
		EXPECT_LE(waits_us[i] * NSEC_PER_USEC, took);
		EXPECT_GT(LIMIT_NS, real_ns() - real);
	}
}

TEST_F(until, one_of_hours_ends_when_something_comes)
{
	struct weir_file client, accepted;
	struct weir_op hours = { 0 };
	struct seen never = { 0 };

	weir_prep_timeout(&hours, weir_loop_now(self->loop) + 3600 * NSEC_PER_SEC, seen_done,
			  &never);
	weir_submit(self->loop, &hours);
	ASSERT_EQ(0, pair_open(self->loop, &self->server, &client, &accepted));
	EXPECT_EQ(0, never.events);
	weir_cancel(self->loop, &hours);
	RUN_UNTIL(self->loop, never.terminals);
}

/* The page must stay the parent's: a child that writes gets a copy, not the other way. */
TEST_F(until, a_child_does_not_take_along_what_it_is_for)
{
	uint64_t before;
	pid_t pid;
	int status;

	ASSERT_EQ(0, weir_loop_run_once(self->loop, NSEC_PER_MSEC));
	pid = fork();
	ASSERT_LE(0, pid);
	if (!pid)
		_exit(0);
	before = self->loop->sys->now(self->loop);
	ASSERT_EQ(0, weir_loop_run_once(self->loop, 7 * NSEC_PER_MSEC));
	EXPECT_LE(before + 7 * NSEC_PER_MSEC, self->loop->sys->now(self->loop));
	ASSERT_EQ(pid, waitpid(pid, &status, 0));
	EXPECT_EQ(0, status);
}

#ifdef CONFIG_URING
static bool can_register(void)
{
	const struct weir_feature *features;
	size_t i, count;

	features = weir_uring_features(&count);
	for (i = 0; i < count; i++)
		if (!strcmp(features[i].name, "wait_reg"))
			return features[i].state == WEIR_FEATURE_OK;
	return false;
}

/* A loop of its own, which no longer works once that way of waiting is refused. */
static void wait_refused(void *arg)
{
	struct weir_loop_opts opts = { .sz = sizeof(opts), .backend = arg };
	struct server server = { 0 };
	struct weir_loop *loop;
	int err = weir_loop_open(&loop, &opts);

	if (!err)
		err = server_open(loop, &server, 8);
	if (!err)
		err = weir_loop_run_once(loop, 0);
	if (!err)
		err = refuse_if(SYS_io_uring_enter, 3, BPF_JSET, ENTER_EXT_ARG_REG, EXDEV);
	if (!err)
		err = weir_loop_run_once(loop, NSEC_PER_MSEC);
	dprintf(STDERR_FILENO, "%d", err);
}

/* By what the kernel is asked, not only by what is said. */
TEST_F(until, uring_copies_it_only_where_the_kernel_does_not_take_it)
{
	bool uring = !strcmp(weir_loop_backend(self->loop), "uring");
	bool registered = uring && !strcmp(variant->name, "uring") && can_register();
	const char *text = self->lines.text;
	char said[32];

	EXPECT_EQ(registered, !!strstr(text, "what waits are for is registered"));
	EXPECT_EQ(uring && !registered, !!strstr(text, "is copied each time: "));
	EXPECT_EQ(0, run_child(wait_refused, (void *)(uintptr_t)weir_loop_backend(self->loop),
			       said, sizeof(said)));
	EXPECT_EQ(registered ? -EXDEV : 0, atoi(said)) TH_LOG("%s", said);
}
#endif

TEST_HARNESS_MAIN
