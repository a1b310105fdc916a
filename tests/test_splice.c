// SPDX-License-Identifier: GPL-2.0-only
/*
 * test_splice.c - pipes of a loop, and splicing through them
 */
#include <fcntl.h>
#include <stdio.h>

#include "backends.h"
#include "files.h"
#include "kselftest_harness.h"

FIXTURE(splice)
{
	struct weir_loop *loop;
	struct weir_file file;
	struct weir_file rd;
	struct weir_file wr;
	char path[TEMP_PATH];
	struct weir_op op;
	struct seen seen;
	struct server server;
	char buf[64];
};

BACKEND_VARIANTS(splice);

FIXTURE_SETUP(splice)
{
	struct weir_loop_opts opts = {
		.sz = sizeof(opts), .backend = variant->name, .files_max = 8,
		.offload_threads = 1,
	};

	OPEN_LOOP(&self->loop, &opts);
	ASSERT_EQ(0, temp_open(self->loop, self->path, &self->file));
	ASSERT_EQ(11, do_write(self->loop, self->file, "hello world", 11, 0));
	ASSERT_EQ(0, weir_pipe_open(self->loop, &self->rd, &self->wr));
}

FIXTURE_TEARDOWN(splice)
{
	EXPECT_EQ(0, weir_loop_close(self->loop, LIMIT_NS));
	unlink(self->path);
}

static void start(struct weir_loop *loop, struct weir_op *op, struct seen *seen,
		  struct weir_file from, struct weir_file to, uint32_t len)
{
	weir_prep_splice(op, from, -1, to, -1, len, 0, seen_done, seen);
	weir_submit(loop, op);
}

TEST_F(splice, what_is_written_to_a_pipe_is_read_from_it)
{
	EXPECT_EQ(3, do_write(self->loop, self->wr, "abc", 3, 0));
	EXPECT_EQ(3, do_read(self->loop, self->rd, self->buf, sizeof(self->buf), 0));
	EXPECT_STREQ("abc", self->buf);
	EXPECT_EQ(0, do_close(self->loop, self->wr));
	EXPECT_EQ(0, do_read(self->loop, self->rd, self->buf, sizeof(self->buf), 0));
}

TEST_F(splice, reading_an_empty_pipe_waits_and_holds_up_nobody)
{
	weir_prep_read(&self->op, self->rd, self->buf, sizeof(self->buf), 0, seen_done,
		       &self->seen);
	weir_submit(self->loop, &self->op);
	EXPECT_EQ(1, do_write(self->loop, self->file, "J", 1, 0));
	EXPECT_EQ(0, self->seen.events);
	EXPECT_EQ(2, do_write(self->loop, self->wr, "hi", 2, 0));
	RUN_UNTIL(self->loop, self->seen.terminals);
	EXPECT_RESULT(&self->seen, 2, WEIR_ORIGIN_KERNEL);
}

TEST_F(splice, writing_to_a_pipe_without_a_reader_fails)
{
	signal(SIGPIPE, SIG_IGN);
	EXPECT_EQ(0, do_close(self->loop, self->rd));
	EXPECT_EQ(-EPIPE, do_write(self->loop, self->wr, "x", 1, 0));
}

TEST_F(splice, a_file_goes_through_a_pipe_into_another_file)
{
	struct weir_file to;

	ASSERT_EQ(0, do_open(self->loop, self->path, O_RDWR, &to));
	EXPECT_EQ(5, do_splice(self->loop, self->file, 6, self->wr, -1, 5));
	EXPECT_EQ(5, do_splice(self->loop, self->rd, -1, to, 20, 64));
	EXPECT_EQ(25, do_read(self->loop, self->file, self->buf, sizeof(self->buf), 0));
	EXPECT_EQ(0, memcmp(self->buf + 20, "world", 5));
	/* At its end a file gives nothing. */
	EXPECT_EQ(0, do_splice(self->loop, self->file, 25, self->wr, -1, 5));
}

TEST_F(splice, a_file_goes_through_a_pipe_into_a_socket)
{
	struct weir_file client, accepted;

	ASSERT_EQ(0, server_open(self->loop, &self->server, 1));
	ASSERT_EQ(0, pair_open(self->loop, &self->server, &client, &accepted));
	EXPECT_EQ(11, do_splice(self->loop, self->file, 0, self->wr, -1, 11));
	EXPECT_EQ(11, do_splice(self->loop, self->rd, -1, accepted, -1, 11));
	EXPECT_EQ(11, do_recv(self->loop, client, self->buf, sizeof(self->buf)));
	EXPECT_STREQ("hello world", self->buf);
	/* And back. */
	EXPECT_EQ(3, do_send(self->loop, client, "abc", 3));
	EXPECT_EQ(3, do_splice(self->loop, accepted, -1, self->wr, -1, 11));
	EXPECT_EQ(3, do_splice(self->loop, self->rd, -1, self->file, 0, 11));
	EXPECT_EQ(11, do_read(self->loop, self->file, self->buf, sizeof(self->buf), 0));
	EXPECT_STREQ("abclo world", self->buf);
}

