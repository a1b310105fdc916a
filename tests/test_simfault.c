// SPDX-License-Identifier: GPL-2.0-only
/*
 * test_simfault.c - the faults of the simulated kernel, each at its surest
 */
#include <errno.h>
#include <string.h>

#include "io/sim.h"
#include "sim_util.h"

#include "kselftest_harness.h"

static struct weir_loop *open_loop(const struct weir_sim_opts *sim)
{
	struct weir_loop_opts opts = {
		.sz = sizeof(opts), .backend = "sim", .sim = sim, .seed = 1,
		.ops_max = 64, .files_max = 16,
	};
	struct weir_loop *loop;

	return weir_loop_open(&loop, &opts) ? NULL : loop;
}

struct seen {
	unsigned int events;
	int last;
	int order;
};

static int serial;

static void seen_done(struct weir_op *op)
{
	struct seen *seen = op->ctx;

	seen->events++;
	seen->last = op->res;
	seen->order = ++serial;
}

/* Two connected files of @loop. */
static void pair_open(struct weir_loop *loop, struct weir_file files[2])
{
	struct seen seen[2] = { 0 };
	struct weir_op ops[2] = { 0 };
	struct sockaddr_in addr;
	struct weir_file listener = sim_listen_on(loop, &addr, 1);

	weir_prep_accept_once(&ops[0], listener, seen_done, &seen[0]);
	weir_submit(loop, &ops[0]);
	weir_prep_connect(&ops[1], (struct sockaddr *)&addr, sizeof(addr), seen_done, &seen[1]);
	weir_submit(loop, &ops[1]);
	weir_loop_run(loop);
	files[0] = ops[0].accepted;
	files[1] = ops[1].accepted;
}

TEST(the_caller_may_say_which_errors_there_are)
{
	static const struct weir_sim_fault rows[] = {
		{ WEIR_OP_NOP, EINTR, 1000 },
		{ WEIR_OP_SOCKET, ENOMEM, 0 },
	};
	struct weir_sim_opts sim = { .sz = sizeof(sim), .faults = rows, .faults_count = 2 };
	struct weir_loop *loop = open_loop(&sim);
	struct weir_op nop = { 0 }, socket = { 0 };
	struct seen seen = { 0 };

	ASSERT_NE(NULL, loop);
	weir_prep_nop(&nop, seen_done, &seen);
	weir_submit(loop, &nop);
	weir_prep_socket(&socket, AF_INET, SOCK_STREAM, 0, seen_done, &seen);
	weir_submit(loop, &socket);
	EXPECT_EQ(1, weir_loop_run(loop));
	EXPECT_EQ(-EINTR, nop.res);
	EXPECT_EQ(0, socket.res);
	EXPECT_EQ(0, weir_loop_close(loop, NSEC_PER_SEC));
}

TEST(a_table_that_makes_no_sense_is_refused)
{
	static const struct weir_sim_fault rows[] = {
		{ WEIR_OP_MAX, EIO, 1 },
		{ WEIR_OP_CLOSE, EIO, 1 },
		{ WEIR_OP_TIMEOUT, EIO, 1 },
		{ WEIR_OP_RECV, EAGAIN, 1 },
		{ WEIR_OP_RECV, -EIO, 1 },
		{ WEIR_OP_RECV, EIO, 1001 },
	};
	struct weir_sim_opts sim = { .sz = sizeof(sim), .faults_count = 1 };
	size_t i;

	EXPECT_EQ(NULL, open_loop(&sim));
	for (i = 0; i < ARRAY_SIZE(rows); i++) {
		sim.faults = &rows[i];
		EXPECT_EQ(NULL, open_loop(&sim));
	}
	sim = (struct weir_sim_opts){ .sz = sizeof(sim), .late_permille = 1001 };
	EXPECT_EQ(NULL, open_loop(&sim));
}

