// SPDX-License-Identifier: GPL-2.0-only
/*
 * test_conn.c - connections: queues, marks, pauses, and what their keeper sees
 */
#include "ends.h"
#include "net/conn.h"

#include "kselftest_harness.h"

#define MIB	(1U << 20)

WORLD_FIXTURE(conn, BACKEND_VARIANTS);

/* moving bytes */

TEST_F(conn, echo_of_a_mebibyte_in_odd_chunks_is_exact)
{
	struct end *client, *server;

	self->world.served[0].echo = true;
	client = client_open(&self->world);
	ASSERT_NE(NULL, client);
	server = client->peer;
	client->total = MIB + 1;
	pump(client);
	RUN(client->in == client->total || client->closes);
	EXPECT_EQ(MIB + 1, client->in);
	EXPECT_EQ(MIB + 1, server->in);
	EXPECT_FALSE(client->wrong || server->wrong);
	EXPECT_EQ(client->shorts, client->drains);
	weir_conn_close(client->conn);
	RUN(client->closes && server->closes);
	EXPECT_EQ(0, client->err);
	EXPECT_EQ(0, server->err);
	EXPECT_EQ(1, server->eofs);
	EXPECT_TRUE(pool_whole(self->world.pool));
}

TEST_F(conn, small_copies_share_a_buffer)
{
	struct weir_pool_stats stats;
	struct end *client;
	unsigned char byte;
	int i;

	client = client_open(&self->world);
	ASSERT_NE(NULL, client);
	for (i = 0; i < 3000; i++) {
		byte = pattern((uint64_t)i);
		ASSERT_EQ(1, weir_conn_send(client->conn, &byte, 1));
	}
	EXPECT_EQ(3000, weir_conn_queued(client->conn));
	weir_pool_stats(self->world.pool, &stats, sizeof(stats));
	EXPECT_EQ(stats.count - 1, stats.free);
	RUN(client->peer->in == 3000);
	EXPECT_FALSE(client->peer->wrong);
	/* Of a send that was under way and the rest, not of 3000. */
	EXPECT_GE(4, client->peer->receipts);
	RUN(!weir_conn_queued(client->conn));
	EXPECT_TRUE(pool_whole(self->world.pool));
}

TEST_F(conn, a_send_takes_what_fits_below_the_high_mark)
{
	static unsigned char bytes[64 << 10];
	struct end *client;

	self->world.opts.low_bytes = 1000;
	self->world.opts.high_bytes = 10000;
	client = client_open(&self->world);
	ASSERT_NE(NULL, client);
	fill(bytes, sizeof(bytes), 0);
	EXPECT_EQ(0, weir_conn_send(client->conn, bytes, 0));
	EXPECT_EQ(9999, weir_conn_send(client->conn, bytes, 9999));
	EXPECT_EQ(1, weir_conn_send(client->conn, bytes + 9999, sizeof(bytes) - 9999));
	EXPECT_EQ(0, weir_conn_send(client->conn, bytes, 1));
	EXPECT_EQ(10000, weir_conn_queued(client->conn));
	EXPECT_EQ(0, client->drains);
	RUN(client->peer->in == 10000);
	EXPECT_FALSE(client->peer->wrong);
	RUN(client->drains);
	/* One mark was crossed and two sends were short: one call. */
	EXPECT_EQ(1, client->drains);
}

