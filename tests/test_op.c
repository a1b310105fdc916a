// SPDX-License-Identifier: GPL-2.0-only
/*
 * test_op.c - every operation on every backend, and how an operation ends
 */
#include "socks.h"
#include "kselftest_harness.h"

FIXTURE(op)
{
	struct weir_loop *loop;
	struct server server;
};

BACKEND_VARIANTS(op);

FIXTURE_SETUP(op)
{
	struct weir_loop_opts opts = { .sz = sizeof(opts), .backend = variant->name };

	OPEN_LOOP(&self->loop, &opts);
	ASSERT_EQ(0, server_open(self->loop, &self->server, 64));
}

FIXTURE_TEARDOWN(op)
{
	EXPECT_EQ(0, weir_loop_close(self->loop, LIMIT_NS));
	EXPECT_EQ(1, self->server.seen.terminals);
}

TEST_F(op, nop_ends_with_zero)
{
	struct seen seen = { 0 };
	struct weir_op op = { 0 };

	EXPECT_EQ(0, weir_op_busy(&op));
	weir_prep_nop(&op, seen_done, &seen);
	weir_submit(self->loop, &op);
	EXPECT_EQ(0, seen.events);
	EXPECT_EQ(1, weir_op_busy(&op));
	RUN_UNTIL(self->loop, seen.terminals);
	EXPECT_RESULT(&seen, 0, WEIR_ORIGIN_KERNEL);
	EXPECT_EQ(0, weir_op_busy(&op));
}

TEST_F(op, timeouts_end_in_order_and_never_early)
{
	/* milliseconds, submitted out of order */
	static const unsigned int after_ms[] = { 7, 1, 30, 3, 0, 12, 2 };
	static const unsigned int order[] = { 4, 1, 6, 3, 0, 5, 2 };
	struct weir_op op[ARRAY_SIZE(after_ms)] = { 0 };
	struct seen seen[ARRAY_SIZE(after_ms)] = { 0 };
	size_t i;

	for (i = 0; i < ARRAY_SIZE(op); i++) {
		uint64_t at = weir_loop_now(self->loop) + after_ms[i] * NSEC_PER_MSEC;

		weir_prep_timeout(&op[i], at, seen_done, &seen[i]);
		weir_submit(self->loop, &op[i]);
	}
	RUN_UNTIL(self->loop, seen[2].terminals);
	for (i = 0; i < ARRAY_SIZE(op); i++) {
		EXPECT_RESULT(&seen[i], 0, WEIR_ORIGIN_KERNEL);
		EXPECT_LE(op[i].deadline_ns, seen[i].now_ns);
		if (i)
			EXPECT_LT(seen[order[i - 1]].serial, seen[order[i]].serial);
	}
}

TEST_F(op, a_timeout_that_is_cancelled_says_so)
{
	struct seen seen = { 0 };
	struct weir_op op = { 0 };

	weir_prep_timeout(&op, weir_loop_now(self->loop) + LIMIT_NS, seen_done, &seen);
	weir_submit(self->loop, &op);
	weir_cancel(self->loop, &op);
	EXPECT_EQ(0, seen.events);
	RUN_UNTIL(self->loop, seen.terminals);
	EXPECT_RESULT(&seen, -ECANCELED, WEIR_ORIGIN_CANCELLED);
}

TEST_F(op, poll_ends_with_the_events_that_are_ready)
{
	struct weir_file a, b;
	struct seen out = { 0 }, in = { 0 };
	struct weir_op op_out = { 0 }, op_in = { 0 };

	ASSERT_EQ(0, pair_open(self->loop, &self->server, &a, &b));
	weir_prep_poll(&op_out, a, POLLOUT, seen_done, &out);
	weir_submit(self->loop, &op_out);
	weir_prep_poll(&op_in, a, POLLIN, seen_done, &in);
	weir_submit(self->loop, &op_in);
	RUN_UNTIL(self->loop, out.terminals);
	EXPECT_RESULT(&out, POLLOUT, WEIR_ORIGIN_KERNEL);
	EXPECT_EQ(0, in.events);
	EXPECT_EQ(1, do_send(self->loop, b, "x", 1));
	RUN_UNTIL(self->loop, in.terminals);
	EXPECT_RESULT(&in, POLLIN, WEIR_ORIGIN_KERNEL);
}

