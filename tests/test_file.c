// SPDX-License-Identifier: GPL-2.0-only
/*
 * test_file.c - reading and writing files; handles of descriptors
 */
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>

#include "backends.h"
#include "files.h"
#include "kselftest_harness.h"

enum { BLOCKS = 64, BLOCK_BYTES = 4096 };

FIXTURE(file)
{
	struct weir_loop *loop;
	struct weir_file file;
	char path[TEMP_PATH];
	struct weir_op op;
	struct seen seen;
};

BACKEND_VARIANTS(file);

FIXTURE_SETUP(file)
{
	struct weir_loop_opts opts = {
		.sz = sizeof(opts), .backend = variant->name, .files_max = 16,
	};

	OPEN_LOOP(&self->loop, &opts);
	ASSERT_EQ(0, temp_open(self->loop, self->path, &self->file));
}

FIXTURE_TEARDOWN(file)
{
	EXPECT_EQ(0, weir_loop_close(self->loop, LIMIT_NS));
	unlink(self->path);
}

TEST_F(file, what_is_written_at_an_offset_is_read_there)
{
	char buf[16] = "xxxxxxxxxxxxxxx";

	EXPECT_EQ(5, do_write(self->loop, self->file, "hello", 5, 3));
	EXPECT_EQ(5, do_read(self->loop, self->file, buf, 5, 3));
	EXPECT_EQ(0, memcmp(buf, "hello", 5));
	/* Over the middle, and the hole before it. */
	EXPECT_EQ(2, do_write(self->loop, self->file, "LL", 2, 5));
	EXPECT_EQ(8, do_read(self->loop, self->file, buf, 8, 0));
	EXPECT_EQ(0, memcmp(buf, "\0\0\0heLLo", 8));
	EXPECT_EQ(7, stats_of(self->loop).bytes_out);
	EXPECT_EQ(13, stats_of(self->loop).bytes_in);
}

TEST_F(file, reading_at_the_end_is_short_and_then_zero)
{
	char buf[64];

	EXPECT_EQ(10, do_write(self->loop, self->file, "0123456789", 10, 0));
	EXPECT_EQ(4, do_read(self->loop, self->file, buf, sizeof(buf), 6));
	EXPECT_EQ(0, memcmp(buf, "6789", 4));
	EXPECT_EQ(0, do_read(self->loop, self->file, buf, sizeof(buf), 10));
	EXPECT_EQ(0, do_read(self->loop, self->file, buf, sizeof(buf), 1000));
}

TEST_F(file, many_at_once_each_get_their_own_block)
{
	static unsigned char block[BLOCKS][BLOCK_BYTES], got[BLOCKS][BLOCK_BYTES];
	static struct weir_op op[BLOCKS];
	static struct seen seen[BLOCKS];
	unsigned int i, ended;

	for (i = 0; i < BLOCKS; i++) {
		memset(block[i], (int)i + 1, BLOCK_BYTES);
		weir_prep_write(&op[i], self->file, block[i], BLOCK_BYTES,
				(uint64_t)i * BLOCK_BYTES, seen_done, &seen[i]);
		weir_submit(self->loop, &op[i]);
	}
	for (i = 0; i < BLOCKS; i++) {
		RUN_UNTIL(self->loop, seen[i].terminals);
		EXPECT_RESULT(&seen[i], BLOCK_BYTES, WEIR_ORIGIN_KERNEL);
	}
	for (i = 0; i < BLOCKS; i++) {
		weir_prep_read(&op[i], self->file, got[i], BLOCK_BYTES,
			       (uint64_t)i * BLOCK_BYTES, seen_done, &seen[i]);
		weir_submit(self->loop, &op[i]);
	}
	for (i = 0, ended = 0; i < BLOCKS; i++) {
		RUN_UNTIL(self->loop, seen[i].terminals == 2);
		ended += seen[i].res == BLOCK_BYTES;
	}
	EXPECT_EQ(BLOCKS, ended);
	EXPECT_EQ(0, memcmp(block, got, sizeof(got)));
}

TEST_F(file, whatever_is_cancelled_ends_once_and_says_what_became_of_it)
{
	static unsigned char block[BLOCKS][BLOCK_BYTES];
	static struct weir_op op[BLOCKS];
	static struct seen seen[BLOCKS];
	unsigned int i;

	for (i = 0; i < BLOCKS; i++) {
		weir_prep_write(&op[i], self->file, block[i], BLOCK_BYTES,
				(uint64_t)i * BLOCK_BYTES, seen_done, &seen[i]);
		weir_submit(self->loop, &op[i]);
	}
	ASSERT_LE(0, weir_loop_run_once(self->loop, 0));
	for (i = 0; i < BLOCKS; i++)
		weir_cancel(self->loop, &op[i]);
	for (i = 0; i < BLOCKS; i++) {
		RUN_UNTIL(self->loop, seen[i].terminals);
		EXPECT_EQ(1, seen[i].events);
		EXPECT_EQ(seen[i].res == -ECANCELED ? WEIR_ORIGIN_CANCELLED :
			  WEIR_ORIGIN_KERNEL, seen[i].origin);
		EXPECT_TRUE(seen[i].res == -ECANCELED || seen[i].res == BLOCK_BYTES);
	}
}

