// SPDX-License-Identifier: GPL-2.0-only
/*
 * test_rows.c - what a ring lacks is done without it; registered slots
 */
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/uio.h>

#include "backends.h"
#include "files.h"
#include "lean.h"
#include "kselftest_harness.h"

enum { BUFS = 16, BUF_BYTES = 4096 };

FIXTURE(slot)
{
	struct weir_loop *loop;
	struct server server;
	struct weir_file client, accepted;
	struct statx st;
	unsigned int fds;
	bool no_install;
};

BACKEND_VARIANTS(slot);
LEAN_VARIANT(slot, old);
LEAN_VARIANT(slot, bare);

FIXTURE_SETUP(slot)
{
	struct weir_loop_opts opts = {
		.sz = sizeof(opts), .backend = lean_backend(variant->name), .files_max = 8,
		.offload_threads = 1,
	};

	OPEN_LOOP(&self->loop, &opts);
	self->no_install = !strcmp(variant->name, "old");
	ASSERT_EQ(0, server_open(self->loop, &self->server, 1));
	ASSERT_EQ(0, pair_open(self->loop, &self->server, &self->client, &self->accepted));
	self->fds = open_fds();
}

FIXTURE_TEARDOWN(slot)
{
	/* What a slot got for the while is closed again. */
	EXPECT_GE(self->fds, open_fds());
	EXPECT_EQ(0, weir_loop_close(self->loop, LIMIT_NS));
}

TEST_F(slot, a_socket_answers_statx)
{
	int want = self->no_install ? -EOPNOTSUPP : 0;

	EXPECT_EQ(want, do_fstatx(self->loop, self->client, &self->st));
	EXPECT_EQ(want, do_fstatx(self->loop, self->accepted, &self->st));
	if (!want)
		EXPECT_TRUE(S_ISSOCK(self->st.stx_mode));
}

TEST_F(slot, operations_of_files_say_that_a_socket_is_none)
{
	int old = self->no_install ? -EOPNOTSUPP : 0;

	EXPECT_EQ(old ? old : -EINVAL, do_ftruncate(self->loop, self->client, 0));
	EXPECT_EQ(-EINVAL, do_fsync(self->loop, self->client, false));
	EXPECT_EQ(-ENODEV, do_fallocate(self->loop, self->client, 0, 0, 1));
	EXPECT_EQ(0, do_fadvise(self->loop, self->client, 0, 0, 0));
}

TEST_F(slot, bytes_of_a_pipe_come_in_buffers_of_a_pool)
{
	struct weir_pool_opts shape = { .sz = sizeof(shape), .buf_bytes = 64, .count = 8 };
	struct weir_file in, out, file;
	static const char text[150];
	struct seen seen = { 0 };
	struct weir_op op = { 0 };
	struct weir_pool *pool;

	ASSERT_EQ(0, weir_pool_open(&pool, self->loop, &shape));
	ASSERT_EQ(0, weir_pipe_open(self->loop, &in, &out));
	weir_prep_read_pool(&op, in, pool, seen_done, &seen);
	weir_submit(self->loop, &op);
	ASSERT_LE(0, weir_loop_run_once(self->loop, 0));
	EXPECT_EQ(150, do_write(self->loop, out, text, 150, 0));
	RUN_UNTIL(self->loop, stats_of(self->loop).bytes_in == 150);
	EXPECT_EQ(3, seen.events);
	EXPECT_EQ(0, do_close(self->loop, out));
	RUN_UNTIL(self->loop, seen.terminals);
	EXPECT_RESULT(&seen, 0, WEIR_ORIGIN_KERNEL);
	EXPECT_EQ(0, do_close(self->loop, in));
	/* What has no edges is refused. */
	ASSERT_EQ(0, do_open(self->loop, "/tmp", O_RDONLY, &file));
	EXPECT_EQ(-EBADFD, DO_OP(self->loop, weir_prep_read_pool, file, pool));
	EXPECT_EQ(0, do_close(self->loop, file));
	EXPECT_EQ(0, weir_pool_close(pool));
}

TEST_F(slot, options_of_every_level_are_read)
{
	int value = -1;

	EXPECT_EQ(self->no_install ? -EOPNOTSUPP : (int)sizeof(value),
		  DO_OP(self->loop, weir_prep_getsockopt, self->client, IPPROTO_TCP, TCP_NODELAY,
			&value, sizeof(value)));
	if (!self->no_install)
		EXPECT_EQ(0, value);
}