TEST_F(op, one_accept_brings_every_client)
{
	struct weir_op op[40] = { 0 };
	struct seen seen[40] = { 0 };
	size_t i;

	for (i = 0; i < ARRAY_SIZE(op); i++)
		server_connect(self->loop, &self->server, &op[i], &seen[i]);
	RUN_UNTIL(self->loop, self->server.seen.events == ARRAY_SIZE(op));
	for (i = 0; i < ARRAY_SIZE(op); i++) {
		RUN_UNTIL(self->loop, seen[i].terminals);
		EXPECT_RESULT(&seen[i], 0, WEIR_ORIGIN_KERNEL);
		EXPECT_EQ(1, weir_file_valid(self->loop, seen[i].file));
	}
	EXPECT_EQ(0, self->server.seen.terminals);
	EXPECT_EQ(ARRAY_SIZE(op), stats_of(self->loop).accepts);
	EXPECT_EQ(1 + 2 * ARRAY_SIZE(op), stats_of(self->loop).files);
}

TEST_F(op, an_accept_of_one_takes_one_connection_each_time)
{
	struct seen took = { 0 }, came[3] = { 0 };
	struct weir_op accept = { 0 }, connect[3] = { 0 };
	struct server server = { 0 };
	unsigned int i;

	ASSERT_EQ(0, listener_open(self->loop, 8, &server.file, &server.addr));
	/* It waits for the first one; the others wait for it. */
	for (i = 0; i < 3; i++) {
		weir_prep_accept_once(&accept, server.file, seen_done, &took);
		weir_submit(self->loop, &accept);
		if (!i) {
			server_connect(self->loop, &server, &connect[0], &came[0]);
			server_connect(self->loop, &server, &connect[1], &came[1]);
			server_connect(self->loop, &server, &connect[2], &came[2]);
		}
		RUN_UNTIL(self->loop, took.terminals == i + 1);
		EXPECT_EQ(0, took.res);
		EXPECT_EQ(i + 1, took.events);
		EXPECT_EQ(0, do_close(self->loop, took.file));
	}
	RUN_UNTIL(self->loop, came[0].terminals && came[1].terminals && came[2].terminals);
	EXPECT_EQ(0, came[0].res + came[1].res + came[2].res);
}

TEST_F(op, an_accept_of_one_is_cancelled_while_it_waits)
{
	struct seen seen = { 0 };
	struct weir_op op = { 0 };
	struct server server;

	ASSERT_EQ(0, listener_open(self->loop, 8, &server.file, &server.addr));
	weir_prep_accept_once(&op, server.file, seen_done, &seen);
	weir_submit(self->loop, &op);
	ASSERT_LE(0, weir_loop_run_once(self->loop, 0));
	weir_cancel(self->loop, &op);
	RUN_UNTIL(self->loop, seen.terminals);
	EXPECT_RESULT(&seen, -ECANCELED, WEIR_ORIGIN_CANCELLED);
}

TEST_F(op, connect_to_nobody_is_refused_and_leaves_no_file)
{
	struct sockaddr_in addr;
	struct seen seen = { 0 };
	struct weir_op op = { 0 };
	struct weir_file file;
	uint64_t files;

	/* Bound, so that nobody else gets it, but nobody listens there. */
	ASSERT_EQ(0, bound_open(self->loop, SOCK_STREAM, &file, &addr));
	files = stats_of(self->loop).files;
	weir_prep_connect(&op, (struct sockaddr *)&addr, sizeof(addr), seen_done, &seen);
	EXPECT_EQ(-ECONNREFUSED, op_do(self->loop, &op));
	EXPECT_RESULT(&seen, -ECONNREFUSED, WEIR_ORIGIN_KERNEL);
	EXPECT_EQ(0, op.accepted.gen);
	EXPECT_EQ(files, stats_of(self->loop).files);
}

