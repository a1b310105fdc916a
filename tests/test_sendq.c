// SPDX-License-Identifier: GPL-2.0-only
/*
 * test_sendq.c - send queues whose entries leave several at once: in vectors, and in
 * bundles where the ring has them
 */
#include <weir/probe.h>

#include "ends.h"
#include "io/gather.h"
#include "net/conn.h"

#include "kselftest_harness.h"

#define TOTAL	(1U << 20)

FIXTURE(sendq)
{
	struct world world;
	uint32_t random;
};

FIXTURE_VARIANT(sendq)
{
	const char *name;
	uint32_t flags;
};

#ifdef CONFIG_URING
FIXTURE_VARIANT_ADD(sendq, uring) { .name = "uring" };
FIXTURE_VARIANT_ADD(sendq, uring_vector) { .name = "uring", .flags = WEIR_LOOP_NO_BUNDLE };
FIXTURE_VARIANT_ADD(sendq, refused) { .name = "refused" };
#endif
FIXTURE_VARIANT_ADD(sendq, epoll) { .name = "epoll" };
FIXTURE_VARIANT_ADD(sendq, sim) { .name = "sim" };

FIXTURE_SETUP(sendq)
{
	self->world.flags = variant->flags;
	self->random = 1;
	WORLD_OPEN(&self->world, variant->name);
}

FIXTURE_TEARDOWN(sendq)
{
	EXPECT_EQ(0, world_close(&self->world));
}

/* Less than @end; the same numbers each time. */
static uint32_t pick(uint32_t *random, uint32_t end)
{
	*random = *random * 1664525 + 1013904223;
	return (*random >> 8) % end;
}

/* Queue @len bytes of @end's stream at @offset of a buffer of their own. */
static int put(struct end *end, struct weir_pool *pool, uint32_t offset, uint32_t len)
{
	struct weir_lease *lease;
	int ret;

	if (weir_pool_lease(pool, &lease))
		return -ENOBUFS;
	fill((unsigned char *)weir_lease_data(lease) + offset, len, end->out);
	ret = weir_conn_send_lease(end->conn, lease, offset, len);
	weir_lease_put(lease);
	if (ret >= 0)
		end->out += len;
	return ret;
}

/* Queue something of a random kind and size; false: it was too much. */
static bool put_random(struct end *end, struct weir_pool *pool, uint32_t *random)
{
	static unsigned char bytes[3000];
	uint32_t offset = pick(random, 2000);
	uint32_t len = 1 + pick(random, pick(random, 4) ? 50 : 2000);
	int ret;

	if (pick(random, 3))
		return put(end, pool, offset, len) == 0;
	fill(bytes, len, end->out);
	ret = weir_conn_send(end->conn, bytes, len);
	if (ret > 0)
		end->out += (uint32_t)ret;
	return ret == (int)len;
}

static bool has_bundles(const struct weir_loop *loop)
{
	return loop->gathers[0].ring;
}

/* A client that does not read, and its peer with as much queued as it takes. */
static struct end *stuck_open(struct world *world)
{
	uint64_t limit = real_ns() + LIMIT_NS;
	struct end *client, *server;

	world->opts.high_bytes = 48 << 10;
	if (keep_small(world))
		return NULL;
	client = client_open(world);
	if (!client)
		return NULL;
	server = client->peer;
	weir_conn_pause(client->conn);
	server->total = 64 * TOTAL;
	pump(server);
	/* Until it stands still, with several entries in flight. */
	while (server->shorts == server->drains || !server->conn->gather ||
	       weir_loop_now(world->loop) - server->conn->send_since_ns < SETTLE_NS) {
		if (real_ns() > limit || weir_loop_run_once(world->loop, SETTLE_NS) < 0)
			return NULL;
	}
	server->total = server->out;
	return server;
}

static uint32_t held(const struct weir_pool *pool)
{
	struct weir_pool_stats stats;

	weir_pool_stats(pool, &stats, sizeof(stats));
	return stats.count - stats.free;
}

