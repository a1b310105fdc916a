// SPDX-License-Identifier: GPL-2.0-only
/*
 * test_regress2.c - more faults that were found once and must not come back:
 * arguments that backends took in different ways, ends that never came
 */
#include <fcntl.h>
#include <pthread.h>
#include <sys/uio.h>

#include <weir/pass.h>
#include <weir/post.h>

#include "backends.h"
#include "kselftest_harness.h"

/* On every backend. */

FIXTURE(regress)
{
	struct weir_loop *loop;
	struct server server;
	struct weir_file client;
	struct weir_file accepted;
	struct weir_op op;
	struct seen seen;
};

BACKEND_VARIANTS(regress);

FIXTURE_SETUP(regress)
{
	struct weir_loop_opts opts = { .sz = sizeof(opts), .backend = variant->name };

	OPEN_LOOP(&self->loop, &opts);
	ASSERT_EQ(0, server_open(self->loop, &self->server, 16));
	ASSERT_EQ(0, pair_open(self->loop, &self->server, &self->client, &self->accepted));
}

FIXTURE_TEARDOWN(regress)
{
	EXPECT_EQ(0, weir_loop_close(self->loop, LIMIT_NS));
}

TEST_F(regress, bytes_that_are_nowhere_are_refused)
{
	struct iovec iov = { .iov_base = NULL, .iov_len = 5 };
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1 };

	ASSERT_EQ(5, do_send(self->loop, self->client, "hello", 5));
	EXPECT_EQ(-EFAULT, do_recv(self->loop, self->accepted, NULL, 5));
	EXPECT_EQ(-EFAULT, do_send(self->loop, self->client, NULL, 5));
	weir_prep_recvmsg(&self->op, self->accepted, &msg, 0, seen_done, &self->seen);
	EXPECT_EQ(-EFAULT, op_do(self->loop, &self->op));
	weir_prep_sendmsg(&self->op, self->client, &msg, 0, seen_done, &self->seen);
	EXPECT_EQ(-EFAULT, op_do(self->loop, &self->op));
	EXPECT_EQ(0, do_send(self->loop, self->client, NULL, 0));
}

TEST_F(regress, events_that_poll_does_not_know_are_refused)
{
	uint32_t bit;

	/* Above those of poll(2), but for POLLRDHUP, they are epoll's or nobody's. */
	for (bit = 1U << 11; bit; bit <<= 1) {
		if (bit == POLLRDHUP)
			continue;
		weir_prep_poll(&self->op, self->client, POLLOUT | bit, seen_done, &self->seen);
		EXPECT_EQ(-EINVAL, op_do(self->loop, &self->op));
	}
	weir_prep_poll(&self->op, self->client, POLLOUT | POLLRDHUP, seen_done, &self->seen);
	EXPECT_EQ(POLLOUT, op_do(self->loop, &self->op));
}

/* Of io_uring the highest bit says that the first file is a slot of its table. */
TEST_F(regress, flags_that_splice_does_not_know_are_refused)
{
	struct weir_file rd, wr;
	uint32_t bit;

	ASSERT_EQ(0, weir_pipe_open(self->loop, &rd, &wr));
	for (bit = 1U << 4; bit; bit <<= 1) {
		weir_prep_splice(&self->op, rd, -1, self->client, -1, 4, bit, seen_done,
				 &self->seen);
		EXPECT_EQ(-EINVAL, op_do(self->loop, &self->op));
	}
}

/* It was armed again and again by a loop that did nothing else. */
TEST_F(regress, a_poll_that_goes_on_ends_where_there_are_no_edges)
{
	const char *path = on_sim(self->loop) ? "/file" : "/proc/self/exe";
	struct weir_file file;

	ASSERT_EQ(0, weir_file_open(self->loop, path, on_sim(self->loop) ? O_RDWR | O_CREAT :
				    O_RDONLY, 0600, &file));
	weir_prep_poll_multi(&self->op, file, POLLIN, seen_done, &self->seen);
	weir_submit(self->loop, &self->op);
	RUN_UNTIL(self->loop, self->seen.terminals || self->seen.events > 2);
	EXPECT_RESULT(&self->seen, -EINVAL, WEIR_ORIGIN_KERNEL);
	EXPECT_EQ(2, self->seen.events);
}

TEST_HARNESS_MAIN