TEST_F(conn, drain_is_called_once_for_each_time_above_the_mark)
{
	struct end *client, *server;
	unsigned int cycle, drains;
	uint64_t limit;

	ASSERT_EQ(0, keep_small(&self->world));
	self->world.opts.low_bytes = 4096;
	self->world.opts.high_bytes = 16384;
	client = client_open(&self->world);
	ASSERT_NE(NULL, client);
	server = client->peer;
	weir_conn_pause(client->conn);
	for (cycle = 0; cycle < 5; cycle++) {
		/* Odd, so that it never ends at the mark itself. */
		server->total += MIB + 1;
		pump(server);
		/* Fills the sockets, then stands still above the low mark. */
		limit = real_ns() + LIMIT_NS;
		do {
			ASSERT_GT(limit, real_ns());
			drains = server->drains;
			ASSERT_LE(0, weir_loop_run_once(self->world.loop, 10 * NSEC_PER_MSEC));
		} while (drains != server->drains || server->shorts == server->drains);
		EXPECT_LT(server->out, server->total);
		EXPECT_EQ(server->shorts, server->drains + 1);
		EXPECT_LT(4096, weir_conn_queued(server->conn));
		EXPECT_GE(16384, weir_conn_queued(server->conn));
		weir_conn_resume(client->conn);
		RUN(client->in == server->total);
		weir_conn_pause(client->conn);
		RUN(!weir_conn_queued(server->conn));
		EXPECT_EQ(server->shorts, server->drains);
	}
	EXPECT_FALSE(client->wrong);
}

TEST_F(conn, pause_and_resume_lose_nothing)
{
	struct end *client, *server;
	unsigned int turns, receipts;

	client = client_open(&self->world);
	ASSERT_NE(NULL, client);
	server = client->peer;
	client->pause_at_data = true;
	server->total = MIB;
	pump(server);
	for (turns = 0; client->in < MIB && turns < 200000; turns++) {
		ASSERT_LE(0, weir_loop_run_once(self->world.loop, turns % 64 ? 0 : SETTLE_NS));
		/* From no turn to several between the pause and its end. */
		if (turns % (1 + client->receipts % 4) == 0)
			weir_conn_resume(client->conn);
	}
	EXPECT_EQ(MIB, client->in);
	EXPECT_FALSE(client->wrong);

	/* Nothing comes to one that is paused and settled. */
	client->pause_at_data = false;
	weir_conn_pause(client->conn);
	RUN(!weir_op_busy(&client->conn->recv));
	receipts = client->receipts;
	server->total += 5000;
	pump(server);
	RUN(!weir_conn_queued(server->conn));
	ASSERT_LE(0, weir_loop_run_once(self->world.loop, SETTLE_NS));
	EXPECT_EQ(receipts, client->receipts);
	weir_conn_resume(client->conn);
	RUN(client->in == MIB + 5000);
	EXPECT_FALSE(client->wrong);
}

TEST_F(conn, both_ways_at_once_with_a_small_pool)
{
	struct weir_pool_opts opts = {
		.sz = sizeof(opts), .buf_bytes = 512, .count = 8, .spare = 3,
	};
	struct weir_pool *pool;
	struct end *client[3];
	unsigned int i;

	ASSERT_EQ(0, weir_pool_open(&pool, self->world.loop, &opts));
	self->world.opts.pool = pool;
	for (i = 0; i < 3; i++) {
		client[i] = client_open(&self->world);
		ASSERT_NE(NULL, client[i]);
		client[i]->total = 100000;
		client[i]->peer->total = 100000;
	}
	for (i = 0; i < 3; i++) {
		pump(client[i]);
		pump(client[i]->peer);
	}
	for (i = 0; i < 3; i++) {
		RUN(client[i]->in == 100000 && client[i]->peer->in == 100000);
		EXPECT_FALSE(client[i]->wrong || client[i]->peer->wrong);
	}
	for (i = 0; i < 3; i++) {
		weir_conn_abort(client[i]->conn, 0);
		weir_conn_abort(client[i]->peer->conn, 0);
		RUN(client[i]->closes && client[i]->peer->closes);
	}
	EXPECT_TRUE(pool_whole(pool));
	EXPECT_EQ(0, weir_pool_close(pool));
}

/* sending leases */