TEST_F(sendq, what_is_queued_behind_a_send_leaves_in_one)
{
	struct weir_loop_stats before, after;
	struct end *client;
	int i;

	client = client_open(&self->world);
	ASSERT_NE(NULL, client);
	before = stats_of(self->world.loop);
	for (i = 0; i < 16; i++)
		ASSERT_EQ(0, put(client, self->world.pool, (uint32_t)i, 50));
	RUN(client->peer->in == 16 * 50 && !weir_conn_queued(client->conn));
	EXPECT_FALSE(client->peer->wrong);
	after = stats_of(self->world.loop);
	/* The first one, and all others. */
	EXPECT_EQ(2, after.sends - before.sends);
	EXPECT_EQ(1, after.gathers - before.gathers);
	EXPECT_EQ(has_bundles(self->world.loop), after.send_bundles - before.send_bundles);
	if (variant->flags & WEIR_LOOP_NO_BUNDLE || strcmp(variant->name, "uring"))
		EXPECT_FALSE(has_bundles(self->world.loop));
	EXPECT_TRUE(pool_whole(self->world.pool));
}

TEST_F(sendq, no_more_leave_at_once_than_a_gather_has_room_for)
{
	struct weir_loop_stats before, after;
	struct weir_lease *lease;
	struct end *client;
	uint32_t i;

	client = client_open(&self->world);
	ASSERT_NE(NULL, client);
	before = stats_of(self->world.loop);
	ASSERT_EQ(0, weir_pool_lease(self->world.pool, &lease));
	/* Each second byte: no two can share an entry. */
	for (i = 0; i < 1 + 2 * GATHER_PIECES + 3; i++) {
		fill((unsigned char *)weir_lease_data(lease) + 2 * i, 1, i);
		ASSERT_EQ(0, weir_conn_send_lease(client->conn, lease, 2 * i, 1));
	}
	weir_lease_put(lease);
	RUN(client->peer->in == i && !weir_conn_queued(client->conn));
	EXPECT_FALSE(client->peer->wrong);
	after = stats_of(self->world.loop);
	EXPECT_EQ(4, after.sends - before.sends);
	EXPECT_EQ(3, after.gathers - before.gathers);
	EXPECT_TRUE(pool_whole(self->world.pool));
}

TEST_F(sendq, what_is_long_enough_leaves_alone)
{
	struct weir_pool_opts opts = {
		.sz = sizeof(opts), .buf_bytes = GATHER_BYTES, .count = 16, .spare = 8,
	};
	struct weir_loop_stats before, after;
	struct weir_pool *pool;
	struct end *client;

	ASSERT_EQ(0, weir_pool_open(&pool, self->world.loop, &opts));
	client = client_open(&self->world);
	ASSERT_NE(NULL, client);
	before = stats_of(self->world.loop);
	ASSERT_EQ(0, put(client, pool, 0, 1));
	ASSERT_EQ(0, put(client, pool, 0, 3));
	ASSERT_EQ(0, put(client, pool, 0, 7));
	ASSERT_LE(0, put(client, pool, 0, GATHER_BYTES - 9));
	RUN(client->peer->in == GATHER_BYTES + 2 && !weir_conn_queued(client->conn));
	after = stats_of(self->world.loop);
	/* The first, the two behind it, and then one that would not fit. */
	EXPECT_EQ(1, after.gathers - before.gathers);
	ASSERT_EQ(0, put(client, pool, 0, 1));
	ASSERT_LE(0, put(client, pool, 0, GATHER_BYTES));
	ASSERT_LE(0, put(client, pool, 0, 1));
	RUN(client->peer->in == 2 * GATHER_BYTES + 4 && !weir_conn_queued(client->conn));
	EXPECT_FALSE(client->peer->wrong);
	weir_conn_abort(client->conn, 0);
	RUN(client->closes);
	RUN(pool_whole(pool));
	EXPECT_EQ(0, weir_pool_close(pool));
}