TEST_F(file, closing_it_waits_for_what_is_in_flight)
{
	static unsigned char block[BLOCKS][BLOCK_BYTES];
	static struct weir_op op[BLOCKS];
	static struct seen seen[BLOCKS];
	unsigned int i;

	for (i = 0; i < BLOCKS; i++) {
		weir_prep_write(&op[i], self->file, block[i], BLOCK_BYTES, 0, seen_done,
				&seen[i]);
		weir_submit(self->loop, &op[i]);
	}
	EXPECT_EQ(0, do_close(self->loop, self->file));
	for (i = 0; i < BLOCKS; i++)
		EXPECT_EQ(1, seen[i].terminals);
	EXPECT_EQ(-EBADF, do_read(self->loop, self->file, block, 1, 0));
	EXPECT_EQ(0, weir_file_valid(self->loop, self->file));
	EXPECT_EQ(0, stats_of(self->loop).files);
}

TEST_F(file, opening_what_is_not_there_says_so)
{
	struct weir_file none = { 7, 7 };

	EXPECT_EQ(-ENOENT, weir_file_open(self->loop, "/tmp/weir-test-none/none", O_RDONLY, 0,
					  &none));
	EXPECT_EQ(-EEXIST, weir_file_open(self->loop, self->path,
					  O_RDWR | O_CREAT | O_EXCL, 0600, &none));
	EXPECT_EQ(7, none.index);
	EXPECT_EQ(7, none.gen);
}

TEST_F(file, a_full_table_refuses_the_next_one)
{
	struct weir_file file[16], one = { 0, 0 };
	unsigned int i;
	int err = 0;

	for (i = 0; i < 16 && !err; i++)
		err = weir_file_open(self->loop, self->path, O_RDONLY, 0, &file[i]);
	EXPECT_EQ(-ENFILE, err);
	EXPECT_EQ(16, stats_of(self->loop).files);
	EXPECT_EQ(0, do_close(self->loop, file[3]));
	EXPECT_EQ(0, weir_file_open(self->loop, self->path, O_RDONLY, 0, &one));
}

/* What only a real kernel has: descriptors, pipes. */
FIXTURE(fd)
{
	struct weir_loop *loop;
	struct weir_op op;
	struct seen seen;
};

KERNEL_VARIANTS(fd);

FIXTURE_SETUP(fd)
{
	struct weir_loop_opts opts = {
		.sz = sizeof(opts), .backend = variant->name, .files_max = 4,
		.offload_threads = 1,
	};

	OPEN_LOOP(&self->loop, &opts);
}

FIXTURE_TEARDOWN(fd)
{
	EXPECT_EQ(0, weir_loop_close(self->loop, LIMIT_NS));
}

TEST_F(fd, reading_a_pipe_waits_for_data_and_holds_up_nobody)
{
	struct weir_file in, out, file;
	char buf[8], path[] = "/tmp/weir-test-fd-XXXXXX";
	int pipefd[2];

	ASSERT_EQ(0, pipe(pipefd));
	ASSERT_EQ(0, weir_file_adopt(self->loop, pipefd[0], &in));
	ASSERT_EQ(0, weir_file_adopt(self->loop, pipefd[1], &out));
	weir_prep_read(&self->op, in, buf, sizeof(buf), 0, seen_done, &self->seen);
	weir_submit(self->loop, &self->op);
	ASSERT_LE(0, weir_loop_run_once(self->loop, 0));
	/* There is one offload thread; the pipe must not have taken it. */
	ASSERT_EQ(0, weir_file_adopt(self->loop, mkstemp(path), &file));
	EXPECT_EQ(3, do_write(self->loop, file, "abc", 3, 0));
	EXPECT_EQ(0, self->seen.events);
	EXPECT_EQ(5, do_write(self->loop, out, "hello", 5, 0));
	RUN_UNTIL(self->loop, self->seen.terminals);
	EXPECT_RESULT(&self->seen, 5, WEIR_ORIGIN_KERNEL);
	EXPECT_EQ(0, memcmp(buf, "hello", 5));
	EXPECT_EQ(0, do_close(self->loop, out));
	EXPECT_EQ(0, do_read(self->loop, in, buf, sizeof(buf), 0));
	unlink(path);
}

