// SPDX-License-Identifier: GPL-2.0-only
/*
 * test_recv.c - receiving into the buffers of a pool: order, fairness, and
 * what happens when there is no buffer
 */
#include "backends.h"
#include "kselftest_harness.h"

enum { CLIENTS = 8, BUF_BYTES = 128 };

FIXTURE(recv)
{
	struct weir_loop *loop;
	struct weir_pool *pool;
	struct server server;
};

BACKEND_VARIANTS(recv);

FIXTURE_SETUP(recv)
{
	struct weir_loop_opts opts = { .sz = sizeof(opts), .backend = variant->name };
	/* Five to receive into, one spare. */
	struct weir_pool_opts shape = {
		.sz = sizeof(shape), .buf_bytes = BUF_BYTES, .count = 6, .low = 1, .spare = 1,
	};

	OPEN_LOOP(&self->loop, &opts);
	ASSERT_EQ(0, weir_pool_open(&self->pool, self->loop, &shape));
	ASSERT_EQ(0, server_open(self->loop, &self->server, 64));
}

FIXTURE_TEARDOWN(recv)
{
	EXPECT_EQ(0, weir_loop_close(self->loop, LIMIT_NS));
	EXPECT_EQ(0, weir_pool_close(self->pool));
}

/*
 * One receiving end. It keeps its leases while @hold is set. Static in the tests:
 * it is in flight until the loop is closed.
 */
struct reader {
	struct weir_op op;
	struct weir_file client;
	struct weir_file file;
	struct weir_lease *held[8];
	unsigned int count;		/* of held */
	bool hold;
	uint64_t bytes;
	uint64_t wrong;			/* bytes that are not the pattern */
	unsigned int events;
	unsigned int terminals;
	unsigned int first_serial;
	int res;
	int worst;			/* the lowest result but the end's */
};

static unsigned char pattern(uint64_t at)
{
	return (unsigned char)(at * 31 + (at >> 8) * 7 + (at >> 16));
}

static void reader_done(struct weir_op *op)
{
	struct reader *reader = op->ctx;
	const unsigned char *data;
	uint32_t i;

	reader->events++;
	if (!reader->first_serial)
		reader->first_serial = ++seen_serial;
	reader->terminals += !op->more;
	reader->res = op->res;
	if (op->res < reader->worst)
		reader->worst = op->res;
	if (!op->lease)
		return;
	data = weir_lease_data(op->lease);
	for (i = 0; i < (uint32_t)op->res; i++, reader->bytes++)
		reader->wrong += data[i] != pattern(reader->bytes);
	if (reader->hold && reader->count < ARRAY_SIZE(reader->held))
		reader->held[reader->count++] = weir_lease_get(op->lease);
}

static void reader_start(struct weir_loop *loop, struct weir_pool *pool, struct reader *reader,
			 weir_done_fn *done)
{
	weir_prep_recv_pool(&reader->op, reader->file, pool, done, reader);
	weir_submit(loop, &reader->op);
}

static struct weir_pool_stats pool_stats(const struct weir_pool *pool)
{
	struct weir_pool_stats stats;

	weir_pool_stats(pool, &stats, sizeof(stats));
	return stats;
}

static void send_pattern(struct weir_loop *loop, struct weir_file file, uint64_t at,
			 uint32_t len)
{
	unsigned char buf[4096];
	uint32_t sent = 0, i;

	while (sent < len) {
		uint32_t n = len - sent < sizeof(buf) ? len - sent : (uint32_t)sizeof(buf);
		int res;

		for (i = 0; i < n; i++)
			buf[i] = pattern(at + sent + i);
		res = do_send(loop, file, buf, n);
		if (res <= 0)
			abort();
		sent += (uint32_t)res;
	}
}

TEST_F(recv, a_stream_far_longer_than_the_pool_comes_whole_and_in_order)
{
	static struct reader reader;
	const uint32_t total = 256 * 1024 + 17;

	ASSERT_EQ(0, pair_open(self->loop, &self->server, &reader.client, &reader.file));
	reader_start(self->loop, self->pool, &reader, reader_done);
	send_pattern(self->loop, reader.client, 0, total);
	ASSERT_EQ(0, do_close(self->loop, reader.client));
	RUN_UNTIL(self->loop, reader.terminals);
	EXPECT_EQ(1, reader.terminals);
	EXPECT_EQ(0, reader.res);
	EXPECT_EQ(0, reader.worst);
	EXPECT_EQ(total, reader.bytes);
	EXPECT_EQ(0, reader.wrong);
	EXPECT_EQ(6, pool_stats(self->pool).free);
}