TEST_F(slot, what_is_cancelled_on_its_way_ends_once_and_leaves_no_descriptor)
{
	struct weir_op op[8] = { 0 };
	struct seen seen[8] = { 0 };
	int want = self->no_install ? -EOPNOTSUPP : 0;
	unsigned int i;

	/* One thread: most are cancelled before it takes them. */
	for (i = 0; i < 8; i++) {
		weir_prep_fstatx(&op[i], self->client, STATX_BASIC_STATS, &self->st, seen_done,
				 &seen[i]);
		weir_submit(self->loop, &op[i]);
		if (i % 2)
			ASSERT_LE(0, weir_loop_run_once(self->loop, 0));
		weir_cancel(self->loop, &op[i]);
	}
	for (i = 0; i < 8; i++) {
		RUN_UNTIL(self->loop, seen[i].terminals);
		EXPECT_EQ(1, seen[i].events);
		EXPECT_EQ(seen[i].res == -ECANCELED ? WEIR_ORIGIN_CANCELLED :
			  WEIR_ORIGIN_KERNEL, seen[i].origin);
		EXPECT_TRUE(seen[i].res == -ECANCELED || seen[i].res == want);
	}
}

TEST_F(slot, closing_waits_for_what_is_on_its_way)
{
	struct weir_op op[4] = { 0 };
	struct seen seen[4] = { 0 };
	unsigned int i;

	for (i = 0; i < 4; i++) {
		weir_prep_fstatx(&op[i], self->client, STATX_BASIC_STATS, &self->st, seen_done,
				 &seen[i]);
		weir_submit(self->loop, &op[i]);
	}
	EXPECT_EQ(0, do_close(self->loop, self->client));
	for (i = 0; i < 4; i++)
		EXPECT_EQ(1, seen[i].terminals);
}

#ifdef CONFIG_URING
TEST(a_ring_without_a_vital_operation_is_refused_with_its_name)
{
	struct weir_loop_opts opts = { .sz = sizeof(opts), .backend = "uring" };
	struct weir_loop *loop;

	OPEN_LOOP(&loop, &opts);
	EXPECT_EQ(0, weir_loop_close(loop, LIMIT_NS));
	lean_backend("maimed");
	EXPECT_EQ(-ENOSYS, weir_loop_open(&loop, &opts));
	opts.backend = NULL;
	ASSERT_EQ(0, weir_loop_open(&loop, &opts));
	EXPECT_STREQ("epoll", weir_loop_backend(loop));
	EXPECT_NE(NULL, strstr(weir_loop_reason(loop), "no recvmsg")) {
		TH_LOG("%s", weir_loop_reason(loop));
	}
	EXPECT_EQ(0, weir_loop_close(loop, LIMIT_NS));
}

static void count_line(void *ctx, enum weir_log_level level, const char *text)
{
	unsigned int *lines = ctx;

	*lines += !!strstr(text, ": not the ring's here");
}

TEST(what_a_ring_lacks_is_in_the_log)
{
	unsigned int lines = 0;
	struct weir_log log = { .line = count_line, .ctx = &lines, .level = WEIR_LOG_INFO };
	struct weir_loop_opts opts = {
		.sz = sizeof(opts), .backend = lean_backend("bare"), .log = &log,
	};
	struct weir_loop *loop;

	OPEN_LOOP(&loop, &opts);
	/* bind, listen, two of options, and nine of files and paths. */
	EXPECT_LE(4 + 9, lines);
	EXPECT_EQ(0, weir_loop_close(loop, LIMIT_NS));
}
#endif

/* Vectors in the slab of a pool, on a ring too that knows no other. */
FIXTURE(vector)
{
	struct weir_loop *loop;
	struct weir_pool *pool;
	struct weir_file file;
	struct weir_lease *lease[2];
	unsigned char *at[2];		/* their bytes */
	char path[TEMP_PATH];
};

BACKEND_VARIANTS(vector);
LEAN_VARIANT(vector, fixed);
LEAN_VARIANT(vector, old);

