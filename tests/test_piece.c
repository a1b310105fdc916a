// SPDX-License-Identifier: GPL-2.0-only
/*
 * test_piece.c - incremental pools: one buffer for many messages, lent in pieces that
 * come back in any order
 */
#ifdef CONFIG_URING
#include "io/probe.h"
#endif
#include "buf/pool.h"
#include "ends.h"
#include "kselftest_harness.h"

enum {
	PAIRS		= 5,
	BUF_BYTES	= 4096,
	BUFS		= 6,		/* four to receive into */
	SPARE		= 2,
	HELD		= 600,
	BURST		= 3 * BUF_BYTES,
};

struct counting {
	struct weir_alloc alloc;
	size_t blocks;
	size_t left;		/* of them that it still gives */
};

static void *counting_get(void *ctx, size_t bytes, size_t align)
{
	struct counting *counting = ctx;
	void *mem;

	if (!counting->left ||
	    posix_memalign(&mem, align < sizeof(void *) ? sizeof(void *) : align, bytes))
		return NULL;
	counting->left--;
	counting->blocks++;
	return mem;
}

static void counting_put(void *ctx, void *mem, size_t bytes)
{
	struct counting *counting = ctx;

	counting->blocks--;
	free(mem);
}

struct reader {
	struct weir_op op;
	struct weir_file client;
	struct weir_file file;
	uint64_t sent;
	uint64_t bytes;
	uint64_t wrong;		/* not what was sent at that place */
	unsigned int events;
	unsigned int oversize;	/* leases whose size is not what they hold */
	unsigned int ends_at;	/* its callback cancels it at that event; 0: never */
	unsigned int terminals;
	int res;
};

/* What all readers hold: in the order of events, given back in any. */
static struct {
	struct weir_lease *lease[HELD];
	unsigned char first[HELD], last[HELD];
	unsigned int count;
	unsigned int changed;	/* that somebody wrote over */
	bool on;
	struct weir_pool *dry;	/* if set, it is not left without a buffer */
} held;

static uint32_t draw_state;

static uint32_t draw(uint32_t below)
{
	draw_state = draw_state * 1664525 + 1013904223;
	return (draw_state >> 8) % below;
}

FIXTURE(piece)
{
	struct counting counting;
	struct weir_loop *loop;
	struct weir_pool *pool;
	struct server server;
	struct reader reader[PAIRS];
};

FIXTURE_VARIANT(piece) { const char *name; };
FIXTURE_VARIANT_ADD(piece, epoll) { .name = "epoll" };
FIXTURE_VARIANT_ADD(piece, sim) { .name = "sim" };
#ifdef CONFIG_URING
FIXTURE_VARIANT_ADD(piece, refused) { .name = "refused" };
FIXTURE_VARIANT_ADD(piece, uring) { .name = "uring" };
#endif

static int incremental_open(struct weir_loop *loop, struct weir_pool **poolp)
{
	struct weir_pool_opts shape = {
		.sz = sizeof(shape), .buf_bytes = BUF_BYTES, .count = BUFS, .low = 1,
		.spare = SPARE, .flags = WEIR_POOL_INCREMENTAL,
	};

	return weir_pool_open(poolp, loop, &shape);
}

static struct weir_pool_stats stats_of_pool(const struct weir_pool *pool)
{
	struct weir_pool_stats stats;

	weir_pool_stats(pool, &stats, sizeof(stats));
	return stats;
}

FIXTURE_SETUP(piece)
{
	struct weir_loop_opts opts = {
		.sz = sizeof(opts), .backend = variant->name, .alloc = &self->counting.alloc,
	};
	int i;

	draw_state = 3;
	memset(&held, 0, sizeof(held));
	self->counting = (struct counting){
		.alloc = { counting_get, counting_put, &self->counting }, .left = SIZE_MAX,
	};
	OPEN_LOOP(&self->loop, &opts);
	ASSERT_EQ(0, incremental_open(self->loop, &self->pool));
	ASSERT_EQ(0, server_open(self->loop, &self->server, PAIRS));
	for (i = 0; i < PAIRS; i++)
		ASSERT_EQ(0, pair_open(self->loop, &self->server, &self->reader[i].client,
				       &self->reader[i].file));
}

