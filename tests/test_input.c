// SPDX-License-Identifier: GPL-2.0-only
/*
 * test_input.c - what no caller should hand over: the same answer from every
 * operation and on every backend
 */
#include <fcntl.h>

#include "backends.h"
#include "files.h"
#include "kselftest_harness.h"

FIXTURE(input)
{
	struct weir_loop_opts opts;
	struct weir_loop *loop;
	struct server server;
	struct weir_file client, accepted;
};

BACKEND_VARIANTS(input);

FIXTURE_SETUP(input)
{
	self->opts = (struct weir_loop_opts){
		.sz = sizeof(self->opts), .backend = variant->name,
	};
	OPEN_LOOP(&self->loop, &self->opts);
	ASSERT_EQ(0, server_open(self->loop, &self->server, 8));
	ASSERT_EQ(0, pair_open(self->loop, &self->server, &self->client, &self->accepted));
}

/* Whatever was refused, the loop does what it did before. */
FIXTURE_TEARDOWN(input)
{
	char byte = 0;

	EXPECT_EQ(1, do_send(self->loop, self->client, "x", 1));
	EXPECT_EQ(1, do_recv(self->loop, self->accepted, &byte, 1));
	EXPECT_EQ('x', byte);
	/* The accept alone. */
	EXPECT_EQ(1, stats_of(self->loop).inflight);
	EXPECT_EQ(0, weir_loop_close(self->loop, LIMIT_NS));
}

/* One of each kind with nothing but a handle, to be spoilt. */
static struct weir_op plain(unsigned int opcode, struct weir_file file, struct seen *seen)
{
	*seen = (struct seen){ 0 };
	return (struct weir_op){
		.opcode = (uint8_t)opcode, .file = file, .done = seen_done, .ctx = seen,
	};
}

#define EXPECT_REFUSED(want, op, seen)						\
	do {									\
		EXPECT_EQ(want, op_do(self->loop, op))				\
			TH_LOG("%s", weir_op_name((op)->opcode));		\
		EXPECT_RESULT(seen, want, WEIR_ORIGIN_LIBRARY);			\
	} while (0)

TEST_F(input, negative_lengths_are_refused_by_every_operation)
{
	static const uint32_t lengths[] = { 1U << 31, UINT32_MAX };
	struct weir_op op;
	struct seen seen;
	unsigned int i, k;

	for (i = WEIR_OP_NOP; i < WEIR_OP_MAX; i++) {
		for (k = 0; k < ARRAY_SIZE(lengths); k++) {
			op = plain(i, self->client, &seen);
			op.len = lengths[k];
			EXPECT_REFUSED(-EINVAL, &op, &seen);
		}
	}
}

TEST_F(input, unknown_flags_are_refused_by_every_operation)
{
	struct weir_op op;
	struct seen seen;
	unsigned int i;

	for (i = 0; i < WEIR_OP_MAX; i++) {
		op = plain(i, self->client, &seen);
		op.flags = 1 << 7;
		EXPECT_REFUSED(-EINVAL, &op, &seen);
	}
}

TEST_F(input, a_handle_of_no_file_is_refused_by_every_operation_that_takes_one)
{
	struct weir_file closed = self->client, wild = { UINT32_MAX, UINT32_MAX };
	struct weir_op op;
	struct seen seen;
	unsigned int i, n = 0;

	ASSERT_EQ(0, do_close(self->loop, closed));
	for (i = 0; i < WEIR_OP_MAX; i++) {
		if (!(weir_op_defs[i].flags & IO_OPF_FILE))
			continue;
		op = plain(i, closed, &seen);
		EXPECT_REFUSED(-EBADF, &op, &seen);
		op = plain(i, wild, &seen);
		EXPECT_REFUSED(-EBADF, &op, &seen);
		op = plain(i, (struct weir_file){ 0, 0 }, &seen);
		EXPECT_REFUSED(-EBADF, &op, &seen);
		n++;
	}
	EXPECT_LT(10, n);
	ASSERT_EQ(0, pair_open(self->loop, &self->server, &self->client, &self->accepted));
}