TEST_F(sendq, a_slow_reader_gets_every_byte_in_its_place)
{
	uint64_t limit = real_ns() + LIMIT_NS;
	struct end *client, *server;
	unsigned int turn;

	ASSERT_EQ(0, keep_small(&self->world));
	client = client_open(&self->world);
	ASSERT_NE(NULL, client);
	server = client->peer;
	/* Either end sends: one is a slot of the ring, one has a descriptor. */
	for (turn = 0; server->out < TOTAL || client->out < TOTAL; turn++) {
		ASSERT_GT(limit, real_ns());
		while (server->out < TOTAL &&
		       put_random(server, self->world.pool, &self->random))
			;
		while (client->out < TOTAL &&
		       put_random(client, self->world.pool, &self->random))
			;
		if (pick(&self->random, 2))
			weir_conn_pause(client->conn);
		else
			weir_conn_resume(client->conn);
		ASSERT_LE(0, weir_loop_run_once(self->world.loop, 0));
	}
	weir_conn_resume(client->conn);
	RUN(client->in == server->out && server->in == client->out);
	EXPECT_FALSE(client->wrong || server->wrong);
	EXPECT_LT(0, stats_of(self->world.loop).gathers);
	EXPECT_EQ(has_bundles(self->world.loop), !!stats_of(self->world.loop).send_bundles);
	RUN(!weir_conn_queued(client->conn) && !weir_conn_queued(server->conn));
	EXPECT_TRUE(pool_whole(self->world.pool));
}

TEST_F(sendq, many_at_once_share_a_few_gathers)
{
	struct end *client[24];
	unsigned int i, turn;

	for (i = 0; i < ARRAY_SIZE(client); i++) {
		client[i] = client_open(&self->world);
		ASSERT_NE(NULL, client[i]);
	}
	/* Out of few buffers: somebody always waits for one. */
	for (turn = 0; turn < 400; turn++) {
		i = pick(&self->random, ARRAY_SIZE(client));
		while (put_random(client[i], self->world.pool, &self->random) &&
		       pick(&self->random, 8))
			;
		if (pick(&self->random, 4))
			continue;
		ASSERT_LE(0, weir_loop_run_once(self->world.loop, 0));
	}
	for (i = 0; i < ARRAY_SIZE(client); i++) {
		RUN(client[i]->peer->in == client[i]->out);
		EXPECT_FALSE(client[i]->peer->wrong);
		RUN(!weir_conn_queued(client[i]->conn));
	}
	EXPECT_LT(0, stats_of(self->world.loop).gathers);
	EXPECT_TRUE(pool_whole(self->world.pool));
}

TEST_F(sendq, abort_keeps_only_what_is_in_flight)
{
	struct end *server = stuck_open(&self->world);
	struct weir_conn *conn;

	ASSERT_NE(NULL, server);
	conn = server->conn;
	EXPECT_LT(1, conn->gather->msg.msg_iovlen);
	weir_conn_abort(conn, -EINTR);
	EXPECT_EQ(conn->gather->msg.msg_iovlen, held(self->world.pool));
	EXPECT_LE(conn->gather->bytes, weir_conn_queued(conn));
	RUN(server->closes);
	EXPECT_EQ(-EINTR, server->err);
	RUN(pool_whole(self->world.pool));
}

TEST_F(sendq, close_in_the_middle_sends_the_rest)
{
	struct end *server = stuck_open(&self->world);
	struct end *client;
	uint64_t out;

	ASSERT_NE(NULL, server);
	client = server->peer;
	client->close_at_eof = true;
	out = server->out;
	weir_conn_close(server->conn);
	weir_conn_resume(client->conn);
	RUN(server->closes && client->closes);
	EXPECT_EQ(out, client->in);
	EXPECT_FALSE(client->wrong);
	EXPECT_EQ(0, server->err);
	EXPECT_TRUE(pool_whole(self->world.pool));
}

