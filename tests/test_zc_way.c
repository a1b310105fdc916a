// SPDX-License-Identifier: GPL-2.0-only
/*
 * test_zc_way.c - which sends go without a copy, and what they leave behind
 */
#include "socks.h"
#include "zc.h"

#include "kselftest_harness.h"

FIXTURE(way) {
	struct weir_loop *loop;
	struct weir_pool *pool;
	struct server server;
	struct weir_file ends[2];
};

KERNEL_VARIANTS(way);

FIXTURE_SETUP(way)
{
	struct weir_loop_opts opts = { .sz = sizeof(opts), .backend = variant->name };

	OPEN_LOOP(&self->loop, &opts);
	if (lends(self->loop) && !probe_says("send_zc"))
		SKIP(_exit(KSFT_SKIP), "no IORING_OP_SEND_ZC here");
	self->pool = open_pool(self->loop);
	ASSERT_NE(NULL, self->pool);
}

FIXTURE_TEARDOWN(way)
{
	EXPECT_EQ(0, weir_loop_close(self->loop, LIMIT_NS));
	EXPECT_EQ(0, weir_pool_close(self->pool));
}

/* From one end to the other, @len bytes: its result. Returns when nothing is lent. */
static int carry(struct _test_data_way *self, uint32_t len)
{
	static unsigned char buf[BUF_BYTES];
	struct weir_lease *lease;
	struct seen seen = { 0 };
	struct weir_op op = { 0 };
	int res, came, n;

	if (weir_pool_lease(self->pool, &lease))
		return -ENOBUFS;
	fill(weir_lease_data(lease), len, 0);
	weir_prep_send_lease(&op, self->ends[0], lease, weir_lease_data(lease), len, seen_done,
			     &seen);
	res = op_do(self->loop, &op);
	weir_lease_put(lease);
	for (came = 0; came < res; came += n) {
		n = do_recv(self->loop, self->ends[1], buf + came, sizeof(buf) - (uint32_t)came);
		if (n <= 0)
			return -EPROTO;
	}
	for (n = 0; n < came; n++) {
		if (buf[n] != pattern((uint64_t)n))
			return -EBADMSG;
	}
	while (stats_of(self->loop).zc_bytes && !run_turn(self->loop))
		;
	return seen.terminals == 1 ? res : -EPROTO;
}

TEST_F(way, over_which_the_kernel_copies_is_not_tried_again)
{
	int i;

	ASSERT_EQ(0, server_open(self->loop, &self->server, 4));
	ASSERT_EQ(0, pair_open(self->loop, &self->server, &self->ends[0], &self->ends[1]));
	for (i = 0; i < 8; i++)
		ASSERT_EQ(BUF_BYTES, carry(self, BUF_BYTES));
	EXPECT_EQ(lends(self->loop) ? LEND_COPIED_MAX : 0, stats_of(self->loop).zc_sends);
	EXPECT_EQ(lends(self->loop) ? LEND_COPIED_MAX : 0, stats_of(self->loop).zc_copied);
	EXPECT_EQ(0, do_close(self->loop, self->ends[0]));
	/* Another connection is another way. */
	EXPECT_EQ(0, do_close(self->loop, self->ends[1]));
	ASSERT_EQ(0, pair_open(self->loop, &self->server, &self->ends[0], &self->ends[1]));
	ASSERT_EQ(BUF_BYTES, carry(self, BUF_BYTES));
	EXPECT_EQ(lends(self->loop) ? LEND_COPIED_MAX + 1 : 0, stats_of(self->loop).zc_sends);
}

TEST_F(way, that_the_kernel_cannot_send_over_without_a_copy_is_sent_over_with_one)
{
	int fds[2], i;

	ASSERT_EQ(0, socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds));
	for (i = 0; i < 2; i++)
		ASSERT_EQ(0, weir_file_adopt(self->loop, fds[i], &self->ends[i]));
	for (i = 0; i < 3; i++)
		EXPECT_EQ(BUF_BYTES, carry(self, BUF_BYTES));
	EXPECT_EQ(0, stats_of(self->loop).zc_sends);
	EXPECT_EQ(0, stats_of(self->loop).errors);
	EXPECT_EQ(lends(self->loop) ? LEND_CANNOT : 0,
		  self->loop->files[self->ends[0].index].copied);
	EXPECT_TRUE(pool_whole(self->pool));
}

TEST_F(way, that_is_broken_tells_the_error_of_an_ordinary_send)
{
	struct weir_lease *lease;
	struct seen seen = { 0 };
	struct weir_op op = { 0 };

	ASSERT_EQ(0, server_open(self->loop, &self->server, 4));
	ASSERT_EQ(0, pair_open(self->loop, &self->server, &self->ends[0], &self->ends[1]));
	ASSERT_EQ(0, DO_OP(self->loop, weir_prep_shutdown, self->ends[0], SHUT_WR));
	ASSERT_EQ(0, weir_pool_lease(self->pool, &lease));
	weir_prep_send_lease(&op, self->ends[0], lease, weir_lease_data(lease), BUF_BYTES,
			     seen_done, &seen);
	op_do(self->loop, &op);
	EXPECT_RESULT(&seen, -EPIPE, WEIR_ORIGIN_KERNEL);
	weir_lease_put(lease);
	RUN_UNTIL(self->loop, pool_whole(self->pool));
	EXPECT_EQ(0, stats_of(self->loop).zc_sends);
}