TEST_F(conn, a_lease_is_sent_in_parts_and_freed_after_the_last)
{
	struct weir_lease *lease;
	struct end *client;

	client = client_open(&self->world);
	ASSERT_NE(NULL, client);
	ASSERT_EQ(0, weir_pool_lease(self->world.pool, &lease));
	fill(weir_lease_data(lease), 4096, 0);
	EXPECT_EQ(-EINVAL, weir_conn_send_lease(client->conn, lease, 0, 4097));
	EXPECT_EQ(-EINVAL, weir_conn_send_lease(client->conn, lease, 4096, 1));
	EXPECT_EQ(-EINVAL, weir_conn_send_lease(client->conn, lease, 4097, 0));
	EXPECT_EQ(-EINVAL, weir_conn_send_lease(client->conn, lease, 1, UINT32_MAX));
	EXPECT_EQ(-EINVAL, weir_conn_send_lease(client->conn, lease, UINT32_MAX, 1));
	EXPECT_EQ(0, weir_conn_send_lease(client->conn, lease, 4096, 0));
	EXPECT_EQ(0, weir_conn_queued(client->conn));

	EXPECT_EQ(0, weir_conn_send_lease(client->conn, lease, 0, 100));
	EXPECT_EQ(0, weir_conn_send_lease(client->conn, lease, 100, 900));
	fill(weir_lease_data(lease), 2000, 1000);
	memmove((char *)weir_lease_data(lease) + 2000, weir_lease_data(lease), 2000);
	fill(weir_lease_data(lease), 1000, 0);
	EXPECT_EQ(0, weir_conn_send_lease(client->conn, lease, 2000, 2000));
	weir_lease_put(lease);
	EXPECT_FALSE(pool_whole(self->world.pool));
	RUN(client->peer->in == 3000);
	EXPECT_FALSE(client->peer->wrong);
	RUN(!weir_conn_queued(client->conn));
	EXPECT_TRUE(pool_whole(self->world.pool));
}

TEST_F(conn, copies_and_leases_keep_their_order)
{
	struct weir_lease *lease;
	unsigned char bytes[100];
	struct end *client;
	uint64_t at = 0;
	int i;

	client = client_open(&self->world);
	ASSERT_NE(NULL, client);
	/* Sixteen spare buffers: two for each round. */
	for (i = 0; i < 8; i++) {
		fill(bytes, 100, at);
		ASSERT_EQ(100, weir_conn_send(client->conn, bytes, 100));
		at += 100;
		ASSERT_EQ(0, weir_pool_lease(self->world.pool, &lease));
		fill(weir_lease_data(lease), 50, at);
		ASSERT_EQ(0, weir_conn_send_lease(client->conn, lease, 0, 50));
		weir_lease_put(lease);
		at += 50;
		if (i % 3)
			continue;
		ASSERT_LE(0, weir_loop_run_once(self->world.loop, 0));
	}
	RUN(client->peer->in == at);
	EXPECT_FALSE(client->peer->wrong);
	RUN(!weir_conn_queued(client->conn));
	EXPECT_TRUE(pool_whole(self->world.pool));
}

TEST_F(conn, at_the_high_mark_leases_are_taken_and_say_so)
{
	struct weir_lease *lease;
	struct end *client;

	self->world.opts.high_bytes = 5000;
	client = client_open(&self->world);
	ASSERT_NE(NULL, client);
	ASSERT_EQ(0, weir_pool_lease(self->world.pool, &lease));
	EXPECT_EQ(0, weir_conn_send_lease(client->conn, lease, 0, 4096));
	EXPECT_EQ(1, weir_conn_send_lease(client->conn, lease, 0, 904));
	EXPECT_EQ(1, weir_conn_send_lease(client->conn, lease, 0, 4096));
	EXPECT_EQ(9096, weir_conn_queued(client->conn));
	weir_lease_put(lease);
	RUN(client->drains == 1);
	RUN(client->peer->in == 9096);
	EXPECT_EQ(1, client->drains);
}

TEST_F(conn, without_an_entry_a_lease_is_refused_and_drain_tells_when)
{
	struct weir_lease *lease;
	struct end *client;
	unsigned int taken = 0;
	int ret;

	client = client_open(&self->world);
	ASSERT_NE(NULL, client);
	ASSERT_EQ(0, weir_pool_lease(self->world.pool, &lease));
	/* Each second byte: no two parts can share an entry. */
	do {
		ret = weir_conn_send_lease(client->conn, lease, 2 * (taken % 2000), 1);
		taken += !ret;
	} while (!ret && taken < 4096);
	EXPECT_EQ(-ENOBUFS, ret);
	EXPECT_EQ(2 * 64 + 1, taken);
	EXPECT_EQ(taken, weir_conn_queued(client->conn));
	weir_lease_put(lease);
	RUN(client->drains);
	RUN(client->peer->in == taken && !weir_conn_queued(client->conn));
	EXPECT_TRUE(pool_whole(self->world.pool));
}