TEST_F(sendq, close_gives_up_at_its_deadline)
{
	struct end *server;

	self->world.opts.linger_ns = SETTLE_NS;
	server = stuck_open(&self->world);
	ASSERT_NE(NULL, server);
	weir_conn_close(server->conn);
	RUN(server->closes);
	EXPECT_EQ(-ETIME, server->err);
	EXPECT_TRUE(pool_whole(self->world.pool));
}

TEST_F(sendq, a_reset_in_the_middle_gives_all_buffers_back)
{
	struct end *server = stuck_open(&self->world);

	ASSERT_NE(NULL, server);
	/* With bytes that it has not read: its peer is reset. */
	weir_conn_abort(server->peer->conn, 0);
	RUN(server->closes);
	EXPECT_GT(0, server->err);
	EXPECT_TRUE(pool_whole(self->world.pool));
}

TEST_F(sendq, the_end_of_the_loop_gives_all_buffers_back)
{
	struct end *server = stuck_open(&self->world);

	ASSERT_NE(NULL, server);
	/* Its client has nothing in flight that the loop could end, if it does not read. */
	weir_conn_resume(server->peer->conn);
	self->world.listener = NULL;
	EXPECT_EQ(0, weir_loop_close(self->world.loop, LIMIT_NS));
	self->world.loop = NULL;
	EXPECT_EQ(1, server->closes);
	EXPECT_TRUE(pool_whole(self->world.pool));
}

/* what there is not enough of */

/* All of them, or @rings: those with one. */
static unsigned int take_gathers(struct weir_loop *loop, struct io_gather **taken, bool rings)
{
	unsigned int n = 0;

	while (n < GATHERS_MAX && !(rings && list_empty(&loop->gathers_free[0]))) {
		taken[n] = gather_get(loop);
		if (!taken[n])
			break;
		n++;
	}
	return n;
}

static void give_gathers(struct weir_loop *loop, struct io_gather **taken, unsigned int n)
{
	while (n--)
		gather_put(loop, taken[n], 0);
}

TEST_F(sendq, without_a_gather_entries_leave_one_by_one)
{
	struct io_gather *taken[GATHERS_MAX];
	struct weir_loop_stats before, after;
	struct end *client;
	int i;

	client = client_open(&self->world);
	ASSERT_NE(NULL, client);
	ASSERT_EQ(GATHERS_MAX, take_gathers(self->world.loop, taken, false));
	before = stats_of(self->world.loop);
	for (i = 0; i < 10; i++)
		ASSERT_EQ(0, put(client, self->world.pool, 0, 50));
	RUN(client->peer->in == 10 * 50 && !weir_conn_queued(client->conn));
	after = stats_of(self->world.loop);
	EXPECT_EQ(10, after.sends - before.sends);
	EXPECT_EQ(0, after.gathers - before.gathers);
	/* As soon as there are some again, they are used. */
	give_gathers(self->world.loop, taken, GATHERS_MAX);
	for (i = 0; i < 10; i++)
		ASSERT_EQ(0, put(client, self->world.pool, 0, 50));
	RUN(client->peer->in == 20 * 50 && !weir_conn_queued(client->conn));
	EXPECT_FALSE(client->peer->wrong);
	EXPECT_EQ(after.sends + 2, stats_of(self->world.loop).sends);
	EXPECT_EQ(after.gathers + 1, stats_of(self->world.loop).gathers);
}

/* where a ring has bundles */

#ifdef CONFIG_URING
FIXTURE(bundle)
{
	struct world world;
};

FIXTURE_SETUP(bundle)
{
	const struct weir_feature *feature = weir_uring_features(NULL);

	while (strcmp(feature->name, "send_bundle"))
		feature++;
	if (feature->state != WEIR_FEATURE_OK)
		SKIP(_exit(KSFT_SKIP), "no bundles here: %s", feature->why);
	WORLD_OPEN(&self->world, "uring");
	ASSERT_TRUE(has_bundles(self->world.loop));
}