/* One that was drawn by lot comes back; nobody wrote over it meanwhile. */
static void give_one_back(void)
{
	unsigned int i = draw(held.count);
	struct weir_lease *lease = held.lease[i];
	const unsigned char *data = weir_lease_data(lease);

	held.changed += data[0] != held.first[i] ||
			data[weir_lease_len(lease) - 1] != held.last[i];
	weir_lease_put(lease);
	held.count--;
	held.lease[i] = held.lease[held.count];
	held.first[i] = held.first[held.count];
	held.last[i] = held.last[held.count];
}

static void give_all_back(void)
{
	while (held.count)
		give_one_back();
}

FIXTURE_TEARDOWN(piece)
{
	give_all_back();
	EXPECT_EQ(0, held.changed);
	EXPECT_EQ(0, weir_loop_close(self->loop, LIMIT_NS));
	EXPECT_EQ(0, stats_of_pool(self->pool).pieces);
	EXPECT_TRUE(pool_whole(self->pool));
	EXPECT_EQ(0, weir_pool_close(self->pool));
	EXPECT_EQ(0, self->counting.blocks);
}

static void hold(struct weir_lease *lease)
{
	const unsigned char *data = weir_lease_data(lease);

	if (!held.on || held.count == HELD)
		return;
	held.lease[held.count] = weir_lease_get(lease);
	held.first[held.count] = data[0];
	held.last[held.count] = data[weir_lease_len(lease) - 1];
	held.count++;
	if (held.dry && stats_of_pool(held.dry).free <= SPARE + 1)
		give_all_back();
}

static void reader_done(struct weir_op *op)
{
	struct reader *reader = op->ctx;
	const unsigned char *data;
	uint32_t i;

	reader->events++;
	reader->terminals += !op->more;
	reader->res = op->res;
	if (!op->lease)
		return;
	data = weir_lease_data(op->lease);
	reader->oversize += (uint32_t)op->res != weir_lease_len(op->lease) ||
			    weir_lease_size(op->lease) != weir_lease_len(op->lease);
	for (i = 0; i < (uint32_t)op->res; i++, reader->bytes++)
		reader->wrong += data[i] != pattern(reader->bytes);
	hold(op->lease);
	if (reader->events == reader->ends_at)
		weir_cancel(op->lib_loop, op);
}

static void reader_start(struct weir_loop *loop, struct weir_pool *pool, struct reader *reader)
{
	weir_prep_recv_pool(&reader->op, reader->file, pool, reader_done, reader);
	weir_submit(loop, &reader->op);
}

static int say(struct weir_loop *loop, struct reader *reader, uint32_t len)
{
	static unsigned char buf[BURST];
	int res;

	fill(buf, len, reader->sent);
	res = do_send(loop, reader->client, buf, len);
	if (res > 0)
		reader->sent += (uint32_t)res;
	return res > 0 ? 0 : res ? res : -EIO;
}

/* It is, or this kernel cannot: then the log has told, see below. */
#define REQUIRE_PIECES(self)							\
	do {									\
		if (!stats_of_pool((self)->pool).incremental)			\
			SKIP(_exit(KSFT_SKIP), "this kernel fills no buffer in pieces");	\
	} while (0)

TEST_F(piece, one_buffer_serves_many_messages)
{
	struct reader *reader = &self->reader[0];
	unsigned int i;

	REQUIRE_PIECES(self);
	held.on = true;
	reader_start(self->loop, self->pool, reader);
	for (i = 0; i < 40; i++) {
		ASSERT_EQ(0, say(self->loop, reader, 100));
		RUN_UNTIL(self->loop, reader->bytes == reader->sent);
	}
	EXPECT_EQ(0, reader->wrong);
	EXPECT_EQ(0, reader->oversize);
	EXPECT_EQ(40, held.count);
	EXPECT_EQ(40, stats_of_pool(self->pool).pieces);
	/* 4000 bytes, in the first buffer all of them. */
	EXPECT_EQ(BUFS, stats_of_pool(self->pool).free);
	for (i = 1; i < 40; i++)
		EXPECT_EQ((unsigned char *)weir_lease_data(held.lease[0]) + 100 * i,
			  weir_lease_data(held.lease[i]));
	EXPECT_EQ(-EBUSY, weir_pool_close(self->pool));
	give_all_back();
	EXPECT_EQ(0, stats_of_pool(self->pool).pieces);
	/* The rest of it, and 4 bytes of the next one. */
	ASSERT_EQ(0, say(self->loop, reader, 100));
	RUN_UNTIL(self->loop, reader->bytes == reader->sent);
	EXPECT_EQ(42, reader->events);
	EXPECT_EQ(0, reader->wrong);
	EXPECT_EQ(BUFS - 1, stats_of_pool(self->pool).free);
	weir_lease_put(held.lease[0]);
	held.lease[0] = held.lease[--held.count];
	held.first[0] = held.first[held.count];
	held.last[0] = held.last[held.count];
	EXPECT_EQ(BUFS, stats_of_pool(self->pool).free);
}

