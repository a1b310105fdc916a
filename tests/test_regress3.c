// SPDX-License-Identifier: GPL-2.0-only
/*
 * test_regress3.c - faults of receives from pools and of the short way that must
 * not come back
 */
#include <stddef.h>
#include <sys/un.h>

#include "backends.h"
#include "kselftest_harness.h"
#include "socks.h"

enum { BUF_BYTES = 512, BUFS = 128, MESSAGES = 100 };

FIXTURE(regress)
{
	struct weir_loop *loop;
	struct weir_pool *pool;
	struct weir_file listener;
	struct weir_file client;
	struct weir_file accepted;
};

BACKEND_VARIANTS(regress);

/* A connection of AF_UNIX. */
static int unix_pair(struct weir_loop *loop, struct weir_file *listener,
		     struct weir_file *client, struct weir_file *accepted)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	struct seen seen = { 0 };
	struct weir_op op = { 0 };
	uint32_t len;
	int err;

	len = (uint32_t)offsetof(struct sockaddr_un, sun_path) + 1 +
	      (uint32_t)snprintf(addr.sun_path + 1, sizeof(addr.sun_path) - 1,
				 "weir-regress3-%d", getpid());
	err = do_socket(loop, AF_UNIX, SOCK_STREAM, listener);
	if (!err)
		err = do_bind(loop, *listener, (struct sockaddr *)&addr, len);
	if (!err)
		err = do_listen(loop, *listener, 1);
	if (!err)
		err = do_socket(loop, AF_UNIX, SOCK_STREAM, client);
	if (!err)
		err = do_connect(loop, *client, (struct sockaddr *)&addr, len);
	if (err)
		return err;
	weir_prep_accept_once(&op, *listener, seen_done, &seen);
	err = op_do(loop, &op);
	*accepted = op.accepted;
	return err;
}

FIXTURE_SETUP(regress)
{
	struct weir_loop_opts opts = {
		.sz = sizeof(opts), .backend = variant->name, .ops_max = 8,
	};
	struct weir_pool_opts shape = {
		.sz = sizeof(shape), .buf_bytes = BUF_BYTES, .count = BUFS + 1, .low = 1,
		.spare = 1,
	};

	OPEN_LOOP(&self->loop, &opts);
	ASSERT_EQ(0, weir_pool_open(&self->pool, self->loop, &shape));
}

FIXTURE_TEARDOWN(regress)
{
	EXPECT_EQ(0, weir_loop_close(self->loop, LIMIT_NS));
	EXPECT_EQ(0, weir_pool_close(self->pool));
}

struct reader {
	struct weir_op op;
	uint64_t bytes;
	unsigned int terminals;
	int res;
};

static void reader_done(struct weir_op *op)
{
	struct reader *reader = op->ctx;

	if (op->res > 0)
		reader->bytes += (uint32_t)op->res;
	reader->terminals += !op->more;
	reader->res = op->res;
}

/* All of it is there, and the end with it, before anybody receives. */
static int send_all_and_end(struct weir_loop *loop, struct weir_file client)
{
	char message[BUF_BYTES] = { 0 };
	unsigned int i;
	int res;

	for (i = 0; i < MESSAGES; i++) {
		res = do_send(loop, client, message, sizeof(message));
		if (res != sizeof(message))
			return res < 0 ? res : -EIO;
	}
	return do_close(loop, client);
}

TEST_F(regress, a_unix_stream_ends_however_many_buffers_it_fills_before)
{
	static struct reader reader;

	ASSERT_EQ(0, unix_pair(self->loop, &self->listener, &self->client, &self->accepted));
	ASSERT_EQ(0, send_all_and_end(self->loop, self->client));
	weir_prep_recv_pool(&reader.op, self->accepted, self->pool, reader_done, &reader);
	weir_submit(self->loop, &reader.op);
	RUN_UNTIL(self->loop, reader.terminals);
	EXPECT_EQ(0, reader.res);
	EXPECT_EQ(MESSAGES * BUF_BYTES, reader.bytes);
}