TEST_F(fd, writing_to_a_full_pipe_waits_for_a_reader)
{
	static char block[1 << 16];
	struct weir_file in, out;
	int pipefd[2], n;

	ASSERT_EQ(0, pipe(pipefd));
	ASSERT_EQ(0, weir_file_adopt(self->loop, pipefd[0], &in));
	ASSERT_EQ(0, weir_file_adopt(self->loop, pipefd[1], &out));
	n = fcntl(pipefd[1], F_GETPIPE_SZ);
	while (n > 0) {
		int done = do_write(self->loop, out, block,
				    n < (int)sizeof(block) ? (uint32_t)n : sizeof(block), 0);

		ASSERT_LT(0, done);
		n -= done;
	}
	weir_prep_write(&self->op, out, block, 1, 0, seen_done, &self->seen);
	weir_submit(self->loop, &self->op);
	ASSERT_LE(0, weir_loop_run_once(self->loop, 0));
	ASSERT_LE(0, weir_loop_run_once(self->loop, 0));
	EXPECT_EQ(0, self->seen.events);
	EXPECT_EQ((int)sizeof(block), do_read(self->loop, in, block, sizeof(block), 0));
	RUN_UNTIL(self->loop, self->seen.terminals);
	EXPECT_RESULT(&self->seen, 1, WEIR_ORIGIN_KERNEL);
}

TEST_F(fd, a_fifo_opened_by_path_holds_up_nobody)
{
	char path[64], buf[4];
	struct weir_file fifo;

	snprintf(path, sizeof(path), "/tmp/weir-test-fifo-%d", (int)getpid());
	unlink(path);		/* one that was killed had this number before */
	ASSERT_EQ(0, mkfifo(path, 0600));
	/* Read and write, so that opening it does not wait for another end. */
	ASSERT_EQ(0, weir_file_open(self->loop, path, O_RDWR, 0, &fifo));
	unlink(path);
	weir_prep_read(&self->op, fifo, buf, sizeof(buf), 0, seen_done, &self->seen);
	weir_submit(self->loop, &self->op);
	ASSERT_LE(0, weir_loop_run_once(self->loop, 0));
	EXPECT_EQ(0, self->seen.events);
	EXPECT_EQ(2, do_write(self->loop, fifo, "ok", 2, 0));
	RUN_UNTIL(self->loop, self->seen.terminals);
	EXPECT_RESULT(&self->seen, 2, WEIR_ORIGIN_KERNEL);
	EXPECT_EQ(0, do_close(self->loop, fifo));
}

TEST_F(fd, a_file_is_always_ready_to_be_polled_for_data)
{
	char path[] = "/tmp/weir-test-fd-XXXXXX";
	struct weir_file file;

	ASSERT_EQ(0, weir_file_adopt(self->loop, mkstemp(path), &file));
	unlink(path);
	weir_prep_poll(&self->op, file, POLLIN, seen_done, &self->seen);
	EXPECT_EQ(POLLIN, op_do(self->loop, &self->op));
}

TEST_F(fd, datagrams_queued_behind_one_another_all_come)
{
	struct weir_pool_opts shape = { .sz = sizeof(shape), .buf_bytes = 256, .count = 64 };
	struct weir_pool *pool;
	struct weir_file file;
	int pair[2], i;

	ASSERT_EQ(0, weir_pool_open(&pool, self->loop, &shape));
	ASSERT_EQ(0, socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair));
	ASSERT_EQ(0, weir_file_adopt(self->loop, pair[0], &file));
	weir_prep_recv_pool(&self->op, file, pool, seen_done, &self->seen);
	weir_submit(self->loop, &self->op);
	ASSERT_LE(0, weir_loop_run_once(self->loop, 0));
	for (i = 0; i < 5; i++)
		ASSERT_EQ(3, send(pair[1], "abc", 3, 0));
	/* A short receive is no sign that the queue is empty. */
	RUN_UNTIL(self->loop, self->seen.events == 5);
	EXPECT_EQ(0, do_close(self->loop, file));
	close(pair[1]);
	EXPECT_EQ(0, weir_pool_close(pool));
}