TEST_F(piece, streams_share_buffers_and_come_whole)
{
	unsigned int i, round;

	held.on = true;
	held.dry = self->pool;
	for (i = 0; i < PAIRS; i++)
		reader_start(self->loop, self->pool, &self->reader[i]);
	for (round = 0; round < 1500; round++) {
		struct reader *reader = &self->reader[draw(PAIRS)];

		ASSERT_EQ(0, say(self->loop, reader, 1 + draw(round % 50 ? 300 : BURST)));
		while (held.count > 8 + draw(24))
			give_one_back();
	}
	held.on = false;
	give_all_back();
	for (i = 0; i < PAIRS; i++) {
		RUN_UNTIL(self->loop, self->reader[i].bytes == self->reader[i].sent);
		ASSERT_EQ(0, do_close(self->loop, self->reader[i].client));
		RUN_UNTIL(self->loop, self->reader[i].terminals);
		EXPECT_EQ(0, self->reader[i].res);
		EXPECT_EQ(self->reader[i].sent, self->reader[i].bytes);
		EXPECT_EQ(0, self->reader[i].wrong);
		EXPECT_TRUE(!self->reader[i].oversize || !stats_of_pool(self->pool).incremental);
	}
}

TEST_F(piece, exhaustion_parks_until_every_piece_of_a_buffer_is_back)
{
	struct reader *reader = &self->reader[0];
	unsigned int i, last;

	REQUIRE_PIECES(self);
	held.on = true;
	reader_start(self->loop, self->pool, reader);
	/* More than the four buffers hold; it parks when all are full. */
	for (i = 0; i < 5; i++)
		ASSERT_EQ(0, say(self->loop, reader, BUF_BYTES));
	RUN_UNTIL(self->loop, stats_of_pool(self->pool).parked == 1);
	EXPECT_EQ(4 * BUF_BYTES, reader->bytes);
	EXPECT_EQ(SPARE, stats_of_pool(self->pool).free);
	/* All pieces but one of each buffer: that frees none. */
	for (last = 0, i = 1; i < held.count; i++) {
		if (held.lease[i]->bid != held.lease[last]->bid) {
			last = i;
			continue;
		}
		weir_lease_put(held.lease[i]);
		held.count--;
		memmove(&held.lease[i], &held.lease[i + 1], (held.count - i) * sizeof(void *));
		memmove(&held.first[i], &held.first[i + 1], held.count - i);
		memmove(&held.last[i], &held.last[i + 1], held.count - i);
		i--;
	}
	EXPECT_EQ(4, held.count);
	EXPECT_EQ(SPARE, stats_of_pool(self->pool).free);
	EXPECT_EQ(1, stats_of_pool(self->pool).parked);
	give_all_back();
	RUN_UNTIL(self->loop, reader->bytes == reader->sent);
	EXPECT_EQ(0, reader->wrong);
	EXPECT_EQ(0, reader->terminals);
}

/* What is left of a buffer must do, or nobody would ever fill it up. */
TEST_F(piece, a_buffer_that_is_partly_lent_out_is_enough_to_go_on)
{
	struct reader *reader = &self->reader[0];
	unsigned int i;

	held.on = true;
	for (i = 0; i < 8; i++) {
		reader->ends_at = reader->events + 1;
		reader_start(self->loop, self->pool, reader);
		ASSERT_EQ(0, say(self->loop, reader, 10));
		RUN_UNTIL(self->loop, reader->terminals == i + 1);
		EXPECT_EQ(-ECANCELED, reader->res);
		if (!stats_of_pool(self->pool).incremental)
			give_all_back();
	}
	EXPECT_EQ(80, reader->bytes);
	EXPECT_EQ(0, reader->wrong);
	EXPECT_EQ(0, stats_of_pool(self->pool).parks);
}

