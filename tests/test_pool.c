// SPDX-License-Identifier: GPL-2.0-only
/*
 * test_pool.c - pools, leases, and receives that wait for a buffer
 */
#include "buf/pool.h"
#include "ends.h"

#include "kselftest_harness.h"

#define PAIRS	6

static int pool_open(struct weir_loop *loop, struct weir_pool **poolp, uint32_t buf_bytes,
		     uint32_t count, uint32_t low, uint32_t spare)
{
	struct weir_pool_opts opts = {
		.sz = sizeof(opts), .buf_bytes = buf_bytes, .count = count,
		.low = low, .spare = spare,
	};

	return weir_pool_open(poolp, loop, &opts);
}

static struct weir_pool_stats stats_of_pool(const struct weir_pool *pool)
{
	struct weir_pool_stats stats;

	weir_pool_stats(pool, &stats, sizeof(stats));
	return stats;
}

FIXTURE(pool) {
	struct counter counter;
	struct weir_loop *loop;
};

BACKEND_VARIANTS(pool);

FIXTURE_SETUP(pool)
{
	struct weir_loop_opts opts = {
		.sz = sizeof(opts), .backend = variant->name, .alloc = &self->counter.alloc,
	};

	counter_init(&self->counter);
	OPEN_LOOP(&self->loop, &opts);
}

FIXTURE_TEARDOWN(pool)
{
	EXPECT_EQ(0, weir_loop_close(self->loop, LIMIT_NS));
	EXPECT_EQ(0, self->counter.blocks);
}

TEST_F(pool, refuses_sizes_out_of_range)
{
	static const struct {
		uint32_t buf_bytes, count, low, spare;
		int err;
	} cases[] = {
		{ 4096, 0, 0, 0, -EINVAL },
		{ 0, 16, 0, 0, -EINVAL },
		{ 0, 0, 0, 0, -EINVAL },
		{ WEIR_POOL_BUF_MIN - 1, 16, 0, 0, -EINVAL },
		{ WEIR_POOL_BUF_MAX + 1, 16, 0, 0, -EINVAL },
		{ 4096, WEIR_POOL_BUFS_MAX + 1, 0, 0, -EINVAL },
		{ 4096, UINT32_MAX, 0, 0, -EINVAL },
		{ UINT32_MAX, UINT32_MAX, 0, 0, -EINVAL },
		{ 4096, 16, 0, 16, -EINVAL },
		{ 4096, 16, 0, UINT32_MAX, -EINVAL },
		{ 4096, 16, 12, 4, -EINVAL },
		{ 4096, 16, 16, 4, -EINVAL },
		{ 4096, WEIR_LOOP_BUFS_DEFAULT + 1, 0, 0, -ENOSPC },
	};
	struct weir_pool *const untouched = (struct weir_pool *)self;
	struct weir_pool *pool = untouched;
	size_t before = self->counter.blocks;
	size_t i;

	for (i = 0; i < ARRAY_SIZE(cases); i++) {
		EXPECT_EQ(cases[i].err, pool_open(self->loop, &pool, cases[i].buf_bytes,
						  cases[i].count, cases[i].low, cases[i].spare)) {
			TH_LOG("case %zu", i);
		}
		EXPECT_EQ(untouched, pool);
	}
	EXPECT_EQ(before, self->counter.blocks);
	EXPECT_EQ(-EINVAL, weir_pool_open(&pool, self->loop, NULL));
}

TEST_F(pool, refuses_options_of_a_later_version)
{
	struct {
		struct weir_pool_opts opts;
		uint64_t later;
	} given = {
		.opts = { .sz = sizeof(given), .buf_bytes = 64, .count = 4 },
		.later = 1,
	};
	struct weir_pool *pool;

	EXPECT_EQ(-E2BIG, weir_pool_open(&pool, self->loop, &given.opts));
	given.later = 0;
	ASSERT_EQ(0, weir_pool_open(&pool, self->loop, &given.opts));
	EXPECT_EQ(0, weir_pool_close(pool));
}

TEST_F(pool, holds_the_smallest_and_the_least)
{
	struct weir_lease *lease;
	struct weir_pool *pool;

	ASSERT_EQ(0, pool_open(self->loop, &pool, WEIR_POOL_BUF_MIN, 1, 0, 0));
	EXPECT_EQ(-ENOBUFS, weir_pool_lease(pool, &lease));
	EXPECT_EQ(0, weir_pool_close(pool));
	EXPECT_EQ(0, weir_pool_close(NULL));
}