TEST_F(way, is_not_tried_where_it_is_switched_off)
{
	struct weir_loop_opts opts = {
		.sz = sizeof(opts), .backend = variant->name, .zc_min_bytes = UINT32_MAX,
		.flags = WEIR_LOOP_ZC_ALWAYS,
	};

	EXPECT_EQ(0, weir_loop_close(self->loop, LIMIT_NS));
	EXPECT_EQ(0, weir_pool_close(self->pool));
	ASSERT_EQ(0, weir_loop_open(&self->loop, &opts));
	self->pool = open_pool(self->loop);
	ASSERT_NE(NULL, self->pool);
	ASSERT_EQ(0, server_open(self->loop, &self->server, 4));
	ASSERT_EQ(0, pair_open(self->loop, &self->server, &self->ends[0], &self->ends[1]));
	EXPECT_EQ(BUF_BYTES, carry(self, BUF_BYTES));
	EXPECT_EQ(0, stats_of(self->loop).zc_sends);
}

/* A notification comes as a completion, whose place in the queue must be its own. */
TEST_F(way, is_not_tried_where_the_completion_queue_has_no_place_left)
{
	struct weir_loop_opts opts = {
		.sz = sizeof(opts), .backend = variant->name, .flags = WEIR_LOOP_ZC_ALWAYS,
		.files_max = 64, .bufs_max = 64,
	};
	int i;

	EXPECT_EQ(0, weir_pool_close(self->pool));
	EXPECT_EQ(0, weir_loop_close(self->loop, LIMIT_NS));
	opts.ops_max = WEIR_LOOP_CQ_MAX - opts.files_max - opts.bufs_max - 2 * SLOT_RESERVE;
	ASSERT_EQ(0, weir_loop_open(&self->loop, &opts));
	self->pool = open_pool(self->loop);
	ASSERT_NE(NULL, self->pool);
	ASSERT_EQ(0, server_open(self->loop, &self->server, 4));
	ASSERT_EQ(0, pair_open(self->loop, &self->server, &self->ends[0], &self->ends[1]));
	for (i = 0; i < 3; i++)
		EXPECT_EQ(BUF_BYTES, carry(self, BUF_BYTES));
	EXPECT_EQ(0, stats_of(self->loop).zc_sends);
	EXPECT_EQ(0, stats_of(self->loop).errors);
	EXPECT_EQ(3, stats_of(self->loop).sends);
}

/* A plain socket that is connected to the server, and the end of it in the loop. */
static int guest_open(struct _test_data_way *self, struct weir_file *filep)
{
	unsigned int before = self->server.seen.events;
	const int bytes = 16 << 10;
	int fd;

	fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -errno;
	if (setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &bytes, sizeof(bytes)) ||
	    connect(fd, (struct sockaddr *)&self->server.addr, sizeof(self->server.addr))) {
		close(fd);
		return -ECONNABORTED;
	}
	while (self->server.seen.events == before && !run_turn(self->loop))
		;
	*filep = self->server.seen.file;
	return fd;
}

/* What the kernel does not get rid of keeps a ring, with each file of its table. */
TEST_F(way, of_one_that_does_not_read_keeps_no_other_open_when_the_loop_is_closed)
{
	struct weir_loop_opts opts = { .sz = sizeof(opts), .backend = variant->name };
	struct pollfd pfd = { .events = POLLIN };
	struct weir_lease *lease;
	struct seen seen = { 0 };
	struct weir_op op = { 0 };
	int slow, idle;
	char byte;

	ASSERT_EQ(0, server_open(self->loop, &self->server, 4));
	slow = guest_open(self, &self->ends[0]);
	ASSERT_LE(0, slow);
	idle = guest_open(self, &self->ends[1]);
	ASSERT_LE(0, idle);
	do {
		ASSERT_EQ(0, weir_pool_lease(self->pool, &lease));
		weir_prep_send_lease(&op, self->ends[0], lease, weir_lease_data(lease), BUF_BYTES,
				     seen_done, &seen);
		op.deadline_ns = weir_loop_now(self->loop) + NSEC_PER_SEC / 5;
		op_do(self->loop, &op);
		weir_lease_put(lease);
	} while (seen.res > 0);
	EXPECT_EQ(-ETIME, seen.res);
	EXPECT_EQ(lends(self->loop), !!stats_of(self->loop).zc_bytes);
	EXPECT_EQ(0, weir_loop_close(self->loop, LIMIT_NS));
	EXPECT_EQ(0, weir_pool_close(self->pool));
	pfd.fd = idle;
	EXPECT_EQ(1, poll(&pfd, 1, (int)(LIMIT_NS / NSEC_PER_MSEC)));
	EXPECT_EQ(0, recv(idle, &byte, 1, MSG_DONTWAIT));
	close(idle);
	close(slow);
	ASSERT_EQ(0, weir_loop_open(&self->loop, &opts));
	self->pool = open_pool(self->loop);
	ASSERT_NE(NULL, self->pool);
}

TEST_HARNESS_MAIN