TEST_F(regress, so_do_its_messages)
{
	static struct msghdr msg;
	static struct reader reader;

	ASSERT_EQ(0, unix_pair(self->loop, &self->listener, &self->client, &self->accepted));
	ASSERT_EQ(0, send_all_and_end(self->loop, self->client));
	weir_prep_recvmsg_pool(&reader.op, self->accepted, self->pool, &msg, reader_done, &reader);
	weir_submit(self->loop, &reader.op);
	RUN_UNTIL(self->loop, reader.terminals);
	EXPECT_EQ(0, reader.res);
	EXPECT_EQ(MESSAGES * BUF_BYTES, reader.bytes);
}

TEST_F(regress, a_pool_stays_while_a_receive_waits_for_the_budget)
{
	static struct weir_op nops[8];
	static struct seen seen[ARRAY_SIZE(nops)];
	static struct reader reader;
	unsigned int i;

	ASSERT_EQ(0, unix_pair(self->loop, &self->listener, &self->client, &self->accepted));
	for (i = 0; i < ARRAY_SIZE(nops); i++) {
		weir_prep_poll(&nops[i], self->accepted, POLLIN, seen_done, &seen[i]);
		weir_submit(self->loop, &nops[i]);
	}
	weir_prep_recv_pool(&reader.op, self->accepted, self->pool, reader_done, &reader);
	weir_submit(self->loop, &reader.op);
	EXPECT_EQ(-EBUSY, weir_pool_close(self->pool));
	weir_cancel(self->loop, &reader.op);
	RUN_UNTIL(self->loop, reader.terminals);
	EXPECT_EQ(-ECANCELED, reader.res);
}

TEST_F(regress, and_while_it_waits_for_the_first_turn)
{
	static struct reader reader;
	struct weir_pool_opts shape = {
		.sz = sizeof(shape), .buf_bytes = BUF_BYTES, .count = 4, .low = 1, .spare = 1,
	};
	struct weir_loop_opts opts = { .sz = sizeof(opts), .backend = variant->name };
	struct weir_loop *loop;
	struct weir_pool *pool;
	struct weir_file in, out;

	OPEN_LOOP(&loop, &opts);
	ASSERT_EQ(0, weir_pool_open(&pool, loop, &shape));
	ASSERT_EQ(0, weir_pipe_open(loop, &in, &out));
	weir_prep_read_pool(&reader.op, in, pool, reader_done, &reader);
	weir_submit(loop, &reader.op);
	EXPECT_EQ(-EBUSY, weir_pool_close(pool));
	EXPECT_EQ(0, weir_loop_close(loop, LIMIT_NS));
	EXPECT_EQ(1, reader.terminals);
	EXPECT_EQ(0, weir_pool_close(pool));
}

/* How many of four nops went the short way. */
static uint64_t shorts(struct __test_metadata *const _metadata, struct weir_loop *loop)
{
	static struct weir_op ops[4];
	static struct seen seen[ARRAY_SIZE(ops)];
	uint64_t before = loop->shorts[WEIR_OP_NOP];
	unsigned int i;

	memset(seen, 0, sizeof(seen));
	for (i = 0; i < ARRAY_SIZE(ops); i++) {
		weir_prep_nop(&ops[i], seen_done, &seen[i]);
		weir_submit(loop, &ops[i]);
	}
	RUN_UNTIL(loop, seen[3].terminals);
	return loop->shorts[WEIR_OP_NOP] - before;
}

TEST_F(regress, what_was_kept_from_the_short_way_finds_it_again)
{
	static struct weir_op ops[10];
	static struct seen seen[ARRAY_SIZE(ops)];
	unsigned int i;
	/* Backends without one have none. */
	uint64_t all = self->loop->backend->submit ? 4 : 0;

	/* A first turn without anything to do. */
	ASSERT_LE(0, weir_loop_run_once(self->loop, 0));
	EXPECT_EQ(all, shorts(_metadata, self->loop));
	/* Those that waited for the budget are cancelled. */
	for (i = 0; i < ARRAY_SIZE(ops); i++) {
		weir_prep_nop(&ops[i], seen_done, &seen[i]);
		weir_submit(self->loop, &ops[i]);
	}
	weir_cancel(self->loop, &ops[8]);
	weir_cancel(self->loop, &ops[9]);
	RUN_UNTIL(self->loop, seen[9].terminals);
	EXPECT_EQ(all, shorts(_metadata, self->loop));
}

TEST_HARNESS_MAIN