/* A receive is cancelled, and before that is settled bytes come, or not. */
static int cancel_late(struct weir_loop *loop, bool bytes_come)
{
	struct weir_file files[2];
	struct weir_op recv = { 0 }, send = { 0 };
	struct seen seen = { 0 }, sent = { 0 };
	char byte;

	pair_open(loop, files);
	weir_prep_recv(&recv, files[0], &byte, 1, seen_done, &seen);
	weir_submit(loop, &recv);
	weir_loop_run_once(loop, 0);
	weir_cancel(loop, &recv);
	if (bytes_come) {
		weir_prep_send(&send, files[1], "x", 1, seen_done, &sent);
		weir_submit(loop, &send);
	}
	if (weir_loop_run(loop) != 1 || seen.events != 1)
		return -EBADMSG;
	return recv.res;
}

TEST(a_cancel_that_comes_too_late_finds_the_operation_done)
{
	struct weir_sim_opts sim = { .sz = sizeof(sim), .late_permille = 1000 };
	struct weir_loop *loop = open_loop(&sim);

	ASSERT_NE(NULL, loop);
	EXPECT_EQ(1, cancel_late(loop, true));
	EXPECT_EQ(-ECANCELED, cancel_late(loop, false));
	loop->sim.late_permille = 0;
	EXPECT_EQ(-ECANCELED, cancel_late(loop, true));
	EXPECT_EQ(0, weir_loop_close(loop, NSEC_PER_SEC));
}

TEST(a_multishot_that_is_cut_short_is_armed_again_and_misses_nothing)
{
	struct weir_sim_opts sim = { .sz = sizeof(sim), .rearm_permille = 1000 };
	struct weir_loop *loop = open_loop(&sim);
	struct seen seen = { 0 }, done = { 0 };
	struct weir_op accept = { 0 }, ops[5] = { 0 };
	struct weir_loop_stats stats;
	struct sockaddr_in addr;
	struct weir_file listener;
	unsigned int i;

	ASSERT_NE(NULL, loop);
	listener = sim_listen_on(loop, &addr, 5);
	weir_prep_accept(&accept, listener, 5, seen_done, &seen);
	weir_submit(loop, &accept);
	for (i = 0; i < ARRAY_SIZE(ops); i++) {
		weir_prep_connect(&ops[i], (struct sockaddr *)&addr, sizeof(addr), seen_done,
				  &done);
		weir_submit(loop, &ops[i]);
	}
	while (seen.events < ARRAY_SIZE(ops))
		ASSERT_GE(weir_loop_run_once(loop, NSEC_PER_SEC), 0);
	weir_loop_stats(loop, &stats, sizeof(stats));
	EXPECT_EQ(ARRAY_SIZE(ops), stats.rearms);
	EXPECT_EQ(ARRAY_SIZE(ops), done.events);
	EXPECT_EQ(1, weir_op_busy(&accept));
	EXPECT_EQ(0, weir_loop_close(loop, NSEC_PER_SEC));
}

TEST(completions_that_the_kernel_does_not_order_come_in_any_order)
{
	struct weir_sim_opts sim = { .sz = sizeof(sim), .reorder_permille = 500 };
	struct weir_loop *loop = open_loop(&sim);
	struct seen seen[20] = { 0 };
	struct weir_op ops[20] = { 0 };
	unsigned int i, back = 0;

	ASSERT_NE(NULL, loop);
	for (i = 0; i < ARRAY_SIZE(ops); i++) {
		weir_prep_nop(&ops[i], seen_done, &seen[i]);
		weir_submit(loop, &ops[i]);
	}
	EXPECT_EQ(1, weir_loop_run(loop));
	for (i = 1; i < ARRAY_SIZE(ops); i++)
		back += seen[i].order < seen[i - 1].order;
	EXPECT_GT(back, 0);
	EXPECT_EQ(0, weir_loop_close(loop, NSEC_PER_SEC));
}

TEST_HARNESS_MAIN