FIXTURE_TEARDOWN(bundle)
{
	EXPECT_EQ(0, world_close(&self->world));
}

TEST_F(bundle, without_a_ring_they_leave_as_a_vector)
{
	struct io_gather *taken[GATHERS_MAX];
	struct end *client;
	unsigned int n;
	int i;

	client = client_open(&self->world);
	ASSERT_NE(NULL, client);
	n = take_gathers(self->world.loop, taken, true);
	EXPECT_EQ(GATHER_RINGS, n);
	for (i = 0; i < 10; i++)
		ASSERT_EQ(0, put(client, self->world.pool, 0, 50));
	RUN(client->peer->in == 10 * 50 && !weir_conn_queued(client->conn));
	EXPECT_FALSE(client->peer->wrong);
	EXPECT_EQ(1, stats_of(self->world.loop).gathers);
	EXPECT_EQ(0, stats_of(self->world.loop).send_bundles);
	give_gathers(self->world.loop, taken, n);
}

TEST_F(bundle, what_a_failed_bundle_left_in_its_ring_is_never_sent)
{
	static char garbage[100];
	struct io_gather *gather;
	struct weir_file file;
	struct seen seen = { 0 };
	struct weir_op op = { 0 };
	struct end *client;
	int fds[2], i;

	client = client_open(&self->world);
	ASSERT_NE(NULL, client);
	/* No socket: refused before a buffer is taken. */
	ASSERT_EQ(0, pipe(fds));
	ASSERT_EQ(0, weir_file_adopt(self->world.loop, fds[1], &file));
	for (i = 0; i < 3; i++) {
		gather = gather_get(self->world.loop);
		ASSERT_NE(NULL, gather->ring);
		ASSERT_TRUE(gather_add(gather, garbage, sizeof(garbage)));
		ASSERT_TRUE(gather_add(gather, garbage, sizeof(garbage)));
		weir_prep_sendmsg(&op, file, &gather->msg, 0, seen_done, &seen);
		EXPECT_EQ(-ENOTSOCK, op_do(self->world.loop, &op));
		gather_put(self->world.loop, gather, op.res);
	}
	for (i = 0; i < 10; i++)
		ASSERT_EQ(0, put(client, self->world.pool, 0, 50));
	/* It is the one that failed: the last given back is the first taken. */
	RUN(client->peer->in >= 10 * 50 && !weir_conn_queued(client->conn));
	EXPECT_EQ(10 * 50, client->peer->in);
	EXPECT_FALSE(client->peer->wrong);
	EXPECT_FALSE(gather->unsent);
	EXPECT_EQ(4, stats_of(self->world.loop).send_bundles);
	EXPECT_EQ(0, do_close(self->world.loop, file));
	close(fds[0]);
}
#endif

/* Sim cuts sends short, also in the middle of an entry, and lets others come late. */
TEST(queues_survive_short_and_late_sends)
{
	struct weir_sim_opts sim = {
		.sz = sizeof(sim), .delay_max_ns = 100000, .short_permille = 700,
		.reorder_permille = 300,
	};
	struct world world = { 0 };
	uint32_t random = 7;
	struct end *client;

	ASSERT_EQ(0, world_open(&world, "sim", &sim));
	client = client_open(&world);
	ASSERT_NE(NULL, client);
	while (client->out < TOTAL) {
		while (client->out < TOTAL && put_random(client, world.pool, &random))
			;
		ASSERT_LE(0, weir_loop_run_once(world.loop, 10000));
	}
	RUN_UNTIL(world.loop, client->peer->in == client->out);
	EXPECT_FALSE(client->peer->wrong);
	EXPECT_LT(0, stats_of(world.loop).gathers);
	EXPECT_EQ(0, world_close(&world));
}

TEST_HARNESS_MAIN