TEST_F(fd, a_descriptor_number_that_is_used_again_is_another_file)
{
	char buf[4];
	int round;

	for (round = 0; round < 20; round++) {
		struct weir_file in, out;
		int pipefd[2], copy;

		ASSERT_EQ(0, pipe(pipefd));
		/* Keeps the old registration alive, if there was one. */
		copy = dup(pipefd[0]);
		ASSERT_EQ(0, weir_file_adopt(self->loop, pipefd[0], &in));
		ASSERT_EQ(0, weir_file_adopt(self->loop, pipefd[1], &out));
		memset(&self->seen, 0, sizeof(self->seen));
		weir_prep_read(&self->op, in, buf, sizeof(buf), 0, seen_done, &self->seen);
		weir_submit(self->loop, &self->op);
		ASSERT_LE(0, weir_loop_run_once(self->loop, 0));
		EXPECT_EQ(1, do_write(self->loop, out, "x", 1, 0));
		RUN_UNTIL(self->loop, self->seen.terminals);
		EXPECT_EQ(1, self->seen.res);
		ASSERT_EQ(0, do_close(self->loop, in));
		ASSERT_EQ(1, do_write(self->loop, out, "y", 1, 0));
		/* The same open file under the same number as before. */
		if (round % 2) {
			ASSERT_EQ(pipefd[0], dup2(copy, pipefd[0]));
			ASSERT_EQ(0, weir_file_adopt(self->loop, pipefd[0], &in));
			EXPECT_EQ(1, do_read(self->loop, in, buf, 1, 0));
			EXPECT_EQ('y', buf[0]);
			weir_prep_read(&self->op, in, buf, 1, 0, seen_done, &self->seen);
			weir_submit(self->loop, &self->op);
			ASSERT_LE(0, weir_loop_run_once(self->loop, 0));
			EXPECT_EQ(1, self->seen.terminals);
			EXPECT_EQ(1, do_write(self->loop, out, "z", 1, 0));
			RUN_UNTIL(self->loop, self->seen.terminals == 2);
			EXPECT_EQ('z', buf[0]);
			ASSERT_EQ(0, do_close(self->loop, in));
		}
		ASSERT_EQ(0, do_close(self->loop, out));
		close(copy);
	}
	/* The edges of the copies were told from those of the files. */
	if (!strcmp(variant->name, "epoll"))
		EXPECT_LT(0, stats_of(self->loop).stale);
}

TEST_F(fd, an_end_in_the_same_edge_as_the_data_is_not_missed)
{
	struct weir_pool_opts shape = { .sz = sizeof(shape), .buf_bytes = 256, .count = 64 };
	struct server server = { 0 };
	struct weir_pool *pool;
	int client;

	ASSERT_EQ(0, weir_pool_open(&pool, self->loop, &shape));
	ASSERT_EQ(0, server_open(self->loop, &server, 2));
	client = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	ASSERT_EQ(0, connect(client, (struct sockaddr *)&server.addr, sizeof(server.addr)));
	RUN_UNTIL(self->loop, server.seen.events);
	weir_prep_recv_pool(&self->op, server.seen.file, pool, seen_done, &self->seen);
	weir_submit(self->loop, &self->op);
	/* It waits; then both come while the loop does not look. */
	ASSERT_LE(0, weir_loop_run_once(self->loop, NSEC_PER_MSEC));
	ASSERT_EQ(3, send(client, "abc", 3, MSG_NOSIGNAL));
	close(client);
	RUN_UNTIL(self->loop, self->seen.terminals);
	EXPECT_EQ(2, self->seen.events);
	EXPECT_EQ(0, self->seen.res);
	EXPECT_EQ(0, do_close(self->loop, server.seen.file));
	EXPECT_EQ(0, do_close(self->loop, server.file));
	EXPECT_EQ(0, weir_pool_close(pool));
}

TEST_F(fd, what_is_closed_is_closed_in_the_kernel)
{
	unsigned int before = open_fds();
	struct weir_file file;
	int fd;

	fd = open("/dev/null", O_RDWR | O_CLOEXEC);
	ASSERT_EQ(0, weir_file_adopt(self->loop, fd, &file));
	EXPECT_EQ(fd, weir_file_fd(self->loop, file));
	EXPECT_EQ(before + 1, open_fds());
	EXPECT_EQ(0, do_close(self->loop, file));
	EXPECT_EQ(before, open_fds());
	EXPECT_EQ(-EBADF, weir_file_fd(self->loop, file));
}

TEST_F(fd, what_cannot_be_adopted_stays_the_callers)
{
	struct weir_file file[8];
	int fd[8], i, err = 0;

	EXPECT_EQ(-EBADF, weir_file_adopt(self->loop, -1, &file[0]));
	EXPECT_EQ(-EBADF, weir_file_adopt(self->loop, 987654, &file[0]));
	for (i = 0; i < 8 && !err; i++) {
		fd[i] = open("/dev/null", O_RDWR | O_CLOEXEC);
		ASSERT_LE(0, fd[i]);
		err = weir_file_adopt(self->loop, fd[i], &file[i]);
	}
	EXPECT_EQ(-ENFILE, err);
	EXPECT_EQ(0, close(fd[i - 1]));
}

TEST_HARNESS_MAIN