TEST_F(pool, counts_all_pools_against_the_budget)
{
	struct weir_pool *a, *b;

	ASSERT_EQ(0, pool_open(self->loop, &a, 64, WEIR_LOOP_BUFS_DEFAULT - 8, 0, 0));
	EXPECT_EQ(-ENOSPC, pool_open(self->loop, &b, 64, 9, 0, 0));
	ASSERT_EQ(0, pool_open(self->loop, &b, 64, 8, 0, 0));
	EXPECT_EQ(0, weir_pool_close(a));
	EXPECT_EQ(0, weir_pool_close(b));
	ASSERT_EQ(0, pool_open(self->loop, &a, 64, WEIR_LOOP_BUFS_DEFAULT, 0, 0));
	EXPECT_EQ(0, weir_pool_close(a));
}

TEST_F(pool, lends_spare_buffers_until_there_is_none)
{
	struct weir_lease *lease[5] = { 0 };
	struct weir_pool_stats stats;
	struct weir_pool *pool;
	int i;

	ASSERT_EQ(0, pool_open(self->loop, &pool, 256, 16, 0, 4));
	for (i = 0; i < 4; i++) {
		ASSERT_EQ(0, weir_pool_lease(pool, &lease[i]));
		EXPECT_EQ(256, weir_lease_size(lease[i]));
		EXPECT_EQ(0, weir_lease_len(lease[i]));
		memset(weir_lease_data(lease[i]), i, 256);
	}
	EXPECT_EQ(-ENOBUFS, weir_pool_lease(pool, &lease[4]));
	EXPECT_EQ(NULL, lease[4]);
	/* Nobody wrote into another's. */
	for (i = 0; i < 4; i++) {
		EXPECT_EQ(i, ((unsigned char *)weir_lease_data(lease[i]))[0]);
		EXPECT_EQ(i, ((unsigned char *)weir_lease_data(lease[i]))[255]);
	}
	stats = stats_of_pool(pool);
	EXPECT_EQ(16, stats.count);
	EXPECT_EQ(12, stats.free);
	for (i = 0; i < 4; i++)
		weir_lease_put(lease[i]);
	stats = stats_of_pool(pool);
	EXPECT_EQ(16, stats.free);
	EXPECT_EQ(12, stats.free_min);
	EXPECT_EQ(0, weir_pool_close(pool));
}

TEST_F(pool, takes_a_buffer_back_at_the_last_reference)
{
	struct weir_lease *lease, *other;
	struct weir_pool *pool;

	ASSERT_EQ(0, pool_open(self->loop, &pool, 256, 4, 0, 1));
	ASSERT_EQ(0, weir_pool_lease(pool, &lease));
	EXPECT_EQ(lease, weir_lease_get(lease));
	weir_lease_put(lease);
	EXPECT_EQ(-ENOBUFS, weir_pool_lease(pool, &other));
	EXPECT_EQ(-EBUSY, weir_pool_close(pool));
	weir_lease_put(lease);
	weir_lease_put(NULL);
	ASSERT_EQ(0, weir_pool_lease(pool, &other));
	weir_lease_put(other);
	EXPECT_EQ(0, weir_pool_close(pool));
}

static void put_twice(void *arg)
{
	weir_lease_put(arg);
	weir_lease_put(arg);
}

static void get_after_put(void *arg)
{
	weir_lease_put(arg);
	weir_lease_get(arg);
}