TEST_F(recv, an_end_that_comes_with_the_data_is_not_missed)
{
	static struct reader reader;

	ASSERT_EQ(0, pair_open(self->loop, &self->server, &reader.client, &reader.file));
	send_pattern(self->loop, reader.client, 0, 10);
	ASSERT_EQ(0, do_close(self->loop, reader.client));
	reader_start(self->loop, self->pool, &reader, reader_done);
	RUN_UNTIL(self->loop, reader.terminals);
	EXPECT_EQ(10, reader.bytes);
	EXPECT_EQ(0, reader.res);
	/* And one that comes when the receive has waited. */
	memset(&reader, 0, sizeof(reader));
	ASSERT_EQ(0, pair_open(self->loop, &self->server, &reader.client, &reader.file));
	reader_start(self->loop, self->pool, &reader, reader_done);
	ASSERT_LE(0, weir_loop_run_once(self->loop, 0));
	send_pattern(self->loop, reader.client, 0, 10);
	ASSERT_EQ(0, do_close(self->loop, reader.client));
	RUN_UNTIL(self->loop, reader.terminals);
	EXPECT_EQ(10, reader.bytes);
	EXPECT_EQ(0, reader.res);
}

TEST_F(recv, an_empty_pool_delays_and_serves_first_in_first_out)
{
	static struct reader reader[CLIENTS];
	unsigned int i, served = 0;

	for (i = 0; i < CLIENTS; i++) {
		ASSERT_EQ(0, pair_open(self->loop, &self->server, &reader[i].client,
				       &reader[i].file));
		send_pattern(self->loop, reader[i].client, 0, 20);
		reader[i].hold = true;
	}
	for (i = 0; i < CLIENTS; i++)
		reader_start(self->loop, self->pool, &reader[i], reader_done);
	/* All buffers but the spare one are held, the rest of the receives waits. */
	RUN_UNTIL(self->loop, pool_stats(self->pool).free == 1 &&
		  pool_stats(self->pool).parked >= CLIENTS - 5);
	for (i = 0; i < CLIENTS; i++)
		served += reader[i].events > 0;
	EXPECT_LT(0, served);
	EXPECT_GT(CLIENTS, served);
	/* Each buffer that comes back lets others go on. */
	while (served < CLIENTS) {
		for (i = 0; i < CLIENTS; i++) {
			while (reader[i].count)
				weir_lease_put(reader[i].held[--reader[i].count]);
		}
		ASSERT_EQ(0, run_turn(self->loop));
		for (i = 0, served = 0; i < CLIENTS; i++)
			served += reader[i].events > 0;
	}
	for (i = 0; i < CLIENTS; i++) {
		EXPECT_EQ(20, reader[i].bytes);
		EXPECT_EQ(0, reader[i].worst);
		EXPECT_EQ(0, reader[i].terminals);
		if (i)
			EXPECT_LT(reader[i - 1].first_serial, reader[i].first_serial);
		while (reader[i].count)
			weir_lease_put(reader[i].held[--reader[i].count]);
	}
	EXPECT_LT(0, pool_stats(self->pool).parks);
	EXPECT_EQ(6, pool_stats(self->pool).free);
}

static void cancel_done(struct weir_op *op)
{
	reader_done(op);
	if (op->more)
		weir_cancel(op->lib_loop, op);
}

TEST_F(recv, a_receive_may_be_cancelled_by_its_own_callback)
{
	static struct reader reader;

	ASSERT_EQ(0, pair_open(self->loop, &self->server, &reader.client, &reader.file));
	reader_start(self->loop, self->pool, &reader, cancel_done);
	send_pattern(self->loop, reader.client, 0, 20);
	RUN_UNTIL(self->loop, reader.terminals);
	EXPECT_EQ(1, reader.terminals);
	EXPECT_EQ(-ECANCELED, reader.res);
	EXPECT_EQ(20, reader.bytes);
	EXPECT_EQ(0, pool_stats(self->pool).parked);
}