TEST_F(op, a_connect_that_is_cancelled_leaves_no_file)
{
	uint64_t files = stats_of(self->loop).files;
	struct seen seen = { 0 };
	struct weir_op op = { 0 };
	int turns;

	/* At every stage: not yet begun, socket made, connecting, connected. */
	for (turns = 0; turns < 4; turns++) {
		int i;

		memset(&seen, 0, sizeof(seen));
		server_connect(self->loop, &self->server, &op, &seen);
		for (i = 0; i < turns && !seen.terminals; i++)
			ASSERT_LE(0, weir_loop_run_once(self->loop, 0));
		weir_cancel(self->loop, &op);
		RUN_UNTIL(self->loop, seen.terminals);
		EXPECT_EQ(1, seen.terminals);
		if (!seen.res) {
			ASSERT_EQ(0, do_close(self->loop, seen.file));
			continue;
		}
		EXPECT_RESULT(&seen, -ECANCELED, WEIR_ORIGIN_CANCELLED);
	}
	/* What the server saw of them. */
	EXPECT_EQ(files + self->server.seen.events, stats_of(self->loop).files);
}

TEST_F(op, what_is_sent_is_received_and_then_comes_the_end)
{
	struct weir_file a, b;
	char buf[64];

	ASSERT_EQ(0, pair_open(self->loop, &self->server, &a, &b));
	EXPECT_EQ(5, do_send(self->loop, a, "hello", 5));
	EXPECT_EQ(5, do_recv(self->loop, b, buf, sizeof(buf)));
	EXPECT_EQ(0, memcmp(buf, "hello", 5));
	EXPECT_EQ(3, do_send(self->loop, b, "bye", 3));
	EXPECT_EQ(2, do_recv(self->loop, a, buf, 2));
	EXPECT_EQ(1, do_recv(self->loop, a, buf + 2, 2));
	EXPECT_EQ(0, memcmp(buf, "bye", 3));
	ASSERT_EQ(0, do_close(self->loop, a));
	EXPECT_EQ(0, do_recv(self->loop, b, buf, sizeof(buf)));
}

TEST_F(op, a_receive_waits_for_what_comes_later)
{
	struct weir_file a, b;
	struct seen seen = { 0 };
	struct weir_op op = { 0 };
	char buf[8];

	ASSERT_EQ(0, pair_open(self->loop, &self->server, &a, &b));
	weir_prep_recv(&op, b, buf, sizeof(buf), seen_done, &seen);
	weir_submit(self->loop, &op);
	ASSERT_LE(0, weir_loop_run_once(self->loop, 0));
	EXPECT_EQ(0, seen.events);
	EXPECT_EQ(4, do_send(self->loop, a, "late", 4));
	RUN_UNTIL(self->loop, seen.terminals);
	EXPECT_RESULT(&seen, 4, WEIR_ORIGIN_KERNEL);
	EXPECT_EQ(0, memcmp(buf, "late", 4));
}

TEST_F(op, a_send_waits_while_the_peer_does_not_read)
{
	static char block[1 << 20];
	struct weir_file a, b;
	struct seen seen = { 0 };
	struct weir_op op = { 0 };
	uint64_t sent = 0, got = 0;
	int n;

	ASSERT_EQ(0, pair_open(self->loop, &self->server, &a, &b));
	do {
		memset(&seen, 0, sizeof(seen));
		weir_prep_send(&op, a, block, sizeof(block), seen_done, &seen);
		weir_submit(self->loop, &op);
		ASSERT_LE(0, weir_loop_run_once(self->loop, 0));
		ASSERT_LE(0, weir_loop_run_once(self->loop, 0));
		if (seen.terminals) {
			ASSERT_LT(0, seen.res);
			sent += (uint64_t)seen.res;
		}
		ASSERT_GT(1ULL << 30, sent);
	} while (seen.terminals);
	/* Reading sets it going again; nothing is lost. */
	while (!seen.terminals) {
		n = do_recv(self->loop, b, block, sizeof(block));
		ASSERT_LT(0, n);
		got += (uint64_t)n;
	}
	ASSERT_LT(0, seen.res);
	sent += (uint64_t)seen.res;
	while (got < sent) {
		n = do_recv(self->loop, b, block, sizeof(block));
		ASSERT_LT(0, n);
		got += (uint64_t)n;
	}
	EXPECT_EQ(sent, got);
	EXPECT_EQ(sent, stats_of(self->loop).bytes_out);
	EXPECT_EQ(got, stats_of(self->loop).bytes_in);
}