TEST_F(pool, aborts_on_a_lease_that_nobody_holds)
{
	struct weir_lease *lease;
	struct weir_pool *pool;
	char text[256];
	int status;

	ASSERT_EQ(0, pool_open(self->loop, &pool, 256, 4, 0, 1));
	ASSERT_EQ(0, weir_pool_lease(pool, &lease));
	status = run_child(put_twice, lease, text, sizeof(text));
	EXPECT_TRUE(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
	EXPECT_NE(NULL, strstr(text, "given back twice"));
	status = run_child(get_after_put, lease, text, sizeof(text));
	EXPECT_TRUE(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
	EXPECT_NE(NULL, strstr(text, "does not hold it"));
	weir_lease_put(lease);
	EXPECT_EQ(0, weir_pool_close(pool));
}

TEST_F(pool, writes_no_more_of_its_stats_than_asked_for)
{
	struct weir_pool_stats stats;
	struct weir_pool *pool;

	ASSERT_EQ(0, pool_open(self->loop, &pool, 256, 4, 0, 1));
	memset(&stats, 0xee, sizeof(stats));
	weir_pool_stats(pool, &stats, offsetof(struct weir_pool_stats, free_min));
	EXPECT_EQ(4, stats.count);
	EXPECT_EQ(4, stats.free);
	EXPECT_EQ(0xeeeeeeee, stats.free_min);
	EXPECT_EQ(0, weir_pool_close(pool));
}

/* Connections whose accepted ends receive from a pool. */

FIXTURE(parked) {
	struct weir_loop *loop;
	struct weir_pool *pool;
	struct server server;
	struct weir_file client[PAIRS];
	struct weir_file served[PAIRS];
};

BACKEND_VARIANTS(parked);

FIXTURE_SETUP(parked)
{
	struct weir_loop_opts opts = { .sz = sizeof(opts), .backend = variant->name };
	int i;

	OPEN_LOOP(&self->loop, &opts);
	ASSERT_EQ(0, server_open(self->loop, &self->server, PAIRS));
	for (i = 0; i < PAIRS; i++)
		ASSERT_EQ(0, pair_open(self->loop, &self->server, &self->client[i],
				       &self->served[i]));
}

FIXTURE_TEARDOWN(parked)
{
	EXPECT_EQ(0, weir_loop_close(self->loop, LIMIT_NS));
	EXPECT_EQ(0, weir_pool_close(self->pool));
}

/* One receive from the pool: keeps up to @keep leases, notes when it was first told. */
struct taker {
	struct weir_op op;
	struct weir_lease *kept[4];
	unsigned int keep, held;
	uint64_t bytes;
	unsigned int first;	/* place among all takers, from 1 */
	unsigned int ends;
	int err;
};

static unsigned int takers_told;

static void taker_done(struct weir_op *op)
{
	struct taker *taker = op->ctx;

	taker->ends += !op->more;
	if (op->res < 0)
		taker->err = op->res;
	if (!op->lease)
		return;
	if (!taker->first)
		taker->first = ++takers_told;
	taker->bytes += (uint64_t)op->res;
	if (taker->held < taker->keep)
		taker->kept[taker->held++] = weir_lease_get(op->lease);
	if (!op->more) {
		weir_prep_recv_pool(op, op->file, op->xfer.pool, taker_done, taker);
		weir_submit(op->lib_loop, op);
	}
}

static void taker_start(struct weir_loop *loop, struct taker *taker, struct weir_file file,
			struct weir_pool *pool)
{
	weir_prep_recv_pool(&taker->op, file, pool, taker_done, taker);
	weir_submit(loop, &taker->op);
}

TEST_F(parked, below_the_mark_receives_wait_and_go_on_first_in_first_out)
{
	struct taker hog = { .keep = 2 }, taker[PAIRS] = { 0 };
	struct weir_pool_stats stats;
	unsigned int i;

	/* Three to receive into; with one left of them, nothing is armed. */
	ASSERT_EQ(0, pool_open(self->loop, &self->pool, 64, 4, 1, 1));
	taker_start(self->loop, &hog, self->served[0], self->pool);
	for (i = 0; i < 2; i++) {
		ASSERT_EQ(4, do_send(self->loop, self->client[0], "abcd", 4));
		RUN_UNTIL(self->loop, hog.held == i + 1);
	}
	for (i = 1; i < PAIRS; i++) {
		taker_start(self->loop, &taker[i], self->served[i], self->pool);
		/* Their bytes come in the reverse of the order they wait in. */
		ASSERT_EQ(4, do_send(self->loop, self->client[PAIRS - i], "abcd", 4));
	}
	stats = stats_of_pool(self->pool);
	EXPECT_LE(PAIRS - 1, stats.parked);
	EXPECT_EQ(2, stats.free);
	EXPECT_EQ(-EBUSY, weir_pool_close(self->pool));

	weir_lease_put(hog.kept[0]);
	RUN_UNTIL(self->loop, taker[PAIRS - 1].bytes == 4);
	for (i = 1; i < PAIRS; i++) {
		EXPECT_EQ(4, taker[i].bytes);
		EXPECT_EQ(i + 1, taker[i].first);
		EXPECT_EQ(0, taker[i].err);
		EXPECT_EQ(0, taker[i].ends);
	}
	stats = stats_of_pool(self->pool);
	EXPECT_EQ(0, stats.parked);
	EXPECT_LE(PAIRS - 1, stats.parks);
	weir_lease_put(hog.kept[1]);
	EXPECT_EQ(0, weir_loop_close(self->loop, LIMIT_NS));
	for (i = 1; i < PAIRS; i++)
		EXPECT_EQ(-ECANCELED, taker[i].err);
	EXPECT_TRUE(pool_whole(self->pool));
	EXPECT_EQ(0, weir_pool_close(self->pool));
	self->pool = NULL;
	self->loop = NULL;
}

TEST_F(parked, an_empty_pool_delays_and_no_one_sees_it)
{
	struct taker taker[PAIRS] = { 0 };
	static char bytes[16 << 10];
	struct weir_pool_stats stats;
	uint64_t sent = 0, got = 0, end;
	unsigned int i, round;

	ASSERT_EQ(0, pool_open(self->loop, &self->pool, 64, 4, 0, 1));
	for (i = 0; i < PAIRS; i++) {
		taker[i].keep = 1;
		taker_start(self->loop, &taker[i], self->served[i], self->pool);
	}
	for (round = 0; round < 20; round++) {
		for (i = 0; i < PAIRS; i++) {
			int n = do_send(self->loop, self->client[i], bytes, sizeof(bytes));

			ASSERT_LT(0, n);
			sent += (uint64_t)n;
		}
		/* Each keeps one, until the pool is dry or all is there. */
		end = real_ns() + LIMIT_NS;
		while (got < sent) {
			ASSERT_GT(end, real_ns());
			ASSERT_LE(0, weir_loop_run_once(self->loop, 0));
			for (got = 0, i = 0; i < PAIRS; i++)
				got += taker[i].bytes;
			if (group_ready(&self->pool->group) && got < sent)
				continue;
			for (i = 0; i < PAIRS; i++) {
				while (taker[i].held)
					weir_lease_put(taker[i].kept[--taker[i].held]);
			}
		}
	}
	EXPECT_EQ(sent, got);
	for (i = 0; i < PAIRS; i++) {
		EXPECT_EQ(0, taker[i].err);
		EXPECT_EQ(0, taker[i].held);
	}
	stats = stats_of_pool(self->pool);
	EXPECT_LT(0, stats.parks);
	EXPECT_GE(1, stats.free_min);
	EXPECT_EQ(4, stats.free);
	EXPECT_EQ(0, weir_loop_close(self->loop, LIMIT_NS));
	self->loop = NULL;
}

TEST_F(parked, what_is_sent_from_never_takes_what_is_received_into)
{
	struct taker taker = { .keep = 3 };
	struct weir_lease *spare[2], *more;
	unsigned int round;

	ASSERT_EQ(0, pool_open(self->loop, &self->pool, 64, 5, 0, 2));
	for (round = 0; round < 2; round++)
		ASSERT_EQ(0, weir_pool_lease(self->pool, &spare[round]));
	taker_start(self->loop, &taker, self->served[0], self->pool);
	for (round = 0; round < 10; round++) {
		ASSERT_EQ(4, do_send(self->loop, self->client[0], "abcd", 4));
		RUN_UNTIL(self->loop, taker.bytes == 4 * (round + 1));
		while (taker.held)
			weir_lease_put(taker.kept[--taker.held]);
		EXPECT_EQ(-ENOBUFS, weir_pool_lease(self->pool, &more));
		EXPECT_EQ(3, group_ready(&self->pool->group));
	}
	weir_lease_put(spare[0]);
	weir_lease_put(spare[1]);
	EXPECT_EQ(3, group_ready(&self->pool->group));
	EXPECT_EQ(0, weir_loop_close(self->loop, LIMIT_NS));
	self->loop = NULL;
}

TEST_F(parked, closing_is_refused_while_a_receive_is_armed)
{
	struct taker taker = { 0 };

	ASSERT_EQ(0, pool_open(self->loop, &self->pool, 64, 4, 0, 1));
	taker_start(self->loop, &taker, self->served[0], self->pool);
	RUN_UNTIL(self->loop, self->pool->group.armed == 1);
	EXPECT_EQ(-EBUSY, weir_pool_close(self->pool));
	weir_cancel(self->loop, &taker.op);
	RUN_UNTIL(self->loop, taker.ends == 1);
	EXPECT_EQ(-ECANCELED, taker.err);
	EXPECT_EQ(0, weir_pool_close(self->pool));
	self->pool = NULL;
}

TEST_F(parked, a_lease_may_outlive_the_loop)
{
	struct taker taker = { .keep = 1 };

	ASSERT_EQ(0, pool_open(self->loop, &self->pool, 64, 4, 0, 1));
	taker_start(self->loop, &taker, self->served[0], self->pool);
	ASSERT_EQ(4, do_send(self->loop, self->client[0], "abcd", 4));
	RUN_UNTIL(self->loop, taker.held == 1);
	EXPECT_EQ(4, weir_lease_len(taker.kept[0]));
	EXPECT_EQ(0, weir_loop_close(self->loop, LIMIT_NS));
	self->loop = NULL;
	EXPECT_EQ(0, memcmp(weir_lease_data(taker.kept[0]), "abcd", 4));
	EXPECT_EQ(-EBUSY, weir_pool_close(self->pool));
	weir_lease_put(taker.kept[0]);
	EXPECT_EQ(0, weir_pool_close(self->pool));
	self->pool = NULL;
}

TEST_HARNESS_MAIN