TEST_F(splice, an_empty_pipe_is_waited_for_and_holds_up_nobody)
{
	start(self->loop, &self->op, &self->seen, self->rd, self->file, 64);
	EXPECT_EQ(2, do_read(self->loop, self->file, self->buf, 2, 0));
	EXPECT_EQ(0, self->seen.events);
	EXPECT_EQ(4, do_write(self->loop, self->wr, "HELL", 4, 0));
	RUN_UNTIL(self->loop, self->seen.terminals);
	EXPECT_RESULT(&self->seen, 4, WEIR_ORIGIN_KERNEL);
}

TEST_F(splice, a_full_pipe_is_waited_for)
{
	static char block[4096];
	int n;

	/* One page a write: what remains would fit no more. */
	for (n = 0; n < 16; n++)
		ASSERT_EQ(4096, do_write(self->loop, self->wr, block, 4096, 0));
	weir_prep_splice(&self->op, self->file, 0, self->wr, -1, 11, 0, seen_done, &self->seen);
	weir_submit(self->loop, &self->op);
	EXPECT_EQ(2, do_read(self->loop, self->file, self->buf, 2, 0));
	EXPECT_EQ(0, self->seen.events);
	EXPECT_EQ(4096, do_read(self->loop, self->rd, block, 4096, 0));
	RUN_UNTIL(self->loop, self->seen.terminals);
	EXPECT_RESULT(&self->seen, 11, WEIR_ORIGIN_KERNEL);
}

TEST_F(splice, one_that_waits_can_be_cancelled)
{
	start(self->loop, &self->op, &self->seen, self->rd, self->file, 64);
	ASSERT_LE(0, weir_loop_run_once(self->loop, 0));
	weir_cancel(self->loop, &self->op);
	RUN_UNTIL(self->loop, self->seen.terminals);
	EXPECT_RESULT(&self->seen, -ECANCELED, WEIR_ORIGIN_CANCELLED);
	EXPECT_EQ(0, do_close(self->loop, self->rd));
}

TEST_F(splice, closing_either_file_ends_it_before_the_close_ends)
{
	struct weir_file closed[2] = { self->rd, self->file };
	struct weir_file rd, wr;
	struct seen seen = { 0 };
	struct weir_op op = { 0 };
	unsigned int i;

	for (i = 0; i < 2; i++) {
		memset(&self->seen, 0, sizeof(self->seen));
		start(self->loop, &self->op, &self->seen, closed[0], self->file, 64);
		ASSERT_LE(0, weir_loop_run_once(self->loop, 0));
		weir_prep_close(&op, closed[i], seen_done, &seen);
		ASSERT_EQ(0, op_do(self->loop, &op));
		EXPECT_RESULT(&self->seen, -ECANCELED, WEIR_ORIGIN_CANCELLED);
		EXPECT_LT(self->seen.serial, seen.serial);
		ASSERT_EQ(0, weir_pipe_open(self->loop, &rd, &wr));
		closed[0] = rd;
	}
}

TEST_F(splice, told_not_to_wait_it_says_try_again)
{
	weir_prep_splice(&self->op, self->rd, -1, self->file, 0, 4, SPLICE_F_NONBLOCK,
			 seen_done, &self->seen);
	EXPECT_EQ(-EAGAIN, op_do(self->loop, &self->op));
}

TEST_F(splice, bad_arguments_are_refused)
{
	struct weir_file none = { 0, 0 };

	EXPECT_EQ(-EINVAL, do_splice(self->loop, self->file, 0, self->file, 20, 4));
	EXPECT_EQ(-EBADF, do_splice(self->loop, none, -1, self->file, 0, 4));
	EXPECT_EQ(-EBADF, do_splice(self->loop, self->rd, -1, none, 0, 4));
	EXPECT_EQ(-EINVAL, do_splice(self->loop, self->file, -2, self->wr, -1, 4));
	EXPECT_EQ(-EINVAL, do_splice(self->loop, self->rd, -1, self->file, INT64_MIN, 4));
	EXPECT_EQ(-ESPIPE, do_splice(self->loop, self->file, 0, self->wr, 7, 4));
	EXPECT_EQ(-EBADF, do_splice(self->loop, self->wr, -1, self->file, 0, 4));
	EXPECT_EQ(-EINVAL, do_splice(self->loop, self->file, 0, self->wr, -1, UINT32_MAX));
	weir_prep_splice(&self->op, self->file, 0, self->wr, -1, 4, 1 << 20, seen_done,
			 &self->seen);
	EXPECT_EQ(-EINVAL, op_do(self->loop, &self->op));
}

TEST_F(splice, a_pipe_needs_two_places)
{
	struct weir_file rd = { 7, 7 }, wr = { 7, 7 };
	struct weir_file more[2];

	ASSERT_EQ(0, weir_pipe_open(self->loop, &more[0], &more[1]));
	ASSERT_EQ(0, weir_pipe_open(self->loop, &more[0], &more[1]));
	EXPECT_EQ(-ENFILE, weir_pipe_open(self->loop, &rd, &wr));
	EXPECT_EQ(7, rd.index);
	EXPECT_EQ(7, wr.gen);
	EXPECT_EQ(7, stats_of(self->loop).files);
	EXPECT_EQ(0, do_close(self->loop, self->rd));
	EXPECT_EQ(0, weir_pipe_open(self->loop, &rd, &wr));
}

TEST_HARNESS_MAIN