TEST_F(input, a_file_that_is_no_socket_is_refused)
{
	const char *path = on_sim(self->loop) ? "/file" : "/dev/null";
	struct weir_file file;
	char byte = 0;

	ASSERT_EQ(0, weir_file_open(self->loop, path, O_RDWR | O_CREAT, 0600, &file));
	EXPECT_EQ(-ENOTSOCK, do_recv(self->loop, file, &byte, 1));
	EXPECT_EQ(-ENOTSOCK, do_send(self->loop, file, "x", 1));
	EXPECT_EQ(-ENOTSOCK, DO_OP(self->loop, weir_prep_shutdown, file, SHUT_WR));
	EXPECT_EQ(0, do_close(self->loop, file));
}

struct again {
	struct weir_loop *loop;
	struct weir_op op;
	struct seen seen;
	char byte;
};

static void submit_again(void *arg)
{
	struct again *again = arg;

	weir_submit(again->loop, &again->op);
}

static void expect_abort(struct __test_metadata *_metadata, struct again *again)
{
	const char *name = weir_op_name(again->op.opcode);
	char text[512], want[64];
	int status;

	weir_submit(again->loop, &again->op);
	ASSERT_LE(0, weir_loop_run_once(again->loop, 0));
	ASSERT_EQ(1, weir_op_busy(&again->op)) TH_LOG("%s", name);
	status = run_child(submit_again, again, text, sizeof(text));
	EXPECT_TRUE(WIFSIGNALED(status));
	EXPECT_EQ(SIGABRT, WTERMSIG(status));
	snprintf(want, sizeof(want), "weir: %s in flight since ", name);
	EXPECT_NE(NULL, strstr(text, want)) TH_LOG("%s", text);
	EXPECT_NE(NULL, strstr(text, "submitted again at ")) TH_LOG("%s", text);
	weir_cancel(again->loop, &again->op);
	RUN_UNTIL(again->loop, again->seen.terminals);
	EXPECT_EQ(-ECANCELED, again->seen.res);
}

TEST_F(input, one_in_flight_that_is_submitted_again_aborts_with_its_name)
{
	struct again again[4] = { 0 };
	unsigned int i;

	weir_prep_recv(&again[0].op, self->accepted, &again[0].byte, 1, seen_done,
		       &again[0].seen);
	weir_prep_poll(&again[1].op, self->accepted, POLLIN, seen_done, &again[1].seen);
	weir_prep_timeout(&again[2].op, DEADLINE_NONE - 1, seen_done, &again[2].seen);
	weir_prep_accept(&again[3].op, self->server.file, 8, seen_done, &again[3].seen);
	for (i = 0; i < ARRAY_SIZE(again); i++) {
		again[i].loop = self->loop;
		expect_abort(_metadata, &again[i]);
	}
}

TEST_F(input, queues_of_no_depth_have_the_default_and_those_of_2_31_are_refused)
{
	struct weir_loop_opts opts = self->opts;
	struct weir_loop *loop = NULL;
	uint32_t *const depths[] = {
		&opts.ops_max, &opts.files_max, &opts.bufs_max, &opts.batch_max,
		&opts.offload_threads, &opts.posts_max,
	};
	struct weir_op op = { 0 };
	struct seen seen = { 0 };
	unsigned int i;

	opts.backend = weir_loop_backend(self->loop);
	for (i = 0; i < ARRAY_SIZE(depths); i++) {
		*depths[i] = 1U << 31;
		EXPECT_EQ(-EINVAL, weir_loop_open(&loop, &opts));
		*depths[i] = UINT32_MAX;
		EXPECT_EQ(-EINVAL, weir_loop_open(&loop, &opts));
		*depths[i] = 0;
	}
	EXPECT_EQ(NULL, loop);
	ASSERT_EQ(0, weir_loop_open(&loop, &opts));
	weir_prep_nop(&op, seen_done, &seen);
	EXPECT_EQ(0, op_do(loop, &op));
	EXPECT_EQ(0, weir_loop_close(loop, LIMIT_NS));
}

TEST_HARNESS_MAIN