TEST_F(piece, no_memory_is_taken_once_enough_pieces_are_known)
{
	struct reader *reader = &self->reader[0];
	unsigned int round, i;
	size_t blocks = 0;

	held.on = true;
	reader_start(self->loop, self->pool, reader);
	for (round = 0; round < 10; round++) {
		for (i = 0; i < 60; i++) {
			ASSERT_EQ(0, say(self->loop, reader, 10));
			RUN_UNTIL(self->loop, reader->bytes == reader->sent);
			if (!stats_of_pool(self->pool).incremental)
				give_all_back();
		}
		give_all_back();
		if (round)
			EXPECT_EQ(blocks, self->counting.blocks);
		blocks = self->counting.blocks;
	}
	EXPECT_EQ(0, reader->wrong);
}

TEST_F(piece, without_memory_for_a_piece_the_receive_ends_and_tells)
{
	struct reader *reader = &self->reader[0];
	unsigned int i;

	REQUIRE_PIECES(self);
	held.on = true;
	reader_start(self->loop, self->pool, reader);
	ASSERT_EQ(0, say(self->loop, reader, 1));
	RUN_UNTIL(self->loop, reader->bytes == 1);
	self->counting.left = 0;
	/* As many as there are leases for; then one is lost. */
	for (i = 0; i < HELD && !reader->terminals; i++) {
		ASSERT_EQ(0, say(self->loop, reader, 1));
		RUN_UNTIL(self->loop, reader->bytes == reader->sent || reader->terminals);
	}
	EXPECT_EQ(1, reader->terminals);
	EXPECT_EQ(-ENOMEM, reader->res);
	EXPECT_EQ(WEIR_ORIGIN_LIBRARY, reader->op.origin);
	EXPECT_EQ(reader->sent - 1, reader->bytes);
	EXPECT_EQ(0, reader->wrong);
	/* Others go on when some are back, and when there is memory. */
	give_all_back();
	reader_start(self->loop, self->pool, &self->reader[1]);
	ASSERT_EQ(0, say(self->loop, &self->reader[1], 10));
	RUN_UNTIL(self->loop, self->reader[1].bytes == 10);
	EXPECT_EQ(0, self->reader[1].wrong);
	self->counting.left = SIZE_MAX;
}

TEST_F(piece, a_piece_may_outlive_its_receive_and_its_loop)
{
	struct reader *reader = &self->reader[0];

	held.on = true;
	reader_start(self->loop, self->pool, reader);
	ASSERT_EQ(0, say(self->loop, reader, 1000));
	RUN_UNTIL(self->loop, reader->bytes == 1000);
	ASSERT_EQ(0, weir_loop_close(self->loop, LIMIT_NS));
	self->loop = NULL;
	EXPECT_EQ(-ECANCELED, reader->res);
	EXPECT_EQ(-EBUSY, weir_pool_close(self->pool));
	give_all_back();
}

TEST_F(piece, spare_buffers_stay_whole)
{
	struct weir_lease *lease[2];

	ASSERT_EQ(0, weir_pool_lease(self->pool, &lease[0]));
	ASSERT_EQ(0, weir_pool_lease(self->pool, &lease[1]));
	EXPECT_EQ(BUF_BYTES, weir_lease_size(lease[0]));
	EXPECT_EQ(0, weir_lease_len(lease[0]));
	EXPECT_EQ(BUFS - 2, stats_of_pool(self->pool).free);
	weir_lease_put(lease[0]);
	weir_lease_put(lease[1]);
}

/* Bytes of a piece that are queued keep it, and nothing beyond it can be sent. */

struct echo {
	struct weir_conn *conn;
	uint64_t bytes;
	int beyond;		/* what a send of a byte too many came to */
	int err;
	unsigned int closes;
};

static void echo_data(struct weir_conn *conn, struct weir_lease *lease)
{
	struct echo *echo = weir_conn_ctx(conn);
	uint32_t len;
	int err;

	if (!lease) {
		weir_conn_close(conn);
		return;
	}
	len = weir_lease_len(lease);
	echo->beyond = weir_conn_send_lease(conn, lease, 1, len);
	err = weir_conn_send_lease(conn, lease, 0, len);
	if (err < 0)
		echo->err = err;
	echo->bytes += len;
}

static void echo_closed(struct weir_conn *conn, int err)
{
	struct echo *echo = weir_conn_ctx(conn);

	echo->closes++;
	if (err)
		echo->err = err;
}