TEST_F(op, sending_to_a_peer_that_is_gone_fails_without_a_signal)
{
	uint64_t end = real_ns() + LIMIT_NS;
	struct weir_file a, b;
	int res = 0;

	ASSERT_EQ(0, pair_open(self->loop, &self->server, &a, &b));
	ASSERT_EQ(0, do_close(self->loop, b));
	/* The first is answered by a reset, which takes as long as it takes. */
	while (res >= 0 && real_ns() < end)
		res = do_send(self->loop, a, "x", 1);
	EXPECT_TRUE(res == -EPIPE || res == -ECONNRESET);
}

TEST_F(op, shutdown_ends_the_peers_stream_and_no_more)
{
	struct weir_file a, b;
	struct seen seen = { 0 };
	struct weir_op op = { 0 };
	char buf[4];

	ASSERT_EQ(0, pair_open(self->loop, &self->server, &a, &b));
	weir_prep_shutdown(&op, a, SHUT_WR, seen_done, &seen);
	EXPECT_EQ(0, op_do(self->loop, &op));
	EXPECT_EQ(0, do_recv(self->loop, b, buf, sizeof(buf)));
	EXPECT_EQ(2, do_send(self->loop, b, "ok", 2));
	EXPECT_EQ(2, do_recv(self->loop, a, buf, sizeof(buf)));
}

TEST_F(op, each_socket_has_a_cookie_of_its_own)
{
	uint64_t cookie[2] = { 0 };
	struct weir_file file[2];
	struct seen seen = { 0 };
	struct weir_op op = { 0 };
	int i;

	ASSERT_EQ(0, pair_open(self->loop, &self->server, &file[0], &file[1]));
	for (i = 0; i < 2; i++) {
		weir_prep_getsockopt(&op, file[i], SOL_SOCKET, SO_COOKIE, &cookie[i],
				     sizeof(cookie[i]), seen_done, &seen);
		EXPECT_EQ((int)sizeof(cookie[i]), op_do(self->loop, &op));
		EXPECT_NE(0, cookie[i]);
	}
	EXPECT_NE(cookie[0], cookie[1]);
}

TEST_F(op, close_ends_what_is_in_flight_and_then_the_file)
{
	struct weir_op recv[3] = { 0 }, op = { 0 };
	struct seen seen[3] = { 0 }, closed = { 0 };
	struct weir_file a, b;
	char buf[3][8];
	int i;

	ASSERT_EQ(0, pair_open(self->loop, &self->server, &a, &b));
	for (i = 0; i < 3; i++) {
		weir_prep_recv(&recv[i], b, buf[i], 8, seen_done, &seen[i]);
		weir_submit(self->loop, &recv[i]);
	}
	ASSERT_LE(0, weir_loop_run_once(self->loop, 0));
	weir_prep_close(&op, b, seen_done, &closed);
	weir_submit(self->loop, &op);
	EXPECT_EQ(0, weir_file_valid(self->loop, b));
	RUN_UNTIL(self->loop, closed.terminals);
	EXPECT_RESULT(&closed, 0, WEIR_ORIGIN_KERNEL);
	for (i = 0; i < 3; i++) {
		EXPECT_RESULT(&seen[i], -ECANCELED, WEIR_ORIGIN_CANCELLED);
		EXPECT_LT(seen[i].serial, closed.serial);
	}
	EXPECT_EQ(0, do_recv(self->loop, a, buf[0], 8));
}