TEST_F(conn, who_finds_no_spare_buffer_is_told_of_the_next)
{
	struct weir_lease *lease[16];
	struct end *client[3];
	unsigned int i;

	for (i = 0; i < 3; i++) {
		client[i] = client_open(&self->world);
		ASSERT_NE(NULL, client[i]);
	}
	for (i = 0; i < 16; i++)
		ASSERT_EQ(0, weir_pool_lease(self->world.pool, &lease[i]));
	for (i = 0; i < 3; i++) {
		client[i]->total = 1000;
		pump(client[i]);
		EXPECT_EQ(0, client[i]->out);
	}
	/* One that gives up meanwhile is no longer waited for. */
	weir_conn_abort(client[1]->conn, -EINTR);
	ASSERT_LE(0, weir_loop_run_once(self->world.loop, 0));
	EXPECT_EQ(0, client[0]->drains);
	weir_lease_put(lease[0]);
	RUN(client[0]->peer->in == 1000 && client[2]->peer->in == 1000);
	EXPECT_EQ(1, client[0]->drains);
	EXPECT_EQ(0, client[1]->drains);
	EXPECT_EQ(-EINTR, client[1]->err);
	for (i = 1; i < 16; i++)
		weir_lease_put(lease[i]);
	ASSERT_LE(0, weir_loop_run_once(self->world.loop, 0));
	EXPECT_TRUE(pool_whole(self->world.pool));
}

TEST_F(conn, bad_options_are_refused)
{
	struct weir_conn_ops no_data = { .closed = end_closed };
	struct weir_conn_ops no_closed = { .data = end_data };
	struct weir_conn_opts opts;
	struct weir_conn *conn = NULL;
	struct weir_file file;
	size_t blocks;

	ASSERT_EQ(0, client_socket(&self->world, &file));
	RUN(self->world.accepted == 1);
	blocks = self->world.counter.blocks;
#define REFUSED(err, ...)							\
	do {									\
		opts = self->world.opts;					\
		__VA_ARGS__;							\
		EXPECT_EQ(err, weir_conn_open(&conn, self->world.loop, file, &opts));	\
		EXPECT_EQ(NULL, conn);						\
	} while (0)
	REFUSED(-EINVAL, opts.low_bytes = opts.high_bytes = 100);
	REFUSED(-EINVAL, opts.low_bytes = 100; opts.high_bytes = 99);
	REFUSED(-EINVAL, opts.low_bytes = 65536);
	REFUSED(-EINVAL, opts.pool = NULL);
	REFUSED(-EINVAL, opts.ops = NULL);
	REFUSED(-EINVAL, opts.ops = &no_data);
	REFUSED(-EINVAL, opts.ops = &no_closed);
	EXPECT_EQ(-EINVAL, weir_conn_open(&conn, self->world.loop, file, NULL));
	EXPECT_EQ(0, do_close(self->world.loop, file));
	REFUSED(-EBADF, opts.sz = sizeof(opts));
#undef REFUSED
	EXPECT_EQ(blocks, self->world.counter.blocks);
}

/* for keepers of connections */

struct kept {
	struct weir_conn conn;
	struct end end;
	struct weir_link sending;
	unsigned int highs, lows, cookies, released, unstalled;
};

static struct kept *kept_of(struct weir_conn *conn)
{
	return container_of(conn, struct kept, conn);
}

static void kept_release(struct weir_conn *conn)
{
	kept_of(conn)->released++;
}

static void kept_edge(struct weir_conn *conn, enum weir_water_edge edge)
{
	kept_of(conn)->highs += edge == WEIR_WATER_HIGH;
	kept_of(conn)->lows += edge == WEIR_WATER_LOW;
}

