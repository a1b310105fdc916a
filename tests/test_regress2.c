// SPDX-License-Identifier: GPL-2.0-only
/*
 * test_regress2.c - more faults that were found once and must not come back:
 * arguments that backends took in different ways, ends that never came
 */
#include <fcntl.h>
#include <pthread.h>
#include <semaphore.h>
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

/* Where descriptors, threads and real time are needed. */

FIXTURE(kernel)
{
	struct weir_loop_opts opts;
	struct weir_loop *a;
	struct weir_loop *b;
	struct weir_op op;
	unsigned int left;
};

KERNEL_VARIANTS(kernel);

FIXTURE_SETUP(kernel)
{
	self->opts.sz = sizeof(self->opts);
	self->opts.backend = variant->name;
	OPEN_LOOP(&self->a, &self->opts);
	OPEN_LOOP(&self->b, &self->opts);
	ASSERT_LE(0, weir_loop_run_once(self->a, 0));
	ASSERT_LE(0, weir_loop_run_once(self->b, 0));
}

FIXTURE_TEARDOWN(kernel)
{
	EXPECT_EQ(0, weir_loop_close(self->a, LIMIT_NS));
	EXPECT_EQ(0, weir_loop_close(self->b, LIMIT_NS));
}

static void begin_anew(struct weir_op *op)
{
	unsigned int *left = op->ctx;

	if (!*left)
		return;
	--*left;
	weir_prep_nop(op, begin_anew, left);
	weir_submit(op->lib_loop, op);
}

TEST_F(kernel, a_close_gives_up_on_who_begins_anew_each_time)
{
	self->left = 10000000;	/* far more than there is time for */
	weir_prep_nop(&self->op, begin_anew, &self->left);
	weir_submit(self->a, &self->op);
	EXPECT_EQ(-ETIMEDOUT, weir_loop_close(self->a, 20 * NSEC_PER_MSEC));
	EXPECT_NE(0, self->left);
	self->left = 0;
}

struct told {
	struct weir_post post;
	struct weir_loop *from;
	struct weir_loop *to;
	sem_t parked;
	sem_t sent;	/* who hears a message does not know that its sender is done */
	unsigned int heard;
};

static void hear(struct weir_post *post)
{
	struct told *told = post->ctx;

	told->heard++;
}

static void tell(struct weir_op *op)
{
	struct told *told = op->ctx;

	if (weir_post(told->from, told->to, &told->post))
		abort();
}

static void on_parking(void *ctx)
{
	struct told *told = ctx;

	sem_post(&told->parked);
}

/* Its one turn looks for messages before it parks, and after it: a stall is none. */
static void *listen_and_close(void *arg)
{
	struct told *told = arg;
	uint64_t before = real_ns();

	if (weir_loop_run_once(told->to, STALL_NS) < 0 || real_ns() - before >= STALL_NS)
		told->heard = 0;
	sem_wait(&told->sent);
	if (weir_loop_close(told->to, LIMIT_NS))
		abort();
	return NULL;
}

/* The bell lay in a ring that nobody submitted any more. */
TEST_F(kernel, the_last_message_of_a_loop_that_has_run_is_heard)
{
	struct told told = { .post = { .fn = hear, .ctx = &told }, .from = self->a };
	struct weir_loop_hooks hooks = { .parking = on_parking, .ctx = &told };
	struct weir_op op = { 0 };
	pthread_t thread;

	self->opts.hooks = &hooks;
	ASSERT_EQ(0, weir_loop_open(&told.to, &self->opts));
	ASSERT_EQ(0, sem_init(&told.parked, 0, 0));
	ASSERT_EQ(0, sem_init(&told.sent, 0, 0));
	ASSERT_EQ(0, pthread_create(&thread, NULL, listen_and_close, &told));
	sem_wait(&told.parked);
	weir_prep_nop(&op, tell, &told);
	weir_submit(self->a, &op);
	EXPECT_EQ(1, weir_loop_run(self->a));
	sem_post(&told.sent);
	ASSERT_EQ(0, pthread_join(thread, NULL));
	EXPECT_EQ(1, told.heard);
}

static void on_passed(struct weir_pass *pass)
{
	bool *passed = pass->ctx;

	*passed = true;
}

/* What was known of the socket stayed behind: the datagram was taken for an end. */
TEST_F(kernel, a_datagram_socket_stays_one_when_it_is_handed_over)
{
	struct sockaddr_in addr = {
		.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
	};
	struct weir_pool_opts shape = { .sz = sizeof(shape), .buf_bytes = 256, .count = 8 };
	socklen_t len = sizeof(addr);
	bool passed = false;
	struct weir_pass pass = { .done = on_passed, .ctx = &passed };
	struct weir_pool *pool;
	struct seen seen = { 0 };
	struct weir_op op = { 0 };
	int in = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	int out = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	struct weir_file file;
	uint64_t end = real_ns() + LIMIT_NS;

	ASSERT_EQ(0, bind(in, (struct sockaddr *)&addr, sizeof(addr)));
	ASSERT_EQ(0, getsockname(in, (struct sockaddr *)&addr, &len));
	ASSERT_EQ(0, weir_file_adopt(self->a, in, &file));
	ASSERT_EQ(0, weir_file_pass(self->a, file, self->b, &pass));
	while (!passed && real_ns() < end) {
		ASSERT_LE(0, weir_loop_run_once(self->a, NSEC_PER_MSEC));
		ASSERT_LE(0, weir_loop_run_once(self->b, NSEC_PER_MSEC));
	}
	ASSERT_TRUE(passed);
	ASSERT_EQ(0, pass.res);
	ASSERT_EQ(0, weir_pool_open(&pool, self->b, &shape));
	weir_prep_recv_pool(&op, pass.file, pool, seen_done, &seen);
	weir_submit(self->b, &op);
	ASSERT_EQ(0, sendto(out, "", 0, 0, (struct sockaddr *)&addr, sizeof(addr)));
	RUN_UNTIL(self->b, seen.events);
	EXPECT_EQ(0, seen.terminals);
	weir_cancel(self->b, &op);
	RUN_UNTIL(self->b, seen.terminals);
	weir_pool_close(pool);
	close(out);
}

TEST_HARNESS_MAIN