TEST_F(op, a_handle_that_outlived_its_file_is_refused)
{
	struct weir_file a, b, again;
	struct seen seen = { 0 };
	struct weir_op op = { 0 };
	char buf[4];

	ASSERT_EQ(0, pair_open(self->loop, &self->server, &a, &b));
	ASSERT_EQ(0, do_close(self->loop, a));
	ASSERT_EQ(0, do_close(self->loop, b));
	/* The place is used again, by another generation. */
	ASSERT_EQ(0, pair_open(self->loop, &self->server, &again, &b));
	weir_prep_recv(&op, a, buf, sizeof(buf), seen_done, &seen);
	EXPECT_EQ(-EBADF, op_do(self->loop, &op));
	EXPECT_RESULT(&seen, -EBADF, WEIR_ORIGIN_LIBRARY);
	EXPECT_EQ(-EBADF, do_close(self->loop, a));
	EXPECT_EQ(1, weir_file_valid(self->loop, again));
	EXPECT_EQ(2, do_send(self->loop, again, "ok", 2));
	EXPECT_EQ(-EBADF, do_send(self->loop, (struct weir_file){ 0, 0 }, "no", 2));
}

TEST_F(op, a_receive_gives_up_at_its_deadline)
{
	struct weir_file a, b;
	struct seen seen = { 0 };
	struct weir_op op = { 0 };
	char buf[4];

	ASSERT_EQ(0, pair_open(self->loop, &self->server, &a, &b));
	weir_prep_recv(&op, b, buf, sizeof(buf), seen_done, &seen);
	op.deadline_ns = weir_loop_now(self->loop) + 5 * NSEC_PER_MSEC;
	EXPECT_EQ(-ETIME, op_do(self->loop, &op));
	EXPECT_RESULT(&seen, -ETIME, WEIR_ORIGIN_DEADLINE);
	EXPECT_LE(op.deadline_ns, seen.now_ns);
	/* In time: the deadline has no part in it. */
	EXPECT_EQ(1, do_send(self->loop, a, "x", 1));
	weir_prep_recv(&op, b, buf, sizeof(buf), seen_done, &seen);
	op.deadline_ns = weir_loop_now(self->loop) + LIMIT_NS;
	EXPECT_EQ(1, op_do(self->loop, &op));
}

TEST_F(op, cancelling_twice_ends_it_once)
{
	struct weir_file a, b;
	struct seen seen = { 0 };
	struct weir_op op = { 0 };
	char buf[4];

	ASSERT_EQ(0, pair_open(self->loop, &self->server, &a, &b));
	weir_prep_recv(&op, b, buf, sizeof(buf), seen_done, &seen);
	weir_submit(self->loop, &op);
	ASSERT_LE(0, weir_loop_run_once(self->loop, 0));
	weir_cancel(self->loop, &op);
	weir_cancel(self->loop, &op);
	EXPECT_EQ(0, seen.events);
	RUN_UNTIL(self->loop, seen.terminals);
	ASSERT_LE(0, weir_loop_run_once(self->loop, 0));
	EXPECT_RESULT(&seen, -ECANCELED, WEIR_ORIGIN_CANCELLED);
	weir_cancel(self->loop, &op);
	EXPECT_EQ(1, seen.events);
	/* The byte it did not take is there for the next one. */
	EXPECT_EQ(1, do_send(self->loop, a, "x", 1));
	EXPECT_EQ(1, do_recv(self->loop, b, buf, sizeof(buf)));
}

TEST_F(op, what_is_not_known_is_refused_by_the_library)
{
	struct seen seen = { 0 };
	struct weir_op op = { 0 };

	weir_prep_nop(&op, seen_done, &seen);
	op.flags = 1 << 7;
	EXPECT_EQ(-EINVAL, op_do(self->loop, &op));
	weir_prep_nop(&op, seen_done, &seen);
	op.flags = WEIR_OPF_MULTISHOT;
	EXPECT_EQ(-EINVAL, op_do(self->loop, &op));
	weir_prep_nop(&op, seen_done, &seen);
	op.opcode = WEIR_OP_MAX;
	EXPECT_EQ(-EINVAL, op_do(self->loop, &op));
	weir_prep_recv(&op, self->server.file, &seen, UINT32_MAX, seen_done, &seen);
	EXPECT_EQ(-EINVAL, op_do(self->loop, &op));
	EXPECT_EQ(4, seen.terminals);
	EXPECT_EQ(WEIR_ORIGIN_LIBRARY, seen.origin);
	EXPECT_EQ(0, strcmp("?", weir_op_name(WEIR_OP_MAX)));
}