TEST_F(piece, a_connection_sends_pieces_on)
{
	static const struct weir_conn_ops ops = { .data = echo_data, .closed = echo_closed };
	struct reader *reader = &self->reader[0];
	static unsigned char got[64 * 1024];
	struct echo echo = { 0 };
	struct weir_conn_opts opts = {
		.sz = sizeof(opts), .ops = &ops, .ctx = &echo, .pool = self->pool,
	};
	uint64_t at = 0, i;
	int n;

	ASSERT_EQ(0, weir_conn_open(&echo.conn, self->loop, reader->file, &opts));
	for (i = 0; i < 60; i++)
		ASSERT_EQ(0, say(self->loop, reader, 1 + draw(900)));
	while (at < reader->sent) {
		n = do_recv(self->loop, reader->client, got + at,
			    (uint32_t)(sizeof(got) - at));
		ASSERT_LT(0, n);
		at += (uint64_t)n;
	}
	for (i = 0; i < at; i++)
		reader->wrong += got[i] != pattern(i);
	EXPECT_EQ(0, reader->wrong);
	EXPECT_EQ(reader->sent, echo.bytes);
	if (stats_of_pool(self->pool).incremental)
		EXPECT_EQ(-EINVAL, echo.beyond);
	EXPECT_EQ(0, do_close(self->loop, reader->client));
	RUN_UNTIL(self->loop, echo.closes);
	EXPECT_EQ(0, echo.err);
}

TEST_F(piece, what_would_be_cut_off_is_refused)
{
	struct msghdr room = { 0 };
	struct seen seen = { 0 };
	struct weir_op op = { 0 };
	struct weir_file file;

	weir_prep_recvmsg_pool(&op, self->reader[0].file, self->pool, &room, seen_done, &seen);
	EXPECT_EQ(-EINVAL, op_do(self->loop, &op));
	weir_prep_socket(&op, AF_INET, SOCK_DGRAM, 0, seen_done, &seen);
	ASSERT_EQ(0, op_do(self->loop, &op));
	file = op.accepted;
	weir_prep_recv_pool(&op, file, self->pool, seen_done, &seen);
	EXPECT_EQ(-EINVAL, op_do(self->loop, &op));
	EXPECT_EQ(0, do_close(self->loop, file));
}

TEST_F(piece, unknown_flags_are_refused)
{
	struct weir_pool_opts shape = { .sz = sizeof(shape), .buf_bytes = 64, .count = 4 };
	struct weir_pool *pool;

	shape.flags = WEIR_POOL_ALL + 1;
	EXPECT_EQ(-EINVAL, weir_pool_open(&pool, self->loop, &shape));
	shape.flags = 0;
	shape.pad = 1;
	EXPECT_EQ(-EINVAL, weir_pool_open(&pool, self->loop, &shape));
}

#ifdef CONFIG_URING
static unsigned int warnings;

static void note_warning(void *ctx, enum weir_log_level level, const char *text)
{
	warnings += level == WEIR_LOG_WARN && strstr(text, "incremental");
}

/* As on a kernel that cannot: what the probe found is written over. */
TEST(where_the_kernel_cannot_each_receive_takes_a_buffer_and_the_log_says_so)
{
	const struct weir_log log = { .line = note_warning, .level = WEIR_LOG_WARN };
	struct weir_loop_opts opts = { .sz = sizeof(opts), .backend = "uring", .log = &log };
	struct weir_feature *found;
	struct weir_loop *loop;
	struct weir_pool *pool;
	struct server server;
	struct reader reader = { 0 };
	unsigned int i;

	OPEN_LOOP(&loop, &opts);
	found = (struct weir_feature *)(uintptr_t)&weir_uring_features(NULL)[PROBE_BUF_INC];
	found->state = WEIR_FEATURE_NO;
	warnings = 0;
	memset(&held, 0, sizeof(held));
	held.on = true;
	ASSERT_EQ(0, incremental_open(loop, &pool));
	EXPECT_EQ(1, warnings);
	EXPECT_EQ(0, stats_of_pool(pool).incremental);
	ASSERT_EQ(0, server_open(loop, &server, 1));
	ASSERT_EQ(0, pair_open(loop, &server, &reader.client, &reader.file));
	reader_start(loop, pool, &reader);
	for (i = 0; i < 3; i++) {
		ASSERT_EQ(0, say(loop, &reader, 10));
		RUN_UNTIL(loop, reader.bytes == reader.sent);
	}
	EXPECT_EQ(0, reader.wrong);
	EXPECT_EQ(BUFS - 3, stats_of_pool(pool).free);
	EXPECT_EQ(BUF_BYTES, weir_lease_size(held.lease[0]));
	give_all_back();
	EXPECT_EQ(0, weir_loop_close(loop, LIMIT_NS));
	EXPECT_EQ(0, weir_pool_close(pool));
}
#endif

TEST_HARNESS_MAIN