static struct weir_op close_op;
static struct seen close_seen;

static void close_done(struct weir_op *op)
{
	reader_done(op);
	if (op->more && !weir_op_busy(&close_op)) {
		weir_prep_close(&close_op, op->file, seen_done, &close_seen);
		weir_submit(op->lib_loop, &close_op);
	}
}

TEST_F(recv, a_file_may_be_closed_by_a_callback_of_its_own)
{
	static struct reader reader;

	memset(&close_op, 0, sizeof(close_op));
	memset(&close_seen, 0, sizeof(close_seen));
	ASSERT_EQ(0, pair_open(self->loop, &self->server, &reader.client, &reader.file));
	reader_start(self->loop, self->pool, &reader, close_done);
	send_pattern(self->loop, reader.client, 0, 20);
	RUN_UNTIL(self->loop, close_seen.terminals);
	EXPECT_EQ(0, close_seen.res);
	EXPECT_EQ(1, reader.terminals);
	EXPECT_EQ(0, weir_file_valid(self->loop, reader.file));
}

TEST_F(recv, a_parked_receive_can_be_cancelled)
{
	static struct reader reader[CLIENTS];
	unsigned int i, n;

	for (i = 0; i < CLIENTS; i++) {
		ASSERT_EQ(0, pair_open(self->loop, &self->server, &reader[i].client,
				       &reader[i].file));
		send_pattern(self->loop, reader[i].client, 0, 20);
		reader[i].hold = true;
		reader_start(self->loop, self->pool, &reader[i], reader_done);
	}
	RUN_UNTIL(self->loop, pool_stats(self->pool).parked >= CLIENTS - 5);
	for (i = 0; i < CLIENTS; i++)
		weir_cancel(self->loop, &reader[i].op);
	EXPECT_EQ(0, pool_stats(self->pool).parked);
	for (i = 0; i < CLIENTS; i++) {
		RUN_UNTIL(self->loop, reader[i].terminals);
		EXPECT_EQ(-ECANCELED, reader[i].res);
		for (n = 0; n < reader[i].count; n++)
			weir_lease_put(reader[i].held[n]);
	}
	EXPECT_EQ(6, pool_stats(self->pool).free);
}

TEST_F(recv, one_that_never_pauses_does_not_starve_another)
{
	static struct reader loud, quiet;
	static struct weir_op send;
	static char block[1 << 18];
	struct seen seen = { 0 };
	unsigned int turns;

	ASSERT_EQ(0, pair_open(self->loop, &self->server, &loud.client, &loud.file));
	ASSERT_EQ(0, pair_open(self->loop, &self->server, &quiet.client, &quiet.file));
	/* As much as the socket takes is there before anybody reads. */
	weir_prep_send(&send, loud.client, block, sizeof(block), seen_done, &seen);
	weir_submit(self->loop, &send);
	ASSERT_LE(0, weir_loop_run_once(self->loop, 0));
	send_pattern(self->loop, quiet.client, 0, 5);
	reader_start(self->loop, self->pool, &loud, reader_done);
	reader_start(self->loop, self->pool, &quiet, reader_done);
	for (turns = 0; turns < 20 && !quiet.events; turns++)
		ASSERT_EQ(0, run_turn(self->loop));
	EXPECT_EQ(5, quiet.bytes);
	EXPECT_LT(loud.bytes, sizeof(block));
	RUN_UNTIL(self->loop, seen.terminals);
}

TEST_F(recv, a_pool_of_another_loop_is_refused)
{
	struct weir_loop_opts opts = { .sz = sizeof(opts), .backend = variant->name };
	struct seen seen = { 0 };
	struct weir_loop *other;
	struct weir_op op = { 0 };

	ASSERT_EQ(0, open_variant(&other, &opts));
	weir_prep_recv_pool(&op, self->server.file, self->pool, seen_done, &seen);
	EXPECT_EQ(-EBADF, op_do(other, &op));
	weir_prep_recv(&op, self->server.file, NULL, 0, seen_done, &seen);
	op.flags = WEIR_OPF_MULTISHOT;
	EXPECT_EQ(-EINVAL, op_do(self->loop, &op));
	EXPECT_EQ(0, weir_loop_close(other, LIMIT_NS));
}

TEST_HARNESS_MAIN