static void kept_unstalled(struct weir_conn *conn)
{
	kept_of(conn)->unstalled++;
}

static void kept_cookie(struct weir_conn *conn)
{
	kept_of(conn)->cookies++;
}

TEST_F(conn, a_keeper_sees_marks_stalls_and_the_cookie)
{
	static const struct conn_hooks hooks = {
		.release = kept_release, .edge = kept_edge, .unstalled = kept_unstalled,
	};
	struct weir_conn_opts opts = self->world.opts;
	struct weir_conn *conn;
	struct weir_file file;
	struct kept *kept;
	struct end *peer;
	uint64_t limit;

	ASSERT_EQ(0, keep_small(&self->world));
	/* Half of the spare buffers: also with others in flight it can be reached. */
	self->world.opts.high_bytes = 32 << 10;
	opts.high_bytes = self->world.opts.high_bytes;
	kept = calloc(1, sizeof(*kept));
	ASSERT_NE(NULL, kept);
	conn = &kept->conn;
	kept->end.conn = conn;
	list_init(&kept->sending);
	ASSERT_EQ(0, client_socket(&self->world, &file));
	RUN(self->world.accepted == 1);
	peer = &self->world.served[0];
	weir_conn_pause(peer->conn);
	opts.ctx = &kept->end;
	ASSERT_EQ(0, conn_init(conn, self->world.loop, file, &opts, &hooks, &kept->sending));
	conn_read_cookie(conn, kept_cookie);
	EXPECT_EQ(0, weir_conn_cookie(conn));
	RUN(kept->cookies == 1);
	EXPECT_NE(0, weir_conn_cookie(conn));
	EXPECT_EQ(0, conn->send_since_ns);
	EXPECT_TRUE(list_empty(&kept->sending));

	kept->end.total = 4 * MIB;
	pump(&kept->end);
	EXPECT_EQ(1, kept->highs);
	EXPECT_EQ(&conn->sending, kept->sending.next);
	/* Until it stands still. */
	limit = real_ns() + LIMIT_NS;
	do {
		ASSERT_LE(0, weir_loop_run_once(self->world.loop, 20 * NSEC_PER_MSEC));
		ASSERT_GT(limit, real_ns());
	} while (weir_loop_now(self->world.loop) - conn->send_since_ns < 15 * NSEC_PER_MSEC);
	EXPECT_EQ(kept->lows + 1, kept->highs);
	EXPECT_EQ(&conn->sending, kept->sending.next);
	conn->stalled = true;
	weir_conn_resume(peer->conn);
	RUN(peer->in == 4 * MIB);
	EXPECT_FALSE(peer->wrong);
	EXPECT_EQ(1, kept->unstalled);
	EXPECT_FALSE(conn->stalled);
	RUN(!weir_conn_queued(conn));
	EXPECT_EQ(kept->lows, kept->highs);
	EXPECT_EQ(0, conn->send_since_ns);
	EXPECT_TRUE(list_empty(&kept->sending));

	/* Again, and aborted right after: the cookie comes first, then the end. */
	conn_read_cookie(conn, kept_cookie);
	weir_conn_abort(conn, 0);
	RUN(kept->released == 1);
	EXPECT_EQ(2, kept->cookies);
	EXPECT_EQ(1, kept->end.closes);
	free(kept);
}

/* Sim cuts transfers short and delays them: every byte must still be right. */
TEST(echo_survives_short_transfers_and_delays)
{
	struct weir_sim_opts sim = {
		.sz = sizeof(sim), .delay_max_ns = 100000, .short_permille = 500,
	};
	struct world world = { 0 };
	struct end *client;

	ASSERT_EQ(0, world_open(&world, "sim", &sim));
	world.served[0].echo = true;
	client = client_open(&world);
	ASSERT_NE(NULL, client);
	client->total = MIB;
	pump(client);
	RUN_UNTIL(world.loop, client->in >= MIB);
	EXPECT_EQ(MIB, client->in);
	EXPECT_FALSE(client->wrong || client->peer->wrong);
	EXPECT_EQ(0, world_close(&world));
}

TEST_HARNESS_MAIN