FIXTURE_SETUP(vector)
{
	struct weir_loop_opts opts = {
		.sz = sizeof(opts), .backend = lean_backend(variant->name), .files_max = 8,
	};
	struct weir_pool_opts shape = {
		.sz = sizeof(shape), .buf_bytes = BUF_BYTES, .count = BUFS, .spare = 2,
	};
	unsigned int i;

	OPEN_LOOP(&self->loop, &opts);
	ASSERT_EQ(0, weir_pool_open(&self->pool, self->loop, &shape));
	ASSERT_EQ(0, temp_open(self->loop, self->path, &self->file));
	for (i = 0; i < 2; i++) {
		ASSERT_EQ(0, weir_pool_lease(self->pool, &self->lease[i]));
		self->at[i] = weir_lease_data(self->lease[i]);
		memset(self->at[i], (int)i + 1, BUF_BYTES);
	}
}

FIXTURE_TEARDOWN(vector)
{
	weir_lease_put(self->lease[0]);
	weir_lease_put(self->lease[1]);
	EXPECT_EQ(0, do_close(self->loop, self->file));
	EXPECT_EQ(0, weir_pool_close(self->pool));
	EXPECT_EQ(0, weir_loop_close(self->loop, LIMIT_NS));
	unlink(self->path);
}

TEST_F(vector, pieces_of_one_pool_are_written_and_read_in_order)
{
	struct iovec out[] = { { self->at[1], 3000 }, { self->at[0], 5 }, { self->at[1], 1 } };
	struct iovec in[] = { { self->at[0] + 1, 2999 }, { self->at[1], 7 } };

	EXPECT_EQ(3006, do_writev(self->loop, self->file, out, 3, 10));
	memset(self->at[0], 0xee, BUF_BYTES);
	EXPECT_EQ(3006, do_readv(self->loop, self->file, in, 2, 10));
	EXPECT_EQ(0xee, self->at[0][0]);
	EXPECT_EQ(2, self->at[0][1]);
	EXPECT_EQ(2, self->at[0][2999]);
	EXPECT_EQ(0xee, self->at[0][3000]);
	EXPECT_EQ(0, memcmp(self->at[1], "\2\1\1\1\1\1\2", 7));
}

/* The ring of "fixed" refuses every other read and write: so these were none. */
TEST_F(vector, bytes_in_a_pool_are_written_and_read)
{
	bool refused = !strcmp(variant->name, "fixed");
	char buf[4] = { 0 };

	EXPECT_EQ(4, do_write(self->loop, self->file, self->at[1], 4, 3));
	EXPECT_EQ(4, do_read(self->loop, self->file, self->at[0] + 1, 4, 3));
	EXPECT_EQ(0, memcmp(self->at[0], "\1\2\2\2\2\1", 6));
	EXPECT_EQ(refused ? -EACCES : 4, do_write(self->loop, self->file, buf, 4, 3));
	EXPECT_EQ(refused ? -EACCES : 4, do_read(self->loop, self->file, buf, 4, 3));
}

TEST_F(vector, a_piece_elsewhere_makes_it_a_plain_vector)
{
	struct iovec mixed[] = { { self->at[0], 4 }, { self->path, 4 } };
	struct iovec empty[] = { { self->at[0], 4 }, { NULL, 0 } };
	bool refused = !strcmp(variant->name, "fixed");

	EXPECT_EQ(refused ? -EACCES : 8, do_writev(self->loop, self->file, mixed, 2, 0));
	EXPECT_EQ(refused ? -EACCES : 4, do_readv(self->loop, self->file, empty, 2, 0));
}

TEST_F(vector, pieces_of_two_pools_are_a_plain_vector)
{
	struct weir_pool_opts shape = {
		.sz = sizeof(shape), .buf_bytes = BUF_BYTES, .count = BUFS, .spare = 1,
	};
	struct weir_pool *pool;
	struct weir_lease *lease;
	struct iovec iov[2] = { { self->at[0], 4 } };
	char buf[4];

	ASSERT_EQ(0, weir_pool_open(&pool, self->loop, &shape));
	ASSERT_EQ(0, weir_pool_lease(pool, &lease));
	iov[1] = (struct iovec){ memset(weir_lease_data(lease), 7, 4), 4 };
	if (!strcmp(variant->name, "fixed")) {
		EXPECT_EQ(-EACCES, do_writev(self->loop, self->file, iov, 2, 0));
	} else {
		EXPECT_EQ(8, do_writev(self->loop, self->file, iov, 2, 0));
		EXPECT_EQ(4, do_read(self->loop, self->file, buf, sizeof(buf), 4));
		EXPECT_EQ(7, buf[3]);
	}
	weir_lease_put(lease);
	EXPECT_EQ(0, weir_pool_close(pool));
}

TEST_HARNESS_MAIN