TEST_F(op, flags_of_a_transfer_that_backends_disagree_on_are_refused)
{
	static const int bad[] = { MSG_DONTWAIT, MSG_WAITALL, MSG_OOB, MSG_TRUNC, MSG_ERRQUEUE };
	struct seen seen = { 0 };
	struct weir_op op = { 0 };
	struct weir_file a, b;
	char buf[4] = "";
	size_t i;

	ASSERT_EQ(0, pair_open(self->loop, &self->server, &a, &b));
	for (i = 0; i < ARRAY_SIZE(bad); i++) {
		weir_prep_send(&op, a, "no", 2, seen_done, &seen);
		op.xfer.msg_flags = bad[i];
		EXPECT_EQ(-EINVAL, op_do(self->loop, &op));
		weir_prep_recv(&op, b, buf, sizeof(buf), seen_done, &seen);
		op.xfer.msg_flags = bad[i];
		EXPECT_EQ(-EINVAL, op_do(self->loop, &op));
	}
	EXPECT_EQ(WEIR_ORIGIN_LIBRARY, seen.origin);
	weir_prep_recv(&op, b, buf, sizeof(buf), seen_done, &seen);
	op.xfer.msg_flags = MSG_MORE;
	EXPECT_EQ(-EINVAL, op_do(self->loop, &op));
	weir_prep_send(&op, a, "ye", 2, seen_done, &seen);
	op.xfer.msg_flags = MSG_MORE | MSG_NOSIGNAL;
	EXPECT_EQ(2, op_do(self->loop, &op));
	EXPECT_EQ(1, do_send(self->loop, a, "s", 1));
	/* What was to wait for more may have left alone, if that took long. */
	do {
		weir_prep_recv(&op, b, buf, sizeof(buf), seen_done, &seen);
		op.xfer.msg_flags = MSG_PEEK;
		ASSERT_LT(0, op_do(self->loop, &op));
	} while (op.res < 3);
	EXPECT_EQ(3, do_recv(self->loop, b, buf, sizeof(buf)));
	EXPECT_EQ(0, memcmp("yes", buf, 3));
}

/* In flight since before the fork. */
struct twice {
	struct weir_loop *loop;
	struct weir_file file;
	struct weir_op op;
	struct seen seen;
	char buf[4];
};

static void submit_again(void *arg)
{
	struct twice *twice = arg;

	weir_submit(twice->loop, &twice->op);
}

TEST_F(op, submitting_what_is_in_flight_aborts_and_names_it)
{
	struct twice twice = { .loop = self->loop };
	struct weir_file other;
	char text[512];
	int status;

	ASSERT_EQ(0, pair_open(self->loop, &self->server, &twice.file, &other));
	weir_prep_recv(&twice.op, twice.file, twice.buf, sizeof(twice.buf), seen_done,
		       &twice.seen);
	weir_submit(self->loop, &twice.op);
	status = run_child(submit_again, &twice, text, sizeof(text));
	weir_cancel(self->loop, &twice.op);
	RUN_UNTIL(self->loop, twice.seen.terminals);
	EXPECT_TRUE(WIFSIGNALED(status));
	EXPECT_EQ(SIGABRT, WTERMSIG(status));
	EXPECT_NE(NULL, strstr(text, "recv"));
	EXPECT_NE(NULL, strstr(text, "test_op.c:"));
	EXPECT_NE(NULL, strstr(text, "submitted again"));
}

static void free_done(struct weir_op *op)
{
	unsigned int *count = op->ctx;

	++*count;
	free(op);
}

TEST_F(op, an_operation_may_be_freed_by_its_own_callback)
{
	struct weir_op *op[64];
	unsigned int count = 0;
	size_t i;

	for (i = 0; i < ARRAY_SIZE(op); i++) {
		op[i] = calloc(1, sizeof(**op));
		ASSERT_NE(NULL, op[i]);
		if (i % 2)
			weir_prep_nop(op[i], free_done, &count);
		else
			weir_prep_timeout(op[i], weir_loop_now(self->loop) + i, free_done,
					  &count);
		weir_submit(self->loop, op[i]);
	}
	RUN_UNTIL(self->loop, count == ARRAY_SIZE(op));
}

TEST_HARNESS_MAIN
